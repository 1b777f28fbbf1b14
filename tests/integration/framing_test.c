/* Bytes as they should not come: cut anywhere, of any size, of any type. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/bytes.h"
#include "tests/integration/fixture.h"

static struct message hello_message(uint16_t version_min, uint16_t version_max)
{
    return (struct message){
        .type = MESSAGE_HELLO,
        .u.hello = {.version_min = version_min,
                    .version_max = version_max,
                    .space = wire_name(""),
                    .client = wire_name("test")},
    };
}

/* A client's bytes may arrive in any pieces: HELLO, an append and a ping, cut in two at every byte
 * with the daemon having taken the first piece, are answered all the same. */
static void frames_may_be_cut_at_every_byte(void **state)
{
    const struct message ping = {.type = MESSAGE_PING};
    struct daemon *daemon = *state;
    const struct message hello = hello_message(1, 1);
    uint8_t *batch;
    const struct message append =
        wire_append_message("t", (const char *const[]){"a", "bc"}, 2, &batch);
    uint8_t stream[1024];
    size_t used = 0;
    size_t cut;
    const struct message *const messages[] = {&hello, &append, &ping};

    for (size_t i = 0; i < 3; i++) {
        size_t size;
        uint8_t *bytes = wire_encode(messages[i], i + 1, &size);

        assert_true(used + size <= sizeof stream);
        memcpy(stream + used, bytes, size);
        used += size;
        free(bytes);
    }
    for (cut = 1; cut < used; cut++) {
        struct wire_reply reply;
        struct wire wire;
        unsigned i;

        wire_open(&wire, daemon->socket, NULL);
        assert_true(wire_send_bytes(&wire, stream, cut));
        /* Another client's answer proves that the loop has gone round since. */
        {
            struct wire other;

            wire_open(&other, daemon->socket, "default");
            wire_close(&other);
        }
        assert_true(wire_send_bytes(&wire, stream + cut, used - cut));
        for (i = 0; i < 3; i++) {
            assert_true(wire_receive(&wire, &reply));
            assert_int_equal(reply.status, 0);
        }
        wire_close(&wire);
    }
    free(batch);
}

/* One byte at a time is slow, but right. */
static void one_byte_at_a_time_works(void **state)
{
    struct daemon *daemon = *state;
    const struct message hello = hello_message(1, 1);
    struct wire_reply reply;
    struct wire wire;
    uint8_t *bytes;
    size_t size;
    size_t i;

    wire_open(&wire, daemon->socket, NULL);
    bytes = wire_encode(&hello, 7, &size);
    for (i = 0; i < size; i++) {
        assert_true(wire_send_bytes(&wire, bytes + i, 1));
    }
    free(bytes);
    assert_true(wire_receive(&wire, &reply));
    assert_int_equal(reply.status, 0);
    assert_int_equal(reply.id, 7);
    wire_close(&wire);
}

/* A size that no frame can have is answered PROTOCOL with the frame's id, and the connection is
 * closed: nobody knows where the next frame begins. Nothing is allocated for it. */
static void impossible_sizes_end_the_connection(void **state)
{
    static const uint32_t sizes[] = {0, 1, 15, 0x7fffffff, 0x80000000, 0xffffffff};
    struct daemon *daemon = *state;
    struct wire_reply reply;
    struct wire wire;
    size_t i;

    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        wire_open(&wire, daemon->socket, "default");
        wire_send_frame(&wire, sizes[i], MESSAGE_PING, 1000 + i, "", 0);
        assert_true(wire_receive(&wire, &reply));
        assert_int_equal(reply.status, TUSK_EPROTOCOL);
        assert_int_equal(reply.id, 1000 + i);
        assert_int_equal(wire_expect_closed(&wire), 0);
        wire_close(&wire);
    }
}

/* The largest frame that HELLO permits is read whole; one byte more is refused by its header. */
static void frame_limit_is_exact(void **state)
{
    struct daemon *daemon = *state;
    struct wire_reply reply;
    struct wire wire;
    uint8_t *body;

    wire_open(&wire, daemon->socket, "default");
    body = calloc(1, wire.hello.frame_size_max);
    assert_non_null(body);
    wire_send_frame(&wire, wire.hello.frame_size_max, MESSAGE_PING, 1, body,
                    wire.hello.frame_size_max - FRAME_HEADER_SIZE);
    assert_true(wire_receive(&wire, &reply));
    assert_int_equal(reply.status, TUSK_EINVALID);
    wire_send_frame(&wire, wire.hello.frame_size_max + 1, MESSAGE_PING, 2, "", 0);
    assert_true(wire_receive(&wire, &reply));
    assert_int_equal(reply.status, TUSK_EPROTOCOL);
    assert_int_equal(reply.id, 2);
    free(body);
    wire_close(&wire);
}

/* Before HELLO, frames are small: nobody unknown makes the daemon hold more. */
static void frames_before_hello_are_small(void **state)
{
    struct daemon *daemon = *state;
    struct wire_reply reply;
    struct wire wire;

    wire_open(&wire, daemon->socket, NULL);
    wire_send_frame(&wire, FRAME_SIZE_BEFORE_HELLO + 1, MESSAGE_HELLO, 1, "", 0);
    assert_true(wire_receive(&wire, &reply));
    assert_int_equal(reply.status, TUSK_EPROTOCOL);
    (void)wire_expect_closed(&wire);
    wire_close(&wire);
}

/* A type that nobody knows is answered UNSUPPORTED, and the connection goes on; every number that
 * is not a request is tried. One with the bit of a reply ends it. */
static void unknown_types_are_answered(void **state)
{
    struct daemon *daemon = *state;
    struct wire_reply reply;
    struct wire wire;
    uint16_t type;

    wire_open(&wire, daemon->socket, "default");
    for (type = 0; type < 300; type++) {
        if (message_type_known(type)) {
            continue;
        }
        wire_send_frame(&wire, 20, type, type, "abcd", 4);
        assert_true(wire_receive(&wire, &reply));
        assert_int_equal(reply.status, TUSK_EUNSUPPORTED);
        assert_int_equal(reply.type, type);
    }
    assert_int_equal(wire_simple(&wire, MESSAGE_PING), 0);
    wire_send_frame(&wire, 16, MESSAGE_PING | FRAME_REPLY, 5, "", 0);
    assert_true(wire_receive(&wire, &reply));
    assert_int_equal(reply.status, TUSK_EPROTOCOL);
    (void)wire_expect_closed(&wire);
    wire_close(&wire);
}

/* A body that is not exactly its message is answered INVALID: for every request, nothing at all
 * (where that is too short) and a lot of zeros. The connection goes on. */
static void malformed_bodies_are_answered(void **state)
{
    static const uint8_t zeros[600];
    struct daemon *daemon = *state;
    struct wire_reply reply;
    struct wire wire;
    uint16_t type;

    wire_open(&wire, daemon->socket, "default");
    for (type = MESSAGE_PING; type < MESSAGE_TYPE_END; type++) {
        if (!message_type_known(type)) {
            continue;
        }
        wire_send_frame(&wire, FRAME_HEADER_SIZE + sizeof zeros, type, type, zeros, sizeof zeros);
        assert_true(wire_receive(&wire, &reply));
        assert_int_equal(reply.status, TUSK_EINVALID);
        assert_int_equal(reply.id, type);
    }
    wire_send_frame(&wire, FRAME_HEADER_SIZE, MESSAGE_READ, 99, "", 0);
    assert_true(wire_receive(&wire, &reply));
    assert_int_equal(reply.status, TUSK_EINVALID);
    assert_int_equal(wire_simple(&wire, MESSAGE_PING), 0);
    wire_close(&wire);
}

/* Trailing garbage is not ignored: what it meant nobody knows. */
static void trailing_garbage_is_refused(void **state)
{
    struct daemon *daemon = *state;
    const struct message sync = {.type = MESSAGE_TOPIC_INFO, .u.topic = wire_topic("t")};
    struct wire_reply reply;
    struct wire wire;
    uint8_t *bytes;
    size_t size;

    wire_open(&wire, daemon->socket, "default");
    bytes = wire_encode(&sync, 3, &size);
    put_u32(bytes, (uint32_t)size + 1);
    assert_true(wire_send_bytes(&wire, bytes, size));
    assert_true(wire_send_bytes(&wire, "x", 1));
    assert_true(wire_receive(&wire, &reply));
    assert_int_equal(reply.status, TUSK_EINVALID);
    free(bytes);
    wire_close(&wire);
}

/* HELLO comes first, and once. */
static void hello_comes_first_and_once(void **state)
{
    struct daemon *daemon = *state;
    const struct message hello = hello_message(1, 1);
    struct wire_reply reply;
    struct wire wire;

    wire_open(&wire, daemon->socket, NULL);
    wire_send_frame(&wire, 16, MESSAGE_PING, 4, "", 0);
    assert_true(wire_receive(&wire, &reply));
    assert_int_equal(reply.status, TUSK_EPROTOCOL);
    assert_int_equal(wire_expect_closed(&wire), 0);
    wire_close(&wire);

    wire_open(&wire, daemon->socket, "default");
    assert_int_equal(wire_call(&wire, &hello, &reply), TUSK_EPROTOCOL);
    assert_int_equal(wire_expect_closed(&wire), 0);
    wire_close(&wire);
}

/* A client of another version is told so; one that speaks several gets the common one. */
static void versions_are_negotiated(void **state)
{
    struct daemon *daemon = *state;
    const struct message newer = hello_message(2, 9);
    const struct message wide = hello_message(1, 9);
    struct message_hello_reply hello;
    struct wire_reply reply;
    struct wire wire;

    wire_open(&wire, daemon->socket, NULL);
    assert_int_equal(wire_call(&wire, &newer, &reply), TUSK_EVERSION);
    wire_close(&wire);
    wire_open(&wire, daemon->socket, NULL);
    assert_int_equal(wire_call(&wire, &wide, &reply), 0);
    assert_int_equal(message_hello_reply_decode(&hello, reply.body, reply.size), 0);
    assert_int_equal(hello.version, 1);
    wire_close(&wire);
}

/* Descriptors that come with the bytes are nobody's: the daemon keeps none, and answers. */
static void passed_descriptors_are_dropped(void **state)
{
    struct daemon *daemon = *state;
    const struct message ping = {.type = MESSAGE_PING};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {.bytes = {0}};
    struct wire_reply reply;
    struct cmsghdr *head;
    struct iovec part;
    struct msghdr out;
    struct wire wire;
    uint8_t *bytes;
    size_t size;

    wire_open(&wire, daemon->socket, "default");
    bytes = wire_encode(&ping, 11, &size);
    part = (struct iovec){bytes, size};
    out = (struct msghdr){.msg_iov = &part,
                          .msg_iovlen = 1,
                          .msg_control = control.bytes,
                          .msg_controllen = sizeof control.bytes};
    head = CMSG_FIRSTHDR(&out);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &wire.fd, sizeof wire.fd);
    assert_int_equal(sendmsg(wire.fd, &out, 0), (ssize_t)size);
    assert_true(wire_receive(&wire, &reply));
    assert_int_equal(reply.id, 11);
    free(bytes);
    wire_close(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_RUNNING_TEST(frames_may_be_cut_at_every_byte),
        FIXTURE_RUNNING_TEST(one_byte_at_a_time_works),
        FIXTURE_RUNNING_TEST(impossible_sizes_end_the_connection),
        FIXTURE_RUNNING_TEST(frame_limit_is_exact),
        FIXTURE_RUNNING_TEST(frames_before_hello_are_small),
        FIXTURE_RUNNING_TEST(unknown_types_are_answered),
        FIXTURE_RUNNING_TEST(malformed_bodies_are_answered),
        FIXTURE_RUNNING_TEST(trailing_garbage_is_refused),
        FIXTURE_RUNNING_TEST(hello_comes_first_and_once),
        FIXTURE_RUNNING_TEST(versions_are_negotiated),
        FIXTURE_RUNNING_TEST(passed_descriptors_are_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
