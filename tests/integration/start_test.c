/* How the daemon starts and how it refuses to: options, directory, lock, socket, systemd,
 * descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/integration/fixture.h"

/* ---- options ---- */

/* A wrong command line exits 64, a wrong value of the environment 78, and nothing is created. */
static void wrong_options_exit_before_anything_is_created(void **state)
{
    static const char *const environment[] = {"TUSK_LOG=loud", NULL};
    struct daemon *daemon = *state;

    assert_int_equal(daemon_fails(daemon, "--set", "fsnyc=each", NULL), 64);
    assert_true(daemon_logged(daemon, "did you mean \"fsync\""));
    assert_int_equal(daemon_fails(daemon, "--frobnicate", NULL), 64);
    assert_int_equal(daemon_fails(daemon, "--set", "block_size=100000", NULL), 78);
    daemon->environment = environment;
    assert_int_equal(daemon_fails(daemon, NULL), 78);
    assert_int_equal(access(daemon->data_dir, F_OK), -1);
}

/* --check-config says that all is well, and creates nothing; --version and --help answer. */
static void checking_creates_nothing(void **state)
{
    struct daemon *daemon = *state;
    char text[8192] = "";

    assert_int_equal(daemon_fails(daemon, "--check-config", NULL), 0);
    assert_int_equal(daemon_fails(daemon, "--check-config", "--fsync", "often", NULL), 64);
    assert_int_equal(daemon_fails(daemon, "--help", NULL), 0);
    daemon_spawn(daemon, (const char *const[]){"--version", NULL});
    assert_true(read(daemon->output, text, sizeof text - 1) > 0);
    assert_int_equal(daemon_wait(daemon), 0);
    assert_non_null(strstr(text, "tuskd " TUSK_VERSION));
    assert_int_equal(access(daemon->data_dir, F_OK), -1);
    assert_int_equal(access(daemon->socket, F_OK), -1);
}

/* The ready line says what an operator wants to know. */
static void ready_line_says_what_is_served(void **state)
{
    struct daemon *daemon = *state;

    daemon_start(daemon, "--io", "posix", "--fsync", "each", NULL);
    assert_non_null(strstr(daemon->ready, "tuskd " TUSK_VERSION));
    assert_non_null(strstr(daemon->ready, daemon->socket));
    assert_non_null(strstr(daemon->ready, daemon->data_dir));
    assert_non_null(strstr(daemon->ready, "io=posix"));
    assert_non_null(strstr(daemon->ready, "fsync=each"));
    assert_non_null(strstr(daemon->ready, "recovery=clean"));
}

/* An option given explicitly counts also for a namespace that is there already. */
static void given_schedule_is_set_on_the_default_namespace(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;

    daemon_start(daemon, NULL);
    daemon_stop(daemon);
    daemon_start(daemon, "--fsync", "each", "--consistency", "at-least-once:7", NULL);
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire.hello.fsync_ms, 0);
    assert_int_equal(wire.hello.consistency, 7);
    wire_close(&wire);
    daemon_stop(daemon);
    daemon_start(daemon, NULL);
    assert_non_null(strstr(daemon->ready, "fsync=each"));
}

/* Every way of accessing the disk serves the same data. */
static void every_io_serves_the_same_data(void **state)
{
    static const char *const kinds[] = {"posix", "uring", "mmap"};
    static const char *const texts[] = {"a", "b", "c"};
    struct daemon *daemon = *state;
    struct wire wire;
    unsigned i;

    for (i = 0; i < 3; i++) {
        daemon_start(daemon, "--io", kinds[i], NULL);
        wire_open(&wire, daemon->socket, "default");
        assert_int_equal(wire_append_one(&wire, "t", texts[i]), 0);
        wire_expect_entries(&wire, "t", 0, texts, i + 1);
        wire_close(&wire);
        daemon_stop(daemon);
    }
}

/* Where a sandbox forbids rings the daemon serves all the same, and says what it uses instead. */
static void forbidden_uring_falls_back_to_posix(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;

    daemon->deny_uring = true;
    daemon_start(daemon, "--io", "uring", NULL);
    assert_non_null(strstr(daemon->ready, "io=posix"));
    assert_true(daemon_logged(daemon, "using posix instead of uring"));
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append_one(&wire, "t", "x"), 0);
    wire_close(&wire);
}

/* ---- the data directory ---- */

/* It is made for its owner alone, but only its last part; one that others may enter is refused. */
static void data_directory_is_private(void **state)
{
    struct daemon *daemon = *state;
    struct stat made;

    daemon_start(daemon, NULL);
    assert_int_equal(stat(daemon->data_dir, &made), 0);
    assert_int_equal(made.st_mode & 07777, 0700);
    daemon_stop(daemon);
    assert_int_equal(chmod(daemon->data_dir, 0750), 0);
    assert_int_equal(daemon_fails(daemon, NULL), 78);
    assert_true(daemon_logged(daemon, "mode 0750"));
    assert_int_equal(daemon_fails(daemon, "--data-dir", "/nonexistent/a/b", NULL), 73);
    assert_int_equal(daemon_fails(daemon, "--data-dir", "/dev/null", NULL), 78);
}

/* A second daemon on a directory exits 75 and names the first one's process and the directory; the
 * first is not disturbed. */
static void second_daemon_names_the_first(void **state)
{
    struct daemon *first = *state;
    struct daemon second;
    char pid[32];
    struct wire wire;

    daemon_start(first, NULL);
    daemon_init(&second);
    (void)snprintf(second.data_dir, sizeof second.data_dir, "%s", first->data_dir);
    assert_int_equal(daemon_fails(&second, NULL), 75);
    (void)snprintf(pid, sizeof pid, "%ld", (long)first->pid);
    assert_true(daemon_logged(&second, pid));
    assert_true(daemon_logged(&second, first->data_dir));
    daemon_deinit(&second);
    wire_open(&wire, first->socket, "default");
    assert_int_equal(wire_append_one(&wire, "t", "x"), 0);
    wire_close(&wire);
}

/* ---- the socket ---- */

/* The socket is its owner's alone, from the moment it exists, and gone after a clean stop. */
static void socket_is_private_and_removed(void **state)
{
    struct daemon *daemon = *state;
    struct stat made;

    daemon_start(daemon, NULL);
    assert_int_equal(stat(daemon->socket, &made), 0);
    assert_true(S_ISSOCK(made.st_mode));
    assert_int_equal(made.st_mode & 0777, 0600);
    daemon_stop(daemon);
    assert_int_equal(access(daemon->socket, F_OK), -1);
}

/* What a killed daemon left in the way is replaced. */
static void stale_socket_is_replaced(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;

    daemon_start(daemon, NULL);
    daemon_kill(daemon);
    assert_int_equal(access(daemon->socket, F_OK), 0);
    daemon_start(daemon, NULL);
    wire_open(&wire, daemon->socket, "default");
    wire_close(&wire);
}

/* A socket on which somebody answers is not taken away, and something else than a socket is not
 * removed; a path that does not fit is refused. */
static void socket_of_another_is_left_alone(void **state)
{
    struct daemon *daemon = *state;
    char path[160];
    struct daemon other;
    struct wire wire;
    FILE *file;

    daemon_start(daemon, NULL);
    daemon_init(&other);
    assert_int_equal(daemon_fails(&other, "--socket", daemon->socket, NULL), 73);
    assert_true(daemon_logged(&other, "another process answers"));
    wire_open(&wire, daemon->socket, "default");
    wire_close(&wire);
    file = fopen(other.socket, "w");
    assert_non_null(file);
    (void)fclose(file);
    assert_int_equal(daemon_fails(&other, NULL), 78);
    assert_int_equal(access(other.socket, F_OK), 0);
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = '\0';
    assert_int_equal(daemon_fails(&other, "--socket", path, NULL), 64);
    daemon_deinit(&other);
}

/* A start that fails behind recovery, for want of its socket, stops as cleanly as any: the next start has nothing to
 * recover from. */
static void failed_start_leaves_a_clean_store(void **state)
{
    struct daemon *daemon = *state;
    struct daemon other;

    daemon_start(daemon, NULL);
    daemon_init(&other);
    assert_int_equal(daemon_fails(&other, "--socket", daemon->socket, NULL), 73);
    assert_int_equal(daemon_fails(&other, "--socket", daemon->socket, NULL), 73);
    daemon_start(&other, NULL);
    assert_non_null(strstr(other.ready, "recovery=clean"));
    daemon_stop(&other);
    daemon_deinit(&other);
}

/* ---- systemd ---- */

static void skip_without_systemd(void)
{
    if (!TUSK_TEST_SYSTEMD) {
        print_message("SKIP: built without libsystemd\n");
        skip();
    }
}

/* A socket that systemd holds is used, and stays when the daemon goes: a client that connects
 * between two daemons is served by the second. */
static void passed_socket_survives_a_restart(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;

    skip_without_systemd();
    daemon->pass_fd = fixture_bound_socket(daemon->socket, SOCK_STREAM);
    assert_int_equal(listen(daemon->pass_fd, 16), 0);
    daemon_start(daemon, NULL);
    assert_non_null(strstr(daemon->ready, "socket=systemd"));
    daemon_stop(daemon);
    assert_int_equal(access(daemon->socket, F_OK), 0);
    wire_open(&wire, daemon->socket, NULL);
    daemon_start(daemon, NULL);
    wire_send_frame(&wire, FRAME_HEADER_SIZE, MESSAGE_PING, 1, "", 0);
    assert_int_equal(wire_expect_closed(&wire), 1);
    wire_close(&wire);
    (void)close(daemon->pass_fd);
    daemon->pass_fd = -1;
}

/* Something else than a listening stream socket cannot be used, and is said to be no use. */
static void passed_socket_of_another_kind_is_refused(void **state)
{
    struct daemon *daemon = *state;
    int fd;

    skip_without_systemd();
    fd = fixture_bound_socket(daemon->socket, SOCK_DGRAM);
    daemon->pass_fd = fd;
    assert_int_equal(daemon_fails(daemon, NULL), 78);
    assert_true(daemon_logged(daemon, "LISTEN_FDS"));
    (void)close(fd);
}

/* systemd hears READY=1 once the daemon serves, WATCHDOG=1 while its loop turns, STOPPING=1 at the
 * end. */
static void systemd_is_told(void **state)
{
    static char notify[DAEMON_PATH_SIZE + 32];
    static const char *const environment[] = {notify, "WATCHDOG_USEC=100000", NULL};
    struct daemon *daemon = *state;
    char path[DAEMON_PATH_SIZE];
    char heard[16384];
    struct wire wire;
    int fd;

    skip_without_systemd();
    (void)snprintf(path, sizeof path, "%.200s/n", daemon->dir);
    (void)snprintf(notify, sizeof notify, "NOTIFY_SOCKET=%s", path);
    fd = fixture_bound_socket(path, SOCK_DGRAM);
    daemon->environment = environment;
    daemon_spawn(daemon, NULL);
    fixture_hear(fd, heard, sizeof heard, "READY=1");
    wire_open(&wire, daemon->socket, "default");
    wire_close(&wire);
    fixture_hear(fd, heard, sizeof heard, "WATCHDOG=1");
    fixture_hear(fd, heard, sizeof heard, "WATCHDOG=1");
    assert_int_equal(kill(daemon->pid, SIGTERM), 0);
    fixture_hear(fd, heard, sizeof heard, "STOPPING=1");
    assert_int_equal(daemon_wait(daemon), 0);
    (void)close(fd);
}

/* ---- descriptors ---- */

#define STORM 500u

static int connect_only(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* Too few descriptors for what is there and what will be needed are refused at the start, with numbers and a remedy; the
 * data is left as it was. */
static void too_few_descriptors_are_refused(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;

    daemon_start_with(daemon, fixture_small);
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append_one(&wire, "t", "x"), 0);
    wire_close(&wire);
    daemon_stop(daemon);
    for (daemon->descriptors = 8; daemon->descriptors < 50; daemon->descriptors += 3) {
        assert_int_equal(daemon_fails(daemon, NULL), 78);
    }
    daemon->descriptors = 48;
    assert_int_equal(daemon_fails(daemon, NULL), 78);
    assert_true(daemon_logged(daemon, "too few descriptors"));
    daemon->descriptors = 0;
    daemon_start_with(daemon, fixture_small);
    wire_open(&wire, daemon->socket, "default");
    wire_expect_entries(&wire, "t", 0, (const char *const[]){"x"}, 1);
    wire_close(&wire);
}

/* Five hundred clients knock at a daemon with 64 descriptors: it takes those it can, does not spin,
 * its storage still rolls over, and when the storm is over everybody is served again. */
static void descriptor_storm_is_weathered(void **state)
{
    struct daemon *daemon = *state;
    int storm[STORM];
    struct wire before;
    struct wire after;
    uint64_t cpu;
    unsigned i;

    daemon->descriptors = 64;
    daemon_start_with(daemon, fixture_small);
    wire_open(&before, daemon->socket, "default");
    for (i = 0; i < STORM; i++) {
        storm[i] = connect_only(daemon->socket);
    }
    /* Rollover: more than a segment of small blocks, while descriptors are short. */
    for (i = 0; i < 48; i++) {
        assert_int_equal(wire_append_fill(&before, "t", 'x', 256 * 1024), 0);
    }
    assert_true(daemon_logged(daemon, "not accepting"));
    cpu = daemon_cpu_ms(daemon);
    (void)usleep(1000 * 1000); /* What is measured is what it does in this second */
    assert_true(daemon_cpu_ms(daemon) - cpu < 100);
    for (i = 0; i < STORM; i++) {
        if (storm[i] >= 0) {
            (void)close(storm[i]);
        }
    }
    wire_open(&after, daemon->socket, "default");
    assert_int_equal(wire_append_one(&after, "t", "x"), 0);
    wire_close(&after);
    wire_close(&before);
}

/* At connections_max further clients wait, and are served when one goes. */
static void connections_beyond_the_limit_wait(void **state)
{
    struct daemon *daemon = *state;
    struct wire_reply reply;
    struct wire one;
    struct wire two;
    struct wire waiting;
    uint8_t *bytes;
    size_t size;
    const struct message hello = {
        .type = MESSAGE_HELLO,
        .u.hello = {.version_min = 1,
                    .version_max = 1,
                    .space = wire_name(""),
                    .client = wire_name("")},
    };

    daemon_start(daemon, "--set", "connections_max=2", NULL);
    wire_open(&one, daemon->socket, "default");
    wire_open(&two, daemon->socket, "default");
    wire_open(&waiting, daemon->socket, NULL);
    bytes = wire_encode(&hello, 5, &size);
    assert_true(wire_send_bytes(&waiting, bytes, size));
    assert_int_equal(wire_simple(&one, MESSAGE_PING), 0);
    assert_false(wire_readable(&waiting, 50));
    wire_close(&one);
    assert_true(wire_receive(&waiting, &reply));
    assert_int_equal(reply.status, 0);
    free(bytes);
    wire_close(&two);
    wire_close(&waiting);
}

/* ---- access ---- */

/* Even where the file's rights let somebody connect, only the daemon's own user and root may do
 * anything: others are told so, in a sentence. */
static void other_users_are_denied(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;

    if (geteuid() != 0) {
        print_message("SKIP: to be somebody else takes root\n");
        skip();
    }
    daemon_start(daemon, NULL);
    assert_int_equal(chmod(daemon->dir, 0711), 0);
    assert_int_equal(chmod(daemon->socket, 0666), 0);
    assert_int_equal(seteuid(65534), 0);
    assert_false(wire_try_open(&wire, daemon->socket, "default"));
    assert_int_equal(seteuid(0), 0);
    assert_true(daemon_logged(daemon, "user id 65534 may not"));
    wire_open(&wire, daemon->socket, "default");
    wire_close(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(wrong_options_exit_before_anything_is_created),
        FIXTURE_TEST(checking_creates_nothing),
        FIXTURE_TEST(ready_line_says_what_is_served),
        FIXTURE_TEST(given_schedule_is_set_on_the_default_namespace),
        FIXTURE_TEST(every_io_serves_the_same_data),
        FIXTURE_TEST(forbidden_uring_falls_back_to_posix),
        FIXTURE_TEST(data_directory_is_private),
        FIXTURE_TEST(second_daemon_names_the_first),
        FIXTURE_TEST(socket_is_private_and_removed),
        FIXTURE_TEST(stale_socket_is_replaced),
        FIXTURE_TEST(socket_of_another_is_left_alone),
        FIXTURE_TEST(failed_start_leaves_a_clean_store),
        FIXTURE_TEST(passed_socket_survives_a_restart),
        FIXTURE_TEST(passed_socket_of_another_kind_is_refused),
        FIXTURE_TEST(systemd_is_told),
        FIXTURE_TEST(too_few_descriptors_are_refused),
        FIXTURE_TEST(descriptor_storm_is_weathered),
        FIXTURE_TEST(connections_beyond_the_limit_wait),
        FIXTURE_TEST(other_users_are_denied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
