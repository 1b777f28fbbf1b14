/* See io_threads.h. */
#include "core/io_threads.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/check.h"
#include "core/error.h"

_Static_assert(offsetof(struct io_threads, disk) == 0, "struct io * is a struct io_threads *");

/* With the lock held, so that the descriptor and the list never disagree. */
static void done_push(struct io_threads *pool, struct io_op *op)
{
    const uint64_t one = 1;

    CHECK(op != NULL);
    if (pool->done.count == 0) {
        CHECK(write(pool->event_fd, &one, sizeof one) == (ssize_t)sizeof one);
    }
    disk_queue_push(&pool->done, op);
}

static void *thread_main(void *arg)
{
    struct io_threads *pool = arg;
    struct io_op *op;

    CHECK(pthread_mutex_lock(&pool->lock) == 0);
    for (;;) {
        op = disk_queue_pop(&pool->queue);
        if (op != NULL) {
            CHECK(pthread_mutex_unlock(&pool->lock) == 0);
            pool->run(&pool->disk, op);
            CHECK(pthread_mutex_lock(&pool->lock) == 0);
            done_push(pool, op);
        } else if (pool->stopping) {
            break;
        } else {
            CHECK(pthread_cond_wait(&pool->work, &pool->lock) == 0);
        }
    }
    CHECK(pthread_mutex_unlock(&pool->lock) == 0);
    return NULL;
}

/* The threads take no signals but those of their own faults: all others are the daemon's. */
static int start_threads(struct io_threads *pool, unsigned count, struct error *err)
{
    sigset_t mask;
    sigset_t before;
    int rc = 0;

    CHECK(sigfillset(&mask) == 0);
    CHECK(sigdelset(&mask, SIGBUS) == 0);
    CHECK(sigdelset(&mask, SIGSEGV) == 0);
    CHECK(sigdelset(&mask, SIGFPE) == 0);
    CHECK(sigdelset(&mask, SIGILL) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, &mask, &before) == 0);
    while (pool->thread_count < count && rc == 0) {
        rc = pthread_create(&pool->threads[pool->thread_count], NULL, thread_main, pool);
        pool->thread_count += rc == 0;
    }
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (rc != 0) {
        (void)error_errno(err, rc, "start a thread for the disk");
        if (err != NULL) {
            err->code = TUSK_EBUSY; /* EAGAIN: the limit on threads */
        }
        return TUSK_EBUSY;
    }
    return 0;
}

static int pool_init(struct io_threads *pool, unsigned thread_count, struct error *err)
{
    CHECK(pthread_mutex_init(&pool->lock, NULL) == 0);
    CHECK(pthread_cond_init(&pool->work, NULL) == 0);
    pool->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pool->event_fd < 0) {
        return error_errno(err, errno, "make an eventfd for the disk's threads");
    }
    return start_threads(pool, thread_count, err);
}

static void pool_deinit(struct io_threads *pool)
{
    CHECK(pthread_mutex_lock(&pool->lock) == 0);
    pool->stopping = true;
    CHECK(pthread_cond_broadcast(&pool->work) == 0);
    CHECK(pthread_mutex_unlock(&pool->lock) == 0);
    for (unsigned i = 0; i < pool->thread_count; i++) {
        CHECK(pthread_join(pool->threads[i], NULL) == 0);
    }
    CHECK(pool->queue.count == 0);
    CHECK(pool->done.count == 0);
    CHECK(pool->finished.count == 0);
    if (pool->event_fd >= 0) {
        (void)close(pool->event_fd); /* Holds no data */
    }
    CHECK(pthread_cond_destroy(&pool->work) == 0);
    CHECK(pthread_mutex_destroy(&pool->lock) == 0);
}

int io_threads_open(struct io **out, const struct io_ops *ops, const char *data_dir,
                    size_t file_size, io_threads_run_fn *run, unsigned thread_count,
                    struct error *err)
{
    struct io_threads *pool;
    int rc;

    CHECK(thread_count >= 1);
    CHECK(thread_count <= IO_THREADS_MAX);
    pool = calloc(1, sizeof *pool);
    if (pool == NULL) {
        return error_set(err, TUSK_ENOMEM, "open data directory %s: out of memory", data_dir);
    }
    pool->run = run;
    rc = disk_init(&pool->disk, ops, data_dir, file_size, err);
    if (rc != 0) {
        free(pool);
        return rc;
    }
    rc = pool_init(pool, thread_count, err);
    if (rc != 0) {
        io_threads_close(&pool->disk.base);
        return rc;
    }
    *out = &pool->disk.base;
    return 0;
}

void io_threads_close(struct io *io)
{
    struct io_threads *pool = (struct io_threads *)io;

    pool_deinit(pool);
    disk_deinit(&pool->disk);
    free(pool);
}

void io_threads_submit(struct io *io, struct io_op *op)
{
    struct io_threads *pool = (struct io_threads *)io;
    const int refused = disk_op_begin(&pool->disk, op);

    CHECK(pthread_mutex_lock(&pool->lock) == 0);
    if (refused == 0) {
        disk_queue_push(&pool->queue, op);
        CHECK(pthread_cond_signal(&pool->work) == 0);
    } else {
        disk_op_result(op, refused);
        done_push(pool, op);
    }
    CHECK(pthread_mutex_unlock(&pool->lock) == 0);
}

/* Move the done list to the caller's own, and make the eventfd say so. */
static void take_done(struct io_threads *pool)
{
    uint64_t value;

    CHECK(pthread_mutex_lock(&pool->lock) == 0);
    if (pool->done.count > 0) {
        CHECK(read(pool->event_fd, &value, sizeof value) == (ssize_t)sizeof value);
        disk_queue_append(&pool->finished, &pool->done);
    }
    CHECK(pthread_mutex_unlock(&pool->lock) == 0);
}

int io_threads_poll(struct io *io)
{
    struct io_threads *pool = (struct io_threads *)io;
    unsigned budget;
    int count = 0;

    /* Operations that done() submits are for the next poll, however fast they are. A done() that
     * polls or waits finds the rest of this poll's operations in `finished`, and may empty it. */
    take_done(pool);
    for (budget = pool->finished.count; budget > 0; budget--) {
        struct io_op *op = disk_queue_pop(&pool->finished);

        if (op == NULL) {
            break;
        }
        disk_op_end(&pool->disk, op);
        count++;
    }
    return count;
}

int io_threads_wait(struct io *io)
{
    struct io_threads *pool = (struct io_threads *)io;
    struct pollfd ready = {.fd = pool->event_fd, .events = POLLIN};
    int rc;

    if (io->in_flight > 0 && pool->finished.count == 0) {
        do {
            rc = poll(&ready, 1, -1);
        } while (rc < 0 && errno == EINTR);
        CHECK(rc == 1);
    }
    return io_threads_poll(io);
}

int io_threads_poll_fd(struct io *io)
{
    return ((struct io_threads *)io)->event_fd;
}
