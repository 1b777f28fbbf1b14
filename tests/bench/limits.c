/* What this machine can do at all, without a log: the bounds the figures are held against.
 *
 *   limits DIRECTORY SECONDS
 *   limits touch MIB          no probe: use so much memory once and give it back
 *
 * A guest that gives free memory back to its host pays many microseconds for each page it uses
 * again, page cache included; touching it just before is how a run does not measure that.
 *
 * Prints one line of JSON. Each probe runs for about SECONDS.
 *   pingpong_us    64 B there and back over a Unix socket, p50: bounds one append in flight
 *   clients_per_s  the same on sixteen sockets, between two loops: bounds sixteen clients
 *   relay_us       a message each 100 us, to a relay and on to a reader, p50: bounds end to end
 *   socket_mbps    one way, 256 KiB sends
 *   write64k_mbps, write1m_mbps  pwrite into a fallocated file
 *   synced_mbps    1 MiB writes with a fdatasync every 16 MiB
 *   commit_us      pwrite of 256 B into written space, and fdatasync, p50
 *   scan_mbps      reading a mapped, cached file */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/load.h"

#define MESSAGE_SIZE 64u
#define CLIENTS 16u
#define RELAY_GAP_NS 100000u
#define SEND_SIZE (256u << 10)
#define FILE_SIZE (256u << 20)
#define SYNC_EVERY (16u << 20)
#define WARM_UP 200u

static double seconds;
static char *memory; /* 1 MiB, touched */

static uint64_t deadline_ns(void)
{
    return load_now_ns() + (uint64_t)(seconds * 1e9);
}

static void check(bool ok, const char *what)
{
    if (!ok) {
        load_fail("%s: %s", what, strerror(errno));
    }
}

static void put(int fd, const void *bytes, size_t size)
{
    check(send(fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size, "send");
}

/* Receive a whole message; false at the end of the stream. */
static bool get(int fd, void *bytes, size_t size)
{
    ssize_t n = recv(fd, bytes, size, MSG_WAITALL);

    check(n >= 0, "recv");
    return n == (ssize_t)size;
}

static void pair(int fds[2])
{
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "socketpair");
}

static pid_t spawn(void)
{
    pid_t pid = fork();

    check(pid >= 0, "fork");
    return pid;
}

static _Noreturn void echo(int fd)
{
    char message[MESSAGE_SIZE];

    while (get(fd, message, sizeof message)) {
        put(fd, message, sizeof message);
    }
    _exit(0);
}

static double pingpong_us(void)
{
    static struct times latency;
    char message[MESSAGE_SIZE] = {0};
    uint64_t end_ns = deadline_ns();
    uint64_t begin_ns;
    uint32_t i = 0;
    int fds[2];

    pair(fds);
    if (spawn() == 0) {
        (void)close(fds[0]);
        echo(fds[1]);
    }
    (void)close(fds[1]);
    /* On a busy machine the time may be over before the first that counts. */
    while ((begin_ns = load_now_ns()) < end_ns || latency.count == 0) {
        put(fds[0], message, sizeof message);
        check(get(fds[0], message, sizeof message), "echo");
        if (i++ >= WARM_UP) {
            times_add(&latency, load_now_ns() - begin_ns);
        }
    }
    (void)close(fds[0]);
    (void)wait(NULL);
    return times_us(&latency, 0.5);
}

/* ---- sixteen clients ---- */

/* An epoll of so many sockets. */
static int watch(const int *sockets)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    uint32_t i;

    check(epoll_fd >= 0, "epoll");
    for (i = 0; i < CLIENTS; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = sockets[i]};

        check(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, sockets[i], &event) == 0, "epoll");
    }
    return epoll_fd;
}

static void close_all(const int *sockets)
{
    uint32_t i;

    for (i = 0; i < CLIENTS; i++) {
        (void)close(sockets[i]);
    }
}

/* Answer until the clients have gone, which they do together. */
static _Noreturn void echo_many(const int *sockets)
{
    struct epoll_event events[CLIENTS];
    char message[MESSAGE_SIZE];
    int epoll_fd = watch(sockets);

    for (;;) {
        int count = epoll_wait(epoll_fd, events, CLIENTS, -1);
        int i;

        for (i = 0; i < count; i++) {
            if (!get(events[i].data.fd, message, sizeof message)) {
                _exit(0);
            }
            put(events[i].data.fd, message, sizeof message);
        }
    }
}

static double clients_per_s(void)
{
    struct epoll_event events[CLIENTS];
    char message[MESSAGE_SIZE] = {0};
    int fds[CLIENTS][2];
    int ours[CLIENTS];
    int theirs[CLIENTS];
    uint64_t rounds = 0;
    uint32_t live = CLIENTS;
    uint64_t begin_ns;
    uint64_t end_ns;
    int epoll_fd;
    int i;

    for (i = 0; i < (int)CLIENTS; i++) {
        pair(fds[i]);
        ours[i] = fds[i][0];
        theirs[i] = fds[i][1];
    }
    if (spawn() == 0) {
        close_all(ours);
        echo_many(theirs);
    }
    close_all(theirs);
    epoll_fd = watch(ours);
    begin_ns = load_now_ns();
    end_ns = deadline_ns();
    for (i = 0; i < (int)CLIENTS; i++) {
        put(ours[i], message, sizeof message);
    }
    while (live > 0) {
        int count = epoll_wait(epoll_fd, events, CLIENTS, -1);
        bool over = load_now_ns() >= end_ns;

        for (i = 0; i < count; i++) {
            check(get(events[i].data.fd, message, sizeof message), "echo");
            rounds++;
            if (over) {
                live--;
            } else {
                put(events[i].data.fd, message, sizeof message);
            }
        }
    }
    end_ns = load_now_ns();
    (void)close(epoll_fd);
    close_all(ours);
    (void)wait(NULL);
    return (double)rounds * 1e9 / (double)(end_ns - begin_ns);
}

/* ---- end to end ---- */

static _Noreturn void relay_send(int fd)
{
    uint64_t begin_ns = load_now_ns();
    uint64_t end_ns = begin_ns + (uint64_t)(seconds * 1e9);
    char message[MESSAGE_SIZE] = {0};
    uint64_t now_ns;
    uint64_t i;

    for (i = 1; (now_ns = load_now_ns()) < end_ns || i == 1; i++) {
        load_sleep_until(begin_ns + i * RELAY_GAP_NS);
        now_ns = load_now_ns();
        memcpy(message, &now_ns, sizeof now_ns);
        put(fd, message, sizeof message);
    }
    _exit(0);
}

static _Noreturn void relay_pass(int from, int to)
{
    char message[MESSAGE_SIZE];

    while (get(from, message, sizeof message)) {
        put(to, message, sizeof message);
    }
    _exit(0);
}

static double relay_us(void)
{
    static struct times latency;
    char message[MESSAGE_SIZE];
    uint64_t sent_ns;
    int first[2];
    int second[2];

    pair(first);
    pair(second);
    if (spawn() == 0) {
        (void)close(first[1]);
        relay_send(first[0]);
    }
    (void)close(first[0]);
    if (spawn() == 0) {
        (void)close(second[1]);
        relay_pass(first[1], second[0]);
    }
    (void)close(first[1]);
    (void)close(second[0]);
    while (get(second[1], message, sizeof message)) {
        memcpy(&sent_ns, message, sizeof sent_ns);
        times_add(&latency, load_now_ns() - sent_ns);
    }
    (void)close(second[1]);
    (void)wait(NULL);
    (void)wait(NULL);
    return times_us(&latency, 0.5);
}

/* ---- bandwidths ---- */

static double socket_mbps(void)
{
    uint64_t begin_ns;
    uint64_t total = 0;
    ssize_t n;
    int fds[2];

    pair(fds);
    if (spawn() == 0) {
        uint64_t end_ns = deadline_ns();

        (void)close(fds[0]);
        while (load_now_ns() < end_ns) {
            put(fds[1], memory, SEND_SIZE);
        }
        _exit(0);
    }
    (void)close(fds[1]);
    begin_ns = load_now_ns();
    while ((n = recv(fds[0], memory, SEND_SIZE, 0)) > 0) {
        total += (uint64_t)n;
    }
    check(n == 0, "recv");
    (void)close(fds[0]);
    (void)wait(NULL);
    return (double)total * 1e3 / (double)(load_now_ns() - begin_ns);
}

/* A fallocated file, already without a name. */
static int file_new(const char *directory)
{
    char path[4096];
    int fd;

    (void)snprintf(path, sizeof path, "%s/limits.XXXXXX", directory);
    fd = mkstemp(path);
    check(fd >= 0, path);
    check(unlink(path) == 0, path);
    check(posix_fallocate(fd, 0, FILE_SIZE) == 0, "fallocate");
    return fd;
}

/* Write to the end of the file once, syncing every so many bytes (0: never). */
static double write_mbps(const char *directory, size_t size, uint32_t sync_every)
{
    int fd = file_new(directory);
    uint64_t begin_ns = load_now_ns();
    uint64_t at;
    double result;

    for (at = 0; at < FILE_SIZE; at += size) {
        check(pwrite(fd, memory, size, (off_t)at) == (ssize_t)size, "pwrite");
        if (sync_every != 0 && (at + size) % sync_every == 0) {
            check(fdatasync(fd) == 0, "fdatasync");
        }
    }
    result = (double)FILE_SIZE * 1e3 / (double)(load_now_ns() - begin_ns);
    (void)close(fd);
    return result;
}

static double commit_us(const char *directory)
{
    static struct times latency;
    int fd = file_new(directory);
    uint64_t end_ns;
    uint64_t begin_ns;
    off_t at = 0;

    for (at = 0; at < (8 << 20); at += 1 << 20) {
        check(pwrite(fd, memory, 1 << 20, at) == 1 << 20, "pwrite");
    }
    check(fdatasync(fd) == 0, "fdatasync");
    end_ns = deadline_ns();
    for (at = 0; (begin_ns = load_now_ns()) < end_ns || latency.count == 0;
         at = (at + 256) % (8 << 20)) {
        check(pwrite(fd, memory, 256, at) == 256, "pwrite");
        check(fdatasync(fd) == 0, "fdatasync");
        times_add(&latency, load_now_ns() - begin_ns);
    }
    (void)close(fd);
    return times_us(&latency, 0.5);
}

static double scan_mbps(const char *directory)
{
    int fd = file_new(directory);
    volatile uint64_t sink;
    uint64_t sum = 0;
    uint64_t total = 0;
    uint64_t begin_ns;
    uint64_t end_ns;
    uint64_t *map;
    size_t i;

    for (i = 0; i < FILE_SIZE; i += 1 << 20) {
        check(pwrite(fd, memory, 1 << 20, (off_t)i) == 1 << 20, "pwrite");
    }
    begin_ns = load_now_ns();
    end_ns = deadline_ns();
    do {
        map = mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
        check(map != MAP_FAILED, "mmap");
        for (i = 0; i < FILE_SIZE / sizeof *map; i++) {
            sum += map[i];
        }
        (void)munmap(map, FILE_SIZE);
        total += FILE_SIZE;
    } while (load_now_ns() < end_ns);
    sink = sum;
    (void)sink;
    (void)close(fd);
    return (double)total * 1e3 / (double)(load_now_ns() - begin_ns);
}

static int touch(const char *mib)
{
    size_t size = (size_t)strtoull(mib, NULL, 10) << 20;
    char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t i;

    check(bytes != MAP_FAILED, "mmap");
    for (i = 0; i < size; i += 4096) {
        bytes[i] = 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "touch") == 0) {
        return touch(argv[2]);
    }
    if (argc != 3 || (seconds = strtod(argv[2], NULL)) <= 0) {
        (void)fprintf(stderr, "usage: limits DIRECTORY SECONDS, or limits touch MIB\n");
        return 64;
    }
    memory = malloc(1 << 20);
    check(memory != NULL, "malloc");
    memset(memory, 'x', 1 << 20);
    (void)write_mbps(argv[1], 1 << 20, 0); /* Page cache that was touched before */
    (void)printf("{\"pingpong_us\": %.2f", pingpong_us());
    (void)fflush(stdout);
    (void)printf(", \"clients_per_s\": %.0f", clients_per_s());
    (void)fflush(stdout);
    (void)printf(", \"relay_us\": %.2f", relay_us());
    (void)fflush(stdout);
    (void)printf(", \"socket_mbps\": %.0f", socket_mbps());
    (void)printf(", \"write64k_mbps\": %.0f", write_mbps(argv[1], 64 << 10, 0));
    (void)printf(", \"write1m_mbps\": %.0f", write_mbps(argv[1], 1 << 20, 0));
    (void)printf(", \"synced_mbps\": %.0f", write_mbps(argv[1], 1 << 20, SYNC_EVERY));
    (void)printf(", \"commit_us\": %.2f", commit_us(argv[1]));
    (void)printf(", \"scan_mbps\": %.0f}\n", scan_mbps(argv[1]));
    return 0;
}
