/* A real tuskd for a test, in a directory of its own.
 *
 *     daemon_init ---> { daemon_start ---> daemon_stop or daemon_kill }* ---> daemon_deinit
 *
 * The binary is the one that was built with the test, or the one $TUSKD names. Every wait has a
 * bound; what does not happen within it fails the test, and the daemon's log is printed. The daemon
 * dies with the test. */
#ifndef TESTS_SUPPORT_DAEMON_H
#define TESTS_SUPPORT_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define DAEMON_PATH_SIZE 256u
#define DAEMON_ARGUMENTS_MAX 48u
#define DAEMON_LINE_SIZE 4096u
#define DAEMON_WAIT_MS                                                                             \
    60000 /* Bound of every wait: generous, because sanitizers and CI are slow                     \
           */

struct daemon {
    char dir[DAEMON_PATH_SIZE];      /* Temporary, removed at the end */
    char data_dir[DAEMON_PATH_SIZE]; /* <dir>/data unless the test says otherwise */
    char socket[DAEMON_PATH_SIZE];   /* <dir>/s */
    char log[DAEMON_PATH_SIZE];      /* Standard error of all runs, one behind the other */
    char ready[DAEMON_LINE_SIZE];    /* The line that said so */
    pid_t pid;                       /* 0: not running */
    int output;                      /* Reads the daemon's standard output */
    unsigned descriptors;            /* RLIMIT_NOFILE of the next start; 0: as it is */
    const char *const
        *environment; /* Added to the next start, "NAME=value", NULL-terminated; or NULL */
    bool deny_uring;  /* As a sandbox would: io_uring_setup(2) fails with EPERM */
    uid_t run_as;     /* Of the next start, by root; 0: who the test is */
    int pass_fd;      /* Passed as systemd would; -1: none */
    int pass_fd_2;    /* Passed behind it; -1: none */
};

/* Make the directory. */
void daemon_init(struct daemon *daemon);
/* Kill the daemon if it runs, and remove the directory. */
void daemon_deinit(struct daemon *daemon);
/* Start with more arguments, NULL-terminated, and wait until it is ready. */
void daemon_start(struct daemon *daemon, ...) __attribute__((sentinel));
/* The same from an array; NULL: none. */
void daemon_start_with(struct daemon *daemon, const char *const *arguments);
/* Start without waiting. */
void daemon_spawn(struct daemon *daemon, const char *const *arguments);
/* Wait until it says that it is ready. False: it exited instead; daemon_wait() says how. */
bool daemon_await_ready(struct daemon *daemon);
/* Start something that should not come up; returns its exit status. */
int daemon_fails(struct daemon *daemon, ...) __attribute__((sentinel));
/* Wait for its end. Its exit status, or minus the signal that ended it. */
int daemon_wait(struct daemon *daemon);
/* SIGTERM, and expect exit status 0. */
void daemon_stop(struct daemon *daemon);
/* SIGKILL. */
void daemon_kill(struct daemon *daemon);
/* How many lines of the log contain text. */
unsigned daemon_count_logged(const struct daemon *daemon, const char *text);
/* Whether a line of the log contains text. */
bool daemon_logged(const struct daemon *daemon, const char *text);
/* Memory it has in use, in bytes, and processor time it has used, in milliseconds. */
uint64_t daemon_resident_bytes(const struct daemon *daemon);
uint64_t daemon_cpu_ms(const struct daemon *daemon);

/* A clock for bounds. */
uint64_t daemon_now_ms(void);

#endif
