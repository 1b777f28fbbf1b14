/* A slot of the ring: one operation in the kernel, with one request at a time. What io_uring.c,
 * which has the ring, and io_uring_slot.c, which knows the requests, share.
 *
 *     free ---> taken, with a request ---> result ---> finished ---> released
 *                         ^                  |
 *                         \-- next request --/ */
#ifndef CORE_IO_URING_SLOT_H
#define CORE_IO_URING_SLOT_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/io_files.h"

#define URING_SLOTS 256u

enum slot_step {
    SLOT_RUN,    /* The operation, or what is left of it */
    SLOT_SYNC,   /* ALLOCATE: the space is there, its sync is under way */
    SLOT_FAILED, /* No request could be made: `failure` comes back through the ring */
};

struct uring_slot {
    struct io_op *op; /* NULL: free */
    struct uring_slot *next_free;
    enum slot_step step;
    int failure;       /* An errno value */
    uint32_t progress; /* READ, WRITE: bytes done */
    unsigned repeats;
    struct io_parent parent;    /* Of op->path */
    struct io_parent parent_to; /* Of op->path_to */
    int dir_fd;                 /* SYNC_DIR; else -1 */
};

struct uring {
    struct disk disk;
    struct io_uring ring;
    struct uring_slot slots[URING_SLOTS];
    struct uring_slot *free;
    unsigned slots_used;
    struct disk_queue backlog;
    struct disk_queue dropped; /* Failed without the ring, after it was given up */
    int broken;                /* Why it was given up: an errno value, or 0 */
};

_Static_assert(offsetof(struct uring, disk) == 0, "struct io * is a struct uring *");

/* A free slot, of which there must be one, has the operation, and its first request is on the ring;
 * io_uring.c makes the kernel take it. */
void uring_slot_take(struct uring *uring, struct io_op *op);
/* Put the slot's next request on the ring. */
void uring_slot_request(struct uring *uring, struct uring_slot *slot);
/* Take the result of the slot's request. True: the operation is finished, *os_error says how.
 * False: the slot has a next request to make. */
bool uring_slot_advance(struct uring *uring, struct uring_slot *slot, int res, int *os_error);
/* The slot is free, its directories are closed; the operation is the caller's. */
void uring_slot_release(struct uring *uring, struct uring_slot *slot);

#endif
