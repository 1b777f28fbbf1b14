#include "tests/support/loop.h"

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMMAND_SIZE 1024
/* FS_IOC_SHUTDOWN, and its way of not even flushing the journal; no header exports them. */
#define SHUTDOWN_REQUEST _IOR('X', 125, uint32_t)
#define SHUTDOWN_NO_FLUSH 2u

static bool run(const char *format, ...) __attribute__((format(printf, 1, 2)));

static bool run(const char *format, ...)
{
    char command[COMMAND_SIZE];
    va_list args;
    int size;

    va_start(args, format);
    size = vsnprintf(command, sizeof command, format, args);
    va_end(args);
    return size > 0 && size < COMMAND_SIZE && system(command) == 0;
}

/* Mounts of this process are its own from now on. */
static bool private_mounts(void)
{
    static bool done;

    if (!done) {
        done =
            unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    }
    return done;
}

bool loop_mount(const char *dir, unsigned size_mib, const char **why)
{
    *why = "a private mount namespace takes root";
    if (geteuid() != 0 || !private_mounts()) {
        return false;
    }
    *why = "mkfs.ext4 does not work here";
    if (mkdir(dir, 0700) != 0 || !run("truncate -s %uM '%s.img'", size_mib, dir) ||
        !run("mkfs.ext4 -q -F -m 0 '%s.img' >/dev/null 2>&1", dir)) {
        return false;
    }
    *why = "loop devices cannot be mounted here";
    if (!run("mount -o loop '%s.img' '%s' 2>/dev/null", dir, dir)) {
        return false;
    }
    return chmod(dir, 0700) == 0;
}

void loop_unmount(const char *dir)
{
    (void)umount2(dir, MNT_DETACH);
}

bool loop_cut_power(const char *dir)
{
    uint32_t how = SHUTDOWN_NO_FLUSH;
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done;

    if (fd < 0) {
        return false;
    }
    done = ioctl(fd, SHUTDOWN_REQUEST, &how) == 0;
    (void)close(fd);
    return done;
}
