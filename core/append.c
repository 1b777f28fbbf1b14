/* Appends: from a request to a place in the order.
 *
 * Happy path, in one call: (1) verify the batch, (2) find or create its topic, (3) see that offsets, space and
 * journal are reserved for it, (4) give it its offset, its time and its place, and complete its header, (5) put it
 * into the journal's open record, or, when it is large, straight into its block with only place and header to
 * the journal, (6) wait for the watermark the schedule asks for.
 *
 * When (3) is not there yet, the batch is kept, the topic is *stalled*, and append_work() goes on when the topic has become
 * *runnable*: its run is durable, its space is reserved (or refused), or something all topics may wait for has
 * changed (ns->retry_stalled). Appends of one topic never overtake each other. NO_SPACE is decided here, batch by
 * batch, before anything of the batch is written. */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/namespace.h"
#include "core/seal.h"
#include "core/tail.h"
#include "proto/bytes.h"

#define RUN_SIZE_MIN 1024u
#define RUN_SIZE_MAX ((uint64_t)1 << 40)
#define RUN_LASTS_US 1000000u
#define RECORDS_BEFORE 512u /* Journal bytes of the records an append may need besides its own */

/* What the steps below return; or a negative TUSK_E*: refused. */
enum { STAGED_NOT_YET = 0, STAGED = 1 };

/* ---- offsets ---- */

/* Reserve offsets behind the run by a record. The run is used once that record is durable. */
static void extend_run(struct topic *topic, uint64_t least)
{
    struct namespace *ns = topic->ns;
    const uint64_t now = ns->now.mono_us;
    const uint64_t from = topic->run_end > topic->next_offset ? topic->run_end : topic->next_offset;
    struct format_record record = {.type = RECORD_RUN};

    if (topic->run_size < RUN_SIZE_MIN) {
        topic->run_size = RUN_SIZE_MIN;
    } else if (now - topic->run_time_us < RUN_LASTS_US && topic->run_size < RUN_SIZE_MAX) {
        topic->run_size *= 2;
    }
    if (topic->run_size < least) {
        topic->run_size = least;
    }
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

    while (link != &ns->running_topics) {
        struct topic *topic = link_owner(link, struct topic, running);

        link = link->next;
        if (topic->run_ticket > ns->flusher.durable) {
            continue;
        }
        manifest_touch(topic);
        topic->run_end = topic->run_pending;
        link_remove(&topic->running);
        if (topic->waiting != NULL && !link_linked(&topic->runnable)) {
            list_append(&ns->runnable_topics, &topic->runnable);
        }
    }
}

/* Whether `count` offsets may be issued now. Extends the run ahead of need. */
static int have_offsets(struct topic *topic, uint32_t count)
{
    struct namespace *ns = topic->ns;

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
    if (topic_add_block(topic, &block) != 0) {
        return TUSK_ENOMEM;
    }
    (void)journal_record(&ns->journal, &record);
    topic->next_segment = NULL;
    return 0;
}

/* Take a block for the topic ahead of need and have it reserved. 1: it is taken. */
static int prepare_block(struct topic *topic, uint32_t want)
{
    struct namespace *ns = topic->ns;
    int rc;

    if (topic->next_segment == NULL) {
        if (ns->settings.quota_bytes > 0 &&
            ((uint64_t)ns->space.used_count + 1) * ns->block_size > ns->settings.quota_bytes) {
            return TUSK_EQUOTA;
        }
        rc = space_take(&ns->space, &topic->next_segment, &topic->next_index);
        if (rc != 1) {
            topic->next_segment = NULL;
            return rc;
        }
    }
    if (topic->next_segment->slots[topic->next_index].reserved < want) {
        space_reserve(&ns->space, topic->next_segment, topic->next_index, want, topic);
    }
    return 1;
}

/* A reservation failed, and this batch needs it: the error, once. 0: none failed. */
static int take_space_error(struct topic *topic)
{
    const int rc = topic->space_error;

    topic->space_error = 0;
    return rc;
}

static int have_new_block(struct topic *topic, uint32_t padded)
{
    const uint32_t want = FORMAT_BLOCK_DATA + padded;
    int rc = topic->space_error == 0 || topic->next_segment != NULL ? 1 : take_space_error(topic);

    if (rc == 1 && topic->next_segment != NULL &&
        topic->next_segment->slots[topic->next_index].reserved < want && topic->space_error != 0) {
        rc = take_space_error(topic);
    }
    if (rc == 1) {
        rc = prepare_block(topic, want);
    }
    if (rc != 1) {
        return rc;
    }
    if (topic->next_segment->slots[topic->next_index].reserved < want) {
        return STAGED_NOT_YET;
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

    if (slot->reserved < ns->block_size && !slot->extending && end > slot->reserved / 2) {
        space_reserve(&ns->space, block->segment, block->index, slot->reserved + FORMAT_PAGE,
                      topic);
    }
    if (end > limit - limit / 4 && topic->next_segment == NULL) {
        const uint32_t want =
            SPACE_STEP_SECOND < ns->block_size ? SPACE_STEP_SECOND : ns->block_size;

        (void)prepare_block(topic, want); /* Whoever needs it asks again and learns why not */
    }
}

/* Whether the active block has reserved room for a batch; sees to it otherwise. */
static int have_space(struct topic *topic, uint32_t padded)
{
    struct namespace *ns = topic->ns;
    const struct block *block = topic_active(topic);
    const struct slot *slot;
    uint32_t end;

    if (block == NULL || block->segment == NULL ||
        block->end + padded > format_block_limit(ns->block_size)) {
        return have_new_block(topic, padded);
    }
    end = block->end + padded;
    slot = &block->segment->slots[block->index];
    if (end <= slot->reserved) {
        reserve_ahead(topic, block, end);
        return STAGED;
    }
    if (topic->space_error != 0) {
        return take_space_error(topic);
    }
    space_reserve(&ns->space, block->segment, block->index, end, topic);
    return topic->space_error != 0 ? take_space_error(topic) : STAGED_NOT_YET;
}

/* ---- staging ---- */

static bool goes_direct(const struct namespace *ns, uint32_t padded)
{
    const uint32_t threshold = ns->settings.fsync_ms == ENGINE_FSYNC_EACH
                                   ? ns->options->direct_threshold_each
                                   : ns->options->direct_threshold;

    return padded >= threshold || padded + FORMAT_PLACE_SIZE > journal_item_max(ns->options);
}

/* Write place and completed header of the topic's next batch. */
static uint32_t complete(struct topic *topic, uint8_t *item, const struct block *block)
{
    const struct format_place place = {
        .segment = block->segment_number, .position = block->end, .index = block->index};
    const uint64_t wall = topic->ns->now.wall_us;

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

    manifest_touch(topic);
    (void)tail_make_room(ns, item_size); /* A failure is kept and stops the namespace */
    item = journal_item(&ns->journal, direct ? RECORD_DIRECT : RECORD_BATCH, item_size, &position);
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
    ticket = journal_item_done(&ns->journal, item);
    topic_note_index(topic, ns->index_interval, block->end, topic->next_offset, block->entries);
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
    return ticket;
}

/* Steps (3) to (6). */
static int try_stage(struct topic *topic, struct engine_append *append, const uint8_t *batch,
                     const struct batch_header *header)
{
    struct namespace *ns = topic->ns;
    const uint32_t padded = (uint32_t)batch_padded_size(header->stored_size);
    int rc;
    uint64_t ticket;

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
    rc = have_offsets(topic, header->entry_count);
    if (rc == STAGED) {
        rc = have_space(topic, padded);
    } else if (rc == STAGED_NOT_YET) {
        /* Both at once: a new topic waits for one sync, not for two. */
        const int space = have_space(topic, padded);

        rc = space < 0 ? space : STAGED_NOT_YET;
    }
    if (rc != STAGED) {
        return rc;
    }
    append->topic_id = topic->id;
    append->first_offset = topic->next_offset;
    ticket = stage(topic, batch, header);
    append->end = topic->next_offset;
    if (append->durable || ns->settings.fsync_ms == ENGINE_FSYNC_EACH) {
        request_when_durable(ns, &append->base, ticket);
    } else {
        request_when_written(ns, &append->base, ticket);
    }
    return STAGED;
}

static void refuse(struct namespace *ns, struct engine_append *append, int code)
{
    switch (code) {
    case TUSK_ENOSPACE:
        request_fail(ns, &append->base, code,
                     "no space left for namespace \"%s\": nothing of this batch was stored; free "
                     "space on its file system, appends resume by themselves",
                     ns->name);
        break;
    case TUSK_EQUOTA:
        request_fail(ns, &append->base, code,
                     "namespace \"%s\" has used its quota of %llu bytes: trim topics or raise it",
                     ns->name, (unsigned long long)ns->settings.quota_bytes);
        break;
    case TUSK_ETOOBIG:
        request_fail(ns, &append->base, code, "the topic has no offsets left");
        break;
    default:
        request_fail(ns, &append->base, code, "%s", status_text(code));
        break;
    }
}

/* ---- waiting ---- */

static void park(struct topic *topic, struct engine_append *append)
{
    struct namespace *ns = topic->ns;

    if (ns->waiting_bytes + append->batch_size > ns->options->waiting_bytes_max) {
        request_fail(ns, &append->base, TUSK_EBUSY,
                     "too many appends wait for the disk (limit: %llu bytes); try later",
                     (unsigned long long)ns->options->waiting_bytes_max);
        return;
    }
    append->kept = malloc(append->batch_size);
    if (append->kept == NULL) {
        request_fail(ns, &append->base, TUSK_ENOMEM, "keep a batch of %zu bytes",
                     append->batch_size);
        return;
    }
    memcpy(append->kept, append->batch, append->batch_size);
    append->batch = append->kept;
    append->base.next = NULL;
    if (topic->waiting == NULL) {
        topic->waiting = append;
    } else {
        topic->waiting_last->base.next = &append->base;
    }
    topic->waiting_last = append;
    ns->waiting_bytes += append->batch_size;
    ns->waiting_appends++;
    if (!link_linked(&topic->stalled)) {
        list_append(&ns->stalled_topics, &topic->stalled);
    }
}

/* The first waiting append leaves the queue. */
static void unpark(struct topic *topic)
{
    struct engine_append *append = topic->waiting;

    topic->waiting = (struct engine_append *)(void *)append->base.next;
    topic->ns->waiting_bytes -= append->batch_size;
    topic->ns->waiting_appends--;
    if (topic->waiting == NULL) {
        topic->waiting_last = NULL;
        link_remove(&topic->stalled);
        link_remove(&topic->runnable);
    }
}

static void go_on(struct topic *topic)
{
    while (topic->waiting != NULL && topic->ns->journal.failure.code == 0) {
        struct engine_append *append = topic->waiting;
        uint8_t *kept = append->kept;
        struct engine_request *next = append->base.next;
        struct batch_header header;
        int rc;

        batch_header_decode(&header, kept);
        rc = try_stage(topic, append, kept, &header);
        if (rc == STAGED_NOT_YET) {
            return;
        }
        /* The request's link now belongs to another queue. */
        topic->waiting = append;
        append->base.next = next;
        unpark(topic);
        append->base.next = NULL;
        free(kept);
        append->kept = NULL;
        if (rc != STAGED) {
            refuse(topic->ns, append, rc);
        }
    }
}

void append_work(struct namespace *ns)
{
    struct link *link;

    if (ns->retry_stalled) {
        ns->retry_stalled = false;
        for (link = ns->stalled_topics.next; link != &ns->stalled_topics; link = link->next) {
            struct topic *topic = link_owner(link, struct topic, stalled);

            if (!link_linked(&topic->runnable)) {
                list_append(&ns->runnable_topics, &topic->runnable);
            }
        }
    }
    while ((link = list_take(&ns->runnable_topics)) != NULL) {
        struct topic *topic = link_owner(link, struct topic, runnable);

        go_on(topic);
        if (topic->waiting == NULL) {
            topic->space_error = 0; /* Nobody waits for what failed; the next append asks again */
        }
    }
}

void append_fail_waiting(struct topic *topic, int code, const char *why)
{
    while (topic->waiting != NULL) {
        struct engine_append *append = topic->waiting;

        unpark(topic);
        append->base.next = NULL;
        free(append->kept);
        append->kept = NULL;
        request_fail(topic->ns, &append->base, code, "%s", why);
    }
}

/* ---- the request ---- */

struct topic *append_create_topic(struct namespace *ns, const char *name, size_t size,
                                  const struct engine_retention_rule *retention, uint64_t *ticket,
                                  struct error *err)
{
    struct format_record record = {.type = RECORD_TOPIC_CREATE, .name = name};
    const uint64_t quota = ns->settings.quota_topics;
    struct topic *topic;
    int admits;

    if (size == 0 || size > ENGINE_NAME_SIZE_MAX) {
        (void)error_set(err, TUSK_EINVALID, "a topic's name has 1 to %u bytes, not %zu",
                        ENGINE_NAME_SIZE_MAX, size);
        return NULL;
    }
    if (ns->topic_count >= ns->options->topics_max || (quota > 0 && ns->topic_count >= quota)) {
        (void)error_set(err, quota > 0 && ns->topic_count >= quota ? TUSK_EQUOTA : TUSK_EBUSY,
                        "namespace \"%s\" has %u topics, its limit", ns->name, ns->topic_count);
        return NULL;
    }
    admits = journal_admits(&ns->journal, format_record_size(&record) + size, JOURNAL_RESERVE);
    if (admits == 0) {
        /* Spares are being made: there is no topic yet to wait in, and a topic's record is small. */
        admits = journal_admits(&ns->journal, format_record_size(&record) + size, 1);
    }
    if (admits != 1) {
        (void)error_set(err, admits == 0 ? TUSK_EBUSY : admits,
                        "namespace \"%s\" has no room for a new topic", ns->name);
        return NULL;
    }
    topic = topic_new(ns, ns->next_topic_id, name, size);
    if (topic == NULL) {
        (void)error_set(err, TUSK_ENOMEM, "create a topic");
        return NULL;
    }
    ns->next_topic_id++;
    topic->created_us = ns->now.wall_us;
    topic->retention = *retention;
    topic->first = ns->options->offset_start;
    topic->next_offset = topic->first;
    topic->written_end = topic->first;
    topic->syncing_end = topic->first;
    topic->durable_end = topic->first;
    topic->run_end = topic->first;
    topic->run_pending = topic->first;
    topic->saved_epoch = ns->manifest.epoch; /* It is not part of a snapshot begun before */
    namespace_add_topic(ns, topic);
    record.name_size = (uint16_t)size;
    record.field[TOPIC_ID] = topic->id;
    record.field[TOPIC_CREATED] = topic->created_us;
    record.field[TOPIC_RETENTION] = retention->kind;
    record.field[TOPIC_AGE] = retention->age_ms;
    record.field[TOPIC_BYTES] = retention->bytes;
    *ticket = journal_record(&ns->journal, &record);
    return topic;
}

/* Steps (1): what can be wrong with the batch itself. */
static int check_batch(struct namespace *ns, struct engine_append *append,
                       struct batch_header *header)
{
    const uint32_t block_max =
        format_block_limit(ns->block_size) - FORMAT_BLOCK_DATA - BATCH_HEADER_SIZE;
    const uint32_t max =
        ns->options->batch_size_max < block_max ? ns->options->batch_size_max : block_max;
    struct batch_iterator it;
    struct batch_entry entry;
    enum batch_problem problem;

    if (append->batch_size >= BATCH_HEADER_SIZE) {
        batch_header_decode(header, append->batch);
        if (header->stored_size > max) {
            request_fail(ns, &append->base, TUSK_ETOOBIG,
                         "a batch of %u bytes is larger than the limit of %u", header->stored_size,
                         max);
            return -1;
        }
    }
    problem = batch_verify(append->batch, append->batch_size, max, header);
    if (problem != BATCH_GOOD) {
        request_fail(ns, &append->base,
                     problem == BATCH_BAD_BODY_CRC ? TUSK_ECORRUPT
                     : problem == BATCH_BAD_FLAGS || problem == BATCH_BAD_CODEC ||
                             problem == BATCH_BAD_VERSION
                         ? TUSK_EUNSUPPORTED
                         : TUSK_EINVALID,
                     "batch refused: %s", batch_problem_text(problem));
        return -1;
    }
    if (append->batch_size != (size_t)BATCH_HEADER_SIZE + header->stored_size ||
        header->first_offset != 0 || header->time_us != 0 || header->previous_crc != 0 ||
        header->header_crc != 0) {
        request_fail(ns, &append->base, TUSK_EINVALID,
                     "batch refused: bytes behind it, or fields set that are the daemon's");
        return -1;
    }
    if (header->producer_id != 0 || header->producer_sequence != 0) {
        request_fail(ns, &append->base, TUSK_EUNSUPPORTED,
                     "producer ids are not supported by this version");
        return -1;
    }
    if (header->raw_size - 4u * header->entry_count <= ns->options->entry_size_max) {
        return 0;
    }
    batch_entries(&it, append->batch);
    while (batch_next(&it, &entry)) {
        if (entry.size > ns->options->entry_size_max) {
            request_fail(ns, &append->base, TUSK_ETOOBIG,
                         "an entry of %u bytes is larger than the limit of %u", entry.size,
                         ns->options->entry_size_max);
            return -1;
        }
    }
    return 0;
}

static struct topic *find_or_create(struct namespace *ns, struct engine_append *append)
{
    const struct engine_retention_rule inherit = {.kind = ENGINE_RETAIN_INHERIT};
    struct topic *topic = namespace_topic(ns, &append->topic);
    struct error err;
    uint64_t ticket;

    if (topic != NULL) {
        return topic;
    }
    if (append->topic.id != 0 || append->no_create) {
        request_fail(ns, &append->base, TUSK_ENOTFOUND, "no such topic in namespace \"%s\"",
                     ns->name);
        return NULL;
    }
    topic = append_create_topic(ns, append->topic.name, append->topic.name_size, &inherit, &ticket,
                                &err);
    if (topic == NULL) {
        request_fail(ns, &append->base, err.code, "%s", err.text);
    }
    return topic;
}

void engine_append(struct namespace *ns, struct engine_append *append)
{
    struct batch_header header;
    struct topic *topic;
    int rc = STAGED_NOT_YET;

    append->base.ns = ns;
    append->base.kind = REQUEST_APPEND;
    append->base.status = 0;
    append->base.next = NULL;
    append->kept = NULL;
    append->target = NULL;
    if (namespace_broken(ns) || ns->stopping) {
        request_fail(ns, &append->base, ns->stopping ? TUSK_ECLOSED : TUSK_EIO,
                     "namespace \"%s\": %s", ns->name,
                     ns->stopping ? "the daemon is stopping" : ns->reason);
        return;
    }
    if (check_batch(ns, append, &header) != 0) {
        return;
    }
    topic = find_or_create(ns, append);
    if (topic == NULL) {
        return;
    }
    append->target = topic;
    if (topic->waiting == NULL) {
        rc = try_stage(topic, append, append->batch, &header);
    }
    if (rc == STAGED_NOT_YET) {
        park(topic, append);
    } else if (rc != STAGED) {
        refuse(ns, append, rc);
    }
}
