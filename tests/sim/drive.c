#include "tests/sim/drive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/check.h"

#define JOBS_MAX 16u
#define TWICE_EVERY 64u /* One run in so many is made twice and must be the same */

struct job {
    uint64_t next; /* Seed being run */
    pid_t pid;
    void *report;
};

struct settings {
    const struct drive *drive;
    uint64_t from;
    uint64_t to;
    unsigned jobs;
    unsigned failures_max;
    bool shrink;
    bool twice;
    struct drive_limits limits;
};

static uint64_t hash_of(const void *report)
{
    uint64_t hash;

    memcpy(&hash, report, sizeof hash);
    return hash;
}

static void *shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    CHECK(memory != MAP_FAILED);
    return memory;
}

/* ---- running ---- */

static void run_again(const struct settings *settings, const struct drive_limits *limits,
                      uint64_t before, uint64_t expected)
{
    void *again = calloc(1, settings->drive->report_size);

    CHECK(again != NULL);
    memcpy(again, &before, sizeof before);
    settings->drive->run(limits, again);
    if (hash_of(again) != expected) {
        fprintf(stderr, "\nBROKEN PROMISE: one seed, one history\n  seed %llu differs\n",
                (unsigned long long)limits->seed);
        _exit(1);
    }
    free(again);
}

static void run_range(struct job *job, const struct settings *settings)
{
    struct drive_limits limits = settings->limits;

    for (; job->next <= settings->to; job->next += settings->jobs) {
        const uint64_t before = hash_of(job->report);

        limits.seed = job->next;
        settings->drive->run(&limits, job->report);
        if (settings->twice || job->next % TWICE_EVERY == 0) {
            run_again(settings, &limits, before, hash_of(job->report));
        }
    }
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
    job->pid = pid; /* By the parent alone: what a job counts is shared memory */
}

/* ---- shrinking ---- */

/* True: this run fails with these limits. Quiet unless asked. */
static bool fails(const struct drive *drive, const struct drive_limits *limits, bool quiet)
{
    int status;
    pid_t pid;

    (void)fflush(NULL);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        void *report = calloc(1, drive->report_size);

        CHECK(report != NULL);
        if (quiet && freopen("/dev/null", "w", stderr) == NULL) {
            _exit(2);
        }
        drive->run(limits, report);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return status != 0;
}

/* Leave out what is not needed to fail, then find the shortest script that does. */
static void shrink(const struct drive *drive, struct drive_limits limits)
{
    bool *const options[] = {&limits.no_faults, &limits.no_cuts, &limits.one_life};
    uint64_t low = 0;
    uint64_t high = drive->shrink_from;
    size_t i;

    limits.verbose = false;
    for (i = 0; i < sizeof options / sizeof options[0]; i++) {
        *options[i] = true;
        *options[i] = fails(drive, &limits, true);
    }
    while (low + 1 < high) {
        limits.requests_max = low + (high - low) / 2;
        if (fails(drive, &limits, true)) {
            high = limits.requests_max;
        } else {
            low = limits.requests_max;
        }
    }
    limits.requests_max = high;
    limits.verbose = true;
    fprintf(stderr, "---- shrunk to %llu %s:\n", (unsigned long long)high, drive->shrunk_to);
    (void)fails(drive, &limits, false);
    fprintf(stderr, "shorter replay: %s --seed %llu %s %llu%s%s%s --verbose\n", drive->name,
            (unsigned long long)limits.seed, drive->count_option, (unsigned long long)high,
            limits.no_faults ? " --no-faults" : "", limits.no_cuts ? " --no-cuts" : "",
            limits.one_life ? " --one-life" : "");
}

/* ---- jobs ---- */

static struct job *job_of(struct job *jobs, unsigned count, pid_t pid)
{
    unsigned i;

    for (i = 0; i < count && jobs[i].pid != pid; i++) {
    }
    CHECK(i < count);
    return &jobs[i];
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
        struct drive_limits limits = settings->limits;
        struct job *job;
        int status;
        const pid_t pid = waitpid(-1, &status, 0);

        CHECK(pid > 0);
        job = job_of(jobs, settings->jobs, pid);
        running--;
        if (status == 0) {
            continue;
        }
        failures++;
        limits.seed = job->next;
        fprintf(stderr, "FAILED seed %llu (status %x)\n", (unsigned long long)limits.seed,
                (unsigned)status);
        if (!limits.scripted && !limits.verbose) {
            limits.scripted = true; /* Once more, for the last of its script */
            (void)fails(settings->drive, &limits, false);
        }
        if (settings->shrink && failures == 1) {
            shrink(settings->drive, limits);
        }
        job->next += settings->jobs;
        if (failures < settings->failures_max && job->next <= settings->to) {
            launch(job, settings);
            running++;
        }
    }
    return failures;
}

/* Sum, print, and say how to exit. */
static int conclude(const struct settings *settings, const struct job *jobs, unsigned failures)
{
    const struct drive *drive = settings->drive;
    void *sum = calloc(1, drive->report_size);
    uint64_t hash = 0;
    unsigned i;

    CHECK(sum != NULL);
    for (i = 0; i < settings->jobs; i++) {
        drive->add(sum, jobs[i].report);
        hash ^= hash_of(jobs[i].report);
    }
    drive->print(sum);
    printf("hash %016llx\n%u failed\n", (unsigned long long)hash, failures);
    free(sum);
    return failures == 0 ? 0 : 1;
}

/* ---- options ---- */

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
    int *kind = &s->limits.kind;

    for (*kind = s->drive->kind_count - 1; *kind >= 0; --*kind) {
        if (strcmp(name, s->drive->kind_name(*kind)) == 0) {
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
    } else if (strcmp(option, s->drive->count_option) == 0) {
        s->limits.requests_max = number;
    } else {
        return false;
    }
    return *end == '\0';
}

static bool parse(struct settings *s, const struct drive *drive, int argc, char **argv)
{
    int i;

    *s = (struct settings){
        .drive = drive, .from = 1, .to = 100, .jobs = 1, .failures_max = 1, .shrink = true};
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
    s->limits.scripted = s->from == s->to;
    return s->jobs >= 1 && s->jobs <= JOBS_MAX && s->from <= s->to;
}

int drive_main(const struct drive *drive, int argc, char **argv)
{
    struct settings settings;
    struct job *jobs;
    unsigned i;

    if (!parse(&settings, drive, argc, argv)) {
        fprintf(stderr,
                "usage: %s [--seeds A-B | --seed N] [--jobs N] [--kind KIND] [--twice]\n"
                "       [--failures N] [--verbose] [--no-shrink] [%s N] [--no-faults]\n"
                "       [--no-cuts] [--one-life]\n",
                drive->name, drive->count_option);
        return 2;
    }
    /* Shared, so that a process that fails leaves its seed and its counts. */
    jobs = shared(JOBS_MAX * sizeof *jobs);
    for (i = 0; i < settings.jobs; i++) {
        jobs[i].next = settings.from + i;
        jobs[i].report = shared(drive->report_size);
    }
    return conclude(&settings, jobs, run_jobs(jobs, &settings));
}
