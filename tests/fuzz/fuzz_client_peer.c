#include "tests/fuzz/fuzz_client_peer.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "proto/batch.h"
#include "proto/bytes.h"
#include "proto/frame.h"
#include "proto/message.h"
#include "proto/status.h"
#include "tests/fuzz/fuzz.h"

#define IN_SIZE (64u << 10)
#define OUT_SIZE (64u << 10)
#define WAITING_MAX 64u
#define GENERATION 77u
#define BATCH_POSITION 8192u
#define FRAME_SIZE_MAX (1u << 20)

int __real_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask);
int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask);
ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

struct waiting {
    uint16_t type;
    uint64_t id;
    uint64_t from; /* READ: the offset asked for */
};

static struct {
    int fd; /* -1: closed */
    uint8_t flags;
    const uint8_t *at;
    size_t left;
    bool greeted;
    bool honest;
    uint64_t now_us;
    uint8_t in[IN_SIZE];
    size_t in_size;
    struct waiting waiting[WAITING_MAX];
    unsigned waiting_count;
    uint8_t out[OUT_SIZE]; /* Made, and held back */
    size_t out_size;
    size_t part; /* Of out that may leave now; SIZE_MAX: all */
} peer;

/* ---- the input ---- */

static uint64_t take(size_t width)
{
    uint8_t bytes[8] = {0};
    const size_t there = width < peer.left ? width : peer.left;

    if (there > 0) {
        memcpy(bytes, peer.at, there);
    }
    peer.at += there;
    peer.left -= there;
    return get_u64(bytes);
}

/* ---- frames ---- */

static void flush_out(void)
{
    const size_t size = peer.out_size < peer.part ? peer.out_size : peer.part;
    ssize_t sent = 0;

    if (peer.fd >= 0 && size > 0) {
        sent = send(peer.fd, peer.out, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            peer.out_size = 0; /* The client is gone, or takes nothing */
            return;
        }
        memmove(peer.out, peer.out + sent, peer.out_size - (size_t)sent);
        peer.out_size -= (size_t)sent;
    }
}

static void put(const void *bytes, size_t size)
{
    if (size > 0 && size <= OUT_SIZE - peer.out_size) {
        memcpy(peer.out + peer.out_size, bytes, size);
        peer.out_size += size;
    }
}

static void put_frame(const struct waiting *to, uint16_t status, const uint8_t *body, size_t size)
{
    const struct frame frame = {.size = (uint32_t)(FRAME_HEADER_SIZE + size),
                                .type = (uint16_t)(to->type | FRAME_REPLY),
                                .status = status,
                                .id = to->id};
    uint8_t header[FRAME_HEADER_SIZE];

    frame_encode(header, &frame);
    put(header, sizeof header);
    put(body, size);
}

/* ---- what a daemon would say ---- */

static size_t hello_body(uint8_t *body)
{
    const struct message_hello_reply reply = {
        .version = MESSAGE_VERSION,
        .store_id = "store id of test",
        .incarnation = 9,
        .features = (peer.flags & PEER_HAS_FEATURES) != 0 ? FEATURE_UNCHECKED | FEATURE_MAPPED : 0,
        .fsync_ms = 200,
        .frame_size_max = FRAME_SIZE_MAX,
        .batch_size_max = FRAME_SIZE_MAX / 2,
        .entry_size_max = FRAME_SIZE_MAX / 4,
        .in_flight_max = 16,
        .in_flight_bytes_max = 1 << 20,
        .server = {.data = "test", .size = 4}};

    return message_hello_reply_encode(body, &reply);
}

/* A batch of 1 to 4 entries from `first`, each its own offset. Returns its padded size. */
static size_t make_batch(uint8_t *out, uint64_t first, unsigned count, uint32_t position)
{
    static const uint8_t store_id[16] = "store id of test";
    struct batch_entry entries[4];
    uint64_t offsets[4];
    unsigned i;

    for (i = 0; i < count; i++) {
        offsets[i] = first + i;
        entries[i] = (struct batch_entry){.data = (const uint8_t *)&offsets[i], .size = 8};
    }
    batch_encode(out, entries, count);
    (void)batch_complete(out, first, 1000000 + first, 0, batch_seed(store_id, GENERATION),
                         position);
    return (size_t)batch_padded_size(4 * count + 8 * count);
}

static size_t read_body(uint8_t *body, const struct waiting *to, unsigned say)
{
    const unsigned batches = 1 + say % 3;
    const unsigned each = 1 + say / 4 % 4;
    struct message_read_reply reply = {.topic_id = 42,
                                       .from = to->from + say / 16 % 2,
                                       .epoch = 1,
                                       .generation = GENERATION,
                                       .position = BATCH_POSITION};
    uint64_t next = to->from;
    size_t size = MESSAGE_READ_REPLY_SIZE;
    unsigned i;

    memset(body, 0, 1024);
    for (i = 0; i < batches; i++) {
        size += make_batch(body + size, next, each,
                           BATCH_POSITION + (uint32_t)(size - MESSAGE_READ_REPLY_SIZE));
        next += each;
    }
    reply.from = reply.from < next ? reply.from : to->from;
    reply.to = next;
    reply.end = next + say % 2;
    reply.durable_end = next;
    reply.data_size = (uint32_t)(size - MESSAGE_READ_REPLY_SIZE);
    (void)message_read_reply_encode(body, &reply);
    return size;
}

static size_t list_body(uint8_t *body, uint16_t type, unsigned say)
{
    const char *names[] = {"a", "b", "c"};
    const unsigned count = say % 4;
    size_t size = MESSAGE_LIST_HEAD_SIZE;
    unsigned i;

    message_list_head_encode(body, count > 0 && say >= 128, (uint16_t)count);
    for (i = 0; i < count; i++) {
        const struct message_name name = {.data = names[(i + say / 4) % 3], .size = 1};

        if (type == MESSAGE_TOPIC_LIST) {
            size += message_topic_info_encode(
                body + size, &(struct message_topic_info){.topic_id = i + 1, .name = name});
        } else if (type == MESSAGE_CURSOR_LIST) {
            size += message_cursor_info_encode(body + size,
                                               &(struct message_cursor_info){.name = name});
        } else {
            size += message_namespace_info_encode(
                body + size, &(struct message_namespace_info){.name = name, .reason = name});
        }
    }
    return size;
}

static size_t success_body(uint8_t *body, const struct waiting *to, uint16_t type, unsigned say)
{
    const struct message_append_reply append = {
        .topic_id = 42, .first_offset = say, .durable_end = say / 2};
    const struct message_cursor_reply cursor = {.offset = say, .epoch = say % 4};
    const struct message_topic_info info = {.topic_id = 42, .end = say, .name = {"t", 1}};
    const struct message_stat stat = {.name = {"stat", 4}, .value = say};
    const struct message_config_item option = {.needs_restart = say % 2,
                                               .section = {"server", 6},
                                               .key = {"log", 3},
                                               .value = {"info", 4}};

    switch (type) {
    case MESSAGE_HELLO:
        return hello_body(body);
    case MESSAGE_APPEND:
        return message_append_reply_encode(body, &append);
    case MESSAGE_READ:
        return read_body(body, to, say);
    case MESSAGE_CHECKPOINT:
    case MESSAGE_SEEK:
    case MESSAGE_CURSOR_CREATE:
        return message_cursor_reply_encode(body, &cursor);
    case MESSAGE_TOPIC_CREATE:
    case MESSAGE_TOPIC_TRIM:
        return message_u64_reply_encode(body, say);
    case MESSAGE_TOPIC_LIST:
    case MESSAGE_CURSOR_LIST:
    case MESSAGE_NAMESPACE_LIST:
        return list_body(body, type, say);
    case MESSAGE_TOPIC_INFO:
        return message_topic_info_encode(body, &info);
    case MESSAGE_CONFIG:
        message_list_head_encode(body, say % 3 == 0, 1);
        return MESSAGE_LIST_HEAD_SIZE +
               message_config_item_encode(body + MESSAGE_LIST_HEAD_SIZE, &option);
    case MESSAGE_SLOWLOG:
        message_list_head_encode(body, say % 3 == 0, 1);
        return MESSAGE_LIST_HEAD_SIZE +
               message_slow_encode(body + MESSAGE_LIST_HEAD_SIZE,
                                   &(struct message_slow){.number = say,
                                                          .status = (uint16_t)(say % 20),
                                                          .request = {"append", 6},
                                                          .client = {"c", 1}});
    case MESSAGE_ACCESS:
        return message_access_reply_encode(
            body, &(struct message_access_reply){.uid = say, .rights = 3, .user = {"t", 1}});
    case MESSAGE_SNAPSHOT_BEGIN:
        return message_snapshot_reply_encode(
            body, &(struct message_snapshot_reply){
                      .journal_used = say, .root = {"/d", 2}, .dir = {"ns/n", 4}});
    case MESSAGE_STATS:
        message_stats_head_encode(body, 1);
        return MESSAGE_STATS_HEAD_SIZE + message_stat_encode(body + MESSAGE_STATS_HEAD_SIZE, &stat);
    default:
        return 0;
    }
}

/* ---- steps ---- */

static void say_error(const struct waiting *to)
{
    const uint16_t code = (uint16_t)take(1);
    const uint64_t detail = take(1);
    const struct message_error error = {
        .detail_a = detail, .detail_b = 2 * detail, .text = {.data = "no", .size = 2}};
    uint8_t body[64];

    put_frame(to, code, body, message_error_encode(body, &error));
}

/* Batches of a READ reply: their checksums are made right, as far as their sizes go. */
static void reseal(uint8_t *body, size_t size)
{
    static const uint8_t store_id[16] = "store id of test";
    struct message_read_reply reply;
    size_t at = MESSAGE_READ_REPLY_SIZE;

    if (size < at) {
        return;
    }
    put_u32(body + at - 4, (uint32_t)(size - at)); /* Its last field is their size */
    if (message_read_reply_decode(&reply, body, size) != 0) {
        return;
    }
    while (size - at >= BATCH_HEADER_SIZE) {
        const uint32_t stored = get_u32(body + at + 40);
        const uint64_t padded = batch_padded_size(stored);

        if (stored <= size - at - BATCH_HEADER_SIZE) {
            put_u32(body + at + 48, batch_body_crc(body + at, stored));
        }
        put_u32(body + at + 4,
                batch_header_crc(body + at, batch_seed(store_id, reply.generation),
                                 reply.position + (uint32_t)(at - MESSAGE_READ_REPLY_SIZE)));
        if (padded > size - at) {
            break;
        }
        at += padded;
    }
}

static void say_changed(const struct waiting *to, uint16_t type, bool sealed)
{
    static uint8_t body[4096];
    const unsigned changes = (unsigned)take(1) % 8;
    const size_t size = success_body(body, to, type, (unsigned)take(1));
    unsigned i;

    for (i = 0; i < changes; i++) {
        const size_t at = (size_t)take(2);
        const uint8_t change = (uint8_t)take(1);

        if (size > 0) {
            body[at % size] ^= change;
        }
    }
    if (sealed && type == MESSAGE_READ) {
        reseal(body, size);
        peer.honest = false;
    }
    put_frame(to, 0, body, size);
}

/* No descriptor can come along: the library must not go anywhere. */
static void say_place(const struct waiting *to)
{
    const uint64_t segment = take(1) % 8;
    const uint64_t segment_size = UINT64_C(1) << take(1) % 64;
    const uint32_t lease = (uint32_t)take(1);
    const bool descriptor = take(1) % 2 == 1;
    const uint64_t block = 64 * take(2);
    const struct message_read_reply reply = {.topic_id = 42,
                                             .from = to->from,
                                             .to = to->from + 1,
                                             .end = to->from + 1,
                                             .generation = GENERATION,
                                             .position = BATCH_POSITION,
                                             .placed = true,
                                             .place = {.segment = segment,
                                                       .segment_size = segment_size,
                                                       .block = block,
                                                       .size = 64 * (uint32_t)take(2),
                                                       .lease = lease,
                                                       .descriptor = descriptor}};
    uint8_t body[512];

    put_frame(to, 0, body, message_read_reply_encode(body, &reply));
}

static void say_body(const struct waiting *to)
{
    const uint16_t status = (uint16_t)take(2);
    const size_t asked = (size_t)take(2);
    const size_t size = asked < peer.left ? asked : peer.left;

    put_frame(to, status, peer.at, size);
    peer.at += size;
    peer.left -= size;
    peer.honest = false;
}

static void say_bytes(void)
{
    const size_t asked = (size_t)take(2);
    const size_t size = asked < peer.left ? asked : peer.left;

    put(peer.at, size);
    peer.at += size;
    peer.left -= size;
    peer.honest = false;
}

static void close_peer(void)
{
    if (peer.fd >= 0) {
        flush_out();
        (void)close(peer.fd);
        peer.fd = -1;
    }
}

static void answer(unsigned what, const struct waiting *to)
{
    uint8_t body[4096];

    switch (what) {
    case 1:
        say_error(to);
        break;
    case 2:
        say_changed(to, to->type, false);
        break;
    case 3:
        say_changed(to, to->type, true);
        break;
    case 4:
        say_body(to);
        break;
    case 10:
        say_place(to);
        break;
    case 9:
        say_changed(to, (uint16_t)(take(1) % MESSAGE_TYPE_END), false);
        break;
    default:
        put_frame(to, 0, body, success_body(body, to, to->type, (unsigned)take(1)));
        break;
    }
}

/* False: it lets time pass. */
static bool step(void)
{
    const unsigned head = (unsigned)take(1);
    const unsigned which = peer.waiting_count == 0 ? 0 : head / 16 % peer.waiting_count;

    switch (head % 16) {
    case 5:
        say_bytes();
        return true;
    case 6:
        peer.part = (size_t)take(2) % 1024;
        return true;
    case 7:
        return false;
    case 8:
        close_peer();
        return true;
    default:
        break;
    }
    if (peer.waiting_count > 0) {
        const struct waiting to = peer.waiting[which];

        peer.waiting_count--;
        memmove(&peer.waiting[which], &peer.waiting[which + 1],
                (peer.waiting_count - which) * sizeof to);
        answer(head % 16, &to);
    }
    return true;
}

/* ---- requests ---- */

static void note_request(const struct frame *frame, const uint8_t *body)
{
    struct waiting waiting = {.type = frame->type, .id = frame->id};
    struct message message;
    const char *why;

    /* Whatever it was told, the library speaks the protocol. */
    REQUIRE(message_decode(&message, frame->type, body, frame->size - FRAME_HEADER_SIZE, &why) ==
            0);
    if (frame->type == MESSAGE_READ && message.u.read.position.kind == POSITION_OFFSET) {
        waiting.from = message.u.read.position.value;
    }
    if (frame->type == MESSAGE_HELLO && (peer.flags & PEER_FORGES_HELLO) == 0) {
        answer(0, &waiting);
    } else if (peer.waiting_count < WAITING_MAX) {
        peer.waiting[peer.waiting_count++] = waiting;
    }
}

static void take_requests(void)
{
    struct frame frame;
    ssize_t got;
    size_t at;

    do {
        got = peer.fd < 0
                  ? 0
                  : recv(peer.fd, peer.in + peer.in_size, IN_SIZE - peer.in_size, MSG_DONTWAIT);
        peer.in_size += got > 0 ? (size_t)got : 0;
        for (at = 0; frame_parse(&frame, peer.in + at, peer.in_size - at, IN_SIZE) == FRAME_READY;
             at += frame.size) {
            note_request(&frame, peer.in + at + FRAME_HEADER_SIZE);
        }
        REQUIRE(frame.size <= IN_SIZE);
        memmove(peer.in, peer.in + at, peer.in_size - at);
        peer.in_size -= at;
    } while (got > 0);
}

/* ---- the library waits ---- */

int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask)
{
    static const struct timespec at_once;
    bool acted;
    int ready;

    (void)mask;
    peer.part = SIZE_MAX;
    take_requests();
    if (peer.out_size == 0 && peer.left == 0) {
        close_peer();
    }
    acted = peer.left > 0 && step();
    flush_out();
    fds[0].events &= (short)~POLLOUT; /* The socket always takes what these calls send */
    ready = __real_ppoll(fds, count, &at_once, NULL);
    if (ready == 0) {
        peer.now_us += 1;
        if (!acted) {
            peer.now_us += (uint64_t)timeout->tv_sec * 1000000 + (uint64_t)timeout->tv_nsec / 1000;
        }
    }
    return ready;
}

/* A receive that waits does so no longer than SO_RCVTIMEO, which the library has set. */
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    struct timeval most = {0};
    socklen_t size = sizeof most;

    if ((flags & MSG_DONTWAIT) == 0) {
        REQUIRE(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, &size) == 0);
        REQUIRE(most.tv_sec > 0 || most.tv_usec > 0);
        (void)__wrap_ppoll(
            &poll_fd, 1, &(struct timespec){.tv_sec = most.tv_sec, .tv_nsec = most.tv_usec * 1000},
            NULL);
    }
    return __real_recvmsg(fd, message, flags | MSG_DONTWAIT);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    (void)clock;
    *now = (struct timespec){.tv_sec = (time_t)(peer.now_us / 1000000),
                             .tv_nsec = (long)(peer.now_us % 1000000) * 1000};
    return 0;
}

/* ---- life ---- */

void peer_begin(int fd, uint8_t flags, const uint8_t *steps, size_t size)
{
    peer.fd = fd;
    peer.flags = flags;
    peer.at = steps;
    peer.left = size;
    peer.honest = (flags & PEER_FORGES_HELLO) == 0;
    peer.now_us = 1000000;
    peer.in_size = 0;
    peer.waiting_count = 0;
    peer.out_size = 0;
    peer.part = SIZE_MAX;
}

void peer_end(void)
{
    if (peer.fd >= 0) {
        (void)close(peer.fd);
        peer.fd = -1;
    }
}

bool peer_is_honest(void)
{
    return peer.honest;
}

uint64_t peer_now_us(void)
{
    return peer.now_us;
}
