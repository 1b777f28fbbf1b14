/* When to sync, and what that makes durable.
 *
 * One sync group at a time: it covers what `written` was when it began, and syncs every journal
 * file and every segment with direct writes up to there. When all of it has returned success,
 * `durable` moves, topics' and cursors' durable ends move, and who waited is answered. Any failure
 * stops the namespace at once: an fdatasync that failed is never repeated, because the next one
 * would succeed and lie (PostgreSQL's "fsyncgate"; fsync(2)). */
#ifndef CORE_FLUSHER_H
#define CORE_FLUSHER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/io.h"
#include "core/syncs.h"

struct namespace;
struct topic;
struct cursor;

#define FLUSHER_INLINE_US_MAX 400u /* Syncs slower than this leave the turn */
#define FLUSHER_INLINE_BYTES 65536u
#define FLUSHER_MARK_US 1000000u /* An idle journal writes its mark after this */

struct flusher {
    struct namespace *ns;
    uint64_t durable; /* Watermark */
    uint64_t marked;  /* Greatest durable mark that is itself durable */
    uint64_t covers;  /* What the group in flight makes durable */
    uint64_t covers_mark;
    uint64_t wanted;           /* Somebody waits for durable >= this */
    uint64_t dirty_since_us;   /* Monotonic; when something was first written behind `covers` */
    uint64_t syncing_since_us; /* dirty_since_us of the group in flight */
    uint64_t begun_us;         /* Monotonic; when the last group began */
    uint32_t took_us;          /* Of its syncs that have ended, the longest */
    uint64_t idle_since_us;    /* Monotonic; last flush that wrote something */
    uint64_t unsynced_bytes;   /* Written, not covered by a group begun */
    uint64_t syncing_bytes;    /* Covered by the group in flight */
    uint64_t covered_appends;  /* Of all ever stored, covered by a group begun */
    uint64_t syncing_appends;  /* Covered by the group in flight and by none before it */
    bool in_flight;
    bool watched; /* The group syncs segments: sync_watch is in use */
    bool awaits;  /* Its own syncs have ended; others that were under way have not */
    struct sync_watch sync_watch;
    uint64_t synced_ticket; /* What must have ended before the group is believed */
    unsigned pending;       /* Operations of the group not yet complete */
    int result;
    int os_error;
    struct io_op *ops; /* Owned; grown to what a group needs */
    unsigned op_capacity;
    uint32_t sync_us; /* Smoothed time of an inline sync */
    uint64_t groups;  /* Counters */
};

void flusher_init(struct flusher *flusher, struct namespace *ns, uint64_t durable);
void flusher_deinit(struct flusher *flusher);
/* Somebody waits until this ticket is durable. */
void flusher_want(struct flusher *flusher, uint64_t ticket);
/* `bytes` were written, by a flush or directly. */
void flusher_wrote(struct flusher *flusher, uint64_t bytes, uint64_t mono_us);
/* A topic's end moved / a cursor was recorded: include it in the next group. */
void flusher_topic(struct flusher *flusher, struct topic *topic);
void flusher_cursor(struct flusher *flusher, struct cursor *cursor);
/* Whether the unsynced window of schedule N ms is full, unsynced_bytes_max or twice N ms: appends
 * wait. */
bool flusher_full(const struct flusher *flusher);
/* Once a turn, behind the flush: begin a group if the schedule, the window or a waiter asks for
 * it. */
void flusher_work(struct flusher *flusher, uint64_t mono_us);
/* Whether the next flush would be followed by a sync at once. */
bool flusher_would_sync(const struct flusher *flusher);
/* When flusher_work() wants to be called. */
uint64_t flusher_deadline(const struct flusher *flusher);

#endif
