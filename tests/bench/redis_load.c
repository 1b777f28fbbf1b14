/* Load on Redis Streams over a Unix socket, shaped like tusk bench, so that the two can be
 * compared: the same workloads, one process per client, the same start, the same columns.
 *
 *   redis_load -s SOCKET [-k STREAM] [-c CLIENTS] [-z SIZE] [-b BATCH] [-w WINDOW]
 *              [-d SECONDS] [-n COUNT] [-r RATE] append|latency|read|group|e2e
 *
 * append   XADD, up to WINDOW batches of BATCH in flight (a batch is a pipeline, which is kinder
 *          to Redis than MULTI, and not atomic)
 * latency  XADD, one in flight per client
 * read     XREAD COUNT 1000 from the beginning to the end, again until SECONDS are over
 * group    the same with XREADGROUP and one XACK per reply, each pass in a group of its own
 * e2e      XADD at RATE, and a reader in XREAD BLOCK
 *
 * Requests are prepared before the time begins and replies are only scanned for what is needed,
 * so that the client is not what is measured. Any error reply ends the run. */
#include "tests/bench/load.h"
#include "tests/bench/redis.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_COUNT 1000u
#define TIME_SIZE 8u

/* A prepared XADD. */
struct request {
    char *bytes;
    size_t size;
    size_t payload_at;
};

/* ---- append, latency ---- */

static void request_prepare(struct request *request, const struct load_options *options,
                            uint32_t count)
{
    size_t room = options->size + 256;
    char *at;
    uint32_t i;

    request->bytes = malloc(room * count);
    if (request->bytes == NULL) {
        load_fail("out of memory");
    }
    at = request->bytes;
    for (i = 0; i < count; i++) {
        request->payload_at =
            (size_t)sprintf(at, "*5\r\n$4\r\nXADD\r\n$%zu\r\n%s\r\n$1\r\n*\r\n$1\r\nd\r\n$%u\r\n",
                            strlen(options->topic), options->topic, options->size);
        memset(at + request->payload_at, 'x', options->size);
        memcpy(at + request->payload_at + options->size, "\r\n", 2);
        request->size = request->payload_at + options->size + 2;
        at += request->size;
    }
}

/* Replies to XADD are strings: two lines each. Takes whole replies of what is there. */
static uint64_t take_replies(struct redis *redis)
{
    uint64_t count = 0;
    const char *at = redis->in + redis->begin;
    const char *end = redis->in + redis->end;

    while (at < end) {
        const char *first = memchr(at, '\n', (size_t)(end - at));
        const char *second;

        if (at[0] == '-') {
            load_fail("the server says: %s", redis_line(redis));
        }
        if (first == NULL) {
            break;
        }
        second = memchr(first + 1, '\n', (size_t)(end - first - 1));
        if (second == NULL) {
            break;
        }
        at = second + 1;
        count++;
    }
    redis->begin = (size_t)(at - redis->in);
    return count;
}

/* Send without waiting; 0 when the socket is full, after waiting for it or for replies. */
static size_t send_some(struct redis *redis, const char *bytes, size_t size)
{
    struct pollfd poll_fd = {.fd = redis->fd, .events = POLLIN | POLLOUT};
    ssize_t n = send(redis->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n >= 0) {
        return (size_t)n;
    }
    if (errno != EAGAIN) {
        load_fail("send: %s", strerror(errno));
    }
    (void)poll(&poll_fd, 1, -1);
    if ((poll_fd.revents & POLLIN) != 0) {
        redis_fill(redis);
    }
    return 0;
}

/* Keep up to `window` entries in flight, sending `chunk` at a time. */
static void append_measure(struct load_worker *worker, struct redis *redis,
                           const struct request *request, uint32_t chunk, uint64_t window)
{
    const struct load_options *options = worker->options;
    struct load_result *result = worker->result;
    uint64_t limit = options->count > 0 ? options->count / options->clients : UINT64_MAX;
    uint64_t end_ns;
    uint64_t sent = 0;
    size_t part = 0; /* Of the chunk that is being sent */

    load_start(worker);
    end_ns = result->begin_ns + (uint64_t)(options->duration * 1e9);
    while (sent < limit || result->entries < sent || part > 0) {
        if (part > 0 || (sent < limit && sent + chunk - result->entries <= window)) {
            part += send_some(redis, request->bytes + part, chunk * request->size - part);
            if (part == chunk * request->size) {
                part = 0;
                sent += chunk;
                if (load_now_ns() >= end_ns) {
                    limit = sent;
                }
            }
        } else if (redis->begin == redis->end) {
            redis_fill(redis);
        }
        result->entries += take_replies(redis);
        if (part == 0 && result->entries < sent && redis->begin < redis->end) {
            redis_fill(redis); /* Half a reply */
        }
    }
    result->bytes = result->entries * options->size;
}

static void run_append(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    uint64_t window = (uint64_t)options->batch * options->window;
    uint32_t chunk = options->batch > 1 ? options->batch : (options->window + 3) / 4;
    struct request request = {0};
    struct redis redis;

    redis_connect(&redis, options->socket);
    request_prepare(&request, options, chunk);
    append_measure(worker, &redis, &request, chunk, window);
}

static void run_latency(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    struct load_result *result = worker->result;
    struct request request = {0};
    struct redis redis;
    uint64_t end_ns;
    uint64_t begin_ns;

    redis_connect(&redis, options->socket);
    request_prepare(&request, options, 1);
    load_start(worker);
    end_ns = result->begin_ns + (uint64_t)(options->duration * 1e9);
    while ((begin_ns = load_now_ns()) < end_ns &&
           (options->count == 0 || result->entries < options->count)) {
        redis_send(&redis, request.bytes, request.size);
        do {
            redis_fill(&redis);
        } while (take_replies(&redis) == 0);
        histogram_add(&result->latency, load_now_ns() - begin_ns);
        result->entries++;
        result->bytes += options->size;
    }
}

/* ---- read, group, e2e ---- */

/* What is done with an entry; NULL: nothing. */
typedef void (*entry_fn)(void *arg, const char *id, size_t id_size, const char *data, size_t size);

/* The array of entries in a reply: [[id, [field, value]] ...]. */
static uint32_t take_entries(struct redis *redis, entry_fn fn, void *arg)
{
    long count = redis_number(redis, '*');
    char id[ID_SIZE_MAX] = "";
    size_t id_size = 0;
    long i;

    for (i = 0; i < count; i++) {
        const char *bytes;
        size_t size;

        (void)redis_number(redis, '*');
        bytes = redis_string(redis, &id_size);
        if (id_size >= sizeof id) {
            load_fail("an id of %zu bytes", id_size);
        }
        memcpy(id, bytes, id_size);
        (void)redis_number(redis, '*');
        (void)redis_string(redis, &size);
        bytes = redis_string(redis, &size);
        if (fn != NULL) {
            fn(arg, id, id_size, bytes, size);
        }
    }
    if (count > 0) {
        id[id_size] = '\0';
        memcpy(redis->last, id, id_size + 1);
    }
    return count > 0 ? (uint32_t)count : 0;
}

/* A reply to XREAD or XREADGROUP of one stream: nil, or [[stream, entries]]. */
static uint32_t take_stream(struct redis *redis, entry_fn fn, void *arg)
{
    size_t size;

    if (redis_number(redis, '*') <= 0) {
        return 0;
    }
    (void)redis_number(redis, '*');
    (void)redis_string(redis, &size);
    return take_entries(redis, fn, arg);
}

struct acks {
    char bytes[READ_COUNT * (ID_SIZE_MAX + 16)];
    size_t size;
};

static void acks_add(void *arg, const char *id, size_t id_size, const char *data, size_t size)
{
    struct acks *acks = arg;

    (void)data;
    (void)size;
    acks->size +=
        (size_t)sprintf(acks->bytes + acks->size, "$%zu\r\n%.*s\r\n", id_size, (int)id_size, id);
}

/* One pass in a group of its own; returns the entries read. */
static uint64_t pass_group(struct redis *redis, const char *topic, uint64_t pass)
{
    static struct acks acks;
    char group[32];
    uint64_t total = 0;
    uint32_t count;

    (void)snprintf(group, sizeof group, "g%d-%llu", (int)getpid(), (unsigned long long)pass);
    redis_command(redis, "XGROUP CREATE %s %s 0\r\n", topic, group);
    (void)redis_line(redis);
    for (;;) {
        redis_command(redis, "XREADGROUP GROUP %s c COUNT %u STREAMS %s >\r\n", group, READ_COUNT,
                      topic);
        acks.size = 0;
        count = take_stream(redis, acks_add, &acks);
        if (count == 0) {
            break;
        }
        redis_command(redis, "*%u\r\n$4\r\nXACK\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", count + 3,
                      strlen(topic), topic, strlen(group), group);
        redis_send(redis, acks.bytes, acks.size);
        if (redis_number(redis, ':') != (long)count) {
            load_fail("XACK took not all of %u", count);
        }
        total += count;
    }
    redis_command(redis, "XGROUP DESTROY %s %s\r\n", topic, group);
    (void)redis_line(redis);
    return total;
}

static uint64_t pass_read(struct redis *redis, const char *topic)
{
    uint64_t total = 0;
    uint32_t count;

    memcpy(redis->last, "0-0", 4);
    do {
        redis_command(redis, "XREAD COUNT %u STREAMS %s %s\r\n", READ_COUNT, topic, redis->last);
        count = take_stream(redis, NULL, NULL);
        total += count;
    } while (count > 0);
    return total;
}

static void run_drain(struct load_worker *worker, bool group)
{
    const struct load_options *options = worker->options;
    struct load_result *result = worker->result;
    struct redis redis;
    uint64_t end_ns;
    uint64_t pass = 0;

    redis_connect(&redis, options->socket);
    load_start(worker);
    end_ns = result->begin_ns + (uint64_t)(options->duration * 1e9);
    do {
        result->entries +=
            group ? pass_group(&redis, options->topic, pass) : pass_read(&redis, options->topic);
        pass++;
    } while (result->entries > 0 && load_now_ns() < end_ns);
    result->bytes = result->entries * options->size;
}

static void run_read(struct load_worker *worker)
{
    run_drain(worker, false);
}

static void run_group(struct load_worker *worker)
{
    run_drain(worker, true);
}

struct follow {
    struct load_result *result;
    uint64_t sent_ns; /* Of the last entry; 0: that was the end */
};

static void follow_entry(void *arg, const char *id, size_t id_size, const char *data, size_t size)
{
    struct follow *follow = arg;

    (void)id;
    (void)id_size;
    if (size < TIME_SIZE) {
        load_fail("an entry of %zu bytes", size);
    }
    memcpy(&follow->sent_ns, data, sizeof follow->sent_ns);
    if (follow->sent_ns != 0) {
        histogram_add(&follow->result->latency, load_now_ns() - follow->sent_ns);
        follow->result->entries++;
        follow->result->bytes += size;
    }
}

static void e2e_follow(struct load_worker *worker)
{
    const char *topic = worker->options->topic;
    struct follow follow = {.result = worker->result, .sent_ns = 1};
    struct redis redis;

    redis_connect(&redis, worker->options->socket);
    redis_command(&redis, "XREVRANGE %s + - COUNT 1\r\n", topic);
    (void)take_entries(&redis, NULL, NULL);
    load_start(worker);
    while (follow.sent_ns != 0) {
        redis_command(&redis, "XREAD BLOCK 10000 COUNT %u STREAMS %s %s\r\n", READ_COUNT, topic,
                      redis.last);
        if (take_stream(&redis, follow_entry, &follow) == 0) {
            load_fail("nothing arrives");
        }
    }
}

static void e2e_append(struct load_worker *worker)
{
    const struct load_options *options = worker->options;
    uint64_t total =
        options->count > 0 ? options->count : (uint64_t)(options->duration * options->rate);
    uint64_t answered = 0;
    struct request request = {0};
    struct redis redis;
    uint64_t stamp;
    uint64_t i;

    redis_connect(&redis, options->socket);
    request_prepare(&request, options, 1);
    load_start(worker);
    for (i = 0; i <= total; i++) {
        load_sleep_until(worker->result->begin_ns + i * 1000000000 / options->rate);
        stamp = i < total ? load_now_ns() : 0;
        memcpy(request.bytes + request.payload_at, &stamp, sizeof stamp);
        redis_send(&redis, request.bytes, request.size);
        while (recv(redis.fd, &stamp, 1, MSG_PEEK | MSG_DONTWAIT) == 1) {
            redis_fill(&redis);
            answered += take_replies(&redis);
        }
    }
    while (answered <= total) {
        redis_fill(&redis);
        answered += take_replies(&redis);
    }
}

static void run_e2e(struct load_worker *worker)
{
    if (worker->index == 0) {
        e2e_follow(worker);
    } else {
        e2e_append(worker);
    }
}

int main(int argc, char **argv)
{
    static const struct load_kind kinds[] = {{"append", run_append, 0}, {"latency", run_latency, 0},
                                             {"read", run_read, 0},     {"group", run_group, 0},
                                             {"e2e", run_e2e, 2},       {NULL, NULL, 0}};

    return load_main(argc, argv, kinds);
}
