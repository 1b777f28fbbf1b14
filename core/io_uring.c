/* Immediate operations inline, submitted ones on a ring: the default.
 *
 *   1. io_submit() puts the operation behind the backlog and moves what fits into slots.
 *   2. A slot is one operation in the kernel, with one request on the ring at a time; with fewer
 *      slots than the completion queue has entries, that queue cannot overflow.
 *   3. A request's result either finishes the operation or leads to its next request: the rest of
 *      what came short, the same again (EINTR, EAGAIN), the sync behind an allocation. Requests
 *      are never linked: a short write would not stop the sync behind it.
 *   4. A finished slot takes the next of the backlog, then done() runs.
 *
 * Where it fails:
 *   - A sync's error is final, whatever it is: trying again would succeed and mean nothing.
 *   - An operation that fails before it has a request (no such directory) takes its way through
 *     the ring as a request for nothing, so every completion comes from one place and wakes the
 *     same descriptor.
 *   - A kernel that takes no requests for lack of memory: what it has is waited for, and the next
 *     completion or submission tries again. If it has none, and still takes none after a number of
 *     tries, the ring is given up: what it never took fails, and so does everything later.
 *
 * Directories on the way of a path are opened inline (they are in memory), what changes the
 * directory goes to the ring. The ring's own descriptor is readable while it holds completions. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/check.h"
#include "core/error.h"
#include "core/io_files.h"

#define URING_SLOTS 256u
#define URING_CQ_SIZE (2 * URING_SLOTS)
/* EINTR or EAGAIN for one request this often in a row is a kernel that will never do it. */
#define URING_REPEATS_MAX 1000u
/* Yields before a ring that takes nothing is given up; some milliseconds at the least. */
#define URING_ENTER_TRIES_MAX 10000u

enum slot_step {
    SLOT_RUN,    /* The operation, or what is left of it */
    SLOT_SYNC,   /* ALLOCATE: the space is there, its sync is under way */
    SLOT_FAILED, /* No request could be made: `failure` comes back through the ring */
};

struct slot {
    struct io_op *op; /* NULL: free */
    struct slot *next_free;
    enum slot_step step;
    int failure;       /* An errno value */
    uint32_t progress; /* READ, WRITE: bytes done */
    unsigned repeats;
    struct io_parent parent;    /* Of op->path */
    struct io_parent parent_to; /* Of op->path_to */
    int dir_fd;                 /* SYNC_DIR; else -1 */
};

struct uring {
    struct disk disk;
    struct io_uring ring;
    struct slot slots[URING_SLOTS];
    struct slot *free;
    unsigned slots_used;
    struct disk_queue backlog;
    struct disk_queue dropped; /* Failed without the ring, after it was given up */
    int broken;                /* Why it was given up: an errno value, or 0 */
};

_Static_assert(offsetof(struct uring, disk) == 0, "struct io * is a struct uring *");

static const uint8_t opcodes_needed[] = {
    IORING_OP_NOP,      IORING_OP_READ,      IORING_OP_WRITE,
    IORING_OP_FSYNC,    IORING_OP_FALLOCATE, IORING_OP_OPENAT,
    IORING_OP_RENAMEAT, IORING_OP_UNLINKAT,  IORING_OP_SYNC_FILE_RANGE,
};

static int slot_fd(const struct slot *slot)
{
    return disk_file_of(slot->op->file)->fd;
}

/* What is still to be moved. An operation of no bytes may come without any. */
static uint8_t *slot_data(const struct slot *slot)
{
    return slot->progress == 0 ? slot->op->data : slot->op->data + slot->progress;
}

static void request_run(struct io_uring_sqe *sqe, const struct slot *slot)
{
    const struct io_op *op = slot->op;
    const struct io_parent *parent = &slot->parent;
    const struct io_parent *parent_to = &slot->parent_to;
    const uint32_t left = op->size - slot->progress;
    const uint64_t offset = op->offset + slot->progress;

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

/* Put the slot's next request on the ring; uring_flush() makes the kernel take it. */
static void slot_request(struct uring *uring, struct slot *slot)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

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
static int slot_open_dirs(struct uring *uring, struct slot *slot)
{
    const struct io_root *root = &uring->disk.root;
    const struct io_op *op = slot->op;
    int rc = 0;

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

static void slot_take(struct uring *uring, struct io_op *op)
{
    struct slot *slot = uring->free;

    uring->free = slot->next_free;
    uring->slots_used++;
    *slot = (struct slot){.op = op, .dir_fd = -1, .failure = op->os_error};
    slot->parent.fd = -1;
    slot->parent_to.fd = -1;
    if (slot->failure == 0) {
        slot->failure = slot_open_dirs(uring, slot);
    }
    slot->step = slot->failure == 0 ? SLOT_RUN : SLOT_FAILED;
    slot_request(uring, slot);
}

static void slot_release(struct uring *uring, struct slot *slot)
{
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

static void fill_slots(struct uring *uring)
{
    while (uring->free != NULL && uring->backlog.count > 0) {
        slot_take(uring, disk_queue_pop(&uring->backlog));
    }
}

static void drop(struct uring *uring, struct io_op *op)
{
    disk_op_result(op, uring->broken);
    disk_queue_push(&uring->dropped, op);
}

/* The kernel has none of our requests and takes none. */
static void give_up(struct uring *uring, int os_error)
{
    uring->broken = os_error;
    for (unsigned i = 0; i < URING_SLOTS; i++) {
        struct io_op *op = uring->slots[i].op;

        if (op != NULL) {
            slot_release(uring, &uring->slots[i]);
            drop(uring, op);
        }
    }
    while (uring->backlog.count > 0) {
        drop(uring, disk_queue_pop(&uring->backlog));
    }
}

/* Make the kernel take what is on the ring. Where it does not for now, it has requests of ours,
 * whose completion leads here again. */
static void uring_flush(struct uring *uring)
{
    unsigned tries = 0;
    int rc;

    while (uring->broken == 0 && io_uring_sq_ready(&uring->ring) > 0) {
        rc = io_uring_submit(&uring->ring);
        if (rc > 0 || rc == -EINTR) {
            continue;
        }
        if (uring->slots_used > io_uring_sq_ready(&uring->ring)) {
            return;
        }
        if (++tries == URING_ENTER_TRIES_MAX) {
            give_up(uring, rc == 0 ? EIO : -rc);
        }
        (void)sched_yield(); /* Only a pause */
    }
}

static void uring_submit(struct io *io, struct io_op *op)
{
    struct uring *uring = (struct uring *)io;

    op->os_error = disk_op_begin(&uring->disk, op);
    if (uring->broken != 0) {
        drop(uring, op);
        return;
    }
    disk_queue_push(&uring->backlog, op);
    fill_slots(uring);
    uring_flush(uring);
}

/* READ or WRITE, and res bytes of it more. True: finished. */
static bool advance_transfer(struct slot *slot, int res, int *os_error)
{
    const struct io_op *op = slot->op;

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

static bool advance_allocate(struct slot *slot, int res, int *os_error)
{
    const struct io_op *op = slot->op;

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

/* Take the result of the slot's request. True: the operation is finished, *os_error says how.
 * False: the slot has a next request to make. */
static bool slot_advance(struct uring *uring, struct slot *slot, int res, int *os_error)
{
    struct io_op *op = slot->op;

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

/* Returns how many operations finished: 0 or 1. */
static int slot_completed(struct uring *uring, struct slot *slot, int res)
{
    struct io_op *op = slot->op;
    int os_error;

    CHECK(op != NULL); /* One completion a request */
    if (!slot_advance(uring, slot, res, &os_error)) {
        slot_request(uring, slot);
        return 0;
    }
    slot_release(uring, slot);
    fill_slots(uring);
    disk_op_result(op, os_error);
    disk_op_end(&uring->disk, op);
    return 1;
}

static int uring_poll(struct io *io)
{
    struct uring *uring = (struct uring *)io;
    struct io_uring_cqe *cqe;
    unsigned budget;
    int count = 0;

    /* What done() submits is for the next poll, however fast it is. A done() that polls or waits
     * may take the rest of this poll's completions. */
    for (budget = io_uring_cq_ready(&uring->ring); budget > 0; budget--) {
        struct slot *slot;
        int res;

        if (io_uring_peek_cqe(&uring->ring, &cqe) != 0) {
            break;
        }
        slot = io_uring_cqe_get_data(cqe);
        res = cqe->res;
        io_uring_cqe_seen(&uring->ring, cqe);
        count += slot_completed(uring, slot, res);
    }
    uring_flush(uring);
    for (budget = uring->dropped.count; budget > 0 && uring->dropped.count > 0; budget--) {
        disk_op_end(&uring->disk, disk_queue_pop(&uring->dropped));
        count++;
    }
    return count;
}

static int uring_wait(struct io *io)
{
    struct uring *uring = (struct uring *)io;
    struct io_uring_cqe *cqe;
    int count = uring_poll(io);
    int rc;

    /* A completion may only be a step of its operation, so that nothing has finished yet. */
    while (count == 0 && io->in_flight > 0) {
        rc = io_uring_wait_cqe(&uring->ring, &cqe);
        CHECK(rc == 0 || rc == -EINTR || rc == -EAGAIN);
        count = uring_poll(io);
    }
    return count;
}

static int uring_poll_fd(struct io *io)
{
    return ((struct uring *)io)->ring.ring_fd;
}

static void uring_close(struct io *io)
{
    struct uring *uring = (struct uring *)io;

    CHECK(uring->slots_used == 0);
    CHECK(uring->backlog.count == 0);
    io_uring_queue_exit(&uring->ring);
    disk_deinit(&uring->disk);
    free(uring);
}

static const struct io_ops uring_ops = {
    .name = "uring",
    .close = uring_close,
    DISK_IMMEDIATE_OPS,
    .close_file = disk_close_file,
    .read_cached = disk_read_cached,
    .submit = uring_submit,
    .poll = uring_poll,
    .wait = uring_wait,
    .poll_fd = uring_poll_fd,
};

static int check_opcodes(struct io_uring *ring, struct error *err)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    int rc = 0;

    if (probe == NULL) {
        return error_set(err, TUSK_EUNSUPPORTED,
                         "io_uring: the kernel does not say what it can do");
    }
    for (size_t i = 0; i < sizeof opcodes_needed && rc == 0; i++) {
        if (!io_uring_opcode_supported(probe, opcodes_needed[i])) {
            rc = error_set(err, TUSK_EUNSUPPORTED, "io_uring: the kernel lacks operation %u",
                           opcodes_needed[i]);
        }
    }
    io_uring_free_probe(probe);
    return rc;
}

static int ring_init(struct io_uring *ring, struct error *err)
{
    struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE, .cq_entries = URING_CQ_SIZE};
    int rc = io_uring_queue_init_params(URING_SLOTS, ring, &params);

    if (rc == -ENOSYS || rc == -EPERM || rc == -EACCES || rc == -EINVAL) {
        (void)error_errno(err, -rc, "io_uring: forbidden by the kernel or a sandbox, or too old");
        if (err != NULL) {
            err->code = TUSK_EUNSUPPORTED;
        }
        return TUSK_EUNSUPPORTED;
    }
    if (rc != 0) {
        return error_errno(err, -rc, "io_uring: set up a ring of %u entries", URING_SLOTS);
    }
    CHECK(params.cq_entries > URING_SLOTS);
    rc = check_opcodes(ring, err);
    if (rc != 0) {
        io_uring_queue_exit(ring);
    }
    return rc;
}

int io_uring_open(struct io **out, const char *data_dir, struct error *err)
{
    struct uring *uring = calloc(1, sizeof *uring);
    int rc;

    if (uring == NULL) {
        return error_set(err, TUSK_ENOMEM, "open data directory %s: out of memory", data_dir);
    }
    rc = disk_init(&uring->disk, &uring_ops, data_dir, sizeof(struct disk_file), err);
    if (rc != 0) {
        free(uring);
        return rc;
    }
    rc = ring_init(&uring->ring, err);
    if (rc != 0) {
        disk_deinit(&uring->disk);
        free(uring);
        return rc;
    }
    for (unsigned i = 0; i < URING_SLOTS; i++) {
        uring->slots[i].next_free = uring->free;
        uring->free = &uring->slots[i];
    }
    *out = &uring->disk.base;
    return 0;
}
