/* What the daemon tells its operator: lines of key=value on standard error.
 *
 *     time=2026-01-31T12:00:00.123Z level=warning part=listener msg="no descriptors left; ..."
 *
 * Under systemd the time is left to the journal and the level is its "<4>" prefix. The message is
 * escaped as a whole, so no client can forge a line. A message that repeats (the same format) is
 * held back after LOG_BURST in LOG_WINDOW_MS, and how often is said when it is let through again.
 */
#ifndef SERVER_LOG_H
#define SERVER_LOG_H

/* In the order of config's enum value_log. */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

#define LOG_BURST 10u
#define LOG_WINDOW_MS 10000u

/* Drop what is less important than level from now on. */
void log_init(enum log_level level);
/* part: the part of the daemon that speaks. */
void log_write(enum log_level level, const char *part, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a text, which is never held back: for what is bounded by itself. */
void log_each(enum log_level level, const char *part, const char *text);

#define log_error(part, ...) log_write(LOG_LEVEL_ERROR, part, __VA_ARGS__)
#define log_warning(part, ...) log_write(LOG_LEVEL_WARNING, part, __VA_ARGS__)
#define log_info(part, ...) log_write(LOG_LEVEL_INFO, part, __VA_ARGS__)
#define log_debug(part, ...) log_write(LOG_LEVEL_DEBUG, part, __VA_ARGS__)

#endif
