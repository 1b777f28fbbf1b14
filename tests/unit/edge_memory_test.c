/* Edges of memory: there is none, or it is gone while somebody is still waiting. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "core/namespace.h"
#include "tests/support/engine_fixture.h"
#include "tests/support/patience.h"

/* ---- want of memory, and memory that was freed ---- */

static size_t refused_size; /* realloc() of exactly this fails; 0: none does */
static void *watched;       /* free() of this leaves nothing of what it held */

void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __real_free(void *memory);
void __wrap_free(void *memory);

void *__wrap_realloc(void *memory, size_t size)
{
    return refused_size != 0 && size == refused_size ? NULL : __real_realloc(memory, size);
}

void __wrap_free(void *memory)
{
    if (memory != NULL && memory == watched) {
        memset(memory, 0xee, malloc_usable_size(memory));
        watched = NULL;
    }
    __real_free(memory);
}

static int reset(void **state)
{
    refused_size = 0;
    watched = NULL;
    return fixture_teardown(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, reset)

/* ---- want of memory ---- */

/* Entries written, and no memory to submit their sync. */
static void without_memory_to_sync(struct fixture *f)
{
    const struct journal_file *file;
    unsigned files = 0;

    f->options.settings.fsync_ms = 10;
    f->options.inline_sync = false;
    fixture_open(f);
    fixture_append_strings(f, "t", "first", NULL);
    fixture_settle(f);
    assert_int_equal(fixture_append_size(f, "t", 100), 0);
    assert_false(f->ns->flusher.in_flight);
    for (file = f->ns->journal.files; file != NULL; file = file->next) {
        files += file->unsynced ? 1u : 0u;
    }
    free(f->ns->flusher.ops);
    f->ns->flusher.ops = NULL;
    f->ns->flusher.op_capacity = 0;
    refused_size = files * sizeof(struct io_op);
}

/* A sync that finds no memory is tried again now and then, not at once for ever. */
static void a_sync_that_finds_no_memory_does_not_spin(void **state)
{
    struct fixture *f = *state;

    without_memory_to_sync(f);
    f->now.mono_us += 100000;
    f->now.wall_us += 100000;
    expect_no_spin(f);
}

/* The same with two journal files and a segment to be synced, in the turn. Each of those syncs fails once: then nothing is called durable,
 * and it is not tried again. */
static void each_sync_in_the_turn_counts(void **state)
{
    bool fired = true;
    uint64_t nth;

    (void)state;
    for (nth = 1; fired; nth++) {
        struct fixture *f = fixture_new(nth);
        struct fixture_log log = {.topic = "t"};
        const struct journal_file *file;
        unsigned files = 0;
        uint64_t syncs;
        unsigned i;

        sim_disk_set_policy(f->disk, SIM_CUT_DROP);
        f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
        fixture_open(f);
        for (i = 0; i < 11; i++) {
            assert_int_equal(fixture_log_append(f, &log, 1, 3000, false), 0);
        }
        assert_int_equal(fixture_log_append(f, &log, 1, 5000, false), 0);
        sim_disk_set_pace(f->disk, 100);
        for (i = 0; i < 20; i++) {
            fixture_turn(f);
        }
        for (file = f->ns->journal.files; file != NULL; file = file->next) {
            files += file->unsynced ? 1u : 0u;
        }
        assert_int_equal(files, 2);
        assert_int_equal(f->ns->space.direct_dirty_count, 1);
        free(f->ns->flusher.ops);
        f->ns->flusher.ops = NULL;
        f->ns->flusher.op_capacity = 0;
        refused_size = 3 * sizeof(struct io_op);
        sim_disk_fail(f->disk, SIM_BIT(SIM_SYNC), nth, false, EIO, SIM_LOSE);
        syncs = sim_disk_operations(f->disk, SIM_BIT(SIM_SYNC));
        flusher_want(&f->ns->flusher, f->ns->journal.next_lsn);
        fixture_turn(f);
        fired = sim_disk_fired(f->disk) > 0;
        assert_int_equal(sim_disk_operations(f->disk, SIM_BIT(SIM_SYNC)) - syncs, fired ? nth : 3);
        refused_size = 0;
        sim_disk_clear_faults(f->disk);
        assert_int_equal(fixture_serves(f), !fired);
        if (!fired) {
            assert_int_equal(f->ns->space.direct_dirty_count, 0);
            assert_true(f->ns->flusher.durable == f->ns->journal.written);
            fixture_power_cut(f);
            fixture_log_check(f, &log, log.acked);
            /* And the next sync is one of what is written then. */
            assert_int_equal(fixture_log_append(f, &log, 1, 5000, false), 0);
            refused_size = 2 * sizeof(struct io_op);
            assert_non_null(f->ns->journal.files->next);
            syncs = sim_disk_operations(f->disk, SIM_BIT(SIM_SYNC));
            assert_int_equal(fixture_log_sync(f, &log), 0);
            assert_int_equal(sim_disk_operations(f->disk, SIM_BIT(SIM_SYNC)) - syncs, 2);
            refused_size = 0;
            assert_int_equal(fixture_log_append(f, &log, 1, 5000, false), 0);
            assert_int_equal(fixture_log_sync(f, &log), 0);
            fixture_power_cut(f);
            fixture_log_check(f, &log, log.acked);
        }
        fixture_free(f);
    }
    assert_int_equal(nth, 5);
}

static int stop(struct fixture *f)
{
    (void)engine_stop(f->engine, &f->now, &f->err);
    return 0;
}

/* A stop ends there, too, cleanly or not. */
static void a_stop_without_memory_ends(void **state)
{
    struct fixture *f = *state;

    without_memory_to_sync(f);
    assert_int_equal(in_a_child(stop, f), 0);
}

/* A block that could not be followed by another for want of memory goes on: no seal is written for it while it is the
 * active one. */
static void a_block_that_goes_on_is_not_sealed(void **state)
{
    struct fixture *f = *state;
    const struct engine_topic_ref ref = {.name = "t", .name_size = 1};
    const struct topic *topic;
    uint64_t manifests;

    f->options.manifest_idle_us = 10000;
    fixture_open(f);
    assert_int_equal(fixture_append_size(f, "t", 16000), 0);
    fixture_settle(f);
    topic = namespace_topic(f->ns, &ref);
    refused_size = 2 * sizeof(struct block);
    assert_int_equal(fixture_append_size(f, "t", 16000), TUSK_ENOMEM);
    refused_size = 0;
    assert_int_equal(topic->block_count, 1);
    manifests = fixture_stat(f, "manifests");
    assert_int_equal(fixture_append_size(f, "t", 100), 0); /* Fits the block that goes on */
    fixture_pass(f, 1000000);
    assert_true(fixture_stat(f, "manifests") > manifests);
    assert_int_equal(topic->block_count, 1);
    assert_false(topic->blocks[0].sealed);
}

/* ---- deleting a namespace ---- */

static bool answered;

static void note(struct engine_request *request)
{
    (void)request;
    answered = true;
}

static int seek_and_delete(struct fixture *f)
{
    static struct engine_command seek = {.base = {.done = note},
                                         .kind = ENGINE_SEEK,
                                         .topic = {.name = "t", .name_size = 1},
                                         .cursor = "c",
                                         .cursor_size = 1,
                                         .position = ENGINE_AT_TIME,
                                         .value = 1};
    int rc;
    unsigned i;

    engine_now(f->engine, &f->now);
    engine_command(f->ns, &seek);
    watched = f->ns;
    rc = engine_namespace_delete(f->engine, "other", 5, &f->err);
    for (i = 0; i < 1000 && !answered; i++) {
        fixture_turn(f);
    }
    return (rc == 0 || rc == TUSK_EBUSY) && answered ? 0 : 1;
}

/* A seek by time looks into blocks. A namespace is not deleted under it, or it is answered all the same, without a look at
 * what is gone. */
static void a_namespace_is_not_deleted_under_a_seek_by_time(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    assert_int_equal(engine_namespace_create(f->engine, "other", 5, NULL, 0, &f->err), 0);
    f->ns = engine_namespace_find(f->engine, "other", 5);
    fixture_append_strings(f, "t", "one", NULL);
    fixture_settle(f);
    assert_int_equal(in_a_child(seek_and_delete, f), 0);
}

/* A namespace is not deleted under reads, whether they wait for the disk or for an entry; when they have been
 * answered, it is. */
static void reads_under_way_hold_a_delete_up(void **state)
{
    struct fixture *f = *state;
    struct fixture_read cold = {0};
    struct fixture_read parked = {.request = {.position = ENGINE_AT_LATEST, .wait_ms = 60000}};

    fixture_open(f);
    assert_int_equal(engine_namespace_create(f->engine, "other", 5, NULL, 0, &f->err), 0);
    f->ns = engine_namespace_find(f->engine, "other", 5);
    assert_int_equal(fixture_append_size(f, "t", 6000), 0);
    fixture_settle(f);
    sim_disk_set_cold(f->disk, 100);
    fixture_read_begin(f, &cold, "t");
    fixture_read_begin(f, &parked, "t");
    assert_int_equal(f->ns->reads_in_flight, 1);
    assert_int_equal(engine_namespace_delete(f->engine, "other", 5, &f->err), TUSK_EBUSY);
    assert_int_equal(fixture_read_end(f, &cold), 0);
    assert_int_equal(engine_namespace_delete(f->engine, "other", 5, &f->err), TUSK_EBUSY);
    engine_read_cancel(&parked.request);
    (void)fixture_read_end(f, &parked);
    assert_int_equal(engine_namespace_delete(f->engine, "other", 5, &f->err), 0);
    fixture_read_free(&cold);
    fixture_read_free(&parked);
}

/* A rename that failed for want of space may have happened all the same. Either the namespace is where it was and serves, and what
 * it takes then is there after a crash, or it has stopped. */
static void a_delete_that_failed_keeps_no_promise_it_cannot_keep(void **state)
{
    unsigned stopped = 0;
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 20; seed++) {
        struct fixture *f = fixture_new(seed);
        struct engine_namespace_info info;

        fixture_open(f);
        assert_int_equal(engine_namespace_create(f->engine, "other", 5, NULL, 0, &f->err), 0);
        sim_disk_fail(f->disk, SIM_BIT(SIM_RENAME), 1, false, ENOSPC, SIM_FAIL_PARTLY);
        assert_true(engine_namespace_delete(f->engine, "other", 5, &f->err) != 0);
        f->ns = engine_namespace_find(f->engine, "other", 5);
        assert_non_null(f->ns);
        engine_namespace_info(f->ns, &info);
        if (info.state == ENGINE_SERVING) {
            fixture_append_strings(f, "t", "kept", NULL);
            sim_disk_process_crash(f->disk);
            fixture_close(f);
            fixture_open(f);
            f->ns = engine_namespace_find(f->engine, "other", 5);
            assert_non_null(f->ns);
            fixture_expect(f, "t", "kept", NULL);
        } else {
            stopped++;
        }
        fixture_free(f);
    }
    assert_in_range(stopped, 1, 19);
}

/* A list of topics that cannot be put in order for want of memory is an error, not a short list. */
static void a_list_without_memory_is_no_end(void **state)
{
    struct fixture *f = *state;
    struct engine_topic_info info;

    fixture_open(f);
    fixture_append_strings(f, "b", "1", NULL);
    fixture_append_strings(f, "a", "1", NULL);
    refused_size = 2 * sizeof(struct topic *);
    assert_int_equal(engine_topic_next(f->ns, NULL, 0, &info), TUSK_ENOMEM);
    refused_size = 0;
    assert_int_equal(engine_topic_next(f->ns, NULL, 0, &info), 1);
    assert_memory_equal(info.name, "a", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_sync_that_finds_no_memory_does_not_spin),
        cmocka_unit_test(each_sync_in_the_turn_counts),
        TEST(a_stop_without_memory_ends),
        TEST(a_list_without_memory_is_no_end),
        TEST(a_block_that_goes_on_is_not_sealed),
        TEST(reads_under_way_hold_a_delete_up),
        TEST(a_namespace_is_not_deleted_under_a_seek_by_time),
        cmocka_unit_test(a_delete_that_failed_keeps_no_promise_it_cannot_keep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
