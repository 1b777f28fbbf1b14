/* What recovery's files share: see recovery.c for the order of things. */
#ifndef CORE_RECOVERY_H
#define CORE_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/hash.h"
#include "core/journal_scan.h"
#include "core/namespace.h"
#include "core/recovery_table.h"

/* Whose a block is, by address. Memory O(blocks). */
struct recovery_owner {
    UT_hash_handle hh;
    struct {
        uint64_t segment;
        uint64_t index;
    } key;
    struct topic *topic;
    uint64_t generation;
    uint32_t seed;
    uint32_t
        applied; /* As of R the block holds its bytes up to here; behind, only the journal may */
};

struct recovery_loss {
    uint64_t from;
    uint64_t to;
};

struct recovery {
    struct namespace *ns;
    struct scan scan;
    bool accept_loss;
    bool lenient; /* Journal headers, too: see scan.lenient */
    struct error *err;

    struct format_manifest manifest; /* The one used */
    uint64_t newest_number;          /* Greatest manifest number seen, valid or not */
    bool has_older;
    uint64_t older_number;
    uint64_t older_lsn;
    bool older_known;

    uint64_t mark;     /* M: the greatest durable mark */
    uint64_t end;      /* E: where the history ends */
    uint32_t last_crc; /* Header checksum of the last record before E */
    uint16_t last_type;
    enum recovery_row last_row; /* Decided last: how the history ended, or why it was refused */
    uint64_t valid_behind;      /* Valid records behind E: dropped */
    uint64_t records;
    uint64_t skipped; /* Records whose topic or block went with an accepted loss */
    bool lost;        /* Some loss was accepted, now or before */
    bool lost_now;
    struct recovery_loss *losses; /* Owned; from accepted-loss records, and new ones */
    uint32_t loss_count;
    uint32_t loss_capacity;
    /* Where in the journal batches stand (LSN of the record, and bytes into it) that others have
     * overtaken behind an accepted loss: redo would write over those. Owned. */
    uint64_t *passed;
    uint32_t passed_count;
    uint32_t passed_capacity;
    bool notes_strays; /* Somebody who looks wants to know: */
    /* Where batches stand (the same way, in order) whose block no table knew, because what gave it
     * to them went with an accepted loss. Owned. */
    uint64_t *strays;
    uint64_t stray_count;
    uint64_t stray_capacity;
    bool no_memory;    /* A loss could not be noted */
    uint32_t new_loss; /* First of the new ones */

    struct recovery_owner *owners; /* Hash head */
    uint8_t *block_buffer;         /* Owned; aligned; for reading blocks */
    uint64_t block_buffer_size;
    uint64_t block_bytes_read;
    uint64_t next_progress; /* When so many bytes of journal and blocks have been read */
};

/* recovery.c: steps (1) to (3), which write nothing; for recovery itself, and for looking at a
 * store offline (inspect.h). ns, err and accept_loss are set, the rest is zero; recovery_deinit()
 * after either outcome. */
int recovery_examine(struct recovery *recovery);
/* Steps (2) and (3) alone, behind a load. */
int recovery_history(struct recovery *recovery);
/* Whether the examined history ends with a clean stop. */
bool recovery_clean(const struct recovery *recovery);
void recovery_deinit(struct recovery *recovery);

/* recovery_load.c: manifests, files, tables as of R. */
int recovery_load(struct recovery *recovery);
/* Parts of it: all segments, which need the block sizes; all journal files, which need the store
 * id. */
int recovery_load_segments(struct recovery *recovery);
int recovery_load_journal(struct recovery *recovery);
struct recovery_owner *recovery_owner(struct recovery *recovery, uint64_t segment, uint64_t index);
int recovery_own(struct recovery *recovery, struct topic *topic, const struct block *block);
/* The block must have an owner. */
void recovery_disown(struct recovery *recovery, uint64_t segment, uint64_t index);
/* Make block_buffer hold size bytes, whose contents are lost. TUSK_ENOMEM. */
int recovery_buffer(struct recovery *recovery, uint64_t size);
void recovery_finding(struct recovery *recovery, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Called between any two reads. False: err says that recovery was told to give up. */
bool recovery_progress(struct recovery *recovery);

/* recovery_apply.c: one record into the tables. 0; TUSK_ECORRUPT: it contradicts them;
 * TUSK_ENOMEM. */
int recovery_apply(struct recovery *recovery, const struct scan_record *record);
/* An unclean stop may have taken the records of topics whose ids were told: step over those. */
void recovery_step_ids(struct namespace *ns);
/* Step over the offsets that records which went with an accepted loss may have reserved, in all
 * topics. */
void recovery_step_offsets(struct namespace *ns);
/* What a record in order turns out to be. fills err for UNREADABLE. */
enum recovery_found recovery_judge(struct recovery *recovery, const struct scan_record *record);
/* Whether the batches of a record whose bodies are bad all stand valid in their blocks. */
bool recovery_heals(struct recovery *recovery, const struct scan_record *record);

/* recovery_redo.c: write what the journal holds to the blocks again, and sync. */
int recovery_redo(struct recovery *recovery);
/* Sync every segment written to since its last sync. */
int recovery_sync_segments(struct recovery *recovery);

/* recovery_seal.c: write the seals that full blocks lack, durably. */
int recovery_seal(struct recovery *recovery);

/* recovery_fresh.c: the journal goes on behind the end, durably; after an unclean stop there is a
 * new manifest, or, on a full disk, one is asked for. On failure the namespace must not serve; what
 * was recovered is on the device as before. */
int recovery_fresh_ground(struct recovery *recovery, bool clean);

#endif
