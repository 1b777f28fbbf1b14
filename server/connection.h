/* One client's connection: bytes in, frames to dispatch.c, replies out.
 *
 *     accepted ---> HELLO ---> serving ---> finishing (replies still leave) ---> closed
 *         \-- a deadline, a breach of protocol, an error of the socket ------------^
 *
 * A client that went while replies were owed to it is *deaf*: they are dropped. As long as it has
 * leases, what it sent before it went is still read: its last words may give them back.
 *
 * Back-pressure: while a limit is reached (requests or bytes in flight, output not taken, memory,
 * a congested namespace) the connection is *paused*: not read from, and what was read already stays
 * in its input. At the end of each turn it is asked again.
 *
 * Deadlines: HELLO; a frame that is half here (from its first byte, so that one byte a second
 * does not help); output that is not taken; idleness, if asked for.
 *
 * A connection that closes leaves its requests with the engine: they finish, and their replies
 * are dropped. Its waiting reads are cancelled.
 *
 * connection.c is its life and its input, output.c its output, reply.c what replies look like. */
#ifndef SERVER_CONNECTION_H
#define SERVER_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "server/limits.h"

struct buffer;
struct engine_range;
struct leases;
struct namespace;
struct request;
struct server;
struct user;

struct connection {
    uv_pipe_t pipe;
    uv_write_t write; /* In use while `writing` */
    struct server *server;
    struct connection *next;
    struct connection *previous;
    struct connection *dirty_next;
    struct connection *paused_next;
    bool in_dirty;
    bool in_paused;
    uint64_t paused_since; /* While in_paused: in the loop's milliseconds */

    uid_t uid;         /* Of the peer, when it connected */
    struct user *user; /* Borrowed, counted (users.h); NULL: privileged, or turned away */
    bool turned_away;  /* It may not be here, and is told so at its HELLO */
    pid_t pid;
    uint32_t rights;               /* On its namespace: bits of enum access_right */
    char client[CLIENT_NAME_SIZE]; /* What it calls itself, cut */

    bool greeted;         /* HELLO has been answered with success */
    bool starved;         /* Paused because there was no memory to read into */
    bool reading;         /* uv_read_start() is in force */
    bool deaf;            /* It takes no replies any more; only RELEASE is still done for it */
    bool finishing;       /* Close when nothing is in flight and the output is gone */
    bool closing;         /* uv_close() has been called */
    struct namespace *ns; /* Borrowed, counted by engine_namespace_use(); NULL: none */
    bool snapshot;        /* It holds the namespace's files still */
    uint32_t frame_size_max;
    uint64_t features; /* Granted */

    struct buffer *input;  /* Owned; bytes received and not yet taken. NULL: none (input.h) */
    uint32_t input_wanted; /* Size of the frame whose beginning is there; 0: not known */

    struct request *requests; /* In flight, doubly linked */
    uint32_t requests_count;
    uint64_t requests_bytes; /* What they cost, see REQUEST_COST */
    uint64_t replies_bytes;  /* Output that reads in flight may need */

    struct leases *leases; /* Owned (lease.c); NULL: it has mapped nothing yet */

    struct buffer *output; /* Owned chain, oldest first */
    struct buffer *output_last;
    uint64_t output_bytes;      /* Not yet sent, of the whole chain */
    const char *output_failed;  /* Why no more can be added; closed at the end of the turn */
    size_t output_seen;         /* What was left of `write` when last looked at */
    bool sends_ranges;          /* The socket has the buffer for it */
    bool output_later;          /* Nothing tells when it can go on: the sweep tries again */
    unsigned output_tries;      /* In a row */
    unsigned writing;           /* Buffers that `write` is sending; 0: it is not in use */
    uint32_t writing_last_size; /* Of the last of them; it may have grown since */

    /* Deadlines in the loop's milliseconds; 0: not running. */
    uint64_t hello_deadline;
    uint64_t frame_deadline;
    uint64_t output_deadline;
    uint64_t idle_since;
};

/* Take over a connected socket. fd is moved. False: it was closed, for want of memory. */
bool connection_accept(struct server *server, int fd);
/* Take no more input; close when everything owed has been sent. */
void connection_finish(struct connection *connection);
/* Close now. reason goes to the log; NULL: the client went by itself. */
void connection_close(struct connection *connection, const char *reason);
/* Nothing can be sent any more, because the client went: read what it gives back, and close. */
void connection_deafen(struct connection *connection);
/* At the end of a turn: take on waiting input if limits allow. True if something was dispatched. */
bool connection_resume(struct connection *connection);
/* Something was sent, answered or dropped: at the end of the turn, look whether a finishing
 * connection may close. */
void connection_settle(struct connection *connection);
/* Whether a finishing connection has nothing left to do. */
bool connection_done(const struct connection *connection);
/* Close a connection whose deadline has passed. */
void connection_sweep(struct connection *connection, uint64_t now_ms);

/* Whether the last of the memory is there for it. */
static inline bool connection_privileged(const struct connection *connection)
{
    return connection->user == NULL && !connection->turned_away;
}

/* ---- output.c ---- */

/* Room for size more bytes of output, to be filled before the next call. NULL: memory is out, and
 * the connection closes at the end of the turn. */
uint8_t *output_reserve(struct connection *connection, uint32_t size);
/* Look at this connection at the end of the turn. */
void output_mark(struct connection *connection);
/* Add a filled buffer to the output: bytes [begin, end). buffer is moved. */
void output_append(struct connection *connection, struct buffer *buffer);
/* Add a range, which is moved. False: no memory, it is still the caller's, and the connection
 * closes at the end of the turn. */
bool output_append_range(struct connection *connection, const struct engine_range *range);
/* Whether some of the output is ranges. */
bool output_has_ranges(const struct connection *connection);
/* Give all ranges back, whose bytes then cannot be sent any more. */
void output_release_ranges(struct connection *connection);
/* Send what can be sent at once; the rest leaves when the client takes it. */
void output_flush(struct connection *connection);
/* Drop all output. Not while `writing`. */
void output_drop(struct connection *connection);

#endif
