/* A store in whose block the header of a batch is left that a crash cut off, with newer batches on what was its body. For tests of readers
 * that step from batch to batch. */
#ifndef TESTS_SUPPORT_OLD_BATCH_H
#define TESTS_SUPPORT_OLD_BATCH_H

#include "tests/support/engine_fixture.h"

#define OLD_BATCH_KEPT 3u
#define OLD_BATCH_WAYS 2u

/* The power takes the record of a large batch and leaves its bytes in the block: what comes next is given their place. The first of that is
 * lost, too: its record is damaged, and the store refused until that is accepted. The old batch reaches into the second of
 * those that follow (way 0), or exactly to where the third begins (way 1). Returns their first offset; no engine runs. */
uint64_t old_batch_make(struct fixture *f, unsigned way);
/* The same without that damage: "lost", of the offset before those, has its place in the journal, and the old batch still stands there
 * in the block. */
uint64_t old_batch_whole(struct fixture *f, unsigned way);

#endif
