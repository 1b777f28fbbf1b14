/* The judgement after a start: what was found, against what was promised. */
#ifndef TESTS_SIM_JUDGE_H
#define TESTS_SIM_JUDGE_H

#include "tests/sim/observe.h"
#include "tests/sim/world.h"

/* Every promise that holds after an ending like the world's; then the model is settled on what was found. */
void judge(struct world *world, const struct observed *seen);
/* Only: no wrong byte, nothing invented. For disks outside the contract; the model is not settled. */
void judge_leniently(struct world *world, const struct observed *seen);

#endif
