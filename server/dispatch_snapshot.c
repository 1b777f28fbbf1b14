/* A snapshot: the files of a namespace hold still while a client copies them. A connection holds
 * one at a time, and with the connection it ends. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"
#include "core/check.h"
#include "core/engine.h"
#include "proto/message.h"
#include "server/connection.h"
#include "server/dispatch.h"
#include "server/log.h"
#include "server/request.h"
#include "server/server.h"

static const char *name_of(struct namespace *ns)
{
    struct engine_namespace_info info;

    engine_namespace_info(ns, &info);
    return info.name;
}

/* Where a client finds the files. */
static struct message_name absolute(const char *path, char real[PATH_MAX])
{
    const char *found = realpath(path, real);

    found = found != NULL ? found : path;
    return (struct message_name){.data = found, .size = (uint16_t)reply_text_size(found)};
}

static void answer(const struct request *request)
{
    struct connection *connection = request->connection;
    struct message_snapshot_reply reply;
    struct engine_snapshot snapshot;
    char real[PATH_MAX];
    uint8_t *body;

    engine_snapshot_place(connection->ns, &snapshot);
    reply = (struct message_snapshot_reply){
        .manifest_first = snapshot.manifest_first,
        .manifest_last = snapshot.manifest_last,
        .journal_first = snapshot.journal_first,
        .journal_last = snapshot.journal_last,
        .journal_used = snapshot.journal_used,
        .segments_end = snapshot.segments_end,
        .root = absolute(connection->server->options->data_dir, real),
        .dir = {.data = snapshot.dir, .size = (uint16_t)strlen(snapshot.dir)}};
    body = reply_begin(connection, request->to, (uint32_t)message_snapshot_reply_size(&reply));
    if (body != NULL) {
        (void)message_snapshot_reply_encode(body, &reply);
    }
}

static int end(struct connection *connection, bool shared, struct error *err)
{
    const int rc = engine_snapshot_end(connection->ns, shared, err);

    CHECK(connection->snapshot);
    connection->snapshot = false;
    server_want_turn(connection->server); /* What was held can go */
    return rc;
}

/* What was written before is durable. */
static void synced(struct engine_request *base)
{
    struct request *request = base->arg;
    struct connection *connection = request->connection;
    struct error ignored;

    dispatch_slow_done(request, base);
    if (connection != NULL && connection->snapshot && base->status != 0) {
        (void)end(connection, false, &ignored);
    }
    if (base->status != 0) {
        request_answer_error(request, base);
    } else if (connection != NULL && connection->snapshot) {
        answer(request);
    } else if (connection != NULL) {
        reply_error(connection, request->to, TUSK_ECLOSED, 0, 0,
                    "the snapshot was ended before it had begun");
    }
    request_free(request);
}

enum dispatch_result dispatch_snapshot_begin(struct connection *connection, struct reply_to to,
                                             const struct message *message, uint32_t frame_size)
{
    struct request *request = request_new(connection, to, frame_size, 0);
    struct engine_command *command;
    struct error err;
    int rc;

    (void)message;
    if (request == NULL) {
        return dispatch_no_request(connection, to);
    }
    rc = engine_snapshot_begin(connection->ns, &err);
    if (rc != 0) {
        reply_error(connection, to, rc, 0, 0, err.text);
        request_free(request);
        return DISPATCH_TAKEN;
    }
    connection->snapshot = true;
    log_info("snapshot", "begun of namespace \"%s\" for %s", name_of(connection->ns),
             connection->client);
    command = &request->u.command;
    memset(command, 0, sizeof *command);
    command->kind = ENGINE_SYNC;
    request->u.topic_name_size = 0; /* It is about none */
    request_begin(request, &command->base, synced);
    server_stage(connection->server);
    engine_command(connection->ns, command);
    return DISPATCH_TAKEN;
}

enum dispatch_result dispatch_snapshot_end(struct connection *connection, struct reply_to to,
                                           const struct message *message, uint32_t frame_size)
{
    struct error err;
    int rc;

    (void)frame_size;
    if (!connection->snapshot) {
        reply_error(connection, to, TUSK_EINVALID, 0, 0, "this connection has begun no snapshot");
        return DISPATCH_TAKEN;
    }
    rc = end(connection, message->u.snapshot_end.shared, &err);
    if (rc != 0) {
        reply_error(connection, to, rc, 0, 0, err.text);
        log_warning("snapshot", "of namespace \"%s\" for %s is worth nothing: %s",
                    name_of(connection->ns), connection->client, err.text);
        return DISPATCH_TAKEN;
    }
    log_info("snapshot", "taken of namespace \"%s\" for %s", name_of(connection->ns),
             connection->client);
    reply_empty(connection, to);
    return DISPATCH_TAKEN;
}

void dispatch_snapshot_leave(struct connection *connection)
{
    struct error ignored;

    if (connection->snapshot) {
        log_warning("snapshot", "of namespace \"%s\" was given up: %s went without ending it",
                    name_of(connection->ns), connection->client);
        (void)end(connection, true, &ignored); /* Half a copy may be left, and shares what it can */
    }
}
