/* Power cuts at every I/O boundary of something that runs, with every subset of what is pending there. */
#ifndef TESTS_EXHAUSTIVE_CUTS_H
#define TESTS_EXHAUSTIVE_CUTS_H

#include "tests/exhaustive/exhaust.h"
#include "tests/exhaustive/promise.h"

#define CUTS_BOUNDARIES 512u
#define CUTS_IMAGES (1u << 18) /* Remembered of one unit */

/* The disk before an operation, and what was promised then. */
struct boundary {
    struct sim_disk *disk; /* Owned */
    struct promise p;
};

struct cuts {
    struct exhaust *x;
    const char *schedule;
    char sequence[8];
    const struct promise *p; /* As it changes */
    struct boundary *boundaries;
    unsigned count;
    uint64_t *images; /* Hashes of images judged, with what was promised; open addressing */
    uint64_t fsync_ms;
};

/* A fixture on a disk (owned from then on; NULL: a new one), with the options of all. */
struct fixture *cuts_fixture(struct sim_disk *disk);
/* From now on each operation that changes something is a boundary. */
void cuts_watch(struct cuts *cuts, struct fixture *f, const struct promise *p);
/* A boundary here. */
void cuts_take(struct cuts *cuts, const struct sim_disk *disk);
/* Cut at all of them, judge, and free them. */
void cuts_try(struct cuts *cuts);

#endif
