/* The disk, as the engine sees it: a table of operations on files beneath one data
 * directory. Nothing else in core makes a system call on data files.
 *
 *     io_posix   calls inline; what may take long, on a few threads
 *     io_uring   calls inline; what may take long, on a ring (the default)
 *     io_mmap    as io_posix, but reads come from read-only maps
 *     io_sim     in tests: a disk that fails, tears, reorders, and loses power
 *
 * There are two kinds of operation. *Immediate* ones return when done; they are for start-up,
 * and for what the page cache does at once: an append to the journal is one io_write(). *Submitted*
 * ones (struct io_op) are what waits for the device. A submitted operation's done() runs only from
 * io_poll() or io_wait(), never inside io_submit(), and exactly once.
 *
 * Paths are relative to the data directory, with '/' between parts; no part may be "..", no
 * symbolic link is followed, only regular files are opened (openat2(2), RESOLVE_BENEATH and
 * RESOLVE_NO_SYMLINKS). Files are created 0600, directories 0700. One owner per file: it is
 * closed only after its submitted operations have completed (CHECKed).
 *
 * Every failure that reaches the caller is final: EINTR is repeated below this line, a short write
 * is continued, and an fdatasync that failed is *not* repeated (a second one would succeed and
 * lie; reliability rule 2). Not thread-safe: one io per loop thread. */
#ifndef CORE_IO_H
#define CORE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct error;
struct io;
struct io_file;

#define IO_PATH_SIZE 1024
#define IO_DIRECT_ALIGN 4096u  /* Address, size and offset of io_read_direct() */
#define IO_SIZE_MAX (1u << 30) /* Of one operation: more completes short on Linux */

enum io_open_mode {
    IO_OPEN_READ,   /* Must exist; opened read-only */
    IO_OPEN_WRITE,  /* Must exist; read and write */
    IO_OPEN_CREATE, /* Must not exist (O_EXCL: TUSK_EEXISTS); read and write */
};

enum io_kind { IO_KIND_FILE, IO_KIND_DIRECTORY, IO_KIND_OTHER };

/* Called for each name in a directory, "." and ".." left out, in no order. Non-zero stops the
 * listing, which then returns it. */
typedef int io_list_fn(void *arg, const char *name, enum io_kind kind);

enum io_op_kind {
    IO_OP_SYNC,  /* fdatasync of file. A failure is final */
    IO_OP_READ,  /* size bytes at offset into data; past the end of the file is TUSK_EIO */
    IO_OP_WRITE, /* size bytes at offset from data */
    /* fallocate [offset, offset + size) of file, then fdatasync it. When that fails it is TUSK_EIO,
     * whatever errno says: what others wrote to the file may be lost. So TUSK_ENOSPACE only means
     * that there was no space to reserve. */
    IO_OP_ALLOCATE,
    IO_OP_PUNCH,     /* Give the space of [offset, offset + size) back; it reads as zeros */
    IO_OP_CREATE,    /* Open path (IO_OPEN_CREATE); the file is put in `file` */
    IO_OP_RENAME,    /* path to path_to, replacing it */
    IO_OP_UNLINK,    /* path; a missing one is TUSK_ENOTFOUND */
    IO_OP_SYNC_DIR,  /* fsync of the directory path */
    IO_OP_WRITEBACK, /* Start writing [offset, offset + size) of file to the device. Only advice:
                          always succeeds, proves nothing */
};

/* A submitted operation: the caller's memory, untouched by the caller until done() runs. */
struct io_op {
    enum io_op_kind kind;
    struct io_file *file;
    uint8_t *data; /* Borrowed until done */
    uint64_t offset;
    uint32_t size;                  /* At most IO_SIZE_MAX, but for ALLOCATE and PUNCH */
    const char *path;               /* Borrowed until done */
    const char *path_to;            /* Borrowed until done */
    void (*done)(struct io_op *op); /* May submit, free op, or close op->file */
    void *arg;                      /* The caller's */
    int result;                     /* 0, or a negative TUSK_E* */
    int os_error;                   /* errno behind result, for the message */
    uint32_t elapsed_us;            /* From the call to its completion, as io measured it */
    struct io_op *next;             /* io's, while submitted */
};

struct io_ops {
    const char *name; /* "uring", "posix", "mmap", "sim" */
    void (*close)(struct io *io);
    int (*make_dir)(struct io *io, const char *path, struct error *err);
    int (*remove_dir)(struct io *io, const char *path, struct error *err);
    int (*list_dir)(struct io *io, const char *path, io_list_fn *fn, void *arg, struct error *err);
    int (*sync_dir)(struct io *io, const char *path, struct error *err);
    int (*rename)(struct io *io, const char *from, const char *to, struct error *err);
    int (*unlink)(struct io *io, const char *path, struct error *err);
    int (*lock)(struct io *io, const char *path, struct error *err);
    int (*open)(struct io *io, const char *path, enum io_open_mode mode, struct io_file **out,
                struct error *err);
    void (*close_file)(struct io_file *file);
    int (*size)(struct io_file *file, uint64_t *size, struct error *err);
    int (*truncate)(struct io_file *file, uint64_t size, struct error *err);
    int (*write)(struct io_file *file, const struct iovec *iov, int count, uint64_t offset,
                 struct error *err);
    int (*read_direct)(struct io_file *file, uint8_t *data, size_t size, uint64_t offset,
                       size_t *got, struct error *err);
    int (*read_cached)(struct io_file *file, uint8_t *data, size_t size, uint64_t offset,
                       size_t *got);
    /* NULL: nothing can be shared */
    int (*share)(struct io_file *file, int *fd);
    /* NULL, all three: nothing is ever resident */
    bool (*resident)(struct io_file *file, uint64_t offset, size_t size);
    void (*read_ahead)(struct io_file *file, uint64_t offset, size_t size);
    int (*send)(struct io_file *file, uint64_t offset, size_t size, int socket_fd, size_t *sent);
    int (*sync)(struct io_file *file, uint32_t *elapsed_us, struct error *err);
    int (*allocate)(struct io_file *file, uint64_t offset, uint64_t size, struct error *err);
    int (*punch)(struct io_file *file, uint64_t offset, uint64_t size, struct error *err);
    void (*submit)(struct io *io, struct io_op *op);
    int (*poll)(struct io *io);
    int (*wait)(struct io *io);
    int (*poll_fd)(struct io *io);
};

struct io {
    const struct io_ops *ops;
    unsigned in_flight; /* Submitted, done() not yet run. Kept by the implementation */
};

struct io_file {
    struct io *io;
    unsigned in_flight; /* Submitted operations on this file. Kept by the implementation */
};

/* Open an implementation on an existing directory. *out is owned: io_close(). threads: how many
 * operations io_posix and io_mmap run at once (1..16). io_uring_open() fails with
 * TUSK_EUNSUPPORTED, and a sentence, where the kernel or a sandbox forbids rings: the caller falls
 * back to posix. */
int io_posix_open(struct io **out, const char *data_dir, unsigned threads, struct error *err);
int io_mmap_open(struct io **out, const char *data_dir, unsigned threads, struct error *err);
int io_uring_open(struct io **out, const char *data_dir, struct error *err);

/* All files must be closed and nothing in flight. NULL allowed. */
void io_close(struct io *io);

/* Immediate operations. */
int io_make_dir(struct io *io, const char *path, struct error *err);   /* TUSK_EEXISTS */
int io_remove_dir(struct io *io, const char *path, struct error *err); /* Must be empty */
/* path "" is the data directory itself, here and for sync_dir. */
int io_list_dir(struct io *io, const char *path, io_list_fn *fn, void *arg, struct error *err);
int io_sync_dir(struct io *io, const char *path, struct error *err);
int io_rename(struct io *io, const char *from, const char *to, struct error *err);
int io_unlink(struct io *io, const char *path, struct error *err);
/* Take an exclusive lock on a file (created if missing) and keep it until io_close(); the
 * process id stands inside. TUSK_ELOCKED names the holder's pid. Never waits. */
int io_lock(struct io *io, const char *path, struct error *err);
int io_open(struct io *io, const char *path, enum io_open_mode mode, struct io_file **out,
            struct error *err);
/* Without syncing. NULL allowed. CHECKs that nothing is in flight on it. */
void io_close_file(struct io_file *file);
int io_size(struct io_file *file, uint64_t *size, struct error *err);
int io_truncate(struct io_file *file, uint64_t size, struct error *err);
/* Write all of iov at offset, into the page cache. On failure any part may have been written. */
int io_write(struct io_file *file, const struct iovec *iov, int count, uint64_t offset,
             struct error *err);
/* Read what the device holds, past the page cache (dirty pages are written out first). data, size
 * and offset are multiples of IO_DIRECT_ALIGN. *got < size only at the end of the file. Where the
 * file system has no O_DIRECT, the cache is dropped first, as well as can be. */
int io_read_direct(struct io_file *file, uint8_t *data, size_t size, uint64_t offset, size_t *got,
                   struct error *err);
/* Read what is in memory, without waiting for the device: any size and offset. Returns 0 with *got
 * bytes (may be less than size), TUSK_EBUSY when the first byte is not resident (submit an
 * IO_OP_READ instead), or TUSK_EIO. *got == 0 with 0: end of the file. */
int io_read_cached(struct io_file *file, uint8_t *data, size_t size, uint64_t offset, size_t *got);
/* Open the file once more, for reading only, for another process: *fd is the caller's.
 * TUSK_EUNSUPPORTED: this io has none; TUSK_EIO: not now, for want of descriptors, say. */
int io_share(struct io_file *file, int *fd);
/* Whether all of [offset, offset + size) is in memory. Where that cannot be told: no. */
bool io_resident(struct io_file *file, uint64_t offset, size_t size);
/* Ask the kernel for bytes, without waiting. Only advice. Where io_resident() has once said yes. */
void io_read_ahead(struct io_file *file, uint64_t offset, size_t size);
/* Send bytes of the file that are in memory to a socket that does not block, without copying them
 * (sendfile(2)): pages of the cache go out as they are, so what is written to the file before the
 * other side has taken them may change them. 0 with *sent > 0; TUSK_EBUSY: the socket takes nothing
 * now; TUSK_EUNSUPPORTED: this
 * file cannot be sent to this socket; TUSK_EUNREACHABLE: nobody is at its other end. Only where
 * io_resident() has said yes. */
int io_send(struct io_file *file, uint64_t offset, size_t size, int socket_fd, size_t *sent);
/* fdatasync, waiting. *elapsed_us (NULL allowed): how long it took. */
int io_sync(struct io_file *file, uint32_t *elapsed_us, struct error *err);
/* Take space for [offset, offset + size), whose bytes stay as they are; the file grows to it. Not
 * durable: sync the file. TUSK_ENOSPACE, TUSK_EIO. */
int io_allocate(struct io_file *file, uint64_t offset, uint64_t size, struct error *err);
int io_punch(struct io_file *file, uint64_t offset, uint64_t size, struct error *err);

/* Start an operation; done() runs from a later io_poll() or io_wait(). Never fails: what cannot
 * be started completes with an error. */
void io_submit(struct io *io, struct io_op *op);
/* Run done() of everything that has completed; returns how many. Never waits. */
int io_poll(struct io *io);
/* The same, but wait for at least one if any is in flight. */
int io_wait(struct io *io);
/* A descriptor that is readable when io_poll() has something to do. -1 for io_sim. */
int io_poll_fd(struct io *io);

#endif
