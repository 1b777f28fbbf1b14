/* The life of a namespace, its tables, and who waits for its watermarks. */
#include "core/namespace.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/seal.h"
#include "core/tail.h"

/* ---- requests ---- */

void queue_push(struct request_queue *queue, struct engine_request *request)
{
    request->next = NULL;
    if (queue->first == NULL) {
        queue->first = request;
    } else {
        queue->last->next = request;
    }
    queue->last = request;
}

struct engine_request *queue_pop(struct request_queue *queue)
{
    struct engine_request *request = queue->first;

    if (request != NULL) {
        queue->first = request->next;
        request->next = NULL;
    }
    return request;
}

void request_finish(struct namespace *ns, struct engine_request *request)
{
    if (request->kind == REQUEST_APPEND) {
        struct engine_append *append = (struct engine_append *)(void *)request;

        append->durable_end = append->target->durable_end;
    }
    engine_finished(ns->engine, request);
}

void request_fail(struct namespace *ns, struct engine_request *request, int code,
                  const char *format, ...)
{
    va_list args;

    CHECK(code < 0);
    request->status = code;
    request->error.code = code;
    va_start(args, format);
    (void)vsnprintf(request->error.text, sizeof request->error.text, format, args);
    va_end(args);
    if (request->kind == REQUEST_APPEND) {
        request->detail_a = 0;
        request->detail_b = 0;
    }
    engine_finished(ns->engine, request);
}

void request_when_durable(struct namespace *ns, struct engine_request *request, uint64_t ticket)
{
    /* A ticket may repeat or, for one that waits for an earlier record, fall back: the queue is kept in
     * order by waiting for the later one. */
    CHECK(ticket > 0);
    if (ticket <= ns->flusher.durable) {
        request_finish(ns, request);
        return;
    }
    if (ns->durable_queue.first != NULL && ns->durable_queue.last->ticket > ticket) {
        ticket = ns->durable_queue.last->ticket;
    }
    request->ticket = ticket;
    queue_push(&ns->durable_queue, request);
    flusher_want(&ns->flusher, ticket);
}

void request_when_written(struct namespace *ns, struct engine_request *request, uint64_t ticket)
{
    request->ticket = ticket;
    queue_push(&ns->written_queue, request);
}

void namespace_durable(struct namespace *ns)
{
    while (ns->durable_queue.first != NULL &&
           ns->durable_queue.first->ticket <= ns->flusher.durable) {
        request_finish(ns, queue_pop(&ns->durable_queue));
    }
}

void namespace_written(struct namespace *ns)
{
    struct link *link;

    while ((link = list_take(&ns->turn_topics)) != NULL) {
        struct topic *topic = link_owner(link, struct topic, turn);

        topic->written_end = topic->next_offset;
        flusher_topic(&ns->flusher, topic);
        if (ns->settings.fsync_ms != ENGINE_FSYNC_EACH) {
            read_wake(topic);
        }
    }
    while (ns->written_queue.first != NULL &&
           ns->written_queue.first->ticket <= ns->journal.written) {
        request_finish(ns, queue_pop(&ns->written_queue));
    }
}

/* ---- tables ---- */

struct topic *namespace_topic_by_id(struct namespace *ns, uint64_t id)
{
    struct topic *topic;

    HASH_FIND(by_id, ns->topics_by_id, &id, sizeof id, topic);
    return topic;
}

struct topic *namespace_topic(struct namespace *ns, const struct engine_topic_ref *ref)
{
    struct topic *topic = NULL;

    if (ref->id != 0) {
        return namespace_topic_by_id(ns, ref->id);
    }
    if (ref->name_size > 0) {
        HASH_FIND(by_name, ns->topics_by_name, ref->name, ref->name_size, topic);
    }
    return topic;
}

void namespace_add_topic(struct namespace *ns, struct topic *topic)
{
    HASH_ADD_KEYPTR(by_name, ns->topics_by_name, topic->name, topic->name_size, topic);
    HASH_ADD(by_id, ns->topics_by_id, id, sizeof topic->id, topic);
    ns->topic_count++;
    ns->sorted_valid = false;
}

void namespace_remove_topic(struct namespace *ns, struct topic *topic)
{
    manifest_forget(&ns->manifest, topic);
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
    if (ns->incarnation_count == NAMESPACE_INCARNATIONS_MAX) {
        memmove(ns->incarnations, ns->incarnations + 1,
                (NAMESPACE_INCARNATIONS_MAX - 1) * sizeof ns->incarnations[0]);
        ns->incarnation_count--;
    }
    ns->incarnations[ns->incarnation_count++] = *incarnation;
}

/* ---- settings ---- */

static int setting_apply(struct engine_settings *settings, bool topic,
                         const struct engine_setting *change, struct error *err)
{
    switch (change->key) {
    case ENGINE_SETTING_RETENTION:
        if (change->value > ENGINE_RETAIN_SIZE &&
            !(topic && change->value == ENGINE_RETAIN_INHERIT)) {
            return error_set(err, TUSK_EINVALID,
                             "retention is 0 (all), 1 (consumed), 2 (age) or 3 (size), not %llu",
                             (unsigned long long)change->value);
        }
        settings->retention.kind = change->value;
        return 0;
    case ENGINE_SETTING_RETENTION_AGE_MS:
        settings->retention.age_ms = change->value;
        return 0;
    case ENGINE_SETTING_RETENTION_BYTES:
        settings->retention.bytes = change->value;
        return 0;
    default:
        break;
    }
    if (topic) {
        return error_set(err, TUSK_EINVALID, "setting %u is not one of a topic", change->key);
    }
    switch (change->key) {
    case ENGINE_SETTING_FSYNC:
        if (change->value > 3600000u && change->value != ENGINE_FSYNC_NONE) {
            return error_set(err, TUSK_EINVALID,
                             "fsync is each (0), 1 to 3600000 milliseconds, or none");
        }
        settings->fsync_ms = change->value;
        return 0;
    case ENGINE_SETTING_CONSISTENCY:
        settings->consistency = change->value;
        return 0;
    case ENGINE_SETTING_QUOTA_BYTES:
        settings->quota_bytes = change->value;
        return 0;
    case ENGINE_SETTING_QUOTA_TOPICS:
        settings->quota_topics = change->value;
        return 0;
    case ENGINE_SETTING_QUOTA_CURSORS:
        settings->quota_cursors = change->value;
        return 0;
    default:
        return error_set(err, TUSK_EINVALID, "no setting has the number %u", change->key);
    }
}

int settings_apply(struct engine_settings *settings, bool topic,
                   const struct engine_setting *changes, uint32_t count, struct error *err)
{
    uint32_t i;

    for (i = 0; i < count; i++) {
        const int rc = setting_apply(settings, topic, &changes[i], err);

        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- life ---- */

struct namespace *namespace_new(struct engine *engine, const char *name, size_t size)
{
    char encoded[FORMAT_ENCODED_NAME_SIZE];
    struct namespace *ns;

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

            topic->waiting = (struct engine_append *)(void *)append->base.next;
            free(append->kept);
            append->kept = NULL;
        }
        topic_free(topic);
    }
    while (ns->graveyard != NULL) {
        topic = ns->graveyard;
        ns->graveyard = topic->next_dead;
        topic_free(topic);
    }
}

void namespace_close_files(struct namespace *ns)
{
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
    free(ns->sorted);
    ns->sorted = NULL;
    ns->sorted_valid = false;
    ns->sorted_capacity = 0;
    ns->topic_count = 0;
    ns->cursor_count = 0;
}

void namespace_free(struct namespace *ns)
{
    namespace_close_files(ns);
    free(ns);
}

int namespace_prepare(struct namespace *ns)
{
    const uint32_t data = format_block_limit(ns->block_size) - FORMAT_BLOCK_DATA;
    const uint32_t interval = data / (FORMAT_INDEX_MAX / 2u);

    /* So that a block's index has at most as many entries as its page holds. */
    ns->index_interval = interval < 4096u ? 4096u : interval;
    ns->retention_us = ns->now.mono_us + NAMESPACE_RETENTION_US;
    return ring_init(&ns->ring, ns->options->ring_size);
}

int namespace_sync_now(struct namespace *ns, struct error *err)
{
    struct journal_file *file;

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
    return 0;
}

int namespace_begin(struct namespace *ns, bool clean, struct error *err)
{
    struct format_record record = {.type = RECORD_OPEN};
    struct format_incarnation incarnation = {.time_us = ns->now.wall_us};
    char path[IO_PATH_SIZE];

    if (ns->journal.spares == NULL &&
        journal_make_spare(&ns->journal, ns->options->journal_file_min, err) != 0) {
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

    for (i = 0; i < ENGINE_STORE_ID_SIZE / 8u; i++) {
        const uint64_t word = engine_random(ns->engine);

        memcpy(ns->store_id + 8u * i, &word, sizeof word);
    }
    ns->block_size = ns->options->block_size;
    ns->blocks_per_segment = ns->options->blocks_per_segment;
    ns->settings = *settings;
    if (namespace_prepare(ns) != 0) {
        return error_set(err, TUSK_ENOMEM, "create namespace \"%s\"", ns->name);
    }
    /* Manifest 0 comes before the journal's first file could matter, and the directory's own name
     * comes last (engine.c): what a crash leaves before that is swept. */
    if (make_directories(ns, err) != 0 || space_create_now(&ns->space, err) != 0 ||
        manifest_write_now(&ns->manifest, ns->now.wall_us, err) != 0 ||
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

    if (ns->state != ENGINE_SERVING) {
        return;
    }
    ns->state = ENGINE_STOPPED;
    memcpy(ns->reason, err->text, sizeof ns->reason);
    fail_queue(ns, &ns->written_queue);
    fail_queue(ns, &ns->durable_queue);
    HASH_ITER(by_id, ns->topics_by_id, topic, next)
    {
        /* Not staged: certainly not stored. */
        append_fail_waiting(topic, TUSK_EIO, ns->reason);
    }
    read_fail_all(ns, TUSK_EIO, ns->reason);
}

bool namespace_broken(struct namespace *ns)
{
    if (ns->state == ENGINE_SERVING && ns->journal.failure.code != 0) {
        namespace_fail(ns, &ns->journal.failure);
    }
    return ns->state != ENGINE_SERVING;
}

/* ---- turns ---- */

/* Deleted topics that nothing points at any more. */
static void bury(struct namespace *ns)
{
    struct topic **link = &ns->graveyard;

    while (*link != NULL) {
        struct topic *topic = *link;

        if (topic->reads == 0 && topic->dead_ticket <= ns->flusher.durable) {
            *link = topic->next_dead;
            topic_free(topic);
        } else {
            link = &topic->next_dead;
        }
    }
}

void namespace_turn(struct namespace *ns)
{
    const uint64_t now = ns->now.mono_us;

    if (namespace_broken(ns)) {
        return;
    }
    append_work(ns);
    cursor_work(ns);
    if (!ns->stopping) {
        retention_work(ns);
    }
    space_work(&ns->space, now);
    journal_work(&ns->journal, now);
    if (journal_flush(&ns->journal, NULL) == 0) {
        namespace_written(ns);
        /* A read that this has woken may have moved a cursor, and recorded it. */
        if (journal_flush(&ns->journal, NULL) == 0) {
            tail_work(ns);
            manifest_work(&ns->manifest, now);
            flusher_work(&ns->flusher, now);
        }
    }
    if (namespace_broken(ns)) {
        return;
    }
    read_expire(ns);
    if (ns->graveyard != NULL) {
        bury(ns);
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t namespace_deadline(const struct namespace *ns)
{
    const struct journal *journal = &ns->journal;
    uint64_t deadline = UINT64_MAX;

    if (ns->state != ENGINE_SERVING) {
        return UINT64_MAX;
    }
    if (journal->open || journal->span_count > 0 || ns->retry_stalled ||
        !list_empty(&ns->runnable_topics) || !list_empty(&ns->due_topics)) {
        return 0;
    }
    deadline = earlier(deadline, flusher_deadline(&ns->flusher));
    deadline = earlier(deadline, manifest_deadline(&ns->manifest));
    deadline = earlier(deadline, cursor_deadline(ns));
    deadline = earlier(deadline, read_deadline(ns));
    deadline = earlier(deadline, ns->retention_us);
    if (journal->no_space) {
        deadline = earlier(deadline, journal->retry_us);
    }
    if (ns->space.no_space) {
        deadline = earlier(deadline, ns->space.retry_us);
    }
    return deadline;
}

/* ---- stopping ---- */

static bool quiet(const struct namespace *ns)
{
    return !journal_busy(&ns->journal) && !ns->flusher.in_flight &&
           ns->manifest.step == MANIFEST_IDLE && ns->space.in_flight == 0 &&
           ns->reads_in_flight == 0 && ns->durable_queue.first == NULL &&
           (list_empty(&ns->unrecorded_cursors) || ns->journal.no_space) &&
           ns->written_queue.first == NULL;
}

static void refuse_waiting(struct namespace *ns)
{
    struct topic *topic;
    struct topic *next;

    HASH_ITER(by_id, ns->topics_by_id, topic, next)
    {
        append_fail_waiting(topic, TUSK_ECLOSED, "the daemon is stopping");
    }
    read_fail_all(ns, TUSK_ECLOSED, "the daemon is stopping");
}

/* Let what is under way end; nothing new begins but what it needs. */
static int settle(struct namespace *ns, struct error *err)
{
    flusher_want(&ns->flusher, ns->journal.next_lsn);
    for (;;) {
        cursor_record_all(ns); /* Also those moved by a read that was still under way */
        namespace_turn(ns);
        if (namespace_broken(ns)) {
            return error_set(err, TUSK_EIO, "%s", ns->reason);
        }
        if (quiet(ns) && ns->flusher.durable == ns->journal.next_lsn) {
            return 0;
        }
        flusher_want(&ns->flusher, ns->journal.next_lsn);
        if (ns->io->in_flight > 0) {
            (void)io_wait(ns->io);
        }
    }
}

static int sync_segments(struct namespace *ns, struct error *err)
{
    uint32_t i;

    for (i = 0; i < ns->space.count; i++) {
        struct segment *segment = ns->space.segments[i];

        if (segment->dirty) {
            segment->dirty = false;
            if (io_sync(segment->file, NULL, err) != 0) {
                return error_wrap(err, "sync a segment");
            }
        }
    }
    return 0;
}

static int apply_and_sync_all(struct namespace *ns, struct error *err)
{
    struct link *link;

    while ((link = list_first(&ns->tailed_topics)) != NULL) {
        if (tail_apply(link_owner(link, struct topic, tailed)) != 0) {
            *err = ns->journal.failure;
            return err->code;
        }
    }
    if (sync_segments(ns, err) != 0) {
        return err->code;
    }
    /* Nobody remembers later which full blocks have no seal yet. */
    seal_write(ns, ns->journal.next_lsn);
    if (ns->journal.failure.code != 0) {
        *err = ns->journal.failure;
        return err->code;
    }
    return sync_segments(ns, err);
}

int namespace_stop(struct namespace *ns, struct error *err)
{
    const struct format_record close = {.type = RECORD_CLEAN_CLOSE};
    int rc;

    if (namespace_broken(ns)) {
        return ns->state == ENGINE_REFUSED ? 0 : error_set(err, TUSK_EIO, "%s", ns->reason);
    }
    ns->stopping = true;
    refuse_waiting(ns);
    rc = settle(ns, err);
    if (rc == 0) {
        rc = apply_and_sync_all(ns, err);
    }
    if (rc == 0) {
        rc = manifest_write_now(&ns->manifest, ns->now.wall_us, err);
        if (rc == TUSK_ENOSPACE || rc == TUSK_ENOMEM) {
            rc = 0; /* The journal says the same; the next start reads more of it */
        }
    }
    if (rc == 0) {
        /* Everything is durable: the clean close, alone and last. */
        (void)journal_record(&ns->journal, &close);
        rc = namespace_sync_now(ns, err);
    }
    if (rc != 0) {
        namespace_fail(ns, err);
        return error_wrap(err, "stop namespace \"%s\"", ns->name);
    }
    return 0;
}
