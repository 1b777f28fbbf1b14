/* The offsets of a batch: ../core/FORMAT.md, "Batch", where they are explained. */
#include "proto/batch.h"

#include "proto/bytes.h"
#include "proto/crc32c.h"

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
    AT_PREVIOUS_CRC = 52,
    AT_RESERVED = 56,
    AT_FLAGS = 60,
    AT_BODY = 64,
};
_Static_assert(AT_BODY == BATCH_HEADER_SIZE, "the body follows the header");
_Static_assert(BATCH_HEADER_SIZE % BATCH_ALIGN == 0, "a body starts aligned, too");
_Static_assert((BATCH_ALIGN & (BATCH_ALIGN - 1)) == 0, "batch_padded_size() masks");

#define LENGTH_SIZE 4u /* Of one entry's length in the body */
#define FLAGS_INCOMPATIBLE 0xffff0000u

const char *batch_problem_text(enum batch_problem problem)
{
    switch (problem) {
    case BATCH_GOOD:
        return "the batch is good";
    case BATCH_SHORT:
        return "the batch is cut short";
    case BATCH_BAD_MAGIC:
        return "no batch begins here";
    case BATCH_BAD_VERSION:
        return "the batch has an unknown version";
    case BATCH_BAD_CODEC:
        return "the batch has an unknown codec";
    case BATCH_BAD_FLAGS:
        return "the batch uses a feature this version does not have";
    case BATCH_BAD_SIZES:
        return "the batch's sizes contradict each other or exceed the limit";
    case BATCH_BAD_LENGTHS:
        return "the entries' lengths do not add up to the batch's body";
    case BATCH_BAD_BODY_CRC:
        return "the batch's body checksum does not match";
    case BATCH_BAD_HEADER_CRC:
        return "the batch's header checksum does not match";
    }
    return "the batch is bad";
}

void batch_header_decode(struct batch_header *header, const uint8_t *bytes)
{
    header->version = bytes[AT_VERSION];
    header->codec = bytes[AT_CODEC];
    header->header_crc = get_u32(bytes + AT_HEADER_CRC);
    header->first_offset = get_u64(bytes + AT_FIRST_OFFSET);
    header->time_us = get_u64(bytes + AT_TIME);
    header->producer_id = get_u64(bytes + AT_PRODUCER_ID);
    header->producer_sequence = get_u32(bytes + AT_PRODUCER_SEQUENCE);
    header->entry_count = get_u32(bytes + AT_ENTRY_COUNT);
    header->stored_size = get_u32(bytes + AT_STORED_SIZE);
    header->raw_size = get_u32(bytes + AT_RAW_SIZE);
    header->body_crc = get_u32(bytes + AT_BODY_CRC);
    header->previous_crc = get_u32(bytes + AT_PREVIOUS_CRC);
    header->flags = get_u32(bytes + AT_FLAGS);
}

void batch_header_encode(uint8_t *bytes, const struct batch_header *header)
{
    put_u16(bytes + AT_MAGIC, BATCH_MAGIC);
    bytes[AT_VERSION] = header->version;
    bytes[AT_CODEC] = header->codec;
    put_u32(bytes + AT_HEADER_CRC, header->header_crc);
    put_u64(bytes + AT_FIRST_OFFSET, header->first_offset);
    put_u64(bytes + AT_TIME, header->time_us);
    put_u64(bytes + AT_PRODUCER_ID, header->producer_id);
    put_u32(bytes + AT_PRODUCER_SEQUENCE, header->producer_sequence);
    put_u32(bytes + AT_ENTRY_COUNT, header->entry_count);
    put_u32(bytes + AT_STORED_SIZE, header->stored_size);
    put_u32(bytes + AT_RAW_SIZE, header->raw_size);
    put_u32(bytes + AT_BODY_CRC, header->body_crc);
    put_u32(bytes + AT_PREVIOUS_CRC, header->previous_crc);
    put_u32(bytes + AT_RESERVED, 0);
    put_u32(bytes + AT_FLAGS, header->flags);
}

enum batch_problem batch_header_check(const uint8_t *bytes, uint32_t body_size_max,
                                      struct batch_header *header)
{
    batch_header_decode(header, bytes);
    if (get_u16(bytes + AT_MAGIC) != BATCH_MAGIC) {
        return BATCH_BAD_MAGIC;
    }
    if (header->version != BATCH_VERSION) {
        return BATCH_BAD_VERSION;
    }
    if (header->codec != BATCH_CODEC_NONE) {
        return BATCH_BAD_CODEC;
    }
    if ((header->flags & FLAGS_INCOMPATIBLE & ~BATCH_FLAGS_KNOWN) != 0) {
        return BATCH_BAD_FLAGS;
    }
    /* A producer id would promise deduplication, which this version does not do. */
    if (header->producer_id != 0 || header->producer_sequence != 0 ||
        get_u32(bytes + AT_RESERVED) != 0) {
        return BATCH_BAD_FLAGS;
    }
    if (header->entry_count == 0 || header->stored_size > body_size_max ||
        header->stored_size != header->raw_size ||
        (uint64_t)header->entry_count * LENGTH_SIZE > header->raw_size) {
        return BATCH_BAD_SIZES;
    }
    return BATCH_GOOD;
}

/* Only after batch_header_check(): the lengths are inside the body. The sum of 2^30 lengths of
 * 2^32 each stays below 2^62. */
static bool lengths_add_up(const uint8_t *body, const struct batch_header *header)
{
    const uint8_t *lengths_end = body + (size_t)header->entry_count * LENGTH_SIZE;
    uint64_t sum = (uint64_t)header->entry_count * LENGTH_SIZE;
    const uint8_t *length;

    for (length = body; length != lengths_end; length += LENGTH_SIZE) {
        sum += get_u32(length);
    }
    return sum == header->raw_size;
}

enum batch_problem batch_verify(const uint8_t *bytes, size_t size, uint32_t body_size_max,
                                struct batch_header *header)
{
    enum batch_problem problem;

    if (size < BATCH_HEADER_SIZE) {
        return BATCH_SHORT;
    }
    problem = batch_header_check(bytes, body_size_max, header);
    if (problem != BATCH_GOOD) {
        return problem;
    }
    if (size - BATCH_HEADER_SIZE < header->stored_size) {
        return BATCH_SHORT;
    }
    if (!lengths_add_up(bytes + AT_BODY, header)) {
        return BATCH_BAD_LENGTHS;
    }
    if (batch_body_crc(bytes, header->stored_size) != header->body_crc) {
        return BATCH_BAD_BODY_CRC;
    }
    return BATCH_GOOD;
}

uint32_t batch_body_crc(const uint8_t *bytes, uint32_t stored_size)
{
    /* The three parts of the producer; the last of them runs on into the body. */
    const struct crc32c_part parts[] = {
        {bytes, AT_HEADER_CRC},
        {bytes + AT_PRODUCER_ID, AT_BODY_CRC - AT_PRODUCER_ID},
        {bytes + AT_RESERVED, AT_BODY - AT_RESERVED + (size_t)stored_size},
    };

    return crc32c_parts(0, parts, 3);
}

uint32_t batch_seed(const uint8_t store_id[BATCH_STORE_ID_SIZE], uint64_t generation)
{
    uint8_t bytes[8];

    put_u64(bytes, generation);
    return crc32c(crc32c(0, store_id, BATCH_STORE_ID_SIZE), bytes, sizeof bytes);
}

uint32_t batch_header_crc(const uint8_t *bytes, uint32_t seed, uint32_t position)
{
    uint8_t position_bytes[4];
    const struct crc32c_part parts[] = {
        {position_bytes, sizeof position_bytes},
        {bytes, AT_HEADER_CRC},
        {bytes + AT_FIRST_OFFSET, AT_BODY - AT_FIRST_OFFSET},
    };

    put_u32(position_bytes, position);
    return crc32c_parts(seed, parts, 3);
}

uint32_t batch_complete(uint8_t *bytes, uint64_t first_offset, uint64_t time_us,
                        uint32_t previous_crc, uint32_t seed, uint32_t position)
{
    uint32_t crc;

    put_u64(bytes + AT_FIRST_OFFSET, first_offset);
    put_u64(bytes + AT_TIME, time_us);
    put_u32(bytes + AT_PREVIOUS_CRC, previous_crc);
    crc = batch_header_crc(bytes, seed, position);
    put_u32(bytes + AT_HEADER_CRC, crc);
    return crc;
}

void batch_entries(struct batch_iterator *it, const uint8_t *bytes)
{
    it->left = get_u32(bytes + AT_ENTRY_COUNT);
    it->lengths = bytes + AT_BODY;
    it->data = it->lengths + (size_t)it->left * LENGTH_SIZE;
}

bool batch_next(struct batch_iterator *it, struct batch_entry *entry)
{
    if (it->left == 0) {
        return false;
    }
    entry->data = it->data;
    entry->size = get_u32(it->lengths);
    it->lengths += LENGTH_SIZE;
    it->data += entry->size;
    it->left--;
    return true;
}

size_t batch_encoded_size(uint32_t count, uint64_t payload_size)
{
    uint64_t size;

    if (payload_size > UINT32_MAX) {
        return 0;
    }
    size = BATCH_HEADER_SIZE + (uint64_t)count * LENGTH_SIZE + payload_size;
    return size > UINT32_MAX ? 0 : (size_t)size;
}

void batch_encode(uint8_t *out, const struct batch_entry *entries, uint32_t count)
{
    uint8_t *length = out + AT_BODY;
    uint8_t *data = length + (size_t)count * LENGTH_SIZE;
    uint32_t i;

    for (i = 0; i < count; i++) {
        put_u32(length, entries[i].size);
        length += LENGTH_SIZE;
        if (entries[i].size > 0) {
            memcpy(data, entries[i].data, entries[i].size);
            data += entries[i].size;
        }
    }
    batch_finish(out, count, (uint32_t)(data - (out + AT_BODY)));
}

void batch_finish(uint8_t *out, uint32_t count, uint32_t body_size)
{
    struct batch_header header = {
        .version = BATCH_VERSION,
        .codec = BATCH_CODEC_NONE,
        .entry_count = count,
        .stored_size = body_size,
        .raw_size = body_size,
    };

    /* The checksum last: it covers fields of the header. */
    batch_header_encode(out, &header);
    put_u32(out + AT_BODY_CRC, batch_body_crc(out, body_size));
}
