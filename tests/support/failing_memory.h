/* Memory that runs out on demand, for a library whose allocations are renamed to engine_malloc() and the like (see
 * tests/exhaustive/CMakeLists.txt): so that only they are counted and fail, not the simulated disk's, nor the tests'. */
#ifndef TESTS_SUPPORT_FAILING_MEMORY_H
#define TESTS_SUPPORT_FAILING_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

struct failing_memory {
    uint64_t count; /* Of allocations so far */
    uint64_t nth;   /* This one fails; 0: none does */
    bool from_then_on;
    uint64_t failed;
    int64_t live; /* Allocated, and not freed */
};

extern struct failing_memory failing_memory;

/* Count from here; the nth fails. */
void failing_memory_begin(uint64_t nth, bool from_then_on);
/* None fails any more. Returns how many allocations there were. */
uint64_t failing_memory_end(void);

#endif
