/* Journal files and records: the offsets of FORMAT.md, "Journal file" and "Journal record". Blocks
 * are in format_block.c, manifests in format_manifest.c. */
#include "core/format.h"

#include <string.h>

#include "core/check.h"
#include "core/error.h"
#include "proto/bytes.h"
#include "proto/crc32c.h"

static const char journal_magic[FORMAT_MAGIC_SIZE] = FORMAT_MAGIC_JOURNAL;

enum format_page_kind format_page_kind(const uint8_t page[FORMAT_PAGE])
{
    static const struct {
        char magic[FORMAT_MAGIC_SIZE];
        enum format_page_kind kind;
    } kinds[] = {{FORMAT_MAGIC_JOURNAL, FORMAT_PAGE_JOURNAL},
                 {FORMAT_MAGIC_BLOCK, FORMAT_PAGE_BLOCK},
                 {FORMAT_MAGIC_SEAL, FORMAT_PAGE_SEAL},
                 {FORMAT_MAGIC_MANIFEST, FORMAT_PAGE_MANIFEST}};
    unsigned i;

    for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (memcmp(page, kinds[i].magic, FORMAT_MAGIC_SIZE) == 0) {
            return kinds[i].kind;
        }
    }
    return FORMAT_PAGE_OTHER;
}

void format_page_version(const uint8_t page[FORMAT_PAGE], uint32_t *version, uint32_t *flags)
{
    *version = get_u16(page + 8);
    *flags = get_u32(page + 16);
}

void format_journal_encode(uint8_t page[FORMAT_PAGE], const struct format_journal *header)
{
    CHECK(header->mark <= header->first_lsn);
    memset(page, 0, FORMAT_PAGE);
    memcpy(page, journal_magic, 8);
    put_u16(page + 8, FORMAT_VERSION);
    put_u16(page + 10, FORMAT_PAGE);
    memcpy(page + 24, header->store_id, ENGINE_STORE_ID_SIZE);
    put_u64(page + 40, header->number);
    put_u64(page + 48, header->size);
    put_u64(page + 56, header->generation);
    put_u64(page + 64, header->first_lsn);
    put_u64(page + 72, header->mark);
    put_u32(page + 80, header->previous_crc);
    put_u32(page + FORMAT_PAGE - 4, crc32c(0, page, FORMAT_PAGE - 4));
}

void format_journal_guess(struct format_journal *header, const uint8_t page[FORMAT_PAGE])
{
    memcpy(header->store_id, page + 24, ENGINE_STORE_ID_SIZE);
    header->number = get_u64(page + 40);
    header->size = get_u64(page + 48);
    header->generation = get_u64(page + 56);
    header->first_lsn = get_u64(page + 64);
    header->mark = get_u64(page + 72);
    header->previous_crc = get_u32(page + 80);
}

int format_journal_decode(struct format_journal *header, const uint8_t page[FORMAT_PAGE])
{
    CHECK(header != NULL);
    CHECK(page != NULL);
    if (memcmp(page, journal_magic, 8) != 0 ||
        get_u32(page + FORMAT_PAGE - 4) != crc32c(0, page, FORMAT_PAGE - 4)) {
        return TUSK_ECORRUPT;
    }
    if (get_u16(page + 8) != FORMAT_VERSION || get_u32(page + 16) != 0) {
        return TUSK_EVERSION;
    }
    format_journal_guess(header, page);
    return header->first_lsn < FORMAT_COUNTER_MAX && header->first_lsn % FORMAT_RECORD_ALIGN == 0 &&
                   header->mark <= header->first_lsn
               ? 0
               : TUSK_ECORRUPT;
}

uint32_t format_journal_seed(const uint8_t store_id[ENGINE_STORE_ID_SIZE], uint64_t generation)
{
    uint8_t bytes[8];

    CHECK(store_id != NULL);
    put_u64(bytes, generation);
    return crc32c(crc32c(0, store_id, ENGINE_STORE_ID_SIZE), bytes, sizeof bytes);
}

/* The sequence number stands in the header, so seeding with it is covering it, and comparing. */
static uint32_t record_crc(const uint8_t *bytes, uint32_t seed)
{
    CHECK(bytes != NULL);
    return crc32c(seed, bytes + 4, FORMAT_RECORD_HEADER_SIZE - 4);
}

void format_record_header_encode(uint8_t *bytes, struct format_record_header *header, uint32_t seed)
{
    memset(bytes, 0, FORMAT_RECORD_HEADER_SIZE);
    put_u16(bytes + 4, header->type);
    put_u16(bytes + 6, header->flags);
    put_u64(bytes + 8, header->lsn);
    put_u32(bytes + 16, header->size);
    put_u32(bytes + 20, header->body_crc);
    put_u32(bytes + 24, header->previous_crc);
    put_u64(bytes + 32, header->mark);
    header->crc = record_crc(bytes, seed);
    put_u32(bytes, header->crc);
}

bool format_record_could_be(const uint8_t *bytes, uint64_t lsn)
{
    return get_u64(bytes + 8) == lsn;
}

int format_record_header_decode(struct format_record_header *header, const uint8_t *bytes,
                                uint32_t seed, uint64_t lsn)
{
    CHECK(header != NULL);
    CHECK(bytes != NULL);
    header->lsn = get_u64(bytes + 8);
    header->crc = get_u32(bytes);
    if (!format_record_could_be(bytes, lsn) || header->crc != record_crc(bytes, seed)) {
        return TUSK_ECORRUPT;
    }
    header->type = get_u16(bytes + 4);
    header->flags = get_u16(bytes + 6);
    header->size = get_u32(bytes + 16);
    header->body_crc = get_u32(bytes + 20);
    header->previous_crc = get_u32(bytes + 24);
    header->mark = get_u64(bytes + 32);
    /* Nothing behind a record was durable when it was written. */
    return header->size >= FORMAT_RECORD_HEADER_SIZE && header->mark <= lsn ? 0 : TUSK_ECORRUPT;
}

uint64_t format_record_padded(uint64_t size)
{
    CHECK(size <= UINT64_MAX - FORMAT_RECORD_ALIGN);
    return (size + FORMAT_RECORD_ALIGN - 1) & ~(uint64_t)(FORMAT_RECORD_ALIGN - 1);
}

/* The record-type table, as far as bytes go. */
static const struct record_type {
    const char *name;
    uint8_t fields;
    bool named;
    bool items;
} record_types[RECORD_TYPE_END] = {
    [RECORD_OPEN] = {"open", 4, false, false},
    [RECORD_BATCH] = {"batch", 0, false, true},
    [RECORD_DIRECT] = {"direct batch", 0, false, true},
    [RECORD_TOPIC_CREATE] = {"topic create", 5, true, false},
    [RECORD_TOPIC_SET] = {"topic set", 5, false, false},
    [RECORD_TOPIC_DELETE] = {"topic delete", 1, false, false},
    [RECORD_NAMESPACE_SET] = {"namespace set", 8, false, false},
    [RECORD_RUN] = {"offset run", 2, false, false},
    [RECORD_CURSOR_CREATE] = {"cursor create", 4, true, false},
    [RECORD_CURSOR_CHECKPOINT] = {"cursor checkpoint", 4, false, false},
    [RECORD_CURSOR_SEEK] = {"cursor seek", 4, false, false},
    [RECORD_CURSOR_DELETE] = {"cursor delete", 2, false, false},
    [RECORD_TRIM] = {"trim", 2, false, false},
    [RECORD_BLOCK_ALLOCATE] = {"block allocate", 7, false, false},
    [RECORD_BLOCK_FREE] = {"block free", 3, false, false},
    [RECORD_MARK] = {"mark", 0, false, false},
    [RECORD_FILLER] = {"filler", 0, false, false},
    [RECORD_ACCEPTED_LOSS] = {"accepted loss", 3, false, false},
    [RECORD_CLEAN_CLOSE] = {"clean close", 0, false, false},
    [RECORD_STRETCH] = {"direct stretch", 11, false, false},
};

const char *format_record_name(uint16_t type)
{
    return type < RECORD_TYPE_END ? record_types[type].name : NULL;
}

bool format_record_has_items(uint16_t type)
{
    return type < RECORD_TYPE_END && record_types[type].items;
}

uint32_t format_record_size(const struct format_record *record)
{
    const struct record_type *type = &record_types[record->type];

    CHECK(record->type < RECORD_TYPE_END);
    CHECK(type->name != NULL);
    CHECK(!type->items);
    return FORMAT_RECORD_HEADER_SIZE + 8u * type->fields +
           (type->named ? 2u + record->name_size : 0u);
}

uint32_t format_record_body_encode(uint8_t *record_bytes, const struct format_record *record)
{
    const struct record_type *type = &record_types[record->type];
    const uint32_t size = format_record_size(record) - FORMAT_RECORD_HEADER_SIZE;
    uint8_t *body = record_bytes + FORMAT_RECORD_HEADER_SIZE;
    unsigned i;

    CHECK(record_bytes != NULL);
    CHECK(record->name != NULL || !type->named);
    for (i = 0; i < type->fields; i++) {
        put_u64(body + 8u * i, record->field[i]);
    }
    if (type->named) {
        CHECK(record->name_size <= FORMAT_NAME_SIZE_MAX);
        put_u16(body + 8u * type->fields, record->name_size);
        memcpy(body + 8u * type->fields + 2, record->name, record->name_size);
    }
    CHECK(format_record_size(record) == size + FORMAT_RECORD_HEADER_SIZE);
    return crc32c(0, body, size);
}

int format_record_body_decode(struct format_record *record,
                              const struct format_record_header *header,
                              const uint8_t *record_bytes)
{
    const uint8_t *body = record_bytes + FORMAT_RECORD_HEADER_SIZE;
    const uint32_t size = header->size - FORMAT_RECORD_HEADER_SIZE;
    const struct record_type *type;
    unsigned i;

    CHECK(header->size >= FORMAT_RECORD_HEADER_SIZE);
    if (crc32c(0, body, size) != header->body_crc) {
        return TUSK_ECORRUPT;
    }
    if (format_record_name(header->type) == NULL ||
        (header->flags & FORMAT_FLAGS_INCOMPATIBLE) != 0) {
        return TUSK_EVERSION;
    }
    type = &record_types[header->type];
    *record = (struct format_record){
        .type = header->type, .flags = (uint8_t)header->flags, .name = "", .name_size = 0};
    if (header->type == RECORD_FILLER) {
        return 0;
    }
    if (size < 8u * type->fields + (type->named ? 2u : 0u)) {
        return TUSK_ECORRUPT;
    }
    CHECK(type->fields <= FORMAT_FIELDS_MAX);
    CHECK(!type->items || type->fields == 0);
    for (i = 0; i < type->fields; i++) {
        record->field[i] = get_u64(body + 8u * i);
    }
    if (type->named) {
        record->name_size = get_u16(body + 8u * type->fields);
        record->name = (const char *)body + 8u * type->fields + 2;
    }
    return format_record_size(record) == header->size && record->name_size <= FORMAT_NAME_SIZE_MAX
               ? 0
               : TUSK_ECORRUPT;
}

void format_place_encode(uint8_t *bytes, const struct format_place *place)
{
    put_u64(bytes, place->segment);
    put_u32(bytes + 8, place->position);
    put_u16(bytes + 12, place->index);
    put_u16(bytes + 14, 0);
}

void format_place_decode(struct format_place *place, const uint8_t *bytes)
{
    CHECK(place != NULL);
    place->segment = get_u64(bytes);
    place->position = get_u32(bytes + 8);
    place->index = get_u16(bytes + 12);
}

uint32_t format_items_crc(uint16_t type, const uint8_t *body, uint64_t size)
{
    const uint32_t pair = FORMAT_PLACE_SIZE + BATCH_HEADER_SIZE;
    const uint8_t *const end = body + size;
    uint32_t crc = 0;

    while (body != end) {
        struct batch_header batch;

        CHECK((size_t)(end - body) >= pair);
        crc = crc32c(crc, body, pair);
        batch_header_decode(&batch, body + FORMAT_PLACE_SIZE);
        body +=
            type == RECORD_BATCH ? FORMAT_PLACE_SIZE + batch_padded_size(batch.stored_size) : pair;
        CHECK(body <= end);
    }
    return crc;
}

int format_items_check(const struct format_record_header *header, const uint8_t *record_bytes)
{
    const uint32_t pair = FORMAT_PLACE_SIZE + BATCH_HEADER_SIZE;
    uint32_t at = FORMAT_RECORD_HEADER_SIZE;
    uint32_t crc = 0;

    CHECK(header->size >= FORMAT_RECORD_HEADER_SIZE);
    CHECK(format_record_has_items(header->type));
    while (at < header->size) {
        struct batch_header batch;
        uint64_t step = pair;

        if (header->size - at < pair) {
            return TUSK_ECORRUPT;
        }
        crc = crc32c(crc, record_bytes + at, pair);
        if (header->type == RECORD_BATCH) {
            batch_header_decode(&batch, record_bytes + at + FORMAT_PLACE_SIZE);
            step = FORMAT_PLACE_SIZE + batch_padded_size(batch.stored_size);
        }
        if (step > header->size - at) {
            return TUSK_ECORRUPT;
        }
        at += (uint32_t)step;
    }
    CHECK(at == header->size);
    return crc == header->body_crc ? 0 : TUSK_ECORRUPT;
}

void format_items_begin(struct format_items *items, const struct format_record_header *header,
                        const uint8_t *record_bytes)
{
    CHECK(header->size >= FORMAT_RECORD_HEADER_SIZE);
    CHECK(format_record_has_items(header->type));
    items->at = record_bytes + FORMAT_RECORD_HEADER_SIZE;
    items->end = record_bytes + header->size;
    items->direct = header->type == RECORD_DIRECT;
}

int format_items_next(struct format_items *items, struct format_item *item)
{
    CHECK(items->at <= items->end);
    CHECK((size_t)(items->end - items->at) >= FORMAT_PLACE_SIZE || items->at == items->end);
    if (items->at == items->end) {
        return 0;
    }
    format_place_decode(&item->place, items->at);
    item->bytes = items->at + FORMAT_PLACE_SIZE;
    batch_header_decode(&item->header, item->bytes);
    item->padded_size = batch_padded_size(item->header.stored_size);
    items->at += FORMAT_PLACE_SIZE + (items->direct ? BATCH_HEADER_SIZE : item->padded_size);
    CHECK(items->at <= items->end);
    return 1;
}
