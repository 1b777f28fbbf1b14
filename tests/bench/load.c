#include "tests/bench/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

uint64_t load_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* Fails only for a clock that does not exist */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
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
    worker->result->begin_ns = load_now_ns();
}

static int parse_options(int argc, char **argv, struct load_options *options)
{
    int key;

    while ((key = getopt(argc, argv, "s:k:c:z:b:w:d:n:r:")) != -1) {
        switch (key) {
        case 's':
            options->socket = optarg;
            break;
        case 'k':
            options->topic = optarg;
            break;
        case 'c':
            options->clients = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'z':
            options->size = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'b':
            options->batch = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'w':
            options->window = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'd':
            options->duration = strtod(optarg, NULL);
            break;
        case 'n':
            options->count = strtoull(optarg, NULL, 10);
            break;
        case 'r':
            options->rate = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        default:
            return 64;
        }
    }
    return options->clients == 0 || options->batch == 0 || options->window == 0 ||
                   options->rate == 0 || options->size < 8 || strlen(options->topic) > 64
               ? 64
               : 0;
}

/* In the child. */
static _Noreturn void work(struct load_worker *worker, load_fn run)
{
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* Without it sends are merely late */
    run(worker);
    worker->result->end_ns = load_now_ns();
    worker->result->done = true;
    _exit(0);
}

static void run_workers(const struct load_options *options, const struct load_kind *kind,
                        uint32_t count, struct load_result *results)
{
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
    (void)close(go[1]);
    while (wait(NULL) > 0) {
    }
}

static void print(const struct load_options *options, const char *name,
                  const struct load_result *total)
{
    double seconds = (double)(total->end_ns - total->begin_ns) / 1e9;

    (void)printf("{\"bench\": \"%s\", \"clients\": %u, \"size\": %u, \"batch\": %u, "
                 "\"entries\": %llu, \"seconds\": %.6f, \"entries_per_s\": %.0f, "
                 "\"mb_per_s\": %.1f, \"p50_us\": %.2f, \"p99_us\": %.2f}\n",
                 name, options->clients, options->size, options->batch,
                 (unsigned long long)total->entries, seconds, (double)total->entries / seconds,
                 (double)total->bytes / 1e6 / seconds,
                 (double)histogram_quantile(&total->latency, 0.5) / 1e3,
                 (double)histogram_quantile(&total->latency, 0.99) / 1e3);
}

int load_main(int argc, char **argv, const struct load_kind *kinds)
{
    struct load_options options = {.topic = "bench",
                                   .clients = 1,
                                   .size = 100,
                                   .batch = 1,
                                   .window = 1,
                                   .duration = 1,
                                   .rate = 10000};
    struct load_result total = {.begin_ns = UINT64_MAX};
    struct load_result *results;
    uint32_t count;
    uint32_t i;

    if (parse_options(argc, argv, &options) != 0 || optind + 1 != argc) {
        (void)fprintf(stderr, "load: see the top of the source for the options\n");
        return 64;
    }
    while (kinds->name != NULL && strcmp(kinds->name, argv[optind]) != 0) {
        kinds++;
    }
    if (kinds->name == NULL) {
        load_fail("no workload is called '%s'", argv[optind]);
    }
    count = kinds->workers > 0 ? kinds->workers : options.clients;
    results = mmap(NULL, count * sizeof *results, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (results == MAP_FAILED) {
        load_fail("out of memory");
    }
    run_workers(&options, kinds, count, results);
    for (i = 0; i < count; i++) {
        if (!results[i].done) {
            load_fail("worker %u did not finish", i);
        }
        total.entries += results[i].entries;
        total.bytes += results[i].bytes;
        total.begin_ns =
            results[i].begin_ns < total.begin_ns ? results[i].begin_ns : total.begin_ns;
        total.end_ns = results[i].end_ns > total.end_ns ? results[i].end_ns : total.end_ns;
        histogram_merge(&total.latency, &results[i].latency);
    }
    print(&options, kinds->name, &total);
    return 0;
}
