/* Writes the seed corpora: `fuzz_corpus DIRECTORY` fills frame/, message/ and batch/ there with
 * small valid inputs made by the encoders, the same ones at every run. */
#include "proto/batch.h"
#include "proto/bytes.h"
#include "proto/frame.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/proto_random.h"

#include <string.h>

#define SEED_SIZE_MAX 400u /* Small inputs are mutated, and understood, faster */

static const char *root;
static struct random generator = {.state = 1};
static struct random_pool pool;

static void write_file(const char *folder, const char *name, const uint8_t *bytes, size_t size)
{
    char path[4096];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/%s/%s", root, folder, name);
    file = fopen(path, "wb");
    REQUIRE(file != NULL);
    REQUIRE(fwrite(bytes, 1, size, file) == size);
    REQUIRE(fclose(file) == 0);
}

static const char *const request_names[MESSAGE_TYPE_END] = {
    [MESSAGE_HELLO] = "hello",
    [MESSAGE_PING] = "ping",
    [MESSAGE_APPEND] = "append",
    [MESSAGE_READ] = "read",
    [MESSAGE_CHECKPOINT] = "checkpoint",
    [MESSAGE_SEEK] = "seek",
    [MESSAGE_SYNC] = "sync",
    [MESSAGE_TOPIC_CREATE] = "topic-create",
    [MESSAGE_TOPIC_SET] = "topic-set",
    [MESSAGE_TOPIC_DELETE] = "topic-delete",
    [MESSAGE_TOPIC_TRIM] = "topic-trim",
    [MESSAGE_TOPIC_LIST] = "topic-list",
    [MESSAGE_TOPIC_INFO] = "topic-info",
    [MESSAGE_CURSOR_CREATE] = "cursor-create",
    [MESSAGE_CURSOR_LIST] = "cursor-list",
    [MESSAGE_CURSOR_DELETE] = "cursor-delete",
    [MESSAGE_NAMESPACE_CREATE] = "namespace-create",
    [MESSAGE_NAMESPACE_SET] = "namespace-set",
    [MESSAGE_NAMESPACE_LIST] = "namespace-list",
    [MESSAGE_NAMESPACE_DELETE] = "namespace-delete",
    [MESSAGE_STATS] = "stats",
    [MESSAGE_CONFIG] = "config",
    [MESSAGE_RELEASE] = "release",
    [MESSAGE_ACCESS] = "access",
    [MESSAGE_SNAPSHOT_BEGIN] = "snapshot-begin",
    [MESSAGE_SNAPSHOT_END] = "snapshot-end",
    [MESSAGE_SLOWLOG] = "slowlog",
};

static const char *const reply_names[REPLY_KIND_END] = {
    [REPLY_HELLO] = "reply-hello",
    [REPLY_APPEND] = "reply-append",
    [REPLY_READ] = "reply-read",
    [REPLY_CURSOR] = "reply-cursor",
    [REPLY_U64] = "reply-u64",
    [REPLY_ERROR] = "reply-error",
    [REPLY_TOPIC_INFO] = "reply-topic-info",
    [REPLY_TOPIC_LIST] = "reply-topic-list",
    [REPLY_CURSOR_LIST] = "reply-cursor-list",
    [REPLY_NAMESPACE_LIST] = "reply-namespace-list",
    [REPLY_STATS] = "reply-stats",
    [REPLY_CONFIG] = "reply-config",
    [REPLY_ACCESS] = "reply-access",
    [REPLY_SNAPSHOT] = "reply-snapshot",
    [REPLY_SLOWLOG] = "reply-slowlog",
};

/* A request of this type that is small. */
static size_t small_request(uint16_t type, uint8_t *out)
{
    struct message message;
    size_t size;

    do {
        random_message(&generator, &pool, type, &message);
        size = message_encode_whole(out, &message);
    } while (size > SEED_SIZE_MAX);
    return size;
}

/* A reply that is small; a list that is not empty. */
static size_t small_reply(enum reply_kind kind, uint8_t *out)
{
    size_t size;

    do {
        size = random_reply(&generator, &pool, kind, out);
    } while (size > SEED_SIZE_MAX || size <= MESSAGE_LIST_HEAD_SIZE);
    return size;
}

static void write_messages(void)
{
    static uint8_t bytes[2 + RANDOM_BODY_SIZE_MAX];
    uint16_t type;
    int kind;

    for (type = MESSAGE_HELLO; type < MESSAGE_TYPE_END; type++) {
        if (!message_type_known(type)) {
            continue;
        }
        put_u16(bytes, type);
        write_file("message", request_names[type], bytes, 2 + small_request(type, bytes + 2));
    }
    for (kind = 0; kind < REPLY_KIND_END; kind++) {
        put_u16(bytes, (uint16_t)(FRAME_REPLY | (unsigned int)kind));
        write_file("message", reply_names[kind], bytes,
                   2 + small_reply((enum reply_kind)kind, bytes + 2));
    }
}

/* A frame with a request of this type. */
static size_t request_frame(uint16_t type, uint8_t *out)
{
    struct frame frame = {.type = type, .id = type};

    frame.size = (uint32_t)(FRAME_HEADER_SIZE + small_request(type, out + FRAME_HEADER_SIZE));
    frame_encode(out, &frame);
    return frame.size;
}

static void write_frames(void)
{
    static const uint16_t session[] = {MESSAGE_HELLO, MESSAGE_APPEND, MESSAGE_READ,
                                       MESSAGE_CHECKPOINT, MESSAGE_PING};
    static uint8_t bytes[4 * RANDOM_BODY_SIZE_MAX];
    struct frame frame = {.size = FRAME_HEADER_SIZE, .type = FRAME_REPLY | MESSAGE_PING};
    size_t size = 0;
    size_t i;

    for (i = 0; i < sizeof session / sizeof *session; i++) {
        size += request_frame(session[i], bytes + size);
    }
    write_file("frame", "session", bytes, size);
    write_file("frame", "cut", bytes, size - 7);
    write_file("frame", "hello", bytes, request_frame(MESSAGE_HELLO, bytes));
    write_file("frame", "append", bytes, request_frame(MESSAGE_APPEND, bytes));
    frame_encode(bytes, &frame);
    write_file("frame", "reply", bytes, FRAME_HEADER_SIZE);
    frame.size = FRAME_SIZE_BEFORE_HELLO + 1;
    frame_encode(bytes, &frame);
    write_file("frame", "too-big", bytes, FRAME_HEADER_SIZE);
}

static void write_batch(const char *name, const struct batch_entry *entries, uint32_t count,
                        bool stored)
{
    static const uint8_t store_id[BATCH_STORE_ID_SIZE];
    uint8_t bytes[512] = {0};
    size_t size = BATCH_HEADER_SIZE + (size_t)count * 4;
    uint32_t i;

    for (i = 0; i < count; i++) {
        size += entries[i].size;
    }
    REQUIRE(size <= sizeof bytes - BATCH_ALIGN);
    batch_encode(bytes, entries, count);
    if (stored) {
        (void)batch_complete(bytes, 40, 1772368496123456, 0x5e2a81c7, batch_seed(store_id, 1),
                             4096);
        size = (size + BATCH_ALIGN - 1) / BATCH_ALIGN * BATCH_ALIGN;
    }
    write_file("batch", name, bytes, size);
}

static void write_batches(void)
{
    static const uint8_t text[] = "hello world and everyone in it, one hundred bytes at a time";
    struct batch_entry entries[16];
    uint32_t i;

    for (i = 0; i < 16; i++) {
        entries[i] = (struct batch_entry){.data = text + i, .size = i};
    }
    write_batch("one", entries + 15, 1, false);
    write_batch("two", entries + 5, 2, false);
    write_batch("empty-entry", entries, 1, false);
    write_batch("many", entries, 16, false);
    write_batch("stored", entries + 5, 2, true);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    root = argv[1];
    write_messages();
    write_frames();
    write_batches();
    return 0;
}
