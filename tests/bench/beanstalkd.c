/* Load on beanstalkd: put; reserve and delete. A tube is the topic, a job the entry, and to have
 * read a job is to have deleted it, so every way of reading is the same. */
#include "tests/bench/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESERVE_NOW "reserve-with-timeout 0\r\n"

static void expect(struct stream *stream, const char *wanted)
{
    const char *line = stream_line(stream);

    if (strncmp(line, wanted, strlen(wanted)) != 0) {
        load_fail("not %s, but: %s", wanted, line);
    }
}

static void beanstalkd_greet(struct stream *stream, const struct load_options *options)
{
    stream_print(stream, "use %s\r\n", options->topic);
    expect(stream, "USING");
}

/* Among several tubes the one is chosen by a command of its own. */
static size_t beanstalkd_prepare(char *at, const struct load_options *options, const char *topic,
                                 size_t *payload_at)
{
    size_t size = options->topics > 1 ? (size_t)sprintf(at, "use %s\r\n", topic) : 0;

    *payload_at = size + (size_t)sprintf(at + size, "put 0 0 600 %u\r\n", options->size);
    memcpy(at + *payload_at + options->size, "\r\n", 2);
    return *payload_at + options->size + 2;
}

static uint64_t beanstalkd_replies(struct stream *stream)
{
    const char *end = stream->in + stream->end;
    const char *at = stream->in + stream->begin;
    const char *next;
    uint64_t count = 0;

    while (at < end && (next = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        if (at[0] == 'I') { /* INSERTED */
            count++;
        } else if (at[0] != 'U' || at[1] != 'S') { /* USING */
            load_fail("the server says: %.*s", (int)(next - at), at);
        }
        at = next + 1;
    }
    stream->begin = (size_t)(at - stream->in);
    return count;
}

static void beanstalkd_read_begin(struct peer_reader *reader)
{
    stream_print(&reader->stream, "watch %s\r\n", reader->options->topic);
    expect(&reader->stream, "WATCHING");
    /* Of a second pass there is nothing to ignore. */
    stream_print(&reader->stream, "ignore default\r\n");
    expect(&reader->stream, "WATCHING");
}

static void beanstalkd_read_end(struct peer_reader *reader)
{
    (void)reader;
}

/* The next job, or NULL when there is none; the request that deletes it is in the acks. */
static const char *take_job(struct peer_reader *reader, size_t *size)
{
    const char *line = stream_line(&reader->stream);
    unsigned long long id;

    if (strcmp(line, "TIMED_OUT") == 0) {
        return NULL;
    }
    if (sscanf(line, "RESERVED %llu %zu", &id, size) != 2) {
        load_fail("the server says: %s", line);
    }
    peer_ack_end(&reader->acks,
                 (size_t)sprintf(peer_ack_begin(&reader->acks), "delete %llu\r\n", id));
    return stream_bytes(&reader->stream, *size);
}

static uint32_t beanstalkd_fetch(struct peer_reader *reader)
{
    static char requests[LOAD_READ_COUNT * sizeof RESERVE_NOW];
    size_t length = strlen(RESERVE_NOW);
    uint32_t i;

    for (i = 0; i < LOAD_READ_COUNT; i++) {
        memcpy(requests + i * length, RESERVE_NOW, length);
    }
    stream_send(&reader->stream, requests, LOAD_READ_COUNT * length);
    for (i = 0; i < LOAD_READ_COUNT; i++) {
        size_t size;

        (void)take_job(reader, &size);
    }
    return reader->acks.count;
}

static uint64_t beanstalkd_ack_replies(struct stream *stream)
{
    const char *end = stream->in + stream->end;
    const char *at = stream->in + stream->begin;
    const char *next;
    uint64_t count = 0;

    while (at < end && (next = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        if (at[0] != 'D' || at[1] != 'E') { /* DELETED */
            load_fail("the server says: %.*s", (int)(next - at), at);
        }
        count++;
        at = next + 1;
    }
    stream->begin = (size_t)(at - stream->in);
    return count;
}

static void beanstalkd_ack_all(struct peer_reader *reader)
{
    const struct peer_acks *acks = &reader->acks;
    uint32_t i;

    stream_send(&reader->stream, acks->bytes, acks->ends[acks->count - 1]);
    for (i = 0; i < acks->count; i++) {
        expect(&reader->stream, "DELETED");
    }
}

static bool beanstalkd_follow(struct peer_reader *reader, struct load_worker *worker)
{
    size_t size;
    const char *data;
    bool more;

    reader->acks.count = 0;
    stream_print(&reader->stream, "reserve-with-timeout 10\r\n");
    data = take_job(reader, &size);
    if (data == NULL) {
        load_fail("nothing arrives");
    }
    more = load_arrived(worker, data, size);
    beanstalkd_ack_all(reader);
    return more;
}

static bool beanstalkd_first(struct stream *stream, const struct load_options *options)
{
    beanstalkd_greet(stream, options);
    stream_print(stream, "peek-ready\r\n");
    return strncmp(stream_line(stream), "FOUND", 5) == 0;
}

int main(int argc, char **argv)
{
    static const struct peer beanstalkd = {.consumes = true,
                                           .prepare_room = 64,
                                           .greet = beanstalkd_greet,
                                           .prepare = beanstalkd_prepare,
                                           .replies = beanstalkd_replies,
                                           .read_begin = beanstalkd_read_begin,
                                           .fetch = beanstalkd_fetch,
                                           .ack_all = beanstalkd_ack_all,
                                           .ack_replies = beanstalkd_ack_replies,
                                           .read_end = beanstalkd_read_end,
                                           .follow_begin = beanstalkd_read_begin,
                                           .follow = beanstalkd_follow,
                                           .first = beanstalkd_first};

    return peer_main(argc, argv, &beanstalkd);
}
