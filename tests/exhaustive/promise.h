/* What an engine has promised, operation by operation, and the judge of what it serves after a crash: a small oracle for
 * worlds of a few operations, where each operation is an event with a place in the namespace's order.
 *
 *     promise_init ---> { promise_append, ... on a fixture } ---> crash, open ---> promise_check ---> more of it
 *
 * A struct promise is a value: a copy of it is what was promised at that moment. */
#ifndef TESTS_EXHAUSTIVE_PROMISE_H
#define TESTS_EXHAUSTIVE_PROMISE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/support/engine_fixture.h"

#define PROMISE_TOPICS 3u
#define PROMISE_BATCHES 96u
#define PROMISE_POSITIONS 8u
#define PROMISE_ENTRY_MIN 8u

enum promise_state {
    PROMISE_REFUSED, /* Not stored, now or ever; or known to be lost */
    PROMISE_MAYBE,   /* Under way, or its outcome is unknown */
    PROMISE_ACKED,
    PROMISE_DURABLE,
};

struct promise_batch {
    uint64_t event;  /* 0: may be lost alone, in a crash before */
    uint64_t offset; /* UINT64_MAX: not known */
    uint32_t first;  /* Number of its first entry within the topic's life */
    uint32_t count;
    uint32_t size; /* Of each entry */
    enum promise_state state;
};

struct promise_position {
    uint64_t event;
    uint64_t offset;
};

struct promise_topic {
    uint32_t life; /* Counts deletes */
    struct promise_batch batches[PROMISE_BATCHES];
    unsigned batch_count;
    uint32_t numbers;
    uint64_t floor; /* No offset before this may be given again */
    uint64_t delete_event;
    bool delete_maybe;
    uint64_t trim_event;
    uint64_t trimmed;    /* Entries before this are given up for certain, */
    uint64_t trim_asked; /* or may be, before this */
    struct promise_position positions[PROMISE_POSITIONS]; /* Of cursor "k", asked for */
    unsigned position_count;
    uint64_t position; /* It stands here at least; 0: it may not exist */
    uint64_t base;     /* Offsets of a new topic begin here */
    bool retained;     /* A retention rule may give entries up */
};

struct promise {
    struct promise_topic topics[PROMISE_TOPICS];
    uint64_t events;
    bool at_least_once; /* Checkpoints are not durable when they are answered */
};

void promise_init(struct promise *p);

/* Operations: wait for the answer, note what it promises, return its status. The topic's number is 0, 1 or 2. */
int promise_append(struct promise *p, struct fixture *f, unsigned topic, uint32_t count,
                   uint32_t size, bool durable);
int promise_sync(struct promise *p, struct fixture *f);
int promise_checkpoint(struct promise *p, struct fixture *f, unsigned topic, uint64_t offset);
int promise_trim(struct promise *p, struct fixture *f, unsigned topic, uint64_t offset);
int promise_delete(struct promise *p, struct fixture *f, unsigned topic);
/* A clean stop; the engine is still to be closed. */
int promise_stop(struct promise *p, struct fixture *f);

/* An append in two halves, for several at once: those begun with the same `event` have no order among each other. */
struct promise_pending {
    struct fixture_append append;
    uint8_t *data;
    unsigned topic;
    unsigned batch;
};
uint64_t promise_event(struct promise *p);
void promise_append_begin(struct promise *p, struct fixture *f, struct promise_pending *pending,
                          uint64_t event, unsigned topic, uint32_t count, uint32_t size,
                          bool durable);
int promise_append_end(struct promise *p, struct fixture *f, struct promise_pending *pending);

const char *promise_topic_name(unsigned topic);
/* Where the topic ends; 0: there is none. */
uint64_t promise_end(struct fixture *f, unsigned topic);
/* The power failed, or a disk lied: what was acknowledged and not durable may be lost, and what comes later is not. */
void promise_cut(struct promise *p);
/* What the engine says is durable, is. */
void promise_told(struct promise *p, struct fixture *f);

/* Behind a crash and an open: everything promised is there, of the rest a prefix, nothing else. What is found is what is
 * promised from then on. */
void promise_check(struct promise *p, struct fixture *f);
/* The same on an engine that ran on, where nothing acknowledged may be missing, durable or not. */
void promise_check_running(const struct promise *p, struct fixture *f);
/* New entries are taken, behind every offset that was ever given. */
void promise_check_writes(struct promise *p, struct fixture *f);
/* Of what readers see: entries, offsets, first offsets kept, cursors. */
uint64_t promise_seen(struct fixture *f);
/* Of the promise itself: equal promises have equal ones. */
uint64_t promise_hash(const struct promise *p);

#endif
