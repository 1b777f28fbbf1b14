/* Golden stores: small stores written once by a released format, kept as text, so that every later build is held to
 * reading them.
 *
 *     golden_generate ---> <name>.store (bytes, in hex) and <name>.values (what they mean)
 *     golden_test     ---> opens the bytes with the engine, and compares their meaning with the values
 *     upgrade_test    ---> the daemon serves them, and goes on with them
 *
 * A .store file has a line "file <path> <size>" for each file, then "<offset> <hex>" for each 32 bytes of it that
 * are not all zero. Both files are the generator's output, never edited. */
#ifndef TESTS_GOLDEN_GOLDEN_STORE_H
#define TESTS_GOLDEN_GOLDEN_STORE_H

#include <stdio.h>

#include "tests/sim/io_sim.h"

/* Write what the device holds, but the lock. */
void golden_dump(FILE *out, const struct sim_disk *disk);
/* Put a dump onto an empty disk. Anything wrong with it fails the test. */
void golden_load(FILE *in, struct sim_disk *disk);
/* The same through any io whose directory is empty: onto a real disk. */
void golden_copy(FILE *in, struct io *io);
/* Say, line by line, what the bytes of namespace "default" mean, by format.h. */
void golden_describe(FILE *out, const struct sim_disk *disk);

#endif
