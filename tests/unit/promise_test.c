/* Promises between requests: what one of them was told holds for the next. */
#include <stdlib.h>
#include <string.h>

#include "core/namespace.h"
#include "tests/support/engine_fixture.h"

static const struct batch_entry one = {.data = (const uint8_t *)"one", .size = 3};

static void note(struct engine_request *request)
{
    *(bool *)request->arg = true;
}

static void submit(struct fixture *f, struct engine_command *command, bool *finished)
{
    command->base.done = note;
    command->base.arg = finished;
    engine_now(f->engine, &f->now);
    engine_command(f->ns, command);
}

/* SYNC covers everything submitted before it: also an append that has no place yet, because its
 * topic's first offsets are not reserved. */
static void sync_waits_for_appends_that_wait(void **state)
{
    struct fixture *f = *state;
    struct engine_command sync = {.kind = ENGINE_SYNC};
    struct fixture_append append = {0};
    bool synced = false;

    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    fixture_open(f);
    fixture_append_begin(f, &append, "t", &one, 1);
    assert_int_equal(f->ns->waiting_appends, 1);
    submit(f, &sync, &synced);
    fixture_wait(f, &synced);
    assert_int_equal(sync.base.status, 0);
    assert_int_equal(fixture_append_end(f, &append), 0);
    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    fixture_power_cut(f);
    fixture_expect(f, "t", "one", NULL);
}

/* A stop answers SYNCs that wait, too. */
static void a_stop_answers_syncs_that_wait(void **state)
{
    struct fixture *f = *state;
    struct engine_command sync = {.kind = ENGINE_SYNC};
    struct fixture_append append = {0};
    bool synced = false;

    fixture_open(f);
    fixture_append_begin(f, &append, "t", &one, 1);
    submit(f, &sync, &synced);
    fixture_stop(f);
    assert_true(synced);
    assert_true(append.finished);
    free(append.batch);
}

/* The id of a topic that was told and then lost in a power cut names no other topic afterwards. */
static void ids_of_lost_topics_are_not_given_again(void **state)
{
    struct fixture *f = *state;
    struct fixture_append append = {0};
    uint64_t lost;

    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    fixture_open(f);
    fixture_append_strings(f, "first", "x", NULL);
    fixture_sync(f);
    fixture_append_begin(f, &append, "lost", &one, 1);
    lost = append.request.topic_id != 0 ? append.request.topic_id : fixture_info(f, "lost").id;
    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    sim_disk_power_cut(f->disk);
    fixture_close(f);
    free(append.batch);
    fixture_open(f);
    assert_int_equal(fixture_try_read(f, "lost", ENGINE_AT_EARLIEST, 0), TUSK_ENOTFOUND);
    fixture_append_strings(f, "other", "y", NULL);
    assert_true(fixture_info(f, "other").id > lost);
    fixture_stop(f);
    fixture_open(f);
    fixture_append_strings(f, "third", "z", NULL);
    assert_int_equal(fixture_info(f, "third").id, fixture_info(f, "other").id + 1);
}

/* An append that is acknowledged when written can be read when it is acknowledged, also when the
 * schedule became stricter in the same turn. */
static void what_is_acknowledged_can_be_read_in_a_stricter_schedule(void **state)
{
    const struct engine_setting each = {ENGINE_SETTING_FSYNC, ENGINE_FSYNC_EACH};
    struct fixture *f = *state;
    struct engine_command set = {
        /* cppcheck-suppress danglingLifetime ; both end with the function */
        .kind = ENGINE_NAMESPACE_SET, .settings = &each, .settings_count = 1};
    struct fixture_append append = {0};
    bool finished = false;

    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    fixture_open(f);
    fixture_append_strings(f, "t", "zero", NULL);
    sim_disk_set_pace(f->disk, 0); /* No sync ends */
    fixture_append_begin(f, &append, "t", &one, 1);
    submit(f, &set, &finished);
    fixture_turn(f);
    assert_true(append.finished);
    assert_int_equal(append.request.base.status, 0);
    assert_int_equal(fixture_info(f, "t").end, 2);
    sim_disk_set_pace(f->disk, 50);
    fixture_wait(f, &finished);
    (void)fixture_append_end(f, &append);
}

/* Two reads that consume by one cursor and are under way together deliver each entry once. */
static void consuming_reads_together_deliver_each_entry_once(void **state)
{
    struct fixture *f = *state;
    struct fixture_read reads[3];
    uint64_t next = 0;
    unsigned i;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", "b", "c", "d", NULL);
    fixture_append_strings(f, "t", "e", "f", NULL);
    fixture_settle(f);
    sim_disk_set_cold(f->disk, 100);
    for (i = 0; i < 3; i++) {
        reads[i] = (struct fixture_read){.request = {.position = ENGINE_AT_CURSOR,
                                                     .cursor = "c",
                                                     .cursor_size = 1,
                                                     .max_entries = 2,
                                                     .consume = true}};
        fixture_read_begin(f, &reads[i], "t");
    }
    for (i = 0; i < 3; i++) {
        assert_int_equal(fixture_read_end(f, &reads[i]), 0);
        assert_int_equal(reads[i].request.to - reads[i].request.from, 2);
        next |= UINT64_C(1) << reads[i].request.from;
        fixture_read_free(&reads[i]);
    }
    assert_int_equal(next, 1u << 0 | 1u << 2 | 1u << 4);
    assert_int_equal(fixture_cursor(f, "t", "c"), 6);
}

/* A consuming read that waits, at-least-once:2, and five entries for it; then the process dies in
 * the very turn in which it is answered. */
static void die_when_answered(struct fixture *f, uint64_t fsync_ms, unsigned cold)
{
    struct fixture_read read = {.request = {.position = ENGINE_AT_CURSOR,
                                            .cursor = "c",
                                            .cursor_size = 1,
                                            .wait_ms = 1000,
                                            .consume = true}};
    struct fixture_append append = {0};
    const struct batch_entry five[5] = {one, one, one, one, one};
    uint64_t position;
    unsigned i;

    f->options.settings.fsync_ms = fsync_ms;
    f->options.settings.consistency = 2;
    fixture_open(f);
    fixture_append_strings(f, "t", "zero", NULL);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 1), 0);
    fixture_settle(f);
    sim_disk_set_cold(f->disk, cold);
    fixture_read_begin(f, &read, "t");
    fixture_append_begin(f, &append, "t", five, 5);
    for (i = 0; i < 10000 && !read.finished; i++) {
        fixture_turn(f);
    }
    assert_true(read.finished);
    assert_int_equal(read.request.base.status, 0);
    assert_int_equal(read.request.to, 6);
    fixture_kill(f);
    position = fixture_cursor(f, "t", "c");
    assert_true(position != UINT64_MAX && position + 1 >= 6);
    fixture_read_free(&read);
    free(append.batch);
}

/* at-least-once:N forgets fewer than N entries when the process dies, also what was told in the
 * turn of its death: the record that bounds it is written before the reply, whatever woke the
 * reader. */
static void a_loose_cursor_forgets_no_more_than_it_says(void **state)
{
    const uint64_t schedules[] = {ENGINE_FSYNC_EACH, 1, ENGINE_FSYNC_NONE};
    unsigned i;

    (void)state;
    for (i = 0; i < 6; i++) {
        struct fixture *f = fixture_new(i + 1);

        die_when_answered(f, schedules[i % 3], i < 3 ? 0 : 100);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(sync_waits_for_appends_that_wait),
        FIXTURE_TEST(a_stop_answers_syncs_that_wait),
        FIXTURE_TEST(ids_of_lost_topics_are_not_given_again),
        FIXTURE_TEST(what_is_acknowledged_can_be_read_in_a_stricter_schedule),
        FIXTURE_TEST(consuming_reads_together_deliver_each_entry_once),
        FIXTURE_TEST(a_loose_cursor_forgets_no_more_than_it_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
