/* What the user at the other end of a connection may do: config/access.h says by which rules.
 *
 * Who that is the kernel noted when it connected: SO_PEERCRED, SO_PEERGROUPS (unix(7)). */
#ifndef SERVER_RIGHTS_H
#define SERVER_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct access_rule;
struct access_who;
struct connection;
struct server;

#define RIGHTS_TEXT_SIZE 512u /* Of rights_refusal() */

/* Who it is. The groups are borrowed until the next call. */
void rights_who(const struct connection *connection, struct access_who *who);
/* The rights that somebody has on a namespace, which need not be there. *rule (may be NULL): the
 * first rule that gives any, or NULL where none is needed. */
uint32_t rights_of(const struct server *server, const struct access_who *who, const char *space,
                   size_t space_size, const struct access_rule **rule);
/* The same, of a connection. */
uint32_t rights_on(const struct connection *connection, const char *space, size_t space_size);
/* Whether limits of users are not his: root, the daemon's own user, and who may administer any
 * namespace. */
bool rights_privileged(const struct connection *connection);
/* The rules have changed: look again what each connection may do with its namespace. One that has
 * lost a right is owed what it has asked for, and then closed. */
void rights_refresh(struct server *server);
/* A sentence that says what is missing, in RIGHTS_TEXT_SIZE bytes. */
void rights_refusal(const struct connection *connection, const char *space, size_t space_size,
                    uint32_t has, uint32_t needed, char *text);

#endif
