/* A consumer's checkpoints: sent without waiting, a few together, each covering the ones
 * before it. */
#include "client/consumer.h"

/* Checkpoints go out together, up to this many or this long. */
#define CONSUMER_CHECKPOINT_GATHER 32u
#define CONSUMER_CHECKPOINT_GATHER_US 1000u

static void consumer_checkpoint_done(struct tusk *t, const struct request *request,
                                     const struct reply *reply)
{
    struct tusk_consumer *c = ((struct consumer_side *)request->plan.user)->consumer;

    c->checkpoints.in_flight--;
    if (reply->code == TUSK_OK) {
        c->info.checkpointed = reply->u.cursor.offset;
        c->info.epoch = reply->u.cursor.epoch;
        return;
    }
    c->checkpoint_code = reply->code;
    if (c->refused.code == TUSK_OK) {
        c->refused = t->failure;
        c->refused.code = reply->code;
    }
}

int consumer_save(struct tusk_consumer *c)
{
    const struct request_plan plan = {.type = MESSAGE_CHECKPOINT,
                                      .changes = true,
                                      .done = consumer_checkpoint_done,
                                      .user = &c->checkpoints};
    struct message message;
    int rc;

    if (!consumer_still_true(c)) {
        return c->failed.code;
    }
    message.type = MESSAGE_CHECKPOINT;
    message.u.checkpoint = (struct message_checkpoint){
        .topic = c->topic,
        .cursor = c->cursor,
        .offset = c->info.position,
        .epoch = c->info.epoch,
    };
    rc = pipeline_submit(c->t, &message, &plan, NULL);
    if (rc == TUSK_OK) {
        c->checkpoints.in_flight++;
        c->unsaved = 0;
    }
    return rc;
}

/* The entry returned last counts as processed now. A checkpoint that finds no room is made up
 * for by a later one, which covers it. */
void consumer_processed(struct tusk_consumer *c)
{
    uint64_t now;

    if (!c->returned) {
        return;
    }
    c->returned = false;
    c->unsaved++;
    if (c->options.checkpoint_every == 0 || c->unsaved < c->options.checkpoint_every ||
        (c->options.flags & TUSK_CONSUMER_PEEK) != 0) {
        return;
    }
    now = clock_now_us();
    if (consumer_save(c) != TUSK_OK || ++c->gathered >= CONSUMER_CHECKPOINT_GATHER ||
        now - c->gathered_since_us >= CONSUMER_CHECKPOINT_GATHER_US) {
        (void)pipeline_turn(c->t); /* What breaks here shows in the next read */
        c->gathered = 0;
        c->gathered_since_us = now;
    }
}

/* Nothing to return: whatever was processed is worth a checkpoint. */
void consumer_processed_all(struct tusk_consumer *c)
{
    if (c->unsaved > 0 && c->options.checkpoint_every > 0 &&
        (c->options.flags & TUSK_CONSUMER_PEEK) == 0) {
        (void)consumer_save(c); /* Else the next call tries again */
    }
}

void consumer_drop_saves(struct tusk_consumer *c)
{
    const struct request *request;

    while ((request = pipeline_oldest_of(c->t, &c->checkpoints)) != NULL) {
        (void)pipeline_abandon(c->t, request->id);
    }
    c->checkpoints.in_flight = 0;
}

int consumer_refused(struct tusk_consumer *c)
{
    struct tusk_failure *refused = &c->refused;

    c->t->failure = *refused;
    if (refused->code == TUSK_ESTALE) {
        consumer_drop_window(c);
        consumer_drop_saves(c); /* They carry the old epoch, too */
        c->returned = false;
        c->unsaved = 0;
        c->info.epoch = refused->detail_b;
        c->info.position = refused->detail_a;
        c->tail = (struct message_position){POSITION_OFFSET, refused->detail_a};
        c->next = c->tail;
        c->next_known = true;
    }
    refused->code = TUSK_OK;
    return c->t->failure.code;
}

int consumer_save_wait(struct tusk_consumer *c, uint64_t deadline_us)
{
    while (c->checkpoints.in_flight > 0) {
        if (clock_now_us() >= deadline_us) {
            return failure_set(&c->t->failure, TUSK_ETIMEOUT, "a checkpoint is still in flight");
        }
        (void)pipeline_turn_until(c->t, deadline_us); /* If it breaks, it completes */
    }
    return TUSK_OK;
}
