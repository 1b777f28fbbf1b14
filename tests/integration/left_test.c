/* Clients that go without giving back what they leased: killed, alive without a connection, over the
 * end of the daemon and of the namespace. */
#include "tests/integration/leases.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEFT_MAX 256u /* Connections whose process is watched: DEPARTED_MAX of server/limits.h */

/* A client in a process of its own, told by a byte each what to do next. */
struct child {
    pid_t pid;
    int orders;  /* Written by the test */
    int answers; /* Written by the child */
};

typedef void child_fn(const struct daemon *daemon, const char *space, int orders, int answers);

static void start_child(struct child *child, child_fn *body, const struct daemon *daemon,
                        const char *space)
{
    int orders[2];
    int answers[2];

    assert_int_equal(pipe2(orders, O_CLOEXEC), 0);
    assert_int_equal(pipe2(answers, O_CLOEXEC), 0);
    child->pid = fork();
    assert_true(child->pid >= 0);
    if (child->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)close(orders[1]);
        (void)close(answers[0]);
        body(daemon, space, orders[0], answers[1]);
        _exit(0);
    }
    (void)close(orders[0]);
    (void)close(answers[1]);
    child->orders = orders[1];
    child->answers = answers[0];
}

static void say(int fd)
{
    wire_need(write(fd, "x", 1) == 1, "a child cannot be told");
}

static void hear(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    char byte;

    wire_need(poll(&wait, 1, DAEMON_WAIT_MS) == 1, "a child says nothing");
    wire_need(read(fd, &byte, 1) == 1, "a child ends early");
}

static void expect_end(struct child *child, int signal_number)
{
    int status;

    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    if (signal_number != 0) {
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), signal_number);
    } else {
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    (void)close(child->orders);
    (void)close(child->answers);
}

/* Lease a block and wait. */
static void hold(const struct daemon *daemon, const char *space, int orders, int answers)
{
    struct wire wire;

    (void)lease_open(&wire, daemon, space, LEASE_FEATURES);
    (void)lease_read_place(&wire, 0);
    say(answers);
    hear(orders);
}

/* Lease a block, close the connection, and see twice that it is as it was. */
static void leave(const struct daemon *daemon, const char *space, int orders, int answers)
{
    struct wire wire;
    struct lease_got got;
    const uint8_t *base;
    static uint8_t copy[LEASE_BLOCK_SIZE];

    (void)lease_open(&wire, daemon, space, LEASE_FEATURES);
    got = lease_read_place(&wire, 0);
    base = lease_map(&got);
    wire_need(got.reply.place.size <= sizeof copy, "a place is larger than a block");
    memcpy(copy, lease_batches(base, &got), got.reply.place.size);
    (void)close(got.fd);
    wire_close(&wire);
    say(answers);
    hear(orders);
    wire_need(memcmp(copy, lease_batches(base, &got), got.reply.place.size) == 0,
              "a leased block changed");
    wire_need(lease_generation(base, &got) == got.reply.generation, "a leased block is another's");
    say(answers);
    hear(orders);
}

/* What a client that is killed had leased is given back, and used again. */
static void a_killed_client_gives_its_blocks_back(void **state)
{
    struct daemon *daemon = *state;
    struct child child;
    struct wire good;

    wire_open(&good, daemon->socket, "default");
    lease_fill_blocks(&good, "t", 1);
    start_child(&child, hold, daemon, "default");
    hear(child.answers);
    assert_int_equal(wire_stat(&good, "leases"), 1);
    assert_int_equal(lease_trim(&good, "t", LEASE_BLOCK_ENTRIES), 0);
    lease_expect_held(&good, 1);
    assert_int_equal(kill(child.pid, SIGKILL), 0);
    expect_end(&child, SIGKILL);
    lease_await(&good, "leases", 0);
    lease_await(&good, "leases_left_behind", 0);
    lease_await(&good, "blocks_freeing", 0);
    assert_int_equal(wire_stat(&good, "blocks_retired"), 0);
    wire_close(&good);
}

/* A process that closes its connection and lives may still read what it has mapped: its leases are
 * kept until it ends. */
static void a_process_that_lives_keeps_what_it_leased(void **state)
{
    struct daemon *daemon = *state;
    struct child child;
    struct wire good;

    wire_open(&good, daemon->socket, "default");
    lease_fill_blocks(&good, "t", 1);
    start_child(&child, leave, daemon, "default");
    hear(child.answers);
    lease_await(&good, "leases_left_behind", 1);
    assert_int_equal(wire_stat(&good, "leases"), 0);
    assert_int_equal(lease_trim(&good, "t", LEASE_BLOCK_ENTRIES), 0);
    lease_expect_held(&good, 1);
    lease_fill_blocks(&good, "more", 12);
    say(child.orders);
    hear(child.answers); /* It has looked */
    assert_int_equal(wire_stat(&good, "leases_left_behind"), 1);
    assert_int_equal(wire_stat(&good, "blocks_freeing"), 1);
    say(child.orders);
    expect_end(&child, 0);
    lease_await(&good, "leases_left_behind", 0);
    lease_await(&good, "blocks_freeing", 0);
    wire_close(&good);
}

/* A daemon that takes one request after the other. */
static void start_patient(struct daemon *daemon)
{
    const char *arguments[DAEMON_ARGUMENTS_MAX] = {"--set", "requests_max=1"};
    unsigned i;

    for (i = 0; lease_options[i] != NULL; i++) {
        arguments[i + 2] = lease_options[i];
    }
    daemon_stop(daemon);
    daemon_start_with(daemon, arguments);
}

/* Tell a daemon that does not run: an append, whose reply nobody takes, and that all leases are
 * given back. */
static void leave_words_behind(struct daemon *daemon, struct wire *wire)
{
    const char *text = "last";
    const struct message farewell = {.type = MESSAGE_RELEASE, .u.release = {.count = 0}};
    struct message append;
    uint8_t *bytes;

    assert_int_equal(kill(daemon->pid, SIGSTOP), 0);
    assert_int_equal(waitpid(daemon->pid, NULL, WUNTRACED), daemon->pid);
    append = wire_append_message("t", &text, 1, &bytes);
    assert_int_not_equal(wire_send(wire, &append), 0);
    assert_int_not_equal(wire_send(wire, &farewell), 0);
    wire_close(wire);
    free(bytes);
    assert_int_equal(kill(daemon->pid, SIGCONT), 0);
}

/* A client gives everything back and goes, while the daemon still owes it a reply. That the reply
 * cannot be sent any more does not keep the daemon from reading what came before the end. */
static void what_a_client_gives_back_last_is_taken(void **state)
{
    struct daemon *daemon = *state;
    struct lease_got got;
    struct wire good;
    struct wire wire;

    start_patient(daemon);
    wire_open(&good, daemon->socket, "default");
    lease_fill_blocks(&good, "t", 1);
    (void)lease_open(&wire, daemon, "default", LEASE_FEATURES);
    got = lease_read_place(&wire, 0);
    assert_int_equal(close(got.fd), 0);
    assert_int_equal(wire_stat(&good, "leases"), 1);
    leave_words_behind(daemon, &wire);
    lease_await(&good, "leases", 0);
    assert_int_equal(wire_stat(&good, "leases_left_behind"), 0);
    lease_await(&good, "connections", 1);
    wire_close(&good);
}

/* Leave one lease after the other behind, each by a connection of its own, and wait. */
static void leave_often(const struct daemon *daemon, const char *space, int orders, int answers)
{
    unsigned i;

    for (i = 0; i <= LEFT_MAX; i++) {
        struct wire wire;

        (void)lease_open(&wire, daemon, space, LEASE_FEATURES);
        (void)close(lease_read_place(&wire, 0).fd);
        wire_close(&wire);
    }
    say(answers);
    hear(orders);
}

/* Only so many connections that left are watched. What others leave is not used again before the
 * next start, also when their process has ended; then it is. */
static void what_cannot_be_watched_is_kept_until_the_next_start(void **state)
{
    struct daemon *daemon = *state;
    struct child child;
    struct wire good;

    wire_open(&good, daemon->socket, "default");
    lease_fill_blocks(&good, "t", 1);
    start_child(&child, leave_often, daemon, "default");
    hear(child.answers);
    lease_await(&good, "blocks_retired", 1);
    assert_int_equal(wire_stat(&good, "leases_left_behind"), LEFT_MAX);
    assert_true(daemon_logged(daemon, "not used again until the next start"));
    assert_int_equal(lease_trim(&good, "t", LEASE_BLOCK_ENTRIES), 0);
    say(child.orders);
    expect_end(&child, 0);
    lease_await(&good, "leases_left_behind", 0);
    lease_expect_held(&good, 1);
    wire_close(&good);
    daemon_stop(daemon);
    daemon_start_with(daemon, lease_options);
    wire_open(&good, daemon->socket, "default");
    lease_await(&good, "blocks_freeing", 0);
    wire_close(&good);
}

/* A daemon ends cleanly, and starts again, while leases are held and others were left behind. */
static void a_daemon_stops_while_blocks_are_leased(void **state)
{
    struct daemon *daemon = *state;
    struct child holds;
    struct child left;
    struct wire good;

    wire_open(&good, daemon->socket, "default");
    lease_fill_blocks(&good, "t", 1);
    start_child(&left, leave, daemon, "default");
    hear(left.answers);
    start_child(&holds, hold, daemon, "default");
    hear(holds.answers);
    lease_await(&good, "leases_left_behind", 1);
    assert_int_equal(wire_stat(&good, "leases"), 1);
    wire_close(&good);
    daemon_stop(daemon);
    daemon_start_with(daemon, lease_options);
    wire_open(&good, daemon->socket, "default");
    assert_int_equal(wire_stat(&good, "leases"), 0);
    assert_int_equal(wire_stat(&good, "leases_left_behind"), 0);
    say(left.orders);
    hear(left.answers);
    say(left.orders);
    expect_end(&left, 0);
    say(holds.orders);
    expect_end(&holds, 0);
    wire_close(&good);
}

static int delete_space(struct wire *wire, const char *name)
{
    const struct message message = {.type = MESSAGE_NAMESPACE_DELETE, .u.name = wire_name(name)};
    struct wire_reply reply;

    return wire_call(wire, &message, &reply);
}

/* A namespace may be deleted while a process that left still reads blocks of it: the process sees
 * what it saw, the leases are nothing any more, and the daemon goes on, also when the process
 * ends. */
static void a_namespace_is_deleted_under_those_who_left(void **state)
{
    struct daemon *daemon = *state;
    struct child child;
    struct wire other;
    struct wire wire;

    wire_open(&other, daemon->socket, "default");
    assert_int_equal(wire_space_create(&other, "eu", UINT64_MAX), 0);
    wire_open(&wire, daemon->socket, "eu");
    lease_fill_blocks(&wire, "t", 1);
    wire_close(&wire);
    start_child(&child, leave, daemon, "eu");
    hear(child.answers);
    lease_await(&other, "leases_left_behind", 1);
    assert_int_equal(delete_space(&other, "eu"), 0);
    assert_int_equal(wire_stat(&other, "leases_left_behind"), 0);
    lease_fill_blocks(&other, "t", 4);
    say(child.orders);
    hear(child.answers); /* It has looked */
    say(child.orders);
    expect_end(&child, 0);
    assert_int_equal(wire_space_create(&other, "eu", UINT64_MAX), 0);
    lease_work(&other);
    assert_int_equal(wire_stat(&other, "leases"), 0);
    wire_close(&other);
}

/* A connection may delete the namespace of which it has leases itself. What it mapped stays
 * readable; the leases are gone. */
static void a_namespace_is_deleted_by_who_leases_of_it(void **state)
{
    struct daemon *daemon = *state;
    const uint8_t *base;
    struct lease_got got;
    struct wire other;
    struct wire wire;
    uint8_t *copy;

    wire_open(&other, daemon->socket, "default");
    assert_int_equal(wire_space_create(&other, "eu", UINT64_MAX), 0);
    wire_open(&wire, daemon->socket, "eu");
    lease_fill_blocks(&wire, "t", 1);
    wire_close(&wire);
    (void)lease_open(&wire, daemon, "eu", LEASE_FEATURES);
    got = lease_read_place(&wire, 0);
    base = lease_map(&got);
    copy = malloc(got.reply.place.size);
    assert_non_null(copy);
    memcpy(copy, lease_batches(base, &got), got.reply.place.size);
    assert_int_equal(delete_space(&wire, "eu"), 0);
    assert_int_equal(wire_stat(&other, "leases"), 0);
    assert_memory_equal(lease_batches(base, &got), copy, got.reply.place.size);
    wire_close(&wire);
    lease_work(&other);
    assert_int_equal(wire_stat(&other, "leases_left_behind"), 0);
    free(copy);
    lease_unmap(base, &got);
    assert_int_equal(close(got.fd), 0);
    wire_close(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEASE_TEST(a_killed_client_gives_its_blocks_back),
        LEASE_TEST(a_process_that_lives_keeps_what_it_leased),
        LEASE_TEST(what_a_client_gives_back_last_is_taken),
        LEASE_TEST(what_cannot_be_watched_is_kept_until_the_next_start),
        LEASE_TEST(a_daemon_stops_while_blocks_are_leased),
        LEASE_TEST(a_namespace_is_deleted_under_those_who_left),
        LEASE_TEST(a_namespace_is_deleted_by_who_leases_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
