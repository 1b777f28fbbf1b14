/* Looking at a namespace: recovery's first steps, and the list of its blocks. */
#include "core/inspect.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/engine_state.h"

/* ---- the list of blocks ---- */

static int by_name(const void *a, const void *b)
{
    const struct topic *left = *(struct topic *const *)a;
    const struct topic *right = *(struct topic *const *)b;

    return name_compare(left->name, left->name_size, right->name, right->name_size);
}

static int by_offset(const void *a, const void *b)
{
    const struct block *left = a;
    const struct block *right = b;

    return left->first_offset < right->first_offset   ? -1
           : left->first_offset > right->first_offset ? 1
           : left->generation < right->generation     ? -1
                                                      : left->generation > right->generation;
}

static void list_topic(struct inspection *inspection, struct topic *topic)
{
    uint32_t i;

    if (topic->block_count > 0) {
        qsort(topic->blocks, topic->block_count, sizeof *topic->blocks, by_offset);
    }
    for (i = 0; i < topic->block_count; i++) {
        const struct block *block = &topic->blocks[i];
        const struct recovery_owner *owner =
            recovery_owner(&inspection->recovery, block->segment_number, block->index);

        CHECK(owner != NULL);
        CHECK(owner->topic == topic);
        CHECK(owner->generation == block->generation);
        CHECK(owner->applied <= format_block_limit(inspection->ns->block_size));
        CHECK(inspection->block_count < UINT32_MAX);
        inspection->blocks[inspection->block_count++] = (struct inspect_block){
            .topic = topic, .block = block, .seed = owner->seed, .applied = owner->applied};
    }
}

static int list_blocks(struct inspection *inspection)
{
    struct namespace *ns = inspection->ns;
    struct topic **topics = calloc((size_t)ns->topic_count + 1, sizeof(struct topic *));
    size_t blocks = 0;
    uint32_t count = 0;
    struct topic *topic;
    struct topic *next;
    uint32_t i;

    CHECK(inspection->blocks == NULL);
    CHECK(inspection->block_count == 0);
    HASH_ITER(by_id, ns->topics_by_id, topic, next)
    {
        blocks += topic->block_count;
        if (topics != NULL) {
            CHECK(count < ns->topic_count);
            topics[count++] = topic;
        }
    }
    inspection->blocks = calloc(blocks + 1, sizeof *inspection->blocks);
    if (topics == NULL || inspection->blocks == NULL || blocks > UINT32_MAX) {
        free(topics);
        return error_set(&inspection->err, TUSK_ENOMEM, "list the blocks");
    }
    CHECK(count == ns->topic_count);
    qsort(topics, count, sizeof(struct topic *), by_name);
    for (i = 0; i < count; i++) {
        list_topic(inspection, topics[i]);
    }
    free(topics);
    CHECK(inspection->block_count == blocks);
    return 0;
}

/* ---- life ---- */

/* Tables as of R. Which batches count behind it nobody says: all of the journal's that fit their
 * block. */
static int from_manifest(struct inspection *inspection)
{
    struct recovery *recovery = &inspection->recovery;
    int rc;

    CHECK(recovery->end == 0);
    CHECK(recovery->records == 0);
    rc = recovery_load(recovery);
    if (rc == TUSK_ENOTFOUND && inspection->ns->block_size != 0) {
        rc = 0; /* The manifest was there; the directory of the journal is not */
    }
    recovery->lost = inspection->way == INSPECT_FROM_MANIFEST;
    recovery->end = recovery->lost ? FORMAT_COUNTER_MAX : 0;
    return rc;
}

static int look(struct inspection *inspection)
{
    switch (inspection->way) {
    case INSPECT_AS_IS:
    case INSPECT_ACCEPT_LOSS:
        return recovery_examine(&inspection->recovery);
    case INSPECT_FROM_BLOCKS:
        return inspect_from_blocks(inspection);
    case INSPECT_FROM_MANIFEST:
    case INSPECT_LIVE:
        return from_manifest(inspection);
    default:
        UNREACHABLE("a way to look that inspect_open() checked");
    }
}

static int examine(struct inspection *inspection)
{
    int rc;

    CHECK(inspection->err.code == 0);
    CHECK(inspection->ns->topic_count == 0);
    rc = look(inspection);
    if (rc == 0 && inspection->recovery.lost) {
        rc = inspect_adopt_blocks(inspection);
    }
    if (rc == 0) {
        CHECK(inspection->ns->block_size >= FORMAT_BLOCK_SIZE_MIN);
        CHECK(inspection->ns->blocks_per_segment > 0);
        inspection->clean = recovery_clean(&inspection->recovery);
        rc = list_blocks(inspection);
    }
    return rc == 0 ? inspect_find_refs(inspection) : rc;
}

/* The row of the recovery table by which it is refused, or ROW_COUNT: it is for another reason. */
static enum recovery_row refusal_row(const struct inspection *inspection)
{
    static const enum recovery_row whole[] = {ROW_R10, ROW_R15, ROW_R17};
    static const enum recovery_row records[] = {ROW_R3, ROW_R5, ROW_R7, ROW_R11, ROW_R13};
    unsigned i;

    CHECK(inspection->recovery.last_row < ROW_COUNT);
    for (i = 0; i < sizeof whole / sizeof whole[0]; i++) {
        if (inspection->ns->recovery_rows[whole[i]] > 0) {
            return whole[i];
        }
    }
    for (i = 0; i < sizeof records / sizeof records[0]; i++) {
        if (inspection->recovery.last_row == records[i]) {
            return records[i];
        }
    }
    return ROW_COUNT;
}

int inspect_open(struct inspection **out, struct io *io, const struct engine_options *options,
                 const char *name, size_t size, enum inspect_way way, bool thorough,
                 struct error *err)
{
    struct inspection *inspection = calloc(1, sizeof *inspection);
    struct engine *engine = calloc(1, sizeof *engine);
    int rc;

    CHECK(io != NULL);
    CHECK(way <= INSPECT_LIVE);
    CHECK(options->blocks_per_segment > 0);
    CHECK(options->blocks_per_segment <= UINT16_MAX);
    *out = NULL;
    if (inspection != NULL && engine != NULL) {
        engine->io = io;
        engine->options = *options;
        inspection->ns = namespace_new(engine, name, size);
    }
    if (inspection == NULL || inspection->ns == NULL) {
        free(engine);
        free(inspection);
        return error_set(err, TUSK_ENOMEM, "look at a namespace");
    }
    inspection->engine = engine;
    inspection->way = way;
    inspection->thorough = thorough;
    inspection->recovery.ns = inspection->ns;
    inspection->recovery.err = &inspection->err;
    inspection->recovery.accept_loss = way != INSPECT_AS_IS;
    inspection->recovery.notes_strays = way != INSPECT_AS_IS;
    inspection->recovery.lenient = way != INSPECT_AS_IS && way != INSPECT_LIVE;
    rc = examine(inspection);
    if (rc != 0) {
        if (inspection->err.code != rc) {
            (void)error_set(&inspection->err, rc, "%s", status_text(rc));
        }
        *err = inspection->err;
        if (refusal_row(inspection) != ROW_COUNT) {
            (void)error_wrap(err, "%s", recovery_row_text(refusal_row(inspection)));
        }
        inspect_close(inspection);
        return rc;
    }
    *out = inspection;
    return 0;
}

void inspect_close(struct inspection *inspection)
{
    if (inspection == NULL) {
        return;
    }
    CHECK(inspection->recovery.ns == inspection->ns);
    CHECK(inspection->ref_count <= inspection->ref_capacity);
    CHECK(inspection->blocks != NULL || inspection->block_count == 0);
    recovery_deinit(&inspection->recovery);
    namespace_free(inspection->ns);
    free(inspection->engine);
    free(inspection->blocks);
    free(inspection->refs);
    free(inspection->strays);
    free(inspection->by_address);
    free(inspection);
}

void inspect_settle(struct inspection *inspection)
{
    struct namespace *ns = inspection->ns;
    struct topic *topic;
    struct topic *next;

    CHECK(!inspection->clean || !inspection->recovery.lost);
    if (!inspection->clean) {
        recovery_step_ids(ns);
    }
    if (inspection->recovery.lost) {
        recovery_step_offsets(ns);
        return;
    }
    HASH_ITER(by_id, ns->topics_by_id, topic, next)
    {
        CHECK(topic->next_offset >= topic->first);
        if (!inspection->clean && topic->run_end > topic->next_offset) {
            topic->next_offset = topic->run_end;
        }
    }
}
