/* Ranges of blocks that are damaged, or whose index is not to be had: what can be read is
 * delivered, and what cannot is told, exactly as to a reader that has no ranges. */
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "tests/unit/range_fixture.h"

/* ---- memory ---- */

static bool no_index; /* calloc() of as much as the index of a block takes fails */

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
    const bool index = count == 1 && size >= FORMAT_PAGE && size <= FORMAT_PAGE + 64;

    return no_index && index ? NULL : __real_calloc(count, size);
}

/* ---- damage ---- */

/* Damage in a range is not seen here, and not counted; the same read without ranges names
 * exactly what is gone. */
static void damage_in_a_range_is_seen_by_who_asks_again(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read;
    uint8_t data[32u << 10];
    char path[IO_PATH_SIZE];
    uint64_t at;

    range_store(f);
    at = range_place(f, 0, path);
    sim_disk_flip_bit(f->disk, path, 8 * (at + 500));
    assert_int_equal(range_ask_unchecked(f, &read, 0), 0);
    assert_true(is_range(&read));
    range_copy(&read.request.range, data);
    assert_false(range_checks_out(f, &read.request, data));
    assert_int_equal(fixture_stat(f, "corrupt_reads"), 0);
    range_end(&read);
    read = (struct fixture_read){0};
    assert_int_equal(range_ask(f, &read, 0), TUSK_ECORRUPT);
    assert_int_equal(read.request.base.detail_a, 0);
    assert_int_equal(read.request.base.detail_b, RANGE_PER_BATCH);
    assert_int_equal(fixture_stat(f, "corrupt_reads"), 1);
    range_end(&read);
}

/* Wherever the damage is, a reader of ranges that asks again is told of the same entries as one
 * that never saw a range, and has all others. */
static void a_drain_of_ranges_loses_exactly_what_is_damaged(void **state)
{
    struct fixture *f = *state;
    char path[IO_PATH_SIZE];
    unsigned i;

    range_fill(f);
    fixture_stop(f);
    for (i = 0; i < RANGE_BATCHES; i++) {
        const uint64_t bit = 8 * (range_place(f, i, path) + 3 + 61 * i) + i % 8;
        struct range_stream ranges;

        sim_disk_flip_bit(f->disk, path, bit);
        fixture_open(f);
        ranges = range_drain(f, (struct fixture_read){.request.unchecked = true});
        assert_true(ranges.ranges > 0);
        assert_int_equal(ranges.gone, 1);
        assert_int_equal(ranges.gone_from[0], RANGE_PER_BATCH * i);
        assert_int_equal(ranges.gone_to[0], RANGE_PER_BATCH * (i + 1));
        assert_int_equal(ranges.size, (RANGE_BATCHES - 1) * RANGE_BATCH_PADDED);
        free(ranges.bytes);
        assert_true(range_compare_drains(f, 7000, 0) > 0);
        range_expect_nothing_pinned(f);
        fixture_stop(f);
        sim_disk_flip_bit(f->disk, path, bit);
    }
}

/* ---- what shows where batches begin ---- */

/* A block whose seal or index is damaged is read as ever, and whole: seals and indexes are
 * derived. */
static void without_seal_or_index_there_is_no_range(void **state)
{
    struct fixture *f = *state;
    unsigned damaged; /* 0: nothing; 1: the seal; 2: the index */

    range_fill(f);
    fixture_stop(f);
    for (damaged = 0; damaged < 3; damaged++) {
        char path[IO_PATH_SIZE];
        const uint64_t block = range_place(f, 0, path) - FORMAT_BLOCK_DATA;
        const uint64_t bit = 8 * (block + (damaged == 1 ? FORMAT_PAGE : 7 * FORMAT_PAGE)) + 1;
        struct fixture_read read;

        if (damaged > 0) {
            sim_disk_flip_bit(f->disk, path, bit);
        }
        fixture_open(f);
        assert_int_equal(range_ask_unchecked(f, &read, 0), 0);
        assert_int_equal(is_range(&read), damaged == 0);
        assert_int_equal(read.request.from, 0);
        range_end(&read);
        (void)range_compare_drains(f, 0, 0);
        fixture_stop(f);
        if (damaged > 0) {
            sim_disk_flip_bit(f->disk, path, bit);
        }
    }
}

/* Readers of several blocks by turns have ranges of each, that begin and end where batches of that
 * block do. */
static void each_block_has_its_own_index(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read;
    uint64_t second;
    unsigned i;

    range_store(f);
    assert_int_equal(range_ask_unchecked(f, &read, 0), 0);
    assert_true(is_range(&read));
    second = read.request.to;
    range_end(&read);
    for (i = 0; i < 4; i++) {
        const uint64_t from = i % 2 == 0 ? second : 0;
        uint8_t data[9000];

        read = (struct fixture_read){.request = {.unchecked = true, .max_bytes = sizeof data}};
        assert_int_equal(range_ask(f, &read, from), 0);
        assert_true(is_range(&read)); /* A part of the block: only its index says where it ends */
        assert_int_equal(read.request.from, from);
        range_copy(&read.request.range, data);
        assert_true(range_checks_out(f, &read.request, data));
        range_end(&read);
    }
}

/* Without memory for an index reads go on as ever; ranges come with the memory. */
static void without_memory_for_an_index_there_is_no_range(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read;

    range_store(f);
    no_index = true;
    assert_int_equal(range_ask_unchecked(f, &read, 0), 0);
    assert_false(is_range(&read));
    assert_non_null(read.request.data);
    assert_true(range_checks_out(f, &read.request, read.request.data));
    range_end(&read);
    no_index = false;
    assert_int_equal(range_ask_unchecked(f, &read, 0), 0);
    assert_true(is_range(&read));
    range_end(&read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RANGE_TEST(damage_in_a_range_is_seen_by_who_asks_again),
        RANGE_TEST(a_drain_of_ranges_loses_exactly_what_is_damaged),
        RANGE_TEST(without_seal_or_index_there_is_no_range),
        RANGE_TEST(each_block_has_its_own_index),
        RANGE_TEST(without_memory_for_an_index_there_is_no_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
