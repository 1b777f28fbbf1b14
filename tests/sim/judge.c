#include "tests/sim/judge.h"

#include <stdlib.h>
#include <string.h>

#include "proto/batch.h"
#include "tests/sim/oracle.h"

static const char *const STEP_NAMES[] = {"batch",     "trim",   "topic create", "topic delete",
                                         "topic set", "cursor", "settings"};

/* ---- one cut through the history ---- */

static bool must_survive(const struct world *w, const struct model_namespace *ns,
                         const struct step *step)
{
    if (w->ending == END_CLEAN) {
        return true;
    }
    if (step->loose) {
        return false;
    }
    return w->ending == END_PROCESS ? model_is_written(ns, step) : model_is_durable(ns, step);
}

static void log_verdicts(struct world *w, const struct model_namespace *ns)
{
    static const char *const verdicts[] = {"unknown", "kept", "lost"};
    uint32_t i;

    for (i = 0; i < ns->recent.count; i++) {
        const struct step *step = ns->recent.steps[i];

        world_log(w, "verdict: %s of op %llu, tick %llu: %s%s%s%s", STEP_NAMES[step->kind],
                  (unsigned long long)step->number, (unsigned long long)step->tick,
                  verdicts[step->verdict], step->acked ? ", acked" : "",
                  model_is_durable(ns, step)   ? ", durable"
                  : model_is_written(ns, step) ? ", written"
                                               : "",
                  step->loose ? ", loose" : "");
    }
}

static void check_cut(struct world *w, struct model_namespace *ns)
{
    const struct step *last_kept = NULL;
    uint32_t i;

    if (w->limits.verbose) {
        log_verdicts(w, ns);
    }

    for (i = 0; i < ns->recent.count; i++) {
        const struct step *step = ns->recent.steps[i];

        if (step->verdict == VERDICT_KEPT && (last_kept == NULL || step->tick > last_kept->tick)) {
            last_kept = step;
        }
        w->report->kept += step->verdict == VERDICT_KEPT;
        w->report->lost += step->verdict == VERDICT_LOST;
    }
    for (i = 0; i < ns->recent.count; i++) {
        const struct step *step = ns->recent.steps[i];

        if (step->verdict != VERDICT_LOST) {
            continue;
        }
        if (must_survive(w, ns, step)) {
            world_fail(w, "what was promised survives",
                       "namespace %s: %s of operation %llu (tick %llu, "
                       "topic %llu, [%llu, %llu)) is lost%s; ending %d, durable before tick %llu, "
                       "written before %llu",
                       ns->name, STEP_NAMES[step->kind], (unsigned long long)step->number,
                       (unsigned long long)step->tick,
                       step->topic == NULL ? 0ull : (unsigned long long)step->topic->id,
                       (unsigned long long)step->first, (unsigned long long)step->end,
                       step->acked ? ", acked" : "", w->ending,
                       (unsigned long long)ns->durable_tick, (unsigned long long)ns->written_tick);
        }
        if (!step->loose && last_kept != NULL && step->tick < last_kept->tick) {
            world_fail(
                w, "what is lost is a suffix of the history",
                "namespace %s: %s of operation %llu (tick %llu) is lost, %s of operation %llu "
                "(tick %llu) is kept",
                ns->name, STEP_NAMES[step->kind], (unsigned long long)step->number,
                (unsigned long long)step->tick, STEP_NAMES[last_kept->kind],
                (unsigned long long)last_kept->number, (unsigned long long)last_kept->tick);
        }
    }
}

/* ---- settling ---- */

static void settle_cursors(struct world *w, struct model_topic *topic,
                           const struct observed_topic *seen)
{
    struct model_cursor *cursor;

    for (cursor = topic->cursors; cursor != NULL; cursor = cursor->next) {
        const struct observed_cursor *found = judge_find_cursor(seen, cursor);
        struct step *base = world_base_step(w, STEP_CURSOR, topic);

        base->exists = found != NULL;
        base->offset = found == NULL ? 0 : found->offset;
        base->epoch = found == NULL ? 0 : found->epoch;
        cursor->busy = false;
        cursor->states.count = 0;
        history_push(&cursor->states, base);
    }
}

static void settle_topic(struct world *w, struct model_topic *topic,
                         const struct observed_topic *seen)
{
    struct step *first = world_base_step(w, STEP_TRIM, topic);
    struct step *rule = world_base_step(w, STEP_RULE, topic);
    uint32_t kept = 0;
    uint32_t i;

    for (i = 0; i < topic->batches.count; i++) {
        struct step *step = topic->batches.steps[i];

        if (step->verdict != VERDICT_LOST) {
            step->durable = true;
            topic->batches.steps[kept++] = step;
        }
    }
    topic->batches.count = kept;
    topic->last_time_us = kept == 0 ? 0 : history_last(&topic->batches)->time_us;
    first->first = seen->info.first;
    rule->rule = seen->info.retention;
    topic->firsts.count = 0;
    topic->rules.count = 0;
    history_push(&topic->firsts, first);
    history_push(&topic->rules, rule);
    settle_cursors(w, topic, seen);
    topic->create = NULL;
    topic->delete = NULL;
    topic->settled_end = seen->info.end;
    topic->told_durable = seen->info.durable_end;
    topic->promised_end = 0;
    topic->shown_low = 0;
    topic->shown_high = 0;
}

static void settle_namespace(struct world *w, struct model_namespace *ns,
                             const struct observed_namespace *seen)
{
    struct model_topic **link = &ns->topics;
    struct step *base = world_base_step(w, STEP_SETTINGS, NULL);

    while (*link != NULL) {
        struct model_topic *topic = *link;
        const struct observed_topic *found = judge_find_topic(seen, topic->id);

        if (found == NULL) {
            *link = topic->next;
            model_topic_free(topic);
        } else {
            settle_topic(w, topic, found);
            link = &topic->next;
        }
    }
    base->settings = seen->settings;
    ns->settings.count = 0;
    history_push(&ns->settings, base);
    ns->recent.count = 0;
    ns->durable_tick = 0;
    ns->written_tick = 0;
    ns->presence = PRESENT;
    ns->batch_size_max = seen->batch_size_max;
    ns->entry_size_max = seen->entry_size_max;
    memcpy(ns->store_id, seen->store_id, sizeof ns->store_id);
    ns->quota = seen->settings.quota_bytes != 0 || seen->settings.quota_topics != 0 ||
                seen->settings.quota_cursors != 0;
}

/* ---- all of it ---- */

static const struct observed_namespace *find_namespace(const struct observed *seen,
                                                       const char *name)
{
    uint32_t i;

    for (i = 0; i < seen->count; i++) {
        if (strcmp(seen->namespaces[i].name, name) == 0) {
            return &seen->namespaces[i];
        }
    }
    return NULL;
}

static bool settings_match(const struct step *step, const void *seen)
{
    const struct engine_settings *a = &step->settings;
    const struct engine_settings *b = seen;

    return judge_same_rule(&a->retention, &b->retention) && a->fsync_ms == b->fsync_ms &&
           a->consistency == b->consistency && a->quota_bytes == b->quota_bytes &&
           a->quota_topics == b->quota_topics && a->quota_cursors == b->quota_cursors &&
           a->quota_policy == b->quota_policy;
}

static void judge_namespace(struct world *w, struct model_namespace *ns,
                            const struct observed_namespace *seen)
{
    struct model_topic *topic;
    uint32_t known = 0;
    uint32_t i;

    if (seen->state != ENGINE_SERVING) {
        world_fail(w, "no crash makes a namespace unusable", "%s: %s", ns->name, seen->reason);
    }
    if (ns->presence == PRESENT && memcmp(ns->store_id, seen->store_id, sizeof ns->store_id) != 0 &&
        ns->topics != NULL) {
        world_fail(w, "a store keeps its id", "%s", ns->name);
    }
    for (i = 0; i < ns->recent.count; i++) {
        ns->recent.steps[i]->verdict = VERDICT_UNKNOWN;
    }
    judge_history(w, &ns->settings, settings_match, &seen->settings, "settings");
    for (topic = ns->topics; topic != NULL; topic = topic->next) {
        const struct observed_topic *found = judge_find_topic(seen, topic->id);

        if (found == NULL) {
            judge_missing(w, topic);
        } else {
            judge_topic(w, topic, found);
            known++;
        }
    }
    if (known != seen->topic_count) {
        world_fail(w, "no topic is invented", "%s: %u known, %u found", ns->name, known,
                   seen->topic_count);
    }
    check_cut(w, ns);
}

void judge(struct world *w, const struct observed *seen)
{
    unsigned i;

    if (seen->problem[0] != '\0') {
        world_fail(w, "a recovered store can be read", "%s", seen->problem);
    }
    for (i = 0; i < WORLD_NAMESPACES; i++) {
        struct model_namespace *ns = &w->namespaces[i];
        const struct observed_namespace *found = find_namespace(seen, ns->name);

        if (found == NULL) {
            if (ns->presence == PRESENT) {
                world_fail(w, "a namespace stays until it is deleted", "%s", ns->name);
            }
            ns->presence = ABSENT;
            model_namespace_clear(ns);
            continue;
        }
        if (ns->presence == ABSENT && i != 0) {
            world_fail(w, "no namespace is invented", "%s", ns->name);
        }
        if (ns->presence == ABSENT) {
            oracle_namespace_created(w, ns, &w->options.settings);
        }
        judge_namespace(w, ns, found);
        settle_namespace(w, ns, found);
    }
}

static bool is_probe(const struct observed_batch *batch)
{
    const size_t size = BATCH_HEADER_SIZE + 4u + DAMAGE_PROBE_SIZE;

    return batch->size == size &&
           memcmp(batch->bytes + size - DAMAGE_PROBE_SIZE, damage_probe, DAMAGE_PROBE_SIZE) == 0;
}

/* Whether somebody had appended it once, and a crash had taken it back. */
static bool was_appended(const struct world *w, uint64_t topic_id,
                         const struct observed_batch *batch)
{
    const struct step *step;

    for (step = w->steps; step != NULL; step = step->next_made) {
        if (step->kind == STEP_BATCH && step->topic != NULL && step->topic->id == topic_id &&
            step->first == batch->first && step->size == batch->size &&
            memcmp(step->bytes + BATCH_HEADER_SIZE, batch->bytes + BATCH_HEADER_SIZE,
                   step->size - BATCH_HEADER_SIZE) == 0) {
            return true;
        }
    }
    return false;
}

/* Where a write is missing, because a disk lied or a person accepted that its record is lost, may lie a batch of an
 * earlier life, which nothing promised and nothing invented: such hardware is not covered, and OPERATIONS.md says it of
 * accepted losses. */
static bool excused(const struct world *w, uint64_t topic_id, const struct observed_batch *batch)
{
    const bool missing = w->kind == KIND_LIE || w->options.accept_loss != NULL;

    return is_probe(batch) || (missing && was_appended(w, topic_id, batch));
}

void judge_leniently(struct world *w, const struct observed *seen)
{
    uint32_t n;
    uint32_t t;
    uint32_t b;

    if (seen->problem[0] != '\0') {
        world_fail(w, "what is read checks out, whatever the disk did", "%s", seen->problem);
    }
    for (n = 0; n < seen->count; n++) {
        for (t = 0; t < seen->namespaces[n].topic_count; t++) {
            const struct observed_topic *found = &seen->namespaces[n].topics[t];
            struct model_topic *topic = NULL;
            unsigned i;

            for (i = 0; i < WORLD_NAMESPACES && topic == NULL; i++) {
                if (strcmp(w->namespaces[i].name, seen->namespaces[n].name) == 0) {
                    topic = model_topic_by_id(&w->namespaces[i], found->info.id);
                }
            }
            w->report->corrupt += found->damaged_count;
            for (b = 0; b < found->batch_count; b++) {
                if ((topic == NULL || judge_batch_of(topic, &found->batches[b]) == NULL) &&
                    !excused(w, found->info.id, &found->batches[b])) {
                    world_fail(w, "no wrong byte is read, whatever the disk did",
                               "topic %llu at %llu", (unsigned long long)found->info.id,
                               (unsigned long long)found->batches[b].first);
                }
            }
        }
    }
}
