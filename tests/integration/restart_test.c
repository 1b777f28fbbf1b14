/* What is still there after a stop, a kill, and many kills under load. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/integration/fixture.h"
#include "tests/integration/history.h"

#define TOPICS 3u
#define WINDOW 64u /* Batches in flight */
#define KILLS 8u   /* Per schedule */

static void start(struct daemon *daemon, const char *schedule, const char *io)
{
    const char *arguments[32] = {"--fsync", schedule, "--io", io};
    unsigned count = 4;
    unsigned i;

    for (i = 0; fixture_small[i] != NULL; i++) {
        arguments[count++] = fixture_small[i];
    }
    daemon_start_with(daemon, arguments);
}

/* ---- restarts ---- */

static void expect_all(struct daemon *daemon)
{
    static const char *const texts[] = {"one", "two", "three"};
    struct wire wire;
    struct wire other;

    wire_open(&wire, daemon->socket, "default");
    wire_expect_entries(&wire, "t", 0, texts, 3);
    assert_int_equal(wire_cursor(&wire, "t", "c"), 2);
    wire_open(&other, daemon->socket, "eu");
    wire_expect_entries(&other, "t", 0, texts + 2, 1);
    assert_int_equal(other.hello.fsync_ms, 0);
    wire_close(&other);
    wire_close(&wire);
}

static void put_all(struct daemon *daemon)
{
    static const char *const texts[] = {"one", "two", "three"};
    struct wire wire;
    struct wire other;

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append(&wire, "t", texts, 3, NULL), 0);
    assert_int_equal(wire_checkpoint(&wire, "t", "c", 2), 0);
    assert_int_equal(wire_space_create(&wire, "eu", 0), 0);
    wire_open(&other, daemon->socket, "eu");
    assert_int_equal(wire_append(&other, "t", texts + 2, 1, NULL), 0);
    wire_close(&other);
    wire_close(&wire);
}

/* A stop and a start lose nothing: entries, cursors, namespaces and their settings are there, in
 * every schedule, and recovery has nothing to report. */
static void stop_and_start_keep_everything(void **state)
{
    static const char *const schedules[] = {"each", "200ms", "none"};
    struct daemon daemon;
    unsigned i;

    (void)state;
    for (i = 0; i < 3; i++) {
        daemon_init(&daemon);
        start(&daemon, schedules[i], "uring");
        put_all(&daemon);
        daemon_stop(&daemon);
        start(&daemon, schedules[i], "posix");
        assert_non_null(strstr(daemon.ready, "recovery=clean"));
        expect_all(&daemon);
        daemon_stop(&daemon);
        daemon_deinit(&daemon);
    }
}

/* The same after a kill: what was acknowledged survives the death of the daemon in every schedule.
 */
static void kill_and_start_keep_what_was_acked(void **state)
{
    static const char *const schedules[] = {"each", "200ms", "none"};
    struct daemon daemon;
    unsigned i;

    (void)state;
    for (i = 0; i < 3; i++) {
        daemon_init(&daemon);
        start(&daemon, schedules[i], "uring");
        put_all(&daemon);
        daemon_kill(&daemon);
        start(&daemon, schedules[i], "mmap");
        assert_non_null(
            strstr(daemon.ready, " records replayed, 0 dropped")); /* What recovery found */
        expect_all(&daemon);
        daemon_stop(&daemon);
        daemon_deinit(&daemon);
    }
}

/* The directory is the same after a restart, and the run is another: that is how a client can tell.
 */
static void identity_stays_and_incarnation_changes(void **state)
{
    struct daemon *daemon = *state;
    struct wire before;
    struct wire after;

    wire_open(&before, daemon->socket, "default");
    daemon_kill(daemon);
    wire_close(&before);
    daemon_start_with(daemon, fixture_small);
    wire_open(&after, daemon->socket, "default");
    assert_memory_equal(before.hello.store_id, after.hello.store_id, 16);
    assert_true(before.hello.incarnation != after.hello.incarnation);
    wire_close(&after);
}

/* ---- kills under load ---- */

/* In a child: kill the daemon after so many microseconds. */
static pid_t kill_later(pid_t target, long delay_us)
{
    const struct timespec delay = {.tv_sec = delay_us / 1000000,
                                   .tv_nsec = delay_us % 1000000 * 1000};
    const pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        (void)nanosleep(&delay, NULL);
        (void)kill(target, SIGKILL);
        _exit(0);
    }
    return child;
}

/* Append to all topics, WINDOW batches in flight, until the connection ends; one checkpoint in
 * between. */
static void load_until_gone(struct history *histories, struct wire *wire)
{
    uint32_t open = 0;
    uint32_t turn = 0;

    for (;;) {
        if (open < WINDOW) {
            if (!history_send(&histories[turn++ % TOPICS], wire)) {
                break;
            }
            open++;
            continue;
        }
        if (!history_take(histories, TOPICS, wire)) {
            return;
        }
        open--;
    }
    while (history_take(histories, TOPICS, wire)) {
    }
}

static void check_all(struct daemon *daemon, struct history *histories)
{
    struct wire wire;
    uint32_t i;

    wire_open(&wire, daemon->socket, "default");
    for (i = 0; i < TOPICS; i++) {
        history_check(&histories[i], &wire);
    }
    wire_close(&wire);
}

/* Move the cursor of every topic to the end of what is there, and note where. */
static void move_cursors(struct daemon *daemon, const struct history *histories, uint64_t *cursors)
{
    struct wire wire;
    uint32_t i;

    wire_open(&wire, daemon->socket, "default");
    for (i = 0; i < TOPICS; i++) {
        if (histories[i].acked > 0) {
            assert_int_equal(wire_checkpoint(&wire, histories[i].topic, "c", histories[i].end_seen),
                             0);
            cursors[i] = histories[i].end_seen;
        }
    }
    wire_close(&wire);
}

static void expect_cursors(struct daemon *daemon, const struct history *histories,
                           const uint64_t *cursors)
{
    struct wire wire;
    uint32_t i;

    wire_open(&wire, daemon->socket, "default");
    for (i = 0; i < TOPICS; i++) {
        if (cursors[i] > 0) {
            assert_int_equal(wire_cursor(&wire, histories[i].topic, "c"), cursors[i]);
        }
    }
    wire_close(&wire);
}

static void kill_again_and_again(const char *schedule, const char *io)
{
    const unsigned seed = (unsigned)getpid() ^ (unsigned)time(NULL);
    struct history histories[TOPICS];
    uint64_t cursors[TOPICS] = {0};
    struct daemon daemon;
    char name[16];
    unsigned i;

    print_message("seed %u\n", seed);
    srandom(seed);
    daemon_init(&daemon);
    for (i = 0; i < TOPICS; i++) {
        (void)snprintf(name, sizeof name, "topic%u", i);
        history_init(&histories[i], name, i * 900);
    }
    start(&daemon, schedule, io);
    for (i = 0; i < KILLS; i++) {
        struct wire wire;
        pid_t killer;

        wire_open(&wire, daemon.socket, "default");
        killer = kill_later(daemon.pid, 1000 + random() % 100000);
        load_until_gone(histories, &wire);
        wire_close(&wire);
        assert_int_equal(daemon_wait(&daemon), -SIGKILL);
        assert_int_equal(waitpid(killer, NULL, 0), killer);
        start(&daemon, schedule, io);
        check_all(&daemon, histories);
        expect_cursors(&daemon, histories, cursors);
        move_cursors(&daemon, histories, cursors);
    }
    daemon_stop(&daemon);
    start(&daemon, schedule, io);
    check_all(&daemon, histories);
    daemon_stop(&daemon);
    for (i = 0; i < TOPICS; i++) {
        print_message("%s: %u batches, %u acked\n", histories[i].topic, histories[i].count,
                      histories[i].acked);
        history_deinit(&histories[i]);
    }
    daemon_deinit(&daemon);
}

/* The daemon is killed eight times at any moment under load. Every time, everything it acknowledged
 * is there, whole and in order, no offset is given twice, and cursors stand where they stood. */
static void kills_under_load_lose_nothing_acked_with_fsync_each(void **state)
{
    (void)state;
    kill_again_and_again("each", "uring");
}

/* The same when appends are acknowledged before they are durable: the kernel keeps what is written.
 */
static void kills_under_load_lose_nothing_acked_with_fsync_200ms(void **state)
{
    (void)state;
    kill_again_and_again("200ms", "posix");
}

static void kills_under_load_lose_nothing_acked_with_fsync_none(void **state)
{
    (void)state;
    kill_again_and_again("none", "mmap");
}

/* ---- stops ---- */

/* A stop under load exits 0; what it had acknowledged is there, and what it answered CLOSED is not.
 */
static void stop_under_load_drains(void **state)
{
    struct daemon *daemon = *state;
    struct history histories[TOPICS];
    struct wire wire;
    unsigned i;

    history_init(&histories[0], "a", 0);
    history_init(&histories[1], "b", 100);
    history_init(&histories[2], "c", 5000);
    wire_open(&wire, daemon->socket, "default");
    for (i = 0; i < 600; i++) {
        assert_true(history_send(&histories[i % TOPICS], &wire));
    }
    assert_true(history_take(histories, TOPICS, &wire));
    assert_int_equal(kill(daemon->pid, SIGTERM), 0);
    load_until_gone(histories, &wire);
    wire_close(&wire);
    assert_int_equal(daemon_wait(daemon), 0);
    daemon_start_with(daemon, fixture_small);
    assert_non_null(strstr(daemon->ready, "recovery=clean"));
    check_all(daemon, histories);
    assert_true(histories[0].acked + histories[1].acked + histories[2].acked > 0);
    for (i = 0; i < TOPICS; i++) {
        assert_true(histories[i].refused == 0 || histories[i].last_status == TUSK_ECLOSED);
        history_deinit(&histories[i]);
    }
}

/* A reader that waits when the daemon stops is told so, instead of waiting for its time to pass. */
static void stop_answers_waiting_reads(void **state)
{
    struct daemon *daemon = *state;
    struct message read = wire_read_message("t", 1);
    struct wire_reply reply;
    struct wire wire;

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append_one(&wire, "t", "x"), 0);
    read.u.read.wait_ms = 3600000;
    assert_true(wire_send(&wire, &read) != 0);
    assert_int_equal(wire_simple(&wire, MESSAGE_PING), 0);
    assert_int_equal(kill(daemon->pid, SIGTERM), 0);
    assert_true(wire_receive(&wire, &reply));
    assert_int_equal(reply.status, TUSK_ECLOSED);
    assert_int_equal(wire_expect_closed(&wire), 0);
    wire_close(&wire);
    assert_int_equal(daemon_wait(daemon), 0);
}

static void fill_output(struct wire *wire)
{
    const struct message read = wire_read_message("t", 0);
    unsigned i;

    for (i = 0; i < 8; i++) {
        assert_int_equal(wire_append_fill(wire, "t", 'x', 256 * 1024), 0);
    }
    for (i = 0; i < 50; i++) {
        assert_true(wire_send(wire, &read) != 0);
    }
    assert_true(wire_readable(wire, WIRE_WAIT_MS));
}

/* A client that does not take its replies holds a stop up for stop_timeout and no longer. */
static void stop_does_not_wait_for_ever(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;

    daemon_start(daemon, "--set", "stop_timeout=100ms", NULL);
    wire_open(&wire, daemon->socket, "default");
    fill_output(&wire);
    daemon_stop(daemon);
    assert_true(daemon_logged(daemon, "did not take all their replies"));
    wire_close(&wire);
}

/* A second signal ends the waiting. */
static void second_signal_stops_at_once(void **state)
{
    struct daemon *daemon = *state;
    const uint64_t end = daemon_now_ms() + DAEMON_WAIT_MS;
    struct wire wire;

    daemon_start(daemon, "--set", "stop_timeout=1h", NULL);
    wire_open(&wire, daemon->socket, "default");
    fill_output(&wire);
    assert_int_equal(kill(daemon->pid, SIGTERM), 0);
    /* The socket goes when the engine has stopped cleanly: then the clients are waited for. */
    while (access(daemon->socket, F_OK) == 0) {
        assert_true(daemon_now_ms() < end);
    }
    assert_int_equal(kill(daemon->pid, SIGINT), 0);
    (void)daemon_wait(daemon);
    wire_close(&wire);
}

/* SIGHUP is not the end of the daemon, and neither is a client that vanishes while it is being
 * written to. */
static void harmless_signals_are_harmless(void **state)
{
    struct daemon *daemon = *state;
    const uint64_t end = daemon_now_ms() + DAEMON_WAIT_MS;
    struct wire wire;

    assert_int_equal(kill(daemon->pid, SIGHUP), 0);
    assert_int_equal(kill(daemon->pid, SIGPIPE), 0);
    while (!daemon_logged(daemon, "SIGHUP")) {
        assert_true(daemon_now_ms() < end);
    }
    wire_open(&wire, daemon->socket, "default");
    fill_output(&wire);
    wire_close(&wire);
    wire_open(&wire, daemon->socket, "default");
    wire_close(&wire);
}

/* A stop that comes at any moment of a start is clean: the daemon exits 0, and the next start is
 * one. */
static void stop_during_start_is_clean(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;
    unsigned i;

    daemon_start(daemon, NULL);
    wire_open(&wire, daemon->socket, "default");
    for (i = 0; i < 32; i++) {
        assert_int_equal(wire_append_fill(&wire, "t", 'x', 256 * 1024), 0);
    }
    wire_close(&wire);
    daemon_kill(daemon);
    for (i = 0; i < 10; i++) {
        const struct timespec delay = {.tv_nsec = (long)i * 3000000};
        const uint64_t end = daemon_now_ms() + DAEMON_WAIT_MS;
        char text[32];
        FILE *lock;
        long holder = 0;

        daemon_spawn(daemon, NULL);
        /* Once it holds the lock, it watches for signals. */
        while (holder != (long)daemon->pid) {
            char path[DAEMON_PATH_SIZE + 8];

            assert_true(daemon_now_ms() < end);
            (void)snprintf(path, sizeof path, "%s/LOCK", daemon->data_dir);
            lock = fopen(path, "r");
            holder = lock != NULL && fgets(text, sizeof text, lock) != NULL ? atol(text) : 0;
            if (lock != NULL) {
                (void)fclose(lock);
            }
        }
        (void)nanosleep(&delay, NULL);
        assert_int_equal(kill(daemon->pid, SIGTERM), 0);
        assert_int_equal(daemon_wait(daemon), 0);
    }
    daemon_start(daemon, NULL);
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append_one(&wire, "t", "x"), 0);
    wire_close(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_and_start_keep_everything),
        cmocka_unit_test(kill_and_start_keep_what_was_acked),
        FIXTURE_RUNNING_TEST(identity_stays_and_incarnation_changes),
        cmocka_unit_test(kills_under_load_lose_nothing_acked_with_fsync_each),
        cmocka_unit_test(kills_under_load_lose_nothing_acked_with_fsync_200ms),
        cmocka_unit_test(kills_under_load_lose_nothing_acked_with_fsync_none),
        FIXTURE_RUNNING_TEST(stop_under_load_drains),
        FIXTURE_RUNNING_TEST(stop_answers_waiting_reads),
        FIXTURE_TEST(stop_does_not_wait_for_ever),
        FIXTURE_TEST(second_signal_stops_at_once),
        FIXTURE_RUNNING_TEST(harmless_signals_are_harmless),
        FIXTURE_TEST(stop_during_start_is_clean),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
