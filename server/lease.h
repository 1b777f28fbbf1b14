/* Leases: parts of blocks that a client may have mapped. A leased block is not used again, punched
 * or truncated.
 *
 *     READ with the flag mapped ---> leased ---> RELEASE ---> given back
 *                                      \--- the connection closes ---> its process is gone ---^
 *
 * A connection that goes leaves its leases behind: its process may still read what it has mapped.
 * They end when the process does (pidfd). Where too many processes linger, or one cannot be
 * watched, the blocks are retired: not used again until the next start. A lease ends with its
 * namespace, too: the files of a deleted one are nobody's to write to. */
#ifndef SERVER_LEASE_H
#define SERVER_LEASE_H

#include <stdbool.h>
#include <stdint.h>

struct connection;
struct engine_range;
struct namespace;
struct server;

/* Whether one more could be had. */
bool lease_possible(struct connection *connection);
/* Take a range over. Only when lease_possible(). */
uint32_t lease_take(struct connection *connection, struct engine_range *range);
/* False: there is no such lease. */
bool lease_release(struct connection *connection, uint32_t lease);
/* Whether the connection has one. */
bool lease_any(const struct connection *connection);
/* All of them. */
void lease_release_all(struct connection *connection);
/* Whether the client has a segment's descriptor, as PROTOCOL.md says that it keeps them; and that
 * it is being sent. */
bool lease_has_segment(const struct connection *connection, uint64_t segment);
void lease_add_segment(struct connection *connection, uint64_t segment);

/* The connection closes. Not from inside engine_poll(). */
void lease_leave(struct connection *connection);
/* The namespace is deleted: its leases are nothing any more. */
void lease_forget(struct server *server, const struct namespace *ns);
/* How many blocks are leased, of live connections and of those that went. */
void lease_count(const struct server *server, uint64_t *live, uint64_t *left);
/* Free what is still there, engine and loop being gone. */
void lease_deinit(struct server *server);

#endif
