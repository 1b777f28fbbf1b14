/* A file in two versions, what programs see and what the device has, and what lies between them:
 * the changes that nobody has synced.
 *
 *     lazy_file_init ---> { changes ---> lazy_file_sync }* ---> lazy_file_cut ---> changes ...
 *                                                          \-> lazy_file_deinit
 *
 * Which promises that keeps is in lazy_state.h. */
#ifndef TESTS_CRASH_LAZY_FILE_H
#define TESTS_CRASH_LAZY_FILE_H

#include <stdint.h>

#include "tests/sim/random.h"

#define LAZY_FILE_MAX (UINT64_C(64) << 20) /* Longer files are EFBIG; of address space, two each */
#define LAZY_TORN_MAX 32u                  /* Parts of a torn write, or writes of a torn sequence */

struct lazy_change;

struct lazy_image {
    uint8_t *bytes; /* Owned: LAZY_FILE_MAX of them, zeros behind the size */
    uint64_t size;
};

struct lazy_file {
    struct lazy_image seen;
    struct lazy_image durable;
    struct lazy_change *changes; /* Owned, oldest first */
    struct lazy_change **changes_end;
    uint32_t change_count;
};

/* What a power cut leaves of the changes of a file. */
struct lazy_fate {
    struct random *random;
    unsigned keep_percent; /* So many of 100 survive, each by itself; not 0: some in parts */
    /* The last so many meet another fate. 1: of the last, if it is a write, some parts survive, not
     * all. More: some of them survive, not all, and not in their order. At most LAZY_TORN_MAX. */
    uint32_t torn;
};

void lazy_file_init(struct lazy_file *file);
void lazy_file_deinit(struct lazy_file *file);
/* 0, or an errno: EFBIG. */
int lazy_file_write(struct lazy_file *file, const void *bytes, uint64_t size, uint64_t offset);
int lazy_file_resize(struct lazy_file *file, uint64_t size);
/* Grow to so many bytes, if it is smaller. */
int lazy_file_allocate(struct lazy_file *file, uint64_t size);
/* Zeros within the file; its size stays. */
int lazy_file_punch(struct lazy_file *file, uint64_t offset, uint64_t size);
/* Bytes and size become durable. */
void lazy_file_sync(struct lazy_file *file);
/* The power fails: what survives is what programs see afterwards, and all of it is durable. */
void lazy_file_cut(struct lazy_file *file, const struct lazy_fate *fate);

#endif
