/* A small store, damaged anywhere: one flipped bit, one file cut off. ../support/damaged_store.h says what must come of it.
 *
 * Bits and lengths are sampled here, and TUSK_TEST_SEED moves the sample; ../exhaustive/damage.c tries them all. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/damaged_store.h"

#define BIT_STRIDE 397u
#define LENGTH_STRIDE 211u

static uint64_t phase(uint64_t stride)
{
    const char *seed = getenv("TUSK_TEST_SEED");

    return seed == NULL ? 0 : strtoull(seed, NULL, 10) % stride;
}

/* One flipped bit in any file never gives a wrong byte, an entry that was not there, or a crash; and nothing is
 * missing without a word: all was known to be durable. */
static void one_flipped_bit_gives_no_wrong_byte(void **state)
{
    struct damaged_store store;
    uint64_t tried = 0;
    unsigned i;

    (void)state;
    damaged_store_make(&store);
    printf("TUSK_TEST_SEED=%" PRIu64 "\n", phase(UINT64_MAX));
    for (i = 0; i < store.files; i++) {
        uint64_t bit;

        for (bit = phase(BIT_STRIDE); bit < 8 * store.used[i]; bit += BIT_STRIDE) {
            struct fixture *f = damaged_store_copy(&store);

            sim_disk_flip_bit(f->disk, store.paths[i], bit);
            damaged_store_judge(&store, f, i, bit / 8, bit / 8 + 1);
            fixture_free(f);
            tried++;
        }
    }
    printf("%" PRIu64 " bits: %" PRIu64 " refused, %" PRIu64 " told, %" PRIu64
           " with a loss untold\n",
           tried, store.refused, store.told, store.lost);
    assert_true(tried > 500);
    assert_true(store.refused > 0 && store.refused < tried);
    assert_int_equal(store.lost, 0);
    damaged_store_free(&store);
}

/* A file cut off anywhere: the same, but that a journal file that ends early may end the history, where no later
 * record says that it went on. */
static void a_file_cut_off_gives_no_wrong_byte(void **state)
{
    struct damaged_store store;
    uint64_t tried = 0;
    unsigned i;

    (void)state;
    damaged_store_make(&store);
    for (i = 0; i < store.files; i++) {
        uint64_t size;

        for (size = phase(LENGTH_STRIDE); size < store.used[i]; size += LENGTH_STRIDE) {
            struct fixture *f = damaged_store_copy(&store);

            sim_disk_resize(f->disk, store.paths[i], size);
            damaged_store_judge(&store, f, i, size, store.sizes[i]);
            fixture_free(f);
            tried++;
        }
    }
    printf("%" PRIu64 " lengths: %" PRIu64 " refused, %" PRIu64 " told, %" PRIu64
           " with a loss untold\n",
           tried, store.refused, store.told, store.lost);
    assert_true(tried > 200);
    damaged_store_free(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_flipped_bit_gives_no_wrong_byte),
        cmocka_unit_test(a_file_cut_off_gives_no_wrong_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
