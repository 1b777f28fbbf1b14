/* The judge: what a store holds after a restart, against what its clients were told.
 *
 *     judge_read (a running daemon) ---> judge_check ---> judge_settle
 *
 * It demands, per namespace:
 * 1. each entry that must have survived is there, at its offset, bit for bit;
 * 2. of each topic a prefix survived: behind a lost batch nothing of that life is left;
 * 3. batches are whole, in the order of their connection, and stored once;
 * 4. nothing is there that was not sent, that was refused, or that was lost before;
 * 5. no offset was issued twice, in this life or an earlier one;
 * 6. a strict cursor is where it was acknowledged or further, another within its bound; none is
 *    beyond the log, or where nobody moved it;
 * 7. all topics end at one point of history: if an append was acknowledged before another was sent,
 *    the first is not lost when the second survived;
 * 8. entries that went by retention were behind every cursor;
 * 9. what was delivered is what is there. */
#ifndef TESTS_CRASH_JUDGE_H
#define TESTS_CRASH_JUDGE_H

#include "tests/crash/model.h"

/* How the life ended. */
enum ending {
    ENDING_KILL,  /* Of the daemon: everything acknowledged must be there */
    ENDING_CLEAN, /* The same */
    ENDING_POWER, /* What was durable must be there */
};

struct found_entry {
    uint64_t offset;
    uint64_t time_us;
    uint32_t client;
    uint32_t number;
    uint32_t index;
};

struct found_topic {
    bool exists;
    uint64_t topic_id;
    uint64_t first;
    uint64_t end;
    struct found_entry *entries; /* Owned */
    uint32_t count;
    uint32_t room;
    uint64_t cursors[MODEL_CLIENTS_MAX]; /* By client; MODEL_NEVER: none */
};

struct found {
    struct found_topic topics[MODEL_SPACES][MODEL_TOPICS];
    uint64_t entries;
};

struct judgement {
    struct model *model;
    struct found *found;
    enum ending ending;
    uint64_t cut;      /* Acknowledgements received at this position or before count */
    const char *where; /* For the reader of a violation: which kill, cut or state */
    uint64_t acked;    /* Batches acknowledged in the life */
    uint64_t lost;     /* Of them not there, as the schedule allows */
    /* The judge's own: */
    uint64_t *places[MODEL_CLIENTS_MAX]; /* First offset found by number; MODEL_NEVER: none */
    uint64_t synced_ns[MODEL_SPACES];    /* Acknowledged before it: durable */
    uint64_t durable_end[MODEL_SPACES][MODEL_TOPICS];
    uint64_t lost_ns[MODEL_SPACES]; /* When the first lost batch was acknowledged */
    uint64_t kept_ns[MODEL_SPACES]; /* When the last kept one was sent */
};

/* Read everything of every namespace. False: the daemon did not answer as it should, which is a
 * violation and was reported. */
bool judge_read(struct model *model, struct found *found, const char *where);
void found_free(struct found *found);
/* Order and bytes, offsets and times, and cursors: two restarts must give the same. */
uint64_t found_digest(const struct model *model, const struct found *found);
/* Report every violation. */
void judge_check(struct judgement *judgement);
/* What was found is from now on what there is: kept for good, or lost for good. A new life begins. */
void judge_settle(struct judgement *judgement);
void judge_free(struct judgement *judgement);
/* Whether a batch that is not there may be gone by retention. */
bool judge_may_be_gone(const struct judgement *judgement, const struct client *client,
                       const struct sent *sent);
/* judge_cursor.c */
void judge_cursors(struct judgement *judgement);
/* judge_check.c, for judge_cursor.c */
bool judge_counts(const struct judgement *judgement, uint64_t acked_at);

#endif
