/* As io_posix, but reads come from read-only maps of the files. Writes stay system calls: a store
 * through a map cannot report a full or broken disk except by a signal.
 *
 * A map covers a power of two of bytes, so more than the file: what lies behind the end becomes
 * readable as the file grows, and a file that outgrows its map gets the next larger one. The old
 * ones stay until the file is closed (another thread may be reading from them), in all at most as
 * much address space again. Nothing is read behind the end of the file as it is at that moment;
 * where somebody shortens it between the look and the load, the guard turns the fault into EIO.
 * Truncating and punching by us need nothing more: a map always shows the file as it is.
 *
 * Where a map cannot be had (address space, a file larger than the largest map), reads are
 * io_posix's. */
#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/check.h"
#include "core/error.h"
#include "core/io_guard.h"
#include "core/io_threads.h"

#define MAP_LEVEL_MIN 26u /* 64 MiB: small files need one map in their life */
#define MAP_LEVELS 16u    /* To 2 TiB; a segment takes 1 GiB */
/* Pages asked about at once, 2 MiB of the small ones. Longer reads come short, as a cached read
 * may. */
#define RESIDENT_PAGES_MAX 512u

struct map_file {
    struct disk_file file;
    _Atomic(uint8_t *) maps[MAP_LEVELS]; /* [i] covers 1 << (MAP_LEVEL_MIN + i) bytes; or NULL */
};

_Static_assert(offsetof(struct map_file, file) == 0, "struct io_file * is a struct map_file *");

/* A map of at least the first `size` bytes, or NULL. Threads may race to make the same one. */
static const uint8_t *map_get(struct map_file *file, uint64_t size)
{
    unsigned level = 0;
    uint8_t *map;
    uint8_t *expected = NULL;

    CHECK(file->file.fd >= 0);
    CHECK(size > 0);
    while (level < MAP_LEVELS && size > (uint64_t)1 << (MAP_LEVEL_MIN + level)) {
        level++;
    }
    if (level == MAP_LEVELS) {
        return NULL;
    }
    CHECK(level < MAP_LEVELS);
    map = atomic_load(&file->maps[level]);
    if (map != NULL) {
        return map;
    }
    map = mmap(NULL, (size_t)1 << (MAP_LEVEL_MIN + level), PROT_READ, MAP_SHARED, file->file.fd, 0);
    if (map == MAP_FAILED) {
        return NULL;
    }
    if (!atomic_compare_exchange_strong(&file->maps[level], &expected, map)) {
        (void)munmap(map, (size_t)1 << (MAP_LEVEL_MIN + level)); /* Nobody has used it */
        map = expected;
    }
    return map;
}

static void map_close_file(struct io_file *base)
{
    struct map_file *file = (struct map_file *)base;

    CHECK(base->in_flight == 0);
    CHECK(file->file.fd >= 0);
    for (unsigned i = 0; i < MAP_LEVELS; i++) {
        uint8_t *map = atomic_load(&file->maps[i]);

        if (map != NULL) {
            CHECK(munmap(map, (size_t)1 << (MAP_LEVEL_MIN + i)) == 0);
        }
    }
    disk_close_file(base);
}

/* All of size bytes, waiting for the device as needed. Returns 0 or an errno value. */
static int map_read(struct map_file *file, uint8_t *data, size_t size, uint64_t offset)
{
    const uint8_t *map;
    uint64_t end;
    const int rc = io_call_size(file->file.fd, &end);

    CHECK(file->file.fd >= 0);
    CHECK(data != NULL || size == 0);
    if (rc != 0 || size == 0) {
        return rc;
    }
    if (offset > end || size > end - offset) {
        return ENODATA;
    }
    map = map_get(file, end);
    if (map == NULL) {
        return io_call_read_all(file->file.fd, data, size, offset);
    }
    return io_guard_copy(data, map + offset, size) ? 0 : EIO;
}

static void map_op_run(struct disk *disk, struct io_op *op)
{
    CHECK(disk != NULL);
    CHECK(op != NULL);
    if (op->kind == IO_OP_READ) {
        struct map_file *file = (struct map_file *)op->file;

        disk_op_result(op, map_read(file, op->data, op->size, op->offset));
    } else {
        disk_op_run(disk, op);
    }
}

/* How many of the bytes [offset, offset + size) of the map are in memory without a gap. (The kernel
 * tells this only to a file's owner or writer, and calls all of it resident to others.) */
static size_t map_resident(const uint8_t *map, size_t size, uint64_t offset)
{
    const size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char pages[RESIDENT_PAGES_MAX];
    const uint64_t start = offset - offset % page_size;
    const size_t lead = (size_t)(offset - start);
    size_t count;
    size_t resident = 0;

    CHECK(page_size > 0);
    CHECK(size > 0);
    if (size > sizeof pages * page_size - lead) {
        size = sizeof pages * page_size - lead;
    }
    count = (lead + size + page_size - 1) / page_size;
    CHECK(count > 0);
    CHECK(count <= sizeof pages);
    /* It does not write to the map; its argument just is not const. */
    if (mincore((void *)(uintptr_t)(map + start), count * page_size, pages) != 0) {
        return 0;
    }
    while (resident < count && (pages[resident] & 1) != 0) {
        resident++;
    }
    if (resident == 0) {
        return 0;
    }
    CHECK(lead < page_size);
    return resident == count ? size : resident * page_size - lead;
}

static int map_read_cached(struct io_file *base, uint8_t *data, size_t size, uint64_t offset,
                           size_t *got)
{
    struct map_file *file = (struct map_file *)base;
    const uint8_t *map;
    uint64_t end;

    CHECK(data != NULL || size == 0);
    CHECK(file->file.fd >= 0);
    *got = 0;
    if (io_call_size(file->file.fd, &end) != 0) {
        return TUSK_EIO;
    }
    if (offset >= end || size == 0) {
        return 0;
    }
    map = map_get(file, end);
    if (map == NULL) {
        return disk_read_cached(base, data, size, offset, got);
    }
    size = size < end - offset ? size : (size_t)(end - offset);
    size = map_resident(map, size, offset);
    if (size == 0) {
        return TUSK_EBUSY;
    }
    if (!io_guard_copy(data, map + offset, size)) {
        return TUSK_EIO;
    }
    CHECK(size <= end - offset);
    *got = size;
    return 0;
}

static const struct io_ops mmap_ops = {
    .name = "mmap",
    .close = io_threads_close,
    DISK_IMMEDIATE_OPS,
    .close_file = map_close_file,
    .read_cached = map_read_cached,
    .submit = io_threads_submit,
    .poll = io_threads_poll,
    .wait = io_threads_wait,
    .poll_fd = io_threads_poll_fd,
};

int io_mmap_open(struct io **out, const char *data_dir, unsigned threads, struct error *err)
{
    CHECK(out != NULL);
    CHECK(data_dir != NULL);
    CHECK(threads > 0);
    io_guard_install();
    return io_threads_open(out, &mmap_ops, data_dir, sizeof(struct map_file), map_op_run, threads,
                           err);
}
