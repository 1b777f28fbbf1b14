/* The simulated disk must be believed before any test on it is: the properties of its model of
 * writes, syncs, names and crashes. */
#include "tests/sim/io_sim_world.h"

/* What a completed sync covered, under a durable name, no policy of a power cut can touch. */
static void synced_data_survives_every_policy(void **state)
{
    struct world *w = *state;

    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct io_file *file;

        world_renew(w, seed);
        file = world_durable(w, "f", 'a');
        crash_and_reopen(w, file);
        expect_bytes(w, "f", 0, SIZE, 'a');
    }
}

/* A sector is the old one, one of the pending versions, or a prefix of one of those before another
 * of them; and each outcome is met. Its neighbours, not pending, stay. */
static void unsynced_sector_is_old_new_or_torn(void **state)
{
    struct world *w = *state;
    unsigned seen[4] = {0}; /* a, b, c, torn */

    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct io_file *file;
        unsigned changes = 0;
        uint64_t size;
        uint8_t *data;

        world_renew(w, seed * SIM_POLICY_COUNT); /* Policy RANDOM */
        file = world_durable(w, "f", 'a');
        assert_int_equal(put(file, SIM_SECTOR, 'b', SIM_SECTOR), 0);
        assert_int_equal(put(file, SIM_SECTOR, 'c', SIM_SECTOR), 0);
        crash_and_reopen(w, file);

        expect_bytes(w, "f", 0, SIM_SECTOR, 'a');
        expect_bytes(w, "f", 2 * SIM_SECTOR, SIZE, 'a');
        data = sim_disk_file(w->disk, "f", &size);
        for (size_t i = SIM_SECTOR; i < 2 * SIM_SECTOR; i++) {
            assert_in_range(data[i], 'a', 'c');
            changes += i > SIM_SECTOR && data[i] != data[i - 1] ? 1 : 0;
        }
        assert_in_range(changes, 0, 1);
        seen[changes > 0 ? 3 : data[SIM_SECTOR] - 'a']++;
        free(data);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_true(seen[i] > 0);
    }
}

/* A write between the submission of a sync and its completion is not covered, even where it
 * overwrites what is; what was there at the submission is, however often it was overwritten. */
static void sync_covers_what_was_written_before_its_submission(void **state)
{
    struct world *w = *state;
    struct io_file *file = world_durable(w, "f", 'a');
    struct io_op op = {.kind = IO_OP_SYNC, .file = file};

    sim_disk_set_policy(w->disk, SIM_CUT_DROP);
    assert_int_equal(put(file, 0, 'b', SIM_CHUNK), 0);
    world_submit(w, &op);
    for (int byte = 'c'; byte < 'c' + 10; byte++) {
        assert_int_equal(put(file, 0, byte, SIM_CHUNK), 0);
    }
    assert_int_equal(put(file, SIM_CHUNK, 'c', SIM_CHUNK), 0);
    assert_int_equal(put(file, SIZE, 'c', SIM_CHUNK), 0);
    assert_int_equal(io_wait(w->io), 1);
    assert_int_equal(op.result, 0);
    crash_and_reopen(w, file);

    expect_bytes(w, "f", 0, SIM_CHUNK, 'b');
    expect_bytes(w, "f", SIM_CHUNK, SIZE, 'a');
    free(sim_disk_file(w->disk, "f", &op.offset));
    assert_int_equal(op.offset, SIZE);
}

/* A file that grew and was not synced may be shorter again; nothing is hidden behind its end. */
static void unsynced_growth_may_vanish(void **state)
{
    struct world *w = *state;
    unsigned grown = 0;

    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct io_file *file;
        uint64_t size;

        world_renew(w, seed);
        file = world_durable(w, "f", 'a');
        assert_int_equal(put(file, SIZE, 'b', SIZE), 0);
        crash_and_reopen(w, file);
        free(sim_disk_file(w->disk, "f", &size));
        assert_true(size == SIZE || size == 2 * SIZE);
        grown += size > SIZE ? 1 : 0;
        expect_bytes(w, "f", 0, SIZE, 'a');
        if (size == SIZE) {
            sim_disk_resize(w->disk, "f", 2 * SIZE);
            expect_bytes(w, "f", SIZE, 2 * SIZE, 0);
        }
    }
    assert_in_range(grown, 1, ROUNDS - 1);
}

/* fdatasync of a new file does not give it a name; syncing its directory does, for ever. */
static void name_without_sync_dir_may_vanish_with_it_never(void **state)
{
    struct world *w = *state;
    unsigned kept = 0;

    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct io_file *file;

        world_renew(w, seed);
        assert_int_equal(io_make_dir(w->io, "d", NULL), 0);
        assert_int_equal(io_sync_dir(w->io, "", NULL), 0);
        io_close_file(world_create(w, "d/safe"));
        assert_int_equal(io_sync_dir(w->io, "d", NULL), 0);
        file = world_create(w, "d/loose");
        assert_int_equal(io_sync(file, NULL, NULL), 0);
        crash_and_reopen(w, file);
        assert_true(sim_disk_exists(w->disk, "d/safe"));
        kept += sim_disk_exists(w->disk, "d/loose") ? 1 : 0;
    }
    assert_in_range(kept, 1, ROUNDS - 1);
}

/* Renaming over an existing name: after any cut the name leads to one whole file, the old or the
 * new, and not both names lead to the new one. */
static void rename_is_atomic(void **state)
{
    struct world *w = *state;
    unsigned renamed = 0;

    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct io_file *file;
        uint64_t size;
        uint8_t *data;

        world_renew(w, seed);
        io_close_file(world_durable(w, "name", 'a'));
        file = world_create(w, "temp");
        assert_int_equal(put(file, 0, 'b', SIZE), 0);
        assert_int_equal(io_sync(file, NULL, NULL), 0);
        assert_int_equal(io_rename(w->io, "temp", "name", NULL), 0);
        crash_and_reopen(w, file);

        data = sim_disk_file(w->disk, "name", &size);
        expect_bytes(w, "name", 0, SIZE, data[0]);
        assert_true(data[0] == 'a' || !sim_disk_exists(w->disk, "temp"));
        renamed += data[0] == 'b' ? 1 : 0;
        free(data);
    }
    assert_in_range(renamed, 1, ROUNDS - 1);
}

/* A rename across directories is durable once either is synced, and then at one place. */
static void rename_across_directories_has_one_outcome(void **state)
{
    struct world *w = *state;

    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        world_renew(w, seed);
        assert_int_equal(io_make_dir(w->io, "a", NULL), 0);
        assert_int_equal(io_make_dir(w->io, "b", NULL), 0);
        assert_int_equal(io_sync_dir(w->io, "", NULL), 0);
        io_close_file(world_create(w, "a/f"));
        assert_int_equal(io_rename(w->io, "a/f", "b/g", NULL), 0);
        assert_int_equal(io_sync_dir(w->io, seed % 2 == 0 ? "a" : "b", NULL), 0);
        crash_and_reopen(w, NULL);
        assert_true(sim_disk_exists(w->disk, "b/g"));
        assert_false(sim_disk_exists(w->disk, "a/f"));
    }
}

/* A direct read shows dirty bytes (they are written first), which a power cut may still take. */
static void direct_read_of_dirty_bytes_proves_nothing(void **state)
{
    static _Alignas(IO_DIRECT_ALIGN) uint8_t data[SIM_CHUNK];
    struct world *w = *state;
    struct io_file *file = world_durable(w, "f", 'a');
    size_t got;

    sim_disk_set_policy(w->disk, SIM_CUT_DROP);
    assert_int_equal(put(file, 0, 'b', SIM_CHUNK), 0);
    assert_int_equal(io_read_direct(file, data, sizeof data, 0, &got, NULL), 0);
    assert_int_equal(data[0], 'b');
    crash_and_reopen(w, file);
    expect_bytes(w, "f", 0, SIZE, 'a');
}

/* SIGKILL: everything written is still in the cache and can still be synced; every handle of the
 * dead process fails, and its lock is free again. */
static void process_crash_keeps_the_page_cache(void **state)
{
    struct world *w = *state;
    struct io_file *file = world_durable(w, "f", 'a');
    struct io *dead;
    uint8_t byte;
    size_t got;

    assert_int_equal(io_lock(w->io, "LOCK", NULL), 0);
    assert_int_equal(put(file, 0, 'b', SIM_CHUNK), 0);
    sim_disk_process_crash(w->disk);
    assert_true(sim_disk_is_down(w->disk));
    assert_int_equal(put(file, 0, 'c', SIM_CHUNK), TUSK_EIO);
    io_close_file(file);
    dead = w->io;
    assert_int_equal(io_sim_open(&w->io, w->disk), 0);
    assert_int_equal(io_lock(w->io, "LOCK", NULL), 0);
    io_close(dead);

    assert_int_equal(io_open(w->io, "f", IO_OPEN_WRITE, &file, NULL), 0);
    assert_int_equal(io_read_cached(file, &byte, 1, 0, &got), 0);
    assert_int_equal(byte, 'b');
    expect_bytes(w, "f", 0, SIZE, 'a');
    assert_int_equal(io_sync(file, NULL, NULL), 0);
    io_close_file(file);
    expect_bytes(w, "f", 0, SIM_CHUNK, 'b');
}

/* An armed cut strikes at its operation: what completed before it may be kept, later calls fail,
 * submitted ones complete with an error in the next poll. */
static void armed_cut_strikes_at_its_operation(void **state)
{
    struct world *w = *state;
    struct io_file *file = world_durable(w, "f", 'a');
    struct io_op op = {.kind = IO_OP_SYNC, .file = file};

    sim_disk_set_policy(w->disk, SIM_CUT_KEEP);
    sim_disk_set_pace(w->disk, 0);
    world_submit(w, &op);
    sim_disk_cut_at(w->disk, SIM_CHANGES, 2, SIM_BEFORE);
    assert_int_equal(put(file, 0, 'b', SIM_CHUNK), 0);
    assert_false(sim_disk_is_down(w->disk));
    assert_int_equal(put(file, SIM_CHUNK, 'c', SIM_CHUNK), TUSK_EIO);
    assert_true(sim_disk_is_down(w->disk));
    assert_int_equal(io_poll(w->io), 1);
    assert_int_equal(op.result, TUSK_EIO);
    io_close_file(file);
    world_reopen(w);
    expect_bytes(w, "f", 0, SIM_CHUNK, 'b');
    expect_bytes(w, "f", SIM_CHUNK, SIZE, 'a');
}

static bool delay_sectors_by_mask(void *arg, const char *path, uint64_t offset, enum sim_kind kind)
{
    assert_int_equal(kind, SIM_WRITE);
    assert_string_equal(path, "f");
    return (*(unsigned *)arg >> offset / SIM_SECTOR & 1u) != 0;
}

/* The hook enumerates every subset: exactly the sectors it names are lost, all others are kept. */
static void delayed_sectors_are_lost_and_no_others(void **state)
{
    struct world *w = *state;

    for (unsigned mask = 0; mask < 16; mask++) {
        struct io_file *file;

        world_renew(w, mask);
        file = world_durable(w, "f", 'a');
        assert_int_equal(put(file, 0, 'b', 4 * SIM_SECTOR), 0);
        assert_int_equal(sim_disk_pending(w->disk), 4);
        sim_disk_set_delay(w->disk, delay_sectors_by_mask, &mask);
        crash_and_reopen(w, file);
        for (unsigned i = 0; i < 4; i++) {
            expect_bytes(w, "f", i * SIM_SECTOR, (i + 1) * SIM_SECTOR,
                         (mask >> i & 1u) != 0 ? 'a' : 'b');
        }
    }
}

/* Allocated space reads as zeros, punched space does again, and only that. */
static void allocated_and_punched_space_reads_as_zeros(void **state)
{
    struct world *w = *state;
    struct io_file *file = world_create(w, "f");
    struct io_op op = {.kind = IO_OP_ALLOCATE, .file = file, .size = SIZE};

    world_submit(w, &op);
    while (w->io->in_flight > 0) {
        (void)io_poll(w->io); /* Counted by done() */
    }
    assert_int_equal(op.result, 0);
    expect_bytes(w, "f", 0, SIZE, 0);
    assert_int_equal(put(file, 0, 'b', SIZE), 0);
    assert_int_equal(io_punch(file, SIM_CHUNK, SIM_CHUNK, NULL), 0);
    assert_int_equal(io_sync(file, NULL, NULL), 0);
    io_close_file(file);
    expect_bytes(w, "f", 0, SIM_CHUNK, 'b');
    expect_bytes(w, "f", SIM_CHUNK, 2 * SIM_CHUNK, 0);
    expect_bytes(w, "f", 2 * SIM_CHUNK, SIZE, 'b');
    assert_int_equal(sim_disk_used(w->disk), 4 * SIM_CHUNK);
}

/* FORWARD keeps what was written up to a moment, REVERSE what was written after it. */
static void ordered_policies_keep_one_side_of_a_moment(void **state)
{
    struct world *w = *state;
    unsigned between = 0;

    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        const bool forward = seed % 2 == 0;
        struct io_file *file;
        uint64_t size;
        uint8_t *data;

        world_renew(w, seed);
        sim_disk_set_policy(w->disk, forward ? SIM_CUT_FORWARD : SIM_CUT_REVERSE);
        file = world_durable(w, "f", forward ? 'a' : 'b');
        for (unsigned i = 0; i < 16; i++) {
            assert_int_equal(put(file, i * SIM_SECTOR, forward ? 'b' : 'a', SIM_SECTOR), 0);
        }
        crash_and_reopen(w, file);
        data = sim_disk_file(w->disk, "f", &size);
        for (unsigned i = 1; i < 16; i++) { /* In both the file reads b...ba...a */
            assert_true(data[i * SIM_SECTOR] <= data[(i - 1) * SIM_SECTOR]);
            between += data[i * SIM_SECTOR] != data[(i - 1) * SIM_SECTOR] ? 1 : 0;
        }
        free(data);
    }
    assert_in_range(between, 1, ROUNDS);
}

/* GARBAGE shows in sectors that were pending and had nothing durable, and nowhere else. */
static void garbage_appears_only_where_nothing_durable_was(void **state)
{
    struct world *w = *state;
    unsigned garbage = 0;

    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct io_file *file;
        uint64_t size;
        uint8_t *data;

        world_renew(w, seed);
        sim_disk_set_policy(w->disk, SIM_CUT_GARBAGE);
        file = world_durable(w, "f", 'a');
        assert_int_equal(put(file, 0, 'b', SIM_SECTOR), 0);
        assert_int_equal(put(file, SIZE, 'b', SIM_CHUNK), 0);
        crash_and_reopen(w, file);
        data = sim_disk_file(w->disk, "f", &size);
        for (uint64_t i = 0; i < size; i++) {
            const bool known = data[i] == 'a' || data[i] == 'b' || data[i] == 0;

            assert_true(known || i >= SIZE);
            garbage += known ? 0 : 1;
        }
        expect_bytes(w, "f", SIM_SECTOR, SIZE, 'a');
        free(data);
    }
    assert_true(garbage > 0);
}

/* A cut in the middle of a write leaves some of its sectors, even if all pending is kept. */
static void cut_amid_a_write_splits_it(void **state)
{
    struct world *w = *state;
    struct io_file *file = world_durable(w, "f", 'a');
    unsigned written = 0;
    uint64_t size;
    uint8_t *data;

    sim_disk_set_policy(w->disk, SIM_CUT_KEEP);
    sim_disk_cut_at(w->disk, SIM_BIT(SIM_WRITE), 1, SIM_AMID);
    assert_int_equal(put(file, 0, 'b', SIZE), TUSK_EIO);
    io_close_file(file);
    world_reopen(w);
    data = sim_disk_file(w->disk, "f", &size);
    for (uint64_t at = 0; at < SIZE; at += SIM_SECTOR) {
        expect_bytes(w, "f", at, at + SIM_SECTOR, data[at]);
        written += data[at] == 'b' ? 1 : 0;
    }
    assert_in_range(written, 1, SIZE / SIM_SECTOR - 1);
    free(data);
}

/* A submitted operation of a killed process has happened or not; its completion is an error. */
static void submitted_operation_of_a_dead_process_may_have_run(void **state)
{
    struct world *w = *state;
    unsigned ran = 0;

    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct io_op op = {.kind = IO_OP_CREATE, .path = "f"};

        world_renew(w, seed);
        world_submit(w, &op);
        sim_disk_process_crash(w->disk);
        assert_int_equal(io_poll(w->io), 1);
        assert_int_equal(op.result, TUSK_EIO);
        assert_null(op.file);
        ran += sim_disk_exists(w->disk, "f") ? 1 : 0;
    }
    assert_in_range(ran, 1, ROUNDS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROPERTY(synced_data_survives_every_policy),
        PROPERTY(unsynced_sector_is_old_new_or_torn),
        PROPERTY(sync_covers_what_was_written_before_its_submission),
        PROPERTY(unsynced_growth_may_vanish),
        PROPERTY(name_without_sync_dir_may_vanish_with_it_never),
        PROPERTY(rename_is_atomic),
        PROPERTY(rename_across_directories_has_one_outcome),
        PROPERTY(direct_read_of_dirty_bytes_proves_nothing),
        PROPERTY(process_crash_keeps_the_page_cache),
        PROPERTY(armed_cut_strikes_at_its_operation),
        PROPERTY(delayed_sectors_are_lost_and_no_others),
        PROPERTY(allocated_and_punched_space_reads_as_zeros),
        PROPERTY(ordered_policies_keep_one_side_of_a_moment),
        PROPERTY(garbage_appears_only_where_nothing_durable_was),
        PROPERTY(cut_amid_a_write_splits_it),
        PROPERTY(submitted_operation_of_a_dead_process_may_have_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
