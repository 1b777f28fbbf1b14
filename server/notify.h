/* Talking to systemd, and being talked to by it. Without libsystemd, or not started by systemd,
 * everything here does nothing and says so by its result. */
#ifndef SERVER_NOTIFY_H
#define SERVER_NOTIFY_H

#include <stdint.h>

struct error;

/* Recovery is at work: keep the start-up timeout away, and show how far it is. */
void notify_progress(const char *name, uint64_t done_bytes, uint64_t total_bytes);
void notify_ready(const char *status);
/* What is shown instead of what notify_ready() said last, which NULL brings back: the daemon
 * serves, and somebody should look. */
void notify_trouble(const char *trouble);
/* A reload begins; notify_ready() ends it, however it went. */
void notify_reloading(uint64_t mono_us);
void notify_stopping(const char *status);
void notify_watchdog(void);
/* How often notify_watchdog() must be called, in milliseconds; half of what systemd was told. 0:
 * nobody watches. */
uint64_t notify_watchdog_interval_ms(void);
/* Listening sockets that systemd passed; -1: none. */
struct notify_sockets {
    int clients;
    int metrics; /* FileDescriptorName=metrics: Unix or TCP */
};
/* Fails with TUSK_EINVALID when what it passed cannot be used. */
int notify_listen_fds(struct notify_sockets *sockets, struct error *err);

#endif
