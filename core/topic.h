/* A topic: its blocks, its tail, its cursors, and who waits for it.
 *
 *     create (record) ---> offsets run durable ---> appends, reads, trims ---> delete (record)
 *
 * Offsets of a topic lie in one order: first <= (written, durable, visible ends) <= next_offset <=
 * run_end. The last block is the active one: entries are appended to it; the others are full. Bytes
 * of the active block before tail_position are in the block; those behind are the tail, in the
 * ring.
 *
 * Elsewhere: which block files exist (space.h), what makes it durable (journal.h, flusher.h), what
 * survives (recovery.h). */
#ifndef CORE_TOPIC_H
#define CORE_TOPIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/engine.h"
#include "core/format.h"
#include "core/hash.h"
#include "core/list.h"

struct engine_append;
struct namespace;
struct segment;

struct block {
    struct segment *segment; /* Borrowed; NULL when its file is missing (damage) */
    uint64_t segment_number;
    uint64_t generation;
    uint64_t first_offset;
    uint64_t end_offset;   /* Behind its last entry */
    uint64_t last_time_us; /* Of its last batch */
    uint32_t end;          /* Bytes from the block's start behind its last batch */
    uint32_t entries;
    uint16_t index; /* In its segment */
    bool sealed;    /* Its seal is on disk (maybe not yet synced: it is derived) */
    bool headed;    /* Its page 0 has been written in this run or before */
};

/* The sparse index of the active block, and of full ones until sealed. */
struct block_index {
    uint64_t generation; /* Of the block it belongs to */
    uint32_t count;
    uint32_t capacity;
    struct format_index_entry entries[];
};

struct cursor {
    uint64_t id;
    uint64_t offset;              /* Where it stands */
    uint64_t epoch;               /* Counts seeks; starts at 1 */
    uint64_t recorded_offset;     /* As in its last journal record */
    uint64_t syncing_offset;      /* As covered by the sync in flight */
    uint64_t durable_offset;      /* As covered by the last sync: what reclaim may rely on */
    uint64_t ticket;              /* Of that record; 0: durable since before this run */
    uint64_t unrecorded_since_us; /* Monotonic; when offset left recorded_offset */
    struct topic *topic;          /* Borrowed */
    struct link dirty;            /* In namespace.dirty_cursors, or .syncing_cursors */
    struct link syncing;
    struct link unrecorded; /* In namespace.unrecorded_cursors */
    uint16_t name_size;
    char name[];
};

struct topic {
    UT_hash_handle by_name; /* namespace.topics_by_name */
    UT_hash_handle by_id;   /* namespace.topics_by_id */
    struct namespace *ns;   /* Borrowed */
    uint64_t id;
    uint64_t created_us;
    struct engine_retention_rule retention;

    uint64_t first;       /* First offset kept */
    uint64_t trim_ticket; /* Of the record that says so; 0: durable since before this run */
    uint64_t next_offset; /* Of the next entry staged */
    uint64_t written_end;
    uint64_t syncing_end; /* written_end when the sync in flight began */
    uint64_t durable_end;
    uint64_t shown_end;     /* Visible in a lazier schedule: does not hide again in schedule each */
    uint64_t shown_pending; /* Staged in it, and shown when written */

    uint64_t run_end;     /* Offsets before this are durably reserved: they may be issued */
    uint64_t run_pending; /* The end in the last run record; == run_end when that is durable */
    uint64_t run_ticket;  /* Of that record */
    uint64_t run_size;    /* Of the last extension */
    uint64_t run_time_us; /* Monotonic, of the last extension */

    uint64_t last_time_us; /* Of the last batch staged */
    uint32_t last_crc;     /* Its header checksum */

    struct block *blocks; /* Owned; in order of offsets */
    uint32_t block_count;
    uint32_t block_capacity;
    struct block_index *index; /* Owned; of the active block; NULL: none kept */
    uint32_t seed;             /* Header checksums of the active block begin with this */
    /* A block taken and being reserved for this topic, ahead of need */
    struct segment *next_segment;
    uint16_t next_index;

    uint64_t tail_first; /* Ring position of the tail's first item; valid when tail_bytes > 0 */
    uint64_t tail_last;  /* Of its last item */
    uint32_t tail_bytes;
    uint32_t tail_position; /* Bytes of the active block before this are in the block */
    uint64_t hint_offset;   /* A tail item whose first offset is this */
    uint64_t hint_position; /* stands here in the ring; 0: no hint */

    struct engine_append *waiting; /* FIFO of appends not yet staged */
    struct engine_append *waiting_last;
    struct link readers; /* struct read_state, parked at the end */

    struct link turn;     /* namespace.turn_topics: appended to in this turn */
    struct link dirty;    /* namespace.dirty_topics: written, not covered by a sync begun */
    struct link syncing;  /* namespace.syncing_topics */
    struct link tailed;   /* namespace.tailed_topics, in order of tail_first */
    struct link due;      /* namespace.due_topics: tail large enough to apply */
    struct link runnable; /* namespace.runnable_topics: waiting appends may go on */
    struct link stalled;  /* namespace.stalled_topics: has waiting appends */
    struct link running;  /* namespace.running_topics: a run record is not yet durable */

    struct cursor **cursors; /* Owned; in byte order of names */
    struct cursor **cursors_by_id;
    uint32_t cursor_count;
    uint32_t cursor_capacity;
    uint64_t next_cursor_id;

    uint64_t saved_epoch; /* Of the manifest under way that holds this topic already */
    uint32_t reads;       /* Read states that point here */
    bool deleted;         /* Gone for everybody; in the graveyard until nothing points here */
    /* Of its delete record: requests before it are answered when this is durable */
    uint64_t dead_ticket;
    struct topic *next_dead;
    bool space_needed; /* A batch waits for a reservation: its failure is the batch's */
    bool quota_waits;  /* And it cannot be had for the quota, when last tried */
    int space_error;   /* Why that reservation failed; 0: it did not */
    uint16_t name_size;
    char name[]; /* Not terminated */
};

/* In memory, in no namespace yet. NULL: no memory. */
struct topic *topic_new(struct namespace *ns, uint64_t id, const char *name, size_t name_size);
/* It must be in no list but `tailed`-like ones, which it leaves. */
void topic_free(struct topic *topic);

static inline struct block *topic_active(struct topic *topic)
{
    return topic->block_count == 0 ? NULL : &topic->blocks[topic->block_count - 1];
}

/* Make room for one more block: the next topic_add_block() cannot fail. TUSK_ENOMEM. */
int topic_block_room(struct topic *topic);
/* Add a block at the end and make it active. TUSK_ENOMEM: nothing changed. */
int topic_add_block(struct topic *topic, const struct block *block);
/* Forget the first `count` blocks. */
void topic_drop_blocks(struct topic *topic, uint32_t count);
/* Forget block number `at`; the active one may go, too. */
void topic_remove_block(struct topic *topic, uint32_t at);
/* The index of the first block that holds an offset >= `offset`, or block_count. */
uint32_t topic_find_block(const struct topic *topic, uint64_t offset);
/* The index of a block by address and generation, or block_count. */
uint32_t topic_find_address(const struct topic *topic, uint64_t segment, uint16_t index,
                            uint64_t generation);
/* Note a batch of the active block in its sparse index, in any order; batches nearer than
 * `interval` bytes to a noted one are left out. What lies before the first note is found by walking
 * from the block's start: after a restart an index may begin in the middle. Losing a note for want
 * of memory only makes reading slower. */
void topic_note_index(struct topic *topic, uint32_t interval,
                      const struct format_index_entry *entry);
/* Entries at or behind an offset. Whole blocks are counted; inside one block entries have no gaps
 * between but those of an unclean stop, and its part is bounded by what the block holds, so this
 * never exceeds the truth by a gap. */
uint64_t topic_entries_from(const struct topic *topic, uint64_t offset);
/* The end readers see: durable in schedule each, else written. */
uint64_t topic_visible_end(const struct topic *topic);
/* The retention rule that holds: its own or the namespace's. */
struct engine_retention_rule topic_retention(const struct topic *topic);

/* Cursors. */
struct cursor *topic_cursor_find(const struct topic *topic, const char *name, size_t size);
struct cursor *topic_cursor_by_id(const struct topic *topic, uint64_t id);
/* TUSK_ENOMEM: NULL. id must be greater than any before. */
struct cursor *topic_cursor_add(struct topic *topic, uint64_t id, const char *name, size_t size,
                                uint64_t offset, uint64_t epoch);
void topic_cursor_remove(struct topic *topic, struct cursor *cursor);
/* Index in cursors[] of the first whose name is behind (name, size), or count. NULL: 0. */
uint32_t topic_cursor_after(const struct topic *topic, const char *name, size_t size);
/* Least offset that a durable cursor still needs; UINT64_MAX without cursors. */
uint64_t topic_cursor_floor(const struct topic *topic);
/* Compare two names in byte order. */
int name_compare(const char *a, size_t a_size, const char *b, size_t b_size);

#endif
