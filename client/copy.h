/* Copies of files of a store, durable when they are made: bytes are shared with the original where
 * that is wanted and the file system can (reflink), else copied, both without the holes. Never a
 * hard link, which would change with the original. */
#ifndef CLIENT_COPY_H
#define CLIENT_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COPY_TEXT_SIZE 512u

enum copy_result { COPY_DONE, COPY_FAILED, COPY_STOPPED, COPY_GONE /* No such original */ };

struct copy {
    int from; /* Directories, open; the caller's */
    int to;   /* New files are made here, with the owner of the original if this is root */
    bool
        sharing; /* Share whole pages, but for the last before a hole; false once it was found to be
                     impossible */
    /* Called while bytes are copied; false: stop. NULL allowed. */
    bool (*progress)(void *arg, uint64_t bytes);
    void *arg;
    /* What came of it: */
    uint64_t bytes;  /* Copied or shared, holes left out */
    uint64_t shared; /* Of them, shared */
    uint64_t files;
    char text[COPY_TEXT_SIZE]; /* What failed, where and why, after COPY_FAILED or COPY_GONE */
    int error;                 /* errno of it */
};

/* Copy the regular file `name`: its first `used` bytes, and zeros up to its size (UINT64_MAX: all
 * of it). No symbolic link is followed, and no file overwritten. */
enum copy_result copy_file(struct copy *copy, const char *name, uint64_t used);
/* The copy has what its original has of owner and group, where this is root. 0, or errno. */
int copy_owner(int from, int to);

#endif
