/* A small store to be damaged anywhere, and the judge of what becomes of it: whatever was damaged, the namespace is refused with
 * a reason or serves; what it serves is exactly what was appended; what is missing is told, or was not yet known to be durable
 * to the journal (FORMAT.md: damage behind the mark looks like a tear); and only the blocks that were hit miss anything. */
#ifndef TESTS_SUPPORT_DAMAGED_STORE_H
#define TESTS_SUPPORT_DAMAGED_STORE_H

#include "tests/support/engine_fixture.h"

#define DAMAGED_FILES_MAX 32u
#define DAMAGED_BLOCKS_MAX 64u
#define DAMAGED_LOGS 2u

/* A block in use, as its first page says. */
struct damaged_block {
    unsigned file;
    uint64_t start; /* In the file */
    unsigned log;   /* Whose it is */
    uint64_t first; /* Its offsets, */
    uint64_t end;   /* up to the next block's */
};

struct damaged_store {
    struct sim_disk *disk; /* Owned: what a crash left, with everything durable */
    struct fixture_log logs[DAMAGED_LOGS];
    uint64_t ends[DAMAGED_LOGS]; /* Where the topics end */
    char paths[DAMAGED_FILES_MAX][IO_PATH_SIZE];
    uint64_t sizes[DAMAGED_FILES_MAX]; /* Of all, */
    uint64_t used[DAMAGED_FILES_MAX];  /* and up to the last byte that is not zero */
    unsigned files;
    struct damaged_block blocks[DAMAGED_BLOCKS_MAX];
    unsigned block_count;
    uint64_t refused; /* By damaged_store_judge() */
    uint64_t lost;    /* Served, and entries are missing without a word */
    uint64_t told;    /* Served, and entries are told to be damaged */
};

/* The same store every time. */
void damaged_store_make(struct damaged_store *store);
void damaged_store_free(struct damaged_store *store);
/* A fixture, closed, on a copy of the store's disk; damage it. */
struct fixture *damaged_store_copy(const struct damaged_store *store);
/* Open it and look at everything; bytes [from, to) of the file are what was damaged. */
void damaged_store_judge(struct damaged_store *store, struct fixture *f, unsigned file,
                         uint64_t from, uint64_t to);

#endif
