/* A connected socket with a bounded send buffer and a growing receive buffer.
 *
 *     stream_reserve, stream_commit --> out[begin, end) --> stream_send
 *     stream_receive --> in[begin, end) --> whoever parses frames; or --> direct memory
 *
 * Every system call is one that does not block, but for stream_await(). The position of a byte
 * in the stream of sent bytes tells whether a request may have been seen: `sent` only grows.
 *
 * Large replies are received straight into memory of their own (stream_direct), so that their
 * bytes are copied once, by the kernel. */
#ifndef CLIENT_STREAM_H
#define CLIENT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAM_RECEIVE_SIZE_MIN (256u * 1024)
#define STREAM_FDS_MAX 64u

struct stream {
    int fd; /* Owned; -1: none */
    uint8_t *out;
    size_t out_capacity;
    size_t out_limit; /* Bytes; one larger frame is taken when the buffer is empty */
    size_t out_begin;
    size_t out_end;
    uint64_t sent; /* Bytes the kernel took, since the beginning */
    int out_errno; /* Sending failed for good; 0: it did not */
    uint8_t *in;
    size_t in_capacity;
    size_t in_begin;
    size_t in_end;
    uint8_t *direct; /* Borrowed; where the next direct_size bytes go; NULL: into `in` */
    size_t direct_size;
    size_t direct_have;
    bool drained;        /* The last receive took all there was; cleared by who receives */
    bool ended;          /* The peer sends nothing more */
    int in_errno;        /* Why, if not an orderly end */
    bool blocking;       /* fd is, so a receive can wait */
    uint64_t timeout_us; /* Of fd's receives; 0: not set yet */
    /* Descriptors that came with bytes, oldest first; owned until stream_take_fd(). */
    int fds[STREAM_FDS_MAX];
    unsigned fd_count;
};

/* Take over fd. False: out of memory, and fd is still the caller's. */
bool stream_init(struct stream *stream, int fd, size_t out_limit, size_t in_capacity);
/* Close and free. A zeroed stream with fd -1 is allowed. */
void stream_deinit(struct stream *stream);

enum stream_room { STREAM_ROOM, STREAM_FULL, STREAM_NOMEM };
/* Room for size contiguous bytes at *room. What is written there is part of the stream after
 * stream_commit() only. */
enum stream_room stream_reserve(struct stream *stream, size_t size, uint8_t **room);
void stream_commit(struct stream *stream, size_t size);
/* Take back size committed bytes that begin at position `begin`; none of them was sent. */
void stream_withdraw(struct stream *stream, uint64_t begin, size_t size);

static inline size_t stream_unsent(const struct stream *stream)
{
    return stream->out_end - stream->out_begin;
}

/* Position that the next committed byte will have. */
static inline uint64_t stream_position(const struct stream *stream)
{
    return stream->sent + stream_unsent(stream);
}

/* Hand to the kernel what it takes now. Failure is remembered in out_errno. */
void stream_send(struct stream *stream);
/* Take what has arrived, in one system call; in none once drained. True if something did. */
bool stream_receive(struct stream *stream);
/* Make `in` able to hold size bytes from in_begin on. False: out of memory. */
bool stream_make_room(struct stream *stream, size_t size);
/* Receive the next size bytes into memory, those already in `in` first. */
void stream_begin_direct(struct stream *stream, uint8_t *memory, size_t size);
/* The oldest descriptor that came, which is the caller's now. -1: none. */
int stream_take_fd(struct stream *stream);
/* Wait until bytes arrive or, if some are unsent, can be sent; at most until `deadline` of
 * clock_now_us(), or a millisecond longer, or until a signal. True if bytes arrived and were taken,
 * in the same system call where that is possible. */
bool stream_await(struct stream *stream, uint64_t deadline_us);

/* Microseconds of the monotonic clock. */
uint64_t clock_now_us(void);
/* The deadline timeout_ms (at least 0) from now. */
uint64_t clock_deadline_us(int timeout_ms);

#endif
