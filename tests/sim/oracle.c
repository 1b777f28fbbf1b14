/* Learning what the engine did, as soon as it can be known. */
#include "tests/sim/oracle.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"

struct model_cursor *oracle_cursor(struct world *w, struct model_topic *topic, const char *name,
                                   size_t size)
{
    struct model_cursor *cursor = model_cursor_find(topic, name, size);

    if (cursor != NULL) {
        return cursor;
    }
    CHECK(size <= sizeof cursor->name);
    cursor = calloc(1, sizeof *cursor);
    CHECK(cursor != NULL);
    memcpy(cursor->name, name, size);
    cursor->name_size = size;
    history_push(&cursor->states, world_base_step(w, STEP_CURSOR, topic));
    cursor->next = topic->cursors;
    topic->cursors = cursor;
    return cursor;
}

static struct model_topic *add_topic(struct world *w, struct model_namespace *ns,
                                     const struct engine_topic_info *info, uint64_t number)
{
    struct model_topic *topic = calloc(1, sizeof *topic);
    struct step *first = world_base_step(w, STEP_TRIM, topic);
    struct step *rule = world_base_step(w, STEP_RULE, topic);

    CHECK(topic != NULL);
    topic->ns = ns;
    topic->id = info->id;
    memcpy(topic->name, info->name, info->name_size);
    topic->name_size = info->name_size;
    topic->created_us = info->created_us;
    topic->create = world_step(w, ns, STEP_CREATE, topic, number);
    first->first = info->first;
    rule->rule = info->retention;
    history_push(&topic->firsts, first);
    history_push(&topic->rules, rule);
    topic->issued_end = info->first;
    topic->settled_end = info->first;
    topic->next = ns->topics;
    ns->topics = topic;
    return topic;
}

struct model_topic *oracle_learn_topic(struct world *w, struct model_namespace *ns,
                                       const char *name, size_t size, uint64_t number)
{
    const struct engine_topic_ref ref = {.name = name, .name_size = size};
    struct model_topic *live = model_topic_live(ns, name, size);
    struct engine_topic_info info;
    struct error err;

    if (engine_topic_info(ns->handle, &ref, &info, &err) != 0) {
        if (live != NULL && !world_excused(w)) {
            world_fail(w, "a topic stays until it is deleted", "topic %.*s is gone", (int)size,
                       name);
        }
        return NULL;
    }
    if (live != NULL) {
        if (live->id != info.id) {
            world_fail(w, "a topic keeps its id", "topic %.*s: %llu, was %llu", (int)size, name,
                       (unsigned long long)info.id, (unsigned long long)live->id);
        }
        return live;
    }
    if (model_topic_by_id(ns, info.id) != NULL) {
        world_fail(w, "ids are never used for another topic", "topic %.*s: %llu", (int)size, name,
                   (unsigned long long)info.id);
    }
    if (info.first != w->options.offset_start || info.created_us != w->told.wall_us) {
        world_fail(w, "a new topic is new", "first %llu, created %llu",
                   (unsigned long long)info.first, (unsigned long long)info.created_us);
    }
    return add_topic(w, ns, &info, number);
}

void oracle_namespace_created(struct world *w, struct model_namespace *ns,
                              const struct engine_settings *settings)
{
    struct step *base = world_base_step(w, STEP_SETTINGS, NULL);

    model_namespace_clear(ns);
    base->settings = *settings;
    history_push(&ns->settings, base);
    ns->presence = PRESENT;
    ns->quota =
        settings->quota_bytes != 0 || settings->quota_topics != 0 || settings->quota_cursors != 0;
}

static void submitted_append(struct world *w, struct op *op)
{
    if (op->topic == NULL && !op->by_id) {
        op->topic =
            oracle_learn_topic(w, op->ns, op->topic_name, op->append.topic.name_size, op->number);
    }
    if (op->append.base.status != 0) {
        oracle_refused(w, op);
    } else if (op->append.first_offset != NOT_STAGED) {
        oracle_append_staged(w, op);
    } else if (op->topic == NULL) {
        world_fail(w, "an accepted append has a topic", "operation %llu",
                   (unsigned long long)op->number);
    }
}

void oracle_submitted(struct world *w, struct op *op)
{
    switch (op->kind) {
    case OP_APPEND:
        submitted_append(w, op);
        break;
    case OP_READ:
        oracle_read_submitted(w, op);
        break;
    case OP_COMMAND:
        if (op->command.base.status != 0) {
            oracle_refused(w, op);
        } else if (op->command.state != NULL) {
            op->looked_up = true;
            op->cursor->busy = true;
        } else {
            oracle_command_staged(w, op);
        }
        break;
    }
}

/* Lookups by time end last in a poll, behind retention. */
static void scan_lookup(struct world *w, struct op *op)
{
    if (op->kind != OP_COMMAND || !op->looked_up || op->command.state != NULL) {
        return;
    }
    op->looked_up = false;
    op->cursor->busy = false;
    if (op->command.base.status == 0) {
        oracle_command_staged(w, op);
    } else {
        oracle_refused(w, op);
    }
}

static void scan_op(struct world *w, struct op *op)
{
    switch (op->kind) {
    case OP_APPEND:
        if (!op->staged && op->append.first_offset != NOT_STAGED) {
            oracle_append_staged(w, op);
        }
        break;
    case OP_READ:
        oracle_read_decided(w, op);
        break;
    case OP_COMMAND:
        break;
    }
}

/* Whether the rule allows to give up what lies before `first`. */
static void check_retention(struct world *w, const struct model_topic *topic,
                            const struct engine_topic_info *info)
{
    const struct engine_retention_rule *rule = &history_last(&topic->rules)->rule;
    const struct model_cursor *cursor;
    bool any = false;
    uint32_t i;

    if (rule->kind == ENGINE_RETAIN_INHERIT) {
        rule = &model_settings(topic->ns)->retention;
    }
    if (rule->kind == ENGINE_RETAIN_ALL) {
        world_fail(w, "nothing goes that is to be kept", "topic %llu gave up entries before %llu",
                   (unsigned long long)topic->id, (unsigned long long)info->first);
    }
    for (cursor = topic->cursors; cursor != NULL; cursor = cursor->next) {
        const struct step *state = model_cursor_state(cursor);

        any = any || state != NULL;
        if (rule->kind == ENGINE_RETAIN_CONSUMED && state != NULL && state->offset < info->first) {
            world_fail(w, "consumed entries go behind all cursors", "first %llu, cursor at %llu",
                       (unsigned long long)info->first, (unsigned long long)state->offset);
        }
    }
    if (rule->kind == ENGINE_RETAIN_CONSUMED && !any) {
        world_fail(w, "consumed needs a cursor", "topic %llu", (unsigned long long)topic->id);
    }
    if (rule->kind == ENGINE_RETAIN_SIZE && info->bytes < rule->bytes) {
        world_fail(w, "retention by size keeps what it says", "kept %llu of %llu",
                   (unsigned long long)info->bytes, (unsigned long long)rule->bytes);
    }
    if (rule->kind == ENGINE_RETAIN_AGE && !w->taste.clock_jumps) {
        i = model_batch_at(topic, info->first - 1);
        if (i < topic->batches.count &&
            w->told.wall_us - topic->batches.steps[i]->time_us < rule->age_ms * 1000u) {
            world_fail(w, "retention by age keeps what is young", "topic %llu, entry %llu",
                       (unsigned long long)topic->id, (unsigned long long)info->first - 1);
        }
    }
}

static void check_info(struct world *w, struct model_topic *topic)
{
    const struct engine_topic_ref ref = {.id = topic->id};
    const uint64_t low = model_end_low(topic);
    const uint64_t high = model_end_high(topic);
    struct engine_topic_info info;
    struct error err;

    if (engine_topic_info(topic->ns->handle, &ref, &info, &err) != 0) {
        world_fail(w, "a topic stays until it is deleted", "topic %llu",
                   (unsigned long long)topic->id);
    }
    if (info.first < model_first(topic)) {
        world_fail(w, "the first offset kept never goes back", "%llu, was %llu",
                   (unsigned long long)info.first, (unsigned long long)model_first(topic));
    }
    if (info.first > model_first(topic)) {
        struct step *step = world_step(w, topic->ns, STEP_TRIM, topic, 0);

        check_retention(w, topic, &info);
        step->first = info.first;
        history_push(&topic->firsts, step);
        world_log(w, "retention: topic %llu from %llu", (unsigned long long)topic->id,
                  (unsigned long long)info.first);
    }
    if (w->disturbed) {
        return; /* Ends no longer matter */
    }
    if (info.end < low || info.end > high) {
        world_fail(w, "readers see what is acknowledged, and nothing unborn",
                   "topic %llu: end %llu, model %llu to %llu", (unsigned long long)topic->id,
                   (unsigned long long)info.end, (unsigned long long)low, (unsigned long long)high);
    }
    if (info.durable_end < topic->told_durable || info.durable_end > high) {
        world_fail(w, "the durable end never goes back", "topic %llu: %llu, was %llu, staged %llu",
                   (unsigned long long)topic->id, (unsigned long long)info.durable_end,
                   (unsigned long long)topic->told_durable, (unsigned long long)high);
    }
    topic->told_durable = info.durable_end;
}

void oracle_scan(struct world *w)
{
    struct model_topic *topic;
    struct op *op;
    unsigned i;

    w->scanning = true;
    for (op = w->ops; op != NULL; op = op->next) {
        scan_op(w, op);
    }
    for (i = 0; i < WORLD_NAMESPACES; i++) {
        struct model_namespace *ns = &w->namespaces[i];

        for (topic = ns->handle == NULL ? NULL : ns->topics; topic != NULL; topic = topic->next) {
            if (topic->delete == NULL) {
                check_info(w, topic);
            }
        }
    }
    for (op = w->ops; op != NULL; op = op->next) {
        scan_lookup(w, op);
    }
    w->scanning = false;
}

static void check_cursor(struct world *w, struct model_topic *topic,
                         const struct engine_cursor_info *info)
{
    const struct step *state =
        model_cursor_state(model_cursor_find(topic, info->name, info->name_size));

    if (state == NULL || state->offset != info->offset || state->epoch != info->epoch) {
        world_fail(w, "a cursor stands where it was put",
                   "topic %llu, cursor %.*s: %llu epoch %llu", (unsigned long long)topic->id,
                   (int)info->name_size, info->name, (unsigned long long)info->offset,
                   (unsigned long long)info->epoch);
    }
}

static void check_cursors(struct world *w, struct model_topic *topic)
{
    const struct engine_topic_ref ref = {.id = topic->id};
    struct engine_cursor_info info;
    struct model_cursor *cursor;
    char after[32];
    size_t size = 0;
    bool first = true;
    struct error err;
    unsigned missing = 0;

    for (cursor = topic->cursors; cursor != NULL; cursor = cursor->next) {
        missing += !cursor->busy && model_cursor_state(cursor) != NULL;
    }
    /* cppcheck-suppress legacyUninitvar ; read from the second turn on, when it is written */
    while (engine_cursor_next(topic->ns->handle, &ref, first ? NULL : after, size, &info, &err) ==
           1) {
        cursor = model_cursor_find(topic, info.name, info.name_size);
        if (cursor == NULL || !cursor->busy) {
            check_cursor(w, topic, &info);
            missing--;
        }
        CHECK(info.name_size <= sizeof after);
        memcpy(after, info.name, info.name_size);
        size = info.name_size;
        first = false;
    }
    if (missing != 0) {
        world_fail(w, "a listing has what there is", "topic %llu lacks %u cursors",
                   (unsigned long long)topic->id, missing);
    }
}

void oracle_check_tables(struct world *w, struct model_namespace *ns)
{
    struct engine_topic_info info;
    struct model_topic *topic;
    const char *after = "";
    size_t size = 0;
    uint32_t live = 0;

    while (engine_topic_next(ns->handle, after, size, &info) == 1) {
        topic = model_topic_live(ns, info.name, info.name_size);
        if (topic == NULL || topic->id != info.id) {
            world_fail(w, "a listing has what there is", "topic %.*s, id %llu", (int)info.name_size,
                       info.name, (unsigned long long)info.id);
        }
        if (info.entries < model_entries(topic, model_first(topic), info.end)) {
            world_fail(w, "entries are counted", "topic %llu: %llu, there are %llu",
                       (unsigned long long)topic->id, (unsigned long long)info.entries,
                       (unsigned long long)model_entries(topic, model_first(topic), info.end));
        }
        check_cursors(w, topic);
        after = topic->name;
        size = topic->name_size;
        live++;
    }
    for (topic = ns->topics; topic != NULL; topic = topic->next) {
        live -= topic->delete == NULL;
    }
    if (live != 0) {
        world_fail(w, "a listing has what there is", "%d topics missing", -(int)live);
    }
}
