#include "tests/unit/proto_random.h"

#include "proto/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void random_begin(struct random *random)
{
    const char *given = getenv("TUSK_TEST_SEED");
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    random->state = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)now.tv_nsec;
    printf("TUSK_TEST_SEED=%llu\n", (unsigned long long)random->state);
}

uint64_t random_u64(struct random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t random_below(struct random *random, uint64_t limit)
{
    return random_u64(random) % limit;
}

uint64_t random_number(struct random *random)
{
    static const uint64_t boundaries[] = {0, 1, UINT16_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX};
    uint64_t dice = random_below(random, 8);

    if (dice < sizeof boundaries / sizeof *boundaries) {
        return boundaries[dice];
    }
    return random_u64(random) >> random_below(random, 64);
}

void random_fill(struct random *random, void *bytes, size_t size)
{
    uint8_t *to = bytes;
    size_t i;

    for (i = 0; i < size; i++) {
        to[i] = (uint8_t)random_u64(random);
    }
}

static uint8_t *pool_take(struct random_pool *pool, size_t size)
{
    uint8_t *bytes = pool->bytes + pool->used;

    if (size > RANDOM_POOL_SIZE - pool->used) {
        abort();
    }
    pool->used += size;
    return bytes;
}

/* Text of up to size_max bytes, with characters of one to four bytes. */
static struct message_name random_text(struct random *random, struct random_pool *pool,
                                       size_t size_min, size_t size_max)
{
    static const char *const characters[] = {"a",
                                             "/",
                                             "\x7f",
                                             "\xc2\x80",
                                             "\xdf\xbf",
                                             "\xe0\xa0\x80",
                                             "\xed\x9f\xbf",
                                             "\xef\xbf\xbf",
                                             "\xf0\x90\x80\x80",
                                             "\xf4\x8f\xbf\xbf"};
    size_t goal = random_below(random, 4) == 0 ? size_max : random_below(random, 24);
    uint8_t *to = pool_take(pool, size_max);
    size_t size = 0;

    goal = goal < size_min ? size_min : goal;
    while (size < goal) {
        const char *character = characters[random_below(random, 10)];

        if (strlen(character) > goal - size) {
            character = "z";
        }
        memcpy(to + size, character, strlen(character));
        size += strlen(character);
    }
    return (struct message_name){.data = (const char *)to, .size = (uint16_t)size};
}

static struct message_name random_name(struct random *random, struct random_pool *pool,
                                       size_t size_min)
{
    return random_text(random, pool, size_min, MESSAGE_NAME_SIZE_MAX);
}

static struct message_topic random_topic(struct random *random, struct random_pool *pool)
{
    struct message_topic topic = {.name = {.data = ""}};

    if (random_below(random, 2) == 0) {
        topic.id = random_number(random) | 1;
    } else {
        topic.name = random_name(random, pool, 1);
    }
    return topic;
}

static void random_settings(struct random *random, struct message_settings *settings)
{
    uint64_t dice = random_below(random, 4);
    uint16_t key = 0;
    uint16_t i;

    settings->count = (uint16_t)(dice == 0 ? MESSAGE_SETTINGS_MAX : random_below(random, 5));
    for (i = 0; i < settings->count; i++) {
        key = (uint16_t)(key + 1 + random_below(random, 1000));
        settings->items[i].key = key;
        settings->items[i].value = random_number(random);
    }
}

static struct message_position random_position(struct random *random, uint16_t kind_max)
{
    struct message_position position = {.kind = (uint16_t)(1 + random_below(random, kind_max))};

    if (position.kind < POSITION_EARLIEST) {
        position.value = random_number(random);
    }
    return position;
}

static void random_append(struct random *random, struct random_pool *pool,
                          struct message_append *append)
{
    struct batch_entry entries[4];
    uint32_t count = (uint32_t)(1 + random_below(random, 4));
    uint64_t payload_size = 0;
    uint8_t *batch;
    uint32_t i;

    for (i = 0; i < count; i++) {
        entries[i].size = (uint32_t)random_below(random, 40);
        entries[i].data = pool_take(pool, entries[i].size);
        random_fill(random, pool->bytes + pool->used - entries[i].size, entries[i].size);
        payload_size += entries[i].size;
    }
    batch = pool_take(pool, batch_encoded_size(count, payload_size));
    batch_encode(batch, entries, count);
    append->topic = random_topic(random, pool);
    append->flags = (uint16_t)random_below(random, 4);
    append->batch = batch;
    append->batch_size = (uint32_t)batch_encoded_size(count, payload_size);
}

static void random_read(struct random *random, struct random_pool *pool, struct message_read *read)
{
    read->topic = random_topic(random, pool);
    read->position = random_position(random, POSITION_CURSOR);
    read->cursor = (struct message_name){.data = "", .size = 0};
    read->flags = (uint16_t)(random_below(random, 2) * READ_SKIP_DAMAGE);
    if (read->position.kind == POSITION_CURSOR) {
        read->cursor = random_name(random, pool, 0);
        read->flags = (uint16_t)(read->flags | (random_below(random, 2) * READ_CONSUME));
    }
    read->max_bytes = (uint32_t)random_number(random) | 1;
    read->max_entries = (uint32_t)random_number(random) | 1;
    read->wait_ms = (uint32_t)random_number(random);
    read->held = random_number(random);
}

static void random_cursor_list(struct random *random, struct random_pool *pool,
                               struct message_cursor_list *list)
{
    list->topic = random_topic(random, pool);
    list->max = (uint32_t)(1 + random_below(random, MESSAGE_LIST_MAX));
    list->from_first = random_below(random, 2) == 0;
    list->after = (struct message_name){.data = "", .size = 0};
    if (!list->from_first) {
        list->after = random_name(random, pool, 0);
    }
}

static void random_hello(struct random *random, struct random_pool *pool,
                         struct message_hello *hello)
{
    hello->version_min = (uint16_t)(1 + random_below(random, UINT16_MAX));
    hello->version_max =
        (uint16_t)(hello->version_min + random_below(random, UINT16_MAX - hello->version_min + 1u));
    hello->features = random_number(random);
    hello->space = random_name(random, pool, 0);
    hello->client = random_name(random, pool, 0);
}

static void random_checkpoint(struct random *random, struct random_pool *pool,
                              struct message_checkpoint *checkpoint)
{
    checkpoint->topic = random_topic(random, pool);
    checkpoint->cursor = random_name(random, pool, 0);
    checkpoint->offset = random_number(random);
    checkpoint->epoch = random_number(random);
    checkpoint->flags = (uint16_t)random_below(random, 2);
}

static void random_config(struct random *random, struct message_config *config)
{
    config->max = (uint32_t)(1 + random_below(random, MESSAGE_LIST_MAX));
    config->from = (uint32_t)random_number(random);
    config->files = random_below(random, 2) == 0;
}

static void random_slowlog(struct random *random, struct message_slowlog *slowlog)
{
    slowlog->max = (uint32_t)(1 + random_below(random, MESSAGE_LIST_MAX));
    slowlog->before = random_number(random);
    slowlog->forget = random_below(random, 2) == 0;
}

static void random_release(struct random *random, struct message_release *release)
{
    uint16_t i;

    release->count = (uint16_t)random_below(random, MESSAGE_LEASES_MAX + 1);
    for (i = 0; i < release->count; i++) {
        release->leases[i] = (uint32_t)random_number(random);
    }
}

void random_message(struct random *random, struct random_pool *pool, uint16_t type,
                    struct message *message)
{
    pool->used = 0;
    memset(message, 0, sizeof *message);
    message->type = type;
    switch ((enum message_type)type) {
    case MESSAGE_HELLO:
        random_hello(random, pool, &message->u.hello);
        break;
    case MESSAGE_APPEND:
        random_append(random, pool, &message->u.append);
        break;
    case MESSAGE_READ:
        random_read(random, pool, &message->u.read);
        break;
    case MESSAGE_CHECKPOINT:
        random_checkpoint(random, pool, &message->u.checkpoint);
        break;
    case MESSAGE_SEEK:
    case MESSAGE_CURSOR_CREATE:
        message->u.cursor_position.topic = random_topic(random, pool);
        message->u.cursor_position.cursor = random_name(random, pool, 0);
        message->u.cursor_position.position = random_position(random, POSITION_LATEST);
        break;
    case MESSAGE_TOPIC_CREATE:
        message->u.topic_settings.topic.name = random_name(random, pool, 1);
        random_settings(random, &message->u.topic_settings.settings);
        break;
    case MESSAGE_TOPIC_SET:
        message->u.topic_settings.topic = random_topic(random, pool);
        random_settings(random, &message->u.topic_settings.settings);
        break;
    case MESSAGE_TOPIC_DELETE:
    case MESSAGE_TOPIC_INFO:
        message->u.topic = random_topic(random, pool);
        break;
    case MESSAGE_TOPIC_TRIM:
        message->u.topic_trim.topic = random_topic(random, pool);
        message->u.topic_trim.offset = random_number(random);
        break;
    case MESSAGE_TOPIC_LIST:
    case MESSAGE_NAMESPACE_LIST:
        message->u.list.max = (uint32_t)(1 + random_below(random, MESSAGE_LIST_MAX));
        message->u.list.after = random_name(random, pool, 0);
        break;
    case MESSAGE_CURSOR_LIST:
        random_cursor_list(random, pool, &message->u.cursor_list);
        break;
    case MESSAGE_CURSOR_DELETE:
        message->u.cursor.topic = random_topic(random, pool);
        message->u.cursor.cursor = random_name(random, pool, 0);
        break;
    case MESSAGE_NAMESPACE_CREATE:
    case MESSAGE_NAMESPACE_SET:
        message->u.namespace_settings.name =
            random_name(random, pool, type == MESSAGE_NAMESPACE_CREATE ? 1 : 0);
        random_settings(random, &message->u.namespace_settings.settings);
        break;
    case MESSAGE_CONFIG:
        random_config(random, &message->u.config);
        break;
    case MESSAGE_RELEASE:
        random_release(random, &message->u.release);
        break;
    case MESSAGE_ACCESS:
        message->u.access.user = random_name(random, pool, 0);
        message->u.access.space = random_name(random, pool, 0);
        break;
    case MESSAGE_SLOWLOG:
        random_slowlog(random, &message->u.slowlog);
        break;
    case MESSAGE_NAMESPACE_DELETE:
        message->u.name = random_name(random, pool, 1);
        break;
    case MESSAGE_PING:
    case MESSAGE_SYNC:
    case MESSAGE_STATS:
    case MESSAGE_SNAPSHOT_BEGIN:
    case MESSAGE_TYPE_END:
        break;
    case MESSAGE_SNAPSHOT_END:
        message->u.snapshot_end.shared = random_below(random, 2) == 1;
        break;
    }
}

static size_t random_hello_reply(struct random *random, struct random_pool *pool, uint8_t *out)
{
    struct message_hello_reply reply = {
        .version = (uint16_t)random_number(random),
        .consistency = (uint32_t)random_number(random),
        .features = random_number(random),
        .incarnation = random_number(random),
        .fsync_ms = random_number(random),
        .frame_size_max = (uint32_t)random_number(random),
        .batch_size_max = (uint32_t)random_number(random),
        .entry_size_max = (uint32_t)random_number(random),
        .in_flight_max = (uint32_t)random_number(random),
        .in_flight_bytes_max = random_number(random),
        .server = random_name(random, pool, 0),
    };

    random_fill(random, reply.store_id, sizeof reply.store_id);
    return message_hello_reply_encode(out, &reply);
}

static size_t random_read_reply(struct random *random, uint8_t *out)
{
    struct message_read_reply reply = {
        .topic_id = random_number(random),
        .from = random_number(random),
        .to = random_number(random),
        .end = random_number(random),
        .durable_end = random_number(random),
        .epoch = random_number(random),
        .skipped_from = random_number(random),
        .skipped_to = random_number(random),
        .generation = random_number(random),
        .position = (uint32_t)random_number(random),
        .data_size = (uint32_t)random_below(random, 8) * BATCH_ALIGN,
        .placed = random_below(random, 4) == 0,
    };
    size_t size;

    if (reply.placed) {
        reply.place = (struct message_place){.segment = random_number(random),
                                             .segment_size = random_number(random),
                                             .block = random_number(random),
                                             .size = (uint32_t)random_number(random),
                                             .lease = (uint32_t)random_number(random),
                                             .descriptor = random_below(random, 2) == 0};
        return message_read_reply_encode(out, &reply);
    }
    size = message_read_reply_encode(out, &reply);
    random_fill(random, out + size, reply.data_size);
    return size + reply.data_size;
}

static size_t random_topic_info(struct random *random, struct random_pool *pool, uint8_t *out)
{
    struct message_topic_info info = {
        .topic_id = random_number(random),
        .created_us = random_number(random),
        .first = random_number(random),
        .end = random_number(random),
        .durable_end = random_number(random),
        .entries = random_number(random),
        .bytes = random_number(random),
        .last_time_us = random_number(random),
        .blocks = (uint32_t)random_number(random),
        .cursors = (uint32_t)random_number(random),
        .name = random_name(random, pool, 1),
    };

    random_settings(random, &info.settings);
    return message_topic_info_encode(out, &info);
}

static size_t random_config_item(struct random *random, struct random_pool *pool, uint8_t *out)
{
    struct message_config_item item = {.needs_restart = random_below(random, 2) == 0};

    item.section = random_name(random, pool, 1);
    item.space = random_name(random, pool, 0);
    item.key = random_name(random, pool, 1);
    item.value = random_text(random, pool, 0, 200);
    item.fallback = random_text(random, pool, 0, 20);
    item.origin = random_text(random, pool, 0, MESSAGE_TEXT_SIZE_MAX);
    return message_config_item_encode(out, &item);
}

static size_t random_slow(struct random *random, struct random_pool *pool, uint8_t *out)
{
    struct message_slow item = {.number = random_number(random),
                                .time_us = random_number(random),
                                .duration_us = random_number(random),
                                .waited_us = random_number(random),
                                .queued_us = random_number(random),
                                .worked_us = random_number(random),
                                .synced_us = random_number(random),
                                .entries = random_number(random),
                                .bytes = random_number(random),
                                .pid = (uint32_t)random_number(random),
                                .uid = (uint32_t)random_number(random),
                                .status = (uint16_t)random_number(random)};

    item.request = random_name(random, pool, 1);
    item.space = random_name(random, pool, 0);
    item.topic = random_name(random, pool, 0);
    item.client = random_text(random, pool, 0, 63);
    return message_slow_encode(out, &item);
}

static size_t random_item(struct random *random, struct random_pool *pool, enum reply_kind kind,
                          uint8_t *out)
{
    struct message_cursor_info cursor = {.offset = random_number(random),
                                         .durable_offset = random_number(random),
                                         .epoch = random_number(random),
                                         .lag = random_number(random)};
    struct message_namespace_info space = {.topics = random_number(random),
                                           .bytes = random_number(random),
                                           .state = (uint16_t)random_below(random, 3)};
    struct message_stat stat = {.value = random_number(random)};

    if (kind == REPLY_TOPIC_LIST) {
        return random_topic_info(random, pool, out);
    }
    if (kind == REPLY_CURSOR_LIST) {
        cursor.name = random_name(random, pool, 0);
        return message_cursor_info_encode(out, &cursor);
    }
    if (kind == REPLY_NAMESPACE_LIST) {
        space.name = random_name(random, pool, 1);
        space.reason = random_text(random, pool, 0, MESSAGE_TEXT_SIZE_MAX);
        random_settings(random, &space.settings);
        return message_namespace_info_encode(out, &space);
    }
    if (kind == REPLY_CONFIG) {
        return random_config_item(random, pool, out);
    }
    if (kind == REPLY_SLOWLOG) {
        return random_slow(random, pool, out);
    }
    stat.name = random_name(random, pool, 1);
    return message_stat_encode(out, &stat);
}

static size_t random_list(struct random *random, struct random_pool *pool, enum reply_kind kind,
                          uint8_t *out)
{
    uint16_t count = (uint16_t)random_below(random, 6);
    size_t size = kind == REPLY_STATS ? MESSAGE_STATS_HEAD_SIZE : MESSAGE_LIST_HEAD_SIZE;
    uint16_t i;

    if (kind == REPLY_STATS) {
        message_stats_head_encode(out, count);
    } else {
        message_list_head_encode(out, count > 0 && random_below(random, 2) == 0, count);
    }
    for (i = 0; i < count; i++) {
        size += random_item(random, pool, kind, out + size);
    }
    return size;
}

static size_t random_snapshot_reply(struct random *random, struct random_pool *pool, uint8_t *out)
{
    const struct message_snapshot_reply reply = {
        .manifest_first = random_number(random),
        .manifest_last = random_number(random),
        .journal_first = random_number(random),
        .journal_last = random_number(random),
        .journal_used = random_number(random),
        .segments_end = random_number(random),
        .root = random_text(random, pool, 0, MESSAGE_TEXT_SIZE_MAX),
        .dir = random_text(random, pool, 0, MESSAGE_TEXT_SIZE_MAX),
    };

    return message_snapshot_reply_encode(out, &reply);
}

size_t random_reply(struct random *random, struct random_pool *pool, enum reply_kind kind,
                    uint8_t *out)
{
    struct message_append_reply append = {random_number(random), random_number(random),
                                          random_number(random)};
    struct message_cursor_reply cursor = {random_number(random), random_number(random)};
    struct message_error error = {.detail_a = random_number(random),
                                  .detail_b = random_number(random)};
    struct message_access_reply access = {.uid = (uint32_t)random_number(random),
                                          .rights = (uint16_t)random_number(random)};

    pool->used = 0;
    switch (kind) {
    case REPLY_HELLO:
        return random_hello_reply(random, pool, out);
    case REPLY_APPEND:
        return message_append_reply_encode(out, &append);
    case REPLY_READ:
        return random_read_reply(random, out);
    case REPLY_CURSOR:
        return message_cursor_reply_encode(out, &cursor);
    case REPLY_U64:
        return message_u64_reply_encode(out, random_number(random));
    case REPLY_ERROR:
        error.text = random_text(random, pool, 0, MESSAGE_TEXT_SIZE_MAX);
        return message_error_encode(out, &error);
    case REPLY_TOPIC_INFO:
        return random_topic_info(random, pool, out);
    case REPLY_TOPIC_LIST:
    case REPLY_CURSOR_LIST:
    case REPLY_NAMESPACE_LIST:
    case REPLY_STATS:
    case REPLY_CONFIG:
    case REPLY_SLOWLOG:
        return random_list(random, pool, kind, out);
    case REPLY_ACCESS:
        access.user = random_name(random, pool, 0);
        access.why = random_text(random, pool, 0, MESSAGE_TEXT_SIZE_MAX);
        return message_access_reply_encode(out, &access);
    case REPLY_SNAPSHOT:
        return random_snapshot_reply(random, pool, out);
    case REPLY_KIND_END:
        break;
    }
    abort();
}
