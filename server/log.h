/* What the daemon tells its operator: lines of key=value on standard error.
 *
 *     time=2026-01-31T12:00:00.123Z level=warning part=listener msg="no descriptors left; ..."
 *
 * Where standard error is systemd's journal (JOURNAL_STREAM names its device and inode), the same
 * goes to the journal as fields instead: MESSAGE, PRIORITY, TUSK_PART, and of events MESSAGE_ID,
 * TUSK_EVENT and TUSK_NAMESPACE; systemd/tusk.catalog explains each event. Should the journal take
 * none, the line is written, its level as the prefix "<4>" and without the time.
 *
 * The message is escaped as a whole, so no client can forge a line. A message that repeats (the
 * same format) is held back after LOG_BURST in LOG_WINDOW_MS, and how often is said when it is let
 * through again (held_back=, TUSK_HELD_BACK).
 */
#ifndef SERVER_LOG_H
#define SERVER_LOG_H

#include <stdbool.h>

/* In the order of config's enum value_log. */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

#define LOG_BURST 10u
#define LOG_WINDOW_MS 10000u

/* What an operator may want to search for, or be woken by. The ids never change: who watches for
 * one need not know the words. A test holds the catalog to this table. */
#define LOG_EVENTS(X)                                                                              \
    X(READY, "ready", INFO, "a8b9e6daeb744971a9cf71468f8f421e")                                    \
    X(RECOVERY, "recovery", WARNING, "cdc8c2e2ea444887a9bc37a8ac05837a")                           \
    X(REFUSED, "refused", ERROR, "96c289f93f3a48e8989a2870e19eb539")                               \
    X(CORRUPT, "corrupt", ERROR, "f644b081f6244d0fadd3ee6fd976f3ad")                               \
    X(DISK_SLOW, "disk-slow", WARNING, "8e316540515c47618b7e67300a6ef1bb")                         \
    X(DISK_FULL, "disk-full", WARNING, "1dee413287a34620ac8e9af14816dfbe")                         \
    X(QUOTA, "quota", WARNING, "f51b3a4d0d624c5dbb232577935df5f1")                                 \
    X(DISK_FAILED, "disk-failed", ERROR, "150411bdda8947b5ae9e3f078b9cbc71")

#define LOG_EVENT_NAME(name, text, level, id) LOG_EVENT_##name,
enum log_event { LOG_EVENTS(LOG_EVENT_NAME) LOG_EVENT_NONE };
#undef LOG_EVENT_NAME

/* Drop what is less important than level from now on. */
void log_init(enum log_level level);
/* part: the part of the daemon that speaks. */
void log_write(enum log_level level, const char *part, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Of the event's level. space: the namespace it is about; NULL: none. */
void log_event(enum log_event event, const char *part, const char *space, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same for a text, which is never held back: for what is bounded by itself. */
void log_each(enum log_level level, const char *part, const char *text);
void log_event_each(enum log_event event, const char *part, const char *space, const char *text);

/* Whether what is written to standard output, or error, goes to systemd's journal. */
bool log_is_journal(int fd);

#define log_error(part, ...) log_write(LOG_LEVEL_ERROR, part, __VA_ARGS__)
#define log_warning(part, ...) log_write(LOG_LEVEL_WARNING, part, __VA_ARGS__)
#define log_info(part, ...) log_write(LOG_LEVEL_INFO, part, __VA_ARGS__)
#define log_debug(part, ...) log_write(LOG_LEVEL_DEBUG, part, __VA_ARGS__)

#endif
