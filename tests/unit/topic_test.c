/* A topic's own tables: blocks by offset, the sparse index, cursors by name and by id. */
#include "core/topic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/namespace.h"
#include "tests/sim/random.h"

/* A topic in a namespace that is nothing but settings. */
static int setup(void **state)
{
    struct namespace *ns = calloc(1, sizeof *ns);

    assert_non_null(ns);
    *state = topic_new(ns, 7, "orders", 6);
    return *state == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    struct topic *topic = *state;
    struct namespace *ns = topic->ns;

    topic_free(topic);
    free(ns);
    return 0;
}

static void add_block(struct topic *topic, uint64_t first, uint64_t end, uint32_t entries)
{
    const struct block block = {.segment_number = 1 + topic->block_count / 4,
                                .generation = 100 + topic->block_count,
                                .index = (uint16_t)(topic->block_count % 4),
                                .first_offset = first,
                                .end_offset = end,
                                .end = FORMAT_BLOCK_DATA + 100,
                                .entries = entries};

    assert_int_equal(topic_add_block(topic, &block), 0);
}

/* The block of an offset is the first whose entries reach behind it: in a gap it is the one behind the gap. */
static void the_block_of_an_offset_is_found(void **state)
{
    struct topic *topic = *state;
    uint64_t offset;
    unsigned i;

    assert_int_equal(topic_find_block(topic, 0), 0);
    for (i = 0; i < 9; i++) {
        add_block(topic, 100 * i, 100 * i + 60, 60); /* Forty are missing behind each */
    }
    for (offset = 0; offset < 1000; offset++) {
        const uint64_t expected = offset / 100 + (offset % 100 >= 60 ? 1 : 0);

        assert_int_equal(topic_find_block(topic, offset), expected > 9 ? 9 : expected);
    }
    assert_int_equal(topic_find_block(topic, UINT64_MAX), 9);
}

/* A block is found by address and generation; the same place in another generation is another block. */
static void the_block_of_an_address_is_found(void **state)
{
    struct topic *topic = *state;
    unsigned i;

    for (i = 0; i < 9; i++) {
        add_block(topic, i, i + 1, 1);
    }
    for (i = 0; i < 9; i++) {
        assert_int_equal(topic_find_address(topic, 1 + i / 4, (uint16_t)(i % 4), 100 + i), i);
        assert_int_equal(topic_find_address(topic, 1 + i / 4, (uint16_t)(i % 4), 99), 9);
    }
}

/* Entries are counted by block, never by subtracting offsets over a gap. */
static void entries_are_not_counted_over_gaps(void **state)
{
    struct topic *topic = *state;

    add_block(topic, 0, 10, 10);
    add_block(topic, 1000000, 1000010, 10);
    add_block(topic, 1000010, 2000000, 5); /* A gap inside */
    assert_int_equal(topic_entries_from(topic, 0), 25);
    assert_int_equal(topic_entries_from(topic, 4), 21);
    assert_int_equal(topic_entries_from(topic, 10), 15);
    assert_int_equal(topic_entries_from(topic, 999999), 15);
    assert_int_equal(topic_entries_from(topic, 1000009), 6);
    assert_int_equal(topic_entries_from(topic, 1999999), 1);
    assert_int_equal(topic_entries_from(topic, 2000000), 0);
    assert_int_equal(topic_entries_from(topic, UINT64_MAX), 0);
}

/* When the last block goes, the one before is active again, with its own seed and end. */
static void removing_the_active_block_makes_the_one_before_active(void **state)
{
    struct topic *topic = *state;
    uint32_t seed;

    add_block(topic, 0, 10, 10);
    seed = topic->seed;
    add_block(topic, 10, 20, 10);
    assert_true(topic->seed != seed);
    topic->tail_position = 12345;
    topic_remove_block(topic, 1);
    assert_int_equal(topic->seed, seed);
    assert_int_equal(topic->tail_position, FORMAT_BLOCK_DATA + 100);
    add_block(topic, 10, 20, 10);
    seed = topic->seed;
    topic_remove_block(topic, 0);
    assert_int_equal(topic->seed, seed);
    assert_ptr_equal(topic_active(topic), &topic->blocks[0]);
    topic_drop_blocks(topic, 1);
    assert_null(topic_active(topic));
}

static void note(struct topic *topic, uint32_t interval, uint32_t position)
{
    topic_note_index(topic, interval,
                     &(struct format_index_entry){
                         .offset = position, .position = position, .entries = position / 2});
}

/* The sparse index has an entry for the block's first batch, then one whenever an interval has passed, and never
 * more than its page holds. */
static void the_sparse_index_keeps_its_interval(void **state)
{
    struct topic *topic = *state;
    uint32_t position;
    uint32_t i;

    add_block(topic, 0, 0, 0);
    for (position = FORMAT_BLOCK_DATA; position < FORMAT_BLOCK_DATA + 100000; position += 160) {
        note(topic, 1000, position);
    }
    assert_non_null(topic->index);
    assert_int_equal(topic->index->entries[0].position, FORMAT_BLOCK_DATA);
    for (i = 1; i < topic->index->count; i++) {
        const struct format_index_entry *entry = &topic->index->entries[i];

        assert_int_equal(entry->position - entry[-1].position, 1120);
        assert_int_equal(entry->offset, entry->position);
        assert_int_equal(entry->entries, entry->position / 2);
    }
    for (i = 0; i < 1000; i++) {
        note(topic, 1, position + 16 * i);
    }
    assert_int_equal(topic->index->count, FORMAT_INDEX_MAX);
}

/* Notes may come in any order, as walks after a restart make them: the index stays sorted, and no two of its entries
 * are nearer than the interval. */
static void the_sparse_index_takes_notes_in_any_order(void **state)
{
    struct topic *topic = *state;
    struct random random;
    unsigned i;

    random_init(&random, 7);
    add_block(topic, 0, 0, 0);
    for (i = 0; i < 2000; i++) {
        note(topic, 1000, FORMAT_BLOCK_DATA + 16 * (uint32_t)random_below(&random, 6000));
    }
    assert_true(topic->index->count > 40);
    for (i = 1; i < topic->index->count; i++) {
        const struct format_index_entry *entry = &topic->index->entries[i];

        assert_true(entry->position >= entry[-1].position + 1000);
        assert_int_equal(entry->offset, entry->position);
    }
}

/* ---- cursors ---- */

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* However they come and go, cursors stay in byte order of names, and each is found by name and by id. */
static void cursors_stay_sorted(void **state)
{
    struct topic *topic = *state;
    struct random random;
    char names[200][16];
    char *alive[200];
    uint64_t ids[200];
    unsigned count = 0;
    unsigned i;
    unsigned k;

    random_init(&random, 3);
    for (i = 0; i < 200; i++) {
        (void)snprintf(names[i], sizeof names[i], "%u",
                       (unsigned)random_below(&random, 9999) * 200 + i);
        ids[i] = topic->next_cursor_id;
        assert_non_null(topic_cursor_add(topic, ids[i], names[i], strlen(names[i]), i, 1));
        if (i % 3 == 2) {
            k = (unsigned)random_below(&random, i + 1);
            if (topic_cursor_by_id(topic, ids[k]) != NULL) {
                topic_cursor_remove(topic, topic_cursor_by_id(topic, ids[k]));
                assert_null(topic_cursor_find(topic, names[k], strlen(names[k])));
            }
        }
    }
    for (i = 0; i < 200; i++) {
        struct cursor *cursor = topic_cursor_by_id(topic, ids[i]);

        assert_ptr_equal(cursor, topic_cursor_find(topic, names[i], strlen(names[i])));
        if (cursor != NULL) {
            assert_int_equal(cursor->offset, i);
            alive[count++] = names[i];
        }
    }
    assert_int_equal(count, topic->cursor_count);
    /* cppcheck-suppress uninitvar ; the first count are written */
    qsort(alive, count, sizeof alive[0], by_bytes);
    for (i = 0; i < count; i++) {
        assert_memory_equal(topic->cursors[i]->name, alive[i], strlen(alive[i]));
        assert_int_equal(topic_cursor_after(topic, alive[i], strlen(alive[i])), i + 1);
    }
    assert_int_equal(topic_cursor_after(topic, NULL, 0), 0);
}

/* What reclaim may rely on: the least of what every cursor could still need. */
static void the_floor_is_what_the_slowest_durable_cursor_needs(void **state)
{
    struct topic *topic = *state;
    struct cursor *fast;
    struct cursor *slow;

    assert_int_equal(topic_cursor_floor(topic), UINT64_MAX);
    fast = topic_cursor_add(topic, 1, "fast", 4, 100, 1);
    slow = topic_cursor_add(topic, 2, "slow", 4, 40, 1);
    assert_int_equal(topic_cursor_floor(topic), 40);
    slow->offset = 80; /* Not durable yet */
    assert_int_equal(topic_cursor_floor(topic), 40);
    slow->durable_offset = 80;
    assert_int_equal(topic_cursor_floor(topic), 80);
    fast->offset = 10; /* A seek back counts at once */
    assert_int_equal(topic_cursor_floor(topic), 10);
}

/* Names are compared as bytes, a shorter one before a longer one that begins with it. */
static void names_are_compared_as_bytes(void **state)
{
    (void)state;
    assert_true(name_compare("a", 1, "b", 1) < 0);
    assert_true(name_compare("\xff", 1, "a", 1) > 0);
    assert_true(name_compare("a", 1, "aa", 2) < 0);
    assert_true(name_compare("", 0, "a", 1) < 0);
    assert_true(name_compare("a\0b", 3, "a\0c", 3) < 0);
    assert_int_equal(name_compare("same", 4, "same", 4), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_block_of_an_offset_is_found),
        TEST(the_block_of_an_address_is_found),
        TEST(entries_are_not_counted_over_gaps),
        TEST(removing_the_active_block_makes_the_one_before_active),
        TEST(the_sparse_index_keeps_its_interval),
        TEST(the_sparse_index_takes_notes_in_any_order),
        TEST(cursors_stay_sorted),
        TEST(the_floor_is_what_the_slowest_durable_cursor_needs),
        cmocka_unit_test(names_are_compared_as_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
