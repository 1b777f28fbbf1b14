/* tusk stat: the daemon's counters, once, or again and again with what changed a second.
 *
 * At a terminal a look replaces the one before; elsewhere looks follow each other, and each line
 * has its time. */
#include "client/cli.h"
#include "client/cli_parse.h"
#include "client/cli_table.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define STATS_MAX 256u
#define WATCH_DEFAULT_S 1.0
#define TERMINAL_BUFFER 65536u /* A look in one write, which does not flicker */

struct stat_options {
    struct cli *cli;
    bool watching;
    double seconds; /* 0: not said */
};

static const struct argp_option stat_options[] = {
    {"watch", 'w', "SECONDS", OPTION_ARG_OPTIONAL,
     "Again and again, every SECONDS (1), with the change a second", 0},
    {0},
};

static void stat_seconds(struct stat_options *options, const char *text,
                         const struct argp_state *state)
{
    if (parse_seconds(text, &options->seconds) != 0 || options->seconds < 0.01 ||
        options->seconds > 86400) {
        argp_error(state, "watch '%s'; it is a number of seconds from 0.01 to 86400", text);
    }
}

static error_t stat_option(int key, char *arg, struct argp_state *state)
{
    struct stat_options *options = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = options->cli;
        return 0;
    case 'w':
        options->watching = true;
        if (arg != NULL) {
            stat_seconds(options, arg, state);
        }
        return 0;
    case ARGP_KEY_ARG:
        /* An argument that may be missing is taken with '=' only; people write a space. */
        if (!options->watching || options->seconds > 0) {
            argp_error(state, "one argument too many: '%s'", arg);
        }
        stat_seconds(options, arg, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- Once ---- */

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

/* ---- Again and again ---- */

struct stat_row {
    char name[64];
    uint64_t value;
    uint64_t before; /* At the last look */
    bool compared;   /* There was one */
};

struct watch {
    struct cli *cli;
    struct stat_row rows[STATS_MAX];
    unsigned count;
    struct timespec looked;
    double elapsed; /* Seconds between the last two looks */
};

/* The daemon lists them in one order; one that is new comes behind the others. */
static int take_stat(void *user, const char *name, uint64_t value)
{
    struct watch *watch = user;
    struct stat_row *row;
    unsigned i;

    for (i = 0; i < watch->count && strcmp(watch->rows[i].name, name) != 0; i++) {
    }
    if (i == STATS_MAX) {
        return 0;
    }
    row = &watch->rows[i];
    if (i == watch->count) {
        (void)snprintf(row->name, sizeof row->name, "%s", name);
        watch->count++;
    } else {
        row->compared = true;
    }
    row->before = row->value;
    row->value = value;
    return 0;
}

/* Rows that a terminal has room for, below the head and above the cursor. */
static unsigned terminal_rows(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row < 4) {
        return STATS_MAX;
    }
    return size.ws_row - 3u;
}

static void print_rate(struct table *table, const struct watch *watch, const struct stat_row *row)
{
    const bool json = table->output == OUTPUT_JSON || table->output == OUTPUT_JSONL;

    if (row->compared && watch->elapsed > 0) {
        table_decimal(table, ((double)row->value - (double)row->before) / watch->elapsed);
    } else {
        table_text(table, json ? "null" : "-"); /* There was no look before */
    }
}

static int watch_print(const struct watch *watch, bool redraw)
{
    static const struct column columns[] = {{"time", COLUMN_TEXT},
                                            {"name", COLUMN_TEXT},
                                            {"value", COLUMN_NUMBER},
                                            {"per_second", COLUMN_NUMBER}};
    const unsigned room = redraw ? terminal_rows() : STATS_MAX;
    const unsigned shown = watch->count < room ? watch->count : room;
    struct timespec now;
    struct table table;
    char text[40];
    unsigned i;
    int rc;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    format_time(text, sizeof text, (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
    if (redraw) {
        (void)fputs("\033[H\033[2J", stdout);
    }
    /* Where looks replace each other, the time stands once, below. */
    table_begin(&table, watch->cli, redraw ? columns + 1 : columns, redraw ? 3 : 4);
    for (i = 0; i < shown; i++) {
        if (!redraw) {
            table_text(&table, text);
        }
        table_text(&table, watch->rows[i].name);
        table_number(&table, watch->rows[i].value);
        print_rate(&table, watch, &watch->rows[i]);
    }
    rc = table_end(&table);
    if (redraw && shown < watch->count) {
        (void)printf("%s, and %u more than fit\n", text, watch->count - shown);
    } else if (redraw) {
        (void)printf("%s\n", text);
    }
    return rc == CLI_DONE ? cli_flush_output() : rc;
}

static int watch_look(struct watch *watch)
{
    const struct timespec before = watch->looked;
    const int rc = tusk_stats(watch->cli->t, take_stat, watch);

    (void)clock_gettime(CLOCK_MONOTONIC, &watch->looked);
    watch->elapsed = (double)(watch->looked.tv_sec - before.tv_sec) +
                     (double)(watch->looked.tv_nsec - before.tv_nsec) / 1e9;
    return rc;
}

static int stat_watch(struct cli *cli, double seconds)
{
    static char buffer[TERMINAL_BUFFER];
    static struct watch watch;
    const bool redraw = cli_output_kind(cli) == OUTPUT_TABLE && isatty(STDOUT_FILENO);
    struct timespec pause = {.tv_sec = (time_t)seconds};
    int rc;

    pause.tv_nsec = (long)((seconds - (double)pause.tv_sec) * 1e9);
    watch.cli = cli;
    (void)setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    cli_catch_interrupt();
    while (!cli_interrupted) {
        rc = watch_look(&watch);
        if (rc != TUSK_OK) {
            return cli_interrupted ? CLI_INTERRUPTED : cli_fail(cli, rc, "stat");
        }
        rc = watch_print(&watch, redraw);
        if (rc != CLI_DONE) {
            return rc;
        }
        (void)nanosleep(&pause, NULL); /* A signal ends it early */
    }
    return CLI_INTERRUPTED;
}

int cli_stat(struct cli *cli, int argc, char **argv)
{
    static const struct argp argp = {.options = stat_options,
                                     .parser = stat_option,
                                     .doc = "Print the daemon's counters.",
                                     .children = cli_children};
    struct stat_options options = {.cli = cli};
    int rc;

    cli_parse(&argp, argc, argv, &options);
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    if (!options.watching) {
        return stat_once(cli);
    }
    return stat_watch(cli, options.seconds > 0 ? options.seconds : WATCH_DEFAULT_S);
}
