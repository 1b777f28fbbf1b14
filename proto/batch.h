/* A batch: 1..n entries that are stored together or not at all, in the same bytes
 * on the wire, in the journal and in a block. The bytes are specified in
 * core/FORMAT.md, "Batch"; batch.c is the only code with their offsets.
 *
 *     producer: batch_encode ---> wire ---> daemon: batch_verify, batch_complete
 *                                              |
 *     consumer: batch_verify, batch_entries <--+--> disk
 *
 * Two checksums with two owners. The *body checksum* is the producer's: it covers
 * the producer's header fields and the body, is verified by the daemon, stored, and
 * verified again by the consumer, so a bit flipped anywhere between them is seen. The
 * *header checksum* is the daemon's: seeded with store id, block generation and
 * position, so that a stale, misplaced or imitated batch does not validate.
 *
 * Pure functions over the caller's memory: nothing here allocates or keeps a pointer. */
#ifndef PROTO_BATCH_H
#define PROTO_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BATCH_HEADER_SIZE 64u
#define BATCH_ALIGN 16u     /* Batches start at multiples of this in a block and in a reply */
#define BATCH_MAGIC 0x4254u /* "TB" */
#define BATCH_VERSION 1u
#define BATCH_CODEC_NONE 0u
#define BATCH_CODEC_ZSTD 1u /* Reserved: refused by this version */
#define BATCH_STORE_ID_SIZE 16u

/* Presence bits. The lower half may be ignored by a reader that does not know a bit;
 * the upper half may not. None is accepted by this version. */
#define BATCH_FLAG_KEYS 0x00010000u
#define BATCH_FLAG_TOMBSTONES 0x00020000u
#define BATCH_FLAG_IDS 0x00040000u
#define BATCH_FLAG_TIMES 0x00080000u
#define BATCH_FLAG_ATTRIBUTES 0x00100000u
#define BATCH_FLAG_FRAGMENT 0x00200000u
#define BATCH_FLAG_ALIGNED 0x00400000u
#define BATCH_FLAGS_KNOWN 0u

/* The header's fields, decoded. */
struct batch_header {
    uint8_t version;
    uint8_t codec;
    uint32_t header_crc;
    uint64_t first_offset;      /* Offset of the first entry; 0 from a producer */
    uint64_t time_us;           /* Microseconds since 1970 (UTC); 0 from a producer */
    uint64_t producer_id;       /* 0: none */
    uint32_t producer_sequence; /* 0 without a producer id */
    uint32_t entry_count;       /* At least 1 */
    uint32_t stored_size;       /* Bytes of the body as stored */
    uint32_t raw_size;          /* Bytes of the body uncompressed */
    uint32_t body_crc;
    uint32_t previous_crc; /* header_crc of the topic's previous batch; 0: first */
    uint32_t flags;
};

/* One entry of a batch, inside the batch's bytes. */
struct batch_entry {
    const uint8_t *data; /* Borrowed from the batch; never NULL */
    uint32_t size;       /* May be 0 */
};

/* Walks the entries of a verified batch. */
struct batch_iterator {
    const uint8_t *lengths;
    const uint8_t *data;
    uint32_t left;
};

/* Why bytes are not a batch: the return value of the checks below, 0 when they are. */
enum batch_problem {
    BATCH_GOOD = 0,
    BATCH_SHORT, /* Fewer bytes than the header, or than the header says */
    BATCH_BAD_MAGIC,
    BATCH_BAD_VERSION, /* Newer, or 0 */
    BATCH_BAD_CODEC,
    BATCH_BAD_FLAGS,   /* An unknown incompatible bit, or reserved bytes not zero */
    BATCH_BAD_SIZES,   /* Sizes that contradict each other, or no entry */
    BATCH_BAD_LENGTHS, /* Entry lengths do not add up to the body */
    BATCH_BAD_BODY_CRC,
    BATCH_BAD_HEADER_CRC,
};

/* A sentence for an enum batch_problem, for an error message. */
const char *batch_problem_text(enum batch_problem problem);

/* Bytes that a batch with this header occupies, padded to BATCH_ALIGN. */
static inline uint64_t batch_padded_size(uint32_t stored_size)
{
    return ((uint64_t)BATCH_HEADER_SIZE + stored_size + BATCH_ALIGN - 1) &
           ~(uint64_t)(BATCH_ALIGN - 1);
}

/* Decode 64 bytes. Checks nothing: every value is possible afterwards. */
void batch_header_decode(struct batch_header *header, const uint8_t *bytes);
/* Encode into 64 bytes, as given, header_crc and body_crc included. */
void batch_header_encode(uint8_t *bytes, const struct batch_header *header);

/* Check what can be known from 64 header bytes alone: magic, version, codec, flags,
 * and that the sizes fit each other and are at most body_size_max. No checksum. */
enum batch_problem batch_header_check(const uint8_t *bytes, uint32_t body_size_max,
                                      struct batch_header *header);

/* Check a whole batch: batch_header_check(), then that size bytes hold it, that its
 * lengths add up, and the body checksum. size may exceed the batch (see
 * batch_padded_size()); it is never read beyond. On success *header is filled. */
enum batch_problem batch_verify(const uint8_t *bytes, size_t size, uint32_t body_size_max,
                                struct batch_header *header);

/* The body checksum of a batch whose body directly follows its header bytes. */
uint32_t batch_body_crc(const uint8_t *bytes, uint32_t stored_size);

/* What header checksums of one block begin with: store id and block generation. */
uint32_t batch_seed(const uint8_t store_id[BATCH_STORE_ID_SIZE], uint64_t generation);
/* The header checksum of 64 bytes at `position` (bytes from the block's start). */
uint32_t batch_header_crc(const uint8_t *bytes, uint32_t seed, uint32_t position);

/* Fill in what the daemon adds (offset, time, chain) and the header checksum, in place.
 * Leaves the producer's fields and the body checksum alone. Returns the header checksum. */
uint32_t batch_complete(uint8_t *bytes, uint64_t first_offset, uint64_t time_us,
                        uint32_t previous_crc, uint32_t seed, uint32_t position);

/* Begin at the first entry of a batch for which batch_verify() returned BATCH_GOOD. */
void batch_entries(struct batch_iterator *it, const uint8_t *bytes);
/* The next entry; false after the last. */
bool batch_next(struct batch_iterator *it, struct batch_entry *entry);

/* A producer's side. Bytes needed for count entries of `payload_size` bytes in all,
 * not padded; 0 if that does not fit 32 bits. count is at least 1. */
size_t batch_encoded_size(uint32_t count, uint64_t payload_size);
/* Encode count entries into out (batch_encoded_size() bytes, exactly) as a producer sends
 * them: offset, time, chain and header checksum zero, body checksum set. */
void batch_encode(uint8_t *out, const struct batch_entry *entries, uint32_t count);
/* Complete a batch built in place: 64 free bytes, count lengths, then payloads, all of
 * body_size bytes. Writes the header and the body checksum. For batching producers. */
void batch_finish(uint8_t *out, uint32_t count, uint32_t body_size);

#endif
