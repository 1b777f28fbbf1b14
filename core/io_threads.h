/* A disk whose submitted operations run on a few threads: io_posix, and io_mmap with its own way
 * to read.
 *
 *     caller's thread   submit --> queue --> a thread runs it --> done list --> poll: done()
 *
 * The two lists are made of the callers' operations, so nothing is allocated while running. The
 * eventfd is readable exactly while the done list holds something. Operations run in any order. */
#ifndef CORE_IO_THREADS_H
#define CORE_IO_THREADS_H

#include <pthread.h>
#include <stdbool.h>

#include "core/io_files.h"

#define IO_THREADS_MAX 16u

/* Do the operation and disk_op_result() it. Runs on any of the threads, several at once. */
typedef void io_threads_run_fn(struct disk *disk, struct io_op *op);

struct io_threads {
    struct disk disk;
    io_threads_run_fn *run;
    pthread_t threads[IO_THREADS_MAX];
    unsigned thread_count;
    struct disk_queue finished; /* Caller's thread: taken off the done list, done() yet to run */

    pthread_mutex_t lock; /* Of everything below */
    pthread_cond_t work;  /* The queue is not empty, or stopping */
    struct disk_queue queue;
    struct disk_queue done;
    bool stopping;
    int event_fd;
};

int io_threads_open(struct io **out, const struct io_ops *ops, const char *data_dir,
                    size_t file_size, io_threads_run_fn *run, unsigned thread_count,
                    struct error *err);

/* Entries for a struct io_ops. */
void io_threads_close(struct io *io);
void io_threads_submit(struct io *io, struct io_op *op);
int io_threads_poll(struct io *io);
int io_threads_wait(struct io *io);
int io_threads_poll_fd(struct io *io);

#endif
