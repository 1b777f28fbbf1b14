#include "client/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define STREAM_OUT_SIZE_MIN 4096u
#define AWAIT_SLACK_US 1000u

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
    stream->blocking = (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
    return true;
}

void stream_deinit(struct stream *stream)
{
    while (stream->fd_count > 0) {
        (void)close(stream->fds[--stream->fd_count]); /* Nothing was written to it */
    }
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

/* Keep descriptors that came along. More than can be kept, or something else, is nobody's. */
static void take_control(struct stream *stream, struct msghdr *message)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);

    for (; header != NULL; header = CMSG_NXTHDR(message, header)) {
        size_t at = 0;

        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        for (; CMSG_LEN(at + sizeof(int)) <= header->cmsg_len; at += sizeof(int)) {
            int fd;

            memcpy(&fd, CMSG_DATA(header) + at, sizeof fd);
            if (stream->fd_count < STREAM_FDS_MAX) {
                stream->fds[stream->fd_count++] = fd;
            } else {
                (void)close(fd); /* Nothing was written to it */
            }
        }
    }
}

int stream_take_fd(struct stream *stream)
{
    int fd;

    if (stream->fd_count == 0) {
        return -1;
    }
    fd = stream->fds[0];
    stream->fd_count--;
    memmove(stream->fds, stream->fds + 1, stream->fd_count * sizeof stream->fds[0]);
    return fd;
}

/* One receive: with MSG_DONTWAIT in flags of what is there, else of what comes first. */
static bool receive(struct stream *stream, int flags)
{
    struct iovec parts[2];
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = 0,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    size_t room;
    ssize_t n;

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
        n = recvmsg(stream->fd, &message, flags | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR && flags != 0);
    if (n > 0 && message.msg_controllen > 0) {
        take_control(stream, &message);
    }
    stream->drained = n < (ssize_t)room;
    if (n > 0) {
        stream_received(stream, (size_t)n);
        return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        stream->ended = true;
        stream->in_errno = n == 0 ? 0 : errno;
    }
    return false;
}

bool stream_receive(struct stream *stream)
{
    return !stream->ended && !stream->drained && receive(stream, MSG_DONTWAIT);
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

/* A signal ends the wait early: the caller looks at its deadline and at what it wants. */
static void await_either(const struct stream *stream, uint64_t left_us)
{
    struct pollfd poll_fd = {.fd = stream->fd, .events = POLLIN};
    const struct timespec timeout = {.tv_sec = (time_t)(left_us / 1000000),
                                     .tv_nsec = (long)(left_us % 1000000) * 1000};

    if (stream_unsent(stream) > 0 && stream->out_errno == 0) {
        poll_fd.events |= POLLOUT;
    }
    (void)ppoll(&poll_fd, 1, &timeout, NULL);
}

/* A receive that waits no longer than left_us. Waits that follow each other are mostly of the same
 * length, less what passed since their deadline was worked out: the socket is told again only when
 * that makes a difference. False: it cannot be told. */
static bool set_timeout(struct stream *stream, uint64_t left_us)
{
    const uint64_t timeout_us = (left_us / AWAIT_SLACK_US + 1) * AWAIT_SLACK_US;
    const struct timeval timeout = {.tv_sec = (time_t)(timeout_us / 1000000),
                                    .tv_usec = (suseconds_t)(timeout_us % 1000000)};

    if (timeout_us == stream->timeout_us) {
        return true;
    }
    if (setsockopt(stream->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0) {
        return false;
    }
    stream->timeout_us = timeout_us;
    return true;
}

bool stream_await(struct stream *stream, uint64_t deadline_us)
{
    const uint64_t now = clock_now_us();

    if (now >= deadline_us || stream->ended) {
        return false;
    }
    if (!stream->blocking || stream_unsent(stream) > 0 || deadline_us - now < AWAIT_SLACK_US ||
        !set_timeout(stream, deadline_us - now)) {
        await_either(stream, deadline_us - now);
        return false;
    }
    return receive(stream, 0);
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
