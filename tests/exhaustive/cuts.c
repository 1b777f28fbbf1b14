#include "tests/exhaustive/cuts.h"

#include <stdlib.h>
#include <string.h>

#define SUBSETS_BITS 10u /* Every subset of as many pending things; of more, a sample */
#define SAMPLES 64u
#define SINGLES_MAX 32u /* Of up to so many, each one alone kept, and each one alone lost, too */

enum { COUNT_BOUNDARIES, COUNT_SAMPLED, COUNT_NESTED, COUNT_KNOWN };

struct fixture *cuts_fixture(struct sim_disk *disk)
{
    struct fixture *f = fixture_new(1);

    if (disk != NULL) {
        sim_disk_free(f->disk);
        f->disk = disk;
    }
    sim_disk_set_policy(f->disk, SIM_CUT_DROP);
    f->options.manifest_journal_bytes = 12u << 10;
    return f;
}

/* ---- boundaries ---- */

void cuts_take(struct cuts *cuts, const struct sim_disk *disk)
{
    struct boundary *boundary = &cuts->boundaries[cuts->count];

    assert_true(cuts->count < CUTS_BOUNDARIES);
    cuts->count++;
    boundary->disk = sim_disk_clone(disk);
    memcpy(&boundary->p, cuts->p, sizeof boundary->p);
}

static void watch(void *arg, struct sim_disk *disk, enum sim_kind kind)
{
    if ((SIM_CHANGES & SIM_BIT(kind)) != 0) {
        cuts_take(arg, disk);
    }
}

static void begin(struct cuts *cuts, struct sim_disk *disk, const struct promise *p)
{
    cuts->p = p;
    cuts->boundaries = malloc(CUTS_BOUNDARIES * sizeof *cuts->boundaries);
    assert_non_null(cuts->boundaries);
    sim_disk_set_watch(disk, watch, cuts);
}

void cuts_watch(struct cuts *cuts, struct fixture *f, const struct promise *p)
{
    cuts->fsync_ms = f->options.settings.fsync_ms;
    cuts->images = calloc(CUTS_IMAGES, sizeof *cuts->images);
    assert_non_null(cuts->images);
    begin(cuts, f->disk, p);
}

static void free_boundaries(struct cuts *cuts)
{
    unsigned i;

    for (i = 0; i < cuts->count; i++) {
        sim_disk_free(cuts->boundaries[i].disk);
    }
    free(cuts->boundaries);
}

/* ---- subsets ---- */

/* Which pending things are kept, asked for one after the other. */
struct subset {
    uint64_t number;
    uint64_t pending;
    uint64_t asked;
};

static uint64_t subset_count(uint64_t pending)
{
    if (pending <= SUBSETS_BITS) {
        return UINT64_C(1) << pending;
    }
    return SAMPLES + (pending <= SINGLES_MAX ? 2 * pending : 0);
}

static bool lost(void *arg, const char *path, uint64_t offset, enum sim_kind kind)
{
    struct subset *subset = arg;
    const uint64_t asked = subset->asked++;
    uint64_t word = subset->number * UINT64_C(1000003) + asked / 64;

    (void)path;
    (void)offset;
    (void)kind;
    if (subset->pending <= SUBSETS_BITS) {
        return (subset->number >> asked & 1u) == 0;
    }
    if (subset->number < 2) {
        return subset->number == 0; /* All lost; none */
    }
    if (subset->number < SAMPLES) {
        return (random_split(&word) >> asked % 64 & 1u) == 0;
    }
    return ((subset->number - SAMPLES) / 2 == asked) == ((subset->number - SAMPLES) % 2 == 0);
}

/* A copy of the disk on which the power was cut, and this subset kept. */
static struct sim_disk *cut(const struct sim_disk *disk, struct subset *subset)
{
    struct sim_disk *copy = sim_disk_clone(disk);

    subset->asked = 0;
    sim_disk_set_delay(copy, lost, subset);
    sim_disk_power_cut(copy);
    sim_disk_set_delay(copy, NULL, NULL);
    return copy;
}

/* Was this image judged against this promise before? Remembers it. */
static bool known(struct cuts *cuts, const struct sim_disk *disk, const struct promise *p)
{
    uint64_t key = sim_disk_hash(disk) ^ promise_hash(p);
    uint64_t at;
    unsigned tries;

    key += key == 0 ? 1 : 0;
    at = random_split(&(uint64_t){key}) % CUTS_IMAGES;
    for (tries = 0; tries < 64; tries++, at = (at + 1) % CUTS_IMAGES) {
        if (cuts->images[at] == key) {
            exhaust_count(cuts->x, COUNT_KNOWN, 1);
            return true;
        }
        if (cuts->images[at] == 0) {
            cuts->images[at] = key;
            return false;
        }
    }
    return false; /* No room: judged once more */
}

/* ---- judging ---- */

/* Open what a cut left, and look: twice, the second time behind another cut; then it takes entries. */
static void judge(struct cuts *cuts, struct sim_disk *disk, const struct promise *promised,
                  struct cuts *nested)
{
    struct fixture *f = cuts_fixture(disk);
    struct promise p;
    uint64_t seen;

    memcpy(&p, promised, sizeof p);
    f->options.settings.fsync_ms = cuts->fsync_ms;
    f->now.wall_us += 1000000;
    f->now.mono_us += 1000000;
    if (nested != NULL) {
        begin(nested, f->disk, promised);
    }
    fixture_open(f);
    sim_disk_set_watch(f->disk, NULL, NULL);
    promise_check(&p, f);
    seen = promise_seen(f);
    fixture_power_cut(f);
    promise_check(&p, f);
    assert_true(promise_seen(f) == seen);
    promise_check_writes(&p, f);
    fixture_free(f);
}

/* Cuts inside a recovery: nothing of what is pending there is kept, or everything. */
static void try_nested(struct cuts *cuts, struct cuts *nested, unsigned boundary, uint64_t number)
{
    unsigned i;

    for (i = 0; i < 2 * nested->count; i++) {
        struct boundary *at = &nested->boundaries[i / 2];
        struct subset subset = {.number = i % 2, .pending = UINT64_MAX};
        struct sim_disk *disk = cut(at->disk, &subset);

        exhaust_count(cuts->x, COUNT_NESTED, 1);
        if (!known(cuts, disk, &at->p) &&
            exhaust_case(cuts->x,
                         "%s, %s: boundary %u, subset %llu, then at operation %u of recovery, %s",
                         cuts->sequence, cuts->schedule, boundary, (unsigned long long)number,
                         i / 2 + 1, i % 2 == 0 ? "nothing kept" : "everything kept")) {
            judge(cuts, disk, &at->p, NULL);
        } else {
            sim_disk_free(disk);
        }
    }
}

static void try_subset(struct cuts *cuts, unsigned boundary, struct subset *subset)
{
    struct boundary *at = &cuts->boundaries[boundary];
    const uint64_t all = subset->pending <= SUBSETS_BITS ? subset_count(subset->pending) - 1 : 1;
    const bool nests = subset->number == 0 || subset->number == all;
    struct sim_disk *disk = cut(at->disk, subset);
    struct cuts nested = {.x = cuts->x, .fsync_ms = cuts->fsync_ms};

    if (!known(cuts, disk, &at->p)) {
        const bool now =
            exhaust_case(cuts->x, "%s, %s: boundary %u, subset %llu of %llu pending",
                         cuts->sequence, cuts->schedule, boundary,
                         (unsigned long long)subset->number, (unsigned long long)subset->pending);

        /* What is skipped still has its cuts inside recovery, with numbers of their own. */
        if (now || (nests && !exhaust_failed(cuts->x))) {
            judge(cuts, disk, &at->p, nests ? &nested : NULL);
            disk = NULL;
        }
        if (nests) {
            try_nested(cuts, &nested, boundary, subset->number);
            free_boundaries(&nested);
        }
    }
    sim_disk_free(disk);
}

void cuts_try(struct cuts *cuts)
{
    unsigned i;

    exhaust_count(cuts->x, COUNT_BOUNDARIES, cuts->count);
    for (i = 0; i < cuts->count; i++) {
        struct subset subset = {.pending = sim_disk_pending(cuts->boundaries[i].disk)};
        const uint64_t subsets = subset_count(subset.pending);

        exhaust_count(cuts->x, COUNT_SAMPLED, subset.pending > SUBSETS_BITS ? 1 : 0);
        for (subset.number = 0; subset.number < subsets; subset.number++) {
            try_subset(cuts, i, &subset);
        }
    }
    free_boundaries(cuts);
    free(cuts->images);
}
