/* SLOWLOG, and its reply. */
#include "proto/message_cursor.h"

void message_take_slowlog(struct message_input *in, struct message *message)
{
    message->u.slowlog.max = message_take_list_max(in);
    message->u.slowlog.before = message_take_u64(in);
    message->u.slowlog.forget = message_take_bool(in);
}

void message_put_slowlog(struct message_output *out, const struct message *message)
{
    message_put_u32(out, message->u.slowlog.max);
    message_put_u64(out, message->u.slowlog.before);
    message_put_u16(out, message->u.slowlog.forget);
}

static void put_slow(struct message_output *out, const struct message_slow *item)
{
    message_put_u64(out, item->number);
    message_put_u64(out, item->time_us);
    message_put_u64(out, item->duration_us);
    message_put_u64(out, item->waited_us);
    message_put_u64(out, item->queued_us);
    message_put_u64(out, item->worked_us);
    message_put_u64(out, item->synced_us);
    message_put_u64(out, item->entries);
    message_put_u64(out, item->bytes);
    message_put_u32(out, item->pid);
    message_put_u32(out, item->uid);
    message_put_u16(out, item->status);
    message_put_name(out, &item->request);
    message_put_name(out, &item->space);
    message_put_name(out, &item->topic);
    message_put_text(out, &item->client);
}

size_t message_slow_size(const struct message_slow *item)
{
    struct message_output out = {.to = NULL};

    put_slow(&out, item);
    return out.size;
}

size_t message_slow_encode(uint8_t *to, const struct message_slow *item)
{
    struct message_output out = {.to = to};

    put_slow(&out, item);
    return out.size;
}

int message_slow_list_next(struct message_reader *reader, struct message_slow *item)
{
    struct message_input in;
    int rc = reader_item(reader, &in);

    if (rc != 1) {
        return rc;
    }
    item->number = message_take_u64(&in);
    item->time_us = message_take_u64(&in);
    item->duration_us = message_take_u64(&in);
    item->waited_us = message_take_u64(&in);
    item->queued_us = message_take_u64(&in);
    item->worked_us = message_take_u64(&in);
    item->synced_us = message_take_u64(&in);
    item->entries = message_take_u64(&in);
    item->bytes = message_take_u64(&in);
    item->pid = message_take_u32(&in);
    item->uid = message_take_u32(&in);
    item->status = message_take_u16(&in);
    item->request = message_take_name(&in, &message_rule_option);
    item->space = message_take_name(&in, &message_rule_any_namespace);
    item->topic = message_take_name(&in, &message_rule_peer);
    item->client = message_take_text(&in);
    return reader_advance(reader, &in);
}
