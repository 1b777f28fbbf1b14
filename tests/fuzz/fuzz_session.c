/* The daemon's own connections, dispatch and engine, in this process: two clients that mean it harm and
 * one that does not, over socket pairs, on a simulated disk and on a clock that turns move. Whatever the
 * first two send: the daemon lives on and answers the third, every reply is one that the protocol has and
 * belongs to a request, batches that are read check out, requests are answered, memory stays within
 * bounds and is given back, and what is on the disk opens again.
 *
 * The input is steps: a byte whose low three bits say what, bit 3 which client, then
 *
 *     0 a frame                u16 type, u16 size, body        (header and id are made right)
 *     1 bytes                  u16 size, bytes
 *     2 turns                  u8 how many
 *     3 no more is sent        (shutdown)
 *     4 another connection     in place of this one
 *     5 the next frame is cut  u16 where; a turn lies between its parts
 *     6 HELLO                  u8: which namespace
 *     7 an append              u8 topic, u8 flags, u8 entries, u16 size, body, u8 xor, u8 where in its header
 *                              (the batch's checksum is made right before the exclusive or) */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "config/config.h"
#include "core/engine.h"
#include "core/io.h"
#include "proto/batch.h"
#include "proto/bytes.h"
#include "proto/frame.h"
#include "proto/message.h"
#include "server/connection.h"
#include "server/limits.h"
#include "server/log.h"
#include "server/server.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_memory.h"
#include "tests/fuzz/session_reply.h"
#include "tests/fuzz/session_store.h"

#define CLIENTS 3u
#define WITNESS 2u
#define FRAME_MAX (16u << 10)
#define STEPS_MAX 200u
#define TURN_US 1000u
#define TURNS_MAX 400u /* In which everything that does not wait for an entry is answered */
#define MEMORY_MAX (64u << 20)

int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

static uint64_t now_us;
static struct server server;
static struct session_client clients[CLIENTS];
static size_t cut; /* Of the next frame; 0: none */
static const uint8_t *at;
static size_t left;

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    const uint64_t us = now_us + (clock == CLOCK_REALTIME ? UINT64_C(1700000000000000) : 0);

    *now =
        (struct timespec){.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
    return 0;
}

/* ---- the input ---- */

static uint64_t take(size_t width)
{
    uint8_t bytes[8] = {0};
    const size_t there = width < left ? width : left;

    if (there > 0) {
        memcpy(bytes, at, there);
    }
    at += there;
    left -= there;
    return get_u64(bytes);
}

/* Up to `asked` bytes of the input. */
static const uint8_t *take_bytes(size_t asked, size_t *size)
{
    const uint8_t *bytes = at;

    *size = asked < left ? asked : left;
    at += *size;
    left -= *size;
    return bytes;
}

/* ---- clients ---- */

static void turn(void)
{
    unsigned i;

    now_us += TURN_US;
    (void)uv_run(&server.loop, UV_RUN_NOWAIT);
    for (i = 0; i < CLIENTS; i++) {
        session_receive(&clients[i]);
    }
}

static void connect_client(struct session_client *client)
{
    int fds[2];

    if (client->fd >= 0) {
        (void)close(client->fd);
    }
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    session_client_init(client, fds[0]);
    REQUIRE(connection_accept(&server, fds[1]));
}

static void send_bytes(struct session_client *client, const uint8_t *bytes, size_t size)
{
    if (client->fd >= 0 && size > 0 &&
        send(client->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size) {
        client->loose = true; /* Its buffer is full, or it was closed: what was sent is unclear */
    }
}

static void send_frame(struct session_client *client, uint16_t type, uint8_t *frame, size_t body)
{
    const struct frame header = {
        .size = (uint32_t)(FRAME_HEADER_SIZE + body), .type = type, .id = ++client->last_id};
    const size_t first = cut < header.size ? cut : 0;

    frame_encode(frame, &header);
    session_expect(client, type, header.id);
    send_bytes(client, frame, first);
    if (first > 0) {
        turn();
    }
    send_bytes(client, frame + first, header.size - first);
    cut = 0;
}

static void send_message(struct session_client *client, const struct message *message)
{
    static uint8_t frame[FRAME_MAX];

    send_frame(client, message->type, frame, message_encode(frame + FRAME_HEADER_SIZE, message));
}

static void send_hello(struct session_client *client, unsigned which)
{
    static const char *const spaces[] = {"", "default", "other", "new"};
    struct message hello = {.type = MESSAGE_HELLO,
                            .u.hello = {.version_min = 1,
                                        .version_max = 1,
                                        .features = which / 4 % 2 == 1 ? UINT64_MAX : 0,
                                        .client = {.data = "fuzz", .size = 4}}};

    hello.u.hello.space = (struct message_name){.data = spaces[which % 4],
                                                .size = (uint16_t)strlen(spaces[which % 4])};
    send_message(client, &hello);
}

static void send_append(struct session_client *client)
{
    static uint8_t frame[FRAME_MAX];
    static const char *const topics[] = {"t", "u", "new", "x"};
    const char *topic = topics[take(1) % 4];
    struct message message = {
        .type = MESSAGE_APPEND,
        .u.append = {.topic = {.name = {.data = topic, .size = (uint16_t)strlen(topic)}},
                     .flags = (uint16_t)(take(1) & 3)}};
    const uint32_t count = (uint32_t)take(1);
    size_t size;
    const uint8_t *body = take_bytes((size_t)take(2) % 4096, &size);
    uint8_t *batch = frame + FRAME_HEADER_SIZE + message_size(&message);
    uint8_t change;

    memset(batch, 0, BATCH_HEADER_SIZE);
    memcpy(batch + BATCH_HEADER_SIZE, body, size);
    batch_finish(batch, count, (uint32_t)size);
    change = (uint8_t)take(1);
    batch[take(1) % BATCH_HEADER_SIZE] ^= change;
    message.u.append.batch = batch;
    message.u.append.batch_size = (uint32_t)(BATCH_HEADER_SIZE + size);
    size += BATCH_HEADER_SIZE + message_encode(frame + FRAME_HEADER_SIZE, &message);
    send_frame(client, MESSAGE_APPEND, frame, size);
}

/* ---- steps ---- */

static void step_frame(struct session_client *client)
{
    static uint8_t frame[FRAME_MAX];
    const uint16_t type = (uint16_t)take(2);
    size_t size;
    const uint8_t *body = take_bytes((size_t)take(2) % (FRAME_MAX / 2), &size);

    memcpy(frame + FRAME_HEADER_SIZE, body, size);
    send_frame(client, type, frame, size);
}

static void step(void)
{
    const unsigned what = (unsigned)take(1);
    struct session_client *client = &clients[what / 8 % 2];
    unsigned turns;
    size_t size;
    const uint8_t *bytes;

    switch (what % 8) {
    case 0:
        step_frame(client);
        break;
    case 1:
        bytes = take_bytes((size_t)take(2), &size);
        client->loose = true;
        send_bytes(client, bytes, size);
        break;
    case 2:
        for (turns = (unsigned)take(1) % 16; turns > 0; turns--) {
            turn();
        }
        break;
    case 3:
        (void)shutdown(client->fd, SHUT_WR); /* Fails only for one that is closed */
        break;
    case 4:
        connect_client(client);
        break;
    case 5:
        cut = (size_t)take(2);
        break;
    case 6:
        send_hello(client, (unsigned)take(1));
        break;
    default:
        send_append(client);
        break;
    }
    turn();
}

/* ---- the target ---- */

/* Everything that was asked and need not wait is answered, or its connection has ended. */
static void settle(void)
{
    unsigned turns = 0;
    unsigned i;

    for (i = 0; i < CLIENTS; i++) {
        while (session_owed(&clients[i])) {
            REQUIRE(turns++ < TURNS_MAX);
            turn();
        }
    }
}

static void check_witness(void)
{
    const struct message ping = {.type = MESSAGE_PING};

    send_message(&clients[WITNESS], &ping);
    settle();
    REQUIRE(!clients[WITNESS].ended);
    REQUIRE(clients[WITNESS].answered == clients[WITNESS].last_id);
}

static void run_session(struct engine *engine)
{
    static uint8_t received[CLIENTS][SESSION_IN_SIZE];
    unsigned steps = 0;
    unsigned i;

    for (i = 0; i < CLIENTS; i++) {
        clients[i].fd = -1;
        clients[i].in = received[i];
        connect_client(&clients[i]);
        if (i == WITNESS) {
            send_hello(&clients[i], 0);
        }
    }
    while (left > 0 && steps++ < STEPS_MAX) {
        step();
        REQUIRE(engine_failed(engine, NULL) == NULL);
    }
    settle();
    check_witness();
    for (i = 0; i < CLIENTS; i++) {
        (void)close(clients[i].fd);
        clients[i].fd = -1;
    }
    for (i = 0; server.connection_count > 0; i++) {
        REQUIRE(i < TURNS_MAX);
        turn();
    }
}

static const char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static void prepare_options(struct options *options)
{
    struct options_error error;

    REQUIRE(options_default(options, no_environment, &error) == 0);
    options->requests_max = 8;
    options->request_bytes_max = 64u << 10;
    options->output_bytes_max = (SESSION_WAITS_MAX + 1) * REQUEST_WAITING_COST;
    options->total_bytes_max = 4u << 20; /* What all clients may have, and their input */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config config;
    struct session_store store;
    struct error err;

    now_us = 1000000;
    at = data;
    left = size;
    cut = 0;
    log_init(LOG_LEVEL_ERROR);
    (void)signal(SIGPIPE, SIG_IGN); /* As the daemon does */
    prepare_options(&config.options);
    session_store_prepare();
    fuzz_memory_begin(MEMORY_MAX);
    session_store_open(&store, now_us);
    REQUIRE(server_init(&server, &config, store.engine, -1, &err) == 0);
    run_session(store.engine);
    session_store_kill(&store);
    server_deinit(&server);
    if (size % 4 == 0) { /* Half of the time went into recovering what other targets recover */
        session_store_check(&store, now_us);
    }
    session_store_free(&store);
    fuzz_memory_end();
    return 0;
}

/* ---- the mutator ---- */

/* Bytes of the step at the front. */
static size_t step_size(const uint8_t *data, size_t size)
{
    static const uint8_t heads[8] = {5, 3, 2, 1, 1, 3, 2, 6}; /* Before a body, and its size */
    const unsigned what = data[0] % 8;
    size_t used = heads[what];

    if (used > size) {
        return size;
    }
    if (what == 0 || what == 1 || what == 7) {
        const size_t body = get_u16(data + used - 2);

        used += what == 0 ? body % (FRAME_MAX / 2) : what == 7 ? body % 4096 + 2 : body;
    }
    return used < size ? used : size;
}

/* Where a step begins. */
static size_t draw_boundary(const uint8_t *data, size_t size, unsigned draw)
{
    size_t count = 1;
    size_t place;

    for (place = 0; place < size; place += step_size(data + place, size - place)) {
        count++;
    }
    for (place = 0, count = draw % count; count > 0; count--) {
        place += step_size(data + place, size - place);
    }
    return place;
}

/* A valid request between two steps; else what libFuzzer does. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned int seed)
{
    static const uint8_t types[] = {MESSAGE_READ,    MESSAGE_CHECKPOINT,     MESSAGE_SEEK,
                                    MESSAGE_SYNC,    MESSAGE_TOPIC_TRIM,     MESSAGE_TOPIC_DELETE,
                                    MESSAGE_STATS,   MESSAGE_CURSOR_CREATE,  MESSAGE_CONFIG,
                                    MESSAGE_RELEASE, MESSAGE_SNAPSHOT_BEGIN, MESSAGE_SNAPSHOT_END};
    uint8_t added[512];
    size_t added_size;
    size_t place;

    if (seed % 2 != 0) {
        return LLVMFuzzerMutate(data, size, size_max);
    }
    place = draw_boundary(data, size, seed / 64);
    added_size = session_sample(added, types[seed / 4 % 24 < 12 ? 0 : seed / 4 % 12], seed >> 9);
    if (added_size > size_max - size) {
        return LLVMFuzzerMutate(data, size, size_max);
    }
    memmove(data + place + added_size, data + place, size - place);
    memcpy(data + place, added, added_size);
    return size + added_size;
}
