/* Messages: properties that hold for every type, over random valid bodies and random bytes. */
#include "proto/message.h"
#include "proto/status.h"
#include "tests/unit/proto_hex.h"
#include "tests/unit/proto_mirror.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A request or a reply, by one number: the requests' types, then the replies' kinds. */
#define BODY_KIND_COUNT ((int)MESSAGE_TYPE_END + (int)REPLY_KIND_END)

struct fixture {
    struct random random;
    struct random_pool pool;
    uint8_t body[RANDOM_BODY_SIZE_MAX];
    uint8_t again[RANDOM_BODY_SIZE_MAX];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    random_begin(&f->random);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

/* Whether there is such a request: some numbers in between are not used. */
static bool kind_known(int kind)
{
    return kind >= MESSAGE_TYPE_END || message_type_known((uint16_t)kind);
}

/* A valid body of this kind into f->body; its size. */
static size_t random_body(struct fixture *f, int kind)
{
    struct message message;

    if (kind >= MESSAGE_TYPE_END) {
        return random_reply(&f->random, &f->pool, (enum reply_kind)(kind - MESSAGE_TYPE_END),
                            f->body);
    }
    random_message(&f->random, &f->pool, (uint16_t)kind, &message);
    return message_encode_whole(f->body, &message);
}

/* Decode a copy of the body that ends where its memory ends, so that a read beyond is seen; on
 * success, it must come back as the same bytes. Returns what the decoder says. */
static int decode(struct fixture *f, int kind, const uint8_t *body, size_t size)
{
    uint8_t *copy = malloc(size + (size == 0));
    size_t again_size = 0;
    int rc;

    assert_non_null(copy);
    if (size > 0) {
        memcpy(copy, body, size);
    }
    if (kind >= MESSAGE_TYPE_END) {
        rc = mirror_reply((enum reply_kind)(kind - MESSAGE_TYPE_END), copy, size, f->again,
                          &again_size);
    } else {
        rc = mirror_request((uint16_t)kind, copy, size, f->again, &again_size);
    }
    if (rc == 0) {
        assert_int_equal(again_size, size);
        assert_memory_equal(f->again, copy, size);
    }
    free(copy);
    return rc;
}

/* What one side means is what the other understands, in every field. */
static void requests_round_trip(void **state)
{
    struct fixture *f = *state;
    uint16_t type;
    int round;

    for (type = MESSAGE_HELLO; type < MESSAGE_TYPE_END; type++) {
        if (!message_type_known(type)) {
            continue;
        }
        for (round = 0; round < 500; round++) {
            struct message sent;
            struct message received;
            const char *why = NULL;
            size_t size;

            random_message(&f->random, &f->pool, type, &sent);
            size = message_encode_whole(f->body, &sent);
            assert_int_equal(message_decode(&received, type, f->body, size, &why), 0);
            assert_true(message_equal(&received, &sent));
            assert_int_equal(decode(f, type, f->body, size), 0);
        }
    }
}

/* The same for replies, whose fields message_layout_test pins to their bytes. */
static void replies_round_trip(void **state)
{
    struct fixture *f = *state;
    int kind;
    int round;

    for (kind = MESSAGE_TYPE_END; kind < BODY_KIND_COUNT; kind++) {
        for (round = 0; round < 300; round++) {
            assert_int_equal(decode(f, kind, f->body, random_body(f, kind)), 0);
        }
    }
}

/* Half a message is never taken for a whole one, wherever it was cut. */
static void every_truncation_is_refused(void **state)
{
    struct fixture *f = *state;
    int kind;
    int round;

    for (kind = MESSAGE_HELLO; kind < BODY_KIND_COUNT; kind++) {
        if (!kind_known(kind)) {
            continue;
        }
        for (round = 0; round < 10; round++) {
            size_t size = random_body(f, kind);
            size_t cut;

            for (cut = 0; cut < size; cut++) {
                assert_int_equal(decode(f, kind, f->body, cut), TUSK_EINVALID);
            }
        }
    }
}

/* A message with one byte more is not one, whatever the byte. */
static void every_extension_is_refused(void **state)
{
    struct fixture *f = *state;
    int kind;
    int extra;

    for (kind = MESSAGE_HELLO; kind < BODY_KIND_COUNT; kind++) {
        if (!kind_known(kind)) {
            continue;
        }
        for (extra = 0; extra < 256; extra++) {
            size_t size = random_body(f, kind);

            f->body[size] = (uint8_t)extra;
            assert_int_equal(decode(f, kind, f->body, size + 1), TUSK_EINVALID);
        }
    }
}

/* Flip any bit of a valid body: either it is refused, or it is another valid message, every bit
 * of which the decoder understood (decode() compares). So no byte goes unread. */
static void every_bit_means_something_or_is_refused(void **state)
{
    struct fixture *f = *state;
    int kind;
    int round;

    for (kind = MESSAGE_HELLO; kind < BODY_KIND_COUNT; kind++) {
        if (!kind_known(kind)) {
            continue;
        }
        for (round = 0; round < 3; round++) {
            size_t size = random_body(f, kind);
            size_t bits = size * 8 < 4096 ? size * 8 : 4096;
            size_t bit;

            for (bit = 0; bit < bits; bit++) {
                f->body[bit / 8] = (uint8_t)(f->body[bit / 8] ^ (1u << (bit % 8)));
                (void)decode(f, kind, f->body, size); /* Either result is right */
                f->body[bit / 8] = (uint8_t)(f->body[bit / 8] ^ (1u << (bit % 8)));
            }
            assert_int_equal(decode(f, kind, f->body, size), 0);
        }
    }
}

/* Whatever a hostile peer sends, nothing outside the body is touched. */
static void random_bytes_never_crash(void **state)
{
    struct fixture *f = *state;
    int kind;
    int round;

    for (kind = 0; kind < BODY_KIND_COUNT; kind++) {
        for (round = 0; round < 2000; round++) {
            size_t size = (size_t)random_below(&f->random, 200);
            size_t i;

            random_fill(&f->random, f->body, size);
            /* Mostly small numbers, or the first size would end it. */
            for (i = 0; i < size; i++) {
                f->body[i] = random_below(&f->random, 3) == 0 ? f->body[i] : 0;
            }
            (void)decode(f, kind, f->body, size); /* Either result is right */
        }
    }
}

/* A valid body with a few bytes overwritten gets further into a decoder than noise does. */
static void damaged_bodies_never_crash(void **state)
{
    struct fixture *f = *state;
    int kind;
    int round;

    for (kind = MESSAGE_HELLO; kind < BODY_KIND_COUNT; kind++) {
        if (!kind_known(kind)) {
            continue;
        }
        for (round = 0; round < 1000; round++) {
            size_t size = random_body(f, kind);
            int damage;

            for (damage = 0; damage < 3 && size > 0; damage++) {
                f->body[random_below(&f->random, size)] = (uint8_t)random_number(&f->random);
            }
            (void)decode(f, kind, f->body, size); /* Either result is right */
        }
    }
}

/* The size that a caller makes room for is the size that is written, to the byte. */
static void encoders_write_exactly_the_size_they_say(void **state)
{
    struct fixture *f = *state;
    uint16_t type;
    int round;

    for (type = MESSAGE_HELLO; type < MESSAGE_TYPE_END; type++) {
        if (!message_type_known(type)) {
            continue;
        }
        for (round = 0; round < 50; round++) {
            struct message message;
            uint8_t *exact;
            size_t size;

            random_message(&f->random, &f->pool, type, &message);
            size = message_size(&message);
            exact = malloc(size + 1);
            assert_non_null(exact);
            exact[size] = 0xee;
            assert_int_equal(message_encode(exact, &message), size);
            assert_int_equal(exact[size], 0xee);
            free(exact);
        }
    }
}

/* A type that this version does not know is told apart from a bad body, and has no encoding. */
static void unknown_types_are_unsupported(void **state)
{
    static const uint16_t types[] = {0, MESSAGE_TYPE_END, 100, 0x7fff, 0x8000, 0x8001, 0xffff};
    uint8_t bytes[64] = {0};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof types / sizeof *types; i++) {
        struct message message = {.type = types[i]};
        const char *why = NULL;

        assert_int_equal(message_size(&message), 0);
        assert_int_equal(message_encode(bytes, &message), 0);
        assert_int_equal(message_decode(&message, types[i], bytes, sizeof bytes, &why),
                         TUSK_EUNSUPPORTED);
        assert_non_null(why);
        why = NULL;
        assert_int_equal(message_decode(&message, types[i], NULL, 0, &why), TUSK_EUNSUPPORTED);
        assert_non_null(why);
    }
}

/* A body of nothing is valid for the four types that have none, and needs no memory. */
static void empty_bodies_are_for_messages_without_fields(void **state)
{
    uint16_t type;

    (void)state;
    for (type = MESSAGE_HELLO; type < MESSAGE_TYPE_END; type++) {
        bool none = type == MESSAGE_PING || type == MESSAGE_SYNC || type == MESSAGE_STATS ||
                    type == MESSAGE_SNAPSHOT_BEGIN;
        struct message message;
        const char *why = NULL;
        int rc = message_decode(&message, type, NULL, 0, &why);

        assert_int_equal(rc, none ? 0 : TUSK_EINVALID);
    }
}

static size_t error_round_trip(struct fixture *f, const char *text, size_t size,
                               struct message_error *error)
{
    const struct message_error sent = {.text = {.data = text, .size = (uint16_t)size}};
    size_t encoded_size = message_error_encode(f->body, &sent);

    assert_int_equal(message_error_size(&sent), encoded_size);
    assert_int_equal(message_error_decode(error, f->body, encoded_size), 0);
    return error->text.size;
}

/* An error must reach the client even if its sentence quotes a name that is not UTF-8, or is too
 * long: bad bytes become '?', the rest is cut. */
static void error_texts_always_decode(void **state)
{
    struct fixture *f = *state;
    struct message_error error;
    char text[2048];
    int round;

    assert_int_equal(error_round_trip(f, "a\xff\xc3\xa9\xc3", 5, &error), 5);
    assert_memory_equal(error.text.data, "a?\xc3\xa9?", 5);
    assert_int_equal(error_round_trip(f, "\0b", 2, &error), 2);
    assert_memory_equal(error.text.data, "?b", 2);

    memset(text, 'x', sizeof text);
    assert_int_equal(error_round_trip(f, text, 1024, &error), 1024);
    memcpy(text + 1022, "\xe2\x82\xac", 3);
    assert_int_equal(error_round_trip(f, text, sizeof text, &error), 1024);
    assert_memory_equal(error.text.data + 1020, "xx??", 4);

    for (round = 0; round < 2000; round++) {
        random_fill(&f->random, text, sizeof text);
        (void)error_round_trip(f, text, (size_t)random_below(&f->random, sizeof text), &error);
    }
}

static const struct {
    const char *hex;
    bool valid;
} utf8_rows[] = {
    {"", true},
    {"00", false},
    {"01", true},
    {"7f", true},
    {"80", false},
    {"bf", false},
    {"c0", false},
    {"c080", false},
    {"c1bf", false},
    {"c27f", false},
    {"c280", true},
    {"c2bf", true},
    {"c2c0", false},
    {"c2", false},
    {"dfbf", true},
    {"df", false},
    {"e08080", false},
    {"e09fbf", false},
    {"e0a080", true},
    {"e0a07f", false},
    {"e0a0c0", false},
    {"e0a0", false},
    {"e18080", true},
    {"ecbfbf", true},
    {"ed8080", true},
    {"ed9fbf", true},
    {"eda080", false},
    {"edbfbf", false},
    {"ee8080", true},
    {"efbfbf", true},
    {"efbf", false},
    {"ef", false},
    {"f0808080", false},
    {"f08fbfbf", false},
    {"f0908080", true},
    {"f09080", false},
    {"f0908080ff", false},
    {"f0907f80", false},
    {"f09080c0", false},
    {"f1808080", true},
    {"f3bfbfbf", true},
    {"f4808080", true},
    {"f48fbfbf", true},
    {"f4908080", false},
    {"f5808080", false},
    {"f8888080", false},
    {"fc", false},
    {"fe", false},
    {"ff", false},
    {"61c3a962", true},
    {"6100", false},
    {"610062", false},
    {"c3a9e282acf09f9880", true},
    {"61e282", false},
    {"e28261", false},
};

/* RFC 3629: which bytes are characters, at each boundary. */
static void utf8_is_that_of_the_standard(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof utf8_rows / sizeof *utf8_rows; i++) {
        uint8_t bytes[16];
        size_t size = hex_decode(bytes, sizeof bytes, utf8_rows[i].hex);

        if (message_utf8_valid((const char *)bytes, size) != utf8_rows[i].valid) {
            print_error("%s\n", utf8_rows[i].hex);
            fail();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_round_trip),
        cmocka_unit_test(replies_round_trip),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_extension_is_refused),
        cmocka_unit_test(every_bit_means_something_or_is_refused),
        cmocka_unit_test(random_bytes_never_crash),
        cmocka_unit_test(damaged_bodies_never_crash),
        cmocka_unit_test(encoders_write_exactly_the_size_they_say),
        cmocka_unit_test(unknown_types_are_unsupported),
        cmocka_unit_test(empty_bodies_are_for_messages_without_fields),
        cmocka_unit_test(error_texts_always_decode),
        cmocka_unit_test(utf8_is_that_of_the_standard),
    };

    return cmocka_run_group_tests_name("message", tests, set_up, tear_down);
}
