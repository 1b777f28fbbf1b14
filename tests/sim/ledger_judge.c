/* A start has found this; clients were told that. What must be there is; what is not may be lost; and from here
 * on, what was found is what everybody knows. */
#include <string.h>

#include "core/check.h"
#include "proto/batch.h"
#include "tests/sim/observe.h"
#include "tests/sim/scene.h"

/* ---- cursors ---- */

static const struct observed_cursor *find_cursor(const struct observed_topic *found, unsigned index)
{
    uint32_t i;

    for (i = 0; i < found->cursor_count; i++) {
        if (ledger_cursor_index(found->cursors[i].name, found->cursors[i].name_size) == index) {
            return &found->cursors[i];
        }
    }
    return NULL;
}

static void check_reach(struct scene *s, const struct ledger_topic *topic, unsigned index,
                        const struct observed_cursor *found, uint64_t epoch, uint64_t offset,
                        const char *promise)
{
    const uint64_t there_epoch = found == NULL ? 0 : found->epoch;
    const uint64_t there = found == NULL ? 0 : found->offset;

    if (there_epoch < epoch || (there_epoch == epoch && there < offset)) {
        scene_fail(
            s, promise, "topic %llu cursor \"%s\": %llu of epoch %llu, promised %llu of epoch %llu",
            (unsigned long long)topic->id, ledger_cursor_names[index], (unsigned long long)there,
            (unsigned long long)there_epoch, (unsigned long long)offset, (unsigned long long)epoch);
    }
}

static void judge_cursor(struct scene *s, struct ledger_topic *topic, unsigned index,
                         const struct observed_topic *seen)
{
    struct ledger_cursor *cursor = &topic->cursors[index];
    const struct observed_cursor *found = find_cursor(seen, index);
    const bool same_rule = topic->space->consistency.since <= s->life_event;

    if (found != NULL && !ledger_cursor_asked(s, topic, index)) {
        scene_fail(s, "no cursor is invented", "topic %llu cursor \"%s\"",
                   (unsigned long long)topic->id, ledger_cursor_names[index]);
    }
    if (found != NULL && found->offset > seen->info.end) {
        scene_fail(s, "no cursor is beyond the log", "%llu, end %llu",
                   (unsigned long long)found->offset, (unsigned long long)seen->info.end);
    }
    if (!cursor->loose) {
        check_reach(s, topic, index, found, cursor->kept_epoch, cursor->kept_offset,
                    "what a cursor was told durable is durable");
        if (s->ending != ENDING_POWER && same_rule && !s->taste.tiny_journal) {
            check_reach(s, topic, index, found, cursor->life_epoch, cursor->life_offset,
                        "at-least-once forgets no more than it says");
        }
        if (s->ending == ENDING_CLEAN) {
            check_reach(s, topic, index, found, cursor->epoch, cursor->offset,
                        "a clean stop forgets nothing");
        }
        if (found != NULL && found->epoch > cursor->epoch + cursor->seeks + 1u &&
            (s->ledger.blind[topic->space->index][topic->name_index] & 1u << index) == 0) {
            scene_fail(s, "a cursor's epoch counts its seeks", "%llu, told %llu, %u asked",
                       (unsigned long long)found->epoch, (unsigned long long)cursor->epoch,
                       cursor->seeks);
        }
    }
    *cursor = (struct ledger_cursor){.told = found != NULL, .asked = found != NULL};
    if (found != NULL) {
        cursor->epoch = cursor->kept_epoch = cursor->life_epoch = found->epoch;
        cursor->offset = cursor->kept_offset = cursor->life_offset = cursor->most = found->offset;
    }
}

/* ---- topics ---- */

static void judge_batches(struct scene *s, struct ledger_topic *topic,
                          const struct observed_topic *seen)
{
    uint32_t i;

    for (i = 0; i < seen->batch_count; i++) {
        const struct observed_batch *batch = &seen->batches[i];
        const uint64_t from = seen->info.first > batch->first ? seen->info.first : batch->first;

        ledger_sight(s, topic, batch->bytes, batch->size)->found = true;
        if (batch->from != from || batch->to != batch->end) {
            scene_fail(s, "a batch is whole or absent", "topic %llu [%llu, %llu): [%llu, %llu)",
                       (unsigned long long)topic->id, (unsigned long long)batch->first,
                       (unsigned long long)batch->end, (unsigned long long)batch->from,
                       (unsigned long long)batch->to);
        }
    }
}

static void judge_topic(struct scene *s, struct ledger_topic *topic,
                        const struct observed_topic *seen)
{
    const struct engine_topic_info *info = &seen->info;
    unsigned i;

    if (topic->deleted) {
        scene_fail(s, "a deleted topic is gone", "topic %llu", (unsigned long long)topic->id);
    }
    if (seen->damaged_count > 0) {
        scene_fail(s, "a disk without damage has none", "topic %llu",
                   (unsigned long long)topic->id);
    }
    if (info->durable_end != info->end) {
        scene_fail(s, "what is recovered is durable before it is served", "%llu of %llu",
                   (unsigned long long)info->durable_end, (unsigned long long)info->end);
    }
    if (info->first < topic->first ||
        (!s->taste.retention && info->first > s->engine_options.offset_start &&
         info->first > topic->trim_asked)) {
        scene_fail(s, "entries go when they are given up, and stay gone",
                   "topic %llu begins at %llu, told %llu, asked %llu",
                   (unsigned long long)topic->id, (unsigned long long)info->first,
                   (unsigned long long)topic->first, (unsigned long long)topic->trim_asked);
    }
    judge_batches(s, topic, seen);
    for (i = 0; i < LEDGER_CURSORS; i++) {
        judge_cursor(s, topic, i, seen);
    }
}

/* ---- what is not there ---- */

struct judged_space {
    struct ledger_space *space;
    const struct observed_namespace *seen;
    uint64_t last_kept; /* When the last of what was found was asked for */
};

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

static bool kept_behind(const struct ledger_append *append)
{
    const struct ledger_topic *topic = append->topic;
    uint32_t i;

    for (i = ledger_at(topic, append->end); i < topic->placed_count; i++) {
        if (topic->placed[i]->found) {
            return true;
        }
    }
    return false;
}

static void judge_absent(struct scene *s, const struct judged_space *judged,
                         struct ledger_append *append)
{
    const struct ledger_topic *topic = append->topic;
    const struct observed_topic *seen = topic == NULL ? NULL : find_topic(judged->seen, topic->id);
    const char *promise = NULL;

    if (append->fate != FATE_TOLD || topic->delete_asked ||
        (seen != NULL && append->end <= seen->info.first)) {
        return;
    }
    if (s->ending == ENDING_CLEAN) {
        promise = "a clean stop forgets nothing";
    } else if (s->ending == ENDING_PROCESS) {
        promise = "what is acknowledged outlives the process";
    } else if (append->promised || append->end <= topic->promised_end) {
        promise = "what was told durable is durable";
    } else if (append->told < judged->last_kept || kept_behind(append)) {
        promise = "what is lost is the end of the history";
    }
    if (promise != NULL) {
        scene_fail(s, promise, "append %llu, topic %llu [%llu, %llu)",
                   (unsigned long long)append->number, (unsigned long long)topic->id,
                   (unsigned long long)append->first, (unsigned long long)append->end);
    }
    s->report->lost++;
}

static void judge_appends(struct scene *s, const struct judged_space *judged)
{
    uint64_t i;

    for (i = 0; i < s->ledger.append_count; i++) {
        struct ledger_append *append = s->ledger.appends[i];

        if (append->space != judged->space || append->fate == FATE_NEVER ||
            append->fate == FATE_GONE) {
            continue;
        }
        if (append->found) {
            append->promised = true;
            s->report->kept++;
        } else {
            judge_absent(s, judged, append);
            append->fate = FATE_GONE;
        }
    }
}

/* ---- namespaces ---- */

static void check_setting(struct scene *s, struct ledger_setting *setting, uint64_t found)
{
    if (setting->since != NEVER && setting->value != found) {
        scene_fail(s, "settings are what they were set to", "%lld, found %lld",
                   (long long)setting->value, (long long)found);
    }
    setting->value = found;
    setting->since = s->event;
}

/* The next life begins with what this start found. */
static void settle_topic(struct scene *s, struct ledger_topic *topic,
                         const struct observed_topic *seen)
{
    const uint64_t last =
        topic->placed_count == 0 ? 0 : topic->placed[topic->placed_count - 1]->end;
    const uint64_t ends[] = {topic->end, topic->promised_end, last,
                             seen == NULL ? 0 : seen->info.end};
    unsigned i;

    for (i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        topic->issued_end = ends[i] > topic->issued_end ? ends[i] : topic->issued_end;
    }
    topic->told = s->event;
    topic->deleted = seen == NULL;
    topic->delete_asked = seen == NULL;
    topic->promised = true;
    if (seen != NULL) {
        topic->end = topic->durable_end = topic->promised_end = seen->info.end;
        topic->first = seen->info.first;
        topic->trim_asked = seen->info.first;
    }
}

static void judge_space(struct scene *s, struct ledger_space *space,
                        const struct observed_namespace *seen)
{
    struct judged_space judged = {.space = space, .seen = seen};
    struct ledger_topic *topic;
    uint64_t i;

    if (seen->state != ENGINE_SERVING) {
        scene_fail(s, "no crash makes a namespace unusable", "%s: %s", seen->name, seen->reason);
    }
    space->rescheduled = false;
    check_setting(s, &space->fsync, seen->settings.fsync_ms);
    check_setting(s, &space->consistency, seen->settings.consistency);
    for (i = 0; i < seen->topic_count; i++) {
        const struct observed_topic *found = &seen->topics[i];
        const unsigned name = ledger_topic_index(found->name, found->info.name_size);

        if (name == LEDGER_TOPICS) {
            scene_fail(s, "no topic is invented", "%.*s", (int)found->info.name_size, found->name);
        }
        (void)ledger_topic(s, space, found->info.id, name);
    }
    for (topic = space->topics; topic != NULL; topic = topic->next) {
        const struct observed_topic *found = find_topic(seen, topic->id);

        if (found != NULL) {
            judge_topic(s, topic, found);
        } else if (!topic->delete_asked && topic->promised) {
            scene_fail(s, "a topic stays until it is deleted", "topic %llu",
                       (unsigned long long)topic->id);
        }
    }
    for (i = 0; i < s->ledger.append_count; i++) {
        const struct ledger_append *append = s->ledger.appends[i];

        if (append->space == space && append->found && append->asked > judged.last_kept) {
            judged.last_kept = append->asked;
        }
    }
    judge_appends(s, &judged);
    for (topic = space->topics; topic != NULL; topic = topic->next) {
        settle_topic(s, topic, find_topic(seen, topic->id));
    }
}

static void judge_name(struct scene *s, unsigned index, const struct observed_namespace *seen)
{
    struct ledger_name *name = &s->ledger.names[index];
    struct ledger_space *space = NULL;

    if (!name->changing && s->event > 1 && index != 0 &&
        (seen == NULL ? name->presence == SPACE_PRESENT : name->presence == SPACE_ABSENT)) {
        scene_fail(s,
                   seen == NULL ? "a namespace stays until it is deleted"
                                : "no namespace is invented, and none comes back",
                   "%s", ledger_space_names[index]);
    }
    if (seen != NULL) {
        space = ledger_space_find(&s->ledger, seen->store_id);
        if (space == NULL) {
            if (name->space != NULL && !name->changing) {
                scene_fail(s, "a store keeps its id", "%s", ledger_space_names[index]);
            }
            space = ledger_space_new(s, index, seen->store_id);
        }
        if (space->index != index || space->deleted) {
            scene_fail(s, "a deleted namespace is gone", "%s", ledger_space_names[index]);
        }
        judge_space(s, space, seen);
    }
    *name = (struct ledger_name){
        .presence = seen == NULL ? SPACE_ABSENT : SPACE_PRESENT,
        .present_since = s->event,
        .absent_since = s->event,
        .fsync = {.since = NEVER},
        .consistency = {.since = NEVER},
        .space = space,
    };
}

void ledger_judge(struct scene *s, const struct observed *seen)
{
    uint32_t i;
    uint64_t n;
    unsigned index;

    if (seen->problem[0] != '\0') {
        scene_fail(s, "a recovered store can be read", "%s", seen->problem);
    }
    s->event++;
    for (n = 0; n < s->ledger.append_count; n++) {
        s->ledger.appends[n]->found = false;
    }
    for (index = 0; index < LEDGER_SPACES; index++) {
        const struct observed_namespace *found = NULL;

        for (i = 0; i < seen->count; i++) {
            if (strcmp(seen->namespaces[i].name, ledger_space_names[index]) == 0) {
                found = &seen->namespaces[i];
            }
        }
        judge_name(s, index, found);
    }
    s->life_event = ++s->event;
}
