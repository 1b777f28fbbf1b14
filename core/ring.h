/* The last journal bytes, in memory: records are built here, written to the journal from here, and
 * what is not yet in its block (a topic's tail) is served and applied from here.
 *
 * A *ring position* counts bytes since the start and never wraps; the byte of position p lies at p
 * modulo the size. A record never straddles the end of the memory: ring_place() skips to its start.
 * Positions of records are multiples of 64, so there is one link per 64 bytes, with which a topic's
 * tail is a list through the ring without a byte of its own memory.
 *
 * The ring does not know what may be overwritten: tail_make_room() (tail.h) sees to that. */
#ifndef CORE_RING_H
#define CORE_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "core/check.h"

struct ring {
    uint8_t *data;   /* Owned */
    uint64_t *links; /* Owned; one per 64 bytes */
    uint64_t size;   /* A multiple of 64 */
    uint64_t head;   /* Position behind the last byte handed out */
};

/* TUSK_ENOMEM. size is a multiple of 64. */
int ring_init(struct ring *ring, uint64_t size);
/* A zeroed ring is allowed. */
void ring_deinit(struct ring *ring);
/* Where `size` bytes in one piece would begin if handed out now; size is at most the ring's. */
uint64_t ring_place(const struct ring *ring, uint64_t size);

static inline uint8_t *ring_at(const struct ring *ring, uint64_t position)
{
    return ring->data + position % ring->size;
}

/* The link of the item that begins at position (items are at least 64 bytes apart). */
static inline uint64_t *ring_link(const struct ring *ring, uint64_t position)
{
    return &ring->links[position % ring->size / 64u];
}

#endif
