#include "server/meter.h"

#include "core/check.h"
#include "core/probe.h"
#include "proto/message.h"
#include "server/clock.h"
#include "server/reply.h"

#define TYPE_UNKNOWN 0u /* Of a frame whose type no request has */

_Static_assert(MESSAGE_TYPE_END <= METER_TYPES, "every type has a row");
#define X(name, number, text) _Static_assert((number) < METER_STATUSES, "every status has a place");
TUSK_STATUS_MAP(X);
#undef X

static const struct {
    const char *name;
    enum meter_class class;
} types[METER_TYPES] = {
    [TYPE_UNKNOWN] = {"unknown", METER_QUERY},
    [MESSAGE_HELLO] = {"hello", METER_QUERY},
    [MESSAGE_PING] = {"ping", METER_QUERY},
    [MESSAGE_APPEND] = {"append", METER_APPEND},
    [MESSAGE_READ] = {"read", METER_READ},
    [MESSAGE_CHECKPOINT] = {"checkpoint", METER_CURSOR},
    [MESSAGE_SEEK] = {"seek", METER_CURSOR},
    [MESSAGE_SYNC] = {"sync", METER_SYNC},
    [MESSAGE_TOPIC_CREATE] = {"topic_create", METER_TOPIC},
    [MESSAGE_TOPIC_SET] = {"topic_set", METER_TOPIC},
    [MESSAGE_TOPIC_DELETE] = {"topic_delete", METER_TOPIC},
    [MESSAGE_TOPIC_TRIM] = {"topic_trim", METER_TOPIC},
    [MESSAGE_TOPIC_LIST] = {"topic_list", METER_QUERY},
    [MESSAGE_TOPIC_INFO] = {"topic_info", METER_QUERY},
    [MESSAGE_CURSOR_CREATE] = {"cursor_create", METER_CURSOR},
    [MESSAGE_CURSOR_LIST] = {"cursor_list", METER_QUERY},
    [MESSAGE_CURSOR_DELETE] = {"cursor_delete", METER_CURSOR},
    [MESSAGE_NAMESPACE_CREATE] = {"namespace_create", METER_TOPIC},
    [MESSAGE_NAMESPACE_SET] = {"namespace_set", METER_TOPIC},
    [MESSAGE_NAMESPACE_LIST] = {"namespace_list", METER_QUERY},
    [MESSAGE_NAMESPACE_DELETE] = {"namespace_delete", METER_TOPIC},
    [MESSAGE_STATS] = {"stats", METER_QUERY},
    [MESSAGE_CONFIG] = {"config", METER_QUERY},
    [MESSAGE_RELEASE] = {"release", METER_QUERY},
    [MESSAGE_ACCESS] = {"access", METER_QUERY},
    [MESSAGE_SNAPSHOT_BEGIN] = {"snapshot_begin", METER_TOPIC},
    [MESSAGE_SNAPSHOT_END] = {"snapshot_end", METER_TOPIC},
    [MESSAGE_SLOWLOG] = {"slowlog", METER_QUERY},
};

static const char *const classes[METER_CLASSES] = {
    [METER_APPEND] = "append", [METER_READ] = "read", [METER_READ_WAIT] = "read_wait",
    [METER_CURSOR] = "cursor", [METER_SYNC] = "sync", [METER_TOPIC] = "topic",
    [METER_QUERY] = "query",
};

const char *meter_class_name(enum meter_class class)
{
    CHECK(class < METER_CLASSES);
    return classes[class];
}

const char *meter_type_name(unsigned type)
{
    CHECK(type < METER_TYPES);
    return types[type].name;
}

static void add(struct histogram *histogram, uint64_t began_us, uint64_t now_us)
{
    histogram_add(histogram, now_us > began_us ? now_us - began_us : 0);
}

static void settle(struct meter *meter, uint64_t now_us)
{
    unsigned i;

    for (i = 0; i < meter->ended; i++) {
        add(&meter->latency_us[meter->ends[i].class], meter->ends[i].began_us, now_us);
    }
    meter->ended = 0;
}

void meter_reply(struct meter *meter, const struct reply_to *to, unsigned status)
{
    const unsigned type =
        to->type < METER_TYPES && types[to->type].name != NULL ? to->type : TYPE_UNKNOWN;

    CHECK(status < METER_STATUSES);
    PROBE4(request_done, to->type, to->id, status, to->began_us);
    meter->replies[type][status]++;
    meter->last_status = status;
    meter->denied += status == (unsigned)-TUSK_EDENIED ? 1 : 0;
    if (to->began_us == 0) {
        return; /* Refused before the time was known */
    }
    if (meter->ended == METER_ENDED_MAX) {
        settle(meter, clock_mono_us());
    }
    meter->ends[meter->ended].began_us = to->began_us;
    meter->ends[meter->ended].class = to->waits ? METER_READ_WAIT : types[type].class;
    meter->ended++;
}

void meter_turn(struct meter *meter, uint64_t began_us, uint64_t now_us)
{
    settle(meter, now_us);
    add(&meter->turn_us, began_us, now_us);
}

void meter_timer_set(struct meter *meter, uint64_t due_us)
{
    meter->sweep_us = due_us;
}

void meter_timer_fired(struct meter *meter, uint64_t now_us)
{
    add(&meter->lag_us, meter->sweep_us, now_us);
}
