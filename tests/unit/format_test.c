/* Journal files, records and items: what is encoded decodes to the same, and nothing else decodes at all. Blocks and
 * manifests are in format_page_test.c. */
#include "core/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/error.h"
#include "proto/bytes.h"
#include "proto/crc32c.h"

static const uint8_t store_id[ENGINE_STORE_ID_SIZE] = "a store of tests";
/* Where numbers could be cut off or change their sign. */
static const uint64_t edges[] = {0,         1,          UINT32_MAX,     1ull << 32,
                                 INT64_MAX, 1ull << 63, UINT64_MAX - 1, UINT64_MAX};
#define EDGES (sizeof edges / sizeof edges[0])

static struct format_journal journal_header(uint64_t value)
{
    struct format_journal header = {.number = value,
                                    .size = value + 1,
                                    .generation = value + 2,
                                    .first_lsn = value / 128 * 64,
                                    .mark = value / 128,
                                    .previous_crc = (uint32_t)value + 5};

    memcpy(header.store_id, store_id, sizeof store_id);
    return header;
}

/* ---- journal files ---- */

static void a_journal_header_comes_back_as_it_was(void **state)
{
    uint8_t page[FORMAT_PAGE];
    unsigned i;

    (void)state;
    for (i = 0; i < EDGES; i++) {
        const struct format_journal header = journal_header(edges[i]);
        struct format_journal back;

        format_journal_encode(page, &header);
        assert_int_equal(format_journal_decode(&back, page), 0);
        assert_int_equal(back.number, header.number);
        assert_int_equal(back.size, header.size);
        assert_int_equal(back.generation, header.generation);
        assert_int_equal(back.first_lsn, header.first_lsn);
        assert_int_equal(back.mark, header.mark);
        assert_int_equal(back.previous_crc, header.previous_crc);
        assert_memory_equal(back.store_id, store_id, sizeof store_id);
    }
}

static int decode_resealed(uint8_t *page)
{
    struct format_journal back;

    put_u32(&page[FORMAT_PAGE - 4], crc32c(0, page, FORMAT_PAGE - 4));
    return format_journal_decode(&back, page);
}

/* LSNs that could wrap, and a mark beyond where the file begins, are no header's, whatever the checksum says. */
static void a_journal_header_has_sane_positions(void **state)
{
    struct format_journal header = journal_header(64);
    uint8_t page[FORMAT_PAGE];

    (void)state;
    header.first_lsn = FORMAT_COUNTER_MAX - FORMAT_RECORD_ALIGN;
    header.mark = header.first_lsn;
    format_journal_encode(page, &header);
    assert_int_equal(decode_resealed(page), 0);
    put_u64(page + 64, FORMAT_COUNTER_MAX);
    assert_int_equal(decode_resealed(page), TUSK_ECORRUPT);
    put_u64(page + 64, header.mark + 1); /* Records begin at multiples of 64 */
    assert_int_equal(decode_resealed(page), TUSK_ECORRUPT);
    put_u64(page + 64, header.mark - FORMAT_RECORD_ALIGN);
    assert_int_equal(decode_resealed(page), TUSK_ECORRUPT);
}

/* Any single flipped bit of the page, reserved bytes included, and a page of zeros, is no header. */
static void no_flipped_bit_passes_a_journal_header(void **state)
{
    const struct format_journal header = journal_header(77);
    struct format_journal back;
    uint8_t page[FORMAT_PAGE];
    unsigned bit;

    (void)state;
    format_journal_encode(page, &header);
    for (bit = 0; bit < 8 * FORMAT_PAGE; bit++) {
        page[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(format_journal_decode(&back, page), TUSK_ECORRUPT);
        page[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    memset(page, 0, sizeof page);
    assert_int_equal(format_journal_decode(&back, page), TUSK_ECORRUPT);
}

/* Under a valid checksum another version or an unknown incompatible flag is a newer format; a compatible flag is
 * nobody's business. */
static void versions_and_flags_of_a_journal_header(void **state)
{
    const struct format_journal header = journal_header(77);
    struct format_journal back;
    uint8_t page[FORMAT_PAGE];
    unsigned bit;

    (void)state;
    for (bit = 0; bit < 80; bit++) { /* Version, compatible, incompatible flags */
        const unsigned at = bit < 16 ? 8 + bit / 8 : 12 + (bit - 16) / 8;

        format_journal_encode(page, &header);
        page[at] ^= (uint8_t)(1u << bit % 8);
        put_u32(page + FORMAT_PAGE - 4, crc32c(0, page, FORMAT_PAGE - 4));
        assert_int_equal(format_journal_decode(&back, page),
                         bit < 16 || bit >= 48 ? TUSK_EVERSION : 0);
    }
}

/* ---- record headers ---- */

static void a_record_header_comes_back_as_it_was(void **state)
{
    const uint32_t seed = format_journal_seed(store_id, 5);
    uint8_t bytes[FORMAT_RECORD_HEADER_SIZE];
    unsigned i;

    (void)state;
    for (i = 0; i < EDGES; i++) {
        struct format_record_header header = {.type = (uint16_t)edges[i],
                                              .flags = (uint16_t)(edges[i] >> 3),
                                              .lsn = edges[i],
                                              .size = (uint32_t)edges[i] | 64u,
                                              .body_crc = (uint32_t)edges[i] + 2,
                                              .previous_crc = (uint32_t)edges[i] + 3,
                                              .mark = edges[i] / 2};
        struct format_record_header back;

        format_record_header_encode(bytes, &header, seed);
        assert_int_equal(format_record_header_decode(&back, bytes, seed, edges[i]), 0);
        assert_int_equal(back.type, header.type);
        assert_int_equal(back.flags, header.flags);
        assert_int_equal(back.size, header.size);
        assert_int_equal(back.body_crc, header.body_crc);
        assert_int_equal(back.previous_crc, header.previous_crc);
        assert_int_equal(back.mark, header.mark);
        assert_int_equal(back.crc, header.crc);
    }
}

/* A record carries a mark of what was durable before it: one beyond itself is nobody's. */
static void a_record_marks_nothing_behind_itself(void **state)
{
    const uint32_t seed = format_journal_seed(store_id, 5);
    struct format_record_header header = {
        .type = RECORD_MARK, .lsn = 640, .size = FORMAT_RECORD_HEADER_SIZE, .mark = 640};
    struct format_record_header back;
    uint8_t bytes[FORMAT_RECORD_HEADER_SIZE];

    (void)state;
    format_record_header_encode(bytes, &header, seed);
    assert_int_equal(format_record_header_decode(&back, bytes, seed, 640), 0);
    header.mark = 641;
    format_record_header_encode(bytes, &header, seed);
    assert_int_equal(format_record_header_decode(&back, bytes, seed, 640), TUSK_ECORRUPT);
}

/* A record is nothing at another place, of another file, of another store, with a flipped bit, or as zeros. */
static void a_record_header_is_valid_only_at_its_place(void **state)
{
    const uint32_t seed = format_journal_seed(store_id, 5);
    struct format_record_header header = {.type = RECORD_MARK, .lsn = 640, .size = 48};
    struct format_record_header back;
    uint8_t bytes[FORMAT_RECORD_HEADER_SIZE];
    unsigned bit;

    (void)state;
    format_record_header_encode(bytes, &header, seed);
    assert_int_equal(format_record_header_decode(&back, bytes, seed, 640), 0);
    assert_int_equal(format_record_header_decode(&back, bytes, seed, 704), TUSK_ECORRUPT);
    assert_int_equal(
        format_record_header_decode(&back, bytes, format_journal_seed(store_id, 6), 640),
        TUSK_ECORRUPT);
    assert_int_equal(
        format_record_header_decode(
            &back, bytes, format_journal_seed((const uint8_t *)"another store id", 5), 640),
        TUSK_ECORRUPT);
    for (bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(format_record_header_decode(&back, bytes, seed, 640), TUSK_ECORRUPT);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(format_record_header_decode(&back, bytes, 0, 0), TUSK_ECORRUPT);
    assert_int_equal(format_record_header_decode(&back, bytes, seed, 0), TUSK_ECORRUPT);
    header.size = FORMAT_RECORD_HEADER_SIZE - 1;
    format_record_header_encode(bytes, &header, seed);
    assert_int_equal(format_record_header_decode(&back, bytes, seed, 640), TUSK_ECORRUPT);
}

/* ---- record bodies ---- */

static bool has_fields(unsigned type)
{
    return format_record_name((uint16_t)type) != NULL && !format_record_has_items((uint16_t)type);
}

/* A record of each type with these values in all fields, and a name where there is one. */
static uint32_t make_record(uint8_t *bytes, struct format_record *record, unsigned type,
                            uint64_t value, const char *name, struct format_record_header *header)
{
    unsigned i;

    *record = (struct format_record){
        .type = (uint16_t)type, .name = name, .name_size = (uint16_t)strlen(name)};
    for (i = 0; i < FORMAT_FIELDS_MAX; i++) {
        record->field[i] = value + i;
    }
    *header =
        (struct format_record_header){.type = (uint16_t)type, .size = format_record_size(record)};
    header->body_crc = format_record_body_encode(bytes, record);
    return header->size;
}

/* Every type's fields and names come back, at the edges of their ranges, with the shortest and longest name. */
static void every_record_type_comes_back_as_it_was(void **state)
{
    static const unsigned fields[RECORD_TYPE_END] = {0, 4, 0, 0, 0, 5, 5, 1, 8, 2, 4,
                                                     4, 4, 2, 2, 7, 3, 0, 0, 3, 0};
    char long_name[256];
    uint8_t bytes[512];
    unsigned type;
    unsigned i;
    unsigned k;

    (void)state;
    memset(long_name, 'n', 255);
    long_name[255] = '\0';
    for (type = 0; type < RECORD_TYPE_END; type++) {
        for (i = 0; has_fields(type) && i < EDGES; i++) {
            struct format_record_header header;
            struct format_record record;
            struct format_record back;

            (void)make_record(bytes, &record, type, edges[i], i % 2 == 0 ? "" : long_name, &header);
            assert_int_equal(format_record_body_decode(&back, &header, bytes), 0);
            assert_int_equal(back.type, type);
            for (k = 0; k < fields[type]; k++) {
                assert_int_equal(back.field[k], record.field[k]);
            }
            if (type == RECORD_TOPIC_CREATE || type == RECORD_CURSOR_CREATE) {
                assert_int_equal(back.name_size, record.name_size);
                assert_memory_equal(back.name, record.name, back.name_size);
            }
        }
    }
}

/* A flipped bit, or another size, and a body is damaged; an unknown type or flag under a valid checksum is a newer
 * version's. */
static void a_wrong_body_is_told_apart_from_a_newer_one(void **state)
{
    uint8_t bytes[512];
    unsigned type;

    (void)state;
    for (type = 0; type < RECORD_TYPE_END + 1u; type++) {
        struct format_record_header header;
        struct format_record record;
        struct format_record back;
        uint32_t size;
        uint32_t bit;

        if (format_record_has_items((uint16_t)type)) {
            continue; /* format_items_check() is theirs */
        }
        if (!has_fields(type)) {
            header = (struct format_record_header){.type = (uint16_t)type, .size = 48};
            assert_int_equal(format_record_body_decode(&back, &header, bytes), TUSK_EVERSION);
            continue;
        }
        size = make_record(bytes, &record, type, 7, "name", &header);
        for (bit = 8 * FORMAT_RECORD_HEADER_SIZE; bit < 8 * size; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(format_record_body_decode(&back, &header, bytes), TUSK_ECORRUPT);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        header.flags = 0x0100;
        assert_int_equal(format_record_body_decode(&back, &header, bytes), TUSK_EVERSION);
        header.flags = 0x00ff;
        assert_int_equal(format_record_body_decode(&back, &header, bytes), 0);
        header.flags = 0;
        bytes[size] = 0;
        header.size = size + 1;
        header.body_crc =
            crc32c(0, bytes + FORMAT_RECORD_HEADER_SIZE, header.size - FORMAT_RECORD_HEADER_SIZE);
        assert_int_equal(format_record_body_decode(&back, &header, bytes),
                         type == RECORD_FILLER ? 0 : TUSK_ECORRUPT);
    }
}

/* ---- items ---- */

/* Two batches as items, of BATCH or DIRECT; returns the record's size. */
static uint32_t make_items(uint8_t *bytes, uint16_t type, struct format_record_header *header)
{
    uint32_t at = FORMAT_RECORD_HEADER_SIZE;
    uint32_t crc = 0;
    unsigned i;

    for (i = 0; i < 2; i++) {
        const struct format_place place = {
            .segment = UINT64_MAX - i, .position = 8192 + 16 * i, .index = (uint16_t)(99 + i)};
        const struct batch_entry entry = {.data = (const uint8_t *)"payload", .size = 7 - 5 * i};
        const uint32_t stored = 4 + entry.size;

        format_place_encode(bytes + at, &place);
        memset(bytes + at + FORMAT_PLACE_SIZE, 0, batch_padded_size(stored));
        batch_encode(bytes + at + FORMAT_PLACE_SIZE, &entry, 1);
        crc = crc32c(crc, bytes + at, FORMAT_PLACE_SIZE + BATCH_HEADER_SIZE);
        at += FORMAT_PLACE_SIZE +
              (type == RECORD_DIRECT ? BATCH_HEADER_SIZE : (uint32_t)batch_padded_size(stored));
    }
    *header = (struct format_record_header){.type = type, .size = at, .body_crc = crc};
    return at;
}

static void items_are_walked_as_they_were_put(void **state)
{
    static const uint16_t types[] = {RECORD_BATCH, RECORD_DIRECT};
    uint8_t bytes[1024];
    unsigned k;
    unsigned i;

    (void)state;
    for (k = 0; k < 2; k++) {
        struct format_record_header header;
        struct format_items items;
        struct format_item item;

        (void)make_items(bytes, types[k], &header);
        assert_int_equal(format_items_check(&header, bytes), 0);
        format_items_begin(&items, &header, bytes);
        for (i = 0; i < 2; i++) {
            assert_int_equal(format_items_next(&items, &item), 1);
            assert_int_equal(item.place.segment, UINT64_MAX - i);
            assert_int_equal(item.place.position, 8192 + 16 * i);
            assert_int_equal(item.place.index, 99 + i);
            assert_int_equal(item.header.stored_size, 11 - 5 * i);
            assert_int_equal(item.padded_size, 80);
        }
        assert_int_equal(format_items_next(&items, &item), 0);
    }
}

/* No flipped bit in a place or a batch header, and no other size, passes the check, and it never reads beyond the
 * record. Bodies have checksums of their own. */
static void no_flipped_bit_passes_the_items(void **state)
{
    static const uint16_t types[] = {RECORD_BATCH, RECORD_DIRECT};
    uint8_t bytes[1024];
    unsigned k;
    uint32_t bit;

    (void)state;
    for (k = 0; k < 2; k++) {
        struct format_record_header header;
        const uint32_t size = make_items(bytes, types[k], &header);
        const uint32_t step = (size - FORMAT_RECORD_HEADER_SIZE) / 2;

        for (bit = 8 * FORMAT_RECORD_HEADER_SIZE; bit < 8 * size; bit++) {
            const bool covered = (bit / 8 - FORMAT_RECORD_HEADER_SIZE) % step <
                                 FORMAT_PLACE_SIZE + BATCH_HEADER_SIZE;

            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(format_items_check(&header, bytes), covered ? TUSK_ECORRUPT : 0);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (header.size = FORMAT_RECORD_HEADER_SIZE; header.size < size; header.size++) {
            assert_int_equal(format_items_check(&header, bytes), TUSK_ECORRUPT);
        }
    }
}

/* ---- all of them ---- */

/* Encode one of everything into `out`, one behind the other; the bytes used. */
static size_t encode_everything(uint8_t *out)
{
    const struct format_journal journal = journal_header(7);
    struct format_record_header header = {.type = RECORD_MARK, .lsn = 64, .size = 48};
    const struct format_place place = {.segment = 1, .position = 2, .index = 3};
    const struct format_block block = {.block_size = 65536, .name = "t", .name_size = 1};
    const struct format_seal seal = {.end = FORMAT_BLOCK_DATA};
    const struct format_manifest manifest = {.number = 1};
    const struct format_incarnation incarnation = {.ordinal = 1};
    const struct format_topic topic = {.id = 1, .name = "t", .name_size = 1};
    const struct format_cursor cursor = {.id = 1, .name = "c", .name_size = 1};
    const struct format_topic_block topic_block = {.segment = 1};
    uint8_t *at = out;

    format_journal_encode(at, &journal);
    at += FORMAT_PAGE;
    format_record_header_encode(at, &header, 9);
    at += FORMAT_RECORD_HEADER_SIZE;
    format_place_encode(at, &place);
    at += FORMAT_PLACE_SIZE;
    format_block_encode(at, &block);
    at += FORMAT_PAGE;
    format_seal_encode(at, &block, &seal);
    at += FORMAT_PAGE;
    (void)format_index_encode(at, NULL, 0);
    at += FORMAT_PAGE;
    format_manifest_encode(at, &manifest);
    at += FORMAT_PAGE;
    at += format_incarnation_encode(at, &incarnation);
    at += format_topic_encode(at, &topic);
    at += format_cursor_encode(at, &cursor);
    at += format_topic_block_encode(at, &topic_block);
    return (size_t)(at - out);
}

/* Reserved bytes are zero, whatever the memory held before: no byte is left to chance. */
static void every_byte_of_every_format_is_written(void **state)
{
    static uint8_t clean[8 * FORMAT_PAGE];
    static uint8_t dirty[sizeof clean];
    size_t size;

    (void)state;
    memset(dirty, 0xff, sizeof dirty);
    size = encode_everything(clean);
    assert_int_equal(encode_everything(dirty), size);
    assert_memory_equal(clean, dirty, size);
    assert_int_equal(dirty[size], 0xff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_of_every_format_is_written),
        cmocka_unit_test(a_journal_header_comes_back_as_it_was),
        cmocka_unit_test(a_journal_header_has_sane_positions),
        cmocka_unit_test(no_flipped_bit_passes_a_journal_header),
        cmocka_unit_test(versions_and_flags_of_a_journal_header),
        cmocka_unit_test(a_record_header_comes_back_as_it_was),
        cmocka_unit_test(a_record_marks_nothing_behind_itself),
        cmocka_unit_test(a_record_header_is_valid_only_at_its_place),
        cmocka_unit_test(every_record_type_comes_back_as_it_was),
        cmocka_unit_test(a_wrong_body_is_told_apart_from_a_newer_one),
        cmocka_unit_test(items_are_walked_as_they_were_put),
        cmocka_unit_test(no_flipped_bit_passes_the_items),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
