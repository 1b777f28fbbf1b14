/* What the daemon says: frames, replies, and turns that send, receive and complete.
 *
 * A reply is believed only when its frame is within the limit, its id is that of a slot in
 * flight, its type is that slot's, and its body decodes exactly. Anything else is not this
 * protocol: the connection breaks, because nothing behind such a frame can be trusted. */
#include "client/batch_view.h"
#include "client/connection.h"

#include <errno.h>

/* READ replies from this size on are received into memory of their own before they are whole. */
#define REPLY_DIRECT_SIZE (32u * 1024)
/* Receives in one turn, so that a fast daemon cannot keep a caller inside for ever. */
#define TURN_RECEIVES_MAX 64
#define STATUS_LAST (-TUSK_EUNSUPPORTED)

static int reply_failure(struct tusk *t, const struct frame *frame, const uint8_t *body,
                         struct reply *reply)
{
    struct message_error error;

    if (frame->status > STATUS_LAST || frame->status == -TUSK_ETIMEOUT ||
        frame->status == -TUSK_EUNREACHABLE ||
        message_error_decode(&error, body, frame->size - FRAME_HEADER_SIZE) != 0) {
        return TUSK_EPROTOCOL;
    }
    reply->code = -(int)frame->status;
    if (error.text.size == 0) {
        (void)failure_set(&t->failure, reply->code, "%s", tusk_error_text(reply->code));
    } else {
        (void)failure_set(&t->failure, reply->code, "%.*s", (int)error.text.size, error.text.data);
    }
    t->failure.detail_a = error.detail_a;
    t->failure.detail_b = error.detail_b;
    return TUSK_OK;
}

/* Decode what is the same for every caller; lists and infos stay bytes. */
static int reply_success(const struct request *request, const uint8_t *body, size_t size,
                         struct reply *reply)
{
    int rc = TUSK_OK;

    switch (request->plan.type) {
    case MESSAGE_APPEND:
        rc = message_append_reply_decode(&reply->u.append, body, size);
        if (rc == TUSK_OK && reply->u.append.first_offset > UINT64_MAX - request->plan.count) {
            rc = TUSK_EPROTOCOL;
        }
        break;
    case MESSAGE_CHECKPOINT:
    case MESSAGE_SEEK:
    case MESSAGE_CURSOR_CREATE:
        rc = message_cursor_reply_decode(&reply->u.cursor, body, size);
        break;
    case MESSAGE_TOPIC_CREATE:
    case MESSAGE_TOPIC_TRIM:
        rc = message_u64_reply_decode(&reply->u.value, body, size);
        break;
    case MESSAGE_PING:
    case MESSAGE_SYNC:
    case MESSAGE_TOPIC_SET:
    case MESSAGE_TOPIC_DELETE:
    case MESSAGE_CURSOR_DELETE:
    case MESSAGE_NAMESPACE_CREATE:
    case MESSAGE_NAMESPACE_SET:
    case MESSAGE_NAMESPACE_DELETE:
        rc = size == 0 ? TUSK_OK : TUSK_EPROTOCOL;
        break;
    default:
        reply->u.body.data = body;
        reply->u.body.size = size;
        break;
    }
    return rc == TUSK_OK ? TUSK_OK : TUSK_EPROTOCOL;
}

/* The whole body of a successful READ is in *batch. The batch is freed, or moved on. */
static int reply_read(struct tusk *t, struct request *request, struct tusk_batch *batch)
{
    struct reply reply = {.code = TUSK_OK};
    const uint64_t id = request->id;

    reply.code = batch_view_open(batch, t, request->plan.mapped);
    if (reply.code == TUSK_EPROTOCOL) {
        tusk_batch_free(batch);
        return TUSK_EPROTOCOL;
    }
    if (reply.code == TUSK_OK) {
        reply.u.batch = batch;
    } else {
        tusk_batch_free(batch);
    }
    /* A lease may have been released, and slots move when something is submitted. */
    request_complete(t, request_find(t, id), &reply);
    return TUSK_OK;
}

static void pipeline_break_malformed(struct tusk *t, const struct frame *frame, const char *what)
{
    pipeline_break(t, TUSK_EPROTOCOL, "%s (a frame of %u bytes, type 0x%04x, status %u, id 0x%llx)",
                   what, frame->size, frame->type, frame->status, (unsigned long long)frame->id);
}

/* The slot a frame answers. NULL: the connection is broken now. */
static struct request *pipeline_match(struct tusk *t, const struct frame *frame)
{
    struct request *request = request_find(t, frame->id);

    if (request == NULL) {
        pipeline_break_malformed(t, frame, "the daemon answered a request that was not made");
        return NULL;
    }
    if (frame->type != (request->plan.type | FRAME_REPLY)) {
        pipeline_break_malformed(t, frame, "the daemon answered a request with another type");
        return NULL;
    }
    return request;
}

static void pipeline_dispatch(struct tusk *t, const struct frame *frame, const uint8_t *body)
{
    struct request *request = pipeline_match(t, frame);
    struct reply reply = {.code = TUSK_OK};
    int rc;

    if (request == NULL) {
        return;
    }
    if (frame->status != 0) {
        rc = reply_failure(t, frame, body, &reply);
    } else {
        rc = reply_success(request, body, frame->size - FRAME_HEADER_SIZE, &reply);
    }
    if (rc != TUSK_OK) {
        pipeline_break_malformed(t, frame, "the daemon's reply is malformed");
        return;
    }
    request_complete(t, request, &reply);
}

/* ---- READ replies, received into a batch ---- */

/* The request is in flight and its reply successful: memory for the frame's body, whose size
 * the frame limit bounds. */
static bool incoming_begin(struct tusk *t, const struct frame *frame)
{
    uint32_t size = frame->size - FRAME_HEADER_SIZE;
    struct request *request = pipeline_match(t, frame);

    if (request == NULL) {
        return false;
    }
    t->incoming = batch_view_new(size);
    if (t->incoming == NULL) {
        pipeline_break(t, TUSK_ENOMEM, "out of memory for a reply of %u bytes", size);
        return false;
    }
    t->incoming_frame = *frame;
    t->incoming_told = false;
    t->stream.in_begin += FRAME_HEADER_SIZE;
    stream_begin_direct(&t->stream, t->incoming->body, size);
    return true;
}

static void incoming_tell_head(struct tusk *t, const struct request *request)
{
    const struct request asked = *request;
    struct message_read_reply head;

    t->incoming_told = true;
    if (asked.plan.head == NULL || t->incoming->body_size < MESSAGE_READ_REPLY_SIZE ||
        message_read_reply_decode(&head, t->incoming->body, t->incoming->body_size) != 0) {
        return; /* If it is malformed, the whole is judged when it is there */
    }
    t->in_callback = true;
    asked.plan.head(t, &asked, &head);
    t->in_callback = false;
}

/* True: it was completed, or the connection broke. False: more bytes are needed. */
static bool incoming_continue(struct tusk *t)
{
    struct stream *stream = &t->stream;
    struct request *request = request_find(t, t->incoming_frame.id);
    struct tusk_batch *batch = t->incoming;

    if (!t->incoming_told && (stream->direct_have >= MESSAGE_READ_REPLY_SIZE ||
                              stream->direct_have == stream->direct_size)) {
        incoming_tell_head(t, request);
        request = request_find(t, t->incoming_frame.id);
    }
    if (stream->direct_have < stream->direct_size) {
        return false;
    }
    stream->direct = NULL;
    t->incoming = NULL;
    if (reply_read(t, request, batch) != TUSK_OK) {
        pipeline_break_malformed(t, &t->incoming_frame, t->failure.text);
    }
    return true;
}

/* ---- Turns ---- */

static bool frame_is_batches(const struct frame *frame)
{
    return frame->type == (MESSAGE_READ | FRAME_REPLY) && frame->status == 0;
}

/* Whether a frame goes into memory of its own before it is whole. */
static bool frame_is_direct(const struct frame *frame)
{
    return frame_is_batches(frame) && frame->size >= REPLY_DIRECT_SIZE;
}

/* Complete what has been received. Stops at a partial frame, or when the connection breaks. */
static void pipeline_parse(struct tusk *t)
{
    struct stream *stream = &t->stream;

    while (!t->dead) {
        const uint8_t *at = stream->in + stream->in_begin;
        struct frame frame = {0};
        enum frame_result result;

        if (t->incoming != NULL) {
            if (!incoming_continue(t)) {
                return;
            }
            continue;
        }
        result = frame_parse(&frame, at, stream->in_end - stream->in_begin, t->frame_size_max);
        if (result == FRAME_BAD) {
            pipeline_break_malformed(t, &frame, "the daemon sent a frame out of bounds");
        } else if (result == FRAME_READY && !frame_is_batches(&frame)) {
            pipeline_dispatch(t, &frame, at + FRAME_HEADER_SIZE);
            stream->in_begin += frame.size;
        } else if (result == FRAME_READY || (frame.size > 0 && frame_is_direct(&frame))) {
            (void)incoming_begin(t, &frame); /* A failure broke the connection */
        } else {
            size_t needed = frame.size > FRAME_HEADER_SIZE ? frame.size : FRAME_HEADER_SIZE;

            if (frame.size > 0 && pipeline_match(t, &frame) == NULL) {
                return; /* Nothing is allocated for a reply to nothing */
            }
            if (!stream_make_room(stream, needed)) {
                pipeline_break(t, TUSK_ENOMEM, "out of memory for a reply of %zu bytes", needed);
            }
            return;
        }
    }
}

/* received: bytes are there already that have not been looked at. */
static int turn(struct tusk *t, bool received)
{
    struct stream *stream = &t->stream;
    int i;

    stream_send(stream);
    if (received) {
        pipeline_parse(t);
    } else {
        stream->drained = false;
    }
    for (i = 0; i < TURN_RECEIVES_MAX && !t->dead && stream_receive(stream); i++) {
        pipeline_parse(t);
    }
    /* What a daemon said before it hung up is heard above; only then is it gone. */
    if (!t->dead && stream->ended) {
        pipeline_break(t, TUSK_EUNREACHABLE, "the daemon ended the connection%s%s",
                       stream->in_errno != 0 ? ": " : "",
                       stream->in_errno == ECONNRESET ? "connection reset" : "");
    } else if (!t->dead && stream->out_errno != 0 && i < TURN_RECEIVES_MAX) {
        pipeline_break(t, TUSK_EUNREACHABLE, "the daemon takes no more requests");
    }
    if (!t->dead) {
        stream_send(stream);
    }
    return t->dead ? t->broken.code : TUSK_OK;
}

int pipeline_turn(struct tusk *t)
{
    return t->dead ? t->broken.code : turn(t, false);
}

int pipeline_turn_until(struct tusk *t, uint64_t deadline_us)
{
    if (t->dead) {
        return t->broken.code;
    }
    stream_send(&t->stream);
    return turn(t, stream_await(&t->stream, deadline_us));
}
