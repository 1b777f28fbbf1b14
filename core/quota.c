/* Dropping takes the block whose last batch is the oldest among the first ones of all topics, so
 * that what goes is the front of each topic and nothing else. The active block of a topic always
 * stays, as with retention. After a crash what was dropped may be there again: its free record went
 * with the end of the history. */
#include "core/quota.h"

#include "core/append_state.h"
#include "core/check.h"
#include "core/namespace.h"

/* Of what may be kept of waiting appends: less than what makes a namespace congested. */
#define WAITING_SHARE 8u
/* Appends: a few namespaces that wait must not use up what the server has of requests. */
#define WAITING_MAX 1024u
#define DROP_SIZE 1024u /* Journal bytes of what one drop puts, at most */
#define DROPS_MAX 64u   /* At once; more than that goes on in the next turn */

static uint64_t used_bytes(const struct namespace *ns)
{
    CHECK(ns->block_size > 0);
    return (uint64_t)ns->space.used_count * ns->block_size;
}

static bool fits(const struct namespace *ns)
{
    const uint64_t quota = ns->settings.quota_bytes;

    CHECK(ns->space.used_count < UINT32_MAX);
    return quota == 0 || used_bytes(ns) + ns->block_size <= quota;
}

/* ---- drop-oldest ---- */

/* Whether the first block of a topic may go; *later: not yet, but it will. */
static bool may_drop(const struct topic *topic, bool *later)
{
    const struct block *block = topic->blocks;

    CHECK(later != NULL);
    if (topic->block_count < 2) {
        return false;
    }
    if (block->end_offset > topic->durable_end ||
        (block->segment != NULL && block->segment->slots[block->index].pins > 0)) {
        *later = true;
        return false;
    }
    return true;
}

/* The topic whose first block is the oldest that may go, or NULL. */
static struct topic *oldest(struct namespace *ns, bool *later)
{
    struct topic *found = NULL;
    struct topic *topic;
    struct topic *next;

    CHECK(ns->state == ENGINE_SERVING);
    HASH_ITER(by_id, ns->topics_by_id, topic, next)
    {
        CHECK(!topic->deleted);
        if (may_drop(topic, later) &&
            (found == NULL || topic->blocks[0].last_time_us < found->blocks[0].last_time_us)) {
            found = topic;
        }
    }
    return found;
}

static void drop(struct topic *topic)
{
    struct namespace *ns = topic->ns;
    const uint64_t from = topic->first;
    const uint64_t end = topic->blocks[0].end_offset;
    const uint64_t before = topic_entries_from(topic, from);
    const uint32_t blocks = topic->block_count;
    struct engine_dropped dropped = {
        .space = ns->name, .topic = topic->name, .topic_size = topic->name_size, .from = from};

    CHECK(blocks > 1);
    CHECK(end <= topic->durable_end);
    (void)topic_trim_to(topic, end > from ? end : from);
    CHECK(topic->block_count < blocks);
    dropped.to = topic->first;
    dropped.entries = before - topic_entries_from(topic, topic->first);
    dropped.bytes = (uint64_t)(blocks - topic->block_count) * ns->block_size;
    if (dropped.to == from) {
        return; /* Trimmed before; only its free record had found no room */
    }
    ns->counters.quota_dropped_blocks += blocks - topic->block_count;
    ns->counters.quota_dropped_entries += dropped.entries;
    if (ns->options->dropped != NULL) {
        ns->options->dropped(ns->options->dropped_arg, &dropped);
    }
}

/* Make room for one block. 0: not now, or in the next turn; TUSK_EQUOTA: there is nothing to
 * drop. */
static int make_room(struct namespace *ns)
{
    unsigned count = 0;
    bool later = false;

    CHECK(!fits(ns));
    while (!fits(ns) && count < DROPS_MAX) {
        struct topic *topic = oldest(ns, &later);

        if (topic == NULL || journal_admits(&ns->journal, DROP_SIZE, JOURNAL_RESERVE_FREES) != 1) {
            later = later || topic != NULL;
            break;
        }
        drop(topic);
        count++;
    }
    if (count > 0) {
        /* The journal had room for the append before these records were put: it asks again. */
        ns->retry_stalled = true;
        return 0;
    }
    if (later) {
        flusher_want(&ns->flusher, ns->journal.next_lsn + (ns->journal.open ? 1 : 0));
    }
    return later ? 0 : TUSK_EQUOTA;
}

/* ---- asking ---- */

int quota_admits(struct topic *topic, bool needed)
{
    struct namespace *ns = topic->ns;
    int rc = 0;

    CHECK(ns->settings.quota_policy <= ENGINE_QUOTA_WAIT);
    if (fits(ns)) {
        return 1;
    }
    if (!needed || ns->settings.quota_policy == ENGINE_QUOTA_REJECT) {
        return TUSK_EQUOTA;
    }
    if (ns->settings.quota_policy == ENGINE_QUOTA_DROP_OLDEST) {
        rc = make_room(ns);
    }
    topic->quota_waits = rc == 0;
    return rc;
}

/* ---- waiting ---- */

bool quota_may_wait(const struct namespace *ns, const struct engine_append *append)
{
    CHECK(append->batch_size > 0);
    /* One may always: or a batch as large as that would never be stored. */
    return ns->waiting_appends == 0 || (ns->waiting_appends < WAITING_MAX &&
                                        ns->waiting_bytes + append->batch_size <=
                                            ns->options->waiting_bytes_max / WAITING_SHARE);
}

bool quota_can_go_on(const struct namespace *ns)
{
    CHECK(ns != NULL);
    return ns->space.unpinned && ns->quota_deadline_us != UINT64_MAX;
}

void quota_note(struct topic *topic)
{
    struct namespace *ns = topic->ns;

    CHECK(topic->quota_waits);
    CHECK(topic->waiting != NULL);
    if (topic->waiting->until_us < ns->quota_deadline_us) {
        ns->quota_deadline_us = topic->waiting->until_us;
    }
}

void quota_refuse(struct namespace *ns, struct engine_append *append)
{
    static const char *const tried[] = {
        [ENGINE_QUOTA_REJECT] = "",
        [ENGINE_QUOTA_DROP_OLDEST] = "none of its full blocks could be dropped; ",
        [ENGINE_QUOTA_WAIT] = "none became free in time (quota_wait); ",
    };
    const uint64_t quota = ns->settings.quota_bytes;
    const uint64_t used = used_bytes(ns);

    CHECK(append->base.ns == ns);
    CHECK(ns->settings.quota_policy <= ENGINE_QUOTA_WAIT);
    ns->counters.quota_refusals++;
    request_fail(ns, &append->base, TUSK_EQUOTA,
                 "namespace \"%s\" has used its quota of %llu bytes: %llu are in use, and a new "
                 "block takes %u; %strim or delete topics, or raise quota-bytes (tusk ns set)",
                 ns->name, (unsigned long long)quota, (unsigned long long)used, ns->block_size,
                 tried[ns->settings.quota_policy]);
    append->base.detail_a = used;
    append->base.detail_b = quota;
}

void quota_work(struct namespace *ns)
{
    struct link *link = ns->stalled_topics.next;

    CHECK(ns->state == ENGINE_SERVING);
    if (quota_can_go_on(ns)) {
        ns->space.unpinned = false;
        ns->retry_stalled = true;
    }
    if (ns->now.mono_us < ns->quota_deadline_us) {
        return;
    }
    ns->quota_deadline_us = UINT64_MAX;
    while (link != &ns->stalled_topics) {
        struct topic *topic = link_owner(link, struct topic, stalled);

        link = link->next; /* The topic may leave the list */
        if (!topic->quota_waits) {
            continue;
        }
        CHECK(topic->waiting != NULL);
        append_expire(topic, ns->now.mono_us);
        if (topic->waiting != NULL) {
            quota_note(topic);
        }
    }
}
