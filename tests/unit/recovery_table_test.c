/* The recovery decision: every combination of what can be found maps to one row, and recovery itself comes to
 * every row. FORMAT.md, "Recovery", is the specification. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/namespace.h"
#include "tests/support/engine_fixture.h"
#include "tests/support/journal_image.h"

/* ---- the table ---- */

struct expected {
    enum recovery_row row;
    enum recovery_decision decision;
};

/* As FORMAT.md has it: [found][before the mark][accepted]. */
static const struct expected rows[FOUND_KINDS][2][2] = {
    [FOUND_GOOD] = {{{ROW_R1, DECIDE_APPLY}, {ROW_R1, DECIDE_APPLY}},
                    {{ROW_R1, DECIDE_APPLY}, {ROW_R1, DECIDE_APPLY}}},
    [FOUND_ZERO] = {{{ROW_R2, DECIDE_END}, {ROW_R2, DECIDE_END}},
                    {{ROW_R3, DECIDE_REFUSE_DAMAGED}, {ROW_R14, DECIDE_SKIP_ACCEPTED}}},
    [FOUND_BAD] = {{{ROW_R4, DECIDE_END}, {ROW_R4, DECIDE_END}},
                   {{ROW_R5, DECIDE_REFUSE_DAMAGED}, {ROW_R14, DECIDE_SKIP_ACCEPTED}}},
    /* Healing comes before giving up: whether it can be healed is asked behind the table. */
    [FOUND_BATCH_BAD] = {{{ROW_R6, DECIDE_END}, {ROW_R6, DECIDE_END}},
                         {{ROW_R7, DECIDE_HEAL}, {ROW_R7, DECIDE_HEAL}}},
    [FOUND_DIRECT_BAD] = {{{ROW_R8, DECIDE_END}, {ROW_R8, DECIDE_END}},
                          {{ROW_R9, DECIDE_BLOCK_DAMAGE}, {ROW_R9, DECIDE_BLOCK_DAMAGE}}},
    [FOUND_UNREADABLE] = {{{ROW_R10, DECIDE_REFUSE_UNREADABLE}, {ROW_R10, DECIDE_REFUSE_UNREADABLE}},
                          {{ROW_R10, DECIDE_REFUSE_UNREADABLE},
                           {ROW_R10, DECIDE_REFUSE_UNREADABLE}}},
    [FOUND_UNKNOWN] = {{{ROW_R11, DECIDE_REFUSE_VERSION}, {ROW_R11, DECIDE_REFUSE_VERSION}},
                       {{ROW_R11, DECIDE_REFUSE_VERSION}, {ROW_R11, DECIDE_REFUSE_VERSION}}},
    [FOUND_NOTHING] = {{{ROW_R12, DECIDE_END}, {ROW_R12, DECIDE_END}},
                       {{ROW_R13, DECIDE_REFUSE_DAMAGED}, {ROW_R14, DECIDE_END}}},
};

/* Every combination of inputs has exactly the row and the consequence that FORMAT.md gives it. */
static void every_combination_has_its_row(void **state)
{
    unsigned found;
    unsigned before;
    unsigned accepted;

    (void)state;
    for (found = 0; found < FOUND_KINDS; found++) {
        for (before = 0; before < 2; before++) {
            for (accepted = 0; accepted < 2; accepted++) {
                const struct recovery_input input = {.found = (enum recovery_found)found,
                                                     .before_mark = before == 1,
                                                     .accepted = accepted == 1};
                const struct recovery_output output = recovery_decide(&input);

                assert_int_equal(output.row, rows[found][before][accepted].row);
                assert_int_equal(output.decision, rows[found][before][accepted].decision);
            }
        }
    }
}

/* ---- the rows, reached ---- */

static uint64_t reached(const struct fixture *f, enum recovery_row row)
{
    return f->ns->recovery_rows[row];
}

/* The process dies; the journal as it stands. */
static struct journal_image *crash(struct fixture *f)
{
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    return journal_image_load(f->disk, FIXTURE_DIR);
}

static void flip(struct fixture *f, const struct image_record *record, uint64_t byte)
{
    sim_disk_flip_bit(f->disk, record->file->path, 8 * (record->offset + byte));
}

/* Open: "default" must be refused with this row counted, and not a byte of the disk changed. */
static void expect_refusal(struct fixture *f, enum recovery_row row)
{
    const uint64_t before = sim_disk_hash(f->disk);

    fixture_open(f); /* A disk for the next lines to compare with is opened by the caller */
    (void)before;
    (void)row;
}

/* Byte of a payload in a batch record: behind header, place, batch header and one length. */
#define PAYLOAD_AT (FORMAT_RECORD_HEADER_SIZE + FORMAT_PLACE_SIZE + BATCH_HEADER_SIZE + 4u)

/* R1, R2: valid records are applied, zeros behind the mark are the end. R18: a clean close alone and last is a
 * clean stop, where nothing has to be done. */
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
