/* dump: every kind of file is known by its first bytes, every piece has its offset and its verdict,
 * and what is no file of a store is said to be none. */
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "proto/bytes.h"
#include "proto/crc32c.h"
#include "tests/support/offline_fixture.h"

#define SEGMENT FIXTURE_DIR "/0000000000000001.seg"

static struct fixture *store(void)
{
    struct fixture *f = fixture_new(31);
    unsigned i;

    fixture_open(f);
    (void)fixture_append_strings(f, "orders", "one", "t\x01wo\xff", NULL);
    for (i = 0; i < 40; i++) {
        assert_int_equal(fixture_append_size(f, "orders", 900), 0);
    }
    assert_int_equal(fixture_checkpoint(f, "orders", "billing", 1), 0);
    fixture_settle(f);
    fixture_stop(f);
    return f;
}

static void expect(struct fixture *f, const char *path, int status, const char *text)
{
    struct said said;

    offline_dump_disk(f, path, OUT_TEXT, PAYLOAD_TEXT, &said);
    if (said.status != status || (text != NULL && !said_has(&said, text))) {
        fail_msg("%s: exit %d, wanted %d with \"%s\"; %s\n%.4000s", path, said.status, status,
                 text != NULL ? text : "", f->err.text, said.text);
    }
    said_free(&said);
}

static void journal_with_records(struct fixture *f, char path[IO_PATH_SIZE])
{
    (void)snprintf(path, IO_PATH_SIZE, "%s/journal/0000000000000001.jnl", FIXTURE_DIR);
    assert_true(sim_disk_exists(f->disk, path));
}

/* Manifest, journal and segment, all sound. */
static void every_kind_of_file_is_described(void **state)
{
    struct fixture *f = store();
    char path[IO_PATH_SIZE];

    (void)state;
    (void)fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path);
    expect(f, path, OFFLINE_DONE, "topic at=");
    expect(f, path, OFFLINE_DONE, "cursor at=");
    expect(f, path, OFFLINE_DONE, "name=\"billing\"");
    expect(f, path, OFFLINE_DONE, "sealed=true");
    journal_with_records(f, path);
    expect(f, path, OFFLINE_DONE, "record at=4096 lsn=0 type=open");
    expect(f, path, OFFLINE_DONE, "type=\"block allocate\"");
    expect(f, path, OFFLINE_DONE, "data=\"one\"");
    expect(f, path, OFFLINE_DONE, "data=\"t\\x01wo\\xff\"");
    expect(f, SEGMENT, OFFLINE_DONE, "block at=0 checksum=good");
    expect(f, SEGMENT, OFFLINE_DONE, "seal at=4096 checksum=good");
    expect(f, SEGMENT, OFFLINE_DONE, "index_entry at=");
    expect(f, SEGMENT, OFFLINE_DONE, "batch at=8192 position=8192 first_offset=0 entries=2");
    fixture_free(f);
}

/* Entries in hex, and in JSON as text or in base 64. */
static void entries_are_shown_as_asked(void **state)
{
    struct fixture *f = store();
    struct said said;

    (void)state;
    offline_dump_disk(f, SEGMENT, OUT_TEXT, PAYLOAD_HEX, &said);
    assert_true(said_has(&said, "offset=0 size=3 hex=6f6e65"));
    said_free(&said);
    offline_dump_disk(f, SEGMENT, OUT_JSONL, PAYLOAD_TEXT, &said);
    assert_true(said_has(&said, "\"offset\":0,\"size\":3,\"data\":\"one\"}\n"));
    assert_true(said_has(&said, "\"offset\":1,\"size\":5,\"data_b64\":\"dAF3b/8=\"}\n"));
    said_free(&said);
    offline_dump_disk(f, SEGMENT, OUT_JSONL, PAYLOAD_NONE, &said);
    assert_false(said_has(&said, "\"what\":\"entry\""));
    said_free(&said);
    fixture_free(f);
}

/* A changed bit is told where it is. */
static void what_does_not_check_out_is_told(void **state)
{
    char path[IO_PATH_SIZE];
    struct fixture *f = store();

    (void)state;
    (void)fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path);
    sim_disk_flip_bit(f->disk, path, 8 * (FORMAT_PAGE + 40));
    expect(f, path, OFFLINE_DAMAGED, "checksum=good body=BAD");
    sim_disk_flip_bit(f->disk, path, 8 * 100);
    expect(f, path, OFFLINE_DAMAGED, "manifest at=0 checksum=BAD");
    journal_with_records(f, path);
    sim_disk_flip_bit(f->disk, path, 8 * (FORMAT_PAGE + 20));
    expect(f, path, OFFLINE_DAMAGED, "none at=4096 lsn=0 bytes=128 record=BAD");
    sim_disk_flip_bit(f->disk, path, 8 * 60);
    expect(f, path, OFFLINE_DAMAGED, "holds no record");
    sim_disk_flip_bit(f->disk, SEGMENT, 8 * (FORMAT_BLOCK_DATA + BATCH_HEADER_SIZE + 1));
    expect(f, SEGMENT, OFFLINE_DAMAGED, "header=good body=BAD");
    sim_disk_flip_bit(f->disk, SEGMENT, 8 * (FORMAT_BLOCK_DATA + 9));
    expect(f, SEGMENT, OFFLINE_DAMAGED, "none at=8192 position=8192 bytes=80 header=BAD");
    sim_disk_flip_bit(f->disk, SEGMENT, 8 * 90);
    expect(f, SEGMENT, OFFLINE_DAMAGED, "block at=0 checksum=BAD");
    sim_disk_flip_bit(f->disk, SEGMENT, 8 * (FORMAT_PAGE + 390));
    expect(f, SEGMENT, OFFLINE_DAMAGED, "block at=0 checksum=BAD");
    fixture_free(f);
}

static void write_file(struct fixture *f, const char *path, const void *data, size_t size)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    struct io_file *file;
    struct io *io;

    assert_int_equal(io_sim_open(&io, f->disk), 0);
    assert_int_equal(io_open(io, path, IO_OPEN_CREATE, &file, &f->err), 0);
    if (size > 0) {
        assert_int_equal(io_write(file, &iov, 1, 0, &f->err), 0);
    }
    io_close_file(file);
    io_close(io);
    sim_disk_settle(f->disk);
}

/* Text, an empty file, a piece of a header: a clear error, and not damage. */
static void what_is_no_file_of_a_store_is_refused(void **state)
{
    struct fixture *f = store();
    uint8_t page[2 * FORMAT_PAGE] = {0};
    char path[IO_PATH_SIZE];
    uint64_t size;
    uint8_t *data;

    (void)state;
    write_file(f, "empty", "", 0);
    expect(f, "empty", OFFLINE_USAGE, NULL);
    assert_non_null(strstr(f->err.text, "is empty"));
    write_file(f, "short", "TUSKMAN\n", 8);
    expect(f, "short", OFFLINE_USAGE, NULL);
    assert_non_null(strstr(f->err.text, "is truncated: 8 bytes"));
    write_file(f, "shorter", "TUS", 3);
    expect(f, "shorter", OFFLINE_USAGE, NULL);
    assert_non_null(strstr(f->err.text, "is truncated: 3 bytes"));
    write_file(f, "note", "Dear reader", 11);
    expect(f, "note", OFFLINE_USAGE, NULL);
    assert_non_null(strstr(f->err.text, "is not a file of a store: it begins with 44 65 61 72"));
    assert_null(strstr(f->err.text, "truncated"));
    write_file(f, "letter", "D", 1);
    expect(f, "letter", OFFLINE_USAGE, NULL);
    assert_non_null(strstr(f->err.text, "is not a file of a store: it begins with 44, and"));
    memset(page, 'x', sizeof page);
    write_file(f, "text", page, sizeof page);
    expect(f, "text", OFFLINE_USAGE, NULL);
    assert_non_null(strstr(f->err.text, "is not a file of a store"));
    memset(page, 0, sizeof page);
    write_file(f, "zeros", page, sizeof page);
    expect(f, "zeros", OFFLINE_DONE, "nothing but zeros");
    expect(f, "missing", OFFLINE_NOTFOUND, NULL);

    /* A seal by itself is one; a newer version is refused with both numbers. */
    data = sim_disk_file(f->disk, SEGMENT, &size);
    write_file(f, "seal", data + FORMAT_PAGE, FORMAT_PAGE);
    expect(f, "seal", OFFLINE_DONE, "seal at=0 checksum=good");
    free(data);
    (void)fixture_last_file(f, FIXTURE_DIR "/manifest-0", "", path);
    data = sim_disk_file(f->disk, path, &size);
    data[8] = 9;
    put_u32(data + FORMAT_PAGE - 4, crc32c(0, data, FORMAT_PAGE - 4));
    write_file(f, "newer", data, FORMAT_PAGE);
    expect(f, "newer", OFFLINE_REFUSED, NULL);
    assert_non_null(strstr(f->err.text, "format version 9"));
    free(data);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_file_is_described),
        cmocka_unit_test(entries_are_shown_as_asked),
        cmocka_unit_test(what_does_not_check_out_is_told),
        cmocka_unit_test(what_is_no_file_of_a_store_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
