/* What sending from the page cache and mapped reads rest on, asked of this kernel and the file
 * system of $TMPDIR (or /tmp), one sentence each. What does not hold here is printed with what was
 * seen, and the exit code is 77. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash/report.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define PAGE 4096u
#define FILE_SIZE (16u * PAGE)
#define WAIT_MS 60000

static char dir[256];
static char seen[256]; /* What was seen instead */

#define SEEN(...) ((void)snprintf(seen, sizeof seen, __VA_ARGS__), false)

/* ---- files ---- */

/* A file full of one letter, on the device; closed by the caller. */
static int make_file(char letter)
{
    static char bytes[FILE_SIZE];
    char path[300];
    int fd;

    (void)snprintf(path, sizeof path, "%s/file", dir);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    report_need(fd >= 0, "make a file");
    memset(bytes, letter, sizeof bytes);
    report_need(pwrite(fd, bytes, sizeof bytes, 0) == FILE_SIZE && fsync(fd) == 0, "write a file");
    return fd;
}

static int open_again(int flags)
{
    char path[300];

    (void)snprintf(path, sizeof path, "%s/file", dir);
    return open(path, flags | O_CLOEXEC);
}

static void overwrite(int fd, char letter, size_t size)
{
    static char bytes[FILE_SIZE];

    memset(bytes, letter, size);
    report_need(pwrite(fd, bytes, size, 0) == (ssize_t)size, "overwrite a file");
}

static bool all_are(const char *bytes, size_t size, char letter)
{
    size_t i = 0;

    while (i < size && bytes[i] == letter) {
        i++;
    }
    return i == size;
}

/* ---- sendfile ---- */

/* Put a file of 'a' into a socket by sendfile, change the file, and take what arrives. */
static void send_and_change(bool punch, char arrived[2 * PAGE])
{
    const int fd = make_file('a');
    off_t at = 0;
    size_t have = 0;
    int fds[2];

    report_need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "make sockets");
    report_need(sendfile(fds[0], fd, &at, 2 * PAGE) == 2 * PAGE, "send a file");
    if (punch) {
        report_need(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, FILE_SIZE) == 0,
                    "punch a file");
    }
    overwrite(fd, 'b', 2 * PAGE);
    while (have < 2 * PAGE) {
        const ssize_t n = recv(fds[1], arrived + have, 2 * PAGE - have, MSG_DONTWAIT);

        report_need(n > 0, "receive what was sent");
        have += (size_t)n;
    }
    (void)close(fds[0]);
    (void)close(fds[1]);
    (void)close(fd);
}

static bool sent_pages_change(void)
{
    char arrived[2 * PAGE];

    send_and_change(false, arrived);
    return all_are(arrived, sizeof arrived, 'b') ||
           SEEN("'%c' arrives where 'a' was overwritten by 'b'", arrived[0]);
}

static bool punched_pages_stay(void)
{
    char arrived[2 * PAGE];

    send_and_change(true, arrived);
    return all_are(arrived, sizeof arrived, 'a') ||
           SEEN("'%c' arrives where 'a' was punched away and 'b' written", arrived[0]);
}

/* ---- files read in other ways ---- */

static bool direct_reads_see_the_cache(void)
{
    const int fd = make_file('a');
    const int direct = open_again(O_RDONLY | O_DIRECT);
    char *bytes = aligned_alloc(PAGE, 2 * PAGE);
    ssize_t got = -1;
    bool good;

    report_need(bytes != NULL, "have memory");
    overwrite(fd, 'b', 2 * PAGE);
    if (direct >= 0 && bytes != NULL) {
        got = pread(direct, bytes, 2 * PAGE, 0);
        (void)close(direct);
    }
    good = got < 0 ? SEEN("this file system has no O_DIRECT")
                   : got == 2 * PAGE && (all_are(bytes, 2 * PAGE, 'b') ||
                                         SEEN("'%c' is read where 'b' was written", bytes[0]));
    free(bytes);
    (void)close(fd);
    return good;
}

static bool populating_fails_behind_the_end(void)
{
    const int fd = make_file('a');
    char *map = mmap(NULL, 2 * FILE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
    bool good;

    report_need(map != MAP_FAILED, "map a file");
    if (madvise(map, FILE_SIZE, MADV_POPULATE_READ) != 0) {
        good = SEEN("good pages: %s", strerror(errno));
    } else if (madvise(map, FILE_SIZE + PAGE, MADV_POPULATE_READ) == 0) {
        good = SEEN("success behind the end of the file");
    } else {
        good = errno == EFAULT || SEEN("behind the end of the file: %s", strerror(errno));
    }
    (void)munmap(map, 2 * FILE_SIZE);
    (void)close(fd);
    return good;
}

static bool maps_see_what_a_file_grows_to(void)
{
    const int fd = make_file('a');
    const int reader = open_again(O_RDONLY);
    char *map = mmap(NULL, 2 * FILE_SIZE, PROT_READ, MAP_SHARED, reader, 0);
    bool good;

    report_need(map != MAP_FAILED && close(reader) == 0, "map a file");
    report_need(pwrite(fd, "b", 1, FILE_SIZE) == 1, "let a file grow");
    good = map[0] == 'a' && map[FILE_SIZE] == 'b';
    overwrite(fd, 'c', PAGE);
    good = good && all_are(map, PAGE, 'c');
    (void)munmap(map, 2 * FILE_SIZE);
    (void)close(fd);
    return good || SEEN("something else than was written");
}

static bool maps_outlive_the_name(void)
{
    const int fd = make_file('a');
    char *map = mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
    char path[300];
    bool good;

    report_need(map != MAP_FAILED && close(fd) == 0, "map a file");
    (void)snprintf(path, sizeof path, "%s/file", dir);
    report_need(unlink(path) == 0, "remove a file");
    good = all_are(map, FILE_SIZE, 'a');
    (void)munmap(map, FILE_SIZE);
    return good || SEEN("something else than was written");
}

static bool a_reading_descriptor_maps_no_writes(void)
{
    const int fd = make_file('a');
    const int reader = open_again(O_RDONLY);
    void *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0);
    const bool refused = map == MAP_FAILED && errno == EACCES;
    const bool unwritten = pwrite(reader, "b", 1, 0) < 0 && errno == EBADF;

    if (map != MAP_FAILED) {
        (void)munmap(map, PAGE);
    }
    (void)close(reader);
    (void)close(fd);
    return (refused && unwritten) || SEEN("it can be written through");
}

/* ---- processes ---- */

static bool readable(int fd, int wait_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};

    return poll(&wait, 1, wait_ms) == 1 && (wait.revents & POLLIN) != 0;
}

/* A child that waits to be killed. */
static pid_t make_child(void)
{
    const pid_t pid = fork();

    report_need(pid >= 0, "fork");
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            (void)pause();
        }
    }
    return pid;
}

static bool pidfds_tell_the_end(void)
{
    const pid_t pid = make_child();
    const int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    bool before;
    bool after;

    if (fd < 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return SEEN("pidfd_open: %s", strerror(errno));
    }
    before = readable(fd, 0);
    (void)kill(pid, SIGKILL);
    after = readable(fd, WAIT_MS); /* Nobody has waited for it yet */
    (void)waitpid(pid, NULL, 0);
    after = after && readable(fd, 0);
    (void)close(fd);
    return (!before && after) || SEEN("readable before: %d, after: %d", before, after);
}

/* The process that a pidfd names; -1: none. */
static long pid_of(int fd)
{
    char path[64];
    char line[256];
    long pid = -1;
    FILE *info;

    (void)snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    info = fopen(path, "re");
    report_need(info != NULL, "read about a descriptor");
    while (fgets(line, sizeof line, info) != NULL) {
        if (strncmp(line, "Pid:", 4) == 0) {
            pid = strtol(line + 4, NULL, 10);
        }
    }
    (void)fclose(info);
    return pid;
}

static pid_t make_connecting_child(const struct sockaddr_un *address)
{
    const pid_t pid = fork();
    int fd;

    report_need(pid >= 0, "fork");
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof *address) != 0) {
            _exit(1);
        }
        for (;;) {
            (void)pause();
        }
    }
    return pid;
}

static bool the_peer_is_who_connected(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct ucred peer = {.pid = 0};
    socklen_t size = sizeof peer;
    long by_socket = -1;
    long by_number;
    int watch = -1;
    pid_t child;
    int fd;

    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.90s/s", dir);
    report_need(bind(listener, (const struct sockaddr *)&address, sizeof address) == 0 &&
                    listen(listener, 1) == 0,
                "listen");
    child = make_connecting_child(&address);
    report_need(readable(listener, WAIT_MS), "be connected to");
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    report_need(fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0,
                "know who connected");
    size = sizeof watch;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &watch, &size) == 0) {
        by_socket = pid_of(watch);
        (void)close(watch);
    } else {
        (void)printf("(no SO_PEERPIDFD here: %s)\n", strerror(errno));
        by_socket = child;
    }
    watch = (int)syscall(SYS_pidfd_open, peer.pid, 0);
    by_number = watch >= 0 ? pid_of(watch) : -1;
    (void)close(watch);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    (void)close(fd);
    (void)close(listener);
    (void)unlink(address.sun_path);
    return (peer.pid == child && by_socket == child && by_number == child) ||
           SEEN("%ld connected; SO_PEERCRED %ld, SO_PEERPIDFD %ld, pidfd_open %ld", (long)child,
                (long)peer.pid, by_socket, by_number);
}

/* ---- descriptors through sockets ---- */

static void send_bytes(int socket_fd, const char *text, int fd)
{
    struct iovec bytes = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {.bytes = {0}};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};

    if (fd >= 0) {
        struct cmsghdr *header;

        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    report_need(sendmsg(socket_fd, &message, 0) == (ssize_t)bytes.iov_len, "send");
}

/* Receive at most `size` bytes: they must be these, with so many descriptors, to be closed when
 * they are executed over. */
static bool arrives(int socket_fd, size_t size, const char *text, unsigned descriptors)
{
    char got[16] = {0};
    struct iovec bytes = {.iov_base = got, .iov_len = size};
    union {
        char bytes[CMSG_SPACE(4 * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    const ssize_t n = recvmsg(socket_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    unsigned count = 0;
    bool closes = true;

    if (header != NULL) {
        for (; CMSG_LEN((count + 1) * sizeof(int)) <= header->cmsg_len; count++) {
            int fd;

            memcpy(&fd, CMSG_DATA(header) + count * sizeof(int), sizeof fd);
            closes = closes && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
            (void)close(fd);
        }
    }
    return (n == (ssize_t)strlen(text) && memcmp(got, text, strlen(text)) == 0 &&
            count == descriptors && closes) ||
           SEEN("\"%.*s\" with %u descriptors instead of \"%s\" with %u", n > 0 ? (int)n : 0, got,
                count, text, descriptors);
}

static bool descriptors_come_with_their_byte(void)
{
    const int file = make_file('a');
    int fds[2];
    bool good;

    report_need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "make sockets");
    send_bytes(fds[0], "ab", -1);
    send_bytes(fds[0], "cd", file);
    send_bytes(fds[0], "ef", file);
    send_bytes(fds[0], "gh", -1);
    good = arrives(fds[1], 2, "ab", 0) && arrives(fds[1], 1, "c", 1) &&
           arrives(fds[1], 1, "d", 0) && arrives(fds[1], 16, "ef", 1) &&
           arrives(fds[1], 16, "gh", 0);
    if (good) {
        send_bytes(fds[0], "cd", file);
        send_bytes(fds[0], "ef", file);
        good = arrives(fds[1], 16, "cd", 1) && arrives(fds[1], 16, "ef", 1);
    }
    (void)close(fds[0]);
    (void)close(fds[1]);
    (void)close(file);
    return good;
}

static const struct fact {
    const char *sentence;
    bool (*holds)(void);
} facts[] = {
    {"what sendfile put into a Unix socket changes when the file is overwritten before it is "
     "received",
     sent_pages_change},
    {"it does not when the range was punched away first and then written anew", punched_pages_stay},
    {"a direct read sees what was written through the page cache", direct_reads_see_the_cache},
    {"MADV_POPULATE_READ succeeds on good pages, and says EFAULT behind the end of the file",
     populating_fails_behind_the_end},
    {"a map made larger than the file shows what the file grows to, and what is overwritten",
     maps_see_what_a_file_grows_to},
    {"a map stays when the file's name is gone", maps_outlive_the_name},
    {"through a descriptor opened for reading nothing can be written, also by a map",
     a_reading_descriptor_maps_no_writes},
    {"a pidfd becomes readable when the process is gone, and not before", pidfds_tell_the_end},
    {"SO_PEERCRED, SO_PEERPIDFD and pidfd_open name the process that connected",
     the_peer_is_who_connected},
    {"a descriptor arrives with the first byte it was sent with, and one receive takes those of "
     "one "
     "send only",
     descriptors_come_with_their_byte},
};

int main(void)
{
    unsigned held = 0;
    size_t i;

    report_make_dir(dir, sizeof dir);
    for (i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        const bool holds = facts[i].holds();

        (void)printf("%s: %s%s%s\n", holds ? "holds" : "DOES NOT HOLD", facts[i].sentence,
                     holds ? "" : "; seen: ", holds ? "" : seen);
        held += holds;
    }
    report_remove(dir);
    (void)printf("%u of %zu facts hold\n", held, i);
    return held == i ? 0 : REPORT_SKIPPED;
}
