/* A block device whose every write and flush is seen, remembered, and failed on demand: one file of
 * a FUSE file system, below a loop device (mount.h).
 *
 *     disk_open ---> [mount_attach(disk.path)] load: each write and flush is an operation of the log
 *                \-> disk_state(n, ...): the image becomes that after operation n ---> attach again
 *                \-> disk_fail_*: the device answers EIO
 *
 * Image and log live in memory that this process shares with the FUSE server, its child. Everything
 * the kernel sends comes through one thread, in the order in which the device got it. A flush covers
 * all writes before it; between flushes a power cut may keep any subset of the writes, and of each
 * write any of its 4 KiB pages. */
#ifndef TESTS_CRASH_DISK_H
#define TESTS_CRASH_DISK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/sim/random.h"

struct disk_operation {
    uint64_t offset;
    uint64_t data; /* Where its bytes are in the log's data */
    uint32_t size; /* 0: a flush */
};

/* Shared with the server. */
struct disk_shared {
    atomic_ulong operations; /* In the log */
    atomic_bool record;      /* Writes and flushes go to the log */
    atomic_long writes_left; /* Until every write and flush fails; negative: never */
    atomic_ulong fail_begin; /* Writes that touch [fail_begin, fail_end) fail */
    atomic_ulong fail_end;
    atomic_long room;    /* Pages that may yet be written first; then ENOSPC. Negative: any */
    atomic_ulong failed; /* Operations that were answered with an error */
    atomic_bool full;    /* The log has no room; what came later is not in it */
    uint64_t size;
    uint64_t data_used;
};

struct disk {
    struct disk_shared *shared;
    uint8_t *image; /* What the device holds */
    uint8_t *base;  /* What it held after operation base_at */
    uint64_t base_at;
    uint8_t *dirty;                    /* Per page: the image differs from the base */
    struct disk_operation *operations; /* The log */
    uint8_t *data;                     /* Of its writes */
    pid_t server;
    char dir[256]; /* Where it is mounted */
    char path[300];
};

/* Serve a device of so many bytes at dir, which exists. False: there is no FUSE here, and *why says
 * what is missing. The mount is in the private mount namespace. */
bool disk_open(struct disk *disk, const char *dir, uint64_t size, const char **why);
void disk_close(struct disk *disk);
/* Forget the log, and begin another with what the device holds now. Nothing is attached. */
void disk_begin_log(struct disk *disk);
/* Make the image that of a power cut when `position` operations had reached the device: all writes
 * that a flush covers are there, and of those behind the last flush a random choice (each write:
 * there, not there, or some of its pages). keep_all: all of them are there. Positions only ascend.
 * Nothing is attached. */
void disk_state(struct disk *disk, uint64_t position, bool keep_all, struct random *random);
/* Everything that is written fails after so many writes; negative: heal. */
void disk_fail_after(struct disk *disk, int64_t writes);
void disk_fail_range(struct disk *disk, uint64_t begin, uint64_t end);
/* So many pages more can be written that were not written since the log began; then ENOSPC, as of a
 * thin volume. Negative: no limit. */
void disk_thin(struct disk *disk, int64_t pages);
uint64_t disk_failed(const struct disk *disk);

#endif
