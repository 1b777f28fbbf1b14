/* A frame: 16 bytes of header, then a body. PROTOCOL.md, "Frames"; frame.c is the
 * only code with the offsets. Pure functions over the caller's memory. */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define FRAME_HEADER_SIZE 16u
#define FRAME_SIZE_BEFORE_HELLO 65536u
#define FRAME_REPLY 0x8000u

struct frame {
    uint32_t size; /* Header and body */
    uint16_t type; /* enum message_type, with FRAME_REPLY in a reply */
    uint16_t status;
    uint64_t id;
};

enum frame_result {
    FRAME_READY,   /* *frame is filled; frame->size bytes are there */
    FRAME_PARTIAL, /* More bytes needed. frame->size is 0, or, once 16 bytes are there, set */
    FRAME_BAD,     /* The size is out of bounds; the stream cannot go on. *frame is filled */
};

/* Look at the first `size` bytes of a stream. size_max bounds the whole frame. Reads
 * nothing beyond size. The size field is checked before it is believed. */
enum frame_result frame_parse(struct frame *frame, const uint8_t *bytes, size_t size,
                              uint32_t size_max);
/* Write the 16 header bytes. */
void frame_encode(uint8_t *bytes, const struct frame *frame);

#endif
