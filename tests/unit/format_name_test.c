/* Names in formats have a length of their own, which a checksum does not make sane: one that is longer than any name is refused, wherever
 * it stands; the longest that can be is taken. */
#include "core/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/error.h"
#include "proto/bytes.h"
#include "proto/crc32c.h"

#define ROOM 1024u

static char longest[FORMAT_NAME_SIZE_MAX + 1];

static int set_up(void **state)
{
    (void)state;
    memset(longest, 'n', sizeof longest);
    return 0;
}

static void in_a_block_header(void **state)
{
    struct format_block block = {
        .block_size = 1u << 20, .name = longest, .name_size = FORMAT_NAME_SIZE_MAX};
    struct format_block back;
    uint8_t page[FORMAT_PAGE];

    (void)state;
    format_block_encode(page, &block);
    assert_int_equal(format_block_decode(&back, page), 0);
    assert_int_equal(back.name_size, FORMAT_NAME_SIZE_MAX);
    assert_memory_equal(back.name, longest, FORMAT_NAME_SIZE_MAX);
    put_u16(page + 96, FORMAT_NAME_SIZE_MAX + 1);
    put_u32(page + FORMAT_PAGE - 4, crc32c(0, page, FORMAT_PAGE - 4));
    assert_int_equal(format_block_decode(&back, page), TUSK_ECORRUPT);
}

static void in_a_topic_and_a_cursor_of_a_manifest(void **state)
{
    const struct format_topic topic = {.name = longest, .name_size = FORMAT_NAME_SIZE_MAX};
    const struct format_cursor cursor = {.name = longest, .name_size = FORMAT_NAME_SIZE_MAX};
    struct format_topic topic_back;
    struct format_cursor cursor_back;
    uint8_t bytes[ROOM] = {0};
    const uint8_t *at = bytes;

    (void)state;
    (void)format_topic_encode(bytes, &topic);
    assert_int_equal(format_topic_decode(&topic_back, &at, bytes + ROOM), 0);
    assert_int_equal(topic_back.name_size, FORMAT_NAME_SIZE_MAX);
    put_u16(bytes + 100, FORMAT_NAME_SIZE_MAX + 1);
    at = bytes;
    assert_int_equal(format_topic_decode(&topic_back, &at, bytes + ROOM), TUSK_ECORRUPT);
    assert_ptr_equal(at, bytes);

    (void)format_cursor_encode(bytes, &cursor);
    assert_int_equal(format_cursor_decode(&cursor_back, &at, bytes + ROOM), 0);
    assert_int_equal(cursor_back.name_size, FORMAT_NAME_SIZE_MAX);
    put_u16(bytes + 24, FORMAT_NAME_SIZE_MAX + 1);
    at = bytes;
    assert_int_equal(format_cursor_decode(&cursor_back, &at, bytes + ROOM), TUSK_ECORRUPT);
    assert_ptr_equal(at, bytes);
}

/* A record as long as such a name needs, so that only the name is wrong. */
static void in_a_record(void **state)
{
    const struct format_record record = {.type = RECORD_CURSOR_CREATE,
                                         .field = {1, 2, 3, 4},
                                         .name = longest,
                                         .name_size = FORMAT_NAME_SIZE_MAX};
    struct format_record_header header = {.type = RECORD_CURSOR_CREATE};
    struct format_record back;
    uint8_t bytes[ROOM] = {0};
    uint8_t *body = bytes + FORMAT_RECORD_HEADER_SIZE;

    (void)state;
    header.body_crc = format_record_body_encode(bytes, &record);
    header.size = format_record_size(&record);
    assert_int_equal(format_record_body_decode(&back, &header, bytes), 0);
    assert_int_equal(back.name_size, FORMAT_NAME_SIZE_MAX);
    put_u16(body + 8 * 4, FORMAT_NAME_SIZE_MAX + 1);
    header.size++;
    header.body_crc = crc32c(0, body, header.size - FORMAT_RECORD_HEADER_SIZE);
    assert_int_equal(format_record_body_decode(&back, &header, bytes), TUSK_ECORRUPT);
}

/* Manifests count from small numbers; one at the end of all numbers was never written, nor one that stands inside a
 * record. */
static void counters_of_a_manifest_have_a_limit(void **state)
{
    const struct format_manifest manifest = {.block_size = 1u << 20,
                                             .blocks_per_segment = 1,
                                             .lsn = FORMAT_COUNTER_MAX - FORMAT_RECORD_ALIGN,
                                             .mark = FORMAT_COUNTER_MAX - 1,
                                             .number = FORMAT_COUNTER_MAX - 1,
                                             .next_topic_id = FORMAT_COUNTER_MAX,
                                             .next_segment = FORMAT_COUNTER_MAX};
    static const struct {
        unsigned at; /* In the page */
        uint64_t value;
    } changes[] = {{48, FORMAT_COUNTER_MAX},     {48, FORMAT_RECORD_ALIGN / 2},
                   {40, FORMAT_COUNTER_MAX},     {56, FORMAT_COUNTER_MAX},
                   {96, FORMAT_COUNTER_MAX + 1}, {104, FORMAT_COUNTER_MAX + 1}};
    struct format_manifest back;
    uint8_t page[FORMAT_PAGE];
    unsigned i;

    (void)state;
    format_manifest_encode(page, &manifest);
    assert_int_equal(format_manifest_decode(&back, page), 0);
    for (i = 0; i < sizeof changes / sizeof *changes; i++) {
        format_manifest_encode(page, &manifest);
        put_u64(page + changes[i].at, changes[i].value);
        put_u32(page + FORMAT_PAGE - 4, crc32c(0, page, FORMAT_PAGE - 4));
        assert_int_equal(format_manifest_decode(&back, page), TUSK_ECORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_a_block_header),
        cmocka_unit_test(in_a_topic_and_a_cursor_of_a_manifest),
        cmocka_unit_test(in_a_record),
        cmocka_unit_test(counters_of_a_manifest_have_a_limit),
    };

    return cmocka_run_group_tests_name("a name longer than a name is refused", tests, set_up, NULL);
}
