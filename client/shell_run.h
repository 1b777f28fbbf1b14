/* What a line of `tusk shell` asks for, done in a process of its own.
 *
 *     shell_run --> fork --> the work, as a `tusk` that has just begun --> exit
 *         '--- wait for it <------------------------------------------------'
 *
 * Why not in the shell itself: commands end by exit() where arguments are wrong or --help is asked
 * for, catch signals in ways that hold once, keep what they connected to, become another program
 * (verify, dump, salvage), or might crash. A child may do all of that, and the next one begins
 * clean. It costs a fork, less than the connection that each command makes anyway.
 *
 * The child stays in the shell's process group, so that Ctrl-C and Ctrl-Z reach whatever runs, the
 * children of `bench` too, with no word to the terminal. Meanwhile the shell ignores what Ctrl-C
 * and Ctrl-\ send, as system(3) does. */
#ifndef CLIENT_SHELL_RUN_H
#define CLIENT_SHELL_RUN_H

#include <stdbool.h>

struct cli;

/* What is done in the child; returns its exit status, or exits. cli is the child's own copy. */
typedef int (*shell_work_fn)(struct cli *cli, int argc, char **argv);

struct shell_run {
    const struct cli *cli; /* Copied for the child */
    shell_work_fn work;
    int argc;
    char **argv;
    bool no_input; /* Its standard input is empty, because the shell's is the script */
    bool silent;   /* Nothing is said on standard error */
    int output_fd; /* What it prints goes there; -1: to standard output */
};

/* Before anything is run. With a person in front of it, the shell itself does not end by Ctrl-C. */
void shell_run_init(bool interactive);

/* The exit status; 128 and its number when a signal ended it, and that is said, unless it was
 * Ctrl-C. *terminated: the shell was told to end (SIGTERM), which the child was told, too. */
int shell_run(const struct shell_run *run, bool *terminated);

#endif
