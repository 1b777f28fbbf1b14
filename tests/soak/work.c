#include "tests/soak/work.h"

#include <stdio.h>
#include <string.h>

#include "tests/soak/work_state.h"

#define KEPT_MAX                                                                                   \
    60000u /* Entries of a topic; beyond it a turn reads and trims instead of appending */

/* ---- clients ---- */

void need(struct tusk *t, int rc, const char *what, const struct work_topic *topic)
{
    if (rc != TUSK_OK) {
        work_broken("%s, topic \"%s\": %s: %s", what, topic != NULL ? topic->name : "",
                    tusk_error_name(rc), tusk_last_error(t)->text);
    }
}

struct tusk *connect_to(struct work *work, const char *space)
{
    const struct tusk_options options = {
        .size = sizeof options, .path = work->socket, .space = space, .timeout_ms = TIMEOUT_MS};
    struct tusk_failure failure;
    struct tusk *t;

    if (tusk_connect(&options, &t, &failure) != TUSK_OK) {
        work_broken("connect: %s", failure.text);
    }
    work->counts.requests++;
    return t;
}

/* What a consumer that was closed in the middle had asked for is taken first: a reply may name a
 * block that was lent to this process, and whoever does not take it cannot give it back. */
static void leave(struct tusk *t)
{
    while (t != NULL && tusk_in_flight(t) > 0) {
        need(t, tusk_process(t, TIMEOUT_MS), "process", NULL);
    }
    (void)tusk_close(t);
}

struct tusk *some_client(struct work *work)
{
    const uint64_t i = random_below(&work->random, WORK_CLIENTS);

    if (i > 0 && random_chance(&work->random, 2)) {
        leave(work->clients[i]);
        work->clients[i] = NULL;
    }
    if (work->clients[i] == NULL) {
        work->clients[i] = connect_to(work, NULL);
    }
    return work->clients[i];
}

/* ---- topics ---- */

void make_topic(struct work *work, struct tusk *t, struct work_topic *topic)
{
    static const struct tusk_setting rules[] = {
        {TUSK_SETTING_RETENTION, TUSK_RETENTION_ALL},
        {TUSK_SETTING_RETENTION, TUSK_RETENTION_CONSUMED},
        {TUSK_SETTING_RETENTION, TUSK_RETENTION_SIZE_LIMIT},
        {TUSK_SETTING_RETENTION, TUSK_RETENTION_AGE_LIMIT},
    };
    const unsigned place = (unsigned)(topic - work->topics);
    const unsigned rule = place % 4;
    const struct tusk_setting settings[] = {
        rules[rule],
        {TUSK_SETTING_RETENTION_SIZE, 4 * WORK_BLOCK_KIB * 1024},
        {TUSK_SETTING_RETENTION_AGE, 500},
    };

    topic->serial = ++work->next_serial;
    topic->first = 0;
    topic->end = 0;
    topic->cursor = WORK_NONE;
    topic->exists = true;
    topic->self_trimming = rule != 0;
    /* Half of the names come again, half never. */
    (void)snprintf(
        topic->name, sizeof topic->name, "topic %llu",
        (unsigned long long)(random_chance(&work->random, 50) ? 1000 + topic->serial : place));
    if (rule == 0 && random_chance(&work->random, 50)) {
        return; /* Its first append makes it */
    }
    need(t, tusk_topic_create(t, topic->name, settings, rule < 2 ? 1 : 3, NULL), "create", topic);
    work->counts.requests++;
}

void trim(struct work *work, struct tusk *t, struct work_topic *topic, uint64_t offset)
{
    uint64_t first;

    need(t, tusk_topic_trim(t, topic->name, offset, &first), "trim", topic);
    if (first < offset || first > topic->end || (!topic->self_trimming && first != offset)) {
        work_broken("\"%s\": trimmed to %llu, kept from %llu", topic->name,
                    (unsigned long long)offset, (unsigned long long)first);
    }
    topic->first = first;
    work->counts.requests++;
}

void delete_topic(struct work *work, struct tusk *t, struct work_topic *topic)
{
    need(t, tusk_topic_delete(t, topic->name), "delete", topic);
    topic->exists = false;
    work->counts.requests++;
}

/* ---- turns ---- */

/* Read the whole, mostly, and give it up. */
static void read_and_trim(struct work *work, struct tusk *t, struct work_topic *topic)
{
    drain_by_consumer(work, t, topic);
    trim(work, t, topic, topic->end);
}

static void append(struct work *work, struct tusk *t, struct work_topic *topic)
{
    const uint64_t roll = random_below(&work->random, 100);

    if (topic->end - topic->first > KEPT_MAX) {
        read_and_trim(work, t, topic);
    } else if (roll < 60) {
        append_pipelined(work, t, topic);
    } else if (roll < 80) {
        append_singly(work, t, topic);
    } else {
        append_by_producer(work, t, topic);
    }
}

static void read(struct work *work, struct tusk *t, struct work_topic *topic)
{
    const uint64_t roll = random_below(&work->random, 100);

    if (roll < 50) {
        drain_by_consumer(work, t, topic);
    } else if (roll < 75) {
        read_anywhere(work, t, topic);
    } else {
        read_at_cursor(work, t, topic);
    }
}

static void manage(struct work *work, struct tusk *t, struct work_topic *topic)
{
    const uint64_t roll = random_below(&work->random, 100);

    if (roll < 20) {
        trim(work, t, topic,
             topic->first + random_below(&work->random, topic->end - topic->first + 1));
    } else if (roll < 30 && topic >= work->topics + WORK_LASTING) {
        delete_topic(work, t, topic);
    } else if (roll < 55) {
        manage_cursors(work, t, topic);
    } else if (roll < 75) {
        come_and_go(work, topic);
    } else if (roll < 98) {
        look_around(work, t, topic);
    } else {
        visit_space(work, t);
    }
}

void work_turn(struct work *work)
{
    /* The lasting ones get most. */
    struct work_topic *topic = &work->topics[random_below(
        &work->random, random_chance(&work->random, 60) ? WORK_LASTING : WORK_TOPICS)];
    struct tusk *t = some_client(work);
    const uint64_t roll = random_below(&work->random, 100);

    if (!topic->exists) {
        make_topic(work, t, topic);
        append_singly(work, t, topic);
    } else if (roll < 45) {
        append(work, t, topic);
    } else if (roll < 85) {
        read(work, t, topic);
    } else {
        manage(work, t, topic);
    }
}

/* ---- the whole ---- */

void work_open(struct work *work, uint64_t seed, bool small, const char *socket)
{
    unsigned i;

    memset(work, 0, sizeof *work);
    work->seed = seed;
    work->small = small;
    work->socket = socket;
    random_init(&work->random, seed);
    work->clients[0] = connect_to(work, NULL);
    for (i = 0; i < WORK_LASTING; i++) {
        make_topic(work, work->clients[0], &work->topics[i]);
        append_singly(work, work->clients[0], &work->topics[i]);
    }
}

/* What is over in the daemon as soon as it has looked at its sockets, synced, and marked what is
 * durable. */
static bool at_rest(struct work *work)
{
    return work_stat(work, "connections") == 1 && work_stat(work, "leases") == 0 &&
           work_stat(work, "leases_left_behind") == 0 && work_stat(work, "blocks_freeing") == 0 &&
           work_stat(work, "waiting_appends") == 0 && work_stat(work, "unsynced_bytes") == 0;
}

void work_settle(struct work *work)
{
    const struct tusk_read_options wait = {
        .size = sizeof wait, .from = {.kind = TUSK_FROM_LATEST}, .wait_ms = 5};
    struct tusk *t = work->clients[0];
    struct tusk_batch *batch;
    unsigned i;

    for (i = 1; i < WORK_CLIENTS; i++) {
        leave(work->clients[i]);
        work->clients[i] = NULL;
    }
    for (i = 0; i < WORK_TOPICS; i++) {
        if (i < WORK_LASTING) {
            read_and_trim(work, t, &work->topics[i]);
        } else if (work->topics[i].exists) {
            delete_topic(work, t, &work->topics[i]);
        }
    }
    need(t, tusk_sync(t), "sync", NULL);
    for (i = 0; !at_rest(work); i++) {
        if (i == TIMEOUT_MS / 5) {
            work_broken("the daemon does not come to rest: %llu connections, %llu and %llu leases, "
                        "%llu blocks to be freed, %llu bytes not synced",
                        (unsigned long long)work_stat(work, "connections"),
                        (unsigned long long)work_stat(work, "leases"),
                        (unsigned long long)work_stat(work, "leases_left_behind"),
                        (unsigned long long)work_stat(work, "blocks_freeing"),
                        (unsigned long long)work_stat(work, "unsynced_bytes"));
        }
        /* A wait, by the daemon's own clock, for an entry that nobody appends. */
        if (tusk_read(t, work->topics[0].name, &wait, &batch) != TUSK_EEND) {
            work_broken("there is an entry behind the end of \"%s\"", work->topics[0].name);
        }
    }
}

void work_close(struct work *work)
{
    unsigned i;

    for (i = 0; i < WORK_CLIENTS; i++) {
        leave(work->clients[i]);
        work->clients[i] = NULL;
    }
}

uint64_t work_operations(const struct work *work)
{
    return work->counts.appended + work->counts.read + work->counts.requests;
}
