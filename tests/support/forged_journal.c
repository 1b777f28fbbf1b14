#include "tests/support/forged_journal.h"

#include <stdlib.h>
#include <string.h>

#include "proto/crc32c.h"
#include "tests/support/journal_image.h"

void forged_expect_refusal(struct fixture *f, const char *reason)
{
    uint64_t before;

    sim_disk_settle(f->disk);
    before = fixture_hash(f);
    assert_int_equal(fixture_try_open(f), 0);
    if (fixture_serves(f) || strstr(fixture_reason(f), reason) == NULL) {
        fail_msg("not \"%s\": %s", reason, fixture_serves(f) ? "serves" : fixture_reason(f));
    }
    fixture_close(f);
    sim_disk_settle(f->disk);
    assert_int_equal(fixture_hash(f), before);
}

void forged_make_tables(struct fixture *f, struct forged_tables *tables)
{
    const struct engine_topic_ref by_name = {.name = "t", .name_size = 1};
    struct topic *topic;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    assert_int_equal(fixture_checkpoint(f, "t", "c", 1), 0);
    fixture_append_strings(f, "u", "b", NULL);
    fixture_settle(f);
    topic = namespace_topic(f->ns, &by_name);
    tables->topic_id = topic->id;
    tables->other_id = topic->id + 1;
    tables->next_offset = topic->next_offset;
    tables->last_crc = topic->last_crc;
    tables->block = *topic_active(topic);
    tables->seed = batch_seed(f->ns->store_id, tables->block.generation);
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_settle(f->disk);
}

void forged_add_behind(struct fixture *f, uint8_t *bytes, uint16_t type, uint32_t size,
                       uint32_t body_crc, const struct forged_where *where)
{
    struct journal_image *image = journal_image_load(f->disk, FIXTURE_DIR);
    const struct image_record *last = journal_image_last(image, 0, UINT64_MAX);
    const uint64_t step = format_record_padded(last->header.size) + where->gap;
    struct format_record_header header = {.type = type,
                                          .lsn = last->header.lsn + step,
                                          .size = size,
                                          .body_crc = body_crc,
                                          .previous_crc = last->header.crc,
                                          .mark = last->header.mark};

    header.mark = where->all_durable ? header.lsn : header.mark;
    format_record_header_encode(bytes, &header, last->file->seed);
    sim_disk_overwrite(f->disk, last->file->path, last->offset + step, bytes, size);
    journal_image_free(image);
}

void forged_add_record(struct fixture *f, uint8_t *bytes, uint16_t type, uint32_t size,
                       uint32_t body_crc)
{
    forged_add_behind(f, bytes, type, size, body_crc, &(struct forged_where){.gap = 0});
}

void forged_add(struct fixture *f, const struct format_record *record)
{
    uint8_t bytes[512] = {0};
    const uint32_t crc = format_record_body_encode(bytes, record);

    forged_add_record(f, bytes, record->type, format_record_size(record), crc);
}

void forged_add_batch(struct fixture *f, const struct forged_batch *forged)
{
    const struct batch_entry entry = {.data = (const uint8_t *)"forged", .size = 6};
    uint8_t bytes[512] = {0};
    uint8_t *item = bytes + FORMAT_RECORD_HEADER_SIZE;
    const uint32_t padded = (uint32_t)batch_padded_size(4 + entry.size);

    format_place_encode(item, &forged->place);
    batch_encode(item + FORMAT_PLACE_SIZE, &entry, 1);
    (void)batch_complete(item + FORMAT_PLACE_SIZE, forged->first_offset, 1, forged->previous_crc,
                         forged->seed, forged->place.position);
    item[FORMAT_PLACE_SIZE + BATCH_HEADER_SIZE + 4] ^= forged->damaged ? 1u : 0u;
    forged_add_record(f, bytes, RECORD_BATCH,
                      FORMAT_RECORD_HEADER_SIZE + FORMAT_PLACE_SIZE + padded,
                      crc32c(0, item, FORMAT_PLACE_SIZE + BATCH_HEADER_SIZE));
}

struct forged_batch forged_good_batch(const struct forged_tables *tables)
{
    return (struct forged_batch){.place = {.segment = tables->block.segment_number,
                                           .index = tables->block.index,
                                           .position = tables->block.end},
                                 .first_offset = tables->next_offset,
                                 .previous_crc = tables->last_crc,
                                 .seed = tables->seed};
}

void forged_lose_the_cursor(struct fixture *f)
{
    struct journal_image *image = journal_image_load(f->disk, FIXTURE_DIR);
    const struct image_record *hit = journal_image_last(image, RECORD_CURSOR_CREATE, image->mark);

    sim_disk_flip_bit(f->disk, hit->file->path, 8 * hit->offset);
    journal_image_free(image);
    f->options.accept_loss = "default";
}
