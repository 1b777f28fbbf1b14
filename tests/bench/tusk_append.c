/* Appends: batches in flight, one at a time, and one each of many connections. */
#include "tests/bench/tusk_load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#define SAMPLE_EVERY 16u /* With single entries the clock would be a good part of the work */
#define EVENTS_MAX 64
#define SEND_BUFFER_SIZE (32u << 20) /* As much as the daemon takes of one connection */

void tusk_load_expect(struct tusk *t, int code, const char *what)
{
    if (code != TUSK_OK) {
        load_fail("%s: %s: %s", what, tusk_error_name(code),
                  t != NULL ? tusk_last_error(t)->text : "");
    }
}

struct tusk *tusk_load_dial(const struct load_options *options, uint32_t send_buffer_size)
{
    const struct tusk_options how = {.size = sizeof how,
                                     .path = options->address,
                                     .client = "bench",
                                     .timeout_ms = 60000,
                                     .send_buffer_size = send_buffer_size};
    struct tusk_failure failure;
    struct tusk *t;

    if (tusk_connect(&how, &t, &failure) != TUSK_OK) {
        load_fail("connect: %s", failure.text);
    }
    return t;
}

/* ---- append ---- */

struct append;

struct append_slot {
    struct append *append;
    uint64_t begin_ns; /* 0: not timed */
    struct append_slot *next;
};

struct append {
    struct load_worker *worker;
    struct tusk *t;
    struct tusk_bytes *entries;
    char (*topics)[80];
    uint32_t batch;           /* Entries; the options' batch may be more than the daemon takes */
    struct append_slot *free; /* Of the window */
    uint64_t submitted;       /* Entries */
    uint64_t batches;
    uint64_t limit;
};

static void append_done(void *user, int code, const struct tusk_append_result *stored)
{
    struct append_slot *slot = user;
    struct append *append = slot->append;
    struct load_result *result = append->worker->result;

    (void)stored;
    tusk_load_expect(append->t, code, "append");
    if (slot->begin_ns != 0) {
        times_add(&result->latency, load_now_ns() - slot->begin_ns);
    }
    result->entries += append->batch;
    slot->next = append->free;
    append->free = slot;
}

/* Submit until the window, or the connection, is full. */
static void append_fill(struct append *append)
{
    const struct load_options *options = append->worker->options;

    while (append->free != NULL && append->submitted < append->limit) {
        struct append_slot *slot = append->free;
        bool timed = options->batch > 1 || append->batches % SAMPLE_EVERY == 0;
        int rc;

        slot->begin_ns = timed ? load_now_ns() : 0;
        rc = tusk_submit_append_batch(append->t, append->topics[append->batches % options->topics],
                                      append->entries, append->batch, 0, append_done, slot);
        if (rc == TUSK_EBUSY) {
            return;
        }
        tusk_load_expect(append->t, rc, "append");
        append->free = slot->next;
        append->submitted += append->batch;
        append->batches++;
    }
}

/* Every topic is there before the time begins: its creation waits for a disk. */
static void topics_make(struct append *append)
{
    const struct load_options *options = append->worker->options;
    uint32_t i;

    append->topics = load_alloc(options->topics * sizeof *append->topics);
    for (i = 0; i < options->topics; i++) {
        int rc;

        (void)snprintf(append->topics[i], sizeof append->topics[i], "%s", load_topic(options, i));
        while ((rc = tusk_submit_append(append->t, append->topics[i], "", 0, 0, NULL, NULL)) ==
               TUSK_EBUSY) {
            tusk_load_expect(append->t, tusk_process(append->t, TUSK_TIMEOUT_DEFAULT), "create");
        }
        tusk_load_expect(append->t, rc, "create");
    }
    tusk_load_expect(append->t, tusk_flush(append->t, 600000), "create");
}

/* A batch that is larger than the daemon takes goes in parts, all of them in the window. */
static uint32_t parts_of(const struct append *append, const struct load_options *options)
{
    struct tusk_info info = {.size = sizeof info};
    uint64_t size = (uint64_t)options->batch * (options->size + 4u);
    uint32_t parts;

    tusk_load_expect(append->t, tusk_info(append->t, &info), "info");
    parts = (uint32_t)((size + info.batch_size_max - 1) / info.batch_size_max);
    while (options->batch % parts != 0 && parts < options->batch) {
        parts++;
    }
    return parts;
}

static void append_prepare(struct append *append)
{
    const struct load_options *options = append->worker->options;
    uint32_t parts = parts_of(append, options);
    struct append_slot *slots = load_alloc(parts * options->window * sizeof *slots);
    uint8_t *payload = load_alloc((size_t)options->batch * options->size);
    uint32_t i;

    load_payload(payload, (size_t)options->batch * options->size);
    append->batch = options->batch / parts;
    append->entries = load_alloc(append->batch * sizeof *append->entries);
    for (i = 0; i < append->batch; i++) {
        append->entries[i].data = payload + (size_t)i * options->size;
        append->entries[i].size = options->size;
    }
    for (i = 0; i < parts * options->window; i++) {
        slots[i].append = append;
        slots[i].next = append->free;
        append->free = &slots[i];
    }
}

void tusk_load_append(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    struct append append = {.worker = worker, .limit = UINT64_MAX};
    uint64_t end_ns;

    append.t = tusk_load_dial(options, SEND_BUFFER_SIZE);
    append_prepare(&append);
    topics_make(&append);
    if (options->count > 0) {
        append.limit = options->count / options->clients;
    }
    load_start(worker);
    end_ns = load_end_ns(worker);
    for (;;) {
        if (load_now_ns() >= end_ns) {
            append.limit = append.submitted;
        }
        append_fill(&append);
        if (tusk_in_flight(append.t) == 0) {
            break;
        }
        tusk_load_expect(append.t, tusk_process(append.t, TUSK_TIMEOUT_DEFAULT), "append");
    }
    worker->result->bytes = worker->result->entries * options->size;
}

/* ---- latency, many ---- */

void tusk_load_latency(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    struct load_result *result = worker->result;
    struct tusk *t = tusk_load_dial(options, 0);
    uint8_t *payload = load_alloc(options->size);
    uint64_t begin_ns;
    uint64_t end_ns;

    load_payload(payload, options->size);
    tusk_load_expect(t, tusk_append(t, options->topic, "", 0, 0, NULL), "create");
    load_start(worker);
    end_ns = load_end_ns(worker);
    do {
        begin_ns = load_now_ns();
        tusk_load_expect(t, tusk_append(t, options->topic, payload, options->size, 0, NULL),
                         "append");
        times_add(&result->latency, load_now_ns() - begin_ns);
        result->entries++;
    } while (!load_over(worker, end_ns));
    result->bytes = result->entries * options->size;
}

/* One of many connections. */
struct client {
    struct tusk *t;
    struct load_worker *worker;
    const uint8_t *payload;
    uint64_t begin_ns;
    uint64_t end_ns;
    bool sending; /* There is something to send */
};

static uint32_t live; /* Clients with an append in flight */

static void client_done(void *user, int code, const struct tusk_append_result *stored);

static void client_send(struct client *client, uint64_t now_ns)
{
    const struct load_options *options = client->worker->options;

    client->begin_ns = now_ns;
    tusk_load_expect(client->t,
                     tusk_submit_append(client->t, options->topic, client->payload, options->size,
                                        0, client_done, client),
                     "append");
    client->sending = true;
}

static void client_done(void *user, int code, const struct tusk_append_result *stored)
{
    struct client *client = user;
    struct load_result *result = client->worker->result;
    uint64_t now_ns = load_now_ns();

    (void)stored;
    tusk_load_expect(client->t, code, "append");
    times_add(&result->latency, now_ns - client->begin_ns);
    result->entries++;
    if (load_over(client->worker, client->end_ns)) {
        live--;
    } else {
        client_send(client, now_ns);
    }
}

/* What a callback submitted goes out with the next call. */
static void client_process(struct client *client)
{
    do {
        client->sending = false;
        tusk_load_expect(client->t, tusk_process(client->t, 0), "append");
    } while (client->sending);
}

static struct client *clients_open(struct load_worker *worker, int epoll_fd)
{
    const struct load_options *options = worker->options;
    struct client *clients = load_alloc(options->clients * sizeof *clients);
    struct rlimit files = {.rlim_cur = 20000, .rlim_max = 20000};
    uint8_t *payload = load_alloc(options->size);
    uint32_t i;

    (void)setrlimit(RLIMIT_NOFILE, &files); /* Where it is not allowed, connecting says so */
    load_payload(payload, options->size);
    for (i = 0; i < options->clients; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};

        clients[i].t = tusk_load_dial(options, 0);
        clients[i].worker = worker;
        clients[i].payload = payload;
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, tusk_fd(clients[i].t), &event) != 0) {
            load_fail("epoll: %s", strerror(errno));
        }
    }
    tusk_load_expect(clients[0].t, tusk_append(clients[0].t, options->topic, "", 0, 0, NULL),
                     "create");
    return clients;
}

void tusk_load_many(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    struct epoll_event events[EVENTS_MAX];
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct client *clients = clients_open(worker, epoll_fd);
    uint32_t i;

    load_start(worker);
    live = options->clients;
    for (i = 0; i < options->clients; i++) {
        clients[i].end_ns = load_end_ns(worker);
        client_send(&clients[i], load_now_ns());
        client_process(&clients[i]);
    }
    while (live > 0) {
        int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        int k;

        for (k = 0; k < count; k++) {
            client_process(events[k].data.ptr);
        }
    }
    worker->result->bytes = worker->result->entries * options->size;
}
