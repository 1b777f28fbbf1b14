#include "proto/status.h"

/* Both lookups work on the negative form: every int has one, while -INT_MIN does not exist. */
static int negative(int code)
{
    return code > 0 ? -code : code;
}

const char *status_text(int code)
{
    switch (negative(code)) {
    case TUSK_OK:
        return "ok";
#define X(name, number, text)                                                                      \
    case TUSK_E##name:                                                                             \
        return text;
        TUSK_STATUS_MAP(X)
#undef X
    default:
        return "unknown error";
    }
}

const char *status_name(int code)
{
    switch (negative(code)) {
    case TUSK_OK:
        return "OK";
#define X(name, number, text)                                                                      \
    case TUSK_E##name:                                                                             \
        return #name;
        TUSK_STATUS_MAP(X)
#undef X
    default:
        return "?";
    }
}
