#include "server/notify.h"

#include <inttypes.h>

#include "core/error.h"

#ifdef TUSK_HAVE_SYSTEMD

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

/* One step of a recovery may wait for the disk this long before systemd gives up. */
#define EXTEND_US UINT64_C(60000000)

/* STATUS while all is well. */
static char usual[4096];

/* Results are ignored throughout: a service manager that does not listen is no reason to fail. */

void notify_progress(const char *name, uint64_t done_bytes, uint64_t total_bytes)
{
    (void)sd_notifyf(0,
                     "EXTEND_TIMEOUT_USEC=%" PRIu64 "\nSTATUS=recovering namespace %s: %" PRIu64
                     " of %" PRIu64 " MiB",
                     EXTEND_US, name, done_bytes >> 20, total_bytes >> 20);
}

void notify_ready(const char *status)
{
    (void)snprintf(usual, sizeof usual, "%s", status); /* Cut is fine */
    (void)sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void notify_trouble(const char *trouble)
{
    (void)sd_notifyf(0, "STATUS=%s", trouble != NULL ? trouble : usual);
}

void notify_reloading(uint64_t mono_us)
{
    (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, mono_us);
}

void notify_stopping(const char *status)
{
    (void)sd_notifyf(0, "STOPPING=1\nSTATUS=%s", status);
}

void notify_watchdog(void)
{
    (void)sd_notify(0, "WATCHDOG=1");
}

uint64_t notify_watchdog_interval_ms(void)
{
    uint64_t usec;

    if (sd_watchdog_enabled(0, &usec) <= 0) {
        return 0;
    }
    return usec / 2000 > 0 ? usec / 2000 : 1;
}

static int take_socket(struct notify_sockets *sockets, int fd, const char *name, struct error *err)
{
    const bool metrics = strcmp(name, "metrics") == 0;
    int *const place = metrics ? &sockets->metrics : &sockets->clients;

    if (*place >= 0) {
        return error_set(err, TUSK_EINVALID, "LISTEN_FDS: two sockets %s were passed, wanted one",
                         metrics ? "for metrics" : "for clients");
    }
    if (sd_is_socket(fd, metrics ? AF_UNSPEC : AF_UNIX, SOCK_STREAM, 1) <= 0) {
        return error_set(err, TUSK_EINVALID,
                         metrics ? "LISTEN_FDS: what was passed for metrics is not a listening "
                                   "stream socket"
                                 : "LISTEN_FDS: what was passed is not a listening Unix stream "
                                   "socket");
    }
    *place = fd;
    return 0;
}

int notify_listen_fds(struct notify_sockets *sockets, struct error *err)
{
    char **names = NULL;
    const int count = sd_listen_fds_with_names(1, &names);
    int rc = 0;
    int i;

    *sockets = (struct notify_sockets){.clients = -1, .metrics = -1};
    if (count < 0) {
        return error_errno(err, -count, "LISTEN_FDS");
    }
    for (i = 0; i < count; i++) {
        if (rc == 0) {
            rc = take_socket(sockets, SD_LISTEN_FDS_START + i, names[i], err);
        }
        free(names[i]);
    }
    free(names);
    return rc;
}

#else

void notify_progress(const char *name, uint64_t done_bytes, uint64_t total_bytes)
{
    (void)name;
    (void)done_bytes;
    (void)total_bytes;
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

int notify_listen_fds(struct notify_sockets *sockets, struct error *err)
{
    (void)err;
    *sockets = (struct notify_sockets){.clients = -1, .metrics = -1};
    return 0;
}

#endif
