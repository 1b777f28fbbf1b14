/* Memory of the simulated disk. Every allocation passes here or through realloc() in
 * sim_file_reserve(), and failing to get it is a failed CHECK: the tests that fail malloc() are
 * about the engine, not about its disk. */
#include "tests/sim/io_sim_disk.h"

#include "core/check.h"

#include <stdlib.h>

#define SIM_SLAB_ITEMS 16u
#define SIM_SLAB_HEAD 16u /* The link, and alignment */

void *sim_alloc(size_t size)
{
    void *memory = calloc(1, size > 0 ? size : 1);

    CHECK(memory != NULL);
    return memory;
}

/* Room for at least one item behind the first count ones; new items are zeroed. */
void *sim_grow(void *items, uint32_t *room, uint32_t count, size_t item_size)
{
    uint32_t grown = *room < 8 ? 8 : *room * 2;

    if (count < *room) {
        return items;
    }
    grown = grown > count ? grown : count + 1;
    items = realloc(items, grown * item_size);
    CHECK(items != NULL);
    memset((uint8_t *)items + *room * item_size, 0, (grown - *room) * item_size);
    *room = grown;
    return items;
}

static void sim_pool_push(struct sim_pool *pool, void *item)
{
    memcpy(item, &pool->items, sizeof pool->items);
    pool->items = item;
}

void *sim_pool_take(struct sim_pool *pool)
{
    void *item;

    if (pool->items == NULL) {
        uint8_t *slab = malloc(SIM_SLAB_HEAD + SIM_SLAB_ITEMS * pool->item_size);

        CHECK(slab != NULL);
        memcpy(slab, &pool->slabs, sizeof pool->slabs);
        pool->slabs = slab;
        for (size_t i = 0; i < SIM_SLAB_ITEMS; i++) {
            sim_pool_push(pool, slab + SIM_SLAB_HEAD + i * pool->item_size);
        }
    }
    item = pool->items;
    memcpy(&pool->items, item, sizeof pool->items);
    return item;
}

void sim_pool_give(struct sim_pool *pool, void *item)
{
    if (item != NULL) {
        sim_pool_push(pool, item);
    }
}

void sim_pool_deinit(struct sim_pool *pool)
{
    while (pool->slabs != NULL) {
        void *slab = pool->slabs;

        memcpy(&pool->slabs, slab, sizeof pool->slabs);
        free(slab);
    }
    pool->items = NULL;
}

char *sim_copy_string(const char *text)
{
    const size_t size = strlen(text) + 1;

    return memcpy(sim_alloc(size), text, size);
}
