/* What one user may take of the daemon: connections, bytes in flight, reads that wait, new topics.
 *
 *     connection_accept ---> users_enter ---> counted ---> users_leave
 *                                  \---> turned away: told at its HELLO, or closed at once
 *
 * A user is the uid at the other end. *Privileged* are root, the daemon's own user, and who has the
 * right admin on any namespace, as of when he connected: they have no limits, `user` of their
 * connections is NULL, and the last of the connections (admin_connections) and of the memory is
 * theirs, so that nobody else can keep them from looking and mending. */
#ifndef SERVER_USERS_H
#define SERVER_USERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct connection;
struct server;

#define USERS_TEXT_SIZE 256u /* Of the sentences below */

struct user {
    struct user *next;
    uid_t uid;
    uint32_t connections;   /* Those turned away not included */
    uint32_t waiting_reads; /* Some of connections that are gone */
    uint64_t bytes;         /* In flight: requests, what reads may need, and replies not taken */
    uint32_t topics;        /* Made since: */
    uint64_t topics_since_ms;
    uint64_t told_ms; /* When the log told of him last; 0: never */
};

struct users {
    struct user *first; /* Owned list */
    uint32_t count;
    uint32_t connections; /* Of all who are not privileged */
    uint32_t turned_away; /* Connections that wait for the bad news */
};

enum users_verdict { USERS_TAKEN, USERS_TURNED_AWAY, USERS_CLOSE };

/* Who is at the other end of a new connection, and whether he may have it. */
enum users_verdict users_enter(struct connection *connection);
/* The connection closes. */
void users_leave(struct connection *connection);
/* The sentence for one that was turned away. */
void users_why_turned_away(const struct connection *connection, char text[USERS_TEXT_SIZE]);

/* Bytes in flight of a connection: more, or less. */
void users_add_bytes(struct connection *connection, uint64_t bytes);
void users_take_bytes(struct connection *connection, uint64_t bytes);
/* Whether he has so much in flight that no more is read from him. */
bool users_bytes_used_up(const struct connection *connection);

/* Whether he may have one more read that waits; else why not. */
bool users_may_wait(const struct connection *connection, char text[USERS_TEXT_SIZE]);
/* One more waits, or one less. NULL allowed. */
void users_read_waits(struct user *user);
void users_read_ended(struct server *server, struct user *user);

/* Whether he may make one more topic; else why not. */
bool users_may_make_topic(const struct connection *connection, char text[USERS_TEXT_SIZE]);
void users_made_topic(struct connection *connection);

/* Name, usage and limit, for each of the above. */
typedef void users_stat_fn(void *arg, const char *name, uint64_t value);
void users_stats(const struct connection *connection, users_stat_fn *fn, void *arg);

/* Every connection and request is gone. */
void users_deinit(struct server *server);

#endif
