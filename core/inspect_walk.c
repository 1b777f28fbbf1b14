/* A block's history, batch by batch: from the block where it has it, else from the journal, else
 * lost.
 *
 * Behind `applied` the journal's batches are the truth, because recovery writes them again; before
 * it, the block's. One of the same offset that validates is the same in both places, so it does not
 * matter which is taken where both have it; where the block has one of a lesser offset, a crash has
 * cut that off, and the journal's was to take its place. */
#include <string.h>

#include "core/check.h"
#include "core/inspect.h"
#include "core/namespace.h"

void inspect_walk_begin(struct inspect_walk *walk, const struct inspection *inspection,
                        const struct inspect_block *block, struct io_file *file)
{
    const uint32_t block_size = inspection->ns->block_size;
    /* Behind a loss the tables may not know how far a block was filled. */
    const uint32_t end = inspection->recovery.lost || block->applied == 0
                             ? format_block_limit(block_size)
                             : block->block->end;

    CHECK((uint64_t)(block - inspection->blocks) < inspection->block_count);
    CHECK(block->first_ref <= inspection->ref_count);
    CHECK(block->ref_count <= inspection->ref_count - block->first_ref);
    CHECK(end >= FORMAT_BLOCK_DATA);
    CHECK(end <= format_block_limit(block_size));
    CHECK(block->block->index < inspection->ns->blocks_per_segment);
    block_walk_begin(&walk->walk, file, (uint64_t)block->block->index * block_size, block->seed,
                     FORMAT_BLOCK_DATA, end);
    walk->inspection = inspection;
    walk->block = block;
    walk->is_held = false;
    walk->expected = block->block->first_offset;
    walk->next_ref = block->first_ref;
    walk->last_crc = 0;
    walk->has_last = false;
}

void inspect_walk_deinit(struct inspect_walk *walk)
{
    block_walk_deinit(&walk->walk);
}

/* The first of the journal's batches at or behind a position, or NULL. */
static const struct inspect_ref *ref_from(struct inspect_walk *walk, uint32_t position)
{
    const uint64_t end = walk->block->first_ref + walk->block->ref_count;

    CHECK(end <= walk->inspection->ref_count);
    CHECK(walk->next_ref >= walk->block->first_ref);
    while (walk->next_ref < end && walk->inspection->refs[walk->next_ref].position < position) {
        walk->next_ref++;
    }
    CHECK(walk->next_ref >= end ||
          &walk->inspection->blocks[walk->inspection->refs[walk->next_ref].block] == walk->block);
    return walk->next_ref < end ? &walk->inspection->refs[walk->next_ref] : NULL;
}

static int take(struct inspect_walk *walk, struct block_walk_step *raw, struct error *err)
{
    if (walk->is_held) {
        CHECK(walk->held.kind != BLOCK_WALK_END);
        CHECK(walk->held.size > 0);
        *raw = walk->held;
        walk->is_held = false;
        return 0;
    }
    return block_walk_next(&walk->walk, raw, err);
}

static void give_batch(struct inspect_walk *walk, struct inspect_step *step,
                       const struct block_walk_step *raw)
{
    CHECK(raw->kind == BLOCK_WALK_BATCH);
    CHECK(raw->bytes != NULL);
    CHECK(raw->size >= BATCH_HEADER_SIZE);
    CHECK(raw->header.entry_count <= UINT64_MAX - raw->header.first_offset);
    CHECK(!walk->is_held);
    step->kind = INSPECT_BATCH;
    step->position = raw->position;
    step->size = raw->size;
    step->header = raw->header;
    step->bytes = raw->bytes;
    step->from = raw->header.first_offset;
    step->to = step->from + raw->header.entry_count;
    step->chain_broken = walk->has_last && step->from == walk->expected &&
                         raw->header.previous_crc != walk->last_crc;
    walk->last_crc = raw->header.header_crc;
    walk->has_last = true;
    walk->expected = step->to;
}

static void give_ref(struct inspect_walk *walk, struct inspect_step *step,
                     const struct inspect_ref *ref)
{
    const uint32_t limit = format_block_limit(walk->inspection->ns->block_size);

    CHECK(ref->entry_count <= UINT64_MAX - ref->first_offset);
    CHECK(ref->position >= FORMAT_BLOCK_DATA);
    CHECK(ref->position <= limit);
    CHECK(ref->padded <= limit - ref->position);
    step->kind = INSPECT_JOURNAL;
    step->position = ref->position;
    step->size = ref->padded;
    step->ref = ref;
    step->from = ref->first_offset;
    step->to = ref->first_offset + ref->entry_count;
    walk->has_last = false;
    walk->expected = step->to;
    walk->is_held = false;
    block_walk_seek(&walk->walk, ref->position + ref->padded);
}

static void give_lost(struct inspect_walk *walk, struct inspect_step *step, uint32_t position,
                      uint32_t end, uint64_t to)
{
    CHECK(position >= FORMAT_BLOCK_DATA);
    CHECK(position < end);
    step->kind = INSPECT_LOST;
    step->position = position;
    step->size = end - position;
    step->from = walk->expected;
    step->to = to > step->from ? to : step->from;
    walk->expected = step->to;
    walk->has_last = false;
}

/* Bytes [raw->position, + size) are no batch: what the journal has of them, and what nobody has. */
static int give_bad(struct inspect_walk *walk, struct inspect_step *step,
                    const struct block_walk_step *raw, struct error *err)
{
    const struct inspect_block *block = walk->block;
    const uint32_t end = raw->position + raw->size;
    const struct inspect_ref *ref = ref_from(walk, raw->position);
    int rc;

    CHECK(raw->kind == BLOCK_WALK_BAD);
    CHECK(raw->size <= UINT32_MAX - raw->position);
    CHECK(!walk->is_held);
    step->problem = raw->problem;
    if (ref != NULL && ref->position < end) {
        if (ref->position == raw->position) {
            give_ref(walk, step, ref);
            return 0;
        }
        give_lost(walk, step, raw->position, ref->position, ref->first_offset);
        walk->is_held = false;
        block_walk_seek(&walk->walk, ref->position);
        return 0;
    }
    rc = block_walk_next(&walk->walk, &walk->held, err);
    if (rc != 0) {
        return rc;
    }
    CHECK(walk->held.position == end);
    walk->is_held = walk->held.kind != BLOCK_WALK_END;
    if (walk->is_held) {
        give_lost(walk, step, raw->position, end, walk->held.header.first_offset);
    } else if (block->applied != 0 && raw->position < block->block->end) {
        give_lost(walk, step, raw->position, end < block->block->end ? end : block->block->end,
                  block->block->end_offset);
    } /* Else nobody says that anything was there: the end */
    return 0;
}

/* What stands in the block and reaches into a newer batch of the journal was cut off by a crash
 * before that was written. */
static void stop_at_ref(struct inspect_walk *walk, struct inspect_step *step)
{
    const struct inspect_ref *ref = ref_from(walk, step->position + BATCH_ALIGN);

    CHECK(step->kind == INSPECT_BATCH || step->kind == INSPECT_LOST);
    CHECK(!walk->is_held);
    if (ref != NULL && ref->position - step->position < step->size &&
        ref->first_offset > step->header.first_offset) {
        step->size = ref->position - step->position;
        block_walk_seek(&walk->walk, ref->position);
    }
}

int inspect_walk_next(struct inspect_walk *walk, struct inspect_step *step, struct error *err)
{
    const struct inspect_ref *ref;
    struct block_walk_step raw;
    int rc = take(walk, &raw, err);

    memset(step, 0, sizeof *step);
    if (rc != 0 || raw.kind == BLOCK_WALK_END) {
        return rc;
    }
    CHECK(raw.size > 0);
    CHECK(raw.position >= FORMAT_BLOCK_DATA);
    if (raw.kind == BLOCK_WALK_BAD) {
        return give_bad(walk, step, &raw, err);
    }
    CHECK(!walk->is_held);
    ref = ref_from(walk, raw.position);
    if (ref != NULL && ref->position == raw.position &&
        (raw.kind != BLOCK_WALK_BATCH || ref->first_offset > raw.header.first_offset)) {
        give_ref(walk, step, ref);
        return 0;
    }
    if (raw.kind == BLOCK_WALK_BATCH) {
        give_batch(walk, step, &raw);
        stop_at_ref(walk, step);
        return 0;
    }
    CHECK(raw.kind == BLOCK_WALK_BAD_BODY);
    step->problem = raw.problem;
    step->header = raw.header;
    walk->expected = raw.header.first_offset;
    give_lost(walk, step, raw.position, raw.position + raw.size,
              raw.header.first_offset + raw.header.entry_count);
    stop_at_ref(walk, step);
    return 0;
}
