/* The log engine: the namespaces of one data directory, served by one thread.
 *
 *     engine_open ---> { engine_now, requests..., engine_poll }* ---> engine_stop ---> engine_close
 *                                                     \-- a disk failed ---> engine_failed --^
 *
 * A *turn* is what happens between two engine_poll() calls: requests are staged, each gets its
 * place in the namespace's order, and engine_poll() writes them with one write, starts what the
 * fsync schedule asks for, and runs done() of every request that has earned its answer. done() runs
 * only inside engine_poll() (or engine_stop()), never inside the call that submitted the request,
 * and exactly once; it may submit more requests.
 *
 * Requests are the caller's memory. They are given to the engine until done() runs. What they point
 * at (names, batch bytes) is borrowed only during the submitting call.
 *
 * Time and randomness come in as arguments; nothing here reads a clock, the environment or a
 * configuration file, or logs. No locks, no globals: one engine per thread. */
#ifndef CORE_ENGINE_H
#define CORE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

struct engine;
struct histogram;
struct io;
struct namespace;
struct segment;

#define ENGINE_NAME_SIZE_MAX 255u
#define ENGINE_FSYNC_EACH 0u
#define ENGINE_FSYNC_NONE UINT64_MAX
#define ENGINE_STORE_ID_SIZE 16u

struct engine_time {
    uint64_t wall_us; /* Since 1970, UTC: data only (entry times, retention by age) */
    uint64_t mono_us; /* Never goes back: every timer */
};

/* Of a topic or a namespace, as in PROTOCOL.md, "settings". */
enum engine_retention {
    ENGINE_RETAIN_ALL = 0,
    ENGINE_RETAIN_CONSUMED = 1,
    ENGINE_RETAIN_AGE = 2,
    ENGINE_RETAIN_SIZE = 3,
    ENGINE_RETAIN_INHERIT = 255 /* Topics only: as the namespace says */
};

struct engine_retention_rule {
    uint64_t kind; /* enum engine_retention */
    uint64_t age_ms;
    uint64_t bytes;
};

/* What becomes of an append that needs a block beyond the quota of bytes: quota.h. */
enum engine_quota_policy {
    ENGINE_QUOTA_REJECT = 0,
    ENGINE_QUOTA_DROP_OLDEST = 1,
    ENGINE_QUOTA_WAIT = 2
};

struct engine_settings {
    struct engine_retention_rule retention; /* Default of topics that inherit */
    uint64_t fsync_ms;    /* ENGINE_FSYNC_EACH, milliseconds, or ENGINE_FSYNC_NONE */
    uint64_t consistency; /* 0 strict, N at-least-once:N */
    uint64_t quota_bytes; /* 0: none, here and below */
    uint64_t quota_topics;
    uint64_t quota_cursors;
    uint64_t quota_policy; /* enum engine_quota_policy */
};

/* Keys of settings, as in PROTOCOL.md. The first three are a topic's, too. */
enum engine_setting_key {
    ENGINE_SETTING_RETENTION = 1,
    ENGINE_SETTING_RETENTION_AGE_MS = 2,
    ENGINE_SETTING_RETENTION_BYTES = 3,
    ENGINE_SETTING_FSYNC = 16,
    ENGINE_SETTING_CONSISTENCY = 17,
    ENGINE_SETTING_QUOTA_BYTES = 18,
    ENGINE_SETTING_QUOTA_TOPICS = 19,
    ENGINE_SETTING_QUOTA_CURSORS = 20,
    ENGINE_SETTING_QUOTA_POLICY = 21
};

/* A change to settings. What is not named stays. */
struct engine_setting {
    uint16_t key;
    uint64_t value;
};

/* What a quota took from a topic: entries of [from, to). */
struct engine_dropped {
    const char *space; /* Terminated; borrowed for the call, as the topic's name is */
    const char *topic; /* Not terminated */
    size_t topic_size;
    uint64_t from;
    uint64_t to;
    uint64_t entries; /* At most, where a trim cut a block with a gap in its offsets; else exact */
    uint64_t bytes;   /* Of blocks */
};

struct engine_options {
    uint64_t (*random)(void *arg); /* Unpredictable in production, seeded in tests */
    void *random_arg;
    /* Progress of recovery, every 4 MiB it has read of journal or blocks: return false to give up
     * (engine_open() then fails with TUSK_ECLOSED and has changed nothing it judged). total_bytes
     * is 0: not known. NULL allowed. */
    bool (*progress)(void *arg, const char *name, uint64_t done_bytes, uint64_t total_bytes);
    void *progress_arg;
    /* A finding of recovery worth an operator's eye, as a sentence. NULL allowed. */
    void (*finding)(void *arg, const char *name, const char *text);
    void *finding_arg;
    /* Acknowledged entries went, as the policy of a quota says. NULL allowed. */
    void (*dropped)(void *arg, const struct engine_dropped *dropped);
    void *dropped_arg;
    const char *accept_loss; /* Namespace whose damaged journal is to be accepted; NULL: none */

    struct engine_settings settings; /* Of namespaces created from now on */
    uint32_t block_size;             /* Of namespaces created from now on; 10 MiB */
    uint32_t blocks_per_segment;     /* 100 */
    uint32_t journal_file_min;       /* First journal files are this large; 1 MiB */
    uint32_t journal_file_max;       /* 64 MiB */
    uint64_t journal_size_max; /* Appends wait at this much journal behind the manifest; 1 GiB */
    uint64_t manifest_journal_bytes; /* A manifest is due after this much journal; 64 MiB */
    uint64_t manifest_direct_bytes;  /* Or this much written directly; 256 MiB */
    uint64_t manifest_idle_us;       /* Or this long after an append, when idle; 30 s */
    uint64_t unsynced_bytes_max;     /* Acked but not yet synced; 64 MiB */
    uint32_t ring_size;              /* Last journal bytes kept in memory, per namespace */
    /* A batch this large goes straight to its block: in lazy schedules; 64 KiB */
    uint32_t direct_threshold;
    uint32_t direct_threshold_each; /* In schedule each; 256 KiB */
    uint32_t tail_apply_bytes;      /* A topic's tail is applied at this size; 64 KiB */
    uint32_t entry_size_max;
    uint32_t batch_size_max;    /* Stored body; lowered to what a block holds */
    uint32_t topics_max;        /* Per namespace */
    uint32_t cursors_max;       /* Per topic */
    uint64_t waiting_bytes_max; /* Batches kept while space, offsets or a sync are awaited */
    uint64_t quota_wait_us;     /* An append waits this long for a quota; 3 s */
    uint32_t range_min;         /* A range is at least this large */
    uint64_t read_bytes_max;    /* Of payload per read, whatever the request says */
    uint64_t offset_start;      /* First offset of new topics: 0 but in tests near the wrap */
    bool inline_sync;           /* Schedule each: sync in the turn when nothing else is going on */
};

/* The values named in the comments above. random must be set by the caller. */
void engine_options_default(struct engine_options *options);

/* Open the data directory behind io: take its lock, recover every namespace, create "default" when
 * there is none. A namespace that is damaged, or on a full disk cannot begin, is refused
 * (engine_namespace_state), the others serve. On failure (TUSK_ELOCKED, TUSK_EDENIED, TUSK_EIO,
 * TUSK_ENOSPACE, TUSK_ENOMEM, TUSK_EVERSION, TUSK_EINVALID for nonsense options) *out is NULL, and
 * io can be closed. io is borrowed, outlives the engine. */
int engine_open(struct engine **out, struct io *io, const struct engine_options *options,
                const struct engine_time *now, struct error *err);
/* A clean stop of every namespace: requests not yet durable are made so and answered, new ones get
 * TUSK_ECLOSED, waiting reads TUSK_ECLOSED; then the clean close is written, alone and last. Waits
 * for the disk. On failure (a disk failed) the stop is not clean, and the next start recovers. */
int engine_stop(struct engine *engine, const struct engine_time *now, struct error *err);
/* Free everything, writing nothing. Requests still with the engine are forgotten: done() does not
 * run. After engine_stop() there are none. NULL allowed. */
void engine_close(struct engine *engine);

/* Tell the time before staging a turn's requests. */
void engine_now(struct engine *engine, const struct engine_time *now);
/* End the turn: see the top. True when there is more to do at once (call again without
 * sleeping). */
bool engine_poll(struct engine *engine, const struct engine_time *now);
/* Whether engine_poll(), called now, would begin a sync that whatever arrives in the next
 * microseconds could still share: the caller may look at its sockets once more before it calls. */
bool engine_would_sync(const struct engine *engine);
/* When engine_poll() wants to be called next, in mono_us, if nothing else happens. UINT64_MAX:
 * never. */
uint64_t engine_deadline(const struct engine *engine);
/* The namespace whose sync has been under way longest at mono_us, and for how long; NULL: none is.
 * What was done inside a turn is not seen: the caller waited for it. */
struct namespace *engine_oldest_sync(const struct engine *engine, uint64_t mono_us,
                                     uint64_t *age_us);
/* A namespace whose disk failed, or NULL; *err says what happened. The process should exit (74). */
struct namespace *engine_failed(struct engine *engine, struct error *err);

/* ---- namespaces ---- */

enum engine_namespace_state { ENGINE_SERVING = 0, ENGINE_REFUSED = 1, ENGINE_STOPPED = 2 };

struct engine_namespace_info {
    const char *name; /* Terminated; borrowed until the namespace is deleted */
    enum engine_namespace_state state;
    const char *reason; /* Why it is not serving; "" when it is */
    int reason_code;    /* Of a refused one: TUSK_ECORRUPT, TUSK_EVERSION, TUSK_EIO, ... */
    const uint8_t *store_id;
    uint64_t incarnation;
    uint64_t topics;
    uint64_t cursors;
    uint64_t blocks_bytes; /* Of blocks in use */
    uint32_t block_size;
    uint32_t batch_size_max;
    uint32_t entry_size_max;
    struct engine_settings settings;
};

/* Find by name; NULL when there is none. */
struct namespace *engine_namespace_find(struct engine *engine, const char *name, size_t size);
/* The first namespace whose name is behind `after` in byte order (NULL: the first). NULL: none. */
struct namespace *engine_namespace_next(struct engine *engine, const char *after, size_t size);
void engine_namespace_info(struct namespace *ns, struct engine_namespace_info *info);
/* Durable when it returns; waits for the disk. TUSK_EEXISTS, TUSK_EINVALID, TUSK_ENOSPACE,
 * TUSK_EIO. */
int engine_namespace_create(struct engine *engine, const char *name, size_t size,
                            const struct engine_setting *settings, uint32_t count,
                            struct error *err);
/* Delete with everything in it. Nothing may be pending in it, and `users` (kept by the caller by
 * engine_namespace_use) must be 0: TUSK_EBUSY. "default" cannot be deleted: TUSK_EINVALID. */
int engine_namespace_delete(struct engine *engine, const char *name, size_t size,
                            struct error *err);
/* Count connections bound to a namespace: +1 or -1. */
void engine_namespace_use(struct namespace *ns, int change);
/* True while the namespace wants no more appends for now: the caller stops reading producers'
 * sockets and asks again after each engine_poll(). Appends submitted all the same are kept, within
 * waiting_bytes_max. */
bool engine_namespace_congested(const struct namespace *ns);

/* ---- requests ---- */

struct engine_request {
    void (*done)(struct engine_request *request); /* The caller's */
    void *arg;                                    /* The caller's */
    /* Set when done() runs: */
    int status;        /* 0 or a negative TUSK_E* */
    uint64_t detail_a; /* As PROTOCOL.md, "Status", says; 0 otherwise */
    uint64_t detail_b;
    struct error error; /* Meaningful when status is not 0 */
    /* What the time was spent on, as far as it came: mono_us as told, 0: never. */
    uint64_t staged_us; /* It had its place. A read: it began, or last went on after waiting */
    uint64_t begun_us;  /* The turn that wrote it ended, or began the sync it waited for */
    uint32_t synced_us; /* How long that sync took, by the disk's clock; 0: none, or not known */
    /* The engine's, from submitting until done(): */
    struct engine_request *next;
    struct namespace *ns;
    uint64_t ticket;
    int kind;
};

/* A topic by id, or by name when id is 0. */
struct engine_topic_ref {
    uint64_t id;
    const char *name;
    size_t name_size;
};

struct engine_append {
    struct engine_request base;
    struct engine_topic_ref topic;
    const uint8_t *batch; /* As a producer sends it (proto/batch.h); verified here */
    size_t batch_size;    /* Exactly header and body */
    bool durable;         /* Answer when durable, whatever the schedule */
    bool no_create;
    /* Result: */
    uint64_t topic_id; /* Also of one that failed, unless there is no topic */
    uint64_t first_offset;
    uint64_t durable_end;
    uint64_t end;         /* Behind its last entry; not set when it failed */
    bool created;         /* It made its topic; set when engine_append() returns */
    void *kept;           /* The engine's: a copy of the batch while it waits, */
    uint64_t waiting;     /* and its number among all that ever waited */
    uint64_t until_us;    /* The engine's: it waits for a quota until then, */
    bool cancelled;       /* or no longer */
    struct topic *target; /* The engine's */
};

/* Store a batch. Statuses: 0 stored, as far as the schedule (or `durable`) says; TUSK_EINVALID,
 * TUSK_ECORRUPT (the batch's own checks), TUSK_ETOOBIG, TUSK_ENOTFOUND, TUSK_EBUSY, TUSK_EQUOTA,
 * TUSK_ENOSPACE, TUSK_ENOMEM, TUSK_ECLOSED, TUSK_EUNSUPPORTED: not stored, now or ever;
 * TUSK_EUNKNOWN: the disk failed. Appends to one topic are stored in the order submitted.
 * TUSK_EQUOTA of bytes: detail: bytes of blocks in use, and the quota. */
void engine_append(struct namespace *ns, struct engine_append *append);
/* Nobody is there any more to learn of it: an append that waits for a quota, now or later, is
 * refused instead. done() runs all the same. */
void engine_append_cancel(struct engine_append *append);

/* A part of a block that nobody has looked at, held: as long as it is not released the block is not
 * used again. */
struct engine_range {
    struct segment *segment; /* The engine's; NULL: none */
    uint16_t slot;           /* The engine's */
    uint64_t offset;         /* The engine's */
    uint32_t size;
    bool seen; /* The engine's: all of it was in memory when last looked at, in this turn */
};

/* Where to begin: PROTOCOL.md, "position". */
enum engine_position {
    ENGINE_AT_OFFSET = 1,
    ENGINE_AT_TIME = 2,
    ENGINE_AT_EARLIEST = 3,
    ENGINE_AT_LATEST = 4,
    ENGINE_AT_CURSOR = 5 /* Reads only */
};

struct engine_read {
    struct engine_request base;
    struct engine_topic_ref topic;
    const char *cursor; /* With ENGINE_AT_CURSOR */
    size_t cursor_size;
    enum engine_position position;
    uint64_t value;
    uint32_t max_bytes;   /* Of payload; at least one entry is returned */
    uint32_t max_entries; /* At least 1 */
    uint32_t wait_ms;
    bool consume;
    bool skip_damage;
    bool unchecked; /* The answer may be a range: whoever gets it checks every batch */
    bool mapped;    /* It need not be in memory: it is mapped, not sent */
    uint64_t held;  /* First offset of a batch the caller has; UINT64_MAX: none */
    /* Make room for size bytes in all, keeping the first `used`; returns where the bytes begin, or
     * NULL for want of memory. The caller's buffer: it frees it after done(). */
    uint8_t *(*room)(struct engine_read *read, size_t used, size_t size);
    /* Result, when status is 0: whole stored batches, padded, one behind the other. None, with from
     * == to, when all that was there to read has been skipped as damage. */
    uint8_t *data;             /* What room() returned; NULL when they are a range */
    struct engine_range range; /* The caller's to release, when range.segment is not NULL */
    uint32_t data_size;
    uint64_t topic_id; /* Also of one that failed, unless there is no topic */
    uint64_t from;     /* Deliver entries of [from, to) */
    uint64_t to;
    uint64_t end; /* Also with TUSK_EEND */
    uint64_t durable_end;
    uint64_t epoch; /* Of the cursor, 0 without */
    uint64_t skipped_from;
    uint64_t skipped_to;
    uint64_t generation; /* What the first batch's header checksum was seeded with */
    uint32_t block_position;
    /* The engine's: */
    struct read_state *state;
};

/* Read batches. TUSK_EEND (detail: end, durable end), TUSK_ETRIMMED (first), TUSK_ECORRUPT (range),
 * TUSK_ENOTFOUND, TUSK_EINVALID, TUSK_ENOMEM, TUSK_EIO, TUSK_ECLOSED; TUSK_EUNKNOWN when a consumed
 * read's cursor may or may not have moved. */
void engine_read(struct namespace *ns, struct engine_read *read);
/* Send bytes of a range, from `from` on, to a socket that does not block, from the page cache and
 * without a copy. 0, and *sent is how many it took; TUSK_EBUSY: none, the socket is full, or they
 * have left memory and the kernel was asked to read them; TUSK_EUNSUPPORTED: read and send them;
 * TUSK_EUNREACHABLE: nobody is there to take them. */
int engine_range_send(struct engine_range *range, uint32_t from, int socket_fd, size_t *sent);
/* Copy bytes of a range that are in memory: *got of them. 0, TUSK_EBUSY (none of them; they are
 * being read ahead), TUSK_EIO. */
int engine_range_read(const struct engine_range *range, uint32_t from, uint8_t *data, size_t size,
                      size_t *got);
/* Where it is, for who maps the file. */
struct engine_place {
    uint64_t segment;      /* Its number */
    uint64_t segment_size; /* The file never grows beyond */
    uint64_t block;        /* Where the range's block begins in the file */
};
void engine_range_place(const struct engine_range *range, struct engine_place *place);
/* As io_share() of its file. */
int engine_range_open(const struct engine_range *range, int *fd);
/* Not after engine_close(). */
void engine_range_release(struct engine_range *range);
/* Give a waiting read up (its connection is gone). done() runs soon, with TUSK_EEND or with what
 * it had. */
void engine_read_cancel(struct engine_read *read);

enum engine_command_kind {
    ENGINE_CHECKPOINT,    /* topic, cursor, offset, epoch (0 any), no_create -> offset, epoch */
    ENGINE_SEEK,          /* topic, cursor, position, value -> offset, epoch */
    ENGINE_CURSOR_CREATE, /* topic, cursor, position, value -> offset, epoch */
    ENGINE_CURSOR_DELETE, /* topic, cursor */
    ENGINE_TOPIC_CREATE,  /* topic (by name), settings -> topic_id */
    ENGINE_TOPIC_SET,     /* topic, settings */
    ENGINE_TOPIC_DELETE,  /* topic */
    ENGINE_TOPIC_TRIM,    /* topic, offset -> offset (first kept) */
    ENGINE_NAMESPACE_SET, /* settings */
    ENGINE_SYNC           /* everything submitted before it, appends that wait included */
};

struct engine_command {
    struct engine_request base;
    enum engine_command_kind kind;
    struct engine_topic_ref topic;
    const char *cursor;
    size_t cursor_size;
    enum engine_position position;
    uint64_t value;
    uint64_t offset; /* Also a result */
    uint64_t epoch;  /* Also a result */
    bool no_create;
    const struct engine_setting *settings;
    uint32_t settings_count;
    uint64_t topic_id; /* Result: the topic's, also of one that failed, unless there is none */
    void *state;       /* The engine's: a time lookup under way, */
    char kept_cursor[ENGINE_NAME_SIZE_MAX]; /* and the name it was given for */
    uint64_t behind;  /* The engine's: SYNC: the last append that waited when it was submitted, */
    uint64_t awaited; /* and how many of those still do */
};

/* Answered when durable, but CHECKPOINT in an at-least-once namespace (answered when taken).
 * Statuses as in PROTOCOL.md for the request. */
void engine_command(struct namespace *ns, struct engine_command *command);

/* ---- copying a namespace while it serves ---- */

/* The files that make a copy: of "<dir>", manifests and journal files by number, both ends
 * included, and all segments with smaller numbers than segments_end. Of the last journal file its
 * first journal_used bytes, and zeros up to its size. */
struct engine_snapshot {
    const char *dir; /* "ns/<encoded>"; borrowed until the namespace is deleted */
    uint64_t manifest_first;
    uint64_t manifest_last;
    uint64_t journal_first;
    uint64_t journal_last;
    uint64_t journal_used;
    uint64_t segments_end;
};

/* Hold the files of a namespace: from now on nothing that a copy needs is used again or removed
 * (core/hold.h says what). One at a time: TUSK_EBUSY. TUSK_EIO or TUSK_ECLOSED when the
 * namespace does not serve. */
int engine_snapshot_begin(struct namespace *ns, struct error *err);
/* What to copy: everything written before this call is in it. Behind an ENGINE_SYNC that was asked
 * for after engine_snapshot_begin(), everything acknowledged before is durable, too. Held only. */
void engine_snapshot_place(const struct namespace *ns, struct engine_snapshot *out);
/* Let go. shared: the copy may share bytes of segments with the original (reflink); then blocks in
 * use now give their space back before they are used again. TUSK_ENOSPACE: the disk became full
 * meanwhile and what was held has gone; the copy must be thrown away. Held only. */
int engine_snapshot_end(struct namespace *ns, bool shared, struct error *err);

/* ---- what is there: immediate, from memory ---- */

struct engine_topic_info {
    uint64_t id;
    uint64_t created_us;
    uint64_t first;
    uint64_t end;
    uint64_t durable_end;
    uint64_t entries;
    uint64_t bytes;
    uint64_t last_time_us;
    uint32_t blocks;
    uint32_t cursors;
    const char *name; /* Not terminated; borrowed until the next engine call */
    size_t name_size;
    struct engine_retention_rule retention;
};

struct engine_cursor_info {
    const char *name; /* Not terminated; borrowed until the next engine call */
    size_t name_size;
    uint64_t offset;
    uint64_t durable_offset;
    uint64_t epoch;
    uint64_t lag; /* Entries between it and the end; exact up to the block's index, see cursor.h */
};

/* TUSK_ENOTFOUND. */
int engine_topic_info(struct namespace *ns, const struct engine_topic_ref *ref,
                      struct engine_topic_info *info, struct error *err);
/* The first topic whose name is behind `after` (size 0: the first). 1 found, 0 no more,
 * TUSK_ENOMEM: they cannot be put in order now. */
int engine_topic_next(struct namespace *ns, const char *after, size_t size,
                      struct engine_topic_info *info);
/* The first cursor of a topic whose name is behind `after` (NULL: the very first). 1 found, 0 no
 * more, TUSK_ENOTFOUND no such topic. */
int engine_cursor_next(struct namespace *ns, const struct engine_topic_ref *ref, const char *after,
                       size_t size, struct engine_cursor_info *info, struct error *err);

/* Counters since start and gauges. Names are metric names without prefix, stable. */
typedef void engine_stat_fn(void *arg, const char *name, uint64_t value);
void engine_stats(struct namespace *ns, engine_stat_fn *fn, void *arg);

/* What is counted by size or time since start. */
enum engine_histogram {
    ENGINE_BATCH_ENTRIES, /* Of batches stored */
    ENGINE_BATCH_BYTES,   /* Stored body and header */
    ENGINE_SYNC_US,       /* Of one fdatasync of the sync schedule */
    ENGINE_GROUP_BATCHES, /* Batches that one sync group made durable, of groups that had any */
    ENGINE_GROUP_BYTES,   /* Bytes of journal and blocks that a group made durable */
    ENGINE_HISTOGRAMS
};
/* Borrowed; counts as long as the namespace is there. */
const struct histogram *engine_histogram(const struct namespace *ns, enum engine_histogram which);

#endif
