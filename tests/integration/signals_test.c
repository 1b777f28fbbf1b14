/* Signals: what stops the daemon, how cleanly, and what it does not mind. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/integration/fixture.h"
#include "tests/integration/history.h"
#include "tests/support/loop.h"

#define IMAGE_MIB 48u

static void expect_serving(struct daemon *daemon)
{
    struct wire wire;

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append_one(&wire, "t", "x"), 0);
    wire_close(&wire);
}

/* Once it holds the lock of its directory, it has said what signals mean to it. */
static void await_lock(struct daemon *daemon)
{
    const uint64_t end = daemon_now_ms() + DAEMON_WAIT_MS;
    long holder = 0;

    while (holder != (long)daemon->pid) {
        char path[DAEMON_PATH_SIZE + 8];
        char text[32];
        FILE *lock;

        assert_true(daemon_now_ms() < end);
        (void)snprintf(path, sizeof path, "%s/LOCK", daemon->data_dir);
        lock = fopen(path, "r");
        holder = lock != NULL && fgets(text, sizeof text, lock) != NULL ? atol(text) : 0;
        if (lock != NULL) {
            (void)fclose(lock);
        }
    }
}

/* Everything acknowledged is there after the next start. */
static void expect_kept(struct daemon *daemon, struct history *history)
{
    struct wire wire;

    daemon_start_with(daemon, fixture_small);
    wire_open(&wire, daemon->socket, "default");
    history_check(history, &wire);
    wire_close(&wire);
}

/* Signals that other daemons take for a wish (reopen the log, dump something) end no log by being
 * sent to the wrong process: USR1, USR2, HUP and PIPE change nothing. */
static void signals_without_a_meaning_change_nothing(void **state)
{
    static const int signals[] = {SIGUSR1, SIGUSR2, SIGHUP, SIGPIPE, SIGCHLD, SIGWINCH};
    struct daemon *daemon = *state;
    unsigned round;
    size_t i;

    for (round = 0; round < 5; round++) {
        for (i = 0; i < sizeof signals / sizeof signals[0]; i++) {
            assert_int_equal(kill(daemon->pid, signals[i]), 0);
        }
        expect_serving(daemon);
    }
}

/* The same while it recovers. */
static void signals_without_a_meaning_change_nothing_at_the_start(void **state)
{
    struct daemon *daemon = *state;
    unsigned i;

    expect_serving(daemon);
    daemon_kill(daemon);
    daemon_spawn(daemon, fixture_small);
    await_lock(daemon);
    for (i = 0; i < 3; i++) {
        assert_int_equal(kill(daemon->pid, SIGUSR1), 0);
        assert_int_equal(kill(daemon->pid, SIGUSR2), 0);
        assert_int_equal(kill(daemon->pid, SIGHUP), 0);
    }
    assert_true(daemon_await_ready(daemon));
    expect_serving(daemon);
}

/* A parent that blocks or ignores signals passes that on to its children; the daemon can be stopped
 * all the same. */
static void inherited_masks_do_not_keep_it_from_stopping(void **state)
{
    static const int signals[] = {SIGTERM, SIGINT};
    struct daemon *daemon = *state;
    sigset_t blocked;
    sigset_t before;
    size_t i;

    for (i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        (void)sigemptyset(&blocked);
        (void)sigaddset(&blocked, signals[i]);
        (void)signal(signals[i], SIG_IGN);
        assert_int_equal(sigprocmask(SIG_BLOCK, &blocked, &before), 0);
        daemon_spawn(daemon, fixture_small);
        assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
        (void)signal(signals[i], SIG_DFL);
        assert_true(daemon_await_ready(daemon));
        expect_serving(daemon);
        assert_int_equal(kill(daemon->pid, signals[i]), 0);
        assert_int_equal(daemon_wait(daemon), 0);
    }
}

/* Two SIGTERM, or a SIGTERM and a SIGINT, one right behind the other under load: the second one may
 * end the stop at once, with status 74, and else it is clean. Nothing acknowledged is lost either
 * way. */
static void second_signal_loses_nothing(void **state)
{
    static const int seconds[] = {SIGTERM, SIGINT};
    struct daemon *daemon = *state;
    struct history history;
    unsigned i;

    history_init(&history, "t", 5000);
    for (i = 0; i < 6; i++) {
        const uint64_t end = daemon_now_ms() + DAEMON_WAIT_MS;
        struct wire wire;
        unsigned k;
        int status;

        daemon_start_with(daemon, fixture_small);
        wire_open(&wire, daemon->socket, "default");
        for (k = 0; k < 30; k++) {
            assert_true(history_send(&history, &wire));
        }
        assert_true(history_take(&history, 1, &wire));
        assert_int_equal(kill(daemon->pid, SIGTERM), 0);
        while (i >= 2 && !daemon_logged(daemon, "stopping (signal")) {
            /* Sometimes when the first one has been seen, sometimes not. */
            assert_true(daemon_now_ms() < end);
        }
        assert_int_equal(kill(daemon->pid, seconds[i % 2]), 0);
        while (history_take(&history, 1, &wire)) {
        }
        wire_close(&wire);
        status = daemon_wait(daemon);
        assert_true(status == 0 || status == 74);
        expect_kept(daemon, &history);
        daemon_stop(daemon);
        assert_int_equal(unlink(daemon->log), 0);
    }
    history_deinit(&history);
}

/* A stop on a full disk is as clean as any: it exits 0, the next start has nothing to repair, and
 * everything acknowledged is there. */
static void stop_on_a_full_disk_is_clean(void **state)
{
    struct daemon *daemon = *state;
    struct history history;
    const char *why;
    char mount[DAEMON_PATH_SIZE];
    struct wire wire;
    int size;

    size = snprintf(mount, sizeof mount, "%s/disk", daemon->dir);
    assert_true(size > 0 && size < (int)sizeof mount);
    if (!loop_mount(mount, IMAGE_MIB, &why)) {
        print_message("SKIP: %s\n", why);
        skip();
    }
    size = snprintf(daemon->data_dir, sizeof daemon->data_dir, "%s/data", mount);
    assert_true(size > 0 && size < (int)sizeof daemon->data_dir);
    daemon_start_with(daemon, fixture_small);
    history_init(&history, "t", 60000);
    wire_open(&wire, daemon->socket, "default");
    while (history.refused == 0) {
        assert_true(history_send(&history, &wire));
        assert_true(history_take(&history, 1, &wire));
    }
    assert_int_equal(history.last_status, TUSK_ENOSPACE);
    /* What arrives with the signal is answered, one way or the other. */
    assert_true(history_send(&history, &wire));
    assert_int_equal(kill(daemon->pid, SIGTERM), 0);
    while (history_take(&history, 1, &wire)) {
    }
    wire_close(&wire);
    assert_int_equal(daemon_wait(daemon), 0);
    daemon_start_with(daemon, fixture_small);
    assert_non_null(strstr(daemon->ready, "recovery=clean"));
    wire_open(&wire, daemon->socket, "default");
    history_check(&history, &wire);
    wire_close(&wire);
    daemon_stop(daemon);
    history_deinit(&history);
    loop_unmount(mount);
}

/* Clients that vanish in the middle of their replies, a hundred at once, end nobody but
 * themselves. */
static void broken_pipes_end_nobody_else(void **state)
{
    struct daemon *daemon = *state;
    const struct message read = wire_read_message("big", 0);
    struct wire good;
    unsigned i;

    wire_open(&good, daemon->socket, "default");
    for (i = 0; i < 8; i++) {
        assert_int_equal(wire_append_fill(&good, "big", 'x', 256 * 1024), 0);
    }
    for (i = 0; i < 100; i++) {
        struct wire wire;

        wire_open(&wire, daemon->socket, "default");
        assert_true(wire_send(&wire, &read) != 0 && wire_send(&wire, &read) != 0);
        assert_true(wire_readable(&wire, WIRE_WAIT_MS)); /* It is being written to */
        wire_close(&wire);
    }
    assert_int_equal(wire_append_one(&good, "t", "x"), 0);
    wire_close(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_RUNNING_TEST(signals_without_a_meaning_change_nothing),
        FIXTURE_RUNNING_TEST(signals_without_a_meaning_change_nothing_at_the_start),
        FIXTURE_TEST(inherited_masks_do_not_keep_it_from_stopping),
        FIXTURE_TEST(second_signal_loses_nothing),
        FIXTURE_TEST(stop_on_a_full_disk_is_clean),
        FIXTURE_RUNNING_TEST(broken_pipes_end_nobody_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
