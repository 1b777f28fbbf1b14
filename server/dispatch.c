#include "server/dispatch.h"

#include <string.h>

#include "config/access.h"
#include "core/check.h"
#include "core/engine.h"
#include "core/probe.h"
#include "proto/frame.h"
#include "proto/message.h"
#include "server/connection.h"
#include "server/request.h"
#include "server/rights.h"
#include "server/server.h"
#include "server/users.h"

/* What has a handler of its own; the other types are dispatch_command()'s. */
static dispatch_fn *const handlers[MESSAGE_TYPE_END] = {
    [MESSAGE_HELLO] = dispatch_hello,
    [MESSAGE_APPEND] = dispatch_append,
    [MESSAGE_READ] = dispatch_read,
    [MESSAGE_CHECKPOINT] = dispatch_command,
    [MESSAGE_SEEK] = dispatch_command,
    [MESSAGE_SYNC] = dispatch_command,
    [MESSAGE_TOPIC_CREATE] = dispatch_command,
    [MESSAGE_TOPIC_SET] = dispatch_command,
    [MESSAGE_TOPIC_DELETE] = dispatch_command,
    [MESSAGE_TOPIC_TRIM] = dispatch_command,
    [MESSAGE_TOPIC_LIST] = dispatch_topic_list,
    [MESSAGE_TOPIC_INFO] = dispatch_topic_info,
    [MESSAGE_CURSOR_CREATE] = dispatch_command,
    [MESSAGE_CURSOR_LIST] = dispatch_cursor_list,
    [MESSAGE_CURSOR_DELETE] = dispatch_command,
    [MESSAGE_NAMESPACE_CREATE] = dispatch_space_create,
    [MESSAGE_NAMESPACE_SET] = dispatch_space_set,
    [MESSAGE_NAMESPACE_LIST] = dispatch_space_list,
    [MESSAGE_NAMESPACE_DELETE] = dispatch_space_delete,
    [MESSAGE_STATS] = dispatch_stats,
    [MESSAGE_CONFIG] = dispatch_config,
    [MESSAGE_RELEASE] = dispatch_release,
    [MESSAGE_ACCESS] = dispatch_access,
    [MESSAGE_SNAPSHOT_BEGIN] = dispatch_snapshot_begin,
    [MESSAGE_SNAPSHOT_END] = dispatch_snapshot_end,
    [MESSAGE_SLOWLOG] = dispatch_slowlog,
};

/* What each takes of the rights on the connection's namespace. HELLO, and those that name a
 * namespace of their own, look for themselves; the others take none. */
static const uint8_t rights_needed[MESSAGE_TYPE_END] = {
    [MESSAGE_APPEND] = ACCESS_APPEND,        [MESSAGE_READ] = ACCESS_READ,
    [MESSAGE_CHECKPOINT] = ACCESS_READ,      [MESSAGE_SEEK] = ACCESS_READ,
    [MESSAGE_SYNC] = ACCESS_APPEND,          [MESSAGE_TOPIC_CREATE] = ACCESS_ADMIN,
    [MESSAGE_TOPIC_SET] = ACCESS_ADMIN,      [MESSAGE_TOPIC_DELETE] = ACCESS_ADMIN,
    [MESSAGE_TOPIC_TRIM] = ACCESS_ADMIN,     [MESSAGE_CURSOR_CREATE] = ACCESS_READ,
    [MESSAGE_CURSOR_DELETE] = ACCESS_READ,   [MESSAGE_CONFIG] = ACCESS_ADMIN,
    [MESSAGE_SNAPSHOT_BEGIN] = ACCESS_ADMIN, [MESSAGE_SNAPSHOT_END] = ACCESS_ADMIN,
    [MESSAGE_SLOWLOG] = ACCESS_ADMIN,
};

bool dispatch_may(struct connection *connection, struct reply_to to, uint32_t has, uint32_t needed,
                  const char *space, size_t space_size)
{
    char text[RIGHTS_TEXT_SIZE];

    if ((has & needed) == needed) {
        return true;
    }
    rights_refusal(connection, space, space_size, has, needed, text);
    reply_error(connection, to, TUSK_EDENIED, 0, 0, text);
    return false;
}

/* False: it may not, and has been told so. */
static bool check_rights(struct connection *connection, struct reply_to to)
{
    struct engine_namespace_info info = {.name = ""};
    const uint32_t needed = rights_needed[to.type];

    if ((connection->rights & needed) == needed) {
        return true;
    }
    if (connection->ns != NULL) {
        engine_namespace_info(connection->ns, &info);
    }
    return dispatch_may(connection, to, connection->rights, needed, info.name, strlen(info.name));
}

/* Types that make sense without a namespace: that of the connection may have been deleted. */
static bool needs_namespace(uint16_t type)
{
    return type != MESSAGE_HELLO && type != MESSAGE_NAMESPACE_CREATE &&
           type != MESSAGE_NAMESPACE_SET && type != MESSAGE_NAMESPACE_LIST &&
           type != MESSAGE_NAMESPACE_DELETE && type != MESSAGE_CONFIG && type != MESSAGE_RELEASE &&
           type != MESSAGE_ACCESS && type != MESSAGE_SLOWLOG;
}

/* The order of the first requests: HELLO comes first, and once. False: it was broken, and has been
 * answered. */
static bool check_order(struct connection *connection, struct reply_to to)
{
    const char *text = NULL;

    if (to.type == MESSAGE_HELLO && connection->greeted) {
        text = "HELLO comes once";
    } else if (to.type != MESSAGE_HELLO && !connection->greeted) {
        text = "the first request must be HELLO";
    }
    if (text == NULL) {
        return true;
    }
    reply_error(connection, to, TUSK_EPROTOCOL, 0, 0, text);
    connection_finish(connection);
    return false;
}

/* Types that the engine is not asked about, and whose handler may wait for something. */
static bool answered_at_once(uint16_t type)
{
    return handlers[type] != dispatch_command && type != MESSAGE_APPEND && type != MESSAGE_READ &&
           type != MESSAGE_NAMESPACE_SET && type != MESSAGE_RELEASE &&
           type != MESSAGE_SNAPSHOT_BEGIN;
}

static enum dispatch_result handle(struct connection *connection, struct reply_to to,
                                   const struct message *message, uint32_t frame_size)
{
    const bool at_once = answered_at_once(to.type);
    const uint64_t began_us = at_once ? dispatch_slow_begin(connection->server) : 0;
    const enum dispatch_result result = handlers[to.type](connection, to, message, frame_size);

    if (began_us != 0) {
        dispatch_slow_end(connection, message, began_us);
    }
    return result;
}

enum dispatch_result dispatch_frame(struct connection *connection, const struct frame *frame,
                                    const uint8_t *body)
{
    struct reply_to to = {.type = frame->type, .id = frame->id};
    struct message message;
    const char *why = NULL;
    int rc;

    if (connection->deaf && frame->type != MESSAGE_RELEASE) {
        return DISPATCH_TAKEN; /* Nobody would learn what became of it */
    }
    if (!check_order(connection, to)) {
        return DISPATCH_TAKEN;
    }
    if (frame->status != 0) {
        reply_error(connection, to, TUSK_EINVALID, 0, 0, "the status of a request must be 0");
        return DISPATCH_TAKEN;
    }
    rc = message_decode(&message, frame->type, body, frame->size - FRAME_HEADER_SIZE, &why);
    if (rc != 0) {
        reply_error(connection, to, rc, 0, 0, why != NULL ? why : status_text(rc));
        return DISPATCH_TAKEN;
    }
    if (connection->server->state != SERVER_SERVING) {
        reply_error(connection, to, TUSK_ECLOSED, 0, 0, "the daemon is stopping");
        return DISPATCH_TAKEN;
    }
    server_stage(connection->server);
    to.began_us = connection->server->stage_us;
    PROBE6(request_begin, frame->type, frame->id, frame->size, connection->pid, connection->uid,
           connection->client);
    if (frame->type == MESSAGE_PING) {
        reply_empty(connection, to);
        return DISPATCH_TAKEN;
    }
    if (connection->ns == NULL && needs_namespace(frame->type)) {
        reply_error(connection, to, TUSK_ENOTFOUND, 0, 0,
                    "the namespace of this connection was deleted");
        return DISPATCH_TAKEN;
    }
    CHECK(frame->type < MESSAGE_TYPE_END);
    CHECK(handlers[frame->type] != NULL);
    if (!check_rights(connection, to)) {
        return DISPATCH_TAKEN;
    }
    return handle(connection, to, &message, frame->size);
}

void dispatch_cancel_waits(struct connection *connection)
{
    struct request *request;

    for (request = connection->requests; request != NULL; request = request->next) {
        if (request->to.type == MESSAGE_READ) {
            engine_read_cancel(&request->u.read);
        } else if (request->to.type == MESSAGE_APPEND) {
            engine_append_cancel(&request->u.append);
        }
    }
    server_want_turn(connection->server);
}

void dispatch_leave(struct connection *connection)
{
    dispatch_cancel_waits(connection);
    while (connection->requests != NULL) {
        struct request *request = connection->requests;

        connection->requests = request->next;
        request->connection = NULL;
    }
    users_take_bytes(connection, connection->requests_bytes + connection->replies_bytes);
    connection->requests_count = 0;
    connection->requests_bytes = 0;
    connection->replies_bytes = 0;
    if (connection->ns != NULL) {
        dispatch_snapshot_leave(connection);
        engine_namespace_use(connection->ns, -1);
        connection->ns = NULL;
    }
}

struct engine_topic_ref dispatch_topic(const struct message_topic *topic)
{
    return (struct engine_topic_ref){
        .id = topic->id,
        .name = topic->name.data,
        .name_size = topic->name.size,
    };
}

uint32_t dispatch_settings(struct engine_setting *out, const struct message_settings *settings)
{
    uint32_t i;

    CHECK(settings->count <= MESSAGE_SETTINGS_MAX);
    for (i = 0; i < settings->count; i++) {
        out[i].key = settings->items[i].key;
        out[i].value = settings->items[i].value;
    }
    return settings->count;
}

enum dispatch_result dispatch_no_request(struct connection *connection, struct reply_to to)
{
    if (connection->server->requests_used > 0) {
        return DISPATCH_LATER;
    }
    reply_error(connection, to, TUSK_ENOMEM, 0, 0, "no memory for the request");
    return DISPATCH_TAKEN;
}
