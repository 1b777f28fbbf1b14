/* The order matters, because checksums chain: (1) batches in blocks, each chained to the one before it
 * in its block; (2) the newest manifest's topics get the checksum of their last batch; (3) the journal,
 * record by record, its batches chained on from there, direct ones put into their blocks; (4) the
 * manifests get the checksum of the record before their LSN; (5) pages. */
#include "tests/fuzz/store_seal.h"

#include <string.h>

#include "core/format.h"
#include "proto/bytes.h"
#include "proto/crc32c.h"

#define OWNERS_MAX 128u
#define TOPICS_MAX 64u
#define BLOCK_SIZE_USUAL (32u << 10)
#define ITEM_SIZE (FORMAT_PLACE_SIZE + BATCH_HEADER_SIZE)

/* Offsets in FORMAT.md's layouts, of what has no encoder by itself. */
enum {
    PAGE_CRC = 4092,
    MANIFEST_BLOCK_SIZE = 20,
    MANIFEST_LSN = 48,
    MANIFEST_BODY_SIZE = 72,
    MANIFEST_BODY_CRC = 80,
    MANIFEST_CHAIN = 84,
    MANIFEST_INCARNATIONS = 120,
    MANIFEST_TOPICS = 128,
    TOPIC_CHAIN = 88,
    STORE_ID = 24,
    JOURNAL_GENERATION = 56,
    JOURNAL_FIRST_LSN = 64,
    JOURNAL_PREVIOUS = 80,
    RECORD_TYPE = 4,
    RECORD_LSN = 8,
    RECORD_SIZE = 16,
    RECORD_BODY_CRC = 20,
    RECORD_PREVIOUS = 24,
    BLOCK_GENERATION_AT = 56,
    BLOCK_TOPIC_AT = 64,
    SEAL_INDEX_COUNT = 388,
    SEAL_INDEX_CRC = 392,
    BATCH_STORED_SIZE = 40,
    BATCH_BODY_CRC = 48,
    BATCH_CHAIN = 52,
};

struct owner {
    uint64_t segment;
    uint64_t index;
    uint64_t generation;
    uint64_t topic;
};

struct chain {
    uint64_t topic;
    uint32_t crc;
};

struct sealing {
    struct store_image *image;
    bool place;
    uint32_t block_size;
    uint32_t previous; /* Header checksum of the record before */
    uint8_t store_id[ENGINE_STORE_ID_SIZE];
    struct owner owners[OWNERS_MAX]; /* Later ones win */
    unsigned owner_count;
    struct chain chains[TOPICS_MAX];
    unsigned chain_count;
};

/* ---- what is where ---- */

uint32_t seal_record_size(const struct store_file *file, uint32_t offset)
{
    return (uint32_t)format_record_padded(get_u32(file->bytes + offset + RECORD_SIZE));
}

unsigned seal_records(const struct store_file *file, uint32_t offsets[SEAL_RECORDS_MAX])
{
    uint32_t at = FORMAT_PAGE;
    unsigned count = 0;

    while (count < SEAL_RECORDS_MAX && at + FORMAT_RECORD_HEADER_SIZE <= file->size) {
        const uint32_t size = get_u32(file->bytes + at + RECORD_SIZE);

        if (size < FORMAT_RECORD_HEADER_SIZE || size > file->size - at) {
            break;
        }
        offsets[count++] = at;
        at += (uint32_t)format_record_padded(size);
    }
    return count;
}

uint32_t seal_block_size(const struct store_image *image)
{
    unsigned i;

    for (i = 0; i < image->count; i++) {
        const struct store_file *file = &image->files[i];
        const uint32_t size =
            file->kind == STORE_MANIFEST ? get_u32(file->bytes + MANIFEST_BLOCK_SIZE) : 0;

        if (size >= FORMAT_BLOCK_SIZE_MIN && size <= STORE_FILE_SIZE_MAX) {
            return size;
        }
    }
    return BLOCK_SIZE_USUAL;
}

static struct store_file *newest(struct store_image *image)
{
    struct store_file *best = NULL;
    unsigned i;

    for (i = 0; i < image->count; i++) {
        struct store_file *file = &image->files[i];

        if (file->kind == STORE_MANIFEST && file->size >= FORMAT_PAGE &&
            (best == NULL || file->number > best->number)) {
            best = file;
        }
    }
    return best;
}

static void own(struct sealing *s, const struct owner *owner)
{
    if (s->owner_count < OWNERS_MAX) {
        s->owners[s->owner_count++] = *owner;
    }
}

static const struct owner *find_owner(const struct sealing *s, uint64_t segment, uint64_t index)
{
    unsigned i;

    for (i = s->owner_count; i > 0; i--) {
        if (s->owners[i - 1].segment == segment && s->owners[i - 1].index == index) {
            return &s->owners[i - 1];
        }
    }
    return NULL;
}

/* The last batch's checksum of a topic; NULL when there are too many topics. */
static uint32_t *chain_of(struct sealing *s, uint64_t topic, bool *known)
{
    unsigned i;

    for (i = 0; i < s->chain_count; i++) {
        if (s->chains[i].topic == topic) {
            *known = true;
            return &s->chains[i].crc;
        }
    }
    *known = false;
    if (s->chain_count == TOPICS_MAX) {
        return NULL;
    }
    s->chains[s->chain_count] = (struct chain){.topic = topic};
    return &s->chains[s->chain_count++].crc;
}

/* ---- blocks ---- */

/* The batch at bytes gets its checksums; returns that of its header. */
static uint32_t seal_batch(uint8_t *bytes, uint32_t room, uint32_t seed, uint32_t position)
{
    const uint32_t stored = get_u32(bytes + BATCH_STORED_SIZE);

    if (stored <= room - BATCH_HEADER_SIZE) {
        put_u32(bytes + BATCH_BODY_CRC, batch_body_crc(bytes, stored));
    }
    put_u32(bytes + 4, batch_header_crc(bytes, seed, position));
    return get_u32(bytes + 4);
}

static void seal_block_batches(struct sealing *s, uint8_t *block, const struct owner *owner)
{
    const uint32_t seed = batch_seed(s->store_id, owner->generation);
    const uint32_t limit = format_block_limit(s->block_size);
    uint32_t at = FORMAT_BLOCK_DATA;
    uint32_t last = 0;

    while (at + BATCH_HEADER_SIZE <= limit && get_u16(block + at) == BATCH_MAGIC) {
        const uint64_t padded = batch_padded_size(get_u32(block + at + BATCH_STORED_SIZE));

        if (padded > limit - at) {
            break;
        }
        if (at > FORMAT_BLOCK_DATA) {
            put_u32(block + at + BATCH_CHAIN, last);
        }
        last = seal_batch(block + at, limit - at, seed, at);
        at += (uint32_t)padded;
    }
}

static void seal_segment(struct sealing *s, struct store_file *file)
{
    uint32_t at;

    for (at = 0; at + s->block_size <= file->size; at += s->block_size) {
        uint8_t *block = file->bytes + at;
        uint8_t *page1 = block + FORMAT_PAGE;
        const struct owner owner = {.segment = file->number,
                                    .index = at / s->block_size,
                                    .generation = get_u64(block + BLOCK_GENERATION_AT),
                                    .topic = get_u64(block + BLOCK_TOPIC_AT)};

        if (memcmp(block, "TUSKBLK\n", 8) != 0) {
            continue;
        }
        own(s, &owner);
        seal_block_batches(s, block, &owner);
        put_u32(block + PAGE_CRC, crc32c(0, block, PAGE_CRC));
        if (memcmp(page1, "TUSKSEA\n", 8) == 0) {
            put_u32(page1 + SEAL_INDEX_CRC,
                    crc32c(0, block + s->block_size - FORMAT_PAGE, FORMAT_PAGE));
            put_u32(page1 + PAGE_CRC, crc32c(0, page1, PAGE_CRC));
        }
    }
}

/* The bytes at a place, if the image has `size` of them there. */
static uint8_t *at_place(struct sealing *s, const struct format_place *place, uint64_t size)
{
    struct store_file *file = store_image_find(s->image, STORE_SEGMENT, place->segment);
    const uint64_t at = (uint64_t)place->index * s->block_size + place->position;

    if (file == NULL || at > file->size || size > file->size - at) {
        return NULL;
    }
    return file->bytes + at;
}

/* The header checksum of the last batch before `end` in a block. 0: there is none. */
static uint32_t last_in_block(struct sealing *s, const struct format_topic_block *block)
{
    struct format_place place = {
        .segment = block->segment, .index = (uint16_t)block->index, .position = FORMAT_BLOCK_DATA};
    uint32_t last = 0;

    while (place.position < block->end) {
        const uint8_t *bytes = at_place(s, &place, BATCH_HEADER_SIZE);

        if (bytes == NULL || get_u16(bytes) != BATCH_MAGIC ||
            batch_padded_size(get_u32(bytes + BATCH_STORED_SIZE)) > s->block_size) {
            break;
        }
        last = get_u32(bytes + 4);
        place.position += (uint32_t)batch_padded_size(get_u32(bytes + BATCH_STORED_SIZE));
    }
    return last;
}

/* ---- manifests ---- */

static bool manifest_topic(struct sealing *s, uint8_t *bytes, const uint8_t **at,
                           const uint8_t *end)
{
    uint8_t *in = bytes + (*at - bytes);
    struct format_topic topic;
    struct format_cursor cursor;
    struct format_topic_block block;
    uint32_t last = 0;
    uint32_t *chain;
    bool known;
    uint32_t i;

    if (format_topic_decode(&topic, at, end) != 0) {
        return false;
    }
    for (i = 0; i < topic.cursor_count; i++) {
        if (format_cursor_decode(&cursor, at, end) != 0) {
            return false;
        }
    }
    for (i = 0; i < topic.block_count; i++) {
        if (format_topic_block_decode(&block, at, end) != 0) {
            return false;
        }
        own(s, &(struct owner){.segment = block.segment,
                               .index = block.index,
                               .generation = block.generation,
                               .topic = topic.id});
        last = block.end > FORMAT_BLOCK_DATA ? last_in_block(s, &block) : last;
    }
    if (last != 0) {
        put_u32(in + TOPIC_CHAIN, last);
    }
    chain = chain_of(s, topic.id, &known);
    if (chain != NULL) {
        *chain = get_u32(in + TOPIC_CHAIN);
    }
    return true;
}

/* Chain checksums of its topics, and who owns which block from its LSN on. */
static void seal_topics(struct sealing *s, struct store_file *file)
{
    const uint64_t body_size = get_u64(file->bytes + MANIFEST_BODY_SIZE);
    const uint64_t incarnations = get_u64(file->bytes + MANIFEST_INCARNATIONS);
    const uint8_t *at = file->bytes + FORMAT_PAGE;
    const uint8_t *end;
    uint64_t topics = get_u64(file->bytes + MANIFEST_TOPICS);

    if (body_size > file->size - FORMAT_PAGE ||
        incarnations > body_size / FORMAT_INCARNATION_SIZE) {
        return;
    }
    end = at + body_size;
    at += incarnations * FORMAT_INCARNATION_SIZE;
    while (topics-- > 0 && manifest_topic(s, file->bytes, &at, end)) {
    }
}

static void seal_manifest(struct store_file *file)
{
    const uint64_t body_size = get_u64(file->bytes + MANIFEST_BODY_SIZE);

    if (body_size <= file->size - FORMAT_PAGE) {
        put_u32(file->bytes + MANIFEST_BODY_CRC,
                crc32c(0, file->bytes + FORMAT_PAGE, (size_t)body_size));
    }
    put_u32(file->bytes + PAGE_CRC, crc32c(0, file->bytes, PAGE_CRC));
}

/* ---- the journal ---- */

/* One item; returns its size in the record, 0 when it does not fit. *crc goes on over it. */
static uint64_t seal_item(struct sealing *s, uint8_t *item, uint64_t room, bool direct,
                          uint32_t *crc)
{
    uint8_t *header = item + FORMAT_PLACE_SIZE;
    struct format_place place;
    const struct owner *owner;
    uint32_t *chain = NULL;
    bool known = false;
    uint64_t padded;
    uint8_t *stands;

    if (room < ITEM_SIZE) {
        return 0;
    }
    padded = batch_padded_size(get_u32(header + BATCH_STORED_SIZE));
    format_place_decode(&place, item);
    owner = find_owner(s, place.segment, place.index);
    if (owner != NULL) {
        chain = chain_of(s, owner->topic, &known);
    }
    if (known) {
        put_u32(header + BATCH_CHAIN, *chain);
    }
    if (direct) {
        stands = at_place(s, &place, padded);
        if (stands != NULL && owner != NULL) {
            memcpy(stands, header, BATCH_HEADER_SIZE);
            (void)seal_batch(stands, (uint32_t)padded, batch_seed(s->store_id, owner->generation),
                             place.position);
            memcpy(header, stands, BATCH_HEADER_SIZE);
        }
    } else if (owner != NULL && padded <= room - FORMAT_PLACE_SIZE) {
        (void)seal_batch(header, (uint32_t)padded, batch_seed(s->store_id, owner->generation),
                         place.position);
    }
    if (chain != NULL) {
        *chain = get_u32(header + 4);
    }
    *crc = crc32c(*crc, item, ITEM_SIZE);
    if (direct) {
        return ITEM_SIZE;
    }
    return padded <= room - FORMAT_PLACE_SIZE ? FORMAT_PLACE_SIZE + padded : 0;
}

static uint32_t seal_body(struct sealing *s, uint8_t *record)
{
    const uint16_t type = get_u16(record + RECORD_TYPE);
    uint64_t left = get_u32(record + RECORD_SIZE) - FORMAT_RECORD_HEADER_SIZE;
    uint8_t *body = record + FORMAT_RECORD_HEADER_SIZE;
    uint64_t used;
    uint32_t crc = 0;

    if (type == RECORD_BLOCK_ALLOCATE && left >= 32) {
        own(s, &(struct owner){.segment = get_u64(body),
                               .index = get_u64(body + 8),
                               .generation = get_u64(body + 16),
                               .topic = get_u64(body + 24)});
    }
    if (type >= RECORD_TYPE_END || !format_record_has_items(type)) {
        return crc32c(0, body, left);
    }
    while (left > 0 && (used = seal_item(s, body, left, type == RECORD_DIRECT, &crc)) != 0) {
        body += used;
        left -= used;
    }
    return crc;
}

/* Manifests that stand at `lsn` name the record before it. */
static void note_chain(struct sealing *s, uint64_t lsn)
{
    unsigned i;

    for (i = 0; i < s->image->count; i++) {
        struct store_file *file = &s->image->files[i];

        if (file->kind == STORE_MANIFEST && file->size >= FORMAT_PAGE &&
            get_u64(file->bytes + MANIFEST_LSN) == lsn) {
            put_u32(file->bytes + MANIFEST_CHAIN, s->previous);
            if (file == newest(s->image)) {
                seal_topics(s, file); /* From here on its tables are what the journal adds to */
            }
        }
    }
}

static void seal_journal(struct sealing *s, struct store_file *file)
{
    const uint64_t first_lsn = get_u64(file->bytes + JOURNAL_FIRST_LSN);
    const uint32_t seed =
        format_journal_seed(s->store_id, get_u64(file->bytes + JOURNAL_GENERATION));
    uint32_t offsets[SEAL_RECORDS_MAX];
    const unsigned count = seal_records(file, offsets);
    unsigned i;

    put_u32(file->bytes + JOURNAL_PREVIOUS, s->previous);
    put_u32(file->bytes + PAGE_CRC, crc32c(0, file->bytes, PAGE_CRC));
    for (i = 0; i < count; i++) {
        uint8_t *record = file->bytes + offsets[i];
        uint64_t lsn = first_lsn + (offsets[i] - FORMAT_PAGE);

        if (s->place) {
            put_u64(record + RECORD_LSN, lsn);
        }
        lsn = get_u64(record + RECORD_LSN);
        put_u32(record + RECORD_PREVIOUS, s->previous);
        put_u32(record + RECORD_BODY_CRC, seal_body(s, record));
        s->previous = crc32c(seed, record + 4, FORMAT_RECORD_HEADER_SIZE - 4);
        put_u32(record, s->previous);
        note_chain(s, lsn + seal_record_size(file, offsets[i]));
    }
}

/* The journal file with the least number not less than `from`. */
static struct store_file *next_journal(struct store_image *image, uint64_t from)
{
    struct store_file *best = NULL;
    unsigned i;

    for (i = 0; i < image->count; i++) {
        struct store_file *file = &image->files[i];

        if (file->kind == STORE_JOURNAL && file->size >= FORMAT_PAGE && file->number >= from &&
            memcmp(file->bytes, "TUSKJNL\n", 8) == 0 &&
            (best == NULL || file->number < best->number)) {
            best = file;
        }
    }
    return best;
}

void seal_store(struct store_image *image, bool place)
{
    struct sealing s = {.image = image, .place = place, .block_size = seal_block_size(image)};
    struct store_file *file = newest(image);
    unsigned i;

    if (file != NULL) {
        memcpy(s.store_id, file->bytes + STORE_ID, sizeof s.store_id);
    }
    for (i = 0; i < image->count; i++) {
        if (image->files[i].kind == STORE_SEGMENT) {
            seal_segment(&s, &image->files[i]);
        }
    }
    if (file != NULL) {
        seal_topics(&s, file);
    }
    for (file = next_journal(image, 0); file != NULL;
         file = file->number == UINT64_MAX ? NULL : next_journal(image, file->number + 1)) {
        if (file == next_journal(image, 0)) {
            s.previous = get_u32(file->bytes + JOURNAL_PREVIOUS);
        }
        seal_journal(&s, file);
    }
    for (i = 0; i < image->count; i++) {
        if (image->files[i].kind == STORE_MANIFEST && image->files[i].size >= FORMAT_PAGE) {
            seal_manifest(&image->files[i]);
        }
    }
}
