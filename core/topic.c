#include "core/topic.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/namespace.h"

struct topic *topic_new(struct namespace *ns, uint64_t id, const char *name, size_t name_size)
{
    struct topic *topic;

    CHECK(name_size > 0);
    CHECK(name != NULL);
    CHECK(name_size <= FORMAT_NAME_SIZE_MAX);
    topic = calloc(1, sizeof *topic + name_size);
    if (topic == NULL) {
        return NULL;
    }
    topic->ns = ns;
    topic->id = id;
    topic->retention.kind = ENGINE_RETAIN_INHERIT;
    topic->next_cursor_id = 1;
    topic->name_size = (uint16_t)name_size;
    memcpy(topic->name, name, name_size);
    link_init(&topic->readers);
    link_init(&topic->turn);
    link_init(&topic->dirty);
    link_init(&topic->syncing);
    link_init(&topic->tailed);
    link_init(&topic->due);
    link_init(&topic->runnable);
    link_init(&topic->stalled);
    link_init(&topic->running);
    return topic;
}

static void cursor_free(struct cursor *cursor)
{
    CHECK(cursor != NULL);
    link_remove(&cursor->dirty);
    link_remove(&cursor->syncing);
    link_remove(&cursor->unrecorded);
    free(cursor);
}

void topic_free(struct topic *topic)
{
    uint32_t i;

    CHECK(topic->reads == 0 || topic->ns->state != ENGINE_SERVING);
    CHECK(topic->cursor_count <= topic->cursor_capacity);
    for (i = 0; i < topic->cursor_count; i++) {
        cursor_free(topic->cursors[i]);
    }
    link_remove(&topic->readers);
    link_remove(&topic->turn);
    link_remove(&topic->dirty);
    link_remove(&topic->syncing);
    link_remove(&topic->tailed);
    link_remove(&topic->due);
    link_remove(&topic->runnable);
    link_remove(&topic->stalled);
    link_remove(&topic->running);
    free(topic->cursors);
    free(topic->cursors_by_id);
    free(topic->blocks);
    free(topic->index);
    free(topic);
}

int topic_block_room(struct topic *topic)
{
    CHECK(topic->block_count <= topic->block_capacity);
    if (topic->block_count == topic->block_capacity) {
        const uint32_t capacity = topic->block_capacity == 0 ? 1 : topic->block_capacity * 2;
        struct block *blocks = realloc(topic->blocks, capacity * sizeof *blocks);

        if (blocks == NULL) {
            return TUSK_ENOMEM;
        }
        topic->blocks = blocks;
        topic->block_capacity = capacity;
    }
    CHECK(topic->block_count < topic->block_capacity);
    return 0;
}

int topic_add_block(struct topic *topic, const struct block *block)
{
    const int rc = topic_block_room(topic);

    CHECK(block->end >= FORMAT_BLOCK_DATA);
    CHECK(block->end_offset >= block->first_offset);
    CHECK(topic->tail_bytes == 0);
    if (rc != 0) {
        return rc;
    }
    topic->blocks[topic->block_count++] = *block;
    topic->seed = batch_seed(topic->ns->store_id, block->generation);
    topic->tail_position = block->end;
    free(topic->index);
    topic->index = NULL;
    return 0;
}

void topic_drop_blocks(struct topic *topic, uint32_t count)
{
    CHECK(count < topic->block_count || topic->tail_bytes == 0);
    CHECK(count <= topic->block_count);
    memmove(topic->blocks, topic->blocks + count,
            (topic->block_count - count) * sizeof *topic->blocks);
    topic->block_count -= count;
    if (topic->block_count == 0) {
        free(topic->index);
        topic->index = NULL;
    }
}

void topic_remove_block(struct topic *topic, uint32_t at)
{
    CHECK(topic->tail_bytes == 0);
    CHECK(at < topic->block_count);
    memmove(topic->blocks + at, topic->blocks + at + 1,
            (topic->block_count - at - 1) * sizeof *topic->blocks);
    topic->block_count--;
    if (at > 0 && at == topic->block_count) {
        /* The one before is active again. */
        topic->seed = batch_seed(topic->ns->store_id, topic->blocks[at - 1].generation);
        topic->tail_position = topic->blocks[at - 1].end;
        free(topic->index);
        topic->index = NULL;
    }
}

uint32_t topic_find_block(const struct topic *topic, uint64_t offset)
{
    uint32_t low = 0;
    uint32_t high = topic->block_count;

    CHECK(topic->block_count <= topic->block_capacity);
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;

        if (topic->blocks[middle].end_offset > offset) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    CHECK(low <= topic->block_count);
    return low;
}

uint32_t topic_find_address(const struct topic *topic, uint64_t segment, uint16_t index,
                            uint64_t generation)
{
    uint32_t i;

    CHECK(topic->block_count <= topic->block_capacity);
    /* From the end: what is looked for is nearly always the active block. */
    for (i = topic->block_count; i > 0; i--) {
        const struct block *block = &topic->blocks[i - 1];

        if (block->segment_number == segment && block->index == index &&
            block->generation == generation) {
            return i - 1;
        }
    }
    return topic->block_count;
}

static struct block_index *index_with_room(struct topic *topic)
{
    struct block_index *index = topic->index;
    const uint32_t capacity = index == NULL ? 2 : index->capacity * 2;

    CHECK(topic->block_count > 0);
    CHECK(index == NULL || index->count <= index->capacity);
    if (index != NULL && index->count < index->capacity) {
        return index;
    }
    if (index != NULL && index->count >= FORMAT_INDEX_MAX) {
        return NULL;
    }
    index = realloc(index, sizeof *index + capacity * sizeof index->entries[0]);
    if (index == NULL) {
        return NULL;
    }
    if (topic->index == NULL) {
        index->count = 0;
        index->generation = topic_active(topic)->generation;
    }
    index->capacity = capacity;
    topic->index = index;
    return index;
}

void topic_note_index(struct topic *topic, uint32_t interval,
                      const struct format_index_entry *entry)
{
    struct block_index *index = topic->index;
    uint32_t at = index == NULL ? 0 : index->count;

    CHECK(interval > 0);
    CHECK(entry->position >= FORMAT_BLOCK_DATA);
    CHECK(index == NULL || index->count <= index->capacity);
    CHECK(topic_active(topic) != NULL);
    /* Nearly always behind the last one; before it when a walk learns what a restart forgot. */
    while (at > 0 && index->entries[at - 1].position > entry->position) {
        at--;
    }
    if (at > 0 && entry->position - index->entries[at - 1].position < interval) {
        return;
    }
    if (index != NULL && at < index->count &&
        index->entries[at].position - entry->position < interval) {
        return;
    }
    index = index_with_room(topic);
    if (index == NULL) {
        return;
    }
    CHECK(index->count < index->capacity);
    CHECK(at <= index->count);
    memmove(&index->entries[at + 1], &index->entries[at],
            (index->count - at) * sizeof index->entries[0]);
    index->entries[at] = *entry;
    index->count++;
}

uint64_t topic_entries_from(const struct topic *topic, uint64_t offset)
{
    uint64_t entries = 0;
    uint32_t i;

    for (i = topic_find_block(topic, offset); i < topic->block_count; i++) {
        const struct block *block = &topic->blocks[i];
        CHECK(block->end_offset >= offset);
        CHECK(block->end_offset >= block->first_offset);
        const uint64_t rest =
            block->end_offset - (offset > block->first_offset ? offset : block->first_offset);

        entries += rest < block->entries ? rest : block->entries;
    }
    return entries;
}

uint64_t topic_visible_end(const struct topic *topic)
{
    CHECK(topic->ns != NULL);
    if (topic->ns->settings.fsync_ms != ENGINE_FSYNC_EACH) {
        return topic->written_end;
    }
    return topic->durable_end > topic->shown_end ? topic->durable_end : topic->shown_end;
}

struct engine_retention_rule topic_retention(const struct topic *topic)
{
    CHECK(topic->ns != NULL);
    return topic->retention.kind == ENGINE_RETAIN_INHERIT ? topic->ns->settings.retention
                                                          : topic->retention;
}

int name_compare(const char *a, size_t a_size, const char *b, size_t b_size)
{
    const int order = memcmp(a, b, a_size < b_size ? a_size : b_size);

    if (order != 0) {
        return order;
    }
    return a_size < b_size ? -1 : a_size > b_size;
}

/* The index of the first cursor whose name is not before (name, size). */
static uint32_t cursor_lower_bound(const struct topic *topic, const char *name, size_t size)
{
    uint32_t low = 0;
    uint32_t high = topic->cursor_count;

    CHECK(name != NULL || size == 0);
    CHECK(topic->cursor_count <= topic->cursor_capacity);
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const struct cursor *cursor = topic->cursors[middle];

        if (name_compare(cursor->name, cursor->name_size, name, size) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct cursor *topic_cursor_find(const struct topic *topic, const char *name, size_t size)
{
    const uint32_t at = cursor_lower_bound(topic, name, size);

    CHECK(name != NULL || size == 0);
    if (at == topic->cursor_count ||
        name_compare(topic->cursors[at]->name, topic->cursors[at]->name_size, name, size) != 0) {
        return NULL;
    }
    CHECK(topic->cursors[at]->topic == topic);
    return topic->cursors[at];
}

uint32_t topic_cursor_after(const struct topic *topic, const char *name, size_t size)
{
    uint32_t at;

    if (name == NULL) {
        return 0;
    }
    at = cursor_lower_bound(topic, name, size);
    if (at < topic->cursor_count &&
        name_compare(topic->cursors[at]->name, topic->cursors[at]->name_size, name, size) == 0) {
        at++;
    }
    CHECK(at <= topic->cursor_count);
    return at;
}

/* The index in cursors_by_id of an id, or cursor_count. */
static uint32_t cursor_id_index(const struct topic *topic, uint64_t id)
{
    uint32_t low = 0;
    uint32_t high = topic->cursor_count;

    CHECK(topic->cursor_count <= topic->cursor_capacity);
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;

        if (topic->cursors_by_id[middle]->id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < topic->cursor_count && topic->cursors_by_id[low]->id == id ? low
                                                                            : topic->cursor_count;
}

struct cursor *topic_cursor_by_id(const struct topic *topic, uint64_t id)
{
    const uint32_t at = cursor_id_index(topic, id);

    CHECK(topic != NULL);
    return at == topic->cursor_count ? NULL : topic->cursors_by_id[at];
}

static int cursors_grow(struct topic *topic)
{
    const uint32_t capacity = topic->cursor_capacity == 0 ? 2 : topic->cursor_capacity * 2;
    struct cursor **by_name;
    struct cursor **by_id;

    CHECK(topic->cursor_count <= topic->cursor_capacity);
    if (topic->cursor_count < topic->cursor_capacity) {
        return 0;
    }
    by_name = realloc(topic->cursors, capacity * sizeof(struct cursor *));
    if (by_name == NULL) {
        return TUSK_ENOMEM;
    }
    topic->cursors = by_name;
    by_id = realloc(topic->cursors_by_id, capacity * sizeof(struct cursor *));
    if (by_id == NULL) {
        return TUSK_ENOMEM;
    }
    topic->cursors_by_id = by_id;
    topic->cursor_capacity = capacity;
    CHECK(topic->cursor_count < topic->cursor_capacity);
    return 0;
}

struct cursor *topic_cursor_add(struct topic *topic, uint64_t id, const char *name, size_t size,
                                uint64_t offset, uint64_t epoch)
{
    const uint32_t at = cursor_lower_bound(topic, name, size);
    struct cursor *cursor;

    CHECK(name != NULL || size == 0);
    CHECK(!topic->deleted);
    CHECK(size <= FORMAT_NAME_SIZE_MAX);
    CHECK(topic->cursor_count == 0 || topic->cursors_by_id[topic->cursor_count - 1]->id < id);
    if (cursors_grow(topic) != 0) {
        return NULL;
    }
    cursor = calloc(1, sizeof *cursor + size);
    if (cursor == NULL) {
        return NULL;
    }
    cursor->id = id;
    cursor->offset = offset;
    cursor->recorded_offset = offset;
    cursor->syncing_offset = offset;
    cursor->durable_offset = offset;
    cursor->epoch = epoch;
    cursor->topic = topic;
    cursor->name_size = (uint16_t)size;
    memcpy(cursor->name, name, size);
    link_init(&cursor->dirty);
    link_init(&cursor->syncing);
    link_init(&cursor->unrecorded);
    memmove(topic->cursors + at + 1, topic->cursors + at,
            (topic->cursor_count - at) * sizeof(struct cursor *));
    CHECK(at <= topic->cursor_count);
    CHECK(topic->cursor_count < topic->cursor_capacity);
    topic->cursors[at] = cursor;
    topic->cursors_by_id[topic->cursor_count] = cursor;
    topic->cursor_count++;
    topic->next_cursor_id = id + 1;
    return cursor;
}

void topic_cursor_remove(struct topic *topic, struct cursor *cursor)
{
    const uint32_t at = cursor_lower_bound(topic, cursor->name, cursor->name_size);
    const uint32_t id_at = cursor_id_index(topic, cursor->id);

    CHECK(cursor->topic == topic);
    CHECK(topic->cursor_count > 0);
    CHECK(at < topic->cursor_count);
    CHECK(topic->cursors[at] == cursor);
    CHECK(id_at < topic->cursor_count);
    topic->cursor_count--;
    memmove(topic->cursors + at, topic->cursors + at + 1,
            (topic->cursor_count - at) * sizeof(struct cursor *));
    memmove(topic->cursors_by_id + id_at, topic->cursors_by_id + id_at + 1,
            (topic->cursor_count - id_at) * sizeof(struct cursor *));
    cursor_free(cursor);
}

uint64_t topic_cursor_floor(const struct topic *topic)
{
    uint64_t floor = UINT64_MAX;
    uint32_t i;

    CHECK(topic->cursor_count <= topic->cursor_capacity);
    for (i = 0; i < topic->cursor_count; i++) {
        const struct cursor *cursor = topic->cursors[i];
        /* A seek backwards counts at once, a step forwards only when it is durable. */
        const uint64_t needs =
            cursor->offset < cursor->durable_offset ? cursor->offset : cursor->durable_offset;

        floor = needs < floor ? needs : floor;
    }
    return floor;
}
