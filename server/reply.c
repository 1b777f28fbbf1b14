#include "server/reply.h"

#include <string.h>

#include "core/check.h"
#include "proto/frame.h"
#include "proto/message.h"
#include "proto/status.h"
#include "server/connection.h"
#include "server/server.h"

#define CHARACTER_SIZE_MAX 4u /* Of UTF-8 */

size_t reply_text_size(const char *text)
{
    const size_t size = strnlen(text, MESSAGE_TEXT_SIZE_MAX);
    size_t cut;

    for (cut = 0; cut < CHARACTER_SIZE_MAX && cut < size; cut++) {
        if (message_utf8_valid(text, size - cut)) {
            return size - cut;
        }
    }
    return 0;
}

static uint8_t *begin(struct connection *connection, struct reply_to to, uint16_t status,
                      size_t body_size)
{
    const struct frame frame = {
        .size = (uint32_t)(FRAME_HEADER_SIZE + body_size),
        .type = (uint16_t)(to.type | FRAME_REPLY),
        .status = status,
        .id = to.id,
    };
    uint8_t *bytes;

    CHECK(body_size <= UINT32_MAX - FRAME_HEADER_SIZE);
    bytes = output_reserve(connection, frame.size);
    if (bytes == NULL) {
        return NULL;
    }
    frame_encode(bytes, &frame);
    meter_reply(&connection->server->meter, &to, status);
    return bytes + FRAME_HEADER_SIZE;
}

uint8_t *reply_begin(struct connection *connection, struct reply_to to, size_t body_size)
{
    return begin(connection, to, 0, body_size);
}

void reply_empty(struct connection *connection, struct reply_to to)
{
    (void)begin(connection, to, 0, 0); /* Without memory the connection closes itself */
}

void reply_error(struct connection *connection, struct reply_to to, int status, uint64_t detail_a,
                 uint64_t detail_b, const char *text)
{
    struct message_error error = {
        .detail_a = detail_a,
        .detail_b = detail_b,
        .text = {.data = text, .size = (uint16_t)reply_text_size(text)},
    };
    uint8_t *body;

    CHECK(status < 0);
    if (error.text.size == 0) {
        error.text.data = status_text(status);
        error.text.size = (uint16_t)strlen(error.text.data);
    }
    body = begin(connection, to, (uint16_t)-status, message_error_size(&error));
    if (body != NULL) {
        (void)message_error_encode(body, &error);
    }
}
