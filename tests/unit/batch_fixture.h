/* Offsets as FORMAT.md has them, and one small batch, for the tests of batches. */
#ifndef TESTS_UNIT_BATCH_FIXTURE_H
#define TESTS_UNIT_BATCH_FIXTURE_H

#include "proto/batch.h"

#include <string.h>

#define BODY_SIZE_MAX (1u << 20)

enum {
    AT_MAGIC = 0,
    AT_VERSION = 2,
    AT_CODEC = 3,
    AT_HEADER_CRC = 4,
    AT_FIRST_OFFSET = 8,
    AT_TIME = 16,
    AT_PRODUCER_ID = 24,
    AT_PRODUCER_SEQUENCE = 32,
    AT_ENTRY_COUNT = 36,
    AT_STORED_SIZE = 40,
    AT_RAW_SIZE = 44,
    AT_BODY_CRC = 48,
    AT_CHAIN = 52,
    AT_RESERVED = 56,
    AT_FLAGS = 60,
    AT_BODY = 64,
};

/* "ab", "", "xyz": 64 bytes of header, 12 of lengths, 5 of data. */
#define SMALL_SIZE 81u
#define SMALL_BODY_SIZE 17u

static inline struct batch_entry entry_of(const char *text)
{
    return (struct batch_entry){.data = (const uint8_t *)text, .size = (uint32_t)strlen(text)};
}

static inline void small_batch(uint8_t *out)
{
    const struct batch_entry entries[] = {entry_of("ab"), entry_of(""), entry_of("xyz")};

    batch_encode(out, entries, 3);
}

#endif
