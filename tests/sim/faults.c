/* Disks that do worse than losing power. */
#include "tests/sim/world.h"

void faults_begin_life(struct world *w)
{
    (void)w;
}

void faults_turn(struct world *w)
{
    (void)w;
}

void faults_end_life(struct world *w)
{
    (void)w;
}
