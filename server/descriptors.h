/* Enough descriptors, for connections and for files. */
#ifndef SERVER_DESCRIPTORS_H
#define SERVER_DESCRIPTORS_H

#include <stdbool.h>

struct options;

/* As many descriptors as may be needed, if the hard limit permits. */
void descriptors_raise(const struct options *options);
/* Whether enough are left, with all files of the data directory open, for the loop and for what
 * files will be needed: better now than in the middle of an append. Says why not. */
bool descriptors_enough(void);

#endif
