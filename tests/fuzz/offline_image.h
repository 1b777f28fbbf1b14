/* The offline tools on the store of an image, on a simulated disk: what fuzz_dump and fuzz_offline do, and by which oracle. */
#ifndef TESTS_FUZZ_OFFLINE_IMAGE_H
#define TESTS_FUZZ_OFFLINE_IMAGE_H

#include "tests/fuzz/store_image.h"

/* Every file by itself, as text, as JSON, with entries. None changes anything. */
void offline_dump_image(const struct store_image *image);
/* verify: nothing is changed, and when it finds nothing, the engine opens the store. salvage: nothing is changed, and
 * what it has written is a store that the engine opens as after a clean stop, and verify finds sound. */
void offline_judge_image(const struct store_image *image);

#endif
