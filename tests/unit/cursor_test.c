/* Cursors: their bounds, and seeks by time, which look into blocks and may find the world changed when they come back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/namespace.h"
#include "tests/support/engine_fixture.h"

static int position(struct fixture *f, enum engine_command_kind kind, const char *cursor,
                    uint64_t offset)
{
    struct engine_command command = {.kind = kind,
                                     .topic = {.name = "t", .name_size = 1},
                                     .cursor = cursor,
                                     .cursor_size = strlen(cursor),
                                     .position = ENGINE_AT_OFFSET,
                                     .value = offset};

    return fixture_command(f, &command);
}

static int delete_cursor(struct fixture *f, const char *cursor)
{
    return position(f, ENGINE_CURSOR_DELETE, cursor, 0);
}

static int trial(struct fixture *f, unsigned way, const char *cursor)
{
    return way == 0   ? fixture_checkpoint(f, "t", cursor, 1)
           : way == 1 ? position(f, ENGINE_SEEK, cursor, 1)
                      : position(f, ENGINE_CURSOR_CREATE, cursor, 1);
}

/* A namespace has as many cursors as its quota says, however they are made: one more is refused as that, is not there, and takes the
 * place of one that goes. */
static void a_quota_bounds_cursors_however_they_are_made(void **state)
{
    unsigned way;

    (void)state;
    for (way = 0; way < 3; way++) {
        struct fixture *f = fixture_new(1);
        struct engine_command checkpoint = {.kind = ENGINE_CHECKPOINT,
                                            .topic = {.name = "u", .name_size = 1},
                                            .cursor = "elsewhere",
                                            .cursor_size = 9};

        fixture_open(f);
        fixture_append_strings(f, "t", "a", "b", NULL);
        fixture_append_strings(f, "u", "a", NULL);
        fixture_set(f, ENGINE_SETTING_QUOTA_CURSORS, 3);
        assert_int_equal(trial(f, way, "one"), 0);
        assert_int_equal(trial(f, way, "two"), 0);
        assert_int_equal(fixture_command(f, &checkpoint), 0); /* Of another topic */
        assert_int_equal(trial(f, way, "three"), TUSK_EQUOTA);
        assert_true(fixture_cursor(f, "t", "three") == UINT64_MAX);
        fixture_kill(f); /* The quota and the count are remembered */
        assert_int_equal(trial(f, way, "three"), TUSK_EQUOTA);
        assert_int_equal(fixture_checkpoint(f, "t", "one", 2), 0); /* One that is there goes on */
        assert_int_equal(delete_cursor(f, "two"), 0);
        assert_int_equal(trial(f, way, "three"), 0);
        assert_int_equal(trial(f, way, "four"), TUSK_EQUOTA);
        fixture_kill(f);
        assert_int_equal(trial(f, way, "four"), TUSK_EQUOTA);
        assert_int_equal(fixture_delete(f, "u"), 0); /* Its cursors go with it */
        assert_int_equal(trial(f, way, "four"), 0);
        fixture_set(f, ENGINE_SETTING_QUOTA_CURSORS, 0); /* None: no bound */
        assert_int_equal(trial(f, way, "five"), 0);
        fixture_free(f);
    }
}

/* A topic has at most so many, whatever the quota. */
static void a_topic_bounds_its_cursors(void **state)
{
    unsigned way;

    (void)state;
    for (way = 0; way < 3; way++) {
        struct fixture *f = fixture_new(1);

        f->options.cursors_max = 2;
        fixture_open(f);
        fixture_append_strings(f, "t", "a", "b", NULL);
        assert_int_equal(trial(f, way, "one"), 0);
        assert_int_equal(trial(f, way, "two"), 0);
        assert_int_equal(trial(f, way, "three"), TUSK_EBUSY);
        fixture_set(f, ENGINE_SETTING_QUOTA_CURSORS, 5); /* Not reached: still the topic's bound */
        assert_int_equal(trial(f, way, "three"), TUSK_EBUSY);
        fixture_append_strings(f, "u", "a", NULL);
        assert_int_equal(fixture_checkpoint(f, "u", "three", 1), 0);
        fixture_free(f);
    }
}

/* Ids of cursors are never given twice, so that an old record means no new cursor: one that is deleted and made again is
 * another, across a crash, too. */
static void a_cursor_made_again_is_another(void **state)
{
    struct fixture *f = *state;
    const struct engine_topic_ref ref = {.name = "t", .name_size = 1};
    uint64_t id;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", "b", NULL);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 2), 0);
    id = topic_cursor_find(namespace_topic(f->ns, &ref), "c", 1)->id;
    assert_int_equal(delete_cursor(f, "c"), 0);
    assert_true(fixture_cursor(f, "t", "c") == UINT64_MAX);
    assert_int_equal(delete_cursor(f, "c"), TUSK_ENOTFOUND);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 1), 0);
    assert_true(topic_cursor_find(namespace_topic(f->ns, &ref), "c", 1)->id > id);
    id = topic_cursor_find(namespace_topic(f->ns, &ref), "c", 1)->id;
    assert_int_equal(fixture_cursor(f, "t", "c"), 1);
    fixture_power_cut(f);
    assert_int_equal(fixture_cursor(f, "t", "c"), 1);
    assert_int_equal(topic_cursor_find(namespace_topic(f->ns, &ref), "c", 1)->id, id);
}

/* At least once: a position that nobody has recorded yet is due within a second, and the engine says when, so that whoever sleeps until
 * then does it. */
static void an_unrecorded_position_has_a_deadline(void **state)
{
    struct fixture *f = *state;
    uint64_t moved;

    f->options.settings.consistency = 1000;
    f->options.manifest_idle_us = UINT64_C(1) << 40;
    fixture_open(f);
    fixture_append_strings(f, "t", "a", "b", "c", NULL);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 1), 0); /* Makes it: recorded */
    fixture_pass(f, 3000000);
    moved = f->now.mono_us;
    assert_int_equal(fixture_checkpoint(f, "t", "c", 2), 0);
    while (f->now.mono_us < moved + 1000000) {
        const uint64_t due = engine_deadline(f->engine);

        assert_true(due <= moved + 1001000);
        f->now.mono_us = due > f->now.mono_us ? due : f->now.mono_us;
        fixture_turn(f);
    }
    fixture_turn(f);
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(fixture_cursor(f, "t", "c"), 2);
}

static void note(struct engine_request *request)
{
    *(bool *)request->arg = true;
}

/* Two checkpoints at once: the first is recorded, the second within what may be forgotten from there. When that record cannot be written,
 * neither is told that it stands, or a restart would forget more than was agreed. */
static void a_position_counts_from_what_is_written(void **state)
{
    struct fixture *f = *state;
    struct engine_command moves[2];
    bool finished[2] = {false, false};
    unsigned i;

    f->options.settings.consistency = 2;
    fixture_open(f);
    fixture_append_strings(f, "t", "a", "b", "c", "d", NULL);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 0), 0);
    fixture_settle(f);
    sim_disk_fail(f->disk, SIM_BIT(SIM_WRITE), 1, true, EIO, SIM_FAIL);
    engine_now(f->engine, &f->now);
    for (i = 0; i < 2; i++) {
        moves[i] = (struct engine_command){.base = {.done = note, .arg = &finished[i]},
                                           .kind = ENGINE_CHECKPOINT,
                                           .topic = {.name = "t", .name_size = 1},
                                           .cursor = "c",
                                           .cursor_size = 1,
                                           .offset = 2 + i};
        engine_command(f->ns, &moves[i]);
    }
    for (i = 0; i < 2; i++) {
        fixture_wait(f, &finished[i]);
        assert_true(moves[i].base.status < 0);
    }
    assert_false(fixture_serves(f));
    sim_disk_clear_faults(f->disk);
    fixture_kill(f);
    assert_int_equal(fixture_cursor(f, "t", "c"), 0);
}

/* ---- seeks by time ---- */

struct seek {
    struct engine_command command;
    bool finished;
};

/* A seek that waits for the disk. */
static void begin_seek(struct fixture *f, struct seek *seek, const char *cursor)
{
    *seek = (struct seek){.command = {.base = {.done = note},
                                      .kind = ENGINE_SEEK,
                                      .topic = {.name = "t", .name_size = 1},
                                      .cursor = cursor,
                                      .cursor_size = strlen(cursor),
                                      .position = ENGINE_AT_TIME,
                                      .value = 1}};
    seek->command.base.arg = &seek->finished;
    sim_disk_set_cold(f->disk, 100);
    sim_disk_set_pace(f->disk, 0);
    engine_now(f->engine, &f->now);
    engine_command(f->ns, &seek->command);
    assert_false(seek->finished);
    sim_disk_set_pace(f->disk, 100);
}

static void open_with_blocks(struct fixture *f)
{
    fixture_open(f);
    assert_int_equal(fixture_append_size(f, "t", 6000), 0);
    assert_int_equal(fixture_append_size(f, "t", 6000), 0);
    fixture_settle(f);
}

/* What the seek would have found cannot be read any more: that is its answer, and the cursor stays where it was. */
static void a_seek_by_time_that_cannot_read_says_so(void **state)
{
    struct fixture *f = *state;
    struct seek seek;

    open_with_blocks(f);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 2), 0);
    fixture_settle(f);
    sim_disk_fail(f->disk, SIM_BIT(SIM_READ), 1, true, EIO, SIM_FAIL);
    begin_seek(f, &seek, "c");
    fixture_wait(f, &seek.finished);
    assert_int_equal(seek.command.base.status, TUSK_ECORRUPT);
    assert_true(strlen(seek.command.base.error.text) > 0);
    assert_int_equal(fixture_cursor(f, "t", "c"), 2);
    assert_null(seek.command.state);
}

/* A stop has begun, or the namespace has failed: nothing is recorded any more, least of all behind a clean close. */
static void a_seek_by_time_records_nothing_behind_the_end(void **state)
{
    unsigned round;

    (void)state;
    for (round = 0; round < 2; round++) {
        struct fixture *f = fixture_new(1);
        struct seek seek;

        open_with_blocks(f);
        assert_int_equal(fixture_checkpoint(f, "t", "c", 2), 0);
        fixture_settle(f);
        begin_seek(f, &seek, "c");
        if (round == 0) {
            assert_int_equal(engine_stop(f->engine, &f->now, &f->err), 0);
            assert_true(seek.finished);
            assert_int_equal(seek.command.base.status, TUSK_ECLOSED);
        } else {
            sim_disk_fail(f->disk, SIM_BIT(SIM_SYNC) | SIM_BIT(SIM_WRITE), 1, true, EIO, SIM_FAIL);
            (void)fixture_try_append(f, "t", "x", true);
            fixture_wait(f, &seek.finished);
            assert_int_equal(seek.command.base.status, TUSK_EIO);
            sim_disk_clear_faults(f->disk);
        }
        assert_true(strlen(seek.command.base.error.text) > 0);
        fixture_close(f);
        fixture_open(f);
        assert_int_equal(fixture_cursor(f, "t", "c"), 2);
        assert_int_equal(f->findings > 0, round == 1);
        fixture_free(f);
    }
}

/* What the seek found was trimmed before it came back: it stands on the first entry kept. */
static void a_seek_by_time_passes_a_trim(void **state)
{
    struct fixture *f = *state;
    struct seek seek;

    open_with_blocks(f);
    begin_seek(f, &seek, "c");
    assert_int_equal(fixture_trim(f, "t", 1), 0);
    fixture_wait(f, &seek.finished);
    assert_int_equal(seek.command.base.status, 0);
    assert_int_equal(seek.command.offset, 1);
    assert_int_equal(fixture_cursor(f, "t", "c"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quota_bounds_cursors_however_they_are_made),
        cmocka_unit_test(a_topic_bounds_its_cursors),
        FIXTURE_TEST(a_cursor_made_again_is_another),
        FIXTURE_TEST(an_unrecorded_position_has_a_deadline),
        FIXTURE_TEST(a_seek_by_time_that_cannot_read_says_so),
        cmocka_unit_test(a_seek_by_time_records_nothing_behind_the_end),
        FIXTURE_TEST(a_seek_by_time_passes_a_trim),
        FIXTURE_TEST(a_position_counts_from_what_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
