/* Judging what was staged, and the replies to appends and commands. */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "proto/batch.h"
#include "tests/sim/oracle.h"

void oracle_append_staged(struct world *w, struct op *op)
{
    struct model_topic *topic = op->topic;
    struct batch_header header;
    struct step *step;

    if (topic == NULL || topic->id != op->append.topic_id) {
        world_fail(w, "an append goes to its topic", "operation %llu",
                   (unsigned long long)op->number);
    }
    if (op->wrong) {
        world_fail(w, "a malformed batch is refused", "operation %llu",
                   (unsigned long long)op->number);
    }
    batch_header_decode(&header, op->bytes);
    step = world_step(w, op->ns, STEP_BATCH, topic, op->number);
    step->first = op->append.first_offset;
    step->end = step->first + header.entry_count;
    if (w->told.wall_us > topic->last_time_us) {
        topic->last_time_us = w->told.wall_us;
    }
    step->time_us = topic->last_time_us;
    step->bytes = op->bytes;
    step->size = op->size;
    op->bytes = NULL;
    if (step->first < topic->issued_end) {
        world_fail(w, "no offset is issued twice", "topic %llu: %llu, issued before up to %llu",
                   (unsigned long long)topic->id, (unsigned long long)step->first,
                   (unsigned long long)topic->issued_end);
    }
    topic->issued_end = step->end;
    history_push(&topic->batches, step);
    op->step = step;
    op->staged = true;
    op->must_sync = op->append.durable || model_settings(op->ns)->fsync_ms == ENGINE_FSYNC_EACH;
    world_log(w, "  op %llu staged: topic %llu [%llu, %llu)", (unsigned long long)op->number,
              (unsigned long long)topic->id, (unsigned long long)step->first,
              (unsigned long long)step->end);
}

static struct step *push_cursor(struct world *w, struct op *op, bool exists, uint64_t offset,
                                uint64_t epoch)
{
    struct step *step = world_step(w, op->ns, STEP_CURSOR, op->topic, op->number);

    step->exists = exists;
    step->offset = offset;
    step->epoch = epoch;
    history_push(&op->cursor->states, step);
    return step;
}

void oracle_cursor_moved(struct world *w, struct op *op, uint64_t offset, uint64_t epoch,
                         bool may_be_loose)
{
    const struct step *state = model_cursor_state(op->cursor);

    if (state == NULL) {
        /* Made where the first entry is, then moved: two records. */
        state = push_cursor(w, op, true, model_first(op->topic), 1);
    }
    if (epoch != state->epoch) {
        world_fail(w, "a cursor's epoch counts its seeks", "operation %llu: %llu, model %llu",
                   (unsigned long long)op->number, (unsigned long long)epoch,
                   (unsigned long long)state->epoch);
    }
    if (offset > state->offset) {
        struct step *step = push_cursor(w, op, true, offset, epoch);

        step->loose = may_be_loose && model_settings(op->ns)->consistency != 0;
    }
    op->loose = may_be_loose && model_settings(op->ns)->consistency != 0;
    op->step = history_last(&op->cursor->states);
}

static void position_staged(struct world *w, struct op *op)
{
    const struct engine_command *command = &op->command;
    const struct model_topic *topic = op->topic;
    const struct step *state = model_cursor_state(op->cursor);
    uint64_t low = op->asked_offset;
    uint64_t high = op->asked_offset;

    if (command->position == ENGINE_AT_EARLIEST) {
        low = high = model_first(topic);
    } else if (command->position == ENGINE_AT_LATEST) {
        low = model_end_low(topic);
        high = model_end_high(topic);
    } else if (command->position == ENGINE_AT_TIME) {
        low = model_time_position(topic, model_first(topic), op->asked_offset);
        high = low;
        if (model_next_entry(topic, command->offset) == low) {
            low = high = command->offset; /* In the gap before it */
        } else if (low > op->low) {       /* Not visible yet when it was looked for, perhaps */
            low = op->low > model_first(topic) ? op->low : model_first(topic);
            high = high == UINT64_MAX ? model_end_high(topic) : high;
        }
    }
    if (command->offset < low || command->offset > high) {
        world_fail(w, "a cursor goes where it was sent",
                   "operation %llu: %llu, not in %llu to %llu", (unsigned long long)op->number,
                   (unsigned long long)command->offset, (unsigned long long)low,
                   (unsigned long long)high);
    }
    if (command->kind == ENGINE_CURSOR_CREATE && state != NULL) {
        world_fail(w, "what exists is not created", "operation %llu",
                   (unsigned long long)op->number);
    }
    if (command->epoch != (state == NULL ? 1 : state->epoch + 1)) {
        world_fail(w, "a seek counts the epoch up", "operation %llu: %llu",
                   (unsigned long long)op->number, (unsigned long long)command->epoch);
    }
    op->step = push_cursor(w, op, true, command->offset, command->epoch);
}

static void checkpoint_staged(struct world *w, struct op *op)
{
    const struct step *state = model_cursor_state(op->cursor);
    const uint64_t stands = state == NULL ? model_first(op->topic) : state->offset;
    const uint64_t expected = op->asked_offset > stands ? op->asked_offset : stands;

    if (op->asked_offset > model_end_high(op->topic) || op->command.offset != expected ||
        (state == NULL && op->command.no_create) ||
        (state != NULL && op->asked_epoch != 0 && op->asked_epoch != state->epoch)) {
        world_fail(w, "a checkpoint moves forward, of its own epoch, within the log",
                   "operation %llu: asked %llu epoch %llu, got %llu epoch %llu, stood at %llu",
                   (unsigned long long)op->number, (unsigned long long)op->asked_offset,
                   (unsigned long long)op->asked_epoch, (unsigned long long)op->command.offset,
                   (unsigned long long)op->command.epoch, (unsigned long long)stands);
    }
    oracle_cursor_moved(w, op, expected, op->command.epoch, true);
}

static void apply_rule(struct engine_retention_rule *rule, const struct engine_command *command)
{
    uint32_t i;

    for (i = 0; i < command->settings_count; i++) {
        if (command->settings[i].key == 1) {
            rule->kind = command->settings[i].value;
        } else if (command->settings[i].key == 2) {
            rule->age_ms = command->settings[i].value;
        } else if (command->settings[i].key == 3) {
            rule->bytes = command->settings[i].value;
        }
    }
}

static void settings_staged(struct world *w, struct op *op)
{
    struct step *step = world_step(w, op->ns, STEP_SETTINGS, NULL, op->number);
    struct model_topic *topic;
    uint32_t i;

    for (topic = op->ns->topics; topic != NULL; topic = topic->next) {
        topic->shown_low = model_end_low(topic);
        topic->shown_high = model_end_high(topic);
    }
    step->settings = *model_settings(op->ns);
    apply_rule(&step->settings.retention, &op->command);
    for (i = 0; i < op->command.settings_count; i++) {
        const struct engine_setting *setting = &op->command.settings[i];

        if (setting->key == 16) {
            step->settings.fsync_ms = setting->value;
        } else if (setting->key == 17) {
            step->settings.consistency = setting->value;
        } else if (setting->key == 18) {
            step->settings.quota_bytes = setting->value;
        } else if (setting->key == 19) {
            step->settings.quota_topics = setting->value;
        } else if (setting->key == 20) {
            step->settings.quota_cursors = setting->value;
        } else if (setting->key == 21) {
            step->settings.quota_policy = setting->value;
        }
    }
    op->ns->quota = op->ns->quota || step->settings.quota_bytes != 0 ||
                    step->settings.quota_topics != 0 || step->settings.quota_cursors != 0;
    history_push(&op->ns->settings, step);
    op->step = step;
}

static void trim_staged(struct world *w, struct op *op)
{
    const uint64_t first = model_first(op->topic);
    const uint64_t expected = op->asked_offset > first ? op->asked_offset : first;

    if (op->command.offset != expected || expected > model_end_high(op->topic)) {
        world_fail(w, "a trim answers with the first offset kept", "operation %llu: %llu, not %llu",
                   (unsigned long long)op->number, (unsigned long long)op->command.offset,
                   (unsigned long long)expected);
    }
    if (expected > first) {
        struct step *step = world_step(w, op->ns, STEP_TRIM, op->topic, op->number);

        step->first = expected;
        history_push(&op->topic->firsts, step);
    }
    op->step = history_last(&op->topic->firsts);
}

static void topic_created(struct world *w, struct op *op)
{
    if (op->topic != NULL) {
        world_fail(w, "what exists is not created", "operation %llu",
                   (unsigned long long)op->number);
    }
    op->topic =
        oracle_learn_topic(w, op->ns, op->topic_name, op->command.topic.name_size, op->number);
    if (op->topic == NULL || op->topic->id != op->command.topic_id) {
        world_fail(w, "a created topic is there", "operation %llu", (unsigned long long)op->number);
    }
    op->step = op->topic->create;
}

void oracle_command_staged(struct world *w, struct op *op)
{
    struct engine_command *command = &op->command;

    op->staged = true;
    op->result_offset = command->offset;
    op->result_epoch = command->epoch;
    if (op->wrong || (op->topic == NULL && command->kind != ENGINE_TOPIC_CREATE &&
                      command->kind != ENGINE_NAMESPACE_SET && command->kind != ENGINE_SYNC)) {
        world_fail(w, "a wrong command is refused", "operation %llu",
                   (unsigned long long)op->number);
    }
    switch (command->kind) {
    case ENGINE_CHECKPOINT:
        checkpoint_staged(w, op);
        break;
    case ENGINE_SEEK:
    case ENGINE_CURSOR_CREATE:
        position_staged(w, op);
        break;
    case ENGINE_CURSOR_DELETE:
        op->step = push_cursor(w, op, false, 0, 0);
        break;
    case ENGINE_TOPIC_CREATE:
        topic_created(w, op);
        break;
    case ENGINE_TOPIC_SET:
        op->step = world_step(w, op->ns, STEP_RULE, op->topic, op->number);
        op->step->rule = history_last(&op->topic->rules)->rule;
        apply_rule(&op->step->rule, command);
        history_push(&op->topic->rules, op->step);
        break;
    case ENGINE_TOPIC_DELETE:
        op->step = world_step(w, op->ns, STEP_DELETE, op->topic, op->number);
        op->topic->delete = op->step;
        break;
    case ENGINE_TOPIC_TRIM:
        trim_staged(w, op);
        break;
    case ENGINE_NAMESPACE_SET:
        settings_staged(w, op);
        break;
    case ENGINE_SYNC:
        break;
    }
}

/* ---- refusals ---- */

static bool append_may_fail(const struct op *op, int status)
{
    switch (status) {
    case TUSK_ETOOBIG:
    case TUSK_ECORRUPT:
    case TUSK_EINVALID:
    case TUSK_EUNSUPPORTED:
        return op->wrong;
    case TUSK_ENOTFOUND:
        return op->topic == NULL ? op->by_id || op->append.no_create : op->topic->delete != NULL;
    case TUSK_EQUOTA:
        return op->ns->quota;
    case TUSK_EBUSY:
        return true; /* The topic cannot be made now, or too much waits */
    default:
        return false;
    }
}

static bool position_may_fail(const struct op *op, int status)
{
    const struct engine_command *command = &op->command;

    if (status == TUSK_EINVALID) {
        return command->position == ENGINE_AT_OFFSET && op->asked_offset > op->low;
    }
    if (status == TUSK_ETRIMMED) {
        return command->position == ENGINE_AT_OFFSET
                   ? op->asked_offset < model_first(op->topic) &&
                         command->base.detail_a == model_first(op->topic)
                   : command->position == ENGINE_AT_TIME;
    }
    return status == TUSK_EEXISTS && command->kind == ENGINE_CURSOR_CREATE &&
           model_cursor_state(op->cursor) != NULL;
}

static bool checkpoint_may_fail(const struct op *op, int status)
{
    const struct engine_command *command = &op->command;
    const struct step *state = model_cursor_state(op->cursor);

    if (status == TUSK_EINVALID) {
        return op->asked_offset > op->low;
    }
    if (status == TUSK_ESTALE) {
        return state != NULL && op->asked_epoch != 0 && op->asked_epoch != state->epoch &&
               command->base.detail_a == state->offset && command->base.detail_b == state->epoch;
    }
    return status == TUSK_ENOTFOUND && state == NULL && command->no_create;
}

static bool command_may_fail(const struct op *op, int status)
{
    const struct engine_command *command = &op->command;

    if (status == TUSK_EINVALID && op->wrong) {
        return true;
    }
    if (status == TUSK_EBUSY) {
        return true; /* The next journal file is not ready */
    }
    if (status == TUSK_EQUOTA) {
        return op->ns->quota;
    }
    if (command->kind == ENGINE_TOPIC_CREATE) {
        return status == TUSK_EEXISTS && op->topic != NULL;
    }
    if (command->kind == ENGINE_NAMESPACE_SET || command->kind == ENGINE_SYNC) {
        return false;
    }
    if (op->topic == NULL || op->topic->delete != NULL) {
        return status == TUSK_ENOTFOUND;
    }
    switch (command->kind) {
    case ENGINE_CHECKPOINT:
        return checkpoint_may_fail(op, status);
    case ENGINE_SEEK:
    case ENGINE_CURSOR_CREATE:
        return position_may_fail(op, status);
    case ENGINE_CURSOR_DELETE:
        return status == TUSK_ENOTFOUND && model_cursor_state(op->cursor) == NULL;
    case ENGINE_TOPIC_TRIM:
        return status == TUSK_EINVALID && op->asked_offset > op->low;
    case ENGINE_TOPIC_SET:
    case ENGINE_TOPIC_DELETE:
    case ENGINE_TOPIC_CREATE:
    case ENGINE_NAMESPACE_SET:
    case ENGINE_SYNC:
        return false;
    }
    return false;
}

void oracle_refused(struct world *w, struct op *op)
{
    const struct engine_request *base =
        op->kind == OP_APPEND ? &op->append.base : &op->command.base;
    const int status = base->status;
    bool may = false;

    if (op->refused) {
        return;
    }
    op->refused = true;
    w->disturbed = w->disturbed || sim_disk_is_down(w->disk);
    w->faulted = w->faulted || sim_disk_fired(w->disk) > w->fired;
    if (status == TUSK_ECLOSED) {
        may = w->stopping;
    } else if (status == TUSK_EIO || status == TUSK_EUNKNOWN || status == TUSK_ENOMEM) {
        may = world_excused(w);
    } else if (status == TUSK_ENOSPACE) {
        may = w->full || world_excused(w);
    } else if (status == TUSK_ECORRUPT && op->kind == OP_COMMAND) {
        may = op->command.position == ENGINE_AT_TIME && world_may_be_damaged(w);
    } else {
        may = (op->kind == OP_APPEND ? append_may_fail(op, status) : command_may_fail(op, status));
    }
    if (!may) {
        world_fail(w, "nothing is refused without its reason", "operation %llu: %s: %s",
                   (unsigned long long)op->number, status_name(status), base->error.text);
    }
}

/* ---- replies ---- */

static void append_done(struct world *w, struct op *op)
{
    const struct engine_append *append = &op->append;
    struct step *step = op->step;

    if (append->base.status != 0) {
        if (op->staged && append->base.status != TUSK_EUNKNOWN) {
            world_fail(w, "what is refused was not stored", "operation %llu: %s: %s",
                       (unsigned long long)op->number, status_name(append->base.status),
                       append->base.error.text);
        }
        oracle_refused(w, op);
        return;
    }
    if (!op->staged || append->topic_id != op->topic->id || append->first_offset != step->first) {
        world_fail(w, "an append is answered with its place", "operation %llu: topic %llu, %llu",
                   (unsigned long long)op->number, (unsigned long long)append->topic_id,
                   (unsigned long long)append->first_offset);
    }
    if (op->must_sync && append->durable_end < step->end && op->topic->delete == NULL) {
        world_fail(w, "a durable reply follows the sync",
                   "operation %llu: durable end %llu, end %llu", (unsigned long long)op->number,
                   (unsigned long long)append->durable_end, (unsigned long long)step->end);
    }
    if (append->durable_end > model_end_high(op->topic)) {
        world_fail(w, "the durable end is within the log", "operation %llu: %llu",
                   (unsigned long long)op->number, (unsigned long long)append->durable_end);
    }
    step->acked = true;
    model_promise(op->ns, step, op->must_sync);
    if (append->durable_end > op->topic->promised_end) {
        op->topic->promised_end = append->durable_end;
    }
}

static void command_done(struct world *w, struct op *op)
{
    const struct engine_command *command = &op->command;

    if (command->base.status != 0) {
        if (op->staged && command->base.status != TUSK_EUNKNOWN) {
            world_fail(w, "what is refused was not done", "operation %llu: %s",
                       (unsigned long long)op->number, command->base.error.text);
        }
        if (!op->staged) {
            oracle_refused(w, op);
        }
        return;
    }
    if (!op->staged || command->offset != op->result_offset || command->epoch != op->result_epoch) {
        world_fail(w, "a command is answered once it was done", "operation %llu",
                   (unsigned long long)op->number);
    }
    if (command->kind == ENGINE_SYNC) {
        model_promise_before(op->ns, op->tick, true);
    } else if (op->loose && command->kind == ENGINE_CHECKPOINT) {
        op->step->acked = true;
    } else {
        op->step->acked = true;
        op->step->loose = false; /* A strict checkpoint made it certain */
        model_promise(op->ns, op->step, true);
    }
    if (command->kind == ENGINE_CHECKPOINT && !op->loose &&
        op->result_offset > op->topic->promised_end &&
        op->result_offset <= model_end_high(op->topic)) {
        op->topic->promised_end = op->result_offset;
    }
}

void oracle_done(struct world *w, struct op *op)
{
    const int status = op->append.base.status;

    w->report->statuses[status <= 0 && status > -24 ? -status : 23]++;
    w->results = w->results * UINT64_C(0x9e3779b97f4a7c15) + op->number * 31u + (uint64_t)-status;
    world_log(w, "  op %llu done: %s%s%s", (unsigned long long)op->number,
              status == 0 ? "OK" : status_name(status), status == 0 ? "" : ": ",
              status == 0 ? "" : op->append.base.error.text);
    switch (op->kind) {
    case OP_APPEND:
        append_done(w, op);
        break;
    case OP_READ:
        if (status == 0) {
            held_take(w, op);
        }
        oracle_read_done(w, op);
        break;
    case OP_COMMAND:
        command_done(w, op);
        break;
    }
}
