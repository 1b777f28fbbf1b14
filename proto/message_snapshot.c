/* SNAPSHOT_END, and the reply to SNAPSHOT_BEGIN. */
#include "proto/message_cursor.h"

void message_take_snapshot_end(struct message_input *in, struct message *message)
{
    message->u.snapshot_end.shared = message_take_bool(in);
}

void message_put_snapshot_end(struct message_output *out, const struct message *message)
{
    message_put_u16(out, message->u.snapshot_end.shared);
}

static void put_snapshot_reply(struct message_output *out,
                               const struct message_snapshot_reply *reply)
{
    message_put_u64(out, reply->manifest_first);
    message_put_u64(out, reply->manifest_last);
    message_put_u64(out, reply->journal_first);
    message_put_u64(out, reply->journal_last);
    message_put_u64(out, reply->journal_used);
    message_put_u64(out, reply->segments_end);
    message_put_text(out, &reply->root);
    message_put_text(out, &reply->dir);
}

size_t message_snapshot_reply_size(const struct message_snapshot_reply *reply)
{
    struct message_output out = {.to = NULL};

    put_snapshot_reply(&out, reply);
    return out.size;
}

size_t message_snapshot_reply_encode(uint8_t *to, const struct message_snapshot_reply *reply)
{
    struct message_output out = {.to = to};

    put_snapshot_reply(&out, reply);
    return out.size;
}

int message_snapshot_reply_decode(struct message_snapshot_reply *reply, const uint8_t *body,
                                  size_t size)
{
    struct message_input in = {.at = body, .left = size};

    reply->manifest_first = message_take_u64(&in);
    reply->manifest_last = message_take_u64(&in);
    reply->journal_first = message_take_u64(&in);
    reply->journal_last = message_take_u64(&in);
    reply->journal_used = message_take_u64(&in);
    reply->segments_end = message_take_u64(&in);
    reply->root = message_take_text(&in);
    reply->dir = message_take_text(&in);
    return message_take_end(&in, NULL);
}
