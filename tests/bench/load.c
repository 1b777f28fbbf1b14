#include "tests/bench/load.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TOPIC_SIZE_MAX 64u

void load_fail(const char *format, ...)
{
    va_list args;

    (void)fprintf(stderr, "load: ");
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    _exit(1);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    if (clock_gettime(clock, &now) != 0) {
        return 0;
    }
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t load_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

void load_sleep_until(uint64_t when_ns)
{
    const struct timespec when = {.tv_sec = (time_t)(when_ns / 1000000000),
                                  .tv_nsec = (long)(when_ns % 1000000000)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR) {
    }
}

void load_start(struct load_worker *worker)
{
    char byte;

    (void)close(worker->ready_fd);
    while (read(worker->go_fd, &byte, 1) < 0 && errno == EINTR) {
    }
    worker->result->begin_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    worker->result->begin_ns = load_now_ns();
}

uint64_t load_end_ns(const struct load_worker *worker)
{
    return worker->result->begin_ns + (uint64_t)(worker->options->duration * 1e9);
}

bool load_over(const struct load_worker *worker, uint64_t end_ns)
{
    uint64_t count = worker->options->count;

    return load_now_ns() >= end_ns || (count > 0 && worker->result->entries >= count);
}

bool load_arrived(struct load_worker *worker, const void *data, size_t size)
{
    uint64_t sent_ns;

    if (size < LOAD_TIME_SIZE) {
        load_fail("an entry of %zu bytes", size);
    }
    memcpy(&sent_ns, data, sizeof sent_ns);
    if (sent_ns == 0) {
        return false;
    }
    times_add(&worker->result->latency, load_now_ns() - sent_ns);
    worker->result->entries++;
    worker->result->bytes += size;
    return true;
}

const char *load_topic(const struct load_options *options, uint32_t number)
{
    static char name[TOPIC_SIZE_MAX + 16];

    (void)snprintf(name, sizeof name, number > 0 ? "%s.%u" : "%s", options->topic, number);
    return name;
}

void *load_alloc(size_t size)
{
    void *bytes = calloc(1, size > 0 ? size : 1);

    if (bytes == NULL) {
        load_fail("out of memory");
    }
    return bytes;
}

void load_payload(void *bytes, size_t size)
{
    static uint64_t state = 0x9e3779b97f4a7c15u;
    uint8_t *at = bytes;
    size_t i;

    for (i = 0; i < size; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        at[i] = (uint8_t)(state >> 32);
    }
}

static uint32_t number(const char *text)
{
    return (uint32_t)strtoul(text, NULL, 10);
}

static int parse_options(int argc, char **argv, struct load_options *options)
{
    int key;

    while ((key = getopt(argc, argv, "s:k:t:c:z:b:w:d:n:r:m:p:a:")) != -1) {
        switch (key) {
        case 's':
            options->address = optarg;
            break;
        case 'k':
            options->topic = optarg;
            break;
        case 't':
            options->topics = number(optarg);
            break;
        case 'c':
            options->clients = number(optarg);
            break;
        case 'z':
            options->size = number(optarg);
            break;
        case 'b':
            options->batch = number(optarg);
            break;
        case 'w':
            options->window = number(optarg);
            break;
        case 'd':
            options->duration = strtod(optarg, NULL);
            break;
        case 'n':
            options->count = strtoull(optarg, NULL, 10);
            break;
        case 'r':
            options->rate = number(optarg);
            break;
        case 'm':
            options->each = strcmp(optarg, "each") == 0;
            break;
        case 'p':
            options->server = (pid_t)strtol(optarg, NULL, 10);
            break;
        case 'a':
            options->since_ns = strtoull(optarg, NULL, 10);
            break;
        default:
            return 64;
        }
    }
    return options->address == NULL || options->topics == 0 || options->clients == 0 ||
                   options->batch == 0 || options->window == 0 || options->rate == 0 ||
                   options->size < LOAD_TIME_SIZE || strlen(options->topic) > TOPIC_SIZE_MAX
               ? 64
               : 0;
}

/* In the child. */
static _Noreturn void work(struct load_worker *worker, load_fn run)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);             /* Whoever ends the parent ends this, too */
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* Without it sends are merely late */
    run(worker);
    worker->result->end_ns = load_now_ns();
    worker->result->end_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    worker->result->done = true;
    _exit(0);
}

/* Processor time of a process, all its threads, those that ended too. */
static uint64_t server_cpu_ns(const struct load_options *options)
{
    clockid_t clock;

    if (options->server == 0 || clock_getcpuclockid(options->server, &clock) != 0) {
        return 0;
    }
    return clock_ns(clock);
}

/* Returns the processor time of the server meanwhile. */
static uint64_t run_workers(const struct load_options *options, const struct load_kind *kind,
                            uint32_t count, struct load_result *results)
{
    uint64_t before_ns;
    int ready[2];
    int go[2];
    char byte;
    uint32_t i;

    if (pipe(ready) != 0 || pipe(go) != 0) {
        load_fail("pipe: %s", strerror(errno));
    }
    for (i = 0; i < count; i++) {
        struct load_worker worker = {.options = options,
                                     .index = i,
                                     .result = &results[i],
                                     .ready_fd = ready[1],
                                     .go_fd = go[0]};
        pid_t pid = fork();

        if (pid < 0) {
            load_fail("fork: %s", strerror(errno));
        }
        if (pid == 0) {
            (void)close(go[1]);
            (void)close(ready[0]);
            work(&worker, kind->run);
        }
    }
    (void)close(ready[1]);
    while (read(ready[0], &byte, 1) > 0) {
    }
    before_ns = server_cpu_ns(options);
    (void)close(go[1]);
    while (wait(NULL) > 0) {
    }
    return server_cpu_ns(options) - before_ns;
}

static void print(const struct load_options *options, const char *name,
                  const struct load_result *total, uint64_t client_ns, uint64_t server_ns)
{
    double seconds = (double)(total->end_ns - total->begin_ns) / 1e9;

    (void)printf("{\"kind\": \"%s\", \"clients\": %u, \"size\": %u, \"batch\": %u, "
                 "\"entries\": %llu, \"bytes\": %llu, \"seconds\": %.6f, \"entries_per_s\": %.0f, "
                 "\"p50_us\": %.2f, \"p99_us\": %.2f, \"max_us\": %.2f, "
                 "\"client_cpu_s\": %.6f, \"server_cpu_s\": %.6f}\n",
                 name, options->clients, options->size, options->batch,
                 (unsigned long long)total->entries, (unsigned long long)total->bytes, seconds,
                 (double)total->entries / seconds, times_us(&total->latency, 0.5),
                 times_us(&total->latency, 0.99), (double)total->latency.max_ns / 1e3,
                 (double)client_ns / 1e9, (double)server_ns / 1e9);
}

/* Run, add up, print. */
static void measure(const struct load_options *options, const struct load_kind *kind)
{
    uint32_t count = kind->workers > 0 ? kind->workers : options->clients;
    struct load_result *results = mmap(NULL, count * sizeof *results, PROT_READ | PROT_WRITE,
                                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct load_result total = {.begin_ns = UINT64_MAX};
    uint64_t client_ns = 0;
    uint64_t server_ns;
    uint32_t i;

    if (results == MAP_FAILED) {
        load_fail("out of memory");
    }
    server_ns = run_workers(options, kind, count, results);
    for (i = 0; i < count; i++) {
        if (!results[i].done) {
            load_fail("worker %u did not finish", i);
        }
        total.entries += results[i].entries;
        total.bytes += results[i].bytes;
        client_ns += results[i].end_cpu_ns - results[i].begin_cpu_ns;
        total.begin_ns =
            results[i].begin_ns < total.begin_ns ? results[i].begin_ns : total.begin_ns;
        total.end_ns = results[i].end_ns > total.end_ns ? results[i].end_ns : total.end_ns;
        times_merge(&total.latency, &results[i].latency);
    }
    print(options, kind->name, &total, client_ns, server_ns);
}

int load_main(int argc, char **argv, const struct load_kind *kinds)
{
    struct load_options options = {.topic = "bench",
                                   .topics = 1,
                                   .clients = 1,
                                   .size = 100,
                                   .batch = 1,
                                   .window = 1,
                                   .duration = 1,
                                   .rate = 10000};

    if (parse_options(argc, argv, &options) != 0 || optind + 1 != argc) {
        (void)fprintf(stderr, "load: see tests/bench/load.h for the options\n");
        return 64;
    }
    while (kinds->name != NULL && strcmp(kinds->name, argv[optind]) != 0) {
        kinds++;
    }
    if (kinds->name == NULL) {
        load_fail("no workload is called '%s'", argv[optind]);
    }
    measure(&options, kinds);
    return 0;
}
