/* A connection's life: connect, HELLO, close. The requests between are pipeline.c. */
#include "client/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTION_TIMEOUT_MS 5000
#define CONNECTION_SEND_BUFFER_SIZE (1024u * 1024)

/* What a daemon may announce at most: the sizes decide what this side allocates on its word. */
#define CONNECTION_FRAME_SIZE_MAX (1024u * 1024 * 1024)
#define CONNECTION_FRAME_SIZE_MIN 4096u
#define CONNECTION_IN_FLIGHT_MAX 65536u

/* Copy what the caller's version of the struct has; the rest keeps its meaning of "default". */
static int options_copy(struct tusk_options *to, const struct tusk_options *from,
                        struct tusk_failure *failure)
{
    *to = (struct tusk_options){.size = sizeof *to};
    if (from != NULL) {
        if (from->size < sizeof from->size) {
            (void)failure_set(failure, TUSK_EINVALID, "tusk_options.size is not set");
            return TUSK_EINVALID;
        }
        memcpy(to, from, from->size < sizeof *to ? from->size : sizeof *to);
    }
    if (to->path == NULL) {
        to->path = TUSK_SOCKET_DEFAULT;
    }
    if (to->space == NULL) {
        to->space = "";
    }
    if (to->client == NULL) {
        to->client = "";
    }
    if (to->timeout_ms <= 0) {
        to->timeout_ms = CONNECTION_TIMEOUT_MS;
    }
    if (to->send_buffer_size == 0) {
        to->send_buffer_size = CONNECTION_SEND_BUFFER_SIZE;
    }
    return TUSK_OK;
}

struct hello_call {
    bool done;
    int code;
};

static int hello_take(struct tusk *t, const struct reply *reply)
{
    struct message_hello_reply *hello = &t->hello;

    if (message_hello_reply_decode(hello, reply->u.body.data, reply->u.body.size) != 0) {
        return failure_set(&t->failure, TUSK_EPROTOCOL, "the reply to HELLO is malformed");
    }
    if (hello->version != MESSAGE_VERSION || hello->frame_size_max < CONNECTION_FRAME_SIZE_MIN ||
        hello->frame_size_max > CONNECTION_FRAME_SIZE_MAX || hello->in_flight_max == 0 ||
        hello->in_flight_bytes_max == 0) {
        return failure_set(&t->failure, TUSK_EPROTOCOL,
                           "the daemon announces limits that cannot be (version %u, frames of %u "
                           "bytes, %u requests in flight)",
                           hello->version, hello->frame_size_max, hello->in_flight_max);
    }
    memcpy(t->server_name, hello->server.data, hello->server.size);
    t->server_name[hello->server.size] = '\0';
    t->frame_size_max = hello->frame_size_max;
    t->slot_limit = hello->in_flight_max < CONNECTION_IN_FLIGHT_MAX ? hello->in_flight_max
                                                                    : CONNECTION_IN_FLIGHT_MAX;
    return TUSK_OK;
}

static void hello_done(struct tusk *t, const struct request *request, const struct reply *reply)
{
    struct hello_call *call = request->plan.user;

    call->done = true;
    call->code = reply->code == TUSK_OK ? hello_take(t, reply) : reply->code;
}

static int connection_hello(struct tusk *t, const struct tusk_options *options)
{
    struct hello_call call = {0};
    const struct request_plan plan = {.type = MESSAGE_HELLO, .done = hello_done, .user = &call};
    uint64_t deadline_us = clock_deadline_us(options->timeout_ms);
    struct message message;
    uint64_t id;
    int rc;

    message.type = MESSAGE_HELLO;
    message.u.hello = (struct message_hello){.version_min = MESSAGE_VERSION,
                                             .version_max = MESSAGE_VERSION,
                                             .features = FEATURE_UNCHECKED | FEATURE_MAPPED};
    rc = name_from(t, "namespace", options->space, &message.u.hello.space);
    if (rc == TUSK_OK) {
        rc = name_from(t, "client name", options->client, &message.u.hello.client);
    }
    if (rc == TUSK_OK) {
        rc = pipeline_submit(t, &message, &plan, &id);
    }
    if (rc != TUSK_OK) {
        return rc;
    }
    while (!call.done && clock_now_us() < deadline_us) {
        (void)pipeline_turn_until(t, deadline_us); /* A broken connection completes the call */
    }
    if (!call.done) {
        (void)pipeline_abandon(t, id);
        return failure_set(&t->failure, TUSK_ETIMEOUT, "no answer to HELLO within %d ms",
                           options->timeout_ms);
    }
    return call.code;
}

/* options is a full copy. On failure fd stays open. */
static int connection_open(int fd, const struct tusk_options *options, struct tusk **out,
                           struct tusk_failure *failure)
{
    struct tusk *t = calloc(1, sizeof *t);
    int rc;

    if (t == NULL) {
        return failure_set(failure, TUSK_ENOMEM, "out of memory for a connection");
    }
    if (!stream_init(&t->stream, fd, options->send_buffer_size, options->receive_buffer_size)) {
        free(t);
        return failure_set(failure, TUSK_ENOMEM, "out of memory for a connection's buffers");
    }
    pipeline_init(t);
    t->timeout_ms = options->timeout_ms;
    rc = connection_hello(t, options);
    if (rc != TUSK_OK) {
        if (failure != NULL) {
            *failure = t->failure;
            failure->code = rc;
        }
        t->stream.fd = -1;
        pipeline_deinit(t);
        free(t);
        return rc;
    }
    *out = t;
    return TUSK_OK;
}

static int connect_code(int error)
{
    switch (error) {
    case EACCES:
    case EPERM:
        return TUSK_EDENIED;
    case ENOMEM:
    case ENOBUFS:
    case EMFILE:
    case ENFILE:
        return TUSK_ENOMEM;
    case EAGAIN: /* The listener's queue stayed full */
        return TUSK_ETIMEOUT;
    default:
        return TUSK_EUNREACHABLE;
    }
}

/* Connecting to a Unix socket waits only while the listener's queue is full, and then no longer
 * than the send timeout. */
static int connection_socket(const struct tusk_options *options, int *out,
                             struct tusk_failure *failure)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval timeout = {.tv_sec = options->timeout_ms / 1000,
                                    .tv_usec = (options->timeout_ms % 1000) * 1000};
    size_t size = strlen(options->path);
    int error;
    int fd;

    if (size == 0 || size >= sizeof address.sun_path) {
        return failure_set(failure, TUSK_EINVALID, "the socket's path has %zu bytes; 1 to %zu do",
                           size, sizeof address.sun_path - 1);
    }
    memcpy(address.sun_path, options->path, size);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return failure_errno(failure, TUSK_ENOMEM, errno, "cannot make a socket");
    }
    /* Without the timeout connecting still works. */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    while (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        if (errno == EINTR) {
            continue;
        }
        error = errno;
        (void)close(fd);
        return failure_errno(failure, connect_code(error), error, "cannot reach tuskd at %s",
                             options->path);
    }
    *out = fd;
    return TUSK_OK;
}

int tusk_connect(const struct tusk_options *options, struct tusk **out,
                 struct tusk_failure *failure)
{
    struct tusk_options all;
    int fd = -1;
    int rc;

    *out = NULL;
    rc = options_copy(&all, options, failure);
    if (rc == TUSK_OK) {
        rc = connection_socket(&all, &fd, failure);
    }
    if (rc != TUSK_OK) {
        return rc;
    }
    rc = connection_open(fd, &all, out, failure);
    if (rc != TUSK_OK) {
        (void)close(fd);
    }
    return rc;
}

int tusk_connect_fd(int fd, const struct tusk_options *options, struct tusk **out,
                    struct tusk_failure *failure)
{
    struct tusk_options all;
    int rc;

    *out = NULL;
    if (fd < 0) {
        return failure_set(failure, TUSK_EINVALID, "%d is not a file descriptor", fd);
    }
    rc = options_copy(&all, options, failure);
    return rc == TUSK_OK ? connection_open(fd, &all, out, failure) : rc;
}

int tusk_close(struct tusk *t)
{
    if (t == NULL) {
        return TUSK_OK;
    }
    if (pipeline_check_outside_callback(t) != TUSK_OK) {
        return TUSK_EINVALID;
    }
    mapped_leave(t);
    pipeline_break(t, TUSK_ECLOSED, "the connection was closed");
    pipeline_deinit(t);
    free(t);
    return TUSK_OK;
}

const struct tusk_failure *tusk_last_error(const struct tusk *t)
{
    return &t->failure;
}

int tusk_info(const struct tusk *t, struct tusk_info *info)
{
    struct tusk_info all = {
        .incarnation = t->hello.incarnation,
        .fsync_ms = t->hello.fsync_ms,
        .consistency = t->hello.consistency,
        .entry_size_max = t->hello.entry_size_max,
        .batch_size_max = t->hello.batch_size_max,
        .in_flight_max = t->hello.in_flight_max,
        .in_flight_bytes_max = t->hello.in_flight_bytes_max,
    };

    memcpy(all.store_id, t->hello.store_id, sizeof all.store_id);
    memcpy(all.server, t->server_name, sizeof all.server);
    return struct_out(info, info->size, &all, sizeof all);
}

int tusk_set_timeout(struct tusk *t, int timeout_ms)
{
    if (timeout_ms <= 0) {
        return failure_set(&t->failure, TUSK_EINVALID, "a timeout of %d ms", timeout_ms);
    }
    t->timeout_ms = timeout_ms;
    return TUSK_OK;
}
