/* What is saved, and when. Writing it out, step by step, is in manifest_write.c. */
#include "core/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/manifest_write.h"
#include "core/namespace.h"
#include "core/seal.h"
#include "core/tail.h"
#include "proto/crc32c.h"

#define RETRY_US 1000000u

void manifest_init(struct manifest *manifest, struct namespace *ns)
{
    CHECK(ns != NULL);
    *manifest = (struct manifest){.ns = ns};
}

void manifest_deinit(struct manifest *manifest)
{
    CHECK(manifest->pending == 0);
    io_close_file(manifest->spare);
    free(manifest->body);
    free(manifest->segment_ops);
    *manifest = (struct manifest){0};
}

void manifest_path(const struct namespace *ns, char path[IO_PATH_SIZE], uint64_t number)
{
    CHECK(path != NULL);
    (void)snprintf(path, IO_PATH_SIZE, "%s/manifest-%016llx", ns->dir, (unsigned long long)number);
}

void manifest_spare_path(const struct namespace *ns, char path[IO_PATH_SIZE])
{
    CHECK(path != NULL);
    (void)snprintf(path, IO_PATH_SIZE, "%s/manifest-spare", ns->dir);
}

/* ---- the snapshot ---- */

/* Room for `size` more bytes of the snapshot. */
static uint8_t *body_room(struct manifest *manifest, size_t size)
{
    CHECK(size > 0);
    CHECK(manifest->body_size <= manifest->body_capacity);
    CHECK((manifest->body == NULL) == (manifest->body_capacity == 0));
    if (manifest->body_capacity - manifest->body_size < size) {
        size_t capacity = manifest->body_capacity == 0 ? 65536 : manifest->body_capacity * 2;
        uint8_t *body;

        while (capacity - manifest->body_size < size) {
            capacity *= 2;
        }
        body = realloc(manifest->body, capacity);
        if (body == NULL) {
            manifest->no_memory = true; /* The snapshot is given up at the next step */
            return NULL;
        }
        manifest->body = body;
        manifest->body_capacity = capacity;
    }
    CHECK(manifest->body_capacity - manifest->body_size >= size);
    return manifest->body + manifest->body_size;
}

static void save_cursor(struct manifest *manifest, const struct cursor *cursor)
{
    CHECK(manifest->no_memory || manifest->body_size > FORMAT_PAGE);
    CHECK(cursor->topic->saved_epoch == manifest->epoch);
    /* What the journal says of it up to R: a position not recorded yet comes with its record. */
    const struct format_cursor saved = {.id = cursor->id,
                                        .offset = cursor->recorded_offset,
                                        .epoch = cursor->epoch,
                                        .name = cursor->name,
                                        .name_size = cursor->name_size};
    uint8_t *out = body_room(manifest, FORMAT_CURSOR_SIZE_MAX);

    if (out != NULL) {
        manifest->body_size += format_cursor_encode(out, &saved);
    }
}

static void save_block(struct manifest *manifest, const struct block *block)
{
    const struct format_topic_block saved = {.segment = block->segment_number,
                                             .generation = block->generation,
                                             .first_offset = block->first_offset,
                                             .end_offset = block->end_offset,
                                             .last_time_us = block->last_time_us,
                                             .index = block->index,
                                             .end = block->end,
                                             .entries = block->entries,
                                             .sealed = block->sealed ? 1 : 0};
    uint8_t *out = body_room(manifest, FORMAT_TOPIC_BLOCK_SIZE);

    CHECK(manifest->no_memory || manifest->body_size > FORMAT_PAGE);
    CHECK(block->end >= FORMAT_BLOCK_DATA);
    if (out != NULL) {
        manifest->body_size += format_topic_block_encode(out, &saved);
    }
}

static void save_topic(struct manifest *manifest, struct topic *topic)
{
    const struct format_topic saved = {.id = topic->id,
                                       .created_us = topic->created_us,
                                       .retention = topic->retention,
                                       .first = topic->first,
                                       .next_offset = topic->next_offset,
                                       .run_end = topic->run_pending,
                                       .run_size = topic->run_size,
                                       .last_time_us = topic->last_time_us,
                                       .next_cursor_id = topic->next_cursor_id,
                                       .last_crc = topic->last_crc,
                                       .cursor_count = topic->cursor_count,
                                       .block_count = topic->block_count,
                                       .name = topic->name,
                                       .name_size = topic->name_size};
    uint8_t *out = body_room(manifest, FORMAT_TOPIC_SIZE_MAX);
    uint32_t i;

    CHECK(topic->saved_epoch != manifest->epoch);
    CHECK(!topic->deleted);
    CHECK(topic->next_offset <= topic->run_pending);
    topic->saved_epoch = manifest->epoch;
    manifest->topics_saved++;
    if (out == NULL) {
        return;
    }
    manifest->body_size += format_topic_encode(out, &saved);
    for (i = 0; i < topic->cursor_count; i++) {
        save_cursor(manifest, topic->cursors_by_id[i]);
    }
    for (i = 0; i < topic->block_count; i++) {
        save_block(manifest, &topic->blocks[i]);
    }
}

static void snapshot_begin(struct manifest *manifest)
{
    struct namespace *ns = manifest->ns;
    uint32_t i;

    CHECK(manifest->step == MANIFEST_IDLE);
    CHECK(!ns->journal.open);
    CHECK(ns->incarnation_count <= NAMESPACE_INCARNATIONS_MAX);
    CHECK(ns->journal.written == ns->journal.next_lsn);
    manifest->epoch++;
    manifest->no_memory = false;
    manifest->topics_saved = 0;
    manifest->ring_end = ns->ring.head;
    manifest->next_topic = ns->topics_by_id;
    manifest->direct_bytes = 0;
    manifest->body_size = 0;
    manifest->head = (struct format_manifest){
        .number = manifest->next_number,
        .lsn = ns->journal.next_lsn,
        .chain_crc = ns->journal.last_crc,
        .block_size = ns->block_size,
        .blocks_per_segment = ns->blocks_per_segment,
        .next_topic_id = ns->next_topic_id,
        .next_segment = ns->space.next_segment,
        .incarnation_ordinal =
            ns->incarnation_count == 0 ? 0 : ns->incarnations[ns->incarnation_count - 1].ordinal,
        .incarnation_count = ns->incarnation_count,
        .settings = ns->settings};
    memcpy(manifest->head.store_id, ns->store_id, sizeof manifest->head.store_id);
    if (body_room(manifest, FORMAT_PAGE + ns->incarnation_count * FORMAT_INCARNATION_SIZE) ==
        NULL) {
        return;
    }
    manifest->body_size = FORMAT_PAGE;
    for (i = 0; i < ns->incarnation_count; i++) {
        manifest->body_size +=
            format_incarnation_encode(manifest->body + manifest->body_size, &ns->incarnations[i]);
    }
    CHECK(manifest->body_size == FORMAT_PAGE + ns->incarnation_count * FORMAT_INCARNATION_SIZE);
}

/* Save topics until a slice is full. True: all are saved. */
static bool snapshot_slice(struct manifest *manifest, size_t slice)
{
    const size_t stop = manifest->body_size + slice;

    CHECK(slice > 0);
    CHECK(manifest->body_size >= FORMAT_PAGE || manifest->no_memory);
    while (manifest->next_topic != NULL && manifest->body_size < stop && !manifest->no_memory) {
        struct topic *topic = manifest->next_topic;

        manifest->next_topic = topic->by_id.next;
        if (topic->saved_epoch != manifest->epoch) {
            save_topic(manifest, topic);
        }
    }
    return manifest->next_topic == NULL;
}

static void snapshot_end(struct manifest *manifest, uint64_t wall_us)
{
    CHECK(!manifest->no_memory);
    CHECK(manifest->next_topic == NULL);
    CHECK(manifest->body_size >= FORMAT_PAGE);
    CHECK(manifest->ns->flusher.durable >= manifest->head.lsn);
    manifest->head.mark = manifest->ns->flusher.durable;
    manifest->head.time_us = wall_us;
    manifest->head.topic_count = manifest->topics_saved;
    manifest->head.body_size = manifest->body_size - FORMAT_PAGE;
    manifest->head.body_crc =
        crc32c(0, manifest->body + FORMAT_PAGE, manifest->body_size - FORMAT_PAGE);
    format_manifest_encode(manifest->body, &manifest->head);
    CHECK(manifest->head.number == manifest->next_number);
}

void manifest_touch(struct topic *topic)
{
    struct manifest *manifest = &topic->ns->manifest;

    CHECK(!topic->deleted);
    CHECK(topic->ns != NULL);
    if ((manifest->step == MANIFEST_APPLYING || manifest->step == MANIFEST_SAVING) &&
        topic->saved_epoch != manifest->epoch) {
        save_topic(manifest, topic);
    }
}

void manifest_forget(struct manifest *manifest, struct topic *topic)
{
    CHECK(manifest->ns == topic->ns);
    if (manifest->next_topic == topic) {
        manifest->next_topic = topic->by_id.next;
    }
}

/* ---- the steps ---- */

/* A full disk gives no more journal files: those that two manifests stand behind are used again. */
bool manifest_journal_starves(const struct manifest *manifest)
{
    const struct journal *journal = &manifest->ns->journal;

    CHECK(journal->current != NULL);
    return journal->no_space && journal->spare_count <= JOURNAL_RESERVE &&
           manifest->older_lsn < journal->current->first_lsn;
}

static bool due(const struct manifest *manifest, uint64_t mono_us)
{
    const struct namespace *ns = manifest->ns;
    const struct engine_options *options = ns->options;
    const uint64_t behind = journal_behind(&ns->journal, manifest->lsn);
    const uint64_t twice = manifest->size * 2;

    CHECK(manifest->step == MANIFEST_IDLE);
    CHECK(manifest->lsn <= ns->journal.next_lsn);
    if (mono_us < manifest->retry_us) {
        return false;
    }
    return manifest->requested || manifest_journal_starves(manifest) ||
           behind >= (options->manifest_journal_bytes > twice ? options->manifest_journal_bytes
                                                              : twice) ||
           journal_behind(&ns->journal, manifest->older_lsn) > options->journal_size_max / 2 ||
           manifest->direct_bytes >= options->manifest_direct_bytes ||
           (!list_empty(&ns->tailed_topics) &&
            mono_us >= manifest->appended_us + options->manifest_idle_us);
}

void manifest_abandon(struct manifest *manifest, uint64_t mono_us)
{
    CHECK(manifest->pending == 0);
    CHECK(manifest->step != MANIFEST_IDLE);
    manifest->step = MANIFEST_IDLE;
    manifest->requested = true; /* What made it due may be gone: its tails are applied */
    manifest->retry_us = mono_us + RETRY_US;
    manifest->ns->retry_stalled = true;
}

/* Apply the tails that reach back before R, a turn's worth at a time. True: all are. */
static bool apply_tails(struct manifest *manifest)
{
    struct namespace *ns = manifest->ns;
    /* Where the journal fills faster than this pace, the pace yields. */
    const bool hurry = journal_behind(&ns->journal, manifest->older_lsn) >
                       ns->options->journal_size_max - ns->options->journal_size_max / 4;
    uint64_t applied = 0;

    CHECK(manifest->step == MANIFEST_APPLYING);
    CHECK(manifest->ring_end <= ns->ring.head);
    while (tail_oldest(ns) < manifest->ring_end && (hurry || applied < TAIL_APPLY_TURN)) {
        struct link *first = list_first(&ns->tailed_topics);
        struct topic *topic;
        const struct block *block;
        uint64_t offset;
        uint32_t size;

        CHECK(first != NULL);
        topic = link_owner(first, struct topic, tailed);
        block = topic_active(topic);
        CHECK(block != NULL);
        offset = (uint64_t)block->index * ns->block_size + topic->tail_position;
        size = topic->tail_bytes;
        CHECK(size > 0);
        applied += size;
        if (tail_apply(topic) != 0) {
            return false;
        }
        space_writeback(&ns->space, block->segment, offset, size);
    }
    return tail_oldest(ns) >= manifest->ring_end;
}

static void work_once(struct manifest *manifest, uint64_t mono_us)
{
    struct namespace *ns = manifest->ns;

    CHECK(ns->state == ENGINE_SERVING);
    if (manifest->step == MANIFEST_IDLE && due(manifest, mono_us)) {
        manifest->requested = false;
        manifest->retry_us = 0;
        snapshot_begin(manifest);
        manifest->step = MANIFEST_APPLYING;
    }
    if (manifest->step == MANIFEST_APPLYING && apply_tails(manifest)) {
        manifest->step = MANIFEST_SAVING;
    }
    if (manifest->step == MANIFEST_SAVING) {
        if (snapshot_slice(manifest, MANIFEST_SLICE_BYTES)) {
            flusher_want(&ns->flusher, manifest->head.lsn);
            manifest_sync_data(manifest);
        }
        if (manifest->no_memory && manifest->step == MANIFEST_SAVING) {
            manifest_abandon(manifest, mono_us);
        }
    }
    if (manifest->step == MANIFEST_SYNCING_DATA && manifest->pending == 0 &&
        ns->flusher.durable >= manifest->head.lsn &&
        syncs_ended(&ns->syncs, manifest->synced_ticket)) {
        if (manifest->no_memory) {
            manifest_abandon(manifest, mono_us);
            return;
        }
        CHECK(manifest->segment_ops == NULL);
        CHECK(manifest->next_topic == NULL);
        seal_write(ns, manifest->head.lsn);
        snapshot_end(manifest, ns->now.wall_us);
        manifest_write(manifest);
    }
}

void manifest_work(struct manifest *manifest, uint64_t mono_us)
{
    CHECK(manifest->ns != NULL);
    if (manifest->ns->journal.failure.code == 0) {
        work_once(manifest, mono_us);
    }
}

uint64_t manifest_deadline(const struct manifest *manifest)
{
    const struct namespace *ns = manifest->ns;

    CHECK(ns->state == ENGINE_SERVING);
    if (manifest->step == MANIFEST_APPLYING || manifest->step == MANIFEST_SAVING) {
        return 0; /* The next slice, in the next turn */
    }
    if (manifest->step != MANIFEST_IDLE) {
        return UINT64_MAX;
    }
    if (manifest->retry_us != 0) {
        return manifest->retry_us;
    }
    return list_empty(&ns->tailed_topics) ? UINT64_MAX
                                          : manifest->appended_us + ns->options->manifest_idle_us;
}

int manifest_write_now(struct manifest *manifest, uint64_t wall_us, struct error *err)
{
    CHECK(err != NULL);
    CHECK(manifest->pending == 0);
    CHECK(manifest->step == MANIFEST_IDLE);
    CHECK(list_empty(&manifest->ns->tailed_topics));
    snapshot_begin(manifest);
    if (manifest->no_memory || !snapshot_slice(manifest, SIZE_MAX / 2) || manifest->no_memory) {
        return error_set(err, TUSK_ENOMEM, "write a manifest");
    }
    snapshot_end(manifest, wall_us);
    return manifest_write_blocking(manifest, err);
}
