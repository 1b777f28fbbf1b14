/* Replies to reads that the daemon sends from the page cache, without a look: to slow clients, to
 * clients that vanish, of namespaces that go, and of pages that have gone. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/fixture.h"

#define ENTRY_SIZE 500000u
#define BLOCK_ENTRIES 16u /* Of this size in a block of 8 MiB */
#define REPLY_MIN (BLOCK_ENTRIES * ENTRY_SIZE)
#define STEP 200000u /* Bytes taken between two times that pages are dropped */
#define SEGMENT "ns/%s/0000000000000001.seg"

static const char *const options[] = {
    "--set", "block_size=8MiB",       "--set",   "blocks_per_segment=4",
    "--set", "batch_size_max=512KiB", "--set",   "entry_size_max=512KiB",
    "--set", "read_size_max=8MiB",    "--fsync", "none",
    NULL,
};

static int setup_running(void **state)
{
    if (fixture_setup(state) != 0) {
        return -1;
    }
    daemon_start_with(*state, options);
    return 0;
}

#define RANGE_TEST(name) cmocka_unit_test_setup_teardown(name, setup_running, fixture_teardown)

/* Connect, asking for features; those that are granted. */
static uint64_t open_with(struct wire *wire, const struct daemon *daemon, const char *space,
                          uint64_t features)
{
    const struct message hello = {.type = MESSAGE_HELLO,
                                  .u.hello = {.version_min = 1,
                                              .version_max = 1,
                                              .features = features,
                                              .space = wire_name(space),
                                              .client = wire_name("")}};
    struct message_hello_reply granted;
    struct wire_reply reply;

    wire_open(wire, daemon->socket, NULL);
    assert_int_equal(wire_call(wire, &hello, &reply), 0);
    assert_int_equal(message_hello_reply_decode(&granted, reply.body, reply.size), 0);
    return granted.features;
}

/* Append a full block's worth of large entries, which go straight to it, and one more. */
static void fill_block(struct wire *wire, const char *topic)
{
    unsigned i;

    for (i = 0; i <= BLOCK_ENTRIES; i++) {
        assert_int_equal(wire_append_fill(wire, topic, (char)('a' + i), ENTRY_SIZE), 0);
    }
    assert_int_equal(wire_simple(wire, MESSAGE_SYNC), 0);
}

static struct message read_message(uint64_t offset, uint16_t flags)
{
    struct message message = wire_read_message("t", offset);

    message.u.read.flags = flags;
    message.u.read.max_bytes = UINT32_MAX;
    return message;
}

static void await_readable(const struct wire *wire)
{
    struct pollfd wait = {.fd = wire->fd, .events = POLLIN};

    assert_int_equal(poll(&wait, 1, WIRE_WAIT_MS), 1);
}

/* Take just so many bytes, at most `piece` of them at a time. */
static void take_bytes(const struct wire *wire, uint8_t *out, size_t size, size_t piece)
{
    while (size > 0) {
        ssize_t got;

        await_readable(wire);
        got = recv(wire->fd, out, size < piece ? size : piece, 0);
        assert_true(got > 0);
        out += got;
        size -= (size_t)got;
    }
}

/* A reply that is taken slowly: malloc()ed, *frame is its header. `early` bytes of it were taken
 * already. */
static uint8_t *take_reply(const struct wire *wire, struct frame *frame, const uint8_t *early,
                           size_t early_size, size_t piece)
{
    uint8_t header[FRAME_HEADER_SIZE];
    uint8_t *bytes;

    assert_true(early_size == 0 || early_size >= sizeof header);
    if (early_size == 0) {
        take_bytes(wire, header, sizeof header, piece);
        early = header;
        early_size = sizeof header;
    }
    assert_int_not_equal(frame_parse(frame, early, early_size, UINT32_MAX), FRAME_BAD);
    assert_true(frame->size >= early_size);
    bytes = malloc(frame->size);
    assert_non_null(bytes);
    memcpy(bytes, early, early_size);
    take_bytes(wire, bytes + early_size, frame->size - early_size, piece);
    return bytes;
}

/* That a reply's batches, and what it says of them, are those that checked reads of the same
 * entries give. At least a block of them must be there. */
static void expect_as_checked(struct wire *checked, const uint8_t *bytes, const struct frame *frame)
{
    struct message_read_reply unchecked;
    uint64_t from;
    size_t at = 0;

    assert_int_equal(frame->status, 0);
    assert_int_equal(frame->type, MESSAGE_READ | FRAME_REPLY);
    assert_int_equal(message_read_reply_decode(&unchecked, bytes + FRAME_HEADER_SIZE,
                                               frame->size - FRAME_HEADER_SIZE),
                     0);
    assert_true(unchecked.data_size >= REPLY_MIN);
    for (from = unchecked.from; from < unchecked.to;) {
        struct message message = read_message(from, 0);
        struct message_read_reply read;
        struct wire_reply reply;

        message.u.read.max_entries = (uint32_t)(unchecked.to - from);
        assert_int_equal(wire_call(checked, &message, &reply), 0);
        assert_int_equal(message_read_reply_decode(&read, reply.body, reply.size), 0);
        assert_int_equal(read.from, from);
        assert_int_equal(read.generation, unchecked.generation);
        assert_int_equal(read.position, unchecked.position + at);
        assert_int_equal(read.end, unchecked.end);
        assert_true(at + read.data_size <= unchecked.data_size);
        assert_memory_equal(read.data, unchecked.data + at, read.data_size);
        at += read.data_size;
        from = read.to;
    }
    assert_int_equal(from, unchecked.to);
    assert_int_equal(at, unchecked.data_size);
}

/* That two replies to the same read are the same but for their ids. */
static void expect_same_body(const uint8_t *one, const uint8_t *two, const struct frame *frame)
{
    assert_memory_equal(one, two, 8);
    assert_memory_equal(one + FRAME_HEADER_SIZE, two + FRAME_HEADER_SIZE,
                        frame->size - FRAME_HEADER_SIZE);
}

/* ---- tests ---- */

/* The features are granted to a client that asks for them, and to no other; nothing else is. */
static void the_feature_is_granted_to_who_asks(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;

    assert_int_equal(open_with(&wire, daemon, "default", FEATURE_UNCHECKED), FEATURE_UNCHECKED);
    wire_close(&wire);
    assert_int_equal(open_with(&wire, daemon, "default", 0), 0);
    wire_close(&wire);
    assert_int_equal(open_with(&wire, daemon, "default", UINT64_MAX),
                     FEATURE_UNCHECKED | FEATURE_MAPPED);
    wire_close(&wire);
}

/* However slowly a client takes them, replies of many megabytes from the page cache arrive byte for
 * byte as the daemon would have read and checked them, those behind them whole, too; and they are
 * counted. */
static void a_slow_reader_has_what_a_checked_read_gives(void **state)
{
    static const size_t pieces[] = {333, 5000, 1u << 20};
    struct daemon *daemon = *state;
    const struct message ping = {.type = MESSAGE_PING};
    const struct message read = read_message(0, READ_UNCHECKED);
    struct wire slow;
    struct wire checked;
    size_t i;
    unsigned k;

    wire_open(&checked, daemon->socket, "default");
    fill_block(&checked, "t");
    (void)open_with(&slow, daemon, "default", FEATURE_UNCHECKED);
    for (i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        const uint64_t ranges = wire_stat(&checked, "range_reads");
        const uint64_t sent = wire_stat(&checked, "bytes_sent_from_cache");
        struct frame frame;
        uint8_t *bytes;

        for (k = 0; k < 2; k++) {
            assert_true(wire_send(&slow, &read) != 0);
        }
        for (k = 0; k < 2; k++) {
            bytes = take_reply(&slow, &frame, NULL, 0, pieces[i]);
            expect_as_checked(&checked, bytes, &frame);
            free(bytes);
        }
        assert_true(wire_send(&slow, &ping) != 0);
        bytes = take_reply(&slow, &frame, NULL, 0, pieces[i]);
        assert_int_equal(frame.type, MESSAGE_PING | FRAME_REPLY);
        assert_int_equal(frame.status, 0);
        free(bytes);
        assert_int_equal(wire_stat(&checked, "range_reads"), ranges + 2);
        assert_true(wire_stat(&checked, "bytes_sent_from_cache") > sent);
    }
    wire_close(&slow);
    wire_close(&checked);
}

static int trim(struct wire *wire, const char *topic, uint64_t offset)
{
    const struct message message = {
        .type = MESSAGE_TOPIC_TRIM,
        .u.topic_trim = {.topic = wire_topic(topic), .offset = offset},
    };
    struct wire_reply reply;

    return wire_call(wire, &message, &reply);
}

/* A little work of another topic, made durable: after it a block that nobody holds is free. */
static void work(struct wire *wire)
{
    assert_int_equal(wire_append_one(wire, "other", "entry"), 0);
    assert_int_equal(wire_simple(wire, MESSAGE_SYNC), 0);
}

/* A client that vanishes in the middle of a large reply leaves a daemon that serves everybody else,
 * and a block that can be used again: until then it stays, though its entries were given up. */
static void a_client_that_vanishes_gives_its_block_back(void **state)
{
    struct daemon *daemon = *state;
    const struct message read = read_message(0, READ_UNCHECKED);
    const uint64_t end = daemon_now_ms() + DAEMON_WAIT_MS;
    struct wire gone;
    struct wire good;
    uint8_t some[10000];
    unsigned i;

    wire_open(&good, daemon->socket, "default");
    fill_block(&good, "t");
    (void)open_with(&gone, daemon, "default", FEATURE_UNCHECKED);
    assert_true(wire_send(&gone, &read) != 0);
    take_bytes(&gone, some, sizeof some, sizeof some);
    assert_int_equal(wire_stat(&good, "range_reads"), 1);
    assert_int_equal(trim(&good, "t", BLOCK_ENTRIES), 0);
    for (i = 0; i < 10; i++) {
        work(&good);
    }
    assert_int_equal(wire_stat(&good, "blocks_freeing"), 1);
    wire_close(&gone);
    while (wire_stat(&good, "connections") > 1 || wire_stat(&good, "blocks_freeing") > 0) {
        assert_true(daemon_now_ms() < end);
        work(&good);
    }
    fill_block(&good, "t");
    wire_close(&good);
}

/* Replies that a client takes to the end, or leaves, hold nothing for ever: with a block's worth
 * appended and given up each time, the namespace does not grow. */
static void sent_replies_hold_no_space(void **state)
{
    struct daemon *daemon = *state;
    struct message read = read_message(0, READ_UNCHECKED);
    struct wire good;
    unsigned round;

    wire_open(&good, daemon->socket, "default");
    for (round = 0; round < 8; round++) {
        const uint64_t end = daemon_now_ms() + DAEMON_WAIT_MS;
        struct wire reader;
        struct frame frame;
        uint8_t some[5000];

        fill_block(&good, "t");
        (void)open_with(&reader, daemon, "default", FEATURE_UNCHECKED);
        assert_true(wire_send(&reader, &read) != 0);
        if (round % 2 == 0) {
            free(take_reply(&reader, &frame, NULL, 0, 1u << 20));
            assert_int_equal(frame.status, 0);
            assert_true(frame.size > REPLY_MIN / 2);
        } else {
            take_bytes(&reader, some, sizeof some, sizeof some);
        }
        read.u.read.position.value += BLOCK_ENTRIES + 1;
        assert_int_equal(trim(&good, "t", read.u.read.position.value), 0);
        wire_close(&reader);
        while (wire_stat(&good, "blocks_freeing") > 0) {
            assert_true(daemon_now_ms() < end);
            work(&good);
        }
    }
    assert_in_range(wire_stat(&good, "range_reads"), 1, 8);
    assert_int_equal(wire_stat(&good, "segments"), 1);
    wire_close(&good);
}

/* A connection may delete the namespace it uses, but not while blocks of it are on their way to it:
 * then it is told to take them first. What it then takes is whole, and the namespace goes. */
static void a_namespace_that_is_being_sent_is_not_deleted(void **state)
{
    struct daemon *daemon = *state;
    const struct message delete = {.type = MESSAGE_NAMESPACE_DELETE, .u.name = wire_name("eu")};
    const struct message read = read_message(0, READ_UNCHECKED);
    struct message_error error;
    struct frame frame;
    struct wire other;
    struct wire wire;
    uint8_t *bytes;

    wire_open(&other, daemon->socket, "default");
    assert_int_equal(wire_space_create(&other, "eu", UINT64_MAX), 0);
    (void)open_with(&wire, daemon, "eu", FEATURE_UNCHECKED);
    fill_block(&wire, "t");
    assert_true(wire_send(&wire, &read) != 0);
    await_readable(&wire);
    assert_true(wire_send(&wire, &delete) != 0);
    /* More of the reply than sockets hold is still to be sent when the daemon looks at this. */
    bytes = take_reply(&wire, &frame, NULL, 0, 4000);
    assert_int_equal(frame.type, MESSAGE_READ | FRAME_REPLY);
    assert_int_equal(frame.status, 0);
    assert_true(frame.size > REPLY_MIN);
    free(bytes);
    bytes = take_reply(&wire, &frame, NULL, 0, 4000);
    assert_int_equal(frame.type, MESSAGE_NAMESPACE_DELETE | FRAME_REPLY);
    assert_int_equal(-(int)frame.status, TUSK_EBUSY);
    assert_int_equal(
        message_error_decode(&error, bytes + FRAME_HEADER_SIZE, frame.size - FRAME_HEADER_SIZE), 0);
    assert_non_null(memmem(error.text.data, error.text.size, "being sent", 10));
    free(bytes);
    assert_true(wire_send(&wire, &delete) != 0);
    bytes = take_reply(&wire, &frame, NULL, 0, 4000);
    assert_int_equal(frame.type, MESSAGE_NAMESPACE_DELETE | FRAME_REPLY);
    assert_int_equal(frame.status, 0);
    free(bytes);
    assert_int_equal(wire_simple(&other, MESSAGE_PING), 0);
    wire_close(&wire);
    wire_close(&other);
    assert_false(wire_try_open(&other, daemon->socket, "eu"));
}

/* A reply that began before its topic was deleted arrives whole, however much is written meanwhile:
 * its block is not used again before all of it has left the daemon. */
static void a_reply_outlives_its_topic(void **state)
{
    struct daemon *daemon = *state;
    const struct message delete = {.type = MESSAGE_TOPIC_DELETE, .u.topic = wire_topic("t")};
    const struct message read = read_message(0, READ_UNCHECKED);
    struct frame frame;
    struct wire_reply reply;
    struct wire good;
    struct wire slow;
    uint8_t early[10000];
    uint8_t *before;
    uint8_t *after;
    unsigned i;

    wire_open(&good, daemon->socket, "default");
    fill_block(&good, "t");
    (void)open_with(&slow, daemon, "default", FEATURE_UNCHECKED);
    assert_true(wire_send(&slow, &read) != 0);
    before = take_reply(&slow, &frame, NULL, 0, 1u << 20);
    expect_as_checked(&good, before, &frame);
    assert_true(wire_send(&slow, &read) != 0);
    take_bytes(&slow, early, sizeof early, sizeof early);
    assert_int_equal(wire_call(&good, &delete, &reply), 0);
    for (i = 0; i < 6; i++) { /* More blocks than a segment has */
        fill_block(&good, "new");
        work(&good);
    }
    after = take_reply(&slow, &frame, early, sizeof early, 100000);
    expect_same_body(before, after, &frame);
    free(before);
    free(after);
    wire_close(&slow);
    wire_close(&good);
}

/* A client that has said that it sends nothing more has the whole reply, and then the end. */
static void a_client_that_half_closes_has_its_reply(void **state)
{
    struct daemon *daemon = *state;
    const struct message read = read_message(0, READ_UNCHECKED);
    struct wire checked;
    struct frame frame;
    struct wire slow;
    uint8_t *bytes;

    wire_open(&checked, daemon->socket, "default");
    fill_block(&checked, "t");
    (void)open_with(&slow, daemon, "default", FEATURE_UNCHECKED);
    assert_true(wire_send(&slow, &read) != 0);
    await_readable(&slow); /* The read is not waiting any more: it would be given up */
    assert_int_equal(shutdown(slow.fd, SHUT_WR), 0);
    bytes = take_reply(&slow, &frame, NULL, 0, 70000);
    expect_as_checked(&checked, bytes, &frame);
    assert_int_equal(wire_expect_closed(&slow), 0);
    free(bytes);
    wire_close(&slow);
    wire_close(&checked);
}

/* A reply that is on its way when the daemon is told to stop is still sent, and the stop is clean;
 * with a client that takes nothing the stop is clean, too. */
static void a_stop_lets_a_reply_be_taken(void **state)
{
    static const char *const timeouts[] = {"stop_timeout=1h", "stop_timeout=100ms"};
    struct daemon *daemon = *state;
    const struct message read = read_message(0, READ_UNCHECKED);
    unsigned i;

    for (i = 0; i < 2; i++) {
        uint8_t early[10000];
        struct frame frame;
        struct wire good;
        struct wire slow;
        uint8_t *before;
        uint8_t *after;

        daemon_start(daemon, "--set", "block_size=8MiB", "--set", "read_size_max=8MiB", "--fsync",
                     "none", "--set", timeouts[i], NULL);
        wire_open(&good, daemon->socket, "default");
        if (i == 0) {
            fill_block(&good, "t");
        }
        (void)open_with(&slow, daemon, "default", FEATURE_UNCHECKED);
        assert_true(wire_send(&slow, &read) != 0);
        before = take_reply(&slow, &frame, NULL, 0, 1u << 20);
        expect_as_checked(&good, before, &frame);
        assert_true(wire_send(&slow, &read) != 0);
        take_bytes(&slow, early, sizeof early, sizeof early);
        assert_true(wire_stat(&good, "range_reads") > 0);
        assert_int_equal(kill(daemon->pid, SIGTERM), 0);
        if (i == 0) {
            assert_int_equal(wire_expect_closed(&good), 0); /* The stop has come so far */
            after = take_reply(&slow, &frame, early, sizeof early, 100000);
            expect_same_body(before, after, &frame);
            assert_int_equal(wire_expect_closed(&slow), 0);
            free(after);
        }
        assert_int_equal(daemon_wait(daemon), 0);
        free(before);
        wire_close(&slow);
        wire_close(&good);
    }
}

/* Drop what can be dropped of a segment's pages from memory. How many of them have gone. */
static unsigned drop_pages(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
    struct stat there;
    unsigned char *pages;
    unsigned gone = 0;
    unsigned tries;
    size_t i;
    void *map;

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &there), 0);
    assert_true(there.st_size > REPLY_MIN);
    pages = malloc((size_t)there.st_size / page_size + 1);
    assert_non_null(pages);
    map = mmap(NULL, REPLY_MIN, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(map != MAP_FAILED);
    for (tries = 0; tries < 5 && gone == 0; tries++) {
        assert_int_equal(fdatasync(fd), 0);
        assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
        assert_int_equal(mincore(map, REPLY_MIN, pages), 0);
        for (i = 0; i < REPLY_MIN / page_size; i++) {
            gone += (pages[i] & 1) == 0;
        }
    }
    assert_int_equal(munmap(map, REPLY_MIN), 0);
    free(pages);
    (void)close(fd);
    return gone;
}

/* Pages may leave memory while a reply waits for a client that takes little of it: they are read
 * again, and the reply is whole. */
static void pages_dropped_meanwhile_still_arrive(void **state)
{
    struct daemon *daemon = *state;
    const struct message read = read_message(0, READ_UNCHECKED);
    char path[DAEMON_PATH_SIZE * 2];
    struct wire checked;
    struct wire slow;
    unsigned dropped = 0;
    unsigned round;

    assert_true(snprintf(path, sizeof path, "%s/" SEGMENT, daemon->data_dir, "default") <
                (int)sizeof path);
    wire_open(&checked, daemon->socket, "default");
    fill_block(&checked, "t");
    (void)open_with(&slow, daemon, "default", FEATURE_UNCHECKED);
    for (round = 0; round < 3; round++) {
        uint8_t *early = malloc(REPLY_MIN);
        struct frame frame;
        uint8_t *bytes;
        size_t taken;

        assert_non_null(early);
        assert_true(wire_send(&slow, &read) != 0);
        for (taken = 0; taken + STEP <= REPLY_MIN; taken += STEP) {
            take_bytes(&slow, early + taken, STEP, STEP);
            dropped += drop_pages(path);
        }
        bytes = take_reply(&slow, &frame, early, taken, STEP);
        expect_as_checked(&checked, bytes, &frame); /* Reads it into memory again */
        free(bytes);
        free(early);
    }
    assert_int_equal(wire_stat(&checked, "range_reads"), 3);
    wire_close(&slow);
    wire_close(&checked);
    if (dropped == 0) {
        print_message("skipped: this file system keeps every page in memory\n");
        skip();
    }
    print_message("%u pages dropped\n", dropped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RANGE_TEST(the_feature_is_granted_to_who_asks),
        RANGE_TEST(a_slow_reader_has_what_a_checked_read_gives),
        RANGE_TEST(a_client_that_vanishes_gives_its_block_back),
        RANGE_TEST(sent_replies_hold_no_space),
        RANGE_TEST(a_namespace_that_is_being_sent_is_not_deleted),
        RANGE_TEST(a_reply_outlives_its_topic),
        RANGE_TEST(a_client_that_half_closes_has_its_reply),
        FIXTURE_TEST(a_stop_lets_a_reply_be_taken),
        RANGE_TEST(pages_dropped_meanwhile_still_arrive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
