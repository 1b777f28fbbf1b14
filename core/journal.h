/* The journal's writing side: records in one order, built in the ring, written with one write a
 * turn.
 *
 *     journal_item / journal_record ---> journal_flush (end of turn) ---> synced by flusher.h
 *            (ticket)                       (written watermark)              (durable watermark)
 *
 * An LSN is a byte position in the namespace's history: a record at LSN x lies at 4096 + x -
 * first_lsn in the file that holds it. A ticket is an LSN inside its record; "watermark >= ticket"
 * means the whole record is behind it, because watermarks only stand between records.
 *
 * Files: the *current* one is written; *older* ones are kept until two manifests stand behind them,
 * then recycled or removed; *spares* are named, written ahead and synced, with a header that does
 * not match their name, so that they hold no record until they are activated. JOURNAL_RESERVE
 * spares are held back from appends, for trims, deletes and cursors on a full disk, and the last
 * one from those, too, for a clean stop and the next start.
 *
 * Failure: the first write that fails is kept in `failure`, and nothing is written after it. The
 * namespace stops. */
#ifndef CORE_JOURNAL_H
#define CORE_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/format.h"
#include "core/io.h"
#include "core/stretch.h"

struct namespace;

/* Spares that are left on a full disk: by appends; by the records that free blocks, which may be
 * thousands at once; by everything else, for a clean close and the next open, which find no
 * other. */
#define JOURNAL_RESERVE 3u
#define JOURNAL_RESERVE_FREES 2u
#define JOURNAL_LAST 1u
#define JOURNAL_SPANS_MAX 64u
#define JOURNAL_FILES_MAX 4096u
#define JOURNAL_ZERO_STEP (64u * 1024u)

struct journal_file {
    uint64_t number;
    uint64_t size;
    uint64_t generation;
    uint64_t first_lsn;
    uint64_t end_lsn; /* First LSN of the next file; UINT64_MAX for the current one */
    uint32_t seed;
    bool unsynced;        /* Written since its last sync began */
    struct io_file *file; /* Owned */
    struct journal_file *next;
};

/* A stretch of the ring to be written at one place. */
struct journal_span {
    uint64_t position; /* In the ring */
    uint64_t size;
    struct journal_file *file;
    uint64_t offset;
};

/* Getting the next spare ready, one step after the other. */
enum journal_step {
    JOURNAL_IDLE,
    JOURNAL_CREATING,
    JOURNAL_ZEROING,
    JOURNAL_SYNCING,
    JOURNAL_RENAMING,
    JOURNAL_SYNCING_DIR,
    JOURNAL_UNLINKING
};

struct journal {
    struct namespace *ns;       /* Borrowed */
    struct journal_file *files; /* Oldest first; the last one is current */
    struct journal_file *current;
    struct journal_file *spares; /* In order of numbers */
    unsigned spare_count;
    struct journal_file *retired; /* Behind two manifests: to be recycled or removed */
    uint64_t next_number;
    uint64_t file_size; /* Of the next file made */
    uint64_t rolled_us; /* Monotonic: when the current file was activated */

    uint64_t next_lsn;  /* Of the next record */
    uint64_t written;   /* Watermark */
    uint32_t last_crc;  /* Header checksum of the last closed record */
    uint64_t last_mark; /* Durable mark in it */
    uint16_t last_type;

    bool open; /* A BATCH or DIRECT record is being built */
    uint16_t open_type;
    uint64_t open_position; /* In the ring */
    uint64_t open_size;
    struct stretch stretch; /* What an open BATCH record holds, where it is of one topic */

    struct journal_span spans[JOURNAL_SPANS_MAX];
    unsigned span_count;
    uint64_t span_bytes;

    struct error failure; /* code 0: none */

    enum journal_step step;
    struct io_op op;
    struct journal_file *making;
    uint64_t zeroed;
    uint8_t *zeros;    /* Owned; JOURNAL_ZERO_STEP bytes */
    bool no_space;     /* The last attempt at a spare failed for want of space */
    uint64_t retry_us; /* Monotonic: when to try again */
    char path[IO_PATH_SIZE];
    char path_to[IO_PATH_SIZE];
};

/* In memory, without files. TUSK_ENOMEM. */
int journal_init(struct journal *journal, struct namespace *ns);
/* Close all files; nothing may be under way. A zeroed journal is allowed. */
void journal_deinit(struct journal *journal);

/* Make a file of `size` bytes with the next number, zeroed and synced, name included, waiting for
 * the disk: for creating a namespace and for recovery. It becomes a spare. */
int journal_make_spare(struct journal *journal, uint64_t size, struct error *err);
/* Make a spare of a retired file, which needs no space; its name is not synced. 1: done; 0: there
 * is none that will do. For an open on a full disk: nothing is under way. */
int journal_recycle_now(struct journal *journal, struct error *err);
/* Make the first spare the current file: its header is written (not synced). There must be one. */
int journal_activate(struct journal *journal, struct error *err);

/* Room for one item of `size` bytes in a record of `type` (RECORD_BATCH, RECORD_DIRECT): returns
 * its bytes (place, batch header, ...) and its ring position. The caller fills it and calls
 * journal_item_done() before anything else here. The ring must have room (tail_make_room()). */
uint8_t *journal_item(struct journal *journal, uint16_t type, uint32_t size, uint64_t *position);
/* The item's place and header are final. Returns the ticket. */
uint64_t journal_item_done(struct journal *journal);
/* Put a record; returns its ticket. */
uint64_t journal_record(struct journal *journal, const struct format_record *record);
/* Write what was put since the last flush: `written` moves. On failure journal->failure is set,
 * nothing more is ever written, and the error is returned (every time). */
int journal_flush(struct journal *journal, struct error *err);
/* Ring position before which everything has been handed to the journal's files. */
uint64_t journal_unwritten_position(const struct journal *journal);

/* Whether a record of `size` bytes may go in, leaving `reserve` spares, as above. 1 yes; 0 not yet:
 * spares are being made, or, for appends, the journal is at its limit until the next manifest;
 * TUSK_ENOSPACE: the disk is full and only the reserve is left. */
int journal_admits(const struct journal *journal, uint64_t size, unsigned reserve);
/* Background work: make spares, recycle and remove retired files. Call once a turn. */
void journal_work(struct journal *journal, uint64_t mono_us);
bool journal_busy(const struct journal *journal);
/* Everything before `lsn` is held by two manifests: files wholly before it are retired. */
void journal_retire(struct journal *journal, uint64_t lsn);
/* Bytes of journal behind an LSN. */
static inline uint64_t journal_behind(const struct journal *journal, uint64_t lsn)
{
    return journal->next_lsn - lsn;
}
/* Put a file at the end of a list of files. */
void journal_keep(struct journal_file **list, struct journal_file *file);
/* "ns/<name>/journal/<number>.jnl" */
void journal_path(const struct journal *journal, char path[IO_PATH_SIZE], uint64_t number);
/* Largest item that fits a record in any file of this journal. */
uint64_t journal_item_max(const struct engine_options *options);

#endif
