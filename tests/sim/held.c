/* Ranges: reads answered with a part of a block, held for a while. What is held does not change, and is not used
 * for anything else, whatever is trimmed, deleted and appended meanwhile. */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/error.h"
#include "tests/sim/oracle.h"

#define READ_TRIES 1000u

/* The range's bytes, piece by piece and cold ones again. False: the disk does not give them. */
static bool read_range(struct world *w, const struct engine_range *range, uint8_t *data)
{
    uint32_t at = 0;
    unsigned tries;

    for (tries = 0; at < range->size; tries++) {
        size_t got = 0;
        const int rc = engine_range_read(range, at, data + at, range->size - at, &got);

        if (tries == READ_TRIES) {
            return false; /* Nothing is ever in memory here */
        }
        if (rc != 0 && rc != TUSK_EBUSY) {
            if (sim_disk_is_down(w->disk)) {
                return false; /* The power was cut since */
            }
            if (!world_may_be_damaged(w) && !world_excused(w)) {
                world_fail(w, "what is held can be read", "%s", status_name(rc));
            }
            return false;
        }
        at += (uint32_t)got;
    }
    return true;
}

static void release(struct world *w, struct held *held)
{
    uint8_t *now = malloc(held->range.size);

    CHECK(now != NULL);
    if (held->bytes != NULL && read_range(w, &held->range, now) &&
        memcmp(now, held->bytes, held->range.size) != 0) {
        world_fail(w, "what is held stays as it is", "%u bytes of namespace %s", held->range.size,
                   held->ns->name);
    }
    engine_range_release(&held->range);
    free(now);
    free(held->bytes);
    *held = (struct held){.ns = NULL};
}

void held_take(struct world *w, struct op *op)
{
    struct engine_read *read = &op->read;
    struct held *held = &w->held[world_below(w, WORLD_HELD)];

    if (read->range.segment == NULL) {
        return;
    }
    w->report->ranges++;
    if (held->ns != NULL) {
        release(w, held);
    }
    *held = (struct held){.ns = op->ns,
                          .topic = op->topic,
                          .from = read->from,
                          .range = read->range,
                          .bytes = malloc(read->range.size)};
    op->bytes = realloc(op->bytes, read->range.size);
    CHECK(held->bytes != NULL);
    CHECK(op->bytes != NULL);
    if (!read_range(w, &held->range, held->bytes)) {
        free(held->bytes);
        held->bytes = NULL;
        return;
    }
    memcpy(op->bytes, held->bytes, held->range.size);
    read->data = op->bytes;
}

void held_release(struct world *w, const struct model_namespace *ns)
{
    unsigned i;

    for (i = 0; i < WORLD_HELD; i++) {
        if (w->held[i].ns != NULL && (ns == NULL || w->held[i].ns == ns)) {
            release(w, &w->held[i]);
        }
    }
}

void held_release_some(struct world *w)
{
    struct held *held = &w->held[world_below(w, WORLD_HELD)];

    if (held->ns != NULL) {
        release(w, held);
    }
}

void held_forget(struct world *w)
{
    unsigned i;

    for (i = 0; i < WORLD_HELD; i++) {
        free(w->held[i].bytes);
        w->held[i] = (struct held){.ns = NULL};
    }
}
