/* Load on NATS JetStream, over its protocol for clients, on loopback: a stream of the topic's name
 * in files; publishing with a reply for each; pull consumers to read, a push consumer to wait.
 *
 * Requests to the server are messages, too, and what answers them comes to an inbox, of which each
 * connection has one. */
#include "tests/bench/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AHEAD (2 * LOAD_READ_COUNT) /* Entries asked for before they are taken */

/* A message; all of it lives in the stream's buffer until the next. */
struct message {
    char reply[PEER_ID_SIZE_MAX]; /* Where to acknowledge it; "" */
    const char *data;
    size_t size;
    size_t head_size; /* Of its headers, which come before data; 0: none */
};

static char inbox[48]; /* Of the connection that was greeted last */

/* MSG SUBJECT ID [REPLY] SIZE, or HMSG SUBJECT ID [REPLY] HEADERS SIZE; returns SIZE. */
static size_t parse_head(const char *line, struct message *message)
{
    char words[6][PEER_ID_SIZE_MAX];
    int sizes = line[0] == 'H' ? 2 : 1;
    int count = sscanf(line, "%127s %127s %127s %127s %127s %127s", words[0], words[1], words[2],
                       words[3], words[4], words[5]);
    bool reply = count == 4 + sizes;

    if (count < 3 + sizes || count > 4 + sizes) {
        load_fail("the server says: %s", line);
    }
    /* cppcheck-suppress ctuuninitvar ; it is filled here */
    (void)snprintf(message->reply, sizeof message->reply, "%s", reply ? words[3] : "");
    message->head_size = sizes == 2 ? strtoul(words[count - 2], NULL, 10) : 0;
    return strtoul(words[count - 1], NULL, 10);
}

/* Take a whole message of what is received. False: there is none. */
static bool take_message(struct stream *stream, struct message *message)
{
    for (;;) {
        char *line = stream->in + stream->begin;
        char *end = memchr(line, '\n', stream->end - stream->begin);
        size_t size;

        if (end == NULL) {
            return false;
        }
        if (strncmp(line, "MSG ", 4) != 0 && strncmp(line, "HMSG ", 5) != 0) {
            if (line[0] == '-') {
                load_fail("the server says: %.*s", (int)(end - line), line);
            }
            if (strncmp(line, "PING", 4) == 0) {
                stream_send(stream, "PONG\r\n", 6);
            }
            stream->begin += (size_t)(end - line) + 1;
            continue;
        }
        end[-1] = '\0';
        size = parse_head(line, message);
        end[-1] = '\r'; /* It may be parsed again, when more of it is there */
        if ((size_t)(stream->in + stream->end - end) < 1 + size + 2) {
            return false;
        }
        stream->begin += (size_t)(end - line) + 1 + size + 2;
        message->data = end + 1 + message->head_size;
        message->size = size - message->head_size;
        return true;
    }
}

static void wait_message(struct stream *stream, struct message *message)
{
    while (!take_message(stream, message)) {
        stream_fill(stream);
    }
}

/* Ask the server; the answer in *message. */
static void ask(struct stream *stream, struct message *message, const char *what, const char *of,
                const char *body)
{
    stream_print(stream, "PUB $JS.API.%s.%s %s %zu\r\n%s\r\n", what, of, inbox, strlen(body), body);
    wait_message(stream, message);
}

/* The same, and what is not answered well ends the process. */
static void demand(struct stream *stream, struct message *message, const char *what, const char *of,
                   const char *body)
{
    ask(stream, message, what, of, body);
    if (message->head_size > 0 || memmem(message->data, message->size, "\"error\"", 7) != NULL) {
        load_fail("%s %s: %.*s", what, of, (int)message->size, message->data);
    }
}

static void hello(struct stream *stream)
{
    static unsigned connections;

    (void)snprintf(inbox, sizeof inbox, "_INBOX.%d.%u", (int)getpid(), ++connections);
    (void)stream_line(stream); /* INFO */
    stream_print(stream,
                 "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,"
                 "\"no_responders\":true,\"lang\":\"c\",\"version\":\"1\",\"protocol\":1}\r\n"
                 "SUB %s 1\r\nPING\r\n",
                 inbox);
    while (strcmp(stream_line(stream), "PONG") != 0) {
    }
}

static void nats_greet(struct stream *stream, const struct load_options *options)
{
    struct message message;
    char body[512];

    hello(stream);
    /* Creating what is there as it is there changes nothing. */
    (void)snprintf(body, sizeof body,
                   "{\"name\":\"%s\",\"subjects\":[\"%s\",\"%s.>\"],\"storage\":\"file\","
                   "\"retention\":\"limits\",\"num_replicas\":1,\"max_consumers\":-1,"
                   "\"max_msgs\":-1,\"max_bytes\":-1,\"max_msg_size\":-1}",
                   options->topic, options->topic, options->topic);
    demand(stream, &message, "STREAM.CREATE", options->topic, body);
}

static size_t nats_prepare(char *at, const struct load_options *options, const char *topic,
                           size_t *payload_at)
{
    *payload_at = (size_t)sprintf(at, "PUB %s %s %u\r\n", topic, inbox, options->size);
    memcpy(at + *payload_at + options->size, "\r\n", 2);
    return *payload_at + options->size + 2;
}

static uint64_t nats_replies(struct stream *stream)
{
    struct message message;
    uint64_t count = 0;

    while (take_message(stream, &message)) {
        if (message.head_size > 0 || memmem(message.data, message.size, "\"error\"", 7) != NULL) {
            load_fail("not stored: %.*s", (int)message.size, message.data);
        }
        count++;
    }
    return count;
}

/* ---- reading ---- */

static uint64_t json_number(const struct message *message, const char *key)
{
    const char *at = memmem(message->data, message->size, key, strlen(key));

    return at != NULL ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static void nats_read_begin(struct peer_reader *reader)
{
    static const char *const policies[] = {"none", "all", "explicit"};
    const char *topic = reader->options->topic;
    struct message message;
    char place[160];
    char body[512];

    (void)snprintf(reader->last, sizeof reader->last, "c%d-%llu", (int)getpid(),
                   (unsigned long long)reader->pass);
    (void)snprintf(place, sizeof place, "%s.%s", topic, reader->last);
    (void)snprintf(body, sizeof body,
                   "{\"stream_name\":\"%s\",\"config\":{\"durable_name\":\"%s\","
                   "\"deliver_policy\":\"all\",\"ack_policy\":\"%s\",\"max_ack_pending\":%u}}",
                   topic, reader->last, policies[reader->how],
                   reader->how == PEER_READ ? 0 : 1000000);
    demand(&reader->stream, &message, "CONSUMER.DURABLE.CREATE", place, body);
    demand(&reader->stream, &message, "STREAM.INFO", topic, "");
    reader->left = json_number(&message, "\"messages\":");
    reader->asked = 0;
}

static void nats_read_end(struct peer_reader *reader)
{
    struct message message;
    char place[160];

    (void)snprintf(place, sizeof place, "%s.%s", reader->options->topic, reader->last);
    demand(&reader->stream, &message, "CONSUMER.DELETE", place, "");
}

static void pull(struct peer_reader *reader, uint64_t count)
{
    char body[32];

    (void)snprintf(body, sizeof body, "{\"batch\":%llu}", (unsigned long long)count);
    stream_print(&reader->stream, "PUB $JS.API.CONSUMER.MSG.NEXT.%s.%s %s %zu\r\n%s\r\n",
                 reader->options->topic, reader->last, inbox, strlen(body), body);
    reader->asked += count;
}

/* Replies to acknowledgements come between messages that were asked for ahead, so only a reader
 * that does not acknowledge asks ahead. */
static uint32_t nats_fetch(struct peer_reader *reader)
{
    uint64_t ahead = reader->how == PEER_READ ? AHEAD : LOAD_READ_COUNT;
    uint32_t count = (uint32_t)(reader->left < LOAD_READ_COUNT ? reader->left : LOAD_READ_COUNT);
    struct message message;
    uint32_t i;

    while (reader->asked < ahead && reader->asked < reader->left) {
        uint64_t rest = reader->left - reader->asked;

        pull(reader, rest < LOAD_READ_COUNT ? rest : LOAD_READ_COUNT);
    }
    for (i = 0; i < count; i++) {
        wait_message(&reader->stream, &message);
        if (message.head_size > 0) {
            load_fail("no entry, but: %.*s", (int)message.head_size,
                      message.data - message.head_size);
        }
        if (reader->how != PEER_READ) {
            peer_ack_end(&reader->acks,
                         (size_t)sprintf(peer_ack_begin(&reader->acks), "PUB %s %s 4\r\n+ACK\r\n",
                                         message.reply, inbox));
        }
    }
    reader->asked -= count;
    reader->left -= count;
    return count;
}

/* Of a consumer that acknowledges all before, the last says it. */
static void nats_ack_all(struct peer_reader *reader)
{
    const struct peer_acks *acks = &reader->acks;
    size_t begin = acks->count > 1 ? acks->ends[acks->count - 2] : 0;
    struct message message;

    stream_send(&reader->stream, acks->bytes + begin, acks->ends[acks->count - 1] - begin);
    wait_message(&reader->stream, &message);
}

/* ---- waiting ---- */

static void nats_follow_begin(struct peer_reader *reader)
{
    const char *topic = reader->options->topic;
    struct message message;
    char body[512];

    (void)snprintf(body, sizeof body,
                   "{\"stream_name\":\"%s\",\"config\":{\"deliver_subject\":\"%s.new\","
                   "\"deliver_policy\":\"new\",\"ack_policy\":\"none\"}}",
                   topic, inbox);
    stream_print(&reader->stream, "SUB %s.new 2\r\n", inbox);
    demand(&reader->stream, &message, "CONSUMER.CREATE", topic, body);
}

static bool nats_follow(struct peer_reader *reader, struct load_worker *worker)
{
    struct message message;

    wait_message(&reader->stream, &message);
    return load_arrived(worker, message.data, message.size);
}

static bool nats_first(struct stream *stream, const struct load_options *options)
{
    struct message message;

    hello(stream);
    ask(stream, &message, "STREAM.MSG.GET", options->topic, "{\"seq\":1}");
    return memmem(message.data, message.size, "\"message\":", 10) != NULL;
}

int main(int argc, char **argv)
{
    static const struct peer nats = {.prepare_room = 128,
                                     .greet = nats_greet,
                                     .prepare = nats_prepare,
                                     .replies = nats_replies,
                                     .read_begin = nats_read_begin,
                                     .fetch = nats_fetch,
                                     .ack_all = nats_ack_all,
                                     .ack_replies = nats_replies,
                                     .read_end = nats_read_end,
                                     .follow_begin = nats_follow_begin,
                                     .follow = nats_follow,
                                     .first = nats_first};

    return peer_main(argc, argv, &nats);
}
