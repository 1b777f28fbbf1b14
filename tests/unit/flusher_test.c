/* When syncs happen, what they cover, and what a failed one means. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/flusher.h"
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

/* In schedule `each` an append is answered by the completion of a sync that covers it, and by nothing before. */
static void each_answers_only_when_durable(void **state)
{
    struct fixture *f = *state;
    struct fixture_append append = {0};

    open_with(f, ENGINE_FSYNC_EACH);
    sim_disk_set_pace(f->disk, 0);
    fixture_append_begin(f, &append, "t", &small, 1);
    fixture_pass(f, 5000);
    assert_false(append.finished);
    assert_true(f->io->in_flight > 0);
    sim_disk_set_pace(f->disk, 100);
    assert_int_equal(fixture_append_end(f, &append), 0);
    assert_int_equal(append.request.durable_end, 2);
    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    fixture_power_cut(f);
    fixture_expect(f, "t", "first", "entry", NULL);
}

/* How long a sync has been under way is known while it is, and no longer. */
static void a_sync_under_way_has_an_age(void **state)
{
    struct fixture *f = *state;
    struct fixture_append append = {0};
    uint64_t began_us;
    uint64_t age_us;

    open_with(f, ENGINE_FSYNC_EACH);
    assert_null(engine_oldest_sync(f->engine, f->now.mono_us, &age_us));
    assert_int_equal(age_us, 0);
    sim_disk_set_pace(f->disk, 0);
    fixture_append_begin(f, &append, "t", &small, 1);
    fixture_turn(f);
    began_us = f->now.mono_us;
    fixture_pass(f, 3000000);
    assert_ptr_equal(engine_oldest_sync(f->engine, f->now.mono_us, &age_us), f->ns);
    assert_int_equal(age_us, f->now.mono_us - began_us);
    assert_true(age_us >= 3000000);
    assert_ptr_equal(engine_oldest_sync(f->engine, began_us - 1, &age_us), f->ns);
    assert_int_equal(age_us, 0);
    sim_disk_set_pace(f->disk, 100);
    assert_int_equal(fixture_append_end(f, &append), 0);
    fixture_settle(f);
    assert_null(engine_oldest_sync(f->engine, f->now.mono_us, &age_us));
}

/* The same where the sync is done inside the turn. */
static void each_inline_answers_only_when_durable(void **state)
{
    struct fixture *f = *state;
    unsigned i;

    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    fixture_open(f);
    for (i = 0; i < 5; i++) {
        fixture_append_strings(f, "t", "x", NULL);
    }
    fixture_power_cut(f);
    fixture_expect(f, "t", "x", "x", "x", "x", "x", NULL);
}

/* A sync that takes no time is done within the turn. When syncs turn out to be slow, turns do not wait for them any more; when they are quick
 * again, they do. */
static void slow_syncs_are_not_waited_for_in_the_turn(void **state)
{
    struct fixture *f = *state;
    unsigned round;
    unsigned i;

    fixture_open(f);
    fixture_append_strings(f, "t", "first", NULL);
    for (round = 0; round < 3; round++) {
        struct fixture_append append = {.finished = false};

        sim_disk_set_latency(f->disk, 5, round == 1 ? 100 * FLUSHER_INLINE_US_MAX : 50);
        for (i = 0; i < 100; i++) {
            fixture_append_strings(f, "t", "x", NULL);
        }
        fixture_settle(f);
        sim_disk_set_pace(f->disk, 0);
        fixture_append_begin(f, &append, "t", &small, 1);
        fixture_turn(f);
        assert_int_equal(append.finished, round != 1);
        assert_int_equal(f->io->in_flight > 0, round == 1);
        sim_disk_set_pace(f->disk, 50);
        assert_int_equal(fixture_append_end(f, &append), 0);
    }
}

/* Appends that arrive while a sync is under way share the next one. */
static void concurrent_appends_share_a_sync(void **state)
{
    enum { COUNT = 50 };
    struct fixture *f = *state;
    struct fixture_append appends[COUNT] = {0};
    uint64_t syncs;
    unsigned i;

    open_with(f, ENGINE_FSYNC_EACH);
    syncs = fixture_stat(f, "syncs");
    sim_disk_set_pace(f->disk, 0);
    for (i = 0; i < COUNT; i++) {
        fixture_append_begin(f, &appends[i], "t", &small, 1);
        if (i % 10 == 0) {
            fixture_turn(f);
        }
    }
    sim_disk_set_pace(f->disk, 100);
    for (i = 0; i < COUNT; i++) {
        assert_int_equal(fixture_append_end(f, &appends[i]), 0);
    }
    assert_int_equal(fixture_stat(f, "syncs"), syncs + 2);
}

/* A sync covers what was written when it began. An append written while it is under way is not answered
 * by it, and a power cut right after it may take that append, but nothing that was answered. */
static void a_sync_covers_only_what_was_written_before_it(void **state)
{
    struct fixture *f = *state;
    struct fixture_append before = {0};
    struct fixture_append after = {0};

    open_with(f, ENGINE_FSYNC_EACH);
    sim_disk_set_pace(f->disk, 0);
    fixture_append_begin(f, &before, "t", &small, 1);
    fixture_turn(f); /* The sync begins */
    fixture_append_begin(f, &after, "t", &small, 1);
    fixture_turn(f); /* Written, not covered */
    (void)io_wait(f->io);
    fixture_turn(f);
    assert_true(before.finished);
    assert_false(after.finished);
    assert_int_equal(before.request.base.status, 0);
    assert_int_equal(before.request.durable_end, 2);
    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    free(before.batch);
    free(after.batch);
    fixture_power_cut(f);
    fixture_expect(f, "t", "first", "entry", NULL);
}

/* In schedule N an append is answered when written; the sync follows within N milliseconds. */
static void every_n_ms_syncs_in_time(void **state)
{
    struct fixture *f = *state;

    open_with(f, 1000);
    fixture_append_strings(f, "t", "x", NULL);
    assert_int_equal(fixture_info(f, "t").end, 2);
    assert_int_equal(fixture_info(f, "t").durable_end, 1);
    assert_true(engine_deadline(f->engine) <= f->now.mono_us + 1000000);
    fixture_pass(f, 999500);
    assert_int_equal(fixture_info(f, "t").durable_end, 1);
    fixture_pass(f, 7000);
    assert_int_equal(fixture_info(f, "t").durable_end, 2);
    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    fixture_power_cut(f);
    fixture_expect(f, "t", "first", "x", NULL);
}

/* Nothing to sync, no sync: an idle namespace lets the disk sleep once its mark is written. */
static void an_idle_namespace_does_not_sync(void **state)
{
    struct fixture *f = *state;
    uint64_t operations;

    open_with(f, 5);
    f->options.manifest_idle_us = 100000;
    fixture_pass(f, 3000000);
    fixture_settle(f);
    operations = sim_disk_operations(f->disk, SIM_ALL);
    fixture_pass(f, 3000000);
    assert_int_equal(sim_disk_operations(f->disk, SIM_ALL), operations);
}

/* Any single append may ask to be durable, in every schedule; it does not wait for the timer. */
static void one_append_may_ask_for_durability(void **state)
{
    static const uint64_t schedules[] = {ENGINE_FSYNC_EACH, 3600000, ENGINE_FSYNC_NONE};
    unsigned i;

    (void)state;
    for (i = 0; i < 3; i++) {
        struct fixture *f = fixture_new(5);
        struct fixture_append append = {.request.durable = true};
        const uint64_t began = f->now.mono_us;

        sim_disk_set_policy(f->disk, SIM_CUT_DROP);
        open_with(f, schedules[i]);
        fixture_append_strings(f, "t", "x", NULL);
        fixture_append_begin(f, &append, "t", &small, 1);
        assert_int_equal(fixture_append_end(f, &append), 0);
        assert_int_equal(append.request.durable_end, 3);
        assert_true(f->now.mono_us - began < 1000000);
        fixture_power_cut(f);
        fixture_expect(f, "t", "first", "x", "entry", NULL);
        fixture_free(f);
    }
}

/* Schedule none: what was answered and not synced may be lost by a power cut, never by a crash of the
 * process; SYNC and a clean stop make it durable. */
static void none_keeps_what_was_synced(void **state)
{
    struct fixture *f = *state;

    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    open_with(f, ENGINE_FSYNC_NONE);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_pass(f, 2000000);
    assert_int_equal(fixture_info(f, "t").durable_end, 1);
    fixture_kill(f);
    fixture_expect(f, "t", "first", "a", NULL);
    fixture_append_strings(f, "t", "b", NULL);
    fixture_sync(f);
    fixture_append_strings(f, "t", "lost", NULL);
    fixture_power_cut(f);
    fixture_expect(f, "t", "first", "a", "b", NULL);
    fixture_append_strings(f, "t", "c", NULL);
    fixture_stop(f);
    sim_disk_power_cut(f->disk);
    fixture_open(f);
    fixture_expect(f, "t", "first", "a", "b", "c", NULL);
}

/* What recovery serves is durable: a power cut right after it takes nothing that a reader could have seen, even
 * where the first crash left it in the page cache only. */
static void what_recovery_serves_is_durable(void **state)
{
    struct fixture *f = *state;

    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    open_with(f, ENGINE_FSYNC_NONE);
    fixture_append_strings(f, "t", "a", "b", NULL);
    assert_int_equal(fixture_append_size(f, "big", 6000), 0); /* Directly written */
    fixture_kill(f);
    fixture_expect(f, "t", "first", "a", "b", NULL);
    fixture_power_cut(f);
    fixture_expect(f, "t", "first", "a", "b", NULL);
    assert_int_equal(fixture_info(f, "big").end, 1);
    assert_int_equal(fixture_try_read(f, "big", ENGINE_AT_EARLIEST, 0), 0);
}

/* With a slow disk the unsynced window stays under its cap: appends wait instead. */
static void the_unsynced_window_is_capped(void **state)
{
    enum { COUNT = 30 };
    struct fixture *f = *state;
    struct fixture_append appends[COUNT] = {0};
    uint8_t data[1500] = {0};
    const struct batch_entry entry = {.data = data, .size = sizeof data};
    unsigned written = 0;
    unsigned i;

    /* Space and journal enough, so that nothing else makes them wait. */
    f->options.block_size = 1u << 20;
    f->options.journal_file_min = 128u << 10;
    f->options.journal_file_max = 128u << 10;
    f->options.ring_size = 512u << 10;
    f->options.unsynced_bytes_max = 20000;
    open_with(f, 1000);
    sim_disk_set_pace(f->disk, 0);
    for (i = 0; i < COUNT; i++) {
        fixture_append_begin(f, &appends[i], "t", &entry, 1);
        fixture_turn(f);
        assert_true(fixture_stat(f, "unsynced_bytes") <= 20000 + 2000);
    }
    for (i = 0; i < COUNT; i++) {
        written += appends[i].finished ? 1u : 0u;
    }
    assert_in_range(written, 5, 14);
    assert_true(engine_namespace_congested(f->ns));
    sim_disk_set_pace(f->disk, 100);
    for (i = 0; i < COUNT; i++) {
        assert_int_equal(fixture_append_end(f, &appends[i]), 0);
    }
    fixture_settle(f);
    assert_false(engine_namespace_congested(f->ns));
}

/* Appends wait for a sync when it has been outstanding for twice the schedule, counted from the first byte it covers, and not before. */
static void a_slow_sync_is_waited_for_after_twice_the_schedule(void **state)
{
    struct fixture *f = *state;
    struct fixture_append early = {.finished = false};
    struct fixture_append late = {.finished = false};

    open_with(f, 50);
    fixture_append_strings(f, "t", "x", NULL);
    fixture_pass(f, 2000000);
    sim_disk_set_pace(f->disk, 0);
    fixture_append_strings(f, "t", "y", NULL);
    fixture_pass(f, 60000);
    assert_true(f->io->in_flight > 0);
    fixture_append_begin(f, &early, "t", &small, 1);
    fixture_pass(f, 10000);
    assert_true(early.finished);
    fixture_pass(f, 40000);
    fixture_append_begin(f, &late, "t", &small, 1);
    fixture_pass(f, 20000);
    assert_false(late.finished);
    sim_disk_set_pace(f->disk, 100);
    assert_int_equal(fixture_append_end(f, &early), 0);
    assert_int_equal(fixture_append_end(f, &late), 0);
}

/* What was acknowledged and is not durable may come to unsynced_bytes_max, and with that much nothing more is taken. */
static void the_unsynced_window_ends_at_its_last_byte(void **state)
{
    uint64_t bytes = 0;
    unsigned round;

    (void)state;
    for (round = 0; round < 3; round++) {
        struct fixture *f = fixture_new(1);
        uint64_t before;

        f->options.journal_file_min = 128u << 10;
        f->options.journal_file_max = 128u << 10;
        f->options.ring_size = 512u << 10;
        f->options.unsynced_bytes_max = round == 0 ? 1u << 20 : 2 * bytes + round - 1;
        open_with(f, 1000);
        sim_disk_set_pace(f->disk, 0);
        before = fixture_stat(f, "unsynced_bytes");
        assert_int_equal(fixture_append_size(f, "t", 3000), 0);
        fixture_turn(f);
        if (round == 0) {
            bytes = fixture_stat(f, "unsynced_bytes") - before;
        }
        assert_false(engine_namespace_congested(f->ns));
        assert_int_equal(fixture_append_size(f, "t", 3000), 0);
        assert_int_equal(engine_namespace_congested(f->ns), round == 1);
        sim_disk_set_pace(f->disk, 100);
        fixture_free(f);
    }
}

/* One failed sync stops the namespace: who waits learns that the outcome is unknown, what comes later is
 * refused, reads too, and the file is never synced again, because a second sync would succeed and lie. */
static void a_failed_sync_is_final(void **state)
{
    unsigned inline_sync;

    (void)state;
    for (inline_sync = 0; inline_sync < 2; inline_sync++) {
        struct fixture *f = fixture_new(6 + inline_sync);
        uint64_t syncs;

        f->options.inline_sync = inline_sync == 1;
        fixture_open(f);
        fixture_append_strings(f, "t", "first", NULL);
        fixture_settle(f);
        sim_disk_fail(f->disk, SIM_BIT(SIM_SYNC), 1, false, EIO, SIM_LOSE);
        assert_int_equal(fixture_try_append(f, "t", "lost", false), TUSK_EUNKNOWN);
        syncs = sim_disk_operations(f->disk, SIM_BIT(SIM_SYNC));
        assert_false(fixture_serves(f));
        assert_ptr_equal(engine_failed(f->engine, &f->err), f->ns);
        assert_int_equal(fixture_try_append(f, "t", "later", false), TUSK_EIO);
        assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_EARLIEST, 0), TUSK_EIO);
        assert_int_equal(fixture_checkpoint(f, "t", "c", 1), TUSK_EIO);
        fixture_pass(f, 2000000);
        assert_true(engine_stop(f->engine, &f->now, &f->err) != 0);
        assert_int_equal(sim_disk_operations(f->disk, SIM_BIT(SIM_SYNC)), syncs);
        fixture_close(f);
        fixture_open(f); /* From what the device holds */
        fixture_expect(f, "t", "first", NULL);
        fixture_free(f);
    }
}

/* A namespace that failed does not take the others with it: they answer until the process exits. */
static void a_failed_namespace_leaves_the_others(void **state)
{
    struct fixture *f = *state;
    struct namespace *other;

    fixture_open(f);
    assert_int_equal(engine_namespace_create(f->engine, "other", 5, NULL, 0, &f->err), 0);
    other = engine_namespace_find(f->engine, "other", 5);
    fixture_append_strings(f, "t", "x", NULL);
    fixture_settle(f);
    sim_disk_fail(f->disk, SIM_BIT(SIM_SYNC), 1, false, EIO, SIM_FAIL);
    assert_int_equal(fixture_try_append(f, "t", "lost", false), TUSK_EUNKNOWN);
    f->ns = other;
    assert_int_equal(fixture_try_append(f, "t", "fine", false), 0);
    fixture_expect(f, "t", "fine", NULL);
}

/* A write of the journal that fails is as final as a sync. */
static void a_failed_write_is_final(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fixture_append_strings(f, "t", "first", NULL);
    fixture_settle(f);
    sim_disk_fail(f->disk, SIM_BIT(SIM_WRITE), 1, false, EIO, SIM_FAIL_PARTLY);
    assert_int_equal(fixture_try_append(f, "t", "lost", false), TUSK_EUNKNOWN);
    assert_false(fixture_serves(f));
    fixture_power_cut(f);
    fixture_append_strings(f, "t", "second", NULL);
    assert_int_equal(fixture_info(f, "t").end, fixture_info(f, "t").durable_end);
}

/* A drive that ignores flushes cannot be seen through, but what it takes is still a suffix: recovery gives what is
 * left, unchanged, and goes on. */
static void a_lying_drive_takes_a_suffix(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    unsigned i;

    sim_disk_set_policy(f->disk, SIM_CUT_FORWARD);
    fixture_open(f);
    for (i = 0; i < 10; i++) {
        assert_int_equal(fixture_log_append(f, &log, 2, 100, true), 0);
    }
    sim_disk_fail(f->disk, SIM_BIT(SIM_SYNC), 1, true, 0, SIM_LIE);
    for (i = 0; i < 10; i++) {
        assert_int_equal(fixture_log_append(f, &log, 2, 100, true), 0);
    }
    sim_disk_power_cut(f->disk);
    sim_disk_clear_faults(f->disk);
    fixture_close(f);
    assert_int_equal(fixture_try_open(f), 0);
    if (fixture_serves(f)) {
        fixture_log_check(f, &log, 20);
    }
}

static void note_done(struct engine_request *request)
{
    *(bool *)request->arg = true;
}

/* The server asks whether a turn would begin a sync, to look at its sockets once more before: only when something is staged, none is under
 * way, and somebody waits for it. */
static void a_turn_says_whether_it_would_sync(void **state)
{
    static const uint64_t schedules[] = {ENGINE_FSYNC_EACH, ENGINE_FSYNC_NONE};
    unsigned round;

    (void)state;
    for (round = 0; round < 4; round++) {
        struct fixture *f = fixture_new(1);
        struct fixture_append append = {.request = {.durable = round >= 2}};
        struct fixture_append second = {.request = {.durable = round >= 2}};
        const bool waits = schedules[round % 2] == ENGINE_FSYNC_EACH || round >= 2;

        open_with(f, schedules[round % 2]);
        assert_false(engine_would_sync(f->engine));
        fixture_append_begin(f, &append, "t", &small, 1);
        assert_int_equal(engine_would_sync(f->engine), waits);
        sim_disk_set_pace(f->disk, 0);
        fixture_turn(f);
        assert_false(engine_would_sync(f->engine)); /* It has begun, or nobody waits */
        fixture_append_begin(f, &second, "t", &small, 1);
        assert_false(engine_would_sync(f->engine)); /* One is under way */
        sim_disk_set_pace(f->disk, 100);
        assert_int_equal(fixture_append_end(f, &append), 0);
        assert_int_equal(fixture_append_end(f, &second), 0);
        assert_false(engine_would_sync(f->engine));
        {
            bool finished = false;
            struct engine_command checkpoint = {.base = {.done = note_done, .arg = &finished},
                                                .kind = ENGINE_CHECKPOINT,
                                                .topic = {.name = "t", .name_size = 1},
                                                .cursor = "c",
                                                .cursor_size = 1,
                                                .offset = 1};

            engine_command(f->ns, &checkpoint); /* Strict: somebody waits for it, too */
            assert_true(engine_would_sync(f->engine));
            fixture_wait(f, &finished);
        }
        fixture_free(f);
    }
}

static uint64_t count_of(struct fixture *f, enum engine_histogram which)
{
    return engine_histogram(f->ns, which)->count;
}

static uint64_t sum_of(struct fixture *f, enum engine_histogram which)
{
    return engine_histogram(f->ns, which)->sum;
}

/* What is measured of batches and sync groups adds up: each batch belongs to one group, that of the sync that covers it, and
 * each sync took as long as the disk did. */
static void each_batch_is_counted_with_its_group(void **state)
{
    struct fixture *f = *state;
    uint64_t groups;
    uint64_t syncs;
    unsigned i;

    sim_disk_set_latency(f->disk, 5, 5000);
    open_with(f, 1000);
    assert_int_equal(count_of(f, ENGINE_GROUP_BATCHES), 1);
    groups = count_of(f, ENGINE_GROUP_BYTES);
    syncs = count_of(f, ENGINE_SYNC_US);
    for (i = 0; i < 5; i++) {
        fixture_append_strings(f, "t", "a", "b", "c", NULL);
    }
    assert_int_equal(count_of(f, ENGINE_GROUP_BATCHES), 1);
    fixture_sync(f);
    assert_int_equal(count_of(f, ENGINE_GROUP_BATCHES), 2);
    assert_int_equal(sum_of(f, ENGINE_GROUP_BATCHES), 6);
    assert_int_equal(count_of(f, ENGINE_BATCH_ENTRIES), 6);
    assert_int_equal(sum_of(f, ENGINE_BATCH_ENTRIES), 16);
    assert_int_equal(engine_histogram(f->ns, ENGINE_BATCH_ENTRIES)->max, 3);
    assert_true(count_of(f, ENGINE_GROUP_BYTES) > groups);
    assert_true(sum_of(f, ENGINE_GROUP_BYTES) >= sum_of(f, ENGINE_BATCH_BYTES));
    assert_true(count_of(f, ENGINE_SYNC_US) > syncs);
    assert_true(engine_histogram(f->ns, ENGINE_SYNC_US)->max >= 5000);
}

static void note_age(void *arg, const char *name, uint64_t value)
{
    if (strcmp(name, "unsynced_age_us") == 0) {
        *(uint64_t *)arg = value;
    }
}

/* How long the oldest of what is not durable has waited: from the write, over the sync, until it ends. */
static void unsynced_entries_grow_older_until_they_are_durable(void **state)
{
    struct fixture *f = *state;
    uint64_t age = UINT64_MAX;
    uint64_t before;

    open_with(f, ENGINE_FSYNC_NONE);
    engine_stats(f->ns, note_age, &age);
    assert_int_equal(age, 0);
    fixture_append_strings(f, "t", "a", NULL);
    engine_stats(f->ns, note_age, &before);
    fixture_pass(f, 700000);
    engine_stats(f->ns, note_age, &age);
    assert_in_range(age, before + 700000, before + 800000);
    fixture_sync(f);
    engine_stats(f->ns, note_age, &age);
    assert_int_equal(age, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(each_answers_only_when_durable),
        FIXTURE_TEST(a_sync_under_way_has_an_age),
        FIXTURE_TEST(each_inline_answers_only_when_durable),
        FIXTURE_TEST(concurrent_appends_share_a_sync),
        FIXTURE_TEST(a_sync_covers_only_what_was_written_before_it),
        FIXTURE_TEST(every_n_ms_syncs_in_time),
        FIXTURE_TEST(an_idle_namespace_does_not_sync),
        cmocka_unit_test(one_append_may_ask_for_durability),
        FIXTURE_TEST(none_keeps_what_was_synced),
        FIXTURE_TEST(what_recovery_serves_is_durable),
        FIXTURE_TEST(the_unsynced_window_is_capped),
        cmocka_unit_test(a_failed_sync_is_final),
        FIXTURE_TEST(a_failed_namespace_leaves_the_others),
        FIXTURE_TEST(a_failed_write_is_final),
        cmocka_unit_test(a_turn_says_whether_it_would_sync),
        FIXTURE_TEST(a_lying_drive_takes_a_suffix),
        FIXTURE_TEST(a_slow_sync_is_waited_for_after_twice_the_schedule),
        cmocka_unit_test(the_unsynced_window_ends_at_its_last_byte),
        FIXTURE_TEST(each_batch_is_counted_with_its_group),
        FIXTURE_TEST(unsynced_entries_grow_older_until_they_are_durable),
        FIXTURE_TEST(slow_syncs_are_not_waited_for_in_the_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
