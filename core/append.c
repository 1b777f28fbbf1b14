/* Appends: from a request to a place in the order.
 *
 * Happy path, in one call: (1) verify the batch, (2) find or create its topic, (3) see that
 * offsets, space and journal are reserved for it (append_reserve.c), (4) give it its offset, its
 * time and its place, and complete its header, (5) put it into the journal's open record, or, when
 * it is large, straight into its block with only place and header to the journal, (6) wait for the
 * watermark the schedule asks for (append_stage.c).
 *
 * When (3) is not there yet, the batch is kept, the topic is *stalled*, and append_work() goes on
 * when the topic has become *runnable*: its run is durable, its space is reserved (or refused), or
 * something all topics may wait for has changed (ns->retry_stalled). Appends of one topic never
 * overtake each other. NO_SPACE is decided batch by batch, before anything of the batch is
 * written. */
#include <stdlib.h>
#include <string.h>

#include "core/append_state.h"
#include "core/check.h"
#include "core/namespace.h"
#include "core/quota.h"

/* ---- waiting ---- */

static void refuse(struct namespace *ns, struct engine_append *append, int code)
{
    CHECK(code < 0);
    CHECK(append->kept == NULL);
    CHECK(append->base.ns == ns);
    switch (code) {
    case TUSK_ENOSPACE:
        request_fail(ns, &append->base, code,
                     "no space left for namespace \"%s\": nothing of this batch was stored; free "
                     "space on its file system, appends resume by themselves",
                     ns->name);
        break;
    case TUSK_EQUOTA:
        quota_refuse(ns, append);
        break;
    case TUSK_ETOOBIG:
        request_fail(ns, &append->base, code, "the topic has no offsets left");
        break;
    default:
        request_fail(ns, &append->base, code, "%s", status_text(code));
        break;
    }
}

static void park(struct topic *topic, struct engine_append *append)
{
    struct namespace *ns = topic->ns;

    CHECK(append->kept == NULL);
    CHECK(append->batch_size >= BATCH_HEADER_SIZE);
    CHECK(!topic->deleted);
    CHECK((topic->waiting == NULL) == (topic->waiting_last == NULL));
    if (topic->quota_waits && !quota_may_wait(ns, append)) {
        quota_refuse(ns, append);
        return;
    }
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
    append->waiting = ++ns->waited_appends;
    append->until_us = ns->now.mono_us + ns->options->quota_wait_us;
    if (!link_linked(&topic->stalled)) {
        list_append(&ns->stalled_topics, &topic->stalled);
    }
    if (topic->quota_waits) {
        quota_note(topic);
    }
}

static void waits_no_longer(struct namespace *ns, const struct engine_append *append)
{
    CHECK(ns->waiting_bytes >= append->batch_size);
    CHECK(ns->waiting_appends > 0);
    ns->waiting_bytes -= append->batch_size;
    ns->waiting_appends--;
}

/* The first waiting append leaves the queue. */
static void unpark(struct topic *topic)
{
    struct engine_append *append = topic->waiting;

    CHECK(append != NULL);
    topic->waiting = (struct engine_append *)(void *)append->base.next;
    waits_no_longer(topic->ns, append);
    if (topic->waiting == NULL) {
        topic->waiting_last = NULL;
        link_remove(&topic->stalled);
        link_remove(&topic->runnable);
    }
}

static void go_on(struct topic *topic)
{
    CHECK(!topic->deleted);
    CHECK(topic->ns->state == ENGINE_SERVING);
    while (topic->waiting != NULL && topic->ns->journal.failure.code == 0) {
        struct engine_append *append = topic->waiting;
        uint8_t *kept = append->kept;
        struct engine_request *next = append->base.next;
        struct batch_header header;
        int rc;

        CHECK(kept != NULL);
        batch_header_decode(&header, kept);
        rc = append_try_stage(topic, append, kept, &header);
        if (rc == STAGED_NOT_YET) {
            if (topic->quota_waits) {
                quota_note(topic);
            }
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
        sync_append_settled(topic->ns,
                            append->waiting); /* Its link is nobody's business from here */
    }
}

void append_work(struct namespace *ns)
{
    struct link *link;

    CHECK(ns->state == ENGINE_SERVING);
    CHECK(ns->waiting_appends <= ns->waited_appends);
    quota_work(ns);
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

/* Take the append behind `previous` (NULL: the first one) out of the queue, unanswered. */
static struct engine_append *take_out(struct topic *topic, struct engine_append *previous)
{
    struct engine_append *append;

    CHECK(topic->waiting != NULL);
    if (previous == NULL) {
        append = topic->waiting;
        unpark(topic);
    } else {
        append = (struct engine_append *)(void *)previous->base.next;
        CHECK(append != NULL);
        previous->base.next = append->base.next;
        topic->waiting_last = previous->base.next == NULL ? previous : topic->waiting_last;
        waits_no_longer(topic->ns, append);
    }
    append->base.next = NULL;
    free(append->kept);
    append->kept = NULL;
    return append;
}

void append_expire(struct topic *topic, uint64_t now_us)
{
    struct engine_append *previous = NULL;
    struct engine_append *append = topic->waiting;

    CHECK(topic->quota_waits);
    while (append != NULL) {
        struct engine_append *next = (struct engine_append *)(void *)append->base.next;

        if (!append->cancelled && now_us < append->until_us) {
            previous = append;
        } else {
            (void)take_out(topic, previous);
            quota_refuse(topic->ns, append);
            sync_append_settled(topic->ns, append->waiting);
            topic->ns->retry_stalled = true; /* The next one may be smaller, and fit */
        }
        append = next;
    }
}

void engine_append_cancel(struct engine_append *append)
{
    CHECK(append->base.ns != NULL);
    append->cancelled = true;
    if (append->kept != NULL) {
        append->base.ns->quota_deadline_us = 0; /* Looked at in the next turn */
    }
}

void append_fail_waiting(struct topic *topic, int code, const char *why)
{
    CHECK(code < 0);
    CHECK(why != NULL);
    while (topic->waiting != NULL) {
        struct engine_append *append = topic->waiting;

        CHECK(append->kept != NULL);
        unpark(topic);
        append->base.next = NULL;
        free(append->kept);
        append->kept = NULL;
        request_fail(topic->ns, &append->base, code, "%s", why);
        sync_append_settled(topic->ns, append->waiting);
    }
}

/* ---- the request ---- */

/* Whether there is room for one more topic, whose name has this size. */
static int check_new_topic(const struct namespace *ns, size_t size, size_t record_size,
                           struct error *err)
{
    const uint64_t quota = ns->settings.quota_topics;
    int admits;

    CHECK(record_size > size);
    CHECK(ns->state == ENGINE_SERVING);
    if (size == 0 || size > ENGINE_NAME_SIZE_MAX) {
        return error_set(err, TUSK_EINVALID, "a topic's name has 1 to %u bytes, not %zu",
                         ENGINE_NAME_SIZE_MAX, size);
    }
    if (ns->topic_count >= ns->options->topics_max || (quota > 0 && ns->topic_count >= quota)) {
        const bool by_quota = quota > 0 && ns->topic_count >= quota;

        return error_set(err, by_quota ? TUSK_EQUOTA : TUSK_EBUSY,
                         by_quota ? "namespace \"%s\" has %u topics, and a quota of %llu: delete "
                                    "some, or raise quota-topics (tusk ns set)"
                                  : "namespace \"%s\" has %u topics, and topics_max is %llu",
                         ns->name, ns->topic_count,
                         (unsigned long long)(by_quota ? quota : ns->options->topics_max));
    }
    if (ns->next_topic_id >= FORMAT_COUNTER_MAX) {
        return error_set(err, TUSK_ETOOBIG, "namespace \"%s\" has used up the ids of topics",
                         ns->name);
    }
    admits = journal_admits(&ns->journal, record_size, JOURNAL_RESERVE);
    if (admits == 0) {
        /* Spares are being made: there is no topic yet to wait in, and a topic's record is
         * small. */
        admits = journal_admits(&ns->journal, record_size, JOURNAL_LAST);
    }
    if (admits != 1) {
        return error_set(err, admits == 0 ? TUSK_EBUSY : admits,
                         "namespace \"%s\" has no room for a new topic", ns->name);
    }
    return 0;
}

struct topic *append_create_topic(struct namespace *ns, const char *name, size_t size,
                                  const struct engine_retention_rule *retention, uint64_t *ticket,
                                  struct error *err)
{
    struct format_record record = {.type = RECORD_TOPIC_CREATE, .name = name};
    struct topic *topic;

    CHECK(retention != NULL);
    CHECK(ticket != NULL);
    CHECK(err != NULL);
    if (check_new_topic(ns, size, format_record_size(&record) + size, err) != 0) {
        return NULL;
    }
    topic = topic_new(ns, ns->next_topic_id, name, size);
    if (topic == NULL) {
        (void)error_set(err, TUSK_ENOMEM, "create a topic");
        return NULL;
    }
    CHECK(topic->name_size == size);
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
    if (namespace_add_topic(ns, topic) != 0) {
        topic_free(topic);
        (void)error_set(err, TUSK_ENOMEM, "create a topic");
        return NULL;
    }
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

    CHECK(header != NULL);
    CHECK(block_max < ns->block_size);
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
    CHECK(header->producer_id == 0); /* Or batch_verify() had refused it */
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

    CHECK(append->target == NULL);
    CHECK(append->kept == NULL);
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
    append->created = topic != NULL;
    return topic;
}

void engine_append(struct namespace *ns, struct engine_append *append)
{
    struct batch_header header;
    struct topic *topic;
    int rc = STAGED_NOT_YET;

    CHECK(append->base.done != NULL);
    CHECK(append->batch != NULL || append->batch_size == 0);
    ns->requests++;
    append->base.ns = ns;
    append->base.kind = REQUEST_APPEND;
    append->base.status = 0;
    append->base.staged_us = 0;
    append->base.next = NULL;
    append->topic_id = 0;
    append->kept = NULL;
    append->target = NULL;
    append->cancelled = false;
    append->created = false;
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
    append->topic_id = topic->id;
    if (topic->waiting == NULL) {
        rc = append_try_stage(topic, append, append->batch, &header);
    }
    if (rc == STAGED_NOT_YET) {
        park(topic, append);
    } else if (rc != STAGED) {
        refuse(ns, append, rc);
    }
}
