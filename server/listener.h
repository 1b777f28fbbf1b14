/* The listening socket: our own at a path, or one that systemd passed.
 *
 *     listener_open, or _adopt ---> listener_start: { accepting <-> resting } ---> listener_stop
 *
 * Accepting rests when connections_max is reached, and when fewer than SPARE_FDS descriptors are
 * left, so that the storage can always roll over. It goes on when a connection closes or, in case
 * somebody else freed what was short, after ACCEPT_RETRY_MS. While it rests the socket is not
 * polled: a client that waits in the queue costs nothing.
 *
 * A socket file that is in the way is removed only if nobody answers on it, and only by a caller
 * who holds the data directory's lock: two daemons cannot both take the place of a third. */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <uv.h>

struct error;
struct server;

struct listener {
    struct server *server; /* Borrowed; NULL until listener_start() */
    uv_poll_t poll;
    uv_timer_t retry;
    int fd;           /* Owned; -1: closed */
    const char *path; /* Borrowed; NULL: the socket is systemd's, and stays when we go */
    dev_t device;     /* Of the socket file, so that only our own is removed */
    ino_t inode;
    rlim_t fd_limit;
    bool resting;
};

/* Bind path and listen. The file has the mode 0600, or when shared 0666: then rules decide.
 * TUSK_EEXISTS: a daemon answers there; TUSK_EINVALID: path is too long, or something else than a
 * socket is there; the rest as the system says. */
int listener_open(struct listener *listener, const char *path, bool shared, struct error *err);

/* Use a listening socket that is there. fd is moved. */
void listener_adopt(struct listener *listener, int fd);
/* Begin to accept on the server's loop. */
int listener_start(struct listener *listener, struct server *server, struct error *err);
/* A connection has closed: accepting may go on. */
void listener_resume(struct listener *listener);
/* Limits have changed, of descriptors or of connections; or who may connect: our own socket file
 * gets the mode for that (systemd's is systemd's). */
void listener_reconfigured(struct listener *listener, bool shared);
/* Stop accepting, remove the socket file, close. Handles close with the loop. */
void listener_stop(struct listener *listener);
/* Let members of the daemon's group connect, too: the mode 0660. */
void listener_share_with_group(const struct listener *listener);
/* Note how many descriptors there may be; whether so few are left that they are for files. */
int listener_look_up_limit(struct listener *listener, struct error *err);
bool listener_descriptors_short(const struct listener *listener);
/* For a start that failed before listener_start(), and for who accepts by himself. */
void listener_abandon(struct listener *listener);

#endif
