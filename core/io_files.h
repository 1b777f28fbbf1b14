/* What the real disks share: the open data directory, open files, the immediate operations with
 * their sentences, and what is done at the start and the end of every submitted one.
 *
 *     struct disk        begins with the struct io that callers hold
 *     struct disk_file   begins with the struct io_file that callers hold
 *
 * The functions disk_<verb> of struct io or struct io_file are entries for a struct io_ops.
 *
 * A submitted operation passes disk_op_begin(), runs wherever the implementation runs it, gets its
 * outcome by disk_op_result(), and is finished by disk_op_end() on the caller's thread. */
#ifndef CORE_IO_FILES_H
#define CORE_IO_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/io.h"
#include "core/io_call.h"

/* Submitted and not done, in one io. Operations are the callers' memory, so this bounds only how
 * long a queue gets when a disk stalls; one more completes with TUSK_EBUSY. */
#define DISK_IN_FLIGHT_MAX 65536u

struct disk_lock;

struct disk {
    struct io base;
    struct io_root root;
    struct disk_lock *locks; /* Owned; one per io_lock() */
    size_t file_size;        /* Bytes of this implementation's file; it begins with disk_file */
};

enum disk_direct { DISK_DIRECT_UNTRIED, DISK_DIRECT_OPEN, DISK_DIRECT_NONE };

struct disk_file {
    struct io_file base;
    int fd;
    int direct_fd; /* O_DIRECT, opened by the first io_read_direct(); else -1 */
    enum disk_direct direct;
    char path[IO_PATH_SIZE]; /* As it was opened; a rename since does not change it */
};

/* Operations in the order they came, linked by io_op.next. Zeroed is empty. */
struct disk_queue {
    struct io_op *first;
    struct io_op *last;
    unsigned count;
};

void disk_queue_push(struct disk_queue *queue, struct io_op *op);
/* NULL when empty. */
struct io_op *disk_queue_pop(struct disk_queue *queue);
/* Move all of `from` behind `to`. */
void disk_queue_append(struct disk_queue *to, struct disk_queue *from);

/* Open data_dir into *disk, which on failure holds nothing. */
int disk_init(struct disk *disk, const struct io_ops *ops, const char *data_dir, size_t file_size,
              struct error *err);
void disk_deinit(struct disk *disk);

struct disk *disk_of(struct io *io);
struct disk_file *disk_file_of(struct io_file *file);
/* A file around an open descriptor. NULL: out of memory, and fd is still the caller's. */
struct disk_file *disk_file_new(struct disk *disk, const char *path, int fd);

/* The code for an errno value, as error_code_of(), with what is particular to files: a link in
 * the way is DENIED, a path that leads out INVALID (EXDEV), a file size limit NOSPACE. */
int disk_code_of(int os_error);

/* Fail with "<doing> <path>: <reason>" and the code of os_error. */
int disk_fail(struct error *err, int os_error, const char *doing, const char *path);
/* Refuse what is not io_call_path_ok() with TUSK_EINVALID. */
int disk_check_path(const char *path, struct error *err);
/* Close what io_lock() opened. */
void disk_unlock_all(struct disk *disk);
/* CLOCK_MONOTONIC in microseconds; wraps after 71 minutes, so only differences mean something. */
uint32_t disk_clock_us(void);

/* Count op as in flight and note the time. Returns 0, or the errno value with which it is refused:
 * it must not run, but be completed with that. */
int disk_op_begin(struct disk *disk, struct io_op *op);
/* Set the outcome from an errno value (0: success) and take the time. Any thread. */
void disk_op_result(struct io_op *op, int os_error);
/* Take op out of the counts and run done(), after which op may be gone. */
void disk_op_end(struct disk *disk, struct io_op *op);
/* Do a whole operation here and now, and set its outcome. Any thread. */
void disk_op_run(struct disk *disk, struct io_op *op);

int disk_make_dir(struct io *io, const char *path, struct error *err);
int disk_remove_dir(struct io *io, const char *path, struct error *err);
int disk_list_dir(struct io *io, const char *path, io_list_fn *fn, void *arg, struct error *err);
int disk_sync_dir(struct io *io, const char *path, struct error *err);
int disk_rename(struct io *io, const char *from, const char *to, struct error *err);
int disk_unlink(struct io *io, const char *path, struct error *err);
int disk_lock(struct io *io, const char *path, struct error *err);
int disk_open(struct io *io, const char *path, enum io_open_mode mode, struct io_file **out,
              struct error *err);
void disk_close_file(struct io_file *base);
int disk_size(struct io_file *base, uint64_t *size, struct error *err);
int disk_truncate(struct io_file *base, uint64_t size, struct error *err);
int disk_write(struct io_file *base, const struct iovec *iov, int count, uint64_t offset,
               struct error *err);
int disk_read_direct(struct io_file *base, uint8_t *data, size_t size, uint64_t offset, size_t *got,
                     struct error *err);
int disk_read_cached(struct io_file *base, uint8_t *data, size_t size, uint64_t offset,
                     size_t *got);
int disk_share(struct io_file *base, int *fd);
bool disk_resident(struct io_file *base, uint64_t offset, size_t size);
void disk_read_ahead(struct io_file *base, uint64_t offset, size_t size);
int disk_send(struct io_file *base, uint64_t offset, size_t size, int socket_fd, size_t *sent);
int disk_sync(struct io_file *base, uint32_t *elapsed_us, struct error *err);
int disk_allocate(struct io_file *base, uint64_t offset, uint64_t size, struct error *err);
int disk_punch(struct io_file *base, uint64_t offset, uint64_t size, struct error *err);

/* All of these but the two that io_mmap does in its own way: reading cached, and closing a file. */
#define DISK_IMMEDIATE_OPS                                                                         \
    .make_dir = disk_make_dir, .remove_dir = disk_remove_dir, .list_dir = disk_list_dir,           \
    .sync_dir = disk_sync_dir, .rename = disk_rename, .unlink = disk_unlink, .lock = disk_lock,    \
    .open = disk_open, .size = disk_size, .truncate = disk_truncate, .write = disk_write,          \
    .read_direct = disk_read_direct, .share = disk_share, .resident = disk_resident,               \
    .read_ahead = disk_read_ahead, .send = disk_send, .sync = disk_sync,                           \
    .allocate = disk_allocate, .punch = disk_punch

#endif
