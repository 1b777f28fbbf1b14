#include "tests/sim/observe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "proto/batch.h"
#include "proto/bytes.h"
#include "tests/sim/io_sim.h"
#include "tests/sim/random.h"

#define POLLS_MAX 100000u

struct reader {
    struct observed *out;
    struct engine *engine;
    struct sim_disk *disk;
    int64_t wall_offset;
    struct random random;
    struct namespace *ns;
    const struct engine_namespace_info *info;
    struct observed_topic *topic;
    uint8_t *buffer; /* Owned */
    bool done;
};

static void problem(struct reader *r, const char *text, uint64_t offset, int status)
{
    if (r->out->problem[0] == '\0') {
        (void)snprintf(r->out->problem, sizeof r->out->problem, "%s/%.*s at %llu: %.300s (%s)",
                       r->info->name, (int)(r->topic == NULL ? 0 : r->topic->info.name_size),
                       r->topic == NULL ? "" : r->topic->name, (unsigned long long)offset, text,
                       status_name(status));
    }
}

static struct engine_time now(const struct reader *r)
{
    const uint64_t mono = 1000000u + sim_disk_now_us(r->disk);

    return (struct engine_time){.mono_us = mono,
                                .wall_us = (uint64_t)((int64_t)mono + r->wall_offset)};
}

static void done(struct engine_request *request)
{
    struct reader *r = request->arg;

    r->done = true;
}

static uint8_t *room(struct engine_read *read, size_t used, size_t size)
{
    struct reader *r = read->base.arg;

    (void)used;
    r->buffer = realloc(r->buffer, size);
    return r->buffer;
}

/* False: it never ended. */
static bool run(struct reader *r, struct engine_read *read)
{
    struct engine_time time = now(r);
    unsigned polls;

    r->done = false;
    r->out->reads++;
    engine_now(r->engine, &time);
    engine_read(r->ns, read);
    for (polls = 0; !r->done && polls < POLLS_MAX; polls++) {
        time = now(r);
        (void)engine_poll(r->engine, &time);
        if (!r->done) {
            sim_disk_advance(r->disk, 2);
        }
    }
    return r->done;
}

/* Room for one more item behind the first count ones. */
static void *grow(void *items, uint32_t count, uint32_t *room, size_t item_size)
{
    if (count == *room) {
        *room = *room == 0 ? 16 : 2 * *room;
        items = realloc(items, *room * item_size);
        CHECK(items != NULL);
    }
    return items;
}

static struct observed_batch *add_batch(struct observed_topic *topic)
{
    topic->batches =
        grow(topic->batches, topic->batch_count, &topic->batch_room, sizeof *topic->batches);
    return &topic->batches[topic->batch_count++];
}

/* The batch at data goes to the list, or goes on a batch of which a part was delivered before. */
static void note(struct reader *r, const struct engine_read *read, const uint8_t *data,
                 const struct batch_header *header)
{
    struct observed_topic *topic = r->topic;
    const uint64_t end = header->first_offset + header->entry_count;
    struct observed_batch *last =
        topic->batch_count == 0 ? NULL : &topic->batches[topic->batch_count - 1];
    struct observed_batch *batch;

    if (last != NULL && last->first == header->first_offset) {
        if (last->to != read->from || memcmp(last->bytes, data, last->size) != 0) {
            problem(r, "one batch is read in two versions", header->first_offset, 0);
        }
        last->to = read->to < end ? read->to : end;
        return;
    }
    if (last != NULL && header->first_offset < last->end) {
        problem(r, "offsets go backwards", header->first_offset, 0);
    }
    batch = add_batch(topic);
    *batch = (struct observed_batch){
        .first = header->first_offset,
        .end = end,
        .from = read->from > header->first_offset ? read->from : header->first_offset,
        .to = read->to < end ? read->to : end,
        .time_us = header->time_us,
        .size = BATCH_HEADER_SIZE + header->stored_size};
    batch->bytes = malloc(batch->size);
    CHECK(batch->bytes != NULL);
    memcpy(batch->bytes, data, batch->size);
}

/* Whole, valid batches: body, header checksum, place. */
static void take(struct reader *r, const struct engine_read *read)
{
    const uint32_t seed = batch_seed(r->info->store_id, read->generation);
    uint32_t position = read->block_position;
    uint32_t at = 0;

    if (read->from == read->to && read->skipped_to != 0 && read->data_size == 0) {
        return; /* Damage to the end */
    }
    if (read->to <= read->from || read->data_size == 0) {
        problem(r, "an answer without entries", read->from, 0);
    }
    while (at < read->data_size) {
        struct batch_header header;
        const uint8_t *data = read->data + at;
        const enum batch_problem wrong =
            batch_verify(data, read->data_size - at, UINT32_MAX / 2, &header);

        if (wrong != BATCH_GOOD) {
            problem(r, batch_problem_text(wrong), read->from, 0);
            return;
        }
        if (batch_header_crc(data, seed, position) != header.header_crc) {
            problem(r, "header checksum, or generation, or position", header.first_offset, 0);
        }
        if (header.first_offset + header.entry_count <= read->from ||
            header.first_offset >= read->to) {
            problem(r, "a batch nobody asked for", header.first_offset, 0);
        }
        note(r, read, data, &header);
        at += (uint32_t)batch_padded_size(header.stored_size);
        position += (uint32_t)batch_padded_size(header.stored_size);
    }
}

static void note_damage(struct reader *r, uint64_t from, uint64_t to)
{
    struct observed_topic *topic = r->topic;

    if (topic->damaged_count < sizeof topic->damaged / sizeof topic->damaged[0]) {
        topic->damaged[topic->damaged_count++] = (struct observed_range){from, to};
    } else {
        topic->damaged[topic->damaged_count - 1].to = to;
    }
}

static void read_topic(struct reader *r)
{
    struct observed_topic *topic = r->topic;
    uint64_t offset = topic->info.first;
    struct engine_read read;
    bool first = true;

    for (;;) {
        const uint32_t max_bytes =
            (uint32_t)random_between(&r->random, 1, 1u << random_between(&r->random, 8, 20));
        const uint32_t max_entries =
            (uint32_t)random_between(&r->random, 1, 1u << random_between(&r->random, 3, 12));

        read = (struct engine_read){.base = {.done = done, .arg = r},
                                    .topic = {.id = topic->info.id},
                                    .position = first ? ENGINE_AT_EARLIEST : ENGINE_AT_OFFSET,
                                    .value = first ? 0 : offset,
                                    .max_bytes = max_bytes,
                                    .max_entries = max_entries,
                                    .skip_damage = random_chance(&r->random, 50),
                                    .held = UINT64_MAX,
                                    .room = room};
        if (!run(r, &read)) {
            problem(r, "a read never ends", offset, 0);
            return;
        }
        if (read.base.status == TUSK_ECORRUPT) {
            if (read.base.detail_b <= offset || read.base.detail_b <= read.base.detail_a) {
                problem(r, "damage without a range that goes on", offset, read.base.status);
                return;
            }
            note_damage(r, read.base.detail_a, read.base.detail_b);
            offset = read.base.detail_b;
        } else if (read.base.status != 0) {
            if (read.skipped_to != 0) {
                note_damage(r, read.skipped_from, read.skipped_to);
            }
            if (read.base.status != TUSK_EEND) {
                problem(r, read.base.error.text, offset, read.base.status);
            }
            return;
        } else {
            if (read.skipped_to != 0) {
                note_damage(r, read.skipped_from, read.skipped_to);
            }
            if (read.from < offset || read.to > read.end) {
                problem(r, "from or to is not where it should be", offset, 0);
            }
            take(r, &read);
            offset = read.to;
        }
        if (r->out->problem[0] != '\0') {
            return;
        }
        first = false;
    }
}

static void list_cursors(struct reader *r)
{
    struct observed_topic *topic = r->topic;
    const struct engine_topic_ref ref = {.id = topic->info.id};
    struct engine_cursor_info info;
    struct observed_cursor *last = NULL;
    struct error err;

    while (engine_cursor_next(r->ns, &ref, last == NULL ? NULL : last->name,
                              last == NULL ? 0 : last->name_size, &info, &err) == 1) {
        CHECK(info.name_size <= sizeof last->name);
        topic->cursors =
            grow(topic->cursors, topic->cursor_count, &topic->cursor_room, sizeof *topic->cursors);
        last = &topic->cursors[topic->cursor_count++];
        memcpy(last->name, info.name, info.name_size);
        last->name_size = info.name_size;
        last->offset = info.offset;
        last->epoch = info.epoch;
        if (info.durable_offset != info.offset) {
            problem(r, "a recovered cursor is not durable", info.offset, 0);
        }
    }
    if (topic->cursor_count != topic->info.cursors) {
        problem(r, "the count of cursors is not that of the list", topic->info.cursors, 0);
    }
}

static void observe_namespace(struct reader *r, struct observed_namespace *out)
{
    struct engine_topic_info info;
    const char *after = "";
    size_t size = 0;
    uint32_t i;

    while (engine_topic_next(r->ns, after, size, &info) == 1) {
        struct observed_topic *topic;

        out->topics = grow(out->topics, out->topic_count, &out->topic_room, sizeof *out->topics);
        topic = &out->topics[out->topic_count++];
        *topic = (struct observed_topic){.info = info};
        memcpy(topic->name, info.name, info.name_size);
        after = topic->name;
        size = info.name_size;
    }
    for (i = 0; i < out->topic_count; i++) {
        r->topic = &out->topics[i];
        r->topic->info.name = r->topic->name; /* Where it stands now that no more come */
        list_cursors(r);
        read_topic(r);
    }
    r->topic = NULL;
}

void observe(struct observed *out, struct engine *engine, struct sim_disk *disk,
             int64_t wall_offset, uint64_t seed)
{
    struct reader r = {.out = out, .engine = engine, .disk = disk, .wall_offset = wall_offset};
    struct namespace *ns = NULL;
    struct engine_namespace_info info = {.name = NULL};

    *out = (struct observed){.count = 0};
    random_init(&r.random, seed);
    while ((ns = engine_namespace_next(engine, info.name,
                                       info.name == NULL ? 0 : strlen(info.name))) != NULL) {
        struct observed_namespace *to = &out->namespaces[out->count++];

        CHECK(out->count < 8);
        engine_namespace_info(ns, &info);
        (void)snprintf(to->name, sizeof to->name, "%s", info.name);
        (void)snprintf(to->reason, sizeof to->reason, "%s", info.reason);
        to->state = info.state;
        memcpy(to->store_id, info.store_id, sizeof to->store_id);
        to->settings = info.settings;
        to->batch_size_max = info.batch_size_max;
        to->entry_size_max = info.entry_size_max;
        if (info.state == ENGINE_SERVING) {
            r.ns = ns;
            r.info = &info;
            observe_namespace(&r, to);
        }
    }
    free(r.buffer);
}

void observed_deinit(struct observed *seen)
{
    uint32_t n;
    uint32_t t;
    uint32_t b;

    for (n = 0; n < seen->count; n++) {
        for (t = 0; t < seen->namespaces[n].topic_count; t++) {
            struct observed_topic *topic = &seen->namespaces[n].topics[t];

            for (b = 0; b < topic->batch_count; b++) {
                free(topic->batches[b].bytes);
            }
            free(topic->batches);
            free(topic->cursors);
        }
        free(seen->namespaces[n].topics);
    }
    seen->count = 0;
}

bool observed_any_refused(const struct observed *seen)
{
    uint32_t i;

    for (i = 0; i < seen->count; i++) {
        if (seen->namespaces[i].state != ENGINE_SERVING) {
            return true;
        }
    }
    return false;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash ^= value;
    return random_split(&hash);
}

/* By words, because everything that is stored is hashed after every crash. */
static uint64_t mix_bytes(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *at = data;
    uint64_t word = 0;

    hash = mix(hash, size);
    for (; size >= sizeof word; at += sizeof word, size -= sizeof word) {
        hash = (hash ^ get_u64(at)) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    for (; size > 0; size--) {
        word = word << 8 | *at++;
    }
    return mix(hash, word);
}

static uint64_t hash_topic(uint64_t hash, const struct observed_topic *topic)
{
    uint32_t i;

    hash = mix_bytes(hash, topic->name, topic->info.name_size);
    hash = mix(hash, topic->info.id);
    hash = mix(hash, topic->info.first);
    hash = mix(hash, topic->info.created_us);
    hash = mix(hash, topic->info.retention.kind);
    for (i = 0; i < topic->batch_count; i++) {
        hash = mix(hash, topic->batches[i].first);
        hash = mix_bytes(hash, topic->batches[i].bytes, topic->batches[i].size);
    }
    for (i = 0; i < topic->cursor_count; i++) {
        hash = mix_bytes(hash, topic->cursors[i].name, topic->cursors[i].name_size);
        hash = mix(hash, topic->cursors[i].offset);
        hash = mix(hash, topic->cursors[i].epoch);
    }
    for (i = 0; i < topic->damaged_count; i++) {
        hash = mix(hash, topic->damaged[i].to);
    }
    return hash;
}

uint64_t observed_hash(const struct observed *seen)
{
    uint64_t hash = 1;
    uint32_t n;
    uint32_t t;

    for (n = 0; n < seen->count; n++) {
        const struct observed_namespace *ns = &seen->namespaces[n];

        hash = mix_bytes(hash, ns->name, strlen(ns->name));
        hash = mix(hash, ns->state);
        hash = mix_bytes(hash, ns->store_id, sizeof ns->store_id);
        hash = mix(hash, ns->settings.fsync_ms);
        hash = mix(hash, ns->settings.consistency);
        hash = mix(hash, ns->settings.retention.kind);
        for (t = 0; t < ns->topic_count; t++) {
            hash = hash_topic(hash, &ns->topics[t]);
        }
    }
    return hash;
}
