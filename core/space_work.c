/* Space in the background: reservations, new segments, freed blocks, empty segments. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/check.h"
#include "core/namespace.h"
#include "core/space.h"

#define RETRY_US 1000000u
#define AHEAD 2u /* Free blocks below which the next segment is made */

/* An operation on one block. */
struct block_op {
    struct io_op op;
    struct sync_watch watch; /* Of an allocation, which ends with a sync */
    struct segment *segment;
    uint16_t index;
    uint32_t target; /* Of an allocation: bytes from the block's start */
    uint32_t want;
};

static void fail(struct namespace *ns, int code, int os_error, const char *doing)
{
    if (ns->journal.failure.code == 0) {
        (void)error_errno(&ns->journal.failure, os_error, "%s in namespace \"%s\"", doing,
                          ns->name);
        ns->journal.failure.code = code;
    }
}

static void tell(struct slot *slot, int error)
{
    struct topic *topic = slot->topic;

    CHECK(error <= 0);
    CHECK(slot->state != SLOT_FREE || slot->topic == NULL);
    slot->topic = NULL;
    if (topic != NULL) {
        /* One made ahead of need fails nobody: whoever comes to need it asks again. */
        topic->space_error = topic->space_needed ? error : 0;
        topic->space_needed = false;
        if (!link_linked(&topic->runnable)) {
            list_append(&topic->ns->runnable_topics, &topic->runnable);
        }
    }
}

static uint32_t round_up(uint64_t size, uint32_t step, uint32_t max)
{
    const uint64_t rounded = (size + step - 1) / step * step;

    return rounded > max ? max : (uint32_t)rounded;
}

static uint32_t next_target(const struct slot *slot, uint32_t want, uint32_t block_size)
{
    uint32_t target = block_size;

    CHECK(want <= block_size);
    if (slot->reserved < SPACE_STEP_FIRST && want <= SPACE_STEP_FIRST) {
        target = SPACE_STEP_FIRST;
    } else if (slot->reserved < SPACE_STEP_SECOND && want <= SPACE_STEP_SECOND) {
        target = SPACE_STEP_SECOND;
    }
    return target > block_size ? block_size : target;
}

static void allocate(struct space *space, struct segment *segment, uint16_t index, uint32_t target,
                     uint32_t want);

static void allocate_done(struct io_op *op)
{
    struct block_op *block_op = op->arg;
    struct segment *segment = block_op->segment;
    struct namespace *ns = segment->ns;
    struct slot *slot = &segment->slots[block_op->index];
    const uint32_t least = round_up(block_op->want, FORMAT_PAGE, ns->block_size);
    const uint32_t target = block_op->target;
    const uint16_t index = block_op->index;
    const int result = op->result;
    const int os_error = op->os_error;

    CHECK(slot->extending);
    ns->space.in_flight--;
    syncs_end(&block_op->watch);
    free(block_op);
    slot->extending = false;
    if (ns->state != ENGINE_SERVING) {
        return;
    }
    if (slot->state == SLOT_FREE) {
        ns->retry_stalled = true; /* Returned meanwhile: it can be taken again */
    }
    if (result == 0) {
        slot->reserved = target;
        slot->punched = false;
        tell(slot, 0);
    } else if (result == TUSK_ENOSPACE && least < target && slot->topic != NULL) {
        allocate(&ns->space, segment, index, least, least);
    } else if (result == TUSK_ENOSPACE || result == TUSK_ENOMEM) {
        tell(slot, result);
    } else {
        fail(ns, result, os_error, "reserve space");
    }
}

static void allocate(struct space *space, struct segment *segment, uint16_t index, uint32_t target,
                     uint32_t want)
{
    struct slot *slot = &segment->slots[index];
    struct block_op *block_op = calloc(1, sizeof *block_op);

    CHECK(target <= space->ns->block_size);
    CHECK(!slot->extending);
    if (block_op == NULL) {
        tell(slot, TUSK_ENOMEM);
        return;
    }
    CHECK(target > slot->reserved);
    slot->extending = true;
    block_op->segment = segment;
    block_op->index = index;
    block_op->target = target;
    block_op->want = want;
    block_op->op =
        (struct io_op){.kind = IO_OP_ALLOCATE,
                       .file = segment->file,
                       .offset = (uint64_t)index * space->ns->block_size + slot->reserved,
                       .size = target - slot->reserved,
                       .done = allocate_done,
                       .arg = block_op};
    space->in_flight++;
    syncs_begin(&space->ns->syncs, &block_op->watch);
    io_submit(space->ns->io, &block_op->op);
}

/* The first step of a block is small and may be one of thousands at once: allocated in place,
 * and one sync of the segment serves all of them. */
static void allocate_first(struct space *space, struct segment *segment, uint16_t index,
                           uint32_t target)
{
    struct slot *slot = &segment->slots[index];
    struct error err;
    const int rc =
        io_allocate(segment->file, (uint64_t)index * space->ns->block_size, target, &err);

    CHECK(slot->reserved == 0);
    CHECK(slot->allocated == 0);
    if (rc == TUSK_ENOSPACE || rc == TUSK_ENOMEM) {
        tell(slot, rc);
    } else if (rc != 0) {
        if (space->ns->journal.failure.code == 0) {
            space->ns->journal.failure = err;
        }
    } else {
        slot->extending = true;
        slot->allocated = target;
        space->waits_sync_count += segment->waits_sync ? 0u : 1u;
        segment->waits_sync = true;
    }
}

void space_reserve(struct space *space, struct segment *segment, uint16_t index, uint32_t want,
                   struct topic *topic)
{
    struct slot *slot = &segment->slots[index];
    uint32_t target;

    CHECK(index < space->ns->blocks_per_segment);
    CHECK(slot->state == SLOT_USED);
    CHECK(want <= space->ns->block_size);
    slot->topic = topic;
    if (slot->extending || want <= slot->reserved) {
        return;
    }
    target = next_target(slot, want, space->ns->block_size);
    if (slot->reserved == 0 && target <= SPACE_STEP_FIRST) {
        allocate_first(space, segment, index, target);
    } else {
        allocate(space, segment, index, target, want);
    }
}

static void reservation_synced(struct io_op *op)
{
    struct segment *segment = op->arg;
    struct namespace *ns = segment->ns;
    uint32_t i;

    CHECK(segment->space_syncing);
    ns->space.in_flight--;
    syncs_end(&segment->sync_watch);
    segment->space_syncing = false;
    if (ns->state != ENGINE_SERVING) {
        return;
    }
    if (op->result != 0) {
        fail(ns, op->result, op->os_error, "sync reserved space");
        return;
    }
    for (i = 0; i < ns->blocks_per_segment; i++) {
        struct slot *slot = &segment->slots[i];

        if (slot->covered > 0) {
            slot->reserved = slot->covered;
            slot->covered = 0;
            slot->extending = false;
            if (slot->state == SLOT_FREE) {
                ns->retry_stalled = true;
            }
            tell(slot, 0);
        }
    }
}

static void sync_reservations(struct space *space, struct segment *segment)
{
    uint32_t i;

    CHECK(segment->waits_sync);
    segment->waits_sync = false;
    space->waits_sync_count--;
    segment->space_syncing = true;
    for (i = 0; i < space->ns->blocks_per_segment; i++) {
        segment->slots[i].covered = segment->slots[i].allocated;
        segment->slots[i].allocated = 0;
    }
    segment->sync = (struct io_op){
        .kind = IO_OP_SYNC, .file = segment->file, .done = reservation_synced, .arg = segment};
    space->in_flight++;
    syncs_begin(&space->ns->syncs, &segment->sync_watch);
    io_submit(space->ns->io, &segment->sync);
}

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
        space->retry_us = ns->now.mono_us + RETRY_US;
        ns->retry_stalled = true;
        return;
    }
    fail(ns, op->result, op->os_error, "create a segment");
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
        fail(ns, TUSK_ENOMEM, ENOMEM, "create a segment");
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

        if (slot->state == SLOT_FREEING && slot->free_lsn <= flusher->durable &&
            slot->free_lsn <= flusher->marked && slot->pins == 0 && !slot->extending) {
            slot->state = SLOT_FREE;
            CHECK(segment->used > 0);
            CHECK(space->freeing_count > 0);
            segment->used--;
            space->freeing_count--;
            space->free_count++;
            space->ns->retry_stalled = true;
        }
        if (slot->state == SLOT_FREE && !slot->punched && !slot->extending) {
            if (*kept < SPACE_POOL) {
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
        fail(space->ns, op->result, op->os_error, "remove an empty segment");
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

static void remove_empty(struct space *space)
{
    const uint32_t blocks = space->ns->blocks_per_segment;
    uint32_t i;

    for (i = 0; i < space->count; i++) {
        struct segment *segment = space->segments[i];

        if (segment->used == 0 && segment->file->in_flight == 0 && !segment->waits_sync &&
            !segment->punching && space->free_count >= blocks + AHEAD) {
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
    if (space->free_count < AHEAD && !space->creating && !space->no_space && space->made == NULL) {
        make_segment(space);
    }
    for (i = 0; i < space->count && space->waits_sync_count > 0; i++) {
        if (space->segments[i]->waits_sync && !space->segments[i]->space_syncing) {
            sync_reservations(space, space->segments[i]);
        }
    }
    if (space->freeing_count > 0 || space->unpunched ||
        space->free_count > space->ns->blocks_per_segment + AHEAD) {
        space->unpunched = false;
        for (i = 0; i < space->count; i++) {
            free_slots(space, space->segments[i], &kept);
        }
        remove_empty(space);
    }
}
