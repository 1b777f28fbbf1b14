/* What a start takes from the device: only what is there, also where memory, a name or the journal before it would have something else to
 * say. */
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/namespace.h"
#include "tests/support/engine_expect.h"
#include "tests/support/engine_fixture.h"

/* Two batches alike, one behind the other, each written straight to the block; and the file ends in the second one's body. What memory still
 * holds of the first is not taken for the rest of it. */
static void a_batch_cut_off_is_not_completed_from_memory(void **state)
{
    const uint32_t padded = 2 * FORMAT_PAGE; /* So that both stand alike in their pages */
    struct fixture *f = *state;

    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    fixture_open(f);
    assert_int_equal(fixture_append_size(f, "t", padded - BATCH_HEADER_SIZE - 4), 0);
    assert_int_equal(fixture_append_size(f, "t", padded - BATCH_HEADER_SIZE - 4), 0);
    assert_int_equal(fixture_stat(f, "direct_appends"), 2);
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_settle(f->disk);
    sim_disk_resize(f->disk, FIXTURE_DIR "/0000000000000001.seg",
                    FORMAT_BLOCK_DATA + padded + FORMAT_PAGE);
    fixture_open(f);
    assert_int_equal(f->ns->recovery_rows[ROW_R8], 1);
    assert_int_equal(fixture_info(f, "t").entries, 1);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 0), 0);
}

static uint64_t id_of(struct fixture *f, const char *name)
{
    const struct engine_topic_ref ref = {.name = name, .name_size = strlen(name)};

    return namespace_topic(f->ns, &ref)->id;
}

/* The newest manifest is damaged, and topics were made behind the older one; the stop was clean. Ids go on behind theirs, so that no record
 * means two topics. */
static void ids_go_on_behind_the_older_manifest(void **state)
{
    struct fixture *f = *state;
    char path[IO_PATH_SIZE];
    uint64_t last;

    fixture_open(f);
    fixture_append_strings(f, "before", "a", NULL);
    fixture_stop(f);
    fixture_open(f);
    fixture_append_strings(f, "one", "b", NULL);
    fixture_append_strings(f, "two", "c", NULL);
    last = id_of(f, "two");
    assert_true(last > id_of(f, "one"));
    fixture_stop(f);
    (void)fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path);
    sim_disk_flip_bit(f->disk, path, 8 * 50);
    fixture_open(f);
    assert_int_equal(f->ns->recovery_rows[ROW_R16], 1);
    assert_int_equal(f->ns->recovery_rows[ROW_R18], 1);
    assert_true(f->ns->next_topic_id > last);
    fixture_append_strings(f, "three", "d", NULL);
    assert_true(id_of(f, "three") > last);
    fixture_kill(f);
    fixture_expect(f, "before", "a", NULL);
    fixture_expect(f, "one", "b", NULL);
    fixture_expect(f, "two", "c", NULL);
    fixture_expect(f, "three", "d", NULL);
}

/* A spare that a crash left half made: its size, and not its space. On a disk that has none left it is no spare, or a write would meet the full
 * disk in the middle of the journal. With room it is one. */
static void a_spare_without_its_space_is_none(void **state)
{
    unsigned full;

    (void)state;
    for (full = 0; full < 2; full++) {
        struct fixture *f = fixture_new(1);
        const struct journal_file *spare;
        struct io_file *file;
        struct io *io;
        char path[IO_PATH_SIZE];
        uint64_t number;
        bool taken = false;

        fixture_open(f);
        fixture_append_strings(f, "t", "a", NULL);
        fixture_settle(f);
        number = f->ns->journal.next_number;
        journal_path(&f->ns->journal, path, number);
        fixture_stop(f);
        assert_int_equal(io_sim_open(&io, f->disk), 0);
        assert_int_equal(io_open(io, path, IO_OPEN_CREATE, &file, &f->err), 0);
        io_close_file(file);
        io_close(io);
        sim_disk_settle(f->disk);
        sim_disk_resize(f->disk, path, f->options.journal_file_min);
        if (full != 0) {
            sim_disk_set_capacity(f->disk, sim_disk_used(f->disk));
        }
        fixture_open(f);
        for (spare = f->ns->journal.spares; spare != NULL; spare = spare->next) {
            taken = taken || spare->number == number;
        }
        assert_int_equal(taken, full == 0);
        fixture_expect(f, "t", "a", NULL);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_batch_cut_off_is_not_completed_from_memory),
        FIXTURE_TEST(ids_go_on_behind_the_older_manifest),
        cmocka_unit_test(a_spare_without_its_space_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
