#include "tests/support/journal_image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct loading {
    struct journal_image *image;
    const struct sim_disk *disk;
    char prefix[IMAGE_PATH_SIZE];
};

static void load_file(void *arg, const char *path, uint64_t size)
{
    struct loading *loading = arg;
    struct image_file *file = &loading->image->files[loading->image->file_count];
    const size_t prefix = strlen(loading->prefix);
    uint64_t number;

    if (strncmp(path, loading->prefix, prefix) != 0 ||
        !format_file_number(path + prefix, "", ".jnl", &number)) {
        return;
    }
    assert_true(loading->image->file_count < IMAGE_FILES_MAX);
    loading->image->file_count++;
    (void)snprintf(file->path, sizeof file->path, "%s", path);
    file->data = sim_disk_file(loading->disk, path, &size);
    file->size = size;
    file->valid = size >= FORMAT_PAGE && format_journal_decode(&file->header, file->data) == 0 &&
                  file->header.number == number;
    if (file->valid) {
        file->seed = format_journal_seed(file->header.store_id, file->header.generation);
    }
}

static int by_path(const void *a, const void *b)
{
    const struct image_file *left = a;
    const struct image_file *right = b;

    return strcmp(left->path, right->path);
}

/* Where the records of a file stop counting: the first LSN of a later one. */
static uint64_t end_of(const struct journal_image *image, unsigned at)
{
    uint64_t end = UINT64_MAX;
    unsigned i;

    for (i = at + 1; i < image->file_count; i++) {
        if (image->files[i].valid && image->files[i].header.first_lsn < end) {
            end = image->files[i].header.first_lsn;
        }
    }
    return end;
}

static void walk(struct journal_image *image, unsigned at)
{
    const struct image_file *file = &image->files[at];
    const uint64_t end = end_of(image, at);
    uint64_t lsn = file->header.first_lsn;
    uint64_t offset = FORMAT_PAGE;
    struct format_record_header header;

    while (lsn < end && offset + FORMAT_RECORD_HEADER_SIZE <= file->size &&
           format_record_header_decode(&header, file->data + offset, file->seed, lsn) == 0 &&
           header.size <= file->size - offset) {
        assert_true(image->record_count < IMAGE_RECORDS_MAX);
        image->records[image->record_count++] = (struct image_record){
            .file = file, .offset = offset, .header = header, .bytes = file->data + offset};
        image->mark = header.mark > image->mark ? header.mark : image->mark;
        lsn += format_record_padded(header.size);
        offset += format_record_padded(header.size);
    }
}

struct journal_image *journal_image_load(const struct sim_disk *disk, const char *dir)
{
    struct journal_image *image = calloc(1, sizeof *image);
    struct loading loading = {.image = image, .disk = disk};
    unsigned i;

    assert_non_null(image);
    (void)snprintf(loading.prefix, sizeof loading.prefix, "%s/journal/", dir);
    sim_disk_list(disk, load_file, &loading);
    qsort(image->files, image->file_count, sizeof image->files[0], by_path);
    for (i = 0; i < image->file_count; i++) {
        if (image->files[i].valid) {
            image->mark = image->files[i].header.mark > image->mark ? image->files[i].header.mark
                                                                    : image->mark;
            walk(image, i);
        }
    }
    return image;
}

void journal_image_free(struct journal_image *image)
{
    unsigned i;

    for (i = 0; i < image->file_count; i++) {
        free(image->files[i].data);
    }
    free(image);
}

const struct image_record *journal_image_last(const struct journal_image *image, uint16_t type,
                                              uint64_t before)
{
    unsigned i = image->record_count;

    while (i > 0) {
        const struct image_record *record = &image->records[--i];

        if ((type == 0 || record->header.type == type) && record->header.lsn < before) {
            return record;
        }
    }
    fail_msg("no journal record of type %u before %llu", type, (unsigned long long)before);
    return NULL;
}
