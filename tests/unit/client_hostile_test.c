#include "tests/unit/client_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static void take_code(void *user, int code, const struct tusk_append_result *result)
{
    (void)result;
    *(int *)user = code;
}

struct hostile {
    const char *what;
    uint32_t size; /* Of the frame, as it says */
    uint16_t type;
    uint16_t status;
    uint64_t id_xor;  /* Against the request's */
    size_t body_size; /* Sent */
    uint64_t first_offset;
};

static const struct hostile hostiles[] = {
    {"a frame of no bytes", 0, MESSAGE_APPEND | FRAME_REPLY, 0, 0, 24, 0},
    {"a frame smaller than its header", 15, MESSAGE_APPEND | FRAME_REPLY, 0, 0, 24, 0},
    {"a frame beyond the limit", 4 * 1024 * 1024 + 1, MESSAGE_APPEND | FRAME_REPLY, 0, 0, 24, 0},
    {"the largest frame there is", UINT32_MAX, MESSAGE_APPEND | FRAME_REPLY, 0, 0, 24, 0},
    {"an unknown slot", 40, MESSAGE_APPEND | FRAME_REPLY, 0, 0xffff, 24, 0},
    {"an old id of the slot", 40, MESSAGE_APPEND | FRAME_REPLY, 0, 7ull << 32, 24, 0},
    {"a large frame for nobody", 1024 * 1024, MESSAGE_READ | FRAME_REPLY, 0, 0xffff, 24, 0},
    {"a request", 40, MESSAGE_APPEND, 0, 0, 24, 0},
    {"another type", 16, MESSAGE_PING | FRAME_REPLY, 0, 0, 0, 0},
    {"batches for an append", 1024 * 1024, MESSAGE_READ | FRAME_REPLY, 0, 0, 24, 0},
    {"a body too short", 39, MESSAGE_APPEND | FRAME_REPLY, 0, 0, 23, 0},
    {"a body too long", 41, MESSAGE_APPEND | FRAME_REPLY, 0, 0, 25, 0},
    {"offsets that wrap", 40, MESSAGE_APPEND | FRAME_REPLY, 0, 0, 24, UINT64_MAX},
    {"an unknown status", 40, MESSAGE_APPEND | FRAME_REPLY, 999, 0, 24, 0},
    {"a status of this side", 40, MESSAGE_APPEND | FRAME_REPLY, -TUSK_ETIMEOUT, 0, 24, 0},
    {"an error without a body", 16, MESSAGE_APPEND | FRAME_REPLY, -TUSK_EIO, 0, 0, 0},
};

/* Nothing behind a frame that is not the protocol can be trusted: the connection ends, and the
 * append that was sent stays in doubt. */
static void malformed_frames_end_the_connection(void **state)
{
    static struct peer peer;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof hostiles / sizeof hostiles[0]; i++) {
        const struct hostile *hostile = &hostiles[i];
        uint8_t bytes[FRAME_HEADER_SIZE + 64] = {0};
        struct peer_request request;
        struct frame frame;
        int code = TUSK_OK;
        int rc;

        peer_open(&peer, NULL, NULL);
        assert_int_equal(tusk_submit_append(peer.t, "t", "x", 1, 0, take_code, &code), TUSK_OK);
        assert_int_equal(tusk_process(peer.t, 0), TUSK_OK);
        peer_take(&peer, &request);
        (void)peer_append_reply(bytes, &request.frame, hostile->first_offset);
        frame = (struct frame){.size = hostile->size,
                               .type = hostile->type,
                               .status = hostile->status,
                               .id = request.frame.id ^ hostile->id_xor};
        frame_encode(bytes, &frame);
        peer_send(&peer, bytes, FRAME_HEADER_SIZE + hostile->body_size);
        rc = tusk_process(peer.t, 1000);
        if (rc != TUSK_EPROTOCOL || code != TUSK_EUNKNOWN) {
            fail_msg("%s: connection %d, append %d", hostile->what, rc, code);
        }
        assert_int_equal(tusk_last_error(peer.t)->code, TUSK_EPROTOCOL);
        peer_close(&peer);
    }
}

struct read_result {
    int code;
    bool done;
};

/* Every entry that is handed out is one that was appended, with its own offset. */
static void check_entries(void *user, int code, struct tusk_batch *batch)
{
    struct read_result *result = user;
    struct tusk_entry entry;
    uint64_t value;

    result->code = code;
    result->done = true;
    while (batch != NULL && tusk_batch_next(batch, &entry)) {
        assert_int_equal(entry.size, sizeof value);
        memcpy(&value, entry.data, sizeof value);
        assert_int_equal(value, entry.offset);
    }
    tusk_batch_free(batch);
}

static void read_flipped(struct peer *peer, size_t flip_bit, size_t *bits)
{
    static struct read_result result; /* A reply cut short is completed by peer_close() */
    struct peer_request request;
    uint8_t *bytes;
    size_t size;

    result = (struct read_result){0};
    assert_int_equal(tusk_submit_read(peer->t, "t", NULL, NULL, check_entries, &result), TUSK_OK);
    assert_int_equal(tusk_process(peer->t, 0), TUSK_OK);
    peer_take(peer, &request);
    bytes = peer_read_reply(peer, &request, &size);
    *bits = 8 * size;
    bytes[flip_bit / 8] ^= (uint8_t)(1u << (flip_bit % 8));
    peer_send(peer, bytes, size);
    free(bytes);
    (void)tusk_process(peer->t, 0);
    if (flip_bit / 8 >= FRAME_HEADER_SIZE + MESSAGE_READ_REPLY_SIZE) {
        assert_true(result.done);
        assert_true(result.code == TUSK_ECORRUPT || result.code == TUSK_EPROTOCOL ||
                    result.code == TUSK_EUNREACHABLE);
    }
}

/* Whichever bit of a reply flips on the way, no wrong entry is handed out. In stored bytes a flip is
 * always seen; padding belongs to no checksum and is the exception. */
static void a_flipped_bit_never_becomes_an_entry(void **state)
{
    static struct peer peer;
    size_t bits = 1;
    size_t bit;

    (void)state;
    for (bit = 0; bit < bits; bit++) {
        peer_open(&peer, NULL, NULL);
        peer_model_fill(&peer, 2, 4); /* 48 bytes of body: no padding */
        read_flipped(&peer, bit, &bits);
        peer_close(&peer);
    }
    assert_true(bits > 8 * 200);
}

/* Random bytes, and random changes to good ones, must not crash the client or hang it. */
static void random_replies_do_no_harm(void **state)
{
    unsigned seed = (unsigned)time(NULL);
    static struct peer peer;
    int round;

    (void)state;
    if (getenv("TUSK_TEST_SEED") != NULL) {
        seed = (unsigned)strtoul(getenv("TUSK_TEST_SEED"), NULL, 0);
    }
    (void)printf("TUSK_TEST_SEED=%u\n", seed);
    srand(seed);
    for (round = 0; round < 2000; round++) {
        struct read_result result = {0};
        struct peer_request request;
        uint8_t *bytes;
        size_t size;
        int changes;

        peer_open(&peer, NULL, NULL);
        peer_model_fill(&peer, 3, 4);
        assert_int_equal(tusk_submit_read(peer.t, "t", NULL, NULL, check_entries, &result),
                         TUSK_OK);
        assert_int_equal(tusk_process(peer.t, 0), TUSK_OK);
        peer_take(&peer, &request);
        bytes = peer_read_reply(&peer, &request, &size);
        for (changes = 1 + rand() % 8; changes > 0; changes--) {
            bytes[(size_t)rand() % (rand() % 2 ? size : 96)] = (uint8_t)rand();
        }
        peer_send(&peer, bytes, (size_t)rand() % (size + 1));
        free(bytes);
        (void)tusk_process(peer.t, 0);
        peer_close(&peer);
        assert_true(result.done);
    }
}

static int count_topic(void *user, const struct tusk_topic_info *info)
{
    (void)info;
    ++*(int *)user;
    return 0;
}

static void *repeat_page(void *argument)
{
    struct peer *peer = argument;
    struct peer_request request;
    uint8_t body[256];
    int i;

    for (i = 0; i < 2; i++) {
        const struct message_topic_info info = {.topic_id = 1, .name = {"same", 4}};
        size_t size = MESSAGE_LIST_HEAD_SIZE;

        peer_take(peer, &request);
        message_list_head_encode(body, true, 1);
        size += message_topic_info_encode(body + size, &info);
        peer_answer(peer, &request.frame, 0, body, size);
    }
    return NULL;
}

/* A daemon that promises more pages and repeats itself would keep a caller for ever. */
static void a_list_that_never_ends_is_refused(void **state)
{
    struct peer *peer = *state;
    pthread_t thread;
    int count = 0;

    assert_int_equal(pthread_create(&thread, NULL, repeat_page, peer), 0);
    assert_int_equal(tusk_topic_list(peer->t, count_topic, &count), TUSK_EPROTOCOL);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(count, 2);
    assert_int_equal(tusk_ping(peer->t), TUSK_ECLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_frames_end_the_connection),
        cmocka_unit_test(a_flipped_bit_never_becomes_an_entry),
        cmocka_unit_test(random_replies_do_no_harm),
        cmocka_unit_test_setup_teardown(a_list_that_never_ends_is_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
