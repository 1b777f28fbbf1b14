/* Journal files: made ahead of need (created, zeroed in steps or reserved, synced, named durably),
 * or recycled from files that two manifests stand behind. One file at a time, in the background. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/journal.h"
#include "core/namespace.h"

#define RETRY_US 1000000u /* After a full disk: try again this often */

static void step_done(struct io_op *op);

static void submit(struct journal *journal, enum journal_step step, enum io_op_kind kind)
{
    CHECK(step != JOURNAL_IDLE);
    CHECK(journal->making != NULL);
    journal->step = step;
    journal->op.kind = kind;
    journal->op.path = journal->path; /* Where it takes them */
    journal->op.path_to = journal->path_to;
    journal->op.done = step_done;
    journal->op.arg = journal;
    io_submit(journal->ns->io, &journal->op);
}

static void spare_append(struct journal *journal, struct journal_file *file)
{
    CHECK(file != NULL);
    CHECK(file->file != NULL);
    journal_keep(&journal->spares, file);
    journal->spare_count++;
}

static struct journal_file *file_new(uint64_t number, uint64_t size)
{
    struct journal_file *file = calloc(1, sizeof *file);

    CHECK(size > FORMAT_PAGE);
    if (file != NULL) {
        file->number = number;
        file->size = size;
    }
    return file;
}

int journal_make_spare(struct journal *journal, uint64_t size, struct error *err)
{
    struct journal_file *file = file_new(journal->next_number, size);
    uint64_t at;

    CHECK(journal->zeros != NULL);
    CHECK(size % FORMAT_PAGE == 0);
    if (file == NULL) {
        return error_set(err, TUSK_ENOMEM, "make a journal file");
    }
    journal_path(journal, journal->path, file->number);
    if (io_open(journal->ns->io, journal->path, IO_OPEN_CREATE, &file->file, err) != 0) {
        goto fail;
    }
    for (at = 0; at < size; at += JOURNAL_ZERO_STEP) {
        const uint64_t left = size - at;
        struct iovec iov = {.iov_base = journal->zeros,
                            .iov_len = left < JOURNAL_ZERO_STEP ? left : JOURNAL_ZERO_STEP};

        if (io_write(file->file, &iov, 1, at, err) != 0) {
            goto fail;
        }
    }
    (void)snprintf(journal->path_to, sizeof journal->path_to, "%s/journal", journal->ns->dir);
    if (io_sync(file->file, NULL, err) != 0 ||
        io_sync_dir(journal->ns->io, journal->path_to, err) != 0) {
        goto fail;
    }
    journal->next_number++;
    spare_append(journal, file);
    return 0;

fail:
    if (file->file != NULL) {
        io_close_file(file->file);
        (void)io_unlink(journal->ns->io, journal->path, NULL); /* Best effort: it holds no record */
    }
    free(file);
    return error_wrap(err, "make journal file %s", journal->path);
}

static void give_up(struct journal *journal)
{
    CHECK(journal->file_size >= journal->ns->options->journal_file_min);
    journal->no_space = true;
    hold_give_up(journal->ns);
    /* A small file may still fit. */
    journal->file_size = journal->ns->options->journal_file_min;
    journal->retry_us = journal->ns->now.mono_us + RETRY_US;
    journal->ns->retry_stalled = true;
}

/* The half-made file, at journal->path, goes; without a name on disk it would come back as an
 * unknown file. */
static void discard_making(struct journal *journal)
{
    CHECK(journal->making != NULL);
    CHECK(journal->step == JOURNAL_IDLE);
    give_up(journal);
    io_close_file(journal->making->file);
    journal->making->file = NULL;
    submit(journal, JOURNAL_UNLINKING, IO_OP_UNLINK);
}

static void zero_next(struct journal *journal)
{
    const uint64_t left = journal->making->size - journal->zeroed;

    CHECK(journal->making->file != NULL);
    CHECK(journal->zeroed <= journal->making->size);
    journal->op.file = journal->making->file;
    if (left == 0) {
        submit(journal, JOURNAL_SYNCING, IO_OP_SYNC);
        return;
    }
    journal->op.data = journal->zeros;
    journal->op.offset = journal->zeroed;
    journal->op.size = (uint32_t)(left < JOURNAL_ZERO_STEP ? left : JOURNAL_ZERO_STEP);
    submit(journal, JOURNAL_ZEROING, IO_OP_WRITE);
}

/* In schedule each every commit goes to space already written, so that it is one flush (a fresh
 * extent costs a second one). Where commits are rare, reserved space serves, and writing everything
 * twice does not. */
static void fill(struct journal *journal)
{
    CHECK(journal->making->file != NULL);
    CHECK(journal->making->size <= UINT32_MAX);
    journal->zeroed = 0;
    if (journal->ns->settings.fsync_ms == ENGINE_FSYNC_EACH) {
        zero_next(journal);
        return;
    }
    journal->op.file = journal->making->file;
    journal->op.offset = 0;
    journal->op.size = (uint32_t)journal->making->size;
    submit(journal, JOURNAL_SYNCING, IO_OP_ALLOCATE);
}

static void sync_dir(struct journal *journal)
{
    CHECK(journal->making != NULL);
    CHECK(journal->making->file != NULL);
    (void)snprintf(journal->path, sizeof journal->path, "%s/journal", journal->ns->dir);
    submit(journal, JOURNAL_SYNCING_DIR, IO_OP_SYNC_DIR);
}

static void step_failed(struct journal *journal, const struct io_op *op)
{
    const enum journal_step step = journal->step;

    CHECK(op->result < 0);
    CHECK(step != JOURNAL_IDLE);
    journal->step = JOURNAL_IDLE;
    if (step == JOURNAL_CREATING && op->result == TUSK_EEXISTS) {
        free(journal->making); /* A leftover of an earlier run: the next number then */
        journal->making = NULL;
        return;
    }
    if (step == JOURNAL_CREATING &&
        (op->result == TUSK_ENOSPACE || op->result == TUSK_EBUSY || op->result == TUSK_ENOMEM)) {
        free(journal->making);
        journal->making = NULL;
        give_up(journal);
        return;
    }
    if ((step == JOURNAL_ZEROING || step == JOURNAL_SYNCING || step == JOURNAL_RENAMING) &&
        op->result == TUSK_ENOSPACE) {
        discard_making(journal);
        return;
    }
    if (step == JOURNAL_UNLINKING && op->result == TUSK_ENOTFOUND) {
        free(journal->making); /* Gone is gone */
        journal->making = NULL;
        return;
    }
    if (journal->failure.code == 0) {
        (void)error_errno(&journal->failure, op->os_error, "prepare a journal file of \"%s\"",
                          journal->ns->name);
        journal->failure.code = op->result;
    }
}

static void step_done(struct io_op *op)
{
    struct journal *journal = op->arg;

    CHECK(op == &journal->op);
    if (journal->ns->state != ENGINE_SERVING) {
        journal->step = JOURNAL_IDLE;
        if (journal->making != NULL && op->kind == IO_OP_CREATE && op->result == 0) {
            journal->making->file = op->file;
        }
        return;
    }
    CHECK(journal->making != NULL);
    if (op->result != 0) {
        step_failed(journal, op);
        return;
    }
    switch (journal->step) {
    case JOURNAL_CREATING:
        journal->making->file = op->file;
        fill(journal);
        break;
    case JOURNAL_ZEROING:
        journal->zeroed += op->size;
        zero_next(journal);
        break;
    case JOURNAL_SYNCING:
        journal->no_space = false;
        sync_dir(journal);
        break;
    case JOURNAL_RENAMING:
        sync_dir(journal);
        break;
    case JOURNAL_SYNCING_DIR:
        spare_append(journal, journal->making);
        journal->making = NULL;
        journal->ns->retry_stalled = true;
        journal->step = JOURNAL_IDLE;
        break;
    case JOURNAL_UNLINKING:
        free(journal->making);
        journal->making = NULL;
        journal->step = JOURNAL_IDLE;
        break;
    case JOURNAL_IDLE:
        UNREACHABLE("a journal step without a step");
    }
}

/* Spares wanted: the reserve, and more as the current file fills, so that the next is ready in
 * time. */
static unsigned spares_wanted(const struct journal *journal)
{
    const uint64_t used = journal->next_lsn - journal->current->first_lsn;

    CHECK(journal->current != NULL);
    CHECK(journal->next_lsn >= journal->current->first_lsn);
    return JOURNAL_RESERVE + (used > journal->current->size / 8 ? 1u : 0u) +
           (used > journal->current->size / 2 ? 1u : 0u);
}

static struct journal_file *take_retired(struct journal *journal)
{
    struct journal_file *file = journal->retired;

    CHECK(file == NULL || !file->unsynced);
    CHECK(file == NULL || file != journal->current);
    /* A sync begun before it was retired may still be using it. */
    if (file == NULL || file->file->in_flight > 0) {
        return NULL;
    }
    journal->retired = file->next;
    file->next = NULL;
    return file;
}

/* A file that has served is used again; that needs no space, so on a full disk a small one will
 * do. */
static bool can_recycle(const struct journal *journal)
{
    CHECK(journal->file_size >= journal->ns->options->journal_file_min);
    return journal->retired != NULL && journal->ns->hold.state != HOLD_ON &&
           journal->retired->size >=
               (journal->no_space ? journal->ns->options->journal_file_min : journal->file_size);
}

int journal_recycle_now(struct journal *journal, struct error *err)
{
    struct journal_file *file;
    int rc;

    CHECK(journal->step == JOURNAL_IDLE);
    CHECK(journal->making == NULL);
    CHECK(journal->file_size == journal->ns->options->journal_file_min); /* A small one will do */
    if (!can_recycle(journal)) {
        return 0;
    }
    file = take_retired(journal);
    CHECK(file != NULL);
    journal_path(journal, journal->path, file->number);
    file->number = journal->next_number++;
    journal_path(journal, journal->path_to, file->number);
    rc = io_rename(journal->ns->io, journal->path, journal->path_to, err);
    spare_append(journal, file);
    return rc == 0 ? 1 : rc;
}

static void make_spare(struct journal *journal)
{
    CHECK(journal->step == JOURNAL_IDLE);
    CHECK(journal->making == NULL);
    if (can_recycle(journal)) {
        journal->making = take_retired(journal);
        if (journal->making == NULL) {
            return;
        }
        journal_path(journal, journal->path, journal->making->number);
        journal->making->number = journal->next_number++;
        journal_path(journal, journal->path_to, journal->making->number);
        submit(journal, JOURNAL_RENAMING, IO_OP_RENAME);
        return;
    }
    journal->making = file_new(journal->next_number, journal->file_size);
    if (journal->making == NULL) {
        give_up(journal);
        return;
    }
    journal->next_number++;
    journal_path(journal, journal->path, journal->making->number);
    submit(journal, JOURNAL_CREATING, IO_OP_CREATE);
}

void journal_work(struct journal *journal, uint64_t mono_us)
{
    CHECK(journal->ns->state == ENGINE_SERVING);
    CHECK(journal->step != JOURNAL_IDLE || journal->making == NULL || journal->failure.code != 0);
    if (journal->step != JOURNAL_IDLE || journal->failure.code != 0) {
        return;
    }
    if (mono_us >= journal->retry_us) {
        journal->no_space = false;
    }
    if (journal->spare_count < spares_wanted(journal)) {
        if (!journal->no_space || can_recycle(journal)) {
            make_spare(journal);
        }
        return;
    }
    journal->making = journal->ns->hold.state == HOLD_ON ? NULL : take_retired(journal);
    if (journal->making != NULL) {
        io_close_file(journal->making->file);
        journal->making->file = NULL;
        journal_path(journal, journal->path, journal->making->number);
        submit(journal, JOURNAL_UNLINKING, IO_OP_UNLINK);
    }
}

bool journal_busy(const struct journal *journal)
{
    CHECK(journal->step <= JOURNAL_UNLINKING);
    return journal->step != JOURNAL_IDLE;
}
