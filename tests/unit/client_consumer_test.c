#include "tests/unit/client_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

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

static struct tusk_consumer *open_consumer(struct peer *peer, const char *cursor, uint32_t flags,
                                           uint32_t every, uint32_t read_bytes)
{
    const struct tusk_consumer_options options = {.size = sizeof options,
                                                  .topic = "t",
                                                  .cursor = cursor,
                                                  .flags = flags,
                                                  .checkpoint_every = every,
                                                  .read_bytes = read_bytes};
    struct tusk_consumer *consumer;

    assert_int_equal(tusk_consumer_open(peer->t, &options, &consumer), TUSK_OK);
    return consumer;
}

static void expect_next(struct tusk_consumer *consumer, uint64_t offset)
{
    struct tusk_entry entry;
    uint64_t value;

    assert_int_equal(tusk_consumer_next(consumer, &entry, 5000), TUSK_OK);
    assert_int_equal(entry.offset, offset);
    assert_int_equal(entry.size, sizeof value);
    memcpy(&value, entry.data, sizeof value);
    assert_int_equal(value, offset);
}

static void expect_code(struct tusk_consumer *consumer, int code)
{
    struct tusk_entry entry;

    assert_int_equal(tusk_consumer_next(consumer, &entry, 5000), code);
}

/* Whatever the size of reads against batches, each entry comes once and in order. Small reads end
 * inside batches; large ones overlap. */
static void every_entry_comes_once_in_order(void **state)
{
    const uint32_t read_sizes[] = {1, 100, 333, 5000, 100000, 0};
    static struct peer peer;
    struct tusk_consumer *consumer;
    uint64_t i;
    size_t size;

    (void)state;
    for (size = 0; size < sizeof read_sizes / sizeof read_sizes[0]; size++) {
        peer_open(&peer, NULL, NULL);
        peer_model_fill(&peer, 400, 25);
        peer_serve_begin(&peer);
        consumer = open_consumer(&peer, NULL, TUSK_CONSUMER_STOP_AT_END, 0, read_sizes[size]);
        for (i = 0; i < 10000; i++) {
            expect_next(consumer, i);
        }
        expect_code(consumer, TUSK_EEND);
        assert_int_equal(tusk_consumer_close(consumer, 1000), TUSK_OK);
        peer_serve_end(&peer);
        peer_close(&peer);
    }
}

/* The daemon is asked for more than is in hand, but never for more than two reads. */
static void the_window_is_bounded(void **state)
{
    struct peer *peer = *state;
    struct tusk_consumer *consumer;
    uint64_t i;

    peer_model_fill(peer, 1000, 1);
    peer_serve_begin(peer);
    consumer = open_consumer(peer, NULL, 0, 0, 80);
    for (i = 0; i < 15; i++) {
        expect_next(consumer, i);
    }
    assert_int_equal(tusk_ping(peer->t), TUSK_OK);
    assert_int_equal(tusk_consumer_close(consumer, 1000), TUSK_OK);
    peer_serve_end(peer);
    assert_in_range(peer->model.reads, 3, 4);
}

/* A checkpoint follows the entries that are done with: never the one in hand. */
static void checkpoints_trail_the_entries(void **state)
{
    struct tusk_consumer_info info = {.size = sizeof info};
    struct peer *peer = *state;
    struct tusk_consumer *consumer;
    int i;

    peer_model_fill(peer, 2, 10);
    peer_serve_begin(peer);
    consumer = open_consumer(peer, "c", TUSK_CONSUMER_STOP_AT_END, 5, 0);
    for (i = 0; i < 13; i++) {
        expect_next(consumer, (uint64_t)i);
    }
    assert_int_equal(tusk_flush(peer->t, 1000), TUSK_OK);
    assert_int_equal(tusk_consumer_info(consumer, &info), TUSK_OK);
    assert_int_equal(info.position, 13);
    assert_int_equal(info.checkpointed, 10);
    assert_int_equal(info.epoch, 1);
    for (; i < 20; i++) {
        expect_next(consumer, (uint64_t)i);
    }
    /* Nothing left: what was processed since the last multiple is worth one, too. */
    expect_code(consumer, TUSK_EEND);
    assert_int_equal(tusk_consumer_close(consumer, 1000), TUSK_OK);
    peer_serve_end(peer);
    assert_int_equal(peer->model.cursor, 20);
}

/* By hand, and only by hand; peeking never. */
static void checkpoints_by_hand_and_never_when_peeking(void **state)
{
    struct peer *peer = *state;
    struct tusk_consumer *consumer;

    peer_model_fill(peer, 2, 10);
    peer_serve_begin(peer);
    consumer = open_consumer(peer, "c", TUSK_CONSUMER_PEEK, 1, 0);
    expect_next(consumer, 0);
    expect_next(consumer, 1);
    assert_int_equal(tusk_consumer_checkpoint(consumer, 1000), TUSK_EINVALID);
    assert_int_equal(tusk_consumer_close(consumer, 1000), TUSK_OK);
    consumer = open_consumer(peer, "c", 0, 0, 0);
    expect_next(consumer, 0);
    expect_next(consumer, 1);
    assert_int_equal(tusk_consumer_checkpoint(consumer, 1000), TUSK_OK);
    expect_next(consumer, 2);
    assert_int_equal(tusk_consumer_close(consumer, 1000), TUSK_OK);
    peer_serve_end(peer);
    assert_int_equal(peer->model.cursor, 2);
    assert_int_equal(peer->model.checkpoints, 1);
}

/* A seek by somebody else is told once; the consumer goes on where the cursor is now. */
static void a_seek_by_another_is_told_and_followed(void **state)
{
    struct peer *peer = *state;
    struct tusk_consumer *consumer;
    struct tusk_entry entry;
    int code;

    peer_model_fill(peer, 2, 10);
    peer_serve_begin(peer);
    consumer = open_consumer(peer, "c", 0, 1, 0);
    expect_next(consumer, 0);
    assert_int_equal(tusk_ping(peer->t), TUSK_OK);
    peer->model.epoch = 2;
    peer->model.cursor = 15;
    /* The refusal of the next checkpoint arrives while entries in hand are returned. */
    while ((code = tusk_consumer_next(consumer, &entry, 5000)) == TUSK_OK) {
        assert_true(entry.offset < 15);
        assert_int_equal(tusk_flush(peer->t, 1000), TUSK_OK);
    }
    assert_int_equal(code, TUSK_ESTALE);
    expect_next(consumer, 15);
    assert_int_equal(tusk_consumer_checkpoint(consumer, 1000), TUSK_OK);
    assert_int_equal(tusk_consumer_close(consumer, 1000), TUSK_ESTALE);
    peer_serve_end(peer);
    assert_int_equal(peer->model.cursor, 16);
}

/* Entries that were given up before they were read are a fact the reader is told. */
static void trimmed_entries_are_told_once(void **state)
{
    const struct tusk_position third = {TUSK_FROM_OFFSET, 3};
    struct peer *peer = *state;
    struct tusk_consumer *consumer;

    peer_model_fill(peer, 2, 10);
    peer->model.first = 10;
    peer_serve_begin(peer);
    consumer = open_consumer(peer, NULL, 0, 0, 0);
    assert_int_equal(tusk_consumer_seek(consumer, third), TUSK_OK);
    expect_code(consumer, TUSK_ETRIMMED);
    assert_int_equal(tusk_last_error(peer->t)->detail_a, 10);
    expect_next(consumer, 10);
    assert_int_equal(tusk_consumer_close(consumer, 1000), TUSK_OK);
}

/* Damage stays in the way until the reader decides; everything before it is delivered first. */
static void damage_comes_after_the_good_entries_and_stays(void **state)
{
    const struct tusk_position behind = {TUSK_FROM_OFFSET, 20};
    struct peer *peer = *state;
    struct tusk_consumer *consumer;
    uint64_t i;

    peer_model_fill(peer, 3, 10);
    peer->model.batches[1].bytes[BATCH_HEADER_SIZE + 50] ^= 4;
    peer_serve_begin(peer);
    consumer = open_consumer(peer, NULL, 0, 0, 80);
    for (i = 0; i < 10; i++) {
        expect_next(consumer, i);
    }
    expect_code(consumer, TUSK_ECORRUPT);
    expect_code(consumer, TUSK_ECORRUPT);
    assert_int_equal(tusk_consumer_seek(consumer, behind), TUSK_OK);
    expect_next(consumer, 20);
    assert_int_equal(tusk_consumer_close(consumer, 1000), TUSK_OK);
}

/* Starting at the end misses nothing that comes between two reads there. */
static void following_from_the_end_misses_nothing(void **state)
{
    struct tusk_consumer_options options = {.size = sizeof options,
                                            .topic = "t",
                                            .from = {TUSK_FROM_LATEST, 0},
                                            .flags = TUSK_CONSUMER_STOP_AT_END};
    struct peer *peer = *state;
    struct tusk_consumer *consumer;
    uint64_t value = 20;

    peer_model_fill(peer, 2, 10);
    peer_serve_begin(peer);
    assert_int_equal(tusk_consumer_open(peer->t, &options, &consumer), TUSK_OK);
    expect_code(consumer, TUSK_EEND);
    assert_int_equal(tusk_append(peer->t, "t", &value, sizeof value, 0, NULL), TUSK_OK);
    expect_next(consumer, 20);
    expect_code(consumer, TUSK_EEND);
    assert_int_equal(tusk_consumer_close(consumer, 1000), TUSK_OK);
}

/* Options that are not there, or say no size, are refused. */
static void options_are_needed(void **state)
{
    const struct tusk_consumer_options none = {.topic = "t"};
    struct peer *peer = *state;
    struct tusk_consumer *consumer;

    assert_int_equal(tusk_consumer_open(peer->t, NULL, &consumer), TUSK_EINVALID);
    assert_int_equal(tusk_consumer_open(peer->t, &none, &consumer), TUSK_EINVALID);
    assert_null(consumer);
}

/* Without waiting, next() asks and comes back; the answer is there a later time. */
static void next_without_waiting_comes_back(void **state)
{
    struct peer *peer = *state;
    struct peer_request request;
    struct tusk_consumer *consumer = open_consumer(peer, NULL, 0, 0, 0);
    struct tusk_entry entry;

    peer_model_fill(peer, 1, 2);
    assert_int_equal(tusk_consumer_next(consumer, &entry, 0), TUSK_EEND);
    peer_take(peer, &request);
    assert_int_equal(request.message.type, MESSAGE_READ);
    assert_true(request.message.u.read.wait_ms > 0);
    peer_answer_from_model(peer, &request);
    assert_int_equal(tusk_consumer_next(consumer, &entry, 0), TUSK_OK);
    assert_int_equal(tusk_consumer_close(consumer, 0), TUSK_OK);
}

/* What has arrived is returned before the consumer says that the connection broke. */
static void a_broken_connection_is_told_after_the_entries(void **state)
{
    struct peer *peer = *state;
    struct peer_request request;
    struct tusk_consumer *consumer = open_consumer(peer, NULL, 0, 0, 0);
    struct tusk_entry entry;

    peer_model_fill(peer, 1, 2);
    assert_int_equal(tusk_consumer_next(consumer, &entry, 0), TUSK_EEND);
    peer_take(peer, &request);
    peer_answer_from_model(peer, &request);
    (void)close(peer->fd);
    peer->fd = -1;
    expect_next(consumer, 0);
    expect_next(consumer, 1);
    expect_code(consumer, TUSK_EUNREACHABLE);
    expect_code(consumer, TUSK_ECLOSED);
    assert_int_equal(tusk_consumer_close(consumer, 1000), TUSK_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_comes_once_in_order),
        cmocka_unit_test_setup_teardown(the_window_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(checkpoints_trail_the_entries, setup, teardown),
        cmocka_unit_test_setup_teardown(checkpoints_by_hand_and_never_when_peeking, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_seek_by_another_is_told_and_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(trimmed_entries_are_told_once, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_comes_after_the_good_entries_and_stays, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(following_from_the_end_misses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(options_are_needed, setup, teardown),
        cmocka_unit_test_setup_teardown(next_without_waiting_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_broken_connection_is_told_after_the_entries, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
