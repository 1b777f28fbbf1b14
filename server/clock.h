/* The two clocks, as the engine wants them told. */
#ifndef SERVER_CLOCK_H
#define SERVER_CLOCK_H

#include <stdint.h>

/* Never goes back: timers and deadlines. */
uint64_t clock_mono_us(void);
/* Since 1970, UTC: data only. */
uint64_t clock_wall_us(void);

#endif
