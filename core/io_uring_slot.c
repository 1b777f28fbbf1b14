/* One operation in the kernel: its requests, one after the other, and what each result means. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <unistd.h>

#include "core/check.h"
#include "core/io_uring_slot.h"

/* EINTR or EAGAIN for one request this often in a row is a kernel that will never do it. */
#define URING_REPEATS_MAX 1000u

static int slot_fd(const struct uring_slot *slot)
{
    CHECK(slot->op->file != NULL);
    return disk_file_of(slot->op->file)->fd;
}

/* What is still to be moved. An operation of no bytes may come without any. */
static uint8_t *slot_data(const struct uring_slot *slot)
{
    CHECK(slot->progress <= slot->op->size);
    return slot->progress == 0 ? slot->op->data : slot->op->data + slot->progress;
}

static void request_run(struct io_uring_sqe *sqe, const struct uring_slot *slot)
{
    const struct io_op *op = slot->op;
    const struct io_parent *parent = &slot->parent;
    const struct io_parent *parent_to = &slot->parent_to;
    const uint32_t left = op->size - slot->progress;
    const uint64_t offset = op->offset + slot->progress;

    CHECK(slot->step == SLOT_RUN);
    CHECK(slot->progress <= op->size);
    switch (op->kind) {
    case IO_OP_SYNC:
        io_uring_prep_fsync(sqe, slot_fd(slot), IORING_FSYNC_DATASYNC);
        break;
    case IO_OP_READ:
        io_uring_prep_read(sqe, slot_fd(slot), slot_data(slot), left, offset);
        break;
    case IO_OP_WRITE:
        io_uring_prep_write(sqe, slot_fd(slot), slot_data(slot), left, offset);
        break;
    case IO_OP_ALLOCATE:
        io_uring_prep_fallocate(sqe, slot_fd(slot), 0, (off_t)op->offset, (off_t)op->size);
        break;
    case IO_OP_PUNCH:
        io_uring_prep_fallocate(sqe, slot_fd(slot), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                (off_t)op->offset, (off_t)op->size);
        break;
    case IO_OP_CREATE:
        io_uring_prep_openat(sqe, parent->fd, parent->name, IO_CALL_CREATE_FLAGS,
                             IO_CALL_FILE_MODE);
        break;
    case IO_OP_RENAME:
        io_uring_prep_renameat(sqe, parent->fd, parent->name, parent_to->fd, parent_to->name, 0);
        break;
    case IO_OP_UNLINK:
        io_uring_prep_unlinkat(sqe, parent->fd, parent->name, 0);
        break;
    case IO_OP_SYNC_DIR:
        io_uring_prep_fsync(sqe, slot->dir_fd, 0);
        break;
    case IO_OP_WRITEBACK:
        io_uring_prep_sync_file_range(sqe, slot_fd(slot), op->size, op->offset,
                                      SYNC_FILE_RANGE_WRITE);
        break;
    }
}

void uring_slot_request(struct uring *uring, struct uring_slot *slot)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

    CHECK(slot->op != NULL);
    CHECK(sqe != NULL); /* As many entries as slots, and one request a slot */
    switch (slot->step) {
    case SLOT_RUN:
        request_run(sqe, slot);
        break;
    case SLOT_SYNC:
        io_uring_prep_fsync(sqe, slot_fd(slot), IORING_FSYNC_DATASYNC);
        break;
    case SLOT_FAILED:
        io_uring_prep_nop(sqe);
        break;
    }
    io_uring_sqe_set_data(sqe, slot);
}

/* Open the directories that the operation works in. Returns 0 or an errno value. */
static int slot_open_dirs(struct uring *uring, struct uring_slot *slot)
{
    const struct io_root *root = &uring->disk.root;
    const struct io_op *op = slot->op;
    int rc = 0;

    CHECK(slot->dir_fd < 0);
    CHECK(slot->parent.fd < 0);
    CHECK(slot->parent_to.fd < 0);
    if (op->kind == IO_OP_SYNC_DIR) {
        rc = io_call_open(root, op->path, O_RDONLY | O_DIRECTORY, &slot->dir_fd);
    } else if (op->kind == IO_OP_CREATE || op->kind == IO_OP_UNLINK || op->kind == IO_OP_RENAME) {
        rc = io_call_parent_open(root, op->path, &slot->parent);
        if (rc == 0 && op->kind == IO_OP_RENAME) {
            rc = io_call_parent_open(root, op->path_to, &slot->parent_to);
        }
    }
    return rc;
}

void uring_slot_take(struct uring *uring, struct io_op *op)
{
    struct uring_slot *slot = uring->free;

    CHECK(op != NULL);
    CHECK(slot != NULL);
    CHECK(slot->op == NULL);
    CHECK(uring->slots_used < URING_SLOTS);
    uring->free = slot->next_free;
    uring->slots_used++;
    *slot = (struct uring_slot){.op = op, .dir_fd = -1, .failure = op->os_error};
    slot->parent.fd = -1;
    slot->parent_to.fd = -1;
    if (slot->failure == 0) {
        slot->failure = slot_open_dirs(uring, slot);
    }
    slot->step = slot->failure == 0 ? SLOT_RUN : SLOT_FAILED;
    uring_slot_request(uring, slot);
}

void uring_slot_release(struct uring *uring, struct uring_slot *slot)
{
    CHECK(slot->op != NULL);
    CHECK(uring->slots_used > 0);
    io_call_parent_close(&slot->parent);
    io_call_parent_close(&slot->parent_to);
    if (slot->dir_fd >= 0) {
        (void)close(slot->dir_fd); /* Read-only */
    }
    slot->op = NULL;
    slot->next_free = uring->free;
    uring->free = slot;
    uring->slots_used--;
}

/* READ or WRITE, and res bytes of it more. True: finished. */
static bool advance_transfer(struct uring_slot *slot, int res, int *os_error)
{
    const struct io_op *op = slot->op;

    CHECK(res >= 0);
    CHECK(op->kind == IO_OP_READ || op->kind == IO_OP_WRITE);
    CHECK((uint32_t)res <= op->size - slot->progress);
    slot->progress += (uint32_t)res;
    slot->repeats = 0;
    if (slot->progress == op->size) {
        return true;
    }
    if (res == 0) {
        *os_error = op->kind == IO_OP_READ ? ENODATA : EIO;
        return true;
    }
    return false;
}

static bool advance_allocate(struct uring_slot *slot, int res, int *os_error)
{
    const struct io_op *op = slot->op;

    CHECK(op->kind == IO_OP_ALLOCATE);
    CHECK(slot->step == SLOT_RUN);
    CHECK(res <= 0);
    if (res == -EOPNOTSUPP) {
        *os_error = io_call_extend(slot_fd(slot), op->offset + op->size);
    } else {
        *os_error = -res;
    }
    slot->step = SLOT_SYNC;
    return *os_error != 0;
}

static int finish_create(struct uring *uring, struct io_op *op, int fd)
{
    struct disk_file *file;

    CHECK(op->kind == IO_OP_CREATE);
    CHECK(op->file == NULL);
    if (fd < 0) {
        return -fd;
    }
    file = disk_file_new(&uring->disk, op->path, fd);
    if (file == NULL) {
        (void)close(fd); /* Nothing was written */
        return ENOMEM;
    }
    op->file = &file->base;
    return 0;
}

bool uring_slot_advance(struct uring *uring, struct uring_slot *slot, int res, int *os_error)
{
    struct io_op *op = slot->op;

    CHECK(op != NULL);
    CHECK((slot->step == SLOT_FAILED) == (slot->failure != 0));
    *os_error = res < 0 ? -res : 0;
    if (slot->step == SLOT_FAILED) {
        *os_error = slot->failure;
        return true;
    }
    if (slot->step == SLOT_SYNC && *os_error != 0) {
        *os_error = EIO; /* ENOSPC too: see io.h */
    }
    if (slot->step == SLOT_SYNC || op->kind == IO_OP_SYNC || op->kind == IO_OP_SYNC_DIR) {
        return true;
    }
    if (res == -EINTR || res == -EAGAIN) {
        return ++slot->repeats > URING_REPEATS_MAX;
    }
    switch (op->kind) {
    case IO_OP_READ:
    case IO_OP_WRITE:
        return res < 0 || advance_transfer(slot, res, os_error);
    case IO_OP_ALLOCATE:
        return advance_allocate(slot, res, os_error);
    case IO_OP_PUNCH:
        *os_error = res == -EOPNOTSUPP ? 0 : *os_error;
        return true;
    case IO_OP_WRITEBACK:
        *os_error = 0;
        return true;
    case IO_OP_CREATE:
        *os_error = finish_create(uring, op, res);
        return true;
    case IO_OP_RENAME:
    case IO_OP_UNLINK:
    case IO_OP_SYNC:
    case IO_OP_SYNC_DIR:
        break;
    }
    return true;
}
