/* What the bytes of a store mean, as text: the decoding half of golden_store.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crc32c.h"
#include "tests/golden/golden_store.h"
#include "tests/support/engine_fixture.h"
#include "tests/support/journal_image.h"

#define DIR_SIZE (sizeof FIXTURE_DIR) /* The slash included */

struct describing {
    FILE *out;
    const struct sim_disk *disk;
    uint8_t store_id[ENGINE_STORE_ID_SIZE];
    uint32_t block_size;
    uint32_t blocks_per_segment;
};

static void print_u64s(FILE *out, const uint64_t *values, unsigned count)
{
    unsigned i;

    for (i = 0; i < count; i++) {
        (void)fprintf(out, " %" PRIu64, values[i]);
    }
}

/* ---- manifests ---- */

static void describe_topic(FILE *out, const uint8_t **at, const uint8_t *end)
{
    struct format_topic topic;
    struct format_cursor cursor;
    struct format_topic_block block;
    uint32_t i;

    assert_int_equal(format_topic_decode(&topic, at, end), 0);
    (void)fprintf(out, " topic %" PRIu64 " \"%.*s\"", topic.id, (int)topic.name_size, topic.name);
    print_u64s(out,
               (const uint64_t[]){topic.created_us, topic.retention.kind, topic.retention.age_ms,
                                  topic.retention.bytes, topic.first, topic.next_offset,
                                  topic.run_end, topic.run_size, topic.last_time_us,
                                  topic.next_cursor_id, topic.last_crc},
               11);
    (void)fputc('\n', out);
    for (i = 0; i < topic.cursor_count; i++) {
        assert_int_equal(format_cursor_decode(&cursor, at, end), 0);
        (void)fprintf(out, "  cursor %" PRIu64 " \"%.*s\" %" PRIu64 " %" PRIu64 "\n", cursor.id,
                      (int)cursor.name_size, cursor.name, cursor.offset, cursor.epoch);
    }
    for (i = 0; i < topic.block_count; i++) {
        assert_int_equal(format_topic_block_decode(&block, at, end), 0);
        (void)fprintf(out, "  block");
        print_u64s(out,
                   (const uint64_t[]){block.segment, block.index, block.generation,
                                      block.first_offset, block.end_offset, block.last_time_us,
                                      block.end, block.entries, block.sealed},
                   9);
        (void)fputc('\n', out);
    }
}

static void describe_manifest(void *arg, const char *path, uint64_t size)
{
    struct describing *d = arg;
    const struct engine_settings *settings;
    struct format_manifest m;
    struct format_incarnation incarnation;
    const uint8_t *at;
    const uint8_t *end;
    uint8_t *data;
    uint64_t number;
    uint64_t i;

    if (!format_file_number(path + DIR_SIZE, "manifest-", "", &number)) {
        return;
    }
    data = sim_disk_file(d->disk, path, &size);
    assert_int_equal(format_manifest_decode(&m, data), 0);
    assert_int_equal(m.number, number);
    at = data + FORMAT_PAGE;
    end = at + m.body_size;
    assert_int_equal(crc32c(0, at, m.body_size), m.body_crc);
    memcpy(d->store_id, m.store_id, sizeof d->store_id);
    d->block_size = m.block_size;
    d->blocks_per_segment = m.blocks_per_segment;
    settings = &m.settings;
    (void)fprintf(d->out, "manifest");
    print_u64s(d->out,
               (const uint64_t[]){m.number, m.lsn, m.mark, m.time_us, m.chain_crc, m.block_size,
                                  m.blocks_per_segment, m.next_topic_id, m.next_segment,
                                  m.incarnation_ordinal, settings->retention.kind,
                                  settings->retention.age_ms, settings->retention.bytes,
                                  settings->fsync_ms, settings->consistency, settings->quota_bytes,
                                  settings->quota_topics, settings->quota_cursors},
               18);
    (void)fputc('\n', d->out);
    for (i = 0; i < m.incarnation_count; i++) {
        assert_int_equal(format_incarnation_decode(&incarnation, &at, end), 0);
        (void)fprintf(d->out, " incarnation %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
                      incarnation.ordinal, incarnation.id, incarnation.time_us, incarnation.lsn);
    }
    for (i = 0; i < m.topic_count; i++) {
        describe_topic(d->out, &at, end);
    }
    assert_ptr_equal(at, end);
    free(data);
}

/* ---- the journal ---- */

static void describe_items(FILE *out, const struct image_record *record)
{
    struct format_items items;
    struct format_item item;

    assert_int_equal(format_items_check(&record->header, record->bytes), 0);
    format_items_begin(&items, &record->header, record->bytes);
    while (format_items_next(&items, &item) == 1) {
        (void)fprintf(out, "  item");
        print_u64s(out,
                   (const uint64_t[]){item.place.segment, item.place.index, item.place.position,
                                      item.header.first_offset, item.header.time_us,
                                      item.header.entry_count, item.header.stored_size,
                                      item.header.body_crc, item.header.previous_crc,
                                      item.header.header_crc},
                   10);
        (void)fputc('\n', out);
    }
}

static void describe_journal(struct describing *d)
{
    struct journal_image *image = journal_image_load(d->disk, FIXTURE_DIR);
    const struct image_file *file = NULL;
    struct format_record body;
    unsigned i;

    for (i = 0; i < image->record_count; i++) {
        const struct image_record *record = &image->records[i];
        const struct format_record_header *header = &record->header;

        if (record->file != file) {
            file = record->file;
            (void)fprintf(d->out, "journal");
            print_u64s(d->out,
                       (const uint64_t[]){file->header.number, file->header.size,
                                          file->header.generation, file->header.first_lsn,
                                          file->header.mark, file->header.previous_crc},
                       6);
            (void)fputc('\n', d->out);
        }
        (void)fprintf(d->out, " %s", format_record_name(header->type));
        print_u64s(d->out,
                   (const uint64_t[]){header->lsn, header->size, header->previous_crc, header->mark,
                                      header->crc},
                   5);
        if (format_record_has_items(header->type)) {
            (void)fputc('\n', d->out);
            describe_items(d->out, record);
            continue;
        }
        assert_int_equal(format_record_body_decode(&body, header, record->bytes), 0);
        (void)fprintf(d->out, " :");
        /* Eight were the most when the first stores were described. */
        print_u64s(d->out, body.field, header->type == RECORD_STRETCH ? FORMAT_FIELDS_MAX : 8);
        (void)fprintf(d->out, " \"%.*s\"\n", (int)body.name_size, body.name);
    }
    journal_image_free(image);
}

/* ---- blocks ---- */

static void describe_batches(struct describing *d, const uint8_t *bytes,
                             const struct format_block *block)
{
    const uint32_t seed = batch_seed(d->store_id, block->generation);
    const uint32_t limit = format_block_limit(d->block_size);
    uint32_t at = FORMAT_BLOCK_DATA;
    struct batch_header header;

    while (at + BATCH_HEADER_SIZE <= limit &&
           batch_verify(bytes + at, limit - at, limit, &header) == BATCH_GOOD &&
           header.header_crc == batch_header_crc(bytes + at, seed, at)) {
        struct batch_iterator it;
        struct batch_entry entry;

        (void)fprintf(d->out, "  batch");
        print_u64s(d->out,
                   (const uint64_t[]){at, header.first_offset, header.time_us, header.entry_count,
                                      header.previous_crc, header.header_crc},
                   6);
        batch_entries(&it, bytes + at);
        while (batch_next(&it, &entry)) {
            (void)fprintf(d->out, " \"%.*s\"", entry.size > 16 ? 16 : (int)entry.size,
                          (const char *)entry.data);
        }
        (void)fputc('\n', d->out);
        at += (uint32_t)batch_padded_size(header.stored_size);
    }
}

static void describe_block(struct describing *d, const uint8_t *bytes)
{
    struct format_block block;
    struct format_seal seal;

    if (format_block_decode(&block, bytes) != 0) {
        return; /* Never used */
    }
    (void)fprintf(d->out, " block %" PRIu64 " %" PRIu64 " \"%.*s\"", block.segment, block.index,
                  (int)block.name_size, block.name);
    print_u64s(d->out,
               (const uint64_t[]){block.generation, block.topic_id, block.first_offset,
                                  block.previous_segment, block.previous_index},
               5);
    (void)fputc('\n', d->out);
    describe_batches(d, bytes, &block);
    if (format_seal_decode(&seal, &block, bytes + FORMAT_PAGE) == 0) {
        (void)fprintf(d->out, "  seal");
        print_u64s(d->out,
                   (const uint64_t[]){seal.end, seal.index_count, seal.index_crc, seal.last_crc,
                                      seal.next_offset, seal.entries, seal.last_time_us},
                   7);
        (void)fputc('\n', d->out);
    }
}

static void describe_segment(void *arg, const char *path, uint64_t size)
{
    struct describing *d = arg;
    uint8_t *data;
    uint64_t number;
    uint32_t i;

    if (!format_file_number(path + DIR_SIZE, "", ".seg", &number)) {
        return;
    }
    data = sim_disk_file(d->disk, path, &size);
    (void)fprintf(d->out, "segment %" PRIu64 "\n", number);
    for (i = 0; i < d->blocks_per_segment && (uint64_t)(i + 1) * d->block_size <= size; i++) {
        describe_block(d, data + (uint64_t)i * d->block_size);
    }
    free(data);
}

/* Files in order of their paths, so that the text does not depend on the order they were made in. */
struct sorted {
    sim_file_fn *fn;
    void *arg;
    char before[IO_PATH_SIZE];
    char best[IO_PATH_SIZE];
};

static void next_file(void *arg, const char *path, uint64_t size)
{
    struct sorted *sorted = arg;

    (void)size;
    if (strncmp(path, FIXTURE_DIR "/", DIR_SIZE) == 0 && strcmp(path, sorted->before) > 0 &&
        (sorted->best[0] == '\0' || strcmp(path, sorted->best) < 0)) {
        (void)snprintf(sorted->best, sizeof sorted->best, "%s", path);
    }
}

static void each_sorted(const struct sim_disk *disk, sim_file_fn *fn, void *arg)
{
    struct sorted sorted = {.fn = fn, .arg = arg};

    for (;;) {
        sorted.best[0] = '\0';
        sim_disk_list(disk, next_file, &sorted);
        if (sorted.best[0] == '\0') {
            return;
        }
        fn(arg, sorted.best, 0);
        memcpy(sorted.before, sorted.best, sizeof sorted.before);
    }
}

void golden_describe(FILE *out, const struct sim_disk *disk)
{
    struct describing d = {.out = out, .disk = disk};

    each_sorted(disk, describe_manifest, &d);
    describe_journal(&d);
    each_sorted(disk, describe_segment, &d);
}
