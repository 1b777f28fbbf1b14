#include "tests/histories/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/check.h"
#include "proto/batch.h"
#include "proto/bytes.h"

#define ENTRY_HEAD 20u /* History, value, size */
#define INPUT_ROOM (256u * 1024u)

static const char *const cursor_names[RECORD_CURSORS_MAX] = {"one", "two"};

void story_break(struct story *story, const char *format, ...)
{
    va_list args;

    if (story->broken[0] != '\0') {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(story->broken, sizeof story->broken, format, args);
    va_end(args);
}

/* ---- entries ---- */

static uint8_t filler(uint64_t value, uint32_t at)
{
    return (uint8_t)(value * 31 + at * 7 + (at >> 8));
}

static void make_entry(uint8_t *out, uint64_t seed, uint64_t value, uint32_t size)
{
    uint32_t i;

    put_u64(out, seed);
    put_u64(out + 8, value);
    put_u32(out + 16, size);
    for (i = ENTRY_HEAD; i < size; i++) {
        out[i] = filler(value, i);
    }
}

/* The value of an entry; MOMENT_NEVER, and the story is broken, when it is not as it was made. */
static uint64_t entry_value(struct story *story, const struct batch_entry *entry)
{
    uint64_t value;
    uint32_t i;

    if (entry->size < ENTRY_HEAD || get_u64(entry->data) != story->seed ||
        get_u32(entry->data + 16) != entry->size) {
        story_break(story, "an entry of %u bytes that nobody of this history made", entry->size);
        return MOMENT_NEVER;
    }
    value = get_u64(entry->data + 8);
    for (i = ENTRY_HEAD; i < entry->size; i++) {
        if (entry->data[i] != filler(value, i)) {
            story_break(story, "byte %u of value %llu has changed", i, (unsigned long long)value);
            return MOMENT_NEVER;
        }
    }
    return value;
}

/* A batch of an append's entries. malloc()ed. */
static uint8_t *make_batch(const struct story *story, uint32_t number, uint32_t count,
                           uint32_t entry_size, uint32_t *size)
{
    struct batch_entry entries[RECORD_BATCH_MAX];
    uint8_t *data = malloc((size_t)count * (entry_size + ENTRY_HEAD));
    uint8_t *at = data;
    uint8_t *batch;
    uint64_t payload = 0;
    uint32_t i;

    CHECK(data != NULL && count <= RECORD_BATCH_MAX);
    for (i = 0; i < count; i++) {
        const uint64_t value = record_value(number, i);
        /* Sizes differ, and follow from the value. */
        const uint32_t length = ENTRY_HEAD + (entry_size == 0 ? 0 : (uint32_t)(value % entry_size));

        make_entry(at, story->seed, value, length);
        entries[i] = (struct batch_entry){.data = at, .size = length};
        payload += length;
        at += length;
    }
    *size = (uint32_t)batch_encoded_size(count, payload);
    batch = malloc(*size);
    CHECK(batch != NULL);
    batch_encode(batch, entries, count);
    free(data);
    return batch;
}

/* ---- a connection ---- */

bool client_connect(struct client *client, struct story *story, const char *socket)
{
    CHECK(!client->open && client->pending_count == 0);
    if (!wire_try_open(&client->wire, socket, story->space)) {
        return false;
    }
    if (client->input == NULL) {
        client->input = malloc(INPUT_ROOM);
        client->input_size = INPUT_ROOM;
        CHECK(client->input != NULL);
    }
    client->input_used = 0;
    client->open = true;
    client->number = story->clients++;
    return true;
}

void client_deinit(struct client *client)
{
    if (client->open) {
        wire_close(&client->wire);
    }
    free(client->input);
    memset(client, 0, sizeof *client);
}

void client_lose(struct client *client, struct story *story, uint64_t until)
{
    unsigned i;

    for (i = 0; i < client->pending_count; i++) {
        record_lost(&story->record, client->pending[i], until);
    }
    client->pending_count = 0;
    if (client->open) {
        wire_close(&client->wire);
        client->open = false;
    }
}

void client_leave(struct client *client, struct story *story)
{
    client_lose(client, story, MOMENT_NEVER);
}

/* ---- asking ---- */

static struct message read_message(const struct story *story, const struct op *asked,
                                   uint32_t wait_ms)
{
    struct message message = wire_read_message(story->topics[asked->topic], asked->offset);
    struct message_read *read = &message.u.read;

    read->max_entries = asked->max_entries;
    read->wait_ms = wait_ms;
    if (asked->kind != OP_READ) {
        read->position = (struct message_position){.kind = POSITION_CURSOR};
        read->cursor = wire_name(cursor_names[asked->cursor]);
        read->flags = asked->kind == OP_CONSUME ? READ_CONSUME : 0;
    }
    return message;
}

static struct message message_of(const struct story *story, const struct op *asked,
                                 uint32_t wait_ms)
{
    const struct message_topic topic = wire_topic(story->topics[asked->topic]);
    const struct message_name cursor = wire_name(cursor_names[asked->cursor]);
    struct message message = {.type = MESSAGE_SYNC};

    switch (asked->kind) {
    case OP_APPEND:
        message.type = MESSAGE_APPEND;
        message.u.append.topic = topic;
        message.u.append.flags = asked->durable ? APPEND_DURABLE : 0;
        break;
    case OP_READ:
    case OP_PEEK:
    case OP_CONSUME:
        message = read_message(story, asked, wait_ms);
        break;
    case OP_CHECKPOINT:
        message.type = MESSAGE_CHECKPOINT;
        message.u.checkpoint =
            (struct message_checkpoint){.topic = topic, .cursor = cursor, .offset = asked->offset};
        break;
    case OP_POSITION:
        message.type = MESSAGE_CURSOR_LIST;
        message.u.cursor_list = (struct message_cursor_list){
            .topic = topic, .max = MESSAGE_LIST_MAX, .after = wire_name(""), .from_first = true};
        break;
    case OP_INFO:
        message.type = MESSAGE_TOPIC_INFO;
        message.u.topic = topic;
        break;
    case OP_SYNC:
        break;
    }
    return message;
}

void client_send(struct client *client, struct story *story, const struct op *asked,
                 uint32_t entry_size, uint32_t wait_ms)
{
    struct op op = *asked;
    struct message message = message_of(story, asked, wait_ms);
    uint8_t *batch = NULL;
    uint8_t *bytes;
    uint32_t number;
    size_t size;

    CHECK(client->open && client->pending_count < CLIENT_DEPTH_MAX);
    op.client = client->number;
    number = record_call(&story->record, &op);
    if (op.kind == OP_APPEND) {
        batch = make_batch(story, number, op.entry_count, entry_size, &message.u.append.batch_size);
        message.u.append.batch = batch;
    }
    bytes = wire_encode(&message, number, &size);
    client->pending[client->pending_count++] = number;
    (void)wire_send_bytes(&client->wire, bytes, size); /* Who has closed is seen by client_take() */
    free(bytes);
    free(batch);
}

/* ---- being answered ---- */

static void read_reply(struct story *story, struct op *told, const uint8_t *body, size_t size)
{
    struct message_read_reply reply;
    uint64_t at = 0;

    if (message_read_reply_decode(&reply, body, size) != 0) {
        story_break(story, "the reply to READ does not decode");
        return;
    }
    told->from = reply.from;
    told->to = reply.to;
    told->end = reply.end;
    told->durable_end = reply.durable_end;
    while (at < reply.data_size) {
        struct batch_header header;
        struct batch_iterator it;
        struct batch_entry entry;
        uint64_t offset;

        if (batch_verify(reply.data + at, reply.data_size - at, UINT32_MAX, &header) !=
            BATCH_GOOD) {
            story_break(story, "a batch does not verify");
            return;
        }
        batch_entries(&it, reply.data + at);
        for (offset = header.first_offset; batch_next(&it, &entry); offset++) {
            if (offset >= reply.from && offset < reply.to) {
                record_entry(&story->record, offset, entry_value(story, &entry));
                told->entry_count++;
            }
        }
        at += batch_padded_size(header.stored_size);
    }
}

static void position_reply(struct story *story, const struct op *asked, struct op *told,
                           const uint8_t *body, size_t size)
{
    const char *name = cursor_names[asked->cursor];
    struct message_cursor_info item;
    struct message_reader reader;

    if (message_list_begin(&reader, body, size) != 0) {
        story_break(story, "the reply to CURSOR_LIST does not decode");
        return;
    }
    while (message_cursor_list_next(&reader, &item) == 1) {
        if (item.name.size == strlen(name) && memcmp(item.name.data, name, item.name.size) == 0) {
            told->position = item.offset; /* One that does not exist begins at 0 */
            told->kept_position = item.durable_offset;
        }
    }
}

static void good_reply(struct story *story, const struct op *asked, struct op *told,
                       const uint8_t *body, size_t size)
{
    struct message_append_reply append;
    struct message_cursor_reply cursor;
    struct message_topic_info info;
    int rc = 0;

    switch (asked->kind) {
    case OP_APPEND:
        rc = message_append_reply_decode(&append, body, size);
        told->from = append.first_offset;
        told->to = append.first_offset + asked->entry_count;
        told->durable_end = append.durable_end;
        told->end = told->to;
        break;
    case OP_READ:
    case OP_PEEK:
    case OP_CONSUME:
        read_reply(story, told, body, size);
        break;
    case OP_CHECKPOINT:
        rc = message_cursor_reply_decode(&cursor, body, size);
        told->position = cursor.offset;
        break;
    case OP_POSITION:
        position_reply(story, asked, told, body, size);
        break;
    case OP_INFO:
        rc = message_topic_info_decode(&info, body, size);
        told->end = info.end;
        told->durable_end = info.durable_end;
        break;
    case OP_SYNC:
        break;
    }
    if (rc != 0) {
        story_break(story, "the reply to a %s does not decode", record_kind_name(asked->kind));
    }
}

/* A status that is not success: what it means for the request. */
static void bad_reply(struct story *story, const struct op *asked, struct op *told, int status,
                      const struct message_error *error)
{
    const bool reads =
        asked->kind == OP_READ || asked->kind == OP_PEEK || asked->kind == OP_CONSUME;

    if (reads && status == TUSK_EEND) {
        told->fate = OP_END;
        told->end = error->detail_a;
        told->durable_end = error->detail_b;
    } else if (status == TUSK_EBUSY || (status == TUSK_ECLOSED && story->stopping)) {
        told->fate = OP_REFUSED;
    } else {
        story_break(story, "a %s is answered %s: %.*s", record_kind_name(asked->kind),
                    status_name(status), (int)error->text.size, error->text.data);
    }
}

static void take_reply(struct client *client, struct story *story, const struct frame *frame,
                       const uint8_t *body)
{
    const size_t size = frame->size - FRAME_HEADER_SIZE;
    struct message_error error;
    struct op told = {.fate = OP_DONE};
    struct op asked;
    unsigned i;

    for (i = 0; i < client->pending_count && client->pending[i] != frame->id; i++) {
    }
    if (i == client->pending_count) {
        story_break(story, "a reply to request %llu, which is not under way",
                    (unsigned long long)frame->id);
        return;
    }
    client->pending[i] = client->pending[--client->pending_count];
    asked = story->record.ops[frame->id];
    if (frame->status == 0) {
        good_reply(story, &asked, &told, body, size);
    } else if (message_error_decode(&error, body, size) == 0) {
        bad_reply(story, &asked, &told, -(int)frame->status, &error);
    } else {
        story_break(story, "the body of an error does not decode");
    }
    record_return(&story->record, (uint32_t)frame->id, &told);
    if (told.end > story->end[asked.topic]) {
        story->end[asked.topic] = told.end;
    }
}

/* Take the whole replies that have arrived. */
static void take_frames(struct client *client, struct story *story)
{
    size_t begin = 0;
    struct frame frame;

    for (;;) {
        const enum frame_result result =
            frame_parse(&frame, client->input + begin, client->input_used - begin, UINT32_MAX);

        if (result == FRAME_BAD) {
            story_break(story, "a frame that is none");
            break;
        }
        if (result == FRAME_PARTIAL) {
            break;
        }
        take_reply(client, story, &frame, client->input + begin + FRAME_HEADER_SIZE);
        begin += frame.size;
    }
    memmove(client->input, client->input + begin, client->input_used - begin);
    client->input_used -= begin;
}

bool client_take(struct client *client, struct story *story)
{
    for (;;) {
        ssize_t got;

        if (client->input_used == client->input_size) {
            client->input_size *= 2;
            client->input = realloc(client->input, client->input_size);
            CHECK(client->input != NULL);
        }
        got = recv(client->wire.fd, client->input + client->input_used,
                   client->input_size - client->input_used, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
        }
        client->input_used += (size_t)got;
        take_frames(client, story);
    }
}
