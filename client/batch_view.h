/* struct tusk_batch: the bytes of a READ reply, checked, and a walk over its entries.
 *
 *     batch_view_new --> receive the body into it --> batch_view_open --> tusk_batch_next ...
 *
 * Nothing of it is looked at by a user before both checksums of every stored batch matched. */
#ifndef CLIENT_BATCH_VIEW_H
#define CLIENT_BATCH_VIEW_H

#include "client/connection.h"

struct tusk_batch {
    struct message_read_reply reply; /* data points into body, or into the map of a segment */
    uint64_t to;                     /* Entries [reply.from, to) are delivered */
    uint64_t stored_end;             /* Behind the last entry of the last stored batch */
    uint32_t stored_size_max;        /* Body of the largest stored batch, bytes */
    uint32_t entry_count;
    uint64_t payload_size;

    const uint8_t *at; /* The stored batch after the one being walked */
    struct batch_iterator entries;
    uint64_t offset; /* Of the iterator's next entry */
    uint64_t time_us;

    struct tusk *t;                 /* When mapped: borrowed, outlives the batch */
    struct mapped_segment *segment; /* Where reply.data points into; NULL: into body */

    uint32_t body_size;
    uint8_t body[];
};

/* NULL: out of memory. */
struct tusk_batch *batch_view_new(uint32_t body_size);
/* Decode and check the received body, and what it says is mapped. 0; ECORRUPT if a checksum or a
 * stored batch is wrong, or the map cannot be read; EPROTOCOL if it is not what the request could
 * be answered with (mapped: whether it may be a place). t->failure says what. */
int batch_view_open(struct tusk_batch *batch, struct tusk *t, bool mapped);
/* Deliver all of the last stored batch, which is there anyway, not only what was asked for. */
void batch_view_extend(struct tusk_batch *batch);

#endif
