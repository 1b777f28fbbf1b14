#define FUSE_USE_VERSION 31

#include "tests/crash/lazy_fs.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/crash/mount.h"
#include "tests/crash/report.h"

/* Only the kernel changes files, and after a cut it mounts anew: what it knows stays true. */
#define CACHE_SECONDS 3600.0
#define LISTING_MAX 65536u
#define SECTOR 512u
#define BLOCKS (UINT64_C(1) << 24) /* Of a page each: 64 GiB, that nobody runs out of */

/* ---- cuts ---- */

static void strike(struct lazy_fs *fs, enum lazy_fault fault)
{
    const struct lazy_plan *plan = &fs->plan;
    struct random random;
    const struct lazy_cut cut = {
        .random = &random,
        .keep_bytes = plan->keep_bytes,
        .keep_names = plan->keep_names,
        .torn = fault != LAZY_CLEAR ? fs->written : NULL,
        .torn_count = fault == LAZY_TORN_OP ? 1 : plan->sequence,
    };

    random_init(&random, plan->seed);
    lazy_state_cut(&fs->state, &cut);
    fs->cuts[fault]++;
    fs->planned = false;
    fs->due = false;
    fs->down = true;
}

void lazy_fs_plan(struct lazy_fs *fs, const struct lazy_plan *plan)
{
    (void)pthread_mutex_lock(&fs->lock);
    fs->plan = *plan;
    fs->planned = plan->left > 0;
    fs->due = false;
    (void)pthread_mutex_unlock(&fs->lock);
}

void lazy_fs_cut(struct lazy_fs *fs)
{
    (void)pthread_mutex_lock(&fs->lock);
    if (!fs->down) {
        strike(fs, LAZY_CLEAR);
    }
    (void)pthread_mutex_unlock(&fs->lock);
}

bool lazy_fs_is_down(struct lazy_fs *fs)
{
    bool down;

    (void)pthread_mutex_lock(&fs->lock);
    down = fs->down;
    (void)pthread_mutex_unlock(&fs->lock);
    return down;
}

/* ---- one request ---- */

/* The plan's moment has come. */
static void strike_as_planned(struct lazy_fs *fs, fuse_req_t request)
{
    const pid_t pid = fuse_req_ctx(request)->pid;

    fs->due = false;
    if (fs->plan.kills) {
        report_need(pid > 1 && kill(pid, SIGKILL) == 0, "kill the process that asks");
    } else {
        strike(fs, fs->plan.fault);
    }
}

/* The file system, locked, for a request; NULL: it is not to be done, which was the answer. */
static struct lazy_fs *enter(fuse_req_t request, enum lazy_moment moment)
{
    struct lazy_fs *fs = fuse_req_userdata(request);
    bool refused = false;

    (void)pthread_mutex_lock(&fs->lock);
    if (moment < LAZY_MOMENTS) {
        fs->requests[moment]++;
    }
    if (fs->planned && moment == fs->plan.moment && --fs->plan.left == 0) {
        fs->planned = false;
        fs->due = true;
        if (fs->plan.before && fs->plan.fault == LAZY_CLEAR) {
            strike_as_planned(fs, request);
            refused = true;
        }
    }
    if (!refused && !fs->down) {
        return fs;
    }
    (void)pthread_mutex_unlock(&fs->lock);
    (void)fuse_reply_err(request, EIO);
    return NULL;
}

/* A torn write waits for a write, a torn sequence for one that is one of several. */
static bool strikes_now(const struct lazy_fs *fs)
{
    const uint32_t least = fs->plan.fault == LAZY_TORN_SEQ ? 2 : 1;

    return fs->due && (fs->plan.fault == LAZY_CLEAR ||
                       (fs->written != NULL && fs->written->file.change_count >= least));
}

/* The request is done. True: the caller gives the answer; else it failed, or met the cut. */
static bool leave(struct lazy_fs *fs, fuse_req_t request, int error)
{
    if (strikes_now(fs)) {
        strike_as_planned(fs, request);
        /* Who is killed hears nothing; but the kernel does, and goes on with what it then knows. */
        error = fs->down ? EIO : error;
    }
    fs->written = NULL;
    (void)pthread_mutex_unlock(&fs->lock);
    if (error != 0) {
        (void)fuse_reply_err(request, error);
    }
    return error == 0;
}

static struct stat attributes(const struct lazy_node *node)
{
    return (struct stat){
        .st_ino = node->number,
        .st_mode = node->directory ? S_IFDIR | 0700 : S_IFREG | 0600,
        .st_nlink = node->directory ? 2 : 1,
        .st_uid = geteuid(),
        .st_gid = getegid(),
        .st_size = (off_t)node->file.seen.size,
        .st_blocks = (blkcnt_t)((node->file.seen.size + SECTOR - 1) / SECTOR),
    };
}

static struct fuse_entry_param entry_of(const struct lazy_node *node)
{
    return (struct fuse_entry_param){.ino = node->number,
                                     .generation = 1,
                                     .attr = attributes(node),
                                     .attr_timeout = CACHE_SECONDS,
                                     .entry_timeout = CACHE_SECONDS};
}

/* ---- names ---- */

static void look_up(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    struct lazy_fs *fs = enter(request, LAZY_AT_OTHER);
    struct fuse_entry_param entry = {0};
    struct lazy_node *node;
    int error;

    if (fs == NULL) {
        return;
    }
    error = lazy_state_find(&fs->state, lazy_state_node(&fs->state, parent), name, &node);
    if (error == 0) {
        entry = entry_of(node);
    }
    if (leave(fs, request, error)) {
        (void)fuse_reply_entry(request, &entry);
    }
}

static bool make(fuse_req_t request, fuse_ino_t parent, const char *name, bool directory,
                 struct fuse_entry_param *entry)
{
    struct lazy_fs *fs = enter(request, LAZY_AT_NAME);
    struct lazy_node *node;
    int error;

    if (fs == NULL) {
        return false;
    }
    error =
        lazy_state_make(&fs->state, lazy_state_node(&fs->state, parent), name, directory, &node);
    if (error == 0) {
        *entry = entry_of(node);
    }
    return leave(fs, request, error);
}

static void make_directory(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct fuse_entry_param entry;

    (void)mode;
    if (make(request, parent, name, true, &entry)) {
        (void)fuse_reply_entry(request, &entry);
    }
}

static void create_file(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                        struct fuse_file_info *info)
{
    struct fuse_entry_param entry;

    (void)mode;
    info->keep_cache = 1;
    if (make(request, parent, name, false, &entry)) {
        (void)fuse_reply_create(request, &entry, info);
    }
}

static void remove_name(fuse_req_t request, fuse_ino_t parent, const char *name, bool directory)
{
    struct lazy_fs *fs = enter(request, LAZY_AT_NAME);
    int error;

    if (fs == NULL) {
        return;
    }
    error = lazy_state_remove(&fs->state, lazy_state_node(&fs->state, parent), name, directory);
    if (leave(fs, request, error)) {
        (void)fuse_reply_err(request, 0);
    }
}

static void remove_file(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    remove_name(request, parent, name, false);
}

static void remove_directory(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    remove_name(request, parent, name, true);
}

static void rename_file(fuse_req_t request, fuse_ino_t parent, const char *name,
                        fuse_ino_t parent_to, const char *to, unsigned flags)
{
    struct lazy_fs *fs = enter(request, LAZY_AT_RENAME);
    int error = flags != 0 ? EINVAL : parent != parent_to ? EXDEV : 0;

    if (fs == NULL) {
        return;
    }
    if (error == 0) {
        error = lazy_state_rename(&fs->state, lazy_state_node(&fs->state, parent), name, to);
    }
    if (leave(fs, request, error)) {
        (void)fuse_reply_err(request, 0);
    }
}

static void list(fuse_req_t request, fuse_ino_t number, size_t size, off_t from,
                 struct fuse_file_info *info)
{
    struct lazy_fs *fs = enter(request, LAZY_AT_OTHER);
    static char listing[LISTING_MAX];
    const struct lazy_node *dir;
    size_t used = 0;
    uint32_t i;

    (void)info;
    if (fs == NULL) {
        return;
    }
    size = size < sizeof listing ? size : sizeof listing;
    dir = lazy_state_node(&fs->state, number);
    for (i = (uint32_t)from; i < fs->state.seen.count; i++) {
        const struct lazy_name *name = &fs->state.seen.entries[i];
        size_t taken = 0;

        if (name->dir == dir) {
            const struct stat stat = attributes(name->node);

            taken = fuse_add_direntry(request, listing + used, size - used, name->name, &stat,
                                      (off_t)i + 1);
        }
        if (taken > size - used) {
            break;
        }
        used += taken;
    }
    if (leave(fs, request, 0)) {
        (void)fuse_reply_buf(request, listing, used);
    }
}

static void sync_node(fuse_req_t request, fuse_ino_t number, int data_only,
                      struct fuse_file_info *info)
{
    struct lazy_fs *fs = enter(request, LAZY_AT_SYNC);

    (void)data_only; /* The size goes with the bytes in any case, and there is nothing else */
    (void)info;
    if (fs == NULL) {
        return;
    }
    lazy_state_sync(&fs->state, lazy_state_node(&fs->state, number));
    if (leave(fs, request, 0)) {
        (void)fuse_reply_err(request, 0);
    }
}

/* ---- bytes ---- */

static void get_attributes(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info)
{
    struct lazy_fs *fs = enter(request, LAZY_AT_OTHER);
    struct stat stat;

    (void)info;
    if (fs == NULL) {
        return;
    }
    stat = attributes(lazy_state_node(&fs->state, number));
    if (leave(fs, request, 0)) {
        (void)fuse_reply_attr(request, &stat, CACHE_SECONDS);
    }
}

static void set_attributes(fuse_req_t request, fuse_ino_t number, struct stat *to, int which,
                           struct fuse_file_info *info)
{
    struct lazy_fs *fs = enter(request, LAZY_AT_WRITE);
    struct lazy_node *node;
    struct stat stat;
    int error = 0;

    (void)info;
    if (fs == NULL) {
        return;
    }
    node = lazy_state_node(&fs->state, number);
    if ((which & FUSE_SET_ATTR_SIZE) != 0) {
        error = lazy_file_resize(&node->file, (uint64_t)to->st_size);
    }
    stat = attributes(node);
    if (leave(fs, request, error)) {
        (void)fuse_reply_attr(request, &stat, CACHE_SECONDS);
    }
}

static void open_file(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info)
{
    struct lazy_fs *fs = enter(request, LAZY_AT_OTHER);

    (void)number;
    info->keep_cache = 1;
    if (fs != NULL && leave(fs, request, 0)) {
        (void)fuse_reply_open(request, info);
    }
}

static void read_bytes(fuse_req_t request, fuse_ino_t number, size_t size, off_t offset,
                       struct fuse_file_info *info)
{
    struct lazy_fs *fs = enter(request, LAZY_AT_OTHER);
    const struct lazy_image *image;
    uint64_t at = (uint64_t)offset;

    (void)info;
    if (fs == NULL) {
        return;
    }
    image = &lazy_state_node(&fs->state, number)->file.seen;
    at = at < image->size ? at : image->size;
    size = size < image->size - at ? size : (size_t)(image->size - at);
    (void)fuse_reply_buf(request, (const char *)image->bytes + at, size);
    (void)pthread_mutex_unlock(&fs->lock); /* Not before: a cut takes images away */
}

static void write_bytes(fuse_req_t request, fuse_ino_t number, const char *bytes, size_t size,
                        off_t offset, struct fuse_file_info *info)
{
    struct lazy_fs *fs = enter(request, LAZY_AT_WRITE);
    struct lazy_node *node;
    int error;

    (void)info;
    if (fs == NULL) {
        return;
    }
    node = lazy_state_node(&fs->state, number);
    error = lazy_file_write(&node->file, bytes, size, (uint64_t)offset);
    fs->written = node;
    if (leave(fs, request, error)) {
        (void)fuse_reply_write(request, size);
    }
}

static void reserve(fuse_req_t request, fuse_ino_t number, int mode, off_t offset, off_t size,
                    struct fuse_file_info *info)
{
    struct lazy_fs *fs = enter(request, LAZY_AT_WRITE);
    int error = EOPNOTSUPP;
    struct lazy_node *node;

    (void)info;
    if (fs == NULL) {
        return;
    }
    node = lazy_state_node(&fs->state, number);
    if (mode == 0) {
        error = lazy_file_allocate(&node->file, (uint64_t)(offset + size));
    } else if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) {
        error = lazy_file_punch(&node->file, (uint64_t)offset, (uint64_t)size);
    }
    if (leave(fs, request, error)) {
        (void)fuse_reply_err(request, 0);
    }
}

static void tell_space(fuse_req_t request, fuse_ino_t number)
{
    const struct statvfs space = {.f_bsize = 4096,
                                  .f_frsize = 4096,
                                  .f_blocks = BLOCKS,
                                  .f_bfree = BLOCKS,
                                  .f_bavail = BLOCKS,
                                  .f_files = LAZY_NODES_MAX,
                                  .f_ffree = LAZY_NODES_MAX,
                                  .f_favail = LAZY_NODES_MAX,
                                  .f_namemax = LAZY_NAME_SIZE - 1};

    (void)number;
    (void)fuse_reply_statfs(request, &space);
}

/* ---- the server ---- */

static const struct fuse_lowlevel_ops operations = {
    .lookup = look_up,
    .getattr = get_attributes,
    .setattr = set_attributes,
    .mkdir = make_directory,
    .unlink = remove_file,
    .rmdir = remove_directory,
    .rename = rename_file,
    .open = open_file,
    .create = create_file,
    .read = read_bytes,
    .write = write_bytes,
    .fsync = sync_node,
    .fallocate = reserve,
    .readdir = list,
    .fsyncdir = sync_node,
    .statfs = tell_space,
};

static void *serve(void *arg)
{
    struct lazy_fs *fs = arg;

    (void)fuse_session_loop(fs->session); /* Ends when it is unmounted */
    return NULL;
}

void lazy_fs_open(struct lazy_fs *fs)
{
    memset(fs, 0, sizeof *fs);
    lazy_state_init(&fs->state);
    report_need(pthread_mutex_init(&fs->lock, NULL) == 0, "make a lock");
}

void lazy_fs_close(struct lazy_fs *fs)
{
    if (fs->session != NULL) {
        lazy_fs_unmount(fs);
    }
    lazy_state_deinit(&fs->state);
    (void)pthread_mutex_destroy(&fs->lock);
}

bool lazy_fs_mount(struct lazy_fs *fs, const char *dir, const char **why)
{
    char *argv[] = {(char *)(uintptr_t) "lazy", NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, argv);

    *why = "there is no /dev/fuse that can be used";
    if (access("/dev/fuse", R_OK | W_OK) != 0) {
        return false;
    }
    (void)snprintf(fs->dir, sizeof fs->dir, "%s", dir);
    fs->down = false;
    fs->session = fuse_session_new(&args, &operations, sizeof operations, fs);
    fuse_opt_free_args(&args);
    report_need(fs->session != NULL, "make a FUSE session");
    if (fuse_session_mount(fs->session, dir) != 0) {
        fuse_session_destroy(fs->session);
        fs->session = NULL;
        return false;
    }
    report_need(pthread_create(&fs->server, NULL, serve, fs) == 0, "start a thread");
    return true;
}

void lazy_fs_unmount(struct lazy_fs *fs)
{
    report_need(mount_off(fs->dir), "unmount");
    (void)pthread_join(fs->server, NULL);
    fuse_session_unmount(fs->session); /* Which finds that it is done */
    fuse_session_destroy(fs->session);
    fs->session = NULL;
}
