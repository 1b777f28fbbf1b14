/* Requests that take long, as SLOWLOG tells them. What makes one long here is a quota that is used up: an append
 * waits for it, and is refused when quota_wait is over, which is longer than slowlog_threshold. Others may take as long
 * where the disk is busy, and are told, too. */
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/fixture.h"

#define WAIT_US UINT64_C(400000) /* quota_wait */
#define ALICE 4001u
#define ENTRY (20u << 10)

struct told {
    struct message_slow items[16]; /* Their texts are gone */
    char topics[16][MESSAGE_NAME_SIZE_MAX + 1];
    unsigned count;
    unsigned elsewhere; /* Of them, those that are not of this namespace */
    bool more;
};

/* ---- the daemon ---- */

static void configure(const struct daemon *daemon, const char *path, const char *more)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fprintf(file,
                        "[server]\nquota_wait = 400ms\n%s\n"
                        "[defaults]\nblock_size = 64KiB\nblocks_per_segment = 4\n"
                        "[namespace \"default\"]\nquota_size = 128KiB\nquota_policy = wait\n",
                        more) > 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(daemon->dir, 0711), 0); /* Others find the socket */
}

static const char *start(struct daemon *daemon, const char *more)
{
    static char path[DAEMON_PATH_SIZE + 16];

    (void)snprintf(path, sizeof path, "%s/tuskd.conf", daemon->dir);
    configure(daemon, path, more);
    daemon_start(daemon, "--config", path, NULL);
    return path;
}

/* One append after the other, until one has waited for the quota in vain. Once it is used up that is the first one of
 * any topic. */
static void be_slow(struct wire *wire, const char *topic)
{
    unsigned i;
    int status;

    for (i = 0; (status = wire_append_fill(wire, topic, 'x', ENTRY)) == 0; i++) {
        assert_true(i < 100);
    }
    assert_int_equal(status, TUSK_EQUOTA);
}

/* ---- SLOWLOG ---- */

static int ask_of(struct wire *wire, const char *space, uint32_t max, uint64_t before, bool forget,
                  struct told *told)
{
    const struct message message = {
        .type = MESSAGE_SLOWLOG,
        .u.slowlog = {.max = max, .before = before, .forget = forget},
    };
    struct message_reader reader;
    struct message_slow item;
    struct wire_reply reply;
    const int status = wire_call(wire, &message, &reply);

    *told = (struct told){.count = 0};
    if (status != 0) {
        return status;
    }
    wire_need(message_list_begin(&reader, reply.body, reply.size) == 0, "read the list");
    told->more = reader.more;
    while (told->count < 16 && message_slow_list_next(&reader, &item) == 1) {
        told->items[told->count] = item;
        (void)snprintf(told->topics[told->count], sizeof told->topics[0], "%.*s",
                       (int)item.topic.size, item.topic.data);
        wire_need(item.duration_us ==
                      item.waited_us + item.queued_us + item.worked_us + item.synced_us,
                  "the parts are the whole");
        told->elsewhere += item.space.size != strlen(space) ||
                           memcmp(item.space.data, space, item.space.size) != 0;
        told->count++;
    }
    return 0;
}

static int ask(struct wire *wire, uint32_t max, uint64_t before, bool forget, struct told *told)
{
    return ask_of(wire, "default", max, before, forget, told);
}

/* ---- tests ---- */

/* A request that took long is kept: which it was, who asked, and that its time went on waiting. */
static void what_took_long_is_told(void **state)
{
    struct daemon *daemon = *state;
    const struct message_slow *slow;
    struct told told;
    struct wire wire;

    (void)start(daemon, "slowlog_threshold = 300ms");
    wire_open(&wire, daemon->socket, "default");
    be_slow(&wire, "t");
    assert_int_equal(ask(&wire, 16, 0, false, &told), 0);
    assert_true(told.count >= 1);
    assert_int_equal(told.elsewhere, 0);
    slow = &told.items[0];
    assert_int_equal(slow->status, -TUSK_EQUOTA);
    assert_true(slow->duration_us >= WAIT_US);
    assert_true(slow->waited_us >= WAIT_US);
    assert_int_equal(slow->queued_us + slow->synced_us, 0);
    assert_true(slow->bytes > ENTRY);
    assert_int_equal(slow->pid, getpid());
    assert_int_equal(slow->uid, getuid());
    assert_true(slow->time_us > UINT64_C(1700000000000000));
    assert_string_equal(told.topics[0], "t");
    assert_int_equal(wire_stat(&wire, "requests_slow"), slow->number);
    wire_close(&wire);
}

/* Newest first, page by page; what is forgotten is not told again, and still counted. */
static void the_list_has_pages_and_can_be_forgotten(void **state)
{
    struct daemon *daemon = *state;
    uint64_t count;
    struct told told;
    struct wire wire;

    (void)start(daemon, "slowlog_threshold = 300ms\nslowlog_entries = 2");
    wire_open(&wire, daemon->socket, "default");
    be_slow(&wire, "a");
    be_slow(&wire, "b");
    be_slow(&wire, "c");
    count = wire_stat(&wire, "requests_slow");
    assert_true(count >= 3);
    assert_int_equal(ask(&wire, 1, 0, false, &told), 0);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.items[0].number, count);
    assert_true(told.more);
    assert_string_equal(told.topics[0], "c");
    assert_int_equal(ask(&wire, 1, told.items[0].number, false, &told), 0);
    assert_int_equal(told.count, 1);
    assert_false(told.more); /* Two are kept, those before have gone */
    assert_string_equal(told.topics[0], "b");
    assert_int_equal(ask(&wire, 1, told.items[0].number + 1, true, &told), 0);
    assert_int_equal(told.count, 0);
    assert_int_equal(ask(&wire, 16, 0, false, &told), 0);
    assert_int_equal(told.count, 1);
    assert_string_equal(told.topics[0], "c");
    assert_int_equal(wire_stat(&wire, "requests_slow"), count);
    wire_close(&wire);
}

/* A reader that waits for an entry in vain is not slow, however long it waits. */
static void a_read_is_not_slow_for_its_wait(void **state)
{
    struct daemon *daemon = *state;
    struct message message = wire_read_message("t", 0);
    struct wire_reply reply;
    struct wire wire;
    uint64_t count;

    (void)start(daemon, "slowlog_threshold = 300ms");
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_append_one(&wire, "t", "first"), 0);
    count = wire_stat(&wire, "requests_slow");
    message.u.read.position = (struct message_position){.kind = POSITION_LATEST};
    message.u.read.wait_ms = 600;
    assert_int_equal(wire_call(&wire, &message, &reply), TUSK_EEND);
    assert_int_equal(wire_stat(&wire, "requests_slow"), count);
    wire_close(&wire);
}

/* "none" turns it off, and a reload on again, with room for as many as it says. */
static void a_reload_changes_threshold_and_room(void **state)
{
    struct daemon *daemon = *state;
    const char *path = start(daemon, "slowlog_threshold = none\nslowlog_entries = 0");
    struct told told;
    struct wire wire;

    wire_open(&wire, daemon->socket, "default");
    be_slow(&wire, "a");
    assert_int_equal(wire_stat(&wire, "requests_slow"), 0);
    configure(daemon, path, "slowlog_threshold = 300ms\nslowlog_entries = 1");
    fixture_reload(daemon, true);
    be_slow(&wire, "b");
    be_slow(&wire, "c");
    assert_int_equal(ask(&wire, 16, 0, false, &told), 0);
    assert_int_equal(told.count, 1);
    assert_string_equal(told.topics[0], "c");
    assert_int_equal(wire_stat(&wire, "requests_slow"), 2);
    wire_close(&wire);
}

/* In a process of that user: what SLOWLOG says on a namespace; 100 and more: entries of others told. */
static int ask_as(const struct daemon *daemon, uid_t uid, const char *space, bool forget)
{
    const pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        struct told told;
        struct wire wire;
        int rc;

        wire_need(setgroups(0, NULL) == 0 && setgid(uid) == 0 && setuid(uid) == 0,
                  "become another user");
        wire_open(&wire, daemon->socket, space);
        rc = ask_of(&wire, space, 16, 0, forget, &told);
        _exit(rc != 0 ? -rc : 100 + (int)told.elsewhere);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* It takes the right admin, and who administers one namespace is neither told of another, nor can he
 * have it forgotten. */
static void others_namespaces_are_not_told(void **state)
{
    struct daemon *daemon = *state;
    struct told told;
    struct wire wire;

    if (geteuid() != 0) {
        print_message("SKIP: only root can become somebody else\n");
        skip();
    }
    (void)start(daemon, "slowlog_threshold = 300ms\n"
                        "[namespace \"mine\"]\nallow = user:4001 admin\n"
                        "[namespace \"yours\"]\nallow = user:4001 read,append");
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_space_create(&wire, "mine", 200), 0);
    assert_int_equal(wire_space_create(&wire, "yours", 200), 0);
    be_slow(&wire, "t");
    assert_int_equal(ask_as(daemon, ALICE, "yours", false), -TUSK_EDENIED);
    assert_int_equal(ask_as(daemon, ALICE, "mine", false), 100);
    assert_int_equal(ask_as(daemon, ALICE, "mine", true), 100);
    assert_int_equal(ask(&wire, 16, 0, false, &told), 0);
    assert_true(told.count >= 1);
    assert_int_equal(told.items[0].status, -TUSK_EQUOTA);
    wire_close(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(what_took_long_is_told),
        FIXTURE_TEST(the_list_has_pages_and_can_be_forgotten),
        FIXTURE_TEST(a_read_is_not_slow_for_its_wait),
        FIXTURE_TEST(a_reload_changes_threshold_and_room),
        FIXTURE_TEST(others_namespaces_are_not_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
