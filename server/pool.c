#include "server/pool.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "server/limits.h"

void pool_init(struct pool *pool, size_t limit_bytes)
{
    memset(pool, 0, sizeof *pool);
    pool->limit_bytes = limit_bytes;
}

void pool_deinit(struct pool *pool)
{
    unsigned index;

    CHECK(pool->used_bytes == 0);
    for (index = 0; index < POOL_CLASSES; index++) {
        while (pool->free[index] != NULL) {
            struct buffer *buffer = pool->free[index];

            pool->free[index] = buffer->next;
            free(buffer);
        }
    }
    pool->cached_bytes = 0;
}

/* Total bytes of a class: 1 KiB, then 1.25, 1.5, 1.75 and 2 times each power of two. */
static size_t class_bytes(uint32_t index)
{
    const uint32_t shift = POOL_SHIFT_MIN + (index - 1) / 4;

    if (index == 0) {
        return (size_t)1 << POOL_SHIFT_MIN;
    }
    return ((size_t)1 << shift) + ((size_t)((index - 1) % 4 + 1) << (shift - 2));
}

/* The smallest class that holds `total` bytes; POOL_CLASSES or more: none does. */
static uint32_t class_of(size_t total)
{
    uint32_t shift;

    if (total <= (size_t)1 << POOL_SHIFT_MIN) {
        return 0;
    }
    shift = 63u - (uint32_t)__builtin_clzll(total - 1);
    return (shift - POOL_SHIFT_MIN) * 4 + (uint32_t)((total - 1) >> (shift - 2) & 3) + 1;
}

struct buffer *pool_get(struct pool *pool, size_t size, bool privileged)
{
    const size_t total = size + sizeof(struct buffer);
    const uint32_t index = class_of(total);
    size_t limit = privileged ? pool->limit_bytes : pool->limit_bytes - pool->limit_bytes / 16;
    struct buffer *buffer;
    size_t bytes;

    if (index >= POOL_CLASSES) {
        return NULL;
    }
    bytes = class_bytes(index);
    CHECK(bytes >= total);
    /* The last of the memory is for what is small, so that those who ask for little are served
     * while others hold all they can get. */
    if (bytes > RECEIVE_SIZE) {
        limit -= limit / 8;
    } else if (bytes > RECEIVE_SHORT_SIZE) {
        limit -= limit / 16;
    }
    if (bytes > limit || pool->used_bytes > limit - bytes) {
        return NULL;
    }
    buffer = pool->free[index];
    if (buffer != NULL) {
        pool->free[index] = buffer->next;
        pool->cached_bytes -= bytes;
    } else {
        buffer = malloc(bytes);
        if (buffer == NULL) {
            return NULL;
        }
    }
    pool->used_bytes += bytes;
    buffer->next = NULL;
    buffer->index = index;
    buffer->size = (uint32_t)(bytes - sizeof *buffer);
    buffer->begin = 0;
    buffer->end = 0;
    buffer->is_range = false;
    buffer->attached = -1;
    return buffer;
}

void pool_put(struct pool *pool, struct buffer *buffer)
{
    size_t bytes;

    if (buffer == NULL) {
        return;
    }
    CHECK(buffer->index < POOL_CLASSES);
    bytes = class_bytes(buffer->index);
    CHECK(pool->used_bytes >= bytes);
    pool->used_bytes -= bytes;
    if (pool->cached_bytes + bytes > POOL_CACHE_BYTES) {
        free(buffer);
        return;
    }
    buffer->next = pool->free[buffer->index];
    pool->free[buffer->index] = buffer;
    pool->cached_bytes += bytes;
}

bool pool_short(const struct pool *pool)
{
    return pool->used_bytes + pool->promised_bytes > pool->limit_bytes / 4 * 3;
}
