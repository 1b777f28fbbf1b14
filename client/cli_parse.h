/* Numbers, times, positions and settings as people write them. 0, or -1 when it is not one. */
#ifndef CLIENT_CLI_PARSE_H
#define CLIENT_CLI_PARSE_H

#include "client/tusk.h"

#define FORMAT_SIZE_TEXT 32u /* Of format_size() */

/* A plain number. */
int parse_u64(const char *text, uint64_t *value);
/* The same within 32 bits, and at least 1. */
int parse_count(const char *text, uint32_t *value);
/* "0.5" */
int parse_seconds(const char *text, double *seconds);
/* "100", "64K", "10M", "1G", "2T": bytes, in steps of 1024 */
int parse_size(const char *text, uint64_t *bytes);
/* "100ms", "5s", "10m", "2h", "7d"; a plain number is milliseconds */
int parse_duration_ms(const char *text, uint64_t *ms);
/* earliest, latest, OFFSET, @SECONDS, @YYYY-MM-DDTHH:MM:SS[Z] or -DURATION (before now, which
 * may be written now-1h, too) */
int parse_position(const char *text, struct tusk_position *position);

/* KEY=VALUE of a topic or namespace. */
int parse_setting(const char *text, struct tusk_setting *setting);
/* The names of the keys, separated by commas. */
const char *parse_setting_names(void);
/* "retention=age" into out. */
void format_setting(char *out, size_t size, const struct tusk_setting *setting);
/* "10MiB", "0": the largest unit that loses nothing, into out (FORMAT_SIZE_TEXT bytes). */
void format_size(char *out, size_t size, uint64_t value);
/* "2024-05-01T12:00:00.123456Z" into out (at least 32 bytes); "-" for 0. */
void format_time(char *out, size_t size, uint64_t time_us);

/* The name that is meant, where the word is one with a letter or two wrong; NULL: none is. */
const char *parse_nearest(const char *word, const char *const names[], size_t count);

#endif
