/* Questions answered from memory: topics, cursors, counters. */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/namespace.h"

/* Entries from an offset on, as far as readers can see any. While there are gaps, those staged and
 * not visible yet may count, too. */
static uint64_t visible_entries(const struct topic *topic, uint64_t offset)
{
    const uint64_t entries = topic_entries_from(topic, offset);
    const uint64_t end = topic_visible_end(topic);
    const uint64_t most = end > offset ? end - offset : 0;

    CHECK(topic->ns != NULL);
    CHECK(end <= topic->next_offset);
    return entries < most ? entries : most;
}

static void fill_info(const struct topic *topic, struct engine_topic_info *info)
{
    CHECK(info != NULL);
    CHECK(!topic->deleted);
    *info = (struct engine_topic_info){
        .id = topic->id,
        .created_us = topic->created_us,
        .first = topic->first,
        .end = topic_visible_end(topic),
        .durable_end = topic->durable_end,
        .entries = visible_entries(topic, topic->first),
        .bytes = (uint64_t)topic->block_count * topic->ns->block_size,
        .last_time_us = topic->block_count == 0 ? 0 : topic->last_time_us,
        .blocks = topic->block_count,
        .cursors = topic->cursor_count,
        .name = topic->name,
        .name_size = topic->name_size,
        .retention = topic->retention};
}

int engine_topic_info(struct namespace *ns, const struct engine_topic_ref *ref,
                      struct engine_topic_info *info, struct error *err)
{
    const struct topic *topic = namespace_topic(ns, ref);

    CHECK(ref != NULL);
    CHECK(info != NULL);
    if (topic == NULL) {
        return error_set(err, TUSK_ENOTFOUND, "no such topic in namespace \"%s\"", ns->name);
    }
    fill_info(topic, info);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct topic *left = *(struct topic *const *)a;
    const struct topic *right = *(struct topic *const *)b;

    CHECK(left != NULL);
    CHECK(right != NULL);
    return name_compare(left->name, left->name_size, right->name, right->name_size);
}

/* Topics in order of names, made when asked for and kept until one comes or goes. */
static bool sort_topics(struct namespace *ns)
{
    struct topic *topic;
    struct topic *next;
    uint32_t count = 0;

    if (ns->sorted_valid) {
        return true;
    }
    if (ns->topic_count > ns->sorted_capacity) {
        struct topic **sorted = realloc(ns->sorted, ns->topic_count * sizeof(struct topic *));

        if (sorted == NULL) {
            return false;
        }
        ns->sorted = sorted;
        ns->sorted_capacity = ns->topic_count;
    }
    HASH_ITER(by_id, ns->topics_by_id, topic, next)
    {
        CHECK(count < ns->sorted_capacity);
        ns->sorted[count++] = topic;
    }
    CHECK(count == ns->topic_count);
    if (count > 0) {
        qsort(ns->sorted, count, sizeof(struct topic *), by_name);
    }
    ns->sorted_valid = true;
    return true;
}

int engine_topic_next(struct namespace *ns, const char *after, size_t size,
                      struct engine_topic_info *info)
{
    uint32_t low = 0;
    uint32_t high = ns->topic_count;

    CHECK(info != NULL);
    CHECK(after != NULL || size == 0);
    if (!sort_topics(ns)) {
        return TUSK_ENOMEM;
    }
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const struct topic *topic = ns->sorted[middle];

        if (size > 0 && name_compare(topic->name, topic->name_size, after, size) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == ns->topic_count) {
        return 0;
    }
    CHECK(low < ns->topic_count);
    fill_info(ns->sorted[low], info);
    return 1;
}

int engine_cursor_next(struct namespace *ns, const struct engine_topic_ref *ref, const char *after,
                       size_t size, struct engine_cursor_info *info, struct error *err)
{
    const struct topic *topic = namespace_topic(ns, ref);
    const struct cursor *cursor;
    uint32_t at;

    CHECK(info != NULL);
    CHECK(after != NULL || size == 0);
    if (topic == NULL) {
        return error_set(err, TUSK_ENOTFOUND, "no such topic in namespace \"%s\"", ns->name);
    }
    at = topic_cursor_after(topic, after, size);
    if (at == topic->cursor_count) {
        return 0;
    }
    CHECK(at < topic->cursor_count);
    cursor = topic->cursors[at];
    *info = (struct engine_cursor_info){.name = cursor->name,
                                        .name_size = cursor->name_size,
                                        .offset = cursor->offset,
                                        .durable_offset = cursor->durable_offset,
                                        .epoch = cursor->epoch,
                                        .lag = visible_entries(topic, cursor->offset)};
    return 1;
}

/* How long the oldest of what is written and not yet durable has been so. */
static uint64_t unsynced_age_us(const struct namespace *ns)
{
    const struct flusher *flusher = &ns->flusher;
    uint64_t since_us;

    CHECK(ns->engine != NULL);
    if (flusher->in_flight && flusher->syncing_bytes > 0) {
        since_us = flusher->syncing_since_us;
    } else if (flusher->unsynced_bytes > 0) {
        since_us = flusher->dirty_since_us;
    } else {
        return 0;
    }
    CHECK(since_us <= ns->now.mono_us);
    return ns->now.mono_us - since_us;
}

const struct histogram *engine_histogram(const struct namespace *ns, enum engine_histogram which)
{
    CHECK(ns != NULL);
    CHECK(which < ENGINE_HISTOGRAMS);
    return &ns->histograms[which];
}

void engine_stats(struct namespace *ns, engine_stat_fn *fn, void *arg)
{
    const struct namespace_counters *counters = &ns->counters;

    CHECK(fn != NULL);
    CHECK(ns != NULL);
    fn(arg, "topics", ns->topic_count);
    fn(arg, "cursors", ns->cursor_count);
    fn(arg, "blocks_used", ns->space.used_count);
    fn(arg, "blocks_free", ns->space.free_count);
    fn(arg, "blocks_freeing", ns->space.freeing_count);
    fn(arg, "blocks_bytes", (uint64_t)ns->space.used_count * ns->block_size);
    fn(arg, "segments", ns->space.count);
    fn(arg, "held", ns->hold.state == HOLD_ON ? 1 : 0);
    fn(arg, "appends", counters->appends);
    fn(arg, "append_entries", counters->append_entries);
    fn(arg, "append_bytes", counters->append_bytes);
    fn(arg, "direct_appends", counters->direct_appends);
    fn(arg, "waiting_appends", ns->waiting_appends);
    fn(arg, "waiting_bytes", ns->waiting_bytes);
    fn(arg, "reads", counters->reads);
    fn(arg, "read_entries", counters->read_entries);
    fn(arg, "read_bytes", counters->read_bytes);
    fn(arg, "range_reads", counters->range_reads);
    fn(arg, "read_waits", counters->read_waits);
    fn(arg, "corrupt_reads", counters->corrupt_reads);
    fn(arg, "checkpoints", counters->checkpoints);
    fn(arg, "journal_flushes", counters->flushes);
    fn(arg, "journal_bytes", counters->flush_bytes);
    fn(arg, "journal_lsn", ns->journal.next_lsn);
    fn(arg, "durable_lsn", ns->flusher.durable);
    fn(arg, "unsynced_bytes", ns->flusher.unsynced_bytes + ns->flusher.syncing_bytes);
    fn(arg, "unsynced_age_us", unsynced_age_us(ns));
    fn(arg, "syncs", ns->flusher.groups);
    fn(arg, "sync_us", ns->flusher.sync_us);
    fn(arg, "tail_applies", counters->applies);
    fn(arg, "tail_apply_bytes", counters->apply_bytes);
    fn(arg, "manifests", ns->manifest.taken);
    fn(arg, "recovered_records", counters->recovered_records);
    fn(arg, "recovered_dropped", counters->recovered_dropped);
    fn(arg, "retention_alarms", counters->retention_alarms);
    fn(arg, "quota_refusals", counters->quota_refusals);
    fn(arg, "quota_dropped_blocks", counters->quota_dropped_blocks);
    fn(arg, "quota_dropped_entries", counters->quota_dropped_entries);
}
