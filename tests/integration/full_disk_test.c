/* A full disk and a failing one, on a file system of the test's own. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/fixture.h"
#include "tests/integration/history.h"
#include "tests/support/loop.h"

#define IMAGE_MIB 64u
#define BALLAST_MIB 24u

static void put_path(char *out, const char *dir, const char *name)
{
    const int size = snprintf(out, DAEMON_PATH_SIZE, "%s/%s", dir, name);

    assert_true(size > 0 && size < (int)DAEMON_PATH_SIZE);
}

/* A daemon's directory on a small file system; the test is skipped where there can be none. */
static void mount_or_skip(struct daemon *daemon, char *mount)
{
    const char *why;

    put_path(mount, daemon->dir, "disk");
    if (!loop_mount(mount, IMAGE_MIB, &why)) {
        print_message("SKIP: %s\n", why);
        skip();
    }
    put_path(daemon->data_dir, mount, "data");
}

static void put_ballast(const char *mount, char *path)
{
    int fd;

    put_path(path, mount, "ballast");
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(posix_fallocate(fd, 0, (off_t)BALLAST_MIB << 20), 0);
    assert_int_equal(close(fd), 0);
}

static void append_until_full(struct history *history, struct wire *wire)
{
    while (history->refused == 0) {
        assert_true(history_send(history, wire));
        assert_true(history_take(history, 1, wire));
    }
    assert_int_equal(history->last_status, TUSK_ENOSPACE);
}

/* The disk fills up: appends are refused with NOSPACE, the log says so, and what was refused is not
 * there. Reading, checkpoints and SYNC go on. When space is back appends resume by themselves; nothing acknowledged
 * is lost, not then and not after a restart. */
static void full_disk_refuses_appends_and_nothing_else(void **state)
{
    struct daemon *daemon = *state;
    char ballast[DAEMON_PATH_SIZE];
    char mount[DAEMON_PATH_SIZE];
    const uint64_t end = daemon_now_ms() + DAEMON_WAIT_MS;
    struct history history;
    struct wire wire;
    uint32_t acked;

    mount_or_skip(daemon, mount);
    put_ballast(mount, ballast);
    daemon_start_with(daemon, fixture_small);
    history_init(&history, "t", 60000);
    wire_open(&wire, daemon->socket, "default");
    append_until_full(&history, &wire);
    assert_true(history.acked > 0);
    assert_true(daemon_logged(
        daemon,
        "part=append event=disk-full namespace=\"default\" msg=\"no space left for namespace"));
    history_check(&history, &wire);
    assert_int_equal(wire_checkpoint(&wire, "t", "c", history.end_seen), 0);
    assert_int_equal(wire_cursor(&wire, "t", "c"), history.end_seen);
    assert_int_equal(wire_simple(&wire, MESSAGE_SYNC), 0);
    assert_int_equal(unlink(ballast), 0);
    acked = history.acked;
    while (history.acked < acked + 20) {
        assert_true(history_send(&history, &wire));
        assert_true(history_take(&history, 1, &wire));
        assert_true(daemon_now_ms() < end);
    }
    history_check(&history, &wire);
    wire_close(&wire);
    daemon_stop(daemon);
    daemon_start_with(daemon, fixture_small);
    wire_open(&wire, daemon->socket, "default");
    history_check(&history, &wire);
    wire_close(&wire);
    daemon_stop(daemon);
    history_deinit(&history);
    loop_unmount(mount);
}

/* A daemon that is killed while the disk is full starts again on the full disk, and serves what it
 * had acknowledged. */
static void full_disk_does_not_hinder_a_restart(void **state)
{
    struct daemon *daemon = *state;
    char mount[DAEMON_PATH_SIZE];
    struct history history;
    struct wire wire;

    mount_or_skip(daemon, mount);
    daemon_start_with(daemon, fixture_small);
    history_init(&history, "t", 60000);
    wire_open(&wire, daemon->socket, "default");
    append_until_full(&history, &wire);
    wire_close(&wire);
    daemon_kill(daemon);
    daemon_start_with(daemon, fixture_small);
    wire_open(&wire, daemon->socket, "default");
    history_check(&history, &wire);
    assert_int_equal(wire_checkpoint(&wire, "t", "c", 1), 0);
    wire_close(&wire);
    daemon_stop(daemon);
    history_deinit(&history);
    loop_unmount(mount);
}

/* The device fails under the daemon: it does not go on as if nothing had happened, but exits 74; an
 * append whose fate it cannot know is not acknowledged. */
static void failed_disk_ends_the_daemon(void **state)
{
    struct daemon *daemon = *state;
    char mount[DAEMON_PATH_SIZE];
    struct message message;
    struct wire_reply reply;
    const char *text = "too late";
    struct wire wire;
    uint8_t *bytes;

    mount_or_skip(daemon, mount);
    daemon_start(daemon, "--fsync", "each", NULL);
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append_one(&wire, "t", "in time"), 0);
    if (!loop_cut_power(mount)) {
        print_message("SKIP: this kernel cannot shut a file system down\n");
        skip();
    }
    message = wire_append_message("t", &text, 1, &bytes);
    if (wire_send(&wire, &message) != 0 && wire_receive(&wire, &reply)) {
        assert_true(reply.status == TUSK_EUNKNOWN || reply.status == TUSK_EIO);
    }
    free(bytes);
    wire_close(&wire);
    assert_int_equal(daemon_wait(daemon), 74);
    assert_true(
        daemon_logged(daemon, "level=error part=engine event=disk-failed namespace=\"default\""));
    loop_unmount(mount);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(full_disk_refuses_appends_and_nothing_else),
        FIXTURE_TEST(full_disk_does_not_hinder_a_restart),
        FIXTURE_TEST(failed_disk_ends_the_daemon),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
