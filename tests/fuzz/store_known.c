#include "tests/fuzz/store_known.h"

#include <string.h>

#include "core/format.h"
#include "proto/bytes.h"
#include "tests/fuzz/store_seal.h"

#define SAME_MAX 16u /* Cursors of a topic that are compared */

/* store-block-offsets: batches of a block whose offsets are not those that the manifest says the block
 * has, though every checksum holds, are served beyond the topic's end. */
static bool block_contradicts(struct store_image *image, const struct format_topic_block *block)
{
    const struct store_file *file = store_image_find(image, STORE_SEGMENT, block->segment);
    const uint32_t block_size = seal_block_size(image);
    const uint64_t begin = (uint64_t)block->index * block_size;
    uint64_t reached = block->first_offset;
    uint64_t at = FORMAT_BLOCK_DATA;

    if (file == NULL && block->first_offset == block->end_offset) {
        return true; /* store-empty-block-missing: a read that meets it is a failed CHECK */
    }
    if (block->end % BATCH_ALIGN != 0) {
        return true; /* What is appended there is acknowledged, and refused by the next recovery */
    }
    if (file == NULL || begin + block_size > file->size || block->end > block_size) {
        return false;
    }
    while (at + BATCH_HEADER_SIZE <= block->end) {
        const uint8_t *batch = file->bytes + begin + at;
        const uint64_t first = get_u64(batch + 8);

        if (get_u16(batch) != BATCH_MAGIC) {
            return false;
        }
        if (first < reached || first > block->end_offset ||
            get_u32(batch + 36) > block->end_offset - first) {
            return true;
        }
        reached = first + get_u32(batch + 36);
        at += batch_padded_size(get_u32(batch + 40));
    }
    return false;
}

/* store-manifest: tables that contradict themselves under a valid checksum are taken as they are. */
static bool topic_contradicts(struct store_image *image, const uint8_t **at, const uint8_t *end,
                              bool *whole)
{
    struct format_topic topic;
    struct format_cursor cursors[SAME_MAX];
    struct format_cursor cursor;
    struct format_topic_block block;
    uint64_t reached = 0;
    uint32_t i;
    uint32_t j;

    *whole = format_topic_decode(&topic, at, end) == 0;
    if (*whole && topic.id == 0) { /* Listed, and never found: by id, 0 means by name */
        return true;
    }
    for (i = 0; *whole && i < topic.cursor_count; i++) {
        *whole = format_cursor_decode(&cursor, at, end) == 0;
        for (j = 0; *whole && j < i && j < SAME_MAX; j++) {
            if (cursors[j].name_size == cursor.name_size &&
                memcmp(cursors[j].name, cursor.name, cursor.name_size) == 0) {
                return true; /* Two of one name: their list never ends */
            }
        }
        if (i < SAME_MAX) {
            cursors[i] = cursor;
        }
    }
    for (i = 0; *whole && i < topic.block_count; i++) {
        *whole = format_topic_block_decode(&block, at, end) == 0;
        if (*whole && (block.first_offset < reached || block.end_offset < block.first_offset ||
                       block_contradicts(image, &block))) {
            return true;
        }
        reached = block.end_offset;
    }
    return *whole && (reached > topic.next_offset || topic.next_offset > topic.run_end ||
                      topic.first > topic.next_offset);
}

static bool manifest_contradicts(struct store_image *image, const struct store_file *file)
{
    const uint64_t body_size = get_u64(file->bytes + 72);
    const uint64_t incarnations = get_u64(file->bytes + 120);
    const uint8_t *at = file->bytes + FORMAT_PAGE;
    const uint8_t *end;
    bool whole = true;

    if (body_size > file->size - FORMAT_PAGE ||
        incarnations > body_size / FORMAT_INCARNATION_SIZE) {
        return false;
    }
    end = at + body_size;
    at += incarnations * FORMAT_INCARNATION_SIZE;
    while (whole && at < end) {
        if (topic_contradicts(image, &at, end, &whole)) {
            return true;
        }
    }
    return false;
}

/* The trims that the seeds have; a topic's end is not known here. */
static bool trimmed_by_seed(uint64_t topic, uint64_t first)
{
    return (topic == 6 && first <= 2) || (topic == 1 && first <= 5);
}

/* store-manifest-id, by a topic create record; store-allocate-beyond. */
static bool record_contradicts(const struct store_file *file)
{
    uint32_t offsets[SEAL_RECORDS_MAX];
    const unsigned count = seal_records(file, offsets);
    unsigned i;

    for (i = 0; i < count; i++) {
        const uint8_t *record = file->bytes + offsets[i];

        if (get_u16(record + 4) == RECORD_TOPIC_CREATE && get_u64(record + 48) == 0) {
            return true;
        }
        /* store-allocate-beyond; no seed's offsets are that large */
        if (get_u16(record + 4) == RECORD_BLOCK_ALLOCATE && get_u64(record + 80) > 4096) {
            return true;
        }
    }
    return false;
}

/* store-trim-beyond: a trim record that keeps nothing of what there is, and more, is applied. */
static bool trim_beyond(const struct store_file *file)
{
    uint32_t offsets[SEAL_RECORDS_MAX];
    const unsigned count = seal_records(file, offsets);
    unsigned i;

    for (i = 0; i < count; i++) {
        const uint8_t *record = file->bytes + offsets[i];

        if (get_u16(record + 4) == RECORD_TRIM && get_u64(record + 56) != 0 &&
            !trimmed_by_seed(get_u64(record + 48), get_u64(record + 56))) {
            return true;
        }
    }
    return false;
}

/* store-empty-block-missing, as it comes about: allocated, never written, and its file is gone. */
static bool allocates_missing(struct store_image *image, const struct store_file *file)
{
    uint32_t offsets[SEAL_RECORDS_MAX];
    const unsigned count = seal_records(file, offsets);
    uint64_t applied = 0; /* Up to here, by the newest manifest */
    unsigned i;

    for (i = 0; i < image->count; i++) {
        const struct store_file *other = &image->files[i];
        const uint64_t lsn = get_u64(other->bytes + 48);

        applied = other->kind == STORE_MANIFEST && lsn > applied ? lsn : applied;
    }
    for (i = 0; i < count; i++) {
        const uint8_t *record = file->bytes + offsets[i];

        if (get_u16(record + 4) == RECORD_BLOCK_ALLOCATE && get_u64(record + 8) >= applied &&
            store_image_find(image, STORE_SEGMENT, get_u64(record + 48)) == NULL) {
            return true;
        }
    }
    return false;
}

/* store-mark-ahead: a durable mark beyond the record that carries it. */
static bool mark_ahead(const struct store_file *file)
{
    uint32_t offsets[SEAL_RECORDS_MAX];
    const unsigned count = seal_records(file, offsets);
    unsigned i;

    for (i = 0; i < count; i++) {
        if (get_u64(file->bytes + offsets[i] + 32) > get_u64(file->bytes + offsets[i] + 8)) {
            return true;
        }
    }
    return get_u64(file->bytes + 72) > get_u64(file->bytes + 64);
}

const char *store_known(struct store_image *image)
{
    unsigned i;

    for (i = 0; i < image->count; i++) {
        const struct store_file *file = &image->files[i];

        if (file->number > UINT64_MAX - 8) {
            return "store-number-wraps"; /* The next file's number is 0 again */
        }
        if (file->size < FORMAT_PAGE) {
            continue;
        }
        if (file->kind == STORE_JOURNAL && get_u64(file->bytes + 64) > UINT64_MAX / 2) {
            return "store-lsn-wraps"; /* The survey goes round for ever */
        }
        if (file->kind == STORE_JOURNAL && record_contradicts(file)) {
            return "store-manifest-id, store-allocate-beyond";
        }
        if (file->kind == STORE_JOURNAL && allocates_missing(image, file)) {
            return "store-empty-block-missing";
        }
        if (file->kind == STORE_JOURNAL && trim_beyond(file)) {
            return "store-trim-beyond";
        }
        if (file->kind == STORE_JOURNAL && mark_ahead(file)) {
            return "store-mark-ahead";
        }
        if (file->kind == STORE_MANIFEST && get_u64(file->bytes + 56) > get_u64(file->bytes + 48)) {
            return "store-mark-ahead";
        }
        if (file->kind == STORE_MANIFEST && manifest_contradicts(image, file)) {
            return "store-manifest";
        }
    }
    return NULL;
}
