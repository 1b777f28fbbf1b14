#include "tests/unit/client_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the daemon announces is what the program is told. */
static void info_is_what_hello_said(void **state)
{
    struct tusk_info info = {.size = sizeof info};
    static struct peer peer;

    (void)state;
    peer_open(&peer, NULL, NULL);
    assert_int_equal(tusk_info(peer.t, &info), TUSK_OK);
    assert_memory_equal(info.store_id, peer.hello.store_id, sizeof info.store_id);
    assert_int_equal(info.incarnation, 9);
    assert_int_equal(info.fsync_ms, 200);
    assert_int_equal(info.entry_size_max, peer.hello.entry_size_max);
    assert_string_equal(info.server, "test");
    assert_int_equal(tusk_fd(peer.t), peer.client_fd);
    assert_int_equal(tusk_events(peer.t), POLLIN);
    peer_close(&peer);
}

/* A program compiled against an older header has a smaller struct, which is not overrun. */
static void a_smaller_struct_is_not_overrun(void **state)
{
    struct tusk_info info;
    static struct peer peer;

    (void)state;
    memset(&info, 0x5a, sizeof info);
    info.size = offsetof(struct tusk_info, incarnation);
    peer_open(&peer, NULL, NULL);
    assert_int_equal(tusk_info(peer.t, &info), TUSK_OK);
    assert_memory_equal(info.store_id, peer.hello.store_id, sizeof info.store_id);
    assert_true(info.incarnation == 0x5a5a5a5a5a5a5a5aull);
    assert_int_equal(info.server[0], 0x5a);
    peer_close(&peer);
}

/* Without a daemon the program learns the path and the reason. */
static void nobody_listening_is_unreachable_and_says_where(void **state)
{
    const struct tusk_options options = {.size = sizeof options, .path = "/nonexistent/tuskd.sock"};
    struct tusk_failure failure;
    struct tusk *t = (struct tusk *)&failure;

    (void)state;
    assert_int_equal(tusk_connect(&options, &t, &failure), TUSK_EUNREACHABLE);
    assert_null(t);
    assert_int_equal(failure.code, TUSK_EUNREACHABLE);
    assert_non_null(strstr(failure.text, "/nonexistent/tuskd.sock"));
    assert_non_null(strstr(failure.text, "No such file"));
}

/* Names and paths that cannot be are refused before anything is sent. */
static void impossible_options_are_invalid(void **state)
{
    char text[400];
    struct tusk_options options = {.size = sizeof options, .path = text};
    struct tusk *t;
    int fds[2];

    (void)state;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_int_equal(tusk_connect(&options, &t, NULL), TUSK_EINVALID);
    options.path = "";
    assert_int_equal(tusk_connect(&options, &t, NULL), TUSK_EINVALID);
    options.size = 0;
    assert_int_equal(tusk_connect(&options, &t, NULL), TUSK_EINVALID);
    options.size = sizeof options;
    assert_int_equal(tusk_connect_fd(-1, &options, &t, NULL), TUSK_EINVALID);

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    options.space = text;
    assert_int_equal(tusk_connect_fd(fds[0], &options, &t, NULL), TUSK_EINVALID);
    options.space = "\xff\xfe";
    assert_int_equal(tusk_connect_fd(fds[0], &options, &t, NULL), TUSK_EINVALID);
    /* The caller's still: closing it works. */
    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(close(fds[1]), 0);
}

/* A refused HELLO gives the daemon's own sentence and code. */
static void a_refused_hello_has_the_daemons_sentence(void **state)
{
    const struct tusk_options options = {.size = sizeof options, .timeout_ms = 2000};
    const struct frame hello = {.type = MESSAGE_HELLO, .id = 0};
    struct tusk_failure failure;
    static struct peer peer;
    struct tusk *t;
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    peer.fd = fds[1];
    /* The answer waits in the socket before the question is asked: its id is the first. */
    peer_answer_error(&peer, &hello, TUSK_ENOTFOUND, 0, 0, "no namespace \"eu\"");
    assert_int_equal(tusk_connect_fd(fds[0], &options, &t, &failure), TUSK_ENOTFOUND);
    assert_string_equal(failure.text, "no namespace \"eu\"");
    (void)close(fds[0]);
    (void)close(fds[1]);
}

/* Limits that make no sense would later be believed in arithmetic and allocation. */
static void impossible_limits_are_refused(void **state)
{
    const struct frame hello = {.type = MESSAGE_HELLO, .id = 0};
    struct message_hello_reply reply;
    static struct peer peer;
    uint8_t body[512];
    struct tusk *t;
    int fds[2];
    int which;

    (void)state;
    for (which = 0; which < 5; which++) {
        reply = peer_hello();
        reply.version = which == 0 ? 2 : reply.version;
        reply.frame_size_max = which == 1 ? 100 : which == 2 ? UINT32_MAX : reply.frame_size_max;
        reply.in_flight_max = which == 3 ? 0 : reply.in_flight_max;
        reply.in_flight_bytes_max = which == 4 ? 0 : reply.in_flight_bytes_max;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        peer.fd = fds[1];
        peer_answer(&peer, &hello, 0, body, message_hello_reply_encode(body, &reply));
        assert_int_equal(tusk_connect_fd(fds[0], NULL, &t, NULL), TUSK_EPROTOCOL);
        (void)close(fds[0]);
        (void)close(fds[1]);
    }
}

/* A daemon that hangs up, or says nothing, ends the connect. */
static void a_silent_daemon_ends_in_time(void **state)
{
    const struct tusk_options options = {.size = sizeof options, .timeout_ms = 20};
    struct tusk_failure failure;
    struct tusk *t;
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(tusk_connect_fd(fds[0], &options, &t, &failure), TUSK_ETIMEOUT);
    assert_int_equal(close(fds[1]), 0);
    assert_int_equal(tusk_connect_fd(fds[0], &options, &t, &failure), TUSK_EUNREACHABLE);
    assert_int_equal(close(fds[0]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(info_is_what_hello_said),
        cmocka_unit_test(a_smaller_struct_is_not_overrun),
        cmocka_unit_test(nobody_listening_is_unreachable_and_says_where),
        cmocka_unit_test(impossible_options_are_invalid),
        cmocka_unit_test(a_refused_hello_has_the_daemons_sentence),
        cmocka_unit_test(impossible_limits_are_refused),
        cmocka_unit_test(a_silent_daemon_ends_in_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
