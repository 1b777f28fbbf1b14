/* Edges of recovery: manifests that cannot be read or pile up, seals that a crash took, and losses
 * that were accepted when nothing could be written down but the journal. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/namespace.h"
#include "tests/support/engine_expect.h"
#include "tests/support/engine_fixture.h"
#include "tests/support/journal_image.h"

static struct journal_image *crash(struct fixture *f)
{
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_settle(f->disk);
    return journal_image_load(f->disk, FIXTURE_DIR);
}

/* ---- manifests ---- */

struct two_paths {
    char newest[IO_PATH_SIZE];
    char older[IO_PATH_SIZE];
};

static void note_manifest(void *arg, const char *path, uint64_t size)
{
    struct two_paths *paths = arg;
    const char *slash = strrchr(path, '/');
    uint64_t number;

    (void)size;
    if (slash == NULL || !format_file_number(slash + 1, "manifest-", "", &number)) {
        return;
    }
    if (strcmp(path, paths->newest) > 0) {
        (void)snprintf(paths->older, sizeof paths->older, "%s", paths->newest);
        (void)snprintf(paths->newest, sizeof paths->newest, "%s", path);
    } else if (strcmp(path, paths->older) > 0) {
        (void)snprintf(paths->older, sizeof paths->older, "%s", path);
    }
}

/* A store that was stopped, with two manifests. */
static struct two_paths stopped_store(struct fixture *f)
{
    struct two_paths paths = {{0}, {0}};

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_stop(f);
    fixture_open(f);
    fixture_append_strings(f, "t", "b", NULL);
    fixture_stop(f);
    sim_disk_settle(f->disk);
    sim_disk_list(f->disk, note_manifest, &paths);
    assert_true(paths.older[0] != '\0');
    return paths;
}

/* The newest valid manifest counts. The one before it is not needed: unreadable, it is as good as
 * damaged. */
static void an_unreadable_older_manifest_is_not_needed(void **state)
{
    struct fixture *f = *state;
    const struct two_paths paths = stopped_store(f);

    sim_disk_set_unreadable(f->disk, paths.older, 0, 1);
    fixture_open(f);
    fixture_expect(f, "t", "a", "b", NULL);
}

/* R16: from an unreadable newest manifest the older one helps, as from a damaged one: the journal
 * behind it is kept. */
static void behind_an_unreadable_newest_manifest_the_older_one_serves(void **state)
{
    struct fixture *f = *state;
    const struct two_paths paths = stopped_store(f);

    sim_disk_set_unreadable(f->disk, paths.newest, 0, 1);
    fixture_open(f);
    assert_int_equal(f->ns->recovery_rows[ROW_R16], 1);
    fixture_expect(f, "t", "a", "b", NULL);
}

/* Each stop names its manifest, and dies before the one that no longer counts becomes the spare. */
static void leave_manifests(struct fixture *f, unsigned count)
{
    unsigned i;

    f->options.manifest_idle_us = 10000;
    for (i = 0; i < count; i++) {
        fixture_open(f);
        fixture_append_strings(f, "t", "a", NULL);
        fixture_pass(f, 50000); /* A manifest, and old journal goes */
        sim_disk_fail(f->disk, SIM_BIT(SIM_RENAME), 2, false, EIO, SIM_FAIL);
        (void)engine_stop(f->engine, &f->now, &f->err);
        sim_disk_clear_faults(f->disk);
        fixture_close(f);
    }
}

/* A crash may leave a manifest that is older than the two that count: it goes at the next
 * chance. */
static void manifests_that_do_not_count_are_removed(void **state)
{
    struct fixture *f = *state;
    char path[IO_PATH_SIZE];

    leave_manifests(f, 6);
    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_stop(f);
    sim_disk_settle(f->disk);
    assert_in_range(fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path), 1, 3);
}

/* However many are left over, and in whatever order the directory lists them, the newest is
 * found. */
static void the_newest_of_many_manifests_is_found(void **state)
{
    enum { COUNT = 100 };
    struct fixture *f = *state;
    unsigned i;

    leave_manifests(f, COUNT);
    for (i = 0; i < 20; i++) {
        sim_disk_seed(f->disk, i);
        fixture_open(f);
        assert_int_equal(fixture_info(f, "t").entries, COUNT);
        fixture_settle(f);
        fixture_close(f);
    }
}

/* A spare manifest may have its size and not its space, after a power cut: a start reserves it
 * again, so that a full disk does not keep manifests from being written. */
static void a_spare_manifest_without_space_is_reserved_again(void **state)
{
    struct fixture *f = *state;
    const char *spare = FIXTURE_DIR "/manifest-spare";
    uint64_t taken;

    f->options.manifest_idle_us = 100000;
    (void)stopped_store(f);
    assert_true(sim_disk_exists(f->disk, spare));
    sim_disk_resize(f->disk, spare, 0);
    sim_disk_resize(f->disk, spare, 64u << 10);
    fixture_open(f); /* Clean: it writes no manifest, and there is space */
    fixture_settle(f);
    taken = fixture_stat(f, "manifests");
    assert_int_equal(fixture_try_append(f, "t", "b", false), 0);
    sim_disk_set_capacity(f->disk, sim_disk_used(f->disk));
    fixture_pass(f, 3000000);
    assert_true(fixture_stat(f, "manifests") > taken);
}

/* Starts and clean stops of a namespace that nobody appends to do not pile journal files up. */
static void idle_restarts_pile_no_journal_files_up(void **state)
{
    struct fixture *f = *state;
    char path[IO_PATH_SIZE];
    unsigned i;

    for (i = 0; i < 40; i++) {
        fixture_open(f);
        fixture_pass(f, 100000);
        fixture_settle(f);
        fixture_stop(f);
    }
    sim_disk_settle(f->disk);
    assert_in_range(fixture_last_file(f, FIXTURE_DIR "/journal/", ".jnl", path), 1, 12);
}

/* Wherever a removal was cut off, the next start leaves nothing of it under its temporary name. */
static void a_removal_that_was_cut_off_is_swept(void **state)
{
    bool reached = true;
    uint64_t nth;

    (void)state;
    for (nth = 1; reached; nth++) {
        struct fixture *f = fixture_new(nth);
        char path[IO_PATH_SIZE];

        fixture_open(f);
        assert_int_equal(engine_namespace_create(f->engine, "other", 5, NULL, 0, &f->err), 0);
        sim_disk_cut_at(f->disk, SIM_CHANGES, nth, SIM_AMID);
        (void)engine_namespace_delete(f->engine, "other", 5, &f->err);
        reached = sim_disk_is_down(f->disk);
        fixture_power_cut(f);
        fixture_settle(f);
        sim_disk_settle(f->disk);
        assert_int_equal(fixture_last_file(f, "ns/.removing", "", path), 0);
        fixture_free(f);
    }
    assert_true(nth > 5);
}

/* ---- seals ---- */

/* A full block whose seal went with a crash is sealed behind recovery: nobody else will. */
static void a_seal_that_a_crash_took_is_written_again(void **state)
{
    struct fixture *f = *state;
    const struct engine_topic_ref ref = {.name = "t", .name_size = 1};
    const struct topic *topic;

    f->options.manifest_idle_us = 10000;
    fixture_open(f);
    assert_int_equal(fixture_append_size(f, "t", 16000), 0);
    assert_int_equal(fixture_append_size(f, "t", 16000), 0);
    topic = namespace_topic(f->ns, &ref);
    assert_int_equal(topic->block_count, 2);
    assert_false(topic->blocks[0].sealed);
    fixture_kill(f);
    assert_int_equal(fixture_append_size(f, "t", 100), 0);
    fixture_pass(f, 2000000); /* A manifest, and with it seals */
    fixture_stop(f);
    fixture_open(f);
    topic = namespace_topic(f->ns, &ref);
    assert_true(topic->blocks[0].sealed);
}

/* ---- accepted losses ---- */

/* The journal of two files and more ends early, before what is known durable, and before the record
 * that reserved the last offsets given. The offset behind those. */
static uint64_t lose_the_last_run(struct fixture *f)
{
    struct journal_image *image;
    const struct image_record *run;
    uint64_t end = 0;
    unsigned i;

    f->options.manifest_journal_bytes = 64u << 20;
    f->options.direct_threshold_each = 12u << 10;
    fixture_open(f);
    for (i = 0; i < 8; i++) {
        end = fixture_append_many(f, "t", 1000);
    }
    image = crash(f);
    assert_true(image->file_count >= 2 && image->files[1].valid);
    run = journal_image_last(image, RECORD_RUN, image->files[1].header.first_lsn);
    assert_ptr_equal(run->file, &image->files[0]);
    sim_disk_resize(f->disk, run->file->path, run->offset);
    journal_image_free(image);
    return end;
}

/* An accepted loss may have taken the records of offsets that were given: none of them is given
 * again, also when recovery's manifest found no space and the next start has the journal only. */
static void an_accepted_loss_gives_no_offset_twice_without_its_manifest(void **state)
{
    struct fixture *f = *state;
    const uint64_t end = lose_the_last_run(f);

    f->options.accept_loss = "default";
    sim_disk_fail(f->disk, SIM_BIT(SIM_RENAME), 1, false, ENOSPC, SIM_FAIL);
    fixture_open(f);
    assert_int_equal(f->ns->recovery_rows[ROW_R14], 1);
    assert_true(sim_disk_fired(f->disk) > 0);
    f->options.accept_loss = NULL;
    sim_disk_clear_faults(f->disk);
    fixture_kill(f);
    assert_true(fixture_append_strings(f, "t", "next", NULL) >= end);
}

/* The same when recovery's manifest was written, and is damaged later. */
static void an_accepted_loss_gives_no_offset_twice_from_the_older_manifest(void **state)
{
    struct fixture *f = *state;
    const uint64_t end = lose_the_last_run(f);
    char path[IO_PATH_SIZE];

    f->options.accept_loss = "default";
    fixture_open(f);
    f->options.accept_loss = NULL;
    journal_image_free(crash(f));
    assert_true(fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path) >= 2);
    sim_disk_flip_bit(f->disk, path, 8 * 50);
    fixture_open(f);
    assert_int_equal(f->ns->recovery_rows[ROW_R16], 1);
    assert_true(fixture_append_strings(f, "t", "next", NULL) >= end);
}

/* `count` records before the mark are damaged, with a valid one behind each. */
static void damage_many(struct fixture *f, unsigned count)
{
    struct journal_image *image;
    unsigned hit = 0;
    unsigned i;

    f->options.manifest_journal_bytes = 64u << 20;
    fixture_open(f);
    for (i = 0; i < 2 * count + 4; i++) {
        fixture_append_strings(f, "t", "entry", NULL);
    }
    image = crash(f);
    for (i = 0; i < image->record_count && hit < count; i++) {
        const struct image_record *record = &image->records[i];

        if (record->header.type == RECORD_BATCH && record->header.lsn < image->mark && i % 2 == 1) {
            sim_disk_flip_bit(f->disk, record->file->path, 8 * (record->offset + 9));
            hit++;
        }
    }
    assert_int_equal(hit, count);
    journal_image_free(image);
}

/* An acceptance is remembered when only the journal could be written. */
static void accept_without_a_manifest(struct fixture *f)
{
    f->options.accept_loss = "default";
    sim_disk_fail(f->disk, SIM_BIT(SIM_RENAME), 1, false, ENOSPC, SIM_FAIL);
    fixture_open(f);
    f->options.accept_loss = NULL;
    sim_disk_clear_faults(f->disk);
    fixture_kill(f);
}

static void an_acceptance_is_remembered_without_a_manifest(void **state)
{
    struct fixture *f = *state;

    damage_many(f, 3);
    accept_without_a_manifest(f);
    fixture_append_strings(f, "t", "next", NULL);
}

/* However many losses were accepted at once. */
static void many_accepted_losses_are_remembered(void **state)
{
    struct fixture *f = *state;

    damage_many(f, 80); /* More than 64 at once */
    accept_without_a_manifest(f);
    fixture_append_strings(f, "t", "next", NULL);
}

/* ---- an empty block that is gone ---- */

/* An allocate record reached the disk, and neither its batch nor, in the end, its segment's file:
 * nothing was in that block, so reading across its place finds what stands behind it. */
static void an_empty_block_whose_file_is_gone_costs_nothing(void **state)
{
    struct fixture *f = *state;
    const struct image_record *allocate;
    struct journal_image *image;
    uint64_t time_us;
    uint64_t end;

    f->options.blocks_per_segment = 1;
    fixture_open(f);
    assert_int_equal(fixture_append_size(f, "t", 10000), 0);
    fixture_kill(f);
    end = fixture_info(f, "t").end;
    assert_int_equal(fixture_append_size(f, "t", 16000), 0); /* In the next block */
    image = crash(f);
    allocate = journal_image_last(image, RECORD_BLOCK_ALLOCATE, UINT64_MAX);
    sim_disk_zero(f->disk, allocate->file->path,
                  allocate->offset + format_record_padded(allocate->header.size), 256);
    assert_int_equal(io_sim_open(&f->io, f->disk), 0);
    assert_int_equal(io_unlink(f->io, FIXTURE_DIR "/0000000000000002.seg", &f->err), 0);
    assert_int_equal(io_sync_dir(f->io, FIXTURE_DIR, &f->err), 0);
    io_close(f->io);
    f->io = NULL;
    journal_image_free(image);
    fixture_open(f);
    assert_int_equal(fixture_info(f, "t").blocks, 2);
    time_us = f->now.wall_us;
    assert_int_equal(fixture_append_size(f, "t", 20), 0);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, end), 0);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_TIME, time_us), 0);
}

/* The record that gave a topic its block went with an accepted loss: its batches lie in a block
 * that is nobody's. They are skipped and counted, and the topic goes on in another one. */
static void batches_of_a_lost_block_are_skipped(void **state)
{
    struct fixture *f = *state;
    struct journal_image *image;
    const struct image_record *hit;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_append_strings(f, "t", "b", NULL);
    fixture_append_strings(f, "other", "fine", NULL);
    image = crash(f);
    hit =
        journal_image_last(image, RECORD_BLOCK_ALLOCATE,
                           journal_image_last(image, RECORD_TOPIC_CREATE, UINT64_MAX)->header.lsn);
    sim_disk_flip_bit(f->disk, hit->file->path, 8 * hit->offset);
    journal_image_free(image);
    f->options.accept_loss = "default";
    fixture_open(f);
    assert_int_equal(fixture_read_all(f, "t", 1u << 20, NULL, NULL), 0);
    fixture_append_strings(f, "t", "next", NULL);
    fixture_expect(f, "other", "fine", NULL);
    f->options.accept_loss = NULL;
    fixture_power_cut(f);
    fixture_expect(f, "t", "next", NULL);
}

/* ---- what recovery takes for good ---- */

/* A large batch stands in its block only, perhaps in nothing but the page cache of the machine that
 * lived on. Recovery finds it valid and serves it: from then on no power cut takes it. */
static void a_direct_batch_that_was_served_is_not_lost(void **state)
{
    struct fixture *f = *state;
    struct fixture_log log = {.topic = "t"};

    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    f->options.block_size =
        64u << 10; /* Room enough: no other block is reserved, with a sync of this one */
    f->options.manifest_direct_bytes = 8000;
    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    fixture_open(f);
    assert_int_equal(fixture_log_append(f, &log, 1, 5000, false), 0);
    assert_int_equal(fixture_log_append(f, &log, 1, 5000, false), 0);
    fixture_settle(f); /* A manifest: what follows is all that recovery finds in the journal */
    assert_int_equal(fixture_log_append(f, &log, 1, 5000, false), 0);
    fixture_kill(f);
    fixture_log_check(f, &log, 3);
    fixture_power_cut(f);
    fixture_log_check(f, &log, 3);
}

/* A crash takes offsets that were given; the start behind it and the clean stop after that find no
 * room for a manifest. So only the journal says that offsets were stepped over, and the clean close
 * behind it does not take that back. */
static void offsets_step_on_without_a_manifest(void **state)
{
    struct fixture *f = *state;
    uint64_t lost;

    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    fixture_open(f);
    fixture_append_strings(f, "t", "kept", NULL);
    fixture_sync(f);
    lost = fixture_append_strings(f, "t", "lost", NULL);
    sim_disk_power_cut(f->disk);
    fixture_close(f);
    sim_disk_fail(f->disk, SIM_BIT(SIM_RENAME), 1, true, ENOSPC, SIM_FAIL);
    fixture_open(f);
    fixture_stop(f);
    assert_true(sim_disk_fired(f->disk) >= 2);
    sim_disk_clear_faults(f->disk);
    fixture_open(f);
    assert_int_equal(f->ns->recovery_rows[ROW_R18], 1);
    assert_true(fixture_append_strings(f, "t", "next", NULL) > lost);
    fixture_expect(f, "t", "kept", "next", NULL);
}

/* A journal file of another store, with a whole header: whatever its mark says, nothing of this
 * store was durable by it. A tear is still a tear. */
static void a_journal_file_of_another_store_says_nothing(void **state)
{
    struct fixture *f = *state;
    struct format_journal header = {.number = 500,
                                    .size = 32u << 10,
                                    .generation = 1,
                                    .first_lsn = UINT64_C(1) << 40,
                                    .mark = UINT64_C(1) << 40};
    uint8_t page[FORMAT_PAGE];
    struct io_file *file;
    struct iovec iov = {.iov_base = page, .iov_len = sizeof page};
    struct io *io;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    journal_image_free(crash(f));
    memset(header.store_id, 7, sizeof header.store_id);
    format_journal_encode(page, &header);
    assert_int_equal(io_sim_open(&io, f->disk), 0);
    assert_int_equal(
        io_open(io, FIXTURE_DIR "/journal/00000000000001f4.jnl", IO_OPEN_CREATE, &file, &f->err),
        0);
    assert_int_equal(io_write(file, &iov, 1, 0, &f->err), 0);
    assert_int_equal(io_sync(file, NULL, &f->err), 0);
    assert_int_equal(io_sync_dir(io, FIXTURE_DIR "/journal", &f->err), 0);
    io_close_file(file);
    io_close(io);
    fixture_open(f);
    fixture_expect(f, "t", "a", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(an_unreadable_older_manifest_is_not_needed),
        FIXTURE_TEST(behind_an_unreadable_newest_manifest_the_older_one_serves),
        FIXTURE_TEST(manifests_that_do_not_count_are_removed),
        FIXTURE_TEST(the_newest_of_many_manifests_is_found),
        FIXTURE_TEST(a_spare_manifest_without_space_is_reserved_again),
        FIXTURE_TEST(idle_restarts_pile_no_journal_files_up),
        cmocka_unit_test(a_removal_that_was_cut_off_is_swept),
        FIXTURE_TEST(a_seal_that_a_crash_took_is_written_again),
        FIXTURE_TEST(batches_of_a_lost_block_are_skipped),
        FIXTURE_TEST(a_direct_batch_that_was_served_is_not_lost),
        FIXTURE_TEST(a_journal_file_of_another_store_says_nothing),
        FIXTURE_TEST(offsets_step_on_without_a_manifest),
        FIXTURE_TEST(an_accepted_loss_gives_no_offset_twice_without_its_manifest),
        FIXTURE_TEST(an_accepted_loss_gives_no_offset_twice_from_the_older_manifest),
        FIXTURE_TEST(an_acceptance_is_remembered_without_a_manifest),
        FIXTURE_TEST(many_accepted_losses_are_remembered),
        FIXTURE_TEST(an_empty_block_whose_file_is_gone_costs_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
