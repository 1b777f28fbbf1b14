/* Replies of status 0: each against what was asked, and against what all clients were told before. What is new goes
 * into the ledger. */
#include <string.h>

#include "core/check.h"
#include "tests/sim/lessee.h"
#include "tests/sim/scene.h"

_Noreturn void reply_unreadable(struct client *c, const struct call *call)
{
    scene_fail(c->scene, "replies are what PROTOCOL.md says", "client %llu, request %llu, type %u",
               (unsigned long long)c->number, (unsigned long long)call->id, call->type);
}

/* Ends and first offsets never go back. A topic that may have been deleted can be another by now. */
static void check_floors(struct client *c, const struct call *call,
                         const struct ledger_topic *topic, uint64_t end, uint64_t durable_end)
{
    if (durable_end > end && end != UINT64_MAX) {
        scene_fail(c->scene, "nothing is durable that is not there", "topic %llu: %llu of %llu",
                   (unsigned long long)topic->id, (unsigned long long)durable_end,
                   (unsigned long long)end);
    }
    if (call->topic == topic &&
        ((end < call->end && !topic->space->rescheduled) || durable_end < call->durable_end)) {
        scene_fail(c->scene, "what one client was told, the next one finds",
                   "client %llu, request %llu: topic %llu end %llu durable %llu, told before: %llu "
                   "and %llu",
                   (unsigned long long)c->number, (unsigned long long)call->id,
                   (unsigned long long)topic->id, (unsigned long long)end,
                   (unsigned long long)durable_end, (unsigned long long)call->end,
                   (unsigned long long)call->durable_end);
    }
}

static bool certainly(const struct ledger_setting *setting, uint64_t value, const struct call *call)
{
    return setting->since < call->asked && setting->value == value;
}

/* ---- one type each ---- */

static void hello_reply(struct client *c, struct call *call, const uint8_t *body, size_t size)
{
    struct scene *s = c->scene;
    struct ledger_name *name = &s->ledger.names[call->space_index];
    struct ledger_space *space;
    struct call *early;

    if (message_hello_reply_decode(&c->hello, body, size) != 0 || c->hello.version != 1) {
        reply_unreadable(c, call);
    }
    space = ledger_space_find(&s->ledger, c->hello.store_id);
    if (space == NULL) {
        if (name->space != NULL && !name->changing && name->present_since < call->asked) {
            scene_fail(s, "a store keeps its id", "%s", ledger_space_names[call->space_index]);
        }
        space = ledger_space_new(s, call->space_index, c->hello.store_id);
        space->rescheduled =
            name->setting || !name->fresh || name->fsync.since != name->present_since + 1;
        if (name->fresh && !name->setting) {
            space->fsync = name->fsync;
            space->consistency = name->consistency;
        }
    }
    if (space->index != call->space_index ||
        (space->deleted && name->absent_since < call->asked && name->presence == SPACE_ABSENT)) {
        scene_fail(s, "HELLO leads to the namespace that was asked for", "%s",
                   ledger_space_names[call->space_index]);
    }
    if (name->space == NULL && name->presence == SPACE_PRESENT && !name->changing &&
        !space->deleted) {
        name->space = space;
        name->fresh = false;
    }
    if ((space->fsync.since < call->asked && space->fsync.value != c->hello.fsync_ms) ||
        (space->consistency.since < call->asked &&
         space->consistency.value != c->hello.consistency)) {
        scene_fail(s, "settings are what they were set to", "fsync %lld, consistency %u",
                   (long long)c->hello.fsync_ms, c->hello.consistency);
    }
    if ((c->hello.features & ~call->message.u.hello.features) != 0) {
        scene_fail(s, "nothing is granted that was not asked for", "features %llu",
                   (unsigned long long)c->hello.features);
    }
    c->greeted = true;
    c->said_hello = true; /* Whatever became of another one */
    c->space = space;
    for (early = c->calls; early != NULL; early = early->next) {
        early->space = early->type == MESSAGE_NAMESPACE_SET ? early->space : space;
        if (early->append != NULL && early->append->space == NULL) {
            early->append->space = space;
        }
    }
}

static void append_reply(struct client *c, struct call *call, const uint8_t *body, size_t size)
{
    struct scene *s = c->scene;
    struct ledger_append *append = call->append;
    struct message_append_reply reply;
    struct ledger_topic *topic;

    if (message_append_reply_decode(&reply, body, size) != 0) {
        reply_unreadable(c, call);
    }
    topic = ledger_topic(s, c->space, reply.topic_id, call->name_index);
    append->space = c->space;
    ledger_place(s, append, topic, reply.first_offset);
    if (append->fate != FATE_TOLD) {
        append->fate = FATE_TOLD;
        append->told = ++s->event;
    }
    if ((call->message.u.append.flags & APPEND_DURABLE) != 0 || append->synced ||
        certainly(&c->space->fsync, ENGINE_FSYNC_EACH, call)) {
        append->promised = true;
        if (reply.durable_end < append->end && !topic->delete_asked) {
            scene_fail(
                s, "what is acknowledged as durable is durable",
                "append %llu ends at %llu, durable end %llu, flags %u, fsync %lld since %llu",
                (unsigned long long)append->number, (unsigned long long)append->end,
                (unsigned long long)reply.durable_end, call->message.u.append.flags,
                (long long)c->space->fsync.value, (unsigned long long)c->space->fsync.since);
        }
    }
    check_floors(c, call, topic, UINT64_MAX, reply.durable_end);
    ledger_ends_told(topic, append->end, reply.durable_end);
}

static void cursor_reply(struct client *c, struct call *call, const uint8_t *body, size_t size)
{
    struct scene *s = c->scene;
    struct message_cursor_reply reply;
    struct ledger_topic *topic = call->topic;
    bool strict = call->type != MESSAGE_CHECKPOINT;

    if (message_cursor_reply_decode(&reply, body, size) != 0) {
        reply_unreadable(c, call);
    }
    if (call->type == MESSAGE_CHECKPOINT && reply.offset < call->message.u.checkpoint.offset) {
        scene_fail(s, "a checkpoint is answered with where the cursor stands",
                   "asked %llu, answered %llu",
                   (unsigned long long)call->message.u.checkpoint.offset,
                   (unsigned long long)reply.offset);
    }
    if (topic == NULL || topic->delete_asked || topic->cursors[call->cursor].loose) {
        return; /* Which cursor that was, nobody can say */
    }
    if (reply.epoch < call->epoch || (reply.epoch == call->epoch && reply.offset < call->offset)) {
        scene_fail(s, "a cursor goes back only when it is sought",
                   "topic %llu cursor %u: %llu of epoch %llu, told before: %llu of epoch %llu",
                   (unsigned long long)topic->id, call->cursor, (unsigned long long)reply.offset,
                   (unsigned long long)reply.epoch, (unsigned long long)call->offset,
                   (unsigned long long)call->epoch);
    }
    strict = strict || certainly(&c->space->consistency, 0, call);
    ledger_cursor_told(s, topic, call->cursor, reply.epoch, reply.offset, strict, strict);
    if (!strict && c->space->consistency.since < call->asked &&
        reply.offset >= c->space->consistency.value) {
        ledger_cursor_told(s, topic, call->cursor, reply.epoch,
                           reply.offset - (c->space->consistency.value - 1), false, true);
    }
}

static void number_reply(struct client *c, struct call *call, const uint8_t *body, size_t size)
{
    struct scene *s = c->scene;
    uint64_t value;

    if (message_u64_reply_decode(&value, body, size) != 0) {
        reply_unreadable(c, call);
    }
    if (call->type == MESSAGE_TOPIC_CREATE) {
        ledger_topic(s, c->space, value, call->name_index)->promised = true;
        return;
    }
    if (value < call->message.u.topic_trim.offset) {
        scene_fail(s, "a trim gives up what it was asked to", "%llu, asked %llu",
                   (unsigned long long)value,
                   (unsigned long long)call->message.u.topic_trim.offset);
    }
    if (call->topic != NULL && !call->topic->delete_asked && value > call->topic->first) {
        call->topic->first = value;
    }
}

static void check_info(struct client *c, struct call *call, const struct message_topic_info *info)
{
    struct scene *s = c->scene;
    const unsigned name = ledger_topic_index(info->name.data, info->name.size);
    struct ledger_topic *topic;

    if (name == LEDGER_TOPICS) {
        scene_fail(s, "no topic is invented", "%.*s", (int)info->name.size, info->name.data);
    }
    topic = ledger_topic(s, c->space, info->topic_id, name);
    check_floors(c, call, topic, info->end, info->durable_end);
    /* Not held against `end`: the count of entries has those that are on their way already. */
    if (call->topic == topic && info->first < call->first) {
        scene_fail(s, "the first offset kept never goes back", "topic %llu: %llu, told before %llu",
                   (unsigned long long)topic->id, (unsigned long long)info->first,
                   (unsigned long long)call->first);
    }
    ledger_ends_told(topic, info->end, info->durable_end);
}

static void topic_list_reply(struct client *c, struct call *call, const uint8_t *body, size_t size)
{
    struct message_reader reader;
    struct message_topic_info info;
    const struct ledger_topic *topic;
    uint32_t count = 0;
    unsigned names = 0;
    int rc = message_list_begin(&reader, body, size);

    while (rc == 0 && (rc = message_topic_list_next(&reader, &info)) == 1) {
        rc = 0;
        count++;
        check_info(c, call, &info);
        names |= 1u << ledger_topic_index(info.name.data, info.name.size);
    }
    if (rc < 0 || count > call->message.u.list.max) {
        reply_unreadable(c, call);
    }
    for (topic = c->space->topics; topic != NULL && !reader.more; topic = topic->next) {
        if (topic->told < call->asked && !topic->delete_asked &&
            call->message.u.list.after.size == 0 && (names & 1u << topic->name_index) == 0) {
            scene_fail(c->scene, "a topic stays until it is deleted", "topic %llu is not listed",
                       (unsigned long long)topic->id);
        }
    }
}

static void cursor_list_reply(struct client *c, struct call *call, const uint8_t *body, size_t size)
{
    struct ledger_topic *topic = call->topic;
    struct message_reader reader;
    struct message_cursor_info info;
    uint32_t count = 0;
    int rc = message_list_begin(&reader, body, size);

    while (rc == 0 && (rc = message_cursor_list_next(&reader, &info)) == 1) {
        const unsigned index = ledger_cursor_index(info.name.data, info.name.size);

        rc = 0;
        count++;
        if (index == LEDGER_CURSORS || info.epoch == 0) {
            scene_fail(c->scene, "no cursor is invented", "%.*s", (int)info.name.size,
                       info.name.data);
        }
        if (topic != NULL && !topic->delete_asked && !topic->cursors[index].loose &&
            !ledger_cursor_asked(c->scene, topic, index)) {
            scene_fail(c->scene, "no cursor is invented", "topic %llu, cursor %u",
                       (unsigned long long)topic->id, index);
        }
    }
    if (rc < 0 || count > call->message.u.cursor_list.max) {
        reply_unreadable(c, call);
    }
}

static void space_list_reply(struct client *c, struct call *call, const uint8_t *body, size_t size)
{
    struct scene *s = c->scene;
    struct message_reader reader;
    struct message_namespace_info info;
    int rc = message_list_begin(&reader, body, size);

    while (rc == 0 && (rc = message_namespace_list_next(&reader, &info)) == 1) {
        const unsigned index = ledger_space_index(info.name.data, info.name.size);

        rc = 0;
        if (index == LEDGER_SPACES) {
            scene_fail(s, "no namespace is invented", "%.*s", (int)info.name.size, info.name.data);
        }
        if (s->ledger.names[index].presence == SPACE_ABSENT && !s->ledger.names[index].changing &&
            s->ledger.names[index].absent_since < call->asked) {
            scene_fail(s, "a deleted namespace is gone", "%.*s", (int)info.name.size,
                       info.name.data);
        }
        if (info.state != NAMESPACE_SERVING && !scene_excused(s) && !s->full) {
            scene_fail(s, "a healthy disk stops nothing", "%.*s: %.*s", (int)info.name.size,
                       info.name.data, (int)info.reason.size, info.reason.data);
        }
    }
    if (rc < 0) {
        reply_unreadable(c, call);
    }
}

static bool is_named(const struct message_stat *stat, const char *name)
{
    return stat->name.size == strlen(name) && memcmp(stat->name.data, name, strlen(name)) == 0;
}

static void stats_reply(struct client *c, struct call *call, const uint8_t *body, size_t size)
{
    struct message_reader reader;
    struct message_stat stat;
    struct lessee_counts counts = {.live = NEVER, .left = NEVER, .retired = NEVER};
    int rc = message_stats_begin(&reader, body, size);

    while (rc == 0 && (rc = message_stats_next(&reader, &stat)) == 1) {
        rc = 0;
        if (is_named(&stat, "leases")) {
            counts.live = stat.value;
        } else if (is_named(&stat, "leases_left_behind")) {
            counts.left = stat.value;
        } else if (is_named(&stat, "blocks_retired")) {
            counts.retired = stat.value;
        }
    }
    if (rc < 0) {
        reply_unreadable(c, call);
    }
    if (counts.live == NEVER || counts.left == NEVER || counts.retired == NEVER) {
        return; /* Without memory the list is short */
    }
    lessee_check_counts(c->scene, &counts, call->asked);
}

static void config_reply(struct client *c, struct call *call, const uint8_t *body, size_t size)
{
    struct message_config_item item;
    struct message_reader reader;
    uint32_t count = 0;
    int rc = message_list_begin(&reader, body, size);

    while (rc == 0 && (rc = message_config_list_next(&reader, &item)) == 1) {
        count++;
        rc = 0;
    }
    if (rc < 0 || count > call->message.u.config.max) {
        reply_unreadable(c, call);
    }
}

/* Everything that somebody was told is stored, before this was asked, is durable; and so is what the same client asked
 * before, when it is told to be stored: an append that waits for its place is not overtaken. */
static void synced(struct client *c, const struct call *call)
{
    struct ledger *ledger = &c->scene->ledger;
    uint64_t i;

    for (i = 0; i < ledger->append_count; i++) {
        struct ledger_append *append = ledger->appends[i];

        if (append->space == c->space && append->fate == FATE_TOLD && append->told < call->asked) {
            append->promised = true;
        }
        if (append->client == c->number && append->order < call->order &&
            append->life == c->scene->life) {
            append->synced = true;
            append->promised = append->promised || append->fate == FATE_TOLD;
        }
    }
}

static void space_changed(struct client *c, struct call *call)
{
    struct scene *s = c->scene;
    struct ledger_name *name = &s->ledger.names[call->space_index];
    const struct message_settings *settings = &call->message.u.namespace_settings.settings;
    struct ledger_setting *fsync = &name->fsync;
    struct ledger_setting *consistency = &name->consistency;

    if (call->type == MESSAGE_NAMESPACE_DELETE) {
        if (call->space_index == c->space_index) {
            lessee_space_deleted(c);
        }
        name->presence = SPACE_ABSENT;
        name->absent_since = ++s->event;
        name->changing = false;
        if (name->space != NULL) {
            name->space->deleted = true;
        }
        name->space = NULL;
        name->fresh = false;
        return;
    }
    if (call->type == MESSAGE_NAMESPACE_CREATE) {
        name->presence = SPACE_PRESENT;
        name->present_since = ++s->event;
        name->changing = false;
        name->fresh = true;
        name->space = NULL;
    } else {
        name->setting = false;
        if (name->space != call->space) {
            return; /* Of which of the two it was, nobody can say */
        }
        if (name->space != NULL) {
            fsync = &name->space->fsync;
            consistency = &name->space->consistency;
        }
    }
    fsync->value = settings->items[0].value;
    fsync->since = ++s->event;
    consistency->value = settings->items[1].value;
    consistency->since = s->event;
}

/* What is there. False: it is another kind of reply. */
static bool told_what_is_there(struct client *c, struct call *call, const uint8_t *body,
                               size_t size)
{
    switch (call->type) {
    case MESSAGE_TOPIC_LIST:
        topic_list_reply(c, call, body, size);
        return true;
    case MESSAGE_CURSOR_LIST:
        cursor_list_reply(c, call, body, size);
        return true;
    case MESSAGE_NAMESPACE_LIST:
        space_list_reply(c, call, body, size);
        return true;
    case MESSAGE_STATS:
        stats_reply(c, call, body, size);
        return true;
    case MESSAGE_CONFIG:
        config_reply(c, call, body, size);
        return true;
    case MESSAGE_SLOWLOG:
        reply_slowlog(c, call, body, size);
        return true;
    case MESSAGE_ACCESS:
        reply_access(c, call, body, size);
        return true;
    default:
        return false;
    }
}

void reply_told(struct client *c, struct call *call, const uint8_t *body, size_t size)
{
    struct message_topic_info info;
    struct message_read_reply read;

    if (told_what_is_there(c, call, body, size)) {
        return;
    }
    switch (call->type) {
    case MESSAGE_HELLO:
        hello_reply(c, call, body, size);
        return;
    case MESSAGE_APPEND:
        append_reply(c, call, body, size);
        return;
    case MESSAGE_READ:
        if (message_read_reply_decode(&read, body, size) != 0) {
            reply_unreadable(c, call);
        }
        if (!read.placed || lessee_take(c, call, &read)) {
            reply_read(c, call, &read);
        }
        return;
    case MESSAGE_CHECKPOINT:
    case MESSAGE_SEEK:
    case MESSAGE_CURSOR_CREATE:
        cursor_reply(c, call, body, size);
        return;
    case MESSAGE_TOPIC_CREATE:
    case MESSAGE_TOPIC_TRIM:
        number_reply(c, call, body, size);
        return;
    case MESSAGE_TOPIC_INFO:
        if (message_topic_info_decode(&info, body, size) != 0) {
            reply_unreadable(c, call);
        }
        check_info(c, call, &info);
        return;
    case MESSAGE_SNAPSHOT_BEGIN:
        reply_snapshot(c, call, body, size);
        synced(c, call);
        return;
    case MESSAGE_SYNC:
        synced(c, call);
        break;
    case MESSAGE_RELEASE:
        lessee_given_back(c, &call->message.u.release, true);
        break;
    case MESSAGE_TOPIC_DELETE:
        if (call->topic == NULL) {
            reply_unreadable(c, call);
        }
        call->topic->deleted = true;
        break;
    case MESSAGE_NAMESPACE_CREATE:
    case MESSAGE_NAMESPACE_SET:
    case MESSAGE_NAMESPACE_DELETE:
        space_changed(c, call);
        break;
    default:
        break;
    }
    if (size != 0) {
        reply_unreadable(c, call);
    }
}
