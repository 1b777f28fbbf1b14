#include "core/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"

int error_set(struct error *err, int code, const char *format, ...)
{
    va_list args;

    CHECK(code < 0);
    CHECK(format != NULL);
    if (err == NULL) {
        return code;
    }
    err->code = code;
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof err->text, format, args); /* Cut is fine */
    va_end(args);
    return code;
}

int error_errno(struct error *err, int os_error, const char *format, ...)
{
    const int code = error_code_of(os_error);
    va_list args;
    size_t used;

    CHECK(os_error >= 0);
    CHECK(format != NULL);
    if (err == NULL) {
        return code;
    }
    err->code = code;
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    used = strlen(err->text);
    /* Not strerror_r(), of which there are two kinds. This one knows of threads, too: musl's, and
     * glibc's since 2.32. */
    (void)snprintf(err->text + used, sizeof err->text - used, ": %s", strerror(os_error));
    return code;
}

int error_wrap(struct error *err, const char *format, ...)
{
    char inner[ERROR_TEXT_SIZE];
    va_list args;
    size_t used;

    CHECK(format != NULL);
    if (err == NULL) {
        return TUSK_EIO;
    }
    CHECK(err->code < 0);
    memcpy(inner, err->text, sizeof inner);
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    used = strlen(err->text);
    (void)snprintf(err->text + used, sizeof err->text - used, ": %s", inner);
    return err->code;
}

int error_code_of(int os_error)
{
    CHECK(os_error >= 0);
    switch (os_error) {
    case ENOSPC:
    case EDQUOT:
        return TUSK_ENOSPACE;
    case ENOMEM:
        return TUSK_ENOMEM;
    case EEXIST:
        return TUSK_EEXISTS;
    case ENOENT:
        return TUSK_ENOTFOUND;
    case EACCES:
    case EPERM:
        return TUSK_EDENIED;
    case EMFILE:
    case ENFILE:
        return TUSK_EBUSY;
    default:
        return TUSK_EIO;
    }
}
