/* Decode a body and encode it again: the oracle of the tests and the fuzz targets. Since
 * a decoder accepts exactly what its encoder can write, what comes out is what went in. */
#ifndef TESTS_UNIT_PROTO_MIRROR_H
#define TESTS_UNIT_PROTO_MIRROR_H

#include "tests/unit/proto_random.h"

/* Decode body as a request of this type; on success encode it into out, which has
 * room for size bytes and not one more, and set *out_size. Returns the decoder's result.
 * Aborts if the encoder would write more, or if the two sizes it reports differ. */
int mirror_request(uint16_t type, const uint8_t *body, size_t size, uint8_t *out, size_t *out_size);
/* The same with the body of a reply. */
int mirror_reply(enum reply_kind kind, const uint8_t *body, size_t size, uint8_t *out,
                 size_t *out_size);

#endif
