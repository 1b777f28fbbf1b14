/* Recovery, fourth part: seals that the crash kept from full blocks.
 *
 * Blocks that became full behind R have got theirs, index included, while their records were
 * applied. Of those that were full before, the manifest does not yet know whether the seal was
 * written (it comes right behind a manifest): the block says so itself, or it is walked. All that
 * runs behind the sync of redo, and seals are written behind that of the journal, so what is sealed
 * is durable. A block that cannot be walked to its end stays without a seal: its damage shows when
 * it is read. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/recovery.h"
#include "core/seal.h"

/* Bytes of a block from `position` into the buffer. 1: there; 0: cannot be read; TUSK_ENOMEM. */
static int read_block_bytes(struct recovery *recovery, const struct block *block, uint32_t position,
                            uint64_t size)
{
    const uint64_t base = (uint64_t)block->index * recovery->ns->block_size;
    const uint64_t padded = (size + IO_DIRECT_ALIGN - 1) & ~(uint64_t)(IO_DIRECT_ALIGN - 1);
    struct error ignored;
    size_t got = 0;
    int rc;

    CHECK(block->segment != NULL);
    CHECK(position % IO_DIRECT_ALIGN == 0);
    CHECK(size > 0);
    if (recovery_buffer(recovery, padded) != 0) {
        return error_set(recovery->err, TUSK_ENOMEM, "read a block");
    }
    rc = io_read_direct(block->segment->file, recovery->block_buffer, padded, base + position, &got,
                        &ignored);
    recovery->block_bytes_read += got;
    return rc == 0 && got >= size;
}

static int has_seal(struct recovery *recovery, const struct block *block, bool *has)
{
    struct format_block own = {.segment = block->segment_number,
                               .index = block->index,
                               .generation = block->generation,
                               .block_size = recovery->ns->block_size};
    struct format_seal seal;
    const int rc = read_block_bytes(recovery, block, FORMAT_PAGE, FORMAT_PAGE);

    CHECK(has != NULL);
    CHECK(block->segment != NULL);
    memcpy(own.store_id, recovery->ns->store_id, sizeof own.store_id);
    *has = rc == 1 && format_seal_decode(&seal, &own, recovery->block_buffer) == 0 &&
           seal_fits(&seal, block);
    return rc < 0 ? rc : 0;
}

/* The checksum of the last batch's header; false: the batches do not reach the block's end. */
static bool walk(const struct recovery *recovery, const struct block *block, uint32_t *last_crc,
                 struct block_index *index)
{
    const uint32_t interval = format_index_interval(recovery->ns->block_size);
    const uint32_t seed = batch_seed(recovery->ns->store_id, block->generation);
    uint32_t position = FORMAT_BLOCK_DATA;
    uint32_t noted = 0;
    uint32_t entries = 0;

    CHECK(index->count == 0);
    CHECK(block->end <= format_block_limit(recovery->ns->block_size));
    while (position < block->end) {
        const uint8_t *bytes = recovery->block_buffer + (position - FORMAT_BLOCK_DATA);
        const uint32_t left = block->end - position;
        struct batch_header header;

        if (left < BATCH_HEADER_SIZE ||
            batch_header_check(bytes, left - BATCH_HEADER_SIZE, &header) != BATCH_GOOD ||
            batch_header_crc(bytes, seed, position) != header.header_crc) {
            return false;
        }
        if (noted == 0 || position - noted >= interval) {
            CHECK(index->count < index->capacity);
            index->entries[index->count++] = (struct format_index_entry){
                .offset = header.first_offset, .position = position, .entries = entries};
            noted = position;
        }
        *last_crc = header.header_crc;
        entries += header.entry_count;
        position += (uint32_t)batch_padded_size(header.stored_size);
    }
    CHECK(position == block->end); /* Both are multiples of BATCH_ALIGN, and no batch goes behind */
    return entries == block->entries;
}

static int seal_by_walking(struct recovery *recovery, struct topic *topic, struct block *block)
{
    struct block_index *index;
    uint32_t last_crc = 0;
    int rc = read_block_bytes(recovery, block, FORMAT_BLOCK_DATA, block->end - FORMAT_BLOCK_DATA);

    CHECK(block->end > FORMAT_BLOCK_DATA);
    CHECK(!block->sealed);
    if (rc != 1) {
        return rc;
    }
    index = malloc(sizeof *index + FORMAT_INDEX_MAX * sizeof index->entries[0]);
    if (index == NULL) {
        return error_set(recovery->err, TUSK_ENOMEM, "seal a block");
    }
    *index = (struct block_index){.generation = block->generation, .capacity = FORMAT_INDEX_MAX};
    if (!walk(recovery, block, &last_crc, index)) {
        free(index);
        return 0;
    }
    rc = seal_add(recovery->ns, topic, block, last_crc, 0, index);
    if (rc != 0) {
        free(index);
        return error_set(recovery->err, rc, "seal a block");
    }
    return 0;
}

static int seal_block(struct recovery *recovery, struct topic *topic, struct block *block)
{
    const struct block_index *pending;
    bool has;
    int rc;

    CHECK(block->end >= FORMAT_BLOCK_DATA);
    CHECK(topic->ns == recovery->ns);
    if (block->sealed || block->segment == NULL || block->end == FORMAT_BLOCK_DATA ||
        seal_pending(recovery->ns, block->generation, &pending)) {
        return 0;
    }
    rc = has_seal(recovery, block, &has);
    if (rc == 0 && !has) {
        rc = seal_by_walking(recovery, topic, block);
    } else if (rc == 0) {
        block->sealed = true;
        block->segment->dirty = true; /* It may have come from the page cache just now */
    }
    return rc;
}

/* The history may be in the page cache only. A seal that is durable before it would be of an end
 * that a power cut takes back. */
static int sync_journal(struct recovery *recovery)
{
    uint32_t i;

    CHECK(recovery->scan.count > 0);
    CHECK(recovery->ns->journal.files == NULL);
    for (i = 0; i < recovery->scan.count; i++) {
        const struct scan_file *found = &recovery->scan.files[i];

        CHECK(found->file != NULL);
        if (found->valid && io_sync(found->file, NULL, recovery->err) != 0) {
            return error_wrap(recovery->err, "sync journal file %016" PRIx64, found->number);
        }
    }
    return 0;
}

int recovery_seal(struct recovery *recovery)
{
    struct namespace *ns = recovery->ns;
    struct topic *topic;
    struct topic *next;
    uint32_t i;

    CHECK(ns->journal.current == NULL);
    CHECK(recovery->end >= recovery->manifest.lsn);
    HASH_ITER(by_id, ns->topics_by_id, topic, next)
    {
        for (i = 0; i + 1 < topic->block_count; i++) {
            const int rc = seal_block(recovery, topic, &topic->blocks[i]);

            if (rc != 0) {
                return rc;
            }
            if (!recovery_progress(recovery)) {
                return TUSK_ECLOSED;
            }
        }
    }
    if (ns->seals != NULL && sync_journal(recovery) != 0) {
        return recovery->err->code;
    }
    seal_write(ns, recovery->end);
    if (ns->journal.failure.code != 0) {
        *recovery->err = ns->journal.failure;
        return error_wrap(recovery->err, "write the seals of full blocks");
    }
    /* The manifest that comes says that they are there. */
    return recovery_sync_segments(recovery);
}
