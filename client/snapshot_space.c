#include "client/snapshot_space.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/copy.h"

#define BAR_LEAST (64u << 20) /* Less is copied before anybody has read how far it is */

/* One namespace under way. */
struct work {
    struct cli *cli;
    struct tusk_snapshot snapshot;
    const char *name; /* Of its directory, encoded */
    int from;
    int to;
    struct copy copy;
    bool no_sharing;
    bool bar;
    uint64_t total; /* Bytes */
    uint64_t done;
    uint64_t drawn; /* Of a hundred */
};

/* Files of one kind: those of a directory whose numbers are in [first, last]. */
struct kind {
    const char *dir; /* Below the namespace's */
    const char *prefix;
    const char *suffix;
    uint64_t first;
    uint64_t last;
    uint64_t last_used; /* Bytes of the last one, which must be there; 0: none need be */
    bool sharing;       /* Its bytes may be shared: what is written is not written again */
};

typedef int file_fn(struct work *work, const struct kind *kind, const char *name, uint64_t number);

/* ---- files by number ---- */

/* The number in "<prefix><16 hex digits><suffix>". False: it is another name. */
static bool file_number(const char *name, const struct kind *kind, uint64_t *number)
{
    const size_t size = strlen(kind->prefix);
    char *end;

    if (strncmp(name, kind->prefix, size) != 0 || strspn(name + size, "0123456789abcdef") != 16) {
        return false;
    }
    *number = strtoull(name + size, &end, 16);
    return strcmp(end, kind->suffix) == 0;
}

/* Call fn for each file of a kind in the open directory, as long as it returns CLI_DONE. */
static int each_file(struct work *work, int directory, const struct kind *kind, file_fn *fn)
{
    const int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    bool last_seen = false;
    int rc = CLI_DONE;

    if (dir == NULL) {
        cli_say("cannot list the files of \"%s\": %s", work->name, strerror(errno));
        if (fd >= 0) {
            (void)close(fd);
        }
        return CLI_FAILED;
    }
    while (rc == CLI_DONE && (entry = readdir(dir)) != NULL) {
        uint64_t number;

        if (file_number(entry->d_name, kind, &number) && number >= kind->first &&
            number <= kind->last) {
            last_seen = last_seen || number == kind->last;
            rc = fn(work, kind, entry->d_name, number);
        }
    }
    (void)closedir(dir);
    if (rc == CLI_DONE && kind->last_used > 0 && !last_seen) {
        cli_say("the daemon names %s%016llx%s of \"%s\", and it is not there: is this the file "
                "system that the daemon sees?",
                kind->prefix, (unsigned long long)kind->last, kind->suffix, work->name);
        rc = CLI_FAILED;
    }
    return rc;
}

/* ---- copying ---- */

static bool tell_progress(void *arg, uint64_t bytes)
{
    struct work *work = arg;

    work->done += bytes;
    if (work->bar && work->total >= BAR_LEAST && work->done * 100 / work->total != work->drawn) {
        work->drawn = work->done * 100 / work->total;
        (void)fputs("\r\033[K", stderr);
        cli_bar(work->done, work->total);
        (void)fputs(work->name, stderr);
    }
    return cli_interrupted == 0;
}

static int count_one(struct work *work, const struct kind *kind, const char *name, uint64_t number)
{
    struct stat st;

    (void)number;
    (void)kind;
    if (fstatat(work->copy.from, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        work->total += (uint64_t)st.st_blocks * 512;
    }
    return CLI_DONE;
}

static int copy_one(struct work *work, const struct kind *kind, const char *name, uint64_t number)
{
    const uint64_t used =
        kind->last_used > 0 && number == kind->last ? kind->last_used : UINT64_MAX;

    switch (copy_file(&work->copy, name, used)) {
    case COPY_DONE:
        return CLI_DONE;
    case COPY_STOPPED:
        return CLI_INTERRUPTED;
    case COPY_GONE:
        if (kind->last_used == 0) {
            return CLI_DONE; /* It held nothing, and was on its way out when the hold began */
        }
        break;
    case COPY_FAILED:
    default:
        break;
    }
    cli_say("namespace \"%s\": %s", work->name, work->copy.text);
    if (work->copy.error == EACCES || work->copy.error == EPERM) {
        cli_note(work->cli, "the files are the daemon's: run this as its user, or as root");
    }
    return work->copy.error == ENOSPC || work->copy.error == EDQUOT ? CLI_FULL : CLI_FAILED;
}

/* A kind, from its directory into one of the same name; twice, to know before how much it is. */
static int copy_kind(struct work *work, const struct kind *kind, file_fn *fn)
{
    struct copy *copy = &work->copy;
    int rc = CLI_FAILED;

    copy->sharing = kind->sharing;
    copy->from = openat(work->from, kind->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    copy->to = openat(work->to, kind->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (copy->from < 0 || copy->to < 0) {
        cli_say("cannot open a directory of namespace \"%s\": %s", work->name, strerror(errno));
    } else {
        rc = each_file(work, copy->from, kind, fn);
        if (rc == CLI_DONE && (copy_owner(copy->from, copy->to) != 0 || fsync(copy->to) != 0)) {
            cli_say("cannot make a directory of the copy durable: %s", strerror(errno));
            rc = CLI_FAILED;
        }
    }
    if (copy->from >= 0) {
        (void)close(copy->from);
    }
    if (copy->to >= 0) {
        (void)close(copy->to);
    }
    return rc;
}

static int copy_files(struct work *work)
{
    const struct tusk_snapshot *snapshot = &work->snapshot;
    const struct kind kinds[] = {
        {".", "manifest-", "", snapshot->manifest_first, snapshot->manifest_last, UINT64_MAX,
         false},
        {"journal", "", ".jnl", snapshot->journal_first, snapshot->journal_last,
         snapshot->journal_used, false},
        {".", "", ".seg", 0, snapshot->segments_end - 1, 0, !work->no_sharing}};
    const size_t count = snapshot->segments_end > 0 ? 3 : 2;
    int rc = CLI_DONE;
    size_t i;

    for (i = 0; rc == CLI_DONE && work->bar && i < count; i++) {
        rc = copy_kind(work, &kinds[i], count_one);
    }
    for (i = 0; rc == CLI_DONE && i < count; i++) {
        rc = copy_kind(work, &kinds[i], copy_one);
    }
    if (work->drawn > 0) {
        (void)fputs("\r\033[K", stderr); /* It is gone when it is over */
    }
    return rc;
}

/* ---- where ---- */

/* "ns/<encoded>" and nothing else: the daemon does not say where the copy goes. */
static bool name_is_good(const char *dir)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-%";

    return strncmp(dir, "ns/", 3) == 0 && dir[3] != '\0' &&
           strspn(dir + 3, good) == strlen(dir + 3);
}

static int open_both(struct work *work, int root)
{
    char path[2 * TUSK_PATH_SIZE_MAX + 4];

    if (!name_is_good(work->snapshot.dir)) {
        cli_say("the daemon named a directory that can be none of a namespace: \"%s\"",
                work->snapshot.dir);
        return CLI_FAILED;
    }
    work->name = work->snapshot.dir + 3;
    (void)snprintf(path, sizeof path, "%s/%s", work->snapshot.root, work->snapshot.dir);
    work->from = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (work->from < 0) {
        const int error = errno;

        cli_say("cannot open \"%s\", where the daemon has the namespace: %s; %s", path,
                strerror(error),
                error == EACCES ? "run this as the daemon's user, or as root"
                                : "run this where the daemon runs");
        return error == EACCES ? CLI_DENIED : CLI_FAILED;
    }
    if (mkdirat(root, work->name, 0700) != 0 ||
        (work->to = openat(root, work->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) <
            0 ||
        mkdirat(work->to, "journal", 0700) != 0) {
        cli_say("cannot make the directory of namespace \"%s\": %s", work->name, strerror(errno));
        return CLI_FAILED;
    }
    return CLI_DONE;
}

/* The directories above belong to whom the daemon's do. */
static int own_above(const struct work *work, int root)
{
    const int top = openat(root, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = top < 0 ? errno : copy_owner(work->from, top);

    if (error == 0) {
        error = copy_owner(work->from, root);
    }
    if (top >= 0) {
        (void)close(top);
    }
    if (error != 0) {
        cli_say("cannot give the copy its owner: %s", strerror(error));
    }
    return error == 0 ? CLI_DONE : CLI_FAILED;
}

/* A daemon would find what it does not know in its own directory. */
static int check_outside(const struct work *work, int root)
{
    const size_t size = strlen(work->snapshot.root);
    char link[64];
    char path[PATH_MAX];
    ssize_t length;

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", root);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0 || size == 0) {
        return CLI_DONE;
    }
    path[length] = '\0';
    if (strncmp(path, work->snapshot.root, size) == 0 && path[size] == '/') {
        cli_say("the copy would lie in the daemon's own directory, \"%s\": name one elsewhere",
                work->snapshot.root);
        return CLI_REFUSED;
    }
    return CLI_DONE;
}

static int copy_space(struct work *work, int root)
{
    int rc = check_outside(work, root);

    if (rc == CLI_DONE) {
        rc = open_both(work, root);
    }
    if (rc == CLI_DONE) {
        rc = own_above(work, root);
    }
    if (rc == CLI_DONE) {
        rc = copy_files(work);
    }
    if (work->from >= 0) {
        (void)close(work->from);
    }
    if (work->to >= 0) {
        (void)close(work->to);
    }
    return rc;
}

int snapshot_space(struct cli *cli, int root, bool no_sharing, struct snapshot_done *done)
{
    struct work work = {.cli = cli,
                        .snapshot = {.size = sizeof work.snapshot},
                        .from = -1,
                        .to = -1,
                        .bar = !cli->quiet && isatty(STDERR_FILENO) == 1,
                        .no_sharing = no_sharing,
                        .copy = {.progress = tell_progress}};
    int ended;
    int rc;

    work.copy.arg = &work;
    rc = tusk_snapshot_begin(cli->t, &work.snapshot);
    if (rc != TUSK_OK) {
        return cli_fail(cli, rc, "begin a snapshot of namespace \"%s\"", cli->space);
    }
    rc = copy_space(&work, root);
    ended = tusk_snapshot_end(cli->t, work.copy.shared > 0);
    if (ended != TUSK_OK && rc != CLI_INTERRUPTED) {
        return cli_fail(cli, ended, "end the snapshot of namespace \"%s\"", cli->space);
    }
    *done = (struct snapshot_done){
        .files = work.copy.files, .bytes = work.copy.bytes, .shared = work.copy.shared};
    return rc;
}
