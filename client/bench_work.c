/* What is measured: the workers of tusk bench. */
#include "client/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

/* With single entries the clock would be a good part of the work: every so many are timed. */
#define SAMPLE_EVERY 16u
#define TIME_SIZE 8u

/* ---- append ---- */

struct append_slot {
    struct append_bench *bench;
    uint64_t begin_ns; /* 0: not timed */
    uint32_t next;     /* Free slot */
};

struct append_bench {
    struct bench_worker *worker;
    uint8_t *payload; /* Of every entry */
    struct append_slot *slots;
    struct tusk_bytes *entries;
    char (*topics)[TUSK_NAME_SIZE_MAX + 16];
    uint32_t free_slot;
    uint64_t submitted; /* Entries */
    uint64_t batches;
    uint64_t limit;
    int code;
};

static void append_done(void *user, int code, const struct tusk_append_result *result)
{
    struct append_slot *slot = user;
    struct append_bench *bench = slot->bench;
    struct bench_result *total = bench->worker->result;

    (void)result;
    if (code != TUSK_OK && bench->code == TUSK_OK) {
        bench->code = code;
    }
    if (slot->begin_ns != 0) {
        histogram_add(&total->latency, bench_now_ns() - slot->begin_ns);
    }
    if (code == TUSK_OK) {
        total->entries += bench->worker->options->batch;
        total->bytes += (uint64_t)bench->worker->options->batch * bench->worker->options->size;
    }
    slot->next = bench->free_slot;
    bench->free_slot = (uint32_t)(slot - bench->slots);
}

/* Submit until the window or the connection is full. */
static int append_fill(struct append_bench *bench)
{
    const struct bench_options *options = bench->worker->options;
    int rc = TUSK_OK;

    while (rc == TUSK_OK && bench->free_slot != UINT32_MAX && bench->submitted < bench->limit) {
        struct append_slot *slot = &bench->slots[bench->free_slot];
        const char *topic = bench->topics[bench->batches % options->topics];

        slot->begin_ns = 0;
        if (options->batch > 1 || bench->batches % SAMPLE_EVERY == 0) {
            slot->begin_ns = bench_now_ns();
        }
        rc = tusk_submit_append_batch(bench->worker->cli.t, topic, bench->entries, options->batch,
                                      options->flags, append_done, slot);
        if (rc == TUSK_OK) {
            bench->free_slot = slot->next;
            bench->submitted += options->batch;
            bench->batches++;
        }
    }
    return rc == TUSK_EBUSY ? TUSK_OK : rc;
}

static int append_measure(struct append_bench *bench)
{
    const struct bench_options *options = bench->worker->options;
    struct bench_result *result = bench->worker->result;
    struct tusk *t = bench->worker->cli.t;
    uint64_t end_ns;
    int rc = TUSK_OK;

    bench_start(bench->worker);
    end_ns = result->begin_ns + (uint64_t)(options->duration * 1e9);
    while (rc == TUSK_OK && bench->code == TUSK_OK) {
        if (options->timed && bench_now_ns() >= end_ns) {
            bench->limit = bench->submitted;
        }
        rc = append_fill(bench);
        if (rc == TUSK_OK && tusk_in_flight(t) == 0) {
            break;
        }
        rc = rc == TUSK_OK ? tusk_process(t, TUSK_TIMEOUT_DEFAULT) : rc;
    }
    result->end_ns = bench_now_ns();
    return rc == TUSK_OK ? bench->code : rc;
}

static void append_release(struct append_bench *bench)
{
    free(bench->payload);
    free(bench->entries);
    free(bench->slots);
    free(bench->topics);
}

static bool append_prepare(struct append_bench *bench)
{
    const struct bench_options *options = bench->worker->options;
    uint32_t i;

    bench->payload = calloc(1, options->size > 0 ? options->size : 1);
    bench->slots = calloc(options->window, sizeof *bench->slots);
    bench->entries = calloc(options->batch, sizeof *bench->entries);
    bench->topics = calloc(options->topics, sizeof *bench->topics);
    if (bench->payload == NULL || bench->slots == NULL || bench->entries == NULL ||
        bench->topics == NULL) {
        return false;
    }
    memset(bench->payload, 'x', options->size);
    for (i = 0; i < options->batch; i++) {
        bench->entries[i] = (struct tusk_bytes){.data = bench->payload, .size = options->size};
    }
    for (i = 0; i < options->window; i++) {
        bench->slots[i].bench = bench;
        bench->slots[i].next = i + 1 < options->window ? i + 1 : UINT32_MAX;
    }
    for (i = 0; i < options->topics; i++) {
        (void)snprintf(bench->topics[i], sizeof bench->topics[i], i > 0 ? "%s.%u" : "%s",
                       options->topic, i);
    }
    return true;
}

int bench_append(struct bench_worker *worker)
{
    struct append_bench bench = {.worker = worker, .limit = UINT64_MAX};
    const struct bench_options *options = worker->options;
    uint32_t i;
    int rc;

    if (!append_prepare(&bench)) {
        append_release(&bench);
        cli_say("out of memory");
        return CLI_FAILED;
    }
    if (options->count > 0) {
        bench.limit = options->count / options->clients;
    }
    /* A topic's creation waits for a disk, which is not what is measured. */
    for (i = 0; i < options->topics; i++) {
        rc = tusk_append(worker->cli.t, bench.topics[i], "", 0, 0, NULL);
        if (rc != TUSK_OK) {
            rc = cli_fail(&worker->cli, rc, "append to %s", bench.topics[i]);
            append_release(&bench);
            return rc;
        }
    }
    rc = append_measure(&bench);
    rc = rc == TUSK_OK ? CLI_DONE : cli_fail(&worker->cli, rc, "append to %s", options->topic);
    /* After a failure appends are pending: closing calls append_done(), which needs the slots. */
    (void)tusk_close(worker->cli.t);
    worker->cli.t = NULL;
    append_release(&bench);
    return rc;
}

/* ---- latency ---- */

int bench_latency(struct bench_worker *worker)
{
    const struct bench_options *options = worker->options;
    struct bench_result *result = worker->result;
    uint8_t *payload = calloc(1, options->size > 0 ? options->size : 1);
    uint64_t end_ns;
    int rc =
        payload != NULL ? tusk_append(worker->cli.t, options->topic, "", 0, 0, NULL) : TUSK_ENOMEM;

    bench_start(worker);
    end_ns = result->begin_ns + (uint64_t)(options->duration * 1e9);
    while (rc == TUSK_OK &&
           (options->count == 0 || result->entries < options->count / options->clients)) {
        uint64_t begin_ns = bench_now_ns();

        if (options->timed && begin_ns >= end_ns) {
            break;
        }
        rc = tusk_append(worker->cli.t, options->topic, payload, options->size, options->flags,
                         NULL);
        histogram_add(&result->latency, bench_now_ns() - begin_ns);
        result->entries++;
        result->bytes += options->size;
    }
    result->end_ns = bench_now_ns();
    free(payload);
    return rc == TUSK_OK ? CLI_DONE : cli_fail(&worker->cli, rc, "append to %s", options->topic);
}

/* ---- read ---- */

/* Read from the first entry to the last, or to count. */
static int read_pass(struct bench_worker *worker, const struct tusk_consumer_options *how)
{
    const struct bench_options *options = worker->options;
    struct bench_result *result = worker->result;
    struct tusk_consumer *consumer;
    struct tusk_entry entry;
    int rc = tusk_consumer_open(worker->cli.t, how, &consumer);

    if (rc != TUSK_OK) {
        return rc;
    }
    while ((options->count == 0 || result->entries < options->count) &&
           (rc = tusk_consumer_next(consumer, &entry, TUSK_TIMEOUT_DEFAULT)) == TUSK_OK) {
        result->entries++;
        result->bytes += entry.size;
    }
    rc = rc == TUSK_EEND ? TUSK_OK : rc;
    if (options->checkpoint > 0 && rc == TUSK_OK) {
        rc = tusk_consumer_checkpoint(consumer, TUSK_TIMEOUT_DEFAULT);
    }
    (void)tusk_consumer_close(consumer, 0);
    return rc;
}

int bench_read(struct bench_worker *worker)
{
    const struct bench_options *options = worker->options;
    struct bench_result *result = worker->result;
    char cursor[48];
    const struct tusk_consumer_options how = {.size = sizeof how,
                                              .topic = options->topic,
                                              .cursor = options->checkpoint > 0 ? cursor : NULL,
                                              .from = {TUSK_FROM_EARLIEST, 0},
                                              .flags = TUSK_CONSUMER_STOP_AT_END,
                                              .checkpoint_every = options->checkpoint};
    uint64_t end_ns;
    int rc;

    bench_start(worker);
    end_ns = result->begin_ns + (uint64_t)(options->duration * 1e9);
    do {
        /* A cursor of this pass's own: an older one would stand behind what is read now. */
        (void)snprintf(cursor, sizeof cursor, "bench-%llx-%u", (unsigned long long)bench_now_ns(),
                       worker->index);
        rc = read_pass(worker, &how);
        result->end_ns = bench_now_ns();
        if (options->checkpoint > 0) {
            (void)tusk_cursor_delete(worker->cli.t, options->topic, cursor);
        }
    } while (rc == TUSK_OK && options->again && result->entries > 0 &&
             (options->count == 0 || result->entries < options->count) && result->end_ns < end_ns);
    return rc == TUSK_OK ? CLI_DONE : cli_fail(&worker->cli, rc, "read %s", options->topic);
}

/* ---- e2e ---- */

/* Entries say when they were sent; the last one says zero. */
static int end_to_end_follow(struct bench_worker *worker)
{
    const struct bench_options *options = worker->options;
    const struct tusk_consumer_options consumer_options = {
        .size = sizeof consumer_options, .topic = options->topic, .from = {TUSK_FROM_LATEST, 0}};
    struct bench_result *result = worker->result;
    struct tusk_consumer *consumer;
    struct tusk_entry entry;
    uint64_t sent_ns = 1;
    int rc = tusk_append(worker->cli.t, options->topic, "", 0, 0, NULL);

    rc = rc == TUSK_OK ? tusk_consumer_open(worker->cli.t, &consumer_options, &consumer) : rc;
    if (rc != TUSK_OK) {
        return cli_fail(&worker->cli, rc, "follow %s", options->topic);
    }
    /* The read that fixes the place is on its way before anything is sent. */
    (void)tusk_consumer_next(consumer, &entry, 0);
    (void)tusk_ping(worker->cli.t);
    bench_start(worker);
    while (sent_ns != 0 && (rc = tusk_consumer_next(consumer, &entry, 10000)) == TUSK_OK) {
        if (entry.size < TIME_SIZE) {
            continue;
        }
        memcpy(&sent_ns, entry.data, sizeof sent_ns);
        if (sent_ns != 0) {
            histogram_add(&result->latency, bench_now_ns() - sent_ns);
            result->entries++;
            result->bytes += entry.size;
        }
    }
    result->end_ns = bench_now_ns();
    (void)tusk_consumer_close(consumer, 0);
    return rc == TUSK_OK ? CLI_DONE : cli_fail(&worker->cli, rc, "follow %s", options->topic);
}

/* Wait for the next time to send, answering the daemon meanwhile. */
static void end_to_end_wait(struct tusk *t, uint64_t until_ns)
{
    uint64_t now_ns;

    while ((now_ns = bench_now_ns()) < until_ns) {
        uint64_t left_ns = until_ns - now_ns;

        if (left_ns > 2000000) {
            (void)tusk_process(t, (int)(left_ns / 1000000 - 1));
        } else {
            struct timespec pause = {.tv_nsec = (long)left_ns};

            (void)tusk_process(t, 0);
            (void)nanosleep(&pause, NULL);
        }
    }
}

static int end_to_end_append(struct bench_worker *worker)
{
    const struct bench_options *options = worker->options;
    struct bench_result *result = worker->result;
    struct tusk *t = worker->cli.t;
    uint32_t size = options->size < TIME_SIZE ? TIME_SIZE : options->size;
    uint8_t *payload = calloc(1, size);
    uint64_t total = (uint64_t)(options->duration * options->rate);
    uint64_t stamp;
    uint64_t i;
    int rc = payload != NULL ? TUSK_OK : TUSK_ENOMEM;

    total = options->count > 0 ? options->count : total;
    /* The default slack of 50 us makes a sender that wakes every 100 us late, and sends pairs. */
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    bench_start(worker);
    for (i = 0; i <= total && rc == TUSK_OK; i++) {
        end_to_end_wait(t, result->begin_ns + i * 1000000000 / options->rate);
        stamp = i < total ? bench_now_ns() : 0;
        memcpy(payload, &stamp, sizeof stamp);
        while ((rc = tusk_submit_append(t, options->topic, payload, size, options->flags, NULL,
                                        NULL)) == TUSK_EBUSY) {
            (void)tusk_process(t, TUSK_TIMEOUT_DEFAULT);
        }
        rc = rc == TUSK_OK ? tusk_process(t, 0) : rc;
    }
    rc = rc == TUSK_OK ? tusk_flush(t, TUSK_TIMEOUT_DEFAULT) : rc;
    result->end_ns = bench_now_ns();
    free(payload);
    return rc == TUSK_OK ? CLI_DONE : cli_fail(&worker->cli, rc, "append to %s", options->topic);
}

int bench_end_to_end(struct bench_worker *worker)
{
    return worker->index == 0 ? end_to_end_follow(worker) : end_to_end_append(worker);
}
