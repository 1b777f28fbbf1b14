/* The output of a connection: a chain of buffers, filled during a turn, sent at its end.
 *
 * One send carries up to OUTPUT_VECTORS_MAX buffers. What the socket does not take is given to
 * uv_write(); while that is under way its buffers stay where they are, and output goes behind them.
 * The deadline of a slow client runs while something is unsent, and starts again with every byte
 * taken. */
#include <string.h>

#include "config/options.h"
#include "core/check.h"
#include "server/connection.h"
#include "server/pool.h"
#include "server/server.h"

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
        pool_put(&connection->server->pool, buffer);
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
    output_mark(connection);
}

uint8_t *output_reserve(struct connection *connection, uint32_t size)
{
    struct buffer *last = connection->output_last;
    size_t wanted = connection->output == NULL ? OUTPUT_FIRST_SIZE : OUTPUT_NEXT_SIZE;
    uint8_t *bytes;

    if (connection->output_failed != NULL || connection->closing) {
        return NULL;
    }
    if (last != NULL && last->size - last->end >= size) {
        bytes = last->bytes + last->end;
        last->end += size;
        connection->output_bytes += size;
        output_mark(connection);
        return bytes;
    }
    /* The pool's header is part of its power of two. */
    wanted -= sizeof(struct buffer);
    last = pool_get(&connection->server->pool, size > wanted ? size : wanted);
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
        pool_put(&server->pool, first);
    }
    connection->output_deadline = 0;
    if (connection->output_bytes > 0) {
        connection->output_deadline = uv_now(&server->loop) + server->options->output_timeout;
    }
}

static unsigned gather(const struct connection *connection, uv_buf_t *vectors)
{
    struct buffer *at = connection->output;
    unsigned count = 0;

    for (; at != NULL && count < OUTPUT_VECTORS_MAX; at = at->next) {
        vectors[count++] = uv_buf_init((char *)at->bytes + at->begin, at->end - at->begin);
    }
    return count;
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
        connection_close(connection, uv_strerror(status));
        return;
    }
    consume(connection, size);
    output_flush(connection);
    connection_settle(connection);
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
    if (connection->output_deadline == 0) {
        connection->output_deadline =
            uv_now(&connection->server->loop) + connection->server->options->output_timeout;
    }
}

void output_flush(struct connection *connection)
{
    uv_buf_t vectors[OUTPUT_VECTORS_MAX];

    while (connection->output != NULL && connection->writing == 0 && !connection->closing) {
        const unsigned count = gather(connection, vectors);
        const int sent = uv_try_write((uv_stream_t *)&connection->pipe, vectors, count);

        if (sent == UV_EAGAIN) {
            write_rest(connection);
            return;
        }
        if (sent < 0) {
            /* The client is gone; whether it will read what was sent before is its business. */
            connection_close(connection,
                             sent == UV_EPIPE || sent == UV_ECONNRESET ? NULL : uv_strerror(sent));
            return;
        }
        consume(connection, (size_t)sent);
    }
}

void output_drop(struct connection *connection)
{
    CHECK(connection->writing == 0);
    while (connection->output != NULL) {
        struct buffer *first = connection->output;

        connection->output = first->next;
        pool_put(&connection->server->pool, first);
    }
    connection->output_last = NULL;
    connection->output_bytes = 0;
}
