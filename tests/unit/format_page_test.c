/* Blocks, seals, indexes, manifests and names: what is encoded decodes to the same, and nothing else decodes. */
#include "core/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/error.h"
#include "proto/bytes.h"
#include "proto/crc32c.h"

static const uint64_t edges[] = {0,         1,          UINT32_MAX,     1ull << 32,
                                 INT64_MAX, 1ull << 63, UINT64_MAX - 1, UINT64_MAX};
#define EDGES (sizeof edges / sizeof edges[0])

static struct format_block block_with(uint64_t value, const char *name)
{
    struct format_block block = {.block_size = 1u << 20,
                                 .segment = value,
                                 .index = value + 1,
                                 .generation = value + 2,
                                 .topic_id = value + 3,
                                 .first_offset = value + 4,
                                 .previous_segment = value + 5,
                                 .previous_index = value + 6,
                                 .name = name,
                                 .name_size = (uint16_t)strlen(name)};

    memcpy(block.store_id, "a store of tests", ENGINE_STORE_ID_SIZE);
    return block;
}

static const struct format_seal a_seal = {.end = 8192 + 1600,
                                          .index_count = 3,
                                          .index_crc = 0xfedcba98,
                                          .last_crc = 0x12345678,
                                          .next_offset = UINT64_MAX - 1,
                                          .entries = 1ull << 32,
                                          .last_time_us = 1ull << 63};

/* How each kind of page is decoded; what it decodes to does not matter here. */
static int decode_block(const uint8_t *page)
{
    struct format_block block;

    return format_block_decode(&block, page);
}

static int decode_seal(const uint8_t *page)
{
    const struct format_block block = block_with(7, "orders");
    struct format_seal seal;

    return format_seal_decode(&seal, &block, page);
}

static int decode_manifest(const uint8_t *page)
{
    struct format_manifest manifest;

    return format_manifest_decode(&manifest, page);
}

static void encode_block(uint8_t *page)
{
    const struct format_block block = block_with(7, "orders");

    format_block_encode(page, &block);
}

static void encode_seal(uint8_t *page)
{
    const struct format_block block = block_with(7, "orders");

    format_seal_encode(page, &block, &a_seal);
}

static void encode_manifest(uint8_t *page)
{
    const struct format_manifest manifest = {.number = 5, .lsn = 640, .block_size = 32768};

    format_manifest_encode(page, &manifest);
}

static const struct {
    void (*encode)(uint8_t *page);
    int (*decode)(const uint8_t *page);
} kinds[] = {
    {encode_block, decode_block}, {encode_seal, decode_seal}, {encode_manifest, decode_manifest}};
#define KINDS (sizeof kinds / sizeof kinds[0])

/* What every page begins with stands where FORMAT.md says, also what this version does not look at: a later one may. */
static void every_page_says_its_version_and_the_size_of_its_header(void **state)
{
    static const uint8_t begin[] = {FORMAT_VERSION & 0xff, FORMAT_VERSION >> 8, FORMAT_PAGE & 0xff,
                                    FORMAT_PAGE >> 8};
    static const uint8_t flags[8] = {0};
    uint8_t page[FORMAT_PAGE];
    unsigned i;

    (void)state;
    for (i = 0; i < KINDS; i++) {
        memset(page, 0xee, sizeof page);
        kinds[i].encode(page);
        assert_memory_equal(page + FORMAT_MAGIC_SIZE, begin, sizeof begin);
        assert_memory_equal(page + FORMAT_MAGIC_SIZE + sizeof begin, flags, sizeof flags);
    }
}

/* Any single flipped bit of a page, reserved bytes included, is found; zeros are no page of any kind, nor is one kind
 * another. */
static void no_flipped_bit_passes_a_page(void **state)
{
    uint8_t page[FORMAT_PAGE];
    unsigned i;
    unsigned k;
    unsigned bit;

    (void)state;
    for (i = 0; i < KINDS; i++) {
        kinds[i].encode(page);
        for (k = 0; k < KINDS; k++) {
            assert_int_equal(kinds[k].decode(page), i == k ? 0 : TUSK_ECORRUPT);
        }
        for (bit = 0; bit < 8 * FORMAT_PAGE; bit++) {
            page[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(kinds[i].decode(page), TUSK_ECORRUPT);
            page[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        memset(page, 0, sizeof page);
        assert_int_equal(kinds[i].decode(page), TUSK_ECORRUPT);
    }
}

/* Under a valid checksum another version or an unknown incompatible flag is a newer format; a compatible flag is
 * read over. */
static void versions_and_flags_are_told(void **state)
{
    uint8_t page[FORMAT_PAGE];
    unsigned i;
    unsigned bit;

    (void)state;
    for (i = 0; i < KINDS; i++) {
        for (bit = 0; bit < 80; bit++) {
            const unsigned at = bit < 16 ? 8 + bit / 8 : 12 + (bit - 16) / 8;

            kinds[i].encode(page);
            page[at] ^= (uint8_t)(1u << bit % 8);
            put_u32(page + FORMAT_PAGE - 4, crc32c(0, page, FORMAT_PAGE - 4));
            assert_int_equal(kinds[i].decode(page), bit < 16 || bit >= 48 ? TUSK_EVERSION : 0);
        }
    }
}

/* ---- blocks ---- */

static void a_block_header_comes_back_as_it_was(void **state)
{
    char long_name[256];
    uint8_t page[FORMAT_PAGE];
    unsigned i;

    (void)state;
    memset(long_name, 'n', 255);
    long_name[255] = '\0';
    for (i = 0; i < EDGES; i++) {
        const struct format_block block = block_with(edges[i], i % 2 == 0 ? "t" : long_name);
        struct format_block back;

        format_block_encode(page, &block);
        assert_int_equal(format_block_decode(&back, page), 0);
        assert_int_equal(back.block_size, block.block_size);
        assert_int_equal(back.segment, block.segment);
        assert_int_equal(back.index, block.index);
        assert_int_equal(back.generation, block.generation);
        assert_int_equal(back.topic_id, block.topic_id);
        assert_int_equal(back.first_offset, block.first_offset);
        assert_int_equal(back.previous_segment, block.previous_segment);
        assert_int_equal(back.previous_index, block.previous_index);
        assert_int_equal(back.name_size, block.name_size);
        assert_memory_equal(back.name, block.name, block.name_size);
        assert_memory_equal(back.store_id, block.store_id, ENGINE_STORE_ID_SIZE);
    }
}

/* A seal is believed only for its own block and generation, and only when what it says can be. */
static void a_seal_is_of_its_block_only(void **state)
{
    const struct format_block own = block_with(7, "orders");
    struct format_seal seal = a_seal;
    struct format_seal back;
    uint8_t page[FORMAT_PAGE];
    unsigned i;

    (void)state;
    format_seal_encode(page, &own, &seal);
    assert_int_equal(format_seal_decode(&back, &own, page), 0);
    assert_int_equal(back.end, seal.end);
    assert_int_equal(back.index_count, seal.index_count);
    assert_int_equal(back.index_crc, seal.index_crc);
    assert_int_equal(back.last_crc, seal.last_crc);
    assert_int_equal(back.next_offset, seal.next_offset);
    assert_int_equal(back.entries, seal.entries);
    assert_int_equal(back.last_time_us, seal.last_time_us);
    for (i = 0; i < 5; i++) {
        struct format_block other = own;

        other.segment += i == 0 ? 1 : 0;
        other.index += i == 1 ? 1 : 0;
        other.generation += i == 2 ? 1 : 0;
        other.block_size += i == 3 ? FORMAT_PAGE : 0;
        other.store_id[0] ^= i == 4 ? 1 : 0;
        assert_int_equal(format_seal_decode(&back, &other, page), TUSK_ECORRUPT);
    }
    for (i = 0; i < 2; i++) { /* The least and the greatest there can be */
        seal = a_seal;
        seal.end = i == 0 ? FORMAT_BLOCK_DATA : format_block_limit(own.block_size);
        seal.index_count = i == 0 ? 0 : FORMAT_INDEX_MAX;
        format_seal_encode(page, &own, &seal);
        assert_int_equal(format_seal_decode(&back, &own, page), 0);
        assert_int_equal(back.end, seal.end);
    }
    for (i = 0; i < 4; i++) {
        seal = a_seal;
        seal.end = i == 0   ? FORMAT_BLOCK_DATA - BATCH_ALIGN
                   : i == 1 ? (1u << 20) - FORMAT_PAGE + BATCH_ALIGN
                   : i == 3 ? seal.end + BATCH_ALIGN / 2 /* Between batches */
                            : seal.end;
        seal.index_count = i == 2 ? FORMAT_INDEX_MAX + 1 : 3;
        format_seal_encode(page, &own, &seal);
        assert_int_equal(format_seal_decode(&back, &own, page), TUSK_ECORRUPT);
    }
}

/* A seal tells whose its block is where page 0 is damaged, all of it but the block before: that one may be gone. */
static void a_seal_tells_its_owner(void **state)
{
    const struct format_block own = block_with(7, "orders");
    struct format_block back;
    uint8_t page[FORMAT_PAGE];

    (void)state;
    format_seal_encode(page, &own, &a_seal);
    assert_int_equal(format_seal_owner_decode(&back, page), 0);
    assert_int_equal(back.segment, own.segment);
    assert_int_equal(back.index, own.index);
    assert_int_equal(back.generation, own.generation);
    assert_int_equal(back.topic_id, own.topic_id);
    assert_int_equal(back.first_offset, own.first_offset);
    assert_int_equal(back.block_size, own.block_size);
    assert_int_equal(back.name_size, own.name_size);
    assert_memory_equal(back.name, own.name, own.name_size);
    assert_true(back.previous_segment == FORMAT_NONE);
    assert_true(back.previous_index == FORMAT_NONE);
    format_block_encode(page, &own);
    assert_int_equal(format_seal_owner_decode(&back, page), TUSK_ECORRUPT);
}

static void an_index_comes_back_as_it_was(void **state)
{
    struct format_index_entry entries[FORMAT_INDEX_MAX];
    struct format_index_entry back[FORMAT_INDEX_MAX];
    uint8_t page[FORMAT_PAGE];
    uint32_t crc;
    unsigned bit;
    unsigned i;

    (void)state;
    for (i = 0; i < FORMAT_INDEX_MAX; i++) {
        entries[i] = (struct format_index_entry){
            .offset = edges[i % EDGES] - i, .position = UINT32_MAX - i, .entries = i};
    }
    crc = format_index_encode(page, entries, FORMAT_INDEX_MAX);
    assert_int_equal(format_index_decode(back, FORMAT_INDEX_MAX, crc, page), 0);
    for (i = 0; i < FORMAT_INDEX_MAX; i++) {
        assert_int_equal(back[i].offset, entries[i].offset);
        assert_int_equal(back[i].position, entries[i].position);
        assert_int_equal(back[i].entries, entries[i].entries);
    }
    assert_int_equal(format_index_decode(back, FORMAT_INDEX_MAX + 1, crc, page), TUSK_ECORRUPT);
    for (bit = 0; bit < 8 * FORMAT_PAGE; bit++) {
        page[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(format_index_decode(back, 3, crc, page), TUSK_ECORRUPT);
        page[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* ---- manifests ---- */

static void a_manifest_comes_back_as_it_was(void **state)
{
    uint8_t page[FORMAT_PAGE];
    unsigned i;

    (void)state;
    for (i = 0; i < EDGES; i++) {
        const uint64_t v = edges[i];
        const struct format_manifest manifest = {
            .store_id = "a store of test",
            .number = v / 2,
            .lsn = v / 128 * 64,
            .mark = v / 2,
            .time_us = v + 3,
            .body_size = v + 4,
            .body_crc = (uint32_t)v + 5,
            .chain_crc = (uint32_t)v + 6,
            .block_size = (uint32_t)v + 7,
            .blocks_per_segment = (uint32_t)v + 8,
            .next_topic_id = v / 2,
            .next_segment = v / 2,
            .incarnation_ordinal = v + 11,
            .incarnation_count = v + 12,
            .topic_count = v + 13,
            .settings = {{v + 14, v + 15, v + 16}, v + 17, v + 18, v + 19, v + 20, v + 21, v % 3}};
        struct format_manifest back;

        memset(&back, 0, sizeof back);
        format_manifest_encode(page, &manifest);
        assert_int_equal(format_manifest_decode(&back, page), 0);
        assert_memory_equal(back.store_id, manifest.store_id, ENGINE_STORE_ID_SIZE);
        assert_memory_equal(&back.number, &manifest.number,
                            offsetof(struct format_manifest, settings) -
                                offsetof(struct format_manifest, number));
        assert_memory_equal(&back.settings, &manifest.settings, sizeof back.settings);
    }
}

/* The parts of a body follow each other, and each is refused when a single byte of it is missing. */
static void body_parts_come_back_or_are_refused(void **state)
{
    const struct format_incarnation incarnation = {1, UINT64_MAX, 1ull << 63, 1ull << 32};
    const struct format_topic topic = {.id = UINT64_MAX,
                                       .created_us = 1,
                                       .retention = {2, 3, 4},
                                       .first = 1ull << 63,
                                       .next_offset = UINT64_MAX - 1,
                                       .run_end = 5,
                                       .run_size = 6,
                                       .last_time_us = 7,
                                       .next_cursor_id = 8,
                                       .last_crc = UINT32_MAX,
                                       .cursor_count = 9,
                                       .block_count = 10,
                                       .name = "topic",
                                       .name_size = 5};
    const struct format_cursor cursor = {UINT64_MAX, 1ull << 32, 3, "cursor", 6};
    const struct format_topic_block block = {1, UINT64_MAX, 3, 4, 5, 6, UINT32_MAX, 8, 1};
    uint8_t bytes[512];
    const size_t size[4] = {FORMAT_INCARNATION_SIZE, 108 + 5, 26 + 6, FORMAT_TOPIC_BLOCK_SIZE};
    struct format_incarnation incarnation_back;
    struct format_topic topic_back;
    struct format_cursor cursor_back;
    struct format_topic_block block_back;
    unsigned part;
    size_t cut;

    (void)state;
    for (part = 0; part < 4; part++) {
        const size_t encoded = part == 0   ? format_incarnation_encode(bytes, &incarnation)
                               : part == 1 ? format_topic_encode(bytes, &topic)
                               : part == 2 ? format_cursor_encode(bytes, &cursor)
                                           : format_topic_block_encode(bytes, &block);

        assert_int_equal(encoded, size[part]);
        for (cut = 0; cut <= encoded; cut++) {
            uint8_t *exact = malloc(cut + 1); /* So that a read beyond is seen */
            const uint8_t *at = exact + 1;
            const uint8_t *end = exact + 1 + cut;
            int rc;

            assert_non_null(exact);
            memcpy(exact + 1, bytes, cut);
            rc = part == 0   ? format_incarnation_decode(&incarnation_back, &at, end)
                 : part == 1 ? format_topic_decode(&topic_back, &at, end)
                 : part == 2 ? format_cursor_decode(&cursor_back, &at, end)
                             : format_topic_block_decode(&block_back, &at, end);
            assert_int_equal(rc, cut == encoded ? 0 : TUSK_ECORRUPT);
            assert_ptr_equal(at, cut == encoded ? end : exact + 1);
            if (rc == 0 && part == 1) {
                assert_memory_equal(topic_back.name, "topic", 5);
            } else if (rc == 0 && part == 2) {
                assert_memory_equal(cursor_back.name, "cursor", 6);
            }
            free(exact);
        }
    }
    assert_memory_equal(&incarnation_back, &incarnation, sizeof incarnation);
    /* Up to the padding before the name, whose bytes mean nothing. */
    assert_memory_equal(&topic_back, &topic,
                        offsetof(struct format_topic, block_count) + sizeof topic.block_count);
    assert_int_equal(cursor_back.id, cursor.id);
    assert_int_equal(cursor_back.offset, cursor.offset);
    assert_int_equal(cursor_back.epoch, cursor.epoch);
    assert_memory_equal(&block_back, &block, sizeof block);
}

/* ---- names ---- */

/* Every byte has one encoding and comes back; dots and slashes never stand for themselves. */
static void names_are_encoded_one_way(void **state)
{
    char encoded[FORMAT_ENCODED_NAME_SIZE];
    char decoded[FORMAT_ENCODED_NAME_SIZE];
    unsigned byte;

    (void)state;
    for (byte = 0; byte < 256; byte++) {
        const char name[2] = {'a', (char)byte};

        assert_true(format_name_encode(encoded, name, 2));
        assert_int_equal(format_name_decode(decoded, encoded), 2);
        assert_memory_equal(decoded, name, 2);
        assert_null(strpbrk(encoded, "./ \\"));
    }
    assert_true(format_name_encode(encoded, "..", 2));
    assert_string_equal(encoded, "%2e%2e");
    assert_true(format_name_encode(encoded, "Az09_-", 6));
    assert_string_equal(encoded, "Az09_-");
    assert_false(format_name_encode(encoded, "", 0));
}

/* Only what encoding gives is decoded: no capital digits, no needless escapes, nothing cut off, nothing foreign. */
static void only_canonical_names_are_decoded(void **state)
{
    static const char *const wrong[] = {"",    ".",   "..",  "a.b",  "%2E",  "%41", "%",
                                        "a%2", "%zz", "a b", "%%2e", "\xc3", "a/b", "%2e."};
    char decoded[FORMAT_ENCODED_NAME_SIZE];
    unsigned i;

    (void)state;
    for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(format_name_decode(decoded, wrong[i]), 0);
    }
}

/* At most 255 bytes encoded. */
static void encoded_names_have_a_limit(void **state)
{
    char encoded[FORMAT_ENCODED_NAME_SIZE];
    char decoded[FORMAT_ENCODED_NAME_SIZE];
    char name[300];

    (void)state;
    memset(name, 'n', sizeof name);
    assert_true(format_name_encode(encoded, name, 255));
    assert_int_equal(format_name_decode(decoded, encoded), 255);
    assert_false(format_name_encode(encoded, name, 256));
    memset(name, '.', sizeof name);
    assert_true(format_name_encode(encoded, name, 85));
    assert_int_equal(strlen(encoded), 255);
    assert_false(format_name_encode(encoded, name, 86));
    name[298] = '\0';
    memset(name, 'n', 298);
    assert_int_equal(format_name_decode(decoded, name), 0);
}

/* Files are numbered by 16 lower-case hex digits, no more, no fewer, no other. */
static void file_numbers_have_one_form(void **state)
{
    static const char *const wrong[] = {"1.seg",
                                        "000000000000001.seg",
                                        "00000000000000001.seg",
                                        "000000000000000A.seg",
                                        "000000000000000g.seg",
                                        "0000000000000001",
                                        "0000000000000001.seg2",
                                        "0000000000000001.Seg",
                                        " 000000000000001.seg",
                                        "x0000000000000001.seg",
                                        ""};
    uint64_t number = 5;
    unsigned i;

    (void)state;
    for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(format_file_number(wrong[i], "", ".seg", &number));
    }
    assert_int_equal(number, 5);
    assert_true(format_file_number("7fffffffffffffff.seg", "", ".seg", &number));
    assert_true(number == INT64_MAX);
    /* The next number behind it could wrap: nobody has ever made such a file. */
    assert_false(format_file_number("8000000000000000.seg", "", ".seg", &number));
    assert_false(format_file_number("manifest-ffffffffffffffff", "manifest-", "", &number));
    assert_true(format_file_number("manifest-00000000000000f0", "manifest-", "", &number));
    assert_true(number == 0xf0);
    assert_false(format_file_number("manifest-spare", "manifest-", "", &number));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_flipped_bit_passes_a_page),
        cmocka_unit_test(versions_and_flags_are_told),
        cmocka_unit_test(a_block_header_comes_back_as_it_was),
        cmocka_unit_test(a_seal_is_of_its_block_only),
        cmocka_unit_test(an_index_comes_back_as_it_was),
        cmocka_unit_test(a_manifest_comes_back_as_it_was),
        cmocka_unit_test(body_parts_come_back_or_are_refused),
        cmocka_unit_test(names_are_encoded_one_way),
        cmocka_unit_test(only_canonical_names_are_decoded),
        cmocka_unit_test(encoded_names_have_a_limit),
        cmocka_unit_test(file_numbers_have_one_form),
        cmocka_unit_test(every_page_says_its_version_and_the_size_of_its_header),
        cmocka_unit_test(a_seal_tells_its_owner),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
