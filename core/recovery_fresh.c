/* Recovery's last step: from tables that stand as of the end of the history to a namespace that
 * goes on behind it. Files, space and offsets get their owners; what was judged is synced; a new
 * journal file whose header names the end, and its open record, make that end final. See
 * recovery.c for the order of things. */
#include <inttypes.h>
#include <stdlib.h>

#include "core/recovery.h"

#include "core/check.h"

/* A spare that a crash left half made may have its size and not its space: a journal that trusted
 * it would meet a full disk in the middle of a write. */
static bool holds_space(const struct scan_file *found)
{
    struct error ignored;

    CHECK(found->file != NULL);
    CHECK(found->file_size > 0);
    return io_allocate(found->file, 0, found->file_size, &ignored) == 0 &&
           io_sync(found->file, NULL, &ignored) == 0;
}

/* Every file but future spares becomes an old journal file, kept until two manifests stand behind
 * it. */
static int adopt_files(struct recovery *recovery)
{
    struct namespace *ns = recovery->ns;
    struct journal *journal = &ns->journal;
    uint64_t last_valid = 0;
    uint32_t i;

    CHECK(journal->files == NULL);
    CHECK(journal->spares == NULL);
    CHECK(journal->current == NULL);
    for (i = 0; i < recovery->scan.count; i++) {
        if (recovery->scan.files[i].valid) {
            last_valid = recovery->scan.files[i].number;
        }
    }
    for (i = 0; i < recovery->scan.count; i++) {
        struct scan_file *found = &recovery->scan.files[i];
        /* Whose header names a number to come must never get that number. */
        const bool forged = found->header.number > found->number;
        const bool spare = !found->valid && !forged && found->number > last_valid &&
                           found->file_size >= ns->options->journal_file_min && holds_space(found);
        struct journal_file *file = calloc(1, sizeof *file);

        if (file == NULL) {
            return error_set(recovery->err, TUSK_ENOMEM, "keep journal files");
        }
        CHECK(found->file != NULL);
        file->number = found->number;
        file->size = forged ? 0 : found->file_size; /* 0: too small to be used again */
        file->file = found->file;
        found->file = NULL;
        journal->next_number = found->number + 1; /* They are in order */
        if (spare) {
            journal_keep(&journal->spares, file);
            journal->spare_count++;
        } else {
            file->first_lsn = found->valid ? found->header.first_lsn : recovery->end;
            file->end_lsn = found->end_lsn < recovery->end ? found->end_lsn : recovery->end;
            journal_keep(&journal->files, file);
        }
    }
    CHECK((journal->spares == NULL) == (journal->spare_count == 0));
    return 0;
}

static void own_space(struct recovery *recovery)
{
    struct namespace *ns = recovery->ns;
    struct topic *topic;
    struct topic *next;
    uint32_t missing_blocks = 0;
    uint32_t i;

    CHECK(ns->space.used_count == 0);
    CHECK(ns->space.freeing_count == 0);
    HASH_ITER(by_id, ns->topics_by_id, topic, next)
    {
        for (i = 0; i < topic->block_count; i++) {
            if (topic->blocks[i].segment == NULL) {
                missing_blocks++;
            } else {
                space_use(&ns->space, topic->blocks[i].segment, topic->blocks[i].index);
            }
        }
    }
    if (missing_blocks > 0) {
        recovery_finding(recovery,
                         "%u blocks lie in segment files that are missing: their entries "
                         "cannot be read",
                         missing_blocks);
    }
    CHECK(ns->space.free_count + ns->space.used_count == ns->space.count * ns->blocks_per_segment);
}

static void settle_topics(struct recovery *recovery, bool clean)
{
    struct namespace *ns = recovery->ns;
    struct topic *topic;
    struct topic *next;

    CHECK(ns->state == ENGINE_SERVING);
    if (!clean) {
        recovery_step_ids(ns);
    }
    if (recovery->lost) {
        recovery_step_offsets(ns);
    }
    HASH_ITER(by_id, ns->topics_by_id, topic, next)
    {
        const struct block *block = topic_active(topic);
        const uint64_t end =
            block == NULL || block->end_offset < topic->first ? topic->first : block->end_offset;

        if (!clean && topic->run_end > topic->next_offset) {
            topic->next_offset = topic->run_end;
        }
        if (topic->run_end < topic->next_offset) {
            topic->run_end = topic->next_offset;
        }
        CHECK(topic->run_end >= topic->next_offset);
        topic->run_pending = topic->run_end;
        CHECK(topic->tail_bytes == 0);
        topic->written_end = end;
        topic->syncing_end = end;
        topic->durable_end = end;
        if (block != NULL) {
            topic->tail_position = block->end;
        }
    }
}

/* The losses accepted now, and that offsets were stepped over, so that whoever reads this journal
 * again, from an older manifest too, accepts the same and steps as far. */
static int record_losses(struct recovery *recovery)
{
    struct namespace *ns = recovery->ns;
    struct format_record record = {.type = RECORD_ACCEPTED_LOSS};
    uint32_t i;

    CHECK(recovery->lost);
    CHECK(recovery->new_loss <= recovery->loss_count);
    CHECK(ns->journal.current != NULL);
    record.field[LOSS_TIME] = ns->now.wall_us;
    for (i = recovery->new_loss; i < recovery->loss_count; i++) {
        record.field[LOSS_FROM] = recovery->losses[i].from;
        record.field[LOSS_TO] = recovery->losses[i].to;
        (void)journal_record(&ns->journal, &record);
    }
    record.field[LOSS_FROM] = recovery->end;
    record.field[LOSS_TO] = recovery->end;
    (void)journal_record(&ns->journal, &record);
    return namespace_sync_now(ns, recovery->err);
}

/* What was judged may be in the page cache only (the last process died, the machine did not). The
 * new file's header calls all of it durable, so it is, first: or a power cut now would look like
 * damage. */
static int sync_files(struct recovery *recovery)
{
    struct journal_file *file;

    for (file = recovery->ns->journal.files; file != NULL; file = file->next) {
        CHECK(file->file != NULL);
        if (io_sync(file->file, NULL, recovery->err) != 0) {
            return error_wrap(recovery->err, "sync journal file %016" PRIx64, file->number);
        }
    }
    return 0;
}

#define SWEEP_MAX 64u

struct sweep {
    uint64_t before;
    uint64_t numbers[SWEEP_MAX];
    unsigned count;
};

static int list_stale(void *arg, const char *name, enum io_kind kind)
{
    struct sweep *sweep = arg;
    uint64_t number;

    CHECK(name != NULL);
    CHECK(sweep->count <= SWEEP_MAX);
    if (kind == IO_KIND_FILE && format_file_number(name, "manifest-", "", &number) &&
        number < sweep->before && sweep->count < SWEEP_MAX) {
        sweep->numbers[sweep->count++] = number;
    }
    return 0;
}

/* Manifests older than the two that count: a crash cut off their removal. Best effort, some at each
 * start. */
static void sweep_manifests(struct namespace *ns)
{
    struct manifest *manifest = &ns->manifest;
    struct sweep sweep = {.before = manifest->have_older ? manifest->older_number : 0};
    struct error ignored;
    unsigned i;

    CHECK(manifest->have_newest);
    CHECK(ns->dir[0] != '\0');
    if (io_list_dir(ns->io, ns->dir, list_stale, &sweep, &ignored) != 0) {
        return;
    }
    for (i = 0; i < sweep.count; i++) {
        manifest_path(ns, manifest->path, sweep.numbers[i]);
        (void)io_unlink(ns->io, manifest->path, &ignored);
    }
}

int recovery_fresh_ground(struct recovery *recovery, bool clean)
{
    struct namespace *ns = recovery->ns;
    struct journal *journal = &ns->journal;
    struct manifest *manifest = &ns->manifest;
    int rc;

    CHECK(ns->state == ENGINE_SERVING);
    CHECK(ns->ring.data != NULL);
    CHECK(journal->current == NULL);
    own_space(recovery);
    settle_topics(recovery, clean);
    rc = adopt_files(recovery);
    if (rc == 0) {
        rc = sync_files(recovery);
    }
    if (rc != 0) {
        return rc;
    }
    journal->next_lsn = recovery->end;
    journal->written = recovery->end;
    journal->last_crc = recovery->last_crc;
    flusher_init(&ns->flusher, ns, recovery->end);
    manifest->next_number = recovery->newest_number + 1;
    manifest->have_newest = true;
    manifest->number = recovery->manifest.number;
    manifest->lsn = recovery->manifest.lsn;
    manifest->size = FORMAT_PAGE + recovery->manifest.body_size;
    manifest->have_older = recovery->has_older;
    manifest->older_number = recovery->older_number;
    manifest->older_lsn = recovery->older_known ? recovery->older_lsn : manifest->lsn;
    /* Names of manifests first: the last process may have died between giving one and syncing
     * it. */
    rc = io_sync_dir(ns->io, ns->dir, recovery->err);
    if (recovery->older_known) {
        journal_retire(journal, recovery->older_lsn);
    }
    if (rc == 0) {
        rc = namespace_begin(ns, clean, recovery->err);
    }
    if (rc == 0 && recovery->lost) {
        rc = record_losses(recovery);
    }
    if (rc == 0 && !clean) {
        rc = manifest_write_now(manifest, ns->now.wall_us, recovery->err);
        if (rc == TUSK_ENOSPACE) {
            /* The tables are in the journal and the older manifest; the next manifest will be tried
             * again. */
            recovery_finding(recovery, "no space for a manifest yet: %s", recovery->err->text);
            manifest->requested = true;
            rc = 0;
        }
    }
    if (rc == 0) {
        CHECK(journal->current != NULL);
        CHECK(ns->flusher.durable == ns->journal.written);
        manifest_hold_space(manifest);
        sweep_manifests(ns);
    }
    CHECK(rc <= 0);
    return rc;
}
