/* ACCESS: what a user may do with a namespace, and why. Who asks about himself is not looked up:
 * that may take the system long (a directory in the network), and everybody waits for the loop. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/access.h"
#include "core/engine.h"
#include "proto/message.h"
#include "server/connection.h"
#include "server/dispatch.h"
#include "server/rights.h"
#include "server/server.h"

#define GROUPS_MAX 65536
#define LOOKUP_SIZE 65536u

_Static_assert(ACCESS_READ == MESSAGE_RIGHT_READ && ACCESS_APPEND == MESSAGE_RIGHT_APPEND &&
                   ACCESS_ADMIN == MESSAGE_RIGHT_ADMIN,
               "rights are sent as they are");

/* A number, or a name of the system's. False: it knows none. *user may be NULL for a number. */
static bool look_up(const struct message_name *name, uint32_t *uid, struct passwd *room,
                    struct passwd **user)
{
    static char bytes[LOOKUP_SIZE];
    char text[MESSAGE_NAME_SIZE_MAX + 1];

    (void)snprintf(text, sizeof text, "%.*s", (int)name->size, name->data);
    *user = NULL;
    if (access_number(text, uid)) {
        (void)getpwuid_r(*uid, room, bytes, sizeof bytes, user);
        return true;
    }
    (void)getpwnam_r(text, room, bytes, sizeof bytes, user);
    *uid = *user != NULL ? (*user)->pw_uid : 0;
    return *user != NULL;
}

/* Of a user who is not here: the groups that the system says he has. */
static void find_groups(const struct passwd *user, struct access_who *who)
{
    static gid_t groups[GROUPS_MAX];
    int count = GROUPS_MAX;

    who->groups = groups;
    if (user != NULL && getgrouplist(user->pw_name, user->pw_gid, groups, &count) >= 0) {
        who->group_count = (size_t)count;
    }
}

static void explain(const struct access_who *who, const struct access_rule *rule, uint32_t rights,
                    char *text, size_t size)
{
    char where[OPTIONS_ORIGIN_SIZE];

    if (rule != NULL) {
        option_origin_text(&rule->origin, where);
        (void)snprintf(text, size, "allow in %s", where);
    } else if (rights != 0) {
        (void)snprintf(text, size, "root and the daemon's own user may do everything");
    } else if (who->uid == access_overflow_uid()) {
        (void)snprintf(text, size, "the kernel has no number for this user");
    } else {
        (void)snprintf(text, size, "no allow line matches");
    }
}

enum dispatch_result dispatch_access(struct connection *connection, struct reply_to to,
                                     const struct message *message, uint32_t frame_size)
{
    const struct message_access *wanted = &message->u.access;
    struct message_name space = wanted->space;
    struct engine_namespace_info info = {.name = ""};
    struct message_access_reply reply = {.uid = connection->uid};
    const struct access_rule *rule;
    struct passwd *user = NULL;
    struct access_who who;
    struct passwd room;
    char why[OPTIONS_ORIGIN_SIZE + 32];
    uint8_t *body;

    (void)frame_size;
    if (space.size == 0 && connection->ns != NULL) {
        engine_namespace_info(connection->ns, &info);
        space = (struct message_name){.data = info.name, .size = (uint16_t)strlen(info.name)};
    }
    rights_who(connection, &who);
    if (wanted->user.size > 0) {
        if (!dispatch_may(connection, to,
                          rights_of(connection->server, &who, space.data, space.size, NULL),
                          ACCESS_ADMIN, space.data, space.size)) {
            return DISPATCH_TAKEN;
        }
        if (!look_up(&wanted->user, &reply.uid, &room, &user)) {
            reply_error(connection, to, TUSK_ENOTFOUND, 0, 0, "the system knows no such user");
            return DISPATCH_TAKEN;
        }
        who = (struct access_who){.uid = reply.uid};
        find_groups(user, &who);
    }
    reply.rights = (uint16_t)rights_of(connection->server, &who, space.data, space.size, &rule);
    explain(&who, rule, reply.rights, why, sizeof why);
    reply.why = (struct message_name){.data = why, .size = (uint16_t)strlen(why)};
    reply.user = (struct message_name){.data = user != NULL ? user->pw_name : ""};
    reply.user.size = (uint16_t)strnlen(reply.user.data, MESSAGE_NAME_SIZE_MAX);
    if (!message_utf8_valid(reply.user.data, reply.user.size)) {
        reply.user.size = 0; /* The reply could not be decoded */
    }
    body = reply_begin(connection, to, message_access_reply_size(&reply));
    if (body != NULL) {
        (void)message_access_reply_encode(body, &reply);
    }
    return DISPATCH_TAKEN;
}
