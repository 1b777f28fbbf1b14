/* The engine's hot paths on a simulated disk, with fixed input, for counting instructions: unlike
 * time, their number is the same on every machine and at every load.
 *
 *     instructions PATH      one of the table at the end; instructions alone lists them
 *
 * What is counted is what runs below measured(); callgrind collects there only, and what belongs to
 * the disk, to libc and to this file is left out afterwards (instructions.py). The checksum is the
 * portable one, whatever the processor has: its functions are wrapped by the linker. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/engine.h"
#include "core/io.h"
#include "proto/batch.h"
#include "proto/crc32c.h"
#include "tests/sim/io_sim.h"
#include "tests/sim/random.h"

#define ENTRY_SIZE 100u
#define TURN_US 100u
#define IN_FLIGHT 100u
#define SINGLES 4000u
#define TOPICS 500u
#define READ_SIZE (1u << 20)
#define REQUESTS_MAX 4096u

uint32_t __wrap_crc32c(uint32_t crc, const void *data, size_t size);
uint32_t __wrap_crc32c(uint32_t crc, const void *data, size_t size)
{
    return crc32c_portable(crc, data, size);
}

uint32_t __wrap_crc32c_parts(uint32_t crc, const struct crc32c_part *parts, unsigned count);
uint32_t __wrap_crc32c_parts(uint32_t crc, const struct crc32c_part *parts, unsigned count)
{
    unsigned i;

    for (i = 0; i < count; i++) {
        crc = crc32c_portable(crc, parts[i].data, parts[i].size);
    }
    return crc;
}

struct harness {
    struct sim_disk *disk;
    struct io *io;
    struct engine *engine;
    struct namespace *ns;
    struct engine_options options;
    struct engine_time now;
    struct random random;
    char topics[TOPICS][16];
    uint8_t *batch; /* Owned: the one that is appended again and again */
    size_t batch_size;
    uint8_t *room; /* Owned: of a read */
    struct engine_append appends[REQUESTS_MAX];
    unsigned pending;
};

static uint64_t draw(void *arg)
{
    return random_u64(arg);
}

/* ---- life ---- */

static void start(struct harness *h)
{
    struct error err;

    CHECK(io_sim_open(&h->io, h->disk) == 0);
    if (engine_open(&h->engine, h->io, &h->options, &h->now, &err) != 0) {
        (void)fprintf(stderr, "open: %s\n", err.text);
        exit(1);
    }
    h->ns = engine_namespace_find(h->engine, "default", 7);
    CHECK(h->ns != NULL);
}

static void turn(struct harness *h)
{
    h->now.mono_us += TURN_US;
    h->now.wall_us += TURN_US;
    engine_now(h->engine, &h->now);
    (void)engine_poll(h->engine, &h->now);
}

static void wait_all(struct harness *h)
{
    while (h->pending > 0) {
        turn(h);
    }
}

static void prepare_batch(struct harness *h, uint32_t count)
{
    struct batch_entry *entries = calloc(count, sizeof *entries);
    uint8_t *payload = malloc(ENTRY_SIZE);
    uint32_t i;

    CHECK(entries != NULL && payload != NULL);
    for (i = 0; i < ENTRY_SIZE; i++) {
        payload[i] = (uint8_t)random_u64(&h->random);
    }
    for (i = 0; i < count; i++) {
        entries[i] = (struct batch_entry){.data = payload, .size = ENTRY_SIZE};
    }
    free(h->batch);
    h->batch_size = batch_encoded_size(count, (uint64_t)count * ENTRY_SIZE);
    h->batch = malloc(h->batch_size);
    CHECK(h->batch != NULL);
    batch_encode(h->batch, entries, count);
    free(entries);
    free(payload);
}

static struct harness *harness_new(uint64_t fsync_ms)
{
    struct harness *h = calloc(1, sizeof *h);
    unsigned i;

    CHECK(h != NULL);
    h->disk = sim_disk_new(1);
    sim_disk_set_cold(h->disk, 0);
    sim_disk_set_pace(h->disk, 100);
    random_init(&h->random, 1);
    h->now = (struct engine_time){.wall_us = 1700000000000000, .mono_us = 1000000};
    engine_options_default(&h->options);
    h->options.random = draw;
    h->options.random_arg = &h->random;
    h->options.settings.fsync_ms = fsync_ms;
    h->options.block_size = 1u << 20;
    h->options.blocks_per_segment = 16;
    h->options.ring_size = 4u << 20;
    for (i = 0; i < TOPICS; i++) {
        (void)snprintf(h->topics[i], sizeof h->topics[i], "topic-%u", i);
    }
    h->room = malloc(2 * READ_SIZE);
    CHECK(h->room != NULL);
    start(h);
    return h;
}

/* ---- requests ---- */

static void append_done(struct engine_request *request)
{
    struct harness *h = request->arg;

    CHECK(request->status == 0);
    h->pending--;
}

/* `total` batches, `in_flight` to a turn, to `topics` topics in turn. */
static void append(struct harness *h, uint32_t total, uint32_t in_flight, uint32_t topics)
{
    uint32_t i;

    for (i = 0; i < total; i++) {
        struct engine_append *request = &h->appends[i % in_flight];
        const char *topic = h->topics[i % topics];

        *request = (struct engine_append){.base = {.done = append_done, .arg = h},
                                          .topic = {.name = topic, .name_size = strlen(topic)},
                                          .batch = h->batch,
                                          .batch_size = h->batch_size};
        h->pending++;
        engine_append(h->ns, request);
        if ((i + 1) % in_flight == 0) {
            wait_all(h);
        }
    }
    wait_all(h);
}

static uint8_t *read_room(struct engine_read *read, size_t used, size_t size)
{
    struct harness *h = read->base.arg;

    (void)used;
    return size <= 2 * READ_SIZE ? h->room : NULL;
}

static void read_done(struct engine_request *request)
{
    struct harness *h = request->arg;

    h->pending--;
}

/* One read; where the next one begins, or `from` at the end. */
static uint64_t read_from(struct harness *h, uint64_t from, uint32_t max_entries)
{
    struct engine_read read = {.base = {.done = read_done, .arg = h},
                               .topic = {.name = h->topics[0], .name_size = strlen(h->topics[0])},
                               .position = ENGINE_AT_OFFSET,
                               .value = from,
                               .max_bytes = READ_SIZE,
                               .max_entries = max_entries,
                               .held = UINT64_MAX,
                               .room = read_room};

    h->pending++;
    engine_read(h->ns, &read);
    wait_all(h);
    return read.base.status == 0 ? read.to : from;
}

static void checkpoint(struct harness *h, uint64_t offset)
{
    struct engine_command command = {
        .base = {.done = append_done, .arg = h},
        .kind = ENGINE_CHECKPOINT,
        .topic = {.name = h->topics[0], .name_size = strlen(h->topics[0])},
        .cursor = "reader",
        .cursor_size = 6,
        .offset = offset};

    h->pending++;
    engine_command(h->ns, &command);
    wait_all(h);
}

/* ---- paths ---- */

static void singles(struct harness *h)
{
    append(h, SINGLES, IN_FLIGHT, 1);
}

static void one_by_one(struct harness *h)
{
    append(h, 1000, 1, 1);
}

static void many_topics(struct harness *h)
{
    append(h, SINGLES, IN_FLIGHT, TOPICS);
}

static void batches(struct harness *h)
{
    append(h, 40, 1, 1);
}

static void read_all(struct harness *h)
{
    uint64_t at = 0;
    uint64_t next;

    while ((next = read_from(h, at, UINT32_MAX)) != at) {
        at = next;
    }
    CHECK(at == 40000);
}

static void read_next(struct harness *h)
{
    uint64_t at;

    for (at = 0; at < 500; at++) {
        CHECK(read_from(h, at, 1) == at + 1);
        checkpoint(h, at + 1);
    }
}

static void recover(struct harness *h)
{
    start(h);
}

/* What comes before, and is not counted. */
static void filled(struct harness *h)
{
    batches(h);
}

static void filled_singly(struct harness *h)
{
    singles(h);
}

/* Topics and entries in the journal, and the process dies. */
static void killed(struct harness *h)
{
    uint32_t i;

    for (i = 0; i < 5; i++) {
        append(h, SINGLES, IN_FLIGHT, TOPICS);
    }
    sim_disk_process_crash(h->disk);
    engine_close(h->engine);
    io_close(h->io);
}

struct path {
    const char *name;
    uint64_t fsync_ms;
    uint32_t batch; /* Entries */
    void (*before)(struct harness *h);
    void (*run)(struct harness *h);
};

/* The name is the callgrind option's in instructions.py. */
__attribute__((noinline)) static void measured(struct harness *h, const struct path *path)
{
    path->run(h);
}

int main(int argc, char **argv)
{
    static const struct path paths[] = {
        {"append-singles", 200, 1, NULL, singles},
        {"append-singles-each", ENGINE_FSYNC_EACH, 1, NULL, singles},
        {"append-one-by-one-each", ENGINE_FSYNC_EACH, 1, NULL, one_by_one},
        {"append-many-topics", 200, 1, NULL, many_topics},
        {"append-batches", 200, 1000, NULL, batches},
        {"append-batches-each", ENGINE_FSYNC_EACH, 1000, NULL, batches},
        {"read-batches", 200, 1000, filled, read_all},
        {"read-next-checkpoint", 200, 1, filled_singly, read_next},
        {"recovery", 200, 1, killed, recover}};
    size_t i;

    for (i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct harness *h;

        if (argc != 2) {
            (void)puts(paths[i].name);
            continue;
        }
        if (strcmp(argv[1], paths[i].name) != 0) {
            continue;
        }
        h = harness_new(paths[i].fsync_ms);
        prepare_batch(h, paths[i].batch);
        if (paths[i].before != NULL) {
            paths[i].before(h);
        }
        measured(h, &paths[i]);
        return 0; /* The process ends; tearing down is not what is counted */
    }
    return argc == 2 ? 64 : 0;
}
