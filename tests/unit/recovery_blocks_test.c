/* What recovery does to blocks: batches of the journal written to them again, and batches of theirs taken for damaged ones of the journal. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/namespace.h"
#include "proto/crc32c.h"
#include "tests/support/engine_fixture.h"
#include "tests/support/journal_image.h"

#define TOPICS 40u

struct many {
    struct fixture_log logs[TOPICS];
    char names[TOPICS][4];
};

/* Everything in the journal only: more blocks than are written at once, some of them more than once, and a batch that is written by itself. */
static void make_store(struct fixture *f, struct many *many)
{
    unsigned round;
    unsigned i;

    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    f->options.block_size = 1u << 20;
    f->options.blocks_per_segment = 64;
    f->options.journal_file_min = 2u << 20;
    f->options.journal_file_max = 2u << 20;
    f->options.journal_size_max = 64u << 20;
    f->options.manifest_journal_bytes = 32u << 20;
    f->options.ring_size = 16u << 20;
    f->options.direct_threshold_each = 1u << 20;
    f->options.tail_apply_bytes = 2u << 20;
    fixture_open(f);
    for (i = 0; i < TOPICS; i++) {
        (void)snprintf(many->names[i], sizeof many->names[i], "t%02u", i);
        many->logs[i] = (struct fixture_log){.topic = many->names[i]};
    }
    for (round = 0; round < 2; round++) {
        for (i = 0; i < TOPICS; i++) {
            assert_int_equal(fixture_log_append(f, &many->logs[i], 1, 100 + i, true), 0);
        }
    }
    for (i = 0; i < 4; i++) { /* More than one write of one block */
        assert_int_equal(fixture_log_append(f, &many->logs[0], 1, 100000, true), 0);
    }
    assert_int_equal(fixture_log_append(f, &many->logs[1], 1, 300000, true), 0);
    assert_int_equal(fixture_log_append(f, &many->logs[1], 1, 100, true), 0);
    assert_int_equal(fixture_stat(f, "direct_appends"), 0);
    sim_disk_power_cut(f->disk);
    fixture_close(f);
}

static void check_all(struct fixture *f, struct many *many)
{
    unsigned i;

    for (i = 0; i < TOPICS; i++) {
        fixture_log_check(f, &many->logs[i], many->logs[i].durable);
    }
}

/* Each write of a recovery fails in turn: nothing is served, and the next start, on a disk that is well, does all of it again. */
static void a_write_that_fails_leaves_all_to_the_next_start(void **state)
{
    static struct many made;
    struct fixture *f = *state;
    bool fired = true;
    unsigned refused = 0;
    uint64_t nth;

    make_store(f, &made);
    for (nth = 1; fired; nth++) {
        struct fixture *copy = fixture_new(nth);
        struct many many = made;
        unsigned i;

        for (i = 0; i < TOPICS; i++) {
            many.logs[i].topic = many.names[i];
        }
        sim_disk_free(copy->disk);
        copy->disk = sim_disk_clone(f->disk);
        copy->options = f->options;
        copy->options.random_arg = &copy->random;
        copy->options.finding_arg = copy;
        sim_disk_fail(copy->disk, SIM_BIT(SIM_WRITE), nth, false, EIO, SIM_FAIL_HALF);
        assert_int_equal(fixture_try_open(copy), 0);
        fired = sim_disk_fired(copy->disk) > 0;
        sim_disk_clear_faults(copy->disk);
        if (fired && !fixture_serves(copy)) {
            assert_true(strlen(fixture_reason(copy)) > 0);
            refused++;
        }
        if (nth % 2 == 0) {
            sim_disk_power_cut(copy->disk);
        } else {
            sim_disk_process_crash(copy->disk);
        }
        fixture_close(copy);
        if (nth % 8 == 0 || !fired) {
            fixture_open(copy);
            check_all(copy, &many);
        }
        fixture_free(copy);
    }
    assert_true(refused > TOPICS);
}

/* Where in the file the nth batch of a record stands; 0: it has fewer. */
static uint64_t item_of(const struct image_record *record, unsigned nth)
{
    struct format_items items;
    struct format_item item;

    format_items_begin(&items, &record->header, record->bytes);
    while (format_items_next(&items, &item) != 0) {
        if (nth-- == 0) {
            return record->offset + (uint64_t)(item.bytes - record->bytes);
        }
    }
    return 0;
}

/* One record has several batches, and one of them is damaged: it is taken from its block, the others are good as they are. What was taken is
 * durable when it is served: the block may have been in the page cache only. */
static void one_batch_of_several_is_healed(void **state)
{
    unsigned which;

    (void)state;
    for (which = 0; which < 3; which++) {
        struct fixture *f = fixture_new(1);
        struct fixture_append appends[3] = {{.finished = false}};
        struct journal_image *image;
        const struct image_record *record;
        char text[3][8] = {"first.", "second", "third."};
        unsigned i;

        f->options.tail_apply_bytes = 16;
        sim_disk_set_policy(f->disk, SIM_CUT_DROP);
        fixture_open(f);
        fixture_append_strings(f, "t", "a", NULL);
        for (i = 0; i < 3; i++) {
            const struct batch_entry entry = {.data = (const uint8_t *)text[i], .size = 6};

            fixture_append_begin(f, &appends[i], "t", &entry, 1);
        }
        for (i = 0; i < 3; i++) {
            assert_int_equal(fixture_append_end(f, &appends[i]), 0);
        }
        fixture_append_strings(f, "t", "z", NULL);
        fixture_append_strings(f, "u", "z", NULL); /* The mark is behind them */
        sim_disk_process_crash(f->disk);
        fixture_close(f);
        image = journal_image_load(f->disk, FIXTURE_DIR);
        record = journal_image_last(image, RECORD_BATCH, UINT64_MAX);
        while (item_of(record, 2) == 0) {
            record = journal_image_last(image, RECORD_BATCH, record->header.lsn);
        }
        sim_disk_flip_bit(f->disk, record->file->path,
                          8 * (item_of(record, which) + BATCH_HEADER_SIZE + 4));
        journal_image_free(image);
        fixture_open(f);
        assert_int_equal(f->ns->recovery_rows[ROW_R7], 1);
        fixture_power_cut(f);
        fixture_expect(f, "t", "a", "first.", "second", "third.", "z", NULL);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_write_that_fails_leaves_all_to_the_next_start),
        cmocka_unit_test(one_batch_of_several_is_healed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
