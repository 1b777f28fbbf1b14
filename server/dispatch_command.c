/* What changes cursors, topics and settings, and SYNC: a row per type says what the engine is
 * asked, and what of its answer goes back. */
#include <string.h>

#include "core/check.h"
#include "core/engine.h"
#include "proto/message.h"
#include "server/connection.h"
#include "server/dispatch.h"
#include "server/request.h"
#include "server/server.h"

static void answer_cursor(const struct request *request)
{
    const struct message_cursor_reply reply = {
        .offset = request->u.command.offset,
        .epoch = request->u.command.epoch,
    };
    uint8_t *body = reply_begin(request->connection, request->to, MESSAGE_CURSOR_REPLY_SIZE);

    if (body != NULL) {
        (void)message_cursor_reply_encode(body, &reply);
    }
}

static void answer_number(const struct request *request, uint64_t value)
{
    uint8_t *body = reply_begin(request->connection, request->to, MESSAGE_U64_REPLY_SIZE);

    if (body != NULL) {
        (void)message_u64_reply_encode(body, value);
    }
}

static void answer(const struct request *request)
{
    const struct engine_command *command = &request->u.command;

    switch (command->kind) {
    case ENGINE_CHECKPOINT:
    case ENGINE_SEEK:
    case ENGINE_CURSOR_CREATE:
        answer_cursor(request);
        break;
    case ENGINE_TOPIC_CREATE:
        answer_number(request, command->topic_id);
        break;
    case ENGINE_TOPIC_TRIM:
        answer_number(request, command->offset);
        break;
    case ENGINE_CURSOR_DELETE:
    case ENGINE_TOPIC_SET:
    case ENGINE_TOPIC_DELETE:
    case ENGINE_NAMESPACE_SET:
    case ENGINE_SYNC:
        reply_empty(request->connection, request->to);
        break;
    }
}

static void command_done(struct engine_request *base)
{
    struct request *request = base->arg;

    dispatch_slow_done(request, base);
    if (base->status != 0) {
        request_answer_error(request, base);
    } else if (request->connection != NULL) {
        answer(request);
    }
    request_free(request);
}

static void fill_cursor(struct engine_command *command, const struct message_topic *topic,
                        const struct message_name *cursor)
{
    command->topic = dispatch_topic(topic);
    command->cursor = cursor->data;
    command->cursor_size = cursor->size;
}

static void fill_position(struct engine_command *command, const struct message *message)
{
    const struct message_cursor_position *wanted = &message->u.cursor_position;

    fill_cursor(command, &wanted->topic, &wanted->cursor);
    command->position = (enum engine_position)wanted->position.kind;
    command->value = wanted->position.value;
}

static void fill_checkpoint(struct engine_command *command, const struct message *message)
{
    const struct message_checkpoint *wanted = &message->u.checkpoint;

    fill_cursor(command, &wanted->topic, &wanted->cursor);
    command->offset = wanted->offset;
    command->epoch = wanted->epoch;
    command->no_create = (wanted->flags & CHECKPOINT_NO_CREATE) != 0;
}

static void fill_topic_settings(struct engine_command *command, const struct message *message,
                                struct engine_setting *settings)
{
    command->topic = dispatch_topic(&message->u.topic_settings.topic);
    command->settings = settings;
    command->settings_count = dispatch_settings(settings, &message->u.topic_settings.settings);
}

/* Put the message into the engine's words. `settings` has MESSAGE_SETTINGS_MAX places, and is
 * borrowed by *command. */
static void fill(struct engine_command *command, const struct message *message,
                 struct engine_setting *settings)
{
    switch (message->type) {
    case MESSAGE_CHECKPOINT:
        command->kind = ENGINE_CHECKPOINT;
        fill_checkpoint(command, message);
        break;
    case MESSAGE_SEEK:
        command->kind = ENGINE_SEEK;
        fill_position(command, message);
        break;
    case MESSAGE_CURSOR_CREATE:
        command->kind = ENGINE_CURSOR_CREATE;
        fill_position(command, message);
        break;
    case MESSAGE_CURSOR_DELETE:
        command->kind = ENGINE_CURSOR_DELETE;
        fill_cursor(command, &message->u.cursor.topic, &message->u.cursor.cursor);
        break;
    case MESSAGE_TOPIC_CREATE:
        command->kind = ENGINE_TOPIC_CREATE;
        fill_topic_settings(command, message, settings);
        break;
    case MESSAGE_TOPIC_SET:
        command->kind = ENGINE_TOPIC_SET;
        fill_topic_settings(command, message, settings);
        break;
    case MESSAGE_TOPIC_DELETE:
        command->kind = ENGINE_TOPIC_DELETE;
        command->topic = dispatch_topic(&message->u.topic);
        break;
    case MESSAGE_TOPIC_TRIM:
        command->kind = ENGINE_TOPIC_TRIM;
        command->topic = dispatch_topic(&message->u.topic_trim.topic);
        command->offset = message->u.topic_trim.offset;
        break;
    case MESSAGE_NAMESPACE_SET:
        command->kind = ENGINE_NAMESPACE_SET;
        command->settings = settings;
        command->settings_count =
            dispatch_settings(settings, &message->u.namespace_settings.settings);
        break;
    default:
        CHECK(message->type == MESSAGE_SYNC);
        command->kind = ENGINE_SYNC;
        break;
    }
}

enum dispatch_result dispatch_command(struct connection *connection, struct reply_to to,
                                      const struct message *message, uint32_t frame_size)
{
    return dispatch_command_on(connection->ns, connection, to, message, frame_size);
}

enum dispatch_result dispatch_command_on(struct namespace *ns, struct connection *connection,
                                         struct reply_to to, const struct message *message,
                                         uint32_t frame_size)
{
    struct request *request = request_new(connection, to, frame_size, 0);
    struct engine_setting settings[MESSAGE_SETTINGS_MAX];
    struct engine_command *command;

    if (request == NULL) {
        return dispatch_no_request(connection, to);
    }
    command = &request->u.command;
    memset(command, 0, sizeof *command);
    request_begin(request, &command->base, command_done);
    fill(command, message, settings);
    request->u.topic_name_size = (uint8_t)command->topic.name_size;
    if (command->topic.name_size > 0) {
        memcpy(request->u.topic_name, command->topic.name, command->topic.name_size);
    }
    server_stage(connection->server);
    engine_command(ns, command);
    return DISPATCH_TAKEN;
}
