/* The daemon's fixed limits; those an operator may choose are in config/options.def.
 *
 * Memory: every buffer comes from the pool (total_bytes_max), every request from a free list
 * (REQUESTS_TOTAL_MAX), every connection counts against connections_max. Nothing else grows. */
#ifndef SERVER_LIMITS_H
#define SERVER_LIMITS_H

#include <stdint.h>

/* One read from a socket. 256 KiB is where a Unix socket reaches its bandwidth; larger only
 * leaves the cache. */
#define RECEIVE_SIZE (256u * 1024u)
/* The same when memory is short: a connection that is paused keeps what was read, and thousands of
 * them must not keep the rest from being read. */
#define RECEIVE_SHORT_SIZE 4096u
/* The first buffer of an output chain is small, because most turns answer a connection once; the
 * next ones are what one send should carry. */
#define OUTPUT_FIRST_SIZE 4096u
#define OUTPUT_NEXT_SIZE (64u * 1024u)
/* Buffers of one send. */
#define OUTPUT_VECTORS_MAX 64u
/* What the kernel may hold of a connection that is sent ranges: one read of the library, so that it
 * is one system call. Those bytes are references to the page cache, not memory of their own. */
#define RANGE_SEND_BUFFER (1024 * 1024)
/* Free buffers kept for the next user instead of given back: memory touched for the first time is
 * several times slower than memory that was used before. */
#define POOL_CACHE_BYTES (16u * 1024u * 1024u)

/* Requests in flight of all connections. */
#define REQUESTS_TOTAL_MAX 65536u
/* What a request costs beyond its frame, when bytes in flight are counted. */
#define REQUEST_COST 256u
/* What a read that may wait is charged: it holds no reply while it waits. */
#define REQUEST_WAITING_COST (64u * 1024u)

#define LISTEN_BACKLOG 1024
/* Connections taken in one turn, so that a storm of them does not hold up those that are there. */
#define ACCEPT_BATCH 64u
/* Descriptors kept for files: below this many, no connection is taken. A rollover needs a segment,
 * two journal files, a manifest and directories at once. */
#define SPARE_FDS 24u
/* How long accepting rests when descriptors or memory are short, if no connection closes. */
#define ACCEPT_RETRY_MS 100u

/* Of a connection, as PROTOCOL.md says: blocks leased, and segments whose descriptors it keeps. */
#define LEASES_MAX 64u
#define MAPPED_SEGMENTS 4u
/* Processes that left blocks leased when their connection closed, and are watched. */
#define DEPARTED_MAX 256u

/* Users that are remembered (users.h), and for how long what topics they made; how often the log
 * tells of one that was turned away. */
#define USERS_MAX 4096u
#define USER_TOPICS_MS 3600000u
#define USER_TOLD_MS 60000u

/* How often deadlines are looked at: a quarter of the shortest, within these. */
#define SWEEP_MIN_MS 5u
#define SWEEP_MAX_MS 1000u

/* A failed disk: how long waiting clients have to take the news. */
#define FAIL_FLUSH_MS 500u

/* A sync under way for this long is told to the log and to systemd. Disks that are well take
 * milliseconds, those that are busy a few hundred. */
#define STALL_US UINT64_C(1000000)

#define CLIENT_NAME_SIZE 64u /* Of what a client calls itself, in logs */

_Static_assert(OUTPUT_FIRST_SIZE < OUTPUT_NEXT_SIZE, "chains grow");
_Static_assert(OUTPUT_FIRST_SIZE <= RECEIVE_SHORT_SIZE, "short memory still answers");
_Static_assert(OUTPUT_NEXT_SIZE <= RECEIVE_SIZE, "one size class serves both");

#endif
