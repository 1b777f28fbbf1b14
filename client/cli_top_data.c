#include "client/cli_top_data.h"

#include <stdlib.h>
#include <string.h>

/* ---- One look ---- */

static void look_free(struct top_look *look)
{
    size_t i;

    for (i = 0; i < look->topic_count; i++) {
        free(look->topics[i].name);
    }
    for (i = 0; i < look->cursor_count; i++) {
        free(look->cursors[i].topic);
        free(look->cursors[i].name);
    }
    free(look->topics);
    free(look->cursors);
    *look = (struct top_look){0};
}

/* The items, with room for one more; NULL without memory, and then they are where they were. */
static void *reserve(void *items, size_t count, size_t *capacity, size_t size)
{
    const size_t larger = *capacity == 0 ? 64 : 2 * *capacity;
    void *moved;

    if (count < *capacity) {
        return items;
    }
    moved = realloc(items, larger * size);
    *capacity = moved != NULL ? larger : *capacity;
    return moved;
}

struct looking {
    struct tusk *t;
    struct top_look *look;
    const struct tusk_topic_info *topic; /* While its cursors are listed */
    int code;
};

static int take_cursor(void *user, const struct tusk_cursor_info *info)
{
    struct looking *looking = user;
    struct top_look *look = looking->look;
    struct top_cursor *cursor =
        reserve(look->cursors, look->cursor_count, &look->cursor_capacity, sizeof *cursor);

    if (cursor == NULL) {
        looking->code = TUSK_ENOMEM;
        return 1;
    }
    look->cursors = cursor;
    cursor += look->cursor_count++; /* From here on look_free() sees it */
    *cursor = (struct top_cursor){
        .topic_id = looking->topic->topic_id, .offset = info->offset, .lag = info->lag};
    cursor->topic = strdup(looking->topic->name);
    cursor->name = strdup(info->name);
    /* fanalyzer-suppress malloc-leak: the copies are in look->cursors, which realloc() moved */
    if (cursor->topic == NULL || cursor->name == NULL) {
        looking->code = TUSK_ENOMEM;
        return 1;
    }
    return 0;
}

static int take_topic(void *user, const struct tusk_topic_info *info)
{
    struct looking *looking = user;
    struct top_look *look = looking->look;
    struct top_topic *topic =
        reserve(look->topics, look->topic_count, &look->topic_capacity, sizeof *topic);

    if (topic == NULL) {
        looking->code = TUSK_ENOMEM;
        return 1;
    }
    look->topics = topic;
    topic += look->topic_count++; /* From here on look_free() sees it */
    *topic = (struct top_topic){.id = info->topic_id,
                                .entries = info->entries,
                                .end = info->end,
                                .bytes = info->bytes,
                                .cursors = info->cursors};
    topic->name = strdup(info->name);
    /* fanalyzer-suppress malloc-leak: the copy is in look->topics, which realloc() moved */
    if (topic->name == NULL) {
        looking->code = TUSK_ENOMEM;
        return 1;
    }
    looking->topic = info;
    if (info->cursors > 0) {
        const int rc = tusk_cursor_list(looking->t, info->name, take_cursor, looking);

        /* It may have been deleted meanwhile. */
        if (rc != TUSK_OK && rc != TUSK_ENOTFOUND) {
            looking->code = rc;
        }
    }
    return looking->code != TUSK_OK;
}

static int take_stat(void *user, const char *name, uint64_t value)
{
    struct top_counters *counters = user;
    const struct {
        const char *name;
        uint64_t *value;
    } wanted[] = {
        {"append_entries", &counters->append_entries}, {"append_bytes", &counters->append_bytes},
        {"read_entries", &counters->read_entries},     {"read_bytes", &counters->read_bytes},
        {"unsynced_bytes", &counters->unsynced_bytes}, {"sync_us", &counters->sync_us},
        {"connections", &counters->connections}};
    size_t i;

    for (i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if (strcmp(name, wanted[i].name) == 0) {
            *wanted[i].value = value;
        }
    }
    return 0;
}

/* ---- Two looks ---- */

static int compare_ids(const void *a, const void *b)
{
    const struct top_topic *left = a;
    const struct top_topic *right = b;

    return left->id < right->id ? -1 : left->id > right->id;
}

static int compare_cursor_ids(const void *a, const void *b)
{
    const struct top_cursor *left = a;
    const struct top_cursor *right = b;

    if (left->topic_id != right->topic_id) {
        return left->topic_id < right->topic_id ? -1 : 1;
    }
    return strcmp(left->name, right->name);
}

double top_data_rate(const struct top_data *data, uint64_t now, uint64_t before)
{
    return data->elapsed > 0 ? ((double)now - (double)before) / data->elapsed : 0;
}

static void compare_looks(struct top_data *data)
{
    size_t i;

    for (i = 0; i < data->now.topic_count; i++) {
        struct top_topic *topic = &data->now.topics[i];
        const struct top_topic *before =
            data->before.topic_count == 0
                ? NULL
                : bsearch(topic, data->before.topics, data->before.topic_count, sizeof *topic,
                          compare_ids);

        /* What is new was empty before. */
        topic->rate = top_data_rate(data, topic->end, before != NULL ? before->end : 0);
    }
    for (i = 0; i < data->now.cursor_count; i++) {
        struct top_cursor *cursor = &data->now.cursors[i];
        const struct top_cursor *before =
            data->before.cursor_count == 0
                ? NULL
                : bsearch(cursor, data->before.cursors, data->before.cursor_count, sizeof *cursor,
                          compare_cursor_ids);

        cursor->rate = before != NULL ? top_data_rate(data, cursor->offset, before->offset) : 0;
    }
}

int top_data_look(struct top_data *data, struct tusk *t)
{
    struct top_look look = {0};
    struct looking looking = {.t = t, .look = &look};
    int rc = tusk_stats(t, take_stat, &look.counters);

    if (rc == TUSK_OK) {
        rc = tusk_topic_list(t, take_topic, &looking);
    }
    rc = rc == TUSK_OK ? looking.code : rc;
    if (rc != TUSK_OK) {
        look_free(&look);
        return rc;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &look.at);
    if (look.topic_count > 0) {
        qsort(look.topics, look.topic_count, sizeof *look.topics, compare_ids);
    }
    if (look.cursor_count > 0) {
        qsort(look.cursors, look.cursor_count, sizeof *look.cursors, compare_cursor_ids);
    }
    look_free(&data->before);
    data->before = data->now;
    data->now = look;
    data->elapsed = 0;
    if (data->before.at.tv_sec != 0 || data->before.at.tv_nsec != 0) {
        data->elapsed = (double)(look.at.tv_sec - data->before.at.tv_sec) +
                        (double)(look.at.tv_nsec - data->before.at.tv_nsec) / 1e9;
    }
    compare_looks(data);
    return TUSK_OK;
}

void top_data_free(struct top_data *data)
{
    look_free(&data->now);
    look_free(&data->before);
}

/* ---- For the screen ---- */

static int by_name(const void *a, const void *b)
{
    const struct top_topic *const *left = a;
    const struct top_topic *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

/* The largest first; what is equal by name, so that rows stand still. */
static int by_rate(const void *a, const void *b)
{
    const struct top_topic *const *left = a;
    const struct top_topic *const *right = b;

    if ((*left)->rate != (*right)->rate) {
        return (*left)->rate > (*right)->rate ? -1 : 1;
    }
    return by_name(a, b);
}

static int by_bytes(const void *a, const void *b)
{
    const struct top_topic *const *left = a;
    const struct top_topic *const *right = b;

    if ((*left)->bytes != (*right)->bytes) {
        return (*left)->bytes > (*right)->bytes ? -1 : 1;
    }
    return by_name(a, b);
}

static int by_cursor(const void *a, const void *b)
{
    const struct top_cursor *const *left = a;
    const struct top_cursor *const *right = b;
    const int topics = strcmp((*left)->topic, (*right)->topic);

    return topics != 0 ? topics : strcmp((*left)->name, (*right)->name);
}

static int by_lag(const void *a, const void *b)
{
    const struct top_cursor *const *left = a;
    const struct top_cursor *const *right = b;

    if ((*left)->lag != (*right)->lag) {
        return (*left)->lag > (*right)->lag ? -1 : 1;
    }
    return by_cursor(a, b);
}

const struct top_topic **top_data_topics(const struct top_data *data, enum top_order order)
{
    const size_t count = data->now.topic_count;
    const struct top_topic **topics = calloc(count + 1, sizeof(struct top_topic *));
    size_t i;

    for (i = 0; topics != NULL && i < count; i++) {
        topics[i] = &data->now.topics[i];
    }
    if (topics != NULL) {
        qsort(topics, count, sizeof(struct top_topic *),
              order == TOP_BY_RATE    ? by_rate
              : order == TOP_BY_BYTES ? by_bytes
                                      : by_name);
    }
    return topics;
}

const struct top_cursor **top_data_cursors(const struct top_data *data, enum top_cursor_order order)
{
    const size_t count = data->now.cursor_count;
    const struct top_cursor **cursors = calloc(count + 1, sizeof(struct top_cursor *));
    size_t i;

    for (i = 0; cursors != NULL && i < count; i++) {
        cursors[i] = &data->now.cursors[i];
    }
    if (cursors != NULL) {
        qsort(cursors, count, sizeof(struct top_cursor *),
              order == TOP_BY_LAG ? by_lag : by_cursor);
    }
    return cursors;
}
