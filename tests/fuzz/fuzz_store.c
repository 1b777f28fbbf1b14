/* A namespace's directory as a disk, an attacker or a bug may leave it. Whatever its bytes are: the
 * engine opens or refuses it, in bounded memory and time; what it serves is bytes of the store whose
 * checksums hold at their place; a refusal has changed nothing; a second recovery, behind a kill or a
 * power cut, serves the same; and what serves takes an append at an offset nobody had.
 *
 * With TUSK_FUZZ_PRINT set, it says what it finds. */
#include <string.h>

#include "core/check.h"
#include "core/engine.h"
#include "core/format.h"
#include "core/io.h"
#include "proto/batch.h"
#include "proto/bytes.h"
#include "proto/crc32c.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_memory.h"
#include "tests/fuzz/store_image.h"
#include "tests/fuzz/store_mutate.h"
#include "tests/fuzz/store_seal.h"
#include "tests/sim/io_sim.h"
#include "tests/sim/observe.h"
#include "tests/sim/random.h"

#define WALL_US 1700000000000000
#define POLLS_MAX 20000u
/* The engine's constant share (the scan's window, rings, the simulated disk), and, for each byte of the
 * store's files, copies of it on three disks and in what is read back. */
#define MEMORY_BASE (48u << 20)
#define MEMORY_PER_BYTE 16u

static bool printing;

struct life {
    struct sim_disk *disk; /* Owned */
    struct io *io;
    struct engine *engine;
    struct random random;
};

/* ---- an engine on a disk ---- */

static uint64_t draw(void *arg)
{
    return random_u64(arg);
}

static void finding(void *arg, const char *name, const char *text)
{
    (void)arg;
    if (printing) {
        fprintf(stderr, "  %s: %s\n", name, text);
    }
}

static struct engine_time now(const struct life *life)
{
    const uint64_t mono = 1000000u + sim_disk_now_us(life->disk);

    return (struct engine_time){.mono_us = mono, .wall_us = WALL_US + mono};
}

static void fill_options(struct engine_options *options, struct life *life)
{
    engine_options_default(options);
    options->random = draw;
    options->random_arg = &life->random;
    options->finding = finding;
    options->settings.fsync_ms = ENGINE_FSYNC_EACH;
    options->block_size = 32u << 10;
    options->blocks_per_segment = 2;
    options->journal_file_min = 32u << 10;
    options->journal_file_max = 64u << 10;
    options->journal_size_max = 512u << 10;
    options->manifest_journal_bytes = 96u << 10;
    options->ring_size = 128u << 10;
    options->tail_apply_bytes = 8u << 10;
    options->direct_threshold = 4u << 10;
    options->direct_threshold_each = 4u << 10;
}

/* "default" is there, serving or refused; or NULL, and the store makes no engine at all. */
static struct namespace *open_engine(struct life *life, bool accept_loss)
{
    struct engine_options options;
    struct engine_time time = now(life);
    struct namespace *ns;
    struct error err;

    fill_options(&options, life);
    options.accept_loss = accept_loss ? "default" : NULL;
    REQUIRE(io_sim_open(&life->io, life->disk) == 0);
    if (engine_open(&life->engine, life->io, &options, &time, &err) != 0) {
        /* There is memory, no disk fails, and nobody holds the lock. */
        fprintf(stderr, "open: %s\n", err.text);
        abort();
    }
    ns = engine_namespace_find(life->engine, "default", 7);
    REQUIRE(ns != NULL);
    return ns;
}

static void close_engine(struct life *life)
{
    engine_close(life->engine);
    io_close(life->io);
    life->engine = NULL;
    life->io = NULL;
}

static bool serves(struct namespace *ns)
{
    struct engine_namespace_info info;

    engine_namespace_info(ns, &info);
    if (printing) {
        fprintf(stderr, "  %s %s\n", info.state == ENGINE_SERVING ? "serves" : "refused",
                info.reason);
    }
    return info.state == ENGINE_SERVING;
}

/* ---- what is served ---- */

/* The producer's fields and the body stand in the store: no byte was made up. What the daemon adds is in
 * the header's checksum, which observe() has compared. */
static bool in_store(const struct store_image *image, const struct observed_batch *batch)
{
    unsigned i;

    for (i = 0; i < image->count; i++) {
        const struct store_file *file = &image->files[i];
        const size_t left = file->size - file->parsed_end;
        /* What begins before the last byte that is not zero. */
        const size_t searched = file->parsed_end + (left < batch->size ? left : batch->size);

        if (memmem(file->bytes, searched, batch->bytes, batch->size) != NULL) {
            return true;
        }
    }
    return false;
}

static void look(struct life *life, const struct store_image *image, struct observed *seen)
{
    const struct observed_namespace *ns = &seen->namespaces[0];
    uint32_t t;
    uint32_t b;

    observe(seen, life->engine, life->disk, WALL_US, random_u64(&life->random));
    if (seen->problem[0] != '\0') {
        fprintf(stderr, "%s\n", seen->problem);
        abort();
    }
    REQUIRE(seen->count == 1);
    for (t = 0; t < ns->topic_count; t++) {
        if (printing) {
            fprintf(stderr, "  topic %llu: %u batches from %llu, %u cursors, %u damaged\n",
                    (unsigned long long)ns->topics[t].info.id, ns->topics[t].batch_count,
                    (unsigned long long)ns->topics[t].info.first, ns->topics[t].cursor_count,
                    ns->topics[t].damaged_count);
        }
        for (b = 0; printing && b < ns->topics[t].damaged_count; b++) {
            fprintf(stderr, "    damaged from %llu to %llu\n",
                    (unsigned long long)ns->topics[t].damaged[b].from,
                    (unsigned long long)ns->topics[t].damaged[b].to);
        }
        for (b = 0; b < ns->topics[t].batch_count; b++) {
            if (printing) {
                const struct observed_batch *batch = &ns->topics[t].batches[b];

                fprintf(stderr, "    from %llu to %llu, %zu bytes, checksum %08x\n",
                        (unsigned long long)batch->first, (unsigned long long)batch->end,
                        batch->size, crc32c(0, batch->bytes, batch->size));
            }
            REQUIRE(image == NULL || in_store(image, &ns->topics[t].batches[b]));
        }
    }
}

/* ---- the same twice ---- */

static const struct observed_topic *find_topic(const struct observed *seen, uint64_t id)
{
    const struct observed_namespace *ns = &seen->namespaces[0];
    uint32_t t;

    for (t = 0; t < ns->topic_count; t++) {
        if (ns->topics[t].info.id == id) {
            return &ns->topics[t];
        }
    }
    return NULL;
}

/* Two batches of a forged block claim the same offsets: which of them is served depends on where the topic's end is, and
 * on where a read begins. */
static bool claimed_twice(const struct observed_topic *topic, const struct observed_batch *batch)
{
    uint32_t b;

    for (b = 0; b < topic->batch_count; b++) {
        const struct observed_batch *other = &topic->batches[b];

        if (other->first < batch->end && batch->first < other->end &&
            (other->first != batch->first || other->end != batch->end)) {
            return true;
        }
    }
    return false;
}

/* A forged batch in a block claims offsets that the topic did not have yet: it is damage until appends pass them, and then
 * takes its own place, and that of what stands behind it. */
static bool claimed_beyond(const struct store_image *image, uint64_t end)
{
    unsigned i;
    uint32_t at;

    for (i = 0; i < image->count; i++) {
        const struct store_file *file = &image->files[i];

        /* In the journal, too: recovery writes it to its block. */
        for (at = 0; at + BATCH_HEADER_SIZE <= file->size; at += 8) {
            if (get_u16(file->bytes + at) == BATCH_MAGIC &&
                get_u64(file->bytes + at + 8) + get_u32(file->bytes + at + 36) > end) {
                return true;
            }
        }
    }
    return false;
}

/* The same batch; or, where a forged store has two valid ones for the same offsets, the other. */
static void require_batch(const struct store_image *image, const struct observed_topic *topic,
                          const struct observed_batch *batch)
{
    const bool served_again = false;
    uint32_t b;

    for (b = 0; b < topic->batch_count; b++) {
        const struct observed_batch *other = &topic->batches[b];

        if (other->first == batch->first && other->end == batch->end && in_store(image, other)) {
            return;
        }
    }
    REQUIRE(served_again);
}

/* Everything of `before` is there. A retention rule may have given up entries in front meanwhile. */
static void require_same(const struct store_image *image, const struct observed *before,
                         const struct observed *after)
{
    const struct observed_namespace *ns = &before->namespaces[0];
    uint32_t t;
    uint32_t i;

    REQUIRE(after->namespaces[0].state == ENGINE_SERVING);
    REQUIRE(after->namespaces[0].topic_count == ns->topic_count);
    for (t = 0; t < ns->topic_count; t++) {
        const struct observed_topic *topic = &ns->topics[t];
        const struct observed_topic *again = find_topic(after, topic->info.id);

        REQUIRE(again != NULL);
        REQUIRE(again->info.name_size == topic->info.name_size);
        REQUIRE(memcmp(again->name, topic->name, topic->info.name_size) == 0);
        REQUIRE(again->info.first >= topic->info.first);
        REQUIRE(again->info.end >= topic->info.end);
        REQUIRE(again->cursor_count == topic->cursor_count);
        for (i = 0; i < topic->cursor_count; i++) {
            REQUIRE(again->cursors[i].offset == topic->cursors[i].offset);
            REQUIRE(again->cursors[i].epoch == topic->cursors[i].epoch);
        }
        for (i = 0; i < topic->batch_count; i++) {
            if (topic->batches[i].end > again->info.first &&
                !claimed_twice(again, &topic->batches[i]) &&
                !(again->info.end > topic->info.end && claimed_beyond(image, topic->info.end))) {
                require_batch(image, again, &topic->batches[i]);
            }
        }
    }
}

/* ---- appends ---- */

struct probe {
    struct engine_append append;
    bool done;
};

static void probe_done(struct engine_request *request)
{
    ((struct probe *)(void *)request)->done = true;
}

/* Whether it was stored. */
static bool probe_topic(struct life *life, struct namespace *ns, const struct observed_topic *topic)
{
    const struct batch_entry entry = {.data = (const uint8_t *)"afterwards", .size = 10};
    struct probe probe = {
        .append = {.base = {.done = probe_done}, .topic = {.id = topic->info.id}}};
    uint8_t bytes[BATCH_HEADER_SIZE + 32];
    struct engine_time time = now(life);
    unsigned polls;

    batch_encode(bytes, &entry, 1);
    probe.append.batch = bytes;
    probe.append.batch_size = batch_encoded_size(1, entry.size);
    probe.append.durable = true;
    engine_now(life->engine, &time);
    engine_append(ns, &probe.append);
    for (polls = 0; !probe.done && polls < POLLS_MAX; polls++) {
        time = now(life);
        (void)engine_poll(life->engine, &time);
        sim_disk_advance(life->disk, 50);
    }
    if (printing) {
        fprintf(stderr, "  append to %llu: %s at %llu, end was %llu\n",
                (unsigned long long)topic->info.id,
                probe.done ? probe.append.base.error.text : "no answer",
                (unsigned long long)probe.append.first_offset, (unsigned long long)topic->info.end);
    }
    REQUIRE(probe.done);
    REQUIRE(probe.append.base.status != TUSK_EUNKNOWN);
    REQUIRE(probe.append.base.status != TUSK_EIO);
    if (probe.append.base.status != 0) {
        return false;
    }
    REQUIRE(probe.append.first_offset >= topic->info.end);
    return true;
}

/* ---- the target ---- */

static void kill_engine(struct life *life, bool power)
{
    if (power) {
        sim_disk_set_policy(life->disk, SIM_CUT_DROP);
        sim_disk_power_cut(life->disk);
    } else {
        sim_disk_process_crash(life->disk);
    }
    close_engine(life);
}

/* From a store that serves: again, with appends, and again. */
static void live_on(struct life *life, const struct store_image *image,
                    const struct observed *first)
{
    const bool power = (image->way & STORE_POWER_CUT) != 0;
    const struct observed_namespace *topics = &first->namespaces[0];
    struct observed again;
    struct namespace *ns;
    uint32_t t;

    kill_engine(life, power);
    ns = open_engine(life, false);
    REQUIRE(serves(ns));
    look(life, image, &again);
    require_same(image, first, &again);
    observed_deinit(&again);
    for (t = 0; t < topics->topic_count && t < 8; t++) {
        (void)probe_topic(life, ns, &topics->topics[t]);
    }
    kill_engine(life, power);
    ns = open_engine(life, false);
    REQUIRE(serves(ns));
    look(life, NULL, &again);
    require_same(image, first, &again);
    observed_deinit(&again);
}

struct content {
    const struct store_image *image;
    const struct sim_disk *disk;
    unsigned count;
};

static void compare_file(void *arg, const char *path, uint64_t size)
{
    struct content *content = arg;
    const bool was_there = false;
    enum store_kind kind;
    uint64_t number;
    unsigned i;

    if (!store_file_name(path, &kind, &number)) {
        return;
    }
    for (i = 0; i < content->image->count; i++) {
        const struct store_file *file = &content->image->files[i];

        if (file->kind == kind && file->number == number) {
            uint8_t *bytes = sim_disk_file(content->disk, path, &size);

            REQUIRE(size == file->size);
            REQUIRE(memcmp(bytes, file->bytes, size) == 0);
            free(bytes);
            content->count++;
            return;
        }
    }
    REQUIRE(was_there);
}

/* The device holds the image, and no other file of the namespace. */
static void require_unchanged(const struct life *life, const struct store_image *image)
{
    struct content content = {.image = image, .disk = life->disk};
    unsigned foreign =
        0; /* No number of ours: such files are left alone, and not recognised here either */
    unsigned i;

    for (i = 0; i < image->count; i++) {
        foreign += image->files[i].number >= FORMAT_COUNTER_MAX;
    }
    sim_disk_settle(life->disk);
    sim_disk_list(life->disk, compare_file, &content);
    REQUIRE(content.count + foreign == image->count);
}

static void run_image(const struct store_image *image)
{
    struct life life = {.disk = sim_disk_new(1)};
    struct namespace *ns;
    struct observed seen;
    bool serving;

    random_init(&life.random, 1);
    sim_disk_set_latency(life.disk, 5, 50);
    sim_disk_set_pace(life.disk, (image->way & STORE_SLOW) != 0 ? 30 : 100);
    store_image_load(image, life.disk);
    ns = open_engine(&life, false);
    serving = serves(ns);
    if (!serving) {
        close_engine(&life);
        require_unchanged(&life, image);
        if ((image->way & STORE_ACCEPT_LOSS) == 0) {
            sim_disk_free(life.disk);
            return;
        }
        ns = open_engine(&life, true);
        serving = serves(ns);
    }
    if (serving) {
        look(&life, image, &seen);
        live_on(&life, image, &seen);
        observed_deinit(&seen);
    }
    close_engine(&life);
    sim_disk_free(life.disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store_image image;
    size_t limit = MEMORY_BASE;
    unsigned i;

    printing = getenv("TUSK_FUZZ_PRINT") != NULL;
    if (!store_image_parse(&image, data, size)) {
        return 0;
    }
    for (i = 0; i < image.count; i++) {
        limit += (size_t)MEMORY_PER_BYTE * image.files[i].size;
    }
    fuzz_memory_begin(limit);
    run_image(&image);
    fuzz_memory_end();
    store_image_deinit(&image);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned int seed)
{
    return store_mutate_input(data, size, size_max, seed);
}
