/* A peer: what a system whose protocol is text has to say for itself. The workloads above it are
 * the same for all (peer.c), so that systems are measured alike.
 *
 *     greet --> { prepare once; send; replies }*                           appends
 *           --> read_begin --> { fetch --> acknowledge }* --> read_end     reads
 *           --> follow_begin --> { follow }*                               waits for entries
 *
 * Whatever goes wrong ends the process (load_fail). */
#ifndef TESTS_BENCH_PEER_H
#define TESTS_BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/load.h"
#include "tests/bench/stream.h"

#define PEER_ID_SIZE_MAX 128u
#define PEER_ACK_SIZE_MAX (PEER_ID_SIZE_MAX + 256u)

enum peer_reading {
    PEER_READ,  /* No place is kept, where the system can do without */
    PEER_GROUP, /* It is, for all that was fetched at once: ack_all() */
    PEER_NEXT,  /* It is, for each entry by itself: the requests in struct peer_acks */
};

/* Requests that acknowledge what was fetched last, one an entry. */
struct peer_acks {
    uint32_t count;
    size_t ends[LOAD_READ_COUNT]; /* Request i is bytes [ends[i - 1], ends[i]) */
    char bytes[LOAD_READ_COUNT * PEER_ACK_SIZE_MAX];
};

struct peer_reader {
    struct stream stream;
    const struct load_options *options;
    enum peer_reading how;
    uint64_t pass;               /* Numbers the groups, or what the peer calls them */
    char last[PEER_ID_SIZE_MAX]; /* The peer's: where it is, or what is reading, */
    uint64_t asked;              /* and of how many entries that has been asked */
    uint64_t left;               /* that there are to come */
    struct peer_acks acks;
};

struct peer {
    bool consumes;         /* What was read is gone */
    uint32_t prepare_room; /* Bytes of an append besides its entry and twice the topic's name */
    /* Say what has to be said first on a connection, and make the topic. */
    void (*greet)(struct stream *stream, const struct load_options *options);
    /* Write the request that appends an entry to a topic; returns its size. */
    size_t (*prepare)(char *at, const struct load_options *options, const char *topic,
                      size_t *payload_at);
    /* Take the whole replies to appends of what is received; returns how many. */
    uint64_t (*replies)(struct stream *stream);
    void (*read_begin)(struct peer_reader *reader);
    /* Read up to LOAD_READ_COUNT entries; returns how many, 0 at the end. Fills in acks unless the
     * reader is PEER_READ. */
    uint32_t (*fetch)(struct peer_reader *reader);
    void (*ack_all)(struct peer_reader *reader);
    /* As `replies`, to single acknowledgements. */
    uint64_t (*ack_replies)(struct stream *stream);
    void (*read_end)(struct peer_reader *reader);
    void (*follow_begin)(struct peer_reader *reader);
    /* Wait for entries, and give each to load_arrived(). False: that was the last. */
    bool (*follow)(struct peer_reader *reader, struct load_worker *worker);
    /* Whether the first entry of the topic can be read now, over a connection just made. */
    bool (*first)(struct stream *stream, const struct load_options *options);
};

int peer_main(int argc, char **argv, const struct peer *peer);
/* Take replies of so many lines each. One that begins with '-' is an error. */
uint64_t peer_take_lines(struct stream *stream, uint32_t lines);
/* Where to write the next of the acks, and how long it was. */
char *peer_ack_begin(struct peer_acks *acks);
void peer_ack_end(struct peer_acks *acks, size_t size);

#endif
