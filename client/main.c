/* tusk: the command line of tuskd. */
#include "client/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct cli_command commands[] = {
    {"append", cli_append, "Append entries: arguments, a file, or standard input"},
    {"read", cli_read, "Read entries, from a position or a cursor"},
    {"checkpoint", cli_checkpoint, "Move a cursor forward"},
    {"seek", cli_seek, "Move a cursor anywhere"},
    {"cursors", cli_cursors, "List cursors"},
    {"cursor", cli_cursor, "Create or delete a cursor"},
    {"topics", cli_topics, "List topics"},
    {"topic", cli_topic, "Create, delete, trim or set up a topic"},
    {"info", cli_info, "What is known of a topic, or of the namespace"},
    {"ns", cli_namespace, "List, create, set up or delete namespaces"},
    {"sync", cli_sync, "Wait until everything appended is on disk"},
    {"config", cli_config, "The daemon's configuration, and what differs in it"},
    {"whoami", cli_whoami, "Who the daemon takes you for, and what you may do"},
    {"acl", cli_acl, "What a user may do, and by which rule"},
    {"slowlog", cli_slowlog, "Requests that took long, and what their time went on"},
    {"stat", cli_stat, "The daemon's counters"},
    {"top", cli_top, "Topics by rate and cursors by lag, on the whole terminal"},
    {"metrics", cli_metrics, "The daemon's metrics, for Prometheus"},
    {"snapshot", cli_snapshot, "Copy the store while the daemon serves it"},
    {"ping", cli_ping, "Measure a round trip to the daemon"},
    {"check", cli_check, "Whether all is well, for Nagios and the like"},
    {"bench", cli_bench, "Measure append, read, latency, or end to end"},
    {"explain", cli_explain, "What an error or exit status means, and what to do"},
    {"shell", cli_shell, "Commands line by line, typed or from a script"},
    {"completion", cli_completion, "What makes bash, zsh or fish complete the words of tusk"},
    {"verify", cli_offline, "Without a daemon: read a whole store and tell what is damaged"},
    {"dump", cli_offline, "Without a daemon: describe a file of a store, byte by byte"},
    {"salvage", cli_offline, "Without a daemon: take what validates into a new store"},
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

#define USAGE "Usage: tusk [OPTION...] COMMAND [ARGUMENT...]"

int cli_run(struct cli *cli, int argc, char **argv)
{
    return cli_dispatch(cli, commands, COMMAND_COUNT, "tusk", argc, argv);
}

static void print_help(const struct cli *cli)
{
    const struct cli_command *own;
    size_t own_count;

    (void)puts(USAGE "\n\nCommands:");
    cli_list_commands(cli, commands, COMMAND_COUNT);
    if (cli->shell != NULL) {
        own = cli_shell_words(&own_count);
        (void)puts("\nOf the shell:");
        cli_list_commands(cli, own, own_count);
    }
    (void)puts("\nGlobal options, before or behind the command:\n"
               "  -s, --socket PATH     socket of the daemon ($TUSK_SOCKET, " TUSK_SOCKET_DEFAULT
               ", ./tusk.sock)\n"
               "  -n, --namespace NS    namespace ($TUSK_NAMESPACE, default)\n"
               "  -o, --output FORMAT   table, json, jsonl or raw\n"
               "      --timeout SECONDS longest wait for an answer ($TUSK_TIMEOUT, 5)\n"
               "  -q, --quiet           say nothing but errors\n"
               "  -v, --verbose         say more\n"
               "      --no-color        no colors, at a terminal either\n"
               "      --version\n"
               "\n'tusk COMMAND --help' says more about a command.");
}

struct top {
    struct cli *cli;
    int command; /* Index in argv; 0: none */
};

enum { KEY_VERSION = 0x2000, KEY_HELP, KEY_USAGE };

static const struct argp_option top_options[] = {
    {"version", KEY_VERSION, NULL, 0, NULL, 0},
    {"help", KEY_HELP, NULL, 0, NULL, 0},
    {"usage", KEY_USAGE, NULL, 0, NULL, 0},
    {0},
};

/* Stops at the first word: what follows is the command's. */
static error_t top_option(int key, char *arg, struct argp_state *state)
{
    struct top *top = state->input;

    (void)arg;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = top->cli;
        return 0;
    case KEY_VERSION:
        (void)printf("tusk %s\n", tusk_version());
        exit(cli_flush_output());
    case KEY_HELP:
        print_help(top->cli);
        exit(cli_flush_output());
    case KEY_USAGE:
        (void)puts(USAGE);
        exit(cli_flush_output());
    case ARGP_KEY_ARG:
        top->command = state->next - 1;
        state->next = state->argc;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const char *environment(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && *value != '\0' ? value : NULL;
}

int cli_line(struct cli *cli, int argc, char **argv)
{
    static const struct argp argp = {
        .options = top_options, .parser = top_option, .children = cli_children};
    struct top top = {.cli = cli};
    int rc;

    argp_err_exit_status = CLI_USAGE;
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER | ARGP_NO_HELP, NULL, &top) != 0) {
        return CLI_USAGE;
    }
    if (top.command == 0) {
        print_help(cli);
        return CLI_USAGE;
    }
    rc = cli_run(cli, argc - top.command + 1, argv + top.command - 1);
    (void)tusk_close(cli->t);
    cli->t = NULL;
    if (rc == CLI_DONE) {
        rc = cli_flush_output();
    }
    return rc;
}

int main(int argc, char **argv)
{
    struct cli cli = {.socket = environment("TUSK_SOCKET"),
                      .space = environment("TUSK_NAMESPACE"),
                      .timeout_ms = 5000};
    const char *timeout = environment("TUSK_TIMEOUT");

    if (timeout != NULL && !cli_timeout_from(timeout, &cli.timeout_ms)) {
        cli_say("TUSK_TIMEOUT is '%s'; it is a number of seconds, such as 5 or 0.5", timeout);
        return CLI_USAGE;
    }
    return cli_line(&cli, argc, argv);
}
