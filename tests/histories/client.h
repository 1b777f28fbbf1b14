/* One client of a history: a connection with several requests under way, each noted in the record
 * when it is sent and when its reply is taken.
 *
 *     client_connect ---> { client_send, client_take }* ---> client_lose or client_leave
 *
 * Entries say which history, append and place they are of, so that one that does not belong here is
 * seen. What the record cannot hold against the daemon (a reply to nothing, a status without a
 * reason, a byte that changed) ends up in story->broken. */
#ifndef TESTS_HISTORIES_CLIENT_H
#define TESTS_HISTORIES_CLIENT_H

#include "tests/histories/record.h"
#include "tests/support/wire.h"

#define CLIENT_DEPTH_MAX 8u
#define STORY_NAME_SIZE 32u

/* What is known while a history is made. */
struct story {
    struct record record;
    uint64_t seed;
    const char *space;
    char topics[RECORD_TOPICS_MAX][STORY_NAME_SIZE];
    uint64_t end[RECORD_TOPICS_MAX]; /* Told by anybody */
    uint32_t clients;                /* Connections made so far */
    bool stopping;                   /* CLOSED is a right answer */
    char broken[512];                /* Empty: nothing is */
};

struct client {
    struct wire wire;
    bool open;
    uint32_t number;
    uint32_t pending[CLIENT_DEPTH_MAX]; /* Requests under way, by their number in the record */
    unsigned pending_count;
    uint8_t *input; /* Owned */
    size_t input_size;
    size_t input_used;
};

/* Note what is wrong; the first counts. */
void story_break(struct story *story, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* False: nobody answers. */
bool client_connect(struct client *client, struct story *story, const char *socket);
void client_deinit(struct client *client);
/* Send what *asked says; an append's entries have about entry_size bytes, a read waits wait_ms. */
void client_send(struct client *client, struct story *story, const struct op *asked,
                 uint32_t entry_size, uint32_t wait_ms);
/* Take the replies that are there, without waiting. False: the connection has ended. */
bool client_take(struct client *client, struct story *story);
/* The daemon is gone: what it did not answer happened until then, or not. Closes. */
void client_lose(struct client *client, struct story *story, uint64_t until);
/* Go without waiting for replies. */
void client_leave(struct client *client, struct story *story);

#endif
