/* A connection to Redis: bytes out, and the parts of its replies in. Whatever goes wrong ends the
 * process. */
#ifndef TESTS_BENCH_REDIS_H
#define TESTS_BENCH_REDIS_H

#include <stddef.h>

#define ID_SIZE_MAX 48u

struct redis {
    int fd;
    size_t begin; /* Bytes [begin, end) of `in` are received and not taken */
    size_t end;
    char *in;
    char last[ID_SIZE_MAX]; /* Id of the last entry read */
};

void redis_connect(struct redis *redis, const char *path);
void redis_send(struct redis *redis, const char *bytes, size_t size);
/* Send a short command as text. */
void redis_command(struct redis *redis, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Receive something: what the functions below returned before is not valid any more. */
void redis_fill(struct redis *redis);
/* The next line, without its end. An error reply ends the process. */
char *redis_line(struct redis *redis);
/* The number of a line of this type: ':' an integer, '*' how many elements follow, -1 for nil. */
long redis_number(struct redis *redis, char type);
/* The next string. */
const char *redis_string(struct redis *redis, size_t *size);

#endif
