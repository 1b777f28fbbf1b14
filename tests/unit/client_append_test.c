#include "tests/unit/client_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RESULTS_MAX 4096

/* What callbacks were told, in the order they ran. */
struct results {
    int codes[RESULTS_MAX];
    uint64_t offsets[RESULTS_MAX];
    uint32_t count;
};

static void take_result(void *user, int code, const struct tusk_append_result *result)
{
    struct results *results = user;

    assert_true(results->count < RESULTS_MAX);
    assert_true((code == TUSK_OK) == (result != NULL));
    results->codes[results->count] = code;
    results->offsets[results->count] = result != NULL ? result->first_offset : 0;
    results->count++;
}

static int setup(void **state)
{
    static struct peer peer;

    peer_open(&peer, NULL, NULL);
    *state = &peer;
    return 0;
}

static int teardown(void **state)
{
    peer_close(*state);
    return 0;
}

/* The entries of a batch get to the daemon as they were given, and their offsets come back. */
static void append_batch_round_trip(void **state)
{
    const struct tusk_bytes entries[] = {{"one", 3}, {NULL, 0}, {"three", 5}};
    struct tusk_append_result result;
    struct peer *peer = *state;
    struct batch_iterator it;
    struct batch_entry entry;

    peer->model.end = 100;
    peer_serve_begin(peer);
    assert_int_equal(tusk_append_batch(peer->t, "t", entries, 3, 0, &result), TUSK_OK);
    assert_int_equal(result.topic_id, PEER_TOPIC_ID);
    assert_int_equal(result.first_offset, 100);
    assert_int_equal(result.last_offset, 102);
    assert_int_equal(tusk_append(peer->t, "t", "four", 4, 0, &result), TUSK_OK);
    assert_int_equal(result.first_offset, 103);
    assert_int_equal(tusk_sync(peer->t), TUSK_OK);
    assert_int_equal(tusk_ping(peer->t), TUSK_OK);
    peer_serve_end(peer);

    batch_entries(&it, peer->model.batches[0].bytes);
    assert_true(batch_next(&it, &entry));
    assert_memory_equal(entry.data, "one", 3);
    assert_true(batch_next(&it, &entry));
    assert_int_equal(entry.size, 0);
    assert_true(batch_next(&it, &entry));
    assert_int_equal(entry.size, 5);
    assert_memory_equal(entry.data, "three", 5);
}

/* What the daemon refuses arrives with its code, details and sentence; the connection lives. */
static void a_refusal_is_not_stored_and_says_why(void **state)
{
    struct results results = {0};
    struct peer *peer = *state;
    struct peer_request request;

    assert_int_equal(
        tusk_submit_append(peer->t, "t", "x", 1, TUSK_APPEND_DURABLE, take_result, &results),
        TUSK_OK);
    assert_int_equal(tusk_process(peer->t, 0), TUSK_OK);
    peer_take(peer, &request);
    assert_int_equal(request.message.u.append.flags, APPEND_DURABLE);
    peer_answer_error(peer, &request.frame, TUSK_EQUOTA, 5, 6, "quota of 1 GiB is used up");
    assert_int_equal(tusk_process(peer->t, 1000), TUSK_OK);
    assert_int_equal(results.codes[0], TUSK_EQUOTA);
    assert_int_equal(tusk_last_error(peer->t)->code, TUSK_EQUOTA);
    assert_int_equal(tusk_last_error(peer->t)->detail_b, 6);
    assert_string_equal(tusk_last_error(peer->t)->text, "quota of 1 GiB is used up");
}

/* Replies find their requests in any order. */
static void replies_may_come_in_any_order(void **state)
{
    struct peer *peer = *state;
    struct peer_request requests[8];
    struct results results[8] = {0};
    int i;

    for (i = 0; i < 8; i++) {
        assert_int_equal(
            tusk_submit_append(peer->t, "t", &i, sizeof i, 0, take_result, &results[i]), TUSK_OK);
    }
    assert_int_equal(tusk_process(peer->t, 0), TUSK_OK);
    for (i = 0; i < 8; i++) {
        peer_take(peer, &requests[i]);
    }
    for (i = 7; i >= 0; i--) {
        peer_answer_append(peer, &requests[i].frame, (uint64_t)(1000 + i));
    }
    assert_int_equal(tusk_flush(peer->t, 1000), TUSK_OK);
    for (i = 0; i < 8; i++) {
        assert_int_equal(results[i].count, 1);
        assert_int_equal(results[i].codes[0], TUSK_OK);
        assert_int_equal(results[i].offsets[0], 1000 + i);
    }
    assert_int_equal(tusk_in_flight(peer->t), 0);
}

/* A reply may arrive in pieces of any size. */
static void replies_arrive_byte_by_byte(void **state)
{
    struct results results = {0};
    struct peer *peer = *state;
    struct peer_request request;
    uint8_t bytes[64];
    size_t size;
    size_t i;

    assert_int_equal(tusk_submit_append(peer->t, "t", "x", 1, 0, take_result, &results), TUSK_OK);
    assert_int_equal(tusk_process(peer->t, 0), TUSK_OK);
    peer_take(peer, &request);
    size = peer_append_reply(bytes, &request.frame, 5);
    for (i = 0; i < size; i++) {
        assert_int_equal(results.count, 0);
        peer_send(peer, bytes + i, 1);
        assert_int_equal(tusk_process(peer->t, 0), TUSK_OK);
    }
    assert_int_equal(results.count, 1);
    assert_int_equal(results.offsets[0], 5);
}

/* However much of a reply was read when the connection ended: unless it was all of it, nobody
 * can tell whether the entry is stored. */
static void a_connection_cut_inside_a_reply_leaves_the_outcome_unknown(void **state)
{
    const size_t reply_size = FRAME_HEADER_SIZE + MESSAGE_APPEND_REPLY_SIZE;
    static struct peer peer;
    struct peer_request request;
    uint8_t bytes[64];
    size_t cut;

    (void)state;
    for (cut = 0; cut <= reply_size; cut++) {
        struct results results = {0};

        peer_open(&peer, NULL, NULL);
        assert_int_equal(tusk_submit_append(peer.t, "t", "x", 1, 0, take_result, &results),
                         TUSK_OK);
        assert_int_equal(tusk_process(peer.t, 0), TUSK_OK);
        peer_take(&peer, &request);
        assert_int_equal(peer_append_reply(bytes, &request.frame, 5), reply_size);
        peer_send(&peer, bytes, cut);
        (void)close(peer.fd);
        peer.fd = -1;
        while (tusk_process(peer.t, 1000) == TUSK_OK) {
        }
        assert_int_equal(results.count, 1);
        assert_int_equal(results.codes[0], cut < reply_size ? TUSK_EUNKNOWN : TUSK_OK);
        assert_int_equal(tusk_append(peer.t, "t", "y", 1, 0, NULL), TUSK_ECLOSED);
        assert_int_equal(tusk_events(peer.t), 0);
        peer_close(&peer);
    }
}

/* What never left this process is certainly not stored. */
static void appends_that_were_never_sent_are_not_stored(void **state)
{
    struct results results = {0};
    struct peer *peer = *state;

    (void)close(peer->fd);
    peer->fd = -1;
    assert_int_equal(tusk_submit_append(peer->t, "t", "x", 1, 0, take_result, &results), TUSK_OK);
    assert_int_equal(tusk_process(peer->t, 1000), TUSK_EUNREACHABLE);
    assert_int_equal(results.count, 1);
    assert_int_equal(results.codes[0], TUSK_ECLOSED);
    assert_int_equal(tusk_outcome(results.codes[0]), TUSK_NOT_STORED);
}

/* Requests complete in the order of submission when the connection breaks, and closing is a way
 * to break it. */
static void closing_completes_every_request(void **state)
{
    struct results results = {0};
    static struct peer peer;
    int i;

    (void)state;
    peer_open(&peer, NULL, NULL);
    for (i = 0; i < 20; i++) {
        assert_int_equal(tusk_submit_append(peer.t, "t", "x", 1, 0, take_result, &results),
                         TUSK_OK);
        if (i == 9) {
            assert_int_equal(tusk_process(peer.t, 0), TUSK_OK);
        }
    }
    peer_close(&peer);
    assert_int_equal(results.count, 20);
    for (i = 0; i < 20; i++) {
        assert_int_equal(results.codes[i], i < 10 ? TUSK_EUNKNOWN : TUSK_ECLOSED);
    }
}

/* A daemon that does not read stops the producer at the send buffer's size, not at the end of
 * memory; when it reads again, everything taken arrives. */
static void a_full_send_buffer_is_busy_and_bounded(void **state)
{
    const struct tusk_options options = {.size = sizeof options, .send_buffer_size = 65536};
    const uint32_t count_max = 1000000;
    static struct peer peer;
    uint8_t payload[1000] = {0};
    uint32_t taken = 0;
    int rc;

    (void)state;
    peer_open(&peer, NULL, &options);
    while ((rc = tusk_submit_append(peer.t, "t", payload, sizeof payload, 0, NULL, NULL)) ==
           TUSK_OK) {
        assert_true(++taken < count_max);
        assert_int_equal(tusk_process(peer.t, 0), TUSK_OK);
    }
    assert_int_equal(rc, TUSK_EBUSY);
    assert_int_equal(tusk_events(peer.t), POLLIN | POLLOUT);
    peer_serve_begin(&peer);
    assert_int_equal(tusk_flush(peer.t, 5000), TUSK_OK);
    peer_serve_end(&peer);
    assert_int_equal(peer.model.end, taken);
    peer_close(&peer);
}

/* The daemon's limits of requests and bytes in flight are kept on this side, too. */
static void limits_in_flight_are_respected(void **state)
{
    struct message_hello_reply hello = peer_hello();
    static struct peer peer;
    uint8_t payload[900] = {0};
    uint32_t i;

    (void)state;
    hello.in_flight_max = 3;
    peer_open(&peer, &hello, NULL);
    for (i = 0; i < 3; i++) {
        assert_int_equal(tusk_submit_append(peer.t, "t", "x", 1, 0, NULL, NULL), TUSK_OK);
    }
    assert_int_equal(tusk_submit_append(peer.t, "t", "x", 1, 0, NULL, NULL), TUSK_EBUSY);
    peer_close(&peer);

    hello = peer_hello();
    hello.in_flight_bytes_max = 2100;
    peer_open(&peer, &hello, NULL);
    assert_int_equal(tusk_submit_append(peer.t, "t", payload, 900, 0, NULL, NULL), TUSK_OK);
    assert_int_equal(tusk_submit_append(peer.t, "t", payload, 900, 0, NULL, NULL), TUSK_OK);
    assert_int_equal(tusk_submit_append(peer.t, "t", payload, 900, 0, NULL, NULL), TUSK_EBUSY);
    peer_serve_begin(&peer);
    /* A blocking call waits for room. */
    assert_int_equal(tusk_append(peer.t, "t", payload, 900, 0, NULL), TUSK_OK);
    peer_close(&peer);
}

/* A blocking append without an answer ends at its deadline, as unknown; a late answer disturbs
 * nobody. */
static void a_deadline_after_sending_is_unknown(void **state)
{
    struct tusk_append_result result;
    struct peer *peer = *state;
    struct peer_request request;

    assert_int_equal(tusk_set_timeout(peer->t, 20), TUSK_OK);
    assert_int_equal(tusk_append(peer->t, "t", "x", 1, 0, NULL), TUSK_EUNKNOWN);
    assert_int_equal(tusk_ping(peer->t), TUSK_ETIMEOUT);
    peer_take(peer, &request);
    peer_answer_append(peer, &request.frame, 0);
    peer_take(peer, &request);
    peer_answer(peer, &request.frame, 0, NULL, 0);
    peer_serve_begin(peer);
    assert_int_equal(tusk_set_timeout(peer->t, 5000), TUSK_OK);
    assert_int_equal(tusk_append(peer->t, "t", "y", 1, 0, &result), TUSK_OK);
    assert_int_equal(tusk_in_flight(peer->t), 0);
}

/* An append that waited behind others until its deadline is taken back: it is not stored, and
 * what was submitted around it is whole. */
static void a_deadline_before_sending_withdraws_the_append(void **state)
{
    struct peer *peer = *state;
    uint8_t payload[8192] = {0};
    struct peer_request request;
    uint32_t before = 0;
    uint32_t seen = 0;

    /* Until the socket takes no more: the next ones stay in the send buffer whole. */
    while (tusk_events(peer->t) == POLLIN || before % 8 != 0) {
        assert_int_equal(tusk_submit_append(peer->t, "t", payload, sizeof payload, 0, NULL, NULL),
                         TUSK_OK);
        assert_int_equal(tusk_process(peer->t, 0), TUSK_OK);
        before++;
    }
    assert_int_equal(tusk_set_timeout(peer->t, 20), TUSK_OK);
    assert_int_equal(tusk_append(peer->t, "t", "withdrawn", 9, 0, NULL), TUSK_ETIMEOUT);
    assert_int_equal(tusk_submit_append(peer->t, "t", "last", 4, 0, NULL, NULL), TUSK_OK);
    do {
        assert_int_equal(tusk_process(peer->t, 0), TUSK_OK);
        peer_take(peer, &request);
        peer_answer_append(peer, &request.frame, seen++);
        assert_int_equal(request.message.u.append.batch_size,
                         BATCH_HEADER_SIZE + 4 + (seen <= before ? sizeof payload : 4));
    } while (seen <= before);
    assert_int_equal(tusk_flush(peer->t, 1000), TUSK_OK);
    assert_false(peer_has_request(peer));
}

static void misuse(void *user, int code, const struct tusk_append_result *result)
{
    struct peer *peer = user;

    (void)result;
    assert_int_equal(code, TUSK_OK);
    assert_int_equal(tusk_close(peer->t), TUSK_EINVALID);
    assert_int_equal(tusk_process(peer->t, 0), TUSK_EINVALID);
    assert_int_equal(tusk_flush(peer->t, 0), TUSK_EINVALID);
    assert_int_equal(tusk_append(peer->t, "t", "x", 1, 0, NULL), TUSK_EINVALID);
    assert_int_equal(tusk_submit_append(peer->t, "t", "again", 5, 0, NULL, NULL), TUSK_OK);
}

/* A callback may submit; anything that would run callbacks inside it is refused. */
static void callbacks_may_submit_and_nothing_else(void **state)
{
    struct peer *peer = *state;

    peer_serve_begin(peer);
    assert_int_equal(tusk_submit_append(peer->t, "t", "x", 1, 0, misuse, peer), TUSK_OK);
    assert_int_equal(tusk_flush(peer->t, 1000), TUSK_OK);
    assert_int_equal(tusk_flush(peer->t, 1000), TUSK_OK);
    peer_serve_end(peer);
    assert_int_equal(peer->model.end, 2);
}

/* What the daemon would refuse for its size is refused here, without sending it. */
static void impossible_appends_are_refused_before_sending(void **state)
{
    struct peer *peer = *state;
    const struct tusk_bytes null_entry = {NULL, 3};
    size_t size = (size_t)peer->hello.entry_size_max + 1;
    uint8_t *large = calloc(3, size);
    const struct tusk_bytes three[] = {{large, size - 1}, {large, size - 1}, {large, size - 1}};
    char name[300];

    assert_non_null(large);
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_int_equal(tusk_append(peer->t, "t", large, size, 0, NULL), TUSK_ETOOBIG);
    assert_int_equal(tusk_append_batch(peer->t, "t", three, 3, 0, NULL), TUSK_ETOOBIG);
    assert_int_equal(tusk_append_batch(peer->t, "t", three, 0, 0, NULL), TUSK_EINVALID);
    assert_int_equal(tusk_append_batch(peer->t, "t", &null_entry, 1, 0, NULL), TUSK_EINVALID);
    assert_int_equal(tusk_append(peer->t, "", "x", 1, 0, NULL), TUSK_EINVALID);
    assert_int_equal(tusk_append(peer->t, NULL, "x", 1, 0, NULL), TUSK_EINVALID);
    assert_int_equal(tusk_append(peer->t, name, "x", 1, 0, NULL), TUSK_EINVALID);
    assert_int_equal(tusk_append(peer->t, "t", "x", 1, 0x80, NULL), TUSK_EINVALID);
    assert_int_equal(tusk_process(peer->t, 0), TUSK_OK);
    assert_false(peer_has_request(peer));
    /* One byte less goes, though it is larger than the send buffer of a small connection. */
    peer_serve_begin(peer);
    assert_int_equal(tusk_append(peer->t, "t", large, size - 1, 0, NULL), TUSK_OK);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(append_batch_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refusal_is_not_stored_and_says_why, setup, teardown),
        cmocka_unit_test_setup_teardown(replies_may_come_in_any_order, setup, teardown),
        cmocka_unit_test_setup_teardown(replies_arrive_byte_by_byte, setup, teardown),
        cmocka_unit_test(a_connection_cut_inside_a_reply_leaves_the_outcome_unknown),
        cmocka_unit_test_setup_teardown(appends_that_were_never_sent_are_not_stored, setup,
                                        teardown),
        cmocka_unit_test(closing_completes_every_request),
        cmocka_unit_test(a_full_send_buffer_is_busy_and_bounded),
        cmocka_unit_test(limits_in_flight_are_respected),
        cmocka_unit_test_setup_teardown(a_deadline_after_sending_is_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(a_deadline_before_sending_withdraws_the_append, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(callbacks_may_submit_and_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(impossible_appends_are_refused_before_sending, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
