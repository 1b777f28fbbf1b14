/* One body. The first two bytes say what it is: below 0x8000 the type of a request, above, a
 * layout of replies. A body that decodes must be encoded to the same bytes. */
#include "proto/bytes.h"
#include "proto/frame.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/proto_mirror.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *again;
    size_t again_size = 0;
    uint16_t what;
    int rc;

    if (size < sizeof what) {
        return 0;
    }
    what = get_u16(data);
    data += sizeof what;
    size -= sizeof what;
    again = malloc(size + (size == 0));
    REQUIRE(again != NULL);
    if ((what & FRAME_REPLY) != 0) {
        rc = mirror_reply((enum reply_kind)((what & ~FRAME_REPLY) % REPLY_KIND_END), data, size,
                          again, &again_size);
    } else {
        rc = mirror_request(what, data, size, again, &again_size);
    }
    if (rc == 0) {
        REQUIRE(again_size == size);
        REQUIRE(memcmp(again, data, size) == 0);
    }
    free(again);
    return 0;
}
