#include "tests/bench/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/bench/load.h"

static int connect_path(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof address.sun_path) {
        load_fail("a socket for %s: %s", path, fd < 0 ? strerror(errno) : "the path is too long");
    }
    memcpy(address.sun_path, path, strlen(path));
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static int connect_port(const char *text)
{
    const char *colon = strchr(text, ':');
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    char host[64];

    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    if (fd < 0 || inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        load_fail("a socket for %s: %s", text, fd < 0 ? strerror(errno) : "not an address");
    }
    address.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(fd);
        return -1;
    }
    /* Else a request waits for the acknowledgement of the one before it. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

bool stream_try(struct stream *stream, const char *address, size_t room)
{
    *stream = (struct stream){.room = room};
    stream->fd = strchr(address, '/') == NULL ? connect_port(address) : connect_path(address);
    if (stream->fd < 0) {
        return false;
    }
    stream->in = malloc(room);
    if (stream->in == NULL) {
        load_fail("out of memory");
    }
    memset(stream->in, 0, room); /* Touched before the time begins */
    return true;
}

void stream_connect(struct stream *stream, const char *address, size_t room)
{
    if (!stream_try(stream, address, room)) {
        load_fail("cannot reach %s: %s", address, strerror(errno));
    }
}

void stream_close(struct stream *stream)
{
    (void)close(stream->fd);
    free(stream->in);
    stream->in = NULL;
}

void stream_send(struct stream *stream, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = send(stream->fd, bytes, size, MSG_NOSIGNAL);

        if (n < 0) {
            load_fail("send: %s", strerror(errno));
        }
        bytes += n;
        size -= (size_t)n;
    }
}

size_t stream_send_some(struct stream *stream, const char *bytes, size_t size)
{
    struct pollfd poll_fd = {.fd = stream->fd, .events = POLLIN | POLLOUT};
    ssize_t n = send(stream->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n >= 0) {
        return (size_t)n;
    }
    if (errno != EAGAIN) {
        load_fail("send: %s", strerror(errno));
    }
    (void)poll(&poll_fd, 1, -1);
    if ((poll_fd.revents & POLLIN) != 0) {
        stream_fill(stream);
    }
    return 0;
}

void stream_print(struct stream *stream, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    stream_send(stream, text, strlen(text));
}

void stream_fill(struct stream *stream)
{
    ssize_t n;

    if (stream->begin == stream->end) {
        stream->begin = 0;
        stream->end = 0;
    } else if (stream->end == stream->room) {
        memmove(stream->in, stream->in + stream->begin, stream->end - stream->begin);
        stream->end -= stream->begin;
        stream->begin = 0;
    }
    if (stream->end == stream->room) {
        load_fail("a reply of more than %zu bytes", stream->room);
    }
    n = recv(stream->fd, stream->in + stream->end, stream->room - stream->end, 0);
    if (n <= 0) {
        load_fail("the server ended the connection");
    }
    stream->end += (size_t)n;
}

char *stream_line(struct stream *stream)
{
    size_t seen = 0;
    char *line;
    char *end;

    for (;;) {
        line = stream->in + stream->begin;
        end = memchr(line + seen, '\n', stream->end - stream->begin - seen);
        if (end != NULL) {
            break;
        }
        seen = stream->end - stream->begin;
        stream_fill(stream);
    }
    stream->begin += (size_t)(end - line) + 1;
    if (end > line && end[-1] == '\r') {
        end--;
    }
    *end = '\0';
    return line;
}

const char *stream_bytes(struct stream *stream, size_t size)
{
    const char *bytes;

    while (stream->end - stream->begin < size + 2) {
        stream_fill(stream);
    }
    bytes = stream->in + stream->begin;
    stream->begin += size + 2;
    return bytes;
}
