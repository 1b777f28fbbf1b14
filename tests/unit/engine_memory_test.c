/* Memory of the engine: what it took it gives back, also what it took in vain; and without memory it waits, or refuses, and never goes on with
 * less than it says. Its allocations are counted and fail alone (failing_memory.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/namespace.h"
#include "tests/support/engine_fixture.h"
#include "tests/support/failing_memory.h"
#include "tests/support/journal_image.h"

/* ---- what is given back ---- */

typedef void life_fn(struct fixture *f);

/* Names that stand in the way of new journal files. */
static void meet_leftovers(struct fixture *f)
{
    struct fixture_log log = {.topic = "t"};
    struct io_file *leftover;
    char path[IO_PATH_SIZE];
    struct io *io;
    unsigned i;

    fixture_settle(f);
    assert_int_equal(io_sim_open(&io, f->disk), 0);
    for (i = 0; i < 3; i++) {
        journal_path(&f->ns->journal, path, f->ns->journal.next_number + i);
        assert_int_equal(io_open(io, path, IO_OPEN_CREATE, &leftover, &f->err), 0);
        io_close_file(leftover);
    }
    io_close(io);
    for (i = 0; i < 60; i++) {
        assert_int_equal(fixture_log_append(f, &log, 1, 2000, true), 0);
    }
}

/* Files that come and go: some too small to be used again, one that cannot be made for want of space. */
static void use_many_files(struct fixture *f)
{
    struct fixture_log log = {.topic = "t"};
    unsigned i;
    int status;

    for (i = 0; i < 300; i++) {
        if (i % 100 == 50) {
            sim_disk_fail(f->disk, SIM_BIT(SIM_CREATE), 1, false, ENOSPC, SIM_FAIL);
        }
        status = fixture_log_append(f, &log, 1, 2000, true);
        assert_true(status == 0 || status == TUSK_ENOSPACE);
        fixture_pass(f, 20000);
    }
}

static int seek(struct fixture *f, uint64_t time)
{
    struct engine_command command = {.kind = ENGINE_SEEK,
                                     .topic = {.name = "t", .name_size = 1},
                                     .cursor = "c",
                                     .cursor_size = 1,
                                     .position = ENGINE_AT_TIME,
                                     .value = time};

    return fixture_command(f, &command);
}

static void look_up_times(struct fixture *f)
{
    assert_int_equal(fixture_append_size(f, "t", 6000), 0);
    assert_int_equal(fixture_append_size(f, "t", 100), 0);
    assert_int_equal(seek(f, 1), 0);
    assert_int_equal(seek(f, f->now.wall_us), 0);
    assert_int_equal(seek(f, UINT64_MAX), 0);
}

static void make_and_delete(struct fixture *f)
{
    assert_int_equal(fixture_append_size(f, "t", 15000), 0);
    assert_int_equal(fixture_append_size(f, "t", 15000), 0);
    assert_int_equal(fixture_checkpoint(f, "t", "one", 1), 0);
    assert_int_equal(fixture_checkpoint(f, "t", "two", 1), 0);
    assert_int_equal(fixture_delete(f, "t"), 0);
    fixture_append_strings(f, "t", "again", NULL);
}

/* Whatever a life was like, and however it ended: when the engine is closed, it holds nothing; nor does the one that recovered from it. */
static void what_was_taken_is_given_back(void **state)
{
    static life_fn *const lives[] = {meet_leftovers, use_many_files, look_up_times,
                                     make_and_delete};
    char path[IO_PATH_SIZE];
    unsigned older = 0;
    unsigned i;

    (void)state;
    for (i = 0; i < 3 * sizeof lives / sizeof lives[0]; i++) {
        struct fixture *f = fixture_new(i + 1);

        f->options.manifest_journal_bytes = 40u << 10;
        f->options.journal_file_max = 256u << 10;
        assert_int_equal(failing_memory.live, 0);
        fixture_open(f);
        lives[i / 3](f);
        assert_true(failing_memory.live > 0);
        if (i % 3 == 0) {
            fixture_stop(f);
        } else if (i % 3 == 1) {
            sim_disk_process_crash(f->disk);
            fixture_close(f);
        } else {
            sim_disk_power_cut(f->disk);
            fixture_close(f);
        }
        assert_int_equal(failing_memory.live, 0);
        sim_disk_settle(f->disk);
        if (fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path) == 2) {
            sim_disk_flip_bit(f->disk, path, 8 * 50); /* The older one serves */
            older++;
        }
        fixture_open(f);
        fixture_close(f);
        assert_int_equal(failing_memory.live, 0);
        fixture_free(f);
    }
    assert_true(older > 0);
}

/* ---- without ---- */

/* Without memory for another journal file the next try comes a second later, not in every turn; and then there is one. */
static void a_spare_without_memory_is_tried_again_later(void **state)
{
    const struct format_record record = {.type = RECORD_TRIM, .field = {1, 0}};
    struct fixture *f = *state;
    const struct journal *journal;
    unsigned spares;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_settle(f);
    journal = &f->ns->journal;
    spares = journal->spare_count;
    failing_memory_begin(1, true);
    while (journal->next_lsn - journal->current->first_lsn <= journal->current->size / 8) {
        (void)journal_record(&f->ns->journal, &record);
    }
    fixture_pass(f, 500000);
    assert_int_equal(failing_memory.failed, 1);
    (void)failing_memory_end();
    assert_true(fixture_serves(f));
    assert_int_equal(journal->spare_count, spares);
    fixture_pass(f, 600000);
    assert_int_equal(journal->spare_count, spares + 1);
}

/* A store closed, to be opened many times. */
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

/* Records of the journal are damaged, before what was durable. */
static void damage_records(struct fixture *f)
{
    struct journal_image *image;
    unsigned hit = 0;
    unsigned i;

    f->options.manifest_journal_bytes = 64u << 20;
    fixture_open(f);
    for (i = 0; i < 30; i++) {
        fixture_append_strings(f, "t", "entry", NULL);
    }
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_settle(f->disk);
    image = journal_image_load(f->disk, FIXTURE_DIR);
    for (i = 0; i < image->record_count; i++) {
        const struct image_record *record = &image->records[i];

        if (record->header.type == RECORD_BATCH && record->header.lsn < image->mark && i % 2 == 1) {
            sim_disk_flip_bit(f->disk, record->file->path, 8 * (record->offset + 9));
            hit++;
        }
    }
    assert_true(hit > 8); /* More than are made room for at once */
    journal_image_free(image);
}

/* A person accepts a loss, and somewhere on the way there is no memory: the namespace is refused, or all of the loss is remembered, so that
 * the next start does not ask again. */
static void an_acceptance_is_remembered_or_refused(void **state)
{
    struct fixture *f = *state;
    unsigned refused = 0;
    unsigned served = 0;
    uint64_t nth;

    damage_records(f);
    for (nth = 1; served == 0 || failing_memory.failed > 0; nth++) {
        struct fixture *copy = copy_of(f);

        copy->options.accept_loss = "default";
        sim_disk_fail(copy->disk, SIM_BIT(SIM_RENAME), 1, false, ENOSPC,
                      SIM_FAIL); /* No manifest */
        failing_memory_begin(nth, false);
        if (fixture_try_open(copy) == 0 && fixture_serves(copy)) {
            served++;
            (void)failing_memory_end();
            copy->options.accept_loss = NULL;
            sim_disk_clear_faults(copy->disk);
            fixture_kill(copy);
            fixture_append_strings(copy, "t", "next", NULL);
        } else {
            (void)failing_memory_end();
            refused++;
        }
        fixture_free(copy);
        assert_int_equal(failing_memory.live, 0);
    }
    assert_true(refused > 20);
}

/* A start that has to seal full blocks, and somewhere on the way there is no memory: the namespace is refused, or all of them are sealed. Nobody
 * else will. */
static void full_blocks_are_sealed_or_refused(void **state)
{
    struct fixture *f = *state;
    unsigned refused = 0;
    unsigned served = 0;
    uint64_t nth;
    unsigned i;

    fixture_open(f);
    for (i = 0; i < 100; i++) {
        assert_int_equal(fixture_append_size(f, "t", 900), 0);
    }
    fixture_settle(f); /* A manifest; the seals behind it may be lost */
    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    sim_disk_power_cut(f->disk);
    fixture_close(f);
    for (nth = 1; served == 0 || failing_memory.failed > 0; nth++) {
        struct fixture *copy = copy_of(f);

        failing_memory_begin(nth, false);
        if (fixture_try_open(copy) == 0 && fixture_serves(copy)) {
            const struct engine_topic_ref ref = {.name = "t", .name_size = 1};
            const struct topic *topic = namespace_topic(copy->ns, &ref);
            uint32_t k;

            served++;
            assert_int_equal(topic->block_count, 5);
            for (k = 0; k + 1 < topic->block_count; k++) {
                assert_true(topic->blocks[k].sealed);
            }
        } else {
            refused++;
        }
        (void)failing_memory_end();
        fixture_free(copy);
        assert_int_equal(failing_memory.live, 0);
    }
    assert_true(refused > 20);
}

/* Topics and cursors, in a manifest and in the journal behind it; many journal files; and the process dies. */
static void leave_much(struct fixture *f)
{
    struct io_file *file;
    struct io *io;
    char path[IO_PATH_SIZE];
    unsigned i;

    f->options.manifest_journal_bytes = 64u << 20;
    fixture_open(f);
    for (i = 0; i < 2; i++) {
        const char *const names[] = {i == 0 ? "a" : "c", i == 0 ? "b" : "d"};

        fixture_append_strings(f, names[0], "one", "two", NULL);
        assert_int_equal(fixture_append_size(f, names[1], 6000), 0);
        assert_int_equal(fixture_checkpoint(f, names[0], "cursor", 1), 0);
        assert_int_equal(fixture_checkpoint(f, names[1], "cursor", 1), 0);
        if (i == 0) {
            fixture_stop(f);
            fixture_open(f);
        }
    }
    sim_disk_process_crash(f->disk);
    assert_int_equal(io_sim_open(&io, f->disk), 0);
    for (i = 0; i < 12; i++) { /* More than are made room for at once */
        journal_path(&f->ns->journal, path, f->ns->journal.next_number + i);
        assert_int_equal(io_open(io, path, IO_OPEN_CREATE, &file, &f->err), 0);
        io_close_file(file);
    }
    io_close(io);
    fixture_close(f);
}

/* A start without memory says so. It calls nothing damaged that it had no memory to look at, serves nothing by halves, and the next start does. */
static void want_of_memory_is_no_damage(void **state)
{
    static const char *const topics[] = {"a", "b", "c", "d"};
    struct fixture *f = *state;
    bool failed = true;
    uint64_t nth;

    leave_much(f);
    for (nth = 1; failed; nth++) {
        struct fixture *copy = copy_of(f);
        unsigned i;
        int rc;

        failing_memory_begin(nth, false);
        rc = fixture_try_open(copy);
        failed = failing_memory.failed > 0;
        (void)failing_memory_end();
        if (rc != 0) {
            assert_int_equal(rc, TUSK_ENOMEM);
            assert_null(strstr(copy->err.text, "contradict"));
            assert_null(strstr(copy->err.text, "damage"));
            fixture_open(copy);
        }
        for (i = 0; i < 4; i++) {
            assert_int_equal(fixture_info(copy, topics[i]).entries, i % 2 == 0 ? 2 : 1);
            assert_int_equal(fixture_cursor(copy, topics[i], "cursor"), 1);
        }
        fixture_free(copy);
        assert_int_equal(failing_memory.live, 0);
    }
    assert_true(nth > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_taken_is_given_back),
        FIXTURE_TEST(a_spare_without_memory_is_tried_again_later),
        FIXTURE_TEST(an_acceptance_is_remembered_or_refused),
        FIXTURE_TEST(full_blocks_are_sealed_or_refused),
        FIXTURE_TEST(want_of_memory_is_no_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
