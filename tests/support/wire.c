#include "tests/support/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/batch.h"

#define INPUT_SIZE_MIN (64u * 1024u)

static _Noreturn void give_up(const char *what)
{
    (void)fprintf(stderr, "wire: %s\n", what);
    abort();
}

static void need(bool good, const char *what)
{
    if (!good) {
        give_up(what);
    }
}

/* Success, or the test ends with what the daemon said. */
static void need_status(int status, const struct wire_reply *reply, const char *what)
{
    struct message_error error;

    if (status == 0) {
        return;
    }
    if (message_error_decode(&error, reply->body, reply->size) == 0) {
        (void)fprintf(stderr, "wire: %s: %.*s\n", status_name(status), (int)error.text.size,
                      error.text.data);
    }
    give_up(what);
}

/* ---- sockets ---- */

static bool connect_to(struct wire *wire, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    *wire = (struct wire){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), .next_id = 1};
    need(wire->fd >= 0, "no socket");
    wire->input = malloc(INPUT_SIZE_MIN);
    wire->input_size = INPUT_SIZE_MIN;
    need(wire->input != NULL, "no memory");
    need(strlen(path) < sizeof address.sun_path, "the socket's path is too long");
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(wire->fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        wire_close(wire);
        return false;
    }
    return true;
}

void wire_close(struct wire *wire)
{
    if (wire->fd >= 0) {
        (void)close(wire->fd);
    }
    free(wire->input);
    wire->input = NULL;
    wire->fd = -1;
}

bool wire_try_open(struct wire *wire, const char *socket_path, const char *space)
{
    const struct message hello = {
        .type = MESSAGE_HELLO,
        .u.hello = {.version_min = 1,
                    .version_max = 1,
                    .space = wire_name(space != NULL ? space : ""),
                    .client = wire_name("test")},
    };
    struct wire_reply reply;

    if (!connect_to(wire, socket_path)) {
        return false;
    }
    if (space == NULL) {
        return true;
    }
    if (wire_send(wire, &hello) == 0 || !wire_receive(wire, &reply) || reply.status != 0) {
        wire_close(wire);
        return false;
    }
    need(message_hello_reply_decode(&wire->hello, reply.body, reply.size) == 0,
         "the reply to HELLO does not decode");
    wire->hello.server = (struct message_name){0};
    return true;
}

void wire_open(struct wire *wire, const char *socket_path, const char *space)
{
    need(wire_try_open(wire, socket_path, space), "cannot connect");
}

bool wire_send_bytes(struct wire *wire, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    while (size > 0) {
        ssize_t sent = send(wire->fd, at, size, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            return false;
        }
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

bool wire_readable(struct wire *wire, int timeout_ms)
{
    struct pollfd wait = {.fd = wire->fd, .events = POLLIN};

    if (wire->input_begin < wire->input_end) {
        return true;
    }
    return poll(&wait, 1, timeout_ms) > 0;
}

/* Read what is there, waiting for at least one byte. False: closed. */
static bool fill(struct wire *wire, size_t size)
{
    ssize_t got;

    if (wire->input_begin > 0) {
        memmove(wire->input, wire->input + wire->input_begin, wire->input_end - wire->input_begin);
        wire->input_end -= wire->input_begin;
        wire->input_begin = 0;
    }
    if (wire->input_size < size) {
        wire->input_size = size > INPUT_SIZE_MIN ? size : INPUT_SIZE_MIN;
        wire->input = realloc(wire->input, wire->input_size);
        need(wire->input != NULL, "no memory");
    }
    for (;;) {
        struct pollfd wait = {.fd = wire->fd, .events = POLLIN};

        need(poll(&wait, 1, WIRE_WAIT_MS) > 0, "no reply in time");
        got = recv(wire->fd, wire->input + wire->input_end, wire->input_size - wire->input_end, 0);
        if (got >= 0 || errno != EINTR) {
            break;
        }
    }
    wire->input_end += got > 0 ? (size_t)got : 0;
    return got > 0;
}

/* ---- frames ---- */

uint8_t *wire_encode(const struct message *message, uint64_t id, size_t *size)
{
    const size_t head = FRAME_HEADER_SIZE + message_size(message);
    const bool append = message->type == MESSAGE_APPEND;
    const size_t total = head + (append ? message->u.append.batch_size : 0);
    const struct frame frame = {.size = (uint32_t)total, .type = message->type, .id = id};
    uint8_t *bytes = malloc(total);

    need(bytes != NULL, "no memory");
    frame_encode(bytes, &frame);
    (void)message_encode(bytes + FRAME_HEADER_SIZE, message);
    if (append) {
        memcpy(bytes + head, message->u.append.batch, message->u.append.batch_size);
    }
    *size = total;
    return bytes;
}

uint64_t wire_send(struct wire *wire, const struct message *message)
{
    const uint64_t id = wire->next_id++;
    size_t size;
    uint8_t *bytes = wire_encode(message, id, &size);
    const bool sent = wire_send_bytes(wire, bytes, size);

    free(bytes);
    return sent ? id : 0;
}

void wire_send_frame(struct wire *wire, uint32_t size, uint16_t type, uint64_t id, const void *body,
                     size_t body_size)
{
    const struct frame frame = {.size = size, .type = type, .id = id};
    uint8_t header[FRAME_HEADER_SIZE];

    frame_encode(header, &frame);
    need(wire_send_bytes(wire, header, sizeof header), "cannot send");
    need(wire_send_bytes(wire, body, body_size), "cannot send");
}

bool wire_receive(struct wire *wire, struct wire_reply *reply)
{
    struct frame frame = {0};

    for (;;) {
        const size_t there = wire->input_end - wire->input_begin;
        const enum frame_result result =
            frame_parse(&frame, wire->input + wire->input_begin, there, UINT32_MAX);

        need(result != FRAME_BAD, "the daemon sent a bad frame");
        if (result == FRAME_READY) {
            break;
        }
        if (!fill(wire, frame.size > INPUT_SIZE_MIN ? frame.size : INPUT_SIZE_MIN)) {
            need(there == 0, "the daemon closed in the middle of a frame");
            return false;
        }
    }
    need((frame.type & FRAME_REPLY) != 0, "the daemon sent a request");
    *reply = (struct wire_reply){
        .type = (uint16_t)(frame.type & ~FRAME_REPLY),
        .status = -(int)frame.status,
        .id = frame.id,
        .body = wire->input + wire->input_begin + FRAME_HEADER_SIZE,
        .size = frame.size - FRAME_HEADER_SIZE,
    };
    wire->input_begin += frame.size;
    return true;
}

unsigned wire_expect_closed(struct wire *wire)
{
    struct wire_reply reply;
    unsigned count = 0;

    while (wire_receive(wire, &reply)) {
        count++;
    }
    return count;
}

int wire_call(struct wire *wire, const struct message *message, struct wire_reply *reply)
{
    const uint64_t id = wire_send(wire, message);
    struct message_error error;

    need(id != 0, "the daemon has closed the connection");
    need(wire_receive(wire, reply), "the daemon closed instead of replying");
    need(reply->id == id, "a reply to something else");
    need(reply->type == message->type, "a reply of another type");
    if (reply->status != 0) {
        need(message_error_decode(&error, reply->body, reply->size) == 0,
             "the body of an error does not decode");
        need(error.text.size > 0, "an error without a sentence");
    }
    return reply->status;
}

/* ---- requests ---- */

struct message_name wire_name(const char *text)
{
    return (struct message_name){.data = text, .size = (uint16_t)strlen(text)};
}

struct message_topic wire_topic(const char *name)
{
    return (struct message_topic){.name = wire_name(name)};
}

static struct message append_message(const char *topic, const struct batch_entry *entries,
                                     uint32_t count, uint8_t **bytes)
{
    uint64_t payload = 0;
    uint32_t i;
    size_t size;

    for (i = 0; i < count; i++) {
        payload += entries[i].size;
    }
    size = batch_encoded_size(count, payload);
    *bytes = malloc(size);
    need(*bytes != NULL, "no memory");
    batch_encode(*bytes, entries, count);
    return (struct message){
        .type = MESSAGE_APPEND,
        .u.append = {.topic = wire_topic(topic), .batch = *bytes, .batch_size = (uint32_t)size},
    };
}

struct message wire_append_message(const char *topic, const char *const *texts, uint32_t count,
                                   uint8_t **bytes)
{
    struct batch_entry *entries = calloc(count, sizeof *entries);
    struct message message;
    uint32_t i;

    need(entries != NULL, "no memory");
    for (i = 0; i < count; i++) {
        entries[i].data = (const uint8_t *)texts[i];
        entries[i].size = (uint32_t)strlen(texts[i]);
    }
    message = append_message(topic, entries, count, bytes);
    free(entries);
    return message;
}

static int call_append(struct wire *wire, const struct message *message, uint64_t *first)
{
    struct message_append_reply result;
    struct wire_reply reply;
    const int status = wire_call(wire, message, &reply);

    if (status == 0) {
        need(message_append_reply_decode(&result, reply.body, reply.size) == 0,
             "the reply to APPEND does not decode");
        if (first != NULL) {
            *first = result.first_offset;
        }
    }
    return status;
}

int wire_append(struct wire *wire, const char *topic, const char *const *texts, uint32_t count,
                uint64_t *first)
{
    uint8_t *bytes;
    const struct message message = wire_append_message(topic, texts, count, &bytes);
    const int status = call_append(wire, &message, first);

    free(bytes);
    return status;
}

int wire_append_one(struct wire *wire, const char *topic, const char *text)
{
    return wire_append(wire, topic, &text, 1, NULL);
}

int wire_append_fill(struct wire *wire, const char *topic, char fill_with, uint32_t size)
{
    uint8_t *data = malloc(size);
    const struct batch_entry entry = {.data = data, .size = size};
    struct message message;
    uint8_t *bytes;
    int status;

    need(data != NULL, "no memory");
    memset(data, fill_with, size);
    message = append_message(topic, &entry, 1, &bytes);
    status = call_append(wire, &message, NULL);
    free(bytes);
    free(data);
    return status;
}

struct message wire_read_message(const char *topic, uint64_t offset)
{
    return (struct message){
        .type = MESSAGE_READ,
        .u.read = {.topic = wire_topic(topic),
                   .cursor = wire_name(""),
                   .position = {.kind = POSITION_OFFSET, .value = offset},
                   .max_bytes = 1u << 20,
                   .max_entries = UINT32_MAX,
                   .held = MESSAGE_HELD_NONE},
    };
}

void wire_entries(const struct wire_reply *reply, wire_entry_fn *fn, void *arg)
{
    struct message_read_reply read;
    uint64_t place = 0;

    need(message_read_reply_decode(&read, reply->body, reply->size) == 0,
         "the reply to READ does not decode");
    while (place < read.data_size) {
        const uint8_t *bytes = read.data + place;
        struct batch_header header;
        struct batch_iterator it;
        struct batch_entry entry;
        uint64_t offset;

        need(batch_verify(bytes, read.data_size - place, UINT32_MAX, &header) == BATCH_GOOD,
             "a batch does not verify");
        offset = header.first_offset;
        batch_entries(&it, bytes);
        for (; batch_next(&it, &entry); offset++) {
            if (offset >= read.from && offset < read.to) {
                fn(arg, offset, entry.data, entry.size);
            }
        }
        place += batch_padded_size(header.stored_size);
    }
}

uint64_t wire_drain(struct wire *wire, const char *topic, uint64_t from, wire_entry_fn *fn,
                    void *arg)
{
    for (;;) {
        const struct message message = wire_read_message(topic, from);
        struct message_read_reply read;
        struct wire_reply reply;
        const int status = wire_call(wire, &message, &reply);

        if (status == TUSK_EEND) {
            return from;
        }
        need_status(status, &reply, "a read fails");
        need(message_read_reply_decode(&read, reply.body, reply.size) == 0,
             "the reply to READ does not decode");
        need(read.to > from, "a read that makes no progress");
        wire_entries(&reply, fn, arg);
        from = read.to;
    }
}

struct expected {
    const char *const *texts;
    uint32_t count;
    uint32_t seen;
};

static void expect_entry(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    struct expected *expected = arg;
    const char *text;

    (void)offset;
    need(expected->seen < expected->count, "more entries than expected");
    text = expected->texts[expected->seen++];
    need(size == strlen(text) && memcmp(data, text, size) == 0, "another entry than expected");
}

void wire_expect_entries(struct wire *wire, const char *topic, uint64_t from,
                         const char *const *texts, uint32_t count)
{
    struct expected expected = {.texts = texts, .count = count};

    (void)wire_drain(wire, topic, from, expect_entry, &expected);
    need(expected.seen == count, "fewer entries than expected");
}

int wire_checkpoint(struct wire *wire, const char *topic, const char *cursor, uint64_t offset)
{
    const struct message message = {
        .type = MESSAGE_CHECKPOINT,
        .u.checkpoint = {.topic = wire_topic(topic), .cursor = wire_name(cursor), .offset = offset},
    };
    struct wire_reply reply;

    return wire_call(wire, &message, &reply);
}

uint64_t wire_cursor(struct wire *wire, const char *topic, const char *cursor)
{
    const struct message message = {
        .type = MESSAGE_CURSOR_LIST,
        .u.cursor_list = {.topic = wire_topic(topic),
                          .max = MESSAGE_LIST_MAX,
                          .after = wire_name(""),
                          .from_first = true},
    };
    struct message_reader reader;
    struct message_cursor_info item;
    struct wire_reply reply;

    need(wire_call(wire, &message, &reply) == 0, "CURSOR_LIST fails");
    need(message_list_begin(&reader, reply.body, reply.size) == 0, "the list does not decode");
    while (message_cursor_list_next(&reader, &item) == 1) {
        if (item.name.size == strlen(cursor) &&
            memcmp(item.name.data, cursor, item.name.size) == 0) {
            return item.offset;
        }
    }
    return UINT64_MAX;
}

int wire_simple(struct wire *wire, uint16_t type)
{
    const struct message message = {.type = type};
    struct wire_reply reply;

    return wire_call(wire, &message, &reply);
}

uint64_t wire_stat(struct wire *wire, const char *name)
{
    const struct message message = {.type = MESSAGE_STATS};
    struct message_reader reader;
    struct message_stat item;
    struct wire_reply reply;

    need(wire_call(wire, &message, &reply) == 0, "STATS fails");
    need(message_stats_begin(&reader, reply.body, reply.size) == 0, "STATS does not decode");
    while (message_stats_next(&reader, &item) == 1) {
        if (item.name.size == strlen(name) && memcmp(item.name.data, name, item.name.size) == 0) {
            return item.value;
        }
    }
    return UINT64_MAX;
}

int wire_space_create(struct wire *wire, const char *name, uint64_t fsync_ms)
{
    const struct message message = {
        .type = MESSAGE_NAMESPACE_CREATE,
        .u.namespace_settings = {.name = wire_name(name),
                                 .settings = {.count = 1, .items = {{SETTING_FSYNC, fsync_ms}}}},
    };
    struct wire_reply reply;

    return wire_call(wire, &message, &reply);
}
