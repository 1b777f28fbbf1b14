#include "server/users.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/options.h"
#include "core/check.h"
#include "server/connection.h"
#include "server/limits.h"
#include "server/log.h"
#include "server/rights.h"
#include "server/server.h"

#define WHO_SETS_IT "the daemon's administrator sets it in tuskd.conf"

/* ---- the table ---- */

static bool window_over(const struct user *user, uint64_t now_ms)
{
    return user->topics == 0 || now_ms - user->topics_since_ms >= USER_TOPICS_MS;
}

/* Forget those who have nothing here. crowded: also what topics they made lately. */
static void forget_idle(struct server *server, bool crowded)
{
    struct user **at = &server->users.first;

    while (*at != NULL) {
        struct user *user = *at;

        if (user->connections == 0 && user->waiting_reads == 0 &&
            (crowded || window_over(user, uv_now(&server->loop)))) {
            *at = user->next;
            server->users.count--;
            free(user);
        } else {
            at = &user->next;
        }
    }
}

static struct user *find(const struct server *server, uid_t uid)
{
    struct user *user = server->users.first;

    while (user != NULL && user->uid != uid) {
        user = user->next;
    }
    return user;
}

/* NULL: no memory. */
static struct user *find_or_add(struct server *server, uid_t uid)
{
    struct user *user = find(server, uid);

    if (user != NULL) {
        return user;
    }
    forget_idle(server, server->users.count >= USERS_MAX);
    user = calloc(1, sizeof *user);
    if (user != NULL) {
        user->uid = uid;
        user->next = server->users.first;
        server->users.first = user;
        server->users.count++;
    }
    return user;
}

void users_deinit(struct server *server)
{
    CHECK(server->users.connections == 0);
    while (server->users.first != NULL) {
        struct user *user = server->users.first;

        server->users.first = user->next;
        free(user);
    }
    server->users.count = 0;
}

/* ---- connections ---- */

/* Kept for the privileged. Never most of what there is. */
static uint64_t kept(const struct options *options)
{
    const uint64_t quarter = options->connections_max / 4;

    return options->admin_connections < quarter ? options->admin_connections : quarter;
}

/* To the log, which whoever connects in a loop must not fill. */
static void tell(struct server *server, struct user *user, const char *text)
{
    const uint64_t now_ms = uv_now(&server->loop);

    if (user->told_ms == 0 || now_ms - user->told_ms >= USER_TOLD_MS) {
        user->told_ms = now_ms > 0 ? now_ms : 1;
        log_warning("users", "%s", text);
    }
}

void users_why_turned_away(const struct connection *connection, char text[USERS_TEXT_SIZE])
{
    const struct server *server = connection->server;
    const struct options *options = server->options;
    const struct user *user = find(server, connection->uid);

    if (user != NULL && user->connections >= options->user_connections_max) {
        (void)snprintf(text, USERS_TEXT_SIZE,
                       "user id %lu has %u connections, and user_connections_max is %llu; close "
                       "some (" WHO_SETS_IT ")",
                       (unsigned long)connection->uid, user->connections,
                       (unsigned long long)options->user_connections_max);
        return;
    }
    (void)snprintf(text, USERS_TEXT_SIZE,
                   "all connections are taken: connections_max is %llu, of which "
                   "admin_connections keeps %llu for administrators; try later (" WHO_SETS_IT ")",
                   (unsigned long long)options->connections_max, (unsigned long long)kept(options));
}

enum users_verdict users_enter(struct connection *connection)
{
    struct server *server = connection->server;
    const struct options *options = server->options;
    struct users *users = &server->users;
    char text[USERS_TEXT_SIZE];
    struct user *user;

    CHECK(connection->user == NULL);
    if (rights_privileged(connection)) {
        return USERS_TAKEN;
    }
    user = find_or_add(server, connection->uid);
    if (user == NULL) {
        return USERS_CLOSE;
    }
    if (user->connections < options->user_connections_max &&
        users->connections + kept(options) < options->connections_max) {
        connection->user = user;
        user->connections++;
        users->connections++;
        return USERS_TAKEN;
    }
    users_why_turned_away(connection, text);
    tell(server, user, text);
    connection->turned_away = users->turned_away < kept(options) / 2;
    if (!connection->turned_away) {
        return USERS_CLOSE;
    }
    users->turned_away++;
    return USERS_TURNED_AWAY;
}

void users_leave(struct connection *connection)
{
    struct users *users = &connection->server->users;
    struct user *user = connection->user;

    if (connection->turned_away) {
        CHECK(users->turned_away > 0);
        users->turned_away--;
        connection->turned_away = false;
    }
    if (user == NULL) {
        return;
    }
    CHECK(user->connections > 0);
    CHECK(users->connections > 0);
    user->connections--;
    users->connections--;
    connection->user = NULL;
    forget_idle(connection->server, false);
}

/* ---- bytes ---- */

void users_add_bytes(struct connection *connection, uint64_t bytes)
{
    if (connection->user != NULL) {
        connection->user->bytes += bytes;
    }
}

void users_take_bytes(struct connection *connection, uint64_t bytes)
{
    if (connection->user != NULL) {
        CHECK(connection->user->bytes >= bytes);
        connection->user->bytes -= bytes;
    }
}

bool users_bytes_used_up(const struct connection *connection)
{
    return connection->user != NULL &&
           connection->user->bytes >= connection->server->options->user_bytes_max;
}

/* ---- reads that wait ---- */

bool users_may_wait(const struct connection *connection, char text[USERS_TEXT_SIZE])
{
    const uint64_t most = connection->server->options->user_waits_max;
    const struct user *user = connection->user;

    if (user == NULL || user->waiting_reads < most) {
        return true;
    }
    (void)snprintf(text, USERS_TEXT_SIZE,
                   "user id %lu has %u reads that wait, and user_waits_max is %llu; wait for fewer "
                   "topics, or read without waiting (" WHO_SETS_IT ")",
                   (unsigned long)user->uid, user->waiting_reads, (unsigned long long)most);
    return false;
}

void users_read_waits(struct user *user)
{
    if (user != NULL) {
        user->waiting_reads++;
    }
}

void users_read_ended(struct server *server, struct user *user)
{
    if (user == NULL) {
        return;
    }
    CHECK(user->waiting_reads > 0);
    user->waiting_reads--;
    if (user->connections == 0) {
        forget_idle(server, false);
    }
}

/* ---- topics ---- */

bool users_may_make_topic(const struct connection *connection, char text[USERS_TEXT_SIZE])
{
    const uint64_t most = connection->server->options->user_topics_max;
    const struct user *user = connection->user;

    if (user == NULL || user->topics < most ||
        window_over(user, uv_now(&connection->server->loop))) {
        return true;
    }
    (void)snprintf(text, USERS_TEXT_SIZE,
                   "user id %lu has made %u topics within an hour, and user_topics_max is %llu; "
                   "append to those there are, or try later (" WHO_SETS_IT ")",
                   (unsigned long)user->uid, user->topics, (unsigned long long)most);
    return false;
}

void users_made_topic(struct connection *connection)
{
    const uint64_t now_ms = uv_now(&connection->server->loop);
    struct user *user = connection->user;

    if (user == NULL) {
        return;
    }
    if (window_over(user, now_ms)) {
        user->topics = 0;
        user->topics_since_ms = now_ms;
    }
    user->topics++;
}

/* ---- what there is ---- */

void users_stats(const struct connection *connection, users_stat_fn *fn, void *arg)
{
    const struct options *options = connection->server->options;
    const struct user *user = connection->user;

    if (user == NULL) {
        return; /* No limits */
    }
    fn(arg, "user_connections", user->connections);
    fn(arg, "user_connections_max", options->user_connections_max);
    fn(arg, "user_bytes", user->bytes);
    fn(arg, "user_bytes_max", options->user_bytes_max);
    fn(arg, "user_waits", user->waiting_reads);
    fn(arg, "user_waits_max", options->user_waits_max);
    fn(arg, "user_topics", window_over(user, uv_now(&connection->server->loop)) ? 0 : user->topics);
    fn(arg, "user_topics_max", options->user_topics_max);
}
