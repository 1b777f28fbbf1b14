#include "tests/fuzz/store_image.h"

#include <inttypes.h>
#include <string.h>

#include "core/format.h"
#include "core/io.h"
#include "proto/bytes.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sim/io_sim.h"

#define FILE_HEAD 13u
#define RUN_HEAD 6u
#define RUN_FILL 0x8000u
#define RUN_MAX 0x7fffu
#define FILL_MIN 16u /* Shorter repetitions are written out */
#define SKIP_MIN 8u  /* And so are shorter gaps */

/* ---- files ---- */

/* Bytes of files that were removed, zeroed: an execution is over before so much memory is allocated and cleared. */
static uint8_t *spare_bytes[2 * STORE_FILES_MAX];
static unsigned spare_count;

static uint8_t *take_bytes(void)
{
    uint8_t *bytes = spare_count > 0 ? spare_bytes[--spare_count] : calloc(1, STORE_FILE_SIZE_MAX);

    REQUIRE(bytes != NULL);
    return bytes;
}

static void give_bytes(struct store_file *file)
{
    if (spare_count == sizeof spare_bytes / sizeof spare_bytes[0]) {
        free(file->bytes);
        return;
    }
    memset(file->bytes, 0, file->size); /* They are zero behind it */
    spare_bytes[spare_count++] = file->bytes;
}

struct store_file *store_image_find(struct store_image *image, enum store_kind kind,
                                    uint64_t number)
{
    unsigned i;

    for (i = 0; i < image->count; i++) {
        if (image->files[i].kind == kind && image->files[i].number == number) {
            return &image->files[i];
        }
    }
    return NULL;
}

struct store_file *store_image_add(struct store_image *image, enum store_kind kind, uint64_t number,
                                   uint32_t size)
{
    struct store_file *file = &image->files[image->count];

    if (kind == STORE_SPARE) {
        number = 0;
    }
    if (image->count == STORE_FILES_MAX || size > STORE_FILE_SIZE_MAX ||
        store_image_find(image, kind, number) != NULL) {
        return NULL;
    }
    *file = (struct store_file){.kind = kind, .number = number, .size = size};
    file->bytes = take_bytes();
    image->count++;
    return file;
}

void store_image_remove(struct store_image *image, unsigned index)
{
    give_bytes(&image->files[index]);
    image->count--;
    memmove(&image->files[index], &image->files[index + 1],
            (image->count - index) * sizeof image->files[0]);
}

void store_image_deinit(struct store_image *image)
{
    while (image->count > 0) {
        store_image_remove(image, image->count - 1);
    }
}

/* ---- packed ---- */

/* One file's runs; returns what is left behind them, NULL when they are not runs. */
static const uint8_t *parse_runs(struct store_file *file, const uint8_t *at, const uint8_t *end)
{
    uint64_t offset = 0;

    while ((size_t)(end - at) >= RUN_HEAD) {
        const uint32_t skip = get_u32(at);
        const uint16_t head = get_u16(at + 4);
        const uint32_t count = head & RUN_MAX;
        const size_t there = (head & RUN_FILL) != 0 ? 1 : count;

        at += RUN_HEAD;
        if (count == 0) {
            return at;
        }
        offset += skip;
        if ((size_t)(end - at) < there || offset > file->size || count > file->size - offset) {
            return NULL;
        }
        if ((head & RUN_FILL) != 0) {
            memset(file->bytes + offset, at[0], count);
        } else {
            memcpy(file->bytes + offset, at, count);
        }
        offset += count;
        file->parsed_end = (uint32_t)offset;
        at += there;
    }
    return NULL;
}

static bool parse_files(struct store_image *image, const uint8_t *at, const uint8_t *end)
{
    while (at != end) {
        struct store_file *file;

        if ((size_t)(end - at) < FILE_HEAD || at[0] == 0 || at[0] >= STORE_KIND_END) {
            return false;
        }
        file = store_image_add(image, (enum store_kind)at[0], get_u64(at + 1), get_u32(at + 9));
        at = file == NULL ? NULL : parse_runs(file, at + FILE_HEAD, end);
        if (at == NULL) {
            return false;
        }
    }
    return true;
}

bool store_image_parse(struct store_image *image, const uint8_t *data, size_t size)
{
    *image = (struct store_image){.count = 0};
    if (size == 0) {
        return false;
    }
    image->way = data[0];
    if (!parse_files(image, data + 1, data + size)) {
        store_image_deinit(image);
        return false;
    }
    return true;
}

/* How often the byte at `at` repeats. Files are mostly runs of one byte: compared with themselves a byte further on, in
 * large steps as long as they are alike. */
static uint32_t repeats(const struct store_file *file, uint32_t at, uint32_t limit)
{
    const uint32_t left = file->size - at;
    const uint32_t most = left < limit ? left : limit;
    uint32_t count = 1;
    uint32_t step = 256;

    while (step > 0) {
        if (count + step <= most &&
            memcmp(file->bytes + at + count - 1, file->bytes + at + count, step) == 0) {
            count += step;
        } else {
            step /= 4;
        }
    }
    return count;
}

struct writer {
    uint8_t *out;
    size_t used;
    size_t room;
};

static void put(struct writer *writer, const void *bytes, size_t size)
{
    if (size == 0) {
        return;
    }
    if (writer->used <= writer->room && writer->room - writer->used >= size) {
        memcpy(writer->out + writer->used, bytes, size);
        writer->used += size;
    } else {
        writer->used = writer->room + 1;
    }
}

static void put_run(struct writer *writer, uint32_t skip, uint32_t head, const uint8_t *bytes,
                    size_t size)
{
    uint8_t run[RUN_HEAD];

    put_u32(run, skip);
    put_u16(run + 4, (uint16_t)head);
    put(writer, run, sizeof run);
    put(writer, bytes, size);
}

static void put_file(struct writer *writer, const struct store_file *file)
{
    uint8_t head[FILE_HEAD];
    uint32_t behind = 0; /* The last run */
    uint32_t at = 0;

    head[0] = (uint8_t)file->kind;
    put_u64(head + 1, file->number);
    put_u32(head + 9, file->size);
    put(writer, head, sizeof head);
    while (at < file->size) {
        uint32_t count = repeats(file, at, RUN_MAX);
        uint32_t begin = at;

        if (file->bytes[at] == 0 && (count >= SKIP_MIN || at + count == file->size)) {
            at += count;
            continue;
        }
        if (count >= FILL_MIN) {
            put_run(writer, at - behind, RUN_FILL | count, file->bytes + at, 1);
            at += count;
            behind = at;
            continue;
        }
        do { /* What repeats too little for a run of its own belongs to this one */
            at += count;
            count = at < file->size ? repeats(file, at, FILL_MIN) : 0;
        } while (count > 0 && count < (file->bytes[at] == 0 ? SKIP_MIN : FILL_MIN) &&
                 at + count - begin <= RUN_MAX);
        put_run(writer, begin - behind, at - begin, file->bytes + begin, at - begin);
        behind = at;
    }
    put_run(writer, 0, 0, NULL, 0);
}

size_t store_image_write(const struct store_image *image, uint8_t *out, size_t size_max)
{
    struct writer writer = {.out = out, .room = size_max};
    unsigned i;

    put(&writer, &image->way, 1);
    for (i = 0; i < image->count; i++) {
        put_file(&writer, &image->files[i]);
    }
    return writer.used > size_max ? 0 : writer.used;
}

/* ---- names and disks ---- */

void store_file_path(char path[STORE_PATH_SIZE], const struct store_file *file)
{
    switch (file->kind) {
    case STORE_MANIFEST:
        (void)snprintf(path, STORE_PATH_SIZE, STORE_DIR "/manifest-%016" PRIx64, file->number);
        break;
    case STORE_JOURNAL:
        (void)snprintf(path, STORE_PATH_SIZE, STORE_DIR "/journal/%016" PRIx64 ".jnl",
                       file->number);
        break;
    case STORE_SEGMENT:
        (void)snprintf(path, STORE_PATH_SIZE, STORE_DIR "/%016" PRIx64 ".seg", file->number);
        break;
    case STORE_SPARE:
    case STORE_KIND_END:
    default:
        (void)snprintf(path, STORE_PATH_SIZE, STORE_DIR "/manifest-spare");
        break;
    }
}

bool store_file_name(const char *path, enum store_kind *kind, uint64_t *number)
{
    *number = 0;
    if (strncmp(path, STORE_DIR "/", sizeof STORE_DIR) != 0) {
        return false;
    }
    path += sizeof STORE_DIR;
    if (strcmp(path, "manifest-spare") == 0) {
        *kind = STORE_SPARE;
        return true;
    }
    if (format_file_number(path, "manifest-", "", number)) {
        *kind = STORE_MANIFEST;
        return true;
    }
    if (format_file_number(path, "journal/", ".jnl", number)) {
        *kind = STORE_JOURNAL;
        return true;
    }
    *kind = STORE_SEGMENT;
    return format_file_number(path, "", ".seg", number);
}

void store_image_load(const struct store_image *image, struct sim_disk *disk)
{
    struct error err;
    struct io *io;
    unsigned i;

    REQUIRE(io_sim_open(&io, disk) == 0);
    REQUIRE(io_make_dir(io, "ns", &err) == 0);
    REQUIRE(io_make_dir(io, STORE_DIR, &err) == 0);
    REQUIRE(io_make_dir(io, STORE_DIR "/journal", &err) == 0);
    for (i = 0; i < image->count; i++) {
        struct io_file *file;
        char path[STORE_PATH_SIZE];

        store_file_path(path, &image->files[i]);
        REQUIRE(io_open(io, path, IO_OPEN_CREATE, &file, &err) == 0);
        io_close_file(file);
    }
    io_close(io);
    sim_disk_settle(disk);
    for (i = 0; i < image->count; i++) {
        const struct store_file *file = &image->files[i];
        char path[STORE_PATH_SIZE];

        store_file_path(path, file);
        sim_disk_resize(disk, path, file->size);
        if (file->size > 0) {
            sim_disk_overwrite(disk, path, 0, file->bytes, file->size);
        }
    }
}
