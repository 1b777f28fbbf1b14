/* Turns that append. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/soak/entry.h"
#include "tests/soak/work_state.h"

#define BATCH_COUNT_MAX 500u
#define BATCH_BYTES_MAX (150u * 1024u)
#define PIPELINE_MAX 16u

struct gathered {
    struct tusk_bytes entries[BATCH_COUNT_MAX];
    uint8_t bytes[BATCH_BYTES_MAX + ENTRY_SIZE_MAX];
    uint32_t count;
};

/* What a reply has to say. One that waits for the disk comes behind later ones that do not. */
struct expected {
    const struct work_topic *topic;
    uint64_t offset;
    uint32_t count;
    bool done;
};

/* A batch of up to count entries, the next of the topic from an offset on. */
static void gather(struct gathered *batch, const struct work_topic *topic, uint64_t offset,
                   uint32_t count)
{
    size_t used = 0;

    for (batch->count = 0; batch->count < count && used <= BATCH_BYTES_MAX; batch->count++) {
        struct tusk_bytes *entry = &batch->entries[batch->count];

        *entry = (struct tusk_bytes){.data = batch->bytes + used,
                                     .size = entry_size(topic->serial, offset + batch->count)};
        if (used + entry->size > BATCH_BYTES_MAX && batch->count > 0) {
            break;
        }
        entry_make(topic->serial, offset + batch->count, batch->bytes + used);
        used += entry->size;
    }
}

static void appended(void *user, int code, const struct tusk_append_result *result)
{
    struct expected *expected = user;

    if (code != TUSK_OK || expected->done) {
        work_broken("an append to \"%s\" ends with %s", expected->topic->name,
                    tusk_error_name(code));
    }
    if (result->first_offset != expected->offset ||
        result->last_offset != expected->offset + expected->count - 1) {
        work_broken("\"%s\": offsets %llu to %llu are issued where %u entries from %llu belong",
                    expected->topic->name, (unsigned long long)result->first_offset,
                    (unsigned long long)result->last_offset, expected->count,
                    (unsigned long long)expected->offset);
    }
    expected->done = true;
}

static uint32_t draw_flags(struct work *work)
{
    return random_chance(&work->random, 2) ? TUSK_APPEND_DURABLE : 0;
}

void append_pipelined(struct work *work, struct tusk *t, struct work_topic *topic)
{
    static struct gathered batch;
    const unsigned batches = (unsigned)random_between(&work->random, 1, PIPELINE_MAX);
    const uint32_t most = work->small || random_chance(&work->random, 30) ? 5 : BATCH_COUNT_MAX;
    struct expected expected[PIPELINE_MAX];
    unsigned i;

    for (i = 0; i < batches; i++) {
        int rc;

        gather(&batch, topic, topic->end, (uint32_t)random_between(&work->random, 1, most));
        expected[i] = (struct expected){topic, topic->end, batch.count, false};
        while ((rc = tusk_submit_append_batch(t, topic->name, batch.entries, batch.count,
                                              draw_flags(work), appended, &expected[i])) ==
               TUSK_EBUSY) {
            need(t, tusk_process(t, TIMEOUT_MS), "process", topic);
        }
        need(t, rc, "submit a batch", topic);
        topic->end += batch.count;
        work->counts.appended += batch.count;
    }
    need(t, tusk_flush(t, TIMEOUT_MS), "flush", topic);
    for (i = 0; i < batches; i++) {
        if (!expected[i].done) {
            work_broken("\"%s\": a flush leaves an append undone", topic->name);
        }
    }
}

void append_singly(struct work *work, struct tusk *t, struct work_topic *topic)
{
    static uint8_t data[ENTRY_SIZE_MAX];
    uint64_t left = random_between(&work->random, 1, 20);

    for (; left > 0; left--) {
        struct tusk_append_result result;
        struct expected expected = {topic, topic->end, 1, false};

        entry_make(topic->serial, topic->end, data);
        need(t,
             tusk_append(t, topic->name, data, entry_size(topic->serial, topic->end),
                         draw_flags(work), &result),
             "append", topic);
        appended(&expected, TUSK_OK, &result);
        topic->end++;
        work->counts.appended++;
    }
}

void append_by_producer(struct work *work, struct tusk *t, struct work_topic *topic)
{
    static uint8_t data[ENTRY_SIZE_MAX];
    const bool many = !work->small && random_chance(&work->random, 50);
    const uint64_t count = random_between(&work->random, 1, many ? 30000 : work->small ? 10 : 300);
    const struct tusk_producer_options options = {
        .size = sizeof options,
        .topic = topic->name,
        .flags = draw_flags(work),
        .batch_count_max = (uint32_t)random_below(&work->random, 500),
    };
    struct tusk_producer_info info = {.size = sizeof info};
    struct tusk_producer *producer;
    uint64_t i;

    need(t, tusk_producer_open(t, &options, &producer), "open a producer", topic);
    for (i = 0; i < count; i++) {
        entry_make(topic->serial, topic->end + i, data);
        need(t,
             tusk_producer_append(producer, data, entry_size(topic->serial, topic->end + i),
                                  TIMEOUT_MS),
             "append by a producer", topic);
    }
    need(t, tusk_producer_flush(producer, TIMEOUT_MS), "flush a producer", topic);
    need(t, tusk_producer_info(producer, &info), "ask a producer", topic);
    if (info.stored != count || info.first_offset != topic->end ||
        info.last_offset != topic->end + count - 1) {
        work_broken("\"%s\": a producer stored %llu of %llu entries", topic->name,
                    (unsigned long long)info.stored, (unsigned long long)count);
    }
    need(t, tusk_producer_close(producer, TIMEOUT_MS), "close a producer", topic);
    topic->end += count;
    work->counts.appended += count;
}
