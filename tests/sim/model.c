#include "tests/sim/model.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"

void history_push(struct history *history, struct step *step)
{
    if (history->count == history->room) {
        history->room = history->room == 0 ? 8 : 2 * history->room;
        history->steps = realloc(history->steps, history->room * sizeof(struct step *));
        CHECK(history->steps != NULL);
    }
    history->steps[history->count++] = step;
}

void history_deinit(struct history *history)
{
    free(history->steps);
    *history = (struct history){0};
}

struct model_topic *model_topic_live(struct model_namespace *ns, const char *name, size_t size)
{
    struct model_topic *topic = ns->topics;

    while (topic != NULL && (topic->delete != NULL || topic->name_size != size ||
                             memcmp(topic->name, name, size) != 0)) {
        topic = topic->next;
    }
    return topic;
}

struct model_topic *model_topic_by_id(struct model_namespace *ns, uint64_t id)
{
    struct model_topic *topic = ns->topics;

    while (topic != NULL && topic->id != id) {
        topic = topic->next;
    }
    return topic;
}

struct model_cursor *model_cursor_find(struct model_topic *topic, const char *name, size_t size)
{
    struct model_cursor *cursor = topic->cursors;

    while (cursor != NULL && (cursor->name_size != size || memcmp(cursor->name, name, size) != 0)) {
        cursor = cursor->next;
    }
    return cursor;
}

const struct step *model_cursor_state(const struct model_cursor *cursor)
{
    const struct step *last = cursor == NULL ? NULL : history_last(&cursor->states);

    return last != NULL && last->exists ? last : NULL;
}

bool model_is_durable(const struct model_namespace *ns, const struct step *step)
{
    if (step->durable || step->tick < ns->durable_tick) {
        return true;
    }
    return step->kind == STEP_BATCH &&
           (step->end <= step->topic->told_durable || step->end <= step->topic->promised_end);
}

bool model_is_written(const struct model_namespace *ns, const struct step *step)
{
    return step->written || step->tick < ns->written_tick || model_is_durable(ns, step);
}

uint64_t model_end_low(const struct model_topic *topic)
{
    const struct model_namespace *ns = topic->ns;
    const bool each = model_settings(ns)->fsync_ms == ENGINE_FSYNC_EACH;
    const uint64_t least =
        topic->shown_low > topic->settled_end ? topic->shown_low : topic->settled_end;
    uint32_t i = topic->batches.count;

    while (i > 0 && topic->batches.steps[i - 1]->end > least) {
        const struct step *step = topic->batches.steps[i - 1];

        if (each ? model_is_durable(ns, step) : model_is_written(ns, step)) {
            return step->end;
        }
        i--;
    }
    return least;
}

uint64_t model_end_high(const struct model_topic *topic)
{
    const uint64_t last = topic->batches.count == 0 ? 0 : history_last(&topic->batches)->end;

    return last > topic->settled_end ? last : topic->settled_end;
}

uint32_t model_batch_at(const struct model_topic *topic, uint64_t offset)
{
    uint32_t low = 0;
    uint32_t high = topic->batches.count;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;

        if (topic->batches.steps[middle]->end <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint64_t model_next_entry(const struct model_topic *topic, uint64_t offset)
{
    const uint32_t at = model_batch_at(topic, offset);
    const struct step *step;

    if (at == topic->batches.count) {
        return UINT64_MAX;
    }
    step = topic->batches.steps[at];
    return step->first > offset ? step->first : offset;
}

uint64_t model_time_position(const struct model_topic *topic, uint64_t first, uint64_t time_us)
{
    uint32_t i;

    for (i = model_batch_at(topic, first); i < topic->batches.count; i++) {
        const struct step *step = topic->batches.steps[i];

        if (step->time_us >= time_us) {
            return step->first > first ? step->first : first;
        }
    }
    return UINT64_MAX;
}

uint64_t model_entries(const struct model_topic *topic, uint64_t from, uint64_t to)
{
    uint64_t entries = 0;
    uint32_t i;

    for (i = model_batch_at(topic, from); i < topic->batches.count; i++) {
        const struct step *step = topic->batches.steps[i];
        const uint64_t a = step->first > from ? step->first : from;
        const uint64_t b = step->end < to ? step->end : to;

        if (step->first >= to) {
            break;
        }
        entries += b - a;
    }
    return entries;
}

void model_promise_before(struct model_namespace *ns, uint64_t tick, bool durable)
{
    if (tick > ns->written_tick) {
        ns->written_tick = tick;
    }
    if (durable && tick > ns->durable_tick) {
        ns->durable_tick = tick;
    }
}

void model_promise(struct model_namespace *ns, struct step *step, bool durable)
{
    step->written = true;
    step->durable = step->durable || durable;
    model_promise_before(ns, step->tick, durable);
}

void model_promise_marked(struct model_namespace *ns)
{
    const struct step *best = NULL;
    struct model_topic *topic;
    uint64_t second = 0;
    uint32_t i;

    for (i = ns->recent.count; i > 0; i--) {
        const struct step *step = ns->recent.steps[i - 1];

        if (step->loose || step->number == 0 || !model_is_durable(ns, step)) {
            continue;
        }
        if (best == NULL) {
            best = step;
        } else if (step->turn != best->turn && step->mark > second) {
            second = step->mark;
        }
    }
    second = best == NULL || second < best->mark ? second : best->mark;
    for (i = 0; i < ns->recent.count; i++) {
        ns->recent.steps[i]->durable = false;
        ns->recent.steps[i]->written = false;
    }
    for (topic = ns->topics; topic != NULL; topic = topic->next) {
        topic->told_durable = 0;
        topic->promised_end = 0;
    }
    ns->durable_tick = second;
    ns->written_tick = second;
}

void model_topic_free(struct model_topic *topic)
{
    while (topic->cursors != NULL) {
        struct model_cursor *cursor = topic->cursors;

        topic->cursors = cursor->next;
        history_deinit(&cursor->states);
        free(cursor);
    }
    history_deinit(&topic->batches);
    history_deinit(&topic->firsts);
    history_deinit(&topic->rules);
    free(topic);
}

void model_namespace_clear(struct model_namespace *ns)
{
    while (ns->topics != NULL) {
        struct model_topic *topic = ns->topics;

        ns->topics = topic->next;
        model_topic_free(topic);
    }
    history_deinit(&ns->settings);
    history_deinit(&ns->recent);
    ns->durable_tick = 0;
    ns->written_tick = 0;
    ns->quota = false;
}
