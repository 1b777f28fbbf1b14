/* The judge: what an engine serves against what was promised. */
#include <stdlib.h>
#include <string.h>

#include "proto/crc32c.h"
#include "tests/exhaustive/promise.h"
#include "tests/exhaustive/promise_entry.h"

#define READ_BYTES 3000u

/* What was seen of one topic. */
struct seen {
    const struct promise_topic *t;
    unsigned topic;
    uint64_t first;                    /* First offset kept */
    uint64_t next;                     /* The next offset is at least this */
    uint64_t offsets[PROMISE_BATCHES]; /* Of a batch's first entry */
    uint32_t entries[PROMISE_BATCHES]; /* Seen of each batch */
    unsigned at;                       /* No batch before this one comes any more */
};

static struct engine_topic_ref named(unsigned topic)
{
    const char *name = promise_topic_name(topic);

    return (struct engine_topic_ref){.name = name, .name_size = strlen(name)};
}

/* Which batch an entry belongs to; fails when none does, or when a byte of it differs. */
static unsigned owner(const struct seen *seen, const uint8_t *data, uint32_t size)
{
    const struct promise_topic *t = seen->t;
    const uint32_t number = size >= 8 ? (uint32_t)get_u64(data) : 0;
    uint8_t *whole = malloc(size + 1u);
    unsigned i = 0;

    assert_non_null(whole);
    assert_true(size >= 8);
    entry_fill(whole, size, seen->topic, t->life, number);
    assert_memory_equal(whole, data, size);
    free(whole);
    while (i < t->batch_count &&
           (number < t->batches[i].first || number >= t->batches[i].first + t->batches[i].count)) {
        i++;
    }
    assert_true(i < t->batch_count);
    assert_int_equal(t->batches[i].size, size);
    return i;
}

static void see(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    struct seen *seen = arg;
    const unsigned i = owner(seen, data, size);
    const struct promise_batch *batch = &seen->t->batches[i];
    const uint32_t index = (uint32_t)get_u64(data) - batch->first;

    assert_true(batch->state != PROMISE_REFUSED);
    assert_true(i >= seen->at);
    assert_true(offset >= seen->next);
    assert_true(offset >= seen->first);
    assert_true(offset >= index);
    if (seen->entries[i] == 0) {
        seen->offsets[i] = offset - index;
        /* Whole, but for what was trimmed. */
        assert_true(index == 0 || offset == seen->first);
        assert_true(batch->offset == UINT64_MAX || batch->offset == offset - index);
        seen->entries[i] = index;
    }
    assert_int_equal(offset, seen->offsets[i] + index);
    assert_int_equal(index, seen->entries[i]);
    seen->entries[i]++;
    seen->at = i;
    seen->next = offset + 1;
}

/* Everything of a topic. False: there is no such topic. */
static bool look(struct seen *seen, const struct promise *p, struct fixture *f, unsigned topic)
{
    const struct engine_topic_ref ref = named(topic);
    struct engine_topic_info info;
    unsigned i;

    memset(seen, 0, sizeof *seen);
    seen->t = &p->topics[topic];
    seen->topic = topic;
    if (engine_topic_info(f->ns, &ref, &info, &f->err) != 0) {
        return false;
    }
    seen->first = info.first;
    (void)fixture_read_all(f, promise_topic_name(topic), READ_BYTES, see, seen);
    assert_true(info.first >= seen->t->trimmed);
    assert_true(info.first <= seen->t->trim_asked || seen->t->retained);
    for (i = 0; i < seen->t->batch_count; i++) {
        assert_true(seen->entries[i] == 0 || seen->entries[i] == seen->t->batches[i].count);
    }
    return true;
}

/* Is the batch before what the topic keeps? It says nothing then. */
static bool given_up(const struct seen *seen, unsigned i)
{
    const struct promise_batch *batch = &seen->t->batches[i];

    return seen->first > seen->t->base && seen->entries[i] == 0 &&
           (batch->offset == UINT64_MAX || batch->offset + batch->count <= seen->first);
}

/* The last event that survived, and the first that did not: the one comes before the other. */
struct order {
    uint64_t survived;
    uint64_t missing;
};

static void survived(struct order *order, uint64_t event)
{
    order->survived = event > order->survived ? event : order->survived;
}

static void missing(struct order *order, uint64_t event)
{
    order->missing = event < order->missing ? event : order->missing;
}

static void judge_cursor(const struct promise_topic *t, struct fixture *f, unsigned topic,
                         struct order *order)
{
    const uint64_t at = fixture_cursor(f, promise_topic_name(topic), "k");
    unsigned i;

    if (at == UINT64_MAX) {
        assert_true(t->position == 0);
        return;
    }
    assert_true(at >= t->position);
    assert_true(at <= promise_end(f, topic));
    assert_true(t->position_count > 0);
    for (i = 0; i < t->position_count && t->positions[i].offset != at; i++) {
    }
    /* A checkpoint makes its cursor first, where the topic begins. */
    assert_true(i < t->position_count || t->retained || (t->position == 0 && at == t->trimmed));
    if (i < t->position_count) {
        survived(order, t->positions[i].event);
    }
}

/* A topic that is there. */
static void judge_topic(struct promise_topic *t, const struct seen *seen, struct order *order)
{
    bool gap = false;
    unsigned i;

    if (seen->first > t->trimmed && t->trim_event > 0 && !t->retained) {
        survived(order, t->trim_event);
    }
    for (i = 0; i < t->batch_count; i++) {
        struct promise_batch *batch = &t->batches[i];

        if (batch->state == PROMISE_REFUSED || given_up(seen, i)) {
            continue;
        }
        if (seen->entries[i] > 0) {
            assert_false(gap);
            survived(order, batch->event);
            batch->state = PROMISE_DURABLE;
            batch->offset = seen->offsets[i];
            if (batch->offset + batch->count > t->floor) {
                t->floor = batch->offset + batch->count;
            }
        } else {
            assert_true(batch->state != PROMISE_DURABLE);
            batch->state = PROMISE_REFUSED;
            if (batch->event > 0) {
                missing(order, batch->event);
                gap = true;
            }
        }
    }
    if (t->delete_maybe) {
        missing(order, t->delete_event);
    }
    t->delete_maybe = false;
    t->trimmed = seen->first > t->trimmed ? seen->first : t->trimmed;
    t->trim_asked = t->trimmed;
}

/* A topic that is not there: deleted, or all of it was lost. */
static void judge_absent(struct promise_topic *t, struct order *order)
{
    unsigned i;

    if (t->delete_maybe) {
        survived(order, t->delete_event);
    } else {
        assert_true(t->position == 0);
        assert_true(t->trimmed == t->base);
        for (i = 0; i < t->batch_count; i++) {
            assert_true(t->batches[i].state != PROMISE_DURABLE);
            if (t->batches[i].state != PROMISE_REFUSED && t->batches[i].event > 0) {
                missing(order, t->batches[i].event);
            }
        }
    }
    promise_forget(t);
}

void promise_check(struct promise *p, struct fixture *f)
{
    struct order order = {.missing = UINT64_MAX};
    unsigned topic;

    for (topic = 0; topic < PROMISE_TOPICS; topic++) {
        struct promise_topic *t = &p->topics[topic];
        struct seen seen;

        if (look(&seen, p, f, topic)) {
            judge_cursor(t, f, topic, &order);
            judge_topic(t, &seen, &order);
        } else {
            judge_absent(t, &order);
        }
    }
    /* One history: nothing is there that came behind something that is not. */
    assert_true(order.survived <= order.missing);
    for (topic = 0; topic < PROMISE_TOPICS; topic++) {
        struct promise_topic *t = &p->topics[topic];
        const uint64_t at = fixture_cursor(f, promise_topic_name(topic), "k");

        t->position = at == UINT64_MAX ? 0 : at;
        t->position_count = at == UINT64_MAX ? 0 : 1;
        t->positions[0] =
            (struct promise_position){.offset = at == UINT64_MAX ? 0 : at}; /* Before all events */
    }
}

void promise_check_running(const struct promise *p, struct fixture *f)
{
    unsigned topic;
    unsigned i;

    for (topic = 0; topic < PROMISE_TOPICS; topic++) {
        struct seen seen;
        const bool there = look(&seen, p, f, topic);
        const struct promise_topic *t = seen.t;

        for (i = 0; i < t->batch_count && !t->delete_maybe; i++) {
            assert_true(t->batches[i].state < PROMISE_ACKED || (there && given_up(&seen, i)) ||
                        seen.entries[i] > 0);
        }
    }
}

void promise_check_writes(struct promise *p, struct fixture *f)
{
    unsigned topic;

    for (topic = 0; topic < PROMISE_TOPICS; topic++) {
        const uint64_t position = p->topics[topic].position;

        assert_int_equal(promise_append(p, f, topic, 1, 40, true), 0);
        assert_true(p->topics[topic].floor > position); /* A cursor skips nothing that is new */
    }
}

/* ---- what readers see ---- */

struct hashing {
    uint64_t hash;
};

static void mix(struct hashing *hashing, uint64_t value)
{
    uint64_t seed = hashing->hash ^ value;

    hashing->hash = random_split(&seed);
}

static void hash_entry(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    mix(arg, offset);
    mix(arg, crc32c(0, data, size));
}

uint64_t promise_seen(struct fixture *f)
{
    struct hashing hashing = {0};
    unsigned topic;

    for (topic = 0; topic < PROMISE_TOPICS; topic++) {
        const struct engine_topic_ref ref = named(topic);
        struct engine_topic_info info;

        mix(&hashing, topic);
        if (engine_topic_info(f->ns, &ref, &info, &f->err) == 0) {
            mix(&hashing, info.first);
            mix(&hashing, info.id);
            mix(&hashing, fixture_cursor(f, promise_topic_name(topic), "k"));
            (void)fixture_read_all(f, promise_topic_name(topic), READ_BYTES, hash_entry, &hashing);
        }
    }
    return hashing.hash;
}
