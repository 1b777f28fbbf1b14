/* tusk_histories: concurrent clients of a real daemon, everything they asked and were told, and a
 * judge of it (check.h). The daemon is killed and stopped on the way.
 *
 *     tusk_histories [--count N] [--seed N] [--verbose]
 *
 * A history takes its clients, topics, requests and disasters from its seed, and one of six
 * namespaces: each, 20 ms and none, strict and not. Histories share a store, STORE_HISTORIES one
 * after the other, whose way of accessing the disk and limits follow from its number. The last line
 * says what was done. Exit status 1: a promise was broken; the daemon's log is printed. */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/check.h"
#include "tests/histories/check.h"
#include "tests/histories/client.h"
#include "tests/sim/random.h"
#include "tests/support/daemon.h"

#define STORE_HISTORIES 40u
#define CLIENTS_MAX 8u
#define SPACES 6u
#define PIPELINED_SIZE 16000u /* Most bytes of an append that is not alone on its connection */

struct space {
    const char *name;
    uint64_t fsync_ms;
    uint64_t consistency;
};

static const struct space spaces[SPACES] = {
    {"each-strict", 0, 0},
    {"each-loose", 0, 5},
    {"lazy-strict", 20, 0},
    {"lazy-loose", 20, 5},
    {"none-strict", MESSAGE_FSYNC_NONE, 0},
    {"none-loose", MESSAGE_FSYNC_NONE, 5},
};

/* What a history likes to do. */
struct taste {
    unsigned clients;
    unsigned depth;
    unsigned topics;
    unsigned goal; /* Requests */
    unsigned weights[OP_SYNC + 1];
    unsigned durable_percent;
    unsigned leave_percent; /* Of turns in which a client goes without waiting */
    uint32_t batch_max;
    uint32_t entry_size;
    unsigned disasters;
    unsigned disaster_at[2]; /* After so many requests */
};

struct counts {
    uint64_t histories;
    uint64_t requests;
    uint64_t appended; /* Entries in the logs at the end */
    uint64_t kills;
    uint64_t stops;
    uint64_t unknown; /* Requests without a reply */
};

struct stage {
    struct daemon daemon;
    const char *arguments[DAEMON_ARGUMENTS_MAX];
    struct random random; /* Of the history */
    struct story story;
    struct taste taste;
    struct client clients[CLIENTS_MAX];
    struct counts counts;
    bool store_open;
};

/* ---- the store ---- */

static void choose_arguments(struct stage *stage, uint64_t number)
{
    static const char *const io[] = {"uring", "posix", "mmap"};
    static const char *const fixed[] = {
        "--set", "block_size=256KiB",     "--set", "blocks_per_segment=8",
        "--set", "batch_size_max=200KiB", "--set", "entry_size_max=200KiB",
        "--set", "journal_file_max=1MiB", "--set", "journal_size_max=16MiB",
        "--set", "ring_size=4MiB",
    };
    static const char *const tight[] = {"requests_max=2", "unsynced_window=64KiB",
                                        "output_bytes_max=4KiB", "read_size_max=4KiB"};
    struct random random;
    unsigned count = 0;
    unsigned i;

    random_init(&random, number * 7919 + 1);
    for (i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        stage->arguments[count++] = fixed[i];
    }
    stage->arguments[count++] = "--io";
    stage->arguments[count++] = io[random_below(&random, 3)];
    for (i = 0; i < sizeof tight / sizeof tight[0]; i++) {
        if (random_chance(&random, 25)) {
            stage->arguments[count++] = "--set";
            stage->arguments[count++] = tight[i];
        }
    }
    stage->arguments[count] = NULL;
}

static void make_space(struct wire *wire, const struct space *space)
{
    const struct message message = {
        .type = MESSAGE_NAMESPACE_CREATE,
        .u.namespace_settings = {.name = wire_name(space->name),
                                 .settings = {.count = 2,
                                              .items = {{SETTING_FSYNC, space->fsync_ms},
                                                        {SETTING_CONSISTENCY,
                                                         space->consistency}}}},
    };
    struct wire_reply reply;

    wire_need(wire_call(wire, &message, &reply) == 0, "cannot make a namespace");
}

static void open_store(struct stage *stage, uint64_t number)
{
    struct wire wire;
    unsigned i;

    daemon_init(&stage->daemon);
    choose_arguments(stage, number);
    daemon_start_with(&stage->daemon, stage->arguments);
    wire_open(&wire, stage->daemon.socket, "default");
    for (i = 0; i < SPACES; i++) {
        make_space(&wire, &spaces[i]);
    }
    wire_close(&wire);
    stage->store_open = true;
}

static void close_store(struct stage *stage)
{
    if (stage->store_open) {
        daemon_stop(&stage->daemon);
        daemon_deinit(&stage->daemon);
        stage->store_open = false;
    }
}

/* ---- what is asked ---- */

static void choose_taste(struct stage *stage)
{
    static const uint32_t batches[] = {1, 3, 8, 100};
    static const uint32_t sizes[] = {1, 100, 4000, 20000};
    struct random *random = &stage->random;
    struct taste *taste = &stage->taste;
    unsigned i;

    *taste = (struct taste){
        .clients = (unsigned)random_between(random, 2, CLIENTS_MAX),
        .depth = (unsigned)random_between(random, 1, CLIENT_DEPTH_MAX),
        .topics = (unsigned)random_between(random, 1, RECORD_TOPICS_MAX - 1),
        .goal = (unsigned)random_between(random, 60, 300),
        .durable_percent = random_chance(random, 40) ? 30 : 0,
        .leave_percent = random_chance(random, 30) ? 2 : 0,
        .batch_max = batches[random_below(random, 4)],
        .entry_size = sizes[random_below(random, 4)],
    };
    if (taste->entry_size > 100 && taste->batch_max > 8) {
        taste->batch_max = 8;
    }
    for (i = 0; i <= OP_SYNC; i++) {
        taste->weights[i] = (unsigned)random_below(random, 10);
    }
    taste->weights[OP_APPEND] += 4;
    taste->weights[OP_SYNC] /= 3;
    if (random_chance(random, 40)) {
        taste->disasters = 1 + (unsigned)random_below(random, 2);
        for (i = 0; i < taste->disasters; i++) {
            taste->disaster_at[i] = (unsigned)random_between(random, 1, taste->goal);
        }
    }
}

static enum op_kind choose_kind(struct stage *stage)
{
    unsigned sum = 0;
    unsigned roll;
    unsigned kind;

    for (kind = 0; kind <= OP_SYNC; kind++) {
        sum += stage->taste.weights[kind];
    }
    roll = (unsigned)random_below(&stage->random, sum);
    for (kind = 0; roll >= stage->taste.weights[kind]; kind++) {
        roll -= stage->taste.weights[kind];
    }
    return (enum op_kind)kind;
}

static void ask(struct stage *stage, struct client *client)
{
    const struct taste *taste = &stage->taste;
    struct random *random = &stage->random;
    struct story *story = &stage->story;
    uint32_t entry_size = taste->entry_size;
    uint32_t wait_ms = random_chance(random, 25) ? (uint32_t)random_between(random, 1, 20) : 0;
    struct op op = {.kind = choose_kind(stage),
                    .topic = (uint32_t)random_below(random, taste->topics),
                    .cursor = (uint32_t)random_below(random, RECORD_CURSORS_MAX)};

    switch (op.kind) {
    case OP_APPEND:
        op.entry_count = (uint32_t)random_between(random, 1, taste->batch_max);
        op.durable = random_chance(random, taste->durable_percent);
        /* Nobody takes replies while this is sent: it must fit the socket, unless nothing is
         * owed. */
        if (client->pending_count > 0 && op.entry_count * entry_size > PIPELINED_SIZE) {
            op.entry_count = 1;
            entry_size = PIPELINED_SIZE;
        } else if (client->pending_count == 0 && random_chance(random, 3)) {
            op.entry_count = 1;
            entry_size = 190000; /* Straight to its block */
        }
        break;
    case OP_READ:
    case OP_PEEK:
    case OP_CONSUME:
        op.offset = random_chance(random, 40) ? story->end[op.topic]
                                              : random_below(random, story->end[op.topic] + 1);
        op.max_entries = (uint32_t)random_between(random, 1, random_chance(random, 50) ? 5 : 200);
        break;
    case OP_CHECKPOINT:
        op.offset = random_below(random, story->end[op.topic] + 1);
        break;
    case OP_POSITION:
    case OP_INFO:
    case OP_SYNC:
        break;
    }
    client_send(client, story, &op, entry_size, wait_ms);
}

/* ---- waiting ---- */

/* Take what has arrived; when there must be something, wait for it. */
static void take(struct stage *stage, bool wait)
{
    struct pollfd polls[CLIENTS_MAX];
    nfds_t count = 0;
    unsigned owners[CLIENTS_MAX];
    unsigned i;

    for (i = 0; i < stage->taste.clients; i++) {
        if (stage->clients[i].open && stage->clients[i].pending_count > 0) {
            owners[count] = i;
            polls[count++] = (struct pollfd){.fd = stage->clients[i].wire.fd, .events = POLLIN};
        }
    }
    if (count == 0) {
        return;
    }
    if (poll(polls, count, wait ? WIRE_WAIT_MS : 0) == 0 && wait) {
        story_break(&stage->story, "no reply in time");
    }
    for (i = 0; i < count; i++) {
        if (polls[i].revents != 0 && !client_take(&stage->clients[owners[i]], &stage->story)) {
            story_break(&stage->story, "the daemon closed a connection");
        }
    }
}

static bool anything_pending(const struct stage *stage)
{
    unsigned i;

    for (i = 0; i < stage->taste.clients; i++) {
        if (stage->clients[i].pending_count > 0) {
            return true;
        }
    }
    return false;
}

/* ---- disasters ---- */

static void connect_all(struct stage *stage)
{
    unsigned i;

    for (i = 0; i < stage->taste.clients; i++) {
        if (!stage->clients[i].open &&
            !client_connect(&stage->clients[i], &stage->story, stage->daemon.socket)) {
            story_break(&stage->story, "the daemon takes no connection");
        }
    }
}

static void pause_us(uint64_t us)
{
    const struct timespec pause = {.tv_nsec = (long)us * 1000};

    (void)nanosleep(&pause, NULL);
}

/* The daemon has ended: take what it still said, then start again. */
static void start_over(struct stage *stage, uint64_t moment)
{
    unsigned i;

    for (i = 0; i < stage->taste.clients; i++) {
        if (stage->clients[i].open) {
            (void)client_take(&stage->clients[i], &stage->story);
            client_lose(&stage->clients[i], &stage->story, moment);
        }
    }
    stage->story.stopping = false;
    while (random_chance(&stage->random, 20)) { /* It dies while it recovers */
        daemon_spawn(&stage->daemon, stage->arguments);
        pause_us(random_below(&stage->random, 20000));
        daemon_kill(&stage->daemon);
        stage->counts.kills++;
    }
    daemon_start_with(&stage->daemon, stage->arguments);
    connect_all(stage);
}

static void kill_daemon(struct stage *stage)
{
    pause_us(random_below(&stage->random, random_chance(&stage->random, 50) ? 200 : 4000));
    daemon_kill(&stage->daemon);
    stage->counts.kills++;
    start_over(stage, record_death(&stage->story.record));
}

/* A clean stop: it answers what it can, forgets nothing, and the next start has nothing to
 * repair. */
static void stop_daemon(struct stage *stage)
{
    int status;

    stage->story.stopping = true;
    (void)kill(stage->daemon.pid, SIGTERM);
    status = daemon_wait(&stage->daemon);
    stage->counts.stops++;
    if (status != 0) {
        story_break(&stage->story, "a stop ends with %d", status);
    }
    start_over(stage, stage->story.record.now++);
}

/* ---- the end ---- */

/* One request and its reply. */
static const struct op *ask_alone(struct stage *stage, struct client *client, const struct op *op)
{
    const uint32_t number = stage->story.record.op_count;

    client_send(client, &stage->story, op, 0, 0);
    while (client->pending_count > 0 && stage->story.broken[0] == '\0') {
        take(stage, true);
    }
    return &stage->story.record.ops[number];
}

static void read_everything(struct stage *stage, struct client *client, uint32_t topic)
{
    struct op op = {.kind = OP_READ, .topic = topic, .final = true, .max_entries = UINT32_MAX};
    const struct op *told;

    while ((told = ask_alone(stage, client, &op))->fate == OP_DONE) {
        op.offset = told->to;
        stage->counts.appended += told->entry_count;
    }
}

static void look_at_cursors(struct stage *stage, struct client *client, uint32_t topic)
{
    struct op op = {.kind = OP_POSITION, .topic = topic, .max_entries = 50};

    for (op.cursor = 0; op.cursor < RECORD_CURSORS_MAX; op.cursor++) {
        op.kind = OP_POSITION;
        (void)ask_alone(stage, client, &op);
        op.kind = OP_CONSUME;
        while (ask_alone(stage, client, &op)->fate == OP_DONE) {
        }
    }
}

static void delete_topics(struct stage *stage, struct wire *wire)
{
    uint32_t i;

    for (i = 0; i < stage->taste.topics; i++) {
        const struct message message = {.type = MESSAGE_TOPIC_DELETE,
                                        .u.topic = wire_topic(stage->story.topics[i])};
        struct wire_reply reply;

        wire_need(wire_call(wire, &message, &reply) == 0, "cannot delete a topic");
    }
}

/* ---- one history ---- */

static void begin(struct stage *stage, uint64_t seed)
{
    const struct space *space;
    struct wire wire;
    uint32_t i;

    memset(&stage->story, 0, sizeof stage->story);
    random_init(&stage->random, seed);
    choose_taste(stage);
    space = &spaces[random_below(&stage->random, SPACES)];
    stage->story.seed = seed;
    stage->story.space = space->name;
    stage->story.record.each = space->fsync_ms == 0;
    stage->story.record.consistency = space->consistency;
    wire_open(&wire, stage->daemon.socket, space->name);
    for (i = 0; i < stage->taste.topics; i++) {
        struct message message = {.type = MESSAGE_TOPIC_CREATE};
        struct wire_reply reply;

        (void)snprintf(stage->story.topics[i], STORY_NAME_SIZE, "history %" PRIu64 " %u", seed, i);
        message.u.topic_settings.topic = wire_topic(stage->story.topics[i]);
        wire_need(wire_call(&wire, &message, &reply) == 0, "cannot make a topic");
    }
    wire_close(&wire);
    connect_all(stage);
}

static void act(struct stage *stage)
{
    const struct taste *taste = &stage->taste;
    struct story *story = &stage->story;
    unsigned asked = 0;

    while (asked < taste->goal && story->broken[0] == '\0') {
        struct client *client = &stage->clients[random_below(&stage->random, taste->clients)];
        unsigned i;

        if (client->pending_count < taste->depth) {
            ask(stage, client);
            asked++;
        } else {
            take(stage, true);
        }
        if (random_chance(&stage->random, 40)) {
            take(stage, false);
        }
        if (random_chance(&stage->random, taste->leave_percent)) {
            client_leave(client, story);
            connect_all(stage);
        }
        for (i = 0; i < taste->disasters; i++) {
            if (asked == taste->disaster_at[i]) {
                stage->taste.disaster_at[i] = 0;
                if (random_chance(&stage->random, 75)) {
                    kill_daemon(stage);
                } else {
                    stop_daemon(stage);
                }
            }
        }
    }
    while (anything_pending(stage) && story->broken[0] == '\0') {
        take(stage, true);
    }
}

/* Nothing is under way any more: what a client that left had sent is done, or never will be. The
 * reads behind this are the log that everything else is held against. */
static void settle(struct stage *stage, struct wire *wire)
{
    const uint64_t end = daemon_now_ms() + WIRE_WAIT_MS;

    while (stage->story.broken[0] == '\0' &&
           (wire_stat(wire, "connections") > stage->taste.clients ||
            wire_stat(wire, "requests_in_flight") > 0)) {
        if (daemon_now_ms() >= end) {
            story_break(&stage->story, "requests of clients that left do not end");
        }
    }
}

static void finish(struct stage *stage)
{
    struct client *last = &stage->clients[0];
    uint32_t i;

    settle(stage, &last->wire);
    for (i = 0; i < stage->taste.topics && stage->story.broken[0] == '\0'; i++) {
        read_everything(stage, last, i);
        look_at_cursors(stage, last, i);
    }
    if (stage->story.broken[0] == '\0') {
        delete_topics(stage, &last->wire);
    }
    for (i = 0; i < CLIENTS_MAX; i++) {
        client_leave(&stage->clients[i], &stage->story);
    }
}

static void print_record(const struct record *record)
{
    char line[400];
    uint32_t i;

    for (i = 0; i < record->op_count; i++) {
        record_print(record, i, line, sizeof line);
        (void)fprintf(stderr, "%s\n", line);
    }
    for (i = 0; i < record->death_count; i++) {
        (void)fprintf(stderr, "the daemon was killed at %" PRIu64 "\n", record->deaths[i]);
    }
}

/* False: a promise was broken, and everything about it is printed. */
static bool run(struct stage *stage, uint64_t seed, bool verbose)
{
    struct story *story = &stage->story;
    char text[512] = "";
    const char *broken;
    uint32_t i;

    begin(stage, seed);
    act(stage);
    finish(stage);
    broken =
        story->broken[0] != '\0' ? story->broken : check_record(&story->record, text, sizeof text);
    if (broken != NULL || verbose) {
        print_record(&story->record);
    }
    if (broken != NULL) {
        (void)fprintf(
            stderr,
            "BROKEN PROMISE: %s\n  %s\n  namespace %s\nagain: tusk_histories --seed %" PRIu64
            " --count 1 (the same clients and requests, not the same moments)\n",
            broken, text, story->space, seed);
    }
    stage->counts.histories++;
    stage->counts.requests += story->record.op_count;
    for (i = 0; i < story->record.op_count; i++) {
        stage->counts.unknown += story->record.ops[i].fate == OP_UNKNOWN ? 1u : 0u;
    }
    record_deinit(&story->record);
    return broken == NULL;
}

static bool parse(int argc, char **argv, uint64_t *seed, uint64_t *count, bool *verbose)
{
    int i;

    for (i = 1; i < argc; i++) {
        uint64_t *const to = strcmp(argv[i], "--seed") == 0    ? seed
                             : strcmp(argv[i], "--count") == 0 ? count
                                                               : NULL;
        char *end;

        if (strcmp(argv[i], "--verbose") == 0) {
            *verbose = true;
            continue;
        }
        if (to == NULL || i + 1 == argc) {
            return false;
        }
        *to = strtoull(argv[++i], &end, 10);
        if (*end != '\0') {
            return false;
        }
    }
    return *count > 0;
}

int main(int argc, char **argv)
{
    static struct stage stage;
    uint64_t seed = 1;
    uint64_t count = 100;
    uint64_t first;
    bool verbose = false;
    bool good = true;
    unsigned i;

    if (!parse(argc, argv, &seed, &count, &verbose)) {
        (void)fprintf(stderr, "usage: tusk_histories [--count N] [--seed N] [--verbose]\n");
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    for (first = seed; good && seed < first + count; seed++) {
        if (!stage.store_open || seed % STORE_HISTORIES == 0) {
            close_store(&stage);
            open_store(&stage, seed / STORE_HISTORIES);
        }
        good = run(&stage, seed, verbose);
    }
    if (good) {
        close_store(&stage);
    } else {
        daemon_deinit(&stage.daemon);
    }
    for (i = 0; i < CLIENTS_MAX; i++) {
        client_deinit(&stage.clients[i]);
    }
    (void)printf("histories: seeds %" PRIu64 "-%" PRIu64 ", %" PRIu64 " histories, %" PRIu64
                 " requests, %" PRIu64 " entries, %" PRIu64 " kills, %" PRIu64 " stops, %" PRIu64
                 " requests without a reply, %d violations\n",
                 first, seed - 1, stage.counts.histories, stage.counts.requests,
                 stage.counts.appended, stage.counts.kills, stage.counts.stops,
                 stage.counts.unknown, good ? 0 : 1);
    return good ? 0 : 1;
}
