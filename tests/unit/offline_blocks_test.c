/* Without a manifest, or behind a lost piece of journal, blocks say themselves whose they are: what
 * they say is taken where it can be true, and nowhere else. */
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/namespace.h"
#include "proto/bytes.h"
#include "proto/crc32c.h"
#include "tests/support/offline_fixture.h"

#define BLOCK_SIZE (32u << 10)
#define SEGMENT FIXTURE_DIR "/0000000000000001.seg"

static void without_tables(struct fixture *f)
{
    assert_true(offline_remove_all(f, FIXTURE_DIR "/manifest-", "") >= 2);
    assert_true(offline_remove_all(f, FIXTURE_DIR "/journal/", ".jnl") > 0);
}

static void salvage(struct fixture *f, struct fixture *to, int status, const char *text)
{
    struct said said;

    offline_salvage_disk(f, to, &said);
    if (said.status != status || !said_has(&said, text)) {
        fail_msg("exit %d, wanted %d with \"%s\":\n%s", said.status, status, text, said.text);
    }
    said_free(&said);
}

/* Change bytes of a page and make its checksum right again. */
static void forge(struct fixture *f, const char *path, uint64_t page, unsigned at,
                  const void *bytes, size_t size)
{
    uint64_t file_size;
    uint8_t *data = sim_disk_file(f->disk, path, &file_size);
    uint8_t *own = data + page;

    assert_true(page + FORMAT_PAGE <= file_size);
    memcpy(own + at, bytes, size);
    put_u32(own + FORMAT_PAGE - 4, crc32c(0, own, FORMAT_PAGE - 4));
    sim_disk_overwrite(f->disk, path, page, own, FORMAT_PAGE);
    free(data);
}

static void forge_u64(struct fixture *f, uint64_t page, unsigned at, uint64_t value)
{
    uint8_t bytes[8];

    put_u64(bytes, value);
    forge(f, SEGMENT, page, at, bytes, sizeof bytes);
}

/* Topic "t" in three blocks, the last of them not full; a clean stop. What it holds. */
static void three_blocks(struct fixture *f, struct held *then)
{
    unsigned i;

    fixture_open(f);
    for (i = 0; i < 50; i++) {
        assert_int_equal(fixture_append_size(f, "t", 900 + i), 0);
    }
    assert_int_equal(fixture_info(f, "t").blocks, 3);
    held_read(f, "t", then);
    fixture_stop(f);
}

/* How many entries of topic "t" are not in the new store. */
static unsigned lost(struct fixture *to, const struct held *then)
{
    struct held now;
    unsigned count;

    fixture_open(to);
    held_read(to, "t", &now);
    count = held_missing(then, &now);
    held_free(&now);
    return count;
}

/* Two topics had one name, one after the other, and a third has the name that the second would get
 * for that. All three come back, each under a name of its own. */
static void a_name_that_is_taken_twice_becomes_another(void **state)
{
    struct fixture *f = *state;
    struct fixture *to = fixture_new(50);

    fixture_open(f);
    (void)fixture_append_strings(f, "a~3", "first", NULL);
    (void)fixture_append_strings(f, "a", "second", NULL);
    fixture_settle(f);
    assert_int_equal(fixture_info(f, "a").id, 2);
    fixture_stop(f); /* So that all of it is in the blocks */
    fixture_open(f);
    assert_int_equal(fixture_delete(f, "a"), 0);
    (void)fixture_append_strings(f, "a", "third", NULL);
    assert_int_equal(fixture_info(f, "a").id, 3);
    fixture_stop(f);
    without_tables(f);
    salvage(f, to, OFFLINE_DAMAGED, "topics whose name was in use are called NAME~ID");
    fixture_open(to);
    fixture_expect(to, "a~3", "first", NULL);
    fixture_expect(to, "a", "second", NULL);
    fixture_expect(to, "a~3~1", "third", NULL);
    fixture_free(to);
}

/* A name of the greatest size is cut to make room for the id, and between characters: a name that is no
 * UTF-8 could not be asked for by any client. */
static void a_long_name_is_cut_between_characters(void **state)
{
    struct fixture *f = *state;
    struct fixture *to = fixture_new(51);
    char name[FORMAT_NAME_SIZE_MAX + 1] = "";
    char other[FORMAT_NAME_SIZE_MAX + 1] = "";
    unsigned i;

    for (i = 0; i + 3 <= FORMAT_NAME_SIZE_MAX; i += 3) {
        memcpy(name + i, "\xe2\x82\xac", 4);
    }
    fixture_open(f);
    (void)fixture_append_strings(f, name, "old", NULL);
    fixture_stop(f);
    fixture_open(f);
    assert_int_equal(fixture_delete(f, name), 0);
    (void)fixture_append_strings(f, name, "new", NULL);
    fixture_stop(f);
    without_tables(f);
    salvage(f, to, OFFLINE_DAMAGED, "NAME~ID");
    fixture_open(to);
    fixture_expect(to, name, "old", NULL);
    memcpy(other, name, 252);
    memcpy(other + 252, "~2", 3);
    fixture_expect(to, other, "new", NULL);
    fixture_free(to);
}

/* The first blocks of the only segment say nothing any more: what size blocks have, and whose store it
 * is, a later one says. */
static void any_block_tells_the_size(void **state)
{
    struct fixture *f = *state;
    struct fixture *to = fixture_new(52);
    struct held then;

    three_blocks(f, &then);
    without_tables(f);
    sim_disk_zero(f->disk, SEGMENT, 0, FORMAT_BLOCK_DATA);
    salvage(f, to, OFFLINE_DAMAGED, "topic \"t\"");
    assert_in_range(lost(to, &then), 1, 22);
    held_free(&then);
    fixture_free(to);
}

/* Page 0 is gone, its copy in the seal says the same. */
static void a_seal_tells_whose_block_it_is(void **state)
{
    struct fixture *f = *state;
    struct fixture *to = fixture_new(53);
    struct held then;

    three_blocks(f, &then);
    without_tables(f);
    sim_disk_zero(f->disk, SEGMENT, 0, FORMAT_PAGE);
    salvage(f, to, OFFLINE_DAMAGED, "topic \"t\": 50 entries");
    assert_int_equal(lost(to, &then), 0);
    held_free(&then);
    fixture_free(to);
}

/* Nothing was ever appended, or every block is gone: the journal names the store, and has topics and
 * cursors. */
static void a_journal_alone_tells_of_topics(void **state)
{
    struct fixture *f = *state;
    unsigned round;

    f->options.manifest_journal_bytes = 1u << 20;
    fixture_open(f);
    (void)fixture_append_strings(f, "t", "one", "two", NULL);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 2), 0);
    fixture_close(f);
    sim_disk_settle(f->disk);
    assert_true(offline_remove_all(f, FIXTURE_DIR "/manifest-", "") > 0);
    for (round = 0; round < 2; round++) {
        struct fixture *to = fixture_new(54 + round);

        if (round == 0) {
            sim_disk_zero(f->disk, SEGMENT, 0, 4 * BLOCK_SIZE);
        } else {
            offline_remove(f, SEGMENT);
        }
        salvage(f, to, OFFLINE_DAMAGED, "topic \"t\"");
        fixture_open(to);
        assert_int_equal(fixture_cursor(to, "t", "c"), 2);
        assert_true(fixture_append_strings(to, "t", "three", NULL) >= 2);
        fixture_free(to);
    }
}

/* With nothing left, there is nothing to salvage, and that is said: no store is made up. */
static void nothing_left_is_said(void **state)
{
    struct fixture *f = *state;
    struct fixture *to = fixture_new(56);
    struct held then;

    three_blocks(f, &then);
    without_tables(f);
    sim_disk_zero(f->disk, SEGMENT, 0, 4 * BLOCK_SIZE);
    salvage(f, to, OFFLINE_DAMAGED, "nothing is left of this namespace");
    held_free(&then);
    fixture_free(to);
}

/* A block of a newer version is not damaged: this build does not know what it says. */
static void a_block_of_a_newer_version_is_refused(void **state)
{
    static const uint8_t newer[2] = {9, 0};
    struct fixture *f = *state;
    struct fixture *to = fixture_new(57);
    struct held then;
    struct said said;

    three_blocks(f, &then);
    without_tables(f);
    forge(f, SEGMENT, BLOCK_SIZE, 8, newer, sizeof newer);
    offline_salvage_disk(f, to, &said);
    assert_int_equal(said.status, OFFLINE_REFUSED);
    said_free(&said);
    held_free(&then);
    fixture_free(to);
}

/* Bytes [at, at + 8) of page 0 in the second block of three, and what they say then. */
static const struct lie {
    unsigned at;
    uint64_t value;
} lies[] = {
    {20, 2 * BLOCK_SIZE},     /* Blocks of another size */
    {20, 100},                /* Of a size that is none */
    {20, 1u << 31},           /* The same */
    {20, BLOCK_SIZE + 100},   /* The same */
    {24, 1},                  /* Of another store */
    {40, 2},                  /* In another segment */
    {48, 3},                  /* Another block */
    {64, 0},                  /* Of no topic */
    {64, FORMAT_COUNTER_MAX}, /* Of one that cannot be */
};

/* A block copied from elsewhere, or forged, says that it is another: it is left out, and what the others
 * hold is there. */
static void a_block_that_says_it_is_another_is_left_out(void **state)
{
    unsigned i;

    (void)state;
    for (i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct fixture *f = fixture_new(58);
        struct fixture *to = fixture_new(59);
        struct held then;

        three_blocks(f, &then);
        without_tables(f);
        if (lies[i].at == 20) {
            uint8_t bytes[4];

            put_u32(bytes, (uint32_t)lies[i].value);
            forge(f, SEGMENT, BLOCK_SIZE, 20, bytes, sizeof bytes);
            /* As the first that is looked at, it must not give the size either. */
            forge(f, SEGMENT, 0, 20, bytes, sizeof bytes);
            forge(f, SEGMENT, FORMAT_PAGE, 20, bytes, sizeof bytes);
        } else {
            forge_u64(f, BLOCK_SIZE, lies[i].at, lies[i].value);
        }
        if (i > 0) {
            salvage(f, to, OFFLINE_DAMAGED, "topic \"t\"");
            assert_in_range(lost(to, &then), 20, 44);
        } else {
            salvage(f, to, OFFLINE_DAMAGED, "");
        }
        held_free(&then);
        fixture_free(to);
        fixture_free(f);
    }
}

/* A seal that ends before its block begins, under a checksum that is right, is not believed: the block is
 * walked. */
static void a_seal_that_cannot_be_is_not_believed(void **state)
{
    struct fixture *f = *state;
    struct fixture *to = fixture_new(60);
    struct held then;

    three_blocks(f, &then);
    without_tables(f);
    forge_u64(f, BLOCK_SIZE + FORMAT_PAGE, 384 + 16, 0);
    salvage(f, to, OFFLINE_DAMAGED, "topic \"t\": 50 entries");
    assert_int_equal(lost(to, &then), 0);
    held_free(&then);
    fixture_free(to);
}

/* Blocks that say the same first offset, as one that was given up and the one that followed it: neither
 * hides what the other holds. */
static void blocks_of_one_offset_do_not_hide_each_other(void **state)
{
    struct fixture *f = *state;
    struct fixture *to = fixture_new(61);
    struct held then;

    three_blocks(f, &then);
    without_tables(f);
    forge_u64(f, BLOCK_SIZE, 72, 0);
    forge_u64(f, 2 * BLOCK_SIZE, 72, 0);
    sim_disk_zero(f->disk, SEGMENT, BLOCK_SIZE + FORMAT_PAGE, FORMAT_PAGE);
    salvage(f, to, OFFLINE_DAMAGED, "topic \"t\"");
    /* In which order they were filled nobody can tell: what would go back is told. */
    assert_true(lost(to, &then) < 50);
    held_free(&then);
    fixture_free(to);
}

/* A block that does not say its topic's name has the topic's id: it comes back under that. */
static void a_topic_without_a_name_is_called_by_its_id(void **state)
{
    static const uint8_t none[2];
    struct fixture *f = *state;
    struct fixture *to = fixture_new(67);

    fixture_open(f);
    fixture_append_strings(f, "t", "one", NULL);
    fixture_stop(f);
    without_tables(f);
    forge(f, SEGMENT, 0, 96, none, sizeof none);
    salvage(f, to, OFFLINE_DAMAGED, "topic \"~1\"");
    fixture_open(to);
    fixture_expect(to, "~1", "one", NULL);
    fixture_free(to);
}

/* Blocks of a topic stand in any order: the topic begins where the first of them does, wherever that is. */
static void a_topic_begins_with_its_first_block(void **state)
{
    struct fixture *f = *state;
    struct fixture *to = fixture_new(68);
    struct held then;

    three_blocks(f, &then);
    without_tables(f);
    forge_u64(f, 0, 72, 1000); /* So that the lowest is behind it */
    sim_disk_zero(f->disk, SEGMENT, FORMAT_PAGE, FORMAT_PAGE);
    salvage(f, to, OFFLINE_DAMAGED, "topic \"t\"");
    assert_in_range(lost(to, &then), 1, 30);
    held_free(&then);
    fixture_free(to);
}

/* The journal is gone, and with it the record that made a topic: the block that was written since says
 * whose it is. One of a topic that was deleted before the manifest stays deleted. */
static void a_topic_younger_than_the_manifest_comes_back(void **state)
{
    struct fixture *f = *state;
    struct fixture *to = fixture_new(62);
    struct engine_command none = {.kind = ENGINE_TOPIC_DELETE,
                                  .topic = {.name = "gone", .name_size = 4}};
    unsigned i;

    f->options.manifest_journal_bytes = 1u << 20;
    fixture_open(f);
    (void)fixture_append_strings(f, "gone", "never again", NULL);
    (void)fixture_append_strings(f, "old", "one", NULL);
    fixture_stop(f);
    fixture_open(f);
    assert_int_equal(fixture_delete(f, "gone"), 0);
    fixture_stop(f); /* A manifest */
    fixture_open(f);
    for (i = 0; i < 30; i++) { /* More than a block, so that one is sealed */
        assert_int_equal(fixture_append_size(f, "t", 900), 0);
    }
    fixture_settle(f);
    fixture_close(f);
    sim_disk_settle(f->disk);
    assert_true(offline_remove_all(f, FIXTURE_DIR "/journal/", ".jnl") > 0);
    salvage(f, to, OFFLINE_DAMAGED, "blocks that no table knows");
    fixture_open(to);
    fixture_expect(to, "old", "one", NULL);
    assert_true(fixture_info(to, "t").entries >= 20);
    assert_int_equal(fixture_command(to, &none), TUSK_ENOTFOUND);
    fixture_free(to);
}

/* A block that is filled to its last bytes: what is left at its end is less than a batch, and no damage.
 */
static void a_full_block_has_no_damage_at_its_end(void **state)
{
    struct fixture *f = *state;
    struct fixture *to = fixture_new(63);
    struct said said;

    fixture_open(f);
    assert_int_equal(fixture_append_size(f, "t", FIXTURE_BATCH_MAX - 4 - 32), 0);
    (void)fixture_append_strings(f, "t", "next", NULL);
    assert_int_equal(fixture_info(f, "t").blocks, 2);
    fixture_stop(f);
    without_tables(f);
    offline_salvage_disk(f, to, &said);
    assert_int_equal(said.counts.entries, 2);
    assert_int_equal(said.counts.lost, 0);
    said_free(&said);
    fixture_free(to);
}

/* ---- batches that no engine writes ---- */

/* Change 8 bytes of the first batch's header in the second block, and make its checksum right again. */
static void forge_batch(struct fixture *f, unsigned at, uint64_t value)
{
    uint64_t size;
    uint8_t *data = sim_disk_file(f->disk, SEGMENT, &size);
    uint8_t *batch = data + BLOCK_SIZE + FORMAT_BLOCK_DATA;
    struct batch_header header;
    struct format_block head;

    assert_int_equal(format_block_decode(&head, data + BLOCK_SIZE), 0);
    put_u64(batch + at, value);
    batch_header_decode(&header, batch);
    header.header_crc =
        batch_header_crc(batch, batch_seed(head.store_id, head.generation), FORMAT_BLOCK_DATA);
    batch_header_encode(batch, &header);
    sim_disk_overwrite(f->disk, SEGMENT, BLOCK_SIZE + FORMAT_BLOCK_DATA, batch, BATCH_HEADER_SIZE);
    free(data);
}

/* Offsets behind the last there can be, under checksums that are right: damage, of which nothing is
 * carried; arithmetic with them would give old offsets again. */
static void offsets_beyond_the_last_are_damage(void **state)
{
    struct fixture *f = *state;
    struct fixture *to = fixture_new(64);
    struct held then;
    struct said said;

    three_blocks(f, &then);
    forge_batch(f, 8, UINT64_MAX);
    offline_verify_disk(f, OUT_TEXT, &said);
    assert_int_equal(said.status, OFFLINE_DAMAGED);
    assert_true(said_has(&said, "DAMAGE (entries) topic \"t\""));
    said_free(&said);
    offline_salvage_disk(f, to, &said); /* The journal still has the true one */
    assert_int_equal(said.counts.healed, 1);
    said_free(&said);
    assert_int_equal(lost(to, &then), 0);
    fixture_free(to);
    to = fixture_new(66);
    assert_true(offline_remove_all(f, FIXTURE_DIR "/journal/", ".jnl") > 0);
    salvage(f, to, OFFLINE_DAMAGED, "LOST topic \"t\", offsets");
    assert_int_equal(lost(to, &then), 1);
    held_free(&then);
    fixture_free(to);
}

/* A batch written over with one of another history, which checks out by itself: the chain tells. */
static void a_broken_chain_is_told(void **state)
{
    struct fixture *f = *state;
    uint64_t size;
    struct held then;
    struct said said;
    uint8_t *data;
    uint64_t at;
    struct batch_header header;

    three_blocks(f, &then);
    data = sim_disk_file(f->disk, SEGMENT, &size);
    batch_header_decode(&header, data + BLOCK_SIZE + FORMAT_BLOCK_DATA);
    at = header.time_us + 1;
    free(data);
    forge_batch(f, 16, at); /* So the next one names another */
    offline_verify_disk(f, OUT_TEXT, &said);
    assert_int_equal(said.status, OFFLINE_DAMAGED);
    assert_true(said_has(&said, "a batch names another predecessor"));
    said_free(&said);
    held_free(&then);
}

/* A batch whose body is damaged in its block is still whole in the journal: it comes from there. */
static void what_the_journal_still_has_is_healed(void **state)
{
    struct fixture *f = *state;
    struct fixture *to = fixture_new(65);
    struct said said;
    struct held then;

    f->options.manifest_journal_bytes = 1u << 20;
    fixture_open(f);
    (void)fixture_append_strings(f, "t", "one", NULL);
    (void)fixture_append_strings(f, "t", "two", NULL);
    held_read(f, "t", &then);
    fixture_stop(f);
    sim_disk_flip_bit(f->disk, SEGMENT, 8 * (FORMAT_BLOCK_DATA + BATCH_HEADER_SIZE + 5));
    offline_salvage_disk(f, to, &said);
    assert_int_equal(said.counts.healed, 1);
    assert_int_equal(said.counts.lost, 0);
    said_free(&said);
    assert_int_equal(lost(to, &then), 0);
    held_free(&then);
    fixture_free(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_name_that_is_taken_twice_becomes_another),
        FIXTURE_TEST(a_long_name_is_cut_between_characters),
        FIXTURE_TEST(any_block_tells_the_size),
        FIXTURE_TEST(a_seal_tells_whose_block_it_is),
        FIXTURE_TEST(a_journal_alone_tells_of_topics),
        FIXTURE_TEST(nothing_left_is_said),
        FIXTURE_TEST(a_block_of_a_newer_version_is_refused),
        cmocka_unit_test(a_block_that_says_it_is_another_is_left_out),
        FIXTURE_TEST(a_seal_that_cannot_be_is_not_believed),
        FIXTURE_TEST(blocks_of_one_offset_do_not_hide_each_other),
        FIXTURE_TEST(a_topic_without_a_name_is_called_by_its_id),
        FIXTURE_TEST(a_topic_begins_with_its_first_block),
        FIXTURE_TEST(a_topic_younger_than_the_manifest_comes_back),
        FIXTURE_TEST(a_full_block_has_no_damage_at_its_end),
        FIXTURE_TEST(offsets_beyond_the_last_are_damage),
        FIXTURE_TEST(a_broken_chain_is_told),
        FIXTURE_TEST(what_the_journal_still_has_is_healed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
