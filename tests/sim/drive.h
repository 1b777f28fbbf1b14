/* What the simulations have in common: many runs from seeds, in several processes; a failing one is
 * shrunk and printed.
 *
 *     drive_main:  options ---> jobs, each with every n-th seed ---> sums, and a hash of all
 *                             \-- one fails: shrunk in children, then it goes on behind that
 *
 * A run that fails ends its process; its report stays, in shared memory. Elsewhere: what a run is
 * (world.h, scene.h). */
#ifndef TESTS_SIM_DRIVE_H
#define TESTS_SIM_DRIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a run may not do, besides what its seed says: for replaying and shrinking. */
struct drive_limits {
    uint64_t seed;
    uint64_t requests_max; /* No more than this */
    bool no_faults;
    bool no_cuts;  /* Crashes only between turns */
    bool one_life; /* And one crash */
    bool verbose;
    bool scripted; /* Has the last of its script at hand, for when it fails */
    int kind;      /* -1: by the seed */
};

/* A program. Reports are added up by the program; each begins with its hash, a uint64_t. */
struct drive {
    const char *name;
    const char *count_option; /* What sets requests_max: "--requests" */
    const char *shrunk_to;    /* "requests" */
    uint64_t shrink_from;     /* More requests than a failure needs */
    size_t report_size;
    int kind_count;
    const char *(*kind_name)(int kind);
    /* Run one seed, and add to the report, its hash too. A broken promise ends the process. */
    void (*run)(const struct drive_limits *limits, void *report);
    void (*add)(void *sum, const void *part); /* All but the hash */
    void (*print)(const void *sum);           /* All but the hash */
};

/* The whole of main(). */
int drive_main(const struct drive *drive, int argc, char **argv);

#endif
