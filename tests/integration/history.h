/* What a test client sent, and what it was told about it: the memory against which a daemon is held
 * after it was killed, filled up or stopped.
 *
 *     history_send ... history_take (replies) ---> the daemon dies ---> history_check
 *
 * A batch is *sent*, then *acked* with an offset, or *refused*, or nobody knows. history_check()
 * reads everything back and demands: each acked batch is there, at its offset, whole and unchanged;
 * what was refused is not there; what nobody knows is there whole or not at all; the order is that
 * of sending; nothing is there that was not sent; and no offset was given twice. */
#ifndef TESTS_INTEGRATION_HISTORY_H
#define TESTS_INTEGRATION_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

struct wire;

#define HISTORY_BATCHES_MAX 200000u
#define HISTORY_ENTRIES_MAX 5u /* Of one batch */

enum history_fate { HISTORY_UNKNOWN, HISTORY_ACKED, HISTORY_REFUSED };

struct history_batch {
    uint64_t id; /* Of the request */
    uint64_t first_offset;
    uint8_t fate; /* enum history_fate */
    uint8_t count;
    uint8_t seen; /* Entries found by the check under way */
};

/* One topic's history. */
struct history {
    char topic[32];
    uint32_t pad; /* Bytes that each entry has beyond its label */
    uint32_t count;
    uint32_t acked;
    uint32_t refused;
    int last_status;               /* Of the last reply that was not success */
    uint64_t end_seen;             /* No offset below it may be given again */
    struct history_batch *batches; /* Owned */
};

void history_init(struct history *history, const char *topic, uint32_t pad);
void history_deinit(struct history *history);
/* Send one more batch of 1 to HISTORY_ENTRIES_MAX entries. False: the connection is gone. */
bool history_send(struct history *history, struct wire *wire);
/* Take the next reply, which belongs to one of these histories. False: the connection is gone. */
bool history_take(struct history *histories, uint32_t count, struct wire *wire);
/* Batches sent through this connection whose fate is unknown. */
uint32_t history_open(const struct history *history);
/* Read everything back, and fail the test if a demand is broken. */
void history_check(struct history *history, struct wire *wire);

#endif
