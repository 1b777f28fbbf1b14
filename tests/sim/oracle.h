/* The oracle: what every reply must say, given the model. */
#ifndef TESTS_SIM_ORACLE_H
#define TESTS_SIM_ORACLE_H

#include "tests/sim/world.h"

/* A request was just given to the engine: learn what it changed, or judge why it was refused. */
void oracle_submitted(struct world *world, struct op *op);
/* After a poll: learn what was staged in it, and what the engine gave up by retention. */
void oracle_scan(struct world *world);
/* done() ran: judge the reply. */
void oracle_done(struct world *world, struct op *op);
/* A fresh namespace, as created with these settings. */
void oracle_namespace_created(struct world *world, struct model_namespace *ns,
                              const struct engine_settings *settings);
/* Compare what can be asked at once: listings, topic and cursor infos. */
void oracle_check_tables(struct world *world, struct model_namespace *ns);
struct model_cursor *oracle_cursor(struct world *world, struct model_topic *topic, const char *name,
                                   size_t size);
/* The topic of an append or command may have come into being. */
struct model_topic *oracle_learn_topic(struct world *world, struct model_namespace *ns,
                                       const char *name, size_t size, uint64_t number);

/* oracle_done.c */
void oracle_refused(struct world *world, struct op *op);
void oracle_command_staged(struct world *world, struct op *op);
void oracle_append_staged(struct world *world, struct op *op);
void oracle_cursor_moved(struct world *world, struct op *op, uint64_t offset, uint64_t epoch,
                         bool may_be_loose);

/* oracle_quota.c: the engine's `dropped`; arg is the world. */
void oracle_dropped(void *arg, const struct engine_dropped *dropped);

/* oracle_read.c */
void oracle_read_done(struct world *world, struct op *op);

/* held.c */
/* A read is done: keep its range, if it has one, for a while; its bytes are then in read.data, unless the disk does not
 * give them. */
void held_take(struct world *world, struct op *op);
/* Look at what is held of a namespace (NULL: of all) once more, and give it back. */
void held_release(struct world *world, const struct model_namespace *ns);
/* The same for one, by chance. */
void held_release_some(struct world *world);
/* The engine is gone. */
void held_forget(struct world *world);
void oracle_read_submitted(struct world *world, struct op *op);
/* What it returns may be decided now: learn what it moved. */
void oracle_read_decided(struct world *world, struct op *op);
/* The same for all, behind a call that may have decided some: the next poll would come too late for the order. */
void oracle_reads_decided(struct world *world);

#endif
