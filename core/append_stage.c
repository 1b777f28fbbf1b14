/* Steps (4) to (6) of an append: from a reserved place to the journal's open record.
 *
 * Nothing is staged in part: either everything it needs was there, and the batch has its offset
 * and its place, or nothing of it was written. (A failure of the disk in between is kept by the
 * journal, and stops the namespace.) */
#include <string.h>

#include "core/append_state.h"
#include "core/check.h"
#include "core/namespace.h"
#include "core/probe.h"
#include "core/tail.h"

#define RECORDS_BEFORE 512u /* Journal bytes of the records an append may need besides its own */

static bool goes_direct(const struct namespace *ns, uint32_t padded)
{
    return padded >= namespace_direct_threshold(ns) ||
           padded + FORMAT_PLACE_SIZE > journal_item_max(ns->options);
}

/* Write place and completed header of the topic's next batch. */
static uint32_t complete(struct topic *topic, uint8_t *item, const struct block *block)
{
    const struct format_place place = {
        .segment = block->segment_number, .position = block->end, .index = block->index};
    const uint64_t wall = topic->ns->now.wall_us;

    CHECK(block->segment != NULL);
    CHECK(block->end % BATCH_ALIGN == 0);
    CHECK(topic->next_offset < topic->run_end);
    format_place_encode(item, &place);
    if (wall > topic->last_time_us) {
        topic->last_time_us = wall;
    }
    return batch_complete(item + FORMAT_PLACE_SIZE, topic->next_offset, topic->last_time_us,
                          topic->last_crc, topic->seed, block->end);
}

/* Steps (4) and (5). Everything it needs is there. Returns the ticket. */
static uint64_t stage(struct topic *topic, const uint8_t *batch, const struct batch_header *header)
{
    struct namespace *ns = topic->ns;
    struct block *block = topic_active(topic);
    const uint32_t padded = (uint32_t)batch_padded_size(header->stored_size);
    const uint32_t size = BATCH_HEADER_SIZE + header->stored_size;
    const bool direct = goes_direct(ns, padded);
    const uint32_t item_size = FORMAT_PLACE_SIZE + (direct ? BATCH_HEADER_SIZE : padded);
    uint64_t position;
    uint64_t ticket;
    uint8_t *item;

    CHECK(block != NULL);
    CHECK(size <= padded);
    CHECK(block->end_offset <= topic->next_offset);
    CHECK(block->end + padded <= format_block_limit(ns->block_size));
    CHECK(header->entry_count <= topic->run_end - topic->next_offset);
    manifest_touch(topic);
    (void)tail_make_room(ns, item_size); /* A failure is kept and stops the namespace */
    item = journal_item(&ns->journal, direct ? RECORD_DIRECT : RECORD_BATCH, item_size, &position);
    if (!direct) {
        stretch_add(&ns->journal.stretch, topic, padded, header->entry_count);
    }
    memcpy(item + FORMAT_PLACE_SIZE, batch, direct ? BATCH_HEADER_SIZE : size);
    topic->last_crc = complete(topic, item, block);
    if (direct) {
        (void)tail_apply_direct(topic, block->end, item + FORMAT_PLACE_SIZE,
                                batch + BATCH_HEADER_SIZE, header->stored_size);
        flusher_wrote(&ns->flusher, padded, ns->now.mono_us);
        ns->manifest.direct_bytes += padded;
        ns->counters.direct_appends++;
    } else {
        memset(item + FORMAT_PLACE_SIZE + size, 0, padded - size);
        tail_add(topic, position, padded);
    }
    ticket = journal_item_done(&ns->journal);
    topic_note_index(topic, format_index_interval(ns->block_size),
                     &(struct format_index_entry){.offset = topic->next_offset,
                                                  .position = block->end,
                                                  .entries = block->entries});
    block->end += padded;
    block->entries += header->entry_count;
    block->end_offset = topic->next_offset + header->entry_count;
    block->last_time_us = topic->last_time_us;
    topic->next_offset = block->end_offset;
    if (!link_linked(&topic->turn)) {
        list_append(&ns->turn_topics, &topic->turn);
    }
    ns->manifest.appended_us = ns->now.mono_us;
    ns->counters.appends++;
    ns->counters.append_entries += header->entry_count;
    ns->counters.append_bytes += size;
    PROBE6(batch_staged, ns->name, &topic->name[0], topic->name_size, header->entry_count, size,
           topic->next_offset - header->entry_count);
    histogram_add(&ns->histograms[ENGINE_BATCH_ENTRIES], header->entry_count);
    histogram_add(&ns->histograms[ENGINE_BATCH_BYTES], size);
    return ticket;
}

/* Steps (3) to (6). */
int append_try_stage(struct topic *topic, struct engine_append *append, const uint8_t *batch,
                     const struct batch_header *header)
{
    struct namespace *ns = topic->ns;
    const uint32_t padded = (uint32_t)batch_padded_size(header->stored_size);
    int rc;
    uint64_t ticket;

    CHECK(header->entry_count > 0);
    CHECK(append->base.ns == ns);
    CHECK(!topic->deleted);
    topic->quota_waits = false;
    if (flusher_full(&ns->flusher)) {
        return STAGED_NOT_YET;
    }
    /* First of all, because what follows may put a run's record and a block's. */
    rc = journal_admits(&ns->journal,
                        RECORDS_BEFORE + FORMAT_PLACE_SIZE +
                            (goes_direct(ns, padded) ? BATCH_HEADER_SIZE : padded),
                        JOURNAL_RESERVE);
    if (rc != 1) {
        return rc;
    }
    rc = append_have_offsets(topic, header->entry_count);
    if (rc == STAGED) {
        rc = append_have_space(topic, padded);
    } else if (rc == STAGED_NOT_YET) {
        /* Both at once: a new topic waits for one sync, not for two. */
        const int space = append_have_space(topic, padded);

        rc = space < 0 ? space : STAGED_NOT_YET;
    }
    if (rc != STAGED) {
        return rc;
    }
    append->first_offset = topic->next_offset;
    ticket = stage(topic, batch, header);
    CHECK(ticket > ns->journal.written);
    append->end = topic->next_offset;
    if (append->durable || ns->settings.fsync_ms == ENGINE_FSYNC_EACH) {
        request_when_durable(ns, &append->base, ticket);
    } else {
        request_when_written(ns, &append->base, ticket);
    }
    return STAGED;
}
