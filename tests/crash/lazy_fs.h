/* A FUSE file system that forgets what nobody has synced (lazy_state.h says what that is), and
 * fails when it is told to.
 *
 *     lazy_fs_open ---> { lazy_fs_mount ---> load ---> lazy_fs_plan, or lazy_fs_cut
 *                                       ---> lazy_fs_unmount }* ---> lazy_fs_close
 *
 * A thread of this process serves it, one request after the other; the kernel keeps no dirty
 * page, so what a program has written is here when its call returns. From the cut on everything
 * is answered with EIO; what survived is there after the next mount. A sync that was answered
 * with success came before the cut, so unlike after FS_IOC_SHUTDOWN every acknowledgement
 * counts, whenever it arrived. */
#ifndef TESTS_CRASH_LAZY_FS_H
#define TESTS_CRASH_LAZY_FS_H

#include <pthread.h>

#include "tests/crash/lazy_state.h"

struct fuse_session;

enum lazy_fault {
    LAZY_CLEAR,    /* What is not synced is lost */
    LAZY_TORN_OP,  /* One write survives in parts */
    LAZY_TORN_SEQ, /* Of the last writes of one file some survive, in no order */
    LAZY_FAULTS
};

/* Requests of which one meets the cut. A torn write is a write; the sync of a directory is a sync;
 * renames are few, and most rests on them. */
enum lazy_moment {
    LAZY_AT_WRITE,
    LAZY_AT_SYNC,
    LAZY_AT_NAME, /* Made or removed */
    LAZY_AT_RENAME,
    LAZY_MOMENTS,
    LAZY_AT_OTHER
};

struct lazy_plan {
    enum lazy_fault fault;
    enum lazy_moment moment;
    uint32_t left;       /* The so manieth such request meets it; 0: none */
    bool before;         /* It is not done; else it is, and nobody is told. Not of torn ones */
    bool kills;          /* The process that asks is killed in its place; the power stays */
    uint32_t sequence;   /* Of a torn one: writes of it, 2 to LAZY_TORN_MAX */
    unsigned keep_bytes; /* Percent of other unsynced changes that survive: see struct lazy_cut */
    unsigned keep_names;
    uint64_t seed;
};

struct lazy_fs {
    struct lazy_state state;
    pthread_mutex_t lock; /* Of all of it, between the server and whoever cuts */
    pthread_t server;
    struct fuse_session *session; /* NULL: not mounted */
    char dir[256];
    struct lazy_plan plan;
    bool planned; /* The plan is waiting for its moment */
    bool due;     /* The cut comes behind the request under way */
    bool down;
    const struct lazy_node *written; /* By the request under way */
    uint64_t requests[LAZY_MOMENTS]; /* Since it was opened, by kind */
    uint64_t cuts[LAZY_FAULTS];
};

/* An empty file system. */
void lazy_fs_open(struct lazy_fs *fs);
void lazy_fs_close(struct lazy_fs *fs);
/* Serve it at dir, which exists, in the private mount namespace. False: there is no FUSE here, and
 * *why says what is missing. */
bool lazy_fs_mount(struct lazy_fs *fs, const char *dir, const char **why);
/* Nobody uses it any more. */
void lazy_fs_unmount(struct lazy_fs *fs);
/* Cut the power when the plan says so; it takes the place of an earlier one. */
void lazy_fs_plan(struct lazy_fs *fs, const struct lazy_plan *plan);
/* Cut it now, if it is not cut yet; a torn write needs a write, so this one is clear. */
void lazy_fs_cut(struct lazy_fs *fs);
bool lazy_fs_is_down(struct lazy_fs *fs);

#endif
