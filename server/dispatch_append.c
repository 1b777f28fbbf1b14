#include "config/options.h"
#include "core/engine.h"
#include "proto/message.h"
#include "server/clock.h"
#include "server/connection.h"
#include "server/dispatch.h"
#include "server/log.h"
#include "server/request.h"
#include "server/server.h"
#include "server/users.h"

#define TELL_PAUSE_US 60000000u /* Between two lines of the log about a full disk, or a quota */

/* Whether to say it again. */
static bool tell_now(uint64_t *told_us)
{
    const uint64_t now_us = clock_mono_us();

    if (*told_us != 0 && now_us - *told_us < TELL_PAUSE_US) {
        return false;
    }
    *told_us = now_us;
    return true;
}

/* A full disk and a full namespace are the operator's to mend, who may never see what clients are
 * answered. */
static void tell_full(struct server *server, const struct engine_request *base)
{
    const bool quota = base->status == TUSK_EQUOTA;
    struct engine_namespace_info info;

    if (tell_now(quota ? &server->quota_told_us : &server->full_told_us)) {
        engine_namespace_info(base->ns, &info);
        log_event(quota ? LOG_EVENT_QUOTA : LOG_EVENT_DISK_FULL, "append", info.name, "%s",
                  base->error.text);
    }
}

/* It would have made a topic, and its user has made enough. (Another hour may have begun.) */
static void refuse_topic(const struct request *request)
{
    char why[USERS_TEXT_SIZE] = "user_topics_max was reached; try again";

    (void)users_may_make_topic(request->connection, why);
    reply_error(request->connection, request->to, TUSK_EBUSY, 0, 0, why);
}

static void append_done(struct engine_request *base)
{
    struct request *request = base->arg;
    const struct engine_append *append = &request->u.append;
    const struct message_append_reply reply = {
        .topic_id = append->topic_id,
        .first_offset = append->first_offset,
        .durable_end = append->durable_end,
    };
    uint8_t *body;

    dispatch_slow_done(request, base);
    if (base->status == TUSK_ENOSPACE || base->status == TUSK_EQUOTA) {
        tell_full(request->server, base);
    }
    if (base->status == TUSK_ENOTFOUND && request->topics_used_up && request->connection != NULL) {
        refuse_topic(request);
    } else if (base->status != 0) {
        request_answer_error(request, base);
    } else if (request->connection != NULL) {
        body = reply_begin(request->connection, request->to, MESSAGE_APPEND_REPLY_SIZE);
        if (body != NULL) {
            (void)message_append_reply_encode(body, &reply);
        }
    }
    request_free(request);
}

enum dispatch_result dispatch_append(struct connection *connection, struct reply_to to,
                                     const struct message *message, uint32_t frame_size)
{
    const struct message_append *wanted = &message->u.append;
    struct server *server = connection->server;
    struct engine_append *append;
    struct request *request;
    char why[USERS_TEXT_SIZE];

    if (engine_namespace_congested(connection->ns)) {
        return DISPATCH_LATER;
    }
    request = request_new(connection, to, frame_size, 0);
    if (request == NULL) {
        return dispatch_no_request(connection, to);
    }
    append = &request->u.append;
    request_begin(request, &append->base, append_done);
    append->topic = dispatch_topic(&wanted->topic);
    append->batch = wanted->batch;
    append->batch_size = wanted->batch_size;
    append->durable = (wanted->flags & APPEND_DURABLE) != 0;
    append->no_create = (wanted->flags & APPEND_NO_CREATE) != 0 || !server->options->create_topics;
    if (!append->no_create && !users_may_make_topic(connection, why)) {
        append->no_create = true;
        request->topics_used_up = true;
    }
    append->topic_id = 0;
    append->first_offset = 0;
    append->durable_end = 0;
    append->end = 0;
    append->kept = NULL;
    append->target = NULL;
    server_stage(server);
    engine_append(connection->ns, append);
    if (append->created) {
        users_made_topic(connection);
    }
    return DISPATCH_TAKEN;
}
