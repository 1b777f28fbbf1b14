/* tusk checkpoint, seek, cursors, cursor create, cursor delete. */
#include "client/cli.h"
#include "client/cli_parse.h"
#include "client/cli_table.h"

#include <ctype.h>
#include <string.h>

struct cursor_options {
    struct cli *cli;
    const char *topic;
    const char *where; /* An offset or a position */
    const char *cursor;
};

static const struct argp_option cursor_options[] = {
    {"cursor", 'c', "NAME", 0, "The cursor; without it the topic's default cursor", 0},
    {0},
};

static error_t cursor_option(int key, char *arg, struct argp_state *state)
{
    struct cursor_options *options = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = options->cli;
        return 0;
    case 'c':
        options->cursor = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (options->topic == NULL) {
            options->topic = arg;
        } else if (options->where == NULL) {
            options->where = arg;
        } else {
            argp_error(state, "one argument too many: '%s'", arg);
        }
        return 0;
    case ARGP_KEY_END:
        if (options->where == NULL) {
            argp_error(state, "an argument is missing");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int print_place(const struct cli *cli, const struct tusk_cursor_place *place)
{
    static const struct column columns[] = {{"offset", COLUMN_NUMBER}, {"epoch", COLUMN_NUMBER}};
    struct table table;

    if (cli->quiet) {
        return CLI_DONE;
    }
    table_begin(&table, cli, columns, 2);
    table_number(&table, place->offset);
    table_number(&table, place->epoch);
    return table_end(&table);
}

int cli_checkpoint(struct cli *cli, int argc, char **argv)
{
    static const struct argp argp = {.options = cursor_options,
                                     .parser = cursor_option,
                                     .args_doc = "TOPIC OFFSET",
                                     .doc = "Everything before OFFSET is processed. Moves forward "
                                            "only.\vPrints where the cursor stands.",
                                     .children = cli_children};
    struct cursor_options options = {.cli = cli, .cursor = ""};
    struct tusk_cursor_place place;
    uint64_t offset;
    int rc;

    cli_parse(&argp, argc, argv, &options);
    if (parse_u64(options.where, &offset) != 0) {
        cli_say("'%s' is not an offset", options.where);
        return CLI_USAGE;
    }
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    rc = tusk_checkpoint(cli->t, options.topic, options.cursor, offset, 0, 0, &place);
    return rc == TUSK_OK ? print_place(cli, &place)
                         : cli_fail(cli, rc, "checkpoint %s", options.topic);
}

/* "-1h" is a position, not three options: written "now-1h" it can be told apart. */
static void protect_times(int argc, char **argv, char (*room)[40], int room_count)
{
    int used = 0;
    int i;

    for (i = 1; i < argc && used < room_count; i++) {
        if (argv[i][0] == '-' && isdigit((unsigned char)argv[i][1]) && strlen(argv[i]) < 36) {
            (void)snprintf(room[used], sizeof room[used], "now%s", argv[i]);
            argv[i] = room[used++];
        }
    }
}

int cli_seek(struct cli *cli, int argc, char **argv)
{
    static const struct argp argp = {
        .options = cursor_options,
        .parser = cursor_option,
        .args_doc = "TOPIC POSITION",
        .doc = "Move a cursor to POSITION: earliest, latest, an offset, @TIME or -1h.\v"
               "Prints where the cursor stands.",
        .children = cli_children};
    struct cursor_options options = {.cli = cli, .cursor = ""};
    struct tusk_cursor_place place;
    struct tusk_position position;
    char room[4][40];
    int rc;

    protect_times(argc, argv, room, 4);
    cli_parse(&argp, argc, argv, &options);
    if (parse_position(options.where, &position) != 0) {
        cli_say("'%s' is no position; it is earliest, latest, an offset, @TIME or -1h",
                options.where);
        return CLI_USAGE;
    }
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    rc = tusk_seek(cli->t, options.topic, options.cursor, position, &place);
    return rc == TUSK_OK ? print_place(cli, &place)
                         : cli_fail(cli, rc, "seek in %s", options.topic);
}

/* ---- Lists ---- */

struct cursor_lister {
    struct cli *cli;
    struct table table;
    const char *topic;
    int rc;
};

static int list_cursor(void *user, const struct tusk_cursor_info *info)
{
    struct cursor_lister *lister = user;

    table_text(&lister->table, lister->topic);
    table_text(&lister->table, info->name);
    table_number(&lister->table, info->offset);
    table_number(&lister->table, info->durable_offset);
    table_number(&lister->table, info->lag);
    table_number(&lister->table, info->epoch);
    return 0;
}

static int list_cursors_of(void *user, const struct tusk_topic_info *info)
{
    struct cursor_lister *lister = user;

    if (info->cursors == 0) {
        return 0;
    }
    lister->topic = info->name;
    lister->rc = tusk_cursor_list(lister->cli->t, info->name, list_cursor, lister);
    /* A topic may go while the list is made. */
    lister->rc = lister->rc == TUSK_ENOTFOUND ? TUSK_OK : lister->rc;
    return lister->rc != TUSK_OK;
}

int cli_cursors(struct cli *cli, int argc, char **argv)
{
    static const struct column columns[] = {
        {"topic", COLUMN_TEXT},    {"cursor", COLUMN_TEXT},
        {"offset", COLUMN_NUMBER}, {"durable_offset", COLUMN_NUMBER},
        {"lag", COLUMN_NUMBER},    {"epoch", COLUMN_NUMBER}};
    struct cursor_lister lister = {.cli = cli};
    struct cli_words words;
    int ended;
    int rc;

    cli_parse_words(cli, &words, "[TOPIC]", "List the cursors of TOPIC, or of all topics.", 0, 1,
                    argc, argv);
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    table_begin(&lister.table, cli, columns, sizeof columns / sizeof columns[0]);
    if (words.count == 1) {
        lister.topic = words.words[0];
        rc = tusk_cursor_list(cli->t, lister.topic, list_cursor, &lister);
    } else {
        rc = tusk_topic_list(cli->t, list_cursors_of, &lister);
        rc = rc == TUSK_OK ? lister.rc : rc;
    }
    ended = table_end(&lister.table);
    return rc == TUSK_OK ? ended : cli_fail(cli, rc, "list cursors");
}

/* ---- Create and delete ---- */

static int cursor_create(struct cli *cli, int argc, char **argv)
{
    struct tusk_position position = {.kind = TUSK_FROM_EARLIEST};
    struct tusk_cursor_place place;
    struct cli_words words;
    char room[4][40];
    int rc;

    protect_times(argc, argv, room, 4);
    cli_parse_words(cli, &words, "TOPIC NAME [POSITION]",
                    "Create cursor NAME at POSITION, or at the first entry.", 2, 3, argc, argv);
    if (words.count == 3 && parse_position(words.words[2], &position) != 0) {
        cli_say("'%s' is no position; it is earliest, latest, an offset, @TIME or -1h",
                words.words[2]);
        return CLI_USAGE;
    }
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    rc = tusk_cursor_create(cli->t, words.words[0], words.words[1], position, &place);
    return rc == TUSK_OK
               ? print_place(cli, &place)
               : cli_fail(cli, rc, "create cursor '%s' of %s", words.words[1], words.words[0]);
}

static int cursor_delete(struct cli *cli, int argc, char **argv)
{
    struct cli_words words;
    int rc;

    cli_parse_words(cli, &words, "TOPIC NAME", "Delete cursor NAME.", 2, 2, argc, argv);
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    rc = tusk_cursor_delete(cli->t, words.words[0], words.words[1]);
    return rc == TUSK_OK
               ? CLI_DONE
               : cli_fail(cli, rc, "delete cursor '%s' of %s", words.words[1], words.words[0]);
}

int cli_cursor(struct cli *cli, int argc, char **argv)
{
    static const struct cli_command commands[] = {
        {"create", cursor_create, "Create a cursor"},
        {"delete", cursor_delete, "Delete a cursor"},
    };

    return cli_dispatch(cli, commands, 2, "tusk cursor", argc, argv);
}
