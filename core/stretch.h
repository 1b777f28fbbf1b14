/* Stretches: what one topic got in a turn, written straight to its block.
 *
 * While a batch record is built (journal.h), the journal keeps count of what it holds as long as
 * that is batches of one topic, one behind the other in one block. When the record is closed and
 * they have reached the threshold of direct writes, they go to the block from the ring, and the
 * journal gets a stretch record of a fixed size instead: where they lie, and the chain of header
 * checksums they begin and end with. So a busy topic's bytes are written once, and its part of the
 * ring is used again at once, while the processor still has it in its cache. */
#ifndef CORE_STRETCH_H
#define CORE_STRETCH_H

#include <stdbool.h>
#include <stdint.h>

struct batch_header;
struct format_record;
struct namespace;
struct topic;

struct stretch {
    struct topic *topic; /* NULL: the record holds something else, too */
    uint32_t position;   /* In the topic's active block */
    uint32_t bytes;
    uint32_t batches;
    uint32_t previous_crc; /* Header checksum of the batch before */
    uint64_t entries;
    uint64_t first_offset;
};

/* A record of batches begins: nothing is in it. */
void stretch_begin(struct stretch *stretch);
/* The topic's next batch is about to be staged into the open record: its place, offset and chain
 * are still those the topic will give it. */
void stretch_add(struct stretch *stretch, struct topic *topic, uint32_t padded, uint32_t entries);
/* The record is closed. True: everything in it was written to its block, with the topic's tail, and
 * *record is to stand in the journal instead. False: it stays as it is (or the write failed, which
 * ns->journal.failure says). */
bool stretch_end(struct stretch *stretch, struct namespace *ns, struct format_record *record);

#endif
