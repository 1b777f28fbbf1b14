/* Many requests, many connections, slow and vanishing clients. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/fixture.h"

#define PIPELINED 10000u
#define CONNECTIONS 1000u

struct count {
    uint64_t entries;
    uint64_t bytes;
};

static void count_entry(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    struct count *count = arg;

    (void)offset;
    (void)data;
    count->entries++;
    count->bytes += size;
}

static struct message append_of(const char *topic, const char *text, uint8_t **bytes)
{
    return wire_append_message(topic, &text, 1, bytes);
}

/* A child sends, so that neither side waits for the other: many more requests than may be in
 * flight, without taking a single reply. */
static pid_t send_in_background(struct wire *wire, const struct message *message, unsigned count)
{
    const pid_t child = fork();
    unsigned i;

    assert_true(child >= 0);
    if (child == 0) {
        for (i = 0; i < count; i++) {
            if (wire_send(wire, message) == 0) {
                _exit(1);
            }
        }
        _exit(0);
    }
    return child;
}

static void expect_success(pid_t child)
{
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* 10,000 appends are sent without waiting, more than may be in flight: each gets exactly one reply,
 * and they are stored in the order they were sent. */
static void ten_thousand_requests_may_be_pipelined(void **state)
{
    struct daemon *daemon = *state;
    bool *answered = calloc(PIPELINED + 16, sizeof *answered);
    struct message_append_reply result;
    struct count count = {0};
    struct wire_reply reply;
    struct message message;
    uint64_t first_id;
    struct wire wire;
    uint8_t *bytes;
    pid_t child;
    unsigned i;

    assert_non_null(answered);
    wire_open(&wire, daemon->socket, "default");
    message = append_of("t", "pipelined", &bytes);
    first_id = wire.next_id;
    child = send_in_background(&wire, &message, PIPELINED);
    for (i = 0; i < PIPELINED; i++) {
        assert_true(wire_receive(&wire, &reply));
        assert_int_equal(reply.status, 0);
        assert_true(reply.id >= first_id && reply.id < first_id + PIPELINED);
        assert_false(answered[reply.id - first_id]);
        answered[reply.id - first_id] = true;
        assert_int_equal(message_append_reply_decode(&result, reply.body, reply.size), 0);
        assert_int_equal(result.first_offset, reply.id - first_id);
    }
    expect_success(child);
    wire.next_id += PIPELINED;
    assert_int_equal(wire_drain(&wire, "t", 0, count_entry, &count), PIPELINED);
    assert_int_equal(count.entries, PIPELINED);
    free(bytes);
    free(answered);
    wire_close(&wire);
}

/* A load that the limits slow down: every request is stored, in order, and none is refused. */
static void expect_slowed_down(struct daemon *daemon)
{
    const unsigned count = 2000;
    struct message_append_reply result;
    struct wire_reply reply;
    struct message message;
    struct wire wire;
    uint8_t *bytes;
    uint64_t first_id;
    char text[1001];
    pid_t child;
    unsigned i;

    memset(text, 'p', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    wire_open(&wire, daemon->socket, "default");
    message = append_of("t", text, &bytes);
    first_id = wire.next_id;
    child = send_in_background(&wire, &message, count);
    for (i = 0; i < count; i++) {
        assert_true(wire_receive(&wire, &reply));
        assert_int_equal(reply.status, 0);
        assert_int_equal(message_append_reply_decode(&result, reply.body, reply.size), 0);
        assert_int_equal(result.first_offset, reply.id - first_id);
    }
    expect_success(child);
    assert_true(wire_stat(&wire, "pauses") > 0);
    free(bytes);
    wire_close(&wire);
}

/* With tiny limits of a connection. */
static void back_pressure_refuses_nothing(void **state)
{
    struct daemon *daemon = *state;

    daemon_start(daemon, "--set", "requests_max=3", "--set", "unsynced_window=64KiB", "--set",
                 "output_bytes_max=4KiB", "--set", "ring_size=4MiB", NULL);
    expect_slowed_down(daemon);
}

/* With a namespace that keeps next to nothing for those who wait for its disk: they wait in their sockets. */
static void congestion_refuses_nothing(void **state)
{
    struct daemon *daemon = *state;

    daemon_start(daemon, "--set", "waiting_bytes_max=64KiB", "--set", "unsynced_window=64KiB",
                 NULL);
    expect_slowed_down(daemon);
}

/* Ids are the client's: they need not ascend, nor differ, and the daemon echoes them. */
static void ids_are_echoed_whatever_they_are(void **state)
{
    static const uint64_t ids[] = {7, 7, 0, UINT64_MAX, 3};
    struct daemon *daemon = *state;
    struct wire_reply reply;
    struct wire wire;
    unsigned i;

    wire_open(&wire, daemon->socket, "default");
    for (i = 0; i < 5; i++) {
        wire_send_frame(&wire, FRAME_HEADER_SIZE, MESSAGE_PING, ids[i], "", 0);
    }
    for (i = 0; i < 5; i++) {
        assert_true(wire_receive(&wire, &reply));
        assert_int_equal(reply.id, ids[i]);
    }
    wire_close(&wire);
}

/* A read that waits does not hold up what comes behind it: replies come in any order. The append
 * that it waited for answers it. */
static void waiting_read_is_overtaken_and_woken(void **state)
{
    struct daemon *daemon = *state;
    struct message read = wire_read_message("t", 1);
    struct count count = {0};
    struct wire_reply reply;
    struct wire reader;
    struct wire writer;
    uint64_t id;

    wire_open(&reader, daemon->socket, "default");
    wire_open(&writer, daemon->socket, "default");
    assert_int_equal(wire_append_one(&writer, "t", "first"), 0);
    read.u.read.wait_ms = WIRE_WAIT_MS;
    id = wire_send(&reader, &read);
    assert_int_equal(wire_simple(&reader, MESSAGE_PING), 0);
    assert_int_equal(wire_append_one(&writer, "t", "second"), 0);
    assert_true(wire_receive(&reader, &reply));
    assert_int_equal(reply.id, id);
    assert_int_equal(reply.status, 0);
    wire_entries(&reply, count_entry, &count);
    assert_int_equal(count.entries, 1);
    wire_close(&writer);
    wire_close(&reader);
}

/* A wait ends by itself, with END, no earlier than was asked for. */
static void waiting_read_times_out_with_end(void **state)
{
    struct daemon *daemon = *state;
    struct message read = wire_read_message("t", 1);
    struct wire_reply reply;
    struct wire wire;
    uint64_t begin;

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append_one(&wire, "t", "first"), 0);
    read.u.read.wait_ms = 150;
    begin = daemon_now_ms();
    assert_int_equal(wire_call(&wire, &read, &reply), TUSK_EEND);
    assert_true(daemon_now_ms() - begin >= 149);
    wire_close(&wire);
}

/* A client that goes away while it waits leaves nothing behind: a namespace it used can be deleted.
 */
static void vanished_waiter_leaves_nothing_behind(void **state)
{
    struct daemon *daemon = *state;
    const struct message delete = {.type = MESSAGE_NAMESPACE_DELETE, .u.name = wire_name("eu")};
    struct message read = wire_read_message("t", 1);
    struct wire_reply reply;
    struct wire waiter;
    struct wire other;
    uint64_t end = daemon_now_ms() + WIRE_WAIT_MS;

    wire_open(&other, daemon->socket, "default");
    assert_int_equal(wire_space_create(&other, "eu", 200), 0);
    wire_open(&waiter, daemon->socket, "eu");
    assert_int_equal(wire_append_one(&waiter, "t", "first"), 0);
    read.u.read.wait_ms = 3600000;
    (void)wire_send(&waiter, &read);
    assert_int_equal(wire_simple(&waiter, MESSAGE_PING), 0);
    wire_close(&waiter);
    while (wire_call(&other, &delete, &reply) != 0) {
        assert_int_equal(reply.status, TUSK_EBUSY);
        assert_true(daemon_now_ms() < end);
    }
    assert_int_equal(wire_stat(&other, "requests_in_flight"), 0);
    wire_close(&other);
}

/* A thousand connections at once are served, each with its own requests, and then leave no trace.
 */
static void thousand_connections_are_served(void **state)
{
    struct daemon *daemon = *state;
    struct wire *wires = calloc(CONNECTIONS, sizeof *wires);
    struct rlimit limit = {CONNECTIONS + 100, CONNECTIONS + 100};
    const uint64_t end = daemon_now_ms() + WIRE_WAIT_MS;
    struct message message;
    struct wire_reply reply;
    struct wire last;
    uint8_t *bytes;
    unsigned i;

    assert_non_null(wires);
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    message = append_of("t", "x", &bytes);
    for (i = 0; i < CONNECTIONS; i++) {
        wire_open(&wires[i], daemon->socket, "default");
    }
    for (i = 0; i < CONNECTIONS; i++) {
        assert_true(wire_send(&wires[i], &message) != 0);
    }
    for (i = 0; i < CONNECTIONS; i++) {
        assert_true(wire_receive(&wires[i], &reply));
        assert_int_equal(reply.status, 0);
        wire_close(&wires[i]);
    }
    wire_open(&last, daemon->socket, "default");
    while (wire_stat(&last, "connections") > 1) {
        assert_true(daemon_now_ms() < end);
    }
    wire_expect_entries(&last, "t", CONNECTIONS - 1, (const char *const[]){"x"}, 1);
    free(bytes);
    free(wires);
    wire_close(&last);
}

/* ---- slow clients ---- */

/* Ask for everything, over and over, and take nothing. Stops when the daemon does not read any
 * more. */
static void order_without_taking(struct wire *wire)
{
    const struct message read = wire_read_message("big", 0);
    size_t size;
    uint8_t *bytes = wire_encode(&read, 1, &size);

    assert_int_equal(fcntl(wire->fd, F_SETFL, O_NONBLOCK), 0);
    while (send(wire->fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size) {
    }
    assert_int_equal(fcntl(wire->fd, F_SETFL, 0), 0);
    free(bytes);
}

static void append_megabytes(struct wire *wire, unsigned count)
{
    unsigned i;

    for (i = 0; i < count * 4; i++) {
        assert_int_equal(wire_append_fill(wire, "big", 'x', 256 * 1024), 0);
    }
}

/* A hundred clients order gigabytes and take nothing: the daemon stops reading from them, its
 * memory stays within its limits, and another client is served as ever. */
static void slow_readers_cost_bounded_memory(void **state)
{
    const uint64_t cap = 64u << 20;
    struct daemon *daemon = *state;
    struct wire slow[100];
    uint64_t before;
    struct wire good;
    unsigned i;

    daemon_start(daemon, "--set", "total_bytes_max=64MiB", "--set", "output_bytes_max=1MiB",
                 "--set", "ring_size=8MiB", "--set", "read_size_max=1MiB", NULL);
    wire_open(&good, daemon->socket, "default");
    append_megabytes(&good, 8);
    before = daemon_resident_bytes(daemon);
    for (i = 0; i < 100; i++) {
        wire_open(&slow[i], daemon->socket, "default");
        order_without_taking(&slow[i]);
    }
    for (i = 0; i < 100; i++) {
        assert_int_equal(wire_append_one(&good, "small", "x"), 0);
    }
    assert_true(wire_stat(&good, "buffer_bytes") <= cap);
    assert_true(wire_stat(&good, "pauses") > 0);
    /* The pool, what the allocator keeps around it, and requests; sanitizers take their share. */
    if (!TUSK_TEST_SANITIZED) {
        assert_true(daemon_resident_bytes(daemon) < before + cap + (64u << 20));
    }
    for (i = 0; i < 100; i++) {
        wire_close(&slow[i]);
    }
    wire_close(&good);
}

/* One client may have as many unread bytes as output_bytes_max and the reply it was given last, however much all may have. */
static void one_slow_reader_holds_no_more_than_its_share(void **state)
{
    struct daemon *daemon = *state;
    struct wire slow;
    struct wire good;

    daemon_start(daemon, "--set", "total_bytes_max=256MiB", "--set", "output_bytes_max=1MiB",
                 "--set", "read_size_max=1MiB", NULL);
    wire_open(&good, daemon->socket, "default");
    append_megabytes(&good, 8);
    wire_open(&slow, daemon->socket, "default");
    order_without_taking(&slow);
    assert_int_equal(wire_append_one(&good, "small", "x"), 0);
    assert_true(wire_stat(&good, "buffer_bytes") <= 8u << 20);
    wire_close(&slow);
    wire_close(&good);
}

/* A client that takes nothing for longer than output_timeout is cut off, and the log says why; one
 * that takes its replies late gets all of them. */
static void stuck_reader_is_cut_off_with_a_reason(void **state)
{
    struct daemon *daemon = *state;
    const uint64_t end = daemon_now_ms() + WIRE_WAIT_MS;
    struct wire stuck;
    struct wire good;

    daemon_start(daemon, "--set", "output_timeout=200ms", NULL);
    wire_open(&good, daemon->socket, "default");
    append_megabytes(&good, 2);
    wire_open(&stuck, daemon->socket, "default");
    order_without_taking(&stuck);
    while (wire_stat(&good, "connections") > 1) {
        assert_true(daemon_now_ms() < end);
    }
    assert_true(daemon_logged(daemon, "output_timeout"));
    assert_true(wire_stat(&good, "connections_cut") == 1);
    wire_close(&stuck);
    wire_close(&good);
}

/* Reading late is no fault: whoever takes its replies in time gets every byte. */
static void late_reader_gets_everything(void **state)
{
    struct daemon *daemon = *state;
    const struct message read = wire_read_message("big", 0);
    struct count count = {0};
    struct wire_reply reply;
    struct wire wire;
    unsigned i;

    wire_open(&wire, daemon->socket, "default");
    append_megabytes(&wire, 1);
    for (i = 0; i < 50; i++) {
        assert_true(wire_send(&wire, &read) != 0);
    }
    for (i = 0; i < 50; i++) {
        assert_true(wire_receive(&wire, &reply));
        assert_int_equal(reply.status, 0);
        wire_entries(&reply, count_entry, &count);
    }
    assert_true(count.entries >= 50);
    assert_int_equal(count.bytes, count.entries * 256 * 1024);
    wire_close(&wire);
}

/* ---- vanishing clients ---- */

/* A client dies at every byte of an append: its batch is either not there, or, once all of it was
 * sent, there as a whole. Never a part. */
static void client_that_dies_in_a_batch_leaves_no_part(void **state)
{
    static const char *const texts[] = {"aa", "bb", "cc"};
    struct daemon *daemon = *state;
    struct message message;
    struct wire good;
    uint8_t *batch;
    uint8_t *bytes;
    size_t size;
    size_t cut;

    wire_open(&good, daemon->socket, "default");
    assert_int_equal(wire_append_one(&good, "t", "before"), 0);
    message = wire_append_message("t", texts, 3, &batch);
    bytes = wire_encode(&message, 1, &size);
    for (cut = 1; cut < size; cut++) {
        struct wire wire;

        wire_open(&wire, daemon->socket, "default");
        assert_true(wire_send_bytes(&wire, bytes, cut));
        wire_close(&wire);
    }
    assert_int_equal(wire_append(&good, "t", texts, 3, NULL), 0);
    wire_expect_entries(&good, "t", 0, (const char *const[]){"before", "aa", "bb", "cc"}, 4);
    free(bytes);
    free(batch);
    wire_close(&good);
}

/* A client that sends its last request and then only listens gets its reply before the end. */
static void half_closed_client_gets_its_replies(void **state)
{
    struct daemon *daemon = *state;
    struct message message;
    struct wire_reply reply;
    struct wire wire;
    uint8_t *bytes;
    unsigned i;

    wire_open(&wire, daemon->socket, "default");
    message = append_of("t", "last words", &bytes);
    for (i = 0; i < 100; i++) {
        assert_true(wire_send(&wire, &message) != 0);
    }
    assert_int_equal(shutdown(wire.fd, SHUT_WR), 0);
    for (i = 0; i < 100; i++) {
        assert_true(wire_receive(&wire, &reply));
        assert_int_equal(reply.status, 0);
    }
    assert_int_equal(wire_expect_closed(&wire), 0);
    free(bytes);
    wire_close(&wire);
}

/* A batch as large as HELLO allows goes through, and one byte more is refused by name. */
static void largest_batch_is_stored(void **state)
{
    struct daemon *daemon = *state;
    struct count count = {0};
    struct wire wire;
    uint32_t size;

    wire_open(&wire, daemon->socket, "default");
    size = wire.hello.batch_size_max - 4;
    if (size > wire.hello.entry_size_max) {
        size = wire.hello.entry_size_max;
    }
    assert_int_equal(wire_append_fill(&wire, "t", 'L', size), 0);
    assert_int_equal(wire_append_fill(&wire, "t", 'L', wire.hello.batch_size_max), TUSK_ETOOBIG);
    (void)wire_drain(&wire, "t", 0, count_entry, &count);
    assert_int_equal(count.entries, 1);
    assert_int_equal(count.bytes, size);
    wire_close(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_RUNNING_TEST(ten_thousand_requests_may_be_pipelined),
        FIXTURE_TEST(back_pressure_refuses_nothing),
        FIXTURE_TEST(congestion_refuses_nothing),
        FIXTURE_RUNNING_TEST(ids_are_echoed_whatever_they_are),
        FIXTURE_RUNNING_TEST(waiting_read_is_overtaken_and_woken),
        FIXTURE_RUNNING_TEST(waiting_read_times_out_with_end),
        FIXTURE_RUNNING_TEST(vanished_waiter_leaves_nothing_behind),
        FIXTURE_RUNNING_TEST(thousand_connections_are_served),
        FIXTURE_TEST(slow_readers_cost_bounded_memory),
        FIXTURE_TEST(one_slow_reader_holds_no_more_than_its_share),
        FIXTURE_TEST(stuck_reader_is_cut_off_with_a_reason),
        FIXTURE_RUNNING_TEST(late_reader_gets_everything),
        FIXTURE_RUNNING_TEST(client_that_dies_in_a_batch_leaves_no_part),
        FIXTURE_RUNNING_TEST(half_closed_client_gets_its_replies),
        FIXTURE_RUNNING_TEST(largest_batch_is_stored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
