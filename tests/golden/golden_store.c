#include "tests/golden/golden_store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/engine_fixture.h"

#define ROW 32u
#define FILES_MAX 64u

struct listed {
    char paths[FILES_MAX][IO_PATH_SIZE];
    unsigned count;
};

static void list_file(void *arg, const char *path, uint64_t size)
{
    struct listed *listed = arg;

    (void)size;
    if (strcmp(path, "LOCK") != 0) {
        assert_true(listed->count < FILES_MAX);
        (void)snprintf(listed->paths[listed->count++], IO_PATH_SIZE, "%s", path);
    }
}

static int by_path(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void dump_row(FILE *out, uint64_t offset, const uint8_t *row)
{
    unsigned i;

    (void)fprintf(out, "%" PRIx64 " ", offset);
    for (i = 0; i < ROW; i++) {
        (void)fprintf(out, "%02x", row[i]);
    }
    (void)fputc('\n', out);
}

void golden_dump(FILE *out, const struct sim_disk *disk)
{
    static const uint8_t zeros[ROW];
    struct listed *listed = calloc(1, sizeof *listed);
    unsigned i;

    assert_non_null(listed);
    sim_disk_list(disk, list_file, listed);
    qsort(listed->paths, listed->count, sizeof listed->paths[0], by_path);
    for (i = 0; i < listed->count; i++) {
        uint64_t size;
        uint8_t *data = sim_disk_file(disk, listed->paths[i], &size);
        uint64_t at;

        (void)fprintf(out, "file %s %" PRIu64 "\n", listed->paths[i], size);
        for (at = 0; at < size; at += ROW) {
            uint8_t row[ROW] = {0};

            memcpy(row, data + at, size - at < ROW ? size - at : ROW);
            if (memcmp(row, zeros, ROW) != 0) {
                dump_row(out, at, row);
            }
        }
        free(data);
    }
    free(listed);
}

/* ---- back ---- */

static void write_row(struct io_file *file, const char *line)
{
    struct error err;
    uint8_t row[ROW];
    struct iovec iov = {.iov_base = row, .iov_len = ROW};
    uint64_t file_size;
    char *hex;
    const uint64_t offset = strtoull(line, &hex, 16);
    unsigned i;

    assert_non_null(file);
    assert_int_equal(*hex, ' ');
    hex++;
    for (i = 0; i < ROW; i++) {
        const char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        char *end;

        row[i] = (uint8_t)strtoul(pair, &end, 16);
        assert_ptr_equal(end, pair + 2);
    }
    assert_int_equal(io_size(file, &file_size, &err), 0);
    iov.iov_len = file_size - offset < ROW ? file_size - offset : ROW;
    assert_int_equal(io_write(file, &iov, 1, offset, &err), 0);
}

static struct io_file *begin_file(struct io *io, const char *line)
{
    struct error err;
    struct io_file *file;
    char path[IO_PATH_SIZE];
    uint64_t size;

    assert_int_equal(sscanf(line, "file %1023s %" SCNu64, path, &size), 2);
    assert_int_equal(io_open(io, path, IO_OPEN_CREATE, &file, &err), 0);
    assert_int_equal(io_truncate(file, size, &err), 0);
    return file;
}

void golden_copy(FILE *in, struct io *io)
{
    struct error err;
    struct io_file *file = NULL;
    char line[IO_PATH_SIZE + 64];

    assert_int_equal(io_make_dir(io, "ns", &err), 0);
    assert_int_equal(io_make_dir(io, "ns/default", &err), 0);
    assert_int_equal(io_make_dir(io, "ns/default/journal", &err), 0);
    while (fgets(line, sizeof line, in) != NULL) {
        if (strncmp(line, "file ", 5) == 0) {
            io_close_file(file);
            file = begin_file(io, line);
        } else {
            write_row(file, line);
        }
    }
    io_close_file(file);
}

void golden_load(FILE *in, struct sim_disk *disk)
{
    struct io *io;

    assert_int_equal(io_sim_open(&io, disk), 0);
    golden_copy(in, io);
    io_close(io);
    sim_disk_settle(disk);
}
