/* What clients ask of the engine: random requests, in the world's taste. */
#ifndef TESTS_SIM_WORKLOAD_H
#define TESTS_SIM_WORKLOAD_H

#include "tests/sim/world.h"

/* Submit one request, or do one thing that is not a request (a listing, a clock jump). */
void workload_step(struct world *world);
/* An append. topic NULL: any. */
void workload_append(struct world *world, struct model_namespace *ns, struct model_topic *topic,
                     bool durable);

/* workload_command.c */
void workload_command(struct world *world, struct model_namespace *ns,
                      enum engine_command_kind kind);

/* Shared by both. */
struct op *workload_op(struct world *world, struct model_namespace *ns, enum op_kind kind);
/* Name a topic in op->topic_name, and the live one of that name in op->topic. */
void workload_topic(struct world *world, struct op *op, struct engine_topic_ref *ref);
void workload_cursor(struct world *world, struct op *op);
size_t workload_topic_name(struct world *world, char *name);
struct model_namespace *workload_namespace(struct world *world);

#endif
