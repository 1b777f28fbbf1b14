#include "tests/unit/proto_random.h"

#include <string.h>

size_t message_encode_whole(uint8_t *out, const struct message *message)
{
    size_t size = message_encode(out, message);

    if (message->type == MESSAGE_APPEND) {
        memcpy(out + size, message->u.append.batch, message->u.append.batch_size);
        size += message->u.append.batch_size;
    }
    return size;
}

static bool name_equal(const struct message_name *a, const struct message_name *b)
{
    return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

static bool topic_equal(const struct message_topic *a, const struct message_topic *b)
{
    return a->id == b->id && name_equal(&a->name, &b->name);
}

static bool position_equal(const struct message_position *a, const struct message_position *b)
{
    return a->kind == b->kind && a->value == b->value;
}

static bool settings_equal(const struct message_settings *a, const struct message_settings *b)
{
    uint16_t i;

    for (i = 0; i < a->count && i < b->count; i++) {
        if (a->items[i].key != b->items[i].key || a->items[i].value != b->items[i].value) {
            return false;
        }
    }
    return a->count == b->count;
}

static bool hello_equal(const struct message_hello *a, const struct message_hello *b)
{
    return a->version_min == b->version_min && a->version_max == b->version_max &&
           a->features == b->features && name_equal(&a->space, &b->space) &&
           name_equal(&a->client, &b->client);
}

static bool append_equal(const struct message_append *a, const struct message_append *b)
{
    return topic_equal(&a->topic, &b->topic) && a->flags == b->flags &&
           a->batch_size == b->batch_size && memcmp(a->batch, b->batch, a->batch_size) == 0;
}

static bool read_equal(const struct message_read *a, const struct message_read *b)
{
    return topic_equal(&a->topic, &b->topic) && name_equal(&a->cursor, &b->cursor) &&
           position_equal(&a->position, &b->position) && a->flags == b->flags &&
           a->max_bytes == b->max_bytes && a->max_entries == b->max_entries &&
           a->wait_ms == b->wait_ms && a->held == b->held;
}

static bool checkpoint_equal(const struct message_checkpoint *a, const struct message_checkpoint *b)
{
    return topic_equal(&a->topic, &b->topic) && name_equal(&a->cursor, &b->cursor) &&
           a->offset == b->offset && a->epoch == b->epoch && a->flags == b->flags;
}

static bool cursor_list_equal(const struct message_cursor_list *a,
                              const struct message_cursor_list *b)
{
    return topic_equal(&a->topic, &b->topic) && a->max == b->max &&
           name_equal(&a->after, &b->after) && a->from_first == b->from_first;
}

bool message_equal(const struct message *a, const struct message *b)
{
    if (a->type != b->type) {
        return false;
    }
    switch ((enum message_type)a->type) {
    case MESSAGE_HELLO:
        return hello_equal(&a->u.hello, &b->u.hello);
    case MESSAGE_APPEND:
        return append_equal(&a->u.append, &b->u.append);
    case MESSAGE_READ:
        return read_equal(&a->u.read, &b->u.read);
    case MESSAGE_CHECKPOINT:
        return checkpoint_equal(&a->u.checkpoint, &b->u.checkpoint);
    case MESSAGE_SEEK:
    case MESSAGE_CURSOR_CREATE:
        return topic_equal(&a->u.cursor_position.topic, &b->u.cursor_position.topic) &&
               name_equal(&a->u.cursor_position.cursor, &b->u.cursor_position.cursor) &&
               position_equal(&a->u.cursor_position.position, &b->u.cursor_position.position);
    case MESSAGE_TOPIC_CREATE:
    case MESSAGE_TOPIC_SET:
        return topic_equal(&a->u.topic_settings.topic, &b->u.topic_settings.topic) &&
               settings_equal(&a->u.topic_settings.settings, &b->u.topic_settings.settings);
    case MESSAGE_TOPIC_DELETE:
    case MESSAGE_TOPIC_INFO:
        return topic_equal(&a->u.topic, &b->u.topic);
    case MESSAGE_TOPIC_TRIM:
        return topic_equal(&a->u.topic_trim.topic, &b->u.topic_trim.topic) &&
               a->u.topic_trim.offset == b->u.topic_trim.offset;
    case MESSAGE_TOPIC_LIST:
    case MESSAGE_NAMESPACE_LIST:
        return a->u.list.max == b->u.list.max && name_equal(&a->u.list.after, &b->u.list.after);
    case MESSAGE_CURSOR_LIST:
        return cursor_list_equal(&a->u.cursor_list, &b->u.cursor_list);
    case MESSAGE_CURSOR_DELETE:
        return topic_equal(&a->u.cursor.topic, &b->u.cursor.topic) &&
               name_equal(&a->u.cursor.cursor, &b->u.cursor.cursor);
    case MESSAGE_NAMESPACE_CREATE:
    case MESSAGE_NAMESPACE_SET:
        return name_equal(&a->u.namespace_settings.name, &b->u.namespace_settings.name) &&
               settings_equal(&a->u.namespace_settings.settings, &b->u.namespace_settings.settings);
    case MESSAGE_CONFIG:
        return a->u.config.max == b->u.config.max && a->u.config.from == b->u.config.from &&
               a->u.config.files == b->u.config.files;
    case MESSAGE_RELEASE:
        return a->u.release.count == b->u.release.count &&
               memcmp(a->u.release.leases, b->u.release.leases,
                      a->u.release.count * sizeof a->u.release.leases[0]) == 0;
    case MESSAGE_SLOWLOG:
        return a->u.slowlog.max == b->u.slowlog.max && a->u.slowlog.before == b->u.slowlog.before &&
               a->u.slowlog.forget == b->u.slowlog.forget;
    case MESSAGE_ACCESS:
        return name_equal(&a->u.access.user, &b->u.access.user) &&
               name_equal(&a->u.access.space, &b->u.access.space);
    case MESSAGE_NAMESPACE_DELETE:
        return name_equal(&a->u.name, &b->u.name);
    case MESSAGE_PING:
    case MESSAGE_SYNC:
    case MESSAGE_STATS:
    case MESSAGE_SNAPSHOT_BEGIN:
        return true;
    case MESSAGE_SNAPSHOT_END:
        return a->u.snapshot_end.shared == b->u.snapshot_end.shared;
    case MESSAGE_TYPE_END:
        break;
    }
    return false;
}
