#include "config/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Ascending, so that value_format() can take the last one that divides. */
static const struct unit size_units[] = {
    {"B", 1},
    {"KiB", UINT64_C(1) << 10},
    {"MiB", UINT64_C(1) << 20},
    {"GiB", UINT64_C(1) << 30},
    {"TiB", UINT64_C(1) << 40},
    {NULL, 0},
};

/* As the command line takes them, too. */
static const struct unit short_size_units[] = {
    {"K", UINT64_C(1) << 10},
    {"M", UINT64_C(1) << 20},
    {"G", UINT64_C(1) << 30},
    {"T", UINT64_C(1) << 40},
    {NULL, 0},
};

static const struct unit time_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {"d", 24 * 3600 * 1000},
    {NULL, 0},
};

/* Words of a type, in the order of its enum. */
static const char *const io_words[] = {"uring", "posix", "mmap", NULL};
static const char *const log_words[] = {"error", "warning", "info", "debug", NULL};
static const char *const retention_words[] = {"all", "consumed", "age", "size", NULL};
static const char *const quota_words[] = {"reject", "drop-oldest", "wait", NULL};
static const char *const switch_words[] = {"no",   "yes", "off", "on", "false",
                                           "true", "0",   "1",   NULL};

#define AT_LEAST_ONCE "at-least-once:"

/* Digits at the start of text; *rest behind them. No sign, no space, no overflow. */
static bool parse_number(const char *text, uint64_t *number, const char **rest)
{
    uint64_t value = 0;
    const char *at = text;

    for (; *at >= '0' && *at <= '9'; at++) {
        const uint64_t digit = (uint64_t)(*at - '0');

        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *number = value;
    *rest = at;
    return at != text;
}

static bool parse_unit(const char *text, const struct unit *units, bool bare_allowed, uint64_t *out)
{
    const char *rest;
    uint64_t number;

    if (!parse_number(text, &number, &rest)) {
        return false;
    }
    if (*rest == '\0') {
        *out = number;
        return bare_allowed || number == 0;
    }
    for (; units->name != NULL; units++) {
        if (strcasecmp(rest, units->name) == 0) {
            if (number > UINT64_MAX / units->factor) {
                return false;
            }
            *out = number * units->factor;
            return true;
        }
    }
    return false;
}

static bool parse_word(const char *text, const char *const *words, uint64_t *out)
{
    uint64_t index;

    for (index = 0; words[index] != NULL; index++) {
        if (strcmp(text, words[index]) == 0) {
            *out = index;
            return true;
        }
    }
    return false;
}

static bool parse_fsync(const char *text, uint64_t *out)
{
    if (strcmp(text, "each") == 0) {
        *out = VALUE_FSYNC_EACH;
        return true;
    }
    if (strcmp(text, "none") == 0) {
        *out = VALUE_FSYNC_NONE;
        return true;
    }
    /* A bare number is milliseconds here: the option's documented form is "each|none|MS". */
    return parse_unit(text, time_units, true, out) && *out != 0;
}

static bool parse_consistency(const char *text, uint64_t *out)
{
    const char *rest;

    if (strcmp(text, "strict") == 0) {
        *out = VALUE_STRICT;
        return true;
    }
    if (strncmp(text, AT_LEAST_ONCE, strlen(AT_LEAST_ONCE)) != 0) {
        return false;
    }
    return parse_number(text + strlen(AT_LEAST_ONCE), out, &rest) && *rest == '\0' && *out != 0;
}

static bool parse_any(enum value_type type, const char *text, uint64_t *out)
{
    const char *rest;

    switch (type) {
    case VALUE_SIZE:
        return parse_unit(text, size_units, true, out) ||
               parse_unit(text, short_size_units, true, out);
    case VALUE_COUNT:
        return parse_number(text, out, &rest) && *rest == '\0';
    case VALUE_TIME:
        if (strcmp(text, "none") == 0) {
            *out = 0;
            return true;
        }
        return parse_unit(text, time_units, false, out);
    case VALUE_SWITCH:
        if (!parse_word(text, switch_words, out)) {
            return false;
        }
        *out %= 2;
        return true;
    case VALUE_IO:
        return parse_word(text, io_words, out);
    case VALUE_LOG:
        return parse_word(text, log_words, out);
    case VALUE_FSYNC:
        return parse_fsync(text, out);
    case VALUE_CONSISTENCY:
        return parse_consistency(text, out);
    case VALUE_RETENTION:
        return parse_word(text, retention_words, out);
    case VALUE_QUOTA:
        return parse_word(text, quota_words, out);
    case VALUE_PATH:
        break;
    }
    return false;
}

bool value_parse(enum value_type type, const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t value;

    if (!parse_any(type, text, &value)) {
        return false;
    }
    if (type == VALUE_FSYNC && value == VALUE_FSYNC_NONE) {
        *out = value;
        return true;
    }
    if (value < min || value > max) {
        return false;
    }
    *out = value;
    return true;
}

static void format_unit(uint64_t value, const struct unit *units, char *text, size_t size)
{
    const struct unit *best = units;

    for (; units->name != NULL; units++) {
        if (value >= units->factor && value % units->factor == 0) {
            best = units;
        }
    }
    (void)snprintf(text, size, "%" PRIu64 "%s", value / best->factor, best->name);
}

void value_format(enum value_type type, uint64_t value, char *text, size_t size)
{
    switch (type) {
    case VALUE_SIZE:
        format_unit(value, size_units, text, size);
        break;
    case VALUE_FSYNC:
        if (value == VALUE_FSYNC_EACH || value == VALUE_FSYNC_NONE) {
            (void)snprintf(text, size, "%s", value == VALUE_FSYNC_EACH ? "each" : "none");
            break;
        }
        format_unit(value, time_units, text, size);
        break;
    case VALUE_TIME:
        format_unit(value, time_units, text, size);
        break;
    case VALUE_SWITCH:
        (void)snprintf(text, size, "%s", switch_words[value]);
        break;
    case VALUE_IO:
        (void)snprintf(text, size, "%s", io_words[value]);
        break;
    case VALUE_LOG:
        (void)snprintf(text, size, "%s", log_words[value]);
        break;
    case VALUE_RETENTION:
        (void)snprintf(text, size, "%s", retention_words[value]);
        break;
    case VALUE_QUOTA:
        (void)snprintf(text, size, "%s", quota_words[value]);
        break;
    case VALUE_CONSISTENCY:
        if (value == VALUE_STRICT) {
            (void)snprintf(text, size, "strict");
            break;
        }
        (void)snprintf(text, size, AT_LEAST_ONCE "%" PRIu64, value);
        break;
    case VALUE_COUNT:
    case VALUE_PATH:
        (void)snprintf(text, size, "%" PRIu64, value);
        break;
    }
}

static void join_words(const char *const *words, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (; *words != NULL && used < size; words++) {
        used += (size_t)snprintf(text + used, size - used, "%s%s", used == 0 ? "" : ", ", *words);
    }
}

void value_allowed(enum value_type type, uint64_t min, uint64_t max, char *text, size_t size)
{
    char low[VALUE_TEXT_SIZE];
    char high[VALUE_TEXT_SIZE];

    switch (type) {
    case VALUE_SWITCH:
        (void)snprintf(text, size, "yes, no");
        return;
    case VALUE_IO:
        join_words(io_words, text, size);
        return;
    case VALUE_LOG:
        join_words(log_words, text, size);
        return;
    case VALUE_RETENTION:
        join_words(retention_words, text, size);
        return;
    case VALUE_QUOTA:
        join_words(quota_words, text, size);
        return;
    case VALUE_FSYNC:
        value_format(VALUE_TIME, max, high, sizeof high);
        (void)snprintf(text, size, "each, none, or a time from 1ms to %s", high);
        return;
    case VALUE_CONSISTENCY:
        (void)snprintf(text, size, "strict, or " AT_LEAST_ONCE "N with N from 1 to %" PRIu64, max);
        return;
    case VALUE_PATH:
        (void)snprintf(text, size, "a path of %" PRIu64 " to %" PRIu64 " bytes", min, max);
        return;
    case VALUE_SIZE:
    case VALUE_TIME:
    case VALUE_COUNT:
        value_format(type, min, low, sizeof low);
        value_format(type, max, high, sizeof high);
        (void)snprintf(text, size, "%s from %s to %s",
                       type == VALUE_SIZE   ? "a size"
                       : type == VALUE_TIME ? "a time (ms, s, m, h, d)"
                                            : "a number",
                       low, high);
        return;
    }
}
