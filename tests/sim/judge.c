#include "tests/sim/judge.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "proto/batch.h"
#include "tests/sim/oracle.h"

static const char *const STEP_NAMES[] = {"batch", "trim", "topic create", "topic delete",
                                         "topic set", "cursor", "settings"};

/* ---- what was found of one history ---- */

typedef bool match_fn(const struct step *step, const void *seen);

static bool same_rule(const struct engine_retention_rule *a, const struct engine_retention_rule *b)
{
    return a->kind == b->kind && a->age_ms == b->age_ms && a->bytes == b->bytes;
}

static bool rule_matches(const struct step *step, const void *seen)
{
    return same_rule(&step->rule, seen);
}

static bool first_matches(const struct step *step, const void *seen)
{
    return step->first == *(const uint64_t *)seen;
}

static bool settings_match(const struct step *step, const void *seen)
{
    const struct engine_settings *a = &step->settings;
    const struct engine_settings *b = seen;

    return same_rule(&a->retention, &b->retention) && a->fsync_ms == b->fsync_ms &&
           a->consistency == b->consistency && a->quota_bytes == b->quota_bytes &&
           a->quota_topics == b->quota_topics && a->quota_cursors == b->quota_cursors;
}

static bool cursor_matches(const struct step *step, const void *seen)
{
    const struct observed_cursor *cursor = seen;

    return cursor == NULL ? !step->exists
                          : step->exists && step->offset == cursor->offset &&
                                step->epoch == cursor->epoch;
}

/* The state found is that after one of the steps: those up to the first such are kept, those
 * behind the last such are lost. */
static void judge_history(struct world *w, const struct history *history, match_fn *matches,
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
        world_fail(w, "what is found is a state there was", "%s, last of %u states by operation %llu",
                   what, history->count, (unsigned long long)history_last(history)->number);
    }
    for (i = 1; i < history->count; i++) {
        history->steps[i]->verdict = i <= first ? VERDICT_KEPT
                                     : i > last ? VERDICT_LOST
                                                : VERDICT_UNKNOWN;
    }
}

/* ---- topics ---- */

static const struct observed_topic *find_topic(const struct observed_namespace *seen, uint64_t id)
{
    uint32_t i;

    for (i = 0; i < seen->topic_count; i++) {
        if (seen->topics[i].info.id == id) {
            return &seen->topics[i];
        }
    }
    return NULL;
}

static const struct observed_cursor *find_cursor(const struct observed_topic *seen,
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
        const bool must = w->ending == END_POWER
                              ? step->tick < ns->durable_tick
                              : step->acked || step->tick < ns->written_tick;
        const bool old = w->ending != END_POWER && step->mono_us + 1000000u <= w->good_poll_us;

        if (!step->loose || step->epoch != seen->epoch || seen->offset >= step->offset) {
            continue;
        }
        if ((must && step->offset - seen->offset >= every) || old || w->ending == END_CLEAN) {
            world_fail(w, "at-least-once forgets no more than it says",
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
        const struct observed_cursor *found = find_cursor(seen, cursor);

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
static struct step *batch_of(const struct model_topic *topic, const struct observed_batch *batch)
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
        struct step *step = batch_of(topic, batch);

        if (step == NULL) {
            world_fail(w, "nothing is read that was not appended", "topic %llu [%llu, %llu)",
                       (unsigned long long)topic->id, (unsigned long long)batch->first,
                       (unsigned long long)batch->end);
        }
        if (batch->from != (first > batch->first ? first : batch->first) ||
            batch->to != batch->end) {
            world_fail(w, "a batch is whole", "topic %llu [%llu, %llu): [%llu, %llu) read",
                       (unsigned long long)topic->id, (unsigned long long)batch->first,
                       (unsigned long long)batch->end, (unsigned long long)batch->from,
                       (unsigned long long)batch->to);
        }
        if (step->time_us != batch->time_us) {
            world_fail(w, "an entry's time is when it was stored", "topic %llu at %llu: %llu, was %llu",
                       (unsigned long long)topic->id, (unsigned long long)batch->first,
                       (unsigned long long)batch->time_us, (unsigned long long)step->time_us);
        }
        step->verdict = VERDICT_KEPT;
    }
}

static void judge_missing(struct world *w, struct model_topic *topic)
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

static void judge_topic(struct world *w, struct model_topic *topic, const struct observed_topic *seen)
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
        world_fail(w, "a topic keeps its name and age", "topic %llu", (unsigned long long)topic->id);
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
        world_fail(w, "the end is behind the last entry", "topic %llu", (unsigned long long)topic->id);
    }
    if (seen->info.durable_end != seen->info.end) {
        world_fail(w, "what is recovered is durable before it is served", "topic %llu: %llu of %llu",
                   (unsigned long long)topic->id, (unsigned long long)seen->info.durable_end,
                   (unsigned long long)seen->info.end);
    }
}

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
                  model_is_durable(ns, step) ? ", durable" : model_is_written(ns, step) ? ", written" : "",
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
            world_fail(w, "what was promised survives", "namespace %s: %s of operation %llu (tick %llu, "
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
            world_fail(w, "what is lost is a suffix of the history",
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
        const struct observed_cursor *found = find_cursor(seen, cursor);
        struct step *base = world_base_step(w, STEP_CURSOR, topic);

        base->exists = found != NULL;
        base->offset = found == NULL ? 0 : found->offset;
        base->epoch = found == NULL ? 0 : found->epoch;
        cursor->busy = false;
        cursor->states.count = 0;
        history_push(&cursor->states, base);
    }
}

static void settle_topic(struct world *w, struct model_topic *topic, const struct observed_topic *seen)
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
        const struct observed_topic *found = find_topic(seen, topic->id);

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

static const struct observed_namespace *find_namespace(const struct observed *seen, const char *name)
{
    uint32_t i;

    for (i = 0; i < seen->count; i++) {
        if (strcmp(seen->namespaces[i].name, name) == 0) {
            return &seen->namespaces[i];
        }
    }
    return NULL;
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
        const struct observed_topic *found = find_topic(seen, topic->id);

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
                if (topic == NULL || batch_of(topic, &found->batches[b]) == NULL) {
                    world_fail(w, "no wrong byte is read, whatever the disk did",
                               "topic %llu at %llu", (unsigned long long)found->info.id,
                               (unsigned long long)found->batches[b].first);
                }
            }
        }
        w->report->refused += seen->namespaces[n].state == ENGINE_REFUSED;
    }
}
