/* The pipes of the simulated loop: reading and writing as libuv's streams do. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/uv_sim.h"

#define SUGGESTED_SIZE 65536u
#define READS_MAX 32u /* Of one stream in one poll phase */

struct sim_write {
    struct sim_write *next;
    uv_write_t *request;
    uv_write_cb done;
    uv_buf_t *buffers; /* Owned; what they point at is not */
    unsigned count;
    unsigned at;
    bool through;
    int status;
};

int uv_pipe_init(uv_loop_t *loop, uv_pipe_t *handle, int ipc)
{
    CHECK(ipc == 0);
    uv_sim_add(loop, (uv_handle_t *)handle, UV_NAMED_PIPE);
    handle->write_queue_size = 0;
    return 0;
}

int uv_pipe_open(uv_pipe_t *handle, uv_file fd)
{
    uv_sim_handle((uv_handle_t *)handle)->link = uv_sim.host.link(uv_sim.host.arg, fd);
    return 0;
}

int uv_fileno(const uv_handle_t *handle, uv_os_fd_t *fd)
{
    CHECK(handle->type == UV_NAMED_PIPE);
    *fd = uv_sim_handle(handle)->link->fd;
    return 0;
}

int uv_read_start(uv_stream_t *stream, uv_alloc_cb on_alloc, uv_read_cb on_read)
{
    struct sim_handle *h = uv_sim_handle((uv_handle_t *)stream);

    if (h->closing) {
        return UV_EINVAL;
    }
    if (h->active) {
        return UV_EALREADY;
    }
    CHECK(h->link != NULL);
    h->active = true;
    h->on_alloc = on_alloc;
    h->on.read = on_read;
    return 0;
}

int uv_read_stop(uv_stream_t *stream)
{
    uv_sim_handle((uv_handle_t *)stream)->active = false;
    return 0;
}

size_t uv_stream_get_write_queue_size(const uv_stream_t *stream)
{
    return stream->write_queue_size;
}

/* ---- writing ---- */

/* Give the kernel what it takes: the number of bytes, or a negative UV_E*. */
static int write_some(struct sim_handle *h, const uv_buf_t *buffers, unsigned count)
{
    size_t total = 0;
    unsigned i;

    uv_sim.host.writing(uv_sim.host.arg);
    for (i = 0; i < count; i++) {
        int taken = (int)buffers[i].len;

        if (!uv_sim.host.dead(uv_sim.host.arg)) {
            taken = sim_link_write(h->link, buffers[i].base, buffers[i].len);
        }
        if (taken == -EAGAIN && total == 0) {
            return UV_EAGAIN;
        }
        if (taken < 0 && taken != -EAGAIN) {
            return UV_EPIPE;
        }
        total += taken > 0 ? (size_t)taken : 0;
        if (taken < (int)buffers[i].len) {
            break;
        }
    }
    return (int)total;
}

int uv_try_write(uv_stream_t *stream, const uv_buf_t *buffers, unsigned int count)
{
    struct sim_handle *h = uv_sim_handle((uv_handle_t *)stream);

    if (h->closing) {
        return UV_EBADF;
    }
    return h->writes != NULL ? UV_EAGAIN : write_some(h, buffers, count);
}

/* Go on with the first request that is not through. False: it has to wait. */
static bool write_on(struct sim_handle *h)
{
    uv_stream_t *stream = (uv_stream_t *)h->uv;
    struct sim_write *write = h->writes;
    int taken;

    while (write != NULL && write->through) {
        write = write->next;
    }
    if (write == NULL) {
        return false;
    }
    taken = write_some(h, write->buffers + write->at, write->count - write->at);
    if (taken == UV_EAGAIN) {
        return false;
    }
    if (taken < 0) {
        write->status = taken;
        write->through = true;
        return true;
    }
    stream->write_queue_size -= (size_t)taken;
    while (write->at < write->count && (size_t)taken >= write->buffers[write->at].len) {
        taken -= (int)write->buffers[write->at++].len;
    }
    if (write->at == write->count) {
        write->through = true;
        return true;
    }
    write->buffers[write->at].base += taken;
    write->buffers[write->at].len -= (size_t)taken;
    return false;
}

int uv_write(uv_write_t *request, uv_stream_t *stream, const uv_buf_t buffers[], unsigned int count,
             uv_write_cb done)
{
    struct sim_handle *h = uv_sim_handle((uv_handle_t *)stream);
    struct sim_write *write = calloc(1, sizeof *write);
    struct sim_write **end = &h->writes;
    unsigned i;

    CHECK(write != NULL);
    CHECK(!h->closing);
    request->handle = stream;
    write->request = request;
    write->done = done;
    write->count = count;
    write->buffers = malloc(count * sizeof *buffers);
    CHECK(write->buffers != NULL);
    memcpy(write->buffers, buffers, count * sizeof *buffers);
    for (i = 0; i < count; i++) {
        stream->write_queue_size += buffers[i].len;
    }
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = write;
    if (h->writes == write) {
        (void)write_on(h);
    }
    return 0;
}

bool uv_sim_stream_pending(const struct sim_handle *h)
{
    return h->writes != NULL && h->writes->through && !h->closing;
}

void uv_sim_stream_tell(struct sim_handle *h)
{
    while (h->writes != NULL && h->writes->through) {
        struct sim_write *write = h->writes;

        h->writes = write->next;
        if (write->status != 0) {
            size_t left = 0;

            for (; write->at < write->count; write->at++) {
                left += write->buffers[write->at].len;
            }
            ((uv_stream_t *)h->uv)->write_queue_size -= left;
        }
        write->done(write->request, write->status);
        free(write->buffers);
        free(write);
    }
}

void uv_sim_stream_close(struct sim_handle *h)
{
    struct sim_write *write;

    for (write = h->writes; write != NULL; write = write->next) {
        if (!write->through) {
            write->through = true;
            write->status = UV_ECANCELED;
        }
    }
    uv_sim_stream_tell(h);
}

/* ---- the poll phase ---- */

bool uv_sim_stream_ready(const struct sim_handle *h)
{
    if (h->uv->type != UV_NAMED_PIPE || h->link == NULL || h->closing) {
        return false;
    }
    return (h->active && sim_link_readable(h->link)) ||
           (h->writes != NULL && sim_link_writable(h->link));
}

static void read_on(struct sim_handle *h)
{
    uv_stream_t *stream = (uv_stream_t *)h->uv;
    unsigned reads;

    for (reads = 0; reads < READS_MAX && h->active; reads++) {
        uv_buf_t buffer = {.base = NULL};
        size_t size;
        int got;

        h->on_alloc(h->uv, SUGGESTED_SIZE, &buffer);
        if (buffer.base == NULL || buffer.len == 0) {
            h->on.read(stream, UV_ENOBUFS, &buffer);
            return;
        }
        size = buffer.len;
        if (random_chance(&uv_sim.random, 10)) {
            size = 1 + random_below(&uv_sim.random, size < 200 ? size : 200);
        }
        /* Ready, and then it was nothing: that may be. */
        got =
            random_chance(&uv_sim.random, 2) ? -EAGAIN : sim_link_read(h->link, buffer.base, size);
        if (got == -EAGAIN) {
            h->on.read(stream, 0, &buffer);
            return;
        }
        if (got <= 0) {
            h->active = false;
            h->on.read(stream, got == 0 ? UV_EOF : UV_ECONNRESET, &buffer);
            return;
        }
        h->on.read(stream, got, &buffer);
        if ((size_t)got < buffer.len) {
            return;
        }
    }
}

void uv_sim_stream_poll(struct sim_handle *h)
{
    if (h->active && sim_link_readable(h->link)) {
        read_on(h);
    }
    if (!h->closing && h->writes != NULL && sim_link_writable(h->link)) {
        (void)write_on(h);
        uv_sim_stream_tell(h);
    }
}
