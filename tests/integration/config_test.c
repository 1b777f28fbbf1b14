/* The configuration of the running daemon: which file counts, what a reload applies, and that
 * nothing is lost by a bad one. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/fixture.h"

static char path[DAEMON_PATH_SIZE + 64];

static const char *path_of(const struct daemon *daemon, const char *name)
{
    (void)snprintf(path, sizeof path, "%.200s/%s", daemon->dir, name);
    return path;
}

static void write_file(const struct daemon *daemon, const char *name, const char *text)
{
    FILE *file = fopen(path_of(daemon, name), "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* tuskd --config <dir>/tuskd.conf, and nothing else. */
static const char *const *config_argument(const struct daemon *daemon)
{
    static char file[DAEMON_PATH_SIZE + 64];
    static const char *arguments[] = {"--config", file, NULL};

    (void)snprintf(file, sizeof file, "%s", path_of(daemon, "tuskd.conf"));
    return arguments;
}

static void start(struct daemon *daemon)
{
    daemon_start_with(daemon, config_argument(daemon));
}

static void expect_option(struct wire *wire, bool files, const char *space, const char *key,
                          const char *value, const char *origin)
{
    char got[1025];
    char from[1025];

    assert_int_equal(wire_config(wire, files, space, key, got, from), 0);
    assert_string_equal(got, value);
    if (strstr(from, origin) == NULL) {
        print_error("%s comes from %s\n", key, from);
        fail();
    }
}

static int space_set(struct wire *wire, const char *space, uint16_t key, uint64_t value)
{
    const struct message message = {
        .type = MESSAGE_NAMESPACE_SET,
        .u.namespace_settings = {.name = wire_name(space),
                                 .settings = {.count = 1, .items = {{key, value}}}},
    };
    struct wire_reply reply;

    return wire_call(wire, &message, &reply);
}

/* ---- --check-config, starting ---- */

/* --check-config reports every error of every file, and neither creates nor changes anything. */
static void check_reports_every_error(void **state)
{
    struct daemon *daemon = *state;

    write_file(daemon, "tuskd.conf", "[server]\nlog = loud\nsockte = /x\n[sevrer]\n");
    assert_int_equal(mkdir(path_of(daemon, "conf.d"), 0700), 0);
    write_file(daemon, "conf.d/a.conf", "[defaults]\nfsync = often\nconsistency = strict");
    assert_int_equal(
        daemon_fails(daemon, "--config", config_argument(daemon)[1], "--check-config", NULL), 78);
    assert_true(daemon_logged(daemon, "tuskd.conf:2: \"loud\" is not allowed for log"));
    assert_true(daemon_logged(daemon, "tuskd.conf:3: there is no option \"sockte\""));
    assert_true(daemon_logged(daemon, "did you mean \"socket\""));
    assert_true(daemon_logged(daemon, "tuskd.conf:4: there is no section [sevrer]"));
    assert_true(daemon_logged(daemon, "conf.d/a.conf:2: \"often\" is not allowed for fsync"));
    assert_true(daemon_logged(daemon, "conf.d/a.conf:3: the file ends in the middle"));
    assert_int_equal(access(daemon->data_dir, F_OK), -1);
    assert_int_equal(access(daemon->socket, F_OK), -1);
}

/* It takes no lock: a configuration can be checked while the daemon that uses it runs. */
static void check_takes_no_lock(void **state)
{
    struct daemon *daemon = *state;
    struct daemon other;
    struct wire wire;

    write_file(daemon, "tuskd.conf", "[server]\nlog = debug\n");
    start(daemon);
    other = *daemon;
    other.pid = 0;
    other.output = -1;
    assert_int_equal(
        daemon_fails(&other, "--config", config_argument(daemon)[1], "--check-config", NULL), 0);
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append_one(&wire, "t", "x"), 0);
    wire_close(&wire);
}

/* A daemon whose configuration is wrong does not start, and leaves the data as it was. */
static void wrong_configuration_does_not_start(void **state)
{
    struct daemon *daemon = *state;
    struct stat before;
    struct stat after;

    write_file(daemon, "tuskd.conf", "[namespace \"\"]\nfsync = each\n");
    assert_int_equal(daemon_fails(daemon, "--config", config_argument(daemon)[1], NULL), 78);
    assert_int_equal(access(daemon->data_dir, F_OK), -1);
    write_file(daemon, "tuskd.conf", "");
    start(daemon);
    daemon_stop(daemon);
    assert_int_equal(stat(daemon->data_dir, &before), 0);
    write_file(daemon, "tuskd.conf", "[server]\nlog = debug\nlog = info\n");
    assert_int_equal(daemon_fails(daemon, "--config", config_argument(daemon)[1], NULL), 78);
    assert_int_equal(daemon_fails(daemon, "--config", daemon->dir, NULL), 78);
    assert_true(daemon_logged(daemon, "is a directory"));
    assert_int_equal(daemon_fails(daemon, "--config", "/nonexistent/tuskd.conf", NULL), 78);
    assert_int_equal(stat(daemon->data_dir, &after), 0);
    assert_int_equal(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    write_file(daemon, "tuskd.conf", "");
    start(daemon);
    assert_non_null(strstr(daemon->ready, "recovery=clean"));
}

/* Built in, file, conf.d, environment, arguments: the daemon uses, and tells, the last of them. */
static void last_source_counts(void **state)
{
    static const char *const environment[] = {"TUSK_LOG=warning", NULL};
    struct daemon *daemon = *state;
    const char *const *config = config_argument(daemon);
    struct wire wire;

    write_file(daemon, "tuskd.conf",
               "[server]\nrequests_max = 10\nlog = debug\nio_threads = 2\n"
               "[defaults]\nfsync = 1s\nconsistency = at-least-once:5\n");
    assert_int_equal(mkdir(path_of(daemon, "conf.d"), 0700), 0);
    write_file(daemon, "conf.d/b.conf", "[server]\nrequests_max = 12\n");
    write_file(daemon, "conf.d/a.conf", "[server]\nrequests_max = 11\nio_threads = 3\n");
    daemon->environment = environment;
    daemon_start(daemon, config[0], config[1], "--fsync", "each", NULL);
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire.hello.in_flight_max, 12);
    assert_int_equal(wire.hello.fsync_ms, 0);
    assert_int_equal(wire.hello.consistency, 5);
    expect_option(&wire, false, "", "requests_max", "12", "conf.d/b.conf:2");
    expect_option(&wire, false, "", "io_threads", "3", "conf.d/a.conf:3");
    expect_option(&wire, false, "", "log", "warning", "TUSK_LOG");
    expect_option(&wire, false, "", "fsync", "each", "--fsync");
    expect_option(&wire, false, "", "ring_size", "64MiB", "default");
    expect_option(&wire, false, "default", "fsync", "each", "--fsync");
    expect_option(&wire, false, "default", "consistency", "at-least-once:5", "tuskd.conf:7");
    wire_close(&wire);
}

/* ---- namespaces ---- */

/* What a namespace's section says is set when it is created, and at a start; it overrides what
 * is stored with the namespace, and cannot be changed but there. Out of the file, it stays as it
 * was. */
static void namespaces_follow_their_sections(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;

    write_file(daemon, "tuskd.conf",
               "[defaults]\nretention = consumed\n"
               "[namespace \"eu\"]\nconsistency = at-least-once:3\n");
    start(daemon);
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_space_create(&wire, "eu", 50), 0);
    assert_int_equal(wire_space_create(&wire, "us", 50), 0);
    expect_option(&wire, false, "eu", "consistency", "at-least-once:3", "tuskd.conf:4");
    expect_option(&wire, false, "eu", "fsync", "50ms", "stored");
    expect_option(&wire, false, "us", "consistency", "strict", "stored");
    expect_option(&wire, false, "us", "retention", "consumed", "stored");
    expect_option(&wire, false, "default", "retention", "consumed", "tuskd.conf:2");
    assert_int_equal(space_set(&wire, "eu", SETTING_CONSISTENCY, 0), TUSK_EINVALID);
    assert_int_equal(space_set(&wire, "eu", SETTING_CONSISTENCY, 3), 0);
    assert_int_equal(space_set(&wire, "eu", SETTING_FSYNC, 60), 0);
    assert_int_equal(space_set(&wire, "us", SETTING_CONSISTENCY, 9), 0);
    wire_close(&wire);
    daemon_stop(daemon);
    write_file(daemon, "tuskd.conf",
               "[namespace \"eu\"]\nfsync = each\n"
               "[namespace \"mars\"]\nfsync = each\n");
    start(daemon);
    assert_true(daemon_logged(daemon, "there is no namespace \\\"mars\\\" (yet)"));
    wire_open(&wire, daemon->socket, "eu");
    assert_int_equal(wire.hello.fsync_ms, 0);
    assert_int_equal(wire.hello.consistency, 3);
    expect_option(&wire, false, "eu", "fsync", "each", "tuskd.conf:2");
    expect_option(&wire, false, "us", "consistency", "at-least-once:9", "stored");
    wire_close(&wire);
}

/* ---- reload ---- */

/* SIGHUP applies options and settings, and leaves what takes a restart; what was acknowledged
 * stays, and clients stay connected. */
static void reload_applies_what_it_can(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;
    struct wire after;

    write_file(daemon, "tuskd.conf", "[server]\nrequests_max = 10\n");
    start(daemon);
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append_one(&wire, "t", "x"), 0);
    write_file(daemon, "tuskd.conf",
               "[server]\nrequests_max = 20\nring_size = 32MiB\nio_threads = 4\nlog = debug\n"
               "create_topics = no\nconnections_max = 2\n"
               "[namespace \"default\"]\nfsync = each\nretention = size\n"
               "retention_size = 1GiB\n");
    expect_option(&wire, true, "", "requests_max", "20", "tuskd.conf:2");
    expect_option(&wire, true, "default", "fsync", "each", "tuskd.conf:9");
    expect_option(&wire, false, "default", "fsync", "200ms", "stored");
    fixture_reload(daemon, true);
    expect_option(&wire, false, "", "requests_max", "20", "tuskd.conf:2");
    expect_option(&wire, false, "", "ring_size", "64MiB", "default");
    expect_option(&wire, false, "", "io_threads", "4", "tuskd.conf:4");
    expect_option(&wire, true, "", "ring_size", "32MiB", "tuskd.conf:3");
    expect_option(&wire, false, "default", "retention_size", "1GiB", "tuskd.conf:11");
    assert_true(daemon_logged(daemon, "ring_size: 64MiB -> 32MiB"));
    assert_true(daemon_logged(daemon, "only a restart changes that"));
    assert_true(daemon_logged(daemon, "namespace \\\"default\\\": fsync: 200ms -> each"));
    wire_open(&after, daemon->socket, "default");
    assert_int_equal(after.hello.in_flight_max, 20);
    assert_int_equal(after.hello.fsync_ms, 0);
    assert_true(daemon_logged(daemon, "level=debug"));
    assert_int_equal(wire_append_one(&after, "new", "x"), TUSK_ENOTFOUND);
    wire_expect_entries(&after, "t", 0, (const char *const[]){"x"}, 1);
    wire_close(&after);
    wire_close(&wire);
    daemon_stop(daemon);
    start(daemon);
    wire_open(&wire, daemon->socket, "default");
    expect_option(&wire, false, "", "ring_size", "32MiB", "tuskd.conf:3");
    wire_close(&wire);
}

/* A reload of a configuration that is wrong, in whatever way, changes nothing, says everything,
 * and the daemon serves on; when it is mended, it is applied. */
static void bad_reload_changes_nothing(void **state)
{
    /* Valid, but for a daemon that has the larger batches of its start until it is restarted. */
    static const char contradiction[] = "[server]\nrequests_max = 30\nrequest_bytes_max = 1MiB\n"
                                        "batch_size_max = 1MiB\nentry_size_max = 1MiB\n";
    static const char *const bad[] = {
        "[server]\nrequests_max = 30\nlog = loud\n",
        "[server]\nrequests_max = 30\n[sevrer]\n",
        "[server]\nrequests_max = 30\nrequests_max = 31\n",
        "[server]\nrequests_max = 30\nentry_size_max = 1GiB\n",
        "[server]\nrequests_max = 30\n[namespace \"\"]\nfsync = each\n",
        "[server]\nrequests_max = 30\n[namespace \"default\"]\nretention = age\n",
        "[server]\nrequests_max = 30\x01\n",
        "[server]\nrequests_max = 30",
        contradiction,
    };
    struct daemon *daemon = *state;
    struct wire wire;
    size_t i;

    write_file(daemon, "tuskd.conf", "[server]\nrequests_max = 10\n");
    start(daemon);
    wire_open(&wire, daemon->socket, "default");
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_file(daemon, "tuskd.conf", bad[i]);
        fixture_reload(daemon, false);
        expect_option(&wire, false, "", "requests_max", "10", "tuskd.conf:2");
        expect_option(&wire, false, "default", "fsync", "200ms", "stored");
    }
    assert_true(daemon_logged(daemon, "without a restart this does not fit together"));
    assert_int_equal(unlink(path_of(daemon, "tuskd.conf")), 0);
    fixture_reload(daemon, false);
    assert_true(daemon_logged(daemon, "No such file"));
    assert_int_equal(mkdir(path_of(daemon, "tuskd.conf"), 0700), 0);
    fixture_reload(daemon, false);
    assert_true(daemon_logged(daemon, "is a directory"));
    assert_int_equal(rmdir(path_of(daemon, "tuskd.conf")), 0);
    assert_int_equal(wire_append_one(&wire, "t", "x"), 0);
    write_file(daemon, "tuskd.conf", "[server]\nrequests_max = 30\n");
    fixture_reload(daemon, true);
    expect_option(&wire, false, "", "requests_max", "30", "tuskd.conf:2");
    wire_close(&wire);
}

/* Every error of a bad reload is in the log, however many they are: nothing is held back. */
static void bad_reload_tells_every_error(void **state)
{
    struct daemon *daemon = *state;
    char text[1024] = "[server]\n";
    char wanted[64];
    unsigned i;

    write_file(daemon, "tuskd.conf", "");
    start(daemon);
    for (i = 0; i < 40; i++) {
        strcat(text, "wrong = 1\n");
    }
    write_file(daemon, "tuskd.conf", text);
    fixture_reload(daemon, false);
    for (i = 0; i < 40; i++) {
        (void)snprintf(wanted, sizeof wanted, "tuskd.conf:%u: ", i + 2);
        assert_true(daemon_logged(daemon, wanted));
    }
}

/* What the files would change is told when asked, and so is what is wrong with them. */
static void files_are_read_when_asked(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;
    char value[1025];
    char origin[1025];

    write_file(daemon, "tuskd.conf", "");
    start(daemon);
    wire_open(&wire, daemon->socket, "default");
    write_file(daemon, "tuskd.conf", "[server]\nlog = loud\n");
    assert_int_equal(wire_config(&wire, true, "", "log", value, origin), TUSK_EINVALID);
    expect_option(&wire, false, "", "log", "info", "default");
    write_file(daemon, "tuskd.conf", "[server]\nlog = debug\n");
    expect_option(&wire, true, "", "log", "debug", "tuskd.conf:2");
    expect_option(&wire, false, "", "log", "info", "default");
    wire_close(&wire);
}

/* Many signals in a row, with namespaces to set each time: the last file counts, and nothing is
 * stuck. */
static void reloads_queue_up(void **state)
{
    struct daemon *daemon = *state;
    char text[128];
    struct wire wire;
    unsigned i;

    write_file(daemon, "tuskd.conf", "");
    start(daemon);
    for (i = 1; i <= 50; i++) {
        (void)snprintf(text, sizeof text, "[server]\nrequests_max = %u\n[defaults]\nfsync = %ums\n",
                       i, i);
        write_file(daemon, "tuskd.conf", text);
        assert_int_equal(kill(daemon->pid, SIGHUP), 0);
    }
    fixture_reload(daemon, true);
    wire_open(&wire, daemon->socket, "default");
    while (wire.hello.in_flight_max != 50 || wire.hello.fsync_ms != 50) {
        wire_close(&wire);
        fixture_reload(daemon, true);
        wire_open(&wire, daemon->socket, "default");
    }
    wire_close(&wire);
}

/* ---- systemd ---- */

/* systemd hears RELOADING=1 with the time, and READY=1 when it is over, well or not. */
static void systemd_is_told_of_reloads(void **state)
{
    static char notify[DAEMON_PATH_SIZE + 32];
    static char directory[DAEMON_PATH_SIZE + 32];
    static const char *const environment[] = {notify, directory, NULL};
    struct daemon *daemon = *state;
    char heard[16384];
    const char *time;
    struct wire wire;
    int fd;

    if (!TUSK_TEST_SYSTEMD) {
        print_message("SKIP: built without libsystemd\n");
        skip();
    }
    (void)snprintf(notify, sizeof notify, "NOTIFY_SOCKET=%.200s/n", daemon->dir);
    (void)snprintf(directory, sizeof directory, "CONFIGURATION_DIRECTORY=%.200s", daemon->dir);
    fd = fixture_bound_socket(notify + strlen("NOTIFY_SOCKET="), SOCK_DGRAM);
    daemon->environment = environment;
    daemon_spawn(daemon, NULL);
    fixture_hear(fd, heard, sizeof heard, "READY=1");
    write_file(daemon, "tuskd.conf", "[server]\nrequests_max = 9\n");
    wire_open(&wire, daemon->socket, "default"); /* It serves: SIGHUP is no longer ignored */
    assert_int_equal(kill(daemon->pid, SIGHUP), 0);
    fixture_hear(fd, heard, sizeof heard, "RELOADING=1");
    time = strstr(heard, "MONOTONIC_USEC=");
    assert_non_null(time);
    assert_true(strtoull(time + strlen("MONOTONIC_USEC="), NULL, 10) > 0);
    fixture_hear(fd, heard, sizeof heard, "READY=1");
    expect_option(&wire, false, "", "requests_max", "9", "tuskd.conf:2");
    write_file(daemon, "tuskd.conf", "[server]\nrequests_max = x\n");
    assert_int_equal(kill(daemon->pid, SIGHUP), 0);
    fixture_hear(fd, heard, sizeof heard, "RELOADING=1");
    fixture_hear(fd, heard, sizeof heard, "READY=1");
    assert_non_null(strstr(heard, "refused"));
    expect_option(&wire, false, "", "requests_max", "9", "tuskd.conf:2");
    wire_close(&wire);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(check_reports_every_error),
        FIXTURE_TEST(check_takes_no_lock),
        FIXTURE_TEST(wrong_configuration_does_not_start),
        FIXTURE_TEST(last_source_counts),
        FIXTURE_TEST(namespaces_follow_their_sections),
        FIXTURE_TEST(reload_applies_what_it_can),
        FIXTURE_TEST(bad_reload_changes_nothing),
        FIXTURE_TEST(bad_reload_tells_every_error),
        FIXTURE_TEST(files_are_read_when_asked),
        FIXTURE_TEST(reloads_queue_up),
        FIXTURE_TEST(systemd_is_told_of_reloads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
