#include "tests/support/offline_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/io_readonly.h"
#include "server/offline/dump.h"

static int open_sim(void *arg, struct io **out, struct error *err)
{
    (void)err;
    return io_sim_open(out, arg);
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

static int enter(struct store *store, struct offline_options *options, struct fixture *f)
{
    *store = (struct store){.lock = -1};
    if (store_open_on(store, options, open_sim, f->disk, &f->err) != 0) {
        return offline_exit(f->err.code);
    }
    return 0;
}

void offline_verify_disk(struct fixture *f, enum out_format format, struct said *said)
{
    const uint64_t hash = sim_disk_hash(f->disk);
    struct offline_options options;
    FILE *file = begin(&options, format, said);
    struct store store;

    said->status = enter(&store, &options, f);
    if (said->status == 0) {
        said->status = verify_store(&store);
        store_close(&store);
    }
    end(&options, file);
    assert_int_equal(sim_disk_hash(f->disk), hash);
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
                              .out_arg = to->disk,
                              .random = draw,
                              .random_arg = &to->random,
                              .wall_us = 1000000};

    said->status = enter(&store, &options, f);
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
