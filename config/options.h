/* The daemon's options: defaults, environment, command line; later ones win.
 *
 *     options_default ---> options_environment ---> options_arguments ---> options_check
 *
 * options.def is the list; this file is what is made of it. Everything here is text in, numbers
 * out: no file is opened, and what a value is used for is the server's business. */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config/value.h"

#define OPTIONS_PATH_SIZE 1024u
#define OPTIONS_ERROR_SIZE 512u

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

/* OPTION_<key>: the row's number. */
enum option_index {
#define OPTION(section, key, type, fallback, min, max, environment, flag, help) OPTION_##key,
#include "config/options.def"
#undef OPTION
    OPTION_COUNT
};

struct options {
#define OPTION(section, key, type, fallback, min, max, environment, flag, help)                    \
    OPTIONS_MEMBER_##type(key)
#include "config/options.def"
#undef OPTION
    bool given[OPTION_COUNT]; /* Set by the environment or the command line, not by default */
};

/* One row of options.def. */
struct option_row {
    const char *section;
    const char *key;
    enum value_type type;
    const char *fallback;
    uint64_t min;
    uint64_t max;
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
};

/* A sentence for whoever wrote the value: where it came from, key, value, what is allowed. */
struct options_error {
    char text[OPTIONS_ERROR_SIZE];
};

/* Reads the environment: getenv(), or a test's. */
typedef const char *options_getenv_fn(const char *name);

/* All rows, OPTION_COUNT of them. */
const struct option_row *options_rows(void);

/* The defaults of options.def; data_dir and socket as systemd's $STATE_DIRECTORY and
 * $RUNTIME_DIRECTORY say where these are set. */
int options_default(struct options *options, options_getenv_fn *get, struct options_error *error);
/* Set one option from text. source ("--set", "TUSK_LOG") begins the error. 0, or -1 with *error
 * filled and the option as it was. */
int options_set(struct options *options, const char *key, const char *value, const char *source,
                struct options_error *error);
/* Set what TUSK_* variables name. An empty variable is as good as none. */
int options_environment(struct options *options, options_getenv_fn *get,
                        struct options_error *error);
/* Set what the command line says. Later arguments win over earlier ones. */
int options_arguments(struct options *options, struct options_command *command, int argc,
                      char *const *argv, struct options_error *error);
/* Check what no single value shows: that limits fit each other. */
int options_check(const struct options *options, struct options_error *error);

/* Write --help, and tuskd.conf: every option, commented out, with its default. */
void options_help(FILE *out);
void options_sample(FILE *out);

/* How many single-character edits lie between two words, counted up to 32 characters. */
unsigned options_distance(const char *a, const char *b);

#endif
