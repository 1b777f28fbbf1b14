/* Lines from a person at a terminal: with editing, history and completion by libedit, and without
 * all three where this was built without it. */
#ifndef CLIENT_SHELL_EDIT_H
#define CLIENT_SHELL_EDIT_H

#include <stddef.h>

struct cli;
struct shell_edit;

enum shell_edit_end {
    SHELL_EDIT_LINE,    /* There is a line */
    SHELL_EDIT_DROPPED, /* Ctrl-C: the line is given up */
    SHELL_EDIT_OVER,    /* Ctrl-D, or the terminal is gone */
};

/* cli is borrowed, for as long as the editor is open: whom completion asks. NULL: out of memory. */
struct shell_edit *shell_edit_open(const struct cli *cli);
/* NULL is allowed. */
void shell_edit_close(struct shell_edit *edit);

/* A line is among those that are gone back to. user is the struct shell_edit. */
void shell_edit_remember(void *user, const char *line);

/* Read a line behind a prompt: the name of the shell, what of it is marked as failure (perhaps
 * empty), and its end. *line is without its newline, and valid until the next call. */
enum shell_edit_end shell_edit_line(struct shell_edit *edit, const char *name, const char *failure,
                                    const char **line);

#endif
