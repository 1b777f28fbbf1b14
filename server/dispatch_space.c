/* Namespaces: creating, changing, listing and deleting them. Creating and deleting wait for the
 * disk; they are rare, and the engine does them whole. */
#include <stdio.h>
#include <string.h>

#include "config/access.h"
#include "core/engine.h"
#include "proto/message.h"
#include "server/configured.h"
#include "server/connection.h"
#include "server/dispatch.h"
#include "server/lease.h"
#include "server/log.h"
#include "server/rights.h"
#include "server/server.h"

/* What stands in a file is changed there: or the next start would change it back. */
static bool refuse_fixed(struct connection *connection, struct reply_to to, const char *name,
                         const struct engine_setting *settings, uint32_t count)
{
    char text[MESSAGE_TEXT_SIZE_MAX];

    if (!configured_fixed(connection->server->config, name, settings, count, text, sizeof text)) {
        return false;
    }
    reply_error(connection, to, TUSK_EINVALID, 0, 0, text);
    return true;
}

/* False: it may not, and has been told so, before it learns whether the namespace is there. */
static bool may_administer(struct connection *connection, struct reply_to to,
                           const struct message_name *name)
{
    return dispatch_may(connection, to, rights_on(connection, name->data, name->size), ACCESS_ADMIN,
                        name->data, name->size);
}

enum dispatch_result dispatch_space_create(struct connection *connection, struct reply_to to,
                                           const struct message *message, uint32_t frame_size)
{
    const struct message_namespace_settings *wanted = &message->u.namespace_settings;
    struct engine_setting settings[CONFIGURED_COUNT + MESSAGE_SETTINGS_MAX];
    const uint32_t count = dispatch_settings(settings + CONFIGURED_COUNT, &wanted->settings);
    struct error err = {0};
    char name[MESSAGE_NAME_SIZE_MAX + 1];
    int rc;

    (void)frame_size;
    (void)snprintf(name, sizeof name, "%.*s", (int)wanted->name.size, wanted->name.data);
    if (!may_administer(connection, to, &wanted->name) ||
        refuse_fixed(connection, to, name, settings + CONFIGURED_COUNT, count)) {
        return DISPATCH_TAKEN;
    }
    /* Later ones win: the defaults, its section, the request. */
    configured_initial(connection->server->config, name, settings);
    server_stage(connection->server);
    rc = engine_namespace_create(connection->server->engine, wanted->name.data, wanted->name.size,
                                 settings, CONFIGURED_COUNT + count, &err);
    if (rc != 0) {
        reply_error(connection, to, rc, 0, 0, err.text);
        return DISPATCH_TAKEN;
    }
    log_info("namespace", "created \"%.*s\" for %s", (int)wanted->name.size, wanted->name.data,
             connection->client);
    reply_empty(connection, to);
    return DISPATCH_TAKEN;
}

static enum dispatch_result not_found(struct connection *connection, struct reply_to to,
                                      const struct message_name *name)
{
    char text[MESSAGE_TEXT_SIZE_MAX];

    (void)snprintf(text, sizeof text, "there is no namespace \"%.*s\"", (int)name->size,
                   name->data);
    reply_error(connection, to, TUSK_ENOTFOUND, 0, 0, text);
    return DISPATCH_TAKEN;
}

static bool sets_quota(const struct engine_setting *settings, uint32_t count)
{
    uint32_t i = 0;

    while (i < count && settings[i].key < ENGINE_SETTING_QUOTA_BYTES) {
        i++; /* In ascending order; quotas come last */
    }
    return i < count;
}

enum dispatch_result dispatch_space_set(struct connection *connection, struct reply_to to,
                                        const struct message *message, uint32_t frame_size)
{
    const struct message_name *name = &message->u.namespace_settings.name;
    struct engine_setting settings[MESSAGE_SETTINGS_MAX];
    const uint32_t count = dispatch_settings(settings, &message->u.namespace_settings.settings);
    struct engine_namespace_info info;
    struct namespace *ns = connection->ns;
    enum dispatch_result result;

    if (name->size > 0) {
        ns = engine_namespace_find(connection->server->engine, name->data, name->size);
    }
    if (name->size > 0 && !may_administer(connection, to, name)) {
        return DISPATCH_TAKEN;
    }
    if (ns == NULL) {
        return not_found(connection, to, name);
    }
    engine_namespace_info(ns, &info);
    if (name->size == 0 && !dispatch_may(connection, to, connection->rights, ACCESS_ADMIN,
                                         info.name, strlen(info.name))) {
        return DISPATCH_TAKEN;
    }
    if (refuse_fixed(connection, to, info.name, settings, count)) {
        return DISPATCH_TAKEN;
    }
    result = dispatch_command_on(ns, connection, to, message, frame_size);
    if (result == DISPATCH_TAKEN && sets_quota(settings, count)) {
        configured_tell_quota(ns); /* They are in force already */
    }
    return result;
}

enum dispatch_result dispatch_space_delete(struct connection *connection, struct reply_to to,
                                           const struct message *message, uint32_t frame_size)
{
    const struct message_name *name = &message->u.name;
    struct engine *engine = connection->server->engine;
    struct namespace *ns = engine_namespace_find(engine, name->data, name->size);
    struct error err = {0};
    int rc;

    (void)frame_size;
    if (!may_administer(connection, to, name)) {
        return DISPATCH_TAKEN;
    }
    if (ns == NULL) {
        return not_found(connection, to, name);
    }
    /* This connection's own use of the namespace does not stand in the way, unless blocks of it are
     * still being sent. */
    if (ns == connection->ns && output_has_ranges(connection)) {
        reply_error(connection, to, TUSK_EBUSY, 0, 0,
                    "replies to reads from the namespace are still being sent; take them first");
        return DISPATCH_TAKEN;
    }
    if (ns == connection->ns) {
        engine_namespace_use(ns, -1);
    }
    server_stage(connection->server);
    rc = engine_namespace_delete(engine, name->data, name->size, &err);
    if (rc != 0) {
        if (ns == connection->ns) {
            engine_namespace_use(ns, 1);
        }
        reply_error(connection, to, rc, 0, 0, err.text);
        return DISPATCH_TAKEN;
    }
    lease_forget(connection->server, ns);
    if (ns == connection->ns) {
        connection->ns = NULL;
    }
    log_info("namespace", "deleted \"%.*s\" for %s", (int)name->size, name->data,
             connection->client);
    reply_empty(connection, to);
    return DISPATCH_TAKEN;
}

static void add(struct message_settings *settings, uint16_t key, uint64_t value)
{
    settings->items[settings->count++] = (struct message_setting){.key = key, .value = value};
}

static void space_message(struct message_namespace_info *out,
                          const struct engine_namespace_info *info)
{
    *out = (struct message_namespace_info){
        .topics = info->topics,
        .bytes = info->blocks_bytes,
        .state = (uint16_t)info->state,
        .name = {.data = info->name, .size = (uint16_t)strnlen(info->name, MESSAGE_NAME_SIZE_MAX)},
        .reason = {.data = info->reason, .size = (uint16_t)reply_text_size(info->reason)},
    };
    add(&out->settings, SETTING_RETENTION, info->settings.retention.kind);
    add(&out->settings, SETTING_RETENTION_AGE_MS, info->settings.retention.age_ms);
    add(&out->settings, SETTING_RETENTION_BYTES, info->settings.retention.bytes);
    add(&out->settings, SETTING_FSYNC, info->settings.fsync_ms);
    add(&out->settings, SETTING_CONSISTENCY, info->settings.consistency);
    add(&out->settings, SETTING_QUOTA_BYTES, info->settings.quota_bytes);
    add(&out->settings, SETTING_QUOTA_TOPICS, info->settings.quota_topics);
    add(&out->settings, SETTING_QUOTA_CURSORS, info->settings.quota_cursors);
    add(&out->settings, SETTING_QUOTA_POLICY, info->settings.quota_policy);
}

enum dispatch_result dispatch_space_list(struct connection *connection, struct reply_to to,
                                         const struct message *message, uint32_t frame_size)
{
    const struct message_list *wanted = &message->u.list;
    struct engine *engine = connection->server->engine;
    struct engine_namespace_info info;
    struct listing listing;
    struct access_who who;
    struct namespace *ns;
    bool more = false;

    (void)frame_size;
    if (listing_begin(&listing, connection, to, MESSAGE_LIST_HEAD_SIZE) != 0) {
        reply_error(connection, to, TUSK_ENOMEM, 0, 0, "no memory for the reply");
        return DISPATCH_TAKEN;
    }
    rights_who(connection, &who);
    ns = engine_namespace_next(engine, wanted->after.size > 0 ? wanted->after.data : NULL,
                               wanted->after.size);
    while (ns != NULL) {
        struct message_namespace_info item;
        uint8_t *room = NULL;

        engine_namespace_info(ns, &info);
        if (rights_of(connection->server, &who, info.name, strlen(info.name), NULL) == 0) {
            ns = engine_namespace_next(engine, info.name, strlen(info.name));
            continue; /* Not even its name */
        }
        space_message(&item, &info);
        if (listing.count < wanted->max) {
            room = listing_room(&listing, message_namespace_info_size(&item));
        }
        if (room == NULL) {
            more = true;
            break;
        }
        (void)message_namespace_info_encode(room, &item);
        ns = engine_namespace_next(engine, info.name, strlen(info.name));
    }
    message_list_head_encode(listing_head(&listing), more, listing.count);
    listing_send(&listing);
    return DISPATCH_TAKEN;
}
