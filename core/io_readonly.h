/* A disk that only reads, on top of another one: for looking at a store without changing it.
 *
 * Recovery opens files for writing long before it writes; here such an open is one for reading, and
 * whatever would change something fails with TUSK_EDENIED. So a namespace can be examined by
 * recovery's own code (inspect.h), and the file system is asked for nothing but reads. Nothing can
 * be submitted: that is a bug, and CHECKed.
 *
 * The lock is looked at with io_readonly_lock(), which creates and writes nothing. */
#ifndef CORE_IO_READONLY_H
#define CORE_IO_READONLY_H

#include <stdint.h>

#include "core/io.h"

/* Pages [offset, offset + size) of a file could not be read, and are taken for zeros. Any thread
 * that reads. */
typedef void io_unreadable_fn(void *arg, const char *path, uint64_t offset, uint64_t size);

/* below: borrowed, outlives *out. unreadable: NULL: a read error is an error; else it is told of
 * every page that the device does not give, and the read succeeds with zeros there. */
int io_readonly_open(struct io **out, struct io *below, io_unreadable_fn *unreadable, void *arg,
                     struct error *err);

/* Share the lock of a data directory ("LOCK"), so that no daemon starts while it is held: a
 * descriptor to close, or -1 in *fd where there is no lock file (no daemon has ever run there).
 * TUSK_ELOCKED: a daemon has it; the sentence names the process. Nothing is created or written. */
int io_readonly_lock(int *fd, const char *data_dir, struct error *err);
void io_readonly_unlock(int fd);

#endif
