#include "tests/support/old_batch.h"

#include "tests/support/journal_image.h"

static struct journal_image *crash(struct fixture *f)
{
    sim_disk_process_crash(f->disk);
    fixture_close(f);
    sim_disk_settle(f->disk);
    return journal_image_load(f->disk, FIXTURE_DIR);
}

static void damage(struct fixture *f, const struct image_record *record)
{
    sim_disk_flip_bit(f->disk, record->file->path, 8 * record->offset);
}

uint64_t old_batch_whole(struct fixture *f, unsigned way)
{
    static const uint32_t sizes[OLD_BATCH_WAYS][OLD_BATCH_KEPT] = {{3000, 3000, 1000},
                                                                   {2940, 2924, 1000}};
    struct journal_image *image;
    uint64_t kept;
    unsigned i;

    fixture_open(f);
    fixture_append_strings(f, "t", "a", NULL);
    assert_int_equal(fixture_append_size(f, "t", 6000), 0); /* To its block */
    image = crash(f);
    damage(f, journal_image_last(image, RECORD_DIRECT, UINT64_MAX));
    journal_image_free(image);
    fixture_open(f);
    fixture_expect(f, "t", "a", NULL);
    kept = fixture_append_strings(f, "t", "lost", NULL) + 1;
    for (i = 0; i < OLD_BATCH_KEPT; i++) {
        assert_int_equal(fixture_append_size(f, "t", sizes[way][i]), 0);
    }
    journal_image_free(crash(f));
    return kept;
}

uint64_t old_batch_make(struct fixture *f, unsigned way)
{
    const uint64_t kept = old_batch_whole(f, way);
    struct journal_image *image = journal_image_load(f->disk, FIXTURE_DIR);
    const struct image_record *hit = journal_image_last(image, RECORD_BATCH, UINT64_MAX);
    unsigned i;

    for (i = 0; i < OLD_BATCH_KEPT; i++) {
        hit = journal_image_last(image, RECORD_BATCH, hit->header.lsn);
    }
    assert_true(hit->header.lsn < image->mark);
    damage(f, hit);
    journal_image_free(image);
    return kept;
}
