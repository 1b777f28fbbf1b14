/* How far a long run is, on standard error, when that is a terminal: one line, drawn again at most
 * ten times a second, and gone when it is over. Any thread may add. */
#ifndef OFFLINE_PROGRESS_H
#define OFFLINE_PROGRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool on;
    const char *doing; /* Borrowed: "verify", ... */
    char subject[64];
    _Atomic uint64_t done; /* Bytes */
    uint64_t total;        /* 0: not known */
    _Atomic uint64_t drawn_us;
    uint64_t start_us;
    bool visible;
};

/* quiet: never anything. */
void progress_init(struct progress *progress, const char *doing, bool quiet);
/* Begin with something. */
void progress_subject(struct progress *progress, const char *subject, uint64_t total);
/* Count. Draws nothing. */
void progress_add(struct progress *progress, uint64_t bytes);
/* Draw it if it is time. One thread at a time, the one that writes. */
void progress_draw(struct progress *progress);
/* Take it off the screen, before something else is written. */
void progress_clear(struct progress *progress);
/* "12.3 GiB" */
const char *progress_size(char text[32], uint64_t bytes);

#endif
