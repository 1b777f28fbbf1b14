/* What is there: answered at once, from memory. */
#include <string.h>

#include "core/engine.h"
#include "proto/message.h"
#include "server/connection.h"
#include "server/dispatch.h"
#include "server/pool.h"
#include "server/server.h"
#include "server/stats.h"
#include "server/users.h"

/* A name to continue behind. Copied, because the engine's are borrowed until its next call. */
struct place {
    char name[ENGINE_NAME_SIZE_MAX];
    size_t size;
};

static void place_set(struct place *place, const char *name, size_t size)
{
    memcpy(place->name, name, size);
    place->size = size;
}

/* Keys ascend; a rule's numbers are said when they mean something. */
static void add_retention(struct message_settings *settings,
                          const struct engine_retention_rule *rule)
{
    settings->items[settings->count++] =
        (struct message_setting){.key = SETTING_RETENTION, .value = rule->kind};
    if (rule->age_ms != 0) {
        settings->items[settings->count++] =
            (struct message_setting){.key = SETTING_RETENTION_AGE_MS, .value = rule->age_ms};
    }
    if (rule->bytes != 0) {
        settings->items[settings->count++] =
            (struct message_setting){.key = SETTING_RETENTION_BYTES, .value = rule->bytes};
    }
}

static void topic_message(struct message_topic_info *out, const struct engine_topic_info *info)
{
    *out = (struct message_topic_info){
        .topic_id = info->id,
        .created_us = info->created_us,
        .first = info->first,
        .end = info->end,
        .durable_end = info->durable_end,
        .entries = info->entries,
        .bytes = info->bytes,
        .last_time_us = info->last_time_us,
        .blocks = info->blocks,
        .cursors = info->cursors,
        .name = {.data = info->name, .size = (uint16_t)info->name_size},
    };
    add_retention(&out->settings, &info->retention);
}

enum dispatch_result dispatch_topic_info(struct connection *connection, struct reply_to to,
                                         const struct message *message, uint32_t frame_size)
{
    const struct engine_topic_ref topic = dispatch_topic(&message->u.topic);
    struct message_topic_info reply;
    struct engine_topic_info info;
    struct error err = {0};
    uint8_t *body;
    int rc;

    (void)frame_size;
    rc = engine_topic_info(connection->ns, &topic, &info, &err);
    if (rc != 0) {
        reply_error(connection, to, rc, 0, 0, err.text);
        return DISPATCH_TAKEN;
    }
    topic_message(&reply, &info);
    body = reply_begin(connection, to, message_topic_info_size(&reply));
    if (body != NULL) {
        (void)message_topic_info_encode(body, &reply);
    }
    return DISPATCH_TAKEN;
}

/* What listing_begin() could not begin. */
static enum dispatch_result no_memory(struct connection *connection, struct reply_to to)
{
    reply_error(connection, to, TUSK_ENOMEM, 0, 0, "no memory for the reply");
    return DISPATCH_TAKEN;
}

/* A list is cut when it is as long as was asked for, or as a frame may be. One that can make no
 * progress would be asked for again for ever: it is an error instead. */
static enum dispatch_result send_list(struct listing *listing, bool more)
{
    if (more && listing->count == 0) {
        listing_drop(listing);
        return no_memory(listing->connection, listing->to);
    }
    message_list_head_encode(listing_head(listing), more, listing->count);
    listing_send(listing);
    return DISPATCH_TAKEN;
}

enum dispatch_result dispatch_topic_list(struct connection *connection, struct reply_to to,
                                         const struct message *message, uint32_t frame_size)
{
    const struct message_list *wanted = &message->u.list;
    struct engine_topic_info info;
    struct listing listing;
    struct place place;
    bool more = false;
    int rc;

    (void)frame_size;
    if (listing_begin(&listing, connection, to, MESSAGE_LIST_HEAD_SIZE) != 0) {
        return no_memory(connection, to);
    }
    place_set(&place, wanted->after.data, wanted->after.size);
    while ((rc = engine_topic_next(connection->ns, place.name, place.size, &info)) == 1) {
        struct message_topic_info item;
        uint8_t *room = NULL;

        topic_message(&item, &info);
        if (listing.count < wanted->max) {
            room = listing_room(&listing, message_topic_info_size(&item));
        }
        if (room == NULL) {
            more = true;
            break;
        }
        (void)message_topic_info_encode(room, &item);
        place_set(&place, info.name, info.name_size);
    }
    if (rc < 0) { /* Not an end: a list that is cut short would be a lie */
        listing_drop(&listing);
        return no_memory(connection, to);
    }
    return send_list(&listing, more);
}

enum dispatch_result dispatch_cursor_list(struct connection *connection, struct reply_to to,
                                          const struct message *message, uint32_t frame_size)
{
    const struct message_cursor_list *wanted = &message->u.cursor_list;
    const struct engine_topic_ref topic = dispatch_topic(&wanted->topic);
    const char *after = wanted->from_first ? NULL : wanted->after.data;
    struct engine_cursor_info info;
    struct listing listing;
    struct error err = {0};
    struct place place = {.size = wanted->after.size};
    bool more = false;
    int rc;

    (void)frame_size;
    if (listing_begin(&listing, connection, to, MESSAGE_LIST_HEAD_SIZE) != 0) {
        return no_memory(connection, to);
    }
    while ((rc = engine_cursor_next(connection->ns, &topic, after, place.size, &info, &err)) > 0) {
        const struct message_cursor_info item = {
            .offset = info.offset,
            .durable_offset = info.durable_offset,
            .epoch = info.epoch,
            .lag = info.lag,
            .name = {.data = info.name, .size = (uint16_t)info.name_size},
        };
        uint8_t *room = NULL;

        if (listing.count < wanted->max) {
            room = listing_room(&listing, message_cursor_info_size(&item));
        }
        if (room == NULL) {
            more = true;
            break;
        }
        (void)message_cursor_info_encode(room, &item);
        place_set(&place, info.name, info.name_size);
        after = place.name;
    }
    if (rc < 0) {
        listing_drop(&listing);
        reply_error(connection, to, rc, 0, 0, err.text);
        return DISPATCH_TAKEN;
    }
    return send_list(&listing, more);
}

static void add_stat(void *arg, const char *name, uint64_t value)
{
    struct listing *listing = arg;
    const struct message_stat stat = {
        .name = {.data = name, .size = (uint16_t)strnlen(name, MESSAGE_NAME_SIZE_MAX)},
        .value = value,
    };
    uint8_t *room = listing_room(listing, message_stat_size(&stat));

    /* Without memory the list is short; the next request may have more luck. */
    if (room != NULL) {
        (void)message_stat_encode(room, &stat);
    }
}

enum dispatch_result dispatch_stats(struct connection *connection, struct reply_to to,
                                    const struct message *message, uint32_t frame_size)
{
    struct listing listing;

    (void)message;
    (void)frame_size;
    if (listing_begin(&listing, connection, to, MESSAGE_STATS_HEAD_SIZE) != 0) {
        return no_memory(connection, to);
    }
    stats_server(connection->server, add_stat, &listing);
    users_stats(connection, add_stat, &listing);
    engine_stats(connection->ns, add_stat, &listing);
    message_stats_head_encode(listing_head(&listing), listing.count);
    listing_send(&listing);
    return DISPATCH_TAKEN;
}
