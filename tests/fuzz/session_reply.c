#include "tests/fuzz/session_reply.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/batch.h"
#include "proto/bytes.h"
#include "proto/frame.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/proto_mirror.h"

#define STATUS_MAX 22u
#define STATUS_CORRUPT 4u

/* The layout of a successful reply; REPLY_KIND_END: it has no body. */
static enum reply_kind kind_of(uint16_t type)
{
    switch (type) {
    case MESSAGE_HELLO:
        return REPLY_HELLO;
    case MESSAGE_APPEND:
        return REPLY_APPEND;
    case MESSAGE_READ:
        return REPLY_READ;
    case MESSAGE_CHECKPOINT:
    case MESSAGE_SEEK:
    case MESSAGE_CURSOR_CREATE:
        return REPLY_CURSOR;
    case MESSAGE_TOPIC_CREATE:
    case MESSAGE_TOPIC_TRIM:
        return REPLY_U64;
    case MESSAGE_TOPIC_INFO:
        return REPLY_TOPIC_INFO;
    case MESSAGE_TOPIC_LIST:
        return REPLY_TOPIC_LIST;
    case MESSAGE_CURSOR_LIST:
        return REPLY_CURSOR_LIST;
    case MESSAGE_NAMESPACE_LIST:
        return REPLY_NAMESPACE_LIST;
    case MESSAGE_STATS:
        return REPLY_STATS;
    case MESSAGE_CONFIG:
        return REPLY_CONFIG;
    case MESSAGE_SLOWLOG:
        return REPLY_SLOWLOG;
    case MESSAGE_ACCESS:
        return REPLY_ACCESS;
    case MESSAGE_SNAPSHOT_BEGIN:
        return REPLY_SNAPSHOT;
    default:
        return REPLY_KIND_END;
    }
}

static void require_mirror(enum reply_kind kind, const uint8_t *body, size_t size)
{
    uint8_t *again = malloc(size + (size == 0));
    size_t again_size = 0;

    REQUIRE(again != NULL);
    REQUIRE(mirror_reply(kind, body, size, again, &again_size) == 0);
    REQUIRE(again_size == size);
    REQUIRE(memcmp(again, body, size) == 0);
    free(again);
}

static void check_batches(const struct session_client *client, const uint8_t *body, size_t size)
{
    struct message_read_reply reply;
    uint32_t seed;
    uint32_t done = 0;

    REQUIRE(message_read_reply_decode(&reply, body, size) == 0);
    REQUIRE(!reply.placed); /* The disk is no file that could be mapped */
    REQUIRE(reply.from < reply.to);
    REQUIRE(reply.to <= reply.end);
    seed = batch_seed(client->store_id, reply.generation);
    while (done < reply.data_size) {
        struct batch_header header;

        REQUIRE(batch_verify(reply.data + done, reply.data_size - done, UINT32_MAX / 2, &header) ==
                BATCH_GOOD);
        REQUIRE(batch_header_crc(reply.data + done, seed, reply.position + done) ==
                header.header_crc);
        REQUIRE(header.first_offset < reply.to);
        REQUIRE(header.first_offset + header.entry_count > reply.from);
        done += (uint32_t)batch_padded_size(header.stored_size);
    }
}

static void check_body(struct session_client *client, const struct frame *frame,
                       const uint8_t *body)
{
    const uint16_t type = (uint16_t)(frame->type & ~FRAME_REPLY);
    const size_t size = frame->size - FRAME_HEADER_SIZE;
    struct message_hello_reply hello;

    REQUIRE(frame->status <= STATUS_MAX);
    /* The disk is sound, so what was taken is what is read. */
    REQUIRE(type != MESSAGE_READ || frame->status != STATUS_CORRUPT);
    if (frame->status != 0) {
        require_mirror(REPLY_ERROR, body, size);
        return;
    }
    if (kind_of(type) == REPLY_KIND_END) {
        REQUIRE(size == 0);
        return;
    }
    require_mirror(kind_of(type), body, size);
    if (type == MESSAGE_HELLO) {
        REQUIRE(message_hello_reply_decode(&hello, body, size) == 0);
        memcpy(client->store_id, hello.store_id, sizeof client->store_id);
    } else if (type == MESSAGE_READ) {
        check_batches(client, body, size);
    }
}

/* Each request is answered once, and only requests are. */
static void settle_request(struct session_client *client, const struct frame *frame)
{
    unsigned i;

    for (i = 0; i < client->owed_count; i++) {
        if (client->owed[i].id == frame->id &&
            (client->owed[i].type | FRAME_REPLY) == frame->type) {
            client->owed[i] = client->owed[--client->owed_count];
            return;
        }
    }
    REQUIRE(client->loose);
}

static void take_replies(struct session_client *client)
{
    struct frame frame;
    size_t at = 0;

    while (frame_parse(&frame, client->in + at, client->in_size - at, SESSION_IN_SIZE) ==
           FRAME_READY) {
        REQUIRE((frame.type & FRAME_REPLY) != 0);
        settle_request(client, &frame);
        check_body(client, &frame, client->in + at + FRAME_HEADER_SIZE);
        client->answered = frame.id;
        at += frame.size;
    }
    REQUIRE(frame.size <= SESSION_IN_SIZE);
    memmove(client->in, client->in + at, client->in_size - at);
    client->in_size -= at;
}

void session_receive(struct session_client *client)
{
    ssize_t got = 1;

    while (client->fd >= 0 && !client->ended && got > 0) {
        got = recv(client->fd, client->in + client->in_size, SESSION_IN_SIZE - client->in_size,
                   MSG_DONTWAIT);
        if (got > 0) {
            client->in_size += (size_t)got;
            take_replies(client);
        } else {
            client->ended = got == 0 || errno != EAGAIN;
        }
    }
}

void session_client_init(struct session_client *client, int fd)
{
    uint8_t *in = client->in;

    *client = (struct session_client){.fd = fd, .in = in};
}

void session_expect(struct session_client *client, uint16_t type, uint64_t id)
{
    if (client->owed_count == SESSION_OWED_MAX) {
        client->loose = true;
        return;
    }
    client->owed[client->owed_count++] = (struct session_owed){.type = type, .id = id};
}

/* Reads without a reply that were asked before this. */
static unsigned reads_before(const struct session_client *client, uint64_t id)
{
    unsigned count = 0;
    unsigned i;

    for (i = 0; i < client->owed_count; i++) {
        count += client->owed[i].type == MESSAGE_READ && client->owed[i].id < id;
    }
    return count;
}

bool session_owed(const struct session_client *client)
{
    unsigned i;

    if (client->fd < 0 || client->ended || client->loose) {
        return false;
    }
    for (i = 0; i < client->owed_count; i++) {
        if (client->owed[i].type != MESSAGE_READ &&
            reads_before(client, client->owed[i].id) <= SESSION_WAITS_MAX) {
            return true;
        }
    }
    return false;
}

/* ---- samples ---- */

static const struct message_topic sample_topic = {.name = {.data = "t", .size = 1}};
static const struct message_name sample_cursor = {.data = "c", .size = 1};

static void fill_sample(struct message *message, unsigned variant)
{
    const struct message_position position = {.kind = (uint16_t)(1 + variant % 4),
                                              .value = variant / 4 % 8};

    switch (message->type) {
    case MESSAGE_READ:
        message->u.read = (struct message_read){
            .topic = sample_topic,
            .position = position,
            .max_bytes = 1000,
            .max_entries = 1 + variant / 32 % 4,
            .wait_ms = variant / 128 % 2 * (variant / 2048 % 2 == 0 ? 5 : 60000),
            .held = MESSAGE_HELD_NONE,
        };
        if (variant / 256 % 2 == 1) {
            message->u.read.position = (struct message_position){.kind = POSITION_CURSOR};
            message->u.read.cursor = sample_cursor;
            message->u.read.flags = variant / 512 % 2 == 1 ? READ_CONSUME : 0;
        }
        if (variant / 4096 % 2 == 1) {
            message->u.read.flags |= READ_UNCHECKED | READ_MAPPED;
        }
        break;
    case MESSAGE_RELEASE:
        message->u.release =
            (struct message_release){.count = (uint16_t)(1 + variant % 3),
                                     .leases = {variant / 4 % 4, variant / 16 % 64, variant}};
        break;
    case MESSAGE_CHECKPOINT:
        message->u.checkpoint = (struct message_checkpoint){
            .topic = sample_topic, .cursor = sample_cursor, .offset = variant % 8};
        break;
    case MESSAGE_SEEK:
    case MESSAGE_CURSOR_CREATE:
        message->u.cursor_position = (struct message_cursor_position){
            .topic = sample_topic, .cursor = sample_cursor, .position = position};
        break;
    case MESSAGE_TOPIC_TRIM:
        message->u.topic_trim =
            (struct message_topic_trim){.topic = sample_topic, .offset = variant % 8};
        break;
    case MESSAGE_TOPIC_DELETE:
        message->u.topic = sample_topic;
        break;
    default:
        break;
    }
}

size_t session_sample(uint8_t *out, uint16_t type, unsigned variant)
{
    struct message message = {.type = type};
    size_t size;

    fill_sample(&message, variant);
    size = message_encode(out + 5, &message);
    out[0] = (uint8_t)(variant / 1024 % 2 * 8);
    put_u16(out + 1, type);
    put_u16(out + 3, (uint16_t)size);
    return 5 + size;
}
