#include "server/data_dir.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"

int data_dir_prepare(const char *path, struct error *err)
{
    struct stat there;

    if (mkdir(path, S_IRWXU) != 0 && errno != EEXIST) {
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
    return 0;
}
