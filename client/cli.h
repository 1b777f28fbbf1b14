/* What every command of `tusk` shares: global options, the connection, errors, exit codes.
 *
 *     main --> command(cli, argc, argv) --> cli_parse --> cli_connect --> ... --> exit code
 *
 * Results go to standard output; everything about them to standard error. */
#ifndef CLIENT_CLI_H
#define CLIENT_CLI_H

#include "client/tusk.h"

#include <argp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

enum cli_exit {
    CLI_DONE = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_NOTHING = 3,  /* Nothing to read */
    CLI_NOTFOUND = 4, /* No such namespace, topic or cursor */
    CLI_DENIED = 5,
    CLI_UNREACHABLE = 6,
    CLI_FULL = 7, /* Quota or disk */
    CLI_DAMAGED = 8,
    CLI_REFUSED = 9, /* verify, dump, salvage: in use, of a newer version, or there already */
    CLI_INTERRUPTED = 130,
};

enum cli_output { OUTPUT_AUTO, OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_JSONL, OUTPUT_RAW };

struct shell;

struct cli {
    const char *socket; /* NULL: where daemons are usually */
    const char *space;  /* Namespace */
    enum cli_output output;
    int timeout_ms;
    bool timeout_given;
    bool quiet;
    bool verbose;
    bool no_color;
    bool completing;     /* Nothing is done: say what may be typed next (cli_complete.h) */
    bool scripted;       /* Standard input is not the command's, but the script of a shell */
    struct shell *shell; /* That of `tusk shell` which this is a line of; NULL: it is none */
    struct tusk *t;      /* After cli_connect(); closed by cli_line() */
};

/* Set by SIGINT and SIGTERM after cli_catch_interrupt(). */
extern volatile sig_atomic_t cli_interrupted;
void cli_catch_interrupt(void);

/* The global options, as an argp child of each command's own. */
extern const struct argp cli_argp;
extern const struct argp_child cli_children[];

/* A number of seconds. False: it is none. */
bool cli_timeout_from(const char *text, int *timeout_ms);

/* Parse a command's arguments; usage errors exit with CLI_USAGE. input's first member is a
 * struct cli *, which the global options go to. */
void cli_parse(const struct argp *argp, int argc, char **argv, void *input);
/* A command without options of its own and between min and max words (at most 8). */
struct cli_words {
    struct cli *cli;
    const char *words[10];
    int count;
    int min;
    int max;
};
void cli_parse_words(struct cli *cli, struct cli_words *words, const char *usage, const char *help,
                     int min, int max, int argc, char **argv);

/* What -o means here: table for a terminal, else raw. */
enum cli_output cli_output_kind(const struct cli *cli);

/* TUSK_OK and cli->t, or a code and *failure: nothing is told. */
int cli_try_connect(struct cli *cli, struct tusk_failure *failure);
/* CLI_DONE and cli->t, or the exit code after telling why not. */
int cli_connect(struct cli *cli);
/* Tell that `what` failed with the connection's last error; the exit code of code. */
__attribute__((format(printf, 3, 4))) int cli_fail(const struct cli *cli, int code,
                                                   const char *what, ...);
/* Whether colors may go there: a terminal that is not dumb, and neither --no-color nor NO_COLOR. */
bool cli_colored(FILE *file);
/* Around the head of a table on standard output, which stands out where there are colors. */
void cli_head(bool begin);
/* "tusk: " and a sentence on standard error; what failed, red where there are colors. */
__attribute__((format(printf, 1, 2))) void cli_say(const char *format, ...);
/* The same of what is no failure, unless -q, and never red. */
__attribute__((format(printf, 2, 3))) void cli_note(const struct cli *cli, const char *format, ...);
int cli_exit_code(int code);
/* How far something is, as a bar on standard error. total is not 0; done may be more. */
void cli_bar(uint64_t done, uint64_t total);
/* Flush standard output. CLI_DONE, or CLI_FAILED after telling why. */
int cli_flush_output(void);

/* The commands. */
int cli_append(struct cli *cli, int argc, char **argv);
int cli_read(struct cli *cli, int argc, char **argv);
int cli_checkpoint(struct cli *cli, int argc, char **argv);
int cli_seek(struct cli *cli, int argc, char **argv);
int cli_cursors(struct cli *cli, int argc, char **argv);
int cli_cursor(struct cli *cli, int argc, char **argv);
int cli_topics(struct cli *cli, int argc, char **argv);
int cli_topic(struct cli *cli, int argc, char **argv);
int cli_info(struct cli *cli, int argc, char **argv);
int cli_namespace(struct cli *cli, int argc, char **argv);
int cli_sync(struct cli *cli, int argc, char **argv);
int cli_config(struct cli *cli, int argc, char **argv);
int cli_whoami(struct cli *cli, int argc, char **argv);
int cli_acl(struct cli *cli, int argc, char **argv);
int cli_slowlog(struct cli *cli, int argc, char **argv);
int cli_stat(struct cli *cli, int argc, char **argv);
int cli_top(struct cli *cli, int argc, char **argv);
int cli_metrics(struct cli *cli, int argc, char **argv);
int cli_snapshot(struct cli *cli, int argc, char **argv);
int cli_ping(struct cli *cli, int argc, char **argv);
int cli_explain(struct cli *cli, int argc, char **argv);
int cli_completion(struct cli *cli, int argc, char **argv);
int cli_shell(struct cli *cli, int argc, char **argv);
int cli_check(struct cli *cli, int argc, char **argv);
int cli_bench(struct cli *cli, int argc, char **argv);
/* verify, dump, salvage: this process becomes tusk-store. */
int cli_offline(struct cli *cli, int argc, char **argv);

typedef int (*cli_command_fn)(struct cli *cli, int argc, char **argv);
struct cli_command {
    const char *name;
    cli_command_fn run;
    const char *help;
};

/* Run the command that argv[1] names, with argv[0] "tusk ... NAME". prefix: "tusk topic". */
int cli_dispatch(struct cli *cli, const struct cli_command *commands, size_t count,
                 const char *prefix, int argc, char **argv);
/* Whether a command has a place here: a shell in a shell has none, and says so when tell is set. */
bool cli_has_place(const struct cli *cli, const struct cli_command *command, bool tell);
/* The command that argv[1] names, of all there are (main.c). */
int cli_run(struct cli *cli, int argc, char **argv);
/* A whole command line: global options, and a command. What it printed is flushed, and the
 * connection closed. */
int cli_line(struct cli *cli, int argc, char **argv);
/* What `tusk shell` does itself; to be listed and suggested beside the commands. */
const struct cli_command *cli_shell_words(size_t *count);
/* Name and help of each command that has a place here, a line each. */
void cli_list_commands(const struct cli *cli, const struct cli_command *commands, size_t count);

#endif
