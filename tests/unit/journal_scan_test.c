/* The journal's reading side, over files made by hand: which file a place lies in, how far each counts, and what
 * stands at a place. */
#include "core/journal_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/bytes.h"
#include "proto/crc32c.h"
#include "tests/sim/random.h"
#include "tests/support/engine_fixture.h"

static const uint8_t store_id[ENGINE_STORE_ID_SIZE] = "a store of tests";

struct world {
    struct sim_disk *disk;
    struct io *io;
    struct scan scan;
    struct error err;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->disk = sim_disk_new(1);
    assert_int_equal(io_sim_open(&w->io, w->disk), 0);
    w->scan.io = w->io;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    scan_deinit(&w->scan);
    io_close(w->io);
    sim_disk_free(w->disk);
    free(w);
    return 0;
}

/* A file of `size` bytes with mark records from first_lsn on, `count` of them. */
static void make_file(struct world *w, uint64_t number, uint64_t first_lsn, unsigned count,
                      uint64_t size)
{
    const struct format_journal header = {
        .number = number, .size = size, .generation = 1000 + number, .first_lsn = first_lsn};
    struct format_journal own = header;
    uint8_t *data = calloc(1, size);
    struct iovec iov = {.iov_base = data, .iov_len = size};
    struct io_file *file;
    char path[32];
    unsigned i;

    assert_non_null(data);
    memcpy(own.store_id, store_id, sizeof store_id);
    format_journal_encode(data, &own);
    for (i = 0; i < count; i++) {
        struct format_record_header record = {
            .type = RECORD_MARK, .lsn = first_lsn + 64 * i, .size = FORMAT_RECORD_HEADER_SIZE};

        format_record_header_encode(data + FORMAT_PAGE + 64 * i, &record,
                                    format_journal_seed(store_id, own.generation));
    }
    (void)snprintf(path, sizeof path, "file%u", (unsigned)number);
    assert_int_equal(io_open(w->io, path, IO_OPEN_CREATE, &file, &w->err), 0);
    assert_int_equal(io_write(file, &iov, 1, 0, &w->err), 0);
    io_close_file(file);
    free(data);
}

static void add(struct world *w, uint64_t number)
{
    char path[32];

    (void)snprintf(path, sizeof path, "file%u", (unsigned)number);
    assert_int_equal(scan_add(&w->scan, path, number, store_id, &w->err), 0);
}

static enum scan_kind at(struct world *w, uint64_t lsn)
{
    struct scan_record record;

    return scan_at(&w->scan, lsn, &record, &w->err);
}

/* Files are put in order of their numbers; a record lies where its file's first LSN says. Behind the last there are
 * zeros, behind the file nothing. */
static void records_are_found_by_lsn(void **state)
{
    struct world *w = *state;
    uint64_t lsn;

    make_file(w, 1, 640, 10, 8192);
    make_file(w, 2, 1280, 5, 8192);
    add(w, 2);
    add(w, 1);
    scan_ready(&w->scan);
    for (lsn = 640; lsn < 1280 + 320; lsn += 64) {
        assert_int_equal(at(w, lsn), SCAN_RECORD);
    }
    assert_int_equal(at(w, 576), SCAN_NONE);
    assert_int_equal(at(w, 1600), SCAN_ZERO);
    assert_int_equal(at(w, 1280 + 4096 - 64), SCAN_ZERO);
    assert_int_equal(at(w, 1280 + 4096), SCAN_NONE);
    assert_true(scan_reaches(&w->scan, 640));
    assert_true(scan_reaches(&w->scan, 1280 + 4096));
    assert_false(scan_reaches(&w->scan, 1280 + 4160));
    assert_false(scan_reaches(&w->scan, 600));
}

/* A file counts up to the least first LSN of any later file: what an unclean stop cut off does not come back,
 * even when the file in between has lost its header. */
static void a_later_file_cuts_off_earlier_ones(void **state)
{
    struct world *w = *state;
    struct scan_record record;

    make_file(w, 1, 0, 60, 8192);
    make_file(w, 2, 1280, 20, 8192);
    make_file(w, 3, 640, 2, 8192); /* Begun by a recovery that ended before file 2 */
    add(w, 1);
    add(w, 2);
    add(w, 3);
    scan_ready(&w->scan);
    assert_int_equal(at(w, 576), SCAN_RECORD);
    assert_int_equal(scan_at(&w->scan, 640, &record, &w->err), SCAN_RECORD);
    assert_int_equal(w->scan.window_file, 2);
    assert_int_equal(at(w, 768), SCAN_ZERO);
    assert_int_equal(at(w, 1280), SCAN_ZERO); /* Of file 3, not 2 */
}

/* Stepping goes by 64 inside a file and from file to file over what is missing, and ends. */
static void steps_visit_every_place_once(void **state)
{
    struct world *w = *state;
    uint64_t lsn = 0;
    unsigned steps = 0;

    make_file(w, 1, 0, 4, 8192);
    make_file(w, 2, 64000, 4, 8192);
    add(w, 1);
    add(w, 2);
    scan_ready(&w->scan);
    while (lsn != UINT64_MAX) {
        const uint64_t next = scan_step(&w->scan, lsn);

        assert_true(next > lsn);
        steps++;
        lsn = next;
    }
    assert_int_equal(steps, 2 * 4096 / 64);
}

/* What skipping leaves out holds no record: over files larger than the window, with records, remains of an earlier use and
 * zeros anywhere, it stops at each record that stepping finds, reads the device as often, and ends. */
static void skipping_misses_no_record(void **state)
{
    const uint64_t size = 5u << 20;
    struct world *w = *state;
    struct random random;
    uint64_t lsn = 0;
    uint64_t next;
    unsigned skips = 0;
    unsigned i;

    random_init(&random, 11);
    make_file(w, 1, 0, 3, size);
    make_file(w, 2, size, 3, 8192 + 64);
    make_file(w, 3, 4 * size, 3, size);
    sim_disk_settle(w->disk);
    for (i = 0; i < 200; i++) {
        uint8_t bytes[FORMAT_RECORD_HEADER_SIZE];
        struct format_record_header record = {
            .type = RECORD_MARK,
            .lsn = 64 * random_below(&random, (size - FORMAT_PAGE) / 64),
            .size = sizeof bytes};
        const uint64_t at = FORMAT_PAGE + record.lsn;

        record.lsn += i % 4 == 0 ? 64 : 0; /* Of another place */
        format_record_header_encode(bytes, &record,
                                    format_journal_seed(store_id, i % 4 == 1 ? 7 : 1001));
        sim_disk_overwrite(w->disk, "file1", at, bytes, sizeof bytes);
    }
    add(w, 1);
    add(w, 2);
    add(w, 3);
    scan_ready(&w->scan);
    for (next = 0; lsn != UINT64_MAX; lsn = scan_step(&w->scan, lsn)) {
        const enum scan_kind kind = at(w, lsn);

        assert_true(kind != SCAN_RECORD || lsn == next);
        if (lsn == next) {
            const uint64_t read = w->scan.bytes_read;

            next = scan_skip(&w->scan, lsn);
            assert_true(next > lsn);
            assert_int_equal(w->scan.bytes_read, read);
            skips++;
        }
    }
    assert_int_equal(next, UINT64_MAX);
    assert_in_range(skips, 100, 1000);
}

/* Nobody has looked at a place yet, or somebody looked at another file since: the next place is told all the same, a unit further or where
 * the next file begins. */
static void skipping_without_a_look_is_a_step(void **state)
{
    const uint64_t size = 64u << 10;
    struct world *w = *state;

    make_file(w, 1, 0, 3, size);
    make_file(w, 2, 4 * size, 3, size);
    sim_disk_settle(w->disk);
    add(w, 1);
    add(w, 2);
    scan_ready(&w->scan);
    assert_int_equal(scan_skip(&w->scan, 0), 64);
    assert_int_equal(scan_skip(&w->scan, 4 * size), 4 * size + 64);
    assert_int_equal(at(w, 4 * size), SCAN_RECORD);
    assert_int_equal(scan_skip(&w->scan, 64), 128);
    assert_int_equal(scan_skip(&w->scan, size - FORMAT_PAGE - 64), 4 * size);
    assert_int_equal(scan_skip(&w->scan, 2 * size), 4 * size);
    assert_true(scan_skip(&w->scan, 8 * size) == UINT64_MAX);
}

/* A file whose header is damaged, of another store, or under another name holds no record. */
static void a_file_without_its_header_holds_nothing(void **state)
{
    struct world *w = *state;

    make_file(w, 1, 0, 4, 8192);
    make_file(w, 2, 256, 4, 8192);
    make_file(w, 3, 512, 4, 8192);
    sim_disk_settle(w->disk);
    sim_disk_flip_bit(w->disk, "file2", 8 * 70);
    add(w, 1);
    add(w, 2);
    assert_int_equal(scan_add(&w->scan, "file3", 4, store_id, &w->err), 0); /* Another number */
    assert_int_equal(scan_add(&w->scan, "file1", 5, (const uint8_t *)"another store id", &w->err),
                     0);
    scan_ready(&w->scan);
    assert_int_equal(at(w, 192), SCAN_RECORD);
    assert_int_equal(at(w, 256), SCAN_ZERO);
    assert_int_equal(at(w, 8192), SCAN_NONE);
    assert_true(w->scan.files[0].valid);
    assert_false(w->scan.files[1].valid || w->scan.files[2].valid || w->scan.files[3].valid);
}

/* Any file may be empty, short or cut off anywhere: it holds what it holds. */
static void a_short_file_is_no_error(void **state)
{
    struct world *w = *state;

    make_file(w, 1, 0, 10, 8192);
    make_file(w, 2, 4096, 10, 8192);
    make_file(w, 3, 8192, 10, 8192);
    make_file(w, 4, 12288, 10, 8192);
    sim_disk_settle(w->disk);
    sim_disk_resize(w->disk, "file1", 0);
    sim_disk_resize(w->disk, "file2", 4095);
    sim_disk_resize(w->disk, "file3", 4096);
    sim_disk_resize(w->disk, "file4", 4096 + 64 + 30);
    add(w, 1);
    add(w, 2);
    add(w, 3);
    add(w, 4);
    scan_ready(&w->scan);
    assert_int_equal(at(w, 0), SCAN_NONE);
    assert_int_equal(at(w, 4096), SCAN_NONE);
    assert_int_equal(at(w, 8192), SCAN_NONE);
    assert_true(scan_reaches(&w->scan, 8192));
    assert_int_equal(at(w, 12288), SCAN_RECORD);
    assert_int_equal(at(w, 12288 + 64), SCAN_BAD);
}

/* Bytes that do not validate are bad, not zero; what the device cannot give is neither. */
static void bad_zero_and_unreadable_are_told_apart(void **state)
{
    struct world *w = *state;
    unsigned byte;

    make_file(w, 1, 0, 10, 65536);
    sim_disk_settle(w->disk);
    sim_disk_flip_bit(w->disk, "file1", 8 * (FORMAT_PAGE + 64 + 40));
    sim_disk_zero(w->disk, "file1", FORMAT_PAGE + 128, 64);
    add(w, 1);
    scan_ready(&w->scan);
    assert_int_equal(at(w, 0), SCAN_RECORD);
    assert_int_equal(at(w, 64), SCAN_BAD);
    assert_int_equal(at(w, 128), SCAN_ZERO);
    assert_int_equal(at(w, 192), SCAN_RECORD);
    for (byte = 0; byte < FORMAT_RECORD_ALIGN; byte++) {
        sim_disk_flip_bit(w->disk, "file1", 8 * (FORMAT_PAGE + 128 + byte) + byte % 8);
        w->scan.window_size = 0;
        assert_int_equal(at(w, 128), SCAN_BAD);
        sim_disk_flip_bit(w->disk, "file1", 8 * (FORMAT_PAGE + 128 + byte) + byte % 8);
    }
    w->scan.window_size = 0;
    sim_disk_set_unreadable(w->disk, "file1", FORMAT_PAGE + 200, 1);
    assert_int_equal(at(w, 192), SCAN_UNREADABLE);
    assert_int_equal(w->err.code, TUSK_EIO);
}

/* A record that claims to reach beyond its file, or beyond where its file counts, is bad. */
static void a_record_never_reaches_beyond_its_file(void **state)
{
    struct world *w = *state;
    struct format_record_header record = {.type = RECORD_FILLER, .lsn = 256};
    uint8_t bytes[FORMAT_RECORD_HEADER_SIZE];

    make_file(w, 1, 0, 4, 8192);
    make_file(w, 2, 1024, 1, 8192);
    sim_disk_settle(w->disk);
    record.size = 1024 - 256;
    format_record_header_encode(bytes, &record, format_journal_seed(store_id, 1001));
    sim_disk_overwrite(w->disk, "file1", FORMAT_PAGE + 256, bytes, sizeof bytes);
    add(w, 1);
    add(w, 2);
    scan_ready(&w->scan);
    assert_int_equal(at(w, 256), SCAN_RECORD);
    record.size++;
    format_record_header_encode(bytes, &record, format_journal_seed(store_id, 1001));
    sim_disk_overwrite(w->disk, "file1", FORMAT_PAGE + 256, bytes, sizeof bytes);
    w->scan.window_size = 0;
    assert_int_equal(at(w, 256), SCAN_BAD);
    record.size = UINT32_MAX;
    format_record_header_encode(bytes, &record, format_journal_seed(store_id, 1001));
    sim_disk_overwrite(w->disk, "file1", FORMAT_PAGE + 256, bytes, sizeof bytes);
    w->scan.window_size = 0;
    assert_int_equal(at(w, 256), SCAN_BAD);
}

/* A header that checks out and says what cannot be: a place between two places, or one behind the last there is. Its file holds nothing, and
 * nobody is led there. */
static void a_file_that_begins_nowhere_leads_nowhere(void **state)
{
    static const uint64_t places[] = {24576 + 10, UINT64_MAX - 10};
    const uint64_t size = 16384;
    unsigned i;

    (void)state;
    for (i = 0; i < 2; i++) {
        void *world;
        struct world *w;
        uint8_t *page;
        uint64_t file_size;

        assert_int_equal(setup(&world), 0);
        w = world;
        make_file(w, 1, 0, 1, size);
        make_file(w, 2, 32768, 1, size);
        make_file(w, 3, i == 0 ? 65536 : 49152, 1, size);
        sim_disk_settle(w->disk);
        page = sim_disk_file(w->disk, "file2", &file_size);
        put_u64(page + 64, places[i]);
        put_u32(page + FORMAT_PAGE - 4, crc32c(0, page, FORMAT_PAGE - 4));
        sim_disk_overwrite(w->disk, "file2", 0, page, FORMAT_PAGE);
        free(page);
        add(w, 1);
        add(w, 2);
        if (i == 0) {
            add(w, 3);
        }
        scan_ready(&w->scan);
        assert_true(scan_step(&w->scan, size - FORMAT_PAGE - 64) == (i == 0 ? 65536 : UINT64_MAX));
        assert_int_equal(teardown(&world), 0);
    }
}

/* Skipping ends where another file takes over, however much there is behind that place. */
static void skipping_ends_where_the_next_file_begins(void **state)
{
    const uint64_t size = 64u << 10;
    struct world *w = *state;

    make_file(w, 1, 0, 3, size);
    make_file(w, 2, 8192, 3, size);
    sim_disk_settle(w->disk);
    add(w, 1);
    add(w, 2);
    scan_ready(&w->scan);
    assert_int_equal(at(w, 192), SCAN_ZERO);
    assert_int_equal(scan_skip(&w->scan, 192), 8192);
    assert_int_equal(at(w, 8192), SCAN_RECORD);
}

/* Behind the last record of a file comes the next file, where there is none the next place is nowhere; however little lies between. */
static void behind_a_file_comes_the_next_one(void **state)
{
    static const uint64_t gaps[] = {0, FORMAT_RECORD_ALIGN, 2 * FORMAT_RECORD_ALIGN, 4096};
    const uint64_t end = 4096;
    const struct format_record_header last = {.lsn = end - FORMAT_RECORD_ALIGN,
                                              .size = FORMAT_RECORD_HEADER_SIZE};
    unsigned i;

    (void)state;
    for (i = 0; i < 4; i++) {
        void *world;
        struct world *w;

        assert_int_equal(setup(&world), 0);
        w = world;
        make_file(w, 1, 0, 64, FORMAT_PAGE + end);
        make_file(w, 2, end + gaps[i], 1, FORMAT_PAGE + end);
        sim_disk_settle(w->disk);
        add(w, 1);
        scan_ready(&w->scan);
        assert_true(scan_behind(&w->scan, &last) == UINT64_MAX);
        add(w, 2);
        scan_ready(&w->scan);
        assert_true(scan_behind(&w->scan, &last) == end + gaps[i]);
        assert_int_equal(at(w, end + gaps[i]), SCAN_RECORD);
        assert_int_equal(teardown(&world), 0);
    }
}

/* Who looks without opening takes a file whose header is damaged, where its first record proves what is left of that: not where there is none, nor
 * where the place it should have cannot be. */
static void a_damaged_header_is_proved_by_a_record(void **state)
{
    unsigned way;

    (void)state;
    for (way = 0; way < 4; way++) {
        void *world;
        struct world *w;
        uint64_t lsn = UINT64_MAX - 10;

        assert_int_equal(setup(&world), 0);
        w = world;
        make_file(w, 1, 640, 2, 8192);
        sim_disk_settle(w->disk);
        sim_disk_flip_bit(w->disk, "file1", 8 * 2000);
        if (way == 1) {
            sim_disk_resize(w->disk, "file1", FORMAT_PAGE);
        } else if (way == 2) {
            sim_disk_overwrite(w->disk, "file1", 64, &lsn, sizeof lsn);
        }
        w->scan.lenient = way != 3;
        add(w, 1);
        scan_ready(&w->scan);
        assert_int_equal(at(w, 640), way == 0 ? SCAN_RECORD : SCAN_NONE);
        assert_int_equal(scan_reaches(&w->scan, 640), way == 0);
        assert_int_equal(teardown(&world), 0);
    }
}

/* A header of a newer version under a valid checksum is refused, not ignored. */
static void a_newer_file_is_refused(void **state)
{
    struct world *w = *state;
    uint8_t *page;
    uint64_t size;

    make_file(w, 1, 0, 1, 8192);
    sim_disk_settle(w->disk);
    page = sim_disk_file(w->disk, "file1", &size);
    page[8] = 2;
    put_u32(page + FORMAT_PAGE - 4, crc32c(0, page, FORMAT_PAGE - 4));
    sim_disk_overwrite(w->disk, "file1", 0, page, FORMAT_PAGE);
    free(page);
    assert_int_equal(scan_add(&w->scan, "file1", 1, store_id, &w->err), TUSK_EVERSION);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_are_found_by_lsn),
        TEST(a_later_file_cuts_off_earlier_ones),
        TEST(steps_visit_every_place_once),
        TEST(skipping_misses_no_record),
        TEST(a_file_without_its_header_holds_nothing),
        TEST(a_short_file_is_no_error),
        TEST(bad_zero_and_unreadable_are_told_apart),
        TEST(a_record_never_reaches_beyond_its_file),
        TEST(a_newer_file_is_refused),
        TEST(skipping_without_a_look_is_a_step),
        cmocka_unit_test(a_file_that_begins_nowhere_leads_nowhere),
        TEST(skipping_ends_where_the_next_file_begins),
        cmocka_unit_test(behind_a_file_comes_the_next_one),
        cmocka_unit_test(a_damaged_header_is_proved_by_a_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
