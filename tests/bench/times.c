#include "tests/bench/times.h"

#include <stddef.h>

/* Below TIMES_STEPS a value is its own bucket; above, the highest bit says the power of two and the
 * bits behind it the step. */
static size_t bucket_of(uint64_t ns)
{
    unsigned power;
    size_t bucket;

    if (ns < TIMES_STEPS) {
        return (size_t)ns;
    }
    power = 63u - (unsigned)__builtin_clzll(ns) - TIMES_STEP_BITS;
    bucket = ((size_t)power << TIMES_STEP_BITS) + (size_t)(ns >> power);
    return bucket < TIMES_BUCKETS ? bucket : TIMES_BUCKETS - 1;
}

static uint64_t bucket_begin(size_t bucket)
{
    size_t power = bucket >> TIMES_STEP_BITS;

    if (power == 0) {
        return bucket;
    }
    return (uint64_t)(bucket - ((power - 1) << TIMES_STEP_BITS)) << (power - 1);
}

void times_add(struct times *times, uint64_t ns)
{
    times->counts[bucket_of(ns)]++;
    times->count++;
    times->max_ns = ns > times->max_ns ? ns : times->max_ns;
}

void times_merge(struct times *to, const struct times *from)
{
    size_t i;

    for (i = 0; i < TIMES_BUCKETS; i++) {
        to->counts[i] += from->counts[i];
    }
    to->count += from->count;
    to->max_ns = from->max_ns > to->max_ns ? from->max_ns : to->max_ns;
}

double times_us(const struct times *times, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)times->count);
    uint64_t seen = 0;
    size_t i;

    if (times->count == 0) {
        return 0;
    }
    for (i = 0; i < TIMES_BUCKETS; i++) {
        seen += times->counts[i];
        if (seen > wanted) {
            return (double)(bucket_begin(i) + bucket_begin(i + 1)) / 2e3;
        }
    }
    return (double)times->max_ns / 1e3;
}
