#include "tests/crash/lazy_state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/crash/report.h"

#define PAGE 4096u /* Evidence is written without those that are zero */

/* A name appears (no `from`), goes (no `to`), or becomes another. */
struct lazy_move {
    struct lazy_move *next;
    struct lazy_name from;
    struct lazy_name to;
};

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);

    report_need(memory != NULL, "memory for a file system");
    return memory;
}

/* ---- nodes ---- */

static struct lazy_node *node_new(struct lazy_state *state, bool directory)
{
    struct lazy_node *node;

    if (state->node_count == LAZY_NODES_MAX) {
        return NULL;
    }
    node = allocate(sizeof *node);
    node->directory = directory;
    if (!directory) {
        lazy_file_init(&node->file);
    }
    state->nodes[state->node_count] = node;
    state->node_count++;
    node->number = state->node_count;
    return node;
}

static void node_free(struct lazy_node *node)
{
    if (!node->directory) {
        lazy_file_deinit(&node->file);
    }
    free(node);
}

struct lazy_node *lazy_state_node(const struct lazy_state *state, uint64_t number)
{
    return number >= 1 && number <= state->node_count ? state->nodes[number - 1] : NULL;
}

/* ---- names ---- */

static struct lazy_name *names_find(const struct lazy_names *names, const struct lazy_node *dir,
                                    const char *name)
{
    uint32_t i;

    for (i = 0; i < names->count; i++) {
        if (names->entries[i].dir == dir && strcmp(names->entries[i].name, name) == 0) {
            return &names->entries[i];
        }
    }
    return NULL;
}

static void names_add(struct lazy_names *names, const struct lazy_name *name)
{
    if (names->count == names->room) {
        names->room = names->room == 0 ? 64 : 2 * names->room;
        names->entries = realloc(names->entries, names->room * sizeof *names->entries);
        report_need(names->entries != NULL, "memory for names");
    }
    names->entries[names->count++] = *name;
}

/* A name goes, and with a directory all that is in it. */
static void names_remove(struct lazy_names *names, struct lazy_name *name)
{
    const struct lazy_node *node = name->node;
    uint32_t i;

    name->dir = NULL;
    for (i = 0; node->directory && i < names->count; i++) {
        if (names->entries[i].dir == node) {
            names_remove(names, &names->entries[i]);
        }
    }
}

/* What does not fit, because what it rests on was lost, does not happen. */
static void names_apply(struct lazy_names *names, const struct lazy_move *move)
{
    struct lazy_name *from = NULL;
    struct lazy_name *held;

    if (move->from.dir != NULL) {
        from = names_find(names, move->from.dir, move->from.name);
        if (from == NULL || from->node != move->from.node) {
            return;
        }
    }
    if (move->to.dir != NULL) {
        held = names_find(names, move->to.dir, move->to.name);
        if (held != NULL && from == NULL) {
            return; /* The removal of what had the name before was lost */
        }
        if (held != NULL) {
            names_remove(names, held);
        }
    }
    if (from != NULL && move->to.dir != NULL) {
        from->dir = NULL; /* What is in a renamed directory stays in it */
    } else if (from != NULL) {
        names_remove(names, from);
    }
    if (move->to.dir != NULL) {
        names_add(names, &move->to);
    }
}

static void names_copy(struct lazy_names *to, const struct lazy_names *from)
{
    uint32_t i;

    to->count = 0;
    for (i = 0; i < from->count; i++) {
        if (from->entries[i].dir != NULL) {
            names_add(to, &from->entries[i]);
        }
    }
}

static int name_init(struct lazy_name *out, struct lazy_node *dir, const char *name,
                     struct lazy_node *node)
{
    if (strlen(name) >= sizeof out->name) {
        return ENAMETOOLONG;
    }
    *out = (struct lazy_name){.dir = dir, .node = node};
    memcpy(out->name, name, strlen(name) + 1);
    return 0;
}

static void move_names(struct lazy_state *state, const struct lazy_name *from,
                       const struct lazy_name *to)
{
    struct lazy_move *move = allocate(sizeof *move);

    if (from != NULL) {
        move->from = *from;
    }
    if (to != NULL) {
        move->to = *to;
    }
    *state->moves_end = move;
    state->moves_end = &move->next;
    names_apply(&state->seen, move);
}

int lazy_state_find(const struct lazy_state *state, const struct lazy_node *dir, const char *name,
                    struct lazy_node **node)
{
    const struct lazy_name *found = names_find(&state->seen, dir, name);

    *node = found != NULL ? found->node : NULL;
    return found != NULL ? 0 : ENOENT;
}

int lazy_state_make(struct lazy_state *state, struct lazy_node *dir, const char *name,
                    bool directory, struct lazy_node **node)
{
    struct lazy_name to;
    int error = name_init(&to, dir, name, NULL);

    if (error != 0) {
        return error;
    }
    if (names_find(&state->seen, dir, name) != NULL) {
        return EEXIST;
    }
    *node = node_new(state, directory);
    if (*node == NULL) {
        return ENOSPC;
    }
    to.node = *node;
    move_names(state, NULL, &to);
    return 0;
}

static bool is_empty(const struct lazy_state *state, const struct lazy_node *dir)
{
    uint32_t i;

    for (i = 0; i < state->seen.count; i++) {
        if (state->seen.entries[i].dir == dir) {
            return false;
        }
    }
    return true;
}

int lazy_state_remove(struct lazy_state *state, struct lazy_node *dir, const char *name,
                      bool directory)
{
    const struct lazy_name *found = names_find(&state->seen, dir, name);
    struct lazy_name from;

    if (found == NULL) {
        return ENOENT;
    }
    if (found->node->directory != directory) {
        return directory ? ENOTDIR : EISDIR;
    }
    if (directory && !is_empty(state, found->node)) {
        return ENOTEMPTY;
    }
    from = *found;
    move_names(state, &from, NULL);
    return 0;
}

int lazy_state_rename(struct lazy_state *state, struct lazy_node *dir, const char *name,
                      const char *to)
{
    const struct lazy_name *found = names_find(&state->seen, dir, name);
    const struct lazy_name *held = names_find(&state->seen, dir, to);
    struct lazy_name from;
    struct lazy_name target;
    int error;

    if (found == NULL) {
        return ENOENT;
    }
    if (held == found) {
        return 0;
    }
    if (held != NULL && (held->node->directory || found->node->directory)) {
        return EEXIST;
    }
    from = *found;
    error = name_init(&target, dir, to, from.node);
    if (error == 0) {
        move_names(state, &from, &target);
    }
    return error;
}

/* Take a pending change of names out, and make it durable or not. */
static void decide_move(struct lazy_state *state, struct lazy_move **link, bool keep)
{
    struct lazy_move *move = *link;

    if (keep) {
        names_apply(&state->durable, move);
    }
    *link = move->next;
    if (move->next == NULL) {
        state->moves_end = link;
    }
    free(move);
}

static void sync_names(struct lazy_state *state, const struct lazy_node *dir)
{
    struct lazy_move **link = &state->moves;

    while (*link != NULL) {
        if ((*link)->from.dir == dir || (*link)->to.dir == dir) {
            decide_move(state, link, true);
        } else {
            link = &(*link)->next;
        }
    }
}

void lazy_state_sync(struct lazy_state *state, struct lazy_node *node)
{
    if (node->directory) {
        sync_names(state, node);
    } else {
        lazy_file_sync(&node->file);
    }
}

/* ---- life and cuts ---- */

void lazy_state_init(struct lazy_state *state)
{
    memset(state, 0, sizeof *state);
    state->moves_end = &state->moves;
    (void)node_new(state, true);
}

void lazy_state_deinit(struct lazy_state *state)
{
    uint32_t i;

    while (state->moves != NULL) {
        decide_move(state, &state->moves, false);
    }
    for (i = 0; i < state->node_count; i++) {
        if (state->nodes[i] != NULL) {
            node_free(state->nodes[i]);
        }
    }
    free(state->seen.entries);
    free(state->durable.entries);
}

static bool is_named(const struct lazy_state *state, const struct lazy_node *node)
{
    uint32_t i;

    for (i = 0; i < state->seen.count; i++) {
        if (state->seen.entries[i].dir != NULL && state->seen.entries[i].node == node) {
            return true;
        }
    }
    return node == state->nodes[0];
}

/* Names in directories that have none themselves go, until each leads to the root. */
static void drop_orphans(struct lazy_state *state)
{
    bool dropped;
    uint32_t i;

    do {
        dropped = false;
        for (i = 0; i < state->seen.count; i++) {
            struct lazy_name *name = &state->seen.entries[i];

            if (name->dir != NULL && !is_named(state, name->dir)) {
                name->dir = NULL;
                dropped = true;
            }
        }
    } while (dropped);
}

/* Free what no name leads to, and number the rest anew: nobody knows the old numbers any more. */
static void sweep(struct lazy_state *state)
{
    uint32_t kept = 0;
    uint32_t i;

    for (i = 0; i < state->node_count; i++) {
        struct lazy_node *node = state->nodes[i];

        if (is_named(state, node)) {
            state->nodes[kept++] = node;
            node->number = kept;
        } else {
            node_free(node);
        }
    }
    state->node_count = kept;
}

void lazy_state_cut(struct lazy_state *state, const struct lazy_cut *cut)
{
    uint32_t i;

    while (state->moves != NULL) {
        decide_move(state, &state->moves, random_chance(cut->random, cut->keep_names));
    }
    names_copy(&state->seen, &state->durable);
    drop_orphans(state);
    names_copy(&state->durable, &state->seen);
    sweep(state);
    for (i = 0; i < state->node_count; i++) {
        struct lazy_node *node = state->nodes[i];
        const struct lazy_fate fate = {.random = cut->random,
                                       .keep_percent = cut->keep_bytes,
                                       .torn = node == cut->torn ? cut->torn_count : 0};

        if (!node->directory && node->file.change_count > 0) {
            lazy_file_cut(&node->file, &fate);
        }
    }
}

/* ---- evidence ---- */

static bool is_zero(const uint8_t *bytes, uint64_t size)
{
    uint64_t i;

    for (i = 0; i < size && bytes[i] == 0; i++) {
    }
    return i == size;
}

static bool save_file(const struct lazy_image *image, const char *path)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = fd >= 0 && ftruncate(fd, (off_t)image->size) == 0;
    uint64_t at;

    for (at = 0; at < image->size && good; at += PAGE) {
        const uint64_t size = image->size - at < PAGE ? image->size - at : PAGE;

        good = is_zero(image->bytes + at, size) ||
               pwrite(fd, image->bytes + at, size, (off_t)at) == (ssize_t)size;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return good;
}

static bool save_dir(const struct lazy_state *state, const struct lazy_node *dir, const char *path)
{
    char inner[PATH_MAX];
    bool good = true;
    uint32_t i;

    for (i = 0; i < state->seen.count && good; i++) {
        const struct lazy_name *name = &state->seen.entries[i];

        if (name->dir == dir) {
            (void)snprintf(inner, sizeof inner, "%s/%s", path, name->name);
            good = name->node->directory
                       ? mkdir(inner, 0700) == 0 && save_dir(state, name->node, inner)
                       : save_file(&name->node->file.seen, inner);
        }
    }
    return good;
}

bool lazy_state_save(const struct lazy_state *state, const char *dir)
{
    return save_dir(state, state->nodes[0], dir);
}
