/* The numbers of PROTOCOL.md: limits, types of requests, keys, kinds and flags. */
#ifndef PROTO_MESSAGE_NUMBERS_H
#define PROTO_MESSAGE_NUMBERS_H

#include <stdint.h>

#define MESSAGE_NAME_SIZE_MAX 255u
#define MESSAGE_SETTINGS_MAX 32u
#define MESSAGE_LIST_MAX 1000u
#define MESSAGE_TEXT_SIZE_MAX 1024u
#define MESSAGE_VERSION 1u
#define MESSAGE_MAGIC 0x4b535554u /* "TUSK" */
#define MESSAGE_HELD_NONE UINT64_MAX
#define MESSAGE_FSYNC_NONE UINT64_MAX

enum message_type {
    MESSAGE_HELLO = 1,
    MESSAGE_PING = 2,
    MESSAGE_APPEND = 3,
    MESSAGE_READ = 4,
    MESSAGE_CHECKPOINT = 5,
    MESSAGE_SEEK = 6,
    MESSAGE_SYNC = 7,
    MESSAGE_TOPIC_CREATE = 8,
    MESSAGE_TOPIC_SET = 9,
    MESSAGE_TOPIC_DELETE = 10,
    MESSAGE_TOPIC_TRIM = 11,
    MESSAGE_TOPIC_LIST = 12,
    MESSAGE_TOPIC_INFO = 13,
    MESSAGE_CURSOR_CREATE = 14,
    MESSAGE_CURSOR_LIST = 15,
    MESSAGE_CURSOR_DELETE = 16,
    MESSAGE_NAMESPACE_CREATE = 17,
    MESSAGE_NAMESPACE_SET = 18,
    MESSAGE_NAMESPACE_LIST = 19,
    MESSAGE_NAMESPACE_DELETE = 20,
    MESSAGE_STATS = 21,
    MESSAGE_CONFIG = 22,
    MESSAGE_RELEASE = 23,
    MESSAGE_ACCESS = 24,
    MESSAGE_SNAPSHOT_BEGIN = 25,
    MESSAGE_SNAPSHOT_END = 26,
    MESSAGE_SLOWLOG = 27,
    MESSAGE_TYPE_END /* One past the last */
};

enum message_setting_key {
    SETTING_RETENTION = 1,
    SETTING_RETENTION_AGE_MS = 2,
    SETTING_RETENTION_BYTES = 3,
    SETTING_FSYNC = 16,
    SETTING_CONSISTENCY = 17,
    SETTING_QUOTA_BYTES = 18,
    SETTING_QUOTA_TOPICS = 19,
    SETTING_QUOTA_CURSORS = 20,
    SETTING_QUOTA_POLICY = 21,
};

enum message_retention {
    RETENTION_ALL = 0,
    RETENTION_CONSUMED = 1,
    RETENTION_AGE = 2,
    RETENTION_SIZE = 3,
    RETENTION_INHERIT = 255,
};

enum message_position_kind {
    POSITION_OFFSET = 1,
    POSITION_TIME = 2,
    POSITION_EARLIEST = 3,
    POSITION_LATEST = 4,
    POSITION_CURSOR = 5, /* READ only */
};

#define APPEND_DURABLE 0x1u
#define APPEND_NO_CREATE 0x2u
#define READ_CONSUME 0x1u
#define READ_SKIP_DAMAGE 0x2u
#define READ_UNCHECKED 0x4u /* The batches may be bytes that the daemon has not looked at */
#define READ_MAPPED 0x8u    /* The batches may be in a file that comes along; with READ_UNCHECKED */
#define CHECKPOINT_NO_CREATE 0x1u
/* Of HELLO: READ takes READ_UNCHECKED, READ_MAPPED. */
#define FEATURE_UNCHECKED 0x1u
#define FEATURE_MAPPED 0x2u
/* Segments whose descriptors a client keeps; the one that came first goes first. */
#define MESSAGE_MAPPED_SEGMENTS 4u
#define MESSAGE_LEASES_MAX 64u /* Of one connection */

#endif
