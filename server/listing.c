#include <string.h>

#include "core/check.h"
#include "proto/frame.h"
#include "proto/status.h"
#include "server/connection.h"
#include "server/dispatch.h"
#include "server/pool.h"
#include "server/server.h"

#define LISTING_FIRST_SIZE 4000u

int listing_begin(struct listing *listing, struct connection *connection, struct reply_to to,
                  uint32_t head_size)
{
    struct buffer *buffer =
        pool_get(&connection->server->pool, LISTING_FIRST_SIZE, connection_privileged(connection));

    *listing = (struct listing){
        .connection = connection,
        .to = to,
        .buffer = buffer,
        .head_size = head_size,
    };
    if (buffer == NULL) {
        return TUSK_ENOMEM;
    }
    buffer->end = FRAME_HEADER_SIZE + head_size;
    return 0;
}

uint8_t *listing_room(struct listing *listing, size_t size)
{
    struct pool *pool = &listing->connection->server->pool;
    struct buffer *buffer = listing->buffer;
    uint8_t *room;

    if (size > listing->connection->frame_size_max - buffer->end || listing->count == UINT16_MAX) {
        return NULL;
    }
    if (size > buffer->size - buffer->end) {
        struct buffer *larger = pool_get(pool, (size_t)buffer->size * 2 + size,
                                         connection_privileged(listing->connection));

        if (larger == NULL) {
            return NULL;
        }
        memcpy(larger->bytes, buffer->bytes, buffer->end);
        larger->end = buffer->end;
        pool_put(pool, buffer);
        listing->buffer = larger;
        buffer = larger;
    }
    room = buffer->bytes + buffer->end;
    buffer->end += (uint32_t)size;
    listing->count++;
    return room;
}

uint8_t *listing_head(struct listing *listing)
{
    return listing->buffer->bytes + FRAME_HEADER_SIZE;
}

void listing_send(struct listing *listing)
{
    const struct frame frame = {
        .size = listing->buffer->end,
        .type = (uint16_t)(listing->to.type | FRAME_REPLY),
        .id = listing->to.id,
    };

    CHECK(listing->buffer->end >= FRAME_HEADER_SIZE + listing->head_size);
    frame_encode(listing->buffer->bytes, &frame);
    output_append(listing->connection, listing->buffer);
    meter_reply(&listing->connection->server->meter, &listing->to, 0);
    listing->buffer = NULL;
}

void listing_drop(struct listing *listing)
{
    pool_put(&listing->connection->server->pool, listing->buffer);
    listing->buffer = NULL;
}
