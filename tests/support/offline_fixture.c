#include "tests/support/offline_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/io_readonly.h"
#include "server/offline/dump.h"

static int open_sim(void *arg, struct io **out, struct error *err)
{
    const struct fixture *f = arg;
    const int rc = io_sim_open(out, f->disk);

    (void)err;
    if (rc == 0 && f->on_io != NULL) {
        f->on_io(*out);
    }
    return rc;
}

static FILE *begin(struct offline_options *options, enum out_format format, struct said *said)
{
    FILE *file;

    *said = (struct said){.status = -1};
    file = open_memstream(&said->text, &said->size);
    assert_non_null(file);
    *options = (struct offline_options){.threads = 1, .quiet = true, .messages = file};
    progress_init(&options->progress, "test", true);
    out_init(&options->out, file, format);
    return file;
}

static void end(struct offline_options *options, FILE *file)
{
    assert_int_equal(out_finish(&options->out), 0);
    assert_int_equal(fclose(file), 0);
}

static int enter(struct store *store, struct offline_options *options, struct fixture *f, bool live)
{
    *store = (struct store){.lock = -1, .live = live};
    if (store_open_on(store, options, open_sim, f, &f->err) != 0) {
        return offline_exit(f->err.code);
    }
    return 0;
}

static void verify(struct fixture *f, bool live, enum out_format format, struct said *said)
{
    const uint64_t hash = sim_disk_hash(f->disk);
    struct offline_options options;
    FILE *file = begin(&options, format, said);
    struct store store;

    said->status = enter(&store, &options, f, live);
    if (said->status == 0) {
        said->status = verify_store(&store);
        store_close(&store);
    }
    end(&options, file);
    assert_int_equal(sim_disk_hash(f->disk), hash);
}

void offline_verify_disk(struct fixture *f, enum out_format format, struct said *said)
{
    verify(f, false, format, said);
}

void offline_verify_live(struct fixture *f, struct said *said)
{
    verify(f, true, OUT_TEXT, said);
}

static uint64_t draw(void *arg)
{
    return random_u64(arg);
}

void offline_salvage_disk(struct fixture *f, struct fixture *to, struct said *said)
{
    const uint64_t hash = sim_disk_hash(f->disk);
    struct offline_options options;
    FILE *file = begin(&options, OUT_TEXT, said);
    struct store store;
    struct salvage salvage = {.store = &store,
                              .options = &options,
                              .out_fn = open_sim,
                              .out_arg = to,
                              .random = draw,
                              .random_arg = &to->random,
                              .wall_us = 1000000};

    said->status = enter(&store, &options, f, false);
    if (said->status == 0) {
        said->status = salvage_store(&salvage);
        store_close(&store);
    }
    said->counts = salvage.counts;
    end(&options, file);
    assert_int_equal(sim_disk_hash(f->disk), hash);
}

void offline_dump_disk(struct fixture *f, const char *path, enum out_format format,
                       enum offline_payload payload, struct said *said)
{
    struct offline_options options;
    FILE *file = begin(&options, format, said);
    struct dump dump = {.options = &options, .out = &options.out, .path = path};
    struct io *disk;
    int rc;

    options.payload = payload;
    assert_int_equal(io_sim_open(&disk, f->disk), 0);
    assert_int_equal(io_readonly_open(&dump.io, disk, NULL, NULL, &f->err), 0);
    rc = dump_file(&dump, &f->err);
    said->status = rc != 0 ? offline_exit(rc) : dump.bad ? OFFLINE_DAMAGED : OFFLINE_DONE;
    io_close(dump.io);
    io_close(disk);
    end(&options, file);
}

void said_free(struct said *said)
{
    free(said->text);
    said->text = NULL;
}

bool said_has(const struct said *said, const char *text)
{
    return strstr(said->text, text) != NULL;
}

unsigned said_count(const struct said *said, const char *text)
{
    const char *at = said->text;
    unsigned count = 0;

    while ((at = strstr(at, text)) != NULL) {
        at += strlen(text);
        count++;
    }
    return count;
}

/* ---- files ---- */

void offline_remove(struct fixture *f, const char *path)
{
    struct io *io;
    char dir[IO_PATH_SIZE];

    (void)snprintf(dir, sizeof dir, "%s", path);
    *strrchr(dir, '/') = '\0';
    assert_int_equal(io_sim_open(&io, f->disk), 0);
    assert_int_equal(io_unlink(io, path, &f->err), 0);
    assert_int_equal(io_sync_dir(io, dir, &f->err), 0);
    io_close(io);
}

unsigned offline_remove_all(struct fixture *f, const char *prefix, const char *suffix)
{
    char path[IO_PATH_SIZE];
    unsigned count = 0;

    while (fixture_last_file(f, prefix, suffix, path) > 0) {
        offline_remove(f, path);
        count++;
    }
    return count;
}

/* ---- what a topic held ---- */

static void hold(void *arg, uint64_t offset, const uint8_t *data, uint32_t size)
{
    struct held *held = arg;

    assert_true(held->count < HELD_MAX);
    held->offset[held->count] = offset;
    held->size[held->count] = size;
    held->data[held->count] = malloc(size + 1u);
    assert_non_null(held->data[held->count]);
    memcpy(held->data[held->count++], data, size);
}

void held_read(struct fixture *f, const char *topic, struct held *held)
{
    held->count = 0;
    (void)fixture_read_all(f, topic, 0, hold, held);
}

void held_free(struct held *held)
{
    while (held->count > 0) {
        free(held->data[--held->count]);
    }
}

unsigned held_missing(const struct held *then, const struct held *now)
{
    unsigned at = 0;
    unsigned i;

    for (i = 0; i < now->count; i++) {
        while (at < then->count && then->offset[at] < now->offset[i]) {
            at++;
        }
        assert_true(at < then->count);
        assert_int_equal(then->offset[at], now->offset[i]);
        assert_int_equal(then->size[at], now->size[i]);
        assert_memory_equal(then->data[at], now->data[i], now->size[i]);
        at++;
    }
    return then->count - now->count;
}
