/* Contents and sizes of simulated files. Work is proportional to the chunks touched or changed,
 * never to the file: a chunk that is clean has no page, and a changed one is in its node's list.
 *
 * Invariants of a chunk: without a page the cache says what `durable` holds; with one, exactly the
 * sectors in `dirty` are pending and those in `lost` differ without being pending. A chunk with a
 * page, or whose allocation is pending, is listed. */
#include "tests/sim/io_sim_disk.h"

#include "core/check.h"

#include <errno.h>
#include <stdlib.h>

void sim_file_reserve(struct sim_node *node, uint64_t chunk_count)
{
    if (chunk_count > node->chunk_count) {
        const uint64_t doubled = (uint64_t)node->chunk_count * 2;
        const uint64_t grown = chunk_count > doubled ? chunk_count : doubled;

        CHECK(grown < UINT32_MAX);
        node->chunks = realloc(node->chunks, grown * sizeof *node->chunks);
        CHECK(node->chunks != NULL);
        memset(node->chunks + node->chunk_count, 0,
               (grown - node->chunk_count) * sizeof *node->chunks);
        node->chunk_count = (uint32_t)grown;
    }
}

void sim_file_mark(struct sim_node *node, uint32_t index)
{
    if (!node->chunks[index].listed) {
        node->chunks[index].listed = true;
        node->changed = sim_grow(node->changed, &node->changed_room, node->changed_count,
                                 sizeof *node->changed);
        node->changed[node->changed_count++] = index;
    }
}

/* Forget the older versions of a sector up to a sequence. */
void sim_page_forget(struct sim_disk *disk, struct sim_page *page, unsigned sector,
                     uint64_t sequence)
{
    struct sim_version **link = &page->versions;

    while (*link != NULL) {
        struct sim_version *version = *link;

        if (version->sector == sector && version->sequence <= sequence) {
            *link = version->next;
            sim_pool_give(&disk->versions, version);
        } else {
            link = &version->next;
        }
    }
}

/* Free the page of a chunk if nothing is special about it any more. */
void sim_page_release(struct sim_disk *disk, struct sim_chunk *chunk)
{
    if (chunk->page != NULL && chunk->page->dirty == 0 && chunk->page->lost == 0) {
        CHECK(chunk->page->versions == NULL);
        sim_pool_give(&disk->pages, chunk->page);
        chunk->page = NULL;
        if (!chunk->allocated) {
            /* Every sector of a punched chunk was zeroed, and that is durable by now. */
            sim_pool_give(&disk->data, chunk->durable);
            chunk->durable = NULL;
        }
    }
}

uint8_t *sim_chunk_durable(struct sim_disk *disk, struct sim_chunk *chunk)
{
    if (chunk->durable == NULL) {
        chunk->durable = sim_pool_take(&disk->data);
        memset(chunk->durable, 0, SIM_CHUNK);
    }
    return chunk->durable;
}

static struct sim_page *sim_file_page(struct sim_disk *disk, struct sim_node *node, uint32_t index)
{
    struct sim_chunk *chunk = &node->chunks[index];
    struct sim_page *page = chunk->page;

    if (page == NULL) {
        page = sim_pool_take(&disk->pages);
        page->versions = NULL;
        page->dirty = 0;
        page->lost = 0;
        if (chunk->durable != NULL) {
            memcpy(page->data, chunk->durable, SIM_CHUNK);
        } else {
            memset(page->data, 0, SIM_CHUNK);
        }
        chunk->page = page;
        sim_file_mark(node, index);
    }
    return page;
}

/* Forget one older version of a sector to stay within SIM_VERSIONS: the oldest, but not one that a
 * submitted sync has promised to make durable if that can be helped. */
static void sim_page_trim(struct sim_disk *disk, uint32_t index, struct sim_page *page,
                          unsigned sector)
{
    uint64_t newer = disk->sequence + 1;
    struct sim_version **oldest = NULL;
    struct sim_version **victim = NULL;
    struct sim_version *version;
    unsigned count = 0;

    for (struct sim_version **link = &page->versions; *link != NULL; link = &(*link)->next) {
        if ((*link)->sector == sector) {
            count++;
            oldest = link;
            if (!sim_io_sync_between(disk, index, (*link)->sequence, newer)) {
                victim = link;
            }
            newer = (*link)->sequence;
        }
    }
    if (count >= SIM_VERSIONS) {
        victim = victim != NULL ? victim : oldest;
        version = *victim;
        *victim = version->next;
        sim_pool_give(&disk->versions, version);
    }
}

/* The sector is about to get new bytes: keep those it has, if they are pending. */
static void sim_page_touch(struct sim_disk *disk, uint32_t index, struct sim_page *page,
                           unsigned sector)
{
    const unsigned bit = 1u << sector;

    if ((page->dirty & bit) != 0) {
        struct sim_version *version = sim_pool_take(&disk->versions);

        version->next = page->versions;
        version->sequence = page->sequence[sector];
        version->sector = sector;
        memcpy(version->data, page->data + sector * SIM_SECTOR, SIM_SECTOR);
        page->versions = version;
        sim_page_trim(disk, index, page, sector);
    }
    page->dirty |= bit;
    page->lost &= ~bit;
    page->sequence[sector] = ++disk->sequence;
}

/* Put bytes (NULL: zeros) into one chunk of the cache. */
static void sim_chunk_put(struct sim_disk *disk, uint32_t index, uint32_t chunk, uint32_t at,
                          const uint8_t *data, uint32_t size)
{
    struct sim_node *node = disk->nodes[index];
    struct sim_page *page = sim_file_page(disk, node, chunk);

    for (unsigned sector = at / SIM_SECTOR; sector <= (at + size - 1) / SIM_SECTOR; sector++) {
        sim_page_touch(disk, index, page, sector);
    }
    /* The kernel writes whole pages: what a failed sync lost beside these bytes may come back. */
    for (unsigned sector = 0; page->lost != 0 && sector < SIM_SECTORS; sector++) {
        if ((page->lost & 1u << sector) != 0 && random_chance(&disk->random, 50)) {
            sim_page_touch(disk, index, page, sector);
        }
    }
    if (data != NULL) {
        memcpy(page->data + at, data, size);
    } else {
        memset(page->data + at, 0, size);
    }
}

static bool sim_chunk_allocate(struct sim_disk *disk, struct sim_node *node, uint32_t chunk)
{
    if (!node->chunks[chunk].allocated) {
        if (node->counted && disk->used >= disk->capacity) {
            return false;
        }
        node->chunks[chunk].allocated = true;
        node->allocated++;
        disk->used += node->counted ? 1 : 0;
        sim_file_mark(node, chunk);
    }
    return true;
}

static void sim_file_set_size(struct sim_disk *disk, struct sim_node *node, uint64_t size)
{
    if (size == node->size) {
        return;
    }
    if (node->size_count == SIM_VERSIONS) {
        memmove(node->sizes, node->sizes + 1, (SIM_VERSIONS - 1) * sizeof *node->sizes);
        node->size_count--;
    }
    node->sizes[node->size_count++] = (struct sim_size){++disk->sequence, size};
    node->size = size;
}

int sim_file_write(struct sim_disk *disk, uint32_t index, uint64_t offset, const uint8_t *data,
                   uint64_t size)
{
    struct sim_node *node = disk->nodes[index];
    uint64_t done = 0;
    int os_error = 0;

    sim_file_reserve(node, (offset + size + SIM_CHUNK - 1) / SIM_CHUNK);
    while (done < size && os_error == 0) {
        const uint32_t chunk = (uint32_t)((offset + done) / SIM_CHUNK);
        const uint32_t at = (uint32_t)((offset + done) % SIM_CHUNK);
        const uint64_t left = size - done;
        const uint32_t part = left < SIM_CHUNK - at ? (uint32_t)left : SIM_CHUNK - at;

        if (sim_chunk_allocate(disk, node, chunk)) {
            sim_chunk_put(disk, index, chunk, at, data + done, part);
            done += part;
        } else {
            os_error = ENOSPC;
        }
    }
    if (done > 0 && offset + done > node->size) {
        sim_file_set_size(disk, node, offset + done);
    }
    return os_error;
}

/* Zero [from, to) of the cache and give back the chunks that lie in it entirely. */
static void sim_file_erase(struct sim_disk *disk, uint32_t index, uint64_t from, uint64_t to)
{
    struct sim_node *node = disk->nodes[index];
    const uint64_t held = (uint64_t)node->chunk_count * SIM_CHUNK;

    to = to < held ? to : held;
    while (from < to) {
        const uint32_t at = (uint32_t)(from % SIM_CHUNK);
        const uint64_t left = to - from;
        const uint32_t part = left < SIM_CHUNK - at ? (uint32_t)left : SIM_CHUNK - at;
        const uint32_t number = (uint32_t)(from / SIM_CHUNK);
        struct sim_chunk *chunk = &node->chunks[number];

        if (chunk->page != NULL || chunk->durable != NULL) {
            sim_chunk_put(disk, index, number, at, NULL, part);
        }
        if (part == SIM_CHUNK && chunk->allocated) {
            chunk->allocated = false;
            node->allocated--;
            disk->used -= node->counted ? 1 : 0;
            sim_file_mark(node, number);
        }
        from += part;
    }
}

void sim_file_truncate(struct sim_disk *disk, uint32_t index, uint64_t size)
{
    if (size < disk->nodes[index]->size) {
        sim_file_erase(disk, index, size, UINT64_MAX);
    }
    sim_file_set_size(disk, disk->nodes[index], size);
}

void sim_file_punch(struct sim_disk *disk, uint32_t index, uint64_t offset, uint64_t size)
{
    sim_file_erase(disk, index, offset, offset + size);
}

int sim_file_allocate(struct sim_disk *disk, uint32_t index, uint64_t offset, uint64_t size)
{
    struct sim_node *node = disk->nodes[index];
    const uint64_t first = offset / SIM_CHUNK;
    const uint64_t end = (offset + size + SIM_CHUNK - 1) / SIM_CHUNK;
    uint64_t missing = 0;

    sim_file_reserve(node, end);
    for (uint64_t i = first; i < end; i++) {
        missing += node->chunks[i].allocated ? 0 : 1;
    }
    if (node->counted && missing > 0 && disk->used + missing > disk->capacity) {
        return ENOSPC;
    }
    for (uint64_t i = first; i < end; i++) {
        CHECK(sim_chunk_allocate(disk, node, (uint32_t)i));
    }
    if (offset + size > node->size) {
        sim_file_set_size(disk, node, offset + size);
    }
    return 0;
}

/* One piece within a chunk, sector by sector only where a failed sync left a difference. */
static void sim_chunk_read(const struct sim_chunk *chunk, uint32_t at, uint8_t *data, uint32_t size,
                           bool device)
{
    const struct sim_page *page = chunk->page;

    if (page != NULL) {
        memcpy(data, page->data + at, size);
    } else if (chunk->durable != NULL) {
        memcpy(data, chunk->durable + at, size);
    } else {
        memset(data, 0, size);
    }
    for (uint32_t i = 0; device && page != NULL && page->lost != 0 && i < size; i++) {
        if ((page->lost & 1u << (at + i) / SIM_SECTOR) != 0) {
            data[i] = chunk->durable != NULL ? chunk->durable[at + i] : 0;
        }
    }
}

uint64_t sim_file_read(const struct sim_node *node, uint64_t offset, uint8_t *data, uint64_t size,
                       bool device)
{
    const struct sim_chunk hole = {0};
    uint64_t done = 0;

    if (offset >= node->size) {
        return 0;
    }
    size = size < node->size - offset ? size : node->size - offset;
    while (done < size) {
        const uint64_t number = (offset + done) / SIM_CHUNK;
        const uint32_t at = (uint32_t)((offset + done) % SIM_CHUNK);
        const uint64_t left = size - done;
        const uint32_t part = left < SIM_CHUNK - at ? (uint32_t)left : SIM_CHUNK - at;

        sim_chunk_read(number < node->chunk_count ? &node->chunks[number] : &hole, at, data + done,
                       part, device);
        done += part;
    }
    return size;
}

struct sim_snapshot sim_file_snapshot(const struct sim_disk *disk, const struct sim_node *node)
{
    return (struct sim_snapshot){disk->sequence, node->size};
}

/* Make durable what the sector held at the moment of the snapshot. */
static void sim_sector_commit(struct sim_disk *disk, struct sim_chunk *chunk, unsigned sector,
                              uint64_t sequence)
{
    struct sim_page *page = chunk->page;
    const struct sim_version *version = page->versions;
    uint8_t *to = sim_chunk_durable(disk, chunk) + sector * SIM_SECTOR;

    if (page->sequence[sector] <= sequence) {
        memcpy(to, page->data + sector * SIM_SECTOR, SIM_SECTOR);
        page->dirty &= ~(1u << sector);
        sim_page_forget(disk, page, sector, UINT64_MAX);
        return;
    }
    while (version != NULL && (version->sector != sector || version->sequence > sequence)) {
        version = version->next;
    }
    if (version != NULL) {
        memcpy(to, version->data, SIM_SECTOR);
        sim_page_forget(disk, page, sector, sequence);
    }
}

static void sim_size_commit(struct sim_node *node, struct sim_snapshot snapshot)
{
    unsigned kept = 0;

    if (snapshot.sequence >= node->durable_size_sequence) {
        node->durable_size = snapshot.size;
        node->durable_size_sequence = snapshot.sequence;
    }
    for (unsigned i = 0; i < node->size_count; i++) {
        if (node->sizes[i].sequence > snapshot.sequence) {
            node->sizes[kept++] = node->sizes[i];
        }
    }
    node->size_count = kept;
}

void sim_file_commit(struct sim_disk *disk, struct sim_node *node, struct sim_snapshot snapshot,
                     unsigned percent)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < node->changed_count; i++) {
        const uint32_t index = node->changed[i];
        struct sim_chunk *chunk = &node->chunks[index];
        const unsigned dirty = chunk->page != NULL ? chunk->page->dirty : 0;

        for (unsigned sector = 0; dirty >> sector != 0; sector++) {
            if ((dirty & 1u << sector) != 0 && random_chance(&disk->random, percent)) {
                sim_sector_commit(disk, chunk, sector, snapshot.sequence);
            }
        }
        if (percent >= 100) {
            chunk->allocated_durable = chunk->allocated;
        }
        sim_page_release(disk, chunk);
        chunk->listed = chunk->page != NULL || chunk->allocated != chunk->allocated_durable;
        if (chunk->listed) {
            node->changed[kept++] = index;
        }
    }
    node->changed_count = kept;
    if (percent >= 100) {
        sim_size_commit(node, snapshot);
    }
}

/* What the sync covered and is still pending will never be written, and nobody knows. Space given
 * back is no page but the file system's own record, and stays pending. */
void sim_file_lose(struct sim_disk *disk, struct sim_node *node, uint64_t sequence)
{
    for (uint32_t i = 0; i < node->changed_count; i++) {
        const struct sim_chunk *chunk = &node->chunks[node->changed[i]];
        struct sim_page *page = chunk->allocated ? chunk->page : NULL;

        for (unsigned sector = 0; page != NULL && sector < SIM_SECTORS; sector++) {
            if ((page->dirty & 1u << sector) == 0) {
                continue;
            }
            sim_page_forget(disk, page, sector, sequence);
            if (page->sequence[sector] <= sequence) {
                page->dirty &= ~(1u << sector);
                page->lost |= 1u << sector;
            }
        }
    }
}

void sim_file_free(struct sim_disk *disk, struct sim_node *node)
{
    for (uint32_t i = 0; i < node->changed_count; i++) {
        struct sim_page *page = node->chunks[node->changed[i]].page;

        for (unsigned sector = 0; page != NULL && sector < SIM_SECTORS; sector++) {
            sim_page_forget(disk, page, sector, UINT64_MAX);
        }
        sim_pool_give(&disk->pages, page);
    }
    for (uint32_t i = 0; i < node->chunk_count; i++) {
        sim_pool_give(&disk->data, node->chunks[i].durable);
    }
    free(node->chunks);
    free(node->changed);
}
