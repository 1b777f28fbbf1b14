/* Consumers that read where the daemon's files lie: they see what copies would give, give back what
 * they were lent, and do not believe what they read from a block that a restarted daemon has used
 * again. (No file can include tusk.h and wire.h; lease_test.c looks at the same from the wire.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/tusk.h"
#include "tests/support/daemon.h"

#define BLOCK_SIZE (1024u * 1024u)
#define ENTRY_SIZE 100000u
#define ENTRIES 130u /* Seven segments of two blocks */

static const char *const options[] = {
    "--set", "block_size=1MiB",       "--set",   "blocks_per_segment=2",
    "--set", "batch_size_max=512KiB", "--set",   "entry_size_max=512KiB",
    "--set", "journal_file_max=4MiB", "--set",   "journal_size_max=32MiB",
    "--set", "read_size_max=1MiB",    "--fsync", "none",
    NULL,
};

static int setup(void **state)
{
    struct daemon *daemon = malloc(sizeof *daemon);

    if (daemon == NULL) {
        return -1;
    }
    daemon_init(daemon);
    daemon_start_with(daemon, options);
    *state = daemon;
    return 0;
}

static int teardown(void **state)
{
    struct daemon *daemon = *state;

    if (daemon->pid > 0) {
        daemon_stop(daemon);
    }
    daemon_deinit(daemon);
    free(daemon);
    return 0;
}

static struct tusk *connect_to(const struct daemon *daemon)
{
    const struct tusk_options to = {
        .size = sizeof to, .path = daemon->socket, .timeout_ms = DAEMON_WAIT_MS};
    struct tusk_failure failure;
    struct tusk *t;

    if (tusk_connect(&to, &t, &failure) != TUSK_OK) {
        fail_msg("%s", failure.text);
    }
    return t;
}

/* ---- entries ---- */

/* No two bytes in a row are alike, and no two entries. */
static void make_entry(uint64_t offset, char data[ENTRY_SIZE])
{
    uint64_t value = offset * 2654435761u + 1;
    size_t i;

    for (i = 0; i < ENTRY_SIZE; i++) {
        value = value * 6364136223846793005u + 1442695040888963407u;
        data[i] = (char)(value >> 56);
    }
}

/* Entries [from, to) of a topic, and what was appended is durable. */
static void fill(struct tusk *t, const char *topic, uint64_t from, uint64_t to)
{
    static char data[ENTRY_SIZE];

    for (; from < to; from++) {
        make_entry(from, data);
        assert_int_equal(tusk_append(t, topic, data, ENTRY_SIZE, 0, NULL), TUSK_OK);
    }
    assert_int_equal(tusk_sync(t), TUSK_OK);
}

static void expect_entry(const struct tusk_entry *entry, uint64_t offset)
{
    static char expected[ENTRY_SIZE];

    make_entry(offset, expected);
    assert_int_equal(entry->offset, offset);
    assert_int_equal(entry->size, ENTRY_SIZE);
    assert_memory_equal(entry->data, expected, ENTRY_SIZE);
}

static struct tusk_consumer *open_consumer(struct tusk *t, const char *cursor, uint32_t flags)
{
    const struct tusk_consumer_options how = {.size = sizeof how,
                                              .topic = "t",
                                              .cursor = cursor,
                                              .flags = flags | TUSK_CONSUMER_STOP_AT_END};
    struct tusk_consumer *consumer;

    assert_int_equal(tusk_consumer_open(t, &how, &consumer), TUSK_OK);
    return consumer;
}

/* ---- what the daemon counts ---- */

struct stat_wanted {
    const char *name;
    uint64_t value;
};

static int take_stat(void *user, const char *name, uint64_t value)
{
    struct stat_wanted *wanted = user;

    if (strcmp(name, wanted->name) == 0) {
        wanted->value = value;
    }
    return 0;
}

static uint64_t stat_of(struct tusk *t, const char *name)
{
    struct stat_wanted wanted = {.name = name, .value = UINT64_MAX};

    assert_int_equal(tusk_stats(t, take_stat, &wanted), TUSK_OK);
    assert_int_not_equal(wanted.value, UINT64_MAX);
    return wanted.value;
}

/* A read that nobody waits for any more may still be answered with a place, and that is given back
 * when it has arrived. */
static void await_no_leases(struct tusk *t)
{
    const uint64_t end = daemon_now_ms() + DAEMON_WAIT_MS;

    while (stat_of(t, "leases") != 0) {
        assert_true(daemon_now_ms() < end);
    }
}

/* Whether an address of this process lies in a map of a segment's file, read-only and shared. */
static bool is_mapped(const void *at)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[1024];
    bool found = false;

    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        char *rest;
        const unsigned long begin = strtoul(line, &rest, 16);
        const unsigned long end = strtoul(rest + 1, &rest, 16);

        if ((uintptr_t)at >= begin && (uintptr_t)at < end && strstr(line, ".seg") != NULL) {
            assert_memory_equal(rest, " r--s ", 6);
            found = true;
        }
    }
    (void)fclose(maps);
    return found;
}

/* ---- tests ---- */

/* A drain of seven segments, more than are mapped at once, delivers byte for byte what was
 * appended, with maps and with TUSK_CONSUMER_NO_MAP; with maps the daemon sends next to nothing and
 * has leased what is held, and nothing once the consumer is closed. */
static void a_mapped_drain_is_the_same_as_a_copied_one(void **state)
{
    static const uint32_t flags[] = {TUSK_CONSUMER_NO_MAP, 0};
    const uint64_t payload = (uint64_t)ENTRIES * ENTRY_SIZE;
    struct tusk *other = connect_to(*state);
    size_t i;

    fill(other, "t", 0, ENTRIES);
    for (i = 0; i < 2; i++) {
        struct tusk *t = connect_to(*state);
        struct tusk_consumer *consumer = open_consumer(t, NULL, flags[i]);
        const uint64_t sent = stat_of(other, "bytes_sent");
        struct tusk_entry entry;
        unsigned mapped = 0;
        uint64_t offset;

        for (offset = 0; offset < ENTRIES; offset++) {
            assert_int_equal(tusk_consumer_next(consumer, &entry, DAEMON_WAIT_MS), TUSK_OK);
            expect_entry(&entry, offset);
            if (is_mapped(entry.data)) {
                assert_in_range(stat_of(other, "leases"), 1, 3);
                mapped++;
            }
        }
        assert_int_equal(tusk_consumer_next(consumer, &entry, DAEMON_WAIT_MS), TUSK_EEND);
        assert_int_equal(tusk_consumer_close(consumer, DAEMON_WAIT_MS), TUSK_OK);
        await_no_leases(t);
        if (flags[i] == TUSK_CONSUMER_NO_MAP) {
            assert_int_equal(mapped, 0);
            assert_true(stat_of(other, "bytes_sent") - sent > payload);
        } else {
            assert_true(mapped > ENTRIES * 3 / 4);
            assert_true(stat_of(other, "bytes_sent") - sent < payload / 2);
        }
        assert_int_equal(tusk_close(t), TUSK_OK);
    }
    assert_int_equal(stat_of(other, "leases_left_behind"), 0);
    assert_int_equal(tusk_close(other), TUSK_OK);
}

/* A consumer that is closed, or sent elsewhere, in the middle of a batch gives it back; the
 * connection goes on. */
static void a_batch_given_up_in_the_middle_is_given_back(void **state)
{
    struct tusk *t = connect_to(*state);
    struct tusk_consumer *consumer;
    struct tusk_entry entry;
    unsigned round;

    fill(t, "t", 0, 21);
    for (round = 0; round < 200; round++) {
        const struct tusk_position first = {TUSK_FROM_EARLIEST, 0};

        consumer = open_consumer(t, NULL, 0);
        assert_int_equal(tusk_consumer_next(consumer, &entry, DAEMON_WAIT_MS), TUSK_OK);
        assert_int_equal(tusk_consumer_seek(consumer, first), TUSK_OK);
        assert_int_equal(tusk_consumer_next(consumer, &entry, DAEMON_WAIT_MS), TUSK_OK);
        expect_entry(&entry, 0);
        assert_true(is_mapped(entry.data));
        assert_int_equal(tusk_consumer_close(consumer, DAEMON_WAIT_MS), TUSK_OK);
    }
    await_no_leases(t);
    assert_int_equal(tusk_close(t), TUSK_OK);
}

/* A connection that is closed while consumers have reads under way keeps nothing for the process,
 * which lives on. */
static void a_closed_connection_keeps_nothing(void **state)
{
    struct tusk *other = connect_to(*state);
    unsigned round;

    fill(other, "t", 0, 21);
    for (round = 0; round < 50; round++) {
        struct tusk *t = connect_to(*state);
        struct tusk_consumer *consumer = open_consumer(t, NULL, 0);
        struct tusk_entry entry;

        assert_int_equal(tusk_consumer_next(consumer, &entry, DAEMON_WAIT_MS), TUSK_OK);
        assert_int_equal(tusk_consumer_close(consumer, DAEMON_WAIT_MS), TUSK_OK);
        assert_int_equal(tusk_close(t), TUSK_OK);
    }
    await_no_leases(other);
    assert_int_equal(stat_of(other, "leases_left_behind"), 0);
    assert_int_equal(tusk_close(other), TUSK_OK);
}

/* A consumer has a mapped batch when the daemon is killed; another one starts. Returns an entry of
 * the batch, the first. */
static struct tusk_entry hold_over_a_restart(struct daemon *daemon, struct tusk *t,
                                             struct tusk_consumer *consumer)
{
    struct tusk_entry entry;

    fill(t, "stays", 0, 1); /* In the first block: so the segment stays, too */
    fill(t, "t", 0, 25);
    assert_int_equal(tusk_consumer_next(consumer, &entry, DAEMON_WAIT_MS), TUSK_OK);
    expect_entry(&entry, 0);
    assert_true(is_mapped(entry.data));
    daemon_kill(daemon);
    daemon_start_with(daemon, options);
    return entry;
}

/* After the daemon was killed and started again, what the consumer has mapped and nobody has used
 * again is delivered to the end; then the connection is over. */
static void a_batch_outlives_the_daemon_that_lent_it(void **state)
{
    struct daemon *daemon = *state;
    struct tusk *t = connect_to(daemon);
    struct tusk_consumer *consumer = open_consumer(t, NULL, 0);
    struct tusk_entry entry = hold_over_a_restart(daemon, t, consumer);
    uint64_t offset = 1;
    int rc;

    expect_entry(&entry, 0);
    while ((rc = tusk_consumer_next(consumer, &entry, DAEMON_WAIT_MS)) == TUSK_OK) {
        expect_entry(&entry, offset++);
    }
    assert_true(rc == TUSK_EUNREACHABLE || rc == TUSK_ECLOSED);
    assert_in_range(offset, 9, 25); /* A block's worth at least */
    assert_int_equal(tusk_consumer_close(consumer, 0), TUSK_OK);
    assert_int_equal(tusk_close(t), TUSK_OK);
}

/* Use the blocks of topic "t" again, until what was an entry of it is not any more. Whatever stands
 * there meanwhile can be read. */
static void use_again(struct tusk *t, const struct tusk_entry *entry, char fill_with)
{
    static char data[ENTRY_SIZE];
    static char before[ENTRY_SIZE];
    unsigned i;

    make_entry(entry->offset, before);
    memset(data, fill_with, sizeof data);
    assert_memory_equal(entry->data, before, ENTRY_SIZE);
    assert_int_equal(tusk_topic_trim(t, "t", 24, NULL), TUSK_OK);
    for (i = 0; i < 1000 && memcmp(entry->data, before, ENTRY_SIZE) == 0; i++) {
        assert_int_equal(tusk_append(t, "more", data, ENTRY_SIZE, TUSK_APPEND_DURABLE, NULL),
                         TUSK_OK);
    }
    assert_memory_not_equal(entry->data, before, ENTRY_SIZE);
}

static int expect_no_cursor(void *user, const struct tusk_cursor_info *info)
{
    (void)user;
    fail_msg("a cursor \"%s\" was made", info->name);
    return -1;
}

static void notice(struct daemon *daemon, char fill_with)
{
    struct tusk *t = connect_to(daemon);
    struct tusk_consumer *consumer = open_consumer(t, "c", 0);
    struct tusk_entry entry = hold_over_a_restart(daemon, t, consumer);
    struct tusk *other = connect_to(daemon);
    unsigned k;

    use_again(other, &entry, fill_with);
    for (k = 0; k < 3; k++) {
        assert_int_equal(tusk_consumer_next(consumer, &entry, DAEMON_WAIT_MS), TUSK_ECLOSED);
        assert_int_equal(tusk_last_error(t)->code, TUSK_ECLOSED);
        assert_int_not_equal(tusk_consumer_checkpoint(consumer, DAEMON_WAIT_MS), TUSK_OK);
    }
    (void)tusk_consumer_close(consumer, 0); /* Its last checkpoint may have failed */
    assert_int_equal(tusk_close(t), TUSK_OK);
    assert_int_equal(tusk_cursor_list(other, "t", expect_no_cursor, NULL), TUSK_OK);
    assert_int_equal(tusk_close(other), TUSK_OK);
}

/* When a restarted daemon has used the block again, the very next call says TUSK_ECLOSED, whatever
 * stands in the block by now, also what would lead out of it: nothing of it is returned, no
 * checkpoint covers what was read from it, and later calls say the same. */
static void a_block_used_again_is_noticed_at_the_next_call(void **state)
{
    static const char fills[] = {0, (char)0xff, 7, 'x'};
    struct daemon *daemon = *state;
    size_t i;

    for (i = 0; i < sizeof fills; i++) {
        notice(daemon, fills[i]);
        daemon_stop(daemon);
        daemon_deinit(daemon);
        daemon_init(daemon);
        daemon_start_with(daemon, options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_mapped_drain_is_the_same_as_a_copied_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_batch_given_up_in_the_middle_is_given_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_closed_connection_keeps_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_outlives_the_daemon_that_lent_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_block_used_again_is_noticed_at_the_next_call, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
