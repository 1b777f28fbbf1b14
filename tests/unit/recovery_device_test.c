/* What a start takes from the device: only what is there, also where memory, a name or the journal before it would have something else to
 * say. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/namespace.h"
#include "tests/support/engine_expect.h"
#include "tests/support/engine_fixture.h"

/* Two batches alike, one behind the other, each written straight to the block; and the file ends in the second one's body. What memory still
 * holds of the first is not taken for the rest of it. */
static void a_batch_cut_off_is_not_completed_from_memory(void **state)
{
    const uint32_t padded = 2 * FORMAT_PAGE; /* So that both stand alike in their pages */
    struct fixture *f = *state;

    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    fixture_open(f);
    assert_int_equal(fixture_append_size(f, "t", padded - BATCH_HEADER_SIZE - 4), 0);
    assert_int_equal(fixture_append_size(f, "t", padded - BATCH_HEADER_SIZE - 4), 0);
    assert_int_equal(fixture_stat(f, "direct_appends"), 2);
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_settle(f->disk);
    sim_disk_resize(f->disk, FIXTURE_DIR "/0000000000000001.seg",
                    FORMAT_BLOCK_DATA + padded + FORMAT_PAGE);
    fixture_open(f);
    assert_int_equal(f->ns->recovery_rows[ROW_R8], 1);
    assert_int_equal(fixture_info(f, "t").entries, 1);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 0), 0);
}

static uint64_t id_of(struct fixture *f, const char *name)
{
    const struct engine_topic_ref ref = {.name = name, .name_size = strlen(name)};

    return namespace_topic(f->ns, &ref)->id;
}

/* The newest manifest is damaged, and topics were made behind the older one; the stop was clean. Ids go on behind theirs, so that no record
 * means two topics. */
static void ids_go_on_behind_the_older_manifest(void **state)
{
    struct fixture *f = *state;
    char path[IO_PATH_SIZE];
    uint64_t last;

    fixture_open(f);
    fixture_append_strings(f, "before", "a", NULL);
    fixture_stop(f);
    fixture_open(f);
    fixture_append_strings(f, "one", "b", NULL);
    fixture_append_strings(f, "two", "c", NULL);
    last = id_of(f, "two");
    assert_true(last > id_of(f, "one"));
    fixture_stop(f);
    (void)fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path);
    sim_disk_flip_bit(f->disk, path, 8 * 50);
    fixture_open(f);
    assert_int_equal(f->ns->recovery_rows[ROW_R16], 1);
    assert_int_equal(f->ns->recovery_rows[ROW_R18], 1);
    assert_true(f->ns->next_topic_id > last);
    fixture_append_strings(f, "three", "d", NULL);
    assert_true(id_of(f, "three") > last);
    fixture_kill(f);
    fixture_expect(f, "before", "a", NULL);
    fixture_expect(f, "one", "b", NULL);
    fixture_expect(f, "two", "c", NULL);
    fixture_expect(f, "three", "d", NULL);
}

/* A spare that a crash left half made: its size, and not its space. On a disk that has none left it is no spare, or a write would meet the full
 * disk in the middle of the journal. With room it is one. */
static void a_spare_without_its_space_is_none(void **state)
{
    unsigned full;

    (void)state;
    for (full = 0; full < 2; full++) {
        struct fixture *f = fixture_new(1);
        const struct journal_file *spare;
        struct io_file *file;
        struct io *io;
        char path[IO_PATH_SIZE];
        uint64_t number;
        bool taken = false;

        fixture_open(f);
        fixture_append_strings(f, "t", "a", NULL);
        fixture_settle(f);
        number = f->ns->journal.next_number;
        journal_path(&f->ns->journal, path, number);
        fixture_stop(f);
        assert_int_equal(io_sim_open(&io, f->disk), 0);
        assert_int_equal(io_open(io, path, IO_OPEN_CREATE, &file, &f->err), 0);
        io_close_file(file);
        io_close(io);
        sim_disk_settle(f->disk);
        sim_disk_resize(f->disk, path, f->options.journal_file_min);
        if (full != 0) {
            sim_disk_set_capacity(f->disk, sim_disk_used(f->disk));
        }
        fixture_open(f);
        for (spare = f->ns->journal.spares; spare != NULL; spare = spare->next) {
            taken = taken || spare->number == number;
        }
        assert_int_equal(taken, full == 0);
        fixture_expect(f, "t", "a", NULL);
        fixture_free(f);
    }
}

/* A start that found no space for its manifest serves, and writes it when there is space, without being asked by anybody. */
static void a_manifest_without_space_comes_later(void **state)
{
    struct fixture *f = *state;

    f->options.manifest_idle_us = UINT64_C(1) << 40;
    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_fail(f->disk, SIM_BIT(SIM_RENAME), 1, true, ENOSPC, SIM_FAIL);
    fixture_open(f);
    assert_non_null(strstr(f->finding, "records replayed"));
    assert_int_equal(fixture_stat(f, "manifests"), 0);
    fixture_pass(f, 1500000);
    assert_int_equal(fixture_stat(f, "manifests"), 0);
    sim_disk_clear_faults(f->disk);
    fixture_pass(f, 1500000);
    assert_int_equal(fixture_stat(f, "manifests"), 1);
    fixture_expect(f, "t", "a", NULL);
}

static uint64_t number_of(struct fixture *f, unsigned *count)
{
    char path[IO_PATH_SIZE];

    sim_disk_settle(f->disk);
    *count = fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path);
    return strtoull(strrchr(path, '-') + 1, NULL, 16);
}

/* The manifest that was started from becomes the older one, and goes when there are two newer ones: two there are, always. */
static void a_start_goes_on_with_two_manifests(void **state)
{
    struct fixture *f = *state;
    uint64_t number;
    unsigned count;
    unsigned i;

    f->options.manifest_idle_us = 10000;
    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_stop(f);
    fixture_open(f);
    number = number_of(f, &count);
    for (i = 1; i < 5; i++) {
        fixture_append_strings(f, "t", "b", NULL);
        fixture_pass(f, 2000000);
        assert_int_equal(number_of(f, &count), number + i);
        assert_int_equal(count, 2);
    }
}

/* An empty namespace whose history stands at an LSN, without a record behind it; the manifest says how much was durable. */
static void stand_at(struct fixture *f, uint64_t lsn, uint64_t mark)
{
    struct format_manifest manifest;
    struct format_journal journal;
    char path[IO_PATH_SIZE];
    uint8_t *bytes;
    uint64_t size;

    fixture_open(f);
    fixture_stop(f);
    sim_disk_settle(f->disk);
    (void)fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path);
    bytes = sim_disk_file(f->disk, path, &size);
    assert_int_equal(format_manifest_decode(&manifest, bytes), 0);
    manifest.lsn = lsn;
    manifest.mark = mark;
    manifest.chain_crc = 0;
    format_manifest_encode(bytes, &manifest);
    sim_disk_overwrite(f->disk, path, 0, bytes, FORMAT_PAGE);
    (void)fixture_last_file(f, FIXTURE_DIR "/journal/", ".jnl", path);
    sim_disk_resize(f->disk, path, FORMAT_PAGE);
    sim_disk_resize(f->disk, path, f->options.journal_file_min);
    journal = (struct format_journal){.number = strtoull(strrchr(path, '/') + 1, NULL, 16),
                                      .size = f->options.journal_file_min,
                                      .generation = 77,
                                      .first_lsn = lsn,
                                      .mark = lsn};
    memcpy(journal.store_id, manifest.store_id, sizeof journal.store_id);
    format_journal_encode(bytes, &journal);
    sim_disk_overwrite(f->disk, path, 0, bytes, FORMAT_PAGE);
    free(bytes);
}

/* A history that has come near the last LSN leaves too little for what follows, and is refused by that number. Just before, it goes on. */
static void a_history_near_its_last_place_is_refused(void **state)
{
    const uint64_t last = FORMAT_COUNTER_MAX - (UINT64_C(1) << 56);
    struct fixture *f = *state;

    stand_at(f, last, last);
    fixture_expect_refusal(f, "the last LSN of its journal has the number 7f00000000000000");
    fixture_free(f);
    f = fixture_new(1);
    *state = f;
    stand_at(f, last - FORMAT_RECORD_ALIGN, last - FORMAT_RECORD_ALIGN);
    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    assert_true(f->ns->journal.next_lsn > last);
    fixture_expect(f, "t", "a", NULL);
}

/* Nothing is left of the journal behind the manifest, no mark either. What the manifest knows to have been durable is missed all the same. */
static void what_a_manifest_knows_to_be_durable_is_missed(void **state)
{
    struct fixture *f = *state;

    stand_at(f, 64000, 64000 + FORMAT_RECORD_ALIGN);
    fixture_expect_row_refusal(f, ROW_R3);
    fixture_free(f);
    f = fixture_new(1);
    *state = f;
    stand_at(f, 64000, 64000);
    fixture_open(f);
    assert_int_equal(f->ns->recovery_rows[ROW_R2], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_batch_cut_off_is_not_completed_from_memory),
        FIXTURE_TEST(ids_go_on_behind_the_older_manifest),
        cmocka_unit_test(a_spare_without_its_space_is_none),
        FIXTURE_TEST(a_manifest_without_space_comes_later),
        FIXTURE_TEST(a_history_near_its_last_place_is_refused),
        FIXTURE_TEST(a_start_goes_on_with_two_manifests),
        FIXTURE_TEST(what_a_manifest_knows_to_be_durable_is_missed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
