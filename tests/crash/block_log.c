/* Every block that reaches the disk under load is logged; then power cuts are made of the log: at
 * each of many positions, all that a flush covers and a random choice of what came behind it. Each
 * state is mounted, the daemon started on it, and what it finds judged by the acknowledgements that
 * had been received when the log was at that position.
 *
 *     block_log [--fs ext4|ext4-writeback|xfs|btrfs] [--count STATES] [--seed N]
 *               [--schedule each|lazy|none]
 *
 * A run of load gives STATES_PER_RUN states. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/report.h"
#include "tests/crash/rig.h"
#include "tests/crash/store.h"

#define STATES_PER_RUN 100u
#define CHECK_PERCENT 5u /* Of states, by the file system's own checker */

/* One or two lives, the first judged like a kill; states are made of the last. Returns where that
 * began in the log. */
static uint64_t load(struct rig *rig, struct store *store)
{
    struct random *random = &store->random;
    unsigned lives = 1 + (unsigned)random_below(random, 2);
    uint64_t begin = 0;

    if (!store_start(store)) {
        return 0;
    }
    while (lives-- > 0) {
        begin = atomic_load(&rig->disk.shared->operations);
        store_load(store, 1u << random_below(random, 6), (uint32_t)random_below(random, 4) * 500);
        report_pause_us(1000 * random_between(random, 150, 700));
        store_kill(store);
        store_unload(store);
        if (lives > 0) {
            (void)snprintf(store->where, sizeof store->where, "%s kill", rig->kind->name);
            if (!store_start(store)) {
                return 0;
            }
            store_judge(store, ENDING_KILL, UINT64_MAX, true);
        }
    }
    return begin;
}

static int compare_positions(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left;
    const uint64_t b = *(const uint64_t *)right;

    return a < b ? -1 : a > b;
}

/* Half of them right behind a flush, or right before one, where most is at stake. */
static void draw_positions(struct rig *rig, struct random *random, uint64_t begin,
                           uint64_t *positions, uint32_t count)
{
    const uint64_t end = atomic_load(&rig->disk.shared->operations);
    uint32_t i;

    for (i = 0; i < count; i++) {
        uint64_t at = random_between(random, begin, end);

        if (random_chance(random, 50)) {
            while (at < end && rig->disk.operations[at].size > 0) {
                at++;
            }
            at += at < end && random_chance(random, 50) ? 1 : 0;
        }
        positions[i] = at;
    }
    qsort(positions, count, sizeof *positions, compare_positions);
}

static void judge_state(struct rig *rig, struct store *store, uint64_t position)
{
    const bool keep_all = random_chance(&store->random, 20);

    (void)snprintf(store->where, sizeof store->where, "%s state at operation %llu%s",
                   rig->kind->name, (unsigned long long)position, keep_all ? ", all written" : "");
    disk_state(&rig->disk, position, keep_all, &store->random);
    if (!rig_mount(rig)) {
        report_violation("%s: cannot be mounted", store->where);
        rig_detach(rig);
        return;
    }
    if (store_start(store)) {
        store_judge(store, ENDING_POWER, position, false);
        if (random_chance(&store->random, 25)) {
            store_expect_same_again(store);
            store_expect_writable(store);
        }
    }
    store_kill(store);
    report_need(mount_off(rig->mount), "unmount a state");
    if (random_chance(&store->random, CHECK_PERCENT)) {
        rig_check(rig, store->where);
    }
    rig_detach(rig);
}

static uint64_t run(const struct report_options *options, const struct mount_kind *kind,
                    uint64_t seed, uint32_t states, struct store *store)
{
    static uint64_t positions[STATES_PER_RUN];
    static struct rig rig;
    uint64_t begin;
    uint32_t i;

    rig_open(&rig, kind);
    store_open(store, seed, rig.data, options->schedule, &rig.disk.shared->operations);
    begin = load(&rig, store);
    store_kill(store);
    rig_unmount(&rig);
    if (options->verbose) {
        (void)printf("seed %llu: %llu operations logged, %llu bytes, from %llu on\n",
                     (unsigned long long)seed,
                     (unsigned long long)atomic_load(&rig.disk.shared->operations),
                     (unsigned long long)rig.disk.shared->data_used, (unsigned long long)begin);
    }
    report_need(!atomic_load(&rig.disk.shared->full), "log everything");
    store->branches = true;
    draw_positions(&rig, &store->random, begin, positions, states);
    for (i = 0; i < states && report_violations() == 0; i++) {
        judge_state(&rig, store, positions[i]);
    }
    if (report_violations() > 0) {
        store_print_log(store);
    }
    store_close(store);
    rig_close(&rig);
    return i;
}

int main(int argc, char **argv)
{
    const struct report_options options = report_parse(argc, argv, "block_log", 20);
    const char *name = options.fs != NULL ? options.fs : "ext4";
    const struct mount_kind *kind = mount_kind_find(name);
    static struct store store;
    uint64_t seed = options.seed;
    uint64_t entries = 0;
    uint64_t lost = 0;
    uint64_t done = 0;
    const char *why;

    if (kind == NULL || strcmp(name, "ext4-nojournal") == 0) {
        report_skip("no such file system, or one that keeps nothing in order");
    }
    if (!mount_kind_works(kind, &why)) {
        report_skip(why);
    }
    while (done < options.count && report_violations() == 0) {
        const uint64_t left = options.count - done;

        done += run(&options, kind, seed++, left < STATES_PER_RUN ? (uint32_t)left : STATES_PER_RUN,
                    &store);
        entries += store.entries;
        lost += store.lost;
    }
    (void)printf("block_log %s: seeds %llu-%llu, %llu states, %llu entries read back, %llu "
                 "acknowledged batches lost as the schedule allows, %llu violations\n",
                 name, (unsigned long long)options.seed, (unsigned long long)seed - 1,
                 (unsigned long long)done, (unsigned long long)entries, (unsigned long long)lost,
                 (unsigned long long)report_violations());
    return report_exit_code();
}
