/* What the world does to a disk: no room, a sandbox, a poor file system, a stranger's hand. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/io_files.h"
#include "core/io_guard.h"
#include "io_fixture.h"

#define KIB 1024u
#define MANY 700u /* More than a ring has slots */
#define UNGUARDED_STATUS 42

/* The guard's handler. The test library puts its own in place of it around each test. */
static struct sigaction guard_action;

static void use_guard(void)
{
    assert_int_equal(sigaction(SIGBUS, &guard_action, NULL), 0);
}

static void limit_file_size(rlim_t size)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Where there is no more room the write fails as such (after the short write that fills it), and
 * works again when there is. */
static void write_into_no_room_is_a_clean_error(void **state)
{
    static uint8_t data[64 * KIB];
    static uint8_t back[sizeof data];
    struct iovec iov[] = {{data, 10 * KIB}, {data + 10 * KIB, 54 * KIB}};
    struct io_op op = {.kind = IO_OP_WRITE, .data = data, .size = sizeof data};
    struct io_fixture *f = *state;
    struct io_file *file = io_fixture_open(f, "file", IO_OPEN_CREATE);

    io_fixture_fill(data, sizeof data);
    op.file = file;
    limit_file_size(20 * KIB);
    const int rc = io_write(file, iov, 2, 0, &f->err);
    const int submitted = io_fixture_run_op(f, &op);
    limit_file_size(RLIM_INFINITY);
    assert_int_equal(rc, TUSK_ENOSPACE);
    assert_non_null(strstr(f->err.text, "write file at 0"));
    assert_int_equal(submitted, TUSK_ENOSPACE);
    assert_int_equal(op.os_error, EFBIG);
    assert_int_equal(io_fixture_read(f, file, back, sizeof back, 0), 20 * KIB);
    assert_memory_equal(back, data, 20 * KIB);
    assert_int_equal(io_write(file, iov, 2, 0, &f->err), 0);
    io_close_file(file);
}

/* The kernel cuts a write at 2 GiB less a page: the rest follows, from the middle of a piece. */
static void write_of_more_than_the_kernel_takes_at_once_is_continued(void **state)
{
    static uint8_t piece[3 * 1024 * KIB + 7];
    static struct iovec iov[700]; /* Few enough for one call, so that only the size cuts it */
    const uint64_t cut = 0x7ffff000;
    const size_t count = sizeof iov / sizeof iov[0];
    struct io_fixture *f = *state;
    struct io_file *file = io_fixture_open(f, "file", IO_OPEN_CREATE);
    uint8_t back[8 * KIB];
    uint64_t size = 0;

    if (strcmp(f->io->ops->name, "posix") != 0) {
        io_close_file(file);
        skip(); /* The others write with the same code, and 2 GiB take a second */
    }
    io_fixture_fill(piece, sizeof piece);
    for (size_t i = 0; i < count; i++) {
        iov[i] = (struct iovec){.iov_base = piece, .iov_len = sizeof piece};
    }
    assert_int_equal(io_write(file, iov, (int)count, 0, &f->err), 0);
    assert_int_equal(io_size(file, &size, &f->err), 0);
    assert_int_equal(size, count * sizeof piece);
    for (uint64_t at = cut - sizeof back / 2; at < size; at += 5 * sizeof piece) {
        assert_int_equal(io_fixture_read(f, file, back, sizeof back, at), sizeof back);
        for (size_t i = 0; i < sizeof back; i++) {
            assert_int_equal(back[i], piece[(at + i) % sizeof piece]);
        }
    }
    io_close_file(file);
}

static void use_poor_file_system(struct io_fixture *f)
{
    struct io_file *file = io_fixture_create(f, "file", (const uint8_t *)"kept", 4);
    uint64_t size = 0;
    uint8_t back[4];
    size_t got = 0;

    io_fixture_forbid(SYS_fallocate, EOPNOTSUPP);
    io_fixture_forbid(SYS_preadv2, EOPNOTSUPP);
    assert_int_equal(io_allocate(file, 1000, 1000, &f->err), 0);
    assert_int_equal(io_allocate(file, 0, 10, &f->err), 0);
    assert_int_equal(io_size(file, &size, &f->err), 0);
    assert_int_equal(size, 2000);
    assert_int_equal(io_punch(file, 0, 1000, &f->err), 0);
    assert_int_equal(io_read_cached(file, back, sizeof back, 0, &got), 0);
    assert_int_equal(got, sizeof back);
    assert_memory_equal(back, "kept", sizeof back);
}

/* On a file system that cannot allocate, punch, or say what is in memory, files still work; only
 * space is neither reserved nor given back. */
static void poor_file_system_still_works(void **state)
{
    assert_int_equal(io_fixture_in_child(use_poor_file_system, *state), 0);
}

static void fail_syncs(struct io_fixture *f)
{
    struct io_op op = {.kind = IO_OP_SYNC};
    struct io *io = f->io;

    (void)alarm(30); /* For an implementation that tries for ever */
    io_fixture_forbid(SYS_fdatasync, EINTR);
    assert_int_equal(io_posix_open(&f->io, f->dir, 1, &f->err), 0);
    op.file = io_fixture_open(f, "file", IO_OPEN_WRITE);
    assert_int_equal(io_fixture_run_op(f, &op), TUSK_EIO);
    assert_int_equal(op.os_error, EINTR);
    op.kind = IO_OP_ALLOCATE;
    op.size = 4096;
    assert_int_equal(io_fixture_run_op(f, &op), TUSK_EIO);
    assert_int_equal(io_sync(op.file, NULL, &f->err), TUSK_EIO);
    assert_non_null(strstr(f->err.text, "sync file"));
    /* It does not sync: whoever takes space in many places syncs once. */
    assert_int_equal(io_allocate(op.file, 0, 8192, &f->err), 0);
    io_close_file(op.file);
    io_close(f->io);
    f->io = io;
}

/* A sync that failed is never tried again, whatever the reason: a second would succeed and lie. */
static void failed_sync_is_final(void **state)
{
    struct io_fixture *f = *state;

    io_close_file(io_fixture_open(f, "file", IO_OPEN_CREATE));
    assert_int_equal(io_fixture_in_child(fail_syncs, f), 0);
}

/* Which of the file's first pages are in memory. */
static bool any_resident(const char *path)
{
    const int fd = open(path, O_RDONLY);
    void *map = mmap(NULL, 16 * KIB, PROT_READ, MAP_SHARED, fd, 0);
    unsigned char resident[4];

    assert_true(map != MAP_FAILED);
    assert_int_equal(mincore(map, 16 * KIB, resident), 0);
    assert_int_equal(munmap(map, 16 * KIB), 0);
    assert_int_equal(close(fd), 0);
    return ((resident[0] | resident[1] | resident[2] | resident[3]) & 1) != 0;
}

/* What recovery judges comes from the device: after a failed sync the page cache says that bytes are there which are not. So
 * a direct read neither asks the cache nor fills it. */
static void direct_read_does_not_go_through_the_page_cache(void **state)
{
    static uint8_t data[16 * KIB];
    struct io_fixture *f = *state;
    struct io_file *file;
    uint8_t *back = aligned_alloc(IO_DIRECT_ALIGN, sizeof data);
    unsigned tries = 0;
    size_t got;

    assert_non_null(back);
    io_fixture_fill(data, sizeof data);
    file = io_fixture_create(f, "file", data, sizeof data);
    assert_int_equal(io_sync(file, NULL, &f->err), 0);
    while (any_resident(io_fixture_path(f, "file")) && ++tries < 5000) {
        assert_int_equal(io_call_drop_cache(disk_file_of(file)->fd, 0, 0), 0);
    }
    assert_int_equal(io_read_direct(file, back, sizeof data, 0, &got, &f->err), 0);
    assert_memory_equal(back, data, sizeof data);
    if (tries < 5000 && disk_file_of(file)->direct == DISK_DIRECT_OPEN) {
        assert_false(any_resident(io_fixture_path(f, "file")));
    } else {
        assert_int_not_equal(disk_file_of(file)->direct, DISK_DIRECT_UNTRIED);
    }
    io_close_file(file);
    free(back);
}

static void shorten_and_grow_for_ever(const char *path, off_t size)
{
    for (;;) {
        if (truncate(path, 0) != 0 || truncate(path, size) != 0) {
            _exit(1);
        }
    }
}

/* Somebody else cuts the file while it is read. Reads may come short or fail; a map must not kill
 * the process for it. */
static void reader_survives_truncation_by_somebody_else(void **state)
{
    static uint8_t back[1024 * KIB];
    struct io_fixture *f = *state;
    struct io_file *file = io_fixture_create(f, "file", back, sizeof back);
    struct io_op op = {.kind = IO_OP_READ, .file = file, .data = back, .size = sizeof back};
    const char *path = io_fixture_path(f, "file");
    const pid_t pid = fork();
    size_t got;
    int rc;

    use_guard();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* Whatever becomes of the test */
        shorten_and_grow_for_ever(path, sizeof back);
    }
    for (unsigned i = 0; i < 300; i++) {
        rc = io_fixture_run_op(f, &op);
        assert_true(rc == 0 || rc == TUSK_EIO);
        rc = io_read_cached(file, back, sizeof back, 0, &got);
        assert_true(rc == 0 || rc == TUSK_EIO || rc == TUSK_EBUSY);
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    io_close_file(file);
}

/* A map of a whole page behind the end of a file: every load from it faults. */
static uint8_t *map_behind_the_end(struct io_fixture *f)
{
    struct io_file *file = io_fixture_create(f, "short", (const uint8_t *)"x", 1);
    const int fd = open(io_fixture_path(f, "short"), O_RDONLY);
    uint8_t *map = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);

    assert_true(map != MAP_FAILED);
    assert_int_equal(close(fd), 0);
    io_close_file(file);
    return map;
}

/* A load that faults is a failed copy, again and again; the bytes before the end still copy. */
static void guarded_copy_turns_a_fault_into_a_failure(void **state)
{
    uint8_t *map = map_behind_the_end(*state);
    uint8_t to[8192];

    use_guard();
    for (unsigned i = 0; i < 3; i++) {
        assert_false(io_guard_copy(to, map, sizeof to));
        assert_false(io_guard_copy(to, map + 4096, 1));
        assert_true(io_guard_copy(to, map, 4096));
        assert_int_equal(to[0], 'x');
    }
    assert_int_equal(munmap(map, 8192), 0);
}

static void load_behind_the_end(struct io_fixture *f)
{
    const volatile uint8_t *map = map_behind_the_end(f);

    use_guard();
    (void)map[4096];
}

static void store_behind_the_end(struct io_fixture *f)
{
    struct io_file *file = io_fixture_create(f, "short", (const uint8_t *)"x", 1);
    const int fd = open(io_fixture_path(f, "short"), O_RDONLY);
    uint8_t *to = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    static const uint8_t from[16] = "bytes"; /* Of lower address than the map */

    assert_true(to != MAP_FAILED);
    use_guard();
    (void)io_guard_copy(to + 4096, from, sizeof from);
    io_close_file(file);
}

/* A bus error that is not a guarded load is none of ours: the handler before gets it. */
static void other_bus_errors_go_to_the_handler_before(void **state)
{
    assert_int_equal(io_fixture_in_child(load_behind_the_end, *state), UNGUARDED_STATUS);
}

/* Also while a guarded copy is under way: what it cannot store is not what it cannot load. */
static void faulting_store_goes_to_the_handler_before(void **state)
{
    assert_int_equal(io_fixture_in_child(store_behind_the_end, *state), UNGUARDED_STATUS);
}

static void on_unguarded(int number)
{
    (void)number;
    _exit(UNGUARDED_STATUS);
}

static void open_uring_in_a_sandbox(struct io_fixture *f)
{
    struct io *io = NULL;

    io_fixture_forbid(SYS_io_uring_setup, EPERM);
    assert_int_equal(io_uring_open(&io, f->dir, &f->err), TUSK_EUNSUPPORTED);
    assert_int_equal(f->err.code, TUSK_EUNSUPPORTED);
    assert_non_null(strstr(f->err.text, "io_uring"));
    assert_null(io);
}

/* Where a sandbox forbids rings the caller is told so, in a code and a sentence. */
static void forbidden_ring_is_unsupported_not_an_error(void **state)
{
    assert_int_equal(io_fixture_in_child(open_uring_in_a_sandbox, *state), 0);
}

static void count_done(struct io_op *op)
{
    unsigned *count = op->arg;

    (*count)++;
}

static void lose_the_ring(struct io_fixture *f)
{
    static struct io_op ops[MANY];
    struct io *io = f->io;
    struct io_file *file;
    unsigned count = 0;

    if (io_uring_open(&f->io, f->dir, &f->err) == TUSK_EUNSUPPORTED) {
        _exit(0); /* No ring to lose; the fixture has said so */
    }
    file = io_fixture_open(f, "file", IO_OPEN_CREATE);
    io_fixture_forbid(SYS_io_uring_enter, EAGAIN);
    for (unsigned i = 0; i < MANY; i++) {
        ops[i] =
            (struct io_op){.kind = IO_OP_SYNC, .file = file, .done = count_done, .arg = &count};
        io_submit(f->io, &ops[i]);
    }
    assert_int_equal(count, 0);
    assert_int_equal(io_wait(f->io), MANY);
    assert_int_equal(count, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(ops[i].result, TUSK_EIO);
        assert_int_equal(ops[i].os_error, EAGAIN);
    }
    io_close_file(file);
    io_close(f->io);
    f->io = io;
}

/* A kernel that takes no requests any more is an error of every operation, never a hang. */
static void ring_that_takes_nothing_fails_its_operations(void **state)
{
    assert_int_equal(io_fixture_in_child(lose_the_ring, *state), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IO_TEST(write_into_no_room_is_a_clean_error),
        IO_TEST(write_of_more_than_the_kernel_takes_at_once_is_continued),
        IO_TEST(poor_file_system_still_works),
        IO_TEST(failed_sync_is_final),
        IO_TEST(direct_read_does_not_go_through_the_page_cache),
        IO_TEST(reader_survives_truncation_by_somebody_else),
        IO_TEST(guarded_copy_turns_a_fault_into_a_failure),
        IO_TEST(other_bus_errors_go_to_the_handler_before),
        IO_TEST(faulting_store_goes_to_the_handler_before),
        IO_TEST(forbidden_ring_is_unsupported_not_an_error),
        IO_TEST(ring_that_takes_nothing_fails_its_operations),
    };

    (void)signal(SIGXFSZ, SIG_IGN); /* As the daemon does: a limit is an error, not a death */
    (void)signal(SIGBUS, on_unguarded);
    io_guard_install();
    (void)sigaction(SIGBUS, NULL, &guard_action);
    return io_fixture_run(tests, sizeof tests / sizeof tests[0]);
}
