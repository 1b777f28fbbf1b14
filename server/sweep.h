/* Deadlines of connections: looked at again and again, more often the shorter they are. The disk is
 * looked at then, too (stall.h). */
#ifndef SERVER_SWEEP_H
#define SERVER_SWEEP_H

struct server;

/* Look at them from now on as often as the options ask for; again, after these have changed. */
void sweep_start(struct server *server);
/* Look in a few milliseconds, and then again as before. */
void sweep_soon(struct server *server);

#endif
