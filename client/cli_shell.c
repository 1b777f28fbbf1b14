/* tusk shell: lines that are what would stand behind `tusk`, from a person or from a script.
 *
 *     read a line --> words --> one of the shell's own, done here
 *                           '-> any other: a child does what `tusk` would do (shell_run.h)
 *
 * There is no second table of commands: the child goes through the one in main.c. What the shell
 * keeps from line to line is the global options, the namespace, and how the last line ended. */
#include "client/cli.h"
#include "client/cli_split.h"
#include "client/shell_edit.h"
#include "client/shell_history.h"
#include "client/shell_run.h"
#include "client/shell_words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_SIZE 300u /* Of the prompt, without what follows the namespace */

struct shell {
    struct cli *cli;
    bool keep_going;
    bool interactive;
    bool over;       /* quit, or told to end */
    bool terminated; /* Told to end, by SIGTERM */
    char *space;     /* Owned; what `use` took */
    char *typed;     /* Owned; the last line that was kept */
    int status;      /* Of a script: its first failure; else the last line's */
    uint64_t line;   /* Of a script, from 1 */
};

/* ---- The shell's own words ---- */

static int run_child(struct shell *shell, shell_work_fn work, int argc, char **argv)
{
    const struct shell_run run = {.cli = shell->cli,
                                  .work = work,
                                  .argc = argc,
                                  .argv = argv,
                                  .no_input = !shell->interactive,
                                  .output_fd = -1};
    const int rc = shell_run(&run, &shell->terminated);

    shell->over = shell->over || shell->terminated;
    return shell->terminated ? CLI_INTERRUPTED : rc;
}

static int connect_only(struct cli *cli, int argc, char **argv)
{
    int rc;

    (void)argc;
    (void)argv;
    rc = cli_connect(cli);
    (void)tusk_close(cli->t);
    return rc;
}

static int shell_use(struct cli *cli, int argc, char **argv)
{
    struct shell *shell = cli->shell;
    const char *before = cli->space;
    char *space;
    int rc;

    if (argc != 2) {
        cli_say("use takes one namespace; 'ns ls' lists them");
        return CLI_USAGE;
    }
    space = strdup(argv[1]);
    if (space == NULL) {
        cli_say("out of memory");
        return CLI_FAILED;
    }
    cli->space = space;
    rc = run_child(shell, connect_only, 0, NULL);
    if (rc != CLI_DONE) {
        cli->space = before;
        free(space);
        return rc;
    }
    free(shell->space);
    shell->space = space;
    return CLI_DONE;
}

static int shell_quit(struct cli *cli, int argc, char **argv)
{
    if (argc > 1) {
        cli_say("%s takes nothing behind it", argv[0]);
        return CLI_USAGE;
    }
    cli->shell->over = true;
    return CLI_DONE;
}

static int shell_help(struct cli *cli, int argc, char **argv);

static const struct cli_command own_words[] = {
    {"use", shell_use, "NAMESPACE: take it for the lines that follow, if there is such a one"},
    {"help", shell_help, "[COMMAND]: what there is, or what a command does"},
    {"quit", shell_quit, "End the shell, as Ctrl-D does"},
    {"exit", shell_quit, "The same"},
};

const struct cli_command *cli_shell_words(size_t *count)
{
    *count = sizeof own_words / sizeof own_words[0];
    return own_words;
}

static const struct cli_command *find_own(const char *word)
{
    size_t i;

    for (i = 0; i < sizeof own_words / sizeof own_words[0]; i++) {
        if (strcmp(word, own_words[i].name) == 0) {
            return &own_words[i];
        }
    }
    return NULL;
}

/* Of a command: what its --help says. */
static int shell_help(struct cli *cli, int argc, char **argv)
{
    static char program[] = "tusk";
    static char option[] = "--help";
    const struct cli_command *own = argc > 1 ? find_own(argv[1]) : NULL;
    char **words;
    int rc;

    if (own != NULL) {
        (void)printf("%s %s\n", own->name, own->help);
        return CLI_DONE;
    }
    words = calloc((size_t)argc + 2, sizeof *words);
    if (words == NULL) {
        cli_say("out of memory");
        return CLI_FAILED;
    }
    memcpy(words, argv, (size_t)argc * sizeof *words);
    words[0] = program;
    words[argc] = option;
    rc = run_child(cli->shell, cli_line, argc + 1, words);
    free(words);
    return rc;
}

/* ---- A line ---- */

/* The words of a line, of which there is one at least. */
static int run_words(struct shell *shell, const struct shell_words *words)
{
    static char program[] = "tusk";
    const bool named = strcmp(words->words[0], program) == 0;
    const int count = (int)words->count - (named ? 1 : 0);
    const struct cli_command *own = count > 0 ? find_own(words->words[named ? 1 : 0]) : NULL;
    char **argv = calloc((size_t)count + 2, sizeof *argv);
    int rc;

    if (argv == NULL) {
        cli_say("out of memory");
        return CLI_FAILED;
    }
    argv[0] = program;
    memcpy(argv + 1, words->words + (named ? 1 : 0), (size_t)count * sizeof *argv);
    if (own != NULL) {
        rc = own->run(shell->cli, count, argv + 1);
    } else {
        rc = run_child(shell, cli_line, count + 1, argv);
    }
    free(argv);
    return rc;
}

/* False: there is no word in it, and *rc is untouched. */
static bool run_line(struct shell *shell, const char *line, size_t size, int *rc)
{
    char fault[SHELL_FAULT_SIZE];
    struct shell_words words;
    bool any;

    if (shell_words_split(&words, line, size, fault) != 0) {
        if (shell->interactive) {
            cli_say("%s", fault);
        } else {
            cli_say("line %llu, %s", (unsigned long long)shell->line, fault);
        }
        *rc = CLI_USAGE;
        return true;
    }
    any = words.count > 0;
    if (any) {
        *rc = run_words(shell, &words);
    }
    shell_words_free(&words);
    return any;
}

/* ---- A script ---- */

/* False: the script does not go on. */
static bool run_script_line(struct shell *shell, const char *line, size_t size)
{
    int rc = CLI_DONE;
    const bool carriage_return = size > 0 && line[size - 1] == '\r';

    shell->line++;
    if (!run_line(shell, line, carriage_return ? size - 1 : size, &rc) || rc == CLI_DONE) {
        return !shell->over;
    }
    if (shell->status == CLI_DONE || rc == CLI_INTERRUPTED) {
        shell->status = rc;
    }
    if (rc == CLI_INTERRUPTED) {
        cli_note(shell->cli, "line %llu was interrupted", (unsigned long long)shell->line);
        return false;
    }
    cli_say("line %llu failed with exit status %d%s", (unsigned long long)shell->line, rc,
            shell->keep_going ? "" : "; what follows it is not done (--keep-going)");
    return shell->keep_going && !shell->over;
}

static int run_script(struct shell *shell)
{
    struct split_rule rule;
    struct splitter splitter;
    const uint8_t *line;
    size_t size;
    bool going = true;

    (void)split_rule_parse(&rule, "lines");
    if (!splitter_init(&splitter, &rule, STDIN_FILENO, SHELL_LINE_MAX)) {
        cli_say("out of memory");
        return CLI_FAILED;
    }
    do {
        while (going && splitter_next(&splitter, &line, &size)) {
            going = run_script_line(shell, (const char *)line, size);
        }
    } while (going && splitter_read(&splitter));
    if (going && splitter.error != 0) {
        shell->line++;
        if (splitter.error == EMSGSIZE) {
            cli_say("line %llu has more than %u bytes; append -f takes larger entries from files",
                    (unsigned long long)shell->line, SHELL_LINE_MAX);
        } else {
            cli_say("cannot read line %llu: %s", (unsigned long long)shell->line,
                    strerror(splitter.error));
        }
        shell->status = shell->status == CLI_DONE ? CLI_FAILED : shell->status;
    }
    splitter_deinit(&splitter);
    return shell->status;
}

/* ---- A person ---- */

/* What a script or an environment gave as a name may hold what a terminal acts on. */
static void prompt_name(char name[NAME_SIZE], const struct cli *cli)
{
    char *at;

    (void)snprintf(name, NAME_SIZE, "tusk %s", cli->space != NULL ? cli->space : "default");
    for (at = name; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f) {
            *at = '?';
        }
    }
}

/* What is typed behind a blank is not kept, as shells do it; nor what was typed just before. */
static void keep_line(struct shell *shell, struct shell_edit *edit, struct shell_history *history,
                      const char *line)
{
    if (*line == ' ' || line[strspn(line, " \t")] == '\0' ||
        strlen(line) > SHELL_HISTORY_LINE_MAX ||
        (shell->typed != NULL && strcmp(shell->typed, line) == 0)) {
        return;
    }
    free(shell->typed);
    shell->typed = strdup(line);
    shell_edit_remember(edit, line);
    shell_history_add(history, line);
}

static void run_lines(struct shell *shell, struct shell_edit *edit, struct shell_history *history)
{
    char name[NAME_SIZE];
    char failure[32];
    const char *line;

    while (!shell->over) {
        prompt_name(name, shell->cli);
        (void)snprintf(failure, sizeof failure, " [%d]", shell->status);
        if (shell->status == CLI_DONE) {
            failure[0] = '\0';
        }
        switch (shell_edit_line(edit, name, failure, &line)) {
        case SHELL_EDIT_LINE:
            keep_line(shell, edit, history, line);
            (void)run_line(shell, line, strlen(line), &shell->status);
            break;
        case SHELL_EDIT_DROPPED:
            shell->status = CLI_INTERRUPTED;
            break;
        case SHELL_EDIT_OVER:
        default:
            shell->over = true;
            break;
        }
    }
}

static int run_interactive(struct shell *shell)
{
    struct shell_history history;
    struct shell_edit *edit = shell_edit_open(shell->cli);

    if (edit == NULL) {
        cli_say("out of memory");
        return CLI_FAILED;
    }
    if (!shell->cli->quiet) {
        (void)printf("tusk %s: help lists what there is, quit or Ctrl-D ends.\n", tusk_version());
    }
    shell_history_open(&history, shell->cli, shell_edit_remember, edit);
    /* Whether there is a daemon, and the namespace, is better known before the first line. */
    shell->status = run_child(shell, connect_only, 0, NULL);
    run_lines(shell, edit, &history);
    shell_history_close(&history);
    shell_edit_close(edit);
    return shell->terminated ? CLI_INTERRUPTED : CLI_DONE;
}

/* ---- The command ---- */

static const struct argp_option shell_options[] = {
    {"keep-going", 'k', NULL, 0, "Of a script: go on behind a line that fails", 0},
    {0},
};

static error_t shell_option(int key, char *arg, struct argp_state *state)
{
    struct shell *shell = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = shell->cli;
        return 0;
    case 'k':
        shell->keep_going = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "one argument too many: '%s'; a script is standard input", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cli_shell(struct cli *cli, int argc, char **argv)
{
    static const struct argp argp = {
        .options = shell_options,
        .parser = shell_option,
        .doc = "Take commands line by line, from a terminal or a script on standard input.\v"
               "A line is what stands behind 'tusk' elsewhere, or use NAMESPACE, help [COMMAND], "
               "quit. A script ends at the first line that fails, with its exit status.",
        .children = cli_children};
    struct shell shell = {.cli = cli};
    int rc;

    cli_parse(&argp, argc, argv, &shell);
    shell.interactive = isatty(STDIN_FILENO) != 0;
    cli->shell = &shell;
    cli->scripted = !shell.interactive;
    shell_run_init(shell.interactive);
    rc = shell.interactive ? run_interactive(&shell) : run_script(&shell);
    cli->shell = NULL;
    free(shell.space);
    free(shell.typed);
    return rc;
}
