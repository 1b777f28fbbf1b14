/* Cursors: where they are, and what the next life begins with. */
#include "tests/crash/judge.h"
#include "tests/crash/report.h"

static unsigned long long wide(uint64_t value)
{
    return value;
}

/* What is known of one cursor. */
struct range {
    uint64_t least; /* It must be here or further */
    uint64_t most;
    uint64_t acked;   /* Furthest acknowledged, whether it must have survived or not */
    bool acked_any;   /* One that counts */
    bool moved;       /* Somebody asked for it */
    bool known_place; /* The place found is one that was asked for */
};

static struct range look_at(struct judgement *j, const struct client *client, uint32_t topic,
                            uint64_t place)
{
    const bool strict = j->model->spaces[client->space].consistency == 0;
    const uint64_t before = client->cursors[topic];
    struct range range = {.least = before == MODEL_NEVER ? 0 : before};
    uint32_t i;

    range.most = range.least;
    range.known_place = place == range.least;
    for (i = 0; i < client->moved_count; i++) {
        const struct moved *moved = &client->moved[i];

        if (moved->topic != topic || moved->settled) {
            continue;
        }
        range.moved = true;
        range.most = moved->anywhere ? UINT64_MAX : range.most;
        range.most = moved->offset > range.most ? moved->offset : range.most;
        range.known_place = range.known_place || moved->anywhere || moved->offset == place;
        if (moved->acked && judge_counts(j, moved->acked_at)) {
            range.acked_any = true;
            range.acked = moved->offset > range.acked ? moved->offset : range.acked;
            if (strict) {
                range.least = moved->offset > range.least ? moved->offset : range.least;
                j->kept_ns[client->space] = moved->sent_ns > j->kept_ns[client->space]
                                                ? moved->sent_ns
                                                : j->kept_ns[client->space];
            }
        }
    }
    if (before == MODEL_NEVER && j->model->spaces[client->space].consumed) {
        /* A read creates a cursor at the first entry kept then. */
        const uint64_t first = j->found->topics[client->space][topic].first;

        range.most = first > range.most ? first : range.most;
        range.known_place = true;
    }
    return range;
}

/* At-least-once:N forgets fewer than N entries when the daemon dies, and none at a clean stop. */
static bool within_bound(const struct judgement *j, const struct space *space,
                         const struct range *range, uint64_t place)
{
    if (space->consistency == 0 || !range->acked_any || place >= range->acked) {
        return true;
    }
    return j->ending == ENDING_POWER ||
           (j->ending == ENDING_KILL && range->acked - place < space->consistency);
}

static void check_cursor(struct judgement *j, const struct client *client, uint32_t topic)
{
    const struct space *space = &j->model->spaces[client->space];
    const struct found_topic *found = &j->found->topics[client->space][topic];
    const uint64_t place = found->cursors[client->id];
    const struct range range = look_at(j, client, topic, place);
    const bool must = client->cursors[topic] != MODEL_NEVER ||
                      (range.acked_any && (space->consistency == 0 || j->ending != ENDING_POWER));

    if (place == MODEL_NEVER) {
        if (must) {
            report_violation("%s: seed %llu life %u %s t%u: cursor c%u is gone, it was at %llu",
                             j->where, wide(j->model->seed), j->model->life, space->name, topic,
                             client->id, wide(range.least));
        }
        return;
    }
    if (place < range.least || place > range.most || place > found->end || !range.known_place ||
        !within_bound(j, space, &range, place)) {
        report_violation("%s: seed %llu life %u %s t%u: cursor c%u is at %llu, and should be in "
                         "[%llu, %llu]; acknowledged %llu, consistency %llu, the log ends at %llu",
                         j->where, wide(j->model->seed), j->model->life, space->name, topic,
                         client->id, wide(place), wide(range.least), wide(range.most),
                         wide(range.acked), wide(space->consistency), wide(found->end));
    }
    if (space->consumed && found->first > place) {
        report_violation("%s: seed %llu life %u %s t%u: cursor c%u is at %llu, and what is before "
                         "%llu was given up",
                         j->where, wide(j->model->seed), j->model->life, space->name, topic,
                         client->id, wide(place), wide(found->first));
    }
}

void judge_cursors(struct judgement *j)
{
    uint32_t i;
    uint32_t topic;

    for (i = 0; i < j->model->client_count; i++) {
        for (topic = 0; topic < MODEL_TOPICS; topic++) {
            check_cursor(j, &j->model->clients[i], topic);
        }
    }
}

/* ---- the next life ---- */

static void settle_client(struct judgement *j, struct client *client)
{
    struct space *space = &j->model->spaces[client->space];
    uint32_t i;

    for (i = 0; i < client->sent_count; i++) {
        struct sent *sent = &client->sent[i];
        const uint64_t place = j->places[client->id][i];
        const struct found_topic *topic = &j->found->topics[client->space][sent->topic];

        if (sent->settled != SETTLED_NOT) {
            continue;
        }
        if (sent->fate == FATE_ACKED) {
            model_issue(space, sent->topic_id, sent->first_offset + sent->count);
        }
        if (place != MODEL_NEVER) {
            model_issue(space, topic->topic_id, place + sent->count);
            sent->settled = SETTLED_PRESENT;
            sent->fate = FATE_ACKED;
            sent->first_offset = place;
            sent->topic_id = topic->topic_id;
        } else {
            sent->settled = judge_may_be_gone(j, client, sent) ? SETTLED_GONE : SETTLED_LOST;
        }
    }
    for (i = 0; i < client->moved_count; i++) {
        client->moved[i].settled = true;
    }
    for (i = 0; i < MODEL_TOPICS; i++) {
        client->cursors[i] = j->found->topics[client->space][i].cursors[client->id];
    }
    client->moved_count = 0;
    client->delivered_count = 0;
    client->synced_count = 0;
}

void judge_settle(struct judgement *j)
{
    uint32_t i;

    for (i = 0; i < j->model->client_count; i++) {
        settle_client(j, &j->model->clients[i]);
    }
    j->model->life++;
}
