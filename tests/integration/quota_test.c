/* Quotas as clients and operators meet them: who is told what, and who is not held up. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/integration/fixture.h"

#define BLOCK (1u << 20)
#define ENTRY (256u << 10) /* Three of them fill a block */
#define LONG_WAIT "quota_wait=1h"

static void start(struct daemon *daemon, const char *wait)
{
    daemon_start(daemon, "--set", "block_size=1MiB", "--set", "blocks_per_segment=8", "--set",
                 "batch_size_max=512KiB", "--set", "entry_size_max=512KiB", "--set",
                 "journal_file_max=4MiB", "--set", "journal_size_max=32MiB", "--set",
                 "quota_size=4MiB", "--set", wait, NULL);
}

static int set_policy(struct wire *wire, uint64_t policy)
{
    const struct message message = {
        .type = MESSAGE_NAMESPACE_SET,
        .u.namespace_settings = {.name = wire_name(""),
                                 .settings = {.count = 1,
                                              .items = {{SETTING_QUOTA_POLICY, policy}}}},
    };
    struct wire_reply reply;

    return wire_call(wire, &message, &reply);
}

static int set_quota(struct wire *wire, const char *space, uint64_t bytes)
{
    const struct message message = {
        .type = MESSAGE_NAMESPACE_SET,
        .u.namespace_settings = {.name = wire_name(space),
                                 .settings = {.count = 1, .items = {{SETTING_QUOTA_BYTES, bytes}}}},
    };
    struct wire_reply reply;

    return wire_call(wire, &message, &reply);
}

static void fill_quota(struct wire *wire)
{
    unsigned i;

    assert_int_equal(set_policy(wire, 0), 0);
    for (i = 0; wire_append_fill(wire, "t", 'x', ENTRY) == 0; i++) {
        assert_true(i < 100);
    }
}

/* An append that has to wait, sent and not answered. */
static void send_append(struct wire *wire)
{
    static char text[ENTRY];
    const char *const texts[] = {text};
    struct message message;
    uint8_t *bytes;

    memset(text, 'w', sizeof text - 1);
    message = wire_append_message("t", texts, 1, &bytes);
    (void)wire_send(wire, &message);
    free(bytes);
}

/* A refusal names what is used, what is allowed and what to do; the figures come as numbers, too. */
static void a_refusal_has_the_figures(void **state)
{
    struct daemon *daemon = *state;
    struct message_error error;
    struct wire_reply reply;
    struct wire wire;

    start(daemon, "quota_wait=1s");
    wire_open(&wire, daemon->socket, "default");
    fill_quota(&wire);
    send_append(&wire);
    assert_true(wire_receive(&wire, &reply));
    assert_int_equal(reply.status, TUSK_EQUOTA);
    assert_int_equal(message_error_decode(&error, reply.body, reply.size), 0);
    assert_int_equal(error.detail_a, 4 * BLOCK);
    assert_int_equal(error.detail_b, 4 * BLOCK);
    assert_non_null(memmem(error.text.data, error.text.size, "quota of 4194304 bytes", 22));
    wire_close(&wire);
}

/* Who waits for a quota holds up neither another namespace, nor readers and administrators of his own;
 * a trim lets him go on. */
static void a_wait_holds_up_nobody_else(void **state)
{
    struct daemon *daemon = *state;
    struct wire_reply reply;
    struct wire waiting;
    struct wire other;
    struct wire wire;
    unsigned i;

    start(daemon, LONG_WAIT);
    wire_open(&wire, daemon->socket, "default");
    fill_quota(&wire);
    assert_int_equal(set_policy(&wire, 2), 0);
    assert_int_equal(wire_space_create(&wire, "other", 200), 0);
    wire_open(&waiting, daemon->socket, "default");
    wire_open(&other, daemon->socket, "other");
    send_append(&waiting);
    wire_await_stat(&wire, "waiting_appends", 1);
    for (i = 0; i < 8; i++) {
        assert_int_equal(wire_append_one(&other, "t", "x"), 0);
    }
    assert_int_equal(wire_checkpoint(&wire, "t", "c", 1), 0);
    assert_int_equal(wire_simple(&waiting, MESSAGE_PING), 0); /* Not even his own connection */
    {
        const struct message trim = {.type = MESSAGE_TOPIC_TRIM,
                                     .u.topic_trim = {.topic = wire_topic("t"), .offset = 6}};

        assert_int_equal(wire_call(&wire, &trim, &reply), 0);
    }
    assert_true(wire_receive(&waiting, &reply));
    assert_int_equal(reply.status, 0);
    wire_close(&other);
    wire_close(&waiting);
    wire_close(&wire);
}

/* A wait is over when its time is, and when the client goes. */
static void a_wait_ends_with_its_time_or_its_client(void **state)
{
    struct daemon *daemon = *state;
    struct wire_reply reply;
    struct wire waiting;
    struct wire wire;

    start(daemon, "quota_wait=50ms");
    wire_open(&wire, daemon->socket, "default");
    fill_quota(&wire);
    assert_int_equal(set_policy(&wire, 2), 0);
    wire_open(&waiting, daemon->socket, "default");
    send_append(&waiting);
    assert_true(wire_receive(&waiting, &reply));
    assert_int_equal(reply.status, TUSK_EQUOTA);
    wire_close(&waiting);
    wire_close(&wire);
    daemon_stop(daemon);

    start(daemon, LONG_WAIT);
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(set_policy(&wire, 2), 0);
    wire_open(&waiting, daemon->socket, "default");
    send_append(&waiting);
    wire_await_stat(&wire, "waiting_appends", 1);
    wire_close(&waiting);
    wire_await_stat(&wire, "waiting_appends", 0);
    wire_close(&wire);
}

/* What is dropped is told by log and counters, and the policy outlives the daemon. */
static void what_is_dropped_is_told(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;
    unsigned i;

    start(daemon, LONG_WAIT);
    wire_open(&wire, daemon->socket, "default");
    fill_quota(&wire);
    assert_int_equal(set_policy(&wire, 1), 0);
    wire_close(&wire);
    daemon_kill(daemon);
    start(daemon, LONG_WAIT);
    wire_open(&wire, daemon->socket, "default");
    for (i = 0; i < 8; i++) {
        assert_int_equal(wire_append_fill(&wire, "t", 'y', ENTRY), 0);
    }
    assert_true(wire_stat(&wire, "quota_dropped_entries") >= 3);
    assert_true(
        daemon_logged(daemon, "dropped the oldest 3 entries of topic \\\"t\\\", offsets 0 to 3"));
    wire_close(&wire);
}

/* A quota below what is used is taken, and the log says what follows. */
static void a_quota_below_what_is_used_is_told(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;

    start(daemon, LONG_WAIT);
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_space_create(&wire, "ns", 200), 0);
    wire_close(&wire);
    wire_open(&wire, daemon->socket, "ns");
    fill_quota(&wire);
    assert_int_equal(set_quota(&wire, "ns", BLOCK), 0);
    assert_true(daemon_logged(daemon, "uses 4194304 bytes of blocks, 3145728 more than its "
                                      "quota-bytes of 1048576: nothing is lost"));
    assert_int_equal(wire_append_fill(&wire, "t", 'y', ENTRY), TUSK_EQUOTA);
    assert_int_equal(wire_stat(&wire, "quota_dropped_entries"), 0);
    wire_close(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_refusal_has_the_figures),
        FIXTURE_TEST(a_wait_holds_up_nobody_else),
        FIXTURE_TEST(a_wait_ends_with_its_time_or_its_client),
        FIXTURE_TEST(what_is_dropped_is_told),
        FIXTURE_TEST(a_quota_below_what_is_used_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
