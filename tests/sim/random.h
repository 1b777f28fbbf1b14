/* A seeded stream of random numbers for tests: the same seed gives the same stream everywhere, so a
 * failure is repeated from the number it printed. The generator is xoshiro256** (Blackman and
 * Vigna), started through splitmix64 so that seeds 1, 2, 3 are unrelated. Not for secrets. */
#ifndef TESTS_SIM_RANDOM_H
#define TESTS_SIM_RANDOM_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct random {
    uint64_t state[4]; /* Never all zero */
};

/* One step of splitmix64; also a good way to derive a second seed from a first. */
static inline uint64_t random_split(uint64_t *seed)
{
    uint64_t mixed = (*seed += UINT64_C(0x9e3779b97f4a7c15));

    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

static inline void random_init(struct random *random, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++) {
        random->state[i] = random_split(&seed);
    }
}

static inline uint64_t random_rotate(uint64_t value, unsigned bits)
{
    return (value << bits) | (value >> (64 - bits));
}

static inline uint64_t random_u64(struct random *random)
{
    uint64_t *s = random->state;
    const uint64_t result = random_rotate(s[1] * 5, 7) * 9;
    const uint64_t shifted = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = random_rotate(s[3], 45);
    return result;
}

/* A number in [0, limit); 0 for limit 0. The bias of the modulo is of no weight in tests. */
static inline uint64_t random_below(struct random *random, uint64_t limit)
{
    return limit == 0 ? 0 : random_u64(random) % limit;
}

/* A number in [low, high]. */
static inline uint64_t random_between(struct random *random, uint64_t low, uint64_t high)
{
    return low + random_below(random, high - low + 1);
}

/* True percent times in a hundred. 0 and 100 draw nothing from the stream. */
static inline bool random_chance(struct random *random, unsigned percent)
{
    return percent >= 100 || (percent > 0 && random_below(random, 100) < percent);
}

static inline void random_fill(struct random *random, void *data, size_t size)
{
    struct random local =
        *random; /* In registers: data could be anything, the generator's state too */
    uint8_t *at = data;
    uint64_t word;

    for (; size >= sizeof word; at += sizeof word, size -= sizeof word) {
        word = htole64(random_u64(&local));
        memcpy(at, &word, sizeof word);
    }
    if (size > 0) {
        word = htole64(random_u64(&local));
        memcpy(at, &word, size);
    }
    *random = local;
}

#endif
