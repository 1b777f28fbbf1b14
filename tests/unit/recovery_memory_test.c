/* What recovery holds in memory: it grows with topics and blocks, never with entries, or a store that was
 * written on a machine could not be opened there any more. */
#include <malloc.h>
#include <stdlib.h>

#include "tests/support/engine_fixture.h"

#define SIZE 400000u /* Bytes of all batches together, whatever their number */
#define SMALL 8u
#define LARGE 4000u
#define BYTES_A_BATCH_MAX 8u

static size_t held;
static size_t most;

static void *count(void *memory)
{
    held += memory == NULL ? 0 : malloc_usable_size(memory);
    most = held > most ? held : most;
    return memory;
}

static void uncount(void *memory)
{
    const size_t size = memory == NULL ? 0 : malloc_usable_size(memory);

    held -= size < held ? size : held; /* What was there before the test is not counted */
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t number, size_t size);
void *__wrap_calloc(size_t number, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *memory);
void __wrap_free(void *memory);

void *__wrap_malloc(size_t size)
{
    return count(__real_malloc(size));
}

void *__wrap_calloc(size_t number, size_t size)
{
    return count(__real_calloc(number, size));
}

void *__wrap_realloc(void *memory, size_t size)
{
    uncount(memory);
    return count(__real_realloc(memory, size));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return count(__real_aligned_alloc(alignment, size));
}

void __wrap_free(void *memory)
{
    uncount(memory);
    __real_free(memory);
}

/* A topic of batches of one entry of `size` bytes, killed and recovered; the most memory held on the way
 * beyond what was held before. */
static size_t recovered_with(uint32_t size, uint64_t *batches)
{
    struct fixture *f = fixture_new(7);
    size_t before;
    uint64_t i;

    *batches = SIZE / (size + 68u);
    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    f->options.manifest_journal_bytes = 1u << 30;
    f->options.journal_size_max = 1u << 30;
    fixture_open(f);
    for (i = 0; i < *batches; i++) {
        assert_int_equal(fixture_append_size(f, "t", size), 0);
    }
    fixture_sync(f);
    fixture_close(f);
    before = held;
    most = held;
    fixture_open(f);
    assert_int_equal(fixture_info(f, "t").entries, *batches);
    assert_true(fixture_stat(f, "recovered_records") > 0);
    fixture_close(f);
    fixture_free(f);
    return most - before;
}

/* The same bytes as many small batches take no more memory to recover than as few large ones. */
static void recovery_holds_nothing_for_each_batch(void **state)
{
    uint64_t few;
    uint64_t many;
    size_t with_few;
    size_t with_many;

    (void)state;
    with_few = recovered_with(LARGE, &few);
    with_many = recovered_with(SMALL, &many);
    assert_true(many > 20 * few);
    print_message("%zu bytes for %llu batches, %zu bytes for %llu\n", with_few,
                  (unsigned long long)few, with_many, (unsigned long long)many);
    assert_true(with_many < with_few + BYTES_A_BATCH_MAX * (many - few));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recovery_holds_nothing_for_each_batch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
