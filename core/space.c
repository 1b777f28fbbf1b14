/* The table of segments and blocks. Reserving, making and removing are in space_work.c. */
#include "core/space.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/namespace.h"

#define HUNGRY_US 1000000u

void space_init(struct space *space, struct namespace *ns)
{
    CHECK(ns != NULL);
    *space = (struct space){.ns = ns, .next_segment = 1};
}

void space_deinit(struct space *space)
{
    uint32_t i;

    CHECK(space->count <= space->capacity);
    for (i = 0; i < space->count; i++) {
        io_close_file(space->segments[i]->file);
        free(space->segments[i]);
    }
    if (space->made != NULL) {
        io_close_file(space->made->file);
        free(space->made);
    }
    free(space->segments);
    *space = (struct space){0};
}

void space_path(const struct space *space, char path[IO_PATH_SIZE], uint64_t number)
{
    CHECK(path != NULL);
    (void)snprintf(path, IO_PATH_SIZE, "%s/%016llx.seg", space->ns->dir,
                   (unsigned long long)number);
}

/* The index of the first segment whose number is at least `number`. */
static uint32_t lower_bound(const struct space *space, uint64_t number)
{
    uint32_t low = 0;
    uint32_t high = space->count;

    CHECK(space->count <= space->capacity);
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;

        if (space->segments[middle]->number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    CHECK(low <= space->count);
    return low;
}

struct segment *space_find(const struct space *space, uint64_t number)
{
    const uint32_t at = lower_bound(space, number);

    CHECK(space->ns != NULL);
    return at < space->count && space->segments[at]->number == number ? space->segments[at] : NULL;
}

int space_add(struct space *space, uint64_t number, struct io_file *file, struct segment **out)
{
    const uint32_t blocks = space->ns->blocks_per_segment;
    const uint32_t at = lower_bound(space, number);
    struct segment *segment;
    uint32_t i;

    CHECK(file != NULL);
    CHECK(blocks > 0);
    CHECK(space->count <= space->capacity);
    CHECK(space_find(space, number) == NULL);
    if (space->count == space->capacity) {
        const uint32_t capacity = space->capacity == 0 ? 4 : space->capacity * 2;
        struct segment **segments = realloc(space->segments, capacity * sizeof(struct segment *));

        if (segments == NULL) {
            return TUSK_ENOMEM;
        }
        space->segments = segments;
        space->capacity = capacity;
    }
    segment = calloc(1, sizeof *segment + blocks * sizeof segment->slots[0]);
    if (segment == NULL) {
        return TUSK_ENOMEM;
    }
    segment->ns = space->ns;
    segment->number = number;
    segment->file = file;
    for (i = 0; i < blocks; i++) {
        segment->slots[i].punched = true; /* No space known to be held */
    }
    memmove(space->segments + at + 1, space->segments + at,
            (space->count - at) * sizeof(struct segment *));
    space->segments[at] = segment;
    space->count++;
    space->full = at < space->full ? at : space->full;
    space->free_count += blocks;
    if (number >= space->next_segment) {
        space->next_segment = number + 1;
    }
    if (out != NULL) {
        *out = segment;
    }
    return 0;
}

int space_create_now(struct space *space, struct error *err)
{
    struct io_file *file = NULL;
    uint64_t number = space->next_segment;

    CHECK(space->next_segment > 0);
    space_path(space, space->path, number);
    if (io_open(space->ns->io, space->path, IO_OPEN_CREATE, &file, err) != 0) {
        return error_wrap(err, "create a segment");
    }
    if (io_sync_dir(space->ns->io, space->ns->dir, err) != 0) {
        io_close_file(file);
        return error_wrap(err, "create a segment");
    }
    /* fanalyzer-suppress malloc-leak: space->segments has it */
    if (space_add(space, number, file, NULL) != 0) {
        io_close_file(file);
        return error_set(err, TUSK_ENOMEM, "create a segment");
    }
    return 0;
}

/* A free slot that holds space already comes before one that does not. */
static bool find_free(struct space *space, bool punched, struct segment **segment, uint16_t *index)
{
    uint32_t i;
    uint32_t k;

    CHECK(segment != NULL);
    CHECK(index != NULL);
    while (space->full < space->count &&
           space->segments[space->full]->used == space->ns->blocks_per_segment) {
        space->full++;
    }
    for (i = space->full; i < space->count; i++) {
        struct segment *candidate = space->segments[i];

        if (candidate->used == space->ns->blocks_per_segment || candidate->unlinking) {
            continue;
        }
        for (k = 0; k < space->ns->blocks_per_segment; k++) {
            const struct slot *slot = &candidate->slots[k];

            if (slot->state == SLOT_FREE && !slot->extending && !slot->shared &&
                slot->punched == punched) {
                CHECK(k <= UINT16_MAX);
                CHECK(candidate->file != NULL);
                *segment = candidate;
                *index = (uint16_t)k;
                return true;
            }
        }
    }
    return false;
}

void space_use(struct space *space, struct segment *segment, uint16_t index)
{
    struct slot *slot = &segment->slots[index];

    CHECK(space->free_count > 0);
    CHECK(!slot->extending);
    CHECK(index < space->ns->blocks_per_segment);
    CHECK(slot->state == SLOT_FREE);
    slot->state = SLOT_USED;
    slot->punched = false; /* A block that recovery finds holds what space it was given before */
    segment->used++;
    space->free_count--;
    space->used_count++;
}

int space_take(struct space *space, struct segment **segment, uint16_t *index)
{
    CHECK(segment != NULL);
    CHECK(index != NULL);
    if (!find_free(space, false, segment, index) && !find_free(space, true, segment, index)) {
        space->hungry_us = space->ns->now.mono_us + HUNGRY_US;
        return space->no_space ? TUSK_ENOSPACE : 0;
    }
    space_use(space, *segment, *index);
    CHECK((*segment)->slots[*index].state == SLOT_USED);
    return 1;
}

void space_free(struct space *space, struct segment *segment, uint16_t index, uint64_t ticket)
{
    struct slot *slot = &segment->slots[index];

    CHECK(index < space->ns->blocks_per_segment);
    CHECK(space->used_count > 0);
    CHECK(ticket > 0);
    CHECK(slot->state == SLOT_USED);
    slot->state = SLOT_FREEING;
    slot->free_lsn = ticket;
    slot->topic = NULL;
    space->used_count--;
    space->freeing_count++;
    space->ns->retry_stalled = true; /* One may wait for the quota */
    if (ticket > space->free_lsn_max) {
        space->free_lsn_max = ticket;
    }
}

void space_shared(struct space *space)
{
    uint32_t i;
    uint32_t k;

    CHECK(space->ns != NULL);
    for (i = 0; i < space->count; i++) {
        CHECK(space->segments[i]->ns == space->ns);
        for (k = 0; k < space->ns->blocks_per_segment; k++) {
            struct slot *slot = &space->segments[i]->slots[k];

            CHECK(slot->state <= SLOT_FREEING);
            slot->shared = slot->shared || slot->state != SLOT_FREE;
        }
    }
}

void space_return(struct space *space, struct segment *segment, uint16_t index)
{
    struct slot *slot = &segment->slots[index];

    CHECK(index < space->ns->blocks_per_segment);
    CHECK(space->used_count > 0);
    CHECK(segment->used > 0);
    CHECK(slot->state == SLOT_USED);
    slot->state = SLOT_FREE;
    slot->topic = NULL;
    /* Others that hold space come first. */
    slot->punched = slot->reserved == 0 && !slot->shared;
    space->unpunched = true;
    space->used_count--;
    space->ns->retry_stalled = true; /* As above */
    space_slot_freed(space, segment);
}

void space_slot_freed(struct space *space, struct segment *segment)
{
    CHECK(segment->used > 0);
    segment->used--;
    space->free_count++;
    space->full = 0; /* Which one it is costs as much to find as to pass the full ones again */
}

bool space_wants_mark(const struct space *space)
{
    CHECK(space->ns->flusher.marked <= space->ns->flusher.durable);
    return space_is_freeing(space) && space->ns->flusher.marked < space->free_lsn_max;
}
