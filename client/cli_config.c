/* tusk config: the values that the daemon uses, and what differs from them. */
#include "client/cli.h"
#include "client/cli_table.h"

#include <stdlib.h>
#include <string.h>

/* "server", "defaults", or the namespace with its quotation marks, as in a file. */
static void table_section(struct table *table, const struct tusk_config_item *item)
{
    char text[TUSK_NAME_SIZE_MAX + 32];

    if (item->space[0] == '\0') {
        table_text(table, item->section);
        return;
    }
    (void)snprintf(text, sizeof text, "%s \"%s\"", item->section, item->space);
    table_text(table, text);
}

/* ---- show ---- */

static int show_item(void *user, const struct tusk_config_item *item)
{
    table_section(user, item);
    table_text(user, item->key);
    table_text(user, item->value);
    table_text(user, item->origin);
    return 0;
}

static int config_show(struct cli *cli, int argc, char **argv)
{
    const struct column columns[] = {{"section", COLUMN_TEXT},
                                     {"key", COLUMN_TEXT},
                                     {"value", COLUMN_TEXT},
                                     {"origin", COLUMN_TEXT}};
    struct cli_words words;
    struct table table;
    int ended;
    int rc;

    cli_parse_words(cli, &words, "",
                    "Print every value that the daemon uses, and where each came from.\vA value "
                    "of a namespace that no file gives is \"stored\" with it.",
                    0, 0, argc, argv);
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    table_begin(&table, cli, columns, sizeof columns / sizeof columns[0]);
    rc = tusk_config(cli->t, 0, show_item, &table);
    ended = table_end(&table);
    return rc == TUSK_OK ? ended : cli_fail(cli, rc, "show the configuration");
}

/* ---- diff ---- */

static int diff_default(void *user, const struct tusk_config_item *item)
{
    if (strcmp(item->value, item->fallback) == 0) {
        return 0;
    }
    table_section(user, item);
    table_text(user, item->key);
    table_text(user, item->fallback);
    table_text(user, item->value);
    table_text(user, item->origin);
    return 0;
}

static int diff_defaults(struct cli *cli)
{
    const struct column columns[] = {{"section", COLUMN_TEXT},
                                     {"key", COLUMN_TEXT},
                                     {"default", COLUMN_TEXT},
                                     {"value", COLUMN_TEXT},
                                     {"origin", COLUMN_TEXT}};
    struct table table;
    int ended;
    int rc;

    table_begin(&table, cli, columns, sizeof columns / sizeof columns[0]);
    rc = tusk_config(cli->t, 0, diff_default, &table);
    ended = table_end(&table);
    return rc == TUSK_OK ? ended : cli_fail(cli, rc, "show the configuration");
}

/* What is in force, to be compared with what comes second. */
struct kept {
    char **texts; /* Owned; section, namespace, key, value in turn */
    size_t count;
    bool failed;
    struct table *table;
};

static int keep_item(void *user, const struct tusk_config_item *item)
{
    const char *const from[] = {item->section, item->space, item->key, item->value};
    struct kept *kept = user;
    char **more = realloc(kept->texts, (kept->count + 4) * sizeof *more);
    size_t i;

    kept->failed = more == NULL;
    kept->texts = more != NULL ? more : kept->texts;
    for (i = 0; i < 4 && !kept->failed; i++) {
        more[kept->count] = strdup(from[i]);
        /* fanalyzer-suppress malloc-leak: the copy is in kept->texts, which realloc() moved */
        kept->failed = more[kept->count] == NULL;
        kept->count += kept->failed ? 0 : 1;
    }
    return kept->failed;
}

static const char *kept_value(const struct kept *kept, const struct tusk_config_item *item)
{
    size_t i;

    for (i = 0; i < kept->count; i += 4) {
        if (strcmp(kept->texts[i], item->section) == 0 &&
            strcmp(kept->texts[i + 1], item->space) == 0 &&
            strcmp(kept->texts[i + 2], item->key) == 0) {
            return kept->texts[i + 3];
        }
    }
    return NULL;
}

static int diff_file(void *user, const struct tusk_config_item *item)
{
    struct kept *kept = user;
    const char *before = kept_value(kept, item);

    if (before == NULL || strcmp(before, item->value) == 0) {
        return 0; /* The same, or a namespace that came in between */
    }
    table_section(kept->table, item);
    table_text(kept->table, item->key);
    table_text(kept->table, before);
    table_text(kept->table, item->value);
    table_text(kept->table, item->origin);
    table_text(kept->table, item->needs_restart ? "restart" : "reload");
    return 0;
}

static int diff_files(struct cli *cli)
{
    const struct column columns[] = {{"section", COLUMN_TEXT}, {"key", COLUMN_TEXT},
                                     {"value", COLUMN_TEXT},   {"files", COLUMN_TEXT},
                                     {"origin", COLUMN_TEXT},  {"needs", COLUMN_TEXT}};
    struct table table;
    struct kept kept = {.table = &table};
    int ended = CLI_FAILED;
    int rc = tusk_config(cli->t, 0, keep_item, &kept);

    if (rc != TUSK_OK) {
        ended = cli_fail(cli, rc, "show the configuration");
    } else if (kept.failed) {
        cli_say("out of memory");
    } else {
        table_begin(&table, cli, columns, sizeof columns / sizeof columns[0]);
        rc = tusk_config(cli->t, 1, diff_file, &kept);
        ended = table_end(&table);
        ended = rc == TUSK_OK ? ended : cli_fail(cli, rc, "the files");
    }
    while (kept.count > 0) {
        free(kept.texts[--kept.count]);
    }
    free(kept.texts);
    return ended;
}

struct diff_options {
    struct cli *cli;
    bool files;
};

static const struct argp_option diff_options[] = {
    {"files", 'f', NULL, 0, "What a reload or a restart would change, as the files are now", 0},
    {0},
};

static error_t diff_option(int key, char *arg, struct argp_state *state)
{
    struct diff_options *options = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = options->cli;
        return 0;
    case 'f':
        options->files = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "one argument too many: '%s'", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int config_diff(struct cli *cli, int argc, char **argv)
{
    static const struct argp argp = {
        .options = diff_options,
        .parser = diff_option,
        .doc = "Print the values that are not the default, or those that the files would change.",
        .children = cli_children};
    struct diff_options options = {.cli = cli};
    int rc;

    cli_parse(&argp, argc, argv, &options);
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    return options.files ? diff_files(cli) : diff_defaults(cli);
}

int cli_config(struct cli *cli, int argc, char **argv)
{
    static const struct cli_command commands[] = {
        {"show", config_show, "Every value and where it came from"},
        {"diff", config_diff, "What is not the default, or differs from the files"},
    };

    return cli_dispatch(cli, commands, 2, "tusk config", argc, argv);
}
