/* All that configures the daemon: its options, the settings of namespaces, and what is wrong
 * with them.
 *
 *     built in ---> tuskd.conf ---> conf.d/NAME.conf, in order of names ---> TUSK_* ---> arguments
 *
 * Later ones win. config_load() reads all of it at once, and again for a reload: it opens files
 * to read them, and changes nothing anywhere. What it finds wrong it collects, every error with
 * its place; a configuration with an error is not to be used, not even in part.
 *
 * Elsewhere: the list of options (options.def), what a file looks like (file.c), which files are
 * read (load.c), what a value is used for (the server). */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/access.h"
#include "config/options.h"

/* Bounds of what is read, each an error when it is passed. Nobody writes this much by hand. */
#define CONFIG_FILE_SIZE_MAX (1024u * 1024u)
#define CONFIG_FILES_MAX 1000u /* In conf.d */
#define CONFIG_NAMESPACES_MAX 1000u
#define CONFIG_NAME_SIZE_MAX 255u
#define CONFIG_REPORT_MAX 200u /* Sentences kept; those beyond are counted */
/* libinih cuts lines here, without a word where a value ends; so longer ones are refused. */
#define CONFIG_LINE_SIZE_MAX 198u

/* Sentences for an operator. */
struct config_report {
    char **texts; /* Owned */
    uint32_t count;
    uint32_t left_off;
};

/* What [namespace "NAME"] says. The rows of settings count, the others are never given. */
struct config_namespace {
    char name[CONFIG_NAME_SIZE_MAX + 1];
    struct option_origin section;              /* Where it began first */
    struct option_origin origin[OPTION_COUNT]; /* ORIGIN_DEFAULT: not given */
    uint64_t value[OPTION_COUNT];
    struct access_rules access; /* Its own `allow` lines */
};

/* Where a configuration comes from. Borrowed; outlives what is loaded from it. */
struct config_source {
    int argc;
    char *const *argv;
    options_getenv_fn *get;
};

struct config {
    struct options options;
    struct options_command command;
    char file[OPTIONS_PATH_SIZE];        /* The main file; "": none is named */
    struct config_namespace *namespaces; /* Owned */
    uint32_t namespace_count;
    struct access_rules access; /* The `allow` lines of [defaults] */
    char **names; /* Owned, and so is each: files that origins name */
    uint32_t name_count;
    struct config_report errors;
    struct config_report warnings;
    bool usage; /* What is wrong is the command line */
};

/* Read everything into *config, whatever it held. 0; or -1, with config->errors. config_free()
 * either way. */
int config_load(struct config *config, const struct config_source *source);
/* Free what *config owns; a zeroed one is allowed. */
void config_free(struct config *config);

/* What a namespace's own section says; NULL: there is none. */
const struct config_namespace *config_namespace_find(const struct config *config, const char *name);
/* Take over one option; its file's name is kept here, too. False: out of memory, and nothing is
 * changed. */
bool config_take(struct config *to, const struct config *from, int index);

/* ---- between the files of config ---- */

/* Take over what a file says: size bytes, behind which a zero byte stands. path is its name in
 * errors. */
void config_parse(struct config *config, const char *path, const char *bytes, size_t size);
/* Read the files that are named by the arguments, the environment or systemd. */
void config_read_files(struct config *config, options_getenv_fn *get);
/* Add a sentence; without memory for it, it is counted. */
void config_report(struct config_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A copy of a file's name that lives as long as *config; NULL: out of memory. */
const char *config_name(struct config *config, const char *name);

#endif
