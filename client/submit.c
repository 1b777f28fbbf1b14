/* Pipelined requests, and what their users call to move them. */
#include "client/batch_view.h"
#include "client/connection.h"
#include "proto/bytes.h"

#include <poll.h>
#include <string.h>

#define READ_BYTES (1024u * 1024)

_Static_assert(TUSK_APPEND_DURABLE == APPEND_DURABLE, "the user's flags go out as they are");
_Static_assert(TUSK_APPEND_NO_CREATE == APPEND_NO_CREATE, "the user's flags go out as they are");
_Static_assert(TUSK_READ_SKIP_DAMAGE == READ_SKIP_DAMAGE, "the user's flags go out as they are");
_Static_assert(TUSK_READ_UNCHECKED == READ_UNCHECKED, "likewise");
_Static_assert(TUSK_CHECKPOINT_NO_CREATE == CHECKPOINT_NO_CREATE, "likewise");
_Static_assert((int)TUSK_FROM_LATEST == (int)POSITION_LATEST, "positions, too");
_Static_assert((int)TUSK_FROM_TIME == (int)POSITION_TIME, "positions, too");

int name_from(struct tusk *t, const char *what, const char *text, struct message_name *name)
{
    size_t size = text == NULL ? 0 : strnlen(text, MESSAGE_NAME_SIZE_MAX + 1);

    if (text == NULL) {
        return failure_set(&t->failure, TUSK_EINVALID, "the %s is NULL", what);
    }
    if (size > MESSAGE_NAME_SIZE_MAX) {
        return failure_set(&t->failure, TUSK_EINVALID, "a %s has at most %u bytes", what,
                           MESSAGE_NAME_SIZE_MAX);
    }
    if (!message_utf8_valid(text, size)) {
        return failure_set(&t->failure, TUSK_EINVALID, "the %s is not valid UTF-8", what);
    }
    *name = (struct message_name){.data = text, .size = (uint16_t)size};
    return TUSK_OK;
}

int topic_by_name(struct tusk *t, const char *name, struct message_topic *topic)
{
    int rc;

    *topic = (struct message_topic){0};
    rc = name_from(t, "topic name", name, &topic->name);
    if (rc == TUSK_OK && topic->name.size == 0) {
        rc = failure_set(&t->failure, TUSK_EINVALID, "a topic name has at least one byte");
    }
    return rc;
}

/* ---- Append ---- */

int append_reserve(struct tusk *t, const struct message_topic *topic, uint32_t flags,
                   uint32_t count, uint64_t payload_size, struct append_room *room)
{
    size_t batch_size = count > 0 ? batch_encoded_size(count, payload_size) : 0;
    struct message message;
    size_t head_size;
    int rc;

    if (count == 0 || (flags & ~(TUSK_APPEND_DURABLE | TUSK_APPEND_NO_CREATE)) != 0) {
        (void)failure_set(&t->failure, TUSK_EINVALID,
                          count == 0 ? "a batch has at least one entry" : "unknown append flags");
        return TUSK_EINVALID;
    }
    if (batch_size == 0 || batch_size - BATCH_HEADER_SIZE > t->hello.batch_size_max) {
        (void)failure_set(&t->failure, TUSK_ETOOBIG,
                          "a batch of %u entries and %llu bytes; the daemon takes batches of at "
                          "most %u bytes, 4 for each entry included",
                          count, (unsigned long long)payload_size, t->hello.batch_size_max);
        return TUSK_ETOOBIG;
    }
    message.type = MESSAGE_APPEND;
    message.u.append = (struct message_append){
        .topic = *topic, .flags = (uint16_t)flags, .batch_size = (uint32_t)batch_size};
    head_size = FRAME_HEADER_SIZE + message_size(&message);
    rc = pipeline_reserve(t, (uint64_t)head_size + batch_size, &room->frame);
    if (rc != TUSK_OK) {
        return rc;
    }
    message.u.append.batch = room->frame + head_size;
    (void)message_encode(room->frame + FRAME_HEADER_SIZE, &message);
    room->frame_size = (uint32_t)(head_size + batch_size);
    room->batch = room->frame + head_size;
    room->lengths = room->batch + BATCH_HEADER_SIZE;
    room->payload = room->lengths + 4 * (size_t)count;
    room->count = count;
    room->body_size = (uint32_t)(batch_size - BATCH_HEADER_SIZE);
    return TUSK_OK;
}

uint64_t append_commit(struct tusk *t, const struct append_room *room, struct request_plan plan)
{
    batch_finish(room->batch, room->count, room->body_size);
    plan.type = MESSAGE_APPEND;
    plan.changes = true;
    plan.count = room->count;
    return pipeline_commit(t, room->frame, room->frame_size, &plan);
}

static int append_measure(struct tusk *t, const struct tusk_bytes *entries, uint32_t count,
                          uint64_t *payload_size)
{
    uint32_t i;

    *payload_size = 0;
    for (i = 0; i < count; i++) {
        if (entries[i].data == NULL && entries[i].size > 0) {
            return failure_set(&t->failure, TUSK_EINVALID, "entry %u of the batch is NULL", i);
        }
        if (entries[i].size > t->hello.entry_size_max) {
            return failure_set(&t->failure, TUSK_ETOOBIG,
                               "an entry of %zu bytes; the daemon takes entries of at most %u",
                               entries[i].size, t->hello.entry_size_max);
        }
        *payload_size += entries[i].size;
    }
    return TUSK_OK;
}

int append_submit(struct tusk *t, const char *topic, const struct tusk_bytes *entries,
                  uint32_t count, uint32_t flags, struct request_plan plan, uint64_t *id)
{
    struct message_topic by_name;
    struct append_room room;
    uint64_t payload_size = 0;
    uint32_t i;
    int rc = topic_by_name(t, topic, &by_name);

    if (rc == TUSK_OK) {
        rc = append_measure(t, entries, count, &payload_size);
    }
    if (rc == TUSK_OK) {
        rc = append_reserve(t, &by_name, flags, count, payload_size, &room);
    }
    if (rc != TUSK_OK) {
        return rc;
    }
    for (i = 0; i < count; i++) {
        put_u32(room.lengths + 4 * (size_t)i, (uint32_t)entries[i].size);
        if (entries[i].size > 0) {
            memcpy(room.payload, entries[i].data, entries[i].size);
            room.payload += entries[i].size;
        }
    }
    *id = append_commit(t, &room, plan);
    return TUSK_OK;
}

void append_result_fill(struct tusk_append_result *result, const struct message_append_reply *reply,
                        uint32_t count)
{
    *result = (struct tusk_append_result){.topic_id = reply->topic_id,
                                          .first_offset = reply->first_offset,
                                          .last_offset = reply->first_offset + count - 1,
                                          .durable_end = reply->durable_end};
}

static void submitted_append_done(struct tusk *t, const struct request *request,
                                  const struct reply *reply)
{
    struct tusk_append_result result;

    (void)t;
    if (request->plan.fn.append == NULL) {
        return;
    }
    if (reply->code != TUSK_OK) {
        request->plan.fn.append(request->plan.user, reply->code, NULL);
        return;
    }
    append_result_fill(&result, &reply->u.append, request->plan.count);
    request->plan.fn.append(request->plan.user, TUSK_OK, &result);
}

int tusk_submit_append_batch(struct tusk *t, const char *topic, const struct tusk_bytes *entries,
                             uint32_t count, uint32_t flags, tusk_append_fn fn, void *user)
{
    const struct request_plan plan = {.done = submitted_append_done, .fn.append = fn, .user = user};
    uint64_t id;

    return append_submit(t, topic, entries, count, flags, plan, &id);
}

int tusk_submit_append(struct tusk *t, const char *topic, const void *data, size_t size,
                       uint32_t flags, tusk_append_fn fn, void *user)
{
    const struct tusk_bytes entry = {.data = data, .size = size};

    return tusk_submit_append_batch(t, topic, &entry, 1, flags, fn, user);
}

/* ---- Read ---- */

int read_message(struct tusk *t, struct message *message, const char *topic, const char *cursor,
                 const struct tusk_read_options *options, bool consume)
{
    struct tusk_read_options all = {0};
    struct message_read *read = &message->u.read;
    int rc;

    if (options != NULL && options->size < sizeof options->size) {
        return failure_set(&t->failure, TUSK_EINVALID, "tusk_read_options.size is not set");
    }
    if (options != NULL) {
        memcpy(&all, options, options->size < sizeof all ? options->size : sizeof all);
    }
    if (all.from.kind > TUSK_FROM_LATEST ||
        (all.flags & ~(TUSK_READ_SKIP_DAMAGE | TUSK_READ_UNCHECKED)) != 0 ||
        (cursor != NULL && all.from.kind != TUSK_FROM_DEFAULT)) {
        return failure_set(&t->failure, TUSK_EINVALID,
                           "a read with an unknown position or flag, or with both a cursor and a "
                           "position");
    }
    if (consume || (t->hello.features & FEATURE_UNCHECKED) == 0) {
        all.flags &= ~TUSK_READ_UNCHECKED;
    }
    message->type = MESSAGE_READ;
    *read = (struct message_read){
        .flags = (uint16_t)(all.flags | (consume ? READ_CONSUME : 0)),
        .max_bytes = all.max_bytes == 0 ? READ_BYTES : all.max_bytes,
        .max_entries = all.max_entries == 0 ? UINT32_MAX : all.max_entries,
        .wait_ms = all.wait_ms,
        .held = MESSAGE_HELD_NONE,
    };
    read->position.kind = (uint16_t)all.from.kind;
    if (all.from.kind == TUSK_FROM_OFFSET || all.from.kind == TUSK_FROM_TIME) {
        read->position.value = all.from.value;
    }
    if (all.from.kind == TUSK_FROM_DEFAULT) {
        read->position.kind = cursor != NULL ? POSITION_CURSOR : POSITION_EARLIEST;
    }
    rc = topic_by_name(t, topic, &read->topic);
    if (rc == TUSK_OK) {
        rc = name_from(t, "cursor name", cursor != NULL ? cursor : "", &read->cursor);
    }
    return rc;
}

static void submitted_read_done(struct tusk *t, const struct request *request,
                                const struct reply *reply)
{
    struct tusk_batch *batch = reply->code == TUSK_OK ? reply->u.batch : NULL;

    (void)t;
    request->plan.fn.read(request->plan.user, reply->code, batch);
}

int tusk_submit_read(struct tusk *t, const char *topic, const char *cursor,
                     const struct tusk_read_options *options, tusk_read_fn fn, void *user)
{
    const struct request_plan plan = {
        .type = MESSAGE_READ, .done = submitted_read_done, .fn.read = fn, .user = user};
    struct message message;
    int rc = read_message(t, &message, topic, cursor, options, false);

    if (rc == TUSK_OK && fn == NULL) {
        rc = failure_set(&t->failure, TUSK_EINVALID, "a read without a callback");
    }
    return rc == TUSK_OK ? pipeline_submit(t, &message, &plan, NULL) : rc;
}

/* ---- Checkpoint ---- */

static void submitted_checkpoint_done(struct tusk *t, const struct request *request,
                                      const struct reply *reply)
{
    struct tusk_cursor_place place;

    (void)t;
    if (request->plan.fn.checkpoint == NULL) {
        return;
    }
    if (reply->code != TUSK_OK) {
        request->plan.fn.checkpoint(request->plan.user, reply->code, NULL);
        return;
    }
    place = (struct tusk_cursor_place){.offset = reply->u.cursor.offset,
                                       .epoch = reply->u.cursor.epoch};
    request->plan.fn.checkpoint(request->plan.user, TUSK_OK, &place);
}

int tusk_submit_checkpoint(struct tusk *t, const char *topic, const char *cursor, uint64_t offset,
                           uint64_t epoch, uint32_t flags, tusk_checkpoint_fn fn, void *user)
{
    const struct request_plan plan = {.type = MESSAGE_CHECKPOINT,
                                      .changes = true,
                                      .done = submitted_checkpoint_done,
                                      .fn.checkpoint = fn,
                                      .user = user};
    struct message message;
    int rc;

    message.type = MESSAGE_CHECKPOINT;
    message.u.checkpoint = (struct message_checkpoint){
        .offset = offset, .epoch = epoch, .flags = (uint16_t)(flags & TUSK_CHECKPOINT_NO_CREATE)};
    rc = topic_by_name(t, topic, &message.u.checkpoint.topic);
    if (rc == TUSK_OK) {
        rc = name_from(t, "cursor name", cursor, &message.u.checkpoint.cursor);
    }
    return rc == TUSK_OK ? pipeline_submit(t, &message, &plan, NULL) : rc;
}

/* ---- Moving them ---- */

/* Whether something that changes anything, submitted before the stream's position `mark`, is
 * in flight. Requests are linked in that order. */
static bool changes_in_flight(const struct tusk *t, uint64_t mark)
{
    uint32_t index;

    for (index = t->oldest; index != REQUEST_NONE; index = t->slots[index].newer) {
        const struct request *request = &t->slots[index];

        if (request->begin >= mark) {
            return false;
        }
        if (request->plan.changes) {
            return true;
        }
    }
    return false;
}

int tusk_flush(struct tusk *t, int timeout_ms)
{
    uint64_t deadline_us = pipeline_deadline_us(t, timeout_ms);
    uint64_t mark = stream_position(&t->stream);
    int rc = pipeline_check_outside_callback(t);

    if (rc != TUSK_OK) {
        return rc;
    }
    rc = pipeline_turn(t);
    while (rc == TUSK_OK && changes_in_flight(t, mark)) {
        if (clock_now_us() >= deadline_us) {
            return failure_set(&t->failure, TUSK_ETIMEOUT, "%u requests are still in flight",
                               t->in_flight);
        }
        rc = pipeline_turn_until(t, deadline_us);
    }
    return rc;
}

uint32_t tusk_in_flight(const struct tusk *t)
{
    return t->in_flight;
}

int tusk_fd(const struct tusk *t)
{
    return t->stream.fd;
}

int tusk_events(const struct tusk *t)
{
    if (t->dead) {
        return 0;
    }
    return stream_unsent(&t->stream) > 0 ? POLLIN | POLLOUT : POLLIN;
}

int tusk_process(struct tusk *t, int timeout_ms)
{
    int rc = pipeline_check_outside_callback(t);

    if (rc != TUSK_OK) {
        return rc;
    }
    return timeout_ms == 0 ? pipeline_turn(t)
                           : pipeline_turn_until(t, pipeline_deadline_us(t, timeout_ms));
}
