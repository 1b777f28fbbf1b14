/* What clients get: frames, and for each the request it is for; and what a refusal, or none, means. */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "proto/frame.h"
#include "tests/sim/lessee.h"
#include "tests/sim/scene.h"

/* ---- refusals ---- */

static uint32_t may_fail(const struct client *c, const struct call *call)
{
    const struct scene *s = c->scene;
    const struct ledger_name *name = &s->ledger.names[call->space_index];
    uint32_t may = call->may;

    if (s->stopping || (call->type == MESSAGE_READ && c->half_closed)) {
        may |= MAY(-TUSK_ECLOSED);
    }
    if (call->type == MESSAGE_READ && c->doom != NEVER) {
        may |= MAY(-TUSK_ECLOSED); /* What ends a connection ends its waiting */
    }
    if (scene_excused(s)) {
        may |= MAY(-TUSK_EIO) | MAY(-TUSK_EUNKNOWN) | MAY(-TUSK_ENOMEM) | MAY(-TUSK_ENOSPACE) |
               MAY(-TUSK_ECORRUPT) | MAY(-TUSK_ENOTFOUND) | MAY(-TUSK_EBUSY) | MAY(-TUSK_ECLOSED);
    }
    if (s->full) {
        may |= MAY(-TUSK_ENOSPACE) | MAY(-TUSK_EBUSY);
    }
    if (s->taste.tiny_memory) {
        may |= MAY(-TUSK_ENOMEM);
    }
    if (call->early) {
        may |= MAY(-TUSK_EPROTOCOL);
    }
    if (call->type == MESSAGE_APPEND && s->taste.quota) {
        may |= MAY(-TUSK_EQUOTA);
    }
    if (call->type == MESSAGE_READ && c->space_deleted) {
        /* It goes with the namespace. Not held against the daemon: one that waits for the disk is
         * told that the disk failed. */
        may |= MAY(-TUSK_ECLOSED) | MAY(-TUSK_EIO);
    }
    if (call->type == MESSAGE_HELLO && call->may != MAY(-TUSK_EDENIED) &&
        (name->changing || name->absent_since > call->asked)) {
        may |= MAY(-TUSK_ENOTFOUND);
    }
    if (call->name_index < LEDGER_TOPICS &&
        s->ledger.blind[c->space_index][call->name_index] == ~0u) {
        /* A topic of that name was to be deleted: it may be another one by now. */
        may |= MAY(-TUSK_ENOTFOUND) | MAY(-TUSK_EINVALID) | MAY(-TUSK_ETRIMMED);
    }
    if (c->space != NULL && c->space->rescheduled) {
        may |= call->type == MESSAGE_READ || call->type == MESSAGE_SEEK ||
                       call->type == MESSAGE_CURSOR_CREATE || call->type == MESSAGE_CHECKPOINT ||
                       call->type == MESSAGE_TOPIC_TRIM
                   ? MAY(-TUSK_EINVALID)
                   : 0; /* See struct ledger_space */
    }
    if (call->type == MESSAGE_CHECKPOINT && call->topic != NULL &&
        call->topic->cursors[call->cursor].loose) {
        may |= MAY(-TUSK_ENOTFOUND);
    }
    if (c->space_deleted || (call->topic != NULL && call->topic->delete_asked)) {
        may |= MAY(-TUSK_ENOTFOUND);
    }
    return may;
}

static void refused(struct client *c, struct call *call, int status,
                    const struct message_error *error)
{
    struct scene *s = c->scene;
    /* Of a failed disk any status may come, with the namespace half made or half deleted. */
    const bool vague = scene_excused(s) || status == TUSK_EIO || status == TUSK_EUNKNOWN ||
                       status == TUSK_ENOMEM || status == TUSK_ENOSPACE;

    if (!((may_fail(c, call) >> (unsigned)-status) & 1u)) {
        scene_fail(s, "nothing is refused without its reason", "request %llu of type %u: %s: %.*s",
                   (unsigned long long)call->id, call->type, status_name(status),
                   (int)error->text.size, error->text.data);
    }
    if (call->type == MESSAGE_RELEASE) {
        lessee_given_back(c, &call->message.u.release, status == TUSK_EINVALID);
    }
    if (call->append != NULL && status != TUSK_EUNKNOWN) {
        if (call->append->fate == FATE_TOLD) {
            scene_fail(s, "what is refused is not stored", "append %llu was read before",
                       (unsigned long long)call->append->number);
        }
        call->append->fate = FATE_NEVER;
    }
    if (call->type == MESSAGE_READ && status == TUSK_EEND) {
        reply_read_end(c, call, error);
    } else if (call->type == MESSAGE_READ && status == TUSK_ETRIMMED) {
        reply_read_trimmed(c, call, error);
    }
    if (status == TUSK_EPROTOCOL && call->stream_end < c->doom) {
        c->doom = call->stream_end;
    }
    if (call->type == MESSAGE_HELLO && c->habit != HABIT_FOREIGN) {
        c->said_hello = c->greeted;
        c->space_index = 0;
    }
    if ((call->type == MESSAGE_NAMESPACE_CREATE || call->type == MESSAGE_NAMESPACE_DELETE) &&
        call->may != 0 && !vague) {
        s->ledger.names[call->space_index].changing = false;
    } else if (call->type == MESSAGE_NAMESPACE_SET && !vague) {
        s->ledger.names[call->space_index].setting = false;
    }
}

void reply_none(struct client *c, struct call *call)
{
    struct scene *s = c->scene;
    struct ledger_name *name = &s->ledger.names[call->space_index];
    const bool never = call->stream_end > c->sent || call->stream_end > c->doom;

    if (call->append != NULL && call->append->fate == FATE_OPEN && never) {
        call->append->fate = FATE_NEVER;
    }
    if (call->type == MESSAGE_NAMESPACE_SET && never) {
        name->setting = false;
    } else if (call->type == MESSAGE_NAMESPACE_CREATE || call->type == MESSAGE_NAMESPACE_DELETE) {
        name->changing = !never;
        name->presence = never ? name->presence : SPACE_UNKNOWN;
    }
}

/* ---- frames ---- */

static struct call *take_call(struct client *c, const struct frame *frame)
{
    struct call **at = &c->calls;
    struct call *call;

    while (*at != NULL && (*at)->id != frame->id) {
        at = &(*at)->next;
    }
    call = *at;
    if (call == NULL || frame->type != (call->type | FRAME_REPLY) || call->stream_end > c->sent ||
        call->stream_end > c->doom) {
        scene_fail(c->scene, "a reply is for one request, and there is one for each",
                   "client %llu: id %llu, type %u: %s", (unsigned long long)c->number,
                   (unsigned long long)frame->id, frame->type,
                   call == NULL                 ? "nobody waits for it"
                   : call->stream_end > c->sent ? "not asked yet"
                   : call->stream_end > c->doom ? "behind the end of the connection"
                                                : "another type");
    }
    *at = call->next;
    c->call_count--;
    return call;
}

static void judge_reply(struct client *c, const struct frame *frame, const uint8_t *body)
{
    struct scene *s = c->scene;
    const size_t size = frame->size - FRAME_HEADER_SIZE;
    struct call *call = take_call(c, frame);
    struct message_error error;

    scene_log(s, "client %llu: reply to %llu, type %u: %s", (unsigned long long)c->number,
              (unsigned long long)frame->id, call->type,
              frame->status == 0 ? "OK" : status_name(frame->status));
    c->replied_us = scene_now_us(s);
    s->report->replies++;
    s->report->statuses[frame->status < SCENE_STATUSES ? frame->status : SCENE_STATUSES - 1]++;
    if (frame->status == 0) {
        if ((call->may & MAY_OK) == 0 || (call->type != MESSAGE_HELLO && c->space == NULL)) {
            scene_fail(s, "what is wrong is refused", "client %llu, request %llu of type %u",
                       (unsigned long long)c->number, (unsigned long long)call->id, call->type);
        }
        reply_told(c, call, body, size);
    } else if (frame->status >= SCENE_STATUSES || message_error_decode(&error, body, size) != 0 ||
               error.text.size == 0) {
        reply_unreadable(c, call);
    } else {
        refused(c, call, -(int)frame->status, &error);
    }
    free(call);
}

/* The descriptor that comes with the frame at hand, unless the kernel has none to spare for the process. */
static void take_right(struct client *c, uint32_t frame_size)
{
    struct sim_right right;

    c->has_right = sim_link_take_right(&c->link, c->in_taken + frame_size, &right);
    if (!c->has_right) {
        return;
    }
    if (right.at != c->in_taken) {
        scene_fail(c->scene, "a descriptor comes with the first byte of its reply",
                   "with byte %llu", (unsigned long long)(right.at - c->in_taken));
    }
    c->right_file = right.file;
    c->right_dropped = scene_chance(c->scene, 2);
    if (c->right_dropped) {
        sim_shared_drop(c->scene->disk, right.file);
    }
}

bool reply_take(struct client *c)
{
    const uint8_t *bytes = sim_bytes_data(&c->in);
    const size_t size = sim_bytes_size(&c->in);
    const uint32_t most = c->greeted ? c->hello.frame_size_max : FRAME_SIZE_BEFORE_HELLO;
    struct frame frame;
    enum frame_result result;
    uint64_t hash;
    size_t i;

    if (size == 0) {
        return false;
    }
    result = frame_parse(&frame, bytes, size, most);
    if (result == FRAME_BAD) {
        scene_fail(c->scene, "frames are within their limits", "size %u, at most %u", frame.size,
                   most);
    }
    if (result == FRAME_PARTIAL) {
        return false;
    }
    hash = c->scene->results ^ c->number;
    for (i = 0; i < frame.size; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    c->scene->results = random_split(&hash);
    take_right(c, frame.size);
    judge_reply(c, &frame, bytes + FRAME_HEADER_SIZE);
    if (c->has_right) {
        scene_fail(c->scene, "no descriptor comes that is not announced", "with a reply of type %u",
                   frame.type);
    }
    sim_bytes_take(&c->in, frame.size);
    c->in_taken += frame.size;
    return true;
}
