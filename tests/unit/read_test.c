/* Reads: what comes back from every kind of place, and what a reader is told when nothing can. Damage is in
 * read_damage_test.c, waiting and cursors are in read_wait_test.c. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/engine_fixture.h"

/* A read of one range; the caller frees it. */
static int read_at(struct fixture *f, struct fixture_read *read, uint64_t offset,
                   uint32_t max_bytes, uint32_t max_entries)
{
    *read = (struct fixture_read){.request = {.position = ENGINE_AT_OFFSET,
                                              .value = offset,
                                              .max_bytes = max_bytes,
                                              .max_entries = max_entries}};
    fixture_read_begin(f, read, "t");
    return fixture_read_end(f, read);
}

/* At the end there is no entry yet, and the reader learns where the end is; behind it there is no such
 * position. A topic that is not there is not found. */
static void the_end_is_told_with_its_offset(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", "b", NULL);
    assert_int_equal(read_at(f, &read, 2, 100, 10), TUSK_EEND);
    assert_int_equal(read.request.base.detail_a, 2);
    assert_int_equal(read.request.base.detail_b, 2);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_LATEST, 0), TUSK_EEND);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 3), TUSK_EINVALID);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, UINT64_MAX), TUSK_EINVALID);
    assert_int_equal(fixture_try_read(f, "nosuch", ENGINE_AT_EARLIEST, 0), TUSK_ENOTFOUND);
}

/* Entries that were given up are said to be, with the first that is kept. */
static void trimmed_entries_are_told_apart(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", "b", "c", NULL);
    assert_int_equal(fixture_trim(f, "t", 2), 0);
    assert_int_equal(read_at(f, &read, 1, 100, 10), TUSK_ETRIMMED);
    assert_int_equal(read.request.base.detail_a, 2);
    fixture_expect(f, "t", "c", NULL);
    fixture_kill(f);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 1), TUSK_ETRIMMED);
    fixture_expect(f, "t", "c", NULL);
}

/* An unclean stop leaves a gap of offsets. A read that begins in it, or before it, goes on behind it. */
static void a_gap_is_stepped_over(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read;
    uint64_t second;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", "b", NULL);
    fixture_kill(f);
    second = fixture_append_strings(f, "t", "c", NULL);
    assert_true(second > 3);
    assert_int_equal(read_at(f, &read, 3, 100, 10), 0);
    assert_int_equal(read.request.from, second);
    assert_int_equal(read.request.to, second + 1);
    fixture_read_free(&read);
    fixture_expect(f, "t", "a", "b", "c", NULL);
    fixture_settle(f);
    fixture_stop(f);
    fixture_open(f);
    fixture_expect(f, "t", "a", "b", "c", NULL);
    assert_int_equal(read_at(f, &read, second - 1, 100, 10), 0);
    assert_int_equal(read.request.from, second);
    fixture_read_free(&read);
}

/* The same where the gap lies between two blocks, and the later one is partly in memory: nothing in between is passed. */
static void a_gap_between_blocks_is_stepped_over(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read;
    uint64_t second;
    uint64_t offset;

    fixture_open(f);
    assert_int_equal(fixture_append_size(f, "t", 16000), 0);
    fixture_kill(f);
    assert_int_equal(fixture_append_size(f, "t", 16000), 0); /* Straight to its block */
    second = fixture_info(f, "t").end - 1;
    assert_int_equal(fixture_info(f, "t").blocks, 2);
    fixture_append_strings(f, "t", "in memory", NULL);
    for (offset = 1; offset <= second; offset += second - 1) {
        assert_int_equal(read_at(f, &read, offset, 1u << 20, 10), 0);
        assert_int_equal(read.request.from, second);
        fixture_read_free(&read);
    }
}

/* A read never gives more than it was asked for, but always one entry, and tells exactly which of the
 * delivered batch are meant. */
static void limits_cut_inside_a_batch(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read;
    unsigned round;

    fixture_open(f);
    fixture_append_strings(f, "t", "aaaa", "bbbb", "cccc", "dddd", NULL);
    for (round = 0; round < 2; round++) {
        assert_int_equal(read_at(f, &read, 1, 8, 100), 0);
        assert_int_equal(read.request.from, 1);
        assert_int_equal(read.request.to, 3);
        fixture_read_free(&read);
        assert_int_equal(read_at(f, &read, 0, 1, 100), 0); /* One entry, though it is larger */
        assert_int_equal(read.request.to, 1);
        fixture_read_free(&read);
        assert_int_equal(read_at(f, &read, 0, 100, 3), 0);
        assert_int_equal(read.request.to, 3);
        fixture_read_free(&read);
        fixture_stop(f); /* The second time from the block */
        fixture_open(f);
    }
}

/* A reader that has the batch already is not sent it again, only told which of its entries are next. */
static void a_held_batch_is_not_sent_again(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read = {
        .request = {.position = ENGINE_AT_OFFSET, .value = 3, .held = 1, .max_entries = 1}};

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_append_strings(f, "t", "b", "c", "d", NULL);
    fixture_append_strings(f, "t", "e", NULL);
    fixture_read_begin(f, &read, "t");
    assert_int_equal(fixture_read_end(f, &read), 0);
    assert_int_equal(read.request.data_size, 0);
    assert_int_equal(read.request.from, 3);
    assert_int_equal(read.request.to, 4);
    fixture_read_free(&read);
    read.request.max_entries = 10; /* More than that batch: it comes along */
    fixture_read_begin(f, &read, "t");
    assert_int_equal(fixture_read_end(f, &read), 0);
    assert_true(read.request.data_size > 0);
    assert_int_equal(read.request.to, 5);
    fixture_read_free(&read);
}

/* A position by time is the first entry stored at that time or later, in memory, in a block and in a full
 * one; after the last there is the end. */
static void a_time_finds_the_first_entry_from_then_on(void **state)
{
    struct fixture *f = *state;
    uint64_t times[12];
    unsigned round;
    unsigned i;

    fixture_open(f);
    for (i = 0; i < 12; i++) {
        fixture_pass(f, 5000);
        assert_int_equal(fixture_append_size(f, "t", 3000), 0);
        times[i] = fixture_info(f, "t").last_time_us;
        assert_true(i == 0 || times[i] > times[i - 1]);
    }
    assert_true(fixture_info(f, "t").blocks >= 2);
    for (round = 0; round < 2; round++) {
        for (i = 0; i < 12; i++) {
            uint64_t before;

            for (before = 0; before <= 1; before++) {
                struct fixture_read read = {.request = {.position = ENGINE_AT_TIME,
                                                        .value = times[i] - before,
                                                        .max_entries = 1}};

                fixture_read_begin(f, &read, "t");
                assert_int_equal(fixture_read_end(f, &read), 0);
                assert_int_equal(read.request.from, i);
                fixture_read_free(&read);
            }
        }
        assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_TIME, times[11] + 1), TUSK_EEND);
        assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_TIME, 0), 0);
        fixture_stop(f);
        fixture_open(f);
    }
}

/* The time of entries never goes back, even when the clock does. */
static void a_clock_that_goes_back_does_not_reorder(void **state)
{
    struct fixture *f = *state;
    uint64_t before;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    before = fixture_info(f, "t").last_time_us;
    f->now.wall_us -= 1000000000;
    fixture_append_strings(f, "t", "b", NULL);
    assert_int_equal(fixture_info(f, "t").last_time_us, before);
    fixture_kill(f);
    fixture_append_strings(f, "t", "c", NULL);
    assert_int_equal(fixture_info(f, "t").last_time_us, before);
    fixture_expect(f, "t", "a", "b", "c", NULL);
}

/* A reader sees no entry before the schedule has earned it: in `each` none that a power cut could take. */
static void in_each_only_durable_entries_are_seen(void **state)
{
    const struct batch_entry entry = {.data = (const uint8_t *)"b", .size = 1};
    struct fixture *f = *state;
    struct fixture_append append = {0};

    f->options.inline_sync = false;
    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_settle(f);
    sim_disk_set_pace(f->disk, 0); /* Nothing submitted completes */
    fixture_append_begin(f, &append, "t", &entry, 1);
    fixture_pass(f, 3000);
    assert_false(append.finished);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 1), TUSK_EEND);
    fixture_expect(f, "t", "a", NULL);
    sim_disk_set_pace(f->disk, 100);
    assert_int_equal(fixture_append_end(f, &append), 0);
    fixture_expect(f, "t", "a", "b", NULL);
}

/* Reads and requests that make no sense are refused as invalid. */
static void nonsense_is_invalid(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read = {.request = {.position = (enum engine_position)9}};

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_read_begin(f, &read, "t");
    assert_int_equal(fixture_read_end(f, &read), TUSK_EINVALID);
    read.request.position = ENGINE_AT_EARLIEST;
    read.request.consume = true;
    fixture_read_begin(f, &read, "t");
    assert_int_equal(fixture_read_end(f, &read), TUSK_EINVALID);
}

/* ---- everything at once ---- */

#define ENTRIES 600u

struct model {
    uint64_t offsets[ENTRIES];
    uint32_t sizes[ENTRIES];
    uint64_t times[ENTRIES];
    uint32_t count;
    uint32_t at; /* While comparing */
};

static void compare(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    struct model *model = arg;
    uint32_t i;

    assert_true(model->at < model->count);
    assert_int_equal(offset, model->offsets[model->at]);
    assert_int_equal(size, model->sizes[model->at]);
    for (i = 0; i < size; i++) {
        assert_int_equal(data[i], (uint8_t)(model->at * 7 + i));
    }
    model->at++;
}

static void grow(struct fixture *f, struct model *model)
{
    static uint8_t data[8][8000];
    const uint32_t count = (uint32_t)random_between(&f->random, 1, 8);
    const bool large = random_chance(&f->random, 15);
    struct batch_entry entries[8];
    struct fixture_append append = {0};
    uint32_t i;
    uint32_t k;

    if (model->count + count > ENTRIES) {
        return;
    }
    for (i = 0; i < count; i++) {
        const uint32_t number = model->count + i;

        model->sizes[number] = (uint32_t)random_below(&f->random, large ? 2400 : 150);
        for (k = 0; k < model->sizes[number]; k++) {
            data[i][k] = (uint8_t)(number * 7 + k);
        }
        entries[i] = (struct batch_entry){.data = data[i], .size = model->sizes[number]};
    }
    fixture_append_begin(f, &append, "t", entries, count);
    assert_int_equal(fixture_append_end(f, &append), 0);
    for (i = 0; i < count; i++) {
        model->offsets[model->count] = append.request.first_offset + i;
        model->times[model->count++] = fixture_info(f, "t").last_time_us;
    }
}

/* One read at a random position with random limits, compared with the model. */
static void read_somewhere(struct fixture *f, struct model *model)
{
    struct fixture_read read = {
        .request = {.max_bytes = (uint32_t)random_between(&f->random, 1, 6000),
                    .max_entries = (uint32_t)random_between(&f->random, 1, 40)}};
    const uint64_t last = model->offsets[model->count - 1];
    uint32_t first = 0;

    if (random_chance(&f->random, 30)) {
        read.request.position = ENGINE_AT_TIME;
        read.request.value = model->times[random_below(&f->random, model->count)];
        while (model->times[first] < read.request.value) {
            first++;
        }
    } else {
        read.request.position = ENGINE_AT_OFFSET;
        read.request.value = random_below(&f->random, last + 1);
        while (model->offsets[first] < read.request.value) {
            first++;
        }
    }
    fixture_read_begin(f, &read, "t");
    assert_int_equal(fixture_read_end(f, &read), 0);
    assert_int_equal(read.request.from, model->offsets[first]);
    model->at = first;
    fixture_entries(&read.request, compare, model);
    assert_true(model->at > first);
    assert_true(model->at - first <= read.request.max_entries);
    assert_int_equal(read.request.to, model->offsets[model->at - 1] + 1);
    fixture_read_free(&read);
}

/* Wherever entries lie (memory, active block, full blocks, behind gaps), whatever the limits, and however
 * cold the cache, a read gives exactly what was appended there. */
static void any_read_gives_what_was_appended(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 12; seed++) {
        struct fixture *f = fixture_new(seed);
        struct model *model = calloc(1, sizeof *model);
        unsigned step;

        assert_non_null(model);
        printf("seed %" PRIu64 "\n", seed);
        f->options.settings.fsync_ms = seed % 2 == 0 ? ENGINE_FSYNC_EACH : 1;
        sim_disk_set_cold(f->disk, (unsigned)(seed % 4) * 30);
        fixture_open(f);
        for (step = 0; step < 250; step++) {
            grow(f, model);
            read_somewhere(f, model);
            if (step % 60 == 59) {
                fixture_pass(f, 2000);
                fixture_settle(f);
                if (seed % 3 == 0) {
                    fixture_stop(f);
                    fixture_open(f);
                } else {
                    fixture_sync(f);
                    fixture_power_cut(f);
                }
            }
        }
        model->at = 0;
        assert_int_equal(fixture_read_all(f, "t", 3000, compare, model), model->count);
        fixture_free(f);
        free(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(the_end_is_told_with_its_offset),
        FIXTURE_TEST(trimmed_entries_are_told_apart),
        FIXTURE_TEST(a_gap_is_stepped_over),
        FIXTURE_TEST(a_gap_between_blocks_is_stepped_over),
        FIXTURE_TEST(limits_cut_inside_a_batch),
        FIXTURE_TEST(a_held_batch_is_not_sent_again),
        FIXTURE_TEST(a_time_finds_the_first_entry_from_then_on),
        FIXTURE_TEST(a_clock_that_goes_back_does_not_reorder),
        FIXTURE_TEST(in_each_only_durable_entries_are_seen),
        FIXTURE_TEST(nonsense_is_invalid),
        cmocka_unit_test(any_read_gives_what_was_appended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
