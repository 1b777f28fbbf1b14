/* The data directory: made if it is missing, refused if others could look into it or change it. */
#ifndef SERVER_DATA_DIR_H
#define SERVER_DATA_DIR_H

#include <stdint.h>

struct error;

/* Make the last part of path, 0700, if it is not there, and make its name durable; else check that
 * it is a directory of ours with no rights for others. TUSK_EINVALID: it is not; other codes: it
 * cannot be made. */
int data_dir_prepare(const char *path, struct error *err);
/* The size of the file system it is on, and what is free there for us; 0 when nobody says. */
void data_dir_space(const char *path, uint64_t *size_bytes, uint64_t *available_bytes);

#endif
