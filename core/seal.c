#include "core/seal.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/namespace.h"

struct pending_seal {
    struct pending_seal *next;
    uint64_t topic_id;
    uint64_t segment;
    uint64_t generation;
    uint64_t lsn; /* The block's last batch lies before this */
    uint32_t last_crc;
    uint16_t index;
    struct block_index *entries; /* Owned; NULL: none kept */
};

int seal_add(struct namespace *ns, const struct topic *topic, const struct block *block,
             uint32_t last_crc, uint64_t lsn, struct block_index *entries)
{
    struct pending_seal *seal = calloc(1, sizeof *seal);

    CHECK(topic->ns == ns);
    CHECK(block->end >= FORMAT_BLOCK_DATA);
    CHECK(entries == NULL || entries->generation == block->generation);
    if (seal == NULL) {
        return TUSK_ENOMEM;
    }
    *seal = (struct pending_seal){.next = ns->seals,
                                  .topic_id = topic->id,
                                  .segment = block->segment_number,
                                  .index = block->index,
                                  .generation = block->generation,
                                  .last_crc = last_crc,
                                  .lsn = lsn,
                                  .entries = entries};
    ns->seals = seal;
    return 0;
}

void seal_later(struct topic *topic)
{
    struct namespace *ns = topic->ns;
    const uint64_t lsn = ns->journal.next_lsn + (ns->journal.open ? 1 : 0);

    CHECK(topic_active(topic) != NULL);
    CHECK(!topic->deleted);
    if (seal_add(ns, topic, topic_active(topic), topic->last_crc, lsn, topic->index) == 0) {
        topic->index = NULL;
    }
}

bool seal_pending(const struct namespace *ns, uint64_t generation, const struct block_index **index)
{
    const struct pending_seal *seal = ns->seals;

    CHECK(index != NULL);
    while (seal != NULL && seal->generation != generation) {
        seal = seal->next;
    }
    *index = seal == NULL ? NULL : seal->entries;
    return seal != NULL;
}

/* Whether the block's last page, the index's, may be written without running out of space: on a
 * full disk a block is filled as far as it is reserved, and what is reserved is not remembered over
 * a restart. */
static bool index_has_space(const struct namespace *ns, const struct block *block)
{
    const uint64_t offset =
        (uint64_t)block->index * ns->block_size + format_block_limit(ns->block_size);
    struct error ignored;

    CHECK(block->segment != NULL);
    CHECK(block->index < ns->blocks_per_segment);
    return block->segment->slots[block->index].reserved == ns->block_size ||
           io_allocate(block->segment->file, offset, FORMAT_PAGE, &ignored) == 0;
}

static void write_one(struct namespace *ns, const struct pending_seal *pending)
{
    struct topic *topic = namespace_topic_by_id(ns, pending->topic_id);
    uint32_t at;
    struct block *block;
    uint8_t pages[2][FORMAT_PAGE];
    struct format_block header = {.block_size = ns->block_size,
                                  .previous_segment = FORMAT_NONE,
                                  .previous_index = FORMAT_NONE};
    struct format_seal seal = {.last_crc = pending->last_crc};
    struct iovec iov[2] = {{pages[0], FORMAT_PAGE}, {pages[1], FORMAT_PAGE}};
    uint64_t base;

    if (topic == NULL) {
        return;
    }
    at = topic_find_address(topic, pending->segment, pending->index, pending->generation);
    if (at == topic->block_count || topic->blocks[at].segment == NULL) {
        return; /* Freed meanwhile */
    }
    if (at + 1 == topic->block_count) {
        return; /* It goes on: what was to follow it could not be had, or was lost */
    }
    CHECK(at < topic->block_count);
    block = &topic->blocks[at];
    memcpy(header.store_id, ns->store_id, sizeof header.store_id);
    header.segment = block->segment_number;
    header.index = block->index;
    header.generation = block->generation;
    header.topic_id = topic->id;
    header.first_offset = block->first_offset;
    header.name = topic->name;
    header.name_size = topic->name_size;
    seal.end = block->end;
    seal.next_offset = block->end_offset;
    seal.entries = block->entries;
    seal.last_time_us = block->last_time_us;
    CHECK(block->end <= format_block_limit(ns->block_size));
    base = (uint64_t)block->index * ns->block_size;
    /* The index first: a seal that is there should find it. Both unsynced, both checksummed. */
    if (pending->entries != NULL && pending->entries->count > 0 && index_has_space(ns, block)) {
        CHECK(pending->entries->generation == block->generation);
        CHECK(pending->entries->count <= FORMAT_INDEX_MAX);
        seal.index_count = pending->entries->count;
        seal.index_crc = format_index_encode(pages[1], pending->entries->entries, seal.index_count);
        if (io_write(block->segment->file, &iov[1], 1, base + format_block_limit(ns->block_size),
                     &ns->journal.failure) != 0) {
            return;
        }
    }
    format_seal_encode(pages[0], &header, &seal);
    if (io_write(block->segment->file, &iov[0], 1, base + FORMAT_PAGE, &ns->journal.failure) == 0) {
        block->sealed = true;
        block->segment->dirty = true;
    }
}

void seal_write(struct namespace *ns, uint64_t lsn)
{
    struct pending_seal **link = &ns->seals;

    CHECK(lsn <= ns->journal.next_lsn || ns->journal.current == NULL);
    if (ns->hold.state == HOLD_ON && !ns->stopping) {
        return; /* Later: nobody needs them */
    }
    while (*link != NULL && ns->journal.failure.code == 0) {
        struct pending_seal *seal = *link;

        if (seal->lsn > lsn) {
            link = &seal->next;
            continue;
        }
        *link = seal->next;
        write_one(ns, seal);
        free(seal->entries);
        free(seal);
    }
}

void seal_deinit(struct namespace *ns)
{
    CHECK(ns->state != ENGINE_SERVING || ns->seals == NULL);
    while (ns->seals != NULL) {
        struct pending_seal *seal = ns->seals;

        ns->seals = seal->next;
        free(seal->entries);
        free(seal);
    }
}
