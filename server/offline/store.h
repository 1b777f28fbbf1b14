/* A data directory, opened for looking: its lock, its namespaces, and each namespace in the best
 * way there is.
 *
 * A daemon changes files while it runs, so a directory whose lock is held is refused; the tool
 * shares the lock meanwhile, which keeps a daemon from starting in the middle (it exits 75 and says
 * why). With force_live the lock is only looked at. */
#ifndef OFFLINE_STORE_H
#define OFFLINE_STORE_H

#include "server/offline/offline.h"

/* Open the disk once more, for a thread of its own. 0, or err. */
typedef int store_disk_fn(void *arg, struct io **out, struct error *err);

#define STORE_UNREADABLE_MAX 1000u

struct store_name {
    char name[FORMAT_NAME_SIZE_MAX + 1]; /* Terminated for sentences */
    size_t size;
};

struct store {
    struct offline_options *options; /* Borrowed */
    store_disk_fn *disk_fn;
    void *disk_arg;
    int lock;
    bool live;                /* A daemon has it */
    struct io *disk;          /* Owned; below the two others */
    struct io *strict;        /* Owned; a read error is one */
    struct io *lenient;       /* Owned; a page that cannot be read is zeros, and counted */
    uint64_t unreadable;      /* Bytes that could not be read through `lenient` */
    struct store_name *names; /* Owned; in byte order */
    unsigned name_count;
    char **findings; /* Owned; what recovery has found in this namespace, each once */
    unsigned finding_count;
    struct inspection *inspection; /* While a namespace is looked at */
};

/* dir: a data directory. TUSK_ELOCKED, TUSK_ENOTFOUND, TUSK_EDENIED, TUSK_EINVALID (no data
 * directory), ... */
int store_open(struct store *store, struct offline_options *options, const char *dir,
               struct error *err);
/* The same on any disk; without a lock, for tests. */
int store_open_on(struct store *store, struct offline_options *options, store_disk_fn *disk_fn,
                  void *arg, struct error *err);
void store_close(struct store *store);

/* Look at a namespace in the first way that works. 0: store->inspection (store_leave()), and
 * *refusal says why recovery would not open it (code 0: it would). TUSK_EVERSION, TUSK_ECORRUPT
 * (nothing can be had), TUSK_ENOMEM, ... */
int store_enter(struct store *store, const struct store_name *name, bool thorough,
                struct error *refusal, struct error *err);
void store_leave(struct store *store);
/* The way in words. */
const char *store_way_text(enum inspect_way way);

#endif
