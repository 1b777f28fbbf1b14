/* The order of durability: FORMAT.md, "Order", row by row.
 *
 * A power cut keeps everything that is pending but what a row's left side consists of, which is lost unless it was synced.
 * So an order that is only lucky (the kernel happened to write the left first) fails. The power is cut at operation
 * after operation of a workload that comes to every row, and once more during the recovery that follows: nothing
 * that was acknowledged as durable may be missing, no offset may be given twice, and recovery must accept what it
 * finds.
 *
 * TUSK_TEST_FULL=1 cuts at every operation; otherwise at a sample of them, another one for each row. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "tests/support/engine_fixture.h"

#define STEPS 36u
#define STRIDE 23u /* Of a bit more than a thousand operations */

/* ---- what is held back ---- */

static bool is_data(enum sim_kind kind)
{
    return kind == SIM_WRITE || kind == SIM_TRUNCATE;
}

static bool has(const char *path, const char *part)
{
    return strstr(path, part) != NULL;
}

/* Bytes of the journal. */
static bool hold_journal(void *arg, const char *path, uint64_t offset, enum sim_kind kind)
{
    (void)arg;
    (void)offset;
    return is_data(kind) && has(path, ".jnl");
}

/* All names: files made, renamed and removed, and directories. */
static bool hold_names(void *arg, const char *path, uint64_t offset, enum sim_kind kind)
{
    (void)arg;
    (void)offset;
    (void)path;
    return !is_data(kind);
}

/* Bytes of the journal and of segments. */
static bool hold_journal_and_blocks(void *arg, const char *path, uint64_t offset,
                                    enum sim_kind kind)
{
    (void)arg;
    (void)offset;
    return is_data(kind) && (has(path, ".jnl") || has(path, ".seg"));
}

/* Manifests, names and bytes. */
static bool hold_manifests(void *arg, const char *path, uint64_t offset, enum sim_kind kind)
{
    (void)arg;
    (void)offset;
    (void)kind;
    return has(path, "manifest-");
}

/* Batches in blocks: neither their headers, nor seals and indexes. */
static bool hold_batches(void *arg, const char *path, uint64_t offset, enum sim_kind kind)
{
    const uint64_t in_block = offset % (32u << 10);

    (void)arg;
    return kind == SIM_WRITE && has(path, ".seg") && in_block >= FORMAT_BLOCK_DATA &&
           in_block < format_block_limit(32u << 10);
}

/* Everything but the journal's bytes: a clean close is kept, what it vouches for is not. */
static bool hold_all_but_journal(void *arg, const char *path, uint64_t offset, enum sim_kind kind)
{
    return !hold_journal(arg, path, offset, kind);
}

/* Bytes of segments only. */
static bool hold_blocks(void *arg, const char *path, uint64_t offset, enum sim_kind kind)
{
    (void)arg;
    (void)offset;
    return is_data(kind) && has(path, ".seg");
}

/* ---- the workload ---- */

struct run {
    struct fixture *f;
    struct fixture_log small;
    struct fixture_log direct;
    uint64_t cursor; /* Acknowledged */
};

static bool down(const struct run *run)
{
    return sim_disk_is_down(run->f->disk);
}

/* Entries that come and go, so that blocks are freed and used again, and segments made and removed. */
static void churn(struct run *run, unsigned step)
{
    unsigned i;

    for (i = 0; i < 4 && !down(run); i++) {
        (void)fixture_append_size(run->f, "churn", 3000);
    }
    if (step % 6 == 5 && !down(run)) {
        (void)fixture_delete(run->f, "churn");
    }
}

static void work(struct run *run)
{
    struct fixture *f = run->f;
    unsigned step;

    for (step = 0; step < STEPS && !down(run); step++) {
        (void)fixture_log_append(f, &run->small, 2, 300, step % 3 == 0);
        if (!down(run) && step % 4 == 1) {
            (void)fixture_log_append(f, &run->direct, 1, 5000, step % 8 == 1);
        }
        if (!down(run)) {
            churn(run, step);
        }
        if (!down(run) && step % 5 == 4 &&
            fixture_checkpoint(f, "small", "c", fixture_info(f, "small").end) == 0) {
            run->cursor = fixture_cursor(f, "small", "c");
        }
        if (!down(run) && step % 12 == 11) {
            if (engine_stop(f->engine, &f->now, &f->err) != 0) {
                return;
            }
            /* A clean stop makes everything durable. */
            run->small.durable = run->small.acked;
            run->direct.durable = run->direct.acked;
            fixture_close(f);
            if (fixture_try_open(f) != 0 || !fixture_serves(f)) {
                return;
            }
        }
    }
}

static void ignore(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    (void)arg;
    (void)offset;
    (void)data;
    (void)size;
}

static void check(struct run *run)
{
    struct fixture *f = run->f;
    const struct engine_topic_ref churned = {.name = "churn", .name_size = 5};
    struct engine_topic_info info;

    fixture_log_check(f, &run->small, run->small.durable);
    fixture_log_check(f, &run->direct, run->direct.durable);
    if (run->cursor > 0) {
        assert_true(fixture_cursor(f, "small", "c") >= run->cursor);
    }
    if (engine_topic_info(f->ns, &churned, &info, &f->err) == 0) {
        (void)fixture_read_all(f, "churn", 0, ignore, NULL); /* Fails on damage */
    }
    /* What was lost stays lost, what comes now stays. */
    assert_int_equal(fixture_log_append(f, &run->small, 1, 100, true), 0);
    assert_int_equal(fixture_log_append(f, &run->direct, 1, 5000, true), 0);
}

/* A recovery that is cut itself, then one that is not. */
static void recover(struct run *run, uint64_t nth)
{
    struct fixture *f = run->f;

    sim_disk_cut_at(f->disk, SIM_CHANGES, nth % 16 + 1, SIM_BEFORE);
    (void)fixture_try_open(f);
    sim_disk_power_cut(f->disk);
    fixture_close(f);
    fixture_open(f);
    check(run);
    sim_disk_power_cut(f->disk);
    fixture_close(f);
    fixture_open(f);
    fixture_log_check(f, &run->small, run->small.durable);
    fixture_log_check(f, &run->direct, run->direct.durable);
}

/* Cut at the nth operation. False: the workload does not reach it. */
static bool cut_at(sim_delay_fn *hold, uint64_t fsync_ms, uint64_t nth)
{
    struct run run = {.f = fixture_new(nth * 7 + fsync_ms % 1000),
                      .small = {.topic = "small"},
                      .direct = {.topic = "direct"}};
    struct fixture *f = run.f;
    bool reached;

    f->options.settings.fsync_ms = fsync_ms;
    f->options.manifest_journal_bytes = 12u << 10;
    sim_disk_set_delay(f->disk, hold, NULL);
    sim_disk_cut_at(f->disk, SIM_CHANGES, nth, SIM_BEFORE);
    if (fixture_try_open(f) == 0 && fixture_serves(f)) {
        work(&run);
    }
    reached = sim_disk_is_down(f->disk);
    sim_disk_power_cut(f->disk);
    fixture_close(f);
    recover(&run, nth);
    fixture_free(f);
    return reached;
}

static void cut_everywhere(sim_delay_fn *hold, uint64_t row)
{
    static const uint64_t schedules[] = {ENGINE_FSYNC_EACH, 1, ENGINE_FSYNC_NONE};
    const uint64_t stride = getenv("TUSK_TEST_FULL") != NULL ? 1 : STRIDE * 3;
    unsigned i;

    for (i = 0; i < 3; i++) {
        uint64_t nth = 1 + (row * 5 + i * STRIDE) % stride;

        while (cut_at(hold, schedules[i], nth)) {
            nth += stride;
        }
        printf("schedule %" PRIu64 ": cuts up to operation %" PRIu64 "\n", schedules[i], nth);
        assert_true(nth > 300);
    }
}

/* ---- the rows ---- */

/* O1: the open record is durable before any offset, block or cursor of its run. */
static void o1_open_record_before_anything_of_its_run(void **state)
{
    (void)state;
    cut_everywhere(hold_journal, 1);
}

/* O2: an offset run is durable before its first offset enters a header: with every batch in its block and the
 * journal lost, no offset is given a second time. */
static void o2_offset_run_before_its_first_offset(void **state)
{
    (void)state;
    cut_everywhere(hold_journal, 2);
}

/* O3: the name of a segment, journal file or manifest is durable before anything relies on it. */
static void o3_names_before_what_relies_on_them(void **state)
{
    (void)state;
    cut_everywhere(hold_names, 3);
}

/* O4: the journal up to R and the blocks up to the ends in R are durable before a manifest has its name. */
static void o4_journal_and_blocks_before_the_manifest(void **state)
{
    (void)state;
    cut_everywhere(hold_journal_and_blocks, 4);
}

/* O5: two later manifests are durable before a journal file is recycled or removed. */
static void o5_two_manifests_before_a_journal_file_goes(void **state)
{
    (void)state;
    cut_everywhere(hold_manifests, 5);
}

/* O6: the free record of a block, and a mark beyond it, are durable before the block is used again, punched or
 * unlinked. */
static void o6_free_record_before_the_block_is_reused(void **state)
{
    (void)state;
    cut_everywhere(hold_journal, 6);
}

/* O7: every byte of a block is durable before its seal: a seal that is there without its batches would send
 * readers to what is not. */
static void o7_all_of_a_block_before_its_seal(void **state)
{
    (void)state;
    cut_everywhere(hold_batches, 7);
}

/* O8: the new journal file of an open is durable before recovery's manifest. */
static void o8_new_journal_file_before_recoverys_manifest(void **state)
{
    (void)state;
    cut_everywhere(hold_journal, 8);
}

/* O9: everything is durable before the clean close, which is alone and last. */
static void o9_everything_before_the_clean_close(void **state)
{
    (void)state;
    cut_everywhere(hold_all_but_journal, 9);
    cut_everywhere(hold_blocks, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(o1_open_record_before_anything_of_its_run),
        cmocka_unit_test(o2_offset_run_before_its_first_offset),
        cmocka_unit_test(o3_names_before_what_relies_on_them),
        cmocka_unit_test(o4_journal_and_blocks_before_the_manifest),
        cmocka_unit_test(o5_two_manifests_before_a_journal_file_goes),
        cmocka_unit_test(o6_free_record_before_the_block_is_reused),
        cmocka_unit_test(o7_all_of_a_block_before_its_seal),
        cmocka_unit_test(o8_new_journal_file_before_recoverys_manifest),
        cmocka_unit_test(o9_everything_before_the_clean_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
