#include "tests/crash/lazy_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/crash/report.h"

#define PAGE UINT64_C(4096)
#define SECTOR 512u
#define PARTS_MAX 8u     /* Of a torn write */
#define TORN_PERCENT 20u /* Of the writes that would be lost, where not all are */

enum change_kind { CHANGE_WRITE, CHANGE_PUNCH, CHANGE_RESIZE, CHANGE_ALLOCATE };

struct lazy_change {
    struct lazy_change *next;
    enum change_kind kind;
    uint64_t offset; /* Of a new size: 0 */
    uint64_t size;
    uint8_t bytes[]; /* Of a write */
};

/* ---- images ---- */

static void image_init(struct lazy_image *image)
{
    image->bytes = mmap(NULL, LAZY_FILE_MAX, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    report_need(image->bytes != MAP_FAILED, "map memory for a file");
}

static uint64_t round_up(uint64_t offset)
{
    return (offset + PAGE - 1) / PAGE * PAGE;
}

/* Zeros, and whole pages go back to where they came from. */
static void image_zero(struct lazy_image *image, uint64_t from, uint64_t to)
{
    const uint64_t first = round_up(from);
    const uint64_t last = to / PAGE * PAGE;

    if (first >= last) {
        memset(image->bytes + from, 0, to - from);
        return;
    }
    memset(image->bytes + from, 0, first - from);
    memset(image->bytes + last, 0, to - last);
    report_need(madvise(image->bytes + first, last - first, MADV_DONTNEED) == 0,
                "give memory back");
}

static void image_write(struct lazy_image *image, const void *bytes, uint64_t size, uint64_t offset)
{
    memcpy(image->bytes + offset, bytes, size);
    if (offset + size > image->size) {
        image->size = offset + size;
    }
}

static void image_apply(struct lazy_image *image, const struct lazy_change *change)
{
    const uint64_t end = change->offset + change->size;

    switch (change->kind) {
    case CHANGE_WRITE:
        image_write(image, change->bytes, change->size, change->offset);
        break;
    case CHANGE_PUNCH:
        if (change->offset < image->size) {
            image_zero(image, change->offset, end < image->size ? end : image->size);
        }
        break;
    case CHANGE_RESIZE:
        if (end < image->size) {
            image_zero(image, end, image->size);
        }
        image->size = end;
        break;
    case CHANGE_ALLOCATE:
        image->size = end > image->size ? end : image->size;
        break;
    }
}

/* Make one equal to another, without taking memory for pages that are equal already. */
static void image_copy(struct lazy_image *to, const struct lazy_image *from)
{
    uint64_t at;

    if (from->size < to->size) {
        image_zero(to, from->size, to->size);
    }
    for (at = 0; at < from->size; at += PAGE) {
        if (memcmp(to->bytes + at, from->bytes + at, PAGE) != 0) {
            memcpy(to->bytes + at, from->bytes + at, PAGE);
        }
    }
    to->size = from->size;
}

/* ---- changes of a file ---- */

static int change(struct lazy_file *file, enum change_kind kind, uint64_t offset, uint64_t size,
                  const void *bytes)
{
    struct lazy_change *made;

    if (size > LAZY_FILE_MAX || offset > LAZY_FILE_MAX - size) {
        return EFBIG;
    }
    made = malloc(sizeof *made + (bytes != NULL ? size : 0));
    report_need(made != NULL, "memory for a change of a file");
    *made = (struct lazy_change){.kind = kind, .offset = offset, .size = size};
    if (bytes != NULL) {
        memcpy(made->bytes, bytes, size);
    }
    *file->changes_end = made;
    file->changes_end = &made->next;
    file->change_count++;
    image_apply(&file->seen, made);
    return 0;
}

int lazy_file_write(struct lazy_file *file, const void *bytes, uint64_t size, uint64_t offset)
{
    return change(file, CHANGE_WRITE, offset, size, bytes);
}

int lazy_file_resize(struct lazy_file *file, uint64_t size)
{
    return change(file, CHANGE_RESIZE, 0, size, NULL);
}

int lazy_file_allocate(struct lazy_file *file, uint64_t size)
{
    return change(file, CHANGE_ALLOCATE, 0, size, NULL);
}

int lazy_file_punch(struct lazy_file *file, uint64_t offset, uint64_t size)
{
    return change(file, CHANGE_PUNCH, offset, size, NULL);
}

/* The oldest change is decided about. */
static void drop_change(struct lazy_file *file)
{
    struct lazy_change *first = file->changes;

    file->changes = first->next;
    file->change_count--;
    if (file->changes == NULL) {
        file->changes_end = &file->changes;
    }
    free(first);
}

void lazy_file_sync(struct lazy_file *file)
{
    while (file->changes != NULL) {
        image_apply(&file->durable, file->changes);
        drop_change(file);
    }
}

/* ---- life and end ---- */

void lazy_file_init(struct lazy_file *file)
{
    *file = (struct lazy_file){.changes_end = &file->changes};
    image_init(&file->seen);
    image_init(&file->durable);
}

void lazy_file_deinit(struct lazy_file *file)
{
    while (file->changes != NULL) {
        drop_change(file);
    }
    (void)munmap(file->seen.bytes, LAZY_FILE_MAX);
    (void)munmap(file->durable.bytes, LAZY_FILE_MAX);
}

/* Some survive and some do not: at least one of each, as far as there are two. */
static void draw_survivors(struct random *random, bool *kept, uint32_t count)
{
    const uint32_t survivor = (uint32_t)random_below(random, count);
    const uint32_t victim = (survivor + 1 + (uint32_t)random_below(random, count - 1)) % count;
    uint32_t i;

    for (i = 0; i < count; i++) {
        kept[i] = random_chance(random, 50);
    }
    kept[survivor] = true;
    kept[victim] = count == 1 && kept[victim];
}

static bool can_be_torn(const struct lazy_change *change)
{
    return change->kind == CHANGE_WRITE && change->size > 1;
}

/* Some parts of a write reach the device. They end anywhere, or, as often, at a sector. */
static void tear(struct lazy_file *file, const struct lazy_change *torn, struct random *random)
{
    const uint64_t unit = torn->size > SECTOR && random_chance(random, 50) ? SECTOR : 1;
    uint64_t ends[PARTS_MAX];
    bool kept[PARTS_MAX];
    uint32_t count = 0;
    uint64_t from = 0;
    uint32_t i;

    while (count < PARTS_MAX && from < torn->size) {
        const uint64_t most = (torn->size - from + unit - 1) / unit;

        from += unit * random_between(random, 1, count == 0 && most > 1 ? most - 1 : most);
        from = count == PARTS_MAX - 1 || from > torn->size ? torn->size : from;
        ends[count++] = from;
    }
    draw_survivors(random, kept, count);
    from = 0;
    for (i = 0; i < count; i++) {
        if (kept[i]) {
            image_write(&file->durable, torn->bytes + from, ends[i] - from, torn->offset + from);
        }
        from = ends[i];
    }
}

/* The fate of a change by itself: it is kept, or lost, or lost but for some parts. */
static void decide(struct lazy_file *file, const struct lazy_change *change,
                   const struct lazy_fate *fate)
{
    if (random_chance(fate->random, fate->keep_percent)) {
        image_apply(&file->durable, change);
    } else if (fate->keep_percent > 0 && can_be_torn(change) &&
               random_chance(fate->random, TORN_PERCENT)) {
        tear(file, change, fate->random);
    }
}

void lazy_file_cut(struct lazy_file *file, const struct lazy_fate *fate)
{
    const uint32_t torn = fate->torn < file->change_count ? fate->torn : file->change_count;
    bool kept[LAZY_TORN_MAX] = {false};

    if (torn > 1) {
        draw_survivors(fate->random, kept, torn);
    }
    while (file->changes != NULL) {
        const struct lazy_change *oldest = file->changes;

        if (file->change_count > torn) {
            decide(file, oldest, fate);
        } else if (torn == 1 && can_be_torn(oldest)) {
            tear(file, oldest, fate->random);
        } else if (kept[torn - file->change_count]) {
            image_apply(&file->durable, oldest);
        }
        drop_change(file);
    }
    image_copy(&file->seen, &file->durable);
}
