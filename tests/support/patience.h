/* What must end, and what must not be done again at once for ever: for tests of an engine that waits. */
#ifndef TESTS_SUPPORT_PATIENCE_H
#define TESTS_SUPPORT_PATIENCE_H

#include "tests/support/engine_fixture.h"

/* What may hang or die is tried in a process of its own; `act` may not assert. Its result, or -1 when it did
 * not come back within five seconds or was killed. */
int in_a_child(int (*act)(struct fixture *f), struct fixture *f);
/* With nothing in flight, an engine whose deadline lies in the past is called again at once: in each of 50 turns of a
 * millisecond, a spin. */
void expect_no_spin(struct fixture *f);

#endif
