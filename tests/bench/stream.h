/* A connection to a server whose protocol is lines and counted bytes: bytes out, and the parts of
 * its replies in. Whatever goes wrong ends the process. */
#ifndef TESTS_BENCH_STREAM_H
#define TESTS_BENCH_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAM_ROOM_LARGE (8u << 20) /* For what reads entries, or has many replies under way */
#define STREAM_ROOM_SMALL (16u << 10)

struct stream {
    int fd;
    size_t begin; /* Bytes [begin, end) of `in` are received and not taken */
    size_t end;
    size_t room;
    char *in; /* Owned */
};

/* address: the path of a Unix socket, or HOST:PORT. False: nobody listens there. */
bool stream_try(struct stream *stream, const char *address, size_t room);
void stream_connect(struct stream *stream, const char *address, size_t room);
void stream_close(struct stream *stream);
void stream_send(struct stream *stream, const char *bytes, size_t size);
/* Send without waiting; 0 when the socket is full, after waiting for it or for replies. */
size_t stream_send_some(struct stream *stream, const char *bytes, size_t size);
/* Send a short text. */
void stream_print(struct stream *stream, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Receive something: what the functions below returned before is not valid any more. */
void stream_fill(struct stream *stream);
/* The next line, without its end. */
char *stream_line(struct stream *stream);
/* The next size bytes and the two behind them that end them. */
const char *stream_bytes(struct stream *stream, size_t size);

#endif
