/* The configuration of a world, drawn from its seed: each world likes other things (swarm testing). */
#include <stdio.h>
#include <string.h>

#include "tests/sim/world.h"

static const char *const KIND_NAMES[KIND_COUNT] = {"plain",      "sync-fault", "write-fault",
                                                   "read-fault", "no-space",   "lie",
                                                   "rot-blocks", "rot-journal"};

const char *world_kind_name(enum world_kind kind)
{
    return KIND_NAMES[kind];
}

static enum world_kind choose_kind(struct world *w)
{
    static const unsigned percent[KIND_COUNT] = {68, 6, 5, 3, 6, 3, 5, 4};
    uint64_t roll = world_below(w, 100);
    unsigned kind;

    if (w->limits.kind >= 0) {
        return (enum world_kind)w->limits.kind;
    }
    for (kind = 0; kind + 1 < KIND_COUNT && roll >= percent[kind]; kind++) {
        roll -= percent[kind];
    }
    return (enum world_kind)kind;
}

static uint64_t choose_start(struct world *w)
{
    switch (world_below(w, 8)) {
    case 0:
        return (UINT64_C(1) << 16) - world_below(w, 300);
    case 1:
        return (UINT64_C(1) << 32) - world_below(w, 300);
    case 2:
        return (UINT64_C(1) << 63) - world_below(w, 300);
    default:
        return 0;
    }
}

static uint64_t choose_schedule(struct world *w)
{
    static const uint64_t schedules[] = {
        ENGINE_FSYNC_EACH, ENGINE_FSYNC_EACH, ENGINE_FSYNC_NONE, 1, 5, 50, 200};

    return schedules[world_below(w, sizeof schedules / sizeof schedules[0])];
}

static uint64_t random_word(void *arg)
{
    return random_u64(arg);
}

static void choose_taste(struct world *w)
{
    struct world_taste *taste = &w->taste;
    unsigned i;

    for (i = 0; i < sizeof taste->weights / sizeof taste->weights[0]; i++) {
        /* A third of the things a world could do it does not do at all. */
        taste->weights[i] = world_below(w, 3) == 0 ? 0 : 1 + (unsigned)world_below(w, 9);
    }
    taste->weights[0] = 20 + (unsigned)world_below(w, 60); /* Appends, */
    taste->weights[1] = 5 + (unsigned)world_below(w, 30);  /* and reads, are always there */
    taste->topics = 1 + (unsigned)world_below(w, 6);
    taste->same_percent = world_chance(w, 50) ? 0 : (unsigned)random_between(&w->random, 20, 90);
    taste->durable_percent = world_chance(w, 50) ? 0 : (unsigned)world_below(w, 40);
    taste->big_percent = world_chance(w, 40) ? 0 : (unsigned)world_below(w, 12);
    taste->burst = 1 + (unsigned)world_below(w, world_chance(w, 30) ? 24 : 6);
    taste->long_gaps = world_chance(w, 40) ? 0 : (unsigned)world_below(w, 12);
    taste->entry_max = (unsigned)random_between(&w->random, 1, world_chance(w, 40) ? 4000 : 300);
    taste->imitate = world_chance(w, 25);
    taste->clock_jumps = world_chance(w, 20);
    taste->retention = world_chance(w, 35);
    taste->quota = world_chance(w, 30);
    taste->many_settings = world_chance(w, 25);
}

static void choose_settings(struct world *w, struct engine_settings *settings)
{
    settings->fsync_ms = choose_schedule(w);
    settings->consistency = world_chance(w, 60) ? 0 : random_between(&w->random, 1, 40);
    if (w->taste.retention) {
        settings->retention.kind = world_below(w, 4);
        settings->retention.age_ms = random_between(&w->random, 1, 20000);
        settings->retention.bytes = world_below(w, 8) << 16;
    }
    if (w->taste.quota || world_chance(w, 10)) {
        settings->quota_bytes = random_between(&w->random, 2, 12) << 16;
        settings->quota_policy = world_below(w, 3);
    }
}

void world_choose(struct world *w)
{
    struct engine_options *options = &w->options;

    w->kind = choose_kind(w);
    choose_taste(w);
    engine_options_default(options);
    options->random = random_word;
    options->random_arg = &w->engine_random;
    options->block_size = 4096u * (uint32_t)random_between(&w->random, 8, 32);
    options->blocks_per_segment = (uint32_t)random_between(&w->random, 1, 6);
    options->offset_start = choose_start(w);
    options->topics_max = 64;
    choose_settings(w, &options->settings);
    w->wall_offset = INT64_C(1700000000000000);
    w->operations_goal = random_between(&w->random, 200, 420);
    if (w->limits.no_faults) {
        w->kind = KIND_PLAIN;
    }
    w->lives = 1 + (unsigned)world_below(w, 5);
    if (w->limits.one_life) {
        w->lives = 1;
    }
    sim_disk_set_policy(w->disk, (enum sim_policy)world_below(w, SIM_POLICY_COUNT));
}

/* What an operator may change between two starts. */
void world_choose_life(struct world *w)
{
    struct engine_options *options = &w->options;
    uint32_t op_us;

    options->journal_file_min = 4096u * (uint32_t)random_between(&w->random, 8, 24);
    options->journal_file_max =
        options->journal_file_min * (uint32_t)random_between(&w->random, 1, 4);
    w->taste.small_journal = world_chance(w, 20);
    options->journal_size_max =
        w->taste.small_journal ? 8ull * options->journal_file_min : 64ull << 20;
    options->manifest_journal_bytes = UINT64_C(1) << random_between(&w->random, 12, 20);
    options->manifest_direct_bytes = UINT64_C(1) << random_between(&w->random, 14, 22);
    options->manifest_idle_us =
        world_chance(w, 50) ? 30000000 : random_between(&w->random, 1000, 500000);
    options->unsynced_bytes_max = UINT64_C(1) << random_between(&w->random, 12, 26);
    options->ring_size =
        options->journal_file_min * 4u * (uint32_t)random_between(&w->random, 1, 4);
    options->direct_threshold =
        (uint32_t)random_between(&w->random, 256, world_chance(w, 40) ? 4096 : 65536);
    options->direct_threshold_each =
        (uint32_t)random_between(&w->random, 256, world_chance(w, 40) ? 4096 : 131072);
    options->tail_apply_bytes = (uint32_t)random_between(&w->random, 256, options->ring_size / 8u);
    options->entry_size_max =
        world_chance(w, 70) ? 8u << 20 : (uint32_t)random_between(&w->random, 100, 9000);
    options->batch_size_max =
        world_chance(w, 70) ? 10u << 20 : (uint32_t)random_between(&w->random, 1000, 60000);
    options->cursors_max = 8;
    options->waiting_bytes_max =
        world_chance(w, 80) ? 256u << 20 : 1u << random_between(&w->random, 12, 18);
    options->read_bytes_max = world_chance(w, 60) ? 8u << 20 : random_between(&w->random, 1, 20000);
    options->range_min = (uint32_t)random_between(&w->random, 1, 8192);
    options->inline_sync = world_chance(w, 50);
    options->quota_wait_us = random_between(&w->random, 1, 400000);
    sim_disk_set_cold(w->disk, world_chance(w, 50) ? 10 : (unsigned)world_below(w, 101));
    sim_disk_set_pace(w->disk, (unsigned)random_between(&w->random, 5, 100));
    op_us = (uint32_t)random_between(&w->random, 1, 60);
    sim_disk_set_latency(w->disk, op_us, (uint32_t)random_between(&w->random, 10, 12000));
}

void world_print_options(const struct world *w)
{
    const struct engine_options *o = &w->options;

    fprintf(
        stderr,
        "world: kind %s, lives %u, policy by seed, topics %u, burst %u\n"
        "options: block_size %u, blocks_per_segment %u, journal_file %u..%u, journal_size_max "
        "%llu,\n"
        "  manifest after %llu journal, %llu direct, %llu us idle; unsynced_max %llu, ring %u,\n"
        "  direct %u/%u, tail_apply %u, entry_max %u, batch_max %u, offset_start %llu, inline_sync "
        "%d\n"
        "default settings: fsync %lld ms, consistency %llu, retention %llu\n",
        world_kind_name(w->kind), w->lives, w->taste.topics, w->taste.burst, o->block_size,
        o->blocks_per_segment, o->journal_file_min, o->journal_file_max,
        (unsigned long long)o->journal_size_max, (unsigned long long)o->manifest_journal_bytes,
        (unsigned long long)o->manifest_direct_bytes, (unsigned long long)o->manifest_idle_us,
        (unsigned long long)o->unsynced_bytes_max, o->ring_size, o->direct_threshold,
        o->direct_threshold_each, o->tail_apply_bytes, o->entry_size_max, o->batch_size_max,
        (unsigned long long)o->offset_start, o->inline_sync, (long long)o->settings.fsync_ms,
        (unsigned long long)o->settings.consistency,
        (unsigned long long)o->settings.retention.kind);
}
