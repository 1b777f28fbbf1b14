#include "server/connection.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/options.h"
#include "core/check.h"
#include "proto/frame.h"
#include "proto/status.h"
#include "server/dispatch.h"
#include "server/input.h"
#include "server/lease.h"
#include "server/log.h"
#include "server/pool.h"
#include "server/server.h"
#include "server/users.h"

static uint64_t deadline(const struct connection *connection, uint64_t timeout_ms)
{
    return uv_now(&connection->server->loop) + timeout_ms;
}

/* ---- closing ---- */

static void on_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    struct server *server = connection->server;

    output_drop(connection);
    input_drop(connection);
    free(connection);
    server->connection_count--;
    server_want_turn(server); /* A stop waits for the last one */
    listener_resume(&server->listener);
}

/* It is paused no longer: how long it was is counted. */
static void end_pause(struct connection *connection)
{
    struct server *server = connection->server;

    server->counters.paused_ms += uv_now(&server->loop) - connection->paused_since;
}

static void unlink_from_server(struct connection *connection)
{
    struct server *server = connection->server;
    struct connection **at;

    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        server->connections = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    for (at = &server->dirty; connection->in_dirty && *at != NULL; at = &(*at)->dirty_next) {
        if (*at == connection) {
            *at = connection->dirty_next;
            break;
        }
    }
    for (at = &server->paused; connection->in_paused && *at != NULL; at = &(*at)->paused_next) {
        if (*at == connection) {
            *at = connection->paused_next;
            break;
        }
    }
    if (connection->in_paused) {
        end_pause(connection);
    }
    connection->in_dirty = false;
    connection->in_paused = false;
}

void connection_close(struct connection *connection, const char *reason)
{
    if (connection->closing) {
        return;
    }
    connection->closing = true;
    if (reason != NULL) {
        connection->server->counters.connections_cut++;
        log_warning("connection", "closed \"%s\" (process %ld, user %lu): %s", connection->client,
                    (long)connection->pid, (unsigned long)connection->uid, reason);
    }
    output_release_ranges(connection);
    lease_leave(connection);
    dispatch_leave(connection);
    users_take_bytes(connection, connection->output_bytes);
    users_leave(connection);
    unlink_from_server(connection);
    /* Cancels a write under way, so that its buffers are free when on_closed() runs. */
    uv_close((uv_handle_t *)&connection->pipe, on_closed);
}

static void stop_reading(struct connection *connection)
{
    if (connection->reading) {
        connection->reading = false;
        (void)uv_read_stop((uv_stream_t *)&connection->pipe); /* Always succeeds */
    }
}

static void pause_again(struct connection *connection)
{
    struct server *server = connection->server;

    if (!connection->in_paused) {
        connection->in_paused = true;
        connection->paused_since = uv_now(&server->loop);
        connection->paused_next = server->paused;
        server->paused = connection;
    }
}

void connection_finish(struct connection *connection)
{
    connection->finishing = true;
    connection->hello_deadline = 0;
    connection->frame_deadline = 0;
    stop_reading(connection);
    input_drop(connection);
    dispatch_cancel_waits(connection);
    connection_settle(connection);
}

void connection_deafen(struct connection *connection)
{
    if (connection->finishing || !lease_any(connection)) {
        connection_close(connection, NULL);
        return;
    }
    connection->deaf = true;
    output_release_ranges(connection);
    output_drop(connection);
    connection->output_deadline = deadline(connection, connection->server->options->output_timeout);
    pause_again(connection); /* Limits that it waited for do not matter any more */
    server_want_turn(connection->server);
}

void connection_settle(struct connection *connection)
{
    output_mark(connection);
}

bool connection_done(const struct connection *connection)
{
    return connection->finishing && connection->requests_count == 0 && connection->output == NULL;
}

/* ---- taking frames ---- */

/* Whether a limit says that no more may be taken now. */
static bool limited(const struct connection *connection)
{
    const struct server *server = connection->server;
    const struct options *options = server->options;

    if (connection->deaf) {
        return false; /* Little is done for it, and nothing sent */
    }
    if (connection->requests_count >= options->requests_max ||
        connection->requests_bytes >= options->request_bytes_max ||
        connection->output_bytes + connection->replies_bytes >= options->output_bytes_max ||
        users_bytes_used_up(connection)) {
        return true;
    }
    /* When memory is short, whoever has something under way waits for that to end. */
    return pool_short(&server->pool) &&
           (connection->requests_count > 0 || connection->output != NULL);
}

static void pause_input(struct connection *connection)
{
    stop_reading(connection);
    connection->frame_deadline = 0;
    connection->server->counters.pauses += connection->in_paused ? 0 : 1;
    pause_again(connection);
}

/* A frame that cannot be skipped: say so, and take nothing more. */
static void refuse_frame(struct connection *connection, const struct frame *frame)
{
    const struct reply_to to = {.type = frame->type, .id = frame->id};

    reply_error(connection, to, TUSK_EPROTOCOL, 0, 0,
                (frame->type & FRAME_REPLY) != 0 ? "a request with the bit of a reply"
                                                 : "the size of the frame is out of bounds");
    log_warning("connection", "\"%s\" (process %ld) sent a bad frame: size %u, type %u",
                connection->client, (long)connection->pid, frame->size, frame->type);
    connection->server->counters.connections_cut++;
    connection_finish(connection);
}

/* Half a frame is there: its deadline runs from now, unless it does already. */
static void await_rest(struct connection *connection, uint32_t frame_size)
{
    if (connection->frame_deadline == 0) {
        connection->frame_deadline =
            deadline(connection, connection->server->options->frame_timeout);
    }
    connection->input_wanted = frame_size;
}

/* Take what can be taken from the input. True if any frame was. */
static bool take_frames(struct connection *connection)
{
    bool taken = false;

    connection->input_wanted = 0;
    while (connection->input != NULL && !connection->finishing && !connection->closing) {
        struct buffer *input = connection->input;
        const uint8_t *bytes = input->bytes + input->begin;
        struct frame frame;
        enum frame_result result;

        result = frame_parse(&frame, bytes, input->end - input->begin, connection->frame_size_max);
        if (result == FRAME_PARTIAL) {
            await_rest(connection, frame.size);
            break;
        }
        if (result == FRAME_BAD || (frame.type & FRAME_REPLY) != 0) {
            refuse_frame(connection, &frame);
            return true;
        }
        if (limited(connection) ||
            dispatch_frame(connection, &frame, bytes + FRAME_HEADER_SIZE) == DISPATCH_LATER) {
            pause_input(connection);
            break;
        }
        taken = true;
        connection->frame_deadline = 0;
        connection->server->counters.requests++;
        if (connection->input != NULL) {
            input_consume(connection, frame.size);
        }
    }
    return taken;
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct connection *connection = handle->data;
    size_t size;
    uint8_t *room = input_room(connection, &size);

    (void)suggested;
    *out = uv_buf_init((char *)room, (unsigned)size);
}

static void on_end(struct connection *connection, ssize_t result)
{
    if (result == UV_ENOBUFS) {
        /* Memory is out: it comes back when others have finished. The half frame's deadline goes
         * on, because it may be what holds the memory. */
        const uint64_t running = connection->frame_deadline;

        input_settle(connection);
        pause_input(connection);
        connection->starved = true;
        connection->frame_deadline = running;
        return;
    }
    if (connection->deaf) {
        connection_close(connection, NULL);
        return;
    }
    if (result != UV_EOF) {
        connection_close(connection, result == UV_ECONNRESET ? NULL : uv_strerror((int)result));
        return;
    }
    /* The client sends nothing more, but may be waiting for replies. */
    connection_finish(connection);
}

static void on_read(uv_stream_t *stream, ssize_t result, const uv_buf_t *buf)
{
    struct connection *connection = stream->data;

    (void)buf;
    if (result < 0) {
        on_end(connection, result);
        return;
    }
    if (result == 0) {
        input_settle(connection);
        return;
    }
    connection->idle_since = uv_now(&connection->server->loop);
    connection->server->counters.bytes_received += (uint64_t)result;
    input_received(connection, (size_t)result);
    if (take_frames(connection)) {
        spin_came(&connection->server->spin, connection);
    }
    if (!connection->closing) {
        input_settle(connection);
    }
}

static void start_reading(struct connection *connection)
{
    int rc;

    if (connection->reading || connection->finishing || connection->closing) {
        return;
    }
    rc = uv_read_start((uv_stream_t *)&connection->pipe, on_alloc, on_read);
    if (rc != 0) {
        connection_close(connection, uv_strerror(rc));
        return;
    }
    connection->reading = true;
}

bool connection_resume(struct connection *connection)
{
    bool taken;

    CHECK(!connection->closing);
    end_pause(connection);
    if (connection->starved && pool_short(&connection->server->pool)) {
        /* Asking the socket now would only fail again, and again. */
        pause_again(connection);
        return false;
    }
    connection->starved = false;
    taken = take_frames(connection);
    if (connection->closing) {
        return taken;
    }
    input_settle(connection);
    if (!connection->in_paused) {
        start_reading(connection);
    }
    return taken;
}

/* ---- deadlines ---- */

/* What libuv still has to send shrinks while a slow client takes its bytes: then it is not stuck.
 */
static void check_progress(struct connection *connection)
{
    const size_t left = uv_stream_get_write_queue_size((uv_stream_t *)&connection->pipe);

    if (left != connection->output_seen) {
        connection->output_seen = left;
        connection->output_deadline =
            deadline(connection, connection->server->options->output_timeout);
    }
}

void connection_sweep(struct connection *connection, uint64_t now_ms)
{
    const uint64_t idle_timeout = connection->server->options->idle_timeout;

    if (connection->writing > 0) {
        check_progress(connection);
    }
    if (connection->output_later) {
        output_mark(connection);
        server_want_turn(connection->server);
    }
    if (connection->hello_deadline != 0 && now_ms >= connection->hello_deadline) {
        connection_close(connection, "it did not say HELLO in time (hello_timeout)");
    } else if (connection->frame_deadline != 0 && now_ms >= connection->frame_deadline) {
        connection_close(connection, "half a request, and not the rest in time (frame_timeout)");
    } else if (connection->output_deadline != 0 && now_ms >= connection->output_deadline) {
        connection_close(connection, "it does not take its replies (output_timeout)");
    } else if (idle_timeout != 0 && connection->requests_count == 0 && connection->output == NULL &&
               !connection->in_paused && /* What it sent waits for room */
               !connection->snapshot &&  /* It copies files */
               now_ms >= connection->idle_since + idle_timeout) {
        connection_close(connection, "idle (idle_timeout)");
    }
}

/* ---- accepting ---- */

/* Who is at the other end, as the kernel noted it at connect(). What they may do is looked up when
 * they say HELLO. */
static void identify(struct connection *connection, int fd)
{
    struct ucred peer = {.uid = (uid_t)-1, .gid = (gid_t)-1};
    socklen_t size = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        peer.uid = (uid_t)-1; /* Matches nobody */
    }
    connection->uid = peer.uid;
    connection->pid = peer.pid;
}

static void link_to_server(struct connection *connection)
{
    struct server *server = connection->server;

    connection->next = server->connections;
    if (connection->next != NULL) {
        connection->next->previous = connection;
    }
    server->connections = connection;
    server->connection_count++;
    server->counters.connections_taken++;
}

bool connection_accept(struct server *server, int fd)
{
    struct connection *connection = calloc(1, sizeof *connection);
    int rc;

    if (connection == NULL) {
        (void)close(fd); /* Nothing was written to it */
        return false;
    }
    connection->server = server;
    connection->frame_size_max = FRAME_SIZE_BEFORE_HELLO;
    identify(connection, fd);
    rc = uv_pipe_init(&server->loop, &connection->pipe, 0);
    CHECK(rc == 0);
    connection->pipe.data = connection;
    link_to_server(connection);
    rc = uv_pipe_open(&connection->pipe, fd);
    if (rc != 0) {
        (void)close(fd); /* Nothing was written to it */
        connection_close(connection, uv_strerror(rc));
        return false;
    }
    if (users_enter(connection) == USERS_CLOSE) {
        connection_close(connection, NULL); /* The log knows why */
        return true;
    }
    connection->idle_since = uv_now(&server->loop);
    connection->hello_deadline = deadline(connection, server->options->hello_timeout);
    start_reading(connection);
    return true;
}
