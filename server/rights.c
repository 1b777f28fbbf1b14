#include "server/rights.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "config/config.h"
#include "core/engine.h"
#include "server/connection.h"
#include "server/server.h"

#define GROUPS_MAX 65536u /* The kernel's (NGROUPS_MAX), without the first one */

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

/* Of whom was asked for last; the loop is one thread. */
static gid_t groups[GROUPS_MAX + 1];

_Static_assert(sizeof(gid_t) == sizeof(uint32_t), "groups are handed on as they are");

void rights_who(const struct connection *connection, struct access_who *who)
{
    struct ucred peer = {.uid = (uid_t)-1, .gid = (gid_t)-1};
    socklen_t size = sizeof peer;
    uv_os_fd_t fd;

    *who = (struct access_who){.uid = connection->uid, .groups = groups};
    if (uv_fileno((const uv_handle_t *)&connection->pipe, &fd) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        return; /* Without groups it matches less */
    }
    groups[who->group_count++] = peer.gid;
    size = sizeof groups - sizeof groups[0];
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups + 1, &size) == 0) {
        who->group_count += size / sizeof groups[0];
    }
}

/* Root, and the daemon's own user: but not where that is a number that stands for anybody. */
static bool may_everything(uid_t uid)
{
    return uid == 0 || (uid == geteuid() && uid != access_overflow_uid());
}

uint32_t rights_of(const struct server *server, const struct access_who *who, const char *space,
                   size_t space_size, const struct access_rule **rule)
{
    char name[CONFIG_NAME_SIZE_MAX + 1];

    if (rule != NULL) {
        *rule = NULL;
    }
    if (may_everything(who->uid)) {
        return ACCESS_ALL;
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)space_size, space);
    return access_rights(access_of(server->config, name), who, rule);
}

uint32_t rights_on(const struct connection *connection, const char *space, size_t space_size)
{
    struct access_who who;

    rights_who(connection, &who);
    return rights_of(connection->server, &who, space, space_size, NULL);
}

bool rights_privileged(const struct connection *connection)
{
    const struct server *server = connection->server;
    struct access_who who;

    if (may_everything(connection->uid)) {
        return true;
    }
    if (!access_any(server->config)) {
        return false;
    }
    rights_who(connection, &who);
    return access_administers(server->config, &who);
}

void rights_refresh(struct server *server)
{
    struct connection *connection;

    for (connection = server->connections; connection != NULL; connection = connection->next) {
        if (connection->ns != NULL) {
            struct engine_namespace_info info;

            const uint32_t had = connection->rights;

            engine_namespace_info(connection->ns, &info);
            connection->rights = rights_on(connection, info.name, strlen(info.name));
            if ((had & ~connection->rights) != 0) {
                connection_finish(connection); /* What it waits for is not delivered any more */
            }
        }
    }
}

void rights_refusal(const struct connection *connection, const char *space, size_t space_size,
                    uint32_t has, uint32_t needed, char *text)
{
    const unsigned long uid = connection->uid;
    char has_text[ACCESS_TEXT_SIZE];
    char needed_text[ACCESS_TEXT_SIZE];

    if (has == 0) {
        (void)snprintf(text, RIGHTS_TEXT_SIZE,
                       "user id %lu may not use namespace \"%.*s\": only root, the daemon's own "
                       "user and whom an allow line of its configuration names may",
                       uid, (int)space_size, space);
        return;
    }
    access_text(has, has_text);
    access_text(needed, needed_text);
    (void)snprintf(
        text, RIGHTS_TEXT_SIZE,
        "user id %lu may not do this with namespace \"%.*s\": it takes the right %s, and "
        "an allow line of the daemon's configuration gives only %s",
        uid, (int)space_size, space, needed_text, has_text);
}
