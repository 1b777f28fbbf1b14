/* Records of stretches that check out and cannot be, or contradict the tables, or speak of what went with an accepted loss. */
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/namespace.h"
#include "tests/support/engine_expect.h"
#include "tests/support/forged_journal.h"
#include "tests/support/journal_image.h"

/* The one that would come next in topic "t", of two entries. */
static struct format_record good_stretch(const struct forged_tables *t)
{
    struct format_record record = {.type = RECORD_STRETCH};

    record.field[STRETCH_SEGMENT] = t->block.segment_number;
    record.field[STRETCH_INDEX] = t->block.index;
    record.field[STRETCH_GENERATION] = t->block.generation;
    record.field[STRETCH_POSITION] = t->block.end;
    record.field[STRETCH_SIZE] = 1600;
    record.field[STRETCH_FIRST] = t->next_offset;
    record.field[STRETCH_END] = t->next_offset + 2;
    record.field[STRETCH_ENTRIES] = 2;
    record.field[STRETCH_TIME] = 1;
    record.field[STRETCH_PREVIOUS_CRC] = t->last_crc;
    record.field[STRETCH_LAST_CRC] = 7;
    return record;
}

/* Behind the last record, and known to be durable: what stands in the block is not asked then. */
static void add_durable(struct fixture *f, const struct format_record *record)
{
    uint8_t mark[FORMAT_RECORD_HEADER_SIZE] = {0};

    forged_add(f, record);
    forged_add_behind(f, mark, RECORD_MARK, sizeof mark, 0,
                      &(struct forged_where){.all_durable = true});
}

/* A place, a size or offsets that no stretch has: the record is bad, and nothing is read or written where it says. */
static void a_stretch_that_cannot_be_is_bad(void **state)
{
    static const struct {
        unsigned field;
        uint64_t value;
    } changes[] = {{STRETCH_INDEX, 4},
                   {STRETCH_INDEX, UINT64_C(1) << 32},
                   {STRETCH_POSITION, FORMAT_BLOCK_DATA - BATCH_ALIGN},
                   {STRETCH_POSITION, 32u << 10},
                   {STRETCH_POSITION, FORMAT_BLOCK_DATA + 1},
                   {STRETCH_SIZE, 0},
                   {STRETCH_SIZE, 1601},
                   {STRETCH_SIZE, 32u << 10},
                   {STRETCH_END, 1},
                   {STRETCH_ENTRIES, 0},
                   {STRETCH_ENTRIES, 3}};
    unsigned i;

    (void)state;
    for (i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct fixture *f = fixture_new(1);
        struct forged_tables t;
        struct format_record record;

        forged_make_tables(f, &t);
        record = good_stretch(&t);
        record.field[changes[i].field] = changes[i].value;
        forged_add(f, &record);
        fixture_open(f);
        assert_int_equal(f->ns->recovery_rows[ROW_R4], 1);
        assert_int_equal(f->ns->recovery_rows[ROW_R8], 0);
        fixture_expect(f, "t", "a", NULL);
        fixture_free(f);
    }
}

/* One that can be and whose bytes are not there, behind the mark: it never was (R8). */
static void a_stretch_without_its_bytes_is_the_end(void **state)
{
    struct fixture *f = *state;
    struct forged_tables t;
    struct format_record record;

    forged_make_tables(f, &t);
    record = good_stretch(&t);
    forged_add(f, &record);
    fixture_open(f);
    assert_int_equal(f->ns->recovery_rows[ROW_R8], 1);
    fixture_expect(f, "t", "a", NULL);
}

/* Two batches in the block where the stretch says, chained as it says, but for one thing: behind the mark it counts only when all of it is
 * so. */
static void a_stretch_is_the_chain_it_says(void **state)
{
    static const struct batch_entry entry = {.data = (const uint8_t *)"forged", .size = 6};
    const uint32_t padded = (uint32_t)batch_padded_size(4 + entry.size);
    unsigned i;

    (void)state;
    for (i = 0; i < 6; i++) {
        struct fixture *f = fixture_new(1);
        struct forged_tables t;
        struct format_record record;
        uint8_t bytes[1024] = {0};
        const char *segment = FIXTURE_DIR "/0000000000000001.seg";
        uint64_t place;
        uint32_t crc;

        forged_make_tables(f, &t);
        record = good_stretch(&t);
        place = (uint64_t)t.block.index * f->options.block_size + t.block.end;
        batch_encode(bytes, &entry, 1);
        crc = batch_complete(bytes, t.next_offset, 1, t.last_crc ^ (i == 1 ? 1u : 0u), t.seed,
                             t.block.end);
        batch_encode(bytes + padded, &entry, 1);
        crc = batch_complete(bytes + padded, t.next_offset + 1, 1, crc, t.seed ^ (i == 2 ? 1u : 0u),
                             t.block.end + padded);
        record.field[STRETCH_SIZE] = 2 * padded;
        record.field[STRETCH_LAST_CRC] = crc ^ (i == 3 ? 1u : 0u);
        sim_disk_overwrite(f->disk, segment, place, bytes, 2 * padded);
        if (i == 4) {
            sim_disk_set_unreadable(f->disk, segment, place, 1);
        } else if (i == 5) {
            sim_disk_resize(f->disk, segment, place + padded);
        }
        forged_add(f, &record);
        assert_int_equal(fixture_try_open(f), 0);
        assert_int_equal(fixture_serves(f), i != 4);
        assert_int_equal(f->ns->recovery_rows[ROW_R10], i == 4);
        assert_int_equal(f->ns->recovery_rows[ROW_R8], i != 0 && i != 4);
        if (i == 0) {
            fixture_expect(f, "t", "a", "forged", "forged", NULL);
        } else if (i != 4) {
            fixture_expect(f, "t", "a", NULL);
        }
        fixture_free(f);
    }
}

static void contradict(struct format_record *record, unsigned way)
{
    record->field[STRETCH_SEGMENT] += way == 1 ? 1 : 0;
    record->field[STRETCH_INDEX] += way == 2 ? 2 : 0;
    record->field[STRETCH_GENERATION] += way == 3 ? 1 : 0;
    record->field[STRETCH_POSITION] += way == 4 ? BATCH_ALIGN : 0;
    record->field[STRETCH_PREVIOUS_CRC] ^= way == 5 ? 1 : 0;
    record->field[STRETCH_FIRST] -= way == 6 ? 1 : 0;
    record->field[STRETCH_POSITION] -= way == 7 ? BATCH_ALIGN : 0;
}

/* A stretch belongs where its topic's block ends, behind the batch before, with later offsets. */
static void a_stretch_out_of_order_is_refused(void **state)
{
    unsigned way;

    (void)state;
    for (way = 0; way < 9; way++) {
        struct fixture *f = fixture_new(1);
        struct forged_tables t;
        struct format_record record;

        forged_make_tables(f, &t);
        record = good_stretch(&t);
        contradict(&record, way);
        if (way == 8) { /* For a block that is not the last any more */
            forged_add(f, &(struct format_record){
                              .type = RECORD_BLOCK_ALLOCATE,
                              .field = {t.block.segment_number, 3, 70, t.topic_id, t.next_offset}});
        }
        add_durable(f, &record);
        if (way == 0) {
            fixture_open(f);
            assert_int_equal(fixture_info(f, "t").entries, 3);
            assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 0), 0);
            assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, t.next_offset),
                             TUSK_ECORRUPT);
        } else {
            forged_expect_refusal(f, "contradicts the tables");
        }
        fixture_free(f);
    }
}

/* Behind an accepted loss it is skipped instead, where it speaks of what is not there or has been overtaken; a gap before it is what was
 * lost. */
static void behind_a_loss_a_stretch_is_skipped_or_taken(void **state)
{
    unsigned way;

    (void)state;
    for (way = 0; way < 8; way++) {
        struct fixture *f = fixture_new(1);
        struct forged_tables t;
        struct format_record record;
        const bool taken = way == 0 || way == 4 || way == 5;

        forged_make_tables(f, &t);
        record = good_stretch(&t);
        contradict(&record, way);
        add_durable(f, &record);
        forged_lose_the_cursor(f);
        fixture_open(f);
        assert_int_equal(fixture_info(f, "t").entries, taken ? 3 : 1);
        f->options.accept_loss = NULL;
        fixture_kill(f);
        fixture_append_strings(f, "u", "next", NULL);
        fixture_expect(f, "u", "b", "next", NULL);
        assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 0), 0);
        fixture_free(f);
    }
}

/* The file that a stretch was written to is gone: its entries are told to be damaged, the rest serves. */
static void without_its_segment_a_durable_stretch_is_damage(void **state)
{
    struct fixture *f = *state;
    struct forged_tables t;
    struct format_record record;
    struct io *io;

    forged_make_tables(f, &t);
    record = good_stretch(&t);
    add_durable(f, &record);
    assert_int_equal(io_sim_open(&io, f->disk), 0);
    assert_int_equal(io_unlink(io, FIXTURE_DIR "/0000000000000001.seg", &f->err), 0);
    io_close(io);
    sim_disk_settle(f->disk);
    fixture_open(f);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, t.next_offset), TUSK_ECORRUPT);
    fixture_append_strings(f, "new", "next", NULL);
    fixture_expect(f, "new", "next", NULL);
}

/* A batch that went to its block alone may be told as a stretch of one: what counts is that it stands there. */
static void a_stretch_may_be_of_one_entry(void **state)
{
    static const struct batch_entry entry = {.data = (const uint8_t *)"forged", .size = 6};
    const uint32_t padded = (uint32_t)batch_padded_size(4 + entry.size);
    struct fixture *f = *state;
    struct forged_tables t;
    struct format_record record;
    uint8_t bytes[512] = {0};

    forged_make_tables(f, &t);
    record = good_stretch(&t);
    batch_encode(bytes, &entry, 1);
    record.field[STRETCH_SIZE] = padded;
    record.field[STRETCH_END] = t.next_offset + 1;
    record.field[STRETCH_ENTRIES] = 1;
    record.field[STRETCH_LAST_CRC] =
        batch_complete(bytes, t.next_offset, 1, t.last_crc, t.seed, t.block.end);
    sim_disk_overwrite(f->disk, FIXTURE_DIR "/0000000000000001.seg",
                       (uint64_t)t.block.index * f->options.block_size + t.block.end, bytes,
                       padded);
    forged_add(f, &record);
    fixture_open(f);
    fixture_expect(f, "t", "a", "forged", NULL);
}

/* A record that does not follow the one before it is no record, and the end; but not while the device says that it cannot be read what it
 * speaks of: unreadable is never an end. */
static void what_cannot_be_read_is_no_end_whatever_its_chain(void **state)
{
    struct fixture *f = *state;
    struct forged_tables t;
    struct format_record record;
    struct journal_image *image;
    const struct image_record *last;
    struct format_record_header header;
    uint8_t bytes[512];

    forged_make_tables(f, &t);
    record = good_stretch(&t);
    forged_add(f, &record);
    image = journal_image_load(f->disk, FIXTURE_DIR);
    last = journal_image_last(image, RECORD_STRETCH, UINT64_MAX);
    memcpy(bytes, last->bytes, last->header.size);
    header = last->header;
    header.previous_crc ^= 1;
    format_record_header_encode(bytes, &header, last->file->seed);
    sim_disk_overwrite(f->disk, last->file->path, last->offset, bytes, last->header.size);
    journal_image_free(image);
    sim_disk_set_unreadable(f->disk, FIXTURE_DIR "/0000000000000001.seg",
                            (uint64_t)t.block.index * f->options.block_size + t.block.end, 1);
    fixture_expect_row_refusal(f, ROW_R10);
    sim_disk_clear_unreadable(f->disk);
    fixture_open(f);
    assert_true(f->ns->recovery_rows[ROW_R4] + f->ns->recovery_rows[ROW_R8] > 0);
    fixture_expect(f, "t", "a", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stretch_that_cannot_be_is_bad),
        FIXTURE_TEST(a_stretch_without_its_bytes_is_the_end),
        cmocka_unit_test(a_stretch_is_the_chain_it_says),
        cmocka_unit_test(a_stretch_out_of_order_is_refused),
        cmocka_unit_test(behind_a_loss_a_stretch_is_skipped_or_taken),
        FIXTURE_TEST(without_its_segment_a_durable_stretch_is_damage),
        FIXTURE_TEST(a_stretch_may_be_of_one_entry),
        FIXTURE_TEST(what_cannot_be_read_is_no_end_whatever_its_chain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
