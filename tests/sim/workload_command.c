/* Commands: cursors, topics, settings. */
#include <string.h>

#include "tests/sim/oracle.h"
#include "tests/sim/workload.h"

/* Deleting is rare, or nothing lives long enough to be interesting. */
static bool too_rare(struct world *w, enum engine_command_kind kind)
{
    switch (kind) {
    case ENGINE_TOPIC_DELETE:
        return !world_chance(w, 15);
    case ENGINE_NAMESPACE_SET:
    case ENGINE_TOPIC_TRIM:
        return !world_chance(w, 35);
    case ENGINE_CURSOR_DELETE:
        return !world_chance(w, 30);
    case ENGINE_CHECKPOINT:
    case ENGINE_SEEK:
    case ENGINE_CURSOR_CREATE:
    case ENGINE_TOPIC_CREATE:
    case ENGINE_TOPIC_SET:
    case ENGINE_SYNC:
        return false;
    }
    return false;
}

static uint64_t offset_in(struct world *w, const struct model_topic *topic)
{
    const uint64_t first = model_first(topic);
    const uint64_t low = model_end_low(topic);
    const uint64_t high = model_end_high(topic);

    if (world_chance(w, 5)) {
        return high + 1 + world_below(w, 5);
    }
    if (world_chance(w, 20)) {
        return low;
    }
    return low < first ? first : first + world_below(w, low - first + 1);
}

static void add_setting(struct op *op, uint16_t key, uint64_t value)
{
    op->settings[op->command.settings_count++] =
        (struct engine_setting){.key = key, .value = value};
    op->command.settings = op->settings;
}

static void choose_rule(struct world *w, struct op *op, bool of_topic)
{
    const uint64_t kind = world_below(w, of_topic ? 5 : 4);

    if (!w->taste.retention && !w->taste.many_settings) {
        return;
    }
    add_setting(op, 1, !w->taste.retention ? 0 : kind == 4 ? ENGINE_RETAIN_INHERIT : kind);
    if (world_chance(w, 50)) {
        add_setting(op, 2, random_between(&w->random, 1, 20000));
    }
}

static void choose_namespace_settings(struct world *w, struct op *op)
{
    static const uint64_t schedules[] = {ENGINE_FSYNC_EACH, ENGINE_FSYNC_NONE, 1, 20};

    switch (world_below(w, 5)) {
    case 0:
        choose_rule(w, op, false);
        break;
    case 1:
        add_setting(op, 17, world_below(w, 3) * 7);
        break;
    case 2:
        add_setting(op, 18,
                    world_chance(w, w->taste.quota ? 20 : 70)
                        ? 0
                        : random_between(&w->random, 2, 12) << 16);
        if (world_chance(w, 50)) {
            add_setting(op, 21, world_below(w, 3));
        }
        break;
    default:
        add_setting(op, 16, schedules[world_below(w, 4)]);
        break;
    }
    if (world_chance(w, 5)) {
        op->command.settings_count = 0;
        add_setting(op, 16, 3600001);
        op->wrong = true;
    }
}

static void choose_position(struct world *w, struct op *op)
{
    struct engine_command *command = &op->command;

    command->position =
        (enum engine_position)random_between(&w->random, ENGINE_AT_OFFSET, ENGINE_AT_LATEST);
    if (op->topic == NULL) {
        return;
    }
    if (command->position == ENGINE_AT_OFFSET) {
        command->value = offset_in(w, op->topic);
    } else if (command->position == ENGINE_AT_TIME && op->topic->batches.count > 0) {
        command->value =
            op->topic->batches.steps[world_below(w, op->topic->batches.count)]->time_us;
    }
    op->asked_offset = command->value;
}

static void choose_checkpoint(struct world *w, struct op *op)
{
    struct engine_command *command = &op->command;
    const struct step *state = model_cursor_state(op->cursor);

    command->no_create = world_chance(w, 10);
    if (op->topic != NULL) {
        command->offset = offset_in(w, op->topic);
    }
    if (state != NULL && world_chance(w, 50)) {
        command->epoch = state->epoch;
    } else if (world_chance(w, 10)) {
        command->epoch = 1 + world_below(w, 3);
    }
    op->asked_offset = command->offset;
    op->asked_epoch = command->epoch;
}

static void choose(struct world *w, struct op *op)
{
    struct engine_command *command = &op->command;

    switch (command->kind) {
    case ENGINE_CHECKPOINT:
        workload_cursor(w, op);
        choose_checkpoint(w, op);
        break;
    case ENGINE_SEEK:
    case ENGINE_CURSOR_CREATE:
        workload_cursor(w, op);
        choose_position(w, op);
        break;
    case ENGINE_CURSOR_DELETE:
        workload_cursor(w, op);
        break;
    case ENGINE_TOPIC_CREATE:
    case ENGINE_TOPIC_SET:
        choose_rule(w, op, true);
        break;
    case ENGINE_TOPIC_TRIM:
        if (op->topic != NULL) {
            command->offset = offset_in(w, op->topic);
            op->asked_offset = command->offset;
        }
        break;
    case ENGINE_NAMESPACE_SET:
        choose_namespace_settings(w, op);
        break;
    case ENGINE_TOPIC_DELETE:
    case ENGINE_SYNC:
        break;
    }
    command->cursor = op->cursor_name;
    command->cursor_size = strlen(op->cursor_name);
}

void workload_command(struct world *w, struct model_namespace *ns, enum engine_command_kind kind)
{
    static const char *const names[] = {
        "CHECKPOINT", "SEEK",         "CURSOR_CREATE", "CURSOR_DELETE", "TOPIC_CREATE",
        "TOPIC_SET",  "TOPIC_DELETE", "TOPIC_TRIM",    "NAMESPACE_SET", "SYNC"};
    struct op *op;
    struct engine_command *command;

    if (too_rare(w, kind)) {
        return;
    }
    op = workload_op(w, ns, OP_COMMAND);
    command = &op->command;
    command->kind = kind;
    if (kind != ENGINE_NAMESPACE_SET && kind != ENGINE_SYNC) {
        workload_topic(w, op, &command->topic);
        if (kind == ENGINE_TOPIC_CREATE && op->by_id) {
            op->wrong = true; /* A new topic is named, not numbered */
        }
        op->low = op->topic == NULL ? 0 : model_end_low(op->topic);
    }
    choose(w, op);
    if (op->cursor != NULL && op->cursor->busy) {
        /* Two moves whose order nobody knows cannot be judged. */
        command->kind = ENGINE_SYNC;
    }
    world_log(w,
              "op %llu %s %s id %llu \"%.*s\" cursor \"%s\" position %d:%llu offset %llu epoch "
              "%llu key %u=%llu",
              (unsigned long long)op->number, names[command->kind], ns->name,
              (unsigned long long)command->topic.id,
              command->topic.name_size > 20 ? 20 : (int)command->topic.name_size, op->topic_name,
              op->cursor_name, (int)command->position, (unsigned long long)command->value,
              (unsigned long long)command->offset, (unsigned long long)command->epoch,
              op->settings[0].key, (unsigned long long)op->settings[0].value);
    engine_command(ns->handle, command);
    oracle_reads_decided(w); /* A schedule that became lazier shows more to those that wait */
    oracle_submitted(w, op);
}
