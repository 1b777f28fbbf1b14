/* The daemon as systemd sees it: what it is told while it recovers, whom a restart keeps waiting, and
 * what the log says of events. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/integration/fixture.h"

#define RESTARTS 12u
#define BETWEEN 20u /* Appends acknowledged between two of them */

static void skip_without_systemd(void)
{
    if (!TUSK_TEST_SYSTEMD) {
        print_message("SKIP: built without libsystemd\n");
        skip();
    }
}

/* ---- starting ---- */

/* While recovery reads, systemd is asked for patience and shown how far it is, and READY=1 comes behind all of that. */
static void recovery_asks_for_patience(void **state)
{
    static char notify[DAEMON_PATH_SIZE + 32];
    static const char *const environment[] = {notify, NULL};
    struct daemon *daemon = *state;
    char heard[65536];
    const char *extended;
    const char *status;
    struct wire wire;
    unsigned i;
    int fd;

    skip_without_systemd();
    daemon_start(daemon, "--set", "ring_size=16MiB", NULL);
    wire_open(&wire, daemon->socket, "default");
    for (i = 0; i < 400; i++) { /* 12 MiB of journal */
        assert_int_equal(wire_append_fill(&wire, "t", 'x', 32 * 1024), 0);
    }
    wire_close(&wire);
    daemon_kill(daemon);
    (void)snprintf(notify, sizeof notify, "NOTIFY_SOCKET=%.200s/n", daemon->dir);
    fd = fixture_bound_socket(notify + strlen("NOTIFY_SOCKET="), SOCK_DGRAM);
    daemon->environment = environment;
    daemon_spawn(daemon, NULL);
    fixture_hear(fd, heard, sizeof heard, "READY=1");
    extended = strstr(heard, "EXTEND_TIMEOUT_USEC=");
    status = strstr(heard, "STATUS=recovering namespace default: ");
    assert_non_null(extended);
    assert_non_null(status);
    assert_true(extended < strstr(heard, "READY=1"));
    assert_true(status < strstr(heard, "READY=1"));
    assert_true(daemon_await_ready(daemon));
    (void)close(fd);
}

/* ---- restarts ---- */

/* What parent and client tell each other. */
struct shared {
    atomic_uint acknowledged; /* Entries 0 to this are stored */
    atomic_bool enough;
};

/* In the child: append one number behind the other, each until it is acknowledged. A connection that ends is made again at once,
 * and is never refused. */
static void append_throughout(const char *socket, struct shared *shared)
{
    unsigned number = 0;

    while (!atomic_load(&shared->enough)) {
        struct wire wire;
        bool connected = true;

        wire_open(&wire, socket, NULL); /* Ends the child when it is refused */
        connected = wire_hello(&wire, "default") == 0;
        while (connected && !atomic_load(&shared->enough)) {
            uint8_t *bytes;
            char text[32];
            const char *texts[] = {text};
            struct wire_reply reply;
            struct message message;

            (void)snprintf(text, sizeof text, "%u", number);
            message = wire_append_message("t", texts, 1, &bytes);
            connected =
                wire_send(&wire, &message) != 0 && wire_receive(&wire, &reply) && reply.status == 0;
            free(bytes);
            if (connected) {
                number++;
                atomic_store(&shared->acknowledged, number);
            }
        }
        wire_close(&wire);
    }
}

static void await_more(struct shared *shared, pid_t client)
{
    const unsigned begin = atomic_load(&shared->acknowledged);
    const uint64_t end = daemon_now_ms() + DAEMON_WAIT_MS;
    const struct timespec pause = {.tv_nsec = 1000000};

    while (atomic_load(&shared->acknowledged) < begin + BETWEEN) {
        assert_true(daemon_now_ms() < end);
        assert_int_equal(waitpid(client, NULL, WNOHANG), 0);
        (void)nanosleep(&pause, NULL);
    }
}

struct numbers {
    unsigned next;
    unsigned again;
};

/* An append that was not acknowledged may be there, and then comes again. */
static void expect_number(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    struct numbers *numbers = arg;
    char text[32] = "";
    unsigned number;

    (void)offset;
    assert_true(size < sizeof text);
    memcpy(text, data, size);
    number = (unsigned)strtoul(text, NULL, 10);
    if (numbers->next > 0 && number == numbers->next - 1) {
        numbers->again++;
        return;
    }
    assert_int_equal(number, numbers->next);
    numbers->next++;
}

/* systemd holds the socket: a client that appends throughout is never refused a connection, however often the daemon is
 * stopped or killed and started again, and finds everything that was acknowledged, in order. */
static void a_restart_refuses_nobody(void **state)
{
    struct daemon *daemon = *state;
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct numbers numbers = {.next = 0};
    struct wire wire;
    unsigned round;
    pid_t client;
    int status;

    skip_without_systemd();
    assert_true(shared != MAP_FAILED);
    daemon->pass_fd = fixture_bound_socket(daemon->socket, SOCK_STREAM);
    assert_int_equal(listen(daemon->pass_fd, 16), 0);
    client = fork();
    assert_true(client >= 0);
    if (client == 0) { /* Before the first daemon is there */
        append_throughout(daemon->socket, shared);
        _exit(0);
    }
    for (round = 0; round < RESTARTS; round++) {
        daemon_start(daemon, NULL);
        await_more(shared, client);
        if (round % 3 == 2) {
            daemon_kill(daemon);
        } else {
            daemon_stop(daemon);
        }
    }
    atomic_store(&shared->enough, true);
    daemon_start(daemon, NULL); /* The client may wait in its queue */
    assert_int_equal(waitpid(client, &status, 0), client);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    wire_open(&wire, daemon->socket, "default");
    (void)wire_drain(&wire, "t", 0, expect_number, &numbers);
    wire_close(&wire);
    assert_true(numbers.next >= atomic_load(&shared->acknowledged));
    assert_true(numbers.again <= RESTARTS);
    daemon_stop(daemon);
    (void)close(daemon->pass_fd);
    daemon->pass_fd = -1;
    (void)munmap(shared, sizeof *shared);
}

/* ---- events ---- */

/* Damage that a client meets, and a quota that is used up, are the operator's business, too: the log names the namespace. */
static void a_full_namespace_is_an_event(void **state)
{
    struct daemon *daemon = *state;
    struct wire wire;
    int status = 0;
    unsigned i;

    daemon_start(daemon, "--set", "quota_size=8MiB", "--set", "block_size=1MiB", "--set",
                 "batch_size_max=512KiB", "--set", "entry_size_max=512KiB", NULL);
    wire_open(&wire, daemon->socket, "default");
    for (i = 0; i < 64 && status == 0; i++) {
        status = wire_append_fill(&wire, "t", 'x', 256 * 1024);
    }
    assert_int_equal(status, TUSK_EQUOTA);
    assert_true(daemon_logged(daemon, "level=warning part=append event=quota "
                                      "namespace=\"default\" msg="));
    wire_close(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(recovery_asks_for_patience),
        FIXTURE_TEST(a_restart_refuses_nobody),
        FIXTURE_TEST(a_full_namespace_is_an_event),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
