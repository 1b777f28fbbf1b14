/* CRC-32C (Castagnoli; RFC 3720, appendix B.4), the checksum of every byte tusk
 * stores or sends. ISA-L computes it where it is present, a table elsewhere; both
 * give the same value (tests/unit/crc32c_test.c). */
#ifndef PROTO_CRC32C_H
#define PROTO_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continue crc (0 to begin) over size bytes. crc32c(crc32c(0, a), b) is the
 * checksum of a followed by b. data may be NULL when size is 0. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

struct crc32c_part {
    const void *data;
    size_t size;
};
/* crc32c() over one part after the other; count is at least 1. Meant for a few short parts of which
 * only the last may be long. */
uint32_t crc32c_parts(uint32_t crc, const struct crc32c_part *parts, unsigned count);
/* The same from tables alone, on any processor. For the test that compares both. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size);

#endif
