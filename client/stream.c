#include "client/stream.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define STREAM_OUT_SIZE_MIN 4096u

bool stream_init(struct stream *stream, int fd, size_t out_limit, size_t in_capacity)
{
    *stream = (struct stream){.fd = -1, .out_limit = out_limit, .in_capacity = in_capacity};
    if (stream->in_capacity < STREAM_RECEIVE_SIZE_MIN) {
        stream->in_capacity = STREAM_RECEIVE_SIZE_MIN;
    }
    stream->in = malloc(stream->in_capacity);
    if (stream->in == NULL) {
        return false;
    }
    stream->fd = fd;
    return true;
}

void stream_deinit(struct stream *stream)
{
    if (stream->fd >= 0) {
        /* Nothing can be done about a failed close of a socket. */
        (void)close(stream->fd);
    }
    free(stream->in);
    free(stream->out);
    *stream = (struct stream){.fd = -1};
}

/* Doubling up to the limit keeps idle connections small; beyond the limit there is only ever
 * one frame, which is bounded by the daemon's frame limit. */
static bool stream_grow_out(struct stream *stream, size_t needed)
{
    size_t capacity =
        stream->out_capacity < STREAM_OUT_SIZE_MIN ? STREAM_OUT_SIZE_MIN : stream->out_capacity;
    uint8_t *memory;

    while (capacity < needed) {
        capacity *= 2;
    }
    memory = realloc(stream->out, capacity);
    if (memory == NULL) {
        return false;
    }
    stream->out = memory;
    stream->out_capacity = capacity;
    return true;
}

enum stream_room stream_reserve(struct stream *stream, size_t size, uint8_t **room)
{
    size_t used = stream_unsent(stream);

    if (used == 0) {
        stream->out_begin = 0;
        stream->out_end = 0;
    } else if (size > stream->out_limit || used > stream->out_limit - size) {
        return STREAM_FULL;
    }
    if (size > stream->out_capacity - stream->out_end) {
        if (used > 0 && stream->out_begin > 0) {
            memmove(stream->out, stream->out + stream->out_begin, used);
        }
        stream->out_begin = 0;
        stream->out_end = used;
        if (size > stream->out_capacity - used && !stream_grow_out(stream, used + size)) {
            return STREAM_NOMEM;
        }
    }
    *room = stream->out + stream->out_end;
    return STREAM_ROOM;
}

void stream_commit(struct stream *stream, size_t size)
{
    stream->out_end += size;
}

void stream_withdraw(struct stream *stream, uint64_t begin, size_t size)
{
    uint8_t *at = stream->out + stream->out_begin + (size_t)(begin - stream->sent);
    size_t behind = (size_t)(stream->out + stream->out_end - (at + size));

    memmove(at, at + size, behind);
    stream->out_end -= size;
}

void stream_send(struct stream *stream)
{
    while (stream_unsent(stream) > 0 && stream->out_errno == 0) {
        ssize_t n = send(stream->fd, stream->out + stream->out_begin, stream_unsent(stream),
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            if (errno != EAGAIN) {
                stream->out_errno = errno;
            }
            return;
        }
        stream->out_begin += (size_t)n;
        stream->sent += (uint64_t)n;
    }
}

static void stream_received(struct stream *stream, size_t size)
{
    if (stream->direct != NULL) {
        size_t part = stream->direct_size - stream->direct_have;

        part = part < size ? part : size;
        stream->direct_have += part;
        size -= part;
    }
    stream->in_end += size;
}

bool stream_receive(struct stream *stream)
{
    struct iovec parts[2];
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 0};
    size_t room;
    ssize_t n;

    if (stream->ended || stream->drained) {
        return false;
    }
    if (stream->in_begin == stream->in_end) {
        stream->in_begin = 0;
        stream->in_end = 0;
    }
    if (stream->direct != NULL && stream->direct_have < stream->direct_size) {
        parts[message.msg_iovlen++] =
            (struct iovec){.iov_base = stream->direct + stream->direct_have,
                           .iov_len = stream->direct_size - stream->direct_have};
    }
    if (stream->in_end < stream->in_capacity) {
        parts[message.msg_iovlen++] =
            (struct iovec){.iov_base = stream->in + stream->in_end,
                           .iov_len = stream->in_capacity - stream->in_end};
    }
    room = (message.msg_iovlen > 0 ? parts[0].iov_len : 0) +
           (message.msg_iovlen > 1 ? parts[1].iov_len : 0);
    if (room == 0) {
        return false;
    }
    do {
        n = recvmsg(stream->fd, &message, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    stream->drained = n < (ssize_t)room;
    if (n > 0) {
        stream_received(stream, (size_t)n);
        return true;
    }
    if (n == 0 || errno != EAGAIN) {
        stream->ended = true;
        stream->in_errno = n == 0 ? 0 : errno;
    }
    return false;
}

bool stream_make_room(struct stream *stream, size_t size)
{
    size_t have = stream->in_end - stream->in_begin;

    if (size <= stream->in_capacity - stream->in_begin) {
        return true;
    }
    if (have > 0) {
        memmove(stream->in, stream->in + stream->in_begin, have);
    }
    stream->in_begin = 0;
    stream->in_end = have;
    if (size > stream->in_capacity) {
        uint8_t *memory = realloc(stream->in, size);

        if (memory == NULL) {
            return false;
        }
        stream->in = memory;
        stream->in_capacity = size;
    }
    return true;
}

void stream_begin_direct(struct stream *stream, uint8_t *memory, size_t size)
{
    size_t have = stream->in_end - stream->in_begin;
    size_t part = have < size ? have : size;

    stream->direct = memory;
    stream->direct_size = size;
    stream->direct_have = part;
    memcpy(memory, stream->in + stream->in_begin, part);
    stream->in_begin += part;
}

void stream_wait(const struct stream *stream, uint64_t deadline_us)
{
    struct pollfd poll_fd = {.fd = stream->fd, .events = POLLIN};
    uint64_t now = clock_now_us();
    struct timespec timeout;
    uint64_t left;

    if (now >= deadline_us || stream->ended) {
        return;
    }
    if (stream_unsent(stream) > 0 && stream->out_errno == 0) {
        poll_fd.events |= POLLOUT;
    }
    left = deadline_us - now;
    timeout = (struct timespec){.tv_sec = (time_t)(left / 1000000),
                                .tv_nsec = (long)(left % 1000000) * 1000};
    /* A signal ends the wait early: the caller looks at its deadline and at what it wants. */
    (void)ppoll(&poll_fd, 1, &timeout, NULL);
}

uint64_t clock_now_us(void)
{
    struct timespec now;

    /* Fails for a clock that does not exist only. */
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_deadline_us(int timeout_ms)
{
    return clock_now_us() + (uint64_t)timeout_ms * 1000;
}
