/* The values of options, as text and as numbers: "64MiB", "200ms", "at-least-once:10".
 *
 * What value_format() writes, value_parse() reads back as the same number. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum value_type {
    VALUE_PATH,        /* A text; the functions below do not take it */
    VALUE_SIZE,        /* Bytes: a number with B, KiB, MiB, GiB, TiB or without a unit */
    VALUE_COUNT,       /* A number */
    VALUE_TIME,        /* Milliseconds: a number with ms, s, m, h or d; "none" is 0 */
    VALUE_SWITCH,      /* yes or no, also on/off, true/false, 1/0 */
    VALUE_IO,          /* enum value_io */
    VALUE_LOG,         /* enum value_log */
    VALUE_FSYNC,       /* VALUE_FSYNC_EACH, VALUE_FSYNC_NONE or milliseconds */
    VALUE_CONSISTENCY, /* VALUE_STRICT or the N of at-least-once:N */
    VALUE_RETENTION,   /* enum value_retention */
    VALUE_QUOTA,       /* enum value_quota */
};

enum value_io { VALUE_IO_URING, VALUE_IO_POSIX, VALUE_IO_MMAP };
enum value_log { VALUE_LOG_ERROR, VALUE_LOG_WARNING, VALUE_LOG_INFO, VALUE_LOG_DEBUG };
/* The numbers of the protocol's settings. */
enum value_retention {
    VALUE_RETAIN_ALL,
    VALUE_RETAIN_CONSUMED,
    VALUE_RETAIN_AGE,
    VALUE_RETAIN_SIZE
};

enum value_quota { VALUE_QUOTA_REJECT, VALUE_QUOTA_DROP_OLDEST, VALUE_QUOTA_WAIT };

#define VALUE_FSYNC_EACH 0u
#define VALUE_FSYNC_NONE UINT64_MAX
#define VALUE_STRICT 0u
#define VALUE_TEXT_SIZE 160u /* Enough for what the functions below write */

/* Read a value. False, and *out untouched, when text is not one of this type, or, for numbers,
 * not within [min, max]. A number without a unit is not a TIME, because nobody knows which. */
bool value_parse(enum value_type type, const char *text, uint64_t min, uint64_t max, uint64_t *out);
/* Write a value in the largest unit that loses nothing. */
void value_format(enum value_type type, uint64_t value, char *text, size_t size);
/* Say which values are allowed, for an error message and for the sample file. */
void value_allowed(enum value_type type, uint64_t min, uint64_t max, char *text, size_t size);

#endif
