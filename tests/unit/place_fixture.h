/* A fake daemon that answers reads with a place in a file, for tests of what the library does with
 * that. It is client_peer with a block in a temporary file, on the test's own thread; there is one
 * at a time. Functions that return nothing fail the test when anything else happens. */
#ifndef TESTS_UNIT_PLACE_FIXTURE_H
#define TESTS_UNIT_PLACE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/client_peer.h"

#define PLACE_BATCHES 6u
#define PLACE_EACH 10u /* Entries, which hold their own offset */
#define PLACE_COUNT (PLACE_BATCHES * PLACE_EACH)
#define PLACE_BLOCK 65536u /* Where the block begins in the file */
#define PLACE_SEGMENT_SIZE (2u * PLACE_BLOCK)
#define PLACE_DATA_AT 4096u     /* Where batches begin in the block */
#define PLACE_GENERATION_AT 56u /* In the block */
#define PLACE_SEGMENT 5u
#define PLACE_LEASE 3u
#define PLACE_FEATURES (FEATURE_UNCHECKED | FEATURE_MAPPED)
#define PLACE_FLAGS (READ_UNCHECKED | READ_MAPPED)
#define PLACE_DESCRIPTORS_MAX 3u /* Sent at once */

extern struct peer place_peer;
extern int place_file;                              /* The segment's */
extern unsigned place_released[MESSAGE_LEASES_MAX]; /* How often each lease was */
extern unsigned place_checkpoints;                  /* Requests taken */

/* A daemon with PLACE_COUNT entries, all of them in one block of a file. */
void place_begin(void);
/* The connection ends, and no descriptor may be left open. */
void place_end(void);
/* The same, for cmocka_unit_test_setup_teardown(). */
int place_setup(void **state);
int place_teardown(void **state);
#define PLACE_TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

/* Open in this process. */
unsigned place_count_descriptors(void);
void place_write(const void *bytes, size_t size, uint64_t at);
/* To where the block's generation stands. */
void place_write_generation(uint64_t generation);

/* The reply that names where batches [first, last) are, to be changed by the caller. */
struct message_read_reply place_of(uint32_t first, uint32_t last);
/* Send bytes, and the segment's descriptor so many times along with the first of them. */
void place_send(const uint8_t *bytes, size_t size, unsigned descriptors);
size_t place_encode(uint8_t bytes[512], const struct peer_request *request,
                    const struct message_read_reply *reply);
void place_answer(const struct peer_request *request, const struct message_read_reply *reply,
                  unsigned descriptors);

/* The next request that is neither a release nor a checkpoint: those are counted and answered.
 * False: there is none. */
bool place_take(struct peer_request *request);
/* The next request must be a read with just these flags. */
void place_take_read(struct peer_request *request, uint16_t flags);
/* By now the lease has been released so many times. */
void place_expect_released(unsigned lease, unsigned count);

struct tusk_consumer *place_open_consumer(uint32_t flags, uint32_t checkpoint_every);
/* A call that makes the consumer send what it has to, a read with these flags, and has nothing to
 * return yet. */
void place_ask(struct tusk_consumer *consumer, struct peer_request *request, uint16_t flags);
void place_expect_next(struct tusk_consumer *consumer, uint64_t from, uint64_t to);
void place_close_consumer(struct tusk_consumer *consumer);
/* A consumer that has been sent the whole block as a place. */
struct tusk_consumer *place_consumer(uint32_t checkpoint_every);

#endif
