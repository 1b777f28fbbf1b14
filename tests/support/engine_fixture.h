/* An engine on a simulated disk, with everything small: 32 KiB blocks (20 KiB of batches), 4 blocks
 * to a segment, 32 KiB journal files. For tests of core; nothing here knows more than engine.h
 * does.
 *
 *     setup ---> { append, read, command, turns } ---> stop | kill | power cut ---> open again ...
 * teardown
 *
 * Calls whose name has no "try" fail the test when they do not succeed. Time moves only in turns.
 */
#ifndef TESTS_SUPPORT_ENGINE_FIXTURE_H
#define TESTS_SUPPORT_ENGINE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/engine.h"
#include "core/io.h"
#include "proto/batch.h"
#include "tests/sim/io_sim.h"
#include "tests/sim/random.h"

#define FIXTURE_DIR "ns/default"
#define FIXTURE_TURN_US 100u
#define FIXTURE_BATCH_MAX (20u * 1024u - 64u) /* The largest body a 32 KiB block takes */

struct fixture {
    struct sim_disk *disk;         /* Owned */
    struct io *io;                 /* Owned; NULL while closed */
    struct engine *engine;         /* Owned; NULL while closed */
    struct namespace *ns;          /* "default" */
    struct engine_options options; /* Change them, then fixture_open() */
    /* Sees the io of each open before the engine does, to put operations of its own before the
     * disk's. NULL: nobody does. */
    void (*on_io)(struct io *io);
    struct engine_time now;
    struct random random;
    struct error err;
    unsigned findings; /* Of recovery, since the last open */
    char finding[512]; /* The last one */
};

/* cmocka: a new disk, no engine. FSYNC_EACH and strict unless changed. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
/* The same with another seed, or for a test that needs many of them. */
struct fixture *fixture_new(uint64_t seed);
void fixture_free(struct fixture *f);

/* An entry of a list of tests, with a fixture of its own. */
#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* Open an engine; "default" must serve. */
void fixture_open(struct fixture *f);
/* The same; 0, or what engine_open() said (f->err). "default" may be refused. */
int fixture_try_open(struct fixture *f);
/* Close without stopping, as a process that dies with nothing in flight. NULL engine allowed. */
void fixture_close(struct fixture *f);
/* A clean stop, then close. */
void fixture_stop(struct fixture *f);
/* The process dies, or the machine loses power; then everything is opened again. */
void fixture_kill(struct fixture *f);
void fixture_power_cut(struct fixture *f);
bool fixture_serves(const struct fixture *f);
/* Why "default" does not serve. */
const char *fixture_reason(const struct fixture *f);

/* One turn, 100 us later. */
void fixture_turn(struct fixture *f);
/* Turns until `us` have passed. */
void fixture_pass(struct fixture *f, uint64_t us);
/* Turns until *flag, or nothing more is to be expected. */
void fixture_wait(struct fixture *f, const bool *flag);
/* Turns until nothing is in flight and nobody wants to be called. */
void fixture_settle(struct fixture *f);
/* engine_stats() by name. */
uint64_t fixture_stat(struct fixture *f, const char *name);

/* Appends. `base.arg` is the fixture's from here: it points at `finished`. */
struct fixture_append {
    struct engine_append request;
    uint8_t *batch; /* Owned, until fixture_append_end() */
    bool finished;
};

/* Build a batch of `count` entries and submit it; *append is filled but for `request.durable` and
 * `request.no_create`, which are kept. */
void fixture_append_begin(struct fixture *f, struct fixture_append *append, const char *topic,
                          const struct batch_entry *entries, uint32_t count);
/* Wait for it; its status. */
int fixture_append_end(struct fixture *f, struct fixture_append *append);
/* One batch of strings, ended by NULL; returns the first offset. */
uint64_t fixture_append_strings(struct fixture *f, const char *topic, ...)
    __attribute__((sentinel));
/* One batch of one string. */
int fixture_try_append(struct fixture *f, const char *topic, const char *text, bool durable);
/* One batch of one entry of `size` bytes 'x'; returns its status. */
int fixture_append_size(struct fixture *f, const char *topic, uint32_t size);

/* Reads. */
struct fixture_read {
    struct engine_read request;
    uint8_t *buffer; /* Owned, until fixture_read_end() */
    bool finished;
};

/* Submit; `request` is as the caller set it, with these filled in when zero: max_bytes 1 MiB,
 * max_entries 1000, position EARLIEST; `held` is set to none. */
void fixture_read_begin(struct fixture *f, struct fixture_read *read, const char *topic);
/* Wait; the status. The buffer stays until fixture_read_free(). */
int fixture_read_end(struct fixture *f, struct fixture_read *read);
void fixture_read_free(struct fixture_read *read);
/* Both, and free: for tests of a status. */
int fixture_try_read(struct fixture *f, const char *topic, enum engine_position position,
                     uint64_t value);
/* Called for each delivered entry. */
typedef void fixture_entry_fn(void *arg, uint64_t offset, const uint8_t *data, uint32_t size);
void fixture_entries(const struct engine_read *read, fixture_entry_fn *fn, void *arg);
/* Read from the first entry to the end; returns the count. */
uint64_t fixture_read_all(struct fixture *f, const char *topic, uint32_t max_bytes,
                          fixture_entry_fn *fn, void *arg);
/* The topic holds exactly these strings, ended by NULL. */
void fixture_expect(struct fixture *f, const char *topic, ...) __attribute__((sentinel));

/* Commands: submit, wait, the status. */
int fixture_command(struct fixture *f, struct engine_command *command);
int fixture_checkpoint(struct fixture *f, const char *topic, const char *cursor, uint64_t offset);
int fixture_trim(struct fixture *f, const char *topic, uint64_t offset);
int fixture_delete(struct fixture *f, const char *topic);
void fixture_sync(struct fixture *f);
void fixture_set(struct fixture *f, uint16_t key, uint64_t value); /* ENGINE_NAMESPACE_SET */
struct engine_topic_info fixture_info(struct fixture *f, const char *topic);
/* Offset of a cursor; UINT64_MAX: there is none. */
uint64_t fixture_cursor(struct fixture *f, const char *topic, const char *cursor);

/* Where `size` bytes stand on the device, in a file whose path ends so; files in order of their
 * paths. False: nowhere. For a disk no engine runs on. */
bool fixture_find(struct fixture *f, const char *suffix, const void *bytes, size_t size,
                  char path[IO_PATH_SIZE], uint64_t *offset);
/* Of every file's path, size and bytes on the device, but the lock's (which holds a process id). */
uint64_t fixture_hash(struct fixture *f);
/* The greatest path with this prefix and suffix ("" when there is none), and how many there are. */
unsigned fixture_last_file(struct fixture *f, const char *prefix, const char *suffix,
                           char path[IO_PATH_SIZE]);

/* A topic of numbered entries, and what the engine has promised of it. */
struct fixture_log {
    const char *topic;
    uint64_t durable; /* Entries acked as durable */
    uint64_t acked;   /* Entries acked */
    uint64_t maybe;   /* Acked, and those with an unknown outcome */
    uint64_t offset;  /* No offset before this may be given again */
    uint64_t trimmed; /* Entries before this number were given up */
};

/* One batch of `count` entries of `size` bytes (at least 8); its status. */
int fixture_log_append(struct fixture *f, struct fixture_log *log, uint32_t count, uint32_t size,
                       bool durable);
/* Whether these are, unchanged, the bytes of one of its entries; *number says which. */
bool fixture_log_owns(const struct fixture_log *log, const uint8_t *data, uint32_t size,
                      uint64_t *number);
/* A sync: what was acked is durable. Its status. */
int fixture_log_sync(struct fixture *f, struct fixture_log *log);
/* Read everything: numbered without a hole, unchanged, at least `least` entries and at most
 * `maybe`. What is found is what is promised from then on. */
void fixture_log_check(struct fixture *f, struct fixture_log *log, uint64_t least);

#endif
