/* Before a sync the sockets are looked at again, without sleeping, as long as that brings requests:
 * they share the sync, instead of waiting for the one behind it. */
#ifndef SERVER_GATHER_H
#define SERVER_GATHER_H

#include <stdbool.h>
#include <stdint.h>

struct server;

/* Whether the turn goes on for a moment, the engine not being asked yet. */
bool gather(struct server *server, uint64_t now_us);

#endif
