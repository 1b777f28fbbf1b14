/* Requests in flight: slots, submission, completion, and what a broken connection means for
 * each request. Replies are taken apart in reply.c. */
#include "client/batch_view.h"
#include "client/connection.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Submissions gather up to this many bytes before the first is sent. More would save system calls
 * (at 16 KiB there is one for some eighty small entries), but the daemon starts later: with 256 in
 * flight and 64 KiB the two sides took turns, and throughput was a fifth lower. */
#define PIPELINE_GATHER_SIZE (16u * 1024)
#define PIPELINE_SLOTS_MIN 16u

void pipeline_init(struct tusk *t)
{
    t->slot_limit = 1;
    t->free_slot = REQUEST_NONE;
    t->oldest = REQUEST_NONE;
    t->newest = REQUEST_NONE;
    t->frame_size_max = FRAME_SIZE_BEFORE_HELLO;
    t->hello.in_flight_bytes_max = FRAME_SIZE_BEFORE_HELLO;
}

void pipeline_deinit(struct tusk *t)
{
    tusk_batch_free(t->incoming);
    mapped_deinit(&t->mapped);
    free(t->slots);
    stream_deinit(&t->stream);
}

uint64_t pipeline_deadline_us(const struct tusk *t, int timeout_ms)
{
    return clock_deadline_us(timeout_ms < 0 ? t->timeout_ms : timeout_ms);
}

int pipeline_check_outside_callback(struct tusk *t)
{
    if (!t->in_callback) {
        return TUSK_OK;
    }
    return failure_set(&t->failure, TUSK_EINVALID, "this call is not allowed inside a callback");
}

static int pipeline_check_alive(struct tusk *t)
{
    if (!t->dead) {
        return TUSK_OK;
    }
    return failure_set(&t->failure, TUSK_ECLOSED, "the connection ended before: %s",
                       t->broken.text);
}

/* ---- Slots ---- */

static bool slots_grow(struct tusk *t)
{
    uint32_t count = t->slot_count < PIPELINE_SLOTS_MIN ? PIPELINE_SLOTS_MIN : t->slot_count * 2;
    struct request *slots;
    uint32_t i;

    count = count < t->slot_limit ? count : t->slot_limit;
    slots = realloc(t->slots, count * sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    for (i = t->slot_count; i < count; i++) {
        slots[i].used = false;
        slots[i].newer = i + 1 < count ? i + 1 : REQUEST_NONE;
    }
    t->slots = slots;
    t->free_slot = t->slot_count;
    t->slot_count = count;
    return true;
}

static struct request *slot_take(struct tusk *t)
{
    uint32_t index = t->free_slot;
    struct request *request = &t->slots[index];

    t->free_slot = request->newer;
    request->used = true;
    request->newer = REQUEST_NONE;
    request->older = t->newest;
    request->id = (t->requests++ << 32) | index;
    if (t->newest == REQUEST_NONE) {
        t->oldest = index;
    } else {
        t->slots[t->newest].newer = index;
    }
    t->newest = index;
    t->in_flight++;
    return request;
}

static void slot_release(struct tusk *t, struct request *request)
{
    uint32_t index = (uint32_t)(request - t->slots);

    if (request->older == REQUEST_NONE) {
        t->oldest = request->newer;
    } else {
        t->slots[request->older].newer = request->newer;
    }
    if (request->newer == REQUEST_NONE) {
        t->newest = request->older;
    } else {
        t->slots[request->newer].older = request->older;
    }
    t->in_flight--;
    t->in_flight_bytes -= request->size;
    request->used = false;
    request->newer = t->free_slot;
    t->free_slot = index;
}

struct request *request_find(const struct tusk *t, uint64_t id)
{
    uint32_t index = (uint32_t)id;

    if (index >= t->slot_count || !t->slots[index].used || t->slots[index].id != id) {
        return NULL;
    }
    return &t->slots[index];
}

const struct request *pipeline_oldest_of(const struct tusk *t, const void *user)
{
    uint32_t index;

    for (index = t->oldest; index != REQUEST_NONE; index = t->slots[index].newer) {
        if (t->slots[index].plan.user == user) {
            return &t->slots[index];
        }
    }
    return NULL;
}

/* ---- Submission ---- */

int pipeline_reserve(struct tusk *t, uint64_t frame_size, uint8_t **frame)
{
    int rc = pipeline_check_alive(t);

    if (rc != TUSK_OK) {
        return rc;
    }
    if (frame_size > t->frame_size_max) {
        (void)failure_set(&t->failure, TUSK_ETOOBIG,
                          "a request of %llu bytes; the daemon takes frames of at most %u",
                          (unsigned long long)frame_size, t->frame_size_max);
        return TUSK_ETOOBIG;
    }
    if (t->in_flight >= t->slot_limit ||
        (t->in_flight > 0 && t->in_flight_bytes + frame_size > t->hello.in_flight_bytes_max)) {
        (void)failure_set(&t->failure, TUSK_EBUSY, "%u requests are in flight; process them first",
                          t->in_flight);
        return TUSK_EBUSY;
    }
    if (t->free_slot == REQUEST_NONE && !slots_grow(t)) {
        (void)failure_set(&t->failure, TUSK_ENOMEM, "out of memory for another request");
        return TUSK_ENOMEM;
    }
    switch (stream_reserve(&t->stream, (size_t)frame_size, frame)) {
    case STREAM_ROOM:
        return TUSK_OK;
    case STREAM_FULL:
        (void)failure_set(&t->failure, TUSK_EBUSY, "the send buffer is full; process it first");
        return TUSK_EBUSY;
    case STREAM_NOMEM:
        break;
    }
    return failure_set(&t->failure, TUSK_ENOMEM, "out of memory for a request of %llu bytes",
                       (unsigned long long)frame_size);
}

uint64_t pipeline_commit(struct tusk *t, uint8_t *frame, uint32_t frame_size,
                         const struct request_plan *plan)
{
    struct request *request = slot_take(t);
    size_t unsent = stream_unsent(&t->stream);
    uint64_t id = request->id;

    request->plan = *plan;
    request->begin = stream_position(&t->stream);
    request->size = frame_size;
    t->in_flight_bytes += frame_size;
    frame_encode(frame, &(struct frame){.size = frame_size, .type = plan->type, .id = id});
    stream_commit(&t->stream, frame_size);
    /* Each time one more portion is full, so that a full socket is not tried at every call. */
    if ((unsent + frame_size) / PIPELINE_GATHER_SIZE != unsent / PIPELINE_GATHER_SIZE) {
        stream_send(&t->stream);
    }
    return id;
}

int pipeline_submit(struct tusk *t, const struct message *message, const struct request_plan *plan,
                    uint64_t *id)
{
    uint64_t frame_size = FRAME_HEADER_SIZE + (uint64_t)message_size(message);
    uint64_t given;
    uint8_t *frame;
    int rc = pipeline_reserve(t, frame_size, &frame);

    if (rc != TUSK_OK) {
        return rc;
    }
    (void)message_encode(frame + FRAME_HEADER_SIZE, message);
    given = pipeline_commit(t, frame, (uint32_t)frame_size, plan);
    if (id != NULL) {
        *id = given;
    }
    return TUSK_OK;
}

/* ---- Completion ---- */

void request_complete(struct tusk *t, struct request *request, const struct reply *reply)
{
    /* A copy, because `done` may submit, and slots may move. */
    const struct request ended = *request;
    bool outer = t->in_callback;

    slot_release(t, request);
    if (ended.plan.done == NULL) {
        if (ended.plan.type == MESSAGE_READ && reply->code == TUSK_OK) {
            tusk_batch_free(reply->u.batch);
        }
        return;
    }
    t->in_callback = true;
    ended.plan.done(t, &ended, reply);
    t->in_callback = outer;
}

/* What an unanswered request came to. */
static int request_outcome(const struct tusk *t, const struct request *request, int unsent,
                           int unanswered)
{
    if (!request->plan.changes) {
        return unanswered;
    }
    return t->stream.sent > request->begin ? TUSK_EUNKNOWN : unsent;
}

static const char *outcome_text(int code)
{
    switch (code) {
    case TUSK_EUNKNOWN:
        return "the request may or may not have been carried out";
    case TUSK_ECLOSED:
        return "nothing of the request was sent";
    default:
        return "no answer came";
    }
}

void pipeline_break(struct tusk *t, int code, const char *format, ...)
{
    va_list args;
    char text[400];

    if (t->dead) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)failure_set(&t->broken, code, "%s", text);
    t->dead = true;
    /* The fd stays until tusk_close(), so that an event loop never polls a stranger's. */
    (void)shutdown(t->stream.fd, SHUT_RDWR);
    while (t->oldest != REQUEST_NONE) {
        struct request *request = &t->slots[t->oldest];
        struct reply reply = {.code = request_outcome(t, request, TUSK_ECLOSED, TUSK_EUNREACHABLE)};

        (void)failure_set(&t->failure, reply.code, "%s: %s", text, outcome_text(reply.code));
        request_complete(t, request, &reply);
    }
    tusk_batch_free(t->incoming);
    t->incoming = NULL;
    t->failure = t->broken;
}

int pipeline_abandon(struct tusk *t, uint64_t id)
{
    struct request *request = request_find(t, id);
    uint32_t index;

    if (request == NULL) {
        return TUSK_ETIMEOUT;
    }
    if (t->stream.sent > request->begin) {
        /* The slot stays in flight: its reply must find it, and is dropped. */
        request->plan.done = NULL;
        request->plan.head = NULL;
        request->plan.user = NULL;
        return request->plan.changes ? TUSK_EUNKNOWN : TUSK_ETIMEOUT;
    }
    stream_withdraw(&t->stream, request->begin, request->size);
    for (index = request->newer; index != REQUEST_NONE; index = t->slots[index].newer) {
        t->slots[index].begin -= request->size;
    }
    slot_release(t, request);
    return TUSK_ETIMEOUT;
}
