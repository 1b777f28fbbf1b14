#include "tests/unit/proto_mirror.h"

#include "proto/status.h"

#include <stdlib.h>
#include <string.h>

/* What is put where, never past the end of the memory given. */
struct mirror {
    uint8_t *out;
    size_t size;
    size_t size_max;
};

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* Room for size bytes. */
static uint8_t *mirror_room(struct mirror *mirror, size_t size)
{
    require(size <= mirror->size_max - mirror->size);
    mirror->size += size;
    return mirror->out + mirror->size - size;
}

int mirror_request(uint16_t type, const uint8_t *body, size_t size, uint8_t *out, size_t *out_size)
{
    struct mirror mirror = {.out = out, .size_max = size};
    struct message message;
    const char *why = NULL;
    int rc = message_decode(&message, type, body, size, &why);

    require((rc == 0) == (why == NULL));
    require(rc == 0 || rc == TUSK_EINVALID || rc == TUSK_EUNSUPPORTED);
    if (rc != 0) {
        return rc;
    }
    require(message_encode(mirror_room(&mirror, message_size(&message)), &message) == mirror.size);
    if (type == MESSAGE_APPEND) {
        memcpy(mirror_room(&mirror, message.u.append.batch_size), message.u.append.batch,
               message.u.append.batch_size);
    }
    *out_size = mirror.size;
    return 0;
}

static int mirror_hello(struct mirror *mirror, const uint8_t *body, size_t size)
{
    struct message_hello_reply reply;
    size_t need;
    int rc = message_hello_reply_decode(&reply, body, size);

    if (rc == 0) {
        need = message_hello_reply_size(&reply);
        require(message_hello_reply_encode(mirror_room(mirror, need), &reply) == need);
    }
    return rc;
}

static int mirror_append(struct mirror *mirror, const uint8_t *body, size_t size)
{
    struct message_append_reply reply;
    uint8_t *to;
    int rc = message_append_reply_decode(&reply, body, size);

    if (rc == 0) {
        to = mirror_room(mirror, MESSAGE_APPEND_REPLY_SIZE);
        require(message_append_reply_encode(to, &reply) == MESSAGE_APPEND_REPLY_SIZE);
    }
    return rc;
}

static int mirror_read(struct mirror *mirror, const uint8_t *body, size_t size)
{
    struct message_read_reply reply;
    uint8_t *to;
    int rc = message_read_reply_decode(&reply, body, size);

    if (rc == 0) {
        const size_t head = MESSAGE_READ_REPLY_SIZE + (reply.placed ? MESSAGE_PLACE_SIZE : 0);

        to = mirror_room(mirror, head);
        require(message_read_reply_encode(to, &reply) == head);
        if (reply.data_size > 0) {
            memcpy(mirror_room(mirror, reply.data_size), reply.data, reply.data_size);
        }
    }
    return rc;
}

static int mirror_cursor(struct mirror *mirror, const uint8_t *body, size_t size)
{
    struct message_cursor_reply reply;
    uint8_t *to;
    int rc = message_cursor_reply_decode(&reply, body, size);

    if (rc == 0) {
        to = mirror_room(mirror, MESSAGE_CURSOR_REPLY_SIZE);
        require(message_cursor_reply_encode(to, &reply) == MESSAGE_CURSOR_REPLY_SIZE);
    }
    return rc;
}

static int mirror_u64(struct mirror *mirror, const uint8_t *body, size_t size)
{
    uint64_t value;
    uint8_t *to;
    int rc = message_u64_reply_decode(&value, body, size);

    if (rc == 0) {
        to = mirror_room(mirror, MESSAGE_U64_REPLY_SIZE);
        require(message_u64_reply_encode(to, value) == MESSAGE_U64_REPLY_SIZE);
    }
    return rc;
}

static int mirror_error(struct mirror *mirror, const uint8_t *body, size_t size)
{
    struct message_error error;
    size_t need;
    int rc = message_error_decode(&error, body, size);

    if (rc == 0) {
        need = message_error_size(&error);
        require(message_error_encode(mirror_room(mirror, need), &error) == need);
    }
    return rc;
}

static int mirror_access(struct mirror *mirror, const uint8_t *body, size_t size)
{
    struct message_access_reply reply;
    size_t need;
    int rc = message_access_reply_decode(&reply, body, size);

    if (rc == 0) {
        need = message_access_reply_size(&reply);
        require(message_access_reply_encode(mirror_room(mirror, need), &reply) == need);
    }
    return rc;
}

static int mirror_snapshot(struct mirror *mirror, const uint8_t *body, size_t size)
{
    struct message_snapshot_reply reply;
    size_t need;
    int rc = message_snapshot_reply_decode(&reply, body, size);

    if (rc == 0) {
        need = message_snapshot_reply_size(&reply);
        require(message_snapshot_reply_encode(mirror_room(mirror, need), &reply) == need);
    }
    return rc;
}

static void mirror_put_topic_info(struct mirror *mirror, const struct message_topic_info *info)
{
    size_t need = message_topic_info_size(info);

    require(message_topic_info_encode(mirror_room(mirror, need), info) == need);
}

static int mirror_topic_info(struct mirror *mirror, const uint8_t *body, size_t size)
{
    struct message_topic_info info;
    int rc = message_topic_info_decode(&info, body, size);

    if (rc == 0) {
        mirror_put_topic_info(mirror, &info);
    }
    return rc;
}

/* The next item of a list: what _next returned. */
static int mirror_item(struct mirror *mirror, enum reply_kind kind, struct message_reader *reader)
{
    struct message_topic_info topic;
    struct message_cursor_info cursor;
    struct message_namespace_info space;
    struct message_config_item option;
    struct message_slow slow;
    struct message_stat stat;
    size_t need;
    int rc;

    if (kind == REPLY_TOPIC_LIST) {
        rc = message_topic_list_next(reader, &topic);
        if (rc == 1) {
            mirror_put_topic_info(mirror, &topic);
        }
        return rc;
    }
    if (kind == REPLY_CURSOR_LIST) {
        rc = message_cursor_list_next(reader, &cursor);
        if (rc == 1) {
            need = message_cursor_info_size(&cursor);
            require(message_cursor_info_encode(mirror_room(mirror, need), &cursor) == need);
        }
        return rc;
    }
    if (kind == REPLY_NAMESPACE_LIST) {
        rc = message_namespace_list_next(reader, &space);
        if (rc == 1) {
            need = message_namespace_info_size(&space);
            require(message_namespace_info_encode(mirror_room(mirror, need), &space) == need);
        }
        return rc;
    }
    if (kind == REPLY_CONFIG) {
        rc = message_config_list_next(reader, &option);
        if (rc == 1) {
            need = message_config_item_size(&option);
            require(message_config_item_encode(mirror_room(mirror, need), &option) == need);
        }
        return rc;
    }
    if (kind == REPLY_SLOWLOG) {
        rc = message_slow_list_next(reader, &slow);
        if (rc == 1) {
            need = message_slow_size(&slow);
            require(message_slow_encode(mirror_room(mirror, need), &slow) == need);
        }
        return rc;
    }
    rc = message_stats_next(reader, &stat);
    if (rc == 1) {
        need = message_stat_size(&stat);
        require(message_stat_encode(mirror_room(mirror, need), &stat) == need);
    }
    return rc;
}

static int mirror_list(struct mirror *mirror, enum reply_kind kind, const uint8_t *body,
                       size_t size)
{
    struct message_reader reader;
    int rc = kind == REPLY_STATS ? message_stats_begin(&reader, body, size)
                                 : message_list_begin(&reader, body, size);

    if (rc != 0) {
        return rc;
    }
    if (kind == REPLY_STATS) {
        message_stats_head_encode(mirror_room(mirror, MESSAGE_STATS_HEAD_SIZE),
                                  (uint16_t)reader.count);
    } else {
        message_list_head_encode(mirror_room(mirror, MESSAGE_LIST_HEAD_SIZE), reader.more,
                                 (uint16_t)reader.count);
    }
    do {
        rc = mirror_item(mirror, kind, &reader);
    } while (rc == 1);
    /* A reader that has failed, or has ended, goes on saying so. */
    require(mirror_item(mirror, kind, &reader) == rc);
    return rc;
}

int mirror_reply(enum reply_kind kind, const uint8_t *body, size_t size, uint8_t *out,
                 size_t *out_size)
{
    struct mirror mirror = {.out = out, .size_max = size};
    int rc = 0;

    switch (kind) {
    case REPLY_HELLO:
        rc = mirror_hello(&mirror, body, size);
        break;
    case REPLY_APPEND:
        rc = mirror_append(&mirror, body, size);
        break;
    case REPLY_READ:
        rc = mirror_read(&mirror, body, size);
        break;
    case REPLY_CURSOR:
        rc = mirror_cursor(&mirror, body, size);
        break;
    case REPLY_U64:
        rc = mirror_u64(&mirror, body, size);
        break;
    case REPLY_ERROR:
        rc = mirror_error(&mirror, body, size);
        break;
    case REPLY_TOPIC_INFO:
        rc = mirror_topic_info(&mirror, body, size);
        break;
    case REPLY_TOPIC_LIST:
    case REPLY_CURSOR_LIST:
    case REPLY_NAMESPACE_LIST:
    case REPLY_STATS:
    case REPLY_CONFIG:
    case REPLY_SLOWLOG:
        rc = mirror_list(&mirror, kind, body, size);
        break;
    case REPLY_ACCESS:
        rc = mirror_access(&mirror, body, size);
        break;
    case REPLY_SNAPSHOT:
        rc = mirror_snapshot(&mirror, body, size);
        break;
    case REPLY_KIND_END:
        abort();
    }
    require(rc == 0 || rc == TUSK_EINVALID);
    *out_size = mirror.size;
    return rc;
}
