#include "core/ring.h"

#include <stdlib.h>

#include "core/check.h"
#include "core/error.h"

int ring_init(struct ring *ring, uint64_t size)
{
    CHECK(ring != NULL);
    CHECK(size > 0);
    CHECK(size % 64u == 0);
    *ring = (struct ring){.size = size};
    ring->data = malloc(size);
    ring->links = malloc(size / 64u * sizeof *ring->links);
    if (ring->data == NULL || ring->links == NULL) {
        ring_deinit(ring);
        return TUSK_ENOMEM;
    }
    return 0;
}

void ring_deinit(struct ring *ring)
{
    CHECK(ring != NULL);
    free(ring->data);
    free(ring->links);
    *ring = (struct ring){0};
}

uint64_t ring_place(const struct ring *ring, uint64_t size)
{
    const uint64_t at = ring->head % ring->size;

    CHECK(ring->data != NULL);
    CHECK(size > 0);
    CHECK(size <= ring->size);
    return size <= ring->size - at ? ring->head : ring->head + (ring->size - at);
}
