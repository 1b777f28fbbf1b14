/* Checksums are no proof of sense: a daemon with a bug, or a hand with a hex editor, writes bytes that check out and contradict each
 * other. Recovery finds each contradiction of a journal with the tables before it relies on it, says so, and changes
 * nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/namespace.h"
#include "proto/crc32c.h"
#include "tests/support/forged_journal.h"
#include "tests/support/journal_image.h"

/* Records, each of which contradicts the tables; 0 in a field stands for itself. */
static unsigned bad_records(const struct forged_tables *t, struct format_record *records)
{
    const uint64_t nobody = 99;
    const uint64_t segment = t->block.segment_number;
    const uint64_t index = t->block.index;
    const struct format_record list[] = {
        {.type = RECORD_TOPIC_CREATE, .field = {t->topic_id}, .name = "new", .name_size = 3},
        {.type = RECORD_TOPIC_CREATE, .field = {nobody}, .name = "t", .name_size = 1},
        {.type = RECORD_TOPIC_CREATE, .field = {nobody}, .name = "", .name_size = 0},
        {.type = RECORD_TOPIC_CREATE, .field = {FORMAT_COUNTER_MAX}, .name = "new", .name_size = 3},
        {.type = RECORD_CURSOR_CREATE,
         .field = {t->topic_id, FORMAT_COUNTER_MAX, 0, 1},
         .name = "d",
         .name_size = 1},
        {.type = RECORD_TOPIC_SET, .field = {nobody}},
        {.type = RECORD_TOPIC_DELETE, .field = {nobody}},
        {.type = RECORD_RUN, .field = {nobody, 5000}},
        {.type = RECORD_TRIM, .field = {nobody, 1}},
        {.type = RECORD_CURSOR_CREATE, .field = {nobody, 1, 0, 1}, .name = "d", .name_size = 1},
        {.type = RECORD_CURSOR_CREATE,
         .field = {t->topic_id, 1, 0, 1},
         .name = "d",
         .name_size = 1},
        {.type = RECORD_CURSOR_CREATE,
         .field = {t->topic_id, 0, 0, 1},
         .name = "d",
         .name_size = 1},
        {.type = RECORD_CURSOR_CREATE,
         .field = {t->topic_id, 7, 0, 1},
         .name = "c",
         .name_size = 1},
        {.type = RECORD_CURSOR_CHECKPOINT, .field = {t->topic_id, 7, 1, 1}},
        {.type = RECORD_CURSOR_SEEK, .field = {t->topic_id, 7, 1, 1}},
        {.type = RECORD_CURSOR_DELETE, .field = {t->topic_id, 7}},
        {.type = RECORD_BLOCK_ALLOCATE, .field = {segment, index, 5, t->topic_id, 1}},
        {.type = RECORD_BLOCK_ALLOCATE, .field = {segment, 4, 5, t->topic_id, 1}},
        {.type = RECORD_BLOCK_ALLOCATE, .field = {segment, 1u << 16, 5, t->topic_id, 1}},
        {.type = RECORD_BLOCK_ALLOCATE, .field = {segment, 3, 5, nobody, 1}},
    };
    unsigned i;

    for (i = 0; i < sizeof list / sizeof list[0]; i++) {
        records[i] = list[i];
        if (records[i].name == NULL) {
            records[i].name = "";
        }
    }
    return i;
}

static void a_record_that_contradicts_the_tables_is_refused(void **state)
{
    unsigned count = 1;
    unsigned i;

    (void)state;
    for (i = 0; i < count; i++) {
        struct fixture *f = fixture_new(1);
        struct format_record records[32];
        struct forged_tables tables;

        forged_make_tables(f, &tables);
        count = bad_records(&tables, records);
        forged_add(f, &records[i]);
        forged_expect_refusal(f, "contradicts the tables");
        fixture_free(f);
    }
    assert_true(count > 10);
}

/* The same hand, when it writes sense. */
static void a_record_that_makes_sense_is_applied(void **state)
{
    struct fixture *f = *state;
    struct forged_tables tables;

    forged_make_tables(f, &tables);
    forged_add(f, &(struct format_record){
                      .type = RECORD_TOPIC_CREATE, .field = {9}, .name = "new", .name_size = 3});
    forged_add(f, &(struct format_record){.type = RECORD_RUN, .field = {tables.topic_id, 90000}});
    forged_add(f, &(struct format_record){.type = RECORD_CURSOR_CREATE,
                                          .field = {tables.topic_id, 2, 1, 1},
                                          .name = "d",
                                          .name_size = 1});
    forged_add(f, &(struct format_record){.type = RECORD_CURSOR_SEEK,
                                          .field = {tables.topic_id, 1, 0, 2}});
    fixture_open(f);
    assert_int_equal(fixture_cursor(f, "t", "c"), 0);
    assert_int_equal(fixture_cursor(f, "t", "d"), 1);
    assert_int_equal(fixture_append_strings(f, "t", "next", NULL), 90000);
    fixture_expect(f, "t", "a", "next", NULL);
    fixture_expect(f, "new", NULL);
}

/* A batch belongs where its topic's block ends, behind the batch before, with a later offset, in a block that is somebody's. One that
 * does not is no batch of this history. */
static void a_batch_out_of_order_is_refused(void **state)
{
    unsigned i;

    (void)state;
    for (i = 0; i < 7; i++) {
        struct fixture *f = fixture_new(1);
        struct forged_tables tables;
        struct forged_batch batch;

        forged_make_tables(f, &tables);
        batch = forged_good_batch(&tables);
        batch.place.segment += i == 1 ? 1 : 0;
        batch.place.index = (uint16_t)(batch.place.index + (i == 2 ? 2 : 0));
        batch.place.position += i == 3 ? BATCH_ALIGN : 0;
        batch.first_offset -= i == 4 ? 1 : 0;
        batch.previous_crc ^= i == 5 ? 1u : 0u;
        batch.seed ^= i == 6 ? 1u : 0u;
        forged_add_batch(f, &batch);
        if (i == 0) {
            fixture_open(f);
            fixture_expect(f, "t", "a", "forged", NULL);
        } else {
            forged_expect_refusal(f, "contradicts the tables");
        }
        fixture_free(f);
    }
}

/* A place that no block of the namespace has is never read nor written: the record is bad (R4), wherever it came from. */
static void a_batch_outside_of_any_block_is_bad(void **state)
{
    unsigned i;

    (void)state;
    for (i = 0; i < 6; i++) {
        struct fixture *f = fixture_new(1);
        struct forged_tables tables;
        struct forged_batch batch;
        uint32_t limit;

        forged_make_tables(f, &tables);
        limit = format_block_limit(f->options.block_size);
        batch = forged_good_batch(&tables);
        batch.place.index = i == 0 ? 4 : batch.place.index;
        batch.place.position = i == 1   ? FORMAT_BLOCK_DATA - BATCH_ALIGN
                               : i == 2 ? limit + BATCH_ALIGN
                               : i == 3 ? batch.place.position + 1
                               : i == 4 ? limit - BATCH_ALIGN
                               : i == 5 ? UINT32_MAX - 15u
                                        : batch.place.position;
        forged_add_batch(f, &batch);
        fixture_open(f);
        assert_int_equal(f->ns->recovery_rows[ROW_R4], 1);
        fixture_expect(f, "t", "a", NULL);
        fixture_free(f);
    }
}

/* A body that is shorter, or longer, than the fields of its type is no such record, though its checksum is right. */
static void a_body_of_another_size_is_bad(void **state)
{
    static const uint32_t sizes[] = {0, 8, 15, 17, 64};
    unsigned i;

    (void)state;
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct fixture *f = fixture_new(1);
        struct forged_tables tables;
        uint8_t bytes[512] = {0};

        forged_make_tables(f, &tables);
        bytes[FORMAT_RECORD_HEADER_SIZE] = (uint8_t)tables.topic_id;
        forged_add_record(f, bytes, RECORD_TRIM, FORMAT_RECORD_HEADER_SIZE + sizes[i],
                          crc32c(0, bytes + FORMAT_RECORD_HEADER_SIZE, sizes[i]));
        fixture_open(f);
        assert_int_equal(f->ns->recovery_rows[ROW_R4], 1);
        fixture_expect(f, "t", "a", NULL);
        fixture_free(f);
    }
}

/* ---- behind an accepted loss ---- */

/* What would contradict the tables is then skipped and counted, but for what no loss explains: a number or a place that cannot be.
 * A block that both have is the newer owner's. */
static void behind_a_loss_what_is_missing_is_skipped(void **state)
{
    unsigned count = 1;
    unsigned i;

    (void)state;
    for (i = 0; i < count; i++) {
        struct fixture *f = fixture_new(1);
        struct format_record records[32];
        struct forged_tables tables;
        bool impossible;

        forged_make_tables(f, &tables);
        count = bad_records(&tables, records);
        impossible =
            records[i].type == RECORD_TOPIC_CREATE
                ? records[i].field[TOPIC_ID] == tables.topic_id || records[i].name_size == 0 ||
                      records[i].field[TOPIC_ID] == FORMAT_COUNTER_MAX
            : records[i].type == RECORD_CURSOR_CREATE &&
                    records[i].field[CURSOR_ID] == FORMAT_COUNTER_MAX
                ? true
                : records[i].type == RECORD_BLOCK_ALLOCATE && records[i].field[BLOCK_INDEX] >= 4;
        forged_add(f, &records[i]);
        forged_lose_the_cursor(f);
        if (impossible) {
            forged_expect_refusal(f, "contradicts the tables");
        } else {
            fixture_open(f);
            assert_int_equal(f->ns->recovery_rows[ROW_R14], 1);
            fixture_expect(f, "u", "b", NULL);
            f->options.accept_loss = NULL;
            fixture_kill(f);
            fixture_append_strings(f, "u", "next", NULL);
            fixture_expect(f, "u", "b", "next", NULL);
        }
        fixture_free(f);
    }
}

/* A free record went with the loss, and its block was given to another topic: it is that one's, alone. */
static void behind_a_loss_a_block_is_the_newer_owners(void **state)
{
    struct fixture *f = *state;
    struct forged_tables tables;

    forged_make_tables(f, &tables);
    forged_add(f, &(struct format_record){.type = RECORD_BLOCK_ALLOCATE,
                                          .field = {tables.block.segment_number, tables.block.index,
                                                    5, tables.other_id, 1}});
    forged_lose_the_cursor(f);
    fixture_open(f);
    assert_non_null(
        strstr(f->finding, "2 records skipped")); /* The cursor's checkpoint, and this */
    assert_int_equal(fixture_info(f, "t").blocks, 0);
    assert_int_equal(fixture_info(f, "u").blocks, 2);
    fixture_append_strings(f, "t", "next", NULL);
    fixture_append_strings(f, "u", "next", NULL);
    f->options.accept_loss = NULL;
    fixture_power_cut(f);
    fixture_expect(f, "t", "next", NULL);
    fixture_expect(f, "u", "b", "next", NULL);
}

/* A batch that neither journal nor block has is refused with its place. Accepted, it is skipped like any other loss, and what lies before and
 * behind it is there. */
static void what_cannot_be_healed_can_be_accepted(void **state)
{
    const uint64_t payload = FORMAT_RECORD_HEADER_SIZE + FORMAT_PLACE_SIZE + BATCH_HEADER_SIZE + 4u;
    struct fixture *f = *state;
    struct journal_image *image;
    const struct image_record *hit;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_append_strings(f, "t", "b", NULL);
    fixture_append_strings(f, "t", "c", NULL);
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_settle(f->disk);
    image = journal_image_load(f->disk, FIXTURE_DIR);
    hit = journal_image_last(image, RECORD_BATCH, image->mark);
    sim_disk_flip_bit(f->disk, hit->file->path, 8 * (hit->offset + payload));
    journal_image_free(image);
    forged_expect_refusal(f, "its block does not have it");
    f->options.accept_loss = "default";
    fixture_open(f);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 0), 0);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 2), 0);
    f->options.accept_loss = NULL;
    fixture_power_cut(f);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 2), 0);
    assert_true(fixture_append_strings(f, "t", "next", NULL) >= UINT64_C(1) << 40);
}

/* What was accepted is that loss and no other: damage before it, found when the journal is read again from the older manifest, is refused
 * and asked about anew. */
static void an_acceptance_covers_its_own_place_only(void **state)
{
    struct fixture *f = *state;
    struct journal_image *image;
    const struct image_record *second;
    struct image_record first;
    char path[IO_PATH_SIZE];

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_append_strings(f, "t", "b", NULL);
    fixture_append_strings(f, "t", "c", NULL);
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_settle(f->disk);
    image = journal_image_load(f->disk, FIXTURE_DIR);
    second = journal_image_last(image, RECORD_BATCH, image->mark);
    first = *journal_image_last(image, RECORD_BATCH, second->header.lsn);
    (void)snprintf(path, sizeof path, "%s", first.file->path);
    sim_disk_flip_bit(f->disk, second->file->path, 8 * second->offset);
    journal_image_free(image);
    f->options.accept_loss = "default";
    fixture_open(f);
    f->options.accept_loss = NULL;
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_settle(f->disk);
    sim_disk_flip_bit(f->disk, path, 8 * first.offset);
    (void)fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path);
    sim_disk_flip_bit(f->disk, path, 8 * 100);
    forged_expect_refusal(f, "the journal is damaged at LSN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_that_contradicts_the_tables_is_refused),
        FIXTURE_TEST(a_record_that_makes_sense_is_applied),
        cmocka_unit_test(a_batch_out_of_order_is_refused),
        cmocka_unit_test(a_batch_outside_of_any_block_is_bad),
        cmocka_unit_test(a_body_of_another_size_is_bad),
        cmocka_unit_test(behind_a_loss_what_is_missing_is_skipped),
        FIXTURE_TEST(behind_a_loss_a_block_is_the_newer_owners),
        FIXTURE_TEST(what_cannot_be_healed_can_be_accepted),
        FIXTURE_TEST(an_acceptance_covers_its_own_place_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
