/* What the daemon measures of itself: answers by request and status, how long requests took, how
 * long turns took, and how late the loop is.
 *
 *     dispatch: the turn's time noted with a request ---> its reply is made: meter_reply
 *                            ---> sent, at the end of that turn: meter_turn, one look at the clock
 *
 * So a duration goes from the turn in which the request was taken to the end of the turn in which
 * its reply left. Fixed memory, no allocation, and nothing but sums on the way of a request.
 *
 * Elsewhere: what is done with disks (the engine's own histograms), and how all of it is told
 * (exposition.h). */
#ifndef SERVER_METER_H
#define SERVER_METER_H

#include <stdint.h>

#include "proto/histogram.h"
#include "proto/status.h"

struct reply_to;

#define METER_TYPES 32u    /* Of requests */
#define METER_STATUSES 32u /* 0 and the numbers of proto/status.h */
#define METER_ENDED_MAX 128u

/* Requests of one kind, as far as what they wait for goes. */
enum meter_class {
    METER_APPEND,
    METER_READ,
    METER_READ_WAIT, /* A read that may wait for entries: most of it is waiting */
    METER_CURSOR,
    METER_SYNC,
    METER_TOPIC, /* Changes to topics and namespaces */
    METER_QUERY, /* Everything that is answered from memory */
    METER_CLASSES
};

struct meter {
    struct histogram latency_us[METER_CLASSES];
    struct histogram turn_us;
    struct histogram lag_us;
    uint64_t replies[METER_TYPES][METER_STATUSES];
    unsigned last_status;
    uint64_t denied;   /* Refused by an access rule */
    uint64_t sweep_us; /* When the loop's timer should fire next; 0: it does not run */
    unsigned ended;    /* Replies made in this turn whose duration is not known yet */
    struct {
        uint64_t began_us;
        unsigned class;
    } ends[METER_ENDED_MAX];
};

/* A reply was made. status: 0, or a positive number of proto/status.h. */
void meter_reply(struct meter *meter, const struct reply_to *to, unsigned status);
/* The replies of a turn that began at began_us have left. */
void meter_turn(struct meter *meter, uint64_t began_us, uint64_t now_us);
/* A timer of the loop will fire at due_us; it fires now. */
void meter_timer_set(struct meter *meter, uint64_t due_us);
void meter_timer_fired(struct meter *meter, uint64_t now_us);
/* "append", "read", ... */
const char *meter_class_name(enum meter_class class);
/* Of a request: "append", "topic_create", ...; NULL: there is no such type. */
const char *meter_type_name(unsigned type);

#endif
