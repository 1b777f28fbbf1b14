/* One life of the daemon in a scene: the world around its loop (uv_sim.h), in which clients act, time passes and
 * the process dies, and what must hold while it serves and when it has stopped. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/io.h"
#include "core/namespace.h"
#include "server/connection.h"
#include "server/exit_status.h"
#include "server/lease.h"
#include "server/limits.h"
#include "server/listener.h"
#include "tests/sim/lessee.h"
#include "tests/sim/scene.h"
#include "tests/sim/uv_sim.h"

#define WAITS_MAX 400000u
/* Longer than any deadline of the server, and any read that waits. */
#define QUIET_MAX_US UINT64_C(400000000)
/* What a stop may take beyond stop_timeout: the disk. */
#define STOP_SLACK_US UINT64_C(15000000)
/* Timers are of milliseconds, and the clock stands still for a turn, in which the disk may take its time. */
#define TIMER_SLACK_US UINT64_C(50000)

/* ---- dying ---- */

static void die(struct scene *s, enum scene_ending ending)
{
    scene_log(s, ending == ENDING_POWER ? "the power is cut" : "the process dies");
    s->dead = true;
    s->ending = ending;
    s->crashes++;
    s->report->crashes++;
}

static bool dead(void *arg)
{
    struct scene *s = arg;

    if (s->serving && !s->dead && sim_disk_is_down(s->disk)) {
        die(s, ENDING_POWER);
    }
    return s->serving && s->dead;
}

static void writing(void *arg)
{
    struct scene *s = arg;

    if (s->serving && !s->dead && s->die_write > 0 && --s->die_write == 0 &&
        !sim_disk_is_down(s->disk)) {
        die(s, ENDING_PROCESS);
        sim_disk_process_crash(s->disk);
    }
}

bool scene_dies_writing(struct scene *s)
{
    writing(s);
    return dead(s);
}

/* ---- the world goes on ---- */

static const struct namespace *find_space(const struct scene *s, unsigned index)
{
    return engine_namespace_find(s->engine, ledger_space_names[index],
                                 strlen(ledger_space_names[index]));
}

/* How often blocks are held for somebody who reads them. */
static uint64_t count_pins(const struct namespace *ns)
{
    uint64_t pins = 0;
    uint32_t i;
    uint32_t k;

    for (i = 0; i < ns->space.count; i++) {
        for (k = 0; k < ns->blocks_per_segment; k++) {
            pins += ns->space.segments[i]->slots[k].pins;
        }
    }
    return pins;
}

/* Everybody has been answered, and has gone. */
static bool all_quiet(struct scene *s)
{
    unsigned i;

    for (i = 0; i < SCENE_CLIENTS; i++) {
        if (s->clients[i] != NULL) {
            if (scene_now_us(s) - s->quiet_us > QUIET_MAX_US) {
                const struct client *c = s->clients[i];

                scene_fail(s, "every request is answered, and every connection ends",
                           "client %llu, habit %d: %llu under way, the first of type %u, %llu of "
                           "%llu bytes sent, %zu to take, accepted %d",
                           (unsigned long long)c->number, (int)c->habit,
                           (unsigned long long)c->call_count, c->calls == NULL ? 0 : c->calls->type,
                           (unsigned long long)c->sent, (unsigned long long)c->queued,
                           sim_bytes_size(&c->link.down), c->link.accepted);
            }
            return false;
        }
    }
    return true;
}

/* Blocks that were given up are free: nobody has leased them, and what is not watched any more is
 * known. */
static bool space_is_back(struct scene *s)
{
    uint64_t freeing = 0;
    uint64_t live;
    uint64_t left;
    unsigned i;

    lessee_end_left(s);
    lease_count(s->server, &live, &left);
    for (i = 0; i < LEDGER_SPACES; i++) {
        const struct namespace *ns = find_space(s, i);

        freeing += ns != NULL && ns->state == ENGINE_SERVING ? ns->space.freeing_count : 0;
    }
    if (live + left == 0 && freeing <= s->server->counters.blocks_retired) {
        return true;
    }
    if (scene_now_us(s) - s->quiet_us > QUIET_MAX_US) {
        scene_fail(s, "what nobody reads is free again",
                   "%llu leases, %llu left behind, %llu blocks to be freed, %llu retired",
                   (unsigned long long)live, (unsigned long long)left, (unsigned long long)freeing,
                   (unsigned long long)s->server->counters.blocks_retired);
    }
    return false;
}

/* The life has had its requests: end it. */
static void follow_plan(struct scene *s)
{
    if (dead(s) || s->stopping || s->requests < s->requests_goal) {
        return;
    }
    if (s->quiet_first && s->quiet_us == 0) {
        scene_log(s, "everybody comes to an end");
        s->quiet_us = scene_now_us(s);
    }
    if (s->quiet_first && !scene_excused(s) &&
        (!all_quiet(s) || (s->empty_first && !s->full && !space_is_back(s)))) {
        return;
    }
    lessee_look_at_all(s);
    switch (s->plan) {
    case PLAN_POWER:
        die(s, ENDING_POWER);
        sim_disk_set_policy(s->disk, (enum sim_policy)scene_below(s, SIM_POLICY_COUNT));
        sim_disk_power_cut(s->disk);
        break;
    case PLAN_PROCESS:
        die(s, ENDING_PROCESS);
        sim_disk_process_crash(s->disk);
        break;
    case PLAN_STOP:
        if (uv_sim_raise(scene_chance(s, 50) ? SIGTERM : SIGINT)) {
            scene_log(s, "stop");
            s->stopping = true;
            s->stop_us = scene_now_us(s);
            s->report->stops++;
        }
        break;
    }
}

static void act(struct scene *s)
{
    const uint64_t now = scene_now_us(s);
    unsigned i;

    for (i = 0; i < s->taste.clients && !dead(s); i++) {
        struct client *c = s->clients[i];

        if (c == NULL) {
            if (s->quiet_us == 0 && !s->stopping && scene_chance(s, 20)) {
                client_connect(s, i);
            }
        } else if (c->gone) {
            if (c->link.server_gone || !c->link.accepted) {
                client_free(c);
                s->clients[i] = NULL;
            }
        } else if (c->wake_us <= now) {
            client_act(c);
        }
    }
    if (!dead(s)) {
        lessee_act(s);
    }
    if (s->taste.clock_jumps && scene_chance(s, 1)) {
        s->wall_offset += (int64_t)scene_below(s, 4000000) - 2000000;
    }
    if (s->kind == SCENE_NO_SPACE && scene_chance(s, 1)) {
        s->full = !s->full;
        sim_disk_set_capacity(s->disk, s->full ? sim_disk_used(s->disk) + scene_below(s, 200u << 10)
                                               : UINT64_MAX);
        s->full = true; /* What was refused before may still be told */
    }
    if (s->stopping && scene_chance(s, 1)) {
        (void)uv_sim_raise(scene_chance(s, 50) ? SIGTERM : SIGHUP);
    }
}

/* Only leases hold blocks: what is on its way, and what is read, has gone with the connections. */
static void check_pins(struct scene *s)
{
    const uint64_t retired = s->server->counters.blocks_retired;
    struct lessee_counts counts = {.retired = retired};
    uint64_t pins = 0;
    unsigned i;

    lease_count(s->server, &counts.live, &counts.left);
    lessee_check_left(s, &counts);
    for (i = 0; i < LEDGER_SPACES; i++) {
        const struct namespace *ns = find_space(s, i);

        pins += ns == NULL ? 0 : count_pins(ns);
    }
    if (pins < counts.left || pins > counts.left + retired) {
        scene_fail(s, "who does not read holds no block",
                   "%llu held, %llu left behind, %llu retired", (unsigned long long)pins,
                   (unsigned long long)counts.left, (unsigned long long)retired);
    }
}

/* Nothing is left of anybody. */
static void check_empty(struct scene *s)
{
    const struct server *server = s->server;
    unsigned i;

    if (server->connection_count != 0 || server->requests_used != 0 ||
        server->pool.used_bytes != 0 || server->pool.promised_bytes != 0) {
        scene_fail(s, "no memory is left behind",
                   "%u connections, %u requests, %zu bytes of buffers, %zu promised",
                   server->connection_count, server->requests_used, server->pool.used_bytes,
                   server->pool.promised_bytes);
    }
    for (i = 0; i < LEDGER_SPACES; i++) {
        const struct namespace *ns = find_space(s, i);

        if (ns != NULL && ns->users != 0) {
            scene_fail(s, "a namespace is used by connections only", "%s: by %u",
                       ledger_space_names[i], ns->users);
        }
    }
    check_pins(s);
}

/* A turn begins: the engine will be told its time, the loop sleeps no longer than the engine wants, and not at all
 * when a disk has failed. */
static void check_turn(struct scene *s, uint64_t until_us)
{
    const uint64_t now = scene_now_us(s);
    const uint64_t deadline = engine_deadline(s->engine);
    struct error err;

    if (s->server->state != SERVER_SERVING || dead(s)) {
        return;
    }
    if (until_us > (deadline > now ? deadline : now) + TIMER_SLACK_US && deadline != UINT64_MAX) {
        scene_fail(s, "the loop does not sleep longer than the engine wants",
                   "until %llu, wanted %llu", (unsigned long long)until_us,
                   (unsigned long long)deadline);
    }
    if (s->server->staging) {
        scene_fail(s, "what arrives now is told the time of now", "that of before is kept");
    }
    if (until_us > now && engine_failed(s->engine, &err) != NULL) {
        scene_fail(s, "a failed disk stops the daemon", "%s", err.text);
    }
}

static void check_limits(struct scene *s)
{
    const struct server *server = s->server;
    const struct pool *pool = &server->pool;
    const struct connection *connection;

    if (pool->used_bytes > s->config.options.total_bytes_max ||
        server->connection_count > s->config.options.connections_max ||
        server->requests_used > REQUESTS_TOTAL_MAX) {
        scene_fail(s, "limits hold", "%zu bytes of buffers, %u connections", pool->used_bytes,
                   server->connection_count);
    }
    if (server->connection_count == 0 && server->requests_used == 0) {
        check_empty(s);
    }
    for (connection = server->connections; connection != NULL; connection = connection->next) {
        if (connection->requests_count > s->config.options.requests_max ||
            connection->requests_bytes >
                s->config.options.request_bytes_max + connection->frame_size_max + REQUEST_COST) {
            scene_fail(s, "limits hold", "a connection has %u requests of %llu bytes",
                       connection->requests_count, (unsigned long long)connection->requests_bytes);
        }
    }
    if (s->stopping &&
        scene_now_us(s) > s->stop_us + s->config.options.stop_timeout * 1000 + STOP_SLACK_US) {
        scene_fail(s, "a stop ends", "%u connections are left", server->connection_count);
    }
}

/* When something happens next by itself, at the latest until_us. */
static uint64_t next_moment(struct scene *s, uint64_t until_us)
{
    unsigned i;

    if (s->io->in_flight > 0 && s->engine_us < until_us) {
        until_us = s->engine_us;
    }
    for (i = 0; i < s->taste.clients; i++) {
        const struct client *c = s->clients[i];
        const uint64_t at = c == NULL ? scene_now_us(s) + 5000 : c->wake_us;

        if ((c == NULL || !c->gone) && at < until_us) {
            until_us = at;
        }
    }
    return lessee_next(s, until_us);
}

static void wait(void *arg, uint64_t until_us)
{
    struct scene *s = arg;

    if (!s->serving) {
        return;
    }
    check_turn(s, until_us);
    s->engine_us = scene_now_us(s) + scene_below(s, UINT64_C(1) << scene_below(s, 10));
    for (;;) {
        uint64_t next;

        if (++s->waits > WAITS_MAX) {
            scene_fail(s, "the loop comes to an end", "it went round %u times", WAITS_MAX);
        }
        check_limits(s);
        act(s);
        follow_plan(s);
        if (s->dead || (uv_sim_ready() && scene_chance(s, 75)) || scene_now_us(s) >= until_us) {
            return;
        }
        next = next_moment(s, until_us);
        if (next == UINT64_MAX) {
            scene_fail(s, "the loop never sleeps for ever", "no timer");
        }
        sim_disk_advance(s->disk,
                         next > scene_now_us(s) ? next - scene_now_us(s) : 1 + scene_below(s, 20));
    }
}

static uint64_t now_us(void *arg)
{
    return scene_now_us(arg);
}

/* ---- the end of the loop ---- */

static void stopped(struct scene *s)
{
    if (s->server->state != SERVER_STOPPED) {
        scene_fail(s, "the loop ends with a stop", "state %d", (int)s->server->state);
    }
    if (s->server->exit_status == EXIT_STATUS_OK) {
        if (!s->stopping) {
            scene_fail(s, "nobody stops who was not asked", "status 0");
        }
        check_empty(s);
        s->ending = ENDING_CLEAN;
        return;
    }
    if (!scene_excused(s) && !s->full) {
        scene_fail(s, "a healthy store stops cleanly", "status %d", s->server->exit_status);
    }
    scene_log(s, "the daemon has given up");
    s->report->failed_disks++;
    s->crashes++;
    s->report->crashes++;
    s->ending = ENDING_POWER;
}

static void begin(struct scene *s)
{
    const struct uv_sim_host host = {
        .arg = s,
        .now_us = now_us,
        .wait = wait,
        .readable = scene_readable,
        .refuse = scene_refuse_poll,
        .link = scene_link,
        .dead = dead,
        .writing = writing,
    };
    struct error err;

    uv_sim_begin(&host, s->limits.seed * 64 + s->life);
    s->server = calloc(1, sizeof *s->server);
    CHECK(s->server != NULL);
    s->quiet_us = 0;
    s->waits = 0;
    if (server_init(s->server, &s->config, s->engine, SEAM_FD_ENGINE, &err) != 0) {
        scene_fail(s, "the server starts", "%s", err.text);
    }
    listener_adopt(&s->server->listener, SEAM_FD_LISTENER);
    if (listener_start(&s->server->listener, s->server, &err) != 0) {
        scene_fail(s, "the server starts", "%s", err.text);
    }
    s->serving = true;
}

void scene_serve(struct scene *s)
{
    begin(s);
    /* What server_run() does; but that insists on a stop, and here the process may die. */
    (void)uv_run(&s->server->loop, UV_RUN_DEFAULT);
    if (!dead(s)) {
        stopped(s);
    }
    s->serving = false;
    while (s->server->connections != NULL) {
        connection_close(s->server->connections, NULL);
    }
}
