/* Retention: what a topic gives up by rule, in whole blocks.
 *
 * Looked at once a second. A block goes when every entry of it may go: by age, when its newest
 * batch is old enough; by size, when the blocks behind it already hold as much as is to be kept; by
 * consumption, when every durable cursor is past it, and there is at least one. The active block
 * always stays.
 *
 * Age is measured on a clock that never goes back and is not fooled by a jump: server time, held to
 * the monotonic clock when the two disagree by more than an hour; retention by age then pauses, and
 * the alarm counts (Kafka KIP-32's lesson: one wrong clock must not delete a year), until the wall
 * clock comes back, or has kept step with the monotonic one for a day: after a suspend it is right,
 * and a wrong one is noticed in that time. */
#include "core/check.h"
#include "core/namespace.h"

#define CLOCK_JUMP_US 3600000000ull
#define CLOCK_STEADY_US (24u * 3600000000ull)

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* Whether the wall clock, after a jump, has kept step with the monotonic one for long. */
static bool steady(struct namespace *ns)
{
    const uint64_t passed = ns->now.mono_us - ns->jumped_mono_us;

    CHECK(ns->now.mono_us >= ns->jumped_mono_us);
    if (ns->jumped_clock_us == 0 ||
        distance(ns->now.wall_us, ns->jumped_clock_us + passed) > CLOCK_JUMP_US) {
        ns->jumped_clock_us = ns->now.wall_us;
        ns->jumped_mono_us = ns->now.mono_us;
        return false;
    }
    return passed >= CLOCK_STEADY_US;
}

/* The wall clock as far as it can be trusted; *paused when it cannot. */
static uint64_t trusted_clock(struct namespace *ns, bool *paused)
{
    const uint64_t passed = ns->now.mono_us - ns->retention_mono_us;
    const uint64_t expected = ns->retention_clock_us + passed;
    const uint64_t wall = ns->now.wall_us;

    CHECK(paused != NULL);
    CHECK(ns->now.mono_us >= ns->retention_mono_us);
    *paused =
        ns->retention_clock_us != 0 && distance(wall, expected) > CLOCK_JUMP_US && !steady(ns);
    if (!*paused) {
        ns->retention_clock_us = wall;
        ns->retention_mono_us = ns->now.mono_us;
        ns->jumped_clock_us = 0;
        return wall;
    }
    ns->counters.retention_alarms++;
    return expected;
}

/* How many of the topic's first blocks the rule gives up. */
static uint32_t blocks_to_give_up(const struct topic *topic, uint64_t clock_us, bool paused)
{
    const struct engine_retention_rule rule = topic_retention(topic);
    const uint64_t block_size = topic->ns->block_size;
    const uint64_t floor = rule.kind == ENGINE_RETAIN_CONSUMED ? topic_cursor_floor(topic) : 0;
    uint32_t count = 0;

    CHECK(topic->block_count > 0);
    CHECK(!topic->deleted);
    while (count + 1 < topic->block_count) {
        const struct block *block = &topic->blocks[count];
        bool goes = false;

        if (block->end_offset <= topic->first) {
            goes = true; /* Trimmed, but its free record found no room, or went with a crash */
        } else if (rule.kind == ENGINE_RETAIN_CONSUMED) {
            goes = floor != UINT64_MAX && block->end_offset <= floor;
        } else if (rule.kind == ENGINE_RETAIN_AGE) {
            goes = !paused && clock_us > block->last_time_us &&
                   (clock_us - block->last_time_us) / 1000u > rule.age_ms;
        } else if (rule.kind == ENGINE_RETAIN_SIZE) {
            goes = (topic->block_count - count - 1) * block_size >= rule.bytes;
        }
        if (!goes || block->end_offset > topic->durable_end) {
            break;
        }
        count++;
    }
    CHECK(count < topic->block_count);
    return count;
}

void retention_work(struct namespace *ns)
{
    struct topic *topic;
    struct topic *next;
    uint64_t clock_us;
    bool paused;

    CHECK(ns->state == ENGINE_SERVING);
    CHECK(!ns->stopping);
    if (ns->now.mono_us < ns->retention_us) {
        return;
    }
    ns->retention_us = ns->now.mono_us + NAMESPACE_RETENTION_US;
    clock_us = trusted_clock(ns, &paused);
    HASH_ITER(by_id, ns->topics_by_id, topic, next)
    {
        const uint32_t count =
            topic->block_count < 2 ? 0 : blocks_to_give_up(topic, clock_us, paused);

        if (count > 0 && journal_admits(&ns->journal, 1024u, JOURNAL_RESERVE_FREES) == 1) {
            /* Not to where the next block begins: a cursor may stand in the gap between. */
            CHECK(count < topic->block_count);
            const uint64_t end = topic->blocks[count - 1].end_offset;

            (void)topic_trim_to(topic, end > topic->first ? end : topic->first);
        }
    }
}
