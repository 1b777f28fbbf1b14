/* A few threads over a list of jobs, taken one by one in order. */
#ifndef OFFLINE_CREW_H
#define OFFLINE_CREW_H

#include <stdint.h>

#define CREW_MAX 16u

/* Do job number `index` on thread number `thread`. Non-zero: no more jobs are begun, by any thread.
 */
typedef int crew_fn(void *arg, unsigned thread, uint32_t index);

/* Do jobs [0, count) on `threads` of them (1: on the caller's, and no other is made). Returns the
 * first non-zero result, or 0. Fewer threads work where no more can be made. */
int crew_run(crew_fn *fn, void *arg, unsigned threads, uint32_t count);

#endif
