#include "tests/exhaustive/exhaust.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define TEXT_SIZE 512u
#define NO_CASE UINT64_MAX

/* What outlives a child. */
struct shared {
    uint64_t unit;
    uint64_t number; /* Of the case under way; 0: none yet */
    uint64_t cases;
    uint64_t counts[EXHAUST_COUNTS];
    bool done;
    char text[TEXT_SIZE];
};

struct exhaust {
    const struct exhaust_program *program;
    uint64_t units; /* Of them all */
    uint64_t part;
    uint64_t parts;
    uint64_t only_unit; /* NO_CASE: all of the part */
    uint64_t only_case;
    uint64_t skip; /* Cases up to this one of the first unit were tried before */
    unsigned failures_max;
    struct shared *shared;
};

/* ---- in the child ---- */

bool exhaust_case(struct exhaust *x, const char *format, ...)
{
    struct shared *shared = x->shared;
    va_list args;

    shared->number++;
    if (shared->number <= x->skip || (x->only_case != NO_CASE && shared->number != x->only_case)) {
        return false;
    }
    va_start(args, format);
    (void)vsnprintf(shared->text, TEXT_SIZE, format, args);
    va_end(args);
    shared->cases++;
    (void)alarm(x->program->seconds);
    return true;
}

bool exhaust_failed(const struct exhaust *x)
{
    return x->skip > 0 && x->shared->number == x->skip;
}

void exhaust_count(struct exhaust *x, unsigned which, uint64_t count)
{
    /* What is counted on the way to a case that was tried before was counted then. */
    if (x->shared->number >= x->skip) {
        x->shared->counts[which] += count;
    }
}

static void run_units(void **state)
{
    struct exhaust *x = *state;
    struct shared *shared = x->shared;
    uint64_t unit;

    for (unit = shared->unit; unit < x->units; unit += x->parts) {
        shared->unit = unit;
        shared->number = 0;
        (void)snprintf(shared->text, TEXT_SIZE, "before the first case");
        (void)alarm(x->program->seconds);
        x->program->run(x, unit);
        x->skip = 0;
        if (x->only_unit != NO_CASE) {
            break;
        }
    }
    shared->done = true;
}

static void child(struct exhaust *x, FILE *output)
{
    const struct CMUnitTest tests[] = {
        {.name = x->program->name, .test_func = run_units, .initial_state = x}};

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* Whoever ends the program ends all of it */
    (void)dup2(fileno(output), STDOUT_FILENO);
    (void)dup2(fileno(output), STDERR_FILENO);
    if (cmocka_run_group_tests(tests, NULL, NULL) != 0) {
        (void)fflush(NULL);
        _exit(1); /* What the failed case has left is no leak */
    }
    exit(0);
}

/* ---- in the parent ---- */

static void print_output(FILE *output)
{
    char line[1024];

    rewind(output);
    while (fgets(line, sizeof line, output) != NULL) {
        /* cmocka's frame says nothing here. */
        if (strncmp(line, "[==", 3) != 0 && strncmp(line, "[  PASSED", 9) != 0 &&
            strncmp(line, "[ RUN", 5) != 0 && strncmp(line, "[  FAILED", 9) != 0 &&
            line[0] != '\n') {
            printf("    %s", line);
        }
    }
}

/* Run from the unit in `shared` on, in a child. True: to the end. */
static bool run_child(struct exhaust *x)
{
    FILE *output = tmpfile();
    int status = 0;
    pid_t pid;

    if (output == NULL) {
        perror("tmpfile");
        exit(2);
    }
    (void)fflush(stdout);
    pid = fork();
    if (pid < 0) {
        perror("fork");
        exit(2);
    }
    if (pid == 0) {
        child(x, output);
    }
    (void)waitpid(pid, &status, 0);
    if (status != 0 || !x->shared->done) {
        printf("VIOLATION %s --unit %" PRIu64 " --case %" PRIu64 ": %s (%s %d)\n", x->program->name,
               x->shared->unit, x->shared->number, x->shared->text,
               WIFSIGNALED(status) ? "signal" : "exit",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        print_output(output);
    }
    (void)fclose(output);
    return status == 0 && x->shared->done;
}

static unsigned run_all(struct exhaust *x)
{
    struct shared *shared = x->shared;
    unsigned failures = 0;

    shared->unit = x->only_unit != NO_CASE ? x->only_unit : x->part - 1;
    while (shared->unit < x->units && failures < x->failures_max) {
        const uint64_t first = shared->unit;

        if (run_child(x)) {
            break;
        }
        failures++;
        if (shared->done || x->only_case != NO_CASE) {
            break; /* A leak, found at the end; or all there was to try */
        }
        if (shared->unit == first && shared->number <= x->skip) {
            /* Not one case further: the unit itself cannot be run. */
            shared->unit += x->only_unit != NO_CASE ? x->units : x->parts;
            x->skip = 0;
        } else {
            x->skip = shared->number;
        }
    }
    return failures;
}

static void summary(const struct exhaust *x, unsigned failures, time_t seconds)
{
    const struct exhaust_program *program = x->program;
    const uint64_t units = (x->units - x->part) / x->parts + 1;
    unsigned i;

    printf("%s: part %" PRIu64 "/%" PRIu64 ", %" PRIu64 " %s of %" PRIu64 ", %" PRIu64 " %s",
           program->name, x->part, x->parts, x->only_unit != NO_CASE ? 1 : units, program->unit,
           program->units, x->shared->cases, program->cases);
    for (i = 0; i < EXHAUST_COUNTS && program->counts[i] != NULL; i++) {
        printf(", %" PRIu64 " %s", x->shared->counts[i], program->counts[i]);
    }
    printf(", %u violations, %lld s%s\n", failures, (long long)seconds,
           failures >= x->failures_max ? " (stopped there)" : "");
}

static bool parse(struct exhaust *x, int argc, char **argv)
{
    int i;

    for (i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        char *end = NULL;
        const uint64_t number = strtoull(value, &end, 10);

        if (strcmp(argv[i], "--part") == 0 && *end == '/') {
            x->part = number;
            x->parts = strtoull(end + 1, &end, 10);
        } else if (strcmp(argv[i], "--units") == 0) {
            x->units = number;
        } else if (strcmp(argv[i], "--unit") == 0) {
            x->only_unit = number;
        } else if (strcmp(argv[i], "--case") == 0) {
            x->only_case = number;
        } else if (strcmp(argv[i], "--failures") == 0) {
            x->failures_max = (unsigned)number;
        } else {
            return false;
        }
        if (end == value || *end != '\0') {
            return false;
        }
    }
    return i == argc && x->part >= 1 && x->part <= x->parts && x->part <= x->units &&
           x->units <= x->program->units && (x->only_unit == NO_CASE || x->only_unit < x->units);
}

int exhaust_main(int argc, char **argv, const struct exhaust_program *program)
{
    struct exhaust x = {.program = program,
                        .units = program->units,
                        .part = 1,
                        .parts = 1,
                        .only_unit = NO_CASE,
                        .only_case = NO_CASE,
                        .failures_max = 20};
    const time_t start = time(NULL);
    unsigned failures;

    if (!parse(&x, argc, argv)) {
        fprintf(stderr, "usage: %s [--units N] [--part K/N] [--unit U [--case C]] [--failures N]\n",
                program->name);
        return 2;
    }
    x.shared =
        mmap(NULL, sizeof *x.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (x.shared == MAP_FAILED) {
        perror("mmap");
        return 2;
    }
    failures = run_all(&x);
    summary(&x, failures, time(NULL) - start);
    return failures == 0 ? 0 : 1;
}
