/* The offline tools on simulated disks: what they say, and what a salvaged store holds. */
#ifndef TESTS_SUPPORT_OFFLINE_FIXTURE_H
#define TESTS_SUPPORT_OFFLINE_FIXTURE_H

#include "server/offline/salvage.h"
#include "server/offline/verify.h"
#include "tests/support/engine_fixture.h"

/* What a tool said and how it ended. */
struct said {
    char *text; /* Owned: said_free() */
    size_t size;
    int status;
    struct salvage_counts counts; /* Of a salvage */
};

/* No engine runs on the fixture's disk; it is not changed. What f->on_io does, it does to the io
 * that the tool reads by, and to->on_io to the one it writes by. */
void offline_verify_disk(struct fixture *f, enum out_format format, struct said *said);
/* With --force-live: an engine may run on it, which does nothing meanwhile. */
void offline_verify_live(struct fixture *f, struct said *said);
/* Into the disk of `to`, a new fixture that is not open. */
void offline_salvage_disk(struct fixture *f, struct fixture *to, struct said *said);
/* A file of the disk. */
void offline_dump_disk(struct fixture *f, const char *path, enum out_format format,
                       enum offline_payload payload, struct said *said);
void said_free(struct said *said);
/* Whether it said so. */
bool said_has(const struct said *said, const char *text);
/* How often. */
unsigned said_count(const struct said *said, const char *text);

/* Take files away, durably; how many. */
void offline_remove(struct fixture *f, const char *path);
unsigned offline_remove_all(struct fixture *f, const char *prefix, const char *suffix);

#define HELD_MAX 512u

/* The oracle: what a topic held. */
struct held {
    uint64_t offset[HELD_MAX];
    uint8_t *data[HELD_MAX]; /* Owned */
    uint32_t size[HELD_MAX];
    unsigned count;
};

/* Of an open fixture. */
void held_read(struct fixture *f, const char *topic, struct held *held);
void held_free(struct held *held);
/* All of `now` must be in `then`, unchanged; how many of `then` are not in `now`. */
unsigned held_missing(const struct held *then, const struct held *now);

#endif
