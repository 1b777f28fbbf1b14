#include "tests/unit/client_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

struct deliveries {
    struct tusk_delivery items[1000];
    uint32_t count;
};

static struct deliveries deliveries;

static void take_delivery(void *user, const struct tusk_delivery *delivery)
{
    struct deliveries *all = user;

    assert_true(all->count < 1000);
    all->items[all->count++] = *delivery;
}

static int setup(void **state)
{
    static struct peer peer;

    deliveries.count = 0;
    peer_open(&peer, NULL, NULL);
    *state = &peer;
    return 0;
}

static int teardown(void **state)
{
    peer_close(*state);
    return 0;
}

static struct tusk_producer *open_producer(struct peer *peer, uint32_t count, uint32_t bytes,
                                           uint32_t linger_us, uint32_t in_flight)
{
    const struct tusk_producer_options options = {.size = sizeof options,
                                                  .topic = "t",
                                                  .batch_count_max = count,
                                                  .batch_bytes_max = bytes,
                                                  .linger_us = linger_us,
                                                  .in_flight_max = in_flight,
                                                  .fn = take_delivery,
                                                  .user = &deliveries};
    struct tusk_producer *producer;

    assert_int_equal(tusk_producer_open(peer->t, &options, &producer), TUSK_OK);
    return producer;
}

static void append(struct tusk_producer *producer, const char *text)
{
    assert_int_equal(tusk_producer_append(producer, text, strlen(text), 1000), TUSK_OK);
}

/* Options that are not there, or say no size, are refused. */
static void options_are_needed(void **state)
{
    const struct tusk_producer_options none = {.topic = "t"};
    struct peer *peer = *state;
    struct tusk_producer *producer;

    assert_int_equal(tusk_producer_open(peer->t, NULL, &producer), TUSK_EINVALID);
    assert_int_equal(tusk_producer_open(peer->t, &none, &producer), TUSK_EINVALID);
    assert_null(producer);
}

/* A batch goes out when it holds its count, whatever the time. */
static void a_batch_goes_out_by_count(void **state)
{
    struct peer *peer = *state;
    struct tusk_producer *producer = open_producer(peer, 3, 0, 60000000, 0);
    struct peer_request request;

    append(producer, "a");
    append(producer, "b");
    assert_false(peer_has_request(peer));
    append(producer, "c");
    peer_take(peer, &request);
    assert_int_equal(request.message.u.append.batch_size, BATCH_HEADER_SIZE + 3 * 4 + 3);
    assert_false(peer_has_request(peer));
    assert_int_equal(tusk_producer_due_ms(producer), -1);
    peer_answer_append(peer, &request.frame, 0);
    assert_int_equal(tusk_producer_close(producer, 1000), TUSK_OK);
    assert_int_equal(deliveries.count, 1);
    assert_int_equal(deliveries.items[0].count, 3);
}

/* Or when the next entry would not fit its bytes; an entry larger than a batch goes alone. */
static void a_batch_goes_out_by_bytes(void **state)
{
    struct peer *peer = *state;
    struct tusk_producer *producer = open_producer(peer, 0, 10, 60000000, 0);
    struct peer_request request;

    append(producer, "four");
    append(producer, "five5");
    assert_false(peer_has_request(peer));
    append(producer, "xy");
    peer_take(peer, &request);
    assert_int_equal(request.message.u.append.batch_size, BATCH_HEADER_SIZE + 2 * 4 + 9);
    append(producer, "an entry larger than the batch");
    peer_take(peer, &request);
    assert_int_equal(request.message.u.append.batch_size, BATCH_HEADER_SIZE + 4 + 2);
    peer_take(peer, &request);
    assert_int_equal(request.message.u.append.batch_size, BATCH_HEADER_SIZE + 4 + 30);
    assert_int_equal(tusk_producer_close(producer, 0), TUSK_ETIMEOUT);
}

/* Or when its first entry is old enough, which an idle program notices by process(). */
static void a_batch_goes_out_by_age(void **state)
{
    struct peer *peer = *state;
    struct tusk_producer *producer = open_producer(peer, 0, 0, 5000, 0);
    struct peer_request request;
    int due;

    append(producer, "a");
    due = tusk_producer_due_ms(producer);
    assert_true(due >= 0 && due <= 5);
    while (tusk_producer_due_ms(producer) > 0) {
        assert_int_equal(tusk_producer_process(producer), TUSK_OK);
    }
    assert_int_equal(tusk_producer_process(producer), TUSK_OK);
    peer_take(peer, &request);
    peer_answer_append(peer, &request.frame, 0);
    assert_int_equal(tusk_producer_close(producer, 1000), TUSK_OK);
}

/* Every entry is stored once, in order, and accounted for; after the first answer the topic
 * goes by its id. */
static void a_long_run_is_stored_in_order(void **state)
{
    struct tusk_producer_info info = {.size = sizeof info};
    struct peer *peer = *state;
    struct tusk_producer *producer = open_producer(peer, 100, 0, 60000000, 2);
    uint64_t next = 0;
    uint64_t i;

    peer_serve_begin(peer);
    for (i = 0; i < 50050; i++) {
        assert_int_equal(tusk_producer_append(producer, &i, sizeof i, 5000), TUSK_OK);
    }
    assert_int_equal(tusk_producer_flush(producer, 5000), TUSK_OK);
    assert_int_equal(tusk_producer_info(producer, &info), TUSK_OK);
    assert_int_equal(info.stored, 50050);
    assert_int_equal(info.taken, 50050);
    assert_int_equal(info.pending, 0);
    assert_int_equal(info.first_offset, 0);
    assert_int_equal(info.last_offset, 50049);
    assert_int_equal(tusk_producer_close(producer, 1000), TUSK_OK);
    peer_serve_end(peer);
    for (i = 0; i < peer->model.batch_count; i++) {
        struct batch_iterator it;
        struct batch_entry entry;

        batch_entries(&it, peer->model.batches[i].bytes);
        for (; batch_next(&it, &entry); next++) {
            assert_memory_equal(entry.data, &next, sizeof next);
        }
    }
    assert_int_equal(next, 50050);
    assert_int_equal(deliveries.count, 501);
    assert_int_equal(deliveries.items[500].index, 50000);
}

/* A daemon that does not answer bounds the producer: without waiting it is busy, and what was
 * refused was not taken. */
static void a_full_producer_is_busy(void **state)
{
    struct tusk_producer_info info = {.size = sizeof info};
    struct peer *peer = *state;
    struct tusk_producer *producer = open_producer(peer, 2, 0, 60000000, 3);
    int i;

    for (i = 0; i < 8; i++) {
        assert_int_equal(tusk_producer_append(producer, "x", 1, 0), TUSK_OK);
    }
    assert_int_equal(tusk_producer_append(producer, "x", 1, 0), TUSK_EBUSY);
    assert_int_equal(tusk_producer_append(producer, "x", 1, 10), TUSK_EBUSY);
    assert_int_equal(tusk_producer_info(producer, &info), TUSK_OK);
    assert_int_equal(info.taken, 8);
    assert_int_equal(info.pending, 8);
    peer_serve_begin(peer);
    assert_int_equal(tusk_producer_append(producer, "x", 1, 5000), TUSK_OK);
    assert_int_equal(tusk_producer_close(producer, 5000), TUSK_OK);
}

/* After a batch that was not stored nothing more is taken until the program says so: no later
 * entry gets in front of a lost one unnoticed. */
static void a_failed_batch_stops_the_producer(void **state)
{
    struct peer *peer = *state;
    struct tusk_producer *producer = open_producer(peer, 1, 0, 0, 0);
    struct peer_request request;

    append(producer, "a");
    peer_take(peer, &request);
    peer_answer_error(peer, &request.frame, TUSK_ENOSPACE, 0, 0, "full");
    assert_int_equal(tusk_producer_flush(producer, 1000), TUSK_ENOSPACE);
    assert_int_equal(tusk_producer_append(producer, "b", 1, 1000), TUSK_ENOSPACE);
    assert_int_equal(deliveries.items[0].code, TUSK_ENOSPACE);
    tusk_producer_resume(producer);
    peer_serve_begin(peer);
    append(producer, "b");
    assert_int_equal(tusk_producer_close(producer, 1000), TUSK_OK);
}

/* When the connection breaks, each entry taken is delivered once: what was sent as unknown, what
 * was still gathering as not stored. */
static void a_broken_connection_accounts_for_every_entry(void **state)
{
    struct tusk_producer_info info = {.size = sizeof info};
    struct peer *peer = *state;
    struct tusk_producer *producer = open_producer(peer, 2, 0, 60000000, 0);
    int i;

    for (i = 0; i < 5; i++) {
        append(producer, "x");
    }
    (void)close(peer->fd);
    peer->fd = -1;
    assert_true(tusk_producer_flush(producer, 1000) != TUSK_OK);
    assert_int_equal(tusk_producer_info(producer, &info), TUSK_OK);
    assert_int_equal(info.unknown, 4);
    assert_int_equal(info.not_stored, 1);
    assert_int_equal(info.pending, 0);
    assert_int_equal(tusk_producer_close(producer, 1000), TUSK_EUNKNOWN);
}

/* Closing without waiting delivers what is open, and no answer reaches the freed producer. */
static void closing_delivers_what_is_open(void **state)
{
    struct peer *peer = *state;
    struct tusk_producer *producer = open_producer(peer, 2, 0, 60000000, 0);
    struct peer_request request;

    append(producer, "a");
    append(producer, "b");
    assert_int_equal(tusk_producer_close(producer, 0), TUSK_ETIMEOUT);
    assert_int_equal(deliveries.count, 1);
    assert_int_equal(deliveries.items[0].code, TUSK_EUNKNOWN);
    peer_take(peer, &request);
    peer_answer_append(peer, &request.frame, 0);
    assert_int_equal(tusk_process(peer->t, 0), TUSK_OK);
    assert_int_equal(tusk_in_flight(peer->t), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(options_are_needed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_goes_out_by_count, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_goes_out_by_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_goes_out_by_age, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_run_is_stored_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_producer_is_busy, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_batch_stops_the_producer, setup, teardown),
        cmocka_unit_test_setup_teardown(a_broken_connection_accounts_for_every_entry, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(closing_delivers_what_is_open, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
