/* Recovery: bringing the tables from R to the end, record by record. */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/recovery.h"
#include "core/seal.h"

#define LOSS_OFFSETS ((uint64_t)1 << 40)
#define LOST_TOPICS ((uint64_t)1 << 32) /* No namespace has more: the limit is 32 bits wide */

/* A record that speaks of what is not there: fine behind an accepted loss, a contradiction
 * otherwise. */
static int missing(struct recovery *recovery)
{
    if (!recovery->lost) {
        return TUSK_ECORRUPT;
    }
    recovery->skipped++;
    return 0;
}

/* The same of batches without a block. */
static int stray(struct recovery *recovery, uint64_t position)
{
    CHECK(recovery->stray_count <= recovery->stray_capacity);
    CHECK(recovery->stray_count == 0 || recovery->strays[recovery->stray_count - 1] < position);
    if (!recovery->lost || !recovery->notes_strays) {
        return missing(recovery);
    }
    if (recovery->stray_count == recovery->stray_capacity) {
        const uint64_t capacity = recovery->stray_capacity * 2 + 64;
        uint64_t *strays = realloc(recovery->strays, capacity * sizeof *strays);

        if (strays == NULL) {
            return TUSK_ENOMEM;
        }
        recovery->strays = strays;
        recovery->stray_capacity = capacity;
    }
    recovery->strays[recovery->stray_count++] = position;
    return missing(recovery);
}

static int pass_over(struct recovery *recovery, uint64_t position)
{
    CHECK(recovery->passed_count <= recovery->passed_capacity);
    recovery->skipped++;
    if (recovery->passed_count == recovery->passed_capacity) {
        const uint32_t capacity = recovery->passed_capacity + 8;
        uint64_t *passed = realloc(recovery->passed, capacity * sizeof *passed);

        if (passed == NULL) {
            return TUSK_ENOMEM;
        }
        recovery->passed = passed;
        recovery->passed_capacity = capacity;
    }
    recovery->passed[recovery->passed_count++] = position;
    return 0;
}

static int apply_batches(struct recovery *recovery, const struct scan_record *record)
{
    struct format_items items;
    struct format_item item;

    CHECK(format_record_has_items(record->header.type));
    format_items_begin(&items, &record->header, record->bytes);
    while (format_items_next(&items, &item) != 0) {
        const struct recovery_owner *owner =
            recovery_owner(recovery, item.place.segment, item.place.index);
        struct topic *topic = owner == NULL ? NULL : owner->topic;
        struct block *block = topic == NULL ? NULL : topic_active(topic);
        int rc = 0;

        if (block == NULL || block->generation != owner->generation ||
            batch_header_crc(item.bytes, owner->seed, item.place.position) !=
                item.header.header_crc ||
            (!recovery->lost &&
             (item.place.position != block->end || item.header.previous_crc != topic->last_crc ||
              item.header.first_offset < topic->next_offset))) {
            const uint64_t place = record->header.lsn + (uint64_t)(item.bytes - record->bytes);

            rc = owner == NULL ? stray(recovery, place) : missing(recovery);
            if (rc != 0) {
                return rc;
            }
            continue;
        }
        if (item.place.position < block->end || item.header.first_offset < topic->next_offset) {
            rc = pass_over(recovery, record->header.lsn + (uint64_t)(item.bytes - record->bytes));
            if (rc != 0) {
                return rc;
            }
            continue;
        }
        topic_note_index(topic, format_index_interval(recovery->ns->block_size),
                         &(struct format_index_entry){.offset = item.header.first_offset,
                                                      .position = item.place.position,
                                                      .entries = block->entries});
        block->end = item.place.position + (uint32_t)item.padded_size;
        block->entries += item.header.entry_count;
        block->end_offset = item.header.first_offset + item.header.entry_count;
        block->last_time_us = item.header.time_us;
        topic->next_offset = block->end_offset;
        topic->last_time_us = item.header.time_us;
        topic->last_crc = item.header.header_crc;
    }
    return 0;
}

/* As apply_batches(), of all its batches at once. */
static int apply_stretch(struct recovery *recovery, const struct format_record *record,
                         uint64_t lsn)
{
    const uint32_t position = (uint32_t)record->field[STRETCH_POSITION];
    const struct recovery_owner *owner =
        recovery_owner(recovery, record->field[STRETCH_SEGMENT], record->field[STRETCH_INDEX]);
    struct topic *topic = owner == NULL ? NULL : owner->topic;
    struct block *block = topic == NULL ? NULL : topic_active(topic);

    CHECK(record->type == RECORD_STRETCH);
    if (block == NULL || block->generation != owner->generation ||
        record->field[STRETCH_GENERATION] != owner->generation ||
        (!recovery->lost &&
         (position != block->end || record->field[STRETCH_PREVIOUS_CRC] != topic->last_crc ||
          record->field[STRETCH_FIRST] < topic->next_offset))) {
        return owner == NULL ? stray(recovery, lsn) : missing(recovery);
    }
    if (position < block->end || record->field[STRETCH_FIRST] < topic->next_offset) {
        recovery->skipped++;
        return 0;
    }
    topic_note_index(topic, format_index_interval(recovery->ns->block_size),
                     &(struct format_index_entry){.offset = record->field[STRETCH_FIRST],
                                                  .position = position,
                                                  .entries = block->entries});
    block->end = position + (uint32_t)record->field[STRETCH_SIZE];
    block->entries += (uint32_t)record->field[STRETCH_ENTRIES];
    block->end_offset = record->field[STRETCH_END];
    block->last_time_us = record->field[STRETCH_TIME];
    topic->next_offset = block->end_offset;
    topic->last_time_us = block->last_time_us;
    topic->last_crc = (uint32_t)record->field[STRETCH_LAST_CRC];
    return 0;
}

static int apply_topic_create(struct recovery *recovery, const struct format_record *record)
{
    struct namespace *ns = recovery->ns;
    const struct engine_topic_ref by_name = {.name = record->name, .name_size = record->name_size};
    struct topic *topic;

    CHECK(record->type == RECORD_TOPIC_CREATE);
    if (record->name_size == 0 || record->field[TOPIC_ID] == 0 ||
        record->field[TOPIC_ID] >= FORMAT_COUNTER_MAX ||
        namespace_topic_by_id(ns, record->field[TOPIC_ID]) != NULL) {
        return TUSK_ECORRUPT;
    }
    topic = namespace_topic(ns, &by_name);
    if (topic != NULL) {
        return missing(recovery); /* Its delete record went with the loss */
    }
    topic = topic_new(ns, record->field[TOPIC_ID], record->name, record->name_size);
    if (topic == NULL) {
        return TUSK_ENOMEM;
    }
    topic->created_us = record->field[TOPIC_CREATED];
    topic->retention.kind = record->field[TOPIC_RETENTION];
    topic->retention.age_ms = record->field[TOPIC_AGE];
    topic->retention.bytes = record->field[TOPIC_BYTES];
    topic->first = ns->options->offset_start;
    topic->next_offset = topic->first;
    topic->run_end = topic->first;
    if (namespace_add_topic(ns, topic) != 0) {
        topic_free(topic);
        return TUSK_ENOMEM;
    }
    if (topic->id >= ns->next_topic_id) {
        ns->next_topic_id = topic->id + 1;
    }
    return 0;
}

static int apply_topic_delete(struct recovery *recovery, struct topic *topic)
{
    struct namespace *ns = recovery->ns;
    uint32_t i;

    CHECK(ns->cursor_count >= topic->cursor_count);
    CHECK(topic->ns == ns);
    for (i = 0; i < topic->block_count; i++) {
        recovery_disown(recovery, topic->blocks[i].segment_number, topic->blocks[i].index);
    }
    ns->cursor_count -= topic->cursor_count;
    namespace_remove_topic(ns, topic);
    topic_free(topic);
    return 0;
}

static int apply_cursor(struct recovery *recovery, struct topic *topic,
                        const struct format_record *record)
{
    const uint64_t id = record->field[CURSOR_ID];
    struct cursor *cursor = topic_cursor_by_id(topic, id);

    CHECK(record->type >= RECORD_CURSOR_CREATE);
    CHECK(record->type <= RECORD_CURSOR_DELETE);
    if (record->type == RECORD_CURSOR_CREATE) {
        if (id >= FORMAT_COUNTER_MAX) {
            return TUSK_ECORRUPT;
        }
        if (cursor != NULL || id < topic->next_cursor_id ||
            topic_cursor_find(topic, record->name, record->name_size) != NULL) {
            return missing(recovery);
        }
        recovery->ns->cursor_count++;
        return topic_cursor_add(topic, id, record->name, record->name_size,
                                record->field[CURSOR_OFFSET], record->field[CURSOR_EPOCH]) == NULL
                   ? TUSK_ENOMEM
                   : 0;
    }
    if (cursor == NULL) {
        return missing(recovery);
    }
    if (record->type == RECORD_CURSOR_DELETE) {
        topic_cursor_remove(topic, cursor);
        recovery->ns->cursor_count--;
        return 0;
    }
    cursor->offset = record->field[CURSOR_OFFSET];
    cursor->epoch = record->field[CURSOR_EPOCH];
    cursor->recorded_offset = cursor->offset;
    cursor->durable_offset = cursor->offset;
    return 0;
}

static int apply_allocate(struct recovery *recovery, struct topic *topic,
                          const struct format_record *record)
{
    struct namespace *ns = recovery->ns;
    const uint64_t number = record->field[BLOCK_SEGMENT];
    const struct block block = {.segment = space_find(&ns->space, number),
                                .segment_number = number,
                                .generation = record->field[BLOCK_GENERATION],
                                .first_offset = record->field[BLOCK_FIRST],
                                .end_offset = record->field[BLOCK_FIRST],
                                .last_time_us = topic->last_time_us,
                                .end = FORMAT_BLOCK_DATA,
                                .index = (uint16_t)record->field[BLOCK_INDEX]};
    int rc;

    CHECK(record->type == RECORD_BLOCK_ALLOCATE);
    if (record->field[BLOCK_INDEX] >= ns->blocks_per_segment || number >= FORMAT_COUNTER_MAX) {
        return TUSK_ECORRUPT;
    }
    if (block.first_offset != topic->next_offset) {
        /* Only what went with a loss can lie between. */
        if (!recovery->lost || block.first_offset < topic->next_offset) {
            return missing(recovery);
        }
        topic->next_offset = block.first_offset;
    }
    if (number >= ns->space.next_segment) {
        ns->space.next_segment = number + 1;
    }
    rc = recovery_own(recovery, topic, &block);
    if (rc == TUSK_ECORRUPT && recovery->lost) {
        /* Its free record went with the loss: the block is the newer topic's. */
        struct recovery_owner *owner = recovery_owner(recovery, number, block.index);
        struct topic *before = owner->topic;
        const uint32_t at = topic_find_address(before, number, block.index, owner->generation);

        recovery->skipped++;
        CHECK(at < before->block_count);
        topic_remove_block(before, at);
        recovery_disown(recovery, number, block.index);
        rc = recovery_own(recovery, topic, &block);
    }
    if (rc == 0 && topic_active(topic) != NULL) {
        seal_later(topic);
    }
    return rc != 0 ? rc : topic_add_block(topic, &block);
}

static int apply_free(struct recovery *recovery, const struct format_record *record)
{
    const uint64_t segment = record->field[BLOCK_SEGMENT];
    struct recovery_owner *owner = recovery_owner(recovery, segment, record->field[BLOCK_INDEX]);
    uint32_t at;

    CHECK(record->type == RECORD_BLOCK_FREE);
    /* The blocks of a deleted topic are nobody's already. */
    if (owner == NULL || owner->generation != record->field[BLOCK_GENERATION]) {
        return 0;
    }
    at = topic_find_address(owner->topic, segment, (uint16_t)record->field[BLOCK_INDEX],
                            owner->generation);
    CHECK(at < owner->topic->block_count);
    topic_remove_block(owner->topic, at);
    recovery_disown(recovery, segment, record->field[BLOCK_INDEX]);
    return 0;
}

static void apply_open(struct recovery *recovery, const struct format_record *record, uint64_t lsn)
{
    struct namespace *ns = recovery->ns;
    const struct format_incarnation incarnation = {.ordinal = record->field[OPEN_ORDINAL],
                                                   .id = record->field[OPEN_INCARNATION],
                                                   .time_us = record->field[OPEN_TIME],
                                                   .lsn = lsn};
    struct topic *topic;
    struct topic *next;

    CHECK(record->type == RECORD_OPEN);
    namespace_add_incarnation(ns, &incarnation);
    if (record->field[OPEN_CLEAN] == 0) {
        /* That open started fresh ground: no offset of the runs before was used again, and no
         * topic's id. */
        recovery_step_ids(ns);
        HASH_ITER(by_id, ns->topics_by_id, topic, next)
        {
            if (topic->run_end > topic->next_offset) {
                topic->next_offset = topic->run_end;
            }
        }
    }
}

static void apply_namespace_set(struct namespace *ns, const struct format_record *record)
{
    CHECK(record->type == RECORD_NAMESPACE_SET);
    ns->settings.retention.kind = record->field[0];
    ns->settings.retention.age_ms = record->field[1];
    ns->settings.retention.bytes = record->field[2];
    ns->settings.fsync_ms = record->field[3];
    ns->settings.consistency = record->field[4];
    ns->settings.quota_bytes = record->field[5];
    ns->settings.quota_topics = record->field[6];
    ns->settings.quota_cursors = record->field[7];
    ns->settings.quota_policy = format_quota_policy(record->flags);
}

/* Records whose first field names a topic. */
static int apply_to_topic(struct recovery *recovery, const struct format_record *record)
{
    const uint64_t id =
        record->field[record->type == RECORD_BLOCK_ALLOCATE ? (int)BLOCK_TOPIC : (int)TOPIC_ID];
    struct topic *topic = namespace_topic_by_id(recovery->ns, id);

    if (topic == NULL) {
        return missing(recovery);
    }
    switch (record->type) {
    case RECORD_TOPIC_SET:
        topic->retention.kind = record->field[TOPIC_RETENTION];
        topic->retention.age_ms = record->field[TOPIC_AGE];
        topic->retention.bytes = record->field[TOPIC_BYTES];
        return 0;
    case RECORD_TOPIC_DELETE:
        return apply_topic_delete(recovery, topic);
    case RECORD_RUN:
        if (record->field[RUN_END] > topic->run_end) {
            topic->run_end = record->field[RUN_END];
        }
        return 0;
    case RECORD_TRIM:
        if (record->field[TRIM_FIRST] > topic->next_offset) {
            return missing(recovery); /* What it trimmed went with the loss, too */
        }
        if (record->field[TRIM_FIRST] > topic->first) {
            topic->first = record->field[TRIM_FIRST];
        }
        return 0;
    case RECORD_BLOCK_ALLOCATE:
        return apply_allocate(recovery, topic, record);
    default:
        return apply_cursor(recovery, topic, record);
    }
}

void recovery_step_ids(struct namespace *ns)
{
    CHECK(ns->next_topic_id <= FORMAT_COUNTER_MAX);
    ns->next_topic_id = ns->next_topic_id < FORMAT_COUNTER_MAX - LOST_TOPICS
                            ? ns->next_topic_id + LOST_TOPICS
                            : FORMAT_COUNTER_MAX;
}

void recovery_step_offsets(struct namespace *ns)
{
    struct topic *topic;
    struct topic *next;

    HASH_ITER(by_id, ns->topics_by_id, topic, next)
    {
        if (topic->run_end > topic->next_offset) {
            topic->next_offset = topic->run_end;
        }
        if (topic->next_offset < UINT64_MAX - LOSS_OFFSETS) {
            topic->next_offset += LOSS_OFFSETS;
        }
        CHECK(topic->next_offset >= topic->first);
        topic->run_end = topic->next_offset;
    }
}

int recovery_apply(struct recovery *recovery, const struct scan_record *record)
{
    struct format_record body;

    CHECK(record->bytes != NULL);
    recovery->records++;
    if (format_record_has_items(record->header.type)) {
        return apply_batches(recovery, record);
    }
    /* Judging has looked at it. */
    CHECK(format_record_body_decode(&body, &record->header, record->bytes) == 0);
    switch (body.type) {
    case RECORD_OPEN:
        apply_open(recovery, &body, record->header.lsn);
        return 0;
    case RECORD_TOPIC_CREATE:
        return apply_topic_create(recovery, &body);
    case RECORD_NAMESPACE_SET:
        apply_namespace_set(recovery->ns, &body);
        return 0;
    case RECORD_BLOCK_FREE:
        return apply_free(recovery, &body);
    case RECORD_STRETCH:
        return apply_stretch(recovery, &body, record->header.lsn);
    case RECORD_TOPIC_SET:
    case RECORD_TOPIC_DELETE:
    case RECORD_RUN:
    case RECORD_CURSOR_CREATE:
    case RECORD_CURSOR_CHECKPOINT:
    case RECORD_CURSOR_SEEK:
    case RECORD_CURSOR_DELETE:
    case RECORD_TRIM:
    case RECORD_BLOCK_ALLOCATE:
        return apply_to_topic(recovery, &body);
    case RECORD_ACCEPTED_LOSS:
        if (body.field[LOSS_FROM] == body.field[LOSS_TO]) {
            recovery_step_offsets(recovery->ns);
        }
        return 0;
    case RECORD_MARK:
    case RECORD_FILLER:
    case RECORD_CLEAN_CLOSE:
    default: /* Judging has let no other pass */
        return 0;
    }
}
