/* Make the checksums of a store right again after its bytes were changed, so that the change is read
 * and not just refused: of batches, records, headers, manifests, seals. */
#ifndef TESTS_FUZZ_STORE_SEAL_H
#define TESTS_FUZZ_STORE_SEAL_H

#include <stdbool.h>

#include "tests/fuzz/store_image.h"

#define SEAL_RECORDS_MAX 512u

/* Offsets of the records of a journal file, by their size fields alone; returns how many. */
unsigned seal_records(const struct store_file *file, uint32_t offsets[SEAL_RECORDS_MAX]);
/* Bytes that a record takes in its file. */
uint32_t seal_record_size(const struct store_file *file, uint32_t offset);
/* The block size that the manifests name, if it is one; 32 KiB otherwise. */
uint32_t seal_block_size(const struct store_image *image);
/* place: also make the LSN of every record that of its place. Chains are always made right. */
void seal_store(struct store_image *image, bool place);

#endif
