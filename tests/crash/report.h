/* How the programs of this folder take options, and say what came of it. */
#ifndef TESTS_CRASH_REPORT_H
#define TESTS_CRASH_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPORT_SKIPPED 77 /* Exit code: cannot be tried here */

struct report_options {
    uint64_t seed;        /* --seed N; drawn and printed when not given */
    uint64_t count;       /* --count N: kills, cuts, states or cases */
    const char *fs;       /* --fs NAME; NULL: the program's default */
    const char *schedule; /* --schedule each|lazy|none; NULL: all three */
    const char *only;     /* --case NAME; NULL: all */
    bool verbose;         /* --verbose */
};

/* Parse; prints usage and exits 2 when wrong. Prints the seed. */
struct report_options report_parse(int argc, char **argv, const char *name, uint64_t count);
/* Something the test itself needs failed: say it with errno, and exit 2. */
void report_need(bool good, const char *what);
/* Say why it cannot be tried here, and exit 77. */
_Noreturn void report_skip(const char *why);
/* A promise was broken: a line, and the count goes up. */
__attribute__((format(printf, 1, 2))) void report_violation(const char *format, ...);
uint64_t report_violations(void);
/* Count violations without a word: the judge's own test breaks promises on purpose. */
void report_silence(bool silent);
/* A directory outside the file system under test, in $TMPDIR or /tmp; removed by
 * report_remove() unless something was violated. */
void report_make_dir(char *out, size_t size);
void report_remove(const char *dir);
/* Run a command; its output goes nowhere. True: it exited 0. */
__attribute__((format(printf, 1, 2))) bool report_run(const char *format, ...);
/* Let others go on for a while; 0 does nothing. */
void report_pause_us(uint64_t us);
/* 0, or 1 when something was violated. */
int report_exit_code(void);

#endif
