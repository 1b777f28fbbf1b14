/* What is not a batch, and who notices a changed bit. */
#include "proto/batch.h"
#include "proto/bytes.h"
#include "tests/unit/batch_fixture.h"
#include "tests/unit/proto_random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t store_id[BATCH_STORE_ID_SIZE] = {1, 2,  3,  4,  5,  6,  7,  8,
                                                      9, 10, 11, 12, 13, 14, 15, 16};

/* Make the body checksum right again, as an attacker or a buggy producer would. */
static void fix_body_crc(uint8_t *bytes, uint32_t stored_size)
{
    put_u32(bytes + AT_BODY_CRC, batch_body_crc(bytes, stored_size));
}

/* A single flipped bit anywhere in a stored batch is seen: by the body checksum, the header
 * checksum, or a check before them. */
static void every_flipped_bit_is_detected(void **state)
{
    const uint32_t seed = batch_seed(store_id, 77);
    uint8_t bytes[SMALL_SIZE];
    struct batch_header header;
    size_t bit;

    (void)state;
    small_batch(bytes);
    batch_complete(bytes, 1000, 1234567, 0xabcdef01, seed, 4096);
    for (bit = 0; bit < SMALL_SIZE * 8; bit++) {
        enum batch_problem problem;
        bool header_good;

        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ (1u << (bit % 8)));
        problem = batch_verify(bytes, sizeof bytes, BODY_SIZE_MAX, &header);
        header_good = batch_header_crc(bytes, seed, 4096) == get_u32(bytes + AT_HEADER_CRC);
        if (bit / 8 >= AT_BODY) {
            assert_int_not_equal(problem, BATCH_GOOD);
        } else {
            assert_false(header_good);
        }
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ (1u << (bit % 8)));
    }
    assert_int_equal(batch_verify(bytes, sizeof bytes, BODY_SIZE_MAX, &header), BATCH_GOOD);
}

/* The producer's checksum covers exactly the producer's fields: a flip in any of them is seen
 * even by one who knows neither store id nor position, and the daemon's fields are not in it. */
static void body_checksum_covers_the_producers_fields_only(void **state)
{
    uint8_t bytes[SMALL_SIZE];
    struct batch_header header;
    size_t at;

    (void)state;
    small_batch(bytes);
    for (at = 0; at < SMALL_SIZE; at++) {
        bool daemons =
            (at >= AT_HEADER_CRC && at < AT_PRODUCER_ID) || (at >= AT_CHAIN && at < AT_RESERVED);
        int bit;

        for (bit = 0; bit < 8; bit++) {
            enum batch_problem problem;

            bytes[at] = (uint8_t)(bytes[at] ^ (1u << bit));
            problem = batch_verify(bytes, sizeof bytes, BODY_SIZE_MAX, &header);
            assert_int_equal(problem == BATCH_GOOD, daemons);
            bytes[at] = (uint8_t)(bytes[at] ^ (1u << bit));
        }
    }
}

static const struct {
    size_t at;
    size_t size;
    uint64_t value;
    enum batch_problem problem;
} bad_fields[] = {
    {AT_MAGIC, 2, 0, BATCH_BAD_MAGIC},
    {AT_MAGIC, 2, 0x5442, BATCH_BAD_MAGIC},
    {AT_MAGIC, 2, 0xffff, BATCH_BAD_MAGIC},
    {AT_VERSION, 1, 0, BATCH_BAD_VERSION},
    {AT_VERSION, 1, 2, BATCH_BAD_VERSION},
    {AT_VERSION, 1, 255, BATCH_BAD_VERSION},
    {AT_CODEC, 1, BATCH_CODEC_ZSTD, BATCH_BAD_CODEC},
    {AT_CODEC, 1, 2, BATCH_BAD_CODEC},
    {AT_CODEC, 1, 255, BATCH_BAD_CODEC},
    {AT_FLAGS, 4, BATCH_FLAG_KEYS, BATCH_BAD_FLAGS},
    {AT_FLAGS, 4, BATCH_FLAG_TOMBSTONES, BATCH_BAD_FLAGS},
    {AT_FLAGS, 4, BATCH_FLAG_IDS, BATCH_BAD_FLAGS},
    {AT_FLAGS, 4, BATCH_FLAG_TIMES, BATCH_BAD_FLAGS},
    {AT_FLAGS, 4, BATCH_FLAG_ATTRIBUTES, BATCH_BAD_FLAGS},
    {AT_FLAGS, 4, BATCH_FLAG_FRAGMENT, BATCH_BAD_FLAGS},
    {AT_FLAGS, 4, BATCH_FLAG_ALIGNED, BATCH_BAD_FLAGS},
    {AT_FLAGS, 4, 0x80000000, BATCH_BAD_FLAGS},
    {AT_FLAGS, 4, 0xffffffff, BATCH_BAD_FLAGS},
    {AT_FLAGS, 4, 0x0000ffff, BATCH_GOOD},
    {AT_FLAGS, 4, 0x00000001, BATCH_GOOD},
    {AT_FLAGS, 4, 0x00008000, BATCH_GOOD},
    {AT_RESERVED, 4, 1, BATCH_BAD_FLAGS},
    {AT_RESERVED, 4, 0x80000000, BATCH_BAD_FLAGS},
    {AT_PRODUCER_ID, 8, 1, BATCH_BAD_FLAGS},
    {AT_PRODUCER_ID, 8, 1ull << 63, BATCH_BAD_FLAGS},
    {AT_PRODUCER_SEQUENCE, 4, 1, BATCH_BAD_FLAGS},
    {AT_ENTRY_COUNT, 4, 0, BATCH_BAD_SIZES},
    {AT_ENTRY_COUNT, 4, 1, BATCH_BAD_LENGTHS},
    {AT_ENTRY_COUNT, 4, 2, BATCH_BAD_LENGTHS},
    {AT_ENTRY_COUNT, 4, 4, BATCH_BAD_LENGTHS},
    {AT_ENTRY_COUNT, 4, 5, BATCH_BAD_SIZES},
    {AT_ENTRY_COUNT, 4, 0x40000000, BATCH_BAD_SIZES}, /* times 4 is 0 in 32 bits */
    {AT_ENTRY_COUNT, 4, 0x40000003, BATCH_BAD_SIZES}, /* and 12 */
    {AT_ENTRY_COUNT, 4, 0xffffffff, BATCH_BAD_SIZES},
    {AT_STORED_SIZE, 4, 16, BATCH_BAD_SIZES},
    {AT_STORED_SIZE, 4, 18, BATCH_BAD_SIZES},
    {AT_STORED_SIZE, 4, 0, BATCH_BAD_SIZES},
    {AT_STORED_SIZE, 4, 0xffffffff, BATCH_BAD_SIZES},
    {AT_RAW_SIZE, 4, 16, BATCH_BAD_SIZES},
    {AT_RAW_SIZE, 4, 18, BATCH_BAD_SIZES},
    {AT_RAW_SIZE, 4, 0, BATCH_BAD_SIZES},
    {AT_RAW_SIZE, 4, 0xffffffff, BATCH_BAD_SIZES},
    {AT_BODY, 4, 0, BATCH_BAD_LENGTHS},
    {AT_BODY, 4, 1, BATCH_BAD_LENGTHS},
    {AT_BODY, 4, 3, BATCH_BAD_LENGTHS},
    {AT_BODY, 4, 0xffffffff, BATCH_BAD_LENGTHS},
    {AT_BODY + 4, 4, 1, BATCH_BAD_LENGTHS},
    {AT_BODY + 8, 4, 2, BATCH_BAD_LENGTHS},
    {AT_BODY + 8, 4, 4, BATCH_BAD_LENGTHS},
};

/* One field changed, the body checksum made right again: what is left is the check itself. */
static void each_bad_field_has_its_problem(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad_fields / sizeof *bad_fields; i++) {
        uint8_t bytes[SMALL_SIZE];
        uint8_t value[8];
        struct batch_header header;

        small_batch(bytes);
        put_u64(value, bad_fields[i].value);
        memcpy(bytes + bad_fields[i].at, value, bad_fields[i].size);
        fix_body_crc(bytes, SMALL_BODY_SIZE);
        if (batch_verify(bytes, sizeof bytes, BODY_SIZE_MAX, &header) != bad_fields[i].problem) {
            print_error("row %zu\n", i);
            fail();
        }
    }
}

/* Lengths whose sum is right only modulo 2^32 do not add up. */
static void lengths_that_overflow_do_not_add_up(void **state)
{
    static const uint32_t lengths[][3] = {
        {0xffffffff, 6, 0}, {0x80000000, 0x80000000, 5}, {0xffffffff, 0xffffffff, 7},
        {0xfffffffe, 1, 6}, {5, 0x80000000, 0x80000000}, {0xaaaaaaaa, 0xaaaaaaaa, 0xaaaaaab1},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        uint8_t bytes[SMALL_SIZE];
        struct batch_header header;

        small_batch(bytes);
        assert_int_equal((uint32_t)(lengths[i][0] + lengths[i][1] + lengths[i][2]), 5);
        put_u32(bytes + AT_BODY, lengths[i][0]);
        put_u32(bytes + AT_BODY + 4, lengths[i][1]);
        put_u32(bytes + AT_BODY + 8, lengths[i][2]);
        fix_body_crc(bytes, SMALL_BODY_SIZE);
        assert_int_equal(batch_verify(bytes, sizeof bytes, BODY_SIZE_MAX, &header),
                         BATCH_BAD_LENGTHS);
    }
}

/* Of a batch that is cut anywhere, nothing behind the cut is read (the memory ends there). */
static void every_truncation_is_short(void **state)
{
    uint8_t whole[SMALL_SIZE];
    size_t size;

    (void)state;
    small_batch(whole);
    for (size = 0; size < SMALL_SIZE; size++) {
        uint8_t *bytes = malloc(size + (size == 0));
        struct batch_header header;

        assert_non_null(bytes);
        memcpy(bytes, whole, size);
        assert_int_equal(batch_verify(bytes, size, BODY_SIZE_MAX, &header), BATCH_SHORT);
        free(bytes);
    }
    whole[AT_MAGIC] ^= 1; /* A header is enough to see that it is none */
    for (size = BATCH_HEADER_SIZE - 1; size <= BATCH_HEADER_SIZE; size++) {
        struct batch_header header;

        assert_int_equal(batch_verify(whole, size, BODY_SIZE_MAX, &header),
                         size < BATCH_HEADER_SIZE ? BATCH_SHORT : BATCH_BAD_MAGIC);
    }
}

/* A batch in a block or a reply has padding and other batches behind it. */
static void bytes_behind_a_batch_do_not_matter(void **state)
{
    uint8_t bytes[SMALL_SIZE + 64];
    struct batch_header header;
    size_t size;

    (void)state;
    memset(bytes, 0xee, sizeof bytes);
    small_batch(bytes);
    for (size = SMALL_SIZE; size <= sizeof bytes; size++) {
        assert_int_equal(batch_verify(bytes, size, BODY_SIZE_MAX, &header), BATCH_GOOD);
    }
}

/* The limit on the body is inclusive. */
static void body_size_limit_is_exact(void **state)
{
    uint8_t bytes[SMALL_SIZE];
    struct batch_header header;

    (void)state;
    small_batch(bytes);
    assert_int_equal(batch_verify(bytes, sizeof bytes, SMALL_BODY_SIZE, &header), BATCH_GOOD);
    assert_int_equal(batch_verify(bytes, sizeof bytes, SMALL_BODY_SIZE - 1, &header),
                     BATCH_BAD_SIZES);
    assert_int_equal(batch_verify(bytes, sizeof bytes, UINT32_MAX, &header), BATCH_GOOD);
    assert_int_equal(batch_header_check(bytes, 0, &header), BATCH_BAD_SIZES);
}

/* Zeros, the padding of every block, are no batch. */
static void zeros_are_no_batch(void **state)
{
    uint8_t bytes[256] = {0};
    struct batch_header header;

    (void)state;
    assert_int_equal(batch_verify(bytes, sizeof bytes, BODY_SIZE_MAX, &header), BATCH_BAD_MAGIC);
}

/* Random bytes behind a plausible header: never a crash, never a read out of bounds (the memory
 * ends at the end of the bytes), and, whenever they verify, entries that lie inside. */
static void random_bytes_are_handled(void **state)
{
    struct random random;
    int round;
    int good = 0;

    (void)state;
    random_begin(&random);
    for (round = 0; round < 50000; round++) {
        size_t size = (size_t)random_below(&random, 160);
        uint8_t *bytes = malloc(size + 1);
        struct batch_header header;

        assert_non_null(bytes);
        random_fill(&random, bytes, size);
        if (size >= BATCH_HEADER_SIZE) {
            const struct batch_header plausible = {
                .version = 1,
                .entry_count = (uint32_t)random_below(&random, 4),
                .stored_size = (uint32_t)(size - BATCH_HEADER_SIZE),
                .raw_size = (uint32_t)(size - BATCH_HEADER_SIZE)};

            batch_header_encode(bytes, &plausible);
            if (size >= AT_BODY + 4) {
                put_u32(bytes + AT_BODY, (uint32_t)(size - AT_BODY - 4));
            }
            fix_body_crc(bytes, plausible.stored_size);
        }
        if (batch_verify(bytes, size, BODY_SIZE_MAX, &header) == BATCH_GOOD) {
            struct batch_iterator it;
            struct batch_entry entry;

            batch_entries(&it, bytes);
            while (batch_next(&it, &entry)) {
                assert_true(entry.data >= bytes && entry.data + entry.size <= bytes + size);
            }
            good++;
        }
        free(bytes);
    }
    assert_true(good > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flipped_bit_is_detected),
        cmocka_unit_test(body_checksum_covers_the_producers_fields_only),
        cmocka_unit_test(each_bad_field_has_its_problem),
        cmocka_unit_test(lengths_that_overflow_do_not_add_up),
        cmocka_unit_test(every_truncation_is_short),
        cmocka_unit_test(bytes_behind_a_batch_do_not_matter),
        cmocka_unit_test(body_size_limit_is_exact),
        cmocka_unit_test(zeros_are_no_batch),
        cmocka_unit_test(random_bytes_are_handled),
    };

    return cmocka_run_group_tests_name("batch verify", tests, NULL, NULL);
}
