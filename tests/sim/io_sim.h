/* A simulated disk, and a struct io on it: the disk fails, tears, reorders and loses power, and
 * does all of it again from the same seed.
 *
 *     sim_disk_new --> io_sim_open --> engine runs --> power cut or process crash
 *                          ^                                   |
 *                          +--- io_close <--- engine closed <--+      ... sim_disk_free
 *
 * The disk outlives every io opened on it. From a crash on, every operation of the ios open at that
 * moment fails with TUSK_EIO (what was submitted completes so in the next poll); closing files and
 * the io itself still works. A new io sees what the crash left.
 *
 * What is modelled, and after what:
 *
 * - A file has two images: what the page cache says and what the device holds, in sectors of 512
 *   bytes. A write changes the cache; each sector remembers the versions written since its last
 *   sync (up to SIM_VERSIONS). A sync makes durable, per sector, the version that was current when
 *   the sync was *submitted*. Until then the kernel may write any sector in any order (fsync(2),
 *   sync_file_range(2)), so a power cut decides for each by itself: old, any pending version, or
 *   torn inside the sector. Size changes are pending in the same way.
 * - Names are apart from data (fsync(2): a file's fsync does not cover its directory entry):
 *   create, rename, unlink, make_dir and remove_dir are pending until sync_dir() of the directory,
 *   which makes its operations durable in order. A power cut keeps or drops each by itself where
 *   that is consistent: harsher than the ordered journal of ext4, so nothing relies on it. A rename
 *   is atomic; one of a file whose creation is lost leaves neither name. A rename between
 *   directories becomes durable, with everything before it, when either is synced.
 * - A failed fsync marks the pages clean all the same: the next one succeeds, the cache shows data
 *   that the device never got (effects SIM_LOSE and SIM_FAIL_PARTLY). io_read_direct() shows the
 *   device there, and the cache elsewhere, as O_DIRECT does (it writes dirty pages first; what it
 *   wrote can still be lost until a sync).
 * - Submitted operations run and complete in random order, after a random number of polls.
 *
 * Not modelled: permissions, symbolic links, hard links, times, garbage in sectors nobody wrote
 * (but see SIM_CUT_GARBAGE). Running out of memory here is a failed CHECK. Not thread-safe. */
#ifndef TESTS_SIM_IO_SIM_H
#define TESTS_SIM_IO_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct io;
struct sim_disk;

#define SIM_SECTOR 512u /* What a device writes in one piece, or tears */
#define SIM_CHUNK 4096u /* A page of the cache, and the unit in which space is taken */
#define SIM_VERSIONS 4u /* Pending versions remembered of one sector */

/* Operations, immediate or submitted alike. */
enum sim_kind {
    SIM_MAKE_DIR,
    SIM_REMOVE_DIR,
    SIM_LIST_DIR,
    SIM_SYNC_DIR,
    SIM_RENAME,
    SIM_UNLINK,
    SIM_LOCK,
    SIM_OPEN,
    SIM_CREATE, /* IO_OPEN_CREATE and IO_OP_CREATE */
    SIM_TRUNCATE,
    SIM_WRITE,
    SIM_READ_DIRECT,
    SIM_READ, /* IO_OP_READ */
    SIM_SYNC,
    SIM_ALLOCATE,
    SIM_PUNCH,
    /* The rest only touches memory; not in SIM_ALL, but may be named. */
    SIM_READ_CACHED,
    SIM_SIZE,
    SIM_WRITEBACK, /* Never fails */
    SIM_KIND_COUNT
};

#define SIM_BIT(kind) (1u << (unsigned)(kind))
#define SIM_ALL (SIM_BIT(SIM_READ_CACHED) - 1u)
#define SIM_READS                                                                                  \
    (SIM_BIT(SIM_LIST_DIR) | SIM_BIT(SIM_OPEN) | SIM_BIT(SIM_READ_DIRECT) | SIM_BIT(SIM_READ))
#define SIM_CHANGES (SIM_ALL & ~SIM_READS)

/* Life. */

/* An empty disk of unlimited size. Owned: sim_disk_free(). */
struct sim_disk *sim_disk_new(uint64_t seed);
/* Every io on it must be closed. NULL allowed. */
void sim_disk_free(struct sim_disk *disk);
/* A copy of both images, everything pending, settings, clock and random stream: it will act as the
 * original would. Left out: open ios and what they have submitted, locks, armed faults and cuts,
 * the trace. Allowed while the original runs. Owned. */
struct sim_disk *sim_disk_clone(const struct sim_disk *disk);
/* Start another random stream, so that clones of one state meet different fates. */
void sim_disk_seed(struct sim_disk *disk, uint64_t seed);
/* An io on the disk; cannot fail. Several may be open (two processes). Owned: io_close(). */
int io_sim_open(struct io **out, struct sim_disk *disk);

/* Crashes. */

/* What a power cut keeps of what is pending. */
enum sim_policy {
    SIM_CUT_RANDOM, /* Each sector, size and name by itself: old, any version, torn (the default) */
    SIM_CUT_DROP,   /* Nothing */
    SIM_CUT_KEEP,   /* Everything, newest */
    SIM_CUT_FORWARD, /* What was written up to a random moment */
    SIM_CUT_REVERSE, /* What was written after a random moment */
    SIM_CUT_FILES,   /* All or nothing of each file; each name by itself */
    SIM_CUT_GARBAGE, /* As RANDOM; also arbitrary bytes where a chunk held nothing durable */
    SIM_POLICY_COUNT
};

/* True: this pending thing never reaches the device before it is synced. kind is SIM_WRITE for one
 * sector (at offset), SIM_TRUNCATE for the size of a file (offset: the new one), or the kind of a
 * pending name, whose path is its new one. path is "" for a file that has no name any more. */
typedef bool sim_delay_fn(void *arg, const char *path, uint64_t offset, enum sim_kind kind);

void sim_disk_set_policy(struct sim_disk *disk, enum sim_policy policy);
/* Cuts then drop what fn holds back and keep all else, whatever the policy: proves that an order of
 * durability is enforced, not lucky. fn is asked once per pending thing, in an order that depends
 * only on the calls made, so a counter in arg enumerates every subset. NULL: by policy again. */
void sim_disk_set_delay(struct sim_disk *disk, sim_delay_fn *fn, void *arg);
/* How many things a cut would decide about now. */
uint64_t sim_disk_pending(const struct sim_disk *disk);

/* The machine loses power now. The cache is gone, the device is what the policy left. */
void sim_disk_power_cut(struct sim_disk *disk);

enum sim_moment {
    SIM_BEFORE, /* The operation has no effect */
    SIM_AMID,   /* Each sector of it by itself, or for a name a coin; then the cut as above */
};
/* Cut the power at the nth operation (1: the next) of those kinds. nth 0 disarms. */
void sim_disk_cut_at(struct sim_disk *disk, unsigned kinds, uint64_t nth, enum sim_moment moment);
/* The process dies (SIGKILL): cache and pending stay, descriptors and locks go. Of the submitted
 * operations that did not run yet each one may run or vanish. */
void sim_disk_process_crash(struct sim_disk *disk);
/* fn is called right before each operation of any kind, where a cut by SIM_BEFORE would come: it may clone
 * the disk, arm faults or cut the power. NULL: none. Clones have none. */
typedef void sim_watch_fn(void *arg, struct sim_disk *disk, enum sim_kind kind);
void sim_disk_set_watch(struct sim_disk *disk, sim_watch_fn *fn, void *arg);
/* A crash of either kind happened, and no io was opened since. */
bool sim_disk_is_down(const struct sim_disk *disk);
/* Make everything pending durable, as a clean unmount does. */
void sim_disk_settle(struct sim_disk *disk);
/* Forget clean pages, as the kernel may at any time: what a failed sync lost now reads old. */
void sim_disk_drop_cache(struct sim_disk *disk);

/* Faults. */

enum sim_effect {
    SIM_FAIL,        /* The error, and no effect; what was dirty stays dirty */
    SIM_FAIL_PARTLY, /* The error, and a random part of the effect. A sync: some sectors became
                        durable, the others are lost, and all pages are clean */
    SIM_LOSE,        /* A sync (or ALLOCATE's): the error, nothing durable, all pages clean, so that
                        the next sync succeeds and lies. For other kinds as SIM_FAIL */
    SIM_FAIL_FIRST, /* A write: the error, and its first byte is there. For other kinds as SIM_FAIL */
    SIM_FAIL_HALF, /* The same, and its first half */
    SIM_LIE,       /* Success without effect: a drive that ignores flushes, a lost write. A read,
                        an open, a create and a lock happen all the same */
};
/* From now on the nth operation (1: the next) of those kinds fails with os_error (an errno), once
 * or from then on. Up to SIM_FAULTS armed at once; an op that fires two takes the first. */
#define SIM_FAULTS 8u
void sim_disk_fail(struct sim_disk *disk, unsigned kinds, uint64_t nth, bool from_then_on,
                   int os_error, enum sim_effect effect);
/* How many operations have met a fault so far (cuts not counted). */
uint64_t sim_disk_fired(const struct sim_disk *disk);
void sim_disk_clear_faults(struct sim_disk *disk);

/* Room on the device, in bytes; UINT64_MAX at first. A file or directory takes a chunk, and so does
 * each chunk of a file that was written or allocated. What does not fit is ENOSPC; of a write the
 * part that fits is done. Overwriting allocated space never fails. Lowering frees nothing. */
void sim_disk_set_capacity(struct sim_disk *disk, uint64_t bytes);
uint64_t sim_disk_used(const struct sim_disk *disk);
/* Device reads that touch the range fail with EIO, until cleared; cached reads stop before it with
 * TUSK_EBUSY. The file must exist. Up to SIM_UNREADABLE ranges. */
#define SIM_UNREADABLE 16u
void sim_disk_set_unreadable(struct sim_disk *disk, const char *path, uint64_t offset,
                             uint64_t size);
void sim_disk_clear_unreadable(struct sim_disk *disk);

/* What io_send() writes to: bytes taken, or a negative errno. NULL, as at first: it is not supported. */
typedef int sim_send_fn(void *arg, int socket_fd, const void *data, size_t size);
void sim_disk_set_send(struct sim_disk *disk, sim_send_fn *send, void *arg);

/* Files handed on to other processes. What io_share() does: the file is fn's, until
 * sim_shared_drop(); fn returns a descriptor, or a negative errno. It is named by a number that
 * depends only on the calls made. NULL, as at first: it is not supported. */
typedef int sim_share_fn(void *arg, uint32_t file);
void sim_disk_set_share(struct sim_disk *disk, sim_share_fn *share, void *arg);
/* Once more: as often as it was given and kept it is dropped. Until then there are its bytes, with a
 * name or without, and over every crash. */
void sim_shared_keep(struct sim_disk *disk, uint32_t file);
void sim_shared_drop(struct sim_disk *disk, uint32_t file);
/* What a map of the file shows at offset: what the page cache says. Fewer than size bytes: behind
 * them the file ends, and touching the map is a fault. */
size_t sim_shared_read(const struct sim_disk *disk, uint32_t file, uint64_t offset, uint8_t *data,
                       size_t size);

/* Timing. */

/* How often in a hundred io_read_cached() says TUSK_EBUSY, and stops early (at a page). 10. What was
 * asked for by io_read_ahead() is in memory, the last few times. */
void sim_disk_set_cold(struct sim_disk *disk, unsigned percent);
/* How often in a hundred a poll moves a submitted operation on: once to run, once to complete. 50;
 * with 0 only io_wait() completes anything, with 100 the first poll completes everything. */
void sim_disk_set_pace(struct sim_disk *disk, unsigned percent);
/* The longest an operation takes on the virtual clock: 20 us, and 2,000 us where it syncs. */
void sim_disk_set_latency(struct sim_disk *disk, uint32_t op_us_max, uint32_t sync_us_max);
/* The virtual clock. Only operations and sim_disk_advance() move it. */
uint64_t sim_disk_now_us(const struct sim_disk *disk);
void sim_disk_advance(struct sim_disk *disk, uint64_t us);

/* Damage and inspection, for a disk no engine runs on. Changes go to both images and count as
 * durable. Paths are those of the cache; a missing file is a failed CHECK unless said. */

bool sim_disk_exists(const struct sim_disk *disk, const char *path);
/* What the device holds: a copy, owned by the caller (free()), never NULL; *size its size. */
uint8_t *sim_disk_file(const struct sim_disk *disk, const char *path, uint64_t *size);
/* bit 0 is the lowest of the byte at 0. */
void sim_disk_flip_bit(struct sim_disk *disk, const char *path, uint64_t bit);
/* Beyond the end it extends the file. */
void sim_disk_overwrite(struct sim_disk *disk, const char *path, uint64_t offset, const void *data,
                        size_t size);
void sim_disk_zero(struct sim_disk *disk, const char *path, uint64_t offset, size_t size);
/* A misdirected or stale write: bytes of one place appear at another. Overlap allowed. */
void sim_disk_copy(struct sim_disk *disk, const char *from, uint64_t from_offset, const char *to,
                   uint64_t to_offset, size_t size);
/* Cut off, or extend with zeros. */
void sim_disk_resize(struct sim_disk *disk, const char *path, uint64_t size);
typedef void sim_file_fn(void *arg, const char *path, uint64_t size);
/* Every file, by its durable name with its durable size, each directory in creation order. */
void sim_disk_list(const struct sim_disk *disk, sim_file_fn *fn, void *arg);
/* Of all durable names, sizes and bytes. Equal for equal content, however it came about. */
uint64_t sim_disk_hash(const struct sim_disk *disk);

/* Records. */

/* Operations of those kinds so far, so that a second run can cut at each of them. */
uint64_t sim_disk_operations(const struct sim_disk *disk, unsigned kinds);
/* Of every operation so far with its arguments and result: equal runs have equal ones. */
uint64_t sim_disk_trace_hash(const struct sim_disk *disk);
/* Remember the last count operations; 0 (at first) remembers none. */
void sim_disk_set_trace(struct sim_disk *disk, unsigned count);
void sim_disk_print_trace(const struct sim_disk *disk, FILE *out);

#endif
