#include "client/shell_run.h"

#include "client/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define STATUS_OF_SIGNAL 128 /* As shells have it */

/* Where signals find them. */
static volatile sig_atomic_t child_pid;
static volatile sig_atomic_t was_terminated;

/* Signals that the shell takes otherwise than a command does. */
static const int taken[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};
#define TAKEN_COUNT (sizeof taken / sizeof taken[0])

/* As the shell found things, which is how a child gets them. */
static struct sigaction first_actions[TAKEN_COUNT];
static struct termios first_modes;
static bool has_terminal;

/* A shell that is told to end gives the terminal back first. */
static void on_end(int number)
{
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &first_modes);
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

void shell_run_init(bool interactive)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    const struct sigaction end = {.sa_handler = on_end};
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    size_t i;

    has_terminal = interactive && tcgetattr(STDIN_FILENO, &first_modes) == 0;
    for (i = 0; i < TAKEN_COUNT; i++) {
        const bool key = taken[i] == SIGINT || taken[i] == SIGQUIT;

        (void)sigaction(taken[i], NULL, &first_actions[i]);
        if (has_terminal && first_actions[i].sa_handler != SIG_IGN) {
            (void)sigaction(taken[i], key ? &ignore : &end, NULL);
        }
    }
    /* Whoever ignores it would never learn how its children ended. */
    (void)sigaction(SIGCHLD, &usual, NULL);
}

static void on_terminate(int number)
{
    was_terminated = 1;
    if (child_pid > 0) {
        (void)kill((pid_t)child_pid, number);
    }
}

/* ---- The child ---- */

static void redirect(int fd, int to, const char *path, int flags)
{
    const int from = fd >= 0 ? fd : open(path, flags | O_CLOEXEC);

    if (from < 0 || dup2(from, to) < 0) {
        cli_say("cannot redirect: %s", strerror(errno));
        _exit(CLI_FAILED);
    }
}

__attribute__((noreturn)) static void child_main(const struct shell_run *run)
{
    struct cli cli = *run->cli;

    (void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* Nobody would end it, were the shell killed */
    if (run->no_input) {
        redirect(-1, STDIN_FILENO, "/dev/null", O_RDONLY);
    }
    if (run->silent) {
        redirect(-1, STDERR_FILENO, "/dev/null", O_WRONLY);
    }
    if (run->output_fd >= 0) {
        redirect(run->output_fd, STDOUT_FILENO, NULL, 0);
    }
    /* Only who edits lines needs more than bytes. */
    (void)setlocale(LC_CTYPE, "C");
    exit(run->work(&cli, run->argc, run->argv));
}

/* ---- The shell ---- */

/* Signals of before and meanwhile. */
struct watch {
    sigset_t mask;
    struct sigaction interrupt;
    struct sigaction quit;
    struct sigaction terminate;
};

/* Signals are held over the fork: the child is not to miss one before it has given up ignoring
 * them, and SIGTERM is to find it. */
static void watch_begin(struct watch *watch)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    const struct sigaction forward = {.sa_handler = on_terminate};
    sigset_t held;

    (void)sigemptyset(&held);
    (void)sigaddset(&held, SIGINT);
    (void)sigaddset(&held, SIGQUIT);
    (void)sigaddset(&held, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &held, &watch->mask);
    (void)sigaction(SIGINT, &ignore, &watch->interrupt);
    (void)sigaction(SIGQUIT, &ignore, &watch->quit);
    (void)sigaction(SIGTERM, &forward, &watch->terminate);
    was_terminated = 0;
}

static void watch_end_in_child(const struct watch *watch)
{
    size_t i;

    for (i = 0; i < TAKEN_COUNT; i++) {
        (void)sigaction(taken[i], &first_actions[i], NULL);
    }
    (void)sigprocmask(SIG_SETMASK, &watch->mask, NULL);
}

static void watch_end(const struct watch *watch)
{
    (void)sigaction(SIGINT, &watch->interrupt, NULL);
    (void)sigaction(SIGQUIT, &watch->quit, NULL);
    (void)sigaction(SIGTERM, &watch->terminate, NULL);
}

static void tell_signal(int number)
{
    /* It had no time to give the terminal back. */
    if (has_terminal) {
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &first_modes);
    }
    if (number != SIGINT) {
        cli_say("the command was ended by signal %d (%s)", number, strsignal(number));
    }
}

static int wait_for(const struct shell_run *run, pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            cli_say("cannot tell how the command ended: %s", strerror(errno));
            return CLI_FAILED;
        }
    }
    if (WIFEXITED(status)) {
        return WEXITSTATUS(status);
    }
    if (!run->silent) {
        tell_signal(WTERMSIG(status));
    }
    return WTERMSIG(status) == SIGINT ? CLI_INTERRUPTED : STATUS_OF_SIGNAL + WTERMSIG(status);
}

int shell_run(const struct shell_run *run, bool *terminated)
{
    struct watch watch;
    pid_t pid;
    int rc;

    (void)fflush(stdout);
    (void)fflush(stderr);
    watch_begin(&watch);
    pid = fork();
    if (pid == 0) {
        watch_end_in_child(&watch);
        child_main(run);
    }
    child_pid = pid;
    (void)sigprocmask(SIG_SETMASK, &watch.mask, NULL);
    if (pid < 0) {
        cli_say("cannot start a process: %s", strerror(errno));
        rc = CLI_FAILED;
    } else {
        rc = wait_for(run, pid);
    }
    child_pid = 0;
    watch_end(&watch);
    *terminated = was_terminated != 0;
    return rc;
}
