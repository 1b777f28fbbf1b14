/* Reads of blocks that do not fit the window a read looks through, whole and damaged: from every place, whatever the limits, the cache
 * and the damage, a reader is given what was appended, or the exact entries that are gone. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/namespace.h"
#include "tests/support/engine_fixture.h"

#define BATCHES 140u
#define PER_BATCH_MAX 30u
#define TEXT_SIZE 20u
#define BLOCK (512u << 10)

struct batch {
    uint64_t first;
    uint32_t count;
    char path[IO_PATH_SIZE]; /* Where it stands on the device, */
    uint64_t from;
    uint64_t to;
    bool damaged; /* or does not any more */
};

struct store {
    struct fixture *f;
    struct batch batches[BATCHES];
    uint64_t end;
    uint64_t expected; /* While comparing */
};

static uint32_t entry_size(uint64_t offset)
{
    static const uint32_t sizes[] = {TEXT_SIZE, 300, 90, 7000, 40, 2500, 150};

    return offset % 97 == 13 ? 200000 : sizes[offset % 7];
}

static void fill_entry(uint64_t offset, uint8_t *data)
{
    memset(data, 'a' + (int)(offset % 26), entry_size(offset));
    (void)snprintf((char *)data, TEXT_SIZE, "entry %08u!", (unsigned)offset);
}

static void append(struct store *store, struct batch *batch)
{
    struct fixture_append append = {.finished = false};
    struct batch_entry entries[PER_BATCH_MAX];
    uint32_t i;

    for (i = 0; i < batch->count; i++) {
        uint8_t *data = malloc(entry_size(store->end + i));

        assert_non_null(data);
        fill_entry(store->end + i, data);
        entries[i] = (struct batch_entry){.data = data, .size = entry_size(store->end + i)};
    }
    fixture_append_begin(store->f, &append, "t", entries, batch->count);
    assert_int_equal(fixture_append_end(store->f, &append), 0);
    batch->first = append.request.first_offset;
    assert_int_equal(batch->first, store->end);
    store->end += batch->count;
    for (i = 0; i < batch->count; i++) {
        free((void *)(uintptr_t)entries[i].data);
    }
}

static void locate(struct store *store, struct batch *batch)
{
    char text[TEXT_SIZE];
    uint64_t size = BATCH_HEADER_SIZE;
    uint64_t at;
    uint32_t i;

    (void)snprintf(text, sizeof text, "entry %08u!", (unsigned)batch->first);
    assert_true(fixture_find(store->f, ".seg", text, strlen(text), batch->path, &at));
    for (i = 0; i < batch->count; i++) {
        size += 4u + entry_size(batch->first + i);
    }
    batch->from = at - BATCH_HEADER_SIZE - 4u * batch->count;
    batch->to = batch->from + size;
}

static void set_options(struct fixture *f)
{
    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    f->options.block_size = BLOCK;
    f->options.journal_file_min = 4u << 20;
    f->options.journal_file_max = 4u << 20;
    f->options.journal_size_max = 64u << 20;
    f->options.ring_size = 16u << 20;
    f->options.direct_threshold = 64u << 10;
    f->options.tail_apply_bytes = 64u << 10;
}

/* Everything in blocks, on the device, no engine. */
static struct store *make_store(uint64_t seed)
{
    struct store *store = calloc(1, sizeof *store);
    struct fixture *f = fixture_new(seed);
    unsigned i;

    assert_non_null(store);
    store->f = f;
    set_options(f);
    fixture_open(f);
    for (i = 0; i < BATCHES; i++) {
        store->batches[i].count = (uint32_t)random_between(&f->random, 1, PER_BATCH_MAX);
        append(store, &store->batches[i]);
    }
    assert_true(fixture_info(f, "t").blocks >= 3);
    fixture_stop(f);
    sim_disk_settle(f->disk);
    for (i = 0; i < BATCHES; i++) {
        locate(store, &store->batches[i]);
    }
    return store;
}

static void free_store(struct store *store)
{
    fixture_free(store->f);
    free(store);
}

/* The same store again, for another fate. */
static struct store *copy_store(const struct store *made, uint64_t seed)
{
    struct store *store = malloc(sizeof *store);
    struct fixture *f = fixture_new(seed);

    assert_non_null(store);
    *store = *made;
    store->f = f;
    sim_disk_free(f->disk);
    f->disk = sim_disk_clone(made->f->disk);
    set_options(f);
    return store;
}

static const struct batch *batch_of(const struct store *store, uint64_t offset)
{
    const struct batch *batch = store->batches;

    while (offset >= batch->first + batch->count) {
        batch++;
    }
    return batch;
}

static void compare(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    static uint8_t wanted[200000];
    struct store *store = arg;

    assert_int_equal(offset, store->expected);
    assert_false(batch_of(store, offset)->damaged);
    assert_int_equal(size, entry_size(offset));
    fill_entry(offset, wanted);
    assert_memory_equal(data, wanted, size);
    store->expected++;
}

/* The range has the offset, and nothing that is not gone. */
static void expect_gone(const struct store *store, uint64_t from, uint64_t to, uint64_t offset)
{
    assert_true(from <= offset && offset < to);
    for (; from < to; from++) {
        assert_true(batch_of(store, from)->damaged);
    }
}

static void read_at(struct store *store, uint64_t offset, bool skip_damage)
{
    struct fixture *f = store->f;
    static const uint32_t limits[] = {1, 3000, 60000, 250000, 2u << 20};
    struct fixture_read read = {
        .request = {.position = ENGINE_AT_OFFSET,
                    .value = offset,
                    .max_bytes = limits[random_below(&f->random, 5)],
                    .max_entries = (uint32_t)random_between(&f->random, 1, 200),
                    .skip_damage = skip_damage}};
    const bool gone = batch_of(store, offset)->damaged;
    int status;

    sim_disk_set_cold(f->disk, (unsigned)random_below(&f->random, 3) * 50);
    fixture_read_begin(f, &read, "t");
    status = fixture_read_end(f, &read);
    if (gone && !skip_damage) {
        assert_int_equal(status, TUSK_ECORRUPT);
        expect_gone(store, read.request.base.detail_a, read.request.base.detail_b, offset);
    } else {
        assert_int_equal(status, 0);
        if (gone) {
            expect_gone(store, read.request.skipped_from, read.request.skipped_to, offset);
        } else {
            assert_int_equal(read.request.from, offset);
        }
        store->expected = read.request.from;
        fixture_entries(&read.request, compare, store);
        assert_int_equal(read.request.to, store->expected);
    }
    fixture_read_free(&read);
}

/* Of each batch the first entry and the last, and some in any order. */
static void read_everywhere(struct store *store)
{
    unsigned i;

    for (i = 0; i < BATCHES; i++) {
        read_at(store, store->batches[i].first, i % 3 == 0);
        read_at(store, store->batches[i].first + store->batches[i].count - 1, i % 3 == 1);
    }
    for (i = 0; i < 150; i++) {
        read_at(store, random_below(&store->f->random, store->end), i % 2 == 0);
    }
}

/* Seals and indexes are derived: without them blocks are read from their beginnings. */
static void forget_indexes(struct store *store)
{
    unsigned i;

    for (i = 0; i < BATCHES; i++) {
        const struct batch *batch = &store->batches[i];

        sim_disk_zero(store->f->disk, batch->path, batch->from / BLOCK * BLOCK + FORMAT_PAGE,
                      FORMAT_PAGE);
    }
}

static void any_read_of_a_large_block_gives_what_was_appended(void **state)
{
    struct store *made = make_store(1);
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 2; seed++) {
        struct store *store = copy_store(made, seed);

        printf("seed %" PRIu64 "\n", seed);
        if (seed == 2) {
            forget_indexes(store);
        }
        fixture_open(store->f);
        read_everywhere(store);
        store->expected = 0;
        assert_int_equal(fixture_read_all(store->f, "t", 5000, compare, store), store->end);
        free_store(store);
    }
    free_store(made);
}

static void damage(struct store *store, const char *path, uint64_t from, uint64_t size)
{
    unsigned i;

    sim_disk_zero(store->f->disk, path, from, size);
    for (i = 0; i < BATCHES; i++) {
        struct batch *batch = &store->batches[i];

        if (strcmp(batch->path, path) == 0 && batch->from < from + size && from < batch->to) {
            batch->damaged = true;
        }
    }
}

static uint64_t file_size(const struct store *store, const char *path)
{
    uint64_t size;

    free(sim_disk_file(store->f->disk, path, &size));
    return size;
}

/* Stretches of zeros, shorter and longer than a window, at the beginning of a block, inside, up to its end; a header; an entry: what is
 * gone is told to the batch, and everything else is there. */
static void damage_of_any_length_costs_what_it_touches(void **state)
{
    struct store *made = make_store(2);
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 12; seed++) {
        struct store *store = copy_store(made, seed);
        const struct batch *hit =
            &store->batches[random_between(&store->f->random, 10, BATCHES - 10)];
        const uint64_t block = hit->from / BLOCK * BLOCK;

        printf("seed %" PRIu64 "\n", seed);
        if (seed == 12) { /* The file was cut off there */
            damage(store, hit->path, hit->from + 100,
                   file_size(store, hit->path) - hit->from - 100);
            sim_disk_resize(store->f->disk, hit->path, hit->from + 100);
        } else if (seed % 6 == 0) {
            damage(store, hit->path, hit->from, 200000);
        } else if (seed % 6 == 1) {
            damage(store, hit->path, hit->from + 8, 4);
        } else if (seed % 6 == 2) {
            damage(store, hit->path, hit->to - 3, 2);
        } else if (seed % 6 == 3) {
            damage(store, hit->path, block + FORMAT_BLOCK_DATA, 150000);
        } else if (seed % 6 == 4) {
            damage(store, hit->path, hit->from, block + BLOCK - FORMAT_PAGE - hit->from);
        } else {
            damage(store, hit->path, hit->from - 5000, 10000);
        }
        if (seed > 6) {
            forget_indexes(store);
        }
        fixture_open(store->f);
        read_everywhere(store);
        free_store(store);
    }
    free_store(made);
}

/* Who looks for a time passes batches that are longer together than the window it looks through. Whichever batch the window begins with next, it
 * is taken from the device to the last byte: one flipped bit in the first of them is damage. */
static void a_window_moved_far_keeps_nothing(void **state)
{
    enum { COUNT = 10, SIZE = 20000 };
    const uint64_t padded = batch_padded_size(SIZE + 4);
    unsigned hit;

    (void)state;
    for (hit = 1; hit < COUNT; hit++) {
        struct fixture *f = fixture_new(1);
        struct fixture_read read;
        uint64_t times[COUNT];
        unsigned i;

        set_options(f);
        fixture_open(f);
        for (i = 0; i < COUNT; i++) {
            assert_int_equal(fixture_append_size(f, "t", SIZE), 0);
            times[i] = fixture_info(f, "t").last_time_us;
            fixture_pass(f, 1000);
        }
        fixture_stop(f);
        sim_disk_settle(f->disk);
        sim_disk_flip_bit(f->disk, FIXTURE_DIR "/0000000000000001.seg",
                          8 * (FORMAT_BLOCK_DATA + hit * padded));
        fixture_open(f);
        for (i = hit - 1; i <= hit; i++) {
            read = (struct fixture_read){
                .request = {.position = ENGINE_AT_TIME, .value = times[i], .max_bytes = 1}};
            fixture_read_begin(f, &read, "t");
            assert_int_equal(fixture_read_end(f, &read), i == hit ? TUSK_ECORRUPT : 0);
            assert_int_equal(i == hit ? read.request.base.detail_b : read.request.from,
                             i == hit ? hit + 1 : i);
            fixture_read_free(&read);
        }
        fixture_free(f);
    }
}

/* A read that asks for many bytes gets them in one piece, not what a smaller window holds. */
static void a_read_gets_what_it_asks_for_at_once(void **state)
{
    enum { COUNT = 14, SIZE = 20000 };
    struct fixture *f = *state;
    uint64_t wanted;
    unsigned i;

    set_options(f);
    fixture_open(f);
    for (i = 0; i < COUNT; i++) {
        assert_int_equal(fixture_append_size(f, "t", SIZE), 0);
    }
    fixture_stop(f);
    fixture_open(f);
    for (wanted = 1; wanted < COUNT; wanted++) {
        struct fixture_read read = {.request = {.max_bytes = (uint32_t)wanted * SIZE}};

        fixture_read_begin(f, &read, "t");
        assert_int_equal(fixture_read_end(f, &read), 0);
        assert_int_equal(read.request.to, wanted);
        fixture_read_free(&read);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_read_of_a_large_block_gives_what_was_appended),
        cmocka_unit_test(damage_of_any_length_costs_what_it_touches),
        cmocka_unit_test(a_window_moved_far_keeps_nothing),
        FIXTURE_TEST(a_read_gets_what_it_asks_for_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
