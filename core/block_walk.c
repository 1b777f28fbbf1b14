#include "core/block_walk.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"

#define WINDOW_SIZE (1u << 20)

void block_walk_begin(struct block_walk *walk, struct io_file *file, uint64_t base, uint32_t seed,
                      uint32_t from, uint32_t end)
{
    CHECK(from % BATCH_ALIGN == 0);
    CHECK(end % BATCH_ALIGN == 0);
    CHECK(base % IO_DIRECT_ALIGN == 0);
    CHECK(end <= UINT32_MAX - IO_DIRECT_ALIGN);
    CHECK(base <= (uint64_t)INT64_MAX - end);
    CHECK((walk->window == NULL) == (walk->capacity == 0));
    CHECK(walk->capacity % IO_DIRECT_ALIGN == 0);
    walk->file = file;
    walk->base = base;
    walk->seed = seed;
    walk->position = from;
    walk->end = end;
    walk->window_size = 0;
}

void block_walk_deinit(struct block_walk *walk)
{
    CHECK((walk->window == NULL) == (walk->capacity == 0));
    CHECK(walk->window_size <= walk->capacity);
    free(walk->window);
    *walk = (struct block_walk){0};
}

void block_walk_seek(struct block_walk *walk, uint32_t position)
{
    CHECK(position % BATCH_ALIGN == 0);
    walk->position = position;
}

static uint32_t pages(uint64_t size)
{
    CHECK(size <= UINT32_MAX - IO_DIRECT_ALIGN);
    return (uint32_t)((size + IO_DIRECT_ALIGN - 1) & ~(uint64_t)(IO_DIRECT_ALIGN - 1));
}

static int grow(struct block_walk *walk, uint32_t size, struct error *err)
{
    uint8_t *window;

    CHECK(size > 0);
    CHECK(size % IO_DIRECT_ALIGN == 0);
    CHECK(walk->window_size <= walk->capacity);
    if (size <= walk->capacity) {
        return 0;
    }
    window = aligned_alloc(IO_DIRECT_ALIGN, size);
    if (window == NULL) {
        return error_set(err, TUSK_ENOMEM, "read a batch of %u bytes", size);
    }
    free(walk->window);
    walk->window = window;
    walk->capacity = size;
    walk->window_size = 0;
    return 0;
}

/* Have [position, position + size) in the window. */
static int have(struct block_walk *walk, uint32_t position, uint32_t size, const uint8_t **bytes,
                struct error *err)
{
    const uint32_t begin = position & ~(IO_DIRECT_ALIGN - 1);
    const uint32_t least = pages(position - begin + size);
    uint32_t want = least < WINDOW_SIZE ? WINDOW_SIZE : least;
    size_t got = 0;
    int rc;

    CHECK(size > 0);
    CHECK(position < walk->end);
    CHECK(size <= walk->end - position);
    if (position >= walk->window_at &&
        (uint64_t)position + size <= (uint64_t)walk->window_at + walk->window_size) {
        *bytes = walk->window + (position - walk->window_at);
        return 0;
    }
    want = want > pages(walk->end - begin) ? pages(walk->end - begin) : want;
    rc = grow(walk, want, err);
    if (rc == 0 && walk->file != NULL) {
        walk->window_size = 0;
        rc = io_read_direct(walk->file, walk->window, want, walk->base + begin, &got, err);
    }
    if (rc != 0) {
        return rc;
    }
    CHECK(got <= want);
    CHECK(position - begin + size <= want);
    CHECK(want <= walk->capacity);
    memset(walk->window + got, 0, want - got);
    walk->bytes_read += got;
    walk->window_at = begin;
    walk->window_size = want;
    *bytes = walk->window + (position - begin);
    return 0;
}

/* Whether a header of this block stands at a position, and why not. */
static enum batch_problem header_at(const struct block_walk *walk, const uint8_t *bytes,
                                    uint32_t position, struct batch_header *header)
{
    const uint32_t left = walk->end - position;
    enum batch_problem problem;

    CHECK(position < walk->end);
    CHECK(left >= BATCH_HEADER_SIZE);
    CHECK(position % BATCH_ALIGN == 0);
    problem = batch_header_check(bytes, left - BATCH_HEADER_SIZE, header);
    if (problem != BATCH_GOOD) {
        return problem;
    }
    if (batch_header_crc(bytes, walk->seed, position) != header->header_crc) {
        return BATCH_BAD_HEADER_CRC;
    }
    CHECK(batch_padded_size(header->stored_size) <= left); /* Both are aligned */
    /* No engine gives such offsets, whatever the checksums say. */
    return header->first_offset <= UINT64_MAX - header->entry_count ? BATCH_GOOD : BATCH_BAD_SIZES;
}

/* The first valid header of [from, to), or `to`. */
static int next_header(struct block_walk *walk, uint32_t from, uint32_t to, uint32_t *found,
                       struct error *err)
{
    struct batch_header header;

    CHECK(from <= to);
    CHECK(to <= walk->end);
    for (; from < to && walk->end - from >= BATCH_HEADER_SIZE; from += BATCH_ALIGN) {
        const uint8_t *bytes = NULL;
        const int rc = have(walk, from, BATCH_HEADER_SIZE, &bytes, err);

        if (rc != 0) {
            return rc;
        }
        CHECK(bytes != NULL);
        if (header_at(walk, bytes, from, &header) == BATCH_GOOD) {
            *found = from;
            return 0;
        }
    }
    *found = to;
    return 0;
}

/* What stands at step->position is no valid batch, or the body of one: it ends at the next valid
 * header, at the latest at `to`. */
static int pass_bad(struct block_walk *walk, struct block_walk_step *step, uint32_t to,
                    struct error *err)
{
    uint32_t found = to;
    const int rc = next_header(walk, step->position + BATCH_ALIGN, to, &found, err);

    CHECK(step->position == walk->position);
    CHECK(step->position < to);
    step->bytes = NULL; /* Another read may have taken its place */
    if (rc != 0) {
        return rc;
    }
    CHECK(found > step->position);
    step->size = found - step->position;
    walk->position = found;
    return 0;
}

/* A whole batch, of whose header a first read has given a good one. Another read may have brought
 * the rest, and the header with it: what is given away has to be what was verified. */
static enum batch_problem batch_at(const struct block_walk *walk,
                                   const struct block_walk_step *step, uint32_t padded)
{
    struct batch_header again;

    CHECK(step->problem == BATCH_GOOD);
    CHECK(padded >= BATCH_HEADER_SIZE);
    if (batch_header_crc(step->bytes, walk->seed, step->position) != step->header.header_crc) {
        return BATCH_BAD_HEADER_CRC;
    }
    return batch_verify(step->bytes, padded, step->header.stored_size, &again);
}

int block_walk_next(struct block_walk *walk, struct block_walk_step *step, struct error *err)
{
    uint32_t padded;
    int rc;

    *step = (struct block_walk_step){.position = walk->position};
    if (walk->position >= walk->end) {
        return 0;
    }
    CHECK(walk->position % BATCH_ALIGN == 0);
    CHECK(walk->window_size <= walk->capacity);
    step->problem = BATCH_SHORT;
    step->kind = BLOCK_WALK_BAD;
    if (walk->end - walk->position < BATCH_HEADER_SIZE) {
        return pass_bad(walk, step, walk->end, err);
    }
    rc = have(walk, walk->position, BATCH_HEADER_SIZE, &step->bytes, err);
    if (rc != 0) {
        return rc;
    }
    step->problem = header_at(walk, step->bytes, walk->position, &step->header);
    if (step->problem != BATCH_GOOD) {
        return pass_bad(walk, step, walk->end, err);
    }
    padded = (uint32_t)batch_padded_size(step->header.stored_size);
    rc = have(walk, walk->position, padded, &step->bytes, err);
    if (rc != 0) {
        return rc;
    }
    step->problem = batch_at(walk, step, padded);
    if (step->problem != BATCH_GOOD) {
        /* A batch that a crash cut off may have been written over by newer ones, and its header be
         * left where the first of those was lost. */
        step->kind = BLOCK_WALK_BAD_BODY;
        return pass_bad(walk, step, walk->position + padded, err);
    }
    step->kind = BLOCK_WALK_BATCH;
    step->size = padded;
    walk->position += padded;
    return 0;
}
