#include "tests/support/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define INPUT_SIZE_MIN (64u * 1024u)

static _Noreturn void give_up(const char *what)
{
    (void)fprintf(stderr, "wire: %s\n", what);
    abort();
}

void wire_need(bool good, const char *what)
{
    if (!good) {
        give_up(what);
    }
}

/* ---- sockets ---- */

static bool connect_to(struct wire *wire, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    *wire = (struct wire){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), .next_id = 1};
    wire_need(wire->fd >= 0, "no socket");
    wire->input = malloc(INPUT_SIZE_MIN);
    wire->input_size = INPUT_SIZE_MIN;
    wire_need(wire->input != NULL, "no memory");
    wire_need(strlen(path) < sizeof address.sun_path, "the socket's path is too long");
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

int wire_hello(struct wire *wire, const char *space)
{
    const struct message hello = {
        .type = MESSAGE_HELLO,
        .u.hello = {.version_min = 1,
                    .version_max = 1,
                    .space = wire_name(space),
                    .client = wire_name("test")},
    };
    struct wire_reply reply;

    if (wire_send(wire, &hello) == 0 || !wire_receive(wire, &reply)) {
        return TUSK_ECLOSED;
    }
    if (reply.status != 0) {
        return reply.status;
    }
    wire_need(message_hello_reply_decode(&wire->hello, reply.body, reply.size) == 0,
              "the reply to HELLO does not decode");
    wire->hello.server = (struct message_name){0};
    return 0;
}

bool wire_try_open(struct wire *wire, const char *socket_path, const char *space)
{
    if (!connect_to(wire, socket_path)) {
        return false;
    }
    if (space != NULL && wire_hello(wire, space) != 0) {
        wire_close(wire);
        return false;
    }
    return true;
}

void wire_open(struct wire *wire, const char *socket_path, const char *space)
{
    wire_need(wire_try_open(wire, socket_path, space), "cannot connect");
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
        wire_need(wire->input != NULL, "no memory");
    }
    for (;;) {
        struct pollfd wait = {.fd = wire->fd, .events = POLLIN};

        wire_need(poll(&wait, 1, WIRE_WAIT_MS) > 0, "no reply in time");
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

    wire_need(bytes != NULL, "no memory");
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
    wire_need(wire_send_bytes(wire, header, sizeof header), "cannot send");
    wire_need(wire_send_bytes(wire, body, body_size), "cannot send");
}

bool wire_receive(struct wire *wire, struct wire_reply *reply)
{
    struct frame frame = {0};

    for (;;) {
        const size_t there = wire->input_end - wire->input_begin;
        const enum frame_result result =
            there == 0 ? FRAME_PARTIAL
                       : frame_parse(&frame, wire->input + wire->input_begin, there, UINT32_MAX);

        wire_need(result != FRAME_BAD, "the daemon sent a bad frame");
        if (result == FRAME_READY) {
            break;
        }
        if (!fill(wire, frame.size > INPUT_SIZE_MIN ? frame.size : INPUT_SIZE_MIN)) {
            wire_need(there == 0, "the daemon closed in the middle of a frame");
            return false;
        }
    }
    wire_need((frame.type & FRAME_REPLY) != 0, "the daemon sent a request");
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

    wire_need(id != 0, "the daemon has closed the connection");
    wire_need(wire_receive(wire, reply), "the daemon closed instead of replying");
    wire_need(reply->id == id, "a reply to something else");
    wire_need(reply->type == message->type, "a reply of another type");
    if (reply->status != 0) {
        wire_need(message_error_decode(&error, reply->body, reply->size) == 0,
                  "the body of an error does not decode");
        wire_need(error.text.size > 0, "an error without a sentence");
    }
    return reply->status;
}
