#include "client/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_SIZE (1024u * 1024u)
#define PAGE_SIZE 4096u

/* One file under way. */
struct pair {
    const char *name;
    int from;
    int to;
    struct stat st; /* Of the original, when it was opened */
    uint64_t used;  /* Of it, what is copied */
};

__attribute__((format(printf, 3, 4))) static enum copy_result failed(struct copy *copy, int error,
                                                                     const char *format, ...)
{
    va_list args;

    copy->error = error;
    va_start(args, format);
    (void)vsnprintf(copy->text, sizeof copy->text, format, args);
    va_end(args);
    return COPY_FAILED;
}

static bool go_on(struct copy *copy, uint64_t bytes)
{
    copy->bytes += bytes;
    return copy->progress == NULL || copy->progress(copy->arg, bytes);
}

/* ---- byte by byte ---- */

static enum copy_result copy_range(struct copy *copy, const struct pair *pair, uint64_t at,
                                   uint64_t end)
{
    static char chunk[CHUNK_SIZE];

    while (at < end) {
        const size_t want = end - at < sizeof chunk ? (size_t)(end - at) : sizeof chunk;
        const ssize_t got = pread(pair->from, chunk, want, (off_t)at);
        ssize_t done = 0;

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return failed(copy, got == 0 ? EIO : errno, "cannot read \"%s\" at byte %llu: %s",
                          pair->name, (unsigned long long)at,
                          got == 0 ? "it has become shorter" : strerror(errno));
        }
        while (done < got) {
            const ssize_t put =
                pwrite(pair->to, chunk + done, (size_t)(got - done), (off_t)(at + (uint64_t)done));

            if (put < 0 && errno != EINTR) {
                return failed(copy, errno, "cannot write the copy of \"%s\": %s", pair->name,
                              strerror(errno));
            }
            done += put > 0 ? put : 0;
        }
        at += (uint64_t)got;
        if (!go_on(copy, (uint64_t)got)) {
            return COPY_STOPPED;
        }
    }
    return COPY_DONE;
}

/* What is data from `at` on: [*data, *hole). False: nothing more is. A file system that knows no
 * holes has none. */
static bool next_data(const struct pair *pair, uint64_t at, uint64_t *data, uint64_t *hole)
{
    const off_t found = lseek(pair->from, (off_t)at, SEEK_DATA);
    off_t end;

    if (found < 0) {
        *data = at;
        *hole = pair->used;
        return errno != ENXIO;
    }
    end = lseek(pair->from, found, SEEK_HOLE);
    *data = (uint64_t)found;
    *hole = end < 0 || (uint64_t)end > pair->used ? pair->used : (uint64_t)end;
    return *data < pair->used;
}

/* The file system makes the same bytes belong to both, until one of them is written: whole pages of
 * [at, end), but for the last one, which the original's writer may write again. Returns where it
 * ended. (ioctl_ficlonerange(2)) */
static uint64_t share(struct copy *copy, const struct pair *pair, uint64_t at, uint64_t end)
{
    struct file_clone_range range = {.src_fd = pair->from, .src_offset = at, .dest_offset = at};

    if (!copy->sharing || at % PAGE_SIZE != 0 || end - at < 2 * PAGE_SIZE) {
        return at;
    }
    range.src_length = (end - 1) / PAGE_SIZE * PAGE_SIZE - at;
    if (ioctl(pair->to, FICLONERANGE, &range) != 0) {
        copy->sharing = false; /* Asked once: one directory is one file system */
        return at;
    }
    copy->shared += range.src_length;
    return at + range.src_length;
}

static enum copy_result copy_data(struct copy *copy, const struct pair *pair)
{
    enum copy_result result = COPY_DONE;
    uint64_t at = 0;
    uint64_t data;
    uint64_t hole;

    while (result == COPY_DONE && at < pair->used && next_data(pair, at, &data, &hole)) {
        at = share(copy, pair, data, hole);
        if (at > data && !go_on(copy, at - data)) {
            return COPY_STOPPED;
        }
        result = copy_range(copy, pair, at, hole);
        at = hole;
    }
    return result;
}

/* ---- a file ---- */

static enum copy_result fill(struct copy *copy, const struct pair *pair)
{
    const enum copy_result result = copy_data(copy, pair);

    /* What is not copied is a hole. */
    if (result == COPY_DONE && ftruncate(pair->to, pair->st.st_size) != 0) {
        return failed(copy, errno, "cannot size the copy of \"%s\": %s", pair->name,
                      strerror(errno));
    }
    return result;
}

int copy_owner(int from, int to)
{
    struct stat st;

    if (geteuid() != 0) {
        return 0;
    }
    return fstat(from, &st) != 0 || fchown(to, st.st_uid, st.st_gid) != 0 ? errno : 0;
}

static enum copy_result fill_durably(struct copy *copy, const struct pair *pair)
{
    const enum copy_result result = fill(copy, pair);
    int error;

    if (result != COPY_DONE) {
        return result;
    }
    error = copy_owner(pair->from, pair->to);
    if (error != 0) {
        return failed(copy, error, "cannot give the copy of \"%s\" its owner: %s", pair->name,
                      strerror(error));
    }
    if (fsync(pair->to) != 0) {
        return failed(copy, errno, "cannot make the copy of \"%s\" durable: %s", pair->name,
                      strerror(errno));
    }
    copy->files++;
    return COPY_DONE;
}

enum copy_result copy_file(struct copy *copy, const char *name, uint64_t used)
{
    struct pair pair = {.name = name};
    enum copy_result result;

    /* O_NONBLOCK: should it be a pipe, this must not wait for its other end. */
    pair.from = openat(copy->from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (pair.from < 0) {
        const bool gone = errno == ENOENT;

        (void)failed(copy, errno, "cannot open \"%s\": %s", name, strerror(errno));
        return gone ? COPY_GONE : COPY_FAILED;
    }
    if (fstat(pair.from, &pair.st) != 0 || !S_ISREG(pair.st.st_mode)) {
        (void)close(pair.from);
        return failed(copy, EINVAL, "\"%s\" is not a regular file", name);
    }
    pair.used = used < (uint64_t)pair.st.st_size ? used : (uint64_t)pair.st.st_size;
    pair.to = openat(copy->to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (pair.to < 0) {
        (void)close(pair.from);
        return failed(copy, errno, "cannot create the copy of \"%s\": %s", name, strerror(errno));
    }
    result = fill_durably(copy, &pair);
    (void)close(pair.from);
    if (close(pair.to) != 0 && result == COPY_DONE) {
        result = failed(copy, errno, "cannot close the copy of \"%s\": %s", name, strerror(errno));
    }
    return result;
}
