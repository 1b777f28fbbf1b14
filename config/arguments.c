/* The command line: "--flag VALUE" or "--flag=VALUE" for each row with a flag, "--set KEY=VALUE"
 * for every row, and the few arguments that are no options. */
#include <stdarg.h>
#include <string.h>

#include "config/options.h"

#define KEY_SIZE_MAX 64u

struct cursor {
    int argc;
    char *const *argv;
    int index; /* Of the argument looked at */
};

static int fail(struct options_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int fail(struct options_error *error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(error->text, sizeof error->text, format, args); /* Cut is fine */
    va_end(args);
    return -1;
}

/* Whether the argument looked at is --name. *value is what stands behind '=', or NULL. */
static bool matches(const struct cursor *at, const char *name, const char **value)
{
    const char *argument = at->argv[at->index];
    const size_t size = strlen(name);

    if (strncmp(argument, "--", 2) != 0 || strncmp(argument + 2, name, size) != 0) {
        return false;
    }
    argument += 2 + size;
    *value = *argument == '=' ? argument + 1 : NULL;
    return *argument == '=' || *argument == '\0';
}

/* The value of the argument looked at: behind '=', or the next argument. */
static int take_value(struct cursor *at, const char **value, struct options_error *error)
{
    if (*value != NULL) {
        return 0;
    }
    if (at->index + 1 >= at->argc) {
        (void)fail(error, "%s: needs a value", at->argv[at->index]);
        return -1;
    }
    at->index++;
    *value = at->argv[at->index];
    return 0;
}

static int set_pair(struct options *options, const char *pair, struct options_error *error)
{
    const struct option_origin origin = {.kind = ORIGIN_ARGUMENT, .name = "set"};
    const char *equal = strchr(pair, '=');
    char key[KEY_SIZE_MAX];

    if (equal == NULL || equal == pair) {
        return fail(error, "--set %s: must be KEY=VALUE", pair);
    }
    if ((size_t)(equal - pair) >= sizeof key) {
        return fail(error, "--set %s: there is no option with a name that long", pair);
    }
    memcpy(key, pair, (size_t)(equal - pair));
    key[equal - pair] = '\0';
    return options_set(options, key, equal + 1, &origin, error);
}

static int take_text(struct cursor *at, const char *name, const char *value, const char **out,
                     struct options_error *error)
{
    if (take_value(at, &value, error) != 0) {
        return -1;
    }
    if (value[0] == '\0') {
        return fail(error, "--%s: needs a value that is not empty", name);
    }
    *out = value;
    return 0;
}

/* One argument that is no option of the table. 1: not one of these either. */
static int take_command(struct options *options, struct options_command *command, struct cursor *at,
                        struct options_error *error)
{
    const char *value;
    bool *flag = NULL;

    if (matches(at, "set", &value)) {
        return take_value(at, &value, error) != 0 ? -1 : set_pair(options, value, error);
    }
    if (matches(at, "accept-loss", &value)) {
        return take_text(at, "accept-loss", value, &command->accept_loss, error);
    }
    if (matches(at, "config", &value)) {
        return take_text(at, "config", value, &command->config, error);
    }
    if (matches(at, "help", &value) || strcmp(at->argv[at->index], "-h") == 0) {
        flag = &command->help;
    } else if (matches(at, "version", &value) || strcmp(at->argv[at->index], "-V") == 0) {
        flag = &command->version;
    } else if (matches(at, "check-config", &value)) {
        flag = &command->check_config;
    }
    if (flag == NULL) {
        return 1;
    }
    if (strchr(at->argv[at->index], '=') != NULL) {
        return fail(error, "%s: takes no value", at->argv[at->index]);
    }
    *flag = true;
    return 0;
}

/* One argument that names a row. 1: no row has this flag. */
static int take_option(struct options *options, struct cursor *at, struct options_error *error)
{
    const struct option_row *rows = options_rows();
    const char *value;
    int i;

    for (i = 0; i < OPTION_COUNT; i++) {
        const struct option_origin origin = {ORIGIN_ARGUMENT, 0, rows[i].flag};

        if (rows[i].flag == NULL || !matches(at, rows[i].flag, &value)) {
            continue;
        }
        if (rows[i].type == VALUE_SWITCH) {
            return options_set(options, rows[i].key, value != NULL ? value : "yes", &origin, error);
        }
        if (take_value(at, &value, error) != 0) {
            return -1;
        }
        return options_set(options, rows[i].key, value, &origin, error);
    }
    return 1;
}

static int unknown(const char *argument, struct options_error *error)
{
    static const char *const commands[] = {"set",     "config",       "accept-loss", "help",
                                           "version", "check-config", NULL};
    const struct option_row *rows = options_rows();
    const char *word = argument[0] == '-' && argument[1] == '-' ? argument + 2 : argument;
    const char *found = NULL;
    unsigned best = 4; /* Edits; farther away, a suggestion is a guess */
    int i;

    for (i = 0; i < OPTION_COUNT; i++) {
        if (rows[i].flag != NULL && options_distance(word, rows[i].flag) < best) {
            best = options_distance(word, rows[i].flag);
            found = rows[i].flag;
        }
    }
    for (i = 0; commands[i] != NULL; i++) {
        if (options_distance(word, commands[i]) < best) {
            best = options_distance(word, commands[i]);
            found = commands[i];
        }
    }
    if (found == NULL) {
        return fail(error, "%s: not an option; --help lists them all", argument);
    }
    return fail(error, "%s: not an option; did you mean --%s?", argument, found);
}

int options_arguments(struct options *options, struct options_command *command, int argc,
                      char *const *argv, struct options_error *error)
{
    struct cursor at = {.argc = argc, .argv = argv, .index = 1};
    int rc;

    *command = (struct options_command){0};
    for (; at.index < argc; at.index++) {
        rc = take_command(options, command, &at, error);
        if (rc == 1) {
            rc = take_option(options, &at, error);
        }
        if (rc == 1) {
            rc = unknown(argv[at.index], error);
        }
        if (rc != 0) {
            return -1;
        }
    }
    return 0;
}
