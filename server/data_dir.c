#include "server/data_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/error.h"

#define PATH_SIZE 4096 /* Of the kernel */

/* All that is acknowledged as durable lies below this one name, and no sync of what lies below
 * covers it: a power cut could take the whole directory. 0, or an errno. */
static int sync_parent(const char *path)
{
    char parent[PATH_SIZE];
    const int size = snprintf(parent, sizeof parent, "%s/..", path);
    int fd;
    int rc;

    if (size < 0 || size >= (int)sizeof parent) {
        return ENAMETOOLONG;
    }
    fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    rc = fsync(fd) == 0 ? 0 : errno;
    (void)close(fd); /* Read-only */
    return rc;
}

int data_dir_prepare(const char *path, struct error *err)
{
    const bool made = mkdir(path, S_IRWXU) == 0;
    struct stat there;
    int rc;

    if (!made && errno != EEXIST) {
        return error_errno(err, errno, "create data directory \"%s\"", path);
    }
    if (stat(path, &there) != 0) {
        return error_errno(err, errno, "look at data directory \"%s\"", path);
    }
    if (!S_ISDIR(there.st_mode)) {
        return error_set(err, TUSK_EINVALID, "data directory \"%s\" is not a directory", path);
    }
    if (there.st_uid != geteuid()) {
        return error_set(err, TUSK_EINVALID,
                         "data directory \"%s\" belongs to user %lu, the daemon runs as %lu", path,
                         (unsigned long)there.st_uid, (unsigned long)geteuid());
    }
    if ((there.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return error_set(err, TUSK_EINVALID,
                         "data directory \"%s\" has mode %04o, it must be 0700: others could read "
                         "or change the data (chmod 0700)",
                         path, (unsigned)(there.st_mode & 07777));
    }
    /* One that was there may be left by a start that died here; but the directory above need not be
     * ours to open, and then its maker has seen to the name. */
    rc = sync_parent(path);
    return rc == 0 || !made ? 0 : error_errno(err, rc, "sync the directory above \"%s\"", path);
}

void data_dir_space(const char *path, uint64_t *size_bytes, uint64_t *available_bytes)
{
    struct statvfs space = {0};

    if (statvfs(path, &space) != 0) {
        space = (struct statvfs){0};
    }
    *size_bytes = (uint64_t)space.f_blocks * space.f_frsize;
    *available_bytes = (uint64_t)space.f_bavail * space.f_frsize;
}
