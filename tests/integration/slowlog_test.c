/* The ring of slow requests, and what of a request's time goes where: the clock and the engine's tables are replaced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/engine.h"
#include "proto/message.h"
#include "server/connection.h"
#include "server/dispatch.h"
#include "server/request.h"
#include "server/server.h"
#include "server/slowlog.h"

static uint64_t clock_us; /* What the clock says, */
static unsigned looks;    /* and how often it was looked at */

/* The names are the linker's. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
uint64_t __wrap_clock_mono_us(void);
uint64_t __wrap_clock_wall_us(void);
void __wrap_engine_namespace_info(struct namespace *ns, struct engine_namespace_info *info);
int __wrap_engine_topic_info(struct namespace *ns, const struct engine_topic_ref *ref,
                             struct engine_topic_info *info, struct error *err);

uint64_t __wrap_clock_mono_us(void)
{
    looks++;
    return clock_us;
}

uint64_t __wrap_clock_wall_us(void)
{
    return 77;
}

void __wrap_engine_namespace_info(struct namespace *ns, struct engine_namespace_info *info)
{
    (void)ns;
    *info = (struct engine_namespace_info){.name = "eu"};
}

int __wrap_engine_topic_info(struct namespace *ns, const struct engine_topic_ref *ref,
                             struct engine_topic_info *info, struct error *err)
{
    (void)ns;
    (void)err;
    *info = (struct engine_topic_info){.name = "orders and more", .name_size = 6};
    return ref->id == 5 ? 0 : TUSK_ENOTFOUND;
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* ---- the ring ---- */

static void add(struct slowlog *log, unsigned count)
{
    while (count-- > 0) {
        struct slow_entry *entry = slowlog_add(log);

        if (entry != NULL) {
            entry->bytes = log->count;
        }
    }
}

/* What is there from the newest on, as digits. */
static const char *numbers(const struct slowlog *log)
{
    static char text[32];
    const struct slow_entry *entry = NULL;
    size_t used = 0;

    while ((entry = slowlog_before(log, entry == NULL ? 0 : entry->number)) != NULL) {
        assert_int_equal(entry->bytes, entry->number);
        assert_true(used < sizeof text - 1);
        text[used++] = (char)('0' + entry->number);
    }
    text[used] = '\0';
    return text;
}

/* As many as there is room for are kept, the last ones; each keeps its number. */
static void the_last_ones_are_kept(void **state)
{
    struct slowlog log = {.size = 0};

    (void)state;
    slowlog_configure(&log, 1, 3);
    assert_string_equal(numbers(&log), "");
    add(&log, 2);
    assert_string_equal(numbers(&log), "21");
    add(&log, 5);
    assert_string_equal(numbers(&log), "765");
    slowlog_before(&log, 7)->number = 0;
    assert_string_equal(numbers(&log), "75");
    slowlog_deinit(&log);
}

/* A change of the room keeps what fits, and goes on counting; with none there is still the count. */
static void another_size_keeps_what_fits(void **state)
{
    struct slowlog log = {.size = 0};

    (void)state;
    slowlog_configure(&log, 1, 3);
    add(&log, 4);
    slowlog_configure(&log, 1, 5);
    assert_string_equal(numbers(&log), "432");
    add(&log, 2);
    assert_string_equal(numbers(&log), "65432");
    slowlog_configure(&log, 1, 2);
    assert_string_equal(numbers(&log), "65");
    slowlog_configure(&log, 1, 0);
    assert_string_equal(numbers(&log), "");
    add(&log, 1);
    assert_int_equal(log.count, 7);
    slowlog_configure(&log, 1, 2);
    assert_string_equal(numbers(&log), "");
    add(&log, 1);
    assert_string_equal(numbers(&log), "8");
    slowlog_deinit(&log);
}

/* ---- what is noted ---- */

struct scene {
    struct server server;
    struct connection connection;
    struct request request;
};

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);

    assert_non_null(scene);
    slowlog_configure(&scene->server.slowlog, 1, 4);
    scene->request.server = &scene->server;
    scene->request.connection = &scene->connection;
    scene->request.to = (struct reply_to){.type = MESSAGE_APPEND, .began_us = 10000};
    scene->connection.server = &scene->server;
    scene->connection.uid = 4;
    scene->connection.pid = 5;
    (void)strcpy(scene->connection.client, "cli");
    scene->request.u.append = (struct engine_append){
        .base = {.ns = (struct namespace *)(void *)scene},
        .topic_id = 5,
        .first_offset = 20,
        .end = 23,
        .batch_size = 100,
    };
    looks = 0;
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;

    slowlog_deinit(&scene->server.slowlog);
    free(scene);
    return 0;
}

/* The request is done at that time. NULL: it was not slow. */
static const struct slow_entry *done(struct scene *scene, uint64_t now_us)
{
    const uint64_t before = scene->server.slowlog.count;

    clock_us = now_us;
    slowlog_turn(&scene->server.slowlog);
    dispatch_slow_done(&scene->request, &scene->request.u.append.base);
    return scene->server.slowlog.count == before ? NULL : slowlog_before(&scene->server.slowlog, 0);
}

static void expect_times(const struct slow_entry *entry, uint64_t waited, uint64_t queued,
                         uint64_t worked, uint64_t synced)
{
    assert_non_null(entry);
    assert_int_equal(entry->times.waited_us, waited);
    assert_int_equal(entry->times.queued_us, queued);
    assert_int_equal(entry->times.worked_us, worked);
    assert_int_equal(entry->times.synced_us, synced);
}

/* Only what takes longer than the threshold is, and all that is known of it is noted. */
static void what_takes_longer_is_noted(void **state)
{
    struct scene *scene = *state;
    const struct slow_entry *entry;

    assert_null(done(scene, 11000));
    entry = done(scene, 11001);
    assert_non_null(entry);
    assert_int_equal(entry->wall_us, 77);
    assert_int_equal(entry->type, MESSAGE_APPEND);
    assert_int_equal(entry->status, 0);
    assert_int_equal(entry->entries, 3);
    assert_int_equal(entry->bytes, 100);
    assert_int_equal(entry->uid, 4);
    assert_int_equal(entry->pid, 5);
    assert_string_equal(entry->client, "cli");
    assert_string_equal(entry->space, "eu");
    assert_string_equal(entry->topic, "orders");
}

/* Off costs nothing, not even a look at the clock; on, it is one look for all that a turn answers. */
static void the_clock_is_looked_at_once_a_turn(void **state)
{
    struct scene *scene = *state;

    assert_null(done(scene, 10500));
    dispatch_slow_done(&scene->request, &scene->request.u.append.base);
    assert_int_equal(looks, 1);
    slowlog_configure(&scene->server.slowlog, 0, 4);
    assert_null(done(scene, 9000000));
    assert_int_equal(dispatch_slow_begin(&scene->server), 0);
    assert_int_equal(looks, 1);
}

/* Time is waiting until there is a place, queueing until the turn or the sync begins, and what the disk says of that; the
 * rest was work. */
static void time_is_split_where_the_engine_says(void **state)
{
    struct scene *scene = *state;
    struct engine_request *base = &scene->request.u.append.base;

    base->staged_us = 10100;
    base->begun_us = 10300;
    base->synced_us = 1500;
    expect_times(done(scene, 12000), 100, 200, 200, 1500);
    base->synced_us = 100000; /* Another clock */
    expect_times(done(scene, 12000), 100, 200, 0, 1700);
    base->begun_us = 10050;
    base->synced_us = 0;
    expect_times(done(scene, 12000), 100, 0, 1900, 0);
    base->staged_us = 0; /* Answered without a place */
    base->begun_us = 0;
    expect_times(done(scene, 12000), 0, 0, 2000, 0);
    base->status = TUSK_EQUOTA; /* It never got one */
    expect_times(done(scene, 12000), 2000, 0, 0, 0);
}

/* A read is timed from where its wait ended. */
static void a_read_is_timed_from_the_end_of_its_wait(void **state)
{
    struct scene *scene = *state;
    struct engine_read *read = &scene->request.u.read;
    const struct slow_entry *entry;

    scene->request.to.type = MESSAGE_READ;
    *read = (struct engine_read){.base = {.ns = (struct namespace *)(void *)scene},
                                 .topic_id = 5,
                                 .from = 3,
                                 .to = 7,
                                 .data_size = 90};
    read->base.staged_us = 900000;
    assert_null(done(scene, 900900));
    entry = done(scene, 902000);
    expect_times(entry, 0, 0, 2000, 0);
    assert_int_equal(entry->entries, 4);
    assert_int_equal(entry->bytes, 90);
    assert_string_equal(entry->topic, "orders");
    read->base.synced_us = 500;
    expect_times(done(scene, 902000), 0, 0, 1500, 500);
}

/* A client that went because it took too long is the one to know of. */
static void who_has_gone_is_noted_without_a_name(void **state)
{
    struct scene *scene = *state;
    const struct slow_entry *entry;

    scene->request.connection = NULL;
    scene->request.u.append.topic_id = 6;
    entry = done(scene, 20000);
    assert_non_null(entry);
    assert_int_equal((uint32_t)entry->uid, MESSAGE_UID_NONE);
    assert_int_equal(entry->pid, 0);
    assert_string_equal(entry->client, "");
    assert_string_equal(entry->topic, "");
    assert_string_equal(entry->space, "eu");
}

/* A command is told with the topic that it named, which may be gone. */
static void a_command_keeps_the_name_it_was_asked_with(void **state)
{
    struct scene *scene = *state;
    const struct slow_entry *entry;

    scene->request.to.type = MESSAGE_TOPIC_DELETE;
    memset(&scene->request.u, 0, sizeof scene->request.u);
    scene->request.u.command.base.ns = (struct namespace *)(void *)scene;
    scene->request.u.command.topic_id = 6;
    memcpy(scene->request.u.topic_name, "gone", 4);
    scene->request.u.topic_name_size = 4;
    entry = done(scene, 20000);
    assert_non_null(entry);
    assert_string_equal(entry->topic, "gone");
    assert_int_equal(entry->entries + entry->bytes, 0);
}

/* What is answered at once took as long as its handler. */
static void what_is_answered_at_once_is_timed_by_its_handler(void **state)
{
    struct scene *scene = *state;
    const struct message message = {
        .type = MESSAGE_NAMESPACE_CREATE,
        .u.namespace_settings = {.name = {.data = "new one", .size = 3}},
    };
    const struct slow_entry *entry;

    clock_us = 50000;
    scene->server.meter.last_status = 7;
    assert_int_equal(dispatch_slow_begin(&scene->server), 50000);
    clock_us = 51000;
    dispatch_slow_end(&scene->connection, &message, 50000);
    assert_int_equal(scene->server.slowlog.count, 0);
    clock_us = 53000;
    dispatch_slow_end(&scene->connection, &message, 50000);
    entry = slowlog_before(&scene->server.slowlog, 0);
    expect_times(entry, 0, 0, 3000, 0);
    assert_int_equal(entry->type, MESSAGE_NAMESPACE_CREATE);
    assert_int_equal(entry->status, 7);
    assert_string_equal(entry->space, "new");
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_ones_are_kept),
        cmocka_unit_test(another_size_keeps_what_fits),
        SCENE_TEST(what_takes_longer_is_noted),
        SCENE_TEST(the_clock_is_looked_at_once_a_turn),
        SCENE_TEST(time_is_split_where_the_engine_says),
        SCENE_TEST(a_read_is_timed_from_the_end_of_its_wait),
        SCENE_TEST(who_has_gone_is_noted_without_a_name),
        SCENE_TEST(a_command_keeps_the_name_it_was_asked_with),
        SCENE_TEST(what_is_answered_at_once_is_timed_by_its_handler),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
