/* dump: what stands in a file of a store, piece by piece, with byte offsets and whether checksums
 * hold.
 *
 * A file is known by the magic of its first page, not by its name. Nothing but the file itself is
 * needed: it names its store and generation, which its checksums are seeded with. What does not
 * check out is told and, where sizes can still be trusted within the file, described; nothing is
 * read beyond it. */
#ifndef OFFLINE_DUMP_H
#define OFFLINE_DUMP_H

#include "core/format.h"
#include "server/offline/offline.h"

struct dump {
    struct offline_options *options;
    struct out *out;
    struct io *io;    /* Borrowed; reads only */
    const char *path; /* In io, and for sentences */
    bool bad;         /* Something did not check out */
};

/* One file. 0: it was described, and dump->bad says whether all is well; TUSK_EINVALID: not a file
 * of a store; TUSK_EVERSION, TUSK_ECORRUPT (no page to go by), TUSK_EIO, ... */
int dump_file(struct dump *dump, struct error *err);

/* Of each kind; the first page has its magic. */
int dump_journal(struct dump *dump, struct io_file *file, const uint8_t *page, struct error *err);
int dump_manifest(struct dump *dump, struct io_file *file, const uint8_t *page, uint64_t size,
                  struct error *err);
int dump_segment(struct dump *dump, struct io_file *file, uint64_t size, struct error *err);
/* A seal by itself. */
void dump_seal(struct dump *dump, const uint8_t *page, const struct format_block *own,
               uint64_t offset);

/* A record with its byte offset. */
void dump_begin(struct dump *dump, const char *what, uint64_t offset);
/* "checksum=good" or "bad", which is remembered. */
void dump_verdict(struct dump *dump, const char *key, bool good);
void dump_store_id(struct dump *dump, const uint8_t store_id[ENGINE_STORE_ID_SIZE]);
/* The fields of a batch's header, for a record that is open. */
void dump_batch_fields(struct dump *dump, const struct batch_header *header);
/* A record for each entry of a valid batch, when payload is asked for. */
void dump_entries(struct dump *dump, const uint8_t *bytes, uint64_t offset);
/* Microseconds since 1970 as a number, and as a date where it is one. */
void dump_time(struct dump *dump, const char *key, uint64_t us);

#endif
