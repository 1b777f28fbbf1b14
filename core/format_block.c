/* Blocks: the offsets of FORMAT.md, "Block". */
#include <string.h>

#include "core/check.h"
#include "core/error.h"
#include "core/format.h"
#include "proto/bytes.h"
#include "proto/crc32c.h"

static const char block_magic[FORMAT_MAGIC_SIZE] = FORMAT_MAGIC_BLOCK;
static const char seal_magic[FORMAT_MAGIC_SIZE] = FORMAT_MAGIC_SEAL;

#define NAME_AT 104u

static void header_encode(uint8_t page[FORMAT_PAGE], const struct format_block *block,
                          const char magic[8])
{
    CHECK(block->block_size >= FORMAT_BLOCK_SIZE_MIN);
    CHECK(block->block_size % FORMAT_PAGE == 0);
    CHECK(block->name != NULL || block->name_size == 0);
    CHECK(block->name_size <= FORMAT_NAME_SIZE_MAX);
    memset(page, 0, FORMAT_PAGE);
    memcpy(page, magic, 8);
    put_u16(page + 8, FORMAT_VERSION);
    put_u16(page + 10, FORMAT_PAGE);
    put_u32(page + 20, block->block_size);
    memcpy(page + 24, block->store_id, ENGINE_STORE_ID_SIZE);
    put_u64(page + 40, block->segment);
    put_u64(page + 48, block->index);
    put_u64(page + 56, block->generation);
    put_u64(page + 64, block->topic_id);
    put_u64(page + 72, block->first_offset);
    put_u64(page + 80, block->previous_segment);
    put_u64(page + 88, block->previous_index);
    put_u16(page + 96, block->name_size);
    memcpy(page + NAME_AT, block->name, block->name_size);
}

static int header_decode(struct format_block *block, const uint8_t page[FORMAT_PAGE],
                         const char magic[8])
{
    CHECK(block != NULL);
    CHECK(page != NULL);
    if (memcmp(page, magic, 8) != 0 ||
        get_u32(page + FORMAT_PAGE - 4) != crc32c(0, page, FORMAT_PAGE - 4)) {
        return TUSK_ECORRUPT;
    }
    if (get_u16(page + 8) != FORMAT_VERSION || get_u32(page + 16) != 0) {
        return TUSK_EVERSION;
    }
    block->block_size = get_u32(page + 20);
    memcpy(block->store_id, page + 24, ENGINE_STORE_ID_SIZE);
    block->segment = get_u64(page + 40);
    block->index = get_u64(page + 48);
    block->generation = get_u64(page + 56);
    block->topic_id = get_u64(page + 64);
    block->first_offset = get_u64(page + 72);
    block->previous_segment = get_u64(page + 80);
    block->previous_index = get_u64(page + 88);
    block->name_size = get_u16(page + 96);
    block->name = (const char *)page + NAME_AT;
    return block->name_size <= FORMAT_NAME_SIZE_MAX ? 0 : TUSK_ECORRUPT;
}

void format_block_encode(uint8_t page[FORMAT_PAGE], const struct format_block *block)
{
    CHECK(page != NULL);
    header_encode(page, block, block_magic);
    put_u32(page + FORMAT_PAGE - 4, crc32c(0, page, FORMAT_PAGE - 4));
}

int format_block_decode(struct format_block *block, const uint8_t page[FORMAT_PAGE])
{
    CHECK(block != NULL);
    return header_decode(block, page, block_magic);
}

#define SEAL_AT 384u

void format_seal_encode(uint8_t page[FORMAT_PAGE], const struct format_block *block,
                        const struct format_seal *seal)
{
    header_encode(page, block, seal_magic);
    put_u32(page + SEAL_AT, seal->end);
    put_u32(page + SEAL_AT + 4, seal->index_count);
    put_u32(page + SEAL_AT + 8, seal->index_crc);
    put_u32(page + SEAL_AT + 12, seal->last_crc);
    put_u64(page + SEAL_AT + 16, seal->next_offset);
    put_u64(page + SEAL_AT + 24, seal->entries);
    put_u64(page + SEAL_AT + 40, seal->last_time_us);
    put_u32(page + FORMAT_PAGE - 4, crc32c(0, page, FORMAT_PAGE - 4));
}

int format_seal_decode(struct format_seal *seal, const struct format_block *block,
                       const uint8_t page[FORMAT_PAGE])
{
    struct format_block own;
    const int rc = header_decode(&own, page, seal_magic);

    CHECK(seal != NULL);
    CHECK(block->block_size >= FORMAT_BLOCK_SIZE_MIN);
    if (rc != 0) {
        return rc;
    }
    seal->end = get_u32(page + SEAL_AT);
    seal->index_count = get_u32(page + SEAL_AT + 4);
    seal->index_crc = get_u32(page + SEAL_AT + 8);
    seal->last_crc = get_u32(page + SEAL_AT + 12);
    seal->next_offset = get_u64(page + SEAL_AT + 16);
    seal->entries = get_u64(page + SEAL_AT + 24);
    seal->last_time_us = get_u64(page + SEAL_AT + 40);
    if (own.segment != block->segment || own.index != block->index ||
        own.generation != block->generation || own.block_size != block->block_size ||
        memcmp(own.store_id, block->store_id, ENGINE_STORE_ID_SIZE) != 0 ||
        seal->end > format_block_limit(block->block_size) || seal->end < FORMAT_BLOCK_DATA ||
        seal->end % BATCH_ALIGN != 0 || seal->index_count > FORMAT_INDEX_MAX) {
        return TUSK_ECORRUPT;
    }
    return 0;
}

int format_seal_owner_decode(struct format_block *block, const uint8_t page[FORMAT_PAGE])
{
    const int rc = header_decode(block, page, seal_magic);

    block->previous_segment = FORMAT_NONE;
    block->previous_index = FORMAT_NONE;
    return rc;
}

uint32_t format_index_encode(uint8_t page[FORMAT_PAGE], const struct format_index_entry *entries,
                             uint32_t count)
{
    uint32_t i;

    CHECK(entries != NULL || count == 0);
    CHECK(count <= FORMAT_INDEX_MAX);
    memset(page, 0, FORMAT_PAGE);
    for (i = 0; i < count; i++) {
        CHECK(entries[i].position >= FORMAT_BLOCK_DATA);
        put_u64(page + 16u * i, entries[i].offset);
        put_u32(page + 16u * i + 8, entries[i].position);
        put_u32(page + 16u * i + 12, entries[i].entries);
    }
    return crc32c(0, page, FORMAT_PAGE);
}

int format_index_decode(struct format_index_entry *entries, uint32_t count, uint32_t crc,
                        const uint8_t page[FORMAT_PAGE])
{
    uint32_t i;

    CHECK(entries != NULL);
    CHECK(page != NULL);
    if (count > FORMAT_INDEX_MAX || crc32c(0, page, FORMAT_PAGE) != crc) {
        return TUSK_ECORRUPT;
    }
    for (i = 0; i < count; i++) {
        entries[i].offset = get_u64(page + 16u * i);
        entries[i].position = get_u32(page + 16u * i + 8);
        entries[i].entries = get_u32(page + 16u * i + 12);
    }
    return 0;
}
