/* Which functions a daemon has gone through, and where it is to die: shared by kill_points.c and by
 * the daemon it starts.
 *
 * A place is a function and whether it is entered or left. Functions are known by where they are in the
 * program: the compiler puts each at a multiple of KILL_ALIGN. */
#ifndef TESTS_CRASH_KILL_TABLE_H
#define TESTS_CRASH_KILL_TABLE_H

#include <stdatomic.h>
#include <stdint.h>

#define KILL_ALIGN 16u
#define KILL_SLOTS (1u << 18) /* Functions within 4 MiB of code */
#define KILL_PLACES (2 * KILL_SLOTS)
/* The environment of the daemon names the file that holds the table. */
#define KILL_TABLE_VARIABLE "TUSK_KILL_TABLE"

/* place: 2 * slot when a function is entered, 2 * slot + 1 when it is left. */
struct kill_table {
    uint32_t place;                /* Where to die; */
    uint32_t hit;                  /* at which time of coming there; 0: live */
    atomic_uint hits[KILL_PLACES]; /* How often each was come to */
};

#endif
