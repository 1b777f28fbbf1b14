/* Damage in blocks: found when read, told as the exact range of entries, and nothing else is affected. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/namespace.h"
#include "tests/support/engine_fixture.h"

#define BATCHES 30u
#define PER_BATCH 2u

/* Thirty batches of two entries over several blocks, on the device, no engine. Batch i has offsets 2i, 2i + 1;
 * its text can be searched for. */
static void make_store(struct fixture *f)
{
    char first[1001];
    char second[1001];
    unsigned i;

    memset(first, 'x', 1000);
    memset(second, 'y', 1000);
    first[1000] = '\0';
    second[1000] = '\0';
    fixture_open(f);
    for (i = 0; i < BATCHES; i++) {
        first[snprintf(first, 20, "first of %u!", i)] = 'x';
        second[snprintf(second, 20, "second of %u!", i)] = 'y';
        assert_int_equal(fixture_append_strings(f, "t", first, second, NULL), PER_BATCH * i);
    }
    fixture_append_strings(f, "other", "fine", NULL);
    assert_true(fixture_info(f, "t").blocks >= 3);
    fixture_stop(f);
}

/* Where batch i stands: the place of its header. */
static uint64_t place(struct fixture *f, unsigned i, char path[IO_PATH_SIZE])
{
    char text[20];
    uint64_t offset;

    (void)snprintf(text, sizeof text, "first of %u!", i);
    assert_true(fixture_find(f, ".seg", text, strlen(text), path, &offset));
    return offset - BATCH_HEADER_SIZE - 4u * PER_BATCH;
}

static void count(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    unsigned *counted = arg;

    (void)offset;
    (void)data;
    (void)size;
    (*counted)++;
}

/* No read that has ended holds a block: what is pinned is never used again. */
static void expect_nothing_pinned(const struct fixture *f)
{
    const struct space *space = &f->ns->space;
    uint32_t i;
    uint32_t k;

    for (i = 0; i < space->count; i++) {
        for (k = 0; k < f->options.blocks_per_segment; k++) {
            assert_int_equal(space->segments[i]->slots[k].pins, 0);
        }
    }
}

/* Read everything one entry at a time. Entries of [from, to) must be CORRUPT, with that range; a read that skips
 * damage says exactly what it left out. */
static void expect_damage(struct fixture *f, uint64_t from, uint64_t to)
{
    struct fixture_read read;
    unsigned counted = 0;
    uint64_t i;

    fixture_open(f);
    for (i = 0; i < PER_BATCH * BATCHES; i++) {
        read = (struct fixture_read){
            .request = {.position = ENGINE_AT_OFFSET, .value = i, .max_entries = 1}};
        fixture_read_begin(f, &read, "t");
        if (i < from || i >= to) {
            assert_int_equal(fixture_read_end(f, &read), 0);
            assert_int_equal(read.request.from, i);
        } else {
            assert_int_equal(fixture_read_end(f, &read), TUSK_ECORRUPT);
            /* One that begins behind damaged entries does not look back at them. */
            assert_in_range(read.request.base.detail_a, from, i - i % PER_BATCH);
            assert_int_equal(read.request.base.detail_b, to);
        }
        fixture_read_free(&read);
    }
    read = (struct fixture_read){
        .request = {.position = ENGINE_AT_OFFSET, .value = from, .skip_damage = true}};
    fixture_read_begin(f, &read, "t");
    assert_int_equal(fixture_read_end(f, &read), 0);
    assert_int_equal(read.request.skipped_from, from);
    assert_int_equal(read.request.skipped_to, to);
    assert_true(read.request.from >= to);
    assert_int_equal(read.request.to > read.request.from, to < PER_BATCH * BATCHES);
    fixture_entries(&read.request, count, &counted);
    assert_true(counted > 0 || to == PER_BATCH * BATCHES);
    fixture_read_free(&read);
    expect_nothing_pinned(f);
    fixture_expect(f, "other", "fine", NULL);
    assert_true(fixture_append_strings(f, "t", "more", NULL) >= PER_BATCH * BATCHES);
    fixture_close(f);
}

/* One flipped bit in an entry, in the lengths or in a header spoils its batch, and only that: the first, one in
 * the middle, the last of a block, the very last. */
static void one_bit_spoils_exactly_its_batch(void **state)
{
    static const unsigned batches[] = {0, 1, 8, 9, 10, 17, BATCHES - 1};
    static const unsigned bytes[] = {0, 4, 9, 20, 38, 42, 50, 54, 60, 64, 70, 500};
    unsigned i;
    unsigned k;

    (void)state;
    for (i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        for (k = i % 3; k < sizeof bytes / sizeof bytes[0]; k += 3) {
            struct fixture *f = fixture_new(3);
            char path[IO_PATH_SIZE];
            uint64_t at;

            make_store(f);
            at = place(f, batches[i], path);
            sim_disk_flip_bit(f->disk, path, 8 * (at + bytes[k]) + k % 8);
            expect_damage(f, PER_BATCH * batches[i], PER_BATCH * (batches[i] + 1));
            fixture_free(f);
        }
    }
}

/* A zeroed range costs the batches it touches. */
static void a_zeroed_range_costs_what_it_touches(void **state)
{
    char path[IO_PATH_SIZE];
    uint64_t at;
    struct fixture *f = *state;

    make_store(f);
    at = place(f, 3, path);
    sim_disk_zero(f->disk, path, at, (size_t)(place(f, 5, path) + 200 - at));
    expect_damage(f, PER_BATCH * 3, PER_BATCH * 6);
}

/* Bytes of one batch at the place of another (a misdirected or stale write) are not taken for it, though their
 * own checksums are right. */
static void a_misplaced_batch_is_damage(void **state)
{
    struct fixture *f = *state;
    char from_path[IO_PATH_SIZE];
    char to_path[IO_PATH_SIZE];
    uint64_t from;
    uint64_t to;

    make_store(f);
    from = place(f, 12, from_path);
    to = place(f, 14, to_path);
    sim_disk_copy(f->disk, from_path, from, to_path, to, BATCH_HEADER_SIZE + 8 + 2000);
    expect_damage(f, PER_BATCH * 14, PER_BATCH * 15);
}

/* A sector the device cannot read costs the batches on its page, not the block nor the namespace; and they
 * come back when it can. */
static void an_unreadable_sector_costs_its_page(void **state)
{
    struct fixture *f = *state;
    char path[IO_PATH_SIZE];
    struct fixture_read read;
    char path_behind[IO_PATH_SIZE];
    uint64_t at;
    uint64_t i;
    unsigned lost = 0;
    unsigned behind = 4; /* The first batch that does not touch the page */

    make_store(f);
    at = place(f, 3, path);
    while (place(f, behind, path_behind) / 4096 == (at + 64) / 4096) {
        behind++;
    }
    assert_string_equal(path_behind, path);
    sim_disk_drop_cache(f->disk);
    fixture_open(f);
    sim_disk_set_unreadable(f->disk, path, at + 64, 1);
    for (i = 0; i < PER_BATCH * BATCHES; i++) {
        read = (struct fixture_read){
            .request = {.position = ENGINE_AT_OFFSET, .value = i, .max_entries = 1}};
        fixture_read_begin(f, &read, "t");
        if (fixture_read_end(f, &read) == TUSK_ECORRUPT) {
            assert_true(read.request.base.detail_a <= i);
            assert_true(read.request.base.detail_b > i);
            assert_int_equal(read.request.base.detail_b, PER_BATCH * behind);
            lost++;
        } else {
            assert_int_equal(read.request.from, i);
        }
        fixture_read_free(&read);
    }
    assert_int_equal(lost, PER_BATCH * (behind - 3));
    assert_true(fixture_serves(f));
    fixture_expect(f, "other", "fine", NULL);
    sim_disk_clear_unreadable(f->disk);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 6), 0);
}

/* Of a segment file that was cut off, what is left is read. */
static void a_truncated_segment_costs_what_is_cut_off(void **state)
{
    struct fixture *f = *state;
    char path[IO_PATH_SIZE];
    uint64_t i;

    make_store(f);
    sim_disk_resize(f->disk, path, place(f, 3, path) + 100);
    fixture_open(f);
    for (i = 0; i < 12; i++) {
        assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, i), i < 6 ? 0 : TUSK_ECORRUPT);
    }
}

/* When the last there is to read is damaged, a reader that skips damage is told so without an entry, once: its cursor
 * has passed it, and what it asks for next is waited for. */
static void damage_at_the_end_is_passed_once(void **state)
{
    const uint64_t last = PER_BATCH * (BATCHES - 1);
    struct fixture *f = *state;
    struct fixture_read read = {.request = {.position = ENGINE_AT_CURSOR,
                                            .cursor = "c",
                                            .cursor_size = 1,
                                            .consume = true,
                                            .skip_damage = true,
                                            .wait_ms = 1000}};
    struct fixture_read next = read;
    char path[IO_PATH_SIZE];
    uint64_t at;

    make_store(f);
    at = place(f, BATCHES - 1, path);
    sim_disk_flip_bit(f->disk, path, 8 * (at + 70));
    fixture_open(f);
    assert_int_equal(fixture_checkpoint(f, "t", "c", last), 0);
    fixture_read_begin(f, &read, "t");
    assert_int_equal(fixture_read_end(f, &read), 0);
    assert_int_equal(read.request.skipped_from, last);
    assert_int_equal(read.request.skipped_to, last + PER_BATCH);
    assert_int_equal(read.request.data_size, 0);
    assert_int_equal(read.request.from, last + PER_BATCH);
    assert_int_equal(read.request.to, last + PER_BATCH);
    assert_int_equal(fixture_cursor(f, "t", "c"), last + PER_BATCH);
    fixture_read_free(&read);
    fixture_read_begin(f, &next, "t");
    fixture_pass(f, 100000);
    assert_false(next.finished);
    (void)fixture_append_strings(f, "t", "more", NULL);
    assert_int_equal(fixture_read_end(f, &next), 0);
    assert_int_equal(next.request.skipped_to, 0);
    assert_true(next.request.to > next.request.from);
    fixture_read_free(&next);
}

/* A segment file that is gone costs the entries that were in it. The rest is served, and a finding says so. */
static void a_missing_segment_costs_its_entries_only(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read = {.request = {.skip_damage = true}};

    make_store(f);
    assert_int_equal(io_sim_open(&f->io, f->disk), 0);
    assert_int_equal(io_unlink(f->io, FIXTURE_DIR "/0000000000000001.seg", &f->err), 0);
    assert_int_equal(io_sync_dir(f->io, FIXTURE_DIR, &f->err), 0);
    io_close(f->io);
    f->io = NULL;
    fixture_open(f);
    assert_int_equal(f->findings, 1);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_EARLIEST, 0), TUSK_ECORRUPT);
    (void)fixture_append_strings(f, "t", "more", NULL);
    fixture_read_begin(f, &read, "t");
    assert_int_equal(fixture_read_end(f, &read), 0);
    assert_int_equal(read.request.skipped_from, 0);
    assert_int_equal(read.request.from, read.request.skipped_to);
    fixture_read_free(&read);
}

/* Seals and indexes are derived: with all of them damaged, every entry is read all the same. */
static void damaged_seals_and_indexes_hide_nothing(void **state)
{
    struct fixture *f = *state;
    char path[IO_PATH_SIZE];
    unsigned counted = 0;
    unsigned seals = 0;
    uint64_t at;

    make_store(f);
    /* Bit 0 of the magic's first letter, until no seal is left. */
    while (fixture_find(f, ".seg", "TUSKSEA\n", 8, path, &at)) {
        sim_disk_flip_bit(f->disk, path, 8 * at);
        /* The index stands on the last page of the block, which begins a page before. */
        sim_disk_flip_bit(f->disk, path, 8 * (at - 4096 + 7 * 4096));
        seals++;
    }
    assert_true(seals >= 1);
    fixture_open(f);
    assert_int_equal(fixture_read_all(f, "t", 500, count, &counted), PER_BATCH * BATCHES);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 11), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_bit_spoils_exactly_its_batch),
        FIXTURE_TEST(a_zeroed_range_costs_what_it_touches),
        FIXTURE_TEST(a_misplaced_batch_is_damage),
        FIXTURE_TEST(an_unreadable_sector_costs_its_page),
        FIXTURE_TEST(a_truncated_segment_costs_what_is_cut_off),
        FIXTURE_TEST(a_missing_segment_costs_its_entries_only),
        FIXTURE_TEST(damage_at_the_end_is_passed_once),
        FIXTURE_TEST(damaged_seals_and_indexes_hide_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
