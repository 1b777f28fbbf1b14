/* Turns that ask for lists, and change what is no entry. */
#include <stdio.h>
#include <string.h>

#include "tests/soak/work_state.h"

/* ---- cursors ---- */

void manage_cursors(struct work *work, struct tusk *t, struct work_topic *topic)
{
    struct tusk_cursor_place place;
    char name[32];
    unsigned i;

    (void)snprintf(name, sizeof name, "cursor %llu",
                   (unsigned long long)random_below(&work->random, 1000000));
    need(t,
         tusk_cursor_create(t, topic->name, name,
                            (struct tusk_position){.kind = TUSK_FROM_EARLIEST}, &place),
         "create a cursor", topic);
    if (place.offset < topic->first || place.offset > topic->end) {
        work_broken("\"%s\": a cursor is made at %llu", topic->name,
                    (unsigned long long)place.offset);
    }
    for (i = 0; i < 3; i++) {
        const uint64_t to =
            place.offset + random_below(&work->random, topic->end - place.offset + 1);

        need(t, tusk_checkpoint(t, topic->name, name, to, place.epoch, 0, &place), "checkpoint",
             topic);
        if (place.offset != to) {
            work_broken("\"%s\": a checkpoint of %llu is told as %llu", topic->name,
                        (unsigned long long)to, (unsigned long long)place.offset);
        }
    }
    need(t, tusk_cursor_delete(t, topic->name, name), "delete a cursor", topic);
    if (random_chance(&work->random, 20)) {
        need(t,
             tusk_seek(t, topic->name, "c", (struct tusk_position){.kind = TUSK_FROM_LATEST},
                       &place),
             "seek", topic);
        topic->cursor = place.offset;
    }
    work->counts.requests += 6;
}

/* ---- looks ---- */

struct seen {
    const struct work *work;
    unsigned topics;
    unsigned cursors;
};

static int see_topic(void *user, const struct tusk_topic_info *info)
{
    struct seen *seen = user;
    unsigned i;

    seen->topics++;
    for (i = 0; i < WORK_TOPICS; i++) {
        const struct work_topic *topic = &seen->work->topics[i];

        if (topic->exists && strcmp(topic->name, info->name) == 0) {
            if (info->end != topic->end || info->first < topic->first) {
                work_broken("\"%s\" is listed with entries %llu to %llu", info->name,
                            (unsigned long long)info->first, (unsigned long long)info->end);
            }
            return 0;
        }
    }
    work_broken("a topic \"%s\" is listed", info->name);
}

static int see_cursor(void *user, const struct tusk_cursor_info *info)
{
    struct seen *seen = user;

    (void)info;
    seen->cursors++;
    return 0;
}

static int see_config(void *user, const struct tusk_config_item *item)
{
    (void)user;
    (void)item;
    return 0;
}

static int see_space(void *user, const struct tusk_namespace_info *info)
{
    (void)user;
    if (info->state != TUSK_NAMESPACE_SERVING) {
        work_broken("namespace \"%s\": %s", info->name, info->reason);
    }
    return 0;
}

void look_around(struct work *work, struct tusk *t, struct work_topic *topic)
{
    struct tusk_topic_info info = {.size = sizeof info};
    struct seen seen = {.work = work};
    unsigned i;
    unsigned topics = 0;

    for (i = 0; i < WORK_TOPICS; i++) {
        topics += work->topics[i].exists ? 1 : 0;
    }
    need(t, tusk_topic_list(t, see_topic, &seen), "list topics", NULL);
    need(t, tusk_cursor_list(t, topic->name, see_cursor, &seen), "list cursors", topic);
    need(t, tusk_topic_info(t, topic->name, &info), "ask about a topic", topic);
    if (seen.topics != topics || seen.cursors != info.cursors ||
        seen.cursors != (topic->cursor != WORK_NONE ? 1 : 0)) {
        work_broken("%u topics are listed, and %u cursors of \"%s\"", seen.topics, seen.cursors,
                    topic->name);
    }
    need(t, tusk_namespace_list(t, see_space, NULL), "list namespaces", NULL);
    need(t, tusk_config(t, random_chance(&work->random, 10), see_config, NULL), "ask for options",
         NULL);
    need(t, tusk_ping(t), "ping", NULL);
    if (random_chance(&work->random, 20)) {
        need(t, tusk_sync(t), "sync", NULL);
    }
    (void)work_stat(work, "topics");
    work->counts.requests += 6;
}

/* A namespace that comes, takes a few entries, and goes. */
void visit_space(struct work *work, struct tusk *t)
{
    const struct tusk_setting each = {TUSK_SETTING_FSYNC, 0};
    struct tusk *inside;
    char name[32];
    unsigned i;
    int rc;

    (void)snprintf(name, sizeof name, "space %llu", (unsigned long long)++work->next_serial);
    need(t, tusk_namespace_create(t, name, &each, 1), "create a namespace", NULL);
    inside = connect_to(work, name);
    for (i = 0; i < 10; i++) {
        need(inside, tusk_append(inside, "inside", name, strlen(name), 0, NULL), "append", NULL);
    }
    (void)tusk_close(inside);
    /* Until the daemon has noticed that nobody uses it any more. */
    for (i = 0; (rc = tusk_namespace_delete(t, name)) == TUSK_EBUSY && i < 10000; i++) {
        need(t, tusk_ping(t), "ping", NULL);
    }
    need(t, rc, "delete a namespace", NULL);
    work->counts.requests += 12;
}

/* ---- counters ---- */

struct stat_wanted {
    const char *name;
    uint64_t value;
};

static int take_stat(void *user, const char *name, uint64_t value)
{
    struct stat_wanted *wanted = user;

    if (strcmp(name, wanted->name) == 0) {
        wanted->value = value;
    }
    return 0;
}

uint64_t work_stat(struct work *work, const char *name)
{
    struct stat_wanted wanted = {.name = name, .value = UINT64_MAX};

    need(work->clients[0], tusk_stats(work->clients[0], take_stat, &wanted), "ask for counters",
         NULL);
    if (wanted.value == UINT64_MAX) {
        work_broken("there is no counter \"%s\"", name);
    }
    work->counts.requests++;
    return wanted.value;
}
