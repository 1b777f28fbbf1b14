#include "tests/integration/leases.h"

#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define GENERATION_AT 56u /* Of a block: core/FORMAT.md */
#define REPLY_SIZE_MAX (4u * 1024 * 1024)

const char *const lease_options[] = {
    "--set", "block_size=1MiB",       "--set",   "blocks_per_segment=2",
    "--set", "batch_size_max=512KiB", "--set",   "entry_size_max=512KiB",
    "--set", "journal_file_max=4MiB", "--set",   "journal_size_max=32MiB",
    "--set", "read_size_max=1MiB",    "--fsync", "none",
    NULL,
};

int lease_setup(void **state)
{
    if (fixture_setup(state) != 0) {
        return -1;
    }
    daemon_start_with(*state, lease_options);
    return 0;
}

/* ---- requests ---- */

uint64_t lease_open(struct wire *wire, const struct daemon *daemon, const char *space,
                    uint64_t features)
{
    const struct message hello = {.type = MESSAGE_HELLO,
                                  .u.hello = {.version_min = 1,
                                              .version_max = 1,
                                              .features = features,
                                              .space = wire_name(space),
                                              .client = wire_name("")}};
    struct message_hello_reply granted;
    struct wire_reply reply;

    wire_open(wire, daemon->socket, NULL);
    wire_need(wire_call(wire, &hello, &reply) == 0, "HELLO fails");
    wire_need(message_hello_reply_decode(&granted, reply.body, reply.size) == 0,
              "the reply to HELLO does not decode");
    return granted.features;
}

void lease_fill_blocks(struct wire *wire, const char *topic, unsigned count)
{
    unsigned i;

    for (i = 0; i <= count * LEASE_BLOCK_ENTRIES; i++) {
        assert_int_equal(wire_append_fill(wire, topic, (char)('a' + i % 26), LEASE_ENTRY_SIZE), 0);
    }
    assert_int_equal(wire_simple(wire, MESSAGE_SYNC), 0);
}

/* Receive once, with at most one descriptor. */
static size_t receive_some(int socket_fd, uint8_t *to, size_t size, int *fd)
{
    struct pollfd wait = {.fd = socket_fd, .events = POLLIN};
    struct iovec bytes = {.iov_base = to, .iov_len = size};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header;
    ssize_t n;

    wire_need(poll(&wait, 1, WIRE_WAIT_MS) == 1, "no reply in time");
    n = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC);
    wire_need(n > 0, "the daemon closed instead of replying");
    header = CMSG_FIRSTHDR(&message);
    if (header != NULL) {
        wire_need(header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int)),
                  "what came along is not one descriptor");
        wire_need(*fd < 0, "a second descriptor came along");
        memcpy(fd, CMSG_DATA(header), sizeof *fd);
    }
    return (size_t)n;
}

struct lease_got lease_read(struct wire *wire, const struct message *message)
{
    static uint8_t input[REPLY_SIZE_MAX];
    struct lease_got got = {.fd = -1};
    struct frame frame = {0};
    size_t have = 0;

    wire_need(wire_send(wire, message) != 0, "the daemon has closed the connection");
    do {
        have += receive_some(wire->fd, input + have, sizeof input - have, &got.fd);
    } while (frame_parse(&frame, input, have, sizeof input) == FRAME_PARTIAL);
    wire_need(frame.size == have, "a reply of another size");
    wire_need(frame.type == (MESSAGE_READ | FRAME_REPLY), "a reply of another type");
    got.status = -(int)frame.status;
    if (got.status == 0) {
        wire_need(message_read_reply_decode(&got.reply, input + FRAME_HEADER_SIZE,
                                            have - FRAME_HEADER_SIZE) == 0,
                  "the reply does not decode");
        wire_need((got.fd >= 0) == (got.reply.placed && got.reply.place.descriptor),
                  "a descriptor does not come as announced");
    }
    return got;
}

struct lease_got lease_read_at(struct wire *wire, uint64_t offset, uint16_t flags)
{
    struct message message = wire_read_message("t", offset);

    message.u.read.flags = flags;
    message.u.read.max_bytes = UINT32_MAX;
    return lease_read(wire, &message);
}

struct lease_got lease_read_place(struct wire *wire, uint64_t offset)
{
    const struct lease_got got = lease_read_at(wire, offset, LEASE_FLAGS);

    wire_need(got.status == 0 && got.reply.placed && got.fd >= 0, "no place comes");
    return got;
}

int lease_release(struct wire *wire, const uint32_t *leases, uint16_t count)
{
    struct message message = {.type = MESSAGE_RELEASE, .u.release = {.count = count}};
    struct wire_reply reply;

    memcpy(message.u.release.leases, leases, count * sizeof *leases);
    return wire_call(wire, &message, &reply);
}

int lease_release_one(struct wire *wire, uint32_t lease)
{
    return lease_release(wire, &lease, 1);
}

int lease_trim(struct wire *wire, const char *topic, uint64_t offset)
{
    const struct message message = {
        .type = MESSAGE_TOPIC_TRIM,
        .u.topic_trim = {.topic = wire_topic(topic), .offset = offset},
    };
    struct wire_reply reply;

    return wire_call(wire, &message, &reply);
}

/* ---- maps ---- */

const uint8_t *lease_map(const struct lease_got *got)
{
    void *base = mmap(NULL, got->reply.place.segment_size, PROT_READ, MAP_SHARED, got->fd, 0);

    wire_need(base != MAP_FAILED, "the file cannot be mapped");
    return base;
}

void lease_unmap(const uint8_t *base, const struct lease_got *got)
{
    assert_int_equal(munmap((void *)(uintptr_t)base, got->reply.place.segment_size), 0);
}

const uint8_t *lease_batches(const uint8_t *base, const struct lease_got *got)
{
    return base + got->reply.place.block + got->reply.position;
}

uint64_t lease_generation(const uint8_t *base, const struct lease_got *got)
{
    const uint8_t *at = base + got->reply.place.block + GENERATION_AT;
    uint64_t generation = 0;
    unsigned i;

    for (i = 8; i > 0; i--) {
        generation = generation << 8 | at[i - 1];
    }
    return generation;
}

void lease_expect_as_checked(struct wire *checked, const uint8_t *base, const struct lease_got *got)
{
    const uint8_t *batches = lease_batches(base, got);
    uint64_t from = got->reply.from;
    size_t at = 0;

    assert_int_equal(lease_generation(base, got), got->reply.generation);
    while (from < got->reply.to) {
        struct message message = wire_read_message("t", from);
        struct message_read_reply read;
        struct wire_reply reply;

        message.u.read.max_entries = (uint32_t)(got->reply.to - from);
        message.u.read.max_bytes = UINT32_MAX;
        assert_int_equal(wire_call(checked, &message, &reply), 0);
        assert_int_equal(message_read_reply_decode(&read, reply.body, reply.size), 0);
        assert_int_equal(read.from, from);
        assert_int_equal(read.generation, got->reply.generation);
        assert_int_equal(read.position, got->reply.position + at);
        assert_true(at + read.data_size <= got->reply.place.size);
        assert_memory_equal(read.data, batches + at, read.data_size);
        at += read.data_size;
        from = read.to;
    }
    assert_int_equal(at, got->reply.place.size);
}

void lease_work(struct wire *wire)
{
    assert_int_equal(wire_append_one(wire, "other", "entry"), 0);
    assert_int_equal(wire_simple(wire, MESSAGE_SYNC), 0);
}

void lease_await(struct wire *wire, const char *name, uint64_t value)
{
    const uint64_t end = daemon_now_ms() + DAEMON_WAIT_MS;

    while (wire_stat(wire, name) != value) {
        assert_true(daemon_now_ms() < end);
        lease_work(wire);
    }
}

void lease_expect_held(struct wire *wire, uint64_t blocks)
{
    unsigned i;

    for (i = 0; i < 10; i++) {
        lease_work(wire);
    }
    assert_int_equal(wire_stat(wire, "blocks_freeing"), blocks);
}
