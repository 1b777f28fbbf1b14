/* A read under way: what read.c, read_begin.c, read_block.c and read_tail.c share.
 *
 *     engine_read ---> read_go ---> tail, or block (cached, else a submitted read) ---> finished
 *                        ^  \--> parked at the end ---> woken by read_wake, or its time is up
 *                        \---------------/ */
#ifndef CORE_READ_STATE_H
#define CORE_READ_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/engine.h"
#include "core/io.h"
#include "core/topic.h"

#define READ_CHUNK_MIN (64u * 1024u)
#define READ_CHUNK_MAX (1024u * 1024u)

enum read_phase {
    READ_SEAL,  /* Page 1 of a full block into page */
    READ_INDEX, /* Its sparse index into page */
    READ_DATA,  /* Batches into the caller's buffer */
    READ_SCAN   /* The same, looking for the next valid batch behind damage */
};

struct read_state {
    struct engine_read *read; /* The caller's */
    struct namespace *ns;
    struct topic *topic; /* Counted in topic->reads */
    struct link parked;  /* topic->readers */
    struct link waiting; /* namespace.waiting_reads */
    uint64_t deadline_us;
    uint64_t offset;  /* The first entry wanted */
    uint64_t time_us; /* by_time: the first batch of this time or later is wanted */
    bool by_time;
    bool by_cursor;
    bool cancelled;
    uint64_t cursor_offset; /* Where it stood when the read was placed */
    uint64_t cursor_epoch;
    /* In a block: */
    enum read_phase phase;
    struct block block; /* A copy: the topic's array moves */
    bool pinned;
    uint32_t seed;
    uint32_t limit;    /* Valid bytes of the block end here */
    uint32_t at;       /* Position in the block of the buffer's first byte */
    uint32_t have;     /* Bytes in the buffer */
    uint32_t want;     /* Bytes to get into it */
    uint32_t scan;     /* READ_SCAN: where in the buffer to look next */
    uint32_t passed;   /* Position of the batch passed last; 0: none yet */
    uint32_t chain;    /* Checksum of its header */
    uint32_t entries;  /* Of the block before the next batch to pass; valid while learning */
    bool learning;     /* Batches passed are noted in the active block's index */
    uint64_t expected; /* First offset of the batch expected next */
    bool exact;        /* No batch from here on may begin before `expected` */
    struct format_seal seal;
    uint8_t *page; /* Owned, or NULL */
    struct io_op op;
    int io_result; /* Of the last submitted read */
    bool submitted;
    bool narrow; /* A submitted read failed: a page at a time from here */
    uint16_t cursor_size;
    char cursor[]; /* Its name, when by_cursor */
};

/* Where a read goes next. */
enum read_next {
    READ_WAIT,     /* A submitted read will go on with it */
    READ_FINISHED, /* The request is finished, the state gone */
    READ_AGAIN     /* Look again from state->offset */
};

/* Go on until finished, parked, or waiting for the disk. */
void read_go(struct read_state *state);
/* Begin in block number `at`; then go on. */
enum read_next read_block(struct read_state *state, uint32_t at);
enum read_next read_block_go_on(struct read_state *state);
/* The block may be used again, as far as this read is concerned. Allowed without one. */
void read_unpin(struct read_state *state);
/* Bytes to get at once from state->at on. */
uint32_t read_chunk_size(const struct read_state *state);
/* state is in a block: set where it begins, which may need the block's seal and index first (phases
 * READ_SEAL and READ_INDEX; read_begin_arrived() when the page asked for is there). */
void read_begin(struct read_state *state);
void read_begin_arrived(struct read_state *state);
/* The index in memory of the block: the topic's when it is the active one, the pending seal's
 * before that is written. NULL: neither. */
const struct block_index *read_index_in_memory(const struct read_state *state);
/* Try to finish with a range of the block; false: nothing has changed. */
bool read_range(struct read_state *state);
/* Try the tail; READ_AGAIN when nothing of it is wanted (state->offset is then the tail's end). */
enum read_next read_tail(struct read_state *state);
/* Entries of [offset, ...) in size bytes of whole, valid batches: finish the read with them. */
enum read_next read_deliver(struct read_state *state, uint32_t size, uint64_t from, uint64_t to,
                            uint32_t position, uint64_t generation);
enum read_next read_refuse(struct read_state *state, int code, uint64_t a, uint64_t b,
                           const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Offsets [from, to) cannot be read: skip them, or refuse with them. */
enum read_next read_damaged(struct read_state *state, uint64_t from, uint64_t to);

/* How much of one batch is taken. */
struct read_budget {
    uint64_t bytes;
    uint64_t entries;
    bool started; /* Something is taken already */
};
/* The offset behind the last entry of the batch that the budget allows, from `offset` on; the
 * batch's first offset (or `offset`) when nothing more fits. */
uint64_t read_take(struct read_budget *budget, const uint8_t *batch,
                   const struct batch_header *header, uint64_t offset);

/* Where a sequential reader goes on: a small cache, wrong entries harmless. The position is that of
 * the next batch, or, with READ_HINT_INSIDE, of the batch that has the offset inside. */
#define READ_HINT_INSIDE 1u
void read_hint_put(struct namespace *ns, uint64_t generation, uint64_t offset, uint32_t position);
/* 0: none. */
uint32_t read_hint_get(const struct namespace *ns, uint64_t generation, uint64_t offset);

#endif
