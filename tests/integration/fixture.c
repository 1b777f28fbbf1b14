#include "tests/integration/fixture.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

const char *const fixture_small[] = {
    "--set", "block_size=1MiB",       "--set", "blocks_per_segment=8",
    "--set", "batch_size_max=512KiB", "--set", "entry_size_max=512KiB",
    "--set", "journal_file_max=4MiB", "--set", "journal_size_max=32MiB",
    NULL,
};

int fixture_setup(void **state)
{
    struct daemon *daemon = malloc(sizeof *daemon);

    if (daemon == NULL) {
        return -1;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    daemon_init(daemon);
    *state = daemon;
    return 0;
}

int fixture_setup_running(void **state)
{
    if (fixture_setup(state) != 0) {
        return -1;
    }
    daemon_start_with(*state, fixture_small);
    return 0;
}

int fixture_teardown(void **state)
{
    struct daemon *daemon = *state;

    /* A clean end, so that what a sanitizer has to say at it is heard. */
    if (daemon->pid > 0) {
        daemon_stop(daemon);
    }
    daemon_deinit(daemon);
    free(daemon);
    return 0;
}

int fixture_bound_socket(const char *path, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    memcpy(address.sun_path, path, strlen(path) + 1);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

void fixture_hear(int fd, char *heard, size_t size, const char *until)
{
    size_t used = 0;

    heard[0] = '\0';
    while (strstr(heard, until) == NULL) {
        struct timeval bound = {.tv_sec = DAEMON_WAIT_MS / 1000};
        ssize_t got;

        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound);
        got = recv(fd, heard + used, size - used - 2, 0);
        assert_true(got > 0);
        used += (size_t)got;
        heard[used++] = '\n';
        heard[used] = '\0';
    }
}

void fixture_reload(const struct daemon *daemon, bool done)
{
    const char *word = done ? "part=reload msg=\"done" : "part=reload msg=\"refused";
    const unsigned before = daemon_count_logged(daemon, word);
    const uint64_t end = daemon_now_ms() + DAEMON_WAIT_MS;

    assert_int_equal(kill(daemon->pid, SIGHUP), 0);
    while (daemon_count_logged(daemon, word) == before) {
        assert_true(daemon_now_ms() < end);
        (void)usleep(2000); /* Gentle to the machine */
    }
}
