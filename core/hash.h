/* uthash, held to its word that running out of memory is survived: an element that could not be
 * added has no table (`element->hh.tbl == NULL`), and nothing else has changed. */
#ifndef CORE_HASH_H
#define CORE_HASH_H

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#endif
