/* tusk slowlog: the requests that took long, and what their time went on. */
#include "client/cli.h"
#include "client/cli_parse.h"
#include "client/cli_table.h"

#include <pwd.h>

#define TIME_TEXT 32u /* Of format_time() */

struct slowlog_options {
    struct cli *cli;
    uint32_t limit; /* 0: all that are kept */
    bool reset;
    struct table table;
    uint64_t newest; /* Number of the first one printed; 0: none was */
};

static void table_user(struct table *table, uint32_t uid)
{
    const struct passwd *user = uid == TUSK_UID_NONE ? NULL : getpwuid(uid);
    char text[16] = "-";

    if (uid != TUSK_UID_NONE) {
        (void)snprintf(text, sizeof text, "%u", uid);
    }
    table_text(table, user != NULL ? user->pw_name : text);
}

static void table_name(struct table *table, const char *name)
{
    table_text(table, name[0] != '\0' ? name : "-");
}

static int show(void *argument, const struct tusk_slow_request *slow)
{
    struct slowlog_options *options = argument;
    struct table *table = &options->table;
    char time[TIME_TEXT];

    if (options->newest == 0) {
        options->newest = slow->number;
    }
    format_time(time, sizeof time, slow->time_us);
    table_text(table, time);
    table_text(table, slow->request);
    table_name(table, slow->space);
    table_name(table, slow->topic);
    table_text(table, slow->code == TUSK_OK ? "OK" : tusk_error_name(slow->code));
    table_number(table, slow->duration_us);
    table_number(table, slow->waited_us);
    table_number(table, slow->queued_us);
    table_number(table, slow->worked_us);
    table_number(table, slow->synced_us);
    table_number(table, slow->entries);
    table_number(table, slow->bytes);
    table_name(table, slow->client);
    table_number(table, slow->pid);
    table_user(table, slow->uid);
    return 0;
}

static const struct argp_option slowlog_options[] = {
    {"limit", 'l', "N", 0, "At most the last N", 0},
    {"reset", 'r', NULL, 0, "Have the daemon forget them then, and all that are older", 0},
    {0},
};

static error_t slowlog_option(int key, char *arg, struct argp_state *state)
{
    struct slowlog_options *options = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = options->cli;
        return 0;
    case 'l':
        if (parse_count(arg, &options->limit) != 0) {
            argp_error(state, "--limit takes a number from 1 on, not '%s'", arg);
        }
        return 0;
    case 'r':
        options->reset = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "one argument too many: '%s'", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cli_slowlog(struct cli *cli, int argc, char **argv)
{
    static const struct column columns[] = {
        {"time", COLUMN_TEXT},        {"request", COLUMN_TEXT},     {"namespace", COLUMN_TEXT},
        {"topic", COLUMN_TEXT},       {"status", COLUMN_TEXT},      {"duration_us", COLUMN_NUMBER},
        {"waited_us", COLUMN_NUMBER}, {"queued_us", COLUMN_NUMBER}, {"worked_us", COLUMN_NUMBER},
        {"synced_us", COLUMN_NUMBER}, {"entries", COLUMN_NUMBER},   {"bytes", COLUMN_NUMBER},
        {"client", COLUMN_TEXT},      {"pid", COLUMN_NUMBER},       {"user", COLUMN_TEXT}};
    static const struct argp argp = {
        .options = slowlog_options,
        .parser = slowlog_option,
        .doc = "Print the requests that took longer than slowlog_threshold, newest first, and what "
               "their time went on, in microseconds.\vIt takes the right admin, and shows the "
               "namespaces on which you have it.",
        .children = cli_children};
    struct slowlog_options options = {.cli = cli};
    int ended;
    int rc;

    cli_parse(&argp, argc, argv, &options);
    rc = cli_connect(cli);
    if (rc != CLI_DONE) {
        return rc;
    }
    table_begin(&options.table, cli, columns, sizeof columns / sizeof columns[0]);
    rc = tusk_slowlog(cli->t, options.limit, show, &options);
    ended = table_end(&options.table);
    if (rc != TUSK_OK) {
        return cli_fail(cli, rc, "ask for slow requests");
    }
    /* Only what has been printed may go: others may have come meanwhile. */
    if (ended == CLI_DONE && options.reset && options.newest != 0) {
        rc = tusk_slowlog_forget(cli->t, options.newest);
        return rc == TUSK_OK ? CLI_DONE : cli_fail(cli, rc, "forget slow requests");
    }
    return ended;
}
