/* A stream of bytes as a daemon gets it: frame after frame, until one is not whole or not a
 * frame. Every header must be encoded to the same bytes, and so must a request's body. */
#include "proto/frame.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/proto_mirror.h"

#include <string.h>

static void check_request(const struct frame *frame, const uint8_t *body, size_t size)
{
    uint8_t *again = malloc(size + (size == 0));
    size_t again_size = 0;

    REQUIRE(again != NULL);
    if (mirror_request(frame->type, body, size, again, &again_size) == 0) {
        REQUIRE(again_size == size);
        REQUIRE(memcmp(again, body, size) == 0);
    }
    free(again);
}

/* What holds for a header, whatever the result. */
static void check_header(const struct frame *frame, enum frame_result result, const uint8_t *data,
                         size_t size)
{
    uint8_t again[FRAME_HEADER_SIZE];

    if (size < FRAME_HEADER_SIZE) {
        REQUIRE(result == FRAME_PARTIAL);
        REQUIRE(frame->size == 0);
        return;
    }
    frame_encode(again, frame);
    REQUIRE(memcmp(again, data, sizeof again) == 0);
    REQUIRE((result == FRAME_BAD) ==
            (frame->size < FRAME_HEADER_SIZE || frame->size > FRAME_SIZE_BEFORE_HELLO));
    if (result != FRAME_BAD) {
        REQUIRE((result == FRAME_READY) == (frame->size <= size));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum frame_result result;
    struct frame frame;

    do {
        result = frame_parse(&frame, data, size, FRAME_SIZE_BEFORE_HELLO);
        check_header(&frame, result, data, size);
        if (result == FRAME_READY) {
            check_request(&frame, data + FRAME_HEADER_SIZE, frame.size - FRAME_HEADER_SIZE);
            data += frame.size;
            size -= frame.size;
        }
    } while (result == FRAME_READY);
    return 0;
}
