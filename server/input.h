/* What a connection has received and not yet taken: one buffer from the pool, or none.
 *
 *     input_room ---> read(2) ---> input_received ---> frames: input_consume ---> input_settle
 *
 * Frames are parsed in place. A read goes into a buffer of RECEIVE_SIZE; an idle connection holds
 * none, one with the beginning of a frame a buffer that fits it. A frame larger than RECEIVE_SIZE
 * gets a buffer that doubles as the frame arrives: what a header announces costs nothing until it
 * is there. */
#ifndef SERVER_INPUT_H
#define SERVER_INPUT_H

#include <stddef.h>
#include <stdint.h>

struct connection;

/* Room for at least one byte behind what is there. NULL, *size 0: memory is out. */
uint8_t *input_room(struct connection *connection, size_t *size);
/* size bytes were put there. */
void input_received(struct connection *connection, size_t size);
/* The first size bytes are done with. */
void input_consume(struct connection *connection, uint32_t size);
/* Until the next read, hold no more memory than needed. */
void input_settle(struct connection *connection);
/* Drop everything. */
void input_drop(struct connection *connection);

#endif
