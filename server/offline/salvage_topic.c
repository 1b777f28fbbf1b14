/* One topic, from its blocks and the journal into the new store. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/namespace.h"
#include "core/rebuild.h"
#include "server/offline/salvage.h"

struct carry {
    struct salvage *salvage;
    struct rebuild *rebuild;
    struct topic *topic;
    uint64_t reached; /* Offsets before this are carried, or lost */
    bool begun;       /* Some entry was carried or lost: a gap from here on is one inside */
    uint64_t entries;
};

static int carry_bytes(struct carry *carry, const struct inspect_step *step, const uint8_t *bytes,
                       const struct batch_header *header, struct error *err)
{
    struct salvage_counts *counts = &carry->salvage->counts;
    int rc;

    if (step->to <= carry->topic->first) {
        return 0; /* Trimmed */
    }
    if (step->from < carry->reached) {
        salvage_tell(carry->salvage, carry->topic, step->from, step->to,
                     "a batch repeats offsets of the one before and is left out");
        return 0;
    }
    rc = rebuild_batch(carry->rebuild, bytes, header, err);
    if (rc != 0) {
        return rc;
    }
    /* Behind a lost piece of journal nobody knows what a gap was. */
    if (carry->salvage->store->inspection->recovery.lost && carry->begun &&
        step->from > carry->reached) {
        salvage_tell(carry->salvage, carry->topic, carry->reached, step->from,
                     "never issued, or lost with the journal");
    }
    counts->entries += header->entry_count;
    counts->bytes += header->stored_size;
    counts->healed += step->kind == INSPECT_JOURNAL;
    carry->entries += header->entry_count;
    carry->reached = step->to;
    carry->begun = true;
    return 0;
}

static void carry_loss(struct carry *carry, const struct inspect_step *step, const char *why)
{
    const uint64_t first = carry->topic->first;
    const uint64_t from = step->from > first ? step->from : first;

    if (step->to <= from) {
        return; /* Of nothing that is kept */
    }
    carry->salvage->counts.lost += step->to - from;
    salvage_tell(carry->salvage, carry->topic, from, step->to, why);
    carry->reached = step->to > carry->reached ? step->to : carry->reached;
    carry->begun = true;
}

static int carry_step(struct carry *carry, const struct inspect_step *step, struct error *err)
{
    struct inspection *inspection = carry->salvage->store->inspection;
    struct batch_header header;
    const uint8_t *bytes;
    int rc;

    if (step->kind == INSPECT_LOST) {
        carry_loss(carry, step,
                   step->problem == BATCH_GOOD ? "no batch is there"
                                               : batch_problem_text(step->problem));
        return 0;
    }
    if (step->kind == INSPECT_BATCH) {
        return carry_bytes(carry, step, step->bytes, &step->header, err);
    }
    rc = inspect_ref_bytes(inspection, step->ref, &bytes, &header, err);
    if (rc == TUSK_ECORRUPT || rc == TUSK_EIO) {
        carry_loss(carry, step, "the journal gave it once, and not again");
        return 0;
    }
    return rc == 0 ? carry_bytes(carry, step, bytes, &header, err) : rc;
}

static int carry_block(struct carry *carry, const struct inspect_block *block, struct error *err)
{
    struct salvage *salvage = carry->salvage;
    struct inspect_walk *walk = &salvage->walk;
    struct namespace *ns = salvage->store->inspection->ns;
    uint64_t told = walk->walk.bytes_read;
    struct io_file *file = NULL;
    struct inspect_step step;
    char path[IO_PATH_SIZE];
    int rc;

    space_path(&ns->space, path, block->block->segment_number);
    rc = io_open(salvage->store->lenient, path, IO_OPEN_READ, &file, err);
    if (rc != 0 && rc != TUSK_ENOTFOUND) {
        return rc;
    }
    inspect_walk_begin(walk, salvage->store->inspection, block, rc == 0 ? file : NULL);
    do {
        rc = inspect_walk_next(walk, &step, err);
        if (rc == 0 && step.kind != INSPECT_END) {
            rc = carry_step(carry, &step, err);
        }
        progress_add(&salvage->options->progress, walk->walk.bytes_read - told);
        told = walk->walk.bytes_read;
        progress_draw(&salvage->options->progress);
    } while (rc == 0 && step.kind != INSPECT_END && !offline_interrupted());
    io_close_file(file);
    return rc == 0 && offline_interrupted() ? error_set(err, TUSK_ECLOSED, "interrupted") : rc;
}

/* Where offsets go on: never before a cursor, which may have seen what is lost. */
static uint64_t next_offset(const struct topic *topic)
{
    uint64_t next = topic->next_offset;
    uint32_t i;

    for (i = 0; i < topic->cursor_count; i++) {
        const uint64_t offset = topic->cursors[i]->offset;

        next = offset > next ? offset : next;
    }
    return next;
}

int salvage_topic(struct salvage *salvage, struct rebuild *rebuild, struct topic *topic,
                  uint32_t first_block, struct error *err)
{
    const struct inspection *inspection = salvage->store->inspection;
    struct carry carry = {.salvage = salvage, .rebuild = rebuild, .topic = topic};
    struct out *out = &salvage->options->out;
    uint32_t at;
    int rc = rebuild_topic(rebuild, topic, err);

    for (at = first_block;
         rc == 0 && at < inspection->block_count && inspection->blocks[at].topic == topic; at++) {
        rc = carry_block(&carry, &inspection->blocks[at], err);
    }
    if (rc == 0) {
        rc = rebuild_topic_end(rebuild, topic, next_offset(topic), err);
    }
    if (rc != 0) {
        return rc;
    }
    salvage->counts.topics++;
    salvage->counts.cursors += topic->cursor_count;
    out_sentence(out, "topic", "  topic \"%.*s\": %" PRIu64 " entries, %u cursors",
                 (int)topic->name_size, topic->name, carry.entries, topic->cursor_count);
    out_bytes(out, "namespace", salvage->name->name, salvage->name->size);
    out_bytes(out, "topic", topic->name, topic->name_size);
    out_number(out, "entries", carry.entries);
    out_number(out, "first", topic->first);
    out_number(out, "end", carry.reached > topic->first ? carry.reached : topic->first);
    out_number(out, "cursors", topic->cursor_count);
    out_end(out);
    return 0;
}
