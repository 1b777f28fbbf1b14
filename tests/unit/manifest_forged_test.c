/* Checksums are no proof of sense: a daemon with a bug, or a hand with a hex editor, writes bytes
 * that check out and contradict each other. Recovery finds each contradiction of a manifest with
 * itself before it relies on it, says so, and changes nothing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/namespace.h"
#include "proto/bytes.h"
#include "proto/crc32c.h"
#include "tests/support/engine_expect.h"
#include "tests/support/engine_fixture.h"

/* A manifest's parts: one topic "t" with two cursors and a block. */
struct parts {
    struct format_manifest head;
    struct format_incarnation incarnations[NAMESPACE_INCARNATIONS_MAX + 1];
    struct format_topic topics[2];
    struct format_cursor cursors[2];
    struct format_topic_block blocks[2];
    unsigned topic_count; /* As written; each has all cursors and blocks */
    unsigned extra;       /* Bytes behind the last topic; or missing ones */
    size_t cut;
};

static void take_apart(const uint8_t *bytes, struct parts *parts)
{
    const uint8_t *at = bytes + FORMAT_PAGE;
    const uint8_t *end;
    unsigned i;

    memset(parts, 0, sizeof *parts);
    assert_int_equal(format_manifest_decode(&parts->head, bytes), 0);
    assert_int_equal(parts->head.topic_count, 1);
    assert_in_range(parts->head.incarnation_count, 1, 8);
    end = at + parts->head.body_size;
    for (i = 0; i < parts->head.incarnation_count; i++) {
        assert_int_equal(format_incarnation_decode(&parts->incarnations[i], &at, end), 0);
    }
    assert_int_equal(format_topic_decode(&parts->topics[0], &at, end), 0);
    assert_int_equal(parts->topics[0].cursor_count, 2);
    assert_int_equal(parts->topics[0].block_count, 1);
    for (i = 0; i < 2; i++) {
        assert_int_equal(format_cursor_decode(&parts->cursors[i], &at, end), 0);
    }
    assert_int_equal(format_topic_block_decode(&parts->blocks[0], &at, end), 0);
    assert_true(at == end);
    parts->topics[1] = parts->topics[0];
    parts->topics[1].id++;
    parts->topics[1].name = "u";
    parts->blocks[1] = parts->blocks[0];
    parts->blocks[1].index++;
    parts->topic_count = 1;
}

static size_t put_together(struct parts *parts, uint8_t *bytes)
{
    uint8_t *at = bytes + FORMAT_PAGE;
    unsigned i;
    unsigned k;

    for (i = 0; i < parts->head.incarnation_count; i++) {
        at += format_incarnation_encode(at, &parts->incarnations[i]);
    }
    for (i = 0; i < parts->topic_count; i++) {
        at += format_topic_encode(at, &parts->topics[i]);
        for (k = 0; k < parts->topics[i].cursor_count; k++) {
            at += format_cursor_encode(at, &parts->cursors[k]);
        }
        for (k = 0; k < parts->topics[i].block_count; k++) {
            struct format_topic_block block = parts->blocks[k];

            block.first_offset = block.end_offset; /* What follows is not written by the engine */
            (void)format_topic_block_encode(at, &block);
            put_u64(at + 16, parts->blocks[k].first_offset);
            at += FORMAT_TOPIC_BLOCK_SIZE;
        }
    }
    memset(at, 0, 64);
    at += parts->extra;
    at = parts->cut > (size_t)(at - bytes) - FORMAT_PAGE ? bytes + FORMAT_PAGE : at - parts->cut;
    parts->head.topic_count = parts->topic_count;
    parts->head.body_size = (uint64_t)(at - bytes) - FORMAT_PAGE;
    parts->head.body_crc = crc32c(0, bytes + FORMAT_PAGE, parts->head.body_size);
    {
        struct format_manifest head = parts->head;

        /* Numbers that the engine does not write are put in behind it. */
        head.lsn = 0;
        head.number = 0;
        format_manifest_encode(bytes, &head);
        put_u64(bytes + 40, parts->head.number);
        put_u64(bytes + 48, parts->head.lsn);
        put_u32(bytes + FORMAT_PAGE - 4, crc32c(0, bytes, FORMAT_PAGE - 4));
    }
    return (size_t)(at - bytes);
}

typedef void change_fn(struct parts *parts);

static void no_change(struct parts *parts)
{
    (void)parts;
}

static void two_blocks(struct parts *parts)
{
    parts->topics[0].block_count = 2;
    parts->blocks[1].first_offset = parts->blocks[0].end_offset;
    parts->blocks[1].end_offset = parts->blocks[0].end_offset;
    parts->blocks[1].entries = 0;
    parts->blocks[1].end = FORMAT_BLOCK_DATA;
}

static void blocks_overlap(struct parts *parts)
{
    two_blocks(parts);
    parts->blocks[1].first_offset--;
}

static void a_block_ends_behind_its_topic(struct parts *parts)
{
    parts->blocks[0].end_offset = parts->topics[0].next_offset + 1;
}

static void a_block_ends_between_batches(struct parts *parts)
{
    parts->blocks[0].end += 8;
}

static void offsets_behind_the_runs(struct parts *parts)
{
    parts->topics[0].next_offset = parts->topics[0].run_end + 1;
}

static void first_behind_the_end(struct parts *parts)
{
    parts->topics[0].first = parts->topics[0].next_offset + 1;
}

static void topic_zero(struct parts *parts)
{
    parts->topics[0].id = 0;
}

static void two_topics(struct parts *parts)
{
    parts->topic_count = 2;
    parts->topics[1].block_count = 0;
    parts->head.next_topic_id = parts->topics[1].id + 1;
}

static void a_name_twice(struct parts *parts)
{
    two_topics(parts);
    parts->topics[1].name = parts->topics[0].name;
    parts->topics[1].name_size = parts->topics[0].name_size;
}

static void a_cursor_name_twice(struct parts *parts)
{
    parts->cursors[1].name = parts->cursors[0].name;
    parts->cursors[1].name_size = parts->cursors[0].name_size;
}

static void a_topic_of_an_id_to_come(struct parts *parts)
{
    two_topics(parts);
    parts->head.next_topic_id = parts->topics[1].id;
}

static void a_block_of_a_segment_to_come(struct parts *parts)
{
    parts->blocks[0].segment = parts->head.next_segment;
}

static void a_cursor_of_an_id_to_come(struct parts *parts)
{
    parts->topics[0].next_cursor_id = parts->cursors[1].id;
}

static void a_cursor_of_no_possible_id(struct parts *parts)
{
    parts->cursors[1].id = UINT64_MAX;
    parts->topics[0].next_cursor_id = 0;
}

static void a_cursor_twice(struct parts *parts)
{
    parts->cursors[1].id = parts->cursors[0].id;
}

static void cursors_descend(struct parts *parts)
{
    parts->cursors[0].id = parts->cursors[1].id + 1;
}

static void a_block_beyond_its_segment(struct parts *parts)
{
    parts->blocks[0].index = parts->head.blocks_per_segment;
}

static void a_block_longer_than_a_block(struct parts *parts)
{
    parts->blocks[0].end = format_block_limit(parts->head.block_size) + BATCH_ALIGN;
}

static void a_block_shorter_than_its_header(struct parts *parts)
{
    parts->blocks[0].end = FORMAT_BLOCK_DATA - BATCH_ALIGN;
}

static void a_block_twice(struct parts *parts)
{
    two_blocks(parts);
    parts->blocks[1] = parts->blocks[0];
}

static void a_block_of_two_topics(struct parts *parts)
{
    two_topics(parts);
    parts->topics[1].block_count = 1;
}

static void a_topic_twice(struct parts *parts)
{
    two_topics(parts);
    parts->topics[1].id = parts->topics[0].id;
}

static void a_topic_without_a_name(struct parts *parts)
{
    two_topics(parts);
    parts->topics[1].name_size = 0;
}

static void bytes_behind_the_end(struct parts *parts)
{
    parts->extra = 1;
}

static size_t cut_off; /* So many bytes */

static void a_body_cut_short(struct parts *parts)
{
    parts->cut = cut_off;
}

static void a_block_ends_before_it_begins(struct parts *parts)
{
    parts->blocks[0].first_offset = parts->blocks[0].end_offset + 1;
}

static void another_number(struct parts *parts)
{
    parts->head.number++;
}

static void a_place_that_cannot_be(struct parts *parts)
{
    parts->head.lsn = FORMAT_COUNTER_MAX;
}

static void a_number_that_cannot_be(struct parts *parts)
{
    parts->head.number = FORMAT_COUNTER_MAX;
}

static void small_blocks(struct parts *parts)
{
    parts->head.block_size = FORMAT_BLOCK_SIZE_MIN - FORMAT_PAGE;
}

static void large_blocks(struct parts *parts)
{
    parts->head.block_size = FORMAT_BLOCK_SIZE_MAX + FORMAT_PAGE;
}

static void blocks_of_part_of_a_page(struct parts *parts)
{
    parts->head.block_size = FORMAT_BLOCK_SIZE_MIN + 1;
}

static void smallest_blocks(struct parts *parts)
{
    parts->head.block_size = FORMAT_BLOCK_SIZE_MIN;
}

static void largest_blocks(struct parts *parts)
{
    parts->head.block_size = FORMAT_BLOCK_SIZE_MAX;
}

static void one_block_in_a_segment(struct parts *parts)
{
    parts->head.blocks_per_segment = 1;
}

static void most_blocks_in_a_segment(struct parts *parts)
{
    parts->head.blocks_per_segment = UINT16_MAX;
}

/* One that keeps more of them, of another build: the oldest are enough here. */
static void more_incarnations_than_are_kept(struct parts *parts)
{
    uint64_t i;

    for (i = parts->head.incarnation_count; i < NAMESPACE_INCARNATIONS_MAX + 1; i++) {
        parts->incarnations[i] = parts->incarnations[i - 1];
        parts->incarnations[i].ordinal++;
    }
    parts->head.incarnation_count = i;
}

static void incarnations_that_are_not_there(struct parts *parts)
{
    more_incarnations_than_are_kept(parts);
    parts->cut = SIZE_MAX;
}

static void no_blocks_in_a_segment(struct parts *parts)
{
    parts->head.blocks_per_segment = 0;
}

static void too_many_blocks_in_a_segment(struct parts *parts)
{
    parts->head.blocks_per_segment = UINT16_MAX + 1u;
}

static void forge_manifest(struct fixture *f, change_fn *change)
{
    struct parts parts;
    char path[IO_PATH_SIZE];
    uint8_t *forged = calloc(1, 64u << 10);
    uint8_t *bytes;
    uint64_t file_size;
    size_t size;

    assert_non_null(forged);
    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    assert_int_equal(fixture_checkpoint(f, "t", "first", 1), 0);
    assert_int_equal(fixture_checkpoint(f, "t", "second", 1), 0);
    fixture_stop(f);
    sim_disk_settle(f->disk);
    (void)fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path);
    bytes = sim_disk_file(f->disk, path, &file_size);
    take_apart(bytes, &parts);
    change(&parts);
    size = put_together(&parts, forged);
    sim_disk_overwrite(f->disk, path, 0, forged, size);
    free(bytes);
    free(forged);
}

static void a_manifest_that_contradicts_itself_is_refused(void **state)
{
    static change_fn *const changes[] = {
        a_cursor_twice,
        cursors_descend,
        a_block_beyond_its_segment,
        a_block_longer_than_a_block,
        a_block_shorter_than_its_header,
        blocks_overlap,
        a_block_ends_behind_its_topic,
        a_block_ends_between_batches,
        offsets_behind_the_runs,
        first_behind_the_end,
        topic_zero,
        a_name_twice,
        a_cursor_name_twice,
        a_block_twice,
        a_block_of_two_topics,
        a_topic_twice,
        a_topic_of_an_id_to_come,
        a_block_of_a_segment_to_come,
        a_cursor_of_an_id_to_come,
        a_cursor_of_no_possible_id,
        a_topic_without_a_name,
        bytes_behind_the_end,
        a_block_ends_before_it_begins,
        incarnations_that_are_not_there,
    };
    static change_fn *const sizes[] = {
        small_blocks,
        large_blocks,
        blocks_of_part_of_a_page,
        no_blocks_in_a_segment,
        too_many_blocks_in_a_segment,
    };
    unsigned i;

    (void)state;
    for (i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct fixture *f = fixture_new(1);

        forge_manifest(f, changes[i]);
        fixture_expect_refusal(f, "the manifest contradicts itself");
        fixture_free(f);
    }
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct fixture *f = fixture_new(1);

        forge_manifest(f, sizes[i]);
        fixture_expect_refusal(f, "block sizes make no sense");
        fixture_free(f);
    }
}

/* A body that ends early, wherever: in an incarnation, in a topic, in a name, between two cursors. */
static void a_manifest_cut_anywhere_is_refused(void **state)
{
    (void)state;
    for (cut_off = 1; cut_off < 400; cut_off++) {
        struct fixture *f = fixture_new(1);

        forge_manifest(f, a_body_cut_short);
        fixture_expect_refusal(f, "the manifest contradicts itself");
        fixture_free(f);
    }
}

/* A manifest under another one's name is not that one; one that stands where nothing can stand is none. The older one serves. */
static void a_manifest_that_is_another_is_damaged(void **state)
{
    static change_fn *const changes[] = {another_number, a_place_that_cannot_be,
                                         a_number_that_cannot_be};
    unsigned i;

    (void)state;
    for (i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct fixture *f = fixture_new(1);

        forge_manifest(f, changes[i]);
        fixture_open(f);
        assert_int_equal(f->ns->recovery_rows[ROW_R16], 1);
        fixture_expect(f, "t", "a", NULL);
        fixture_free(f);
    }
}

/* The same hand, when it writes sense, up to the very limits: it is not the forging that is
 * refused. */
static void a_manifest_that_makes_sense_is_taken(void **state)
{
    static change_fn *const changes[] = {no_change,
                                         two_blocks,
                                         two_topics,
                                         smallest_blocks,
                                         largest_blocks,
                                         one_block_in_a_segment,
                                         most_blocks_in_a_segment,
                                         more_incarnations_than_are_kept};
    unsigned i;

    (void)state;
    for (i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct fixture *f = fixture_new(1);

        forge_manifest(f, changes[i]);
        fixture_open(f);
        assert_int_equal(fixture_cursor(f, "t", "first"), 1);
        assert_int_equal(fixture_cursor(f, "t", "second"), 1);
        if (i != 1) {
            fixture_expect(f, "t", "a", NULL);
        }
        fixture_free(f);
    }
}

static void a_block_with_bytes_and_no_offsets(struct parts *parts)
{
    two_blocks(parts);
    parts->topics[0].next_offset = parts->topics[0].run_end;
    parts->blocks[0].first_offset = parts->blocks[0].end_offset;
    parts->blocks[1].first_offset = parts->blocks[0].end_offset;
    parts->blocks[1].end_offset = parts->topics[0].next_offset;
}

/* A block that has bytes, and says that it has no offset: whoever comes to it is told of damage, of one entry at least, and goes on
 * behind it. */
static void a_block_without_offsets_is_damage(void **state)
{
    struct fixture *f = *state;
    struct fixture_read read = {.request = {.position = ENGINE_AT_OFFSET}};

    forge_manifest(f, a_block_with_bytes_and_no_offsets);
    fixture_open(f);
    fixture_read_begin(f, &read, "t");
    assert_int_equal(fixture_read_end(f, &read), TUSK_ECORRUPT);
    assert_true(read.request.base.detail_a < read.request.base.detail_b);
    fixture_read_free(&read);
}

static void a_block_that_ends_in_its_batch(struct parts *parts)
{
    parts->blocks[0].end -= BATCH_ALIGN;
}

/* A block that ends within its last batch, by whatever it says: nothing behind its end is read, and the batch is damage. */
static void a_batch_beyond_its_block_is_damage(void **state)
{
    struct fixture *f = *state;

    forge_manifest(f, a_block_that_ends_in_its_batch);
    fixture_open(f);
    assert_int_equal(fixture_try_read(f, "t", ENGINE_AT_OFFSET, 0), TUSK_ECORRUPT);
}

/* Its file ends with the first byte of a page. */
static void a_body_of_a_page_and_a_byte(struct parts *parts)
{
    static char name[FORMAT_NAME_SIZE_MAX];
    uint8_t *scratch = calloc(1, 64u << 10);
    size_t left;

    assert_non_null(scratch);
    memset(name, 'n', sizeof name);
    parts->topics[0].name = name;
    while ((left = 2 * FORMAT_PAGE + 1 - put_together(parts, scratch)) > 200) {
        const uint64_t count = parts->head.incarnation_count++;

        parts->incarnations[count] = parts->incarnations[count - 1];
        parts->incarnations[count].ordinal++;
    }
    parts->topics[0].name_size = (uint16_t)(parts->topics[0].name_size + left);
    free(scratch);
}

/* A manifest is read to its last byte, wherever in a page that stands. */
static void a_manifest_may_end_anywhere_in_a_page(void **state)
{
    struct fixture *f = *state;
    char path[IO_PATH_SIZE];

    forge_manifest(f, a_body_of_a_page_and_a_byte);
    (void)fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path);
    sim_disk_resize(f->disk, path, 2 * FORMAT_PAGE + 1);
    fixture_open(f);
    assert_int_equal(f->ns->recovery_rows[ROW_R16], 0);
    assert_int_equal(f->ns->topic_count, 1);
}

/* A whole manifest of a version, or with a flag, that this build does not know is neither damaged
 * nor skipped for the older one: a newer daemon has gone on from it. */
static void a_manifest_of_a_newer_version_is_refused(void **state)
{
    static const unsigned places[] = {8, 16}; /* Of the version; of the incompatible flags */
    unsigned i;

    (void)state;
    for (i = 0; i < 2; i++) {
        struct fixture *f = fixture_new(1);
        char path[IO_PATH_SIZE];
        uint8_t *bytes;
        uint64_t size;

        forge_manifest(f, no_change);
        (void)fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path);
        bytes = sim_disk_file(f->disk, path, &size);
        bytes[places[i]] ^= 0x40;
        put_u32(bytes + FORMAT_PAGE - 4, crc32c(0, bytes, FORMAT_PAGE - 4));
        sim_disk_overwrite(f->disk, path, 0, bytes, FORMAT_PAGE);
        free(bytes);
        fixture_expect_refusal(f, "newer format version");
        fixture_free(f);
    }
}

/* The older of two manifests may be the one of a newer version, too: what stands in it is not
 * known, so nothing is served, and nothing taken for recovered. */
static void an_older_manifest_of_a_newer_version_is_refused(void **state)
{
    static const char older[] = FIXTURE_DIR "/manifest-0000000000000000";
    struct fixture *f = *state;
    uint8_t *bytes;
    uint64_t size;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_stop(f); /* Writes manifest 1 */
    bytes = sim_disk_file(f->disk, older, &size);
    assert_non_null(bytes);
    bytes[8] ^= 0x40;
    put_u32(bytes + FORMAT_PAGE - 4, crc32c(0, bytes, FORMAT_PAGE - 4));
    sim_disk_overwrite(f->disk, older, 0, bytes, FORMAT_PAGE);
    free(bytes);
    fixture_expect_refusal(f, "newer format version");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_manifest_that_contradicts_itself_is_refused),
        cmocka_unit_test(a_manifest_cut_anywhere_is_refused),
        cmocka_unit_test(a_manifest_that_is_another_is_damaged),
        cmocka_unit_test(a_manifest_that_makes_sense_is_taken),
        cmocka_unit_test(a_manifest_of_a_newer_version_is_refused),
        FIXTURE_TEST(an_older_manifest_of_a_newer_version_is_refused),
        FIXTURE_TEST(a_block_without_offsets_is_damage),
        FIXTURE_TEST(a_batch_beyond_its_block_is_damage),
        FIXTURE_TEST(a_manifest_may_end_anywhere_in_a_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
