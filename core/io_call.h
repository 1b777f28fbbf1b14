/* The system calls of the real disks, each made whole: EINTR is repeated, what came short is
 * continued, no symbolic link is followed. Every int function here returns 0 or an errno value
 * (positive); the layer above turns it into a code and a sentence, or into io_op.os_error.
 * Safe to call from any thread.
 *
 * Paths have passed io_call_path_ok(), which refuses what could lead out; openat2(2) then refuses
 * links on the way. Where a sandbox forbids openat2, directories are opened part by part instead.
 *
 * Elsewhere: open files, their names and messages (io_files.h), threads (io_threads.h), the ring
 * (io_uring.c). */
#ifndef CORE_IO_CALL_H
#define CORE_IO_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifndef RWF_NOWAIT /* musl before 1.2.5 has no preadv2(): as if the kernel had none */
#define RWF_NOWAIT 0
#define preadv2(fd, iov, count, offset, flags) ((void)(iov), errno = ENOSYS, (ssize_t)-1)
#endif

#define IO_CALL_FILE_MODE 0600u
#define IO_CALL_DIR_MODE 0700u
/* How a file is created: by O_EXCL it is new, so it is a regular file and no link was followed. */
#define IO_CALL_CREATE_FLAGS (O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC)

/* The data directory. Does not change once open. */
struct io_root {
    int fd; /* O_PATH */
    bool has_openat2;
};

/* A directory that was reached without following a link, and the name looked for in it. */
struct io_parent {
    int fd;
    bool owned;       /* fd is closed by io_call_parent_close(); else it is the root's */
    const char *name; /* Into the path it was made from */
};

/* Plain: relative, shorter than IO_PATH_SIZE, no part empty, "." or "..". */
bool io_call_path_ok(const char *path);

int io_call_root_open(struct io_root *root, const char *data_dir);
void io_call_root_close(struct io_root *root);
/* Open path ("" is the root itself) with flags as of open(2); new files get IO_CALL_FILE_MODE. */
int io_call_open(const struct io_root *root, const char *path, int flags, int *fd);
int io_call_parent_open(const struct io_root *root, const char *path, struct io_parent *parent);
void io_call_parent_close(struct io_parent *parent);

int io_call_make_dir(const struct io_root *root, const char *path);
int io_call_remove_dir(const struct io_root *root, const char *path);
int io_call_unlink(const struct io_root *root, const char *path);
int io_call_rename(const struct io_root *root, const char *from, const char *to);
int io_call_sync_dir(const struct io_root *root, const char *path);
int io_call_create(const struct io_root *root, const char *path, int *fd);

int io_call_size(int fd, uint64_t *size);
int io_call_truncate(int fd, uint64_t size);
int io_call_write(int fd, const struct iovec *iov, int count, uint64_t offset);
/* Read until size bytes or the end of the file: *got < size only there. */
int io_call_read(int fd, uint8_t *data, size_t size, uint64_t offset, size_t *got);
/* All of size, as IO_OP_READ: the end of the file comes as ENODATA. */
int io_call_read_all(int fd, uint8_t *data, size_t size, uint64_t offset);
/* What the page cache has, in one call. EAGAIN: not even the first byte. */
int io_call_read_cached(int fd, uint8_t *data, size_t size, uint64_t offset, size_t *got);
/* As io_call_read() through an O_DIRECT descriptor; all arguments aligned. */
int io_call_read_direct(int fd, uint8_t *data, size_t size, uint64_t offset, size_t *got);
/* Write [offset, offset + size) out, wait, and drop its clean pages. */
int io_call_drop_cache(int fd, uint64_t offset, uint64_t size);
/* Never repeated: after a failure the kernel forgets that there was anything to write. */
int io_call_sync(int fd);
/* Without the sync that makes it a reservation. On a file system without fallocate the file only
 * gets its size (sparse), and space is not reserved. */
int io_call_allocate(int fd, uint64_t offset, uint64_t size);
/* Give the file at least this size, sparse. */
int io_call_extend(int fd, uint64_t size);
/* A file system that cannot punch keeps the space: success, but the bytes are what they were. */
int io_call_punch(int fd, uint64_t offset, uint64_t size);
/* Advice: failures are ignored. */
void io_call_writeback(int fd, uint64_t offset, uint64_t size);

#endif
