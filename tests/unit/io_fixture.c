/* See io_fixture.h. */
#include "io_fixture.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef int open_fn(struct io **out, const char *dir, struct error *err);

struct implementation {
    const char *name;
    open_fn *open;
};

static uint64_t random_state;

static int open_posix(struct io **out, const char *dir, struct error *err)
{
    return io_posix_open(out, dir, 4, err);
}

static int open_mmap(struct io **out, const char *dir, struct error *err)
{
    return io_mmap_open(out, dir, 4, err);
}

static const struct implementation implementations[] = {
    {"posix", open_posix},
    {"mmap", open_mmap},
    {"uring", io_uring_open},
};

static const struct implementation *current;

/* A build that counts coverage has it, and a process that leaves by _exit() has to ask for it. */
extern void __gcov_dump(void) __attribute__((weak));

/* The child's life: read what to do, do it, exit. The pipe's end is the end of the test. */
static void child_main(struct io_fixture *f)
{
    io_fixture_child_fn *body;

    /* A failed assertion ends the child, instead of going on with the tests in it. */
    assert_int_equal(setenv("CMOCKA_TEST_ABORT", "1", 1), 0);
    assert_int_equal(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
    assert_int_equal(close(f->orders[1]), 0);
    if (read(f->orders[0], &body, sizeof body) == (ssize_t)sizeof body) {
        assert_int_equal(current->open(&f->io, f->dir, &f->err), 0);
        body(f);
        io_close(f->io);
    }
    if (__gcov_dump != NULL) {
        __gcov_dump();
    }
    _exit(0);
}

int io_fixture_setup(void **state)
{
    struct io_fixture *f = calloc(1, sizeof *f);
    const char *base = getenv("TMPDIR");

    assert_non_null(f);
    (void)snprintf(f->dir, sizeof f->dir, "%.40s/tusk-io-XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(pipe(f->orders), 0);
    f->child = fork();
    assert_true(f->child >= 0);
    if (f->child == 0) {
        child_main(f);
    }
    if (current->open(&f->io, f->dir, &f->err) != 0) {
        fail_msg("%s", f->err.text);
    }
    assert_string_equal(f->io->ops->name, current->name);
    *state = f;
    return 0;
}

/* Let the child run body, or with NULL go; returns as io_fixture_in_child(). */
static int end_child(struct io_fixture *f, io_fixture_child_fn *body)
{
    int status;

    assert_int_equal(close(f->orders[0]), 0);
    if (body != NULL) {
        assert_int_equal(write(f->orders[1], &body, sizeof body), sizeof body);
    }
    assert_int_equal(close(f->orders[1]), 0);
    assert_int_equal(waitpid(f->child, &status, 0), f->child);
    f->child = 0;
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int io_fixture_in_child(io_fixture_child_fn *body, struct io_fixture *f)
{
    assert_true(f->child > 0);
    return end_child(f, body);
}

int io_fixture_teardown(void **state)
{
    struct io_fixture *f = *state;
    char command[128];

    if (f->child > 0) {
        assert_int_equal(end_child(f, NULL), 0);
    }
    io_close(f->io);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static int run_one(const struct implementation *implementation, const struct CMUnitTest *tests,
                   size_t count)
{
    struct error err;
    struct io *io;

    current = implementation;
    if (implementation->open(&io, ".", &err) == TUSK_EUNSUPPORTED) {
        (void)fprintf(stderr, "[  SKIPPED ] %s, all tests: %s\n", implementation->name, err.text);
        return 0;
    }
    io_close(io);
    return _cmocka_run_group_tests(implementation->name, tests, count, NULL, NULL);
}

int io_fixture_run(const struct CMUnitTest *tests, size_t count)
{
    const char *given = getenv("TUSK_TEST_SEED");
    const uint64_t seed = given != NULL ? strtoull(given, NULL, 0)
                                        : (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();
    int failed = 0;

    (void)fprintf(stderr, "TUSK_TEST_SEED=%llu\n", (unsigned long long)seed);
    for (size_t i = 0; i < sizeof implementations / sizeof implementations[0]; i++) {
        random_state = seed;
        failed += run_one(&implementations[i], tests, count);
    }
    return failed;
}

uint64_t io_fixture_random(void)
{
    uint64_t value = (random_state += 0x9e3779b97f4a7c15u);

    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

const char *io_fixture_path(const struct io_fixture *f, const char *path)
{
    static char text[sizeof f->dir + IO_PATH_SIZE];

    (void)snprintf(text, sizeof text, "%s/%s", f->dir, path);
    return text;
}

struct io_file *io_fixture_open(struct io_fixture *f, const char *path, enum io_open_mode mode)
{
    struct io_file *file = NULL;

    if (io_open(f->io, path, mode, &file, &f->err) != 0) {
        fail_msg("%s", f->err.text);
    }
    return file;
}

struct io_file *io_fixture_create(struct io_fixture *f, const char *path, const uint8_t *data,
                                  size_t size)
{
    struct io_file *file = io_fixture_open(f, path, IO_OPEN_CREATE);
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};

    if (io_write(file, &iov, 1, 0, &f->err) != 0) {
        fail_msg("%s", f->err.text);
    }
    return file;
}

void io_fixture_fill(uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        data[i] = (uint8_t)io_fixture_random();
    }
}

static void note_done(struct io_op *op)
{
    bool *done = op->arg;

    assert_false(*done);
    *done = true;
}

int io_fixture_run_op(struct io_fixture *f, struct io_op *op)
{
    bool done = false;

    op->done = note_done;
    /* cppcheck-suppress autoVariables ; the operation is done before this returns */
    op->arg = &done;
    io_submit(f->io, op);
    assert_false(done);
    assert_true(io_wait(f->io) >= 1);
    assert_true(done);
    return op->result;
}

size_t io_fixture_read(struct io_fixture *f, struct io_file *file, uint8_t *data, size_t size,
                       uint64_t offset)
{
    struct io_op op = {.kind = IO_OP_READ, .file = file, .size = 1};
    size_t total = 0;

    while (total < size) {
        size_t got = 0;
        const int rc = io_read_cached(file, data + total, size - total, offset + total, &got);

        if (rc == TUSK_EBUSY) {
            op.data = data + total;
            op.offset = offset + total;
            assert_int_equal(io_fixture_run_op(f, &op), 0);
            got = 1;
        } else {
            assert_int_equal(rc, 0);
        }
        if (got == 0) {
            break;
        }
        total += got;
    }
    return total;
}

void io_fixture_forbid(long number, int os_error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)os_error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = 4, .filter = filter};

    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}
