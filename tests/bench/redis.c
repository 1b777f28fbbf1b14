#include "tests/bench/redis.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/bench/load.h"

#define RECEIVE_SIZE (8u << 20)

void redis_connect(struct redis *redis, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof address.sun_path) {
        load_fail("the socket's path is too long");
    }
    memcpy(address.sun_path, path, strlen(path));
    redis->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    redis->in = malloc(RECEIVE_SIZE);
    redis->begin = 0;
    redis->end = 0;
    memcpy(redis->last, "0-0", 4);
    if (redis->fd < 0 || redis->in == NULL ||
        connect(redis->fd, (struct sockaddr *)&address, sizeof address) != 0) {
        load_fail("cannot reach %s: %s", path, strerror(errno));
    }
    memset(redis->in, 0, RECEIVE_SIZE); /* Touched before the time begins */
}

void redis_send(struct redis *redis, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = send(redis->fd, bytes, size, MSG_NOSIGNAL);

        if (n < 0) {
            load_fail("send: %s", strerror(errno));
        }
        bytes += n;
        size -= (size_t)n;
    }
}

void redis_fill(struct redis *redis)
{
    ssize_t n;

    if (redis->begin == redis->end) {
        redis->begin = 0;
        redis->end = 0;
    } else if (redis->end == RECEIVE_SIZE) {
        memmove(redis->in, redis->in + redis->begin, redis->end - redis->begin);
        redis->end -= redis->begin;
        redis->begin = 0;
    }
    n = recv(redis->fd, redis->in + redis->end, RECEIVE_SIZE - redis->end, 0);
    if (n <= 0) {
        load_fail("the server ended the connection");
    }
    redis->end += (size_t)n;
}

char *redis_line(struct redis *redis)
{
    size_t seen = 0;
    char *line;
    char *end;

    for (;;) {
        line = redis->in + redis->begin;
        end = memchr(line + seen, '\n', redis->end - redis->begin - seen);
        if (end != NULL) {
            break;
        }
        seen = redis->end - redis->begin;
        redis_fill(redis);
    }
    redis->begin += (size_t)(end - line) + 1;
    end[-1] = '\0';
    if (line[0] == '-') {
        load_fail("the server says: %s", line);
    }
    return line;
}

long redis_number(struct redis *redis, char type)
{
    const char *line = redis_line(redis);

    if (line[0] != type) {
        load_fail("a reply of type '%c', not '%c'", line[0], type);
    }
    return strtol(line + 1, NULL, 10);
}

const char *redis_string(struct redis *redis, size_t *size)
{
    const char *bytes;

    *size = (size_t)redis_number(redis, '$');
    while (redis->end - redis->begin < *size + 2) {
        redis_fill(redis);
    }
    bytes = redis->in + redis->begin;
    redis->begin += *size + 2;
    return bytes;
}

void redis_command(struct redis *redis, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    redis_send(redis, text, strlen(text));
}
