#include "server/offline/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/io_readonly.h"
#include "core/namespace.h"

static const struct {
    const char *name;
    const char *harm; /* Where no entry is named */
} damages[DAMAGE_KINDS] = {
    [DAMAGE_ENTRIES] = {"entries", "no entry is known to be gone"},
    [DAMAGE_SEGMENT] = {"segment", "no entry is known to be gone"},
    [DAMAGE_TABLE] = {"table", "no entry is known to be gone"},
    [DAMAGE_HEADER] = {"header",
                       "no entry is harmed; without it a salvage without manifest would be"},
    [DAMAGE_SEAL] = {"seal", "derived: no entry is harmed"},
    [DAMAGE_INDEX] = {"index", "derived: no entry is harmed"},
    [DAMAGE_MANIFEST] = {"manifest", "no entry is harmed while the other one is valid"},
    [DAMAGE_JOURNAL] = {"journal", ""},
};

/* ---- telling ---- */

static void put_place(struct out *out, const struct verify_finding *finding)
{
    const struct block *block = finding->block;

    if (block != NULL) {
        out_number(out, "segment", block->segment_number);
        out_number(out, "block", block->index);
    }
    if (finding->size > 0) {
        out_number(out, "position", finding->position);
        out_number(out, "bytes", finding->size);
    }
    if (finding->from < finding->to) {
        out_number(out, "from", finding->from);
        out_number(out, "to", finding->to);
    }
    out_text(out, "reason", finding->why);
}

void verify_tell(struct verify *verify, const struct verify_finding *finding)
{
    struct out *out = &verify->options->out;
    const struct topic *topic = finding->topic;
    char where[128] = "";
    char what[96];

    (void)pthread_mutex_lock(&verify->lock); /* Ours, never destroyed while threads run */
    if (verify->store->live) {
        verify->suspects++;
    }
    verify->counts.damages[finding->kind]++;
    if (finding->from < finding->to) {
        (void)snprintf(what, sizeof what, "offsets %" PRIu64 " to %" PRIu64, finding->from,
                       finding->to - 1);
    } else {
        (void)snprintf(what, sizeof what, "%s", damages[finding->kind].harm);
    }
    if (finding->block != NULL) {
        const int used = snprintf(where, sizeof where, "; segment %016" PRIx64 ".seg, block %u",
                                  finding->block->segment_number, finding->block->index);

        if (finding->size > 0) {
            (void)snprintf(where + used, sizeof where - (size_t)used, ", position %u, %u bytes",
                           finding->position, finding->size);
        }
    }
    out_sentence(out, "damage", "  DAMAGE (%s)%s%.*s%s%s%s: %s%s", damages[finding->kind].name,
                 topic == NULL ? "" : " topic \"", topic == NULL ? 0 : (int)topic->name_size,
                 topic == NULL ? "" : topic->name, topic == NULL ? "" : "\"",
                 what[0] == '\0' ? "" : ", ", what, finding->why, where);
    out_bytes(out, "namespace", verify->name->name, verify->name->size);
    out_text(out, "kind", damages[finding->kind].name);
    if (topic != NULL) {
        out_bytes(out, "topic", topic->name, topic->name_size);
    }
    put_place(out, finding);
    out_end(out);
    (void)pthread_mutex_unlock(&verify->lock);
}

static void tell_of(struct verify *verify, enum verify_damage kind, const char *why)
{
    verify_tell(verify, &(struct verify_finding){.kind = kind, .why = why});
}

/* ---- history ---- */

static void tell_history(struct verify *verify)
{
    const struct inspection *inspection = verify->store->inspection;
    const struct recovery *recovery = &inspection->recovery;
    struct out *out = &verify->options->out;
    char behind[96] = "";

    if (inspection->way != INSPECT_AS_IS && inspection->way != INSPECT_ACCEPT_LOSS) {
        return;
    }
    if (recovery->valid_behind > 0) {
        (void)snprintf(behind, sizeof behind, "; %" PRIu64 " valid records behind it are dropped",
                       recovery->valid_behind);
    }
    out_sentence(out, inspection->clean ? "history" : "tail",
                 "  %s: LSN %" PRIu64 " to %" PRIu64 ", durable mark %" PRIu64 "; %s%s%s",
                 inspection->clean ? "history" : "torn tail, not damage", recovery->manifest.lsn,
                 recovery->end, recovery->mark,
                 recovery_row_text(inspection->clean ? ROW_R18 : recovery->last_row), behind,
                 inspection->clean ? "" : " (a stop that was not clean; the next start recovers)");
    out_bytes(out, "namespace", verify->name->name, verify->name->size);
    out_flag(out, "clean", inspection->clean);
    out_number(out, "from_lsn", recovery->manifest.lsn);
    out_number(out, "end_lsn", recovery->end);
    out_number(out, "mark", recovery->mark);
    out_number(out, "dropped", recovery->valid_behind);
    out_end(out);
}

static void older_bad(void *arg, uint64_t lsn)
{
    char why[160];

    (void)snprintf(why, sizeof why,
                   "the record at LSN %" PRIu64
                   " does not check out; it would be needed if the newest "
                   "manifest were damaged",
                   lsn);
    tell_of(arg, DAMAGE_JOURNAL, why);
}

static int check_history(struct verify *verify, const struct error *refusal, struct error *err)
{
    struct inspection *inspection = verify->store->inspection;
    const struct recovery *recovery = &inspection->recovery;
    int rc = 0;

    if (refusal->code != 0) {
        char why[ERROR_TEXT_SIZE + 64];

        (void)snprintf(why, sizeof why, "recovery refuses this namespace: %s", refusal->text);
        tell_of(verify, DAMAGE_JOURNAL, why);
        out_sentence(&verify->options->out, "note", "  note: what follows is %s",
                     store_way_text(inspection->way));
        out_end(&verify->options->out);
    }
    if (inspection->ns->recovery_rows[ROW_R16] > 0) {
        tell_of(verify, DAMAGE_MANIFEST, recovery_row_text(ROW_R16));
    } else if (recovery->has_older && !recovery->older_known) {
        tell_of(verify, DAMAGE_MANIFEST, "the older manifest is damaged");
    }
    tell_history(verify);
    if (inspection->way == INSPECT_AS_IS) {
        rc = inspect_check_older(inspection, older_bad, verify, err);
    }
    return rc;
}

/* ---- blocks ---- */

static void count_unreadable(void *arg, const char *path, uint64_t offset, uint64_t size)
{
    struct verify_worker *worker = arg;

    (void)path;
    (void)offset;
    worker->unreadable += size;
}

static int begin_workers(struct verify *verify, struct error *err)
{
    unsigned i;
    int rc = 0;

    for (i = 0; i < verify->options->threads && rc == 0; i++) {
        struct verify_worker *worker = &verify->workers[i];

        rc = verify->store->disk_fn(verify->store->disk_arg, &worker->disk, err);
        if (rc == 0) {
            rc = io_readonly_open(&worker->lenient, worker->disk, count_unreadable, worker, err);
        }
    }
    return rc;
}

static void add_counts(struct verify_counts *to, const struct verify_counts *from)
{
    to->bytes += from->bytes;
    to->blocks += from->blocks;
    to->batches += from->batches;
    to->entries += from->entries;
    to->lost += from->lost;
}

static void end_workers(struct verify *verify)
{
    unsigned i;

    for (i = 0; i < CREW_MAX; i++) {
        struct verify_worker *worker = &verify->workers[i];

        inspect_walk_deinit(&worker->walk);
        io_close_file(worker->file);
        io_close(worker->lenient);
        io_close(worker->disk);
        add_counts(&verify->counts, &worker->counts);
        if (worker->unreadable > 0) {
            offline_say(verify->options,
                        "%" PRIu64 " bytes of blocks cannot be read: the device "
                        "reports errors",
                        worker->unreadable);
        }
        *worker = (struct verify_worker){.counts = {.bytes = 0}};
    }
}

static int block_job(void *arg, unsigned thread, uint32_t index)
{
    struct verify *verify = arg;
    const struct inspect_block *block = &verify->store->inspection->blocks[index];

    if (verify->store->live && !block->block->sealed) {
        return 0;
    }
    if (thread == 0) {
        (void)pthread_mutex_lock(&verify->lock);
        progress_draw(&verify->options->progress);
        (void)pthread_mutex_unlock(&verify->lock);
    }
    return verify_block(verify, &verify->workers[thread], block);
}

static uint64_t bytes_to_read(const struct inspection *inspection)
{
    uint64_t sum = 0;
    uint32_t i;

    for (i = 0; i < inspection->block_count; i++) {
        sum += inspection->blocks[i].block->end - FORMAT_BLOCK_DATA;
    }
    return sum;
}

static int check_blocks(struct verify *verify, struct error *err)
{
    const struct inspection *inspection = verify->store->inspection;
    int rc = begin_workers(verify, err);

    progress_subject(&verify->options->progress, verify->name->name, bytes_to_read(inspection));
    if (rc == 0) {
        rc = crew_run(block_job, verify, verify->options->threads, inspection->block_count);
        if (rc != 0) {
            (void)error_set(err, rc, "namespace \"%s\" was not looked at to its end: %s",
                            verify->name->name, status_text(rc));
        }
    }
    end_workers(verify);
    progress_clear(&verify->options->progress);
    return rc;
}

/* ---- namespaces ---- */

static uint64_t damage_sum(const struct verify_counts *counts)
{
    uint64_t sum = 0;
    unsigned i;

    for (i = 0; i < DAMAGE_KINDS; i++) {
        sum += counts->damages[i];
    }
    return sum;
}

static void tell_counts(struct verify *verify)
{
    const struct verify_counts *counts = &verify->counts;
    const struct namespace *ns = verify->store->inspection->ns;
    struct out *out = &verify->options->out;
    const uint64_t damage = damage_sum(counts);
    char size[32];

    out_sentence(out, "namespace",
                 "  %u topics, %u cursors, %" PRIu64 " blocks, %" PRIu64 " batches, %" PRIu64
                 " entries, %s read: %s",
                 ns->topic_count, ns->cursor_count, counts->blocks, counts->batches,
                 counts->entries, progress_size(size, counts->bytes),
                 damage == 0 ? "no damage" : "DAMAGED");
    out_bytes(out, "namespace", verify->name->name, verify->name->size);
    out_number(out, "topics", ns->topic_count);
    out_number(out, "cursors", ns->cursor_count);
    out_number(out, "blocks", counts->blocks);
    out_number(out, "batches", counts->batches);
    out_number(out, "entries", counts->entries);
    out_number(out, "bytes", counts->bytes);
    out_number(out, "damages", damage);
    out_number(out, "lost_entries", counts->lost);
    out_end(out);
}

/* Live, a block that was freed and used again meanwhile looks damaged: whatever was found is looked
 * at once more, with new tables; what is still wrong then is. */
static int check_once(struct verify *verify, struct error *refusal, struct error *err)
{
    int rc = store_enter(verify->store, verify->name, false, refusal, err);

    memset(&verify->counts, 0, sizeof verify->counts);
    if (rc == 0) {
        rc = check_history(verify, refusal, err);
    }
    return rc != 0 ? rc : check_blocks(verify, err);
}

static int verify_namespace(struct verify *verify)
{
    struct out *out = &verify->options->out;
    struct error refusal;
    struct error err = {.code = 0};
    int rc;

    out_sentence(out, "look", "namespace \"%s\"", verify->name->name);
    out_bytes(out, "namespace", verify->name->name, verify->name->size);
    out_end(out);
    progress_subject(&verify->options->progress, verify->name->name, 0);
    rc = check_once(verify, &refusal, &err);
    if (rc == 0 && verify->suspects > 0) {
        out_sentence(out, "note",
                     "  note: the daemon may have freed what was just found; looking again");
        out_end(out);
        verify->suspects = 0;
        rc = check_once(verify, &refusal, &err);
    }
    if (rc == 0) {
        tell_counts(verify);
        rc = damage_sum(&verify->counts) > 0 ? OFFLINE_DAMAGED : OFFLINE_DONE;
    } else if (rc == TUSK_ECORRUPT) {
        tell_of(verify, DAMAGE_JOURNAL, err.text);
        rc = OFFLINE_DAMAGED;
    } else {
        offline_say(verify->options, "namespace \"%s\": %s", verify->name->name, err.text);
        rc = offline_exit(rc);
    }
    store_leave(verify->store);
    return rc;
}

int verify_store(struct store *store)
{
    struct verify *verify = calloc(1, sizeof *verify);
    struct out *out = &store->options->out;
    int worst = OFFLINE_DONE;
    unsigned damaged = 0;
    unsigned i;

    if (verify == NULL || pthread_mutex_init(&verify->lock, NULL) != 0) {
        free(verify);
        offline_say(store->options, "out of memory");
        return OFFLINE_FAILED;
    }
    verify->store = store;
    verify->options = store->options;
    if (store->live) {
        out_sentence(
            out, "note",
            "a daemon has this directory: only sealed blocks are looked at, which it no longer "
            "changes; journal, manifests and open blocks are not judged");
        out_end(out);
    }
    for (i = 0; i < store->name_count && !offline_interrupted(); i++) {
        int rc;

        verify->name = &store->names[i];
        verify->suspects = 0;
        rc = verify_namespace(verify);
        damaged += rc == OFFLINE_DAMAGED;
        /* Not having looked weighs more than having found something. */
        if (rc != OFFLINE_DONE && (worst == OFFLINE_DONE || worst == OFFLINE_DAMAGED)) {
            worst = rc;
        }
    }
    worst = offline_interrupted() ? OFFLINE_INTERRUPTED : worst;
    out_sentence(out, "summary", "%s: %u of %u namespaces damaged%s",
                 worst == OFFLINE_DONE      ? "clean"
                 : worst == OFFLINE_DAMAGED ? "DAMAGED"
                                            : "INCOMPLETE",
                 damaged, store->name_count,
                 damaged > 0 ? "; \"tusk salvage\" takes what can be had into a new directory"
                             : "");
    out_number(out, "namespaces", store->name_count);
    out_number(out, "damaged", damaged);
    out_number(out, "exit", (uint64_t)worst);
    out_end(out);
    (void)pthread_mutex_destroy(&verify->lock);
    free(verify);
    return worst;
}

int offline_verify(struct offline_options *options, const char *dir)
{
    struct store store;
    struct error err;
    int rc;

    progress_init(&options->progress, "verify", options->quiet);
    if (store_open(&store, options, dir, &err) != 0) {
        return offline_fail(options, &err);
    }
    rc = verify_store(&store);
    store_close(&store);
    return rc;
}
