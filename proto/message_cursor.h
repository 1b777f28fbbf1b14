/* How message_request.c and message_*reply.c walk through a body. Private to these files.
 *
 * An *input* remembers its first failure: a decoder takes field after field, gets zeros once
 * something was wrong, and asks at the end. An *output* without memory only counts, so that a
 * message's size and its bytes come from the same function and cannot disagree. */
#ifndef PROTO_MESSAGE_CURSOR_H
#define PROTO_MESSAGE_CURSOR_H

#include "proto/bytes.h"
#include "proto/message.h"
#include "proto/status.h"

struct message_input {
    const uint8_t *at;
    size_t left;
    int rc;          /* 0, or the first failure */
    const char *why; /* A static sentence; NULL without failure */
};

struct message_output {
    uint8_t *to; /* NULL: count only */
    size_t size; /* Bytes put so far */
};

static inline void message_fail(struct message_input *in, int rc, const char *why)
{
    if (in->rc == 0) {
        in->rc = rc;
        in->why = why;
    }
}

/* The next size bytes, or NULL after a failure. */
static inline const uint8_t *message_take(struct message_input *in, size_t size)
{
    const uint8_t *bytes = in->at;

    if (in->left < size) {
        message_fail(in, TUSK_EINVALID, "the body is too short");
    }
    if (in->rc != 0) {
        return NULL;
    }
    in->at += size;
    in->left -= size;
    return bytes;
}

static inline uint16_t message_take_u16(struct message_input *in)
{
    const uint8_t *bytes = message_take(in, sizeof(uint16_t));

    return bytes == NULL ? 0 : get_u16(bytes);
}

static inline uint32_t message_take_u32(struct message_input *in)
{
    const uint8_t *bytes = message_take(in, sizeof(uint32_t));

    return bytes == NULL ? 0 : get_u32(bytes);
}

static inline uint64_t message_take_u64(struct message_input *in)
{
    const uint8_t *bytes = message_take(in, sizeof(uint64_t));

    return bytes == NULL ? 0 : get_u64(bytes);
}

static inline void message_put(struct message_output *out, const void *data, size_t size)
{
    if (out->to != NULL && size > 0) {
        memcpy(out->to + out->size, data, size);
    }
    out->size += size;
}

static inline void message_put_u16(struct message_output *out, uint16_t value)
{
    if (out->to != NULL) {
        put_u16(out->to + out->size, value);
    }
    out->size += sizeof value;
}

static inline void message_put_u32(struct message_output *out, uint32_t value)
{
    if (out->to != NULL) {
        put_u32(out->to + out->size, value);
    }
    out->size += sizeof value;
}

static inline void message_put_u64(struct message_output *out, uint64_t value)
{
    if (out->to != NULL) {
        put_u64(out->to + out->size, value);
    }
    out->size += sizeof value;
}

/* What a name may be, and the sentences for what it is not. */
struct message_name_rule {
    bool may_be_empty;
    const char *empty;
    const char *too_long;
    const char *not_text;
};
extern const struct message_name_rule message_rule_topic;         /* Not empty */
extern const struct message_name_rule message_rule_after;         /* The name a list goes on from */
extern const struct message_name_rule message_rule_cursor;        /* Empty: the default cursor */
extern const struct message_name_rule message_rule_namespace;     /* Not empty */
extern const struct message_name_rule message_rule_any_namespace; /* Empty: one understood */
extern const struct message_name_rule message_rule_peer;          /* What a program calls itself */
extern const struct message_name_rule message_rule_stat;
extern const struct message_name_rule message_rule_option; /* A section or a key */

/* Fail with `reserved bytes are not zero` unless the next size (at most 8) bytes are. */
void message_take_reserved(struct message_input *in, size_t size);
/* Fail if bytes are left. Returns the first failure; then *why is set unless NULL. */
int message_take_end(struct message_input *in, const char **why);
/* A u16 of flag bits; one that is not in `known` is TUSK_EUNSUPPORTED. */
uint16_t message_take_flags(struct message_input *in, uint16_t known);
/* A u16 that is 0 or 1. */
bool message_take_bool(struct message_input *in);

/* size bytes of a name, and a name that begins with its size. */
struct message_name message_take_name_bytes(struct message_input *in, uint16_t size,
                                            const struct message_name_rule *rule);
struct message_name message_take_name(struct message_input *in,
                                      const struct message_name_rule *rule);
/* The name half of a topic whose id is known: either the id is not 0, or the name not empty. */
struct message_topic message_take_topic_bytes(struct message_input *in, uint64_t id, uint16_t size);
struct message_topic message_take_topic_name(struct message_input *in, uint64_t id);
/* A sentence: size, then up to MESSAGE_TEXT_SIZE_MAX bytes. */
struct message_name message_take_text(struct message_input *in);
/* From 1 to MESSAGE_LIST_MAX. (message_request.c) */
uint32_t message_take_list_max(struct message_input *in);
void message_take_settings(struct message_input *in, struct message_settings *settings);
/* A kind from 1 to kind_max, and a value that this kind can have. */
void message_check_position(struct message_input *in, const struct message_position *position,
                            uint16_t kind_max);
struct message_position message_take_position(struct message_input *in);

void message_put_reserved(struct message_output *out, size_t size);
void message_put_name(struct message_output *out, const struct message_name *name);
/* What message_take_text() takes, whatever is given: cut at the limit, and with '?' for
 * each byte that is not UTF-8. */
void message_put_text(struct message_output *out, const struct message_name *text);
void message_put_settings(struct message_output *out, const struct message_settings *settings);
void message_put_position(struct message_output *out, const struct message_position *position);

/* Of lists. */

/* Before an item: 1 if there is one, else what _next returns. */
static inline int reader_item(struct message_reader *reader, struct message_input *in)
{
    *in = (struct message_input){.at = reader->at, .left = reader->left};
    return reader->count > 0 ? 1 : message_take_end(in, NULL);
}

/* Behind an item. A reader that failed stays where it is, so it fails again if asked again. */
static inline int reader_advance(struct message_reader *reader, const struct message_input *in)
{
    if (in->rc != 0) {
        return in->rc;
    }
    reader->at = in->at;
    reader->left = in->left;
    reader->count--;
    return 1;
}

/* Requests whose files are their own. */
void message_take_snapshot_end(struct message_input *in, struct message *message);
void message_put_snapshot_end(struct message_output *out, const struct message *message);
void message_take_slowlog(struct message_input *in, struct message *message);
void message_put_slowlog(struct message_output *out, const struct message *message);

#endif
