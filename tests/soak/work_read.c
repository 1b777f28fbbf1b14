/* Turns that read. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/soak/entry.h"
#include "tests/soak/work_state.h"

static void expect_entry(struct work *work, const struct work_topic *topic, uint64_t offset,
                         const struct tusk_entry *entry)
{
    if (entry->offset != offset) {
        work_broken("\"%s\": entry %llu is delivered where %llu belongs", topic->name,
                    (unsigned long long)entry->offset, (unsigned long long)offset);
    }
    if (!entry_matches(topic->serial, offset, entry->data, entry->size)) {
        work_broken("\"%s\": entry %llu is not what was appended", topic->name,
                    (unsigned long long)offset);
    }
    work->counts.read++;
}

/* The entries of a batch, from an offset on. Returns where they end. */
static uint64_t expect_batch(struct work *work, const struct work_topic *topic, uint64_t offset,
                             struct tusk_batch *batch)
{
    struct tusk_batch_info info = {.size = sizeof info};
    struct tusk_entry entry;

    while (tusk_batch_next(batch, &entry)) {
        expect_entry(work, topic, offset++, &entry);
    }
    if (tusk_batch_info(batch, &info) != TUSK_OK || info.to != offset || info.end > topic->end) {
        work_broken("\"%s\": a batch says it ends at %llu of %llu, and holds entries before %llu",
                    topic->name, (unsigned long long)info.to, (unsigned long long)info.end,
                    (unsigned long long)offset);
    }
    tusk_batch_free(batch);
    work->counts.requests++;
    return offset;
}

/* Entries before an offset are gone: only retention and trims may have done that. */
static void expect_trimmed(struct work_topic *topic, uint64_t from, uint64_t kept)
{
    if (kept <= from || kept > topic->end || (!topic->self_trimming && kept != topic->first)) {
        work_broken("\"%s\": entries before %llu are said to be gone; asked from %llu, kept from "
                    "%llu to %llu",
                    topic->name, (unsigned long long)kept, (unsigned long long)from,
                    (unsigned long long)topic->first, (unsigned long long)topic->end);
    }
    topic->first = kept;
}

void read_anywhere(struct work *work, struct tusk *t, struct work_topic *topic)
{
    uint64_t offset = topic->first + random_below(&work->random, topic->end - topic->first + 1);
    const struct tusk_read_options options = {
        .size = sizeof options,
        .from = {TUSK_FROM_OFFSET, offset},
        .max_bytes = random_chance(&work->random, 50) ? 4096 : 0,
        .max_entries = random_chance(&work->random, 30) ? 10 : 0,
        .flags = random_chance(&work->random, 50) ? TUSK_READ_UNCHECKED : 0,
    };
    struct tusk_batch *batch;
    const int rc = tusk_read(t, topic->name, &options, &batch);

    work->counts.requests++;
    if (rc == TUSK_ETRIMMED) {
        expect_trimmed(topic, offset, tusk_last_error(t)->detail_a);
    } else if (rc != TUSK_EEND || offset != topic->end) {
        need(t, rc, "read", topic);
        (void)expect_batch(work, topic, offset, batch);
    }
}

void read_at_cursor(struct work *work, struct tusk *t, struct work_topic *topic)
{
    const struct tusk_read_options options = {
        .size = sizeof options, .max_entries = (uint32_t)random_between(&work->random, 1, 2000)};
    const bool consume = random_chance(&work->random, 50);
    uint64_t offset = topic->cursor != WORK_NONE ? topic->cursor : topic->first;
    struct tusk_batch *batch;
    int rc;

    if (topic->cursor == WORK_NONE) {
        return; /* Where it would begin is retention's to say */
    }
    rc = consume ? tusk_consume(t, topic->name, "c", &options, &batch)
                 : tusk_peek(t, topic->name, "c", &options, &batch);
    work->counts.requests++;
    if (rc == TUSK_ETRIMMED) {
        expect_trimmed(topic, offset, tusk_last_error(t)->detail_a);
        return;
    }
    if (rc == TUSK_EEND && offset == topic->end) {
        return;
    }
    need(t, rc, "read at a cursor", topic);
    offset = expect_batch(work, topic, offset, batch);
    if (!consume) {
        need(t, tusk_checkpoint(t, topic->name, "c", offset, 0, 0, NULL), "checkpoint", topic);
        work->counts.requests++;
    }
    topic->cursor = offset;
}

/* To the end, or to where the turn has enough. Returns behind the last entry; from when there was
 * none: then there is nothing to checkpoint, though entries before may be gone. */
static uint64_t drain(struct work *work, struct tusk *t, struct work_topic *topic,
                      struct tusk_consumer *consumer, const uint64_t from)
{
    uint64_t offset = from;
    uint64_t behind = from;
    uint64_t left =
        random_chance(&work->random, 80) ? UINT64_MAX : random_below(&work->random, 5000);
    struct tusk_entry entry;

    for (; left > 0; left--) {
        const int rc = tusk_consumer_next(consumer, &entry, TIMEOUT_MS);

        if (rc == TUSK_EEND) {
            if (offset != topic->end) {
                work_broken("\"%s\": a consumer is at its end at %llu, not %llu", topic->name,
                            (unsigned long long)offset, (unsigned long long)topic->end);
            }
            break;
        }
        if (rc == TUSK_ETRIMMED) {
            expect_trimmed(topic, offset, tusk_last_error(t)->detail_a);
            offset = topic->first;
            continue;
        }
        need(t, rc, "consume", topic);
        expect_entry(work, topic, offset++, &entry);
        behind = offset;
    }
    return behind;
}

void drain_by_consumer(struct work *work, struct tusk *t, struct work_topic *topic)
{
    const bool named = random_chance(&work->random, 80);
    const bool peek = random_chance(&work->random, 10);
    const struct tusk_consumer_options options = {
        .size = sizeof options,
        .topic = topic->name,
        .cursor = named ? "c" : NULL,
        .from = {named ? TUSK_FROM_DEFAULT : TUSK_FROM_OFFSET, named ? 0 : topic->first},
        .flags = TUSK_CONSUMER_STOP_AT_END | (peek ? TUSK_CONSUMER_PEEK : 0) |
                 (random_chance(&work->random, 40) ? TUSK_CONSUMER_NO_MAP : 0),
        .checkpoint_every = named && !peek ? (uint32_t)random_below(&work->random, 3) * 1000 : 0,
    };
    uint64_t offset = named && topic->cursor != WORK_NONE ? topic->cursor : topic->first;
    struct tusk_consumer *consumer;

    if (named && topic->cursor == WORK_NONE) {
        need(t,
             tusk_seek(t, topic->name, "c", (struct tusk_position){.kind = TUSK_FROM_LATEST}, NULL),
             "seek", topic);
        topic->cursor = topic->end;
        return;
    }
    need(t, tusk_consumer_open(t, &options, &consumer), "open a consumer", topic);
    offset = drain(work, t, topic, consumer, offset);
    if (named && !peek) {
        need(t, tusk_consumer_checkpoint(consumer, TIMEOUT_MS), "checkpoint a consumer", topic);
        topic->cursor = offset > topic->cursor ? offset : topic->cursor;
    }
    need(t, tusk_consumer_close(consumer, TIMEOUT_MS), "close a consumer", topic);
    work->counts.requests++;
}

/* ---- who leaves in the middle ---- */

static void left_behind(void *user, int code, struct tusk_batch *batch)
{
    uint64_t *completed = user;

    (void)code;
    (*completed)++;
    tusk_batch_free(batch);
}

/* Reads are under way when the connection ends. */
static void leave_reads_behind(struct work *work, const struct work_topic *topic)
{
    struct tusk *t = connect_to(work, NULL);
    const uint64_t submitted = random_below(&work->random, 30);
    uint64_t completed = 0;
    uint64_t i;

    for (i = 0; i < submitted; i++) {
        need(t, tusk_submit_read(t, topic->name, NULL, NULL, left_behind, &completed),
             "submit a read", topic);
    }
    if (random_chance(&work->random, 50)) {
        (void)tusk_process(t, 0);
    }
    (void)tusk_close(t);
    if (completed != submitted) {
        work_broken("%llu of %llu reads complete when their connection is closed",
                    (unsigned long long)completed, (unsigned long long)submitted);
    }
    work->counts.requests += submitted;
}

/* The process ends in the middle of what it has mapped, or of what it was copied. */
static _Noreturn void consume_and_vanish(struct work *work, const struct work_topic *topic)
{
    const struct tusk_consumer_options options = {.size = sizeof options, .topic = topic->name};
    struct tusk *t = connect_to(work, NULL);
    struct tusk_consumer *consumer;
    struct tusk_entry entry;

    need(t, tusk_consumer_open(t, &options, &consumer), "open a consumer", topic);
    (void)tusk_consumer_next(consumer, &entry, 0);
    _exit(0);
}

void come_and_go(struct work *work, struct work_topic *topic)
{
    int status;
    pid_t child;

    if (random_chance(&work->random, 50)) {
        leave_reads_behind(work, topic);
        return;
    }
    (void)fflush(stdout);
    child = fork();
    if (child == 0) {
        consume_and_vanish(work, topic);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        work_broken("a client of its own process cannot be tried");
    }
    work->counts.requests += 2;
}
