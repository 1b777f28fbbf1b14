#include "core/recovery_table.h"

#include "core/check.h"

/* [found][before the mark] */
static const struct recovery_output table[FOUND_KINDS][2] = {
    [FOUND_GOOD] = {{ROW_R1, DECIDE_APPLY}, {ROW_R1, DECIDE_APPLY}},
    [FOUND_ZERO] = {{ROW_R2, DECIDE_END}, {ROW_R3, DECIDE_REFUSE_DAMAGED}},
    [FOUND_BAD] = {{ROW_R4, DECIDE_END}, {ROW_R5, DECIDE_REFUSE_DAMAGED}},
    [FOUND_BATCH_BAD] = {{ROW_R6, DECIDE_END}, {ROW_R7, DECIDE_HEAL}},
    [FOUND_DIRECT_BAD] = {{ROW_R8, DECIDE_END}, {ROW_R9, DECIDE_BLOCK_DAMAGE}},
    [FOUND_UNREADABLE] = {{ROW_R10, DECIDE_REFUSE_UNREADABLE}, {ROW_R10, DECIDE_REFUSE_UNREADABLE}},
    [FOUND_UNKNOWN] = {{ROW_R11, DECIDE_REFUSE_VERSION}, {ROW_R11, DECIDE_REFUSE_VERSION}},
    [FOUND_NOTHING] = {{ROW_R12, DECIDE_END}, {ROW_R13, DECIDE_REFUSE_DAMAGED}},
};

struct recovery_output recovery_decide(const struct recovery_input *input)
{
    struct recovery_output output;

    CHECK(input->found < FOUND_KINDS);
    output = table[input->found][input->before_mark ? 1 : 0];
    /* Acceptance turns damage into a skip; it never turns an unreadable or unknown record into one,
     * nor an end. A missing end of the journal cannot be skipped: accepted, it is the end. */
    if (input->accepted && output.decision == DECIDE_REFUSE_DAMAGED) {
        output.decision = input->found == FOUND_NOTHING ? DECIDE_END : DECIDE_SKIP_ACCEPTED;
        output.row = ROW_R14;
    }
    CHECK(output.row < ROW_COUNT);
    return output;
}

const char *recovery_row_text(enum recovery_row row)
{
    static const char *const texts[ROW_COUNT] = {
        [ROW_R1] = "R1: a valid record: applied",
        [ROW_R2] = "R2: zeros at or behind the mark: the end",
        [ROW_R3] = "R3: zeros before the mark: damage, refused",
        [ROW_R4] = "R4: a record that does not validate, at or behind the mark: the end",
        [ROW_R5] = "R5: a record that does not validate, before the mark: damage, refused",
        [ROW_R6] = "R6: a batch record with a bad body, at or behind the mark: the end",
        /* NOLINTNEXTLINE(bugprone-suspicious-missing-comma): one text, in two lines */
        [ROW_R7] = "R7: a batch record with a bad body, before the mark: healed from its block, or "
                   "refused",
        [ROW_R8] =
            "R8: a direct batch that does not verify in its block, at or behind the mark: the end",
        [ROW_R9] = "R9: a direct batch that does not verify in its block, before the mark: damage "
                   "of the block",
        [ROW_R10] = "R10: the device reports an error: refused, unreadable is never a tear",
        [ROW_R11] =
            "R11: a type or flag that is unknown under a valid checksum: a newer version wrote it",
        [ROW_R12] = "R12: no file reaches that place, at or behind the mark: the end",
        [ROW_R13] = "R13: no file reaches that place, before the mark: damage, refused",
        [ROW_R14] = "R14: damage whose loss was accepted: skipped",
        [ROW_R15] = "R15: no valid manifest: refused",
        [ROW_R16] = "R16: the newest manifest is damaged, the older one valid: used",
        [ROW_R17] = "R17: no journal file reaches the manifest: damage, refused",
        [ROW_R18] = "R18: a clean close, and nothing behind it: clean",
    };

    CHECK(row < ROW_COUNT);
    return texts[row];
}
