/* The lines typed into `tusk shell`, kept from one time to the next, a line each, in
 * $XDG_STATE_HOME/tusk/history or ~/.local/state/tusk/history.
 *
 * The file has mode 0600 and at most SHELL_HISTORY_LINES lines: a full one loses its oldest
 * quarter. Several shells may add to it. That it cannot be read or written is said once, and
 * changes nothing else. */
#ifndef CLIENT_SHELL_HISTORY_H
#define CLIENT_SHELL_HISTORY_H

#include <stdbool.h>
#include <stddef.h>

#define SHELL_HISTORY_LINES 1000u
#define SHELL_HISTORY_LINE_MAX 4096u /* Bytes; a longer line is not kept */

struct cli;

struct shell_history {
    const struct cli *cli; /* Borrowed; whom to tell */
    char *path;            /* Owned; NULL: nothing is kept */
    size_t home_size;      /* Of its beginning, which is no directory of ours to make */
    size_t lines;          /* In the file, as far as is known */
};

/* Find the file, and call each for every line in it, the oldest first. */
void shell_history_open(struct shell_history *history, const struct cli *cli,
                        void (*each)(void *user, const char *line), void *user);
/* Add a line, which has no newline. */
void shell_history_add(struct shell_history *history, const char *line);
/* A zeroed *history is allowed. */
void shell_history_close(struct shell_history *history);

#endif
