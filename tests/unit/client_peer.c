#include "tests/unit/client_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEER_IN_SIZE (8u * 1024 * 1024)
#define PEER_WAIT_MS 5000

/* cmocka's assertions jump, which only the test's own thread may do. */
static void peer_require(bool condition)
{
    if (!condition) {
        abort();
    }
}

struct message_hello_reply peer_hello(void)
{
    return (struct message_hello_reply){
        .version = MESSAGE_VERSION,
        .store_id = "store id of test",
        .incarnation = 9,
        .fsync_ms = 200,
        .frame_size_max = 4 * 1024 * 1024,
        .batch_size_max = 2 * 1024 * 1024,
        .entry_size_max = 1024 * 1024,
        .in_flight_max = 1024,
        .in_flight_bytes_max = 64 * 1024 * 1024,
        .server = {.data = "test", .size = 4},
    };
}

void peer_send(struct peer *peer, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    while (size > 0) {
        ssize_t n = send(peer->fd, at, size, MSG_NOSIGNAL);

        if (n <= 0) {
            return; /* The client has gone: its side of the test says whether it should */
        }
        at += n;
        size -= (size_t)n;
    }
}

void peer_answer(struct peer *peer, const struct frame *to, uint16_t status, const void *body,
                 size_t size)
{
    const struct frame frame = {.size = (uint32_t)(FRAME_HEADER_SIZE + size),
                                .type = (uint16_t)(to->type | FRAME_REPLY),
                                .status = status,
                                .id = to->id};
    uint8_t *bytes = malloc(frame.size);

    peer_require(bytes != NULL);
    frame_encode(bytes, &frame);
    if (size > 0) {
        memcpy(bytes + FRAME_HEADER_SIZE, body, size);
    }
    peer_send(peer, bytes, frame.size);
    free(bytes);
}

void peer_answer_error(struct peer *peer, const struct frame *to, int code, uint64_t detail_a,
                       uint64_t detail_b, const char *text)
{
    const struct message_error error = {
        .detail_a = detail_a,
        .detail_b = detail_b,
        .text = {.data = text, .size = (uint16_t)strlen(text)},
    };
    uint8_t body[2048];

    peer_answer(peer, to, (uint16_t)-code, body, message_error_encode(body, &error));
}

size_t peer_append_reply(uint8_t *out, const struct frame *to, uint64_t first_offset)
{
    const struct message_append_reply reply = {
        .topic_id = PEER_TOPIC_ID, .first_offset = first_offset, .durable_end = 0};
    const struct frame frame = {.size = FRAME_HEADER_SIZE + MESSAGE_APPEND_REPLY_SIZE,
                                .type = MESSAGE_APPEND | FRAME_REPLY,
                                .id = to->id};

    frame_encode(out, &frame);
    (void)message_append_reply_encode(out + FRAME_HEADER_SIZE, &reply);
    return frame.size;
}

void peer_answer_append(struct peer *peer, const struct frame *to, uint64_t first_offset)
{
    uint8_t bytes[64];

    peer_send(peer, bytes, peer_append_reply(bytes, to, first_offset));
}

/* ---- Requests ---- */

/* Receive more; false at the end of the stream, or after wait_ms without a byte. */
static bool peer_receive(struct peer *peer, int wait_ms)
{
    struct pollfd poll_fd = {.fd = peer->fd, .events = POLLIN};
    ssize_t n;

    if (peer->in_taken > 0) {
        memmove(peer->in, peer->in + peer->in_taken, peer->in_size - peer->in_taken);
        peer->in_size -= peer->in_taken;
        peer->in_taken = 0;
    }
    if (poll(&poll_fd, 1, wait_ms) != 1) {
        return false;
    }
    n = recv(peer->fd, peer->in + peer->in_size, PEER_IN_SIZE - peer->in_size, 0);
    if (n <= 0) {
        return false;
    }
    peer->in_size += (size_t)n;
    return true;
}

static bool peer_parse(struct peer *peer, struct frame *frame)
{
    enum frame_result result =
        frame_parse(frame, peer->in + peer->in_taken, peer->in_size - peer->in_taken, PEER_IN_SIZE);

    peer_require(result != FRAME_BAD);
    return result == FRAME_READY;
}

static bool peer_next(struct peer *peer, struct peer_request *request, int wait_ms)
{
    const uint8_t *at;
    const char *why;

    while (!peer_parse(peer, &request->frame)) {
        if (!peer_receive(peer, wait_ms)) {
            return false;
        }
    }
    at = peer->in + peer->in_taken;
    peer_require(message_decode(&request->message, request->frame.type, at + FRAME_HEADER_SIZE,
                                request->frame.size - FRAME_HEADER_SIZE, &why) == 0);
    peer->in_taken += request->frame.size;
    return true;
}

void peer_take(struct peer *peer, struct peer_request *request)
{
    assert_true(peer_next(peer, request, PEER_WAIT_MS));
}

bool peer_has_request(struct peer *peer)
{
    struct frame frame;

    while (!peer_parse(peer, &frame)) {
        if (!peer_receive(peer, 0)) {
            return false;
        }
    }
    return true;
}

/* ---- Model ---- */

void peer_model_append(struct peer *peer, const uint8_t *batch, uint32_t size)
{
    struct peer_model *model = &peer->model;
    struct peer_batch *stored = &model->batches[model->batch_count];
    struct batch_header header;

    peer_require(model->batch_count < PEER_BATCHES_MAX);
    peer_require(batch_verify(batch, size, UINT32_MAX, &header) == BATCH_GOOD);
    stored->size = (uint32_t)batch_padded_size(header.stored_size);
    stored->position = model->position;
    stored->bytes = calloc(1, stored->size);
    peer_require(stored->bytes != NULL);
    memcpy(stored->bytes, batch, size);
    (void)batch_complete(stored->bytes, model->end, 1000000 + model->end, 0,
                         batch_seed(peer->hello.store_id, PEER_GENERATION), stored->position);
    batch_header_decode(&stored->header, stored->bytes);
    model->position += stored->size;
    model->end += header.entry_count;
    model->batch_count++;
}

void peer_model_fill(struct peer *peer, uint32_t batches, uint32_t entries_each)
{
    uint8_t bytes[BATCH_HEADER_SIZE + 64 * (4 + 8)];
    struct batch_entry entries[64];
    uint64_t values[64];
    uint64_t offset;
    uint32_t i;

    peer_require(entries_each <= 64);
    while (batches-- > 0) {
        offset = peer->model.end;
        for (i = 0; i < entries_each; i++) {
            values[i] = offset + i;
            entries[i] = (struct batch_entry){.data = (uint8_t *)&values[i], .size = 8};
        }
        batch_encode(bytes, entries, entries_each);
        peer_model_append(peer, bytes,
                          (uint32_t)batch_encoded_size(entries_each, 8 * entries_each));
    }
}

/* Where a read begins. */
static uint64_t model_start(const struct peer_model *model, const struct message_position *position)
{
    switch (position->kind) {
    case POSITION_OFFSET:
        return position->value;
    case POSITION_LATEST:
        return model->end;
    case POSITION_CURSOR:
        return model->cursor;
    default:
        return model->first;
    }
}

/* How far a read of max_bytes reaches from offset, and which batches [first, last) that needs. */
static uint64_t model_reach(const struct peer_model *model, uint64_t from,
                            const struct message_read *read, uint32_t *first, uint32_t *last)
{
    uint64_t bytes = 0;
    uint64_t to = from;
    uint32_t i;

    *first = UINT32_MAX;
    *last = 0;
    for (i = 0; i < model->batch_count; i++) {
        const struct peer_batch *batch = &model->batches[i];
        uint64_t offset = batch->header.first_offset;
        struct batch_iterator it;
        struct batch_entry entry;

        batch_entries(&it, batch->bytes);
        for (; batch_next(&it, &entry); offset++) {
            if (offset < from) {
                continue;
            }
            bytes += entry.size;
            if (to > from && (bytes > read->max_bytes || to - from >= read->max_entries)) {
                return to;
            }
            *first = *first == UINT32_MAX ? i : *first;
            *last = i + 1;
            to = offset + 1;
        }
    }
    return to;
}

uint8_t *peer_read_reply(struct peer *peer, const struct peer_request *request, size_t *size)
{
    const struct message_read *read = &request->message.u.read;
    struct peer_model *model = &peer->model;
    struct message_read_reply reply = {.topic_id = PEER_TOPIC_ID,
                                       .end = model->end,
                                       .durable_end = model->end,
                                       .generation = PEER_GENERATION};
    struct frame frame = request->frame;
    uint8_t *bytes;
    uint8_t *at;
    uint32_t first;
    uint32_t last;
    uint32_t i;

    reply.from = model_start(model, &read->position);
    reply.to = model_reach(model, reply.from, read, &first, &last);
    reply.epoch = read->position.kind == POSITION_CURSOR ? model->epoch : 0;
    peer_require(first < last);
    reply.position = model->batches[first].position;
    for (i = first; i < last; i++) {
        reply.data_size += model->batches[i].size;
    }
    *size = FRAME_HEADER_SIZE + MESSAGE_READ_REPLY_SIZE + reply.data_size;
    bytes = malloc(*size);
    peer_require(bytes != NULL);
    frame.size = (uint32_t)*size;
    frame.type |= FRAME_REPLY;
    frame_encode(bytes, &frame);
    at = bytes + FRAME_HEADER_SIZE;
    at += message_read_reply_encode(at, &reply);
    for (i = first; i < last; i++) {
        memcpy(at, model->batches[i].bytes, model->batches[i].size);
        at += model->batches[i].size;
    }
    if ((read->flags & READ_CONSUME) != 0) {
        model->cursor = reply.to;
    }
    return bytes;
}

static void peer_answer_read(struct peer *peer, const struct peer_request *request)
{
    const struct message_read *read = &request->message.u.read;
    struct peer_model *model = &peer->model;
    uint64_t from = model_start(model, &read->position);
    const bool unchecked = (read->flags & READ_UNCHECKED) != 0;
    uint8_t *bytes;
    size_t size;

    model->reads++;
    model->unchecked += unchecked;
    if (!unchecked && model->refusals > 0) {
        peer_answer_error(peer, &request->frame, model->refusal, model->refusal_a, model->refusal_b,
                          "as was asked for");
        model->refusals--;
        return;
    }
    if (from < model->first) {
        peer_answer_error(peer, &request->frame, TUSK_ETRIMMED, model->first, 0, "trimmed");
        return;
    }
    if (from >= model->end) {
        peer_answer_error(peer, &request->frame, TUSK_EEND, model->end, model->end, "the end");
        return;
    }
    bytes = peer_read_reply(peer, request, &size);
    if (unchecked && model->spoils > 0) {
        /* In the first batch's header, or in its entries */
        bytes[FRAME_HEADER_SIZE + MESSAGE_READ_REPLY_SIZE + BATCH_HEADER_SIZE - 16 +
              model->spoils % 28] ^= 16;
        model->spoils--;
    }
    peer_send(peer, bytes, size);
    free(bytes);
}

static void peer_answer_checkpoint(struct peer *peer, const struct peer_request *request)
{
    const struct message_checkpoint *checkpoint = &request->message.u.checkpoint;
    struct peer_model *model = &peer->model;
    struct message_cursor_reply reply;
    uint8_t body[MESSAGE_CURSOR_REPLY_SIZE];

    model->checkpoints++;
    if (checkpoint->epoch != 0 && checkpoint->epoch != model->epoch) {
        peer_answer_error(peer, &request->frame, TUSK_ESTALE, model->cursor, model->epoch, "stale");
        return;
    }
    if (checkpoint->offset > model->cursor) {
        model->cursor = checkpoint->offset;
    }
    reply = (struct message_cursor_reply){.offset = model->cursor, .epoch = model->epoch};
    peer_answer(peer, &request->frame, 0, body, message_cursor_reply_encode(body, &reply));
}

void peer_answer_from_model(struct peer *peer, const struct peer_request *request)
{
    switch (request->message.type) {
    case MESSAGE_APPEND:
        peer->model.appends++;
        peer_answer_append(peer, &request->frame, peer->model.end);
        peer_model_append(peer, request->message.u.append.batch,
                          request->message.u.append.batch_size);
        break;
    case MESSAGE_READ:
        peer_answer_read(peer, request);
        break;
    case MESSAGE_CHECKPOINT:
        peer_answer_checkpoint(peer, request);
        break;
    case MESSAGE_PING:
    case MESSAGE_SYNC:
        peer_answer(peer, &request->frame, 0, NULL, 0);
        break;
    default:
        peer_answer_error(peer, &request->frame, TUSK_EUNSUPPORTED, 0, 0, "not here");
        break;
    }
}

/* ---- Life ---- */

static void *peer_serve(void *argument)
{
    struct peer *peer = argument;
    struct peer_request request;

    while (peer_next(peer, &request, -1)) {
        peer_answer_from_model(peer, &request);
    }
    return NULL;
}

static void *peer_greet(void *argument)
{
    struct peer *peer = argument;
    struct peer_request request;
    uint8_t body[512];

    peer_require(peer_next(peer, &request, PEER_WAIT_MS));
    peer_require(request.message.type == MESSAGE_HELLO);
    peer->features_asked = request.message.u.hello.features;
    peer_answer(peer, &request.frame, 0, body, message_hello_reply_encode(body, &peer->hello));
    return NULL;
}

void peer_serve_begin(struct peer *peer)
{
    assert_int_equal(pthread_create(&peer->thread, NULL, peer_serve, peer), 0);
    peer->serving = true;
}

void peer_serve_end(struct peer *peer)
{
    if (peer->serving) {
        (void)shutdown(peer->fd, SHUT_RD);
        assert_int_equal(pthread_join(peer->thread, NULL), 0);
        peer->serving = false;
    }
}

void peer_open(struct peer *peer, const struct message_hello_reply *hello,
               const struct tusk_options *options)
{
    struct tusk_failure failure;
    pthread_t thread;
    int fds[2];

    *peer = (struct peer){.hello = hello != NULL ? *hello : peer_hello(), .model.epoch = 1};
    peer->in = malloc(PEER_IN_SIZE);
    assert_non_null(peer->in);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    peer->fd = fds[0];
    peer->client_fd = fds[1];
    assert_int_equal(pthread_create(&thread, NULL, peer_greet, peer), 0);
    assert_int_equal(tusk_connect_fd(fds[1], options, &peer->t, &failure), TUSK_OK);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

void peer_close(struct peer *peer)
{
    uint32_t i;

    peer_serve_end(peer);
    assert_int_equal(tusk_close(peer->t), TUSK_OK);
    (void)close(peer->fd);
    for (i = 0; i < peer->model.batch_count; i++) {
        free(peer->model.batches[i].bytes);
    }
    free(peer->in);
    *peer = (struct peer){.fd = -1};
}
