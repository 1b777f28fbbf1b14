/* The other end of a client's socket, for tests: a small daemon in memory.
 *
 *     peer_open --> requests one by one (peer_take, peer_answer_*), on the test's own thread
 *              \--> or peer_serve_begin: a thread that answers everything from a model
 *
 * The model is one topic (any name means it) of stored batches, completed as a daemon does
 * it, and one cursor (any name). It waits for nothing: a read at the end is END at once. What it
 * sends unchecked may be spoiled on demand. */
#ifndef TESTS_UNIT_CLIENT_PEER_H
#define TESTS_UNIT_CLIENT_PEER_H

#include "client/tusk.h"
#include "proto/batch.h"
#include "proto/frame.h"
#include "proto/message.h"

#include <pthread.h>
#include <stdbool.h>

#define PEER_BATCHES_MAX 4096u
#define PEER_GENERATION 77u
#define PEER_TOPIC_ID 42u

struct peer_batch {
    uint8_t *bytes; /* Padded */
    uint32_t size;
    uint32_t position;
    struct batch_header header;
};

struct peer_model {
    struct peer_batch batches[PEER_BATCHES_MAX];
    uint32_t batch_count;
    uint32_t position;
    uint64_t first; /* Offset kept */
    uint64_t end;
    uint64_t cursor;
    uint64_t epoch;
    uint32_t reads;     /* Requests answered, by kind */
    uint32_t unchecked; /* Of the reads: those that may be answered without a look */
    uint32_t checkpoints;
    uint32_t appends;
    uint32_t spoils;   /* So many replies to unchecked reads to come do not check out */
    uint32_t refusals; /* So many checked reads to come are answered with `refusal` */
    int refusal;
    uint64_t refusal_a;
    uint64_t refusal_b;
};

struct peer_request {
    struct frame frame;
    struct message message;
};

struct peer {
    struct tusk *t;
    int fd;        /* The daemon's end */
    int client_fd; /* The client's, owned by t */
    struct message_hello_reply hello;
    uint64_t features_asked; /* By the client's HELLO */
    struct peer_model model;
    uint8_t *in; /* Received, not taken yet */
    size_t in_size;
    size_t in_taken;
    pthread_t thread;
    bool serving;
};

/* A connected client over a socket pair. hello: what to announce; or NULL. options may be NULL. */
void peer_open(struct peer *peer, const struct message_hello_reply *hello,
               const struct tusk_options *options);
/* Closes both ends and stops the thread. */
void peer_close(struct peer *peer);
/* Limits that do not get in the way. */
struct message_hello_reply peer_hello(void);

/* The next request, waiting at most five seconds for it; fails the test otherwise. What it
 * points at is valid until the next peer_take(). */
void peer_take(struct peer *peer, struct peer_request *request);
/* Whether there is one without waiting. */
bool peer_has_request(struct peer *peer);

void peer_send(struct peer *peer, const void *bytes, size_t size);
void peer_answer(struct peer *peer, const struct frame *to, uint16_t status, const void *body,
                 size_t size);
void peer_answer_error(struct peer *peer, const struct frame *to, int code, uint64_t detail_a,
                       uint64_t detail_b, const char *text);
void peer_answer_append(struct peer *peer, const struct frame *to, uint64_t first_offset);
/* Encode the same into out (at least 64 bytes); returns the size. */
size_t peer_append_reply(uint8_t *out, const struct frame *to, uint64_t first_offset);

/* Put a batch of entries into the model, as if appended. */
void peer_model_append(struct peer *peer, const uint8_t *batch, uint32_t size);
void peer_model_fill(struct peer *peer, uint32_t batches, uint32_t entries_each);
/* Answer from the model. */
void peer_answer_from_model(struct peer *peer, const struct peer_request *request);
/* A READ reply's frame from the model, on the heap; *size is its size. */
uint8_t *peer_read_reply(struct peer *peer, const struct peer_request *request, size_t *size);

void peer_serve_begin(struct peer *peer);
/* After this the model may be looked at. */
void peer_serve_end(struct peer *peer);

#endif
