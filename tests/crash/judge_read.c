/* What is there, read through the library. */
#include <stdlib.h>
#include <string.h>

#include "client/tusk.h"
#include "tests/crash/entry.h"
#include "tests/crash/judge.h"
#include "tests/crash/report.h"
#include "tests/sim/random.h"

#define TIMEOUT_MS 60000

struct reading {
    struct model *model;
    struct tusk *t;
    uint32_t space;
    struct found *found;
    struct found_topic *topic; /* Whose cursors are listed */
    const char *where;
};

static void push(struct found_topic *topic, const struct found_entry *entry)
{
    if (topic->count == topic->room) {
        topic->room = topic->room == 0 ? 1024 : topic->room * 2;
        topic->entries = realloc(topic->entries, topic->room * sizeof *topic->entries);
        report_need(topic->entries != NULL, "memory for what was found");
    }
    topic->entries[topic->count++] = *entry;
}

static void take_entry(struct reading *reading, uint32_t number, const struct tusk_entry *entry)
{
    struct found_topic *topic = &reading->found->topics[reading->space][number];
    struct found_entry found = {.offset = entry->offset, .time_us = entry->time_us};
    struct entry_name name = {0};

    if (!entry_read_name(entry->data, entry->size, &name) || name.topic != number ||
        name.client >= reading->model->client_count ||
        reading->model->clients[name.client].space != reading->space ||
        !entry_matches(reading->model->seed, &name, entry->data, entry->size)) {
        report_violation(
            "%s: %s t%u offset %llu: the bytes are not those of any entry that was sent",
            reading->where, reading->model->spaces[reading->space].name, number,
            (unsigned long long)entry->offset);
        return;
    }
    found.client = name.client;
    found.number = name.number;
    found.index = name.index;
    push(topic, &found);
    reading->found->entries++;
}

static bool read_topic(struct reading *reading, uint32_t number, const char *name, uint64_t first)
{
    struct tusk_read_options options = {.size = sizeof options, .from = {TUSK_FROM_OFFSET, first}};
    struct tusk_batch_info info = {.size = sizeof info};
    struct tusk_batch *batch;
    struct tusk_entry entry;
    int code;

    for (;;) {
        code = tusk_read(reading->t, name, &options, &batch);
        if (code == TUSK_ETRIMMED && reading->model->spaces[reading->space].consumed) {
            /* Retention went on since the topic was listed. */
            options.from.value = tusk_last_error(reading->t)->detail_a;
            reading->topic->first = options.from.value;
            continue;
        }
        if (code != TUSK_OK) {
            break;
        }
        (void)tusk_batch_info(batch, &info);
        while (tusk_batch_next(batch, &entry)) {
            take_entry(reading, number, &entry);
        }
        tusk_batch_free(batch);
        options.from.value = info.to;
    }
    if (code != TUSK_EEND) {
        report_violation("%s: %s %s from %llu cannot be read: %s", reading->where,
                         reading->model->spaces[reading->space].name, name,
                         (unsigned long long)options.from.value, tusk_last_error(reading->t)->text);
        return false;
    }
    return true;
}

static int take_cursor(void *user, const struct tusk_cursor_info *info)
{
    struct reading *reading = user;
    unsigned client;

    if (sscanf(info->name, "c%u", &client) != 1 || client >= MODEL_CLIENTS_MAX) {
        report_violation("%s: a cursor \"%s\" that nobody made", reading->where, info->name);
        return 0;
    }
    reading->topic->cursors[client] = info->offset;
    return 0;
}

static int take_topic(void *user, const struct tusk_topic_info *info)
{
    struct reading *reading = user;
    struct found_topic *topic;
    unsigned number;

    if (sscanf(info->name, "t%u", &number) != 1 || number >= MODEL_TOPICS) {
        report_violation("%s: a topic \"%s\" that nobody made", reading->where, info->name);
        return 0;
    }
    topic = &reading->found->topics[reading->space][number];
    topic->exists = true;
    topic->topic_id = info->topic_id;
    topic->first = info->first;
    topic->end = info->end;
    return 0;
}

static bool read_space(struct reading *reading)
{
    const struct tusk_options options = {
        .size = sizeof options,
        .path = reading->model->socket,
        .space = reading->model->spaces[reading->space].name,
        .timeout_ms = TIMEOUT_MS,
    };
    struct tusk_failure failure;
    bool good = true;
    uint32_t i;

    if (tusk_connect(&options, &reading->t, &failure) != TUSK_OK) {
        report_violation("%s: namespace %s does not serve: %s", reading->where, options.space,
                         failure.text);
        return false;
    }
    good = tusk_topic_list(reading->t, take_topic, reading) == TUSK_OK;
    for (i = 0; i < MODEL_TOPICS && good; i++) {
        char name[16];

        reading->topic = &reading->found->topics[reading->space][i];
        (void)snprintf(name, sizeof name, "t%u", i);
        if (reading->topic->exists) {
            good = read_topic(reading, i, name, reading->topic->first) &&
                   tusk_cursor_list(reading->t, name, take_cursor, reading) == TUSK_OK;
        }
    }
    (void)tusk_close(reading->t);
    return good;
}

bool judge_read(struct model *model, struct found *found, const char *where)
{
    struct reading reading = {.model = model, .found = found, .where = where};
    bool good = true;
    uint32_t i;

    memset(found, 0, sizeof *found);
    for (reading.space = 0; reading.space < MODEL_SPACES; reading.space++) {
        for (i = 0; i < MODEL_TOPICS; i++) {
            memset(found->topics[reading.space][i].cursors, 0xff,
                   sizeof found->topics[reading.space][i].cursors);
        }
        good = read_space(&reading) && good;
    }
    return good;
}

void found_free(struct found *found)
{
    uint32_t space;
    uint32_t i;

    for (space = 0; space < MODEL_SPACES; space++) {
        for (i = 0; i < MODEL_TOPICS; i++) {
            free(found->topics[space][i].entries);
        }
    }
    memset(found, 0, sizeof *found);
}

static uint64_t mix(uint64_t digest, uint64_t value)
{
    uint64_t state = digest ^ value;

    return random_split(&state);
}

uint64_t found_digest(const struct model *model, const struct found *found)
{
    uint64_t digest = 1;
    uint32_t space;
    uint32_t i;
    uint32_t k;

    for (space = 0; space < MODEL_SPACES; space++) {
        for (i = 0; i < MODEL_TOPICS; i++) {
            const struct found_topic *topic = &found->topics[space][i];

            digest = mix(digest, topic->topic_id);
            /* Retention may go on at any time. */
            for (k = model->spaces[space].consumed ? topic->count : 0; k < topic->count; k++) {
                const struct found_entry *entry = &topic->entries[k];

                digest =
                    mix(mix(digest, entry->time_us),
                        model_entry_sum(entry->offset, entry->client, entry->number, entry->index));
            }
            for (k = 0; k < MODEL_CLIENTS_MAX; k++) {
                digest = mix(digest, topic->cursors[k]);
            }
        }
    }
    return digest;
}
