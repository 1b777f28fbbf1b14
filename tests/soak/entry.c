#include "tests/soak/entry.h"

#include <string.h>

#include "tests/sim/random.h"

static uint64_t first_word(uint64_t serial, uint64_t offset)
{
    uint64_t seed = serial * UINT64_C(0x9e3779b97f4a7c15) + offset;

    return random_split(&seed);
}

size_t entry_size(uint64_t serial, uint64_t offset)
{
    const uint64_t word = first_word(serial, offset);

    return word % 2048 == 0 ? (word >> 11) % ENTRY_SIZE_MAX : (word >> 11) % 96;
}

/* The words of an entry, one after the other. */
static uint64_t next_word(uint64_t word)
{
    return word * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
}

void entry_make(uint64_t serial, uint64_t offset, uint8_t *out)
{
    uint64_t word = first_word(serial, offset);
    size_t left = entry_size(serial, offset);

    for (; left >= sizeof word; left -= sizeof word, out += sizeof word) {
        memcpy(out, &word, sizeof word);
        word = next_word(word);
    }
    memcpy(out, &word, left);
}

bool entry_matches(uint64_t serial, uint64_t offset, const void *data, size_t size)
{
    uint64_t word = first_word(serial, offset);
    const uint8_t *at = data;

    if (size != entry_size(serial, offset)) {
        return false;
    }
    for (; size >= sizeof word; size -= sizeof word, at += sizeof word) {
        if (memcmp(at, &word, sizeof word) != 0) {
            return false;
        }
        word = next_word(word);
    }
    return memcmp(at, &word, size) == 0;
}
