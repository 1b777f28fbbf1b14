/* verify: everything of a store is read and held against everything else that speaks of it.
 *
 *     namespace ---> its history, by recovery's own judgement (store_enter)
 *               ---> manifests and the journal that would be needed if the newest manifest were
 * damaged
 *               ---> each block: whose it says it is, every batch, the tables, the seal, the index
 *
 * What is damaged is told with topic and offsets. What a crash tore at the end of the journal is
 * not damage, and told apart. Blocks are the work: a few threads, each with its own disk and one
 * window of memory. */
#ifndef OFFLINE_VERIFY_H
#define OFFLINE_VERIFY_H

#include <pthread.h>

#include "server/offline/crew.h"
#include "server/offline/store.h"

/* What is damaged; the names are part of the JSON. */
enum verify_damage {
    DAMAGE_ENTRIES, /* Entries that are gone: [from, to) */
    DAMAGE_SEGMENT, /* A segment file is missing: entries are gone */
    DAMAGE_TABLE,   /* Block and table contradict each other */
    DAMAGE_HEADER, /* Page 0 of a block: readers do without it, salvage without manifest does not */
    DAMAGE_SEAL,   /* Derived: readers do without it, slower */
    DAMAGE_INDEX,  /* The same */
    DAMAGE_MANIFEST, /* One of the two */
    DAMAGE_JOURNAL,  /* A record; or the namespace is refused */
    DAMAGE_KINDS
};

struct verify_counts {
    uint64_t bytes;
    uint64_t blocks;
    uint64_t batches;
    uint64_t entries;
    uint64_t damages[DAMAGE_KINDS];
    uint64_t lost; /* Entries, as far as their offsets tell */
};

struct verify_worker {
    struct io *disk;    /* Owned */
    struct io *lenient; /* Owned */
    struct inspect_walk walk;
    struct verify_counts counts;
    uint64_t unreadable;
    uint64_t file_number; /* Of `file` */
    struct io_file *file; /* Owned; the segment looked at last */
};

struct verify {
    struct store *store;
    struct offline_options *options;
    const struct store_name *name; /* Of the namespace */
    struct verify_worker workers[CREW_MAX];
    pthread_mutex_t lock; /* Of what follows, and of output */
    struct verify_counts counts;
    uint64_t suspects; /* Live: blocks to be looked at again */
};

/* Every namespace of an open store, with a summary. An exit status. */
int verify_store(struct store *store);
/* verify_block.c: one block, on a worker's thread. 0, TUSK_ECLOSED (interrupted), TUSK_ENOMEM, ...
 */
int verify_block(struct verify *verify, struct verify_worker *worker,
                 const struct inspect_block *inspected);
/* Tell of damage. block, topic: NULL where it is of none. Offsets only where from < to. */
struct verify_finding {
    enum verify_damage kind;
    const struct topic *topic;
    const struct block *block;
    uint32_t position; /* In the block, with size > 0 */
    uint32_t size;
    uint64_t from;
    uint64_t to;
    const char *why;
};
void verify_tell(struct verify *verify, const struct verify_finding *finding);

#endif
