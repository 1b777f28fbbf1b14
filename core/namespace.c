/* The life of a namespace from its making to its end, its tables, and its failure. Elsewhere: its
 * turns and a clean stop (namespace_turn.c), its settings (settings.c), who waits (request.c). */
#include "core/namespace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/seal.h"
#include "proto/bytes.h"

/* ---- tables ---- */

struct topic *namespace_topic_by_id(struct namespace *ns, uint64_t id)
{
    struct topic *topic;

    CHECK(ns != NULL);
    HASH_FIND(by_id, ns->topics_by_id, &id, sizeof id, topic);
    return topic;
}

struct topic *namespace_topic(struct namespace *ns, const struct engine_topic_ref *ref)
{
    struct topic *topic = NULL;

    CHECK(ref->id != 0 || ref->name != NULL || ref->name_size == 0);
    if (ref->id != 0) {
        return namespace_topic_by_id(ns, ref->id);
    }
    topic = ns->last_named;
    if (topic != NULL && topic->name_size == ref->name_size &&
        memcmp(topic->name, ref->name, ref->name_size) == 0) {
        return topic;
    }
    topic = NULL;
    if (ref->name_size > 0) {
        HASH_FIND(by_name, ns->topics_by_name, ref->name, ref->name_size, topic);
    }
    CHECK(topic == NULL || topic->name_size == ref->name_size);
    if (topic != NULL) {
        ns->last_named = topic;
    }
    return topic;
}

int namespace_add_topic(struct namespace *ns, struct topic *topic)
{
    CHECK(topic->ns == ns);
    CHECK(!topic->deleted);
    CHECK(namespace_topic_by_id(ns, topic->id) == NULL);
    HASH_ADD_KEYPTR(by_name, ns->topics_by_name, topic->name, topic->name_size, topic);
    if (topic->by_name.tbl == NULL) {
        return TUSK_ENOMEM;
    }
    HASH_ADD(by_id, ns->topics_by_id, id, sizeof topic->id, topic);
    if (topic->by_id.tbl == NULL) {
        HASH_DELETE(by_name, ns->topics_by_name, topic);
        return TUSK_ENOMEM;
    }
    ns->topic_count++;
    ns->sorted_valid = false;
    return 0;
}

void namespace_remove_topic(struct namespace *ns, struct topic *topic)
{
    CHECK(topic->ns == ns);
    CHECK(ns->topic_count > 0);
    manifest_forget(&ns->manifest, topic);
    ns->last_named = NULL;
    HASH_DELETE(by_name, ns->topics_by_name, topic);
    HASH_DELETE(by_id, ns->topics_by_id, topic);
    link_remove(&topic->turn);
    link_remove(&topic->dirty);
    link_remove(&topic->syncing);
    link_remove(&topic->runnable);
    link_remove(&topic->stalled);
    link_remove(&topic->running);
    ns->topic_count--;
    ns->sorted_valid = false;
}

void namespace_add_incarnation(struct namespace *ns, const struct format_incarnation *incarnation)
{
    CHECK(ns->incarnation_count <= NAMESPACE_INCARNATIONS_MAX);
    if (ns->incarnation_count == NAMESPACE_INCARNATIONS_MAX) {
        memmove(ns->incarnations, ns->incarnations + 1,
                (NAMESPACE_INCARNATIONS_MAX - 1) * sizeof ns->incarnations[0]);
        ns->incarnation_count--;
    }
    CHECK(ns->incarnation_count < NAMESPACE_INCARNATIONS_MAX);
    ns->incarnations[ns->incarnation_count++] = *incarnation;
}

/* ---- life ---- */

struct namespace *namespace_new(struct engine *engine, const char *name, size_t size)
{
    char encoded[FORMAT_ENCODED_NAME_SIZE];
    struct namespace *ns;

    CHECK(engine != NULL);
    CHECK(name != NULL);
    CHECK(size > 0);
    CHECK(size <= FORMAT_NAME_SIZE_MAX);
    CHECK(format_name_encode(encoded, name, size));
    ns = calloc(1, sizeof *ns);
    if (ns == NULL) {
        return NULL;
    }
    ns->engine = engine;
    ns->options = engine_options_of(engine);
    ns->io = engine_io(engine);
    memcpy(ns->name, name, size);
    ns->name_size = size;
    (void)snprintf(ns->dir, sizeof ns->dir, "ns/%s", encoded);
    ns->state = ENGINE_SERVING;
    ns->next_topic_id = 1;
    ns->read_deadline_us = UINT64_MAX;
    ns->quota_deadline_us = UINT64_MAX;
    link_init(&ns->turn_topics);
    link_init(&ns->dirty_topics);
    link_init(&ns->syncing_topics);
    link_init(&ns->tailed_topics);
    link_init(&ns->due_topics);
    link_init(&ns->runnable_topics);
    link_init(&ns->stalled_topics);
    link_init(&ns->running_topics);
    link_init(&ns->dirty_cursors);
    link_init(&ns->syncing_cursors);
    link_init(&ns->unrecorded_cursors);
    link_init(&ns->waiting_reads);
    syncs_init(&ns->syncs);
    space_init(&ns->space, ns);
    flusher_init(&ns->flusher, ns, 0);
    manifest_init(&ns->manifest, ns);
    if (journal_init(&ns->journal, ns) != 0) {
        free(ns);
        return NULL;
    }
    return ns;
}

static void free_topics(struct namespace *ns)
{
    struct topic *topic;
    struct topic *next;

    HASH_CLEAR(by_name, ns->topics_by_name);
    HASH_ITER(by_id, ns->topics_by_id, topic, next)
    {
        HASH_DELETE(by_id, ns->topics_by_id, topic);
        while (topic->waiting != NULL) {
            struct engine_append *append = topic->waiting;

            CHECK(append->base.ns == ns);
            topic->waiting = (struct engine_append *)(void *)append->base.next;
            free(append->kept);
            append->kept = NULL;
        }
        topic_free(topic);
    }
    while (ns->graveyard != NULL) {
        topic = ns->graveyard;
        CHECK(topic->deleted);
        ns->graveyard = topic->next_dead;
        topic_free(topic);
    }
}

void namespace_close_files(struct namespace *ns)
{
    CHECK(ns != NULL);
    /* Callbacks of what is in flight must find the namespace stopped, and memory still there. */
    if (ns->state == ENGINE_SERVING) {
        ns->state = ENGINE_STOPPED;
    }
    while (ns->io->in_flight > 0) {
        (void)io_wait(ns->io);
    }
    read_fail_all(ns, TUSK_ECLOSED, "the namespace is closed");
    seal_deinit(ns);
    free_topics(ns);
    journal_deinit(&ns->journal);
    space_deinit(&ns->space);
    flusher_deinit(&ns->flusher);
    manifest_deinit(&ns->manifest);
    ring_deinit(&ns->ring);
    free(ns->hints);
    ns->hints = NULL;
    free(ns->range_index);
    ns->range_index = NULL;
    free(ns->sorted);
    ns->sorted = NULL;
    ns->sorted_valid = false;
    ns->sorted_capacity = 0;
    ns->topic_count = 0;
    ns->cursor_count = 0;
    CHECK(ns->seals == NULL);
    CHECK(ns->graveyard == NULL);
}

void namespace_free(struct namespace *ns)
{
    CHECK(ns != NULL);
    namespace_close_files(ns);
    free(ns);
}

int namespace_prepare(struct namespace *ns)
{
    CHECK(ns->ring.data == NULL);
    CHECK(ns->options->ring_size > 0);
    ns->retention_us = ns->now.mono_us + NAMESPACE_RETENTION_US;
    return ring_init(&ns->ring, ns->options->ring_size);
}

int namespace_sync_now(struct namespace *ns, struct error *err)
{
    struct journal_file *file;

    CHECK(err != NULL);
    CHECK(!ns->flusher.in_flight);
    CHECK(ns->flusher.pending == 0);
    if (journal_flush(&ns->journal, err) != 0) {
        return err->code;
    }
    for (file = ns->journal.files; file != NULL; file = file->next) {
        if (file->unsynced) {
            file->unsynced = false;
            if (io_sync(file->file, NULL, err) != 0) {
                return error_wrap(err, "sync the journal");
            }
        }
    }
    ns->flusher.durable = ns->journal.written;
    ns->flusher.covers = ns->journal.written;
    ns->flusher.marked = ns->journal.last_mark;
    ns->flusher.unsynced_bytes = 0;
    CHECK(ns->flusher.marked <= ns->flusher.durable);
    return 0;
}

int namespace_begin(struct namespace *ns, bool clean, struct error *err)
{
    struct format_record record = {.type = RECORD_OPEN};
    struct format_incarnation incarnation = {.time_us = ns->now.wall_us};
    char path[IO_PATH_SIZE];

    CHECK(ns->journal.current == NULL);
    CHECK(ns->ring.data != NULL);
    CHECK(err != NULL);
    if (ns->journal.spares == NULL &&
        journal_make_spare(&ns->journal, ns->options->journal_file_min, err) != 0 &&
        (err->code != TUSK_ENOSPACE || journal_recycle_now(&ns->journal, err) != 1)) {
        return err->code;
    }
    /* A spare's name may be as new as the last run's last moments. */
    (void)snprintf(path, sizeof path, "%s/journal", ns->dir);
    if (io_sync_dir(ns->io, path, err) != 0 || journal_activate(&ns->journal, err) != 0) {
        return err->code;
    }
    if (ns->incarnation_count > 0) {
        incarnation.ordinal = ns->incarnations[ns->incarnation_count - 1].ordinal + 1;
    }
    CHECK(ns->journal.current != NULL);
    incarnation.id = engine_random(ns->engine);
    incarnation.lsn = ns->journal.next_lsn;
    namespace_add_incarnation(ns, &incarnation);
    record.field[OPEN_ORDINAL] = incarnation.ordinal;
    record.field[OPEN_INCARNATION] = incarnation.id;
    record.field[OPEN_TIME] = incarnation.time_us;
    record.field[OPEN_CLEAN] = clean ? 1 : 0;
    (void)journal_record(&ns->journal, &record);
    return namespace_sync_now(ns, err);
}

static int make_directories(struct namespace *ns, struct error *err)
{
    char path[IO_PATH_SIZE];

    CHECK(ns->dir[0] != '\0');
    CHECK(err != NULL);
    (void)snprintf(path, sizeof path, "%s/journal", ns->dir);
    if (io_make_dir(ns->io, ns->dir, err) != 0 || io_make_dir(ns->io, path, err) != 0 ||
        io_sync_dir(ns->io, path, err) != 0 || io_sync_dir(ns->io, ns->dir, err) != 0) {
        return err->code;
    }
    return 0;
}

int namespace_create(struct namespace *ns, const struct engine_settings *settings,
                     struct error *err)
{
    unsigned i;

    CHECK(settings != NULL);
    CHECK(ns->topic_count == 0);
    CHECK(ns->journal.files == NULL);
    for (i = 0; i < ENGINE_STORE_ID_SIZE / 8u; i++) {
        put_u64(ns->store_id + 8u * i, engine_random(ns->engine));
    }
    ns->block_size = ns->options->block_size;
    ns->blocks_per_segment = ns->options->blocks_per_segment;
    ns->settings = *settings;
    if (namespace_prepare(ns) != 0) {
        return error_set(err, TUSK_ENOMEM, "create namespace \"%s\"", ns->name);
    }
    /* Manifest 0 comes before the journal's first file could matter, and the directory's own name
     * comes last (engine_directory.c): what a crash leaves before that is swept. */
    if (make_directories(ns, err) != 0 || space_create_now(&ns->space, err) != 0) {
        return error_wrap(err, "create namespace \"%s\"", ns->name);
    }
    CHECK(ns->space.count == 1);
    manifest_hold_space(&ns->manifest); /* Manifest 0 has a spare's size, to become one */
    if (manifest_write_now(&ns->manifest, ns->now.wall_us, err) != 0 ||
        namespace_begin(ns, false, err) != 0) {
        return error_wrap(err, "create namespace \"%s\"", ns->name);
    }
    for (i = 0; i < JOURNAL_RESERVE; i++) {
        if (journal_make_spare(&ns->journal, ns->options->journal_file_min, err) != 0) {
            return error_wrap(err, "create namespace \"%s\"", ns->name);
        }
    }
    manifest_hold_space(&ns->manifest);
    return 0;
}

/* ---- failure ---- */

static void fail_queue(struct namespace *ns, struct request_queue *queue)
{
    struct engine_request *request;

    CHECK(ns->state != ENGINE_SERVING);
    while ((request = queue_pop(queue)) != NULL) {
        request_fail(ns, request, TUSK_EUNKNOWN,
                     "the outcome is unknown, stored or not: namespace \"%s\" stopped: %s",
                     ns->name, ns->reason);
    }
}

void namespace_fail(struct namespace *ns, const struct error *err)
{
    struct topic *topic;
    struct topic *next;

    CHECK(err->code < 0);
    if (ns->state != ENGINE_SERVING) {
        return;
    }
    ns->state = ENGINE_STOPPED;
    memcpy(ns->reason, err->text, sizeof ns->reason);
    fail_queue(ns, &ns->written_queue);
    fail_queue(ns, &ns->durable_queue);
    fail_queue(ns, &ns->sync_queue);
    HASH_ITER(by_id, ns->topics_by_id, topic, next)
    {
        /* Not staged: certainly not stored. */
        append_fail_waiting(topic, TUSK_EIO, ns->reason);
    }
    read_fail_all(ns, TUSK_EIO, ns->reason);
}

bool namespace_broken(struct namespace *ns)
{
    CHECK(ns->journal.failure.code <= 0);
    if (ns->state == ENGINE_SERVING && ns->journal.failure.code != 0) {
        namespace_fail(ns, &ns->journal.failure);
    }
    return ns->state != ENGINE_SERVING;
}
