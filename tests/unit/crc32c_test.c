/* The checksum, against published values, a bit-by-bit definition, and itself. */
#include "proto/crc32c.h"
#include "tests/unit/proto_random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef uint32_t crc_function(uint32_t crc, const void *data, size_t size);

static crc_function *const implementations[] = {crc32c, crc32c_portable};

#define IMPLEMENTATION_COUNT (sizeof implementations / sizeof *implementations)

/* The definition: one bit at a time, nothing clever. */
static uint32_t crc32c_by_bits(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *at = data;
    uint32_t state = ~crc;
    size_t i;
    int bit;

    for (i = 0; i < size; i++) {
        state ^= at[i];
        for (bit = 0; bit < 8; bit++) {
            state = (state & 1) != 0 ? (state >> 1) ^ 0x82f63b78u : state >> 1;
        }
    }
    return ~state;
}

/* RFC 3720, appendix B.4, and the value that every list of checksums has for "123456789". */
static void published_values_come_out(void **state)
{
    static const uint8_t read_command[48] = {
        0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00,
        0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
    uint8_t zeros[32] = {0};
    uint8_t ones[32];
    uint8_t up[32];
    uint8_t down[32];
    size_t i;

    (void)state;
    memset(ones, 0xff, sizeof ones);
    for (i = 0; i < sizeof up; i++) {
        up[i] = (uint8_t)i;
        down[i] = (uint8_t)(31 - i);
    }
    for (i = 0; i < IMPLEMENTATION_COUNT; i++) {
        crc_function *crc = implementations[i];

        assert_int_equal(crc(0, zeros, sizeof zeros), 0x8a9136aau);
        assert_int_equal(crc(0, ones, sizeof ones), 0x62a8ab43u);
        assert_int_equal(crc(0, up, sizeof up), 0x46dd794eu);
        assert_int_equal(crc(0, down, sizeof down), 0x113fdb5cu);
        assert_int_equal(crc(0, read_command, sizeof read_command), 0xd9963a56u);
        assert_int_equal(crc(0, "123456789", 9), 0xe3069283u);
        assert_int_equal(crc(0, "a", 1), 0xc1d04330u);
    }
}

/* Every size up to well past the one at which crc32c() changes its method, at every alignment:
 * all implementations agree with the definition. */
static void all_sizes_and_alignments_agree_with_the_definition(void **state)
{
    uint8_t bytes[8 + 600];
    struct random random;
    size_t offset;
    size_t size;

    (void)state;
    random_begin(&random);
    random_fill(&random, bytes, sizeof bytes);
    for (size = 0; size <= 600; size++) {
        for (offset = 0; offset < 8; offset++) {
            uint32_t begin = (uint32_t)random_number(&random);
            uint32_t expected = crc32c_by_bits(begin, bytes + offset, size);

            assert_int_equal(crc32c(begin, bytes + offset, size), expected);
            assert_int_equal(crc32c_portable(begin, bytes + offset, size), expected);
        }
    }
}

/* A checksum over parts is the checksum of the whole, wherever it was cut. */
static void chained_parts_equal_the_whole(void **state)
{
    uint8_t bytes[700];
    struct random random;
    size_t cut;
    size_t i;

    (void)state;
    random_begin(&random);
    random_fill(&random, bytes, sizeof bytes);
    for (i = 0; i < IMPLEMENTATION_COUNT; i++) {
        crc_function *crc = implementations[i];
        uint32_t whole = crc(0, bytes, sizeof bytes);

        for (cut = 0; cut <= sizeof bytes; cut++) {
            assert_int_equal(crc(crc(0, bytes, cut), bytes + cut, sizeof bytes - cut), whole);
        }
    }
}

/* Nothing added changes nothing, and needs no memory. */
static void empty_input_keeps_the_value(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < IMPLEMENTATION_COUNT; i++) {
        assert_int_equal(implementations[i](0, NULL, 0), 0);
        assert_int_equal(implementations[i](0x12345678u, NULL, 0), 0x12345678u);
        assert_int_equal(implementations[i](UINT32_MAX, "", 0), UINT32_MAX);
    }
}

/* A megabyte goes through the wide loops many times. */
static void large_inputs_agree(void **state)
{
    const size_t size = (1u << 20) + 13;
    uint8_t *bytes = malloc(size);
    struct random random;

    (void)state;
    assert_non_null(bytes);
    random_begin(&random);
    random_fill(&random, bytes, size);
    assert_int_equal(crc32c(0, bytes, size), crc32c_portable(0, bytes, size));
    assert_int_equal(crc32c(7, bytes + 3, size - 3), crc32c_portable(7, bytes + 3, size - 3));
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_values_come_out),
        cmocka_unit_test(all_sizes_and_alignments_agree_with_the_definition),
        cmocka_unit_test(chained_parts_equal_the_whole),
        cmocka_unit_test(empty_input_keeps_the_value),
        cmocka_unit_test(large_inputs_agree),
    };

    return cmocka_run_group_tests_name("crc32c", tests, NULL, NULL);
}
