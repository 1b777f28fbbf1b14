/* A consumer's reads ahead.
 *
 * Two reads overlap: the head of a reply says where the next one begins, and arrives before the
 * batches do, so the daemon is asked for the next megabyte while it still sends this one. It
 * is done only once batches are known to be small against a read, because a read that ends
 * inside a batch makes the daemon send that batch twice. Otherwise all of the last batch is
 * taken, and the next read begins behind it.
 *
 * The daemon may answer with bytes it has not looked at (READ_UNCHECKED): every batch is checked
 * here. What does not check out is asked for again, to be looked at by the daemon, which knows
 * more: the exact range of the damage, or that the entries were trimmed meanwhile.
 *
 * Replies to the two reads cannot pass each other: the second is asked for when the first one's
 * reply has begun to arrive. */
#include "client/consumer.h"

#include <string.h>

#define CONSUMER_SMALL_BATCH_SHARE 8u

static void consumer_read_failed(struct tusk_consumer *c, int code)
{
    const struct tusk_failure *failure = &c->t->failure;

    c->next = c->tail;
    c->next_known = true;
    if (code == TUSK_EEND) {
        c->at_end = (c->options.flags & TUSK_CONSUMER_STOP_AT_END) != 0;
        c->info.end = failure->detail_a;
        c->info.durable_end = failure->detail_b;
        /* What comes in between two reads from "latest" must not be passed over. */
        if (c->next.kind == POSITION_LATEST) {
            c->next = (struct message_position){POSITION_OFFSET, failure->detail_a};
            c->tail = c->next;
        }
        return;
    }
    if (code == TUSK_ECORRUPT && !c->checked && (c->t->hello.features & FEATURE_UNCHECKED) != 0) {
        c->checked = true;
        return;
    }
    c->failed = *failure;
    c->failed.code = code;
    if (code == TUSK_ETRIMMED) {
        c->next = (struct message_position){POSITION_OFFSET, failure->detail_a};
        c->tail = c->next;
    }
}

static void consumer_read_arrived(struct tusk_consumer *c, struct tusk_batch *batch)
{
    const struct message_read_reply *reply = &batch->reply;

    if (!c->early) {
        batch_view_extend(batch);
        c->next = (struct message_position){POSITION_OFFSET, batch->to};
        c->next_known = true;
    }
    c->tail = (struct message_position){POSITION_OFFSET, batch->to};
    c->batch_size_max = batch->stored_size_max;
    c->info.end = reply->end;
    c->info.durable_end = reply->durable_end;
    if (reply->epoch != 0) {
        c->info.epoch = reply->epoch;
    }
    c->checked = false;
    c->topic.id = reply->topic_id;
    c->topic.name.size = reply->topic_id == 0 ? (uint16_t)strlen(c->topic_name) : 0;
    c->queue[c->queued++] = batch;
}

/* Forget reads in flight, because they continue something that did not arrive. */
static void consumer_drop_reads(struct tusk_consumer *c)
{
    const struct request *request;

    while ((request = pipeline_oldest_of(c->t, &c->reads)) != NULL) {
        (void)pipeline_abandon(c->t, request->id);
    }
    c->reads.in_flight = 0;
    c->early = false;
}

static void consumer_read_done(struct tusk *t, const struct request *request,
                               const struct reply *reply)
{
    struct tusk_consumer *c = ((struct consumer_side *)request->plan.user)->consumer;

    (void)t;
    c->reads.in_flight--;
    if (reply->code == TUSK_OK) {
        consumer_read_arrived(c, reply->u.batch);
        c->early = false;
        consumer_fetch(c);
    } else {
        /* A broken connection completes each read by itself. */
        if (!t->dead) {
            consumer_drop_reads(c);
        }
        consumer_read_failed(c, reply->code);
        if (c->checked) {
            consumer_fetch(c);
        }
    }
}

static void consumer_read_head(struct tusk *t, const struct request *request,
                               const struct message_read_reply *head)
{
    struct tusk_consumer *c = ((struct consumer_side *)request->plan.user)->consumer;

    (void)t;
    if (c->batch_size_max == 0 ||
        c->batch_size_max > c->options.read_bytes / CONSUMER_SMALL_BATCH_SHARE ||
        head->to <= head->from) {
        return;
    }
    c->early = true;
    c->next = (struct message_position){POSITION_OFFSET, head->to};
    c->next_known = true;
    consumer_fetch(c);
}

/* Whether the next read may be answered with a place in a file. */
static bool consumer_maps(const struct tusk_consumer *c)
{
    return (c->t->hello.features & FEATURE_MAPPED) != 0 && !c->checked && !c->t->mapped.failed &&
           (c->options.flags & TUSK_CONSUMER_NO_MAP) == 0;
}

static uint16_t consumer_read_flags(const struct tusk_consumer *c)
{
    unsigned flags = (c->options.flags & TUSK_CONSUMER_SKIP_DAMAGE) != 0 ? READ_SKIP_DAMAGE : 0;

    if ((c->t->hello.features & FEATURE_UNCHECKED) != 0 && !c->checked) {
        flags |= READ_UNCHECKED;
    }
    if (consumer_maps(c)) {
        flags |= READ_MAPPED;
    }
    return (uint16_t)flags;
}

void consumer_fetch(struct tusk_consumer *c)
{
    const struct request_plan plan = {.type = MESSAGE_READ,
                                      .mapped = consumer_maps(c),
                                      .done = consumer_read_done,
                                      .head = consumer_read_head,
                                      .user = &c->reads};
    struct message message;

    mapped_release(c->t); /* What could not be told before */
    if (!c->next_known || c->at_end || c->failed.code != TUSK_OK ||
        c->queued + c->reads.in_flight >= CONSUMER_WINDOW) {
        return;
    }
    message.type = MESSAGE_READ;
    message.u.read = (struct message_read){
        .topic = c->topic,
        .position = c->next,
        .flags = consumer_read_flags(c),
        .max_bytes = c->options.read_bytes,
        .max_entries = UINT32_MAX,
        .wait_ms = c->options.wait_ms,
        .held = MESSAGE_HELD_NONE,
        .cursor = c->cursor,
    };
    if (c->next.kind != POSITION_CURSOR) {
        message.u.read.cursor.size = 0;
    }
    if (pipeline_submit(c->t, &message, &plan, NULL) == TUSK_OK) {
        c->reads.in_flight++;
        c->next_known = false;
    }
}

void consumer_drop_window(struct tusk_consumer *c)
{
    uint32_t i;

    consumer_drop_reads(c);
    tusk_batch_free(c->current);
    c->current = NULL;
    for (i = 0; i < c->queued; i++) {
        tusk_batch_free(c->queue[i]);
    }
    c->queued = 0;
    c->at_end = false;
    c->failed.code = TUSK_OK;
}
