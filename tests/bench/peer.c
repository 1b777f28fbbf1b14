#include "tests/bench/peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define FIRST_PAUSE_NS 500000u
#define EVENTS_MAX 64

static const struct peer *peer; /* Of this program */

/* Prepared appends, one behind the other, to all topics in turn; sent a chunk at a time. */
struct requests {
    char *bytes;
    size_t *ends;   /* Of chunks */
    uint32_t chunk; /* Entries */
    uint32_t chunks;
    size_t payload_at; /* Of the last */
};

/* After peer->greet(), on whose connection the requests are to be sent. */
static void prepare(struct requests *requests, const struct load_options *options, uint32_t chunk)
{
    size_t room = options->size + peer->prepare_room + 2 * strlen(options->topic);
    size_t size = 0;
    uint32_t i;

    requests->chunk = chunk;
    requests->chunks = (options->topics + chunk - 1) / chunk;
    requests->bytes = load_alloc(room * chunk * requests->chunks);
    requests->ends = load_alloc(requests->chunks * sizeof *requests->ends);
    for (i = 0; i < chunk * requests->chunks; i++) {
        char *at = requests->bytes + size;
        size_t payload_at;

        size += peer->prepare(at, options, load_topic(options, i % options->topics), &payload_at);
        load_payload(at + payload_at, options->size);
        requests->payload_at = (size_t)(at - requests->bytes) + payload_at;
        requests->ends[i / chunk] = size;
    }
}

uint64_t peer_take_lines(struct stream *stream, uint32_t lines)
{
    const char *end = stream->in + stream->end;
    const char *whole = stream->in + stream->begin;
    const char *at = whole;
    uint64_t count = 0;
    uint32_t seen = 0;

    while (at < end) {
        const char *next = memchr(at, '\n', (size_t)(end - at));

        if (next == NULL) {
            break;
        }
        if (seen == 0 && at[0] == '-') {
            load_fail("the server says: %.*s", (int)(next - at), at);
        }
        at = next + 1;
        if (++seen == lines) {
            seen = 0;
            whole = at;
            count++;
        }
    }
    stream->begin = (size_t)(whole - stream->in);
    return count;
}

static void wait_replies(struct stream *stream, uint64_t count,
                         uint64_t (*take)(struct stream *stream))
{
    uint64_t seen = take(stream);

    while (seen < count) {
        stream_fill(stream);
        seen += take(stream);
    }
}

/* ---- append, latency, many ---- */

/* Send of the chunk that is number `number` what the socket takes, from *at on. True: all of it. */
static bool send_chunk(struct stream *stream, const struct requests *requests, uint64_t number,
                       size_t *at)
{
    size_t index = number % requests->chunks;
    size_t begin = index > 0 ? requests->ends[index - 1] : 0;
    size_t size = requests->ends[index] - begin;

    *at += stream_send_some(stream, requests->bytes + begin + *at, size - *at);
    if (*at < size) {
        return false;
    }
    *at = 0;
    return true;
}

/* Keep up to `window` entries in flight. */
static void append_measure(struct load_worker *worker, struct stream *stream,
                           const struct requests *requests, uint64_t window)
{
    const struct load_options *options = worker->options;
    struct load_result *result = worker->result;
    uint64_t limit = options->count > 0 ? options->count / options->clients : UINT64_MAX;
    uint64_t sent = 0;
    uint64_t end_ns;
    size_t at = 0; /* In the chunk under way */

    load_start(worker);
    end_ns = load_end_ns(worker);
    while (sent < limit || result->entries < sent || at > 0) {
        if (at > 0 || (sent < limit && sent + requests->chunk - result->entries <= window)) {
            if (send_chunk(stream, requests, sent / requests->chunk, &at)) {
                sent += requests->chunk;
                limit = load_now_ns() >= end_ns ? sent : limit;
            }
        } else if (stream->begin == stream->end) {
            stream_fill(stream);
        }
        result->entries += peer->replies(stream);
        if (at == 0 && result->entries < sent && stream->begin < stream->end) {
            stream_fill(stream); /* Half a reply */
        }
    }
    result->bytes = result->entries * options->size;
}

static void run_append(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    struct requests requests;
    struct stream stream;

    stream_connect(&stream, options->address, STREAM_ROOM_LARGE);
    peer->greet(&stream, options);
    prepare(&requests, options, options->batch > 1 ? options->batch : (options->window + 3) / 4);
    append_measure(worker, &stream, &requests, (uint64_t)options->batch * options->window);
}

static void run_latency(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    struct load_result *result = worker->result;
    struct requests requests;
    struct stream stream;
    uint64_t begin_ns;
    uint64_t end_ns;

    stream_connect(&stream, options->address, STREAM_ROOM_LARGE);
    peer->greet(&stream, options);
    prepare(&requests, options, 1);
    load_start(worker);
    end_ns = load_end_ns(worker);
    do {
        begin_ns = load_now_ns();
        stream_send(&stream, requests.bytes, requests.ends[0]);
        wait_replies(&stream, 1, peer->replies);
        times_add(&result->latency, load_now_ns() - begin_ns);
        result->entries++;
    } while (!load_over(worker, end_ns));
    result->bytes = result->entries * options->size;
}

/* One of many connections. */
struct client {
    struct stream stream;
    struct requests requests;
    uint64_t begin_ns;
};

static struct client *clients_open(const struct load_options *options, int epoll_fd)
{
    struct client *clients = load_alloc(options->clients * sizeof *clients);
    struct rlimit files = {.rlim_cur = 20000, .rlim_max = 20000};
    uint32_t i;

    (void)setrlimit(RLIMIT_NOFILE, &files); /* Where it is not allowed, connecting says so */
    for (i = 0; i < options->clients; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};

        stream_connect(&clients[i].stream, options->address, STREAM_ROOM_SMALL);
        peer->greet(&clients[i].stream, options);
        prepare(&clients[i].requests, options, 1);
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, clients[i].stream.fd, &event) != 0) {
            load_fail("epoll: %s", strerror(errno));
        }
    }
    return clients;
}

static void client_send(struct client *client, uint64_t now_ns)
{
    client->begin_ns = now_ns;
    stream_send(&client->stream, client->requests.bytes, client->requests.ends[0]);
}

static void run_many(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    struct load_result *result = worker->result;
    struct epoll_event events[EVENTS_MAX];
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct client *clients = clients_open(options, epoll_fd);
    uint32_t live = options->clients;
    uint64_t end_ns;
    uint32_t i;

    load_start(worker);
    end_ns = load_end_ns(worker);
    for (i = 0; i < options->clients; i++) {
        client_send(&clients[i], load_now_ns());
    }
    while (live > 0) {
        int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        int k;

        for (k = 0; k < count; k++) {
            struct client *client = events[k].data.ptr;
            uint64_t now_ns;

            stream_fill(&client->stream);
            if (peer->replies(&client->stream) == 0) {
                continue;
            }
            now_ns = load_now_ns();
            times_add(&result->latency, now_ns - client->begin_ns);
            result->entries++;
            if (load_over(worker, end_ns)) {
                live--;
            } else {
                client_send(client, now_ns);
            }
        }
    }
    result->bytes = result->entries * options->size;
}

/* ---- read, group, next ---- */

char *peer_ack_begin(struct peer_acks *acks)
{
    return acks->bytes + (acks->count > 0 ? acks->ends[acks->count - 1] : 0);
}

void peer_ack_end(struct peer_acks *acks, size_t size)
{
    acks->ends[acks->count] = (acks->count > 0 ? acks->ends[acks->count - 1] : 0) + size;
    acks->count++;
}

static struct peer_reader *reader_open(struct load_worker *worker, enum peer_reading how)
{
    struct peer_reader *reader = load_alloc(sizeof *reader);

    reader->options = worker->options;
    reader->how = how;
    stream_connect(&reader->stream, worker->options->address, STREAM_ROOM_LARGE);
    peer->greet(&reader->stream, worker->options);
    return reader;
}

static uint32_t fetch(struct peer_reader *reader)
{
    reader->acks.count = 0;
    return peer->fetch(reader);
}

/* From the first entry to the last; returns how many. */
static uint64_t read_pass(struct peer_reader *reader)
{
    uint64_t total = 0;
    uint32_t count;

    peer->read_begin(reader);
    while ((count = fetch(reader)) > 0) {
        /* Where reading takes entries away, it does so here. */
        if (reader->how == PEER_GROUP || peer->consumes) {
            peer->ack_all(reader);
        }
        total += count;
    }
    peer->read_end(reader);
    reader->pass++;
    return total;
}

static void run_drain(struct load_worker *worker, enum peer_reading how)
{
    struct peer_reader *reader = reader_open(worker, how);
    struct load_result *result = worker->result;
    uint64_t end_ns;
    uint64_t count;

    load_start(worker);
    end_ns = load_end_ns(worker);
    do {
        count = read_pass(reader);
        result->entries += count;
    } while (count > 0 && !peer->consumes && load_now_ns() < end_ns);
    result->bytes = result->entries * worker->options->size;
}

static void run_read(struct load_worker *worker)
{
    run_drain(worker, PEER_READ);
}

static void run_group(struct load_worker *worker)
{
    run_drain(worker, PEER_GROUP);
}

/* Acknowledge what was fetched, `window` requests at a time, until end_ns. */
static void next_acknowledge(struct load_worker *worker, struct peer_reader *reader,
                             uint64_t end_ns)
{
    const struct peer_acks *acks = &reader->acks;
    uint32_t i = 0;

    do {
        uint32_t left = acks->count - i;
        uint32_t count = worker->options->window < left ? worker->options->window : left;
        size_t begin = i > 0 ? acks->ends[i - 1] : 0;

        stream_send(&reader->stream, acks->bytes + begin, acks->ends[i + count - 1] - begin);
        wait_replies(&reader->stream, count, peer->ack_replies);
        i += count;
        worker->result->entries += count;
    } while (i < acks->count && !load_over(worker, end_ns));
}

static void run_next(struct load_worker *worker)
{
    struct peer_reader *reader = reader_open(worker, PEER_NEXT);
    uint64_t end_ns;

    peer->read_begin(reader);
    load_start(worker);
    end_ns = load_end_ns(worker);
    do {
        if (fetch(reader) == 0) {
            break;
        }
        next_acknowledge(worker, reader, end_ns);
    } while (!load_over(worker, end_ns));
    worker->result->bytes = worker->result->entries * worker->options->size;
}

/* ---- e2e, first ---- */

static void e2e_append(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    uint64_t total =
        options->count > 0 ? options->count : (uint64_t)(options->duration * options->rate);
    uint64_t answered = 0;
    struct requests requests;
    struct stream stream;
    uint64_t stamp;
    uint64_t i;

    stream_connect(&stream, options->address, STREAM_ROOM_LARGE);
    peer->greet(&stream, options);
    prepare(&requests, options, 1);
    load_start(worker);
    for (i = 0; i <= total; i++) {
        load_sleep_until(worker->result->begin_ns + i * 1000000000 / options->rate);
        stamp = i < total ? load_now_ns() : 0;
        memcpy(requests.bytes + requests.payload_at, &stamp, sizeof stamp);
        stream_send(&stream, requests.bytes, requests.ends[0]);
        while (recv(stream.fd, &stamp, 1, MSG_PEEK | MSG_DONTWAIT) == 1) {
            stream_fill(&stream);
            answered += peer->replies(&stream);
        }
    }
    wait_replies(&stream, total + 1 - answered, peer->replies);
}

static void run_e2e(struct load_worker *worker)
{
    struct peer_reader *reader;

    if (worker->index == 1) {
        e2e_append(worker);
        return;
    }
    reader = reader_open(worker, PEER_READ);
    peer->follow_begin(reader);
    load_start(worker);
    while (peer->follow(reader, worker)) {
    }
}

static void run_first(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    bool found = false;

    load_start(worker);
    worker->result->begin_ns = options->since_ns;
    while (!found) {
        struct stream stream;

        if (stream_try(&stream, options->address, STREAM_ROOM_SMALL)) {
            found = peer->first(&stream, options);
            stream_close(&stream);
        }
        if (!found) {
            load_sleep_until(load_now_ns() + FIRST_PAUSE_NS);
        }
    }
    worker->result->entries = 1;
}

int peer_main(int argc, char **argv, const struct peer *which)
{
    static const struct load_kind kinds[] = {
        {"append", run_append, 0}, {"latency", run_latency, 0}, {"many", run_many, 1},
        {"read", run_read, 1},     {"group", run_group, 1},     {"next", run_next, 1},
        {"e2e", run_e2e, 2},       {"first", run_first, 1},     {NULL, NULL, 0}};

    peer = which;
    return load_main(argc, argv, kinds);
}
