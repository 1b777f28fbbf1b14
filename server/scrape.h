/* Metrics and health over HTTP, on a socket of their own: whoever watches needs no right on any
 * namespace, only to reach this socket.
 *
 *     /metrics   every metric (exposition.h)
 *     /healthz   200: the loop goes round
 *     /readyz    200: every namespace serves; 503 and the reason otherwise
 *     /          a page for people
 *
 *     scrape_open ---> scrape_start ---> (answers, while the server's loop runs)
 *                                   ---> scrape_stop ---> the loop is gone ---> scrape_free
 *
 * One request to a connection. All memory is taken at the start: SCRAPE_SLOTS connections of a
 * request and a piece of an answer each, and answers are made a piece at a time, as they are taken.
 * A request must be there within SCRAPE_READ_MS and an answer be taken within SCRAPE_SEND_MS. When
 * all slots are taken, one that has not sent its request gives way, or else newcomers wait in the
 * socket's queue: nobody keeps the others out for longer than that. */
#ifndef SERVER_SCRAPE_H
#define SERVER_SCRAPE_H

#include <stdbool.h>

struct error;
struct options;
struct scrape;
struct server;

#define SCRAPE_SLOTS 8u
#define SCRAPE_READ_MS 5000u
#define SCRAPE_SEND_MS 30000u
#define SCRAPE_LINGER_MS 1000u

/* Listen on fd, a socket of systemd's, which is moved; or, where that is -1, on metrics_socket.
 * *out is NULL when neither is there, and on failure. */
int scrape_open(struct scrape **out, const struct options *options, int fd, struct error *err);
/* Begin to answer, on the server's loop. */
int scrape_start(struct scrape *scrape, struct server *server, struct error *err);
/* Take nobody new, and remove the socket file. The loop has ended. NULL allowed, here and below. */
void scrape_stop(struct scrape *scrape);
/* Close what is left. The loop is gone, or was never begun. */
void scrape_free(struct scrape *scrape);

#endif
