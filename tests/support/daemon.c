#include "tests/support/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PASSED_FD 3 /* Where systemd puts the first socket */
#define HIGH_FD 64  /* Out of the way of those */

extern char **environ;

/* ---- failing ---- */

static void print_log(const struct daemon *daemon)
{
    char line[DAEMON_LINE_SIZE];
    FILE *log = fopen(daemon->log, "r");

    if (log == NULL) {
        return;
    }
    (void)fprintf(stderr, "---- log of the daemon\n");
    while (fgets(line, sizeof line, log) != NULL) {
        (void)fputs(line, stderr);
    }
    (void)fprintf(stderr, "----\n");
    (void)fclose(log);
}

static _Noreturn void give_up(const struct daemon *daemon, const char *what)
{
    (void)fprintf(stderr, "daemon: %s (%s)\n", what, strerror(errno));
    print_log(daemon);
    abort();
}

static void need(const struct daemon *daemon, bool good, const char *what)
{
    if (!good) {
        give_up(daemon, what);
    }
}

uint64_t daemon_now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- the directory ---- */

static void put_path(const struct daemon *daemon, char *out, const char *dir, const char *name)
{
    const int size = snprintf(out, DAEMON_PATH_SIZE, "%s/%s", dir, name);

    need(daemon, size > 0 && size < (int)DAEMON_PATH_SIZE, "a path is too long");
}

void daemon_init(struct daemon *daemon)
{
    const char *base = getenv("TMPDIR");

    *daemon = (struct daemon){.output = -1, .pass_fd = -1, .pass_fd_2 = -1};
    put_path(daemon, daemon->dir, base != NULL ? base : "/tmp", "tusk.XXXXXX");
    need(daemon, mkdtemp(daemon->dir) != NULL, "make a temporary directory");
    put_path(daemon, daemon->data_dir, daemon->dir, "data");
    put_path(daemon, daemon->socket, daemon->dir, "s");
    put_path(daemon, daemon->log, daemon->dir, "log");
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

void daemon_deinit(struct daemon *daemon)
{
    if (daemon->pid > 0) {
        daemon_kill(daemon);
    }
    if (nftw(daemon->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0) {
        (void)fprintf(stderr, "cannot remove %s\n", daemon->dir);
    }
}

/* ---- starting ---- */

static void add_environment(const struct daemon *daemon)
{
    const char *const *at = daemon->environment;
    char pid[32];

    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("JOURNAL_STREAM");
    for (; at != NULL && *at != NULL; at++) {
        (void)putenv((char *)(uintptr_t)*at); /* Not changed by anyone */
    }
    if (daemon->pass_fd >= 0) {
        (void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
        (void)setenv("LISTEN_PID", pid, 1);
        (void)setenv("LISTEN_FDS", daemon->pass_fd_2 >= 0 ? "2" : "1", 1);
    }
}

/* Put the sockets where systemd would, in the child. Returns the descriptor behind them. */
static unsigned pass_sockets(const struct daemon *daemon)
{
    const int first = fcntl(daemon->pass_fd, F_DUPFD, HIGH_FD);
    const int second = fcntl(daemon->pass_fd_2, F_DUPFD, HIGH_FD);
    unsigned next = PASSED_FD;

    if (daemon->pass_fd >= 0) {
        (void)dup2(first, (int)next++);
    }
    if (daemon->pass_fd_2 >= 0) {
        (void)dup2(second, (int)next++);
    }
    return next;
}

/* What a sandbox does to programs that want a ring. */
static void deny_uring(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        _exit(126);
    }
}

/* The binary, which that user need not be able to reach. */
static void run_as(uid_t uid, char *const *argv)
{
    const int binary = open(argv[0], O_RDONLY | O_CLOEXEC);

    if (binary < 0 || setgroups(0, NULL) != 0 || setresgid(uid, uid, uid) != 0 ||
        setresuid(uid, uid, uid) != 0) {
        _exit(126);
    }
    (void)fexecve(binary, argv, environ);
}

/* In the child: become the daemon. */
static _Noreturn void become(const struct daemon *daemon, int output, char *const *argv)
{
    struct rlimit limit = {daemon->descriptors, daemon->descriptors};
    int log = open(daemon->log, O_WRONLY | O_CREAT | O_APPEND, 0600);

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (log < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0) {
        _exit(126);
    }
    (void)close_range(pass_sockets(daemon), ~0u, 0);
    if (daemon->descriptors > 0) {
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    add_environment(daemon);
    if (daemon->deny_uring) {
        deny_uring();
    }
    if (daemon->run_as != 0) {
        run_as(daemon->run_as, argv);
    }
    (void)execv(argv[0], argv);
    _exit(127);
}

void daemon_spawn(struct daemon *daemon, const char *const *arguments)
{
    const char *binary = getenv("TUSKD");
    const char *argv[DAEMON_ARGUMENTS_MAX] = {binary != NULL ? binary : TUSKD_PATH, "--data-dir",
                                              daemon->data_dir, "--socket", daemon->socket};
    unsigned count = 5;
    int fds[2];

    need(daemon, daemon->pid == 0, "start a daemon that runs");
    for (; arguments != NULL && *arguments != NULL; arguments++) {
        need(daemon, count + 1 < DAEMON_ARGUMENTS_MAX, "pass that many arguments");
        argv[count++] = *arguments;
    }
    argv[count] = NULL;
    need(daemon, pipe2(fds, O_CLOEXEC) == 0, "make a pipe");
    daemon->pid = fork();
    need(daemon, daemon->pid >= 0, "fork");
    if (daemon->pid == 0) {
        become(daemon, fds[1], (char *const *)(uintptr_t)argv);
    }
    (void)close(fds[1]);
    daemon->output = fds[0];
    daemon->ready[0] = '\0';
}

bool daemon_await_ready(struct daemon *daemon)
{
    const uint64_t end = daemon_now_ms() + DAEMON_WAIT_MS;
    size_t used = 0;

    while (used == 0 || daemon->ready[used - 1] != '\n') {
        struct pollfd wait = {.fd = daemon->output, .events = POLLIN};
        ssize_t got;

        need(daemon, daemon_now_ms() < end, "it is not ready in time");
        if (poll(&wait, 1, 1000) <= 0) {
            continue;
        }
        got = read(daemon->output, daemon->ready + used, sizeof daemon->ready - 1 - used);
        if (got <= 0) {
            return false;
        }
        used += (size_t)got;
        daemon->ready[used] = '\0';
    }
    return true;
}

void daemon_start_with(struct daemon *daemon, const char *const *arguments)
{
    daemon_spawn(daemon, arguments);
    need(daemon, daemon_await_ready(daemon), "it exited instead of being ready");
}

static void collect(const char **out, const char *first, va_list args)
{
    unsigned count = 0;

    for (; first != NULL && count < DAEMON_ARGUMENTS_MAX - 1; first = va_arg(args, const char *)) {
        out[count++] = first;
    }
    out[count] = NULL;
}

void daemon_start(struct daemon *daemon, ...)
{
    const char *arguments[DAEMON_ARGUMENTS_MAX];
    va_list args;

    va_start(args, daemon);
    collect(arguments, va_arg(args, const char *), args);
    va_end(args);
    daemon_start_with(daemon, arguments);
}

int daemon_fails(struct daemon *daemon, ...)
{
    const char *arguments[DAEMON_ARGUMENTS_MAX];
    va_list args;

    va_start(args, daemon);
    collect(arguments, va_arg(args, const char *), args);
    va_end(args);
    daemon_spawn(daemon, arguments);
    return daemon_wait(daemon);
}

/* ---- ending ---- */

int daemon_wait(struct daemon *daemon)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    const uint64_t end = daemon_now_ms() + DAEMON_WAIT_MS;
    int status;
    pid_t rc;

    while ((rc = waitpid(daemon->pid, &status, WNOHANG)) == 0) {
        need(daemon, daemon_now_ms() < end, "it does not end in time");
        (void)nanosleep(&pause, NULL);
    }
    need(daemon, rc == daemon->pid, "wait for it");
    daemon->pid = 0;
    (void)close(daemon->output);
    daemon->output = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void daemon_stop(struct daemon *daemon)
{
    int status;

    need(daemon, kill(daemon->pid, SIGTERM) == 0, "signal it");
    status = daemon_wait(daemon);
    if (status != 0) {
        (void)fprintf(stderr, "daemon: status %d instead of 0\n", status);
        print_log(daemon);
        abort();
    }
}

void daemon_kill(struct daemon *daemon)
{
    (void)kill(daemon->pid, SIGKILL);
    (void)daemon_wait(daemon);
}

/* ---- looking at it ---- */

unsigned daemon_count_logged(const struct daemon *daemon, const char *text)
{
    char line[DAEMON_LINE_SIZE];
    FILE *log = fopen(daemon->log, "r");
    unsigned count = 0;

    while (log != NULL && fgets(line, sizeof line, log) != NULL) {
        count += strstr(line, text) != NULL;
    }
    if (log != NULL) {
        (void)fclose(log);
    }
    return count;
}

bool daemon_logged(const struct daemon *daemon, const char *text)
{
    return daemon_count_logged(daemon, text) > 0;
}

static void read_proc(const struct daemon *daemon, const char *name, char *text, size_t size)
{
    char path[64];
    size_t got = 0;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%ld/%s", (long)daemon->pid, name);
    file = fopen(path, "r");
    if (file != NULL) {
        got = fread(text, 1, size - 1, file);
        (void)fclose(file);
    }
    text[got] = '\0';
    need(daemon, got > 0, "look at its /proc");
}

uint64_t daemon_resident_bytes(const struct daemon *daemon)
{
    char text[256];
    unsigned long long total;
    unsigned long long resident;

    read_proc(daemon, "statm", text, sizeof text);
    need(daemon, sscanf(text, "%llu %llu", &total, &resident) == 2, "read statm");
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t daemon_cpu_ms(const struct daemon *daemon)
{
    char text[1024];
    const char *behind_name;
    unsigned long long user;
    unsigned long long system;

    read_proc(daemon, "stat", text, sizeof text);
    behind_name = strrchr(text, ')');
    need(daemon, behind_name != NULL, "read stat");
    need(daemon,
         sscanf(behind_name + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu %llu", &user,
                &system) == 2,
         "read stat");
    return (user + system) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}
