#include "server/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/check.h"
#include "server/log_journal.h"

#define TEXT_SIZE 1024u
#define SPACE_SIZE 256u
#define LINE_SIZE ((TEXT_SIZE + SPACE_SIZE) * 4u + 192u) /* "\x1b" are 4 characters of a byte */
#define SITES 64u

/* How often one format was used lately. */
struct site {
    const char *format;
    uint64_t window_ms; /* When its window began */
    unsigned count;     /* In its window */
    unsigned held;      /* Of these, not written */
};

struct event {
    const char *name;
    const char *id;
    enum log_level level;
};

#define EVENT_ROW(name, text, level, id) [LOG_EVENT_##name] = {text, id, LOG_LEVEL_##level},
static const struct event events[LOG_EVENT_NONE + 1] = {LOG_EVENTS(EVENT_ROW)};
#undef EVENT_ROW

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const int priorities[] = {3, 4, 6, 7}; /* As syslog(3) has them */

static enum log_level level_max = LOG_LEVEL_INFO;
static bool under_journal;
static struct site sites[SITES];

/* The variable is inherited, also by who has been given another file since: only the journal's own
 * stream counts. */
bool log_is_journal(int fd)
{
    const char *text = getenv("JOURNAL_STREAM");
    unsigned long long device;
    unsigned long long inode;
    struct stat there;
    char *behind;

    if (text == NULL) {
        return false;
    }
    device = strtoull(text, &behind, 10);
    inode = *behind == ':' ? strtoull(behind + 1, NULL, 10) : 0;
    return *behind == ':' && fstat(fd, &there) == 0 && there.st_dev == device &&
           there.st_ino == inode;
}

void log_init(enum log_level level)
{
    level_max = level;
    under_journal = log_is_journal(STDERR_FILENO);
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
    struct timespec now;
    struct tm tm;
    char stamp[32];
    int used;

    if (under_journal) {
        used = snprintf(line, size, "<%d>level=%s", priorities[level], level_names[level]);
        return (size_t)used;
    }
    (void)clock_gettime(CLOCK_REALTIME, &now); /* Cannot fail with this clock */
    if (gmtime_r(&now.tv_sec, &tm) == NULL || strftime(stamp, sizeof stamp, "%FT%T", &tm) == 0) {
        stamp[0] = '\0'; /* A year of more than four digits */
    }
    used = snprintf(line, size, "time=%s.%03ldZ level=%s", stamp, now.tv_nsec / 1000000,
                    level_names[level]);
    return (size_t)used;
}

static void write_line(enum log_level level, const struct log_fields *fields)
{
    char line[LINE_SIZE];
    size_t used = write_prefix(line, sizeof line, level);

    used += (size_t)sprintf(line + used, " part=%s", fields->part);
    if (fields->event != NULL) {
        used += (size_t)sprintf(line + used, " event=%s", fields->event);
    }
    if (fields->space != NULL) {
        used += (size_t)sprintf(line + used, " namespace=\"");
        used += escape(line + used, fields->space);
        used += (size_t)sprintf(line + used, "\"");
    }
    used += (size_t)sprintf(line + used, " msg=\"");
    used += escape(line + used, fields->text);
    used += (size_t)sprintf(line + used, "\"");
    if (fields->held > 0) {
        used += (size_t)sprintf(line + used, " held_back=%u", fields->held);
    }
    line[used++] = '\n';
    CHECK(used <= sizeof line);
    /* One write, so that lines of two processes do not mix. Nothing can be done about a failure. */
    if (write(STDERR_FILENO, line, used) < 0) {
        return;
    }
}

static void say(enum log_level level, enum log_event event, const char *part, const char *space,
                const char *text, unsigned held)
{
    char cut[TEXT_SIZE];
    char cut_space[SPACE_SIZE];
    struct log_fields fields = {.priority = priorities[level],
                                .part = part,
                                .event = events[event].name,
                                .id = events[event].id,
                                .text = cut,
                                .held = held};

    (void)snprintf(cut, sizeof cut, "%s", text); /* Cut is fine */
    if (space != NULL) {
        (void)snprintf(cut_space, sizeof cut_space, "%s", space); /* Never longer */
        fields.space = cut_space;
    }
    if (!under_journal || !log_journal_send(&fields)) {
        write_line(level, &fields);
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
    say(level, LOG_EVENT_NONE, part, NULL, text, held);
}

void log_event(enum log_event event, const char *part, const char *space, const char *format, ...)
{
    char text[TEXT_SIZE];
    unsigned held;
    va_list args;

    CHECK(event < LOG_EVENT_NONE);
    if (events[event].level > level_max || !admit(format, &held)) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args); /* Cut is fine */
    va_end(args);
    say(events[event].level, event, part, space, text, held);
}

void log_each(enum log_level level, const char *part, const char *text)
{
    if (level <= level_max) {
        say(level, LOG_EVENT_NONE, part, NULL, text, 0);
    }
}

void log_event_each(enum log_event event, const char *part, const char *space, const char *text)
{
    CHECK(event < LOG_EVENT_NONE);
    if (events[event].level <= level_max) {
        say(events[event].level, event, part, space, text, 0);
    }
}
