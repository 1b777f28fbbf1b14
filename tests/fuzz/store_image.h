/* The input of fuzz_store: the files of one namespace's directory, packed so that the empty parts of a
 * store cost nothing.
 *
 *     input bytes ---> store_image_parse ---> files ---> (mutate, seal) ---> store_image_write
 *                                                 \----> store_image_load: onto a simulated disk
 *
 * Input: one byte of enum store_way, then for each file
 *
 *     u8 kind (enum store_kind), u64 number, u32 size, then runs: u32 bytes skipped (zeros), u16 count
 *
 * with count bytes behind the run's head, or one byte that is repeated when bit 15 is set; a run of
 * count 0 ends the file. Every input within the limits below is an image; the rest is refused. */
#ifndef TESTS_FUZZ_STORE_IMAGE_H
#define TESTS_FUZZ_STORE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_disk;

#define STORE_FILES_MAX 16u
#define STORE_FILE_SIZE_MAX (192u * 1024u)
#define STORE_PATH_SIZE 64u
#define STORE_DIR "ns/default"

/* What happens to the store besides being opened. */
enum store_way {
    STORE_POWER_CUT = 1,   /* Between the two recoveries; else the process dies */
    STORE_ACCEPT_LOSS = 2, /* A refused store is opened again with its loss accepted */
    STORE_SLOW = 4,        /* Operations complete late and in another order */
};

enum store_kind {
    STORE_MANIFEST = 1,
    STORE_JOURNAL = 2,
    STORE_SEGMENT = 3,
    STORE_SPARE = 4, /* manifest-spare */
    STORE_KIND_END
};

struct store_file {
    enum store_kind kind;
    uint64_t number; /* As in its name */
    uint8_t *bytes;  /* Owned; STORE_FILE_SIZE_MAX of them, zero behind size */
    uint32_t size;
    uint32_t parsed_end; /* Of a parsed file: only zeros lie behind it */
};

struct store_image {
    uint8_t way; /* Bits of enum store_way */
    struct store_file files[STORE_FILES_MAX];
    unsigned count;
};

/* False: not an image; *image is empty. True: store_image_deinit() it. */
bool store_image_parse(struct store_image *image, const uint8_t *data, size_t size);
void store_image_deinit(struct store_image *image);
/* Returns the bytes written, 0 if they are more than size_max. */
size_t store_image_write(const struct store_image *image, uint8_t *out, size_t size_max);
/* Add an empty file of that size; NULL when there are too many, or there is one of that name. */
struct store_file *store_image_add(struct store_image *image, enum store_kind kind, uint64_t number,
                                   uint32_t size);
void store_image_remove(struct store_image *image, unsigned index);
/* The file of that name, or NULL. */
struct store_file *store_image_find(struct store_image *image, enum store_kind kind,
                                    uint64_t number);
/* Its path in the data directory. */
void store_file_path(char path[STORE_PATH_SIZE], const struct store_file *file);
/* The reverse; false for a path that no file of an image has. */
bool store_file_name(const char *path, enum store_kind *kind, uint64_t *number);
/* Put it onto an empty disk, durably. */
void store_image_load(const struct store_image *image, struct sim_disk *disk);

#endif
