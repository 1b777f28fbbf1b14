/* Topics, cursors, namespaces and counters: calls that are rarely made. */
#include "client/blocking.h"

#include <stddef.h>
#include <string.h>

int admin_malformed(struct tusk *t)
{
    pipeline_break(t, TUSK_EPROTOCOL, "the daemon's reply is malformed");
    return failure_set(&t->failure, TUSK_EPROTOCOL, "the daemon's reply is malformed");
}

/* Names from the wire have at most 255 bytes; a longer sentence is cut. */
static void name_copy(char *to, const struct message_name *name)
{
    size_t size = name->size < TUSK_NAME_SIZE_MAX ? name->size : TUSK_NAME_SIZE_MAX;

    memcpy(to, name->data, size);
    to[size] = '\0';
}

static uint32_t settings_copy(struct tusk_setting *to, const struct message_settings *from)
{
    uint32_t i;

    for (i = 0; i < from->count && i < TUSK_SETTINGS_MAX; i++) {
        to[i] = (struct tusk_setting){.key = from->items[i].key, .value = from->items[i].value};
    }
    return i;
}

/* The wire wants keys ascending and each once; callers may name them in any order. */
static int settings_from(struct tusk *t, struct message_settings *to,
                         const struct tusk_setting *settings, uint32_t count)
{
    uint32_t i;

    if (count > MESSAGE_SETTINGS_MAX) {
        return failure_set(&t->failure, TUSK_EINVALID, "%u settings; at most %u go at once", count,
                           MESSAGE_SETTINGS_MAX);
    }
    to->count = (uint16_t)count;
    for (i = 0; i < count; i++) {
        uint32_t at = i;

        while (at > 0 && to->items[at - 1].key > settings[i].key) {
            to->items[at] = to->items[at - 1];
            at--;
        }
        if (at > 0 && to->items[at - 1].key == settings[i].key) {
            return failure_set(&t->failure, TUSK_EINVALID, "setting %u is given twice",
                               settings[i].key);
        }
        to->items[at] =
            (struct message_setting){.key = settings[i].key, .value = settings[i].value};
    }
    return TUSK_OK;
}

/* ---- Topics ---- */

static int topic_settings_run(struct tusk *t, uint16_t type, const char *topic,
                              const struct tusk_setting *settings, uint32_t count,
                              struct call *call)
{
    struct message message = {.type = type};
    int rc = topic_by_name(t, topic, &message.u.topic_settings.topic);

    if (rc == TUSK_OK) {
        rc = settings_from(t, &message.u.topic_settings.settings, settings, count);
    }
    return rc == TUSK_OK ? call_run(t, call, &message, true, 0) : rc;
}

int tusk_topic_create(struct tusk *t, const char *topic, const struct tusk_setting *settings,
                      uint32_t count, uint64_t *topic_id)
{
    struct call call;
    int rc = topic_settings_run(t, MESSAGE_TOPIC_CREATE, topic, settings, count, &call);

    if (rc == TUSK_OK && topic_id != NULL) {
        *topic_id = call.reply.u.value;
    }
    return rc;
}

int tusk_topic_set(struct tusk *t, const char *topic, const struct tusk_setting *settings,
                   uint32_t count)
{
    struct call call;

    return topic_settings_run(t, MESSAGE_TOPIC_SET, topic, settings, count, &call);
}

int tusk_topic_delete(struct tusk *t, const char *topic)
{
    struct message message = {.type = MESSAGE_TOPIC_DELETE};
    struct call call;
    int rc = topic_by_name(t, topic, &message.u.topic);

    return rc == TUSK_OK ? call_run(t, &call, &message, true, 0) : rc;
}

int tusk_topic_trim(struct tusk *t, const char *topic, uint64_t offset, uint64_t *first)
{
    struct message message = {.type = MESSAGE_TOPIC_TRIM};
    struct call call;
    int rc;

    message.u.topic_trim.offset = offset;
    rc = topic_by_name(t, topic, &message.u.topic_trim.topic);
    if (rc == TUSK_OK) {
        rc = call_run(t, &call, &message, true, 0);
    }
    if (rc == TUSK_OK && first != NULL) {
        *first = call.reply.u.value;
    }
    return rc;
}

static void topic_info_fill(struct tusk_topic_info *to, const struct message_topic_info *from)
{
    *to = (struct tusk_topic_info){
        .size = sizeof *to,
        .topic_id = from->topic_id,
        .created_us = from->created_us,
        .first = from->first,
        .end = from->end,
        .durable_end = from->durable_end,
        .entries = from->entries,
        .bytes = from->bytes,
        .last_time_us = from->last_time_us,
        .blocks = from->blocks,
        .cursors = from->cursors,
    };
    to->setting_count = settings_copy(to->settings, &from->settings);
    name_copy(to->name, &from->name);
}

int tusk_topic_info(struct tusk *t, const char *topic, struct tusk_topic_info *info)
{
    struct message message = {.type = MESSAGE_TOPIC_INFO};
    struct message_topic_info decoded;
    struct tusk_topic_info all;
    struct call call;
    int rc = topic_by_name(t, topic, &message.u.topic);

    if (rc == TUSK_OK) {
        rc = call_run(t, &call, &message, false, 0);
    }
    if (rc != TUSK_OK) {
        return rc;
    }
    rc = message_topic_info_decode(&decoded, call.reply.u.body.data, call.reply.u.body.size);
    if (rc == TUSK_OK) {
        topic_info_fill(&all, &decoded);
        rc = struct_out(info, info->size, &all, sizeof all);
    } else {
        rc = admin_malformed(t);
    }
    return call_end(&call, rc);
}

int tusk_access(struct tusk *t, const char *user, const char *space, struct tusk_access *access)
{
    struct message message = {.type = MESSAGE_ACCESS};
    struct message_access_reply decoded;
    struct tusk_access all = {.size = 0};
    struct call call;
    int rc = name_from(t, "user", user != NULL ? user : "", &message.u.access.user);

    if (rc == TUSK_OK) {
        rc = name_from(t, "namespace", space != NULL ? space : "", &message.u.access.space);
    }
    if (rc == TUSK_OK) {
        rc = call_run(t, &call, &message, false, 0);
    }
    if (rc != TUSK_OK) {
        return rc;
    }
    rc = message_access_reply_decode(&decoded, call.reply.u.body.data, call.reply.u.body.size);
    if (rc == TUSK_OK) {
        all.uid = decoded.uid;
        all.rights = decoded.rights;
        name_copy(all.user, &decoded.user);
        name_copy(all.why, &decoded.why);
        rc = struct_out(access, access->size, &all, sizeof all);
    } else {
        rc = admin_malformed(t);
    }
    return call_end(&call, rc);
}

/* ---- Lists: page after page, each from behind the last name of the one before ---- */

struct lister {
    struct tusk *t;
    struct message message;
    struct message_name *after; /* In message */
    char last[TUSK_NAME_SIZE_MAX + 1];
    bool stopped; /* By the user */
    union {
        tusk_topic_fn topic;
        tusk_cursor_fn cursor;
        tusk_namespace_fn space;
    } fn;
    void *user;
};

/* Hand out one item. 1; 0 after the last; negative when the bytes are wrong. */
typedef int (*lister_item_fn)(struct lister *lister, struct message_reader *reader);

static int lister_page(struct lister *lister, lister_item_fn item, bool *more)
{
    struct message_reader reader;
    struct call call;
    int rc = call_run(lister->t, &call, &lister->message, false, 0);

    if (rc != TUSK_OK) {
        return rc;
    }
    rc = message_list_begin(&reader, call.reply.u.body.data, call.reply.u.body.size);
    /* A page that promises more and holds nothing would be asked for for ever. */
    if (rc == TUSK_OK && reader.more && reader.count == 0) {
        rc = TUSK_EPROTOCOL;
    }
    *more = rc == TUSK_OK && reader.more;
    while (rc >= 0 && !lister->stopped && (rc = item(lister, &reader)) == 1) {
    }
    rc = rc < 0 ? admin_malformed(lister->t) : TUSK_OK;
    return call_end(&call, rc);
}

static int lister_run(struct lister *lister, lister_item_fn item)
{
    bool more = true;
    int rc = TUSK_OK;
    char before[sizeof lister->last];
    bool first = true;

    while (rc == TUSK_OK && more && !lister->stopped) {
        memcpy(before, lister->last, sizeof before);
        rc = lister_page(lister, item, &more);
        /* Names ascend; a daemon that repeats itself would keep this here for ever. */
        if (rc == TUSK_OK && more && !first && strcmp(lister->last, before) <= 0) {
            return admin_malformed(lister->t);
        }
        first = false;
        lister->after->data = lister->last;
        lister->after->size = (uint16_t)strlen(lister->last);
        if (lister->message.type == MESSAGE_CURSOR_LIST) {
            lister->message.u.cursor_list.from_first = false;
        }
    }
    return rc;
}

static int lister_topic(struct lister *lister, struct message_reader *reader)
{
    struct message_topic_info decoded;
    struct tusk_topic_info info;
    int rc = message_topic_list_next(reader, &decoded);

    if (rc == 1) {
        topic_info_fill(&info, &decoded);
        memcpy(lister->last, info.name, sizeof lister->last);
        lister->stopped = lister->fn.topic(lister->user, &info) != 0;
    }
    return rc;
}

int tusk_topic_list(struct tusk *t, tusk_topic_fn fn, void *user)
{
    struct lister lister = {.t = t, .fn.topic = fn, .user = user};

    lister.message.type = MESSAGE_TOPIC_LIST;
    lister.message.u.list.max = MESSAGE_LIST_MAX;
    lister.after = &lister.message.u.list.after;
    lister.after->data = lister.last;
    return lister_run(&lister, lister_topic);
}

static int lister_cursor(struct lister *lister, struct message_reader *reader)
{
    struct message_cursor_info decoded;
    struct tusk_cursor_info info;
    int rc = message_cursor_list_next(reader, &decoded);

    if (rc == 1) {
        info = (struct tusk_cursor_info){.size = sizeof info,
                                         .offset = decoded.offset,
                                         .durable_offset = decoded.durable_offset,
                                         .epoch = decoded.epoch,
                                         .lag = decoded.lag};
        name_copy(info.name, &decoded.name);
        memcpy(lister->last, info.name, sizeof lister->last);
        lister->stopped = lister->fn.cursor(lister->user, &info) != 0;
    }
    return rc;
}

int tusk_cursor_list(struct tusk *t, const char *topic, tusk_cursor_fn fn, void *user)
{
    struct lister lister = {.t = t, .fn.cursor = fn, .user = user};
    struct message_cursor_list *list = &lister.message.u.cursor_list;
    int rc = topic_by_name(t, topic, &list->topic);

    lister.message.type = MESSAGE_CURSOR_LIST;
    list->max = MESSAGE_LIST_MAX;
    list->from_first = true;
    lister.after = &list->after;
    lister.after->data = lister.last;
    return rc == TUSK_OK ? lister_run(&lister, lister_cursor) : rc;
}

static int lister_namespace(struct lister *lister, struct message_reader *reader)
{
    struct message_namespace_info decoded;
    struct tusk_namespace_info info;
    int rc = message_namespace_list_next(reader, &decoded);

    if (rc == 1) {
        info = (struct tusk_namespace_info){.size = sizeof info,
                                            .topics = decoded.topics,
                                            .bytes = decoded.bytes,
                                            .state = decoded.state};
        info.setting_count = settings_copy(info.settings, &decoded.settings);
        name_copy(info.name, &decoded.name);
        name_copy(info.reason, &decoded.reason);
        memcpy(lister->last, info.name, sizeof lister->last);
        lister->stopped = lister->fn.space(lister->user, &info) != 0;
    }
    return rc;
}

int tusk_namespace_list(struct tusk *t, tusk_namespace_fn fn, void *user)
{
    struct lister lister = {.t = t, .fn.space = fn, .user = user};

    lister.message.type = MESSAGE_NAMESPACE_LIST;
    lister.message.u.list.max = MESSAGE_LIST_MAX;
    lister.after = &lister.message.u.list.after;
    lister.after->data = lister.last;
    return lister_run(&lister, lister_namespace);
}

/* ---- Cursors and namespaces ---- */

int tusk_cursor_delete(struct tusk *t, const char *topic, const char *cursor)
{
    struct message message = {.type = MESSAGE_CURSOR_DELETE};
    struct call call;
    int rc = topic_by_name(t, topic, &message.u.cursor.topic);

    if (rc == TUSK_OK) {
        rc = name_from(t, "cursor name", cursor, &message.u.cursor.cursor);
    }
    return rc == TUSK_OK ? call_run(t, &call, &message, true, 0) : rc;
}

static int namespace_settings_run(struct tusk *t, uint16_t type, const char *space,
                                  const struct tusk_setting *settings, uint32_t count)
{
    struct message message = {.type = type};
    struct call call;
    int rc = name_from(t, "namespace", space, &message.u.namespace_settings.name);

    if (rc == TUSK_OK) {
        rc = settings_from(t, &message.u.namespace_settings.settings, settings, count);
    }
    return rc == TUSK_OK ? call_run(t, &call, &message, true, 0) : rc;
}

int tusk_namespace_create(struct tusk *t, const char *space, const struct tusk_setting *settings,
                          uint32_t count)
{
    return namespace_settings_run(t, MESSAGE_NAMESPACE_CREATE, space, settings, count);
}

int tusk_namespace_set(struct tusk *t, const char *space, const struct tusk_setting *settings,
                       uint32_t count)
{
    return namespace_settings_run(t, MESSAGE_NAMESPACE_SET, space, settings, count);
}

int tusk_namespace_delete(struct tusk *t, const char *space)
{
    struct message message = {.type = MESSAGE_NAMESPACE_DELETE};
    struct call call;
    int rc = name_from(t, "namespace", space, &message.u.name);

    return rc == TUSK_OK ? call_run(t, &call, &message, true, 0) : rc;
}

/* ---- Counters and configuration ---- */

int tusk_stats(struct tusk *t, tusk_stat_fn fn, void *user)
{
    struct message message = {.type = MESSAGE_STATS};
    char name[TUSK_NAME_SIZE_MAX + 1];
    struct message_reader reader;
    struct message_stat stat;
    struct call call;
    int rc = call_run(t, &call, &message, false, 0);

    if (rc != TUSK_OK) {
        return rc;
    }
    rc = message_stats_begin(&reader, call.reply.u.body.data, call.reply.u.body.size);
    while (rc >= 0 && (rc = message_stats_next(&reader, &stat)) == 1) {
        name_copy(name, &stat.name);
        if (fn(user, name, stat.value) != 0) {
            rc = 0;
            break;
        }
    }
    return call_end(&call, rc < 0 ? admin_malformed(t) : TUSK_OK);
}

/* More than there can be namespaces' settings on one machine. */
#define CONFIG_ITEMS_MAX 1000000u

static void text_copy(char *to, const struct message_name *text)
{
    memcpy(to, text->data, text->size);
    to[text->size] = '\0';
}

static int config_item(const struct message_config_item *decoded, tusk_config_fn fn, void *user)
{
    char section[TUSK_NAME_SIZE_MAX + 1];
    char space[TUSK_NAME_SIZE_MAX + 1];
    char key[TUSK_NAME_SIZE_MAX + 1];
    char value[MESSAGE_TEXT_SIZE_MAX + 1];
    char fallback[MESSAGE_TEXT_SIZE_MAX + 1];
    char origin[MESSAGE_TEXT_SIZE_MAX + 1];
    const struct tusk_config_item item = {.size = sizeof item,
                                          .needs_restart = decoded->needs_restart,
                                          .section = section,
                                          .space = space,
                                          .key = key,
                                          .value = value,
                                          .fallback = fallback,
                                          .origin = origin};

    name_copy(section, &decoded->section);
    name_copy(space, &decoded->space);
    name_copy(key, &decoded->key);
    text_copy(value, &decoded->value);
    text_copy(fallback, &decoded->fallback);
    text_copy(origin, &decoded->origin);
    return fn(user, &item);
}

/* One reply. *from goes on behind it; *more: there is another. */
static int config_page(struct tusk *t, struct message_config *wanted, bool *more, tusk_config_fn fn,
                       void *user)
{
    struct message message = {.type = MESSAGE_CONFIG, .u.config = *wanted};
    struct message_config_item item;
    struct message_reader reader;
    struct call call;
    int rc = call_run(t, &call, &message, false, 0);

    if (rc != TUSK_OK) {
        return rc;
    }
    rc = message_list_begin(&reader, call.reply.u.body.data, call.reply.u.body.size);
    *more = reader.more;
    while (rc >= 0 && (rc = message_config_list_next(&reader, &item)) == 1) {
        wanted->from++;
        if (config_item(&item, fn, user) != 0) {
            *more = false;
            rc = 0;
            break;
        }
    }
    return call_end(&call, rc < 0 ? admin_malformed(t) : TUSK_OK);
}

int tusk_config(struct tusk *t, int files, tusk_config_fn fn, void *user)
{
    struct message_config wanted = {.max = MESSAGE_LIST_MAX, .files = files != 0};
    bool more = true;
    int rc = TUSK_OK;

    while (rc == TUSK_OK && more) {
        /* A daemon that always promises more would keep this here for ever. */
        if (wanted.from > CONFIG_ITEMS_MAX) {
            return admin_malformed(t);
        }
        rc = config_page(t, &wanted, &more, fn, user);
    }
    return rc;
}
