/* A batch as a producer, or a disk, may hand it over. If it verifies, its entries are as many as
 * it says and lie inside it, one after the other, to its end; and encoding them again gives the
 * producer's bytes. The mutator makes the checksum right, or nothing would get past it. */
#include "proto/batch.h"
#include "proto/bytes.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define BODY_SIZE_MAX 65536u

enum {
    AT_HEADER_CRC = 4,
    AT_PRODUCER_ID = 24,
    AT_ENTRY_COUNT = 36,
    AT_STORED_SIZE = 40,
    AT_RAW_SIZE = 44,
    AT_BODY_CRC = 48,
    AT_RESERVED = 56,
};

/* The batch rebuilt from its entries is the same from its producer's fields on. */
static void check_rebuilt(const uint8_t *data, const struct batch_header *header,
                          const struct batch_entry *entries)
{
    size_t size = BATCH_HEADER_SIZE + (size_t)header->stored_size;
    uint8_t *again = malloc(size);

    REQUIRE(again != NULL);
    batch_encode(again, entries, header->entry_count);
    REQUIRE(memcmp(again + BATCH_HEADER_SIZE, data + BATCH_HEADER_SIZE, size - BATCH_HEADER_SIZE) ==
            0);
    /* Flags of the lower half are let through, but never written. */
    if (header->flags == 0) {
        (void)batch_complete(again, header->first_offset, header->time_us, header->previous_crc, 0,
                             0);
        put_u32(again + AT_HEADER_CRC, header->header_crc);
        REQUIRE(memcmp(again, data, size) == 0);
    }
    free(again);
}

static void check_entries(const uint8_t *data, const struct batch_header *header)
{
    const uint8_t *end = data + BATCH_HEADER_SIZE + header->stored_size;
    const uint8_t *next = data + BATCH_HEADER_SIZE + (size_t)header->entry_count * 4;
    struct batch_entry *entries = calloc(header->entry_count, sizeof *entries);
    struct batch_iterator it;
    struct batch_entry past;
    uint32_t i;

    REQUIRE(entries != NULL);
    batch_entries(&it, data);
    for (i = 0; i < header->entry_count; i++) {
        REQUIRE(batch_next(&it, &entries[i]));
        REQUIRE(entries[i].data == next);
        REQUIRE(entries[i].size <= (size_t)(end - next));
        next += entries[i].size;
    }
    REQUIRE(next == end);
    REQUIRE(!batch_next(&it, &past));
    check_rebuilt(data, header, entries);
    free(entries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct batch_header header;
    uint8_t again[BATCH_HEADER_SIZE];
    enum batch_problem problem = batch_verify(data, size, BODY_SIZE_MAX, &header);

    REQUIRE(problem != BATCH_BAD_HEADER_CRC);
    if (size < BATCH_HEADER_SIZE) {
        REQUIRE(problem == BATCH_SHORT);
        return 0;
    }
    if (problem != BATCH_GOOD) {
        return 0;
    }
    batch_header_encode(again, &header);
    REQUIRE(memcmp(again, data, sizeof again) == 0);
    REQUIRE(header.stored_size <= size - BATCH_HEADER_SIZE);
    check_entries(data, &header);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned int seed)
{
    uint32_t stored_size;

    size = LLVMFuzzerMutate(data, size, size_max);
    if (size < BATCH_HEADER_SIZE || seed % 8 == 0) {
        return size;
    }
    /* Repair more or less of the header, so that all checks are reached. */
    if (seed % 8 > 1) {
        data[0] = BATCH_MAGIC & 0xff;
        data[1] = BATCH_MAGIC >> 8;
        data[2] = BATCH_VERSION;
        data[3] = BATCH_CODEC_NONE;
    }
    if (seed % 8 > 3) {
        put_u32(data + AT_STORED_SIZE, (uint32_t)(size - BATCH_HEADER_SIZE));
        put_u32(data + AT_RAW_SIZE, (uint32_t)(size - BATCH_HEADER_SIZE));
        memset(data + AT_PRODUCER_ID, 0, AT_ENTRY_COUNT - AT_PRODUCER_ID);
        memset(data + AT_RESERVED, 0, BATCH_HEADER_SIZE - AT_RESERVED);
    }
    stored_size = get_u32(data + AT_STORED_SIZE);
    if (stored_size <= size - BATCH_HEADER_SIZE) {
        put_u32(data + AT_BODY_CRC, batch_body_crc(data, stored_size));
    }
    return size;
}
