/* Opening what is on disk, with the daemon's options: io, then the engine, with progress and
 * findings told to systemd and the log. */
#ifndef SERVER_STORAGE_H
#define SERVER_STORAGE_H

#include <stdbool.h>

struct engine;
struct error;
struct io;
struct options;

struct storage {
    struct io *io;         /* Owned */
    struct engine *engine; /* Owned */
    const char *io_name;   /* What is used, which may be less than what was asked for */
    unsigned findings;     /* Of recovery, each of which was logged */
    bool (*go_on)(void);   /* Asked during recovery; false: give up */
};

/* What became of the namespaces. */
struct storage_tally {
    unsigned serving;
    unsigned refused;
    unsigned without_space; /* Of those refused: not damaged, the disk is full */
};

/* accept_loss: a namespace, or NULL. *storage has nothing open after a failure. */
int storage_open(struct storage *storage, const struct options *options, const char *accept_loss,
                 bool (*go_on)(void), struct error *err);
/* Count namespaces, and log why those that are refused are. */
void storage_tally(const struct storage *storage, struct storage_tally *tally);
/* Close the engine, without a clean close if engine_stop() was not called. The io stays. */
void storage_close_engine(struct storage *storage);
void storage_close(struct storage *storage);

#endif
