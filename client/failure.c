/* What the library says when something failed: codes, sentences, structs handed out. */
#include "client/connection.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 3, 0))) static void
failure_format(struct tusk_failure *failure, int code, const char *format, va_list args)
{
    failure->code = code;
    failure->detail_a = 0;
    failure->detail_b = 0;
    /* Too long a sentence is cut. */
    (void)vsnprintf(failure->text, sizeof failure->text, format, args);
}

int failure_set(struct tusk_failure *failure, int code, const char *format, ...)
{
    va_list args;

    if (failure != NULL) {
        va_start(args, format);
        failure_format(failure, code, format, args);
        va_end(args);
    }
    return code;
}

int failure_errno(struct tusk_failure *failure, int code, int error, const char *format, ...)
{
    va_list args;
    size_t used;

    if (failure == NULL) {
        return code;
    }
    va_start(args, format);
    failure_format(failure, code, format, args);
    va_end(args);
    used = strlen(failure->text);
    (void)snprintf(failure->text + used, sizeof failure->text - used, ": %s",
                   strerror(error)); /* Of two kinds of strerror_r() none fits every libc */
    return code;
}

int struct_out(void *out, size_t out_size, const void *in, size_t in_size)
{
    size_t head = sizeof(size_t); /* The `size` member stays the caller's */
    size_t size = out_size < in_size ? out_size : in_size;

    if (size < head) {
        return TUSK_EINVALID;
    }
    memcpy((uint8_t *)out + head, (const uint8_t *)in + head, size - head);
    return TUSK_OK;
}

enum tusk_stored tusk_outcome(int code)
{
    if (code == TUSK_OK) {
        return TUSK_STORED;
    }
    return code == TUSK_EUNKNOWN ? TUSK_STORED_UNKNOWN : TUSK_NOT_STORED;
}

const char *tusk_error_text(int code)
{
    return code == TUSK_OK ? "done" : status_text(code);
}

const char *tusk_error_name(int code)
{
    return code == TUSK_OK ? "OK" : status_name(code);
}

const char *tusk_version(void)
{
    return TUSK_VERSION;
}
