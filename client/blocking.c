/* The calls that wait: append, read, checkpoint, sync. */
#include "client/blocking.h"
#include "client/batch_view.h"

#include <stdlib.h>
#include <string.h>

static bool type_has_body(uint16_t type)
{
    return type == MESSAGE_TOPIC_LIST || type == MESSAGE_TOPIC_INFO ||
           type == MESSAGE_CURSOR_LIST || type == MESSAGE_NAMESPACE_LIST || type == MESSAGE_STATS;
}

/* The body lies in the receive buffer and must outlast it. */
static void call_keep_body(struct call *call)
{
    size_t size = call->reply.u.body.size;
    uint8_t *to = call->small;

    if (size > sizeof call->small) {
        call->large = malloc(size);
        if (call->large == NULL) {
            call->reply.code = failure_set(&call->failure, TUSK_ENOMEM,
                                           "out of memory for a reply of %zu bytes", size);
            return;
        }
        to = call->large;
    }
    memcpy(to, call->reply.u.body.data, size);
    call->reply.u.body.data = to;
}

static void call_done(struct tusk *t, const struct request *request, const struct reply *reply)
{
    struct call *call = request->plan.user;

    call->done = true;
    call->reply = *reply;
    if (reply->code != TUSK_OK) {
        call->failure = t->failure;
    } else if (type_has_body(request->plan.type)) {
        call_keep_body(call);
    }
}

struct request_plan call_plan(struct call *call, uint16_t type, bool changes)
{
    call->done = false;
    call->large = NULL;
    return (struct request_plan){.type = type, .changes = changes, .done = call_done, .user = call};
}

int call_wait(struct tusk *t, struct call *call, uint64_t id, uint64_t deadline_us)
{
    int rc;

    while (!call->done && clock_now_us() < deadline_us) {
        (void)pipeline_turn_until(t, deadline_us); /* A broken connection completes the call */
    }
    if (!call->done) {
        rc = pipeline_abandon(t, id);
        return failure_set(&t->failure, rc, "no answer before the deadline%s",
                           rc == TUSK_EUNKNOWN ? ": the request may or may not be carried out"
                                               : "");
    }
    if (call->reply.code != TUSK_OK) {
        t->failure = call->failure;
    }
    return call->reply.code;
}

/* Wait for room after a submission that returned EBUSY; ETIMEOUT when there is no time left. */
static int call_wait_for_room(struct tusk *t, uint64_t deadline_us)
{
    if (clock_now_us() >= deadline_us) {
        return failure_set(&t->failure, TUSK_ETIMEOUT,
                           "requests in flight left no room before the deadline; nothing was sent");
    }
    (void)pipeline_turn_until(t, deadline_us); /* If it breaks, the next submission says so */
    return TUSK_OK;
}

int call_run(struct tusk *t, struct call *call, const struct message *message, bool changes,
             uint32_t extra_ms)
{
    struct request_plan plan = call_plan(call, message->type, changes);
    uint64_t deadline_us = pipeline_deadline_us(t, TUSK_TIMEOUT_DEFAULT) + extra_ms * 1000ull;
    uint64_t id = 0;
    int rc = pipeline_check_outside_callback(t);

    if (rc != TUSK_OK) {
        return rc;
    }
    while ((rc = pipeline_submit(t, message, &plan, &id)) == TUSK_EBUSY) {
        rc = call_wait_for_room(t, deadline_us);
        if (rc != TUSK_OK) {
            return rc;
        }
    }
    return rc == TUSK_OK ? call_wait(t, call, id, deadline_us) : rc;
}

int call_end(struct call *call, int code)
{
    free(call->large);
    call->large = NULL;
    return code;
}

/* ---- Append ---- */

int tusk_append_batch(struct tusk *t, const char *topic, const struct tusk_bytes *entries,
                      uint32_t count, uint32_t flags, struct tusk_append_result *result)
{
    uint64_t deadline_us = pipeline_deadline_us(t, TUSK_TIMEOUT_DEFAULT);
    struct call call;
    struct request_plan plan = call_plan(&call, MESSAGE_APPEND, true);
    uint64_t id = 0;
    int rc = pipeline_check_outside_callback(t);

    if (rc != TUSK_OK) {
        return rc;
    }
    while ((rc = append_submit(t, topic, entries, count, flags, plan, &id)) == TUSK_EBUSY) {
        rc = call_wait_for_room(t, deadline_us);
        if (rc != TUSK_OK) {
            return rc;
        }
    }
    if (rc == TUSK_OK) {
        rc = call_wait(t, &call, id, deadline_us);
    }
    if (rc == TUSK_OK && result != NULL) {
        append_result_fill(result, &call.reply.u.append, count);
    }
    return rc;
}

int tusk_append(struct tusk *t, const char *topic, const void *data, size_t size, uint32_t flags,
                struct tusk_append_result *result)
{
    const struct tusk_bytes entry = {.data = data, .size = size};

    return tusk_append_batch(t, topic, &entry, 1, flags, result);
}

static int call_empty(struct tusk *t, uint16_t type)
{
    struct message message = {.type = type};
    struct call call;

    return call_run(t, &call, &message, false, 0);
}

int tusk_sync(struct tusk *t)
{
    return call_empty(t, MESSAGE_SYNC);
}

int tusk_ping(struct tusk *t)
{
    return call_empty(t, MESSAGE_PING);
}

/* ---- Read ---- */

static int read_run(struct tusk *t, const char *topic, const char *cursor,
                    const struct tusk_read_options *options, bool consume, struct tusk_batch **out)
{
    struct message message;
    struct call call;
    int rc;

    *out = NULL;
    rc = read_message(t, &message, topic, cursor, options, consume);
    if (rc == TUSK_OK) {
        if (!consume && (t->hello.features & FEATURE_UNCHECKED) != 0) {
            message.u.read.flags |= READ_UNCHECKED;
        }
        rc = call_run(t, &call, &message, consume, message.u.read.wait_ms);
        if (rc == TUSK_ECORRUPT && (message.u.read.flags & READ_UNCHECKED) != 0) {
            message.u.read.flags &= (uint16_t)~READ_UNCHECKED;
            rc = call_run(t, &call, &message, consume, message.u.read.wait_ms);
        }
    }
    if (rc == TUSK_OK) {
        *out = call.reply.u.batch;
    }
    return rc;
}

int tusk_read(struct tusk *t, const char *topic, const struct tusk_read_options *options,
              struct tusk_batch **out)
{
    return read_run(t, topic, NULL, options, false, out);
}

int tusk_peek(struct tusk *t, const char *topic, const char *cursor,
              const struct tusk_read_options *options, struct tusk_batch **out)
{
    return read_run(t, topic, cursor != NULL ? cursor : "", options, false, out);
}

int tusk_consume(struct tusk *t, const char *topic, const char *cursor,
                 const struct tusk_read_options *options, struct tusk_batch **out)
{
    return read_run(t, topic, cursor != NULL ? cursor : "", options, true, out);
}

/* ---- Cursors ---- */

static int cursor_run(struct tusk *t, struct message *message, struct message_topic *topic,
                      const char *topic_name, struct message_name *cursor, const char *cursor_name,
                      struct tusk_cursor_place *place)
{
    struct call call;
    int rc = topic_by_name(t, topic_name, topic);

    if (rc == TUSK_OK) {
        rc = name_from(t, "cursor name", cursor_name, cursor);
    }
    if (rc == TUSK_OK) {
        rc = call_run(t, &call, message, true, 0);
    }
    if (rc == TUSK_OK && place != NULL) {
        *place = (struct tusk_cursor_place){.offset = call.reply.u.cursor.offset,
                                            .epoch = call.reply.u.cursor.epoch};
    }
    return rc;
}

int tusk_checkpoint(struct tusk *t, const char *topic, const char *cursor, uint64_t offset,
                    uint64_t epoch, uint32_t flags, struct tusk_cursor_place *place)
{
    struct message message = {.type = MESSAGE_CHECKPOINT};
    struct message_checkpoint *checkpoint = &message.u.checkpoint;

    checkpoint->offset = offset;
    checkpoint->epoch = epoch;
    checkpoint->flags = (uint16_t)(flags & TUSK_CHECKPOINT_NO_CREATE);
    return cursor_run(t, &message, &checkpoint->topic, topic, &checkpoint->cursor, cursor, place);
}

static int cursor_position_run(struct tusk *t, uint16_t type, const char *topic, const char *cursor,
                               struct tusk_position position, struct tusk_cursor_place *place)
{
    struct message message = {.type = type};
    struct message_cursor_position *to = &message.u.cursor_position;

    if (position.kind > TUSK_FROM_LATEST) {
        return failure_set(&t->failure, TUSK_EINVALID, "an unknown kind of position");
    }
    to->position.kind =
        position.kind == TUSK_FROM_DEFAULT ? POSITION_EARLIEST : (uint16_t)position.kind;
    if (position.kind == TUSK_FROM_OFFSET || position.kind == TUSK_FROM_TIME) {
        to->position.value = position.value;
    }
    return cursor_run(t, &message, &to->topic, topic, &to->cursor, cursor, place);
}

int tusk_seek(struct tusk *t, const char *topic, const char *cursor, struct tusk_position position,
              struct tusk_cursor_place *place)
{
    return cursor_position_run(t, MESSAGE_SEEK, topic, cursor, position, place);
}

int tusk_cursor_create(struct tusk *t, const char *topic, const char *cursor,
                       struct tusk_position position, struct tusk_cursor_place *place)
{
    return cursor_position_run(t, MESSAGE_CURSOR_CREATE, topic, cursor, position, place);
}
