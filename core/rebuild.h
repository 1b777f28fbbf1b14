/* A namespace filled with what another one held, offsets included: the writing side of salvage.
 *
 *     engine_open, engine_namespace_create ---> rebuild_begin
 *         ---> { rebuild_topic ---> rebuild_batch* ---> rebuild_cursor* ---> rebuild_topic_end }*
 *         ---> rebuild_finish ---> engine_stop
 *
 * Requests cannot do this: they give offsets, and leave no gaps. Here batches keep their offsets,
 * times and boundaries, topics and cursors their ids, and a topic its next offset; what is new are
 * the store id, and with it every header checksum and the chain. Batches go straight to blocks,
 * nothing but the open record to the journal, and two manifests in a row make it all count; so
 * until rebuild_finish() has returned, the namespace is an empty one. Between begin and finish no
 * request and no engine_poll(). Any failure is final: throw the directory away. */
#ifndef CORE_REBUILD_H
#define CORE_REBUILD_H

#include <stdint.h>

#include "core/error.h"
#include "core/topic.h"
#include "proto/batch.h"

struct namespace;

struct rebuild {
    struct namespace *ns; /* Borrowed */
    struct topic *topic;  /* Under way; in ns */
    uint8_t *buffer;      /* Owned; batches not yet written */
    uint32_t used;
    uint32_t position; /* In the active block, of the buffer's first byte */
};

/* ns: new, and nothing has been done with it. *rebuild: uninitialised. TUSK_ENOMEM. */
int rebuild_begin(struct rebuild *rebuild, struct namespace *ns, struct error *err);
/* Free what rebuild_begin() allocated. */
void rebuild_deinit(struct rebuild *rebuild);
/* A topic with the id, name, times, retention and first offset of this one. No other may have id or
 * name. */
int rebuild_topic(struct rebuild *rebuild, const struct topic *like, struct error *err);
/* The topic's next batch: as stored, verified by the caller; its offset is at or behind the end of
 * the one before. */
int rebuild_batch(struct rebuild *rebuild, const uint8_t *bytes, const struct batch_header *header,
                  struct error *err);
/* The topic is complete. Its next offset is next_offset, or behind its last entry where that is
 * more; its cursors are those of `like`. */
int rebuild_topic_end(struct rebuild *rebuild, const struct topic *like, uint64_t next_offset,
                      struct error *err);
/* All topics are. Ids from next_topic_id on are free, the settings are those given, and all of it
 * is durable. */
int rebuild_finish(struct rebuild *rebuild, uint64_t next_topic_id,
                   const struct engine_settings *settings, struct error *err);

#endif
