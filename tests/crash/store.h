/* A store under test: a real daemon, the clients that load it, and their memory.
 *
 *     store_open ---> store_start ---> { store_load ---> the crash ---> store_unload
 *                 ---> store_start ---> store_judge }* ---> store_close
 *
 * The daemon's sizes (blocks, segments, journal) are drawn from the seed and small, so that a second
 * of load crosses many boundaries; its way to the disk is drawn for each start. */
#ifndef TESTS_CRASH_STORE_H
#define TESTS_CRASH_STORE_H

#include "tests/crash/client.h"
#include "tests/crash/judge.h"
#include "tests/sim/random.h"
#include "tests/support/daemon.h"

struct store {
    struct daemon daemon;
    struct model model;
    struct clients clients;
    struct random random;
    char dir[256];   /* Journals of the clients */
    char where[128]; /* For violations: which crash it is about */
    bool created;
    bool loaded;
    bool branches; /* Each start is of a state of its own: what one issues does not bind another */
    /* Sums over all judgements: */
    uint64_t acked;
    uint64_t lost;
    uint64_t entries;
};

/* data_dir: on the file system under test; NULL: where the daemon's socket is. position: of the
 * disk's log, or NULL. */
void store_open(struct store *store, uint64_t seed, const char *data_dir, const char *schedule,
                const atomic_ulong *position);
/* End the daemon if it runs, and remove everything unless something was violated. */
void store_close(struct store *store);
/* Start the daemon, and make the namespaces the first time. False: it did not start, which was
 * reported as a violation. */
bool store_start(struct store *store);
/* Only spawn it, as store_start() does. */
void store_spawn(struct store *store);
void store_load(struct store *store, uint32_t window, uint32_t pause_us);
void store_unload(struct store *store);
/* Hold the running daemon against the model; then settle it if told to. */
void store_judge(struct store *store, enum ending ending, uint64_t cut, bool settle);
/* The daemon dies and is back, and what that may not lose is there. False: it did not start. */
bool store_die(struct store *store);
/* Kill, start again, and expect to find exactly the same. */
void store_expect_same_again(struct store *store);
/* Each namespace takes a durable append, at an offset that was never issued. Changes no
 * settled batch. */
void store_expect_writable(struct store *store);
/* The last lines of the daemon's log, to standard output. */
void store_print_log(const struct store *store);
/* Kill the daemon if it runs. */
void store_kill(struct store *store);

#endif
