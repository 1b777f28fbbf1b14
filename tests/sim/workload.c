#include "tests/sim/workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "proto/batch.h"
#include "tests/sim/oracle.h"

#define ENTRIES_MAX 64u
#define IN_FLIGHT_MAX 400u

static void done(struct engine_request *request)
{
    struct op *op = request->arg;
    struct world *w = op->world;

    if (op->finished || w->completed_count == sizeof w->completed / sizeof w->completed[0]) {
        world_fail(w, "every request is answered once", "operation %llu",
                   (unsigned long long)op->number);
    }
    if (!w->in_poll && !w->stopping) {
        world_fail(w, "done() runs only inside a poll or a stop", "operation %llu",
                   (unsigned long long)op->number);
    }
    op->finished = true;
    w->completed[w->completed_count++] = op;
    /* A client that goes on at once, from inside its own answer. */
    if (op->kind == OP_APPEND && op->append.base.status == 0 && !w->stopping && !w->disturbed &&
        w->taste.burst % 3 == 0 && w->in_flight < 50 && op->topic != NULL &&
        op->topic->delete == NULL && world_chance(w, 15)) {
        oracle_scan(w);
        workload_append(w, op->ns, op->topic, false);
    }
}

struct op *workload_op(struct world *w, struct model_namespace *ns, enum op_kind kind)
{
    struct op *op = calloc(1, sizeof *op);

    CHECK(op != NULL);
    op->world = w;
    op->kind = kind;
    op->ns = ns;
    op->number = ++w->operations;
    op->tick = ++w->tick;
    op->start = NOT_STAGED;
    op->append.base.done = done; /* The three kinds begin with it */
    op->append.base.arg = op;
    *w->ops_end = op;
    w->ops_end = &op->next;
    w->in_flight++;
    ns->in_flight++;
    world_tell(w);
    op->mono_us = w->told.mono_us;
    return op;
}

size_t workload_topic_name(struct world *w, char *name)
{
    static const char *const names[] = {"orders", "a", "a.b", "K\xc3\xb6ln/%2e", "orders2"};
    const uint64_t which = world_below(w, w->taste.topics);

    if (which < sizeof names / sizeof names[0]) {
        memcpy(name, names[which], strlen(names[which]));
        return strlen(names[which]);
    }
    memset(name, 'x', ENGINE_NAME_SIZE_MAX);
    return ENGINE_NAME_SIZE_MAX;
}

void workload_topic(struct world *w, struct op *op, struct engine_topic_ref *ref)
{
    ref->name_size = workload_topic_name(w, op->topic_name);
    ref->name = op->topic_name;
    op->topic = model_topic_live(op->ns, op->topic_name, ref->name_size);
    if (op->topic != NULL && world_chance(w, 40)) {
        *ref = (struct engine_topic_ref){.id = op->topic->id};
        op->by_id = true;
    }
}

void workload_cursor(struct world *w, struct op *op)
{
    static const char *const names[] = {"", "billing", "c", "\xf0\x9f\x90\x98"};

    (void)snprintf(op->cursor_name, sizeof op->cursor_name, "%s", names[world_below(w, 4)]);
    if (op->topic != NULL) {
        op->cursor = oracle_cursor(w, op->topic, op->cursor_name, strlen(op->cursor_name));
    }
}

struct model_namespace *workload_namespace(struct world *w)
{
    struct model_namespace *ns = &w->namespaces[world_below(w, WORLD_NAMESPACES)];

    return ns->handle != NULL && world_chance(w, 40) ? ns : &w->namespaces[0];
}

/* ---- appends ---- */

static uint32_t entry_size(struct world *w)
{
    if (world_chance(w, w->taste.big_percent)) {
        return (uint32_t)random_between(&w->random, 1000, 40000);
    }
    return (uint32_t)world_below(w, w->taste.entry_max + 1u);
}

static void fill_payload(struct world *w, uint8_t *data, size_t size)
{
    if (w->taste.imitate && w->seen_size >= 64 && world_chance(w, 60)) {
        size_t at = world_below(w, 16) * 4; /* Old stored bytes, aligned as they were or not */

        random_fill(&w->random, data, size < 64 ? size : 64);
        while (at < size) {
            const size_t part = size - at < w->seen_size ? size - at : w->seen_size;

            memcpy(data + at, w->seen, part);
            at += part;
        }
    } else if (world_chance(w, 10)) {
        memset(data, 0, size);
    } else {
        random_fill(&w->random, data, size);
    }
}

/* The batch in op->bytes; op->wrong when it must be refused. */
static void make_batch(struct world *w, struct op *op, uint8_t *payload, size_t room)
{
    struct batch_entry entries[ENTRIES_MAX];
    const uint32_t count = 1 + (uint32_t)world_below(w, world_chance(w, 10) ? ENTRIES_MAX : 4);
    size_t used = 0;
    uint32_t largest = 0;
    uint32_t i;

    for (i = 0; i < count; i++) {
        uint32_t size = entry_size(w);

        size = size > room - used ? (uint32_t)(room - used) : size;
        entries[i] = (struct batch_entry){.data = payload + used, .size = size};
        largest = size > largest ? size : largest;
        used += size;
    }
    fill_payload(w, payload, used);
    op->size = batch_encoded_size(count, used);
    op->bytes = malloc(op->size);
    CHECK(op->bytes != NULL);
    batch_encode(op->bytes, entries, count);
    op->wrong =
        op->size - BATCH_HEADER_SIZE > op->ns->batch_size_max || largest > op->ns->entry_size_max;
    if (world_chance(w, 1)) {
        const size_t at = world_below(w, op->size);

        op->bytes[at] ^= (uint8_t)(1u << world_below(w, 8));
        op->wrong = true;
    }
}

void workload_append(struct world *w, struct model_namespace *ns, struct model_topic *topic,
                     bool durable)
{
    static uint8_t payload[160u << 10];
    struct op *op = workload_op(w, ns, OP_APPEND);
    struct engine_append *append = &op->append;

    if (topic != NULL) {
        op->topic = topic;
        op->by_id = true;
        append->topic.id = topic->id;
    } else {
        workload_topic(w, op, &append->topic);
    }
    make_batch(w, op, payload, sizeof payload);
    append->batch = op->bytes;
    append->batch_size = op->size;
    append->durable = durable || world_chance(w, w->taste.durable_percent);
    append->no_create = world_chance(w, 5);
    append->first_offset = NOT_STAGED;
    world_log(w, "op %llu append %s topic %llu \"%.*s\" %zu bytes%s%s%s",
              (unsigned long long)op->number, ns->name, (unsigned long long)append->topic.id,
              append->topic.name_size > 20 ? 20 : (int)append->topic.name_size, op->topic_name,
              op->size, append->durable ? " durable" : "", append->no_create ? " no-create" : "",
              op->wrong ? " wrong" : "");
    w->report->appends++;
    engine_append(ns->handle, append);
    oracle_submitted(w, op);
}

/* An append, and perhaps several of one topic behind it in the same turn. */
static void append_burst(struct world *w, struct model_namespace *ns)
{
    char name[ENGINE_NAME_SIZE_MAX];
    struct model_topic *topic;

    workload_append(w, ns, NULL, false);
    if (w->taste.same_percent == 0) {
        return;
    }
    topic = model_topic_live(ns, name, workload_topic_name(w, name));
    while (topic != NULL && w->in_flight < IN_FLIGHT_MAX &&
           world_chance(w, w->taste.same_percent)) {
        workload_append(w, ns, topic, false);
    }
}

/* ---- reads ---- */

static uint8_t *room(struct engine_read *read, size_t used, size_t size)
{
    struct op *op = read->base.arg;

    (void)used;
    op->bytes = realloc(op->bytes, size);
    return op->bytes;
}

/* An offset somewhere in, before or behind a topic. */
static uint64_t some_offset(struct world *w, const struct model_topic *topic)
{
    const uint64_t first = model_first(topic);
    const uint64_t end = model_end_high(topic);

    switch (world_below(w, 8)) {
    case 0:
        return end;
    case 1:
        return end + world_below(w, 3);
    case 2:
        return first > 3 ? first - world_below(w, 4) : first;
    default:
        return first + world_below(w, end - first + 1);
    }
}

static uint64_t some_time(struct world *w, const struct model_topic *topic)
{
    const struct step *step;

    if (topic->batches.count == 0 || world_chance(w, 20)) {
        return w->told.wall_us + world_below(w, 1000);
    }
    step = topic->batches.steps[world_below(w, topic->batches.count)];
    return step->time_us + world_below(w, 3) - 1;
}

static void place_read(struct world *w, struct op *op, bool consume)
{
    struct engine_read *read = &op->read;

    read->position = consume ? ENGINE_AT_CURSOR
                             : (enum engine_position)random_between(&w->random, ENGINE_AT_OFFSET,
                                                                    ENGINE_AT_CURSOR);
    if (read->position == ENGINE_AT_CURSOR) {
        workload_cursor(w, op);
        read->cursor = op->cursor_name;
        read->cursor_size = strlen(op->cursor_name);
        read->consume = consume && op->cursor != NULL && !op->cursor->busy;
    } else if (op->topic != NULL && read->position == ENGINE_AT_OFFSET) {
        read->value = some_offset(w, op->topic);
    } else if (op->topic != NULL && read->position == ENGINE_AT_TIME) {
        read->value = some_time(w, op->topic);
    }
}

static void choose_read(struct world *w, struct op *op)
{
    struct engine_read *read = &op->read;
    const struct model_topic *topic = op->topic;

    read->max_bytes = 1u << world_below(w, 20);
    read->max_entries = 1 + (uint32_t)world_below(w, 1u << world_below(w, 12));
    read->wait_ms = world_chance(w, 30) ? (uint32_t)world_below(w, 1u << world_below(w, 16)) : 0;
    read->skip_damage = world_chance(w, 10);
    read->unchecked = world_chance(w, 40);
    read->mapped = world_chance(w, 30);
    read->held = UINT64_MAX;
    read->room = room;
    if (topic != NULL && topic->batches.count > 0 && world_chance(w, 20)) {
        read->held = topic->batches.steps[world_below(w, topic->batches.count)]->first;
    }
    if (read->unchecked && world_chance(w, 60)) { /* As a drain asks */
        read->max_bytes = 1u << 20;
        read->max_entries = UINT32_MAX;
        read->held = UINT64_MAX;
    }
    if (world_chance(w, 1)) {
        read->max_entries = 0;
        op->wrong = true;
    }
}

static void workload_read(struct world *w, struct model_namespace *ns, bool consume)
{
    struct op *op = workload_op(w, ns, OP_READ);
    struct engine_read *read = &op->read;

    workload_topic(w, op, &read->topic);
    place_read(w, op, consume);
    choose_read(w, op);
    world_log(w, "op %llu read %s \"%.*s\" id %llu at %d:%llu \"%s\"%s max %u/%u wait %u",
              (unsigned long long)op->number, ns->name,
              read->topic.name_size > 20 ? 20 : (int)read->topic.name_size, op->topic_name,
              (unsigned long long)read->topic.id, (int)read->position,
              (unsigned long long)read->value, op->cursor_name, read->consume ? " consume" : "",
              read->max_bytes, read->max_entries, read->wait_ms);
    engine_read(ns->handle, read);
    oracle_submitted(w, op);
}

/* Its client goes. What becomes of an append then is known only where it waits for a quota. */
static void cancel_some(struct world *w)
{
    struct op *op;

    for (op = w->ops; op != NULL; op = op->next) {
        if (op->kind == OP_READ && !op->finished && world_chance(w, 50)) {
            op->cancelled = true;
            engine_read_cancel(&op->read);
            world_log(w, "cancel op %llu", (unsigned long long)op->number);
            return;
        }
        if (op->kind == OP_APPEND && !op->finished && op->append.base.status == 0 &&
            world_chance(w, 10)) {
            engine_append_cancel(&op->append);
            world_log(w, "cancel op %llu", (unsigned long long)op->number);
            return;
        }
    }
}

/* ---- steps ---- */

static void ignore_stat(void *arg, const char *name, uint64_t value)
{
    (void)name;
    *(uint64_t *)arg += value;
}

static void look_around(struct world *w, struct model_namespace *ns)
{
    uint64_t sum = 0;

    engine_stats(ns->handle, ignore_stat, &sum);
    w->results += sum;
    (void)engine_namespace_congested(ns->handle);
    oracle_check_tables(w, ns);
}

/* Make or remove a namespace that is not "default". */
static void change_namespaces(struct world *w)
{
    struct model_namespace *ns = &w->namespaces[1 + world_below(w, WORLD_NAMESPACES - 1)];
    struct engine_settings settings = w->options.settings;
    struct error err;
    int rc;

    if (ns->presence == MAYBE) {
        return; /* Until a start tells */
    }
    if (ns->presence == PRESENT) {
        world_drain(w);
        if (w->disturbed) {
            return;
        }
        held_release(w, ns);
        world_log(w, "delete namespace %s", ns->name);
        ns->presence = MAYBE;
        rc = engine_namespace_delete(w->engine, ns->name, strlen(ns->name), &err);
        oracle_reads_decided(w);
        if (rc == 0) {
            ns->handle = NULL;
            ns->presence = ABSENT;
            model_namespace_clear(ns);
        }
    } else {
        const struct engine_setting with = {.key = 16, .value = world_below(w, 2) * 10};

        world_log(w, "create namespace %s", ns->name);
        settings.fsync_ms = with.value;
        rc = engine_namespace_create(w->engine, ns->name, strlen(ns->name), &with, 1, &err);
        oracle_reads_decided(w); /* It may have waited for all that was under way */
        oracle_namespace_created(w, ns, &settings);
        ns->presence = MAYBE;
        if (rc == 0) {
            struct engine_namespace_info info;

            ns->presence = PRESENT;
            ns->handle = engine_namespace_find(w->engine, ns->name, strlen(ns->name));
            engine_namespace_info(ns->handle, &info);
            memcpy(ns->store_id, info.store_id, sizeof ns->store_id);
            ns->batch_size_max = info.batch_size_max;
            ns->entry_size_max = info.entry_size_max;
        }
    }
    w->disturbed = w->disturbed || sim_disk_is_down(w->disk);
    if (sim_disk_fired(w->disk) > w->fired) {
        w->faulted = true;
        w->fatal = false; /* The namespace is not made, or does without its reserve */
    }
    if (rc != 0 && !world_excused(w) && !(w->full && rc == TUSK_ENOSPACE)) {
        world_fail(w, "namespaces come and go", "%s: %s", ns->name, err.text);
    }
    world_log(w, "  namespace %s: %s", ns->name, rc == 0 ? "OK" : err.text);
    if (rc != 0 && engine_failed(w->engine, &err) != NULL) {
        w->disturbed = true; /* Half deleted */
    } else if (rc != 0 && ns->handle != NULL) {
        ns->presence = PRESENT;
    }
}

void workload_step(struct world *w)
{
    static const enum engine_command_kind kinds[] = {
        ENGINE_CHECKPOINT,    ENGINE_SEEK,      ENGINE_CURSOR_CREATE, ENGINE_CURSOR_DELETE,
        ENGINE_TOPIC_CREATE,  ENGINE_TOPIC_SET, ENGINE_TOPIC_DELETE,  ENGINE_TOPIC_TRIM,
        ENGINE_NAMESPACE_SET, ENGINE_SYNC};
    const unsigned *weights = w->taste.weights;
    struct model_namespace *ns = workload_namespace(w);
    unsigned total = 0;
    unsigned which;
    uint64_t roll;

    for (which = 0; which < 16; which++) {
        total += weights[which];
    }
    roll = world_below(w, total);
    for (which = 0; roll >= weights[which]; which++) {
        roll -= weights[which];
    }
    if (w->in_flight >= IN_FLIGHT_MAX) {
        world_drain(w);
    } else if (which == 0) {
        append_burst(w, ns);
    } else if (which == 1 || which == 15) {
        workload_read(w, ns, which == 15);
    } else if (which < 12) {
        workload_command(w, ns, kinds[which - 2]);
    } else if (which == 12) {
        look_around(w, ns);
        held_release_some(w);
    } else if (which == 13) {
        if (world_chance(w, 20)) {
            change_namespaces(w);
        }
    } else {
        cancel_some(w);
    }
}
