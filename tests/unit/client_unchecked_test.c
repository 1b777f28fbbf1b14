/* Replies that nobody but this library has looked at: what does not check out is asked for again,
 * to be looked at by the daemon, and its word is what the user gets. */
#include "tests/unit/client_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#define BATCHES 6u
#define EACH 10u
#define ALWAYS UINT32_MAX

static struct peer peer;

/* A daemon with sixty entries that has the feature, or does not, and from now on answers. */
static void begin(uint64_t features)
{
    struct message_hello_reply hello = peer_hello();

    hello.features = features;
    peer_open(&peer, &hello, NULL);
    peer_model_fill(&peer, BATCHES, EACH);
}

static int setup(void **state)
{
    (void)state;
    begin(FEATURE_UNCHECKED);
    return 0;
}

static int setup_without(void **state)
{
    (void)state;
    begin(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    peer_close(&peer);
    return 0;
}

static void refuse_checked(uint32_t count, int code, uint64_t detail_a, uint64_t detail_b)
{
    peer.model.refusals = count;
    peer.model.refusal = code;
    peer.model.refusal_a = detail_a;
    peer.model.refusal_b = detail_b;
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
    }
    assert_int_equal(tusk_batch_next(batch, &entry), 0);
    tusk_batch_free(batch);
}

static void expect_asked(uint32_t reads, uint32_t unchecked)
{
    peer_serve_end(&peer);
    assert_int_equal(peer.model.reads, reads);
    assert_int_equal(peer.model.unchecked, unchecked);
}

/* ---- blocking reads ---- */

/* The library asks for the feature, and where it has it, reads without making the daemon look; what
 * checks out is not asked for twice. */
static void what_checks_out_is_asked_for_once(void **state)
{
    struct tusk_batch *batch;

    (void)state;
    assert_int_equal(peer.features_asked & FEATURE_UNCHECKED, FEATURE_UNCHECKED);
    peer_serve_begin(&peer);
    assert_int_equal(tusk_read(peer.t, "t", NULL, &batch), TUSK_OK);
    expect_entries(batch, 0, BATCHES * EACH);
    assert_int_equal(tusk_peek(peer.t, "t", "c", NULL, &batch), TUSK_OK);
    expect_entries(batch, 0, BATCHES * EACH);
    expect_asked(2, 2);
}

/* A reply that does not check out, wherever it is spoiled, is asked for once more, to be looked at,
 * and the user gets what that gives. */
static void what_does_not_check_out_is_asked_for_again(void **state)
{
    struct tusk_batch *batch;
    unsigned i;

    (void)state;
    peer.model.spoils = ALWAYS;
    peer_serve_begin(&peer);
    for (i = 0; i < 28; i++) { /* A byte after the other of a header and entries */
        const struct tusk_read_options options = {.size = sizeof options,
                                                  .from = {TUSK_FROM_OFFSET, i}};

        assert_int_equal(tusk_read(peer.t, "t", &options, &batch), TUSK_OK);
        expect_entries(batch, i, BATCHES * EACH);
    }
    assert_int_equal(tusk_peek(peer.t, "t", "c", NULL, &batch), TUSK_OK);
    expect_entries(batch, 0, BATCHES * EACH);
    expect_asked(2 * 29, 29);
}

/* What the daemon says when it has looked is what the user is told: the exact entries that are
 * damaged, or that they were given up meanwhile. */
static void the_daemons_word_is_told(void **state)
{
    struct tusk_batch *batch;

    (void)state;
    peer.model.spoils = ALWAYS;
    refuse_checked(1, TUSK_ECORRUPT, 13, 17);
    peer_serve_begin(&peer);
    assert_int_equal(tusk_read(peer.t, "t", NULL, &batch), TUSK_ECORRUPT);
    assert_null(batch);
    assert_int_equal(tusk_last_error(peer.t)->code, TUSK_ECORRUPT);
    assert_int_equal(tusk_last_error(peer.t)->detail_a, 13);
    assert_int_equal(tusk_last_error(peer.t)->detail_b, 17);
    expect_asked(2, 1);
}

/* The same for entries that are not there any more, and for a peek. */
static void entries_given_up_meanwhile_are_told_as_such(void **state)
{
    struct tusk_batch *batch;

    (void)state;
    peer.model.spoils = ALWAYS;
    refuse_checked(1, TUSK_ETRIMMED, 5, 0);
    peer_serve_begin(&peer);
    assert_int_equal(tusk_peek(peer.t, "t", "c", NULL, &batch), TUSK_ETRIMMED);
    assert_null(batch);
    assert_int_equal(tusk_last_error(peer.t)->detail_a, 5);
    expect_asked(2, 1);
}

/* A reply that the daemon has looked at and that does not check out either is damage. It is not
 * asked for a third time. */
static void a_checked_reply_that_does_not_check_out_is_damage(void **state)
{
    struct tusk_batch *batch;

    (void)state;
    peer.model.batches[2].bytes[BATCH_HEADER_SIZE + 50] ^= 4;
    peer_serve_begin(&peer);
    assert_int_equal(tusk_read(peer.t, "t", NULL, &batch), TUSK_ECORRUPT);
    assert_null(batch);
    assert_int_equal(tusk_last_error(peer.t)->detail_a, 0);
    assert_int_equal(tusk_last_error(peer.t)->detail_b, BATCHES * EACH);
    expect_asked(2, 1);
}

/* A read that moves a cursor is checked by the daemon before it does, whatever the user asks for.
 */
static void a_read_that_consumes_is_never_unchecked(void **state)
{
    const struct tusk_read_options options = {
        .size = sizeof options, .max_entries = EACH, .flags = TUSK_READ_UNCHECKED};
    struct tusk_batch *batch;

    (void)state;
    peer.model.spoils = ALWAYS;
    peer_serve_begin(&peer);
    assert_int_equal(tusk_consume(peer.t, "t", "c", NULL, &batch), TUSK_OK);
    expect_entries(batch, 0, BATCHES * EACH);
    assert_int_equal(tusk_consume(peer.t, "t", "c", &options, &batch), TUSK_EEND);
    expect_asked(2, 0);
}

/* ---- submitted reads ---- */

struct outcome {
    int code;
    uint64_t detail_a;
    uint64_t detail_b;
    unsigned count;
};

static void take_outcome(void *user, int code, struct tusk_batch *batch)
{
    struct outcome *outcome = user;

    outcome->code = code;
    outcome->count++;
    if (code == TUSK_OK) {
        expect_entries(batch, 0, BATCHES * EACH);
    } else {
        assert_null(batch);
        outcome->detail_a = tusk_last_error(peer.t)->detail_a;
        outcome->detail_b = tusk_last_error(peer.t)->detail_b;
    }
}

/* Submit a read; what the daemon gets of its flag. The daemon answers. */
static uint16_t submit(uint32_t flags, const char *cursor, struct outcome *outcome)
{
    const struct tusk_read_options options = {.size = sizeof options, .flags = flags};
    struct peer_request request;
    uint16_t got;

    *outcome = (struct outcome){.code = 1};
    assert_int_equal(tusk_submit_read(peer.t, "t", cursor, &options, take_outcome, outcome),
                     TUSK_OK);
    assert_int_equal(tusk_process(peer.t, 0), TUSK_OK);
    peer_take(&peer, &request);
    assert_int_equal(request.message.type, MESSAGE_READ);
    got = request.message.u.read.flags;
    peer_answer_from_model(&peer, &request);
    assert_int_equal(tusk_process(peer.t, 5000), TUSK_OK);
    assert_int_equal(outcome->count, 1);
    return got;
}

/* A submitted read is unchecked when the user says so, and only then. */
static void a_submitted_read_is_unchecked_when_asked(void **state)
{
    struct outcome outcome;

    (void)state;
    assert_int_equal(submit(0, NULL, &outcome), 0);
    assert_int_equal(submit(TUSK_READ_SKIP_DAMAGE, "c", &outcome), READ_SKIP_DAMAGE);
    assert_int_equal(submit(TUSK_READ_UNCHECKED, NULL, &outcome), READ_UNCHECKED);
    assert_int_equal(outcome.code, TUSK_OK);
    assert_int_equal(submit(TUSK_READ_UNCHECKED, "c", &outcome), READ_UNCHECKED);
    assert_int_equal(submit(TUSK_READ_UNCHECKED | TUSK_READ_SKIP_DAMAGE, NULL, &outcome),
                     READ_UNCHECKED | READ_SKIP_DAMAGE);
}

/* A submitted read that does not check out is the user's to submit again: it completes with the
 * range of the whole reply, and nothing is asked for behind its back. */
static void a_submitted_read_tells_that_it_does_not_check_out(void **state)
{
    struct outcome outcome;

    (void)state;
    peer.model.spoils = 1;
    (void)submit(TUSK_READ_UNCHECKED, NULL, &outcome);
    assert_int_equal(outcome.code, TUSK_ECORRUPT);
    assert_int_equal(outcome.detail_a, 0);
    assert_int_equal(outcome.detail_b, BATCHES * EACH);
    assert_int_equal(tusk_process(peer.t, 0), TUSK_OK);
    assert_false(peer_has_request(&peer));
    (void)submit(0, NULL, &outcome);
    assert_int_equal(outcome.code, TUSK_OK);
}

/* ---- consumers ---- */

static struct tusk_consumer *open_consumer(const char *cursor, uint32_t flags, uint32_t read_bytes)
{
    const struct tusk_consumer_options options = {.size = sizeof options,
                                                  .topic = "t",
                                                  .cursor = cursor,
                                                  .flags = flags | TUSK_CONSUMER_STOP_AT_END,
                                                  .read_bytes = read_bytes};
    struct tusk_consumer *consumer;

    assert_int_equal(tusk_consumer_open(peer.t, &options, &consumer), TUSK_OK);
    return consumer;
}

static void expect_next(struct tusk_consumer *consumer, uint64_t from, uint64_t to)
{
    struct tusk_entry entry;
    uint64_t value;

    for (; from < to; from++) {
        assert_int_equal(tusk_consumer_next(consumer, &entry, 5000), TUSK_OK);
        assert_int_equal(entry.offset, from);
        memcpy(&value, entry.data, sizeof value);
        assert_int_equal(value, from);
    }
}

static void expect_code(struct tusk_consumer *consumer, int code)
{
    struct tusk_entry entry;

    assert_int_equal(tusk_consumer_next(consumer, &entry, 5000), code);
}

/* Whether some of the replies do not check out, or all: a consumer has every entry once and in
 * order, also when it had asked for what follows already, and asks twice for what was spoiled
 * only. */
static void a_consumer_has_every_entry_once(void **state)
{
    static const uint32_t sizes[] = {1, 100, 700, 5000, 0};
    static const uint32_t spoils[] = {0, 1, 2, 5, ALWAYS};
    size_t i;
    size_t k;

    (void)state;
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (k = 0; k < sizeof spoils / sizeof spoils[0]; k++) {
            struct tusk_consumer *consumer;
            uint32_t spoiled;

            begin(FEATURE_UNCHECKED);
            peer_model_fill(&peer, 100, 7);
            peer.model.spoils = spoils[k];
            peer_serve_begin(&peer);
            consumer = open_consumer(k % 2 == 0 ? "c" : NULL, 0, sizes[i]);
            expect_next(consumer, 0, BATCHES * EACH + 700);
            expect_code(consumer, TUSK_EEND);
            assert_int_equal(tusk_consumer_close(consumer, 1000), TUSK_OK);
            peer_serve_end(&peer);
            spoiled = spoils[k] - peer.model.spoils;
            assert_true(peer.model.unchecked >= spoiled);
            assert_true(peer.model.reads - peer.model.unchecked <= 2 * spoiled);
            assert_int_equal(peer.model.reads > peer.model.unchecked, spoiled > 0);
            peer_close(&peer);
        }
    }
}

/* A consumer tells the damage that the daemon found, exactly, and keeps to it until it is sent
 * behind it; then it reads unchecked again. */
static void a_consumer_tells_exactly_what_is_damaged(void **state)
{
    const struct tusk_position behind = {TUSK_FROM_OFFSET, 17};
    struct tusk_consumer *consumer;
    unsigned i;

    (void)state;
    peer.model.spoils = ALWAYS;
    refuse_checked(3, TUSK_ECORRUPT, 13, 17);
    peer_serve_begin(&peer);
    consumer = open_consumer(NULL, 0, 0);
    for (i = 0; i < 3; i++) {
        expect_code(consumer, TUSK_ECORRUPT);
        assert_int_equal(tusk_last_error(peer.t)->detail_a, 13);
        assert_int_equal(tusk_last_error(peer.t)->detail_b, 17);
    }
    assert_int_equal(tusk_consumer_seek(consumer, behind), TUSK_OK);
    expect_next(consumer, 17, BATCHES * EACH);
    assert_int_equal(tusk_consumer_seek(consumer, behind), TUSK_OK);
    expect_next(consumer, 17, BATCHES * EACH);
    expect_code(consumer, TUSK_EEND);
    assert_int_equal(tusk_consumer_close(consumer, 1000), TUSK_OK);
    peer_serve_end(&peer);
    assert_true(peer.model.unchecked >= 2);
}

/* A consumer whose entries were given up while they were on their way is told that, and goes on at
 * the first that is kept. */
static void a_consumer_goes_on_behind_what_was_given_up(void **state)
{
    struct tusk_consumer *consumer;

    (void)state;
    peer.model.spoils = 1;
    refuse_checked(1, TUSK_ETRIMMED, 30, 0);
    peer_serve_begin(&peer);
    consumer = open_consumer(NULL, 0, 0);
    expect_code(consumer, TUSK_ETRIMMED);
    assert_int_equal(tusk_last_error(peer.t)->detail_a, 30);
    expect_next(consumer, 30, BATCHES * EACH);
    expect_code(consumer, TUSK_EEND);
    assert_int_equal(tusk_consumer_close(consumer, 1000), TUSK_OK);
}

/* A daemon that has not looked does not know where a gap ends: what begins there, before its first
 * entry, is delivered from that entry on. */
static void a_reply_may_begin_in_a_gap(void **state)
{
    const struct tusk_read_options options = {.size = sizeof options,
                                              .from = {TUSK_FROM_OFFSET, BATCHES * EACH + 5}};
    struct tusk_consumer_info info = {.size = sizeof info};
    const uint64_t behind = BATCHES * EACH + 50;
    struct tusk_consumer *consumer;
    struct tusk_batch *batch;

    (void)state;
    peer.model.end = behind; /* Nothing between */
    peer_model_fill(&peer, BATCHES, EACH);
    peer_serve_begin(&peer);
    assert_int_equal(tusk_read(peer.t, "t", &options, &batch), TUSK_OK);
    expect_entries(batch, behind, behind + BATCHES * EACH);
    consumer = open_consumer(NULL, 0, 8 * EACH);
    expect_next(consumer, 0, BATCHES * EACH);
    expect_next(consumer, behind, behind + BATCHES * EACH);
    expect_code(consumer, TUSK_EEND);
    assert_int_equal(tusk_consumer_info(consumer, &info), TUSK_OK);
    assert_int_equal(info.gap_offsets, 50);
    assert_int_equal(tusk_consumer_close(consumer, 1000), TUSK_OK);
    peer_serve_end(&peer);
    assert_int_equal(peer.model.reads, peer.model.unchecked); /* Nothing was asked for again */
}

/* ---- an older daemon ---- */

/* A daemon that does not have the feature is never asked for it, by no kind of read. */
static void without_the_feature_nothing_is_unchecked(void **state)
{
    const struct tusk_read_options options = {.size = sizeof options, .flags = TUSK_READ_UNCHECKED};
    struct tusk_consumer *consumer;
    struct tusk_batch *batch;
    struct outcome outcome;

    (void)state;
    assert_int_equal(submit(TUSK_READ_UNCHECKED, NULL, &outcome), 0);
    assert_int_equal(outcome.code, TUSK_OK);
    peer_serve_begin(&peer);
    assert_int_equal(tusk_read(peer.t, "t", &options, &batch), TUSK_OK);
    expect_entries(batch, 0, BATCHES * EACH);
    assert_int_equal(tusk_peek(peer.t, "t", "c", &options, &batch), TUSK_OK);
    expect_entries(batch, 0, BATCHES * EACH);
    consumer = open_consumer(NULL, 0, 0);
    expect_next(consumer, 0, BATCHES * EACH);
    expect_code(consumer, TUSK_EEND);
    assert_int_equal(tusk_consumer_close(consumer, 1000), TUSK_OK);
    assert_int_equal(tusk_consume(peer.t, "t", "c", &options, &batch), TUSK_OK);
    expect_entries(batch, 0, BATCHES * EACH);
    peer_serve_end(&peer);
    assert_int_equal(peer.model.unchecked, 0);
}

/* Such a daemon has looked already: a reply of it that does not check out is damage at once, to a
 * blocking read and to a consumer. */
static void without_the_feature_damage_is_not_asked_for_again(void **state)
{
    struct tusk_consumer *consumer;
    struct tusk_batch *batch;

    (void)state;
    peer.model.batches[0].bytes[BATCH_HEADER_SIZE + 50] ^= 4;
    peer_serve_begin(&peer);
    assert_int_equal(tusk_read(peer.t, "t", NULL, &batch), TUSK_ECORRUPT);
    consumer = open_consumer(NULL, 0, 0);
    expect_code(consumer, TUSK_ECORRUPT);
    assert_int_equal(tusk_consumer_close(consumer, 1000), TUSK_OK);
    expect_asked(2, 0);
}

#define PEER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define OLD_PEER_TEST(name) cmocka_unit_test_setup_teardown(name, setup_without, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PEER_TEST(what_checks_out_is_asked_for_once),
        PEER_TEST(what_does_not_check_out_is_asked_for_again),
        PEER_TEST(the_daemons_word_is_told),
        PEER_TEST(entries_given_up_meanwhile_are_told_as_such),
        PEER_TEST(a_checked_reply_that_does_not_check_out_is_damage),
        PEER_TEST(a_read_that_consumes_is_never_unchecked),
        PEER_TEST(a_submitted_read_is_unchecked_when_asked),
        PEER_TEST(a_submitted_read_tells_that_it_does_not_check_out),
        cmocka_unit_test(a_consumer_has_every_entry_once),
        PEER_TEST(a_consumer_tells_exactly_what_is_damaged),
        PEER_TEST(a_consumer_goes_on_behind_what_was_given_up),
        PEER_TEST(a_reply_may_begin_in_a_gap),
        OLD_PEER_TEST(without_the_feature_nothing_is_unchecked),
        OLD_PEER_TEST(without_the_feature_damage_is_not_asked_for_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
