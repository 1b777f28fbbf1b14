/* Staying awake for the next request.
 *
 * A client that sends its next request when it has the reply to the last one is back within a few
 * microseconds; going to sleep and being woken takes the kernel longer than that, on a virtual
 * machine several times. So while requests have lately come in so quick a succession, the loop
 * looks at its sockets a few times more before it sleeps. One look too many for nothing, and it
 * sleeps again until they have come quickly for some time: a daemon that is idle does not spin, nor
 * one with as many busy clients as there are processors, because they need its own to go on. */
#ifndef SERVER_SPIN_H
#define SERVER_SPIN_H

#include <stdbool.h>
#include <stdint.h>

/* Stay awake for this long, when the gaps between requests are shorter than that on average. Twice
 * the round trip of a socket: longer would not be the client that just got its reply. */
#define SPIN_US 20u
#define SPIN_GAP_US 15u
/* And for so many looks, whatever the clock says. */
#define SPIN_LOOKS_MAX 64u

#define SPIN_RECENT 8u

struct spin {
    const void *recent[SPIN_RECENT]; /* Who sent the last requests; for comparing only */
    unsigned next;
    unsigned processors;
    uint64_t requests; /* Taken until the last look */
    uint64_t last_us;  /* When the last one came; 0: none has */
    uint64_t until_us; /* 0: it may sleep */
    uint32_t gap_us;   /* Average */
    unsigned looks;    /* For nothing, one behind the other */
};

void spin_init(struct spin *spin, unsigned processors);
/* Requests of this client were taken. */
static inline void spin_came(struct spin *spin, const void *client)
{
    spin->recent[spin->next++ % SPIN_RECENT] = client;
}
/* At the end of a turn: requests is how many there have been so far. Whether to look again instead
 * of sleeping. */
bool spin_stay(struct spin *spin, uint64_t requests, uint64_t now_us);

#endif
