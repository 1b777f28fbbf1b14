/* Load on RocksDB, in process, through its C interface: no compression, everything else as it
 * comes. */
#include "tests/bench/embedded.h"

#include <rocksdb/c.h>
#include <stdlib.h>

#include "tests/bench/load.h"

#define PLACE "place" /* Behind all numbers: its first byte is greater than theirs */

static rocksdb_t *db;
static rocksdb_writeoptions_t *write_options;
static rocksdb_readoptions_t *read_options;
static rocksdb_iterator_t *iterator;
static bool scanning;

static void expect(char *error)
{
    if (error != NULL) {
        load_fail("rocksdb: %s", error);
    }
}

static uint64_t store_open(const char *directory, bool each)
{
    rocksdb_options_t *options = rocksdb_options_create();
    char *error = NULL;
    uint64_t next = 0;
    size_t size;

    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_compression(options, rocksdb_no_compression);
    db = rocksdb_open(options, directory, &error);
    expect(error);
    write_options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(write_options, each);
    read_options = rocksdb_readoptions_create();
    iterator = rocksdb_create_iterator(db, read_options);
    rocksdb_iter_seek_for_prev(iterator, PLACE, 1);
    if (rocksdb_iter_valid(iterator)) {
        next = embedded_number(rocksdb_iter_key(iterator, &size)) + 1;
    }
    rocksdb_iter_destroy(iterator);
    iterator = NULL;
    return next;
}

static void store_put(uint64_t number, uint32_t count, const uint8_t *values, size_t size)
{
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    char key[EMBEDDED_KEY_SIZE];
    char *error = NULL;
    uint32_t i;

    for (i = 0; i < count; i++) {
        embedded_key(number + i, key);
        rocksdb_writebatch_put(batch, key, sizeof key, (const char *)values + i * size, size);
    }
    rocksdb_write(db, write_options, batch, &error);
    expect(error);
    rocksdb_writebatch_destroy(batch);
}

static void store_sync(void)
{
    char *error = NULL;

    rocksdb_flush_wal(db, 1, &error);
    expect(error);
}

static void store_scan_begin(void)
{
    iterator = rocksdb_create_iterator(db, read_options);
    rocksdb_iter_seek_to_first(iterator);
    scanning = false;
}

/* The iterator stands on what was returned last, whose bytes it keeps. */
static const uint8_t *store_scan(size_t *size)
{
    size_t key_size;

    if (scanning) {
        rocksdb_iter_next(iterator);
    }
    scanning = true;
    if (!rocksdb_iter_valid(iterator) || rocksdb_iter_key(iterator, &key_size)[0] == PLACE[0]) {
        return NULL;
    }
    return (const uint8_t *)rocksdb_iter_value(iterator, size);
}

static void store_scan_end(void)
{
    rocksdb_iter_destroy(iterator);
    iterator = NULL;
}

static void store_save(uint64_t number)
{
    char value[EMBEDDED_KEY_SIZE];
    char *error = NULL;

    embedded_key(number, value);
    rocksdb_put(db, write_options, PLACE, sizeof PLACE - 1, value, sizeof value, &error);
    expect(error);
}

int main(int argc, char **argv)
{
    static const struct store rocksdb = {.open = store_open,
                                         .put = store_put,
                                         .sync = store_sync,
                                         .scan_begin = store_scan_begin,
                                         .scan = store_scan,
                                         .scan_end = store_scan_end,
                                         .save = store_save};

    return embedded_main(argc, argv, &rocksdb);
}
