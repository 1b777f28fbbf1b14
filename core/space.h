/* Blocks as space: which segments exist, which of their blocks are free, how far each is reserved.
 *
 *     free ---> used (allocate record) ---> freeing (free record) ---> free again,
 *                                  once the record is durable and marked so, and nothing reads it
 *
 * *Reserved* up to a byte means fallocated and the segment synced since, so that a write there
 * cannot run out of space, in this run or in recovery. Reservation happens in steps, in the
 * background, ahead of need; what waits for it waits in its topic (append.h). Free blocks beyond a
 * small pool give their space back; a segment with no block in use is unlinked, but for one.
 * Segment numbers are never used twice. */
#ifndef CORE_SPACE_H
#define CORE_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/check.h"
#include "core/error.h"
#include "core/io.h"
#include "core/syncs.h"

struct namespace;
struct topic;

#define SPACE_STEP_FIRST (64u * 1024u)
#define SPACE_STEP_SECOND (1024u * 1024u)
#define SPACE_POOL 8u /* Free blocks that keep their space */

enum slot_state { SLOT_FREE, SLOT_USED, SLOT_FREEING };

struct slot {
    uint64_t free_lsn;   /* Ticket of the free record, while freeing */
    uint32_t reserved;   /* Bytes from the block's start that are reserved */
    uint32_t allocated;  /* fallocated, not yet synced, when > reserved */
    uint32_t covered;    /* What the sync under way makes reserved */
    uint32_t pins;       /* Reads under way, and ranges held */
    uint8_t state;       /* enum slot_state */
    bool extending;      /* An allocation is under way, or waits for its sync */
    bool punched;        /* Free and without space */
    bool shared;         /* A snapshot may share its bytes: free, it is punched before it is used */
    struct topic *topic; /* Who waits for the reservation; NULL: nobody any more */
};

struct segment {
    struct namespace *ns; /* Borrowed */
    uint64_t number;
    struct io_file *file; /* Owned */
    bool dirty;           /* Written since its last sync began */
    bool direct_dirty;    /* Written directly since its last sync began: `durable` needs that */
    bool unlinking;
    bool waits_sync; /* Blocks were allocated and wait for a sync of this segment */
    bool space_syncing;
    bool punching;
    uint32_t used;     /* Slots not free */
    struct io_op sync; /* Of reservations */
    struct sync_watch sync_watch;
    struct slot slots[];
};

struct space {
    struct namespace *ns;      /* Borrowed */
    struct segment **segments; /* Owned; in order of numbers */
    uint32_t count;
    uint32_t capacity;
    uint64_t next_segment;
    uint32_t full; /* Segments before this one have no free block */
    uint32_t free_count;
    uint32_t used_count;
    uint32_t freeing_count;
    uint32_t held_count; /* Of them, those that only wait for a reader, when last looked at */
    uint32_t direct_dirty_count; /* Segments with direct_dirty */
    uint32_t waits_sync_count;   /* Segments with waits_sync */
    uint64_t free_lsn_max;       /* Greatest ticket of a free record: durable marks must pass it */
    bool unpunched;              /* Free blocks may hold more space than the pool keeps */
    bool unpinned;      /* Somebody reads from a block no more: a quota may have waited for that */
    bool no_space;      /* The last new segment could not be made */
    uint64_t hungry_us; /* A block was wanted and not there: more are kept until then */
    uint64_t retry_us;
    bool creating;
    struct segment *made; /* Being created */
    struct io_op op;
    unsigned in_flight;  /* Operations under way, those of single blocks included */
    unsigned writebacks; /* Of them, writebacks */
    char path[IO_PATH_SIZE];
};

void space_init(struct space *space, struct namespace *ns);
/* Close all segments. Nothing may be under way. */
void space_deinit(struct space *space);

/* Add a segment whose file is open, all blocks free. TUSK_ENOMEM: the file is still the
 * caller's. */
int space_add(struct space *space, uint64_t number, struct io_file *file, struct segment **out);
/* NULL when there is none. */
struct segment *space_find(const struct space *space, uint64_t number);
/* Make a segment now, waiting for the disk (creating a namespace). */
int space_create_now(struct space *space, struct error *err);

/* Take a free block. 1: *segment and *index are it, now used; 0: none yet, one is being made;
 * TUSK_ENOSPACE. */
int space_take(struct space *space, struct segment **segment, uint16_t *index);
/* A free record with this ticket was put: the block is freeing. */
void space_free(struct space *space, struct segment *segment, uint16_t index, uint64_t ticket);
/* Take it back without a record: it was never allocated to a topic. */
void space_return(struct space *space, struct segment *segment, uint16_t index);
/* A slot of the segment has become free. */
void space_slot_freed(struct space *space, struct segment *segment);
/* Recovery: mark as used. */
void space_use(struct space *space, struct segment *segment, uint16_t index);

/* See that a block is reserved up to `want` bytes at least, more by the steps above. The topic is
 * made runnable when that is done or has failed (topic->space_error). */
void space_reserve(struct space *space, struct segment *segment, uint16_t index, uint32_t want,
                   struct topic *topic);
/* Sync the segments in which space was reserved since their last such sync. */
void space_sync_reservations(struct space *space);

/* Start writing part of a segment to the device, so that the sync of a manifest finds little left
 * and does not hold up the journal's. Only advice; bounded, and skipped when much is under way. */
void space_writeback(struct space *space, struct segment *segment, uint64_t offset, uint32_t size);
/* Background work: freed blocks become free, space goes back, segments are made ahead of need and
 * removed. */
void space_work(struct space *space, uint64_t mono_us);
/* Whether freeing blocks wait for a durable mark (the flusher then writes one). */
bool space_wants_mark(const struct space *space);
/* The disk failed while space was worked on: the namespace stops. Only the first failure counts. */
void space_fail(struct namespace *ns, int code, int os_error, const char *doing);
void space_path(const struct space *space, char path[IO_PATH_SIZE], uint64_t number);

/* A copy shares the bytes of the blocks in use: space they have is not theirs alone any more, and
 * writing it again would take more. */
void space_shared(struct space *space);

/* Whether some freed block waits for something else than who reads from it, which may take as long
 * as a client likes. */
static inline bool space_is_freeing(const struct space *space)
{
    return space->freeing_count > space->held_count;
}

/* Somebody reads from the block no more. */
static inline void space_unpin(struct space *space, struct segment *segment, uint16_t index)
{
    struct slot *slot = &segment->slots[index];

    CHECK(slot->pins > 0);
    slot->pins--;
    if (slot->pins == 0) {
        space->unpinned = true;
    }
    if (slot->pins == 0 && slot->state == SLOT_FREEING) {
        space->held_count = 0; /* Look again */
    }
}

/* The segment was written directly: the next sync takes it along. */
static inline void space_direct_dirty(struct space *space, struct segment *segment)
{
    space->direct_dirty_count += segment->direct_dirty ? 0u : 1u;
    segment->direct_dirty = true;
}

#endif
