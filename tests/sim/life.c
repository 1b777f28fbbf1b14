/* The lives of a world: start, work, end, and start again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/io.h"
#include "core/namespace.h"
#include "tests/sim/judge.h"
#include "tests/sim/oracle.h"
#include "tests/sim/workload.h"

static uint64_t clone_word(void *arg)
{
    return random_u64(arg);
}

/* ---- starting ---- */

static void log_finding(void *arg, const char *name, const char *text)
{
    world_log(arg, "finding: %s: %s", name, text);
}

void life_learn(struct world *w)
{
    struct engine_namespace_info info;
    unsigned i;
    unsigned row;

    for (i = 0; i < WORLD_NAMESPACES; i++) {
        struct model_namespace *ns = &w->namespaces[i];

        ns->handle = engine_namespace_find(w->engine, ns->name, strlen(ns->name));
        if (ns->handle == NULL) {
            continue;
        }
        for (row = 0; row < ROW_COUNT; row++) {
            w->report->rows[row] += ns->handle->recovery_rows[row];
        }
        engine_namespace_info(ns->handle, &info);
        if (info.state != ENGINE_SERVING) {
            ns->handle = NULL;
        } else if (w->first_start && w->ending == END_CLEAN && !w->full && !damage_is_last(w) &&
                   ns->presence == PRESENT && ns->handle->recovery_rows[ROW_R18] != 1) {
            world_fail(w, "a clean stop is known as one", "%s", ns->name);
        }
    }
}

static void arm_cut(struct world *w, struct sim_disk *disk, unsigned bits_max)
{
    const unsigned kinds = world_chance(w, 70) ? SIM_ALL
                           : world_chance(w, 50)
                               ? SIM_CHANGES
                               : SIM_BIT(SIM_SYNC) | SIM_BIT(SIM_SYNC_DIR) | SIM_BIT(SIM_RENAME);

    const uint64_t nth = 1 + world_below(w, UINT64_C(1) << random_between(&w->random, 0, bits_max));
    const enum sim_moment moment = world_chance(w, 50) ? SIM_BEFORE : SIM_AMID;

    sim_disk_cut_at(disk, kinds, nth, moment);
}

/* Open a copy of the disk, through `cuts` power cuts during recovery, and see what is there.
 * again: close it without a stop, and recover once more. */
static uint64_t recover_copy(struct world *w, const struct sim_disk *from, unsigned cuts,
                             bool again)
{
    struct sim_disk *disk = sim_disk_clone(from);
    struct engine_options options = w->options;
    struct random random;
    struct observed seen;
    struct error err;
    uint64_t hash = 0;
    unsigned rounds = again ? 2 : 1;

    random_init(&random, w->limits.seed ^ w->tick);
    options.finding = NULL;
    options.dropped = NULL;
    options.random = clone_word;
    options.random_arg = &random;
    while (rounds > 0) {
        struct engine *engine;
        struct io *io;
        uint64_t seen_hash;
        struct engine_time now = world_now(w);
        int rc;

        CHECK(io_sim_open(&io, disk) == 0);
        if (cuts > 0) {
            arm_cut(w, disk, 8);
            cuts--;
        } else {
            sim_disk_cut_at(disk, SIM_ALL, 0, SIM_BEFORE);
        }
        now.mono_us = 1000000u + sim_disk_now_us(disk);
        rc = engine_open(&engine, io, &options, &now, &err);
        if (sim_disk_is_down(disk)) {
            engine_close(engine);
            io_close(io);
            continue;
        }
        if (rc != 0) {
            world_fail(w, "a store opens after every crash", "a copy: %s", err.text);
        }
        sim_disk_cut_at(disk, SIM_ALL, 0, SIM_BEFORE);
        observe(&seen, engine, disk, w->wall_offset, w->limits.seed);
        if (seen.problem[0] != '\0') {
            world_fail(w, "a recovered store can be read", "a copy: %s", seen.problem);
        }
        seen_hash = observed_hash(&seen);
        if (hash != 0 && hash != seen_hash && !(w->full && observed_any_refused(&seen))) {
            world_fail(w, "a second recovery finds what the first did", "hash %llx, then %llx",
                       (unsigned long long)hash, (unsigned long long)seen_hash);
        }
        hash = w->full && observed_any_refused(&seen) ? 0 : seen_hash;
        rounds = hash == 0 ? 1 : rounds;
        observed_deinit(&seen);
        engine_close(engine);
        io_close(io);
        rounds--;
    }
    sim_disk_free(disk);
    return hash;
}

int life_open(struct world *w, struct error *err)
{
    CHECK(io_sim_open(&w->io, w->disk) == 0);
    w->told = world_now(w);
    w->options.finding = log_finding;
    w->options.finding_arg = w;
    w->options.dropped = oracle_dropped;
    w->options.dropped_arg = w;
    return engine_open(&w->engine, w->io, &w->options, &w->told, err);
}

/* A start on a disk that fails: whatever comes of it, it must not harm what the next start finds. */
static void open_and_fail(struct world *w)
{
    struct error err;
    const int rc = life_open(w, &err);

    world_log(w, "a start on a failing disk: %s", rc == 0 ? "OK" : err.text);
    engine_close(w->engine);
    w->engine = NULL;
    io_close(w->io);
}

/* One start, with power cuts on the way. */
static void open_engine(struct world *w)
{
    unsigned cuts = w->life > 0 && world_chance(w, 30) ? 1 + (unsigned)world_below(w, 5) : 0;
    struct error err;
    int rc;

    if (w->limits.no_cuts) {
        cuts = 0;
    }
    for (;;) {
        sim_disk_cut_at(w->disk, SIM_ALL, 0, SIM_BEFORE);
        if (cuts > 0) {
            arm_cut(w, w->disk, 9);
            cuts--;
        }
        rc = life_open(w, &err);
        if (!sim_disk_is_down(w->disk)) {
            break;
        }
        world_log(w, "power cut during start (%s)", rc == 0 ? "late" : err.text);
        w->report->open_cuts++;
        w->first_start = false;
        if (w->ending == END_PROCESS) {
            w->ending = END_POWER; /* What was written was not synced yet */
        }
        engine_close(w->engine);
        w->engine = NULL;
        io_close(w->io);
        sim_disk_set_policy(w->disk, (enum sim_policy)world_below(w, SIM_POLICY_COUNT));
    }
    sim_disk_cut_at(w->disk, SIM_ALL, 0, SIM_BEFORE);
    if (rc != 0) {
        world_fail(w, "a store opens after every crash", "%s", err.text);
    }
}

static void start(struct world *w)
{
    const bool copies = w->life > 0 && w->namespaces[0].presence == PRESENT && world_chance(w, 25);
    const bool settled = sim_disk_pending(w->disk) == 0;
    uint64_t copy = 0;
    struct observed seen;

    if (w->life == 0 || w->kind != KIND_NO_SPACE) { /* Reserves are of the size configured then */
        world_choose_life(w);
    }
    if (copies) {
        copy = recover_copy(w, w->disk, settled ? (unsigned)world_below(w, 3) : 0, true);
    }
    w->first_start = true;
    w->disturbed = false;
    w->faulted = false;
    w->fatal = false;
    w->stopping = false;
    w->fired = sim_disk_fired(w->disk);
    if (faults_before_start(w)) {
        w->first_start = false;
        open_and_fail(w);
        faults_heal(w);
    }
    open_engine(w);
    observe(&seen, w->engine, w->disk, w->wall_offset, w->limits.seed + w->life);
    if (w->full && observed_any_refused(&seen)) {
        /* Several starts in a row on a full disk use up what is held in reserve. Space heals it. */
        world_log(w, "refused on a full disk");
        w->report->refused++;
        observed_deinit(&seen);
        engine_close(w->engine);
        io_close(w->io);
        sim_disk_set_capacity(w->disk, UINT64_MAX);
        w->full = false;
        copy = 0;
        open_engine(w);
        observe(&seen, w->engine, w->disk, w->wall_offset, w->limits.seed + w->life);
    }
    life_learn(w);
    world_log(w, "---- life %u: %u namespaces, ending before %d", w->life, seen.count, w->ending);
    judge(w, &seen);
    if (copy != 0 && settled && copy != observed_hash(&seen)) {
        world_fail(w, "an interrupted recovery finds what an uninterrupted one does", "%llx, %llx",
                   (unsigned long long)copy, (unsigned long long)observed_hash(&seen));
    }
    w->results ^= observed_hash(&seen);
    observed_deinit(&seen);
    w->report->lives++;
    w->told = world_now(w);
    w->good_poll_us = w->told.mono_us;
}

/* ---- working ---- */

static void jump_clock(struct world *w)
{
    static const int64_t jumps[] = {1000000,     -1000000,        3000000000,
                                    -3000000000, 946080000000000, -946080000000000};
    const int64_t jump = jumps[world_below(w, 6)];

    if ((int64_t)world_now(w).mono_us + w->wall_offset + jump > 1000000000000) {
        w->wall_offset += jump;
        world_log(w, "wall clock jumps by %lld us", (long long)jump);
    }
}

static void turn(struct world *w)
{
    unsigned count = (unsigned)world_below(w, w->taste.burst + 1u);

    while (count-- > 0 && !w->disturbed) {
        workload_step(w);
    }
    sim_disk_advance(w->disk, world_below(w, UINT64_C(1) << world_below(w, 12)));
    if (w->taste.clock_jumps && world_chance(w, 3)) {
        jump_clock(w);
    }
    faults_turn(w);
    if (w->disturbed) {
        return;
    }
    if (world_chance(w, w->taste.long_gaps)) {
        if (world_chance(w, 10)) {
            sim_disk_advance(w->disk, UINT64_C(7200000000)); /* The machine slept */
        }
        world_pass(w, world_below(w, UINT64_C(1) << random_between(&w->random, 10, 22)));
    } else {
        (void)world_poll(w);
    }
}

static void work(struct world *w, uint64_t goal)
{
    while (w->operations < goal && w->operations < w->limits.requests_max && !w->disturbed) {
        turn(w);
    }
}

/* In the lazy schedules an idle namespace becomes durable by itself, in time. */
static void idle_becomes_durable(struct world *w)
{
    unsigned i;

    world_drain(w);
    world_pass(w, 3000000);
    for (i = 0; i < WORLD_NAMESPACES && !w->disturbed; i++) {
        struct model_namespace *ns = &w->namespaces[i];
        struct model_topic *topic;

        if (ns->handle == NULL || model_settings(ns)->fsync_ms > 2000) {
            continue;
        }
        for (topic = ns->topics; topic != NULL; topic = topic->next) {
            if (topic->delete == NULL && topic->told_durable < model_end_high(topic)) {
                world_fail(w, "the schedule syncs in time", "topic %llu: durable end %llu of %llu",
                           (unsigned long long)topic->id, (unsigned long long)topic->told_durable,
                           (unsigned long long)model_end_high(topic));
            }
        }
    }
}

/* ---- ending ---- */

void life_close(struct world *w)
{
    unsigned i;

    held_forget(w);
    engine_close(w->engine);
    w->engine = NULL;
    io_close(w->io);
    w->io = NULL;
    world_free_ops(w);
    for (i = 0; i < WORLD_NAMESPACES; i++) {
        w->namespaces[i].handle = NULL;
    }
}

static void stop(struct world *w)
{
    struct error err;
    int rc;

    world_log(w, "stop");
    if (!w->disturbed) {
        held_release(w, NULL);
    }
    w->stopping = true;
    w->told = world_now(w);
    w->poll_tick = ++w->tick;
    rc = engine_stop(w->engine, &w->told, &err);
    w->disturbed = w->disturbed || sim_disk_is_down(w->disk);
    w->faulted = w->faulted || sim_disk_fired(w->disk) > w->fired;
    world_collect(w);
    w->tick++;
    if (rc == 0 && !w->disturbed) {
        if (w->ops != NULL) {
            world_fail(w, "a clean stop answers everybody", "operation %llu waits",
                       (unsigned long long)w->ops->number);
        }
        w->ending = END_CLEAN;
    } else if (!world_excused(w)) {
        world_fail(w, "a healthy store stops cleanly", "%s", err.text);
    } else {
        w->disturbed = true;
    }
}

static void end_life(struct world *w, bool cleanly)
{
    const uint64_t plan = world_below(w, 100);

    faults_check(w);
    w->ending = END_POWER;
    if (!w->disturbed && (cleanly || plan < 25)) {
        if (!cleanly && !w->limits.no_cuts && world_chance(w, 30)) {
            arm_cut(w, w->disk, 7);
        }
        stop(w);
        sim_disk_cut_at(w->disk, SIM_ALL, 0, SIM_BEFORE);
    }
    if (w->disturbed) {
        world_log(w, sim_disk_is_down(w->disk) ? "the power was cut" : "the engine has stopped");
        w->report->crashes++;
    } else if (w->ending == END_CLEAN) {
        if (plan % 2 == 0) {
            sim_disk_power_cut(w->disk);
        }
    } else if (plan < 65) {
        world_log(w, "power cut");
        w->report->crashes++;
        sim_disk_power_cut(w->disk);
    } else {
        world_log(w, "the process dies");
        w->ending = END_PROCESS;
        w->report->crashes++;
        sim_disk_cut_at(w->disk, SIM_ALL, 0, SIM_BEFORE);
        if (plan < 90) {
            sim_disk_process_crash(w->disk);
        }
    }
    life_close(w);
    faults_end_life(w);
}

/* Up to `goal` requests, an end, and the judgement after the next start. */
static void live_once(struct world *w, uint64_t goal, bool last)
{
    start(w);
    faults_begin_life(w);
    if (w->limits.verbose) {
        sim_disk_set_trace(w->disk, 40);
    }
    if (!last && !w->limits.no_cuts && world_chance(w, 55)) {
        arm_cut(w, w->disk, 11);
    }
    work(w, goal);
    if (!w->disturbed && world_chance(w, 10)) {
        idle_becomes_durable(w);
    }
    if (last) {
        world_drain(w);
        w->life++;
    }
    end_life(w, last);
}

void world_live(struct world *w)
{
    const uint64_t goal = w->operations_goal;

    for (w->life = 0; w->life < w->lives; w->life++) {
        live_once(w, goal * (w->life + 1) / w->lives, false);
    }
    if (damage_is_last(w)) {
        damage_last(w);
        return;
    }
    /* The last life ends well, and one more start proves it. */
    live_once(w, w->operations + 20, true);
    start(w);
    life_close(w);
}
