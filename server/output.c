/* The output of a connection: a chain of buffers, filled during a turn, sent at its end.
 *
 * One send carries up to OUTPUT_VECTORS_MAX buffers. What the socket does not take is given to
 * uv_write(); while that is under way its buffers stay where they are, and output goes behind them.
 * The deadline of a slow client runs while something is unsent, and starts again with every byte
 * taken.
 *
 * A *range* in the chain is a part of a block, whose bytes the kernel sends from its page cache
 * (engine_range_send). When the socket is full, a few of its bytes are copied into a buffer before
 * it, and wait in uv_write() as any others do: libuv tells when the socket takes more. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/options.h"
#include "core/check.h"
#include "core/engine.h"
#include "server/connection.h"
#include "server/pool.h"
#include "server/server.h"
#include "server/sweep.h"
#include "server/users.h"

/* What is copied of a range at once: when the socket is full, and when it cannot be sent. */
#define PIECE_SIZE 4096u
#define COPY_SIZE OUTPUT_NEXT_SIZE
/* Looks for bytes that have left memory, each a few milliseconds behind the one before it. */
#define TRIES_MAX 1000u

/* The struct lies in bytes[], which are aligned for it. */
static struct engine_range *range_of(struct buffer *buffer)
{
    CHECK(buffer->is_range);
    return (struct engine_range *)(void *)buffer->bytes;
}

static void release_range(struct server *server, struct buffer *buffer)
{
    if (range_of(buffer)->segment != NULL) {
        engine_range_release(range_of(buffer));
        server_want_turn(server); /* Space may be waiting for the block */
    }
}

static void free_buffer(struct server *server, struct buffer *buffer)
{
    if (buffer->attached >= 0) {
        (void)close(buffer->attached); /* Read-only */
    }
    if (buffer->is_range) {
        release_range(server, buffer);
    }
    pool_put(&server->pool, buffer);
}

void output_mark(struct connection *connection)
{
    struct server *server = connection->server;

    if (!connection->in_dirty && !connection->closing) {
        connection->in_dirty = true;
        connection->dirty_next = server->dirty;
        server->dirty = connection;
    }
}

void output_append(struct connection *connection, struct buffer *buffer)
{
    CHECK(buffer->begin < buffer->end);
    if (connection->closing || connection->output_failed != NULL) {
        free_buffer(connection->server, buffer);
        return;
    }
    buffer->next = NULL;
    if (connection->output_last != NULL) {
        connection->output_last->next = buffer;
    } else {
        connection->output = buffer;
    }
    connection->output_last = buffer;
    connection->output_bytes += buffer->end - buffer->begin;
    users_add_bytes(connection, buffer->end - buffer->begin);
    output_mark(connection);
}

static uv_os_fd_t socket_of(const struct connection *connection)
{
    uv_os_fd_t fd = -1;
    const int rc = uv_fileno((const uv_handle_t *)&connection->pipe, &fd);

    CHECK(rc == 0);
    return fd;
}

bool output_append_range(struct connection *connection, const struct engine_range *range)
{
    struct buffer *buffer =
        pool_get(&connection->server->pool, sizeof *range, connection_privileged(connection));

    CHECK(range->segment != NULL);
    if (buffer == NULL) {
        connection->output_failed = "no memory for a reply (total_bytes_max)";
        output_mark(connection);
        return false;
    }
    if (!connection->sends_ranges) {
        const int size = RANGE_SEND_BUFFER;

        connection->sends_ranges = true;
        /* The kernel may give less (net.core.wmem_max): then it takes more calls. */
        (void)setsockopt(socket_of(connection), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    }
    buffer->is_range = true;
    *range_of(buffer) = *range;
    buffer->end = range->size;
    output_append(connection, buffer);
    return true;
}

bool output_has_ranges(const struct connection *connection)
{
    const struct buffer *at = connection->output;

    while (at != NULL && !at->is_range) {
        at = at->next;
    }
    return at != NULL;
}

void output_release_ranges(struct connection *connection)
{
    struct buffer *at;

    CHECK(connection->closing || connection->deaf);
    for (at = connection->output; at != NULL; at = at->next) {
        if (at->is_range) {
            release_range(connection->server, at);
        }
    }
}

uint8_t *output_reserve(struct connection *connection, uint32_t size)
{
    struct buffer *last = connection->output_last;
    size_t wanted = connection->output == NULL ? OUTPUT_FIRST_SIZE : OUTPUT_NEXT_SIZE;
    uint8_t *bytes;

    if (connection->output_failed != NULL || connection->closing) {
        return NULL;
    }
    if (last != NULL && !last->is_range && last->size - last->end >= size) {
        bytes = last->bytes + last->end;
        last->end += size;
        connection->output_bytes += size;
        users_add_bytes(connection, size);
        output_mark(connection);
        return bytes;
    }
    /* The pool's header is part of its power of two. */
    wanted -= sizeof(struct buffer);
    last = pool_get(&connection->server->pool, size > wanted ? size : wanted,
                    connection_privileged(connection));
    if (last == NULL) {
        /* Not closed here: this may be inside engine_poll(), where no read may be cancelled. */
        connection->output_failed = "no memory for a reply (total_bytes_max)";
        output_mark(connection);
        return NULL;
    }
    last->end = size;
    output_append(connection, last);
    return last->bytes;
}

/* Take `size` sent bytes off the chain. Buffers that are empty go, the last one included. */
static void consume(struct connection *connection, size_t size)
{
    struct server *server = connection->server;

    CHECK(size <= connection->output_bytes);
    connection->output_bytes -= size;
    users_take_bytes(connection, size);
    server->counters.bytes_sent += size;
    while (connection->output != NULL) {
        struct buffer *first = connection->output;
        const uint32_t there = first->end - first->begin;

        if (size < there) {
            first->begin += (uint32_t)size;
            break;
        }
        size -= there;
        connection->output = first->next;
        if (connection->output == NULL) {
            connection->output_last = NULL;
        }
        free_buffer(server, first);
    }
    connection->output_tries = 0;
    connection->output_deadline = 0;
    if (connection->output_bytes > 0) {
        connection->output_deadline = uv_now(&server->loop) + server->options->output_timeout;
    }
}

/* Up to the first range, or descriptor. */
static unsigned gather(const struct connection *connection, uv_buf_t *vectors)
{
    struct buffer *at = connection->output;
    unsigned count = 0;

    for (; at != NULL && !at->is_range && at->attached < 0 && count < OUTPUT_VECTORS_MAX;
         at = at->next) {
        vectors[count++] = uv_buf_init((char *)at->bytes + at->begin, at->end - at->begin);
    }
    return count;
}

/* result: a negative errno, as libuv's. Whether a client that is gone read what was sent before is
 * its business. */
static void send_failed(struct connection *connection, int result)
{
    if (result == UV_EPIPE || result == UV_ECONNRESET) {
        connection_deafen(connection);
    } else {
        connection_close(connection, uv_strerror(result));
    }
}

static void on_written(uv_write_t *write, int status)
{
    struct connection *connection = write->data;
    struct buffer *at = connection->output;
    size_t size = 0;
    unsigned i;

    /* The last of these buffers may have grown since: only what was handed over is gone. */
    for (i = 0; i < connection->writing; i++, at = at->next) {
        size += i + 1 == connection->writing ? connection->writing_last_size : at->end - at->begin;
    }
    connection->writing = 0;
    if (connection->closing) {
        return; /* The chain is dropped when the handle has closed */
    }
    if (status != 0) {
        send_failed(connection, status);
        return;
    }
    consume(connection, size);
    output_flush(connection);
    connection_settle(connection);
}

static void begin_deadline(struct connection *connection)
{
    if (connection->output_deadline == 0) {
        connection->output_deadline =
            uv_now(&connection->server->loop) + connection->server->options->output_timeout;
    }
}

static void write_rest(struct connection *connection)
{
    uv_buf_t vectors[OUTPUT_VECTORS_MAX];
    const unsigned count = gather(connection, vectors);
    int rc;

    connection->write.data = connection;
    rc = uv_write(&connection->write, (uv_stream_t *)&connection->pipe, vectors, count, on_written);
    if (rc != 0) {
        connection_close(connection, uv_strerror(rc));
        return;
    }
    connection->writing = count;
    connection->writing_last_size = (uint32_t)vectors[count - 1].len;
    begin_deadline(connection);
}

/* Nothing tells when to go on: try again soon. */
static void look_later(struct connection *connection)
{
    connection->output_later = true;
    begin_deadline(connection);
    sweep_soon(connection->server);
}

/* Copy the next bytes of the range at the front into a buffer of their own before it. False: not
 * now, or the connection closes. */
static bool split_range(struct connection *connection, uint32_t size)
{
    struct server *server = connection->server;
    struct buffer *range = connection->output;
    struct buffer *piece;
    size_t got = 0;
    int rc;

    size = size < range->end - range->begin ? size : range->end - range->begin;
    piece = pool_get(&server->pool, size, connection_privileged(connection));
    if (piece == NULL) {
        connection_close(connection, "no memory for a reply (total_bytes_max)");
        return false;
    }
    rc = engine_range_read(range_of(range), range->begin, piece->bytes, size, &got);
    if (rc == 0 && got > 0) {
        piece->end = (uint32_t)got;
        piece->next = range;
        range->begin += (uint32_t)got;
        connection->output = piece;
        return true;
    }
    pool_put(&server->pool, piece);
    if (rc != TUSK_EBUSY || connection->output_tries == TRIES_MAX) {
        connection_close(connection, "what is being sent cannot be read from the disk any more");
    } else {
        connection->output_tries++;
        look_later(connection);
    }
    return false;
}

/* Send of the range at the front. False: nothing more can be sent now. */
static bool send_range(struct connection *connection)
{
    struct buffer *range = connection->output;
    size_t sent = 0;
    int rc;

    if (range->begin == range->end) { /* All of it was copied */
        connection->output = range->next;
        if (connection->output == NULL) {
            connection->output_last = NULL;
        }
        free_buffer(connection->server, range);
        return true;
    }
    rc = engine_range_send(range_of(range), range->begin, socket_of(connection), &sent);
    if (rc == 0) {
        connection->server->counters.bytes_sent_from_cache += sent;
        consume(connection, sent);
        return true;
    }
    if (rc == TUSK_EUNREACHABLE) {
        connection_deafen(connection);
        return false;
    }
    return split_range(connection, rc == TUSK_EBUSY ? PIECE_SIZE : COPY_SIZE);
}

/* Send the buffer at the front with its descriptor. libuv sends only descriptors of its own kind,
 * so a full socket is looked at again a few milliseconds later. */
static bool send_attached(struct connection *connection)
{
    struct buffer *first = connection->output;
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {.bytes = {0}};
    struct iovec bytes = {.iov_base = first->bytes + first->begin,
                          .iov_len = first->end - first->begin};
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    ssize_t sent;

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &first->attached, sizeof(int));
    do {
        sent = sendmsg(socket_of(connection), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent > 0) {
        (void)close(first->attached); /* Read-only, and the client has it */
        first->attached = -1;
        consume(connection, (size_t)sent);
        return true;
    }
    if (sent < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ETOOMANYREFS) {
        send_failed(connection, -errno);
        return false;
    }
    look_later(connection); /* It has as long as for any other reply */
    return false;
}

static bool send_buffers(struct connection *connection)
{
    uv_buf_t vectors[OUTPUT_VECTORS_MAX];
    const unsigned count = gather(connection, vectors);
    const int sent = uv_try_write((uv_stream_t *)&connection->pipe, vectors, count);

    if (sent == UV_EAGAIN) {
        write_rest(connection);
        return false;
    }
    if (sent < 0) {
        send_failed(connection, sent);
        return false;
    }
    consume(connection, (size_t)sent);
    return true;
}

void output_flush(struct connection *connection)
{
    connection->output_later = false;
    if (connection->deaf) {
        output_release_ranges(connection);
        output_drop(connection);
        return;
    }
    while (connection->output != NULL && connection->writing == 0 && !connection->closing) {
        const struct buffer *first = connection->output;
        const bool go_on = first->is_range        ? send_range(connection)
                           : first->attached >= 0 ? send_attached(connection)
                                                  : send_buffers(connection);

        if (!go_on) {
            return;
        }
    }
}

void output_drop(struct connection *connection)
{
    CHECK(connection->writing == 0);
    while (connection->output != NULL) {
        struct buffer *first = connection->output;

        connection->output = first->next;
        free_buffer(connection->server, first);
    }
    connection->output_last = NULL;
    users_take_bytes(connection, connection->output_bytes);
    connection->output_bytes = 0;
}
