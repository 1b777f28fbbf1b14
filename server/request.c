#include "server/request.h"

#include <stdlib.h>

#include "core/check.h"
#include "server/connection.h"
#include "server/limits.h"
#include "server/pool.h"
#include "server/server.h"
#include "server/users.h"

struct request *request_new(struct connection *connection, struct reply_to to, uint32_t frame_size,
                            uint64_t reply_cost)
{
    struct server *server = connection->server;
    struct request *request = server->requests_free;

    if (server->requests_used == REQUESTS_TOTAL_MAX) {
        return NULL;
    }
    if (request != NULL) {
        server->requests_free = request->next;
    } else {
        request = malloc(sizeof *request);
        if (request == NULL) {
            return NULL;
        }
        request->made_before = server->requests_made;
        server->requests_made = request;
    }
    server->requests_used++;
    request->server = server;
    request->connection = connection;
    request->to = to;
    request->cost = (uint64_t)frame_size + REQUEST_COST;
    request->reply_cost = reply_cost;
    request->waiter = NULL;
    request->topics_used_up = false;
    request->buffer = NULL;
    request->previous = NULL;
    request->next = connection->requests;
    if (request->next != NULL) {
        request->next->previous = request;
    }
    connection->requests = request;
    connection->requests_count++;
    connection->requests_bytes += request->cost;
    connection->replies_bytes += reply_cost;
    users_add_bytes(connection, request->cost + reply_cost);
    server->pool.promised_bytes += reply_cost;
    return request;
}

static void leave(struct request *request)
{
    struct connection *connection = request->connection;

    if (request->previous != NULL) {
        request->previous->next = request->next;
    } else {
        connection->requests = request->next;
    }
    if (request->next != NULL) {
        request->next->previous = request->previous;
    }
    CHECK(connection->requests_count > 0);
    CHECK(connection->requests_bytes >= request->cost);
    connection->requests_count--;
    connection->requests_bytes -= request->cost;
    connection->replies_bytes -= request->reply_cost;
    users_take_bytes(connection, request->cost + request->reply_cost);
    connection_settle(connection);
}

void request_free(struct request *request)
{
    struct server *server = request->server;

    if (request->connection != NULL) {
        leave(request);
    }
    users_read_ended(server, request->waiter);
    pool_put(&server->pool, request->buffer);
    server->pool.promised_bytes -= request->reply_cost;
    request->buffer = NULL;
    request->connection = NULL;
    request->next = server->requests_free;
    server->requests_free = request;
    CHECK(server->requests_used > 0);
    server->requests_used--;
}

void request_begin(struct request *request, struct engine_request *base,
                   void (*done)(struct engine_request *))
{
    base->done = done;
    base->arg = request;
    base->status = 0;
    base->detail_a = 0;
    base->detail_b = 0;
    base->error.code = 0;
    base->error.text[0] = '\0';
    base->next = NULL;
    base->ns = NULL;
    base->ticket = 0;
    base->kind = 0;
}

void request_answer_error(const struct request *request, const struct engine_request *base)
{
    const char *text = base->error.text[0] != '\0' ? base->error.text : status_text(base->status);

    if (request->connection != NULL) {
        reply_error(request->connection, request->to, base->status, base->detail_a, base->detail_b,
                    text);
    }
}

void request_deinit(struct server *server)
{
    while (server->requests_made != NULL) {
        struct request *request = server->requests_made;

        server->requests_made = request->made_before;
        pool_put(&server->pool, request->buffer);
        free(request);
    }
    server->requests_free = NULL;
    server->requests_used = 0;
}
