/* The batches of one block, in order, as the device holds them: for whoever looks at a store
 * offline.
 *
 *     begin ---> { next: a batch | a batch with a bad body | bytes that are none }* ---> end
 *
 * Readers stop at damage and tell its range (read_block.c); this goes on behind it. A header
 * checksum is seeded with store id, generation and position, so what validates is a batch of this
 * block and of this use of it, wherever the walk finds it, also behind the end that the tables
 * know. Nothing is trusted before its checksum. */
#ifndef CORE_BLOCK_WALK_H
#define CORE_BLOCK_WALK_H

#include <stdint.h>

#include "core/error.h"
#include "core/io.h"
#include "proto/batch.h"

enum block_walk_kind {
    BLOCK_WALK_END,      /* The walk has reached its end */
    BLOCK_WALK_BATCH,    /* A valid batch */
    BLOCK_WALK_BAD_BODY, /* A batch with a valid header, so its offsets are known, and a body that
                            fails; up to the next valid header, if that is inside of it */
    BLOCK_WALK_BAD       /* Bytes that are no batch, up to the next valid header or the end */
};

struct block_walk {
    struct io_file *file; /* Borrowed; NULL: missing, zeros */
    uint64_t base;        /* Of the block in the file */
    uint32_t seed;        /* Of its header checksums: batch_seed() */
    uint32_t position;    /* Where the next step begins, bytes from the block's start */
    uint32_t end;         /* Batches are looked for before this */
    uint64_t bytes_read;  /* For progress */
    uint8_t *window;      /* Owned; aligned */
    uint32_t capacity;
    uint32_t window_at; /* Position of its first byte */
    uint32_t window_size;
};

struct block_walk_step {
    enum block_walk_kind kind;
    uint32_t position;          /* Where it stands */
    uint32_t size;              /* Bytes up to what follows */
    enum batch_problem problem; /* Why it is none */
    struct batch_header header; /* Of BATCH and BAD_BODY */
    const uint8_t *bytes;       /* Of BATCH; borrowed until the next step */
};

/* Zeroed: no memory yet. The window is kept from block to block. */
void block_walk_begin(struct block_walk *walk, struct io_file *file, uint64_t base, uint32_t seed,
                      uint32_t from, uint32_t end);
void block_walk_deinit(struct block_walk *walk);
/* The next step. What lies behind the end of the file is zeros. TUSK_EIO (read through
 * io_readonly_open()'s zeros to go on), TUSK_ENOMEM. */
int block_walk_next(struct block_walk *walk, struct block_walk_step *step, struct error *err);
/* Go on at another position, a multiple of 16. */
void block_walk_seek(struct block_walk *walk, uint32_t position);

#endif
