/* The journal of a namespace as it stands on a simulated disk, record by record, read without the engine: for
 * tests that look at what was written, or damage it. */
#ifndef TESTS_SUPPORT_JOURNAL_IMAGE_H
#define TESTS_SUPPORT_JOURNAL_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/format.h"
#include "tests/sim/io_sim.h"

#define IMAGE_RECORDS_MAX 4096u
#define IMAGE_FILES_MAX 64u
#define IMAGE_PATH_SIZE 96u

struct image_file {
    char path[IMAGE_PATH_SIZE];
    uint64_t size;
    bool valid; /* Its header is, and names it */
    struct format_journal header;
    uint32_t seed;
    uint8_t *data; /* Owned */
};

struct image_record {
    const struct image_file *file;
    uint64_t offset; /* In the file */
    struct format_record_header header;
    const uint8_t *bytes; /* header.size of them, in the file's data */
};

struct journal_image {
    struct image_file files[IMAGE_FILES_MAX]; /* In order of numbers */
    unsigned file_count;
    struct image_record
        records[IMAGE_RECORDS_MAX]; /* In order; up to the first invalid one of each file */
    unsigned record_count;
    uint64_t mark; /* The greatest in a header of either kind */
};

/* Owned: journal_image_free(). dir: "ns/<name>". */
struct journal_image *journal_image_load(const struct sim_disk *disk, const char *dir);
void journal_image_free(struct journal_image *image);
/* The last record of a type (0: any) with lsn < before; fails the test when there is none. */
const struct image_record *journal_image_last(const struct journal_image *image, uint16_t type,
                                              uint64_t before);

#endif
