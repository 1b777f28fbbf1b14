/* Defects that a review of the engine found, each by the story that showed it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/status.h"
#include "tests/support/engine_expect.h"
#include "tests/support/engine_fixture.h"
#include "tests/support/journal_image.h"

/* Nothing more fits on the device. */
static void fill_disk(struct fixture *f)
{
    sim_disk_set_capacity(f->disk, sim_disk_used(f->disk));
}

/* ---- the journal's files ---- */

/* On a full disk a consumer goes on for as long as it likes: what it writes into the reserve comes
 * back by manifests, so that afterwards space can still be freed, and appends resume. */
static void checkpoints_on_a_full_disk_do_not_use_the_reserve_up(void **state)
{
    struct fixture *f = *state;
    uint64_t i;

    f->options.journal_file_max = 64u << 10; /* Files grow: those that come back may be smaller */
    f->options.manifest_journal_bytes = 64u << 20;
    f->options.journal_size_max = 256u << 20;
    f->options.manifest_idle_us = 10000;
    fixture_open(f);
    for (i = 0; i < 3; i++) {
        (void)fixture_append_many(f, "t", 1000);
    }
    while (fixture_stat(f, "manifests") < 4) {
        assert_int_equal(fixture_append_size(f, "t", 100), 0);
        fixture_pass(f, 20000);
    }
    while (fixture_info(f, "t").blocks < 6) {
        assert_int_equal(fixture_append_size(f, "t", 15000), 0);
    }
    fixture_settle(f);
    fill_disk(f);
    for (i = 1; i < 3000; i++) {
        assert_int_equal(fixture_checkpoint(f, "t", "c", i), 0);
    }
    assert_int_equal(fixture_trim(f, "t", 3000), 0);
    fixture_pass(f, 3000000);
    assert_int_equal(fixture_append_size(f, "t", 100), 0);
}

/* One append wakes thousands of consumers, each with a record of its own: more than the files
 * ahead hold. Whoever does not fit is told to come again; the namespace goes on. */
static void a_crowd_of_consumers_woken_at_once_does_not_stop_the_namespace(void **state)
{
    enum { CROWD = 3000 };
    struct fixture *f = *state;
    struct fixture_read *reads = calloc(CROWD, sizeof *reads);
    char(*names)[8] = calloc(CROWD, sizeof *names);
    unsigned served = 0;
    unsigned i;

    assert_non_null(reads);
    assert_non_null(names);
    f->options.journal_file_max = 32u << 10;
    fixture_open(f);
    (void)fixture_append_strings(f, "t", "first", NULL);
    assert_int_equal(fixture_trim(f, "t", 1), 0);
    for (i = 0; i < CROWD; i++) {
        (void)snprintf(names[i], sizeof names[i], "c%u", i);
        reads[i].request.position = ENGINE_AT_CURSOR;
        reads[i].request.cursor = names[i];
        reads[i].request.cursor_size = strlen(names[i]);
        reads[i].request.consume = true;
        reads[i].request.wait_ms = 60000;
        fixture_read_begin(f, &reads[i], "t");
    }
    fixture_turn(f);
    (void)fixture_append_strings(f, "t", "second", NULL);
    for (i = 0; i < CROWD; i++) {
        const int status = fixture_read_end(f, &reads[i]);

        assert_true(status == 0 || status == TUSK_EBUSY);
        served += status == 0;
        fixture_read_free(&reads[i]);
    }
    assert_true(served > 0);
    assert_true(fixture_serves(f));
    assert_int_equal(fixture_append_size(f, "t", 100), 0);
    fixture_stop(f);
    free(reads);
    free(names);
}

static void grow(struct fixture *f, const char *topic, unsigned blocks)
{
    while (fixture_info(f, topic).blocks < blocks) {
        assert_int_equal(fixture_append_size(f, topic, 20000), 0);
    }
}

/* Each block given up takes a record: those of a large topic do not fit the files that are
 * ready. */
static void a_topic_of_many_blocks_can_be_deleted_and_trimmed(void **state)
{
    struct fixture *f = *state;
    uint64_t end;

    f->options.journal_file_max = 32u << 10;
    fixture_open(f);
    (void)fixture_append_many(f, "a", 1);
    (void)fixture_append_many(f, "b", 1);
    grow(f, "a", 1300);
    grow(f, "b", 1300);
    end = fixture_info(f, "a").end;
    fixture_settle(f);
    assert_int_equal(fixture_trim(f, "a", end), 0);
    assert_int_equal(fixture_delete(f, "b"), 0);
    fixture_pass(f, 10000000);
    assert_int_equal(fixture_info(f, "a").blocks, 1);
    assert_int_equal(fixture_stat(f, "blocks_used"), 1);
    assert_int_equal(fixture_stat(f, "blocks_freeing"), 0);
    fixture_power_cut(f);
    assert_int_equal(fixture_info(f, "a").first, end);
    assert_int_equal(fixture_info(f, "a").blocks, 1);
    assert_int_equal(fixture_append_size(f, "a", 100), 0);
}

/* A clean stop records every cursor that has moved since its last record, however many there
 * are. */
static void a_stop_records_thousands_of_cursors(void **state)
{
    enum { CURSORS = 3000 };
    struct fixture *f = *state;
    char name[16];
    unsigned i;

    f->options.journal_file_max = 32u << 10;
    f->options.settings.consistency = 1000;
    fixture_open(f);
    (void)fixture_append_many(f, "t", 100);
    for (i = 0; i < CURSORS; i++) {
        (void)snprintf(name, sizeof name, "c%u", i);
        assert_int_equal(fixture_checkpoint(f, "t", name, 0), 0);
        if (i % 16 == 0) {
            fixture_settle(f);
        }
    }
    fixture_settle(f);
    for (i = 0; i < CURSORS; i++) {
        (void)snprintf(name, sizeof name, "c%u", i);
        assert_int_equal(fixture_checkpoint(f, "t", name, 50), 0);
    }
    fixture_stop(f);
    fixture_open(f);
    assert_int_equal(fixture_cursor(f, "t", "c2999"), 50);
    assert_int_equal(fixture_cursor(f, "t", "c0"), 50);
}

/* After an unclean stop each topic needs a new run. On a full disk the refused appends must not
 * fill the reserve with them. */
static void refused_appends_put_nothing_into_the_reserve(void **state)
{
    enum { TOPICS = 2500 };
    struct fixture *f = *state;
    struct fixture_append *appends = calloc(TOPICS, sizeof *appends);
    const struct batch_entry entry = {.data = (const uint8_t *)"x", .size = 1};
    char name[16];
    unsigned i;

    assert_non_null(appends);
    f->options.journal_file_max = 32u << 10;
    f->options.blocks_per_segment = 100;
    fixture_open(f);
    for (i = 0; i < TOPICS; i++) {
        (void)snprintf(name, sizeof name, "t%u", i);
        assert_int_equal(fixture_append_size(f, name, 1), 0);
    }
    fixture_power_cut(f);
    fixture_settle(f);
    fill_disk(f);
    for (i = 0; i < TOPICS; i++) {
        (void)snprintf(name, sizeof name, "t%u", i);
        fixture_append_begin(f, &appends[i], name, &entry, 1);
    }
    for (i = 0; i < TOPICS; i++) {
        const int status = fixture_append_end(f, &appends[i]);

        assert_true(status == 0 || status == TUSK_ENOSPACE);
    }
    assert_true(fixture_serves(f));
    assert_int_equal(fixture_delete(f, "t0"), 0);
    fixture_stop(f);
    free(appends);
}

/* ---- stopping ---- */

static void note(struct engine_request *request)
{
    *(bool *)request->arg = true;
}

/* A seek by time looks into blocks first. A stop in between answers it, and puts nothing behind the
 * clean close. */
static void a_seek_by_time_is_answered_by_a_stop(void **state)
{
    struct fixture *f = *state;
    bool answered = false;
    struct engine_command seek = {.base = {.done = note, .arg = &answered},
                                  .kind = ENGINE_SEEK,
                                  .topic = {.name = "t", .name_size = 1},
                                  .cursor = "c",
                                  .cursor_size = 1,
                                  .position = ENGINE_AT_TIME,
                                  .value = 1};

    fixture_open(f);
    (void)fixture_append_strings(f, "t", "one", NULL);
    engine_now(f->engine, &f->now);
    engine_command(f->ns, &seek);
    fixture_stop(f);
    assert_true(answered);
    assert_true(seek.base.status == 0 || seek.base.status == TUSK_ECLOSED);
}

/* ---- manifests ---- */

/* A manifest that found no space is tried again, though nothing is left to apply; meanwhile the
 * engine sleeps. */
static void a_manifest_without_space_is_tried_again_and_does_not_spin(void **state)
{
    struct fixture *f = *state;
    uint64_t taken;

    f->options.manifest_idle_us = 1000000;
    f->options.settings.fsync_ms = 10;
    fixture_open(f);
    (void)fixture_append_strings(f, "t", "one", NULL);
    fixture_pass(f, 500000);
    taken = fixture_stat(f, "manifests");
    sim_disk_fail(f->disk, SIM_BIT(SIM_CREATE), 1, false, ENOSPC, SIM_FAIL);
    sim_disk_fail(f->disk, SIM_BIT(SIM_RENAME), 1, false, ENOSPC, SIM_FAIL);
    fixture_pass(f, 1500000);
    assert_int_equal(fixture_stat(f, "manifests"), taken);
    sim_disk_clear_faults(f->disk);
    fixture_pass(f, 3000000);
    assert_true(engine_deadline(f->engine) > f->now.mono_us);
    assert_true(fixture_stat(f, "manifests") > taken);
}

/* ---- space ---- */

/* Blocks freed at once all give their space back, but for a small pool. */
static void a_large_trim_gives_its_space_back(void **state)
{
    struct fixture *f = *state;
    uint64_t before;

    f->options.blocks_per_segment = 100;
    fixture_open(f);
    (void)fixture_append_many(f, "t", 1);
    grow(f, "t", 60);
    fixture_settle(f);
    before = sim_disk_used(f->disk);
    assert_int_equal(fixture_trim(f, "t", fixture_info(f, "t").end), 0);
    fixture_pass(f, 3000000);
    fixture_settle(f);
    assert_true(sim_disk_used(f->disk) + 45u * 20u * 1024u < before);
}

/* A block may be filled while the device has room for its batches only: its index page then has no
 * place, and is left out. */
static void a_seal_without_space_does_not_stop_the_namespace(void **state)
{
    struct fixture *f = *state;
    uint64_t manifests;
    char name[16];
    unsigned i;

    f->options.block_size = 128u << 10;
    f->options.manifest_journal_bytes = 16u << 10;
    fixture_open(f);
    (void)fixture_append_size(f, "x", 100); /* The block that comes next */
    assert_int_equal(fixture_append_size(f, "t", 6000), 0);
    assert_int_equal(fixture_append_size(f, "t", 6000), 0);
    assert_int_equal(fixture_delete(f, "x"), 0);
    fixture_settle(f);
    for (i = 2; i < 19; i++) {
        uint64_t room = 0;

        do { /* What is reserved is just what is needed */
            sim_disk_set_capacity(f->disk, sim_disk_used(f->disk) + room);
            room += SIM_CHUNK;
        } while (fixture_append_size(f, "t", 6000) != 0);
    }
    fill_disk(f);
    assert_int_equal(fixture_info(f, "t").blocks, 1);
    assert_int_equal(fixture_append_size(f, "t", 6000), 0);
    assert_int_equal(fixture_info(f, "t").blocks, 2);
    manifests = fixture_stat(f, "manifests");
    for (i = 0; i < 150; i++) {
        (void)snprintf(name, sizeof name, "c%u", i);
        fill_disk(f); /* What journal files give back goes to somebody else */
        assert_int_equal(fixture_checkpoint(f, "t", name, 0), 0);
    }
    fixture_settle(f);
    assert_true(fixture_serves(f));
    assert_true(fixture_stat(f, "manifests") > manifests);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 18), 0);
}

/* Whoever waits for a block goes on when the only free ones have given their space back. */
static void an_append_waits_for_a_block_that_is_punched(void **state)
{
    struct fixture *f = *state;
    struct fixture_append appends[24] = {0};
    const struct batch_entry entry = {.data = (const uint8_t *)"x", .size = 1};
    char name[16];
    unsigned waiting = 0;
    unsigned i;

    f->options.journal_file_min = 1u << 20; /* So that no new file wakes anybody */
    f->options.journal_file_max = 1u << 20;
    f->options.ring_size = 4u << 20;
    fixture_open(f);
    for (i = 0; i < 24; i++) {
        (void)snprintf(name, sizeof name, "t%u", i);
        assert_int_equal(fixture_append_size(f, name, 1), 0);
    }
    fixture_settle(f);
    sim_disk_set_pace(f->disk, 0); /* Nothing submitted completes; syncs are made in the turn */
    for (i = 0; i < 24; i++) {
        (void)snprintf(name, sizeof name, "t%u", i);
        if (i % 4 != 0) {
            assert_int_equal(fixture_delete(f, name), 0);
        }
    }
    fixture_pass(f, 2000);
    for (i = 0; i < 24; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        fixture_append_begin(f, &appends[i], name, &entry, 1);
        fixture_pass(f, 2000);
        waiting += !appends[i].finished;
        if (waiting > 0) {
            break;
        }
    }
    assert_int_equal(waiting, 1);
    sim_disk_set_pace(f->disk, 100);
    fixture_settle(f);
    /* cppcheck-suppress arrayIndexOutOfBounds ; one waits, so the loop ended before 24 */
    assert_true(appends[i].finished);
    for (i++; i > 0; i--) {
        assert_int_equal(fixture_append_end(f, &appends[i - 1]), 0);
    }
}

/* The disk is full from the first moment on: a manifest has its space all the same. */
static void a_manifest_has_its_space_from_the_start(void **state)
{
    struct fixture *f = *state;
    uint64_t manifests;

    f->options.manifest_idle_us = 100000;
    fixture_open(f);
    assert_int_equal(fixture_append_size(f, "t", 100), 0);
    manifests = fixture_stat(f, "manifests");
    fill_disk(f);
    fixture_pass(f, 200000);
    assert_int_equal(fixture_stat(f, "manifests"), manifests + 1);
}

/* ---- damage ---- */

/* Damage at the end of what a block holds does not reach into what is still in memory. */
static void damage_ends_where_the_tail_begins(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read = {.request = {.position = ENGINE_AT_OFFSET, .value = 1}};
    char path[IO_PATH_SIZE];
    uint64_t offset;

    fixture_open(f);
    (void)fixture_append_strings(f, "t", "first batch", NULL);
    (void)fixture_append_strings(f, "t", "second batch", NULL);
    fixture_stop(f);
    assert_true(fixture_find(f, ".seg", "second batch", 12, path, &offset));
    sim_disk_flip_bit(f->disk, path, (offset - 4 - BATCH_HEADER_SIZE) * 8 + 3);
    fixture_open(f);
    (void)fixture_append_strings(f, "t", "third batch", NULL);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 1), TUSK_ECORRUPT);
    read.request.skip_damage = true;
    fixture_read_begin(f, &read, "t");
    assert_int_equal(fixture_read_end(f, &read), 0);
    assert_int_equal(read.request.skipped_from, 1);
    assert_int_equal(read.request.skipped_to, 2);
    assert_int_equal(read.request.from, 2);
    fixture_read_free(&read);
}

/* Lose a journal file in the middle, behind one that is full to its last byte; an operator accepts
 * that. Returns the first offset that was not yet issued. */
static uint64_t lose_a_file(struct fixture *f)
{
    const struct image_record *last = NULL;
    struct journal_image *image;
    uint64_t issued = 0;
    unsigned i;

    f->options.manifest_journal_bytes = 1u << 30;
    f->options.journal_size_max = 1u << 30;
    f->options.journal_file_max = 32u << 10;
    fixture_open(f);
    (void)fixture_append_strings(f, "t", "first", NULL);
    while (fixture_stat(f, "journal_lsn") < 120u << 10) {
        (void)fixture_append_many(f, "t", 300);
        issued = fixture_info(f, "t").end;
    }
    sim_disk_power_cut(f->disk);
    fixture_close(f);
    image = journal_image_load(f->disk, FIXTURE_DIR);
    assert_true(image->file_count >= 4);
    for (i = 0; i < image->record_count; i++) {
        last = image->records[i].file == &image->files[1] ? &image->records[i] : last;
    }
    assert_non_null(last);
    sim_disk_resize(f->disk, image->files[1].path,
                    last->offset + format_record_padded(last->header.size));
    sim_disk_zero(f->disk, image->files[2].path, 0, FORMAT_PAGE);
    journal_image_free(image);
    assert_int_equal(fixture_try_open(f), 0);
    assert_false(fixture_serves(f));
    fixture_close(f);
    f->options.accept_loss = "default";
    fixture_open(f);
    f->options.accept_loss = NULL;
    return issued;
}

/* Offsets are not issued again, though the records that reserved them are gone. */
static void offsets_lost_with_journal_files_are_not_issued_again(void **state)
{
    struct fixture *f = *state;
    const uint64_t issued = lose_a_file(f);

    assert_true(fixture_append_strings(f, "t", "after", NULL) >= issued);
}

/* What a loss has cut off says nothing about what is durable now: a power cut finds a torn end, not
 * damage. */
static void files_cut_off_by_a_loss_do_not_move_the_mark(void **state)
{
    struct fixture *f = *state;
    unsigned i;

    (void)lose_a_file(f);
    fixture_set(f, ENGINE_SETTING_FSYNC, ENGINE_FSYNC_NONE);
    for (i = 0; i < 5; i++) {
        (void)fixture_append_many(f, "t", 10);
    }
    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    fixture_power_cut(f);
    assert_true(fixture_serves(f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(checkpoints_on_a_full_disk_do_not_use_the_reserve_up),
        FIXTURE_TEST(a_crowd_of_consumers_woken_at_once_does_not_stop_the_namespace),
        FIXTURE_TEST(a_topic_of_many_blocks_can_be_deleted_and_trimmed),
        FIXTURE_TEST(a_stop_records_thousands_of_cursors),
        FIXTURE_TEST(refused_appends_put_nothing_into_the_reserve),
        FIXTURE_TEST(a_seek_by_time_is_answered_by_a_stop),
        FIXTURE_TEST(a_manifest_without_space_is_tried_again_and_does_not_spin),
        FIXTURE_TEST(a_large_trim_gives_its_space_back),
        FIXTURE_TEST(a_seal_without_space_does_not_stop_the_namespace),
        FIXTURE_TEST(an_append_waits_for_a_block_that_is_punched),
        FIXTURE_TEST(a_manifest_has_its_space_from_the_start),
        FIXTURE_TEST(damage_ends_where_the_tail_begins),
        FIXTURE_TEST(offsets_lost_with_journal_files_are_not_issued_again),
        FIXTURE_TEST(files_cut_off_by_a_loss_do_not_move_the_mark),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
