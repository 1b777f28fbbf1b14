/* Tails: what is in the journal but not yet in its block, as a list of items in the ring.
 *
 * A tail lies in the topic's active block and is applied as a whole, with one write: when it has
 * reached tail_apply_bytes, when the ring needs its oldest part, when a direct write follows it,
 * when the block is full, and for a manifest. Applying only moves bytes from memory to the page
 * cache: the journal already holds them. */
#ifndef CORE_TAIL_H
#define CORE_TAIL_H

#include <stdint.h>

#include "core/error.h"

struct namespace;
struct topic;

#define TAIL_APPLY_TURN (256u * 1024u) /* Bytes applied per turn, but where the ring needs more */

/* An item (its ring position, the batch's padded size) was staged to the topic's active block. */
void tail_add(struct topic *topic, uint64_t item_position, uint32_t padded_size);
/* Write the tail to its block. 0, or the error that stops the namespace (ns->journal.failure is
 * set). */
int tail_apply(struct topic *topic);
/* Write the tail and, behind it, a batch whose header and body are given: one write. */
int tail_apply_direct(struct topic *topic, uint32_t position, const uint8_t *header,
                      const uint8_t *body, uint32_t body_size);
/* Forget the tail: its topic is gone, durably or with the namespace. */
void tail_drop(struct topic *topic);
/* See that `size` bytes can be put into the ring in one piece: apply the oldest tails, write the
 * oldest records. Returns an error only if the namespace stops. */
int tail_make_room(struct namespace *ns, uint64_t size);
/* Write page 0 of block number `at`. */
int tail_write_header(struct topic *topic, uint32_t at, struct error *err);
/* Once a turn: apply what is due, at most about TAIL_APPLY_TURN. */
void tail_work(struct namespace *ns);
/* Ring position of the oldest tail item, or the head. */
uint64_t tail_oldest(const struct namespace *ns);

#endif
