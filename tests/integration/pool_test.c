#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/limits.h"
#include "server/pool.h"

/* A buffer holds what was asked for, wastes at most a quarter, and is aligned for batches. */
static void buffers_fit_with_little_waste(void **state)
{
    struct pool pool;
    size_t size;

    (void)state;
    pool_init(&pool, (size_t)1 << 32);
    for (size = 1; size < 3000000; size += size / 7 + 1) {
        struct buffer *buffer = pool_get(&pool, size, true);

        assert_non_null(buffer);
        assert_true(buffer->size >= size);
        assert_true(buffer->size <= size + size / 4 + 1024);
        assert_int_equal((uintptr_t)buffer->bytes % 16, 0);
        buffer->bytes[buffer->size - 1] = 1;
        pool_put(&pool, buffer);
    }
    pool_deinit(&pool);
}

/* The limit is never exceeded; large buffers leave the last eighth to smaller ones, and these half of
 * that to the smallest. */
static void limit_holds_and_keeps_room_for_small_buffers(void **state)
{
    const size_t limit = 64u << 20;
    struct buffer *kept = NULL;
    struct buffer *buffer;
    struct pool pool;

    (void)state;
    pool_init(&pool, limit);
    while ((buffer = pool_get(&pool, 1u << 20, true)) != NULL) {
        buffer->next = kept;
        kept = buffer;
    }
    assert_true(pool.used_bytes <= limit - limit / 8);
    assert_true(pool_short(&pool));
    while ((buffer = pool_get(&pool, RECEIVE_SIZE / 2, true)) != NULL) {
        buffer->next = kept;
        kept = buffer;
    }
    assert_true(pool.used_bytes <= limit - limit / 16);
    assert_true(pool.used_bytes > limit - limit / 8);
    while ((buffer = pool_get(&pool, 4000, true)) != NULL) {
        buffer->next = kept;
        kept = buffer;
    }
    assert_true(pool.used_bytes <= limit);
    assert_true(pool.used_bytes > limit - 8192);
    while (kept != NULL) {
        buffer = kept;
        kept = buffer->next;
        pool_put(&pool, buffer);
    }
    assert_int_equal(pool.used_bytes, 0);
    assert_true(pool.cached_bytes <= POOL_CACHE_BYTES);
    pool_deinit(&pool);
}

/* The last of the memory is there only for the privileged. */
static void the_last_sixteenth_is_for_the_privileged(void **state)
{
    const size_t limit = 1u << 20;
    struct buffer *kept = NULL;
    struct buffer *buffer;
    struct pool pool;

    (void)state;
    pool_init(&pool, limit);
    while ((buffer = pool_get(&pool, 4000, false)) != NULL) {
        buffer->next = kept;
        kept = buffer;
    }
    assert_true(pool.used_bytes <= limit - limit / 16);
    assert_true(pool.used_bytes > limit - limit / 16 - 8192);
    buffer = pool_get(&pool, 4000, true);
    assert_non_null(buffer);
    pool_put(&pool, buffer);
    while (kept != NULL) {
        buffer = kept;
        kept = buffer->next;
        pool_put(&pool, buffer);
    }
    pool_deinit(&pool);
}

/* What is asked for again and again is the same memory. */
static void freed_buffers_are_used_again(void **state)
{
    struct buffer *first;
    struct buffer *second;
    struct pool pool;

    (void)state;
    pool_init(&pool, 1u << 20);
    first = pool_get(&pool, 5000, true);
    pool_put(&pool, first);
    second = pool_get(&pool, 4900, true);
    assert_ptr_equal(first, second);
    pool_put(&pool, second);
    pool_put(&pool, NULL);
    assert_null(pool_get(&pool, SIZE_MAX / 2, true));
    pool_deinit(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffers_fit_with_little_waste),
        cmocka_unit_test(limit_holds_and_keeps_room_for_small_buffers),
        cmocka_unit_test(the_last_sixteenth_is_for_the_privileged),
        cmocka_unit_test(freed_buffers_are_used_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
