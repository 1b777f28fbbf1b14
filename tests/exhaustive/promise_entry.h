/* Entries that say which they are: topic, life and number in the first eight bytes, and the rest made from them. */
#ifndef TESTS_EXHAUSTIVE_PROMISE_ENTRY_H
#define TESTS_EXHAUSTIVE_PROMISE_ENTRY_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "proto/bytes.h"
#include "tests/exhaustive/promise.h"

static inline uint64_t entry_tag(unsigned topic, uint32_t life, uint32_t number)
{
    return (uint64_t)topic << 56 | (uint64_t)(life & 0xffffffu) << 32 | number;
}

static inline void entry_fill(uint8_t *data, uint32_t size, unsigned topic, uint32_t life,
                              uint32_t number)
{
    uint64_t tag = entry_tag(topic, life, number);
    struct random random;

    assert_true(size >= PROMISE_ENTRY_MIN);
    put_u64(data, tag);
    random_init(&random, random_split(&tag));
    random_fill(&random, data + 8, size - 8);
}

/* The topic is gone, or never was; what comes under its name is another (promise.c). */
void promise_forget(struct promise_topic *t);

#endif
