#include "tests/crash/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/report.h"

#define ATTACH_TRIES 50
#define UNMOUNT_TRIES 500
/* FS_IOC_SHUTDOWN, and its way of not even flushing the journal; no header exports them. */
#define SHUTDOWN_REQUEST _IOR('X', 125, uint32_t)
#define SHUTDOWN_NO_FLUSH 2u
#define EXT4 "mkfs.ext4 -q -F -m 0 -E lazy_itable_init=0,lazy_journal_init=0,nodiscard "

static const struct mount_kind kinds[] = {
    {"ext4", "ext4", EXT4 "-J size=8 %s", "e2fsck -fn %s", "data=ordered", 192},
    {"ext4-writeback", "ext4", EXT4 "-J size=8 %s", "e2fsck -fn %s", "data=writeback", 192},
    /* Nothing orders its metadata: after a cut only e2fsck -y makes it mountable. */
    {"ext4-nojournal", "ext4", EXT4 "-O ^has_journal %s", "e2fsck -fy %s; test $? -lt 4", "", 192},
    {"xfs", "xfs", "mkfs.xfs -q -f -K %s", "xfs_repair -n %s", "", 320},
    {"btrfs", "btrfs", "mkfs.btrfs -q -f -K -m single -d single %s", "btrfs check --readonly %s",
     "", 320},
};

const struct mount_kind *mount_kind_find(const char *name)
{
    size_t i;

    for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

static bool kernel_knows(const char *type)
{
    char line[64];
    FILE *file = fopen("/proc/filesystems", "r");
    bool found = false;

    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        found = line[0] == '\t' && strcmp(line + 1, type) == 0;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return found || report_run("modprobe %s", type);
}

bool mount_kind_works(const struct mount_kind *kind, const char **why)
{
    int control;

    *why = "a private mount namespace takes root";
    if (!mount_private()) {
        return false;
    }
    *why = "there are no loop devices that can be used";
    control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0 || close(control) != 0) {
        return false;
    }
    *why = "the kernel does not know this file system";
    if (!kernel_knows(kind->type)) {
        return false;
    }
    *why = "its mkfs is not installed";
    return report_run("command -v mkfs.%s", kind->type);
}

bool mount_private(void)
{
    static bool done;

    if (!done) {
        done = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
               mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    }
    return done;
}

/* ---- devices ---- */

bool mount_attach(struct mount_device *device, const char *path)
{
    struct loop_config config = {.info.lo_flags = LO_FLAGS_AUTOCLEAR};
    const int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    const int file = open(path, O_RDWR | O_CLOEXEC);
    int try;

    device->fd = -1;
    config.fd = (uint32_t)file;
    for (try = 0; try < ATTACH_TRIES && control >= 0 && file >= 0 && device->fd < 0; try++) {
        const int number = ioctl(control, LOOP_CTL_GET_FREE);

        (void)snprintf(device->name, sizeof device->name, "/dev/loop%d", number);
        device->fd = open(device->name, O_RDWR | O_CLOEXEC);
        /* Somebody else may have taken it in between. */
        if (device->fd >= 0 && ioctl(device->fd, LOOP_CONFIGURE, &config) != 0) {
            (void)close(device->fd);
            device->fd = -1;
        }
    }
    if (control >= 0) {
        (void)close(control);
    }
    if (file >= 0) {
        (void)close(file);
    }
    return device->fd >= 0;
}

void mount_limit_requests(const struct mount_device *device, unsigned kib)
{
    char path[96];
    FILE *file;

    (void)snprintf(path, sizeof path, "/sys/block/%s/queue/max_sectors_kb", device->name + 5);
    file = fopen(path, "w");
    report_need(file != NULL && fprintf(file, "%u\n", kib) > 0 && fclose(file) == 0,
                "limit the requests of a loop device");
}

void mount_detach(struct mount_device *device)
{
    if (device->fd >= 0) {
        (void)ioctl(device->fd, LOOP_CLR_FD);
        (void)close(device->fd);
        device->fd = -1;
    }
}

bool mount_make_image(const char *path, uint64_t size_mib)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const bool good = fd >= 0 && ftruncate(fd, (off_t)(size_mib << 20)) == 0;

    if (fd >= 0) {
        (void)close(fd);
    }
    return good;
}

bool mount_make(const struct mount_kind *kind, const struct mount_device *device)
{
    char command[512];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(command, sizeof command, kind->make, device->name); /* From the table above */
#pragma GCC diagnostic pop
    return report_run("%s", command);
}

/* ---- mounts ---- */

bool mount_on(const struct mount_kind *kind, const struct mount_device *device, const char *dir)
{
    return mount(device->name, dir, kind->type, 0, kind->options) == 0 && chmod(dir, 0700) == 0;
}

bool mount_off(const char *dir)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    int try;

    for (try = 0; try < UNMOUNT_TRIES; try++) {
        if (umount2(dir, 0) == 0) {
            return true;
        }
        if (errno != EBUSY) {
            return false;
        }
        (void)nanosleep(&pause, NULL);
    }
    return false;
}

bool mount_cut_power(const char *dir, atomic_ulong *cuts)
{
    uint32_t how = SHUTDOWN_NO_FLUSH;
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done;

    if (fd < 0) {
        return false;
    }
    (void)atomic_fetch_add(cuts, 1);
    done = ioctl(fd, SHUTDOWN_REQUEST, &how) == 0;
    (void)close(fd);
    return done;
}
