#include "tests/support/failing_memory.h"

#include <stdlib.h>
#include <string.h>

struct failing_memory failing_memory;

void failing_memory_begin(uint64_t nth, bool from_then_on)
{
    failing_memory.count = 0;
    failing_memory.nth = nth;
    failing_memory.from_then_on = from_then_on;
    failing_memory.failed = 0;
}

uint64_t failing_memory_end(void)
{
    failing_memory.nth = 0;
    return failing_memory.count;
}

void *engine_malloc(size_t size);
void *engine_calloc(size_t count, size_t size);
void *engine_realloc(void *old, size_t size);
void *engine_aligned_alloc(size_t align, size_t size);
char *engine_strdup(const char *text);
void engine_free(void *old);

static bool fails(void)
{
    failing_memory.count++;
    if (failing_memory.nth == 0 ||
        (failing_memory.from_then_on ? failing_memory.count < failing_memory.nth : failing_memory.count != failing_memory.nth)) {
        return false;
    }
    failing_memory.failed++;
    return true;
}

static void *counted(void *block)
{
    failing_memory.live += block != NULL ? 1 : 0;
    return block;
}

void *engine_malloc(size_t size)
{
    return fails() ? NULL : counted(malloc(size));
}

void *engine_calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(calloc(count, size));
}

void *engine_realloc(void *old, size_t size)
{
    void *block = fails() ? NULL : realloc(old, size);

    return old == NULL ? counted(block) : block;
}

void *engine_aligned_alloc(size_t align, size_t size)
{
    return fails() ? NULL : counted(aligned_alloc(align, size));
}

char *engine_strdup(const char *text)
{
    return fails() ? NULL : counted(strdup(text));
}

void engine_free(void *old)
{
    failing_memory.live -= old != NULL ? 1 : 0;
    free(old);
}
