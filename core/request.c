/* Requests: how they finish, and who waits for the watermarks of a namespace. */
#include <stdarg.h>
#include <stdio.h>

#include "core/check.h"
#include "core/namespace.h"

void queue_push(struct request_queue *queue, struct engine_request *request)
{
    CHECK(request != NULL);
    CHECK(queue->first == NULL || queue->last != NULL);
    request->next = NULL;
    if (queue->first == NULL) {
        queue->first = request;
    } else {
        queue->last->next = request;
    }
    queue->last = request;
}

struct engine_request *queue_pop(struct request_queue *queue)
{
    struct engine_request *request = queue->first;

    CHECK(queue->first == NULL || queue->last != NULL);
    if (request != NULL) {
        queue->first = request->next;
        request->next = NULL;
    }
    return request;
}

/* What it waited for came of a turn, or a sync, that began then. */
static void finish(struct namespace *ns, struct engine_request *request, uint64_t begun_us,
                   uint32_t synced_us)
{
    CHECK(request->ns == ns);
    CHECK(request->status == 0);
    request->begun_us = begun_us;
    request->synced_us = synced_us;
    if (request->kind == REQUEST_APPEND) {
        struct engine_append *append = (struct engine_append *)(void *)request;

        CHECK(append->target != NULL);
        CHECK(append->kept == NULL);
        append->durable_end = append->target->durable_end;
    }
    engine_finished(ns->engine, request);
}

void request_finish(struct namespace *ns, struct engine_request *request)
{
    finish(ns, request, 0, 0);
}

void request_fail(struct namespace *ns, struct engine_request *request, int code,
                  const char *format, ...)
{
    va_list args;

    CHECK(request->ns == ns);
    CHECK(format != NULL);
    CHECK(code < 0);
    request->begun_us = 0;
    request->synced_us = 0;
    request->status = code;
    request->error.code = code;
    va_start(args, format);
    (void)vsnprintf(request->error.text, sizeof request->error.text, format, args);
    va_end(args);
    if (request->kind == REQUEST_APPEND) {
        request->detail_a = 0;
        request->detail_b = 0;
    }
    engine_finished(ns->engine, request);
}

/* What waits for a watermark has its place. (A read had it before: what it waits for is the
 * cursor that it moved.) */
static void stamp(const struct namespace *ns, struct engine_request *request)
{
    if (request->staged_us == 0) {
        request->staged_us = ns->now.mono_us;
    }
}

void request_when_durable(struct namespace *ns, struct engine_request *request, uint64_t ticket)
{
    CHECK(request->ns == ns);
    CHECK(ns->state == ENGINE_SERVING);
    /* A ticket may repeat or, for one that waits for an earlier record, fall back: the queue is
     * kept in order by waiting for the later one. */
    CHECK(ticket > 0);
    stamp(ns, request);
    if (ticket <= ns->flusher.durable) {
        request_finish(ns, request);
        return;
    }
    if (ns->durable_queue.first != NULL && ns->durable_queue.last->ticket > ticket) {
        ticket = ns->durable_queue.last->ticket;
    }
    request->ticket = ticket;
    queue_push(&ns->durable_queue, request);
    flusher_want(&ns->flusher, ticket);
}

void request_when_written(struct namespace *ns, struct engine_request *request, uint64_t ticket)
{
    CHECK(request->ns == ns);
    CHECK(ticket > 0);
    stamp(ns, request);
    if (ns->written_queue.first != NULL && ns->written_queue.last->ticket > ticket) {
        ticket = ns->written_queue.last->ticket; /* As above: one flush writes both */
    }
    request->ticket = ticket;
    queue_push(&ns->written_queue, request);
}

void namespace_durable(struct namespace *ns)
{
    CHECK(ns->flusher.durable <= ns->journal.next_lsn);
    CHECK(ns->state == ENGINE_SERVING);
    while (ns->durable_queue.first != NULL &&
           ns->durable_queue.first->ticket <= ns->flusher.durable) {
        finish(ns, queue_pop(&ns->durable_queue), ns->flusher.begun_us, ns->flusher.took_us);
    }
}

void namespace_written(struct namespace *ns)
{
    struct link *link;

    CHECK(ns->journal.written == ns->journal.next_lsn);
    while ((link = list_take(&ns->turn_topics)) != NULL) {
        struct topic *topic = link_owner(link, struct topic, turn);

        const bool shown = topic->shown_pending > topic->shown_end;

        CHECK(topic->written_end <= topic->next_offset);
        CHECK(!topic->deleted);
        topic->written_end = topic->next_offset;
        flusher_topic(&ns->flusher, topic);
        if (shown) {
            topic->shown_end = topic->shown_pending < topic->written_end ? topic->shown_pending
                                                                         : topic->written_end;
        }
        if (shown || ns->settings.fsync_ms != ENGINE_FSYNC_EACH) {
            read_wake(topic);
        }
    }
    while (ns->written_queue.first != NULL &&
           ns->written_queue.first->ticket <= ns->journal.written) {
        finish(ns, queue_pop(&ns->written_queue), ns->now.mono_us, 0);
    }
}
