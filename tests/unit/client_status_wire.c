#include "tests/unit/client_status_wire.h"

#include "proto/status.h"

#define X(name, number, text) {#name, TUSK_E##name},
const struct status_entry wire_statuses[] = {TUSK_STATUS_MAP(X)};
#undef X
const size_t wire_status_count = sizeof wire_statuses / sizeof wire_statuses[0];
