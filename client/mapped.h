/* Batches read where they lie: in the daemon's segment files, mapped read-only.
 *
 *     reply with a place ---> mapped_attach ---> checked, walked ---> mapped_detach ---> RELEASE
 *
 * The daemon does not use a leased block again, so what was checked stays as it is, until the lease
 * is released, or the daemon forgets it by being restarted. Whoever has used a mapped batch asks
 * mapped_unchanged() before what was read counts for anything: before a block is written anew, its
 * first page gets another generation.
 *
 * A file that shrinks under its map, or a disk that fails to give a page a second time, would be a
 * signal (SIGBUS). The daemon never shortens segments, and every page is brought into the map
 * before it is looked at (MADV_POPULATE_READ, Linux 5.14), so that a failing disk is an error;
 * where the kernel cannot do that, nothing is mapped. */
#ifndef CLIENT_MAPPED_H
#define CLIENT_MAPPED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/message.h"

struct tusk;
struct tusk_batch;

/* One segment's file. */
struct mapped_segment {
    uint64_t number;
    uint8_t *base;
    size_t size;
    uint32_t users; /* Batches, and the table while it is in there */
};

/* Of a connection. Zeroed: nothing is mapped. */
struct mapped {
    struct mapped_segment *segments[MESSAGE_MAPPED_SEGMENTS]; /* In turn, as PROTOCOL.md says */
    uint32_t at;
    uint16_t released_count;
    uint32_t released[MESSAGE_LEASES_MAX]; /* Not yet told to the daemon */
    bool failed;                           /* Maps cannot be had here: ask for none */
};

/* Let batch->reply.data point to what the reply names. 0; EPROTOCOL; ECORRUPT when it cannot be
 * mapped or read: then t->mapped.failed is set, and the lease will be released. */
int mapped_attach(struct tusk *t, struct tusk_batch *batch);
/* The batch is freed. */
void mapped_detach(struct tusk_batch *batch);
/* Whether what has been read from the batch was what had been checked. True when not mapped. */
bool mapped_unchanged(const struct tusk_batch *batch);
/* Tell the daemon what is released, if that can be sent now. */
void mapped_release(struct tusk *t);
/* The connection is about to end, and no batch is left: give back what replies may have brought
 * that were not taken, if that can be sent now. */
void mapped_leave(struct tusk *t);
void mapped_deinit(struct mapped *mapped);

#endif
