/* tusk verify and tusk salvage on whole stores: see offline_image.h for what must hold. The inputs are those of fuzz_store, and
 * two bits more of their first byte, for fuzzers that cannot mend checksums: make them right before looking. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/offline_image.h"
#include "tests/fuzz/store_mutate.h"
#include "tests/fuzz/store_seal.h"

#define WAY_SEAL 0x80u
#define WAY_PLACE 0x40u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store_image image;

    if (store_image_parse(&image, data, size)) {
        if ((image.way & WAY_SEAL) != 0) {
            seal_store(&image, (image.way & WAY_PLACE) != 0);
        }
        offline_dump_image(&image);
        offline_judge_image(&image);
        store_image_deinit(&image);
    }
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned int seed)
{
    return store_mutate_input(data, size, size_max, seed);
}
