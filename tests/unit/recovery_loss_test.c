/* Behind an accepted loss, and behind records that no daemon of this version would have written: what recovery makes of the
 * order of things when part of the order is gone. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/namespace.h"
#include "proto/crc32c.h"
#include "tests/support/forged_journal.h"
#include "tests/support/journal_image.h"
#include "tests/support/old_batch.h"

/* ---- what a record may say without a loss ---- */

/* A record that comes to nothing is no contradiction: a run that ends before the one that stands, a trim of what is trimmed, a block
 * given back that was given to somebody else since. */
static void a_record_that_changes_nothing_is_taken(void **state)
{
    struct fixture *f = *state;
    struct forged_tables t;

    forged_make_tables(f, &t);
    forged_add(f, &(struct format_record){.type = RECORD_RUN, .field = {t.topic_id, 90000}});
    forged_add(f, &(struct format_record){.type = RECORD_RUN, .field = {t.topic_id, 2}});
    forged_add(f, &(struct format_record){.type = RECORD_TRIM, .field = {t.topic_id, 0}});
    forged_add(f, &(struct format_record){
                      .type = RECORD_BLOCK_FREE,
                      .field = {t.block.segment_number, t.block.index, t.block.generation + 1}});
    fixture_open(f);
    fixture_expect(f, "t", "a", NULL);
    assert_int_equal(fixture_append_strings(f, "t", "next", NULL), 90000);
}

/* A trim reaches the end of what was reserved, behind the last batch: what comes next is behind both. */
static void a_trim_behind_the_last_batch_is_kept(void **state)
{
    struct fixture *f = *state;
    struct forged_tables t;
    uint64_t next;

    forged_make_tables(f, &t);
    fixture_open(f); /* An open record: nothing of the run before is used again */
    next = fixture_append_strings(f, "u", "c", NULL);
    assert_true(next > 1);
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_settle(f->disk);
    forged_add(f, &(struct format_record){.type = RECORD_TRIM, .field = {t.topic_id, 100}});
    fixture_open(f);
    assert_int_equal(fixture_info(f, "t").first, 100);
    assert_int_equal(fixture_info(f, "t").end, 100);
    fixture_expect(f, "t", NULL);
    next = fixture_append_strings(f, "t", "next", NULL);
    assert_true(next >= 100);
    fixture_kill(f);
    fixture_expect(f, "t", "next", NULL);
    fixture_expect(f, "u", "b", "c", NULL);
}

/* A batch whose offset lies behind the run that reserved offsets: its offsets are taken, and so are those before. */
static void a_batch_behind_its_run_takes_its_offsets(void **state)
{
    struct fixture *f = *state;
    struct forged_tables t;
    struct forged_batch batch;

    forged_make_tables(f, &t);
    batch = forged_good_batch(&t);
    batch.first_offset = UINT64_C(1) << 33;
    forged_add_batch(f, &batch);
    fixture_open(f);
    fixture_expect(f, "t", "a", "forged", NULL);
    assert_true(fixture_append_strings(f, "t", "next", NULL) > batch.first_offset);
    fixture_kill(f);
    fixture_expect(f, "t", "a", "forged", "next", NULL);
}

/* Two blocks in a row without a batch between: the first is full of nothing, which needs no seal and is read over. */
static void an_empty_block_is_passed(void **state)
{
    struct fixture *f = *state;
    struct forged_tables t;
    uint64_t index;

    forged_make_tables(f, &t);
    for (index = 2; index < 4; index++) {
        forged_add(f, &(struct format_record){.type = RECORD_BLOCK_ALLOCATE,
                                              .field = {t.block.segment_number, index, 70 + index,
                                                        t.topic_id, t.next_offset}});
    }
    fixture_open(f);
    assert_int_equal(fixture_info(f, "t").blocks, 3);
    fixture_append_strings(f, "t", "next", NULL);
    fixture_expect(f, "t", "a", "next", NULL);
    fixture_kill(f);
    fixture_expect(f, "t", "a", "next", NULL);
    fixture_stop(f);
    fixture_open(f);
    fixture_expect(f, "t", "a", "next", NULL);
}

/* Contradictions of a kind of their own: a batch for a block that is full already, an id that is none, offsets of a block that do not
 * begin where the topic stands, a segment that cannot be. */
static void an_impossible_record_is_refused(void **state)
{
    unsigned i;

    (void)state;
    for (i = 0; i < 7; i++) {
        struct fixture *f = fixture_new(1);
        struct forged_batch batch;
        struct forged_tables t;

        forged_make_tables(f, &t);
        {
            const struct format_record records[] = {
                {.type = RECORD_TOPIC_CREATE, .field = {0}, .name = "new", .name_size = 3},
                {.type = RECORD_BLOCK_ALLOCATE,
                 .field = {t.block.segment_number, 3, 70, t.topic_id, t.next_offset + 1}},
                {.type = RECORD_BLOCK_ALLOCATE,
                 .field = {t.block.segment_number, 3, 70, t.topic_id, t.next_offset - 1}},
                {.type = RECORD_BLOCK_ALLOCATE,
                 .field = {FORMAT_COUNTER_MAX, 3, 70, t.topic_id, t.next_offset}},
                {.type = RECORD_TRIM, .field = {t.topic_id, t.next_offset + 1}},
                {.type = RECORD_CURSOR_DELETE, .field = {t.topic_id, 7}},
                {.type = RECORD_BLOCK_ALLOCATE,
                 .field = {t.block.segment_number, 3, 70, t.topic_id, t.next_offset}},
            };

            forged_add(f, &records[i]);
        }
        if (i == 6) {
            batch = forged_good_batch(&t);
            forged_add_batch(f, &batch);
        }
        forged_expect_refusal(f, "contradicts the tables");
        fixture_free(f);
    }
}

/* The journal says that a batch was durable in a block that is nobody's, and its bytes are bad: the refusal names what it knows. */
static void a_damaged_batch_of_nobody_is_refused(void **state)
{
    struct fixture *f = *state;
    uint8_t mark[FORMAT_RECORD_HEADER_SIZE] = {0};
    struct forged_tables t;
    struct forged_batch batch;

    forged_make_tables(f, &t);
    batch = forged_good_batch(&t);
    batch.place.index = 3;
    batch.damaged = true;
    forged_add_batch(f, &batch);
    forged_add_behind(f, mark, RECORD_MARK, sizeof mark, 0,
                      &(struct forged_where){.all_durable = true});
    forged_expect_refusal(f, "a batch of topic \"?\"");
}

/* What is damaged has a name, so that a person knows what accepting its loss would cost. */
static void a_damaged_batch_is_refused_by_its_topics_name(void **state)
{
    struct fixture *f = *state;
    uint8_t mark[FORMAT_RECORD_HEADER_SIZE] = {0};
    struct forged_tables t;
    struct forged_batch batch;

    forged_make_tables(f, &t);
    batch = forged_good_batch(&t);
    batch.damaged = true;
    forged_add_batch(f, &batch);
    forged_add_behind(f, mark, RECORD_MARK, sizeof mark, 0,
                      &(struct forged_where){.all_durable = true});
    forged_expect_refusal(f, "a batch of topic \"t\" from offset 1 does not check out");
}

/* A clean close is clean when it is the last word. With a valid record somewhere behind it, it was not. */
static void a_clean_close_with_something_behind_it_is_none(void **state)
{
    struct fixture *f = *state;
    uint8_t mark[FORMAT_RECORD_HEADER_SIZE] = {0};

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_stop(f);
    sim_disk_settle(f->disk);
    forged_add_behind(f, mark, RECORD_MARK, sizeof mark, 0,
                      &(struct forged_where){.gap = FORMAT_RECORD_ALIGN});
    fixture_open(f);
    assert_int_equal(f->ns->recovery_rows[ROW_R18], 0);
    assert_int_equal(fixture_stat(f, "recovered_dropped"), 1);
    assert_true(fixture_append_strings(f, "t", "next", NULL) > 1);
    fixture_expect(f, "t", "a", "next", NULL);
}

/* ---- behind an accepted loss ---- */

/* Of what lies behind a loss the newest word counts: a batch before the end of what is there has been overtaken, and is skipped; offsets
 * that a block begins with have been given; a trim or a block of what went with the loss is passed over. */
static void behind_a_loss_nothing_goes_back(void **state)
{
    unsigned i;

    (void)state;
    for (i = 0; i < 5; i++) {
        struct fixture *f = fixture_new(1);
        struct forged_batch batch;
        struct forged_tables t;
        uint64_t next;

        forged_make_tables(f, &t);
        batch = forged_good_batch(&t);
        if (i == 0) {
            batch.place.position -= BATCH_ALIGN; /* Inside of what is there */
            forged_add_batch(f, &batch);
        } else if (i == 1) {
            batch.first_offset--;
            forged_add_batch(f, &batch);
        } else if (i == 2) {
            forged_add(f, &(struct format_record){.type = RECORD_TRIM,
                                                  .field = {t.topic_id, t.next_offset + 1}});
        } else {
            forged_add(f,
                       &(struct format_record){.type = RECORD_BLOCK_ALLOCATE,
                                               .field = {t.block.segment_number, 3, 70, t.topic_id,
                                                         i == 3 ? t.next_offset - 1 : 5000}});
        }
        forged_lose_the_cursor(f);
        fixture_open(f);
        assert_int_equal(fixture_stat(f, "recovered_dropped"), 0);
        assert_int_equal(fixture_info(f, "t").blocks, i == 4 ? 2 : 1);
        fixture_expect(f, "t", "a", NULL);
        f->options.accept_loss = NULL;
        fixture_kill(f);
        next = fixture_append_strings(f, "t", "next", NULL);
        assert_true(next >= 5000);
        fixture_expect(f, "t", "a", "next", NULL);
        fixture_free(f);
    }
}

/* A block whose batches went with the loss, before another one that goes on: who reads in the gap gets what comes next on the disk, not only
 * what comes next in memory. */
static void behind_a_loss_an_empty_block_hides_nothing(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read = {.request = {.position = ENGINE_AT_OFFSET, .value = 1}};
    struct forged_tables t;
    uint64_t next;

    forged_make_tables(f, &t);
    for (next = 0; next < 2; next++) {
        forged_add(f, &(struct format_record){.type = RECORD_BLOCK_ALLOCATE,
                                              .field = {t.block.segment_number, 2 + next, 70 + next,
                                                        t.topic_id, 100 + next * 100}});
    }
    forged_lose_the_cursor(f);
    fixture_open(f);
    assert_int_equal(fixture_info(f, "t").blocks, 3);
    assert_int_equal(fixture_append_size(f, "t", 6000), 0); /* To its block */
    next = fixture_info(f, "t").end - 1;
    fixture_append_strings(f, "t", "in memory", NULL);
    fixture_read_begin(f, &read, "t");
    assert_int_equal(fixture_read_end(f, &read), 0);
    assert_int_equal(read.request.from, next);
    fixture_read_free(&read);
}

/* Offset of the first entry of a read at an offset, or its status. */
static int64_t read_at(struct fixture *f, uint64_t offset)
{
    struct fixture_read read = {.request = {.position = ENGINE_AT_OFFSET, .value = offset}};
    int rc;

    fixture_read_begin(f, &read, "t");
    rc = fixture_read_end(f, &read);
    fixture_read_free(&read);
    return rc != 0 ? rc : (int64_t)read.request.from;
}

/* The header of a batch that a crash cut off stands in the hole of the loss, and its batch reaches over those that were kept, into one of
 * them or exactly to where one begins. They are read nevertheless, whatever the index in memory knows of them. */
static void behind_a_loss_an_old_batch_hides_nothing(void **state)
{
    unsigned i;
    unsigned k;

    (void)state;
    for (i = 0; i < 2 * OLD_BATCH_WAYS; i++) {
        struct fixture *f = fixture_new(1);
        const uint64_t kept = old_batch_make(f, i / 2);

        f->options.accept_loss = "default";
        fixture_open(f);
        f->options.accept_loss = NULL;
        if (i % 2 != 0) {
            fixture_power_cut(f);
        }
        assert_int_equal(read_at(f, 0), 0);
        assert_int_equal(read_at(f, 1), TUSK_ECORRUPT);
        assert_int_equal(read_at(f, kept - 1), TUSK_ECORRUPT);
        for (k = 0; k < OLD_BATCH_KEPT; k++) {
            assert_int_equal(read_at(f, kept + k), kept + k);
        }
        fixture_free(f);
    }
}

/* One record that speaks of what is lost is told of like many. */
static void a_single_record_skipped_behind_a_loss_is_told(void **state)
{
    struct fixture *f = *state;
    struct forged_tables t;

    forged_make_tables(f, &t); /* A checkpoint follows the cursor */
    forged_lose_the_cursor(f);
    fixture_open(f);
    assert_non_null(strstr(f->finding, "1 records skipped behind an accepted loss"));
}

/* However many there are. */
static void behind_a_loss_many_may_be_passed(void **state)
{
    struct fixture *f = *state;
    struct forged_tables t;
    unsigned i;

    forged_make_tables(f, &t);
    for (i = 0; i < 20; i++) {
        struct forged_batch batch = forged_good_batch(&t);

        batch.place.position = FORMAT_BLOCK_DATA;
        batch.first_offset = 100 + i;
        forged_add_batch(f, &batch);
    }
    forged_lose_the_cursor(f);
    fixture_open(f);
    fixture_expect(f, "t", "a", NULL);
    fixture_append_strings(f, "t", "next", NULL);
    fixture_power_cut(f);
    fixture_expect(f, "t", "a", "next", NULL);
}

/* A namespace that has lost something and has no topic at all goes on, too. */
static void a_loss_without_topics_is_accepted(void **state)
{
    struct fixture *f = *state;
    struct journal_image *image;
    const struct image_record *hit;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    assert_int_equal(fixture_delete(f, "t"), 0);
    fixture_settle(f);
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_settle(f->disk);
    image = journal_image_load(f->disk, FIXTURE_DIR);
    hit = journal_image_last(image, RECORD_TOPIC_CREATE, image->mark);
    sim_disk_flip_bit(f->disk, hit->file->path, 8 * hit->offset);
    journal_image_free(image);
    f->options.accept_loss = "default";
    fixture_open(f);
    f->options.accept_loss = NULL;
    fixture_kill(f);
    fixture_append_strings(f, "t", "next", NULL);
    fixture_expect(f, "t", "next", NULL);
}

/* Offsets end at 2^64. Where there are not so many left to step over, the topic goes on with those that are. */
static void a_loss_near_the_last_offset_steps_over_no_end(void **state)
{
    struct fixture *f = *state;
    const uint64_t start = UINT64_MAX - (UINT64_C(1) << 39);

    f->options.offset_start = start;
    {
        struct forged_tables t;

        forged_make_tables(f, &t);
    }
    forged_lose_the_cursor(f);
    fixture_open(f);
    f->options.accept_loss = NULL;
    assert_true(fixture_append_strings(f, "t", "next", NULL) > start);
    fixture_kill(f);
    fixture_expect(f, "t", "a", "next", NULL);
}

/* The last record that was durable is damaged, and nothing valid is left behind it: the next file's header says how far
 * things were durable, its records are gone. Refused; accepted, the history ends there, and goes on there. */
static void a_loss_up_to_the_end_is_accepted(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    struct journal_image *image;
    const struct image_record *hit;
    const struct image_file *last;
    unsigned i;

    f->options.manifest_journal_bytes = 64u << 20;
    fixture_open(f);
    for (i = 0; i < 20; i++) {
        assert_int_equal(fixture_log_append(f, &log, 1, 3000, true), 0);
    }
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_settle(f->disk);
    image = journal_image_load(f->disk, FIXTURE_DIR);
    for (last = &image->files[image->file_count - 1]; !last->valid; last--) {
    }
    assert_true(last > &image->files[0]);
    hit = journal_image_last(image, RECORD_BATCH, last->header.mark);
    sim_disk_flip_bit(f->disk, hit->file->path, 8 * hit->offset);
    for (i = 0; i < image->record_count; i++) {
        if (image->records[i].header.lsn > hit->header.lsn) {
            sim_disk_flip_bit(f->disk, image->records[i].file->path, 8 * image->records[i].offset);
        }
    }
    forged_expect_refusal(f, "before");
    f->options.accept_loss = "default";
    fixture_open(f);
    f->options.accept_loss = NULL;
    assert_true(f->ns->recovery_rows[ROW_R14] >= 1);
    assert_true(fixture_append_strings(f, "other", "next", NULL) == 0);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 0), 0);
    fixture_kill(f);
    fixture_expect(f, "other", "next", NULL);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 0), 0);
    journal_image_free(image);
}

/* A stop behind an accepted loss is clean where its manifest found space. Where it did not, the journal is read again from before the
 * loss: then it is no clean start, offsets step once more, and none is given twice. */
static void a_loss_read_again_is_no_clean_start(void **state)
{
    struct fixture *f = *state;
    struct forged_tables t;
    uint64_t next;

    forged_make_tables(f, &t);
    forged_lose_the_cursor(f);
    sim_disk_fail(f->disk, SIM_BIT(SIM_RENAME), 1, true, ENOSPC, SIM_FAIL);
    fixture_open(f);
    f->options.accept_loss = NULL;
    next = fixture_append_strings(f, "t", "next", NULL);
    (void)engine_stop(f->engine, &f->now, &f->err);
    sim_disk_clear_faults(f->disk);
    fixture_close(f);
    fixture_open(f);
    assert_true(f->ns->recovery_rows[ROW_R14] + f->ns->recovery_rows[ROW_R13] >= 1);
    assert_int_equal(f->ns->recovery_rows[ROW_R18], 0);
    fixture_expect(f, "t", "a", "next", NULL);
    assert_true(fixture_append_strings(f, "t", "later", NULL) > next + (UINT64_C(1) << 39));
}

/* A record of an accepted loss that is no such record is bad like any other. */
static void a_forged_acceptance_accepts_nothing(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[FORMAT_RECORD_HEADER_SIZE + 8] = {0};
    struct forged_tables t;

    forged_make_tables(f, &t);
    forged_add_record(f, bytes, RECORD_ACCEPTED_LOSS, sizeof bytes,
                      crc32c(0, bytes + FORMAT_RECORD_HEADER_SIZE, 8));
    fixture_open(f);
    assert_int_equal(f->ns->recovery_rows[ROW_R4], 1);
    assert_int_equal(f->ns->recovery_rows[ROW_R14], 0);
    fixture_expect(f, "t", "a", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_record_that_changes_nothing_is_taken),
        FIXTURE_TEST(a_trim_behind_the_last_batch_is_kept),
        FIXTURE_TEST(a_batch_behind_its_run_takes_its_offsets),
        FIXTURE_TEST(an_empty_block_is_passed),
        cmocka_unit_test(an_impossible_record_is_refused),
        FIXTURE_TEST(a_damaged_batch_of_nobody_is_refused),
        FIXTURE_TEST(a_clean_close_with_something_behind_it_is_none),
        cmocka_unit_test(behind_a_loss_nothing_goes_back),
        FIXTURE_TEST(behind_a_loss_many_may_be_passed),
        FIXTURE_TEST(a_loss_without_topics_is_accepted),
        FIXTURE_TEST(a_loss_near_the_last_offset_steps_over_no_end),
        FIXTURE_TEST(a_loss_up_to_the_end_is_accepted),
        FIXTURE_TEST(a_loss_read_again_is_no_clean_start),
        FIXTURE_TEST(a_forged_acceptance_accepts_nothing),
        FIXTURE_TEST(a_damaged_batch_is_refused_by_its_topics_name),
        FIXTURE_TEST(behind_a_loss_an_empty_block_hides_nothing),
        FIXTURE_TEST(behind_a_loss_an_old_batch_hides_nothing),
        FIXTURE_TEST(a_single_record_skipped_behind_a_loss_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
