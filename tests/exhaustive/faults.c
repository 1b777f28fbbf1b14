/* Every operation of the disk fails once, and from then on, with everything it can fail with, in every scenario: a clean
 * error or a stop, and behind a crash of either kind what was promised. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/exhaustive/exhaust.h"
#include "tests/exhaustive/scenarios.h"

#define OPERATIONS_MAX 4096u

struct errno_name {
    int os_error;
    const char *name;
};

static const struct errno_name errnos[] = {
    {EIO, "EIO"},       {ENOSPC, "ENOSPC"}, {EDQUOT, "EDQUOT"}, {EROFS, "EROFS"},
    {EMFILE, "EMFILE"}, {ENOMEM, "ENOMEM"}, {EINTR, "EINTR"},   {EAGAIN, "EAGAIN"},
};
#define ERRNOS (sizeof errnos / sizeof errnos[0])

#define EVERYTHING (SIM_ALL | SIM_BIT(SIM_READ_CACHED) | SIM_BIT(SIM_SIZE))
#define TAKES_SPACE                                                                                \
    (SIM_BIT(SIM_MAKE_DIR) | SIM_BIT(SIM_RENAME) | SIM_BIT(SIM_CREATE) | SIM_BIT(SIM_TRUNCATE) |   \
     SIM_BIT(SIM_WRITE) | SIM_BIT(SIM_SYNC) | SIM_BIT(SIM_SYNC_DIR) | SIM_BIT(SIM_ALLOCATE) |      \
     SIM_BIT(SIM_PUNCH) | SIM_BIT(SIM_LOCK))
#define OPENS                                                                                      \
    (SIM_BIT(SIM_OPEN) | SIM_BIT(SIM_CREATE) | SIM_BIT(SIM_LOCK) | SIM_BIT(SIM_LIST_DIR) |         \
     SIM_BIT(SIM_SYNC_DIR))
#define MOVES_DATA                                                                                 \
    (SIM_BIT(SIM_WRITE) | SIM_BIT(SIM_READ_DIRECT) | SIM_BIT(SIM_READ) | SIM_BIT(SIM_SYNC) |       \
     SIM_BIT(SIM_ALLOCATE))

/* Which operations can fail so; those of one disk fail together from then on. */
static unsigned kinds_of(int os_error)
{
    switch (os_error) {
    case ENOSPC:
    case EDQUOT:
        return TAKES_SPACE;
    case EROFS:
        return SIM_CHANGES;
    case EMFILE:
        return OPENS;
    case EINTR:
    case EAGAIN:
        return MOVES_DATA;
    default:
        return EVERYTHING; /* EIO, ENOMEM */
    }
}

/* How it fails, besides without any effect. */
struct manner {
    enum sim_effect effect;
    const char *name;
    unsigned kinds;
};

#define SYNCS (SIM_BIT(SIM_SYNC) | SIM_BIT(SIM_ALLOCATE))

static const struct manner manners[] = {
    {SIM_FAIL, "nothing done", EVERYTHING},
    {SIM_FAIL_FIRST, "one byte written", SIM_BIT(SIM_WRITE)},
    {SIM_FAIL_HALF, "half written", SIM_BIT(SIM_WRITE)},
    {SIM_FAIL_PARTLY, "partly done", SIM_CHANGES},
    {SIM_LOSE, "pages lost", SYNCS},
};
#define MANNERS (sizeof manners / sizeof manners[0])

/* ---- where the act stands, and what is to fail ---- */

struct trying {
    uint64_t nth; /* Of the operations; 0: only count them */
    uint64_t count;
    uint8_t kinds[OPERATIONS_MAX]; /* What the count saw */
    int os_error;
    unsigned from_then_on; /* 0: once; else the kinds that fail */
    enum sim_effect effect;
};

static void watch(void *arg, struct sim_disk *disk, enum sim_kind kind)
{
    struct trying *trying = arg;

    if ((EVERYTHING & SIM_BIT(kind)) == 0) {
        return;
    }
    if (trying->nth == 0) {
        assert_true(trying->count < OPERATIONS_MAX);
        trying->kinds[trying->count] = (uint8_t)kind;
    }
    trying->count++;
    if (trying->count == trying->nth) {
        const bool on = trying->from_then_on != 0;

        sim_disk_fail(disk, on ? trying->from_then_on : SIM_BIT(kind), 1, on, trying->os_error,
                      trying->effect);
    }
}

/* One run of the act; the crash behind it alternates. */
static void run(const struct scenario *scenario, struct trying *trying, enum scene_crash crash)
{
    struct scene scene;

    scene_begin(&scene, scenario);
    trying->count = 0;
    sim_disk_set_watch(scene.f->disk, watch, trying);
    scenario->act(&scene);
    sim_disk_set_watch(scene.f->disk, NULL, NULL);
    sim_disk_clear_faults(scene.f->disk);
    scene_check_running(&scene);
    scene_crash_and_check(&scene, crash);
    scene_end(&scene);
}

static void try_operation(struct exhaust *x, const struct scenario *scenario, struct trying *trying,
                          enum sim_kind kind, uint64_t nth)
{
    static const char *const crashes[] = {"a kill", "a cut that keeps nothing", "a cut"};
    unsigned error;
    unsigned manner;
    unsigned on;
    unsigned turn = (unsigned)nth;

    for (error = 0; error < ERRNOS; error++) {
        for (manner = 0; manner < MANNERS; manner++) {
            for (on = 0; on < 2; on++, turn++) {
                const unsigned together = kinds_of(errnos[error].os_error);
                const enum scene_crash crash = (enum scene_crash)(turn % 3);

                if ((together & manners[manner].kinds & SIM_BIT(kind)) == 0 ||
                    !exhaust_case(x, "%s: operation %llu (kind %u) fails with %s, %s, %s; then %s",
                                  scenario->name, (unsigned long long)nth, kind, errnos[error].name,
                                  manners[manner].name,
                                  on == 0 ? "once" : "and all such from then on", crashes[crash])) {
                    continue;
                }
                trying->nth = nth;
                trying->os_error = errnos[error].os_error;
                trying->effect = manners[manner].effect;
                trying->from_then_on = on == 0 ? 0 : together;
                run(scenario, trying, crash);
            }
        }
    }
}

static void run_scenario(struct exhaust *x, uint64_t unit)
{
    const struct scenario *scenario = &scenarios[unit];
    static struct trying trying;
    uint64_t operations;
    uint64_t nth;

    trying.nth = 0;
    run(scenario, &trying, SCENE_KILL);
    operations = trying.count;
    assert_true(operations > 0);
    exhaust_count(x, 0, operations);
    for (nth = 1; nth <= operations; nth++) {
        try_operation(x, scenario, &trying, (enum sim_kind)trying.kinds[nth - 1], nth);
    }
}

int main(int argc, char **argv)
{
    const struct exhaust_program program = {.name = "exhaust_faults",
                                            .unit = "scenarios",
                                            .cases = "faults",
                                            .units = scenario_count,
                                            .seconds = 30,
                                            .counts = {"operations"},
                                            .run = run_scenario};

    return exhaust_main(argc, argv, &program);
}
