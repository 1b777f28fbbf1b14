/* Submitted operations of every real disk. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io_files.h"
#include "io_fixture.h"

#define KIB 1024u
#define MANY 700u /* More than a ring has slots */
#define PIECE 512u

static void count_done(struct io_op *op)
{
    unsigned *count = op->arg;

    (*count)++;
}

static bool is_readable(struct io_fixture *f, int timeout_ms)
{
    struct pollfd ready = {.fd = io_poll_fd(f->io), .events = POLLIN};

    return poll(&ready, 1, timeout_ms) == 1;
}

/* However fast an operation is, its done() waits for the caller to poll. The descriptor says when
 * that is worth doing, and says nothing when it is not. */
static void completions_run_only_from_poll_and_the_descriptor_tells_when(void **state)
{
    struct io_fixture *f = *state;
    struct io_file *file = io_fixture_create(f, "file", (const uint8_t *)"data", 4);
    unsigned count = 0;
    struct io_op op = {.kind = IO_OP_SYNC, .file = file, .done = count_done, .arg = &count};

    assert_int_equal(io_wait(f->io), 0);
    assert_int_equal(io_poll(f->io), 0);
    assert_false(is_readable(f, 0));
    for (unsigned i = 1; i <= 20; i++) {
        io_submit(f->io, &op);
        assert_int_equal(f->io->in_flight, 1);
        assert_int_equal(file->in_flight, 1);
        assert_true(is_readable(f, 60000));
        assert_int_equal(count, i - 1);
        assert_int_equal(io_poll(f->io), 1);
        assert_int_equal(count, i);
        assert_int_equal(op.result, 0);
        assert_int_equal(f->io->in_flight, 0);
        assert_int_equal(file->in_flight, 0);
        assert_false(is_readable(f, 0));
    }
    io_close_file(file);
}

/* The life of a file through submitted operations alone. */
static void every_kind_of_operation_does_what_it_says(void **state)
{
    static uint8_t data[100 * KIB];
    static uint8_t back[100 * KIB];
    static const uint8_t zeros[8 * KIB];
    struct io_fixture *f = *state;
    struct io_op op = {.kind = IO_OP_CREATE, .path = "dir/new", .path_to = "dir/file"};
    struct stat st;

    io_fixture_fill(data, sizeof data);
    assert_int_equal(io_make_dir(f->io, "dir", &f->err), 0);
    assert_int_equal(io_fixture_run_op(f, &op), 0);
    assert_non_null(op.file);
    const enum io_op_kind kinds[] = {IO_OP_ALLOCATE, IO_OP_WRITE,    IO_OP_WRITEBACK, IO_OP_SYNC,
                                     IO_OP_RENAME,   IO_OP_SYNC_DIR, IO_OP_PUNCH,     IO_OP_READ};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        op.kind = kinds[i];
        op.data = kinds[i] == IO_OP_READ ? back : data;
        op.size = kinds[i] == IO_OP_PUNCH ? 8 * KIB : sizeof data;
        op.path = kinds[i] == IO_OP_SYNC_DIR ? "" : "dir/new";
        assert_int_equal(io_fixture_run_op(f, &op), 0);
        assert_int_equal(op.os_error, 0);
        assert_true(op.elapsed_us < 600u * 1000 * 1000);
    }
    assert_memory_equal(back, zeros, sizeof zeros);
    assert_memory_equal(back + sizeof zeros, data + sizeof zeros, sizeof data - sizeof zeros);
    assert_int_equal(stat(io_fixture_path(f, "dir/file"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    io_close_file(op.file);
    op = (struct io_op){.kind = IO_OP_UNLINK, .path = "dir/file"};
    assert_int_equal(io_fixture_run_op(f, &op), 0);
    assert_int_equal(stat(io_fixture_path(f, "dir/file"), &st), -1);
}

/* What cannot be done completes like the rest, with a code and the reason behind it. */
static void impossible_operations_complete_with_their_error(void **state)
{
    struct io_fixture *f = *state;
    struct {
        struct io_op op;
        int result;
    } cases[] = {
        {{.kind = IO_OP_CREATE, .path = "file"}, TUSK_EEXISTS},
        {{.kind = IO_OP_CREATE, .path = "none/file"}, TUSK_ENOTFOUND},
        {{.kind = IO_OP_CREATE, .path = "../file"}, TUSK_EINVALID},
        {{.kind = IO_OP_CREATE, .path = "link/file"}, TUSK_EDENIED},
        {{.kind = IO_OP_UNLINK, .path = "none"}, TUSK_ENOTFOUND},
        {{.kind = IO_OP_UNLINK, .path = "link/sub"}, TUSK_EDENIED},
        {{.kind = IO_OP_UNLINK, .path = "/etc/none"}, TUSK_EINVALID},
        {{.kind = IO_OP_RENAME, .path = "none", .path_to = "x"}, TUSK_ENOTFOUND},
        {{.kind = IO_OP_RENAME, .path = "file", .path_to = "../x"}, TUSK_EINVALID},
        {{.kind = IO_OP_RENAME, .path = "file", .path_to = "link/x"}, TUSK_EDENIED},
        {{.kind = IO_OP_SYNC_DIR, .path = "none"}, TUSK_ENOTFOUND},
        {{.kind = IO_OP_SYNC_DIR, .path = "link/sub"}, TUSK_EDENIED},
    };

    io_close_file(io_fixture_open(f, "file", IO_OPEN_CREATE));
    assert_int_equal(io_make_dir(f->io, "dir", &f->err), 0);
    assert_int_equal(io_make_dir(f->io, "dir/sub", &f->err), 0);
    assert_int_equal(symlink("dir", io_fixture_path(f, "link")), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cases[i].op.file = NULL;
        assert_int_equal(io_fixture_run_op(f, &cases[i].op), cases[i].result);
        assert_int_not_equal(cases[i].op.os_error, 0);
        assert_null(cases[i].op.file);
        assert_false(is_readable(f, 0));
    }
}

/* A read is whole or an error: it never ends early at the end of the file. */
static void read_past_the_end_is_an_error(void **state)
{
    struct io_fixture *f = *state;
    uint8_t data[3 * PIECE];
    struct io_op op = {.kind = IO_OP_READ, .data = data};

    io_fixture_fill(data, sizeof data);
    op.file = io_fixture_create(f, "file", data, 2 * PIECE);
    for (unsigned offset = 0; offset <= 3 * PIECE; offset += PIECE / 2) {
        op.offset = offset;
        op.size = PIECE;
        assert_int_equal(io_fixture_run_op(f, &op), offset <= PIECE ? 0 : TUSK_EIO);
        assert_int_equal(op.os_error, offset <= PIECE ? 0 : ENODATA);
    }
    io_close_file(op.file);
}

/* A file opened for reading takes no writes, and says so only to those. */
static void write_to_a_read_only_file_is_an_error(void **state)
{
    struct io_fixture *f = *state;
    uint8_t data[4] = "data";
    struct io_op op = {.kind = IO_OP_WRITE, .data = data, .size = sizeof data};
    struct iovec iov = {.iov_base = data, .iov_len = sizeof data};

    io_close_file(io_fixture_create(f, "file", data, sizeof data));
    op.file = io_fixture_open(f, "file", IO_OPEN_READ);
    assert_int_equal(io_fixture_run_op(f, &op), TUSK_EIO);
    assert_int_equal(op.os_error, EBADF);
    assert_int_equal(io_write(op.file, &iov, 1, 0, &f->err), TUSK_EIO);
    op.kind = IO_OP_READ;
    assert_int_equal(io_fixture_run_op(f, &op), 0);
    io_close_file(op.file);
}

/* Hundreds at once, more than fit into a ring: each completes exactly once, with its own bytes. */
static void hundreds_in_flight_complete_exactly_once(void **state)
{
    static uint8_t data[MANY * PIECE];
    static uint8_t back[MANY * PIECE];
    static struct io_op ops[MANY];
    static unsigned counts[MANY];
    struct io_fixture *f = *state;
    struct io_file *file = io_fixture_open(f, "file", IO_OPEN_CREATE);

    io_fixture_fill(data, sizeof data);
    for (unsigned round = 0; round < 2; round++) {
        int completed = 0;

        memset(counts, 0, sizeof counts);
        for (unsigned i = 0; i < MANY; i++) {
            ops[i] = (struct io_op){.kind = round == 0 ? IO_OP_WRITE : IO_OP_READ,
                                    .file = file,
                                    .data = (round == 0 ? data : back) + i * PIECE,
                                    .size = PIECE,
                                    .offset = (uint64_t)i * PIECE,
                                    .done = count_done,
                                    .arg = &counts[i]};
            io_submit(f->io, &ops[i]);
        }
        assert_int_equal(file->in_flight, MANY);
        while (f->io->in_flight > 0) {
            completed += io_wait(f->io);
        }
        assert_int_equal(completed, MANY);
        for (unsigned i = 0; i < MANY; i++) {
            assert_int_equal(counts[i], 1);
            assert_int_equal(ops[i].result, 0);
        }
    }
    assert_memory_equal(back, data, sizeof data);
    assert_int_equal(file->in_flight, 0);
    io_close_file(file);
}

struct chain {
    struct io_fixture *f;
    unsigned left;
    unsigned *inside; /* done() runs under way */
};

/* Frees its operation, closes the file or submits the next, as done() is allowed to. */
static void continue_chain(struct io_op *op)
{
    struct chain *chain = op->arg;
    struct io_op *next;

    assert_int_equal(op->result, 0);
    assert_int_equal(*chain->inside, 0);
    (*chain->inside)++;
    if (--chain->left == 0) {
        io_close_file(op->file);
    } else {
        next = malloc(sizeof *next);
        assert_non_null(next);
        *next = *op;
        io_submit(chain->f->io, next);
    }
    free(op);
    (*chain->inside)--;
}

/* A done() may submit, free its operation and close the file; what it submits never completes
 * inside it, and one poll does not run chains to their end. */
static void done_may_submit_free_and_close(void **state)
{
    struct io_fixture *f = *state;
    unsigned inside = 0;
    struct chain chains[8];
    char name[] = "file0";

    for (unsigned i = 0; i < 8; i++) {
        struct io_op *op = calloc(1, sizeof *op);

        assert_non_null(op);
        name[4] = (char)('0' + i);
        chains[i] = (struct chain){.f = f, .left = 50, .inside = &inside};
        op->kind = i % 2 == 0 ? IO_OP_WRITEBACK : IO_OP_SYNC;
        op->file = io_fixture_create(f, name, (const uint8_t *)name, sizeof name);
        op->done = continue_chain;
        op->arg = &chains[i];
        io_submit(f->io, op);
    }
    while (f->io->in_flight > 0) {
        assert_in_range(io_wait(f->io), 1, 8);
    }
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(chains[i].left, 0);
    }
}

struct nested {
    struct io *io;
    unsigned done;
};

static void wait_for_the_rest(struct io_op *op)
{
    struct nested *nested = op->arg;

    nested->done++;
    while (nested->io->in_flight > 0) {
        assert_true(io_wait(nested->io) >= 1);
    }
}

/* A done() may wait for everything else, also for what this very poll had already collected. */
static void done_may_wait_for_the_rest(void **state)
{
    struct io_fixture *f = *state;
    struct io_file *file = io_fixture_create(f, "file", (const uint8_t *)"data", 4);
    struct nested nested = {.io = f->io};
    struct io_op ops[32];

    for (unsigned i = 0; i < 32; i++) {
        ops[i] = (struct io_op){.kind = IO_OP_WRITEBACK,
                                .file = file,
                                .size = 4,
                                .done = wait_for_the_rest,
                                .arg = &nested};
        io_submit(f->io, &ops[i]);
    }
    assert_true(io_wait(f->io) >= 1);
    assert_int_equal(nested.done, 32);
    assert_int_equal(f->io->in_flight, 0);
    assert_false(is_readable(f, 0));
    io_close_file(file);
}

/* The number of operations in flight has a bound; the one beyond it completes with "try later". */
static void one_operation_too_many_is_told_to_try_later(void **state)
{
    struct io_fixture *f = *state;
    struct io_file *file = io_fixture_create(f, "file", (const uint8_t *)"data", 4);
    struct io_op *ops = calloc(DISK_IN_FLIGHT_MAX + 1, sizeof *ops);
    unsigned count = 0;
    unsigned refused = 0;

    assert_non_null(ops);
    for (unsigned i = 0; i <= DISK_IN_FLIGHT_MAX; i++) {
        ops[i] =
            (struct io_op){.kind = IO_OP_READ, .file = file, .done = count_done, .arg = &count};
        io_submit(f->io, &ops[i]);
    }
    while (f->io->in_flight > 0) {
        (void)io_wait(f->io);
    }
    assert_int_equal(count, DISK_IN_FLIGHT_MAX + 1);
    for (unsigned i = 0; i <= DISK_IN_FLIGHT_MAX; i++) {
        refused += ops[i].result == TUSK_EBUSY;
    }
    assert_int_equal(refused, 1);
    assert_int_equal(ops[DISK_IN_FLIGHT_MAX].result, TUSK_EBUSY);
    free(ops);
    io_close_file(file);
}

/* Operations from several threads of the disk, mixed, against a model of the file. */
static void mixed_operations_agree_with_a_model(void **state)
{
    static uint8_t model[MANY * PIECE];
    static uint8_t back[MANY * PIECE];
    static struct io_op ops[MANY];
    struct io_fixture *f = *state;
    unsigned count = 0;

    io_fixture_fill(model, sizeof model);
    struct io_file *file = io_fixture_create(f, "file", model, sizeof model);
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            const bool write = io_fixture_random() % 2 == 0;
            uint8_t *piece = (write ? model : back) + i * PIECE;

            if (write) {
                io_fixture_fill(piece, PIECE);
            }
            ops[i] = (struct io_op){.kind = write ? IO_OP_WRITE : IO_OP_READ,
                                    .file = file,
                                    .data = piece,
                                    .size = PIECE,
                                    .offset = (uint64_t)i * PIECE,
                                    .done = count_done,
                                    .arg = &count};
            io_submit(f->io, &ops[i]);
        }
        while (f->io->in_flight > 0) {
            (void)io_wait(f->io);
        }
        for (unsigned i = 0; i < MANY; i++) {
            assert_int_equal(ops[i].result, 0);
            if (ops[i].kind == IO_OP_READ) {
                assert_memory_equal(back + i * PIECE, model + i * PIECE, PIECE);
            }
        }
    }
    assert_int_equal(count, 10 * MANY);
    io_close_file(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IO_TEST(completions_run_only_from_poll_and_the_descriptor_tells_when),
        IO_TEST(every_kind_of_operation_does_what_it_says),
        IO_TEST(impossible_operations_complete_with_their_error),
        IO_TEST(read_past_the_end_is_an_error),
        IO_TEST(write_to_a_read_only_file_is_an_error),
        IO_TEST(hundreds_in_flight_complete_exactly_once),
        IO_TEST(done_may_submit_free_and_close),
        IO_TEST(done_may_wait_for_the_rest),
        IO_TEST(one_operation_too_many_is_told_to_try_later),
        IO_TEST(mixed_operations_agree_with_a_model),
    };

    return io_fixture_run(tests, sizeof tests / sizeof tests[0]);
}
