/* A store of numbered batches, and a reader that takes ranges of it as a client does: it checks
 * every batch, and asks again, without `unchecked`, for what does not check out. */
#ifndef TESTS_UNIT_RANGE_FIXTURE_H
#define TESTS_UNIT_RANGE_FIXTURE_H

#include "tests/support/engine_fixture.h"

#define RANGE_PER_BATCH 2u
#define RANGE_BATCHES 33u
#define RANGE_GAP (RANGE_PER_BATCH * RANGE_BATCHES) /* Before this no offset is left out */
#define RANGE_STREAM_SIZE (1u << 20)
#define RANGE_BATCH_PADDED 2080u /* Of one of the store's */

/* An engine fixture whose ranges may be small, on a disk that has everything in memory. */
int range_setup(void **state);
#define RANGE_TEST(name) cmocka_unit_test_setup_teardown(name, range_setup, fixture_teardown)

/* Batches of two entries in several blocks, of which the last one has room; the engine runs. Batch
 * i has offsets 2i and 2i + 1. */
void range_fill(struct fixture *f);
/* The same, sealed and on the device, and opened again. */
void range_store(struct fixture *f);
/* Where batch i stands: the place of its header. */
uint64_t range_place(struct fixture *f, unsigned i, char path[IO_PATH_SIZE]);

bool is_range(const struct fixture_read *read);
/* Read as `read` says, from an offset where it does not say where; the status. */
int range_ask(struct fixture *f, struct fixture_read *read, uint64_t offset);
/* The same of a new read that may be a range. */
int range_ask_unchecked(struct fixture *f, struct fixture_read *read, uint64_t offset);
/* Release and free. */
void range_end(struct fixture_read *read);
/* The bytes of a range, which must be in memory. */
void range_copy(const struct engine_range *range, uint8_t *data);
/* As a client does: each batch belongs to its place, and has a good body. False when one does not.
 * The batches of a range must then be those from its first entry to its last, of offsets that may
 * have gaps behind what the store began with. */
bool range_checks_out(struct fixture *f, const struct engine_read *read, const uint8_t *data);

/* What a reader has got: stored batches, each once, and the ranges of entries it was told are
 * gone. */
struct range_stream {
    uint8_t *bytes; /* Owned */
    size_t size;
    uint64_t next; /* First entry not delivered yet */
    unsigned ranges;
    unsigned gone;
    uint64_t gone_from[RANGE_BATCHES];
    uint64_t gone_to[RANGE_BATCHES];
};

/* Everything, to the end. `how` is a request as fixture_read_begin() takes it. */
struct range_stream range_drain(struct fixture *f, struct fixture_read how);
/* With ranges and without, which must say the same; returns how many ranges there were. */
unsigned range_compare_drains(struct fixture *f, uint32_t max_bytes, uint32_t max_entries);
/* No block is held by anything. */
void range_expect_nothing_pinned(const struct fixture *f);

#endif
