/* Bytes written as hex digits, as in PROTOCOL.md; blanks are skipped. */
#ifndef TESTS_UNIT_PROTO_HEX_H
#define TESTS_UNIT_PROTO_HEX_H

#include <stddef.h>
#include <stdint.h>

/* Returns the number of bytes; aborts on anything but pairs of digits, or more than size_max. */
size_t hex_decode(uint8_t *out, size_t size_max, const char *hex);

#endif
