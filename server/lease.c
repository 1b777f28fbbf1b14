#include "server/lease.h"

#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "core/check.h"
#include "core/engine.h"
#include "server/connection.h"
#include "server/limits.h"
#include "server/log.h"
#include "server/process.h"
#include "server/server.h"

struct lease {
    struct engine_range range; /* range.segment NULL: free */
    struct namespace *ns;      /* Compared, never followed */
};

/* Of one connection, and after it of its process. */
struct leases {
    uv_poll_t poll; /* On pidfd, once the connection is gone */
    struct server *server;
    struct leases *next; /* server->departed, or the list's end */
    int pidfd;           /* -1: the process cannot be watched */
    uint32_t count;
    uint64_t segments[MAPPED_SEGMENTS]; /* Sent last, in turn */
    uint32_t segment_at;
    uint32_t segment_count;
    struct lease leases[LEASES_MAX];
};

/* ---- while the connection is there ---- */

static int watch(const struct connection *connection)
{
    uv_os_fd_t fd;

    return uv_fileno((const uv_handle_t *)&connection->pipe, &fd) == 0
               ? process_watch(connection->pid, fd)
               : -1;
}

bool lease_possible(struct connection *connection)
{
    struct leases *leases = connection->leases;

    if (leases == NULL) {
        leases = calloc(1, sizeof *leases);
        if (leases == NULL) {
            return false;
        }
        leases->server = connection->server;
        leases->pidfd = watch(connection);
        connection->leases = leases;
    }
    return leases->pidfd >= 0 && leases->count < LEASES_MAX;
}

uint32_t lease_take(struct connection *connection, struct engine_range *range)
{
    struct leases *leases = connection->leases;
    uint32_t i = 0;

    CHECK(range->segment != NULL);
    CHECK(leases != NULL && leases->count < LEASES_MAX);
    while (leases->leases[i].range.segment != NULL) {
        i++;
    }
    CHECK(i < LEASES_MAX);
    leases->leases[i] = (struct lease){.range = *range, .ns = connection->ns};
    leases->count++;
    range->segment = NULL;
    return i;
}

static void end(struct leases *leases, struct lease *lease)
{
    CHECK(leases->count > 0);
    engine_range_release(&lease->range);
    leases->count--;
}

bool lease_release(struct connection *connection, uint32_t lease)
{
    struct leases *leases = connection->leases;

    if (leases == NULL || lease >= LEASES_MAX || leases->leases[lease].range.segment == NULL) {
        return false;
    }
    end(leases, &leases->leases[lease]);
    server_want_turn(connection->server); /* Space may be waiting for the block */
    return true;
}

static void end_all(struct leases *leases)
{
    uint32_t i;

    for (i = 0; i < LEASES_MAX; i++) {
        if (leases->leases[i].range.segment != NULL) {
            end(leases, &leases->leases[i]);
        }
    }
    server_want_turn(leases->server);
}

bool lease_any(const struct connection *connection)
{
    return connection->leases != NULL && connection->leases->count > 0;
}

void lease_release_all(struct connection *connection)
{
    if (connection->leases != NULL) {
        end_all(connection->leases);
    }
}

bool lease_has_segment(const struct connection *connection, uint64_t segment)
{
    const struct leases *leases = connection->leases;
    uint32_t i = 0;

    CHECK(leases != NULL);
    while (i < leases->segment_count && leases->segments[i] != segment) {
        i++;
    }
    return i < leases->segment_count;
}

void lease_add_segment(struct connection *connection, uint64_t segment)
{
    struct leases *leases = connection->leases;

    CHECK(!lease_has_segment(connection, segment));
    leases->segments[leases->segment_at] = segment;
    leases->segment_at = (leases->segment_at + 1) % MAPPED_SEGMENTS;
    if (leases->segment_count < MAPPED_SEGMENTS) {
        leases->segment_count++;
    }
}

/* ---- and after it ---- */

static void free_leases(struct leases *leases)
{
    if (leases->pidfd >= 0) {
        (void)close(leases->pidfd); /* Nothing was written to it */
    }
    free(leases);
}

static void on_closed(uv_handle_t *handle)
{
    free_leases(handle->data);
}

static void remove_departed(struct leases *leases)
{
    struct leases **at = &leases->server->departed;

    while (*at != leases) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = leases->next;
    leases->server->departed_count--;
    uv_close((uv_handle_t *)&leases->poll, on_closed);
}

static void on_process_gone(uv_poll_t *poll, int status, int events)
{
    struct leases *leases = poll->data;

    (void)status;
    (void)events;
    end_all(leases);
    remove_departed(leases);
}

/* Watch the process. False: it cannot be done. */
static bool depart(struct leases *leases)
{
    struct server *server = leases->server;

    if (server->departed_count >= DEPARTED_MAX ||
        uv_poll_init(&server->loop, &leases->poll, leases->pidfd) != 0) {
        return false;
    }
    leases->poll.data = leases;
    leases->next = server->departed;
    server->departed = leases;
    server->departed_count++;
    if (uv_poll_start(&leases->poll, UV_READABLE, on_process_gone) == 0) {
        return true;
    }
    server->counters.blocks_retired += leases->count;
    remove_departed(leases);
    return true;
}

void lease_leave(struct connection *connection)
{
    struct leases *leases = connection->leases;

    connection->leases = NULL;
    if (leases == NULL) {
        return;
    }
    if (leases->count == 0) {
        free_leases(leases);
    } else if (!depart(leases)) {
        connection->server->counters.blocks_retired += leases->count;
        log_warning("lease",
                    "process %ld went without giving back %u blocks it may read from, and cannot "
                    "be watched: they are not used again until the next start",
                    (long)connection->pid, leases->count);
        free_leases(leases);
    }
}

static void forget(struct leases *leases, const struct namespace *ns)
{
    uint32_t i;

    for (i = 0; leases != NULL && i < LEASES_MAX; i++) {
        struct lease *lease = &leases->leases[i];

        if (lease->range.segment != NULL && lease->ns == ns) {
            lease->range.segment = NULL;
            leases->count--;
        }
    }
}

void lease_forget(struct server *server, const struct namespace *ns)
{
    struct connection *connection;
    struct leases *leases;

    for (connection = server->connections; connection != NULL; connection = connection->next) {
        forget(connection->leases, ns);
    }
    for (leases = server->departed; leases != NULL; leases = leases->next) {
        forget(leases, ns);
    }
}

void lease_count(const struct server *server, uint64_t *live, uint64_t *left)
{
    const struct connection *connection;
    const struct leases *leases;

    *live = 0;
    *left = 0;
    for (connection = server->connections; connection != NULL; connection = connection->next) {
        *live += connection->leases != NULL ? connection->leases->count : 0;
    }
    for (leases = server->departed; leases != NULL; leases = leases->next) {
        *left += leases->count;
    }
}

void lease_deinit(struct server *server)
{
    while (server->departed != NULL) {
        struct leases *leases = server->departed;

        server->departed = leases->next;
        free_leases(leases);
    }
}
