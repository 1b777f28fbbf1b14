/* Which planted bug is awake in this process: the one that TUSK_PLANTED names, by the name of its patch.
 * Linked only with -DTUSK_PLANTED_BUGS, beside the sources that plant.py wrote. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef TUSK_PLANTED_BUGS
#error "planted bugs are for builds that are nothing but a test: see README.md"
#endif

extern int tusk_planted_bug; /* As the planted sources declare it */

int tusk_planted_bug; /* 0: none */

/* Before main, so that no code runs both with and without it. */
__attribute__((constructor)) static void choose(void)
{
    static const char *const names[] = {
#define X(number, name) [number] = name,
#include "planted_names.h"
#undef X
    };
    const char *wanted = getenv("TUSK_PLANTED");

    if (wanted == NULL || *wanted == '\0') {
        return;
    }
    for (int i = 1; i < (int)(sizeof names / sizeof *names); i++) {
        if (strcmp(names[i], wanted) == 0) {
            tusk_planted_bug = i;
            return;
        }
    }
    fprintf(stderr, "TUSK_PLANTED: there is no planted bug \"%s\"\n", wanted);
    abort();
}
