#include "server/input.h"

#include <string.h>

#include "core/check.h"
#include "server/connection.h"
#include "server/pool.h"
#include "server/server.h"

/* The pool's header is part of its power of two. */
#define ROOM_SIZE ((uint32_t)(RECEIVE_SIZE - sizeof(struct buffer)))
#define ROOM_SHORT_SIZE ((uint32_t)(RECEIVE_SHORT_SIZE - sizeof(struct buffer)))

/* Move what is there to the front of a buffer of at least `size` bytes. False: no memory. */
static bool move(struct connection *connection, size_t size)
{
    struct pool *pool = &connection->server->pool;
    struct buffer *old = connection->input;
    struct buffer *buffer = pool_get(pool, size, connection_privileged(connection));

    if (buffer == NULL) {
        return false;
    }
    if (old != NULL) {
        buffer->end = old->end - old->begin;
        CHECK(buffer->end <= buffer->size);
        memcpy(buffer->bytes, old->bytes + old->begin, buffer->end);
        pool_put(pool, old);
    }
    connection->input = buffer;
    return true;
}

/* How large a buffer should be that holds `held` bytes of a frame of `wanted`. It begins with
 * `least`, and grows with what has arrived, not with what was announced. */
static size_t size_for(uint32_t held, uint32_t wanted, uint32_t least)
{
    const uint64_t twice = (uint64_t)held * 2;

    if (wanted <= least || twice < least) {
        return least;
    }
    return twice < wanted ? twice : wanted;
}

uint8_t *input_room(struct connection *connection, size_t *size)
{
    struct buffer *input = connection->input;
    const uint32_t held = input != NULL ? input->end - input->begin : 0;
    const bool is_short = pool_short(&connection->server->pool);
    const size_t wanted =
        size_for(held, connection->input_wanted, is_short ? ROOM_SHORT_SIZE : ROOM_SIZE);

    *size = 0;
    if (input == NULL || input->size < wanted) {
        if (!move(connection, wanted)) {
            return NULL;
        }
    } else if (input->begin > 0) {
        memmove(input->bytes, input->bytes + input->begin, held);
        input->begin = 0;
        input->end = held;
    }
    input = connection->input;
    CHECK(input->end < input->size);
    *size = input->size - input->end;
    return input->bytes + input->end;
}

void input_received(struct connection *connection, size_t size)
{
    struct buffer *input = connection->input;

    CHECK(size <= input->size - input->end);
    input->end += (uint32_t)size;
}

void input_consume(struct connection *connection, uint32_t size)
{
    struct buffer *input = connection->input;

    CHECK(size <= input->end - input->begin);
    input->begin += size;
    if (input->begin == input->end) {
        input_drop(connection);
    }
}

void input_settle(struct connection *connection)
{
    struct buffer *input = connection->input;
    uint32_t held;

    if (input == NULL) {
        return;
    }
    held = input->end - input->begin;
    if (held == 0) {
        input_drop(connection);
        return;
    }
    /* A quarter, because moving costs more than it frees when the buffer is mostly used. */
    if (held < input->size / 4) {
        (void)move(connection, held); /* Without memory it stays where it is */
    }
}

void input_drop(struct connection *connection)
{
    pool_put(&connection->server->pool, connection->input);
    connection->input = NULL;
    connection->input_wanted = 0;
}
