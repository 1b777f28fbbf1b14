/* A file system on a disk that is watched (disk.h): what block logs and disk errors have in common.
 *
 *     rig_open ---> { rig_unmount ---> change the disk ---> rig_mount }* ---> rig_close */
#ifndef TESTS_CRASH_RIG_H
#define TESTS_CRASH_RIG_H

#include "tests/crash/disk.h"
#include "tests/crash/mount.h"

struct rig {
    const struct mount_kind *kind;
    struct disk disk;
    struct mount_device device;
    char dir[256];
    char fuse[300];
    char mount[300];
    char data[320]; /* For the daemon */
};

/* Make the disk and the file system, and mount it, with a log begun. Exits 77 without FUSE. */
void rig_open(struct rig *rig, const struct mount_kind *kind);
/* False: the file system refuses. The device is attached then. */
bool rig_mount(struct rig *rig);
void rig_unmount(struct rig *rig);
/* Where it is not mounted. */
void rig_detach(struct rig *rig);
/* Not mounted any more. */
void rig_close(struct rig *rig);
/* Attached and not mounted: have the file system's own checker look; what it finds is a violation. */
void rig_check(struct rig *rig, const char *where);

#endif
