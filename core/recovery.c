/* Recovery: from what the device holds to a namespace that serves, or to a refusal that changed nothing.
 *
 * (1) Load: the newest valid manifest, all segments, all journal files; tables as of its LSN, R. (2) Survey: every valid record
 * from R on, behind invalid ones too, for the greatest durable mark M. (3) Replay: in order from R, each place judged and
 * looked up in the table (recovery_table.h), the tables brought forward, until the end E. (4) Redo: batches to their blocks, sync.
 * (5) Fresh ground: a new journal file whose header names E, an open record, synced; after an unclean stop a manifest, and
 * no offset run is continued. Only then is anything served.
 *
 * Until (4) nothing is written, so a refusal leaves the evidence as it was; until the new journal file is durable, a crash
 * finds the same and comes to the same end. */
#include "core/recovery.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"

/* Behind an accepted loss: offsets that records lost with it may have reserved are stepped over. */
#define LOSS_OFFSETS ((uint64_t)1 << 40)

/* ---- (2) survey ---- */

static void note_mark(struct recovery *recovery, uint64_t mark)
{
    recovery->mark = mark > recovery->mark ? mark : recovery->mark;
}

static void note_loss(struct recovery *recovery, uint64_t from, uint64_t to)
{
    if (recovery->loss_count < RECOVERY_LOSSES_MAX) {
        recovery->losses[recovery->loss_count++] = (struct recovery_loss){.from = from, .to = to};
    }
}

static void survey_record(struct recovery *recovery, const struct scan_record *record)
{
    struct format_record body;

    note_mark(recovery, record->header.mark);
    if (record->header.type == RECORD_ACCEPTED_LOSS &&
        format_record_body_decode(&body, &record->header, record->bytes) == 0) {
        note_loss(recovery, body.field[LOSS_FROM], body.field[LOSS_TO]);
    }
}

static int survey(struct recovery *recovery)
{
    uint64_t lsn = recovery->manifest.lsn;
    struct scan_record record;
    uint32_t i;

    recovery->mark = recovery->manifest.mark;
    for (i = 0; i < recovery->scan.count; i++) {
        const struct scan_file *file = &recovery->scan.files[i];

        /* A file that was cut off whole speaks of a history that an accepted loss has ended. */
        if (file->valid && file->header.first_lsn < file->end_lsn) {
            note_mark(recovery, file->header.mark);
        }
    }
    while (lsn != UINT64_MAX) {
        const enum scan_kind kind = scan_at(&recovery->scan, lsn, &record, recovery->err);

        if (kind == SCAN_UNREADABLE) {
            recovery->ns->recovery_rows[ROW_R10]++;
            return error_wrap(recovery->err, "an unreadable journal is never taken for its end");
        }
        if (kind == SCAN_RECORD) {
            survey_record(recovery, &record);
            recovery->valid_behind++;
            lsn += format_record_padded(record.header.size);
            if (scan_at(&recovery->scan, lsn, &record, recovery->err) == SCAN_NONE) {
                lsn = scan_step(&recovery->scan, lsn - FORMAT_RECORD_ALIGN);
            }
        } else {
            lsn = scan_step(&recovery->scan, lsn);
        }
        if (!recovery_progress(recovery, recovery->scan.bytes_read, 0)) {
            return error_set(recovery->err, TUSK_ECLOSED, "recovery was told to give up");
        }
    }
    recovery->new_loss = recovery->loss_count;
    return 0;
}

/* ---- (3) replay ---- */

static bool loss_accepted(const struct recovery *recovery, uint64_t lsn)
{
    uint32_t i;

    for (i = 0; i < recovery->loss_count; i++) {
        if (lsn >= recovery->losses[i].from && lsn < recovery->losses[i].to) {
            return true;
        }
    }
    return recovery->accept_loss;
}

static enum recovery_found look(struct recovery *recovery, uint64_t lsn, struct scan_record *record)
{
    enum recovery_found found;

    switch (scan_at(&recovery->scan, lsn, record, recovery->err)) {
    case SCAN_ZERO:
        return FOUND_ZERO;
    case SCAN_UNREADABLE:
        return FOUND_UNREADABLE;
    case SCAN_NONE:
        return FOUND_NOTHING;
    case SCAN_RECORD:
        break;
    case SCAN_BAD:
    default:
        return FOUND_BAD;
    }
    found = recovery_judge(recovery, record);
    /* The chain shows a record that validates but does not follow the one before it. */
    if (found != FOUND_UNKNOWN && found != FOUND_UNREADABLE && !recovery->lost_now &&
        record->header.previous_crc != recovery->last_crc) {
        return FOUND_BAD;
    }
    return found;
}

static int refuse_damaged(struct recovery *recovery, uint64_t lsn, const struct scan_record *record,
                          enum recovery_found found)
{
    struct format_items items;
    struct format_item item;
    const char *what = found == FOUND_ZERO      ? "zeros"
                       : found == FOUND_NOTHING ? "nothing"
                                                : "bytes that do not check out";

    if (found == FOUND_BATCH_BAD) {
        const struct recovery_owner *owner;

        format_items_begin(&items, &record->header, record->bytes);
        (void)format_items_next(&items, &item);
        owner = recovery_owner(recovery, item.place.segment, item.place.index);
        return error_set(
            recovery->err, TUSK_ECORRUPT,
            "the journal is damaged at LSN %" PRIu64 ", before %" PRIu64
            " that was durable: a batch of topic \"%.*s\" from offset %" PRIu64
            " does not check out, and its block does not have it; restore a backup, or "
            "accept the loss (--accept-loss %s)",
            lsn, recovery->mark, owner == NULL ? 1 : (int)owner->topic->name_size,
            owner == NULL ? "?" : owner->topic->name, item.header.first_offset, recovery->ns->name);
    }
    return error_set(
        recovery->err, TUSK_ECORRUPT,
        "the journal is damaged at LSN %" PRIu64 ", before %" PRIu64
        " that was durable: %s where a record must be; restore a backup, or accept the "
        "loss (--accept-loss %s)",
        lsn, recovery->mark, what, recovery->ns->name);
}

/* Step over what was accepted as lost, to the next valid record. */
static uint64_t skip_lost(struct recovery *recovery, uint64_t lsn)
{
    const uint64_t from = lsn;
    struct scan_record record;

    do {
        lsn = scan_step(&recovery->scan, lsn);
    } while (lsn != UINT64_MAX &&
             scan_at(&recovery->scan, lsn, &record, recovery->err) != SCAN_RECORD);
    recovery->lost = true;
    recovery->lost_now = true;
    note_loss(recovery, from, lsn == UINT64_MAX ? from + FORMAT_RECORD_ALIGN : lsn);
    recovery_finding(recovery,
                     "loss accepted: journal from LSN %" PRIu64 " to %" PRIu64 " is skipped", from,
                     lsn);
    return lsn;
}

static int use_record(struct recovery *recovery, uint64_t *lsn, const struct scan_record *record)
{
    const int rc = recovery_apply(recovery, record);

    if (rc != 0) {
        return error_set(recovery->err, rc,
                         "the journal's record at LSN %" PRIu64 " (%s) contradicts the tables",
                         *lsn, format_record_name(record->header.type));
    }
    recovery->lost_now = false;
    recovery->last_crc = record->header.crc;
    recovery->last_type = record->header.type;
    recovery->valid_behind--;
    *lsn += format_record_padded(record->header.size);
    return 0;
}

static int replay_once(struct recovery *recovery, uint64_t *lsn, bool *ended)
{
    struct scan_record record;
    const enum recovery_found found = look(recovery, *lsn, &record);
    const struct recovery_input input = {.found = found,
                                         .before_mark = *lsn < recovery->mark,
                                         .accepted = loss_accepted(recovery, *lsn)};
    struct recovery_output output = recovery_decide(&input);

    recovery->ns->recovery_rows[output.row]++;
    switch (output.decision) {
    case DECIDE_HEAL:
        if (!recovery_heals(recovery, &record)) {
            if (input.accepted) {
                break;
            }
            return refuse_damaged(recovery, *lsn, &record, found);
        }
        recovery_finding(
            recovery, "a damaged batch in the journal at LSN %" PRIu64 " is healed from its block",
            *lsn);
        return use_record(recovery, lsn, &record);
    case DECIDE_APPLY:
    case DECIDE_BLOCK_DAMAGE:
        return use_record(recovery, lsn, &record);
    case DECIDE_END:
        if (input.before_mark) {
            /* Accepted, and with it runs may be lost whose offsets were issued */
            recovery->lost = true;
            recovery_finding(recovery,
                             "loss accepted: the journal from LSN %" PRIu64 " on is missing", *lsn);
        }
        *ended = true;
        return 0;
    case DECIDE_SKIP_ACCEPTED:
        break;
    case DECIDE_REFUSE_UNREADABLE:
        return error_wrap(recovery->err, "read the journal at LSN %" PRIu64, *lsn);
    case DECIDE_REFUSE_VERSION:
        return error_set(recovery->err, TUSK_EVERSION,
                         "the journal's record at LSN %" PRIu64
                         " has type %u, flags %u, which this "
                         "build does not know: it was written by a newer version",
                         *lsn, record.header.type, record.header.flags);
    case DECIDE_REFUSE_DAMAGED:
    default:
        return refuse_damaged(recovery, *lsn, &record, found);
    }
    {
        const uint64_t next = skip_lost(recovery, *lsn);

        if (next == UINT64_MAX) {
            *ended = true;
        } else {
            *lsn = next;
        }
    }
    return 0;
}

static int replay(struct recovery *recovery)
{
    uint64_t lsn = recovery->manifest.lsn;
    bool ended = false;

    recovery->last_crc = recovery->manifest.chain_crc;
    while (!ended) {
        const int rc = replay_once(recovery, &lsn, &ended);

        if (rc != 0) {
            return rc;
        }
    }
    recovery->end = lsn;
    return 0;
}

/* ---- (5) fresh ground ---- */

/* A spare that a crash left half made may have its size and not its space: a journal that trusted it would meet
 * a full disk in the middle of a write. */
static bool holds_space(const struct scan_file *found)
{
    struct error ignored;

    return io_allocate(found->file, 0, found->file_size, &ignored) == 0 &&
           io_sync(found->file, NULL, &ignored) == 0;
}

/* Every file but future spares becomes an old journal file, kept until two manifests stand behind it. */
static int adopt_files(struct recovery *recovery)
{
    struct namespace *ns = recovery->ns;
    struct journal *journal = &ns->journal;
    uint64_t last_valid = 0;
    uint32_t i;

    for (i = 0; i < recovery->scan.count; i++) {
        if (recovery->scan.files[i].valid) {
            last_valid = recovery->scan.files[i].number;
        }
    }
    for (i = 0; i < recovery->scan.count; i++) {
        struct scan_file *found = &recovery->scan.files[i];
        const bool spare = !found->valid && found->number > last_valid &&
                           found->file_size >= ns->options->journal_file_min && holds_space(found);
        struct journal_file *file = calloc(1, sizeof *file);

        if (file == NULL) {
            return error_set(recovery->err, TUSK_ENOMEM, "keep journal files");
        }
        file->number = found->number;
        file->size = found->file_size;
        file->file = found->file;
        found->file = NULL;
        if (found->number >= journal->next_number) {
            journal->next_number = found->number + 1;
        }
        if (spare) {
            journal_keep(&journal->spares, file);
            journal->spare_count++;
        } else {
            file->first_lsn = found->valid ? found->header.first_lsn : recovery->end;
            file->end_lsn = found->end_lsn < recovery->end ? found->end_lsn : recovery->end;
            journal_keep(&journal->files, file);
        }
    }
    return 0;
}

static void own_space(struct recovery *recovery)
{
    struct namespace *ns = recovery->ns;
    struct topic *topic;
    struct topic *next;
    uint32_t missing_blocks = 0;
    uint32_t i;

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
}

static void settle_topics(struct recovery *recovery, bool clean)
{
    struct namespace *ns = recovery->ns;
    struct topic *topic;
    struct topic *next;

    HASH_ITER(by_id, ns->topics_by_id, topic, next)
    {
        const struct block *block = topic_active(topic);
        const uint64_t end =
            block == NULL || block->end_offset < topic->first ? topic->first : block->end_offset;

        if (!clean && topic->run_end > topic->next_offset) {
            topic->next_offset = topic->run_end;
        }
        if (recovery->lost && topic->next_offset < UINT64_MAX - LOSS_OFFSETS) {
            topic->next_offset += LOSS_OFFSETS;
            topic->run_end = topic->next_offset;
        }
        if (topic->run_end < topic->next_offset) {
            topic->run_end = topic->next_offset;
        }
        topic->run_pending = topic->run_end;
        topic->run_size = 0;
        topic->written_end = end;
        topic->syncing_end = end;
        topic->durable_end = end;
        if (block != NULL) {
            topic->tail_position = block->end;
        }
    }
}

static void record_losses(struct recovery *recovery)
{
    struct namespace *ns = recovery->ns;
    uint32_t i;

    for (i = recovery->new_loss; i < recovery->loss_count; i++) {
        struct format_record record = {.type = RECORD_ACCEPTED_LOSS};

        record.field[LOSS_FROM] = recovery->losses[i].from;
        record.field[LOSS_TO] = recovery->losses[i].to;
        record.field[LOSS_TIME] = ns->now.wall_us;
        (void)journal_record(&ns->journal, &record);
    }
}

/* What was judged may be in the page cache only (the last process died, the machine did not). The new file's
 * header calls all of it durable, so it is, first: or a power cut now would look like damage. */
static int sync_files(struct recovery *recovery)
{
    struct journal_file *file;

    for (file = recovery->ns->journal.files; file != NULL; file = file->next) {
        if (io_sync(file->file, NULL, recovery->err) != 0) {
            return error_wrap(recovery->err, "sync journal file %016" PRIx64, file->number);
        }
    }
    return 0;
}

static int fresh_ground(struct recovery *recovery, bool clean)
{
    struct namespace *ns = recovery->ns;
    struct journal *journal = &ns->journal;
    struct manifest *manifest = &ns->manifest;
    int rc;

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
    if (recovery->loss_count > recovery->new_loss) {
        rc = namespace_begin(ns, clean, recovery->err);
        if (rc == 0) {
            record_losses(recovery);
            rc = namespace_sync_now(ns, recovery->err);
        }
    } else {
        rc = namespace_begin(ns, clean, recovery->err);
    }
    if (rc == 0 && !clean) {
        rc = manifest_write_now(manifest, ns->now.wall_us, recovery->err);
        if (rc == TUSK_ENOSPACE) {
            /* The tables are in the journal and the older manifest; the next manifest will be tried again. */
            recovery_finding(recovery, "no space for a manifest yet: %s", recovery->err->text);
            manifest->requested = true;
            rc = 0;
        }
    }
    if (rc == 0) {
        manifest_hold_space(manifest);
    }
    return rc;
}

static void report(struct recovery *recovery, bool clean)
{
    struct namespace *ns = recovery->ns;

    ns->counters.recovered_records = recovery->records;
    ns->counters.recovered_dropped = recovery->valid_behind;
    if (clean) {
        ns->recovery_rows[ROW_R18]++;
        return;
    }
    recovery_finding(recovery,
                     "the last stop was not clean: %" PRIu64 " records replayed from LSN %" PRIu64
                     ", history ends at LSN %" PRIu64 ", durable mark %" PRIu64 ", %" PRIu64
                     " records behind the end dropped%s",
                     recovery->records, recovery->manifest.lsn, recovery->end, recovery->mark,
                     recovery->valid_behind,
                     recovery->valid_behind > 0 && ns->settings.fsync_ms != ENGINE_FSYNC_EACH
                         ? " (they may have been acknowledged: the fsync schedule allows it)"
                         : "");
    if (recovery->skipped > 0) {
        recovery_finding(recovery, "%" PRIu64 " records skipped behind an accepted loss",
                         recovery->skipped);
    }
}

static int run(struct recovery *recovery)
{
    struct namespace *ns = recovery->ns;
    bool clean;
    int rc = recovery_load(recovery);

    if (rc != 0) {
        return rc;
    }
    if (!scan_reaches(&recovery->scan, recovery->manifest.lsn)) {
        ns->recovery_rows[ROW_R17]++;
        return error_set(recovery->err, TUSK_ECORRUPT,
                         "no journal file reaches LSN %" PRIu64
                         ", where the manifest stands: journal "
                         "files are missing or damaged; restore a backup",
                         recovery->manifest.lsn);
    }
    rc = survey(recovery);
    if (rc == 0) {
        rc = replay(recovery);
    }
    if (rc == 0) {
        rc = namespace_prepare(ns);
        if (rc != 0) {
            return error_set(recovery->err, rc, "prepare the namespace");
        }
        clean = recovery->last_type == RECORD_CLEAN_CLOSE && recovery->valid_behind == 0 &&
                !recovery->lost;
        if (!clean) {
            rc = recovery_redo(recovery);
        }
        if (rc == 0) {
            rc = fresh_ground(recovery, clean);
        }
        if (rc == 0) {
            report(recovery, clean);
        }
    }
    return rc;
}

int recovery_run(struct namespace *ns, bool accept_loss, struct error *err)
{
    struct recovery *recovery = calloc(1, sizeof *recovery);
    struct recovery_owner *owner;
    struct recovery_owner *next;
    int rc;

    if (recovery == NULL) {
        return error_set(err, TUSK_ENOMEM, "recover namespace \"%s\"", ns->name);
    }
    recovery->ns = ns;
    recovery->accept_loss = accept_loss;
    recovery->err = err;
    rc = run(recovery);
    HASH_ITER(hh, recovery->owners, owner, next)
    {
        HASH_DEL(recovery->owners, owner);
        free(owner);
    }
    scan_deinit(&recovery->scan);
    free(recovery->block_buffer);
    free(recovery);
    return rc == 0 ? 0 : error_wrap(err, "open namespace \"%s\"", ns->name);
}
