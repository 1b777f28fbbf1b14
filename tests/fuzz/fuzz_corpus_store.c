/* Writes the seed corpus of fuzz_store: `fuzz_corpus_store DIRECTORY`. The golden stores, and smaller
 * ones made by this build, the same at every run. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/store_image.h"
#include "tests/golden/golden_store.h"
#include "tests/support/engine_fixture.h"

#define SEED_MAX (128u << 10)

static const char *root;

struct packing {
    struct store_image image;
    const struct sim_disk *disk;
};

static void pack_file(void *arg, const char *path, uint64_t size)
{
    struct packing *packing = arg;
    struct store_file *file;
    enum store_kind kind;
    uint64_t number;
    uint8_t *bytes;

    if (!store_file_name(path, &kind, &number)) {
        return;
    }
    bytes = sim_disk_file(packing->disk, path, &size);
    file = store_image_add(&packing->image, kind, number, (uint32_t)size);
    REQUIRE(file != NULL);
    memcpy(file->bytes, bytes, size);
    free(bytes);
}

static void write_seed(const struct sim_disk *disk, const char *name, uint8_t way)
{
    static uint8_t packed[SEED_MAX];
    struct packing packing = {.image = {.way = way}, .disk = disk};
    char path[4096];
    size_t size;
    FILE *out;

    sim_disk_list(disk, pack_file, &packing);
    size = store_image_write(&packing.image, packed, sizeof packed);
    REQUIRE(size > 0);
    store_image_deinit(&packing.image);
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    out = fopen(path, "wb");
    REQUIRE(out != NULL);
    REQUIRE(fwrite(packed, 1, size, out) == size);
    REQUIRE(fclose(out) == 0);
}

static void write_golden(const char *name, uint8_t way)
{
    struct sim_disk *disk = sim_disk_new(1);
    char path[1024];
    FILE *in;

    (void)snprintf(path, sizeof path, "%s/%s.store", GOLDEN_DIR, name);
    in = fopen(path, "r");
    REQUIRE(in != NULL);
    golden_load(in, disk);
    (void)fclose(in);
    write_seed(disk, name, way);
    sim_disk_free(disk);
}

static struct fixture *begin(uint64_t seed)
{
    struct fixture *f = fixture_new(seed);

    f->options.blocks_per_segment = 2;
    sim_disk_set_pace(f->disk, 100);
    fixture_open(f);
    return f;
}

static void end(struct fixture *f, const char *name, uint8_t way, bool clean)
{
    if (clean) {
        fixture_stop(f);
    } else {
        sim_disk_process_crash(f->disk);
        fixture_close(f);
    }
    sim_disk_settle(f->disk);
    write_seed(f->disk, name, way);
    fixture_free(f);
}

static void write_small(void)
{
    struct fixture *f = begin(2);

    end(f, "empty", 0, true);
    f = begin(3);
    fixture_append_strings(f, "t", "a", NULL);
    end(f, "one-killed", STORE_POWER_CUT, false);
    f = begin(4);
    fixture_append_strings(f, "t", "a", "b", NULL);
    REQUIRE(fixture_checkpoint(f, "t", "c", 1) == 0);
    fixture_append_strings(f, "t", "c", NULL);
    end(f, "cursor-killed", STORE_SLOW, false);
    f = begin(5);
    fixture_append_strings(f, "t", "a", NULL);
    fixture_kill(f);
    fixture_append_strings(f, "t", "b", NULL);
    fixture_kill(f);
    fixture_append_strings(f, "u", "c", NULL);
    end(f, "killed-twice", STORE_ACCEPT_LOSS, false);
}

/* Blocks that are full, sealed, freed, and written directly. */
static void write_blocks(void)
{
    struct fixture *f = begin(6);
    unsigned i;

    for (i = 0; i < 9; i++) {
        REQUIRE(fixture_append_size(f, "big", 5000) == 0);
    }
    REQUIRE(fixture_trim(f, "big", 5) == 0);
    REQUIRE(fixture_append_size(f, "big", 6000) == 0);
    end(f, "blocks-killed", STORE_POWER_CUT, false);
    f = begin(7);
    f->now.mono_us += 1;
    for (i = 0; i < 6; i++) {
        REQUIRE(fixture_append_size(f, "big", 4000) == 0);
    }
    REQUIRE(fixture_delete(f, "big") == 0);
    REQUIRE(fixture_append_size(f, "next", 100) == 0);
    end(f, "deleted", STORE_ACCEPT_LOSS, true);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    root = argv[1];
    write_golden("v1-stopped", STORE_POWER_CUT);
    write_golden("v1-killed", STORE_ACCEPT_LOSS);
    write_small();
    write_blocks();
    return 0;
}
