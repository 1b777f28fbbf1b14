/* Enumerations: a space of *units* (a scenario, a sequence, a file), each a fixed list of *cases*, tried in a fixed order
 * without any seed. What a case finds is a failed assertion, a crash or a hang; it is counted and said with the command
 * that tries that case alone, and the rest goes on behind it.
 *
 *     exhaust_main ---> for each unit of this part: program->run() ---> exhaust_case(), try it; exhaust_case(), ...
 *
 * Units run in child processes, one at a time, so that one which dies takes nothing with it. */
#ifndef TESTS_EXHAUSTIVE_EXHAUST_H
#define TESTS_EXHAUSTIVE_EXHAUST_H

#include <stdbool.h>
#include <stdint.h>

struct exhaust;

#define EXHAUST_COUNTS 6u

struct exhaust_program {
    const char *name;
    const char *unit;  /* What units are called in the summary: "scenarios" */
    const char *cases; /* What cases are called: "faults" */
    uint64_t units;
    unsigned seconds;                   /* A case takes no longer, or hangs */
    const char *counts[EXHAUST_COUNTS]; /* More things to count, up to the first NULL */
    void (*run)(struct exhaust *x, uint64_t unit);
};

/* Options: --units N (only the first N), --part K/N (1/1) of them, --unit U, --case C, --failures N (20), --help. 0: no violation. */
int exhaust_main(int argc, char **argv, const struct exhaust_program *program);

/* The next case of the unit: true when it is to be tried now. Said when it fails. */
bool exhaust_case(struct exhaust *x, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The case just asked for is the one that failed before: not to be touched again, not even on the
 * way to others. */
bool exhaust_failed(const struct exhaust *x);
/* Add to one of program->counts. */
void exhaust_count(struct exhaust *x, unsigned which, uint64_t count);

#endif
