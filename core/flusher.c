#include "core/flusher.h"

#include <stdlib.h>

#include "core/check.h"
#include "core/namespace.h"
#include "core/probe.h"

void flusher_init(struct flusher *flusher, struct namespace *ns, uint64_t durable)
{
    CHECK(ns != NULL);
    CHECK(durable < FORMAT_COUNTER_MAX);
    *flusher = (struct flusher){.ns = ns, .durable = durable, .covers = durable, .wanted = durable};
}

void flusher_deinit(struct flusher *flusher)
{
    CHECK(flusher->pending == 0);
    free(flusher->ops);
    flusher->ops = NULL;
}

void flusher_want(struct flusher *flusher, uint64_t ticket)
{
    CHECK(ticket > 0);
    if (ticket > flusher->wanted) {
        flusher->wanted = ticket;
    }
}

void flusher_wrote(struct flusher *flusher, uint64_t bytes, uint64_t mono_us)
{
    CHECK(mono_us >= flusher->idle_since_us);
    if (flusher->unsynced_bytes == 0) {
        flusher->dirty_since_us = mono_us;
    }
    flusher->unsynced_bytes += bytes;
    flusher->idle_since_us = mono_us;
}

void flusher_topic(struct flusher *flusher, struct topic *topic)
{
    CHECK(topic->ns == flusher->ns);
    CHECK(topic->written_end <= topic->next_offset);
    if (!link_linked(&topic->dirty)) {
        list_append(&flusher->ns->dirty_topics, &topic->dirty);
    }
}

void flusher_cursor(struct flusher *flusher, struct cursor *cursor)
{
    CHECK(cursor->topic->ns == flusher->ns);
    CHECK(cursor->recorded_offset == cursor->offset);
    if (!link_linked(&cursor->dirty)) {
        list_append(&flusher->ns->dirty_cursors, &cursor->dirty);
    }
}

static bool schedule_is_timed(const struct namespace *ns)
{
    return ns->settings.fsync_ms != ENGINE_FSYNC_EACH && ns->settings.fsync_ms != ENGINE_FSYNC_NONE;
}

bool flusher_full(const struct flusher *flusher)
{
    const struct namespace *ns = flusher->ns;

    CHECK(!flusher->in_flight || ns->now.mono_us >= flusher->syncing_since_us);
    if (!schedule_is_timed(ns)) {
        return false;
    }
    /* A disk that cannot keep up makes appends wait, not the window grow. */
    return flusher->unsynced_bytes + flusher->syncing_bytes >= ns->options->unsynced_bytes_max ||
           (flusher->in_flight &&
            ns->now.mono_us >= flusher->syncing_since_us + ns->settings.fsync_ms * 2000u);
}

static void count_group(const struct flusher *flusher)
{
    struct histogram *histograms = flusher->ns->histograms;

    CHECK(flusher->syncing_appends <= flusher->covered_appends);
    CHECK(flusher->covered_appends <= flusher->ns->counters.appends);
    if (flusher->syncing_appends > 0) {
        histogram_add(&histograms[ENGINE_GROUP_BATCHES], flusher->syncing_appends);
    }
    histogram_add(&histograms[ENGINE_GROUP_BYTES], flusher->syncing_bytes);
}

static void count_sync(struct flusher *flusher, uint32_t elapsed_us)
{
    flusher->sync_us = (flusher->sync_us * 7 + elapsed_us) / 8;
    flusher->took_us = elapsed_us > flusher->took_us ? elapsed_us : flusher->took_us;
    histogram_add(&flusher->ns->histograms[ENGINE_SYNC_US], elapsed_us);
}

/* The group has succeeded as a whole: everything up to `covers` is durable. */
static void group_done(struct flusher *flusher)
{
    struct namespace *ns = flusher->ns;
    struct link *link;

    CHECK(flusher->in_flight);
    CHECK(flusher->pending == 0);
    CHECK(flusher->covers <= ns->journal.written);
    CHECK(flusher->covers_mark <= flusher->covers);
    CHECK(flusher->covers >= flusher->durable);
    flusher->in_flight = false;
    flusher->durable = flusher->covers;
    flusher->marked = flusher->covers_mark;
    PROBE5(sync_done, ns->name, flusher->syncing_appends, flusher->syncing_bytes, flusher->took_us,
           0);
    count_group(flusher);
    flusher->syncing_bytes = 0;
    flusher->groups++;
    while ((link = list_take(&ns->syncing_cursors)) != NULL) {
        struct cursor *cursor = link_owner(link, struct cursor, syncing);

        cursor->durable_offset = cursor->syncing_offset;
    }
    append_runs_durable(ns);
    while ((link = list_take(&ns->syncing_topics)) != NULL) {
        struct topic *topic = link_owner(link, struct topic, syncing);

        CHECK(topic->syncing_end >= topic->durable_end);
        topic->durable_end = topic->syncing_end;
        if (ns->settings.fsync_ms == ENGINE_FSYNC_EACH) {
            read_wake(topic);
        }
    }
    CHECK(list_empty(&ns->syncing_cursors));
    CHECK(flusher->marked <= flusher->durable);
    namespace_durable(ns);
    ns->retry_stalled = true;
}

static void group_failed(struct flusher *flusher)
{
    struct namespace *ns = flusher->ns;

    CHECK(flusher->in_flight);
    CHECK(flusher->pending == 0);
    CHECK(flusher->result < 0 || ns->journal.failure.code < 0);
    if (ns->journal.failure.code == 0) {
        (void)error_errno(&ns->journal.failure, flusher->os_error,
                          "sync namespace \"%s\": it is never tried again, because a second sync "
                          "would succeed and lie",
                          ns->name);
        ns->journal.failure.code = flusher->result;
    }
    flusher->in_flight = false;
    namespace_fail(ns, &ns->journal.failure);
    PROBE5(sync_done, ns->name, flusher->syncing_appends, flusher->syncing_bytes, flusher->took_us,
           ns->journal.failure.code);
}

/* The group's own syncs have ended. It is done when no other sync can have taken an error of its
 * pages. */
static void group_end(struct flusher *flusher)
{
    struct namespace *ns = flusher->ns;

    CHECK(flusher->in_flight);
    CHECK(flusher->pending == 0);
    flusher->awaits = false;
    if (ns->state != ENGINE_SERVING) {
        flusher->in_flight = false;
    } else if (flusher->result != 0 || ns->journal.failure.code != 0) {
        group_failed(flusher);
    } else if (flusher->watched && !syncs_ended(&ns->syncs, flusher->synced_ticket)) {
        flusher->awaits = true;
    } else {
        group_done(flusher);
    }
}

static void sync_done(struct io_op *op)
{
    struct flusher *flusher = op->arg;

    CHECK(op->kind == IO_OP_SYNC);
    CHECK(flusher->in_flight);
    CHECK(op->result <= 0);
    CHECK(flusher->pending > 0);
    flusher->pending--;
    if (op->result != 0 && flusher->result == 0) {
        flusher->result = op->result;
        flusher->os_error = op->os_error;
    }
    count_sync(flusher, op->elapsed_us);
    if (flusher->pending > 0) {
        return;
    }
    if (flusher->watched) {
        syncs_end(&flusher->sync_watch);
        flusher->synced_ticket = flusher->ns->syncs.ticket;
    }
    group_end(flusher);
}

static unsigned files_to_sync(struct namespace *ns)
{
    const struct journal_file *file;
    unsigned count = 0;

    CHECK(ns->journal.current != NULL);
    CHECK(ns->space.direct_dirty_count <= ns->space.count);
    for (file = ns->journal.files; file != NULL; file = file->next) {
        count += file->unsynced ? 1u : 0u;
    }
    return count + ns->space.direct_dirty_count;
}

static void op_prepare(struct flusher *flusher, struct io_op *op, struct io_file *file)
{
    CHECK(file != NULL);
    CHECK(flusher->in_flight);
    *op = (struct io_op){.kind = IO_OP_SYNC, .file = file, .done = sync_done, .arg = flusher};
}

/* What the group covers is fixed here: everything written, with the ends as they stand. */
static void group_begin(struct flusher *flusher)
{
    struct namespace *ns = flusher->ns;
    struct link *link;

    CHECK(!flusher->awaits);
    CHECK(flusher->pending == 0);
    CHECK(list_empty(&ns->syncing_topics));
    CHECK(list_empty(&ns->syncing_cursors));
    CHECK(!flusher->in_flight);
    CHECK(ns->journal.written == ns->journal.next_lsn);
    flusher->in_flight = true;
    flusher->covers = ns->journal.written;
    flusher->covers_mark = ns->journal.last_mark;
    flusher->result = 0;
    flusher->syncing_bytes = flusher->unsynced_bytes;
    flusher->syncing_appends = ns->counters.appends - flusher->covered_appends;
    flusher->covered_appends = ns->counters.appends;
    flusher->syncing_since_us = flusher->dirty_since_us;
    flusher->begun_us = ns->now.mono_us;
    flusher->took_us = 0;
    PROBE3(sync_begin, ns->name, flusher->syncing_appends, flusher->syncing_bytes);
    flusher->unsynced_bytes = 0;
    while ((link = list_take(&ns->dirty_topics)) != NULL) {
        struct topic *topic = link_owner(link, struct topic, dirty);

        CHECK(topic->written_end >= topic->durable_end);
        CHECK(!link_linked(&topic->syncing));
        topic->syncing_end = topic->written_end;
        list_append(&ns->syncing_topics, &topic->syncing);
    }
    while ((link = list_take(&ns->dirty_cursors)) != NULL) {
        struct cursor *cursor = link_owner(link, struct cursor, dirty);

        CHECK(!link_linked(&cursor->syncing));
        cursor->syncing_offset = cursor->recorded_offset;
        list_append(&ns->syncing_cursors, &cursor->syncing);
    }
}

static bool sync_inline(struct flusher *flusher, unsigned count)
{
    struct namespace *ns = flusher->ns;
    struct journal_file *file;
    uint32_t elapsed_us = 0;

    CHECK(count > 0);
    CHECK(!flusher->in_flight);
    if (!ns->options->inline_sync || ns->settings.fsync_ms != ENGINE_FSYNC_EACH || count != 1 ||
        flusher->unsynced_bytes > FLUSHER_INLINE_BYTES ||
        flusher->sync_us > FLUSHER_INLINE_US_MAX) {
        return false;
    }
    file = ns->journal.current; /* Whatever is written since a sync is in it, or its header is */
    CHECK(file->unsynced);
    group_begin(flusher);
    file->unsynced = false;
    if (io_sync(file->file, &elapsed_us, &ns->journal.failure) != 0) {
        flusher->in_flight = false;
        (void)error_wrap(&ns->journal.failure, "sync namespace \"%s\"", ns->name);
        PROBE5(sync_done, ns->name, flusher->syncing_appends, flusher->syncing_bytes, elapsed_us,
               ns->journal.failure.code);
        namespace_fail(ns, &ns->journal.failure);
        return true;
    }
    count_sync(flusher, elapsed_us);
    group_done(flusher);
    return true;
}

/* Without memory for operations: in the turn, file by file. */
static void sync_waiting(struct flusher *flusher)
{
    struct namespace *ns = flusher->ns;
    struct error *err = &ns->journal.failure;
    struct journal_file *file;
    uint32_t i;

    CHECK(!flusher->in_flight);
    CHECK(flusher->pending == 0);
    group_begin(flusher);
    flusher->watched = true;
    syncs_begin(&ns->syncs, &flusher->sync_watch);
    for (file = ns->journal.files; file != NULL; file = file->next) {
        if (file->unsynced && err->code == 0) {
            file->unsynced = false;
            (void)io_sync(file->file, NULL, err);
        }
    }
    for (i = 0; i < ns->space.count && ns->space.direct_dirty_count > 0 && err->code == 0; i++) {
        if (ns->space.segments[i]->direct_dirty) {
            ns->space.segments[i]->direct_dirty = false;
            ns->space.direct_dirty_count--;
            (void)io_sync(ns->space.segments[i]->file, NULL, err);
        }
    }
    syncs_end(&flusher->sync_watch);
    flusher->synced_ticket = ns->syncs.ticket;
    group_end(flusher);
}

static void sync_submit(struct flusher *flusher, unsigned count)
{
    struct namespace *ns = flusher->ns;
    struct journal_file *file;
    unsigned used = 0;
    uint32_t i;

    CHECK(count > 0);
    CHECK(!flusher->in_flight);
    if (count > flusher->op_capacity) {
        struct io_op *ops = realloc(flusher->ops, count * sizeof *ops);

        if (ops == NULL) {
            sync_waiting(flusher);
            return;
        }
        flusher->ops = ops;
        flusher->op_capacity = count;
    }
    group_begin(flusher);
    flusher->watched = false;
    for (file = ns->journal.files; file != NULL; file = file->next) {
        if (file->unsynced) {
            file->unsynced = false;
            op_prepare(flusher, &flusher->ops[used++], file->file);
        }
    }
    for (i = 0; i < ns->space.count && ns->space.direct_dirty_count > 0; i++) {
        if (ns->space.segments[i]->direct_dirty) {
            ns->space.segments[i]->direct_dirty = false;
            ns->space.direct_dirty_count--;
            flusher->watched = true;
            op_prepare(flusher, &flusher->ops[used++], ns->space.segments[i]->file);
        }
    }
    CHECK(used == count);
    flusher->pending = used;
    CHECK(used <= flusher->op_capacity);
    if (flusher->watched) {
        syncs_begin(&ns->syncs, &flusher->sync_watch);
    }
    for (i = 0; i < used; i++) {
        io_submit(ns->io, &flusher->ops[i]);
    }
}

/* The journal's last record may be the only one that could carry the mark: an idle journal writes
 * one, so that recovery can tell what was durable; and freed blocks need one before they are used
 * again. */
static void mark_if_due(struct flusher *flusher, uint64_t mono_us)
{
    struct namespace *ns = flusher->ns;
    const bool wanted = space_wants_mark(&ns->space);

    CHECK(!flusher->in_flight);
    CHECK(flusher->marked <= flusher->durable);
    CHECK(ns->journal.last_mark <= flusher->durable);
    /* When all is durable, so is the last record: its mark is an older one. */
    if (ns->journal.next_lsn > flusher->durable ||
        journal_admits(&ns->journal, 0, JOURNAL_LAST) != 1) {
        return;
    }
    if (wanted || (ns->journal.last_type != RECORD_MARK &&
                   mono_us >= flusher->idle_since_us + FLUSHER_MARK_US)) {
        const struct format_record record = {.type = RECORD_MARK};
        const uint64_t ticket = journal_record(&ns->journal, &record);

        if (wanted) {
            flusher_want(flusher, ticket);
        }
    }
}

static bool due(const struct flusher *flusher, uint64_t mono_us)
{
    const struct namespace *ns = flusher->ns;

    CHECK(flusher->durable <= ns->journal.written);
    if (ns->settings.fsync_ms == ENGINE_FSYNC_EACH || flusher->wanted > flusher->durable) {
        return true;
    }
    /* Freed blocks come back only behind a sync, so even schedule none needs one now and then. */
    if (space_is_freeing(&ns->space) && mono_us >= flusher->dirty_since_us + FLUSHER_MARK_US) {
        return true;
    }
    return schedule_is_timed(ns) &&
           (mono_us >= flusher->dirty_since_us + ns->settings.fsync_ms * 1000u ||
            flusher->unsynced_bytes >= ns->options->unsynced_bytes_max / 2);
}

bool flusher_would_sync(const struct flusher *flusher)
{
    const struct namespace *ns = flusher->ns;

    CHECK(flusher->durable <= flusher->covers);
    return !flusher->in_flight && (ns->journal.open || ns->journal.span_count > 0) &&
           (ns->settings.fsync_ms == ENGINE_FSYNC_EACH || flusher->wanted > flusher->durable);
}

void flusher_work(struct flusher *flusher, uint64_t mono_us)
{
    unsigned count;

    CHECK(flusher->durable <= flusher->covers);
    CHECK(!flusher->awaits || flusher->in_flight);
    if (flusher->awaits) {
        /* Reads that it wakes may record their cursors: the next group begins behind the next
         * flush. */
        group_end(flusher);
        return;
    }
    if (flusher->in_flight || flusher->ns->state != ENGINE_SERVING) {
        return;
    }
    if (flusher->ns->journal.written > flusher->durable && due(flusher, mono_us)) {
        count = files_to_sync(flusher->ns);
        CHECK(count > 0);
        if (!sync_inline(flusher, count)) {
            sync_submit(flusher, count);
        }
    }
    if (!flusher->in_flight && flusher->ns->state == ENGINE_SERVING) {
        mark_if_due(flusher, mono_us);
    }
}

uint64_t flusher_deadline(const struct flusher *flusher)
{
    const struct namespace *ns = flusher->ns;

    CHECK(flusher->durable <= flusher->covers);
    CHECK(flusher->durable <= ns->journal.written);
    if (flusher->in_flight) {
        return UINT64_MAX;
    }
    if (ns->journal.written > flusher->durable) {
        if (schedule_is_timed(ns)) {
            return flusher->dirty_since_us + ns->settings.fsync_ms * 1000u;
        }
        return space_is_freeing(&ns->space) ? flusher->dirty_since_us + FLUSHER_MARK_US
                                            : UINT64_MAX;
    }
    if (ns->journal.last_type != RECORD_MARK &&
        journal_admits(&ns->journal, 0, JOURNAL_LAST) == 1) {
        return flusher->idle_since_us + FLUSHER_MARK_US;
    }
    return UINT64_MAX;
}
