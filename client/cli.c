#include "client/cli.h"

#include "client/cli_complete.h"
#include "client/cli_parse.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BAR_SIZE 24u /* Of cli_bar(), in characters */

volatile sig_atomic_t cli_interrupted;

static void cli_interrupt(int number)
{
    (void)number;
    cli_interrupted = 1;
}

void cli_catch_interrupt(void)
{
    /* A second one ends the program at once: SA_RESETHAND. No SA_RESTART, so that waiting ends. */
    struct sigaction action = {.sa_handler = cli_interrupt, .sa_flags = (int)SA_RESETHAND};

    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

/* ---- Options ---- */

static bool color_off; /* --no-color, for those who know no struct cli */

enum { KEY_TIMEOUT = 0x1000, KEY_NO_COLOR };

static const struct argp_option cli_options[] = {
    {"socket", 's', "PATH", 0, "Socket of the daemon", 90},
    {"namespace", 'n', "NS", 0, "Namespace", 90},
    {"output", 'o', "FORMAT", 0, "table, json, jsonl or raw", 90},
    {"timeout", KEY_TIMEOUT, "SECONDS", 0, "Longest wait for an answer ($TUSK_TIMEOUT, 5)", 90},
    {"quiet", 'q', NULL, 0, "Say nothing but errors", 90},
    {"verbose", 'v', NULL, 0, "Say more", 90},
    {"no-color", KEY_NO_COLOR, NULL, 0, "No colors, at a terminal either", 90},
    {0},
};

static int output_from(const char *text, enum cli_output *output)
{
    static const char *const names[] = {"table", "json", "jsonl", "raw"};
    unsigned i;

    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            *output = (enum cli_output)(OUTPUT_TABLE + i);
            return 0;
        }
    }
    return -1;
}

bool cli_timeout_from(const char *text, int *timeout_ms)
{
    double seconds;

    if (parse_seconds(text, &seconds) != 0 || seconds <= 0 || seconds > 1e6) {
        return false;
    }
    *timeout_ms = (int)(seconds * 1000) > 0 ? (int)(seconds * 1000) : 1;
    return true;
}

static error_t cli_option(int key, char *arg, struct argp_state *state)
{
    struct cli *cli = state->input;

    switch (key) {
    case 's':
        cli->socket = arg;
        return 0;
    case 'n':
        cli->space = arg;
        return 0;
    case 'o':
        if (output_from(arg, &cli->output) != 0) {
            argp_error(state, "output '%s'; it is table, json, jsonl or raw", arg);
        }
        return 0;
    case KEY_TIMEOUT:
        if (!cli_timeout_from(arg, &cli->timeout_ms)) {
            argp_error(state, "timeout '%s'; it is a number of seconds, such as 5 or 0.5", arg);
        }
        cli->timeout_given = true;
        return 0;
    case 'q':
        cli->quiet = true;
        return 0;
    case 'v':
        cli->verbose = true;
        return 0;
    case KEY_NO_COLOR:
        cli->no_color = color_off = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp cli_argp = {.options = cli_options, .parser = cli_option};
const struct argp_child cli_children[] = {{&cli_argp, 0, "Global options:", 90}, {0}};

void cli_parse(const struct argp *argp, int argc, char **argv, void *input)
{
    struct cli *cli = *(struct cli **)input;

    if (cli->completing) {
        cli_complete_arguments(cli, argp, argc, argv);
    }
    argp_err_exit_status = CLI_USAGE;
    if (argp_parse(argp, argc, argv, 0, NULL, input) != 0) {
        exit(CLI_USAGE);
    }
}

static error_t words_option(int key, char *arg, struct argp_state *state)
{
    struct cli_words *words = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = words->cli;
        return 0;
    case ARGP_KEY_ARG:
        if (words->count >= words->max) {
            argp_error(state, "one argument too many: '%s'", arg);
        }
        words->words[words->count++] = arg;
        return 0;
    case ARGP_KEY_END:
        if (words->count < words->min) {
            argp_error(state, "an argument is missing");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void cli_parse_words(struct cli *cli, struct cli_words *words, const char *usage, const char *help,
                     int min, int max, int argc, char **argv)
{
    const struct argp argp = {
        .parser = words_option, .args_doc = usage, .doc = help, .children = cli_children};

    *words = (struct cli_words){.cli = cli, .min = min, .max = max};
    cli_parse(&argp, argc, argv, words);
}

enum cli_output cli_output_kind(const struct cli *cli)
{
    if (cli->output != OUTPUT_AUTO) {
        return cli->output;
    }
    return isatty(STDOUT_FILENO) ? OUTPUT_TABLE : OUTPUT_RAW;
}

/* ---- Colors ---- */

static bool is_set(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && *value != '\0';
}

/* NO_COLOR: https://no-color.org */
bool cli_colored(FILE *file)
{
    const char *term = getenv("TERM");

    return !color_off && !is_set("NO_COLOR") && term != NULL && *term != '\0' &&
           strcmp(term, "dumb") != 0 && isatty(fileno(file));
}

void cli_head(bool begin)
{
    if (cli_colored(stdout)) {
        (void)fputs(begin ? "\033[1m" : "\033[0m", stdout);
    }
}

/* ---- Errors ---- */

__attribute__((format(printf, 2, 0))) static void say(bool error, const char *format, va_list args)
{
    (void)fflush(stdout);
    (void)fputs(error && cli_colored(stderr) ? "\033[1;31mtusk:\033[0m " : "tusk: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
}

void cli_say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(true, format, args);
    va_end(args);
}

void cli_note(const struct cli *cli, const char *format, ...)
{
    va_list args;

    if (!cli->quiet) {
        va_start(args, format);
        say(false, format, args);
        va_end(args);
    }
}

int cli_exit_code(int code)
{
    switch (code) {
    case TUSK_OK:
        return CLI_DONE;
    case TUSK_EINVALID:
    case TUSK_ETOOBIG:
    case TUSK_EEXISTS:
    case TUSK_ESTALE:
        return CLI_FAILED;
    case TUSK_EEND:
        return CLI_NOTHING;
    case TUSK_ENOTFOUND:
        return CLI_NOTFOUND;
    case TUSK_EDENIED:
        return CLI_DENIED;
    case TUSK_EUNREACHABLE:
    case TUSK_ECLOSED:
    case TUSK_ETIMEOUT:
        return CLI_UNREACHABLE;
    case TUSK_ENOSPACE:
    case TUSK_EQUOTA:
        return CLI_FULL;
    case TUSK_ECORRUPT:
        return CLI_DAMAGED;
    default:
        return CLI_FAILED;
    }
}

/* What to do about it, where the daemon's sentence cannot know. */
static const char *cli_hint(int code)
{
    switch (code) {
    case TUSK_EUNREACHABLE:
        return "; is it running? (systemctl status tuskd, or pass --socket)";
    case TUSK_ETIMEOUT:
        return "; raise --timeout, or look at the daemon (tusk stat, its log)";
    case TUSK_EDENIED:
        return "; be root or the daemon's own user (sudo -u tusk tusk ...)";
    case TUSK_EUNKNOWN:
        return "; look before repeating it";
    case TUSK_EIO:
        return "; see the daemon's log";
    default:
        return "";
    }
}

int cli_fail(const struct cli *cli, int code, const char *what, ...)
{
    va_list args;
    char text[600];

    va_start(args, what);
    (void)vsnprintf(text, sizeof text, what, args);
    va_end(args);
    cli_say("%s: %s%s", text, tusk_last_error(cli->t)->text, cli_hint(code));
    return cli_exit_code(code);
}

int cli_flush_output(void)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        cli_say("cannot write to standard output: %s", strerror(errno));
        return CLI_FAILED;
    }
    return CLI_DONE;
}

/* ---- Connection ---- */

int cli_try_connect(struct cli *cli, struct tusk_failure *failure)
{
    const char *const places[] = {TUSK_SOCKET_DEFAULT, "./tusk.sock"};
    struct tusk_options options = {.size = sizeof options,
                                   .space = cli->space,
                                   .client = "tusk",
                                   .timeout_ms = cli->timeout_ms};
    struct tusk_failure second;
    int rc;

    options.path = cli->socket != NULL ? cli->socket : places[0];
    rc = tusk_connect(&options, &cli->t, failure);
    if (rc == TUSK_EUNREACHABLE && cli->socket == NULL) {
        options.path = places[1];
        rc = tusk_connect(&options, &cli->t, &second);
        if (rc == TUSK_EUNREACHABLE) {
            const size_t used = strlen(failure->text);

            (void)snprintf(failure->text + used, sizeof failure->text - used, " (nor at %s)",
                           places[1]);
        } else if (rc != TUSK_OK) {
            *failure = second;
        }
    }
    if (rc == TUSK_OK && cli->verbose) {
        cli_say("connected to %s", options.path);
    }
    return rc;
}

int cli_connect(struct cli *cli)
{
    struct tusk_failure failure;
    const int rc = cli_try_connect(cli, &failure);

    if (rc != TUSK_OK) {
        cli_say("%s%s", failure.text, cli_hint(rc));
    }
    return cli_exit_code(rc);
}

void cli_bar(uint64_t done, uint64_t total)
{
    char bar[BAR_SIZE + 1] = "";
    const uint64_t part = done < total ? done : total;

    memset(bar, ' ', BAR_SIZE);
    memset(bar, '#', (size_t)(part * BAR_SIZE / total));
    (void)fprintf(stderr, "[%s] %3u%%  ", bar, (unsigned)(part * 100 / total));
}

/* ---- Commands ---- */

bool cli_has_place(const struct cli *cli, const struct cli_command *command, bool tell)
{
    if (cli->shell == NULL || (command->run != cli_shell && command->run != cli_completion)) {
        return true;
    }
    if (tell && command->run == cli_shell) {
        cli_say("this is the shell already; 'use' goes to another namespace");
    } else if (tell) {
        cli_say("completion is for bash, zsh and fish; here Tab completes by itself");
    }
    return false;
}

void cli_list_commands(const struct cli *cli, const struct cli_command *commands, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (cli_has_place(cli, &commands[i], false)) {
            (void)printf("  %-12s %s\n", commands[i].name, commands[i].help);
        }
    }
}

static int say_unknown(const struct cli *cli, const struct cli_command *commands, size_t count,
                       const char *prefix, const char *word)
{
    const char *names[64];
    const char *near;
    /* The words of a shell stand beside its commands, not below one of them. */
    const bool beside = cli->shell != NULL && strchr(prefix, ' ') == NULL;
    const char *list = beside ? "" : prefix;
    const char *help = beside ? "help" : " --help";
    size_t own_count;
    const struct cli_command *own = cli_shell_words(&own_count);
    size_t used = 0;
    size_t i;

    for (i = 0; beside && i < own_count; i++) {
        if (strcmp(word, own[i].name) == 0) {
            cli_say("'%s' stands at the beginning of a line, without options", word);
            return CLI_USAGE;
        }
        names[used++] = own[i].name;
    }
    for (i = 0; i < count && used < sizeof names / sizeof names[0]; i++) {
        names[used++] = commands[i].name;
    }
    near = parse_nearest(word, names, used);
    if (near != NULL) {
        cli_say("'%s' is no command; did you mean '%s'? '%s%s' lists them", word, near, list, help);
    } else {
        cli_say("'%s' is no command; '%s%s' lists them", word, list, help);
    }
    return CLI_USAGE;
}

int cli_dispatch(struct cli *cli, const struct cli_command *commands, size_t count,
                 const char *prefix, int argc, char **argv)
{
    char name[64];
    size_t i;

    if (cli->completing) {
        return cli_complete_command(cli, commands, count, prefix, argc, argv);
    }
    for (i = 0; argc > 1 && i < count; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            if (!cli_has_place(cli, &commands[i], true)) {
                return CLI_USAGE;
            }
            (void)snprintf(name, sizeof name, "%s %s", prefix, argv[1]);
            argv[1] = name;
            return commands[i].run(cli, argc - 1, argv + 1);
        }
    }
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        (void)printf("Usage: %s COMMAND ...\n\n", prefix);
        cli_list_commands(cli, commands, count);
        return CLI_DONE;
    }
    if (argc > 1) {
        return say_unknown(cli, commands, count, prefix, argv[1]);
    }
    cli_say("a command is missing; '%s --help' lists them", prefix);
    return CLI_USAGE;
}
