/* tusk bench: processes, each with a connection of its own, that start together and are
 * measured together.
 *
 *     bench_run: fork --> worker connects, warms up, waits --> all start --> struct bench_result
 *                                                               in shared memory, merged */
#ifndef CLIENT_BENCH_H
#define CLIENT_BENCH_H

#include "client/cli.h"
#include "proto/histogram.h"

#define BENCH_CLIENTS_MAX 256u

struct bench_options {
    struct cli *cli;
    const char *kind;
    const char *topic;
    uint32_t clients;
    uint32_t topics;     /* Written to in turn: TOPIC, TOPIC.1, TOPIC.2 ... */
    uint32_t size;       /* Of an entry */
    uint32_t batch;      /* Entries */
    uint32_t window;     /* Batches in flight */
    uint32_t flags;      /* TUSK_APPEND_* */
    double duration;     /* Seconds */
    bool timed;          /* The duration ends it */
    bool again;          /* read: begin again until the duration, which was given, is over */
    uint64_t count;      /* Entries in all; 0: no end but the duration's */
    uint32_t rate;       /* Entries a second, e2e */
    uint32_t checkpoint; /* Entries; 0: none */
};

struct bench_result {
    int code; /* enum cli_exit */
    uint64_t entries;
    uint64_t bytes;
    uint64_t begin_ns;
    uint64_t end_ns;
    struct histogram latency; /* Nanoseconds */
};

struct bench_worker {
    const struct bench_options *options;
    struct cli cli; /* Connected */
    uint32_t index;
    struct bench_result *result;
    int ready_fd; /* Closed: ready to start */
    int go_fd;    /* At its end: go */
};

/* A worker, in a process of its own: fills in entries, bytes, latency; calls bench_start(). Returns
 * an exit code. */
typedef int (*bench_worker_fn)(struct bench_worker *worker);

int bench_append(struct bench_worker *worker);
int bench_read(struct bench_worker *worker);
int bench_latency(struct bench_worker *worker);
/* Worker 0 follows, worker 1 appends at a rate. */
int bench_end_to_end(struct bench_worker *worker);

/* Say that this worker is ready, wait for the others, and begin the time. */
void bench_start(struct bench_worker *worker);
uint64_t bench_now_ns(void);

#endif
