/* verify says what recovery would decide and what readers would meet, names what is damaged, and
 * calls a torn tail a torn tail. */
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "proto/bytes.h"
#include "proto/crc32c.h"
#include "tests/support/damaged_store.h"
#include "tests/support/journal_image.h"
#include "tests/support/offline_fixture.h"

#define BLOCK_SIZE (32u << 10)
#define SAMPLES 400u
#define SEGMENT FIXTURE_DIR "/0000000000000001.seg"

/* Change a byte and make the page's checksum right again. */
static void rewrite(struct fixture *f, const char *path, uint64_t page, unsigned at, uint8_t value)
{
    uint64_t size;
    uint8_t *data = sim_disk_file(f->disk, path, &size);
    uint8_t *bytes = data + page;

    assert_true(page + FORMAT_PAGE <= size);
    bytes[at] = value;
    put_u32(bytes + FORMAT_PAGE - 4, crc32c(0, bytes, FORMAT_PAGE - 4));
    sim_disk_overwrite(f->disk, path, page, bytes, FORMAT_PAGE);
    free(data);
}

static void flip(struct fixture *f, const char *path, uint64_t byte)
{
    sim_disk_flip_bit(f->disk, path, byte * 8);
}

static void expect(struct fixture *f, int status, const char *text)
{
    struct said said;

    offline_verify_disk(f, OUT_TEXT, &said);
    if (said.status != status || !said_has(&said, text)) {
        fail_msg("exit %d, wanted %d with \"%s\":\n%s", said.status, status, text, said.text);
    }
    said_free(&said);
}

/* Full blocks with seals and indexes, a topic with a cursor, a clean stop. */
static struct fixture *sealed_store(void)
{
    struct fixture *f = fixture_new(7);
    unsigned i;

    fixture_open(f);
    for (i = 0; i < 60; i++) {
        assert_int_equal(fixture_append_size(f, "orders", 900), 0);
    }
    (void)fixture_append_strings(f, "few", "one", "two", NULL);
    fixture_settle(f);
    fixture_stop(f);
    return f;
}

/* A store that was stopped is clean, one that was killed has a torn tail and no damage: both exit
 * 0. */
static void a_sound_store_is_clean(void **state)
{
    struct damaged_store store;
    struct fixture *f = sealed_store();

    (void)state;
    expect(f, OFFLINE_DONE, "R18");
    fixture_free(f);
    damaged_store_make(&store);
    f = damaged_store_copy(&store);
    expect(f, OFFLINE_DONE, "torn tail, not damage");
    fixture_free(f);
    damaged_store_free(&store);
}

/* How a history ends is told by its row: in zeros, in a record that does not check out, or where its file does. */
static void a_torn_tail_says_how_it_ends(void **state)
{
    struct fixture *f = *state;
    struct journal_image *image;
    const struct image_record *last;

    f->options.settings.fsync_ms = ENGINE_FSYNC_NONE;
    fixture_open(f);
    (void)fixture_append_strings(f, "t", "a", NULL);
    (void)fixture_append_strings(f, "t", "b", NULL);
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_settle(f->disk);
    expect(f, OFFLINE_DONE, "R2: zeros at or behind the mark");
    image = journal_image_load(f->disk, FIXTURE_DIR);
    last = journal_image_last(image, 0, UINT64_MAX);
    flip(f, last->file->path, last->offset);
    expect(f, OFFLINE_DONE, "R4: a record that does not validate");
    sim_disk_resize(f->disk, last->file->path, last->offset);
    expect(f, OFFLINE_DONE, "R12: no file reaches that place");
    journal_image_free(image);
}

/* One flipped bit anywhere: where the daemon would refuse, lose or report anything, verify has
 * found damage. */
static void no_flipped_bit_is_seen_by_others_only(void **state)
{
    struct damaged_store store;
    struct random random;
    unsigned found = 0;
    unsigned i;

    (void)state;
    damaged_store_make(&store);
    random_init(&random, 20261121);
    print_message("seed 20261121\n");
    for (i = 0; i < SAMPLES; i++) {
        const unsigned file = (unsigned)random_below(&random, store.files);
        const uint64_t byte = random_below(&random, store.used[file] > 0 ? store.used[file] : 1);
        const uint64_t before = store.refused + store.lost + store.told;
        struct fixture *f = damaged_store_copy(&store);
        struct said said;

        if (store.used[file] == 0) {
            fixture_free(f);
            continue;
        }
        sim_disk_flip_bit(f->disk, store.paths[file], byte * 8 + random_below(&random, 8));
        offline_verify_disk(f, OUT_TEXT, &said);
        damaged_store_judge(&store, f, file, byte, byte + 1);
        if (said.status != OFFLINE_DAMAGED &&
            (said.status != OFFLINE_DONE || store.refused + store.lost + store.told > before)) {
            fail_msg("byte %llu of %s: exit %d:\n%s", (unsigned long long)byte, store.paths[file],
                     said.status, said.text);
        }
        found += said.status == OFFLINE_DAMAGED;
        said_free(&said);
        fixture_free(f);
    }
    assert_true(store.refused > 0 && store.told > 0);
    assert_true(found >= store.refused + store.told);
    damaged_store_free(&store);
}

/* Each part of a block has its word, and only entries that are gone are called gone. */
static void every_part_of_a_block_is_named(void **state)
{
    struct fixture *f;
    struct format_seal seal;
    struct format_block head;
    struct said said;
    uint64_t size;
    uint8_t *data;

    (void)state;
    f = sealed_store();
    flip(f, SEGMENT, 200);
    expect(f, OFFLINE_DAMAGED, "DAMAGE (header) topic \"orders\", no entry is harmed");
    fixture_free(f);

    f = sealed_store();
    data = sim_disk_file(f->disk, SEGMENT, &size);
    assert_int_equal(format_block_decode(&head, data), 0);
    assert_int_equal(format_seal_decode(&seal, &head, data + FORMAT_PAGE), 0);
    assert_true(seal.index_count > 0);
    free(data);
    flip(f, SEGMENT, FORMAT_PAGE + 400);
    expect(f, OFFLINE_DAMAGED, "DAMAGE (seal) topic \"orders\", derived: no entry is harmed");
    fixture_free(f);

    f = sealed_store();
    flip(f, SEGMENT, format_block_limit(BLOCK_SIZE) + 3);
    expect(f, OFFLINE_DAMAGED, "DAMAGE (index) topic \"orders\"");
    fixture_free(f);

    f = sealed_store();
    flip(f, SEGMENT, FORMAT_BLOCK_DATA + 100);
    expect(f, OFFLINE_DAMAGED, "DAMAGE (entries) topic \"orders\", offsets 0 to 0");
    fixture_free(f);

    /* One damage is told once: that the index points at it is not another. */
    f = sealed_store();
    flip(f, SEGMENT, FORMAT_BLOCK_DATA + 10);
    offline_verify_disk(f, OUT_TEXT, &said);
    assert_true(said_has(&said, "DAMAGE (entries) topic \"orders\", offsets 0 to 0"));
    assert_int_equal(said_count(&said, "DAMAGE ("), 1);
    said_free(&said);
    fixture_free(f);

    f = sealed_store();
    sim_disk_set_unreadable(f->disk, SEGMENT, FORMAT_BLOCK_DATA, 1);
    expect(f, OFFLINE_DAMAGED, "DAMAGE (entries) topic \"orders\", offsets 0 to ");
    fixture_free(f);

    f = sealed_store();
    offline_remove(f, SEGMENT);
    expect(f, OFFLINE_DAMAGED, "DAMAGE (segment) topic \"orders\", offsets 0 to ");
    fixture_free(f);

    f = sealed_store();
    sim_disk_resize(f->disk, SEGMENT, FORMAT_BLOCK_DATA + 5000);
    expect(f, OFFLINE_DAMAGED, "DAMAGE (entries) topic \"orders\", offsets 6 to 19");
    fixture_free(f);
}

/* One damaged manifest is damage though the store opens; two are a refusal, and the blocks are
 * looked at all the same. */
static void manifests_are_judged_as_by_recovery(void **state)
{
    struct fixture *f = sealed_store();
    char path[IO_PATH_SIZE];
    unsigned count;

    (void)state;
    count = fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path);
    assert_true(count >= 2);
    flip(f, path, 60);
    expect(f, OFFLINE_DAMAGED, "DAMAGE (manifest)");
    expect(f, OFFLINE_DAMAGED, "R16");
    while (fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path) > 0) {
        offline_remove(f, path);
    }
    expect(f, OFFLINE_DAMAGED, "no valid manifest");
    expect(f, OFFLINE_DAMAGED, "what its blocks say of themselves");
    fixture_free(f);
}

/* A block size that no engine makes would put reads where a disk takes none: refused, as by recovery. */
static void a_block_size_that_is_none_is_refused(void **state)
{
    struct fixture *f = sealed_store();
    char path[IO_PATH_SIZE];

    (void)state;
    (void)fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path);
    rewrite(f, path, 0, 20, 1);
    expect(f, OFFLINE_DAMAGED, "block sizes make no sense");
    assert_int_equal(fixture_try_open(f), 0);
    assert_false(fixture_serves(f));
    fixture_free(f);
}

/* What a newer version wrote is refused, never called damaged. */
static void a_newer_version_is_refused(void **state)
{
    struct fixture *f = sealed_store();
    char path[IO_PATH_SIZE];
    struct said said;

    (void)state;
    (void)fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path);
    rewrite(f, path, 0, 8, 2);
    offline_verify_disk(f, OUT_TEXT, &said);
    assert_int_equal(said.status, OFFLINE_REFUSED);
    assert_false(said_has(&said, "DAMAGE"));
    said_free(&said);
    fixture_free(f);
}

/* The journal that only a damaged manifest would need is looked at, too. */
static void journal_before_the_manifest_is_judged(void **state)
{
    struct damaged_store store;
    struct fixture *f;
    struct said said;
    unsigned told = 0;
    unsigned i;

    (void)state;
    damaged_store_make(&store);
    for (i = 0; i < store.files; i++) {
        uint64_t byte;

        if (strstr(store.paths[i], ".jnl") == NULL) {
            continue;
        }
        for (byte = FORMAT_PAGE; byte < store.used[i]; byte += 997) {
            f = damaged_store_copy(&store);
            flip(f, store.paths[i], byte);
            offline_verify_disk(f, OUT_TEXT, &said);
            told += said_has(&said, "would be needed if the newest manifest were damaged");
            said_free(&said);
            fixture_free(f);
        }
    }
    assert_true(told > 0);
    damaged_store_free(&store);
}

/* For programs: one array, one object a finding, with the numbers by name. */
static void json_has_the_numbers(void **state)
{
    struct fixture *f = sealed_store();
    struct said said;

    (void)state;
    flip(f, SEGMENT, FORMAT_BLOCK_DATA + 100);
    offline_verify_disk(f, OUT_JSON, &said);
    assert_int_equal(said.status, OFFLINE_DAMAGED);
    assert_memory_equal(said.text, "[\n{", 3);
    assert_string_equal(said.text + said.size - 3, "\n]\n");
    assert_true(said_has(&said,
                         "\"kind\":\"entries\",\"topic\":\"orders\",\"segment\":1,\"block\":0,"
                         "\"position\":8192,\"bytes\":976,\"from\":0,\"to\":1"));
    assert_true(said_has(&said, "\"lost_entries\":1"));
    said_free(&said);
    fixture_free(f);
}

/* No directory of namespaces: not a store. No namespace in it: nothing to look at. */
static void what_is_no_store_is_said_to_be_none(void **state)
{
    struct fixture *f = *state;
    struct said said;
    struct io *io;

    offline_verify_disk(f, OUT_TEXT, &said);
    assert_int_equal(said.status, OFFLINE_USAGE);
    assert_non_null(strstr(f->err.text, "no data directory"));
    said_free(&said);
    assert_int_equal(io_sim_open(&io, f->disk), 0);
    assert_int_equal(io_make_dir(io, "ns", &f->err), 0);
    io_close(io);
    offline_verify_disk(f, OUT_TEXT, &said);
    assert_int_equal(said.status, OFFLINE_NOTFOUND);
    said_free(&said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_store_is_clean),
        cmocka_unit_test(no_flipped_bit_is_seen_by_others_only),
        cmocka_unit_test(every_part_of_a_block_is_named),
        cmocka_unit_test(manifests_are_judged_as_by_recovery),
        cmocka_unit_test(a_block_size_that_is_none_is_refused),
        cmocka_unit_test(a_newer_version_is_refused),
        cmocka_unit_test(journal_before_the_manifest_is_judged),
        cmocka_unit_test(json_has_the_numbers),
        FIXTURE_TEST(what_is_no_store_is_said_to_be_none),
        FIXTURE_TEST(a_torn_tail_says_how_it_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
