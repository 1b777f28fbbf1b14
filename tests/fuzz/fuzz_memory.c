#include "tests/fuzz/fuzz_memory.h"

#include <malloc.h>

#include "tests/fuzz/fuzz.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
void __wrap_free(void *memory);

static size_t used; /* Wraps below zero for what the C library allocated and we free */
static size_t used_before;
static size_t used_max;

static void check_room(size_t size)
{
    if (used_max != 0 && (size > used_max || used - used_before + size > used_max)) {
        fprintf(stderr, "%zu bytes more than the %zu in use would exceed the limit of %zu\n", size,
                used - used_before, used_max);
        abort();
    }
}

static void *note(void *memory)
{
    used += memory == NULL ? 0 : malloc_usable_size(memory);
    return memory;
}

void *__wrap_malloc(size_t size)
{
    check_room(size);
    return note(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    check_room(size != 0 && count > SIZE_MAX / size ? SIZE_MAX : count * size);
    return note(__real_calloc(count, size));
}

void *__wrap_realloc(void *memory, size_t size)
{
    used -= memory == NULL ? 0 : malloc_usable_size(memory);
    check_room(size);
    return note(__real_realloc(memory, size));
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
    check_room(size);
    return note(__real_aligned_alloc(align, size));
}

void __wrap_free(void *memory)
{
    used -= memory == NULL ? 0 : malloc_usable_size(memory);
    __real_free(memory);
}

void fuzz_memory_begin(size_t limit)
{
    used_before = used;
    used_max = limit;
}

void fuzz_memory_end(void)
{
    used_max = 0;
    if (used != used_before) {
        fprintf(stderr, "%zd bytes are still allocated\n", (ssize_t)(used - used_before));
        abort();
    }
}
