/* histogram.c: what may be said of values by their counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/histogram.h"

/* A quantile is never below the true one, and above it by a sixteenth at most. */
static void quantiles_are_within_a_sixteenth(void **state)
{
    static struct histogram histogram;
    static struct histogram merged;
    uint64_t value;

    (void)state;
    assert_int_equal(histogram_quantile(&histogram, 0.5), 0);
    for (value = 1; value <= 100000; value++) {
        histogram_add(&histogram, value * 1000);
    }
    histogram_merge(&merged, &histogram);
    assert_int_equal(merged.count, 100000);
    assert_in_range(histogram_quantile(&merged, 0.5), 50000000, 50000000 / 16 * 17);
    assert_in_range(histogram_quantile(&merged, 0.99), 99000000, 100000000);
    assert_int_equal(histogram_quantile(&merged, 1.0), 100000000);
    assert_int_equal(merged.max, 100000000);
}

/* Every value is counted in a bucket that ends at or above it, however large it is. */
static void no_value_is_lost(void **state)
{
    static struct histogram histogram;
    uint32_t bit;

    (void)state;
    for (bit = 0; bit < 64; bit++) {
        histogram = (struct histogram){0};
        histogram_add(&histogram, 1ull << bit);
        assert_int_equal(histogram.count, 1);
        if (bit < 40) {
            assert_int_equal(histogram_quantile(&histogram, 0.5), 1ull << bit);
        }
        assert_int_equal(histogram.max, 1ull << bit);
    }
}

/* Steps end at powers of two and include them: one more is not counted among them. */
static void powers_of_two_divide_exactly(void **state)
{
    static struct histogram histogram;
    unsigned exponent;

    (void)state;
    for (exponent = 0; exponent <= HISTOGRAM_EXPONENT_MAX; exponent++) {
        histogram = (struct histogram){0};
        histogram_add(&histogram, 0);
        histogram_add(&histogram, UINT64_C(1) << exponent);
        histogram_add(&histogram, (UINT64_C(1) << exponent) + 1);
        histogram_add(&histogram, UINT64_MAX);
        assert_int_equal(histogram_at_most(&histogram, exponent), 2);
        assert_int_equal(histogram.count, 4);
    }
}

/* The counts of a value's neighbourhood do not depend on how the values came together. */
static void merging_is_adding(void **state)
{
    static struct histogram all;
    static struct histogram part[3];
    static struct histogram merged;
    uint64_t value = 1;
    unsigned i;

    (void)state;
    for (i = 0; i < 10000; i++) {
        value = value * UINT64_C(6364136223846793005) + 1442695040888963407u;
        histogram_add(&all, value >> (i % 64));
        histogram_add(&part[i % 3], value >> (i % 64));
    }
    for (i = 0; i < 3; i++) {
        histogram_merge(&merged, &part[i]);
    }
    assert_memory_equal(&merged, &all, sizeof all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_within_a_sixteenth),
        cmocka_unit_test(no_value_is_lost),
        cmocka_unit_test(powers_of_two_divide_exactly),
        cmocka_unit_test(merging_is_adding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
