/* The simulated disk under long random runs: against a plain array, against itself, and against
 * everything at once. */
#include "tests/sim/io_sim_world.h"

#define SHADOW_SIZE (12u * SIM_CHUNK)

/* What a file should hold, kept beside it in the plainest way. */
struct shadow {
    uint8_t data[SHADOW_SIZE];
    uint64_t size;
};

static void shadow_step(struct shadow *shadow, struct io_file *file, struct random *random)
{
    const uint64_t size = random_between(random, 1, SHADOW_SIZE / 4);
    const uint64_t offset = random_below(random, SHADOW_SIZE - size);
    const uint64_t choice = random_below(random, 8);
    uint64_t end = offset + size;

    if (choice < 5) {
        const struct iovec iov = {shadow->data + offset, size};

        random_fill(random, shadow->data + offset, size);
        assert_int_equal(io_write(file, &iov, 1, offset, NULL), 0);
    } else if (choice == 5) {
        assert_int_equal(io_punch(file, offset, size, NULL), 0);
        end = end < shadow->size ? end : shadow->size;
        memset(shadow->data + offset, 0, end > offset ? end - offset : 0);
    } else if (choice == 6) {
        assert_int_equal(io_allocate(file, offset, size, NULL), 0);
    } else {
        assert_int_equal(io_truncate(file, offset, NULL), 0);
        memset(shadow->data + offset, 0, SHADOW_SIZE - offset);
        shadow->size = offset;
    }
    shadow->size = choice != 5 && choice != 7 && end > shadow->size ? end : shadow->size;
}

static void shadow_expect_device(const struct shadow *shadow, struct world *w)
{
    uint64_t size;
    uint8_t *data = sim_disk_file(w->disk, "f", &size);

    assert_int_equal(size, shadow->size);
    assert_memory_equal(data, shadow->data, size);
    free(data);
}

/* Against a plain array, over random calls: the cache always reads as written; after a cut that
 * keeps all the device does too, after one that drops all it reads as at the last sync. And what is
 * counted as used space is what a recount after the cut finds. */
static void contents_match_a_plain_array(void **state)
{
    static struct shadow now;
    static struct shadow synced;
    static uint8_t read[SHADOW_SIZE];
    struct world *w = *state;

    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        const bool keep = seed % 2 == 0;
        struct random random;
        struct io_file *file;
        uint64_t used;
        size_t got;

        random_init(&random, seed);
        memset(&now, 0, sizeof now);
        world_renew(w, seed);
        sim_disk_set_policy(w->disk, keep ? SIM_CUT_KEEP : SIM_CUT_DROP);
        file = world_create(w, "f");
        assert_int_equal(io_sync_dir(w->io, "", NULL), 0);
        synced = now;
        for (uint64_t i = random_below(&random, 40); i > 0; i--) {
            shadow_step(&now, file, &random);
            if (random_chance(&random, 20)) {
                assert_int_equal(io_sync(file, NULL, NULL), 0);
                synced = now;
                shadow_expect_device(&now, w);
            }
            assert_int_equal(io_read_cached(file, read, sizeof read, 0, &got), 0);
            assert_int_equal(got, now.size);
            assert_memory_equal(read, now.data, got);
        }
        used = sim_disk_used(w->disk);
        crash_and_reopen(w, file);
        shadow_expect_device(keep ? &now : &synced, w);
        assert_true(!keep || sim_disk_used(w->disk) == used);
        assert_int_equal(sim_disk_pending(w->disk), 0);
    }
}

/* Some random calls; returns the hash of everything that can be observed. */
static uint64_t run_something(struct world *w, uint64_t seed)
{
    struct random random;
    uint64_t hash;

    world_renew(w, seed);
    random_init(&random, seed);
    for (unsigned i = 0; i < 30; i++) {
        char path[2] = {(char)('a' + random_below(&random, 4)), '\0'};
        struct io_file *file = NULL;

        if (io_open(w->io, path, IO_OPEN_WRITE, &file, NULL) != 0) {
            file = world_create(w, path);
        }
        assert_int_equal(put(file, random_below(&random, 9000), (int)i, 1 + i * 100), 0);
        assert_int_equal(io_truncate(file, random_below(&random, 20000), NULL), 0);
        if (i % 7 == 3) {
            struct io_op op = {.kind = IO_OP_SYNC, .file = file};

            world_submit(w, &op);
            while (w->io->in_flight > 0) {
                (void)io_poll(w->io); /* Counted by done() */
            }
            assert_int_equal(io_rename(w->io, path, "x", NULL), 0);
            assert_int_equal(io_sync_dir(w->io, "", NULL), 0);
        }
        io_close_file(file);
    }
    crash_and_reopen(w, NULL);
    hash = sim_disk_hash(w->disk) ^ sim_disk_trace_hash(w->disk);
    return hash ^ sim_disk_now_us(w->disk) << 32;
}

/* The same seed and the same calls give the same bytes, names, completions and times; another
 * seed does not. */
static void same_seed_same_outcome(void **state)
{
    struct world *w = *state;

    for (uint64_t seed = 0; seed < 50; seed++) {
        const uint64_t first = run_something(w, seed);

        assert_int_equal(first, run_something(w, seed));
        assert_int_not_equal(first, run_something(w, seed + 1000 * SIM_POLICY_COUNT));
    }
}

/* Names of two levels, few enough to collide. */
static void chaos_path(struct random *random, char path[8])
{
    const char letter = (char)('a' + random_below(random, 4));

    if (random_chance(random, 50)) {
        (void)snprintf(path, 8, "%c", letter); /* Fits */
    } else {
        (void)snprintf(path, 8, "%c/%c", letter, (char)('a' + random_below(random, 3)));
    }
}

static void chaos_names(struct world *w, struct random *random)
{
    const uint64_t choice = random_below(random, 6);
    char path[8];
    char to[8];

    chaos_path(random, path);
    chaos_path(random, to);
    if (choice == 0) {
        (void)io_make_dir(w->io, path, NULL); /* May fail: here and below that is the point */
    } else if (choice == 1) {
        (void)io_remove_dir(w->io, path, NULL);
    } else if (choice == 2) {
        (void)io_unlink(w->io, path, NULL);
    } else if (choice == 3) {
        (void)io_rename(w->io, path, to, NULL);
    } else {
        (void)io_sync_dir(w->io, choice == 4 ? "" : path, NULL);
    }
}

/* Submits up to four operations on one file while writing to it, and sees them all complete. */
static void chaos_file(struct world *w, struct random *random)
{
    static const enum io_op_kind kinds[] = {IO_OP_SYNC,  IO_OP_READ,     IO_OP_WRITE,
                                            IO_OP_PUNCH, IO_OP_ALLOCATE, IO_OP_WRITEBACK};
    const unsigned count = (unsigned)random_below(random, 5);
    struct io_file *file = NULL;
    struct io_op ops[4];
    uint8_t data[5000] = {1};
    char path[8];

    chaos_path(random, path);
    if (io_open(w->io, path, IO_OPEN_CREATE, &file, NULL) != 0 &&
        io_open(w->io, path, IO_OPEN_WRITE, &file, NULL) != 0) {
        return;
    }
    w->done = 0;
    for (unsigned i = 0; i < count; i++) {
        /* One draw a statement: the order of two in one is the compiler's. */
        const uint64_t at = random_below(random, 9000);
        const uint64_t offset = random_below(random, 20000);

        (void)put(file, at, (int)i, random_between(random, 1, SIZE));
        ops[i] = (struct io_op){
            .kind = kinds[random_below(random, 6)], .file = file, .data = data, .offset = offset};
        ops[i].size = (uint32_t)random_between(random, 1, sizeof data);
        world_submit(w, &ops[i]);
        (void)io_truncate(file, random_below(random, 30000), NULL);
        (void)io_poll(w->io); /* done() counts */
    }
    while (w->io->in_flight > 0) {
        (void)io_wait(w->io);
    }
    assert_int_equal(w->done, count);
    io_close_file(file);
}

static void chaos_disk(struct world *w, struct random *random)
{
    const uint64_t choice = random_below(random, 8);
    struct sim_disk *clone;

    if (choice < 3) {
        const enum sim_effect effect = (enum sim_effect)random_below(random, 4);

        sim_disk_clear_faults(w->disk);
        sim_disk_fail(w->disk, SIM_ALL, random_between(random, 1, 20), choice == 0, ENOSPC, effect);
    } else if (choice < 5) {
        sim_disk_cut_at(w->disk, SIM_ALL, random_between(random, 1, 20),
                        choice == 3 ? SIM_BEFORE : SIM_AMID);
    } else if (choice == 5) {
        sim_disk_process_crash(w->disk);
    } else if (choice == 6) {
        sim_disk_drop_cache(w->disk);
        sim_disk_set_capacity(w->disk, random_between(random, 10, 60) * SIM_CHUNK);
    } else {
        clone = sim_disk_clone(w->disk);
        assert_int_equal(sim_disk_hash(clone), sim_disk_hash(w->disk));
        sim_disk_power_cut(clone);
        assert_int_equal(sim_disk_pending(clone), 0);
        sim_disk_free(clone);
    }
}

/* Whatever is called, fails and crashes: every submitted operation completes once, and after a
 * settle a power cut changes nothing, not even the count of used space. Under the sanitizers this
 * is also the test that the disk frees what it takes. */
static void books_balance_whatever_happens(void **state)
{
    struct world *w = *state;

    for (uint64_t seed = 0; seed < 5 * ROUNDS; seed++) {
        struct random random;
        uint64_t hash;
        uint64_t used;

        random_init(&random, seed);
        world_renew(w, seed);
        for (unsigned i = 0; i < 60; i++) {
            const uint64_t choice = random_below(&random, 10);

            if (sim_disk_is_down(w->disk)) {
                world_reopen(w);
            }
            if (choice < 4) {
                chaos_names(w, &random);
            } else if (choice < 9) {
                chaos_file(w, &random);
            } else {
                chaos_disk(w, &random);
            }
        }
        sim_disk_settle(w->disk);
        hash = sim_disk_hash(w->disk);
        used = sim_disk_used(w->disk);
        sim_disk_set_policy(w->disk, SIM_CUT_RANDOM);
        sim_disk_power_cut(w->disk);
        assert_int_equal(sim_disk_hash(w->disk), hash);
        assert_int_equal(sim_disk_used(w->disk), used);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROPERTY(contents_match_a_plain_array),
        PROPERTY(same_seed_same_outcome),
        PROPERTY(books_balance_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
