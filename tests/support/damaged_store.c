#include "tests/support/damaged_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format.h"

#define BLOCK_SIZE (32u << 10)
#define CURSOR_AT 20u

static bool has(const char *path, const char *part)
{
    return strstr(path, part) != NULL;
}

/* ---- the store ---- */

static void add_file(void *arg, const char *path, uint64_t size)
{
    struct damaged_store *store = arg;
    uint64_t used = size;
    uint8_t *data;

    if (strcmp(path, "LOCK") == 0) {
        return;
    }
    assert_true(store->files < DAMAGED_FILES_MAX);
    data = sim_disk_file(store->disk, path, &size);
    while (used > 0 && data[used - 1] == 0) {
        used--;
    }
    free(data);
    (void)snprintf(store->paths[store->files], IO_PATH_SIZE, "%s", path);
    store->used[store->files] = used;
    store->sizes[store->files++] = size;
}

static void add_block(struct damaged_store *store, unsigned file, uint64_t start,
                      const uint8_t *page)
{
    struct damaged_block *block = &store->blocks[store->block_count];
    struct format_block header;
    unsigned log = 0;

    if (format_block_decode(&header, page) != 0) {
        return;
    }
    while (log < DAMAGED_LOGS &&
           (strlen(store->logs[log].topic) != header.name_size ||
            memcmp(store->logs[log].topic, header.name, header.name_size) != 0)) {
        log++;
    }
    assert_true(log < DAMAGED_LOGS && store->block_count < DAMAGED_BLOCKS_MAX);
    *block = (struct damaged_block){.file = file,
                                    .start = start,
                                    .log = log,
                                    .first = header.first_offset,
                                    .end = store->ends[log]};
    store->block_count++;
}

static void find_blocks(struct damaged_store *store)
{
    unsigned i;
    unsigned j;

    for (i = 0; i < store->files; i++) {
        uint64_t size;
        uint8_t *data = sim_disk_file(store->disk, store->paths[i], &size);
        uint64_t start;

        for (start = 0; has(store->paths[i], ".seg") && start + FORMAT_PAGE <= size;
             start += BLOCK_SIZE) {
            add_block(store, i, start, data + start);
        }
        free(data);
    }
    for (i = 0; i < store->block_count; i++) {
        struct damaged_block *block = &store->blocks[i];

        for (j = 0; j < store->block_count; j++) {
            const struct damaged_block *next = &store->blocks[j];

            if (next->log == block->log && next->first > block->first && next->first < block->end) {
                block->end = next->first;
            }
        }
    }
}

/* Entries in a tail, in an active block and in a full one, of two topics; cursors; two manifests and journal
 * behind them. */
void damaged_store_make(struct damaged_store *store)
{
    struct fixture *f = fixture_new(4);
    unsigned i;

    *store = (struct damaged_store){.logs = {{.topic = "small"}, {.topic = "large"}}};
    f->options.manifest_journal_bytes = 6u << 10;
    fixture_open(f);
    for (i = 0; i < 26; i++) {
        assert_int_equal(fixture_log_append(f, &store->logs[0], 2, 150, true), 0);
        if (i % 4 == 0) {
            assert_int_equal(fixture_log_append(f, &store->logs[1], 1, 4500, true), 0);
        }
        fixture_settle(f);
    }
    assert_int_equal(fixture_checkpoint(f, "small", "c", CURSOR_AT), 0);
    /* The idle journal writes its mark: everything is known to be durable. */
    fixture_pass(f, 1100000);
    fixture_settle(f);
    assert_true(fixture_stat(f, "manifests") >= 2);
    for (i = 0; i < DAMAGED_LOGS; i++) {
        store->ends[i] = fixture_info(f, store->logs[i].topic).end;
    }
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_settle(f->disk);
    store->disk = sim_disk_clone(f->disk);
    fixture_free(f);
    sim_disk_list(store->disk, add_file, store);
    find_blocks(store);
}

void damaged_store_free(struct damaged_store *store)
{
    sim_disk_free(store->disk);
}

struct fixture *damaged_store_copy(const struct damaged_store *store)
{
    struct fixture *f = fixture_new(4);

    sim_disk_free(f->disk);
    f->disk = sim_disk_clone(store->disk);
    return f;
}

/* ---- what is served ---- */

/* What was damaged. */
struct hit {
    const struct damaged_store *store;
    unsigned file;
    uint64_t from;
    uint64_t to;
};

struct seen {
    const struct fixture_log *log;
    uint64_t next; /* The number the next entry has, at least */
    uint64_t count;
};

static void see(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    struct seen *seen = arg;
    uint64_t number;

    (void)offset;
    if (!fixture_log_owns(seen->log, data, size, &number)) {
        fail_msg("an entry of \"%s\" that was never appended", seen->log->topic);
    }
    assert_true(number >= seen->next);
    assert_true(number < seen->log->acked);
    seen->next = number + 1;
    seen->count++;
}

/* Is the offset in a block of the topic whose batches were hit? */
static bool in_a_hit_block(const struct hit *hit, unsigned log, uint64_t offset)
{
    const struct damaged_store *store = hit->store;
    unsigned i;

    for (i = 0; i < store->block_count; i++) {
        const struct damaged_block *block = &store->blocks[i];

        if (block->file == hit->file && block->log == log && offset >= block->first &&
            offset < block->end && hit->from < block->start + format_block_limit(BLOCK_SIZE) &&
            hit->to > block->start + FORMAT_BLOCK_DATA) {
            return true;
        }
    }
    return false;
}

/* Read all of a topic, skipping what is told to be damaged. Returns the entries missing without being told; adds those
 * that are told. */
static uint64_t untold(struct fixture *f, const struct hit *hit, unsigned number, uint64_t *told)
{
    const struct fixture_log *log = &hit->store->logs[number];
    struct seen seen = {.log = log};
    const struct engine_topic_ref ref = {.name = log->topic, .name_size = strlen(log->topic)};
    struct engine_topic_info info;
    struct fixture_read read = {0};
    uint64_t skipped = 0;
    int status;

    if (engine_topic_info(f->ns, &ref, &info, &f->err) != 0) {
        return log->acked;
    }
    do {
        read.request.skip_damage = true;
        fixture_read_begin(f, &read, log->topic);
        status = fixture_read_end(f, &read);
        if (read.request.skipped_to > read.request.skipped_from) {
            skipped += read.request.skipped_to - read.request.skipped_from;
            assert_true(in_a_hit_block(hit, number, read.request.skipped_from));
            assert_true(in_a_hit_block(hit, number, read.request.skipped_to - 1));
        }
        if (status == 0) {
            fixture_entries(&read.request, see, &seen);
            read.request.position = ENGINE_AT_OFFSET;
            read.request.value = read.request.to;
        }
        fixture_read_free(&read);
    } while (status == 0);
    assert_int_equal(status, TUSK_EEND);
    *told += skipped;
    return seen.count + skipped >= log->acked ? 0 : log->acked - seen.count - skipped;
}

void damaged_store_judge(struct damaged_store *store, struct fixture *f, unsigned file,
                         uint64_t from, uint64_t to)
{
    const struct hit hit = {.store = store, .file = file, .from = from, .to = to};
    const bool in_journal = has(store->paths[file], ".jnl");
    const bool may_end = in_journal && to - from > 1;
    uint64_t missing = 0;
    uint64_t told = 0;
    unsigned i;

    assert_int_equal(fixture_try_open(f), 0); /* One namespace is damaged, not the directory */
    if (!fixture_serves(f)) {
        /* Of the manifests there are two, and blocks are judged when they are read. */
        assert_true(in_journal);
        assert_true(strpbrk(fixture_reason(f), "0123456789") != NULL); /* The place */
        store->refused++;
    } else {
        for (i = 0; i < DAMAGED_LOGS; i++) {
            missing += untold(f, &hit, i, &told);
        }
        store->lost += missing > 0 ? 1u : 0u;
        store->told += told > 0 ? 1u : 0u;
        /* A journal that ends early may end the history, where no later record says that it went on. */
        assert_true(may_end || missing == 0);
        assert_true(may_end || fixture_cursor(f, store->logs[0].topic, "c") == CURSOR_AT);
        assert_int_equal(fixture_append_size(f, "more", 100), 0);
        assert_int_equal(fixture_try_read(f, "more", ENGINE_AT_EARLIEST, 0), 0);
    }
    fixture_close(f);
}
