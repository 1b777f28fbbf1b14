/* What may be typed next in `tusk shell`: asked as bash asks it, of `tusk completion next`, in a
 * child, and made fit to be put into the line. */
#ifndef CLIENT_SHELL_COMPLETE_H
#define CLIENT_SHELL_COMPLETE_H

#include <stdbool.h>
#include <stddef.h>

struct cli;

struct shell_candidate {
    char *word; /* Owned */
    char *help; /* Owned; perhaps empty */
};

struct shell_completion {
    struct shell_candidate *candidates; /* Owned */
    size_t count;
    size_t capacity;
    /* What stands in place of the line's bytes from `at` on, as far as all candidates agree, and
     * as it is typed; NULL: there is nothing to put there. Owned. */
    char *text;
    size_t at;
};

/* Complete the last word of line[0, size), which is what stands before the cursor. Without
 * candidates where there are none, or memory runs out. In any case, to be freed. */
void shell_complete(struct shell_completion *completion, const struct cli *cli, const char *line,
                    size_t size);
void shell_completion_free(struct shell_completion *completion);

#endif
