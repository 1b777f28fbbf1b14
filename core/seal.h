/* Seals: what a full block says of itself, on its page 1, and its sparse index, on its last page.
 *
 * Both are derived: recovery and readers do without them, only slower. A seal is written when every
 * byte of its block is on the device and the journal is durable past its last batch, which a
 * manifest has just seen to. */
#ifndef CORE_SEAL_H
#define CORE_SEAL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/check.h"
#include "core/format.h"
#include "core/topic.h"

struct block;
struct block_index;
struct namespace;
struct topic;

/* The topic's active block is full: keep what its seal needs, index included. Best effort. */
void seal_later(struct topic *topic);
/* A manifest synced all segments and the journal up to `lsn`: write the seals of blocks that were
 * full by then. */
void seal_write(struct namespace *ns, uint64_t lsn);
/* Keep what the seal of a full block needs: its last batch's header checksum, the LSN behind that
 * batch, and its index (moved on success; NULL: none). TUSK_ENOMEM. */
int seal_add(struct namespace *ns, const struct topic *topic, const struct block *block,
             uint32_t last_crc, uint64_t lsn, struct block_index *entries);
/* Whether a full block has its seal still to come; *index: its index meanwhile, or NULL; borrowed
 * until the next seal_write(). */
bool seal_pending(const struct namespace *ns, uint64_t generation,
                  const struct block_index **index);
/* Forget all. */
void seal_deinit(struct namespace *ns);

/* Whether a seal that checks out is the block's as it is known to be: one of the same use of the
 * block may be of an end that a crash took back. */
static inline bool seal_fits(const struct format_seal *seal, const struct block *block)
{
    CHECK(block->end >= FORMAT_BLOCK_DATA);
    return seal->end == block->end && seal->next_offset == block->end_offset &&
           seal->entries == block->entries;
}

#endif
