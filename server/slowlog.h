/* The requests that took long, the last of them: a ring in memory.
 *
 *     slowlog_configure, at the start and at each reload ---> slowlog_add ---> slowlog_before, as
 *     it is asked for ---> slowlog_deinit
 *
 * An entry has the number that it was given for good, from 1 on, so that a list goes on where the
 * page before it ended, whatever was added meanwhile. Nothing is allocated but by
 * slowlog_configure().
 *
 * Elsewhere: which requests are noted, and who may be told of which (dispatch_slow.c). */
#ifndef SERVER_SLOWLOG_H
#define SERVER_SLOWLOG_H

#include <stdint.h>
#include <sys/types.h>

#include "server/limits.h"

#define SLOWLOG_NAME_SIZE 256u /* Of a namespace, a topic: what the engine allows, and a NUL */
#define SLOWLOG_OFF UINT64_MAX

/* Where the time went: their sum is how long it took. */
struct slow_times {
    uint64_t waited_us; /* Until it had its place: for space, a quota, offsets, the journal */
    uint64_t queued_us; /* From there until the turn that wrote it, or the sync it needed, began */
    uint64_t worked_us; /* Writing, reading, and everything else that was done then */
    uint64_t synced_us; /* The sync that it needed */
};

struct slow_entry {
    uint64_t number; /* 0: forgotten */
    uint64_t wall_us;
    struct slow_times times;
    uint64_t entries; /* 0 where they are not known, here and below */
    uint64_t bytes;
    uint16_t type;
    uint16_t status; /* 0, or a number of proto/status.h */
    uid_t uid;       /* Of the client; (uid_t)-1: it had gone */
    pid_t pid;       /* 0: likewise */
    char client[CLIENT_NAME_SIZE];
    char space[SLOWLOG_NAME_SIZE];
    char topic[SLOWLOG_NAME_SIZE];
};

struct slowlog {
    struct slow_entry *ring; /* Owned; entry n is at (n - 1) % size. NULL when size is 0 */
    uint32_t size;
    uint64_t count;        /* Noted since the start: the number of the last one */
    uint64_t threshold_us; /* What takes longer is noted; SLOWLOG_OFF: nothing is */
    uint64_t ready_us;     /* When the replies of this turn are ready; 0: not looked at yet */
};

/* Take on options: a threshold (0: off), and how many entries are kept, the last ones of those
 * that are there among them. Without memory it stays as it was, and the log says so. */
void slowlog_configure(struct slowlog *log, uint64_t threshold_ms, uint64_t entries);
/* The ring is freed. A zeroed *log is allowed. */
void slowlog_deinit(struct slowlog *log);

/* Replies that follow are ready later than those before. */
static inline void slowlog_turn(struct slowlog *log)
{
    log->ready_us = 0;
}

/* Count one more, and return it, with nothing but its number in it, to be filled. NULL: none are
 * kept. The oldest goes when there is no room. */
struct slow_entry *slowlog_add(struct slowlog *log);
/* The last entry whose number is smaller than `before` (0: any); NULL: there is none. Its number
 * set to 0 forgets it. */
struct slow_entry *slowlog_before(const struct slowlog *log, uint64_t before);

#endif
