#include "server/stats.h"

#include "server/lease.h"
#include "server/server.h"

void stats_server(const struct server *server, stats_fn *fn, void *arg)
{
    uint64_t live;
    uint64_t left;

    fn(arg, "connections", server->connection_count);
    fn(arg, "connections_taken", server->counters.connections_taken);
    fn(arg, "connections_cut", server->counters.connections_cut);
    fn(arg, "requests", server->counters.requests);
    fn(arg, "requests_in_flight", server->requests_used);
    fn(arg, "requests_denied", server->meter.denied);
    fn(arg, "requests_slow", server->slowlog.count);
    fn(arg, "bytes_received", server->counters.bytes_received);
    fn(arg, "bytes_sent", server->counters.bytes_sent);
    fn(arg, "bytes_sent_from_cache", server->counters.bytes_sent_from_cache);
    lease_count(server, &live, &left);
    fn(arg, "leases", live);
    fn(arg, "leases_left_behind", left);
    fn(arg, "blocks_retired", server->counters.blocks_retired);
    fn(arg, "pauses", server->counters.pauses);
    fn(arg, "paused_ms", server->counters.paused_ms);
    fn(arg, "buffer_bytes", server->pool.used_bytes);
    fn(arg, "buffer_bytes_max", server->pool.limit_bytes);
}
