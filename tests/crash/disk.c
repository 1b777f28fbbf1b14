#define FUSE_USE_VERSION 31

#include "tests/crash/disk.h"

#include <errno.h>
#include <fuse.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/report.h"

#define PAGE 4096u
#define OPERATIONS_MAX (1u << 20)
#define DATA_MAX (UINT64_C(4) << 30) /* Of address space; memory as it is used */
#define NAME "/disk"
#define WAIT_TRIES 1000

/* ---- the server: its process serves one disk ---- */

static struct disk *served;

static int get_attributes(const char *path, struct stat *out, struct fuse_file_info *info)
{
    (void)info;
    memset(out, 0, sizeof *out);
    if (strcmp(path, "/") == 0) {
        out->st_mode = S_IFDIR | 0700;
        out->st_nlink = 2;
        return 0;
    }
    if (strcmp(path, NAME) != 0) {
        return -ENOENT;
    }
    out->st_mode = S_IFREG | 0600;
    out->st_nlink = 1;
    out->st_size = (off_t)served->shared->size;
    return 0;
}

static int open_file(const char *path, struct fuse_file_info *info)
{
    if (strcmp(path, NAME) != 0) {
        return -ENOENT;
    }
    info->direct_io = 1; /* No second cache below the device's */
    return 0;
}

static int read_bytes(const char *path, char *out, size_t size, off_t offset,
                      struct fuse_file_info *info)
{
    const uint64_t end = served->shared->size;
    const uint64_t at = (uint64_t)offset;

    (void)path;
    (void)info;
    if (at >= end) {
        return 0;
    }
    size = size < end - at ? size : (size_t)(end - at);
    memcpy(out, served->image + at, size);
    return (int)size;
}

static void log_operation(uint64_t offset, const void *bytes, uint32_t size)
{
    struct disk_shared *shared = served->shared;
    const uint64_t index = atomic_load(&shared->operations);

    if (!atomic_load(&shared->record)) {
        return;
    }
    if (index == OPERATIONS_MAX || shared->data_used + size > DATA_MAX) {
        atomic_store(&shared->full, true);
        return;
    }
    served->operations[index] =
        (struct disk_operation){.offset = offset, .data = shared->data_used, .size = size};
    if (size > 0) {
        memcpy(served->data + shared->data_used, bytes, size);
    }
    shared->data_used += size;
    /* The count comes last: whoever reads it may look at the operation. */
    atomic_store(&shared->operations, index + 1);
}

/* Whether a write of these bytes, or a flush (size 0), is to fail. */
static bool fails(uint64_t offset, uint64_t size)
{
    struct disk_shared *shared = served->shared;
    const long left = atomic_load(&shared->writes_left);
    const bool hit = size > 0 && offset < atomic_load(&shared->fail_end) &&
                     offset + size > atomic_load(&shared->fail_begin);

    if (left > 0 && size > 0) {
        atomic_store(&shared->writes_left, left - 1);
    }
    if (left != 0 && !hit) {
        return false;
    }
    (void)atomic_fetch_add(&shared->failed, 1);
    return true;
}

/* Whether the device has room for pages that were never written. */
static bool takes_room(uint64_t at, size_t size)
{
    const long room = atomic_load(&served->shared->room);
    uint64_t page;
    long fresh = 0;

    if (room < 0) {
        return true;
    }
    for (page = at / PAGE; page * PAGE < at + size; page++) {
        fresh += served->dirty[page] == 0;
    }
    if (fresh > room) {
        (void)atomic_fetch_add(&served->shared->failed, 1);
        return false;
    }
    atomic_store(&served->shared->room, room - fresh);
    return true;
}

static int write_bytes(const char *path, const char *bytes, size_t size, off_t offset,
                       struct fuse_file_info *info)
{
    const uint64_t at = (uint64_t)offset;
    uint64_t page;

    (void)path;
    (void)info;
    if (at + size > served->shared->size) {
        return -ENOSPC;
    }
    if (fails(at, size)) {
        return -EIO;
    }
    if (!takes_room(at, size)) {
        return -ENOSPC;
    }
    for (page = at / PAGE; page * PAGE < at + size; page++) {
        served->dirty[page] = 1;
    }
    memcpy(served->image + at, bytes, size);
    log_operation(at, bytes, (uint32_t)size);
    return (int)size;
}

static int flush_device(const char *path, int data_only, struct fuse_file_info *info)
{
    (void)path;
    (void)data_only;
    (void)info;
    if (fails(0, 0)) {
        return -EIO;
    }
    log_operation(0, NULL, 0);
    return 0;
}

static const struct fuse_operations operations = {
    .getattr = get_attributes,
    .open = open_file,
    .read = read_bytes,
    .write = write_bytes,
    .fsync = flush_device,
};

static _Noreturn void serve(struct disk *disk)
{
    char *argv[] = {(char *)(uintptr_t) "disk", NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, argv);
    struct fuse *fuse;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    served = disk;
    fuse = fuse_new(&args, &operations, sizeof operations, NULL);
    if (fuse == NULL || fuse_mount(fuse, disk->dir) != 0) {
        _exit(1);
    }
    _exit(fuse_loop(fuse) == 0 ? 0 : 1);
}

/* ---- the other side ---- */

static void *shared_memory(uint64_t size)
{
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    report_need(memory != MAP_FAILED, "map memory for a disk");
    return memory;
}

static bool await_server(struct disk *disk)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    struct stat info;
    int try;

    for (try = 0; try < WAIT_TRIES; try++) {
        if (stat(disk->path, &info) == 0) {
            return true;
        }
        if (waitpid(disk->server, NULL, WNOHANG) != 0) {
            return false;
        }
        (void)nanosleep(&pause, NULL);
    }
    return false;
}

bool disk_open(struct disk *disk, const char *dir, uint64_t size, const char **why)
{
    *disk = (struct disk){.shared = shared_memory(sizeof *disk->shared),
                          .image = shared_memory(size),
                          .base = shared_memory(size),
                          .dirty = shared_memory(size / PAGE + 1),
                          .operations = shared_memory(OPERATIONS_MAX * sizeof *disk->operations),
                          .data = shared_memory(DATA_MAX)};
    disk->shared->size = size;
    atomic_store(&disk->shared->writes_left, -1);
    atomic_store(&disk->shared->room, -1);
    (void)snprintf(disk->dir, sizeof disk->dir, "%s", dir);
    (void)snprintf(disk->path, sizeof disk->path, "%s" NAME, disk->dir);
    *why = "there is no /dev/fuse that can be used";
    if (access("/dev/fuse", R_OK | W_OK) != 0) {
        return false;
    }
    disk->server = fork();
    report_need(disk->server >= 0, "fork");
    if (disk->server == 0) {
        serve(disk);
    }
    return await_server(disk);
}

void disk_close(struct disk *disk)
{
    (void)umount2(disk->dir, MNT_DETACH);
    (void)kill(disk->server, SIGKILL);
    (void)waitpid(disk->server, NULL, 0);
    (void)munmap(disk->shared->size > 0 ? disk->image : NULL, disk->shared->size);
    (void)munmap(disk->base, disk->shared->size);
    (void)munmap(disk->dirty, disk->shared->size / PAGE + 1);
    (void)munmap(disk->operations, OPERATIONS_MAX * sizeof *disk->operations);
    (void)munmap(disk->data, DATA_MAX);
    (void)munmap(disk->shared, sizeof *disk->shared);
}

/* The image becomes the base again. */
static void restore(struct disk *disk)
{
    const uint64_t pages = disk->shared->size / PAGE;
    uint64_t page;

    for (page = 0; page < pages; page++) {
        if (disk->dirty[page] != 0) {
            memcpy(disk->image + page * PAGE, disk->base + page * PAGE, PAGE);
            disk->dirty[page] = 0;
        }
    }
}

void disk_begin_log(struct disk *disk)
{
    const uint64_t pages = disk->shared->size / PAGE;
    uint64_t page;

    for (page = 0; page < pages; page++) {
        if (disk->dirty[page] != 0) {
            memcpy(disk->base + page * PAGE, disk->image + page * PAGE, PAGE);
            disk->dirty[page] = 0;
        }
    }
    disk->base_at = 0;
    disk->shared->data_used = 0;
    atomic_store(&disk->shared->operations, 0);
    atomic_store(&disk->shared->full, false);
    atomic_store(&disk->shared->record, true);
}

/* Put [from, to) of a write into an image. */
static void apply(const struct disk *disk, const struct disk_operation *operation, uint8_t *image,
                  uint32_t from, uint32_t to)
{
    memcpy(image + operation->offset + from, disk->data + operation->data + from, to - from);
}

/* A choice of a write's pages. */
static void apply_some(struct disk *disk, const struct disk_operation *operation, bool keep_all,
                       struct random *random)
{
    const unsigned fate = keep_all ? 0 : (unsigned)random_below(random, 5);
    uint32_t from;
    uint32_t to;

    for (from = 0; from < operation->size; from = to) {
        const uint64_t page = (operation->offset + from) / PAGE;

        to = (uint32_t)((page + 1) * PAGE - operation->offset);
        to = to < operation->size ? to : operation->size;
        /* Two in five whole, two in five not at all, the rest page by page. */
        if (fate < 2 || (fate == 4 && random_chance(random, 50))) {
            apply(disk, operation, disk->image, from, to);
            disk->dirty[page] = 1;
        }
    }
}

void disk_state(struct disk *disk, uint64_t position, bool keep_all, struct random *random)
{
    uint64_t flushed = position;
    uint64_t i;

    report_need(position >= disk->base_at, "go back in a disk's log");
    atomic_store(&disk->shared->record, false);
    restore(disk);
    while (flushed > disk->base_at && disk->operations[flushed - 1].size > 0) {
        flushed--;
    }
    for (i = disk->base_at; i < flushed; i++) {
        const struct disk_operation *operation = &disk->operations[i];

        if (operation->size > 0) {
            apply(disk, operation, disk->base, 0, operation->size);
            apply(disk, operation, disk->image, 0, operation->size);
        }
    }
    disk->base_at = flushed;
    for (i = flushed; i < position; i++) {
        apply_some(disk, &disk->operations[i], keep_all, random);
    }
}

void disk_fail_after(struct disk *disk, int64_t writes)
{
    atomic_store(&disk->shared->writes_left, writes);
}

void disk_fail_range(struct disk *disk, uint64_t begin, uint64_t end)
{
    atomic_store(&disk->shared->fail_begin, begin);
    atomic_store(&disk->shared->fail_end, end);
}

void disk_thin(struct disk *disk, int64_t pages)
{
    atomic_store(&disk->shared->room, pages);
}

uint64_t disk_failed(const struct disk *disk)
{
    return atomic_load(&disk->shared->failed);
}
