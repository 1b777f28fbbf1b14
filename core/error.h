/* Failure, for a caller (a code) and for an operator (a sentence).
 *
 * Functions return 0 or a negative TUSK_E* and fill their last argument only on failure.
 * Each layer wraps once with what it was doing, so that the operator reads
 * `open namespace "eu": open journal 0000000000000007.jnl: no such file`. errno never
 * leaves the function that made the call. core never logs: whoever stops the climb does. */
#ifndef CORE_ERROR_H
#define CORE_ERROR_H

#include "proto/status.h"

#define ERROR_TEXT_SIZE 512

struct error {
    int code;                   /* One of enum tusk_error, never TUSK_OK once set */
    char text[ERROR_TEXT_SIZE]; /* Outermost context first; cut, never overrun */
};

/* Fill *err (NULL allowed) and return code, so that failing is one statement. */
int error_set(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same from an errno value: the code by error_code_of(), and ": strerror" behind the text. */
int error_errno(struct error *err, int os_error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Put "what I was doing: " before the text of a callee's error; returns its code. */
int error_wrap(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The code for an errno value: ENOSPC and EDQUOT are NOSPACE, ENOMEM is NOMEM, EEXIST is
 * EXISTS, ENOENT is NOTFOUND, EACCES and EPERM are DENIED, EWOULDBLOCK on a lock is LOCKED,
 * EMFILE and ENFILE are BUSY, the rest IO. */
int error_code_of(int os_error);

#endif
