/* The judgement after a start: what was found, against what was promised. */
#ifndef TESTS_SIM_JUDGE_H
#define TESTS_SIM_JUDGE_H

#include "tests/sim/observe.h"
#include "tests/sim/world.h"

/* Every promise that holds after an ending like the world's; then the model is settled on what was found. */
void judge(struct world *world, const struct observed *seen);
/* Only: no wrong byte, nothing invented. For disks outside the contract; the model is not settled. */
void judge_leniently(struct world *world, const struct observed *seen);

/* judge_topic.c, for judge.c: fills in the verdicts of a topic's steps. */
typedef bool match_fn(const struct step *step, const void *seen);
void judge_history(struct world *world, const struct history *history, match_fn *matches,
                   const void *seen, const char *what);
void judge_topic(struct world *world, struct model_topic *topic, const struct observed_topic *seen);
void judge_missing(struct world *world, struct model_topic *topic);
bool judge_same_rule(const struct engine_retention_rule *a, const struct engine_retention_rule *b);
const struct observed_topic *judge_find_topic(const struct observed_namespace *seen, uint64_t id);
const struct observed_cursor *judge_find_cursor(const struct observed_topic *seen,
                                                const struct model_cursor *cursor);
/* The step whose bytes were found; NULL: of none. */
struct step *judge_batch_of(const struct model_topic *topic, const struct observed_batch *batch);

#endif
