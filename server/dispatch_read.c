/* READ. The engine puts batches where they leave from: room() is a buffer of the output chain with
 * space in front for the frame's header and the reply's, so the bytes are never copied. Or it names
 * a range of a block, which the kernel sends from its page cache. */
#include <string.h>

#include "config/options.h"
#include "core/check.h"
#include "core/engine.h"
#include "proto/frame.h"
#include "proto/message.h"
#include "server/connection.h"
#include "server/dispatch.h"
#include "server/lease.h"
#include "server/log.h"
#include "server/pool.h"
#include "server/request.h"
#include "server/server.h"
#include "server/users.h"

#define HEAD_SIZE (FRAME_HEADER_SIZE + MESSAGE_READ_REPLY_SIZE)
/* Less than this is copied behind the other replies: a buffer of its own costs a vector in the
 * send. */
#define COPY_MAX 4096u

_Static_assert(LEASES_MAX == MESSAGE_LEASES_MAX, "both are the protocol's");
_Static_assert(MAPPED_SEGMENTS == MESSAGE_MAPPED_SEGMENTS, "likewise");
_Static_assert(HEAD_SIZE % 16 == 0, "batches stay aligned behind the head");

static uint8_t *read_room(struct engine_read *read, size_t used, size_t size)
{
    struct request *request = read->base.arg;
    struct pool *pool = &request->server->pool;
    struct buffer *old = request->buffer;
    struct buffer *buffer;

    CHECK(used <= size);
    if (old != NULL && old->size - HEAD_SIZE >= size) {
        return old->bytes + HEAD_SIZE;
    }
    buffer = pool_get(pool, HEAD_SIZE + size,
                      request->connection != NULL && connection_privileged(request->connection));
    if (buffer == NULL) {
        return NULL;
    }
    if (used > 0) {
        CHECK(old != NULL);
        memcpy(buffer->bytes + HEAD_SIZE, old->bytes + HEAD_SIZE, used);
    }
    pool_put(pool, old);
    request->buffer = buffer;
    return buffer->bytes + HEAD_SIZE;
}

static struct message_read_reply head_of(const struct engine_read *read)
{
    return (struct message_read_reply){
        .topic_id = read->topic_id,
        .from = read->from,
        .to = read->to,
        .end = read->end,
        .durable_end = read->durable_end,
        .epoch = read->epoch,
        .skipped_from = read->skipped_from,
        .skipped_to = read->skipped_to,
        .generation = read->generation,
        .position = read->block_position,
        .data_size = read->data_size,
    };
}

static void encode_head(uint8_t *body, const struct engine_read *read)
{
    const struct message_read_reply reply = head_of(read);

    (void)message_read_reply_encode(body, &reply);
}

/* The frame's header, too, of a reply whose batches stand elsewhere. */
static void encode_heads(uint8_t *bytes, const struct request *request)
{
    const struct frame frame = {
        .size = HEAD_SIZE + request->u.read.data_size,
        .type = (uint16_t)(request->to.type | FRAME_REPLY),
        .id = request->to.id,
    };

    frame_encode(bytes, &frame);
    meter_reply(&request->server->meter, &request->to, 0);
    encode_head(bytes + FRAME_HEADER_SIZE, &request->u.read);
}

/* Send the buffer that the engine filled. */
static void answer_in_place(struct request *request)
{
    const struct engine_read *read = &request->u.read;
    struct buffer *buffer = request->buffer;

    CHECK(buffer != NULL);
    CHECK(read->data == buffer->bytes + HEAD_SIZE);
    encode_heads(buffer->bytes, request);
    buffer->begin = 0;
    buffer->end = HEAD_SIZE + read->data_size;
    request->buffer = NULL;
    output_append(request->connection, buffer);
}

/* The head from a buffer, and behind it the range. */
static void answer_range(struct request *request)
{
    struct connection *connection = request->connection;
    struct engine_read *read = &request->u.read;
    uint8_t *head = output_reserve(connection, HEAD_SIZE);

    if (head != NULL && output_append_range(connection, &read->range)) {
        read->range.segment = NULL;
        encode_heads(head, request);
    }
}

/* A descriptor of the range's file; -1: the client has one. False: none to be had. */
static bool open_segment(struct connection *connection, const struct engine_range *range,
                         uint64_t segment, int *fd)
{
    *fd = -1;
    if (lease_has_segment(connection, segment)) {
        return true;
    }
    if (engine_range_open(range, fd) != 0) {
        return false;
    }
    lease_add_segment(connection, segment);
    return true;
}

/* Where the range is, leased, instead of its bytes. False: nothing was answered. */
static bool answer_place(struct request *request)
{
    struct connection *connection = request->connection;
    struct engine_read *read = &request->u.read;
    struct message_read_reply reply = head_of(read);
    const size_t size = HEAD_SIZE + MESSAGE_PLACE_SIZE;
    struct engine_place place;
    struct buffer *buffer;
    int fd;

    engine_range_place(&read->range, &place);
    buffer = pool_get(&connection->server->pool, size, connection_privileged(connection));
    if (buffer == NULL || (connection->features & FEATURE_MAPPED) == 0 ||
        !lease_possible(connection) ||
        !open_segment(connection, &read->range, place.segment, &fd)) {
        pool_put(&connection->server->pool, buffer);
        return false;
    }
    reply.placed = true;
    reply.place = (struct message_place){.segment = place.segment,
                                         .segment_size = place.segment_size,
                                         .block = place.block,
                                         .size = read->data_size,
                                         .descriptor = fd >= 0};
    reply.place.lease = lease_take(connection, &read->range);
    frame_encode(buffer->bytes, &(struct frame){.size = (uint32_t)size,
                                                .type = (uint16_t)(request->to.type | FRAME_REPLY),
                                                .id = request->to.id});
    (void)message_read_reply_encode(buffer->bytes + FRAME_HEADER_SIZE, &reply);
    buffer->end = (uint32_t)size;
    buffer->attached = fd;
    meter_reply(&connection->server->meter, &request->to, 0);
    output_append(connection, buffer);
    return true;
}

static void answer(struct request *request)
{
    const struct engine_read *read = &request->u.read;
    uint8_t *body;

    if (read->data_size > request->connection->frame_size_max - HEAD_SIZE) {
        reply_error(request->connection, request->to, TUSK_ETOOBIG, 0, 0,
                    "the batches would exceed frame_size_max; ask for fewer entries");
        return;
    }
    if (read->range.segment != NULL) {
        if (!read->mapped || !answer_place(request)) {
            answer_range(request);
        }
        return;
    }
    if (read->data_size > COPY_MAX) {
        answer_in_place(request);
        return;
    }
    body = reply_begin(request->connection, request->to, MESSAGE_READ_REPLY_SIZE + read->data_size);
    if (body != NULL) {
        encode_head(body, read);
        if (read->data_size > 0) {
            memcpy(body + MESSAGE_READ_REPLY_SIZE, read->data, read->data_size);
        }
    }
}

/* Damage does not go away by itself: somebody has to know that is not the client. */
static void tell_damage(const struct engine_request *base)
{
    struct engine_namespace_info info;

    engine_namespace_info(base->ns, &info);
    log_event(LOG_EVENT_CORRUPT, "read", info.name, "namespace \"%s\": %s", info.name,
              base->error.text);
}

static void read_done(struct engine_request *base)
{
    struct request *request = base->arg;

    dispatch_slow_done(request, base);
    if (base->status == TUSK_ECORRUPT) {
        tell_damage(base);
    }
    if (base->status != 0) {
        request_answer_error(request, base);
    } else if (request->connection != NULL) {
        answer(request);
    }
    if (base->status == 0 && request->u.read.range.segment != NULL) {
        engine_range_release(&request->u.read.range); /* Nobody is there to get it */
    }
    request_free(request);
}

/* A read is charged for the reply it may need, so that no client can order more than it may have
 * in its output. One that may wait holds none while it waits: it is charged less, and the pool's
 * limit stands behind it. */
static uint64_t reply_cost(const struct options *options, const struct message_read *wanted)
{
    uint64_t cost = wanted->max_bytes;

    cost = cost < options->read_size_max ? cost : options->read_size_max;
    if (wanted->wait_ms > 0 && cost > REQUEST_WAITING_COST) {
        cost = REQUEST_WAITING_COST;
    }
    return cost;
}

enum dispatch_result dispatch_read(struct connection *connection, struct reply_to to,
                                   const struct message *message, uint32_t frame_size)
{
    const struct message_read *wanted = &message->u.read;
    struct server *server = connection->server;
    char why[USERS_TEXT_SIZE];
    struct request *request;
    struct engine_read *read;

    to.waits = wanted->wait_ms > 0;
    if (wanted->wait_ms > 0 && !users_may_wait(connection, why)) {
        reply_error(connection, to, TUSK_EBUSY, 0, 0, why);
        return DISPATCH_TAKEN;
    }
    request = request_new(connection, to, frame_size, reply_cost(server->options, wanted));
    if (request == NULL) {
        return dispatch_no_request(connection, to);
    }
    if (wanted->wait_ms > 0) {
        request->waiter = connection->user;
        users_read_waits(request->waiter);
    }
    read = &request->u.read;
    memset(read, 0, sizeof *read);
    request_begin(request, &read->base, read_done);
    read->topic = dispatch_topic(&wanted->topic);
    read->cursor = wanted->cursor.data;
    read->cursor_size = wanted->cursor.size;
    read->position = (enum engine_position)wanted->position.kind;
    read->value = wanted->position.value;
    read->max_bytes = wanted->max_bytes;
    read->max_entries = wanted->max_entries;
    read->wait_ms = wanted->wait_ms;
    read->consume = (wanted->flags & READ_CONSUME) != 0;
    read->skip_damage = (wanted->flags & READ_SKIP_DAMAGE) != 0;
    read->unchecked = (wanted->flags & READ_UNCHECKED) != 0;
    /* Nobody else can be expected to take a descriptor. */
    read->mapped = (wanted->flags & READ_MAPPED) != 0 &&
                   (connection->features & FEATURE_MAPPED) != 0 && lease_possible(connection);
    read->held = wanted->held;
    read->room = read_room;
    server_stage(server);
    engine_read(connection->ns, read);
    return DISPATCH_TAKEN;
}

/* RELEASE. What is not leased is refused, and what is, is released all the same: a client that has
 * lost count must not keep blocks. */
enum dispatch_result dispatch_release(struct connection *connection, struct reply_to to,
                                      const struct message *message, uint32_t frame_size)
{
    const struct message_release *release = &message->u.release;
    bool all = true;
    uint16_t i;

    (void)frame_size;
    if (release->count == 0) {
        connection->features &= ~(uint64_t)FEATURE_MAPPED; /* Reads under way get bytes */
        lease_release_all(connection);
    }
    for (i = 0; i < release->count; i++) {
        all = lease_release(connection, release->leases[i]) && all;
    }
    if (all) {
        reply_empty(connection, to);
    } else {
        reply_error(connection, to, TUSK_EINVALID, 0, 0,
                    "a lease that this connection does not have; the others are released");
    }
    return DISPATCH_TAKEN;
}
