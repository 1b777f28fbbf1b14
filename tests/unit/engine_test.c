/* The engine as a whole: its options, its lock, its namespaces, and what it does with a directory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/engine_fixture.h"

/* ---- opening ---- */

/* Options that make no sense are refused before anything is touched. */
static void options_out_of_range_are_refused(void **state)
{
    struct fixture *f = *state;
    const struct engine_options good = f->options;
    unsigned i;

    for (i = 0; i < 10; i++) {
        f->options = good;
        switch (i) {
        case 0:
            f->options.block_size = (32u << 10) - 4096;
            break;
        case 1:
            f->options.block_size = (32u << 10) + 1;
            break;
        case 2:
            f->options.block_size = (1u << 30) + 4096;
            break;
        case 3:
            f->options.blocks_per_segment = 0;
            break;
        case 4:
            f->options.blocks_per_segment = 10001;
            break;
        case 5:
            f->options.journal_file_min = 28u << 10;
            break;
        case 6:
            f->options.journal_file_max = f->options.journal_file_min - 4096;
            break;
        case 7:
            f->options.ring_size = 4 * f->options.journal_file_min - 4096;
            break;
        case 8:
            f->options.ring_size += 64;
            break;
        default:
            f->options.tail_apply_bytes = f->options.ring_size / 8 + 1;
            break;
        }
        assert_int_equal(fixture_try_open(f), TUSK_EINVALID);
        assert_int_equal(sim_disk_operations(f->disk, SIM_ALL), 0);
    }
}

/* Two engines never share a directory: the second is told who has it, and the first is not disturbed. */
static void a_directory_has_one_engine(void **state)
{
    struct fixture *f = *state;
    struct engine *second;
    struct io *io;

    fixture_open(f);
    assert_int_equal(io_sim_open(&io, f->disk), 0);
    assert_int_equal(engine_open(&second, io, &f->options, &f->now, &f->err), TUSK_ELOCKED);
    assert_null(second);
    io_close(io);
    fixture_append_strings(f, "t", "x", NULL);
    fixture_kill(f);
    fixture_expect(f, "t", "x", NULL);
}

/* A new directory gets the namespace "default", with the settings of the options, durably. */
static void a_new_directory_gets_default(void **state)
{
    struct fixture *f = *state;
    struct engine_namespace_info info;
    uint8_t store_id[ENGINE_STORE_ID_SIZE];
    uint64_t incarnation;

    f->options.settings.fsync_ms = 77;
    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    fixture_open(f);
    engine_namespace_info(f->ns, &info);
    assert_string_equal(info.name, "default");
    assert_int_equal(info.settings.fsync_ms, 77);
    assert_int_equal(info.batch_size_max, FIXTURE_BATCH_MAX);
    memcpy(store_id, info.store_id, sizeof store_id);
    incarnation = info.incarnation;
    f->options.settings.fsync_ms = 5; /* Of namespaces created from now on */
    fixture_power_cut(f);
    engine_namespace_info(f->ns, &info);
    assert_int_equal(info.settings.fsync_ms, 77);
    assert_memory_equal(store_id, info.store_id, sizeof store_id);
    assert_true(incarnation != info.incarnation);
}

/* Recovery asks now and then whether to go on; told no, it gives up, and has changed nothing. */
static bool give_up(void *arg, const char *name, uint64_t done, uint64_t total)
{
    unsigned *calls = arg;

    assert_string_equal(name, "default");
    (void)done;
    (void)total;
    (*calls)++;
    return false;
}

static void recovery_can_be_given_up(void **state)
{
    struct fixture *f = *state;
    unsigned calls = 0;
    uint64_t before;

    fixture_open(f);
    fixture_append_strings(f, "t", "x", NULL);
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_settle(f->disk);
    before = fixture_hash(f);
    f->options.progress = give_up;
    f->options.progress_arg = &calls;
    assert_int_equal(fixture_try_open(f), TUSK_ECLOSED);
    assert_int_equal(calls, 1);
    sim_disk_settle(f->disk);
    assert_int_equal(fixture_hash(f), before);
    f->options.progress = NULL;
    fixture_open(f);
    fixture_expect(f, "t", "x", NULL);
}

/* ---- stopping ---- */

/* A clean stop is clean: the next start replays nothing, finds nothing, and gives offsets without a gap. */
static void a_clean_stop_needs_no_recovery(void **state)
{
    struct fixture *f = *state;
    unsigned i;

    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    fixture_open(f);
    for (i = 0; i < 5; i++) {
        assert_int_equal(fixture_append_size(f, "t", 6000), 0);
        assert_int_equal(fixture_append_size(f, "t", 60), 0);
        fixture_stop(f);
        sim_disk_power_cut(f->disk);
        fixture_open(f);
        assert_int_equal(f->findings, 0);
        assert_int_equal(fixture_info(f, "t").end, 2 * (i + 1));
        assert_true(fixture_stat(f, "recovered_records") <= 3);
    }
}

/* While it stops, what is under way is made durable and answered; what comes later is told that it closes. */
static void a_stop_answers_everybody(void **state)
{
    const struct batch_entry entry = {.data = (const uint8_t *)"x", .size = 1};
    struct fixture *f = *state;
    struct fixture_append under_way = {0};
    struct fixture_append waiting = {0};
    struct fixture_append late = {0};

    f->options.inline_sync = false;
    fixture_open(f);
    fixture_append_strings(f, "t", "first", NULL);
    fixture_append_begin(f, &under_way, "t", &entry, 1);
    fixture_append_begin(f, &waiting, "new", &entry, 1); /* Its run is not durable yet */
    assert_int_equal(engine_stop(f->engine, &f->now, &f->err), 0);
    assert_true(under_way.finished);
    assert_int_equal(under_way.request.base.status, 0);
    assert_true(waiting.finished);
    assert_int_equal(waiting.request.base.status, TUSK_ECLOSED);
    fixture_append_begin(f, &late, "t", &entry, 1);
    assert_int_equal(fixture_append_end(f, &late), TUSK_ECLOSED);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 0), TUSK_ECLOSED);
    free(under_way.batch);
    free(waiting.batch);
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(f->findings, 0);
    fixture_expect(f, "t", "first", "x", NULL);
}

/* Closing without a stop forgets the requests and writes nothing. */
static void closing_runs_no_done(void **state)
{
    const struct batch_entry entry = {.data = (const uint8_t *)"x", .size = 1};
    struct fixture *f = *state;
    struct fixture_append append = {0};
    struct fixture_read read = {.request = {.position = ENGINE_AT_LATEST, .wait_ms = 1000}};

    f->options.inline_sync = false;
    fixture_open(f);
    fixture_append_strings(f, "t", "first", NULL);
    fixture_read_begin(f, &read, "t");
    fixture_append_begin(f, &append, "new", &entry, 1);
    fixture_close(f);
    assert_false(append.finished);
    assert_false(read.finished);
    free(append.batch);
}

/* ---- namespaces ---- */

static int create(struct fixture *f, const char *name)
{
    return engine_namespace_create(f->engine, name, strlen(name), NULL, 0, &f->err);
}

static int delete (struct fixture *f, const char *name)
{
    return engine_namespace_delete(f->engine, name, strlen(name), &f->err);
}

/* Names are any bytes, as long as their encoding fits a file name; each is one directory. */
static void namespaces_have_any_name_that_fits(void **state)
{
    static const char *const names[] = {"a", "A", "..", ".", "a/b", "\xff\x01", "%41", "x y"};
    struct fixture *f = *state;
    char long_name[257];
    unsigned i;

    fixture_open(f);
    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(create(f, names[i]), 0);
        assert_int_equal(create(f, names[i]), TUSK_EEXISTS);
    }
    assert_int_equal(create(f, ""), TUSK_EINVALID);
    memset(long_name, 'l', 256);
    long_name[256] = '\0';
    assert_int_equal(create(f, long_name), TUSK_EINVALID);
    long_name[255] = '\0';
    assert_int_equal(create(f, long_name), 0);
    memset(long_name, '.', 86); /* 258 bytes encoded */
    long_name[86] = '\0';
    assert_int_equal(create(f, long_name), TUSK_EINVALID);
    long_name[85] = '\0';
    assert_int_equal(create(f, long_name), 0);
    fixture_power_cut(f);
    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_non_null(engine_namespace_find(f->engine, names[i], strlen(names[i])));
    }
}

/* They are listed in byte order, and share nothing: same topic names, other topics. */
static void namespaces_share_nothing(void **state)
{
    struct fixture *f = *state;
    struct namespace *first = f->ns;
    struct engine_namespace_info info;

    fixture_open(f);
    assert_int_equal(create(f, "zoo"), 0);
    assert_int_equal(create(f, "art"), 0);
    first = engine_namespace_next(f->engine, NULL, 0);
    engine_namespace_info(first, &info);
    assert_string_equal(info.name, "art");
    engine_namespace_info(engine_namespace_next(f->engine, "art", 3), &info);
    assert_string_equal(info.name, "default");
    assert_null(engine_namespace_next(f->engine, "zoo", 3));
    fixture_append_strings(f, "t", "in default", NULL);
    f->ns = first;
    fixture_append_strings(f, "t", "in art", NULL);
    fixture_expect(f, "t", "in art", NULL);
    fixture_power_cut(f);
    fixture_expect(f, "t", "in default", NULL);
    f->ns = engine_namespace_find(f->engine, "art", 3);
    fixture_expect(f, "t", "in art", NULL);
}

/* A namespace is deleted whole and durably, not while it is used, and never the default one. */
static void a_namespace_is_deleted_whole(void **state)
{
    struct fixture *f = *state;
    struct namespace *other;
    uint64_t used;
    char path[IO_PATH_SIZE];

    fixture_open(f);
    used = sim_disk_used(f->disk);
    assert_int_equal(delete (f, "other"), TUSK_ENOTFOUND);
    assert_int_equal(delete (f, "default"), TUSK_EINVALID);
    assert_int_equal(create(f, "other"), 0);
    other = engine_namespace_find(f->engine, "other", 5);
    engine_namespace_use(other, 1);
    assert_int_equal(delete (f, "other"), TUSK_EBUSY);
    engine_namespace_use(other, -1);
    f->ns = other;
    fixture_append_strings(f, "t", "x", NULL);
    assert_int_equal(delete (f, "other"), 0);
    assert_null(engine_namespace_find(f->engine, "other", 5));
    assert_true(sim_disk_used(f->disk) <= used + (64u << 10));
    assert_int_equal(create(f, "other"), 0);
    f->ns = engine_namespace_find(f->engine, "other", 5);
    assert_int_equal(fixture_stat(f, "topics"), 0);
    assert_int_equal(delete (f, "other"), 0);
    fixture_power_cut(f);
    assert_null(engine_namespace_find(f->engine, "other", 5));
    assert_int_equal(fixture_last_file(f, "ns/other", "", path), 0);
}

/* Power is cut at every operation of a creation, and of a deletion: what is there afterwards is a whole
 * namespace or none, and creating it again works. */
static void making_and_removing_survive_any_cut(void **state)
{
    unsigned moment;
    uint64_t nth;

    (void)state;
    for (moment = 0; moment < 4; moment++) {
        bool reached = true;

        for (nth = 1; reached; nth++) {
            struct fixture *f = fixture_new(nth);
            const bool removing = moment >= 2;
            int rc;

            fixture_open(f);
            fixture_settle(f);
            assert_int_equal(removing ? create(f, "other") : 0, 0);
            sim_disk_cut_at(f->disk, SIM_CHANGES, nth, moment % 2 == 0 ? SIM_BEFORE : SIM_AMID);
            rc = removing ? delete (f, "other") : create(f, "other");
            reached = sim_disk_is_down(f->disk);
            fixture_power_cut(f);
            if (rc == 0) {
                assert_true((engine_namespace_find(f->engine, "other", 5) != NULL) == !removing);
            }
            f->ns = engine_namespace_find(f->engine, "other", 5);
            if (f->ns == NULL) {
                assert_int_equal(create(f, "other"), 0);
                f->ns = engine_namespace_find(f->engine, "other", 5);
            }
            assert_true(fixture_serves(f));
            fixture_append_strings(f, "t", "x", NULL);
            fixture_expect(f, "t", "x", NULL);
            fixture_free(f);
        }
        assert_true(nth > 5);
    }
}

/* ---- the directory ---- */

static void make_file(struct fixture *f, const char *path)
{
    struct io_file *file;
    struct iovec iov = {.iov_base = (void *)(uintptr_t) "stray", .iov_len = 5};

    assert_int_equal(io_open(f->io, path, IO_OPEN_CREATE, &file, &f->err), 0);
    assert_int_equal(io_write(file, &iov, 1, 0, &f->err), 0);
    io_close_file(file);
}

/* Files that are not the engine's are reported and left as they are, wherever they lie. */
static void unknown_files_are_left_alone(void **state)
{
    static const char *const paths[] = {
        "readme",
        "ns/stray",
        FIXTURE_DIR "/notes.txt",
        FIXTURE_DIR "/0000000000000001.segment",
        FIXTURE_DIR "/manifest-1",
        FIXTURE_DIR "/journal/0001.jnl",
        FIXTURE_DIR "/journal/0000000000000001.jnl.bak",
    };
    struct fixture *f = *state;
    unsigned i;

    fixture_open(f);
    fixture_append_strings(f, "t", "x", NULL);
    fixture_stop(f);
    assert_int_equal(io_sim_open(&f->io, f->disk), 0);
    for (i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        make_file(f, paths[i]);
    }
    assert_int_equal(io_make_dir(f->io, "ns/Not%41Canonical", &f->err), 0);
    io_close(f->io);
    f->io = NULL;
    fixture_open(f);
    assert_int_equal(f->findings, sizeof paths / sizeof paths[0]); /* The first is not looked at */
    fixture_expect(f, "t", "x", NULL);
    fixture_stop(f);
    for (i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        uint64_t size;
        uint8_t *data;

        sim_disk_settle(f->disk);
        data = sim_disk_file(f->disk, paths[i], &size);
        assert_int_equal(size, 5);
        assert_memory_equal(data, "stray", 5);
        free(data);
    }
}

/* A damaged namespace is refused with its reason; the others serve, new ones can be made, and the refused one can be
 * deleted. */
static void a_refused_namespace_leaves_the_others(void **state)
{
    struct fixture *f = *state;
    char path[IO_PATH_SIZE];
    struct namespace *other;
    struct engine_namespace_info info;

    fixture_open(f);
    assert_int_equal(create(f, "other"), 0);
    fixture_append_strings(f, "t", "x", NULL);
    fixture_stop(f);
    while (fixture_last_file(f, "ns/other/manifest-0", "", path) > 0) {
        sim_disk_resize(f->disk, path, 100);
        assert_int_equal(io_sim_open(&f->io, f->disk), 0);
        assert_int_equal(io_rename(f->io, path, "ns/other/kept", &f->err), 0);
        assert_int_equal(io_sync_dir(f->io, "ns/other", &f->err), 0);
        io_close(f->io);
        f->io = NULL;
    }
    fixture_open(f);
    other = engine_namespace_find(f->engine, "other", 5);
    engine_namespace_info(other, &info);
    assert_int_equal(info.state, ENGINE_REFUSED);
    assert_non_null(strstr(info.reason, "manifest"));
    assert_null(engine_failed(f->engine, &f->err));
    fixture_expect(f, "t", "x", NULL);
    fixture_append_strings(f, "t", "y", NULL);
    assert_int_equal(create(f, "third"), 0);
    assert_int_equal(delete (f, "other"), 0);
    fixture_stop(f);
    fixture_open(f);
    assert_null(engine_namespace_find(f->engine, "other", 5));
    fixture_expect(f, "t", "x", "y", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(options_out_of_range_are_refused),
        FIXTURE_TEST(a_directory_has_one_engine),
        FIXTURE_TEST(a_new_directory_gets_default),
        FIXTURE_TEST(recovery_can_be_given_up),
        FIXTURE_TEST(a_clean_stop_needs_no_recovery),
        FIXTURE_TEST(a_stop_answers_everybody),
        FIXTURE_TEST(closing_runs_no_done),
        FIXTURE_TEST(namespaces_have_any_name_that_fits),
        FIXTURE_TEST(namespaces_share_nothing),
        FIXTURE_TEST(a_namespace_is_deleted_whole),
        cmocka_unit_test(making_and_removing_survive_any_cut),
        FIXTURE_TEST(unknown_files_are_left_alone),
        FIXTURE_TEST(a_refused_namespace_leaves_the_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
