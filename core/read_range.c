/* A read answered with a part of a block that nobody has looked at: the caller sends it from the
 * page cache, or hands the file on, and its client checks every batch.
 *
 * Where such a part may begin and end is known without its bytes: at a note of the block's sparse
 * index, where the last read of a sequential reader ended, at the block's first batch, or behind
 * its last. Nothing here waits for the device and nothing is refused: whatever is not at hand
 * (bytes that are not in memory, an index that does not check out, a place between two notes) is
 * left to the read that looks at every batch. A wrong index can only lead to a part that does not
 * check out; the client then asks for one that was looked at. */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/namespace.h"
#include "core/read_state.h"
#include "core/seal.h"

/* The index of a sealed block, as it stands on disk. One is kept: a drain stays in its block. */
struct range_index {
    uint64_t generation;
    uint32_t count;
    struct format_index_entry entries[FORMAT_INDEX_MAX];
};

/* A place between two batches. */
struct boundary {
    uint64_t offset; /* Of the entry behind it */
    uint32_t position;
};

/* One page of the block, if it is in memory. */
static bool page_at(const struct read_state *state, uint32_t position, uint8_t page[FORMAT_PAGE])
{
    const uint64_t base = (uint64_t)state->block.index * state->ns->block_size;
    size_t got = 0;

    CHECK(position % FORMAT_PAGE == 0);
    CHECK(state->block.segment != NULL);
    return io_read_cached(state->block.segment->file, page, FORMAT_PAGE, base + position, &got) ==
               0 &&
           got == FORMAT_PAGE;
}

static bool load_index(const struct read_state *state, struct range_index *index)
{
    struct format_block own = {.segment = state->block.segment_number,
                               .index = state->block.index,
                               .generation = state->block.generation,
                               .block_size = state->ns->block_size};
    uint8_t page[FORMAT_PAGE];
    struct format_seal seal;

    CHECK(state->block.sealed);
    CHECK(index != NULL);
    index->generation = 0;
    memcpy(own.store_id, state->ns->store_id, sizeof own.store_id);
    if (!page_at(state, FORMAT_PAGE, page) || format_seal_decode(&seal, &own, page) != 0 ||
        !seal_fits(&seal, &state->block) || seal.index_count == 0 ||
        !page_at(state, format_block_limit(state->ns->block_size), page) ||
        format_index_decode(index->entries, seal.index_count, seal.index_crc, page) != 0) {
        return false;
    }
    CHECK(seal.index_count <= FORMAT_INDEX_MAX);
    index->generation = state->block.generation;
    index->count = seal.index_count;
    return true;
}

/* The notes of the block: of the index in memory, or of the one on disk. NULL: none to be had. */
static const struct format_index_entry *notes_of(const struct read_state *state, uint32_t *count)
{
    const struct block_index *memory = read_index_in_memory(state);
    struct namespace *ns = state->ns;
    struct range_index *kept;

    CHECK(state->pinned);
    CHECK(count != NULL);
    if (memory != NULL) {
        *count = memory->count;
        return memory->entries;
    }
    if (!state->block.sealed) {
        return NULL;
    }
    kept = ns->range_index != NULL ? ns->range_index : calloc(1, sizeof *kept);
    ns->range_index = kept;
    if (kept == NULL || (kept->generation != state->block.generation && !load_index(state, kept))) {
        return NULL;
    }
    *count = kept->count;
    return kept->entries;
}

/* How many notes are of an offset before this one. */
static uint32_t notes_before(const struct format_index_entry *notes, uint32_t count,
                             uint64_t offset)
{
    uint32_t low = 0;
    uint32_t high = count;

    CHECK(notes != NULL || count == 0);
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;

        if (notes[middle].offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    CHECK(low == high);
    return low;
}

/* Where the batch begins that has the wanted entry first. 0: not known. */
static uint32_t begin_at(const struct read_state *state, const struct format_index_entry *notes,
                         uint32_t count)
{
    const uint32_t hint = read_hint_get(state->ns, state->block.generation, state->offset);
    const uint32_t at = notes_before(notes, count, state->offset);

    CHECK(state->offset >= state->block.first_offset);
    CHECK(count == 0 || notes != NULL);
    if (at < count && notes[at].offset == state->offset) {
        return notes[at].position;
    }
    if (state->offset == state->block.first_offset) {
        return FORMAT_BLOCK_DATA;
    }
    return (hint & READ_HINT_INSIDE) == 0 ? hint : 0;
}

/* The last boundary that the request, the block and the readers' end allow. */
static struct boundary end_at(const struct read_state *state,
                              const struct format_index_entry *notes, uint32_t count,
                              uint32_t begin)
{
    const struct engine_read *read = state->read;
    const uint64_t visible = topic_visible_end(state->topic);
    const uint64_t bytes_max = state->ns->options->read_bytes_max;
    const uint64_t position_max =
        begin + (read->max_bytes < bytes_max ? read->max_bytes : bytes_max);
    const uint64_t offset_max =
        state->offset +
        (read->max_entries < visible - state->offset ? read->max_entries : visible - state->offset);
    uint32_t at = notes_before(notes, count, offset_max + 1);

    CHECK(visible > state->offset);
    CHECK(begin >= FORMAT_BLOCK_DATA);
    if (state->limit <= position_max && state->block.end_offset <= offset_max) {
        return (struct boundary){.offset = state->block.end_offset, .position = state->limit};
    }
    for (; at > 0; at--) {
        const struct format_index_entry *note = &notes[at - 1];

        if (note->position <= position_max && note->position <= state->limit) {
            return (struct boundary){.offset = note->offset, .position = note->position};
        }
    }
    return (struct boundary){0};
}

bool read_range(struct read_state *state)
{
    struct engine_read *read = state->read;
    const struct format_index_entry *notes;
    struct boundary end;
    uint32_t count = 0;
    uint32_t begin;
    uint64_t base;

    CHECK(state->pinned);
    CHECK(!state->submitted);
    if (!read->unchecked || read->consume || state->by_time || read->held != UINT64_MAX) {
        return false;
    }
    notes = notes_of(state, &count);
    if (notes == NULL) {
        return false;
    }
    begin = begin_at(state, notes, count);
    if (begin < FORMAT_BLOCK_DATA || begin % BATCH_ALIGN != 0) {
        return false;
    }
    end = end_at(state, notes, count, begin);
    if (end.offset <= state->offset || end.position % BATCH_ALIGN != 0 ||
        end.position < begin + state->ns->options->range_min) {
        return false;
    }
    base = (uint64_t)state->block.index * state->ns->block_size;
    if (!read->mapped &&
        !io_resident(state->block.segment->file, base + begin, end.position - begin)) {
        return false;
    }
    CHECK(end.position <= state->ns->block_size);
    read->range = (struct engine_range){.segment = state->block.segment,
                                        .slot = state->block.index,
                                        .offset = base + begin,
                                        .size = end.position - begin,
                                        .seen = !read->mapped};
    read->data = NULL;     /* Room that was made on the way here has nothing in it */
    state->pinned = false; /* The range holds the block from here on */
    read_hint_put(state->ns, state->block.generation, end.offset, end.position);
    state->ns->counters.range_reads++;
    (void)read_deliver(state, end.position - begin, state->offset, end.offset, begin,
                       state->block.generation);
    return true;
}

/* ---- ranges, as their holders use them ---- */

/* Bytes that have left memory since are asked for, and sent by a later call: the loop does not wait
 * for the device. (Between the look and the call they may still go; then it does.) */
int engine_range_send(struct engine_range *range, uint32_t from, int socket_fd, size_t *sent)
{
    struct io_file *file;
    int rc;

    CHECK(range->segment != NULL);
    CHECK(from < range->size);
    file = range->segment->file;
    *sent = 0;
    if (!range->seen && !io_resident(file, range->offset + from, range->size - from)) {
        io_read_ahead(file, range->offset + from, range->size - from);
        return TUSK_EBUSY;
    }
    rc = io_send(file, range->offset + from, range->size - from, socket_fd, sent);
    range->seen = rc == 0;
    return rc;
}

int engine_range_read(const struct engine_range *range, uint32_t from, uint8_t *data, size_t size,
                      size_t *got)
{
    CHECK(range->segment != NULL);
    CHECK(from < range->size);
    CHECK(size <= range->size - from);
    return io_read_cached(range->segment->file, data, size, range->offset + from, got);
}

void engine_range_place(const struct engine_range *range, struct engine_place *place)
{
    const struct namespace *ns;

    CHECK(range->segment != NULL);
    CHECK(place != NULL);
    ns = range->segment->ns;
    *place = (struct engine_place){
        .segment = range->segment->number,
        .segment_size = (uint64_t)ns->blocks_per_segment * ns->block_size,
        .block = (uint64_t)range->slot * ns->block_size,
    };
}

int engine_range_open(const struct engine_range *range, int *fd)
{
    CHECK(range->segment != NULL);
    CHECK(fd != NULL);
    return io_share(range->segment->file, fd);
}

void engine_range_release(struct engine_range *range)
{
    CHECK(range->segment != NULL);
    CHECK(range->segment->ns != NULL);
    space_unpin(&range->segment->ns->space, range->segment, range->slot);
    range->segment = NULL;
}
