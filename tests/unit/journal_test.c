/* The journal's writing side, seen on the disk: records in one chain over all files, spares that hold no record,
 * and a reserve that appends do not touch. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/namespace.h"
#include "tests/support/engine_fixture.h"
#include "tests/support/journal_image.h"

static struct journal_image *image_of(struct fixture *f)
{
    sim_disk_settle(f->disk);
    return journal_image_load(f->disk, FIXTURE_DIR);
}

/* Every record follows the one before: its LSN is where that one ended, its `previous` is that one's checksum, and the
 * durable mark never goes back nor lies ahead of it. Across files too. */
static void expect_chain(const struct journal_image *image)
{
    unsigned i;

    for (i = 1; i < image->record_count; i++) {
        const struct format_record_header *before = &image->records[i - 1].header;
        const struct format_record_header *header = &image->records[i].header;

        assert_int_equal(header->lsn, before->lsn + format_record_padded(before->size));
        assert_int_equal(header->previous_crc, before->crc);
        assert_true(header->mark >= before->mark);
        assert_true(header->mark <= header->lsn);
        assert_int_equal(header->lsn % FORMAT_RECORD_ALIGN, 0);
    }
}

/* Every body decodes, and every batch in it is valid where it says it lies. */
static void expect_bodies(const struct journal_image *image)
{
    unsigned i;

    for (i = 0; i < image->record_count; i++) {
        const struct image_record *record = &image->records[i];
        struct format_record body;
        struct format_items items;
        struct format_item item;

        if (!format_record_has_items(record->header.type)) {
            assert_int_equal(format_record_body_decode(&body, &record->header, record->bytes), 0);
            continue;
        }
        assert_int_equal(format_items_check(&record->header, record->bytes), 0);
        format_items_begin(&items, &record->header, record->bytes);
        while (format_items_next(&items, &item) == 1) {
            struct batch_header header;

            assert_true(item.place.position >= FORMAT_BLOCK_DATA);
            assert_int_equal(item.place.position % BATCH_ALIGN, 0);
            if (!items.direct) {
                assert_int_equal(
                    batch_verify(item.bytes, item.padded_size, item.header.stored_size, &header),
                    BATCH_GOOD);
            }
        }
    }
}

/* What is put into the journal reads back from the disk: one chain over many files, nothing in between. */
static void records_form_one_chain_over_all_files(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    struct journal_image *image;
    unsigned valid = 0;
    unsigned i;

    fixture_open(f);
    for (i = 0; i < 60; i++) {
        assert_int_equal(fixture_log_append(f, &log, 1 + i % 5, 200, i % 2 == 0), 0);
        if (i % 10 == 0) {
            assert_int_equal(fixture_append_size(f, "big", 6000), 0);
        }
    }
    fixture_sync(f);
    image = image_of(f);
    for (i = 0; i < image->file_count; i++) {
        valid += image->files[i].valid ? 1u : 0u;
    }
    assert_true(valid >= 2);
    assert_true(image->record_count > 60);
    expect_chain(image);
    expect_bodies(image);
    i = image->record_count - 1;
    assert_int_equal(image->records[i].header.lsn +
                         format_record_padded(image->records[i].header.size),
                     fixture_stat(f, "journal_lsn"));
    journal_image_free(image);
}

/* The small appends of one turn share one record and one write. */
static void a_turn_is_one_write(void **state)
{
    enum { COUNT = 30 };
    struct fixture *f = *state;
    struct fixture_append appends[COUNT] = {0};
    const struct batch_entry entry = {.data = (const uint8_t *)"entry", .size = 5};
    struct journal_image *image;
    uint64_t flushes;
    unsigned before;
    unsigned i;

    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    fixture_open(f);
    fixture_append_strings(f, "t", "first", NULL);
    fixture_settle(f);
    image = image_of(f);
    before = image->record_count;
    journal_image_free(image);
    flushes = fixture_stat(f, "journal_flushes");
    for (i = 0; i < COUNT; i++) {
        fixture_append_begin(f, &appends[i], "t", &entry, 1);
    }
    fixture_turn(f);
    for (i = 0; i < COUNT; i++) {
        assert_int_equal(fixture_append_end(f, &appends[i]), 0);
    }
    assert_int_equal(fixture_stat(f, "journal_flushes"), flushes + 1);
    image = image_of(f);
    assert_int_equal(image->record_count, before + 1);
    journal_image_free(image);
}

/* There are always spares ahead, written and named, and none of them holds a record. */
static void spares_are_ready_and_hold_nothing(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    struct journal_image *image;
    unsigned spares = 0;
    unsigned i;

    fixture_open(f);
    for (i = 0; i < 100; i++) {
        assert_true(f->ns->journal.spare_count >= 1);
        assert_int_equal(fixture_log_append(f, &log, 1, 2000, true), 0);
    }
    fixture_settle(f);
    assert_true(f->ns->journal.spare_count >= JOURNAL_RESERVE);
    image = image_of(f);
    for (i = 0; i < image->file_count; i++) {
        spares += image->files[i].valid ? 0u : 1u;
    }
    assert_true(spares >= JOURNAL_RESERVE);
    journal_image_free(image);
}

/* Files that two manifests stand behind are recycled under a new number: what they held is not taken for records,
 * neither before they are used again nor where the new records have not yet reached. */
static void a_recycled_file_holds_no_old_record(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    struct journal_image *image;
    uint64_t files_before;
    unsigned round;
    unsigned i;

    f->options.manifest_journal_bytes = 16u << 10;
    fixture_open(f);
    for (i = 0; i < 60; i++) {
        assert_int_equal(fixture_log_append(f, &log, 1, 2000, true), 0);
    }
    fixture_settle(f);
    image = image_of(f);
    files_before = image->file_count;
    journal_image_free(image);
    for (round = 0; round < 10; round++) {
        for (i = 0; i < 23; i++) {
            assert_int_equal(fixture_log_append(f, &log, 1, 2000, true), 0);
        }
        image = image_of(f);
        expect_chain(image);
        expect_bodies(image);
        assert_true(image->file_count <= files_before + 4); /* Recycled, not piling up */
        journal_image_free(image);
        fixture_kill(f);
        fixture_log_check(f, &log, log.durable);
    }
    assert_true(f->ns->journal.next_number > 15);
}

/* A file's generation is drawn each time it is put to use: what an earlier use left in it is sealed with another one, so
 * that it can never validate, whatever its LSN. */
static void each_use_of_a_file_has_its_own_generation(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    uint64_t seen[20];
    unsigned count = 0;
    unsigned i;

    f->options.manifest_journal_bytes = 16u << 10;
    fixture_open(f);
    while (count < 20) {
        const struct journal_file *current = f->ns->journal.current;

        assert_int_equal(fixture_log_append(f, &log, 1, 2000, true), 0);
        if (f->ns->journal.current == current && count > 0) {
            continue;
        }
        for (i = 0; i < count; i++) {
            /* cppcheck-suppress uninitvar ; the first count are written */
            assert_true(seen[i] != f->ns->journal.current->generation);
        }
        seen[count++] = f->ns->journal.current->generation;
    }
}

/* A file of the next number that is there already, whoever left it, costs a number and nothing else. */
static void a_leftover_file_is_passed_over(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    struct io_file *leftover;
    char path[IO_PATH_SIZE];
    struct io *io;
    unsigned i;

    fixture_open(f);
    fixture_settle(f);
    assert_int_equal(io_sim_open(&io, f->disk), 0);
    for (i = 0; i < 3; i++) {
        journal_path(&f->ns->journal, path, f->ns->journal.next_number + i);
        assert_int_equal(io_open(io, path, IO_OPEN_CREATE, &leftover, &f->err), 0);
        io_close_file(leftover);
    }
    for (i = 0; i < 60; i++) {
        assert_int_equal(fixture_log_append(f, &log, 1, 2000, true), 0);
    }
    fixture_settle(f);
    assert_true(fixture_serves(f));
    assert_true(f->ns->journal.current->number > 3);
    io_close(io);
    fixture_kill(f);
    fixture_log_check(f, &log, log.durable);
}

/* On a full disk the reserve is left: trims, deletes, checkpoints and a clean stop still work. */
static void a_full_disk_leaves_the_reserve(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    int status = 0;
    unsigned i;

    f->options.manifest_journal_bytes = 400u << 10; /* No manifest helps out */
    fixture_open(f);
    assert_int_equal(fixture_append_size(f, "other", 5000), 0);
    fixture_settle(f);
    sim_disk_set_capacity(f->disk, sim_disk_used(f->disk) + (160u << 10));
    for (i = 0; i < 3000 && status == 0; i++) {
        status = fixture_log_append(f, &log, 1, 900, true);
    }
    assert_int_equal(status, TUSK_ENOSPACE);
    assert_true(f->ns->journal.spare_count >= 1);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 2), 0);
    assert_int_equal(fixture_trim(f, "t", 2), 0);
    log.trimmed = 2;
    assert_int_equal(fixture_delete(f, "other"), 0);
    fixture_stop(f);
    fixture_open(f);
    assert_int_equal(f->findings, 0);
    fixture_log_check(f, &log, log.durable);
    assert_int_equal(fixture_cursor(f, "t", "c"), 2);
}

/* An old file that is to be removed, and whose name is gone already, is forgotten like one that was: nothing of it stays in memory,
 * and the next one's turn comes. */
static void a_file_that_is_gone_already_is_forgotten(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    const uint64_t before = sim_disk_fired(f->disk);
    unsigned i;

    f->options.manifest_journal_bytes = 32u << 10;
    f->options.journal_file_max =
        256u << 10; /* Files grow, so that old ones are too small to be used again */
    fixture_open(f);
    sim_disk_fail(f->disk, SIM_BIT(SIM_UNLINK), 1, true, ENOENT, SIM_FAIL);
    for (i = 0; i < 600; i++) {
        assert_int_equal(fixture_log_append(f, &log, 1, 900, true), 0);
    }
    fixture_pass(f, 100000);
    assert_true(sim_disk_fired(f->disk) > before + 1);
    sim_disk_clear_faults(f->disk);
    fixture_stop(f);
    fixture_open(f);
    fixture_log_check(f, &log, log.durable);
}

/* On a disk so full that not even the reserve is left, the position of a lazy cursor waits for room. It does not stop the namespace, and
 * is recorded when there is room. */
static void a_lazy_cursor_waits_for_room(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    int status = 0;
    unsigned i;

    f->options.settings.consistency = 1000;
    f->options.manifest_journal_bytes = 400u << 10;
    fixture_open(f);
    for (i = 0; i < 10; i++) {
        assert_int_equal(fixture_log_append(f, &log, 1, 100, true), 0);
    }
    assert_int_equal(fixture_checkpoint(f, "t", "c", 1), 0);
    fixture_settle(f);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 5), 0);
    sim_disk_set_capacity(f->disk, 0);
    sim_disk_fail(f->disk, SIM_BIT(SIM_CREATE) | SIM_BIT(SIM_RENAME), 1, true, ENOSPC, SIM_FAIL);
    for (i = 0; i < 5000 && status == 0; i++) {
        struct engine_setting setting = {.key = ENGINE_SETTING_CONSISTENCY, .value = 1000};
        struct engine_command command = {
            /* cppcheck-suppress danglingLifetime ; both end with the turn of the loop */
            .kind = ENGINE_NAMESPACE_SET, .settings = &setting, .settings_count = 1};

        status = fixture_command(f, &command);
    }
    assert_int_equal(status, TUSK_ENOSPACE);
    assert_false(list_empty(&f->ns->unrecorded_cursors));
    fixture_pass(f, 3000000);
    assert_true(fixture_serves(f));
    assert_int_equal(fixture_cursor(f, "t", "c"), 5);
    sim_disk_clear_faults(f->disk);
    sim_disk_set_capacity(f->disk, UINT64_MAX);
    fixture_pass(f, 5000000);
    fixture_kill(f);
    assert_int_equal(fixture_cursor(f, "t", "c"), 5);
    fixture_log_check(f, &log, log.durable);
}

/* The journal behind the manifests is bounded: at the limit appends wait for the next manifest, they do not fail. */
static void the_journal_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    unsigned i;

    f->options.journal_size_max = 128u << 10;
    f->options.manifest_journal_bytes = 1u << 30;
    f->options.settings.fsync_ms = 1;
    fixture_open(f);
    for (i = 0; i < 400; i++) {
        assert_int_equal(fixture_log_append(f, &log, 1, 2000, false), 0);
        assert_true(journal_behind(&f->ns->journal, f->ns->manifest.older_lsn) <= (140u << 10));
    }
    assert_true(fixture_stat(f, "manifests") > 3);
    fixture_log_check(f, &log, 400);
}

/* An idle journal says what is durable: after a second it writes its mark, once. */
static void an_idle_journal_writes_its_mark(void **state)
{
    struct fixture *f = *state;
    struct journal_image *image;
    unsigned count;
    uint64_t end;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    end = fixture_stat(f, "journal_lsn");
    fixture_pass(f, 1100000);
    image = image_of(f);
    assert_int_equal(journal_image_last(image, RECORD_MARK, UINT64_MAX)->header.mark, end);
    count = image->record_count;
    journal_image_free(image);
    fixture_pass(f, 5000000);
    image = image_of(f);
    assert_int_equal(image->record_count, count);
    journal_image_free(image);
}

/* An open never continues an old file: it begins one whose header names the place where the history was cut. */
static void every_open_begins_a_file(void **state)
{
    struct fixture *f = *state;
    unsigned round;

    fixture_open(f);
    for (round = 0; round < 4; round++) {
        struct journal_image *image;
        const struct image_record *open;

        fixture_append_strings(f, "t", "a", NULL);
        if (round % 2 == 0) {
            fixture_kill(f);
        } else {
            fixture_stop(f);
            fixture_open(f);
        }
        image = image_of(f);
        open = journal_image_last(image, RECORD_OPEN, UINT64_MAX);
        assert_int_equal(open->offset, FORMAT_PAGE);
        assert_int_equal(open->file->header.first_lsn, open->header.lsn);
        assert_int_equal(open->file->header.previous_crc, open->header.previous_crc);
        expect_chain(image);
        journal_image_free(image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(records_form_one_chain_over_all_files),
        FIXTURE_TEST(a_turn_is_one_write),
        FIXTURE_TEST(spares_are_ready_and_hold_nothing),
        FIXTURE_TEST(a_recycled_file_holds_no_old_record),
        FIXTURE_TEST(each_use_of_a_file_has_its_own_generation),
        FIXTURE_TEST(a_leftover_file_is_passed_over),
        FIXTURE_TEST(a_full_disk_leaves_the_reserve),
        FIXTURE_TEST(a_file_that_is_gone_already_is_forgotten),
        FIXTURE_TEST(a_lazy_cursor_waits_for_room),
        FIXTURE_TEST(the_journal_is_bounded),
        FIXTURE_TEST(an_idle_journal_writes_its_mark),
        FIXTURE_TEST(every_open_begins_a_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
