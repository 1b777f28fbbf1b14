#include "proto/histogram.h"

#include <stddef.h>

/* The greatest value of a bucket. */
static uint64_t bucket_end(uint32_t bucket)
{
    uint32_t shift;

    if (bucket < HISTOGRAM_STEPS) {
        return bucket + 1;
    }
    shift = bucket / HISTOGRAM_STEPS - 1;
    return (uint64_t)(bucket % HISTOGRAM_STEPS + HISTOGRAM_STEPS + 1) << shift;
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

uint64_t histogram_at_most(const struct histogram *histogram, unsigned exponent)
{
    const uint32_t last = histogram_bucket(UINT64_C(1) << exponent);
    uint64_t count = 0;
    uint32_t i;

    for (i = 0; i <= last; i++) {
        count += histogram->counts[i];
    }
    return count;
}
