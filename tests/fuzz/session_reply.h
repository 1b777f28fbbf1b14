/* A client of fuzz_session: what it has asked, and whether what comes back may come back. */
#ifndef TESTS_FUZZ_SESSION_REPLY_H
#define TESTS_FUZZ_SESSION_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SESSION_OWED_MAX 256u
#define SESSION_IN_SIZE (1u << 20) /* No reply is larger: the store is small */
/* Of reads that wait, a connection may have so many and is still listened to. */
#define SESSION_WAITS_MAX 3u

struct session_owed {
    uint16_t type;
    uint64_t id;
};

struct session_client {
    int fd;     /* -1: none */
    bool ended; /* The daemon has closed it */
    bool loose; /* It sent what is no frame: nobody knows what is owed to it */
    uint64_t last_id;
    uint64_t answered; /* The id of the last reply */
    struct session_owed owed[SESSION_OWED_MAX];
    unsigned owed_count;
    uint8_t store_id[16]; /* As HELLO's reply says */
    uint8_t *in;          /* Borrowed; SESSION_IN_SIZE of them */
    size_t in_size;
};

void session_client_init(struct session_client *client, int fd);
/* It has asked this. */
void session_expect(struct session_client *client, uint16_t type, uint64_t id);
/* Take what has arrived; aborts if it is not what the protocol has. */
void session_receive(struct session_client *client);
/* Some reply should have come by now: to a request that does not wait for an entry, nor behind so
 * many that do that the daemon leaves it where it is. */
bool session_owed(const struct session_client *client);
/* A step with a valid request of this type. Returns its size, at most 512. */
size_t session_sample(uint8_t *out, uint16_t type, unsigned variant);

#endif
