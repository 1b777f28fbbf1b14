/* A disk that only reads: what it gives is what is there, what it cannot give is told, and nothing
 * is changed by it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io_readonly.h"
#include "tests/support/engine_fixture.h"

#define PATH FIXTURE_DIR "/0000000000000001.seg"

struct readonly {
    struct fixture *f;
    struct io *disk;
    struct io *io;
    uint64_t unreadable;
    uint64_t first;
};

static void note(void *arg, const char *path, uint64_t offset, uint64_t size)
{
    struct readonly *r = arg;

    assert_string_equal(path, PATH);
    r->first = r->unreadable == 0 ? offset : r->first;
    r->unreadable += size;
}

/* A store with something in it, and nobody there. */
static void begin(struct readonly *r, struct fixture *f, bool lenient)
{
    *r = (struct readonly){.f = f};
    fixture_open(f);
    (void)fixture_append_strings(f, "a", "one", "two", NULL);
    fixture_stop(f);
    assert_int_equal(io_sim_open(&r->disk, f->disk), 0);
    assert_int_equal(io_readonly_open(&r->io, r->disk, lenient ? note : NULL, r, &f->err), 0);
}

static void end(struct readonly *r)
{
    io_close(r->io);
    io_close(r->disk);
}

/* Whatever could change a store is refused, with a sentence, and the store is as it was. */
static void nothing_can_be_changed(void **state)
{
    struct fixture *f = *state;
    struct iovec iov = {.iov_base = (void *)(uintptr_t) "x", .iov_len = 1};
    struct readonly r;
    struct io_file *file;
    uint64_t hash;

    begin(&r, f, false);
    hash = sim_disk_hash(f->disk);
    assert_int_equal(io_open(r.io, PATH, IO_OPEN_WRITE, &file, &f->err), 0);
    assert_int_equal(io_write(file, &iov, 1, 0, &f->err), TUSK_EDENIED);
    assert_int_equal(io_truncate(file, 0, &f->err), TUSK_EDENIED);
    assert_int_equal(io_sync(file, NULL, &f->err), TUSK_EDENIED);
    assert_int_equal(io_allocate(file, 0, 4096, &f->err), TUSK_EDENIED);
    assert_int_equal(io_punch(file, 0, 4096, &f->err), TUSK_EDENIED);
    io_close_file(file);
    assert_int_equal(io_open(r.io, "new", IO_OPEN_CREATE, &file, &f->err), TUSK_EDENIED);
    assert_int_equal(io_make_dir(r.io, "new", &f->err), TUSK_EDENIED);
    assert_int_equal(io_remove_dir(r.io, "ns", &f->err), TUSK_EDENIED);
    assert_int_equal(io_sync_dir(r.io, "ns", &f->err), TUSK_EDENIED);
    assert_int_equal(io_rename(r.io, "ns", "sn", &f->err), TUSK_EDENIED);
    assert_int_equal(io_unlink(r.io, PATH, &f->err), TUSK_EDENIED);
    assert_int_equal(io_lock(r.io, "LOCK", &f->err), TUSK_EDENIED);
    assert_non_null(strstr(f->err.text, "nothing is changed"));
    end(&r);
    assert_int_equal(sim_disk_hash(f->disk), hash);
}

/* A page that the device does not give is zeros and told, once; those around it come as they are.
 */
static void an_unreadable_page_is_zeros_and_told(void **state)
{
    struct fixture *f = *state;
    struct readonly r;
    struct io_file *file;
    uint64_t size;
    uint8_t *held;
    uint8_t *data;
    size_t got;

    begin(&r, f, true);
    held = sim_disk_file(f->disk, PATH, &size);
    assert_true(size >= 4 * 4096);
    sim_disk_set_unreadable(f->disk, PATH, 2 * 4096 + 100, 1);
    data = aligned_alloc(4096, 4 * 4096);
    assert_int_equal(io_open(r.io, PATH, IO_OPEN_READ, &file, &f->err), 0);
    assert_int_equal(io_read_direct(file, data, 4 * 4096, 0, &got, &f->err), 0);
    assert_int_equal(got, 4 * 4096);
    assert_int_equal(r.unreadable, 4096);
    assert_int_equal(r.first, 2 * 4096);
    memset(held + 2 * 4096, 0, 4096);
    assert_memory_equal(data, held, 4 * 4096);
    io_close_file(file);
    free(data);
    free(held);
    end(&r);
}

/* Without somebody to tell it is an error, as for recovery. */
static void an_unreadable_page_is_an_error_otherwise(void **state)
{
    struct fixture *f = *state;
    struct readonly r;
    struct io_file *file;
    uint8_t *data = aligned_alloc(4096, 4096);
    size_t got;

    begin(&r, f, false);
    sim_disk_set_unreadable(f->disk, PATH, 0, 1);
    assert_int_equal(io_open(r.io, PATH, IO_OPEN_READ, &file, &f->err), 0);
    assert_int_equal(io_read_direct(file, data, 4096, 0, &got, &f->err), TUSK_EIO);
    io_close_file(file);
    free(data);
    end(&r);
}

/* The end of a file is its end, also where what lies there cannot be read; and what is no error of the device is none to pass over. */
static void an_unreadable_end_is_still_the_end(void **state)
{
    struct fixture *f = *state;
    struct readonly r;
    struct io_file *file;
    uint8_t *data = aligned_alloc(4096, 4 * 4096);
    uint64_t size;
    size_t got;

    begin(&r, f, true);
    sim_disk_resize(f->disk, PATH, 8 * 4096 + 100);
    assert_int_equal(io_open(r.io, PATH, IO_OPEN_READ, &file, &f->err), 0);
    assert_int_equal(io_size(file, &size, &f->err), 0);
    assert_int_equal(size, 8 * 4096 + 100);
    sim_disk_fail(f->disk, SIM_BIT(SIM_READ_DIRECT), 1, false, EIO, SIM_FAIL);
    assert_int_equal(io_read_direct(file, data, 4 * 4096, 16 * 4096, &got, &f->err), 0);
    assert_int_equal(got, 0);
    sim_disk_clear_faults(f->disk);
    sim_disk_set_unreadable(f->disk, PATH, 8 * 4096, 1);
    assert_int_equal(io_read_direct(file, data, 4 * 4096, 7 * 4096, &got, &f->err), 0);
    assert_int_equal(got, 4096 + 100);
    assert_int_equal(r.unreadable, 100);
    sim_disk_fail(f->disk, SIM_BIT(SIM_READ_DIRECT), 2, false, ENOMEM, SIM_FAIL);
    assert_int_equal(io_read_direct(file, data, 4 * 4096, 7 * 4096, &got, &f->err), TUSK_ENOMEM);
    assert_int_equal(r.unreadable, 100);
    io_close_file(file);
    free(data);
    end(&r);
}

/* A lock that cannot be looked at is not taken for one that is free. */
static void a_lock_that_cannot_be_read_is_not_free(void **state)
{
    char dir[] = "/tmp/tusk-readonly-XXXXXX";
    char path[64];
    struct error err;
    int holder;
    int fd;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/LOCK", dir);
    assert_int_equal(symlink("elsewhere", path), 0);
    assert_true(io_readonly_lock(&fd, dir, &err) < 0);
    assert_int_equal(fd, -1);
    assert_non_null(strstr(err.text, "look at the lock"));
    assert_int_equal(unlink(path), 0);
    /* Held by somebody who has not said who it is. */
    holder = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(holder >= 0);
    assert_int_equal(flock(holder, LOCK_EX), 0);
    assert_int_equal(io_readonly_lock(&fd, dir, &err), TUSK_ELOCKED);
    assert_non_null(strstr(err.text, "in use by another process"));
    assert_int_equal(close(holder), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(io_readonly_lock(&fd, dir, &err), TUSK_ENOTFOUND);
    assert_int_equal(fd, -1);
}

/* The lock of a directory: shared with who else looks, refused by a daemon and refused to one,
 * never made. */
static void the_lock_is_looked_at_and_never_made(void **state)
{
    char dir[] = "/tmp/tusk-readonly-XXXXXX";
    char path[64];
    struct error err;
    struct stat st;
    struct io *io;
    int one;
    int two;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/LOCK", dir);
    assert_int_equal(io_readonly_lock(&one, dir, &err), 0);
    assert_int_equal(one, -1);
    assert_int_equal(stat(path, &st), -1);

    assert_int_equal(io_posix_open(&io, dir, 1, &err), 0);
    assert_int_equal(io_lock(io, "LOCK", &err), 0);
    assert_int_equal(io_readonly_lock(&one, dir, &err), TUSK_ELOCKED);
    assert_non_null(strstr(err.text, "in use by process"));
    io_close(io);

    assert_int_equal(io_readonly_lock(&one, dir, &err), 0);
    assert_int_equal(io_readonly_lock(&two, dir, &err), 0);
    assert_int_equal(io_posix_open(&io, dir, 1, &err), 0);
    assert_int_equal(io_lock(io, "LOCK", &err), TUSK_ELOCKED);
    assert_non_null(strstr(err.text, "tusk verify"));
    io_readonly_unlock(one);
    io_readonly_unlock(two);
    assert_int_equal(io_lock(io, "LOCK", &err), 0);
    io_close(io);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(nothing_can_be_changed),
        FIXTURE_TEST(an_unreadable_page_is_zeros_and_told),
        FIXTURE_TEST(an_unreadable_page_is_an_error_otherwise),
        FIXTURE_TEST(an_unreadable_end_is_still_the_end),
        cmocka_unit_test(a_lock_that_cannot_be_read_is_not_free),
        cmocka_unit_test(the_lock_is_looked_at_and_never_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
