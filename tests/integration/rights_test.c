/* Who may do what: the allow lines of the configuration, held against processes of other users.
 * Only root can become others; without it these are skipped. */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/fixture.h"

#define ALICE 4001u
#define BOB 4002u
#define CAROL 4003u
#define DAVE 4004u
#define OPS 4100u /* A group */
#define OVERFLOW_ID 65534u

/* A user, and one more group than the one of the same number. */
struct user {
    uid_t uid;
    gid_t group; /* 0: none */
};

/* Statuses, as each request is answered; `connected` an errno. */
struct answers {
    int connected;
    int hello;
    int append;
    int sync;
    int read;
    int consume;
    int checkpoint;
    int list;
    int trim;
    int topic_set;
    int topic_create;
    int space_set;
    int space_create;
    int config;
    int snapshot;
    int slowlog;
    int other;       /* What bob may do */
    uint16_t rights; /* As ACCESS says */
    uint32_t uid;
    unsigned spaces; /* That NAMESPACE_LIST shows */
};

static int need_root(void)
{
    if (geteuid() != 0) {
        print_message("SKIP: only root can become somebody else\n");
        skip();
    }
    return 0;
}

/* ---- the configuration ---- */

static const char *const *configure(const struct daemon *daemon, const char *text)
{
    static char path[DAEMON_PATH_SIZE + 16];
    static const char *const arguments[] = {"--config", path, NULL};
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/tuskd.conf", daemon->dir);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(daemon->dir, 0711), 0); /* Others find the socket */
    return arguments;
}

static void start(struct daemon *daemon, const char *text)
{
    (void)need_root();
    daemon_start_with(daemon, configure(daemon, text));
}

/* ---- being somebody else ---- */

static void become(const struct user *user)
{
    const gid_t groups[] = {user->group};

    wire_need(setgroups(user->group != 0 ? 1 : 0, groups) == 0 && setgid(user->uid) == 0 &&
                  setuid(user->uid) == 0,
              "become another user");
}

static int call(struct wire *wire, const struct message *message)
{
    struct wire_reply reply;

    return wire_call(wire, message, &reply);
}

static int try_read(struct wire *wire, uint16_t flags)
{
    struct message message = wire_read_message("t", 0);

    if (flags != 0) {
        message.u.read.position = (struct message_position){.kind = POSITION_CURSOR};
        message.u.read.cursor = wire_name("c");
        message.u.read.flags = flags;
    }
    return call(wire, &message);
}

static int try_settings(struct wire *wire, uint16_t type, const char *topic)
{
    const struct message message = {
        .type = type,
        .u.topic_settings = {.topic = wire_topic(topic),
                             .settings = {.count = 1, .items = {{SETTING_RETENTION, 0}}}},
    };

    return call(wire, &message);
}

static int try_space(struct wire *wire, uint16_t type, const char *space)
{
    const struct message message = {
        .type = type,
        .u.namespace_settings = {.name = wire_name(space),
                                 .settings = {.count = 1, .items = {{SETTING_RETENTION, 0}}}},
    };

    return call(wire, &message);
}

static unsigned count_spaces(struct wire *wire)
{
    const struct message message = {.type = MESSAGE_NAMESPACE_LIST, .u.list = {.max = 100}};
    struct message_namespace_info item;
    struct message_reader reader;
    struct wire_reply reply;
    unsigned count = 0;

    wire_need(wire_call(wire, &message, &reply) == 0, "list namespaces");
    wire_need(message_list_begin(&reader, reply.body, reply.size) == 0, "read the list");
    while (message_namespace_list_next(&reader, &item) == 1) {
        count++;
    }
    return count;
}

/* What ACCESS says of somebody; "": of this process. */
static int ask_access(struct wire *wire, const char *user, struct answers *answers)
{
    const struct message message = {.type = MESSAGE_ACCESS,
                                    .u.access = {.user = wire_name(user), .space = wire_name("")}};
    struct message_access_reply said;
    struct wire_reply reply;
    const int status = wire_call(wire, &message, &reply);

    if (status == 0) {
        wire_need(message_access_reply_decode(&said, reply.body, reply.size) == 0, "decode ACCESS");
        answers->rights = said.rights;
        answers->uid = said.uid;
    }
    return status;
}

/* Ask for one thing of each kind. */
static void ask_all(struct wire *wire, struct answers *answers)
{
    const struct message begin = {.type = MESSAGE_SNAPSHOT_BEGIN};
    const struct message end = {.type = MESSAGE_SNAPSHOT_END};
    const struct message trim = {.type = MESSAGE_TOPIC_TRIM,
                                 .u.topic_trim = {.topic = wire_topic("t"), .offset = 0}};
    const struct message config = {.type = MESSAGE_CONFIG, .u.config = {.max = 1}};
    const struct message slowlog = {.type = MESSAGE_SLOWLOG, .u.slowlog = {.max = 1}};
    const struct message list = {.type = MESSAGE_TOPIC_LIST, .u.list = {.max = 1}};

    answers->append = wire_append_one(wire, "t", "x");
    answers->sync = wire_simple(wire, MESSAGE_SYNC);
    answers->read = try_read(wire, 0);
    answers->consume = try_read(wire, READ_CONSUME);
    answers->checkpoint = wire_checkpoint(wire, "t", "c", 0);
    answers->list = call(wire, &list);
    answers->trim = call(wire, &trim);
    answers->topic_set = try_settings(wire, MESSAGE_TOPIC_SET, "t");
    answers->topic_create = try_settings(wire, MESSAGE_TOPIC_CREATE, "made");
    answers->space_set = try_space(wire, MESSAGE_NAMESPACE_SET, "");
    answers->space_create = try_space(wire, MESSAGE_NAMESPACE_CREATE, "made");
    answers->config = call(wire, &config);
    answers->snapshot = call(wire, &begin);
    (void)call(wire, &end);
    answers->slowlog = call(wire, &slowlog);
    answers->spaces = count_spaces(wire);
    answers->other = ask_access(wire, "4002", answers);
    wire_need(ask_access(wire, "", answers) == 0, "everybody may ask about himself");
    wire_need(wire_simple(wire, MESSAGE_PING) == 0, "PING takes no right");
}

/* A process of that user connects, says HELLO and, where it may, asks for everything. */
static struct answers ask_as(const struct daemon *daemon, struct user user, const char *space)
{
    struct answers *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct answers answers;
    pid_t child;
    int status;

    assert_ptr_not_equal(shared, MAP_FAILED);
    memset(shared, 0, sizeof *shared);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct wire wire;

        become(&user);
        shared->connected = wire_try_open(&wire, daemon->socket, NULL) ? 0 : errno;
        if (shared->connected == 0) {
            shared->hello = wire_hello(&wire, space);
        }
        if (shared->connected == 0 && shared->hello == 0) {
            ask_all(&wire, shared);
        }
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    answers = *shared;
    assert_int_equal(munmap(shared, sizeof *shared), 0);
    return answers;
}

static void prepare_topic(const struct daemon *daemon, const char *space)
{
    struct wire wire;

    wire_open(&wire, daemon->socket, space);
    assert_int_equal(wire_append_one(&wire, "t", "first"), 0);
    wire_close(&wire);
}

static mode_t socket_mode(const struct daemon *daemon)
{
    struct stat there;

    assert_int_equal(stat(daemon->socket, &there), 0);
    return there.st_mode & 0777;
}

static void expect(int got, bool may)
{
    assert_int_equal(got, may ? 0 : TUSK_EDENIED);
}

static void expect_rights(const struct answers *answers, bool read, bool append, bool admin)
{
    assert_int_equal(answers->connected, 0);
    assert_int_equal(answers->hello, 0);
    expect(answers->append, append);
    expect(answers->sync, append);
    expect(answers->read, read);
    expect(answers->consume, read);
    expect(answers->checkpoint, read);
    expect(answers->list, true);
    expect(answers->trim, admin);
    expect(answers->topic_set, admin);
    expect(answers->topic_create == TUSK_EEXISTS ? 0 : answers->topic_create, admin);
    expect(answers->space_set, admin);
    expect(answers->config, admin);
    expect(answers->snapshot, admin);
    expect(answers->slowlog, admin);
    expect(answers->other, admin);
    assert_int_equal(answers->rights, (read ? MESSAGE_RIGHT_READ : 0) |
                                          (append ? MESSAGE_RIGHT_APPEND : 0) |
                                          (admin ? MESSAGE_RIGHT_ADMIN : 0));
}

/* ---- tests ---- */

/* Without rules the socket's file keeps others away. */
static void without_rules_others_cannot_connect(void **state)
{
    struct daemon *daemon = *state;

    start(daemon, "");
    assert_int_equal(socket_mode(daemon), 0600);
    assert_int_equal(ask_as(daemon, (struct user){ALICE, 0}, "default").connected, EACCES);
}

/* With a rule everybody may connect, and is told what he may not. */
static void each_right_is_for_its_requests(void **state)
{
    struct daemon *daemon = *state;
    struct answers answers;

    start(daemon, "[namespace \"default\"]\n"
                  "allow = user:4001 append; user:4002 read\n"
                  "allow = user:4003 admin\n");
    prepare_topic(daemon, "default");
    assert_int_equal(socket_mode(daemon), 0666);
    answers = ask_as(daemon, (struct user){ALICE, 0}, "default");
    expect_rights(&answers, false, true, false);
    answers = ask_as(daemon, (struct user){BOB, 0}, "default");
    expect_rights(&answers, true, false, false);
    answers = ask_as(daemon, (struct user){CAROL, 0}, "default");
    expect_rights(&answers, false, false, true);
    assert_int_equal(answers.space_create, TUSK_EDENIED); /* Of another namespace */
    answers = ask_as(daemon, (struct user){DAVE, 0}, "default");
    assert_int_equal(answers.connected, 0);
    assert_int_equal(answers.hello, TUSK_EDENIED);
    answers = ask_as(daemon, (struct user){0, 0}, "default");
    expect_rights(&answers, true, true, true);
}

/* A user's groups count, the first and the others; rules add up. */
static void groups_count(void **state)
{
    struct daemon *daemon = *state;
    struct answers answers;

    start(daemon, "[defaults]\nallow = group:4100 read\nallow = group:4002 append\n"
                  "allow = user:4001 admin\n");
    prepare_topic(daemon, "default");
    answers = ask_as(daemon, (struct user){DAVE, OPS}, "default");
    expect_rights(&answers, true, false, false);
    answers = ask_as(daemon, (struct user){BOB, 0}, "default");
    expect_rights(&answers, false, true, false);
    answers = ask_as(daemon, (struct user){ALICE, OPS}, "default");
    expect_rights(&answers, true, false, true);
    assert_int_equal(answers.space_create, 0); /* [defaults] counts for what is not there yet */
}

/* A section with rules of its own takes no others; what somebody may not use he does not see. */
static void a_section_overrules_the_defaults(void **state)
{
    struct daemon *daemon = *state;
    struct answers answers;
    struct wire wire;

    start(daemon, "[defaults]\nallow = anyone read\n[namespace \"closed\"]\nallow = none\n"
                  "[namespace \"open\"]\nallow = anyone read,append\n");
    prepare_topic(daemon, "default");
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_space_create(&wire, "closed", 200), 0);
    assert_int_equal(wire_space_create(&wire, "open", 200), 0);
    wire_close(&wire);
    prepare_topic(daemon, "open");
    answers = ask_as(daemon, (struct user){ALICE, 0}, "default");
    expect_rights(&answers, true, false, false);
    assert_int_equal(answers.spaces, 2);
    answers = ask_as(daemon, (struct user){ALICE, 0}, "open");
    expect_rights(&answers, true, true, false);
    /* As one that is not there: nothing is told about it. */
    assert_int_equal(ask_as(daemon, (struct user){ALICE, 0}, "closed").hello, TUSK_EDENIED);
    assert_int_equal(ask_as(daemon, (struct user){0, 0}, "closed").hello, 0);
}

/* As which the kernel shows users it has no number for: they are not anyone. */
static void the_overflow_user_matches_nothing(void **state)
{
    struct daemon *daemon = *state;

    start(daemon, "[defaults]\nallow = anyone read,append,admin\n");
    assert_int_equal(ask_as(daemon, (struct user){OVERFLOW_ID, 0}, "default").hello, TUSK_EDENIED);
    assert_int_equal(ask_as(daemon, (struct user){ALICE, 0}, "default").hello, 0);
}

/* Nor are they the daemon's own user where that one has such a number, too: then only root may do
 * everything, and whom a rule names what it says; and the start says so. */
static void a_daemon_of_the_overflow_user_knows_no_own_user(void **state)
{
    struct daemon *daemon = *state;
    const char *const *arguments =
        configure(daemon, "[defaults]\nallow = anyone read; user:4001 append\n");

    (void)need_root();
    assert_int_equal(chown(daemon->dir, OVERFLOW_ID, OVERFLOW_ID), 0);
    daemon->run_as = OVERFLOW_ID;
    daemon_start_with(daemon, arguments);
    assert_true(daemon_logged(daemon, "runs as user id 65534"));
    assert_int_equal(ask_as(daemon, (struct user){OVERFLOW_ID, 0}, "default").hello, TUSK_EDENIED);
    prepare_topic(daemon, "default"); /* By root */
    assert_int_equal(ask_as(daemon, (struct user){0, 0}, "default").trim, 0);
    assert_int_equal(ask_as(daemon, (struct user){ALICE, 0}, "default").append, 0);
}

/* What an administrator asks about somebody is what that one would be told, groups and all. */
static void access_tells_what_others_may(void **state)
{
    struct daemon *daemon = *state;
    struct answers answers;
    struct wire wire;

    start(daemon, "[defaults]\nallow = user:4001 append; group:root read\n");
    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(ask_access(&wire, "4001", &answers), 0);
    assert_int_equal(answers.uid, ALICE);
    assert_int_equal(answers.rights, MESSAGE_RIGHT_APPEND);
    assert_int_equal(ask_access(&wire, "4009", &answers), 0);
    assert_int_equal(answers.rights, 0);
    assert_int_equal(ask_access(&wire, "root", &answers), 0);
    assert_int_equal(answers.uid, 0);
    assert_int_equal(ask_access(&wire, "no-such-user-here", &answers), TUSK_ENOTFOUND);
    wire_close(&wire);
}

/* A rule for somebody who is not there is an error, with its place. */
static void an_unknown_user_is_an_error(void **state)
{
    struct daemon *daemon = *state;
    const char *const *arguments =
        configure(daemon, "[defaults]\nallow = user:no-such-user-here read\n");

    assert_int_equal(daemon_fails(daemon, arguments[0], arguments[1], NULL), 78);
    assert_true(
        daemon_logged(daemon, "tuskd.conf:2: allow: there is no user \"no-such-user-here\""));
}

/* A connection made as somebody else, by this process. */
static void open_as(struct wire *wire, const struct daemon *daemon, uid_t uid)
{
    assert_int_equal(seteuid(uid), 0);
    assert_true(wire_try_open(wire, daemon->socket, NULL));
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(wire_hello(wire, "default"), 0);
}

/* A reload takes rights away from whom is connected, and gives others some. */
static void a_reload_changes_rights(void **state)
{
    struct message waiting = wire_read_message("t", 1);
    struct daemon *daemon = *state;
    struct wire alice;
    struct wire bob;

    start(daemon, "[defaults]\nallow = user:4001 read,append; user:4002 read\n");
    prepare_topic(daemon, "default");
    open_as(&alice, daemon, ALICE);
    open_as(&bob, daemon, BOB);
    waiting.u.read.wait_ms = WIRE_WAIT_MS;
    assert_true(wire_send(&alice, &waiting) != 0);
    (void)configure(daemon, "[defaults]\nallow = user:4001 append; user:4002 read,append\n");
    fixture_reload(daemon, true);
    assert_true(daemon_logged(daemon, "defaults: allow: user:4001 read,append; user:4002 read -> "
                                      "user:4001 append; user:4002 read,append"));
    (void)wire_expect_closed(&alice); /* It waits for what it may not have any more */
    assert_int_equal(wire_append_one(&bob, "t", "now he may"), 0);
    wire_close(&alice);
    wire_close(&bob);
}

/* Without rules any more the socket is its owner's again. */
static void a_reload_changes_the_socket(void **state)
{
    struct daemon *daemon = *state;

    start(daemon, "[defaults]\nallow = anyone read\n");
    assert_int_equal(socket_mode(daemon), 0666);
    (void)configure(daemon, "");
    fixture_reload(daemon, true);
    assert_int_equal(socket_mode(daemon), 0600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(without_rules_others_cannot_connect),
        FIXTURE_TEST(each_right_is_for_its_requests),
        FIXTURE_TEST(groups_count),
        FIXTURE_TEST(a_section_overrules_the_defaults),
        FIXTURE_TEST(the_overflow_user_matches_nothing),
        FIXTURE_TEST(a_daemon_of_the_overflow_user_knows_no_own_user),
        FIXTURE_TEST(access_tells_what_others_may),
        FIXTURE_TEST(an_unknown_user_is_an_error),
        FIXTURE_TEST(a_reload_changes_rights),
        FIXTURE_TEST(a_reload_changes_the_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
