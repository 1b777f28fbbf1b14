/* Clients that die with an append half sent, or sent and not answered. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/fixture.h"

#define PADDING 100000u /* Of an entry that goes straight to its block */

/* In a process of its own: connect, send so many bytes, and be killed without closing anything. */
static void send_and_die(struct daemon *daemon, const uint8_t *bytes, size_t size)
{
    int status;
    const pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct wire wire;

        wire_open(&wire, daemon->socket, "default");
        (void)wire_send_bytes(&wire, bytes, size);
        (void)kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

/* Wait until the daemon has noticed that the dead are gone. */
static void await_alone(struct wire *wire)
{
    const uint64_t end = daemon_now_ms() + WIRE_WAIT_MS;

    while (wire_stat(wire, "connections") > 1 || wire_stat(wire, "requests_in_flight") > 0) {
        assert_true(daemon_now_ms() < end);
    }
}

static char *padded(const char *text)
{
    char *entry = malloc(PADDING + 1);

    assert_non_null(entry);
    memset(entry, 'p', PADDING);
    memcpy(entry, text, strlen(text));
    entry[PADDING] = '\0';
    return entry;
}

/* A client is killed in the middle of a batch so large that it goes straight to its block: at the
 * borders of its parts and at many places between, nothing of it is stored, and what comes next is
 * stored as if nothing had been. */
static void client_killed_in_a_large_batch_leaves_no_part(void **state)
{
    struct daemon *daemon = *state;
    char *const entries[] = {padded("one"), padded("two")};
    const char *const texts[] = {entries[0], entries[1]};
    struct message message;
    struct wire good;
    uint8_t *batch;
    uint8_t *bytes;
    size_t size;
    size_t cut;

    wire_open(&good, daemon->socket, "default");
    assert_int_equal(wire_append_one(&good, "t", "before"), 0);
    message = wire_append_message("t", texts, 2, &batch);
    bytes = wire_encode(&message, 1, &size);
    for (cut = 1; cut < 110; cut += 9) { /* Frame, request, batch header, lengths */
        send_and_die(daemon, bytes, cut);
    }
    for (cut = 110; cut < size; cut += size / 20) {
        send_and_die(daemon, bytes, cut);
    }
    send_and_die(daemon, bytes, size - 1);
    await_alone(&good);
    assert_int_equal(wire_append(&good, "t", texts, 2, NULL), 0);
    wire_expect_entries(&good, "t", 0, (const char *const[]){"before", texts[0], texts[1]}, 3);
    free(bytes);
    free(batch);
    free(entries[0]);
    free(entries[1]);
    wire_close(&good);
}

struct seen {
    unsigned entries;
    char last[64];
};

static void see(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    struct seen *seen = arg;

    (void)offset;
    assert_true(size < sizeof seen->last);
    memcpy(seen->last, data, size);
    seen->last[size] = '\0';
    seen->entries++;
}

/* A client is killed when its batch is sent and before it has the reply: for it the outcome is
 * unknown. The batch is stored once and whole, or not at all, whatever the schedule; nobody stores
 * it a second time. */
static void client_killed_before_the_reply_has_stored_once_or_not(void **state)
{
    static const char *const schedules[] = {"each", "200", "none"};
    struct daemon *daemon = *state;
    size_t i;

    for (i = 0; i < sizeof schedules / sizeof schedules[0]; i++) {
        unsigned kept = 0;
        unsigned round;
        struct wire good;

        daemon_start(daemon, "--fsync", schedules[i], NULL);
        wire_open(&good, daemon->socket, "default");
        for (round = 0; round < 20; round++) {
            struct message message;
            struct seen seen = {0};
            char topic[32];
            uint8_t *batch;
            uint8_t *bytes;
            size_t size;

            (void)snprintf(topic, sizeof topic, "%s %u", schedules[i], round);
            message = wire_append_message(topic, (const char *const[]){"a", "b", "c"}, 3, &batch);
            bytes = wire_encode(&message, 1, &size);
            send_and_die(daemon, bytes, size);
            await_alone(&good);
            assert_int_equal(wire_append_one(&good, topic, "behind"), 0);
            (void)wire_drain(&good, topic, 0, see, &seen);
            assert_true(seen.entries == 4 || seen.entries == 1);
            assert_string_equal(seen.last, "behind");
            kept += seen.entries == 4;
            free(bytes);
            free(batch);
        }
        print_message("fsync %s: %u of %u stored\n", schedules[i], kept, round);
        wire_close(&good);
        daemon_stop(daemon);
    }
}

/* A client dies while its append waits for the disk, and the daemon is killed then: what was sent
 * is there whole or not at all after the restart, too. */
static void client_and_daemon_killed_together_leave_no_part(void **state)
{
    struct daemon *daemon = *state;
    unsigned round;

    for (round = 0; round < 10; round++) {
        char *const entries[] = {padded("one"), padded("two")};
        struct message message;
        struct wire_reply reply;
        struct wire good;
        uint64_t end = 0;
        uint8_t *batch;
        uint8_t *bytes;
        size_t size;

        daemon_start_with(daemon, fixture_small);
        message =
            wire_append_message("t", (const char *const[]){entries[0], entries[1]}, 2, &batch);
        bytes = wire_encode(&message, 1, &size);
        send_and_die(daemon, bytes, size);
        daemon_kill(daemon);
        daemon_start_with(daemon, fixture_small);
        wire_open(&good, daemon->socket, "default");
        message = (struct message){.type = MESSAGE_TOPIC_INFO, .u.topic = wire_topic("t")};
        if (wire_call(&good, &message, &reply) == 0) {
            struct message_topic_info info;

            assert_int_equal(message_topic_info_decode(&info, reply.body, reply.size), 0);
            assert_int_equal(info.entries % 2, 0);
            end = info.entries;
        }
        print_message("%llu entries\n", (unsigned long long)end);
        free(bytes);
        free(batch);
        free(entries[0]);
        free(entries[1]);
        wire_close(&good);
        daemon_stop(daemon);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_RUNNING_TEST(client_killed_in_a_large_batch_leaves_no_part),
        FIXTURE_TEST(client_killed_before_the_reply_has_stored_once_or_not),
        FIXTURE_TEST(client_and_daemon_killed_together_leave_no_part),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
