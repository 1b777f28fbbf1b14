#include "client/histogram.h"

#include <stddef.h>

#define STEP_BITS 4u

/* Values below 2 * HISTOGRAM_STEPS have a bucket each; above, the top five bits choose. */
static uint32_t bucket_of(uint64_t value)
{
    uint32_t shift;
    uint32_t bucket;

    if (value < HISTOGRAM_STEPS) {
        return (uint32_t)value;
    }
    shift = 63u - (uint32_t)__builtin_clzll(value) - STEP_BITS;
    bucket = (shift + 1) * HISTOGRAM_STEPS + (uint32_t)(value >> shift) - HISTOGRAM_STEPS;
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The greatest value of a bucket. */
static uint64_t bucket_end(uint32_t bucket)
{
    uint32_t shift;

    if (bucket < HISTOGRAM_STEPS) {
        return bucket;
    }
    shift = bucket / HISTOGRAM_STEPS - 1;
    return ((uint64_t)(bucket % HISTOGRAM_STEPS + HISTOGRAM_STEPS + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->counts[bucket_of(value)]++;
    histogram->count++;
    histogram->sum += value;
    if (value > histogram->max) {
        histogram->max = value;
    }
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
    size_t i;

    for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
        to->counts[i] += from->counts[i];
    }
    to->count += from->count;
    to->sum += from->sum;
    if (from->max > to->max) {
        to->max = from->max;
    }
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->count + 0.999999);
    uint64_t seen = 0;
    uint32_t i;

    for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen >= wanted && seen > 0) {
            return bucket_end(i) < histogram->max ? bucket_end(i) : histogram->max;
        }
    }
    return histogram->max;
}
