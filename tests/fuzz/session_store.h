/* The store under fuzz_session: a simulated disk with a little in it, of which each session gets a copy. */
#ifndef TESTS_FUZZ_SESSION_STORE_H
#define TESTS_FUZZ_SESSION_STORE_H

#include <stdint.h>

struct engine;
struct io;
struct sim_disk;

struct session_store {
    struct sim_disk *disk; /* Owned */
    struct io *io;         /* Owned */
    struct engine *engine; /* Owned */
};

/* Make what is copied, once. */
void session_store_prepare(void);
void session_store_open(struct session_store *store, uint64_t now_us);
/* The process dies. The engine is gone. */
void session_store_kill(struct session_store *store);
/* Open it again, and read everything. */
void session_store_check(struct session_store *store, uint64_t now_us);
/* The disk. */
void session_store_free(struct session_store *store);

#endif
