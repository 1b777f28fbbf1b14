/* tusk_soak: a daemon lives long, and takes no more than it took at first.
 *
 *     tusk_soak [--ops N] [--seed N] [--small] [--verbose]
 *
 * One life of a real daemon with small blocks; clients append, read, consume, trim, delete and
 * leave (work.h). An operation is an entry appended, an entry read and checked, or another
 * request; with --small, where batches are, most are requests. After every so many of them
 * everything is brought back to the same small state, and /proc, the disk and STATS are looked at.
 * The looks of the warm-up, a quarter of the whole, say what there is; behind it nothing may grow
 * beyond the bounds below. SIGINT and SIGTERM end it early, with a last look. The last line says
 * what was done; the figures before "then" are those of the warm-up, and descriptors are those of
 * no file. Exit status 1: something grew, or was not as promised; the daemon's log is printed, and
 * its directory kept. */
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/soak/watch.h"
#include "tests/soak/work.h"
#include "tests/support/daemon.h"

#define LOOKS 25u             /* At least so many, evenly */
#define WARM_UP_MAX 20000000u /* Operations */
#define WARM_UP_LOOKS 5u      /* At least so many of them are of the warm-up */

/* total_bytes_max of the daemon here: what its connections have under way. The allocator keeps
 * what the fullest moment took, in pieces, and a fuller moment may come late. Over 10^8 operations
 * it is what a byte lost in every sixth would come to; 3 MiB were seen. */
#define RESIDENT_KIB_MORE (16u * 1024)
/* The process of the connection that stays, which is watched from its first mapped read on. */
#define DESCRIPTORS_MORE 1u
/* Journal files, of 512 KiB each at first; the directories, the lock and the log. */
#define FILES_MORE (16 * 1024 / 512 + 16)
/* Of each lasting topic the one it appends to, and one that waits to be sealed. */
#define BLOCKS_MAX (2 * WORK_LASTING)
/* 16 MiB of journal, as much again for its files that are ahead, spare or half used, and 64
 * blocks: those in use, those that keep their space while free, and what a sparse file adds. */
#define DISK_KIB_MAX (48u * 1024)

struct look {
    struct watch daemon;
    struct watch self; /* This process: what libtusk takes */
    uint64_t disk_kib;
    uint64_t segments;
    uint64_t blocks_used;
    uint64_t buffer_bytes;
    uint64_t requests; /* That the daemon has had */
};

struct soak {
    struct daemon daemon;
    struct work work;
    uint64_t goal;
    bool small;
    bool verbose;
    struct look warm; /* The most of the warm-up */
    struct look last;
    unsigned looks;
    unsigned judged; /* Behind the warm-up */
};

static struct soak soak;
static volatile sig_atomic_t interrupted;

_Noreturn void work_broken(const char *format, ...)
{
    char line[DAEMON_LINE_SIZE];
    va_list args;
    FILE *log = fopen(soak.daemon.log, "r");

    while (log != NULL && fgets(line, sizeof line, log) != NULL) {
        (void)fputs(line, stdout);
    }
    va_start(args, format);
    (void)printf("BROKEN PROMISE: ");
    (void)vprintf(format, args);
    va_end(args);
    (void)printf("\nsoak: seed %" PRIu64 ", after %" PRIu64 " operations; kept: %s\n",
                 soak.work.seed, work_operations(&soak.work), soak.daemon.dir);
    exit(1);
}

static void take_look(struct look *look)
{
    struct work *work = &soak.work;

    look->segments = work_stat(work, "segments");
    look->blocks_used = work_stat(work, "blocks_used");
    look->buffer_bytes = work_stat(work, "buffer_bytes");
    look->requests = work_stat(work, "requests");
    if (!watch_process(soak.daemon.pid, &look->daemon) || !watch_process(getpid(), &look->self) ||
        !watch_directory(soak.daemon.data_dir, &look->disk_kib)) {
        work_broken("the daemon cannot be looked at");
    }
}

static void print_look(const struct look *look)
{
    (void)printf("%12" PRIu64 " operations: resident %" PRIu64 " KiB (peak %" PRIu64
                 "), descriptors %" PRIu64 ", files %" PRIu64 ", disk %" PRIu64
                 " KiB, segments %" PRIu64 ", blocks %" PRIu64 ", buffers %" PRIu64
                 "; client: resident %" PRIu64 " KiB, descriptors %" PRIu64 "\n",
                 work_operations(&soak.work), look->daemon.resident_kib, look->daemon.peak_kib,
                 look->daemon.descriptors, look->daemon.files, look->disk_kib, look->segments,
                 look->blocks_used, look->buffer_bytes, look->self.resident_kib,
                 look->self.descriptors);
    (void)fflush(stdout);
}

/* ---- bounds ---- */

static void most(uint64_t *kept, uint64_t value)
{
    *kept = value > *kept ? value : *kept;
}

static void expect_at_most(const char *what, uint64_t value, uint64_t bound)
{
    if (value > bound) {
        work_broken("%s: %" PRIu64 ", at most %" PRIu64, what, value, bound);
    }
}

/* What holds from the first look on. */
static void expect_small(const struct look *look)
{
    expect_at_most("blocks in use", look->blocks_used, BLOCKS_MAX);
    expect_at_most("segments", look->segments, look->blocks_used + 2);
    expect_at_most("files open", look->daemon.files, look->segments + FILES_MORE);
    expect_at_most("KiB on the disk", look->disk_kib, DISK_KIB_MAX);
}

/* What holds behind the warm-up. */
static void expect_no_growth(const struct look *look)
{
    const struct look *warm = &soak.warm;

    if (!TUSK_TEST_SANITIZED) { /* They keep what was freed, and add to everything */
        expect_at_most("KiB resident", look->daemon.resident_kib,
                       warm->daemon.resident_kib + RESIDENT_KIB_MORE);
        expect_at_most("KiB resident in the client", look->self.resident_kib,
                       warm->self.resident_kib + RESIDENT_KIB_MORE);
    }
    expect_at_most("descriptors", look->daemon.descriptors,
                   warm->daemon.descriptors + DESCRIPTORS_MORE);
    expect_at_most("files open in the client", look->self.files, warm->self.files);
    expect_at_most("descriptors of the client", look->self.descriptors, warm->self.descriptors);
    expect_at_most("bytes of buffers", look->buffer_bytes, warm->buffer_bytes);
}

static void look_at_it(void)
{
    const uint64_t warm_up = soak.goal / 4 < WARM_UP_MAX ? soak.goal / 4 : WARM_UP_MAX;
    struct look *look = &soak.last;

    work_settle(&soak.work);
    take_look(look);
    soak.looks++;
    if (soak.verbose) {
        print_look(look);
    }
    expect_small(look);
    if (work_operations(&soak.work) > warm_up) {
        expect_no_growth(look);
        soak.judged++;
        return;
    }
    most(&soak.warm.daemon.resident_kib, look->daemon.resident_kib);
    most(&soak.warm.daemon.descriptors, look->daemon.descriptors);
    most(&soak.warm.self.files, look->self.files);
    most(&soak.warm.self.resident_kib, look->self.resident_kib);
    most(&soak.warm.self.descriptors, look->self.descriptors);
    most(&soak.warm.buffer_bytes, look->buffer_bytes);
}

/* ---- the whole ---- */

static void start_daemon(void)
{
    /* Small, so that everything is used up and used again within a second. */
    static const char *const options[] = {
        "--set",   "block_size=256KiB",
        "--set",   "blocks_per_segment=8",
        "--set",   "batch_size_max=200KiB",
        "--set",   "entry_size_max=200KiB",
        "--set",   "journal_file_max=4MiB",
        "--set",   "journal_size_max=16MiB",
        "--set",   "ring_size=4MiB",
        "--set",   "total_bytes_max=16MiB",
        "--fsync", "20ms",
        NULL,
    };

    daemon_init(&soak.daemon);
    daemon_start_with(&soak.daemon, options);
}

static void stop_daemon(void)
{
    work_close(&soak.work);
    daemon_stop(&soak.daemon);
    daemon_deinit(&soak.daemon);
}

static void run(uint64_t seed)
{
    const uint64_t step = soak.goal / LOOKS < WARM_UP_MAX / WARM_UP_LOOKS
                              ? soak.goal / LOOKS
                              : WARM_UP_MAX / WARM_UP_LOOKS;
    uint64_t next = 0;
    uint64_t operations = 0;

    start_daemon();
    work_open(&soak.work, seed, soak.small, soak.daemon.socket);
    while (operations < soak.goal && !interrupted) {
        if (operations >= next) {
            look_at_it();
            next += step;
        }
        work_turn(&soak.work);
        operations = work_operations(&soak.work);
    }
    look_at_it();
}

static void interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

static bool parse(int argc, char **argv, uint64_t *seed)
{
    int i;

    for (i = 1; i < argc; i++) {
        uint64_t *const to = strcmp(argv[i], "--seed") == 0  ? seed
                             : strcmp(argv[i], "--ops") == 0 ? &soak.goal
                                                             : NULL;
        char *end;

        if (strcmp(argv[i], "--verbose") == 0 || strcmp(argv[i], "--small") == 0) {
            *(argv[i][2] == 'v' ? &soak.verbose : &soak.small) = true;
            continue;
        }
        if (to == NULL || i + 1 == argc) {
            return false;
        }
        *to = strtoull(argv[++i], &end, 10);
        if (*end != '\0') {
            return false;
        }
    }
    return soak.goal >= LOOKS;
}

int main(int argc, char **argv)
{
    const struct work_counts *counts = &soak.work.counts;
    uint64_t seed = 1;

    soak.goal = 500000;
    if (!parse(argc, argv, &seed)) {
        (void)fprintf(stderr, "usage: tusk_soak [--ops N] [--seed N] [--small] [--verbose]\n");
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGINT, interrupt);
    (void)signal(SIGTERM, interrupt);
    (void)printf("seed %" PRIu64 "\n", seed);
    run(seed);
    (void)printf("soak: seed %" PRIu64 "%s, %" PRIu64 " operations in one life (%" PRIu64
                 " entries appended, %" PRIu64 " read, %" PRIu64 " others; %" PRIu64
                 " requests in all); resident %" PRIu64 " KiB, then %" PRIu64
                 "; descriptors %" PRIu64 ", then %" PRIu64 "; disk %" PRIu64
                 " KiB; %u looks, %u judged; 0 violations\n",
                 seed, soak.small ? ", small" : "", work_operations(&soak.work), counts->appended,
                 counts->read, counts->requests, soak.last.requests, soak.warm.daemon.resident_kib,
                 soak.last.daemon.resident_kib, soak.warm.daemon.descriptors,
                 soak.last.daemon.descriptors, soak.last.disk_kib, soak.looks, soak.judged);
    stop_daemon();
    return 0;
}
