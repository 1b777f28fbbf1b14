/* A small store, damaged anywhere: one flipped bit, one file cut off. Whatever it is, the store is refused or
 * serves; what it serves is exactly what was appended; and what is missing is told, or was not yet known to be durable
 * to the journal (FORMAT.md: damage behind the mark looks like a tear).
 *
 * Bits and lengths are sampled; TUSK_TEST_FULL=1 tries all in use, TUSK_TEST_SEED moves the sample. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/engine_fixture.h"

#define BIT_STRIDE 397u
#define LENGTH_STRIDE 211u
#define FILES_MAX 32u
#define LOGS 2u

struct store {
    struct sim_disk *disk; /* Owned: what a crash left */
    struct fixture_log logs[LOGS];
    char paths[FILES_MAX][IO_PATH_SIZE];
    uint64_t sizes[FILES_MAX]; /* Up to the last byte that is not zero */
    unsigned files;
    unsigned refused;
    unsigned lost; /* Opens that missed entries */
};

static void add_file(void *arg, const char *path, uint64_t size)
{
    struct store *store = arg;
    uint8_t *data;

    if (strcmp(path, "LOCK") == 0) {
        return;
    }
    assert_true(store->files < FILES_MAX);
    data = sim_disk_file(store->disk, path, &size);
    while (size > 0 && data[size - 1] == 0) {
        size--;
    }
    free(data);
    (void)snprintf(store->paths[store->files], IO_PATH_SIZE, "%s", path);
    store->sizes[store->files++] = size;
}

/* Entries in a tail, in an active block and in a full one, of two topics; cursors; two manifests and journal
 * behind them. */
static void make_store(struct store *store)
{
    struct fixture *f = fixture_new(4);
    unsigned i;

    *store = (struct store){.logs = {{.topic = "small"}, {.topic = "large"}}};
    f->options.manifest_journal_bytes = 6u << 10;
    fixture_open(f);
    for (i = 0; i < 26; i++) {
        assert_int_equal(fixture_log_append(f, &store->logs[0], 2, 150, true), 0);
        if (i % 4 == 0) {
            assert_int_equal(fixture_log_append(f, &store->logs[1], 1, 4500, true), 0);
        }
        fixture_settle(f);
    }
    assert_int_equal(fixture_checkpoint(f, "small", "c", 20), 0);
    fixture_pass(f,
                 1100000); /* The idle journal writes its mark: everything is known to be durable */
    fixture_settle(f);
    assert_true(fixture_stat(f, "manifests") >= 2);
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_settle(f->disk);
    store->disk = sim_disk_clone(f->disk);
    fixture_free(f);
    sim_disk_list(store->disk, add_file, store);
}

/* ---- what is served ---- */

struct seen {
    const struct fixture_log *log;
    uint64_t next; /* The number the next entry has, at least */
    uint64_t count;
};

static void see(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    struct seen *seen = arg;
    uint64_t number;

    (void)offset;
    if (!fixture_log_owns(seen->log, data, size, &number)) {
        fail_msg("an entry of \"%s\" that was never appended", seen->log->topic);
    }
    assert_true(number >= seen->next);
    assert_true(number < seen->log->acked);
    seen->next = number + 1;
    seen->count++;
}

/* Read all of a topic, skipping what is told to be damaged. Entries missing without being told. */
static uint64_t untold(struct fixture *f, const struct fixture_log *log)
{
    struct seen seen = {.log = log};
    const struct engine_topic_ref ref = {.name = log->topic, .name_size = strlen(log->topic)};
    struct engine_topic_info info;
    struct fixture_read read = {0};
    uint64_t told = 0;
    int status;

    if (engine_topic_info(f->ns, &ref, &info, &f->err) != 0) {
        return log->acked;
    }
    do {
        read.request.skip_damage = true;
        fixture_read_begin(f, &read, log->topic);
        status = fixture_read_end(f, &read);
        told += read.request.skipped_to - read.request.skipped_from;
        if (status == 0) {
            fixture_entries(&read.request, see, &seen);
            read.request.position = ENGINE_AT_OFFSET;
            read.request.value = read.request.to;
        }
        fixture_read_free(&read);
    } while (status == 0);
    assert_int_equal(status, TUSK_EEND);
    return seen.count + told >= log->acked ? 0 : log->acked - seen.count - told;
}

/* Open the damaged copy and look at everything. May lose entries untold only where `may_lose`. */
static void try_copy(struct store *store, struct fixture *f, bool may_lose)
{
    uint64_t missing = 0;
    unsigned i;

    assert_int_equal(fixture_try_open(f), 0); /* One namespace is damaged, not the directory */
    if (!fixture_serves(f)) {
        assert_true(strlen(fixture_reason(f)) > 0);
        store->refused++;
    } else {
        for (i = 0; i < LOGS; i++) {
            missing += untold(f, &store->logs[i]);
        }
        store->lost += missing > 0 ? 1u : 0u;
        assert_true(missing == 0 || may_lose);
        assert_int_equal(fixture_append_size(f, "more", 100), 0);
        assert_int_equal(fixture_try_read(f, "more", ENGINE_AT_EARLIEST, 0), 0);
    }
    fixture_close(f);
}

static struct fixture *copy(const struct store *store)
{
    struct fixture *f = fixture_new(4);

    sim_disk_free(f->disk);
    f->disk = sim_disk_clone(store->disk);
    return f;
}

static uint64_t phase(uint64_t stride)
{
    const char *seed = getenv("TUSK_TEST_SEED");

    return seed == NULL ? 0 : strtoull(seed, NULL, 10) % stride;
}

static uint64_t stride_or_all(uint64_t stride)
{
    return getenv("TUSK_TEST_FULL") != NULL ? 1 : stride;
}

/* One flipped bit in any file never gives a wrong byte, an entry that was not there, or a crash; and nothing is
 * missing without a word: all was known to be durable. */
static void one_flipped_bit_gives_no_wrong_byte(void **state)
{
    const uint64_t stride = stride_or_all(BIT_STRIDE);
    struct store store;
    uint64_t tried = 0;
    unsigned i;

    (void)state;
    make_store(&store);
    printf("TUSK_TEST_SEED=%" PRIu64 "\n", phase(UINT64_MAX));
    for (i = 0; i < store.files; i++) {
        uint64_t bit;

        for (bit = phase(stride); bit < 8 * store.sizes[i]; bit += stride) {
            struct fixture *f = copy(&store);

            sim_disk_flip_bit(f->disk, store.paths[i], bit);
            try_copy(&store, f, false);
            fixture_free(f);
            tried++;
        }
    }
    printf("%" PRIu64 " bits: %u refused, %u with a loss untold\n", tried, store.refused,
           store.lost);
    assert_true(tried > 500);
    assert_true(store.refused > 0 && store.refused < tried);
    sim_disk_free(store.disk);
}

/* A file cut off anywhere: the same, but that a journal file that ends early may end the history, where no later
 * record says that it went on. */
static void a_file_cut_off_gives_no_wrong_byte(void **state)
{
    const uint64_t stride = stride_or_all(LENGTH_STRIDE);
    struct store store;
    uint64_t tried = 0;
    unsigned i;

    (void)state;
    make_store(&store);
    for (i = 0; i < store.files; i++) {
        uint64_t size;

        for (size = phase(stride); size < store.sizes[i]; size += stride) {
            struct fixture *f = copy(&store);

            sim_disk_resize(f->disk, store.paths[i], size);
            try_copy(&store, f, strstr(store.paths[i], ".jnl") != NULL);
            fixture_free(f);
            tried++;
        }
    }
    printf("%" PRIu64 " lengths: %u refused, %u with a loss untold\n", tried, store.refused,
           store.lost);
    assert_true(tried > 200);
    sim_disk_free(store.disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_flipped_bit_gives_no_wrong_byte),
        cmocka_unit_test(a_file_cut_off_gives_no_wrong_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
