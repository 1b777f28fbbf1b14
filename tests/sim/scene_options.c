/* The configuration of a scene, drawn from its seed: each likes other things (swarm testing), and many live with
 * limits so small that they are always reached. */
#include <errno.h>
#include <stdio.h>

#include "core/check.h"
#include "tests/sim/scene.h"

static const char *const KIND_NAMES[SCENE_KIND_COUNT] = {"plain", "sync-fault", "write-fault",
                                                         "no-space"};

const char *scene_kind_name(enum scene_kind kind)
{
    return KIND_NAMES[kind];
}

static uint64_t between(struct scene *s, uint64_t low, uint64_t high)
{
    return random_between(&s->random, low, high);
}

static enum scene_kind choose_kind(struct scene *s)
{
    static const unsigned percent[SCENE_KIND_COUNT] = {76, 8, 8, 8};
    uint64_t roll = scene_below(s, 100);
    unsigned kind;

    if (s->limits.no_faults) {
        return SCENE_PLAIN;
    }
    if (s->limits.kind >= 0) {
        return (enum scene_kind)s->limits.kind;
    }
    for (kind = 0; kind + 1 < SCENE_KIND_COUNT && roll >= percent[kind]; kind++) {
        roll -= percent[kind];
    }
    return (enum scene_kind)kind;
}

static uint64_t random_word(void *arg)
{
    return random_u64(arg);
}

static const char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static void choose_taste(struct scene *s)
{
    struct scene_taste *taste = &s->taste;
    unsigned i;

    for (i = 0; i < MESSAGE_TYPE_END; i++) {
        taste->weights[i] = scene_below(s, 3) == 0 ? 0 : 1 + (unsigned)scene_below(s, 9);
    }
    for (i = 0; i < MESSAGE_TYPE_END; i++) {
        taste->weights[i] = message_type_known((uint16_t)i) ? taste->weights[i] : 0;
    }
    taste->weights[0] = 0;
    taste->weights[MESSAGE_HELLO] = 0;
    taste->weights[MESSAGE_APPEND] = 20 + (unsigned)scene_below(s, 60);
    taste->weights[MESSAGE_READ] = 5 + (unsigned)scene_below(s, 40);
    taste->weights[MESSAGE_TOPIC_DELETE] = scene_below(s, 3) == 0 ? 1 : 0;
    taste->topics = 1 + (unsigned)scene_below(s, LEDGER_TOPICS);
    taste->clients = 1 + (unsigned)scene_below(s, SCENE_CLIENTS);
    taste->same_percent = scene_chance(s, 50) ? 0 : (unsigned)between(s, 20, 90);
    taste->durable_percent = scene_chance(s, 50) ? 0 : (unsigned)scene_below(s, 40);
    taste->entry_max = (unsigned)between(s, 8, scene_chance(s, 40) ? 4000 : 300);
    taste->big_percent = scene_chance(s, 50) ? 0 : (unsigned)scene_below(s, 12);
    taste->nonsense_percent = scene_chance(s, 50) ? 0 : (unsigned)scene_below(s, 8);
    taste->habit_percent = scene_chance(s, 30) ? 0 : (unsigned)scene_below(s, 60);
    taste->vanish_percent = scene_chance(s, 30) ? 0 : (unsigned)scene_below(s, 3);
    taste->maps_percent = scene_chance(s, 25) ? 0 : (unsigned)between(s, 30, 100);
    taste->fills_blocks = taste->maps_percent > 0 && scene_chance(s, 50);
    if (taste->fills_blocks) {
        taste->topics = 1 + (unsigned)scene_below(s, 3);
        taste->entry_max = (unsigned)between(s, 1000, 6000);
        taste->weights[MESSAGE_READ] += 40;
        taste->weights[MESSAGE_TOPIC_TRIM] += 1 + (unsigned)scene_below(s, 12);
    }
    taste->depth_max = 1u << scene_below(s, 7);
    taste->gap_bits = 3 + (unsigned)scene_below(s, 12);
    taste->tiny_memory = scene_chance(s, 20);
    taste->retention = scene_chance(s, 25);
    taste->quota = scene_chance(s, 25);
    taste->clock_jumps = scene_chance(s, 20);
    taste->descriptors_short = scene_chance(s, 15);
}

static void choose_server(struct scene *s)
{
    struct options *options = &s->config.options;
    struct options_error error;
    const bool slow = scene_chance(s, 40);

    CHECK(options_default(options, no_environment, &error) == 0);
    options->create_topics = scene_chance(s, 90);
    options->admin_connections = 0; /* Who is no administrator is turned away for that before */
    options->spin = scene_chance(s, 50);
    if (scene_chance(s, 60)) {
        options->connections_max = between(s, 1, 6);
    }
    if (scene_chance(s, 60)) {
        options->requests_max = UINT64_C(1) << scene_below(s, 6);
    }
    if (scene_chance(s, 40)) {
        options->request_bytes_max = between(s, 300, 20000);
    }
    if (scene_chance(s, 50)) {
        options->output_bytes_max = between(s, 4096, 40000);
    }
    if (s->taste.tiny_memory) {
        options->total_bytes_max = between(s, 1, 3) << 20;
    }
    options->hello_timeout = slow ? 10000 : between(s, 400, 2000);
    options->frame_timeout = slow ? 30000 : between(s, 400, 2000);
    options->output_timeout = slow ? 30000 : between(s, 400, 2000);
    options->idle_timeout = scene_chance(s, 70) ? 0 : between(s, 500, 3000);
    options->slowlog_threshold = scene_below(s, 40);
    options->slowlog_entries = scene_below(s, 20);
    options->stop_timeout = between(s, 20, 3000);
    options->read_size_max = scene_chance(s, 50) ? 4u << 20 : between(s, 4096, 20000);
}

/* The engine is opened with them, and the server creates namespaces with them. */
static void choose_settings(struct scene *s, struct engine_settings *settings)
{
    static const uint64_t schedules[] = {
        ENGINE_FSYNC_EACH, ENGINE_FSYNC_EACH, ENGINE_FSYNC_NONE, 1, 5, 50, 200};
    struct options *options = &s->config.options;

    settings->fsync_ms = schedules[scene_below(s, sizeof schedules / sizeof schedules[0])];
    settings->consistency = scene_chance(s, 60) ? 0 : between(s, 1, 40);
    if (s->taste.retention) {
        settings->retention.kind = scene_below(s, 4);
        settings->retention.age_ms = between(s, 1, 20000);
        settings->retention.bytes = scene_below(s, 8) << 16;
    }
    if (s->taste.quota) {
        settings->quota_bytes = between(s, 2, 12) * s->engine_options.block_size;
        settings->quota_policy = scene_below(s, 3);
        s->taste.retention =
            s->taste.retention || settings->quota_policy == ENGINE_QUOTA_DROP_OLDEST;
    }
    options->quota_size = settings->quota_bytes;
    options->quota_policy = settings->quota_policy;
    options->fsync = settings->fsync_ms;
    options->consistency = settings->consistency;
    options->retention = settings->retention.kind;
    options->retention_age = settings->retention.age_ms;
    options->retention_size = settings->retention.bytes;
}

void scene_choose(struct scene *s)
{
    struct engine_options *options = &s->engine_options;

    s->kind = choose_kind(s);
    choose_taste(s);
    choose_server(s);
    engine_options_default(options);
    options->random = random_word;
    options->random_arg = &s->engine_random;
    options->block_size = 4096u * (uint32_t)between(s, 8, s->taste.fills_blocks ? 12 : 32);
    options->blocks_per_segment = (uint32_t)between(s, 1, s->taste.fills_blocks ? 2 : 6);
    options->offset_start = scene_chance(s, 70) ? 0 : (UINT64_C(1) << 32) - scene_below(s, 300);
    options->topics_max = 64;
    options->cursors_max = 8;
    choose_settings(s, &options->settings);
    s->wall_offset = INT64_C(1700000000000000);
    s->lives = s->limits.one_life ? 1 : 2 + (unsigned)scene_below(s, 3);
    s->requests_goal = 0;
    sim_disk_set_policy(s->disk, (enum sim_policy)scene_below(s, SIM_POLICY_COUNT));
}

/* What an operator may change between two starts. */
void scene_choose_life(struct scene *s)
{
    struct engine_options *options = &s->engine_options;
    uint32_t op_us;

    /* Not smaller: the engine holds producers back where a file does not admit 64 KiB. */
    options->journal_file_min = 4096u * (uint32_t)between(s, 24, 48);
    options->journal_file_max = options->journal_file_min * (uint32_t)between(s, 1, 4);
    s->taste.tiny_journal = scene_chance(s, 15);
    options->journal_size_max =
        s->taste.tiny_journal ? 8ull * options->journal_file_min : 64ull << 20;
    options->manifest_journal_bytes = UINT64_C(1) << between(s, 12, 20);
    options->manifest_direct_bytes = UINT64_C(1) << between(s, 14, 22);
    options->manifest_idle_us = scene_chance(s, 50) ? 30000000 : between(s, 1000, 500000);
    options->unsynced_bytes_max = UINT64_C(1) << between(s, 12, 26);
    options->ring_size = options->journal_file_min * 4u * (uint32_t)between(s, 1, 4);
    options->direct_threshold = (uint32_t)between(s, 256, scene_chance(s, 40) ? 4096 : 65536);
    options->direct_threshold_each = (uint32_t)between(s, 256, scene_chance(s, 40) ? 4096 : 131072);
    options->tail_apply_bytes =
        (uint32_t)between(s, 256, scene_chance(s, 50) ? 2048 : options->ring_size / 8u);
    options->entry_size_max = scene_chance(s, 70) ? 8u << 20 : (uint32_t)between(s, 100, 9000);
    options->batch_size_max = scene_chance(s, 70) ? 8u << 20 : (uint32_t)between(s, 4096, 60000);
    options->waiting_bytes_max =
        scene_chance(s, 80) ? 256u << 20 : UINT64_C(1) << between(s, 12, 18);
    options->read_bytes_max = s->config.options.read_size_max;
    options->range_min = (uint32_t)between(s, 1, scene_chance(s, 60) ? 512 : 8192);
    options->inline_sync = scene_chance(s, 50);
    options->quota_wait_us = between(s, 1000, 3000000);
    sim_disk_set_cold(s->disk, scene_chance(s, 50) ? 10 : (unsigned)scene_below(s, 101));
    sim_disk_set_pace(s->disk, (unsigned)between(s, 5, 100));
    op_us = (uint32_t)between(s, 1, 60);
    sim_disk_set_latency(s->disk, op_us, (uint32_t)between(s, 10, 12000));
}

static void arm(struct scene *s, unsigned kinds, uint64_t nth_max, int os_error,
                enum sim_effect harmless, enum sim_effect harmful)
{
    const uint64_t nth = 1 + scene_below(s, nth_max);
    const bool again = scene_chance(s, 40);
    const enum sim_effect effect = scene_chance(s, 50) ? harmless : harmful;

    sim_disk_fail(s->disk, kinds, nth, again, os_error, effect);
}

void scene_arm_faults(struct scene *s)
{
    static const int errors[] = {EIO, ENOSPC, EROFS, ENOMEM, EMFILE};
    static const unsigned kinds[] = {SIM_BIT(SIM_WRITE),    SIM_BIT(SIM_CREATE),
                                     SIM_BIT(SIM_ALLOCATE), SIM_BIT(SIM_SYNC_DIR),
                                     SIM_BIT(SIM_RENAME),   SIM_CHANGES & ~SIM_BIT(SIM_SYNC)};
    const unsigned kind = kinds[scene_below(s, 6)];
    const int os_error = errors[scene_below(s, 5)];

    switch (s->kind) {
    case SCENE_SYNC_FAULT:
        arm(s, SIM_BIT(SIM_SYNC), 60, EIO, SIM_LOSE, SIM_FAIL_PARTLY);
        break;
    case SCENE_WRITE_FAULT:
        arm(s, kind, UINT64_C(1) << scene_below(s, 9), os_error, SIM_FAIL, SIM_FAIL_PARTLY);
        break;
    case SCENE_NO_SPACE:
        s->full = true;
        sim_disk_set_capacity(s->disk, sim_disk_used(s->disk) + scene_below(s, 600u << 10));
        break;
    case SCENE_PLAIN:
    case SCENE_KIND_COUNT:
        break;
    }
}

void scene_print_options(const struct scene *s)
{
    const struct options *o = &s->config.options;
    const struct engine_options *e = &s->engine_options;

    fprintf(stderr,
            "scene: kind %s, lives %u, clients %u, topics %u, depth %u; fsync %lld ms, consistency "
            "%llu\nserver: connections %llu, requests %llu (%llu bytes), output %llu, total %llu, "
            "timeouts hello %llu frame %llu output %llu idle %llu stop %llu\nengine: block %u x "
            "%u, journal file %u..%u, unsynced %llu, waiting %llu, ring %u, entry %u, batch %u, "
            "read %llu\n",
            scene_kind_name(s->kind), s->lives, s->taste.clients, s->taste.topics,
            s->taste.depth_max, (long long)e->settings.fsync_ms,
            (unsigned long long)e->settings.consistency, (unsigned long long)o->connections_max,
            (unsigned long long)o->requests_max, (unsigned long long)o->request_bytes_max,
            (unsigned long long)o->output_bytes_max, (unsigned long long)o->total_bytes_max,
            (unsigned long long)o->hello_timeout, (unsigned long long)o->frame_timeout,
            (unsigned long long)o->output_timeout, (unsigned long long)o->idle_timeout,
            (unsigned long long)o->stop_timeout, e->block_size, e->blocks_per_segment,
            e->journal_file_min, e->journal_file_max, (unsigned long long)e->unsynced_bytes_max,
            (unsigned long long)e->waiting_bytes_max, e->ring_size, e->entry_size_max,
            e->batch_size_max, (unsigned long long)e->read_bytes_max);
}
