/* Every bit of every file of a small store flipped, and every file cut off at every length, or made longer: what
 * ../support/damaged_store.h says must come of it. */
#include <stdlib.h>
#include <string.h>

#include "tests/exhaustive/exhaust.h"
#include "tests/support/damaged_store.h"

#define PART_BYTES 512u
#define ZEROS_BEHIND 4096u /* Of what was never written, as many bytes count */
#define UNITS_MAX 4096u

/* A stretch of a file. */
struct unit {
    unsigned file;
    uint64_t from;
    uint64_t to;
};

static struct damaged_store store;
static struct unit units[UNITS_MAX];
static unsigned unit_count;

static void add_units(unsigned file)
{
    uint64_t size = store.used[file] + ZEROS_BEHIND;
    uint64_t from;

    size = size < store.sizes[file] ? size : store.sizes[file];
    for (from = 0; from < size; from += PART_BYTES) {
        assert_true(unit_count < UNITS_MAX);
        units[unit_count++] = (struct unit){
            .file = file, .from = from, .to = from + PART_BYTES < size ? from + PART_BYTES : size};
    }
}

enum { COUNT_REFUSED, COUNT_TOLD, COUNT_LOST, COUNT_LENGTHS };

static void judge(struct exhaust *x, struct fixture *f, unsigned file, uint64_t from, uint64_t to)
{
    store.refused = store.told = store.lost = 0;
    damaged_store_judge(&store, f, file, from, to);
    exhaust_count(x, COUNT_REFUSED, store.refused);
    exhaust_count(x, COUNT_TOLD, store.told);
    exhaust_count(x, COUNT_LOST, store.lost);
    fixture_free(f);
}

static void resize(struct exhaust *x, const struct unit *unit, uint64_t size)
{
    const uint64_t whole = store.sizes[unit->file];
    struct fixture *f;

    if (size != whole &&
        exhaust_case(x, "%s made %llu bytes long, which is %llu", store.paths[unit->file],
                     (unsigned long long)size, (unsigned long long)whole)) {
        f = damaged_store_copy(&store);
        sim_disk_resize(f->disk, store.paths[unit->file], size);
        exhaust_count(x, COUNT_LENGTHS, 1);
        judge(x, f, unit->file, size < whole ? size : whole, size < whole ? whole : size);
    }
}

static void run_unit(struct exhaust *x, uint64_t number)
{
    static const uint64_t longer[] = {1, 64, 512, 4096, 32768};
    const struct unit *unit = &units[number];
    uint64_t at;
    unsigned i;

    for (at = 8 * unit->from; at < 8 * unit->to; at++) {
        struct fixture *f;

        if (exhaust_case(x, "%s: bit %llu (byte %llu of %llu)", store.paths[unit->file],
                         (unsigned long long)at, (unsigned long long)at / 8,
                         (unsigned long long)store.used[unit->file])) {
            f = damaged_store_copy(&store);
            sim_disk_flip_bit(f->disk, store.paths[unit->file], at);
            judge(x, f, unit->file, at / 8, at / 8 + 1);
        }
    }
    for (at = unit->from; at < unit->to; at++) {
        resize(x, unit, at);
    }
    for (i = 0; i < sizeof longer / sizeof longer[0] && unit->from == 0; i++) {
        resize(x, unit, store.sizes[unit->file] + longer[i]);
    }
}

int main(int argc, char **argv)
{
    struct exhaust_program program = {
        .name = "exhaust_damage",
        .unit = "stretches of a file",
        .cases = "damages",
        .seconds = 30,
        .counts = {"refused", "told", "with an end cut off untold", "of them lengths"},
        .run = run_unit};
    unsigned i;
    int rc;

    damaged_store_make(&store);
    for (i = 0; i < store.files; i++) {
        add_units(i);
    }
    program.units = unit_count;
    rc = exhaust_main(argc, argv, &program);
    damaged_store_free(&store);
    return rc;
}
