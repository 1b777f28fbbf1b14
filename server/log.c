#include "server/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TEXT_SIZE 1024u
#define LINE_SIZE (TEXT_SIZE * 4u + 128u) /* A byte may become the 4 characters "\x1b" */
#define SITES 64u

/* How often one format was used lately. */
struct site {
    const char *format;
    uint64_t window_ms; /* When its window began */
    unsigned count;     /* In its window */
    unsigned held;      /* Of these, not written */
};

static enum log_level level_max = LOG_LEVEL_INFO;
static bool under_journal;
static struct site sites[SITES];

void log_init(enum log_level level)
{
    level_max = level;
    under_journal = getenv("JOURNAL_STREAM") != NULL;
}

static uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* Cannot fail with this clock */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Whether a line of this format may be written; *held: how many before it were not. */
static bool admit(const char *format, unsigned *held)
{
    struct site *site = &sites[((uintptr_t)format >> 4) % SITES];
    const uint64_t now = now_ms();

    *held = 0;
    if (site->format != format || now - site->window_ms >= LOG_WINDOW_MS) {
        *held = site->format == format ? site->held : 0;
        *site = (struct site){.format = format, .window_ms = now};
    }
    site->count++;
    if (site->count > LOG_BURST) {
        site->held++;
        return false;
    }
    return true;
}

/* Copy text as the inside of a quoted string. Returns the characters written. */
static size_t escape(char *out, const char *text)
{
    char *at = out;

    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\') {
            *at++ = '\\';
            *at++ = (char)c;
        } else if (c < 0x20 || c == 0x7f) {
            at += sprintf(at, "\\x%02x", c);
        } else {
            *at++ = (char)c;
        }
    }
    return (size_t)(at - out);
}

static size_t write_prefix(char *line, size_t size, enum log_level level)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    static const int priorities[] = {3, 4, 6, 7}; /* As syslog(3) has them */
    struct timespec now;
    struct tm tm;
    char stamp[32];
    int used;

    if (under_journal) {
        used = snprintf(line, size, "<%d>level=%s", priorities[level], names[level]);
        return (size_t)used;
    }
    (void)clock_gettime(CLOCK_REALTIME, &now); /* Cannot fail with this clock */
    if (gmtime_r(&now.tv_sec, &tm) == NULL || strftime(stamp, sizeof stamp, "%FT%T", &tm) == 0) {
        stamp[0] = '\0'; /* A year of more than four digits */
    }
    used =
        snprintf(line, size, "time=%s.%03ldZ level=%s", stamp, now.tv_nsec / 1000000, names[level]);
    return (size_t)used;
}

static void write_line(enum log_level level, const char *part, const char *text, unsigned held)
{
    char cut[TEXT_SIZE];
    char line[LINE_SIZE];
    size_t used;

    (void)snprintf(cut, sizeof cut, "%s", text); /* Cut is fine */
    used = write_prefix(line, sizeof line, level);
    used += (size_t)sprintf(line + used, " part=%s msg=\"", part);
    used += escape(line + used, cut);
    used += (size_t)sprintf(line + used, "\"");
    if (held > 0) {
        used += (size_t)sprintf(line + used, " held_back=%u", held);
    }
    line[used++] = '\n';
    /* One write, so that lines of two processes do not mix. Nothing can be done about a failure. */
    if (write(STDERR_FILENO, line, used) < 0) {
        return;
    }
}

void log_write(enum log_level level, const char *part, const char *format, ...)
{
    char text[TEXT_SIZE];
    unsigned held;
    va_list args;

    if (level > level_max || !admit(format, &held)) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args); /* Cut is fine */
    va_end(args);
    write_line(level, part, text, held);
}

void log_each(enum log_level level, const char *part, const char *text)
{
    if (level <= level_max) {
        write_line(level, part, text, 0);
    }
}
