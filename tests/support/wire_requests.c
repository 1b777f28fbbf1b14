/* Requests made of frames: the half of wire.h that knows what is in them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/batch.h"
#include "tests/support/daemon.h"
#include "tests/support/wire.h"

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
    wire_need(false, what);
}

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
    wire_need(*bytes != NULL, "no memory");
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

    wire_need(entries != NULL, "no memory");
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
        wire_need(message_append_reply_decode(&result, reply.body, reply.size) == 0,
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

    wire_need(data != NULL, "no memory");
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

    wire_need(message_read_reply_decode(&read, reply->body, reply->size) == 0,
              "the reply to READ does not decode");
    while (place < read.data_size) {
        const uint8_t *bytes = read.data + place;
        struct batch_header header;
        struct batch_iterator it;
        struct batch_entry entry;
        uint64_t offset;

        wire_need(batch_verify(bytes, read.data_size - place, UINT32_MAX, &header) == BATCH_GOOD,
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
        wire_need(message_read_reply_decode(&read, reply.body, reply.size) == 0,
                  "the reply to READ does not decode");
        wire_need(read.to > from, "a read that makes no progress");
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
    wire_need(expected->seen < expected->count, "more entries than expected");
    text = expected->texts[expected->seen++];
    wire_need(size == strlen(text) && memcmp(data, text, size) == 0, "another entry than expected");
}

void wire_expect_entries(struct wire *wire, const char *topic, uint64_t from,
                         const char *const *texts, uint32_t count)
{
    struct expected expected = {.texts = texts, .count = count};

    (void)wire_drain(wire, topic, from, expect_entry, &expected);
    wire_need(expected.seen == count, "fewer entries than expected");
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

    wire_need(wire_call(wire, &message, &reply) == 0, "CURSOR_LIST fails");
    wire_need(message_list_begin(&reader, reply.body, reply.size) == 0, "the list does not decode");
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

    wire_need(wire_call(wire, &message, &reply) == 0, "STATS fails");
    wire_need(message_stats_begin(&reader, reply.body, reply.size) == 0, "STATS does not decode");
    while (message_stats_next(&reader, &item) == 1) {
        if (item.name.size == strlen(name) && memcmp(item.name.data, name, item.name.size) == 0) {
            return item.value;
        }
    }
    return UINT64_MAX;
}

void wire_await_stat(struct wire *wire, const char *name, uint64_t value)
{
    const uint64_t end = daemon_now_ms() + DAEMON_WAIT_MS;
    uint64_t last = wire_stat(wire, name);

    while (last != value) {
        if (daemon_now_ms() >= end) {
            wire_need(false, name);
        }
        (void)usleep(2000); /* Gentle to the machine */
        last = wire_stat(wire, name);
    }
}

static bool name_is(const struct message_name *name, const char *text)
{
    return name->size == strlen(text) && memcmp(name->data, text, name->size) == 0;
}

static void copy_text(char *to, const struct message_name *text)
{
    memcpy(to, text->data, text->size);
    to[text->size] = '\0';
}

int wire_config(struct wire *wire, bool files, const char *space, const char *key, char *value,
                char *origin)
{
    const struct message message = {.type = MESSAGE_CONFIG,
                                    .u.config = {.max = MESSAGE_LIST_MAX, .files = files}};
    struct message_config_item item;
    struct message_reader reader;
    struct wire_reply reply;
    int status = wire_call(wire, &message, &reply);

    if (status != 0) {
        return status;
    }
    wire_need(message_list_begin(&reader, reply.body, reply.size) == 0, "CONFIG does not decode");
    while (message_config_list_next(&reader, &item) == 1) {
        if (name_is(&item.space, space) && name_is(&item.key, key)) {
            copy_text(value, &item.value);
            copy_text(origin, &item.origin);
            return 0;
        }
    }
    wire_need(false, "there is no such value");
    return 0;
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
