/* The journal within one turn and across its files: much in one turn, rings that end in the middle of a record, writes that fail half way,
 * files that fail to be made, recycled or removed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/namespace.h"
#include "tests/support/engine_fixture.h"
#include "tests/support/journal_image.h"

/* `count` appends of one entry, begun in one turn. */
static struct fixture_append *begin_many(struct fixture *f, unsigned count, uint32_t size)
{
    struct fixture_append *appends = calloc(count, sizeof *appends);
    uint8_t *data = calloc(1, size);
    unsigned i;

    assert_non_null(appends);
    assert_non_null(data);
    for (i = 0; i < count; i++) {
        const struct batch_entry entry = {.data = data, .size = size};

        data[0] = (uint8_t)i;
        fixture_append_begin(f, &appends[i], i % 2 == 0 ? "t" : "u", &entry, 1);
    }
    free(data);
    return appends;
}

/* 0, or how the last one that failed did. Of one topic none is answered with success behind one that was not. */
static int end_many(struct fixture *f, struct fixture_append *appends, unsigned count)
{
    int status[2] = {0, 0};
    unsigned i;

    for (i = 0; i < count; i++) {
        const int one = fixture_append_end(f, &appends[i]);

        assert_true(one == 0 || one == TUSK_EUNKNOWN || one == TUSK_EIO);
        assert_true(status[i % 2] == 0 || one != 0);
        status[i % 2] = one;
    }
    free(appends);
    return status[0] != 0 ? status[0] : status[1];
}

static void note(struct engine_request *request)
{
    *(bool *)request->arg = true;
}

static void open_large(struct fixture *f)
{
    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    f->options.block_size = 8u << 20;
    f->options.journal_file_min = 8u << 20;
    f->options.journal_file_max = 8u << 20;
    f->options.journal_size_max = 256u << 20;
    f->options.manifest_journal_bytes = 128u << 20;
    f->options.manifest_idle_us = 1u << 30;
    f->options.ring_size = 32u << 20;
    f->options.direct_threshold = 1u << 20;
    f->options.tail_apply_bytes = 1u << 20;
    fixture_open(f);
}

/* Offsets are reserved as a topic needs them: so many that what comes then does not wait for more. */
static void warm_up(struct fixture *f)
{
    struct batch_entry entries[500];
    unsigned i;

    for (i = 0; i < 500; i++) {
        entries[i] = (struct batch_entry){.data = (const uint8_t *)"x", .size = 1};
    }
    for (i = 0; i < 4; i++) {
        struct fixture_append append = {.finished = false};

        fixture_append_begin(f, &append, i % 2 == 0 ? "t" : "u", entries, 500);
        assert_int_equal(fixture_append_end(f, &append), 0);
    }
    fixture_pass(f, 10000);
}

static void expect_all(struct fixture *f, unsigned count)
{
    assert_int_equal(fixture_info(f, "t").entries, (count + 1) / 2);
    assert_int_equal(fixture_info(f, "u").entries, count / 2);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 0), 0);
    assert_int_equal(fixture_try_read(f, "u", ENGINE_AT_OFFSET, count / 2 - 1), 0);
}

/* A turn of many megabytes, over several files: some of it is written before it ends, all of it in order. */
static void a_turn_larger_than_a_file_is_written_in_order(void **state)
{
    enum { COUNT = 120, SIZE = 100000 };
    struct fixture *f = *state;
    struct fixture_append *appends;
    uint64_t writes;

    open_large(f);
    warm_up(f);
    writes = sim_disk_operations(f->disk, SIM_BIT(SIM_WRITE));
    appends = begin_many(f, COUNT, SIZE);
    assert_int_equal(end_many(f, appends, COUNT), 0);
    assert_true(sim_disk_operations(f->disk, SIM_BIT(SIM_WRITE)) >= writes + 3);
    fixture_kill(f);
    expect_all(f, COUNT + 2000);
}

/* The same, and one of those writes fails: nothing of what it had to write is answered with success, then or later; what was answered
 * before is there. */
static void a_write_that_fails_within_a_turn_fails_the_rest_of_it(void **state)
{
    enum { COUNT = 120, SIZE = 100000 };
    bool fired = true;
    unsigned nth;

    (void)state;
    for (nth = 1; fired; nth++) {
        struct fixture *f = fixture_new(1);
        struct fixture_append *appends;
        uint64_t ends[2];
        unsigned i;

        open_large(f);
        warm_up(f);
        sim_disk_fail(f->disk, SIM_BIT(SIM_WRITE), nth, false, EIO, SIM_FAIL_HALF);
        appends = begin_many(f, COUNT, SIZE);
        fixture_turn(f);
        ends[0] = ends[1] = 1000;
        for (i = 0; i < COUNT; i++) {
            ends[i % 2] += appends[i].finished && appends[i].request.base.status == 0 ? 1 : 0;
        }
        (void)end_many(f, appends, COUNT);
        fired = sim_disk_fired(f->disk) > 0;
        sim_disk_clear_faults(f->disk);
        if (fired && !fixture_serves(f)) {
            assert_int_equal(fixture_try_append(f, "t", "b", false), TUSK_EIO);
        }
        fixture_kill(f);
        assert_true(fixture_info(f, "t").entries >= ends[0]);
        assert_true(fixture_info(f, "u").entries >= ends[1]);
        fixture_free(f);
    }
    assert_true(nth > 4);
}

/* Records of several batches meet the end of the ring in the middle: they end there, and the next begins at its start. Nothing is lost, in
 * memory or on the disk. */
static void records_end_where_the_ring_does(void **state)
{
    struct fixture *f = *state;
    uint64_t counts[2] = {0, 0};
    unsigned turns;

    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    fixture_open(f);
    for (turns = 0; turns < 250; turns++) {
        const unsigned count = 2 + turns % 5;

        assert_int_equal(end_many(f, begin_many(f, count, 400 + 16 * (turns % 7)), count), 0);
        counts[0] += (count + 1) / 2;
        counts[1] += count / 2;
    }
    assert_true(f->ns->ring.head > 3 * f->ns->ring.size);
    fixture_kill(f);
    assert_int_equal(fixture_info(f, "t").entries, counts[0]);
    assert_int_equal(fixture_info(f, "u").entries, counts[1]);
}

/* Files double while they fill fast, up to their greatest size; one that has lasted was large enough. */
static void files_grow_with_the_load_only(void **state)
{
    unsigned round;

    (void)state;
    for (round = 0; round < 2; round++) {
        struct fixture *f = fixture_new(1);
        const struct journal_file *before;
        unsigned rolls;

        f->options.journal_file_max = 80u << 10; /* Not the double of anything */
        f->options.journal_size_max = 1u << 20;
        f->options.ring_size = 512u << 10;
        f->options.direct_threshold_each = 16u << 10;
        fixture_open(f);
        f->now.mono_us += 31000000;
        for (rolls = 0; rolls < 8;) {
            before = f->ns->journal.current;
            assert_int_equal(fixture_append_size(f, "t", 3000), 0);
            if (f->ns->journal.current != before) {
                rolls++;
                fixture_settle(f);
                if (round == 0) {
                    assert_int_equal(f->ns->journal.file_size, f->options.journal_file_min);
                    f->now.mono_us += 31000000;
                }
            }
        }
        assert_int_equal(f->ns->journal.file_size, round == 0 ? 32u << 10 : 80u << 10);
        fixture_free(f);
    }
}

/* Records of any kind that one turn makes are one write, too. */
static void records_of_a_turn_are_one_write(void **state)
{
    enum { COUNT = 10 };
    struct fixture *f = *state;
    struct engine_command commands[COUNT];
    uint64_t before;
    uint64_t bytes;
    uint64_t written;
    unsigned i;

    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    fixture_open(f);
    fixture_append_strings(f, "t", "a", "b", NULL);
    fixture_settle(f);
    engine_now(f->engine, &f->now);
    for (i = 0; i < COUNT; i++) {
        static bool finished[COUNT];
        static const char names[] = "0123456789";

        commands[i] = (struct engine_command){.base = {.done = note, .arg = &finished[i]},
                                              .kind = ENGINE_CHECKPOINT,
                                              .topic = {.name = "t", .name_size = 1},
                                              .cursor = names + i,
                                              .cursor_size = 1,
                                              .offset = 1};
        engine_command(f->ns, &commands[i]);
    }
    before = sim_disk_operations(f->disk, SIM_BIT(SIM_WRITE));
    bytes = fixture_stat(f, "journal_bytes");
    written = f->ns->journal.written;
    fixture_turn(f);
    assert_int_equal(sim_disk_operations(f->disk, SIM_BIT(SIM_WRITE)), before + 1);
    assert_int_equal(fixture_stat(f, "journal_bytes") - bytes, f->ns->journal.written - written);
    assert_true(f->ns->journal.written > written);
    fixture_settle(f);
    fixture_kill(f);
    for (i = 0; i < COUNT; i++) {
        const char name[2] = {(char)('0' + i), '\0'};

        assert_int_equal(fixture_cursor(f, "t", name), 1);
    }
}

/* A sync is of the file that was written to since the last one, and of no other, however many there are. */
static void a_sync_is_of_what_was_written_since(void **state)
{
    struct fixture *f = *state;
    const struct journal_file *file;
    unsigned files = 0;
    uint64_t syncs;
    unsigned i;

    f->options.manifest_journal_bytes = 1u << 20;
    f->options.inline_sync = false;
    fixture_open(f);
    for (i = 0; i < 30; i++) {
        assert_int_equal(fixture_append_size(f, "t", 3000), 0);
    }
    fixture_settle(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_pass(f, 5000);
    for (file = f->ns->journal.files; file != NULL; file = file->next) {
        files++;
    }
    assert_true(files >= 2);
    syncs = sim_disk_operations(f->disk, SIM_BIT(SIM_SYNC));
    fixture_append_strings(f, "t", "b", NULL);
    assert_int_equal(sim_disk_operations(f->disk, SIM_BIT(SIM_SYNC)), syncs + 1);
}

static void append_until(struct fixture *f, uint64_t used)
{
    const struct journal *journal = &f->ns->journal;

    while (journal->next_lsn - journal->current->first_lsn < used) {
        assert_int_equal(fixture_append_size(f, "t", 20000), 0);
    }
    fixture_settle(f);
}

/* Spares are made as a file fills, not before: each takes space. And they are written to their end, so that no commit waits for space. */
static void spares_come_as_a_file_fills(void **state)
{
    struct fixture *f = *state;
    const struct journal *journal;
    const struct journal_file *first;
    const struct journal_file *spare;

    f->options.journal_file_min = 2u << 20;
    f->options.journal_file_max = 2u << 20;
    f->options.journal_size_max = 64u << 20;
    f->options.manifest_journal_bytes = 64u << 20;
    f->options.manifest_idle_us = UINT64_C(1) << 40;
    f->options.ring_size = 16u << 20;
    f->options.direct_threshold_each = 64u << 10;
    fixture_open(f);
    journal = &f->ns->journal;
    append_until(f, 1);
    assert_int_equal(journal->spare_count, JOURNAL_RESERVE);
    for (spare = journal->spares; spare != NULL; spare = spare->next) {
        char path[IO_PATH_SIZE];
        uint64_t size;

        journal_path(journal, path, spare->number);
        free(sim_disk_file(f->disk, path, &size));
        assert_int_equal(size, 2u << 20);
    }
    append_until(f, 300u << 10); /* More than an eighth */
    assert_int_equal(journal->spare_count, JOURNAL_RESERVE + 1);
    append_until(f, 1100u << 10); /* More than a half */
    assert_int_equal(journal->spare_count, JOURNAL_RESERVE + 2);
    first = journal->current;
    while (journal->current == first) {
        assert_int_equal(fixture_append_size(f, "t", 20000), 0);
    }
    fixture_settle(f);
    assert_int_equal(journal->spare_count, JOURNAL_RESERVE + 1); /* One of them was taken */
    append_until(f, 1100u << 10);
    assert_int_equal(journal->spare_count, JOURNAL_RESERVE + 2);
}

/* ---- files behind the scenes ---- */

/* Load that makes, fills, retires and recycles files. */
static void churn(struct fixture *f, struct fixture_log *log)
{
    unsigned i;

    for (i = 0; i < 60 && fixture_serves(f); i++) {
        (void)fixture_log_append(f, log, 1, 3000, false);
    }
}

/* Every operation on files of the journal fails in turn, for want of space or for good. Want of space is waited out, where it leaves nothing
 * in doubt; anything else stops the namespace. Behind a restart everything that was acknowledged is there. */
static void a_file_that_cannot_be_made_is_waited_for_or_fatal(void **state)
{
    static const enum sim_kind kinds[] = {SIM_CREATE,   SIM_RENAME, SIM_UNLINK, SIM_SYNC_DIR,
                                          SIM_ALLOCATE, SIM_SYNC,   SIM_WRITE};
    static const int errors[] = {ENOSPC, EIO, EMFILE, ENOMEM};
    unsigned served = 0;
    unsigned stopped = 0;
    unsigned i;

    (void)state;
    for (i = 0; i < 4 * sizeof kinds / sizeof kinds[0]; i++) {
        const enum sim_kind kind = kinds[i / 4];
        bool fired = true;
        uint64_t nth;

        for (nth = 1; fired && nth <= 12; nth++) {
            struct fixture *f = fixture_new(1);
            struct fixture_log log = {.topic = "t"};

            f->options.settings.fsync_ms = nth % 2 == 0 ? 1 : ENGINE_FSYNC_EACH;
            f->options.manifest_journal_bytes = 40u << 10;
            fixture_open(f);
            sim_disk_fail(f->disk, SIM_BIT(kind), nth, false, errors[i % 4], SIM_FAIL);
            churn(f, &log);
            fixture_settle(f);
            fired = sim_disk_fired(f->disk) > 0;
            sim_disk_clear_faults(f->disk);
            if (fixture_serves(f)) {
                served++;
                fixture_pass(f, 1500000);
                churn(f, &log);
                if (!fixture_serves(f)) {
                    fail_msg("kind %d, %s, operation %u: %s", (int)kind, strerror(errors[i % 4]),
                             (unsigned)nth, fixture_reason(f));
                }
                assert_int_equal(fixture_log_append(f, &log, 1, 100, true), 0);
            } else {
                stopped++;
                assert_true(strlen(fixture_reason(f)) > 0);
            }
            fixture_kill(f);
            fixture_log_check(f, &log, log.acked);
            fixture_free(f);
        }
    }
    assert_true(served > 5);
    assert_true(stopped > 5);
}

/* Somebody has removed an old file before the journal did. It is gone either way, and so is what remembered it. */
static void a_file_that_is_gone_already_is_gone(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};
    char path[IO_PATH_SIZE];
    unsigned removed = 0;
    unsigned i;

    f->options.manifest_journal_bytes = 40u << 10;
    fixture_open(f);
    for (i = 0; i < 200; i++) {
        struct journal_file *old = f->ns->journal.retired;

        if (old != NULL) {
            journal_path(&f->ns->journal, path, old->number);
            old->size = 0; /* Too small to be used again: it will be removed */
            if (sim_disk_exists(f->disk, path)) {
                removed += io_unlink(f->io, path, &f->err) == 0 ? 1 : 0;
            }
        }
        assert_int_equal(fixture_log_append(f, &log, 1, 3000, true), 0);
    }
    fixture_settle(f);
    assert_true(removed > 0);
    assert_true(fixture_serves(f));
    assert_int_equal(f->ns->journal.step, JOURNAL_IDLE);
    assert_null(f->ns->journal.making);
    fixture_kill(f);
    fixture_log_check(f, &log, log.acked);
}

/* The namespace fails while files are being made: what was under way comes back to nobody, and nothing is left open. */
static void a_failure_leaves_no_file_behind(void **state)
{
    unsigned count;

    (void)state;
    for (count = 1; count < 30; count++) {
        struct fixture *f = fixture_new(count);
        struct fixture_log log = {.topic = "t"};
        unsigned i;

        sim_disk_set_pace(f->disk, 10);
        f->options.manifest_journal_bytes = 40u << 10;
        f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
        fixture_open(f);
        for (i = 0; i < count; i++) {
            assert_int_equal(fixture_log_append(f, &log, 1, 3000, false), 0);
        }
        if (count % 2 == 0) {
            sim_disk_fail(f->disk, SIM_BIT(SIM_CREATE), 1, true, EIO, SIM_FAIL);
        }
        sim_disk_fail(f->disk, SIM_BIT(SIM_WRITE), 1, false, EIO, SIM_FAIL);
        (void)fixture_log_append(f, &log, 1, 100, false);
        assert_false(fixture_serves(f));
        sim_disk_set_pace(f->disk, 100);
        fixture_settle(f);
        assert_int_equal(f->ns->journal.step, JOURNAL_IDLE);
        sim_disk_clear_faults(f->disk);
        fixture_kill(f);
        fixture_log_check(f, &log, log.acked);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_turn_larger_than_a_file_is_written_in_order),
        cmocka_unit_test(a_write_that_fails_within_a_turn_fails_the_rest_of_it),
        FIXTURE_TEST(records_end_where_the_ring_does),
        cmocka_unit_test(files_grow_with_the_load_only),
        FIXTURE_TEST(records_of_a_turn_are_one_write),
        FIXTURE_TEST(a_sync_is_of_what_was_written_since),
        FIXTURE_TEST(spares_come_as_a_file_fills),
        cmocka_unit_test(a_file_that_cannot_be_made_is_waited_for_or_fatal),
        FIXTURE_TEST(a_file_that_is_gone_already_is_gone),
        cmocka_unit_test(a_failure_leaves_no_file_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
