/* What the engine says of where a request's time went: core/engine.h, struct engine_request. */
#include <string.h>

#include "proto/histogram.h"
#include "tests/support/engine_fixture.h"

static const struct batch_entry small = {.data = (const uint8_t *)"entry", .size = 5};

static void open_with(struct fixture *f, uint64_t fsync_ms)
{
    f->options.settings.fsync_ms = fsync_ms;
    f->options.inline_sync = false;
    fixture_open(f);
    fixture_append_strings(f, "t", "first", NULL);
    fixture_sync(f);
    fixture_settle(f);
}

/* How long all syncs have taken so far, by the disk's clock. */
static uint64_t synced_so_far(const struct fixture *f)
{
    return engine_histogram(f->ns, ENGINE_SYNC_US)->sum;
}

/* An append whose topic is new waits for its offsets, and for as long as the disk makes it wait it has no place. */
static void a_parked_append_has_no_place_until_it_is_staged(void **state)
{
    struct fixture *f = *state;
    struct fixture_append append = {0};
    uint64_t asked_us;

    open_with(f, 200);
    asked_us = f->now.mono_us;
    sim_disk_set_pace(f->disk, 0);
    fixture_append_begin(f, &append, "new", &small, 1);
    fixture_pass(f, 5000);
    assert_int_equal(append.request.base.staged_us, 0);
    sim_disk_set_pace(f->disk, 100);
    assert_int_equal(fixture_append_end(f, &append), 0);
    assert_true(append.request.base.staged_us >= asked_us + 5000);
    assert_int_equal(append.request.end - append.request.first_offset, 1);
}

/* What is answered when written went with the turn that ended behind it, and needed no sync. */
static void a_written_append_names_its_turn(void **state)
{
    struct fixture *f = *state;
    struct fixture_append append = {0};
    uint64_t asked_us;

    open_with(f, 200);
    asked_us = f->now.mono_us;
    fixture_append_begin(f, &append, "t", &small, 1);
    fixture_turn(f);
    assert_true(append.finished);
    assert_int_equal(append.request.base.staged_us, asked_us);
    assert_int_equal(append.request.base.begun_us, f->now.mono_us);
    assert_int_equal(append.request.base.synced_us, 0);
    assert_int_equal(fixture_append_end(f, &append), 0);
}

/* What must be durable waits for the sync before its own, then for its own: both are told. */
static void a_durable_append_names_its_sync(void **state)
{
    struct fixture *f = *state;
    struct fixture_append one = {0};
    struct fixture_append two = {0};
    uint64_t synced_us;
    uint64_t asked_us;

    open_with(f, ENGINE_FSYNC_EACH);
    sim_disk_set_pace(f->disk, 0);
    fixture_append_begin(f, &one, "t", &small, 1);
    fixture_turn(f);
    asked_us = f->now.mono_us;
    fixture_append_begin(f, &two, "t", &small, 1);
    fixture_pass(f, 5000);
    assert_int_equal(two.request.base.staged_us, asked_us);
    sim_disk_set_pace(f->disk, 100);
    assert_int_equal(fixture_append_end(f, &one), 0);
    synced_us = synced_so_far(f);
    assert_int_equal(fixture_append_end(f, &two), 0);
    assert_true(one.request.base.begun_us <= asked_us);
    assert_true(two.request.base.begun_us >= asked_us + 5000);
    assert_true(two.request.base.synced_us > 0);
    assert_int_equal(two.request.base.synced_us, synced_so_far(f) - synced_us);
}

/* A read's time begins when there is something to read, or nothing to wait for any more. */
static void a_read_begins_where_its_wait_ends(void **state)
{
    struct fixture_read woken = {.request = {.position = ENGINE_AT_LATEST, .wait_ms = 1000}};
    struct fixture_read late = {.request = {.position = ENGINE_AT_LATEST, .wait_ms = 20}};
    struct fixture *f = *state;
    uint64_t asked_us;

    open_with(f, 200);
    asked_us = f->now.mono_us;
    fixture_read_begin(f, &woken, "t");
    fixture_read_begin(f, &late, "t");
    assert_int_equal(woken.request.base.staged_us, asked_us);
    assert_int_equal(fixture_read_end(f, &late), TUSK_EEND);
    assert_true(late.request.base.staged_us >= asked_us + 20000);
    assert_true(late.request.topic_id != 0);
    fixture_read_free(&late);
    fixture_pass(f, 30000);
    fixture_append_strings(f, "t", "second", NULL);
    assert_int_equal(fixture_read_end(f, &woken), 0);
    assert_true(woken.request.base.staged_us >= asked_us + 50000);
    fixture_read_free(&woken);
}

/* What failed before it had a place has none, and still says which topic it was for. */
static void what_never_had_a_place_says_so(void **state)
{
    struct fixture *f = *state;
    struct fixture_append append = {0};
    struct engine_topic_info info;

    open_with(f, 200);
    sim_disk_set_pace(f->disk, 0);
    fixture_append_begin(f, &append, "new", &small, 1);
    fixture_turn(f);
    info = fixture_info(f, "new");
    sim_disk_set_pace(f->disk, 100);
    assert_int_equal(fixture_delete(f, "new"), 0);
    assert_int_equal(fixture_append_end(f, &append), TUSK_ENOTFOUND);
    assert_int_equal(append.request.base.staged_us, 0);
    assert_int_equal(append.request.base.begun_us, 0);
    assert_int_equal(append.request.topic_id, info.id);
}

/* Commands are timed as appends are. */
static void a_command_names_its_topic_and_its_sync(void **state)
{
    struct fixture *f = *state;
    const struct engine_setting setting = {.key = ENGINE_SETTING_RETENTION,
                                           .value = ENGINE_RETAIN_ALL};
    struct engine_command command = {
        .kind = ENGINE_TOPIC_SET,
        .topic = {.name = "t", .name_size = 1},
        .settings = &setting,
        .settings_count = 1,
    };
    uint64_t synced_us;
    uint64_t asked_us;

    open_with(f, 200);
    synced_us = synced_so_far(f);
    asked_us = f->now.mono_us;
    assert_int_equal(fixture_command(f, &command), 0);
    assert_int_equal(command.topic_id, fixture_info(f, "t").id);
    assert_int_equal(command.base.staged_us, asked_us);
    assert_true(command.base.begun_us > asked_us);
    assert_true(command.base.synced_us > 0);
    assert_int_equal(command.base.synced_us, synced_so_far(f) - synced_us);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_parked_append_has_no_place_until_it_is_staged),
        FIXTURE_TEST(a_written_append_names_its_turn),
        FIXTURE_TEST(a_durable_append_names_its_sync),
        FIXTURE_TEST(a_read_begins_where_its_wait_ends),
        FIXTURE_TEST(what_never_had_a_place_says_so),
        FIXTURE_TEST(a_command_names_its_topic_and_its_sync),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
