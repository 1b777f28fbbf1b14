/* What the tests of the simulated disk share: a world of one disk and one io on it. */
#ifndef TESTS_SIM_IO_SIM_WORLD_H
#define TESTS_SIM_IO_SIM_WORLD_H

#include "core/error.h"
#include "core/io.h"
#include "tests/sim/io_sim.h"
#include "tests/sim/random.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROUNDS 200u /* Random outcomes tried per property */
#define SIZE (3 * SIM_CHUNK)

struct world {
    struct sim_disk *disk;
    struct io *io;
    uint64_t seed; /* Of this round */
    unsigned done; /* Completions so far */
    unsigned order[16];
};

static inline int world_setup(void **state)
{
    struct world *w = test_calloc(1, sizeof *w);

    w->disk = sim_disk_new(1);
    sim_disk_set_cold(w->disk, 0);
    *state = w;
    return io_sim_open(&w->io, w->disk);
}

static inline int world_teardown(void **state)
{
    struct world *w = *state;

    print_message("last seed %llu\n", (unsigned long long)w->seed);
    io_close(w->io);
    sim_disk_free(w->disk);
    test_free(w);
    return 0;
}

/* Begin another round on a new disk. */
static inline void world_renew(struct world *w, uint64_t seed)
{
    io_close(w->io);
    sim_disk_free(w->disk);
    w->seed = seed;
    w->disk = sim_disk_new(seed);
    sim_disk_set_cold(w->disk, 0);
    sim_disk_set_policy(w->disk, (enum sim_policy)(seed % SIM_POLICY_COUNT));
    assert_int_equal(io_sim_open(&w->io, w->disk), 0);
}

static inline void world_reopen(struct world *w)
{
    io_close(w->io);
    assert_int_equal(io_sim_open(&w->io, w->disk), 0);
}

static inline struct io_file *world_create(struct world *w, const char *path)
{
    struct io_file *file;

    assert_int_equal(io_open(w->io, path, IO_OPEN_CREATE, &file, NULL), 0);
    return file;
}

static inline int put(struct io_file *file, uint64_t offset, int byte, size_t size)
{
    static uint8_t data[SIZE];
    const struct iovec iov = {data, size};

    memset(data, byte, sizeof data);
    return io_write(file, &iov, 1, offset, NULL);
}

/* A file of SIZE bytes, all the same, with everything about it durable. */
static inline struct io_file *world_durable(struct world *w, const char *path, int byte)
{
    struct io_file *file = world_create(w, path);

    assert_int_equal(put(file, 0, byte, SIZE), 0);
    assert_int_equal(io_sync(file, NULL, NULL), 0);
    assert_int_equal(io_sync_dir(w->io, "", NULL), 0);
    return file;
}

static inline void crash_and_reopen(struct world *w, struct io_file *file)
{
    sim_disk_power_cut(w->disk);
    io_close_file(file);
    world_reopen(w);
}

/* The device holds only this byte in [from, to). */
static inline void expect_bytes(struct world *w, const char *path, uint64_t from, uint64_t to,
                                int byte)
{
    uint64_t size;
    uint8_t *data = sim_disk_file(w->disk, path, &size);

    assert_true(to <= size);
    for (uint64_t i = from; i < to; i++) {
        assert_int_equal(data[i], byte);
    }
    free(data);
}

static inline void note_done(struct io_op *op)
{
    struct world *w = op->arg;

    if (w->done < 16) {
        w->order[w->done] = (unsigned)op->offset;
    }
    w->done++;
}

static inline void world_submit(struct world *w, struct io_op *op)
{
    op->arg = w;
    op->done = note_done;
    io_submit(w->io, op);
}

#define PROPERTY(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

#endif
