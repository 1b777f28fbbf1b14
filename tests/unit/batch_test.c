/* Batches: their bytes, what comes out of them, and what the header checksum binds them to. */
#include "proto/batch.h"
#include "proto/bytes.h"
#include "proto/crc32c.h"
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

/* A producer's batch, byte by byte as in FORMAT.md. */
static void encoded_batch_has_the_documented_layout(void **state)
{
    uint8_t expected[SMALL_SIZE] = {
        [AT_MAGIC] = 0x54,     [AT_MAGIC + 1] = 0x42, [AT_VERSION] = 1,     [AT_ENTRY_COUNT] = 3,
        [AT_STORED_SIZE] = 17, [AT_RAW_SIZE] = 17,    [AT_BODY] = 2,        [AT_BODY + 8] = 3,
        [AT_BODY + 12] = 'a',  [AT_BODY + 13] = 'b',  [AT_BODY + 14] = 'x', [AT_BODY + 15] = 'y',
        [AT_BODY + 16] = 'z'};
    uint8_t bytes[SMALL_SIZE];
    uint32_t crc;

    (void)state;
    memset(bytes, 0xee, sizeof bytes);
    small_batch(bytes);
    crc = crc32c_portable(0, expected, 4);
    crc = crc32c_portable(crc, expected + 24, 24);
    crc = crc32c_portable(crc, expected + 56, 8 + SMALL_BODY_SIZE);
    put_u32(expected + AT_BODY_CRC, crc);
    assert_memory_equal(bytes, expected, sizeof expected);
}

/* Each field has its place, and no two share one. */
static void header_fields_have_the_documented_offsets(void **state)
{
    uint8_t bytes[BATCH_HEADER_SIZE];
    uint8_t again[BATCH_HEADER_SIZE];
    struct batch_header header;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i + 1);
    }
    put_u16(bytes + AT_MAGIC, BATCH_MAGIC);
    put_u32(bytes + AT_RESERVED, 0);
    batch_header_decode(&header, bytes);
    assert_int_equal(header.version, 3);
    assert_int_equal(header.codec, 4);
    assert_int_equal(header.header_crc, 0x08070605);
    assert_int_equal(header.first_offset, 0x100f0e0d0c0b0a09);
    assert_int_equal(header.time_us, 0x1817161514131211);
    assert_int_equal(header.producer_id, 0x201f1e1d1c1b1a19);
    assert_int_equal(header.producer_sequence, 0x24232221);
    assert_int_equal(header.entry_count, 0x28272625);
    assert_int_equal(header.stored_size, 0x2c2b2a29);
    assert_int_equal(header.raw_size, 0x302f2e2d);
    assert_int_equal(header.body_crc, 0x34333231);
    assert_int_equal(header.previous_crc, 0x38373635);
    assert_int_equal(header.flags, 0x403f3e3d);
    memset(again, 0xee, sizeof again);
    batch_header_encode(again, &header);
    assert_memory_equal(again, bytes, sizeof bytes);
}

/* What was encoded comes out: the same entries, in order, then no more. */
static void entries_come_out_as_they_went_in(void **state)
{
    const char *const texts[] = {"ab", "", "xyz"};
    uint8_t bytes[SMALL_SIZE];
    struct batch_header header;
    struct batch_iterator it;
    struct batch_entry entry;
    size_t i;

    (void)state;
    small_batch(bytes);
    assert_int_equal(batch_verify(bytes, sizeof bytes, BODY_SIZE_MAX, &header), BATCH_GOOD);
    assert_int_equal(header.entry_count, 3);
    assert_int_equal(header.stored_size, SMALL_BODY_SIZE);
    batch_entries(&it, bytes);
    for (i = 0; i < 3; i++) {
        assert_true(batch_next(&it, &entry));
        assert_non_null(entry.data);
        assert_int_equal(entry.size, strlen(texts[i]));
        assert_memory_equal(entry.data, texts[i], entry.size);
    }
    assert_false(batch_next(&it, &entry));
    assert_false(batch_next(&it, &entry));
}

/* Random counts and sizes, zero among them: each batch verifies and gives back its entries, and
 * building it in place gives the same bytes as encoding it. */
static void random_batches_round_trip(void **state)
{
    static uint8_t payload[4096];
    struct random random;
    int round;

    (void)state;
    random_begin(&random);
    random_fill(&random, payload, sizeof payload);
    for (round = 0; round < 2000; round++) {
        struct batch_entry entries[64];
        uint32_t count = (uint32_t)(1 + random_below(&random, 64));
        uint64_t payload_size = 0;
        struct batch_header header;
        struct batch_iterator it;
        struct batch_entry entry;
        uint8_t *bytes;
        uint8_t *built;
        size_t size;
        uint32_t i;

        for (i = 0; i < count; i++) {
            entries[i].size = (uint32_t)random_below(&random, random_below(&random, 2) * 300 + 1);
            entries[i].data = payload + random_below(&random, sizeof payload - 300);
            payload_size += entries[i].size;
        }
        size = batch_encoded_size(count, payload_size);
        bytes = malloc(size);
        built = malloc(size);
        assert_non_null(bytes);
        assert_non_null(built);
        batch_encode(bytes, entries, count);
        assert_int_equal(batch_verify(bytes, size, BODY_SIZE_MAX, &header), BATCH_GOOD);
        memset(built, 0xee, AT_BODY);
        memcpy(built + AT_BODY, bytes + AT_BODY, size - AT_BODY);
        batch_finish(built, count, (uint32_t)(size - AT_BODY));
        assert_memory_equal(built, bytes, size);
        batch_entries(&it, bytes);
        for (i = 0; i < count; i++) {
            assert_true(batch_next(&it, &entry));
            assert_int_equal(entry.size, entries[i].size);
            assert_memory_equal(entry.data, entries[i].data, entry.size);
        }
        assert_false(batch_next(&it, &entry));
        free(built);
        free(bytes);
    }
}

/* Another store, another use of the block or another place: the header checksum differs. */
static void header_checksum_depends_on_store_generation_and_position(void **state)
{
    uint8_t other_store[BATCH_STORE_ID_SIZE];
    uint8_t bytes[SMALL_SIZE];
    uint32_t seed = batch_seed(store_id, 5);
    uint32_t crc;

    (void)state;
    memcpy(other_store, store_id, sizeof other_store);
    other_store[15] ^= 1;
    small_batch(bytes);
    crc = batch_complete(bytes, 9, 8, 7, seed, 64);
    assert_int_equal(batch_header_crc(bytes, seed, 64), crc);
    assert_int_not_equal(batch_header_crc(bytes, seed, 80), crc);
    assert_int_not_equal(batch_header_crc(bytes, batch_seed(store_id, 6), 64), crc);
    assert_int_not_equal(batch_header_crc(bytes, batch_seed(store_id, 5 + (1ull << 32)), 64), crc);
    assert_int_not_equal(batch_header_crc(bytes, batch_seed(other_store, 5), 64), crc);
}

/* A count does not end at 16 bits. */
static void many_entries_come_out(void **state)
{
    const uint32_t count = 70000;
    struct batch_entry *entries = calloc(count, sizeof *entries);
    uint8_t *bytes = malloc(batch_encoded_size(count, count));
    struct batch_header header;
    struct batch_iterator it;
    struct batch_entry entry;
    uint32_t i;

    (void)state;
    assert_non_null(entries);
    assert_non_null(bytes);
    for (i = 0; i < count; i++) {
        entries[i] = entry_of("x");
    }
    batch_encode(bytes, entries, count);
    assert_int_equal(batch_verify(bytes, batch_encoded_size(count, count), BODY_SIZE_MAX, &header),
                     BATCH_GOOD);
    batch_entries(&it, bytes);
    for (i = 0; i < count; i++) {
        assert_true(batch_next(&it, &entry));
        assert_int_equal(entry.size, 1);
        assert_int_equal(entry.data[0], 'x');
    }
    assert_false(batch_next(&it, &entry));
    free(bytes);
    free(entries);
}

/* Nor does an entry's size: this one is followed by another, which is found behind it. */
static void large_entries_come_out(void **state)
{
    const uint32_t size = 70000;
    uint8_t *payload = malloc(size);
    uint8_t *bytes = malloc(batch_encoded_size(2, size + 1));
    struct batch_header header;
    struct batch_iterator it;
    struct batch_entry entry;

    (void)state;
    assert_non_null(payload);
    assert_non_null(bytes);
    memset(payload, 'p', size);
    batch_encode(bytes, (const struct batch_entry[]){{payload, size}, entry_of("x")}, 2);
    assert_int_equal(batch_verify(bytes, batch_encoded_size(2, size + 1), BODY_SIZE_MAX, &header),
                     BATCH_GOOD);
    batch_entries(&it, bytes);
    assert_true(batch_next(&it, &entry));
    assert_int_equal(entry.size, size);
    assert_memory_equal(entry.data, payload, size);
    assert_true(batch_next(&it, &entry));
    assert_int_equal(entry.size, 1);
    assert_int_equal(entry.data[0], 'x');
    free(bytes);
    free(payload);
}

/* The header checksum is the one of FORMAT.md: store id, generation, position, then the header
 * without the checksum itself. */
static void header_checksum_is_the_documented_one(void **state)
{
    uint8_t covered[16 + 8 + 4 + 4 + 56];
    uint8_t bytes[SMALL_SIZE];
    uint32_t crc;

    (void)state;
    small_batch(bytes);
    crc = batch_complete(bytes, 9, 8, 7, batch_seed(store_id, 0x1122334455667788), 4096);
    memcpy(covered, store_id, 16);
    put_u64(covered + 16, 0x1122334455667788);
    put_u32(covered + 24, 4096);
    memcpy(covered + 28, bytes, 4);
    memcpy(covered + 32, bytes + 8, 56);
    assert_int_equal(crc, crc32c_portable(0, covered, sizeof covered));
    assert_int_equal(get_u32(bytes + AT_HEADER_CRC), crc);
}

/* The daemon's fields are set, the producer's and the body are left alone. */
static void completing_changes_the_daemons_fields_only(void **state)
{
    uint8_t before[SMALL_SIZE];
    uint8_t bytes[SMALL_SIZE];
    struct batch_header header;
    uint32_t crc;

    (void)state;
    small_batch(before);
    small_batch(bytes);
    crc = batch_complete(bytes, UINT64_MAX - 1, 0x0102030405060708, 0xcafe1234, 3, 16);
    assert_int_equal(batch_verify(bytes, sizeof bytes, BODY_SIZE_MAX, &header), BATCH_GOOD);
    assert_int_equal(header.first_offset, UINT64_MAX - 1);
    assert_int_equal(header.time_us, 0x0102030405060708);
    assert_int_equal(header.previous_crc, 0xcafe1234);
    assert_int_equal(header.header_crc, crc);
    assert_memory_equal(bytes, before, 4);
    assert_memory_equal(bytes + AT_PRODUCER_ID, before + AT_PRODUCER_ID, AT_CHAIN - AT_PRODUCER_ID);
    assert_memory_equal(bytes + AT_RESERVED, before + AT_RESERVED, SMALL_SIZE - AT_RESERVED);
}

/* Entries of no bytes at all are entries. */
static void batches_of_empty_entries_are_good(void **state)
{
    const struct batch_entry entries[3] = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    uint32_t count;

    (void)state;
    for (count = 1; count <= 3; count++) {
        uint8_t bytes[BATCH_HEADER_SIZE + 12];
        struct batch_header header;
        struct batch_iterator it;
        struct batch_entry entry;
        uint32_t seen = 0;

        batch_encode(bytes, entries, count);
        assert_int_equal(batch_verify(bytes, batch_encoded_size(count, 0), 12, &header),
                         BATCH_GOOD);
        batch_entries(&it, bytes);
        while (batch_next(&it, &entry)) {
            assert_non_null(entry.data);
            assert_int_equal(entry.size, 0);
            seen++;
        }
        assert_int_equal(seen, count);
    }
}

/* A size that 32 bits do not hold is answered 0, never a smaller number. */
static void encoded_size_does_not_overflow(void **state)
{
    static const struct {
        uint32_t count;
        uint64_t payload_size;
        size_t size;
    } rows[] = {
        {1, 0, 68},
        {1, 100, 168},
        {3, 5, 81},
        {1000, 0, 4064},
        {1, UINT32_MAX - 68, UINT32_MAX},
        {1, UINT32_MAX - 67, 0},
        {1, UINT32_MAX, 0},
        {1, 1ull << 32, 0},
        {1, UINT64_MAX, 0},
        {1, UINT64_MAX - 67, 0},
        {0x3fffffef, 0, 0xfffffffc},
        {0x3fffffef, 3, 0xffffffff},
        {0x3fffffef, 4, 0},
        {0x3ffffff0, 0, 0},
        {0x40000000, 0, 0},
        {UINT32_MAX, 0, 0},
        {UINT32_MAX, UINT64_MAX, 0},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(batch_encoded_size(rows[i].count, rows[i].payload_size), rows[i].size);
    }
}

/* Padded to the next multiple of 16, in 64 bits. */
static void padded_size_is_the_next_multiple_of_16(void **state)
{
    (void)state;
    assert_int_equal(batch_padded_size(0), 64);
    assert_int_equal(batch_padded_size(1), 80);
    assert_int_equal(batch_padded_size(15), 80);
    assert_int_equal(batch_padded_size(16), 80);
    assert_int_equal(batch_padded_size(17), 96);
    assert_int_equal(batch_padded_size(UINT32_MAX), 0x100000040);
}

/* An operator gets a different sentence for every problem. */
static void problems_have_different_sentences(void **state)
{
    int a;
    int b;

    (void)state;
    for (a = BATCH_GOOD; a <= BATCH_BAD_HEADER_CRC; a++) {
        for (b = a + 1; b <= BATCH_BAD_HEADER_CRC + 1; b++) {
            assert_string_not_equal(batch_problem_text((enum batch_problem)a),
                                    batch_problem_text((enum batch_problem)b));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoded_batch_has_the_documented_layout),
        cmocka_unit_test(header_fields_have_the_documented_offsets),
        cmocka_unit_test(entries_come_out_as_they_went_in),
        cmocka_unit_test(random_batches_round_trip),
        cmocka_unit_test(many_entries_come_out),
        cmocka_unit_test(large_entries_come_out),
        cmocka_unit_test(header_checksum_depends_on_store_generation_and_position),
        cmocka_unit_test(header_checksum_is_the_documented_one),
        cmocka_unit_test(completing_changes_the_daemons_fields_only),
        cmocka_unit_test(batches_of_empty_entries_are_good),
        cmocka_unit_test(encoded_size_does_not_overflow),
        cmocka_unit_test(padded_size_is_the_next_multiple_of_16),
        cmocka_unit_test(problems_have_different_sentences),
    };

    return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
