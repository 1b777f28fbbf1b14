#include <stdlib.h>
#include <string.h>

#include "tests/crash/client.h"
#include "tests/crash/judge.h"
#include "tests/crash/report.h"

#define BATCH "%s: seed %llu life %u %s t%u client %u batch %u"
#define BATCH_ARGS(j, client, number)                                                              \
    (j)->where, (unsigned long long)(j)->model->seed, (j)->model->life,                            \
        (j)->model->spaces[(client)->space].name, (client)->sent[number].topic, (client)->id,      \
        number

static unsigned long long wide(uint64_t value)
{
    return value;
}

bool judge_counts(const struct judgement *judgement, uint64_t acked_at)
{
    return acked_at <= judgement->cut;
}

static const struct found_topic *topic_of(const struct judgement *j, const struct client *client,
                                          uint32_t topic)
{
    return &j->found->topics[client->space][topic];
}

bool judge_may_be_gone(const struct judgement *judgement, const struct client *client,
                       const struct sent *sent)
{
    const struct found_topic *topic = topic_of(judgement, client, sent->topic);

    return judgement->model->spaces[client->space].consumed && topic->exists &&
           (sent->fate != FATE_ACKED || sent->first_offset < topic->first);
}

/* ---- what was promised ---- */

static void raise_to(uint64_t *value, uint64_t to)
{
    if (to > *value) {
        *value = to;
    }
}

/* What acknowledgements that count said about durability. */
static void learn_promises(struct judgement *j)
{
    uint32_t i;
    uint32_t k;

    for (i = 0; i < j->model->client_count; i++) {
        const struct client *client = &j->model->clients[i];

        for (k = 0; k < client->synced_count; k++) {
            if (judge_counts(j, client->synced[k].acked_at)) {
                raise_to(&j->synced_ns[client->space], client->synced[k].sent_ns);
            }
        }
        for (k = 0; k < client->delivered_count; k++) {
            const struct delivered *delivered = &client->delivered[k];

            if (judge_counts(j, delivered->told_at)) {
                raise_to(&j->durable_end[client->space][delivered->topic], delivered->durable_end);
            }
        }
        for (k = 0; k < client->sent_count; k++) {
            const struct sent *sent = &client->sent[k];

            if (sent->fate == FATE_ACKED && sent->settled == SETTLED_NOT &&
                judge_counts(j, sent->acked_at)) {
                raise_to(&j->durable_end[client->space][sent->topic], sent->durable_end);
            }
        }
    }
}

/* Whether a batch must be there. */
static bool must_be_there(const struct judgement *j, const struct client *client,
                          const struct sent *sent)
{
    const struct space *space = &j->model->spaces[client->space];

    if (sent->settled != SETTLED_NOT) {
        return sent->settled == SETTLED_PRESENT;
    }
    if (sent->fate != FATE_ACKED || !judge_counts(j, sent->acked_at)) {
        return false;
    }
    return j->ending != ENDING_POWER || space->fsync_ms == 0 || sent->durable ||
           sent->acked_ns < j->synced_ns[client->space] ||
           sent->first_offset + sent->count <= j->durable_end[client->space][sent->topic];
}

/* ---- where batches were found ---- */

static void place_entry(struct judgement *j, const struct found_topic *topic, uint32_t at)
{
    const struct found_entry *entry = &topic->entries[at];
    const struct found_entry *before = at == 0 ? NULL : entry - 1;
    const struct client *client = &j->model->clients[entry->client];
    const struct sent *sent = &client->sent[entry->number];
    uint64_t *place = &j->places[client->id][entry->number];

    if (before != NULL && entry->offset <= before->offset) {
        report_violation(BATCH ": offset %llu comes behind %llu",
                         BATCH_ARGS(j, client, entry->number), wide(entry->offset),
                         wide(before->offset));
    }
    if (entry->index == 0 || before == NULL) {
        if (*place != MODEL_NEVER) {
            report_violation(BATCH " is there twice: at %llu and %llu",
                             BATCH_ARGS(j, client, entry->number), wide(*place),
                             wide(entry->offset));
        }
        *place = entry->offset - entry->index;
    }
    if (entry->index > 0 && before != NULL &&
        (before->client != entry->client || before->number != entry->number ||
         before->index + 1 != entry->index || before->offset + 1 != entry->offset)) {
        report_violation(BATCH " is not whole: entry %u at %llu follows entry %u of another",
                         BATCH_ARGS(j, client, entry->number), entry->index, wide(entry->offset),
                         before->index);
    }
    if (entry->index + 1 < sent->count &&
        (at + 1 == topic->count || entry[1].number != entry->number ||
         entry[1].client != entry->client)) {
        report_violation(BATCH " is not whole: nothing behind entry %u of %u at %llu",
                         BATCH_ARGS(j, client, entry->number), entry->index, sent->count,
                         wide(entry->offset));
    }
}

static void place_entries(struct judgement *j)
{
    uint32_t space;
    uint32_t topic;
    uint32_t at;

    for (space = 0; space < MODEL_SPACES; space++) {
        for (topic = 0; topic < MODEL_TOPICS; topic++) {
            const struct found_topic *found = &j->found->topics[space][topic];

            for (at = 0; at < found->count; at++) {
                const struct found_entry *entry = &found->entries[at];
                const struct client *client = &j->model->clients[entry->client];

                if (entry->number >= client->sent_count ||
                    client->sent[entry->number].topic != topic) {
                    report_violation("%s: client %u never sent batch %u to t%u, found at %llu",
                                     j->where, entry->client, entry->number, topic,
                                     wide(entry->offset));
                } else {
                    place_entry(j, found, at);
                }
            }
        }
    }
}

/* ---- batch after batch ---- */

static void check_found(struct judgement *j, const struct client *client, uint32_t number)
{
    const struct sent *sent = &client->sent[number];
    const struct found_topic *topic = topic_of(j, client, sent->topic);
    const uint64_t place = j->places[client->id][number];

    if (sent->fate == FATE_REFUSED) {
        report_violation(BATCH " was refused, and is there at %llu", BATCH_ARGS(j, client, number),
                         wide(place));
    }
    if (sent->settled == SETTLED_LOST) {
        report_violation(BATCH " was lost before, and is there at %llu",
                         BATCH_ARGS(j, client, number), wide(place));
    }
    if (sent->fate == FATE_ACKED &&
        (place != sent->first_offset || topic->topic_id != sent->topic_id)) {
        report_violation(BATCH
                         " was acknowledged as topic %llu offset %llu, and is topic %llu at %llu",
                         BATCH_ARGS(j, client, number), wide(sent->topic_id),
                         wide(sent->first_offset), wide(topic->topic_id), wide(place));
    }
    if (sent->settled == SETTLED_NOT &&
        place < model_issued(&j->model->spaces[client->space], topic->topic_id)) {
        report_violation(BATCH " has offset %llu, which was issued before this life",
                         BATCH_ARGS(j, client, number), wide(place));
    }
    if (sent->settled == SETTLED_NOT) {
        raise_to(&j->kept_ns[client->space], sent->sent_ns);
    }
}

static void check_missing(struct judgement *j, const struct client *client, uint32_t number)
{
    const struct sent *sent = &client->sent[number];
    const struct found_topic *topic = topic_of(j, client, sent->topic);

    if (judge_may_be_gone(j, client, sent)) {
        return;
    }
    if (must_be_there(j, client, sent)) {
        report_violation(BATCH
                         " of %u is LOST: offset %llu, acknowledged at log %llu%s, settled %u; "
                         "the topic ends at %llu, told durable to %llu",
                         BATCH_ARGS(j, client, number), sent->count, wide(sent->first_offset),
                         wide(sent->acked_at), sent->durable ? " as durable" : "", sent->settled,
                         wide(topic->end), wide(j->durable_end[client->space][sent->topic]));
    }
    if (sent->settled == SETTLED_NOT && sent->fate == FATE_ACKED) {
        j->lost++;
        if (sent->acked_ns < j->lost_ns[client->space]) {
            j->lost_ns[client->space] = sent->acked_ns;
        }
    }
}

static void check_batches(struct judgement *j, const struct client *client)
{
    uint32_t missing[MODEL_TOPICS];
    uint32_t number;

    memset(missing, 0xff, sizeof missing);
    for (number = 0; number < client->sent_count; number++) {
        const struct sent *sent = &client->sent[number];

        if (sent->settled == SETTLED_NOT && sent->fate == FATE_ACKED) {
            j->acked++;
            if (sent->first_offset <
                model_issued(&j->model->spaces[client->space], sent->topic_id)) {
                report_violation(BATCH " was given offset %llu, which was issued before this life",
                                 BATCH_ARGS(j, client, number), wide(sent->first_offset));
            }
        }
        if (j->places[client->id][number] == MODEL_NEVER) {
            check_missing(j, client, number);
            if (sent->settled == SETTLED_NOT && sent->fate != FATE_REFUSED &&
                !j->model->spaces[client->space].consumed) {
                missing[sent->topic] = number;
            }
            continue;
        }
        check_found(j, client, number);
        if (sent->settled == SETTLED_NOT && missing[sent->topic] != UINT32_MAX) {
            report_violation(BATCH " is there, and batch %u before it is not",
                             BATCH_ARGS(j, client, number), missing[sent->topic]);
        }
    }
}

/* ---- prefixes, and offsets of one life ---- */

struct claim {
    uint64_t offset;
    uint64_t topic_id;
    const struct client *client;
    uint32_t number;
    uint32_t count;
    bool kept;
};

static int compare_claims(const void *left, const void *right)
{
    const struct claim *a = left;
    const struct claim *b = right;

    if (a->topic_id != b->topic_id) {
        return a->topic_id < b->topic_id ? -1 : 1;
    }
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static uint32_t gather_claims(const struct judgement *j, uint32_t space, uint32_t topic,
                              struct claim *claims)
{
    uint32_t count = 0;
    uint32_t i;
    uint32_t number;

    for (i = 0; i < j->model->client_count; i++) {
        const struct client *client = &j->model->clients[i];

        for (number = 0; client->space == space && number < client->sent_count; number++) {
            const struct sent *sent = &client->sent[number];
            const uint64_t place = j->places[i][number];
            const bool kept = place != MODEL_NEVER;

            if (sent->topic == topic && sent->settled == SETTLED_NOT &&
                (kept || sent->fate == FATE_ACKED)) {
                claims[count] = (struct claim){
                    .offset = sent->fate == FATE_ACKED ? sent->first_offset : place,
                    .topic_id = sent->fate == FATE_ACKED ? sent->topic_id
                                                         : j->found->topics[space][topic].topic_id,
                    .client = client,
                    .number = number,
                    .count = sent->count,
                    .kept = kept,
                };
                count++;
            }
        }
    }
    qsort(claims, count, sizeof *claims, compare_claims);
    return count;
}

static void check_claims(struct judgement *j, uint32_t space, uint32_t topic, struct claim *claims)
{
    const struct found_topic *found = &j->found->topics[space][topic];
    const uint32_t count = gather_claims(j, space, topic, claims);
    const struct claim *lost = NULL;
    uint32_t i;

    for (i = 0; i < count; i++) {
        const struct claim *claim = &claims[i];

        if (i > 0 && claim->topic_id == claim[-1].topic_id &&
            claim->offset < claim[-1].offset + claim[-1].count) {
            report_violation(BATCH " has offset %llu, and so has client %u batch %u",
                             BATCH_ARGS(j, claim->client, claim->number), wide(claim->offset),
                             claim[-1].client->id, claim[-1].number);
        }
        if (!claim->kept && claim->offset >= found->first) {
            lost = lost == NULL ? claim : lost;
        } else if (claim->kept && lost != NULL) {
            report_violation(BATCH " at %llu is there, and client %u batch %u at %llu is not",
                             BATCH_ARGS(j, claim->client, claim->number), wide(claim->offset),
                             lost->client->id, lost->number, wide(lost->offset));
        }
    }
}

static void check_topics(struct judgement *j)
{
    struct claim *claims;
    uint64_t total = 1;
    uint32_t i;

    for (i = 0; i < j->model->client_count; i++) {
        total += j->model->clients[i].sent_count;
    }
    claims = malloc(total * sizeof *claims);
    report_need(claims != NULL, "memory for the judge");
    for (i = 0; i < MODEL_SPACES * MODEL_TOPICS; i++) {
        check_claims(j, i / MODEL_TOPICS, i % MODEL_TOPICS, claims);
    }
    free(claims);
}

/* ---- what was delivered ---- */

static void check_delivered(struct judgement *j, const struct client *client)
{
    uint32_t i;

    for (i = 0; i < client->delivered_count; i++) {
        const struct delivered *delivered = &client->delivered[i];
        const struct found_topic *topic = topic_of(j, client, delivered->topic);
        uint64_t sum = 0;
        uint32_t low = 0;
        uint32_t high = topic->count;

        if (delivered->from < topic->first) {
            continue;
        }
        if (topic->count == 0 || delivered->to > topic->entries[topic->count - 1].offset + 1) {
            if (j->ending != ENDING_POWER && delivered->sum != 0) {
                report_violation("%s: client %u was delivered t%u [%llu, %llu), which is gone",
                                 j->where, client->id, delivered->topic, wide(delivered->from),
                                 wide(delivered->to));
            }
            continue;
        }
        while (low < high) {
            const uint32_t middle = (low + high) / 2;

            if (topic->entries[middle].offset < delivered->from) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        for (; low < topic->count && topic->entries[low].offset < delivered->to; low++) {
            const struct found_entry *entry = &topic->entries[low];

            sum += model_entry_sum(entry->offset, entry->client, entry->number, entry->index);
        }
        if (sum != delivered->sum) {
            report_violation(
                "%s: client %u was delivered other entries of t%u [%llu, %llu) than are "
                "there",
                j->where, client->id, delivered->topic, wide(delivered->from), wide(delivered->to));
        }
    }
}

/* ---- all together ---- */

void judge_check(struct judgement *j)
{
    uint32_t i;

    for (i = 0; i < j->model->client_count; i++) {
        const uint32_t count = j->model->clients[i].sent_count;

        j->places[i] = malloc((count + 1) * sizeof *j->places[i]);
        report_need(j->places[i] != NULL, "memory for the judge");
        memset(j->places[i], 0xff, (count + 1) * sizeof *j->places[i]);
    }
    memset(j->lost_ns, 0xff, sizeof j->lost_ns);
    learn_promises(j);
    place_entries(j);
    for (i = 0; i < j->model->client_count; i++) {
        check_batches(j, &j->model->clients[i]);
        check_delivered(j, &j->model->clients[i]);
    }
    check_topics(j);
    judge_cursors(j);
    for (i = 0; i < MODEL_SPACES; i++) {
        if (j->lost_ns[i] < j->kept_ns[i]) {
            report_violation(
                "%s: seed %llu life %u %s: a batch acknowledged at %llu is lost, and what "
                "was sent at %llu is kept",
                j->where, wide(j->model->seed), j->model->life, j->model->spaces[i].name,
                wide(j->lost_ns[i]), wide(j->kept_ns[i]));
        }
    }
    clients_report(j->model, j->ending == ENDING_POWER);
}

void judge_free(struct judgement *j)
{
    uint32_t i;

    for (i = 0; i < MODEL_CLIENTS_MAX; i++) {
        free(j->places[i]);
        j->places[i] = NULL;
    }
}
