/* The turns of a namespace: what is done in one, in which order, when the next is due; and the
 * last ones, of a clean stop.
 *
 * A stop: (1) whoever waits is refused, (2) turns go on until nothing is under way and the journal
 * is durable, (3) all tails and seals are in their blocks, durably, (4) a manifest, (5) the clean
 * close, alone and last. A failure on the way stops the namespace as any other does. */
#include "core/check.h"
#include "core/namespace.h"
#include "core/quota.h"
#include "core/seal.h"
#include "core/tail.h"

/* ---- turns ---- */

/* Deleted topics that nothing points at any more. */
static void bury(struct namespace *ns)
{
    struct topic **link = &ns->graveyard;

    CHECK(ns->state == ENGINE_SERVING);
    while (*link != NULL) {
        struct topic *topic = *link;

        CHECK(topic->deleted);
        CHECK(topic->ns == ns);
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

    CHECK(now >= ns->retention_mono_us);
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

    CHECK(ns != NULL);
    if (ns->state != ENGINE_SERVING) {
        return UINT64_MAX;
    }
    if (journal->open || journal->span_count > 0 || ns->retry_stalled || quota_can_go_on(ns) ||
        !list_empty(&ns->runnable_topics) || !list_empty(&ns->due_topics)) {
        return 0;
    }
    CHECK(journal->current != NULL);
    deadline = earlier(deadline, flusher_deadline(&ns->flusher));
    deadline = earlier(deadline, manifest_deadline(&ns->manifest));
    deadline = earlier(deadline, cursor_deadline(ns));
    deadline = earlier(deadline, read_deadline(ns));
    deadline = earlier(deadline, ns->retention_us);
    deadline = earlier(deadline, ns->quota_deadline_us);
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
    CHECK(ns->stopping);
    CHECK(ns->state == ENGINE_SERVING);
    return !journal_busy(&ns->journal) && !ns->flusher.in_flight &&
           ns->manifest.step == MANIFEST_IDLE && ns->space.in_flight == 0 &&
           ns->reads_in_flight == 0 && ns->durable_queue.first == NULL &&
           (list_empty(&ns->unrecorded_cursors) ||
            journal_admits(&ns->journal, FORMAT_RECORD_ALIGN, JOURNAL_LAST) != 1) &&
           ns->written_queue.first == NULL;
}

static void refuse_waiting(struct namespace *ns)
{
    struct topic *topic;
    struct topic *next;

    CHECK(ns->stopping);
    HASH_ITER(by_id, ns->topics_by_id, topic, next)
    {
        append_fail_waiting(topic, TUSK_ECLOSED, "the daemon is stopping");
    }
    read_fail_all(ns, TUSK_ECLOSED, "the daemon is stopping");
    CHECK(list_empty(&ns->waiting_reads));
}

/* Let what is under way end; nothing new begins but what it needs. */
static int settle(struct namespace *ns, struct error *err)
{
    CHECK(ns->stopping);
    CHECK(err != NULL);
    CHECK(ns->journal.next_lsn > 0);
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

    CHECK(ns->stopping);
    CHECK(err != NULL);
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

    CHECK(ns->stopping);
    CHECK(ns->manifest.step == MANIFEST_IDLE);
    CHECK(ns->journal.written == ns->journal.next_lsn);
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

    CHECK(err != NULL);
    CHECK(ns->engine != NULL);
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
        CHECK(list_empty(&ns->tailed_topics));
        CHECK(ns->flusher.durable == ns->journal.next_lsn);
        CHECK(ns->durable_queue.first == NULL);
        (void)journal_record(&ns->journal, &close);
        rc = namespace_sync_now(ns, err);
    }
    if (rc != 0) {
        namespace_fail(ns, err);
        return error_wrap(err, "stop namespace \"%s\"", ns->name);
    }
    return 0;
}
