/* Judging replies to reads. */
#include <string.h>

#include "proto/batch.h"
#include "tests/sim/oracle.h"

void oracle_read_submitted(struct world *w, struct op *op)
{
    const struct engine_read *read = &op->read;
    const struct step *state;

    if (op->topic == NULL) {
        return;
    }
    op->low = model_end_low(op->topic);
    op->asked_offset = model_first(op->topic);
    switch (read->position) {
    case ENGINE_AT_OFFSET:
        op->start = read->value;
        break;
    case ENGINE_AT_EARLIEST:
        op->start = model_first(op->topic);
        break;
    case ENGINE_AT_CURSOR:
        state = model_cursor_state(op->cursor);
        if (!op->cursor->busy) { /* Else nobody knows where it stands */
            op->start = state == NULL ? model_first(op->topic) : state->offset;
        }
        break;
    case ENGINE_AT_LATEST:
    case ENGINE_AT_TIME:
        op->start = NOT_STAGED;
        break;
    }
    if (read->consume) {
        op->cursor->busy = true;
    }
    oracle_read_decided(w, op);
}

void oracle_read_decided(struct world *w, struct op *op)
{
    const struct engine_read *read = &op->read;

    if (op->staged || read->state != NULL || op->topic == NULL) {
        return;
    }
    op->staged = true;
    op->must_sync = model_settings(op->ns)->fsync_ms == ENGINE_FSYNC_EACH;
    if (read->consume) {
        op->cursor->busy = false;
        if (read->base.status == 0 || read->base.status == TUSK_EUNKNOWN) {
            oracle_cursor_moved(w, op, read->to, read->epoch, true);
        }
    }
}

void oracle_reads_decided(struct world *w)
{
    struct op *op;

    for (op = w->ops; op != NULL; op = op->next) {
        if (op->kind == OP_READ) {
            oracle_read_decided(w, op);
        }
    }
}

static void fail_read(struct world *w, const struct op *op, const char *promise, uint64_t a,
                      uint64_t b)
{
    world_fail(w, promise, "operation %llu on topic %llu: [%llu, %llu): %llu, %llu",
               (unsigned long long)op->number, (unsigned long long)op->topic->id,
               (unsigned long long)op->read.from, (unsigned long long)op->read.to,
               (unsigned long long)a, (unsigned long long)b);
}

/* Where a read by time must begin. A trim under way may come before or after it. */
static uint64_t time_start(const struct op *op, uint64_t from)
{
    const uint64_t before = model_time_position(op->topic, op->asked_offset, op->read.value);
    const uint64_t after = model_time_position(op->topic, model_first(op->topic), op->read.value);

    return from >= before && from <= after ? from : after;
}

/* The bytes are those that were appended, where they were appended. */
static const struct step *check_batch(struct world *w, struct op *op, const uint8_t *data,
                                      size_t size, uint32_t position)
{
    const uint32_t seed = batch_seed(op->ns->store_id, op->read.generation);
    struct model_topic *topic = op->topic;
    struct batch_header header;
    const struct step *step;
    uint32_t at;

    if (batch_verify(data, size, UINT32_MAX / 2, &header) != BATCH_GOOD ||
        batch_header_crc(data, seed, position) != header.header_crc) {
        if (op->read.range.segment != NULL && world_may_be_damaged(w)) {
            return NULL; /* Nobody has looked at it but the client, who sees this and asks again */
        }
        fail_read(w, op, "what is read checks out", position, 0);
    }
    at = model_batch_at(topic, header.first_offset);
    if (w->kind == KIND_LIE &&
        (at == topic->batches.count || topic->batches.steps[at]->first != header.first_offset)) {
        return NULL; /* Below a write that was lost lies one that no answer had promised */
    }
    if (at == topic->batches.count || topic->batches.steps[at]->first != header.first_offset) {
        fail_read(w, op, "nothing is read that was not appended", header.first_offset, 0);
    }
    step = topic->batches.steps[at];
    if (step->size != BATCH_HEADER_SIZE + header.stored_size ||
        memcmp(step->bytes + BATCH_HEADER_SIZE, data + BATCH_HEADER_SIZE, header.stored_size) !=
            0 ||
        step->end != header.first_offset + header.entry_count) {
        fail_read(w, op, "entries are read as they were appended", header.first_offset,
                  step->number);
    }
    if (step->time_us != header.time_us) {
        fail_read(w, op, "an entry's time is when it was stored", header.time_us, step->time_us);
    }
    return step;
}

/* Entries and bytes of what is delivered, from the model's own copies. */
static void check_limits(struct world *w, struct op *op)
{
    const struct model_topic *topic = op->topic;
    uint64_t entries = 0;
    uint64_t bytes = 0;
    uint64_t more = 0; /* Bytes behind the first entry, which comes even if larger */
    uint32_t i;

    for (i = model_batch_at(topic, op->read.from); i < topic->batches.count; i++) {
        const struct step *step = topic->batches.steps[i];
        struct batch_iterator it;
        struct batch_entry entry;
        uint64_t offset = step->first;

        batch_entries(&it, step->bytes);
        while (batch_next(&it, &entry)) {
            if (offset >= op->read.from && offset < op->read.to) {
                bytes += entry.size;
                more += entries > 0 ? entry.size : 0;
                entries++;
            }
            offset++;
        }
        if (step->end >= op->read.to) {
            break;
        }
    }
    w->results += bytes + entries;
    if (entries == 0 || entries > op->read.max_entries ||
        (bytes > op->read.max_bytes && more > 0)) {
        fail_read(w, op, "a read returns an entry, and no more than was asked for", entries, bytes);
    }
}

static void check_batches(struct world *w, struct op *op)
{
    const struct engine_read *read = &op->read;
    uint64_t offset = read->from;
    uint32_t at = 0;

    while (at < read->data_size) {
        const struct step *step =
            check_batch(w, op, read->data + at, read->data_size - at, read->block_position + at);
        uint64_t from;

        if (step == NULL) {
            return;
        }
        from = step->first > offset ? step->first : offset;
        if (model_next_entry(op->topic, offset) != from || from >= read->to ||
            step->end <= offset) {
            fail_read(w, op, "a read skips nothing, and repeats nothing", offset, step->first);
        }
        model_promise(op->ns, op->topic->batches.steps[model_batch_at(op->topic, step->first)],
                      op->must_sync && step->end <= read->durable_end);
        offset = step->end < read->to ? step->end : read->to;
        at += (uint32_t)batch_padded_size((uint32_t)(step->size - BATCH_HEADER_SIZE));
    }
    if (read->data_size > 0 && model_next_entry(op->topic, offset) < read->to) {
        fail_read(w, op, "a read delivers all it says", offset, read->to);
    }
}

static void check_held(struct world *w, struct op *op)
{
    const struct model_topic *topic = op->topic;
    const uint32_t at = model_batch_at(topic, op->read.from);

    if (op->read.held == UINT64_MAX || at == topic->batches.count ||
        topic->batches.steps[at]->first != op->read.held ||
        topic->batches.steps[at]->end < op->read.to) {
        fail_read(w, op, "only what the reader holds is left out", op->read.held, 0);
    }
}

/* Where a read that was told to skip damage goes on behind it. Healthy disks have none. */
static uint64_t behind_damage(struct world *w, struct op *op, uint64_t start)
{
    const struct engine_read *read = &op->read;

    if (read->skipped_to == 0) {
        return start;
    }
    if (!read->skip_damage || !world_may_be_damaged(w) || read->skipped_to <= read->skipped_from) {
        fail_read(w, op, "what is not damaged is not skipped", read->skipped_from,
                  read->skipped_to);
    }
    return start != UINT64_MAX && start < read->skipped_to ? read->skipped_to : start;
}

static void consumed(struct op *op)
{
    if (op->read.consume) {
        op->step->acked = true;
        if (!op->loose) {
            op->step->loose = false;
            model_promise(op->ns, op->step, true);
        }
    }
}

/* All that was there to read was damaged. */
static void passed_damage(struct world *w, struct op *op, uint64_t start)
{
    const struct engine_read *read = &op->read;

    if (world_excused(w)) {
        return; /* The disk is gone: what cannot be read is damage as far as it can be told */
    }
    if (read->data_size != 0 || read->skipped_to == 0 || read->to < read->skipped_to ||
        read->to > read->end || start == UINT64_MAX ||
        model_next_entry(op->topic, start) < read->end) {
        fail_read(w, op, "damage is passed to the end, and no further", start, read->end);
    }
}

static void delivered(struct world *w, struct op *op)
{
    const struct engine_read *read = &op->read;
    struct model_topic *topic = op->topic;
    uint64_t start = op->start;

    if (read->topic_id != topic->id) {
        fail_read(w, op, "a read is answered by its topic", read->topic_id, 0);
    }
    if (read->position == ENGINE_AT_TIME) {
        start = time_start(op, read->from);
    } else if (start == NOT_STAGED) {
        start = read->position == ENGINE_AT_CURSOR || read->from >= op->low ? read->from : 0;
    }
    start = behind_damage(w, op, start);
    if (read->from == read->to) {
        passed_damage(w, op, start);
        consumed(op);
        return;
    }
    if (w->kind == KIND_LIE && start != UINT64_MAX && read->from < model_next_entry(topic, start)) {
        return; /* A write that was lost left a batch below it that no answer had promised: such hardware is not covered */
    }
    /* A range may begin in the gap before its first entry: nobody has looked. */
    if (start == UINT64_MAX || (read->from != model_next_entry(topic, start) &&
                                !(read->range.segment != NULL && read->from >= start &&
                                  read->from < model_next_entry(topic, start)))) {
        fail_read(w, op, "a read begins with the entry asked for", start,
                  start == UINT64_MAX ? 0 : model_next_entry(topic, start));
    }
    if (read->to <= read->from || read->to > read->end || read->end > model_end_high(topic) ||
        read->end < op->low || read->durable_end > model_end_high(topic)) {
        fail_read(w, op, "ends are where they are", read->end, read->durable_end);
    }
    /* A range may end in the gap behind its last entry. */
    if (op->must_sync && read->to > read->durable_end && read->to > topic->shown_high &&
        !(read->range.segment != NULL && model_next_entry(topic, read->durable_end) >= read->to)) {
        fail_read(w, op, "in schedule each only what is durable is read", read->to,
                  read->durable_end);
    }
    if (read->range.segment != NULL && read->data == NULL) {
        return; /* The disk did not give what it had in memory */
    }
    if (read->data_size == 0) {
        check_held(w, op);
    }
    check_batches(w, op);
    check_limits(w, op);
    w->report->reads++;
    if (read->data_size > 0) {
        w->seen_size = read->data_size < sizeof w->seen ? read->data_size : sizeof w->seen;
        memcpy(w->seen, read->data, w->seen_size);
    }
    consumed(op);
}

static void ended(struct world *w, struct op *op)
{
    const struct engine_read *read = &op->read;
    const struct model_topic *topic = op->topic;
    uint64_t start = op->start;

    if (read->position == ENGINE_AT_TIME) {
        start = time_start(op, UINT64_MAX);
    }
    start = behind_damage(w, op, start);
    if (start != UINT64_MAX && model_next_entry(topic, start) < read->base.detail_a) {
        fail_read(w, op, "END is said only at the end", model_next_entry(topic, start),
                  read->base.detail_a);
    }
    if (read->base.detail_a < op->low || read->base.detail_a > model_end_high(topic) ||
        read->base.detail_b > model_end_high(topic)) {
        fail_read(w, op, "END tells the ends", read->base.detail_a, read->base.detail_b);
    }
    if (!op->cancelled && !w->stopping && read->skipped_to == 0 &&
        w->told.mono_us < op->mono_us + (uint64_t)read->wait_ms * 1000u) {
        fail_read(w, op, "a read waits as long as it was told to", w->told.mono_us, op->mono_us);
    }
}

static bool may_fail(const struct world *w, const struct op *op, int status)
{
    const struct engine_read *read = &op->read;

    switch (status) {
    case TUSK_ENOTFOUND:
        return op->topic == NULL || op->topic->delete != NULL;
    case TUSK_ETRIMMED:
        return op->topic != NULL && read->base.detail_a <= model_first(op->topic) &&
               (op->start == NOT_STAGED || op->start < read->base.detail_a);
    case TUSK_EINVALID:
        return op->wrong || (read->position == ENGINE_AT_OFFSET && read->value > op->low);
    case TUSK_ECLOSED:
        return op->cancelled || w->stopping;
    case TUSK_EIO:
    case TUSK_EUNKNOWN:
        return world_excused(w);
    case TUSK_EBUSY:
        return read->consume;
    case TUSK_EQUOTA:
        return read->consume && op->ns->quota;
    case TUSK_ECORRUPT:
        return world_may_be_damaged(w);
    default:
        return false;
    }
}

void oracle_read_done(struct world *w, struct op *op)
{
    const int status = op->read.base.status;

    if (status != 0 && status != TUSK_EEND) {
        if (!may_fail(w, op, status)) {
            world_fail(w, "nothing is refused without its reason", "read %llu: %s: %s",
                       (unsigned long long)op->number, status_name(status),
                       op->read.base.error.text);
        }
        return;
    }
    if (op->topic == NULL) {
        world_fail(w, "a topic that is not there is not read", "operation %llu",
                   (unsigned long long)op->number);
    }
    if (status == 0) {
        delivered(w, op);
    } else {
        ended(w, op);
    }
}
