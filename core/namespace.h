/* A namespace: one journal, its blocks, topics and cursors, and everything that waits. Everything
 * of it lives in "ns/<encoded name>/"; it shares nothing with another namespace but the io.
 *
 * This header is core's own: callers see engine.h. Which module owns which part is said below. */
#ifndef CORE_NAMESPACE_H
#define CORE_NAMESPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/engine.h"
#include "core/flusher.h"
#include "core/hold.h"
#include "core/journal.h"
#include "core/list.h"
#include "core/manifest.h"
#include "core/recovery_table.h"
#include "core/ring.h"
#include "core/space.h"
#include "core/syncs.h"
#include "core/topic.h"
#include "proto/histogram.h"

#define NAMESPACE_INCARNATIONS_MAX 256u
/* At-least-once: a cursor is recorded after at most this */
#define NAMESPACE_CURSOR_RECORD_US 1000000u
#define NAMESPACE_RETENTION_US 1000000u /* Retention is looked at this often */

struct request_queue {
    struct engine_request *first;
    struct engine_request *last;
};

struct namespace_counters {
    uint64_t appends, append_entries, append_bytes, direct_appends;
    uint64_t reads, read_entries, read_bytes, read_waits, range_reads;
    uint64_t checkpoints, corrupt_reads;
    uint64_t flushes, flush_bytes, applies, apply_bytes;
    uint64_t recovered_records, recovered_dropped;
    uint64_t retention_alarms;
    uint64_t quota_refusals, quota_dropped_blocks, quota_dropped_entries;
};

struct namespace
{
    struct engine *engine; /* Borrowed */
    const struct engine_options *options;
    struct io *io;
    struct namespace *next; /* In the engine's list, in byte order of names */
    char name[FORMAT_NAME_SIZE_MAX + 1];
    size_t name_size;
    char dir[FORMAT_ENCODED_NAME_SIZE + 8]; /* "ns/<encoded>" */
    int users;

    enum engine_namespace_state state;
    char reason[ERROR_TEXT_SIZE]; /* Why it does not serve */
    int reason_code;              /* Of a refused one: what recovery_run() said */
    bool stopping;                /* New requests are refused */

    uint8_t store_id[ENGINE_STORE_ID_SIZE];
    uint32_t block_size;
    uint32_t blocks_per_segment;
    struct engine_settings settings;
    struct engine_time now;

    struct format_incarnation incarnations[NAMESPACE_INCARNATIONS_MAX]; /* Oldest first */
    uint32_t incarnation_count;

    struct journal journal;   /* journal.c */
    struct ring ring;         /* journal.c puts, tail.c keeps */
    struct space space;       /* space.c */
    struct flusher flusher;   /* flusher.c */
    struct manifest manifest; /* manifest.c */
    struct syncs syncs;       /* Of segments, under way: syncs.h */
    struct hold hold;         /* hold.c */

    struct topic *topics_by_name; /* Hash heads (uthash) */
    struct topic *
        last_named; /* The last one found by its name: a client asks for the same again and again */
    struct topic *topics_by_id;
    struct topic **sorted; /* Owned; by name, when sorted_valid (query.c) */
    uint32_t sorted_capacity;
    bool sorted_valid;
    uint32_t topic_count;
    uint32_t cursor_count;
    uint64_t next_topic_id;

    struct link turn_topics;
    struct link dirty_topics;
    struct link syncing_topics;
    struct link tailed_topics;
    struct link due_topics;
    struct link runnable_topics;
    struct link stalled_topics;
    struct link running_topics;
    struct link dirty_cursors;
    struct link syncing_cursors;
    struct link unrecorded_cursors; /* Oldest first */
    struct link waiting_reads;      /* Parked reads, unordered */
    uint64_t read_deadline_us;      /* Not later than the first of their deadlines */

    struct request_queue written_queue; /* Wait for `written`, in ticket order */
    struct request_queue sync_queue;    /* SYNCs behind appends that wait */
    struct request_queue durable_queue; /* Wait for `durable`, in ticket order */
    uint64_t waiting_bytes;             /* Batches kept by appends not yet staged */
    uint64_t requests;                  /* Submitted, done() not yet run */
    uint64_t waiting_appends;
    uint64_t waited_appends;     /* Number of the last one that began to wait */
    uint64_t quota_deadline_us;  /* Monotonic: not later than the first end of a wait for it */
    bool retry_stalled;          /* Something every stalled topic may have waited for has changed */
    uint64_t retention_us;       /* Monotonic: when retention is looked at next */
    uint64_t retention_clock_us; /* Wall clock as retention trusts it; see retention.c */
    uint64_t retention_mono_us;
    uint64_t jumped_clock_us; /* The wall clock behind a jump; 0: none */
    uint64_t jumped_mono_us;
    unsigned reads_in_flight;        /* Submitted reads of blocks */
    struct read_hint *hints;         /* Owned (read.c): where the next sequential read begins */
    struct range_index *range_index; /* Owned (read_range.c): of the block last read from */
    struct pending_seal *seals;      /* Owned (seal.c) */
    struct topic *graveyard; /* Deleted topics that requests may still point at, by next_dead */

    struct namespace_counters counters;
    struct histogram histograms[ENGINE_HISTOGRAMS];
    uint64_t recovery_rows[ROW_COUNT]; /* How often recovery came to each row of its table */
};

/* namespace.c: life. */
struct namespace *namespace_new(struct engine *engine, const char *name, size_t size);
/* Free everything, closing files, writing nothing; operations in flight are waited for. */
void namespace_free(struct namespace *ns);
/* The same, but the struct stays (a refused namespace keeps its name and reason). */
void namespace_close_files(struct namespace *ns);
/* Make the directory, a journal, a segment and manifest 0, durably. */
int namespace_create(struct namespace *ns, const struct engine_settings *settings,
                     struct error *err);
/* Memory that depends on settings read from disk: the ring. TUSK_ENOMEM. */
int namespace_prepare(struct namespace *ns);
/* Write the open record of this incarnation and make it durable. */
int namespace_begin(struct namespace *ns, bool clean, struct error *err);
/* Remember an open of this namespace; the oldest one is forgotten when there are too many. */
void namespace_add_incarnation(struct namespace *ns, const struct format_incarnation *incarnation);
/* Flush and sync the journal, waiting for the disk: everything put so far is durable. */
int namespace_sync_now(struct namespace *ns, struct error *err);
/* Fail-stop: whoever waits learns it now; err is kept as the reason. Idempotent. */
void namespace_fail(struct namespace *ns, const struct error *err);
/* Fail with journal->failure if that is set; true if the namespace does not serve. */
bool namespace_broken(struct namespace *ns);

/* namespace.c: the tables of topics. */
struct topic *namespace_topic(struct namespace *ns, const struct engine_topic_ref *ref);
struct topic *namespace_topic_by_id(struct namespace *ns, uint64_t id);
/* Put a topic into the tables (TUSK_ENOMEM: it is in none) / take it out. */
int namespace_add_topic(struct namespace *ns, struct topic *topic);
void namespace_remove_topic(struct namespace *ns, struct topic *topic);

/* namespace_turn.c */
/* The work of a turn; see engine_poll(). */
void namespace_turn(struct namespace *ns);
uint64_t namespace_deadline(const struct namespace *ns);
/* A clean stop. */
int namespace_stop(struct namespace *ns, struct error *err);

/* settings.c */
/* Apply key/value settings to *settings; TUSK_EINVALID names the key. topic: only keys of a
 * topic. */
int settings_apply(struct engine_settings *settings, bool topic,
                   const struct engine_setting *changes, uint32_t count, struct error *err);

/* request.c */
void queue_push(struct request_queue *queue, struct engine_request *request);
struct engine_request *queue_pop(struct request_queue *queue);
/* Finished: done() will run from the engine's poll. The status and texts are set by these. */
void request_finish(struct namespace *ns, struct engine_request *request);
void request_fail(struct namespace *ns, struct engine_request *request, int code,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Finish when `ticket` is durable / written. */
void request_when_durable(struct namespace *ns, struct engine_request *request, uint64_t ticket);
void request_when_written(struct namespace *ns, struct engine_request *request, uint64_t ticket);
/* Watermarks moved: finish who waited. */
void namespace_written(struct namespace *ns);
void namespace_durable(struct namespace *ns);

enum request_kind { REQUEST_APPEND = 1, REQUEST_READ = 2, REQUEST_COMMAND = 3 };

/* engine.c */
void engine_finished(struct engine *engine, struct engine_request *request);
uint64_t engine_random(struct engine *engine);
const struct engine_options *engine_options_of(const struct engine *engine);
struct io *engine_io(const struct engine *engine);

/* append.c */
/* Appends that wait may go on where what they wait for has come. */
void append_work(struct namespace *ns);
/* Refuse the appends of a topic that have waited for the quota until now, or are cancelled. */
void append_expire(struct topic *topic, uint64_t now_us);
/* Fail every append of a topic that is not staged. */
void append_fail_waiting(struct topic *topic, int code, const char *why);
/* Put the records for a new topic. NULL: err. */
struct topic *append_create_topic(struct namespace *ns, const char *name, size_t size,
                                  const struct engine_retention_rule *retention, uint64_t *ticket,
                                  struct error *err);

/* append_reserve.c */
/* Runs whose record became durable can be used. */
void append_runs_durable(struct namespace *ns);
/* An append that waited, by its number, is staged or refused: SYNCs behind it go on. (command.c) */
void sync_append_settled(struct namespace *ns, uint64_t waiting);

/* read.c */
/* The visible end of a topic moved: parked reads go on. */
void read_wake(struct topic *topic);
/* Parked reads whose time is up; and all of them with a code. */
void read_expire(struct namespace *ns);
void read_fail_all(struct namespace *ns, int code, const char *why);
/* Parked reads and those under way on a topic that is deleted. */
void read_fail_topic(struct topic *topic);
uint64_t read_deadline(const struct namespace *ns);

/* command.c */
/* Give up entries before `first`: trim record, and free records for blocks wholly before it.
 * Ticket. */
uint64_t topic_trim_to(struct topic *topic, uint64_t first);

/* cursor.c */
/* Move a cursor and record it as the consistency says; returns the ticket for cursor_answer(). */
uint64_t cursor_move(struct cursor *cursor, uint64_t offset);
/* Finish a request that moved a cursor, when its position is as safe as the consistency says. */
void cursor_answer(struct namespace *ns, struct engine_request *request, uint64_t ticket);
/* Find or create a cursor (record included) at an offset. NULL: err. */
struct cursor *cursor_get(struct topic *topic, const char *name, size_t size, bool create,
                          uint64_t offset, struct error *err);
/* At-least-once: record cursors whose time has come. */
void cursor_work(struct namespace *ns);
/* Record cursors whose position is not in the journal, all that there is room for (a clean
 * stop). */
void cursor_record_all(struct namespace *ns);
uint64_t cursor_deadline(const struct namespace *ns);

/* retention.c */
void retention_work(struct namespace *ns);

/* recovery.c: read manifests and journal, redo, and leave the namespace serving or refused. */
int recovery_run(struct namespace *ns, bool accept_loss, struct error *err);

/* What a batch, or what a topic gets in a turn, must have at least to go straight to its block. */
static inline uint32_t namespace_direct_threshold(const struct namespace *ns)
{
    return ns->settings.fsync_ms == ENGINE_FSYNC_EACH ? ns->options->direct_threshold_each
                                                      : ns->options->direct_threshold;
}

#endif
