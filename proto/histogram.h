/* Counts of values, log-linear: 16 steps to each power of two, so a value is known to within 1/16
 * of itself up to 2^41 (of nanoseconds: 36 minutes; of microseconds: 25 days). Steps end at powers
 * of two and include them, so how many values are at most 2^k is known exactly. No allocation; a
 * fixed 5 KiB. */
#ifndef PROTO_HISTOGRAM_H
#define PROTO_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEP_BITS 4u
#define HISTOGRAM_STEPS (1u << HISTOGRAM_STEP_BITS)
#define HISTOGRAM_BUCKETS (HISTOGRAM_STEPS * 38u)
#define HISTOGRAM_EXPONENT_MAX 40u /* Values beyond 2^41 share the last step */

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t sum;
    uint64_t max;
};

/* Steps include their end: what is counted from 1 upwards is looked up as if it were from 0. Up to
 * HISTOGRAM_STEPS values have a bucket each (0 shares that of 1); above, the top five bits
 * choose. */
static inline uint32_t histogram_bucket(uint64_t value)
{
    const uint64_t from_0 = value > 0 ? value - 1 : 0;
    uint32_t shift;
    uint32_t bucket;

    if (from_0 < HISTOGRAM_STEPS) {
        return (uint32_t)from_0;
    }
    shift = 63u - (uint32_t)__builtin_clzll(from_0) - HISTOGRAM_STEP_BITS;
    bucket = (shift + 1) * HISTOGRAM_STEPS + (uint32_t)(from_0 >> shift) - HISTOGRAM_STEPS;
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* Zeroed memory is an empty histogram. Here, because it stands in the way of every request. */
static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->counts[histogram_bucket(value)]++;
    histogram->count++;
    histogram->sum += value;
    if (value > histogram->max) {
        histogram->max = value;
    }
}

void histogram_merge(struct histogram *to, const struct histogram *from);
/* The smallest value that at least this share (0 to 1) of all values do not exceed, rounded up to
 * its step, never more than max; 0 when empty. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);
/* How many values are at most 2^exponent; exponent is at most HISTOGRAM_EXPONENT_MAX. */
uint64_t histogram_at_most(const struct histogram *histogram, unsigned exponent);

#endif
