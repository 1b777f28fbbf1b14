/* CONFIG: every value, where it came from, and what it would be otherwise. Options first, in the
 * order of options.def, then the settings of each namespace that serves. */
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "core/engine.h"
#include "proto/message.h"
#include "server/configured.h"
#include "server/connection.h"
#include "server/dispatch.h"
#include "server/reload.h"
#include "server/server.h"

struct answer {
    const struct config *config;
    bool files; /* What is in *config is not in force */
    uint32_t skip;
    uint32_t max;
    struct listing listing;
    bool more;
};

static struct message_name name_of(const char *text)
{
    return (struct message_name){.data = text, .size = (uint16_t)strlen(text)};
}

/* Add an item. False: the list is as long as it may be. */
static bool add(struct answer *answer, const struct message_config_item *item)
{
    uint8_t *room = NULL;

    if (answer->skip > 0) {
        answer->skip--;
        return true;
    }
    if (answer->listing.count < answer->max) {
        room = listing_room(&answer->listing, message_config_item_size(item));
    }
    if (room == NULL) {
        answer->more = true;
        return false;
    }
    (void)message_config_item_encode(room, item);
    return true;
}

static bool add_option(struct answer *answer, int index)
{
    const struct option_row *row = &options_rows()[index];
    struct message_config_item item = {
        .needs_restart = row->when == OPTION_WHEN_START,
        .section = name_of(options_section_name(row->section)),
        .space = name_of(""),
        .key = name_of(row->key),
    };
    char fallback[OPTIONS_PATH_SIZE];
    char value[OPTIONS_PATH_SIZE];
    char where[OPTIONS_ORIGIN_SIZE];

    options_fallback(index, fallback);
    options_text(&answer->config->options, index, value);
    option_origin_text(&answer->config->options.origin[index], where);
    item.value = name_of(value);
    item.fallback = name_of(fallback);
    item.origin = name_of(where);
    return add(answer, &item);
}

/* A setting of a namespace: what it has, or, from files, what it would be given. */
static bool add_setting(struct answer *answer, const struct engine_namespace_info *info,
                        uint32_t index)
{
    const struct option_row *row = &options_rows()[configured_option(index)];
    struct message_config_item item = {
        .section = name_of("namespace"),
        .space = name_of(info->name),
        .key = name_of(row->key),
    };
    const uint64_t has = configured_current(&info->settings, index);
    const struct option_origin *origin;
    char where[OPTIONS_ORIGIN_SIZE] = "stored";
    char fallback[OPTIONS_PATH_SIZE];
    char value[VALUE_TEXT_SIZE];
    uint64_t given = has;

    origin = configured_find(answer->config, info->name, index, &given);
    if (origin != NULL && (answer->files || given == has)) {
        option_origin_text(origin, where);
    }
    options_fallback(configured_option(index), fallback);
    value_format(row->type, answer->files ? given : has, value, sizeof value);
    item.value = name_of(value);
    item.fallback = name_of(fallback);
    item.origin = name_of(where);
    return add(answer, &item);
}

static void add_all(struct answer *answer, struct engine *engine)
{
    struct namespace *ns = engine_namespace_next(engine, NULL, 0);
    struct engine_namespace_info info;
    uint32_t i;

    for (i = 0; i < OPTION_COUNT; i++) {
        if (!add_option(answer, (int)i)) {
            return;
        }
    }
    while (ns != NULL) {
        engine_namespace_info(ns, &info);
        for (i = 0; i < CONFIGURED_COUNT && info.state == ENGINE_SERVING; i++) {
            if (!add_setting(answer, &info, i)) {
                return;
            }
        }
        ns = engine_namespace_next(engine, info.name, strlen(info.name));
    }
}

static void send_list(struct answer *answer, struct connection *connection, struct reply_to to)
{
    if (listing_begin(&answer->listing, connection, to, MESSAGE_LIST_HEAD_SIZE) != 0) {
        reply_error(connection, to, TUSK_ENOMEM, 0, 0, "no memory for the reply");
        return;
    }
    add_all(answer, connection->server->engine);
    if (answer->more && answer->listing.count == 0) {
        listing_drop(&answer->listing);
        reply_error(connection, to, TUSK_ENOMEM, 0, 0, "no memory for the reply");
        return;
    }
    message_list_head_encode(listing_head(&answer->listing), answer->more, answer->listing.count);
    listing_send(&answer->listing);
}

/* What is wrong with the files, in one text; what does not fit is cut. */
static void send_errors(const struct config *config, struct connection *connection,
                        struct reply_to to)
{
    char text[MESSAGE_TEXT_SIZE_MAX + 1] = "";
    size_t used = 0;
    uint32_t i;

    for (i = 0; i < config->errors.count && used < sizeof text; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i > 0 ? "; " : "",
                                 config->errors.texts[i]);
    }
    reply_error(connection, to, TUSK_EINVALID, 0, 0, text);
}

enum dispatch_result dispatch_config(struct connection *connection, struct reply_to to,
                                     const struct message *message, uint32_t frame_size)
{
    const struct message_config *wanted = &message->u.config;
    const struct server *server = connection->server;
    struct answer answer = {
        .config = server->config,
        .files = wanted->files,
        .skip = wanted->from,
        .max = wanted->max,
    };
    struct config read_now;

    (void)frame_size;
    if (!wanted->files) {
        send_list(&answer, connection, to);
        return DISPATCH_TAKEN;
    }
    if (server->reload == NULL) {
        reply_error(connection, to, TUSK_EUNSUPPORTED, 0, 0, "this daemon has no files to read");
        return DISPATCH_TAKEN;
    }
    if (config_load(&read_now, server->reload->source) == 0) {
        answer.config = &read_now;
        send_list(&answer, connection, to);
    } else {
        send_errors(&read_now, connection, to);
    }
    config_free(&read_now);
    return DISPATCH_TAKEN;
}
