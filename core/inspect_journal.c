/* What the journal holds of the blocks in use. */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/inspect.h"
#include "core/namespace.h"

/* ---- blocks by address ---- */

static int compare_address(uint64_t segment, uint32_t index, const struct block *block)
{
    return segment < block->segment_number   ? -1
           : segment > block->segment_number ? 1
           : index < block->index            ? -1
                                             : index > block->index;
}

static int by_address(const void *a, const void *b, void *arg)
{
    const struct inspect_block *blocks = arg;
    const struct block *left = blocks[*(const uint32_t *)a].block;

    return compare_address(left->segment_number, left->index, blocks[*(const uint32_t *)b].block);
}

static int sort_addresses(struct inspection *inspection)
{
    uint32_t i;

    CHECK(inspection->by_address == NULL);
    inspection->by_address = calloc((size_t)inspection->block_count + 1, sizeof(uint32_t));
    if (inspection->by_address == NULL) {
        return error_set(&inspection->err, TUSK_ENOMEM, "list the blocks");
    }
    for (i = 0; i < inspection->block_count; i++) {
        inspection->by_address[i] = i;
    }
    qsort_r(inspection->by_address, inspection->block_count, sizeof(uint32_t), by_address,
            inspection->blocks);
    for (i = 1; i < inspection->block_count; i++) { /* A place has one owner */
        CHECK(by_address(&inspection->by_address[i - 1], &inspection->by_address[i],
                         inspection->blocks) < 0);
    }
    return 0;
}

/* The index of the block at a place, or block_count. */
static uint32_t block_at(const struct inspection *inspection, const struct format_place *place)
{
    uint32_t low = 0;
    uint32_t high = inspection->block_count;

    CHECK(inspection->by_address != NULL);
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const uint32_t at = inspection->by_address[middle];
        const int order =
            compare_address(place->segment, place->index, inspection->blocks[at].block);

        CHECK(at < inspection->block_count);
        if (order == 0) {
            return at;
        }
        if (order > 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return inspection->block_count;
}

/* ---- batches ---- */

static int note(struct inspection *inspection, const struct inspect_ref *ref)
{
    CHECK(inspection->ref_count <= inspection->ref_capacity);
    CHECK(ref->block < inspection->block_count);
    CHECK(ref->padded >= BATCH_HEADER_SIZE);
    if (inspection->ref_count == inspection->ref_capacity) {
        const uint64_t capacity =
            inspection->ref_capacity == 0 ? 256 : inspection->ref_capacity * 2;
        struct inspect_ref *refs = realloc(inspection->refs, capacity * sizeof *refs);

        if (refs == NULL) {
            return error_set(&inspection->err, TUSK_ENOMEM, "note what the journal holds");
        }
        inspection->refs = refs;
        inspection->ref_capacity = capacity;
    }
    inspection->refs[inspection->ref_count++] = *ref;
    return 0;
}

static int note_item(struct inspection *inspection, const struct scan_record *record,
                     const struct format_item *item)
{
    const uint32_t limit = format_block_limit(inspection->ns->block_size);
    const uint32_t at = block_at(inspection, &item->place);
    const struct inspect_block *block = &inspection->blocks[at];
    const uint32_t position = item->place.position;
    struct batch_header header;
    struct inspect_ref ref;

    CHECK(at < inspection->block_count);
    if (position < FORMAT_BLOCK_DATA || position > limit || position % BATCH_ALIGN != 0 ||
        item->padded_size > limit - position) {
        return 0;
    }
    CHECK(inspection->thorough || record->header.lsn >= inspection->recovery.manifest.lsn);
    if (!inspection->thorough && position < block->applied) {
        return 0; /* Recovery would not write it again */
    }
    if (batch_header_crc(item->bytes, block->seed, position) != item->header.header_crc ||
        batch_verify(item->bytes, item->padded_size, item->header.stored_size, &header) !=
            BATCH_GOOD) {
        return 0; /* Of an earlier use of the block; or healed from it */
    }
    if (header.first_offset > UINT64_MAX - header.entry_count) {
        return 0; /* No engine gives such offsets */
    }
    CHECK(item->padded_size <= UINT32_MAX);
    CHECK(item->bytes >= record->bytes);
    CHECK((uint64_t)(item->bytes - record->bytes) < record->header.size);
    ref = (struct inspect_ref){.lsn = record->header.lsn,
                               .first_offset = header.first_offset,
                               .block = at,
                               .position = position,
                               .padded = (uint32_t)item->padded_size,
                               .entry_count = header.entry_count,
                               .crc = header.header_crc,
                               .delta = (uint32_t)(item->bytes - record->bytes)};
    return note(inspection, &ref);
}

/* ---- what has no block ---- */

static int compare_u64(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a;
    const uint64_t right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

/* Whether what stands there had no block when its record was applied, in a loss that is accepted
 * for this look only: what was accepted before, was told before. As of the manifest nothing was
 * applied, and all that has none counts. */
static bool strayed(const struct inspection *inspection, uint64_t lsn, uint64_t delta)
{
    const struct recovery *recovery = &inspection->recovery;
    const uint64_t place = lsn + delta;

    CHECK(inspection->way <= INSPECT_LIVE);
    CHECK(recovery->stray_count <= recovery->stray_capacity);
    if (inspection->way == INSPECT_FROM_MANIFEST) {
        return lsn >= recovery->manifest.lsn;
    }
    return inspection->way != INSPECT_AS_IS && recovery->stray_count > 0 &&
           bsearch(&place, recovery->strays, recovery->stray_count, sizeof place, compare_u64) !=
               NULL;
}

static int note_stray(struct inspection *inspection, const struct inspect_stray *stray)
{
    struct inspect_stray *last =
        inspection->stray_count == 0 ? NULL : &inspection->strays[inspection->stray_count - 1];

    CHECK(stray->from <= stray->to);
    CHECK(inspection->stray_count <= inspection->stray_capacity);
    if (last != NULL && last->segment == stray->segment && last->index == stray->index &&
        last->to == stray->from) {
        last->to = stray->to;
        last->entries += stray->entries;
        return 0;
    }
    if (inspection->stray_count == inspection->stray_capacity) {
        const uint64_t capacity = inspection->stray_capacity * 2 + 16;
        struct inspect_stray *strays = realloc(inspection->strays, capacity * sizeof *strays);

        if (strays == NULL) {
            return error_set(&inspection->err, TUSK_ENOMEM, "note what has no block");
        }
        inspection->strays = strays;
        inspection->stray_capacity = capacity;
    }
    CHECK(inspection->strays != NULL);
    inspection->strays[inspection->stray_count++] = *stray;
    return 0;
}

/* A block that was given back: what it held was trimmed, or deleted. */
static void forget_strays(struct inspection *inspection, uint64_t segment, uint64_t index)
{
    uint64_t kept = 0;
    uint64_t i;

    CHECK(inspection->stray_count <= inspection->stray_capacity);
    for (i = 0; i < inspection->stray_count; i++) {
        if (inspection->strays[i].segment != segment || inspection->strays[i].index != index) {
            inspection->strays[kept++] = inspection->strays[i];
        }
    }
    CHECK(kept <= inspection->stray_count);
    inspection->stray_count = kept;
}

/* A record that is not of batches: a block given back, or many batches written to one. */
static int note_body(struct inspection *inspection, const struct scan_record *record)
{
    struct format_record body;
    struct format_place place;
    struct inspect_stray stray;

    CHECK(!format_record_has_items(record->header.type));
    CHECK(record->bytes != NULL);
    if ((record->header.type != RECORD_BLOCK_FREE && record->header.type != RECORD_STRETCH) ||
        format_record_body_decode(&body, &record->header, record->bytes) != 0) {
        return 0;
    }
    if (record->header.type == RECORD_BLOCK_FREE) {
        forget_strays(inspection, body.field[BLOCK_SEGMENT], body.field[BLOCK_INDEX]);
        return 0;
    }
    place = (struct format_place){.segment = body.field[STRETCH_SEGMENT],
                                  .index = (uint16_t)body.field[STRETCH_INDEX]};
    stray = (struct inspect_stray){.segment = place.segment,
                                   .index = place.index,
                                   .from = body.field[STRETCH_FIRST],
                                   .to = body.field[STRETCH_END],
                                   .entries = body.field[STRETCH_ENTRIES]};
    if (stray.from >= stray.to || block_at(inspection, &place) != inspection->block_count ||
        !strayed(inspection, record->header.lsn, 0)) {
        return 0;
    }
    return note_stray(inspection, &stray);
}

static int note_stray_item(struct inspection *inspection, const struct format_item *item)
{
    const uint64_t first = item->header.first_offset;

    CHECK(item->bytes != NULL);
    CHECK(item->padded_size >= BATCH_HEADER_SIZE);
    if (first > UINT64_MAX - item->header.entry_count) {
        return 0; /* No engine gives such offsets */
    }
    return note_stray(inspection, &(struct inspect_stray){.segment = item->place.segment,
                                                          .index = item->place.index,
                                                          .from = first,
                                                          .to = first + item->header.entry_count,
                                                          .entries = item->header.entry_count});
}

static int note_record(struct inspection *inspection, const struct scan_record *record)
{
    struct format_items items;
    struct format_item item;
    int rc = 0;

    CHECK(record->bytes != NULL);
    CHECK(record->header.size >= FORMAT_RECORD_HEADER_SIZE);
    if ((record->header.flags & FORMAT_FLAGS_INCOMPATIBLE) != 0) {
        return 0;
    }
    if (!format_record_has_items(record->header.type)) {
        return note_body(inspection, record);
    }
    if (format_items_check(&record->header, record->bytes) != 0) {
        return 0;
    }
    format_items_begin(&items, &record->header, record->bytes);
    while (rc == 0 && format_items_next(&items, &item) != 0) {
        const uint64_t delta = (uint64_t)(item.bytes - record->bytes);

        if (block_at(inspection, &item.place) == inspection->block_count) {
            rc = strayed(inspection, record->header.lsn, delta) ? note_stray_item(inspection, &item)
                                                                : 0;
        } else if (record->header.type == RECORD_BATCH) {
            rc = note_item(inspection, record, &item);
        }
    }
    return rc;
}

static int by_place(const void *a, const void *b)
{
    const struct inspect_ref *left = a;
    const struct inspect_ref *right = b;

    return left->block < right->block         ? -1
           : left->block > right->block       ? 1
           : left->position < right->position ? -1
                                              : left->position > right->position;
}

static void share_out(struct inspection *inspection)
{
    uint64_t i;

    CHECK(inspection->ref_count <= inspection->ref_capacity);
    if (inspection->ref_count > 0) {
        qsort(inspection->refs, inspection->ref_count, sizeof *inspection->refs, by_place);
    }
    for (i = 0; i < inspection->ref_count; i++) {
        struct inspect_block *block = &inspection->blocks[inspection->refs[i].block];

        CHECK(inspection->refs[i].block < inspection->block_count);
        if (block->ref_count == 0) {
            block->first_ref = i;
        }
        CHECK(block->first_ref + block->ref_count == i);
        block->ref_count++;
    }
}

static uint64_t first_lsn(const struct scan *scan)
{
    uint64_t least = UINT64_MAX;
    uint32_t i;

    CHECK(scan->count <= scan->capacity);
    for (i = 0; i < scan->count; i++) {
        const struct scan_file *file = &scan->files[i];

        if (file->valid && file->header.first_lsn < least) {
            least = file->header.first_lsn;
        }
    }
    return least;
}

int inspect_find_refs(struct inspection *inspection)
{
    struct recovery *recovery = &inspection->recovery;
    uint64_t lsn = inspection->thorough ? first_lsn(&recovery->scan) : recovery->manifest.lsn;
    struct scan_record record;
    int rc = sort_addresses(inspection);

    CHECK(inspection->ref_count == 0);
    CHECK(inspection->refs == NULL);
    while (rc == 0 && lsn < recovery->end) {
        const enum scan_kind kind = scan_at(&recovery->scan, lsn, &record, &inspection->err);
        const uint64_t place = lsn;

        if (kind == SCAN_UNREADABLE) {
            return inspection->err.code;
        }
        if (kind != SCAN_RECORD) {
            lsn = scan_step(&recovery->scan, lsn);
            CHECK(lsn > place);
            continue;
        }
        CHECK(record.header.lsn == place);
        rc = note_record(inspection, &record);
        lsn = scan_behind(&recovery->scan, &record.header);
        CHECK(lsn > place);
    }
    if (rc == 0) {
        share_out(inspection);
    }
    return rc;
}

int inspect_ref_bytes(struct inspection *inspection, const struct inspect_ref *ref,
                      const uint8_t **bytes, struct batch_header *header, struct error *err)
{
    const struct inspect_block *block = &inspection->blocks[ref->block];
    struct scan_record record;
    enum scan_kind kind;

    CHECK((uint64_t)(ref - inspection->refs) < inspection->ref_count);
    CHECK(ref->block < inspection->block_count);
    CHECK(ref->delta >= FORMAT_RECORD_HEADER_SIZE);
    CHECK(ref->padded >= BATCH_HEADER_SIZE);
    kind = scan_at(&inspection->recovery.scan, ref->lsn, &record, err);
    if (kind == SCAN_UNREADABLE) {
        return err->code;
    }
    /* The checksum of its header stands for all of what was noted. */
    if (kind != SCAN_RECORD || record.header.size < (uint64_t)ref->delta + ref->padded ||
        batch_header_crc(record.bytes + ref->delta, block->seed, ref->position) != ref->crc ||
        batch_verify(record.bytes + ref->delta, ref->padded, ref->padded - BATCH_HEADER_SIZE,
                     header) != BATCH_GOOD) {
        return error_set(err, TUSK_ECORRUPT, "the journal does not give again what it gave");
    }
    *bytes = record.bytes + ref->delta;
    return 0;
}

/* Whether a record behind a place says that its loss was accepted. */
static bool accepted_later(struct recovery *recovery, uint64_t lsn)
{
    const uint64_t place = lsn;
    struct scan_record record;
    struct format_record body;
    struct error ignored;

    CHECK(lsn < recovery->manifest.lsn);
    while (lsn < recovery->end) {
        if (scan_at(&recovery->scan, lsn, &record, &ignored) != SCAN_RECORD) {
            lsn = scan_step(&recovery->scan, lsn);
            continue;
        }
        CHECK(record.header.lsn == lsn);
        if (record.header.type == RECORD_ACCEPTED_LOSS &&
            format_record_body_decode(&body, &record.header, record.bytes) == 0 &&
            body.field[LOSS_FROM] <= place && place < body.field[LOSS_TO]) {
            return true;
        }
        lsn = scan_behind(&recovery->scan, &record.header);
    }
    return false;
}

/* The next record behind a place where there is none. */
static uint64_t next_record(struct recovery *recovery, uint64_t lsn)
{
    const uint64_t from = lsn;
    struct scan_record record;
    struct error ignored;

    CHECK(lsn < recovery->manifest.lsn);
    do {
        lsn = scan_step(&recovery->scan, lsn);
    } while (lsn < recovery->manifest.lsn &&
             scan_at(&recovery->scan, lsn, &record, &ignored) != SCAN_RECORD);
    CHECK(lsn > from);
    return lsn;
}

int inspect_check_older(struct inspection *inspection, inspect_bad_fn *bad, void *arg,
                        struct error *err)
{
    struct recovery *recovery = &inspection->recovery;
    uint64_t lsn = recovery->older_lsn;
    struct scan_record record;
    uint32_t previous = 0;
    bool known = false;

    CHECK(bad != NULL);
    CHECK(!recovery->older_known || recovery->has_older);
    while (recovery->older_known && lsn < recovery->manifest.lsn) {
        const enum scan_kind kind = scan_at(&recovery->scan, lsn, &record, err);
        const uint64_t place = lsn;
        const bool good = kind == SCAN_RECORD && recovery_judge(recovery, &record) == FOUND_GOOD &&
                          (!known || record.header.previous_crc == previous);

        if (kind == SCAN_UNREADABLE && err->code == TUSK_ENOMEM) {
            return err->code;
        }
        known = kind == SCAN_RECORD;
        previous = known ? record.header.crc : 0;
        lsn = known ? scan_behind(&recovery->scan, &record.header) : next_record(recovery, lsn);
        CHECK(lsn > place);
        if (!good && !accepted_later(recovery, place)) {
            bad(arg, place);
        }
    }
    return 0;
}
