/* tusk bench: options, worker processes, and one line of result. */
#include "client/bench.h"
#include "client/cli_parse.h"
#include "client/cli_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    KEY_CLIENTS = 0x1000,
    KEY_SIZE,
    KEY_BATCH,
    KEY_WINDOW,
    KEY_ACK,
    KEY_DURATION,
    KEY_COUNT,
    KEY_RATE,
    KEY_TOPIC,
    KEY_TOPICS,
    KEY_CHECKPOINT,
};

static const struct argp_option bench_options[] = {
    {"clients", KEY_CLIENTS, "N", 0, "Processes with a connection each (1)", 0},
    {"size", KEY_SIZE, "B", 0, "Bytes of an entry (100)", 0},
    {"batch", KEY_BATCH, "N", 0, "Entries in a batch (append: 1)", 0},
    {"window", KEY_WINDOW, "N", 0, "Batches in flight (append: 256)", 0},
    {"ack", KEY_ACK, "WHEN", 0, "written (default) or durable", 0},
    {"duration", KEY_DURATION, "S", 0, "Seconds (5; read: once, or again for so long)", 0},
    {"count", KEY_COUNT, "N", 0, "Entries in all; with a duration, whichever ends first", 0},
    {"rate", KEY_RATE, "N", 0, "Entries a second (e2e: 10000)", 0},
    {"topic", KEY_TOPIC, "TOPIC", 0, "Topic (bench)", 0},
    {"topics", KEY_TOPICS, "N", 0, "Topics to append to in turn (1)", 0},
    {"checkpoint", KEY_CHECKPOINT, "N", 0, "read: a checkpoint every N entries", 0},
    {0},
};

static void bench_count(struct argp_state *state, const char *what, const char *arg, uint32_t max,
                        uint32_t *value)
{
    if (parse_count(arg, value) != 0 || *value > max) {
        argp_error(state, "%s '%s'; it is a number from 1 to %u", what, arg, max);
    }
}

static error_t bench_option(int key, char *arg, struct argp_state *state)
{
    struct bench_options *options = state->input;
    uint64_t size;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = options->cli;
        return 0;
    case KEY_CLIENTS:
        bench_count(state, "clients", arg, BENCH_CLIENTS_MAX, &options->clients);
        return 0;
    case KEY_SIZE:
        if (parse_size(arg, &size) != 0 || size > UINT32_MAX) {
            argp_error(state, "size '%s'; it is a number of bytes", arg);
        }
        options->size = (uint32_t)size;
        return 0;
    case KEY_BATCH:
        bench_count(state, "batch", arg, 1u << 24, &options->batch);
        return 0;
    case KEY_WINDOW:
        bench_count(state, "window", arg, 1u << 20, &options->window);
        return 0;
    case KEY_ACK:
        if (strcmp(arg, "durable") == 0) {
            options->flags = TUSK_APPEND_DURABLE;
        } else if (strcmp(arg, "written") != 0) {
            argp_error(state, "ack '%s'; it is written or durable", arg);
        }
        return 0;
    case KEY_DURATION:
        if (parse_seconds(arg, &options->duration) != 0 || options->duration <= 0 ||
            options->duration > 86400) {
            argp_error(state, "duration '%s'; it is a number of seconds", arg);
        }
        options->again = true;
        return 0;
    case KEY_COUNT:
        if (parse_u64(arg, &options->count) != 0 || options->count == 0) {
            argp_error(state, "count '%s'; it is a number of entries", arg);
        }
        return 0;
    case KEY_RATE:
        bench_count(state, "rate", arg, 10000000, &options->rate);
        return 0;
    case KEY_TOPIC:
        options->topic = arg;
        return 0;
    case KEY_TOPICS:
        bench_count(state, "topics", arg, 1000000, &options->topics);
        return 0;
    case KEY_CHECKPOINT:
        bench_count(state, "checkpoint", arg, UINT32_MAX, &options->checkpoint);
        return 0;
    case ARGP_KEY_ARG:
        if (options->kind != NULL) {
            argp_error(state, "one argument too many: '%s'", arg);
        }
        options->kind = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

uint64_t bench_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- Workers ---- */

void bench_start(struct bench_worker *worker)
{
    char byte;

    (void)close(worker->ready_fd);
    /* Nothing is ever written: the end is the signal, and an error would start it early. */
    while (read(worker->go_fd, &byte, 1) < 0 && errno == EINTR) {
    }
    worker->result->begin_ns = bench_now_ns();
}

/* In the worker's process. A worker that fails before it is ready closes ready_fd by exiting. */
static int bench_child(struct bench_worker *worker, bench_worker_fn run)
{
    int rc;

    worker->cli = *worker->options->cli;
    worker->cli.t = NULL;
    rc = cli_connect(&worker->cli);
    if (rc == CLI_DONE) {
        rc = run(worker);
    }
    (void)tusk_close(worker->cli.t);
    worker->result->code = rc;
    return rc;
}

struct bench_pipes {
    int ready[2];
    int go[2];
};

/* Wait until every worker is ready, or has ended. */
static void bench_wait_ready(const struct bench_pipes *pipes)
{
    char byte;

    /* It ends when all have closed theirs. */
    while (read(pipes->ready[0], &byte, 1) > 0) {
    }
}

static int bench_spawn(const struct bench_options *options, uint32_t count, bench_worker_fn run,
                       struct bench_result *results, const struct bench_pipes *pipes)
{
    uint32_t i;

    for (i = 0; i < count; i++) {
        struct bench_worker worker = {.options = options,
                                      .index = i,
                                      .result = &results[i],
                                      .ready_fd = pipes->ready[1],
                                      .go_fd = pipes->go[0]};
        pid_t pid = fork();

        if (pid == 0) {
            (void)close(pipes->go[1]);
            (void)close(pipes->ready[0]);
            _exit(bench_child(&worker, run));
        }
        if (pid < 0) {
            cli_say("cannot start a process: %s", strerror(errno));
            return CLI_FAILED;
        }
    }
    return CLI_DONE;
}

/* Run count workers and merge what they did into *total. */
static int bench_run(const struct bench_options *options, uint32_t count, bench_worker_fn run,
                     struct bench_result *total)
{
    size_t size = count * sizeof(struct bench_result);
    struct bench_result *results =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct bench_pipes pipes;
    bool killed = false;
    uint32_t i;
    int status;
    int rc;

    if (results == MAP_FAILED || pipe(pipes.ready) != 0 || pipe(pipes.go) != 0) {
        cli_say("cannot set up the workers: %s", strerror(errno));
        return CLI_FAILED;
    }
    (void)fflush(stdout);
    rc = bench_spawn(options, count, run, results, &pipes);
    (void)close(pipes.ready[1]);
    bench_wait_ready(&pipes);
    (void)close(pipes.go[1]);
    while (wait(&status) > 0) {
        killed = killed || !WIFEXITED(status);
    }
    if (killed && rc == CLI_DONE) {
        cli_say("a worker was killed: what it measured is lost");
        rc = CLI_FAILED;
    }
    (void)close(pipes.ready[0]);
    (void)close(pipes.go[0]);
    *total = (struct bench_result){.begin_ns = UINT64_MAX};
    for (i = 0; i < count; i++) {
        rc = rc == CLI_DONE ? results[i].code : rc;
        total->entries += results[i].entries;
        total->bytes += results[i].bytes;
        total->begin_ns =
            results[i].begin_ns < total->begin_ns ? results[i].begin_ns : total->begin_ns;
        total->end_ns = results[i].end_ns > total->end_ns ? results[i].end_ns : total->end_ns;
        histogram_merge(&total->latency, &results[i].latency);
    }
    (void)munmap(results, size);
    return rc;
}

static int bench_print(const struct bench_options *options, const struct bench_result *total)
{
    static const struct column columns[] = {
        {"bench", COLUMN_TEXT},           {"clients", COLUMN_NUMBER},  {"size", COLUMN_NUMBER},
        {"batch", COLUMN_NUMBER},         {"entries", COLUMN_NUMBER},  {"seconds", COLUMN_NUMBER},
        {"entries_per_s", COLUMN_NUMBER}, {"mb_per_s", COLUMN_NUMBER}, {"p50_us", COLUMN_NUMBER},
        {"p99_us", COLUMN_NUMBER},        {"p999_us", COLUMN_NUMBER},  {"max_us", COLUMN_NUMBER}};
    const double shares[] = {0.5, 0.99, 0.999};
    double seconds = (double)(total->end_ns - total->begin_ns) / 1e9;
    struct table table;
    size_t i;

    seconds = seconds > 0 ? seconds : 1e-9;
    table_begin(&table, options->cli, columns, sizeof columns / sizeof columns[0]);
    table_text(&table, options->kind);
    table_number(&table, options->clients);
    table_number(&table, options->size);
    table_number(&table, options->batch);
    table_number(&table, total->entries);
    table_decimal(&table, seconds);
    table_number(&table, (uint64_t)((double)total->entries / seconds));
    table_decimal(&table, (double)total->bytes / 1e6 / seconds);
    for (i = 0; i < 3; i++) {
        table_decimal(&table, (double)histogram_quantile(&total->latency, shares[i]) / 1e3);
    }
    table_decimal(&table, (double)total->latency.max / 1e3);
    return table_end(&table);
}

int cli_bench(struct cli *cli, int argc, char **argv)
{
    static const struct {
        const char *name;
        bench_worker_fn run;
        uint32_t workers; /* 0: as many as clients */
    } kinds[] = {{"append", bench_append, 0},
                 {"read", bench_read, 0},
                 {"latency", bench_latency, 0},
                 {"e2e", bench_end_to_end, 2}};
    static const struct argp argp = {
        .options = bench_options,
        .parser = bench_option,
        .args_doc = "append|read|latency|e2e",
        .doc = "Measure the daemon.\v"
               "append: pipelined batches. read: drain the topic. latency: appends one in flight. "
               "e2e: from append to a reader that follows. Latencies are microseconds.",
        .children = cli_children};
    struct bench_options options = {.cli = cli,
                                    .topic = "bench",
                                    .clients = 1,
                                    .topics = 1,
                                    .size = 100,
                                    .batch = 1,
                                    .window = 256,
                                    .duration = 5,
                                    .rate = 10000};
    struct bench_result total;
    size_t i;
    int rc;

    cli_parse(&argp, argc, argv, &options);
    options.timed = options.count == 0 || options.again;
    for (i = 0; options.kind != NULL && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(options.kind, kinds[i].name) == 0) {
            rc = bench_run(&options, kinds[i].workers > 0 ? kinds[i].workers : options.clients,
                           kinds[i].run, &total);
            return rc == CLI_DONE ? bench_print(&options, &total) : rc;
        }
    }
    cli_say("bench append, read, latency or e2e?");
    return CLI_USAGE;
}
