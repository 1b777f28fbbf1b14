/* Requests that are little but their type: PING, SYNC, STATS, SNAPSHOT_BEGIN and SNAPSHOT_END. */
#include "tests/sim/scene.h"

void reply_snapshot(struct client *c, struct call *call, const uint8_t *body, size_t size)
{
    struct message_snapshot_reply reply;

    if (message_snapshot_reply_decode(&reply, body, size) != 0) {
        reply_unreadable(c, call);
    }
}

void ask_simple(struct client *c, uint16_t type)
{
    struct message message = {.type = type};
    struct call *call = client_call(c, type);

    call->space = c->space;
    call->may = MAY_OK;
    if (type == MESSAGE_SYNC) {
        call->may |= MAY(-TUSK_EBUSY);
    } else if (type == MESSAGE_SNAPSHOT_BEGIN) {
        call->may |= MAY(-TUSK_EBUSY) | MAY(-TUSK_ECLOSED); /* Ended before it had begun */
    } else if (type == MESSAGE_SNAPSHOT_END) {
        call->may |= MAY(-TUSK_EINVALID);
        message.u.snapshot_end.shared = scene_chance(c->scene, 50);
    }
    ask_send(c, call, &message, NULL, 0);
}
