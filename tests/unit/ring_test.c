/* The ring: positions that never wrap over memory that does. */
#include "core/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/random.h"

/* A piece that does not fit before the end of the memory begins at its start; one that just fits does not. */
static void a_piece_never_straddles_the_end(void **state)
{
    struct ring ring;

    (void)state;
    assert_int_equal(ring_init(&ring, 1024), 0);
    assert_int_equal(ring_place(&ring, 1024), 0);
    ring.head = 896;
    assert_int_equal(ring_place(&ring, 128), 896);
    assert_int_equal(ring_place(&ring, 192), 1024);
    ring.head = 1024;
    assert_int_equal(ring_place(&ring, 1024), 1024);
    ring.head = 1088;
    assert_int_equal(ring_place(&ring, 1024), 2048);
    ring_deinit(&ring);
    ring_deinit(&ring);
}

/* Far behind the start, past 2^32 and near 2^63, a position still is its own byte and its own link. */
static void positions_do_not_wrap(void **state)
{
    static const uint64_t starts[] = {0, (1ull << 32) - 512, (1ull << 63) - 1024};
    struct ring ring;
    uint64_t i;
    unsigned k;

    (void)state;
    assert_int_equal(ring_init(&ring, 1024), 0);
    for (k = 0; k < 3; k++) {
        for (i = 0; i < 16; i++) {
            const uint64_t position = starts[k] + 64 * i;

            memset(ring_at(&ring, position), (int)i, 64);
            *ring_link(&ring, position) = position + 64;
        }
        for (i = 0; i < 16; i++) {
            const uint64_t position = starts[k] + 64 * i;

            assert_int_equal(*ring_at(&ring, position), i);
            assert_int_equal(ring_at(&ring, position)[63], i);
            assert_int_equal(*ring_link(&ring, position), position + 64);
        }
    }
    ring_deinit(&ring);
}

/* Whatever is put, in whatever sizes: pieces follow each other, each in one piece of memory. */
static void random_pieces_follow_each_other(void **state)
{
    struct random random;
    struct ring ring;
    uint64_t before = 0;
    unsigned i;

    (void)state;
    random_init(&random, 1);
    assert_int_equal(ring_init(&ring, 4096), 0);
    for (i = 0; i < 10000; i++) {
        const uint64_t size = 64 * random_between(&random, 1, 64);
        const uint64_t at = ring_place(&ring, size);

        assert_true(at >= before);
        assert_true(at - before < 4096);
        assert_int_equal(at % 64, 0);
        assert_true(at % 4096 + size <= 4096);
        before = at + size;
        ring.head = before;
    }
    ring_deinit(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_piece_never_straddles_the_end),
        cmocka_unit_test(positions_do_not_wrap),
        cmocka_unit_test(random_pieces_follow_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
