/* What a fuzz target is made of: libFuzzer's interface, and how a target says "wrong". */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The target: whatever the bytes are, it returns 0, or something is wrong. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Change data in place, within size_max; returns the new size. A target may have one. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned int seed);
/* The default mutation, for use inside a custom one. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);

#define REQUIRE(cond)                                                                              \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #cond);               \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
