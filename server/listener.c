#include "server/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/options.h"
#include "core/check.h"
#include "core/error.h"
#include "server/connection.h"
#include "server/limits.h"
#include "server/log.h"
#include "server/server.h"

/* ---- the socket ---- */

static int fill_address(struct sockaddr_un *address, const char *path, struct error *err)
{
    const size_t size = strlen(path);

    if (size >= sizeof address->sun_path) {
        return error_set(err, TUSK_EINVALID,
                         "socket path \"%s\" has %zu bytes, at most %zu are possible", path, size,
                         sizeof address->sun_path - 1);
    }
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, path, size + 1);
    return 0;
}

/* Decide about what is in the way at path, and remove it if it is a socket that nobody listens on.
 * The caller holds the data directory's lock. */
static int remove_stale(const struct sockaddr_un *address, struct error *err)
{
    const char *path = address->sun_path;
    struct stat there;
    int fd;
    int rc;

    if (lstat(path, &there) != 0) {
        return error_errno(err, errno, "look at socket \"%s\"", path);
    }
    if (!S_ISSOCK(there.st_mode)) {
        return error_set(err, TUSK_EINVALID, "socket \"%s\": something else than a socket is there",
                         path);
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return error_errno(err, errno, "create a socket");
    }
    rc = connect(fd, (const struct sockaddr *)address, sizeof *address);
    if (rc == 0 || errno != ECONNREFUSED) {
        (void)close(fd); /* Nothing was written to it */
        return error_set(err, TUSK_EEXISTS, "socket \"%s\": another process answers there", path);
    }
    (void)close(fd); /* Nothing was written to it */
    log_info("listener", "removing the socket \"%s\" that a daemon left behind", path);
    if (unlink(path) != 0) {
        return error_errno(err, errno, "remove the old socket \"%s\"", path);
    }
    return 0;
}

/* Whoever can connect is told what he may do; where nobody but the owner may do anything the file
 * says so, too. */
static mode_t mode_of(bool shared)
{
    return shared ? S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH : S_IRUSR | S_IWUSR;
}

static int bind_path(int fd, const struct sockaddr_un *address, struct error *err)
{
    if (bind(fd, (const struct sockaddr *)address, sizeof *address) == 0) {
        return 0;
    }
    if (errno != EADDRINUSE) {
        return error_errno(err, errno, "bind socket \"%s\"", address->sun_path);
    }
    if (remove_stale(address, err) != 0) {
        return err->code;
    }
    if (bind(fd, (const struct sockaddr *)address, sizeof *address) != 0) {
        return error_errno(err, errno, "bind socket \"%s\"", address->sun_path);
    }
    return 0;
}

/* Whether the socket file is still the one we made. */
static bool owns_path(const struct listener *listener)
{
    struct stat there;

    return listener->path != NULL && stat(listener->path, &there) == 0 &&
           there.st_dev == listener->device && there.st_ino == listener->inode;
}

static void set_mode(const struct listener *listener, mode_t mode)
{
    if (owns_path(listener) && chmod(listener->path, mode) != 0) {
        log_warning("listener", "cannot set the rights of socket \"%s\": %s", listener->path,
                    strerror(errno));
    }
}

static void share(const struct listener *listener, bool shared)
{
    set_mode(listener, mode_of(shared));
}

void listener_share_with_group(const struct listener *listener)
{
    set_mode(listener, S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP);
}

int listener_open(struct listener *listener, const char *path, bool shared, struct error *err)
{
    struct sockaddr_un address;
    struct stat made;
    int fd;
    int rc;

    *listener = (struct listener){.fd = -1};
    rc = fill_address(&address, path, err);
    if (rc != 0) {
        return rc;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return error_errno(err, errno, "create a socket");
    }
    /* Before bind(): the file is created with the socket's mode, so it is never open to others. */
    if (fchmod(fd, mode_of(false)) != 0) {
        rc = error_errno(err, errno, "set the rights of socket \"%s\"", path);
        (void)close(fd); /* Nothing was written to it */
        return rc;
    }
    rc = bind_path(fd, &address, err);
    if (rc != 0) {
        (void)close(fd); /* Nothing was written to it */
        return rc;
    }
    listener->fd = fd;
    listener->path = path;
    if (stat(path, &made) == 0) {
        listener->device = made.st_dev;
        listener->inode = made.st_ino;
    }
    if (shared) {
        share(listener, true); /* The umask would have its say in the mode before bind() */
    }
    if (listen(fd, LISTEN_BACKLOG) != 0) {
        rc = error_errno(err, errno, "listen on socket \"%s\"", path);
        listener_abandon(listener);
        return rc;
    }
    return 0;
}

void listener_adopt(struct listener *listener, int fd)
{
    const int flags = fcntl(fd, F_GETFL);

    CHECK(flags >= 0);
    CHECK(fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
    *listener = (struct listener){.fd = fd};
}

/* Remove the socket file. */
void listener_abandon(struct listener *listener)
{
    if (listener->fd < 0) {
        return;
    }
    if (owns_path(listener) && unlink(listener->path) != 0) {
        log_warning("listener", "cannot remove socket \"%s\": %s", listener->path, strerror(errno));
    }
    (void)close(listener->fd); /* Nothing was written to it */
    listener->fd = -1;
}

/* ---- accepting ---- */

static void on_readable(uv_poll_t *poll, int status, int events);
static void on_retry(uv_timer_t *timer);

/* Whether so few descriptors are left that the rest is for files. The lowest free number tells:
 * descriptors are given out from below. */
static bool descriptors_short(const struct listener *listener)
{
    const int probe = fcntl(listener->fd, F_DUPFD_CLOEXEC, 0);

    if (probe < 0) {
        return true;
    }
    (void)close(probe); /* Nothing was written to it */
    return (rlim_t)probe + SPARE_FDS >= listener->fd_limit;
}

int listener_look_up_limit(struct listener *listener, struct error *err)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return error_errno(err, errno, "ask for the limit of descriptors");
    }
    listener->fd_limit = limit.rlim_cur;
    return 0;
}

bool listener_descriptors_short(const struct listener *listener)
{
    return descriptors_short(listener);
}

static void rest(struct listener *listener, const char *why)
{
    if (listener->resting) {
        return;
    }
    listener->resting = true;
    (void)uv_poll_stop(&listener->poll); /* Always succeeds */
    log_warning("listener", "not accepting for now: %s; %u connections are open", why,
                listener->server->connection_count);
}

static void poll_again(struct listener *listener)
{
    int rc = uv_poll_start(&listener->poll, UV_READABLE, on_readable);

    CHECK(rc == 0);
    listener->resting = false;
}

/* Take one connection. False: no more for now. */
static bool accept_one(struct listener *listener)
{
    int fd;

    if (listener->server->connection_count >= listener->server->options->connections_max) {
        rest(listener, "connections_max is reached");
        return false;
    }
    if (descriptors_short(listener)) {
        rest(listener, "few descriptors are left, and these are for files (see ulimit -n)");
        return false;
    }
    fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        if (!connection_accept(listener->server, fd)) {
            rest(listener, "memory is short");
            return false;
        }
        return true;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return false;
    }
    if (errno == EINTR || errno == ECONNABORTED) {
        return true;
    }
    rest(listener, strerror(errno)); /* EMFILE, ENFILE, ENOBUFS, ENOMEM, or what nobody knows */
    return false;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct listener *listener = poll->data;
    unsigned count;

    (void)status; /* accept4() says what is wrong */
    (void)events;
    for (count = 0; count < ACCEPT_BATCH; count++) {
        if (!accept_one(listener)) {
            break;
        }
    }
    if (listener->resting) {
        int rc = uv_timer_start(&listener->retry, on_retry, ACCEPT_RETRY_MS, 0);

        CHECK(rc == 0);
    }
}

static void on_retry(uv_timer_t *timer)
{
    struct listener *listener = timer->data;

    if (listener->fd >= 0 && listener->resting) {
        listener_resume(listener);
        if (listener->resting) {
            int rc = uv_timer_start(&listener->retry, on_retry, ACCEPT_RETRY_MS, 0);

            CHECK(rc == 0);
        }
    }
}

int listener_start(struct listener *listener, struct server *server, struct error *err)
{
    int rc = listener_look_up_limit(listener, err);

    if (rc != 0) {
        return rc;
    }
    listener->server = server;
    rc = uv_poll_init(&server->loop, &listener->poll, listener->fd);
    if (rc != 0) {
        return error_errno(err, -rc, "poll the listening socket");
    }
    rc = uv_timer_init(&server->loop, &listener->retry);
    CHECK(rc == 0);
    listener->poll.data = listener;
    listener->retry.data = listener;
    poll_again(listener);
    return 0;
}

void listener_resume(struct listener *listener)
{
    if (listener->fd < 0 || !listener->resting ||
        listener->server->connection_count >= listener->server->options->connections_max ||
        descriptors_short(listener)) {
        return;
    }
    poll_again(listener);
}

void listener_reconfigured(struct listener *listener, bool shared)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        listener->fd_limit = limit.rlim_cur;
    }
    share(listener, shared);
    listener_resume(listener);
}

void listener_stop(struct listener *listener)
{
    if (listener->fd < 0) {
        return;
    }
    if (listener->server != NULL) {
        (void)uv_poll_stop(&listener->poll); /* Always succeeds */
        uv_close((uv_handle_t *)&listener->poll, NULL);
        uv_close((uv_handle_t *)&listener->retry, NULL);
    }
    listener_abandon(listener);
}
