/* What a crash of the simulated disk leaves. A power cut decides about each pending thing in a
 * fixed order (per node the sectors in the order their chunks were first touched, and the size;
 * then the names as they happened), so that the same seed decides alike. */
#include "tests/sim/io_sim_disk.h"

#include "core/check.h"

#include <stdlib.h>

/* One power cut under way. */
struct sim_cut {
    struct sim_disk *disk;
    uint64_t moment;         /* FORWARD, REVERSE: the sequence that divides kept from lost */
    bool file_kept;          /* FILES: of the file at hand */
    char path[IO_PATH_SIZE]; /* Of the file at hand; only where a delay asks for it */
};

/* Keep something whose pending state began at sequence? For what has two outcomes only. */
static bool sim_cut_keeps(struct sim_cut *cut, const char *path, uint64_t offset, uint64_t sequence,
                          enum sim_kind kind)
{
    struct sim_disk *disk = cut->disk;

    if (disk->delay != NULL) {
        return !disk->delay(disk->delay_arg, path, offset, kind);
    }
    if (disk->policy == SIM_CUT_DROP || disk->policy == SIM_CUT_KEEP) {
        return disk->policy == SIM_CUT_KEEP;
    }
    if (disk->policy == SIM_CUT_FORWARD) {
        return sequence <= cut->moment;
    }
    if (disk->policy == SIM_CUT_REVERSE) {
        return sequence > cut->moment;
    }
    if (disk->policy == SIM_CUT_FILES && (kind == SIM_WRITE || kind == SIM_TRUNCATE)) {
        return cut->file_kept;
    }
    return random_chance(&disk->random, 50);
}

/* The newest version of a pending sector that is not newer than sequence, or NULL. */
static const uint8_t *sim_cut_version(const struct sim_page *page, unsigned sector,
                                      uint64_t sequence)
{
    const struct sim_version *version = page->versions;

    if (page->sequence[sector] <= sequence) {
        return page->data + sector * SIM_SECTOR;
    }
    while (version != NULL && (version->sector != sector || version->sequence > sequence)) {
        version = version->next;
    }
    return version != NULL ? version->data : NULL;
}

/* Any pending version of the sector, each as likely. */
static const uint8_t *sim_cut_any(struct sim_cut *cut, const struct sim_page *page, unsigned sector)
{
    const uint8_t *chosen = page->data + sector * SIM_SECTOR;
    uint64_t seen = 1;

    for (const struct sim_version *version = page->versions; version != NULL;
         version = version->next) {
        if (version->sector == sector && random_below(&cut->disk->random, ++seen) == 0) {
            chosen = version->data;
        }
    }
    return chosen;
}

/* RANDOM and GARBAGE: durable holds the old bytes, and gets old, any version, or torn. */
static void sim_cut_random(struct sim_cut *cut, const struct sim_page *page, unsigned sector,
                           uint8_t *durable, bool fresh)
{
    struct random *random = &cut->disk->random;
    const uint64_t choice = random_below(random, 8);

    if (cut->disk->policy == SIM_CUT_GARBAGE && fresh && choice < 2) {
        random_fill(random, durable, SIM_SECTOR);
    } else if (choice < 3) {
        return;
    } else if (choice < 5) {
        memcpy(durable, page->data + sector * SIM_SECTOR, SIM_SECTOR);
    } else if (choice < 6) {
        memcpy(durable, sim_cut_any(cut, page, sector), SIM_SECTOR);
    } else {
        if (choice == 6) {
            memcpy(durable, sim_cut_any(cut, page, sector), SIM_SECTOR);
        }
        memcpy(durable, page->data + sector * SIM_SECTOR,
               random_between(random, 1, SIM_SECTOR - 1));
    }
}

static void sim_cut_sector(struct sim_cut *cut, struct sim_chunk *chunk, unsigned sector,
                           uint64_t offset, bool fresh)
{
    struct sim_disk *disk = cut->disk;
    const struct sim_page *page = chunk->page;
    uint8_t *durable = sim_chunk_durable(disk, chunk) + sector * SIM_SECTOR;
    const uint8_t *version = NULL;

    if (disk->delay == NULL &&
        (disk->policy == SIM_CUT_RANDOM || disk->policy == SIM_CUT_GARBAGE)) {
        sim_cut_random(cut, page, sector, durable, fresh);
        return;
    }
    if (disk->delay == NULL && disk->policy == SIM_CUT_FORWARD) {
        version = sim_cut_version(page, sector, cut->moment);
    } else if (sim_cut_keeps(cut, cut->path, offset, page->sequence[sector], SIM_WRITE)) {
        version = page->data + sector * SIM_SECTOR;
    }
    if (version != NULL) {
        memcpy(durable, version, SIM_SECTOR);
    }
}

static bool sim_chunk_is_zero(const uint8_t *data)
{
    return data == NULL || (data[0] == 0 && memcmp(data, data + 1, SIM_CHUNK - 1) == 0);
}

/* A chunk that holds bytes has space; one that does not follows what became of its allocation. */
static void sim_cut_chunk(struct sim_cut *cut, struct sim_node *node, uint32_t index)
{
    struct sim_disk *disk = cut->disk;
    struct sim_chunk *chunk = &node->chunks[index];
    struct sim_page *page = chunk->page;
    const bool fresh = chunk->durable == NULL;
    const unsigned dirty = page != NULL ? page->dirty : 0;

    for (unsigned sector = 0; dirty >> sector != 0; sector++) {
        if ((dirty & 1u << sector) != 0) {
            sim_cut_sector(cut, chunk, sector,
                           (uint64_t)index * SIM_CHUNK + (uint64_t)sector * SIM_SECTOR, fresh);
            sim_page_forget(disk, page, sector, UINT64_MAX);
        }
    }
    sim_pool_give(&disk->pages, page);
    chunk->page = NULL;
    chunk->listed = false;
    if (disk->delay != NULL || disk->policy == SIM_CUT_KEEP ||
        (disk->policy != SIM_CUT_DROP && random_chance(&disk->random, 50))) {
        chunk->allocated_durable = chunk->allocated;
    }
    if (!chunk->allocated_durable && sim_chunk_is_zero(chunk->durable)) {
        sim_pool_give(&disk->data, chunk->durable);
        chunk->durable = NULL;
    }
    chunk->allocated = chunk->allocated_durable || chunk->durable != NULL;
    chunk->allocated_durable = chunk->allocated;
}

static uint64_t sim_cut_size(struct sim_cut *cut, const struct sim_node *node)
{
    struct sim_disk *disk = cut->disk;
    uint64_t size = node->durable_size;

    if (node->size_count == 0) {
        return size;
    }
    if (disk->delay == NULL && disk->policy == SIM_CUT_FORWARD) {
        for (unsigned i = 0; i < node->size_count && node->sizes[i].sequence <= cut->moment; i++) {
            size = node->sizes[i].size;
        }
        return size;
    }
    if (!sim_cut_keeps(cut, cut->path, node->size, node->sizes[node->size_count - 1].sequence,
                       SIM_TRUNCATE)) {
        return size;
    }
    if (disk->delay == NULL &&
        (disk->policy == SIM_CUT_RANDOM || disk->policy == SIM_CUT_GARBAGE) &&
        random_chance(&disk->random, 25)) {
        return node->sizes[random_below(&disk->random, node->size_count)].size;
    }
    return node->size;
}

/* Nothing lies beyond the end of a file. */
static void sim_cut_tail(struct sim_disk *disk, struct sim_node *node)
{
    const uint64_t first = node->durable_size / SIM_CHUNK;
    uint32_t at = (uint32_t)(node->durable_size % SIM_CHUNK);

    for (uint64_t i = first; i < node->chunk_count; i++, at = 0) {
        struct sim_chunk *chunk = &node->chunks[i];

        if (at > 0) {
            if (chunk->durable != NULL) {
                memset(chunk->durable + at, 0, SIM_CHUNK - at);
            }
        } else {
            sim_pool_give(&disk->data, chunk->durable);
            *chunk = (struct sim_chunk){0};
        }
    }
}

static void sim_cut_file(struct sim_cut *cut, uint32_t index)
{
    struct sim_disk *disk = cut->disk;
    struct sim_node *node = disk->nodes[index];

    if (node->changed_count == 0 && node->size_count == 0) {
        return;
    }
    cut->file_kept = disk->policy == SIM_CUT_FILES && random_chance(&disk->random, 50);
    if (disk->delay != NULL) {
        sim_names_path(disk, index, cut->path);
    }
    for (uint32_t i = 0; i < node->changed_count; i++) {
        sim_cut_chunk(cut, node, node->changed[i]);
    }
    node->changed_count = 0;
    node->durable_size = sim_cut_size(cut, node);
    node->durable_size_sequence = disk->sequence;
    node->size = node->durable_size;
    node->size_count = 0;
    sim_cut_tail(disk, node);
    node->allocated = 0;
    for (uint32_t i = 0; i < node->chunk_count; i++) {
        node->allocated += node->chunks[i].allocated ? 1 : 0;
    }
}

static void sim_cut_names(struct sim_cut *cut)
{
    struct sim_disk *disk = cut->disk;
    char path[IO_PATH_SIZE] = "";

    while (disk->ops != NULL) {
        const struct sim_name_op *op = disk->ops;

        if (disk->delay != NULL) {
            size_t used;

            sim_names_path(disk, op->dir, path);
            used = strlen(path);
            (void)snprintf(path + used, sizeof path - used, "%s%s", used > 0 ? "/" : "",
                           op->name); /* Was shorter when it was made */
        }
        sim_names_decide(disk, &disk->ops, sim_cut_keeps(cut, path, 0, op->sequence, op->kind));
    }
}

static uint64_t sim_page_oldest(const struct sim_page *page, uint64_t oldest)
{
    for (unsigned i = 0; i < SIM_SECTORS; i++) {
        if ((page->dirty & 1u << i) != 0 && page->sequence[i] < oldest) {
            oldest = page->sequence[i];
        }
    }
    for (const struct sim_version *version = page->versions; version != NULL;
         version = version->next) {
        oldest = version->sequence < oldest ? version->sequence : oldest;
    }
    return oldest;
}

/* FORWARD and REVERSE: a moment between the oldest pending thing and now. */
static uint64_t sim_cut_moment(struct sim_disk *disk)
{
    uint64_t oldest = disk->ops != NULL ? disk->ops->sequence : disk->sequence;

    for (uint32_t i = 0; i < disk->node_count; i++) {
        const struct sim_node *node = disk->nodes[i];

        for (uint32_t j = 0; node != NULL && j < node->changed_count; j++) {
            const struct sim_page *page = node->chunks[node->changed[j]].page;

            oldest = page != NULL ? sim_page_oldest(page, oldest) : oldest;
        }
    }
    oldest -= oldest > 0 ? 1 : 0; /* Nothing at all may have been written, or everything */
    return random_between(&disk->random, oldest, disk->sequence);
}

static void sim_cut_reload_names(struct sim_disk *disk)
{
    for (uint32_t i = 0; i < disk->node_count; i++) {
        struct sim_node *node = disk->nodes[i];

        if (node != NULL && node->is_dir) {
            sim_table_copy(disk, &node->names, &node->durable_names);
        }
    }
    disk->used = 0;
    for (uint32_t i = 0; i < disk->node_count; i++) {
        if (disk->nodes[i] != NULL) {
            disk->nodes[i]->links = i == 0 ? 1 : 0;
            disk->nodes[i]->counted = false;
        }
    }
    for (uint32_t i = 0; i < disk->node_count; i++) {
        const struct sim_node *node = disk->nodes[i];

        for (uint32_t j = 0; node != NULL && j < node->names.count; j++) {
            disk->nodes[node->names.entries[j].node]->links = 1;
        }
    }
    for (uint32_t i = 0; i < disk->node_count; i++) {
        if (disk->nodes[i] != NULL) {
            sim_node_settle_space(disk, disk->nodes[i]);
        }
    }
}

/* Descriptors and locks end with the process, and every io open now is dead. */
static void sim_disk_end_processes(struct sim_disk *disk)
{
    disk->epoch++;
    disk->down = true;
    disk->cut_left = 0;
    for (uint32_t i = 0; i < disk->node_count; i++) {
        struct sim_node *node = disk->nodes[i];

        if (node != NULL) {
            node->opens = 0;
            node->locked_by = 0;
            sim_node_settle_space(disk, node);
        }
    }
}

void sim_disk_power_cut(struct sim_disk *disk)
{
    struct sim_cut cut = {.disk = disk};

    sim_disk_end_processes(disk);
    if (disk->policy == SIM_CUT_FORWARD || disk->policy == SIM_CUT_REVERSE) {
        cut.moment = sim_cut_moment(disk);
    }
    /* Files first: while the cache still knows their paths. */
    for (uint32_t i = 0; i < disk->node_count; i++) {
        if (disk->nodes[i] != NULL && !disk->nodes[i]->is_dir) {
            sim_cut_file(&cut, i);
        }
    }
    sim_cut_names(&cut);
    sim_cut_reload_names(disk);
}

void sim_disk_process_crash(struct sim_disk *disk)
{
    disk->cut_left = 0;
    for (struct sim_io *io = disk->ios; io != NULL; io = io->next) {
        sim_io_abandon(io);
    }
    sim_disk_end_processes(disk);
}

bool sim_disk_is_down(const struct sim_disk *disk)
{
    return disk->down;
}

void sim_disk_settle(struct sim_disk *disk)
{
    for (uint32_t i = 0; i < disk->node_count; i++) {
        struct sim_node *node = disk->nodes[i];

        if (node != NULL && !node->is_dir) {
            sim_file_commit(disk, node, sim_file_snapshot(disk, node), 100);
        }
    }
    while (disk->ops != NULL) {
        sim_names_decide(disk, &disk->ops, true);
    }
}

void sim_disk_drop_cache(struct sim_disk *disk)
{
    for (uint32_t i = 0; i < disk->node_count; i++) {
        struct sim_node *node = disk->nodes[i];

        for (uint32_t j = 0; node != NULL && j < node->changed_count; j++) {
            struct sim_chunk *chunk = &node->chunks[node->changed[j]];
            struct sim_page *page = chunk->page;

            for (unsigned k = 0; page != NULL && k < SIM_SECTORS; k++) {
                if ((page->lost & 1u << k) != 0) {
                    memcpy(page->data + k * SIM_SECTOR,
                           sim_chunk_durable(disk, chunk) + k * SIM_SECTOR, SIM_SECTOR);
                }
            }
            if (page != NULL) {
                page->lost = 0;
            }
        }
        if (node != NULL && !node->is_dir) {
            sim_file_commit(disk, node, (struct sim_snapshot){0, 0}, 0); /* Frees clean pages */
        }
    }
}

uint64_t sim_disk_pending(const struct sim_disk *disk)
{
    uint64_t count = 0;

    for (const struct sim_name_op *op = disk->ops; op != NULL; op = op->next) {
        count++;
    }
    for (uint32_t i = 0; i < disk->node_count; i++) {
        const struct sim_node *node = disk->nodes[i];

        count += node != NULL && node->size_count > 0 ? 1 : 0;
        for (uint32_t j = 0; node != NULL && j < node->changed_count; j++) {
            const struct sim_page *page = node->chunks[node->changed[j]].page;

            for (unsigned dirty = page != NULL ? page->dirty : 0; dirty != 0; dirty &= dirty - 1) {
                count++;
            }
        }
    }
    return count;
}
