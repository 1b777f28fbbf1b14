/* Recovery on a machine that fails while it looks: reads that fail the second time, files that end before their size, a start that is
 * told to give up, nobody who listens. Whatever it meets, it serves everything or refuses and says why; and when the
 * machine is well again, everything is there. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/namespace.h"
#include "tests/support/engine_fixture.h"

/* A store whose recovery reads of everything: manifests, several journal files, batches that stand in their blocks only, full blocks
 * without a seal. Everything acknowledged is durable, and known to be. */
static void make_store(struct fixture *f, struct fixture_log *log)
{
    unsigned i;

    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    f->options.manifest_journal_bytes = 64u << 20;
    f->options.manifest_idle_us = 10000;
    fixture_open(f);
    for (i = 0; i < 12; i++) {
        assert_int_equal(fixture_log_append(f, log, 1, 3000, true), 0);
        assert_int_equal(fixture_log_append(f, log, 1, 5000, true), 0);
    }
    fixture_pass(f, 20000); /* Idle: a manifest */
    for (i = 0; i < 30; i++) {
        assert_int_equal(fixture_log_append(f, log, 1, i < 28 ? 3000 : 5000, true), 0);
    }
    fixture_pass(f, 2000000); /* A mark behind all of it */
    sim_disk_power_cut(f->disk);
    fixture_close(f);
}

/* Another machine with the same store. */
static struct fixture *copy_of(const struct fixture *f)
{
    struct fixture *copy = fixture_new(1);

    sim_disk_free(copy->disk);
    copy->disk = sim_disk_clone(f->disk);
    copy->options = f->options;
    copy->options.random_arg = &copy->random;
    copy->options.finding_arg = copy;
    return copy;
}

/* The faults armed are those of the open. True: one was met. */
static bool expect_all_or_a_reason(struct fixture *f, struct fixture_log *log)
{
    const int rc = fixture_try_open(f);
    const bool fired = sim_disk_fired(f->disk) > 0;

    sim_disk_clear_faults(f->disk);
    if (rc != 0) {
        assert_true(strlen(f->err.text) > 0);
    } else if (fixture_serves(f)) {
        fixture_log_check(f, log, log->acked);
    } else {
        assert_true(strlen(fixture_reason(f)) > 0);
    }
    fixture_close(f);
    return fired;
}

/* Each read of the device fails in turn, those too of what has been read before without a fault: a place that cannot be read is never
 * taken for the end of anything. */
static void a_read_that_fails_is_never_an_end(void **state)
{
    struct fixture_log made = {.topic = "t"};
    bool fired = true;
    uint64_t nth;

    make_store(*state, &made);
    for (nth = 1; fired; nth++) {
        struct fixture *f = copy_of(*state);
        struct fixture_log log = made;

        sim_disk_fail(f->disk, SIM_READS | SIM_BIT(SIM_SIZE), nth, false, EIO, SIM_FAIL);
        fired = expect_all_or_a_reason(f, &log);
        fixture_open(f);
        fixture_log_check(f, &log, log.acked);
        fixture_free(f);
    }
    assert_in_range(nth, 20, 1000);
}

/* ---- files that end before their size ---- */

static struct {
    struct io_ops ops;
    const struct io_ops *real;
    unsigned reads;
    unsigned nth; /* This one is short */
    bool nothing; /* It gives nothing, not half */
} short_read;

static int read_short(struct io_file *file, uint8_t *data, size_t size, uint64_t offset,
                      size_t *got, struct error *err)
{
    const int rc = short_read.real->read_direct(file, data, size, offset, got, err);

    if (++short_read.reads == short_read.nth && rc == 0) {
        *got = short_read.nothing ? 0 : *got / 2;
    }
    return rc;
}

static void shorten(struct io *io)
{
    short_read.real = io->ops;
    short_read.ops = *io->ops;
    short_read.ops.read_direct = read_short;
    io->ops = &short_read.ops;
}

/* A file shrinks while it is read: what is missing was there a moment ago, and is not invented. */
static void a_read_that_comes_back_short_is_no_end_either(void **state)
{
    struct fixture_log made = {.topic = "t"};

    make_store(*state, &made);
    for (short_read.nth = 1; short_read.reads + 1 >= short_read.nth; short_read.nth++) {
        unsigned round;

        for (round = 0; round < 2; round++) {
            struct fixture *f = copy_of(*state);
            struct fixture_log log = made;

            short_read.reads = 0;
            short_read.nothing = round == 1;
            f->on_io = shorten;
            (void)expect_all_or_a_reason(f, &log);
            f->on_io = NULL;
            fixture_open(f);
            fixture_log_check(f, &log, log.acked);
            fixture_free(f);
        }
    }
    assert_in_range(short_read.nth, 20, 1000);
}

/* ---- giving up ---- */

struct watcher {
    unsigned calls;
    unsigned give_up_at; /* 0: never */
    uint64_t done;
};

static bool watch(void *arg, const char *name, uint64_t done_bytes, uint64_t total_bytes)
{
    struct watcher *watcher = arg;

    assert_string_equal(name, "default");
    assert_int_equal(total_bytes, 0);
    assert_true(watcher->calls == 0 || done_bytes >= watcher->done + (4u << 20));
    watcher->done = done_bytes;
    return ++watcher->calls != watcher->give_up_at;
}

/* Large enough that every step of recovery reads for a while. */
static void make_large_store(struct fixture *f, struct fixture_log *logs, bool journal)
{
    unsigned i;

    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    f->options.block_size = 2u << 20;
    f->options.journal_file_min = 8u << 20;
    f->options.journal_file_max = 8u << 20;
    f->options.journal_size_max = 256u << 20;
    f->options.manifest_journal_bytes = 128u << 20;
    f->options.ring_size = 64u << 20;
    f->options.direct_threshold = 64u << 10;
    fixture_open(f);
    for (i = 0; i < 8; i++) {
        assert_int_equal(fixture_log_append(f, &logs[i % 2], 1, 1800000, false), 0);
    }
    fixture_sync(f);
    fixture_settle(f); /* Idle for long enough: a manifest, and behind it seals */
    for (i = 0; i < 200 && journal; i++) {
        assert_int_equal(fixture_log_append(f, &logs[2], 1, 60000, false), 0);
    }
    if (journal) {
        fixture_sync(f);
    }
    sim_disk_power_cut(f->disk);
    fixture_close(f);
}

/* A start is heard of all the time it reads, in every step of it, and whenever it is told to give up it has changed nothing: the next one
 * finds what it found. */
static void gives_up_at_any_moment(struct fixture *f, bool journal)
{
    struct watcher watcher = {.give_up_at = 0};
    struct fixture_log logs[3] = {{.topic = "a"}, {.topic = "b"}, {.topic = "c"}};
    unsigned count = 0;
    unsigned i;

    make_large_store(f, logs, journal);
    f->options.progress = watch;
    f->options.progress_arg = &watcher;
    do {
        watcher = (struct watcher){.give_up_at = ++count};
        if (fixture_try_open(f) == 0) {
            break;
        }
        assert_int_equal(watcher.calls, count);
        assert_int_equal(f->err.code, TUSK_ECLOSED);
        assert_non_null(strstr(f->err.text, "give up"));
    } while (count < 1000);
    assert_true(fixture_serves(f));
    assert_in_range(count, journal ? 7 : 3, 100);
    for (i = 0; i < 3; i++) {
        fixture_log_check(f, &logs[i], logs[i].acked);
    }
}

/* Survey, replay and redo read the journal, 12 MB of it; or recovery has full blocks to walk, whose seals went with the power. */
static void recovery_gives_up_at_any_moment(void **state)
{
    unsigned round;

    (void)state;
    for (round = 0; round < 2; round++) {
        struct fixture *f = fixture_new(1);

        gives_up_at_any_moment(f, round == 0);
        fixture_free(f);
    }
}

/* Findings are told to whoever wants them. */
static void nobody_has_to_listen(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    f->options.finding = NULL;
    fixture_kill(f);
    assert_int_equal(f->findings, 0);
    fixture_expect(f, "t", "a", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_read_that_fails_is_never_an_end),
        FIXTURE_TEST(a_read_that_comes_back_short_is_no_end_either),
        cmocka_unit_test(recovery_gives_up_at_any_moment),
        FIXTURE_TEST(nobody_has_to_listen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
