/* The daemon's options: defaults, files, environment, command line; later ones win.
 *
 *     options_default ---> (config_file.h) ---> options_environment ---> options_arguments
 *                                                                   ---> options_check
 *
 * options.def is the list; this file is what is made of it. Everything here is text in, numbers
 * out: no file is opened, and what a value is used for is the server's business. Each option says
 * where its value came from.
 *
 * Elsewhere: files and namespaces' own settings, and all of it together (config.h). */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config/value.h"

#define OPTIONS_PATH_SIZE 1024u
#define OPTIONS_ERROR_SIZE 1024u
#define OPTIONS_ORIGIN_SIZE (OPTIONS_PATH_SIZE + 16u) /* Of option_origin_text() */

#define OPTIONS_MEMBER_PATH(key) char key[OPTIONS_PATH_SIZE];
#define OPTIONS_MEMBER_SIZE(key) uint64_t key;
#define OPTIONS_MEMBER_COUNT(key) uint64_t key;
#define OPTIONS_MEMBER_TIME(key) uint64_t key;
#define OPTIONS_MEMBER_SWITCH(key) uint64_t key;
#define OPTIONS_MEMBER_IO(key) uint64_t key;
#define OPTIONS_MEMBER_LOG(key) uint64_t key;
#define OPTIONS_MEMBER_FSYNC(key) uint64_t key;
#define OPTIONS_MEMBER_CONSISTENCY(key) uint64_t key;
#define OPTIONS_MEMBER_RETENTION(key) uint64_t key;
#define OPTIONS_MEMBER_QUOTA(key) uint64_t key;

/* OPTION_<key>: the row's number. */
enum option_index {
#define OPTION(section, key, type, fallback, min, max, when, environment, flag, help) OPTION_##key,
#include "config/options.def"
#undef OPTION
    OPTION_COUNT
};

enum option_section {
    OPTION_SECTION_server,
    OPTION_SECTION_defaults,
    OPTION_SECTION_setting, /* [defaults], and [namespace "NAME"] */
};

/* From when on a changed value counts. */
enum option_when { OPTION_WHEN_RELOAD, OPTION_WHEN_START };

/* Where a value came from; later ones win over earlier ones. */
enum option_origin_kind {
    ORIGIN_DEFAULT, /* Built in, or from what systemd says of its directories */
    ORIGIN_FILE,
    ORIGIN_ENVIRONMENT,
    ORIGIN_ARGUMENT,
};

struct option_origin {
    enum option_origin_kind kind;
    uint32_t line;    /* Of a file, from 1 */
    const char *name; /* File, variable, or argument without "--"; NULL: built in. Borrowed: from
                       * the table, or from the struct config that read the file */
};

struct options {
#define OPTION(section, key, type, fallback, min, max, when, environment, flag, help)              \
    OPTIONS_MEMBER_##type(key)
#include "config/options.def"
#undef OPTION
    struct option_origin origin[OPTION_COUNT];
};

/* One row of options.def. */
struct option_row {
    enum option_section section;
    const char *key;
    enum value_type type;
    const char *fallback;
    uint64_t min;
    uint64_t max;
    enum option_when when;
    const char *environment; /* NULL: none */
    const char *flag;        /* Without "--"; NULL: none */
    const char *help;
    size_t offset; /* Of the member in struct options */
};

/* What the command line asks for besides options. */
struct options_command {
    bool help;
    bool version;
    bool check_config;
    const char *accept_loss; /* Namespace, borrowed from argv; NULL: none */
    const char *config;      /* File, borrowed from argv; NULL: none */
};

/* A sentence for whoever wrote the value: where it came from, key, value, what is allowed. */
struct options_error {
    char text[OPTIONS_ERROR_SIZE];
};

/* Reads the environment: getenv(), or a test's. */
typedef const char *options_getenv_fn(const char *name);

/* All rows, OPTION_COUNT of them. */
const struct option_row *options_rows(void);
/* The row of a key; NULL: there is none. */
const struct option_row *options_find(const char *key);
/* The key nearest to a wrong one; NULL: none is near. */
const char *options_nearest(const char *key);
/* "server" or "defaults". */
const char *options_section_name(enum option_section section);

/* The defaults of options.def; data_dir and socket as systemd's $STATE_DIRECTORY and
 * $RUNTIME_DIRECTORY say where these are set. */
int options_default(struct options *options, options_getenv_fn *get, struct options_error *error);
/* Set one option from text. The error begins with the origin. 0, or -1 with *error filled and the
 * option as it was. */
int options_set(struct options *options, const char *key, const char *value,
                const struct option_origin *origin, struct options_error *error);
/* The number of a value that is one, into *number. Fails as options_set() does. */
int options_number(const struct option_row *row, const char *value,
                   const struct option_origin *origin, uint64_t *number,
                   struct options_error *error);
/* The number of an option that is no PATH. */
uint64_t options_get(const struct options *options, int index);
/* The value of an option as it would be written, in OPTIONS_PATH_SIZE bytes. */
void options_text(const struct options *options, int index, char *text);
/* The built-in value, written as options_text() would. */
void options_fallback(int index, char *text);
/* Whether two have the same value of an option. */
bool options_same(const struct options *a, const struct options *b, int index);
/* Take over value and origin of one option; the origin's name goes on being borrowed. */
void options_copy(struct options *to, const struct options *from, int index);
/* Set what TUSK_* variables name. An empty variable is as good as none. */
int options_environment(struct options *options, options_getenv_fn *get,
                        struct options_error *error);
/* Set what the command line says. Later arguments win over earlier ones. */
int options_arguments(struct options *options, struct options_command *command, int argc,
                      char *const *argv, struct options_error *error);
/* Check what no single value shows: that limits fit each other. */
int options_check(const struct options *options, struct options_error *error);

/* "/etc/tusk/tuskd.conf:12", "TUSK_LOG", "--fsync", "default": in OPTIONS_ORIGIN_SIZE bytes. */
void option_origin_text(const struct option_origin *origin, char *text);

/* Write --help; tuskd.conf, which is every option, commented out, with its default; and the
 * source of tuskd.conf(5) for scdoc. */
void options_help(FILE *out);
void options_sample(FILE *out);
void options_manual(FILE *out);

/* How many single-character edits lie between two words, counted up to 32 characters. */
unsigned options_distance(const char *a, const char *b);

#endif
