/* The way of a manifest to the disk.
 *
 * Happy path: (1) sync the segments, (2) write the spare, (3) sync it, (4) rename it to
 * manifest-<number>, (5) sync the directory: from here it is the newest, (6) the one before the
 * older one becomes the next spare, with its space.
 *
 * Want of space at any step is not fatal: the spare is removed, the older manifests stand, and it
 * is tried again; when the journal has no file left either, in the place of the older manifest. Any
 * other failure stops the namespace. */
#include "core/manifest_write.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/namespace.h"

#define SPARE_SIZE_MIN (64u * 1024u)

static void step_done(struct io_op *op);

static void fail(struct manifest *manifest, int code, int os_error, const char *doing)
{
    struct namespace *ns = manifest->ns;

    CHECK(code < 0);
    CHECK(doing != NULL);
    if (ns->journal.failure.code == 0) {
        (void)error_errno(&ns->journal.failure, os_error, "%s of namespace \"%s\"", doing,
                          ns->name);
        ns->journal.failure.code = code;
    }
    manifest->step = MANIFEST_IDLE;
}

static void submit(struct manifest *manifest, enum manifest_step step, enum io_op_kind kind)
{
    CHECK(step > MANIFEST_SYNCING_DATA);
    CHECK(manifest->spare != NULL || manifest->op.path != NULL);
    manifest->step = step;
    manifest->op.kind = kind;
    manifest->op.file = manifest->spare;
    manifest->op.done = step_done;
    manifest->op.arg = manifest;
    io_submit(manifest->ns->io, &manifest->op);
}

static void segment_synced(struct io_op *op)
{
    struct manifest *manifest = op->arg;

    CHECK(op->kind == IO_OP_SYNC);
    CHECK(manifest->segment_ops != NULL);
    CHECK(op->result <= 0);
    CHECK(manifest->pending > 0);
    manifest->pending--;
    if (op->result != 0 && manifest->ns->state == ENGINE_SERVING) {
        fail(manifest, op->result, op->os_error, "sync a segment");
    }
    if (manifest->pending == 0) {
        syncs_end(&manifest->sync_watch);
        manifest->synced_ticket = manifest->ns->syncs.ticket;
        free(manifest->segment_ops);
        manifest->segment_ops = NULL;
    }
}

void manifest_sync_data(struct manifest *manifest)
{
    struct space *space = &manifest->ns->space;
    uint32_t count = 0;
    uint32_t i;

    CHECK(manifest->step == MANIFEST_SAVING);
    CHECK(manifest->pending == 0);
    CHECK(manifest->segment_ops == NULL);
    for (i = 0; i < space->count; i++) {
        count += space->segments[i]->dirty ? 1u : 0u;
    }
    manifest->step = MANIFEST_SYNCING_DATA;
    manifest->pending = 0;
    if (count == 0) {
        manifest->synced_ticket = manifest->ns->syncs.ticket;
        return;
    }
    manifest->segment_ops = calloc(count, sizeof *manifest->segment_ops);
    if (manifest->segment_ops == NULL) {
        manifest_abandon(manifest, manifest->ns->now.mono_us);
        return;
    }
    count = 0;
    for (i = 0; i < space->count; i++) {
        struct segment *segment = space->segments[i];

        if (segment->dirty) {
            segment->dirty = false;
            manifest->segment_ops[count++] = (struct io_op){
                .kind = IO_OP_SYNC, .file = segment->file, .done = segment_synced, .arg = manifest};
        }
    }
    manifest->pending = count;
    syncs_begin(&manifest->ns->syncs, &manifest->sync_watch);
    for (i = 0; i < count; i++) {
        io_submit(manifest->ns->io, &manifest->segment_ops[i]);
    }
}

/* The spare cannot be used: remove it, with whatever it holds. */
static void discard_spare(struct manifest *manifest)
{
    CHECK(manifest->ns != NULL);
    io_close_file(manifest->spare);
    manifest->spare = NULL;
    manifest->spare_size = 0;
    manifest_spare_path(manifest->ns, manifest->path);
    (void)io_unlink(manifest->ns->io, manifest->path, NULL); /* One left over is overwritten */
}

/* The disk is full, the spare went, and without the next manifest no journal file comes back: the
 * older one gives its place, so that until the next one is there a damaged manifest would cost
 * data. */
static bool take_older(struct manifest *manifest)
{
    struct io *io = manifest->ns->io;
    struct error ignored;

    CHECK(manifest->spare == NULL);
    CHECK(manifest->body_size >= FORMAT_PAGE);
    if (!manifest->have_older) {
        return false;
    }
    hold_give_up(manifest->ns);
    manifest_path(manifest->ns, manifest->path, manifest->older_number);
    manifest_spare_path(manifest->ns, manifest->path_to);
    if (io_open(io, manifest->path, IO_OPEN_WRITE, &manifest->spare, &ignored) != 0) {
        manifest->spare = NULL;
        return false;
    }
    if (io_size(manifest->spare, &manifest->spare_size, &ignored) != 0 ||
        manifest->spare_size < manifest->body_size ||
        io_rename(io, manifest->path, manifest->path_to, &ignored) != 0) {
        io_close_file(manifest->spare);
        manifest->spare = NULL;
        manifest->spare_size = 0;
        return false;
    }
    manifest->have_older = false;
    CHECK(manifest->spare != NULL);
    CHECK(manifest->spare_size >= manifest->body_size);
    return true;
}

static void write_next(struct manifest *manifest)
{
    const uint64_t left = manifest->body_size - manifest->write_at;

    CHECK(manifest->write_at <= manifest->body_size);
    CHECK(manifest->spare != NULL);
    if (left == 0) {
        submit(manifest, MANIFEST_SYNCING, IO_OP_SYNC);
        return;
    }
    manifest->op.data = manifest->body + manifest->write_at;
    manifest->op.offset = manifest->write_at;
    manifest->op.size = (uint32_t)(left < MANIFEST_WRITE_STEP ? left : MANIFEST_WRITE_STEP);
    submit(manifest, MANIFEST_WRITING, IO_OP_WRITE);
}

void manifest_write(struct manifest *manifest)
{
    CHECK(manifest->body_size >= FORMAT_PAGE);
    CHECK(manifest->pending == 0);
    manifest->write_at = 0;
    if (manifest->spare == NULL) {
        manifest_spare_path(manifest->ns, manifest->path);
        /* A leftover that could not be opened before: its content means nothing. */
        (void)io_unlink(manifest->ns->io, manifest->path, NULL);
        manifest->op.path = manifest->path;
        submit(manifest, MANIFEST_WRITING, IO_OP_CREATE);
        return;
    }
    write_next(manifest);
}

/* It is durable under its name: the tables move on. */
static void adopt(struct manifest *manifest)
{
    CHECK(manifest->spare == NULL);
    CHECK(manifest->body_size >= FORMAT_PAGE);
    CHECK(manifest->head.number == manifest->next_number);
    CHECK(manifest->head.lsn >= manifest->lsn);
    manifest->older_number = manifest->number;
    manifest->older_lsn = manifest->have_newest ? manifest->lsn : manifest->head.lsn;
    manifest->have_older = manifest->have_newest;
    manifest->number = manifest->next_number++;
    manifest->lsn = manifest->head.lsn;
    manifest->have_newest = true;
    manifest->size = manifest->body_size;
    manifest->taken++;
    free(manifest->body);
    manifest->body = NULL;
    manifest->body_size = 0;
    manifest->body_capacity = 0;
}

static uint64_t spare_wanted(const struct manifest *manifest)
{
    CHECK(manifest->size <= UINT64_MAX / 2);
    return manifest->size * 2 < SPARE_SIZE_MIN ? SPARE_SIZE_MIN : manifest->size * 2;
}

static void allocate_spare(struct manifest *manifest)
{
    const uint64_t wanted = spare_wanted(manifest);

    CHECK(manifest->spare != NULL);
    if (manifest->spare_size >= wanted) {
        manifest->step = MANIFEST_IDLE;
        return;
    }
    manifest->op.offset = manifest->spare_size;
    manifest->op.size = (uint32_t)(wanted - manifest->spare_size);
    submit(manifest, MANIFEST_ALLOCATING, IO_OP_ALLOCATE);
}

void manifest_hold_space(struct manifest *manifest)
{
    struct io *io = manifest->ns->io;
    const uint64_t wanted = spare_wanted(manifest);
    struct error err;

    CHECK(manifest->step == MANIFEST_IDLE);
    CHECK(manifest->spare == NULL);
    manifest_spare_path(manifest->ns, manifest->path);
    if (io_open(io, manifest->path, IO_OPEN_WRITE, &manifest->spare, &err) != 0 &&
        io_open(io, manifest->path, IO_OPEN_CREATE, &manifest->spare, &err) != 0) {
        manifest->spare = NULL;
        return;
    }
    if (io_size(manifest->spare, &manifest->spare_size, &err) != 0) {
        discard_spare(manifest);
        return;
    }
    /* All of it: after a crash a file may have its size and not its space. */
    if (manifest->spare_size < wanted) {
        manifest->spare_size = wanted;
    }
    if (io_allocate(manifest->spare, 0, manifest->spare_size, &err) != 0) {
        manifest->spare_size = 0;
        return;
    }
    if (io_sync(manifest->spare, NULL, &err) != 0) {
        discard_spare(manifest);
    }
}

static void open_recycled(struct manifest *manifest)
{
    struct error err;

    CHECK(manifest->spare == NULL);
    CHECK(manifest->step == MANIFEST_RECYCLING);
    manifest_spare_path(manifest->ns, manifest->path);
    if (io_open(manifest->ns->io, manifest->path, IO_OPEN_WRITE, &manifest->spare, &err) != 0 ||
        io_size(manifest->spare, &manifest->spare_size, &err) != 0) {
        discard_spare(manifest);
        manifest->step = MANIFEST_IDLE; /* The manifest is there: the next spare is created */
        return;
    }
    allocate_spare(manifest);
}

static void named(struct manifest *manifest)
{
    const struct hold *hold = &manifest->ns->hold;
    const uint64_t oldest = manifest->older_number;
    const bool have_oldest =
        manifest->have_older && (hold->state != HOLD_ON || oldest > hold->manifest_last);

    CHECK(manifest->step == MANIFEST_SYNCING_DIR);
    CHECK(manifest->spare != NULL);
    io_close_file(manifest->spare);
    manifest->spare = NULL;
    manifest->spare_size = 0;
    adopt(manifest);
    journal_retire(&manifest->ns->journal, manifest->older_lsn);
    manifest->ns->retry_stalled = true;
    manifest_spare_path(manifest->ns, manifest->path_to);
    if (have_oldest) {
        manifest_path(manifest->ns, manifest->path, oldest);
        manifest->op.path = manifest->path;
        manifest->op.path_to = manifest->path_to;
        submit(manifest, MANIFEST_RECYCLING, IO_OP_RENAME);
    } else {
        manifest->op.path = manifest->path_to;
        submit(manifest, MANIFEST_RECYCLING, IO_OP_CREATE);
    }
}

static void step_failed(struct manifest *manifest, const struct io_op *op)
{
    const bool harmless =
        op->result == TUSK_ENOSPACE || op->result == TUSK_ENOMEM || op->result == TUSK_EBUSY;

    CHECK(op->result < 0);
    CHECK(manifest->step > MANIFEST_SYNCING_DATA);
    if (manifest->step == MANIFEST_RECYCLING &&
        (harmless || op->result == TUSK_ENOTFOUND || op->result == TUSK_EEXISTS)) {
        manifest->step = MANIFEST_IDLE; /* No spare: the next one is created when it is needed */
        return;
    }
    if (manifest->step == MANIFEST_ALLOCATING && harmless) {
        manifest->step = MANIFEST_IDLE; /* As large as it is */
        return;
    }
    if (harmless && (manifest->step == MANIFEST_WRITING || manifest->step == MANIFEST_SYNCING ||
                     manifest->step == MANIFEST_RENAMING)) {
        discard_spare(manifest);
        if (op->result == TUSK_ENOSPACE && manifest_journal_starves(manifest) &&
            take_older(manifest)) {
            manifest_write(manifest);
        } else {
            manifest_abandon(manifest, manifest->ns->now.mono_us);
        }
        return;
    }
    fail(manifest, op->result, op->os_error, "write a manifest");
}

static void step_done(struct io_op *op)
{
    struct manifest *manifest = op->arg;
    struct namespace *ns = manifest->ns;

    CHECK(op == &manifest->op);
    CHECK(manifest->step != MANIFEST_IDLE);
    if (op->kind == IO_OP_CREATE && op->result == 0) {
        manifest->spare = op->file;
        manifest->spare_size = 0;
    }
    if (ns->state != ENGINE_SERVING) {
        manifest->step = MANIFEST_IDLE;
        return;
    }
    if (op->result != 0) {
        step_failed(manifest, op);
        return;
    }
    switch (manifest->step) {
    case MANIFEST_WRITING:
        manifest->write_at += op->kind == IO_OP_WRITE ? op->size : 0;
        write_next(manifest);
        break;
    case MANIFEST_SYNCING:
        manifest_spare_path(ns, manifest->path);
        manifest_path(ns, manifest->path_to, manifest->next_number);
        manifest->op.path = manifest->path;
        manifest->op.path_to = manifest->path_to;
        submit(manifest, MANIFEST_RENAMING, IO_OP_RENAME);
        break;
    case MANIFEST_RENAMING:
        manifest->op.path = ns->dir;
        submit(manifest, MANIFEST_SYNCING_DIR, IO_OP_SYNC_DIR);
        break;
    case MANIFEST_SYNCING_DIR:
        named(manifest);
        break;
    case MANIFEST_RECYCLING:
        if (op->kind == IO_OP_CREATE) {
            allocate_spare(manifest);
        } else {
            open_recycled(manifest);
        }
        break;
    case MANIFEST_ALLOCATING:
        manifest->spare_size += op->size;
        manifest->step = MANIFEST_IDLE;
        break;
    case MANIFEST_IDLE:
    case MANIFEST_APPLYING:
    case MANIFEST_SAVING:
    case MANIFEST_SYNCING_DATA:
    default:
        UNREACHABLE("a manifest step without an operation");
    }
}

/* Write, sync and name the snapshot; the spare is open. */
static int publish(struct manifest *manifest, struct error *err)
{
    struct namespace *ns = manifest->ns;
    struct iovec iov = {.iov_base = manifest->body, .iov_len = manifest->body_size};

    CHECK(manifest->spare != NULL);
    CHECK(manifest->body_size >= FORMAT_PAGE);
    manifest_spare_path(ns, manifest->path);
    manifest_path(ns, manifest->path_to, manifest->next_number);
    if (io_write(manifest->spare, &iov, 1, 0, err) != 0 ||
        io_sync(manifest->spare, NULL, err) != 0 ||
        io_rename(ns->io, manifest->path, manifest->path_to, err) != 0 ||
        io_sync_dir(ns->io, ns->dir, err) != 0) {
        return error_wrap(err, "write manifest %016llx", (unsigned long long)manifest->next_number);
    }
    return 0;
}

static int open_and_publish(struct manifest *manifest, struct error *err)
{
    struct namespace *ns = manifest->ns;
    int rc = 0;

    CHECK(manifest->step == MANIFEST_IDLE);
    CHECK(err != NULL);
    manifest_spare_path(ns, manifest->path);
    if (manifest->spare == NULL) {
        rc = io_open(ns->io, manifest->path, IO_OPEN_WRITE, &manifest->spare, err);
        if (rc == TUSK_ENOTFOUND) {
            rc = io_open(ns->io, manifest->path, IO_OPEN_CREATE, &manifest->spare, err);
        }
        if (rc != 0) {
            manifest->spare = NULL;
            return error_wrap(err, "open the spare manifest");
        }
    }
    CHECK(manifest->spare != NULL);
    rc = publish(manifest, err);
    io_close_file(manifest->spare);
    manifest->spare = NULL;
    manifest->spare_size = 0;
    return rc;
}

int manifest_write_blocking(struct manifest *manifest, struct error *err)
{
    struct namespace *ns = manifest->ns;
    uint64_t oldest;
    bool have_oldest;
    int rc = open_and_publish(manifest, err);

    CHECK(manifest->step == MANIFEST_IDLE);
    CHECK(err != NULL);
    /* The next open needs a journal file; this manifest would give one back. */
    if (rc == TUSK_ENOSPACE && ns->journal.spare_count == 0 && take_older(manifest)) {
        rc = open_and_publish(manifest, err);
    }
    if (rc != 0) {
        return rc;
    }
    oldest = manifest->older_number;
    have_oldest = manifest->have_older;
    adopt(manifest);
    journal_retire(&ns->journal, manifest->older_lsn);
    if (have_oldest) {
        manifest_path(ns, manifest->path, oldest);
        manifest_spare_path(ns, manifest->path_to);
        /* Best effort: an old manifest left over is only space. */
        (void)io_rename(ns->io, manifest->path, manifest->path_to, NULL);
    }
    return 0;
}
