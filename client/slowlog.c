/* The requests that took long, as the daemon tells them. */
#include "client/blocking.h"
#include "client/connection.h"

#include <string.h>

static int slow_malformed(struct tusk *t)
{
    pipeline_break(t, TUSK_EPROTOCOL, "the daemon's list of slow requests is malformed");
    return failure_set(&t->failure, TUSK_EPROTOCOL,
                       "the daemon's list of slow requests is malformed");
}

/* What to go on with: how many more, and where. */
struct slow_list {
    struct message message;
    uint32_t left; /* Entries that the caller still wants */
    bool more;
    tusk_slow_fn fn;
    void *user;
};

static const char *slow_copy(char to[TUSK_NAME_SIZE_MAX + 1], const struct message_name *name)
{
    const size_t size = name->size < TUSK_NAME_SIZE_MAX ? name->size : TUSK_NAME_SIZE_MAX;

    memcpy(to, name->data, size);
    to[size] = '\0';
    return to;
}

static int slow_give(const struct slow_list *list, const struct message_slow *from)
{
    char request[TUSK_NAME_SIZE_MAX + 1];
    char space[TUSK_NAME_SIZE_MAX + 1];
    char topic[TUSK_NAME_SIZE_MAX + 1];
    char client[TUSK_NAME_SIZE_MAX + 1];
    const struct tusk_slow_request slow = {
        .size = sizeof slow,
        .code = -(int)from->status,
        .number = from->number,
        .time_us = from->time_us,
        .duration_us = from->duration_us,
        .waited_us = from->waited_us,
        .queued_us = from->queued_us,
        .worked_us = from->worked_us,
        .synced_us = from->synced_us,
        .entries = from->entries,
        .bytes = from->bytes,
        .pid = from->pid,
        .uid = from->uid,
        .request = slow_copy(request, &from->request),
        .space = slow_copy(space, &from->space),
        .topic = slow_copy(topic, &from->topic),
        .client = slow_copy(client, &from->client),
    };

    return list->fn(list->user, &slow);
}

/* One reply. Numbers descend, and begin below what was asked for: a daemon that repeats itself
 * would keep the caller here for ever. */
static int slow_page(struct tusk *t, struct slow_list *list)
{
    struct message_slowlog *wanted = &list->message.u.slowlog;
    struct message_reader reader;
    struct message_slow item;
    struct call call;
    int rc;

    wanted->max = list->left < MESSAGE_LIST_MAX ? list->left : MESSAGE_LIST_MAX;
    rc = call_run(t, &call, &list->message, false, 0);
    if (rc != TUSK_OK) {
        return rc;
    }
    rc = message_list_begin(&reader, call.reply.u.body.data, call.reply.u.body.size);
    list->more = reader.more;
    while (rc >= 0 && list->left > 0 && (rc = message_slow_list_next(&reader, &item)) == 1) {
        if (item.number == 0 || (wanted->before != 0 && item.number >= wanted->before)) {
            rc = TUSK_EPROTOCOL;
            break;
        }
        wanted->before = item.number;
        list->left--;
        if (slow_give(list, &item) != 0) {
            list->left = 0;
        }
    }
    return call_end(&call, rc < 0 ? slow_malformed(t) : TUSK_OK);
}

int tusk_slowlog(struct tusk *t, uint32_t count, tusk_slow_fn fn, void *user)
{
    struct slow_list list = {.message = {.type = MESSAGE_SLOWLOG},
                             .left = count == 0 ? UINT32_MAX : count,
                             .more = true,
                             .fn = fn,
                             .user = user};
    int rc = TUSK_OK;

    while (rc == TUSK_OK && list.more && list.left > 0) {
        rc = slow_page(t, &list);
    }
    return rc;
}

int tusk_slowlog_forget(struct tusk *t, uint64_t number)
{
    struct message message = {.type = MESSAGE_SLOWLOG,
                              .u.slowlog = {.max = 1, .before = number + 1, .forget = true}};
    struct call call;
    int rc = call_run(t, &call, &message, false, 0);

    return rc == TUSK_OK ? call_end(&call, TUSK_OK) : rc;
}
