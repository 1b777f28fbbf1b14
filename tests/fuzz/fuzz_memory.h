/* What a target's code has allocated: counted in malloc() and the like, which the linker wraps (see
 * CMakeLists.txt), so that it works with and without sanitizers. */
#ifndef TESTS_FUZZ_FUZZ_MEMORY_H
#define TESTS_FUZZ_FUZZ_MEMORY_H

#include <stddef.h>

/* From now on more than limit bytes beyond what is allocated now abort. */
void fuzz_memory_begin(size_t limit);
/* No limit any more; aborts when something allocated since the beginning is still there. */
void fuzz_memory_end(void);

#endif
