/* Recovery comes to every row of its table, from stores that were damaged for it, and does what the
 * row says. FORMAT.md, "Recovery", gives the rows. */
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/namespace.h"
#include "tests/support/engine_expect.h"
#include "tests/support/engine_fixture.h"
#include "tests/support/journal_image.h"

static uint64_t reached(const struct fixture *f, enum recovery_row row)
{
    return f->ns->recovery_rows[row];
}

/* The process dies; the journal as it stands. */
static struct journal_image *crash(struct fixture *f)
{
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_settle(f->disk); /* The process died, not the machine */
    return journal_image_load(f->disk, FIXTURE_DIR);
}

static void flip(struct fixture *f, const struct image_record *record, uint64_t byte)
{
    sim_disk_flip_bit(f->disk, record->file->path, 8 * (record->offset + byte));
}

/* Byte of a payload in a batch record: behind header, place, batch header and one length. */
#define PAYLOAD_AT (FORMAT_RECORD_HEADER_SIZE + FORMAT_PLACE_SIZE + BATCH_HEADER_SIZE + 4u)

/* R1, R2: valid records are applied, zeros behind the mark are the end. R18: a clean close alone
 * and last is a clean stop, where nothing has to be done. */
static void a_plain_crash_ends_in_zeros_a_stop_is_clean(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_kill(f);
    assert_true(reached(f, ROW_R1) > 0);
    assert_int_equal(reached(f, ROW_R2), 1);
    assert_int_equal(reached(f, ROW_R18), 0);
    fixture_stop(f);
    fixture_open(f);
    assert_int_equal(reached(f, ROW_R18), 1);
    assert_int_equal(f->findings, 0);
    fixture_expect(f, "t", "a", NULL);
}

/* Three appends in schedule none, the first of them synced; then the crash. The image is the
 * caller's. */
static struct journal_image *crash_with_unsynced(struct fixture *f)
{
    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_sync(f);
    fixture_append_strings(f, "t", "b", NULL);
    fixture_append_strings(f, "t", "c", NULL);
    return crash(f);
}

/* Three durable appends: the mark lies behind the second. */
static struct journal_image *crash_with_durable(struct fixture *f)
{
    struct journal_image *image;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_append_strings(f, "t", "b", NULL);
    fixture_append_strings(f, "t", "c", NULL);
    image = crash(f);
    assert_true(journal_image_last(image, RECORD_BATCH, UINT64_MAX)->header.lsn >= image->mark);
    return image;
}

/* R2: zeros where the first record behind the mark was: it and what is behind it go, though that is
 * valid. */
static void zeros_behind_the_mark_are_the_end(void **state)
{
    struct fixture *f = *state;
    struct journal_image *image = crash_with_unsynced(f);
    const struct image_record *last = journal_image_last(image, RECORD_BATCH, UINT64_MAX);
    const struct image_record *hit = journal_image_last(image, RECORD_BATCH, last->header.lsn);

    assert_true(hit->header.lsn >= image->mark);
    sim_disk_zero(f->disk, hit->file->path, hit->offset, 64);
    journal_image_free(image);
    fixture_open(f);
    assert_int_equal(reached(f, ROW_R2), 1);
    fixture_expect(f, "t", "a", NULL);
    assert_int_equal(fixture_stat(f, "recovered_dropped"), 1);
    fixture_kill(f); /* What was cut off does not come back */
    fixture_expect(f, "t", "a", NULL);
}

/* R3: zeros before the mark are damage. */
static void zeros_before_the_mark_are_refused(void **state)
{
    struct fixture *f = *state;
    struct journal_image *image = crash_with_durable(f);
    const struct image_record *hit = journal_image_last(image, RECORD_BATCH, image->mark);

    sim_disk_zero(f->disk, hit->file->path, hit->offset,
                  (size_t)format_record_padded(hit->header.size));
    journal_image_free(image);
    fixture_expect_row_refusal(f, ROW_R3);
    fixture_expect_refusal(f, "zeros where a record must be");
}

/* R4: a torn record behind the mark is the end. */
static void a_torn_record_behind_the_mark_is_the_end(void **state)
{
    struct fixture *f = *state;
    struct journal_image *image = crash_with_unsynced(f);

    flip(f, journal_image_last(image, RECORD_BATCH, UINT64_MAX), 9);
    journal_image_free(image);
    fixture_open(f);
    assert_int_equal(reached(f, ROW_R4), 1);
    fixture_expect(f, "t", "a", "b", NULL);
}

/* R5: one before the mark is damage, in its header or in its body. */
static void a_bad_record_before_the_mark_is_refused(void **state)
{
    static const uint64_t bytes[] = {0, 5, 9, 17, 21, 25, 33, 48, 60};
    unsigned i;

    (void)state;
    for (i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        struct fixture *f = fixture_new(2);
        struct journal_image *image = crash_with_durable(f);

        flip(f, journal_image_last(image, RECORD_TOPIC_CREATE, image->mark), bytes[i]);
        journal_image_free(image);
        fixture_expect_row_refusal(f, ROW_R5);
        fixture_expect_refusal(f, "bytes that do not check out where a record must be");
        fixture_free(f);
    }
}

/* The chain: a record that validates but does not follow the one before it is as bad as a torn
 * one. */
static void a_record_out_of_the_chain_is_bad(void **state)
{
    unsigned before_mark;

    (void)state;
    for (before_mark = 0; before_mark < 2; before_mark++) {
        struct fixture *f = fixture_new(3);
        struct journal_image *image = crash_with_durable(f);
        const struct image_record *hit =
            journal_image_last(image, RECORD_BATCH, before_mark == 1 ? image->mark : UINT64_MAX);
        struct format_record_header header = hit->header;
        uint8_t bytes[FORMAT_RECORD_HEADER_SIZE];

        header.previous_crc ^= 1;
        format_record_header_encode(bytes, &header, hit->file->seed);
        sim_disk_overwrite(f->disk, hit->file->path, hit->offset, bytes, sizeof bytes);
        journal_image_free(image);
        if (before_mark == 1) {
            fixture_expect_row_refusal(f, ROW_R5);
        } else {
            fixture_open(f);
            assert_int_equal(reached(f, ROW_R4), 1);
            fixture_expect(f, "t", "a", "b", NULL);
        }
        fixture_free(f);
    }
}

/* R6: a batch whose body was torn, behind the mark, is the end. */
static void a_torn_body_behind_the_mark_is_the_end(void **state)
{
    struct fixture *f = *state;
    struct journal_image *image = crash_with_unsynced(f);

    flip(f, journal_image_last(image, RECORD_BATCH, UINT64_MAX), PAYLOAD_AT);
    journal_image_free(image);
    fixture_open(f);
    assert_int_equal(reached(f, ROW_R6), 1);
    fixture_expect(f, "t", "a", "b", NULL);
}

/* R7: before the mark it is taken from its block where that has it; where it does not, damage. */
static void a_bad_body_before_the_mark_is_healed_or_refused(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    struct journal_image *image;
    unsigned i;

    fixture_open(f);
    for (i = 0; i < 5; i++) {
        assert_int_equal(fixture_log_append(f, &log, 1, 2000, true),
                         0); /* 8 KiB are applied at once */
    }
    assert_true(fixture_stat(f, "tail_applies") > 0);
    image = crash(f);
    for (i = 0; i < image->record_count; i++) {
        if (image->records[i].header.type == RECORD_BATCH) {
            flip(f, &image->records[i], PAYLOAD_AT);
            break;
        }
    }
    journal_image_free(image);
    fixture_open(f);
    assert_int_equal(reached(f, ROW_R7), 1);
    assert_int_equal(f->findings, 2); /* The healing, and the unclean stop */
    fixture_log_check(f, &log, 5);
    fixture_append_strings(f, "s", "tail", NULL);
    fixture_append_strings(f, "s", "tail", NULL);
    image = crash(f);
    flip(f, journal_image_last(image, RECORD_BATCH, image->mark), PAYLOAD_AT);
    journal_image_free(image);
    fixture_expect_row_refusal(f, ROW_R7);
}

/* The place of the only directly written batch, in its segment: damage it. */
static void damage_direct(struct fixture *f)
{
    char path[IO_PATH_SIZE];
    uint64_t at;

    assert_true(fixture_find(f, ".seg", "xxxxxxxxxxxxxxxx", 16, path, &at));
    sim_disk_flip_bit(f->disk, path, 8 * at + 1);
}

/* R8: a direct batch whose bytes did not reach its block, behind the mark, is the end. */
static void a_torn_direct_batch_behind_the_mark_is_the_end(void **state)
{
    struct fixture *f = *state;

    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_sync(f);
    assert_int_equal(fixture_append_size(f, "t", 6000), 0);
    fixture_append_strings(f, "t", "behind it", NULL);
    journal_image_free(crash(f));
    damage_direct(f);
    fixture_open(f);
    assert_int_equal(reached(f, ROW_R8), 1);
    fixture_expect(f, "t", "a", NULL);
}

/* R9: before the mark it is damage of a block: the journal is used, the entry is told when it is
 * read. */
static void a_bad_direct_batch_before_the_mark_is_damage_of_a_block(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    assert_int_equal(fixture_append_size(f, "t", 6000), 0);
    fixture_append_strings(f, "t", "b", NULL);
    fixture_append_strings(f, "t", "c", NULL);
    journal_image_free(crash(f));
    damage_direct(f);
    fixture_open(f);
    /* Before the mark its bytes are not read at all: the row is come to as R1, with the same
     * consequence. */
    assert_true(reached(f, ROW_R1) > 0);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 0), TUSK_ECORRUPT);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 1), 0);
}

/* R10: a journal that cannot be read is never taken for its end, behind the mark as little as
 * before it. */
static void an_unreadable_journal_is_refused(void **state)
{
    struct fixture *f = *state;
    struct journal_image *image = crash_with_unsynced(f);
    const struct image_record *last = journal_image_last(image, RECORD_BATCH, UINT64_MAX);

    sim_disk_set_unreadable(f->disk, last->file->path, last->offset, 1);
    journal_image_free(image);
    fixture_expect_row_refusal(f, ROW_R10);
    sim_disk_clear_unreadable(f->disk);
    fixture_open(f);
    fixture_expect(f, "t", "a", "b", "c", NULL);
}

/* R11: a type or flag that this build does not know, under a valid checksum, is a newer version's:
 * refused, wherever it stands, and whether or not it follows the record before it. */
static void an_unknown_record_is_refused(void **state)
{
    unsigned round;

    (void)state;
    for (round = 0; round < 8; round++) {
        struct fixture *f = fixture_new(4);
        struct journal_image *image = crash_with_durable(f);
        const struct image_record *hit =
            journal_image_last(image, RECORD_BATCH, round % 4 < 2 ? UINT64_MAX : image->mark);
        struct format_record_header header = hit->header;
        uint8_t bytes[FORMAT_RECORD_HEADER_SIZE];

        if (round % 2 == 0) {
            header.type = RECORD_TYPE_END;
        } else {
            header.flags = 0x0100;
        }
        header.previous_crc ^= round < 4 ? 0 : 1;
        format_record_header_encode(bytes, &header, hit->file->seed);
        sim_disk_overwrite(f->disk, hit->file->path, hit->offset, bytes, sizeof bytes);
        journal_image_free(image);
        fixture_expect_row_refusal(f, ROW_R11);
        fixture_free(f);
    }
}

/* R12: where the last file simply stops, behind the mark, the history stops. */
static void a_file_that_stops_short_behind_the_mark_is_the_end(void **state)
{
    struct fixture *f = *state;
    struct journal_image *image = crash_with_unsynced(f);
    const struct image_record *last = journal_image_last(image, RECORD_BATCH, UINT64_MAX);

    sim_disk_resize(f->disk, last->file->path, last->offset);
    journal_image_free(image);
    fixture_open(f);
    assert_int_equal(reached(f, ROW_R12), 1);
    fixture_expect(f, "t", "a", "b", NULL);
}

/* R13: a stretch of journal that is missing though later files say it was durable is damage;
 * accepted, it is the end of what is kept. */
static void a_missing_stretch_before_the_mark_is_refused(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    struct journal_image *image;
    unsigned i;

    fixture_open(f);
    for (i = 0; i < 20; i++) {
        assert_int_equal(fixture_log_append(f, &log, 1, 2000, true), 0);
    }
    image = crash(f);
    assert_true(image->file_count >= 2 && image->files[1].valid);
    sim_disk_resize(f->disk, image->files[0].path, image->records[image->record_count / 3].offset);
    journal_image_free(image);
    fixture_expect_row_refusal(f, ROW_R13);
    fixture_expect_refusal(f, "nothing where a record must be");
    f->options.accept_loss = "default";
    fixture_open(f);
    assert_int_equal(reached(f, ROW_R14), 1);
    fixture_log_check(f, &log, 1);
    assert_true(log.acked < 20);
    fixture_kill(f);
    fixture_log_check(f, &log, log.acked);
}

/* Damage the record of "b", before the mark. */
static void damage_second(struct fixture *f)
{
    struct journal_image *image = crash_with_durable(f);

    flip(f, journal_image_last(image, RECORD_BATCH, image->mark), 9);
    journal_image_free(image);
}

/* "a" and "c" are there; "b" is told to be lost, and nothing else. */
static void expect_second_lost(struct fixture *f)
{
    struct fixture_read read = {.request = {.position = ENGINE_AT_OFFSET, .value = 1}};

    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 0), 0);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 2), 0);
    fixture_read_begin(f, &read, "t");
    assert_int_equal(fixture_read_end(f, &read), TUSK_ECORRUPT);
    assert_int_equal(read.request.base.detail_a, 1);
    assert_int_equal(read.request.base.detail_b, 2);
    fixture_read_free(&read);
}

/* R14: when a person accepts the loss, what is damaged is skipped, the rest is there, and the
 * acceptance is remembered: the next start does not ask again. Offsets go on far behind. */
static void an_accepted_loss_is_skipped_and_remembered(void **state)
{
    struct fixture *f = *state;
    uint64_t end;

    damage_second(f);
    fixture_expect_row_refusal(f, ROW_R5);
    f->options.accept_loss = "default";
    fixture_open(f);
    assert_int_equal(reached(f, ROW_R14), 1);
    expect_second_lost(f);
    end = fixture_append_strings(f, "t", "d", NULL);
    assert_true(end >= (uint64_t)1 << 40);
    f->options.accept_loss = NULL;
    fixture_kill(f);
    expect_second_lost(f);
    fixture_stop(f);
    fixture_open(f);
    expect_second_lost(f);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, end), 0);
    assert_int_equal(reached(f, ROW_R18), 1);
}

/* Accepting a loss where there is none changes nothing. */
static void accepting_no_loss_loses_nothing(void **state)
{
    struct fixture *f = *state;

    journal_image_free(crash_with_durable(f));
    f->options.accept_loss = "default";
    fixture_open(f);
    assert_int_equal(reached(f, ROW_R14), 0);
    fixture_expect(f, "t", "a", "b", "c", NULL);
    assert_true(fixture_append_strings(f, "t", "d", NULL) < (uint64_t)1 << 40);
}

/* R15: a namespace without a valid manifest is damaged, never empty. R16: when only the newest is
 * damaged, the older one and the journal behind it say the same. */
static void manifests_older_or_none(void **state)
{
    struct fixture *f = *state;
    char path[IO_PATH_SIZE];

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_stop(f);
    assert_int_equal(fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path), 2);
    sim_disk_flip_bit(f->disk, path, 8 * 50);
    fixture_open(f);
    assert_int_equal(reached(f, ROW_R16), 1);
    fixture_expect(f, "t", "a", NULL);
    fixture_stop(f);
    while (fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path) > 0) {
        struct error err;

        assert_int_equal(io_sim_open(&f->io, f->disk), 0);
        assert_int_equal(io_unlink(f->io, path, &err), 0);
        assert_int_equal(io_sync_dir(f->io, FIXTURE_DIR, &err), 0);
        io_close(f->io);
        f->io = NULL;
    }
    fixture_expect_row_refusal(f, ROW_R15);
}

/* R17: when the journal file in which the manifest stands is gone, or has no header, that is
 * damage. */
static void a_journal_that_does_not_reach_the_manifest_is_refused(void **state)
{
    struct fixture *f = *state;
    struct journal_image *image;
    unsigned i;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_stop(f);
    image = journal_image_load(f->disk, FIXTURE_DIR);
    for (i = 0; i < image->file_count; i++) {
        sim_disk_flip_bit(f->disk, image->files[i].path, 8 * 60);
    }
    journal_image_free(image);
    fixture_expect_row_refusal(f, ROW_R17);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_plain_crash_ends_in_zeros_a_stop_is_clean),
        FIXTURE_TEST(zeros_behind_the_mark_are_the_end),
        FIXTURE_TEST(zeros_before_the_mark_are_refused),
        FIXTURE_TEST(a_torn_record_behind_the_mark_is_the_end),
        cmocka_unit_test(a_bad_record_before_the_mark_is_refused),
        cmocka_unit_test(a_record_out_of_the_chain_is_bad),
        FIXTURE_TEST(a_torn_body_behind_the_mark_is_the_end),
        FIXTURE_TEST(a_bad_body_before_the_mark_is_healed_or_refused),
        FIXTURE_TEST(a_torn_direct_batch_behind_the_mark_is_the_end),
        FIXTURE_TEST(a_bad_direct_batch_before_the_mark_is_damage_of_a_block),
        FIXTURE_TEST(an_unreadable_journal_is_refused),
        cmocka_unit_test(an_unknown_record_is_refused),
        FIXTURE_TEST(a_file_that_stops_short_behind_the_mark_is_the_end),
        FIXTURE_TEST(a_missing_stretch_before_the_mark_is_refused),
        FIXTURE_TEST(an_accepted_loss_is_skipped_and_remembered),
        FIXTURE_TEST(accepting_no_loss_loses_nothing),
        FIXTURE_TEST(manifests_older_or_none),
        FIXTURE_TEST(a_journal_that_does_not_reach_the_manifest_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
