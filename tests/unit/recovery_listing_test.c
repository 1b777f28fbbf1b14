/* What lies in a namespace's directory: names that mean nothing to it, more files than it remembers, files that are gone or end in the
 * middle. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/journal.h"
#include "core/namespace.h"
#include "tests/support/engine_fixture.h"
#include "tests/support/journal_image.h"

static void crash(struct fixture *f)
{
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_settle(f->disk);
}

static void make_file(struct io *io, const char *path)
{
    struct io_file *file;
    struct error err;

    assert_int_equal(io_open(io, path, IO_OPEN_CREATE, &file, &err), 0);
    io_close_file(file);
}

static void store(struct fixture *f)
{
    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    crash(f);
}

/* Names that are no name of ours are left alone and told of, each by its name: files and directories, where a file or a directory of that name
 * would mean something, too. */
static void unknown_names_are_left_alone_and_told_of(void **state)
{
    static const char *const files[] = {"notes", "manifest-1", "0000000000000009.segx",
                                        "journal/0000000000000009.jnlx", "journal/readme"};
    static const char *const directories[] = {"lost+found", "0000000000000009.seg",
                                              "manifest-0000000000000009",
                                              "journal/0000000000000009.jnl"};
    unsigned i;

    (void)state;
    for (i = 0; i < 9; i++) {
        struct fixture *f = fixture_new(1);
        char path[IO_PATH_SIZE];
        struct io *io;
        const char *name = i < 5 ? files[i] : directories[i - 5];

        fixture_open(f);
        fixture_append_strings(f, "t", "a", NULL);
        fixture_stop(f);
        (void)snprintf(path, sizeof path, FIXTURE_DIR "/%s", name);
        assert_int_equal(io_sim_open(&io, f->disk), 0);
        if (i < 5) {
            make_file(io, path);
        } else {
            assert_int_equal(io_make_dir(io, path, &f->err), 0);
        }
        io_close(io);
        fixture_open(f);
        assert_int_equal(f->findings, 1);
        assert_non_null(strstr(f->finding, name));
        assert_non_null(strstr(f->finding, "left alone"));
        fixture_expect(f, "t", "a", NULL);
        fixture_stop(f);
        fixture_open(f);
        assert_int_equal(f->findings, 1); /* It is still there */
        fixture_free(f);
    }
}

/* The journal is a directory. A file of its name is something else, and a namespace without a journal is refused. */
static void a_file_called_journal_is_no_journal(void **state)
{
    struct fixture *f = *state;
    struct io *io;

    store(f);
    assert_int_equal(io_sim_open(&io, f->disk), 0);
    assert_int_equal(io_rename(io, FIXTURE_DIR "/journal", FIXTURE_DIR "/elsewhere", &f->err), 0);
    make_file(io, FIXTURE_DIR "/journal");
    io_close(io);
    assert_int_equal(fixture_try_open(f), 0);
    assert_false(fixture_serves(f));
    assert_true(f->findings >= 2);
    fixture_close(f);
    assert_int_equal(io_sim_open(&io, f->disk), 0);
    assert_int_equal(io_unlink(io, FIXTURE_DIR "/journal", &f->err), 0);
    assert_int_equal(io_rename(io, FIXTURE_DIR "/elsewhere", FIXTURE_DIR "/journal", &f->err), 0);
    io_close(io);
    fixture_open(f);
    fixture_expect(f, "t", "a", NULL);
}

/* The newest manifest as number 5000, which its header says, too. */
static void number_the_newest(struct fixture *f, struct io *io)
{
    struct format_manifest manifest;
    char path[IO_PATH_SIZE];
    uint64_t size;
    uint8_t *bytes;

    (void)fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path);
    bytes = sim_disk_file(f->disk, path, &size);
    assert_int_equal(format_manifest_decode(&manifest, bytes), 0);
    manifest.number = 5000;
    format_manifest_encode(bytes, &manifest);
    (void)snprintf(path, sizeof path, FIXTURE_DIR "/manifest-%016x", 5000);
    make_file(io, path);
    sim_disk_overwrite(f->disk, path, 0, bytes, size);
    free(bytes);
}

/* More leftovers of manifests than a listing remembers, in whatever order it gives them: the newest is found all the same, and starts remove
 * the others, some each time. */
static void the_newest_of_more_manifests_than_are_remembered_is_found(void **state)
{
    enum { LEFT_OVER = 150 };
    struct fixture *f = *state;
    unsigned left = LEFT_OVER;
    struct io *io;
    unsigned i;

    f->options.manifest_idle_us = 10000;
    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_stop(f);
    sim_disk_settle(f->disk);
    assert_int_equal(io_sim_open(&io, f->disk), 0);
    for (i = 0; i < LEFT_OVER; i++) {
        char path[IO_PATH_SIZE];

        if (i == LEFT_OVER / 2) {
            number_the_newest(f, io);
        }
        (void)snprintf(path, sizeof path, FIXTURE_DIR "/manifest-%016x", 1000 + i);
        make_file(io, path);
    }
    io_close(io);
    for (i = 0; i < 4; i++) {
        char path[IO_PATH_SIZE];
        unsigned now;

        sim_disk_seed(f->disk, i);
        fixture_open(f);
        fixture_expect(f, "t", "a", NULL);
        fixture_settle(f);
        fixture_stop(f);
        sim_disk_settle(f->disk);
        now = fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path);
        assert_true(now < left || left <= 3);
        left = now;
    }
    assert_in_range(left, 1, 3);
}

/* A journal has a bound, far above what it ever takes: a directory with more files than that is something else. */
static void more_journal_files_than_there_can_be_are_refused(void **state)
{
    struct fixture *f = *state;
    struct io *io;
    unsigned i;

    store(f);
    assert_int_equal(io_sim_open(&io, f->disk), 0);
    for (i = 0; i < JOURNAL_FILES_MAX; i++) {
        char path[IO_PATH_SIZE];

        (void)snprintf(path, sizeof path, FIXTURE_DIR "/journal/%016x.jnl", 0x1000 + i);
        make_file(io, path);
    }
    io_close(io);
    assert_int_equal(fixture_try_open(f), 0);
    assert_false(fixture_serves(f));
    assert_non_null(strstr(fixture_reason(f), "more than 4096 journal files"));
}

/* Each open is an incarnation of its own, and counts on from all before, from whichever manifest it begins: that the newest of them is
 * damaged makes none forgotten. */
static void every_open_counts_on(void **state)
{
    struct fixture *f = *state;
    uint64_t ordinal = 0;
    unsigned i;

    for (i = 0; i < 5; i++) {
        char path[IO_PATH_SIZE];

        fixture_open(f);
        assert_int_equal(f->ns->incarnation_count, i + 1);
        assert_true(i == 0 || f->ns->incarnations[i].ordinal == ordinal + 1);
        assert_true(i == 0 || f->ns->incarnations[i].lsn > f->ns->incarnations[i - 1].lsn);
        ordinal = f->ns->incarnations[i].ordinal;
        fixture_append_strings(f, "t", "a", NULL);
        crash(f);
        if (i > 0) {
            (void)fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path);
            sim_disk_flip_bit(f->disk, path, 8 * 100);
        }
    }
}

/* ---- files that are gone, or end early ---- */

static void remove_file(struct fixture *f, const char *path)
{
    struct io *io;

    assert_int_equal(io_sim_open(&io, f->disk), 0);
    assert_int_equal(io_unlink(io, path, &f->err), 0);
    io_close(io);
    sim_disk_settle(f->disk);
}

/* A segment file is gone, and with it blocks: full ones that had no seal yet, one that batches of the journal belong to, and one of a
 * large batch that nobody knows to be durable. What is elsewhere is served, what was there is told to be damaged. */
static void without_a_segment_the_others_serve(void **state)
{
    struct fixture *f = *state;
    unsigned i;

    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    f->options.manifest_idle_us = 10000;
    fixture_open(f);
    for (i = 0; i < 4; i++) {
        assert_int_equal(fixture_append_size(f, "t", 16000), 0);
    }
    fixture_append_strings(f, "u", "b", NULL); /* In the second segment */
    fixture_sync(f);
    fixture_pass(f, 50000); /* A manifest */
    fixture_append_strings(f, "t", "in the journal", NULL);
    fixture_sync(f);
    assert_int_equal(fixture_append_size(f, "t", 5000), 0);
    crash(f);
    remove_file(f, FIXTURE_DIR "/0000000000000001.seg");
    fixture_open(f);
    assert_true(f->findings >= 2);
    fixture_expect(f, "u", "b", NULL);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 0), TUSK_ECORRUPT);
    fixture_append_strings(f, "u", "c", NULL);
    fixture_append_strings(f, "new", "d", NULL);
    fixture_kill(f);
    fixture_expect(f, "u", "b", "c", NULL);
    fixture_expect(f, "new", "d", NULL);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 0), TUSK_ECORRUPT);
}

/* A large batch that nobody knows to be durable, and its block's file is gone, or ends inside of it: so is the batch, like one that
 * never reached its block. */
static void without_its_segment_a_direct_batch_behind_the_mark_is_gone(void **state)
{
    const char *segment = FIXTURE_DIR "/0000000000000001.seg";
    unsigned round;

    (void)state;
    for (round = 0; round < 2; round++) {
        struct fixture *f = fixture_new(1);

        f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
        fixture_open(f);
        fixture_append_strings(f, "t", "a", NULL);
        fixture_sync(f);
        assert_int_equal(fixture_append_size(f, "t", 5000), 0);
        crash(f);
        if (round == 0) {
            remove_file(f, segment);
        } else {
            sim_disk_resize(f->disk, segment, FORMAT_BLOCK_DATA + 4000);
        }
        fixture_open(f);
        assert_int_equal(f->ns->recovery_rows[ROW_R8], 1);
        assert_int_equal(fixture_info(f, "t").entries, 1);
        fixture_append_strings(f, "u", "b", NULL);
        fixture_expect(f, "u", "b", NULL);
        fixture_free(f);
    }
}

/* A journal file that was cut off in the middle of a record's header, or between two: behind the mark that is the end (R4, R12), before it
 * damage. */
static void a_journal_file_cut_off_in_a_header_ends_there(void **state)
{
    unsigned round;

    (void)state;
    for (round = 0; round < 4; round++) {
        struct fixture *f = fixture_new(1);
        struct journal_image *image;
        const struct image_record *hit;

        f->options.settings.fsync_ms = round < 2 ? ENGINE_FSYNC_NONE : ENGINE_FSYNC_EACH;
        fixture_open(f);
        fixture_append_strings(f, "t", "a", NULL);
        fixture_sync(f);
        fixture_append_strings(f, "t", "b", NULL);
        fixture_append_strings(f, "t", "c", NULL);
        crash(f);
        image = journal_image_load(f->disk, FIXTURE_DIR);
        hit = journal_image_last(image, RECORD_BATCH, round < 2 ? UINT64_MAX : image->mark);
        sim_disk_resize(f->disk, hit->file->path, hit->offset + (round % 2 == 0 ? 32 : 0));
        journal_image_free(image);
        assert_int_equal(fixture_try_open(f), 0);
        if (round < 2) {
            assert_true(fixture_serves(f));
            assert_int_equal(f->ns->recovery_rows[round == 0 ? ROW_R4 : ROW_R12], 1);
            fixture_expect(f, "t", "a", "b", NULL);
            fixture_append_strings(f, "t", "d", NULL);
            fixture_kill(f);
            fixture_expect(f, "t", "a", "b", "d", NULL);
        } else {
            /* What told that it was durable may have gone with it; then it looks like a tear. */
            assert_true(!fixture_serves(f) || fixture_info(f, "t").entries >= 1);
        }
        fixture_free(f);
    }
}

/* A spare whose header names a number to come, under a checksum that is right: under that number it would be a file of the journal, with
 * whatever it holds. It is never used, and the number goes to another. */
static void a_file_of_a_number_to_come_is_not_used(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    struct format_journal header = {.generation = 7};
    uint8_t page[FORMAT_PAGE];
    char path[IO_PATH_SIZE];
    const struct journal_file *spare;
    unsigned i;

    fixture_open(f);
    assert_int_equal(fixture_log_append(f, &log, 1, 100, true), 0);
    assert_true(f->ns->journal.spare_count > 0);
    memcpy(header.store_id, f->ns->store_id, sizeof header.store_id);
    fixture_stop(f);
    (void)fixture_last_file(f, FIXTURE_DIR "/journal/", ".jnl", path);
    assert_int_equal(sscanf(path, FIXTURE_DIR "/journal/%16" SCNx64, &header.number), 1);
    header.number++;
    header.size = 32u << 10;
    header.first_lsn = 64u << 10;
    format_journal_encode(page, &header);
    sim_disk_overwrite(f->disk, path, 0, page, sizeof page);
    fixture_open(f);
    for (spare = f->ns->journal.spares; spare != NULL; spare = spare->next) {
        assert_true(spare->number != header.number - 1);
    }
    for (i = 0; i < 60; i++) {
        assert_int_equal(fixture_log_append(f, &log, 1, 3000, true), 0);
        fixture_settle(f);
        if (i % 10 == 9) {
            fixture_kill(f);
            fixture_log_check(f, &log, log.durable);
        }
    }
}

/* A file of the last number, whoever put it there, leaves none for what must follow: the namespace is refused by that number, nothing
 * of it changes, and without the file it serves again. */
static void a_file_of_the_last_number_is_refused(void **state)
{
    static const char *const paths[] = {FIXTURE_DIR "/7fffffffffffffff.seg",
                                        FIXTURE_DIR "/journal/7fffffffffffffff.jnl",
                                        FIXTURE_DIR "/manifest-7fffffffffffffff"};
    unsigned i;

    (void)state;
    for (i = 0; i < 3; i++) {
        struct fixture *f = fixture_new(1);
        uint64_t hash;
        struct io *io;

        store(f);
        assert_int_equal(io_sim_open(&io, f->disk), 0);
        make_file(io, paths[i]);
        io_close(io);
        sim_disk_settle(f->disk);
        hash = fixture_hash(f);
        assert_int_equal(fixture_try_open(f), 0);
        assert_false(fixture_serves(f));
        assert_non_null(strstr(fixture_reason(f), "7fffffffffffffff"));
        assert_non_null(strstr(fixture_reason(f), "move it away"));
        fixture_close(f);
        assert_true(fixture_hash(f) == hash);
        remove_file(f, paths[i]);
        fixture_open(f);
        fixture_expect(f, "t", "a", NULL);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_names_are_left_alone_and_told_of),
        FIXTURE_TEST(a_file_called_journal_is_no_journal),
        FIXTURE_TEST(the_newest_of_more_manifests_than_are_remembered_is_found),
        FIXTURE_TEST(more_journal_files_than_there_can_be_are_refused),
        FIXTURE_TEST(a_file_of_a_number_to_come_is_not_used),
        FIXTURE_TEST(every_open_counts_on),
        FIXTURE_TEST(without_a_segment_the_others_serve),
        cmocka_unit_test(without_its_segment_a_direct_batch_behind_the_mark_is_gone),
        cmocka_unit_test(a_journal_file_cut_off_in_a_header_ends_there),
        cmocka_unit_test(a_file_of_the_last_number_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
