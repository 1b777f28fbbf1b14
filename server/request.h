/* A request in flight: what the engine needs, and where the answer goes.
 *
 *     request_new ---> given to the engine ---> done(): the answer ---> request_free
 *
 * Requests come from a free list, so that the hot path allocates nothing. A connection that
 * closes leaves its requests behind with connection == NULL: they finish unanswered. */
#ifndef SERVER_REQUEST_H
#define SERVER_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "core/engine.h"
#include "server/reply.h"

struct buffer;
struct connection;
struct server;
struct user;

struct request {
    struct request *next; /* Of the connection's, or of the free list */
    struct request *previous;
    struct request *made_before; /* Every request there is, for the end */
    struct server *server;
    struct connection *connection; /* NULL: it is gone */
    struct reply_to to;
    uint64_t cost;         /* Of the connection's bytes in flight */
    uint64_t reply_cost;   /* READ: bytes of output it may need */
    struct user *waiter;   /* READ: of whose reads that wait it is one; NULL: none is counted */
    bool topics_used_up;   /* APPEND: it may make no topic, because of user_topics_max */
    struct buffer *buffer; /* READ: owned, where the reply is being built */
    union {
        struct engine_append append;
        struct engine_read read;
        struct {
            struct engine_command command;
            char topic_name[ENGINE_NAME_SIZE_MAX]; /* As it was asked for; a delete leaves none */
            uint8_t topic_name_size;
        };
    } u;
};

/* A request of this connection; the part of `u` that is going to be used is the caller's to fill.
 * NULL: REQUESTS_TOTAL_MAX are in flight, or memory is out. */
struct request *request_new(struct connection *connection, struct reply_to to, uint32_t frame_size,
                            uint64_t reply_cost);
/* Give it back, after it was answered. */
void request_free(struct request *request);
/* Set up what every kind of engine request begins with. */
void request_begin(struct request *request, struct engine_request *base,
                   void (*done)(struct engine_request *));
/* Answer a request that failed, with what the engine says about it. */
void request_answer_error(const struct request *request, const struct engine_request *base);
/* Free every request, those that a closed engine forgot included. */
void request_deinit(struct server *server);

#endif
