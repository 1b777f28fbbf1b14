/* Random messages and replies for the tests of proto, and what to compare them with. */
#ifndef TESTS_UNIT_PROTO_RANDOM_H
#define TESTS_UNIT_PROTO_RANDOM_H

#include "proto/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

/* Seed from TUSK_TEST_SEED, or else from the clock; prints the seed. */
void random_begin(struct random *random);
uint64_t random_u64(struct random *random);
/* 0 to limit - 1; limit is not 0. */
uint64_t random_below(struct random *random, uint64_t limit);
/* A number of any width, often one at a boundary. */
uint64_t random_number(struct random *random);
void random_fill(struct random *random, void *bytes, size_t size);

/* Memory for the names and batches of one message. */
#define RANDOM_POOL_SIZE 16384u
struct random_pool {
    uint8_t bytes[RANDOM_POOL_SIZE];
    size_t used;
};

/* A valid request of this type, its names and batch in the pool (which is reset). */
void random_message(struct random *random, struct random_pool *pool, uint16_t type,
                    struct message *message);
/* Encode a request as it stands in a frame, with an APPEND's batch. Returns the size. */
size_t message_encode_whole(uint8_t *out, const struct message *message);
/* Whether two requests have the same type and the same value in every field of it. */
bool message_equal(const struct message *a, const struct message *b);

/* Every layout that the body of a reply can have. */
enum reply_kind {
    REPLY_HELLO,
    REPLY_APPEND,
    REPLY_READ,
    REPLY_CURSOR,
    REPLY_U64,
    REPLY_ERROR,
    REPLY_TOPIC_INFO,
    REPLY_TOPIC_LIST,
    REPLY_CURSOR_LIST,
    REPLY_NAMESPACE_LIST,
    REPLY_STATS,
    REPLY_CONFIG,
    REPLY_ACCESS,
    REPLY_SNAPSHOT,
    REPLY_SLOWLOG,
    REPLY_KIND_END
};

/* Bytes that a random reply or a request needs at most. */
#define RANDOM_BODY_SIZE_MAX 32768u

/* Encode a valid reply into out (RANDOM_BODY_SIZE_MAX bytes). Returns its size. */
size_t random_reply(struct random *random, struct random_pool *pool, enum reply_kind kind,
                    uint8_t *out);

#endif
