/* Frames: the header, and where a stream of bytes is cut. */
#include "proto/frame.h"
#include "tests/unit/proto_random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t header_bytes[FRAME_HEADER_SIZE] = {
    0x14, 0x00, 0x00, 0x00, 0x03, 0x80, 0x0e, 0x00, 0xf8, 0xf7, 0xf6, 0xf5, 0xf4, 0xf3, 0xf2, 0xf1};
static const struct frame header_fields = {
    .size = 20, .type = 0x8003, .status = 14, .id = 0xf1f2f3f4f5f6f7f8u};

static void assert_frame_equal(const struct frame *a, const struct frame *b)
{
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->id, b->id);
}

/* The bytes are those of PROTOCOL.md, "Frames": size, type, status, id. */
static void header_has_the_documented_layout(void **state)
{
    uint8_t stream[20] = {0};
    uint8_t encoded[FRAME_HEADER_SIZE];
    struct frame frame;

    (void)state;
    memcpy(stream, header_bytes, sizeof header_bytes);
    assert_int_equal(frame_parse(&frame, stream, sizeof stream, 64), FRAME_READY);
    assert_frame_equal(&frame, &header_fields);
    frame_encode(encoded, &header_fields);
    assert_memory_equal(encoded, header_bytes, sizeof encoded);
}

/* However little of a frame has arrived, the answer is "more", and nothing behind what has
 * arrived is looked at (the memory ends there). */
static void every_cut_of_a_frame_is_partial(void **state)
{
    size_t size;

    (void)state;
    for (size = 0; size < 20; size++) {
        uint8_t *stream = calloc(1, size + (size == 0));
        struct frame frame = {.size = 99, .type = 99, .status = 99, .id = 99};

        assert_non_null(stream);
        memcpy(stream, header_bytes, size < 16 ? size : 16);
        assert_int_equal(frame_parse(&frame, stream, size, 64), FRAME_PARTIAL);
        assert_int_equal(frame.size, size < FRAME_HEADER_SIZE ? 0 : 20);
        free(stream);
    }
}

/* Bytes of the next frame do not change what this one is. */
static void bytes_behind_a_frame_do_not_matter(void **state)
{
    uint8_t stream[64];
    struct frame frame;
    size_t size;

    (void)state;
    memset(stream, 0xff, sizeof stream);
    memcpy(stream, header_bytes, sizeof header_bytes);
    for (size = 20; size <= sizeof stream; size++) {
        assert_int_equal(frame_parse(&frame, stream, size, 64), FRAME_READY);
        assert_frame_equal(&frame, &header_fields);
    }
}

/* The size is from 16 to the limit, both included; any other ends the connection, even when all
 * its bytes were there, and the rest of the header is known for the answer. */
static void sizes_out_of_bounds_are_bad(void **state)
{
    static const struct {
        uint32_t size;
        uint32_t size_max;
        enum frame_result result;
    } rows[] = {
        {0, 64, FRAME_BAD},
        {1, 64, FRAME_BAD},
        {15, 64, FRAME_BAD},
        {16, 64, FRAME_READY},
        {16, 16, FRAME_READY},
        {17, 16, FRAME_BAD},
        {63, 64, FRAME_READY},
        {64, 64, FRAME_READY},
        {65, 64, FRAME_BAD},
        {65, 65, FRAME_PARTIAL},
        {FRAME_SIZE_BEFORE_HELLO, FRAME_SIZE_BEFORE_HELLO, FRAME_PARTIAL},
        {FRAME_SIZE_BEFORE_HELLO + 1, FRAME_SIZE_BEFORE_HELLO, FRAME_BAD},
        {0x7fffffff, 64, FRAME_BAD},
        {0x80000000, 64, FRAME_BAD},
        {UINT32_MAX, 64, FRAME_BAD},
        {UINT32_MAX, UINT32_MAX, FRAME_PARTIAL},
    };
    uint8_t stream[64] = {0};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct frame sent = {.size = rows[i].size, .type = 3, .status = 1, .id = i};
        struct frame frame;

        frame_encode(stream, &sent);
        assert_int_equal(frame_parse(&frame, stream, sizeof stream, rows[i].size_max),
                         rows[i].result);
        assert_frame_equal(&frame, &sent);
    }
}

/* Any header at all comes back as it was sent, and a header's bytes decide everything. */
static void random_headers_come_back(void **state)
{
    struct random random;
    int i;

    (void)state;
    random_begin(&random);
    for (i = 0; i < 20000; i++) {
        struct frame sent = {.size = (uint32_t)random_number(&random),
                             .type = (uint16_t)random_number(&random),
                             .status = (uint16_t)random_number(&random),
                             .id = random_number(&random)};
        uint32_t size_max = (uint32_t)random_number(&random);
        uint8_t bytes[FRAME_HEADER_SIZE];
        struct frame frame;
        enum frame_result result;

        frame_encode(bytes, &sent);
        result = frame_parse(&frame, bytes, sizeof bytes, size_max);
        assert_frame_equal(&frame, &sent);
        if (sent.size < FRAME_HEADER_SIZE || sent.size > size_max) {
            assert_int_equal(result, FRAME_BAD);
        } else {
            assert_int_equal(result, sent.size == sizeof bytes ? FRAME_READY : FRAME_PARTIAL);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_has_the_documented_layout),
        cmocka_unit_test(every_cut_of_a_frame_is_partial),
        cmocka_unit_test(bytes_behind_a_frame_do_not_matter),
        cmocka_unit_test(sizes_out_of_bounds_are_bad),
        cmocka_unit_test(random_headers_come_back),
    };

    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
