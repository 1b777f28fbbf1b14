/* Entries that say what they are: anyone who knows the seed can tell whether one is bit for bit what
 * was appended, and which one it is.
 *
 * A client numbers its batches from 0. (seed, client, number) decides everything about a batch: how
 * many entries, how large, which bytes. So nothing but the number has to be remembered. */
#ifndef TESTS_CRASH_ENTRY_H
#define TESTS_CRASH_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENTRY_HEADER_SIZE 28u
#define ENTRY_BATCH_MAX 8u /* Entries in a batch */
#define ENTRY_SIZE_MAX (40u * 1024)
#define ENTRY_NONE UINT32_MAX

/* Which entry it is. */
struct entry_name {
    uint32_t client;
    uint32_t number; /* Of the batch */
    uint16_t topic;
    uint16_t index; /* In the batch */
};

struct entry_batch {
    uint32_t count;
    uint32_t sizes[ENTRY_BATCH_MAX];
};

/* The shape of a batch. */
struct entry_batch entry_shape(uint64_t seed, uint32_t client, uint32_t number);
/* Write one entry of a batch, whose shape says its size, to out. */
void entry_make(uint64_t seed, const struct entry_name *name, const struct entry_batch *batch,
                uint8_t *out);
/* What an entry says it is; false: it is none of ours. */
bool entry_read_name(const uint8_t *data, size_t size, struct entry_name *name);
/* Whether the bytes are exactly those of entry_make(). */
bool entry_matches(uint64_t seed, const struct entry_name *name, const uint8_t *data, size_t size);

#endif
