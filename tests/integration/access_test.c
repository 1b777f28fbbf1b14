/* Who may talk to the daemon, and what it does with what comes beside the bytes: descriptors and
 * credentials. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/integration/fixture.h"

#define PASSED_MAX 16u

/* Send bytes with descriptors beside them. */
static void send_with(struct wire *wire, const void *bytes, size_t size, const int *fds,
                      unsigned count)
{
    union {
        char bytes[CMSG_SPACE(PASSED_MAX * sizeof(int))];
        struct cmsghdr align;
    } control = {.bytes = {0}};
    char copy[256];
    struct iovec part = {.iov_base = copy, .iov_len = size};
    struct msghdr out = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes};
    struct cmsghdr *head;

    assert_true(count <= PASSED_MAX && size <= sizeof copy);
    memcpy(copy, bytes, size);
    out.msg_controllen = CMSG_SPACE(count * sizeof(int));
    head = CMSG_FIRSTHDR(&out);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(head), fds, count * sizeof(int));
    assert_int_equal(sendmsg(wire->fd, &out, MSG_NOSIGNAL), (ssize_t)size);
}

/* Descriptors that come with the bytes are nobody's: the daemon holds none of them open, however
 * many come, whether with a whole request, with half of one, or with one that ends the
 * connection. */
static void passed_descriptors_are_closed(void **state)
{
    const struct message ping = {.type = MESSAGE_PING};
    struct daemon *daemon = *state;
    struct wire_reply reply;
    struct wire wire;
    uint8_t *bytes;
    size_t size;
    unsigned round;

    for (round = 0; round < 30; round++) {
        int ends[PASSED_MAX];
        struct pollfd heard;
        int fds[2];
        unsigned i;

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        for (i = 0; i < PASSED_MAX; i++) {
            ends[i] = fds[1];
        }
        wire_open(&wire, daemon->socket, "default");
        bytes = wire_encode(&ping, 11, &size);
        if (round % 3 == 1) { /* In two halves */
            send_with(&wire, bytes, 5, ends, PASSED_MAX);
            send_with(&wire, bytes + 5, size - 5, ends, PASSED_MAX);
        } else {
            bytes[7] = round % 3 == 2 ? 0xff : bytes[7]; /* Of no type, or with a status */
            send_with(&wire, bytes, size, ends, PASSED_MAX);
        }
        free(bytes);
        assert_true(wire_receive(&wire, &reply)); /* So it was read, and the rest with it */
        assert_int_equal(reply.id, 11);
        assert_int_equal(close(fds[1]), 0);
        /* Nobody has the other end any more. */
        heard = (struct pollfd){.fd = fds[0], .events = POLLIN};
        assert_int_equal(poll(&heard, 1, WIRE_WAIT_MS), 1);
        assert_true((heard.revents & POLLHUP) != 0);
        assert_int_equal(close(fds[0]), 0);
        wire_close(&wire);
    }
}

/* Whoever a client says it is, the kernel's word at connect() counts: credentials sent beside the
 * bytes neither help somebody else nor hurt the right one. */
static void sent_credentials_change_nothing(void **state)
{
    const struct message ping = {.type = MESSAGE_PING};
    struct ucred claim = {.pid = getpid(), .uid = geteuid(), .gid = getegid()};
    struct daemon *daemon = *state;
    union {
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } control = {.bytes = {0}};
    struct wire_reply reply;
    struct cmsghdr *head;
    struct wire wire;
    struct iovec part;
    struct msghdr out;
    size_t size;

    claim.uid = geteuid() == 0 ? 65534 : claim.uid; /* Root may claim to be anybody */
    wire_open(&wire, daemon->socket, "default");
    part.iov_base = wire_encode(&ping, 12, &size);
    part.iov_len = size;
    out = (struct msghdr){.msg_iov = &part,
                          .msg_iovlen = 1,
                          .msg_control = control.bytes,
                          .msg_controllen = sizeof control.bytes};
    head = CMSG_FIRSTHDR(&out);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_CREDENTIALS;
    head->cmsg_len = CMSG_LEN(sizeof claim);
    memcpy(CMSG_DATA(head), &claim, sizeof claim);
    assert_int_equal(sendmsg(wire.fd, &out, MSG_NOSIGNAL), (ssize_t)size);
    assert_true(wire_receive(&wire, &reply));
    assert_int_equal(reply.status, 0);
    assert_int_equal(wire_append_one(&wire, "t", "x"), 0);
    free(part.iov_base);
    wire_close(&wire);
}

/* ---- sockets without a file ---- */

static int connect_abstract(const struct sockaddr_un *address, socklen_t size)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)address, size), 0);
    return fd;
}

/* HELLO and its answer's status. */
static int greet(int fd)
{
    const struct message hello = {
        .type = MESSAGE_HELLO,
        .u.hello = {.version_min = 1,
                    .version_max = 1,
                    .space = wire_name(""),
                    .client = wire_name("abstract")},
    };
    struct wire wire = {.fd = fd, .next_id = 1};
    struct wire_reply reply;
    int status;

    assert_true(wire_send(&wire, &hello) != 0);
    assert_true(wire_receive(&wire, &reply));
    status = reply.status;
    wire_close(&wire);
    return status;
}

/* An abstract socket, which systemd may pass, has no file and no rights that would keep anybody
 * away: who is let in is decided by who connects. */
static void abstract_socket_lets_in_who_may(void **state)
{
    struct daemon *daemon = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int length =
        snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "tusk-test-%s", daemon->dir);
    const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 16), 0);
    if (TUSK_TEST_SYSTEMD == 0) {
        print_message("SKIP: built without libsystemd\n");
        skip();
    }
    daemon->pass_fd = fd;
    daemon_start_with(daemon, fixture_small);
    assert_int_equal(greet(connect_abstract(&address, size)), 0);
    if (geteuid() == 0) {
        assert_int_equal(seteuid(65534), 0);
        fd = connect_abstract(&address, size);
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(greet(fd), TUSK_EDENIED);
    }
    assert_int_equal(close(daemon->pass_fd), 0);
}

/* "@name" is the name of a file like any other: the daemon never makes a socket that no rights
 * guard. */
static void no_option_makes_an_abstract_socket(void **state)
{
    struct daemon *daemon = *state;
    char path[DAEMON_PATH_SIZE];
    struct stat made;
    int size;

    size = snprintf(path, sizeof path, "%s/@name", daemon->dir);
    assert_true(size > 0 && size < (int)sizeof path);
    memcpy(daemon->socket, path, sizeof path);
    daemon_start_with(daemon, fixture_small);
    assert_int_equal(stat(path, &made), 0);
    assert_true(S_ISSOCK(made.st_mode));
    assert_int_equal(made.st_mode & 07777, 0600);
}

/* Somebody else can neither use the socket nor even connect to it, whatever the mask of the
 * daemon's parent. */
static void socket_is_closed_to_others_whatever_the_mask(void **state)
{
    static const mode_t masks[] = {0, 022, 0177};
    struct daemon *daemon = *state;
    size_t i;

    for (i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        const mode_t before = umask(masks[i]);
        struct stat made;
        struct wire wire;
        int fd;

        daemon_spawn(daemon, fixture_small);
        (void)umask(before);
        assert_true(daemon_await_ready(daemon));
        assert_int_equal(stat(daemon->socket, &made), 0);
        assert_int_equal(made.st_mode & 077, 0);
        wire_open(&wire, daemon->socket, "default");
        wire_close(&wire);
        if (geteuid() == 0) {
            assert_int_equal(chmod(daemon->dir, 0711), 0);
            memcpy(address.sun_path, daemon->socket, strlen(daemon->socket) + 1);
            assert_int_equal(seteuid(65534), 0);
            fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
            assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), -1);
            assert_int_equal(errno, EACCES);
            (void)close(fd);
            assert_int_equal(seteuid(0), 0);
        }
        daemon_stop(daemon);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_RUNNING_TEST(passed_descriptors_are_closed),
        FIXTURE_RUNNING_TEST(sent_credentials_change_nothing),
        FIXTURE_TEST(abstract_socket_lets_in_who_may),
        FIXTURE_TEST(no_option_makes_an_abstract_socket),
        FIXTURE_TEST(socket_is_closed_to_others_whatever_the_mask),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
