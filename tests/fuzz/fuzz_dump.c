/* tusk dump on single files: whatever their bytes are, each is described or refused with a sentence, in bounded time and
 * memory, and nothing is read beyond it or changed. The inputs are those of fuzz_store. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/offline_image.h"
#include "tests/fuzz/store_mutate.h"
#include "tests/fuzz/store_seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store_image image;

    if (store_image_parse(&image, data, size)) {
        offline_dump_image(&image);
        store_image_deinit(&image);
    }
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned int seed)
{
    return store_mutate_input(data, size, size_max, seed);
}
