/* Snapshots over the socket: who may take one, and that nothing stays held when it is over, however it ends. */
#include <string.h>

#include "tests/integration/fixture.h"

static int ask(struct wire *wire, uint16_t type)
{
    const struct message message = {.type = type};
    struct wire_reply reply;

    return wire_call(wire, &message, &reply);
}

/* The reply names files that are there, and by an absolute path where they are. */
static void the_reply_says_what_to_copy(void **state)
{
    struct daemon *daemon = *state;
    const struct message begin = {.type = MESSAGE_SNAPSHOT_BEGIN};
    struct message_snapshot_reply said;
    struct wire_reply reply;
    struct wire wire;

    daemon_start(daemon, NULL);
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append_one(&wire, "t", "x"), 0);
    assert_int_equal(wire_call(&wire, &begin, &reply), 0);
    assert_int_equal(message_snapshot_reply_decode(&said, reply.body, reply.size), 0);
    assert_int_equal(said.root.data[0], '/');
    assert_int_equal(said.dir.size, strlen("ns/default"));
    assert_memory_equal(said.dir.data, "ns/default", said.dir.size);
    assert_true(said.manifest_first <= said.manifest_last);
    assert_true(said.journal_first <= said.journal_last);
    assert_true(said.journal_used >= 4096);
    assert_true(said.segments_end > 0);
    assert_int_equal(ask(&wire, MESSAGE_SNAPSHOT_END), 0);
    wire_close(&wire);
}

/* One at a time; END is for who has begun; and with the connection it ends. */
static void it_ends_with_its_connection(void **state)
{
    struct daemon *daemon = *state;
    struct wire first;
    struct wire second;

    daemon_start(daemon, NULL);
    wire_open(&first, daemon->socket, "default");
    wire_open(&second, daemon->socket, "default");
    assert_int_equal(ask(&second, MESSAGE_SNAPSHOT_END), TUSK_EINVALID);
    assert_int_equal(ask(&first, MESSAGE_SNAPSHOT_BEGIN), 0);
    assert_int_equal(ask(&first, MESSAGE_SNAPSHOT_BEGIN), TUSK_EBUSY);
    assert_int_equal(ask(&second, MESSAGE_SNAPSHOT_BEGIN), TUSK_EBUSY);
    assert_int_equal(ask(&second, MESSAGE_SNAPSHOT_END), TUSK_EINVALID);
    wire_await_stat(&second, "held", 1);
    wire_close(&first);
    wire_await_stat(&second, "held", 0);
    assert_true(daemon_logged(daemon, "went without ending it"));
    assert_int_equal(ask(&second, MESSAGE_SNAPSHOT_BEGIN), 0);
    assert_int_equal(ask(&second, MESSAGE_SNAPSHOT_END), 0);
    assert_int_equal(ask(&second, MESSAGE_SNAPSHOT_END), TUSK_EINVALID);
    wire_close(&second);
}

/* Who copies says nothing meanwhile, and is not idle; others are. */
static void who_copies_is_not_idle(void **state)
{
    struct daemon *daemon = *state;
    struct wire copier;
    struct wire idle;

    daemon_start(daemon, "--set", "idle_timeout=3s", NULL);
    wire_open(&copier, daemon->socket, "default");
    assert_int_equal(ask(&copier, MESSAGE_SNAPSHOT_BEGIN), 0);
    wire_open(&idle, daemon->socket, "default");
    (void)wire_expect_closed(&idle); /* It was asked later, and has had its time */
    assert_int_equal(ask(&copier, MESSAGE_SNAPSHOT_END), 0);
    wire_close(&copier);
    wire_close(&idle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(the_reply_says_what_to_copy),
        FIXTURE_TEST(it_ends_with_its_connection),
        FIXTURE_TEST(who_copies_is_not_idle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
