/* A consumer, from its caller's side: open, next, checkpoint, seek, close. */
#include "client/consumer.h"

#include <stdlib.h>
#include <string.h>

#define CONSUMER_READ_BYTES (1024u * 1024)
#define CONSUMER_WAIT_MS 10000u

static int consumer_names(struct tusk_consumer *c)
{
    const char *cursor = c->options.cursor != NULL ? c->options.cursor : "";
    int rc = topic_by_name(c->t, c->options.topic, &c->topic);

    if (rc == TUSK_OK) {
        rc = name_from(c->t, "cursor name", cursor, &c->cursor);
    }
    if (rc == TUSK_OK) {
        memcpy(c->topic_name, c->topic.name.data, c->topic.name.size);
        memcpy(c->cursor_name, c->cursor.data, c->cursor.size);
        c->topic.name.data = c->topic_name;
        c->cursor.data = c->cursor_name;
    }
    return rc;
}

static int consumer_start(struct tusk_consumer *c, struct tusk_position from)
{
    if (from.kind > TUSK_FROM_LATEST) {
        return failure_set(&c->t->failure, TUSK_EINVALID, "an unknown kind of position");
    }
    c->tail = (struct message_position){.kind = (uint16_t)from.kind};
    if (from.kind == TUSK_FROM_DEFAULT) {
        c->tail.kind = c->options.cursor != NULL ? POSITION_CURSOR : POSITION_EARLIEST;
    } else if (from.kind == TUSK_FROM_OFFSET || from.kind == TUSK_FROM_TIME) {
        c->tail.value = from.value;
    }
    c->next = c->tail;
    c->next_known = true;
    return TUSK_OK;
}

int tusk_consumer_open(struct tusk *t, const struct tusk_consumer_options *options,
                       struct tusk_consumer **out)
{
    struct tusk_consumer *c;
    int rc;

    *out = NULL;
    if (options == NULL || options->size < sizeof options->size) {
        return failure_set(&t->failure, TUSK_EINVALID, "tusk_consumer_options.size is not set");
    }
    c = calloc(1, sizeof *c);
    if (c == NULL) {
        return failure_set(&t->failure, TUSK_ENOMEM, "out of memory for a consumer");
    }
    memcpy(&c->options, options,
           options->size < sizeof c->options ? options->size : sizeof c->options);
    c->t = t;
    c->reads.consumer = c;
    c->checkpoints.consumer = c;
    rc = consumer_names(c);
    if (rc == TUSK_OK) {
        rc = consumer_start(c, c->options.from);
    }
    if (rc == TUSK_OK && c->options.checkpoint_every > 0 && c->options.cursor == NULL) {
        rc = failure_set(&t->failure, TUSK_EINVALID, "checkpoints need a cursor");
    }
    if (rc != TUSK_OK) {
        free(c);
        return rc;
    }
    if (c->options.read_bytes == 0) {
        c->options.read_bytes = CONSUMER_READ_BYTES;
    }
    if (c->options.wait_ms == 0) {
        c->options.wait_ms = CONSUMER_WAIT_MS;
    }
    if ((c->options.flags & TUSK_CONSUMER_STOP_AT_END) != 0) {
        c->options.wait_ms = 0;
    }
    *out = c;
    return TUSK_OK;
}

/* Whether what the current batch was checked for is still what stands there. A daemon that was
 * restarted knows nothing of leases: then the connection is over, and nothing read counts. */
bool consumer_still_true(struct tusk_consumer *c)
{
    if (c->current == NULL || mapped_unchanged(c->current)) {
        return true;
    }
    pipeline_break(c->t, TUSK_ECLOSED,
                   "the daemon was restarted and has used a block again while entries %llu to %llu "
                   "were read from it; connect again, and read them again",
                   (unsigned long long)c->current->reply.from,
                   (unsigned long long)c->current->reply.to);
    /* Reads in flight have just failed with another code, or the connection was over before. */
    (void)failure_set(&c->failed, TUSK_ECLOSED,
                      "the daemon was restarted and has used a block again while it was read");
    c->t->failure = c->failed;
    return false;
}

/* Damage before a batch counts when what stands before it has been returned, not when it was read
 * ahead. */
static void consumer_count_skipped(struct tusk_consumer *c, const struct message_read_reply *reply)
{
    if (reply->skipped_to > reply->skipped_from) {
        c->info.skipped += reply->skipped_to - reply->skipped_from;
        c->info.skipped_from = reply->skipped_from;
        c->info.skipped_to = reply->skipped_to;
    }
}

/* A batch without entries says that damage was skipped: what comes next lies behind it. */
static void consumer_pass_damage(struct tusk_consumer *c, const struct tusk_batch *batch)
{
    if (batch != NULL && batch->entry_count == 0) {
        c->positioned = true;
        c->info.position = batch->to;
        c->unsaved++;
    }
}

static bool consumer_take(struct tusk_consumer *c, struct tusk_entry *entry)
{
    bool arriving;

    for (;;) {
        if (c->current != NULL && tusk_batch_next(c->current, entry)) {
            if (c->positioned && entry->offset > c->info.position) {
                c->info.gap_offsets += entry->offset - c->info.position;
            }
            c->positioned = true;
            c->info.position = entry->offset + 1;
            c->info.entries++;
            c->returned = true;
            return true;
        }
        consumer_pass_damage(c, c->current);
        if (!consumer_still_true(c)) {
            return false;
        }
        tusk_batch_free(c->current);
        c->current = NULL;
        if (c->queued == 0) {
            return false;
        }
        c->current = c->queue[0];
        consumer_count_skipped(c, &c->current->reply);
        c->queued--;
        memmove(c->queue, c->queue + 1, c->queued * sizeof(struct tusk_batch *));
        arriving = c->reads.in_flight > 0;
        consumer_fetch(c);
        /* So that the daemon reads ahead while this is walked. If nothing else was asked for
         * before, there is nothing to receive yet. */
        if (arriving) {
            (void)pipeline_turn(c->t);
        } else {
            stream_send(&c->t->stream);
        }
    }
}

/* Why next() returns nothing, if it is time to; else TUSK_OK. */
static int consumer_idle(struct tusk_consumer *c, uint64_t deadline_us)
{
    int code = TUSK_EEND;

    if (c->failed.code != TUSK_OK) {
        c->t->failure = c->failed;
        c->failed.code = TUSK_OK;
        return c->t->failure.code;
    }
    if (c->t->dead) {
        return failure_set(&c->t->failure, TUSK_ECLOSED, "the connection ended before: %s",
                           c->t->broken.text);
    }
    if (c->at_end) {
        c->at_end = false;
    } else if (clock_now_us() < deadline_us) {
        return TUSK_OK;
    } else if ((c->options.flags & TUSK_CONSUMER_STOP_AT_END) != 0) {
        code = TUSK_ETIMEOUT;
    }
    (void)failure_set(&c->t->failure, code,
                      code == TUSK_EEND ? "no entry there yet" : "no answer before the deadline");
    c->t->failure.detail_a = c->info.end;
    c->t->failure.detail_b = c->info.durable_end;
    return code;
}

int tusk_consumer_next(struct tusk_consumer *c, struct tusk_entry *entry, int timeout_ms)
{
    uint64_t deadline_us = 0;
    int rc = pipeline_check_outside_callback(c->t);

    if (rc != TUSK_OK) {
        return rc;
    }
    consumer_processed(c);
    for (;;) {
        if (c->refused.code != TUSK_OK) {
            return consumer_refused(c);
        }
        if (consumer_take(c, entry)) {
            return TUSK_OK;
        }
        consumer_processed_all(c);
        consumer_fetch(c);
        if (deadline_us == 0) {
            deadline_us = pipeline_deadline_us(c->t, timeout_ms);
            (void)pipeline_turn(c->t);
            if (c->queued > 0) {
                continue;
            }
        }
        rc = consumer_idle(c, deadline_us);
        if (rc != TUSK_OK) {
            return rc;
        }
        (void)pipeline_turn_until(c->t, deadline_us);
    }
}

int tusk_consumer_checkpoint(struct tusk_consumer *c, int timeout_ms)
{
    uint64_t deadline_us = pipeline_deadline_us(c->t, timeout_ms);
    int rc = pipeline_check_outside_callback(c->t);

    if (rc == TUSK_OK &&
        (c->options.cursor == NULL || (c->options.flags & TUSK_CONSUMER_PEEK) != 0)) {
        rc = failure_set(&c->t->failure, TUSK_EINVALID, "a checkpoint needs a cursor");
    }
    if (rc != TUSK_OK || !c->positioned) {
        return rc;
    }
    c->returned = false;
    while ((rc = consumer_save(c)) == TUSK_EBUSY) {
        if (clock_now_us() >= deadline_us) {
            return rc;
        }
        (void)pipeline_turn_until(c->t, deadline_us);
    }
    if (rc != TUSK_OK) {
        return rc;
    }
    (void)pipeline_turn(c->t);
    if (timeout_ms != 0) {
        rc = consumer_save_wait(c, deadline_us);
    }
    return rc == TUSK_OK && c->refused.code != TUSK_OK ? consumer_refused(c) : rc;
}

int tusk_consumer_seek(struct tusk_consumer *c, struct tusk_position position)
{
    int rc = pipeline_check_outside_callback(c->t);

    if (rc == TUSK_OK && position.kind > TUSK_FROM_LATEST) {
        rc = failure_set(&c->t->failure, TUSK_EINVALID, "an unknown kind of position");
    }
    if (rc != TUSK_OK) {
        return rc;
    }
    consumer_processed(c);
    consumer_drop_window(c);
    c->unsaved = 0;
    c->batch_size_max = 0;
    c->positioned = false;
    return consumer_start(c, position);
}

int tusk_consumer_info(const struct tusk_consumer *c, struct tusk_consumer_info *info)
{
    return struct_out(info, info->size, &c->info, sizeof c->info);
}

int tusk_consumer_close(struct tusk_consumer *c, int timeout_ms)
{
    int rc;

    if (c == NULL) {
        return TUSK_OK;
    }
    rc = pipeline_check_outside_callback(c->t);
    if (rc != TUSK_OK) {
        return rc;
    }
    rc = consumer_save_wait(c, pipeline_deadline_us(c->t, timeout_ms));
    consumer_drop_saves(c);
    consumer_drop_window(c);
    if (!c->t->dead) {
        stream_send(&c->t->stream); /* The leases that were given back: the next call may be far */
    }
    rc = rc == TUSK_OK ? c->checkpoint_code : rc;
    free(c);
    return rc;
}
