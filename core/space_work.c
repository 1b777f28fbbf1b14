/* Space in the background: new segments, freed blocks, empty segments, writing back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/check.h"
#include "core/namespace.h"
#include "core/space.h"

#define RETRY_US 1000000u
#define AHEAD 2u /* Free blocks below which the next segment is made, while nobody had to wait */

/* An operation on one block. */
struct block_op {
    struct io_op op;
    struct segment *segment;
    uint16_t index;
};

#define WRITEBACKS_MAX 32u

static void writeback_done(struct io_op *op)
{
    struct block_op *block_op = op->arg;
    struct space *space = &block_op->segment->ns->space;

    CHECK(space->writebacks > 0);
    space->in_flight--;
    space->writebacks--;
    free(block_op);
}

void space_writeback(struct space *space, struct segment *segment, uint64_t offset, uint32_t size)
{
    struct block_op *block_op =
        space->writebacks >= WRITEBACKS_MAX ? NULL : calloc(1, sizeof *block_op);

    if (block_op == NULL) {
        return;
    }
    block_op->segment = segment;
    block_op->op = (struct io_op){.kind = IO_OP_WRITEBACK,
                                  .file = segment->file,
                                  .offset = offset,
                                  .size = size,
                                  .done = writeback_done,
                                  .arg = block_op};
    space->in_flight++;
    space->writebacks++;
    io_submit(space->ns->io, &block_op->op);
}

static void make_failed(struct space *space, const struct io_op *op)
{
    struct namespace *ns = space->ns;

    space->creating = false;
    if (op->kind == IO_OP_CREATE && op->result == TUSK_EEXISTS) {
        space->next_segment++;
        return;
    }
    if (op->kind == IO_OP_CREATE &&
        (op->result == TUSK_ENOSPACE || op->result == TUSK_EBUSY || op->result == TUSK_ENOMEM)) {
        space->no_space = true;
        hold_give_up(ns);
        space->retry_us = ns->now.mono_us + RETRY_US;
        ns->retry_stalled = true;
        return;
    }
    space_fail(ns, op->result, op->os_error, "create a segment");
}

static void make_done(struct io_op *op)
{
    struct space *space = op->arg;
    struct namespace *ns = space->ns;

    CHECK(space->creating);
    space->in_flight--;
    if (op->kind == IO_OP_CREATE && op->result == 0) {
        space->made->file = op->file;
    }
    if (ns->state != ENGINE_SERVING) {
        return;
    }
    if (op->result != 0) {
        make_failed(space, op);
        if (!space->creating && space->made->file == NULL) {
            free(space->made);
            space->made = NULL;
        }
        return;
    }
    if (op->kind == IO_OP_CREATE) {
        space->op.kind = IO_OP_SYNC_DIR;
        space->op.path = ns->dir;
        space->in_flight++;
        io_submit(ns->io, &space->op);
        return;
    }
    space->creating = false;
    space->no_space = false;
    ns->retry_stalled = true;
    if (space_add(space, space->made->number, space->made->file, NULL) == 0) {
        free(space->made);
        space->made = NULL;
    } else {
        space_fail(ns, TUSK_ENOMEM, ENOMEM, "create a segment");
    }
}

static void make_segment(struct space *space)
{
    CHECK(space->made == NULL);
    space->made = calloc(1, sizeof *space->made);
    if (space->made == NULL) {
        return;
    }
    space->creating = true;
    space->made->number = space->next_segment;
    space_path(space, space->path, space->made->number);
    space->op =
        (struct io_op){.kind = IO_OP_CREATE, .path = space->path, .done = make_done, .arg = space};
    space->in_flight++;
    io_submit(space->ns->io, &space->op);
}

static void punch_done(struct io_op *op)
{
    struct block_op *block_op = op->arg;
    struct segment *segment = block_op->segment;
    struct slot *slot = &segment->slots[block_op->index];
    struct namespace *ns = segment->ns;

    CHECK(slot->extending);
    CHECK(slot->state == SLOT_FREE);
    /* A block that kept its space is as free as one that gave it back. */
    ns->space.in_flight--;
    segment->punching = false;
    slot->extending = false;
    slot->punched = true;
    slot->shared = false;
    slot->reserved = 0;
    ns->retry_stalled = true; /* It can be taken again */
    free(block_op);
}

static void punch(struct space *space, struct segment *segment, uint16_t index)
{
    struct block_op *block_op = calloc(1, sizeof *block_op);

    CHECK(segment->slots[index].state == SLOT_FREE);
    if (block_op == NULL) {
        return;
    }
    segment->punching = true;
    segment->slots[index].extending = true;
    block_op->segment = segment;
    block_op->index = index;
    block_op->op = (struct io_op){.kind = IO_OP_PUNCH,
                                  .file = segment->file,
                                  .offset = (uint64_t)index * space->ns->block_size,
                                  .size = space->ns->block_size,
                                  .done = punch_done,
                                  .arg = block_op};
    space->in_flight++;
    io_submit(space->ns->io, &block_op->op);
}

/* Free blocks of a segment that still hold space, beyond what the pool keeps. */
static void free_slots(struct space *space, struct segment *segment, uint32_t *kept)
{
    const struct flusher *flusher = &space->ns->flusher;
    uint32_t i;

    for (i = 0; i < space->ns->blocks_per_segment; i++) {
        struct slot *slot = &segment->slots[i];
        const bool may_go = slot->state == SLOT_FREEING && slot->free_lsn <= flusher->durable &&
                            slot->free_lsn <= flusher->marked && !slot->extending;

        if (may_go && (slot->pins > 0 || space->ns->hold.state == HOLD_ON)) {
            space->held_count++;
        } else if (may_go) {
            slot->state = SLOT_FREE;
            CHECK(space->freeing_count > 0);
            space->freeing_count--;
            space_slot_freed(space, segment);
            space->ns->retry_stalled = true;
        }
        if (slot->state == SLOT_FREE && !slot->punched && !slot->extending) {
            if (*kept < SPACE_POOL && !slot->shared) {
                (*kept)++;
            } else {
                space->unpunched = true; /* One at a time: its end comes back here */
                if (!segment->punching && !segment->unlinking) {
                    punch(space, segment, (uint16_t)i);
                }
            }
        }
    }
}

static void unlink_done(struct io_op *op)
{
    struct block_op *block_op = op->arg;
    struct space *space = &block_op->segment->ns->space;

    space->in_flight--;
    if (op->result != 0 && op->result != TUSK_ENOTFOUND && space->ns->state == ENGINE_SERVING) {
        space_fail(space->ns, op->result, op->os_error, "remove an empty segment");
    }
    free(block_op->segment);
    free(block_op);
}

/* No block of it is in use, durably: its name can go. */
static void remove_segment(struct space *space, uint32_t at)
{
    struct segment *segment = space->segments[at];
    struct block_op *block_op = calloc(1, sizeof *block_op + IO_PATH_SIZE);
    char *path;

    CHECK(segment->used == 0);
    if (block_op == NULL) {
        return;
    }
    path = (char *)(block_op + 1);
    io_close_file(segment->file);
    segment->file = NULL;
    space->direct_dirty_count -= segment->direct_dirty ? 1u : 0u;
    space->count--;
    for (; at < space->count; at++) {
        space->segments[at] = space->segments[at + 1];
    }
    space->free_count -= space->ns->blocks_per_segment;
    space_path(space, path, segment->number);
    block_op->segment = segment;
    block_op->op =
        (struct io_op){.kind = IO_OP_UNLINK, .path = path, .done = unlink_done, .arg = block_op};
    space->in_flight++;
    io_submit(space->ns->io, &block_op->op);
}

/* Free blocks below which the next segment is made. Where topics come faster than segments, a whole
 * segment is kept, so that one is made while the other is used up. */
static uint32_t ahead(const struct space *space)
{
    const uint32_t blocks = space->ns->blocks_per_segment;

    CHECK(blocks > 0);
    return space->ns->now.mono_us < space->hungry_us && blocks > AHEAD ? blocks : AHEAD;
}

static void remove_empty(struct space *space)
{
    const uint32_t blocks = space->ns->blocks_per_segment;
    uint32_t i;

    for (i = 0; i < space->count; i++) {
        struct segment *segment = space->segments[i];

        if (segment->used == 0 && segment->file->in_flight == 0 && !segment->waits_sync &&
            !segment->punching && space->free_count >= blocks + ahead(space)) {
            remove_segment(space, i);
            return; /* One a turn */
        }
    }
}

void space_work(struct space *space, uint64_t mono_us)
{
    uint32_t kept = 0;
    uint32_t i;

    CHECK(space->ns->state == ENGINE_SERVING);
    CHECK((uint64_t)space->free_count + space->used_count + space->freeing_count ==
          (uint64_t)space->count * space->ns->blocks_per_segment);
    if (space->no_space && mono_us >= space->retry_us) {
        space->no_space = false;
    }
    if (space->free_count < ahead(space) && !space->creating && !space->no_space &&
        space->made == NULL) {
        make_segment(space);
    }
    space_sync_reservations(space);
    if (space_is_freeing(space) || space->unpunched ||
        space->free_count > space->ns->blocks_per_segment + ahead(space)) {
        space->unpunched = false;
        space->held_count = 0;
        for (i = 0; i < space->count; i++) {
            free_slots(space, space->segments[i], &kept);
        }
        remove_empty(space);
    }
}
