/* What the offline tools share: how they exit, what they are asked, and the store they look at.
 *
 * Nothing here knows sockets or daemons, and nothing changes what it examines: a store is opened
 * through io_readonly.h. */
#ifndef OFFLINE_OFFLINE_H
#define OFFLINE_OFFLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/inspect.h"
#include "core/io.h"
#include "server/offline/out.h"
#include "server/offline/progress.h"

/* As `tusk` exits (client/cli.h): it becomes this program. */
enum offline_exit {
    OFFLINE_DONE = 0,
    OFFLINE_FAILED = 1, /* Could not look: memory, descriptors, an error of a directory */
    OFFLINE_USAGE = 2,
    OFFLINE_NOTFOUND = 4, /* No such directory, file or namespace */
    OFFLINE_DENIED = 5,
    OFFLINE_FULL = 7,
    OFFLINE_DAMAGED = 8, /* It looked, and found damage; salvage: something was lost */
    OFFLINE_REFUSED = 9, /* In use by a daemon, of a newer version, or OUT is there */
    OFFLINE_INTERRUPTED = 130
};

enum offline_payload { PAYLOAD_NONE, PAYLOAD_TEXT, PAYLOAD_HEX };

/* What the command line says. */
struct offline_options {
    const char *name; /* Of one namespace; NULL: all */
    bool force_live;  /* Look although a daemon has the directory */
    bool quiet;
    bool no_color;
    unsigned threads; /* At least 1 */
    enum offline_payload payload;
    struct out out;
    struct progress progress;
    FILE *messages; /* Borrowed; NULL: standard error */
};

/* The exit status for a code of core. */
int offline_exit(int code);
/* "tusk: " and a sentence on standard error, behind a cleared progress bar; red where that is a
 * terminal that is not dumb, and neither --no-color nor NO_COLOR says otherwise. */
void offline_say(struct offline_options *options, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Say it, and the exit status of err. */
int offline_fail(struct offline_options *options, const struct error *err);
/* Set by SIGINT and SIGTERM: work stops at the next block. */
bool offline_interrupted(void);
void offline_catch_interrupt(void);

/* The commands: an exit status. */
int offline_verify(struct offline_options *options, const char *dir);
int offline_dump(struct offline_options *options, const char *path);
int offline_salvage(struct offline_options *options, const char *dir, const char *out);

#endif
