/* Nobody is starved. Judged by the order in which the daemon serves, which offsets tell, and by how
 * often; never by time. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/fixture.h"

#define SLOW 100u
#define ROUNDS 5u
#define IN_FLIGHT 256u /* requests_max of the daemon */
/* What may be sent and not read yet: a socket's buffer holds less than a frame per KiB of it. */
#define SOCKET_FRAMES 1024u

/* ---- a producer at full rate ---- */

struct flood {
    pid_t pid;
    atomic_ullong *sent; /* Shared; frames handed to the kernel */
};

/* Send as fast as the daemon reads, and drop what it answers. */
static _Noreturn void flood_for_ever(const struct wire *wire, const uint8_t *frame, size_t size,
                                     atomic_ullong *sent)
{
    static uint8_t waste[65536];
    size_t done = 0;

    (void)fcntl(wire->fd, F_SETFL, O_NONBLOCK);
    for (;;) {
        struct pollfd wait = {.fd = wire->fd, .events = POLLIN | POLLOUT};
        ssize_t rc;

        (void)poll(&wait, 1, -1);
        if ((wait.revents & POLLIN) != 0 && recv(wire->fd, waste, sizeof waste, 0) == 0) {
            _exit(0);
        }
        while ((wait.revents & POLLOUT) != 0 &&
               (rc = send(wire->fd, frame + done, size - done, MSG_NOSIGNAL)) > 0) {
            done += (size_t)rc;
            if (done == size) {
                done = 0;
                atomic_fetch_add(sent, 1);
            }
        }
    }
}

static void flood_start(struct flood *flood, struct daemon *daemon, uint32_t entry_size)
{
    char *text = malloc(entry_size + 1);
    struct message message;
    struct wire wire;
    uint8_t *batch;
    uint8_t *frame;
    size_t size;

    assert_non_null(text);
    memset(text, 'f', entry_size);
    text[entry_size] = '\0';
    flood->sent =
        mmap(NULL, sizeof *flood->sent, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(flood->sent != MAP_FAILED);
    wire_open(&wire, daemon->socket, "default");
    message = wire_append_message("t", (const char *const[]){text}, 1, &batch);
    frame = wire_encode(&message, 1, &size);
    flood->pid = fork();
    assert_true(flood->pid >= 0);
    if (flood->pid == 0) {
        flood_for_ever(&wire, frame, size, flood->sent);
    }
    wire_close(&wire);
    free(frame);
    free(batch);
    free(text);
}

static void flood_stop(struct flood *flood)
{
    (void)kill(flood->pid, SIGKILL);
    assert_int_equal(waitpid(flood->pid, NULL, 0), flood->pid);
    (void)munmap(flood->sent, sizeof *flood->sent);
}

/* ---- others beside it ---- */

static void stand_still(const struct daemon *daemon)
{
    int status;

    assert_int_equal(kill(daemon->pid, SIGSTOP), 0);
    assert_int_equal(waitpid(daemon->pid, &status, WUNTRACED), daemon->pid);
    assert_true(WIFSTOPPED(status));
}

static uint64_t take_offset(struct wire *wire)
{
    struct message_append_reply result;
    struct wire_reply reply;

    assert_true(wire_receive(wire, &reply));
    assert_int_equal(reply.status, 0);
    assert_int_equal(message_append_reply_decode(&result, reply.body, reply.size), 0);
    return result.first_offset;
}

/* While the daemon stands still everybody has something for it. When it goes on, each slow one is
 * served before the fast one had more than what it may have under way, twice. */
static void expect_turns(struct daemon *daemon, uint32_t flood_entry_size)
{
    const char *text = "slow";
    struct message message;
    struct wire slow[SLOW];
    struct flood flood;
    uint8_t *batch;
    unsigned round;
    unsigned i;

    message = wire_append_message("t", &text, 1, &batch);
    for (i = 0; i < SLOW; i++) {
        wire_open(&slow[i], daemon->socket, "default");
    }
    flood_start(&flood, daemon, flood_entry_size);
    for (round = 0; round < ROUNDS; round++) {
        uint64_t before;

        assert_int_equal(wire_append_one(&slow[0], "other", "x"), 0); /* It is going round */
        stand_still(daemon);
        for (i = 0; i < SLOW; i++) {
            assert_true(wire_send(&slow[i], &message) != 0);
        }
        before = atomic_load(flood.sent);
        assert_int_equal(kill(daemon->pid, SIGCONT), 0);
        for (i = 0; i < SLOW; i++) {
            const uint64_t bound = before + (round + 1) * SLOW + 2 * IN_FLIGHT + SOCKET_FRAMES;

            assert_true(take_offset(&slow[i]) <= bound);
        }
    }
    flood_stop(&flood);
    for (i = 0; i < SLOW; i++) {
        wire_close(&slow[i]);
    }
    free(batch);
}

/* One producer sends as fast as it can, a hundred send one entry now and then: each of these is
 * served within the turn or two in which it comes. */
static void producer_at_full_rate_holds_nobody_up(void **state)
{
    struct daemon *daemon = *state;

    daemon_start(daemon, "--set", "requests_max=256", NULL);
    expect_turns(daemon, 100);
}

/* The same when appends have to wait for the disk, because what is not durable has reached its
 * limit. */
static void producer_at_full_rate_holds_nobody_up_at_a_slow_disk(void **state)
{
    struct daemon *daemon = *state;

    daemon_start(daemon, "--set", "requests_max=256", "--set", "unsynced_window=64KiB", "--fsync",
                 "5", NULL);
    expect_turns(daemon, 8000);
}

/* ---- equals ---- */

#define EQUALS 50u
#define SERVED 1000u

/* A client of another kind, which keeps the daemon going round. */
static pid_t ping_in_background(struct wire *wire)
{
    const pid_t child = fork();

    assert_true(child >= 0);
    while (child == 0 && wire_simple(wire, MESSAGE_PING) == 0) {
    }
    return child;
}

/* Fifty producers always have one append under way, and only a few fit what may be unsynced at
 * once: they take turns, however many turns the daemon makes for somebody else meanwhile. None is
 * served half as often as another. */
static void producers_that_wait_for_the_disk_take_turns(void **state)
{
    struct daemon *daemon = *state;
    struct pollfd polls[EQUALS];
    struct wire wires[EQUALS];
    unsigned served[EQUALS] = {0};
    unsigned least = SERVED;
    unsigned most = 0;
    unsigned sum = 0;
    char text[16001];
    const char *texts[] = {text};
    struct message message;
    struct wire other;
    pid_t other_pid;
    uint8_t *batch;
    unsigned i;

    memset(text, 'e', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    daemon_start(daemon, "--set", "unsynced_window=64KiB", "--fsync", "5", NULL);
    message = wire_append_message("t", texts, 1, &batch);
    for (i = 0; i < EQUALS; i++) {
        wire_open(&wires[i], daemon->socket, "default");
        assert_true(wire_send(&wires[i], &message) != 0);
        polls[i] = (struct pollfd){.fd = wires[i].fd, .events = POLLIN};
    }
    wire_open(&other, daemon->socket, "default");
    other_pid = ping_in_background(&other);
    while (sum < SERVED) {
        assert_true(poll(polls, EQUALS, WIRE_WAIT_MS) > 0);
        for (i = 0; i < EQUALS; i++) {
            if (polls[i].revents != 0) {
                (void)take_offset(&wires[i]);
                assert_true(wire_send(&wires[i], &message) != 0);
                served[i]++;
                sum++;
            }
        }
    }
    (void)kill(other_pid, SIGKILL);
    assert_int_equal(waitpid(other_pid, NULL, 0), other_pid);
    wire_close(&other);
    for (i = 0; i < EQUALS; i++) {
        least = served[i] < least ? served[i] : least;
        most = served[i] > most ? served[i] : most;
        wire_close(&wires[i]);
    }
    print_message("served %u to %u times\n", least, most);
    assert_true(least * 2 >= most);
    free(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(producer_at_full_rate_holds_nobody_up),
        FIXTURE_TEST(producer_at_full_rate_holds_nobody_up_at_a_slow_disk),
        FIXTURE_TEST(producers_that_wait_for_the_disk_take_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
