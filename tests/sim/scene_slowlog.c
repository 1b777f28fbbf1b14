/* SLOWLOG: what took long in this life, as it is told. How long that was the simulated clock says, which
 * goes on while the disk works. */
#include <string.h>

#include "server/meter.h"
#include "tests/sim/scene.h"

void ask_slowlog(struct client *c)
{
    struct scene *s = c->scene;
    struct message message = {.type = MESSAGE_SLOWLOG};
    struct call *call = client_call(c, MESSAGE_SLOWLOG);

    call->space = c->space;
    call->may = MAY_OK;
    message.u.slowlog.max = 1 + (uint32_t)scene_below(s, scene_chance(s, 50) ? 3 : 1000);
    message.u.slowlog.before = scene_chance(s, 60) ? 0 : scene_below(s, 40);
    message.u.slowlog.forget = scene_chance(s, 5);
    ask_send(c, call, &message, NULL, 0);
}

static bool known_request(const struct message_name *name)
{
    unsigned type;

    for (type = 0; type < METER_TYPES; type++) {
        const char *known = meter_type_name(type);

        if (known != NULL && name->size == strlen(known) &&
            memcmp(known, name->data, name->size) == 0) {
            return true;
        }
    }
    return false;
}

static void check_slow(struct scene *s, const struct message_slow *slow)
{
    if (!known_request(&slow->request) ||
        slow->duration_us !=
            slow->waited_us + slow->queued_us + slow->worked_us + slow->synced_us ||
        slow->duration_us <= s->config.options.slowlog_threshold * 1000) {
        scene_fail(
            s, "what is told of a slow request is so",
            "number %llu: %llu us (%llu waited, %llu queued, %llu worked, %llu synced), at %llu",
            (unsigned long long)slow->number, (unsigned long long)slow->duration_us,
            (unsigned long long)slow->waited_us, (unsigned long long)slow->queued_us,
            (unsigned long long)slow->worked_us, (unsigned long long)slow->synced_us,
            (unsigned long long)slow->time_us);
    }
}

/* Newest first, below the number asked for, no more than asked for, and none when they are to be
 * forgotten. */
void reply_slowlog(struct client *c, struct call *call, const uint8_t *body, size_t size)
{
    const struct message_slowlog *wanted = &call->message.u.slowlog;
    uint64_t before = wanted->before == 0 ? UINT64_MAX : wanted->before;
    struct message_reader reader;
    struct message_slow slow;
    uint32_t count = 0;
    int rc = message_list_begin(&reader, body, size);

    while (rc == 0 && (rc = message_slow_list_next(&reader, &slow)) == 1) {
        check_slow(c->scene, &slow);
        count++;
        if (slow.number == 0 || slow.number >= before || count > wanted->max || wanted->forget) {
            scene_fail(c->scene, "slow requests are listed as asked for", "number %llu behind %llu",
                       (unsigned long long)slow.number, (unsigned long long)before);
        }
        before = slow.number;
        rc = 0;
    }
    if (rc != 0) {
        reply_unreadable(c, call);
    }
}
