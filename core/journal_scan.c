#include "core/journal_scan.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"

#define WINDOW_SIZE_MAX (4u * 1024u * 1024u)

static uint64_t aligned_up(uint64_t size)
{
    return (size + IO_DIRECT_ALIGN - 1) & ~(uint64_t)(IO_DIRECT_ALIGN - 1);
}

/* How much to read from `begin` on to have `need` bytes: more, for what comes next, but not beyond
 * the file's end. */
static uint64_t window_size(const struct scan_file *file, uint64_t begin, uint64_t need)
{
    const uint64_t left = file->file_size - begin;
    const uint64_t ahead = left < WINDOW_SIZE_MAX ? left : WINDOW_SIZE_MAX;

    return aligned_up(need > ahead ? need : ahead);
}

static int window_grow(struct scan *scan, uint64_t size)
{
    uint8_t *window;

    CHECK(size > 0);
    CHECK(size % IO_DIRECT_ALIGN == 0);
    if (size <= scan->window_capacity) {
        return 0;
    }
    window = aligned_alloc(IO_DIRECT_ALIGN, size);
    if (window == NULL) {
        return TUSK_ENOMEM;
    }
    free(scan->window);
    scan->window = window;
    scan->window_capacity = size;
    scan->window_size = 0;
    return 0;
}

/* Read `want` bytes of a file from `begin` on into the window; as many as there are. */
static int window_read(struct scan *scan, uint32_t index, uint64_t begin, uint64_t want,
                       struct error *err)
{
    const struct scan_file *file = &scan->files[index];
    size_t got = 0;
    int rc;

    if (window_grow(scan, want) != 0) {
        return error_set(err, TUSK_ENOMEM, "read journal file %016llx",
                         (unsigned long long)file->number);
    }
    scan->window_size = 0;
    CHECK(want <= scan->window_capacity);
    CHECK(file->file != NULL);
    rc = io_read_direct(file->file, scan->window, want, begin, &got, err);
    if (rc != 0) {
        return error_wrap(err, "read journal file %016llx", (unsigned long long)file->number);
    }
    scan->window_file = index;
    scan->window_offset = begin;
    scan->window_size = got;
    scan->bytes_read += got;
    return 0;
}

/* Have [offset, offset + size) of a file in the window. 1: *out; 0: the file ends before; negative:
 * an error. */
static int bytes_at(struct scan *scan, uint32_t index, uint64_t offset, uint64_t size,
                    const uint8_t **out, struct error *err)
{
    const struct scan_file *file = &scan->files[index];
    const uint64_t begin = offset & ~(uint64_t)(IO_DIRECT_ALIGN - 1);
    int rc;

    if (offset > file->file_size || size > file->file_size - offset) {
        return 0;
    }
    if (scan->window_file != index || offset < scan->window_offset ||
        offset + size > scan->window_offset + scan->window_size) {
        rc = window_read(scan, index, begin, window_size(file, begin, offset - begin + size), err);
        if (rc != 0) {
            return rc;
        }
    }
    if (offset + size > scan->window_offset + scan->window_size) {
        /* Not the end of the file, which was looked at above. */
        return error_set(err, TUSK_EIO, "journal file %016llx gives less than its size",
                         (unsigned long long)file->number);
    }
    *out = scan->window + (offset - scan->window_offset);
    return 1;
}

/* A record's header checksum is seeded with the generation, and names its LSN: one that validates
 * where the guessed fields say that the first record is proves them: the file is valid then. Store
 * and number are known without the header. */
static int prove_header(struct scan *scan, uint32_t index, const uint8_t *page,
                        const uint8_t store_id[ENGINE_STORE_ID_SIZE], struct error *err)
{
    struct scan_file *file = &scan->files[index];
    struct format_journal *header = &file->header;
    struct format_record_header record;
    const uint8_t *bytes = NULL;
    int rc;

    format_journal_guess(header, page);
    memcpy(header->store_id, store_id, ENGINE_STORE_ID_SIZE);
    header->number = file->number;
    header->size = file->file_size;
    header->mark = 0; /* The records have marks, too */
    file->seed = format_journal_seed(store_id, header->generation);
    rc = bytes_at(scan, index, FORMAT_PAGE, FORMAT_RECORD_ALIGN, &bytes, err);
    if (rc < 0) {
        return rc;
    }
    file->valid = rc == 1 && header->first_lsn < FORMAT_COUNTER_MAX &&
                  format_record_header_decode(&record, bytes, file->seed, header->first_lsn) == 0;
    return 0;
}

int scan_add(struct scan *scan, const char *path, uint64_t number,
             const uint8_t store_id[ENGINE_STORE_ID_SIZE], struct error *err)
{
    struct scan_file *file;
    int rc;

    CHECK(scan->io != NULL);
    CHECK(store_id != NULL);
    CHECK(scan->count <= scan->capacity);
    if (scan->count == scan->capacity) {
        const uint32_t capacity = scan->capacity == 0 ? 8 : scan->capacity * 2;
        struct scan_file *files = realloc(scan->files, capacity * sizeof *files);

        if (files == NULL) {
            return error_set(err, TUSK_ENOMEM, "open journal files");
        }
        scan->files = files;
        scan->capacity = capacity;
    }
    file = &scan->files[scan->count];
    *file = (struct scan_file){.number = number};
    rc = io_open(scan->io, path, IO_OPEN_WRITE, &file->file, err);
    if (rc != 0) {
        return rc;
    }
    scan->count++;
    if (io_size(file->file, &file->file_size, err) != 0) {
        return err->code;
    }
    if (file->file_size < FORMAT_PAGE) {
        return 0; /* Shorter than a header: it holds no record */
    }
    /* No more than that: many files lie before the manifest, or are spares. */
    rc = window_read(scan, scan->count - 1, 0, FORMAT_PAGE, err);
    if (rc != 0) {
        return rc;
    }
    if (scan->window_size < FORMAT_PAGE) {
        return error_set(err, TUSK_EIO, "journal file %016llx gives less than its size",
                         (unsigned long long)file->number);
    }
    rc = format_journal_decode(&file->header, scan->window);
    if (rc == TUSK_EVERSION) {
        return error_set(err, TUSK_EVERSION,
                         "journal file %s is of a format version this build does not know", path);
    }
    file->valid = rc == 0 && file->header.number == number &&
                  memcmp(file->header.store_id, store_id, ENGINE_STORE_ID_SIZE) == 0;
    file->seed = format_journal_seed(store_id, file->header.generation);
    if (rc != 0 && scan->lenient) {
        return prove_header(scan, scan->count - 1, scan->window, store_id, err);
    }
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const struct scan_file *left = a;
    const struct scan_file *right = b;

    CHECK(left->file != NULL);
    CHECK(right->file != NULL);
    return left->number < right->number ? -1 : left->number > right->number;
}

void scan_ready(struct scan *scan)
{
    uint64_t least = UINT64_MAX;
    uint32_t i;

    CHECK(scan->count <= scan->capacity);
    if (scan->count > 0) {
        qsort(scan->files, scan->count, sizeof *scan->files, by_number);
    }
    scan->window_size = 0;
    for (i = scan->count; i > 0; i--) {
        struct scan_file *file = &scan->files[i - 1];

        file->end_lsn = least;
        if (file->valid && file->header.first_lsn < least) {
            least = file->header.first_lsn;
        }
    }
}

void scan_deinit(struct scan *scan)
{
    uint32_t i;

    CHECK(scan->count <= scan->capacity);
    for (i = 0; i < scan->count; i++) {
        io_close_file(scan->files[i].file);
    }
    free(scan->files);
    free(scan->window);
    *scan = (struct scan){0};
}

/* The LSN behind the last byte a file could hold records in. */
static uint64_t capacity_end(const struct scan_file *file)
{
    const uint64_t size = file->header.size < file->file_size ? file->header.size : file->file_size;
    const uint64_t end = size <= FORMAT_PAGE ? file->header.first_lsn
                                             : file->header.first_lsn + (size - FORMAT_PAGE);

    CHECK(file->valid);
    return end < file->end_lsn ? end : file->end_lsn;
}

/* The file in which a record at `lsn` would stand, or count. */
static uint32_t file_of(const struct scan *scan, uint64_t lsn)
{
    uint32_t i;

    CHECK(scan->count <= scan->capacity);
    for (i = 0; i < scan->count; i++) {
        const struct scan_file *file = &scan->files[i];

        if (file->valid && file->header.first_lsn <= lsn && lsn < capacity_end(file)) {
            return i;
        }
    }
    return scan->count;
}

static bool all_zero(const uint8_t *bytes, size_t size)
{
    size_t i;

    CHECK(bytes != NULL);
    CHECK(size > 0);
    for (i = 0; i < size; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

enum scan_kind scan_at(struct scan *scan, uint64_t lsn, struct scan_record *record,
                       struct error *err)
{
    const uint32_t index = file_of(scan, lsn);
    const struct scan_file *file;
    uint64_t offset;
    const uint8_t *bytes = NULL;
    int rc;

    CHECK(record != NULL);
    CHECK(err != NULL);
    if (index == scan->count) {
        return SCAN_NONE;
    }
    file = &scan->files[index];
    offset = FORMAT_PAGE + (lsn - file->header.first_lsn);
    CHECK(lsn >= file->header.first_lsn);
    CHECK(file->valid);
    rc = bytes_at(scan, index, offset, FORMAT_RECORD_ALIGN, &bytes, err);
    if (rc <= 0) {
        return rc == 0 ? SCAN_BAD : SCAN_UNREADABLE;
    }
    CHECK(bytes != NULL);
    if (format_record_header_decode(&record->header, bytes, file->seed, lsn) != 0) {
        return all_zero(bytes, FORMAT_RECORD_ALIGN) ? SCAN_ZERO : SCAN_BAD;
    }
    if (record->header.size > capacity_end(file) - lsn) {
        return SCAN_BAD;
    }
    rc = bytes_at(scan, index, offset, record->header.size, &record->bytes, err);
    CHECK(rc != 0); /* It ends before the file does, as was seen just now */
    return rc < 0 ? SCAN_UNREADABLE : SCAN_RECORD;
}

uint64_t scan_step(const struct scan *scan, uint64_t lsn)
{
    const uint64_t next = lsn + FORMAT_RECORD_ALIGN;
    uint64_t best = UINT64_MAX;
    uint32_t i;

    CHECK(lsn < UINT64_MAX - FORMAT_RECORD_ALIGN);
    if (file_of(scan, next) < scan->count) {
        return next;
    }
    for (i = 0; i < scan->count; i++) {
        const struct scan_file *file = &scan->files[i];

        if (file->valid && file->header.first_lsn >= next && file->header.first_lsn < best &&
            file->header.first_lsn < file->end_lsn) {
            best = file->header.first_lsn;
        }
    }
    CHECK(best == UINT64_MAX || best >= next);
    return best;
}

uint64_t scan_skip(const struct scan *scan, uint64_t lsn)
{
    const uint32_t index = file_of(scan, lsn);
    const struct scan_file *file;
    uint64_t window_lsn; /* Of its first byte; wraps below zero where that is the header */
    uint64_t end;

    if (index == scan->count || index != scan->window_file || scan->window_size == 0) {
        return scan_step(scan, lsn);
    }
    file = &scan->files[index];
    window_lsn = file->header.first_lsn + scan->window_offset - FORMAT_PAGE;
    end = capacity_end(file);
    for (; end - lsn > FORMAT_RECORD_ALIGN; lsn += FORMAT_RECORD_ALIGN) {
        const uint64_t next = lsn + FORMAT_RECORD_ALIGN;
        const uint64_t at = next - window_lsn;

        if (at > scan->window_size || FORMAT_RECORD_ALIGN > scan->window_size - at ||
            format_record_could_be(scan->window + at, next)) {
            break;
        }
    }
    return scan_step(scan, lsn);
}

uint64_t scan_behind(const struct scan *scan, const struct format_record_header *header)
{
    const uint64_t next = header->lsn + format_record_padded(header->size);

    return file_of(scan, next) < scan->count ? next : scan_step(scan, next - FORMAT_RECORD_ALIGN);
}

bool scan_reaches(const struct scan *scan, uint64_t lsn)
{
    uint32_t i;

    CHECK(scan->count <= scan->capacity);
    for (i = 0; i < scan->count; i++) {
        const struct scan_file *file = &scan->files[i];

        if (file->valid && file->header.first_lsn <= lsn && lsn <= capacity_end(file)) {
            return true;
        }
    }
    return false;
}
