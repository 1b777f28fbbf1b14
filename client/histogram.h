/* Counts of durations, log-linear: 16 steps to each power of two, so a value is known to
 * within 1/16 of itself from 1 nanosecond to 18 minutes. No allocation; a fixed 5 KiB. */
#ifndef CLIENT_HISTOGRAM_H
#define CLIENT_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS 16u
#define HISTOGRAM_BUCKETS (HISTOGRAM_STEPS * 38u)

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t sum;
    uint64_t max;
};

/* Zeroed memory is an empty histogram. */
void histogram_add(struct histogram *histogram, uint64_t value);
void histogram_merge(struct histogram *to, const struct histogram *from);
/* The smallest value that at least this share (0 to 1) of all values do not exceed, rounded up to
 * its step, never more than max; 0 when empty. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);

#endif
