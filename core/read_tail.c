/* Reading what is still in memory. */
#include <string.h>

#include "core/check.h"
#include "core/namespace.h"
#include "core/read_state.h"
#include "proto/bytes.h"

/* What of the tail is taken. */
struct taken {
    uint64_t first_item;
    uint64_t last_item;
    uint64_t items;
    uint64_t bytes;
    uint64_t to;
};

/* The first item that holds something wanted, or false. */
static bool find(const struct read_state *state, uint64_t *item, struct batch_header *header)
{
    const struct topic *topic = state->topic;
    const struct ring *ring = &state->ns->ring;
    const uint64_t end = topic_visible_end(topic);
    uint64_t position = topic->tail_first;

    CHECK(topic->tail_bytes > 0);
    CHECK(topic->tail_first <= ring->head);
    if (topic->hint_position != 0 && !state->by_time && topic->hint_offset <= state->offset) {
        position = topic->hint_position;
    }
    for (;;) {
        batch_header_decode(header, ring_at(ring, position) + FORMAT_PLACE_SIZE);
        if (header->first_offset >= end) {
            return false;
        }
        if (header->first_offset + header->entry_count > state->offset &&
            (!state->by_time || header->time_us >= state->time_us)) {
            *item = position;
            return true;
        }
        if (position == topic->tail_last) {
            return false;
        }
        position = *ring_link(ring, position);
    }
}

static void take(const struct read_state *state, uint64_t item, struct taken *taken)
{
    const struct topic *topic = state->topic;
    const struct ring *ring = &state->ns->ring;
    const uint64_t end = topic_visible_end(topic);
    struct read_budget budget = {.bytes = state->read->max_bytes,
                                 .entries = state->read->max_entries};
    uint64_t offset = state->offset;

    CHECK(state->read->max_bytes > 0);
    CHECK(state->read->max_entries > 0);
    *taken = (struct taken){.first_item = item, .to = offset};
    for (;;) {
        const uint8_t *batch = ring_at(ring, item) + FORMAT_PLACE_SIZE;
        struct batch_header header;
        uint64_t to;

        batch_header_decode(&header, batch);
        if (header.first_offset >= end) {
            return;
        }
        to = read_take(&budget, batch, &header, offset);
        if (to == (header.first_offset > offset ? header.first_offset : offset)) {
            return;
        }
        taken->last_item = item;
        taken->items++;
        taken->bytes += batch_padded_size(header.stored_size);
        taken->to = to;
        offset = to;
        if (to < header.first_offset + header.entry_count || item == topic->tail_last) {
            return;
        }
        item = *ring_link(ring, item);
    }
}

static bool copy(struct read_state *state, const struct taken *taken)
{
    const struct ring *ring = &state->ns->ring;
    struct engine_read *read = state->read;
    uint64_t item = taken->first_item;
    uint64_t used = 0;
    uint64_t i;

    CHECK(taken->items > 0);
    CHECK(taken->bytes <= UINT32_MAX);
    read->data = read->room(read, 0, taken->bytes);
    if (read->data == NULL) {
        return false;
    }
    for (i = 0; i < taken->items; i++) {
        const uint8_t *batch = ring_at(ring, item) + FORMAT_PLACE_SIZE;
        struct batch_header header;
        uint64_t size;

        batch_header_decode(&header, batch);
        size = batch_padded_size(header.stored_size);
        memcpy(read->data + used, batch, size);
        used += size;
        item = *ring_link(ring, item);
    }
    CHECK(used == taken->bytes);
    return true;
}

enum read_next read_tail(struct read_state *state)
{
    struct topic *topic = state->topic;
    struct batch_header header;
    struct taken taken;
    uint64_t item;
    uint64_t from;

    CHECK(!state->submitted);
    CHECK(topic_active(topic) != NULL);
    CHECK(topic->tail_bytes > 0);
    if (!find(state, &item, &header)) {
        state->offset = topic_visible_end(topic);
        return READ_AGAIN;
    }
    from = header.first_offset > state->offset ? header.first_offset : state->offset;
    state->by_time = false;
    state->offset = from;
    take(state, item, &taken);
    CHECK(taken.items > 0);
    if (!copy(state, &taken)) {
        return read_refuse(state, TUSK_ENOMEM, 0, 0, "make room for %llu bytes",
                           (unsigned long long)taken.bytes);
    }
    batch_header_decode(&header, ring_at(&state->ns->ring, taken.last_item) + FORMAT_PLACE_SIZE);
    topic->hint_offset = header.first_offset;
    topic->hint_position = taken.last_item;
    return read_deliver(state, (uint32_t)taken.bytes, from, taken.to,
                        get_u32(ring_at(&state->ns->ring, item) + 8),
                        topic_active(topic)->generation);
}
