#include "tests/fuzz/offline_image.h"

#include <string.h>

#include "core/engine.h"
#include "core/io_readonly.h"
#include "server/offline/dump.h"
#include "server/offline/salvage.h"
#include "server/offline/verify.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sim/io_sim.h"
#include "tests/sim/random.h"

#define WALL_US 1700000000000000

static int open_sim(void *arg, struct io **out, struct error *err)
{
    (void)err;
    return io_sim_open(out, arg);
}

static uint64_t draw(void *arg)
{
    return random_u64(arg);
}

/* What is said goes nowhere, unless TUSK_FUZZ_PRINT is set. */
static FILE *begin(struct offline_options *options, enum out_format format)
{
    FILE *file = getenv("TUSK_FUZZ_PRINT") != NULL ? stderr : fopen("/dev/null", "w");

    REQUIRE(file != NULL);
    *options = (struct offline_options){.threads = 1, .quiet = true, .messages = file};
    progress_init(&options->progress, "fuzz", true);
    out_init(&options->out, file, format);
    return file;
}

static void end(struct offline_options *options, FILE *file)
{
    REQUIRE(out_finish(&options->out) == 0);
    if (file != stderr) {
        REQUIRE(fclose(file) == 0);
    }
}

static void dump_one(struct sim_disk *disk, const char *path, enum out_format format,
                     enum offline_payload payload)
{
    struct offline_options options;
    FILE *file = begin(&options, format);
    struct dump dump = {.options = &options, .out = &options.out, .path = path};
    struct error err;
    struct io *io;
    int rc;

    options.payload = payload;
    REQUIRE(io_sim_open(&io, disk) == 0);
    REQUIRE(io_readonly_open(&dump.io, io, NULL, NULL, &err) == 0);
    rc = dump_file(&dump, &err);
    REQUIRE(rc == 0 || rc == TUSK_EINVALID || rc == TUSK_EVERSION || rc == TUSK_ECORRUPT);
    REQUIRE(rc == 0 || err.text[0] != '\0');
    io_close(dump.io);
    io_close(io);
    end(&options, file);
}

void offline_dump_image(const struct store_image *image)
{
    struct sim_disk *disk = sim_disk_new(1);
    char path[STORE_PATH_SIZE];
    uint64_t hash;
    unsigned i;

    store_image_load(image, disk);
    hash = sim_disk_hash(disk);
    for (i = 0; i < image->count; i++) {
        store_file_path(path, &image->files[i]);
        dump_one(disk, path, OUT_TEXT, PAYLOAD_TEXT);
        dump_one(disk, path, OUT_JSON, PAYLOAD_HEX);
    }
    REQUIRE(sim_disk_hash(disk) == hash);
    sim_disk_free(disk);
}

static int verify(struct sim_disk *disk)
{
    const uint64_t hash = sim_disk_hash(disk);
    struct offline_options options;
    FILE *file = begin(&options, OUT_JSONL);
    struct store store = {.lock = -1};
    struct error err;
    int status = OFFLINE_FAILED;

    if (store_open_on(&store, &options, open_sim, disk, &err) == 0) {
        status = verify_store(&store);
        store_close(&store);
    }
    end(&options, file);
    REQUIRE(sim_disk_hash(disk) == hash);
    return status;
}

static int salvage_to(struct sim_disk *disk, struct sim_disk *to, struct random *random)
{
    const uint64_t hash = sim_disk_hash(disk);
    struct offline_options options;
    FILE *file = begin(&options, OUT_TEXT);
    struct store store = {.lock = -1};
    struct salvage salvage = {.store = &store,
                              .options = &options,
                              .out_fn = open_sim,
                              .out_arg = to,
                              .random = draw,
                              .random_arg = random,
                              .wall_us = WALL_US};
    struct error err;
    int status = OFFLINE_FAILED;

    if (store_open_on(&store, &options, open_sim, disk, &err) == 0) {
        status = salvage_store(&salvage);
        store_close(&store);
    }
    end(&options, file);
    REQUIRE(sim_disk_hash(disk) == hash);
    return status;
}

/* Whether "default" serves on the disk; *clean: as after a clean stop. The disk is changed. */
static bool serves(struct sim_disk *disk, struct random *random)
{
    const struct engine_time now = {.wall_us = WALL_US, .mono_us = 1};
    struct engine_options options;
    struct engine_namespace_info info;
    struct engine *engine = NULL;
    struct namespace *ns;
    struct error err;
    struct io *io;
    bool serving = false;

    engine_options_default(&options);
    options.random = draw;
    options.random_arg = random;
    options.block_size = 32u << 10;
    options.blocks_per_segment = 2;
    options.journal_file_min = 32u << 10;
    options.journal_file_max = 64u << 10;
    options.ring_size = 128u << 10;
    options.tail_apply_bytes = 8u << 10;
    REQUIRE(io_sim_open(&io, disk) == 0);
    if (engine_open(&engine, io, &options, &now, &err) == 0) {
        ns = engine_namespace_find(engine, "default", 7);
        REQUIRE(ns != NULL);
        engine_namespace_info(ns, &info);
        serving = info.state == ENGINE_SERVING;
    }
    engine_close(engine);
    io_close(io);
    return serving;
}

void offline_judge_image(const struct store_image *image)
{
    struct sim_disk *disk = sim_disk_new(1);
    struct sim_disk *to = sim_disk_new(2);
    struct random random;
    int found;
    int saved;

    random_init(&random, 3);
    store_image_load(image, disk);
    found = verify(disk);
    saved = salvage_to(disk, to, &random);
    REQUIRE(found == OFFLINE_DONE || found == OFFLINE_DAMAGED || found == OFFLINE_REFUSED ||
            found == OFFLINE_NOTFOUND || found == OFFLINE_USAGE || found == OFFLINE_FAILED);
    if (saved == OFFLINE_DONE || saved == OFFLINE_DAMAGED) {
        sim_disk_settle(to);
        /* Nothing could be had: no namespace was made. */
        REQUIRE(verify(to) == OFFLINE_DONE || saved == OFFLINE_DAMAGED);
        REQUIRE(serves(to, &random));
        sim_disk_settle(to);
        REQUIRE(verify(to) == OFFLINE_DONE);
    }
    if (found == OFFLINE_DONE) {
        REQUIRE(saved == OFFLINE_DONE || saved == OFFLINE_DAMAGED);
        REQUIRE(serves(disk, &random));
    }
    sim_disk_free(to);
    sim_disk_free(disk);
}
