/* The life of a simulated disk, and what tests do to one from outside: look, compare, copy,
 * damage. */
#include "tests/sim/io_sim_disk.h"

#include "core/check.h"

#include <stdlib.h>

static void sim_pools_init(struct sim_disk *disk)
{
    disk->data = (struct sim_pool){.item_size = SIM_CHUNK};
    disk->pages = (struct sim_pool){.item_size = sizeof(struct sim_page)};
    disk->versions = (struct sim_pool){.item_size = sizeof(struct sim_version)};
}

struct sim_disk *sim_disk_new(uint64_t seed)
{
    struct sim_disk *disk = sim_alloc(sizeof *disk);
    uint32_t root;

    random_init(&disk->random, seed);
    disk->epoch = 1;
    disk->ops_end = &disk->ops;
    sim_pools_init(disk);
    disk->capacity = UINT64_MAX / SIM_CHUNK;
    disk->cold_percent = 10;
    disk->pace_percent = 50;
    disk->op_us_max = 20;
    disk->sync_us_max = 2000;
    root = sim_node_new(disk, true);
    disk->nodes[root]->refs = 1;
    disk->nodes[root]->links = 1;
    sim_node_settle_space(disk, disk->nodes[root]);
    return disk;
}

static void sim_table_free(struct sim_table *table)
{
    for (uint32_t i = 0; i < table->count; i++) {
        free(table->entries[i].name);
    }
    free(table->entries);
}

void sim_disk_free(struct sim_disk *disk)
{
    if (disk == NULL) {
        return;
    }
    CHECK(disk->ios == NULL);
    while (disk->ops != NULL) {
        sim_names_decide(disk, &disk->ops, false);
    }
    for (uint32_t i = 0; i < disk->node_count; i++) {
        struct sim_node *node = disk->nodes[i];

        if (node != NULL) {
            sim_table_free(&node->names);
            sim_table_free(&node->durable_names);
            free(node->chunks);
            free(node->changed);
            free(node);
        }
    }
    free(disk->nodes);
    sim_pool_deinit(&disk->data);
    sim_pool_deinit(&disk->pages);
    sim_pool_deinit(&disk->versions);
    free(disk->trace);
    free(disk);
}

void sim_disk_seed(struct sim_disk *disk, uint64_t seed)
{
    random_init(&disk->random, seed);
}

static void sim_clone_table(struct sim_table *to, const struct sim_table *from)
{
    to->entries = sim_alloc(from->room * sizeof *to->entries);
    for (uint32_t i = 0; i < from->count; i++) {
        to->entries[i] =
            (struct sim_entry){sim_copy_string(from->entries[i].name), from->entries[i].node};
    }
}

static struct sim_page *sim_clone_page(struct sim_disk *disk, const struct sim_page *from)
{
    struct sim_page *page = sim_pool_take(&disk->pages);
    struct sim_version **end = &page->versions;

    *page = *from;
    for (const struct sim_version *version = from->versions; version != NULL;
         version = version->next) {
        *end = sim_pool_take(&disk->versions);
        **end = *version;
        end = &(*end)->next;
    }
    *end = NULL;
    return page;
}

/* refs and opens without the descriptors of the original. */
static struct sim_node *sim_clone_node(struct sim_disk *disk, const struct sim_node *from)
{
    struct sim_node *node = sim_alloc(sizeof *node);

    *node = *from;
    node->locked_by = 0;
    node->chunks = sim_alloc(from->chunk_count * sizeof *node->chunks);
    for (uint32_t i = 0; i < from->chunk_count; i++) {
        node->chunks[i] = from->chunks[i];
        if (from->chunks[i].durable != NULL) {
            node->chunks[i].durable = sim_pool_take(&disk->data);
            memcpy(node->chunks[i].durable, from->chunks[i].durable, SIM_CHUNK);
        }
        if (from->chunks[i].page != NULL) {
            node->chunks[i].page = sim_clone_page(disk, from->chunks[i].page);
        }
    }
    node->changed = sim_alloc(from->changed_room * sizeof *node->changed);
    for (uint32_t i = 0; i < from->changed_count; i++) {
        node->changed[i] = from->changed[i];
    }
    sim_clone_table(&node->names, &from->names);
    sim_clone_table(&node->durable_names, &from->durable_names);
    return node;
}

/* References of the clone are those of its own tables and operations: what only a descriptor of
 * the original kept alive goes. */
static void sim_clone_references(struct sim_disk *disk)
{
    for (uint32_t i = 0; i < disk->node_count; i++) {
        if (disk->nodes[i] != NULL) {
            disk->nodes[i]->refs = 1;
            disk->nodes[i]->opens = 0;
        }
    }
    for (uint32_t i = 0; i < disk->node_count; i++) {
        const struct sim_node *node = disk->nodes[i];

        for (uint32_t j = 0; node != NULL && j < node->names.count; j++) {
            disk->nodes[node->names.entries[j].node]->refs++;
        }
        for (uint32_t j = 0; node != NULL && j < node->durable_names.count; j++) {
            disk->nodes[node->durable_names.entries[j].node]->refs++;
        }
    }
    for (const struct sim_name_op *op = disk->ops; op != NULL; op = op->next) {
        disk->nodes[op->node]->refs++;
    }
    for (uint32_t i = 1; i < disk->node_count; i++) { /* The root keeps its one */
        if (disk->nodes[i] != NULL) {
            sim_node_settle_space(disk, disk->nodes[i]);
            sim_node_put(disk, i);
        }
    }
}

struct sim_disk *sim_disk_clone(const struct sim_disk *original)
{
    struct sim_disk *disk = sim_alloc(sizeof *disk);

    *disk = *original;
    disk->ios = NULL;
    disk->trace = NULL;
    disk->trace_room = 0;
    disk->cut_left = 0;
    disk->watch = NULL;
    sim_disk_clear_faults(disk);
    sim_pools_init(disk);
    disk->nodes = sim_alloc(original->node_room * sizeof(struct sim_node *));
    for (uint32_t i = 0; i < original->node_count; i++) {
        if (original->nodes[i] != NULL) {
            disk->nodes[i] = sim_clone_node(disk, original->nodes[i]);
        }
    }
    disk->ops = NULL;
    disk->ops_end = &disk->ops;
    for (const struct sim_name_op *op = original->ops; op != NULL; op = op->next) {
        struct sim_name_op *copy = sim_alloc(sizeof *copy);

        *copy = *op;
        copy->next = NULL;
        copy->name = sim_copy_string(op->name);
        copy->name_from = op->name_from != NULL ? sim_copy_string(op->name_from) : NULL;
        *disk->ops_end = copy;
        disk->ops_end = &copy->next;
    }
    sim_clone_references(disk);
    return disk;
}

static struct sim_node *sim_tool_node(const struct sim_disk *disk, const char *path)
{
    uint32_t node;

    CHECK(sim_names_lookup(disk, path, &node) == 0);
    CHECK(!disk->nodes[node]->is_dir);
    return disk->nodes[node];
}

bool sim_disk_exists(const struct sim_disk *disk, const char *path)
{
    uint32_t node;

    return sim_names_lookup(disk, path, &node) == 0;
}

uint8_t *sim_disk_file(const struct sim_disk *disk, const char *path, uint64_t *size)
{
    const struct sim_node *node = sim_tool_node(disk, path);
    uint8_t *data = sim_alloc(node->durable_size);

    for (uint64_t at = 0; at < node->durable_size; at += SIM_CHUNK) {
        const uint64_t left = node->durable_size - at;
        const uint64_t number = at / SIM_CHUNK;

        if (number < node->chunk_count && node->chunks[number].durable != NULL) {
            memcpy(data + at, node->chunks[number].durable, left < SIM_CHUNK ? left : SIM_CHUNK);
        }
    }
    *size = node->durable_size;
    return data;
}

/* Put bytes (NULL: zeros) into both images of one chunk. */
static void sim_tool_put(struct sim_disk *disk, struct sim_node *node, uint64_t offset,
                         const uint8_t *data, size_t size)
{
    struct sim_chunk *chunk = &node->chunks[offset / SIM_CHUNK];
    uint8_t *images[2] = {sim_chunk_durable(disk, chunk), NULL};

    images[1] = chunk->page != NULL ? chunk->page->data : NULL;
    for (size_t i = 0; i < 2 && images[i] != NULL; i++) {
        if (data != NULL) {
            memcpy(images[i] + offset % SIM_CHUNK, data, size);
        } else {
            memset(images[i] + offset % SIM_CHUNK, 0, size);
        }
    }
    if (!chunk->allocated) {
        node->allocated++;
        disk->used++;
    }
    chunk->allocated = true;
    chunk->allocated_durable = true;
}

static void sim_tool_write(struct sim_disk *disk, const char *path, uint64_t offset,
                           const uint8_t *data, size_t size)
{
    struct sim_node *node = sim_tool_node(disk, path);
    const uint64_t end = offset + size;

    sim_file_reserve(node, (end + SIM_CHUNK - 1) / SIM_CHUNK);
    while (offset < end) {
        const uint64_t room = SIM_CHUNK - offset % SIM_CHUNK;
        const uint64_t part = end - offset < room ? end - offset : room;

        sim_tool_put(disk, node, offset, data, (size_t)part);
        if (data != NULL) {
            data += part;
        }
        offset += part;
    }
    node->size = node->size > end ? node->size : end;
    node->durable_size = node->durable_size > end ? node->durable_size : end;
}

void sim_disk_overwrite(struct sim_disk *disk, const char *path, uint64_t offset, const void *data,
                        size_t size)
{
    sim_tool_write(disk, path, offset, data, size);
}

void sim_disk_zero(struct sim_disk *disk, const char *path, uint64_t offset, size_t size)
{
    sim_tool_write(disk, path, offset, NULL, size);
}

void sim_disk_flip_bit(struct sim_disk *disk, const char *path, uint64_t bit)
{
    const struct sim_node *node = sim_tool_node(disk, path);
    const uint64_t at = bit / 8;
    const struct sim_chunk *chunk;
    uint8_t byte = 0;

    CHECK(at < node->durable_size);
    if (at / SIM_CHUNK < node->chunk_count) {
        chunk = &node->chunks[at / SIM_CHUNK];
        byte = chunk->durable != NULL ? chunk->durable[at % SIM_CHUNK] : 0;
    }
    byte = (uint8_t)(byte ^ (1u << bit % 8));
    sim_tool_write(disk, path, at, &byte, 1);
}

void sim_disk_copy(struct sim_disk *disk, const char *from, uint64_t from_offset, const char *to,
                   uint64_t to_offset, size_t size)
{
    uint64_t held;
    uint8_t *data = sim_disk_file(disk, from, &held);

    CHECK(from_offset + size <= held);
    sim_tool_write(disk, to, to_offset, data + from_offset, size);
    free(data);
}

void sim_disk_resize(struct sim_disk *disk, const char *path, uint64_t size)
{
    struct sim_node *node;
    uint32_t index;

    CHECK(sim_names_lookup(disk, path, &index) == 0);
    node = disk->nodes[index];
    CHECK(!node->is_dir);
    sim_file_truncate(disk, index, size);
    sim_file_commit(disk, node, sim_file_snapshot(disk, node), 100);
}

typedef void sim_walk_fn(void *arg, const char *path, const struct sim_node *node);

/* Every durable name below a directory whose path stands in path. */
static void sim_walk(const struct sim_disk *disk, uint32_t dir, char path[IO_PATH_SIZE],
                     sim_walk_fn *fn, void *arg)
{
    const struct sim_table *names = &disk->nodes[dir]->durable_names;
    const size_t used = strlen(path);

    for (uint32_t i = 0; i < names->count; i++) {
        (void)snprintf(path + used, IO_PATH_SIZE - used, "%s%s", used > 0 ? "/" : "",
                       names->entries[i].name); /* Was shorter when it was created */
        fn(arg, path, disk->nodes[names->entries[i].node]);
        sim_walk(disk, names->entries[i].node, path, fn, arg);
        path[used] = '\0';
    }
}

struct sim_listing {
    sim_file_fn *fn;
    void *arg;
};

static void sim_list_one(void *arg, const char *path, const struct sim_node *node)
{
    const struct sim_listing *listing = arg;

    if (!node->is_dir) {
        listing->fn(listing->arg, path, node->durable_size);
    }
}

void sim_disk_list(const struct sim_disk *disk, sim_file_fn *fn, void *arg)
{
    struct sim_listing listing = {fn, arg};
    char path[IO_PATH_SIZE] = "";

    sim_walk(disk, 0, path, sim_list_one, &listing);
}

/* Words that are zero do not count, so holes equal written zeros. Nothing durable lies beyond the
 * end but by a write whose size is still pending: left out. */
static void sim_hash_one(void *arg, const char *path, const struct sim_node *node)
{
    uint64_t *sum = arg;
    uint64_t hash = sim_mix(node->is_dir ? 1 : 2, node->durable_size);

    for (size_t i = 0; path[i] != '\0'; i++) {
        hash = (hash ^ (uint8_t)path[i]) * UINT64_C(0x100000001b3);
    }
    for (uint64_t at = 0; at < node->durable_size; at += sizeof(uint64_t)) {
        const uint64_t left = node->durable_size - at;
        const struct sim_chunk *chunk = NULL;
        uint64_t word = 0;

        if (at / SIM_CHUNK < node->chunk_count) {
            chunk = &node->chunks[at / SIM_CHUNK];
        }
        if (chunk == NULL || chunk->durable == NULL) {
            at += SIM_CHUNK - sizeof word;
            continue;
        }
        memcpy(&word, chunk->durable + at % SIM_CHUNK, left < sizeof word ? left : sizeof word);
        if (word != 0) {
            hash = sim_mix(sim_mix(hash, at), word);
        }
    }
    *sum += hash; /* Whatever the order of the names */
}

uint64_t sim_disk_hash(const struct sim_disk *disk)
{
    char path[IO_PATH_SIZE] = "";
    uint64_t sum = 0;

    sim_walk(disk, 0, path, sim_hash_one, &sum);
    return sum;
}
