#include "server/process.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server/limits.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

int process_watch(pid_t pid, int socket_fd)
{
    struct rlimit limit = {.rlim_cur = 0};
    socklen_t size = sizeof(int);
    int fd = -1;

    if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERPIDFD, &fd, &size) != 0) {
        fd = (int)syscall(SYS_pidfd_open, pid, 0);
    }
    if (fd >= 0 &&
        (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= (rlim_t)fd + SPARE_FDS + 1)) {
        (void)close(fd); /* Nothing was written to it */
        fd = -1;
    }
    return fd;
}
