/* The clients of a store: threads of this process, each with a connection, each writing down what it
 * did and what it was told in its part of the model and in its journal.
 *
 * Producers append batches to random topics, pipelined, some of them durable, and ask for a sync now
 * and then. Consumers peek and checkpoint, or consume. All end when told to, or when the daemon is
 * gone. */
#ifndef TESTS_CRASH_CLIENT_H
#define TESTS_CRASH_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>

#include "tests/crash/model.h"

struct clients {
    struct model *model; /* Borrowed */
    pthread_t threads[MODEL_CLIENTS_MAX];
    atomic_bool stop;
    uint32_t window;   /* Batches in flight of each producer */
    uint32_t pause_us; /* Between turns of a producer; 0: none */
};

/* Start all clients of the model, for one life. */
void clients_start(struct clients *clients, struct model *model, uint32_t window,
                   uint32_t pause_us);
/* Tell them to stop, and wait until they have. */
void clients_stop(struct clients *clients);
/* What clients themselves saw go wrong becomes violations. power_cut: except that the daemon
 * reported damage. */
void clients_report(struct model *model, bool power_cut);

#endif
