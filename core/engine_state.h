/* The engine: what engine.c and engine_directory.c share. Callers see engine.h, and core itself
 * what namespace.h says of the engine. */
#ifndef CORE_ENGINE_STATE_H
#define CORE_ENGINE_STATE_H

#include "core/engine.h"
#include "core/namespace.h"

struct engine {
    struct io *io;
    struct engine_options options;
    struct engine_time now;
    struct namespace *namespaces; /* In byte order of names */
    struct request_queue finished;
};

/* engine.c */
/* The namespace is in the table, in its place; the table owns it. No other has its name. */
void engine_table_insert(struct engine *engine, struct namespace *ns);
/* It is no longer, and the caller's. */
void engine_table_remove(struct engine *engine, struct namespace *ns);

/* engine_directory.c */
/* Every namespace on disk is in the table, serving or refused, and "default" is among them. On
 * failure some are, and the engine must be closed. */
int engine_open_namespaces(struct engine *engine, struct error *err);

#endif
