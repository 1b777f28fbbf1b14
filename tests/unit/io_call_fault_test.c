/* Every system call of the real disks fails, one at a time, in every way that matters: who asked learns of it with a sentence, whatever
 * could be gone round is gone round, what was interrupted goes on, and no descriptor is left open. The system calls are
 * this file's own, in front of the kernel's. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>
#include <liburing.h>

#include "core/error.h"
#include "core/io.h"

/* ---- system calls ---- */

static struct {
    atomic_bool armed;
    atomic_uint calls; /* Since it was armed */
    unsigned nth;      /* This one fails */
    unsigned count;    /* So many times in a row */
    int os_error;
    _Atomic(const char *) failed; /* The one that did; NULL: none yet */
    const char *always;           /* Fails each time, with always_error */
    int always_error;
    bool unknown_types; /* readdir() does not tell them */
    bool old_ring;      /* The kernel knows of no operation on rings */
} kernel;

static bool fails(const char *call)
{
    if (!kernel.armed) {
        return false;
    }
    if (kernel.always != NULL && strcmp(kernel.always, call) == 0) {
        errno = kernel.always_error;
        return true;
    }
    const unsigned at = ++kernel.calls;

    if (at < kernel.nth || at >= kernel.nth + kernel.count) {
        return false;
    }
    kernel.failed = call;
    errno = kernel.os_error;
    return true;
}

#define WRAP(type, name, parameters, arguments, failure)                                           \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return fails(#name) ? (failure) : __real_##name arguments;                                 \
    }

WRAP(int, fstat, (int fd, struct stat *st), (fd, st), -1)
WRAP(int, fstatat, (int fd, const char *path, struct stat *st, int flags), (fd, path, st, flags),
     -1)
WRAP(int, ftruncate, (int fd, off_t size), (fd, size), -1)
WRAP(int, fallocate, (int fd, int mode, off_t offset, off_t size), (fd, mode, offset, size), -1)
WRAP(ssize_t, pread, (int fd, void *data, size_t size, off_t offset), (fd, data, size, offset), -1)
WRAP(ssize_t, preadv2, (int fd, const struct iovec *iov, int count, off_t offset, int flags),
     (fd, iov, count, offset, flags), -1)
WRAP(ssize_t, pwritev, (int fd, const struct iovec *iov, int count, off_t offset),
     (fd, iov, count, offset), -1)
WRAP(int, sync_file_range, (int fd, off_t offset, off_t size, unsigned flags),
     (fd, offset, size, flags), -1)
WRAP(int, mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode), -1)
WRAP(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags), -1)
WRAP(int, renameat, (int fd, const char *path, int to, const char *path_to),
     (fd, path, to, path_to), -1)
WRAP(void *, calloc, (size_t count, size_t size), (count, size), NULL)
WRAP(void *, malloc, (size_t size), (size), NULL)
WRAP(DIR *, fdopendir, (int fd), (fd), NULL)
WRAP(int, flock, (int fd, int operation), (fd, operation), -1)
WRAP(void *, mmap, (void *at, size_t size, int prot, int flags, int fd, off_t offset),
     (at, size, prot, flags, fd, offset), MAP_FAILED)
WRAP(int, mincore, (void *at, size_t size, unsigned char *pages), (at, size, pages), -1)
WRAP(int, eventfd, (unsigned value, int flags), (value, flags), -1)
WRAP(int, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg),
     (thread, attr, start, arg), kernel.os_error)
WRAP(int, io_uring_queue_init_params,
     (unsigned entries, struct io_uring *ring, struct io_uring_params *params),
     (entries, ring, params), -errno)
struct io_uring_probe *__real_io_uring_get_probe_ring(struct io_uring *ring);
struct io_uring_probe *__wrap_io_uring_get_probe_ring(struct io_uring *ring);
struct io_uring_probe *__wrap_io_uring_get_probe_ring(struct io_uring *ring)
{
    struct io_uring_probe *probe =
        fails("io_uring_get_probe_ring") ? NULL : __real_io_uring_get_probe_ring(ring);

    if (probe != NULL && kernel.old_ring) {
        memset(probe->ops, 0, probe->ops_len * sizeof probe->ops[0]);
    }
    return probe;
}
WRAP(int, io_uring_submit, (struct io_uring * ring), (ring), -errno)

/* Nobody cuts the power here. */
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd)
{
    (void)fd;
    return fails("fsync") ? -1 : 0;
}

int __wrap_fdatasync(int fd)
{
    (void)fd;
    return fails("fdatasync") ? -1 : 0;
}

/* It can only be interrupted: whatever else it says is a bug of ours. */
int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    return kernel.os_error == EINTR && fails("poll") ? -1 : __real_poll(fds, count, timeout);
}

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
struct dirent *__real_readdir(DIR *dir);
struct dirent *__wrap_readdir(DIR *dir);

int __wrap_openat(int dir, const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = va_arg(args, mode_t);
    va_end(args);
    return fails("openat") ? -1 : __real_openat(dir, path, flags, mode);
}

int __wrap_open(const char *path, int flags, ...)
{
    return fails("open") ? -1 : __real_open(path, flags);
}

/* openat2 is the only one that goes this way. */
long __wrap_syscall(long number, ...)
{
    va_list args;
    long parts[4];

    va_start(args, number);
    for (unsigned i = 0; i < 4; i++) {
        parts[i] = va_arg(args, long);
    }
    va_end(args);
    if (number == SYS_openat2 && fails("openat2")) {
        return -1;
    }
    return __real_syscall(number, parts[0], parts[1], parts[2], parts[3]);
}

int __wrap_fcntl(int fd, int command, ...)
{
    va_list args;
    long argument;

    va_start(args, command);
    argument = va_arg(args, long);
    va_end(args);
    return fails("fcntl") ? -1 : __real_fcntl(fd, command, argument);
}

struct dirent *__wrap_readdir(DIR *dir)
{
    struct dirent *entry = fails("readdir") ? NULL : __real_readdir(dir);

    if (entry != NULL && kernel.unknown_types) {
        entry->d_type = DT_UNKNOWN;
    }
    return entry;
}

static void disarm(void)
{
    kernel.armed = false;
    kernel.nth = 0;
    kernel.always = NULL;
    kernel.unknown_types = false;
}

/* ---- what is done ---- */

struct life {
    char dir[64];
    unsigned failures; /* Operations that said no */
    unsigned files;    /* Listed, by kind */
    unsigned directories;
    unsigned others;
    bool opened;
};

enum implementation { POSIX, MMAP, URING, IMPLEMENTATIONS };

static int open_io(enum implementation which, struct io **io, const char *dir, struct error *err)
{
    return which == POSIX  ? io_posix_open(io, dir, 2, err)
           : which == MMAP ? io_mmap_open(io, dir, 2, err)
                           : io_uring_open(io, dir, err);
}

/* Whatever it was, it is said. */
static int check(struct life *life, int rc, const struct error *err)
{
    assert_true(rc <= 0);
    if (rc < 0) {
        life->failures++;
        if (err != NULL) {
            assert_int_equal(err->code, rc);
            assert_true(strlen(err->text) > 0);
        }
    }
    return rc;
}

static int note_name(void *arg, const char *name, enum io_kind kind)
{
    struct life *life = arg;

    assert_true(strlen(name) > 0);
    life->files += kind == IO_KIND_FILE ? 1 : 0;
    life->directories += kind == IO_KIND_DIRECTORY ? 1 : 0;
    life->others += kind == IO_KIND_OTHER ? 1 : 0;
    return 0;
}

static void op_done(struct io_op *op)
{
    *(bool *)op->arg = true;
}

static int run_op(struct life *life, struct io *io, struct io_op *op)
{
    bool done = false;

    op->done = op_done;
    /* cppcheck-suppress autoVariables ; the operation is done before this returns */
    op->arg = &done;
    io_submit(io, op);
    while (!done) {
        (void)io_wait(io);
    }
    if (op->result != 0) {
        assert_true(op->result < 0);
        life->failures++;
    }
    return op->result;
}

static void use_file(struct life *life, struct io *io, struct io_file *file)
{
    static _Alignas(IO_DIRECT_ALIGN) uint8_t data[2 * IO_DIRECT_ALIGN];
    struct iovec iov[2] = {{data, 1000}, {data + 1000, 5000}};
    struct error err;
    uint64_t size = 0;
    size_t got = 0;
    struct io_op ops[] = {
        {.kind = IO_OP_WRITE, .data = data, .size = 5000, .offset = 4096},
        {.kind = IO_OP_READ, .data = data, .size = 5000, .offset = 100},
        {.kind = IO_OP_READ, .data = data, .size = 5000, .offset = 1u << 20},
        {.kind = IO_OP_SYNC},
        {.kind = IO_OP_ALLOCATE, .size = 65536},
        {.kind = IO_OP_PUNCH, .offset = 8192, .size = 4096},
        {.kind = IO_OP_WRITEBACK, .size = 4096},
    };
    unsigned i;

    memset(data, 'x', sizeof data);
    (void)check(life, io_write(file, iov, 2, 0, &err), &err);
    if (check(life, io_size(file, &size, &err), &err) == 0 && life->failures == 0) {
        assert_int_equal(size, 6000);
    }
    (void)check(life, io_truncate(file, 8192, &err), &err);
    (void)check(life, io_allocate(file, 0, 16384, &err), &err);
    (void)check(life, io_sync(file, NULL, &err), &err);
    if (check(life, io_read_direct(file, data, sizeof data, 0, &got, &err), &err) == 0 &&
        life->failures == 0) {
        assert_int_equal(got, sizeof data);
        assert_int_equal(data[5999], 'x');
        assert_int_equal(data[6000], 0);
    }
    got = 0;
    if (check(life, io_read_cached(file, data, 6000, 0, &got), NULL) == TUSK_EBUSY) {
        life->failures--; /* The cache had been dropped: no failure */
    }
    assert_true(got <= 6000);
    (void)check(life, io_punch(file, 4096, 4096, &err), &err);
    for (i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        ops[i].file = file;
        if (run_op(life, io, &ops[i]) != 0 && i == 2) {
            life->failures--; /* Behind the end: always refused */
        }
    }
}

static void use_names(struct life *life, struct io *io)
{
    struct io_op ops[] = {
        {.kind = IO_OP_CREATE, .path = "d/e/made"},
        {.kind = IO_OP_RENAME, .path = "d/e/made", .path_to = "d/e/named"},
        {.kind = IO_OP_SYNC_DIR, .path = "d/e"},
        {.kind = IO_OP_UNLINK, .path = "d/e/named"},
    };
    struct io_file *file = NULL;
    struct error err;
    unsigned i;

    (void)check(life, io_make_dir(io, "d", &err), &err);
    (void)check(life, io_make_dir(io, "d/e", &err), &err);
    if (check(life, io_open(io, "d/e/f", IO_OPEN_CREATE, &file, &err), &err) == 0) {
        use_file(life, io, file);
        io_close_file(file);
    }
    if (check(life, io_open(io, "d/e/f", IO_OPEN_WRITE, &file, &err), &err) == 0) {
        io_close_file(file);
    }
    if (check(life, io_open(io, "d/e/f", IO_OPEN_READ, &file, &err), &err) == 0) {
        io_close_file(file);
    }
    for (i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (run_op(life, io, &ops[i]) == 0 && i == 0) {
            io_close_file(ops[i].file);
        }
    }
    (void)check(life, io_rename(io, "d/e/f", "d/g", &err), &err);
    (void)check(life, io_list_dir(io, "d", note_name, life, &err), &err);
    (void)check(life, io_sync_dir(io, "d", &err), &err);
    (void)check(life, io_sync_dir(io, "", &err), &err);
    (void)check(life, io_unlink(io, "d/g", &err), &err);
    (void)check(life, io_remove_dir(io, "d/e", &err), &err);
    (void)check(life, io_remove_dir(io, "d", &err), &err);
}

/* One process's life on an empty directory. */
static void live(struct life *life, enum implementation which)
{
    struct error err;
    struct io *io;

    life->failures = life->files = life->directories = life->others = 0;
    life->opened = check(life, open_io(which, &io, life->dir, &err), &err) == 0;
    if (!life->opened) {
        return;
    }
    (void)check(life, io_lock(io, "lock", &err), &err);
    use_names(life, io);
    io_close(io);
}

static void empty(const struct life *life)
{
    static const char *const files[] = {"lock", "d/e/f", "d/g",  "d/e/made", "d/e/named",
                                        "file", "pipe",  "link", NULL};
    static const char *const directories[] = {"d/e", "d", "directory", NULL};
    char path[128];
    unsigned i;

    for (i = 0; files[i] != NULL; i++) {
        (void)snprintf(path, sizeof path, "%.60s/%s", life->dir, files[i]);
        (void)unlink(path);
    }
    for (i = 0; directories[i] != NULL; i++) {
        (void)snprintf(path, sizeof path, "%.60s/%s", life->dir, directories[i]);
        (void)rmdir(path);
    }
}

static unsigned open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(dir);
    while (__real_readdir(dir) != NULL) {
        count++;
    }
    (void)closedir(dir);
    return count;
}

static int set_up(void **state)
{
    struct life *life = calloc(1, sizeof *life);
    const char *base = getenv("TMPDIR");

    assert_non_null(life);
    (void)snprintf(life->dir, sizeof life->dir, "%.40s/tusk-calls-XXXXXX",
                   base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(life->dir));
    disarm();
    *state = life;
    return 0;
}

static int tear_down(void **state)
{
    struct life *life = *state;

    disarm();
    empty(life);
    assert_int_equal(rmdir(life->dir), 0);
    free(life);
    return 0;
}

static bool is_there(struct life *life, enum implementation which)
{
    empty(life);
    live(life, which);
    assert_true(life->opened || which == URING);
    return life->opened;
}

/* ---- tests ---- */

static bool in(const char *name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (strcmp(name, *names) == 0) {
            return true;
        }
    }
    return false;
}

/* Of these an interruption is no failure: the call is made again. Not of a sync: it may have lost what it was to write. */
static const char *const repeated[] = {"openat2", "ftruncate", "fallocate", "pread", "preadv2",
                                       "pwritev", "flock",     "poll",      NULL};
/* These are advice, or there is another way. */
static const char *const optional[] = {"preadv2", "sync_file_range", "fallocate", NULL};

static void each_call(struct life *life, enum implementation which, int os_error)
{
    const unsigned before = open_descriptors();

    for (kernel.nth = 1, kernel.failed = ""; kernel.failed != NULL; kernel.nth++) {
        const unsigned nth = kernel.nth;

        assert_true(nth < 1000);
        empty(life);
        kernel.failed = NULL;
        kernel.calls = 0;
        kernel.count = 1;
        kernel.os_error = os_error;
        kernel.armed = true;
        live(life, which);
        kernel.armed = false;
        assert_int_equal(open_descriptors(), before);
        if (kernel.failed == NULL) {
            assert_int_equal(life->failures, 0);
        } else if ((os_error == EINTR && in(kernel.failed, repeated)) ||
                   (os_error == EOPNOTSUPP && in(kernel.failed, optional))) {
            if (life->failures != 0) {
                fail_msg("%s, call %u, failed with %s", kernel.failed, nth, strerror(os_error));
            }
        }
    }
}

static void every_call_may_fail(void **state)
{
    static const int errors[] = {EIO,    EINTR,  EOPNOTSUPP, ENOTDIR, EINVAL,
                                 ENOSPC, EAGAIN, EBUSY,      EFBIG,   ENOMEM};
    struct life *life = *state;
    unsigned which;
    unsigned i;

    for (which = 0; which < IMPLEMENTATIONS; which++) {
        if (!is_there(life, which)) {
            continue;
        }
        /* What the others have of their own does not tell errors apart. */
        for (i = 0; i < (which == POSIX ? sizeof errors / sizeof errors[0] : 2); i++) {
            each_call(life, which, errors[i]);
        }
    }
}

/* The same in a sandbox that does not know openat2: paths are walked part by part. */
static void every_call_may_fail_without_openat2(void **state)
{
    static const int errors[] = {EIO, EINTR, ENOTDIR};
    struct life *life = *state;
    unsigned i;

    for (i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        kernel.always = "openat2";
        kernel.always_error = i == 0 ? EPERM : ENOSYS;
        each_call(life, POSIX, errors[i]);
    }
}

/* Kernels and file systems without something do all of it another way. */
static void what_is_missing_is_gone_round(void **state)
{
    static const struct {
        const char *call;
        int os_error;
    } missing[] = {
        {"openat2", ENOSYS}, {"openat2", EPERM},          {"preadv2", EOPNOTSUPP},
        {"preadv2", ENOSYS}, {"fallocate", EOPNOTSUPP},   {"fallocate", ENOSYS},
        {"mmap", ENOMEM},    {"sync_file_range", ENOSYS}, {"sync_file_range", EOPNOTSUPP},
        {"mincore", ENOMEM}, {"preadv2", EAGAIN}};
    struct life *life = *state;
    unsigned which;
    unsigned i;

    for (which = 0; which < IMPLEMENTATIONS; which++) {
        if (!is_there(life, which)) {
            continue;
        }
        for (i = 0; i < sizeof missing / sizeof missing[0]; i++) {
            empty(life);
            kernel.always = missing[i].call;
            kernel.always_error = missing[i].os_error;
            kernel.nth = UINT32_MAX / 2;
            kernel.armed = true;
            live(life, which);
            disarm();
            /* A ring asks the kernel itself, which has it. */
            if (life->failures != 0) {
                fail_msg("%u: %s, %s", which, missing[i].call, strerror(missing[i].os_error));
            }
        }
    }
}

/* A file system that does not tell what its entries are is asked one by one. */
static void kinds_of_entries_are_found_out(void **state)
{
    struct life *life = *state;
    char path[128];
    struct error err;
    struct io *io;
    unsigned round;

    for (round = 0; round < 2; round++) {
        empty(life);
        assert_int_equal(open_io(POSIX, &io, life->dir, &err), 0);
        assert_int_equal(io_make_dir(io, "directory", &err), 0);
        assert_int_equal(io_lock(io, "file", &err), 0);
        (void)snprintf(path, sizeof path, "%.60s/pipe", life->dir);
        assert_int_equal(mkfifo(path, 0600), 0);
        (void)snprintf(path, sizeof path, "%.60s/link", life->dir);
        assert_int_equal(symlink("file", path), 0);
        life->files = life->directories = life->others = 0;
        kernel.unknown_types = round == 1;
        assert_int_equal(io_list_dir(io, "", note_name, life, &err), 0);
        kernel.unknown_types = false;
        assert_int_equal(life->files, 1);
        assert_int_equal(life->directories, 1);
        assert_int_equal(life->others, 2);
        io_close(io);
    }
}

/* The kernel takes nothing from the ring any more, in whatever way: what was asked for fails, and so does what is asked for then. Nothing
 * waits for ever. */
static void a_ring_that_takes_nothing_fails_everything(void **state)
{
    static const int errors[] = {EAGAIN, EBUSY, EBADF, ENOMEM};
    struct life *life = *state;
    unsigned i;

    if (!is_there(life, URING)) {
        skip();
    }
    for (i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        empty(life);
        kernel.always = "io_uring_submit";
        kernel.always_error = errors[i];
        kernel.nth = UINT32_MAX / 2;
        kernel.armed = true;
        live(life, URING);
        disarm();
        assert_true(life->opened);
        assert_in_range(life->failures, 9, 20); /* All that was submitted */
    }
}

/* A sandbox forbids rings, or the kernel is older than they are, or than what is done on them: that is not an error of the disk, the
 * caller does without. Want of memory or descriptors is. */
static void a_ring_that_cannot_be_is_unsupported(void **state)
{
    static const struct {
        int os_error;
        int code;
    } errors[] = {{ENOSYS, TUSK_EUNSUPPORTED}, {EPERM, TUSK_EUNSUPPORTED},
                  {EACCES, TUSK_EUNSUPPORTED}, {EINVAL, TUSK_EUNSUPPORTED},
                  {ENOMEM, TUSK_ENOMEM},       {EMFILE, TUSK_EBUSY}};
    struct life *life = *state;
    const unsigned before = open_descriptors();
    const bool there = is_there(life, URING);
    struct error err;
    struct io *io;
    unsigned i;

    for (i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        empty(life);
        kernel.always = "io_uring_queue_init_params";
        kernel.always_error = errors[i].os_error;
        kernel.nth = UINT32_MAX / 2;
        kernel.armed = true;
        assert_int_equal(io_uring_open(&io, life->dir, &err), errors[i].code);
        assert_int_equal(err.code, errors[i].code);
        assert_int_equal(io_uring_open(&io, life->dir, NULL), errors[i].code);
        disarm();
    }
    kernel.old_ring = true;
    assert_int_equal(io_uring_open(&io, life->dir, &err), TUSK_EUNSUPPORTED);
    assert_true(!there || strstr(err.text, "lacks operation") != NULL);
    kernel.old_ring = false;
    assert_int_equal(open_descriptors(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_call_may_fail, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_call_may_fail_without_openat2, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_missing_is_gone_round, set_up, tear_down),
        cmocka_unit_test_setup_teardown(kinds_of_entries_are_found_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_ring_that_cannot_be_is_unsupported, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_ring_that_takes_nothing_fails_everything, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
