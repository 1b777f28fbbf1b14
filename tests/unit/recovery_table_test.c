/* The recovery decision: every combination of what can be found maps to one row. FORMAT.md, "Recovery", is the
 * specification; recovery_rows_test.c shows that recovery comes to the rows. */
#include "core/recovery_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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
    [FOUND_UNREADABLE] = {{{ROW_R10, DECIDE_REFUSE_UNREADABLE},
                           {ROW_R10, DECIDE_REFUSE_UNREADABLE}},
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_combination_has_its_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
