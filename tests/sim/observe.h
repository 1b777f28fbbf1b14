/* Everything a reader can see of an open engine, read back through its interface. */
#ifndef TESTS_SIM_OBSERVE_H
#define TESTS_SIM_OBSERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/engine.h"

struct sim_disk;

struct observed_batch {
    uint64_t first;
    uint64_t end;
    uint64_t from; /* What was delivered of it: [from, to) */
    uint64_t to;
    uint64_t time_us;
    uint8_t *bytes; /* Owned */
    size_t size;
};

struct observed_range {
    uint64_t from;
    uint64_t to;
};

struct observed_cursor {
    char name[ENGINE_NAME_SIZE_MAX];
    size_t name_size;
    uint64_t offset;
    uint64_t epoch;
};

struct observed_topic {
    struct engine_topic_info info; /* name points to `name` */
    char name[ENGINE_NAME_SIZE_MAX];
    struct observed_batch *batches; /* Owned */
    uint32_t batch_count;
    uint32_t batch_room;
    struct observed_cursor *cursors; /* Owned */
    uint32_t cursor_count;
    uint32_t cursor_room;
    struct observed_range damaged[64];
    uint32_t damaged_count;
};

struct observed_namespace {
    char name[ENGINE_NAME_SIZE_MAX + 1];
    enum engine_namespace_state state;
    char reason[200];
    uint8_t store_id[ENGINE_STORE_ID_SIZE];
    struct engine_settings settings;
    uint32_t batch_size_max;
    uint32_t entry_size_max;
    struct observed_topic *topics; /* Owned */
    uint32_t topic_count;
    uint32_t topic_room;
};

struct observed {
    struct observed_namespace namespaces[8];
    uint32_t count;
    char problem[400]; /* "": none. The first thing that no healthy store does */
    uint64_t reads;
};

/* seed varies how it is read, not what. Damage is skipped, and noted. */
void observe(struct observed *out, struct engine *engine, struct sim_disk *disk,
             int64_t wall_offset, uint64_t seed);
void observed_deinit(struct observed *seen);
/* A namespace does not serve. */
bool observed_any_refused(const struct observed *seen);
/* Of content alone: equal for two recoveries of one state. */
uint64_t observed_hash(const struct observed *seen);

#endif
