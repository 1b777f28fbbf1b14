/* The properties of what a test does to a simulated disk: faults, capacity, clones, damage. */
#include "tests/sim/io_sim_world.h"

/* fsyncgate: one failed sync, then success; the cache goes on showing what the device never got,
 * a direct read does not, and the next power cut takes it. */
static void failed_sync_then_success_loses_data(void **state)
{
    static _Alignas(IO_DIRECT_ALIGN) uint8_t data[SIM_CHUNK];
    struct world *w = *state;
    struct io_file *file = world_durable(w, "f", 'a');
    size_t got;

    sim_disk_set_policy(w->disk, SIM_CUT_KEEP);
    assert_int_equal(put(file, 0, 'b', SIM_CHUNK), 0);
    sim_disk_fail(w->disk, SIM_BIT(SIM_SYNC), 1, false, EIO, SIM_LOSE);
    assert_int_equal(io_sync(file, NULL, NULL), TUSK_EIO);
    assert_int_equal(io_sync(file, NULL, NULL), 0);
    assert_int_equal(io_read_cached(file, data, sizeof data, 0, &got), 0);
    assert_int_equal(data[0], 'b');
    assert_int_equal(io_read_direct(file, data, sizeof data, 0, &got, NULL), 0);
    assert_int_equal(got, sizeof data);
    assert_int_equal(data[0], 'a');
    assert_int_equal(put(file, 0, 'c', SIM_SECTOR), 0);
    assert_int_equal(io_read_direct(file, data, sizeof data, 0, &got, NULL), 0);
    assert_int_equal(data[0], 'c');
    sim_disk_set_policy(w->disk, SIM_CUT_DROP);
    crash_and_reopen(w, file);
    expect_bytes(w, "f", 0, SIZE, 'a');
}

/* A drive that ignores flushes: the sync succeeds, and the cut takes the data all the same. */
static void lying_sync_succeeds_without_effect(void **state)
{
    struct world *w = *state;
    struct io_file *file = world_durable(w, "f", 'a');

    sim_disk_set_policy(w->disk, SIM_CUT_DROP);
    assert_int_equal(put(file, 0, 'b', SIM_CHUNK), 0);
    sim_disk_fail(w->disk, SIM_BIT(SIM_SYNC), 1, true, 0, SIM_LIE);
    assert_int_equal(io_sync(file, NULL, NULL), 0);
    crash_and_reopen(w, file);
    expect_bytes(w, "f", 0, SIZE, 'a');
}

/* Space given back is no dirty page: a sync that loses pages does not bring it back. */
static void failed_sync_does_not_lose_punched_space(void **state)
{
    struct world *w = *state;
    struct io_file *file = world_durable(w, "f", 'a');
    uint64_t used;

    assert_int_equal(io_punch(file, SIM_CHUNK, SIM_CHUNK, NULL), 0);
    sim_disk_fail(w->disk, SIM_BIT(SIM_SYNC), 1, false, EIO, SIM_LOSE);
    assert_int_equal(io_sync(file, NULL, NULL), TUSK_EIO);
    assert_int_equal(io_sync(file, NULL, NULL), 0);
    used = sim_disk_used(w->disk);
    crash_and_reopen(w, file);
    expect_bytes(w, "f", SIM_CHUNK, 2 * SIM_CHUNK, 0);
    assert_int_equal(sim_disk_used(w->disk), used);
}

/* A second process learns who holds the lock. */
static void lock_names_its_holder(void **state)
{
    struct world *w = *state;
    struct error err = {0};
    struct io *second;

    assert_int_equal(io_lock(w->io, "LOCK", NULL), 0);
    assert_int_equal(io_sim_open(&second, w->disk), 0);
    assert_int_equal(io_lock(second, "LOCK", &err), TUSK_ELOCKED);
    assert_non_null(strstr(err.text, "101"));
    io_close(w->io);
    w->io = second;
    assert_int_equal(io_lock(second, "LOCK", NULL), 0);
}

/* A full disk refuses what needs space, and nothing else; unlinking gives space back. */
static void capacity_refuses_growth_but_never_overwriting(void **state)
{
    struct world *w = *state;
    struct io_file *file = world_durable(w, "f", 'a');
    struct io_file *none;

    sim_disk_set_capacity(w->disk, sim_disk_used(w->disk));
    assert_int_equal(put(file, 0, 'b', SIZE), 0);
    assert_int_equal(put(file, SIZE, 'b', 1), TUSK_ENOSPACE);
    assert_int_equal(io_allocate(file, SIZE, SIM_CHUNK, NULL), TUSK_ENOSPACE);
    assert_int_equal(io_open(w->io, "g", IO_OPEN_CREATE, &none, NULL), TUSK_ENOSPACE);
    assert_null(none);
    assert_int_equal(io_truncate(file, SIM_CHUNK, NULL), 0);
    assert_int_equal(io_allocate(file, SIM_CHUNK, 2 * SIM_CHUNK, NULL), 0);
    assert_int_equal(put(file, SIM_CHUNK, 'c', SIM_CHUNK), 0);

    assert_int_equal(io_unlink(w->io, "f", NULL), 0);
    assert_int_equal(io_make_dir(w->io, "d", NULL), TUSK_ENOSPACE);
    io_close_file(file);
    assert_int_equal(io_make_dir(w->io, "d", NULL), 0);
    assert_int_equal(sim_disk_used(w->disk), 2 * SIM_CHUNK);
}

/* The armed operation fails, not the one before; once, or it and all behind it. */
static void fault_fires_at_exactly_the_nth_operation(void **state)
{
    struct world *w = *state;
    struct io_file *file = world_durable(w, "f", 'a');

    sim_disk_fail(w->disk, SIM_BIT(SIM_WRITE), 3, false, EDQUOT, SIM_FAIL);
    for (unsigned i = 1; i <= 5; i++) {
        assert_int_equal(io_sync(file, NULL, NULL), 0);
        assert_int_equal(put(file, 0, 'b', 1), i == 3 ? TUSK_ENOSPACE : 0);
    }
    assert_int_equal(sim_disk_fired(w->disk), 1);
    sim_disk_fail(w->disk, SIM_BIT(SIM_WRITE) | SIM_BIT(SIM_SYNC), 2, true, EMFILE, SIM_FAIL);
    assert_int_equal(put(file, 0, 'b', 1), 0);
    assert_int_equal(io_sync(file, NULL, NULL), TUSK_EBUSY);
    assert_int_equal(put(file, 0, 'b', 1), TUSK_EBUSY);
    sim_disk_clear_faults(w->disk);
    assert_int_equal(put(file, 0, 'b', 1), 0);
    io_close_file(file);
}

/* A write that fails may have written any of its sectors, but only of its range. */
static void failed_write_may_leave_any_part(void **state)
{
    struct world *w = *state;
    struct io_file *file = world_durable(w, "f", 'a');
    unsigned written = 0;
    uint64_t size;
    uint8_t *data;

    sim_disk_fail(w->disk, SIM_BIT(SIM_WRITE), 1, false, EIO, SIM_FAIL_PARTLY);
    assert_int_equal(put(file, SIM_CHUNK, 'b', SIM_CHUNK), TUSK_EIO);
    sim_disk_settle(w->disk);
    io_close_file(file);
    expect_bytes(w, "f", 0, SIM_CHUNK, 'a');
    expect_bytes(w, "f", 2 * SIM_CHUNK, SIZE, 'a');
    data = sim_disk_file(w->disk, "f", &size);
    for (uint64_t at = SIM_CHUNK; at < 2 * SIM_CHUNK; at += SIM_SECTOR) {
        written += data[at] == 'b' ? 1 : 0;
    }
    assert_in_range(written, 1, 7);
    free(data);
}

/* A write cut short has done its first byte, or its first half, and nothing behind it. */
static void write_cut_short_leaves_its_start(void **state)
{
    static const uint64_t done[] = {1, SIM_CHUNK / 2};
    struct world *w = *state;
    struct io_file *file = world_durable(w, "f", 'a');

    for (unsigned i = 0; i < 2; i++) {
        sim_disk_fail(w->disk, SIM_BIT(SIM_WRITE), 1, false, ENOSPC,
                      i == 0 ? SIM_FAIL_FIRST : SIM_FAIL_HALF);
        assert_int_equal(put(file, SIM_CHUNK, 'b', SIM_CHUNK), TUSK_ENOSPACE);
        sim_disk_settle(w->disk);
        expect_bytes(w, "f", 0, SIM_CHUNK, 'a');
        expect_bytes(w, "f", SIM_CHUNK, SIM_CHUNK + done[i], 'b');
        expect_bytes(w, "f", SIM_CHUNK + done[i], SIZE, 'a');
    }
    io_close_file(file);
}

struct watched {
    unsigned count;
    enum sim_kind last;
    struct sim_disk *before_sync; /* Owned */
};

static void watch(void *arg, struct sim_disk *disk, enum sim_kind kind)
{
    struct watched *watched = arg;

    watched->count++;
    watched->last = kind;
    if (kind == SIM_SYNC) {
        watched->before_sync = sim_disk_clone(disk);
    }
}

/* Whoever watches is asked before each operation; a clone made then has not seen it. */
static void watch_comes_before_the_operation(void **state)
{
    struct world *w = *state;
    struct io_file *file = world_durable(w, "f", 'a');
    struct watched watched = {0};
    struct error err;

    sim_disk_set_watch(w->disk, watch, &watched);
    assert_int_equal(put(file, 0, 'b', SIM_CHUNK), 0);
    assert_int_equal(watched.count, 1);
    assert_int_equal(watched.last, SIM_WRITE);
    assert_int_equal(io_sync(file, NULL, &err), 0);
    assert_int_equal(watched.count, 2);
    assert_int_equal(sim_disk_pending(watched.before_sync), SIM_CHUNK / SIM_SECTOR);
    assert_int_equal(sim_disk_pending(w->disk), 0);
    sim_disk_set_watch(w->disk, NULL, NULL);
    assert_int_equal(put(file, 0, 'c', SIM_CHUNK), 0);
    assert_int_equal(watched.count, 2);
    sim_disk_free(watched.before_sync);
    io_close_file(file);
}

/* A clone starts from everything the original had, pending bytes included, and from then on
 * neither sees what happens to the other. */
static void clone_is_independent(void **state)
{
    struct world *w = *state;
    struct io_file *file = world_durable(w, "f", 'a');
    struct sim_disk *clone;
    uint64_t before;

    assert_int_equal(put(file, 0, 'b', SIM_CHUNK), 0);
    assert_int_equal(io_rename(w->io, "f", "g", NULL), 0);
    before = sim_disk_hash(w->disk);
    clone = sim_disk_clone(w->disk);
    assert_int_equal(sim_disk_hash(clone), before);
    assert_int_equal(sim_disk_pending(clone), sim_disk_pending(w->disk));
    assert_int_equal(sim_disk_used(clone), sim_disk_used(w->disk));

    sim_disk_settle(clone);
    assert_true(sim_disk_exists(clone, "g"));
    assert_int_not_equal(sim_disk_hash(clone), before);
    assert_int_equal(sim_disk_hash(w->disk), before);
    sim_disk_flip_bit(clone, "g", 8 * SIM_CHUNK);
    sim_disk_free(clone);
    assert_int_equal(io_sync(file, NULL, NULL), 0);
    io_close_file(file);
    expect_bytes(w, "g", 0, SIM_CHUNK, 'b');
    expect_bytes(w, "g", SIM_CHUNK, SIZE, 'a');
}

/* Under every policy the clone, older versions of sectors included, ends as the original does. */
static void clone_meets_the_same_fate(void **state)
{
    struct world *w = *state;

    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct io_file *file;
        struct sim_disk *clone;

        world_renew(w, seed);
        file = world_durable(w, "f", 'a');
        for (unsigned i = 1; i < 4; i++) {
            assert_int_equal(put(file, i * SIM_SECTOR, 'a' + (int)i, SIZE / 2), 0);
            io_close_file(world_create(w, i == 1 ? "g" : i == 2 ? "h" : "i"));
        }
        clone = sim_disk_clone(w->disk);
        sim_disk_power_cut(clone);
        crash_and_reopen(w, file);
        assert_int_equal(sim_disk_hash(clone), sim_disk_hash(w->disk));
        sim_disk_free(clone);
    }
}

/* Every submitted operation completes once, only in a poll, in an order that varies even if all
 * complete in the same one. */
static void completions_come_once_and_in_random_order(void **state)
{
    struct world *w = *state;
    unsigned shuffled = 0;

    for (uint64_t seed = 0; seed < 20; seed++) {
        struct io_file *file;
        struct io_op ops[8];
        uint8_t byte = 'x';
        unsigned mask = 0;

        world_renew(w, seed);
        sim_disk_set_pace(w->disk, 100);
        w->done = 0;
        file = world_create(w, "f");
        for (unsigned i = 0; i < 8; i++) {
            ops[i] = (struct io_op){
                .kind = IO_OP_WRITE, .file = file, .data = &byte, .size = 1, .offset = i};
            world_submit(w, &ops[i]);
        }
        assert_int_equal(w->done, 0);
        assert_int_equal(file->in_flight, 8);
        assert_int_equal(io_wait(w->io), 8);
        assert_int_equal(w->done, 8);
        assert_int_equal(w->io->in_flight, 0);
        assert_int_equal(file->in_flight, 0);
        for (unsigned i = 0; i < 8; i++) {
            mask |= 1u << w->order[i];
            shuffled += w->order[i] != i ? 1 : 0;
        }
        assert_int_equal(mask, 255);
        io_close_file(file);
    }
    assert_true(shuffled > 0);
}

/* Reads that need the device fail on an unreadable range; beside it they do not. */
static void unreadable_range_fails_device_reads(void **state)
{
    static _Alignas(IO_DIRECT_ALIGN) uint8_t data[2 * SIM_CHUNK];
    struct world *w = *state;
    struct io_file *file = world_durable(w, "f", 'a');
    size_t got;

    sim_disk_set_unreadable(w->disk, "f", SIM_CHUNK + 10, 1);
    assert_int_equal(io_read_direct(file, data, SIM_CHUNK, 0, &got, NULL), 0);
    assert_int_equal(io_read_direct(file, data, sizeof data, 0, &got, NULL), TUSK_EIO);
    assert_int_equal(io_read_cached(file, data, sizeof data, 0, &got), 0);
    assert_int_equal(got, SIM_CHUNK + 10);
    assert_int_equal(io_read_cached(file, data, 1, SIM_CHUNK + 10, &got), TUSK_EBUSY);
    sim_disk_clear_unreadable(w->disk);
    assert_int_equal(io_read_direct(file, data, sizeof data, 0, &got, NULL), 0);
    io_close_file(file);
}

/* Each tool damages what it names and nothing else; undone, the disk is the same again. */
static void damage_is_exact(void **state)
{
    struct world *w = *state;
    uint64_t before;
    uint64_t size;

    io_close_file(world_durable(w, "f", 'a'));
    before = sim_disk_hash(w->disk);
    sim_disk_flip_bit(w->disk, "f", 5 * 8 + 1);
    expect_bytes(w, "f", 5, 6, 'a' ^ 2);
    assert_int_not_equal(sim_disk_hash(w->disk), before);
    sim_disk_flip_bit(w->disk, "f", 5 * 8 + 1);
    assert_int_equal(sim_disk_hash(w->disk), before);
    sim_disk_zero(w->disk, "f", 100, 50);
    expect_bytes(w, "f", 100, 150, 0);
    sim_disk_copy(w->disk, "f", 0, "f", 100, 50);
    assert_int_equal(sim_disk_hash(w->disk), before);
    sim_disk_overwrite(w->disk, "f", SIZE, "zz", 2);
    expect_bytes(w, "f", SIZE, SIZE + 2, 'z');
    sim_disk_resize(w->disk, "f", SIZE);
    assert_int_equal(sim_disk_hash(w->disk), before);
    sim_disk_resize(w->disk, "f", 10);
    free(sim_disk_file(w->disk, "f", &size));
    assert_int_equal(size, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROPERTY(failed_sync_then_success_loses_data),
        PROPERTY(lying_sync_succeeds_without_effect),
        PROPERTY(failed_sync_does_not_lose_punched_space),
        PROPERTY(lock_names_its_holder),
        PROPERTY(capacity_refuses_growth_but_never_overwriting),
        PROPERTY(fault_fires_at_exactly_the_nth_operation),
        PROPERTY(failed_write_may_leave_any_part),
        PROPERTY(write_cut_short_leaves_its_start),
        PROPERTY(watch_comes_before_the_operation),
        PROPERTY(clone_is_independent),
        PROPERTY(clone_meets_the_same_fate),
        PROPERTY(completions_come_once_and_in_random_order),
        PROPERTY(unreadable_range_fails_device_reads),
        PROPERTY(damage_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
