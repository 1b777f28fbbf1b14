#include "core/io_readonly.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/check.h"
#include "core/error.h"
#include "core/io_call.h"

struct readonly {
    struct io base;
    struct io *below; /* Borrowed */
    io_unreadable_fn *unreadable;
    void *arg;
    unsigned open_files; /* All are closed before this is */
};

struct readonly_file {
    struct io_file base;
    struct io_file *below; /* Owned */
    char path[];
};

_Static_assert(offsetof(struct readonly, base) == 0, "struct io * is a struct readonly *");
_Static_assert(offsetof(struct readonly_file, base) == 0, "struct io_file * is a readonly_file *");

static const struct io_ops readonly_ops;

static struct readonly *readonly_of(struct io *io)
{
    CHECK(io->ops == &readonly_ops);
    return (struct readonly *)io;
}

static struct readonly_file *file_of(struct io_file *file)
{
    struct readonly_file *own = (struct readonly_file *)file;

    CHECK(file->io->ops == &readonly_ops);
    CHECK(own->below != NULL);
    return own;
}

/* ---- what is refused ---- */

static int refuse(struct error *err, const char *doing, const char *path)
{
    CHECK(doing != NULL);
    CHECK(path != NULL);
    return error_set(err, TUSK_EDENIED, "%s %s: nothing is changed here", doing, path);
}

static int refuse_make_dir(struct io *io, const char *path, struct error *err)
{
    (void)io;
    return refuse(err, "make directory", path);
}

static int refuse_remove_dir(struct io *io, const char *path, struct error *err)
{
    (void)io;
    return refuse(err, "remove directory", path);
}

static int refuse_sync_dir(struct io *io, const char *path, struct error *err)
{
    (void)io;
    return refuse(err, "sync directory", path);
}

static int refuse_rename(struct io *io, const char *from, const char *to, struct error *err)
{
    (void)io;
    (void)to;
    return refuse(err, "rename", from);
}

static int refuse_unlink(struct io *io, const char *path, struct error *err)
{
    (void)io;
    return refuse(err, "unlink", path);
}

static int refuse_lock(struct io *io, const char *path, struct error *err)
{
    (void)io;
    return refuse(err, "lock", path);
}

static int refuse_truncate(struct io_file *file, uint64_t size, struct error *err)
{
    (void)size;
    return refuse(err, "truncate", file_of(file)->path);
}

static int refuse_write(struct io_file *file, const struct iovec *iov, int count, uint64_t offset,
                        struct error *err)
{
    (void)iov;
    (void)count;
    (void)offset;
    return refuse(err, "write", file_of(file)->path);
}

static int refuse_sync(struct io_file *file, uint32_t *elapsed_us, struct error *err)
{
    (void)elapsed_us;
    return refuse(err, "sync", file_of(file)->path);
}

static int refuse_range(struct io_file *file, uint64_t offset, uint64_t size, struct error *err)
{
    (void)offset;
    (void)size;
    return refuse(err, "reserve or punch", file_of(file)->path);
}

static void refuse_submit(struct io *io, struct io_op *op)
{
    (void)io;
    (void)op;
    UNREACHABLE("an operation submitted to a disk that only reads");
}

/* ---- what is passed on ---- */

static void close_io(struct io *io)
{
    struct readonly *readonly = readonly_of(io);

    CHECK(io->in_flight == 0);
    CHECK(readonly->open_files == 0);
    free(readonly);
}

static int list_dir(struct io *io, const char *path, io_list_fn *fn, void *arg, struct error *err)
{
    return io_list_dir(readonly_of(io)->below, path, fn, arg, err);
}

static int open_file(struct io *io, const char *path, enum io_open_mode mode, struct io_file **out,
                     struct error *err)
{
    const size_t size = strlen(path) + 1;
    struct readonly_file *file;
    int rc;

    CHECK(mode <= IO_OPEN_CREATE);
    if (mode == IO_OPEN_CREATE) {
        return refuse(err, "create", path);
    }
    file = calloc(1, sizeof *file + size);
    if (file == NULL) {
        return error_set(err, TUSK_ENOMEM, "open %s: out of memory", path);
    }
    file->base.io = io;
    memcpy(file->path, path, size);
    rc = io_open(readonly_of(io)->below, path, IO_OPEN_READ, &file->below, err);
    if (rc != 0) {
        free(file);
        return rc;
    }
    CHECK(file->below != NULL);
    CHECK(readonly_of(io)->open_files < UINT_MAX);
    readonly_of(io)->open_files++;
    *out = &file->base;
    return 0;
}

static void close_file(struct io_file *base)
{
    struct readonly *readonly = readonly_of(base->io);
    struct readonly_file *file = file_of(base);

    CHECK(readonly->open_files > 0);
    CHECK(base->in_flight == 0);
    readonly->open_files--;
    io_close_file(file->below);
    free(file);
}

static int file_size(struct io_file *file, uint64_t *size, struct error *err)
{
    return io_size(file_of(file)->below, size, err);
}

/* The read failed as a whole: what can be had of it, page by page. */
static int read_pages(struct io_file *base, uint8_t *data, size_t size, uint64_t offset,
                      size_t *got, struct error *err)
{
    const struct readonly *readonly = readonly_of(base->io);
    struct readonly_file *file = file_of(base);
    uint64_t end;
    size_t at;
    int rc = io_size(file->below, &end, err);

    CHECK(readonly->unreadable != NULL);
    CHECK(size % IO_DIRECT_ALIGN == 0);
    CHECK(offset % IO_DIRECT_ALIGN == 0);
    CHECK(offset <= UINT64_MAX - size);
    *got = 0;
    if (rc != 0 || offset >= end) {
        return rc;
    }
    for (at = 0; at < size && offset + at < end; at += IO_DIRECT_ALIGN) {
        size_t part = 0;

        rc = io_read_direct(file->below, data + at, IO_DIRECT_ALIGN, offset + at, &part, err);
        if (rc == TUSK_EIO) {
            part =
                end - offset - at < IO_DIRECT_ALIGN ? (size_t)(end - offset - at) : IO_DIRECT_ALIGN;
            memset(data + at, 0, part);
            readonly->unreadable(readonly->arg, file->path, offset + at, part);
        } else if (rc != 0) {
            return rc;
        }
        CHECK(part <= IO_DIRECT_ALIGN);
        *got = at + part;
    }
    CHECK(*got <= size);
    return 0;
}

static int read_direct(struct io_file *base, uint8_t *data, size_t size, uint64_t offset,
                       size_t *got, struct error *err)
{
    const int rc = io_read_direct(file_of(base)->below, data, size, offset, got, err);

    CHECK(rc != 0 || *got <= size);
    return rc == TUSK_EIO && readonly_of(base->io)->unreadable != NULL
               ? read_pages(base, data, size, offset, got, err)
               : rc;
}

static int read_cached(struct io_file *file, uint8_t *data, size_t size, uint64_t offset,
                       size_t *got)
{
    const int rc = io_read_cached(file_of(file)->below, data, size, offset, got);

    CHECK(rc != 0 || *got <= size);
    return rc;
}

static int nothing_to_poll(struct io *io)
{
    CHECK(io->in_flight == 0);
    return 0;
}

static int no_poll_fd(struct io *io)
{
    (void)io;
    return -1;
}

static const struct io_ops readonly_ops = {
    .name = "read-only",
    .close = close_io,
    .make_dir = refuse_make_dir,
    .remove_dir = refuse_remove_dir,
    .list_dir = list_dir,
    .sync_dir = refuse_sync_dir,
    .rename = refuse_rename,
    .unlink = refuse_unlink,
    .lock = refuse_lock,
    .open = open_file,
    .close_file = close_file,
    .size = file_size,
    .truncate = refuse_truncate,
    .write = refuse_write,
    .read_direct = read_direct,
    .read_cached = read_cached,
    .sync = refuse_sync,
    .allocate = refuse_range,
    .punch = refuse_range,
    .submit = refuse_submit,
    .poll = nothing_to_poll,
    .wait = nothing_to_poll,
    .poll_fd = no_poll_fd,
};

int io_readonly_open(struct io **out, struct io *below, io_unreadable_fn *unreadable, void *arg,
                     struct error *err)
{
    struct readonly *readonly = calloc(1, sizeof *readonly);

    CHECK(below != NULL);
    CHECK(below->ops != &readonly_ops);
    if (readonly == NULL) {
        return error_set(err, TUSK_ENOMEM, "open a data directory for reading");
    }
    *readonly = (struct readonly){
        .base = {.ops = &readonly_ops}, .below = below, .unreadable = unreadable, .arg = arg};
    *out = &readonly->base;
    /* fanalyzer-suppress malloc-leak: *out is its first member */
    return 0;
}

/* ---- the lock ---- */

static int lock_held(int fd, const char *data_dir, struct error *err)
{
    char text[24] = "";
    size_t got;
    long pid = 0;

    CHECK(fd >= 0);
    if (io_call_read(fd, (uint8_t *)text, sizeof text - 1, 0, &got) == 0) {
        CHECK(got < sizeof text); /* So that a zero ends it */
        pid = strtol(text, NULL, 10);
    }
    return pid > 0 ? error_set(err, TUSK_ELOCKED, "data directory %s is in use by process %ld",
                               data_dir, pid)
                   : error_set(err, TUSK_ELOCKED, "data directory %s is in use by another process",
                               data_dir);
}

int io_readonly_lock(int *fd, const char *data_dir, struct error *err)
{
    struct io_root root;
    int rc = io_call_root_open(&root, data_dir);

    CHECK(data_dir != NULL);
    *fd = -1;
    if (rc != 0) {
        return error_errno(err, rc, "open data directory %s", data_dir);
    }
    rc = io_call_open(&root, "LOCK", O_RDONLY | O_NONBLOCK | O_NOCTTY, fd);
    io_call_root_close(&root);
    if (rc == ENOENT) {
        *fd = -1;
        return 0;
    }
    if (rc != 0) {
        *fd = -1;
        return error_errno(err, rc, "look at the lock of %s", data_dir);
    }
    CHECK(*fd >= 0);
    do {
        rc = flock(*fd, LOCK_SH | LOCK_NB);
    } while (rc != 0 && errno == EINTR);
    if (rc == 0) {
        return 0;
    }
    rc = errno == EWOULDBLOCK ? lock_held(*fd, data_dir, err)
                              : error_errno(err, errno, "share the lock of %s", data_dir);
    io_readonly_unlock(*fd);
    *fd = -1;
    return rc;
}

void io_readonly_unlock(int fd)
{
    CHECK(fd >= -1);
    if (fd >= 0) {
        (void)close(fd); /* Read-only; drops the lock */
    }
}
