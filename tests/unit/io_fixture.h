/* A data directory of its own and one implementation of struct io on it, for tests that hold for
 * every real disk. io_fixture_run() runs a table of tests once for each implementation. */
#ifndef TESTS_UNIT_IO_FIXTURE_H
#define TESTS_UNIT_IO_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "core/error.h"
#include "core/io.h"

struct io_fixture;

/* What a test does in a process of its own; f->io there is another one on the same directory. */
typedef void io_fixture_child_fn(struct io_fixture *f);

struct io_fixture {
    char dir[64];
    struct io *io;
    struct error err;
    int child;     /* Process id. Forked before there are threads, it waits for what to do */
    int orders[2]; /* The pipe that tells it */
};

/* For cmocka_unit_test_setup_teardown(). */
int io_fixture_setup(void **state);
int io_fixture_teardown(void **state);
#define IO_TEST(test) cmocka_unit_test_setup_teardown(test, io_fixture_setup, io_fixture_teardown)

/* Run the tests with posix, mmap and uring; returns how many failed. Prints the seed. */
int io_fixture_run(const struct CMUnitTest *tests, size_t count);

/* The next of a repeatable row of random numbers; TUSK_TEST_SEED repeats a run. */
uint64_t io_fixture_random(void);

/* "<data directory>/<path>", valid until the next call. */
const char *io_fixture_path(const struct io_fixture *f, const char *path);
struct io_file *io_fixture_open(struct io_fixture *f, const char *path, enum io_open_mode mode);
/* A new file that holds size bytes of data. */
struct io_file *io_fixture_create(struct io_fixture *f, const char *path, const uint8_t *data,
                                  size_t size);
void io_fixture_fill(uint8_t *data, size_t size);
/* Run op to its end; returns its result. */
int io_fixture_run_op(struct io_fixture *f, struct io_op *op);
/* Read cached where possible, else by an operation, to size bytes or the end; returns how many. */
size_t io_fixture_read(struct io_fixture *f, struct io_file *file, uint8_t *data, size_t size,
                       uint64_t offset);

/* In this process the system call `number` fails with os_error from now on, as in a sandbox. */
void io_fixture_forbid(long number, int os_error);
/* Run body in the child process; returns its exit status, or -signal. Once a test. */
int io_fixture_in_child(io_fixture_child_fn *body, struct io_fixture *f);

#endif
