#include "tests/crash/entry.h"

#include <string.h>

#include "tests/sim/random.h"

#define MAGIC 0x52434b54u

static uint64_t stream_seed(uint64_t seed, uint32_t client, uint32_t number, uint32_t index)
{
    uint64_t state = seed ^ ((uint64_t)client << 40) ^ ((uint64_t)index << 56);

    (void)random_split(&state);
    return state ^ number;
}

/* Mostly small; some of a page or more; some so large together that the lazy schedules, or every
 * schedule, write them to their block directly. */
enum kind { KIND_DIRECT_ALWAYS, KIND_DIRECT, KIND_PAGES, KIND_SMALL };

static enum kind draw_kind(struct random *random)
{
    const uint64_t roll = random_below(random, 1000);

    return roll < 3    ? KIND_DIRECT_ALWAYS
           : roll < 13 ? KIND_DIRECT
           : roll < 80 ? KIND_PAGES
                       : KIND_SMALL;
}

static uint32_t draw_size(struct random *random, enum kind kind)
{
    switch (kind) {
    case KIND_DIRECT_ALWAYS:
        return (uint32_t)random_between(random, ENTRY_SIZE_MAX - 4096, ENTRY_SIZE_MAX);
    case KIND_DIRECT:
        return (uint32_t)random_between(random, 8 * 1024, ENTRY_SIZE_MAX);
    case KIND_PAGES:
        return (uint32_t)random_between(random, 400, 6000);
    case KIND_SMALL:
        break;
    }
    return (uint32_t)random_between(random, ENTRY_HEADER_SIZE, 240);
}

struct entry_batch entry_shape(uint64_t seed, uint32_t client, uint32_t number)
{
    struct entry_batch batch;
    struct random random;
    enum kind kind;
    uint32_t i;

    random_init(&random, stream_seed(seed, client, number, 0xff));
    kind = draw_kind(&random);
    batch.count = random_chance(&random, 40) ? 1 : (uint32_t)random_between(&random, 2, 8);
    if (kind == KIND_DIRECT_ALWAYS) {
        batch.count = ENTRY_BATCH_MAX;
    }
    for (i = 0; i < batch.count; i++) {
        batch.sizes[i] = draw_size(&random, kind);
    }
    return batch;
}

static void put_u32(uint8_t *out, uint32_t value)
{
    memcpy(out, &value, sizeof value);
}

static uint32_t get_u32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return value;
}

/* Of the body, so that damage is told from a wrong name. */
static uint32_t checksum(const uint8_t *data, size_t size)
{
    uint32_t sum = 2166136261u;

    while (size-- > 0) {
        sum = (sum ^ *data++) * 16777619u;
    }
    return sum;
}

void entry_make(uint64_t seed, const struct entry_name *name, const struct entry_batch *batch,
                uint8_t *out)
{
    const uint32_t size = batch->sizes[name->index];
    struct random random;

    random_init(&random, stream_seed(seed, name->client, name->number, name->index));
    random_fill(&random, out + ENTRY_HEADER_SIZE, size - ENTRY_HEADER_SIZE);
    put_u32(out, MAGIC);
    put_u32(out + 4, name->client);
    put_u32(out + 8, name->number);
    put_u32(out + 12, (uint32_t)name->topic << 16 | name->index);
    put_u32(out + 16, batch->count);
    put_u32(out + 20, size);
    put_u32(out + 24, checksum(out + ENTRY_HEADER_SIZE, size - ENTRY_HEADER_SIZE));
}

bool entry_read_name(const uint8_t *data, size_t size, struct entry_name *name)
{
    if (size < ENTRY_HEADER_SIZE || get_u32(data) != MAGIC) {
        return false;
    }
    name->client = get_u32(data + 4);
    name->number = get_u32(data + 8);
    name->topic = (uint16_t)(get_u32(data + 12) >> 16);
    name->index = (uint16_t)get_u32(data + 12);
    return true;
}

bool entry_matches(uint64_t seed, const struct entry_name *name, const uint8_t *data, size_t size)
{
    static _Thread_local uint8_t expected[ENTRY_SIZE_MAX];
    const struct entry_batch batch = entry_shape(seed, name->client, name->number);

    if (name->index >= batch.count || size != batch.sizes[name->index]) {
        return false;
    }
    entry_make(seed, name, &batch, expected);
    return memcmp(expected, data, size) == 0;
}
