/* Clients that begin and do not go on. */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/integration/fixture.h"

static void expect_cut(struct daemon *daemon, struct wire *wire, const char *reason)
{
    (void)wire_expect_closed(wire);
    assert_true(daemon_logged(daemon, reason));
    wire_close(wire);
}

/* Whoever connects and says nothing, or begins HELLO and stops, is not waited for. */
static void silence_before_hello_is_cut(void **state)
{
    struct daemon *daemon = *state;
    struct wire silent;
    struct wire half;

    daemon_start(daemon, "--set", "hello_timeout=100ms", NULL);
    wire_open(&silent, daemon->socket, NULL);
    wire_open(&half, daemon->socket, NULL);
    (void)wire_send_bytes(&half, "\x30\x00\x00", 3); /* A busy machine may be too late for that */
    expect_cut(daemon, &silent, "hello_timeout");
    expect_cut(daemon, &half, "hello_timeout");
}

/* Half a request is not waited for longer than frame_timeout, neither when the rest stays away nor
 * when it comes a byte at a time: the deadline begins with the first byte and no other byte moves
 * it. */
static void half_a_request_is_cut(void **state)
{
    const struct frame frame = {.size = 1000, .type = MESSAGE_APPEND, .id = 1};
    uint8_t header[FRAME_HEADER_SIZE];
    struct daemon *daemon = *state;
    struct wire silent;
    struct wire slow;
    uint64_t begin;

    daemon_start(daemon, "--set", "frame_timeout=200ms", NULL);
    frame_encode(header, &frame);
    wire_open(&silent, daemon->socket, "default");
    assert_true(wire_send_bytes(&silent, header, 5));
    expect_cut(daemon, &silent, "frame_timeout");
    wire_open(&slow, daemon->socket, "default");
    begin = daemon_now_ms();
    assert_true(wire_send_bytes(&slow, header, sizeof header));
    while (!wire_readable(&slow, 20)) {
        if (!wire_send_bytes(&slow, "x", 1)) {
            break;
        }
        assert_true(daemon_now_ms() - begin < WIRE_WAIT_MS);
    }
    (void)wire_expect_closed(&slow);
    assert_true(daemon_now_ms() - begin >= 199);
    wire_close(&slow);
}

/* Wherever a client stops in a request, before HELLO or behind it, it is cut; where it stops
 * between two it is waited for. */
static void every_beginning_of_a_request_is_cut(void **state)
{
    struct daemon *daemon = *state;
    const char *text = "entry";
    struct message message;
    struct wire wires[128];
    struct wire good;
    uint64_t cut_before;
    uint64_t end;
    uint8_t *batch;
    uint8_t *bytes;
    size_t size;
    size_t i;

    daemon_start(daemon, "--set", "frame_timeout=300ms", NULL);
    message = wire_append_message("t", &text, 1, &batch);
    bytes = wire_encode(&message, 1, &size);
    assert_true(size < 128);
    wire_open(&good, daemon->socket, "default");
    cut_before = wire_stat(&good, "connections_cut");
    for (i = 0; i < size; i++) {
        wire_open(&wires[i], daemon->socket, "default");
        assert_true(wire_send_bytes(&wires[i], bytes, i));
    }
    end = daemon_now_ms() + WIRE_WAIT_MS;
    while (wire_stat(&good, "connections_cut") < cut_before + size - 1) {
        assert_true(daemon_now_ms() < end);
    }
    for (i = 1; i < size; i++) {
        expect_cut(daemon, &wires[i], "frame_timeout");
    }
    assert_int_equal(wire_simple(&wires[0], MESSAGE_PING), 0);
    wire_close(&wires[0]);
    wire_close(&good);
    free(bytes);
    free(batch);
}

/* A thousand clients announce the largest frame there may be, and send one byte of it: what was
 * announced costs nothing, and everybody else is served. */
static void announced_sizes_cost_nothing(void **state)
{
    struct daemon *daemon = *state;
    struct rlimit limit = {1200, 1200};
    uint8_t head[FRAME_HEADER_SIZE + 1] = {0};
    int *fds = calloc(1000, sizeof *fds);
    struct frame frame = {.type = MESSAGE_APPEND, .id = 1};
    struct wire good;
    unsigned i;

    assert_non_null(fds);
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    wire_open(&good, daemon->socket, "default");
    frame.size = good.hello.frame_size_max;
    frame_encode(head, &frame);
    for (i = 0; i < 1000; i++) {
        struct wire wire;

        wire_open(&wire, daemon->socket, "default");
        assert_true(wire_send_bytes(&wire, head, sizeof head));
        fds[i] = dup(wire.fd);
        assert_true(fds[i] >= 0);
        wire_close(&wire);
    }
    for (i = 0; i < 100; i++) {
        assert_int_equal(wire_append_one(&good, "t", "x"), 0);
    }
    assert_int_equal(wire_stat(&good, "connections"), 1001);
    assert_true(wire_stat(&good, "buffer_bytes") < 4u << 20);
    for (i = 0; i < 1000; i++) {
        (void)close(fds[i]);
    }
    free(fds);
    wire_close(&good);
}

/* Three hundred clients with half a request each hold nobody up. */
static void slow_senders_hold_nobody_up(void **state)
{
    struct daemon *daemon = *state;
    struct wire slow[300];
    struct wire good;
    unsigned i;

    wire_open(&good, daemon->socket, "default");
    for (i = 0; i < 300; i++) {
        wire_open(&slow[i], daemon->socket, "default");
        assert_true(wire_send_bytes(&slow[i], "\x00\x10", 2));
    }
    for (i = 0; i < 100; i++) {
        assert_int_equal(wire_append_one(&good, "t", "x"), 0);
    }
    for (i = 0; i < 300; i++) {
        wire_close(&slow[i]);
    }
    wire_close(&good);
}

/* Where the operator wants it, idle connections are closed; one that waits for an entry is not
 * idle. */
static void idle_connections_are_cut_on_request(void **state)
{
    struct daemon *daemon = *state;
    struct message read = wire_read_message("t", 1);
    struct wire_reply reply;
    struct wire waiting;
    struct wire idle;

    daemon_start(daemon, "--set", "idle_timeout=3s", NULL);
    wire_open(&waiting, daemon->socket, "default");
    assert_int_equal(wire_append_one(&waiting, "t", "x"), 0);
    read.u.read.wait_ms =
        7000; /* Longer than idle_timeout, which is long enough for a busy machine */
    assert_true(wire_send(&waiting, &read) != 0);
    wire_open(&idle, daemon->socket, "default");
    expect_cut(daemon, &idle, "idle_timeout");
    assert_true(wire_receive(&waiting, &reply));
    assert_int_equal(reply.status, TUSK_EEND);
    wire_close(&waiting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(silence_before_hello_is_cut),
        FIXTURE_TEST(half_a_request_is_cut),
        FIXTURE_TEST(every_beginning_of_a_request_is_cut),
        FIXTURE_RUNNING_TEST(announced_sizes_cost_nothing),
        FIXTURE_RUNNING_TEST(slow_senders_hold_nobody_up),
        FIXTURE_TEST(idle_connections_are_cut_on_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
