#include "tests/unit/client_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

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

/* Entries of peer_model_fill() hold their own offset. */
static void expect_entries(struct tusk_batch *batch, uint64_t from, uint64_t to)
{
    struct tusk_entry entry;
    uint64_t value;

    for (; from < to; from++) {
        assert_int_equal(tusk_batch_next(batch, &entry), 1);
        assert_int_equal(entry.offset, from);
        assert_int_equal(entry.size, sizeof value);
        memcpy(&value, entry.data, sizeof value);
        assert_int_equal(value, from);
        assert_true(entry.time_us >= 1000000);
    }
    assert_int_equal(tusk_batch_next(batch, &entry), 0);
}

/* The daemon sends whole stored batches; the reader gets exactly the range it asked for. */
static void a_read_is_trimmed_to_its_range(void **state)
{
    struct tusk_read_options options = {.size = sizeof options, .max_entries = 13};
    struct tusk_batch_info info = {.size = sizeof info};
    struct peer *peer = *state;
    struct tusk_batch *batch;

    peer_model_fill(peer, 5, 10);
    peer_serve_begin(peer);
    options.from = (struct tusk_position){TUSK_FROM_OFFSET, 14};
    assert_int_equal(tusk_read(peer->t, "t", &options, &batch), TUSK_OK);
    expect_entries(batch, 14, 27);
    tusk_batch_rewind(batch);
    expect_entries(batch, 14, 27);
    assert_int_equal(tusk_batch_info(batch, &info), TUSK_OK);
    assert_int_equal(info.entry_count, 13);
    assert_int_equal(info.payload_size, 13 * 8);
    assert_int_equal(info.from, 14);
    assert_int_equal(info.to, 27);
    assert_int_equal(info.end, 50);
    tusk_batch_free(batch);
    assert_int_equal(tusk_read(peer->t, "t", NULL, &batch), TUSK_OK);
    expect_entries(batch, 0, 50);
    tusk_batch_free(batch);
}

/* A peek leaves the cursor; consuming moves it behind what was returned. */
static void peek_stays_and_consume_moves(void **state)
{
    const struct tusk_read_options four = {.size = sizeof four, .max_entries = 4};
    struct peer *peer = *state;
    struct tusk_batch *batch;

    peer_model_fill(peer, 2, 5);
    peer_serve_begin(peer);
    assert_int_equal(tusk_peek(peer->t, "t", "c", &four, &batch), TUSK_OK);
    expect_entries(batch, 0, 4);
    tusk_batch_free(batch);
    assert_int_equal(tusk_consume(peer->t, "t", "c", &four, &batch), TUSK_OK);
    expect_entries(batch, 0, 4);
    tusk_batch_free(batch);
    assert_int_equal(tusk_peek(peer->t, "t", "c", NULL, &batch), TUSK_OK);
    expect_entries(batch, 4, 10);
    tusk_batch_free(batch);
}

/* The end, and what lies before the first entry kept, come with where to go on. */
static void end_and_trimmed_say_where_to_go_on(void **state)
{
    struct tusk_read_options options = {.size = sizeof options};
    struct peer *peer = *state;
    struct tusk_batch *batch;

    peer_model_fill(peer, 2, 5);
    peer->model.first = 3;
    peer_serve_begin(peer);
    options.from = (struct tusk_position){TUSK_FROM_LATEST, 0};
    assert_int_equal(tusk_read(peer->t, "t", &options, &batch), TUSK_EEND);
    assert_null(batch);
    assert_int_equal(tusk_last_error(peer->t)->detail_a, 10);
    options.from = (struct tusk_position){TUSK_FROM_OFFSET, 1};
    assert_int_equal(tusk_read(peer->t, "t", &options, &batch), TUSK_ETRIMMED);
    assert_int_equal(tusk_last_error(peer->t)->detail_a, 3);
}

static void keep_batch(void *user, int code, struct tusk_batch *batch)
{
    assert_int_equal(code, TUSK_OK);
    *(struct tusk_batch **)user = batch;
}

/* A reply larger than any buffer is received into its own memory, whatever pieces it comes
 * in, and the reply behind it in the stream is not lost. */
static void a_large_reply_in_pieces_is_whole(void **state)
{
    struct peer *peer = *state;
    struct tusk_batch *batches[2] = {NULL, NULL};
    struct peer_request requests[2];
    uint8_t *bytes;
    uint8_t *both;
    size_t size;
    size_t at;

    peer_model_fill(peer, 2000, 40);
    assert_int_equal(tusk_submit_read(peer->t, "t", NULL, NULL, keep_batch, &batches[0]), TUSK_OK);
    assert_int_equal(tusk_submit_read(peer->t, "t", "c", NULL, keep_batch, &batches[1]), TUSK_OK);
    assert_int_equal(tusk_process(peer->t, 0), TUSK_OK);
    peer_take(peer, &requests[0]);
    bytes = peer_read_reply(peer, &requests[0], &size);
    assert_true(size > 512 * 1024);
    both = malloc(2 * size);
    assert_non_null(both);
    memcpy(both, bytes, size);
    free(bytes);
    peer_take(peer, &requests[1]);
    bytes = peer_read_reply(peer, &requests[1], &size);
    memcpy(both + size, bytes, size);
    free(bytes);
    for (at = 0; at < 2 * size; at += 7001) {
        peer_send(peer, both + at, 2 * size - at < 7001 ? 2 * size - at : 7001);
        assert_int_equal(tusk_process(peer->t, 0), TUSK_OK);
    }
    free(both);
    expect_entries(batches[0], 0, 80000);
    expect_entries(batches[1], 0, 80000);
    tusk_batch_free(batches[0]);
    tusk_batch_free(batches[1]);
}

/* Bytes from another place in a block have a good body; only the header checksum tells that they
 * do not belong here. */
static void a_batch_at_another_position_is_damage(void **state)
{
    struct tusk_read_options options = {.size = sizeof options};
    struct peer *peer = *state;
    struct tusk_batch *batch;

    peer_model_fill(peer, 3, 5);
    peer->model.batches[1].position += BATCH_ALIGN;
    options.from = (struct tusk_position){TUSK_FROM_OFFSET, 5};
    peer_serve_begin(peer);
    assert_int_equal(tusk_read(peer->t, "t", &options, &batch), TUSK_ECORRUPT);
    assert_int_equal(tusk_last_error(peer->t)->detail_a, 5);
    assert_int_equal(tusk_last_error(peer->t)->detail_b, 15);
    /* The connection is fine, and so is the rest of the topic. */
    options.from.value = 10;
    assert_int_equal(tusk_read(peer->t, "t", &options, &batch), TUSK_OK);
    tusk_batch_free(batch);
}

static void take_code(void *user, int code, struct tusk_batch *batch)
{
    assert_null(batch);
    *(int *)user = code;
}

/* A read has no outcome to be in doubt about: it is simply not answered. */
static void a_broken_connection_fails_reads_as_unreachable(void **state)
{
    static struct peer peer;
    int code = TUSK_OK;

    (void)state;
    peer_open(&peer, NULL, NULL);
    assert_int_equal(tusk_submit_read(peer.t, "t", NULL, NULL, take_code, &code), TUSK_OK);
    assert_int_equal(tusk_process(peer.t, 0), TUSK_OK);
    peer_close(&peer);
    assert_int_equal(code, TUSK_EUNREACHABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_read_is_trimmed_to_its_range, setup, teardown),
        cmocka_unit_test_setup_teardown(peek_stays_and_consume_moves, setup, teardown),
        cmocka_unit_test_setup_teardown(end_and_trimmed_say_where_to_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_reply_in_pieces_is_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_at_another_position_is_damage, setup, teardown),
        cmocka_unit_test(a_broken_connection_fails_reads_as_unreachable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
