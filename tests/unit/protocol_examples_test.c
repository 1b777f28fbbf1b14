/* The hex examples of PROTOCOL.md: every block is decoded, must say what its own comments and
 * the text around it say, and must come out of the encoders as the same bytes. */
#include "proto/batch.h"
#include "proto/bytes.h"
#include "proto/frame.h"
#include "proto/message.h"
#include "proto/status.h"
#include "tests/unit/proto_hex.h"
#include "tests/unit/proto_mirror.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EXAMPLE_MAX 16
#define EXAMPLE_SIZE_MAX 512
#define FENCE "```hex "

struct example {
    char title[80];
    uint8_t bytes[EXAMPLE_SIZE_MAX];
    size_t size;
};

struct page {
    struct example examples[EXAMPLE_MAX];
    size_t count;
    size_t notes_checked;
};

/* A note that ends in `= 12`, `= 0x0c` or `= "text"` must be what the line's bytes are. */
static void check_note(struct page *page, const char *note, const uint8_t *bytes, size_t size)
{
    const char *value = strstr(note, " = ");
    uint8_t wide[8] = {0};

    if (value == NULL) {
        return;
    }
    value += 3;
    page->notes_checked++;
    if (*value == '"') {
        assert_int_equal(strlen(value), size + 2);
        assert_memory_equal(value + 1, bytes, size);
        assert_int_equal(value[size + 1], '"');
        return;
    }
    assert_true(size <= sizeof wide);
    memcpy(wide, bytes, size);
    assert_int_equal(strtoull(value, NULL, 0), get_u64(wide));
}

static void read_line(struct page *page, struct example *example, char *line)
{
    char *note = strchr(line, '#');
    uint8_t *to = example->bytes + example->size;
    size_t size;

    if (note != NULL) {
        *note++ = 0;
    }
    size = hex_decode(to, EXAMPLE_SIZE_MAX - example->size, line);
    example->size += size;
    if (note != NULL) {
        check_note(page, note, to, size);
    }
}

static void read_page(struct page *page)
{
    struct example *example = NULL;
    FILE *file = fopen(PROTOCOL_PATH, "r");
    char line[512];

    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, FENCE, strlen(FENCE)) == 0) {
            assert_true(page->count < EXAMPLE_MAX);
            example = &page->examples[page->count++];
            assert_true(strlen(line + strlen(FENCE)) < sizeof example->title);
            strcpy(example->title, line + strlen(FENCE));
        } else if (strncmp(line, "```", 3) == 0) {
            example = NULL;
        } else if (example != NULL) {
            read_line(page, example, line);
        }
    }
    fclose(file);
}

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct page));
    assert_non_null(*state);
    read_page(*state);
    return 0;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

/* The example of this title, decoded as a frame with these header fields; sets the body. */
static const uint8_t *open_example(const struct page *page, const char *title, uint16_t type,
                                   uint16_t status, uint64_t id, size_t *body_size)
{
    struct frame frame;
    size_t i;

    for (i = 0; i < page->count && strcmp(page->examples[i].title, title) != 0; i++) {
    }
    if (i == page->count) {
        fail_msg("no example \"%s\"", title);
    }
    assert_int_equal(
        frame_parse(&frame, page->examples[i].bytes, page->examples[i].size, EXAMPLE_SIZE_MAX),
        FRAME_READY);
    assert_int_equal(frame.size, page->examples[i].size);
    assert_int_equal(frame.type, type);
    assert_int_equal(frame.status, status);
    assert_int_equal(frame.id, id);
    *body_size = frame.size - FRAME_HEADER_SIZE;
    return page->examples[i].bytes + FRAME_HEADER_SIZE;
}

static void decode_request(const struct page *page, const char *title, uint16_t type, uint64_t id,
                           struct message *message)
{
    const char *why = NULL;
    size_t size;
    const uint8_t *body = open_example(page, title, type, 0, id, &size);

    assert_int_equal(message_decode(message, type, body, size, &why), 0);
}

static void assert_name(const struct message_name *name, const char *expected)
{
    assert_int_equal(name->size, strlen(expected));
    assert_memory_equal(name->data, expected, name->size);
}

static void assert_entries(const uint8_t *batch)
{
    struct batch_iterator it;
    struct batch_entry entry;

    batch_entries(&it, batch);
    assert_true(batch_next(&it, &entry));
    assert_int_equal(entry.size, 5);
    assert_memory_equal(entry.data, "hello", 5);
    assert_true(batch_next(&it, &entry));
    assert_int_equal(entry.size, 6);
    assert_memory_equal(entry.data, "world!", 6);
    assert_false(batch_next(&it, &entry));
}

/* The page has the whole session, and its comments were not skipped by a change of their form. */
static void the_page_has_all_examples_with_notes(void **state)
{
    const struct page *page = *state;

    assert_int_equal(page->count, 10);
    assert_true(page->notes_checked > 150);
}

/* HELLO and its reply: namespace `eu`, version 1, strict, synced once a second. */
static void hello_is_as_described(void **state)
{
    struct message_hello_reply reply;
    struct message message;
    size_t size;
    const uint8_t *body =
        open_example(*state, "HELLO reply", FRAME_REPLY | MESSAGE_HELLO, 0, 1, &size);

    decode_request(*state, "HELLO request", MESSAGE_HELLO, 1, &message);
    assert_int_equal(message.u.hello.version_min, 1);
    assert_int_equal(message.u.hello.version_max, MESSAGE_VERSION);
    assert_int_equal(message.u.hello.features, 0);
    assert_name(&message.u.hello.space, "eu");
    assert_name(&message.u.hello.client, "tusk 0.1.0");

    assert_int_equal(message_hello_reply_decode(&reply, body, size), 0);
    assert_int_equal(reply.version, 1);
    assert_int_equal(reply.consistency, 0);
    assert_int_equal(reply.features, 0);
    assert_int_equal(reply.incarnation, 0x1122334455667788);
    assert_int_equal(reply.fsync_ms, 1000);
    assert_int_equal(reply.frame_size_max, 16842752);
    assert_int_equal(reply.batch_size_max, 16777216);
    assert_int_equal(reply.entry_size_max, 8388608);
    assert_int_equal(reply.in_flight_max, 1024);
    assert_int_equal(reply.in_flight_bytes_max, 67108864);
    assert_name(&reply.server, "tuskd 0.1.0");
}

/* APPEND: `hello` and `world!` to `orders`, durable; the batch is what the encoder makes of them,
 * and begins where the text says. */
static void append_is_as_described(void **state)
{
    const struct batch_entry entries[] = {{(const uint8_t *)"hello", 5},
                                          {(const uint8_t *)"world!", 6}};
    struct message_append_reply reply;
    struct batch_header header;
    struct message message;
    uint8_t batch[83];
    size_t size;
    const uint8_t *body = open_example(*state, "APPEND request", MESSAGE_APPEND, 0, 2, &size);

    decode_request(*state, "APPEND request", MESSAGE_APPEND, 2, &message);
    assert_int_equal(message.u.append.topic.id, 0);
    assert_name(&message.u.append.topic.name, "orders");
    assert_int_equal(message.u.append.flags, APPEND_DURABLE);
    assert_ptr_equal(message.u.append.batch, body - FRAME_HEADER_SIZE + 38);
    assert_int_equal(message.u.append.batch_size, sizeof batch);
    assert_int_equal(batch_verify(message.u.append.batch, sizeof batch, 19, &header), BATCH_GOOD);
    assert_int_equal(header.body_crc, 0x01b073f9);
    assert_entries(message.u.append.batch);
    batch_encode(batch, entries, 2);
    assert_memory_equal(batch, message.u.append.batch, sizeof batch);

    body = open_example(*state, "APPEND reply", FRAME_REPLY | MESSAGE_APPEND, 0, 2, &size);
    assert_int_equal(message_append_reply_decode(&reply, body, size), 0);
    assert_int_equal(reply.topic_id, 7);
    assert_int_equal(reply.first_offset, 40);
    assert_int_equal(reply.durable_end, 42);
}

/* The READ's own fields: a peek at topic 7. */
static void assert_peek(const struct message *message, uint64_t offset)
{
    assert_int_equal(message->u.read.topic.id, 7);
    assert_name(&message->u.read.cursor, "");
    assert_int_equal(message->u.read.flags, 0);
    assert_int_equal(message->u.read.position.kind, POSITION_OFFSET);
    assert_int_equal(message->u.read.position.value, offset);
    assert_int_equal(message->u.read.max_bytes, 65536);
    assert_int_equal(message->u.read.max_entries, 100);
    assert_int_equal(message->u.read.wait_ms, 0);
    assert_int_equal(message->u.read.held, MESSAGE_HELD_NONE);
}

/* READ: the stored batch is the sent one, completed; its header checksum follows from the store
 * id of HELLO, and the generation and the position of this reply. */
static void read_is_as_described(void **state)
{
    struct message_hello_reply hello;
    struct message_read_reply reply;
    struct batch_header header;
    struct message message;
    struct message append;
    uint8_t stored[96] = {0};
    size_t size;
    const uint8_t *body;

    decode_request(*state, "READ request", MESSAGE_READ, 3, &message);
    assert_peek(&message, 40);
    body = open_example(*state, "HELLO reply", FRAME_REPLY | MESSAGE_HELLO, 0, 1, &size);
    assert_int_equal(message_hello_reply_decode(&hello, body, size), 0);
    body = open_example(*state, "READ reply", FRAME_REPLY | MESSAGE_READ, 0, 3, &size);
    assert_int_equal(message_read_reply_decode(&reply, body, size), 0);
    assert_int_equal(reply.topic_id, 7);
    assert_int_equal(reply.from, 40);
    assert_int_equal(reply.to, 42);
    assert_int_equal(reply.end, 42);
    assert_int_equal(reply.durable_end, 42);
    assert_int_equal(reply.epoch, 0);
    assert_int_equal(reply.skipped_from, 0);
    assert_int_equal(reply.skipped_to, 0);
    assert_int_equal(reply.generation, 0x9c01d2aa17f3b004);
    assert_int_equal(reply.position, 4096);
    assert_int_equal(reply.data_size, sizeof stored);
    assert_int_equal(batch_verify(reply.data, reply.data_size, 19, &header), BATCH_GOOD);
    assert_int_equal(batch_padded_size(header.stored_size), reply.data_size);
    assert_int_equal(header.first_offset, 40);
    assert_entries(reply.data);

    decode_request(*state, "APPEND request", MESSAGE_APPEND, 2, &append);
    memcpy(stored, append.u.append.batch, append.u.append.batch_size);
    assert_int_equal(batch_complete(stored, 40, header.time_us, header.previous_crc,
                                    batch_seed(hello.store_id, reply.generation), reply.position),
                     header.header_crc);
    assert_memory_equal(stored, reply.data, sizeof stored);
}

/* A trimmed offset: status 14, the first offset kept, and a sentence. */
static void trimmed_is_as_described(void **state)
{
    struct message_error error;
    struct message message;
    size_t size;
    const uint8_t *body = open_example(*state, "READ of a trimmed offset, reply",
                                       FRAME_REPLY | MESSAGE_READ, -TUSK_ETRIMMED, 4, &size);

    decode_request(*state, "READ of a trimmed offset, request", MESSAGE_READ, 4, &message);
    assert_peek(&message, 3);
    assert_int_equal(message_error_decode(&error, body, size), 0);
    assert_int_equal(error.detail_a, 16);
    assert_int_equal(error.detail_b, 0);
    assert_true(error.text.size > 20);
}

/* CHECKPOINT: `billing` to 42, any epoch; answered with epoch 1. */
static void checkpoint_is_as_described(void **state)
{
    struct message_cursor_reply reply;
    struct message message;
    size_t size;
    const uint8_t *body =
        open_example(*state, "CHECKPOINT reply", FRAME_REPLY | MESSAGE_CHECKPOINT, 0, 5, &size);

    decode_request(*state, "CHECKPOINT request", MESSAGE_CHECKPOINT, 5, &message);
    assert_int_equal(message.u.checkpoint.topic.id, 7);
    assert_name(&message.u.checkpoint.cursor, "billing");
    assert_int_equal(message.u.checkpoint.offset, 42);
    assert_int_equal(message.u.checkpoint.epoch, 0);
    assert_int_equal(message.u.checkpoint.flags, 0);
    assert_int_equal(message_cursor_reply_decode(&reply, body, size), 0);
    assert_int_equal(reply.offset, 42);
    assert_int_equal(reply.epoch, 1);
}

/* The layout of a reply's body. */
static enum reply_kind kind_of(const struct frame *frame)
{
    if (frame->status != 0) {
        return REPLY_ERROR;
    }
    switch (frame->type & ~FRAME_REPLY) {
    case MESSAGE_HELLO:
        return REPLY_HELLO;
    case MESSAGE_APPEND:
        return REPLY_APPEND;
    case MESSAGE_READ:
        return REPLY_READ;
    case MESSAGE_CHECKPOINT:
        return REPLY_CURSOR;
    default:
        fail_msg("an example of type %u, which this test does not know", frame->type);
        return REPLY_ERROR;
    }
}

/* Every block, whatever it is, comes out of the encoders as it stands on the page. */
static void examples_are_encoded_to_the_same_bytes(void **state)
{
    const struct page *page = *state;
    size_t i;

    for (i = 0; i < page->count; i++) {
        const struct example *example = &page->examples[i];
        const uint8_t *body = example->bytes + FRAME_HEADER_SIZE;
        size_t body_size = example->size - FRAME_HEADER_SIZE;
        uint8_t again[EXAMPLE_SIZE_MAX];
        size_t again_size = 0;
        struct frame frame;
        int rc;

        assert_int_equal(frame_parse(&frame, example->bytes, example->size, EXAMPLE_SIZE_MAX),
                         FRAME_READY);
        frame_encode(again, &frame);
        if ((frame.type & FRAME_REPLY) != 0) {
            rc = mirror_reply(kind_of(&frame), body, body_size, again + FRAME_HEADER_SIZE,
                              &again_size);
        } else {
            rc =
                mirror_request(frame.type, body, body_size, again + FRAME_HEADER_SIZE, &again_size);
        }
        assert_int_equal(rc, 0);
        assert_int_equal(again_size, body_size);
        assert_memory_equal(again, example->bytes, example->size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_has_all_examples_with_notes),
        cmocka_unit_test(hello_is_as_described),
        cmocka_unit_test(append_is_as_described),
        cmocka_unit_test(read_is_as_described),
        cmocka_unit_test(trimmed_is_as_described),
        cmocka_unit_test(checkpoint_is_as_described),
        cmocka_unit_test(examples_are_encoded_to_the_same_bytes),
    };

    return cmocka_run_group_tests_name("protocol examples", tests, set_up, tear_down);
}
