/* struct io on the simulated disk.
 *
 * A submitted operation waits in the queue; a poll may run it (sim_run), and the same or a later
 * poll may complete it. What a sync covers is fixed when it is submitted. Once the io is dead,
 * everything queued completes with EIO in the next poll. */
#include "tests/sim/io_sim_disk.h"

#include "core/check.h"
#include "core/error.h"

#include <errno.h>
#include <stdlib.h>

static struct sim_io *sim_io_of(struct io *io)
{
    return (struct sim_io *)io; /* base is the first member */
}

static struct sim_file *sim_file_of(struct io_file *file)
{
    return (struct sim_file *)file; /* base is the first member */
}

static int sim_immediate(struct io *io, struct sim_call *call, struct error *err)
{
    struct sim_io *self = sim_io_of(io);
    const char *path = call->file != NULL ? call->file->path : call->path;
    int os_error;

    call->snapshot = (struct sim_snapshot){.sequence = self->disk->sequence};
    if (call->file != NULL) {
        call->snapshot = sim_file_snapshot(self->disk, self->disk->nodes[call->file->node]);
    }
    os_error = sim_run(self, call);
    if (os_error == 0) {
        return 0;
    }
    if (call->holder != 0) {
        return error_set(err, TUSK_ELOCKED, "lock %s: held by process %u", path,
                         SIM_FIRST_PID + call->holder);
    }
    if (call->kind == SIM_RENAME) {
        return error_errno(err, os_error, "rename %s to %s", path, call->path_to);
    }
    return error_errno(err, os_error, "%s %s", sim_kind_name(call->kind), path);
}

static int sim_on_path(struct io *io, enum sim_kind kind, const char *path, struct error *err)
{
    struct sim_call call = {.kind = kind, .path = path};

    return sim_immediate(io, &call, err);
}

static int sim_make_dir(struct io *io, const char *path, struct error *err)
{
    return sim_on_path(io, SIM_MAKE_DIR, path, err);
}

static int sim_remove_dir(struct io *io, const char *path, struct error *err)
{
    return sim_on_path(io, SIM_REMOVE_DIR, path, err);
}

static int sim_sync_dir(struct io *io, const char *path, struct error *err)
{
    return sim_on_path(io, SIM_SYNC_DIR, path, err);
}

static int sim_unlink(struct io *io, const char *path, struct error *err)
{
    return sim_on_path(io, SIM_UNLINK, path, err);
}

static int sim_lock(struct io *io, const char *path, struct error *err)
{
    return sim_on_path(io, SIM_LOCK, path, err);
}

static int sim_list_dir(struct io *io, const char *path, io_list_fn *fn, void *arg,
                        struct error *err)
{
    struct sim_call call = {.kind = SIM_LIST_DIR, .path = path, .list_fn = fn, .list_arg = arg};
    const int rc = sim_immediate(io, &call, err);

    return rc != 0 ? rc : call.list_result;
}

static int sim_rename(struct io *io, const char *from, const char *to, struct error *err)
{
    struct sim_call call = {.kind = SIM_RENAME, .path = from, .path_to = to};

    return sim_immediate(io, &call, err);
}

static int sim_open(struct io *io, const char *path, enum io_open_mode mode, struct io_file **out,
                    struct error *err)
{
    struct sim_call call = {
        .kind = mode == IO_OPEN_CREATE ? SIM_CREATE : SIM_OPEN, .path = path, .mode = mode};
    const int rc = sim_immediate(io, &call, err);

    *out = rc == 0 ? &call.out_file->base : NULL;
    return rc;
}

static void sim_close_file(struct io_file *file)
{
    sim_file_close(sim_io_of(file->io), sim_file_of(file));
}

static int sim_size(struct io_file *file, uint64_t *size, struct error *err)
{
    struct sim_file *self = sim_file_of(file);
    struct sim_call call = {.kind = SIM_SIZE, .file = self};
    const int rc = sim_immediate(file->io, &call, err);

    if (rc == 0) {
        *size = self->disk->nodes[self->node]->size;
    }
    return rc;
}

static int sim_truncate(struct io_file *file, uint64_t size, struct error *err)
{
    struct sim_call call = {.kind = SIM_TRUNCATE, .file = sim_file_of(file), .size = size};

    return sim_immediate(file->io, &call, err);
}

static int sim_write(struct io_file *file, const struct iovec *iov, int count, uint64_t offset,
                     struct error *err)
{
    struct sim_call call = {.kind = SIM_WRITE,
                            .file = sim_file_of(file),
                            .iov = iov,
                            .iov_count = count,
                            .offset = offset};

    for (int i = 0; i < count; i++) {
        call.size += iov[i].iov_len;
    }
    return sim_immediate(file->io, &call, err);
}

static int sim_read_direct(struct io_file *file, uint8_t *data, size_t size, uint64_t offset,
                           size_t *got, struct error *err)
{
    struct sim_call call = {.kind = SIM_READ_DIRECT,
                            .file = sim_file_of(file),
                            .data = data,
                            .offset = offset,
                            .size = size,
                            .got = got};

    return sim_immediate(file->io, &call, err);
}

static int sim_read_cached(struct io_file *file, uint8_t *data, size_t size, uint64_t offset,
                           size_t *got)
{
    struct sim_call call = {.kind = SIM_READ_CACHED,
                            .file = sim_file_of(file),
                            .data = data,
                            .offset = offset,
                            .size = size,
                            .got = got};
    const int os_error = sim_run(sim_io_of(file->io), &call);

    return os_error == 0 ? 0 : os_error == EBUSY ? TUSK_EBUSY : TUSK_EIO;
}

/* Cold as cached reads are, and never where the device fails. */
static bool sim_resident(struct io_file *file, uint64_t offset, size_t size)
{
    const struct sim_file *own = sim_file_of(file);
    struct sim_disk *disk = own->disk;
    const uint64_t bad = sim_unreadable_from(disk, own->node, offset);

    return !sim_io_dead(sim_io_of(file->io)) && (bad == UINT64_MAX || bad >= offset + size) &&
           !sim_is_cold(disk, own->node, offset, size);
}

/* It comes, and stays until others have been asked for. */
static void sim_read_ahead(struct io_file *file, uint64_t offset, size_t size)
{
    const struct sim_file *own = sim_file_of(file);

    sim_warm(own->disk, own->node, offset, size);
}

/* A part of it, as a socket takes it. */
static int sim_send(struct io_file *file, uint64_t offset, size_t size, int socket_fd, size_t *sent)
{
    struct sim_disk *disk = sim_file_of(file)->disk;
    uint8_t data[4096];
    size_t got = 0;
    int rc;

    if (disk->send == NULL) {
        return TUSK_EUNSUPPORTED;
    }
    rc = sim_read_cached(file, data, size < sizeof data ? size : sizeof data, offset, &got);
    if (rc != 0 || got == 0) {
        return rc != 0 ? rc : TUSK_EUNSUPPORTED;
    }
    rc = disk->send(disk->send_arg, socket_fd, data, got);
    if (rc > 0) {
        *sent = (size_t)rc;
        return 0;
    }
    return rc == -EAGAIN ? TUSK_EBUSY : TUSK_EUNREACHABLE;
}

void sim_disk_set_send(struct sim_disk *disk, sim_send_fn *send, void *arg)
{
    disk->send = send;
    disk->send_arg = arg;
}

static int sim_sync(struct io_file *file, uint32_t *elapsed_us, struct error *err)
{
    struct sim_call call = {.kind = SIM_SYNC, .file = sim_file_of(file)};
    const uint64_t started_us = call.file->disk->now_us;
    const int rc = sim_immediate(file->io, &call, err);

    if (elapsed_us != NULL) {
        *elapsed_us = (uint32_t)(call.file->disk->now_us - started_us);
    }
    return rc;
}

static int sim_allocate(struct io_file *file, uint64_t offset, uint64_t size, struct error *err)
{
    struct sim_call call = {
        .kind = SIM_ALLOCATE, .file = sim_file_of(file), .offset = offset, .size = size};

    return sim_immediate(file->io, &call, err);
}

static int sim_punch(struct io_file *file, uint64_t offset, uint64_t size, struct error *err)
{
    struct sim_call call = {
        .kind = SIM_PUNCH, .file = sim_file_of(file), .offset = offset, .size = size};

    return sim_immediate(file->io, &call, err);
}

/* op->file means something only for these; CREATE fills it. */
static bool sim_op_has_file(const struct io_op *op)
{
    return op->kind == IO_OP_SYNC || op->kind == IO_OP_READ || op->kind == IO_OP_WRITE ||
           op->kind == IO_OP_ALLOCATE || op->kind == IO_OP_PUNCH || op->kind == IO_OP_WRITEBACK;
}

static void sim_submit(struct io *io, struct io_op *op)
{
    struct sim_io *self = sim_io_of(io);
    struct sim_disk *disk = self->disk;
    struct sim_queued item = {.op = op, .submitted_us = disk->now_us};

    item.snapshot.sequence = disk->sequence;
    if (sim_op_has_file(op)) {
        item.snapshot = sim_file_snapshot(disk, disk->nodes[sim_file_of(op->file)->node]);
        op->file->in_flight++;
    }
    io->in_flight++;
    self->queue = sim_grow(self->queue, &self->queue_room, self->queue_count, sizeof item);
    self->queue[self->queue_count++] = item;
}

static void sim_queued_run(struct sim_io *io, struct sim_queued *item)
{
    static const enum sim_kind kinds[] = {
        [IO_OP_SYNC] = SIM_SYNC,         [IO_OP_READ] = SIM_READ,
        [IO_OP_WRITE] = SIM_WRITE,       [IO_OP_ALLOCATE] = SIM_ALLOCATE,
        [IO_OP_PUNCH] = SIM_PUNCH,       [IO_OP_CREATE] = SIM_CREATE,
        [IO_OP_RENAME] = SIM_RENAME,     [IO_OP_UNLINK] = SIM_UNLINK,
        [IO_OP_SYNC_DIR] = SIM_SYNC_DIR, [IO_OP_WRITEBACK] = SIM_WRITEBACK,
    };
    const struct io_op *op = item->op;
    const struct iovec iov = {op->data, op->size};
    size_t got;
    struct sim_call call = {.kind = kinds[op->kind],
                            .path = op->path,
                            .path_to = op->path_to,
                            .iov = &iov,
                            .iov_count = 1,
                            .data = op->data,
                            .offset = op->offset,
                            .size = op->size,
                            .got = &got,
                            .snapshot = item->snapshot,
                            .then_sync = op->kind == IO_OP_ALLOCATE,
                            .mode = IO_OPEN_CREATE};

    if (sim_op_has_file(op)) {
        call.file = sim_file_of(op->file);
    }
    item->ran = true;
    item->os_error = sim_run(io, &call);
    item->out_file = call.out_file;
}

/* Write the outcome into the operation, which leaves the queue. */
static void sim_queued_finish(struct sim_io *io, struct sim_queued *item)
{
    struct io_op *op = item->op;
    const uint64_t elapsed_us = io->disk->now_us - item->submitted_us;

    if (sim_io_dead(io)) {
        item->os_error = EIO;
        if (item->out_file != NULL) {
            sim_file_close(io, item->out_file);
        }
    }
    if (op->kind == IO_OP_WRITEBACK) {
        item->os_error = 0;
    }
    if (op->kind == IO_OP_CREATE) {
        op->file = item->os_error == 0 ? &item->out_file->base : NULL;
    }
    op->os_error = item->os_error;
    op->result = item->os_error == 0 ? 0 : error_code_of(item->os_error);
    op->elapsed_us = elapsed_us < UINT32_MAX ? (uint32_t)elapsed_us : UINT32_MAX;
}

/* Each counter drops just before its done(), which may close the file only if it was the last. */
static int sim_deliver(struct sim_io *io, struct io_op *finished)
{
    int count = 0;

    while (finished != NULL) {
        struct io_op *op = finished;

        finished = op->next;
        op->next = NULL;
        CHECK(io->base.in_flight > 0);
        io->base.in_flight--;
        if (sim_op_has_file(op)) {
            CHECK(op->file->in_flight > 0);
            op->file->in_flight--;
        }
        op->done(op);
        count++;
    }
    return count;
}

/* Take steps in random order. forced: the first operation of that order completes. */
static int sim_progress(struct sim_io *io, bool forced)
{
    struct sim_disk *disk = io->disk;
    struct io_op *finished = NULL;
    struct io_op **end = &finished;
    unsigned kept = 0;

    for (unsigned i = io->queue_count; i > 1; i--) {
        const unsigned j = (unsigned)random_below(&disk->random, i);
        const struct sim_queued item = io->queue[i - 1];

        io->queue[i - 1] = io->queue[j];
        io->queue[j] = item;
    }
    for (unsigned i = 0; i < io->queue_count; i++) {
        struct sim_queued *item = &io->queue[i];
        const unsigned percent = forced && i == 0 ? 100 : disk->pace_percent;

        if (!item->ran && !sim_io_dead(io) && random_chance(&disk->random, percent)) {
            sim_queued_run(io, item);
        }
        if (sim_io_dead(io) || (item->ran && random_chance(&disk->random, percent))) {
            sim_queued_finish(io, item);
            item->op->next = NULL;
            *end = item->op;
            end = &item->op->next;
        } else {
            io->queue[kept++] = *item;
        }
    }
    io->queue_count = kept;
    return sim_deliver(io, finished);
}

static int sim_poll(struct io *io)
{
    return sim_progress(sim_io_of(io), false);
}

static int sim_wait(struct io *io)
{
    return sim_progress(sim_io_of(io), true);
}

static int sim_poll_fd(struct io *io)
{
    (void)io; /* Nothing to wait for: the caller polls */
    return -1;
}

void sim_io_abandon(struct sim_io *io)
{
    for (unsigned i = 0; i < io->queue_count && !sim_io_dead(io); i++) {
        if (!io->queue[i].ran && random_chance(&io->disk->random, 50)) {
            sim_queued_run(io, &io->queue[i]);
        }
    }
}

bool sim_io_sync_between(const struct sim_disk *disk, uint32_t node, uint64_t from, uint64_t to)
{
    for (const struct sim_io *io = disk->ios; io != NULL; io = io->next) {
        for (unsigned i = 0; i < io->queue_count && !sim_io_dead(io); i++) {
            const struct sim_queued *item = &io->queue[i];

            if (!item->ran && item->op->kind == IO_OP_SYNC &&
                sim_file_of(item->op->file)->node == node && item->snapshot.sequence >= from &&
                item->snapshot.sequence < to) {
                return true;
            }
        }
    }
    return false;
}

static void sim_close(struct io *io)
{
    struct sim_io *self = sim_io_of(io);
    struct sim_disk *disk = self->disk;
    struct sim_io **link = &disk->ios;

    CHECK(self->open_files == 0);
    CHECK(self->queue_count == 0);
    for (uint32_t i = 0; i < disk->node_count; i++) {
        if (disk->nodes[i] != NULL && disk->nodes[i]->locked_by == self->id) {
            disk->nodes[i]->locked_by = 0;
        }
    }
    while (*link != self) {
        link = &(*link)->next;
    }
    *link = self->next;
    free(self->queue);
    free(self);
}

static const struct io_ops sim_ops = {
    .name = "sim",
    .close = sim_close,
    .make_dir = sim_make_dir,
    .remove_dir = sim_remove_dir,
    .list_dir = sim_list_dir,
    .sync_dir = sim_sync_dir,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .lock = sim_lock,
    .open = sim_open,
    .close_file = sim_close_file,
    .size = sim_size,
    .truncate = sim_truncate,
    .write = sim_write,
    .read_direct = sim_read_direct,
    .read_cached = sim_read_cached,
    .share = sim_share,
    .resident = sim_resident,
    .read_ahead = sim_read_ahead,
    .send = sim_send,
    .sync = sim_sync,
    .allocate = sim_allocate,
    .punch = sim_punch,
    .submit = sim_submit,
    .poll = sim_poll,
    .wait = sim_wait,
    .poll_fd = sim_poll_fd,
};

int io_sim_open(struct io **out, struct sim_disk *disk)
{
    struct sim_io *io = sim_alloc(sizeof *io);

    io->base.ops = &sim_ops;
    io->disk = disk;
    io->id = ++disk->io_count;
    io->epoch = disk->epoch;
    io->next = disk->ios;
    disk->ios = io;
    disk->down = false;
    *out = &io->base;
    return 0;
}
