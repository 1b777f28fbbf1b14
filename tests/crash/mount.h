/* File systems of a test's own, on loop devices, in a private mount namespace: when the test dies,
 * however it dies, the kernel takes mounts and loop devices back.
 *
 *     mount_private ---> mount_attach (a file becomes a device) ---> mount_make
 *                   ---> { mount_on ---> mount_off }* ---> mount_detach */
#ifndef TESTS_CRASH_MOUNT_H
#define TESTS_CRASH_MOUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A kind of file system, and how it is made and mounted. */
struct mount_kind {
    const char *name;    /* "ext4", "ext4-writeback", "ext4-nojournal", "xfs", "btrfs" */
    const char *type;    /* For mount(2) */
    const char *make;    /* Command; %s is the device */
    const char *check;   /* Command that finds damage, %s is the device; or NULL */
    const char *options; /* For mount(2) */
    uint32_t size_mib;   /* Of a small one */
};

struct mount_device {
    char name[32]; /* "/dev/loopN" */
    int fd;        /* Keeps it; -1: none */
};

/* NULL: no such kind. */
const struct mount_kind *mount_kind_find(const char *name);
/* Whether this machine can make and mount it; else *why says what is missing. */
bool mount_kind_works(const struct mount_kind *kind, const char **why);
/* Mounts are this process's own from now on. False: not root, or a sandbox. */
bool mount_private(void);
/* A file becomes a block device. False: errno says why. */
bool mount_attach(struct mount_device *device, const char *path);
/* No request larger than so many KiB; 0: as it was. The loop driver acknowledges a write of which its
 * file took only a part, so a request must not be larger than what the file takes at once. */
void mount_limit_requests(const struct mount_device *device, unsigned kib);
void mount_detach(struct mount_device *device);
bool mount_make(const struct mount_kind *kind, const struct mount_device *device);
/* Mount at dir, which exists. */
bool mount_on(const struct mount_kind *kind, const struct mount_device *device, const char *dir);
/* Unmount, waiting for whoever is still in there. False: somebody stays. */
bool mount_off(const char *dir);
/* As if the power had failed under the file system. *cuts goes up just before: what is acknowledged
 * when it is higher does not count, because an fdatasync under way may be told that all is well
 * although its transaction was thrown away (XFS: the inode is not pinned any more); after a real
 * power cut there is nobody to acknowledge it. False: it cannot. */
bool mount_cut_power(const char *dir, atomic_ulong *cuts);
/* A sparse file. */
bool mount_make_image(const char *path, uint64_t size_mib);

#endif
