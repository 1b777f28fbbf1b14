/* The data directory and its open files: see io_files.h. Names are
 * io_dirs.c, submitted operations io_ops.c. */
#include "core/io_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/check.h"
#include "core/error.h"

_Static_assert(offsetof(struct disk, base) == 0, "struct io * is a struct disk *");
_Static_assert(offsetof(struct disk_file, base) == 0, "struct io_file * is a struct disk_file *");

int disk_code_of(int os_error)
{
    CHECK(os_error > 0);
    switch (os_error) {
    case ELOOP:
        return TUSK_EDENIED;
    case EFBIG:
        /* A limit on file size refuses growth as a full disk does, and harms as little. */
        return TUSK_ENOSPACE;
    case EXDEV:
        return TUSK_EINVALID;
    case EBUSY:
        return TUSK_EBUSY;
    case EAGAIN:
        return TUSK_EIO; /* Here nothing waits for a lock */
    default:
        return error_code_of(os_error);
    }
}

int disk_fail(struct error *err, int os_error, const char *doing, const char *path)
{
    const int code = disk_code_of(os_error);

    CHECK(os_error > 0);
    CHECK(doing != NULL);
    CHECK(path != NULL);
    (void)error_errno(err, os_error, "%s %s", doing, path[0] == '\0' ? "the data directory" : path);
    if (err != NULL) {
        err->code = code;
    }
    return code;
}

/* "<doing> <path> at <offset>: <reason>". */
static int file_fail(struct error *err, int os_error, const char *doing,
                     const struct disk_file *file, uint64_t offset)
{
    const int code = disk_code_of(os_error);

    CHECK(os_error > 0);
    CHECK(file->fd >= 0);
    (void)error_errno(err, os_error, "%s %s at %" PRIu64, doing, file->path, offset);
    if (err != NULL) {
        err->code = code;
    }
    return code;
}

int disk_check_path(const char *path, struct error *err)
{
    CHECK(path != NULL);
    if (io_call_path_ok(path)) {
        return 0;
    }
    return error_set(err, TUSK_EINVALID, "%.128s: not a plain path beneath the data directory",
                     path);
}

struct disk *disk_of(struct io *io)
{
    CHECK(io != NULL);
    return (struct disk *)io;
}

struct disk_file *disk_file_of(struct io_file *file)
{
    CHECK(file != NULL);
    return (struct disk_file *)file;
}

int disk_init(struct disk *disk, const struct io_ops *ops, const char *data_dir, size_t file_size,
              struct error *err)
{
    int rc;

    CHECK(ops != NULL);
    CHECK(data_dir != NULL);
    CHECK(file_size >= sizeof(struct disk_file));
    *disk = (struct disk){.base = {.ops = ops}, .root = {.fd = -1}, .file_size = file_size};
    rc = io_call_root_open(&disk->root, data_dir);
    return rc == 0 ? 0 : disk_fail(err, rc, "open data directory", data_dir);
}

void disk_deinit(struct disk *disk)
{
    CHECK(disk != NULL);
    CHECK(disk->base.in_flight == 0);
    disk_unlock_all(disk);
    io_call_root_close(&disk->root);
}

struct disk_file *disk_file_new(struct disk *disk, const char *path, int fd)
{
    struct disk_file *file = calloc(1, disk->file_size);

    CHECK(fd >= 0);
    CHECK(io_call_path_ok(path));
    CHECK(disk->file_size >= sizeof *file);
    if (file == NULL) {
        return NULL;
    }
    file->base.io = &disk->base;
    file->fd = fd;
    file->direct_fd = -1;
    (void)snprintf(file->path, sizeof file->path, "%s", path); /* io_call_path_ok(): it fits */
    return file;
}

/* Refuse what is not a regular file, and make the descriptor an ordinary blocking one: O_NONBLOCK
 * was only for opening, so that a FIFO in the place of a file cannot hang the daemon. */
static int check_opened(int fd, const char *path, struct error *err)
{
    struct stat st;
    int flags;

    CHECK(fd >= 0);
    CHECK(path != NULL);
    if (fstat(fd, &st) != 0) {
        return disk_fail(err, errno, "open", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return error_set(err, TUSK_EINVALID, "open %s: not a regular file", path);
    }
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0) {
        return disk_fail(err, errno, "open", path);
    }
    return 0;
}

static int open_existing(struct disk *disk, const char *path, int access_flags, int *fd,
                         struct error *err)
{
    int rc = io_call_open(&disk->root, path, access_flags | O_NONBLOCK | O_NOCTTY, fd);

    CHECK(access_flags == O_RDONLY || access_flags == O_RDWR);
    CHECK(fd != NULL);
    if (rc != 0) {
        return disk_fail(err, rc, "open", path);
    }
    rc = check_opened(*fd, path, err);
    if (rc != 0) {
        (void)close(*fd); /* Nothing was written */
    }
    return rc;
}

int disk_open(struct io *io, const char *path, enum io_open_mode mode, struct io_file **out,
              struct error *err)
{
    struct disk *disk = disk_of(io);
    struct disk_file *file;
    int fd;
    int rc = disk_check_path(path, err);

    CHECK(path != NULL);
    CHECK(out != NULL);
    if (rc != 0) {
        return rc;
    }
    if (mode == IO_OPEN_CREATE) {
        rc = io_call_create(&disk->root, path, &fd);
        if (rc != 0) {
            return disk_fail(err, rc, "create", path);
        }
    } else {
        rc = open_existing(disk, path, mode == IO_OPEN_READ ? O_RDONLY : O_RDWR, &fd, err);
        if (rc != 0) {
            return rc;
        }
    }
    CHECK(fd >= 0);
    file = disk_file_new(disk, path, fd);
    if (file == NULL) {
        (void)close(fd); /* Nothing was written */
        return error_set(err, TUSK_ENOMEM, "open %s: out of memory", path);
    }
    *out = &file->base;
    return 0;
}

void disk_close_file(struct io_file *base)
{
    struct disk_file *file = disk_file_of(base);

    CHECK(file->fd >= 0);
    CHECK(base->in_flight == 0);
    CHECK((file->direct == DISK_DIRECT_OPEN) == (file->direct_fd >= 0));
    /* What close() could still report, the sync before it has reported: unsynced bytes are nobody's
     * promise. And it is not repeated: on Linux the descriptor is gone even after EINTR. */
    (void)close(file->fd);
    if (file->direct_fd >= 0) {
        (void)close(file->direct_fd); /* Read-only */
    }
    free(file);
}

int disk_size(struct io_file *base, uint64_t *size, struct error *err)
{
    const struct disk_file *file = disk_file_of(base);
    const int rc = io_call_size(file->fd, size);

    CHECK(file->fd >= 0);
    CHECK(size != NULL);
    return rc == 0 ? 0 : disk_fail(err, rc, "size of", file->path);
}

int disk_truncate(struct io_file *base, uint64_t size, struct error *err)
{
    const struct disk_file *file = disk_file_of(base);
    const int rc = io_call_truncate(file->fd, size);

    CHECK(file->fd >= 0);
    return rc == 0 ? 0 : file_fail(err, rc, "truncate", file, size);
}

int disk_write(struct io_file *base, const struct iovec *iov, int count, uint64_t offset,
               struct error *err)
{
    const struct disk_file *file = disk_file_of(base);
    const int rc = io_call_write(file->fd, iov, count, offset);

    CHECK(count > 0);
    CHECK(iov != NULL);
    return rc == 0 ? 0 : file_fail(err, rc, "write", file, offset);
}

static bool same_file(int fd, int other)
{
    struct stat a;
    struct stat b;

    CHECK(fd >= 0);
    CHECK(other >= 0);
    return fstat(fd, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* Open the file a second time, by its path; if that names another file by now (journal files are
 * renamed and recycled, directories made under another name), through /proc. -1: it cannot be. */
static int open_again(const struct disk_file *file, int flags)
{
    const struct disk *disk = disk_of(file->base.io);
    char proc[32];
    int fd;

    CHECK(file->fd >= 0);
    flags |= O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    if (io_call_open(&disk->root, file->path, flags, &fd) != 0) {
        fd = -1;
    } else if (!same_file(fd, file->fd)) {
        (void)close(fd); /* Read-only */
        fd = -1;
    }
    if (fd < 0) {
        (void)snprintf(proc, sizeof proc, "/proc/self/fd/%d", file->fd);
        fd = open(proc, flags);
    }
    return fd;
}

/* By the first direct read. If it cannot be, the file is read through the cache, dropped first. */
static void open_direct(struct disk_file *file)
{
    const int fd = open_again(file, O_DIRECT);

    CHECK(file->direct == DISK_DIRECT_UNTRIED);
    CHECK(file->direct_fd < 0);
    file->direct = fd < 0 ? DISK_DIRECT_NONE : DISK_DIRECT_OPEN;
    file->direct_fd = fd;
}

int disk_share(struct io_file *base, int *fd)
{
    CHECK(base != NULL);
    CHECK(fd != NULL);
    *fd = open_again(disk_file_of(base), 0);
    return *fd >= 0 ? 0 : TUSK_EIO;
}

int disk_read_direct(struct io_file *base, uint8_t *data, size_t size, uint64_t offset, size_t *got,
                     struct error *err)
{
    struct disk_file *file = disk_file_of(base);
    int rc;

    CHECK(file->fd >= 0);
    CHECK(got != NULL);
    if (file->direct == DISK_DIRECT_UNTRIED) {
        open_direct(file);
    }
    if (file->direct == DISK_DIRECT_OPEN) {
        CHECK(file->direct_fd >= 0);
        rc = io_call_read_direct(file->direct_fd, data, size, offset, got);
        if (rc != EINVAL && rc != EOPNOTSUPP) {
            return rc == 0 ? 0 : file_fail(err, rc, "read", file, offset);
        }
        /* Some file systems take the flag and refuse the read. */
        (void)close(file->direct_fd); /* Read-only */
        file->direct_fd = -1;
        file->direct = DISK_DIRECT_NONE;
    }
    rc = io_call_drop_cache(file->fd, offset, size);
    if (rc == 0) {
        rc = io_call_read(file->fd, data, size, offset, got);
    }
    return rc == 0 ? 0 : file_fail(err, rc, "read", file, offset);
}

int disk_read_cached(struct io_file *base, uint8_t *data, size_t size, uint64_t offset, size_t *got)
{
    const int rc = io_call_read_cached(disk_file_of(base)->fd, data, size, offset, got);

    CHECK(got != NULL);
    if (rc == 0) {
        return 0;
    }
    return rc == EAGAIN ? TUSK_EBUSY : TUSK_EIO;
}

int disk_sync(struct io_file *base, uint32_t *elapsed_us, struct error *err)
{
    const struct disk_file *file = disk_file_of(base);
    const uint32_t start = disk_clock_us();
    const int rc = io_call_sync(file->fd);

    CHECK(file->fd >= 0);
    if (elapsed_us != NULL) {
        *elapsed_us = disk_clock_us() - start;
    }
    return rc == 0 ? 0 : disk_fail(err, rc, "sync", file->path);
}

int disk_allocate(struct io_file *base, uint64_t offset, uint64_t size, struct error *err)
{
    const struct disk_file *file = disk_file_of(base);
    const int rc = io_call_allocate(file->fd, offset, size);

    CHECK(file->fd >= 0);
    CHECK(size > 0);
    return rc == 0 ? 0 : file_fail(err, rc, "allocate", file, offset);
}

int disk_punch(struct io_file *base, uint64_t offset, uint64_t size, struct error *err)
{
    const struct disk_file *file = disk_file_of(base);
    const int rc = io_call_punch(file->fd, offset, size);

    CHECK(file->fd >= 0);
    CHECK(size > 0);
    return rc == 0 ? 0 : file_fail(err, rc, "punch", file, offset);
}
