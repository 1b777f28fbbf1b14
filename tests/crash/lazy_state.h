/* A small file system as a power cut sees it: everything in it exists twice, once as programs
 * see it, once as the device has it, and between the two lies what nobody has synced.
 *
 *     lazy_state_init ---> { changes ---> lazy_state_sync }* ---> lazy_state_cut ---> changes ...
 *                                                            \-> lazy_state_deinit
 *
 * It promises what fsync(2) promises and nothing more, which is less than any file system of
 * Linux keeps; what holds here rests on no kindness of a journal:
 *
 * - fsync or fdatasync of a file makes its bytes and its size durable, up to the last change
 *   before it. It does not cover the file's name: a new file that was synced, in a directory
 *   that was not, is gone. Nor does anything else: no rename, no close, no passing of time.
 * - fsync of a directory makes its names durable: what was created, renamed and removed in it,
 *   in the order in which that happened. Not the names in directories below it, not the bytes of
 *   its files: a name may lead to an empty file. The name of the directory itself is its
 *   parent's.
 * - A cut keeps or loses each unsynced change by itself: a later write without an earlier one,
 *   the rename of a file without its bytes, a removal without the creation that came before it.
 *   What cannot be without another change goes with it: a name whose directory is lost, the
 *   renaming of a file whose creation is lost. A rename is atomic.
 * - A removed directory takes what was in it along, whether that was removed durably or not.
 *
 * Files lie in memory. Not modelled: links, times, permissions, renames from one directory to
 * another (EXDEV), full disks (see mount.h and disk.h for those). Not thread-safe: lazy_fs.h
 * locks. */
#ifndef TESTS_CRASH_LAZY_STATE_H
#define TESTS_CRASH_LAZY_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/crash/lazy_file.h"

#define LAZY_NODES_MAX 4096u /* Files and directories; then ENOSPC */
#define LAZY_NAME_SIZE 256u  /* Longer names are ENAMETOOLONG */

struct lazy_move;

struct lazy_node {
    uint64_t number; /* Its place in the table, and one */
    bool directory;
    struct lazy_file file; /* Of a file */
};

struct lazy_name {
    struct lazy_node *dir; /* NULL: no name at all */
    struct lazy_node *node;
    char name[LAZY_NAME_SIZE];
};

/* A name keeps its place until the next cut, so that a listing under way misses none. */
struct lazy_names {
    struct lazy_name *entries; /* Owned */
    uint32_t count;
    uint32_t room;
};

struct lazy_state {
    struct lazy_node *nodes[LAZY_NODES_MAX]; /* Owned; the first is the root */
    uint32_t node_count;                     /* No number is given twice between two cuts */
    struct lazy_names seen;
    struct lazy_names durable;
    struct lazy_move *moves; /* Owned: changes of names between the two, oldest first */
    struct lazy_move **moves_end;
};

/* What a power cut leaves. */
struct lazy_cut {
    struct random *random;
    unsigned keep_bytes; /* So many of 100 unsynced changes of files survive, each by itself */
    unsigned keep_names; /* The same of unsynced names. Both 0: nothing survives */
    const struct lazy_node *torn; /* NULL, or a file whose last changes meet another fate: */
    uint32_t torn_count;          /* of so many (struct lazy_fate) */
};

void lazy_state_init(struct lazy_state *state);
void lazy_state_deinit(struct lazy_state *state);
/* What programs do to names; each returns 0 or an errno. What they do to bytes is lazy_file.h. */
/* NULL: there is none of that number. */
struct lazy_node *lazy_state_node(const struct lazy_state *state, uint64_t number);
int lazy_state_find(const struct lazy_state *state, const struct lazy_node *dir, const char *name,
                    struct lazy_node **node);
int lazy_state_make(struct lazy_state *state, struct lazy_node *dir, const char *name,
                    bool directory, struct lazy_node **node);
int lazy_state_remove(struct lazy_state *state, struct lazy_node *dir, const char *name,
                      bool directory);
int lazy_state_rename(struct lazy_state *state, struct lazy_node *dir, const char *name,
                      const char *to);
/* A file's bytes and size, or a directory's names. */
void lazy_state_sync(struct lazy_state *state, struct lazy_node *node);

/* The power fails: what survives is from now on what programs see, and all of it is durable. */
void lazy_state_cut(struct lazy_state *state, const struct lazy_cut *cut);
/* Write what programs see to a directory of another file system, which exists. False: errno. */
bool lazy_state_save(const struct lazy_state *state, const char *dir);

#endif
