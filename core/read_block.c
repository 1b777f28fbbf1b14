/* Reading from a block, verifying every batch on the way.
 *
 * (1) Find where to begin (read_begin.c). (2) Get a chunk: what the page cache holds at once, the
 * rest by a submitted read. (3) Walk the batches: those before the wanted offset are passed, the
 * first wanted one is moved to the front of the buffer, and whole batches are taken as far as the
 * request's limits and the chunk go. A batch that does not validate is damage: its exact range of
 * offsets is found by looking for the next header that validates (nothing can imitate one). */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/namespace.h"
#include "core/read_state.h"
#include "core/tail.h"

enum walk { WALK_MORE, WALK_END, WALK_DONE };

static uint64_t block_base(const struct read_state *state)
{
    CHECK(state->block.index < state->ns->blocks_per_segment);
    return (uint64_t)state->block.index * state->ns->block_size;
}

void read_unpin(struct read_state *state)
{
    if (state->pinned) {
        CHECK(state->block.segment != NULL);
        state->pinned = false;
        space_unpin(&state->ns->space, state->block.segment, state->block.index);
    }
}

/* ---- getting bytes ---- */

static void fill_done(struct io_op *op)
{
    struct read_state *state = op->arg;

    CHECK(state->submitted);
    CHECK(op == &state->op);
    CHECK(state->ns->reads_in_flight > 0);
    state->submitted = false;
    state->io_result = op->result;
    state->ns->reads_in_flight--;
    if (state->ns->state != ENGINE_SERVING) {
        (void)read_refuse(state, TUSK_EIO, 0, 0, "%s", state->ns->reason);
        return;
    }
    if (state->topic->deleted) {
        (void)read_refuse(state, TUSK_ENOTFOUND, 0, 0, "the topic was deleted");
        return;
    }
    if (op->result == 0) {
        state->have += op->size;
    }
    if (read_block_go_on(state) == READ_AGAIN) {
        read_go(state);
    }
}

/* The last submitted read failed: try a page at a time, and take for zeros what the device does not
 * give. No batch validates over it but one that has zeros there, so the damage is found as any
 * other, and to the entry. */
static void give_up_page(struct read_state *state, uint8_t *data)
{
    CHECK(state->io_result != 0);
    CHECK(state->op.size <= state->want - state->have);
    state->io_result = 0;
    state->narrow = true;
    if (state->op.size <= FORMAT_PAGE) {
        memset(data + state->have, 0, state->op.size);
        state->have += state->op.size;
    }
}

/* How much to ask for when more could not be had: to the end of the page, or of the file. */
static uint32_t narrow_size(struct io_file *file, uint64_t offset, uint32_t left)
{
    const uint32_t page = FORMAT_PAGE - (uint32_t)(offset % FORMAT_PAGE);
    uint32_t size = page < left ? page : left;
    uint64_t end;

    CHECK(left > 0);
    CHECK(file != NULL);
    if (io_size(file, &end, NULL) == 0 && end < offset + size) {
        size = end > offset ? (uint32_t)(end - offset) : 0;
    }
    CHECK(size <= left);
    return size;
}

/* Fill data to `want` bytes from a block position. 1: there; 0: submitted. */
static int fill(struct read_state *state, uint8_t *data, uint32_t position)
{
    struct io_file *file = state->block.segment->file;

    CHECK(state->pinned);
    CHECK(!state->submitted);
    CHECK(data != NULL);
    if (state->io_result != 0) {
        give_up_page(state, data);
    }
    while (state->have < state->want) {
        const uint64_t offset = block_base(state) + position + state->have;
        const uint32_t left = state->want - state->have;
        const uint32_t size = state->narrow ? narrow_size(file, offset, left) : left;
        size_t got = 0;
        const int rc = io_read_cached(file, data + state->have, left, offset, &got);

        if (rc == 0 && got > 0) {
            state->have += (uint32_t)got;
            continue;
        }
        if (rc != TUSK_EBUSY || size == 0) {
            /* The file ends here, or its memory cannot be read. */
            memset(data + state->have, 0, left);
            state->have = state->want;
            break;
        }
        state->op = (struct io_op){.kind = IO_OP_READ,
                                   .file = file,
                                   .data = data + state->have,
                                   .offset = offset,
                                   .size = size,
                                   .done = fill_done,
                                   .arg = state};
        state->submitted = true;
        state->ns->reads_in_flight++;
        io_submit(state->ns->io, &state->op);
        return 0;
    }
    state->narrow = false;
    CHECK(state->have >= state->want);
    return 1;
}

/* ---- walking ---- */

static bool header_valid(const struct read_state *state, const uint8_t *bytes, uint32_t position,
                         struct batch_header *header)
{
    CHECK(position >= FORMAT_BLOCK_DATA);
    CHECK(position + BATCH_HEADER_SIZE <= state->limit);
    return batch_header_check(bytes, state->limit - position - BATCH_HEADER_SIZE, header) ==
               BATCH_GOOD &&
           header->header_crc == batch_header_crc(bytes, state->seed, position) &&
           header->first_offset >= state->block.first_offset &&
           header->first_offset <= state->block.end_offset &&
           header->entry_count <= state->block.end_offset - header->first_offset;
}

static bool wanted(const struct read_state *state, const struct batch_header *header)
{
    CHECK(header->entry_count > 0);
    return header->first_offset + header->entry_count > state->offset &&
           (!state->by_time || header->time_us >= state->time_us);
}

uint32_t read_chunk_size(const struct read_state *state)
{
    uint64_t size = (uint64_t)state->read->max_bytes + state->read->max_bytes / 8u + FORMAT_PAGE;

    CHECK(state->at <= state->limit);
    size = size < READ_CHUNK_MIN ? READ_CHUNK_MIN : size;
    size = size > READ_CHUNK_MAX ? READ_CHUNK_MAX : size;
    return size > state->limit - state->at ? state->limit - state->at : (uint32_t)size;
}

/* Move the window so that it begins `skip` bytes further, and ask for a chunk. */
static void move_window(struct read_state *state, uint32_t skip)
{
    CHECK(skip <= state->limit - state->at);
    if (skip >= state->have) {
        state->have = 0;
    } else {
        memmove(state->read->data, state->read->data + skip, state->have - skip);
        state->have -= skip;
    }
    state->at += skip;
    state->want = read_chunk_size(state);
    if (state->want < state->have) {
        state->have = state->want;
    }
    CHECK(state->have <= state->want);
}

/* What stands behind the batch passed last does not follow it: the next one may stand inside of it.
 * Of a batch that a crash cut off the header can be left where the one that took its place went
 * with an accepted loss, or with a write that the disk lost, and newer ones stand on its body. */
static void begin_scan(struct read_state *state, uint32_t at)
{
    CHECK(state->phase == READ_DATA);
    CHECK(state->passed <= state->at + at);
    state->learning = false; /* How many entries the damage has is not known */
    if (state->passed >= state->at) {
        at = state->passed - state->at;
    } else if (state->passed != 0) {
        state->at = state->passed; /* To be had again */
        state->have = 0;
        at = 0;
    }
    move_window(state, at);
    state->passed = 0;
    state->phase = READ_SCAN;
    state->scan = BATCH_ALIGN;
}

/* Take whole, valid batches from the front of the buffer, whose first one is wanted. */
static enum walk collect(struct read_state *state, uint32_t *size, uint64_t *from, uint64_t *to)
{
    const uint64_t end = topic_visible_end(state->topic);
    struct read_budget budget = {.bytes = state->read->max_bytes,
                                 .entries = state->read->max_entries};
    const uint8_t *data = state->read->data;
    struct batch_header header;
    uint32_t at = 0;

    CHECK(state->read->data != NULL);
    CHECK(state->phase == READ_DATA);
    *size = 0;
    *to = state->offset;
    while (at + BATCH_HEADER_SIZE <= state->have &&
           header_valid(state, data + at, state->at + at, &header) && header.first_offset < end &&
           (at == 0 || header.first_offset >= *to)) {
        const uint32_t padded = (uint32_t)batch_padded_size(header.stored_size);
        const uint64_t first = header.first_offset > *to ? header.first_offset : *to;
        uint64_t taken;

        if (padded > state->have - at) {
            if (at != 0) {
                break;
            }
            state->want = padded;
            return WALK_MORE;
        }
        if (batch_verify(data + at, padded, header.stored_size, &header) != BATCH_GOOD) {
            if (at != 0) {
                break;
            }
            state->expected = header.first_offset;
            *to = header.first_offset + header.entry_count;
            return WALK_DONE; /* Nothing taken: damage of exactly this batch */
        }
        taken = read_take(&budget, data + at, &header, first);
        if (taken == first) {
            break;
        }
        if (*size == 0) {
            *from = first;
        }
        *to = taken;
        at += padded;
        *size = at;
        if (taken < header.first_offset + header.entry_count) {
            read_hint_put(state->ns, state->block.generation, taken,
                          (state->at + at - padded) | READ_HINT_INSIDE);
            return WALK_DONE;
        }
    }
    if (*size == 0) {
        return WALK_END; /* No hint: a search by time may have passed entries behind *to */
    }
    read_hint_put(state->ns, state->block.generation, *to, state->at + at);
    return WALK_DONE;
}

/* What is passed need not be passed again: a restart forgets the index of the active block. */
static void learn(struct read_state *state, uint32_t position, const struct batch_header *header)
{
    const struct block *active = topic_active(state->topic);

    CHECK(position >= FORMAT_BLOCK_DATA);
    if (!state->learning) {
        return;
    }
    if (active == NULL || active->generation != state->block.generation) {
        state->learning = false;
        return;
    }
    topic_note_index(state->topic, format_index_interval(state->ns->block_size),
                     &(struct format_index_entry){.offset = header->first_offset,
                                                  .position = position,
                                                  .entries = state->entries});
    state->entries += header->entry_count;
}

/* Pass what is not wanted. WALK_DONE: the buffer begins with a batch that is wanted. */
static enum walk pass(struct read_state *state)
{
    struct batch_header header;
    uint32_t at = 0;

    CHECK(state->phase == READ_DATA);
    while (at + BATCH_HEADER_SIZE <= state->have) {
        const bool valid = header_valid(state, state->read->data + at, state->at + at, &header);
        const bool back = valid && state->exact && header.first_offset < state->expected;

        if (!valid || back || (state->passed != 0 && header.previous_crc != state->chain)) {
            state->passed = back ? 0 : state->passed;
            begin_scan(state, at);
            return WALK_MORE;
        }
        if (wanted(state, &header)) {
            if (at != 0) {
                move_window(state, at);
                /* Taken from what is here, unless that is less than the request asks for. */
                return state->have < state->want ? WALK_MORE : WALK_DONE;
            }
            return WALK_DONE;
        }
        learn(state, state->at + at, &header);
        state->passed = state->at + at;
        state->chain = header.header_crc;
        state->expected = header.first_offset + header.entry_count;
        state->exact = true;
        at += (uint32_t)batch_padded_size(header.stored_size);
    }
    if (state->at + at + BATCH_HEADER_SIZE > state->limit) {
        return WALK_END;
    }
    move_window(state, at);
    return WALK_MORE;
}

/* Behind damage at the front of the buffer: find the next valid header. WALK_DONE: it is where
 * state->scan says. */
static enum walk scan(struct read_state *state, struct batch_header *header)
{
    CHECK(state->phase == READ_SCAN);
    while (state->scan + BATCH_HEADER_SIZE <= state->have) {
        if (header_valid(state, state->read->data + state->scan, state->at + state->scan, header)) {
            return WALK_DONE;
        }
        state->scan += BATCH_ALIGN;
    }
    if (state->at + state->scan + BATCH_HEADER_SIZE > state->limit) {
        return WALK_END;
    }
    move_window(state, state->scan);
    state->scan = 0;
    return WALK_MORE;
}

/* ---- phases ---- */

static uint8_t *data_room(struct read_state *state)
{
    struct engine_read *read = state->read;

    CHECK(state->want > 0);
    read->data = read->room(read, state->have, state->want);
    return read->data;
}

static enum read_next damaged_to(struct read_state *state, uint64_t to)
{
    const uint64_t from = state->expected < state->offset ? state->expected : state->offset;

    CHECK(state->pinned);
    read_unpin(state);
    if (to <= state->offset) {
        to = state->offset + 1; /* An overlap cannot be: a range that says at least this one */
    }
    return read_damaged(state, from, to);
}

/* The block's valid bytes end without what is wanted: more may have been applied since, the tail
 * may have it, or the next block. */
static enum read_next block_ended(struct read_state *state)
{
    struct topic *topic = state->topic;
    const uint32_t at = topic_find_address(topic, state->block.segment_number, state->block.index,
                                           state->block.generation);
    const struct block *block = at < topic->block_count ? &topic->blocks[at] : NULL;
    const bool active = block != NULL && at + 1 == topic->block_count;
    const uint32_t limit = block == NULL ? 0 : active ? topic->tail_position : block->end;
    const uint64_t end = topic_visible_end(topic);
    uint64_t next;

    CHECK(state->pinned);
    CHECK(!state->submitted);
    read_unpin(state);
    if (block == NULL || limit > state->limit) {
        return READ_AGAIN; /* Trimmed, or applied, meanwhile */
    }
    if (active && topic->tail_bytes > 0) {
        return read_tail(state);
    }
    /* What is not visible yet is not passed: a reader that waits will want it. */
    next = block->end_offset < end ? block->end_offset : end;
    state->offset = state->offset > next ? state->offset : next;
    return READ_AGAIN;
}

static enum read_next data_phase(struct read_state *state)
{
    CHECK(state->pinned);
    CHECK(state->page == NULL);
    CHECK(state->phase == READ_DATA || state->phase == READ_SCAN);
    for (;;) {
        struct batch_header header;
        uint32_t size;
        uint64_t from = state->offset;
        uint64_t to;
        enum walk walk;
        int rc;

        if (state->want > 0 && data_room(state) == NULL) {
            return read_refuse(state, TUSK_ENOMEM, 0, 0, "make room for %u bytes", state->want);
        }
        rc = state->want == 0 ? 1 : fill(state, state->read->data, state->at);
        if (rc == 0) {
            return READ_WAIT;
        }
        if (state->phase == READ_SCAN) {
            walk = scan(state, &header);
            if (walk == WALK_END || (walk == WALK_DONE && header.first_offset > state->offset)) {
                return damaged_to(state,
                                  walk == WALK_END ? state->block.end_offset : header.first_offset);
            }
            if (walk == WALK_DONE) {
                state->phase = READ_DATA; /* The damage lies before what is wanted */
                state->expected = header.first_offset;
                move_window(state, state->scan);
            }
            continue;
        }
        walk = pass(state);
        if (walk == WALK_END) {
            return block_ended(state);
        }
        if (walk == WALK_MORE) {
            continue;
        }
        walk = collect(state, &size, &from, &to);
        if (walk == WALK_MORE) {
            continue;
        }
        if (walk == WALK_END) {
            return block_ended(state); /* Not visible yet */
        }
        if (size == 0) {
            return damaged_to(state, to);
        }
        return read_deliver(state, size, from, to, state->at, state->block.generation);
    }
}

enum read_next read_block_go_on(struct read_state *state)
{
    CHECK(state->pinned);
    CHECK(!state->submitted);
    while (state->phase == READ_SEAL || state->phase == READ_INDEX) {
        const uint32_t position =
            state->phase == READ_SEAL ? FORMAT_PAGE : format_block_limit(state->ns->block_size);
        const int rc = fill(state, state->page, position);

        if (rc == 0) {
            return READ_WAIT;
        }
        read_begin_arrived(state);
    }
    return data_phase(state);
}

enum read_next read_block(struct read_state *state, uint32_t at)
{
    struct topic *topic = state->topic;
    const struct block *block = &topic->blocks[at];
    const bool active = at + 1 == topic->block_count;
    struct batch_header tail = {.first_offset = block->end_offset};

    CHECK(at < topic->block_count);
    CHECK(!state->pinned);
    CHECK(block->segment != NULL);
    if (active && topic->tail_bytes > 0) {
        batch_header_decode(&tail,
                            ring_at(&state->ns->ring, topic->tail_first) + FORMAT_PLACE_SIZE);
        if (tail.first_offset <= state->offset) {
            return read_tail(state);
        }
    }
    state->block = *block;
    state->block.end_offset = tail.first_offset; /* Damage ends where the tail begins */
    state->pinned = true;
    state->block.segment->slots[block->index].pins++;
    state->seed = batch_seed(state->ns->store_id, block->generation);
    state->limit = active ? topic->tail_position : block->end;
    state->io_result = 0;
    if (read_range(state)) {
        return READ_FINISHED;
    }
    read_begin(state);
    return read_block_go_on(state);
}
