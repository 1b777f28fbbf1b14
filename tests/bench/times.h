/* Counts of durations, log-linear: 128 steps to each power of two, so that medians of two systems
 * can be told apart to within a hundredth. No allocation. */
#ifndef TESTS_BENCH_TIMES_H
#define TESTS_BENCH_TIMES_H

#include <stdint.h>

#define TIMES_STEP_BITS 7u
#define TIMES_STEPS (1u << TIMES_STEP_BITS)
#define TIMES_BUCKETS (TIMES_STEPS * 34u) /* Up to 18 minutes */

/* Zeroed memory is empty. */
struct times {
    uint64_t counts[TIMES_BUCKETS];
    uint64_t count;
    uint64_t max_ns;
};

void times_add(struct times *times, uint64_t ns);
void times_merge(struct times *to, const struct times *from);
/* What this share (0 to 1) of all does not exceed, in microseconds; 0 when empty. */
double times_us(const struct times *times, double share);

#endif
