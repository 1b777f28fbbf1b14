#include "core/stretch.h"

#include "core/check.h"
#include "core/namespace.h"
#include "core/tail.h"

void stretch_begin(struct stretch *stretch)
{
    *stretch = (struct stretch){0};
}

void stretch_add(struct stretch *stretch, struct topic *topic, uint32_t padded, uint32_t entries)
{
    const struct block *block = topic_active(topic);

    CHECK(block != NULL);
    CHECK(entries > 0);
    CHECK(padded % BATCH_ALIGN == 0);
    if (stretch->batches == 0) {
        *stretch = (struct stretch){.topic = topic,
                                    .position = block->end,
                                    .previous_crc = topic->last_crc,
                                    .first_offset = topic->next_offset};
    } else if (stretch->topic != topic || block->end != stretch->position + stretch->bytes) {
        stretch->topic = NULL;
    }
    stretch->bytes += padded;
    stretch->batches++;
    stretch->entries += entries;
}

/* Whether the topic's tail ends with the stretch. It does not when the ring needed the place
 * meanwhile: then the batches are in their block already, and the journal still has to hold
 * them. */
static bool in_tail(const struct stretch *stretch)
{
    const struct topic *topic = stretch->topic;

    return topic->tail_bytes >= stretch->bytes &&
           topic->tail_position + topic->tail_bytes == stretch->position + stretch->bytes;
}

bool stretch_end(struct stretch *stretch, struct namespace *ns, struct format_record *record)
{
    const uint32_t threshold = namespace_direct_threshold(ns);
    struct topic *topic = stretch->topic;
    const struct block *block;

    if (topic == NULL || stretch->batches < 2 || stretch->bytes < threshold || !in_tail(stretch)) {
        return false;
    }
    block = topic_active(topic);
    CHECK(block != NULL);
    CHECK(block->segment != NULL);
    CHECK(stretch->entries <= topic->next_offset - stretch->first_offset);
    CHECK(block->end == stretch->position + stretch->bytes);
    if (tail_apply(topic) != 0) {
        return false;
    }
    space_direct_dirty(&ns->space, block->segment);
    flusher_wrote(&ns->flusher, stretch->bytes, ns->now.mono_us);
    ns->manifest.direct_bytes += stretch->bytes;
    ns->counters.direct_appends += stretch->batches;
    *record = (struct format_record){.type = RECORD_STRETCH};
    record->field[STRETCH_SEGMENT] = block->segment_number;
    record->field[STRETCH_INDEX] = block->index;
    record->field[STRETCH_GENERATION] = block->generation;
    record->field[STRETCH_POSITION] = stretch->position;
    record->field[STRETCH_SIZE] = stretch->bytes;
    record->field[STRETCH_FIRST] = stretch->first_offset;
    record->field[STRETCH_END] = topic->next_offset;
    record->field[STRETCH_ENTRIES] = stretch->entries;
    record->field[STRETCH_TIME] = topic->last_time_us;
    record->field[STRETCH_PREVIOUS_CRC] = stretch->previous_crc;
    record->field[STRETCH_LAST_CRC] = topic->last_crc;
    return true;
}
