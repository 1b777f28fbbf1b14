/* A descriptor of a file for another process: it is of the same file, and it only reads, on every
 * real disk. */
#include "io_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/sim/io_sim.h"

#define FILE_SIZE 20000u

static void write_at(struct io_fixture *f, struct io_file *file, const char *text, uint64_t offset)
{
    const struct iovec iov = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};

    assert_int_equal(io_write(file, &iov, 1, offset, &f->err), 0);
}

static struct io_file *create(struct io_fixture *f)
{
    static uint8_t data[FILE_SIZE];

    io_fixture_fill(data, sizeof data);
    return io_fixture_create(f, "file", data, sizeof data);
}

/* What is written to the file is what the descriptor reads, before it was made and after, the first
 * time and again; it stays when the file is closed. */
static void it_is_of_the_same_file(void **state)
{
    struct io_fixture *f = *state;
    struct io_file *file = create(f);
    char text[8];
    int fds[3];
    unsigned i;

    write_at(f, file, "before", 5);
    for (i = 0; i < 3; i++) {
        assert_int_equal(io_share(file, &fds[i]), 0);
        assert_true(fds[i] >= 0);
        assert_int_equal(pread(fds[i], text, 6, 5), 6);
        assert_memory_equal(text, i == 0 ? "before" : "after!", 6);
        write_at(f, file, "after!", 5);
        assert_int_equal(pread(fds[i], text, 6, 5), 6);
        assert_memory_equal(text, "after!", 6);
    }
    assert_int_not_equal(fds[0], fds[1]);
    io_close_file(file);
    for (i = 0; i < 3; i++) {
        assert_int_equal(pread(fds[i], text, 6, 5), 6);
        assert_memory_equal(text, "after!", 6);
        assert_int_equal(close(fds[i]), 0);
    }
}

/* Whoever has the descriptor can read and map the file, and change nothing: not by a write, a
 * writable map, another size or a hole. */
static void nothing_can_be_written_through_it(void **state)
{
    struct io_fixture *f = *state;
    struct io_file *file = create(f);
    void *map;
    int fd;

    assert_int_equal(io_share(file, &fd), 0);
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(pwrite(fd, "x", 1, 0), -1);
    assert_int_equal(errno, EBADF);
    assert_ptr_equal(mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    assert_int_equal(errno, EACCES);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
    map = mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(map != MAP_FAILED);
    assert_int_equal(mprotect(map, FILE_SIZE, PROT_READ | PROT_WRITE), -1);
    assert_int_equal(munmap(map, FILE_SIZE), 0);
    assert_int_equal(close(fd), 0);
    io_close_file(file);
}

/* The name is not what counts: of a file that was renamed, whose name another one has by now, or
 * that has none any more, the descriptor is still of that file. */
static void it_is_of_the_same_file_under_another_name(void **state)
{
    struct io_fixture *f = *state;
    struct io_file *file = create(f);
    struct io_file *other;
    struct stat was;
    struct stat is;
    unsigned i;
    int fd;

    assert_int_equal(stat(io_fixture_path(f, "file"), &was), 0);
    assert_int_equal(io_rename(f->io, "file", "elsewhere", &f->err), 0);
    for (i = 0; i < 3; i++) {
        assert_int_equal(io_share(file, &fd), 0);
        assert_int_equal(fstat(fd, &is), 0);
        assert_int_equal(is.st_ino, was.st_ino);
        assert_int_equal(is.st_dev, was.st_dev);
        assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
        assert_int_equal(pwrite(fd, "x", 1, 0), -1);
        assert_int_equal(close(fd), 0);
        if (i == 0) {
            other = io_fixture_create(f, "file", (const uint8_t *)"other", 5);
            io_close_file(other);
        } else if (i == 1) {
            assert_int_equal(io_unlink(f->io, "elsewhere", &f->err), 0);
        }
    }
    io_close_file(file);
}

/* Without descriptors there is none, which is told, and nothing is broken. */
static void without_descriptors_there_is_none(void **state)
{
    struct io_fixture *f = *state;
    struct io_file *file = create(f);
    struct rlimit before;
    struct rlimit none;
    int fd;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(io_share(file, &fd), TUSK_EIO);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(io_share(file, &fd), 0);
    assert_int_equal(close(fd), 0);
    io_close_file(file);
}

/* The simulated disk has no files that another process could open, and says so. */
static void the_simulated_disk_shares_nothing(void **state)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct io_file *file;
    struct error err;
    struct io *io;
    int fd = -7;

    (void)state;
    assert_int_equal(io_sim_open(&io, disk), 0);
    assert_int_equal(io_open(io, "file", IO_OPEN_CREATE, &file, &err), 0);
    assert_int_equal(io_share(file, &fd), TUSK_EUNSUPPORTED);
    io_close_file(file);
    io_close(io);
    sim_disk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IO_TEST(it_is_of_the_same_file),
        IO_TEST(nothing_can_be_written_through_it),
        IO_TEST(it_is_of_the_same_file_under_another_name),
        IO_TEST(without_descriptors_there_is_none),
        cmocka_unit_test(the_simulated_disk_shares_nothing),
    };

    return io_fixture_run(tests, sizeof tests / sizeof tests[0]);
}
