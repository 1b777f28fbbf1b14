/* Judges a record of concurrent clients: is there one order in which everything could have
 * happened, one after the other, that agrees with what came before what and with every answer?
 *
 * A log makes that cheap to decide: offsets are the order. What must hold, beside the reads at the
 * end that see everything there is (the *log*):
 *
 * - log: every acknowledged append is there at its offsets, whole; what was refused is not; what
 *   nobody knows is whole or not there; nothing else is there, and nothing twice;
 * - order: what was acknowledged before another was sent stands before it; so does what one client
 *   sent before;
 * - reads: exactly what the log has between their offsets, nothing skipped, nothing from the
 *   future;
 * - ends: what anybody was told to be there, the next one sees (read your append); the same for
 *   what is durable; an acknowledgement that means durable, and SYNC, make it so;
 * - cursors: they never go back, each entry is delivered to one consuming read, and none is passed
 *   that nobody got; strict ones also across the death of the daemon, others but for what they may
 *   forget. */
#ifndef TESTS_HISTORIES_CHECK_H
#define TESTS_HISTORIES_CHECK_H

#include <stddef.h>

struct record;

/* NULL: all holds. Else the rule that was broken; *text gets what broke it. */
const char *check_record(const struct record *record, char *text, size_t size);

#endif
