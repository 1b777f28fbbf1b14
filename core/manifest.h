/* Manifests: snapshots of the namespace's tables, so that old journal can go.
 *
 *     due ---> begin (R = end of this turn) ---> apply tails before R ---> save the tables, in
 *     slices ---> durable >= R, all segments synced ---> write, sync, rename, sync the directory
 *     ---> retire journal
 *
 * A manifest stands for one LSN, R. A topic that changes before its slice is saved is saved first
 * (manifest_touch()), so what is saved is exactly as of R while appends go on. The last two
 * manifests are kept, and the journal behind the older one. The file that is written is the
 * *spare*, whose space is held ready, so that a full disk does not stop manifests; the oldest
 * manifest becomes the next spare. */
#ifndef CORE_MANIFEST_H
#define CORE_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/format.h"
#include "core/io.h"
#include "core/syncs.h"

struct namespace;
struct topic;

#define MANIFEST_SLICE_BYTES (64u * 1024u) /* Saved per turn: well under a millisecond */
#define MANIFEST_WRITE_STEP (1024u * 1024u)

enum manifest_step {
    MANIFEST_IDLE,
    MANIFEST_APPLYING,
    MANIFEST_SAVING,
    MANIFEST_SYNCING_DATA,
    MANIFEST_WRITING,
    MANIFEST_SYNCING,
    MANIFEST_RENAMING,
    MANIFEST_SYNCING_DIR,
    MANIFEST_RECYCLING,
    MANIFEST_ALLOCATING
};

struct manifest {
    struct namespace *ns;
    enum manifest_step step;
    uint64_t next_number;  /* Of the next manifest; greater than any on disk */
    uint64_t number;       /* Of the newest on disk, when have_newest */
    uint64_t older_number; /* Of the one before, when have_older */
    uint64_t lsn;          /* R of the newest */
    uint64_t older_lsn;    /* R of the one before; equal while there is but one */
    bool have_newest;
    bool have_older;
    uint64_t size;  /* Of the newest, bytes */
    uint64_t epoch; /* Of the snapshot under way; topics saved have it in saved_epoch */
    struct format_manifest head; /* Of the snapshot under way */
    uint64_t ring_end;           /* Ring position at R: tails before it are applied first */
    uint8_t *body;               /* Owned; the snapshot's bytes, header page included */
    size_t body_size;
    size_t body_capacity;
    bool no_memory;
    struct topic *next_topic; /* To be saved next, in the order of topics_by_id */
    uint64_t topics_saved;
    uint64_t write_at;
    uint64_t spare_size;   /* Space held ready in the spare; 0: none */
    struct io_file *spare; /* Owned; open while there is one */
    struct io_op op;
    struct io_op *segment_ops; /* Owned while syncing */
    struct sync_watch sync_watch;
    uint64_t synced_ticket; /* What must have ended before the syncs of segments are believed */
    unsigned pending;
    int result;
    int os_error;
    bool requested;        /* Begin as soon as possible */
    uint64_t direct_bytes; /* Written directly since R */
    uint64_t retry_us;     /* After a failure for want of space */
    uint64_t appended_us;  /* Monotonic: last append */
    uint64_t taken;        /* Counter */
    char path[IO_PATH_SIZE];
    char path_to[IO_PATH_SIZE];
};

void manifest_init(struct manifest *manifest, struct namespace *ns);
void manifest_deinit(struct manifest *manifest);
/* A topic is about to change: if a snapshot is being saved and does not hold it yet, save it
 * now. */
void manifest_touch(struct topic *topic);
/* A topic leaves topics_by_id. Behind manifest_touch(). */
void manifest_forget(struct manifest *manifest, struct topic *topic);
/* Once a turn. */
void manifest_work(struct manifest *manifest, uint64_t mono_us);
uint64_t manifest_deadline(const struct manifest *manifest);
/* Write a manifest of the tables as they are, at the end of the journal, waiting for the disk:
 * everything must be applied, durable and synced. For a new namespace, for recovery, and for a
 * clean stop. On TUSK_ENOSPACE the older ones stand. */
int manifest_write_now(struct manifest *manifest, uint64_t wall_us, struct error *err);

/* See that the spare is there and holds space, waiting for the disk: before anything is served.
 * Best effort. */
void manifest_hold_space(struct manifest *manifest);

void manifest_path(const struct namespace *ns, char path[IO_PATH_SIZE], uint64_t number);
void manifest_spare_path(const struct namespace *ns, char path[IO_PATH_SIZE]);

#endif
