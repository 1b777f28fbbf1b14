/* Every request of the protocol, against a real daemon over its socket. */
#include <stdlib.h>
#include <string.h>

#include "tests/integration/fixture.h"

static const char *const three[] = {"one", "", "three"};

static struct message topic_settings(uint16_t type, const char *topic, uint16_t key, uint64_t value)
{
    return (struct message){
        .type = type,
        .u.topic_settings = {.topic = wire_topic(topic),
                             .settings = {.count = 1, .items = {{key, value}}}},
    };
}

static struct message cursor_position(uint16_t type, const char *topic, const char *cursor,
                                      uint16_t kind, uint64_t value)
{
    return (struct message){
        .type = type,
        .u.cursor_position = {.topic = wire_topic(topic),
                              .cursor = wire_name(cursor),
                              .position = {.kind = kind, .value = value}},
    };
}

static struct message_topic_info topic_info(struct wire *wire, const char *topic)
{
    const struct message message = {.type = MESSAGE_TOPIC_INFO, .u.topic = wire_topic(topic)};
    struct message_topic_info info;
    struct wire_reply reply;

    assert_int_equal(wire_call(wire, &message, &reply), 0);
    assert_int_equal(message_topic_info_decode(&info, reply.body, reply.size), 0);
    return info;
}

/* HELLO tells a client what it may do: limits that hold a batch, and which directory this is. */
static void hello_tells_limits_and_identity(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire.hello.version, 1);
    assert_int_equal(wire.hello.features, 0);
    assert_true(wire.hello.batch_size_max > 0);
    assert_true(wire.hello.frame_size_max > wire.hello.batch_size_max);
    assert_true(wire.hello.in_flight_max > 0);
    assert_true(wire.hello.incarnation != 0);
    assert_int_equal(wire.hello.fsync_ms, 200);
    wire_close(&wire);
}

/* An empty namespace in HELLO means "default"; one that does not exist is not created. */
static void hello_never_creates_a_namespace(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;

    wire_open(&wire, daemon->socket, "");
    wire_close(&wire);
    assert_false(wire_try_open(&wire, daemon->socket, "nobody"));
    assert_false(wire_try_open(&wire, daemon->socket, "nobody"));
}

/* What is appended comes back byte for byte, empty entries included, in the order of the batch. */
static void appended_entries_are_read_back(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;
    uint64_t first = 99;

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append(&wire, "t", three, 3, &first), 0);
    assert_int_equal(first, 0);
    assert_int_equal(wire_append_one(&wire, "t", "four"), 0);
    wire_expect_entries(&wire, "t", 0, (const char *const[]){"one", "", "three", "four"}, 4);
    wire_expect_entries(&wire, "t", 2, (const char *const[]){"three", "four"}, 2);
    wire_close(&wire);
}

/* A batch whose bytes changed on the way is refused, and nothing of it is stored. */
static void batch_with_a_flipped_bit_is_refused(void **state)
{
    struct daemon *daemon = *state;
    struct message message;
    struct wire_reply reply;
    struct wire wire;
    uint8_t *bytes;
    int status;

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append_one(&wire, "t", "good"), 0);
    message = wire_append_message("t", three, 3, &bytes);
    bytes[message.u.append.batch_size - 1] ^= 1;
    status = wire_call(&wire, &message, &reply);
    assert_true(status == TUSK_ECORRUPT || status == TUSK_EINVALID);
    free(bytes);
    wire_expect_entries(&wire, "t", 0, (const char *const[]){"good"}, 1);
    wire_close(&wire);
}

/* A producer that does not want topics to appear by themselves says so; a topic id that was never
 * given out is not found either. */
static void append_creates_a_topic_only_if_it_may(void **state)
{
    struct daemon *daemon = *state;
    struct message message;
    struct wire_reply reply;
    struct wire wire;
    uint8_t *bytes;

    wire_open(&wire, daemon->socket, "default");
    message = wire_append_message("t", three, 3, &bytes);
    message.u.append.flags = APPEND_NO_CREATE;
    assert_int_equal(wire_call(&wire, &message, &reply), TUSK_ENOTFOUND);
    message.u.append.topic = (struct message_topic){.id = 4711, .name = wire_name("")};
    message.u.append.flags = 0;
    assert_int_equal(wire_call(&wire, &message, &reply), TUSK_ENOTFOUND);
    message.u.append.topic = wire_topic("t");
    assert_int_equal(wire_call(&wire, &message, &reply), 0);
    free(bytes);
    wire_close(&wire);
}

/* Where the operator wants topics to be made on purpose only, no append makes one. */
static void operator_can_forbid_topics_by_append(void **state)
{
    struct daemon *daemon = *state;
    const struct message create = {.type = MESSAGE_TOPIC_CREATE,
                                   .u.topic_settings = {.topic = wire_topic("t")}};
    struct wire_reply reply;
    struct wire wire;

    daemon_start(daemon, "--set", "create_topics=no", NULL);
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append_one(&wire, "t", "x"), TUSK_ENOTFOUND);
    assert_int_equal(wire_call(&wire, &create, &reply), 0);
    assert_int_equal(wire_append_one(&wire, "t", "x"), 0);
    wire_close(&wire);
}

/* An append that asks for it is answered when it is durable, and the reply shows it. */
static void durable_append_is_durable_when_answered(void **state)
{
    struct daemon *daemon = *state;
    struct message_append_reply result;
    struct message message;
    struct wire_reply reply;
    struct wire wire;
    uint8_t *bytes;

    wire_open(&wire, daemon->socket, "default");
    message = wire_append_message("t", three, 3, &bytes);
    message.u.append.flags = APPEND_DURABLE;
    assert_int_equal(wire_call(&wire, &message, &reply), 0);
    assert_int_equal(message_append_reply_decode(&result, reply.body, reply.size), 0);
    assert_true(result.durable_end >= result.first_offset + 3);
    free(bytes);
    wire_close(&wire);
}

/* After SYNC everything appended before it is durable. */
static void sync_makes_everything_durable(void **state)
{
    struct daemon *daemon = *state;
    struct message_topic_info info;
    struct wire wire;

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append(&wire, "t", three, 3, NULL), 0);
    assert_int_equal(wire_simple(&wire, MESSAGE_SYNC), 0);
    info = topic_info(&wire, "t");
    assert_int_equal(info.end, 3);
    assert_int_equal(info.durable_end, 3);
    assert_int_equal(wire_simple(&wire, MESSAGE_PING), 0);
    wire_close(&wire);
}

/* At the end a read says END and where that is, beyond it INVALID, and of a missing topic NOTFOUND.
 */
static void reads_outside_the_topic_say_why(void **state)
{
    struct daemon *daemon = *state;
    struct message message = wire_read_message("t", 3);
    struct message_error error;
    struct wire_reply reply;
    struct wire wire;

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_call(&wire, &message, &reply), TUSK_ENOTFOUND);
    assert_int_equal(wire_append(&wire, "t", three, 3, NULL), 0);
    assert_int_equal(wire_call(&wire, &message, &reply), TUSK_EEND);
    assert_int_equal(message_error_decode(&error, reply.body, reply.size), 0);
    assert_int_equal(error.detail_a, 3);
    message.u.read.position.value = 4;
    assert_int_equal(wire_call(&wire, &message, &reply), TUSK_EINVALID);
    wire_close(&wire);
}

static void take_last(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    (void)data;
    (void)size;
    *(uint64_t *)arg = offset;
}

/* A peek moves nothing; a read that consumes moves the cursor to the end of what it returned. */
static void consuming_moves_the_cursor_and_peeking_does_not(void **state)
{
    struct daemon *daemon = *state;
    struct message message = wire_read_message("t", 0);
    uint64_t last = UINT64_MAX;
    struct wire_reply reply;
    struct wire wire;

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append(&wire, "t", three, 3, NULL), 0);
    message.u.read.cursor = wire_name("c");
    message.u.read.position = (struct message_position){.kind = POSITION_CURSOR};
    message.u.read.max_entries = 2;
    assert_int_equal(wire_call(&wire, &message, &reply), 0);
    assert_int_equal(wire_cursor(&wire, "t", "c"), UINT64_MAX);
    message.u.read.flags = READ_CONSUME;
    assert_int_equal(wire_call(&wire, &message, &reply), 0);
    wire_entries(&reply, take_last, &last);
    assert_int_equal(last, 1);
    assert_int_equal(wire_cursor(&wire, "t", "c"), 2);
    assert_int_equal(wire_call(&wire, &message, &reply), 0);
    assert_int_equal(wire_call(&wire, &message, &reply), TUSK_EEND);
    wire_close(&wire);
}

/* A checkpoint only moves forward: one that is behind changes nothing and says where the cursor is.
 */
static void checkpoint_moves_forward_only(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append(&wire, "t", three, 3, NULL), 0);
    assert_int_equal(wire_checkpoint(&wire, "t", "", 2), 0);
    assert_int_equal(wire_checkpoint(&wire, "t", "", 1), 0);
    assert_int_equal(wire_cursor(&wire, "t", ""), 2);
    assert_int_equal(wire_checkpoint(&wire, "t", "", 4), TUSK_EINVALID);
    assert_int_equal(wire_cursor(&wire, "t", ""), 2);
    wire_close(&wire);
}

/* A seek moves anywhere and counts the epoch up, so that a checkpoint of before it is STALE. */
static void seek_makes_old_checkpoints_stale(void **state)
{
    struct daemon *daemon = *state;
    struct message seek = cursor_position(MESSAGE_SEEK, "t", "c", POSITION_OFFSET, 1);
    struct message checkpoint = {.type = MESSAGE_CHECKPOINT};
    struct message_cursor_reply before;
    struct message_cursor_reply after;
    struct wire_reply reply;
    struct wire wire;

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append(&wire, "t", three, 3, NULL), 0);
    assert_int_equal(wire_call(&wire, &seek, &reply), 0);
    assert_int_equal(message_cursor_reply_decode(&before, reply.body, reply.size), 0);
    assert_int_equal(wire_call(&wire, &seek, &reply), 0);
    assert_int_equal(message_cursor_reply_decode(&after, reply.body, reply.size), 0);
    assert_int_equal(after.offset, 1);
    assert_true(after.epoch > before.epoch);
    checkpoint.u.checkpoint = (struct message_checkpoint){
        .topic = wire_topic("t"), .cursor = wire_name("c"), .offset = 3, .epoch = before.epoch};
    assert_int_equal(wire_call(&wire, &checkpoint, &reply), TUSK_ESTALE);
    checkpoint.u.checkpoint.epoch = after.epoch;
    assert_int_equal(wire_call(&wire, &checkpoint, &reply), 0);
    wire_close(&wire);
}

/* Cursors can be made, are then there once, and can be deleted. */
static void cursors_are_created_once_and_deleted(void **state)
{
    struct daemon *daemon = *state;
    const struct message create =
        cursor_position(MESSAGE_CURSOR_CREATE, "t", "c", POSITION_LATEST, 0);
    const struct message delete = {
        .type = MESSAGE_CURSOR_DELETE,
        .u.cursor = {.topic = wire_topic("t"), .cursor = wire_name("c")},
    };
    struct wire_reply reply;
    struct wire wire;

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append(&wire, "t", three, 3, NULL), 0);
    assert_int_equal(wire_call(&wire, &create, &reply), 0);
    assert_int_equal(wire_call(&wire, &create, &reply), TUSK_EEXISTS);
    assert_int_equal(wire_cursor(&wire, "t", "c"), 3);
    assert_int_equal(wire_call(&wire, &delete, &reply), 0);
    assert_int_equal(wire_call(&wire, &delete, &reply), TUSK_ENOTFOUND);
    assert_int_equal(wire_cursor(&wire, "t", "c"), UINT64_MAX);
    wire_close(&wire);
}

/* Topics can be made, changed and deleted; a deleted one is gone, and its name is free. */
static void topics_are_created_changed_and_deleted(void **state)
{
    struct daemon *daemon = *state;
    const struct message create =
        topic_settings(MESSAGE_TOPIC_CREATE, "t", SETTING_RETENTION, RETENTION_ALL);
    const struct message set =
        topic_settings(MESSAGE_TOPIC_SET, "t", SETTING_RETENTION, RETENTION_CONSUMED);
    const struct message delete = {.type = MESSAGE_TOPIC_DELETE, .u.topic = wire_topic("t")};
    struct message_topic_info info;
    struct wire_reply reply;
    struct wire wire;

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_call(&wire, &create, &reply), 0);
    assert_int_equal(wire_call(&wire, &create, &reply), TUSK_EEXISTS);
    assert_int_equal(wire_call(&wire, &set, &reply), 0);
    info = topic_info(&wire, "t");
    assert_true(info.settings.count > 0);
    assert_int_equal(info.settings.items[0].key, SETTING_RETENTION);
    assert_int_equal(info.settings.items[0].value, RETENTION_CONSUMED);
    assert_int_equal(wire_append_one(&wire, "t", "gone"), 0);
    assert_int_equal(wire_call(&wire, &delete, &reply), 0);
    assert_int_equal(wire_call(&wire, &delete, &reply), TUSK_ENOTFOUND);
    assert_int_equal(wire_append_one(&wire, "t", "new"), 0);
    wire_expect_entries(&wire, "t", 0, (const char *const[]){"new"}, 1);
    wire_close(&wire);
}

/* What was trimmed is answered TRIMMED, with the first offset that is kept. */
static void trimmed_entries_are_gone_and_said_to_be(void **state)
{
    struct daemon *daemon = *state;
    struct message read = wire_read_message("t", 0);
    const struct message trim = {
        .type = MESSAGE_TOPIC_TRIM,
        .u.topic_trim = {.topic = wire_topic("t"), .offset = 2},
    };
    struct message_error error;
    struct wire_reply reply;
    struct wire wire;

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append(&wire, "t", three, 3, NULL), 0);
    assert_int_equal(wire_call(&wire, &trim, &reply), 0);
    assert_int_equal(wire_call(&wire, &read, &reply), TUSK_ETRIMMED);
    assert_int_equal(message_error_decode(&error, reply.body, reply.size), 0);
    assert_int_equal(error.detail_a, 2);
    wire_expect_entries(&wire, "t", 2, (const char *const[]){"three"}, 1);
    wire_close(&wire);
}

/* A list is cut where the client wants it, says that there is more, and continues behind a name. */
static void topic_list_continues_behind_a_name(void **state)
{
    struct daemon *daemon = *state;
    struct message list = {.type = MESSAGE_TOPIC_LIST,
                           .u.list = {.max = 2, .after = wire_name("")}};
    struct message_topic_info item;
    struct message_reader reader;
    struct wire_reply reply;
    struct wire wire;

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append_one(&wire, "b", "x"), 0);
    assert_int_equal(wire_append_one(&wire, "c", "x"), 0);
    assert_int_equal(wire_append_one(&wire, "a", "x"), 0);
    assert_int_equal(wire_call(&wire, &list, &reply), 0);
    assert_int_equal(message_list_begin(&reader, reply.body, reply.size), 0);
    assert_true(reader.more);
    assert_int_equal(message_topic_list_next(&reader, &item), 1);
    assert_memory_equal(item.name.data, "a", 1);
    assert_int_equal(message_topic_list_next(&reader, &item), 1);
    assert_memory_equal(item.name.data, "b", 1);
    assert_int_equal(message_topic_list_next(&reader, &item), 0);
    list.u.list.after = wire_name("b");
    assert_int_equal(wire_call(&wire, &list, &reply), 0);
    assert_int_equal(message_list_begin(&reader, reply.body, reply.size), 0);
    assert_false(reader.more);
    assert_int_equal(reader.count, 1);
    wire_close(&wire);
}

/* Namespaces can be made, are listed, can be changed, and be deleted when nobody else uses them. */
static void namespaces_are_created_listed_and_deleted(void **state)
{
    struct daemon *daemon = *state;
    const struct message list = {.type = MESSAGE_NAMESPACE_LIST,
                                 .u.list = {.max = 10, .after = wire_name("")}};
    const struct message delete = {.type = MESSAGE_NAMESPACE_DELETE, .u.name = wire_name("eu")};
    struct message_reader reader;
    struct wire_reply reply;
    struct wire wire;
    struct wire user;

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_space_create(&wire, "eu", 0), 0);
    assert_int_equal(wire_space_create(&wire, "eu", 0), TUSK_EEXISTS);
    assert_int_equal(wire_call(&wire, &list, &reply), 0);
    assert_int_equal(message_list_begin(&reader, reply.body, reply.size), 0);
    assert_int_equal(reader.count, 2);
    wire_open(&user, daemon->socket, "eu");
    assert_int_equal(user.hello.fsync_ms, 0);
    assert_int_equal(wire_call(&wire, &delete, &reply), TUSK_EBUSY);
    assert_int_equal(wire_call(&user, &delete, &reply), 0);
    assert_int_equal(wire_append_one(&user, "t", "x"), TUSK_ENOTFOUND);
    assert_int_equal(wire_call(&wire, &delete, &reply), TUSK_ENOTFOUND);
    wire_close(&user);
    wire_close(&wire);
}

/* A delete that is refused, because somebody else uses the namespace too, takes nothing from who asked. */
static void refused_delete_leaves_the_namespace(void **state)
{
    struct daemon *daemon = *state;
    const struct message delete = {.type = MESSAGE_NAMESPACE_DELETE, .u.name = wire_name("eu")};
    struct wire_reply reply;
    struct wire wire;
    struct wire user;
    struct wire other;

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_space_create(&wire, "eu", 0), 0);
    wire_open(&user, daemon->socket, "eu");
    wire_open(&other, daemon->socket, "eu");
    assert_int_equal(wire_call(&user, &delete, &reply), TUSK_EBUSY);
    assert_int_equal(wire_append_one(&user, "t", "x"), 0);
    /* Nor does it let the other one delete what this one still uses. */
    assert_int_equal(wire_call(&other, &delete, &reply), TUSK_EBUSY);
    wire_close(&other);
    wire_close(&user);
    wire_close(&wire);
}

/* A namespace's schedule can be changed while it is in use; the next HELLO says so. */
static void namespace_settings_change(void **state)
{
    struct daemon *daemon = *state;
    const struct message set = {
        .type = MESSAGE_NAMESPACE_SET,
        .u.namespace_settings = {.name = wire_name(""),
                                 .settings = {.count = 1, .items = {{SETTING_FSYNC, 0}}}},
    };
    struct wire_reply reply;
    struct wire wire;

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_call(&wire, &set, &reply), 0);
    wire_close(&wire);
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire.hello.fsync_ms, 0);
    assert_int_equal(wire_append_one(&wire, "t", "x"), 0);
    wire_close(&wire);
}

/* Two namespaces share nothing: a topic of the same name has its own entries, offsets and cursors.
 */
static void namespaces_share_nothing(void **state)
{
    struct daemon *daemon = *state;
    struct wire one;
    struct wire two;

    wire_open(&one, daemon->socket, "default");
    assert_int_equal(wire_space_create(&one, "eu", 200), 0);
    wire_open(&two, daemon->socket, "eu");
    assert_int_equal(wire_append(&one, "t", three, 3, NULL), 0);
    assert_int_equal(wire_append_one(&two, "t", "other"), 0);
    assert_int_equal(wire_checkpoint(&one, "t", "c", 3), 0);
    assert_int_equal(wire_cursor(&two, "t", "c"), UINT64_MAX);
    wire_expect_entries(&one, "t", 0, three, 3);
    wire_expect_entries(&two, "t", 0, (const char *const[]){"other"}, 1);
    assert_true(memcmp(one.hello.store_id, two.hello.store_id, 16) != 0);
    wire_close(&one);
    wire_close(&two);
}

/* STATS shows what the daemon does. */
static void stats_count_connections_and_requests(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_simple(&wire, MESSAGE_PING), 0);
    assert_int_equal(wire_stat(&wire, "connections"), 1);
    assert_true(wire_stat(&wire, "requests") >= 3);
    wire_close(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_RUNNING_TEST(hello_tells_limits_and_identity),
        FIXTURE_RUNNING_TEST(hello_never_creates_a_namespace),
        FIXTURE_RUNNING_TEST(appended_entries_are_read_back),
        FIXTURE_RUNNING_TEST(batch_with_a_flipped_bit_is_refused),
        FIXTURE_RUNNING_TEST(append_creates_a_topic_only_if_it_may),
        FIXTURE_TEST(operator_can_forbid_topics_by_append),
        FIXTURE_RUNNING_TEST(durable_append_is_durable_when_answered),
        FIXTURE_RUNNING_TEST(sync_makes_everything_durable),
        FIXTURE_RUNNING_TEST(reads_outside_the_topic_say_why),
        FIXTURE_RUNNING_TEST(consuming_moves_the_cursor_and_peeking_does_not),
        FIXTURE_RUNNING_TEST(checkpoint_moves_forward_only),
        FIXTURE_RUNNING_TEST(seek_makes_old_checkpoints_stale),
        FIXTURE_RUNNING_TEST(cursors_are_created_once_and_deleted),
        FIXTURE_RUNNING_TEST(topics_are_created_changed_and_deleted),
        FIXTURE_RUNNING_TEST(trimmed_entries_are_gone_and_said_to_be),
        FIXTURE_RUNNING_TEST(topic_list_continues_behind_a_name),
        FIXTURE_RUNNING_TEST(namespaces_are_created_listed_and_deleted),
        FIXTURE_RUNNING_TEST(refused_delete_leaves_the_namespace),
        FIXTURE_RUNNING_TEST(namespace_settings_change),
        FIXTURE_RUNNING_TEST(namespaces_share_nothing),
        FIXTURE_RUNNING_TEST(stats_count_connections_and_requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
