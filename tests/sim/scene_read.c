/* Replies to reads: every byte, and that nothing is left out. */
#include <string.h>

#include "proto/batch.h"
#include "tests/sim/scene.h"

static _Noreturn void fail(struct client *c, const struct call *call, const char *promise,
                           uint64_t offset)
{
    const struct message_read *asked = &call->message.u.read;

    scene_fail(c->scene, promise,
               "client %llu, request %llu (position %u:%llu, at most %u bytes, %u entries, held "
               "%lld), topic %s, at %llu",
               (unsigned long long)c->number, (unsigned long long)call->id, asked->position.kind,
               (unsigned long long)asked->position.value, asked->max_bytes, asked->max_entries,
               (long long)asked->held, ledger_topic_names[call->name_index],
               (unsigned long long)offset);
}

/* The topic is that of the call, as long as that cannot have been deleted. */
static bool same_topic(const struct call *call, const struct ledger_topic *topic)
{
    return call->topic == topic && !topic->delete_asked;
}

/* Whole, valid, known batches. Returns how many; *entries: how many of [from, to). */
static uint32_t check_batches(struct client *c, struct call *call, struct ledger_topic *topic,
                              const struct message_read_reply *reply, uint64_t *entries)
{
    const uint32_t seed = batch_seed(c->hello.store_id, reply->generation);
    uint32_t position = reply->position;
    uint64_t behind = 0;
    uint32_t count = 0;
    uint32_t at = 0;

    *entries = 0;
    while (at < reply->data_size) {
        const uint8_t *data = reply->data + at;
        struct batch_header header;
        uint64_t end;

        if (batch_verify(data, reply->data_size - at, UINT32_MAX / 2, &header) != BATCH_GOOD ||
            batch_header_crc(data, seed, position) != header.header_crc) {
            fail(c, call, "batches check out", at);
        }
        end = header.first_offset + header.entry_count;
        if (header.first_offset < behind || end <= reply->from ||
            header.first_offset >= reply->to) {
            fail(c, call, "batches are those that were asked for, in order", header.first_offset);
        }
        (void)ledger_sight(c->scene, topic, data, BATCH_HEADER_SIZE + header.stored_size);
        *entries += (end < reply->to ? end : reply->to) -
                    (header.first_offset > reply->from ? header.first_offset : reply->from);
        behind = end;
        count++;
        at += (uint32_t)batch_padded_size(header.stored_size);
        position += (uint32_t)batch_padded_size(header.stored_size);
    }
    return count;
}

/* The cursor is behind what was delivered, and nobody else gets that, also not a read that was under
 * way together with this one. */
static void consumed(struct client *c, struct call *call, struct ledger_topic *topic,
                     const struct message_read_reply *reply)
{
    const bool strict =
        c->space->consistency.since < call->asked && c->space->consistency.value == 0;
    const struct ledger_delivery delivery = {
        .epoch = reply->epoch, .from = reply->from, .to = reply->to};

    ledger_cursor_delivered(c->scene, topic, call->cursor, &delivery);
    ledger_cursor_told(c->scene, topic, call->cursor, reply->epoch, reply->to, strict, strict);
    if (!strict && c->space->consistency.since < call->asked &&
        reply->to >= c->space->consistency.value) {
        /* All but what may be forgotten outlives the process. */
        ledger_cursor_told(c->scene, topic, call->cursor, reply->epoch,
                           reply->to - (c->space->consistency.value - 1), false, true);
    }
}

/* Which entries there were to deliver: those known between where the read began and where it ended. */
static void check_holes(struct client *c, struct call *call, const struct ledger_topic *topic,
                        const struct message_read_reply *reply, uint32_t delivered)
{
    const struct message_read *asked = &call->message.u.read;
    uint64_t from = reply->from;
    uint32_t known = 0;
    uint32_t i;

    if (asked->position.kind == POSITION_OFFSET && asked->position.value < from) {
        from = asked->position.value;
    }
    for (i = ledger_at(topic, from); i < topic->placed_count; i++) {
        const struct ledger_append *append = topic->placed[i];

        if (append->first >= reply->to) {
            break;
        }
        if (append->end > from && append->fate == FATE_TOLD) {
            known++;
        }
    }
    if (known > delivered + (delivered == 0 && asked->held != MESSAGE_HELD_NONE ? 1u : 0u)) {
        fail(c, call, "nothing is skipped", from);
    }
}

void reply_read(struct client *c, struct call *call, const struct message_read_reply *reply)
{
    const struct message_read *asked = &call->message.u.read;
    struct scene *s = c->scene;
    struct ledger_topic *topic = ledger_topic(s, c->space, reply->topic_id, call->name_index);
    const bool same = same_topic(call, topic);
    uint64_t entries;
    uint32_t count;

    if (reply->from >= reply->to || reply->to > reply->end || reply->durable_end > reply->end ||
        (asked->position.kind == POSITION_OFFSET && reply->from < asked->position.value)) {
        fail(c, call, "the offsets of a reply fit what was asked", reply->from);
    }
    if (same && ((reply->end < call->end && !topic->space->rescheduled) ||
                 reply->durable_end < call->durable_end || reply->from < call->first)) {
        fail(c, call, "what one client was told, the next one finds", reply->end);
    }
    if (reply->skipped_to != 0) {
        fail(c, call, "a healthy disk has no damage", reply->skipped_from);
    }
    count = check_batches(c, call, topic, reply, &entries);
    if (count == 0 && asked->held == MESSAGE_HELD_NONE) {
        fail(c, call, "an answer has entries", reply->from);
    }
    if (entries > asked->max_entries) {
        fail(c, call, "no more entries than asked for", reply->from);
    }
    check_holes(c, call, topic, reply, count);
    c->drained = topic;
    c->drained_to = reply->to;
    ledger_ends_told(topic, reply->end, reply->durable_end);
    if (asked->position.kind == POSITION_CURSOR && same && !topic->cursors[call->cursor].loose) {
        if (reply->epoch < call->epoch ||
            (reply->epoch == call->epoch && call->epoch != 0 && reply->from < call->offset)) {
            fail(c, call, "a cursor goes back only when it is sought", call->offset);
        }
        if ((asked->flags & READ_CONSUME) != 0) {
            consumed(c, call, topic, reply);
        }
    }
}

void reply_read_trimmed(struct client *c, struct call *call, const struct message_error *error)
{
    const struct message_read *asked = &call->message.u.read;
    const struct ledger_topic *topic = call->topic;

    if (asked->position.kind == POSITION_OFFSET && error->detail_a <= asked->position.value) {
        fail(c, call, "TRIMMED names an offset that is kept", error->detail_a);
    }
    if (topic != NULL && !topic->delete_asked && !c->scene->taste.retention &&
        error->detail_a > topic->trim_asked) {
        fail(c, call, "nothing goes that is to be kept", error->detail_a);
    }
}

void reply_read_end(struct client *c, struct call *call, const struct message_error *error)
{
    const struct message_read *asked = &call->message.u.read;
    const struct ledger_topic *topic = call->topic;
    struct scene *s = c->scene;

    if (topic == NULL || topic->delete_asked) {
        return;
    }
    if ((error->detail_a < call->end && !topic->space->rescheduled) ||
        error->detail_b < call->durable_end || error->detail_b > error->detail_a) {
        fail(c, call, "what one client was told, the next one finds", error->detail_a);
    }
    if (asked->position.kind == POSITION_OFFSET && asked->position.value < error->detail_a &&
        !topic->space->rescheduled &&
        ledger_at(topic, asked->position.value) < topic->placed_count &&
        topic->placed[ledger_at(topic, asked->position.value)]->told < call->asked &&
        topic->placed[ledger_at(topic, asked->position.value)]->fate == FATE_TOLD) {
        fail(c, call, "END is where no entry is", error->detail_a);
    }
    if (asked->wait_ms > 0 && !s->stopping && !scene_excused(s) && !c->half_closed &&
        c->doom == NEVER && scene_now_us(s) < call->asked_us + asked->wait_ms * UINT64_C(1000)) {
        fail(c, call, "a read waits as long as it was asked to", error->detail_a);
    }
}
