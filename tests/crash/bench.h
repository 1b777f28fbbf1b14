/* A file system on a disk that is watched (disk.h): what block logs and disk errors have in common.
 *
 *     bench_open ---> { bench_unmount ---> change the disk ---> bench_mount }* ---> bench_close */
#ifndef TESTS_CRASH_BENCH_H
#define TESTS_CRASH_BENCH_H

#include "tests/crash/disk.h"
#include "tests/crash/mount.h"

struct bench {
    const struct mount_kind *kind;
    struct disk disk;
    struct mount_device device;
    char dir[256];
    char fuse[300];
    char mount[300];
    char data[320]; /* For the daemon */
};

/* Make the disk and the file system, and mount it, with a log begun. Exits 77 without FUSE. */
void bench_open(struct bench *bench, const struct mount_kind *kind);
/* False: the file system refuses. The device is attached then. */
bool bench_mount(struct bench *bench);
void bench_unmount(struct bench *bench);
/* Where it is not mounted. */
void bench_detach(struct bench *bench);
/* Not mounted any more. */
void bench_close(struct bench *bench);
/* Attached and not mounted: have the file system's own checker look; what it finds is a violation. */
void bench_check(struct bench *bench, const char *where);

#endif
