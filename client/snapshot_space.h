/* `tusk snapshot`: the copy of one namespace. */
#ifndef CLIENT_SNAPSHOT_SPACE_H
#define CLIENT_SNAPSHOT_SPACE_H

#include "client/cli.h"

#include <stdbool.h>
#include <stdint.h>

struct snapshot_done {
    uint64_t files;
    uint64_t bytes;  /* Holes left out */
    uint64_t shared; /* Of them, shared with the original */
};

/* Copy the namespace of cli's connection into a directory of its name below `root`, which is open,
 * durably but for that name. CLI_DONE, or an exit code after telling why not: what lies there then
 * is worth nothing. */
int snapshot_space(struct cli *cli, int root, bool no_sharing, struct snapshot_done *done);

#endif
