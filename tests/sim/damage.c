/* Disks that break their word, as the last of a world: bits that rot, writes that go elsewhere, flushes that were
 * never done. What is promised then: no wrong byte, nothing invented, damage reported and confined. */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/io.h"
#include "proto/batch.h"
#include "tests/sim/judge.h"
#include "tests/sim/oracle.h"
#include "tests/sim/workload.h"

#define FILES_MAX 64u

struct files {
    const struct world *world;
    const char *part;
    const char *also; /* NULL: none */
    char paths[FILES_MAX][256];
    uint64_t sizes[FILES_MAX];
    unsigned count;
};

static void add_file(void *arg, const char *path, uint64_t size)
{
    struct files *files = arg;

    if ((strstr(path, files->part) == NULL &&
         (files->also == NULL || strstr(path, files->also) == NULL)) ||
        files->count == FILES_MAX || strlen(path) >= sizeof files->paths[0] || size < 4096 ||
        !sim_disk_exists(files->world->disk, path)) {
        return;
    }
    memcpy(files->paths[files->count], path, strlen(path) + 1);
    files->sizes[files->count++] = size;
}

static uint64_t place(struct world *w, uint64_t size, uint64_t length)
{
    const uint64_t at = world_below(w, size);

    return at + length > size ? size - length : at;
}

/* One kind of damage to one of the files. */
static void spoil(struct world *w, const struct files *files)
{
    const unsigned which = (unsigned)world_below(w, files->count);
    const unsigned other = (unsigned)world_below(w, files->count);
    const char *path = files->paths[which];
    const uint64_t size = files->sizes[which];
    const uint64_t length = UINT64_C(512) << world_below(w, 4);
    const uint64_t from = place(w, files->sizes[other], length);
    const uint64_t at = place(w, size, length);
    uint8_t noise[512];

    switch (world_below(w, 6)) {
    case 0:
    case 1:
        sim_disk_flip_bit(w->disk, path, world_below(w, size * 8));
        break;
    case 2:
        sim_disk_zero(w->disk, path, at, length);
        break;
    case 3: /* A misdirected or a stale write */
        sim_disk_copy(w->disk, files->paths[other], from, path, at, length);
        break;
    case 4:
        random_fill(&w->random, noise, sizeof noise);
        sim_disk_overwrite(w->disk, path, at, noise, sizeof noise);
        break;
    default:
        sim_disk_resize(w->disk, path, world_below(w, size + 4096));
        break;
    }
    world_log(w, "damage in %s", path);
}

static unsigned damage(struct world *w, const char *part, const char *also)
{
    struct files *files = calloc(1, sizeof *files);
    const unsigned count = 1 + (world_chance(w, 50) ? 0u : (unsigned)world_below(w, 6));
    unsigned i;

    CHECK(files != NULL);
    sim_disk_settle(w->disk);
    for (i = 0; i < count; i++) {
        *files = (struct files){.world = w, .part = part, .also = also};
        sim_disk_list(w->disk, add_file, files);
        if (files->count > 0) {
            spoil(w, files);
        }
    }
    free(files);
    return count;
}

const uint8_t damage_probe[DAMAGE_PROBE_SIZE] = "after the damage";

struct probe {
    struct engine_append append;
    bool done;
};

static void probe_done(struct engine_request *request)
{
    struct probe *probe = (struct probe *)(void *)request;

    probe->done = true;
}

/* A namespace that serves takes an append, at an offset that nothing ever had. */
static void probe_topic(struct world *w, struct model_namespace *ns, uint64_t id, bool fresh)
{
    const struct batch_entry entry = {.data = damage_probe, .size = DAMAGE_PROBE_SIZE};
    const struct model_topic *topic = model_topic_by_id(ns, id);
    uint8_t bytes[BATCH_HEADER_SIZE + 64];
    struct probe probe = {
        .append = {.base = {.done = probe_done}, .topic = {.id = id}, .durable = true}};
    unsigned polls;

    batch_encode(bytes, &entry, 1);
    probe.append.batch = bytes;
    probe.append.batch_size = batch_encoded_size(1, DAMAGE_PROBE_SIZE);
    world_tell(w);
    engine_append(ns->handle, &probe.append);
    for (polls = 0; !probe.done && polls < 100000; polls++) {
        w->told = world_now(w);
        (void)engine_poll(w->engine, &w->told);
        sim_disk_advance(w->disk, 50);
    }
    if (!probe.done || (probe.append.base.status != 0 && probe.append.base.status != TUSK_EQUOTA &&
                        probe.append.base.status != TUSK_ETOOBIG)) {
        world_fail(w, "what serves takes appends", "topic %llu: %s", (unsigned long long)id,
                   probe.done ? probe.append.base.error.text : "no answer");
    }
    if (fresh && topic != NULL && probe.append.base.status == 0 &&
        probe.append.first_offset < topic->issued_end) {
        world_fail(w, "no offset is issued twice, whatever was lost",
                   "topic %llu: %llu, issued to %llu", (unsigned long long)id,
                   (unsigned long long)probe.append.first_offset,
                   (unsigned long long)topic->issued_end);
    }
}

static void probe_all(struct world *w, const struct observed *seen, bool fresh)
{
    uint32_t n;
    uint32_t t;
    unsigned i;

    for (n = 0; n < seen->count; n++) {
        for (i = 0; i < WORLD_NAMESPACES; i++) {
            struct model_namespace *ns = &w->namespaces[i];

            if (ns->handle == NULL || strcmp(ns->name, seen->namespaces[n].name) != 0) {
                continue;
            }
            for (t = 0; t < seen->namespaces[n].topic_count; t++) {
                probe_topic(w, ns, seen->namespaces[n].topics[t].info.id, fresh);
            }
        }
    }
}

/* Open, look, and judge: strictly where the contract says what must be left. */
static bool open_damaged(struct world *w, bool strict)
{
    struct observed seen;
    struct error err;
    bool refused;

    if (life_open(w, &err) != 0) {
        world_fail(w, "damage stops a namespace, not the engine", "%s", err.text);
    }
    observe(&seen, w->engine, w->disk, w->wall_offset, w->limits.seed);
    life_learn(w);
    w->results ^= observed_hash(&seen);
    refused = observed_any_refused(&seen);
    w->report->refused += refused;
    world_log(w, "opened, %s", refused ? "refused" : "serving");
    if (strict && !refused) {
        judge(w, &seen);
    } else {
        judge_leniently(w, &seen);
    }
    /* Behind a damaged end that looks torn, even reserved offsets may be forgotten. */
    probe_all(w, &seen, strict && w->ending == END_CLEAN);
    observed_deinit(&seen);
    life_close(w);
    return refused;
}

/* One bit of one record: what other records say was durable is there, or the namespace is refused. */
static bool flip_one_bit(struct world *w)
{
    struct files *files = calloc(1, sizeof *files);
    unsigned i;
    bool flipped = false;

    CHECK(files != NULL);
    *files = (struct files){.world = w, .part = ".jnl"};
    sim_disk_settle(w->disk);
    sim_disk_list(w->disk, add_file, files);
    if (files->count > 0) {
        const unsigned which = (unsigned)world_below(w, files->count);

        if (files->sizes[which] > 4096) {
            const uint64_t bits = files->sizes[which] - 4096;

            /* Near the front, where the records are. */
            sim_disk_flip_bit(w->disk, files->paths[which],
                              4096 * 8 + world_below(w, bits >> world_below(w, 4)) * 8);
            world_log(w, "a bit flips in %s", files->paths[which]);
            flipped = true;
        }
    }
    for (i = 0; i < WORLD_NAMESPACES && w->ending != END_CLEAN; i++) {
        model_promise_marked(&w->namespaces[i]);
    }
    if (w->ending == END_PROCESS) {
        w->ending = END_POWER;
    }
    free(files);
    return flipped;
}

bool damage_is_last(const struct world *w)
{
    return w->kind == KIND_LIE || w->kind == KIND_ROT_BLOCKS || w->kind == KIND_ROT_JOURNAL;
}

void damage_last(struct world *w)
{
    const bool clean = w->ending == END_CLEAN;
    bool strict = false;
    unsigned i;

    w->damaged = true;
    if (w->kind == KIND_LIE) {
        sim_disk_power_cut(w->disk);
    } else if (w->kind == KIND_ROT_BLOCKS) {
        (void)damage(w, ".seg", NULL);
        strict = clean; /* Else a damaged direct batch may look like a torn end */
    } else if (world_chance(w, 50)) {
        strict = flip_one_bit(w);
    } else {
        /* One damaged place behind a clean stop takes nothing: the manifest has it, or the journal. */
        strict = damage(w, ".jnl", "manifest-0") == 1 && clean;
    }
    if (!open_damaged(w, strict)) {
        return;
    }
    if (w->kind == KIND_ROT_BLOCKS) {
        world_fail(w, "damage in blocks refuses no namespace", "see the findings");
    }
    for (i = 0; i < WORLD_NAMESPACES; i++) {
        w->options.accept_loss = w->namespaces[i].name;
        (void)open_damaged(w, false);
    }
}
