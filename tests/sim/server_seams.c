/* What stands between the server's sources and the operating system in the simulation, and nowhere else: the
 * clocks, the log, systemd, and the few system calls of the listener, of a new connection and of what is handed on,
 * which the linker redirects here (--wrap, see CMakeLists.txt). A descriptor below SEAM_FD_FIRST is a real one, and passed on.
 *
 * Elsewhere: the loop (uv_sim.h), what is behind the descriptors (scene_descriptors.c). */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "core/check.h"
#include "server/clock.h"
#include "server/log.h"
#include "server/notify.h"
#include "server/process.h"
#include "tests/sim/scene.h"
#include "tests/sim/sim_net.h"

/* ---- clock.h, log.h, notify.h ---- */

uint64_t clock_mono_us(void)
{
    return scene_now_us(seam_scene);
}

uint64_t clock_wall_us(void)
{
    return scene_wall_us(seam_scene);
}

void log_write(enum log_level level, const char *part, const char *format, ...)
{
    char line[512];
    va_list args;

    (void)level;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    scene_log(seam_scene, "  log: %s: %s", part, line);
}

void log_event(enum log_event event, const char *part, const char *space, const char *format, ...)
{
    char line[512];
    va_list args;

    (void)event;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    scene_log(seam_scene, "  log: %s: \"%s\": %s", part, space != NULL ? space : "", line);
}

void log_each(enum log_level level, const char *part, const char *text)
{
    log_write(level, part, "%s", text);
}

void log_init(enum log_level level)
{
    (void)level;
}

void notify_ready(const char *status)
{
    (void)status;
}

void notify_trouble(const char *trouble)
{
    (void)trouble;
}

void notify_reloading(uint64_t mono_us)
{
    (void)mono_us;
}

void notify_stopping(const char *status)
{
    (void)status;
}

void notify_watchdog(void)
{
}

uint64_t notify_watchdog_interval_ms(void)
{
    return 0;
}

/* ---- process.h ---- */

int process_watch(pid_t pid, int socket_fd)
{
    return scene_watch(seam_scene, pid, socket_fd);
}

/* ---- system calls ---- */

struct scene *seam_scene;

/* The names are the linker's. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
int __real_close(int fd);
int __real_fcntl(int fd, int command, ...);
int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
int __real_getrlimit(int resource, struct rlimit *limit);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
int __wrap_close(int fd);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __wrap_getrlimit(int resource, struct rlimit *limit);
uid_t __wrap_geteuid(void);
void (*__wrap_signal(int number, void (*handler)(int)))(int);

int __wrap_close(int fd)
{
    if (fd < SEAM_FD_FIRST) {
        return __real_close(fd);
    }
    scene_close(seam_scene, fd);
    return 0;
}

/* The server sends by this what comes with a descriptor, and nothing else. */
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    const struct cmsghdr *header;
    int shared;

    if (fd < SEAM_FD_FIRST) {
        return __real_sendmsg(fd, message, flags);
    }
    header = CMSG_FIRSTHDR(message);
    CHECK(message->msg_iovlen == 1);
    CHECK(header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS);
    CHECK(header->cmsg_len == CMSG_LEN(sizeof shared));
    memcpy(&shared, CMSG_DATA(header), sizeof shared);
    return scene_send_right(seam_scene, fd, message->msg_iov[0].iov_base,
                            message->msg_iov[0].iov_len, shared);
}

/* The listener asks for the lowest free descriptor, to learn how many are left. */
int __wrap_fcntl(int fd, int command, ...)
{
    va_list args;
    int value;

    va_start(args, command);
    value = va_arg(args, int);
    va_end(args);
    if (fd < SEAM_FD_FIRST) {
        return __real_fcntl(fd, command, value);
    }
    return command == F_DUPFD_CLOEXEC ? scene_lowest_descriptor(seam_scene) : 0;
}

int __wrap_fcntl64(int fd, int command, ...)
{
    va_list args;
    int value;

    va_start(args, command);
    value = va_arg(args, int);
    va_end(args);
    return __wrap_fcntl(fd, command, value);
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
    struct ucred peer;

    if (fd < SEAM_FD_FIRST) {
        return __real_getsockopt(fd, level, name, value, size);
    }
    if (name != SO_PEERCRED) {
        errno = ENOPROTOOPT;
        return -1;
    }
    peer = (struct ucred){.pid = SEAM_PID_FIRST + (fd - SEAM_FD_CLIENT),
                          .uid = scene_link(seam_scene, fd)->uid,
                          .gid = 1};
    memcpy(value, &peer, sizeof peer);
    return 0;
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    (void)fd;
    (void)address;
    (void)size;
    (void)flags;
    return scene_accept(seam_scene);
}

int __wrap_getrlimit(int resource, struct rlimit *limit)
{
    if (resource != RLIMIT_NOFILE || seam_scene == NULL) {
        return __real_getrlimit(resource, limit);
    }
    *limit = (struct rlimit){.rlim_cur = SEAM_FD_LIMIT, .rlim_max = SEAM_FD_LIMIT};
    return 0;
}

uid_t __wrap_geteuid(void)
{
    return SEAM_UID;
}

/* A second signal would end the process at once: no part of the simulation. */
void (*__wrap_signal(int number, void (*handler)(int)))(int)
{
    (void)number;
    (void)handler;
    return NULL;
}
/* NOLINTEND(bugprone-reserved-identifier) */
