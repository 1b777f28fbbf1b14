/* The daemon's loop: one thread that owns the engine, the listener and every connection.
 *
 * A turn, as libuv goes round:
 *
 *     poll: sockets are read ---> frames ---> dispatch: engine_append(), engine_read(), ...
 *     check: engine_poll() ---> done() ---> replies put behind each connection's output
 *            then each connection that has output sends it, with one call
 *            then connections that had to wait are asked whether they still do
 *
 * So everything that arrived in one turn shares one journal write, and replies leave together. The
 * loop sleeps until a socket, the disk (engine's fd) or engine_deadline() wants it; when
 * engine_poll() has more to do at once it only looks at the sockets and goes round again; so it
 * does for a moment, where the option spin says so, while requests come quickly (spin.h).
 *
 *     serving ---> draining (a signal, or a failed disk) ---> stopped
 *
 * Draining: nobody new is taken, engine_stop() has answered everything that was in flight, what
 * still arrives is answered CLOSED, and clients have stop_timeout to take their replies. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "server/listener.h"
#include "server/meter.h"
#include "server/pool.h"
#include "server/slowlog.h"
#include "server/spin.h"
#include "server/stall.h"
#include "server/users.h"

struct config;
struct connection;
struct engine;
struct error;
struct leases;
struct io;
struct options;
struct reload;
struct request;

enum server_state { SERVER_SERVING, SERVER_DRAINING, SERVER_STOPPED };

struct server_counters {
    uint64_t connections_taken;
    uint64_t connections_cut; /* By us: a deadline, or a breach of protocol */
    uint64_t requests;
    uint64_t bytes_received;
    uint64_t bytes_sent;
    uint64_t bytes_sent_from_cache; /* Of them, without a copy */
    uint64_t blocks_retired;        /* Not used again until the next start: lease.h */
    uint64_t pauses;                /* Times a connection was not read from because of a limit */
    uint64_t paused_ms;             /* How long they were not, all together */
};

struct server {
    uv_loop_t loop;
    uv_poll_t engine_poll;     /* The engine's fd is readable: it has something to do */
    uv_timer_t engine_timer;   /* engine_deadline() */
    uv_prepare_t prepare;      /* Ends a turn that a timer began */
    uv_check_t check;          /* Ends a turn that sockets began */
    uv_idle_t idle;            /* Running: do not sleep, the engine has more to do */
    uv_timer_t sweep_timer;    /* Deadlines of connections */
    uv_timer_t drain_timer;    /* stop_timeout */
    uv_timer_t watchdog_timer; /* systemd's */
    uv_signal_t signals[3];    /* SIGTERM, SIGINT, SIGHUP */
    struct listener listener;

    const struct config *config;   /* Borrowed; outlives the server */
    const struct options *options; /* Those of config */
    struct reload *reload;         /* Borrowed; what SIGHUP is for. NULL: nothing to read again */
    struct engine *engine;         /* Borrowed; outlives the server */
    bool has_engine_fd;
    enum server_state state;
    int exit_status;
    bool staging;         /* engine_now() has been told in this turn, */
    uint64_t stage_us;    /* and this is the time it was told, last */
    bool turn_due;        /* Something outside the poll phase needs engine_poll() */
    uint64_t armed_us;    /* What engine_timer is set for; UINT64_MAX: nothing */
    unsigned drain_turns; /* Turns since draining began */
    bool gathering;       /* This turn goes on for a moment: see gather() */
    uint64_t gather_until_us;
    uint64_t gather_requests; /* Taken when the sockets were looked at last */
    uint64_t full_told_us;    /* When the log told of a full disk last; 0: never */
    uint64_t quota_told_us;   /* The same of a quota that is used up */
    struct stall stall;
    struct spin spin;
    bool awake; /* The loop goes round only for spin_stay() */

    struct pool pool;
    struct request *requests_free; /* Free list */
    struct request *requests_made; /* All of them */
    uint32_t requests_used;

    struct users users;
    struct connection *connections; /* Doubly linked */
    uint32_t connection_count;
    struct connection *dirty; /* Have output to send at the end of this turn */
    struct leases *departed;  /* Owned (lease.c): of processes whose connection is gone */
    uint32_t departed_count;
    struct connection *paused; /* Have input that may not be taken yet */

    struct server_counters counters;
    struct meter meter;
    struct slowlog slowlog;
};

/* Prepare the loop and its handles, except the listener. engine_fd: as io_poll_fd(). 0, or a
 * negative TUSK_E*, with nothing left open. */
int server_init(struct server *server, const struct config *config, struct engine *engine,
                int engine_fd, struct error *err);
/* Serve until stopped; returns the exit status. engine_stop() has been called, unless the status
 * says why not. Every connection is gone. */
int server_run(struct server *server);
/* Close the listener and the loop, free pools. The engine must be closed first, since it may hold
 * requests; only then is their memory given back. */
void server_deinit(struct server *server);

/* The options have changed: take on what is not looked up each time. */
void server_reconfigured(struct server *server);

/* Called before anything is given to the engine: the first time in a turn, tells it the time. */
void server_stage(struct server *server);
/* engine_poll() is wanted although no socket was read. */
void server_want_turn(struct server *server);

#endif
