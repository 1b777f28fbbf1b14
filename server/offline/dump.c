#include "server/offline/dump.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "core/io_readonly.h"
#include "server/offline/store.h"

void dump_begin(struct dump *dump, const char *what, uint64_t offset)
{
    out_begin(dump->out, what);
    out_number(dump->out, "at", offset);
}

void dump_verdict(struct dump *dump, const char *key, bool good)
{
    out_text(dump->out, key, good ? "good" : "BAD");
    dump->bad |= !good;
}

void dump_store_id(struct dump *dump, const uint8_t store_id[ENGINE_STORE_ID_SIZE])
{
    out_hex_bytes(dump->out, "store_id", store_id, ENGINE_STORE_ID_SIZE);
}

void dump_time(struct dump *dump, const char *key, uint64_t us)
{
    const time_t seconds = (time_t)(us / 1000000u);
    struct tm tm;
    char text[64];
    char name[64];
    size_t used;

    out_number(dump->out, key, us);
    if (us == 0 || us / 1000000u > INT64_C(253402300799) || gmtime_r(&seconds, &tm) == NULL) {
        return; /* Not set, or behind the year 9999 */
    }
    used = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(text + used, sizeof text - used, ".%06uZ", (unsigned)(us % 1000000u));
    (void)snprintf(name, sizeof name, "%s_utc", key);
    out_text(dump->out, name, text);
}

void dump_batch_fields(struct dump *dump, const struct batch_header *header)
{
    struct out *out = dump->out;

    out_number(out, "first_offset", header->first_offset);
    out_number(out, "entries", header->entry_count);
    out_number(out, "stored_size", header->stored_size);
    if (header->raw_size != header->stored_size || header->codec != BATCH_CODEC_NONE) {
        out_number(out, "codec", header->codec);
        out_number(out, "raw_size", header->raw_size);
    }
    if (header->producer_id != 0 || header->producer_sequence != 0) {
        out_number(out, "producer", header->producer_id);
        out_number(out, "sequence", header->producer_sequence);
    }
    if (header->flags != 0) {
        out_hex(out, "flags", header->flags);
    }
    dump_time(dump, "time", header->time_us);
    out_hex(out, "crc", header->header_crc);
    out_hex(out, "chain", header->previous_crc);
}

void dump_entries(struct dump *dump, const uint8_t *bytes, uint64_t offset)
{
    struct batch_iterator it;
    struct batch_entry entry;
    struct batch_header header;
    uint64_t number;

    if (dump->options->payload == PAYLOAD_NONE) {
        return;
    }
    batch_header_decode(&header, bytes);
    number = header.first_offset;
    batch_entries(&it, bytes);
    while (batch_next(&it, &entry)) {
        dump_begin(dump, "entry", offset + (uint64_t)(entry.data - bytes));
        out_number(dump->out, "offset", number++);
        out_number(dump->out, "size", entry.size);
        if (dump->options->payload == PAYLOAD_HEX) {
            out_hex_bytes(dump->out, "hex", entry.data, entry.size);
        } else {
            out_bytes(dump->out, "data", entry.data, entry.size);
        }
        out_end(dump->out);
    }
}

/* ---- which kind ---- */

static bool all_zero(const uint8_t *bytes, size_t size)
{
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static bool ends_with(const char *text, const char *suffix)
{
    const size_t size = strlen(text);
    const size_t suffix_size = strlen(suffix);

    return size >= suffix_size && strcmp(text + size - suffix_size, suffix) == 0;
}

static int zeros_first(struct dump *dump, struct io_file *file, uint64_t size, struct error *err)
{
    /* Block 0 of a segment may be free; and a journal file that was made ahead is all zeros. */
    if (ends_with(dump->path, ".seg") || size > FORMAT_PAGE) {
        const int rc = dump_segment(dump, file, size, err);

        if (rc != TUSK_EINVALID) {
            return rc;
        }
    }
    out_begin(dump->out, "zeros");
    out_text(dump->out, "file", dump->path);
    out_number(dump->out, "size", size);
    out_text(dump->out, "meaning",
             ends_with(dump->path, ".jnl")   ? "a journal file made ahead: it holds no record"
             : ends_with(dump->path, ".seg") ? "a segment whose blocks are free"
                                             : "nothing but zeros where a header would be");
    out_end(dump->out);
    return 0;
}

static int refuse_version(const struct dump *dump, const uint8_t *page, struct error *err)
{
    uint32_t version;
    uint32_t flags;

    format_page_version(page, &version, &flags);
    return error_set(
        err, TUSK_EVERSION,
        "%s is of format version %u, incompatible flags 0x%x; this build knows version %u and "
        "no flags",
        dump->path, version, flags, FORMAT_VERSION);
}

static int refuse_foreign(const struct dump *dump, const uint8_t *page, size_t size,
                          struct error *err)
{
    char bytes[3 * FORMAT_MAGIC_SIZE + 1] = "";
    size_t i;

    for (i = 0; i < size; i++) {
        (void)snprintf(bytes + 3 * i, sizeof bytes - 3 * i, " %02x", page[i]);
    }
    return error_set(err, TUSK_EINVALID,
                     "%s is not a file of a store: it begins with%s, and none of journal, "
                     "manifest, block and seal does",
                     dump->path, bytes);
}

/* Less than a page: what is left of a file of a store, or the whole of another one. */
static int refuse_short(const struct dump *dump, const uint8_t *page, size_t got, struct error *err)
{
    static const char *const magics[] = {FORMAT_MAGIC_JOURNAL, FORMAT_MAGIC_BLOCK,
                                         FORMAT_MAGIC_SEAL, FORMAT_MAGIC_MANIFEST};
    const size_t size = got < FORMAT_MAGIC_SIZE ? got : FORMAT_MAGIC_SIZE;
    bool ours = all_zero(page, got); /* Some of them are, where nothing was written yet */
    unsigned i;

    for (i = 0; i < sizeof magics / sizeof magics[0]; i++) {
        ours = ours || memcmp(page, magics[i], size) == 0;
    }
    if (!ours) {
        return refuse_foreign(dump, page, size, err);
    }
    return error_set(err, TUSK_EINVALID,
                     got == 0 ? "%s is empty (%u bytes)"
                              : "%s is truncated: %u bytes, and a header alone takes 4096",
                     dump->path, (unsigned)got);
}

static int by_kind(struct dump *dump, struct io_file *file, const uint8_t *page, uint64_t size,
                   struct error *err)
{
    int rc;

    switch (format_page_kind(page)) {
    case FORMAT_PAGE_JOURNAL:
        rc = dump_journal(dump, file, page, err);
        break;
    case FORMAT_PAGE_MANIFEST:
        rc = dump_manifest(dump, file, page, size, err);
        break;
    case FORMAT_PAGE_BLOCK:
        rc = dump_segment(dump, file, size, err);
        break;
    case FORMAT_PAGE_SEAL:
        dump_seal(dump, page, NULL, 0);
        return 0;
    case FORMAT_PAGE_OTHER:
    default:
        if (all_zero(page, FORMAT_PAGE)) {
            return zeros_first(dump, file, size, err);
        }
        rc = ends_with(dump->path, ".seg") ? dump_segment(dump, file, size, err) : TUSK_EINVALID;
        if (rc == TUSK_EINVALID) {
            return refuse_foreign(dump, page, FORMAT_MAGIC_SIZE, err);
        }
    }
    return rc == TUSK_EVERSION ? refuse_version(dump, page, err) : rc;
}

int dump_file(struct dump *dump, struct error *err)
{
    struct io_file *file = NULL;
    uint8_t *page = aligned_alloc(IO_DIRECT_ALIGN, FORMAT_PAGE);
    uint64_t size = 0;
    size_t got = 0;
    int rc;

    if (page == NULL) {
        return error_set(err, TUSK_ENOMEM, "read %s", dump->path);
    }
    rc = io_open(dump->io, dump->path, IO_OPEN_READ, &file, err);
    if (rc == 0) {
        rc = io_size(file, &size, err);
    }
    if (rc == 0) {
        rc = io_read_direct(file, page, FORMAT_PAGE, 0, &got, err);
    }
    if (rc == 0 && got < FORMAT_PAGE) {
        rc = refuse_short(dump, page, got, err);
    }
    if (rc == 0) {
        rc = by_kind(dump, file, page, size, err);
    }
    io_close_file(file);
    free(page);
    return rc;
}

/* ---- a directory ---- */

#define FILES_MAX 100000u

struct files {
    struct dump *dump;
    const char *dir;
    char **paths; /* Owned */
    unsigned count;
};

static int list_file(void *arg, const char *name, enum io_kind kind)
{
    struct files *files = arg;
    char path[IO_PATH_SIZE];
    char **paths;
    uint64_t number;

    if (kind != IO_KIND_FILE || files->count == FILES_MAX ||
        !(format_file_number(name, "manifest-", "", &number) ||
          format_file_number(name, "", ".seg", &number) ||
          format_file_number(name, "", ".jnl", &number))) {
        return 0;
    }
    (void)snprintf(path, sizeof path, "%s/%s", files->dir, name);
    paths = realloc(files->paths, (files->count + 1u) * sizeof(char *));
    if (paths == NULL) {
        return TUSK_ENOMEM;
    }
    files->paths = paths;
    paths[files->count] = strdup(path);
    return paths[files->count++] == NULL ? TUSK_ENOMEM : 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int dump_listed(struct files *files, struct error *err)
{
    struct dump *dump = files->dump;
    unsigned i;

    if (files->count > 0) {
        qsort(files->paths, files->count, sizeof(char *), by_text);
    }
    for (i = 0; i < files->count && !offline_interrupted(); i++) {
        int rc;

        dump->path = files->paths[i];
        out_begin(dump->out, "file");
        out_text(dump->out, "path", dump->path);
        out_end(dump->out);
        rc = dump_file(dump, err);
        if (rc == TUSK_EINVALID || rc == TUSK_ECORRUPT || rc == TUSK_EIO || rc == TUSK_EVERSION) {
            offline_say(dump->options, "%s", err->text);
            dump->bad = true;
        } else if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int dump_directory(struct dump *dump, const char *dir, struct error *err)
{
    struct files files = {.dump = dump, .dir = dir};
    unsigned i;
    int rc = io_list_dir(dump->io, dir, list_file, &files, err);

    if (rc == 0) {
        rc = dump_listed(&files, err);
    } else if (rc == TUSK_ENOMEM) {
        (void)error_set(err, rc, "list %s", dir);
    }
    for (i = 0; i < files.count; i++) {
        free(files.paths[i]);
    }
    free(files.paths);
    return rc;
}

static int dump_namespace(struct dump *dump, const struct store_name *name, struct error *err)
{
    char encoded[FORMAT_ENCODED_NAME_SIZE];
    char dir[IO_PATH_SIZE];
    int rc;

    (void)format_name_encode(encoded, name->name, name->size); /* It came from a directory's name */
    (void)snprintf(dir, sizeof dir, "ns/%s", encoded);
    rc = dump_directory(dump, dir, err);
    if (rc == 0) {
        (void)snprintf(dir, sizeof dir, "ns/%s/journal", encoded);
        rc = dump_directory(dump, dir, err);
        rc = rc == TUSK_ENOTFOUND ? 0 : rc;
    }
    return rc;
}

static int dump_store(struct offline_options *options, const char *path)
{
    struct dump dump = {.options = options, .out = &options->out};
    struct store store;
    struct error err = {.code = 0};
    unsigned i;
    int rc = store_open(&store, options, path, &err);

    if (rc != 0) {
        return offline_fail(options, &err);
    }
    dump.io = store.strict;
    for (i = 0; i < store.name_count && rc == 0 && !offline_interrupted(); i++) {
        rc = dump_namespace(&dump, &store.names[i], &err);
    }
    store_close(&store);
    if (rc != 0) {
        return offline_fail(options, &err);
    }
    return offline_interrupted() ? OFFLINE_INTERRUPTED : dump.bad ? OFFLINE_DAMAGED : OFFLINE_DONE;
}

/* ---- a file ---- */

static int dump_single(struct offline_options *options, char *real)
{
    struct dump dump = {.options = options, .out = &options->out};
    struct io *disk = NULL;
    struct error err = {.code = 0};
    char *slash = strrchr(real, '/');
    int rc;

    *slash = '\0';
    dump.path = slash + 1;
    rc = io_posix_open(&disk, slash == real ? "/" : real, 1, &err);
    if (rc == 0) {
        rc = io_readonly_open(&dump.io, disk, NULL, NULL, &err);
    }
    if (rc == 0) {
        rc = dump_file(&dump, &err);
    }
    io_close(dump.io);
    io_close(disk);
    if (rc != 0) {
        return offline_fail(options, &err);
    }
    return dump.bad ? OFFLINE_DAMAGED : OFFLINE_DONE;
}

int offline_dump(struct offline_options *options, const char *path)
{
    char *real = realpath(path, NULL);
    struct stat st;
    struct error err;
    int rc;

    progress_init(&options->progress, "dump", true);
    if (real == NULL || stat(real, &st) != 0) {
        free(real);
        (void)error_errno(&err, errno, "%s", path);
        return offline_fail(options, &err);
    }
    if (S_ISDIR(st.st_mode)) {
        rc = dump_store(options, real);
    } else if (!S_ISREG(st.st_mode)) {
        offline_say(options, "%s is neither a file nor a directory", path);
        rc = OFFLINE_USAGE;
    } else {
        rc = dump_single(options, real);
    }
    free(real);
    return rc;
}
