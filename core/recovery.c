/* Recovery: from what the device holds to a namespace that serves, or to a refusal that changed
 * nothing.
 *
 * (1) Load: the newest valid manifest, all segments, all journal files; tables as of its LSN, R.
 * (2) Survey: every valid record from R on, behind invalid ones too, for the greatest durable mark
 * M. (3) Replay: in order from R, each place judged and looked up in the table (recovery_table.h),
 * the tables brought forward, until the end E. (4) Redo: batches to their blocks, sync; then the
 * seals that are missing. (5) Fresh ground: a new journal file whose header names E, an open
 * record, synced; after an unclean stop a manifest, and no offset run is continued. Only then is
 * anything served.
 *
 * Until (4) nothing is written, so a refusal leaves the evidence as it was; until the new journal
 * file is durable, a crash finds the same and comes to the same end. */
#include "core/recovery.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/check.h"
#include "core/probe.h"

/* ---- (2) survey ---- */

static void note_mark(struct recovery *recovery, uint64_t mark)
{
    CHECK(recovery->ns != NULL);
    recovery->mark = mark > recovery->mark ? mark : recovery->mark;
}

static void note_loss(struct recovery *recovery, uint64_t from, uint64_t to)
{
    CHECK(recovery->loss_count <= recovery->loss_capacity);
    CHECK((recovery->losses == NULL) == (recovery->loss_capacity == 0));
    if (recovery->loss_count == recovery->loss_capacity) {
        const uint32_t capacity = recovery->loss_capacity == 0 ? 8 : recovery->loss_capacity * 2;
        struct recovery_loss *losses = realloc(recovery->losses, capacity * sizeof *losses);

        if (losses == NULL) {
            recovery->no_memory = true;
            return;
        }
        recovery->losses = losses;
        recovery->loss_capacity = capacity;
    }
    recovery->losses[recovery->loss_count++] = (struct recovery_loss){.from = from, .to = to};
}

static void survey_record(struct recovery *recovery, const struct scan_record *record)
{
    struct format_record body;

    CHECK(record->bytes != NULL);
    CHECK(record->header.size >= FORMAT_RECORD_HEADER_SIZE);
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

    CHECK(recovery->loss_count == 0);
    CHECK(recovery->valid_behind == 0);
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
            lsn = scan_behind(&recovery->scan, &record.header);
        } else {
            lsn = scan_skip(&recovery->scan, lsn);
        }
        if (!recovery_progress(recovery)) {
            return TUSK_ECLOSED;
        }
    }
    recovery->new_loss = recovery->loss_count;
    return 0;
}

/* ---- (3) replay ---- */

static bool loss_accepted(const struct recovery *recovery, uint64_t lsn)
{
    uint32_t i;

    CHECK(recovery->loss_count <= recovery->loss_capacity);
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

    CHECK(record != NULL);
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
    CHECK(record->header.lsn == lsn);
    CHECK(record->bytes != NULL);
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

    CHECK(lsn < recovery->mark || found == FOUND_BATCH_BAD);
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

    CHECK(lsn < recovery->mark);
    /* What stands inside a record is no record, also where that one is not wanted. */
    lsn = scan_at(&recovery->scan, lsn, &record, recovery->err) == SCAN_RECORD
              ? scan_behind(&recovery->scan, &record.header)
              : scan_skip(&recovery->scan, lsn);
    while (lsn != UINT64_MAX &&
           scan_at(&recovery->scan, lsn, &record, recovery->err) != SCAN_RECORD) {
        lsn = scan_skip(&recovery->scan, lsn);
    }
    recovery->lost = true;
    recovery->lost_now = true;
    if (lsn == UINT64_MAX) {
        /* The history ends here: what is written at this LSN from now on is not lost. */
        recovery_finding(recovery, "loss accepted: the journal from LSN %" PRIu64 " on is missing",
                         from);
        return lsn;
    }
    note_loss(recovery, from, lsn);
    recovery_finding(recovery,
                     "loss accepted: journal from LSN %" PRIu64 " to %" PRIu64 " is skipped", from,
                     lsn);
    return lsn;
}

static int use_record(struct recovery *recovery, uint64_t *lsn, const struct scan_record *record)
{
    const int rc = recovery_apply(recovery, record);

    CHECK(record->header.lsn == *lsn);
    if (rc != 0) {
        return error_set(recovery->err, rc,
                         rc == TUSK_ENOMEM ? "apply the journal's record at LSN %" PRIu64 " (%s)"
                                           : "the journal's record at LSN %" PRIu64
                                             " (%s) contradicts the tables",
                         *lsn, format_record_name(record->header.type));
    }
    recovery->lost_now = false;
    recovery->last_crc = record->header.crc;
    recovery->last_type = record->header.type;
    /* Forged headers may show the two passes different records; it is only told. */
    recovery->valid_behind -= recovery->valid_behind > 0;
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

    CHECK(!*ended);
    CHECK(*lsn < UINT64_MAX);
    recovery->ns->recovery_rows[output.row]++;
    recovery->last_row = output.row;
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

    CHECK(recovery->end == 0);
    CHECK(recovery->records == 0);
    recovery->last_crc = recovery->manifest.chain_crc;
    while (!ended) {
        CHECK(lsn >= recovery->manifest.lsn);
        const int rc = replay_once(recovery, &lsn, &ended);

        if (rc != 0) {
            return rc;
        }
        if (!recovery_progress(recovery)) {
            return TUSK_ECLOSED;
        }
    }
    recovery->end = lsn;
    return 0;
}

/* ---- all of it ---- */

static void report(struct recovery *recovery, bool clean)
{
    struct namespace *ns = recovery->ns;

    CHECK(ns->journal.current != NULL);
    CHECK(ns->flusher.durable == ns->journal.next_lsn);
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

int recovery_history(struct recovery *recovery)
{
    int rc;

    PROBE2(recovery_step, recovery->ns->name, "survey");
    rc = survey(recovery);
    if (rc == 0) {
        PROBE2(recovery_step, recovery->ns->name, "replay");
        rc = replay(recovery);
    }
    if (rc == 0 && recovery->no_memory) {
        rc = error_set(recovery->err, TUSK_ENOMEM, "note an accepted loss");
    }
    return rc;
}

int recovery_examine(struct recovery *recovery)
{
    struct namespace *ns = recovery->ns;
    int rc;

    PROBE2(recovery_step, ns->name, "load");
    rc = recovery_load(recovery);
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
    return recovery_history(recovery);
}

bool recovery_clean(const struct recovery *recovery)
{
    return recovery->last_type == RECORD_CLEAN_CLOSE && recovery->valid_behind == 0 &&
           !recovery->lost;
}

void recovery_deinit(struct recovery *recovery)
{
    struct recovery_owner *owner;
    struct recovery_owner *next;

    HASH_ITER(hh, recovery->owners, owner, next)
    {
        /* HASH_ITER has taken the next one before this one goes. */
        HASH_DEL(recovery->owners, owner); /* NOLINT(clang-analyzer-unix.Malloc): said above */
        free(owner);
    }
    scan_deinit(&recovery->scan);
    free(recovery->block_buffer);
    free(recovery->losses);
    free(recovery->passed);
    free(recovery->strays);
}

/* Far more than any daemon uses up, of bytes of journal, too. */
#define NUMBERS_LEFT_MIN (UINT64_C(1) << 56)

/* A file that was put there may have a number that leaves none for the next. */
static int require_numbers(struct recovery *recovery)
{
    const struct scan *scan = &recovery->scan;

    CHECK(scan->count > 0); /* Some file reaches the manifest */
    const struct {
        const char *what;
        uint64_t last;
    } used[] = {
        {"LSN of its journal", recovery->end},
        {"journal file", scan->files[scan->count - 1].number},
        {"segment file", recovery->ns->space.next_segment - 1},
        {"manifest", recovery->newest_number},
    };
    unsigned i;

    for (i = 0; i < sizeof used / sizeof *used; i++) {
        if (used[i].last >= FORMAT_COUNTER_MAX - NUMBERS_LEFT_MIN) {
            return error_set(recovery->err, TUSK_ECORRUPT,
                             "the last %s has the number %016" PRIx64
                             ", which leaves none for what follows, and which no daemon gives: "
                             "if a file of that number was put there, move it away",
                             used[i].what, used[i].last);
        }
    }
    return 0;
}

static int run(struct recovery *recovery)
{
    struct namespace *ns = recovery->ns;
    bool clean;
    int rc = recovery_examine(recovery);

    if (rc == 0) {
        rc = require_numbers(recovery);
    }
    if (rc == 0) {
        rc = namespace_prepare(ns);
        if (rc != 0) {
            return error_set(recovery->err, rc, "prepare the namespace");
        }
        CHECK(recovery->end >= recovery->manifest.lsn);
        clean = recovery_clean(recovery);
        if (!clean) {
            PROBE2(recovery_step, ns->name, "redo");
            rc = recovery_redo(recovery);
        }
        if (rc == 0 && !clean) {
            PROBE2(recovery_step, ns->name, "seal");
            rc = recovery_seal(recovery);
        }
        if (rc == 0) {
            PROBE2(recovery_step, ns->name, "fresh ground");
            rc = recovery_fresh_ground(recovery, clean);
        }
        if (rc == 0) {
            PROBE2(recovery_step, ns->name, "done");
            report(recovery, clean);
        }
    }
    return rc;
}

int recovery_run(struct namespace *ns, bool accept_loss, struct error *err)
{
    struct recovery *recovery = calloc(1, sizeof *recovery);
    int rc;

    CHECK(err != NULL);
    CHECK(ns->state == ENGINE_SERVING);
    CHECK(ns->journal.files == NULL);
    if (recovery == NULL) {
        return error_set(err, TUSK_ENOMEM, "recover namespace \"%s\"", ns->name);
    }
    recovery->ns = ns;
    recovery->accept_loss = accept_loss;
    recovery->err = err;
    rc = run(recovery);
    recovery_deinit(recovery);
    free(recovery);
    return rc == 0 ? 0 : error_wrap(err, "open namespace \"%s\"", ns->name);
}
