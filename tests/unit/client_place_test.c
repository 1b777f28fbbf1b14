/* Places that a daemon cannot mean, and descriptors that come with them: the connection breaks, and
 * nothing stays open. */
#include "tests/unit/place_fixture.h"

#include <fcntl.h>

#define DESCRIPTORS_KEPT 64u /* By the library, at most */

/* Of four segments whose descriptors came last the maps are kept, and none but those. */
static void four_segments_are_kept(void **state)
{
    struct tusk_consumer *consumer = place_open_consumer(0, 0);
    struct message_read_reply reply;
    struct peer_request request;
    struct tusk_entry entry;
    uint32_t i;

    (void)state;
    place_ask(consumer, &request, PLACE_FLAGS);
    for (i = 0; i < 7; i++) {
        reply = place_of(i % PLACE_BATCHES, i % PLACE_BATCHES + 1);
        reply.place.segment = i < 5 ? i : i == 5 ? 1 : 0; /* 0 has gone */
        reply.place.lease = i;
        reply.place.descriptor = i < 5;
        place_answer(&request, &reply, i < 5 ? 1 : 0);
        if (i < 6) {
            place_expect_next(consumer, i * PLACE_EACH, (i + 1) * PLACE_EACH);
            (void)tusk_consumer_next(consumer, &entry, 0);
            place_take_read(&request, PLACE_FLAGS);
        }
    }
    assert_true(tusk_consumer_next(consumer, &entry, 5000) < 0);
    assert_int_equal(tusk_process(place_peer.t, 0), TUSK_EPROTOCOL);
    (void)tusk_consumer_close(consumer, 0); /* The connection is over */
    while (place_take(&request)) {
        assert_int_equal(request.message.type, MESSAGE_READ);
    }
    for (i = 0; i < 6; i++) {
        assert_int_equal(place_released[i], 1);
    }
}

/* ---- places that cannot be ---- */

struct impossible {
    uint64_t segment_size;
    uint64_t block;
    uint32_t position;
    uint32_t size;
    uint32_t lease;
    bool announced;
    unsigned descriptors;
};

static const struct impossible impossible[] = {
    /* Beyond the segment's end, by the block, the position and the size */
    {PLACE_SEGMENT_SIZE, PLACE_SEGMENT_SIZE, PLACE_DATA_AT, 1000, PLACE_LEASE, true, 1},
    {PLACE_SEGMENT_SIZE, UINT64_MAX, PLACE_DATA_AT, 1000, PLACE_LEASE, true, 1},
    {PLACE_SEGMENT_SIZE, UINT64_MAX - PLACE_DATA_AT, PLACE_DATA_AT, 1000, PLACE_LEASE, true, 1},
    {PLACE_SEGMENT_SIZE, PLACE_BLOCK, PLACE_BLOCK, 1, PLACE_LEASE, true, 1},
    {PLACE_SEGMENT_SIZE, PLACE_BLOCK, UINT32_MAX, 1000, PLACE_LEASE, true, 1},
    {PLACE_SEGMENT_SIZE, PLACE_BLOCK, PLACE_DATA_AT, PLACE_BLOCK - PLACE_DATA_AT + 1, PLACE_LEASE,
     true, 1},
    {PLACE_SEGMENT_SIZE, PLACE_BLOCK, PLACE_DATA_AT, UINT32_MAX, PLACE_LEASE, true, 1},
    {PLACE_SEGMENT_SIZE, PLACE_SEGMENT_SIZE - 1, PLACE_DATA_AT, 1, PLACE_LEASE, true, 1},
    /* In the block's own first bytes, nothing at all, or of nothing */
    {PLACE_SEGMENT_SIZE, PLACE_BLOCK, PLACE_GENERATION_AT, 1000, PLACE_LEASE, true, 1},
    {PLACE_SEGMENT_SIZE, PLACE_BLOCK, PLACE_DATA_AT, 0, PLACE_LEASE, true, 1},
    {0, 0, PLACE_DATA_AT, 1000, PLACE_LEASE, true, 1},
    {UINT64_MAX, PLACE_BLOCK, PLACE_DATA_AT, 1000, PLACE_LEASE, true, 1},
    /* A lease that no connection has */
    {PLACE_SEGMENT_SIZE, PLACE_BLOCK, PLACE_DATA_AT, 1000, MESSAGE_LEASES_MAX, true, 1},
    {PLACE_SEGMENT_SIZE, PLACE_BLOCK, PLACE_DATA_AT, 1000, UINT32_MAX, true, 1},
    /* A segment that nobody knows */
    {PLACE_SEGMENT_SIZE, PLACE_BLOCK, PLACE_DATA_AT, 1000, PLACE_LEASE, false, 0},
    {PLACE_SEGMENT_SIZE, PLACE_BLOCK, PLACE_DATA_AT, 1000, PLACE_LEASE, false, 1},
};

/* Whatever of a place cannot be, nothing of it is looked at: the connection breaks, and the
 * descriptor that came along is closed. */
static void places_that_cannot_be_break_the_connection(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof impossible / sizeof impossible[0]; i++) {
        const struct impossible *bad = &impossible[i];
        struct tusk_consumer *consumer;
        struct message_read_reply reply;
        struct peer_request request;
        struct tusk_entry entry;

        place_begin();
        consumer = place_open_consumer(0, 0);
        reply = place_of(0, PLACE_BATCHES);
        reply.position = bad->position;
        reply.place.segment_size = bad->segment_size;
        reply.place.block = bad->block;
        reply.place.size = bad->size;
        reply.place.lease = bad->lease;
        reply.place.descriptor = bad->announced;
        place_ask(consumer, &request, PLACE_FLAGS);
        place_answer(&request, &reply, bad->descriptors);
        assert_true(tusk_consumer_next(consumer, &entry, 5000) < 0);
        assert_int_equal(tusk_process(place_peer.t, 0), TUSK_EPROTOCOL);
        (void)tusk_consumer_close(consumer, 0); /* The connection is over */
        place_end();
    }
}

/* A segment that is said to be of another size than before is not the one that was mapped. */
static void a_segment_that_changes_its_size_breaks_the_connection(void **state)
{
    struct tusk_consumer *consumer = place_open_consumer(0, 0);
    struct message_read_reply reply = place_of(0, 1);
    struct peer_request request;
    struct tusk_entry entry;

    (void)state;
    place_ask(consumer, &request, PLACE_FLAGS);
    place_answer(&request, &reply, 1);
    place_expect_next(consumer, 0, PLACE_EACH);
    (void)tusk_consumer_next(consumer, &entry, 0);
    place_take_read(&request, PLACE_FLAGS);
    reply = place_of(1, 2);
    reply.place.segment_size = 2 * PLACE_SEGMENT_SIZE;
    reply.place.block = PLACE_SEGMENT_SIZE;
    reply.place.descriptor = false;
    place_answer(&request, &reply, 0);
    assert_true(tusk_consumer_next(consumer, &entry, 5000) < 0);
    assert_int_equal(tusk_process(place_peer.t, 0), TUSK_EPROTOCOL);
    (void)tusk_consumer_close(consumer, 0); /* The connection is over */
}

static void keep_code(void *user, int code, struct tusk_batch *batch)
{
    assert_null(batch);
    *(int *)user = code;
}

/* A place that nobody asked for is not followed: not by a read, and not by a consumer that copies. */
static void places_not_asked_for_break_the_connection(void **state)
{
    const struct tusk_read_options unchecked = {.size = sizeof unchecked,
                                                .flags = TUSK_READ_UNCHECKED};
    struct tusk_consumer *consumer;
    struct message_read_reply reply;
    struct peer_request request;
    struct tusk_entry entry;
    int code = TUSK_OK;

    (void)state;
    place_begin();
    reply = place_of(0, PLACE_BATCHES);
    assert_int_equal(tusk_submit_read(place_peer.t, "t", NULL, &unchecked, keep_code, &code),
                     TUSK_OK);
    assert_int_equal(tusk_process(place_peer.t, 0), TUSK_OK);
    place_take_read(&request, READ_UNCHECKED);
    place_answer(&request, &reply, 1);
    assert_int_equal(tusk_process(place_peer.t, 5000), TUSK_EPROTOCOL);
    assert_int_equal(code, TUSK_EUNREACHABLE);
    place_end();
    place_begin();
    consumer = place_open_consumer(TUSK_CONSUMER_NO_MAP, 0);
    place_ask(consumer, &request, READ_UNCHECKED);
    place_answer(&request, &reply, 1);
    assert_true(tusk_consumer_next(consumer, &entry, 5000) < 0);
    assert_int_equal(tusk_process(place_peer.t, 0), TUSK_EPROTOCOL);
    (void)tusk_consumer_close(consumer, 0); /* The connection is over */
    place_end();
}

/* ---- descriptors ---- */

/* Descriptors that nobody announced are kept up to a bound, none for a child that is executed, and
 * closed with the connection; the place is read all the same. */
static void more_descriptors_than_expected_are_closed(void **state)
{
    struct tusk_consumer *consumer;
    struct message_read_reply reply;
    struct peer_request request;
    bool there[1000];
    uint8_t bytes[512];
    unsigned before;
    size_t size;
    size_t i;
    int fd;

    (void)state;
    consumer = place_open_consumer(0, 0);
    place_ask(consumer, &request, PLACE_FLAGS);
    reply = place_of(0, PLACE_BATCHES);
    size = place_encode(bytes, &request, &reply);
    for (fd = 0; fd < 1000; fd++) {
        there[fd] = fcntl(fd, F_GETFD) >= 0;
    }
    before = place_count_descriptors();
    for (i = 0; i < size; i++) {
        place_send(bytes + i, 1, (unsigned)i % PLACE_DESCRIPTORS_MAX + 1);
    }
    place_expect_next(consumer, 0, PLACE_COUNT);
    assert_in_range(place_count_descriptors(), before + 1, before + DESCRIPTORS_KEPT);
    for (fd = 0; fd < 1000; fd++) {
        const int flags = fcntl(fd, F_GETFD);

        assert_true(flags < 0 || there[fd] || (flags & FD_CLOEXEC) != 0);
    }
    place_close_consumer(consumer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(four_segments_are_kept),
        cmocka_unit_test(places_that_cannot_be_break_the_connection),
        PLACE_TEST(a_segment_that_changes_its_size_breaks_the_connection),
        cmocka_unit_test(places_not_asked_for_break_the_connection),
        PLACE_TEST(more_descriptors_than_expected_are_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
