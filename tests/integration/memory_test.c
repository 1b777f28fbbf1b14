/* Memory has a bound, whatever clients do: many of them, many topics, readers that fall behind and
 * take nothing. RSS is what /proc says.
 *
 * Small by default. TUSK_BIG=1 gives the full size: 10,000 connections, 100,000 topics, a thousand
 * readers a gigabyte behind; it takes minutes, 2 GB of disk, and a limit of 20,000 descriptors. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/integration/fixture.h"

#define MIB (UINT64_C(1) << 20)
#define POOL_MIB 16u /* total_bytes_max of the daemons here */

/* Allowed beside the pool: what the allocator keeps, and requests under way. */
#define SLACK (48 * MIB)
/* A connection with nothing under way: its handle, and what the allocator adds. */
#define CONNECTION_BYTES 4096u
/* A topic without cursors, in a namespace's tables and the manifest being written: name, settings,
 * first block, index. */
#define TOPIC_BYTES 2048u

static bool big(void)
{
    return getenv("TUSK_BIG") != NULL;
}

static void want_descriptors(unsigned count)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < count) {
        print_message("SKIP: the limit of descriptors is %llu, %u are needed\n",
                      (unsigned long long)limit.rlim_max, count);
        skip();
    }
    limit.rlim_cur = limit.rlim_cur < count ? count : limit.rlim_cur;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Most memory it ever had in use. */
static uint64_t peak_bytes(const struct daemon *daemon)
{
    unsigned long long kib = 0;
    char path[64];
    char line[256];
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%ld/status", (long)daemon->pid);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL && sscanf(line, "VmHWM: %llu kB", &kib) != 1) {
    }
    (void)fclose(file);
    assert_true(kib > 0);
    return kib * 1024;
}

/* What sanitizers add to memory is no business of the daemon's. */
static void expect_peak(const struct daemon *daemon, uint64_t most)
{
    const uint64_t peak = peak_bytes(daemon);

    print_message("peak %llu MiB, at most %llu\n", (unsigned long long)(peak / MIB),
                  (unsigned long long)(most / MIB));
    assert_true(TUSK_TEST_SANITIZED || peak <= most);
}

/* ---- connections that cost the test little ---- */

/* Connected and greeted; only the descriptor is kept. */
static int connect_lightly(const struct daemon *daemon)
{
    struct wire wire;
    int fd;

    wire_open(&wire, daemon->socket, "default");
    fd = dup(wire.fd);
    assert_true(fd >= 0);
    wire_close(&wire);
    return fd;
}

static int *connect_many(const struct daemon *daemon, unsigned count)
{
    int *fds = calloc(count, sizeof *fds);
    unsigned i;

    assert_non_null(fds);
    for (i = 0; i < count; i++) {
        fds[i] = connect_lightly(daemon);
    }
    return fds;
}

static void close_many(int *fds, unsigned count)
{
    unsigned i;

    for (i = 0; i < count; i++) {
        (void)close(fds[i]);
    }
    free(fds);
}

/* Ask for everything, over and over, and take nothing, until the daemon does not read any more. */
static void order_without_taking(int fd, const char *topic)
{
    const struct message read = wire_read_message(topic, 0);
    size_t size;
    uint8_t *bytes = wire_encode(&read, 1, &size);

    while (send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size) {
    }
    free(bytes);
}

/* ---- many topics, many connections ---- */

/* A topic each, pipelined so far as nobody has to take replies meanwhile. */
static void make_topics(struct wire *wire, unsigned count)
{
    const unsigned window = 200;
    unsigned sent = 0;
    unsigned taken = 0;

    while (taken < count) {
        struct wire_reply reply;

        for (; sent < count && sent - taken < window; sent++) {
            char name[32];
            struct message message;
            uint8_t *bytes;

            (void)snprintf(name, sizeof name, "topic %u", sent);
            message = wire_append_message(name, (const char *const[]){"first"}, 1, &bytes);
            assert_true(wire_send(wire, &message) != 0);
            free(bytes);
        }
        assert_true(wire_receive(wire, &reply));
        assert_int_equal(reply.status, 0);
        taken++;
    }
}

/* Ten thousand connections and a hundred thousand topics cost what their tables do, and not more;
 * when all of the connections then order more than fits, and take nothing, the pool's limit holds
 * for all of them together. Others are served. */
static void many_clients_and_topics_stay_within_their_memory(void **state)
{
    struct daemon *daemon = *state;
    const unsigned connections = big() ? 10000 : 1000;
    const unsigned topics = big() ? 100000 : 5000;
    struct wire good;
    const uint64_t pool = (big() ? 800 : 80) * MIB;
    uint64_t most;
    int *fds;
    unsigned i;

    want_descriptors(connections + 100);
    /* Each connection may keep 4 KiB of what it does not take, and a sixteenth of the pool is for
     * such small replies alone: so large a pool answers the one that takes its own. */
    daemon_start(daemon, "--set", "connections_max=10100", "--set",
                 big() ? "total_bytes_max=800MiB" : "total_bytes_max=80MiB", "--set",
                 "output_bytes_max=1MiB", "--set", "ring_size=8MiB", "--set", "block_size=64KiB",
                 "--set", "batch_size_max=32KiB", "--set", "entry_size_max=32KiB", NULL);
    most = daemon_resident_bytes(daemon) + 8 * MIB + SLACK;
    wire_open(&good, daemon->socket, "default");
    make_topics(&good, topics);
    most += (uint64_t)topics * TOPIC_BYTES;
    fds = connect_many(daemon, connections);
    most += (uint64_t)connections * CONNECTION_BYTES;
    expect_peak(daemon, most);
    assert_true(wire_stat(&good, "connections") == connections + 1);
    for (i = 0; i < 200; i++) {
        assert_int_equal(wire_append_fill(&good, "large", 'x', 32000), 0);
    }
    for (i = 0; i < connections; i++) {
        order_without_taking(fds[i], "large");
    }
    assert_int_equal(wire_append_one(&good, "topic 0", "second"), 0);
    wire_expect_entries(&good, "topic 0", 0, (const char *const[]){"first", "second"}, 2);
    assert_true(wire_stat(&good, "buffer_bytes") <= pool);
    expect_peak(daemon, most + pool);
    close_many(fds, connections);
    wire_close(&good);
}

/* A table that is full is answered BUSY, in a sentence that names the limit, as often as one asks;
 * what is there is served, and when something goes there is room again. */
static void full_tables_are_answered_busy(void **state)
{
    struct daemon *daemon = *state;
    const struct message delete = {.type = MESSAGE_TOPIC_DELETE, .u.topic = wire_topic("topic 7")};
    struct wire_reply reply;
    struct wire wire;
    char name[32];
    unsigned i;

    daemon_start(daemon, "--set", "topics_max=50", "--set", "cursors_max=10", NULL);
    wire_open(&wire, daemon->socket, "default");
    make_topics(&wire, 50);
    for (i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof name, "one more %u", i);
        assert_int_equal(wire_append_one(&wire, name, "x"), TUSK_EBUSY);
    }
    for (i = 0; i < 10; i++) {
        (void)snprintf(name, sizeof name, "cursor %u", i);
        assert_int_equal(wire_checkpoint(&wire, "topic 1", name, 1), 0);
    }
    for (i = 0; i < 1000; i++) {
        assert_int_equal(wire_checkpoint(&wire, "topic 1", "one more", 1), TUSK_EBUSY);
    }
    assert_int_equal(wire_append_one(&wire, "topic 1", "x"), 0);
    assert_int_equal(wire_checkpoint(&wire, "topic 1", "cursor 3", 2), 0);
    assert_int_equal(wire_checkpoint(&wire, "topic 2", "cursor 3", 1), 0);
    assert_int_equal(wire_call(&wire, &delete, &reply), 0);
    assert_int_equal(wire_append_one(&wire, "one more", "x"), 0);
    assert_int_equal(wire_append_one(&wire, "and one", "x"), TUSK_EBUSY);
    wire_close(&wire);
}

/* ---- readers that fall behind ---- */

struct check {
    uint64_t entries;
    uint64_t bytes;
    uint64_t next;
};

static void check_entry(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    struct check *check = arg;

    assert_int_equal(offset, check->next);
    assert_true(size > 0 && data[0] == 'a' + (int)(offset % 26) && data[size - 1] == data[0]);
    check->entries++;
    check->bytes += size;
    check->next = offset + 1;
}

/* Read everything in small pieces. */
static void drain_in_pieces(struct wire *wire, const char *topic, struct check *check)
{
    struct message message = wire_read_message(topic, 0);
    struct message_read_reply read;
    struct wire_reply reply;
    int status;

    message.u.read.max_bytes = 64 * 1024;
    while ((status = wire_call(wire, &message, &reply)) == 0) {
        assert_int_equal(message_read_reply_decode(&read, reply.body, reply.size), 0);
        wire_entries(&reply, check_entry, check);
        message.u.read.position.value = read.to;
    }
    assert_int_equal(status, TUSK_EEND);
}

/* Readers order a backlog many times as large as all memory they may have, and take nothing of it.
 * The daemon's memory stays within its limit. A producer beside them is served, and a reader that
 * asks for small pieces gets all of it; one that asks for large ones is told NOMEM at worst. Those
 * that are stuck are cut off, the log says why, and then large pieces can be had again. */
static void readers_far_behind_cost_bounded_memory(void **state)
{
    struct daemon *daemon = *state;
    const uint32_t entry = 64 * 1024;
    const struct message large = wire_read_message("big", 0);
    struct wire_reply reply;
    const uint64_t backlog = big() ? 1024 * MIB : 32 * MIB;
    const unsigned readers = big() ? 1000 : 60;
    const uint64_t end = daemon_now_ms() + 10 * WIRE_WAIT_MS;
    struct check check = {0};
    struct wire good;
    struct wire producer;
    uint64_t most;
    uint64_t i;
    int *fds;

    want_descriptors(readers + 100);
    daemon_start(daemon, "--set", "total_bytes_max=16MiB", "--set", "output_bytes_max=1MiB",
                 "--set", "ring_size=8MiB", "--set", "read_size_max=1MiB", "--set",
                 "batch_size_max=1MiB", "--set", "entry_size_max=1MiB", "--set",
                 "output_timeout=2s", NULL);
    most = daemon_resident_bytes(daemon) + 8 * MIB + POOL_MIB * MIB + SLACK;
    wire_open(&good, daemon->socket, "default");
    for (i = 0; i < backlog / entry; i++) {
        assert_int_equal(wire_append_fill(&good, "big", (char)('a' + i % 26), entry), 0);
    }
    fds = connect_many(daemon, readers);
    for (i = 0; i < readers; i++) {
        order_without_taking(fds[i], "big");
    }
    wire_open(&producer, daemon->socket, "default");
    for (i = 0; i < 100; i++) {
        assert_int_equal(wire_append_one(&producer, "small", "x"), 0);
    }
    drain_in_pieces(&good, "big", &check);
    assert_int_equal(check.bytes, backlog);
    if (wire_call(&good, &large, &reply) != 0) {
        assert_int_equal(reply.status, TUSK_ENOMEM);
    }
    assert_true(wire_stat(&good, "buffer_bytes") <= POOL_MIB * MIB);
    expect_peak(daemon, most);
    /* Who was only told NOMEM is owed nothing, and stays. */
    while (wire_stat(&good, "buffer_bytes") > 4 * MIB) {
        assert_true(daemon_now_ms() < end);
        (void)usleep(10000); /* Gentle to the machine; the bound is above */
    }
    assert_true(daemon_logged(daemon, "it does not take its replies (output_timeout)"));
    assert_true(wire_stat(&good, "connections_cut") > 0);
    assert_int_equal(wire_call(&good, &large, &reply), 0);
    close_many(fds, readers);
    wire_close(&producer);
    wire_close(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(many_clients_and_topics_stay_within_their_memory),
        FIXTURE_TEST(full_tables_are_answered_busy),
        FIXTURE_TEST(readers_far_behind_cost_bounded_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
