/* Where the entries of `tusk append` come from: arguments, a file, or standard input. */
#ifndef CLIENT_CLI_SOURCE_H
#define CLIENT_CLI_SOURCE_H

#include "client/cli_split.h"

struct source {
    char **arguments; /* Borrowed; entries as they stand. NULL: split what fd reads */
    int argument_count;
    int argument;     /* Next one */
    const char *file; /* NULL: standard input */
    int fd;
    struct splitter splitter;
};

/* Arguments if there are any, else file ("-" and NULL: standard input). An exit code. */
int source_open(struct source *source, char **arguments, int argument_count, const char *file,
                const struct split_rule *rule, size_t entry_size_max);
void source_close(struct source *source);
/* As splitter_next() and splitter_read(). */
bool source_next(struct source *source, const uint8_t **data, size_t *size);
bool source_read(struct source *source);
/* Everything there is has been read, or reading failed. */
bool source_ended(const struct source *source);
/* CLI_DONE, or CLI_FAILED after telling why not everything was read. */
int source_result(const struct source *source);

#endif
