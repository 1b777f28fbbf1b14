/* Reads that wait for the disk while the world changes: the block is trimmed or applied to, the namespace fails, the
 * entry found is not for readers yet. And blocks whose bytes check out and do not belong. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/namespace.h"
#include "tests/support/engine_fixture.h"

/* A read that waits for the disk. */
static void begin_cold(struct fixture *f, struct fixture_read *read, uint64_t offset)
{
    *read = (struct fixture_read){.request = {.position = ENGINE_AT_OFFSET, .value = offset}};
    sim_disk_set_cold(f->disk, 100);
    sim_disk_set_pace(f->disk, 0);
    fixture_read_begin(f, read, "t");
    assert_false(read->finished);
    assert_int_equal(f->ns->reads_in_flight, 1);
}

static void let_go(struct fixture *f)
{
    sim_disk_set_pace(f->disk, 100);
    sim_disk_set_cold(f->disk, 0);
}

/* A large batch, a gap of offsets behind it, and no engine's memory of it. The first offset of the gap is 1. */
static void open_with_gap(struct fixture *f)
{
    fixture_open(f);
    assert_int_equal(fixture_append_size(f, "t", 6000), 0);
    fixture_kill(f);
}

/* The namespace fails: the read ends with that, not with what it might have found. */
static void a_read_under_way_ends_with_its_namespace(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read;

    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    open_with_gap(f);
    begin_cold(f, &read, 0);
    sim_disk_fail(f->disk, SIM_BIT(SIM_WRITE), 1, true, EIO, SIM_FAIL);
    assert_true(fixture_try_append(f, "t", "x", false) != 0);
    assert_false(fixture_serves(f));
    let_go(f);
    assert_int_equal(fixture_read_end(f, &read), TUSK_EIO);
    assert_true(strlen(read.request.base.error.text) > 0);
    fixture_read_free(&read);
}

/* The block is given up: what lay in it is trimmed, not damaged, and what is behind it is there. */
static void a_read_whose_block_is_trimmed_goes_on_behind_it(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read;
    uint64_t second;

    open_with_gap(f);
    assert_int_equal(fixture_append_size(f, "t", 16000), 0);
    second = fixture_info(f, "t").end - 1;
    assert_int_equal(fixture_info(f, "t").blocks, 2);
    begin_cold(f, &read, 1); /* In the gap: the first block has to say that it is not there */
    assert_int_equal(fixture_trim(f, "t", second), 0);
    assert_int_equal(fixture_info(f, "t").blocks, 1);
    let_go(f);
    assert_int_equal(fixture_read_end(f, &read), 0); /* Nothing was asked for that was there */
    assert_int_equal(read.request.from, second);
    fixture_read_free(&read);
}

/* In the gap behind a block's batches, with a tail in memory behind it; which may be applied to the block meanwhile. The read goes on there. */
static void a_read_in_a_gap_finds_what_comes_behind(void **state)
{
    unsigned round;

    (void)state;
    for (round = 0; round < 2; round++) {
        struct fixture *f = fixture_new(1);
        struct fixture_read read;
        uint64_t second;
        unsigned i;

        f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
        open_with_gap(f);
        second = fixture_append_strings(f, "t", "in memory", NULL);
        fixture_pass(f, 5000);
        begin_cold(f, &read, 1);
        for (i = 0; i < 4 && round == 1; i++) { /* So much that it is applied */
            assert_int_equal(fixture_append_size(f, "t", 2500), 0);
        }
        assert_int_equal(fixture_stat(f, "tail_applies") > 0, round == 1);
        let_go(f);
        assert_int_equal(fixture_read_end(f, &read), 0);
        assert_int_equal(read.request.from, second);
        fixture_read_free(&read);
        fixture_free(f);
    }
}

/* Schedule each: a large batch is in its block and not durable yet. A reader by time comes to it, and is told that this is the end. */
static void a_time_finds_nothing_that_is_not_durable(void **state)
{
    struct fixture *f = *state;
    struct fixture_append append = {.finished = false};
    struct fixture_read read = {.request = {.position = ENGINE_AT_TIME}};
    const struct batch_entry entry = {.data = calloc(1, 6000), .size = 6000};
    uint64_t time;

    f->options.inline_sync = false;
    fixture_open(f);
    assert_int_equal(fixture_append_size(f, "t", 6000), 0);
    fixture_settle(f);
    time = fixture_info(f, "t").last_time_us + 1;
    fixture_pass(f, 10000);
    sim_disk_set_pace(f->disk, 0);
    fixture_append_begin(f, &append, "t", &entry, 1);
    fixture_pass(f, 1000);
    assert_false(append.finished);
    read.request.value = time;
    fixture_read_begin(f, &read, "t");
    assert_int_equal(fixture_read_end(f, &read), TUSK_EEND);
    assert_int_equal(read.request.base.detail_a, 1);
    fixture_read_free(&read);
    sim_disk_set_pace(f->disk, 100);
    assert_int_equal(fixture_append_end(f, &append), 0);
    free((void *)(uintptr_t)entry.data);
}

/* ---- bytes that check out ---- */

/* Batches of one entry of 200 bytes, all in one block, on the device; the third is overwritten with one that says what it should not. Every
 * checksum in it is right. */
static void a_batch_that_does_not_belong_is_damage(void **state)
{
    static const uint8_t data[200] = "forged";
    const uint32_t padded = (uint32_t)batch_padded_size(4 + sizeof data);
    const uint64_t place = FORMAT_BLOCK_DATA + 2 * padded;
    unsigned i;

    (void)state;
    for (i = 0; i < 6; i++) {
        struct fixture *f = fixture_new(1);
        struct fixture_read read = {.request = {.position = ENGINE_AT_EARLIEST}};
        struct batch_entry entries[4];
        struct block block;
        struct topic *topic;
        const struct engine_topic_ref ref = {.name = "t", .name_size = 1};
        uint8_t bytes[2048] = {0};
        uint64_t first = 12;
        uint32_t count = 1;
        uint32_t seed;
        unsigned k;

        f->options.offset_start = 10;
        fixture_open(f);
        for (k = 0; k < 6; k++) {
            assert_int_equal(fixture_append_size(f, "t", sizeof data), 0);
        }
        fixture_stop(f);
        fixture_open(f);
        topic = namespace_topic(f->ns, &ref);
        block = *topic_active(topic);
        seed = batch_seed(f->ns->store_id, block.generation);
        fixture_stop(f);
        assert_int_equal(block.index, 0);
        first = i == 1 ? 9 : i == 2 ? 17 : i == 3 || i == 5 ? 11 : first;
        count = i == 4 ? 4 : i == 5 ? 2 : count;
        for (k = 0; k < count; k++) {
            entries[k] = (struct batch_entry){.data = data, .size = count > 1 ? 40 : sizeof data};
        }
        batch_encode(bytes, entries, count);
        (void)batch_complete(bytes, first + (i == 4 ? 2 : 0), 1, 0, seed, (uint32_t)place);
        sim_disk_overwrite(f->disk, FIXTURE_DIR "/0000000000000001.seg", place, bytes, padded);
        fixture_open(f);
        for (k = 10; k < 16; k++) {
            const int status = fixture_try_read(f, "t", ENGINE_AT_OFFSET, k);

            assert_int_equal(status, i > 0 && k == 12 ? TUSK_ECORRUPT : 0);
        }
        fixture_read_begin(f, &read, "t"); /* Nor does it come with those before */
        assert_int_equal(fixture_read_end(f, &read), 0);
        assert_int_equal(read.request.from, 10);
        assert_int_equal(read.request.to, i == 0 ? 16 : 12);
        fixture_read_free(&read);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_read_under_way_ends_with_its_namespace),
        FIXTURE_TEST(a_read_whose_block_is_trimmed_goes_on_behind_it),
        cmocka_unit_test(a_read_in_a_gap_finds_what_comes_behind),
        FIXTURE_TEST(a_time_finds_nothing_that_is_not_durable),
        cmocka_unit_test(a_batch_that_does_not_belong_is_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
