/* Tails: what is in the journal and not yet in its block is served all the same, and gets there before the
 * ring needs its memory. */
#include <stdlib.h>
#include <string.h>

#include "core/namespace.h"
#include "core/tail.h"
#include "tests/support/engine_fixture.h"

static struct topic *topic_of(struct fixture *f, const char *name)
{
    const struct engine_topic_ref ref = {.name = name, .name_size = strlen(name)};
    struct topic *topic = namespace_topic(f->ns, &ref);

    assert_non_null(topic);
    return topic;
}

/* A small append stays in memory: no block is written for it, and it is read from there. */
static void a_small_append_writes_no_block(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_append_strings(f, "t", "b", NULL);
    assert_int_equal(fixture_stat(f, "tail_applies"), 0);
    assert_true(topic_of(f, "t")->tail_bytes > 0);
    assert_int_equal(topic_of(f, "t")->tail_position, FORMAT_BLOCK_DATA);
    fixture_expect(f, "t", "a", "b", NULL);
}

/* At its size a tail is applied, with one write, and begins anew. */
static void a_tail_is_applied_at_its_size(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    unsigned i;

    fixture_open(f);
    for (i = 0; fixture_stat(f, "tail_applies") == 0; i++) {
        assert_true(i < 10);
        assert_int_equal(fixture_log_append(f, &log, 1, 1000, true), 0);
        fixture_turn(f);
    }
    assert_true(topic_of(f, "t")->tail_bytes < f->options.tail_apply_bytes);
    assert_true(topic_of(f, "t")->tail_position >= FORMAT_BLOCK_DATA + f->options.tail_apply_bytes);
    fixture_log_check(f, &log, i);
}

/* A direct write takes the tail before it along, so that a block has no holes. */
static void a_direct_write_takes_the_tail_along(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_append_strings(f, "t", "b", NULL);
    assert_int_equal(fixture_append_size(f, "t", 6000), 0);
    assert_int_equal(fixture_stat(f, "direct_appends"), 1);
    assert_int_equal(topic_of(f, "t")->tail_bytes, 0);
    assert_int_equal(topic_of(f, "t")->tail_position, topic_active(topic_of(f, "t"))->end);
    fixture_append_strings(f, "t", "c", NULL);
    assert_int_equal(fixture_info(f, "t").end, 4);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 2), 0);
    fixture_kill(f);
    assert_int_equal(fixture_info(f, "t").end, 4);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 0), 0);
}

/* Many topics with small tails: the oldest are applied before the ring comes round, and nothing is overwritten
 * that a reader or recovery needs. */
static void the_ring_never_overtakes_a_tail(void **state)
{
    enum { TOPICS = 60, ROUNDS = 25 };
    struct fixture *f = *state;
    struct fixture_log logs[TOPICS];
    char names[TOPICS][8];
    unsigned i;
    unsigned k;

    f->options.settings.fsync_ms = 1;
    f->options.manifest_journal_bytes = 400u << 10; /* The ring, not manifests */
    fixture_open(f);
    for (i = 0; i < TOPICS; i++) {
        memcpy(names[i], "topic00", 8);
        names[i][5] = (char)('0' + i / 10);
        names[i][6] = (char)('0' + i % 10);
        logs[i] = (struct fixture_log){.topic = names[i]};
    }
    for (k = 0; k < ROUNDS; k++) {
        for (i = 0; i < TOPICS; i++) {
            assert_int_equal(fixture_log_append(f, &logs[i], 1, 60 + 7 * (i % 40), false), 0);
            assert_true(f->ns->ring.head - tail_oldest(f->ns) <= f->ns->ring.size);
        }
    }
    assert_true(f->ns->ring.head > 2 * f->ns->ring.size);
    for (i = 0; i < TOPICS; i++) {
        fixture_log_check(f, &logs[i], ROUNDS);
    }
    fixture_kill(f);
    for (i = 0; i < TOPICS; i++) {
        fixture_log_check(f, &logs[i], ROUNDS);
    }
}

/* In one turn no more is applied than a turn is given, but where the ring needs its memory. */
static void a_turn_applies_a_bounded_part(void **state)
{
    enum { TOPICS = 60 };
    struct fixture *f = *state;
    uint64_t before;
    uint64_t most = 0;
    unsigned i;
    unsigned k;

    f->options.settings.fsync_ms = 1;
    f->options.ring_size = 4u << 20;
    f->options.tail_apply_bytes = 16u << 10;
    f->options.direct_threshold = 14u << 10;
    f->options.journal_size_max = 64u << 20;
    f->options.manifest_journal_bytes = 32u << 20;
    f->options.journal_file_max = 1u << 20;
    fixture_open(f);
    for (k = 0; k < 3; k++) {
        for (i = 0; i < TOPICS; i++) {
            char name[] = "t00";

            name[1] = (char)('0' + i / 10);
            name[2] = (char)('0' + i % 10);
            before = fixture_stat(f, "tail_apply_bytes");
            assert_int_equal(fixture_append_size(f, name, k == 0 ? 10 : 9000), 0);
            fixture_turn(f);
            if (fixture_stat(f, "tail_apply_bytes") - before > most) {
                most = fixture_stat(f, "tail_apply_bytes") - before;
            }
        }
        fixture_settle(f);
    }
    assert_true(fixture_stat(f, "tail_applies") >= TOPICS);
    assert_true(most > 0);
    assert_true(most <= TAIL_APPLY_TURN + (16u << 10));
}

/* ---- a turn that is larger than the ring ---- */

enum { FLOOD_SIZE = 3000 };

struct flood {
    uint8_t data[FLOOD_SIZE];
    uint64_t expected;
};

/* Entries that say their number. */
static void flood_fill(struct flood *flood, uint64_t number)
{
    memset(flood->data, (int)(number % 251), sizeof flood->data);
    memcpy(flood->data, &number, sizeof number);
}

static void flood_check(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    struct flood *flood = arg;

    flood_fill(flood, offset);
    assert_int_equal(offset, flood->expected);
    assert_int_equal(size, FLOOD_SIZE);
    assert_memory_equal(data, flood->data, FLOOD_SIZE);
    flood->expected++;
}

static void flood_expect(struct fixture *f, const char *topic, uint64_t count)
{
    struct flood flood = {.expected = 0};

    assert_int_equal(fixture_read_all(f, topic, 1u << 20, flood_check, &flood), count);
    assert_int_equal(flood.expected, count);
}

/* Append so many entries in one turn, to one topic after the other, each behind those it has. */
static void flood_topics(struct fixture *f, const char *const *topics, unsigned topic_count,
                         uint64_t *ends, unsigned count)
{
    struct fixture_append *appends = calloc(count, sizeof *appends);
    struct flood flood;
    unsigned i;

    assert_non_null(appends);
    for (i = 0; i < count; i++) {
        const struct batch_entry entry = {.data = flood.data, .size = FLOOD_SIZE};

        flood_fill(&flood, ends[i % topic_count]++);
        fixture_append_begin(f, &appends[i], topics[i % topic_count], &entry, 1);
    }
    for (i = 0; i < count; i++) {
        assert_int_equal(fixture_append_end(f, &appends[i]), 0);
    }
    free(appends);
}

/* A journal file may be larger than the ring: then a turn fits the file, and its own first batches have
 * left memory before its last ones come. They are written first, and read from their blocks. */
static void a_turn_larger_than_the_ring_loses_nothing(void **state)
{
    static const char *const topics[] = {"a", "b", "c"};
    struct fixture *f = *state;
    uint64_t ends[3] = {0};
    uint64_t before;
    unsigned i;

    f->options.settings.fsync_ms = 1000;
    f->options.block_size = 1u << 20;
    f->options.journal_file_min = 64u << 10;
    f->options.journal_file_max = 2u << 20;
    f->options.journal_size_max = 64u << 20;
    f->options.manifest_journal_bytes = 32u << 20;
    f->options.ring_size = 256u << 10;
    f->options.tail_apply_bytes = 32u << 10;
    f->options.direct_threshold = 128u << 10;
    f->options.unsynced_bytes_max = 32u << 20;
    fixture_open(f);
    while (f->ns->journal.current->size < 2u << 20) { /* They grow with the load */
        flood_topics(f, topics, 3, ends, 30);
    }
    for (i = 0; i < 2; i++) {
        before = f->ns->ring.head;
        flood_topics(f, topics, i == 0 ? 3 : 1, ends, 300);
        assert_true(f->ns->ring.head - before > 3 * f->options.ring_size);
    }
    for (i = 0; i < 3; i++) {
        flood_expect(f, topics[i], ends[i]);
    }
    fixture_kill(f);
    for (i = 0; i < 3; i++) {
        flood_expect(f, topics[i], ends[i]);
    }
}

/* A topic that is deleted with a tail leaves nothing behind that another topic could read. */
static void a_deleted_topics_tail_is_gone(void **state)
{
    struct fixture *f = *state;
    unsigned i;

    fixture_open(f);
    for (i = 0; i < 20; i++) {
        fixture_append_strings(f, "t", "old", NULL);
        assert_int_equal(fixture_delete(f, "t"), 0);
        fixture_append_strings(f, "t", "new", NULL);
        fixture_expect(f, "t", "new", NULL);
        assert_int_equal(fixture_delete(f, "t"), 0);
        fixture_pass(f, 1000);
    }
    fixture_append_strings(f, "t", "last", NULL);
    fixture_kill(f);
    fixture_expect(f, "t", "last", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_small_append_writes_no_block),
        FIXTURE_TEST(a_tail_is_applied_at_its_size),
        FIXTURE_TEST(a_direct_write_takes_the_tail_along),
        FIXTURE_TEST(the_ring_never_overtakes_a_tail),
        FIXTURE_TEST(a_turn_applies_a_bounded_part),
        FIXTURE_TEST(a_turn_larger_than_the_ring_loses_nothing),
        FIXTURE_TEST(a_deleted_topics_tail_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
