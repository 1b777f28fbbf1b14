#include "tests/unit/client_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* A daemon's answers for the calls that manage things, and what they were asked with. */
struct admin {
    struct peer *peer;
    struct peer_request last;
    char name[256];
    int rounds;   /* Requests to answer */
    bool repeats; /* SLOWLOG: with the same page, and more to come */
};

static size_t topic_page(uint8_t *body, const struct message_list *list)
{
    bool first = list->after.size == 0;
    size_t size = MESSAGE_LIST_HEAD_SIZE;
    struct message_topic_info info = {.topic_id = 5, .first = 1, .end = 9, .entries = 8};
    int i;

    message_list_head_encode(body, first, first ? 2 : 1);
    for (i = 0; i < (first ? 2 : 1); i++) {
        info.name = (struct message_name){first ? (i == 0 ? "a" : "b") : "c", 1};
        info.settings.count = 1;
        info.settings.items[0] = (struct message_setting){SETTING_RETENTION, RETENTION_AGE};
        size += message_topic_info_encode(body + size, &info);
    }
    return size;
}

/* Two values, then one: the second page is asked for from behind the first. */
static size_t config_page(uint8_t *body, const struct message_config *wanted)
{
    const struct message_config_item items[] = {
        {.needs_restart = true,
         .section = {"server", 6},
         .key = {"io", 2},
         .value = {"mmap", 4},
         .fallback = {"uring", 5},
         .origin = {"--io", 4}},
        {.section = {"defaults", 8}, .key = {"fsync", 5}, .value = {"each", 4}},
        {.section = {"namespace", 9}, .space = {"eu", 2}, .key = {"fsync", 5}, .value = {"1s", 2}},
    };
    const uint32_t end = wanted->from == 0 ? 2 : 3;
    size_t size = MESSAGE_LIST_HEAD_SIZE;
    uint32_t i;

    message_list_head_encode(body, end < 3, (uint16_t)(end - wanted->from));
    for (i = wanted->from; i < end; i++) {
        size += message_config_item_encode(body + size, &items[i]);
    }
    return size;
}

/* Numbers 9 and 8, then 3 and the end. */
static size_t slow_page(uint8_t *body, const struct message_slowlog *wanted, bool repeats)
{
    const bool first = repeats || wanted->before == 0;
    size_t size = MESSAGE_LIST_HEAD_SIZE;
    uint64_t number;

    if (wanted->forget) {
        message_list_head_encode(body, false, 0);
        return size;
    }
    message_list_head_encode(body, first, first ? 2 : 1);
    for (number = first ? 9 : 3; number == 9 || number == 8 || number == 3; number--) {
        size += message_slow_encode(body + size, &(struct message_slow){.number = number,
                                                                        .time_us = 10,
                                                                        .duration_us = 18,
                                                                        .waited_us = 3,
                                                                        .queued_us = 4,
                                                                        .worked_us = 5,
                                                                        .synced_us = 6,
                                                                        .entries = 7,
                                                                        .bytes = 8,
                                                                        .pid = 9,
                                                                        .uid = 11,
                                                                        .status = 2,
                                                                        .request = {"append", 6},
                                                                        .space = {"eu", 2},
                                                                        .topic = {"t", 1},
                                                                        .client = {"cc", 2}});
    }
    return size;
}

static size_t admin_body(struct admin *admin, uint8_t *body)
{
    const struct message *message = &admin->last.message;
    size_t size = 0;

    switch (message->type) {
    case MESSAGE_TOPIC_CREATE:
    case MESSAGE_TOPIC_TRIM:
        return message_u64_reply_encode(body, 77);
    case MESSAGE_TOPIC_LIST:
        return topic_page(body, &message->u.list);
    case MESSAGE_TOPIC_INFO:
        return message_topic_info_encode(
            body, &(struct message_topic_info){.topic_id = 6, .end = 3, .name = {"t", 1}});
    case MESSAGE_CURSOR_LIST:
        message_list_head_encode(body, false, 1);
        return MESSAGE_LIST_HEAD_SIZE +
               message_cursor_info_encode(
                   body + MESSAGE_LIST_HEAD_SIZE,
                   &(struct message_cursor_info){.offset = 4, .lag = 2, .name = {"c", 1}});
    case MESSAGE_NAMESPACE_LIST:
        message_list_head_encode(body, false, 1);
        return MESSAGE_LIST_HEAD_SIZE +
               message_namespace_info_encode(
                   body + MESSAGE_LIST_HEAD_SIZE,
                   &(struct message_namespace_info){
                       .state = NAMESPACE_REFUSED, .name = {"eu", 2}, .reason = {"damaged", 7}});
    case MESSAGE_ACCESS:
        return message_access_reply_encode(body, &(struct message_access_reply){
                                                     .uid = 7,
                                                     .rights = 3,
                                                     .user = message->u.access.user,
                                                     .why = {"because", 7},
                                                 });
    case MESSAGE_SNAPSHOT_BEGIN:
        return message_snapshot_reply_encode(body, &(struct message_snapshot_reply){
                                                       .manifest_first = 1,
                                                       .manifest_last = 2,
                                                       .journal_first = 3,
                                                       .journal_last = 4,
                                                       .journal_used = 5,
                                                       .segments_end = 6,
                                                       .root = {"/var/lib/tusk", 13},
                                                       .dir = {"ns/eu", 5},
                                                   });
    case MESSAGE_SLOWLOG:
        return slow_page(body, &message->u.slowlog, admin->repeats);
    case MESSAGE_CONFIG:
        return config_page(body, &message->u.config);
    case MESSAGE_STATS:
        message_stats_head_encode(body, 1);
        size = MESSAGE_STATS_HEAD_SIZE;
        return size + message_stat_encode(body + size, &(struct message_stat){{"entries", 7}, 123});
    case MESSAGE_SEEK:
    case MESSAGE_CURSOR_CREATE:
        return message_cursor_reply_encode(body,
                                           &(struct message_cursor_reply){.offset = 8, .epoch = 3});
    default:
        return 0;
    }
}

static void *admin_serve(void *argument)
{
    struct admin *admin = argument;
    uint8_t body[1024];

    while (admin->rounds-- > 0) {
        size_t size;

        peer_take(admin->peer, &admin->last);
        size = admin_body(admin, body);
        peer_answer(admin->peer, &admin->last.frame, 0, body, size);
    }
    return NULL;
}

static int setup(void **state)
{
    static struct peer peer;
    static struct admin admin;

    peer_open(&peer, NULL, NULL);
    admin = (struct admin){.peer = &peer};
    *state = &admin;
    return 0;
}

static int teardown(void **state)
{
    struct admin *admin = *state;

    peer_close(admin->peer);
    return 0;
}

static pthread_t serve(struct admin *admin, int rounds)
{
    pthread_t thread;

    admin->rounds = rounds;
    assert_int_equal(pthread_create(&thread, NULL, admin_serve, admin), 0);
    return thread;
}

static void served(pthread_t thread)
{
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static int join_topic(void *user, const struct tusk_topic_info *info)
{
    assert_int_equal(info->topic_id, 5);
    assert_int_equal(info->entries, 8);
    assert_int_equal(info->setting_count, 1);
    assert_int_equal(info->settings[0].value, TUSK_RETENTION_AGE_LIMIT);
    (void)strcat(user, info->name);
    return 0;
}

static int stop_at_once(void *user, const struct tusk_topic_info *info)
{
    (void)strcat(user, info->name);
    return 1;
}

/* A list of many pages is one list; the caller may end it at any item. */
static void lists_go_through_all_pages(void **state)
{
    struct admin *admin = *state;
    pthread_t thread = serve(admin, 2);
    char names[16] = "";

    assert_int_equal(tusk_topic_list(admin->peer->t, join_topic, names), TUSK_OK);
    served(thread);
    assert_string_equal(names, "abc");
    assert_int_equal(admin->last.message.u.list.after.size, 1);
    names[0] = '\0';
    thread = serve(admin, 1);
    assert_int_equal(tusk_topic_list(admin->peer->t, stop_at_once, names), TUSK_OK);
    served(thread);
    assert_string_equal(names, "a");
}

static int take_cursor(void *user, const struct tusk_cursor_info *info)
{
    assert_string_equal(info->name, "c");
    assert_int_equal(info->lag, 2);
    ++*(int *)user;
    return 0;
}

static int take_namespace(void *user, const struct tusk_namespace_info *info)
{
    assert_int_equal(info->state, TUSK_NAMESPACE_REFUSED);
    assert_string_equal(info->reason, "damaged");
    ++*(int *)user;
    return 0;
}

static int take_stat(void *user, const char *name, uint64_t value)
{
    assert_string_equal(name, "entries");
    assert_int_equal(value, 123);
    ++*(int *)user;
    return 0;
}

/* Each item of each list arrives decoded. */
static void cursors_namespaces_and_stats_are_listed(void **state)
{
    struct admin *admin = *state;
    struct tusk *t = admin->peer->t;
    pthread_t thread = serve(admin, 3);
    int count = 0;

    assert_int_equal(tusk_cursor_list(t, "t", take_cursor, &count), TUSK_OK);
    assert_int_equal(tusk_namespace_list(t, take_namespace, &count), TUSK_OK);
    assert_int_equal(tusk_stats(t, take_stat, &count), TUSK_OK);
    served(thread);
    assert_int_equal(count, 3);
}

static int take_config(void *user, const struct tusk_config_item *item)
{
    int *count = user;

    if (*count == 0) {
        assert_string_equal(item->section, "server");
        assert_string_equal(item->space, "");
        assert_string_equal(item->key, "io");
        assert_string_equal(item->value, "mmap");
        assert_string_equal(item->fallback, "uring");
        assert_string_equal(item->origin, "--io");
    }
    assert_int_equal(item->needs_restart, *count == 0);
    assert_string_equal(item->space, *count == 2 ? "eu" : "");
    return ++*count == 4;
}

/* The configuration arrives value by value, over as many replies as it takes. */
static void configuration_is_listed(void **state)
{
    struct admin *admin = *state;
    pthread_t thread = serve(admin, 2);
    int count = 0;

    assert_int_equal(tusk_config(admin->peer->t, 1, take_config, &count), TUSK_OK);
    served(thread);
    assert_int_equal(count, 3);
    assert_int_equal(admin->last.message.u.config.from, 2);
    assert_true(admin->last.message.u.config.files);
}

struct slow_seen {
    uint64_t numbers[4];
    unsigned count;
    unsigned stop_at; /* Calls; 0: it takes all */
};

static int take_slow(void *user, const struct tusk_slow_request *slow)
{
    struct slow_seen *seen = user;

    assert_int_equal(slow->size, sizeof *slow);
    assert_int_equal(slow->code, -2);
    assert_int_equal(slow->time_us, 10);
    assert_int_equal(slow->duration_us, 18);
    assert_int_equal(slow->waited_us, 3);
    assert_int_equal(slow->queued_us, 4);
    assert_int_equal(slow->worked_us, 5);
    assert_int_equal(slow->synced_us, 6);
    assert_int_equal(slow->entries, 7);
    assert_int_equal(slow->bytes, 8);
    assert_int_equal(slow->pid, 9);
    assert_int_equal(slow->uid, 11);
    assert_string_equal(slow->request, "append");
    assert_string_equal(slow->space, "eu");
    assert_string_equal(slow->topic, "t");
    assert_string_equal(slow->client, "cc");
    seen->numbers[seen->count++] = slow->number;
    return seen->count == seen->stop_at;
}

/* Slow requests arrive over as many replies as it takes, each asked for from below the last one; the
 * caller may say how many it wants, and have enough. */
static void slow_requests_are_listed(void **state)
{
    struct admin *admin = *state;
    struct tusk *t = admin->peer->t;
    pthread_t thread = serve(admin, 2);
    struct slow_seen seen = {.count = 0};

    assert_int_equal(tusk_slowlog(t, 0, take_slow, &seen), TUSK_OK);
    served(thread);
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.numbers[0], 9);
    assert_int_equal(seen.numbers[2], 3);
    assert_int_equal(admin->last.message.u.slowlog.before, 8);

    thread = serve(admin, 1);
    seen = (struct slow_seen){.count = 0};
    assert_int_equal(tusk_slowlog(t, 2, take_slow, &seen), TUSK_OK);
    served(thread);
    assert_int_equal(seen.count, 2);
    assert_int_equal(admin->last.message.u.slowlog.max, 2);

    thread = serve(admin, 1);
    seen = (struct slow_seen){.stop_at = 1};
    assert_int_equal(tusk_slowlog(t, 0, take_slow, &seen), TUSK_OK);
    served(thread);
    assert_int_equal(seen.count, 1);
}

/* A daemon that repeats itself would keep the caller for ever. */
static void slow_requests_that_do_not_end_are_refused(void **state)
{
    struct admin *admin = *state;
    pthread_t thread = serve(admin, 2);
    struct slow_seen seen = {.count = 0};

    admin->repeats = true;
    assert_int_equal(tusk_slowlog(admin->peer->t, 0, take_slow, &seen), TUSK_EPROTOCOL);
    served(thread);
    assert_int_equal(seen.count, 2);
}

/* The daemon forgets up to and with a number, or all. */
static void slow_requests_are_forgotten(void **state)
{
    struct admin *admin = *state;
    pthread_t thread = serve(admin, 2);

    assert_int_equal(tusk_slowlog_forget(admin->peer->t, 9), TUSK_OK);
    assert_int_equal(tusk_slowlog_forget(admin->peer->t, UINT64_MAX), TUSK_OK);
    served(thread);
    assert_true(admin->last.message.u.slowlog.forget);
    assert_int_equal(admin->last.message.u.slowlog.before, 0);
}

/* What is asked about whom arrives, and so does the answer. */
static void access_is_told(void **state)
{
    struct admin *admin = *state;
    pthread_t thread = serve(admin, 1);
    struct tusk_access access = {.size = sizeof access};

    assert_int_equal(tusk_access(admin->peer->t, "alice", "eu", &access), TUSK_OK);
    served(thread);
    assert_int_equal(admin->last.message.u.access.space.size, 2);
    assert_int_equal(access.uid, 7);
    assert_int_equal(access.rights, TUSK_RIGHT_READ | TUSK_RIGHT_APPEND);
    assert_string_equal(access.user, "alice");
    assert_string_equal(access.why, "because");
}

/* What is to be copied arrives, and so does the end of it. */
static void snapshots_are_told(void **state)
{
    struct admin *admin = *state;
    pthread_t thread = serve(admin, 2);
    struct tusk_snapshot snapshot = {.size = sizeof snapshot};

    assert_int_equal(tusk_snapshot_begin(admin->peer->t, &snapshot), TUSK_OK);
    assert_int_equal(snapshot.manifest_first, 1);
    assert_int_equal(snapshot.manifest_last, 2);
    assert_int_equal(snapshot.journal_first, 3);
    assert_int_equal(snapshot.journal_last, 4);
    assert_int_equal(snapshot.journal_used, 5);
    assert_int_equal(snapshot.segments_end, 6);
    assert_string_equal(snapshot.root, "/var/lib/tusk");
    assert_string_equal(snapshot.dir, "ns/eu");
    assert_int_equal(tusk_snapshot_end(admin->peer->t, 1), TUSK_OK);
    served(thread);
    assert_int_equal(admin->last.message.type, MESSAGE_SNAPSHOT_END);
    assert_true(admin->last.message.u.snapshot_end.shared);
}

/* Settings may be named in any order, but not twice: the wire wants them ascending. */
static void settings_are_sorted_and_unique(void **state)
{
    const struct tusk_setting settings[] = {{TUSK_SETTING_RETENTION_SIZE, 9},
                                            {TUSK_SETTING_RETENTION, 3},
                                            {TUSK_SETTING_RETENTION_AGE, 4}};
    const struct tusk_setting twice[] = {{TUSK_SETTING_RETENTION, 3}, {TUSK_SETTING_RETENTION, 4}};
    struct admin *admin = *state;
    const struct message_settings *sent = &admin->last.message.u.topic_settings.settings;
    pthread_t thread = serve(admin, 1);
    uint64_t id = 0;

    assert_int_equal(tusk_topic_create(admin->peer->t, "t", settings, 3, &id), TUSK_OK);
    served(thread);
    assert_int_equal(id, 77);
    assert_int_equal(sent->count, 3);
    assert_int_equal(sent->items[0].key, SETTING_RETENTION);
    assert_int_equal(sent->items[1].key, SETTING_RETENTION_AGE_MS);
    assert_int_equal(sent->items[2].value, 9);
    assert_int_equal(tusk_topic_create(admin->peer->t, "t", twice, 2, NULL), TUSK_EINVALID);
}

/* Each of the small calls sends its own request and gives back what came. */
static void every_other_call_sends_its_request(void **state)
{
    struct admin *admin = *state;
    struct tusk *t = admin->peer->t;
    struct tusk_topic_info info = {.size = sizeof info};
    const struct tusk_position latest = {TUSK_FROM_LATEST, 55};
    struct tusk_cursor_place place;
    pthread_t thread = serve(admin, 10);
    uint64_t first = 0;

    assert_int_equal(tusk_topic_info(t, "t", &info), TUSK_OK);
    assert_int_equal(info.topic_id, 6);
    assert_string_equal(info.name, "t");
    assert_int_equal(tusk_topic_set(t, "t", NULL, 0), TUSK_OK);
    assert_int_equal(tusk_topic_delete(t, "t"), TUSK_OK);
    assert_int_equal(tusk_topic_trim(t, "t", 5, &first), TUSK_OK);
    assert_int_equal(first, 77);
    assert_int_equal(tusk_cursor_create(t, "t", "c", latest, &place), TUSK_OK);
    assert_int_equal(place.epoch, 3);
    assert_int_equal(tusk_cursor_delete(t, "t", "c"), TUSK_OK);
    assert_int_equal(tusk_namespace_create(t, "eu", NULL, 0), TUSK_OK);
    assert_int_equal(tusk_namespace_set(t, "", NULL, 0), TUSK_OK);
    assert_int_equal(tusk_namespace_delete(t, "eu"), TUSK_OK);
    assert_int_equal(tusk_seek(t, "t", "c", latest, &place), TUSK_OK);
    served(thread);
    assert_int_equal(place.offset, 8);
    assert_int_equal(admin->last.message.type, MESSAGE_SEEK);
    assert_int_equal(admin->last.message.u.cursor_position.position.kind, POSITION_LATEST);
    assert_int_equal(admin->last.message.u.cursor_position.position.value, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lists_go_through_all_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(cursors_namespaces_and_stats_are_listed, setup, teardown),
        cmocka_unit_test_setup_teardown(configuration_is_listed, setup, teardown),
        cmocka_unit_test_setup_teardown(slow_requests_are_listed, setup, teardown),
        cmocka_unit_test_setup_teardown(slow_requests_that_do_not_end_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(slow_requests_are_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(access_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(snapshots_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_are_sorted_and_unique, setup, teardown),
        cmocka_unit_test_setup_teardown(every_other_call_sends_its_request, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
