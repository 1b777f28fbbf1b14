/* The bytes of journal files, blocks and manifests: FORMAT.md says what they mean, format.c is the
 * only code with their offsets (a batch's are in proto/batch.c).
 *
 * Pure functions over memory. Decoding checks magic, version, flags and checksum, in this order of
 * trust: nothing is believed before the checksum matches, and a version or an incompatible flag
 * that is unknown under a *valid* checksum is TUSK_EVERSION, never "damaged". */
#ifndef CORE_FORMAT_H
#define CORE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/check.h"
#include "core/engine.h"
#include "proto/batch.h"

struct error;

#define FORMAT_VERSION 1u
#define FORMAT_MAGIC_SIZE 8u
#define FORMAT_MAGIC_JOURNAL "TUSKJNL\n"
#define FORMAT_MAGIC_BLOCK "TUSKBLK\n"
#define FORMAT_MAGIC_SEAL "TUSKSEA\n"
#define FORMAT_MAGIC_MANIFEST "TUSKMAN\n"
#define FORMAT_PAGE 4096u
/* LSNs and numbers of files stay below this, so that no sum of them wraps: 2^63 bytes of
 * journal. */
#define FORMAT_COUNTER_MAX (UINT64_C(1) << 63)
#define FORMAT_NAME_SIZE_MAX 255u
#define FORMAT_NONE UINT64_MAX

/* What a page claims to be, by its magic alone. */
enum format_page_kind {
    FORMAT_PAGE_OTHER,
    FORMAT_PAGE_JOURNAL,
    FORMAT_PAGE_BLOCK,
    FORMAT_PAGE_SEAL,
    FORMAT_PAGE_MANIFEST
};

enum format_page_kind format_page_kind(const uint8_t page[FORMAT_PAGE]);
/* The version and the incompatible flags it claims, for a sentence about another version. */
void format_page_version(const uint8_t page[FORMAT_PAGE], uint32_t *version, uint32_t *flags);

/* ---- journal files ---- */

struct format_journal {
    uint8_t store_id[ENGINE_STORE_ID_SIZE];
    uint64_t number;       /* Must equal the file's name */
    uint64_t size;         /* Of the file, this page included */
    uint64_t generation;   /* Random; seeds the records' header checksums */
    uint64_t first_lsn;    /* Of the record behind this page */
    uint64_t mark;         /* Durable mark when this was written */
    uint32_t previous_crc; /* Header checksum of the record before first_lsn; 0: none */
};

void format_journal_encode(uint8_t page[FORMAT_PAGE], const struct format_journal *header);
/* TUSK_ECORRUPT: no such header here. TUSK_EVERSION. */
int format_journal_decode(struct format_journal *header, const uint8_t page[FORMAT_PAGE]);

/* The fields of a header that does not check out, as they stand: to be believed only when a record
 * proves them. */
void format_journal_guess(struct format_journal *header, const uint8_t page[FORMAT_PAGE]);

#define FORMAT_RECORD_ALIGN 64u
#define FORMAT_RECORD_HEADER_SIZE 48u
#define FORMAT_PLACE_SIZE 16u

/* Types of journal records: FORMAT.md has the table of fields, of when each is written, and of what
 * recovery does with it. Numbers are never reused. */
enum format_record_type {
    RECORD_OPEN = 1,
    RECORD_BATCH = 2,
    RECORD_DIRECT = 3,
    RECORD_LARGE = 4, /* Reserved: refused by this version */
    RECORD_TOPIC_CREATE = 5,
    RECORD_TOPIC_SET = 6,
    RECORD_TOPIC_DELETE = 7,
    RECORD_NAMESPACE_SET = 8,
    RECORD_RUN = 9,
    RECORD_CURSOR_CREATE = 10,
    RECORD_CURSOR_CHECKPOINT = 11,
    RECORD_CURSOR_SEEK = 12,
    RECORD_CURSOR_DELETE = 13,
    RECORD_TRIM = 14,
    RECORD_BLOCK_ALLOCATE = 15,
    RECORD_BLOCK_FREE = 16,
    RECORD_MARK = 17,
    RECORD_FILLER = 18,
    RECORD_ACCEPTED_LOSS = 19,
    RECORD_CLEAN_CLOSE = 20,
    RECORD_STRETCH = 21,
    RECORD_TYPE_END
};

/* Flags of records. The upper byte is for what a reader must know to read on. */
#define FORMAT_FLAGS_INCOMPATIBLE 0xff00u

struct format_record_header {
    uint16_t type;
    uint16_t flags; /* FORMAT_FLAGS_INCOMPATIBLE: none is defined. The rest: see format_record */
    uint64_t lsn;
    uint32_t size; /* Header and body, before padding to FORMAT_RECORD_ALIGN */
    uint32_t body_crc;
    uint32_t previous_crc;
    uint64_t mark;
    uint32_t crc; /* Of this header, seeded */
};

/* What header checksums of one journal file begin with. */
uint32_t format_journal_seed(const uint8_t store_id[ENGINE_STORE_ID_SIZE], uint64_t generation);
/* Fills header->crc. */
void format_record_header_encode(uint8_t *bytes, struct format_record_header *header,
                                 uint32_t seed);
/* False: no record header of that lsn stands here. A scan tries every multiple of 64, and this is
 * the cheap part of it. */
bool format_record_could_be(const uint8_t *bytes, uint64_t lsn);
/* TUSK_ECORRUPT unless the checksum matches for lsn and the size is at least a header. The type may
 * be unknown. */
int format_record_header_decode(struct format_record_header *header, const uint8_t *bytes,
                                uint32_t seed, uint64_t lsn);
uint64_t format_record_padded(uint64_t size);

/* A record that is not BATCH or DIRECT: a fixed number of u64 fields, and a name for some. */
#define FORMAT_FIELDS_MAX 11
struct format_record {
    uint16_t type;
    uint8_t flags; /* Of a namespace set: enum engine_quota_policy. 0 for all others */
    uint64_t field[FORMAT_FIELDS_MAX];
    const char *name; /* Borrowed */
    uint16_t name_size;
};

/* Names of the fields of each type, as indexes into field[]. */
enum { OPEN_ORDINAL, OPEN_INCARNATION, OPEN_TIME, OPEN_CLEAN };
/* create; set: created 0 */
enum { TOPIC_ID, TOPIC_CREATED, TOPIC_RETENTION, TOPIC_AGE, TOPIC_BYTES };
enum { RUN_TOPIC, RUN_END };
enum { CURSOR_TOPIC, CURSOR_ID, CURSOR_OFFSET, CURSOR_EPOCH };
enum { TRIM_TOPIC, TRIM_FIRST };
enum {
    BLOCK_SEGMENT,
    BLOCK_INDEX,
    BLOCK_GENERATION,
    BLOCK_TOPIC,
    BLOCK_FIRST,
    BLOCK_PREVIOUS_SEGMENT,
    BLOCK_PREVIOUS_INDEX
};
enum { LOSS_FROM, LOSS_TO, LOSS_TIME };
/* Batches that follow each other in a block. First: of the first one's offsets; end: behind the
 * last one's; time: the last one's; the header checksums of the batch before, and of the last
 * one. */
enum {
    STRETCH_SEGMENT,
    STRETCH_INDEX,
    STRETCH_GENERATION,
    STRETCH_POSITION,
    STRETCH_SIZE,
    STRETCH_FIRST,
    STRETCH_END,
    STRETCH_ENTRIES,
    STRETCH_TIME,
    STRETCH_PREVIOUS_CRC,
    STRETCH_LAST_CRC
};

/* A policy as it was read; one that this version does not know refuses, as the first one did. */
static inline uint64_t format_quota_policy(uint64_t stored)
{
    CHECK(ENGINE_QUOTA_REJECT == 0);
    return stored <= ENGINE_QUOTA_WAIT ? stored : ENGINE_QUOTA_REJECT;
}

/* "batch", "topic create", ... or NULL for an unknown type. */
const char *format_record_name(uint16_t type);
/* Whether the body is items of place and batch (header) instead of fields. */
bool format_record_has_items(uint16_t type);
/* Bytes of header and body. */
uint32_t format_record_size(const struct format_record *record);
/* Write the body (behind the header's place) and return its checksum. */
uint32_t format_record_body_encode(uint8_t *record_bytes, const struct format_record *record);
/* Check the body's checksum and decode it: TUSK_ECORRUPT; TUSK_EVERSION for an unknown type. */
int format_record_body_decode(struct format_record *record,
                              const struct format_record_header *header,
                              const uint8_t *record_bytes);

/* Where a batch lies in a block. */
struct format_place {
    uint64_t segment;
    uint32_t position; /* Bytes from the block's start */
    uint16_t index;    /* Of the block in its segment */
};

void format_place_encode(uint8_t *bytes, const struct format_place *place);
void format_place_decode(struct format_place *place, const uint8_t *bytes);

/* Walk the items of a BATCH or DIRECT record. */
struct format_items {
    const uint8_t *at;
    const uint8_t *end;
    bool direct;
};

struct format_item {
    struct format_place place;
    const uint8_t *bytes; /* The batch header; in a BATCH record the body follows */
    struct batch_header header;
    uint64_t padded_size; /* Of the batch in its block */
};

/* The body checksum of a record of items: places and batch headers. size is the body's. */
uint32_t format_items_crc(uint16_t type, const uint8_t *body, uint64_t size);
/* Check sizes and the body checksum (which covers places and batch headers) of a record whose
 * header is valid. TUSK_ECORRUPT. */
int format_items_check(const struct format_record_header *header, const uint8_t *record_bytes);
void format_items_begin(struct format_items *items, const struct format_record_header *header,
                        const uint8_t *record_bytes);
/* 1: *item is filled; 0: no more. Only behind format_items_check(). */
int format_items_next(struct format_items *items, struct format_item *item);

/* ---- blocks ---- */

#define FORMAT_BLOCK_SIZE_MIN (8u * FORMAT_PAGE)
#define FORMAT_BLOCK_SIZE_MAX (1u << 30)
#define FORMAT_BLOCK_DATA (2u * FORMAT_PAGE) /* Where batches begin */
#define FORMAT_INDEX_ENTRY_SIZE 16u
#define FORMAT_INDEX_MAX (FORMAT_PAGE / FORMAT_INDEX_ENTRY_SIZE)

/* Where batches must end: the last page is the sparse index's. */
static inline uint32_t format_block_limit(uint32_t block_size)
{
    CHECK(block_size > FORMAT_PAGE);
    return block_size - FORMAT_PAGE;
}

/* Bytes between entries of a sparse index, at least: so that a full block has no more of them than
 * its page holds. */
static inline uint32_t format_index_interval(uint32_t block_size)
{
    const uint32_t interval =
        (format_block_limit(block_size) - FORMAT_BLOCK_DATA) / (FORMAT_INDEX_MAX / 2u);

    CHECK(block_size >= FORMAT_BLOCK_SIZE_MIN);
    return interval < FORMAT_PAGE ? FORMAT_PAGE : interval;
}

struct format_block {
    uint8_t store_id[ENGINE_STORE_ID_SIZE];
    uint32_t block_size;
    uint64_t segment;
    uint64_t index;
    uint64_t generation;
    uint64_t topic_id;
    uint64_t first_offset;
    uint64_t previous_segment; /* FORMAT_NONE: the topic's first block */
    uint64_t previous_index;
    const char *name; /* Borrowed from the page */
    uint16_t name_size;
};

/* What a sealed block says of itself. */
struct format_seal {
    uint32_t end; /* Behind the last batch */
    uint32_t index_count;
    uint32_t index_crc;
    uint32_t last_crc; /* Header checksum of the last batch */
    uint64_t next_offset;
    uint64_t entries;
    uint64_t last_time_us;
};

struct format_index_entry {
    uint64_t offset; /* First offset of the batch at position */
    uint32_t position;
    uint32_t entries; /* In the block before it */
};

void format_block_encode(uint8_t page[FORMAT_PAGE], const struct format_block *block);
int format_block_decode(struct format_block *block, const uint8_t page[FORMAT_PAGE]);
void format_seal_encode(uint8_t page[FORMAT_PAGE], const struct format_block *block,
                        const struct format_seal *seal);
/* TUSK_ECORRUPT also when the seal is of another block or generation. */
int format_seal_decode(struct format_seal *seal, const struct format_block *block,
                       const uint8_t page[FORMAT_PAGE]);
/* What a seal repeats of its block's page 0, whatever block that is; where page 0 is damaged. The
 * previous block is not among it. */
int format_seal_owner_decode(struct format_block *block, const uint8_t page[FORMAT_PAGE]);
/* Entries into a page (the rest zero); returns the checksum of the page. */
uint32_t format_index_encode(uint8_t page[FORMAT_PAGE], const struct format_index_entry *entries,
                             uint32_t count);
int format_index_decode(struct format_index_entry *entries, uint32_t count, uint32_t crc,
                        const uint8_t page[FORMAT_PAGE]);

/* ---- manifests ---- */

struct format_manifest {
    uint8_t store_id[ENGINE_STORE_ID_SIZE];
    uint64_t number; /* Must equal the file's name */
    uint64_t lsn;    /* R: the tables are exactly as of here */
    uint64_t mark;
    uint64_t time_us;
    uint64_t body_size;
    uint32_t body_crc;
    uint32_t chain_crc; /* Header checksum of the record before R; 0: none */
    uint32_t block_size;
    uint32_t blocks_per_segment;
    uint64_t next_topic_id;
    uint64_t next_segment;
    uint64_t incarnation_ordinal; /* Of the last open */
    uint64_t incarnation_count;   /* In the body */
    uint64_t topic_count;         /* In the body */
    struct engine_settings settings;
};

struct format_incarnation {
    uint64_t ordinal;
    uint64_t id;
    uint64_t time_us;
    uint64_t lsn; /* Of its open record */
};
#define FORMAT_INCARNATION_SIZE 32u

struct format_topic {
    uint64_t id;
    uint64_t created_us;
    struct engine_retention_rule retention;
    uint64_t first;       /* First offset kept */
    uint64_t next_offset; /* Of the next entry */
    uint64_t run_end;     /* Offsets before this may have been issued */
    uint64_t run_size;
    uint64_t last_time_us;
    uint64_t next_cursor_id;
    uint32_t last_crc; /* Header checksum of the last batch: the chain */
    uint32_t cursor_count;
    uint32_t block_count;
    const char *name; /* Borrowed */
    uint16_t name_size;
};

struct format_cursor {
    uint64_t id;
    uint64_t offset;
    uint64_t epoch;
    const char *name; /* Borrowed */
    uint16_t name_size;
};

struct format_topic_block {
    uint64_t segment;
    uint64_t generation;
    uint64_t first_offset;
    uint64_t end_offset;
    uint64_t last_time_us;
    uint32_t index;
    uint32_t end; /* Behind the last valid byte, from the block's start */
    uint32_t entries;
    uint32_t sealed; /* 0 or 1 */
};
#define FORMAT_TOPIC_BLOCK_SIZE 56u

void format_manifest_encode(uint8_t page[FORMAT_PAGE], const struct format_manifest *manifest);
int format_manifest_decode(struct format_manifest *manifest, const uint8_t page[FORMAT_PAGE]);
/* Body parts, in this order: incarnations, then per topic: the topic, its cursors, its blocks. Each
 * _encode returns the bytes written; each _decode takes from [*at, end) and moves *at, or
 * returns TUSK_ECORRUPT. */
size_t format_incarnation_encode(uint8_t *out, const struct format_incarnation *incarnation);
int format_incarnation_decode(struct format_incarnation *incarnation, const uint8_t **at,
                              const uint8_t *end);
#define FORMAT_TOPIC_SIZE_MAX (108u + FORMAT_NAME_SIZE_MAX)
size_t format_topic_encode(uint8_t *out, const struct format_topic *topic);
int format_topic_decode(struct format_topic *topic, const uint8_t **at, const uint8_t *end);
#define FORMAT_CURSOR_SIZE_MAX (26u + FORMAT_NAME_SIZE_MAX)
size_t format_cursor_encode(uint8_t *out, const struct format_cursor *cursor);
int format_cursor_decode(struct format_cursor *cursor, const uint8_t **at, const uint8_t *end);
size_t format_topic_block_encode(uint8_t *out, const struct format_topic_block *block);
int format_topic_block_decode(struct format_topic_block *block, const uint8_t **at,
                              const uint8_t *end);

/* ---- names of files ---- */

#define FORMAT_ENCODED_NAME_SIZE 256u
/* Percent-encode a namespace name for a directory: letters, digits, '_' and '-' stand for
 * themselves. False when the result is longer than 255 bytes. */
bool format_name_encode(char out[FORMAT_ENCODED_NAME_SIZE], const char *name, size_t size);
/* The reverse; returns the size, or 0 for what format_name_encode() never writes. out: 256
 * bytes. */
size_t format_name_decode(char *out, const char *encoded);
/* Parse "<16 hex digits><suffix>" behind a prefix; false for anything else. */
bool format_file_number(const char *file_name, const char *prefix, const char *suffix,
                        uint64_t *number);

#endif
