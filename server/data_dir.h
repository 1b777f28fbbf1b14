/* The data directory: made if it is missing, refused if others could look into it or change it. */
#ifndef SERVER_DATA_DIR_H
#define SERVER_DATA_DIR_H

struct error;

/* Make the last part of path, 0700, if it is not there, and make its name durable; else check that
 * it is a directory of ours with no rights for others. TUSK_EINVALID: it is not; other codes: it
 * cannot be made. */
int data_dir_prepare(const char *path, struct error *err);

#endif
