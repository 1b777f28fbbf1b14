/* RELEASE: of what a client has had for long enough, and of what it has not. */
#include "tests/sim/lessee.h"
#include "tests/sim/scene.h"

static void send_release(struct client *c, const struct message *message)
{
    struct call *call = client_call(c, MESSAGE_RELEASE);

    call->space = c->space;
    call->may = lessee_give_back(c, &message->u.release) ? MAY_OK : MAY(-TUSK_EINVALID);
    if (c->space_deleted) { /* By this client, perhaps: then its leases are none any more */
        call->may = MAY_OK | MAY(-TUSK_EINVALID);
    }
    ask_send(c, call, message, NULL, 0);
}

void ask_release_due(struct client *c)
{
    struct message message = {.type = MESSAGE_RELEASE};

    if (lessee_due(c, &message.u.release) > 0) {
        send_release(c, &message);
    }
}

/* Any numbers, in any order: leases that it has, and others, but not while one of these may be on its
 * way to it. */
void ask_release(struct client *c)
{
    struct scene *s = c->scene;
    struct message message = {.type = MESSAGE_RELEASE};
    struct message_release *release = &message.u.release;
    const bool known = client_places_asked(c) == 0;

    do {
        static const uint32_t mosts[] = {2, 4, MESSAGE_LEASES_MAX, UINT32_MAX};
        const uint32_t most = mosts[scene_below(s, 4)];

        release->leases[release->count++] =
            (uint32_t)(known ? scene_below(s, most)
                             : random_between(&s->random, MESSAGE_LEASES_MAX, UINT32_MAX));
    } while (release->count < MESSAGE_LEASES_MAX && scene_chance(s, 60));
    if (known && scene_chance(s, 50)) { /* Twice at once */
        release->count = 2;
        release->leases[1] = release->leases[0];
    }
    send_release(c, &message);
}

/* All that it has, and all that it would get of what it asked. */
void ask_release_all(struct client *c)
{
    const struct message message = {.type = MESSAGE_RELEASE};
    struct call *call = client_call(c, MESSAGE_RELEASE);

    call->space = c->space;
    call->may = MAY_OK;
    ask_send(c, call, &message, NULL, 0);
}
