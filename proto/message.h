/* The bodies of requests and replies: PROTOCOL.md, "Requests". message_request.c and
 * message_*reply.c are the only code with their layout; message_cursor.h is how they walk.
 *
 * Decoding fills a struct whose pointers are borrowed from the body, checks every
 * length against what is there before it is used, allocates nothing, and returns 0,
 * or a negative TUSK_E*: TUSK_EINVALID for a body that is not exactly one message.
 * Encoding writes into a buffer of the caller, of at least the _size() of the message,
 * and returns the bytes written. A decoder accepts exactly what its encoder can write. */
#ifndef PROTO_MESSAGE_H
#define PROTO_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/message_numbers.h"

/* A string in a body: not terminated. data is never NULL after decoding. */
struct message_name {
    const char *data;
    uint16_t size;
};

struct message_topic {
    uint64_t id; /* 0: by name */
    struct message_name name;
};

struct message_position {
    uint16_t kind; /* enum message_position_kind */
    uint64_t value;
};

struct message_setting {
    uint16_t key;
    uint64_t value;
};

struct message_settings {
    uint16_t count;
    struct message_setting items[MESSAGE_SETTINGS_MAX];
};

struct message_hello {
    uint16_t version_min;
    uint16_t version_max;
    uint64_t features;
    struct message_name space; /* The namespace; empty: "default" */
    struct message_name client;
};

struct message_hello_reply {
    uint16_t version;
    uint32_t consistency;
    uint64_t features;
    uint8_t store_id[16];
    uint64_t incarnation;
    uint64_t fsync_ms; /* 0 each, MESSAGE_FSYNC_NONE none */
    uint32_t frame_size_max;
    uint32_t batch_size_max;
    uint32_t entry_size_max;
    uint32_t in_flight_max;
    uint64_t in_flight_bytes_max;
    struct message_name server;
};

struct message_append {
    struct message_topic topic;
    uint16_t flags; /* APPEND_* */
    const uint8_t *batch;
    uint32_t batch_size;
};

struct message_append_reply {
    uint64_t topic_id;
    uint64_t first_offset;
    uint64_t durable_end;
};

struct message_read {
    struct message_topic topic;
    struct message_name cursor;
    struct message_position position;
    uint16_t flags; /* READ_* */
    uint32_t max_bytes;
    uint32_t max_entries;
    uint32_t wait_ms;
    uint64_t held; /* MESSAGE_HELD_NONE: nothing */
};

/* Where batches are, instead of the batches. */
#define MESSAGE_PLACE_SIZE 40u
struct message_place {
    uint64_t segment;      /* Number of the file */
    uint64_t segment_size; /* It never grows beyond */
    uint64_t block;        /* Where the block begins in it */
    uint32_t size;         /* Of the batches; they begin at `position` of the block */
    uint32_t lease;        /* To be released */
    bool descriptor;       /* That of the file comes with the reply's first byte */
};

#define MESSAGE_READ_REPLY_SIZE 80u /* Bytes before the batches */
struct message_read_reply {
    uint64_t topic_id;
    uint64_t from;
    uint64_t to;
    uint64_t end;
    uint64_t durable_end;
    uint64_t epoch;
    uint64_t skipped_from;
    uint64_t skipped_to;
    uint64_t generation;
    uint32_t position;
    const uint8_t *data; /* Batches; not written by the encoder, see below. NULL when placed */
    uint32_t data_size;  /* Of them; when placed not looked at by the encoder, 0 when decoded */
    bool placed;
    struct message_place place;
};

struct message_release {
    uint16_t count;
    uint32_t leases[MESSAGE_LEASES_MAX];
};

struct message_checkpoint {
    struct message_topic topic;
    struct message_name cursor;
    uint64_t offset;
    uint64_t epoch; /* 0: any */
    uint16_t flags; /* CHECKPOINT_* */
};

/* Of CHECKPOINT, SEEK and CURSOR_CREATE. */
struct message_cursor_reply {
    uint64_t offset;
    uint64_t epoch;
};

/* SEEK and CURSOR_CREATE. */
struct message_cursor_position {
    struct message_topic topic;
    struct message_name cursor;
    struct message_position position;
};

/* TOPIC_CREATE (by name), TOPIC_SET. */
struct message_topic_settings {
    struct message_topic topic;
    struct message_settings settings;
};

struct message_topic_trim {
    struct message_topic topic;
    uint64_t offset;
};

/* TOPIC_LIST, NAMESPACE_LIST. */
struct message_list {
    uint32_t max;
    struct message_name after;
};

struct message_cursor_list {
    struct message_topic topic;
    uint32_t max;
    struct message_name after;
    bool from_first;
};

/* CURSOR_DELETE. */
struct message_cursor {
    struct message_topic topic;
    struct message_name cursor;
};

struct message_topic_info {
    uint64_t topic_id;
    uint64_t created_us;
    uint64_t first;
    uint64_t end;
    uint64_t durable_end;
    uint64_t entries;
    uint64_t bytes;
    uint64_t last_time_us;
    uint32_t blocks;
    uint32_t cursors;
    struct message_name name;
    struct message_settings settings;
};

struct message_cursor_info {
    uint64_t offset;
    uint64_t durable_offset;
    uint64_t epoch;
    uint64_t lag;
    struct message_name name;
};

enum message_namespace_state {
    NAMESPACE_SERVING = 0,
    NAMESPACE_REFUSED = 1,
    NAMESPACE_STOPPED = 2
};

struct message_namespace_info {
    uint64_t topics;
    uint64_t bytes;
    uint16_t state; /* enum message_namespace_state */
    struct message_name name;
    struct message_name reason;
    struct message_settings settings;
};

/* NAMESPACE_CREATE, NAMESPACE_SET. */
struct message_namespace_settings {
    struct message_name name;
    struct message_settings settings;
};

struct message_stat {
    struct message_name name;
    uint64_t value;
};

/* CONFIG: the values in force, or those that the files, read now, would give. */
struct message_config {
    uint32_t max;
    uint32_t from; /* Items before this one are left out */
    bool files;
};

/* One value: section "server" or "defaults" and an empty namespace, or "namespace" and its name. */
struct message_config_item {
    bool needs_restart; /* A change counts from the next start */
    struct message_name section;
    struct message_name space;
    struct message_name key;
    struct message_name value;
    struct message_name fallback; /* The built-in value */
    struct message_name origin;   /* "default", a variable, an option, "FILE:LINE", ... */
};

/* ACCESS: what somebody may do. */
struct message_access {
    struct message_name user;  /* A name or a number; empty: who asks */
    struct message_name space; /* Empty: the connection's */
};

#define MESSAGE_RIGHT_READ 0x1u
#define MESSAGE_RIGHT_APPEND 0x2u
#define MESSAGE_RIGHT_ADMIN 0x4u

struct message_access_reply {
    uint32_t uid;
    uint16_t rights;          /* MESSAGE_RIGHT_*; those that are unknown are kept */
    struct message_name user; /* As the daemon's system knows it; may be empty */
    struct message_name why;  /* A sentence */
};

struct message_snapshot_end {
    bool shared; /* The copy may share bytes of segments with the original */
};

/* SNAPSHOT_BEGIN: what to copy. Numbers of files, both ends included but for segments_end. */
struct message_snapshot_reply {
    uint64_t manifest_first;
    uint64_t manifest_last;
    uint64_t journal_first;
    uint64_t journal_last;
    uint64_t journal_used;    /* Bytes of the last journal file */
    uint64_t segments_end;    /* One past the last */
    struct message_name root; /* The data directory, as an absolute path */
    struct message_name dir;  /* The namespace's, below it */
};

/* SLOWLOG: the requests that took long, from the last one on. */
struct message_slowlog {
    uint32_t max;
    uint64_t before; /* Only those with a smaller number; 0: all */
    bool forget;     /* They are not told, but forgotten */
};

#define MESSAGE_UID_NONE UINT32_MAX

struct message_slow {
    uint64_t number;      /* Counted from 1 at each start of the daemon */
    uint64_t time_us;     /* When its reply was ready, since 1970 */
    uint64_t duration_us; /* The sum of the four below */
    uint64_t waited_us;   /* Until it had its place */
    uint64_t queued_us; /* From there until the turn that wrote it, or the sync it needed, began */
    uint64_t worked_us; /* What is left: writing, reading, everything else that was done then */
    uint64_t synced_us;
    uint64_t entries;
    uint64_t bytes;
    uint32_t pid;                /* 0: the client had gone */
    uint32_t uid;                /* MESSAGE_UID_NONE: likewise */
    uint16_t status;             /* Of the reply */
    struct message_name request; /* "append", ... */
    struct message_name space;   /* May be empty, as the next two */
    struct message_name topic;
    struct message_name client;
};

/* The body of a reply whose status is not 0. */
struct message_error {
    uint64_t detail_a;
    uint64_t detail_b;
    struct message_name text;
};

/* A request, decoded: type says which member. PING and SYNC and STATS have none;
 * TOPIC_DELETE and TOPIC_INFO use `topic`; NAMESPACE_DELETE uses `name`. */
struct message {
    uint16_t type;
    union {
        struct message_hello hello;
        struct message_append append;
        struct message_read read;
        struct message_checkpoint checkpoint;
        struct message_cursor_position cursor_position;
        struct message_topic_settings topic_settings;
        struct message_topic topic;
        struct message_topic_trim topic_trim;
        struct message_list list;
        struct message_cursor_list cursor_list;
        struct message_cursor cursor;
        struct message_namespace_settings namespace_settings;
        struct message_config config;
        struct message_release release;
        struct message_access access;
        struct message_snapshot_end snapshot_end;
        struct message_slowlog slowlog;
        struct message_name name;
    } u;
};

/* Whether requests of this type are known: numbers in between may not be. */
bool message_type_known(uint16_t type);
/* Decode a request body of a type. TUSK_EUNSUPPORTED for a type that is unknown;
 * TUSK_EINVALID for a body that is not exactly that message (names are checked for
 * size, UTF-8 and NUL), and TUSK_EUNSUPPORTED for a flag that is unknown. On failure *why
 * points at a static sentence saying which part. Of an APPEND's batch it is checked that it
 * is as long as its header says and that the daemon's fields are 0; batch_verify() does the
 * rest. */
int message_decode(struct message *message, uint16_t type, const uint8_t *body, size_t size,
                   const char **why);
/* Bytes message_encode() will write: everything but, for APPEND, the batch itself, which
 * the caller puts behind. */
size_t message_size(const struct message *message);
/* Encode a request body. Returns message_size(). */
size_t message_encode(uint8_t *to, const struct message *message);

/* Replies. Each _encode returns the bytes written; each _decode 0 or TUSK_EINVALID. */
size_t message_hello_reply_size(const struct message_hello_reply *reply);
size_t message_hello_reply_encode(uint8_t *to, const struct message_hello_reply *reply);
int message_hello_reply_decode(struct message_hello_reply *reply, const uint8_t *body, size_t size);

#define MESSAGE_APPEND_REPLY_SIZE 24u
size_t message_append_reply_encode(uint8_t *to, const struct message_append_reply *reply);
int message_append_reply_decode(struct message_append_reply *reply, const uint8_t *body,
                                size_t size);

/* Encodes the MESSAGE_READ_REPLY_SIZE bytes before the batches; data_size is written, data is put
 * behind by the caller. When placed, MESSAGE_PLACE_SIZE bytes more, and that is all. Decoding
 * checks that exactly data_size bytes follow, or the place. */
size_t message_read_reply_encode(uint8_t *to, const struct message_read_reply *reply);
int message_read_reply_decode(struct message_read_reply *reply, const uint8_t *body, size_t size);

#define MESSAGE_CURSOR_REPLY_SIZE 16u
size_t message_cursor_reply_encode(uint8_t *to, const struct message_cursor_reply *reply);
int message_cursor_reply_decode(struct message_cursor_reply *reply, const uint8_t *body,
                                size_t size);

/* TOPIC_CREATE (topic id) and TOPIC_TRIM (first offset): one u64. */
#define MESSAGE_U64_REPLY_SIZE 8u
size_t message_u64_reply_encode(uint8_t *to, uint64_t value);
int message_u64_reply_decode(uint64_t *value, const uint8_t *body, size_t size);

/* An error's text, like the reason of struct message_namespace_info, is cut at
 * MESSAGE_TEXT_SIZE_MAX and gets '?' for each byte that is not UTF-8: a sentence may quote
 * an odd file name, and must not make the reply undecodable. */
size_t message_error_size(const struct message_error *error);
size_t message_error_encode(uint8_t *to, const struct message_error *error);
int message_error_decode(struct message_error *error, const uint8_t *body, size_t size);

size_t message_topic_info_size(const struct message_topic_info *info);
size_t message_topic_info_encode(uint8_t *to, const struct message_topic_info *info);
int message_topic_info_decode(struct message_topic_info *info, const uint8_t *body, size_t size);

/* Lists: a head of 4 bytes { more, count }, then items written one after the other. */
#define MESSAGE_LIST_HEAD_SIZE 4u
void message_list_head_encode(uint8_t *to, bool more, uint16_t count);
size_t message_cursor_info_size(const struct message_cursor_info *info);
size_t message_cursor_info_encode(uint8_t *to, const struct message_cursor_info *info);
size_t message_namespace_info_size(const struct message_namespace_info *info);
size_t message_namespace_info_encode(uint8_t *to, const struct message_namespace_info *info);
/* Value, fallback and origin are cut and mended as an error's text is. */
size_t message_config_item_size(const struct message_config_item *item);
size_t message_config_item_encode(uint8_t *to, const struct message_config_item *item);

/* The client's name is cut and mended as an error's text is. (message_slow_reply.c) */
size_t message_slow_size(const struct message_slow *item);
size_t message_slow_encode(uint8_t *to, const struct message_slow *item);

/* The sentence is cut and mended as an error's text is. */
size_t message_access_reply_size(const struct message_access_reply *reply);
size_t message_access_reply_encode(uint8_t *to, const struct message_access_reply *reply);
int message_access_reply_decode(struct message_access_reply *reply, const uint8_t *body,
                                size_t size);

/* Both paths are cut and mended as an error's text is. */
size_t message_snapshot_reply_size(const struct message_snapshot_reply *reply);
size_t message_snapshot_reply_encode(uint8_t *to, const struct message_snapshot_reply *reply);
int message_snapshot_reply_decode(struct message_snapshot_reply *reply, const uint8_t *body,
                                  size_t size);

/* STATS: a head of 2 bytes (count), then items. */
#define MESSAGE_STATS_HEAD_SIZE 2u
void message_stats_head_encode(uint8_t *to, uint16_t count);
size_t message_stat_size(const struct message_stat *stat);
size_t message_stat_encode(uint8_t *to, const struct message_stat *stat);

/* Reading a list reply: _begin checks the head, then call _next until it returns 0 (done,
 * and the body is exactly used up) or a negative TUSK_EINVALID; 1 means *item is filled.
 * An empty list that promises more is refused. */
struct message_reader {
    const uint8_t *at;
    size_t left;
    uint32_t count; /* Items still to come */
    bool more;      /* The daemon has more behind this reply */
};
int message_list_begin(struct message_reader *reader, const uint8_t *body, size_t size);
int message_topic_list_next(struct message_reader *reader, struct message_topic_info *item);
int message_cursor_list_next(struct message_reader *reader, struct message_cursor_info *item);
int message_namespace_list_next(struct message_reader *reader, struct message_namespace_info *item);
int message_config_list_next(struct message_reader *reader, struct message_config_item *item);
int message_slow_list_next(struct message_reader *reader, struct message_slow *item);
int message_stats_begin(struct message_reader *reader, const uint8_t *body, size_t size);
int message_stats_next(struct message_reader *reader, struct message_stat *item);

/* Whether size bytes are UTF-8 without NUL (RFC 3629: no surrogates, nothing overlong). */
bool message_utf8_valid(const char *data, size_t size);

#endif
