/* A consumer: a window of batches in front of the caller, filled by reads ahead.
 *
 *     next() <-- current <-- queue[] <-- reads in flight, from `next` on
 *                                                  |
 *     processed --> checkpoints in flight          `tail`: behind all that has arrived
 *
 * consumer.c is the caller's side, consumer_fetch.c the reads, consumer_save.c the checkpoints. */
#ifndef CLIENT_CONSUMER_H
#define CLIENT_CONSUMER_H

#include "client/batch_view.h"

#define CONSUMER_WINDOW 2u /* Batches queued and reads in flight, beside the current one */

/* What requests point at, so that reads and checkpoints can be told apart. */
struct consumer_side {
    struct tusk_consumer *consumer;
    uint32_t in_flight;
};

struct tusk_consumer {
    struct tusk *t; /* Borrowed; outlives the consumer */
    struct tusk_consumer_options options;
    struct message_topic topic; /* By name until the first reply, then by id */
    struct message_name cursor;
    char topic_name[TUSK_NAME_SIZE_MAX + 1];
    char cursor_name[TUSK_NAME_SIZE_MAX + 1];

    struct tusk_batch *current;                /* Owned; being walked; or NULL */
    struct tusk_batch *queue[CONSUMER_WINDOW]; /* Owned */
    uint32_t queued;
    struct consumer_side reads;
    struct message_position next; /* Where the next read begins, if known */
    struct message_position tail; /* Behind the batches that have arrived */
    bool next_known;
    bool early;                 /* The oldest read's successor was asked for already */
    bool checked;               /* The next read is to be checked by the daemon */
    bool at_end;                /* With STOP_AT_END: the daemon said END, next() has to say so */
    uint32_t batch_size_max;    /* Body of the largest stored batch of the last read; 0: none yet */
    struct tusk_failure failed; /* Of the last read; told when the window is empty */

    struct consumer_side checkpoints;
    bool positioned;   /* info.position means something */
    bool returned;     /* next() returned an entry that counts as processed next time */
    uint32_t unsaved;  /* Entries processed since the last checkpoint */
    uint32_t gathered; /* Checkpoints since the last turn */
    uint64_t gathered_since_us;
    struct tusk_failure refused; /* Of a checkpoint; told at once */
    int checkpoint_code;         /* Of the last checkpoint that failed */
    struct tusk_consumer_info info;
};

/* False: the connection is broken, because what was read was used again meanwhile. */
bool consumer_still_true(struct tusk_consumer *c);
/* Ask for more if there is room for it and nothing failed. When it cannot be sent now, the
 * next call tries again. */
void consumer_fetch(struct tusk_consumer *c);
/* Forget the window and the reads in flight. */
void consumer_drop_window(struct tusk_consumer *c);

/* The entry returned last counts as processed now; a checkpoint if it is time for one. */
void consumer_processed(struct tusk_consumer *c);
/* There is nothing to return: a checkpoint for what was processed. */
void consumer_processed_all(struct tusk_consumer *c);
/* A checkpoint for everything before info.position. */
int consumer_save(struct tusk_consumer *c);
/* Wait until no checkpoint is in flight. */
int consumer_save_wait(struct tusk_consumer *c, uint64_t deadline_us);
/* Forget the checkpoints in flight. */
void consumer_drop_saves(struct tusk_consumer *c);
/* Tell of a checkpoint that failed; after a seek by somebody else, go where the cursor is. */
int consumer_refused(struct tusk_consumer *c);

#endif
