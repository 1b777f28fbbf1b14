/* What an operation does to the simulated disk. Immediate and submitted ones become a struct
 * sim_call and pass through sim_run(), the one place where faults and cuts strike and records are
 * kept. */
#include "tests/sim/io_sim_disk.h"

#include <errno.h>
#include <stdlib.h>

static struct sim_node *sim_call_node(const struct sim_io *io, const struct sim_call *call)
{
    return io->disk->nodes[call->file->node];
}

/* The effects of each kind, when nothing goes wrong. They return an errno. */

static int sim_do_list(struct sim_io *io, struct sim_call *call)
{
    struct sim_disk *disk = io->disk;
    struct sim_table names = {0};
    uint32_t first;
    uint32_t node;
    const int os_error = sim_names_lookup(disk, call->path, &node);

    if (os_error != 0 || !disk->nodes[node]->is_dir) {
        return os_error != 0 ? os_error : ENOTDIR;
    }
    /* A copy, because fn may change the directory; from anywhere, because the order is nobody's. */
    sim_table_copy(disk, &names, &disk->nodes[node]->names);
    first = (uint32_t)random_below(&disk->random, names.count);
    for (uint32_t i = 0; i < names.count && call->list_result == 0; i++) {
        const struct sim_entry *entry = &names.entries[(first + i) % names.count];
        const bool is_dir = disk->nodes[entry->node]->is_dir;

        call->list_result =
            call->list_fn(call->list_arg, entry->name, is_dir ? IO_KIND_DIRECTORY : IO_KIND_FILE);
    }
    sim_table_clear(disk, &names);
    return 0;
}

void sim_file_close(struct sim_io *io, struct sim_file *file)
{
    struct sim_disk *disk = io->disk;

    if (file->epoch == disk->epoch) {
        disk->nodes[file->node]->opens--;
        sim_node_settle_space(disk, disk->nodes[file->node]);
    }
    sim_node_put(disk, file->node);
    io->open_files--;
    free(file->path);
    free(file);
}

static struct sim_file *sim_file_new(struct sim_io *io, const char *path, uint32_t node,
                                     bool writable)
{
    struct sim_disk *disk = io->disk;
    struct sim_file *file = sim_alloc(sizeof *file);

    *file = (struct sim_file){.base = {.io = &io->base},
                              .disk = disk,
                              .node = node,
                              .epoch = disk->epoch,
                              .writable = writable,
                              .path = sim_copy_string(path)};
    disk->nodes[node]->refs++;
    disk->nodes[node]->opens++;
    io->open_files++;
    return file;
}

static int sim_do_open(struct sim_io *io, struct sim_call *call)
{
    uint32_t node;
    int os_error;

    if (call->mode == IO_OPEN_CREATE) {
        os_error = sim_names_create(io->disk, call->path, false, &node);
    } else {
        os_error = sim_names_lookup(io->disk, call->path, &node);
    }
    if (os_error == 0 && io->disk->nodes[node]->is_dir) {
        os_error = EISDIR;
    }
    if (os_error == 0) {
        call->out_file = sim_file_new(io, call->path, node, call->mode != IO_OPEN_READ);
    }
    return os_error;
}

static int sim_do_lock(struct sim_io *io, struct sim_call *call)
{
    struct sim_disk *disk = io->disk;
    char pid[16];
    uint32_t node;
    int os_error = sim_names_lookup(disk, call->path, &node);

    if (os_error == ENOENT) {
        os_error = sim_names_create(disk, call->path, false, &node);
    }
    if (os_error != 0) {
        return os_error;
    }
    if (disk->nodes[node]->is_dir) {
        return EISDIR;
    }
    if (disk->nodes[node]->locked_by != 0) {
        call->holder = disk->nodes[node]->locked_by;
        return EWOULDBLOCK;
    }
    disk->nodes[node]->locked_by = io->id;
    (void)snprintf(pid, sizeof pid, "%u\n", SIM_FIRST_PID + io->id); /* Ten digits at most */
    sim_file_truncate(disk, node, 0);
    os_error = sim_file_write(disk, node, 0, (const uint8_t *)pid, strlen(pid));
    return os_error == ENOSPC ? 0 : os_error; /* As io_posix: the lock is held all the same */
}

static int sim_do_names(struct sim_io *io, struct sim_call *call)
{
    uint32_t node;
    int os_error;

    if (call->kind == SIM_MAKE_DIR) {
        return sim_names_create(io->disk, call->path, true, &node);
    }
    if (call->kind == SIM_RENAME) {
        return sim_names_rename(io->disk, call->path, call->path_to);
    }
    if (call->kind != SIM_SYNC_DIR) {
        return sim_names_remove(io->disk, call->path, call->kind == SIM_REMOVE_DIR);
    }
    os_error = sim_names_lookup(io->disk, call->path, &node);
    if (os_error == 0 && !io->disk->nodes[node]->is_dir) {
        os_error = ENOTDIR;
    }
    if (os_error == 0) {
        sim_names_sync(io->disk, node, call->snapshot.sequence);
    }
    return os_error;
}

static int sim_do_write(struct sim_io *io, struct sim_call *call)
{
    uint64_t at = call->offset;
    int os_error = 0;

    for (int i = 0; i < call->iov_count && os_error == 0; i++) {
        os_error = sim_file_write(io->disk, call->file->node, at, call->iov[i].iov_base,
                                  call->iov[i].iov_len);
        at += call->iov[i].iov_len;
    }
    return os_error;
}

static int sim_do_read(struct sim_io *io, struct sim_call *call)
{
    const struct sim_node *node = sim_call_node(io, call);

    if (sim_is_unreadable(io->disk, call->file->node, call->offset, call->size)) {
        return EIO;
    }
    *call->got = (size_t)sim_file_read(node, call->offset, call->data, call->size,
                                       call->kind == SIM_READ_DIRECT);
    return call->kind == SIM_READ && *call->got < call->size ? EIO : 0;
}

/* Only some of it is in memory, now and then nothing. */
static int sim_do_read_cached(struct sim_io *io, struct sim_call *call)
{
    struct sim_disk *disk = io->disk;
    const uint64_t bad = sim_unreadable_from(disk, call->file->node, call->offset);
    const uint64_t page_end = (call->offset / SIM_CHUNK + 1) * SIM_CHUNK;
    uint64_t size = call->size;

    if (call->offset < sim_call_node(io, call)->size &&
        (bad == call->offset || sim_is_cold(disk, call->file->node, call->offset, 1))) {
        return EBUSY;
    }
    if (size > page_end - call->offset && sim_is_cold(disk, call->file->node, call->offset, size)) {
        size = page_end - call->offset;
    }
    if (bad != UINT64_MAX && size > bad - call->offset) {
        size = bad - call->offset;
    }
    *call->got =
        (size_t)sim_file_read(sim_call_node(io, call), call->offset, call->data, size, false);
    return 0;
}

static int sim_do_content(struct sim_io *io, struct sim_call *call)
{
    struct sim_disk *disk = io->disk;
    struct sim_node *node = sim_call_node(io, call);
    int os_error = 0;

    if (call->kind == SIM_SYNC) {
        sim_file_commit(disk, node, call->snapshot, 100);
    } else if (call->kind == SIM_TRUNCATE) {
        sim_file_truncate(disk, call->file->node, call->size);
    } else if (call->kind == SIM_PUNCH) {
        sim_file_punch(disk, call->file->node, call->offset, call->size);
    } else if (call->kind == SIM_ALLOCATE) {
        os_error = sim_file_allocate(disk, call->file->node, call->offset, call->size);
        if (os_error == 0 && call->then_sync) {
            sim_file_commit(disk, node, sim_file_snapshot(disk, node), 100);
        }
    }
    return os_error;
}

static int sim_do(struct sim_io *io, struct sim_call *call)
{
    static int (*const table[SIM_KIND_COUNT])(struct sim_io *, struct sim_call *) = {
        [SIM_MAKE_DIR] = sim_do_names,
        [SIM_REMOVE_DIR] = sim_do_names,
        [SIM_LIST_DIR] = sim_do_list,
        [SIM_SYNC_DIR] = sim_do_names,
        [SIM_RENAME] = sim_do_names,
        [SIM_UNLINK] = sim_do_names,
        [SIM_LOCK] = sim_do_lock,
        [SIM_OPEN] = sim_do_open,
        [SIM_CREATE] = sim_do_open,
        [SIM_TRUNCATE] = sim_do_content,
        [SIM_WRITE] = sim_do_write,
        [SIM_READ_DIRECT] = sim_do_read,
        [SIM_READ] = sim_do_read,
        [SIM_SYNC] = sim_do_content,
        [SIM_ALLOCATE] = sim_do_content,
        [SIM_PUNCH] = sim_do_content,
        [SIM_READ_CACHED] = sim_do_read_cached,
        [SIM_SIZE] = sim_do_content,
        [SIM_WRITEBACK] = sim_do_content,
    };
    const unsigned changes =
        SIM_BIT(SIM_TRUNCATE) | SIM_BIT(SIM_WRITE) | SIM_BIT(SIM_ALLOCATE) | SIM_BIT(SIM_PUNCH);

    if (call->file != NULL && (changes & SIM_BIT(call->kind)) != 0 && !call->file->writable) {
        return EBADF;
    }
    return table[call->kind](io, call);
}

/* Each sector of a write arrives or does not. */
static void sim_write_partly(struct sim_io *io, const struct sim_call *call)
{
    struct sim_disk *disk = io->disk;
    uint64_t at = call->offset;

    for (int i = 0; i < call->iov_count; i++) {
        const uint8_t *data = call->iov[i].iov_base;
        uint64_t left = call->iov[i].iov_len;

        while (left > 0) {
            const uint64_t room = SIM_SECTOR - at % SIM_SECTOR;
            const uint64_t part = left < room ? left : room;

            if (random_chance(&disk->random, 50)) {
                (void)sim_file_write(disk, call->file->node, at, data, part); /* Fails anyway */
            }
            at += part;
            data += part;
            left -= part;
        }
    }
}

/* The first part of a write arrives: one byte, or half of it. */
static void sim_write_start(struct sim_io *io, const struct sim_call *call, bool half)
{
    uint64_t left = 0;
    uint64_t at = call->offset;

    for (int i = 0; i < call->iov_count; i++) {
        left += call->iov[i].iov_len;
    }
    left = half ? left / 2 : 1;
    for (int i = 0; i < call->iov_count && left > 0; i++) {
        const uint64_t part = call->iov[i].iov_len < left ? call->iov[i].iov_len : left;

        (void)sim_file_write(io->disk, call->file->node, at, call->iov[i].iov_base,
                             part); /* Fails anyway */
        at += part;
        left -= part;
    }
}

/* A sync whose error says that nobody knows: percent of the sectors got there, and the rest is lost
 * unless the power failed too, when it is the cut that decides. */
static void sim_sync_partly(struct sim_io *io, struct sim_call *call, unsigned percent, bool cut)
{
    struct sim_disk *disk = io->disk;
    struct sim_node *node = sim_call_node(io, call);

    if (call->kind == SIM_ALLOCATE) {
        call->snapshot = sim_file_snapshot(disk, node);
        call->sync_failed = true;
    }
    sim_file_commit(disk, node, call->snapshot, percent);
    if (!cut) {
        sim_file_lose(disk, node, call->snapshot.sequence);
    }
}

static void sim_do_partly(struct sim_io *io, struct sim_call *call, bool cut)
{
    const unsigned nothing = SIM_READS | SIM_BIT(SIM_LOCK) | SIM_BIT(SIM_READ_CACHED);
    const enum sim_kind kind = call->kind;

    if (kind == SIM_SYNC) {
        sim_sync_partly(io, call, 50, cut);
    } else if (kind == SIM_WRITE && call->file->writable) {
        sim_write_partly(io, call);
    } else if ((nothing & SIM_BIT(kind)) == 0 && random_chance(&io->disk->random, 50)) {
        const bool then_sync = call->then_sync;

        call->then_sync = false;
        if (sim_do(io, call) == 0 && then_sync) {
            sim_sync_partly(io, call, 50, cut);
        }
        if (call->out_file != NULL) {
            sim_file_close(io, call->out_file);
            call->out_file = NULL;
        }
    }
}

static void sim_do_and_lose(struct sim_io *io, struct sim_call *call)
{
    if (call->kind == SIM_SYNC) {
        sim_sync_partly(io, call, 0, false);
    } else if (call->kind == SIM_ALLOCATE && call->then_sync) {
        call->then_sync = false;
        if (sim_do(io, call) == 0) {
            sim_sync_partly(io, call, 0, false);
        }
    }
}

int sim_run(struct sim_io *io, struct sim_call *call)
{
    struct sim_disk *disk = io->disk;
    struct sim_verdict verdict;
    int os_error;

    if (sim_io_dead(io)) {
        return EIO;
    }
    verdict = sim_begin(disk, call->kind);
    os_error = verdict.os_error;
    if (verdict.fate == SIM_GO) {
        os_error = sim_do(io, call);
    } else if (verdict.fate == SIM_PARTLY) {
        sim_do_partly(io, call, verdict.cut);
    } else if (verdict.fate == SIM_FIRST || verdict.fate == SIM_HALF) {
        if (call->kind == SIM_WRITE && call->file->writable) {
            sim_write_start(io, call, verdict.fate == SIM_HALF);
        }
    } else if (verdict.fate == SIM_LOST) {
        sim_do_and_lose(io, call);
    } else if (verdict.fate == SIM_IGNORED) {
        os_error = 0;
    }
    if (call->sync_failed) {
        os_error = EIO; /* Whatever the fault said: io.h */
    }
    sim_record(disk, call, os_error);
    if (verdict.cut) {
        sim_disk_power_cut(disk);
    }
    return os_error;
}
