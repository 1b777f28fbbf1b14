/* Buffers for input and output, in four sizes per power of two, with one bound for all of them.
 *
 *     pool_get ---> in use, bytes [begin, end) hold something ---> pool_put
 *
 * Freed buffers are kept for the next user, newest first, up to POOL_CACHE_BYTES.
 *
 * The last eighth is for buffers of at most RECEIVE_SIZE, and half of that for those of at most
 * RECEIVE_SHORT_SIZE: clients that order much and take nothing cannot keep those who ask for little
 * from being answered. */
#ifndef SERVER_POOL_H
#define SERVER_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POOL_SHIFT_MIN 10u /* Smallest class: 1 KiB, header included */
#define POOL_SHIFT_MAX 31u /* Largest class: 2 GiB */
#define POOL_CLASSES ((POOL_SHIFT_MAX - POOL_SHIFT_MIN) * 4 + 1)

struct buffer {
    struct buffer *next; /* The owner's, while in use */
    uint32_t size;       /* Of bytes[] */
    uint32_t begin;      /* The owner's: bytes [begin, end) hold something */
    uint32_t end;
    uint32_t index; /* The pool's: the class */
    int attached;   /* The owner's: a descriptor to send with the first byte; -1: none */
    bool is_range;  /* The owner's: bytes[] hold a range, and [begin, end) is of its bytes */
    _Alignas(16) uint8_t bytes[];
};

struct pool {
    struct buffer *free[POOL_CLASSES];
    size_t cached_bytes;   /* On the free lists */
    size_t used_bytes;     /* In use */
    size_t limit_bytes;    /* Of used_bytes */
    size_t promised_bytes; /* Kept by the callers: for replies that are being made */
};

void pool_init(struct pool *pool, size_t limit_bytes);
/* All buffers must have been put back. */
void pool_deinit(struct pool *pool);
/* A buffer of at least size bytes, begin and end 0. NULL when that would exceed the limit, or
 * memory is out. The last sixteenth is for the privileged (users.h). */
struct buffer *pool_get(struct pool *pool, size_t size, bool privileged);
/* Give a buffer back. NULL allowed. */
void pool_put(struct pool *pool, struct buffer *buffer);
/* True when three quarters are in use or promised: new work should wait for what is under way. */
bool pool_short(const struct pool *pool);

#endif
