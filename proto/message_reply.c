/* Replies: PROTOCOL.md, "Requests", where each request's reply stands beside it. A pair of
 * functions for each body; take_ and put_ go through the same fields. */
#include "proto/message_cursor.h"

static void put_hello(struct message_output *out, const struct message_hello_reply *reply)
{
    message_put_u16(out, reply->version);
    message_put_reserved(out, 2);
    message_put_u32(out, reply->consistency);
    message_put_u64(out, reply->features);
    message_put(out, reply->store_id, sizeof reply->store_id);
    message_put_u64(out, reply->incarnation);
    message_put_u64(out, reply->fsync_ms);
    message_put_u32(out, reply->frame_size_max);
    message_put_u32(out, reply->batch_size_max);
    message_put_u32(out, reply->entry_size_max);
    message_put_u32(out, reply->in_flight_max);
    message_put_u64(out, reply->in_flight_bytes_max);
    message_put_name(out, &reply->server);
}

size_t message_hello_reply_size(const struct message_hello_reply *reply)
{
    struct message_output out = {.to = NULL};

    put_hello(&out, reply);
    return out.size;
}

size_t message_hello_reply_encode(uint8_t *to, const struct message_hello_reply *reply)
{
    struct message_output out = {.to = to};

    put_hello(&out, reply);
    return out.size;
}

int message_hello_reply_decode(struct message_hello_reply *reply, const uint8_t *body, size_t size)
{
    struct message_input in = {.at = body, .left = size};
    const uint8_t *store_id;

    reply->version = message_take_u16(&in);
    message_take_reserved(&in, 2);
    reply->consistency = message_take_u32(&in);
    reply->features = message_take_u64(&in);
    store_id = message_take(&in, sizeof reply->store_id);
    if (store_id != NULL) {
        memcpy(reply->store_id, store_id, sizeof reply->store_id);
    }
    reply->incarnation = message_take_u64(&in);
    reply->fsync_ms = message_take_u64(&in);
    reply->frame_size_max = message_take_u32(&in);
    reply->batch_size_max = message_take_u32(&in);
    reply->entry_size_max = message_take_u32(&in);
    reply->in_flight_max = message_take_u32(&in);
    reply->in_flight_bytes_max = message_take_u64(&in);
    reply->server = message_take_name(&in, &message_rule_peer);
    return message_take_end(&in, NULL);
}

size_t message_append_reply_encode(uint8_t *to, const struct message_append_reply *reply)
{
    struct message_output out = {.to = to};

    message_put_u64(&out, reply->topic_id);
    message_put_u64(&out, reply->first_offset);
    message_put_u64(&out, reply->durable_end);
    return out.size;
}

int message_append_reply_decode(struct message_append_reply *reply, const uint8_t *body,
                                size_t size)
{
    struct message_input in = {.at = body, .left = size};

    reply->topic_id = message_take_u64(&in);
    reply->first_offset = message_take_u64(&in);
    reply->durable_end = message_take_u64(&in);
    return message_take_end(&in, NULL);
}

size_t message_cursor_reply_encode(uint8_t *to, const struct message_cursor_reply *reply)
{
    struct message_output out = {.to = to};

    message_put_u64(&out, reply->offset);
    message_put_u64(&out, reply->epoch);
    return out.size;
}

int message_cursor_reply_decode(struct message_cursor_reply *reply, const uint8_t *body,
                                size_t size)
{
    struct message_input in = {.at = body, .left = size};

    reply->offset = message_take_u64(&in);
    reply->epoch = message_take_u64(&in);
    return message_take_end(&in, NULL);
}

size_t message_u64_reply_encode(uint8_t *to, uint64_t value)
{
    struct message_output out = {.to = to};

    message_put_u64(&out, value);
    return out.size;
}

int message_u64_reply_decode(uint64_t *value, const uint8_t *body, size_t size)
{
    struct message_input in = {.at = body, .left = size};

    *value = message_take_u64(&in);
    return message_take_end(&in, NULL);
}

static void put_error(struct message_output *out, const struct message_error *error)
{
    message_put_u64(out, error->detail_a);
    message_put_u64(out, error->detail_b);
    message_put_text(out, &error->text);
}

size_t message_error_size(const struct message_error *error)
{
    struct message_output out = {.to = NULL};

    put_error(&out, error);
    return out.size;
}

size_t message_error_encode(uint8_t *to, const struct message_error *error)
{
    struct message_output out = {.to = to};

    put_error(&out, error);
    return out.size;
}

int message_error_decode(struct message_error *error, const uint8_t *body, size_t size)
{
    struct message_input in = {.at = body, .left = size};

    error->detail_a = message_take_u64(&in);
    error->detail_b = message_take_u64(&in);
    error->text = message_take_text(&in);
    return message_take_end(&in, NULL);
}

static void put_access_reply(struct message_output *out, const struct message_access_reply *reply)
{
    message_put_u32(out, reply->uid);
    message_put_u16(out, reply->rights);
    message_put_name(out, &reply->user);
    message_put_text(out, &reply->why);
}

size_t message_access_reply_size(const struct message_access_reply *reply)
{
    struct message_output out = {.to = NULL};

    put_access_reply(&out, reply);
    return out.size;
}

size_t message_access_reply_encode(uint8_t *to, const struct message_access_reply *reply)
{
    struct message_output out = {.to = to};

    put_access_reply(&out, reply);
    return out.size;
}

int message_access_reply_decode(struct message_access_reply *reply, const uint8_t *body,
                                size_t size)
{
    struct message_input in = {.at = body, .left = size};

    reply->uid = message_take_u32(&in);
    reply->rights = message_take_u16(&in);
    reply->user = message_take_name(&in, &message_rule_peer);
    reply->why = message_take_text(&in);
    return message_take_end(&in, NULL);
}

static void put_topic_info(struct message_output *out, const struct message_topic_info *info)
{
    message_put_u64(out, info->topic_id);
    message_put_u64(out, info->created_us);
    message_put_u64(out, info->first);
    message_put_u64(out, info->end);
    message_put_u64(out, info->durable_end);
    message_put_u64(out, info->entries);
    message_put_u64(out, info->bytes);
    message_put_u64(out, info->last_time_us);
    message_put_u32(out, info->blocks);
    message_put_u32(out, info->cursors);
    message_put_name(out, &info->name);
    message_put_settings(out, &info->settings);
}

static void take_topic_info(struct message_input *in, struct message_topic_info *info)
{
    info->topic_id = message_take_u64(in);
    info->created_us = message_take_u64(in);
    info->first = message_take_u64(in);
    info->end = message_take_u64(in);
    info->durable_end = message_take_u64(in);
    info->entries = message_take_u64(in);
    info->bytes = message_take_u64(in);
    info->last_time_us = message_take_u64(in);
    info->blocks = message_take_u32(in);
    info->cursors = message_take_u32(in);
    info->name = message_take_name(in, &message_rule_topic);
    message_take_settings(in, &info->settings);
}

size_t message_topic_info_size(const struct message_topic_info *info)
{
    struct message_output out = {.to = NULL};

    put_topic_info(&out, info);
    return out.size;
}

size_t message_topic_info_encode(uint8_t *to, const struct message_topic_info *info)
{
    struct message_output out = {.to = to};

    put_topic_info(&out, info);
    return out.size;
}

int message_topic_info_decode(struct message_topic_info *info, const uint8_t *body, size_t size)
{
    struct message_input in = {.at = body, .left = size};

    take_topic_info(&in, info);
    return message_take_end(&in, NULL);
}

static void put_cursor_info(struct message_output *out, const struct message_cursor_info *info)
{
    message_put_u64(out, info->offset);
    message_put_u64(out, info->durable_offset);
    message_put_u64(out, info->epoch);
    message_put_u64(out, info->lag);
    message_put_name(out, &info->name);
}

size_t message_cursor_info_size(const struct message_cursor_info *info)
{
    struct message_output out = {.to = NULL};

    put_cursor_info(&out, info);
    return out.size;
}

size_t message_cursor_info_encode(uint8_t *to, const struct message_cursor_info *info)
{
    struct message_output out = {.to = to};

    put_cursor_info(&out, info);
    return out.size;
}

static void put_namespace_info(struct message_output *out,
                               const struct message_namespace_info *info)
{
    message_put_u64(out, info->topics);
    message_put_u64(out, info->bytes);
    message_put_u16(out, info->state);
    message_put_name(out, &info->name);
    message_put_text(out, &info->reason);
    message_put_settings(out, &info->settings);
}

size_t message_namespace_info_size(const struct message_namespace_info *info)
{
    struct message_output out = {.to = NULL};

    put_namespace_info(&out, info);
    return out.size;
}

size_t message_namespace_info_encode(uint8_t *to, const struct message_namespace_info *info)
{
    struct message_output out = {.to = to};

    put_namespace_info(&out, info);
    return out.size;
}

static void put_config_item(struct message_output *out, const struct message_config_item *item)
{
    message_put_u16(out, item->needs_restart);
    message_put_name(out, &item->section);
    message_put_name(out, &item->space);
    message_put_name(out, &item->key);
    message_put_text(out, &item->value);
    message_put_text(out, &item->fallback);
    message_put_text(out, &item->origin);
}

size_t message_config_item_size(const struct message_config_item *item)
{
    struct message_output out = {.to = NULL};

    put_config_item(&out, item);
    return out.size;
}

size_t message_config_item_encode(uint8_t *to, const struct message_config_item *item)
{
    struct message_output out = {.to = to};

    put_config_item(&out, item);
    return out.size;
}

static void put_stat(struct message_output *out, const struct message_stat *stat)
{
    message_put_name(out, &stat->name);
    message_put_u64(out, stat->value);
}

size_t message_stat_size(const struct message_stat *stat)
{
    struct message_output out = {.to = NULL};

    put_stat(&out, stat);
    return out.size;
}

size_t message_stat_encode(uint8_t *to, const struct message_stat *stat)
{
    struct message_output out = {.to = to};

    put_stat(&out, stat);
    return out.size;
}

void message_list_head_encode(uint8_t *to, bool more, uint16_t count)
{
    struct message_output out = {.to = to};

    message_put_u16(&out, more);
    message_put_u16(&out, count);
}

void message_stats_head_encode(uint8_t *to, uint16_t count)
{
    put_u16(to, count);
}

static int reader_begin(struct message_reader *reader, struct message_input *in)
{
    reader->at = in->at;
    reader->left = in->left;
    return in->rc;
}

int message_list_begin(struct message_reader *reader, const uint8_t *body, size_t size)
{
    struct message_input in = {.at = body, .left = size};

    reader->more = message_take_bool(&in);
    reader->count = message_take_u16(&in);
    if (reader->count > MESSAGE_LIST_MAX) {
        message_fail(&in, TUSK_EINVALID, "a list has more than 1000 items");
    }
    /* "More" without an item to go on after would have the client ask for ever. */
    if (reader->more && reader->count == 0) {
        message_fail(&in, TUSK_EINVALID, "an empty list promises more");
    }
    return reader_begin(reader, &in);
}

int message_stats_begin(struct message_reader *reader, const uint8_t *body, size_t size)
{
    struct message_input in = {.at = body, .left = size};

    reader->more = false;
    reader->count = message_take_u16(&in);
    return reader_begin(reader, &in);
}

int message_topic_list_next(struct message_reader *reader, struct message_topic_info *item)
{
    struct message_input in;
    int rc = reader_item(reader, &in);

    if (rc != 1) {
        return rc;
    }
    take_topic_info(&in, item);
    return reader_advance(reader, &in);
}

int message_cursor_list_next(struct message_reader *reader, struct message_cursor_info *item)
{
    struct message_input in;
    int rc = reader_item(reader, &in);

    if (rc != 1) {
        return rc;
    }
    item->offset = message_take_u64(&in);
    item->durable_offset = message_take_u64(&in);
    item->epoch = message_take_u64(&in);
    item->lag = message_take_u64(&in);
    item->name = message_take_name(&in, &message_rule_cursor);
    return reader_advance(reader, &in);
}

int message_namespace_list_next(struct message_reader *reader, struct message_namespace_info *item)
{
    struct message_input in;
    int rc = reader_item(reader, &in);

    if (rc != 1) {
        return rc;
    }
    item->topics = message_take_u64(&in);
    item->bytes = message_take_u64(&in);
    item->state = message_take_u16(&in);
    if (item->state > NAMESPACE_STOPPED) {
        message_fail(&in, TUSK_EINVALID, "the namespace is in an unknown state");
    }
    item->name = message_take_name(&in, &message_rule_namespace);
    item->reason = message_take_text(&in);
    message_take_settings(&in, &item->settings);
    return reader_advance(reader, &in);
}

int message_config_list_next(struct message_reader *reader, struct message_config_item *item)
{
    struct message_input in;
    int rc = reader_item(reader, &in);

    if (rc != 1) {
        return rc;
    }
    item->needs_restart = message_take_bool(&in);
    item->section = message_take_name(&in, &message_rule_option);
    item->space = message_take_name(&in, &message_rule_any_namespace);
    item->key = message_take_name(&in, &message_rule_option);
    item->value = message_take_text(&in);
    item->fallback = message_take_text(&in);
    item->origin = message_take_text(&in);
    return reader_advance(reader, &in);
}

int message_stats_next(struct message_reader *reader, struct message_stat *item)
{
    struct message_input in;
    int rc = reader_item(reader, &in);

    if (rc != 1) {
        return rc;
    }
    item->name = message_take_name(&in, &message_rule_stat);
    item->value = message_take_u64(&in);
    return reader_advance(reader, &in);
}
