/* Requests that took long: noted when they are answered, and told by SLOWLOG.
 *
 * A duration goes from the turn in which the request was taken to when its reply was ready. What
 * the engine was given says itself where its time went (core/engine.h); the clock is looked at
 * once for all that a turn answers. What is answered at once took as long as its handler. A read
 * that waits for an entry is not slow for it: its time begins when the entry is there. */
#include <string.h>

#include "config/access.h"
#include "core/check.h"
#include "core/engine.h"
#include "proto/message.h"
#include "server/clock.h"
#include "server/connection.h"
#include "server/dispatch.h"
#include "server/meter.h"
#include "server/request.h"
#include "server/rights.h"
#include "server/server.h"

_Static_assert(SLOWLOG_NAME_SIZE == ENGINE_NAME_SIZE_MAX + 1, "any name fits");

/* ---- noting ---- */

static void copy_name(char to[SLOWLOG_NAME_SIZE], const char *name, size_t size)
{
    CHECK(size < SLOWLOG_NAME_SIZE);
    memcpy(to, name, size);
    to[size] = '\0';
}

static void set_space(struct slow_entry *entry, struct namespace *ns)
{
    struct engine_namespace_info info;

    if (ns != NULL) {
        engine_namespace_info(ns, &info);
        copy_name(entry->space, info.name, strlen(info.name));
    }
}

/* By name if it was asked for by it; else as it is called now, if it is still there. */
static void set_topic(struct slow_entry *entry, struct namespace *ns,
                      const struct engine_topic_ref *topic)
{
    struct engine_topic_info info;
    struct error err;

    if (topic->name_size > 0) {
        copy_name(entry->topic, topic->name, topic->name_size);
    } else if (ns != NULL && topic->id != 0 && engine_topic_info(ns, topic, &info, &err) == 0) {
        copy_name(entry->topic, info.name, info.name_size);
    }
}

static void set_client(struct slow_entry *entry, const struct connection *connection)
{
    entry->uid = (uid_t)-1;
    if (connection != NULL) {
        entry->uid = connection->uid;
        entry->pid = connection->pid;
        memcpy(entry->client, connection->client, sizeof entry->client);
    }
}

static uint64_t at_most(uint64_t value, uint64_t limit)
{
    return value < limit ? value : limit;
}

/* Clocks are looked at once a turn, and the disk has its own: no part is larger than what is
 * left. */
static void split(struct slow_times *times, uint64_t took_us, uint64_t began_us,
                  const struct engine_request *base)
{
    uint64_t left = took_us;

    *times = (struct slow_times){.waited_us = 0};
    if (base->staged_us > began_us) {
        times->waited_us = at_most(base->staged_us - began_us, left);
    } else if (base->staged_us == 0 && base->status != 0) {
        times->waited_us = left; /* It never had a place */
    }
    left -= times->waited_us;
    if (base->staged_us != 0 && base->begun_us > base->staged_us) {
        times->queued_us = at_most(base->begun_us - base->staged_us, left);
    }
    left -= times->queued_us;
    times->synced_us = at_most(base->synced_us, left);
    times->worked_us = left - times->synced_us;
}

static void set_amount(struct slow_entry *entry, const struct request *request)
{
    if (entry->type == MESSAGE_APPEND) {
        entry->bytes = request->u.append.batch_size;
        entry->entries =
            entry->status == 0 ? request->u.append.end - request->u.append.first_offset : 0;
    } else if (entry->type == MESSAGE_READ && entry->status == 0) {
        entry->bytes = request->u.read.data_size;
        entry->entries = request->u.read.to - request->u.read.from;
    }
}

static struct engine_topic_ref topic_of(const struct request *request)
{
    if (request->to.type == MESSAGE_APPEND) {
        return (struct engine_topic_ref){.id = request->u.append.topic_id};
    }
    if (request->to.type == MESSAGE_READ) {
        return (struct engine_topic_ref){.id = request->u.read.topic_id};
    }
    return (struct engine_topic_ref){.id = request->u.command.topic_id,
                                     .name = request->u.topic_name,
                                     .name_size = request->u.topic_name_size};
}

static void note(const struct request *request, const struct engine_request *base, uint64_t took_us)
{
    const bool read = request->to.type == MESSAGE_READ;
    const struct engine_topic_ref topic = topic_of(request);
    struct slow_entry *entry = slowlog_add(&request->server->slowlog);

    if (entry == NULL) {
        return;
    }
    entry->wall_us = clock_wall_us();
    entry->type = request->to.type;
    entry->status = (uint16_t)-base->status;
    if (read) {
        /* It has no place to wait for; what it may wait for is the cursor that it moved. */
        entry->times.synced_us = at_most(base->synced_us, took_us);
        entry->times.worked_us = took_us - entry->times.synced_us;
    } else {
        split(&entry->times, took_us, request->to.began_us, base);
    }
    set_amount(entry, request);
    set_space(entry, base->ns);
    set_topic(entry, base->ns, &topic);
    set_client(entry, request->connection);
}

void dispatch_slow_done(const struct request *request, const struct engine_request *base)
{
    struct slowlog *log = &request->server->slowlog;
    const uint64_t began_us =
        request->to.type == MESSAGE_READ ? base->staged_us : request->to.began_us;

    if (log->threshold_us == SLOWLOG_OFF) {
        return;
    }
    if (log->ready_us == 0) {
        log->ready_us = clock_mono_us();
    }
    if (log->ready_us > began_us && log->ready_us - began_us > log->threshold_us) {
        note(request, base, log->ready_us - began_us);
    }
}

uint64_t dispatch_slow_begin(const struct server *server)
{
    return server->slowlog.threshold_us == SLOWLOG_OFF ? 0 : clock_mono_us();
}

void dispatch_slow_end(struct connection *connection, const struct message *message,
                       uint64_t began_us)
{
    struct server *server = connection->server;
    const uint64_t now_us = began_us == 0 ? 0 : clock_mono_us();
    struct slow_entry *entry;

    if (now_us <= began_us || now_us - began_us <= server->slowlog.threshold_us) {
        return;
    }
    entry = slowlog_add(&server->slowlog);
    if (entry == NULL) {
        return;
    }
    entry->wall_us = clock_wall_us();
    entry->type = message->type;
    entry->status = (uint16_t)server->meter.last_status;
    entry->times.worked_us = now_us - began_us;
    set_client(entry, connection);
    if (message->type == MESSAGE_NAMESPACE_CREATE) {
        copy_name(entry->space, message->u.namespace_settings.name.data,
                  message->u.namespace_settings.name.size);
    } else if (message->type == MESSAGE_NAMESPACE_DELETE) {
        copy_name(entry->space, message->u.name.data, message->u.name.size);
    } else {
        set_space(entry, connection->ns);
    }
}

/* ---- telling ---- */

static struct message_name name_of(const char *text)
{
    return (struct message_name){.data = text, .size = (uint16_t)strlen(text)};
}

static bool add(struct listing *listing, const struct slow_entry *entry)
{
    const struct slow_times *times = &entry->times;
    const char *request = meter_type_name(entry->type);
    const struct message_slow item = {
        .number = entry->number,
        .time_us = entry->wall_us,
        .duration_us = times->waited_us + times->queued_us + times->worked_us + times->synced_us,
        .waited_us = times->waited_us,
        .queued_us = times->queued_us,
        .worked_us = times->worked_us,
        .synced_us = times->synced_us,
        .entries = entry->entries,
        .bytes = entry->bytes,
        .pid = (uint32_t)entry->pid,
        .uid = (uint32_t)entry->uid,
        .status = entry->status,
        .request = name_of(request != NULL ? request : "unknown"),
        .space = name_of(entry->space),
        .topic = name_of(entry->topic),
        .client = name_of(entry->client),
    };
    uint8_t *room = listing_room(listing, message_slow_size(&item));

    if (room != NULL) {
        (void)message_slow_encode(room, &item);
    }
    return room != NULL;
}

/* Who asks is told of the namespaces that he may administer, and of no others. */
static bool may_see(const struct server *server, const struct access_who *who,
                    const struct slow_entry *entry)
{
    return (rights_of(server, who, entry->space, strlen(entry->space), NULL) & ACCESS_ADMIN) != 0;
}

enum dispatch_result dispatch_slowlog(struct connection *connection, struct reply_to to,
                                      const struct message *message, uint32_t frame_size)
{
    const struct message_slowlog *wanted = &message->u.slowlog;
    const struct server *server = connection->server;
    uint64_t before = wanted->before;
    struct slow_entry *entry;
    struct access_who who;
    struct listing listing;
    bool more = false;

    (void)frame_size;
    if (listing_begin(&listing, connection, to, MESSAGE_LIST_HEAD_SIZE) != 0) {
        reply_error(connection, to, TUSK_ENOMEM, 0, 0, "no memory for the reply");
        return DISPATCH_TAKEN;
    }
    rights_who(connection, &who);
    while (!more && (entry = slowlog_before(&server->slowlog, before)) != NULL) {
        before = entry->number;
        if (!may_see(server, &who, entry)) {
            continue;
        }
        if (wanted->forget) {
            entry->number = 0;
        } else {
            more = listing.count == wanted->max || !add(&listing, entry);
        }
    }
    if (more && listing.count == 0) {
        listing_drop(&listing);
        reply_error(connection, to, TUSK_ENOMEM, 0, 0, "no memory for the reply");
        return DISPATCH_TAKEN;
    }
    message_list_head_encode(listing_head(&listing), more, listing.count);
    listing_send(&listing);
    return DISPATCH_TAKEN;
}
