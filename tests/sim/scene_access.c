/* ACCESS: what a client may do, as it is told. Only about itself: whom else there is, the daemon would
 * ask this machine. */
#include "tests/sim/scene.h"

#define ALL_RIGHTS (MESSAGE_RIGHT_READ | MESSAGE_RIGHT_APPEND | MESSAGE_RIGHT_ADMIN)

void ask_access(struct client *c)
{
    struct scene *s = c->scene;
    struct message message = {.type = MESSAGE_ACCESS};
    struct call *call = client_call(c, MESSAGE_ACCESS);

    call->space = c->space;
    call->may = MAY_OK;
    message.u.access.space =
        ask_name(scene_chance(s, 50) ? "" : ledger_space_names[scene_below(s, LEDGER_SPACES)]);
    ask_send(c, call, &message, NULL, 0);
}

/* Without allow lines who gets this far is root or the daemon's own user, and may do everything, also
 * with a namespace that is not there. */
void reply_access(struct client *c, struct call *call, const uint8_t *body, size_t size)
{
    struct message_access_reply reply;

    if (message_access_reply_decode(&reply, body, size) != 0) {
        reply_unreadable(c, call);
    }
    if (reply.uid != c->link.uid || reply.rights != ALL_RIGHTS || reply.user.size != 0 ||
        reply.why.size == 0) {
        scene_fail(c->scene, "who may do what is told", "client %llu, user %u: user %u, rights %u",
                   (unsigned long long)c->number, (unsigned)c->link.uid, reply.uid, reply.rights);
    }
}
