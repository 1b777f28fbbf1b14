/* Requests: PROTOCOL.md, "Requests". A pair of functions for each body, in the page's order;
 * take_ and put_ go through the same fields. */
#include "proto/batch.h"
#include "proto/message_cursor.h"

static void take_nothing(struct message_input *in, struct message *message)
{
    (void)in;
    (void)message;
}

static void put_nothing(struct message_output *out, const struct message *message)
{
    (void)out;
    (void)message;
}

static void take_hello(struct message_input *in, struct message *message)
{
    struct message_hello *hello = &message->u.hello;

    if (message_take_u32(in) != MESSAGE_MAGIC) {
        message_fail(in, TUSK_EINVALID, "the magic is not TUSK");
    }
    hello->version_min = message_take_u16(in);
    hello->version_max = message_take_u16(in);
    if (hello->version_min == 0 || hello->version_min > hello->version_max) {
        message_fail(in, TUSK_EINVALID, "the range of versions is empty or begins at 0");
    }
    hello->features = message_take_u64(in);
    hello->space = message_take_name(in, &message_rule_any_namespace);
    hello->client = message_take_name(in, &message_rule_peer);
}

static void put_hello(struct message_output *out, const struct message *message)
{
    const struct message_hello *hello = &message->u.hello;

    message_put_u32(out, MESSAGE_MAGIC);
    message_put_u16(out, hello->version_min);
    message_put_u16(out, hello->version_max);
    message_put_u64(out, hello->features);
    message_put_name(out, &hello->space);
    message_put_name(out, &hello->client);
}

/* The batch goes to the end of the body, so only its own header tells whether that is too short
 * or too long. Its contents are for batch_verify(). */
static void take_batch(struct message_input *in, struct message_append *append)
{
    struct batch_header header;

    append->batch_size = (uint32_t)in->left;
    append->batch = message_take(in, in->left);
    if (append->batch == NULL) {
        return;
    }
    if (append->batch_size < BATCH_HEADER_SIZE) {
        message_fail(in, TUSK_EINVALID, "the batch is shorter than its header");
        return;
    }
    batch_header_decode(&header, append->batch);
    if (append->batch_size - BATCH_HEADER_SIZE != header.stored_size) {
        message_fail(in, TUSK_EINVALID, "the batch is not as long as its header says");
    }
    if (header.first_offset != 0 || header.time_us != 0 || header.previous_crc != 0 ||
        header.header_crc != 0) {
        message_fail(in, TUSK_EINVALID, "the batch has fields set that the daemon fills in");
    }
}

static void take_append(struct message_input *in, struct message *message)
{
    struct message_append *append = &message->u.append;
    uint64_t id = message_take_u64(in);
    uint16_t name_size;

    append->flags = message_take_flags(in, APPEND_DURABLE | APPEND_NO_CREATE);
    name_size = message_take_u16(in);
    message_take_reserved(in, 4);
    append->topic = message_take_topic_bytes(in, id, name_size);
    take_batch(in, append);
}

static void put_append(struct message_output *out, const struct message *message)
{
    const struct message_append *append = &message->u.append;

    message_put_u64(out, append->topic.id);
    message_put_u16(out, append->flags);
    message_put_u16(out, append->topic.name.size);
    message_put_reserved(out, 4);
    message_put(out, append->topic.name.data, append->topic.name.size);
}

static void check_read(struct message_input *in, const struct message_read *read)
{
    message_check_position(in, &read->position, POSITION_CURSOR);
    if (read->position.kind != POSITION_CURSOR && (read->flags & READ_CONSUME) != 0) {
        message_fail(in, TUSK_EINVALID, "to consume, the position must be the cursor's");
    }
    if (read->position.kind != POSITION_CURSOR && read->cursor.size != 0) {
        message_fail(in, TUSK_EINVALID, "a cursor is named, but the position is not the cursor's");
    }
    if (read->max_bytes == 0 || read->max_entries == 0) {
        message_fail(in, TUSK_EINVALID, "max bytes or max entries is 0");
    }
}

#define READ_FLAGS (READ_CONSUME | READ_SKIP_DAMAGE | READ_UNCHECKED | READ_MAPPED)

static void take_read(struct message_input *in, struct message *message)
{
    struct message_read *read = &message->u.read;
    uint64_t id = message_take_u64(in);
    uint16_t name_size;
    uint16_t cursor_size;

    read->flags = message_take_flags(in, READ_FLAGS);
    name_size = message_take_u16(in);
    cursor_size = message_take_u16(in);
    read->position.kind = message_take_u16(in);
    read->position.value = message_take_u64(in);
    read->max_bytes = message_take_u32(in);
    read->max_entries = message_take_u32(in);
    read->wait_ms = message_take_u32(in);
    message_take_reserved(in, 4);
    read->held = message_take_u64(in);
    read->topic = message_take_topic_bytes(in, id, name_size);
    read->cursor = message_take_name_bytes(in, cursor_size, &message_rule_cursor);
    check_read(in, read);
}

static void put_read(struct message_output *out, const struct message *message)
{
    const struct message_read *read = &message->u.read;

    message_put_u64(out, read->topic.id);
    message_put_u16(out, read->flags);
    message_put_u16(out, read->topic.name.size);
    message_put_u16(out, read->cursor.size);
    message_put_u16(out, read->position.kind);
    message_put_u64(out, read->position.value);
    message_put_u32(out, read->max_bytes);
    message_put_u32(out, read->max_entries);
    message_put_u32(out, read->wait_ms);
    message_put_reserved(out, 4);
    message_put_u64(out, read->held);
    message_put(out, read->topic.name.data, read->topic.name.size);
    message_put(out, read->cursor.data, read->cursor.size);
}

static void take_checkpoint(struct message_input *in, struct message *message)
{
    struct message_checkpoint *checkpoint = &message->u.checkpoint;
    uint64_t id = message_take_u64(in);

    checkpoint->offset = message_take_u64(in);
    checkpoint->epoch = message_take_u64(in);
    checkpoint->flags = message_take_flags(in, CHECKPOINT_NO_CREATE);
    message_take_reserved(in, 2);
    checkpoint->topic = message_take_topic_name(in, id);
    checkpoint->cursor = message_take_name(in, &message_rule_cursor);
}

static void put_checkpoint(struct message_output *out, const struct message *message)
{
    const struct message_checkpoint *checkpoint = &message->u.checkpoint;

    message_put_u64(out, checkpoint->topic.id);
    message_put_u64(out, checkpoint->offset);
    message_put_u64(out, checkpoint->epoch);
    message_put_u16(out, checkpoint->flags);
    message_put_reserved(out, 2);
    message_put_name(out, &checkpoint->topic.name);
    message_put_name(out, &checkpoint->cursor);
}

/* SEEK and CURSOR_CREATE. */
static void take_cursor_position(struct message_input *in, struct message *message)
{
    struct message_cursor_position *target = &message->u.cursor_position;
    uint64_t id = message_take_u64(in);

    target->topic = message_take_topic_name(in, id);
    target->cursor = message_take_name(in, &message_rule_cursor);
    target->position = message_take_position(in);
}

static void put_cursor_position(struct message_output *out, const struct message *message)
{
    const struct message_cursor_position *target = &message->u.cursor_position;

    message_put_u64(out, target->topic.id);
    message_put_name(out, &target->topic.name);
    message_put_name(out, &target->cursor);
    message_put_position(out, &target->position);
}

static void take_topic_create(struct message_input *in, struct message *message)
{
    struct message_topic_settings *create = &message->u.topic_settings;

    create->topic.id = 0;
    create->topic.name = message_take_name(in, &message_rule_topic);
    message_take_settings(in, &create->settings);
}

static void put_topic_create(struct message_output *out, const struct message *message)
{
    const struct message_topic_settings *create = &message->u.topic_settings;

    message_put_name(out, &create->topic.name);
    message_put_settings(out, &create->settings);
}

static void take_topic_set(struct message_input *in, struct message *message)
{
    struct message_topic_settings *set = &message->u.topic_settings;
    uint64_t id = message_take_u64(in);

    set->topic = message_take_topic_name(in, id);
    message_take_settings(in, &set->settings);
}

static void put_topic_set(struct message_output *out, const struct message *message)
{
    const struct message_topic_settings *set = &message->u.topic_settings;

    message_put_u64(out, set->topic.id);
    message_put_name(out, &set->topic.name);
    message_put_settings(out, &set->settings);
}

/* TOPIC_DELETE and TOPIC_INFO. */
static void take_topic(struct message_input *in, struct message *message)
{
    uint64_t id = message_take_u64(in);

    message->u.topic = message_take_topic_name(in, id);
}

static void put_topic(struct message_output *out, const struct message *message)
{
    message_put_u64(out, message->u.topic.id);
    message_put_name(out, &message->u.topic.name);
}

static void take_topic_trim(struct message_input *in, struct message *message)
{
    struct message_topic_trim *trim = &message->u.topic_trim;
    uint64_t id = message_take_u64(in);

    trim->offset = message_take_u64(in);
    trim->topic = message_take_topic_name(in, id);
}

static void put_topic_trim(struct message_output *out, const struct message *message)
{
    const struct message_topic_trim *trim = &message->u.topic_trim;

    message_put_u64(out, trim->topic.id);
    message_put_u64(out, trim->offset);
    message_put_name(out, &trim->topic.name);
}

uint32_t message_take_list_max(struct message_input *in)
{
    uint32_t max = message_take_u32(in);

    if (max == 0 || max > MESSAGE_LIST_MAX) {
        message_fail(in, TUSK_EINVALID, "max is not from 1 to 1000");
    }
    return max;
}

/* TOPIC_LIST and NAMESPACE_LIST. */
static void take_list(struct message_input *in, struct message *message)
{
    message->u.list.max = message_take_list_max(in);
    message->u.list.after = message_take_name(in, &message_rule_after);
}

static void put_list(struct message_output *out, const struct message *message)
{
    message_put_u32(out, message->u.list.max);
    message_put_name(out, &message->u.list.after);
}

static void take_cursor_list(struct message_input *in, struct message *message)
{
    struct message_cursor_list *list = &message->u.cursor_list;
    uint64_t id = message_take_u64(in);

    list->max = message_take_list_max(in);
    list->topic = message_take_topic_name(in, id);
    list->after = message_take_name(in, &message_rule_after);
    list->from_first = message_take_bool(in);
    if (list->from_first && list->after.size != 0) {
        message_fail(in, TUSK_EINVALID, "a list from the first goes on after a name");
    }
}

static void put_cursor_list(struct message_output *out, const struct message *message)
{
    const struct message_cursor_list *list = &message->u.cursor_list;

    message_put_u64(out, list->topic.id);
    message_put_u32(out, list->max);
    message_put_name(out, &list->topic.name);
    message_put_name(out, &list->after);
    message_put_u16(out, list->from_first);
}

static void take_cursor(struct message_input *in, struct message *message)
{
    uint64_t id = message_take_u64(in);

    message->u.cursor.topic = message_take_topic_name(in, id);
    message->u.cursor.cursor = message_take_name(in, &message_rule_cursor);
}

static void put_cursor(struct message_output *out, const struct message *message)
{
    message_put_u64(out, message->u.cursor.topic.id);
    message_put_name(out, &message->u.cursor.topic.name);
    message_put_name(out, &message->u.cursor.cursor);
}

static void take_namespace_create(struct message_input *in, struct message *message)
{
    message->u.namespace_settings.name = message_take_name(in, &message_rule_namespace);
    message_take_settings(in, &message->u.namespace_settings.settings);
}

static void take_namespace_set(struct message_input *in, struct message *message)
{
    message->u.namespace_settings.name = message_take_name(in, &message_rule_any_namespace);
    message_take_settings(in, &message->u.namespace_settings.settings);
}

static void put_namespace_settings(struct message_output *out, const struct message *message)
{
    message_put_name(out, &message->u.namespace_settings.name);
    message_put_settings(out, &message->u.namespace_settings.settings);
}

static void take_namespace(struct message_input *in, struct message *message)
{
    message->u.name = message_take_name(in, &message_rule_namespace);
}

static void put_namespace(struct message_output *out, const struct message *message)
{
    message_put_name(out, &message->u.name);
}

static void take_config(struct message_input *in, struct message *message)
{
    message->u.config.max = message_take_list_max(in);
    message->u.config.from = message_take_u32(in);
    message->u.config.files = message_take_bool(in);
}

static void put_config(struct message_output *out, const struct message *message)
{
    message_put_u32(out, message->u.config.max);
    message_put_u32(out, message->u.config.from);
    message_put_u16(out, message->u.config.files);
}

static void take_release(struct message_input *in, struct message *message)
{
    struct message_release *release = &message->u.release;
    uint16_t i;

    release->count = message_take_u16(in);
    if (release->count > MESSAGE_LEASES_MAX) {
        message_fail(in, TUSK_EINVALID, "the number of leases is not one of 0 to 64");
        return;
    }
    for (i = 0; i < release->count; i++) {
        release->leases[i] = message_take_u32(in);
    }
}

static void put_release(struct message_output *out, const struct message *message)
{
    const struct message_release *release = &message->u.release;
    uint16_t i;

    message_put_u16(out, release->count);
    for (i = 0; i < release->count && i < MESSAGE_LEASES_MAX; i++) {
        message_put_u32(out, release->leases[i]);
    }
}

static void take_access(struct message_input *in, struct message *message)
{
    message->u.access.user = message_take_name(in, &message_rule_peer);
    message->u.access.space = message_take_name(in, &message_rule_any_namespace);
}

static void put_access(struct message_output *out, const struct message *message)
{
    message_put_name(out, &message->u.access.user);
    message_put_name(out, &message->u.access.space);
}

struct request_form {
    void (*take)(struct message_input *in, struct message *message);
    void (*put)(struct message_output *out, const struct message *message);
};

static const struct request_form forms[MESSAGE_TYPE_END] = {
    [MESSAGE_HELLO] = {take_hello, put_hello},
    [MESSAGE_PING] = {take_nothing, put_nothing},
    [MESSAGE_APPEND] = {take_append, put_append},
    [MESSAGE_READ] = {take_read, put_read},
    [MESSAGE_CHECKPOINT] = {take_checkpoint, put_checkpoint},
    [MESSAGE_SEEK] = {take_cursor_position, put_cursor_position},
    [MESSAGE_SYNC] = {take_nothing, put_nothing},
    [MESSAGE_TOPIC_CREATE] = {take_topic_create, put_topic_create},
    [MESSAGE_TOPIC_SET] = {take_topic_set, put_topic_set},
    [MESSAGE_TOPIC_DELETE] = {take_topic, put_topic},
    [MESSAGE_TOPIC_TRIM] = {take_topic_trim, put_topic_trim},
    [MESSAGE_TOPIC_LIST] = {take_list, put_list},
    [MESSAGE_TOPIC_INFO] = {take_topic, put_topic},
    [MESSAGE_CURSOR_CREATE] = {take_cursor_position, put_cursor_position},
    [MESSAGE_CURSOR_LIST] = {take_cursor_list, put_cursor_list},
    [MESSAGE_CURSOR_DELETE] = {take_cursor, put_cursor},
    [MESSAGE_NAMESPACE_CREATE] = {take_namespace_create, put_namespace_settings},
    [MESSAGE_NAMESPACE_SET] = {take_namespace_set, put_namespace_settings},
    [MESSAGE_NAMESPACE_LIST] = {take_list, put_list},
    [MESSAGE_NAMESPACE_DELETE] = {take_namespace, put_namespace},
    [MESSAGE_STATS] = {take_nothing, put_nothing},
    [MESSAGE_CONFIG] = {take_config, put_config},
    [MESSAGE_RELEASE] = {take_release, put_release},
    [MESSAGE_ACCESS] = {take_access, put_access},
    [MESSAGE_SNAPSHOT_BEGIN] = {take_nothing, put_nothing},
    [MESSAGE_SNAPSHOT_END] = {message_take_snapshot_end, message_put_snapshot_end},
    [MESSAGE_SLOWLOG] = {message_take_slowlog, message_put_slowlog},
};

bool message_type_known(uint16_t type)
{
    return type < MESSAGE_TYPE_END && forms[type].take != NULL;
}

int message_decode(struct message *message, uint16_t type, const uint8_t *body, size_t size,
                   const char **why)
{
    struct message_input in = {.at = body, .left = size};

    if (!message_type_known(type)) {
        *why = "the type of request is unknown";
        return TUSK_EUNSUPPORTED;
    }
    /* A frame's size is 32 bits; a batch to its end must fit them, too. */
    if (size > UINT32_MAX) {
        *why = "the body is larger than a frame";
        return TUSK_EINVALID;
    }
    message->type = type;
    forms[type].take(&in, message);
    return message_take_end(&in, why);
}

/* Puts a message of a type that exists; anything else is the caller's bug and puts nothing. */
static size_t put_message(uint8_t *to, const struct message *message)
{
    struct message_output out = {.to = to};

    if (message_type_known(message->type)) {
        forms[message->type].put(&out, message);
    }
    return out.size;
}

size_t message_size(const struct message *message)
{
    return put_message(NULL, message);
}

size_t message_encode(uint8_t *to, const struct message *message)
{
    return put_message(to, message);
}
