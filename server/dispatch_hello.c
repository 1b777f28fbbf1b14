#include <inttypes.h>
#include <string.h>

#include "config/options.h"
#include "core/engine.h"
#include "proto/frame.h"
#include "proto/message.h"
#include "server/connection.h"
#include "server/dispatch.h"
#include "server/log.h"
#include "server/rights.h"
#include "server/server.h"
#include "server/users.h"

#define DEFAULT_NAMESPACE "default"
#define SERVER_NAME "tuskd " TUSK_VERSION
#define FRAME_SLACK 4096u /* Headers, names and padding around a batch */

/* What a frame must be able to hold: a batch, or the reply to the largest read, whose first and
 * last batches may hold more than was asked for. */
static uint32_t frame_size_max(const struct options *options, uint32_t batch_size_max)
{
    const uint64_t size = options->read_size_max + 2 * ((uint64_t)batch_size_max + FRAME_SLACK);

    return size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
}

static void answer(struct connection *connection, struct reply_to to,
                   const struct engine_namespace_info *info)
{
    const struct options *options = connection->server->options;
    struct message_hello_reply reply = {
        .version = MESSAGE_VERSION,
        .features = connection->features,
        .consistency = (uint32_t)info->settings.consistency,
        .incarnation = info->incarnation,
        .fsync_ms = info->settings.fsync_ms,
        .frame_size_max = connection->frame_size_max,
        .batch_size_max = info->batch_size_max,
        .entry_size_max = info->entry_size_max,
        .in_flight_max = (uint32_t)options->requests_max,
        .in_flight_bytes_max = options->request_bytes_max,
        .server = {.data = SERVER_NAME, .size = sizeof SERVER_NAME - 1},
    };
    uint8_t *body;

    memcpy(reply.store_id, info->store_id, sizeof reply.store_id);
    body = reply_begin(connection, to, message_hello_reply_size(&reply));
    if (body != NULL) {
        (void)message_hello_reply_encode(body, &reply);
    }
}

static void refuse_version(struct connection *connection, struct reply_to to,
                           const struct message_hello *hello)
{
    char text[128];

    (void)snprintf(text, sizeof text, "the client speaks versions %u to %u, the daemon %u",
                   hello->version_min, hello->version_max, MESSAGE_VERSION);
    reply_error(connection, to, TUSK_EVERSION, 0, 0, text);
}

static void refuse_user(struct connection *connection, struct reply_to to,
                        const struct message_name *space)
{
    char text[RIGHTS_TEXT_SIZE];

    rights_refusal(connection, space->data, space->size, 0, 0, text);
    log_warning("access", "refused %s: %s (process %ld)", connection->client, text,
                (long)connection->pid);
    reply_error(connection, to, TUSK_EDENIED, 0, 0, text);
    connection_finish(connection);
}

/* The namespace, if it serves; else NULL, and the client has been told why not. */
static struct namespace *find(struct connection *connection, struct reply_to to,
                              const struct message_name *name, struct engine_namespace_info *info)
{
    struct namespace *ns =
        engine_namespace_find(connection->server->engine, name->data, name->size);
    char text[MESSAGE_TEXT_SIZE_MAX];

    if (ns == NULL) {
        (void)snprintf(text, sizeof text, "there is no namespace \"%.*s\"", (int)name->size,
                       name->data);
        reply_error(connection, to, TUSK_ENOTFOUND, 0, 0, text);
        return NULL;
    }
    engine_namespace_info(ns, info);
    if (info->state == ENGINE_SERVING) {
        return ns;
    }
    (void)snprintf(text, sizeof text, "namespace \"%.*s\" is not served: %s", (int)name->size,
                   name->data, info->reason);
    reply_error(connection, to, info->state == ENGINE_REFUSED ? TUSK_ECORRUPT : TUSK_EIO, 0, 0,
                text);
    return NULL;
}

static void turn_away(struct connection *connection, struct reply_to to)
{
    char text[USERS_TEXT_SIZE];

    users_why_turned_away(connection, text);
    reply_error(connection, to, TUSK_EBUSY, 0, 0, text);
    connection_finish(connection);
}

enum dispatch_result dispatch_hello(struct connection *connection, struct reply_to to,
                                    const struct message *message, uint32_t frame_size)
{
    const struct message_hello *hello = &message->u.hello;
    struct message_name name = hello->space;
    struct engine_namespace_info info;
    struct namespace *ns;
    uint32_t rights;

    (void)frame_size;
    (void)snprintf(connection->client, sizeof connection->client, "%.*s", (int)hello->client.size,
                   hello->client.data);
    if (hello->version_min > MESSAGE_VERSION || hello->version_max < MESSAGE_VERSION) {
        refuse_version(connection, to, hello);
        return DISPATCH_TAKEN;
    }
    if (connection->turned_away) {
        turn_away(connection, to);
        return DISPATCH_TAKEN;
    }
    if (name.size == 0) {
        name =
            (struct message_name){.data = DEFAULT_NAMESPACE, .size = sizeof DEFAULT_NAMESPACE - 1};
    }
    /* Before anything is said about the namespace, even whether it is there. */
    rights = rights_on(connection, name.data, name.size);
    if (rights == 0) {
        refuse_user(connection, to, &name);
        return DISPATCH_TAKEN;
    }
    ns = find(connection, to, &name, &info);
    if (ns == NULL) {
        return DISPATCH_TAKEN;
    }
    engine_namespace_use(ns, 1);
    connection->ns = ns;
    connection->rights = rights;
    connection->greeted = true;
    connection->features = hello->features & (FEATURE_UNCHECKED | FEATURE_MAPPED);
    connection->hello_deadline = 0;
    connection->frame_size_max = frame_size_max(connection->server->options, info.batch_size_max);
    log_debug("connection", "%s (process %ld, user %lu) uses namespace \"%s\"", connection->client,
              (long)connection->pid, (unsigned long)connection->uid, info.name);
    answer(connection, to, &info);
    return DISPATCH_TAKEN;
}
