/* A namespace looked at, not opened: what recovery would find, without changing anything.
 *
 *     inspect_open ---> tables, history, blocks
 *                  ---> inspect_walk over each block ---> inspect_close
 *
 * Steps (1) to (3) of recovery (recovery.c) run as they are, on a disk that only reads
 * (io_readonly.h); so what is said of a store offline is what the daemon would decide. Behind them
 * stand the tables as of the history's end, the list of all blocks in use, and where the journal
 * holds batches that their blocks may not have. A namespace that recovery refuses can be looked at
 * in other ways (enum inspect_way), each of which knows less than the one before.
 *
 * One thread opens; then several may walk blocks at once, each with its own io and its own walk. */
#ifndef CORE_INSPECT_H
#define CORE_INSPECT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/block_walk.h"
#include "core/engine.h"
#include "core/format.h"
#include "core/recovery.h"

struct engine;

enum inspect_way {
    INSPECT_AS_IS,         /* As recovery opens it, or refuses to */
    INSPECT_ACCEPT_LOSS,   /* As --accept-loss opens it: damage of the journal is skipped */
    INSPECT_FROM_MANIFEST, /* Tables as of the manifest, for a journal that leads nowhere; its
                              batches count */
    INSPECT_FROM_BLOCKS,   /* Without a manifest: blocks say whose they are, the journal what it can
                            */
    INSPECT_LIVE /* Tables as of the manifest, while a daemon goes on: only sealed blocks stand
                    still */
};

/* A batch that the journal holds. */
struct inspect_ref {
    uint64_t lsn; /* Of its record */
    uint64_t first_offset;
    uint32_t block; /* Index in inspection.blocks */
    uint32_t position;
    uint32_t padded;
    uint32_t entry_count;
    uint32_t delta; /* Of the batch in its record */
    uint32_t crc;   /* Of the batch's header */
};

/* A run of batches that the journal tells of, and whose block no table knows and no block says it
 * is: the record that gave them the block went with a loss. Which topic they were of went with it.
 */
struct inspect_stray {
    uint64_t segment;
    uint32_t index;
    uint64_t from; /* Offsets [from, to) */
    uint64_t to;
    uint64_t entries;
};

struct inspect_block {
    struct topic *topic; /* Borrowed, as everything here */
    const struct block *block;
    uint32_t seed;
    /* The block itself holds its bytes up to here; behind, perhaps only the journal. 0: its end is
     * not known, because it was found by its own header. */
    uint32_t applied;
    uint64_t first_ref; /* In inspection.refs */
    uint64_t ref_count;
};

struct inspection {
    struct engine *engine; /* Owned; has options and io, and nothing is open in it */
    struct namespace *ns;  /* Owned; tables as of the end of the history */
    struct recovery recovery;
    struct error err;
    enum inspect_way way;
    bool thorough;
    bool clean;
    struct inspect_block *blocks; /* Owned; in order of topics, then of offsets */
    uint32_t block_count;
    struct inspect_ref *refs; /* Owned; in order of blocks and positions */
    uint64_t ref_count;
    uint64_t ref_capacity;
    struct inspect_stray *strays; /* Owned; in the order of the journal */
    uint64_t stray_count;
    uint64_t stray_capacity;
    uint32_t *by_address; /* Owned; indexes of blocks, in order of segments and indexes */
    uint32_t adopted;     /* Blocks found by their own headers */
    uint32_t renamed;     /* Topics that another topic's name was in the way of */
};

/* options: random is not used; finding and progress are; block_size and settings stand in where
 * nothing on disk says. On failure *out is NULL and *err says what recovery says: TUSK_ECORRUPT,
 * TUSK_EVERSION, TUSK_EIO, TUSK_ENOMEM, ... thorough: note every batch that the journal holds, not
 * only those that recovery would write to their blocks again: for taking what can be had. Memory:
 * the tables, and 40 bytes for each batch noted. */
int inspect_open(struct inspection **out, struct io *io, const struct engine_options *options,
                 const char *name, size_t size, enum inspect_way way, bool thorough,
                 struct error *err);
/* NULL allowed. */
void inspect_close(struct inspection *inspection);
/* For a namespace that goes on elsewhere: the next offsets and ids step over what may have been
 * issued, as after recovery. */
void inspect_settle(struct inspection *inspection);
/* Records between the older manifest and the one used: a damaged newest manifest would need them.
 * bad() is called for each place that is not a valid record following the one before. Does nothing
 * where there is no older manifest. */
typedef void inspect_bad_fn(void *arg, uint64_t lsn);
int inspect_check_older(struct inspection *inspection, inspect_bad_fn *bad, void *arg,
                        struct error *err);
/* The bytes and the header of a batch that the journal holds, read and verified again; borrowed
 * until the next call that reads the journal. TUSK_ECORRUPT: it is not there any more. TUSK_EIO,
 * TUSK_ENOMEM. */
int inspect_ref_bytes(struct inspection *inspection, const struct inspect_ref *ref,
                      const uint8_t **bytes, struct batch_header *header, struct error *err);

/* inspect_walk.c: what a block holds, with what the journal adds. */

enum inspect_kind {
    INSPECT_END,
    INSPECT_BATCH,   /* Valid, in the block */
    INSPECT_JOURNAL, /* Valid, in the journal only */
    INSPECT_LOST     /* Damage: what stood here is nowhere */
};

struct inspect_step {
    enum inspect_kind kind;
    uint32_t position;
    uint32_t size;
    enum batch_problem problem;    /* Of LOST */
    struct batch_header header;    /* Of BATCH; of LOST where only the body is bad */
    const uint8_t *bytes;          /* Of BATCH; borrowed until the next step */
    const struct inspect_ref *ref; /* Of JOURNAL */
    uint64_t from;                 /* Offsets [from, to) of any kind. LOST: none where from == to */
    uint64_t to;
    bool chain_broken; /* Of BATCH: it follows without a gap, and names another predecessor */
};

struct inspect_walk {
    const struct inspection *inspection;
    const struct inspect_block *block;
    struct block_walk walk;
    struct block_walk_step held; /* Read ahead, when is_held */
    bool is_held;
    uint64_t expected; /* The next offset, when nothing is missing */
    uint64_t next_ref;
    uint32_t last_crc;
    bool has_last;
};

/* file: of the block's segment, opened by the calling thread; NULL when it is missing: it is zeros
 * then. walk: zeroed, or used before. */
void inspect_walk_begin(struct inspect_walk *walk, const struct inspection *inspection,
                        const struct inspect_block *block, struct io_file *file);
int inspect_walk_next(struct inspect_walk *walk, struct inspect_step *step, struct error *err);
void inspect_walk_deinit(struct inspect_walk *walk);

/* inspect_blocks.c, for inspect.c: tables without a manifest; blocks that no table knows. */
int inspect_from_blocks(struct inspection *inspection);
int inspect_adopt_blocks(struct inspection *inspection);
/* inspect_journal.c, for inspect.c. */
int inspect_find_refs(struct inspection *inspection);

#endif
