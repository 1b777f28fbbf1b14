/* What load generators and probes share: options, processes that start together, and one line of
 * JSON. A generator is one program for one system; what it can do is its list of kinds.
 *
 *     GENERATOR -s ADDRESS [-k TOPIC] [-t TOPICS] [-c CLIENTS] [-z SIZE] [-b BATCH] [-w WINDOW]
 *               [-d SECONDS] [-n COUNT] [-r RATE] [-m lazy|each] [-p PID] [-a NS] KIND
 *
 *     append   batches of BATCH entries, up to WINDOW of them in flight, over TOPICS topics in turn
 *     latency  appends, one in flight
 *     many     CLIENTS connections with one append in flight each, from one loop
 *     read     from the first entry to the last, again until SECONDS are over
 *     mapped   the same by mapped files (tusk)
 *     group    the same, and the place is persisted each 1,000 entries, or each MiB
 *     next     entry after entry, each acknowledged by itself, up to WINDOW of that in flight
 *     e2e      appends at RATE, and a reader that waits for them
 *     first    how long after NS (of the monotonic clock) the first entry of the topic was read
 *
 * It ends after SECONDS or COUNT entries (0: no such end). Requests are prepared before the time
 * begins and replies are looked at for what is needed only, so that the client is not what is
 * measured; any error ends the run. PID is the server's, whose processor time is wanted, too. */
#ifndef TESTS_BENCH_LOAD_H
#define TESTS_BENCH_LOAD_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/bench/times.h"

#define LOAD_READ_COUNT 1000u /* Entries of one read, where a system reads by number */
#define LOAD_TIME_SIZE 8u     /* Of the time in an entry of e2e; zero: that was the last */

struct load_options {
    const char *address; /* Of the server, or the directory of a store in process */
    const char *topic;
    uint32_t topics; /* Appended to in turn */
    uint32_t clients;
    uint32_t size;   /* Of an entry */
    uint32_t batch;  /* Entries */
    uint32_t window; /* Batches in flight */
    double duration; /* Seconds */
    uint64_t count;  /* Entries in all, if the duration is not over before; 0: no such end */
    uint32_t rate;   /* Entries a second, e2e */
    bool each;       /* Every append is synced; only a store in process needs to know */
    pid_t server;    /* 0: none */
    uint64_t since_ns;
};

struct load_result {
    uint64_t entries;
    uint64_t bytes;
    uint64_t begin_ns;
    uint64_t end_ns;
    uint64_t begin_cpu_ns;
    uint64_t end_cpu_ns;
    bool done;
    struct times latency;
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
/* When to stop, after load_start(). */
uint64_t load_end_ns(const struct load_worker *worker);
/* Whether it is to stop, by the clock or by the count. Asked after some work, so that none ends
 * without any. */
bool load_over(const struct load_worker *worker, uint64_t end_ns);
/* One more of e2e has arrived. False: it was the last. */
bool load_arrived(struct load_worker *worker, const void *data, size_t size);
uint64_t load_now_ns(void);
void load_sleep_until(uint64_t when_ns);
/* The name of a topic; number 0 is the options' own. The same buffer each time. */
const char *load_topic(const struct load_options *options, uint32_t number);
void *load_alloc(size_t size);
/* Bytes that do not compress. */
void load_payload(void *bytes, size_t size);
/* Say why and end the process. */
_Noreturn void load_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
