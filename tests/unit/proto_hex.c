#include "tests/unit/proto_hex.h"

#include <stdlib.h>
#include <string.h>

static uint8_t digit(char c)
{
    const char *digits = "0123456789abcdef0123456789ABCDEF";
    const char *at = c == 0 ? NULL : strchr(digits, c);

    if (at == NULL) {
        abort();
    }
    return (uint8_t)((at - digits) % 16);
}

size_t hex_decode(uint8_t *out, size_t size_max, const char *hex)
{
    size_t size = 0;

    while (*hex != 0) {
        if (*hex == ' ' || *hex == '\n') {
            hex++;
            continue;
        }
        if (size == size_max) {
            abort();
        }
        out[size] = (uint8_t)(digit(hex[0]) << 4);
        out[size] = (uint8_t)(out[size] | digit(hex[1]));
        size++;
        hex += 2;
    }
    return size;
}
