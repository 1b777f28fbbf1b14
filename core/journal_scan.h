/* The journal's reading side, for recovery and offline tools: records by LSN, from what the device
 * holds.
 *
 * Files are opened and their headers judged first. The records of file n count up to the first LSN
 * of any later file, never beyond: what an unclean stop cut off does not come back. Reading never
 * stops at an invalid record by itself: the caller decides where the history ends (recovery.h).
 * Bytes are read with O_DIRECT into one window; a record that is returned is valid until the next
 * call. */
#ifndef CORE_JOURNAL_SCAN_H
#define CORE_JOURNAL_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/format.h"
#include "core/io.h"

struct scan_file {
    uint64_t number;
    uint64_t file_size; /* On disk */
    bool valid;         /* Its header is; else it holds no record */
    struct format_journal header;
    uint32_t seed;
    uint64_t end_lsn;     /* Records count up to here */
    struct io_file *file; /* Owned, until taken by the journal */
};

struct scan {
    struct io *io;
    struct scan_file *files; /* Owned; in order of numbers */
    uint32_t count;
    uint32_t capacity;
    uint8_t *window; /* Owned; aligned */
    uint64_t window_capacity;
    uint64_t window_size;
    uint64_t window_offset;
    uint32_t window_file;
    uint64_t bytes_read; /* For progress */
    bool lenient;        /* Believe a header that does not check out when its first record does */
};

/* What stands at an LSN. */
enum scan_kind {
    SCAN_RECORD,     /* A valid header, and the whole record is in the file */
    SCAN_ZERO,       /* 64 zero bytes: never written, or written ahead */
    SCAN_BAD,        /* Anything else that does not validate */
    SCAN_UNREADABLE, /* The device gave an error; see err */
    SCAN_NONE        /* No file reaches that LSN */
};

struct scan_record {
    struct format_record_header header;
    const uint8_t *bytes; /* header.size bytes */
};

/* Add a file; it is opened for writing (it may become a spare again) and its header is read.
 * TUSK_EVERSION, TUSK_EIO, TUSK_ENOMEM. */
int scan_add(struct scan *scan, const char *path, uint64_t number,
             const uint8_t store_id[ENGINE_STORE_ID_SIZE], struct error *err);
/* All files are added: order them, find how far each counts. */
void scan_ready(struct scan *scan);
void scan_deinit(struct scan *scan);

/* Look at an LSN (a multiple of 64). */
enum scan_kind scan_at(struct scan *scan, uint64_t lsn, struct scan_record *record,
                       struct error *err);
/* The next LSN behind `lsn` at which a record could stand, stepping by 64 and from file to file;
 * UINT64_MAX: none. */
uint64_t scan_step(const struct scan *scan, uint64_t lsn);
/* As scan_step(), but past places that hold no record, as far as the window at hand shows: behind
 * an LSN that was looked at the next one worth a look. A journal file is mostly space never
 * written, or an earlier use of it. */
uint64_t scan_skip(const struct scan *scan, uint64_t lsn);
/* Where the record behind one that scan_at() returned would stand; UINT64_MAX: no file has room. */
uint64_t scan_behind(const struct scan *scan, const struct format_record_header *header);
/* Whether some file covers the LSN, its end included. */
bool scan_reaches(const struct scan *scan, uint64_t lsn);

#endif
