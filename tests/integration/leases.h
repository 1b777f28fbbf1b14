/* Reads from the wire that are answered with a place in a segment file. One request is under way at
 * a time. What can also be used in a child process fails by wire_need(). */
#ifndef TESTS_INTEGRATION_LEASES_H
#define TESTS_INTEGRATION_LEASES_H

#include "tests/integration/fixture.h"

#define LEASE_ENTRY_SIZE 100000u
#define LEASE_BLOCK_ENTRIES 10u /* Of this size in a block */
#define LEASE_BLOCK_SIZE (1024u * 1024u)
#define LEASE_FEATURES (FEATURE_UNCHECKED | FEATURE_MAPPED)
#define LEASE_FLAGS (READ_UNCHECKED | READ_MAPPED)

/* Small segments, of two blocks each. NULL-terminated. */
extern const char *const lease_options[];

/* A reply to a read, with the descriptor that came along. reply.data is borrowed until the next. */
struct lease_got {
    int status;
    struct message_read_reply reply;
    int fd; /* -1: none */
};

/* A daemon with these options. */
int lease_setup(void **state);
#define LEASE_TEST(name) cmocka_unit_test_setup_teardown(name, lease_setup, fixture_teardown)

/* Connect, asking for features; those that are granted. */
uint64_t lease_open(struct wire *wire, const struct daemon *daemon, const char *space,
                    uint64_t features);
/* Fill so many blocks of a topic, and begin one more. */
void lease_fill_blocks(struct wire *wire, const char *topic, unsigned count);

struct lease_got lease_read(struct wire *wire, const struct message *message);
/* Of topic "t". */
struct lease_got lease_read_at(struct wire *wire, uint64_t offset, uint16_t flags);
/* A read that must be answered with a place, and a descriptor. */
struct lease_got lease_read_place(struct wire *wire, uint64_t offset);
/* RELEASE; the status. */
int lease_release(struct wire *wire, const uint32_t *leases, uint16_t count);
int lease_release_one(struct wire *wire, uint32_t lease);
int lease_trim(struct wire *wire, const char *topic, uint64_t offset);

/* The whole segment, of which the file may have less so far. */
const uint8_t *lease_map(const struct lease_got *got);
void lease_unmap(const uint8_t *base, const struct lease_got *got);
const uint8_t *lease_batches(const uint8_t *base, const struct lease_got *got);
/* What the block's first page says by now. */
uint64_t lease_generation(const uint8_t *base, const struct lease_got *got);
/* That the map holds what checked reads of the same entries give. */
void lease_expect_as_checked(struct wire *checked, const uint8_t *base,
                             const struct lease_got *got);

/* A little work of another topic, made durable: after it a block that nobody holds is free. */
void lease_work(struct wire *wire);
/* Wait until the daemon says so. */
void lease_await(struct wire *wire, const char *name, uint64_t value);
/* That so many given up blocks stay where they are. */
void lease_expect_held(struct wire *wire, uint64_t blocks);

#endif
