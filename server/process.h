/* The process at the other end of a connection. */
#ifndef SERVER_PROCESS_H
#define SERVER_PROCESS_H

#include <sys/types.h>

/* A descriptor that is readable when the process that connected is gone (pidfd_open(2)); the
 * caller's to close. The kernel says which process that was (SO_PEERPIDFD, Linux 6.5), or its
 * number does, which is nobody else's while the process is there. -1: none, or descriptors are
 * short. */
int process_watch(pid_t pid, int socket_fd);

#endif
