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
