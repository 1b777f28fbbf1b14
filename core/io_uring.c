/* Immediate operations inline, submitted ones on a ring: the default. Points 2 and 3 are made in
 * io_uring_slot.c.
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
#include <liburing.h>
#include <sched.h>
#include <stdlib.h>

#include "core/check.h"
#include "core/error.h"
#include "core/io_uring_slot.h"

#define URING_CQ_SIZE (2 * URING_SLOTS)
/* Yields before a ring that takes nothing is given up; some milliseconds at the least. */
#define URING_ENTER_TRIES_MAX 10000u

static const uint8_t opcodes_needed[] = {
    IORING_OP_NOP,      IORING_OP_READ,      IORING_OP_WRITE,
    IORING_OP_FSYNC,    IORING_OP_FALLOCATE, IORING_OP_OPENAT,
    IORING_OP_RENAMEAT, IORING_OP_UNLINKAT,  IORING_OP_SYNC_FILE_RANGE,
};

static void fill_slots(struct uring *uring)
{
    CHECK(uring->slots_used <= URING_SLOTS);
    while (uring->free != NULL && uring->backlog.count > 0) {
        uring_slot_take(uring, disk_queue_pop(&uring->backlog));
    }
}

static void drop(struct uring *uring, struct io_op *op)
{
    CHECK(uring->broken != 0);
    CHECK(op != NULL);
    disk_op_result(op, uring->broken);
    disk_queue_push(&uring->dropped, op);
}

/* The kernel has none of our requests and takes none. */
static void give_up(struct uring *uring, int os_error)
{
    CHECK(uring->broken == 0);
    CHECK(os_error > 0);
    uring->broken = os_error;
    for (unsigned i = 0; i < URING_SLOTS; i++) {
        struct io_op *op = uring->slots[i].op;

        if (op != NULL) {
            uring_slot_release(uring, &uring->slots[i]);
            drop(uring, op);
        }
    }
    while (uring->backlog.count > 0) {
        drop(uring, disk_queue_pop(&uring->backlog));
    }
    CHECK(uring->slots_used == 0);
    CHECK(uring->backlog.count == 0);
}

/* Make the kernel take what is on the ring. Where it does not for now, it has requests of ours,
 * whose completion leads here again. */
static void uring_flush(struct uring *uring)
{
    unsigned tries = 0;
    int rc;

    CHECK(uring->slots_used <= URING_SLOTS);
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

    CHECK(op->done != NULL);
    op->os_error = disk_op_begin(&uring->disk, op);
    if (uring->broken != 0) {
        drop(uring, op);
        return;
    }
    disk_queue_push(&uring->backlog, op);
    fill_slots(uring);
    uring_flush(uring);
    CHECK(uring->broken != 0 || uring->backlog.count == 0 || uring->free == NULL);
}

/* Returns how many operations finished: 0 or 1. */
static int slot_completed(struct uring *uring, struct uring_slot *slot, int res)
{
    struct io_op *op = slot->op;
    int os_error;

    CHECK(slot != NULL);
    CHECK(uring->slots_used > 0);
    CHECK(slot >= uring->slots);
    CHECK(slot < uring->slots + URING_SLOTS);
    CHECK(op != NULL); /* One completion a request */
    if (!uring_slot_advance(uring, slot, res, &os_error)) {
        uring_slot_request(uring, slot);
        return 0;
    }
    uring_slot_release(uring, slot);
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

    CHECK(io != NULL);
    /* What done() submits is for the next poll, however fast it is. A done() that polls or waits
     * may take the rest of this poll's completions. */
    for (budget = io_uring_cq_ready(&uring->ring); budget > 0; budget--) {
        struct uring_slot *slot;
        int res;

        if (io_uring_peek_cqe(&uring->ring, &cqe) != 0) {
            break;
        }
        CHECK(cqe != NULL);
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

    CHECK(io != NULL);
    /* A completion may only be a step of its operation, so that nothing has finished yet. */
    while (count == 0 && io->in_flight > 0) {
        rc = io_uring_wait_cqe(&uring->ring, &cqe);
        CHECK(rc == 0 || rc == -EINTR || rc == -EAGAIN);
        count = uring_poll(io);
    }
    CHECK(count > 0 || io->in_flight == 0);
    return count;
}

static int uring_poll_fd(struct io *io)
{
    CHECK(io != NULL);
    return ((struct uring *)io)->ring.ring_fd;
}

static void uring_close(struct io *io)
{
    struct uring *uring = (struct uring *)io;

    CHECK(io->in_flight == 0);
    CHECK(uring->dropped.count == 0);
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

    CHECK(ring != NULL);
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

    CHECK(ring != NULL);
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
    CHECK(rc <= 0);
    return rc;
}

int io_uring_open(struct io **out, const char *data_dir, struct error *err)
{
    struct uring *uring = calloc(1, sizeof *uring);
    int rc;

    CHECK(out != NULL);
    CHECK(data_dir != NULL);
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
    CHECK(uring->slots_used == 0);
    CHECK(uring->disk.base.in_flight == 0);
    *out = &uring->disk.base;
    return 0;
}
