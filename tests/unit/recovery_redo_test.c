/* Redo: what only the journal has is written to its blocks again, in pieces that are gathered, whatever the sizes of blocks and batches.
 * The simulation's blocks are too small for some of it. */
#include <stdlib.h>
#include <string.h>

#include "core/namespace.h"
#include "tests/support/engine_fixture.h"

/* Blocks that take more than one gathered write, and batches larger than one, all of them in the journal. */
static void open_large(struct fixture *f)
{
    f->options.block_size = 2u << 20;
    f->options.journal_file_min = 4u << 20;
    f->options.journal_file_max = 4u << 20;
    f->options.journal_size_max = 64u << 20;
    f->options.manifest_journal_bytes = 32u << 20;
    f->options.ring_size = 32u << 20;
    f->options.direct_threshold_each = 4u << 20;
    f->options.tail_apply_bytes = 4u << 20;
    fixture_open(f);
}

/* Small batches of several topics in turn, more than are gathered at once; then some that are written by themselves; then small ones
 * again. The power goes before any of it was in a block. */
static void batches_of_any_size_are_redone(void **state)
{
    static const uint32_t sizes[] = {20000, 300000, 8, 262000, 100, 400000, 20000};
    static const char *const topics[] = {"a", "b", "c"};
    struct fixture *f = *state;
    struct fixture_log logs[3] = {{.topic = topics[0]}, {.topic = topics[1]}, {.topic = topics[2]}};
    unsigned i;
    unsigned k;

    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    open_large(f);
    for (i = 0; i < 15; i++) {
        for (k = 0; k < 3; k++) {
            assert_int_equal(fixture_log_append(f, &logs[k], 1, 20000 + 16 * k, true), 0);
        }
    }
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (k = 0; k < 2; k++) {
            assert_int_equal(fixture_log_append(f, &logs[k], 1, sizes[i], true), 0);
        }
    }
    assert_int_equal(fixture_stat(f, "direct_appends"), 0);
    fixture_power_cut(f);
    for (k = 0; k < 3; k++) {
        fixture_log_check(f, &logs[k], logs[k].durable);
    }
    fixture_power_cut(f);
    for (k = 0; k < 3; k++) {
        fixture_log_check(f, &logs[k], logs[k].durable);
    }
}

/* More blocks at once than are gathered: the least recently used gives its place. */
static void more_blocks_than_are_gathered_are_redone(void **state)
{
    struct fixture *f = *state;
    struct fixture_log logs[40];
    char names[40][4];
    unsigned round;
    unsigned i;

    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    f->options.blocks_per_segment = 64;
    fixture_open(f);
    for (i = 0; i < 40; i++) {
        names[i][0] = 't';
        names[i][1] = (char)('0' + i / 10);
        names[i][2] = (char)('0' + i % 10);
        names[i][3] = '\0';
        logs[i] = (struct fixture_log){.topic = names[i]};
    }
    for (round = 0; round < 3; round++) {
        for (i = 0; i < 40; i++) {
            assert_int_equal(fixture_log_append(f, &logs[i], 1, 100 + i, true), 0);
        }
    }
    fixture_power_cut(f);
    for (i = 0; i < 40; i++) {
        fixture_log_check(f, &logs[i], 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(batches_of_any_size_are_redone),
        FIXTURE_TEST(more_blocks_than_are_gathered_are_redone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
