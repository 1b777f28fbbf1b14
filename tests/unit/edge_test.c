/* Edges of a running engine: a full disk at start, a journal that admits nothing, space that came
 * back, a clock that jumped. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/namespace.h"
#include "tests/support/engine_expect.h"
#include "tests/support/engine_fixture.h"
#include "tests/support/patience.h"

enum { BURN = 1200, ENTRIES = 2000, NAME_MAX_SIZE = 200 };

static void fill_disk(struct fixture *f)
{
    sim_disk_set_capacity(f->disk, sim_disk_used(f->disk));
}

static void ignore(struct engine_request *request)
{
    (void)request;
}

/* Consumers with names of that size checkpoint within one turn until the journal takes no more: the
 * reserve is theirs. */
static void use_the_reserve_up(struct fixture *f, const char *topic, unsigned name_size)
{
    static struct engine_command commands[BURN];
    static char names[BURN][NAME_MAX_SIZE + 1];
    unsigned i;

    for (i = 0; i < BURN; i++) {
        (void)snprintf(names[i], sizeof names[i], "b%0*u", (int)name_size - 1, i);
        commands[i] = (struct engine_command){
            .base = {.done = ignore},
            .kind = ENGINE_CHECKPOINT,
            .topic = {.name = topic, .name_size = strlen(topic)},
            .cursor = names[i],
            .cursor_size = strlen(names[i]),
        };
        engine_now(f->engine, &f->now);
        engine_command(f->ns, &commands[i]);
        if (commands[i].base.status != 0) {
            fixture_turn(f);
            return;
        }
    }
    fail_msg("the journal took %u checkpoints in a turn", i);
}

/* ---- starting on a full disk ---- */

/* A full disk never blocks a start: each of several kills in a row, right behind the start, is
 * recovered from. */
static void kills_in_a_row_on_a_full_disk_do_not_keep_it_from_starting(void **state)
{
    struct fixture *f = *state;
    unsigned i;

    fixture_open(f);
    (void)fixture_append_many(f, "t", ENTRIES);
    fixture_settle(f);
    sim_disk_settle(f->disk);
    fill_disk(f);
    for (i = 0; i < 8; i++) {
        fixture_kill(f);
        assert_int_equal(fixture_info(f, "t").end, ENTRIES);
    }
}

/* Nor does a crash at the moment when checkpoints have used the reserve up. */
static void a_crash_with_the_reserve_used_up_does_not_keep_it_from_starting(void **state)
{
    struct fixture *f = *state;

    f->options.journal_file_max = 32u << 10;
    fixture_open(f);
    (void)fixture_append_many(f, "t", ENTRIES);
    fixture_settle(f);
    fill_disk(f);
    use_the_reserve_up(f, "t", 5);
    fixture_kill(f);
    assert_int_equal(fixture_info(f, "t").end, ENTRIES);
}

/* On a full disk a start takes an old journal file for its new one, by another name. When that name cannot be given, nothing is served: what is
 * written to a file under its old name is no history. The next start finds everything. */
static void a_start_that_cannot_name_its_journal_file_is_refused(void **state)
{
    struct fixture *f = *state;
    unsigned refused = 0;
    unsigned i;

    fixture_open(f);
    (void)fixture_append_many(f, "t", ENTRIES);
    fixture_settle(f);
    sim_disk_settle(f->disk);
    fill_disk(f);
    for (i = 0; i < 8; i++) {
        struct fixture *copy = fixture_new(1);

        sim_disk_process_crash(f->disk);
        fixture_close(f);
        sim_disk_free(copy->disk);
        copy->disk = sim_disk_clone(f->disk);
        sim_disk_fail(copy->disk, SIM_BIT(SIM_RENAME), 1, false, EIO, SIM_FAIL);
        assert_int_equal(fixture_try_open(copy), 0);
        sim_disk_clear_faults(copy->disk);
        if (!fixture_serves(copy) && strstr(fixture_reason(copy), ".jnl") != NULL) {
            refused++;
            fixture_close(copy);
            fixture_open(copy);
            assert_int_equal(fixture_info(copy, "t").end, ENTRIES);
        }
        fixture_free(copy);
        fixture_open(f);
    }
    assert_true(refused > 0);
}

/* ---- a journal that admits nothing ---- */

/* The journal at its hard limit, because manifests find no space, and a cursor that waits to be
 * recorded. */
static void at_the_hard_limit_with_a_cursor(struct fixture *f)
{
    int status = 0;

    f->options.settings.consistency = 100000;
    f->options.settings.fsync_ms = 5;
    f->options.block_size = 1u << 20;
    f->options.journal_size_max = 256u << 10;
    fixture_open(f);
    (void)fixture_append_many(f, "t", ENTRIES);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 1), 0);
    fixture_settle(f);
    sim_disk_fail(f->disk, SIM_BIT(SIM_RENAME), 1, true, ENOSPC, SIM_FAIL);
    while (status == 0) {
        status = fixture_append_size(f, "t", 3000);
    }
    assert_int_equal(status, TUSK_ENOSPACE);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 2), 0);
}

/* At-least-once: a cursor's record that finds no room in the journal is tried again now and then,
 * not at once for ever. */
static void a_cursor_that_finds_no_journal_space_does_not_spin(void **state)
{
    struct fixture *f = *state;

    at_the_hard_limit_with_a_cursor(f);
    f->now.mono_us += 2000000;
    f->now.wall_us += 2000000;
    expect_no_spin(f);
}

static int stop(struct fixture *f)
{
    (void)engine_stop(f->engine, &f->now, &f->err);
    return 0;
}

/* A stop ends there, too, cleanly or not. */
static void a_stop_at_the_journals_hard_limit_ends(void **state)
{
    struct fixture *f = *state;

    at_the_hard_limit_with_a_cursor(f);
    assert_int_equal(in_a_child(stop, f), 0);
}

/* The journal used up, but for what the records of some cursors take within the next second. */
static void fill_the_journal(struct fixture *f, unsigned cursors, unsigned name_size)
{
    char name[16];
    unsigned i;

    f->options.settings.consistency = 100000;
    f->options.settings.fsync_ms = 5;
    f->options.journal_file_max = 32u << 10;
    f->options.manifest_idle_us = UINT64_MAX / 4;
    fixture_open(f);
    (void)fixture_append_many(f, "t", ENTRIES);
    for (i = 0; i < 2 * cursors; i++) {
        (void)snprintf(name, sizeof name, "c%u", i % cursors);
        assert_int_equal(fixture_checkpoint(f, "t", name, 1 + i / cursors), 0);
    }
    sim_disk_fail(f->disk, SIM_BIT(SIM_CREATE) | SIM_BIT(SIM_RENAME), 1, true, ENOSPC, SIM_FAIL);
    use_the_reserve_up(f, "t", name_size);
    fixture_pass(f, 1500000); /* Cursors are recorded, as far as there is room */
}

/* Nor does an idle journal's mark spin that finds no room, whatever is left. */
static void a_mark_that_finds_no_journal_space_does_not_spin(void **state)
{
    unsigned cursors;

    (void)state;
    for (cursors = 1; cursors < 12; cursors++) {
        unsigned wide;

        for (wide = 0; wide < 2; wide++) {
            struct fixture *f = fixture_new(7);

            fill_the_journal(f, cursors,
                             wide == 0 ? 5 : 180); /* Records of two units, or of five */
            f->now.mono_us += 2000000;
            f->now.wall_us += 2000000;
            if (list_empty(&f->ns->unrecorded_cursors)) {
                expect_no_spin(f);
            }
            fixture_free(f);
        }
    }
}

/* ---- space that came back ---- */

/* Fill topic "t" so that its reservation was extended in vain while a sync was under way and an
 * append waits for that sync. False: the order of completion was another one. */
static bool refusal_is_remembered(struct fixture *f, struct fixture_append *waiting)
{
    static const uint8_t data[16000];
    const struct batch_entry entry = {.data = data, .size = sizeof data};
    unsigned i;

    f->options.settings.fsync_ms = 1000000;
    f->options.block_size = 256u << 10;
    f->options.unsynced_bytes_max = 20000;
    f->options.journal_file_min = 128u << 10;
    f->options.journal_file_max = 128u << 10;
    f->options.ring_size = 512u << 10;
    f->options.direct_threshold = 32u << 10;
    f->options.tail_apply_bytes = 64u << 10;
    fixture_open(f);
    for (i = 0; i < 7; i++) {
        assert_int_equal(fixture_append_size(f, "t", 3000), 0);
        fixture_sync(f);
    }
    fixture_settle(f);
    sim_disk_fail(f->disk, SIM_BIT(SIM_ALLOCATE), 1, true, ENOSPC, SIM_FAIL);
    sim_disk_set_pace(f->disk, 0);
    while (!flusher_full(&f->ns->flusher)) {
        assert_int_equal(fixture_append_size(f, "t", 3000), 0);
    }
    fixture_append_begin(f, waiting, "t", &entry, 1);
    sim_disk_set_pace(f->disk, 10);
    while (sim_disk_fired(f->disk) == 0 && f->ns->flusher.in_flight && !waiting->finished) {
        fixture_turn(f);
    }
    fixture_turn(f);
    sim_disk_clear_faults(f->disk); /* Space is back */
    sim_disk_set_pace(f->disk, 0);
    fixture_pass(f, 2000000);
    return sim_disk_fired(f->disk) > 0 && !waiting->finished;
}

/* An append that begins to need space when there is space again is not refused for an earlier want
 * of it. */
static void an_old_want_of_space_refuses_nothing(void **state)
{
    unsigned met = 0;
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 40 && met < 3; seed++) {
        struct fixture *f = fixture_new(seed);
        struct fixture_append waiting = {0};
        const bool remembered = refusal_is_remembered(f, &waiting);

        sim_disk_set_pace(f->disk, 100);
        if (waiting.batch != NULL) {
            const int status = fixture_append_end(f, &waiting);

            assert_true(status == 0 || !remembered);
        }
        met += remembered ? 1u : 0u;
        fixture_free(f);
    }
    assert_true(met > 0);
}

/* ---- a clock that jumped ---- */

/* After a suspend the wall clock is hours ahead of the monotonic one, and right: retention by age
 * says so in its alarm, and goes on when the clock has been steady for long. */
static void retention_by_age_resumes_after_a_jump(void **state)
{
    struct fixture *f = *state;
    const struct engine_setting settings[] = {{ENGINE_SETTING_RETENTION, ENGINE_RETAIN_AGE},
                                              {ENGINE_SETTING_RETENTION_AGE_MS, 60000}};
    struct engine_command set = {.kind = ENGINE_TOPIC_SET,
                                 .topic = {.name = "t", .name_size = 1},
                                 .settings = settings,
                                 .settings_count = 2};
    unsigned i;

    fixture_open(f);
    for (i = 0; i < 17; i++) {
        assert_int_equal(fixture_append_size(f, "t", 4900), 0);
    }
    assert_int_equal(fixture_info(f, "t").blocks, 5);
    assert_int_equal(fixture_command(f, &set), 0);
    fixture_pass(f, 1100000);
    f->now.wall_us += 2ull * 3600 * 1000000;
    fixture_pass(f, 1100000);
    assert_true(fixture_stat(f, "retention_alarms") > 0);
    for (i = 0; i < 48 * 360; i++) { /* Two days, ten seconds a turn */
        f->now.mono_us += 10000000;
        f->now.wall_us += 10000000;
        fixture_turn(f);
    }
    fixture_settle(f);
    assert_int_equal(fixture_info(f, "t").blocks, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(kills_in_a_row_on_a_full_disk_do_not_keep_it_from_starting),
        FIXTURE_TEST(a_crash_with_the_reserve_used_up_does_not_keep_it_from_starting),
        FIXTURE_TEST(a_cursor_that_finds_no_journal_space_does_not_spin),
        FIXTURE_TEST(a_stop_at_the_journals_hard_limit_ends),
        cmocka_unit_test(a_mark_that_finds_no_journal_space_does_not_spin),
        cmocka_unit_test(an_old_want_of_space_refuses_nothing),
        FIXTURE_TEST(retention_by_age_resumes_after_a_jump),
        FIXTURE_TEST(a_start_that_cannot_name_its_journal_file_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
