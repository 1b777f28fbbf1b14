/* Losses that another log was seen to have, each with the opposite shown here: what a refusal leaves
 * behind, what a restart does to reclaimed topics, what producers do to each other, and what a
 * checkpoint costs. The other lessons have their tests where their code is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/fixture.h"

#define PRODUCERS 4u
#define BATCHES 200u
#define BATCH_ENTRIES 5u
#define LARGE_COUNT 40u
#define DESCRIPTORS 256u
#define TOPICS 1000u
#define LARGE_SIZE 200000u /* Five fill a block of 1 MiB */

static struct message_topic_info topic_info(struct wire *wire, const char *topic)
{
    const struct message message = {.type = MESSAGE_TOPIC_INFO, .u.topic = wire_topic(topic)};
    struct message_topic_info info;
    struct wire_reply reply;

    assert_int_equal(wire_call(wire, &message, &reply), 0);
    assert_int_equal(message_topic_info_decode(&info, reply.body, reply.size), 0);
    return info;
}

/* ---- producers beside each other ---- */

struct interleaved {
    unsigned next[PRODUCERS]; /* Batch expected of each */
    unsigned producer;
    unsigned entry; /* Expected next within the batch that is open; 0: none is open */
    unsigned batches;
};

static void check_interleaved(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    struct interleaved *seen = arg;
    unsigned producer;
    unsigned batch;
    unsigned entry;
    char text[40] = "";

    (void)offset;
    assert_true(size < sizeof text);
    memcpy(text, data, size);
    assert_int_equal(sscanf(text, "%u %u %u", &producer, &batch, &entry), 3);
    assert_true(producer < PRODUCERS);
    assert_int_equal(entry, seen->entry);
    assert_true(entry == 0 || producer == seen->producer);
    assert_int_equal(batch, seen->next[producer]);
    seen->producer = producer;
    seen->entry = (entry + 1) % BATCH_ENTRIES;
    if (seen->entry == 0) {
        seen->next[producer]++;
        seen->batches++;
    }
}

static void send_batch(struct wire *wire, unsigned producer, unsigned batch)
{
    char texts[BATCH_ENTRIES][40];
    const char *pointers[BATCH_ENTRIES];
    struct message message;
    uint8_t *bytes;
    unsigned i;

    for (i = 0; i < BATCH_ENTRIES; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "%u %u %u", producer, batch, i);
        pointers[i] = texts[i];
    }
    message = wire_append_message("t", pointers, BATCH_ENTRIES, &bytes);
    assert_true(wire_send(wire, &message) != 0);
    free(bytes);
}

/* Batches of several producers at once on one topic are all stored, each in one piece, each
 * producer's in its order; none is refused because another is under way. */
static void producers_of_one_topic_do_not_refuse_each_other(void **state)
{
    struct daemon *daemon = *state;
    struct interleaved seen = {0};
    struct wire wires[PRODUCERS];
    struct wire_reply reply;
    unsigned producer;
    unsigned i;

    for (producer = 0; producer < PRODUCERS; producer++) {
        wire_open(&wires[producer], daemon->socket, "default");
    }
    for (i = 0; i < BATCHES; i++) {
        for (producer = 0; producer < PRODUCERS; producer++) {
            send_batch(&wires[producer], producer, i);
        }
    }
    for (producer = 0; producer < PRODUCERS; producer++) {
        for (i = 0; i < BATCHES; i++) {
            assert_true(wire_receive(&wires[producer], &reply));
            assert_int_equal(reply.status, 0);
        }
    }
    (void)wire_drain(&wires[0], "t", 0, check_interleaved, &seen);
    assert_int_equal(seen.batches, PRODUCERS * BATCHES);
    assert_int_equal(seen.entry, 0);
    for (producer = 0; producer < PRODUCERS; producer++) {
        wire_close(&wires[producer]);
    }
}

/* ---- refusals ---- */

/* A name or a batch over its limit is refused, alone and in a batch, and leaves nothing: neither
 * in this run nor after a kill does it hide what was appended before and behind it. */
static void refusals_hide_nothing_after_a_restart(void **state)
{
    static const char *const texts[] = {"before", "behind", "after the restart"};
    struct daemon *daemon = *state;
    struct wire wire;
    char name[257];
    unsigned i;

    memset(name, 'n', sizeof name);
    name[256] = '\0';
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append_one(&wire, "t", texts[0]), 0);
    assert_int_equal(wire_append_one(&wire, name, "x"), TUSK_EINVALID);
    assert_int_equal(wire_append(&wire, name, texts, 3, NULL), TUSK_EINVALID);
    assert_int_equal(wire_append_fill(&wire, "t", 'x', 512 * 1024 + 1), TUSK_ETOOBIG);
    assert_int_equal(wire_append_fill(&wire, "new", 'x', 512 * 1024 + 1), TUSK_ETOOBIG);
    assert_int_equal(wire_append_one(&wire, "t", texts[1]), 0);
    for (i = 0; i < 8; i++) {
        assert_int_equal(wire_append_fill(&wire, "other", 'y', LARGE_SIZE), 0);
    }
    wire_close(&wire);
    daemon_kill(daemon);
    daemon_start_with(daemon, fixture_small);
    wire_open(&wire, daemon->socket, "default");
    wire_expect_entries(&wire, "t", 0, texts, 2);
    assert_int_equal(topic_info(&wire, "other").entries, 8);
    assert_int_equal(wire_stat(&wire, "topics"), 2);
    assert_int_equal(wire_append_one(&wire, "t", texts[2]), 0);
    assert_int_equal(topic_info(&wire, "t").entries, 3);
    wire_close(&wire);
}

/* ---- reclaim ---- */

static void append_large(struct wire *wire, unsigned from, unsigned to)
{
    char *text = malloc(LARGE_SIZE + 1);
    unsigned i;

    assert_non_null(text);
    memset(text, '.', LARGE_SIZE);
    text[LARGE_SIZE] = '\0';
    for (i = from; i < to; i++) {
        (void)snprintf(text, 12, "%010u.", i);
        text[11] = '.';
        assert_int_equal(wire_append_one(wire, "t", text), 0);
    }
    free(text);
}

static void check_large(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    unsigned *next = arg;

    (void)offset;
    assert_int_equal(size, LARGE_SIZE);
    assert_int_equal(strtoul((const char *)data, NULL, 10), *next);
    ++*next;
}

/* Read by the cursor to the end: every entry from *next on, once, in order. */
static void read_by_cursor(struct wire *wire, uint16_t flags, unsigned *next, unsigned count)
{
    struct message message = wire_read_message("t", 0);
    struct wire_reply reply;
    unsigned begin;

    message.u.read.cursor = wire_name("c");
    message.u.read.position = (struct message_position){.kind = POSITION_CURSOR};
    message.u.read.flags = flags;
    for (begin = *next; *next < begin + count;) {
        message.u.read.max_entries = begin + count - *next;
        assert_int_equal(wire_call(wire, &message, &reply), 0);
        wire_entries(&reply, check_large, next);
        if ((flags & READ_CONSUME) == 0) {
            return;
        }
    }
}

static void await_first(struct wire *wire, uint64_t first)
{
    const uint64_t end = daemon_now_ms() + WIRE_WAIT_MS;

    while (topic_info(wire, "t").first < first) {
        assert_true(daemon_now_ms() < end);
    }
}

/* Consumed blocks go; peeks up to the end of a block give nothing up; after a kill the cursor goes on
 * at the very next entry, and reclaim goes on too. */
static void reclaim_and_restart_skip_nothing(void **state)
{
    const struct message set = {
        .type = MESSAGE_TOPIC_SET,
        .u.topic_settings = {.topic = wire_topic("t"),
                             .settings = {.count = 1,
                                          .items = {{SETTING_RETENTION, RETENTION_CONSUMED}}}},
    };
    struct daemon *daemon = *state;
    struct wire_reply reply;
    struct wire wire;
    unsigned next = 0;
    unsigned peeked;

    wire_open(&wire, daemon->socket, "default");
    append_large(&wire, 0, LARGE_COUNT);
    read_by_cursor(&wire, READ_CONSUME, &next, 12);
    assert_int_equal(wire_call(&wire, &set, &reply), 0);
    await_first(&wire, 10);
    peeked = next;
    read_by_cursor(&wire, 0, &peeked, LARGE_COUNT - 12);
    assert_true(peeked > 12);
    assert_int_equal(topic_info(&wire, "t").first, 10);
    wire_close(&wire);
    daemon_kill(daemon);
    daemon_start_with(daemon, fixture_small);
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_cursor(&wire, "t", "c"), 12);
    read_by_cursor(&wire, READ_CONSUME, &next, LARGE_COUNT - 12);
    assert_int_equal(next, LARGE_COUNT);
    await_first(&wire, 35);
    wire_close(&wire);
}

/* ---- the cost of a checkpoint ---- */

/* Journal bytes of 100 strict checkpoints of cursor "c". */
static uint64_t checkpoint_bytes(struct wire *wire, uint64_t from)
{
    const uint64_t before = wire_stat(wire, "journal_bytes");
    uint64_t i;

    for (i = 0; i < 100; i++) {
        assert_int_equal(wire_checkpoint(wire, "t", "c", from + i), 0);
    }
    return wire_stat(wire, "journal_bytes") - before;
}

/* A strict checkpoint writes a record of its own, whatever the number of cursors. */
static void a_checkpoint_costs_the_same_among_many_cursors(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;
    uint64_t few;
    uint64_t many;
    char name[16];
    unsigned i;

    wire_open(&wire, daemon->socket, "default");
    for (i = 0; i < 300; i++) {
        assert_int_equal(wire_append_one(&wire, "t", "x"), 0);
    }
    few = checkpoint_bytes(&wire, 1);
    for (i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof name, "cursor %u", i);
        assert_int_equal(wire_checkpoint(&wire, "t", name, 1), 0);
    }
    many = checkpoint_bytes(&wire, 101);
    assert_true(few <= 100 * 1024);
    assert_true(many <= 100 * 1024);
    wire_close(&wire);
}

/* ---- the cost of a topic ---- */

/* No file belongs to a topic: a daemon with few descriptors serves many more topics than it has of those, also when it
 * finds them again. */
static void topics_take_no_descriptors(void **state)
{
    const char *const text = "x";
    struct daemon *daemon = *state;
    struct wire_reply reply;
    struct wire wire;
    unsigned round;
    unsigned i;

    daemon->descriptors = DESCRIPTORS;
    for (round = 0; round < 2; round++) {
        daemon_start(daemon, NULL);
        wire_open(&wire, daemon->socket, "default");
        for (i = 0; i < TOPICS; i++) {
            struct message message;
            uint8_t *bytes;
            char topic[16];

            (void)snprintf(topic, sizeof topic, "t%u", i);
            message = wire_append_message(topic, &text, 1, &bytes);
            assert_true(wire_send(&wire, &message) != 0);
            free(bytes);
        }
        for (i = 0; i < TOPICS; i++) {
            assert_true(wire_receive(&wire, &reply));
            assert_int_equal(reply.status, 0);
        }
        wire_close(&wire);
        wire_open(&wire, daemon->socket, "default"); /* Connections are still accepted */
        wire_close(&wire);
        daemon_kill(daemon);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_RUNNING_TEST(producers_of_one_topic_do_not_refuse_each_other),
        FIXTURE_RUNNING_TEST(refusals_hide_nothing_after_a_restart),
        FIXTURE_RUNNING_TEST(reclaim_and_restart_skip_nothing),
        FIXTURE_RUNNING_TEST(a_checkpoint_costs_the_same_among_many_cursors),
        FIXTURE_TEST(topics_take_no_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
