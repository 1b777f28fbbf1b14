/* Seals: what a full block says of itself, on its page 1, and its sparse index, on its last page.
 *
 * Both are derived: recovery and readers do without them, only slower. A seal is written when every
 * byte of its block is on the device and the journal is durable past its last batch, which a
 * manifest has just seen to. */
#ifndef CORE_SEAL_H
#define CORE_SEAL_H

#include <stdbool.h>
#include <stdint.h>

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

#endif
