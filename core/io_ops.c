/* Submitted operations of the real disks, apart from where they run: see io_files.h. */
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "core/check.h"
#include "core/error.h"
#include "core/io_files.h"

void disk_queue_push(struct disk_queue *queue, struct io_op *op)
{
    CHECK((queue->first == NULL) == (queue->last == NULL));
    op->next = NULL;
    if (queue->last == NULL) {
        CHECK(queue->count == 0);
        queue->first = op;
    } else {
        queue->last->next = op;
    }
    queue->last = op;
    queue->count++;
}

struct io_op *disk_queue_pop(struct disk_queue *queue)
{
    struct io_op *op = queue->first;

    CHECK((op == NULL) == (queue->count == 0));
    if (op == NULL) {
        return NULL;
    }
    queue->first = op->next;
    if (queue->first == NULL) {
        queue->last = NULL;
    }
    queue->count--;
    op->next = NULL;
    return op;
}

void disk_queue_append(struct disk_queue *to, struct disk_queue *from)
{
    CHECK((from->first == NULL) == (from->count == 0));
    CHECK((to->first == NULL) == (to->count == 0));
    CHECK(to != from);
    if (from->first == NULL) {
        return;
    }
    if (to->last == NULL) {
        to->first = from->first;
    } else {
        to->last->next = from->first;
    }
    to->last = from->last;
    to->count += from->count;
    *from = (struct disk_queue){0};
}

uint32_t disk_clock_us(void)
{
    struct timespec now;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    CHECK(now.tv_sec >= 0);
    CHECK(now.tv_nsec >= 0);
    return (uint32_t)((uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u);
}

/* Whether op->file is the caller's: for the rest it is the outcome (CREATE) or not looked at. */
static bool has_file(const struct io_op *op)
{
    CHECK(op != NULL);
    switch (op->kind) {
    case IO_OP_SYNC:
    case IO_OP_READ:
    case IO_OP_WRITE:
    case IO_OP_ALLOCATE:
    case IO_OP_PUNCH:
    case IO_OP_WRITEBACK:
        return true;
    case IO_OP_CREATE:
    case IO_OP_RENAME:
    case IO_OP_UNLINK:
    case IO_OP_SYNC_DIR:
        return false;
    }
    check_failed("a kind of operation", __FILE__, __LINE__, __func__);
}

static bool paths_ok(const struct io_op *op)
{
    CHECK(op->path != NULL || has_file(op));
    if (has_file(op)) {
        return true;
    }
    if (op->kind == IO_OP_SYNC_DIR && op->path[0] == '\0') {
        return true;
    }
    return io_call_path_ok(op->path) && (op->kind != IO_OP_RENAME || io_call_path_ok(op->path_to));
}

int disk_op_begin(struct disk *disk, struct io_op *op)
{
    const unsigned in_flight = disk->base.in_flight++;

    CHECK(op->done != NULL);
    CHECK(disk != NULL);
    op->elapsed_us = disk_clock_us(); /* The start, until disk_op_result() */
    if (has_file(op)) {
        CHECK(op->file->io == &disk->base);
        op->file->in_flight++;
    }
    if (op->kind == IO_OP_READ || op->kind == IO_OP_WRITE) {
        CHECK(op->size <= IO_SIZE_MAX);
    }
    if (op->kind == IO_OP_CREATE) {
        op->file = NULL;
    }
    if (in_flight >= DISK_IN_FLIGHT_MAX) {
        return EBUSY;
    }
    return paths_ok(op) ? 0 : EXDEV;
}

void disk_op_result(struct io_op *op, int os_error)
{
    CHECK(os_error >= 0);
    op->elapsed_us = disk_clock_us() - op->elapsed_us;
    op->os_error = os_error;
    op->result = os_error == 0 ? 0 : disk_code_of(os_error);
}

void disk_op_end(struct disk *disk, struct io_op *op)
{
    CHECK(op->done != NULL);
    CHECK(op->result <= 0);
    CHECK(disk->base.in_flight > 0);
    disk->base.in_flight--;
    if (has_file(op)) {
        CHECK(op->file->in_flight > 0);
        op->file->in_flight--;
    }
    op->done(op);
}

static int run_create(struct disk *disk, struct io_op *op)
{
    struct disk_file *file;
    int fd;
    const int rc = io_call_create(&disk->root, op->path, &fd);

    CHECK(op->kind == IO_OP_CREATE);
    CHECK(op->file == NULL);
    if (rc != 0) {
        return rc;
    }
    file = disk_file_new(disk, op->path, fd);
    if (file == NULL) {
        (void)close(fd); /* Nothing was written */
        return ENOMEM;
    }
    op->file = &file->base;
    return 0;
}

static int run_allocate(int fd, const struct io_op *op)
{
    const int rc = io_call_allocate(fd, op->offset, op->size);

    CHECK(fd >= 0);
    CHECK(op->kind == IO_OP_ALLOCATE);
    CHECK(op->size > 0);
    if (rc != 0) {
        return rc;
    }
    return io_call_sync(fd) == 0 ? 0 : EIO; /* ENOSPC too: see io.h */
}

static int run_on_file(const struct io_op *op)
{
    const struct iovec iov = {.iov_base = op->data, .iov_len = op->size};
    const int fd = disk_file_of(op->file)->fd;

    CHECK(fd >= 0);
    CHECK(has_file(op));
    switch (op->kind) {
    case IO_OP_SYNC:
        return io_call_sync(fd);
    case IO_OP_READ:
        return io_call_read_all(fd, op->data, op->size, op->offset);
    case IO_OP_WRITE:
        return io_call_write(fd, &iov, 1, op->offset);
    case IO_OP_ALLOCATE:
        return run_allocate(fd, op);
    case IO_OP_PUNCH:
        return io_call_punch(fd, op->offset, op->size);
    case IO_OP_WRITEBACK:
        io_call_writeback(fd, op->offset, op->size);
        return 0;
    case IO_OP_CREATE:
    case IO_OP_RENAME:
    case IO_OP_UNLINK:
    case IO_OP_SYNC_DIR:
        break;
    }
    check_failed("an operation on a file", __FILE__, __LINE__, __func__);
}

void disk_op_run(struct disk *disk, struct io_op *op)
{
    int rc;

    CHECK(disk != NULL);
    CHECK(op->done != NULL);
    switch (op->kind) {
    case IO_OP_CREATE:
        rc = run_create(disk, op);
        break;
    case IO_OP_RENAME:
        rc = io_call_rename(&disk->root, op->path, op->path_to);
        break;
    case IO_OP_UNLINK:
        rc = io_call_unlink(&disk->root, op->path);
        break;
    case IO_OP_SYNC_DIR:
        rc = io_call_sync_dir(&disk->root, op->path);
        break;
    case IO_OP_SYNC:
    case IO_OP_READ:
    case IO_OP_WRITE:
    case IO_OP_ALLOCATE:
    case IO_OP_PUNCH:
    case IO_OP_WRITEBACK:
    default:
        rc = run_on_file(op);
        break;
    }
    disk_op_result(op, rc);
}
