/* Load on tusk, by libtusk: what tusk.h calls pipelined. Here reads and deliveries. */
#include "tests/bench/tusk_load.h"

#include <stdio.h>
#include <string.h>

#define FIRST_PAUSE_NS 500000u
#define READ_SIZE (1u << 20)

/* ---- read, group, next ---- */

/* One pass over the topic, or what is left of the time. */
struct drain {
    struct load_worker *worker;
    struct tusk *t;
    uint64_t from;
    char cursor[48];  /* "": none; each pass has its own, as an older one would stand at the end */
    bool checkpoints; /* One for each read */
    bool each;        /* One for each entry */
    bool end;
    uint32_t in_flight; /* Checkpoints */
    struct tusk_batch *batch;
};

static void checkpoint_done(void *user, int code, const struct tusk_cursor_place *place)
{
    struct drain *drain = user;

    (void)place;
    tusk_load_expect(drain->t, code, "checkpoint");
    drain->in_flight--;
    if (drain->each) {
        drain->worker->result->entries++;
    }
}

static void checkpoint_submit(struct drain *drain, uint64_t offset)
{
    int rc;

    while ((rc = tusk_submit_checkpoint(drain->t, drain->worker->options->topic, drain->cursor,
                                        offset, 0, 0, checkpoint_done, drain)) == TUSK_EBUSY) {
        tusk_load_expect(drain->t, tusk_process(drain->t, TUSK_TIMEOUT_DEFAULT), "checkpoint");
    }
    tusk_load_expect(drain->t, rc, "checkpoint");
    drain->in_flight++;
}

static void read_done(void *user, int code, struct tusk_batch *batch);

static void read_submit(struct drain *drain)
{
    const struct tusk_read_options how = {.size = sizeof how,
                                          .from = {TUSK_FROM_OFFSET, drain->from},
                                          .max_bytes = READ_SIZE,
                                          .flags = TUSK_READ_UNCHECKED};

    tusk_load_expect(
        drain->t,
        tusk_submit_read(drain->t, drain->worker->options->topic, NULL, &how, read_done, drain),
        "read");
}

static void read_done(void *user, int code, struct tusk_batch *batch)
{
    struct drain *drain = user;

    if (code == TUSK_EEND) {
        drain->end = true;
        return;
    }
    tusk_load_expect(drain->t, code, "read");
    drain->batch = batch;
}

/* Wait for the next read, and ask for the one behind it before looking at its entries. NULL: at the
 * end. */
static struct tusk_batch *drain_batch(struct drain *drain, struct tusk_batch_info *info)
{
    struct tusk_batch *batch;

    while (drain->batch == NULL && !drain->end) {
        tusk_load_expect(drain->t, tusk_process(drain->t, TUSK_TIMEOUT_DEFAULT), "read");
    }
    batch = drain->batch;
    drain->batch = NULL;
    if (batch != NULL) {
        *info = (struct tusk_batch_info){.size = sizeof *info};
        tusk_load_expect(drain->t, tusk_batch_info(batch, info), "read");
        drain->from = info->to;
        read_submit(drain);
        tusk_load_expect(drain->t, tusk_process(drain->t, 0), "read");
    }
    return batch;
}

static void drain_begin(struct drain *drain, uint64_t pass)
{
    struct tusk_topic_info info = {.size = sizeof info};

    tusk_load_expect(drain->t, tusk_topic_info(drain->t, drain->worker->options->topic, &info),
                     "topic");
    drain->from = info.first;
    drain->end = false;
    (void)snprintf(drain->cursor, sizeof drain->cursor, "bench-%llx-%llu",
                   (unsigned long long)load_now_ns(), (unsigned long long)pass);
    read_submit(drain);
}

static void drain_end(struct drain *drain)
{
    while (drain->in_flight > 0) {
        tusk_load_expect(drain->t, tusk_process(drain->t, TUSK_TIMEOUT_DEFAULT), "checkpoint");
    }
    if (drain->checkpoints) {
        tusk_load_expect(drain->t,
                         tusk_cursor_delete(drain->t, drain->worker->options->topic, drain->cursor),
                         "cursor");
    }
}

static void run_drain(struct load_worker *worker, bool checkpoints)
{
    struct drain drain = {.worker = worker, .checkpoints = checkpoints};
    struct load_result *result = worker->result;
    struct tusk_batch_info info;
    struct tusk_batch *batch;
    uint64_t pass = 0;

    drain.t = tusk_load_dial(worker->options, 0);
    load_start(worker);
    do {
        drain_begin(&drain, pass++);
        while ((batch = drain_batch(&drain, &info)) != NULL) {
            struct tusk_entry entry;

            while (tusk_batch_next(batch, &entry) == 1) {
                result->entries++;
                result->bytes += entry.size;
            }
            tusk_batch_free(batch);
            if (checkpoints) {
                checkpoint_submit(&drain, info.to);
            }
        }
        drain_end(&drain);
    } while (result->entries > 0 && load_now_ns() < load_end_ns(worker));
}

static void run_read(struct load_worker *worker)
{
    run_drain(worker, false);
}

/* The same, entry by entry, by the library's consumer, which maps the daemon's files. */
static void run_mapped(struct load_worker *worker)
{
    struct tusk_consumer_options how = {.size = sizeof how,
                                        .topic = worker->options->topic,
                                        .from = {TUSK_FROM_EARLIEST, 0},
                                        .flags = TUSK_CONSUMER_STOP_AT_END};
    struct load_result *result = worker->result;
    struct tusk *t = tusk_load_dial(worker->options, 0);
    struct tusk_entry entry;
    int rc;

    load_start(worker);
    do {
        struct tusk_consumer *consumer;

        tusk_load_expect(t, tusk_consumer_open(t, &how, &consumer), "consumer");
        while ((rc = tusk_consumer_next(consumer, &entry, TUSK_TIMEOUT_DEFAULT)) == TUSK_OK) {
            result->entries++;
            result->bytes += entry.size;
        }
        tusk_load_expect(t, rc == TUSK_EEND ? TUSK_OK : rc, "consumer");
        tusk_load_expect(t, tusk_consumer_close(consumer, 0), "consumer");
    } while (result->entries > 0 && load_now_ns() < load_end_ns(worker));
}

static void run_group(struct load_worker *worker)
{
    run_drain(worker, true);
}

static void run_next(struct load_worker *worker)
{
    struct drain drain = {.worker = worker, .checkpoints = true, .each = true};
    struct tusk_batch_info info;
    struct tusk_batch *batch;
    struct tusk_entry entry;
    uint64_t end_ns;

    drain.t = tusk_load_dial(worker->options, 0);
    drain_begin(&drain, 0);
    load_start(worker);
    end_ns = load_end_ns(worker);
    while ((batch = drain_batch(&drain, &info)) != NULL) {
        do {
            if (tusk_batch_next(batch, &entry) != 1) {
                break;
            }
            checkpoint_submit(&drain, entry.offset + 1);
            while (drain.in_flight >= worker->options->window) {
                tusk_load_expect(drain.t, tusk_process(drain.t, TUSK_TIMEOUT_DEFAULT),
                                 "checkpoint");
            }
        } while (load_now_ns() < end_ns);
        tusk_batch_free(batch);
        if (load_now_ns() >= end_ns) {
            break;
        }
    }
    drain_end(&drain);
    worker->result->bytes = worker->result->entries * worker->options->size;
}

/* ---- e2e, first ---- */

static void e2e_follow(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    const struct tusk_consumer_options how = {
        .size = sizeof how, .topic = options->topic, .from = {TUSK_FROM_LATEST, 0}};
    struct tusk *t = tusk_load_dial(options, 0);
    struct tusk_consumer *consumer;
    struct tusk_entry entry;

    tusk_load_expect(t, tusk_append(t, options->topic, "", 0, 0, NULL), "create");
    tusk_load_expect(t, tusk_consumer_open(t, &how, &consumer), "follow");
    /* The read that fixes the place is on its way before anything is sent. */
    (void)tusk_consumer_next(consumer, &entry, 0);
    tusk_load_expect(t, tusk_ping(t), "follow");
    load_start(worker);
    do {
        tusk_load_expect(t, tusk_consumer_next(consumer, &entry, 10000), "follow");
    } while (load_arrived(worker, entry.data, entry.size));
}

static void e2e_append(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    uint64_t total =
        options->count > 0 ? options->count : (uint64_t)(options->duration * options->rate);
    struct tusk *t = tusk_load_dial(options, 0);
    uint8_t *payload = load_alloc(options->size);
    uint64_t stamp;
    uint64_t i;

    load_start(worker);
    for (i = 0; i <= total; i++) {
        load_sleep_until(worker->result->begin_ns + i * 1000000000 / options->rate);
        stamp = i < total ? load_now_ns() : 0;
        memcpy(payload, &stamp, sizeof stamp);
        tusk_load_expect(
            t, tusk_submit_append(t, options->topic, payload, options->size, 0, NULL, NULL),
            "append");
        tusk_load_expect(t, tusk_process(t, 0), "append");
    }
    tusk_load_expect(t, tusk_flush(t, TUSK_TIMEOUT_DEFAULT), "append");
}

static void run_e2e(struct load_worker *worker)
{
    if (worker->index == 0) {
        e2e_follow(worker);
    } else {
        e2e_append(worker);
    }
}

static void run_first(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    const struct tusk_options how = {.size = sizeof how, .path = options->address};
    bool found = false;

    load_start(worker);
    worker->result->begin_ns = options->since_ns;
    while (!found) {
        struct tusk_batch *batch;
        struct tusk *t;

        if (tusk_connect(&how, &t, NULL) == TUSK_OK) {
            found = tusk_read(t, options->topic, NULL, &batch) == TUSK_OK;
            tusk_batch_free(batch);
            (void)tusk_close(t);
        }
        if (!found) {
            load_sleep_until(load_now_ns() + FIRST_PAUSE_NS);
        }
    }
    worker->result->entries = 1;
}

int main(int argc, char **argv)
{
    static const struct load_kind kinds[] = {
        {"append", tusk_load_append, 0}, {"latency", tusk_load_latency, 0},
        {"many", tusk_load_many, 1},     {"read", run_read, 1},
        {"mapped", run_mapped, 1},       {"group", run_group, 1},
        {"next", run_next, 1},           {"e2e", run_e2e, 2},
        {"first", run_first, 1},         {NULL, NULL, 0}};

    return load_main(argc, argv, kinds);
}
