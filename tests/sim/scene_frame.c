/* The frames that clients send: of a request, of HELLO, and those that are nonsense. */
#include <string.h>

#include "core/check.h"
#include "proto/frame.h"
#include "tests/sim/scene.h"

struct message_name ask_name(const char *text)
{
    return (struct message_name){.data = text, .size = (uint16_t)strlen(text)};
}

/* Encode and queue; batch: behind an APPEND. */
void ask_send(struct client *c, struct call *call, const struct message *message, const void *batch,
              size_t batch_size)
{
    static uint8_t bytes[4096 + ASK_BATCH_MAX + 8192];
    const size_t body = message_size(message) + batch_size;
    struct frame frame = {
        .size = (uint32_t)(FRAME_HEADER_SIZE + body), .type = message->type, .id = call->id};

    CHECK(FRAME_HEADER_SIZE + body <= sizeof bytes);
    frame_encode(bytes, &frame);
    (void)message_encode(bytes + FRAME_HEADER_SIZE, message);
    if (batch_size > 0) {
        memcpy(bytes + FRAME_HEADER_SIZE + body - batch_size, batch, batch_size);
    }
    call->message = *message;
    scene_log(c->scene, "client %llu asks %llu: type %u, topic %u cursor %u, %u bytes",
              (unsigned long long)c->number, (unsigned long long)call->id, message->type,
              call->name_index, call->cursor, frame.size);
    client_queue(c, call, bytes, frame.size);
    if (c->greeted && frame.size > c->hello.frame_size_max) {
        /* It is refused for its header alone, and nothing behind that is looked at. */
        call->may = MAY(-TUSK_EPROTOCOL);
        call->stream_end -= frame.size - FRAME_HEADER_SIZE;
        c->doom = call->stream_end < c->doom ? call->stream_end : c->doom;
    }
}

/* ---- HELLO ---- */

void ask_hello(struct client *c)
{
    struct scene *s = c->scene;
    const struct ledger_name *name = &s->ledger.names[c->space_index];
    struct call *call = client_call(c, MESSAGE_HELLO);
    struct message message = {.type = MESSAGE_HELLO};
    const uint64_t features = c->maps               ? FEATURE_UNCHECKED | FEATURE_MAPPED
                              : scene_chance(s, 30) ? FEATURE_UNCHECKED
                                                    : 0;

    call->space_index = c->space_index;
    call->may = MAY_OK;
    message.u.hello = (struct message_hello){
        .version_min = 1,
        .version_max = 1,
        .space = ask_name(
            c->space_index == 0 && scene_chance(s, 50) ? "" : ledger_space_names[c->space_index]),
        .client = ask_name("simulated"),
        .features = features,
    };
    if (c->habit == HABIT_FOREIGN) {
        call->may = MAY(-TUSK_EDENIED);
    } else if (c->habit == HABIT_NONSENSE && scene_chance(s, 10)) {
        message.u.hello.version_min = 2;
        message.u.hello.version_max = 3;
        call->may = MAY(-TUSK_EVERSION);
    } else if (name->presence != SPACE_PRESENT || name->changing) {
        call->may |= MAY(-TUSK_ENOTFOUND);
    }
    c->said_hello = true;
    ask_send(c, call, &message, NULL, 0);
}

/* ---- nonsense ---- */

void ask_nonsense(struct client *c)
{
    struct scene *s = c->scene;
    uint8_t bytes[256];
    struct call *call = client_call(c, MESSAGE_PING);
    struct frame frame = {.size = FRAME_HEADER_SIZE, .type = MESSAGE_PING, .id = call->id};
    bool ends = false;

    random_fill(&s->random, bytes, sizeof bytes);
    switch (scene_below(s, 6)) {
    case 0: /* A type nobody knows */
        frame.type = (uint16_t)(MESSAGE_TYPE_END + scene_below(s, 1000));
        frame.size += (uint32_t)scene_below(s, 100);
        call->may = MAY(-TUSK_EUNSUPPORTED);
        break;
    case 1: /* A body that says nothing */
        frame.type = (uint16_t)random_between(&s->random, MESSAGE_APPEND, MESSAGE_RELEASE);
        frame.size += 1u + (uint32_t)scene_below(s, 12);
        memset(bytes, 0xff, sizeof bytes);
        call->may = MAY(-TUSK_EINVALID) | MAY(-TUSK_EUNSUPPORTED);
        break;
    case 2: /* A request with the outcome in it */
        frame.status = 1 + (uint16_t)scene_below(s, 20);
        call->may = MAY(-TUSK_EINVALID);
        break;
    case 3: /* A size out of bounds */
        frame.size = scene_chance(s, 50) ? (uint32_t)scene_below(s, FRAME_HEADER_SIZE)
                                         : UINT32_MAX - (uint32_t)scene_below(s, 1000);
        ends = true;
        break;
    case 4: /* A reply */
        frame.type |= FRAME_REPLY;
        ends = true;
        break;
    default: /* HELLO comes once */
        frame.type = MESSAGE_HELLO;
        ends = c->greeted;
        call->may = MAY(-TUSK_EPROTOCOL) | MAY(-TUSK_EINVALID);
        break;
    }
    call->type = frame.type & (uint16_t)~FRAME_REPLY;
    frame_encode(bytes, &frame);
    if (ends) {
        call->may = MAY(-TUSK_EPROTOCOL);
        frame.size = FRAME_HEADER_SIZE;
    }
    scene_log(s, "client %llu sends nonsense %llu: type %u size %u%s",
              (unsigned long long)c->number, (unsigned long long)call->id, frame.type, frame.size,
              ends ? ", which ends the connection" : "");
    client_queue(c, call, bytes, frame.size);
    if (ends && c->doom == NEVER) {
        c->doom = call->stream_end;
    }
}
