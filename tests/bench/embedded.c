#include "tests/bench/embedded.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/bench/load.h"

#define SYNC_GAP_NS 200000000u
#define THREADS_MAX 64u
#define SAVE_EVERY LOAD_READ_COUNT

static const struct store *store; /* Of this program */
static uint64_t next_number;      /* Atomic */

void embedded_key(uint64_t number, char key[EMBEDDED_KEY_SIZE])
{
    unsigned i;

    for (i = 0; i < EMBEDDED_KEY_SIZE; i++) {
        key[i] = (char)(number >> (8 * (EMBEDDED_KEY_SIZE - 1 - i)));
    }
}

uint64_t embedded_number(const void *key)
{
    const uint8_t *bytes = key;
    uint64_t number = 0;
    unsigned i;

    for (i = 0; i < EMBEDDED_KEY_SIZE; i++) {
        number = number << 8 | bytes[i];
    }
    return number;
}

/* It ends with the process. */
static void *sync_always(void *arg)
{
    (void)arg;
    for (;;) {
        load_sleep_until(load_now_ns() + SYNC_GAP_NS);
        store->sync();
    }
    return NULL;
}

static void open_store(const struct load_options *options)
{
    pthread_t thread;
    char directory[4096];

    (void)snprintf(directory, sizeof directory, "%s/%s", options->address, options->topic);
    if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
        load_fail("%s: %s", directory, strerror(errno));
    }
    next_number = store->open(directory, options->each);
    if (!options->each && pthread_create(&thread, NULL, sync_always, NULL) != 0) {
        load_fail("no thread");
    }
}

static uint8_t *values(const struct load_options *options, uint32_t count)
{
    uint8_t *bytes = load_alloc((size_t)count * options->size);

    load_payload(bytes, (size_t)count * options->size);
    return bytes;
}

static void put(const struct load_options *options, uint32_t count, const uint8_t *bytes)
{
    store->put(__atomic_fetch_add(&next_number, count, __ATOMIC_RELAXED), count, bytes,
               options->size);
}

/* ---- append, latency, many ---- */

static void run_append(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    struct load_result *result = worker->result;
    uint8_t *bytes = values(options, options->batch);
    uint64_t begin_ns;
    uint64_t end_ns;

    open_store(options);
    load_start(worker);
    end_ns = load_end_ns(worker);
    do {
        begin_ns = load_now_ns();
        put(options, options->batch, bytes);
        times_add(&result->latency, load_now_ns() - begin_ns);
        result->entries += options->batch;
    } while (!load_over(worker, end_ns));
    result->bytes = result->entries * options->size;
}

struct client {
    pthread_t thread;
    const struct load_worker *worker;
    const uint8_t *bytes;
    struct times latency;
    uint64_t entries;
};

static void *client_run(void *arg)
{
    struct client *client = arg;
    const struct load_options *options = client->worker->options;
    uint64_t end_ns = load_end_ns(client->worker);
    uint64_t begin_ns;

    do {
        begin_ns = load_now_ns();
        put(options, 1, client->bytes);
        times_add(&client->latency, load_now_ns() - begin_ns);
        client->entries++;
    } while (load_now_ns() < end_ns &&
             (options->count == 0 || client->entries < options->count / options->clients));
    return NULL;
}

static void run_many(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    struct client *clients = load_alloc(options->clients * sizeof *clients);
    const uint8_t *bytes = values(options, 1);
    uint32_t i;

    open_store(options);
    load_start(worker);
    for (i = 0; i < options->clients; i++) {
        clients[i].worker = worker;
        clients[i].bytes = bytes;
        if (pthread_create(&clients[i].thread, NULL, client_run, &clients[i]) != 0) {
            load_fail("no thread");
        }
    }
    for (i = 0; i < options->clients; i++) {
        (void)pthread_join(clients[i].thread, NULL);
        times_merge(&worker->result->latency, &clients[i].latency);
        worker->result->entries += clients[i].entries;
    }
    worker->result->bytes = worker->result->entries * options->size;
}

/* ---- read, group, next, first ---- */

/* Read from the first entry to the last, or to the end of the time; save the place each so many (0:
 * never). An entry is copied out, as it would have to be to outlive the scan. */
static void scan_pass(struct load_worker *worker, uint32_t save_every, uint64_t end_ns)
{
    static uint8_t copy[1 << 20];
    struct load_result *result = worker->result;
    const uint8_t *value;
    uint64_t number = 0;
    size_t size;

    store->scan_begin();
    while ((value = store->scan(&size)) != NULL) {
        memcpy(copy, value, size < sizeof copy ? size : sizeof copy);
        result->entries++;
        result->bytes += size;
        number++;
        if (save_every > 0 && number % save_every == 0) {
            store->save(number);
            if (load_now_ns() >= end_ns) {
                break;
            }
        }
    }
    store->scan_end();
}

static void run_scan(struct load_worker *worker, uint32_t save_every, bool again)
{
    uint64_t end_ns;

    open_store(worker->options);
    load_start(worker);
    end_ns = load_end_ns(worker);
    do {
        /* Only what saves each entry is cut short: a pass of it would take too long. */
        scan_pass(worker, save_every, again ? UINT64_MAX : end_ns);
    } while (again && worker->result->entries > 0 && load_now_ns() < end_ns);
}

static void run_read(struct load_worker *worker)
{
    run_scan(worker, 0, true);
}

static void run_group(struct load_worker *worker)
{
    run_scan(worker, SAVE_EVERY, true);
}

static void run_next(struct load_worker *worker)
{
    run_scan(worker, 1, false);
}

static void run_first(struct load_worker *worker)
{
    size_t size;

    load_start(worker);
    worker->result->begin_ns = worker->options->since_ns;
    open_store(worker->options);
    store->scan_begin();
    if (store->scan(&size) == NULL) {
        load_fail("the store is empty");
    }
    store->scan_end();
    worker->result->entries = 1;
}

int embedded_main(int argc, char **argv, const struct store *which)
{
    static const struct load_kind kinds[] = {{"append", run_append, 1}, {"latency", run_append, 1},
                                             {"many", run_many, 1},     {"read", run_read, 1},
                                             {"group", run_group, 1},   {"next", run_next, 1},
                                             {"first", run_first, 1},   {NULL, NULL, 0}};

    store = which;
    return load_main(argc, argv, kinds);
}
