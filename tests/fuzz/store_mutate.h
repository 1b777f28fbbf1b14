/* Changes to a store that mean something: to fields of records, manifests, blocks and batches, to their
 * order, and to the files themselves. Checksums are store_seal.h's business. */
#ifndef TESTS_FUZZ_STORE_MUTATE_H
#define TESTS_FUZZ_STORE_MUTATE_H

#include "tests/fuzz/store_image.h"
#include "tests/sim/random.h"

/* One change. The image has at least one file. */
void store_mutate(struct store_image *image, struct random *random);
/* As LLVMFuzzerCustomMutator(), for targets whose input is an image: a few changes, and mostly checksums that are right
 * again. */
size_t store_mutate_input(uint8_t *data, size_t size, size_t size_max, unsigned int seed);

#endif
