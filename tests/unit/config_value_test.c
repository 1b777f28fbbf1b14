#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/value.h"

static bool parse(enum value_type type, const char *text, uint64_t *out)
{
    return value_parse(type, text, 0, UINT64_MAX, out);
}

static void expect(enum value_type type, const char *text, uint64_t wanted)
{
    uint64_t value = ~wanted;

    assert_true(parse(type, text, &value));
    assert_int_equal(value, wanted);
}

static void refuse(enum value_type type, const char *text)
{
    uint64_t value = 4711;

    assert_false(parse(type, text, &value));
    assert_int_equal(value, 4711);
}

/* Sizes are bytes, with or without a unit; units are powers of 1024 and their case does not matter.
 */
static void sizes_have_binary_units(void **state)
{
    (void)state;
    expect(VALUE_SIZE, "0", 0);
    expect(VALUE_SIZE, "4096", 4096);
    expect(VALUE_SIZE, "1B", 1);
    expect(VALUE_SIZE, "64MiB", UINT64_C(64) << 20);
    expect(VALUE_SIZE, "64mib", UINT64_C(64) << 20);
    expect(VALUE_SIZE, "3TiB", UINT64_C(3) << 40);
    expect(VALUE_SIZE, "3T", UINT64_C(3) << 40);
    expect(VALUE_SIZE, "64M", UINT64_C(64) << 20);
    refuse(VALUE_SIZE, "");
    refuse(VALUE_SIZE, "MiB");
    refuse(VALUE_SIZE, "1MB");
    refuse(VALUE_SIZE, "-1");
    refuse(VALUE_SIZE, "1 MiB");
    refuse(VALUE_SIZE, "1.5MiB");
    refuse(VALUE_SIZE, "16777216TiB");
    refuse(VALUE_SIZE, "18446744073709551616");
}

/* A time needs its unit, because nobody knows which one a bare number means; 0 needs none. */
static void times_need_a_unit(void **state)
{
    (void)state;
    expect(VALUE_TIME, "0", 0);
    expect(VALUE_TIME, "200ms", 200);
    expect(VALUE_TIME, "7d", UINT64_C(7) * 24 * 3600 * 1000);
    expect(VALUE_TIME, "2h", 7200000);
    expect(VALUE_TIME, "3m", 180000);
    expect(VALUE_TIME, "none", 0);
    refuse(VALUE_TIME, "non");
    refuse(VALUE_TIME, "200");
    refuse(VALUE_TIME, "200us");
    refuse(VALUE_TIME, "1s2ms");
}

/* The fsync schedule is each, none, or milliseconds, with a unit or, as documented, without. */
static void fsync_schedules(void **state)
{
    uint64_t value;

    (void)state;
    expect(VALUE_FSYNC, "each", VALUE_FSYNC_EACH);
    expect(VALUE_FSYNC, "none", VALUE_FSYNC_NONE);
    expect(VALUE_FSYNC, "200", 200);
    expect(VALUE_FSYNC, "1s", 1000);
    refuse(VALUE_FSYNC, "0");
    refuse(VALUE_FSYNC, "0ms");
    refuse(VALUE_FSYNC, "never");
    assert_true(value_parse(VALUE_FSYNC, "none", 0, 1000, &value));
    assert_false(value_parse(VALUE_FSYNC, "1001ms", 0, 1000, &value));
}

/* Consistency is strict, or at-least-once with a number that is not 0. */
static void consistency_levels(void **state)
{
    (void)state;
    expect(VALUE_CONSISTENCY, "strict", VALUE_STRICT);
    expect(VALUE_CONSISTENCY, "at-least-once:10", 10);
    refuse(VALUE_CONSISTENCY, "at-least-once");
    refuse(VALUE_CONSISTENCY, "at-least-once:");
    refuse(VALUE_CONSISTENCY, "at-least-once:0");
    refuse(VALUE_CONSISTENCY, "at-least-once:1x");
}

/* Words are exact. */
static void words_are_exact(void **state)
{
    (void)state;
    expect(VALUE_IO, "uring", VALUE_IO_URING);
    expect(VALUE_IO, "mmap", VALUE_IO_MMAP);
    refuse(VALUE_IO, "io_uring");
    expect(VALUE_LOG, "debug", VALUE_LOG_DEBUG);
    expect(VALUE_RETENTION, "consumed", VALUE_RETAIN_CONSUMED);
    expect(VALUE_SWITCH, "off", 0);
    expect(VALUE_SWITCH, "1", 1);
    refuse(VALUE_SWITCH, "maybe");
}

/* The bounds of a number are allowed, and the numbers beside them are not. */
static void bounds_are_inclusive(void **state)
{
    uint64_t value = 0;

    (void)state;
    assert_false(value_parse(VALUE_COUNT, "4", 5, 7, &value));
    assert_true(value_parse(VALUE_COUNT, "5", 5, 7, &value));
    assert_true(value_parse(VALUE_COUNT, "7", 5, 7, &value));
    assert_false(value_parse(VALUE_COUNT, "8", 5, 7, &value));
    assert_int_equal(value, 7);
}

/* What is written is read back as the same number, whatever the number. */
static void formatted_values_are_read_back(void **state)
{
    static const enum value_type types[] = {VALUE_SIZE, VALUE_COUNT, VALUE_TIME, VALUE_FSYNC,
                                            VALUE_CONSISTENCY};
    const unsigned seed = (unsigned)getpid();
    char text[VALUE_TEXT_SIZE];
    unsigned i;

    (void)state;
    print_message("seed %u\n", seed);
    srandom(seed);
    for (i = 0; i < 20000; i++) {
        const enum value_type type = types[i % 5];
        const uint64_t number = ((uint64_t)random() << 31 | (uint64_t)random()) >> (random() % 62);

        value_format(type, number, text, sizeof text);
        expect(type, text, number);
    }
    value_format(VALUE_FSYNC, VALUE_FSYNC_NONE, text, sizeof text);
    assert_string_equal(text, "none");
    value_format(VALUE_SIZE, 64u << 20, text, sizeof text);
    assert_string_equal(text, "64MiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_have_binary_units),
        cmocka_unit_test(times_need_a_unit),
        cmocka_unit_test(fsync_schedules),
        cmocka_unit_test(consistency_levels),
        cmocka_unit_test(words_are_exact),
        cmocka_unit_test(bounds_are_inclusive),
        cmocka_unit_test(formatted_values_are_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
