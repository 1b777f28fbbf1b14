/* Load on Redis Streams: XADD; XREAD, XREADGROUP and XACK; XREAD BLOCK. A batch is a pipeline,
 * which is kinder to Redis than MULTI, and not atomic. */
#include "tests/bench/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The number of a line of this type: ':' an integer, '*' how many elements follow, -1 for nil. */
static long take_number(struct stream *stream, char type)
{
    const char *line = stream_line(stream);

    if (line[0] != type) {
        load_fail("not a reply of type '%c': %s", type, line);
    }
    return strtol(line + 1, NULL, 10);
}

static const char *take_string(struct stream *stream, size_t *size)
{
    *size = (size_t)take_number(stream, '$');
    return stream_bytes(stream, *size);
}

static void redis_greet(struct stream *stream, const struct load_options *options)
{
    (void)stream;
    (void)options;
}

static size_t redis_prepare(char *at, const struct load_options *options, const char *topic,
                            size_t *payload_at)
{
    *payload_at =
        (size_t)sprintf(at, "*5\r\n$4\r\nXADD\r\n$%zu\r\n%s\r\n$1\r\n*\r\n$1\r\nd\r\n$%u\r\n",
                        strlen(topic), topic, options->size);
    memcpy(at + *payload_at + options->size, "\r\n", 2);
    return *payload_at + options->size + 2;
}

/* An id: its length, itself. */
static uint64_t redis_replies(struct stream *stream)
{
    return peer_take_lines(stream, 2);
}

/* ---- reading ---- */

static void group_name(const struct peer_reader *reader, char name[32])
{
    (void)snprintf(name, 32, "g%d-%llu", (int)getpid(), (unsigned long long)reader->pass);
}

static void redis_read_begin(struct peer_reader *reader)
{
    char group[32];

    memcpy(reader->last, "0-0", 4);
    if (reader->how != PEER_READ) {
        group_name(reader, group);
        stream_print(&reader->stream, "XGROUP CREATE %s %s 0\r\n", reader->options->topic, group);
        (void)stream_line(&reader->stream);
    }
}

static void redis_read_end(struct peer_reader *reader)
{
    char group[32];

    if (reader->how != PEER_READ) {
        group_name(reader, group);
        stream_print(&reader->stream, "XGROUP DESTROY %s %s\r\n", reader->options->topic, group);
        (void)stream_line(&reader->stream);
    }
}

/* The next entry of a reply: [id, [field, value]]. Its id is the reader's last then. */
static const char *take_entry(struct peer_reader *reader, size_t *size)
{
    const char *id;

    (void)take_number(&reader->stream, '*');
    id = take_string(&reader->stream, size);
    if (*size >= sizeof reader->last) {
        load_fail("an id of %zu bytes", *size);
    }
    memcpy(reader->last, id, *size);
    reader->last[*size] = '\0';
    (void)take_number(&reader->stream, '*');
    (void)take_string(&reader->stream, size);
    return take_string(&reader->stream, size);
}

/* How many entries follow: of nil none, or of [[stream, entries]]. */
static uint32_t take_stream(struct peer_reader *reader)
{
    size_t size;

    if (take_number(&reader->stream, '*') <= 0) {
        return 0;
    }
    (void)take_number(&reader->stream, '*');
    (void)take_string(&reader->stream, &size);
    return (uint32_t)take_number(&reader->stream, '*');
}

static void acknowledge_later(struct peer_reader *reader, const char *group)
{
    const char *topic = reader->options->topic;
    char *at = peer_ack_begin(&reader->acks);

    if (reader->how == PEER_NEXT) {
        peer_ack_end(
            &reader->acks,
            (size_t)sprintf(at, "*4\r\n$4\r\nXACK\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
                            strlen(topic), topic, strlen(group), group, strlen(reader->last),
                            reader->last));
        return;
    }
    peer_ack_end(&reader->acks,
                 (size_t)sprintf(at, "$%zu\r\n%s\r\n", strlen(reader->last), reader->last));
}

static uint32_t redis_fetch(struct peer_reader *reader)
{
    const char *topic = reader->options->topic;
    char group[32] = "";
    uint32_t count;
    uint32_t i;

    if (reader->how == PEER_READ) {
        stream_print(&reader->stream, "XREAD COUNT %u STREAMS %s %s\r\n", LOAD_READ_COUNT, topic,
                     reader->last);
    } else {
        group_name(reader, group);
        stream_print(&reader->stream, "XREADGROUP GROUP %s c COUNT %u STREAMS %s >\r\n", group,
                     LOAD_READ_COUNT, topic);
    }
    count = take_stream(reader);
    for (i = 0; i < count; i++) {
        size_t size;

        (void)take_entry(reader, &size);
        if (reader->how != PEER_READ) {
            acknowledge_later(reader, group);
        }
    }
    return count;
}

/* One XACK of all ids. */
static void redis_ack_all(struct peer_reader *reader)
{
    const struct peer_acks *acks = &reader->acks;
    const char *topic = reader->options->topic;
    char group[32];

    group_name(reader, group);
    stream_print(&reader->stream, "*%u\r\n$4\r\nXACK\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
                 acks->count + 3, strlen(topic), topic, strlen(group), group);
    stream_send(&reader->stream, acks->bytes, acks->ends[acks->count - 1]);
    if (take_number(&reader->stream, ':') != (long)acks->count) {
        load_fail("XACK took not all of %u", acks->count);
    }
}

static uint64_t redis_ack_replies(struct stream *stream)
{
    return peer_take_lines(stream, 1);
}

/* ---- waiting ---- */

static void redis_follow_begin(struct peer_reader *reader)
{
    size_t size;

    memcpy(reader->last, "0-0", 4);
    stream_print(&reader->stream, "XREVRANGE %s + - COUNT 1\r\n", reader->options->topic);
    if (take_number(&reader->stream, '*') > 0) {
        (void)take_entry(reader, &size);
    }
}

static bool redis_follow(struct peer_reader *reader, struct load_worker *worker)
{
    uint32_t count;
    uint32_t i;
    bool more = true;

    stream_print(&reader->stream, "XREAD BLOCK 10000 COUNT %u STREAMS %s %s\r\n", LOAD_READ_COUNT,
                 reader->options->topic, reader->last);
    count = take_stream(reader);
    for (i = 0; i < count; i++) {
        size_t size;
        const char *data = take_entry(reader, &size);

        more = load_arrived(worker, data, size) && more;
    }
    if (count == 0) {
        load_fail("nothing arrives");
    }
    return more;
}

static bool redis_first(struct stream *stream, const struct load_options *options)
{
    stream_print(stream, "XRANGE %s - + COUNT 1\r\n", options->topic);
    /* While it loads its file it says -LOADING. */
    return strcmp(stream_line(stream), "*1") == 0;
}

int main(int argc, char **argv)
{
    static const struct peer redis = {.prepare_room = 128,
                                      .greet = redis_greet,
                                      .prepare = redis_prepare,
                                      .replies = redis_replies,
                                      .read_begin = redis_read_begin,
                                      .fetch = redis_fetch,
                                      .ack_all = redis_ack_all,
                                      .ack_replies = redis_ack_replies,
                                      .read_end = redis_read_end,
                                      .follow_begin = redis_follow_begin,
                                      .follow = redis_follow,
                                      .first = redis_first};

    return peer_main(argc, argv, &redis);
}
