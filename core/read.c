/* Reads: from a position to whole stored batches. See read_state.h for the life of one. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/namespace.h"
#include "core/read_state.h"
#include "proto/bytes.h"

/* ---- ends ---- */

static void state_free(struct read_state *state)
{
    struct topic *topic = state->topic;

    link_remove(&state->parked);
    link_remove(&state->waiting);
    read_unpin(state);
    if (topic != NULL) {
        CHECK(topic->reads > 0);
        topic->reads--;
    }
    state->read->state = NULL;
    free(state->page);
    free(state);
}

enum read_next read_refuse(struct read_state *state, int code, uint64_t a, uint64_t b,
                           const char *format, ...)
{
    struct engine_read *read = state->read;
    struct namespace *ns = state->ns;
    char text[ERROR_TEXT_SIZE];
    va_list args;

    CHECK(code < 0);
    CHECK(read->state == state);
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    read->data_size = 0;
    read->base.detail_a = a;
    read->base.detail_b = b;
    state_free(state);
    request_fail(ns, &read->base, code, "%s", text);
    return READ_FINISHED;
}

enum read_next read_damaged(struct read_state *state, uint64_t from, uint64_t to)
{
    struct engine_read *read = state->read;

    CHECK(from < to);
    CHECK(to > state->offset);
    state->ns->counters.corrupt_reads++;
    if (!read->skip_damage) {
        return read_refuse(state, TUSK_ECORRUPT, from, to,
                           "entries %llu to %llu of the topic are damaged (block %u of segment "
                           "%016llx); others can be read: ask to skip damage",
                           (unsigned long long)from, (unsigned long long)(to - 1),
                           state->block.index, (unsigned long long)state->block.segment_number);
    }
    if (read->skipped_to == 0) {
        read->skipped_from = from;
    }
    read->skipped_to = to;
    state->offset = to;
    return READ_AGAIN;
}

uint64_t read_take(struct read_budget *budget, const uint8_t *batch,
                   const struct batch_header *header, uint64_t offset)
{
    const uint8_t *lengths = batch + BATCH_HEADER_SIZE;
    uint64_t to = header->first_offset > offset ? header->first_offset : offset;
    uint32_t i;

    CHECK(header->entry_count > 0);
    for (i = (uint32_t)(to - header->first_offset); i < header->entry_count; i++) {
        const uint32_t size = get_u32(lengths + 4u * (size_t)i);

        if (budget->entries == 0 || (budget->started && size > budget->bytes)) {
            break;
        }
        budget->started = true;
        budget->entries--;
        budget->bytes -= size < budget->bytes ? size : budget->bytes;
        to++;
    }
    return to;
}

/* Move the cursor behind what is delivered. The ticket to wait for, 0: none; negative: refused. */
static int consume(struct read_state *state, uint64_t to, uint64_t *ticket)
{
    struct topic *topic = state->topic;
    struct cursor *cursor;
    struct error err;

    CHECK(state->by_cursor);
    CHECK(to >= state->offset);
    /* Asked again: one append may wake thousands of readers, each of them with a record. */
    if (journal_admits(&state->ns->journal, 1024, JOURNAL_LAST) != 1) {
        (void)read_refuse(state, TUSK_EBUSY, 0, 0, "no journal space to move the cursor now");
        return -1;
    }
    cursor = cursor_get(topic, state->cursor, state->cursor_size, true, topic->first, &err);
    if (cursor == NULL) {
        (void)read_refuse(state, err.code, 0, 0, "%s", err.text);
        return -1;
    }
    if (state->cursor_epoch != 0 && cursor->epoch != state->cursor_epoch) {
        (void)read_refuse(state, TUSK_ESTALE, cursor->offset, cursor->epoch,
                          "the cursor was moved by a seek while this read was under way");
        return -1;
    }
    *ticket = cursor_move(cursor, to > cursor->offset ? to : cursor->offset);
    state->read->epoch = cursor->epoch;
    return 0;
}

/* Whether the cursor has been moved on meanwhile, by another read that consumed or by a checkpoint:
 * what this one found has been given to somebody already, and it looks again from there. */
static bool overtaken(struct read_state *state)
{
    const struct cursor *cursor =
        topic_cursor_find(state->topic, state->cursor, state->cursor_size);

    CHECK(state->by_cursor);
    if (cursor == NULL || cursor->offset == state->cursor_offset ||
        (state->cursor_epoch != 0 && cursor->epoch != state->cursor_epoch)) {
        return false;
    }
    read_unpin(state);
    state->offset = cursor->offset;
    state->cursor_offset = cursor->offset;
    state->cursor_epoch = cursor->epoch;
    state->read->skipped_from = 0;
    state->read->skipped_to = 0;
    return true;
}

enum read_next read_deliver(struct read_state *state, uint32_t size, uint64_t from, uint64_t to,
                            uint32_t position, uint64_t generation)
{
    struct engine_read *read = state->read;
    struct namespace *ns = state->ns;
    struct topic *topic = state->topic;
    uint64_t ticket = 0;

    CHECK(size == 0 || (read->data != NULL) != (read->range.segment != NULL));
    CHECK(!topic->deleted);
    CHECK(to > from || (to == from && read->skipped_to != 0)); /* Nothing but damage */
    if (read->consume && overtaken(state)) {
        return READ_AGAIN;
    }
    if (read->consume && consume(state, to, &ticket) != 0) {
        return READ_FINISHED;
    }
    if (read->held != UINT64_MAX && size >= BATCH_HEADER_SIZE) {
        struct batch_header header;

        batch_header_decode(&header, read->data);
        if (header.first_offset == read->held && batch_padded_size(header.stored_size) == size) {
            size = 0;
        }
    }
    read->data_size = size;
    read->from = from;
    read->to = to;
    read->end = topic_visible_end(topic);
    read->durable_end = topic->durable_end;
    read->generation = generation;
    read->block_position = position;
    ns->counters.reads++;
    ns->counters.read_entries += to - from;
    ns->counters.read_bytes += size;
    state_free(state);
    cursor_answer(ns, &read->base, ticket);
    return READ_FINISHED;
}

/* ---- parking ---- */

static enum read_next at_end(struct read_state *state)
{
    struct engine_read *read = state->read;
    struct namespace *ns = state->ns;
    struct topic *topic = state->topic;

    CHECK(!link_linked(&state->parked));
    CHECK(!state->pinned);
    /* Nothing behind the damage: the reader is told at once what was skipped, and its cursor passes
     * it. Damage that is not visible yet is told when it is. */
    if (read->skipped_to != 0 && read->skipped_to <= topic_visible_end(topic)) {
        return read_deliver(state, 0, state->offset, state->offset, 0, 0);
    }
    if (read->wait_ms == 0 || state->cancelled || ns->stopping ||
        ns->now.mono_us >= state->deadline_us) {
        read->end = topic_visible_end(topic);
        read->durable_end = topic->durable_end;
        return read_refuse(state, TUSK_EEND, read->end, read->durable_end,
                           "no entry at offset %llu yet", (unsigned long long)state->offset);
    }
    list_append(&topic->readers, &state->parked);
    list_append(&ns->waiting_reads, &state->waiting);
    if (state->deadline_us < ns->read_deadline_us) {
        ns->read_deadline_us = state->deadline_us;
    }
    ns->counters.read_waits++;
    return READ_WAIT;
}

static void unpark(struct read_state *state)
{
    CHECK(!state->submitted);
    state->read->base.staged_us = state->ns->now.mono_us; /* It was not slow until here */
    link_remove(&state->parked);
    link_remove(&state->waiting);
}

void read_wake(struct topic *topic)
{
    struct link woken;
    struct link *link;

    if (list_empty(&topic->readers)) {
        return;
    }
    link_init(&woken);
    list_splice(&woken, &topic->readers);
    while ((link = list_take(&woken)) != NULL) {
        struct read_state *state = link_owner(link, struct read_state, parked);

        unpark(state);
        read_go(state);
    }
}

void read_expire(struct namespace *ns)
{
    struct link *link = ns->waiting_reads.next;
    uint64_t next = UINT64_MAX;

    if (ns->now.mono_us < ns->read_deadline_us) {
        return;
    }
    while (link != &ns->waiting_reads) {
        struct read_state *state = link_owner(link, struct read_state, waiting);

        CHECK(state->ns == ns);
        link = link->next;
        if (state->deadline_us <= ns->now.mono_us || state->cancelled) {
            unpark(state);
            (void)at_end(state);
        } else if (state->deadline_us < next) {
            next = state->deadline_us;
        }
    }
    ns->read_deadline_us = next;
}

uint64_t read_deadline(const struct namespace *ns)
{
    return ns->read_deadline_us;
}

void read_fail_all(struct namespace *ns, int code, const char *why)
{
    struct link *link;

    CHECK(code < 0);
    while ((link = list_take(&ns->waiting_reads)) != NULL) {
        struct read_state *state = link_owner(link, struct read_state, waiting);

        unpark(state);
        (void)read_refuse(state, code, 0, 0, "%s", why);
    }
}

void read_fail_topic(struct topic *topic)
{
    struct link *link;

    while ((link = list_take(&topic->readers)) != NULL) {
        struct read_state *state = link_owner(link, struct read_state, parked);

        CHECK(state->topic == topic);
        unpark(state);
        (void)read_refuse(state, TUSK_ENOTFOUND, 0, 0, "the topic was deleted");
    }
}

void engine_read_cancel(struct engine_read *read)
{
    struct read_state *state = read->state;

    if (state != NULL) {
        state->cancelled = true;
        if (link_linked(&state->waiting)) {
            state->ns->read_deadline_us = 0; /* Looked at in the next turn */
        }
    }
}

/* ---- going ---- */

/* The first block, from the state's offset on, with a batch of the wanted time or later. */
static uint32_t find_block_by_time(const struct topic *topic, const struct read_state *state)
{
    uint32_t at = topic_find_block(topic, state->offset);

    CHECK(state->by_time);
    while (at < topic->block_count && topic->blocks[at].last_time_us < state->time_us) {
        at++;
    }
    return at;
}

static enum read_next go_once(struct read_state *state)
{
    struct topic *topic = state->topic;
    const uint64_t end = topic_visible_end(topic);
    struct block *block;
    uint32_t at;

    CHECK(!state->pinned);
    CHECK(!state->submitted);
    if (state->by_time) {
        state->offset = state->offset < topic->first ? topic->first : state->offset;
        at = find_block_by_time(topic, state);
        if (at == topic->block_count) {
            state->offset = end; /* Still by time: what comes next may be too early, too */
        } else if (state->offset < topic->blocks[at].first_offset) {
            state->offset = topic->blocks[at].first_offset;
        }
    } else if (state->offset < topic->first) {
        return read_refuse(state, TUSK_ETRIMMED, topic->first, 0,
                           "offset %llu was trimmed; the first entry kept is %llu",
                           (unsigned long long)state->offset, (unsigned long long)topic->first);
    } else {
        at = topic_find_block(topic, state->offset);
    }
    if (state->offset >= end || at == topic->block_count) {
        return at_end(state);
    }
    block = &topic->blocks[at];
    if (state->offset < block->first_offset) {
        state->offset = block->first_offset; /* A gap */
        if (state->offset >= end) {
            return at_end(state);
        }
    }
    if (block->segment == NULL) {
        if (block->end_offset <= state->offset) {
            return READ_AGAIN; /* It held nothing: what comes next stands behind it */
        }
        state->block = *block;
        return read_damaged(state, block->first_offset, block->end_offset);
    }
    return read_block(state, at);
}

void read_go(struct read_state *state)
{
    CHECK(!link_linked(&state->parked));
    while (go_once(state) == READ_AGAIN) {
        /* Each round moves offset forward, or ends by_time. */
    }
}

/* ---- the request ---- */

static enum read_next place(struct read_state *state)
{
    struct engine_read *read = state->read;
    struct topic *topic = state->topic;
    const uint64_t end = topic_visible_end(topic);
    const struct cursor *cursor;

    CHECK(read->state == state);
    switch (read->position) {
    case ENGINE_AT_OFFSET:
        state->offset = read->value;
        if (state->offset > end) {
            return read_refuse(state, TUSK_EINVALID, end, 0,
                               "offset %llu lies beyond the end of the topic, %llu",
                               (unsigned long long)state->offset, (unsigned long long)end);
        }
        break;
    case ENGINE_AT_TIME:
        state->by_time = true;
        state->time_us = read->value;
        state->offset = topic->first;
        break;
    case ENGINE_AT_EARLIEST:
        state->offset = topic->first;
        break;
    case ENGINE_AT_LATEST:
        state->offset = end;
        break;
    case ENGINE_AT_CURSOR:
        cursor = topic_cursor_find(topic, state->cursor, state->cursor_size);
        state->offset = cursor == NULL ? topic->first : cursor->offset;
        state->cursor_offset = state->offset;
        state->cursor_epoch = cursor == NULL ? 0 : cursor->epoch;
        read->epoch = state->cursor_epoch;
        break;
    default:
        return read_refuse(state, TUSK_EINVALID, 0, 0, "not a position to read from");
    }
    return READ_AGAIN;
}

static struct read_state *state_new(struct namespace *ns, struct engine_read *read,
                                    struct topic *topic)
{
    const size_t name_size = read->position == ENGINE_AT_CURSOR ? read->cursor_size : 0;
    struct read_state *state = malloc(sizeof *state + name_size);

    CHECK(name_size <= UINT16_MAX);
    if (state == NULL) {
        return NULL;
    }
    *state = (struct read_state){.read = read,
                                 .ns = ns,
                                 .topic = topic,
                                 .by_cursor = read->position == ENGINE_AT_CURSOR,
                                 .cursor_size = (uint16_t)name_size};
    link_init(&state->parked);
    link_init(&state->waiting);
    if (name_size > 0) {
        memcpy(state->cursor, read->cursor, name_size);
    }
    state->deadline_us = ns->now.mono_us + (uint64_t)read->wait_ms * 1000u;
    topic->reads++;
    read->state = state;
    return state;
}

void engine_read(struct namespace *ns, struct engine_read *read)
{
    struct read_state *state;
    struct topic *topic;

    CHECK(read->base.done != NULL);
    CHECK(read->room != NULL);
    ns->requests++;
    read->base.ns = ns;
    read->base.kind = REQUEST_READ;
    read->base.status = 0;
    read->base.detail_a = 0;
    read->base.detail_b = 0;
    read->base.staged_us = ns->now.mono_us;
    read->base.next = NULL;
    read->topic_id = 0;
    read->state = NULL;
    read->data = NULL;
    read->range.segment = NULL;
    read->data_size = 0;
    read->epoch = 0;
    read->skipped_from = 0;
    read->skipped_to = 0;
    if (namespace_broken(ns) || ns->stopping) {
        request_fail(ns, &read->base, ns->stopping ? TUSK_ECLOSED : TUSK_EIO,
                     "namespace \"%s\": %s", ns->name,
                     ns->stopping ? "the daemon is stopping" : ns->reason);
        return;
    }
    if (read->max_bytes == 0 || read->max_entries == 0 ||
        read->cursor_size > ENGINE_NAME_SIZE_MAX ||
        (read->consume && read->position != ENGINE_AT_CURSOR)) {
        request_fail(
            ns, &read->base, TUSK_EINVALID,
            "a read asks for at least one byte and one entry, and consumes only by cursor");
        return;
    }
    topic = namespace_topic(ns, &read->topic);
    if (topic == NULL) {
        request_fail(ns, &read->base, TUSK_ENOTFOUND, "no such topic in namespace \"%s\"",
                     ns->name);
        return;
    }
    read->topic_id = topic->id;
    if (read->consume && journal_admits(&ns->journal, 1024, JOURNAL_LAST) != 1) {
        request_fail(ns, &read->base, TUSK_EBUSY, "no journal space to move the cursor now");
        return;
    }
    state = state_new(ns, read, topic);
    if (state == NULL) {
        request_fail(ns, &read->base, TUSK_ENOMEM, "begin a read");
        return;
    }
    if (place(state) == READ_AGAIN) {
        read_go(state);
    }
}
