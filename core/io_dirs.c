/* Names beneath the data directory, and the lock on it: see io_files.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/check.h"
#include "core/error.h"
#include "core/io_files.h"

#define PID_TEXT_SIZE 24

struct disk_lock {
    struct disk_lock *next;
    int fd; /* The lock lasts as long as this is open */
};

int disk_make_dir(struct io *io, const char *path, struct error *err)
{
    int rc = disk_check_path(path, err);

    CHECK(path != NULL);
    CHECK(disk_of(io)->root.fd >= 0);
    if (rc != 0) {
        return rc;
    }
    rc = io_call_make_dir(&disk_of(io)->root, path);
    return rc == 0 ? 0 : disk_fail(err, rc, "make directory", path);
}

int disk_remove_dir(struct io *io, const char *path, struct error *err)
{
    int rc = disk_check_path(path, err);

    CHECK(path != NULL);
    CHECK(disk_of(io)->root.fd >= 0);
    if (rc != 0) {
        return rc;
    }
    rc = io_call_remove_dir(&disk_of(io)->root, path);
    return rc == 0 ? 0 : disk_fail(err, rc, "remove directory", path);
}

int disk_sync_dir(struct io *io, const char *path, struct error *err)
{
    int rc = path[0] == '\0' ? 0 : disk_check_path(path, err);

    CHECK(path != NULL);
    CHECK(disk_of(io)->root.fd >= 0);
    if (rc != 0) {
        return rc;
    }
    rc = io_call_sync_dir(&disk_of(io)->root, path);
    return rc == 0 ? 0 : disk_fail(err, rc, "sync directory", path);
}

int disk_rename(struct io *io, const char *from, const char *to, struct error *err)
{
    int rc = disk_check_path(from, err);

    CHECK(from != NULL);
    CHECK(to != NULL);
    CHECK(disk_of(io)->root.fd >= 0);
    if (rc == 0) {
        rc = disk_check_path(to, err);
    }
    if (rc != 0) {
        return rc;
    }
    rc = io_call_rename(&disk_of(io)->root, from, to);
    if (rc == 0) {
        return 0;
    }
    (void)disk_fail(err, rc, "to", to);
    (void)error_wrap(err, "rename %s", from);
    return disk_code_of(rc);
}

int disk_unlink(struct io *io, const char *path, struct error *err)
{
    int rc = disk_check_path(path, err);

    CHECK(path != NULL);
    CHECK(disk_of(io)->root.fd >= 0);
    if (rc != 0) {
        return rc;
    }
    rc = io_call_unlink(&disk_of(io)->root, path);
    return rc == 0 ? 0 : disk_fail(err, rc, "unlink", path);
}

static enum io_kind entry_kind(DIR *dir, const struct dirent *entry)
{
    struct stat st;

    CHECK(dir != NULL);
    CHECK(entry != NULL);
    if (entry->d_type == DT_REG) {
        return IO_KIND_FILE;
    }
    if (entry->d_type == DT_DIR) {
        return IO_KIND_DIRECTORY;
    }
    /* Some file systems do not say. A name that is gone by now is nobody's to read: other. */
    if (entry->d_type != DT_UNKNOWN ||
        fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return IO_KIND_OTHER;
    }
    if (S_ISREG(st.st_mode)) {
        return IO_KIND_FILE;
    }
    return S_ISDIR(st.st_mode) ? IO_KIND_DIRECTORY : IO_KIND_OTHER;
}

/* Returns what fn returned; *os_error is set where the listing itself failed. */
static int list_entries(DIR *dir, io_list_fn *fn, void *arg, int *os_error)
{
    const struct dirent *entry;
    int rc = 0;

    CHECK(dir != NULL);
    CHECK(fn != NULL);
    CHECK(*os_error == 0);
    while (rc == 0) {
        errno = 0;
        entry = readdir(dir);
        if (entry == NULL) {
            *os_error = errno;
            return 0;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            rc = fn(arg, entry->d_name, entry_kind(dir, entry));
        }
    }
    return rc;
}

int disk_list_dir(struct io *io, const char *path, io_list_fn *fn, void *arg, struct error *err)
{
    int rc = path[0] == '\0' ? 0 : disk_check_path(path, err);
    int os_error = 0;
    DIR *dir;
    int fd;

    CHECK(path != NULL);
    CHECK(fn != NULL);
    if (rc != 0) {
        return rc;
    }
    rc = io_call_open(&disk_of(io)->root, path, O_RDONLY | O_DIRECTORY, &fd);
    if (rc != 0) {
        return disk_fail(err, rc, "list", path);
    }
    CHECK(fd >= 0);
    dir = fdopendir(fd);
    if (dir == NULL) {
        rc = errno;
        (void)close(fd); /* Read-only */
        return disk_fail(err, rc, "list", path);
    }
    rc = list_entries(dir, fn, arg, &os_error);
    (void)closedir(dir); /* Read-only */
    return os_error == 0 ? rc : disk_fail(err, os_error, "list", path);
}

/* What the holder wrote into its lock, or 0. It may not have come to write it yet. */
static long read_pid(int fd)
{
    char text[PID_TEXT_SIZE] = "";
    size_t got;

    CHECK(fd >= 0);
    if (io_call_read(fd, (uint8_t *)text, sizeof text - 1, 0, &got) != 0) {
        return 0;
    }
    return strtol(text, NULL, 10);
}

static int write_pid(int fd)
{
    char text[PID_TEXT_SIZE];
    const int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    const struct iovec iov = {.iov_base = text, .iov_len = (size_t)size};
    const int rc = io_call_truncate(fd, 0);

    CHECK(fd >= 0);
    CHECK(size > 0);
    CHECK((size_t)size < sizeof text);
    return rc == 0 ? io_call_write(fd, &iov, 1, 0) : rc;
}

static int lock_refused(struct error *err, const char *path, long pid)
{
    CHECK(path != NULL);
    if (pid <= 0) {
        return error_set(err, TUSK_ELOCKED, "lock %s: data directory in use by another process",
                         path);
    }
    return error_set(err, TUSK_ELOCKED, "lock %s: data directory in use by process %ld", path, pid);
}

/* Lock the open file and put the process id into it. */
static int lock_take(int fd, const char *path, struct error *err)
{
    struct stat st;
    int rc;

    CHECK(fd >= 0);
    CHECK(path != NULL);
    if (fstat(fd, &st) != 0) {
        return disk_fail(err, errno, "lock", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return error_set(err, TUSK_EINVALID, "lock %s: not a regular file", path);
    }
    do {
        rc = flock(fd, LOCK_EX | LOCK_NB);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        return errno == EWOULDBLOCK ? lock_refused(err, path, read_pid(fd))
                                    : disk_fail(err, errno, "lock", path);
    }
    rc = write_pid(fd);
    if (rc == ENOSPC || rc == EDQUOT) {
        rc = 0; /* It tells a person who holds the lock; a full disk must not keep a store closed */
    }
    return rc == 0 ? 0 : disk_fail(err, rc, "write the process id to lock", path);
}

/* Who only looks at a store shares the lock (io_readonly.h); the process id in it is an old
 * daemon's. */
static int say_who_looks(int fd, const char *path, struct error *err)
{
    return flock(fd, LOCK_SH | LOCK_NB) == 0
               ? error_set(err, TUSK_ELOCKED,
                           "lock %s: data directory is being looked at by tusk verify, dump or "
                           "salvage",
                           path)
               : TUSK_ELOCKED;
}

int disk_lock(struct io *io, const char *path, struct error *err)
{
    const int flags = O_RDWR | O_CREAT | O_NONBLOCK | O_NOCTTY;
    struct disk *disk = disk_of(io);
    struct disk_lock *lock;
    int rc = disk_check_path(path, err);

    CHECK(path != NULL);
    CHECK(disk->root.fd >= 0);
    if (rc != 0) {
        return rc;
    }
    lock = malloc(sizeof *lock);
    if (lock == NULL) {
        return error_set(err, TUSK_ENOMEM, "lock %s: out of memory", path);
    }
    rc = io_call_open(&disk->root, path, flags, &lock->fd);
    if (rc != 0) {
        free(lock);
        return disk_fail(err, rc, "lock", path);
    }
    rc = lock_take(lock->fd, path, err);
    if (rc == TUSK_ELOCKED) {
        rc = say_who_looks(lock->fd, path, err);
    }
    if (rc != 0) {
        (void)close(lock->fd); /* Holds nothing, or a process id that means nothing unlocked */
        free(lock);
        return rc;
    }
    lock->next = disk->locks;
    disk->locks = lock;
    return 0;
}

void disk_unlock_all(struct disk *disk)
{
    CHECK(disk != NULL);
    while (disk->locks != NULL) {
        struct disk_lock *lock = disk->locks;

        CHECK(lock->fd >= 0);
        disk->locks = lock->next;
        (void)close(lock->fd); /* Drops the lock; the file stays, as its name is the lock's */
        free(lock);
    }
}
