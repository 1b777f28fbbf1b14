/* The list of proto/status.h, as data for a test that includes tusk.h. */
#ifndef TESTS_UNIT_CLIENT_STATUS_WIRE_H
#define TESTS_UNIT_CLIENT_STATUS_WIRE_H

#include <stddef.h>

struct status_entry {
    const char *name;
    int code;
};

extern const struct status_entry wire_statuses[];
extern const size_t wire_status_count;

#endif
