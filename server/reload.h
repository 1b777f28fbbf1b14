/* SIGHUP: the configuration is read again, and all of it is applied, or none.
 *
 *     idle ---> read, judged ---> namespaces are set ---> options are taken over ---> idle
 *                  |  wrong             |  one fails
 *                  |                    v
 *                  |               those that were set are set back
 *                  v                    v
 *                 idle, and everything as it was (the log says why)
 *
 * Options that only count from a start stay as they are, and the log names those that differ. A
 * SIGHUP during a reload is one more behind it. systemd is told RELOADING=1 and READY=1. */
#ifndef SERVER_RELOAD_H
#define SERVER_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

struct reload_space;
struct server;

struct reload {
    struct server *server;              /* Borrowed; outlives this */
    struct config *config;              /* Borrowed: what is in force; changed in place */
    const struct config_source *source; /* Borrowed */
    struct config next;                 /* Being applied */
    struct options wanted;              /* As read, with what takes a start */
    struct reload_space *spaces;        /* Owned: namespaces to be set, or being set */
    uint32_t space_count;
    uint32_t pending; /* Of them, not answered */
    bool busy;
    bool again;
    bool reverting;
    char why[OPTIONS_ERROR_SIZE]; /* What went wrong with a namespace; "": nothing */
};

/* Prepare, for a server that has its options from config. */
void reload_init(struct reload *reload, struct server *server, struct config *config,
                 const struct config_source *source);
/* Read and apply. Returns at once; namespaces are set by the engine's next turns. */
void reload_begin(struct reload *reload);
/* Free what a reload under way holds. The engine must be closed first: it may hold its commands. */
void reload_deinit(struct reload *reload);

#endif
