/* What goes back to a client: a frame whose type and id are those of the request. Output is sent at
 * the end of the turn. */
#ifndef SERVER_REPLY_H
#define SERVER_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct connection;

/* Which request a reply is for. */
struct reply_to {
    uint16_t type;
    bool waits; /* A read that may wait for entries */
    uint64_t id;
    uint64_t began_us; /* When its turn began; 0: not known */
};

/* How much of a text goes into a message: at most what one may hold, and only whole characters,
 * even where a name in it was cut. 0: it is not UTF-8 at all. */
size_t reply_text_size(const char *text);
/* Begin a reply of status 0: its frame header is written; returns where the size bytes of its body
 * go, all of which must be filled before the next call. NULL: memory is out, and the connection
 * closes at the end of the turn. */
uint8_t *reply_begin(struct connection *connection, struct reply_to to, size_t body_size);
/* A reply of status 0 with nothing in it. */
void reply_empty(struct connection *connection, struct reply_to to);
/* A reply of a negative status, with a sentence. */
void reply_error(struct connection *connection, struct reply_to to, int status, uint64_t detail_a,
                 uint64_t detail_b, const char *text);

#endif
