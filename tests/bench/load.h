/* What load generators and probes share: options, processes that start together, and one line of
 * JSON with the columns of `tusk bench -o jsonl`. */
#ifndef TESTS_BENCH_LOAD_H
#define TESTS_BENCH_LOAD_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/histogram.h"

struct load_options {
    const char *socket;
    const char *topic;
    uint32_t clients;
    uint32_t size;   /* Of an entry */
    uint32_t batch;  /* Entries */
    uint32_t window; /* Batches in flight */
    double duration; /* Seconds */
    uint64_t count;  /* Entries in all, if the duration is not over before; 0: no such end */
    uint32_t rate;   /* Entries a second, e2e */
};

struct load_result {
    uint64_t entries;
    uint64_t bytes;
    uint64_t begin_ns;
    uint64_t end_ns;
    bool done;
    struct histogram latency; /* Nanoseconds */
};

struct load_worker {
    const struct load_options *options;
    uint32_t index;
    struct load_result *result; /* Shared with the parent */
    int ready_fd;
    int go_fd;
};

/* In a process of its own: calls load_start(), then fills in entries, bytes, latency. */
typedef void (*load_fn)(struct load_worker *worker);

struct load_kind {
    const char *name;
    load_fn run;
    uint32_t workers; /* 0: as many as clients */
};

/* Parse the options, run the kind named, print. kinds ends with a name of NULL. */
int load_main(int argc, char **argv, const struct load_kind *kinds);
/* Say that this worker is ready, wait for the others, and begin the time. */
void load_start(struct load_worker *worker);
uint64_t load_now_ns(void);
void load_sleep_until(uint64_t when_ns);
/* Say why and end the process. */
_Noreturn void load_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
