/* tusk sync, stat, ping. */
#include "client/cli.h"
#include "client/cli_parse.h"
#include "client/cli_table.h"

#include <time.h>
#include <unistd.h>

int cli_sync(struct cli *cli, int argc, char **argv)
{
    struct cli_words words;
    int rc;

    cli_parse_words(cli, &words, "", "Wait until everything appended before is on disk.", 0, 0,
                    argc, argv);
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    rc = tusk_sync(cli->t);
    return rc == TUSK_OK ? CLI_DONE : cli_fail(cli, rc, "sync");
}

/* ---- stat ---- */

struct stat_options {
    struct cli *cli;
    double watch; /* Seconds; 0: once */
};

static const struct argp_option stat_options[] = {
    {"watch", 'w', "SECONDS", 0, "Again and again", 0},
    {0},
};

static error_t stat_option(int key, char *arg, struct argp_state *state)
{
    struct stat_options *options = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = options->cli;
        return 0;
    case 'w':
        if (parse_seconds(arg, &options->watch) != 0 || options->watch < 0.01 ||
            options->watch > 86400) {
            argp_error(state, "watch '%s'; it is a number of seconds", arg);
        }
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "one argument too many: '%s'", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int list_stat(void *user, const char *name, uint64_t value)
{
    table_text(user, name);
    table_number(user, value);
    return 0;
}

static int stat_once(struct cli *cli)
{
    static const struct column columns[] = {{"name", COLUMN_TEXT}, {"value", COLUMN_NUMBER}};
    struct table table;
    int ended;
    int rc;

    table_begin(&table, cli, columns, 2);
    rc = tusk_stats(cli->t, list_stat, &table);
    ended = table_end(&table);
    return rc == TUSK_OK ? ended : cli_fail(cli, rc, "stat");
}

int cli_stat(struct cli *cli, int argc, char **argv)
{
    static const struct argp argp = {.options = stat_options,
                                     .parser = stat_option,
                                     .doc = "Print the daemon's counters.",
                                     .children = cli_children};
    struct stat_options options = {.cli = cli};
    struct timespec pause;
    int rc;

    cli_parse(&argp, argc, argv, &options);
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    if (options.watch == 0) {
        return stat_once(cli);
    }
    cli_catch_interrupt();
    pause.tv_sec = (time_t)options.watch;
    pause.tv_nsec = (long)((options.watch - (double)pause.tv_sec) * 1e9);
    while (!cli_interrupted) {
        if (cli_output_kind(cli) == OUTPUT_TABLE && isatty(STDOUT_FILENO)) {
            (void)fputs("\033[H\033[2J", stdout);
        }
        rc = stat_once(cli);
        if (rc != CLI_DONE) {
            return rc;
        }
        (void)nanosleep(&pause, NULL); /* A signal ends it early */
    }
    return CLI_INTERRUPTED;
}

int cli_ping(struct cli *cli, int argc, char **argv)
{
    static const struct column columns[] = {{"server", COLUMN_TEXT}, {"us", COLUMN_NUMBER}};
    struct tusk_info info = {.size = sizeof info};
    struct timespec begin;
    struct timespec end;
    struct cli_words words;
    struct table table;
    int rc;

    cli_parse_words(cli, &words, "", "Measure a round trip to the daemon, in microseconds.", 0, 0,
                    argc, argv);
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    rc = tusk_ping(cli->t);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    if (rc != TUSK_OK) {
        return cli_fail(cli, rc, "ping");
    }
    if (cli->quiet) {
        return CLI_DONE;
    }
    (void)tusk_info(cli->t, &info);
    table_begin(&table, cli, columns, 2);
    table_text(&table, info.server);
    table_number(&table, (uint64_t)((end.tv_sec - begin.tv_sec) * 1000000 +
                                    (end.tv_nsec - begin.tv_nsec) / 1000));
    return table_end(&table);
}
