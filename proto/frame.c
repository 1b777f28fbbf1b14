/* The offsets of a frame: PROTOCOL.md, "Frames". */
#include "proto/frame.h"

#include "proto/bytes.h"

enum {
    AT_SIZE = 0,
    AT_TYPE = 4,
    AT_STATUS = 6,
    AT_ID = 8,
};
_Static_assert(AT_ID + sizeof(uint64_t) == FRAME_HEADER_SIZE, "a header ends with the id");

enum frame_result frame_parse(struct frame *frame, const uint8_t *bytes, size_t size,
                              uint32_t size_max)
{
    /* The size alone could be refused after 4 bytes; it waits for the rest of the header
     * because the answer to a bad frame carries the frame's id. */
    if (size < FRAME_HEADER_SIZE) {
        *frame = (struct frame){0};
        return FRAME_PARTIAL;
    }
    frame->size = get_u32(bytes + AT_SIZE);
    frame->type = get_u16(bytes + AT_TYPE);
    frame->status = get_u16(bytes + AT_STATUS);
    frame->id = get_u64(bytes + AT_ID);
    if (frame->size < FRAME_HEADER_SIZE || frame->size > size_max) {
        return FRAME_BAD;
    }
    return size < frame->size ? FRAME_PARTIAL : FRAME_READY;
}

void frame_encode(uint8_t *bytes, const struct frame *frame)
{
    put_u32(bytes + AT_SIZE, frame->size);
    put_u16(bytes + AT_TYPE, frame->type);
    put_u16(bytes + AT_STATUS, frame->status);
    put_u64(bytes + AT_ID, frame->id);
}
