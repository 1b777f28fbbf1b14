/* The operations of a promise; promise_check.c judges. */
#include "tests/exhaustive/promise.h"

#include <stdlib.h>
#include <string.h>

#include "proto/crc32c.h"
#include "tests/exhaustive/promise_entry.h"

static const char *const names[PROMISE_TOPICS] = {"alpha", "beta", "gamma"};

const char *promise_topic_name(unsigned topic)
{
    return names[topic];
}

void promise_init(struct promise *p)
{
    memset(p, 0, sizeof *p); /* Padding too: promises are hashed */
}

uint64_t promise_event(struct promise *p)
{
    return ++p->events;
}

static struct engine_topic_ref named(unsigned topic)
{
    return (struct engine_topic_ref){.name = names[topic], .name_size = strlen(names[topic])};
}

uint64_t promise_end(struct fixture *f, unsigned topic)
{
    const struct engine_topic_ref ref = named(topic);
    struct engine_topic_info info;

    return engine_topic_info(f->ns, &ref, &info, &f->err) == 0 ? info.end : 0;
}

void promise_told(struct promise *p, struct fixture *f)
{
    unsigned topic;
    unsigned i;

    for (topic = 0; topic < PROMISE_TOPICS; topic++) {
        const struct engine_topic_ref ref = named(topic);
        struct promise_topic *t = &p->topics[topic];
        struct engine_topic_info info;

        if (engine_topic_info(f->ns, &ref, &info, &f->err) != 0) {
            continue;
        }
        for (i = 0; i < t->batch_count; i++) {
            struct promise_batch *batch = &t->batches[i];

            if (batch->state == PROMISE_ACKED && batch->offset + batch->count <= info.durable_end) {
                batch->state = PROMISE_DURABLE;
            }
        }
    }
}

/* Everything acknowledged is durable. */
static void all_durable(struct promise *p)
{
    unsigned topic;
    unsigned i;

    for (topic = 0; topic < PROMISE_TOPICS; topic++) {
        struct promise_topic *t = &p->topics[topic];

        for (i = 0; i < t->batch_count; i++) {
            if (t->batches[i].state == PROMISE_ACKED) {
                t->batches[i].state = PROMISE_DURABLE;
            }
        }
    }
}

void promise_cut(struct promise *p)
{
    unsigned topic;
    unsigned i;

    for (topic = 0; topic < PROMISE_TOPICS; topic++) {
        struct promise_topic *t = &p->topics[topic];

        for (i = 0; i < t->batch_count; i++) {
            if (t->batches[i].state == PROMISE_ACKED) {
                t->batches[i].state = PROMISE_MAYBE;
                t->batches[i].event = 0;
            }
        }
    }
}

/* ---- appends ---- */

void promise_append_begin(struct promise *p, struct fixture *f, struct promise_pending *pending,
                          uint64_t event, unsigned topic, uint32_t count, uint32_t size,
                          bool durable)
{
    struct promise_topic *t = &p->topics[topic];
    struct batch_entry *entries = calloc(count, sizeof *entries);
    struct promise_batch *batch;
    uint32_t i;

    assert_non_null(entries);
    assert_true(t->batch_count < PROMISE_BATCHES);
    pending->data = malloc((size_t)count * size);
    assert_non_null(pending->data);
    pending->topic = topic;
    pending->batch = t->batch_count++;
    batch = &t->batches[pending->batch];
    batch->event = event;
    batch->offset = UINT64_MAX;
    batch->first = t->numbers;
    batch->count = count;
    batch->size = size;
    batch->state = PROMISE_MAYBE;
    t->numbers += count;
    for (i = 0; i < count; i++) {
        entries[i] = (struct batch_entry){.data = pending->data + (size_t)i * size, .size = size};
        entry_fill(pending->data + (size_t)i * size, size, topic, t->life, batch->first + i);
    }
    pending->append = (struct fixture_append){.request.durable = durable};
    fixture_append_begin(f, &pending->append, names[topic], entries, count);
    free(entries);
}

int promise_append_end(struct promise *p, struct fixture *f, struct promise_pending *pending)
{
    const int status = fixture_append_end(f, &pending->append);
    struct promise_topic *t = &p->topics[pending->topic];
    struct promise_batch *batch = &t->batches[pending->batch];

    free(pending->data);
    if (status == 0) {
        const bool durable =
            pending->append.request.durable || f->options.settings.fsync_ms == ENGINE_FSYNC_EACH;

        batch->offset = pending->append.request.first_offset;
        assert_true(batch->offset >= t->floor);
        t->floor = batch->offset + batch->count;
        batch->state = durable ? PROMISE_DURABLE : PROMISE_ACKED;
        assert_true(!durable || pending->append.request.durable_end >= t->floor);
        promise_told(p, f);
    } else if (status != TUSK_EUNKNOWN) {
        batch->state = PROMISE_REFUSED;
    }
    return status;
}

int promise_append(struct promise *p, struct fixture *f, unsigned topic, uint32_t count,
                   uint32_t size, bool durable)
{
    struct promise_pending pending;

    promise_append_begin(p, f, &pending, promise_event(p), topic, count, size, durable);
    return promise_append_end(p, f, &pending);
}

/* ---- commands ---- */

int promise_sync(struct promise *p, struct fixture *f)
{
    struct engine_command command = {.kind = ENGINE_SYNC};
    const int status = fixture_command(f, &command);

    if (status == 0) {
        all_durable(p);
    }
    return status;
}

int promise_checkpoint(struct promise *p, struct fixture *f, unsigned topic, uint64_t offset)
{
    struct promise_topic *t = &p->topics[topic];
    int status;

    assert_true(t->position_count < PROMISE_POSITIONS);
    t->positions[t->position_count++] =
        (struct promise_position){.event = promise_event(p), .offset = offset};
    status = fixture_checkpoint(f, names[topic], "k", offset);
    if (status == 0 && !p->at_least_once && offset > t->position) {
        t->position = offset;
        all_durable(p);
    } else if (status == TUSK_ENOTFOUND || status == TUSK_EINVALID) {
        t->position_count--;
    }
    return status;
}

int promise_trim(struct promise *p, struct fixture *f, unsigned topic, uint64_t offset)
{
    struct promise_topic *t = &p->topics[topic];
    const uint64_t before = t->trim_asked;
    int status;

    t->trim_event = promise_event(p);
    t->trim_asked = offset > t->trim_asked ? offset : t->trim_asked;
    status = fixture_trim(f, names[topic], offset);
    if (status == 0 && t->trim_asked > t->trimmed) { /* Else there was nothing to make durable */
        t->trimmed = t->trim_asked;
        all_durable(p);
    } else if (status == TUSK_ENOTFOUND || status == TUSK_EINVALID) {
        t->trim_asked = before;
    }
    return status;
}

/* The topic is gone; what comes under its name is another. */
void promise_forget(struct promise_topic *t)
{
    const uint32_t life = t->life + 1;
    const bool retained = t->retained;
    const uint64_t base = t->base;

    memset(t, 0, sizeof *t);
    t->life = life;
    t->retained = retained;
    t->base = base;
    t->trimmed = t->trim_asked = base;
}

int promise_delete(struct promise *p, struct fixture *f, unsigned topic)
{
    struct promise_topic *t = &p->topics[topic];
    int status;

    t->delete_event = promise_event(p);
    t->delete_maybe = true;
    status = fixture_delete(f, names[topic]);
    if (status == 0) {
        promise_forget(t);
        all_durable(p);
    } else if (status == TUSK_ENOTFOUND) {
        t->delete_maybe = false;
    }
    return status;
}

int promise_stop(struct promise *p, struct fixture *f)
{
    const int rc = engine_stop(f->engine, &f->now, &f->err);

    if (rc == 0) {
        all_durable(p);
    }
    return rc;
}

uint64_t promise_hash(const struct promise *p)
{
    return (uint64_t)crc32c(0, p, sizeof *p) << 32 | crc32c(1, p, sizeof *p);
}
