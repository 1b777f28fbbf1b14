/* Consumers that are answered with places in files: entries come from there, what cannot be read or
 * does not check out is asked for as bytes, and leases are given back once. */
#include "tests/unit/place_fixture.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- what is read ---- */

/* The library asks for places, has its entries from the file that came along, keeps no descriptor
 * of it, and gives the block back once, when all of it was read. */
static void entries_come_from_the_file(void **state)
{
    struct tusk_consumer *consumer;
    struct peer_request request;
    struct tusk_entry entry;
    unsigned open_before;

    (void)state;
    assert_int_equal(place_peer.features_asked & PLACE_FEATURES, PLACE_FEATURES);
    open_before = place_count_descriptors();
    consumer = place_consumer(0);
    place_expect_next(consumer, 0, PLACE_COUNT);
    assert_int_equal(place_count_descriptors(), open_before);
    assert_int_equal(place_released[PLACE_LEASE], 0);
    assert_int_equal(tusk_consumer_next(consumer, &entry, 0), TUSK_ETIMEOUT);
    place_take_read(&request, PLACE_FLAGS);
    place_expect_released(PLACE_LEASE, 1);
    peer_answer_error(&place_peer, &request.frame, TUSK_EEND, PLACE_COUNT, PLACE_COUNT, "the end");
    assert_int_equal(tusk_consumer_next(consumer, &entry, 5000), TUSK_EEND);
    place_close_consumer(consumer);
    place_expect_released(PLACE_LEASE, 1);
}

/* ---- places that cannot be used ---- */

/* The consumer asks for the same once more, as bytes that the daemon has looked at, gets them, and
 * has given the lease back once. What it asks for afterwards. */
static void expect_bytes_instead(struct tusk_consumer *consumer, uint16_t flags_afterwards)
{
    struct peer_request request;
    struct tusk_entry entry;

    place_ask(consumer, &request, 0);
    peer_answer_from_model(&place_peer, &request);
    place_expect_next(consumer, 0, PLACE_COUNT);
    assert_int_equal(tusk_consumer_next(consumer, &entry, 0), TUSK_ETIMEOUT);
    place_take_read(&request, flags_afterwards);
    place_expect_released(PLACE_LEASE, 1);
    place_close_consumer(consumer);
    place_expect_released(PLACE_LEASE, 1);
}

/* A file that ends before the place does, as after a failing disk, is no signal and no error: bytes
 * are asked for, and no more places. */
static void a_file_too_short_gives_bytes_instead(void **state)
{
    static const off_t sizes[] = {0, PLACE_BLOCK, PLACE_BLOCK + PLACE_DATA_AT};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct tusk_consumer *consumer;

        place_begin();
        assert_int_equal(ftruncate(place_file, sizes[i]), 0);
        consumer = place_consumer(0);
        expect_bytes_instead(consumer, READ_UNCHECKED);
        place_end();
    }
}

/* A descriptor that the kernel dropped on the way, because this process has as many as it may, is
 * no broken daemon: bytes are asked for, and no more places. */
static void a_descriptor_that_got_lost_gives_bytes_instead(void **state)
{
    struct tusk_consumer *consumer = place_open_consumer(0, 0);
    const struct message_read_reply reply = place_of(0, PLACE_BATCHES);
    struct peer_request request;

    (void)state;
    assert_true(reply.place.descriptor);
    place_ask(consumer, &request, PLACE_FLAGS);
    place_answer(&request, &reply, 0);
    expect_bytes_instead(consumer, READ_UNCHECKED);
}

/* What does not check out where it lies, wherever, is asked for as bytes, to be looked at; then
 * places are asked for again. */
static void damage_in_the_file_is_asked_for_again(void **state)
{
    static const uint32_t places[] = {PLACE_DATA_AT,      PLACE_DATA_AT + 4,   PLACE_DATA_AT + 9,
                                      PLACE_DATA_AT + 64, PLACE_DATA_AT + 120, PLACE_DATA_AT + 400};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct tusk_consumer *consumer;
        uint8_t byte;

        place_begin();
        assert_int_equal(pread(place_file, &byte, 1, PLACE_BLOCK + places[i]), 1);
        byte ^= 16;
        place_write(&byte, 1, PLACE_BLOCK + places[i]);
        consumer = place_consumer(0);
        expect_bytes_instead(consumer, PLACE_FLAGS);
        place_end();
    }
}

/* A block whose first page says that it is another use of it is not believed, though every batch in
 * it checks out. */
static void a_block_of_another_generation_is_asked_for_again(void **state)
{
    struct tusk_consumer *consumer;

    (void)state;
    place_write_generation(PEER_GENERATION + 1);
    consumer = place_consumer(0);
    expect_bytes_instead(consumer, PLACE_FLAGS);
}

/* ---- blocks that are used again while they are read ---- */

/* When the block gets another generation, the next call says so: what was returned is not
 * checkpointed, and nothing more is returned, whatever stands there by now. */
static void a_block_used_again_is_neither_returned_nor_checkpointed(void **state)
{
    static const uint8_t fills[] = {0, 0xff, 1};
    static uint8_t fill[PLACE_BLOCK - PLACE_DATA_AT];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof fills; i++) {
        struct tusk_consumer *consumer;
        struct peer_request request;
        struct tusk_entry entry;
        unsigned before;

        place_begin();
        consumer = place_consumer(1);
        place_expect_next(consumer, 0, PLACE_EACH + 3);
        /* So that no checkpoint is on its way, of which the outcome would be unknown. */
        assert_int_equal(tusk_process(place_peer.t, 0), TUSK_OK);
        while (place_take(&request)) {
            assert_int_equal(request.message.type, MESSAGE_READ);
        }
        assert_int_equal(tusk_process(place_peer.t, 0), TUSK_OK);
        before = place_checkpoints;
        place_write_generation(PEER_GENERATION + 1);
        memset(fill, fills[i], sizeof fill);
        place_write(fill, sizeof fill, PLACE_BLOCK + PLACE_DATA_AT);
        assert_int_equal(tusk_consumer_next(consumer, &entry, 5000), TUSK_ECLOSED);
        assert_int_equal(tusk_last_error(place_peer.t)->code, TUSK_ECLOSED);
        assert_int_equal(tusk_consumer_next(consumer, &entry, 5000), TUSK_ECLOSED);
        assert_int_equal(tusk_consumer_checkpoint(consumer, 0), TUSK_ECLOSED);
        while (place_take(&request)) {
            assert_int_equal(request.message.type, MESSAGE_READ);
        }
        assert_int_equal(place_checkpoints, before);
        (void)tusk_consumer_close(consumer, 0); /* A checkpoint before that may be unanswered */
        place_end();
    }
}

/* ---- leases ---- */

/* A consumer that is closed, or sent elsewhere, gives back what it holds, once. */
static void leases_are_given_back_by_close_and_seek(void **state)
{
    const struct tusk_position first = {TUSK_FROM_EARLIEST, 0};
    struct tusk_consumer *consumer;

    (void)state;
    place_begin();
    consumer = place_consumer(0);
    place_expect_next(consumer, 0, 5);
    place_close_consumer(consumer);
    place_expect_released(PLACE_LEASE, 1);
    place_end();
    place_begin();
    consumer = place_consumer(0);
    place_expect_next(consumer, 0, 5);
    assert_int_equal(tusk_consumer_seek(consumer, first), TUSK_OK);
    place_expect_released(PLACE_LEASE, 1);
    place_close_consumer(consumer);
    place_expect_released(PLACE_LEASE, 1);
    place_end();
}

/* A consumer that is closed gives back what it holds at once, not with the next call: there may be
 * none for long, and the block would be kept. */
static void a_closed_consumer_gives_back_without_another_call(void **state)
{
    struct tusk_consumer *consumer = place_consumer(0);
    struct peer_request request;

    (void)state;
    place_expect_next(consumer, 0, 5);
    place_take_read(&request, PLACE_FLAGS);
    peer_answer_error(&place_peer, &request.frame, TUSK_EEND, PLACE_COUNT, PLACE_COUNT, "the end");
    assert_int_equal(tusk_process(place_peer.t, 5000), TUSK_OK);
    place_close_consumer(consumer);
    assert_false(place_take(&request));
    assert_int_equal(place_released[PLACE_LEASE], 1);
}

/* The answer to a read that nobody waits for any more is given back when it comes. */
static void a_place_that_comes_too_late_is_given_back(void **state)
{
    struct tusk_consumer *consumer = place_consumer(0);

    (void)state;
    place_close_consumer(consumer);
    place_expect_released(PLACE_LEASE, 1);
}

/* When the connection breaks there is nobody to give anything back to; what is held can be read to
 * its end, and the consumer closed. */
static void what_is_held_outlives_the_connection(void **state)
{
    struct tusk_consumer *consumer = place_consumer(0);
    struct tusk_entry entry;

    (void)state;
    place_expect_next(consumer, 0, 5);
    assert_int_equal(shutdown(place_peer.fd, SHUT_RDWR), 0);
    assert_int_equal(tusk_process(place_peer.t, 5000), TUSK_EUNREACHABLE);
    place_expect_next(consumer, 5, PLACE_COUNT);
    assert_true(tusk_consumer_next(consumer, &entry, 5000) < 0);
    (void)tusk_consumer_close(consumer, 0); /* The connection is over */
    assert_int_equal(place_released[PLACE_LEASE], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(entries_come_from_the_file),
        cmocka_unit_test(a_file_too_short_gives_bytes_instead),
        PLACE_TEST(a_descriptor_that_got_lost_gives_bytes_instead),
        cmocka_unit_test(damage_in_the_file_is_asked_for_again),
        PLACE_TEST(a_block_of_another_generation_is_asked_for_again),
        cmocka_unit_test(a_block_used_again_is_neither_returned_nor_checkpointed),
        cmocka_unit_test(leases_are_given_back_by_close_and_seek),
        PLACE_TEST(a_closed_consumer_gives_back_without_another_call),
        PLACE_TEST(a_place_that_comes_too_late_is_given_back),
        PLACE_TEST(what_is_held_outlives_the_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
