/* A disk that takes its time: noticed, told once to the log, and shown to systemd as long as it
 * lasts. The loop does not wait for what has become slow, so the watchdog is content; reads go on,
 * and appends as far as the schedule lets them.
 *
 *     well ---> a sync under way for STALL_US: slow ---> none is: well
 */
#ifndef SERVER_STALL_H
#define SERVER_STALL_H

#include <stdbool.h>
#include <stdint.h>

struct engine;

struct stall {
    bool slow;
    uint64_t worst_us; /* The longest seen since it is slow */
};

/* Look, about once a second. */
void stall_look(struct stall *stall, const struct engine *engine, uint64_t mono_us);

#endif
