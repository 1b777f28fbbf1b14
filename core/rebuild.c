#include "core/rebuild.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/namespace.h"
#include "core/seal.h"
#include "core/tail.h"

#define BUFFER_SIZE (1u << 20) /* A write for this much; larger batches go by themselves */

int rebuild_begin(struct rebuild *rebuild, struct namespace *ns, struct error *err)
{
    CHECK(ns->state == ENGINE_SERVING);
    CHECK(ns->topic_count == 0);
    CHECK(ns->cursor_count == 0);
    CHECK(ns->requests == 0);
    CHECK(ns->space.used_count == 0);
    CHECK(ns->journal.current != NULL);
    CHECK(ns->block_size >= FORMAT_BLOCK_SIZE_MIN);
    *rebuild = (struct rebuild){.ns = ns, .buffer = malloc(BUFFER_SIZE)};
    return rebuild->buffer != NULL ? 0 : error_set(err, TUSK_ENOMEM, "rebuild a namespace");
}

void rebuild_deinit(struct rebuild *rebuild)
{
    CHECK(rebuild->used <= BUFFER_SIZE);
    free(rebuild->buffer);
    rebuild->buffer = NULL;
}

int rebuild_topic(struct rebuild *rebuild, const struct topic *like, struct error *err)
{
    struct topic *topic = topic_new(rebuild->ns, like->id, like->name, like->name_size);

    CHECK(rebuild->topic == NULL);
    CHECK(rebuild->used == 0);
    CHECK(like->id != 0);
    CHECK(like->ns != rebuild->ns);
    CHECK(!like->deleted);
    CHECK(namespace_topic_by_id(rebuild->ns, like->id) == NULL);
    if (topic == NULL) {
        return error_set(err, TUSK_ENOMEM, "rebuild a topic");
    }
    topic->created_us = like->created_us;
    topic->retention = like->retention;
    topic->first = like->first;
    topic->next_offset = like->first;
    topic->run_end = like->first;
    if (namespace_add_topic(rebuild->ns, topic) != 0) {
        topic_free(topic);
        return error_set(err, TUSK_ENOMEM, "rebuild a topic");
    }
    rebuild->topic = topic;
    return 0;
}

/* ---- batches ---- */

static int write_at(struct rebuild *rebuild, struct iovec *iov, int count, uint32_t position,
                    struct error *err)
{
    const struct block *block = topic_active(rebuild->topic);

    CHECK(position >= FORMAT_BLOCK_DATA);
    CHECK(position < format_block_limit(rebuild->ns->block_size));
    CHECK(block != NULL);
    CHECK(block->index < rebuild->ns->blocks_per_segment);
    CHECK(!block->sealed);
    block->segment->dirty = true;
    return io_write(block->segment->file, iov, count,
                    (uint64_t)block->index * rebuild->ns->block_size + position, err);
}

static int flush(struct rebuild *rebuild, struct error *err)
{
    struct iovec iov = {.iov_base = rebuild->buffer, .iov_len = rebuild->used};
    const struct block *block;

    CHECK(rebuild->used <= BUFFER_SIZE);
    if (rebuild->used == 0) {
        return 0;
    }
    CHECK(rebuild->topic != NULL);
    CHECK(rebuild->used % BATCH_ALIGN == 0);
    block = topic_active(rebuild->topic);
    CHECK(block != NULL);
    CHECK(rebuild->position + rebuild->used == block->end);
    rebuild->used = 0;
    return write_at(rebuild, &iov, 1, rebuild->position, err);
}

static int take_block(struct rebuild *rebuild, struct block *block, struct error *err)
{
    struct space *space = &rebuild->ns->space;
    int rc;

    CHECK(block->segment == NULL);
    CHECK(block->end == FORMAT_BLOCK_DATA);
    rc = space_take(space, &block->segment, &block->index);
    if (rc == 0) {
        rc = space_create_now(space, err);
        rc = rc == 0 ? space_take(space, &block->segment, &block->index) : rc;
    }
    if (rc != 1) {
        return rc < 0 && err->code == rc ? rc : error_set(err, TUSK_ENOSPACE, "take a block");
    }
    CHECK(block->index < rebuild->ns->blocks_per_segment);
    CHECK(block->segment->slots[block->index].state == SLOT_USED);
    CHECK(block->segment->number < space->next_segment);
    block->segment_number = block->segment->number;
    return 0;
}

static int start_block(struct rebuild *rebuild, uint64_t first_offset, struct error *err)
{
    struct namespace *ns = rebuild->ns;
    struct topic *topic = rebuild->topic;
    struct block block = {.generation = engine_random(ns->engine),
                          .first_offset = first_offset,
                          .end_offset = first_offset,
                          .last_time_us = topic->last_time_us,
                          .end = FORMAT_BLOCK_DATA};
    int rc = flush(rebuild, err);

    CHECK(!ns->journal.open);
    if (rc == 0) {
        rc = take_block(rebuild, &block, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (topic_active(topic) != NULL) {
        seal_later(topic);
    }
    if (topic_add_block(topic, &block) != 0) {
        return error_set(err, TUSK_ENOMEM, "rebuild a topic");
    }
    /* Nothing is believed before rebuild_finish(), so the seal of the block before need not wait
     * for a sync. */
    seal_write(ns, ns->journal.next_lsn);
    if (ns->journal.failure.code != 0) {
        *err = ns->journal.failure;
        return err->code;
    }
    CHECK(ns->seals == NULL);
    CHECK(topic->seed == batch_seed(ns->store_id, block.generation));
    block.segment->dirty = true;
    return tail_write_header(topic, topic->block_count - 1, err);
}

/* A batch too large for the buffer. What lies behind its body is not covered by a checksum, so it
 * is not copied. */
static int write_large(struct rebuild *rebuild, uint8_t *head, const uint8_t *bytes,
                       const struct batch_header *header, uint32_t position, struct error *err)
{
    static uint8_t zeros[BATCH_ALIGN];
    const uint32_t padded = (uint32_t)batch_padded_size(header->stored_size);
    struct iovec iov[3] = {
        {head, BATCH_HEADER_SIZE},
        {(void *)(uintptr_t)(bytes + BATCH_HEADER_SIZE), header->stored_size},
        {zeros, padded - BATCH_HEADER_SIZE - header->stored_size},
    };

    CHECK(padded > BUFFER_SIZE);
    CHECK(rebuild->used == 0);
    CHECK(padded - BATCH_HEADER_SIZE - header->stored_size < sizeof zeros);
    return write_at(rebuild, iov, iov[2].iov_len == 0 ? 2 : 3, position, err);
}

static int put(struct rebuild *rebuild, const uint8_t *bytes, const struct batch_header *header,
               struct error *err)
{
    struct topic *topic = rebuild->topic;
    const struct block *block = topic_active(topic);
    const uint32_t size = BATCH_HEADER_SIZE + header->stored_size;
    const uint32_t padded = (uint32_t)batch_padded_size(header->stored_size);
    uint8_t head[BATCH_HEADER_SIZE];
    uint8_t *out;
    int rc = 0;

    CHECK(block != NULL);
    CHECK(block->end % BATCH_ALIGN == 0);
    CHECK(padded <= format_block_limit(rebuild->ns->block_size) - block->end);
    CHECK(topic->seed == batch_seed(rebuild->ns->store_id, block->generation));
    memcpy(head, bytes, BATCH_HEADER_SIZE);
    topic->last_crc = batch_complete(head, header->first_offset, header->time_us, topic->last_crc,
                                     topic->seed, block->end);
    if (rebuild->used + padded > BUFFER_SIZE) {
        rc = flush(rebuild, err);
    }
    if (rc != 0 || padded > BUFFER_SIZE) {
        return rc != 0 ? rc : write_large(rebuild, head, bytes, header, block->end, err);
    }
    if (rebuild->used == 0) {
        rebuild->position = block->end;
    }
    CHECK(rebuild->used + padded <= BUFFER_SIZE);
    CHECK(rebuild->position + rebuild->used == block->end);
    CHECK(size <= padded);
    out = rebuild->buffer + rebuild->used;
    memcpy(out, head, BATCH_HEADER_SIZE);
    memcpy(out + BATCH_HEADER_SIZE, bytes + BATCH_HEADER_SIZE, header->stored_size);
    memset(out + size, 0, padded - size);
    rebuild->used += padded;
    return 0;
}

int rebuild_batch(struct rebuild *rebuild, const uint8_t *bytes, const struct batch_header *header,
                  struct error *err)
{
    struct namespace *ns = rebuild->ns;
    struct topic *topic = rebuild->topic;
    const uint32_t padded = (uint32_t)batch_padded_size(header->stored_size);
    struct block *block = topic_active(topic);
    int rc = 0;

    CHECK(rebuild->buffer != NULL);
    CHECK(topic->ns == ns);
    CHECK(block == NULL || header->first_offset >= block->end_offset);
    CHECK(padded <= format_block_limit(ns->block_size) - FORMAT_BLOCK_DATA);
    if (block == NULL || padded > format_block_limit(ns->block_size) - block->end) {
        rc = start_block(rebuild, header->first_offset, err);
        block = topic_active(topic);
    }
    if (rc == 0) {
        rc = put(rebuild, bytes, header, err);
    }
    if (rc != 0) {
        return error_wrap(err, "rebuild topic \"%.*s\"", (int)topic->name_size, topic->name);
    }
    topic_note_index(topic, format_index_interval(ns->block_size),
                     &(struct format_index_entry){.offset = header->first_offset,
                                                  .position = block->end,
                                                  .entries = block->entries});
    CHECK(padded <= format_block_limit(ns->block_size) - block->end);
    block->end += padded;
    block->entries += header->entry_count;
    block->end_offset = header->first_offset + header->entry_count;
    block->last_time_us = header->time_us;
    topic->last_time_us = header->time_us;
    topic->next_offset = block->end_offset;
    return 0;
}

/* ---- ends ---- */

int rebuild_topic_end(struct rebuild *rebuild, const struct topic *like, uint64_t next_offset,
                      struct error *err)
{
    struct topic *topic = rebuild->topic;
    const struct block *block = topic_active(topic);
    uint32_t i;
    int rc = flush(rebuild, err);

    CHECK(like->id == topic->id);
    CHECK(topic->cursor_count == 0);
    CHECK(topic->tail_bytes == 0);
    if (rc != 0) {
        return error_wrap(err, "rebuild topic \"%.*s\"", (int)topic->name_size, topic->name);
    }
    if (next_offset > topic->next_offset) {
        topic->next_offset = next_offset;
    }
    topic->run_end = topic->next_offset;
    topic->run_pending = topic->run_end;
    /* What lies before the first offset is not carried. */
    topic->written_end = block == NULL ? topic->first : block->end_offset;
    CHECK(topic->written_end >= topic->first);
    CHECK(topic->written_end <= topic->next_offset);
    topic->syncing_end = topic->written_end;
    topic->durable_end = topic->written_end;
    topic->tail_position = block == NULL ? 0 : block->end;
    for (i = 0; i < like->cursor_count; i++) {
        const struct cursor *cursor = like->cursors_by_id[i];

        if (topic_cursor_add(topic, cursor->id, cursor->name, cursor->name_size, cursor->offset,
                             cursor->epoch) == NULL) {
            return error_set(err, TUSK_ENOMEM, "rebuild a cursor");
        }
        rebuild->ns->cursor_count++;
    }
    if (like->next_cursor_id > topic->next_cursor_id) {
        topic->next_cursor_id = like->next_cursor_id;
    }
    rebuild->topic = NULL;
    return 0;
}

static int sync_all(struct namespace *ns, struct error *err)
{
    uint32_t i;

    CHECK(ns->state == ENGINE_SERVING);
    CHECK(ns->space.count <= ns->space.capacity);
    for (i = 0; i < ns->space.count; i++) {
        struct segment *segment = ns->space.segments[i];

        if (segment->dirty && io_sync(segment->file, NULL, err) != 0) {
            return err->code;
        }
        segment->dirty = false;
    }
    return 0;
}

int rebuild_finish(struct rebuild *rebuild, uint64_t next_topic_id,
                   const struct engine_settings *settings, struct error *err)
{
    struct namespace *ns = rebuild->ns;

    CHECK(rebuild->topic == NULL);
    CHECK(rebuild->used == 0);
    CHECK(ns->seals == NULL);
    CHECK(!ns->journal.open);
    ns->settings = *settings;
    if (next_topic_id > ns->next_topic_id) {
        ns->next_topic_id = next_topic_id;
    }
    /* Twice: the older of the two manifests that count must not be that of the empty namespace. */
    if (sync_all(ns, err) != 0 || manifest_write_now(&ns->manifest, ns->now.wall_us, err) != 0 ||
        manifest_write_now(&ns->manifest, ns->now.wall_us, err) != 0) {
        return error_wrap(err, "rebuild namespace \"%s\"", ns->name);
    }
    return 0;
}
