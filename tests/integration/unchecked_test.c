/* Damage on the disk, as the library's readers meet it that have their batches from the page cache,
 * where nobody has looked at them: the same entries are gone as for a reader whose batches are
 * checked by the daemon, and all others are delivered. (No file can include tusk.h and wire.h.) */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/tusk.h"
#include "tests/support/daemon.h"

#define BATCHES 40u
#define PER_BATCH 2u
#define ENTRIES (BATCHES * PER_BATCH)
#define ENTRY_SIZE 60000u /* So that a batch goes straight to its block */

/* What a reader was given, and what it was told is damaged. */
struct seen {
    unsigned delivered[ENTRIES];
    unsigned gone[ENTRIES];
};

static int setup(void **state)
{
    struct daemon *daemon = malloc(sizeof *daemon);

    if (daemon == NULL) {
        return -1;
    }
    daemon_init(daemon);
    *state = daemon;
    return 0;
}

static int teardown(void **state)
{
    struct daemon *daemon = *state;

    if (daemon->pid > 0) {
        daemon_stop(daemon);
    }
    daemon_deinit(daemon);
    free(daemon);
    return 0;
}

static struct tusk *start(struct daemon *daemon)
{
    const struct tusk_options options = {
        .size = sizeof options, .path = daemon->socket, .timeout_ms = DAEMON_WAIT_MS};
    struct tusk_failure failure;
    struct tusk *t;

    daemon_start(daemon, "--set", "block_size=1MiB", "--set", "blocks_per_segment=8", "--set",
                 "batch_size_max=512KiB", "--set", "entry_size_max=512KiB", "--fsync", "none",
                 NULL);
    if (tusk_connect(&options, &t, &failure) != TUSK_OK) {
        fail_msg("%s", failure.text);
    }
    return t;
}

static void name_entry(uint64_t offset, char name[32])
{
    (void)snprintf(name, 32, "entry number %u, ", (unsigned)offset);
}

static void make_entry(uint64_t offset, char data[ENTRY_SIZE])
{
    char name[32];

    memset(data, (int)('a' + offset % 26), ENTRY_SIZE);
    name_entry(offset, name);
    memcpy(data, name, strlen(name));
}

/* Entries in several blocks, and a daemon that has stopped. */
static void make_store(struct daemon *daemon)
{
    static char data[PER_BATCH][ENTRY_SIZE];
    struct tusk_bytes entries[PER_BATCH];
    struct tusk *t = start(daemon);
    unsigned i;
    unsigned k;

    for (i = 0; i < BATCHES; i++) {
        for (k = 0; k < PER_BATCH; k++) {
            make_entry(PER_BATCH * i + k, data[k]);
            entries[k] = (struct tusk_bytes){.data = data[k], .size = ENTRY_SIZE};
        }
        assert_int_equal(tusk_append_batch(t, "t", entries, PER_BATCH, 0, NULL), TUSK_OK);
    }
    assert_int_equal(tusk_close(t), TUSK_OK);
    daemon_stop(daemon);
}

/* Change a byte of an entry in a file, if it is there. */
static bool damage_in(const char *path, const char *name)
{
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat there;
    uint8_t *bytes;
    uint8_t *at;

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &there), 0);
    bytes = malloc((size_t)there.st_size);
    assert_non_null(bytes);
    assert_int_equal(pread(fd, bytes, (size_t)there.st_size, 0), there.st_size);
    at = memmem(bytes, (size_t)there.st_size, name, strlen(name));
    if (at != NULL) {
        at += ENTRY_SIZE / 2;
        *at ^= 1;
        assert_int_equal(pwrite(fd, at, 1, at - bytes), 1);
        assert_int_equal(fsync(fd), 0);
    }
    free(bytes);
    (void)close(fd);
    return at != NULL;
}

static void damage(const struct daemon *daemon, uint64_t offset)
{
    char dir[DAEMON_PATH_SIZE * 2];
    char name[32];
    struct dirent *entry;
    unsigned damaged = 0;
    DIR *list;

    name_entry(offset, name);
    (void)snprintf(dir, sizeof dir, "%s/ns/default", daemon->data_dir);
    list = opendir(dir);
    assert_non_null(list);
    while ((entry = readdir(list)) != NULL) {
        char path[DAEMON_PATH_SIZE * 4];
        const size_t size = strlen(entry->d_name);

        if (size > 4 && strcmp(entry->d_name + size - 4, ".seg") == 0) {
            (void)snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
            damaged += damage_in(path, name);
        }
    }
    (void)closedir(list);
    assert_int_equal(damaged, 1);
}

/* ---- readers ---- */

static void see(struct seen *seen, const struct tusk_entry *entry)
{
    static char expected[ENTRY_SIZE];

    assert_true(entry->offset < ENTRIES);
    assert_int_equal(entry->size, ENTRY_SIZE);
    make_entry(entry->offset, expected);
    assert_memory_equal(entry->data, expected, ENTRY_SIZE);
    seen->delivered[entry->offset]++;
}

/* The range that the last call names is gone; returns where it ends. */
static uint64_t see_gone(struct seen *seen, const struct tusk *t)
{
    const struct tusk_failure *failure = tusk_last_error(t);
    uint64_t i;

    assert_true(failure->detail_a < failure->detail_b);
    assert_true(failure->detail_b <= ENTRIES);
    for (i = failure->detail_a; i < failure->detail_b; i++) {
        seen->gone[i]++;
    }
    return failure->detail_b;
}

static void consume_all(struct tusk *t, uint32_t flags, struct seen *seen, uint64_t *skipped)
{
    const struct tusk_consumer_options options = {
        .size = sizeof options, .topic = "t", .flags = flags | TUSK_CONSUMER_STOP_AT_END};
    struct tusk_consumer_info info = {.size = sizeof info};
    struct tusk_consumer *consumer;
    struct tusk_entry entry;
    int code;

    assert_int_equal(tusk_consumer_open(t, &options, &consumer), TUSK_OK);
    while ((code = tusk_consumer_next(consumer, &entry, DAEMON_WAIT_MS)) != TUSK_EEND) {
        struct tusk_position behind = {.kind = TUSK_FROM_OFFSET};

        if (code == TUSK_OK) {
            see(seen, &entry);
            continue;
        }
        assert_int_equal(code, TUSK_ECORRUPT);
        behind.value = see_gone(seen, t);
        assert_int_equal(tusk_consumer_seek(consumer, behind), TUSK_OK);
    }
    assert_int_equal(tusk_consumer_info(consumer, &info), TUSK_OK);
    *skipped = info.skipped;
    assert_int_equal(tusk_consumer_close(consumer, DAEMON_WAIT_MS), TUSK_OK);
}

struct outcome {
    bool done;
    int code;
    struct tusk_batch *batch;
};

static void keep_outcome(void *user, int code, struct tusk_batch *batch)
{
    *(struct outcome *)user = (struct outcome){.done = true, .code = code, .batch = batch};
}

/* A read as the user submits it; with no flag the daemon checks every batch. */
static int submit_read(struct tusk *t, uint64_t from, struct tusk_batch **batch)
{
    const struct tusk_read_options options = {.size = sizeof options,
                                              .from = {TUSK_FROM_OFFSET, from}};
    struct outcome outcome = {.done = false};

    assert_int_equal(tusk_submit_read(t, "t", NULL, &options, keep_outcome, &outcome), TUSK_OK);
    while (!outcome.done) {
        assert_int_equal(tusk_process(t, DAEMON_WAIT_MS), TUSK_OK);
    }
    *batch = outcome.batch;
    return outcome.code;
}

/* The same by blocking reads, which the daemon need not check, or by those that it does. */
static void read_all(struct tusk *t, bool checked, struct seen *seen)
{
    uint64_t from = 0;

    for (;;) {
        const struct tusk_read_options options = {.size = sizeof options,
                                                  .from = {TUSK_FROM_OFFSET, from}};
        struct tusk_batch_info info = {.size = sizeof info};
        struct tusk_batch *batch;
        struct tusk_entry entry;
        const int code =
            checked ? submit_read(t, from, &batch) : tusk_read(t, "t", &options, &batch);

        if (code == TUSK_EEND) {
            return;
        }
        if (code == TUSK_ECORRUPT) {
            from = see_gone(seen, t);
            continue;
        }
        assert_int_equal(code, TUSK_OK);
        while (tusk_batch_next(batch, &entry) == 1) {
            see(seen, &entry);
        }
        assert_int_equal(tusk_batch_info(batch, &info), TUSK_OK);
        from = info.to;
        tusk_batch_free(batch);
    }
}

static int take_stat(void *user, const char *name, uint64_t value)
{
    if (strcmp(name, "range_reads") == 0) {
        *(uint64_t *)user = value;
    }
    return 0;
}

/* ---- tests ---- */

static void expect_gone(const struct seen *seen, const uint64_t *damaged, size_t count)
{
    uint64_t i;

    for (i = 0; i < ENTRIES; i++) {
        bool gone = false;
        size_t k;

        for (k = 0; k < count; k++) {
            gone = gone || i / PER_BATCH == damaged[k] / PER_BATCH;
        }
        assert_int_equal(seen->gone[i], gone ? 1 : 0);
        assert_int_equal(seen->delivered[i], gone ? 0 : 1);
    }
}

/* A flipped byte in a few blocks, at their ends and in the middle, two beside each other: consumers
 * and blocking reads lose exactly the batches that checked reads lose, and have all others once,
 * though most of it comes unchecked. */
static void readers_lose_exactly_what_is_damaged(void **state)
{
    static const uint64_t damaged[] = {1, 14, 17, 30, 32, ENTRIES - 1};
    const size_t count = sizeof damaged / sizeof damaged[0];
    struct seen *seen = calloc(4, sizeof *seen);
    struct daemon *daemon = *state;
    uint64_t skipped = 0;
    uint64_t ranges = 0;
    struct tusk *t;
    size_t i;

    assert_non_null(seen);
    make_store(daemon);
    for (i = 0; i < count; i++) {
        damage(daemon, damaged[i]);
    }
    t = start(daemon);
    read_all(t, true, &seen[0]);
    expect_gone(&seen[0], damaged, count);
    assert_int_equal(tusk_stats(t, take_stat, &ranges), TUSK_OK);
    assert_int_equal(ranges, 0);
    consume_all(t, 0, &seen[1], &skipped);
    assert_int_equal(skipped, 0);
    assert_int_equal(tusk_stats(t, take_stat, &ranges), TUSK_OK);
    assert_true(ranges > 0);
    read_all(t, false, &seen[2]);
    for (i = 1; i < 3; i++) {
        assert_memory_equal(&seen[i], &seen[0], sizeof seen[0]);
    }
    consume_all(t, TUSK_CONSUMER_SKIP_DAMAGE, &seen[3], &skipped);
    assert_int_equal(skipped, count * PER_BATCH);
    assert_memory_equal(seen[3].delivered, seen[0].delivered, sizeof seen[0].delivered);
    assert_int_equal(tusk_close(t), TUSK_OK);
    free(seen);
}

/* Without damage every entry comes once, most of them without the daemon's look. */
static void a_whole_store_is_consumed_unchecked(void **state)
{
    struct daemon *daemon = *state;
    struct seen *seen = calloc(1, sizeof *seen);
    uint64_t skipped = 0;
    uint64_t ranges = 0;
    struct tusk *t;

    assert_non_null(seen);
    make_store(daemon);
    t = start(daemon);
    consume_all(t, 0, seen, &skipped);
    expect_gone(seen, NULL, 0);
    assert_int_equal(tusk_stats(t, take_stat, &ranges), TUSK_OK);
    assert_true(ranges > 0);
    assert_int_equal(tusk_close(t), TUSK_OK);
    free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(readers_lose_exactly_what_is_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(a_whole_store_is_consumed_unchecked, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
