/* The bytes of every message, written down by hand from PROTOCOL.md, against encoder and
 * decoder: a table row for each layout, with a different value in every field. */
#include "proto/message.h"
#include "proto/status.h"
#include "tests/unit/proto_hex.h"
#include "tests/unit/proto_random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NAME(text)                                                                                 \
    {                                                                                              \
        .data = (text), .size = sizeof(text) - 1                                                   \
    }

/* A topic by id, and by the name "orders". */
#define ID 0x1817161514131211
#define ID_HEX "1112131415161718"
#define NO_ID_HEX "0000000000000000"
#define ORDERS_HEX "0600 6f7264657273"
#define EMPTY_HEX "0000"
#define CURSOR_HEX "0300 c3a962" /* "éb" */

/* Keys 1 and 17. */
#define SETTINGS                                                                                   \
    {                                                                                              \
        .count = 2, .items = { {1, 255}, {17, 0x0807060504030201} }                                \
    }
#define SETTINGS_HEX "0200  0100 0000 ff00000000000000  1100 0000 0102030405060708"

/* 64 bytes of header that say 5, and 5 bytes. */
#define BATCH_HEX                                                                                  \
    "54420100 00000000 0000000000000000 0000000000000000 0000000000000000 00000000 01000000"       \
    "05000000 05000000 12345678 00000000 00000000 00000000 0100000078"

static const struct {
    struct message message;
    const char *hex;
} requests[] = {
    {{.type = MESSAGE_HELLO,
      .u.hello = {.version_min = 1,
                  .version_max = 0x0302,
                  .features = 0x1122334455667788,
                  .space = NAME("eu"),
                  .client = NAME("tusk")}},
     "5455534b 0100 0203 8877665544332211 0200 6575 0400 7475736b"},
    {{.type = MESSAGE_HELLO,
      .u.hello = {.version_min = 1, .version_max = 1, .space = NAME(""), .client = NAME("")}},
     "5455534b 0100 0100 0000000000000000 0000 0000"},
    {{.type = MESSAGE_PING}, ""},
    {{.type = MESSAGE_APPEND, .u.append = {.topic = {.id = ID, .name = NAME("")}, .flags = 1}},
     ID_HEX "0100 0000 00000000" BATCH_HEX},
    {{.type = MESSAGE_APPEND, .u.append = {.topic = {.name = NAME("orders")}, .flags = 3}},
     NO_ID_HEX "0300 0600 00000000 6f7264657273" BATCH_HEX},
    {{.type = MESSAGE_READ,
      .u.read = {.topic = {.name = NAME("orders")},
                 .cursor = NAME("éb"),
                 .position = {.kind = POSITION_CURSOR},
                 .flags = READ_CONSUME | READ_SKIP_DAMAGE,
                 .max_bytes = 0x44332211,
                 .max_entries = 0x54535251,
                 .wait_ms = 0x64636261,
                 .held = 0x7877767574737271}},
     NO_ID_HEX "0300 0600 0300 0500 0000000000000000 11223344 51525354 61626364 00000000"
               "7172737475767778 6f7264657273 c3a962"},
    {{.type = MESSAGE_READ,
      .u.read = {.topic = {.id = ID, .name = NAME("")},
                 .cursor = NAME(""),
                 .position = {.kind = POSITION_OFFSET, .value = 0x0807060504030201},
                 .max_bytes = 1,
                 .max_entries = 1,
                 .held = MESSAGE_HELD_NONE}},
     ID_HEX "0000 0000 0000 0100 0102030405060708 01000000 01000000 00000000 00000000"
            "ffffffffffffffff"},
    {{.type = MESSAGE_CHECKPOINT,
      .u.checkpoint = {.topic = {.id = ID, .name = NAME("")},
                       .cursor = NAME("éb"),
                       .offset = 0x2827262524232221,
                       .epoch = 0x3837363534333231,
                       .flags = CHECKPOINT_NO_CREATE}},
     ID_HEX "2122232425262728 3132333435363738 0100 0000" EMPTY_HEX CURSOR_HEX},
    {{.type = MESSAGE_SEEK,
      .u.cursor_position = {.topic = {.id = ID, .name = NAME("")},
                            .cursor = NAME("éb"),
                            .position = {.kind = POSITION_TIME, .value = 0x2827262524232221}}},
     ID_HEX EMPTY_HEX CURSOR_HEX "0200 000000000000 2122232425262728"},
    {{.type = MESSAGE_SEEK,
      .u.cursor_position = {.topic = {.name = NAME("orders")},
                            .cursor = NAME(""),
                            .position = {.kind = POSITION_LATEST}}},
     NO_ID_HEX ORDERS_HEX EMPTY_HEX "0400 000000000000 0000000000000000"},
    {{.type = MESSAGE_SYNC}, ""},
    {{.type = MESSAGE_TOPIC_CREATE,
      .u.topic_settings = {.topic = {.name = NAME("orders")}, .settings = SETTINGS}},
     ORDERS_HEX SETTINGS_HEX},
    {{.type = MESSAGE_TOPIC_CREATE, .u.topic_settings = {.topic = {.name = NAME("orders")}}},
     ORDERS_HEX "0000"},
    {{.type = MESSAGE_TOPIC_SET,
      .u.topic_settings = {.topic = {.id = ID, .name = NAME("")}, .settings = SETTINGS}},
     ID_HEX EMPTY_HEX SETTINGS_HEX},
    {{.type = MESSAGE_TOPIC_DELETE, .u.topic = {.name = NAME("orders")}}, NO_ID_HEX ORDERS_HEX},
    {{.type = MESSAGE_TOPIC_TRIM,
      .u.topic_trim = {.topic = {.name = NAME("orders")}, .offset = 0x2827262524232221}},
     NO_ID_HEX "2122232425262728" ORDERS_HEX},
    {{.type = MESSAGE_TOPIC_LIST, .u.list = {.max = 1000, .after = NAME("orders")}},
     "e8030000" ORDERS_HEX},
    {{.type = MESSAGE_TOPIC_INFO, .u.topic = {.id = ID, .name = NAME("")}}, ID_HEX EMPTY_HEX},
    {{.type = MESSAGE_CURSOR_CREATE,
      .u.cursor_position = {.topic = {.id = ID, .name = NAME("")},
                            .cursor = NAME("éb"),
                            .position = {.kind = POSITION_EARLIEST}}},
     ID_HEX EMPTY_HEX CURSOR_HEX "0300 000000000000 0000000000000000"},
    {{.type = MESSAGE_CURSOR_LIST,
      .u.cursor_list = {.topic = {.name = NAME("orders")}, .max = 513, .after = NAME("éb")}},
     NO_ID_HEX "01020000" ORDERS_HEX CURSOR_HEX "0000"},
    {{.type = MESSAGE_CURSOR_LIST,
      .u.cursor_list =
          {.topic = {.id = ID, .name = NAME("")}, .max = 1, .after = NAME(""), .from_first = true}},
     ID_HEX "01000000" EMPTY_HEX EMPTY_HEX "0100"},
    {{.type = MESSAGE_CURSOR_LIST,
      .u.cursor_list = {.topic = {.id = ID, .name = NAME("")}, .max = 1, .after = NAME("")}},
     ID_HEX "01000000" EMPTY_HEX EMPTY_HEX "0000"},
    {{.type = MESSAGE_CURSOR_DELETE,
      .u.cursor = {.topic = {.name = NAME("orders")}, .cursor = NAME("éb")}},
     NO_ID_HEX ORDERS_HEX CURSOR_HEX},
    {{.type = MESSAGE_NAMESPACE_CREATE,
      .u.namespace_settings = {.name = NAME("orders"), .settings = SETTINGS}},
     ORDERS_HEX SETTINGS_HEX},
    {{.type = MESSAGE_NAMESPACE_SET,
      .u.namespace_settings = {.name = NAME(""), .settings = SETTINGS}},
     EMPTY_HEX SETTINGS_HEX},
    {{.type = MESSAGE_NAMESPACE_LIST, .u.list = {.max = 2, .after = NAME("")}},
     "02000000" EMPTY_HEX},
    {{.type = MESSAGE_NAMESPACE_DELETE, .u.name = NAME("orders")}, ORDERS_HEX},
    {{.type = MESSAGE_STATS}, ""},
    {{.type = MESSAGE_CONFIG, .u.config = {.max = 513, .from = 0x14131211, .files = true}},
     "01020000"
     "11121314"
     "0100"},
    {{.type = MESSAGE_RELEASE, .u.release = {.count = 2, .leases = {0x04030201, 63}}},
     "0200"
     "01020304"
     "3f000000"},
    {{.type = MESSAGE_SLOWLOG,
      .u.slowlog = {.max = 513, .before = 0x1817161514131211, .forget = true}},
     "01020000 1112131415161718 0100"},
    {{.type = MESSAGE_ACCESS, .u.access = {.user = NAME("orders"), .space = NAME("")}},
     ORDERS_HEX EMPTY_HEX},
    {{.type = MESSAGE_SNAPSHOT_BEGIN}, ""},
    {{.type = MESSAGE_SNAPSHOT_END, .u.snapshot_end = {.shared = true}}, "0100"},
};

/* Every request has the bytes of PROTOCOL.md, both ways, and no type is missing here. */
static void requests_have_the_documented_bytes(void **state)
{
    bool seen[MESSAGE_TYPE_END] = {false};
    uint8_t bytes[512];
    uint8_t batch[256];
    uint8_t encoded[512];
    uint16_t type;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct message expected = requests[i].message;
        size_t size = hex_decode(bytes, sizeof bytes, requests[i].hex);
        struct message message;
        const char *why = NULL;

        seen[expected.type] = true;
        if (expected.type == MESSAGE_APPEND) {
            expected.u.append.batch_size = (uint32_t)hex_decode(batch, sizeof batch, BATCH_HEX);
            expected.u.append.batch = batch;
        }
        if (message_decode(&message, expected.type, bytes, size, &why) != 0) {
            print_error("row %zu: %s\n", i, why);
            fail();
        }
        assert_true(message_equal(&message, &expected));
        assert_int_equal(message_encode_whole(encoded, &expected), size);
        assert_memory_equal(encoded, bytes, size);
    }
    for (type = MESSAGE_HELLO; type < MESSAGE_TYPE_END; type++) {
        assert_int_equal(seen[type], message_type_known(type));
    }
}

static void assert_name(const struct message_name *name, const char *expected)
{
    assert_int_equal(name->size, strlen(expected));
    assert_memory_equal(name->data, expected, name->size);
}

static void assert_settings(const struct message_settings *settings)
{
    assert_int_equal(settings->count, 2);
    assert_int_equal(settings->items[0].key, 1);
    assert_int_equal(settings->items[0].value, 255);
    assert_int_equal(settings->items[1].key, 17);
    assert_int_equal(settings->items[1].value, 0x0807060504030201);
}

/* The body of a reply to HELLO. */
static void hello_reply_has_the_documented_bytes(void **state)
{
    uint8_t bytes[128];
    uint8_t encoded[128];
    size_t size = hex_decode(
        bytes, sizeof bytes,
        "0102 0000 11121314 2122232425262728 a0a1a2a3a4a5a6a7a8a9aaabacadaeaf 3132333435363738"
        "4142434445464748 51525354 61626364 71727374 81828384 9192939495969798 0400 7475736b");
    struct message_hello_reply reply;
    size_t i;

    (void)state;
    assert_int_equal(message_hello_reply_decode(&reply, bytes, size), 0);
    assert_int_equal(reply.version, 0x0201);
    assert_int_equal(reply.consistency, 0x14131211);
    assert_int_equal(reply.features, 0x2827262524232221);
    for (i = 0; i < 16; i++) {
        assert_int_equal(reply.store_id[i], 0xa0 + i);
    }
    assert_int_equal(reply.incarnation, 0x3837363534333231);
    assert_int_equal(reply.fsync_ms, 0x4847464544434241);
    assert_int_equal(reply.frame_size_max, 0x54535251);
    assert_int_equal(reply.batch_size_max, 0x64636261);
    assert_int_equal(reply.entry_size_max, 0x74737271);
    assert_int_equal(reply.in_flight_max, 0x84838281);
    assert_int_equal(reply.in_flight_bytes_max, 0x9897969594939291);
    assert_name(&reply.server, "tusk");
    assert_int_equal(message_hello_reply_size(&reply), size);
    assert_int_equal(message_hello_reply_encode(encoded, &reply), size);
    assert_memory_equal(encoded, bytes, size);
}

/* The body of a reply to SNAPSHOT_BEGIN. */
static void snapshot_reply_has_the_documented_bytes(void **state)
{
    uint8_t bytes[128];
    uint8_t encoded[128];
    size_t size = hex_decode(bytes, sizeof bytes,
                             "1112131415161718 2122232425262728 3132333435363738 4142434445464748"
                             "5152535455565758 6162636465666768 0200 2f64 0400 6e732f61");
    struct message_snapshot_reply reply;

    (void)state;
    assert_int_equal(message_snapshot_reply_decode(&reply, bytes, size), 0);
    assert_int_equal(reply.manifest_first, 0x1817161514131211);
    assert_int_equal(reply.manifest_last, 0x2827262524232221);
    assert_int_equal(reply.journal_first, 0x3837363534333231);
    assert_int_equal(reply.journal_last, 0x4847464544434241);
    assert_int_equal(reply.journal_used, 0x5857565554535251);
    assert_int_equal(reply.segments_end, 0x6867666564636261);
    assert_name(&reply.root, "/d");
    assert_name(&reply.dir, "ns/a");
    assert_int_equal(message_snapshot_reply_size(&reply), size);
    assert_int_equal(message_snapshot_reply_encode(encoded, &reply), size);
    assert_memory_equal(encoded, bytes, size);
}

/* The replies to APPEND, to what moves a cursor, and to what answers one number. */
static void short_replies_have_the_documented_bytes(void **state)
{
    struct message_append_reply append;
    struct message_cursor_reply cursor;
    uint64_t value;
    uint8_t bytes[24];
    uint8_t encoded[24];

    (void)state;
    assert_int_equal(
        hex_decode(bytes, sizeof bytes, "1112131415161718 2122232425262728 3132333435363738"),
        MESSAGE_APPEND_REPLY_SIZE);
    assert_int_equal(message_append_reply_decode(&append, bytes, 24), 0);
    assert_int_equal(append.topic_id, 0x1817161514131211);
    assert_int_equal(append.first_offset, 0x2827262524232221);
    assert_int_equal(append.durable_end, 0x3837363534333231);
    assert_int_equal(message_append_reply_encode(encoded, &append), 24);
    assert_memory_equal(encoded, bytes, 24);

    assert_int_equal(message_cursor_reply_decode(&cursor, bytes, MESSAGE_CURSOR_REPLY_SIZE), 0);
    assert_int_equal(cursor.offset, 0x1817161514131211);
    assert_int_equal(cursor.epoch, 0x2827262524232221);
    memset(encoded, 0, sizeof encoded);
    assert_int_equal(message_cursor_reply_encode(encoded, &cursor), 16);
    assert_memory_equal(encoded, bytes, 16);

    assert_int_equal(message_u64_reply_decode(&value, bytes, MESSAGE_U64_REPLY_SIZE), 0);
    assert_int_equal(value, 0x1817161514131211);
    memset(encoded, 0, sizeof encoded);
    assert_int_equal(message_u64_reply_encode(encoded, value), 8);
    assert_memory_equal(encoded, bytes, 8);
}

/* The head of a reply to READ, with 16 bytes of batches behind it. */
static void read_reply_has_the_documented_bytes(void **state)
{
    uint8_t bytes[96];
    uint8_t encoded[96];
    struct message_read_reply reply;

    (void)state;
    assert_int_equal(
        hex_decode(bytes, sizeof bytes,
                   "1112131415161718 2122232425262728 3132333435363738 4142434445464748"
                   "5152535455565758 6162636465666768 7172737475767778 8182838485868788"
                   "9192939495969798 a1a2a3a4 10000000 b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"),
        96);
    assert_int_equal(message_read_reply_decode(&reply, bytes, sizeof bytes), 0);
    assert_int_equal(reply.topic_id, 0x1817161514131211);
    assert_int_equal(reply.from, 0x2827262524232221);
    assert_int_equal(reply.to, 0x3837363534333231);
    assert_int_equal(reply.end, 0x4847464544434241);
    assert_int_equal(reply.durable_end, 0x5857565554535251);
    assert_int_equal(reply.epoch, 0x6867666564636261);
    assert_int_equal(reply.skipped_from, 0x7877767574737271);
    assert_int_equal(reply.skipped_to, 0x8887868584838281);
    assert_int_equal(reply.generation, 0x9897969594939291);
    assert_int_equal(reply.position, 0xa4a3a2a1);
    assert_int_equal(reply.data_size, 16);
    assert_ptr_equal(reply.data, bytes + MESSAGE_READ_REPLY_SIZE);
    assert_int_equal(message_read_reply_encode(encoded, &reply), MESSAGE_READ_REPLY_SIZE);
    assert_memory_equal(encoded, bytes, MESSAGE_READ_REPLY_SIZE);
}

/* A reply to READ that names a place has it where batches would stand, and nothing behind it. */
static void a_place_has_the_documented_bytes(void **state)
{
    const struct message_read_reply reply = {
        .topic_id = 1,
        .from = 2,
        .to = 3,
        .end = 4,
        .durable_end = 5,
        .generation = 6,
        .position = 7,
        .data_size = 8, /* Not looked at */
        .placed = true,
        .place = {.segment = 0x0807060504030201,
                  .segment_size = 0x1817161514131211,
                  .block = 0x2827262524232221,
                  .size = 0x34333231,
                  .lease = 0x44434241,
                  .descriptor = true},
    };
    static const char hex[] = "0100000000000000 0200000000000000 0300000000000000 0400000000000000"
                              "0500000000000000 0000000000000000 0000000000000000 0000000000000000"
                              "0600000000000000 07000000 ffffffff"
                              "0102030405060708 1112131415161718 2122232425262728"
                              "31323334 41424344 0100 000000000000";
    struct message_read_reply decoded;
    uint8_t bytes[256];
    uint8_t encoded[256];
    const size_t size = hex_decode(bytes, sizeof bytes, hex);

    (void)state;
    assert_int_equal(size, MESSAGE_READ_REPLY_SIZE + MESSAGE_PLACE_SIZE);
    assert_int_equal(message_read_reply_encode(encoded, &reply), size);
    assert_memory_equal(encoded, bytes, size);
    assert_int_equal(message_read_reply_decode(&decoded, bytes, size), 0);
    assert_true(decoded.placed);
    assert_true(decoded.place.descriptor);
    assert_null(decoded.data);
    assert_int_equal(decoded.data_size, 0);
    assert_int_equal(decoded.place.segment, reply.place.segment);
    assert_int_equal(decoded.place.segment_size, reply.place.segment_size);
    assert_int_equal(decoded.place.block, reply.place.block);
    assert_int_equal(decoded.place.size, reply.place.size);
    assert_int_equal(decoded.place.lease, reply.place.lease);
    assert_int_not_equal(message_read_reply_decode(&decoded, bytes, size - 1), 0);
    assert_int_not_equal(message_read_reply_decode(&decoded, bytes, size + 1), 0);
    bytes[size - 1] = 1; /* A reserved byte */
    assert_int_not_equal(message_read_reply_decode(&decoded, bytes, size), 0);
}

/* The body of every reply that is not a success. */
static void error_has_the_documented_bytes(void **state)
{
    uint8_t bytes[64];
    uint8_t encoded[64];
    size_t size = hex_decode(bytes, sizeof bytes, "1112131415161718 2122232425262728 0300 c3a962");
    struct message_error error;

    (void)state;
    assert_int_equal(message_error_decode(&error, bytes, size), 0);
    assert_int_equal(error.detail_a, 0x1817161514131211);
    assert_int_equal(error.detail_b, 0x2827262524232221);
    assert_name(&error.text, "éb");
    assert_int_equal(message_error_size(&error), size);
    assert_int_equal(message_error_encode(encoded, &error), size);
    assert_memory_equal(encoded, bytes, size);
}

#define TOPIC_INFO_HEX                                                                             \
    "1112131415161718 2122232425262728 3132333435363738 4142434445464748 5152535455565758"         \
    "6162636465666768 7172737475767778 8182838485868788 91929394 a1a2a3a4" ORDERS_HEX SETTINGS_HEX

static void assert_topic_info(const struct message_topic_info *info)
{
    assert_int_equal(info->topic_id, 0x1817161514131211);
    assert_int_equal(info->created_us, 0x2827262524232221);
    assert_int_equal(info->first, 0x3837363534333231);
    assert_int_equal(info->end, 0x4847464544434241);
    assert_int_equal(info->durable_end, 0x5857565554535251);
    assert_int_equal(info->entries, 0x6867666564636261);
    assert_int_equal(info->bytes, 0x7877767574737271);
    assert_int_equal(info->last_time_us, 0x8887868584838281);
    assert_int_equal(info->blocks, 0x94939291);
    assert_int_equal(info->cursors, 0xa4a3a2a1);
    assert_name(&info->name, "orders");
    assert_settings(&info->settings);
}

/* One topic's information, and a list of two. */
static void topic_information_has_the_documented_bytes(void **state)
{
    uint8_t bytes[512];
    uint8_t encoded[512];
    size_t size = hex_decode(bytes, sizeof bytes, TOPIC_INFO_HEX);
    struct message_topic_info info;
    struct message_reader reader;

    (void)state;
    assert_int_equal(message_topic_info_decode(&info, bytes, size), 0);
    assert_topic_info(&info);
    assert_int_equal(message_topic_info_size(&info), size);
    assert_int_equal(message_topic_info_encode(encoded, &info), size);
    assert_memory_equal(encoded, bytes, size);

    size = hex_decode(bytes, sizeof bytes, "0100 0200" TOPIC_INFO_HEX TOPIC_INFO_HEX);
    message_list_head_encode(encoded, true, 2);
    assert_memory_equal(encoded, bytes, MESSAGE_LIST_HEAD_SIZE);
    assert_int_equal(message_list_begin(&reader, bytes, size), 0);
    assert_true(reader.more);
    assert_int_equal(reader.count, 2);
    assert_int_equal(message_topic_list_next(&reader, &info), 1);
    assert_topic_info(&info);
    memset(&info, 0, sizeof info);
    assert_int_equal(message_topic_list_next(&reader, &info), 1);
    assert_topic_info(&info);
    assert_int_equal(message_topic_list_next(&reader, &info), 0);
}

/* A list of one cursor. */
static void cursor_list_has_the_documented_bytes(void **state)
{
    uint8_t bytes[128];
    uint8_t encoded[128];
    size_t size = hex_decode(
        bytes, sizeof bytes,
        "0000 0100 1112131415161718 2122232425262728 3132333435363738 4142434445464748" CURSOR_HEX);
    struct message_cursor_info info;
    struct message_reader reader;

    (void)state;
    assert_int_equal(message_list_begin(&reader, bytes, size), 0);
    assert_false(reader.more);
    assert_int_equal(message_cursor_list_next(&reader, &info), 1);
    assert_int_equal(info.offset, 0x1817161514131211);
    assert_int_equal(info.durable_offset, 0x2827262524232221);
    assert_int_equal(info.epoch, 0x3837363534333231);
    assert_int_equal(info.lag, 0x4847464544434241);
    assert_name(&info.name, "éb");
    assert_int_equal(message_cursor_list_next(&reader, &info), 0);
    assert_int_equal(message_cursor_info_size(&info), size - 4);
    assert_int_equal(message_cursor_info_encode(encoded, &info), size - 4);
    assert_memory_equal(encoded, bytes + 4, size - 4);
}

/* A list of one namespace. */
static void namespace_list_has_the_documented_bytes(void **state)
{
    uint8_t bytes[128];
    uint8_t encoded[128];
    size_t size = hex_decode(
        bytes, sizeof bytes,
        "0000 0100 1112131415161718 2122232425262728 0100" ORDERS_HEX CURSOR_HEX SETTINGS_HEX);
    struct message_namespace_info info;
    struct message_reader reader;

    (void)state;
    assert_int_equal(message_list_begin(&reader, bytes, size), 0);
    assert_int_equal(message_namespace_list_next(&reader, &info), 1);
    assert_int_equal(info.topics, 0x1817161514131211);
    assert_int_equal(info.bytes, 0x2827262524232221);
    assert_int_equal(info.state, NAMESPACE_REFUSED);
    assert_name(&info.name, "orders");
    assert_name(&info.reason, "éb");
    assert_settings(&info.settings);
    assert_int_equal(message_namespace_list_next(&reader, &info), 0);
    assert_int_equal(message_namespace_info_size(&info), size - 4);
    assert_int_equal(message_namespace_info_encode(encoded, &info), size - 4);
    assert_memory_equal(encoded, bytes + 4, size - 4);
}

/* One counter. */
static void stats_have_the_documented_bytes(void **state)
{
    uint8_t bytes[64];
    uint8_t encoded[64];
    size_t size = hex_decode(bytes, sizeof bytes, "0100" ORDERS_HEX "1112131415161718");
    struct message_stat stat;
    struct message_reader reader;

    (void)state;
    assert_int_equal(message_stats_begin(&reader, bytes, size), 0);
    assert_int_equal(reader.count, 1);
    assert_int_equal(message_stats_next(&reader, &stat), 1);
    assert_name(&stat.name, "orders");
    assert_int_equal(stat.value, 0x1817161514131211);
    assert_int_equal(message_stats_next(&reader, &stat), 0);
    message_stats_head_encode(encoded, 1);
    assert_int_equal(message_stat_size(&stat), size - 2);
    assert_int_equal(message_stat_encode(encoded + 2, &stat), size - 2);
    assert_memory_equal(encoded, bytes, size);
}

/* One value of the configuration. */
static void config_has_the_documented_bytes(void **state)
{
    uint8_t bytes[128];
    uint8_t encoded[128];
    size_t size = hex_decode(
        bytes, sizeof bytes,
        "0000 0100 0100" ORDERS_HEX EMPTY_HEX ORDERS_HEX CURSOR_HEX EMPTY_HEX ORDERS_HEX);
    struct message_config_item item;
    struct message_reader reader;

    (void)state;
    assert_int_equal(message_list_begin(&reader, bytes, size), 0);
    assert_int_equal(message_config_list_next(&reader, &item), 1);
    assert_true(item.needs_restart);
    assert_name(&item.section, "orders");
    assert_name(&item.space, "");
    assert_name(&item.key, "orders");
    assert_name(&item.value, "éb");
    assert_name(&item.fallback, "");
    assert_name(&item.origin, "orders");
    assert_int_equal(message_config_list_next(&reader, &item), 0);
    assert_int_equal(message_config_item_size(&item), size - 4);
    assert_int_equal(message_config_item_encode(encoded, &item), size - 4);
    assert_memory_equal(encoded, bytes + 4, size - 4);
}

/* One request that took long. */
static void a_slow_request_has_the_documented_bytes(void **state)
{
    uint8_t bytes[256];
    uint8_t encoded[256];
    size_t size =
        hex_decode(bytes, sizeof bytes,
                   "0100 0100 0102030405060708 1112131415161718 2122232425262728"
                   "3132333435363738 4142434445464748 5152535455565758"
                   "6162636465666768 7172737475767778 8182838485868788"
                   "91929394 a1a2a3a4 0b00 0600 617070656e64 0200 6575" ORDERS_HEX "0300 c3a962");
    struct message_reader reader;
    struct message_slow item;

    (void)state;
    assert_int_equal(message_list_begin(&reader, bytes, size), 0);
    assert_true(reader.more);
    assert_int_equal(message_slow_list_next(&reader, &item), 1);
    assert_int_equal(item.number, 0x0807060504030201);
    assert_int_equal(item.time_us, 0x1817161514131211);
    assert_int_equal(item.duration_us, 0x2827262524232221);
    assert_int_equal(item.waited_us, 0x3837363534333231);
    assert_int_equal(item.queued_us, 0x4847464544434241);
    assert_int_equal(item.worked_us, 0x5857565554535251);
    assert_int_equal(item.synced_us, 0x6867666564636261);
    assert_int_equal(item.entries, 0x7877767574737271);
    assert_int_equal(item.bytes, 0x8887868584838281);
    assert_int_equal(item.pid, 0x94939291);
    assert_int_equal(item.uid, 0xa4a3a2a1);
    assert_int_equal(item.status, 11);
    assert_name(&item.request, "append");
    assert_name(&item.space, "eu");
    assert_name(&item.topic, "orders");
    assert_name(&item.client, "éb");
    assert_int_equal(message_slow_list_next(&reader, &item), 0);
    assert_int_equal(message_slow_size(&item), size - 4);
    assert_int_equal(message_slow_encode(encoded, &item), size - 4);
    assert_memory_equal(encoded, bytes + 4, size - 4);
}

/* A list has up to 1000 items, and its head takes four bytes of the buffer, that of STATS two. */
static void lists_end_at_1000_items(void **state)
{
    const struct message_cursor_info sent = {.name = NAME("c")};
    size_t item_size = message_cursor_info_size(&sent);
    uint8_t *bytes = malloc(MESSAGE_LIST_HEAD_SIZE + 1001 * item_size);
    struct message_cursor_info info;
    struct message_reader reader;
    uint16_t count;
    uint16_t i;

    (void)state;
    assert_non_null(bytes);
    for (i = 0; i < 1001; i++) {
        message_cursor_info_encode(bytes + MESSAGE_LIST_HEAD_SIZE + i * item_size, &sent);
    }
    for (count = 999; count <= 1001; count++) {
        bytes[MESSAGE_LIST_HEAD_SIZE] = 0xee;
        message_list_head_encode(bytes, true, count);
        assert_int_equal(bytes[MESSAGE_LIST_HEAD_SIZE], 0xee);
        assert_int_equal(
            message_list_begin(&reader, bytes, MESSAGE_LIST_HEAD_SIZE + count * item_size),
            count <= 1000 ? 0 : TUSK_EINVALID);
        for (i = 0; count <= 1000 && i < count; i++) {
            assert_int_equal(message_cursor_list_next(&reader, &info), 1);
        }
        if (count <= 1000) {
            assert_int_equal(message_cursor_list_next(&reader, &info), 0);
        }
    }
    bytes[MESSAGE_STATS_HEAD_SIZE] = 0xee;
    message_stats_head_encode(bytes, 7);
    assert_int_equal(bytes[MESSAGE_STATS_HEAD_SIZE], 0xee);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_have_the_documented_bytes),
        cmocka_unit_test(hello_reply_has_the_documented_bytes),
        cmocka_unit_test(snapshot_reply_has_the_documented_bytes),
        cmocka_unit_test(short_replies_have_the_documented_bytes),
        cmocka_unit_test(read_reply_has_the_documented_bytes),
        cmocka_unit_test(a_place_has_the_documented_bytes),
        cmocka_unit_test(error_has_the_documented_bytes),
        cmocka_unit_test(topic_information_has_the_documented_bytes),
        cmocka_unit_test(cursor_list_has_the_documented_bytes),
        cmocka_unit_test(namespace_list_has_the_documented_bytes),
        cmocka_unit_test(stats_have_the_documented_bytes),
        cmocka_unit_test(config_has_the_documented_bytes),
        cmocka_unit_test(a_slow_request_has_the_documented_bytes),
        cmocka_unit_test(lists_end_at_1000_items),
    };

    return cmocka_run_group_tests_name("message layout", tests, NULL, NULL);
}
