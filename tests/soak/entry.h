/* Entries that say which they are: topic and offset decide size and every byte, so that whoever
 * reads one can tell whether it is the one that was appended there. */
#ifndef TESTS_SOAK_ENTRY_H
#define TESTS_SOAK_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENTRY_SIZE_MAX (96u * 1024u)

/* serial: of the topic, never used twice; its name may be. Most entries are small; one in 2,048 is
 * large. */
size_t entry_size(uint64_t serial, uint64_t offset);
/* Write entry_size() bytes. */
void entry_make(uint64_t serial, uint64_t offset, uint8_t *out);
/* Whether the bytes are exactly those. */
bool entry_matches(uint64_t serial, uint64_t offset, const void *data, size_t size);

#endif
