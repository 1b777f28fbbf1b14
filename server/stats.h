/* The daemon's own counters and gauges, by name: for STATS, and for metrics. Those of a namespace
 * are engine_stats(). */
#ifndef SERVER_STATS_H
#define SERVER_STATS_H

#include <stdint.h>

struct server;

typedef void stats_fn(void *arg, const char *name, uint64_t value);

/* Names are stable; tusk-stat(1) has them. */
void stats_server(const struct server *server, stats_fn *fn, void *arg);

#endif
