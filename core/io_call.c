/* See io_call.h. Paths first, then open files. */
#include "core/io_call.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/check.h"
#include "core/io.h"

/* openat2 asks for another try when directories were moved under it; more often than this in a
 * row is not a coincidence. */
#define OPEN_TRIES_MAX 16u
/* Buffers copied to the stack to continue a short write. Such a write is rare, so small is fine. */
#define WRITE_WINDOW 64

bool io_call_path_ok(const char *path)
{
    const char *part = path;

    CHECK(path != NULL);
    if (strlen(path) >= IO_PATH_SIZE) {
        return false;
    }
    for (;;) {
        const size_t size = strcspn(part, "/");

        if (size == 0 || (size == 1 && part[0] == '.') ||
            (size == 2 && part[0] == '.' && part[1] == '.')) {
            return false;
        }
        if (part[size] == '\0') {
            return true;
        }
        part += size + 1;
    }
}

static int openat2_beneath(int dir, const char *path, int flags)
{
    const struct open_how how = {
        .flags = (unsigned)flags,
        .mode = (flags & O_CREAT) != 0 ? IO_CALL_FILE_MODE : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };

    CHECK(path != NULL);
    CHECK((flags & O_CLOEXEC) != 0);
    return (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
}

int io_call_root_open(struct io_root *root, const char *data_dir)
{
    const int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    int probe;

    CHECK(root != NULL);
    CHECK(data_dir != NULL);
    /* The operator's own path may go through links; what lies beneath may not. */
    root->fd = open(data_dir, flags);
    if (root->fd < 0) {
        return errno;
    }
    probe = openat2_beneath(root->fd, ".", flags);
    root->has_openat2 = probe >= 0 || (errno != ENOSYS && errno != EPERM);
    if (probe >= 0) {
        (void)close(probe); /* Nothing was written through it, so nothing can be lost */
    }
    return 0;
}

void io_call_root_close(struct io_root *root)
{
    CHECK(root != NULL);
    if (root->fd >= 0) {
        (void)close(root->fd); /* An O_PATH descriptor holds no data */
        root->fd = -1;
    }
}

/* openat() without openat2's help. With O_DIRECTORY a link is ENOTDIR: tell it from a file. */
static int open_one(int dir, const char *name, int flags, int *fd)
{
    struct stat st;

    CHECK(fd != NULL);
    CHECK(name[0] != '\0');
    CHECK(strchr(name, '/') == NULL);
    *fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC, IO_CALL_FILE_MODE);
    if (*fd >= 0) {
        return 0;
    }
    if (errno != ENOTDIR) {
        return errno;
    }
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode)) {
        return ELOOP;
    }
    return ENOTDIR;
}

/* Open the directory that path[0..size) names, part by part. */
static int open_parts(const struct io_root *root, const char *path, size_t size, int *fd)
{
    char part[IO_PATH_SIZE];
    size_t start = 0;
    int dir = root->fd;
    int rc;

    CHECK(root->fd >= 0);
    CHECK(size > 0);
    CHECK(size < sizeof part);
    while (start < size) {
        const size_t length = strcspn(path + start, "/");

        CHECK(length > 0);
        CHECK(length < sizeof part);
        memcpy(part, path + start, length);
        part[length] = '\0';
        rc = open_one(dir, part, O_PATH | O_DIRECTORY, fd);
        if (dir != root->fd) {
            (void)close(dir); /* O_PATH: no data */
        }
        if (rc != 0) {
            return rc;
        }
        dir = *fd;
        start += length + 1;
    }
    return 0;
}

int io_call_parent_open(const struct io_root *root, const char *path, struct io_parent *parent)
{
    const char *slash = strrchr(path, '/');
    char dir[IO_PATH_SIZE];

    CHECK(root->fd >= 0);
    CHECK(parent != NULL);
    CHECK(io_call_path_ok(path));
    *parent = (struct io_parent){.fd = root->fd, .name = path};
    if (slash == NULL) {
        return 0;
    }
    parent->name = slash + 1;
    parent->owned = true;
    if (!root->has_openat2) {
        return open_parts(root, path, (size_t)(slash - path), &parent->fd);
    }
    CHECK((size_t)(slash - path) < sizeof dir);
    memcpy(dir, path, (size_t)(slash - path));
    dir[slash - path] = '\0';
    return io_call_open(root, dir, O_PATH | O_DIRECTORY, &parent->fd);
}

void io_call_parent_close(struct io_parent *parent)
{
    CHECK(parent != NULL);
    if (parent->owned && parent->fd >= 0) {
        (void)close(parent->fd); /* O_PATH: no data */
    }
    *parent = (struct io_parent){.fd = -1};
}

static int open_in_parent(const struct io_root *root, const char *path, int flags, int *fd)
{
    struct io_parent parent;
    int rc = io_call_parent_open(root, path, &parent);

    CHECK(fd != NULL);
    if (rc == 0) {
        rc = open_one(parent.fd, parent.name, flags, fd);
        io_call_parent_close(&parent);
    }
    return rc;
}

int io_call_open(const struct io_root *root, const char *path, int flags, int *fd)
{
    unsigned tries = 0;
    int rc;

    CHECK(root->fd >= 0);
    CHECK(fd != NULL);
    flags |= O_CLOEXEC;
    if (path[0] == '\0') {
        *fd = openat(root->fd, ".", flags);
        return *fd >= 0 ? 0 : errno;
    }
    CHECK(io_call_path_ok(path));
    do {
        if (root->has_openat2) {
            *fd = openat2_beneath(root->fd, path, flags);
            rc = *fd >= 0 ? 0 : errno;
        } else {
            rc = open_in_parent(root, path, flags, fd);
        }
        tries++;
    } while ((rc == EINTR || rc == EAGAIN) && tries < OPEN_TRIES_MAX);
    return rc;
}

int io_call_create(const struct io_root *root, const char *path, int *fd)
{
    CHECK(fd != NULL);
    return open_in_parent(root, path, IO_CALL_CREATE_FLAGS, fd);
}

int io_call_make_dir(const struct io_root *root, const char *path)
{
    struct io_parent parent;
    int rc = io_call_parent_open(root, path, &parent);

    CHECK(path != NULL);
    if (rc == 0) {
        rc = mkdirat(parent.fd, parent.name, IO_CALL_DIR_MODE) == 0 ? 0 : errno;
        io_call_parent_close(&parent);
    }
    return rc;
}

static int unlink_at(const struct io_root *root, const char *path, int flags)
{
    struct io_parent parent;
    int rc = io_call_parent_open(root, path, &parent);

    CHECK(flags == 0 || flags == AT_REMOVEDIR);
    if (rc == 0) {
        rc = unlinkat(parent.fd, parent.name, flags) == 0 ? 0 : errno;
        io_call_parent_close(&parent);
    }
    return rc;
}

int io_call_remove_dir(const struct io_root *root, const char *path)
{
    CHECK(path != NULL);
    return unlink_at(root, path, AT_REMOVEDIR);
}

int io_call_unlink(const struct io_root *root, const char *path)
{
    return unlink_at(root, path, 0);
}

int io_call_rename(const struct io_root *root, const char *from, const char *to)
{
    struct io_parent old;
    struct io_parent new;
    int rc = io_call_parent_open(root, from, &old);

    CHECK(from != NULL);
    CHECK(to != NULL);
    if (rc != 0) {
        return rc;
    }
    rc = io_call_parent_open(root, to, &new);
    if (rc == 0) {
        rc = renameat(old.fd, old.name, new.fd, new.name) == 0 ? 0 : errno;
        io_call_parent_close(&new);
    }
    io_call_parent_close(&old);
    return rc;
}

int io_call_sync_dir(const struct io_root *root, const char *path)
{
    int fd;
    int rc = io_call_open(root, path, O_RDONLY | O_DIRECTORY, &fd);

    CHECK(path != NULL);
    if (rc == 0) {
        rc = fsync(fd) == 0 ? 0 : errno;
        (void)close(fd); /* Read-only */
    }
    return rc;
}

int io_call_size(int fd, uint64_t *size)
{
    struct stat st;

    CHECK(fd >= 0);
    CHECK(size != NULL);
    if (fstat(fd, &st) != 0) {
        return errno;
    }
    *size = (uint64_t)st.st_size;
    return 0;
}

int io_call_truncate(int fd, uint64_t size)
{
    int rc;

    CHECK(fd >= 0);
    CHECK(size <= (uint64_t)INT64_MAX);
    do {
        rc = ftruncate(fd, (off_t)size);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : errno;
}

/* One write from iov, of which the first `skip` bytes are written already. */
static ssize_t write_some(int fd, const struct iovec *iov, int count, size_t skip, uint64_t offset)
{
    struct iovec window[WRITE_WINDOW];

    CHECK(count > 0);
    CHECK(skip < iov->iov_len || skip == 0);
    if (skip == 0) {
        return pwritev(fd, iov, count < IOV_MAX ? count : IOV_MAX, (off_t)offset);
    }
    count = count < WRITE_WINDOW ? count : WRITE_WINDOW;
    memcpy(window, iov, (size_t)count * sizeof window[0]);
    window[0].iov_base = (uint8_t *)window[0].iov_base + skip;
    window[0].iov_len -= skip;
    return pwritev(fd, window, count, (off_t)offset);
}

int io_call_write(int fd, const struct iovec *iov, int count, uint64_t offset)
{
    size_t skip = 0;
    ssize_t rc;

    CHECK(fd >= 0);
    CHECK(count > 0);
    for (;;) {
        while (count > 0 && skip >= iov->iov_len) {
            skip -= iov->iov_len;
            iov++;
            count--;
        }
        if (count == 0) {
            CHECK(skip == 0);
            return 0;
        }
        rc = write_some(fd, iov, count, skip, offset);
        if (rc == 0) {
            return EIO; /* Bytes were asked for: going on would be going on for ever */
        }
        if (rc > 0) {
            skip += (size_t)rc;
            offset += (uint64_t)rc;
        } else if (errno != EINTR) {
            return errno;
        }
    }
}

int io_call_read(int fd, uint8_t *data, size_t size, uint64_t offset, size_t *got)
{
    CHECK(fd >= 0);
    CHECK(data != NULL || size == 0);
    *got = 0;
    while (*got < size) {
        const ssize_t rc = pread(fd, data + *got, size - *got, (off_t)(offset + *got));

        if (rc == 0) {
            return 0;
        }
        if (rc > 0) {
            *got += (size_t)rc;
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

int io_call_read_all(int fd, uint8_t *data, size_t size, uint64_t offset)
{
    size_t got;
    const int rc = io_call_read(fd, data, size, offset, &got);

    if (rc != 0) {
        return rc;
    }
    return got == size ? 0 : ENODATA;
}

int io_call_read_cached(int fd, uint8_t *data, size_t size, uint64_t offset, size_t *got)
{
    const struct iovec iov = {.iov_base = data, .iov_len = size};
    ssize_t rc;

    CHECK(fd >= 0);
    CHECK(data != NULL || size == 0);
    *got = 0;
    if (size == 0) {
        return 0; /* With nothing to read some file systems still say EAGAIN */
    }
    do {
        rc = preadv2(fd, &iov, 1, (off_t)offset, RWF_NOWAIT);
    } while (rc < 0 && errno == EINTR);
    if (rc >= 0) {
        *got = (size_t)rc;
        return 0;
    }
    if (errno == EOPNOTSUPP || errno == ENOSYS) {
        return io_call_read(fd, data, size, offset, got);
    }
    return errno;
}

int io_call_read_direct(int fd, uint8_t *data, size_t size, uint64_t offset, size_t *got)
{
    CHECK(offset % IO_DIRECT_ALIGN == 0);
    CHECK(size % IO_DIRECT_ALIGN == 0);
    *got = 0;
    while (*got < size) {
        const ssize_t rc = pread(fd, data + *got, size - *got, (off_t)(offset + *got));

        if (rc > 0) {
            *got += (size_t)rc;
        } else if (rc < 0 && errno != EINTR) {
            return errno;
        }
        /* A direct read stops inside a page only at the end of the file. */
        if (rc == 0 || *got % IO_DIRECT_ALIGN != 0) {
            return 0;
        }
    }
    return 0;
}

int io_call_drop_cache(int fd, uint64_t offset, uint64_t size)
{
    const unsigned flags =
        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;

    CHECK(fd >= 0);
    /* Only clean pages can be dropped. Its error is the device refusing what is being read. */
    if (sync_file_range(fd, (off_t)offset, (off_t)size, flags) != 0 && errno != EOPNOTSUPP &&
        errno != ENOSYS) {
        return errno;
    }
    (void)posix_fadvise(fd, (off_t)offset, (off_t)size,
                        POSIX_FADV_DONTNEED); /* As well as can be */
    return 0;
}

int io_call_sync(int fd)
{
    CHECK(fd >= 0);
    return fdatasync(fd) == 0 ? 0 : errno;
}

int io_call_extend(int fd, uint64_t size)
{
    uint64_t now = 0;
    const int rc = io_call_size(fd, &now);

    CHECK(fd >= 0);
    if (rc != 0 || now >= size) {
        return rc;
    }
    return io_call_truncate(fd, size);
}

int io_call_allocate(int fd, uint64_t offset, uint64_t size)
{
    int rc;

    CHECK(fd >= 0);
    CHECK(size > 0);
    do {
        rc = fallocate(fd, 0, (off_t)offset, (off_t)size);
    } while (rc != 0 && errno == EINTR);
    if (rc == 0) {
        return 0;
    }
    return errno == EOPNOTSUPP || errno == ENOSYS ? io_call_extend(fd, offset + size) : errno;
}

int io_call_punch(int fd, uint64_t offset, uint64_t size)
{
    const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    int rc;

    CHECK(fd >= 0);
    CHECK(size > 0);
    do {
        rc = fallocate(fd, mode, (off_t)offset, (off_t)size);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 || errno == EOPNOTSUPP || errno == ENOSYS ? 0 : errno;
}

void io_call_writeback(int fd, uint64_t offset, uint64_t size)
{
    CHECK(fd >= 0);
    (void)sync_file_range(fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE); /* Advice */
}
