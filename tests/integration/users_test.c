/* Limits of a user: what one takes is not missed by another, and never by an administrator. Only root
 * can connect as others; without it these are skipped. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/fixture.h"

#define ALICE 4001u
#define BOB 4002u
#define CAROL 4003u /* She administers a namespace */

static void start(struct daemon *daemon, const char *limits)
{
    char path[DAEMON_PATH_SIZE + 16];
    FILE *file;

    if (geteuid() != 0) {
        print_message("SKIP: only root can become somebody else\n");
        skip();
    }
    (void)snprintf(path, sizeof path, "%s/tuskd.conf", daemon->dir);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fprintf(file,
                        "[server]\n%s\n[defaults]\nallow = anyone read,append\n"
                        "[namespace \"hers\"]\nallow = user:4003 admin; anyone read,append\n",
                        limits) > 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(daemon->dir, 0711), 0); /* Others find the socket */
    daemon_start(daemon, "--config", path, NULL);
}

/* A connection made as somebody else, by this process, and not introduced yet. */
static void connect_as(struct wire *wire, const struct daemon *daemon, uid_t uid)
{
    assert_int_equal(seteuid(uid), 0);
    assert_true(wire_try_open(wire, daemon->socket, NULL));
    assert_int_equal(seteuid(0), 0);
}

static void open_as(struct wire *wire, const struct daemon *daemon, uid_t uid)
{
    connect_as(wire, daemon, uid);
    assert_int_equal(wire_hello(wire, "default"), 0);
}

/* The status of a request, and that its sentence has these words. */
static void expect_refusal(const struct wire_reply *reply, int status, const char *words)
{
    struct message_error error;

    assert_int_equal(reply->status, status);
    assert_int_equal(message_error_decode(&error, reply->body, reply->size), 0);
    if (memmem(error.text.data, error.text.size, words, strlen(words)) == NULL) {
        fail_msg("\"%.*s\" lacks \"%s\"", (int)error.text.size, error.text.data, words);
    }
}

static void hello_is_refused(struct wire *wire, const char *words)
{
    const struct message hello = {
        .type = MESSAGE_HELLO,
        .u.hello = {.version_min = 1, .version_max = 1, .space = wire_name("default")},
    };
    struct wire_reply reply;

    assert_true(wire_send(wire, &hello) != 0);
    assert_true(wire_receive(wire, &reply));
    expect_refusal(&reply, TUSK_EBUSY, words);
    (void)wire_expect_closed(wire);
    wire_close(wire);
}

/* A connection that is paused is asked again in every turn, and counted each time. */
static void await_pause(struct wire *wire)
{
    const uint64_t end = daemon_now_ms() + DAEMON_WAIT_MS;

    while (wire_stat(wire, "pauses") == 0) {
        assert_true(daemon_now_ms() < end);
        (void)usleep(2000);
    }
}

static void send_waiting_read(struct wire *wire, const char *topic)
{
    struct message message = wire_read_message(topic, 1);

    message.u.read.wait_ms = WIRE_WAIT_MS;
    message.u.read.max_bytes = 1u << 20;
    assert_true(wire_send(wire, &message) != 0);
}

/* One connection too many is refused with the limit's name and value; those of others are not
 * affected, and when one is closed another may come. */
static void connections_of_one_user_are_limited(void **state)
{
    struct daemon *daemon = *state;
    struct wire alice[3];
    struct wire more;
    struct wire bob;
    struct wire root;
    unsigned i;

    start(daemon, "user_connections_max = 3");
    wire_open(&root, daemon->socket, "default");
    for (i = 0; i < 3; i++) {
        open_as(&alice[i], daemon, ALICE);
    }
    connect_as(&more, daemon, ALICE);
    hello_is_refused(&more, "user id 4001 has 3 connections, and user_connections_max is 3");
    open_as(&bob, daemon, BOB);
    assert_int_equal(wire_append_one(&bob, "t", "x"), 0);
    wire_close(&alice[1]);
    wire_await_stat(&root, "connections", 4);
    open_as(&alice[1], daemon, ALICE);
    assert_int_equal(wire_stat(&alice[1], "user_connections"), 3);
    assert_int_equal(wire_stat(&alice[1], "user_connections_max"), 3);
    for (i = 0; i < 3; i++) {
        wire_close(&alice[i]);
    }
    wire_close(&bob);
    wire_close(&root);
}

/* However many users take all they can get, who administers comes in. */
static void administrators_are_not_locked_out(void **state)
{
    struct daemon *daemon = *state;
    struct wire theirs[12];
    struct wire more;
    struct wire carol;
    struct wire root;
    unsigned i;

    start(daemon, "connections_max = 16\nadmin_connections = 4");
    for (i = 0; i < 12; i++) {
        open_as(&theirs[i], daemon, ALICE + i % 2); /* And bob */
    }
    connect_as(&more, daemon, BOB);
    hello_is_refused(&more, "connections_max is 16, of which admin_connections keeps 4");
    wire_open(&root, daemon->socket, "default");
    open_as(&carol, daemon, CAROL);
    assert_int_equal(wire_append_one(&carol, "t", "x"), 0);
    assert_int_equal(wire_simple(&root, MESSAGE_SYNC), 0);
    for (i = 0; i < 12; i++) {
        wire_close(&theirs[i]);
    }
    wire_await_stat(&root, "connections", 2);
    open_as(&more, daemon, BOB);
    wire_close(&more);
    wire_close(&carol);
    wire_close(&root);
}

/* Those that are turned away and say nothing do not take the last connections either. */
static void who_is_turned_away_takes_no_room(void **state)
{
    struct daemon *daemon = *state;
    struct wire silent[20];
    struct wire theirs[12];
    struct wire root[2];
    unsigned i;

    start(daemon, "connections_max = 16\nadmin_connections = 4");
    for (i = 0; i < 12; i++) {
        open_as(&theirs[i], daemon, ALICE);
    }
    for (i = 0; i < 20; i++) {
        connect_as(&silent[i], daemon, ALICE);
    }
    for (i = 0; i < 2; i++) {
        wire_open(&root[i], daemon->socket, "default");
        assert_int_equal(wire_simple(&root[i], MESSAGE_PING), 0);
    }
    assert_true(daemon_logged(daemon, "all connections are taken"));
    for (i = 0; i < 20; i++) {
        wire_close(&silent[i]);
    }
    for (i = 0; i < 12; i++) {
        wire_close(&theirs[i]);
    }
    wire_close(&root[0]);
    wire_close(&root[1]);
}

/* One waiting read too many is refused; others are not, and when one has ended another may wait. */
static void waiting_reads_of_one_user_are_limited(void **state)
{
    struct daemon *daemon = *state;
    struct wire_reply reply;
    struct wire alice[3];
    struct wire root;
    struct wire bob;
    unsigned i;

    start(daemon, "user_waits_max = 2");
    wire_open(&root, daemon->socket, "default");
    assert_int_equal(wire_append_one(&root, "a", "x"), 0);
    assert_int_equal(wire_append_one(&root, "b", "x"), 0);
    for (i = 0; i < 3; i++) {
        open_as(&alice[i], daemon, ALICE);
    }
    send_waiting_read(&alice[0], "a");
    send_waiting_read(&alice[1], "b");
    wire_await_stat(&alice[2], "user_waits", 2);
    send_waiting_read(&alice[2], "a");
    assert_true(wire_receive(&alice[2], &reply));
    expect_refusal(&reply, TUSK_EBUSY, "has 2 reads that wait, and user_waits_max is 2");
    open_as(&bob, daemon, BOB);
    send_waiting_read(&bob, "a");
    assert_int_equal(wire_append_one(&root, "b", "y"), 0);
    assert_true(wire_receive(&alice[1], &reply));
    assert_int_equal(reply.status, 0);
    send_waiting_read(&alice[2], "a");
    wire_await_stat(&alice[1], "user_waits", 2);
    wire_close(&alice[0]); /* It waits no more when its connection is gone */
    wire_await_stat(&alice[1], "user_waits", 1);
    wire_close(&alice[1]);
    wire_close(&alice[2]);
    wire_close(&bob);
    wire_close(&root);
}

/* One new topic too many is refused; topics that are there, other users, and administrators go on. */
static void topics_of_one_user_are_limited(void **state)
{
    static const char *const texts[] = {"x"};
    struct daemon *daemon = *state;
    struct message message;
    struct wire_reply reply;
    struct wire alice;
    struct wire carol;
    struct wire bob;
    uint8_t *bytes;

    start(daemon, "user_topics_max = 2");
    open_as(&alice, daemon, ALICE);
    assert_int_equal(wire_append_one(&alice, "a", "x"), 0);
    assert_int_equal(wire_append_one(&alice, "b", "x"), 0);
    message = wire_append_message("c", texts, 1, &bytes);
    (void)wire_call(&alice, &message, &reply);
    free(bytes);
    expect_refusal(&reply, TUSK_EBUSY, "made 2 topics within an hour, and user_topics_max is 2");
    assert_int_equal(wire_append_one(&alice, "a", "y"), 0);
    assert_int_equal(wire_stat(&alice, "user_topics"), 2);
    wire_close(&alice);
    open_as(&alice, daemon, ALICE); /* It is remembered */
    assert_int_equal(wire_append_one(&alice, "c", "x"), TUSK_EBUSY);
    open_as(&bob, daemon, BOB);
    assert_int_equal(wire_append_one(&bob, "c", "x"), 0);
    assert_int_equal(wire_append_one(&alice, "c", "y"), 0);
    open_as(&carol, daemon, CAROL);
    assert_int_equal(wire_append_one(&carol, "d", "x"), 0);
    assert_int_equal(wire_append_one(&carol, "e", "x"), 0);
    assert_int_equal(wire_append_one(&carol, "f", "x"), 0);
    wire_close(&alice);
    wire_close(&bob);
    wire_close(&carol);
}

/* Who has too much in flight is not read from, on any connection; others are. It goes on when what
 * is in flight has ended. */
static void bytes_of_one_user_are_limited(void **state)
{
    struct daemon *daemon = *state;
    const struct message ping = {.type = MESSAGE_PING};
    struct wire_reply reply;
    struct wire waiting;
    struct wire alice;
    struct wire root;
    struct wire bob;
    unsigned i;

    start(daemon, "user_bytes_max = 1MiB");
    wire_open(&root, daemon->socket, "default");
    assert_int_equal(wire_append_one(&root, "t", "x"), 0);
    open_as(&waiting, daemon, ALICE);
    open_as(&alice, daemon, ALICE);
    for (i = 0; i < 16; i++) { /* 64 KiB each */
        send_waiting_read(&waiting, "t");
    }
    wire_await_stat(&root, "read_waits", 16);
    assert_true(wire_send(&alice, &ping) != 0);
    await_pause(&root);
    assert_false(wire_readable(&alice, 0));
    open_as(&bob, daemon, BOB);
    assert_int_equal(wire_append_one(&bob, "u", "x"), 0);
    assert_int_equal(wire_append_one(&root, "t", "y"), 0);
    for (i = 0; i < 16; i++) {
        assert_true(wire_receive(&waiting, &reply));
        assert_int_equal(reply.status, 0);
    }
    assert_true(wire_receive(&alice, &reply));
    assert_int_equal(reply.status, 0);
    wire_close(&waiting);
    wire_close(&alice);
    wire_close(&bob);
    wire_close(&root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(connections_of_one_user_are_limited),
        FIXTURE_TEST(administrators_are_not_locked_out),
        FIXTURE_TEST(who_is_turned_away_takes_no_room),
        FIXTURE_TEST(waiting_reads_of_one_user_are_limited),
        FIXTURE_TEST(topics_of_one_user_are_limited),
        FIXTURE_TEST(bytes_of_one_user_are_limited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
