#include "tests/fuzz/session_store.h"

#include "core/engine.h"
#include "core/io.h"
#include "proto/batch.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sim/io_sim.h"
#include "tests/sim/observe.h"
#include "tests/sim/random.h"

#define WALL_US 1700000000000000
#define NAMESPACES_MAX 6u /* More are more than observe() takes */

static struct sim_disk *prepared;
static struct random generator;

static uint64_t draw(void *arg)
{
    return random_u64(arg);
}

static void open_engine(struct session_store *store, uint64_t now_us)
{
    const struct engine_time time = {.wall_us = WALL_US + now_us, .mono_us = now_us};
    struct engine_options options;
    struct error err;

    engine_options_default(&options);
    options.random = draw;
    options.random_arg = &generator;
    options.settings.fsync_ms = ENGINE_FSYNC_EACH;
    options.block_size = 32u << 10;
    options.blocks_per_segment = 2;
    options.journal_file_min = 80u << 10; /* Less, and there is never room for the largest batch */
    options.journal_file_max = 80u << 10;
    options.journal_size_max = 1u << 20;
    options.manifest_journal_bytes = 64u << 10;
    options.ring_size = 320u << 10;
    options.tail_apply_bytes = 8u << 10;
    options.direct_threshold = 1u << 10;
    options.direct_threshold_each = 1u << 10;
    options.topics_max = 16;
    options.cursors_max = 8;
    options.waiting_bytes_max = 64u << 10;
    REQUIRE(io_sim_open(&store->io, store->disk) == 0);
    REQUIRE(engine_open(&store->engine, store->io, &options, &time, &err) == 0);
}

static void append_done(struct engine_request *request)
{
    *(bool *)request->arg = true;
}

static void append(struct session_store *store, const char *topic)
{
    const struct batch_entry entries[] = {{.data = (const uint8_t *)"one", .size = 3},
                                          {.data = (const uint8_t *)"two", .size = 3}};
    uint8_t batch[BATCH_HEADER_SIZE + 32];
    bool done = false;
    struct engine_append request = {.base = {.done = append_done, .arg = &done},
                                    .topic = {.name = topic, .name_size = 1},
                                    .batch = batch,
                                    .batch_size = batch_encoded_size(2, 6)};
    struct engine_time time = {.wall_us = WALL_US + 1000000, .mono_us = 1000000};

    batch_encode(batch, entries, 2);
    engine_append(engine_namespace_find(store->engine, "default", 7), &request);
    while (!done) {
        (void)engine_poll(store->engine, &time);
    }
    REQUIRE(request.base.status == 0);
}

void session_store_prepare(void)
{
    const struct engine_time time = {.wall_us = WALL_US + 1000000, .mono_us = 1000000};
    struct session_store store;
    struct error err;

    if (prepared != NULL) {
        return;
    }
    store.disk = sim_disk_new(1);
    random_init(&generator, 1);
    sim_disk_set_pace(store.disk, 100);
    open_engine(&store, 1000000);
    REQUIRE(engine_namespace_create(store.engine, "other", 5, NULL, 0, &err) == 0);
    append(&store, "t");
    append(&store, "t");
    append(&store, "u");
    REQUIRE(engine_stop(store.engine, &time, &err) == 0);
    engine_close(store.engine);
    io_close(store.io);
    sim_disk_settle(store.disk);
    prepared = store.disk;
}

void session_store_open(struct session_store *store, uint64_t now_us)
{
    random_init(&generator, 2);
    store->disk = sim_disk_clone(prepared);
    open_engine(store, now_us);
}

void session_store_kill(struct session_store *store)
{
    sim_disk_process_crash(store->disk);
    engine_close(store->engine);
    io_close(store->io);
}

void session_store_free(struct session_store *store)
{
    sim_disk_free(store->disk);
}

/* Whatever was sent, what was taken can be read. */
static void require_sound(const struct observed *seen)
{
    uint32_t n;
    uint32_t t;

    for (n = 0; n < seen->count; n++) {
        for (t = 0; t < seen->namespaces[n].topic_count; t++) {
            REQUIRE(seen->namespaces[n].topics[t].damaged_count == 0);
        }
    }
}

void session_store_check(struct session_store *store, uint64_t now_us)
{
    struct observed seen;
    struct namespace *ns = NULL;
    struct engine_namespace_info info = {.name = NULL};
    unsigned count = 0;

    open_engine(store, now_us);
    while ((ns = engine_namespace_next(store->engine, info.name,
                                       info.name == NULL ? 0 : strlen(info.name))) != NULL) {
        engine_namespace_info(ns, &info);
        REQUIRE(info.state == ENGINE_SERVING);
        count++;
    }
    if (count <= NAMESPACES_MAX) {
        /* observe() tells the disk's time, which must not lie behind what was told before. */
        sim_disk_advance(store->disk, now_us);
        observe(&seen, store->engine, store->disk, WALL_US, 1);
        if (seen.problem[0] != '\0') {
            fprintf(stderr, "%s\n", seen.problem);
            abort();
        }
        require_sound(&seen);
        observed_deinit(&seen);
    }
    engine_close(store->engine);
    io_close(store->io);
}
