/* Space reserved for blocks: allocated on the file system, durably, before bytes are promised a
 * place in it. */
#include <errno.h>
#include <stdlib.h>

#include "core/check.h"
#include "core/namespace.h"
#include "core/space.h"

/* An allocation in one block. */
struct block_op {
    struct io_op op;
    struct sync_watch watch; /* It ends with a sync */
    struct segment *segment;
    uint16_t index;
    uint32_t target; /* Bytes from the block's start */
    uint32_t want;
};

void space_fail(struct namespace *ns, int code, int os_error, const char *doing)
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
        hold_give_up(ns);
        tell(slot, result);
    } else {
        space_fail(ns, result, os_error, "reserve space");
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
        hold_give_up(space->ns);
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
        space_fail(ns, op->result, op->os_error, "sync reserved space");
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

void space_sync_reservations(struct space *space)
{
    uint32_t i;

    for (i = 0; i < space->count && space->waits_sync_count > 0; i++) {
        if (space->segments[i]->waits_sync && !space->segments[i]->space_syncing) {
            sync_reservations(space, space->segments[i]);
        }
    }
}
