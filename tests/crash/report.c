#include "tests/crash/report.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINES_MAX 40u /* Violations printed; the rest is only counted */
#define COMMAND_SIZE 2048

static atomic_ulong violations;
static bool silenced;

static uint64_t number_or_exit(const char *text)
{
    char *end;
    const unsigned long long value = strtoull(text, &end, 0);

    if (*text == '\0' || *end != '\0') {
        (void)fprintf(stderr, "not a number: %s\n", text);
        exit(2);
    }
    return value;
}

struct report_options report_parse(int argc, char **argv, const char *name, uint64_t count)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},
        {"count", required_argument, NULL, 'n'},
        {"fs", required_argument, NULL, 'f'},
        {"case", required_argument, NULL, 'c'},
        {"schedule", required_argument, NULL, 'd'},
        {"verbose", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    struct report_options out = {.count = count};
    struct timespec now;
    int option;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    out.seed = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 's':
            out.seed = number_or_exit(optarg);
            break;
        case 'n':
            out.count = number_or_exit(optarg);
            break;
        case 'f':
            out.fs = optarg;
            break;
        case 'c':
            out.only = optarg;
            break;
        case 'd':
            out.schedule = optarg;
            break;
        case 'v':
            out.verbose = true;
            break;
        default:
            (void)fprintf(stderr,
                          "usage: %s [--seed N] [--count N] [--fs NAME] "
                          "[--schedule each|lazy|none] [--case NAME] [--verbose]\n",
                          name);
            exit(2);
        }
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)printf("%s: seed %llu\n", name, (unsigned long long)out.seed);
    return out;
}

void report_need(bool good, const char *what)
{
    if (!good) {
        (void)fprintf(stderr, "cannot %s: %s\n", what, strerror(errno));
        exit(2);
    }
}

void report_skip(const char *why)
{
    (void)printf("SKIP: %s\n", why);
    exit(REPORT_SKIPPED);
}

void report_violation(const char *format, ...)
{
    va_list args;

    if (atomic_fetch_add(&violations, 1) >= LINES_MAX || silenced) {
        return;
    }
    (void)printf("VIOLATION: ");
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)printf("\n");
}

uint64_t report_violations(void)
{
    return atomic_load(&violations);
}

void report_silence(bool silent)
{
    silenced = silent;
}

void report_make_dir(char *out, size_t size)
{
    const char *base = getenv("TMPDIR");

    (void)snprintf(out, size, "%s/crash.XXXXXX", base != NULL ? base : "/tmp");
    report_need(mkdtemp(out) != NULL, "make a temporary directory");
}

bool report_run(const char *format, ...)
{
    char command[COMMAND_SIZE];
    va_list args;
    int size;

    va_start(args, format);
    size = vsnprintf(command, sizeof command - 32, format, args);
    va_end(args);
    if (size < 0 || size >= COMMAND_SIZE - 32) {
        return false;
    }
    (void)strcat(command, " >/dev/null 2>&1");
    return system(command) == 0;
}

void report_remove(const char *dir)
{
    if (report_violations() > 0) {
        (void)printf("kept: %s\n", dir);
        return;
    }
    (void)report_run("rm -rf --one-file-system '%s'", dir);
}

int report_exit_code(void)
{
    return report_violations() == 0 ? 0 : 1;
}

void report_pause_us(uint64_t us)
{
    const struct timespec pause = {.tv_sec = (time_t)(us / 1000000),
                                   .tv_nsec = (long)(us % 1000000) * 1000};

    if (us > 0) {
        (void)nanosleep(&pause, NULL);
    }
}
