/* tusk_simulate_server: many scenes, in several processes; a failing one is shrunk and printed.
 *
 *     tusk_simulate_server --seeds 1-2000 [--jobs 2] [--kind plain] [--twice] [--failures 1]
 *     tusk_simulate_server --seed 17 --verbose
 *
 * Prints what was asked and answered, and a hash of all results: it is the same on every machine and with every
 * compiler. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/check.h"
#include "tests/sim/scene.h"

#define JOBS_MAX 16u
#define TWICE_EVERY 64u /* One scene in so many is run twice and must be the same */
#define SHRINK_FROM 2000u

struct job {
    uint64_t next; /* Seed being run */
    pid_t pid;
    struct scene_report report;
};

struct settings {
    uint64_t from;
    uint64_t to;
    unsigned jobs;
    unsigned failures_max;
    bool shrink;
    bool twice;
    struct scene_limits limits;
};

static void run_range(struct job *job, const struct settings *settings)
{
    struct scene_limits limits = settings->limits;

    for (; job->next <= settings->to; job->next += settings->jobs) {
        const uint64_t before = job->report.hash;

        limits.seed = job->next;
        scene_run(&limits, &job->report);
        if (settings->twice || job->next % TWICE_EVERY == 0) {
            struct scene_report again = {.hash = before};

            scene_run(&limits, &again);
            if (again.hash != job->report.hash) {
                fprintf(stderr, "\nBROKEN PROMISE: one seed, one history\n  seed %llu differs\n",
                        (unsigned long long)limits.seed);
                _exit(1);
            }
        }
    }
}

/* True: this scene fails with these limits. Quiet unless asked. */
static bool fails(const struct scene_limits *limits, bool quiet)
{
    static struct scene_report report;
    int status;
    pid_t pid;

    (void)fflush(NULL);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        if (quiet && freopen("/dev/null", "w", stderr) == NULL) {
            _exit(2);
        }
        scene_run(limits, &report);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return status != 0;
}

/* Leave out what is not needed to fail, then find the shortest script that does. */
static void shrink(struct scene_limits limits)
{
    bool *const options[] = {&limits.no_faults, &limits.no_cuts, &limits.one_life};
    uint64_t low = 0;
    uint64_t high = SHRINK_FROM;
    size_t i;

    limits.verbose = false;
    for (i = 0; i < sizeof options / sizeof options[0]; i++) {
        *options[i] = true;
        *options[i] = fails(&limits, true);
    }
    while (low + 1 < high) {
        limits.requests_max = low + (high - low) / 2;
        if (fails(&limits, true)) {
            high = limits.requests_max;
        } else {
            low = limits.requests_max;
        }
    }
    limits.requests_max = high;
    fprintf(stderr, "---- shrunk to lives of at most %llu requests:\n", (unsigned long long)high);
    (void)fails(&limits, false);
    fprintf(stderr,
            "shorter replay: tusk_simulate_server --seed %llu --requests %llu%s%s%s --verbose\n",
            (unsigned long long)limits.seed, (unsigned long long)high,
            limits.no_faults ? " --no-faults" : "", limits.no_cuts ? " --no-cuts" : "",
            limits.one_life ? " --one-life" : "");
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
            struct scene_limits limits = settings->limits;

            failures++;
            limits.seed = jobs[i].next;
            fprintf(stderr, "FAILED seed %llu (status %x)\n", (unsigned long long)limits.seed,
                    (unsigned)status);
            if (settings->shrink && failures == 1) {
                shrink(limits);
            }
            jobs[i].next += settings->jobs;
            if (failures < settings->failures_max && jobs[i].next <= settings->to) {
                launch(&jobs[i], settings);
                running++;
            }
        }
    }
    return failures;
}

static void add(struct scene_report *sum, const struct scene_report *part)
{
    unsigned i;

    sum->hash ^= part->hash;
    sum->scenes += part->scenes;
    sum->counted += part->counted;
    sum->requests += part->requests;
    sum->replies += part->replies;
    sum->connections += part->connections;
    sum->cut += part->cut;
    sum->lives += part->lives;
    sum->crashes += part->crashes;
    sum->stops += part->stops;
    sum->failed_disks += part->failed_disks;
    sum->kept += part->kept;
    sum->lost += part->lost;
    for (i = 0; i < SCENE_KIND_COUNT; i++) {
        sum->kinds[i] += part->kinds[i];
    }
    for (i = 0; i < MESSAGE_TYPE_END; i++) {
        sum->types[i] += part->types[i];
    }
    for (i = 0; i < SCENE_STATUSES; i++) {
        sum->statuses[i] += part->statuses[i];
    }
}

static void print_report(const struct scene_report *r)
{
    unsigned i;

    printf("scenes %llu (%llu with 200 requests and a crash), requests %llu, replies %llu, "
           "connections %llu (closed by the server %llu)\nlives %llu, crashes %llu (%llu of them a "
           "failed disk), stops %llu; appends kept %llu, rightly lost %llu\nkinds:",
           (unsigned long long)r->scenes, (unsigned long long)r->counted,
           (unsigned long long)r->requests, (unsigned long long)r->replies,
           (unsigned long long)r->connections, (unsigned long long)r->cut,
           (unsigned long long)r->lives, (unsigned long long)r->crashes,
           (unsigned long long)r->failed_disks, (unsigned long long)r->stops,
           (unsigned long long)r->kept, (unsigned long long)r->lost);
    for (i = 0; i < SCENE_KIND_COUNT; i++) {
        printf(" %s %llu", scene_kind_name((enum scene_kind)i), (unsigned long long)r->kinds[i]);
    }
    printf("\nrequests by type:");
    for (i = 0; i < MESSAGE_TYPE_END; i++) {
        printf(" %u: %llu", i, (unsigned long long)r->types[i]);
    }
    printf("\nreplies:");
    for (i = 0; i < SCENE_STATUSES; i++) {
        if (r->statuses[i] > 0) {
            printf(" %s %llu", i == 0 ? "OK" : status_name((int)i),
                   (unsigned long long)r->statuses[i]);
        }
    }
    printf("\nhash %016llx\n", (unsigned long long)r->hash);
}

static bool parse_flag(struct settings *s, const char *option)
{
    struct {
        const char *name;
        bool *to;
        bool value;
    } const flags[] = {
        {"--verbose", &s->limits.verbose, true}, {"--no-faults", &s->limits.no_faults, true},
        {"--no-cuts", &s->limits.no_cuts, true}, {"--one-life", &s->limits.one_life, true},
        {"--no-shrink", &s->shrink, false},      {"--twice", &s->twice, true},
    };
    size_t i;

    for (i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (strcmp(option, flags[i].name) == 0) {
            *flags[i].to = flags[i].value;
            return true;
        }
    }
    return false;
}

static bool parse_kind(struct settings *s, const char *name)
{
    for (s->limits.kind = SCENE_KIND_COUNT - 1; s->limits.kind >= 0; s->limits.kind--) {
        if (strcmp(name, scene_kind_name((enum scene_kind)s->limits.kind)) == 0) {
            return true;
        }
    }
    return false;
}

static bool parse_value(struct settings *s, const char *option, const char *value)
{
    char *end;
    uint64_t number;

    if (value == NULL) {
        return false;
    }
    if (strcmp(option, "--kind") == 0) {
        return parse_kind(s, value);
    }
    number = strtoull(value, &end, 10);
    if (strcmp(option, "--seeds") == 0 || strcmp(option, "--seed") == 0) {
        s->from = s->to = number;
        if (*end == '-') {
            s->to = strtoull(end + 1, &end, 10);
        }
    } else if (strcmp(option, "--jobs") == 0) {
        s->jobs = (unsigned)number;
    } else if (strcmp(option, "--failures") == 0) {
        s->failures_max = (unsigned)number;
    } else if (strcmp(option, "--requests") == 0) {
        s->limits.requests_max = number;
    } else {
        return false;
    }
    return *end == '\0';
}

static bool parse(struct settings *s, int argc, char **argv)
{
    int i;

    *s = (struct settings){.from = 1, .to = 100, .jobs = 1, .failures_max = 1, .shrink = true};
    s->limits.requests_max = UINT64_MAX;
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
    struct scene_report sum = {0};
    struct job *jobs;
    unsigned failures;
    unsigned i;

    if (!parse(&settings, argc, argv)) {
        fprintf(stderr,
                "usage: tusk_simulate_server [--seeds A-B | --seed N] [--jobs N] [--kind KIND]\n"
                "       [--twice] [--failures N] [--verbose] [--no-shrink] [--requests N]\n"
                "       [--no-faults] [--no-cuts] [--one-life]\n");
        return 2;
    }
    /* Shared, so that a process that fails leaves its seed and its counts. */
    jobs = mmap(NULL, JOBS_MAX * sizeof *jobs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
    CHECK(jobs != MAP_FAILED);
    for (i = 0; i < settings.jobs; i++) {
        jobs[i].next = settings.from + i;
    }
    failures = run_jobs(jobs, &settings);
    for (i = 0; i < settings.jobs; i++) {
        add(&sum, &jobs[i].report);
    }
    print_report(&sum);
    printf("%u failed\n", failures);
    return failures == 0 ? 0 : 1;
}
