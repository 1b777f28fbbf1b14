/* What fuzz_store has found in the engine and is not mended yet. Inputs that meet it are left out, so
 * that the search goes on behind it; TUSK_FUZZ_KNOWN in the environment lets them in. Each has a
 * reproducer in tests/fuzz/findings; whoever mends one removes its rule here and moves the
 * reproducer to the corpus. */
#ifndef TESTS_FUZZ_STORE_KNOWN_H
#define TESTS_FUZZ_STORE_KNOWN_H

#include "tests/fuzz/store_image.h"

/* Which one the image meets; NULL: none. */
const char *store_known(struct store_image *image);

#endif
