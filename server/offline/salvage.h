/* salvage: what validates goes into a new store; the old one is only read.
 *
 *     OUT must not exist ---> OUT.salvage is made
 *         ---> each namespace: store_enter, rebuild (core/rebuild.h) ---> renamed to OUT
 *
 * Offsets, times, batch boundaries, topics, cursors and settings are kept; store id and incarnation
 * are new, so no client takes the copy for the original. The next offsets are those recovery would
 * go on with, so none is given twice. Damage becomes a gap, and is told. A namespace that recovery
 * refuses is taken in the best way there is, and that is told, too. */
#ifndef OFFLINE_SALVAGE_H
#define OFFLINE_SALVAGE_H

#include "server/offline/store.h"

struct salvage_counts {
    uint64_t topics;
    uint64_t cursors;
    uint64_t entries;
    uint64_t bytes;
    uint64_t healed; /* Batches that only the journal had */
    uint64_t lost;   /* Entries, as far as offsets tell */
    uint64_t losses; /* Ranges of them, and everything else that is not as it was */
};

struct salvage {
    struct store *store;
    struct offline_options *options;
    store_disk_fn *out_fn; /* Opens the new data directory */
    void *out_arg;
    uint64_t (*random)(void *arg);
    void *random_arg;
    uint64_t wall_us;
    const struct store_name *name;
    struct inspect_walk walk;
    uint64_t unreadable; /* Of the store, when the namespace was begun */
    struct salvage_counts counts;
};

/* Every namespace of an open store into an empty data directory. An exit status; salvage->counts is
 * the sum. */
int salvage_store(struct salvage *salvage);
/* salvage_topic.c: one topic, from the first of its blocks (an index in inspection->blocks, or
 * block_count). */
struct rebuild;
int salvage_topic(struct salvage *salvage, struct rebuild *rebuild, struct topic *topic,
                  uint32_t first_block, struct error *err);
/* Tell of something that is not as it was: topic may be NULL. */
void salvage_tell(struct salvage *salvage, const struct topic *topic, uint64_t from, uint64_t to,
                  const char *why);

#endif
