/* Recovery: what one place of the journal holds. Whether a record is valid is more than its
 * checksum: what was written straight to a block must stand there, on the device, as far as it was
 * not known to be durable. */
#include <stdlib.h>
#include <string.h>

#include "core/recovery.h"

#include "core/check.h"

int recovery_buffer(struct recovery *recovery, uint64_t size)
{
    uint8_t *buffer;

    CHECK(size > 0);
    CHECK(size % IO_DIRECT_ALIGN == 0);
    if (size <= recovery->block_buffer_size) {
        return 0;
    }
    buffer = aligned_alloc(IO_DIRECT_ALIGN, size);
    if (buffer == NULL) {
        return TUSK_ENOMEM;
    }
    free(recovery->block_buffer);
    recovery->block_buffer = buffer;
    recovery->block_buffer_size = size;
    return 0;
}

/* Bytes of a block as the device has them; *out is valid until the next call. 1, 0: they are not
 * all there, negative: unreadable. */
static int read_block_bytes(struct recovery *recovery, uint64_t number, uint16_t index,
                            uint32_t position, uint64_t wanted, const uint8_t **out)
{
    const struct segment *segment = space_find(&recovery->ns->space, number);
    const uint64_t offset = (uint64_t)index * recovery->ns->block_size + position;
    const uint64_t begin = offset & ~(uint64_t)(IO_DIRECT_ALIGN - 1);
    const uint64_t end = offset + wanted;
    const uint64_t size = (end - begin + IO_DIRECT_ALIGN - 1) & ~(uint64_t)(IO_DIRECT_ALIGN - 1);
    size_t got = 0;
    int rc;

    CHECK(wanted > 0);
    CHECK(wanted <= recovery->ns->block_size);
    if (segment == NULL) {
        return 0;
    }
    if (recovery_buffer(recovery, size) != 0) {
        return error_set(recovery->err, TUSK_ENOMEM, "verify batches in their block");
    }
    rc = io_read_direct(segment->file, recovery->block_buffer, size, begin, &got, recovery->err);
    recovery->block_bytes_read += got;
    if (rc != 0) {
        return rc;
    }
    *out = recovery->block_buffer + (offset - begin);
    return begin + got >= end;
}

/* Whether the batch of an item stands valid in its block, on the device. 1 yes, 0 no, negative:
 * unreadable. */
static int stands_in_block(struct recovery *recovery, const struct format_item *item)
{
    struct batch_header header;
    const uint8_t *bytes = NULL;
    const int rc = read_block_bytes(recovery, item->place.segment, item->place.index,
                                    item->place.position, item->padded_size, &bytes);

    if (rc != 1) {
        return rc;
    }
    CHECK(bytes != NULL);
    return memcmp(bytes, item->bytes, BATCH_HEADER_SIZE) == 0 &&
           batch_verify(bytes, item->padded_size, item->header.stored_size, &header) == BATCH_GOOD;
}

/* Whether the batches of a stretch stand in their block, on the device, one behind the other. 1
 * yes, 0 no, negative: unreadable. */
static int stretch_stands(struct recovery *recovery, const struct format_record *stretch)
{
    const uint32_t size = (uint32_t)stretch->field[STRETCH_SIZE];
    const uint32_t position = (uint32_t)stretch->field[STRETCH_POSITION];
    const uint32_t seed = batch_seed(recovery->ns->store_id, stretch->field[STRETCH_GENERATION]);
    uint32_t crc = (uint32_t)stretch->field[STRETCH_PREVIOUS_CRC];
    const uint8_t *bytes = NULL;
    uint64_t at = 0;
    const int rc =
        read_block_bytes(recovery, stretch->field[STRETCH_SEGMENT],
                         (uint16_t)stretch->field[STRETCH_INDEX], position, size, &bytes);

    CHECK(size % BATCH_ALIGN == 0);
    if (rc != 1) {
        return rc;
    }
    CHECK(bytes != NULL);
    while (at < size) {
        struct batch_header header;

        if (batch_verify(bytes + at, size - at, size, &header) != BATCH_GOOD ||
            header.previous_crc != crc ||
            header.header_crc != batch_header_crc(bytes + at, seed, position + (uint32_t)at)) {
            return 0;
        }
        crc = header.header_crc;
        at += batch_padded_size(header.stored_size);
    }
    return at == size && crc == (uint32_t)stretch->field[STRETCH_LAST_CRC];
}

/* What a stretch says of itself can be so. */
static bool stretch_fits(const struct recovery *recovery, const struct format_record *stretch)
{
    const uint32_t limit = format_block_limit(recovery->ns->block_size);
    const uint64_t *field = stretch->field;

    return field[STRETCH_INDEX] < recovery->ns->blocks_per_segment &&
           field[STRETCH_POSITION] >= FORMAT_BLOCK_DATA && field[STRETCH_POSITION] <= limit &&
           field[STRETCH_POSITION] % BATCH_ALIGN == 0 && field[STRETCH_SIZE] > 0 &&
           field[STRETCH_SIZE] % BATCH_ALIGN == 0 &&
           field[STRETCH_SIZE] <= limit - field[STRETCH_POSITION] &&
           field[STRETCH_FIRST] < field[STRETCH_END] &&
           field[STRETCH_ENTRIES] <= field[STRETCH_END] - field[STRETCH_FIRST] &&
           field[STRETCH_ENTRIES] > 0;
}

static enum recovery_found judge_stretch(struct recovery *recovery,
                                         const struct format_record *stretch, bool behind_mark)
{
    int rc = 1;

    CHECK(stretch->type == RECORD_STRETCH);
    if (!stretch_fits(recovery, stretch)) {
        return FOUND_BAD;
    }
    if (behind_mark) {
        rc = stretch_stands(recovery, stretch);
    }
    return rc < 0 ? FOUND_UNREADABLE : rc == 0 ? FOUND_DIRECT_BAD : FOUND_GOOD;
}

/* A place that can be in this namespace, so that nothing is read or written elsewhere. */
static bool place_fits(const struct recovery *recovery, const struct format_item *item)
{
    const uint32_t limit = format_block_limit(recovery->ns->block_size);

    return item->place.index < recovery->ns->blocks_per_segment &&
           item->place.position >= FORMAT_BLOCK_DATA && item->place.position <= limit &&
           item->place.position % BATCH_ALIGN == 0 &&
           item->padded_size <= limit - item->place.position;
}

static enum recovery_found judge_items(struct recovery *recovery, const struct scan_record *record)
{
    const bool behind_mark = record->header.lsn >= recovery->mark;
    enum recovery_found found = FOUND_GOOD;
    struct format_items items;
    struct format_item item;
    int rc;

    CHECK(format_record_has_items(record->header.type));
    if (format_items_check(&record->header, record->bytes) != 0) {
        return FOUND_BAD;
    }
    format_items_begin(&items, &record->header, record->bytes);
    while (format_items_next(&items, &item) != 0) {
        struct batch_header header;

        if (!place_fits(recovery, &item)) {
            return FOUND_BAD;
        }
        if (!items.direct) {
            if (batch_verify(item.bytes, item.padded_size, item.header.stored_size, &header) !=
                BATCH_GOOD) {
                found = FOUND_BATCH_BAD;
            }
        } else if (behind_mark) {
            rc = stands_in_block(recovery, &item);
            if (rc < 0) {
                return FOUND_UNREADABLE;
            }
            if (rc == 0) {
                return FOUND_DIRECT_BAD;
            }
        }
    }
    return found;
}

enum recovery_found recovery_judge(struct recovery *recovery, const struct scan_record *record)
{
    struct format_record body;

    CHECK(record->bytes != NULL);
    if (format_record_name(record->header.type) == NULL ||
        (record->header.flags & FORMAT_FLAGS_INCOMPATIBLE) != 0) {
        return FOUND_UNKNOWN;
    }
    if (format_record_has_items(record->header.type)) {
        return judge_items(recovery, record);
    }
    if (format_record_body_decode(&body, &record->header, record->bytes) != 0) {
        return FOUND_BAD;
    }
    return record->header.type == RECORD_STRETCH
               ? judge_stretch(recovery, &body, record->header.lsn >= recovery->mark)
               : FOUND_GOOD;
}

bool recovery_heals(struct recovery *recovery, const struct scan_record *record)
{
    struct format_items items;
    struct format_item item;

    CHECK(format_record_has_items(record->header.type));
    format_items_begin(&items, &record->header, record->bytes);
    while (format_items_next(&items, &item) != 0) {
        struct batch_header header;

        if (batch_verify(item.bytes, item.padded_size, item.header.stored_size, &header) !=
                BATCH_GOOD &&
            stands_in_block(recovery, &item) != 1) {
            return false;
        }
    }
    return true;
}
