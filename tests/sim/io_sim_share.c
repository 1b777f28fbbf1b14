/* Files handed on to other processes: a reference to the node each, so that its bytes stay when its
 * name has gone, and the io and the process that gave it, too. */
#include "tests/sim/io_sim_disk.h"

#include "core/check.h"
#include "core/error.h"

void sim_disk_set_share(struct sim_disk *disk, sim_share_fn *share, void *arg)
{
    disk->share = share;
    disk->share_arg = arg;
}

int sim_share(struct io_file *base, int *fd)
{
    const struct sim_file *file = (const struct sim_file *)base;
    struct sim_disk *disk = file->disk;

    if (disk->share == NULL) {
        return TUSK_EUNSUPPORTED;
    }
    if (file->epoch != disk->epoch) {
        return TUSK_EIO;
    }
    sim_shared_keep(disk, file->node);
    *fd = disk->share(disk->share_arg, file->node);
    if (*fd < 0) {
        sim_shared_drop(disk, file->node);
        return TUSK_EIO;
    }
    return 0;
}

void sim_shared_keep(struct sim_disk *disk, uint32_t file)
{
    CHECK(file < disk->node_count && disk->nodes[file] != NULL);
    disk->nodes[file]->refs++;
}

void sim_shared_drop(struct sim_disk *disk, uint32_t file)
{
    CHECK(file < disk->node_count && disk->nodes[file] != NULL);
    sim_node_put(disk, file);
}

size_t sim_shared_read(const struct sim_disk *disk, uint32_t file, uint64_t offset, uint8_t *data,
                       size_t size)
{
    CHECK(file < disk->node_count && disk->nodes[file] != NULL);
    return (size_t)sim_file_read(disk->nodes[file], offset, data, size, false);
}
