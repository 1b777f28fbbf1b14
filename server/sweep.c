#include "server/sweep.h"

#include "config/options.h"
#include "server/clock.h"
#include "server/connection.h"
#include "server/server.h"

static uint64_t sweep_interval(const struct options *options)
{
    uint64_t shortest = options->hello_timeout;

    shortest = options->frame_timeout < shortest ? options->frame_timeout : shortest;
    shortest = options->output_timeout < shortest ? options->output_timeout : shortest;
    if (options->idle_timeout != 0 && options->idle_timeout < shortest) {
        shortest = options->idle_timeout;
    }
    shortest /= 4;
    if (shortest < SWEEP_MIN_MS) {
        return SWEEP_MIN_MS;
    }
    return shortest < SWEEP_MAX_MS ? shortest : SWEEP_MAX_MS;
}

/* The only timer that always runs: how late it comes is how long the loop was kept from everything
 * else, too. */
static void expect(struct server *server, uint64_t delay_ms)
{
    meter_timer_set(&server->meter, clock_mono_us() + delay_ms * 1000);
}

static void on_sweep(uv_timer_t *timer)
{
    struct server *server = timer->data;
    struct connection *connection = server->connections;
    const uint64_t now_us = clock_mono_us();
    struct connection *next;

    meter_timer_fired(&server->meter, now_us);
    if (server->state == SERVER_SERVING) {
        stall_look(&server->stall, server->engine, now_us);
    }
    expect(server, sweep_interval(server->options));
    for (; connection != NULL; connection = next) {
        next = connection->next;
        connection_sweep(connection, uv_now(&server->loop));
    }
}

void sweep_start(struct server *server)
{
    const uint64_t sweep_ms = sweep_interval(server->options);

    expect(server, sweep_ms);
    (void)uv_timer_start(&server->sweep_timer, on_sweep, sweep_ms, sweep_ms); /* Succeeds */
}

void sweep_soon(struct server *server)
{
    expect(server, SWEEP_MIN_MS);
    (void)uv_timer_start(&server->sweep_timer, on_sweep, SWEEP_MIN_MS,
                         sweep_interval(server->options)); /* Succeeds */
}
