/* Where in a block a read begins: the hint of a sequential reader, the index in memory, the index
 * on disk, or the block's first batch. Anything before the wanted offset will do: what lies between
 * is passed. */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/namespace.h"
#include "core/read_state.h"
#include "core/seal.h"

/* ---- hints ---- */

#define HINTS 256u

struct read_hint {
    uint64_t generation;
    uint64_t offset;
    uint32_t position;
};

static uint32_t hint_slot(uint64_t generation, uint64_t offset)
{
    return (uint32_t)(((generation ^ offset) * 0x9e3779b97f4a7c15ull) >> 56) % HINTS;
}

void read_hint_put(struct namespace *ns, uint64_t generation, uint64_t offset, uint32_t position)
{
    CHECK(position >= FORMAT_BLOCK_DATA);
    if (ns->hints == NULL) {
        ns->hints = calloc(HINTS, sizeof *ns->hints);
        if (ns->hints == NULL) {
            return;
        }
    }
    ns->hints[hint_slot(generation, offset)] =
        (struct read_hint){.generation = generation, .offset = offset, .position = position};
}

uint32_t read_hint_get(const struct namespace *ns, uint64_t generation, uint64_t offset)
{
    const struct read_hint *hint;

    CHECK(ns != NULL);
    if (ns->hints == NULL) {
        return 0;
    }
    hint = &ns->hints[hint_slot(generation, offset)];
    return hint->generation == generation && hint->offset == offset ? hint->position : 0;
}

/* ---- beginning ---- */

static void begin_data(struct read_state *state, uint32_t position, uint64_t expected)
{
    CHECK(position >= FORMAT_BLOCK_DATA);
    CHECK(position <= state->limit);
    state->learning = false;
    free(state->page);
    state->page = NULL;
    state->phase = READ_DATA;
    state->at = position;
    state->have = 0;
    state->passed = 0;
    state->expected = expected;
    state->exact = true;
    state->want = read_chunk_size(state);
}

/* At the block's first batch. */
static void begin_first(struct read_state *state)
{
    CHECK(state->block.end >= FORMAT_BLOCK_DATA);
    CHECK(state->pinned);
    begin_data(state, FORMAT_BLOCK_DATA, state->block.first_offset);
    state->learning = true;
    state->entries = 0;
}

/* The last index entry at or before the offset. */
static void begin_by_index(struct read_state *state, const struct format_index_entry *entries,
                           uint32_t count)
{
    uint32_t low = 0;
    uint32_t high = count;

    CHECK(entries != NULL);
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;

        if (entries[middle].offset <= state->offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    CHECK(low == high);
    CHECK(low <= count);
    if (low == 0 || state->by_time || entries[low - 1].position >= state->limit ||
        entries[low - 1].position < FORMAT_BLOCK_DATA) {
        begin_first(state);
    } else {
        begin_data(state, entries[low - 1].position, entries[low - 1].offset);
        state->learning = true;
        state->entries = entries[low - 1].entries;
    }
}

static void seal_arrived(struct read_state *state)
{
    const struct format_block block = {.segment = state->block.segment_number,
                                       .index = state->block.index,
                                       .generation = state->block.generation,
                                       .block_size = state->ns->block_size};
    struct format_block own = block;

    CHECK(state->phase == READ_SEAL);
    CHECK(state->page != NULL);
    CHECK(state->have == FORMAT_PAGE);
    memcpy(own.store_id, state->ns->store_id, sizeof own.store_id);
    if (format_seal_decode(&state->seal, &own, state->page) != 0 ||
        !seal_fits(&state->seal, &state->block) || state->seal.index_count == 0) {
        begin_first(state);
        return;
    }
    CHECK(state->seal.index_count <= FORMAT_INDEX_MAX);
    state->phase = READ_INDEX;
    state->have = 0;
    state->want = FORMAT_PAGE;
}

static void index_arrived(struct read_state *state)
{
    struct format_index_entry entries[FORMAT_INDEX_MAX];

    CHECK(state->phase == READ_INDEX);
    CHECK(state->page != NULL);
    CHECK(state->have == FORMAT_PAGE);
    if (format_index_decode(entries, state->seal.index_count, state->seal.index_crc, state->page) !=
        0) {
        begin_first(state);
        return;
    }
    begin_by_index(state, entries, state->seal.index_count);
}

void read_begin_arrived(struct read_state *state)
{
    CHECK(state->phase == READ_SEAL || state->phase == READ_INDEX);
    CHECK(state->page != NULL);
    if (state->phase == READ_SEAL) {
        seal_arrived(state);
    } else {
        index_arrived(state);
    }
}

const struct block_index *read_index_in_memory(const struct read_state *state)
{
    const struct block *active = topic_active(state->topic);
    const struct block_index *index = NULL;

    CHECK(!state->topic->deleted);
    if (active != NULL && active->generation == state->block.generation) {
        return state->topic->index;
    }
    (void)seal_pending(state->ns, state->block.generation, &index);
    return index;
}

void read_begin(struct read_state *state)
{
    const struct block_index *index = read_index_in_memory(state);
    const uint32_t hint =
        state->by_time ? 0 : read_hint_get(state->ns, state->block.generation, state->offset);

    CHECK(state->pinned);
    CHECK(state->page == NULL);
    CHECK(state->limit >= FORMAT_BLOCK_DATA);
    if (hint >= FORMAT_BLOCK_DATA && hint < state->limit) {
        begin_data(state, hint & ~READ_HINT_INSIDE, state->offset);
        state->exact = (hint & READ_HINT_INSIDE) == 0;
    } else if (index != NULL) {
        begin_by_index(state, index->entries, index->count);
    } else if (state->block.sealed && !state->by_time &&
               (state->page = malloc(FORMAT_PAGE)) != NULL) {
        state->phase = READ_SEAL;
        state->have = 0;
        state->want = FORMAT_PAGE;
    } else {
        begin_first(state);
    }
}
