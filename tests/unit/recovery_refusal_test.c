/* Recovery refuses what it must not guess: places that cannot be read far into a journal, a
 * manifest that promises more bytes than it has, a journal that is gone. Nothing is served, nothing
 * on the disk changes, and where the cause can go away the store is whole again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/namespace.h"
#include "tests/support/engine_expect.h"
#include "tests/support/engine_fixture.h"
#include "tests/support/journal_image.h"

/* The process dies, the machine lives on. */
static void crash(struct fixture *f)
{
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_settle(f->disk);
}

/* More journal than one read of recovery takes, in schedule none and never synced, so that all of
 * it lies behind the mark. */
static void fill_journal(struct fixture *f, struct fixture_log *log)
{
    unsigned i;

    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    f->options.journal_file_min = 16u << 20;
    f->options.journal_file_max = 16u << 20;
    f->options.journal_size_max = 256u << 20;
    f->options.manifest_journal_bytes = 64u << 20;
    f->options.ring_size = 64u << 20;
    f->options.direct_threshold = 1u << 20;
    f->options.blocks_per_segment = 64;
    fixture_open(f);
    for (i = 0; i < 420; i++) {
        assert_int_equal(fixture_log_append(f, log, 1, 19000, false), 0);
    }
}

/* R10, far into a file: neither the header of a record nor its body, where the device does not give
 * them, is the end of the journal. When it gives them again nothing is missing. */
static void an_unreadable_place_deep_in_the_journal_is_not_its_end(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    struct journal_image *image;
    const struct image_record *hit;
    unsigned round;

    fill_journal(f, &log);
    crash(f);
    image = journal_image_load(f->disk, FIXTURE_DIR);
    hit = journal_image_last(image, RECORD_BATCH, UINT64_MAX);
    assert_true(hit->offset > 6u << 20);
    for (round = 0; round < 2; round++) {
        /* In the header; in the body, of which one page may be read with the header. */
        const uint64_t at = round == 0 ? hit->offset : hit->offset + 12000;

        sim_disk_set_unreadable(f->disk, hit->file->path, at, 1);
        fixture_expect_row_refusal(f, ROW_R10);
        sim_disk_clear_unreadable(f->disk);
    }
    journal_image_free(image);
    fixture_open(f);
    fixture_log_check(f, &log, log.acked);
}

/* R10 too: a large batch behind the mark stands in its block only, and the device does not give
 * that block. Whether it is there is not known, so it is neither taken for good nor for torn. */
static void an_unreadable_direct_batch_is_not_taken_for_good_or_torn(void **state)
{
    static const char text[] = "this is how it begins";
    struct fixture *f = *state;
    struct fixture_append append = {.finished = false};
    struct batch_entry entry = {.data = calloc(1, 5000), .size = 5000};
    char path[IO_PATH_SIZE];
    uint64_t at;

    assert_non_null(entry.data);
    memcpy((void *)(uintptr_t)entry.data, text, sizeof text);
    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_sync(f);
    fixture_append_begin(f, &append, "t", &entry, 1);
    assert_int_equal(fixture_append_end(f, &append), 0);
    crash(f);
    assert_true(fixture_find(f, ".seg", text, sizeof text, path, &at));
    sim_disk_set_unreadable(f->disk, path, at, 1);
    fixture_expect_row_refusal(f, ROW_R10);
    sim_disk_clear_unreadable(f->disk);
    fixture_open(f);
    assert_int_equal(fixture_info(f, "t").end, 2);
    free((void *)(uintptr_t)entry.data);
}

/* Every journal file is gone: the history from the manifest on is unknown, which is not the same as
 * empty. */
static void a_journal_without_files_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[IO_PATH_SIZE];
    struct io *io;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    crash(f);
    assert_int_equal(io_sim_open(&io, f->disk), 0);
    while (fixture_last_file(f, FIXTURE_DIR "/journal/", ".jnl", path) > 0) {
        assert_int_equal(io_unlink(io, path, &f->err), 0);
        assert_int_equal(io_sync_dir(io, FIXTURE_DIR "/journal", &f->err), 0);
    }
    io_close(io);
    fixture_expect_row_refusal(f, ROW_R17);
}

/* A manifest's size comes from the disk, with a checksum that anybody can compute: it is compared
 * with the file before a byte of the body is looked at. Such a manifest is damaged, and the older
 * one says the same. */
static void a_manifest_larger_than_its_file_is_damaged(void **state)
{
    static const uint64_t sizes[] = {UINT64_MAX, UINT64_MAX - FORMAT_PAGE + 1, UINT64_C(1) << 40};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct fixture *f = fixture_new(i + 1);
        struct format_manifest manifest;
        uint8_t page[FORMAT_PAGE];
        char path[IO_PATH_SIZE];
        uint8_t *bytes;
        uint64_t size;

        fixture_open(f);
        fixture_append_strings(f, "t", "a", NULL);
        fixture_stop(f);
        sim_disk_settle(f->disk);
        (void)fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path);
        bytes = sim_disk_file(f->disk, path, &size);
        assert_int_equal(format_manifest_decode(&manifest, bytes), 0);
        manifest.body_size = sizes[i];
        format_manifest_encode(page, &manifest);
        sim_disk_overwrite(f->disk, path, 0, page, sizeof page);
        free(bytes);
        fixture_open(f);
        assert_int_equal(f->ns->recovery_rows[ROW_R16], 1);
        fixture_expect(f, "t", "a", NULL);
        fixture_free(f);
    }
}

/* A place in a batch record is under the checksum of its body: a bit of it makes the record bad as
 * a whole, which behind the mark is the end (R4) and before it damage (R5), never a batch that went
 * elsewhere. */
static void a_bit_in_a_place_makes_the_record_bad(void **state)
{
    unsigned round;

    (void)state;
    for (round = 0; round < 2; round++) {
        struct fixture *f = fixture_new(round + 1);
        struct journal_image *image;
        const struct image_record *hit;

        f->options.settings.fsync_ms = round == 0 ? ENGINE_FSYNC_NONE : ENGINE_FSYNC_EACH;
        fixture_open(f);
        fixture_append_strings(f, "t", "a", NULL);
        fixture_sync(f);
        fixture_append_strings(f, "t", "b", NULL);
        fixture_append_strings(f, "t", "c", NULL);
        crash(f);
        image = journal_image_load(f->disk, FIXTURE_DIR);
        hit = journal_image_last(image, RECORD_BATCH, round == 0 ? UINT64_MAX : image->mark);
        sim_disk_flip_bit(f->disk, hit->file->path,
                          8 * (hit->offset + FORMAT_RECORD_HEADER_SIZE + 1));
        journal_image_free(image);
        if (round == 0) {
            fixture_open(f);
            assert_int_equal(f->ns->recovery_rows[ROW_R4], 1);
            fixture_expect(f, "t", "a", "b", NULL);
        } else {
            fixture_expect_row_refusal(f, ROW_R5);
        }
        fixture_free(f);
    }
}

/* What the last process wrote and never synced is in the page cache only. Each sync of the recovery
 * fails in turn, and loses what it was to make durable: either nothing is served, or what is served
 * survives a power cut, in its blocks and, for the older manifest, in the journal. */
static void what_is_served_behind_a_failed_sync_is_durable(void **state)
{
    bool fired = true;
    uint64_t nth;
    unsigned served = 0;

    (void)state;
    for (nth = 1; fired; nth++) {
        struct fixture *f = fixture_new(nth);
        struct fixture_log log = {.topic = "t"};
        char path[IO_PATH_SIZE];
        unsigned i;

        f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
        sim_disk_set_policy(f->disk, SIM_CUT_DROP);
        fixture_open(f);
        for (i = 0; i < 8; i++) {
            assert_int_equal(fixture_log_append(f, &log, 1, i % 2 == 0 ? 5000 : 500, false), 0);
        }
        sim_disk_process_crash(f->disk);
        fixture_close(f);
        sim_disk_fail(f->disk, SIM_BIT(SIM_SYNC), nth, false, EIO, SIM_LOSE);
        if (fixture_try_open(f) == 0 && fixture_serves(f)) {
            served++;
            fired = sim_disk_fired(f->disk) > 0;
            sim_disk_clear_faults(f->disk);
            fixture_log_check(f, &log, 8);
            sim_disk_power_cut(f->disk);
            fixture_close(f);
            (void)fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path);
            sim_disk_flip_bit(f->disk, path, 8 * 100);
            fixture_open(f);
            fixture_log_check(f, &log, 8);
        }
        fixture_free(f);
    }
    assert_true(nth > 4);
    assert_true(served >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(an_unreadable_place_deep_in_the_journal_is_not_its_end),
        FIXTURE_TEST(an_unreadable_direct_batch_is_not_taken_for_good_or_torn),
        cmocka_unit_test(what_is_served_behind_a_failed_sync_is_durable),
        FIXTURE_TEST(a_journal_without_files_is_refused),
        cmocka_unit_test(a_bit_in_a_place_makes_the_record_bad),
        cmocka_unit_test(a_manifest_larger_than_its_file_is_damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
