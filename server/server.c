#include "server/server.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "core/check.h"
#include "core/engine.h"
#include "core/probe.h"
#include "server/clock.h"
#include "server/connection.h"
#include "server/exit_status.h"
#include "server/gather.h"
#include "server/lease.h"
#include "server/log.h"
#include "server/notify.h"
#include "server/reload.h"
#include "server/request.h"
#include "server/rights.h"
#include "server/sweep.h"

/* Turns after a stop in which what has already arrived is still read, and answered CLOSED. */
#define DRAIN_TURNS 3u

static struct engine_time read_clocks(void)
{
    return (struct engine_time){.wall_us = clock_wall_us(), .mono_us = clock_mono_us()};
}

void server_stage(struct server *server)
{
    struct engine_time now;

    if (!server->staging) {
        server->staging = true;
        now = read_clocks();
        server->stage_us = now.mono_us;
        engine_now(server->engine, &now);
    }
}

void server_want_turn(struct server *server)
{
    server->turn_due = true;
}

/* ---- stopping ---- */

static void on_signal(uv_signal_t *handle, int number);

static void close_connections(struct server *server)
{
    while (server->connections != NULL) {
        connection_close(server->connections, NULL);
    }
}

static void on_drain_timeout(uv_timer_t *timer)
{
    struct server *server = timer->data;

    if (server->connection_count > 0) {
        log_warning("server", "%u clients did not take all their replies in time",
                    server->connection_count);
    }
    close_connections(server);
    server_want_turn(server);
}

static void begin_drain(struct server *server, int exit_status, uint64_t timeout_ms)
{
    int rc;

    server->state = SERVER_DRAINING;
    server->exit_status = exit_status;
    server->drain_turns = 0;
    listener_stop(&server->listener);
    rc = uv_timer_start(&server->drain_timer, on_drain_timeout, timeout_ms, 0);
    CHECK(rc == 0);
    server_want_turn(server);
}

/* A namespace's disk failed: nothing goes on honestly. Who waited was told: outcome unknown. */
static void check_failed_disk(struct server *server)
{
    struct engine_namespace_info info;
    struct error err;
    struct namespace *ns = engine_failed(server->engine, &err);

    if (ns != NULL) {
        engine_namespace_info(ns, &info);
        log_event(LOG_EVENT_DISK_FAILED, "engine", info.name,
                  "%s; stopping, a restart recovers from the device", err.text);
        notify_stopping("a disk failed");
        begin_drain(server, EXIT_STATUS_IO, FAIL_FLUSH_MS);
    }
}

/* While engine_stop() waits for the disk, the loop sees no signals. A second one means: now. */
static void exit_at_once(int signal_number)
{
    (void)signal_number;
    _exit(EXIT_STATUS_IO);
}

/* From the loop's hands to exit_at_once(). Held back meanwhile: where libuv stops watching a signal
 * its default comes back, which would end the process with another status. */
static void leave_stop_signals(struct server *server)
{
    sigset_t both;

    (void)sigemptyset(&both); /* None of these can fail with these arguments */
    (void)sigaddset(&both, SIGTERM);
    (void)sigaddset(&both, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &both, NULL);
    (void)uv_signal_stop(&server->signals[0]); /* Always succeeds */
    (void)uv_signal_stop(&server->signals[1]);
    (void)signal(SIGTERM, exit_at_once);
    (void)signal(SIGINT, exit_at_once);
    (void)sigprocmask(SIG_UNBLOCK, &both, NULL);
}

static int watch_stop_signals(struct server *server)
{
    int rc = uv_signal_start(&server->signals[0], on_signal, SIGTERM);

    return rc == 0 ? uv_signal_start(&server->signals[1], on_signal, SIGINT) : rc;
}

static void stop_engine(struct server *server)
{
    const struct engine_time now = read_clocks();
    struct error err;

    notify_stopping("making everything durable");
    listener_stop(&server->listener);
    leave_stop_signals(server);
    slowlog_turn(&server->slowlog);
    if (engine_stop(server->engine, &now, &err) != 0) {
        log_error("engine", "the stop is not clean, the next start recovers: %s", err.text);
        begin_drain(server, EXIT_STATUS_IO, FAIL_FLUSH_MS);
        return;
    }
    if (watch_stop_signals(server) != 0) {
        log_warning("server", "a second signal will not be noticed");
    }
    begin_drain(server, EXIT_STATUS_OK, server->options->stop_timeout);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct server *server = handle->data;

    if (number == SIGHUP) {
        if (server->reload != NULL && server->state == SERVER_SERVING) {
            reload_begin(server->reload);
        }
        return;
    }
    if (server->state == SERVER_SERVING) {
        log_info("server", "stopping (signal %d)", number);
        stop_engine(server);
        return;
    }
    log_info("server", "not waiting for clients any longer (signal %d)", number);
    close_connections(server);
    server_want_turn(server);
}

static void drain(struct server *server)
{
    struct connection *connection;

    server->drain_turns++;
    if (server->drain_turns >= DRAIN_TURNS) {
        for (connection = server->connections; connection != NULL; connection = connection->next) {
            if (!connection->finishing) {
                connection_finish(connection);
            }
        }
    }
    if (server->connection_count == 0) {
        server->state = SERVER_STOPPED;
        uv_stop(&server->loop);
    }
}

/* ---- turns ---- */

/* In the order in which they were answered: a reader that waited for an entry comes before the
 * producer of it, so that it does not wait for the producer to be woken, too. */
static void flush_dirty(struct server *server)
{
    struct connection *connection = NULL;
    struct connection *next;

    while ((next = server->dirty) != NULL) {
        server->dirty = next->dirty_next;
        next->dirty_next = connection;
        connection = next;
    }
    for (; connection != NULL; connection = next) {
        next = connection->dirty_next;
        connection->in_dirty = false;
        if (connection->output_failed != NULL) {
            connection_close(connection, connection->output_failed);
            continue;
        }
        output_flush(connection);
        if (!connection->closing && connection_done(connection)) {
            connection_close(connection, NULL);
        }
    }
}

/* Ask those that had to wait, in the order in which they began to: who goes on waiting stays before
 * who came later. True if one of them gave the engine something to do. */
static bool resume_paused(struct server *server)
{
    struct connection *connection = NULL;
    struct connection *next;
    bool taken = false;

    while ((next = server->paused) != NULL) {
        server->paused = next->paused_next;
        next->paused_next = connection;
        connection = next;
    }
    for (; connection != NULL; connection = next) {
        next = connection->paused_next;
        connection->in_paused = false;
        taken = connection_resume(connection) || taken;
    }
    return taken;
}

static void on_engine_timer(uv_timer_t *timer)
{
    struct server *server = timer->data;

    server->armed_us = UINT64_MAX;
    server_want_turn(server);
}

static void arm_engine_timer(struct server *server)
{
    const uint64_t deadline_us = engine_deadline(server->engine);
    uint64_t now_us;
    uint64_t delay_ms;
    int rc;

    if (deadline_us == server->armed_us) {
        return;
    }
    server->armed_us = deadline_us;
    if (deadline_us == UINT64_MAX) {
        (void)uv_timer_stop(&server->engine_timer); /* Always succeeds */
        return;
    }
    now_us = clock_mono_us();
    delay_ms = deadline_us > now_us ? (deadline_us - now_us + 999) / 1000 : 0;
    rc = uv_timer_start(&server->engine_timer, on_engine_timer, delay_ms, 0);
    CHECK(rc == 0);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* Its being there keeps the loop from sleeping */
}

static void end_turn(struct server *server)
{
    const struct engine_time now = read_clocks();
    bool more = false;

    if (gather(server, now.mono_us)) {
        server->staging = false;                     /* As below */
        (void)uv_idle_start(&server->idle, on_idle); /* Always succeeds */
        return;
    }
    server->staging = false;
    server->turn_due = false;
    slowlog_turn(&server->slowlog);
    PROBE2(turn_begin, server->requests_used, server->counters.requests);
    if (server->state == SERVER_SERVING) {
        more = engine_poll(server->engine, &now);
        check_failed_disk(server);
    }
    flush_dirty(server);
    PROBE2(turn_done, server->requests_used, server->counters.requests);
    if (server->meter.ended > 0) {
        meter_turn(&server->meter, server->stage_us, clock_mono_us());
    }
    more = resume_paused(server) || more;
    /* What was resumed may have waited for the disk: what arrives behind it is told the time again,
     * or a read's wait would count from before it was asked. */
    server->staging = false;
    if (server->state == SERVER_SERVING) {
        arm_engine_timer(server);
    } else {
        drain(server);
    }
    server->awake = server->options->spin && server->state == SERVER_SERVING &&
                    spin_stay(&server->spin, server->counters.requests, now.mono_us);
    if (more || server->turn_due || server->dirty != NULL ||
        (server->state == SERVER_DRAINING && server->drain_turns <= DRAIN_TURNS)) {
        server->awake = false;                       /* There is more to do than to look */
        (void)uv_idle_start(&server->idle, on_idle); /* Always succeeds */
    } else if (server->awake) {
        (void)uv_idle_start(&server->idle, on_idle); /* Always succeeds */
    } else {
        (void)uv_idle_stop(&server->idle); /* Always succeeds */
    }
}

/* The loop has gone round for nothing, and there is nothing else to do. */
static bool nothing_came(const struct server *server)
{
    return server->awake && !server->staging && !server->turn_due && server->dirty == NULL &&
           server->paused == NULL && server->counters.requests == server->spin.requests;
}

static void on_check(uv_check_t *check)
{
    struct server *server = check->data;

    if (!nothing_came(server)) {
        end_turn(server);
    } else if (!spin_stay(&server->spin, server->counters.requests, clock_mono_us())) {
        server->awake = false;
        (void)uv_idle_stop(&server->idle); /* Always succeeds */
    }
}

/* Timers run before the loop sleeps: what they made due must not wait for a socket. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct server *server = prepare->data;

    if (server->turn_due) {
        end_turn(server);
        uv_update_time(
            &server->loop); /* It may have waited for the disk; the poll counts from it */
    }
}

static void on_engine_fd(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    server_want_turn(poll->data);
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    notify_watchdog();
}

/* ---- life ---- */

void server_reconfigured(struct server *server)
{
    slowlog_configure(&server->slowlog, server->options->slowlog_threshold,
                      server->options->slowlog_entries);
    server->pool.limit_bytes = server->options->total_bytes_max;
    sweep_start(server);
    listener_reconfigured(&server->listener, access_any(server->config));
    rights_refresh(server);
    server_want_turn(server); /* Who was paused by a limit is asked again */
}

/* Those handles whose initialisation cannot fail. */
static void init_handles(struct server *server)
{
    const uint64_t watchdog_ms = notify_watchdog_interval_ms();
    uv_loop_t *loop = &server->loop;

    (void)uv_timer_init(loop, &server->engine_timer);
    (void)uv_timer_init(loop, &server->sweep_timer);
    (void)uv_timer_init(loop, &server->drain_timer);
    (void)uv_timer_init(loop, &server->watchdog_timer);
    (void)uv_prepare_init(loop, &server->prepare);
    (void)uv_check_init(loop, &server->check);
    (void)uv_idle_init(loop, &server->idle);
    server->engine_timer.data = server;
    server->sweep_timer.data = server;
    server->drain_timer.data = server;
    server->prepare.data = server;
    server->check.data = server;
    sweep_start(server);
    (void)uv_prepare_start(&server->prepare, on_prepare);
    (void)uv_check_start(&server->check, on_check);
    if (watchdog_ms > 0) {
        (void)uv_timer_start(&server->watchdog_timer, on_watchdog, watchdog_ms, watchdog_ms);
    }
}

static int init_signals(struct server *server)
{
    size_t i;
    int rc;

    for (i = 0; i < sizeof server->signals / sizeof server->signals[0]; i++) {
        rc = uv_signal_init(&server->loop, &server->signals[i]);
        if (rc != 0) {
            return rc;
        }
        server->signals[i].data = server;
    }
    rc = watch_stop_signals(server);
    return rc == 0 ? uv_signal_start(&server->signals[2], on_signal, SIGHUP) : rc;
}

static int init_engine_fd(struct server *server, int fd)
{
    const int rc = fd < 0 ? 0 : uv_poll_init(&server->loop, &server->engine_poll, fd);

    if (rc == 0 && fd >= 0) {
        server->has_engine_fd = true;
        server->engine_poll.data = server;
        return uv_poll_start(&server->engine_poll, UV_READABLE, on_engine_fd);
    }
    return rc;
}

static void close_any(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

int server_init(struct server *server, const struct config *config, struct engine *engine,
                int engine_fd, struct error *err)
{
    int rc;

    memset(server, 0, sizeof *server);
    server->config = config;
    server->options = &config->options;
    server->engine = engine;
    server->armed_us = UINT64_MAX;
    server->turn_due = true; /* The engine may want something before anybody connects */
    server->listener.fd = -1;
    spin_init(&server->spin, uv_available_parallelism());
    pool_init(&server->pool, server->options->total_bytes_max);
    slowlog_configure(&server->slowlog, server->options->slowlog_threshold,
                      server->options->slowlog_entries);
    rc = uv_loop_init(&server->loop);
    if (rc != 0) {
        return error_errno(err, -rc, "start the event loop");
    }
    init_handles(server);
    rc = init_signals(server);
    if (rc == 0) {
        rc = init_engine_fd(server, engine_fd);
    }
    if (rc != 0) {
        server_deinit(server);
        return error_errno(err, -rc, "start the event loop");
    }
    return 0;
}

int server_run(struct server *server)
{
    /* Returns when drain() stops it: handles that are always there keep it going. */
    (void)uv_run(&server->loop, UV_RUN_DEFAULT);
    CHECK(server->state == SERVER_STOPPED);
    CHECK(server->connection_count == 0);
    return server->exit_status;
}

void server_deinit(struct server *server)
{
    int rc;

    listener_stop(&server->listener);
    uv_walk(&server->loop, close_any, NULL);
    (void)uv_run(&server->loop, UV_RUN_DEFAULT); /* Runs what closes, then has nothing left */
    rc = uv_loop_close(&server->loop);
    CHECK(rc == 0);
    request_deinit(server);
    users_deinit(server);
    lease_deinit(server);
    slowlog_deinit(&server->slowlog);
    pool_deinit(&server->pool);
}
