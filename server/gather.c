#include "server/gather.h"

#include "core/engine.h"
#include "server/server.h"

/* Longest time that a sync is held back for requests that keep arriving. */
#define GATHER_US 20u

bool gather(struct server *server, uint64_t now_us)
{
    const uint64_t requests = server->counters.requests;

    if (server->state != SERVER_SERVING || !engine_would_sync(server->engine)) {
        server->gathering = false;
        return false;
    }
    if (!server->gathering) {
        server->gathering = true;
        server->gather_until_us = now_us + GATHER_US;
    } else if (requests == server->gather_requests || now_us >= server->gather_until_us) {
        server->gathering = false;
        return false;
    }
    server->gather_requests = requests;
    return true;
}
