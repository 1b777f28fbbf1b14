#include "core/tail.h"

#include <string.h>

#include "core/check.h"
#include "core/namespace.h"
#include "proto/bytes.h"

#define PIECES_MAX 256

/* Items of a tail, gathered for a write. */
struct gather {
    struct topic *topic;
    struct iovec pieces[PIECES_MAX];
    int count;
    uint64_t bytes;
    uint64_t offset; /* In the file */
};

void tail_add(struct topic *topic, uint64_t item_position, uint32_t padded_size)
{
    struct namespace *ns = topic->ns;

    CHECK(topic_active(topic) != NULL);
    CHECK(padded_size % BATCH_ALIGN == 0);
    CHECK(topic->tail_bytes > 0 || !link_linked(&topic->tailed));
    if (topic->tail_bytes == 0) {
        topic->tail_first = item_position;
        topic->hint_position = 0;
        list_append(&ns->tailed_topics, &topic->tailed);
    } else {
        *ring_link(&ns->ring, topic->tail_last) = item_position;
    }
    topic->tail_last = item_position;
    topic->tail_bytes += padded_size;
    if (topic->tail_bytes >= ns->options->tail_apply_bytes && !link_linked(&topic->due)) {
        list_append(&ns->due_topics, &topic->due);
    }
    CHECK(link_linked(&topic->tailed));
}

static int gather_flush(struct gather *gather)
{
    struct namespace *ns = gather->topic->ns;
    const struct block *block = topic_active(gather->topic);

    CHECK(gather->count <= PIECES_MAX);
    CHECK(block != NULL);
    CHECK(block->segment != NULL);
    if (gather->count == 0) {
        return 0;
    }
    if (io_write(block->segment->file, gather->pieces, gather->count, gather->offset,
                 &ns->journal.failure) != 0) {
        return error_wrap(&ns->journal.failure, "write a block of segment %016llx",
                          (unsigned long long)block->segment_number);
    }
    gather->offset += gather->bytes;
    gather->count = 0;
    gather->bytes = 0;
    return 0;
}

static int gather_add(struct gather *gather, const void *data, size_t size)
{
    CHECK(data != NULL);
    CHECK(size > 0);
    CHECK(gather->count <= PIECES_MAX);
    if (gather->count == PIECES_MAX && gather_flush(gather) != 0) {
        return gather->topic->ns->journal.failure.code;
    }
    gather->pieces[gather->count++] =
        (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    gather->bytes += size;
    return 0;
}

/* Page 0 says whose the block is. The allocate record holds the same, so it needs no order. */
int tail_write_header(struct topic *topic, uint32_t at, struct error *err)
{
    struct namespace *ns = topic->ns;
    struct block *block = &topic->blocks[at];
    uint8_t page[FORMAT_PAGE];
    struct iovec iov = {.iov_base = page, .iov_len = sizeof page};
    struct format_block header = {.block_size = ns->block_size,
                                  .segment = block->segment_number,
                                  .index = block->index,
                                  .generation = block->generation,
                                  .topic_id = topic->id,
                                  .first_offset = block->first_offset,
                                  .previous_segment = FORMAT_NONE,
                                  .previous_index = FORMAT_NONE,
                                  .name = topic->name,
                                  .name_size = topic->name_size};

    CHECK(block->segment != NULL);
    CHECK(block->index < ns->blocks_per_segment);
    CHECK(at < topic->block_count);
    memcpy(header.store_id, ns->store_id, sizeof header.store_id);
    if (at > 0) {
        header.previous_segment = block[-1].segment_number;
        header.previous_index = block[-1].index;
    }
    format_block_encode(page, &header);
    if (io_write(block->segment->file, &iov, 1, (uint64_t)block->index * ns->block_size, err) !=
        0) {
        return error_wrap(err, "write the header of a block in segment %016llx",
                          (unsigned long long)block->segment_number);
    }
    block->headed = true;
    return 0;
}

static int gather_tail(struct gather *gather)
{
    struct topic *topic = gather->topic;
    const struct ring *ring = &topic->ns->ring;
    uint64_t position = topic->tail_first;
    uint64_t bytes = 0;

    CHECK(topic->tail_bytes == 0 || link_linked(&topic->tailed));
    while (bytes < topic->tail_bytes) {
        const uint8_t *item = ring_at(ring, position);
        struct batch_header header;
        uint64_t size;

        batch_header_decode(&header, item + FORMAT_PLACE_SIZE);
        size = batch_padded_size(header.stored_size);
        CHECK(get_u32(item + 8) == topic->tail_position + bytes);
        if (gather_add(gather, item + FORMAT_PLACE_SIZE, size) != 0) {
            return topic->ns->journal.failure.code;
        }
        bytes += size;
        position = *ring_link(ring, position);
    }
    CHECK(bytes == topic->tail_bytes);
    return 0;
}

static void tail_forget(struct topic *topic)
{
    CHECK(topic->tail_bytes > 0 || !link_linked(&topic->due));
    topic->tail_bytes = 0;
    topic->hint_position = 0;
    link_remove(&topic->tailed);
    link_remove(&topic->due);
}

void tail_drop(struct topic *topic)
{
    CHECK(topic != NULL);
    tail_forget(topic);
}

static int apply(struct topic *topic, const struct iovec *more, int more_count)
{
    struct namespace *ns = topic->ns;
    struct block *block = topic_active(topic);
    struct gather gather;
    int i;

    CHECK(more_count == 0 || more != NULL);
    CHECK(block == NULL || topic->tail_position + topic->tail_bytes == block->end);
    if (ns->journal.failure.code != 0) {
        return ns->journal.failure.code;
    }
    CHECK(block != NULL);
    CHECK(block->segment != NULL);
    gather.topic = topic;
    gather.count = 0;
    gather.bytes = 0;
    gather.offset = (uint64_t)block->index * ns->block_size + topic->tail_position;
    if ((!block->headed &&
         tail_write_header(topic, topic->block_count - 1, &ns->journal.failure) != 0) ||
        gather_tail(&gather) != 0) {
        return ns->journal.failure.code;
    }
    for (i = 0; i < more_count; i++) {
        if (gather_add(&gather, more[i].iov_base, more[i].iov_len) != 0) {
            return ns->journal.failure.code;
        }
    }
    CHECK(gather.count <= PIECES_MAX);
    if (gather_flush(&gather) != 0) {
        return ns->journal.failure.code;
    }
    block->segment->dirty = true;
    ns->counters.applies++;
    ns->counters.apply_bytes += topic->tail_bytes;
    topic->tail_position += topic->tail_bytes;
    tail_forget(topic);
    return 0;
}

int tail_apply(struct topic *topic)
{
    CHECK(topic->tail_bytes == 0 || topic_active(topic) != NULL);
    return topic->tail_bytes == 0 ? 0 : apply(topic, NULL, 0);
}

int tail_apply_direct(struct topic *topic, uint32_t position, const uint8_t *header,
                      const uint8_t *body, uint32_t body_size)
{
    static const uint8_t zeros[BATCH_ALIGN];
    const uint32_t padded = (uint32_t)batch_padded_size(body_size);
    const uint32_t padding = padded - BATCH_HEADER_SIZE - body_size;
    struct iovec more[3] = {
        {.iov_base = (void *)(uintptr_t)header, .iov_len = BATCH_HEADER_SIZE},
        {.iov_base = (void *)(uintptr_t)body, .iov_len = body_size},
        {.iov_base = (void *)(uintptr_t)zeros, .iov_len = padding},
    };
    int rc;

    CHECK(header != NULL);
    CHECK(body != NULL);
    CHECK(padding < BATCH_ALIGN);
    CHECK(position == topic->tail_position + topic->tail_bytes);
    rc = apply(topic, more, padding > 0 ? 3 : 2);
    if (rc == 0) {
        topic->tail_position += padded;
        space_direct_dirty(&topic->ns->space, topic_active(topic)->segment);
    }
    return rc;
}

uint64_t tail_oldest(const struct namespace *ns)
{
    const struct link *first = ns->tailed_topics.next;

    CHECK(first != NULL);
    if (first == &ns->tailed_topics) {
        return ns->ring.head;
    }
    CHECK(link_owner(first, struct topic, tailed)->tail_bytes > 0);
    return link_owner(first, struct topic, tailed)->tail_first;
}

int tail_make_room(struct namespace *ns, uint64_t size)
{
    const uint64_t need =
        format_record_padded(FORMAT_RECORD_HEADER_SIZE + size) + FORMAT_RECORD_ALIGN;
    const uint64_t end = ring_place(&ns->ring, need) + need;
    const uint64_t overwritten = end > ns->ring.size ? end - ns->ring.size : 0;

    CHECK(need <= ns->ring.size);
    CHECK(end >= ns->ring.head);
    if (journal_unwritten_position(&ns->journal) < overwritten &&
        journal_flush(&ns->journal, NULL) != 0) {
        return ns->journal.failure.code;
    }
    while (tail_oldest(ns) < overwritten) {
        struct link *oldest = list_first(&ns->tailed_topics);

        CHECK(oldest != NULL);
        if (tail_apply(link_owner(oldest, struct topic, tailed)) != 0) {
            return ns->journal.failure.code;
        }
    }
    return 0;
}

void tail_work(struct namespace *ns)
{
    const uint64_t high = ns->ring.size - ns->ring.size / 4;
    uint64_t applied = 0;
    struct link *first;

    CHECK(ns->state == ENGINE_SERVING);
    CHECK(!ns->journal.open);
    while (applied < TAIL_APPLY_TURN && (first = list_first(&ns->due_topics)) != NULL) {
        struct topic *topic = link_owner(first, struct topic, due);

        applied += topic->tail_bytes;
        if (tail_apply(topic) != 0) {
            return;
        }
    }
    /* Before the ring is full, so that no turn has to apply much at once. */
    while (applied < TAIL_APPLY_TURN && ns->ring.head - tail_oldest(ns) > high) {
        struct topic *topic;

        first = list_first(&ns->tailed_topics);
        CHECK(first != NULL);
        topic = link_owner(first, struct topic, tailed);
        applied += topic->tail_bytes;
        if (tail_apply(topic) != 0) {
            return;
        }
    }
}
