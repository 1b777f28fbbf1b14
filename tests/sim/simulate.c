/* tusk_simulate: many worlds, in several processes; a failing one is shrunk and printed.
 *
 *     tusk_simulate --seeds 1-20000 [--jobs 2] [--kind plain] [--twice] [--failures 1]
 *     tusk_simulate --seed 17 --verbose
 *
 * Prints how often each row of the recovery table was reached, and a hash of all results: it is the same on every
 * machine and with every compiler. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/check.h"
#include "proto/status.h"
#include "tests/sim/world.h"

#define JOBS_MAX 16u
#define TWICE_EVERY 64u /* One world in so many is run twice and must be the same */

struct job {
    uint64_t next; /* Seed being run */
    uint64_t last;
    uint64_t step;
    pid_t pid;
    struct world_report report;
};

struct settings {
    uint64_t from;
    uint64_t to;
    unsigned jobs;
    unsigned failures_max;
    bool shrink;
    bool twice;
    struct world_limits limits;
};

static void run_range(struct job *job, const struct settings *settings)
{
    struct world_limits limits = settings->limits;

    for (; job->next <= job->last; job->next += job->step) {
        const uint64_t before = job->report.hash;

        limits.seed = job->next;
        world_run(&limits, &job->report);
        if (settings->twice || job->next % TWICE_EVERY == 0) {
            struct world_report again = {.hash = before};

            world_run(&limits, &again);
            if (again.hash != job->report.hash) {
                fprintf(stderr, "\nBROKEN PROMISE: one seed, one history\n  seed %llu differs\n",
                        (unsigned long long)limits.seed);
                _exit(1);
            }
        }
    }
}

/* True: this world fails with these limits. Quiet unless asked. */
static bool fails(const struct world_limits *limits, bool quiet)
{
    static struct world_report report;
    int status;
    pid_t pid;

    (void)fflush(NULL);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        if (quiet && freopen("/dev/null", "w", stderr) == NULL) {
            _exit(2);
        }
        world_run(limits, &report);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return status != 0;
}

/* Leave out what is not needed to fail, then find the shortest script that does. */
static void shrink(struct world_limits limits)
{
    bool *const options[] = {&limits.no_faults, &limits.no_cuts, &limits.no_lives};
    uint64_t low = 0;
    uint64_t high = 1000;
    size_t i;

    limits.verbose = false;
    for (i = 0; i < sizeof options / sizeof options[0]; i++) {
        *options[i] = true;
        *options[i] = fails(&limits, true);
    }
    while (low + 1 < high) {
        const uint64_t middle = low + (high - low) / 2;

        limits.operations_max = middle;
        if (fails(&limits, true)) {
            high = middle;
        } else {
            low = middle;
        }
    }
    limits.operations_max = high;
    limits.verbose = true;
    fprintf(stderr, "---- shrunk to %llu requests:\n", (unsigned long long)high);
    (void)fails(&limits, false);
    fprintf(stderr, "shorter replay: tusk_simulate --seed %llu --operations %llu%s%s%s --verbose\n",
            (unsigned long long)limits.seed, (unsigned long long)high,
            limits.no_faults ? " --no-faults" : "", limits.no_cuts ? " --no-cuts" : "",
            limits.no_lives ? " --one-life" : "");
}

static void launch(struct job *job, const struct settings *settings)
{
    pid_t pid;

    (void)fflush(NULL);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        run_range(job, settings);
        (void)fflush(NULL);
        _exit(0);
    }
    job->pid = pid; /* By the parent alone: a job is shared memory */
}

/* Run the jobs; a job that fails at one seed goes on behind it. Returns failures. */
static unsigned run_jobs(struct job *jobs, const struct settings *settings)
{
    unsigned running = settings->jobs;
    unsigned failures = 0;
    unsigned i;

    for (i = 0; i < settings->jobs; i++) {
        launch(&jobs[i], settings);
    }
    while (running > 0) {
        int status;
        const pid_t pid = waitpid(-1, &status, 0);

        CHECK(pid > 0);
        for (i = 0; i < settings->jobs && jobs[i].pid != pid; i++) {
        }
        CHECK(i < settings->jobs);
        running--;
        if (status != 0) {
            struct world_limits limits = settings->limits;

            failures++;
            limits.seed = jobs[i].next;
            fprintf(stderr, "FAILED seed %llu (status %x)\n", (unsigned long long)limits.seed,
                    (unsigned)status);
            if (settings->shrink && failures == 1) {
                shrink(limits);
            }
            jobs[i].next += jobs[i].step;
            if (failures < settings->failures_max && jobs[i].next <= jobs[i].last) {
                launch(&jobs[i], settings);
                running++;
            }
        }
    }
    return failures;
}

static void add(struct world_report *sum, const struct world_report *part)
{
    unsigned i;

    sum->hash ^= part->hash;
    sum->worlds += part->worlds;
    sum->operations += part->operations;
    sum->lives += part->lives;
    sum->crashes += part->crashes;
    sum->open_cuts += part->open_cuts;
    sum->appends += part->appends;
    sum->reads += part->reads;
    sum->kept += part->kept;
    sum->lost += part->lost;
    sum->refused += part->refused;
    sum->corrupt += part->corrupt;
    for (i = 0; i < 24; i++) {
        sum->statuses[i] += part->statuses[i];
    }
    for (i = 0; i < KIND_COUNT; i++) {
        sum->kinds[i] += part->kinds[i];
    }
    for (i = 0; i < ROW_COUNT; i++) {
        sum->rows[i] += part->rows[i];
    }
}

static void print_report(const struct world_report *r)
{
    unsigned i;

    printf("worlds %llu, requests %llu (appends %llu, reads delivered %llu), lives %llu, crashes "
           "%llu, "
           "power cuts during start %llu\n",
           (unsigned long long)r->worlds, (unsigned long long)r->operations,
           (unsigned long long)r->appends, (unsigned long long)r->reads,
           (unsigned long long)r->lives, (unsigned long long)r->crashes,
           (unsigned long long)r->open_cuts);
    printf("steps kept %llu, rightly lost %llu; refused %llu, damage reported %llu\nkinds:",
           (unsigned long long)r->kept, (unsigned long long)r->lost, (unsigned long long)r->refused,
           (unsigned long long)r->corrupt);
    for (i = 0; i < KIND_COUNT; i++) {
        printf(" %s %llu", world_kind_name((enum world_kind)i), (unsigned long long)r->kinds[i]);
    }
    printf("\nreplies:");
    for (i = 0; i < 24; i++) {
        if (r->statuses[i] > 0) {
            printf(" %s %llu", i == 0 ? "OK" : status_name((int)i),
                   (unsigned long long)r->statuses[i]);
        }
    }
    printf("\nrecovery rows:");
    for (i = 0; i < ROW_COUNT; i++) {
        printf(" R%u %llu", i + 1, (unsigned long long)r->rows[i]);
    }
    printf("\nhash %016llx\n", (unsigned long long)r->hash);
}

static uint64_t number(const char *text, const char **end)
{
    char *stop;
    const uint64_t value = strtoull(text, &stop, 10);

    *end = stop;
    return value;
}

static int kind_of(const char *name)
{
    int kind;

    for (kind = 0; kind < KIND_COUNT; kind++) {
        if (strcmp(name, world_kind_name((enum world_kind)kind)) == 0) {
            return kind;
        }
    }
    return -2;
}

static bool parse_flag(struct settings *s, const char *option)
{
    if (strcmp(option, "--verbose") == 0) {
        s->limits.verbose = true;
    } else if (strcmp(option, "--no-faults") == 0) {
        s->limits.no_faults = true;
    } else if (strcmp(option, "--no-cuts") == 0) {
        s->limits.no_cuts = true;
    } else if (strcmp(option, "--one-life") == 0) {
        s->limits.no_lives = true;
    } else if (strcmp(option, "--no-shrink") == 0) {
        s->shrink = false;
    } else if (strcmp(option, "--twice") == 0) {
        s->twice = true;
    } else {
        return false;
    }
    return true;
}

static bool parse_value(struct settings *s, const char *option, const char *value)
{
    const char *end = value;

    if (value == NULL) {
        return false;
    }
    if (strcmp(option, "--seeds") == 0) {
        s->from = number(value, &end);
        s->to = s->from;
        if (*end == '-') {
            s->to = number(end + 1, &end);
        }
    } else if (strcmp(option, "--seed") == 0) {
        s->from = s->to = number(value, &end);
    } else if (strcmp(option, "--jobs") == 0) {
        s->jobs = (unsigned)number(value, &end);
    } else if (strcmp(option, "--failures") == 0) {
        s->failures_max = (unsigned)number(value, &end);
    } else if (strcmp(option, "--operations") == 0) {
        s->limits.operations_max = number(value, &end);
    } else if (strcmp(option, "--kind") == 0) {
        s->limits.kind = kind_of(value);
        return s->limits.kind >= 0;
    } else {
        return false;
    }
    return *end == '\0';
}

static bool parse(struct settings *s, int argc, char **argv)
{
    int i;

    *s = (struct settings){.from = 1, .to = 100, .jobs = 1, .failures_max = 1, .shrink = true};
    s->limits.operations_max = UINT64_MAX;
    s->limits.kind = -1;
    for (i = 1; i < argc; i++) {
        if (parse_flag(s, argv[i])) {
            continue;
        }
        if (!parse_value(s, argv[i], i + 1 < argc ? argv[i + 1] : NULL)) {
            return false;
        }
        i++;
    }
    return s->jobs >= 1 && s->jobs <= JOBS_MAX && s->from <= s->to;
}

int main(int argc, char **argv)
{
    struct settings settings;
    struct world_report sum = {0};
    struct job *jobs;
    unsigned failures;
    unsigned i;

    if (!parse(&settings, argc, argv)) {
        fprintf(stderr,
                "usage: tusk_simulate [--seeds A-B | --seed N] [--jobs N] [--kind KIND] [--twice]\n"
                "       [--failures N] [--verbose] [--no-shrink] [--operations N] [--no-faults]\n"
                "       [--no-cuts] [--one-life]\n");
        return 2;
    }
    /* Shared, so that a process that fails leaves its seed and its counts. */
    jobs = mmap(NULL, JOBS_MAX * sizeof *jobs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
    CHECK(jobs != MAP_FAILED);
    for (i = 0; i < settings.jobs; i++) {
        jobs[i].next = settings.from + i;
        jobs[i].last = settings.to;
        jobs[i].step = settings.jobs;
    }
    failures = run_jobs(jobs, &settings);
    for (i = 0; i < settings.jobs; i++) {
        add(&sum, &jobs[i].report);
    }
    print_report(&sum);
    printf("%u failed\n", failures);
    return failures == 0 ? 0 : 1;
}
