/* Load on LMDB, in process. Lazy is MDB_NOSYNC and a sync now and then, each what it does by
 * itself. */
#include "tests/bench/embedded.h"

#include <lmdb.h>
#include <string.h>

#include "tests/bench/load.h"

#define MAP_SIZE (40ull << 30)
#define PLACE "place" /* In a table of its own */

static MDB_env *env;
static MDB_dbi entries;
static MDB_dbi places;
static MDB_txn *scan_txn;
static MDB_cursor *scan_cursor;

static void expect(int code)
{
    if (code != 0) {
        load_fail("lmdb: %s", mdb_strerror(code));
    }
}

static uint64_t number_behind_last(void)
{
    MDB_cursor *cursor;
    MDB_val value;
    MDB_val key;
    MDB_txn *txn;
    uint64_t next = 0;

    expect(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
    expect(mdb_cursor_open(txn, entries, &cursor));
    if (mdb_cursor_get(cursor, &key, &value, MDB_LAST) == 0) {
        next = embedded_number(key.mv_data) + 1;
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return next;
}

static uint64_t store_open(const char *directory, bool each)
{
    MDB_txn *txn;

    expect(mdb_env_create(&env));
    expect(mdb_env_set_mapsize(env, MAP_SIZE));
    expect(mdb_env_set_maxdbs(env, 2));
    expect(mdb_env_open(env, directory, each ? 0 : MDB_NOSYNC, 0600));
    expect(mdb_txn_begin(env, NULL, 0, &txn));
    expect(mdb_dbi_open(txn, "entries", MDB_CREATE, &entries));
    expect(mdb_dbi_open(txn, "places", MDB_CREATE, &places));
    expect(mdb_txn_commit(txn));
    return number_behind_last();
}

/* Ascending keys: MDB_APPEND, but with many threads a later number may come first. */
static void store_put(uint64_t number, uint32_t count, const uint8_t *values, size_t size)
{
    char key_bytes[EMBEDDED_KEY_SIZE];
    MDB_txn *txn;
    uint32_t i;

    expect(mdb_txn_begin(env, NULL, 0, &txn));
    for (i = 0; i < count; i++) {
        MDB_val key = {EMBEDDED_KEY_SIZE, key_bytes};
        MDB_val value = {size, NULL};
        int code;

        embedded_key(number + i, key_bytes);
        memcpy(&value.mv_data, &(const uint8_t *){values + i * size}, sizeof value.mv_data);
        code = mdb_put(txn, entries, &key, &value, MDB_APPEND);
        expect(code == MDB_KEYEXIST ? mdb_put(txn, entries, &key, &value, 0) : code);
    }
    expect(mdb_txn_commit(txn));
}

static void store_sync(void)
{
    expect(mdb_env_sync(env, 1));
}

static void store_scan_begin(void)
{
    expect(mdb_txn_begin(env, NULL, MDB_RDONLY, &scan_txn));
    expect(mdb_cursor_open(scan_txn, entries, &scan_cursor));
}

static const uint8_t *store_scan(size_t *size)
{
    MDB_val value;
    MDB_val key;

    if (mdb_cursor_get(scan_cursor, &key, &value, MDB_NEXT) != 0) {
        return NULL;
    }
    *size = value.mv_size;
    return value.mv_data;
}

static void store_scan_end(void)
{
    mdb_cursor_close(scan_cursor);
    mdb_txn_abort(scan_txn);
}

static void store_save(uint64_t number)
{
    char place[] = PLACE;
    char bytes[EMBEDDED_KEY_SIZE];
    MDB_val key = {strlen(place), place};
    MDB_val value = {sizeof bytes, bytes};
    MDB_txn *txn;

    embedded_key(number, bytes);
    expect(mdb_txn_begin(env, NULL, 0, &txn));
    expect(mdb_put(txn, places, &key, &value, 0));
    expect(mdb_txn_commit(txn));
}

int main(int argc, char **argv)
{
    static const struct store lmdb = {.open = store_open,
                                      .put = store_put,
                                      .sync = store_sync,
                                      .scan_begin = store_scan_begin,
                                      .scan = store_scan,
                                      .scan_end = store_scan_end,
                                      .save = store_save};

    return embedded_main(argc, argv, &lmdb);
}
