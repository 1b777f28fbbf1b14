/* Judging one topic: what of its histories was found. */
#include "tests/sim/judge.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "proto/batch.h"
#include "tests/sim/oracle.h"

/* ---- what was found of one history ---- */

bool judge_same_rule(const struct engine_retention_rule *a, const struct engine_retention_rule *b)
{
    return a->kind == b->kind && a->age_ms == b->age_ms && a->bytes == b->bytes;
}

static bool rule_matches(const struct step *step, const void *seen)
{
    return judge_same_rule(&step->rule, seen);
}

static bool first_matches(const struct step *step, const void *seen)
{
    return step->first == *(const uint64_t *)seen;
}

static bool cursor_matches(const struct step *step, const void *seen)
{
    const struct observed_cursor *cursor = seen;

    return cursor == NULL
               ? !step->exists
               : step->exists && step->offset == cursor->offset && step->epoch == cursor->epoch;
}

/* The state found is that after one of the steps: those up to the first such are kept, those
 * behind the last such are lost. */
void judge_history(struct world *w, const struct history *history, match_fn *matches,
                   const void *seen, const char *what)
{
    uint32_t first = UINT32_MAX;
    uint32_t last = 0;
    uint32_t i;

    for (i = 0; i < history->count; i++) {
        if (matches(history->steps[i], seen)) {
            first = first == UINT32_MAX ? i : first;
            last = i;
        }
    }
    if (first == UINT32_MAX) {
        world_fail(w, "what is found is a state there was",
                   "%s of topic %llu, last of %u states by operation %llu", what,
                   history->steps[0]->topic == NULL
                       ? 0ull
                       : (unsigned long long)history->steps[0]->topic->id,
                   history->count, (unsigned long long)history_last(history)->number);
    }
    for (i = 1; i < history->count; i++) {
        history->steps[i]->verdict = i <= first ? VERDICT_KEPT
                                     : i > last ? VERDICT_LOST
                                                : VERDICT_UNKNOWN;
    }
}

/* ---- topics ---- */

const struct observed_topic *judge_find_topic(const struct observed_namespace *seen, uint64_t id)
{
    uint32_t i;

    for (i = 0; i < seen->topic_count; i++) {
        if (seen->topics[i].info.id == id) {
            return &seen->topics[i];
        }
    }
    return NULL;
}

const struct observed_cursor *judge_find_cursor(const struct observed_topic *seen,
                                                const struct model_cursor *cursor)
{
    uint32_t i;

    for (i = 0; i < seen->cursor_count; i++) {
        if (seen->cursors[i].name_size == cursor->name_size &&
            memcmp(seen->cursors[i].name, cursor->name, cursor->name_size) == 0) {
            return &seen->cursors[i];
        }
    }
    return NULL;
}

/* At-least-once: no more may be forgotten than the contract says. */
static void check_bound(struct world *w, const struct model_topic *topic,
                        const struct model_cursor *cursor, const struct observed_cursor *seen)
{
    const struct model_namespace *ns = topic->ns;
    const uint64_t every = model_settings(ns)->consistency;
    uint32_t i;

    if (ns->settings.count > 1 || every == 0 || w->taste.small_journal) {
        return;
    }
    for (i = cursor->states.count; i > 0 && cursor->states.steps[i - 1]->exists; i--) {
        const struct step *step = cursor->states.steps[i - 1];
        const bool must = w->ending == END_POWER ? step->tick < ns->durable_tick
                                                 : step->acked || step->tick < ns->written_tick;
        const bool old = w->ending != END_POWER && step->mono_us + 1000000u <= w->good_poll_us;

        if (!step->loose || step->epoch != seen->epoch || seen->offset >= step->offset) {
            continue;
        }
        if ((must && step->offset - seen->offset >= every) || old || w->ending == END_CLEAN) {
            world_fail(
                w, "at-least-once forgets no more than it says",
                "topic %llu, cursor \"%.*s\": at %llu, was at %llu by operation %llu, every %llu",
                (unsigned long long)topic->id, (int)cursor->name_size, cursor->name,
                (unsigned long long)seen->offset, (unsigned long long)step->offset,
                (unsigned long long)step->number, (unsigned long long)every);
        }
    }
}

static void judge_cursors(struct world *w, struct model_topic *topic,
                          const struct observed_topic *seen)
{
    struct model_cursor *cursor;
    uint32_t known = 0;

    for (cursor = topic->cursors; cursor != NULL; cursor = cursor->next) {
        const struct observed_cursor *found = judge_find_cursor(seen, cursor);

        judge_history(w, &cursor->states, cursor_matches, found, "a cursor");
        if (found != NULL) {
            known++;
            check_bound(w, topic, cursor, found);
            if (found->offset > seen->info.end) {
                world_fail(w, "no cursor is beyond the log", "%llu, end %llu",
                           (unsigned long long)found->offset, (unsigned long long)seen->info.end);
            }
        }
    }
    if (known != seen->cursor_count) {
        world_fail(w, "no cursor is invented", "topic %llu", (unsigned long long)topic->id);
    }
}

/* The bytes found are those of a step; NULL: of none. */
struct step *judge_batch_of(const struct model_topic *topic, const struct observed_batch *batch)
{
    const uint32_t at = model_batch_at(topic, batch->first);
    struct step *step = at == topic->batches.count ? NULL : topic->batches.steps[at];

    if (step == NULL || step->first != batch->first || step->end != batch->end ||
        step->size != batch->size ||
        memcmp(step->bytes + BATCH_HEADER_SIZE, batch->bytes + BATCH_HEADER_SIZE,
               step->size - BATCH_HEADER_SIZE) != 0) {
        return NULL;
    }
    return step;
}

/* A sector that cannot be read may show in the middle of a batch, when the rest was still in memory. */
static bool damaged_at(const struct observed_topic *seen, uint64_t offset)
{
    uint32_t i;

    for (i = 0; i < seen->damaged_count; i++) {
        if (seen->damaged[i].from <= offset && offset < seen->damaged[i].to) {
            return true;
        }
    }
    return false;
}

static void judge_batches(struct world *w, struct model_topic *topic,
                          const struct observed_topic *seen)
{
    const uint64_t first = seen->info.first;
    uint32_t i;

    for (i = 0; i < topic->batches.count; i++) {
        struct step *step = topic->batches.steps[i];

        step->verdict = step->end <= first ? VERDICT_UNKNOWN : VERDICT_LOST;
    }
    for (i = 0; i < seen->batch_count; i++) {
        const struct observed_batch *batch = &seen->batches[i];
        struct step *step = judge_batch_of(topic, batch);

        if (step == NULL) {
            world_fail(w, "nothing is read that was not appended", "topic %llu [%llu, %llu)",
                       (unsigned long long)topic->id, (unsigned long long)batch->first,
                       (unsigned long long)batch->end);
        }
        if (batch->from != (first > batch->first ? first : batch->first) ||
            (batch->to != batch->end && !damaged_at(seen, batch->to))) {
            world_fail(w, "a batch is whole", "topic %llu [%llu, %llu): [%llu, %llu) read",
                       (unsigned long long)topic->id, (unsigned long long)batch->first,
                       (unsigned long long)batch->end, (unsigned long long)batch->from,
                       (unsigned long long)batch->to);
        }
        if (step->time_us != batch->time_us) {
            world_fail(w, "an entry's time is when it was stored",
                       "topic %llu at %llu: %llu, was %llu", (unsigned long long)topic->id,
                       (unsigned long long)batch->first, (unsigned long long)batch->time_us,
                       (unsigned long long)step->time_us);
        }
        step->verdict = VERDICT_KEPT;
    }
}

void judge_missing(struct world *w, struct model_topic *topic)
{
    if (topic->create == NULL && topic->delete == NULL) {
        world_fail(w, "a topic stays until it is deleted", "topic %llu is gone",
                   (unsigned long long)topic->id);
    }
    if (topic->delete == NULL) {
        topic->create->verdict = VERDICT_LOST;
    } else if (topic->create == NULL) {
        topic->delete->verdict = VERDICT_KEPT;
    }
}

/* Whether an unreadable batch is covered by a range the store reported. */
static bool reported(const struct observed_topic *seen, const struct step *step)
{
    const uint64_t from = step->first > seen->info.first ? step->first : seen->info.first;
    uint32_t i;

    for (i = 0; i < seen->damaged_count; i++) {
        if (seen->damaged[i].from <= from && step->end <= seen->damaged[i].to) {
            return true;
        }
    }
    return false;
}

void judge_topic(struct world *w, struct model_topic *topic, const struct observed_topic *seen)
{
    uint32_t i;

    if (seen->damaged_count > 0 && w->kind != KIND_ROT_BLOCKS) {
        world_fail(w, "a disk without damage has none", "topic %llu, [%llu, %llu)",
                   (unsigned long long)topic->id, (unsigned long long)seen->damaged[0].from,
                   (unsigned long long)seen->damaged[0].to);
    }
    w->report->corrupt += seen->damaged_count;

    if (topic->create != NULL) {
        topic->create->verdict = VERDICT_KEPT;
    }
    if (topic->delete != NULL) {
        topic->delete->verdict = VERDICT_LOST;
    }
    if (seen->info.name_size != topic->name_size ||
        memcmp(seen->name, topic->name, topic->name_size) != 0 ||
        seen->info.created_us != topic->created_us) {
        world_fail(w, "a topic keeps its name and age", "topic %llu",
                   (unsigned long long)topic->id);
    }
    judge_history(w, &topic->firsts, first_matches, &seen->info.first, "a first offset");
    judge_history(w, &topic->rules, rule_matches, &seen->info.retention, "a retention rule");
    judge_cursors(w, topic, seen);
    judge_batches(w, topic, seen);
    for (i = 0; i < topic->batches.count; i++) {
        struct step *step = topic->batches.steps[i];

        if (step->verdict == VERDICT_LOST && reported(seen, step)) {
            step->verdict = VERDICT_UNKNOWN;
        }
    }
    if (topic->batches.count > 0 && topic->batches.steps[0]->verdict == VERDICT_KEPT &&
        seen->info.end < seen->batches[seen->batch_count - 1].end) {
        world_fail(w, "the end is behind the last entry", "topic %llu",
                   (unsigned long long)topic->id);
    }
    if (seen->info.durable_end != seen->info.end) {
        world_fail(w, "what is recovered is durable before it is served",
                   "topic %llu: %llu of %llu", (unsigned long long)topic->id,
                   (unsigned long long)seen->info.durable_end, (unsigned long long)seen->info.end);
    }
}
