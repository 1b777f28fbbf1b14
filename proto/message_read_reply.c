/* The reply to READ: PROTOCOL.md, "READ". Its head, and the place that may stand for batches. */
#include "proto/message_cursor.h"

#define DATA_PLACED UINT32_MAX /* Instead of a size of batches */

static void put_place(struct message_output *out, const struct message_place *place)
{
    message_put_u64(out, place->segment);
    message_put_u64(out, place->segment_size);
    message_put_u64(out, place->block);
    message_put_u32(out, place->size);
    message_put_u32(out, place->lease);
    message_put_u16(out, place->descriptor);
    message_put_reserved(out, 6);
}

static void take_place(struct message_input *in, struct message_place *place)
{
    place->segment = message_take_u64(in);
    place->segment_size = message_take_u64(in);
    place->block = message_take_u64(in);
    place->size = message_take_u32(in);
    place->lease = message_take_u32(in);
    place->descriptor = message_take_bool(in);
    message_take_reserved(in, 6);
}

size_t message_read_reply_encode(uint8_t *to, const struct message_read_reply *reply)
{
    struct message_output out = {.to = to};

    message_put_u64(&out, reply->topic_id);
    message_put_u64(&out, reply->from);
    message_put_u64(&out, reply->to);
    message_put_u64(&out, reply->end);
    message_put_u64(&out, reply->durable_end);
    message_put_u64(&out, reply->epoch);
    message_put_u64(&out, reply->skipped_from);
    message_put_u64(&out, reply->skipped_to);
    message_put_u64(&out, reply->generation);
    message_put_u32(&out, reply->position);
    message_put_u32(&out, reply->placed ? DATA_PLACED : reply->data_size);
    if (reply->placed) {
        put_place(&out, &reply->place);
    }
    return out.size;
}

int message_read_reply_decode(struct message_read_reply *reply, const uint8_t *body, size_t size)
{
    struct message_input in = {.at = body, .left = size};

    reply->topic_id = message_take_u64(&in);
    reply->from = message_take_u64(&in);
    reply->to = message_take_u64(&in);
    reply->end = message_take_u64(&in);
    reply->durable_end = message_take_u64(&in);
    reply->epoch = message_take_u64(&in);
    reply->skipped_from = message_take_u64(&in);
    reply->skipped_to = message_take_u64(&in);
    reply->generation = message_take_u64(&in);
    reply->position = message_take_u32(&in);
    reply->data_size = message_take_u32(&in);
    reply->placed = reply->data_size == DATA_PLACED;
    if (reply->placed) {
        take_place(&in, &reply->place);
        reply->data_size = 0;
        reply->data = NULL;
    } else {
        reply->data = message_take(&in, reply->data_size);
    }
    return message_take_end(&in, NULL);
}
