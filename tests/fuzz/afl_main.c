/* The main of a fuzz target under AFL++, in persistent mode: one process for a thousand inputs. */
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

__AFL_FUZZ_INIT();

/* Targets with a mutator of their own refer to libFuzzer's. AFL++ mutates by itself. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max)
{
    (void)data;
    (void)size_max;
    return size;
}

int main(void)
{
    const unsigned char *input;

    __AFL_INIT();
    input = __AFL_FUZZ_TESTCASE_BUF;
    while (__AFL_LOOP(1000)) {
        (void)LLVMFuzzerTestOneInput(input, (size_t)__AFL_FUZZ_TESTCASE_LEN); /* Always 0 */
    }
    return 0;
}
