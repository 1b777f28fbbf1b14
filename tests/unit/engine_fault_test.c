/* The n-th disk operation fails, for every n: of opening, appending, rolling over, manifests, creating and deleting
 * namespaces, stopping. Wherever it is, the caller gets an error or the namespace stops; never a crash, a leak
 * or a half-made thing. On a healthy disk everything acknowledged as durable is there again.
 *
 * TUSK_TEST_FULL=1 tries every n for every kind of failure; otherwise failures take turns. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/engine_fixture.h"

#define OPERATIONS_MAX 5000u

/* How it fails. */
struct failure {
    int os_error;
    bool from_then_on;
    enum sim_effect effect;
};

static const struct failure failures[] = {
    {EIO, false, SIM_FAIL},           {ENOSPC, false, SIM_FAIL}, {EIO, true, SIM_FAIL},
    {ENOSPC, true, SIM_FAIL},         {EIO, false, SIM_LOSE},    {EIO, false, SIM_FAIL_PARTLY},
    {ENOSPC, false, SIM_FAIL_PARTLY},
};
#define FAILURES (sizeof failures / sizeof failures[0])

/* What is being tried, printed when a test fails: which of the failures, at which operation. */
static struct {
    unsigned failure;
    uint64_t nth;
    bool running;
} now_trying;

static int say_what_failed(void **state)
{
    (void)state;
    if (now_trying.running) {
        printf("it was failure %u at operation %" PRIu64 "\n", now_trying.failure, now_trying.nth);
    }
    now_trying.running = false;
    return 0;
}

struct run {
    struct fixture *f;
    struct fixture_log small;
    struct fixture_log direct;
    bool has_other; /* Namespace "other" was acknowledged; and its deletion was not asked for */
    bool may_have_other;
};

/* An action on an engine that may be NULL where opening failed. */
typedef void action_fn(struct run *run);

static bool usable(const struct run *run)
{
    return run->f->engine != NULL && fixture_serves(run->f);
}

/* ---- the loop ---- */

static void arm(struct fixture *f, const struct failure *failure, uint64_t nth)
{
    sim_disk_fail(f->disk, SIM_ALL, nth, failure->from_then_on, failure->os_error, failure->effect);
}

/* After the failure: what is there on a healthy disk, after a crash of either kind. */
static void heal_and_check(struct run *run, bool power_cut)
{
    struct fixture *f = run->f;

    if (f->engine != NULL) {
        if (power_cut) {
            sim_disk_power_cut(f->disk);
        }
        fixture_close(f);
    }
    sim_disk_clear_faults(f->disk);
    fixture_open(f);
    fixture_log_check(f, &run->small, run->small.durable);
    fixture_log_check(f, &run->direct, run->direct.durable);
    if (run->has_other) {
        assert_non_null(engine_namespace_find(f->engine, "other", 5));
    }
    if (!run->may_have_other) {
        assert_null(engine_namespace_find(f->engine, "other", 5));
    }
    assert_int_equal(fixture_log_append(f, &run->small, 1, 100, true), 0);
    fixture_stop(f);
}

/* Prepare on a healthy disk, fail the nth operation of the action, check. False: it was not reached. */
static bool fail_nth(action_fn *prepare, action_fn *act, const struct failure *failure,
                     uint64_t nth, bool power_cut)
{
    struct run run = {
        .f = fixture_new(nth), .small = {.topic = "small"}, .direct = {.topic = "big"}};
    bool fired;

    now_trying.failure = (unsigned)(failure - failures);
    now_trying.nth = nth;
    now_trying.running = true;
    run.f->options.manifest_journal_bytes = 12u << 10;
    run.f->options.inline_sync = nth % 2 == 0;
    if (prepare != NULL) {
        prepare(&run);
    }
    arm(run.f, failure, nth);
    act(&run);
    fired = sim_disk_fired(run.f->disk) > 0;
    heal_and_check(&run, power_cut);
    fixture_free(run.f);
    now_trying.running = false;
    return fired;
}

/* Fail each operation of `act`. step 1: all of them; more: a sample, in another phase for each failure. */
static void fail_each(action_fn *prepare, action_fn *act, uint64_t step)
{
    uint64_t reached = 0;
    uint64_t nth;
    unsigned i;

    if (getenv("TUSK_TEST_FULL") != NULL) {
        step = 1;
    }
    for (i = 0; i < FAILURES; i++) {
        for (nth = 1 + i % step; fail_nth(prepare, act, &failures[i], nth, (nth + i) % 2 == 0);
             nth += step) {
            assert_true(nth < OPERATIONS_MAX);
        }
        reached = nth > reached ? nth : reached;
    }
    printf("operations: about %" PRIu64 "\n", reached);
    assert_true(reached > 3);
}

/* ---- actions ---- */

static void open_engine(struct run *run)
{
    struct fixture *f = run->f;
    const int rc = fixture_try_open(f);

    if (rc != 0) {
        assert_true(rc == TUSK_EIO || rc == TUSK_ENOSPACE);
        assert_true(strlen(f->err.text) > 0);
    }
}

/* A store with something in every table, stopped by a crash. */
static void store_after_a_crash(struct run *run)
{
    unsigned i;

    fixture_open(run->f);
    for (i = 0; i < 12; i++) {
        assert_int_equal(fixture_log_append(run->f, &run->small, 2, 400, true), 0);
        assert_int_equal(fixture_log_append(run->f, &run->direct, 1, 5000, true), 0);
    }
    assert_int_equal(fixture_checkpoint(run->f, "small", "c", 3), 0);
    sim_disk_process_crash(run->f->disk);
    fixture_close(run->f);
}

static void store_open(struct run *run)
{
    unsigned i;

    fixture_open(run->f);
    for (i = 0; i < 6; i++) {
        assert_int_equal(fixture_log_append(run->f, &run->small, 2, 400, true), 0);
    }
    fixture_settle(run->f);
}

/* Statuses an append may end with when the disk fails. */
static void expect_append_status(int status)
{
    assert_true(status == 0 || status == TUSK_EUNKNOWN || status == TUSK_EIO ||
                status == TUSK_ENOSPACE);
}

static void append_small(struct run *run)
{
    unsigned i;

    for (i = 0; i < 4; i++) {
        expect_append_status(fixture_log_append(run->f, &run->small, 1, 300, true));
        expect_append_status(fixture_log_append(run->f, &run->direct, 1, 5000, true));
    }
}

/* Enough for journal rollovers, new segments, manifests, recycled files. */
static void append_much(struct run *run)
{
    unsigned i;

    for (i = 0; i < 50 && usable(run); i++) {
        expect_append_status(fixture_log_append(run->f, &run->small, 2, 1000, i % 5 == 0));
        expect_append_status(fixture_log_append(run->f, &run->direct, 1, 5000, false));
    }
    if (usable(run)) {
        fixture_pass(run->f, 20000);
    }
}

static void trim_and_delete(struct run *run)
{
    unsigned i;

    for (i = 0; i < 12 && usable(run); i++) {
        (void)fixture_append_size(run->f, "churn", 5000);
        (void)fixture_append_size(run->f, "churn", 5000);
        if (i % 4 == 3 && usable(run)) {
            (void)fixture_delete(run->f, "churn");
        }
    }
    if (usable(run)) {
        (void)fixture_checkpoint(run->f, "small", "c", 2);
        fixture_pass(run->f, 20000);
    }
}

/* Entries in blocks, on the device, not in the cache. */
static void store_on_device(struct run *run)
{
    store_after_a_crash(run);
    fixture_open(run->f);
    fixture_stop(run->f);
    sim_disk_settle(run->f->disk);
    sim_disk_drop_cache(run->f->disk);
    sim_disk_set_cold(run->f->disk, 100);
    fixture_open(run->f);
    fixture_settle(run->f);
}

static void read_cold(struct run *run)
{
    struct fixture *f = run->f;
    uint64_t offset;

    for (offset = 0; offset < 24; offset += 5) {
        const int status = fixture_try_read(f, "small", ENGINE_AT_OFFSET, offset);

        assert_true(status == 0 || status == TUSK_ECORRUPT);
        (void)fixture_try_read(f, "big", ENGINE_AT_OFFSET, offset / 2);
    }
    assert_true(usable(run));
    sim_disk_set_cold(f->disk, 10);
}

static void create_namespace(struct run *run)
{
    struct fixture *f = run->f;

    run->may_have_other = true;
    run->has_other = engine_namespace_create(f->engine, "other", 5, NULL, 0, &f->err) == 0;
    if (!run->has_other) {
        assert_true(f->err.code == TUSK_EIO || f->err.code == TUSK_ENOSPACE);
    }
    fixture_pass(f, 2000);
}

static void with_other(struct run *run)
{
    store_open(run);
    assert_int_equal(engine_namespace_create(run->f->engine, "other", 5, NULL, 0, &run->f->err), 0);
    fixture_settle(run->f);
    run->may_have_other = true;
    run->has_other = true;
}

static void delete_namespace(struct run *run)
{
    struct fixture *f = run->f;

    run->has_other = false;
    run->may_have_other = engine_namespace_delete(f->engine, "other", 5, &f->err) != 0;
    if (run->may_have_other) {
        assert_true(f->err.code == TUSK_EIO || f->err.code == TUSK_ENOSPACE);
    }
}

static void unsynced_entries(struct run *run)
{
    unsigned i;

    run->f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    fixture_open(run->f);
    for (i = 0; i < 10; i++) {
        assert_int_equal(fixture_log_append(run->f, &run->small, 2, 400, false), 0);
        assert_int_equal(fixture_log_append(run->f, &run->direct, 1, 5000, false), 0);
    }
}

static void stop_engine(struct run *run)
{
    struct fixture *f = run->f;

    if (engine_stop(f->engine, &f->now, &f->err) == 0) {
        run->small.durable = run->small.acked;
        run->direct.durable = run->direct.acked;
    }
}

/* ---- tests ---- */

static void opening_a_new_directory(void **state)
{
    (void)state;
    fail_each(NULL, open_engine, 1);
}

static void opening_after_a_crash(void **state)
{
    (void)state;
    fail_each(store_after_a_crash, open_engine, 1);
}

static void appending(void **state)
{
    (void)state;
    fail_each(store_open, append_small, 1);
}

static void rolling_over(void **state)
{
    (void)state;
    fail_each(store_open, append_much, 17);
}

static void trimming_and_deleting(void **state)
{
    (void)state;
    fail_each(store_open, trim_and_delete, 7);
}

/* A failed read is a failed read: no read error stops a namespace. */
static void reading(void **state)
{
    (void)state;
    fail_each(store_on_device, read_cold, 1);
}

static void creating_a_namespace(void **state)
{
    (void)state;
    fail_each(store_open, create_namespace, 1);
}

static void deleting_a_namespace(void **state)
{
    (void)state;
    fail_each(with_other, delete_namespace, 1);
}

static void stopping(void **state)
{
    (void)state;
    fail_each(unsynced_entries, stop_engine, 1);
}

#define TEST(name) cmocka_unit_test_teardown(name, say_what_failed)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(opening_a_new_directory),
        TEST(opening_after_a_crash),
        TEST(appending),
        TEST(rolling_over),
        TEST(trimming_and_deleting),
        TEST(reading),
        TEST(creating_a_namespace),
        TEST(deleting_a_namespace),
        TEST(stopping),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
