/* The parts that several messages share: PROTOCOL.md, "Parts used below". */
#include "proto/message_cursor.h"

#define NAME_RULE(noun, empty_allowed)                                                             \
    {                                                                                              \
        .may_be_empty = (empty_allowed), .empty = "the " noun " name is empty",                    \
        .too_long = "the " noun " name is longer than 255 bytes",                                  \
        .not_text = "the " noun " name is not UTF-8, or has a NUL",                                \
    }

const struct message_name_rule message_rule_topic = NAME_RULE("topic", false);
const struct message_name_rule message_rule_after = NAME_RULE("last seen", true);
const struct message_name_rule message_rule_cursor = NAME_RULE("cursor", true);
const struct message_name_rule message_rule_namespace = NAME_RULE("namespace", false);
const struct message_name_rule message_rule_any_namespace = NAME_RULE("namespace", true);
const struct message_name_rule message_rule_peer = NAME_RULE("program's", true);
const struct message_name_rule message_rule_stat = NAME_RULE("counter", false);
const struct message_name_rule message_rule_option = NAME_RULE("option", false);

static const struct message_name_rule rule_topic_or_id = NAME_RULE("topic", true);

/* Bytes of the UTF-8 character at the front, 0 if there is none (or a NUL). left is not 0.
 * RFC 3629: nothing overlong, no surrogates, nothing beyond U+10FFFF; all three show in the
 * first two bytes. */
static size_t utf8_character(const uint8_t *at, size_t left)
{
    uint8_t low = 0x80;
    uint8_t high = 0xbf;
    size_t size;
    size_t i;

    if (at[0] < 0x80) {
        return at[0] == 0 ? 0 : 1;
    }
    if (at[0] < 0xc2 || at[0] > 0xf4) {
        return 0;
    }
    size = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    if (left < size) {
        return 0;
    }
    switch (at[0]) {
    case 0xe0:
        low = 0xa0;
        break;
    case 0xed:
        high = 0x9f;
        break;
    case 0xf0:
        low = 0x90;
        break;
    case 0xf4:
        high = 0x8f;
        break;
    default:
        break;
    }
    if (at[1] < low || at[1] > high) {
        return 0;
    }
    for (i = 2; i < size; i++) {
        if (at[i] < 0x80 || at[i] > 0xbf) {
            return 0;
        }
    }
    return size;
}

bool message_utf8_valid(const char *data, size_t size)
{
    const uint8_t *at = (const uint8_t *)data;

    while (size > 0) {
        size_t character;

        if (*at - 1u < 0x7fu) { /* ASCII, and no NUL: nearly all of them */
            at++;
            size--;
            continue;
        }
        character = utf8_character(at, size);

        if (character == 0) {
            return false;
        }
        at += character;
        size -= character;
    }
    return true;
}

void message_take_reserved(struct message_input *in, size_t size)
{
    static const uint8_t zeros[8];
    const uint8_t *bytes = message_take(in, size);

    if (bytes != NULL && memcmp(bytes, zeros, size) != 0) {
        message_fail(in, TUSK_EINVALID, "reserved bytes are not zero");
    }
}

int message_take_end(struct message_input *in, const char **why)
{
    if (in->left > 0) {
        message_fail(in, TUSK_EINVALID, "the body is too long");
    }
    if (in->rc != 0 && why != NULL) {
        *why = in->why;
    }
    return in->rc;
}

uint16_t message_take_flags(struct message_input *in, uint16_t known)
{
    uint16_t flags = message_take_u16(in);

    if ((flags & ~known) != 0) {
        message_fail(in, TUSK_EUNSUPPORTED, "a flag is set that this version does not have");
    }
    return flags;
}

bool message_take_bool(struct message_input *in)
{
    uint16_t value = message_take_u16(in);

    if (value > 1) {
        message_fail(in, TUSK_EINVALID, "a field that is 0 or 1 is neither");
    }
    return value == 1;
}

struct message_name message_take_name_bytes(struct message_input *in, uint16_t size,
                                            const struct message_name_rule *rule)
{
    struct message_name name = {.data = "", .size = 0};
    const uint8_t *bytes;

    if (size > MESSAGE_NAME_SIZE_MAX) {
        message_fail(in, TUSK_EINVALID, rule->too_long);
    }
    if (size == 0 && !rule->may_be_empty) {
        message_fail(in, TUSK_EINVALID, rule->empty);
    }
    bytes = message_take(in, size);
    if (bytes == NULL) {
        return name;
    }
    name = (struct message_name){.data = (const char *)bytes, .size = size};
    if (!message_utf8_valid(name.data, name.size)) {
        message_fail(in, TUSK_EINVALID, rule->not_text);
    }
    return name;
}

struct message_name message_take_name(struct message_input *in,
                                      const struct message_name_rule *rule)
{
    uint16_t size = message_take_u16(in);

    return message_take_name_bytes(in, size, rule);
}

struct message_topic message_take_topic_bytes(struct message_input *in, uint64_t id, uint16_t size)
{
    struct message_topic topic = {.id = id};

    if (id == 0 && size == 0) {
        message_fail(in, TUSK_EINVALID, "the topic has neither an id nor a name");
    }
    if (id != 0 && size != 0) {
        message_fail(in, TUSK_EINVALID, "the topic has both an id and a name");
    }
    topic.name = message_take_name_bytes(in, size, &rule_topic_or_id);
    return topic;
}

struct message_topic message_take_topic_name(struct message_input *in, uint64_t id)
{
    uint16_t size = message_take_u16(in);

    return message_take_topic_bytes(in, id, size);
}

struct message_name message_take_text(struct message_input *in)
{
    struct message_name text = {.data = "", .size = 0};
    uint16_t size = message_take_u16(in);
    const uint8_t *bytes;

    if (size > MESSAGE_TEXT_SIZE_MAX) {
        message_fail(in, TUSK_EINVALID, "a text is longer than 1024 bytes");
    }
    bytes = message_take(in, size);
    if (bytes == NULL) {
        return text;
    }
    text = (struct message_name){.data = (const char *)bytes, .size = size};
    if (!message_utf8_valid(text.data, text.size)) {
        message_fail(in, TUSK_EINVALID, "a text is not UTF-8, or has a NUL");
    }
    return text;
}

void message_take_settings(struct message_input *in, struct message_settings *settings)
{
    uint16_t count = message_take_u16(in);
    uint16_t i;

    settings->count = 0;
    if (count > MESSAGE_SETTINGS_MAX) {
        message_fail(in, TUSK_EINVALID, "there are more than 32 settings");
    }
    for (i = 0; i < count && in->rc == 0; i++) {
        struct message_setting *item = &settings->items[i];

        item->key = message_take_u16(in);
        message_take_reserved(in, 2);
        item->value = message_take_u64(in);
        if (i > 0 && item->key <= settings->items[i - 1].key) {
            message_fail(in, TUSK_EINVALID, "the settings' keys do not ascend");
        }
        settings->count++;
    }
}

void message_check_position(struct message_input *in, const struct message_position *position,
                            uint16_t kind_max)
{
    if (position->kind < POSITION_OFFSET || position->kind > kind_max) {
        message_fail(in, TUSK_EINVALID, "the position is of no kind that this request has");
    }
    if (position->kind >= POSITION_EARLIEST && position->value != 0) {
        message_fail(in, TUSK_EINVALID, "the position has a value that its kind does not have");
    }
}

struct message_position message_take_position(struct message_input *in)
{
    struct message_position position;

    position.kind = message_take_u16(in);
    message_take_reserved(in, 6);
    position.value = message_take_u64(in);
    message_check_position(in, &position, POSITION_LATEST);
    return position;
}

void message_put_reserved(struct message_output *out, size_t size)
{
    static const uint8_t zeros[8];

    message_put(out, zeros, size);
}

void message_put_name(struct message_output *out, const struct message_name *name)
{
    message_put_u16(out, name->size);
    message_put(out, name->data, name->size);
}

void message_put_text(struct message_output *out, const struct message_name *text)
{
    const uint8_t *at = (const uint8_t *)text->data;
    size_t left = text->size < MESSAGE_TEXT_SIZE_MAX ? text->size : MESSAGE_TEXT_SIZE_MAX;

    message_put_u16(out, (uint16_t)left);
    while (left > 0) {
        size_t character = utf8_character(at, left);
        size_t size = character == 0 ? 1 : character;

        message_put(out, character == 0 ? (const uint8_t *)"?" : at, size);
        at += size;
        left -= size;
    }
}

void message_put_settings(struct message_output *out, const struct message_settings *settings)
{
    uint16_t i;

    message_put_u16(out, settings->count);
    for (i = 0; i < settings->count; i++) {
        message_put_u16(out, settings->items[i].key);
        message_put_reserved(out, 2);
        message_put_u64(out, settings->items[i].value);
    }
}

void message_put_position(struct message_output *out, const struct message_position *position)
{
    message_put_u16(out, position->kind);
    message_put_reserved(out, 6);
    message_put_u64(out, position->value);
}
