/* Step (3) of an append: offsets and space that are durably its topic's before it uses them.
 *
 * Both are had ahead of need. Offsets come in *runs*: a record reserves them, and they are issued
 * once it is durable, so that a crash never lets one be issued twice. Space is a block that was
 * taken and the bytes of it that the file system has reserved; the next block is taken before the
 * active one is full. What is missing is asked for, and whoever needs it is told to come again. */
#include "core/append_state.h"
#include "core/check.h"
#include "core/namespace.h"
#include "core/probe.h"
#include "core/quota.h"
#include "core/seal.h"
#include "core/tail.h"

#define RUN_SIZE_MIN 1024u
#define RUN_SIZE_MAX ((uint64_t)1 << 40)
#define RUN_LASTS_US 1000000u

/* ---- offsets ---- */

/* Reserve offsets behind the run by a record. The run is used once that record is durable. */
static void extend_run(struct topic *topic, uint64_t least)
{
    struct namespace *ns = topic->ns;
    const uint64_t now = ns->now.mono_us;
    const uint64_t from = topic->run_end > topic->next_offset ? topic->run_end : topic->next_offset;
    struct format_record record = {.type = RECORD_RUN};

    CHECK(topic->run_pending == topic->run_end);
    CHECK(now >= topic->run_time_us);
    CHECK(from >= topic->next_offset);
    if (topic->run_size < RUN_SIZE_MIN) {
        topic->run_size = RUN_SIZE_MIN;
    } else if (now - topic->run_time_us < RUN_LASTS_US && topic->run_size < RUN_SIZE_MAX) {
        topic->run_size *= 2;
    }
    if (topic->run_size < least) {
        topic->run_size = least;
    }
    CHECK(topic->run_size >= least);
    topic->run_time_us = now;
    topic->run_pending = topic->run_size > UINT64_MAX - from ? UINT64_MAX : from + topic->run_size;
    record.field[RUN_TOPIC] = topic->id;
    record.field[RUN_END] = topic->run_pending;
    topic->run_ticket = journal_record(&ns->journal, &record);
    if (!link_linked(&topic->running)) {
        list_append(&ns->running_topics, &topic->running);
    }
}

void append_runs_durable(struct namespace *ns)
{
    struct link *link = ns->running_topics.next;

    CHECK(ns->state == ENGINE_SERVING);
    while (link != &ns->running_topics) {
        struct topic *topic = link_owner(link, struct topic, running);

        link = link->next;
        if (topic->run_ticket > ns->flusher.durable) {
            continue;
        }
        CHECK(topic->run_pending >= topic->run_end);
        manifest_touch(topic);
        topic->run_end = topic->run_pending;
        link_remove(&topic->running);
        if (topic->waiting != NULL && !link_linked(&topic->runnable)) {
            list_append(&ns->runnable_topics, &topic->runnable);
        }
    }
}

/* Whether `count` offsets may be issued now. Extends the run ahead of need. */
int append_have_offsets(struct topic *topic, uint32_t count)
{
    struct namespace *ns = topic->ns;

    CHECK(!topic->deleted);
    CHECK(topic->next_offset <= topic->run_end);
    CHECK(topic->run_pending >= topic->run_end);
    if (topic->next_offset > UINT64_MAX - 1 - count) {
        return TUSK_ETOOBIG;
    }
    if (topic->run_end >= topic->next_offset + count) {
        if (topic->run_end - topic->next_offset - count < topic->run_size / 2 &&
            topic->run_pending == topic->run_end && topic->run_end != UINT64_MAX) {
            manifest_touch(topic);
            extend_run(topic, count);
        }
        return STAGED;
    }
    if (topic->run_pending == topic->run_end) {
        manifest_touch(topic);
        extend_run(topic, count);
    }
    flusher_want(&ns->flusher, topic->run_ticket);
    return STAGED_NOT_YET;
}

/* ---- space ---- */

/* Make the block that was prepared the topic's active one. */
static int start_block(struct topic *topic)
{
    struct namespace *ns = topic->ns;
    const int room = topic_block_room(topic);
    const struct block *previous = topic_active(topic);
    struct block block = {.segment = topic->next_segment,
                          .segment_number = topic->next_segment->number,
                          .index = topic->next_index,
                          .generation = engine_random(ns->engine),
                          .first_offset = topic->next_offset,
                          .end_offset = topic->next_offset,
                          .last_time_us = topic->last_time_us,
                          .end = FORMAT_BLOCK_DATA};
    struct format_record record = {.type = RECORD_BLOCK_ALLOCATE};

    CHECK(topic->next_index < ns->blocks_per_segment);
    CHECK(topic->next_segment->slots[topic->next_index].state == SLOT_USED);
    CHECK(previous == NULL || previous->end_offset <= topic->next_offset);
    if (room != 0) {
        return room; /* Before the block it follows is taken for full */
    }
    manifest_touch(topic);
    if (tail_apply(topic) != 0) {
        return ns->journal.failure.code;
    }
    record.field[BLOCK_SEGMENT] = block.segment_number;
    record.field[BLOCK_INDEX] = block.index;
    record.field[BLOCK_GENERATION] = block.generation;
    record.field[BLOCK_TOPIC] = topic->id;
    record.field[BLOCK_FIRST] = block.first_offset;
    record.field[BLOCK_PREVIOUS_SEGMENT] =
        previous != NULL ? previous->segment_number : FORMAT_NONE;
    record.field[BLOCK_PREVIOUS_INDEX] = previous != NULL ? previous->index : FORMAT_NONE;
    if (previous != NULL) {
        seal_later(topic);
    }
    (void)topic_add_block(topic, &block); /* There is room */
    PROBE6(block_rollover, ns->name, &topic->name[0], topic->name_size, block.segment_number,
           block.index, block.first_offset);
    (void)journal_record(&ns->journal, &record);
    topic->next_segment = NULL;
    return 0;
}

/* Whether the block that was prepared holds no space, nor is any on its way. */
static bool next_is_bare(const struct topic *topic)
{
    const struct slot *slot = &topic->next_segment->slots[topic->next_index];

    CHECK(slot->state == SLOT_USED);
    return slot->reserved == 0 && !slot->extending;
}

/* Take a block for the topic ahead of need and have it reserved. 1: it is taken. */
static int prepare_block(struct topic *topic, uint32_t want, bool needed)
{
    struct namespace *ns = topic->ns;
    int rc;

    CHECK(want > FORMAT_BLOCK_DATA);
    CHECK(want <= ns->block_size);
    if (needed && topic->next_segment != NULL && next_is_bare(topic)) {
        /* It was not to be had ahead of need. One that holds space already comes first now. */
        space_return(&ns->space, topic->next_segment, topic->next_index);
        topic->next_segment = NULL;
    }
    if (topic->next_segment == NULL) {
        rc = quota_admits(topic, needed);
        if (rc != 1) {
            return rc;
        }
        rc = space_take(&ns->space, &topic->next_segment, &topic->next_index);
        if (rc != 1) {
            topic->next_segment = NULL;
            return rc;
        }
    }
    CHECK(topic->next_index < ns->blocks_per_segment);
    if (topic->next_segment->slots[topic->next_index].reserved < want) {
        space_reserve(&ns->space, topic->next_segment, topic->next_index, want, topic);
    }
    return 1;
}

/* A reservation failed, and this batch needs it: the error, once. 0: none failed. */
static int take_space_error(struct topic *topic)
{
    const int rc = topic->space_error;

    CHECK(rc <= 0);
    topic->space_error = 0;
    return rc;
}

static bool next_holds(const struct topic *topic, uint32_t want)
{
    CHECK(want > 0);
    return topic->next_segment != NULL &&
           topic->next_segment->slots[topic->next_index].reserved >= want;
}

static int have_new_block(struct topic *topic, uint32_t padded)
{
    const uint32_t want = FORMAT_BLOCK_DATA + padded;
    int rc = 1;

    CHECK(padded >= BATCH_HEADER_SIZE);
    CHECK(want <= format_block_limit(topic->ns->block_size));
    if (topic->space_error != 0 && !next_holds(topic, want)) {
        rc = take_space_error(topic);
    }
    if (rc == 1) {
        topic->space_needed = true;
        rc = prepare_block(topic, want, true);
    }
    if (rc == 1 && !next_holds(topic, want)) {
        if (topic->space_error == 0) {
            return STAGED_NOT_YET;
        }
        rc = take_space_error(topic);
    }
    topic->space_needed = false;
    if (rc != 1) {
        return rc;
    }
    rc = start_block(topic);
    return rc == 0 ? STAGED : rc;
}

/* Reserve ahead: the next step of the active block, then the next block. */
static void reserve_ahead(struct topic *topic, const struct block *block, uint32_t end)
{
    struct namespace *ns = topic->ns;
    const uint32_t limit = format_block_limit(ns->block_size);
    const struct slot *slot = &block->segment->slots[block->index];

    CHECK(end <= limit);
    CHECK(end <= slot->reserved);
    CHECK(slot->state == SLOT_USED);
    if (slot->reserved < ns->block_size && !slot->extending && end > slot->reserved / 2) {
        space_reserve(&ns->space, block->segment, block->index, slot->reserved + FORMAT_PAGE,
                      topic);
    }
    if (end > limit - limit / 4 && topic->next_segment == NULL) {
        const uint32_t want =
            SPACE_STEP_SECOND < ns->block_size ? SPACE_STEP_SECOND : ns->block_size;

        (void)prepare_block(topic, want,
                            false); /* Whoever needs it asks again and learns why not */
    }
}

/* Whether the active block has reserved room for a batch; sees to it otherwise. */
int append_have_space(struct topic *topic, uint32_t padded)
{
    struct namespace *ns = topic->ns;
    const struct block *block = topic_active(topic);
    const struct slot *slot;
    uint32_t end;

    CHECK(padded >= BATCH_HEADER_SIZE);
    CHECK(padded % BATCH_ALIGN == 0);
    CHECK(block == NULL || block->end >= FORMAT_BLOCK_DATA);
    if (block == NULL || block->segment == NULL ||
        block->end + padded > format_block_limit(ns->block_size)) {
        return have_new_block(topic, padded);
    }
    end = block->end + padded;
    slot = &block->segment->slots[block->index];
    if (end <= slot->reserved) {
        topic->space_needed = false;
        reserve_ahead(topic, block, end);
        return STAGED;
    }
    if (topic->space_error != 0) {
        return take_space_error(topic);
    }
    topic->space_needed = true;
    space_reserve(&ns->space, block->segment, block->index, end, topic);
    return topic->space_error != 0 ? take_space_error(topic) : STAGED_NOT_YET;
}
