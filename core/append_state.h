/* An append under way: what append.c, append_reserve.c and append_stage.c share.
 *
 *     engine_append ---> append_try_stage ---> staged ---> written, or durable ---> finished
 *                          ^       \---> parked in its topic (append.c)
 *                          \----------------/ when what it waits for has come */
#ifndef CORE_APPEND_STATE_H
#define CORE_APPEND_STATE_H

#include <stdint.h>

struct batch_header;
struct engine_append;
struct topic;

/* What the steps below return; or a negative TUSK_E*: refused. */
enum { STAGED_NOT_YET = 0, STAGED = 1 };

/* append_reserve.c */
/* Whether `count` offsets may be issued now; STAGED_NOT_YET: a run is on its way. Extends the run
 * ahead of need. TUSK_ETOOBIG: the topic has no offsets left. */
int append_have_offsets(struct topic *topic, uint32_t count);
/* STAGED: the active block has reserved room for a batch of `padded` bytes (it may be a new block,
 * its record put). STAGED_NOT_YET: it is being reserved. A reservation's error is returned once. */
int append_have_space(struct topic *topic, uint32_t padded);

/* append_stage.c */
/* Steps (3) to (6). STAGED: the batch has its offsets and the request waits for its watermark;
 * otherwise nothing of it was written, and the request is as it was. */
int append_try_stage(struct topic *topic, struct engine_append *append, const uint8_t *batch,
                     const struct batch_header *header);

#endif
