/* Directories of the simulated disk: one table of names as the cache has them, one as the device
 * has them, and between the two the list of pending operations in the order they happened.
 *
 * An operation is applied to the durable tables only where it fits: an unlink of a name that leads
 * to the same node, a rename whose source is there, a creation of a free name. Synced in order
 * everything fits; after a power cut that drops some, what rested on a dropped one goes too. */
#include "tests/sim/io_sim_disk.h"

#include "core/check.h"

#include <errno.h>
#include <stdlib.h>

#define SIM_NAME_MAX 255u

/* Where a path leads: the directory that has, or would have, its last part. */
struct sim_place {
    uint32_t dir;
    uint32_t node; /* SIM_NO_NODE: no such name */
    char name[SIM_NAME_MAX + 1];
};

uint32_t sim_node_new(struct sim_disk *disk, bool is_dir)
{
    struct sim_node *node = sim_alloc(sizeof *node);

    node->is_dir = is_dir;
    disk->nodes =
        sim_grow(disk->nodes, &disk->node_room, disk->node_count, sizeof(struct sim_node *));
    disk->nodes[disk->node_count] = node;
    return disk->node_count++;
}

void sim_node_put(struct sim_disk *disk, uint32_t index)
{
    struct sim_node *node = disk->nodes[index];

    CHECK(node->refs > 0);
    node->refs--;
    if (node->refs == 0) {
        sim_table_clear(disk, &node->names);
        sim_table_clear(disk, &node->durable_names);
        sim_file_free(disk, node);
        free(node);
        disk->nodes[index] = NULL;
    }
}

/* Count the node's space while it has a name or a descriptor, as the kernel does. */
void sim_node_settle_space(struct sim_disk *disk, struct sim_node *node)
{
    const bool counted = node->links > 0 || node->opens > 0;

    if (counted && !node->counted) {
        disk->used += node->allocated + 1u;
    } else if (!counted && node->counted) {
        disk->used -= node->allocated + 1u;
    }
    node->counted = counted;
}

static uint32_t sim_table_slot(const struct sim_table *table, const char *name)
{
    uint32_t i = 0;

    while (i < table->count && strcmp(table->entries[i].name, name) != 0) {
        i++;
    }
    return i;
}

uint32_t sim_table_find(const struct sim_table *table, const char *name)
{
    const uint32_t slot = sim_table_slot(table, name);

    return slot < table->count ? table->entries[slot].node : SIM_NO_NODE;
}

static void sim_table_add(struct sim_disk *disk, struct sim_table *table, const char *name,
                          uint32_t node)
{
    table->entries = sim_grow(table->entries, &table->room, table->count, sizeof(struct sim_entry));
    table->entries[table->count++] = (struct sim_entry){sim_copy_string(name), node};
    disk->nodes[node]->refs++;
}

static void sim_table_remove(struct sim_disk *disk, struct sim_table *table, const char *name)
{
    const uint32_t slot = sim_table_slot(table, name);
    struct sim_entry entry;

    CHECK(slot < table->count);
    entry = table->entries[slot];
    memmove(table->entries + slot, table->entries + slot + 1,
            (table->count - slot - 1) * sizeof(struct sim_entry));
    table->count--;
    free(entry.name);
    sim_node_put(disk, entry.node);
}

void sim_table_clear(struct sim_disk *disk, struct sim_table *table)
{
    while (table->count > 0) {
        sim_table_remove(disk, table, table->entries[table->count - 1].name);
    }
    free(table->entries);
    *table = (struct sim_table){0};
}

/* Make a table equal to another; nodes already have the references of that one, get ours too. */
void sim_table_copy(struct sim_disk *disk, struct sim_table *to, const struct sim_table *from)
{
    struct sim_table old = *to;

    *to = (struct sim_table){0};
    for (uint32_t i = 0; i < from->count; i++) {
        sim_table_add(disk, to, from->entries[i].name, from->entries[i].node);
    }
    sim_table_clear(disk, &old);
}

/* Take the next part of a path into name; the rules are those of io.h. */
static int sim_path_part(const char **path, char name[SIM_NAME_MAX + 1])
{
    const size_t size = strcspn(*path, "/");

    if (size > SIM_NAME_MAX) {
        return ENAMETOOLONG;
    }
    memcpy(name, *path, size);
    name[size] = '\0';
    *path += size;
    *path += **path == '/' ? 1 : 0;
    return size == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ? EXDEV : 0;
}

static int sim_names_place(const struct sim_disk *disk, const char *path, struct sim_place *place)
{
    int os_error = strlen(path) < IO_PATH_SIZE ? 0 : ENAMETOOLONG;

    place->dir = 0;
    place->node = 0;
    while (os_error == 0) {
        place->dir = place->node;
        if (place->dir == SIM_NO_NODE) {
            return ENOENT;
        }
        if (!disk->nodes[place->dir]->is_dir) {
            return ENOTDIR;
        }
        os_error = sim_path_part(&path, place->name);
        if (os_error == 0) {
            place->node = sim_table_find(&disk->nodes[place->dir]->names, place->name);
        }
        if (*path == '\0') {
            break;
        }
    }
    return os_error;
}

int sim_names_lookup(const struct sim_disk *disk, const char *path, uint32_t *node)
{
    struct sim_place place;
    int os_error;

    *node = 0;
    if (*path == '\0') {
        return 0;
    }
    os_error = sim_names_place(disk, path, &place);
    *node = place.node;
    return os_error != 0 ? os_error : place.node == SIM_NO_NODE ? ENOENT : 0;
}

/* Note a change of the cache's names as pending. from: the source of a rename. */
static void sim_names_pend(struct sim_disk *disk, enum sim_kind kind, uint32_t node,
                           const struct sim_place *place, const struct sim_place *from)
{
    struct sim_name_op *op = sim_alloc(sizeof *op);

    op->sequence = ++disk->sequence;
    op->kind = kind;
    op->node = node;
    op->dir = place->dir;
    op->name = sim_copy_string(place->name);
    op->dir_from = from != NULL ? from->dir : place->dir;
    op->name_from = from != NULL ? sim_copy_string(from->name) : NULL;
    disk->nodes[node]->refs++;
    *disk->ops_end = op;
    disk->ops_end = &op->next;
}

int sim_names_create(struct sim_disk *disk, const char *path, bool is_dir, uint32_t *node)
{
    struct sim_place place;
    const int os_error = sim_names_place(disk, path, &place);

    if (os_error != 0) {
        return os_error;
    }
    if (place.node != SIM_NO_NODE) {
        return EEXIST;
    }
    if (disk->used >= disk->capacity) {
        return ENOSPC;
    }
    *node = sim_node_new(disk, is_dir);
    sim_table_add(disk, &disk->nodes[place.dir]->names, place.name, *node);
    disk->nodes[*node]->links = 1;
    sim_node_settle_space(disk, disk->nodes[*node]);
    sim_names_pend(disk, is_dir ? SIM_MAKE_DIR : SIM_CREATE, *node, &place, NULL);
    return 0;
}

/* Take a name out of the cache; the node stays while anything else holds it. */
static void sim_names_drop(struct sim_disk *disk, const struct sim_place *place)
{
    struct sim_node *node = disk->nodes[place->node];

    node->links = 0;
    sim_node_settle_space(disk, node);
    sim_table_remove(disk, &disk->nodes[place->dir]->names, place->name);
}

int sim_names_remove(struct sim_disk *disk, const char *path, bool is_dir)
{
    struct sim_place place;
    const int os_error = sim_names_place(disk, path, &place);
    const struct sim_node *node;

    if (os_error != 0 || place.node == SIM_NO_NODE) {
        return os_error != 0 ? os_error : ENOENT;
    }
    node = disk->nodes[place.node];
    if (node->is_dir != is_dir) {
        return is_dir ? ENOTDIR : EISDIR;
    }
    if (node->names.count > 0) {
        return ENOTEMPTY;
    }
    sim_names_pend(disk, is_dir ? SIM_REMOVE_DIR : SIM_UNLINK, place.node, &place, NULL);
    sim_names_drop(disk, &place);
    return 0;
}

int sim_names_rename(struct sim_disk *disk, const char *from, const char *to)
{
    struct sim_place source;
    struct sim_place target;
    int os_error = sim_names_place(disk, from, &source);

    if (os_error == 0 && source.node == SIM_NO_NODE) {
        os_error = ENOENT;
    }
    if (os_error == 0) {
        os_error = sim_names_place(disk, to, &target);
    }
    if (os_error != 0) {
        return os_error;
    }
    if (target.node == source.node) {
        return 0;
    }
    if (disk->nodes[source.node]->is_dir && target.dir != source.dir) {
        return EXDEV; /* Not modelled: dropped halves could make a ring of directories */
    }
    if (target.node != SIM_NO_NODE) {
        if (disk->nodes[target.node]->is_dir || disk->nodes[source.node]->is_dir) {
            return EISDIR;
        }
        sim_names_drop(disk, &target);
    }
    sim_names_pend(disk, SIM_RENAME, source.node, &target, &source);
    sim_table_add(disk, &disk->nodes[target.dir]->names, target.name, source.node);
    sim_table_remove(disk, &disk->nodes[source.dir]->names, source.name);
    return 0;
}

static void sim_names_apply(struct sim_disk *disk, const struct sim_name_op *op)
{
    struct sim_table *to = &disk->nodes[op->dir]->durable_names;
    struct sim_table *from = &disk->nodes[op->dir_from]->durable_names;
    const uint32_t held = sim_table_find(to, op->name);

    if (op->kind == SIM_CREATE || op->kind == SIM_MAKE_DIR) {
        if (held == SIM_NO_NODE) {
            sim_table_add(disk, to, op->name, op->node);
        }
    } else if (op->kind == SIM_RENAME) {
        if (sim_table_find(from, op->name_from) != op->node) {
            return;
        }
        if (held != SIM_NO_NODE) {
            sim_table_remove(disk, to, op->name);
        }
        sim_table_add(disk, to, op->name, op->node);
        sim_table_remove(disk, from, op->name_from);
    } else if (held == op->node && disk->nodes[held]->durable_names.count == 0) {
        sim_table_remove(disk, to, op->name);
    }
}

void sim_names_decide(struct sim_disk *disk, struct sim_name_op **link, bool keep)
{
    struct sim_name_op *op = *link;

    if (keep) {
        sim_names_apply(disk, op);
    }
    *link = op->next;
    if (op->next == NULL) {
        disk->ops_end = link;
    }
    sim_node_put(disk, op->node);
    free(op->name);
    free(op->name_from);
    free(op);
}

/* A sync of dir covers everything in it, and, from the last rename across its border (or removal
 * of a directory in it, whose own changes it rests on) backwards, everything. */
void sim_names_sync(struct sim_disk *disk, uint32_t dir, uint64_t sequence)
{
    uint64_t all_up_to = 0;
    struct sim_name_op **link = &disk->ops;

    for (const struct sim_name_op *op = disk->ops; op != NULL; op = op->next) {
        const bool touches = op->dir == dir || op->dir_from == dir;

        if (touches && op->sequence <= sequence &&
            (op->dir != op->dir_from || op->kind == SIM_REMOVE_DIR)) {
            all_up_to = op->sequence;
        }
    }
    while (*link != NULL && (*link)->sequence <= sequence) {
        if ((*link)->dir == dir || (*link)->sequence <= all_up_to) {
            sim_names_decide(disk, link, true);
        } else {
            link = &(*link)->next;
        }
    }
}

void sim_names_path(const struct sim_disk *disk, uint32_t node, char path[IO_PATH_SIZE])
{
    for (uint32_t i = 0; node != 0 && i < disk->node_count; i++) {
        const struct sim_node *dir = disk->nodes[i];

        for (uint32_t j = 0; dir != NULL && j < dir->names.count; j++) {
            if (dir->names.entries[j].node == node) {
                size_t used;

                sim_names_path(disk, i, path);
                used = strlen(path);
                (void)snprintf(path + used, IO_PATH_SIZE - used, "%s%s", used > 0 ? "/" : "",
                               dir->names.entries[j].name); /* Was shorter when it was created */
                return;
            }
        }
    }
    path[0] = '\0';
}
