/* Recovery, third part: what the journal holds goes to its blocks again, and everything touched is
 * synced.
 *
 * Batches that follow each other in a block are gathered and written together. A batch is written
 * only where its block still has the generation its header was seeded with: one of a block that was
 * freed and used again does not match. Doing this twice gives the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/recovery.h"
#include "core/tail.h"

#define GATHERS 32u
#define GATHER_SIZE_MAX (256u * 1024u)

struct gather {
    struct segment *segment; /* NULL: unused */
    uint16_t index;
    uint32_t position;
    uint32_t size;
    uint64_t used; /* For finding the least recently used */
    uint8_t *data; /* Owned; gather_size() bytes, or NULL before its first use */
};

struct redo {
    struct recovery *recovery;
    struct gather gathers[GATHERS];
    uint64_t clock;
};

static int gather_write(struct redo *redo, struct gather *gather)
{
    struct recovery *recovery = redo->recovery;
    struct iovec iov = {.iov_base = gather->data, .iov_len = gather->size};
    const uint64_t offset = (uint64_t)gather->index * recovery->ns->block_size + gather->position;

    CHECK(gather->size <= GATHER_SIZE_MAX);
    if (gather->segment == NULL) {
        return 0;
    }
    CHECK(gather->data != NULL);
    CHECK(gather->index < recovery->ns->blocks_per_segment);
    gather->segment->dirty = true;
    if (io_write(gather->segment->file, &iov, 1, offset, recovery->err) != 0) {
        return error_wrap(recovery->err, "write batches of the journal to segment %016llx again",
                          (unsigned long long)gather->segment->number);
    }
    gather->size = 0;
    return 0;
}

/* No more than fits into one block. */
static uint32_t gather_size(const struct redo *redo)
{
    const uint32_t block_size = redo->recovery->ns->block_size;

    return block_size < GATHER_SIZE_MAX ? block_size : GATHER_SIZE_MAX;
}

/* The gather that goes on at a place, or one that can begin there. NULL: err. */
static struct gather *gather_for(struct redo *redo, struct segment *segment,
                                 const struct format_place *place, uint64_t size)
{
    struct gather *oldest = &redo->gathers[0];
    unsigned i;

    CHECK(segment != NULL);
    CHECK(size > 0);
    for (i = 0; i < GATHERS; i++) {
        struct gather *gather = &redo->gathers[i];

        if (gather->segment == segment && gather->index == place->index) {
            if (gather->position + gather->size != place->position ||
                gather->size + size > gather_size(redo)) {
                if (gather_write(redo, gather) != 0) {
                    return NULL;
                }
                gather->position = place->position;
            }
            return gather;
        }
        oldest = gather->used < oldest->used ? gather : oldest;
    }
    if (gather_write(redo, oldest) != 0) {
        return NULL;
    }
    if (oldest->data == NULL) {
        oldest->data = malloc(gather_size(redo));
        if (oldest->data == NULL) {
            (void)error_set(redo->recovery->err, TUSK_ENOMEM, "redo the journal");
            return NULL;
        }
    }
    /* fanalyzer-suppress malloc-leak: oldest is one of redo->gathers, which own their data */
    oldest->segment = segment;
    oldest->index = place->index;
    oldest->position = place->position;
    return oldest;
}

static bool was_passed_over(const struct recovery *recovery, uint64_t position)
{
    uint32_t i;

    CHECK(recovery->passed_count <= recovery->passed_capacity);
    for (i = 0; i < recovery->passed_count; i++) {
        if (recovery->passed[i] == position) {
            return true;
        }
    }
    return false;
}

static int redo_item(struct redo *redo, const struct format_item *item)
{
    struct recovery *recovery = redo->recovery;
    const struct recovery_owner *owner =
        recovery_owner(recovery, item->place.segment, item->place.index);
    struct segment *segment = space_find(&recovery->ns->space, item->place.segment);
    struct batch_header header;
    struct gather *gather;

    CHECK(item->padded_size >= BATCH_HEADER_SIZE);
    if (owner == NULL || segment == NULL ||
        batch_header_crc(item->bytes, owner->seed, item->place.position) !=
            item->header.header_crc) {
        return 0;
    }
    segment->dirty = true;
    if (batch_verify(item->bytes, item->padded_size, item->header.stored_size, &header) !=
        BATCH_GOOD) {
        return 0; /* Healed: its block has it */
    }
    gather = gather_for(redo, segment, &item->place, item->padded_size);
    if (gather == NULL) {
        return recovery->err->code;
    }
    gather->used = ++redo->clock;
    if (item->padded_size > gather_size(redo)) {
        struct iovec iov = {.iov_base = (void *)(uintptr_t)item->bytes,
                            .iov_len = item->padded_size};

        gather->segment = NULL;
        gather->size = 0;
        return io_write(segment->file, &iov, 1,
                        (uint64_t)item->place.index * recovery->ns->block_size +
                            item->place.position,
                        recovery->err);
    }
    CHECK(gather->size + item->padded_size <= GATHER_SIZE_MAX);
    CHECK(gather->position + gather->size == item->place.position);
    memcpy(gather->data + gather->size, item->bytes, item->padded_size);
    gather->size += (uint32_t)item->padded_size;
    return 0;
}

/* What was written to the block may be in the page cache only. */
static void touch_stretch(struct recovery *recovery, const struct scan_record *record)
{
    struct format_record body;
    struct segment *segment;

    CHECK(format_record_body_decode(&body, &record->header, record->bytes) ==
          0); /* As when applied */
    segment = space_find(&recovery->ns->space, body.field[STRETCH_SEGMENT]);
    if (segment != NULL) {
        segment->dirty = true;
    }
}

static int redo_record(struct redo *redo, const struct scan_record *record)
{
    struct recovery *recovery = redo->recovery;
    struct format_items items;
    struct format_item item;

    CHECK(record->bytes != NULL);
    if (record->header.type == RECORD_STRETCH) {
        touch_stretch(recovery, record);
    }
    if (!format_record_has_items(record->header.type)) {
        return 0;
    }
    format_items_begin(&items, &record->header, record->bytes);
    while (format_items_next(&items, &item) != 0) {
        if (items.direct) {
            struct segment *segment = space_find(&recovery->ns->space, item.place.segment);

            if (segment != NULL) {
                segment->dirty = true; /* Its bytes may be in the page cache only */
            }
        } else if (!was_passed_over(recovery,
                                    record->header.lsn + (uint64_t)(item.bytes - record->bytes)) &&
                   redo_item(redo, &item) != 0) {
            return recovery->err->code;
        }
    }
    return 0;
}

static bool in_new_loss(const struct recovery *recovery, uint64_t lsn)
{
    uint32_t i;

    CHECK(recovery->loss_count <= recovery->loss_capacity);
    CHECK(recovery->new_loss <= recovery->loss_count);
    for (i = 0; i < recovery->loss_count; i++) {
        if (lsn >= recovery->losses[i].from && lsn < recovery->losses[i].to) {
            return true;
        }
    }
    return false;
}

static int redo_all(struct redo *redo)
{
    struct recovery *recovery = redo->recovery;
    uint64_t lsn = recovery->manifest.lsn;
    struct scan_record record;
    unsigned i;

    CHECK(recovery->end >= recovery->manifest.lsn);
    while (lsn < recovery->end) {
        const enum scan_kind kind = in_new_loss(recovery, lsn)
                                        ? SCAN_BAD
                                        : scan_at(&recovery->scan, lsn, &record, recovery->err);

        if (kind == SCAN_UNREADABLE) {
            return recovery->err->code;
        }
        if (kind != SCAN_RECORD) {
            lsn = scan_step(&recovery->scan, lsn);
            continue;
        }
        if (redo_record(redo, &record) != 0) {
            return recovery->err->code;
        }
        if (!recovery_progress(recovery)) {
            return TUSK_ECLOSED;
        }
        CHECK(record.header.lsn == lsn);
        lsn += format_record_padded(record.header.size);
    }
    for (i = 0; i < GATHERS; i++) {
        if (gather_write(redo, &redo->gathers[i]) != 0) {
            return recovery->err->code;
        }
    }
    return 0;
}

static int write_headers(struct recovery *recovery)
{
    struct topic *topic;
    struct topic *next;
    uint32_t i;

    HASH_ITER(by_id, recovery->ns->topics_by_id, topic, next)
    {
        for (i = 0; i < topic->block_count; i++) {
            struct block *block = &topic->blocks[i];

            if (!block->headed && block->segment != NULL) {
                CHECK(block->end >= FORMAT_BLOCK_DATA);
                if (tail_write_header(topic, i, recovery->err) != 0) {
                    return recovery->err->code;
                }
                block->segment->dirty = true;
            }
        }
    }
    return 0;
}

int recovery_sync_segments(struct recovery *recovery)
{
    struct namespace *ns = recovery->ns;
    uint32_t i;

    CHECK(ns->space.count <= ns->space.capacity);
    for (i = 0; i < ns->space.count; i++) {
        struct segment *segment = ns->space.segments[i];

        if (segment->dirty) {
            segment->dirty = false;
            if (io_sync(segment->file, NULL, recovery->err) != 0) {
                return error_wrap(recovery->err, "sync segment %016llx",
                                  (unsigned long long)segment->number);
            }
        }
    }
    return 0;
}

int recovery_redo(struct recovery *recovery)
{
    struct redo redo = {.recovery = recovery};
    uint32_t i;
    int rc = redo_all(&redo);

    for (i = 0; i < GATHERS; i++) {
        free(redo.gathers[i].data);
    }
    if (rc == 0) {
        rc = write_headers(recovery);
    }
    return rc != 0 ? rc : recovery_sync_segments(recovery);
}
